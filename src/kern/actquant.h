/* kern/actquant.h – how activations are rounded before a matrix product: the definition, in plain C.
 *
 * A quantizer works on one token's row and needs nothing but that row (dynamic). LB_ACT_INT: `bits` bits, asymmetric,
 *
 *     hi = clip_hi · max(0, max x)    lo = clip_lo · min(0, min x)    s = (hi − lo) / (2^bits − 1)
 *     z  = round(−lo / s)
 *     q  = clamp(round(x / s) + z, 0, 2^bits − 1)                     x̂ = s · (q − z)
 *
 * in f32, every operation rounded once, to nearest even. LB_ACT_MXFP4, LB_ACT_NVFP4: block floats (num/fp4.h) of 32
 * or 16 columns from column 0, the last may be shorter; a block's scale is lb_fp4_scale_of its largest magnitude;
 * nvfp4's tensor scale is the token's own, lb_fp4_tensor_scale of the row's largest; x̂ = scale · E2M1(x / scale).
 *
 * A row of zeros (or so small that the scale is 0) becomes zeros; a row with a NaN or an infinity becomes NaN as a
 * whole, so that the fault stays visible. Kernels that multiply in integers
 * (kern/matmul.h) and training that only pretends to get the same codes to the bit: both compile kern/actquant.inc. */
#ifndef LB_KERN_ACTQUANT_H
#define LB_KERN_ACTQUANT_H
#include "base/err.h"
#include <stdint.h>

typedef enum lb_act_kind { LB_ACT_NONE, LB_ACT_INT, LB_ACT_MXFP4, LB_ACT_NVFP4 } lb_act_kind;

typedef struct lb_act_quant {
    lb_act_kind kind;            /* NONE: activations stay as they are (A16) */
    int bits;                    /* INT: 8 or 4 */
    float clip_lo, clip_hi;      /* INT: shrink the range on each side; 0 means 1 */
} lb_act_quant;

/* What one row shares. */
typedef struct lb_act_row {
    float scale;                 /* 0: all x̂ are 0; NaN: all are NaN. Block floats: the tensor scale */
    int zero;                    /* INT: 0 … 2^bits − 1 */
} lb_act_row;

/* False with LB_EUNSUPPORTED, or LB_EFORMAT for a clip that is negative, not finite, or there for a block float. */
bool lb_act_check(const lb_act_quant *q, lb_err *err);
/* Columns that share a scale: 32, 16, or 0 for the whole row. */
static inline int lb_act_block(lb_act_kind kind) { return kind == LB_ACT_MXFP4 ? 32 : kind == LB_ACT_NVFP4 ? 16 : 0; }
/* LB_ACT_INT: codes[k] of one row x[k], and its scale and zero point. */
lb_act_row lb_act_codes(const lb_act_quant *q, const float *x, int k, uint8_t *codes);
/* out[k] = x̂ of one row x[k]; in place allowed. LB_ACT_NONE copies. */
void lb_act_fake_quant(const lb_act_quant *q, const float *x, int k, float *out);
#endif
