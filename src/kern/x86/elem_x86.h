/* kern/x86/elem_x86.h – rows of kern/elem.c's tables for AVX2 and AVX-512 (kern/op.h explains the arguments). */
#ifndef LB_KERN_X86_ELEM_X86_H
#define LB_KERN_X86_ELEM_X86_H
#include "kern/elem.h"

void lb_embed_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_rmsnorm_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_rope_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_swiglu_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_add_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_gather_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_scatter_avx2(const void *args, int i0, int i1, lb_exec *ex);

void lb_embed_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_rmsnorm_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_rope_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_swiglu_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_add_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_gather_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_scatter_avx512(const void *args, int i0, int i1, lb_exec *ex);
#endif
