/* kern/grad_quant.c – the definition of fake quantization and of its gradient, and their tables. */
#include "kern/grad_quant.h"
#include "kern/kv_pack.h"
#include "kern/x86/grad_quant_x86.h"
#include <math.h>

static const float MIN_SCALE = 1e-10f;

/* The scale as it will be stored: lb_grid_minmax's rule. */
static float usable(float scale, lb_dtype t)
{
    float s = scale > MIN_SCALE ? scale : MIN_SCALE;
    if (t == LB_BF16) return lb_from_bf16(lb_to_bf16(s));
    if (t != LB_F16) return s;
    s = lb_from_f16(lb_to_f16(s));
    return s == 0 ? 0x1p-24f : isinf(s) ? 65504 : s;
}

lb_fq_grid lb_fq_grid_of(const lb_fake_quant *a, int group, float top, float bottom)
{
    lb_fq_grid g = {.max = (float)((1 << a->bits) - 1), .f_hi = a->hi_const, .f_lo = a->lo_const};
    if (a->f_hi) g.f_hi = a->f_hi[group % a->n_factor];
    if (a->f_lo) g.f_lo = a->f_lo[group % a->n_factor];
    float hi = g.f_hi * top, lo = g.f_lo * bottom, s;
    if (a->half) g.shift = 0.5f, g.limit = 0.99f * 2;
    if (a->kind == LB_FQ_GRID) {
        float zero = nearbyintf(g.f_lo);
        g.scale = usable(g.f_hi, a->scale_type);
        g.zero = a->half ? 1.5f : zero < 0 ? 0 : zero > g.max ? g.max : zero;
        return g;
    }
    g.hi = hi, g.lo = lo;
    if (a->kind == LB_FQ_SYM) {
        g.zero = a->half ? 1.5f : (float)(1 << (a->bits - 1));
        g.per_scale = a->half ? 2 : g.zero - 1;
        s = (-lo > hi ? -lo : hi) / g.per_scale;
        g.dead = !(s > MIN_SCALE);
        g.scale = usable(s, a->scale_type);
        return g;
    }
    if (a->kind == LB_FQ_KV) {
        uint16_t scale;
        uint8_t zero;
        lb_kv_token_scale(a->bits, lo, hi, &scale, &zero);
        g.dead = !(hi > lo);
        g.scale = lb_from_f16(scale), g.zero = zero;
        return g;
    }
    if (a->kind == LB_FQ_ACT) {
        s = (hi - lo) / g.max;
        g.dead = s == 0;
        g.scale = g.dead ? 1 : s; /* numbers so small become zeros */
    } else {
        if (hi == 0 && lo == 0) hi = 1, lo = -1, g.dead = true;
        s = hi / g.max - lo / g.max;
        g.dead |= !(s > MIN_SCALE);
        g.scale = usable(s, a->scale_type);
    }
    float z = nearbyintf(-lo / g.scale);
    g.zero = z < 0 ? 0 : z > g.max ? g.max : z;
    return g;
}

void lb_fq_range_back(const lb_fake_quant *a, const lb_fq_grid *g, int group, float top, float bottom, double ds,
                      double dz)
{
    double dhi = 0, dlo = 0, s = (double)g->scale;
    if (a->kind == LB_FQ_GRID) {
        if (a->df_hi) a->df_hi[group] = (float)ds;
        if (a->df_lo) a->df_lo[group] = (float)dz;
        return;
    }
    if (g->dead) {
        ;
    } else if (a->kind == LB_FQ_SYM) {
        double one = ds / (double)g->per_scale;
        if (-g->lo > g->hi) dlo = -one;
        else dhi = one;
    } else {
        double both = (ds + dz * (double)g->lo / (s * s)) / (double)g->max;
        dhi = both;
        dlo = -both - dz / s;
    }
    if (a->df_hi) a->df_hi[group] = (float)(dhi * (double)top);
    if (a->df_lo) a->df_lo[group] = (float)(dlo * (double)bottom);
    if (!a->dx) return;
    size_t at = (size_t)group * (size_t)a->len;
    const float *x = a->x + at;
    float *dx = a->dx + at;
    int i = 0, j = 0;
    if (top > 0) {
        while (i < a->len - 1 && x[i] != top) i++;
        dx[i] += (float)(dhi * (double)g->f_hi);
    }
    if (bottom < 0) {
        while (j < a->len - 1 && x[j] != bottom) j++;
        dx[j] += (float)(dlo * (double)g->f_lo);
    }
}

static lb_fq_grid group_grid(const lb_fake_quant *a, int group, float *top, float *bottom)
{
    const float *x = a->x + (size_t)group * (size_t)a->len;
    float hi = 0, lo = 0;
    for (int i = 0; i < a->len; i++) {
        hi = x[i] > hi ? x[i] : hi;
        lo = x[i] < lo ? x[i] : lo;
    }
    *top = hi, *bottom = lo;
    return lb_fq_grid_of(a, group, hi, lo);
}

static float clamp(float q, float max) { return q < 0 ? 0 : q > max ? max : q; }

static void fake_quant_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_fake_quant *a = args;
    for (int u = i0; u < i1; u++) {
        float top, bottom;
        lb_fq_grid g = group_grid(a, u, &top, &bottom);
        size_t at = (size_t)u * (size_t)a->len;
        for (size_t i = at; i < at + (size_t)a->len; i++) {
            float t = a->x[i] / g.scale;
            float q = clamp(nearbyintf((a->v ? t + a->v[i] : t) - g.shift) + (g.zero + g.shift), g.max);
            a->y[i] = g.scale * (q - g.zero);
        }
    }
}

static void fake_quant_back_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_fake_quant *a = args;
    for (int u = i0; u < i1; u++) {
        float top, bottom;
        lb_fq_grid g = group_grid(a, u, &top, &bottom);
        size_t at = (size_t)u * (size_t)a->len;
        double ds = 0, out = 0;
        for (size_t i = at; i < at + (size_t)a->len; i++) {
            float t = a->x[i] / g.scale, dy = a->dy[i];
            float q = nearbyintf((a->v ? t + a->v[i] : t) - g.shift) + (g.zero + g.shift);
            if (g.limit > 0 ? fabsf(t) <= g.limit : q >= 0 && q <= g.max) {
                ds += (double)dy * ((double)(q - g.zero) - (double)a->x[i] / (double)g.scale);
                if (a->dx) a->dx[i] += dy;
                if (a->dv) a->dv[i] += g.scale * dy;
            } else {
                ds += (double)dy * (double)(clamp(q, g.max) - g.zero);
                out += (double)dy;
            }
        }
        lb_fq_range_back(a, &g, u, top, bottom, ds, -(double)g.scale * out);
    }
}

static const lb_impl fake_quant_impls[] = {
    {"ref", 0, NULL, fake_quant_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_fake_quant_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_fake_quant_avx512, NULL, NULL})
    {0},
};
static const lb_impl fake_quant_back_impls[] = {
    {"ref", 0, NULL, fake_quant_back_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_fake_quant_back_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_fake_quant_back_avx512, NULL, NULL})
    {0},
};
static int units(const void *a) { return ((const lb_fake_quant *)a)->n_group; }
static int grain(const void *a) { int d = ((const lb_fake_quant *)a)->len; return d >= 8192 ? 1 : 8192 / d; }

const lb_op lb_op_fake_quant = {"fake_quant", fake_quant_impls, units, grain, NULL};
const lb_op lb_op_fake_quant_back = {"fake_quant_back", fake_quant_back_impls, units, grain, NULL};
