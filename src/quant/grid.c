/* quant/grid.c – min-max grids and the clip search. */
#include "quant/grid.h"

static const float MIN_SCALE =
    1e-10f; /* an all-zero group: any scale gives zeros, but it must not vanish in f16 or bf16 */

static float stored(float scale, lb_dtype t)
{
    uint16_t h;
    if (t == LB_F32) return scale;
    h = t == LB_BF16 ? lb_to_bf16(scale) : lb_to_f16(scale);
    return t == LB_BF16 ? lb_from_bf16(h) : lb_from_f16(h);
}

/* f16 scales underflow below 2^-24 and overflow above 65504: the nearest usable one is taken. */
float lb_grid_stored(float scale, lb_dtype t)
{
    float s = stored(scale > MIN_SCALE ? scale : MIN_SCALE, t);
    if (t == LB_F16 && s == 0) return 0x1p-24f;
    if (t == LB_F16 && isinf(s)) return 65504;
    return s;
}

static lb_grid of_range(float lo, float hi, int bits, bool sym, float clip, lb_dtype scale_type)
{
    lb_grid g = {.max = (1 << bits) - 1};
    if (sym) {
        float amax = -lo > hi ? -lo : hi;
        g.zero = 1 << (bits - 1);
        g.scale = lb_grid_stored(clip * amax / (float)(g.zero - 1), scale_type);
        return g;
    }
    lo *= clip, hi *= clip;
    if (lo == 0 && hi == 0) lo = -1, hi = 1;
    g.scale = lb_grid_stored(hi / (float)g.max - lo / (float)g.max, scale_type);
    float z = nearbyintf(-lo / g.scale);
    g.zero = z < 0 ? 0 : z > (float)g.max ? g.max : (int)z;
    return g;
}

float lb_half_scale(const float *w, int n, float clip, lb_dtype scale_type)
{
    float amax = 0;
    for (int i = 0; i < n; i++) amax = fabsf(w[i]) > amax ? fabsf(w[i]) : amax;
    return lb_grid_stored(clip * amax / 2, scale_type);
}

/* The zero point on the other side of −lo/scale. */
static int other_zero(const lb_grid *g, float lo)
{
    float ideal = -lo / g->scale, down = floorf(ideal), up = ceilf(ideal);
    float z = (float)g->zero == down ? up : down;
    return z < 0 ? 0 : z > (float)g->max ? g->max : (int)z;
}

lb_grid lb_grid_minmax(const float *w, int n, int bits, bool sym, float clip, lb_dtype scale_type)
{
    float lo = 0, hi = 0;
    for (int i = 0; i < n; i++) {
        lo = w[i] < lo ? w[i] : lo;
        hi = w[i] > hi ? w[i] : hi;
    }
    return of_range(lo, hi, bits, sym, clip, scale_type);
}

enum { N_CLIP = 80 };
static float clip_of(int i) { return 1 - (float)i / 100; }

lb_grid lb_grid_mse(const float *w, int n, int bits, bool sym, lb_dtype scale_type)
{
    lb_grid best = lb_grid_minmax(w, n, bits, sym, 1, scale_type);
    float best_err = INFINITY;
    for (int i = 0; i < N_CLIP; i++) {
        lb_grid g = lb_grid_minmax(w, n, bits, sym, clip_of(i), scale_type);
        float err = 0, inv = 1 / g.scale;
        for (int j = 0; j < n && err < best_err; j++)
            err += lb_power_2_4(lb_clip_snap(LB_SNAP_INT, w[j], g.scale, inv, (float)g.zero, (float)g.max) - w[j]);
        if (err < best_err) best_err = err, best = g;
    }
    return best;
}

/* The range of every row, 0 included. */
static void ranges(const float *w, int n_col, float *lo, float *hi)
{
    for (int r = 0; r < LB_TILE_W; r++) lo[r] = hi[r] = 0;
    for (int c = 0; c < n_col; c++, w += LB_TILE_W)
        for (int r = 0; r < LB_TILE_W; r++) {
            lo[r] = w[r] < lo[r] ? w[r] : lo[r];
            hi[r] = w[r] > hi[r] ? w[r] : hi[r];
        }
}

void lb_grid_tile(const lb_impl *impl, const float *w, int n_col, const lb_grid_opt *o, float *scale, float *zero)
{
    float lo[LB_TILE_W], hi[LB_TILE_W], scales[2 * N_CLIP][LB_TILE_W], zeros[2 * N_CLIP][LB_TILE_W];
    int best[LB_TILE_W] = {0}, step = o->mse && o->zeros && o->bits == 2 && !o->sym && !o->half ? 2 : 1;
    ranges(w, n_col, lo, hi);
    for (int i = 0; i < (o->mse ? N_CLIP : 1); i++) {
        for (int r = 0; o->half && r < LB_TILE_W; r++) {
            scales[i][r] = lb_half_scale((const float[]){lo[r], hi[r]}, 2, clip_of(i), o->scale_type);
            zeros[i][r] = 0.5f * LB_HALF_ZERO;
        }
        for (int r = 0; !o->half && r < LB_TILE_W; r++) {
            lb_grid g = of_range(lo[r], hi[r], o->bits, o->sym, clip_of(i), o->scale_type);
            scales[step * i][r] = scales[step * i + step - 1][r] = g.scale;
            zeros[step * i][r] = (float)g.zero;
            if (step == 2) zeros[2 * i + 1][r] = (float)other_zero(&g, clip_of(i) * lo[r]);
        }
    }
    if (o->mse) {
        lb_clip a = {.w = w, .n_col = n_col, .n_cand = step * N_CLIP, .scale = scales[0], .zero = zeros[0], .best = best};
        a.kind = o->half ? LB_SNAP_HALF : LB_SNAP_INT;
        a.max = (float)((1 << o->bits) - 1);
        impl->run(&a, 0, LB_TILE_W / LB_TILE_UNIT, NULL);
    }
    for (int r = 0; r < LB_TILE_W; r++) scale[r] = scales[best[r]][r], zero[r] = zeros[best[r]][r];
}
