/* num/dtype.h – scalar types of stored numbers, and exact conversion to and from f32. */
#ifndef LB_NUM_DTYPE_H
#define LB_NUM_DTYPE_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Every dtype a safetensors file may name; the ones that lowbit computes with come first. */
typedef enum lb_dtype {
    LB_F32, LB_F16, LB_BF16, LB_F64, LB_I64, LB_I32, LB_I16, LB_I8, LB_U8, LB_BOOL, LB_F8_E4M3, LB_F8_E5M2, LB_F8_E8M0,
    LB_U16, LB_U32, LB_U64, LB_N_DTYPE
} lb_dtype;

size_t lb_dtype_bytes(lb_dtype t);
const char *lb_dtype_name(lb_dtype t);           /* safetensors spelling: "F32", "BF16" */
/* LB_N_DTYPE for an unknown name. */
lb_dtype lb_dtype_of(const char *name);

static inline float lb_from_bf16(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* Round to nearest, ties to even; NaN stays NaN (quiet). */
static inline uint16_t lb_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}

float lb_from_f16(uint16_t h);
uint16_t lb_to_f16(float f);                     /* ties to even; overflow to infinity; subnormals kept */

/* 8-bit floats of the OCP specification. E4M3: 4 bits of exponent (bias 7), subnormals, no infinity, 0x7f and 0xff are
 * NaN; to: ties to even, beyond ±448 saturates. E8M0: 2^(code − 127), 0xff is NaN. */
float lb_from_e4m3(uint8_t code);
uint8_t lb_to_e4m3(float f);
float lb_from_e8m0(uint8_t code);

/* Element i of an array of type t (LB_F32, LB_F16 or LB_BF16). */
float lb_load_f32(const void *p, lb_dtype t, size_t i);
void lb_store_f32(void *p, lb_dtype t, size_t i, float f);
#endif
