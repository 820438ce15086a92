/* kern/x86/grad_elem_x86.h – rows of kern/grad_elem.c's tables for AVX2 and AVX-512 (kern/op.h explains
 * the arguments). */
#ifndef LB_KERN_X86_GRAD_ELEM_X86_H
#define LB_KERN_X86_GRAD_ELEM_X86_H
#include "kern/grad_elem.h"

void lb_swiglu_back_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_rmsnorm_back_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_col_dot_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_swiglu_back_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_rmsnorm_back_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_col_dot_avx512(const void *args, int i0, int i1, lb_exec *ex);
#endif
