/* kern/clip.c – the definition of the choice, and its table. */
#include "kern/clip.h"
#include "kern/x86/solve_x86.h"
#include <stdint.h>
#include <string.h>

float lb_power_2_4(float e)
{
    float y = e * e, r;
    int32_t i;
    memcpy(&i, &y, 4);
    i = LB_FIFTH_GUESS - (int32_t)((float)i * 0.2f);
    memcpy(&r, &i, 4);
    float r2 = r * r, h = fmaf(-(y * r), r2 * r2, 1);
    float p = fmaf(h, fmaf(h, fmaf(h, fmaf(h, LB_FIFTH_C4, LB_FIFTH_C3), LB_FIFTH_C2), LB_FIFTH_C1), LB_FIFTH_C0);
    r = fmaf(r, h * p, r);
    r2 = r * r;
    return y * (y * (r2 * r2));
}

static void ref(const void *args, int u0, int u1, lb_exec *ex)
{
    (void)ex;
    const lb_clip *a = args;
    for (int r = u0 * LB_TILE_UNIT; r < u1 * LB_TILE_UNIT; r++) {
        float least = INFINITY;
        a->best[r] = 0;
        for (int c = 0; c < a->n_cand; c++) {
            float scale = a->scale[c * LB_TILE_W + r], inv = 1 / scale, zero = a->zero[c * LB_TILE_W + r], sum = 0;
            for (int j = 0; j < a->n_col && sum < least; j++) {
                float w = a->w[j * LB_TILE_W + r];
                sum += lb_power_2_4(lb_clip_snap(a->kind, w, scale, inv, zero, a->max) - w);
            }
            if (sum < least) least = sum, a->best[r] = c;
        }
    }
}

static const lb_impl impls[] = {
    {"ref", 0, NULL, ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_clip_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_clip_avx512, NULL, NULL})
    {0},
};

static int units(const void *args) { (void)args; return LB_TILE_W / LB_TILE_UNIT; }
static int grain(const void *args) { (void)args; return LB_TILE_W / LB_TILE_UNIT; }

const lb_op lb_op_clip = {"clip", impls, units, grain, NULL};
