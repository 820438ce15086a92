/* kern/actquant.c – rounding rows of activations, one at a time. */
#include "kern/actquant.h"
#include "kern/actquant.inc"

enum { CHUNK = 256 };

static bool clip_ok(float c) { return c >= 0 && isfinite(c); }

bool lb_act_check(const lb_act_quant *q, lb_err *err)
{
    if (q->kind == LB_ACT_NONE) return true;
    if (q->kind == LB_ACT_MXFP4 || q->kind == LB_ACT_NVFP4) {
        if (q->clip_lo == 0 && q->clip_hi == 0) return true;
        return lb_fail(err, LB_EFORMAT, "activation clips are %g and %g; %s takes none", (double)q->clip_lo,
                       (double)q->clip_hi, act_num(q->kind)->name);
    }
    if (q->kind != LB_ACT_INT)
        return lb_fail(err, LB_EUNSUPPORTED, "activations of kind %d are not known", (int)q->kind);
    if (q->bits != 8 && q->bits != 4)
        return lb_fail(err, LB_EUNSUPPORTED, "activations of %d bits are not supported; 8 and 4 are", q->bits);
    if (!clip_ok(q->clip_lo) || !clip_ok(q->clip_hi))
        return lb_fail(err, LB_EFORMAT, "activation clips are %g and %g; positive numbers, or 0 for none, are wanted",
                       (double)q->clip_lo, (double)q->clip_hi);
    return true;
}

lb_act_row lb_act_codes(const lb_act_quant *q, const float *x, int k, uint8_t *codes)
{
    int16_t c[CHUNK];
    lb_act_row r = act_row(q, x, k);
    for (int i0 = 0; i0 < k; i0 += CHUNK) {
        int n = k - i0 < CHUNK ? k - i0 : CHUNK;
        act_ints(q, r, 0, x + i0, n, c);
        for (int i = 0; i < n; i++) codes[i0 + i] = (uint8_t)c[i];
    }
    return r;
}

void lb_act_fake_quant(const lb_act_quant *q, const float *x, int k, float *out)
{
    int16_t c[CHUNK];
    if (q->kind == LB_ACT_NONE) {
        memmove(out, x, (size_t)k * sizeof *x);
        return;
    }
    lb_act_row r = act_row(q, x, k);
    int step = q->kind == LB_ACT_INT ? CHUNK : lb_act_block(q->kind);
    for (int i0 = 0; i0 < k; i0 += step) {
        int n = k - i0 < step ? k - i0 : step;
        if (q->kind == LB_ACT_INT) {
            act_ints(q, r, r.zero, x + i0, n, c);
            for (int i = 0; i < n; i++) out[i0 + i] = r.scale * (float)c[i];
        } else {
            float s = act_block(q, r, x + i0, n, c);
            for (int i = 0; i < n; i++) out[i0 + i] = s * (0.5f * (float)c[i]);
        }
    }
}
