/* kern/grad_attn.h – causal attention over whole sequences in f32, and the way back.
 *
 *     p[t,h,u] = exp(scale·q[t,h]·k[u] − max[t,h]) / sum[t,h] for u ≤ t       y[t,h] = Σ_u p[t,h,u]·v[u]
 *     dp = dy·v[u]      ds = p·(dp − Σ_d dy·y)·scale
 *     dq[t,h] += Σ_u ds·k[u]      dk[u] += Σ_{t,h} ds·q[t,h]      dv[u] += Σ_{t,h} p·dy[t,h]
 *
 * Sequences are independent; query head h reads kv head h / (n_head / n_kv). Forward leaves the softmax's maximum and
 * sum; backward makes the probabilities again, block by block, so that memory grows with the length and not with its
 * square. Forward unit: LB_CAUSAL_BLOCK queries of one sequence, of all heads of one kv head; backward unit: one kv
 * head of one sequence. Blocks are counted from a sequence's first token, so that its results do not depend on its
 * neighbours; kv heads are the outer order of units, so that threads get equal work. */
#ifndef LB_KERN_GRAD_ATTN_H
#define LB_KERN_GRAD_ATTN_H
#include "kern/op.h"

enum { LB_CAUSAL_BLOCK = 64, LB_CAUSAL_X86_MAX_D = 256 };

typedef struct lb_causal {
    int n_seq, len, n_head, n_kv, d_head;
    /* Sequences of different lengths (len is not read then): s is the rows begin[s] … begin[s+1] and has the blocks
     * block0[s] … block0[s+1]. Both [n_seq+1] device memory, or both NULL: len tokens each. */
    const int *begin, *block0;
    int n_block;                 /* block0[n_seq] */
    float scale;
    const float *q, *k, *v;      /* [tokens, heads·d_head] */
    float *y;                    /* [tokens, n_head·d_head]: written forward, read backward */
    float *max, *sum;            /* [tokens, n_head]: likewise */
    /* backward only */
    const float *dy;             /* as y */
    float *delta;                /* [tokens, n_head] room for Σ dy·y */
    float *dq, *dk, *dv;         /* added to; or NULL */
} lb_causal;

extern const lb_op lb_op_causal, lb_op_causal_back;

static inline int lb_causal_blocks_of(int len) { return (len + LB_CAUSAL_BLOCK - 1) / LB_CAUSAL_BLOCK; }
static inline int lb_causal_blocks(const lb_causal *a)       /* of all sequences */
{
    return a->begin ? a->n_block : a->n_seq * lb_causal_blocks_of(a->len);
}

typedef struct lb_causal_unit {
    int kv, first, len;              /* kv head; first token and length of the sequence */
    int block;                       /* of the sequence; forward only */
} lb_causal_unit;

static inline lb_causal_unit lb_causal_back_at(const lb_causal *a, int unit)
{
    int kv = unit / a->n_seq, s = unit % a->n_seq;
    if (!a->begin) return (lb_causal_unit){kv, s * a->len, a->len, 0};
    return (lb_causal_unit){kv, a->begin[s], a->begin[s + 1] - a->begin[s], 0};
}

static inline lb_causal_unit lb_causal_at(const lb_causal *a, int unit)
{
    int all = lb_causal_blocks(a), kv = unit / all, b = unit % all, lo = 0, hi = a->n_seq;
    if (!a->begin) {
        int per = lb_causal_blocks_of(a->len);
        return (lb_causal_unit){kv, b / per * a->len, a->len, b % per};
    }
    while (hi - lo > 1) { /* block0[lo] ≤ b < block0[hi] */
        int mid = lo + (hi - lo) / 2;
        if (a->block0[mid] <= b) lo = mid;
        else hi = mid;
    }
    return (lb_causal_unit){kv, a->begin[lo], a->begin[lo + 1] - a->begin[lo], b - a->block0[lo]};
}
#endif
