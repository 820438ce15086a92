/* kern/x86/matmul_avx512bf16.c – bf16 weights with vdpbf16ps, which adds two products per 32-bit lane.
 *
 * To matmul_float.inc a pair of bf16 columns is one f32 column: it only moves weights and activations, and v_fma is
 * where they are taken for what they are. Activations are rounded to bf16 once per call (the row's prep). The scratch
 * holds [n_tok, K/2] pairs, then the token tiles. */
#include "kern/x86/matmul_avx512.h"

enum { T_FEW = 4, T_MAX = 6, VECS = 4, HALVES = 0 };
INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b); }

#include "kern/x86/matmul_float.inc"

bool lb_matmul_bf16_fits(const void *args)
{
    const lb_matmul *a = args;
    return !a->w.num->grouped && a->act.kind == LB_ACT_NONE && a->w.num->dtype == LB_BF16 && a->w.k % 2 == 0;
}

/* The same product, told in pairs. */
static lb_matmul in_pairs(const lb_matmul *a, float *scratch)
{
    lb_matmul p = *a;
    p.x = scratch;
    p.w.num = lb_num_of_dtype(LB_F32);
    p.w.k /= 2;
    return p;
}

static size_t pairs(const lb_matmul *a) { return (size_t)a->n_tok * (size_t)(a->w.k / 2); }

size_t lb_matmul_bf16_scratch(const void *args)
{
    lb_matmul p = in_pairs(args, NULL);
    return pairs(args) * sizeof(float) + gather_bytes(&p);
}

/* 32 floats to bf16, ties to even. */
INLINE void round_row(const float *x, int k, float *out)
{
    int i = 0;
    for (; i + 32 <= k; i += 32) v_store(out + i / 2, (vec)_mm512_cvtne2ps_pbh(v_load(x + i + 16), v_load(x + i)));
    if (i == k) return;
    int n = k - i;
    vec low = v_row(x + i, 4 * min_int(n, 16)), high = n > 16 ? v_row(x + i + 16, 4 * (n - 16)) : v_zero();
    v_store_part(out + i / 2, (vec)_mm512_cvtne2ps_pbh(high, low), 0, n / 2);
}

void lb_matmul_bf16_prep(const void *args, int unit0, int unit1, lb_exec *ex)
{
    const lb_matmul *a = args;
    float *scratch = lb_exec_scratch(ex);
    lb_matmul p = in_pairs(a, scratch);
    int tok0 = unit0, tok1 = lb_matmul_prep_end(a, unit1);
    for (int t = tok0; t < tok1; t++)
        round_row(a->x + (size_t)t * (size_t)a->w.k, a->w.k, scratch + (size_t)t * (size_t)p.w.k);
    gather(&p, tok0, tok1, scratch + pairs(a));
}

void lb_matmul_bf16(const void *args, int row0, int row1, lb_exec *ex)
{
    float *scratch = lb_exec_scratch(ex);
    lb_matmul p = in_pairs(args, scratch);
    matmul_float(&p, row0, row1, scratch + pairs(args));
}
