/* solver.h – layers for the tests of the solvers: weights, inputs of very uneven columns, their second moment, and the
 * error that matters. */
#ifndef LB_TEST_SOLVER_H
#define LB_TEST_SOLVER_H
#include "test.h"
#include "base/rng.h"
#include "kern/gram.h"
#include "quant/method.h"

typedef struct layer {
    int n, k, n_x;
    float *w, *x, *h;
} layer;

/* Inputs share a few directions, as activations do, and some columns are 30 times as large. */
static inline layer layer_new(int n, int k, int n_x, uint64_t seed)
{
    layer l = {n, k, n_x, malloc((size_t)n * (size_t)k * 4), malloc((size_t)n_x * (size_t)k * 4), calloc((size_t)k * (size_t)k, 4)};
    lb_rng_key kw = lb_rng_key_of(seed, 1, 0), kx = lb_rng_key_of(seed, 2, 0), km = lb_rng_key_of(seed, 3, 0);
    enum { SHARED = 12 };
    for (size_t i = 0; i < (size_t)n * (size_t)k; i++) l.w[i] = 0.04f * lb_rng_normal(kw, i);
    for (int t = 0; t < n_x; t++) {
        float z[SHARED];
        for (int s = 0; s < SHARED; s++) z[s] = lb_rng_normal(kx, (uint64_t)(t * (k + SHARED) + k + s));
        for (int j = 0; j < k; j++) {
            float v = 0.5f * lb_rng_normal(kx, (uint64_t)(t * (k + SHARED) + j));
            for (int s = 0; s < SHARED; s++) v += 0.4f * z[s] * lb_rng_normal(km, (uint64_t)(j * SHARED + s));
            l.x[t * k + j] = v * (j % 41 == 7 ? 30.0f : 1.0f);
        }
    }
    lb_exec *ex = lb_exec_open(NULL, NULL);
    lb_err e = {0};
    assert_ok(lb_gram_add(ex, l.h, l.x, n_x, k, &e), e);
    for (size_t i = 0; i < (size_t)k * (size_t)k; i++) l.h[i] *= 2.0f / (float)n_x;
    lb_exec_close(ex);
    return l;
}

static inline void layer_free(layer *l) { free(l->w), free(l->x), free(l->h); }

static inline lb_qmat qmat_new(int bits, int n, int k, int group, lb_dtype scale_type)
{
    lb_qmat q = {.bits = bits, .n = n, .k = k, .group = group < 0 || group > k ? k : group, .scale_type = scale_type};
    lb_err e = {0};
    assert_ok(lb_qmat_alloc(&q, &e), e);
    return q;
}

static inline lb_quant_job job_of(const layer *l, const lb_qmat *q, lb_exec *ex)
{
    return (lb_quant_job){.name = "layers.0.test", .w = l->w, .n = l->n, .k = l->k, .scheme = {.w_bits = q->bits, .group = q->group},
                          .scale_type = q->scale_type, .ex = ex, .h = l->h, .x = l->x, .n_x = l->n_x};
}

static inline float qmat_value(const lb_qmat *q, int r, int c)
{
    size_t g = (size_t)r * (size_t)lb_n_group(q->k, q->group) + (size_t)(c / q->group);
    return lb_int_value(q->scales[g], q->codes[(size_t)r * (size_t)q->k + (size_t)c], q->zeros[g], q->half);
}

/* tr(Δ·H·Δᵀ), Δ = Ŵ − W. */
static inline double layer_error(const layer *l, const lb_qmat *q)
{
    double sum = 0, *d = malloc((size_t)l->k * sizeof *d);
    for (int r = 0; r < l->n; r++) {
        for (int c = 0; c < l->k; c++) d[c] = (double)qmat_value(q, r, c) - (double)l->w[r * l->k + c];
        for (int i = 0; i < l->k; i++) {
            double s = 0;
            for (int j = 0; j < l->k; j++) s += (double)l->h[(size_t)i * (size_t)l->k + (size_t)j] * d[j];
            sum += d[i] * s;
        }
    }
    free(d);
    return sum;
}

static inline void assert_same_qmat(const lb_qmat *a, const lb_qmat *b)
{
    size_t n = (size_t)a->n * (size_t)a->k, g = (size_t)a->n * (size_t)lb_n_group(a->k, a->group);
    assert_memory_equal(a->scales, b->scales, g * sizeof *a->scales);
    assert_memory_equal(a->zeros, b->zeros, g);
    assert_memory_equal(a->codes, b->codes, n);
}
#endif
