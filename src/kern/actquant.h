/* kern/actquant.h – how activations are rounded before a matrix product: the definition, in plain C.
 *
 * A quantizer works on one token's row and needs nothing but that row (dynamic). LB_ACT_INT: `bits` bits, asymmetric,
 *
 *     hi = clip_hi · max(0, max x)    lo = clip_lo · min(0, min x)    s = (hi − lo) / (2^bits − 1)    z = round(−lo / s)
 *     q  = clamp(round(x / s) + z, 0, 2^bits − 1)                     x̂ = s · (q − z)
 *
 * in f32, every operation rounded once, to nearest even. A row of zeros (or so small that s is 0) becomes zeros; a row
 * with a NaN or an infinity becomes NaN as a whole, so that the fault stays visible. Kernels that multiply in integers
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
    float scale;                 /* 0: all x̂ are 0; NaN: all are NaN */
    int zero;                    /* 0 … 2^bits − 1 */
} lb_act_row;

/* False with LB_EUNSUPPORTED, or LB_EFORMAT for a clip that is negative or not finite. */
bool lb_act_check(const lb_act_quant *q, lb_err *err);
/* LB_ACT_INT: codes[k] of one row x[k], and its scale and zero point. */
lb_act_row lb_act_codes(const lb_act_quant *q, const float *x, int k, uint8_t *codes);
/* out[k] = x̂ of one row x[k]; in place allowed. LB_ACT_NONE copies. */
void lb_act_fake_quant(const lb_act_quant *q, const float *x, int k, float *out);
#endif
