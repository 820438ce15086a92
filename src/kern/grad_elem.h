/* kern/grad_elem.h – the way back through the small operators of kern/elem.h, and what training needs beside them.
 *
 * All f32, row-major. Gradients of inputs are added to what is there. Unit: one row, unless said otherwise; sums over
 * rows are lb_op_col_dot's, whose units are blocks of columns. The way back through RoPE is RoPE by the negative
 * angle. */
#ifndef LB_KERN_GRAD_ELEM_H
#define LB_KERN_GRAD_ELEM_H
#include "kern/op.h"

/* y = silu(gate)·up with S = 1/(1+exp(−gate)):  dup += dy·gate·S,  dgate += dy·up·S·(1 + gate·(1−S)). */
typedef struct lb_swiglu_back {
    float *dgate, *dup;          /* [n_row, d]; either may be NULL */
    const float *dy, *gate, *up; /* [n_row, d] */
    int n_row, d;
} lb_swiglu_back;

/* y = x·R·w with R = 1/sqrt(mean x² + eps):  dx += R·(dy·w − x·R²·mean(dy·w·x)); inv = R, for dw = Σ dy·x·R. */
typedef struct lb_rmsnorm_back {
    float *dx;                   /* [n_row, d], or NULL */
    float *inv;                  /* [n_row] out */
    const float *dy, *x, *w;     /* [n_row, d], [n_row, d], [d] */
    int n_row, d;
    float eps;
} lb_rmsnorm_back;

/* y = x·s, or x/s, column by column; with `add` y += …: forward, and the way back to x. */
typedef struct lb_mul_cols {
    float *y;                    /* [n_row, d] */
    const float *x, *s;          /* [n_row, d], [d] */
    int n_row, d;
    bool divide, add;
} lb_mul_cols;

/* y[j] += Σ_r a[r,j]·b[r,j]·c[r], in double, in order of r. Unit: a block of LB_COL_DOT_COLS columns. */
enum { LB_COL_DOT_COLS = 64 };
typedef struct lb_col_dot {
    float *y;                    /* [d] */
    const float *a, *b, *c;      /* [n_row, d]; [n_row, d] or NULL: 1; [n_row] or NULL: 1 */
    int n_row, d;
} lb_col_dot;

/* sum[r] = Σ_j (y−t)². */
typedef struct lb_mse_rows {
    double *sum;                 /* [n_row] */
    const float *y, *t;          /* [n_row, d] */
    int n_row, d;
} lb_mse_rows;

/* dy += factor·(y − t). */
typedef struct lb_mse_back {
    float *dy;                   /* [n_row, d] */
    const float *y, *t;          /* [n_row, d] */
    int n_row, d;
    float factor;
} lb_mse_back;

extern const lb_op lb_op_swiglu_back, lb_op_rmsnorm_back, lb_op_mul_cols, lb_op_col_dot, lb_op_mse_rows, lb_op_mse_back;
#endif
