/* eval/bench.c – the list of benchmarks, and choosing from it. */
#include "eval/bench.h"
#include "base/buf.h"
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

static bool add_bench(const lb_bench ***list, int *n, size_t *cap, const lb_bench *b, lb_err *err)
{
    for (int i = 0; i < *n; i++)
        if ((*list)[i] == b) return true;
    if (!lb_grow(list, cap, (size_t)*n + 1, sizeof **list, "the tasks", err)) return false;
    (*list)[(*n)++] = b;
    return true;
}

/* One word of a task list: a name, a suite, or NAME:PART. */
static bool add_named(const lb_bench ***list, int *n, size_t *cap, const char *p, size_t len, lb_err *err)
{
    const char *colon = memchr(p, ':', len);
    size_t head = colon ? (size_t)(colon - p) : len;
    bool found = false;
    for (int i = 0; i < N_BENCH; i++) {
        const lb_bench *b = lb_benches[i];
        if (!names_eq(p, head, b->name) && (colon || !names_eq(p, len, b->suite))) continue;
        if (colon && !b->variant)
            return lb_fail(err, LB_EUSAGE, "task '%s' has no parts (found '%.*s')", b->name, (int)(len > 80 ? 80 : len), p);
        if (colon && !(b = b->variant(b, colon + 1, len - head - 1, err))) return false;
        found = true;
        if (!add_bench(list, n, cap, b, err)) return false;
    }
    return found || unknown(p, len, err);
}

bool lb_benches_of(const char *names, const lb_bench ***out, int *n, lb_err *err)
{
    const lb_bench **list = NULL;
    size_t cap = 0;
    *n = 0;
    for (const char *p = names; *p;) {
        size_t len = strcspn(p, ",");
        if (!add_named(&list, n, &cap, p, len, err)) {
            free(list);
            return false;
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
