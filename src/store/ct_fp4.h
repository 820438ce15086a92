/* store/ct_fp4.h – one weight in the block-float layouts of compressed-tensors, to and from lb_fp4mat.
 *
 * A linear layer P with weight W[n,k], k a multiple of the block, is stored as
 *
 *     P.weight_packed        U8 [n, k/2]       two E2M1 codes a byte, the even column in the low nibble
 *     P.weight_scale         mxfp4-pack-quantized: U8 [n, k/32], E8M0        nvfp4-pack-quantized: F8_E4M3 [n, k/16]
 *     P.weight_global_scale  nvfp4 only: F32 [1], one over the tensor scale
 *
 * The tensor scale that a reader computes is 1/global, so writers quantize for a scale that is such a reciprocal:
 * lb_ct_fp4_tensor_scale. */
#ifndef LB_STORE_CT_FP4_H
#define LB_STORE_CT_FP4_H
#include "num/fp4.h"
#include "store/ct_config.h"
#include "store/ct.h"
#include "store/store.h"

const lb_num *lb_ct_fp4_num(const lb_ct_scheme *s);                  /* NULL for integers */
/* The tensor scale nearest to what lb_fp4_tensor_scale gives for amax that survives being stored. */
float lb_ct_fp4_tensor_scale(const lb_num *num, float amax);
/* Reads module P into *q, whose arrays it allocates (lb_fp4mat_free). LB_EFORMAT for wrong shapes, LB_EUNSUPPORTED for a
 * row that is no multiple of the block, LB_ENUMERIC for a scale that is no positive number. */
bool lb_ct_fp4_unpack(const lb_store *s, const char *module, const lb_ct_scheme *sch, int n, int k, lb_fp4mat *q,
                      lb_err *err);
/* The same from tensors wherever they come from; global is NULL for mxfp4. */
typedef struct lb_ct_fp4_tensors {
    const lb_tensor *packed, *scale, *global;
} lb_ct_fp4_tensors;
bool lb_ct_fp4_unpack_tensors(const lb_ct_fp4_tensors *in, const lb_ct_scheme *sch, int n, int k, lb_fp4mat *q, lb_err *err);
/* As lb_ct_parts and lb_ct_pack. */
int lb_ct_fp4_parts(const lb_ct_scheme *sch, int n, int k, lb_ct_part out[LB_CT_MAX_PARTS]);
void lb_ct_fp4_pack(const lb_fp4mat *q, int i, uint8_t *out);
#endif
