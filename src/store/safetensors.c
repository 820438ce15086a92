/* safetensors.c – Hugging Face weight files: one file, or shards with an index.
 *
 * The index says which shard holds which tensor; each shard's own header says where. Both must agree exactly: a tensor
 * in the index that its shard lacks, or in a shard without the index naming that shard, is an error, because a folder
 * that mixes two revisions of a model looks just like that. */
#include "base/json.h"
#include "base/mem.h"
#include "store/format.h"
#include "store/st_header.h"
#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>

#define SINGLE "model.safetensors"
#define INDEX "model.safetensors.index.json"
#define SUFFIX ".safetensors"

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool holds(const char *dir, const char *name)
{
    char *p = lb_path_join(dir, name, NULL);
    bool yes = p && lb_file_exists(p);
    free(p);
    return yes;
}

static bool probe(const char *path)
{
    if (lb_is_folder(path)) return holds(path, SINGLE) || holds(path, INDEX);
    return ends_with(path, SUFFIX) && lb_file_exists(path);
}

/* Maps one file and appends its tensors. */
static bool add_file(lb_store *s, const char *path, lb_err *err)
{
    lb_store_file *f = lb_store_map(s, path, err);
    if (!f) return false;
    lb_st_header h;
    if (!lb_st_parse_header(f->map.p, f->map.size, f->path, &h, err)) return false;
    s->names[s->n_file - 1] = h.names;
    if (!s->t) { /* the first file's table becomes the store's */
        s->t = h.t;
        s->n = s->cap = h.n;
        return true;
    }
    bool ok = lb_grow(&s->t, &s->cap, s->n + h.n, sizeof *s->t, "the tensor table", err);
    if (ok && h.n) memcpy(s->t + s->n, h.t, h.n * sizeof *h.t);
    if (ok) s->n += h.n;
    free(h.t);
    return ok;
}

/* Moves tensors that do not lie at a multiple of their element size to memory of our own. */
static bool align_data(lb_store *s, lb_err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < s->n; i++)
        if ((uintptr_t)s->t[i].data % lb_dtype_bytes(s->t[i].dtype)) total += lb_arena_need(s->t[i].size_bytes, 1);
    if (!total) return true;
    uint8_t *at = s->copies = lb_alloc(total, 1, "tensors at odd places of the file", err);
    if (!at) return false;
    for (size_t i = 0; i < s->n; i++) {
        lb_tensor *t = &s->t[i];
        if ((uintptr_t)t->data % lb_dtype_bytes(t->dtype) == 0) continue;
        memcpy(at, t->data, t->size_bytes);
        t->data = at;
        at += lb_arena_need(t->size_bytes, 1);
    }
    return true;
}

/* ---- shards ---- */

typedef struct index_row {
    const char *tensor, *shard;      /* borrowed from the JSON */
} index_row;

static int by_shard(const void *a, const void *b)
{
    const index_row *x = a, *y = b;
    int c = strcmp(x->shard, y->shard);
    return c ? c : strcmp(x->tensor, y->tensor);
}

/* The rows of weight_map, sorted by shard, then tensor; the caller frees them. */
static index_row *index_rows(const json_t *index, const char *where, size_t *n, lb_err *err)
{
    const json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map))
        return lb_fail_null(err, LB_EFORMAT, "%s: 'weight_map' is %s, wanted an object", where, lb_json_kind(map));
    *n = json_object_size(map);
    if (*n == 0 || *n > LB_ST_MAX_TENSORS)
        return lb_fail_null(err, LB_EFORMAT, "%s: 'weight_map' has %zu entries, wanted 1 to %d", where, *n,
                            LB_ST_MAX_TENSORS);
    index_row *rows = lb_alloc(*n, sizeof *rows, where, err), *r = rows;
    if (!rows) return NULL;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)map, key, v) {
        r->tensor = key;
        r->shard = json_string_value(v);
        if (!r->shard || strlen(r->shard) != json_string_length(v) || !lb_is_plain_name(r->shard)) {
            lb_fail(err, LB_EFORMAT, "%s: the shard of '%.200s' is %s%.100s%s; wanted a plain file name", where, key,
                    r->shard ? "'" : "", r->shard ? r->shard : lb_json_kind(v), r->shard ? "'" : "");
            free(rows);
            return NULL;
        }
        r++;
    }
    qsort(rows, *n, sizeof *rows, by_shard);
    return rows;
}

/* Compares the tensors t[0…nt) of one shard with the index rows of that shard; both are sorted by name. */
static bool check_shard(const lb_tensor *t, size_t nt, const index_row *r, size_t nr, const char *where, lb_err *err)
{
    for (size_t i = 0; i < nt || i < nr; i++) {
        int c = i == nt ? 1 : i == nr ? -1 : strcmp(t[i].name, r[i].tensor);
        if (c > 0)
            return lb_fail(err, LB_EFORMAT, "%s: tensor '%.200s' should be in %s, which does not have it", where,
                           r[i].tensor, r[i].shard);
        if (c < 0)
            return lb_fail(err, LB_EFORMAT, "%s: tensor '%.200s' is in %s, but the index does not place it there",
                           where, t[i].name, t[i].file);
    }
    return true;
}

/* "model-00002-of-00005.safetensors" */
static bool is_shard_name(const char *name)
{
    const char *p = strncmp(name, "model-", 6) == 0 ? name + 6 : "";
    int digits = 0;
    while (isdigit((unsigned char)*p)) p++, digits++;
    if (digits != 5 || strncmp(p, "-of-", 4) != 0) return false;
    for (p += 4, digits = 0; isdigit((unsigned char)*p); p++) digits++;
    return digits == 5 && strcmp(p, SUFFIX) == 0;
}

/* A shard on disk that the index does not name belongs to another revision of the model. */
static bool no_stray_shards(const char *dir, const index_row *rows, size_t n, lb_err *err)
{
    DIR *d = opendir(dir);
    if (!d) return lb_fail_io(err, "cannot list %s", dir);
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(d)) != NULL;) {
        if (!is_shard_name(e->d_name)) continue;
        size_t lo = 0, hi = n; /* first row with shard ≥ name */
        while (lo < hi) {
            size_t mid = (lo + hi) / 2;
            if (strcmp(rows[mid].shard, e->d_name) < 0) lo = mid + 1;
            else hi = mid;
        }
        if (lo == n || strcmp(rows[lo].shard, e->d_name) != 0)
            ok = lb_fail(err, LB_EFORMAT, "%s holds %s, which %s does not name: two models in one folder?", dir,
                         e->d_name, INDEX);
    }
    closedir(d);
    return ok;
}

static int tensor_by_name(const void *a, const void *b)
{
    return strcmp(((const lb_tensor *)a)->name, ((const lb_tensor *)b)->name);
}

static bool open_shards(lb_store *s, const char *dir, const index_row *rows, size_t n, const char *where, lb_err *err)
{
    size_t n_shard = 0;
    for (size_t i = 0; i < n; i++) n_shard += i == 0 || strcmp(rows[i - 1].shard, rows[i].shard) != 0;
    if (!no_stray_shards(dir, rows, n, err) || !lb_store_reserve(s, n_shard, err)) return false;
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && strcmp(rows[i].shard, rows[j].shard) == 0;) j++;
        size_t from = s->n;
        char *path = lb_path_join(dir, rows[i].shard, err);
        bool ok = path && add_file(s, path, err);
        if (path && !ok && !lb_file_exists(path))
            lb_fail(err, LB_EFORMAT, "%s names the shard %s, which is missing", where, rows[i].shard);
        free(path);
        if (!ok || !check_shard(s->t + from, s->n - from, rows + i, j - i, where, err)) return false;
    }
    /* Names are unique: keys of one JSON object, each found exactly once. */
    qsort(s->t, s->n, sizeof *s->t, tensor_by_name);
    return true;
}

static bool open_index(lb_store *s, const char *dir, lb_err *err)
{
    char *path = lb_path_join(dir, INDEX, err);
    json_t *index = path ? lb_json_load(path, err) : NULL;
    size_t n;
    index_row *rows = index ? index_rows(index, path, &n, err) : NULL;
    bool ok = rows && open_shards(s, dir, rows, n, path, err);
    free(rows);
    json_decref(index);
    free(path);
    return ok;
}

static bool open_single(lb_store *s, const char *path, lb_err *err)
{
    return lb_store_reserve(s, 1, err) && add_file(s, path, err);
}

static bool open_path(lb_store *s, const char *path, lb_err *err)
{
    bool ok;
    if (!lb_is_folder(path)) {
        ok = open_single(s, path, err);
    } else if (holds(path, SINGLE)) { /* as transformers does: one file wins over an index */
        char *file = lb_path_join(path, SINGLE, err);
        ok = file && open_single(s, file, err);
        free(file);
    } else {
        ok = open_index(s, path, err);
    }
    return ok && align_data(s, err);
}

const lb_store_format lb_store_safetensors = {
    .name = "safetensors",
    .wants = "a folder with " SINGLE " or with " INDEX " and its shards, or a *.safetensors file",
    .probe = probe,
    .open = open_path,
};
