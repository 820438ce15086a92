/* kern/elem.c – definitions and tables of the small operators. */
#include "kern/elem.h"
#ifdef LB_WITH_CUDA
#include "kern/cuda/rows.h"
#endif
#include "kern/x86/elem_x86.h"
#include <math.h>

static void embed_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_embed *a = args;
    for (int t = i0; t < i1; t++) a->e.num->decode(&a->e, a->ids[t], 0, a->e.k, a->y + (size_t)t * (size_t)a->e.k);
}

static void rmsnorm_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_rmsnorm *a = args;
    for (int r = i0; r < i1; r++) {
        const float *x = a->x + (size_t)r * (size_t)a->d;
        float *y = a->y + (size_t)r * (size_t)a->d;
        double sum = 0;
        for (int i = 0; i < a->d; i++) sum += (double)x[i] * (double)x[i];
        double inv = 1 / sqrt(sum / a->d + (double)a->eps);
        for (int i = 0; i < a->d; i++) y[i] = (float)((double)x[i] * inv * (double)a->w[i]);
    }
}

/* The angle is an f32 product, as the models were trained with; its sine and cosine are then exact to rounding. */
static void rope_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_rope *a = args;
    int half = a->d_head / 2;
    for (int t = i0; t < i1; t++) {
        for (int i = 0; i < half; i++) {
            float angle = (float)a->pos[t] * a->inv_freq[i];
            float c = cosf(angle) * a->mscale, s = sinf(angle) * a->mscale;
            for (int h = 0; h < a->n_head; h++) {
                float *x = a->x + ((size_t)t * (size_t)a->n_head + (size_t)h) * (size_t)a->d_head;
                float lo = x[i], hi = x[i + half];
                x[i] = lo * c - hi * s;
                x[i + half] = hi * c + lo * s;
            }
        }
    }
}

static void swiglu_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_swiglu *a = args;
    for (size_t i = (size_t)i0 * (size_t)a->d, end = (size_t)i1 * (size_t)a->d; i < end; i++) {
        double g = (double)a->gate[i];
        a->y[i] = (float)(g / (1 + exp(-g)) * (double)a->up[i]);
    }
}

static void add_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_add *a = args;
    for (size_t i = (size_t)i0 * (size_t)a->d, end = (size_t)i1 * (size_t)a->d; i < end; i++) a->x[i] += a->y[i];
}

static void gather_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_gather *a = args;
    for (int i = i0; i < i1; i++)
        for (int j = 0; j < a->d; j++)
            a->y[(size_t)i * (size_t)a->d + (size_t)j] = a->x[(size_t)a->rows[i] * (size_t)a->d + (size_t)j];
}

static void scatter_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_scatter *a = args;
    for (int i = i0; i < i1; i++)
        for (int j = 0; j < a->d; j++)
            a->y[(size_t)a->rows[i] * (size_t)a->d + (size_t)j] +=
                a->weight[i] * a->x[(size_t)i * (size_t)a->d + (size_t)j];
}

/* ---- tables, and units ---- */
static bool embed_is_float(const void *args)
{
    const lb_num *num = ((const lb_embed *)args)->e.num;
    return !num->grouped && (num->dtype == LB_F32 || num->dtype == LB_BF16 || num->dtype == LB_F16);
}

static const lb_impl embed_impls[] = {
    {"ref", 0, NULL, embed_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, embed_is_float, lb_embed_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, embed_is_float, lb_embed_avx512, NULL, NULL})
    LB_GPU({"cuda", LB_CUDA, NULL, lb_embed_cuda, NULL, NULL})
    {0},
};
static const lb_impl rmsnorm_impls[] = {
    {"ref", 0, NULL, rmsnorm_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_rmsnorm_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_rmsnorm_avx512, NULL, NULL})
    LB_GPU({"cuda", LB_CUDA, NULL, lb_rmsnorm_cuda, NULL, NULL})
    {0},
};
static const lb_impl rope_impls[] = {
    {"ref", 0, NULL, rope_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_rope_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_rope_avx512, NULL, NULL})
    LB_GPU({"cuda", LB_CUDA, NULL, lb_rope_cuda, NULL, NULL})
    {0},
};
static const lb_impl swiglu_impls[] = {
    {"ref", 0, NULL, swiglu_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_swiglu_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_swiglu_avx512, NULL, NULL})
    LB_GPU({"cuda", LB_CUDA, NULL, lb_swiglu_cuda, NULL, NULL})
    {0},
};
static const lb_impl add_impls[] = {
    {"ref", 0, NULL, add_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_add_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_add_avx512, NULL, NULL})
    LB_GPU({"cuda", LB_CUDA, NULL, lb_add_cuda, NULL, NULL})
    {0},
};
static const lb_impl gather_impls[] = {
    {"ref", 0, NULL, gather_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_gather_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_gather_avx512, NULL, NULL})
    LB_GPU({"cuda", LB_CUDA, NULL, lb_gather_cuda, NULL, NULL})
    {0},
};
static const lb_impl scatter_impls[] = {
    {"ref", 0, NULL, scatter_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_scatter_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_scatter_avx512, NULL, NULL})
    LB_GPU({"cuda", LB_CUDA, NULL, lb_scatter_cuda, NULL, NULL})
    {0},
};

/* Rows that make about 16,384 elements: less is not worth waking a thread for. */
static int rows_of(int d) { return d >= 16384 ? 1 : (16384 + d - 1) / d; }

static int embed_units(const void *a) { return ((const lb_embed *)a)->n_tok; }
static int embed_grain(const void *a) { return rows_of(((const lb_embed *)a)->e.k); }
static int rmsnorm_units(const void *a) { return ((const lb_rmsnorm *)a)->n_row; }
static int rmsnorm_grain(const void *a) { return rows_of(((const lb_rmsnorm *)a)->d); }
static int rope_units(const void *a) { return ((const lb_rope *)a)->n_tok; }
static int rope_grain(const void *a) { const lb_rope *r = a; return rows_of(2 * r->n_head * r->d_head); }
static int swiglu_units(const void *a) { return ((const lb_swiglu *)a)->n_tok; }
static int swiglu_grain(const void *a) { return rows_of(4 * ((const lb_swiglu *)a)->d); }
static int add_units(const void *a) { return ((const lb_add *)a)->n_tok; }
static int add_grain(const void *a) { return rows_of(((const lb_add *)a)->d); }
static int gather_units(const void *a) { return ((const lb_gather *)a)->n; }
static int gather_grain(const void *a) { return rows_of(((const lb_gather *)a)->d); }
static int scatter_units(const void *a) { return ((const lb_scatter *)a)->n; }
static int scatter_grain(const void *a) { return rows_of(((const lb_scatter *)a)->d); }

const lb_op lb_op_embed = {"embed", embed_impls, embed_units, embed_grain, NULL};
const lb_op lb_op_rmsnorm = {"rmsnorm", rmsnorm_impls, rmsnorm_units, rmsnorm_grain, NULL};
const lb_op lb_op_rope = {"rope", rope_impls, rope_units, rope_grain, NULL};
const lb_op lb_op_swiglu = {"swiglu", swiglu_impls, swiglu_units, swiglu_grain, NULL};
const lb_op lb_op_add = {"add", add_impls, add_units, add_grain, NULL};
const lb_op lb_op_gather = {"gather", gather_impls, gather_units, gather_grain, NULL};
const lb_op lb_op_scatter = {"scatter", scatter_impls, scatter_units, scatter_grain, NULL};
