/* kern/bench_limits.h – what the machine could do at most: read bandwidth and multiply peak, for every CPU level.
 *
 * Every speed that lowbit states is a share of one of these, measured in the same run, with the same threads. */
#ifndef LB_KERN_BENCH_LIMITS_H
#define LB_KERN_BENCH_LIMITS_H
#include "kern/exec.h"

/* One level's loops; a row of a table like the operators'. */
typedef struct lb_limit_impl {
    const char *name;                                        /* "ref", "avx2", "avx512", "amx" */
    unsigned needs;
    uint64_t (*read)(const void *p, size_t n);               /* reads n bytes (a multiple of 512, 64-byte aligned) */
    double (*fma)(int64_t n); /* n rounds of f32 multiply-adds in registers; returns flops done */
    double (*bf16)(int64_t n);                               /* the same of bf16 tiles; NULL: there are none */
} lb_limit_impl;
extern const lb_limit_impl lb_limit_impls[];                 /* ends with a name of NULL */

typedef struct lb_limit {
    double median, best;
    int n;
} lb_limit;

/* GB/s (1e9) of reading `size_bytes` (much larger than the caches; 0: 512 MiB) of memory with all threads of ex, n
 * passes. */
bool lb_limit_read(lb_exec *ex, size_t size_bytes, int n, lb_limit *out, lb_err *err);
/* GFLOP/s of f32 multiply-adds with all threads of ex, n passes of about 20 ms. */
bool lb_limit_fma(lb_exec *ex, int n, lb_limit *out, lb_err *err);
/* The same of bf16 products added up in f32, on tile registers full of numbers that are not zero (zeros run faster); 0
 * where the processor has none. */
bool lb_limit_bf16(lb_exec *ex, int n, lb_limit *out, lb_err *err);
#endif
