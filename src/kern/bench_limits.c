/* kern/bench_limits.c – measuring the machine. */
#include "kern/bench_limits.h"
#include "base/median.h"
#include "base/mem.h"
#include "kern/op.h"
#include "kern/x86/limits_x86.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t read_ref(const void *p, size_t n)
{
    const uint64_t *w = p;
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i < n / 8; i += 4) a |= w[i], b |= w[i + 1], c |= w[i + 2], d |= w[i + 3];
    return a | b | c | d;
}

static double fma_ref(int64_t n)
{
    volatile float seed = 1.0f;
    float x = seed, a[8];
    for (int i = 0; i < 8; i++) a[i] = x;
    for (int64_t r = 0; r < n; r++)
        for (int i = 0; i < 8; i++) a[i] = a[i] * 0.9999f + x;
    for (int i = 0; i < 8; i++) seed = a[i];
    return 16.0 * (double)n;
}

const lb_limit_impl lb_limit_impls[] = {
    {"ref", 0, read_ref, fma_ref, NULL},
    LB_X86({"avx2", LB_AVX2, lb_limit_read_avx2, lb_limit_fma_avx2, NULL})
    LB_X86({"avx512", LB_AVX512, lb_limit_read_avx512, lb_limit_fma_avx512, NULL})
    LB_X86({"amx", LB_AMX, lb_limit_read_avx512, lb_limit_fma_avx512, lb_limit_bf16_amx})
    {0},
};

static const lb_limit_impl *pick(const lb_exec *ex)
{
    const lb_limit_impl *best = &lb_limit_impls[0];
    for (const lb_limit_impl *i = lb_limit_impls; i->name; i++)
        if ((i->needs & ~lb_exec_mask(ex)) == 0) best = i;
    return best;
}

static lb_limit summary(double *v, int n)
{
    double median = lb_median(v, (size_t)n);
    return (lb_limit){.median = median, .best = v[n - 1], .n = n};
}

enum { PIECE = 1 << 16, MAX_PASS = 64 };

typedef struct reading { const lb_limit_impl *impl; const char *p; volatile uint64_t sink; } reading;

static void read_pieces(void *arg, int begin, int end)
{
    reading *r = arg;
    uint64_t got = r->impl->read(r->p + (size_t)begin * PIECE, (size_t)(end - begin) * PIECE);
    if (got == 0x1234567) r->sink = got; /* keeps the loads */
}

static bool refuse_gpu(const lb_exec *ex, lb_err *err)
{
    return !(lb_exec_mask(ex) & LB_CUDA) || lb_fail(err, LB_EUNSUPPORTED, "the limits are measured on the CPU only");
}

bool lb_limit_read(lb_exec *ex, size_t size, int n, lb_limit *out, lb_err *err)
{
    double v[MAX_PASS];
    if (!refuse_gpu(ex, err)) return false;
    if (n > MAX_PASS) n = MAX_PASS;
    if (size == 0) size = (size_t)512 << 20;
    int pieces = (int)(size / PIECE);
    char *p = lb_alloc((size_t)pieces, PIECE, "the memory to read", err);
    if (!p) return false;
    memset(p, 1, (size_t)pieces * PIECE);
    reading r = {pick(ex), p, 0};
    for (int i = -1; i < n; i++) {
        double t0 = lb_now_s();
        lb_parallel(ex, pieces, 1, read_pieces, &r);
        if (i >= 0) v[i] = (double)pieces * PIECE / (lb_now_s() - t0) / 1e9;
    }
    free(p);
    *out = summary(v, n);
    return true;
}

typedef struct multiplying { double (*loop)(int64_t n); int64_t rounds; double flops; } multiplying;

static void multiply(void *arg, int begin, int end)
{
    multiplying *m = arg;
    double f = 0;
    for (int i = begin; i < end; i++) f = m->loop(m->rounds);
    m->flops = f; /* every thread writes the same number */
}

static lb_limit peak(lb_exec *ex, double (*loop)(int64_t n), int n)
{
    double v[MAX_PASS];
    if (n > MAX_PASS) n = MAX_PASS;
    multiplying m = {.loop = loop, .rounds = 1 << 16};
    int threads = lb_exec_threads(ex);
    for (int i = -1; i < n; i++) {
        double t0 = lb_now_s();
        lb_parallel(ex, threads, 1, multiply, &m);
        double t = lb_now_s() - t0;
        if (i >= 0) v[i] = m.flops * threads / t / 1e9;
        else m.rounds = (int64_t)fmax(1000, (double)m.rounds * 0.02 / t);
    }
    return summary(v, n);
}

bool lb_limit_fma(lb_exec *ex, int n, lb_limit *out, lb_err *err)
{
    if (!refuse_gpu(ex, err)) return false;
    *out = peak(ex, pick(ex)->fma, n);
    return true;
}

bool lb_limit_bf16(lb_exec *ex, int n, lb_limit *out, lb_err *err)
{
    if (!refuse_gpu(ex, err)) return false;
    *out = pick(ex)->bf16 ? peak(ex, pick(ex)->bf16, n) : (lb_limit){0};
    return true;
}
