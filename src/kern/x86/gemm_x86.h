/* kern/x86/gemm_x86.h – rows of kern/gemm.c's table for AVX2, AVX-512 and AMX (kern/op.h explains the arguments).
 *
 * The inner loop of the vector rows reads A by rows, so a transposed A is turned around first: that is their prep. It
 * lies in the exec's scratch as [matrix][m][lb_gemm_turned_ld]. The tile row's prep is told in gemm_amx.c. Unit of prep: up to
 * LB_GEMM_ROWS rows of op(A) of one matrix. */
#ifndef LB_KERN_X86_GEMM_X86_H
#define LB_KERN_X86_GEMM_X86_H
#include "kern/gemm.h"

/* 16 floats more than needed: rows a power of two apart would share one set of the cache. */
static inline size_t lb_gemm_turned_ld(const lb_gemm *g) { return (((size_t)g->k + 15) & ~(size_t)15) + 16; }
static inline int lb_gemm_turned_count(const lb_gemm *g) { return g->step_a ? lb_gemm_batch(g) : 1; }
static inline size_t lb_gemm_scratch(const void *args)
{
    const lb_gemm *g = args;
    return (size_t)lb_gemm_turned_count(g) * (size_t)g->m * lb_gemm_turned_ld(g) * sizeof(float);
}

void lb_gemm_prep_avx2(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_gemm_avx2(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_gemm_prep_avx512(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_gemm_avx512(const void *args, int unit0, int unit1, lb_exec *ex);
bool lb_gemm_amx_fits(const void *args);
size_t lb_gemm_amx_scratch(const void *args);
void lb_gemm_amx_prep(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_gemm_amx(const void *args, int unit0, int unit1, lb_exec *ex);
#endif
