/* kern/x86/transform_x86.h – rows of kern/transform.c's table for AVX2 and AVX-512 (kern/op.h explains the
 * arguments). */
#ifndef LB_KERN_X86_TRANSFORM_X86_H
#define LB_KERN_X86_TRANSFORM_X86_H
#include "kern/transform.h"

void lb_transform_avx2(const void *args, int r0, int r1, lb_exec *ex);
void lb_transform_avx512(const void *args, int r0, int r1, lb_exec *ex);
#endif
