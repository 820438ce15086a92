/* kern/x86/step_x86.h – rows of kern/step.c's tables for AVX2 and AVX-512 (kern/op.h explains the arguments). */
#ifndef LB_KERN_X86_STEP_X86_H
#define LB_KERN_X86_STEP_X86_H
#include "kern/step.h"

void lb_adamw_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_sign_step_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_squares_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_times_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_adamw_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_sign_step_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_squares_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_times_avx512(const void *args, int i0, int i1, lb_exec *ex);
#endif
