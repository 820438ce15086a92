/* eval/bench.c – the list of benchmarks, and reading their items. */
#include "eval/bench.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define LB_BENCH(m) extern const lb_bench lb_bench_##m;
#include "eval/benches.def"
#undef LB_BENCH
#define LB_BENCH(m) &lb_bench_##m,
const lb_bench *const lb_benches[] = {
#include "eval/benches.def"
    NULL};

enum { N_BENCH = sizeof lb_benches / sizeof *lb_benches - 1 };

static bool names_eq(const char *a, size_t n, const char *b) { return strlen(b) == n && memcmp(a, b, n) == 0; }

static bool unknown(const char *name, size_t n, lb_err *err)
{
    lb_buf b = {0};
    for (int i = 0; i < N_BENCH; i++) {
        if (i == 0 || strcmp(lb_benches[i]->suite, lb_benches[i - 1]->suite) != 0)
            lb_buf_fmt(&b, "%s%s (all of ", i ? "); " : "", lb_benches[i]->suite);
        else lb_buf_str(&b, ", ");
        lb_buf_str(&b, lb_benches[i]->name);
    }
    lb_buf_str(&b, ")");
    lb_fail(err, LB_EUSAGE, "task '%.*s' is not known; there are %s", (int)(n > 80 ? 80 : n), name, lb_buf_cstr(&b));
    lb_buf_free(&b);
    return false;
}

bool lb_benches_of(const char *names, const lb_bench ***out, int *n, lb_err *err)
{
    bool taken[N_BENCH] = {false};
    const lb_bench **list = lb_alloc(N_BENCH, sizeof *list, "the tasks", err);
    if (!list) return false;
    *n = 0;
    for (const char *p = names; *p;) {
        size_t len = strcspn(p, ","), before = (size_t)*n;
        bool found = false;
        for (int i = 0; i < N_BENCH; i++) {
            if (!names_eq(p, len, lb_benches[i]->name) && !names_eq(p, len, lb_benches[i]->suite)) continue;
            found = true;
            if (!taken[i]) list[(*n)++] = lb_benches[i];
            taken[i] = true;
        }
        if (!found && (size_t)*n == before) {
            free(list);
            return unknown(p, len, err);
        }
        p += len + (p[len] == ',');
    }
    if (*n == 0) {
        free(list);
        return lb_fail(err, LB_EUSAGE, "--tasks names no task");
    }
    *out = list;
    return true;
}

static lb_hash hash_item(const lb_item *it)
{
    lb_hash h = lb_hash_of(it->prompt, strlen(it->prompt) + 1);
    h = lb_hash_bytes(it->gold, strlen(it->gold) + 1, h);
    for (int i = 0; i < it->n_test; i++) {
        h = lb_hash_bytes(it->tests[i].input, strlen(it->tests[i].input) + 1, h);
        h = lb_hash_bytes(it->tests[i].output, strlen(it->tests[i].output) + 1, h);
    }
    return h;
}

typedef struct reading {
    const lb_bench *bench;
    lb_items *out;
    size_t cap;
} reading;

static bool add_row(void *arg, json_t *row, const char *where, lb_err *err)
{
    reading *r = arg;
    lb_items *out = r->out;
    if (!lb_grow(&out->p, &r->cap, (size_t)out->n + 1, sizeof *out->p, "the items", err)) {
        json_decref(row);
        return false;
    }
    lb_item *it = &out->p[out->n];
    memset(it, 0, sizeof *it);
    it->row = row;
    out->n++; /* from here on lb_items_free owns the row */
    if (!r->bench->item(row, where, it, err)) return false;
    it->hash = hash_item(it);
    return true;
}

bool lb_items_parse(const lb_bench *b, const char *text, size_t size, const char *name, int limit, lb_items *out,
                    lb_err *err)
{
    memset(out, 0, sizeof *out);
    reading r = {.bench = b, .out = out};
    bool ok = lb_jsonl_each(text, size, name, limit, add_row, &r, NULL, err);
    if (ok && out->n == 0) ok = lb_fail(err, LB_EFORMAT, "%s has no rows", name);
    if (!ok) lb_items_free(out);
    return ok;
}

bool lb_items_load(const lb_bench *b, const char *data_dir, int limit, lb_items *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    lb_map map = {0};
    char *path = lb_path_join(data_dir, b->file, err);
    bool ok = path && lb_map_open(&map, path, err);
    if (path && !ok) lb_wrap(err, "task %s (--data names the folder)", b->name);
    ok = ok && lb_items_parse(b, (const char *)map.p, map.size, path, limit, out, err);
    lb_map_close(&map);
    free(path);
    return ok;
}

void lb_items_free(lb_items *items)
{
    for (int i = 0; i < items->n; i++) {
        free((void *)items->p[i].tests);
        json_decref(items->p[i].row);
    }
    free(items->p);
    memset(items, 0, sizeof *items);
}
