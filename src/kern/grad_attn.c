/* kern/grad_attn.c – the definition of causal attention and of its gradient, and their tables. */
#include "kern/grad_attn.h"
#include "kern/x86/grad_attn_x86.h"
#include <math.h>

static double dot(const float *a, const float *b, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++) s += (double)a[i] * (double)b[i];
    return s;
}

/* Where head h of row t begins in a matrix of n_head heads. */
static size_t head_at(const lb_causal *a, int n_head, int t, int h)
{
    return ((size_t)t * (size_t)n_head + (size_t)h) * (size_t)a->d_head;
}

static double score(const lb_causal *a, int t, int h, int u, int kv)
{
    return (double)a->scale * dot(a->q + head_at(a, a->n_head, t, h), a->k + head_at(a, a->n_kv, u, kv), a->d_head);
}

static void query(const lb_causal *a, int first, int t, int h, int kv)
{
    double best = -INFINITY, sum = 0;
    float *y = a->y + head_at(a, a->n_head, t, h);
    for (int u = first; u <= t; u++) best = fmax(best, score(a, t, h, u, kv));
    for (int u = first; u <= t; u++) sum += exp(score(a, t, h, u, kv) - best);
    for (int d0 = 0; d0 < a->d_head; d0 += 32) {
        double out[32] = {0};
        int n = a->d_head - d0 < 32 ? a->d_head - d0 : 32;
        for (int u = first; u <= t; u++) {
            double p = exp(score(a, t, h, u, kv) - best) / sum;
            for (int d = 0; d < n; d++) out[d] += p * (double)a->v[head_at(a, a->n_kv, u, kv) + (size_t)(d0 + d)];
        }
        for (int d = 0; d < n; d++) y[d0 + d] = (float)out[d];
    }
    a->max[(size_t)t * (size_t)a->n_head + (size_t)h] = (float)best;
    a->sum[(size_t)t * (size_t)a->n_head + (size_t)h] = (float)sum;
}

static void causal_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_causal *a = args;
    int per_kv = a->n_head / a->n_kv;
    for (int i = i0; i < i1; i++) {
        lb_causal_unit u = lb_causal_at(a, i);
        int t0 = u.block * LB_CAUSAL_BLOCK, t1 = t0 + LB_CAUSAL_BLOCK < u.len ? t0 + LB_CAUSAL_BLOCK : u.len;
        for (int t = u.first + t0; t < u.first + t1; t++)
            for (int h = u.kv * per_kv; h < (u.kv + 1) * per_kv; h++) query(a, u.first, t, h, u.kv);
    }
}

static void add(float *y, double x) { *y = (float)((double)*y + x); }

/* The three gradients of the pairs of one query. The gradients pass through f32 at every step, which the other rows'
 * sums over blocks do less often; tests allow for it. */
static void query_back(const lb_causal *a, int first, int t, int h, int kv)
{
    size_t at = head_at(a, a->n_head, t, h), stat = (size_t)t * (size_t)a->n_head + (size_t)h;
    double delta = dot(a->dy + at, a->y + at, a->d_head);
    a->delta[stat] = (float)delta;
    for (int u = first; u <= t; u++) {
        size_t to = head_at(a, a->n_kv, u, kv);
        double p = exp(score(a, t, h, u, kv) - (double)a->max[stat]) / (double)a->sum[stat];
        double ds = p * (dot(a->dy + at, a->v + to, a->d_head) - delta) * (double)a->scale;
        for (int d = 0; d < a->d_head; d++) {
            size_t i = at + (size_t)d, j = to + (size_t)d;
            if (a->dq) add(&a->dq[i], ds * (double)a->k[j]);
            if (a->dk) add(&a->dk[j], ds * (double)a->q[i]);
            if (a->dv) add(&a->dv[j], p * (double)a->dy[i]);
        }
    }
}

static void causal_back_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_causal *a = args;
    int per_kv = a->n_head / a->n_kv;
    for (int i = i0; i < i1; i++) {
        lb_causal_unit u = lb_causal_back_at(a, i);
        for (int t = u.first; t < u.first + u.len; t++)
            for (int h = u.kv * per_kv; h < (u.kv + 1) * per_kv; h++) query_back(a, u.first, t, h, u.kv);
    }
}

static bool fits_x86(const void *args) { return ((const lb_causal *)args)->d_head <= LB_CAUSAL_X86_MAX_D; }

static const lb_impl causal_impls[] = {
    {"ref", 0, NULL, causal_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, fits_x86, lb_causal_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, fits_x86, lb_causal_avx512, NULL, NULL})
    {0},
};
static const lb_impl causal_back_impls[] = {
    {"ref", 0, NULL, causal_back_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, fits_x86, lb_causal_back_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, fits_x86, lb_causal_back_avx512, NULL, NULL})
    {0},
};

static int causal_units(const void *args)
{
    const lb_causal *a = args;
    return a->n_kv * lb_causal_blocks(a);
}
static int causal_back_units(const void *args) { const lb_causal *a = args; return a->n_seq * a->n_kv; }
static int grain(const void *args) { (void)args; return 1; }

const lb_op lb_op_causal = {"causal", causal_impls, causal_units, grain, NULL};
const lb_op lb_op_causal_back = {"causal_back", causal_back_impls, causal_back_units, grain, NULL};
