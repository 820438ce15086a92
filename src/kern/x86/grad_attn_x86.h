/* kern/x86/grad_attn_x86.h – rows of kern/grad_attn.c's tables for AVX2 and AVX-512 (kern/op.h explains
 * the arguments). */
#ifndef LB_KERN_X86_GRAD_ATTN_X86_H
#define LB_KERN_X86_GRAD_ATTN_X86_H
#include "kern/grad_attn.h"

void lb_causal_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_causal_back_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_causal_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_causal_back_avx512(const void *args, int i0, int i1, lb_exec *ex);
#endif
