/* kern/x86/matmul_avx512.c – float weights: 16 lanes, tiles of 64 rows × 6 tokens (24 of 32 registers accumulate). */
#include "kern/x86/matmul_avx512.h"

enum { T_FEW = 4, T_MAX = 6, VECS = 4, HALVES = 1 };
INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }

#include "kern/x86/matmul_float.inc"

size_t lb_matmul_float_avx512_scratch(const void *args) { return float_bytes(args); }
void lb_matmul_float_avx512_prep(const void *args, int unit0, int unit1, lb_exec *ex)
{
    float_prep(args, unit0, lb_matmul_prep_end(args, unit1), lb_exec_scratch(ex));
}
void lb_matmul_float_avx512(const void *args, int row0, int row1, lb_exec *ex)
{
    float_run(args, row0, row1, lb_exec_scratch(ex));
}
