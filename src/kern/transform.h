/* kern/transform.h – what happens to the input of a linear layer before it is quantized: y[r,:] = T · x[r,:].
 *
 * First x is multiplied by `scale` if there is one, then comes the kind's product:
 *   HADAMARD  each block of `block` = m·2^p columns as X[m, 2^p] becomes had · X · S / √block, S Sylvester's matrix of
 *             order 2^p in natural order: T of num/hadamard.h, orthonormal
 *   KRON      the row as X[na,nb] becomes Aᵀ · X · B
 * In place allowed (y == x). Unit: one row; a row's result does not depend on the others. Heads are rows: a rotation of
 * q or k after RoPE has n_row = n_tok·n_head and k = d_head.
 * Source: QuaRot (arXiv:2404.00456), FlatQuant (arXiv:2410.09426). */
#ifndef LB_KERN_TRANSFORM_H
#define LB_KERN_TRANSFORM_H
#include "kern/op.h"

typedef enum lb_transform_kind { LB_TRANSFORM_NONE, LB_TRANSFORM_SCALE, LB_TRANSFORM_HADAMARD, LB_TRANSFORM_KRON
} lb_transform_kind;

/* Longest Hadamard block, longest KRON row, largest dense factor of a Hadamard block. */
enum { LB_TRANSFORM_MAX = 65536, LB_TRANSFORM_MAX_M = 256 };

typedef struct lb_transform {
    lb_transform_kind kind;
    int k;                       /* row length */
    const float *scale;          /* [k] device, or NULL: multiplies x first */
    int block;                   /* HADAMARD: divides k */
    int m;                       /* HADAMARD: dense factor; block/m is a power of two */
    const float *had;            /* HADAMARD: [m,m] ±1, device; NULL if m is 1 */
    int na, nb;                  /* KRON: na·nb == k */
    const float *a, *b;          /* KRON: [na,na], [nb,nb] device; NULL means identity */
} lb_transform;

typedef struct lb_transform_args {
    float *y;                    /* [n_row, t.k] */
    const float *x;              /* [n_row, t.k] */
    lb_transform t;
    int n_row;
} lb_transform_args;

/* Whether the sizes and pointers of t say something that can be run on rows of k numbers; LB_EFORMAT names `name` and what
 * is wrong. The operator's rows fit exactly such transforms. */
bool lb_transform_check(const lb_transform *t, int k, const char *name, lb_err *err);
/* Multiplications of one row: for memory and time plans. */
double lb_transform_cost(const lb_transform *t);

extern const lb_op lb_op_transform;
#endif
