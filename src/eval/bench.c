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
