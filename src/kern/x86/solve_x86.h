/* kern/x86/solve_x86.h – rows of the tables of kern/clip.c and kern/gptq_step.c (kern/op.h explains the arguments). */
#ifndef LB_KERN_X86_SOLVE_X86_H
#define LB_KERN_X86_SOLVE_X86_H
#include "kern/gptq_step.h"

void lb_clip_avx2(const void *args, int u0, int u1, lb_exec *ex);
void lb_gptq_step_avx2(const void *args, int u0, int u1, lb_exec *ex);
void lb_gptq_update_avx2(const void *args, int u0, int u1, lb_exec *ex);

void lb_clip_avx512(const void *args, int u0, int u1, lb_exec *ex);
void lb_gptq_step_avx512(const void *args, int u0, int u1, lb_exec *ex);
void lb_gptq_update_avx512(const void *args, int u0, int u1, lb_exec *ex);
#endif
