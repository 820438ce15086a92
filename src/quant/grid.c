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
static float usable(float scale, lb_dtype t)
{
    float s = stored(scale > MIN_SCALE ? scale : MIN_SCALE, t);
    if (t == LB_F16 && s == 0) return 0x1p-24f;
    if (t == LB_F16 && isinf(s)) return 65504;
    return s;
}

lb_grid lb_grid_minmax(const float *w, int n, int bits, bool sym, float clip, lb_dtype scale_type)
{
    float lo = 0, hi = 0;
    for (int i = 0; i < n; i++) {
        lo = w[i] < lo ? w[i] : lo;
        hi = w[i] > hi ? w[i] : hi;
    }
    lb_grid g = {.max = (1 << bits) - 1};
    if (sym) {
        float amax = -lo > hi ? -lo : hi;
        g.zero = 1 << (bits - 1);
        g.scale = usable(clip * amax / (float)(g.zero - 1), scale_type);
        return g;
    }
    lo *= clip, hi *= clip;
    if (lo == 0 && hi == 0) lo = -1, hi = 1;
    g.scale = usable(hi / (float)g.max - lo / (float)g.max, scale_type);
    float z = nearbyintf(-lo / g.scale);
    g.zero = z < 0 ? 0 : z > (float)g.max ? g.max : (int)z;
    return g;
}

lb_grid lb_grid_mse(const float *w, int n, int bits, bool sym, lb_dtype scale_type)
{
    lb_grid best = lb_grid_minmax(w, n, bits, sym, 1, scale_type);
    float best_err = INFINITY;
    for (int i = 0; i < 80; i++) {
        lb_grid g = lb_grid_minmax(w, n, bits, sym, 1 - (float)i / 100, scale_type);
        float err = 0;
        for (int j = 0; j < n && err < best_err; j++)
            err += powf(fabsf(lb_grid_value(&g, lb_grid_code(&g, w[j])) - w[j]), 2.4f);
        if (err < best_err) best_err = err, best = g;
    }
    return best;
}
