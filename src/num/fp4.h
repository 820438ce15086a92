/* num/fp4.h – block floats: 4-bit floats (E2M1) that share a scale of 8 bits.
 *
 *            block   scale                              a weight
 *     mxfp4   32     E8M0: 2^(byte − 127)               2^(byte − 127) · e2m1                 OCP Microscaling 1.0
 *     nvfp4   16     E4M3, and one f32 for the tensor   (tensor_scale · e4m3) · e2m1
 *
 * E2M1 is a sign and one of 0, ½, 1, 1½, 2, 3, 4, 6 (codes 0…7; 8…15 with the sign), rounded to nearest, ties to the
 * even code, saturating. Scales: mxfp4 2^(⌊log₂ amax⌋ − 2), so that amax lands in [4,8) and may saturate; nvfp4
 * E4M3(amax / 6 / tensor_scale) with tensor_scale = amax of the tensor / (6·448). A search over neighbouring scales for
 * the least squared error of the block (MR-GPTQ, arXiv:2509.23202) is an option. Blocks start at column 0 of a row; the
 * last may be shorter. */
#ifndef LB_NUM_FP4_H
#define LB_NUM_FP4_H
#include "num/tile.h"
#include <math.h>

extern const lb_num lb_num_mxfp4, lb_num_nvfp4;

/* Plain form: what quantizers make and what files hold. */
typedef struct lb_fp4mat {
    const lb_num *num;       /* &lb_num_mxfp4 or &lb_num_nvfp4 */
    int n, k;
    float tensor_scale;      /* 1 for mxfp4 */
    uint8_t *codes;          /* [n,k], each 0…15 */
    uint8_t *scales;         /* [n,G], G = ⌈k / num->block⌉ */
} lb_fp4mat;

/* Arrays for q->{num,n,k}, zeroed and owned by q; false with LB_ENOMEM (and nothing to free). */
bool lb_fp4mat_alloc(lb_fp4mat *q, lb_err *err);
void lb_fp4mat_free(lb_fp4mat *q);

/* Twice the E2M1 value nearest to v, a whole number −12…12; NaN stays NaN. On twice the grid (0, 1, 2, 3, 4, 6, 8, 12)
 * steps are 1 up to 4, 2 up to 8, and 4 up to 12; rounding half of a step to even is rounding to the even code. */
static inline float lb_e2m1_twice(float v)
{
    float a = fabsf(v), fine = rintf(2 * a), mid = 2 * rintf(a), rough = 4 * rintf(0.5f * a);
    float r = a < 2 ? fine : a < 4 ? mid : rough;
    return copysignf(r > 12 ? 12 : r, v);
}
uint8_t lb_e2m1_of(float v);                     /* the code; a NaN becomes code 0 */
float lb_e2m1_value(uint8_t code);               /* code 0…15 */

/* f32 of a block's scale byte. */
float lb_fp4_scale(const lb_num *num, uint8_t byte, float tensor_scale);
/* The scale byte of a block whose largest magnitude is amax (finite). */
uint8_t lb_fp4_scale_of(const lb_num *num, float amax, float tensor_scale);
/* For a tensor (or a token's activations) whose largest magnitude is amax; 1 for mxfp4. */
float lb_fp4_tensor_scale(const lb_num *num, float amax);
/* The scale byte of block w[0…n): lb_fp4_scale_of its amax, or with `search` the one of least squared error among it
 * and its neighbours, an octave below and (mxfp4) one or (nvfp4) half of one above. Ties stay with the former. */
uint8_t lb_fp4_block_scale(const lb_num *num, float tensor_scale, bool search, const float *w, int n);

/* One row w[k] to codes[k] and scales[G]. False if w holds a NaN or an infinity. */
bool lb_fp4_encode_row(const lb_num *num, float tensor_scale, bool search, const float *w, int k, uint8_t *codes,
                       uint8_t *scales);
/* A whole matrix w[n,k] into q, whose arrays are allocated; sets q->tensor_scale. LB_EFORMAT naming row and column if w
 * holds a NaN or an infinity. */
bool lb_fp4_encode(lb_fp4mat *q, bool search, const float *w, lb_err *err);
/* out[k] = row `row` of q. */
void lb_fp4_decode_row(const lb_fp4mat *q, int row, float *out);

/* As lb_tile_pack, lb_tile_unpack and lb_tile_mat. */
void lb_fp4_pack(const lb_fp4mat *q, void *out, lb_mat *m);
void lb_fp4_unpack(const lb_mat *m, lb_fp4mat *q);
lb_mat lb_fp4_mat(const lb_num *num, int n, int k, float tensor_scale);
#endif
