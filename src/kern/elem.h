/* kern/elem.h – the operators between the matrix products: each reads and writes every element once.
 *
 * All activations are f32, row-major. Unit: one row (token), unless said otherwise. */
#ifndef LB_KERN_ELEM_H
#define LB_KERN_ELEM_H
#include "kern/op.h"
#include "num/num.h"

/* y[t,:] = E[ids[t],:]. E is a float format. */
typedef struct lb_embed {
    float *y;                /* [n_tok, e.k] */
    lb_mat e;                /* [n_vocab, d_model] */
    const int *ids;          /* [n_tok], each < e.n; device memory */
    int n_tok;
} lb_embed;

/* y[r,:] = x[r,:] / sqrt(mean(x[r,:]²) + eps) · w. In place allowed (y == x). Also per head: rows = n_tok·n_head. */
typedef struct lb_rmsnorm {
    float *y;                /* [n_row, d] */
    const float *x;          /* [n_row, d] */
    const float *w;          /* [d] */
    int n_row, d;
    float eps;
} lb_rmsnorm;

/* Rotates pairs (i, i+d_head/2) of each head by angle pos·inv_freq[i] (the NeoX half layout that Hugging Face uses), in
 * place; cos and sin are multiplied by `mscale` (yarn's attention factor; 1 otherwise). Unit: one token. */
typedef struct lb_rope {
    float *x;                /* [n_tok, n_head, d_head] */
    const int *pos;          /* [n_tok]; device memory */
    const float *inv_freq;   /* [d_head/2] */
    int n_tok, n_head, d_head;
    float mscale;
} lb_rope;

/* y = silu(gate) · up, silu(v) = v/(1+exp(−v)). In place allowed (y == gate). */
typedef struct lb_swiglu {
    float *y;                /* [n_tok, d] */
    const float *gate, *up;  /* [n_tok, d] */
    int n_tok, d;
} lb_swiglu;

/* x += y: the residual. */
typedef struct lb_add {
    float *x;                /* [n_tok, d] */
    const float *y;          /* [n_tok, d] */
    int n_tok, d;
} lb_add;

/* y[i,:] = x[rows[i],:]. Unit: one row of y. */
typedef struct lb_gather {
    float *y;                /* [n, d] */
    const float *x;          /* [*, d] */
    const int *rows;         /* [n]; device memory */
    int n, d;
} lb_gather;

/* y[rows[i],:] += weight[i] · x[i,:]; rows are distinct within a call. Unit: one row of x. */
typedef struct lb_scatter {
    float *y;                /* [*, d] */
    const float *x;          /* [n, d] */
    const int *rows;         /* [n]; device memory */
    const float *weight;     /* [n]; device memory */
    int n, d;
} lb_scatter;

extern const lb_op lb_op_embed, lb_op_rmsnorm, lb_op_rope, lb_op_swiglu, lb_op_add, lb_op_gather, lb_op_scatter;
#endif
