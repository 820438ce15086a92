/* infer/bench.h – how fast a whole model prefills and decodes, beside what the machine could do.
 *
 * Weights count as read once per token in decode; the limit is bytes over the read bandwidth, measured by the caller
 * right before and after. Prefill's limit is operations over the multiply peak. */
#ifndef LB_INFER_BENCH_H
#define LB_INFER_BENCH_H
#include "model/forward.h"

typedef struct lb_bench_result {
    int n_ctx, n_tok;                /* positions in the cache before; tokens per step (1: decode) */
    double t_s, t_best_s;            /* per step: median and best */
    int n;                           /* steps timed */
    double bytes;                    /* weights and KV cache that one step reads */
    double flops;                    /* multiply-adds ×2 of one step */
} lb_bench_result;

/* Decodes `n` single tokens after n_ctx positions of random tokens. */
bool lb_bench_decode(lb_model *m, const char *kv, int n_ctx, int n, lb_bench_result *out, lb_err *err);
/* Prefills n_tok tokens in one step, n times (a warm-up not counted). */
bool lb_bench_prefill(lb_model *m, const char *kv, int n_tok, int n, lb_bench_result *out, lb_err *err);
#endif
