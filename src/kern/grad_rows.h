/* kern/grad_rows.h – what moves whole rows in training: copies, sums of chosen rows, the choice of experts.
 *
 * Every sum has an order of its own, whatever the number of threads: that is how the gradient of an embedding, where
 * one row is read by many tokens, comes out the same. */
#ifndef LB_KERN_GRAD_ROWS_H
#define LB_KERN_GRAD_ROWS_H
#include "kern/op.h"

/* y = x, or zeros. Unit: LB_COPY_PIECE numbers. */
enum { LB_COPY_PIECE = 16384 };
typedef struct lb_copy {
    float *y;                    /* [n] */
    const float *x;              /* [n], or NULL: zeros */
    size_t n;
} lb_copy;

/* y[to[i],:] (+)= Σ c·x[from[j],:] over start[i] ≤ j < start[i+1], in order of j, in double. Unit: one i. Index arrays
 * are device memory. */
typedef struct lb_row_sums {
    float *y;                    /* [*, d] */
    const float *x;              /* [*, d] */
    const int *to;               /* [n], distinct; NULL: i */
    const int *start;            /* [n+1]; NULL: `each` rows for every i, start[i] = i·each */
    const int *from;             /* NULL: j */
    const float *c;              /* [*]; NULL: 1 */
    int n, d, each;
    bool c_of_row;               /* c[from[j]], not c[j] */
    bool add;
} lb_row_sums;

/* y[i] += Σ_j a[ai[i], j]·b[i, j], in double. Unit: one i. */
typedef struct lb_row_dots {
    float *y;                    /* [n] */
    const float *a, *b;          /* [*, d], [n, d] */
    const int *ai;               /* [n] device */
    int n, d;
} lb_row_dots;

/* The `used` largest of each row of logits (ties: the lower number), in rising order of their numbers, with their
 * softmax over all n_expert, or (norm) over the chosen. Back: dlogits += as model/grad.h has it. Unit: one token. */
typedef struct lb_route_args {
    const float *logits;         /* [n_tok, n_expert] */
    int n_tok, n_expert, used;
    bool norm;
    int *choice;                 /* [n_tok, used]: written forward, read backward */
    float *weight;               /* [n_tok, used]: written forward, read backward */
    /* backward only */
    const float *dweight;        /* by row: element slot[t·used + u] */
    const int *slot;             /* [n_tok, used] device */
    float *dlogits;              /* [n_tok, n_expert] */
} lb_route_args;

extern const lb_op lb_op_copy, lb_op_row_sums, lb_op_row_dots, lb_op_route, lb_op_route_back;
#endif
