/* kern/x86/limits_x86.h – loops of kern/bench_limits.h for x86. */
#ifndef LB_KERN_X86_LIMITS_H
#define LB_KERN_X86_LIMITS_H
#include <stddef.h>
#include <stdint.h>

uint64_t lb_limit_read_avx2(const void *p, size_t n);
uint64_t lb_limit_read_avx512(const void *p, size_t n);
double lb_limit_fma_avx2(int64_t n);
double lb_limit_fma_avx512(int64_t n);
double lb_limit_bf16_amx(int64_t n);
#endif
