/* kern/matmul.c – the definition of the matrix product, and its table. */
#include "kern/matmul.h"
#ifdef LB_WITH_CUDA
#include "kern/cuda/rows.h"
#endif
#if defined(__x86_64__)
#include "kern/x86/matmul_x86.h"
#endif

enum { CHUNK = 1024 };

/* x̂, if activations are quantized. */
static size_t ref_scratch(const void *args)
{
    const lb_matmul *a = args;
    return a->act.kind ? (size_t)a->n_tok * (size_t)a->w.k * sizeof(float) : 0;
}

static void ref_prep(const void *args, int unit0, int unit1, lb_exec *ex)
{
    const lb_matmul *a = args;
    float *to = lb_exec_scratch(ex);
    size_t k = (size_t)a->w.k;
    for (int t = unit0, end = lb_matmul_prep_end(a, unit1); a->act.kind && t < end; t++)
        lb_act_fake_quant(&a->act, a->x + (size_t)t * k, a->w.k, to + (size_t)t * k);
}

static void ref(const void *args, int row0, int row1, lb_exec *ex)
{
    const lb_matmul *a = args;
    const float *x = a->act.kind ? lb_exec_scratch(ex) : a->x;
    float w[CHUNK];
    for (int n = row0; n < row1; n++) {
        for (int t = 0; t < a->n_tok; t++) {
            double sum = 0;
            for (int k0 = 0; k0 < a->w.k; k0 += CHUNK) {
                int k1 = k0 + CHUNK < a->w.k ? k0 + CHUNK : a->w.k;
                a->w.num->decode(&a->w, n, k0, k1, w);
                for (int k = k0; k < k1; k++)
                    sum += (double)x[(size_t)t * (size_t)a->w.k + (size_t)k] * (double)w[k - k0];
            }
            a->y[(size_t)t * (size_t)a->ldy + (size_t)n] = (float)(sum + (a->bias ? (double)a->bias[n] : 0));
        }
    }
}

#if defined(__x86_64__)
static bool is_float(const void *args) { return !((const lb_matmul *)args)->w.num->grouped; }
static bool is_int(const void *args)
{
    const lb_matmul *a = args;
    return a->w.num->grouped && a->act.kind == LB_ACT_NONE;
}
/* A block of activations must not straddle groups of the weights, nor share a kernel's step with another block. */
static bool is_int_act(const void *args)
{
    const lb_matmul *a = args;
    int block = lb_act_block(a->act.kind);
    bool aligned = block == 0 || (block == 16) == (a->w.num->block == 16);
    return a->w.num->grouped && a->act.kind != LB_ACT_NONE && aligned;
}
#endif

const lb_impl lb_matmul_impls[] = { /* slowest first */
    {"ref", 0, NULL, ref, ref_scratch, ref_prep},
    LB_X86({"avx2", LB_AVX2, is_float, lb_matmul_float_avx2, lb_matmul_float_avx2_scratch, lb_matmul_float_avx2_prep})
    LB_X86({"avx2", LB_AVX2, is_int, lb_matmul_int_avx2, lb_matmul_int_avx2_scratch, lb_matmul_int_avx2_prep})
    LB_X86({"avx2", LB_AVX2, is_int_act, lb_matmul_act_avx2, lb_matmul_act_avx2_scratch, lb_matmul_act_avx2_prep})
    LB_X86({"avx512", LB_AVX512, is_float, lb_matmul_float_avx512, lb_matmul_float_avx512_scratch,
            lb_matmul_float_avx512_prep})
    LB_X86({"avx512", LB_AVX512, is_int, lb_matmul_int_avx512, lb_matmul_int_avx512_scratch, lb_matmul_int_avx512_prep})
    LB_X86({"avx512", LB_AVX512, is_int_act, lb_matmul_act_avx512, lb_matmul_act_avx512_scratch,
            lb_matmul_act_avx512_prep})
    LB_X86({"avx512bf16", LB_AVX512_BF16, lb_matmul_bf16_fits, lb_matmul_bf16, lb_matmul_bf16_scratch,
            lb_matmul_bf16_prep})
    LB_X86({"amx", LB_AMX, lb_matmul_bf16_amx_fits, lb_matmul_bf16_amx, lb_matmul_bf16_amx_scratch,
            lb_matmul_bf16_amx_prep})
    LB_X86({"amx", LB_AMX, lb_matmul_int_amx_fits, lb_matmul_int_amx, lb_matmul_int_amx_scratch, lb_matmul_int_amx_prep})
    LB_X86({"amx", LB_AMX, lb_matmul_act_amx_fits, lb_matmul_act_amx, lb_matmul_act_amx_scratch, lb_matmul_act_amx_prep})
    LB_GPU({"cuda", LB_CUDA, lb_matmul_cuda_fits, lb_matmul_cuda, NULL, NULL})
    LB_GPU({"cublaslt", LB_CUDA, lb_matmul_lt_cuda_fits, lb_matmul_lt_cuda, lb_matmul_lt_cuda_scratch, NULL})
    {0},
};

static int units(const void *args) { return ((const lb_matmul *)args)->w.n; }
/* Pieces of whole row blocks, and large enough that a thread's start is paid back. */
static int grain(const void *args)
{
    const lb_matmul *a = args;
    return (int64_t)a->w.n * a->w.k * a->n_tok < 65536 ? (a->w.n + 15) / 16 * 16 : 16;
}
static int prep_units(const void *args)
{
    const lb_matmul *a = args;
    return a->n_tok <= LB_MATMUL_FEW ? 1 : a->n_tok;
}

const lb_op lb_op_matmul = {"matmul", lb_matmul_impls, units, grain, prep_units};
