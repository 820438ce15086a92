/* eval/data.c – which of the benchmarks' files are there, and whether they are the published ones. */
#include "eval/data.h"
#include "base/file.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

bool lb_sha256(const void *p, size_t n, char out[65], lb_err *err)
{
    unsigned char d[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    if (EVP_Digest(p, n, d, &len, EVP_sha256(), NULL) != 1 || len != 32)
        return lb_fail(err, LB_EUNSUPPORTED, "libcrypto gives no SHA-256");
    for (int i = 0; i < 32; i++) snprintf(out + 2 * i, 3, "%02x", d[i]);
    return true;
}

static const char *known_as(const lb_source *s, const char *sha256)
{
    for (const lb_known_file *k = s->known; k && k->sha256; k++)
        if (strcmp(k->sha256, sha256) == 0) return k->what;
    return NULL;
}

/* Every row, and what a row reads only when it is graded. */
static bool check_rows(lb_data_file *f, int i, const lb_map *m)
{
    lb_items items;
    if (!lb_items_parse(f->bench, i, (const char *)m->p, m->size, f->path, NULL, &items, &f->why)) return false;
    bool ok = true;
    for (int k = 0; ok && f->bench->tests && k < items.n; k++) {
        lb_code_tests t;
        ok = f->bench->tests(&items.p[k], &t, &f->why);
        if (ok) lb_code_tests_free(&t);
    }
    f->n_row = items.n;
    lb_items_free(&items);
    return ok;
}

bool lb_data_look(const lb_bench *b, int i, const char *data_dir, bool check, lb_data_file *out, lb_err *err)
{
    *out = (lb_data_file){.bench = b, .source = b->sources[i], .n_row = -1};
    lb_map m = {0};
    out->path = lb_source_path(b, i, data_dir, &out->why);
    if (out->path) {
        out->state = LB_DATA_BROKEN;
        bool ok = lb_map_open(&m, out->path, &out->why) && lb_sha256(m.p, m.size, out->sha256, &out->why);
        out->size_bytes = m.size;
        if (ok) out->known = known_as(out->source, out->sha256);
        if (ok && out->known) out->n_row = out->source->n_row;
        if (ok && check) ok = check_rows(out, i, &m);
        if (ok) out->state = LB_DATA_FOUND;
        lb_map_close(&m);
    }
    if (out->why.code != LB_ENOMEM && out->why.code != LB_EUSAGE) return true;
    if (err) *err = out->why;
    lb_data_file_free(out);
    return false;
}

void lb_data_file_free(lb_data_file *f)
{
    free(f->path);
    memset(f, 0, sizeof *f);
}

json_t *lb_data_json(const lb_data_file *f)
{
    static const char *const states[] = {"missing", "broken", "found"};
    const lb_source *s = f->source;
    json_t *j = json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*, s:s, s:s, s:s*, s:s*}", "task", f->bench->name, "part",
                          s->name, "state", states[f->state], "file", f->path, "sha256", *f->sha256 ? f->sha256 : NULL,
                          "sha256_is", f->known, "from", s->url, "licence", s->licence, "convert", s->convert, "error",
                          f->state == LB_DATA_FOUND ? NULL : f->why.msg);
    if (!j) return NULL;
    if (f->path) json_object_set_new(j, "bytes", json_integer((json_int_t)f->size_bytes));
    if (f->n_row >= 0) json_object_set_new(j, "rows", json_integer(f->n_row));
    if (s->n_row > 0) json_object_set_new(j, "rows_published", json_integer(s->n_row));
    return j;
}
