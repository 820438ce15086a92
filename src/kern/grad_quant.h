/* kern/grad_quant.h – fake quantization in f32 and the way back through it (straight-through estimator).
 *
 * The numbers come in groups of `len` consecutive ones, each with a grid of its own:
 *
 *     hi = f_hi·max(0, max x)      lo = f_lo·min(0, min x)      r = round(x/s + v)      (ties to even; v = 0 if NULL)
 *     LB_FQ_ACT     s = (hi−lo)/(2^b−1)            z = round(−lo/s)     as lb_act_fake_quant does it
 *     LB_FQ_ASYM    s = hi/(2^b−1) − lo/(2^b−1)    z = round(−lo/s)     as lb_grid_minmax does it
 *     LB_FQ_SYM     s = max(hi, −lo)/(2^(b−1)−1)   z = 2^(b−1)          as lb_grid_minmax does it
 *     LB_FQ_KV      s = (hi−lo)/(2^b−1) as f16, rounded up      z = round(−lo/s)     as the KV cache does it (lb_kv_token_scale)
 *     LB_FQ_GRID    s = f_hi                       z = round(f_lo)      given: no range
 *     q = clamp(r + z, 0, 2^b−1)      y = s·(q−z)
 *
 * half (2 bits, SYM or GRID): the balanced grid, ParetoQ's stretched elastic quantizer (arXiv:2502.02631) with α = 2s:
 *     SYM    s = max(hi, −lo)/2          z = 1½ in both
 *     r = round(x/s − ½) + ½      q = clamp(r + z, 0, 3)      inside = |x| ≤ 0.99·2s, as its authors' code has it
 *
 * f_hi, f_lo: element (group mod n_factor) of the arrays, or the constants. A group of zeros gets s > 0 and y = 0. s is
 * rounded to scale_type before anything is divided by it; 1e-10 is the least.
 *
 * Back, with round' = 1, inside = (0 ≤ r+z ≤ 2^b−1), u = x/s:
 *     dx += dy·inside        dv += s·dy·inside
 *     ds  = Σ dy·(inside ? r−u : q−z)          dz = −s·Σ dy·(1−inside)      (−u: x/s itself depends on s)
 *     asymmetric: ds' = ds + dz·lo/s²,  dhi = ds'/(2^b−1),  dlo = −ds'/(2^b−1) − dz/s
 *     symmetric:  the larger of hi and −lo gets ds/(2^(b−1)−1), with its sign; the other 0 (half: ds/2)
 *     df_hi = dhi·max(0, max x),  df_lo = dlo·min(0, min x)         given: df_hi = ds,  df_lo = dz
 *     dx at the first place of the maximum += dhi·f_hi if the maximum is above 0; likewise the minimum
 * Unit: one group. */
#ifndef LB_KERN_GRAD_QUANT_H
#define LB_KERN_GRAD_QUANT_H
#include "kern/op.h"
#include "num/dtype.h"

typedef enum lb_fq_kind { LB_FQ_ACT, LB_FQ_ASYM, LB_FQ_SYM, LB_FQ_KV, LB_FQ_GRID } lb_fq_kind;

typedef struct lb_fake_quant {
    lb_fq_kind kind;
    int bits;                    /* 2…8 */
    bool half;                   /* the balanced grid */
    lb_dtype scale_type;         /* LB_F32, LB_BF16, LB_F16 */
    int n_group, len;
    const float *x;              /* [n_group, len] */
    const float *v;              /* [n_group, len], or NULL */
    const float *f_hi, *f_lo;    /* [n_factor], or NULL: hi_const, lo_const */
    float hi_const, lo_const;
    int n_factor;
    float *y;                    /* [n_group, len]: forward only */
    /* backward only */
    const float *dy;             /* [n_group, len] */
    float *dx, *dv;              /* [n_group, len] added to; or NULL */
    float *df_hi, *df_lo;        /* [n_group] written: to be added up over groups of the same factor; or NULL */
} lb_fake_quant;

extern const lb_op lb_op_fake_quant, lb_op_fake_quant_back;

/* ---- shared by the rows ---- */
typedef struct lb_fq_grid {
    float scale, zero, max;      /* codes 0…max */
    float shift;                 /* ½ or 0: r = round(x/s − shift) + shift */
    float limit;                 /* half: inside is |x/s| ≤ limit; 0: where the code is not clamped */
    float per_scale;             /* SYM: range/scale */
    float hi, lo, f_hi, f_lo;
    bool dead;                   /* the scale does not depend on the range */
} lb_fq_grid;
/* The grid of a group whose largest number (at least 0) and smallest (at most 0) are given. */
lb_fq_grid lb_fq_grid_of(const lb_fake_quant *a, int group, float top, float bottom);
/* ds, dz → df_hi, df_lo of the group, and what the places of maximum and minimum get. */
void lb_fq_range_back(const lb_fake_quant *a, const lb_fq_grid *g, int group, float top, float bottom, double ds,
                      double dz);
#endif
