/* quant/grid.h – the uniform quantizer of one group: which scale and zero point, and which code for a value.
 *
 *     code = clamp(round(w / scale) + zero, 0, 2^bits − 1)        w ≈ scale · (code − zero)
 *
 * round is to nearest, ties to even. The scale is rounded to the type it is stored in first, so that codes are chosen
 * for the scale that will be used. Asymmetric ranges always contain 0. The balanced grid of 2 bits (ParetoQ's stretched
 * one, arXiv:2502.02631, with α = 2·scale):
 *
 *     code = clamp(round(w / scale − ½) + 2, 0, 3)               w ≈ scale · (code − 1½) */
#ifndef LB_QUANT_GRID_H
#define LB_QUANT_GRID_H
#include "kern/clip.h"
#include "num/dtype.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct lb_grid {
    float scale;
    int zero, max;               /* max = 2^bits − 1 */
} lb_grid;

/* The scale that will be stored for one that is wanted: rounded to t, and neither 0 nor infinite. */
float lb_grid_stored(float scale, lb_dtype t);

/* The grid of the values w[0…n): min-max with the range shrunk by `clip` (1: full range), or the best of 80 clips
 * 1, 0.99 … 0.21 by Σ |ŵ − w|^2.4, the first of equals (the power of kern/clip.h). */
lb_grid lb_grid_minmax(const float *w, int n, int bits, bool sym, float clip, lb_dtype scale_type);
lb_grid lb_grid_mse(const float *w, int n, int bits, bool sym, lb_dtype scale_type);

/* The same for LB_TILE_W rows at once, which is how it is fast. */
typedef struct lb_grid_opt {
    int bits;
    bool sym, half;              /* half: the balanced grid; bits is 2 then */
    lb_dtype scale_type;
    bool mse;                    /* the clip search; otherwise min-max */
    bool zeros;                  /* asymmetric 2 bits with mse: every clip also with the zero point on the other side of
                                    −lo/scale, as GPTQModel does; after the nearest one */
} lb_grid_opt;
/* w [n_col][LB_TILE_W] (kern/clip.h); scale, zero [LB_TILE_W] out; zero is 1½ with half. clip is a row of lb_op_clip's table. */
void lb_grid_tile(const lb_impl *clip, const float *w, int n_col, const lb_grid_opt *opt, float *scale, float *zero);

static inline int lb_grid_code(const lb_grid *g, float w)
{
    float q = nearbyintf(w / g->scale) + (float)g->zero;
    return q < 0 ? 0 : q > (float)g->max ? g->max : (int)q;
}
static inline float lb_grid_value(const lb_grid *g, int code) { return g->scale * (float)(code - g->zero); }

enum { LB_HALF_ZERO = 3 };       /* of the balanced grid, as lb_qmat has it: twice the zero point */
/* The scale at which ±2 steps are the largest of |w[0…n)|, times clip; stored as above. */
float lb_half_scale(const float *w, int n, float clip, lb_dtype scale_type);
static inline int lb_half_code(float scale, float w)
{
    float q = nearbyintf(w / scale - 0.5f) + 2;
    return q < 0 ? 0 : q > 3 ? 3 : (int)q;
}
#endif
