/* kern/x86/attn_x86.h – rows of kern/attn.c's tables for AVX2 and AVX-512 (kern/op.h explains the arguments).
 *
 * They take f32 and bf16 caches; attention takes even d_head up to 256. */
#ifndef LB_KERN_X86_ATTN_X86_H
#define LB_KERN_X86_ATTN_X86_H
#include "kern/attn.h"

enum { LB_ATTN_X86_MAX_D = 256 };

void lb_attn_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_attn_avx512(const void *args, int i0, int i1, lb_exec *ex);
void lb_kv_write_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_kv_write_avx512(const void *args, int i0, int i1, lb_exec *ex);
#endif
