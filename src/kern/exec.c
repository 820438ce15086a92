/* kern/exec.c – opening devices, and the CPU device. */
#include "kern/exec.h"
#include "base/mem.h"
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the CPU: device memory is host memory ---- */
static bool cpu_open(lb_exec *ex, int index, lb_err *err)
{
    if (index != 0) return lb_fail(err, LB_EUSAGE, "there is only one CPU device: use --device cpu");
    snprintf(ex->name, sizeof ex->name, "cpu %s, %d thread%s", lb_cpu_level_name(ex->mask), ex->n_thread,
             ex->n_thread > 1 ? "s" : "");
    return true;
}
static void cpu_close(lb_exec *ex) { (void)ex; }
static void *cpu_alloc(lb_exec *ex, size_t n, const char *what, lb_err *err)
{
    (void)ex;
    return lb_alloc(n, 1, what, err);
}
static void cpu_free(lb_exec *ex, void *p) { (void)ex; free(p); }
static void cpu_copy_in(lb_exec *ex, void *dst, const void *src, size_t n) { (void)ex; memcpy(dst, src, n); }
static bool cpu_sync(lb_exec *ex, lb_err *err) { (void)ex, (void)err; return true; }

static const lb_device device_cpu = {
    .name = "cpu", .mask = 0, .open = cpu_open, .close = cpu_close, .alloc = cpu_alloc, .free = cpu_free,
    .put = cpu_copy_in, .get = cpu_copy_in, .sync = cpu_sync,
};

static const lb_device *const devices[] = {
    &device_cpu,
#ifdef LB_WITH_CUDA
    &lb_device_cuda,
#endif
    NULL};

/* "cuda:1" → the cuda device and 1. */
static const lb_device *device_of(const char *text, int *index, lb_err *err)
{
    size_t n = strcspn(text, ":");
    char *end = NULL;
    long i = text[n] == ':' ? strtol(text + n + 1, &end, 10) : 0;
    if (i < 0 || i > 1023 || (end && (*end || end == text + n + 1)))
        return lb_fail_null(err, LB_EUSAGE, "--device %s: the number behind ':' is no device", text);
    *index = (int)i;
    for (int d = 0; devices[d]; d++)
        if (strlen(devices[d]->name) == n && memcmp(devices[d]->name, text, n) == 0) return devices[d];
    if (n == 4 && memcmp(text, "cuda", 4) == 0)
        return lb_fail_null(err, LB_EDEVICE,
                            "--device %s: this lowbit was built without CUDA; build it with `make CUDA=1`", text);
    return lb_fail_null(err, LB_EUSAGE, "--device %s is unknown; there are cpu and cuda[:N]", text);
}

lb_exec *lb_exec_open(const lb_exec_opt *opt, lb_err *err)
{
    static const lb_exec_opt none;
    if (!opt) opt = &none;
    lb_exec *ex = lb_alloc(1, sizeof *ex, "an exec", err);
    int index;
    if (!ex) return NULL;
    const lb_device *dev = device_of(opt->device && *opt->device ? opt->device : "cpu", &index, err);
    if (!dev || !lb_cpu_mask(opt->isa, &ex->mask, err)) goto fail;
    if (dev->mask) ex->mask = dev->mask; /* a GPU picks only among its own rows */
    ex->no_mmap = opt->no_mmap;
    ex->n_thread = opt->n_thread > 0 ? opt->n_thread : lb_cpu_count();
    if (ex->n_thread > 1024) {
        lb_fail(err, LB_EUSAGE, "%d threads: at most 1024", ex->n_thread);
        goto fail;
    }
    if (!dev->open(ex, index, err)) goto fail;
    ex->dev = dev;
    return ex;
fail:
    lb_exec_close(ex);
    return NULL;
}

void lb_exec_close(lb_exec *ex)
{
    if (!ex) return;
    if (ex->dev) {
        for (size_t i = 0; i < ex->n_placed; i++) ex->dev->free(ex, ex->placed[i]);
        if (ex->scratch) ex->dev->free(ex, ex->scratch);
        ex->dev->close(ex);
    }
    free(ex->placed);
    free(ex);
}

unsigned lb_exec_mask(const lb_exec *ex) { return ex->mask; }
int lb_exec_threads(const lb_exec *ex) { return ex->n_thread; }
const char *lb_exec_name(const lb_exec *ex) { return ex->name; }

void *lb_exec_alloc(lb_exec *ex, size_t count, size_t elem, const char *what, lb_err *err)
{
    size_t need = lb_arena_need(count, elem);
    if (need == SIZE_MAX) return lb_fail_null(err, LB_ENOMEM, "%s: %zu × %zu bytes overflow", what, count, elem);
    return ex->dev->alloc(ex, need ? need : 64, what, err);
}

void lb_exec_free(lb_exec *ex, void *p)
{
    if (p) ex->dev->free(ex, p);
}

static const void *copy(lb_exec *ex, const void *host, size_t n, const char *what, lb_err *err)
{
    if (!lb_grow(&ex->placed, &ex->cap_placed, ex->n_placed + 1, sizeof *ex->placed, what, err)) return NULL;
    void *p = lb_exec_alloc(ex, n, 1, what, err);
    if (!p) return NULL;
    ex->placed[ex->n_placed++] = p;
    lb_exec_put(ex, p, host, n);
    return p;
}

const void *lb_exec_place(lb_exec *ex, const void *host, size_t n, const char *what, lb_err *err)
{
    return ex->dev == &device_cpu ? host : copy(ex, host, n, what, err);
}

const void *lb_exec_place_file(lb_exec *ex, const void *host, size_t n, const char *what, lb_err *err)
{
    return ex->dev == &device_cpu && !ex->no_mmap ? host : copy(ex, host, n, what, err);
}

void lb_exec_put(lb_exec *ex, void *dst, const void *host, size_t n) { ex->dev->put(ex, dst, host, n); }
void lb_exec_get(lb_exec *ex, void *host, const void *src, size_t n) { ex->dev->get(ex, host, src, n); }
bool lb_exec_sync(lb_exec *ex, lb_err *err) { return ex->dev->sync(ex, err); }

bool lb_exec_reserve(lb_exec *ex, size_t n, lb_err *err)
{
    if (n <= ex->scratch_bytes) return true;
    void *p = lb_exec_alloc(ex, n, 1, "scratch", err);
    if (!p) return false;
    lb_exec_free(ex, ex->scratch);
    ex->scratch = p;
    ex->scratch_bytes = n;
    return true;
}

void *lb_exec_scratch(lb_exec *ex) { return ex->scratch; }

void lb_parallel(lb_exec *ex, int n, int grain, void (*fn)(void *, int, int), void *arg)
{
    int pieces = (n + grain - 1) / grain;
    int n_thread = ex->n_thread < pieces ? ex->n_thread : pieces;
    if (n_thread <= 1) {
        if (n > 0) fn(arg, 0, n);
        return;
    }
#pragma omp parallel num_threads(n_thread)
    {
        int t = omp_get_thread_num(), of = omp_get_num_threads();
        int begin = (int)((int64_t)pieces * t / of) * grain, end = (int)((int64_t)pieces * (t + 1) / of) * grain;
        if (end > n) end = n;
        if (begin < end) fn(arg, begin, end);
    }
}
