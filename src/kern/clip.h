/* kern/clip.h – which of several grids rounds a group of weights best: the search behind clipping. CPU only.
 *
 * Weights lie turned, LB_TILE_W rows of the matrix side by side, so that a lane is a row and no lane waits for another:
 *
 *     w  [n_col][LB_TILE_W]      element c·LB_TILE_W + r: column c of row r
 *
 * A grid snaps w to scale·(code − zero), or for E2M1 to scale times one of ±{0, ½, 1, 1½, 2, 3, 4, 6}; to nearest, ties
 * to even (HALF: of w/scale − ½). The error of a grid is Σ |ŵ − w|^2.4 over the columns in order. All rows of the table take the same steps
 * rounded to f32, so that every machine makes the same choice; the power is within 1e-6 of the exact one. */
#ifndef LB_KERN_CLIP_H
#define LB_KERN_CLIP_H
#include "kern/op.h"
#include <math.h>

enum { LB_TILE_W = 48, LB_TILE_UNIT = 16 };      /* rows in a tile, and in one unit of work on it */

typedef enum lb_snap_kind { LB_SNAP_INT, LB_SNAP_E2M1, LB_SNAP_HALF } lb_snap_kind;

/* code and value of one weight; max = 2^bits − 1 and zero are whole numbers (INT), zero is one and a half (HALF: an odd
 * number of halves). E2M1 codes: sign·8 + index. */
static inline float lb_snap(lb_snap_kind kind, float w, float scale, float zero, float max, int *code)
{
    float u = w / scale;
    if (kind == LB_SNAP_INT) {
        float q = nearbyintf(u) + zero;
        q = q < 0 ? 0 : q > max ? max : q;
        *code = (int)q;
        return scale * (q - zero);
    }
    if (kind == LB_SNAP_HALF) {
        float q = nearbyintf(u - 0.5f) + (zero + 0.5f);
        q = q < 0 ? 0 : q > max ? max : q;
        *code = (int)q;
        return scale * (q - zero);
    }
    float a = fabsf(u) < 6 ? fabsf(u) : 6, step = a < 2 ? 0.5f : a < 4 ? 1 : 2, m = nearbyintf(a / step) * step;
    *code = (int)(m < 2 ? 2 * m : m < 4 ? m + 2 : m / 2 + 4) + (u < 0 ? 8 : 0);
    return scale * copysignf(m, u);
}

/* The value alone, by the reciprocal of the scale: at a tie the other neighbour, which is as far. */
static inline float lb_clip_snap(lb_snap_kind kind, float w, float scale, float inv, float zero, float max)
{
    if (kind == LB_SNAP_INT) {
        float q = nearbyintf(w * inv), lo = -zero, hi = max - zero;
        q = q > lo ? q : lo;
        return scale * (q < hi ? q : hi);
    }
    if (kind == LB_SNAP_HALF) {
        float q = nearbyintf(w * inv - 0.5f) + 0.5f, lo = -zero, hi = max - zero;
        q = q > lo ? q : lo;
        return scale * (q < hi ? q : hi);
    }
    float u = fabsf(w * inv), m = u < 6 ? u : 6, step = m < 2 ? 0.5f : m < 4 ? 1 : 2, back = m < 2 ? 2 : m < 4 ? 1 : 0.5f;
    return copysignf(scale * (nearbyintf(m * back) * step), w);
}

/* Unit: LB_TILE_UNIT rows of the tile. */
typedef struct lb_clip {
    const float *w;              /* [n_col][LB_TILE_W] */
    int n_col, n_cand;
    lb_snap_kind kind;
    float max;
    const float *scale, *zero;   /* [n_cand][LB_TILE_W] */
    int *best;                   /* [LB_TILE_W] out: the first of the grids with the least error; 0 if none is finite */
} lb_clip;

extern const lb_op lb_op_clip;

/* |e|^2.4 = y·y^0.2 with y = e². y^−0.2 begins as a guess from the bits of y, off by no more than h = 1 − y·r⁵ = ±0.155,
 * and takes one step of the series of (1 − h)^−0.2, whose coefficients are fitted to that range. */
enum { LB_FIFTH_GUESS = 1277905859 };
#define LB_FIFTH_C0 0.2f
#define LB_FIFTH_C1 0.11999064f
#define LB_FIFTH_C2 0.08799265f
#define LB_FIFTH_C3 0.0719598f
#define LB_FIFTH_C4 0.06046542f
float lb_power_2_4(float e);
#endif
