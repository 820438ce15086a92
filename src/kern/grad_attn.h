/* kern/grad_attn.h – causal attention over whole sequences in f32, and the way back.
 *
 *     p[t,h,u] = exp(scale·q[t,h]·k[u] − max[t,h]) / sum[t,h] for u ≤ t       y[t,h] = Σ_u p[t,h,u]·v[u]
 *     dp = dy·v[u]      ds = p·(dp − Σ_d dy·y)·scale
 *     dq[t,h] += Σ_u ds·k[u]      dk[u] += Σ_{t,h} ds·q[t,h]      dv[u] += Σ_{t,h} p·dy[t,h]
 *
 * Sequences are independent; query head h reads kv head h / (n_head / n_kv). Forward leaves the softmax's maximum and
 * sum; backward makes the probabilities again, block by block, so that memory grows with the length and not with its
 * square. Forward unit: LB_CAUSAL_BLOCK queries of all heads of one kv head; backward unit: one kv head of one
 * sequence. */
#ifndef LB_KERN_GRAD_ATTN_H
#define LB_KERN_GRAD_ATTN_H
#include "kern/op.h"

enum { LB_CAUSAL_BLOCK = 64, LB_CAUSAL_X86_MAX_D = 256 };

typedef struct lb_causal {
    int n_seq, len, n_head, n_kv, d_head;
    float scale;
    const float *q, *k, *v;      /* [n_seq·len, heads·d_head] */
    float *y;                    /* [n_seq·len, n_head·d_head]: written forward, read backward */
    float *max, *sum;            /* [n_seq·len, n_head]: likewise */
    /* backward only */
    const float *dy;             /* as y */
    float *delta;                /* [n_seq·len, n_head] room for Σ dy·y */
    float *dq, *dk, *dv;         /* added to; or NULL */
} lb_causal;

extern const lb_op lb_op_causal, lb_op_causal_back;

static inline int lb_causal_blocks(const lb_causal *a) { return (a->len + LB_CAUSAL_BLOCK - 1) / LB_CAUSAL_BLOCK; }
#endif
