/* kern/bench_attn.h – how fast attention reads a long KV cache in decode.
 *
 * The shape is one layer of Qwen3-0.6B (16 heads, 8 kv heads of 128). As many layers take turns as make the caches
 * larger than any processor cache, and pages lie in shuffled order, so that each call reads from memory as in a running
 * model. */
#ifndef LB_KERN_BENCH_ATTN_H
#define LB_KERN_BENCH_ATTN_H
#include "kern/attn.h"

typedef struct lb_bench_attn_row {
    int n_seq, n_ctx;        /* one token of each of n_seq sequences, which reads n_ctx positions */
    const char *impl;        /* row of lb_attn_impls; static storage */
    double t_s;              /* seconds per call (one layer), median of n passes */
    double t_best_s;
    double gb_s;             /* cache bytes read per t_s (pages and window), in 1e9 bytes */
    int n;
} lb_bench_attn_row;

enum { LB_BENCH_ATTN_ROWS = 6 };                 /* 1 and 16 sequences × 512, 4096 and 16384 positions */

/* Fills rows[LB_BENCH_ATTN_ROWS]. Of `how` format, key, clip, pre_rope and window count. Needs up to 1.1 GB of memory
 * in bf16; takes a few seconds. */
bool lb_bench_attn(lb_exec *ex, const lb_kv_layer *how, lb_bench_attn_row *rows, lb_err *err);
/* One row: n_seq, n_ctx are given. */
bool lb_bench_attn_one(lb_exec *ex, const lb_kv_layer *how, lb_bench_attn_row *row, lb_err *err);
#endif
