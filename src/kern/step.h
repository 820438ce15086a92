/* kern/step.h – what an optimizer does to a parameter, element by element, in f32. Unit: LB_STEP_PIECE elements.
 *
 * All rows give the same bits: every operation is one that IEEE rounds exactly, in the order written here. */
#ifndef LB_KERN_STEP_H
#define LB_KERN_STEP_H
#include "kern/op.h"

enum { LB_STEP_PIECE = 4096 };

/* One step on v with gradient d, which is cleared; then v is clamped to [lo, hi] if lo < hi.
 *   adamw  m = β1·m + (1−β1)·d    s = β2·s + (1−β2)·d·d    v = v·keep − lr·(m·fix1)/(sqrt(s·fix2) + eps)
 *   sign   v = v·keep − lr·sign(d) */
typedef struct lb_step {
    float *v, *d, *m, *s;        /* [n]; m, s: adamw */
    size_t n;
    float lr, keep;              /* keep: 1 − lr·weight decay */
    float beta1, beta2, eps, fix1, fix2;     /* fix: 1/(1 − βᵗ) */
    float lo, hi;
} lb_step;

/* sum[piece] = Σ x² over the piece, in double: element i into sum i mod LB_SQUARES_LANES, then those in order. */
enum { LB_SQUARES_LANES = 8 };
typedef struct lb_squares {
    double *sum;                 /* [pieces] */
    const float *x;              /* [n] */
    size_t n;
} lb_squares;

/* x *= f */
typedef struct lb_times {
    float *x;                    /* [n] */
    size_t n;
    float f;
} lb_times;

extern const lb_op lb_op_adamw, lb_op_sign_step, lb_op_squares, lb_op_times;
static inline size_t lb_step_pieces(size_t n) { return (n + LB_STEP_PIECE - 1) / LB_STEP_PIECE; }
#endif
