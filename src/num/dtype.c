/* num/dtype.c – scalar conversions in plain C. */
#include "num/dtype.h"
#include <math.h>

static const struct { const char *name; size_t bytes; } types[LB_N_DTYPE] = {
    [LB_F32] = {"F32", 4}, [LB_F16] = {"F16", 2}, [LB_BF16] = {"BF16", 2}, [LB_F64] = {"F64", 8}, [LB_I64] = {"I64", 8},
    [LB_I32] = {"I32", 4}, [LB_I16] = {"I16", 2}, [LB_I8] = {"I8", 1}, [LB_U8] = {"U8", 1}, [LB_BOOL] = {"BOOL", 1},
    [LB_F8_E4M3] = {"F8_E4M3", 1}, [LB_F8_E5M2] = {"F8_E5M2", 1}, [LB_F8_E8M0] = {"F8_E8M0", 1}, [LB_U16] = {"U16", 2},
    [LB_U32] = {"U32", 4}, [LB_U64] = {"U64", 8},
};

size_t lb_dtype_bytes(lb_dtype t) { return types[t].bytes; }
const char *lb_dtype_name(lb_dtype t) { return types[t].name; }

lb_dtype lb_dtype_of(const char *name)
{
    int t = 0;
    while (t < LB_N_DTYPE && strcmp(types[t].name, name) != 0) t++;
    return (lb_dtype)t;
}

float lb_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, man = h & 1023, u;
    if (exp == 31) {
        u = sign | 0x7f800000u | man << 13;
    } else if (exp) {
        u = sign | (exp + 112) << 23 | man << 13;
    } else if (man == 0) {
        u = sign;
    } else { /* subnormal: shift the leading one into place */
        int shift = __builtin_clz(man) - 21;
        u = sign | (uint32_t)(113 - shift) << 23 | (man << shift & 1023) << 13;
    }
    float f;
    memcpy(&f, &u, 4);
    return f;
}

uint16_t lb_to_f16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    u &= 0x7fffffffu;
    if (u > 0x7f800000u) return sign | 0x7e00;
    if (u >= 0x477ff000u) return sign | 0x7c00; /* 65520 and above round to infinity */
    if (u >= 0x38800000u) {                     /* normal */
        u += 0xfffu + (u >> 13 & 1);
        return sign | (uint16_t)((u - 0x38000000u) >> 13);
    }
    if (u < 0x33000000u) return sign;           /* below half of the smallest subnormal */
    int shift = 126 - (int)(u >> 23);           /* subnormal: 24-bit mantissa moves right by 14…24 */
    uint32_t man = (u & 0x7fffffu) | 0x800000u, half = 1u << (shift - 1);
    uint32_t q = man >> shift, rest = man & ((1u << shift) - 1);
    if (rest > half || (rest == half && (q & 1))) q++;
    return sign | (uint16_t)q;
}

float lb_from_e4m3(uint8_t code)
{
    int exp = code >> 3 & 15, man = code & 7;
    if ((code & 0x7f) == 0x7f) return NAN;
    float f = (float)man * 0x1p-9f;
    uint32_t u = (uint32_t)(exp + 120) << 23 | (uint32_t)man << 20;
    if (exp) memcpy(&f, &u, 4);
    return code & 0x80 ? -f : f;
}

uint8_t lb_to_e4m3(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    uint8_t sign = (uint8_t)(u >> 24 & 0x80);
    u &= 0x7fffffffu;
    if (u > 0x7f800000u) return sign | 0x7f;
    if (u >= 0x43e00000u) return sign | 0x7e;                    /* 448 and above */
    if (u < 0x3c800000u) return sign | (uint8_t)rintf(fabsf(f) * 512); /* below 2⁻⁶: steps of 2⁻⁹; 8 of them are 2⁻⁶ */
    u += 0x7ffffu + (u >> 20 & 1);
    return sign | (uint8_t)((u >> 20) - (120u << 3));
}

float lb_from_e8m0(uint8_t code)
{
    uint32_t u = code ? (uint32_t)code << 23 : 0x00400000u; /* 2⁻¹²⁷ is below the normal range */
    float f;
    memcpy(&f, &u, 4);
    return code == 255 ? NAN : f;
}

float lb_load_f32(const void *p, lb_dtype t, size_t i)
{
    if (t == LB_F32) return ((const float *)p)[i];
    uint16_t h = ((const uint16_t *)p)[i];
    return t == LB_BF16 ? lb_from_bf16(h) : lb_from_f16(h);
}

void lb_store_f32(void *p, lb_dtype t, size_t i, float f)
{
    if (t == LB_F32) ((float *)p)[i] = f;
    else ((uint16_t *)p)[i] = t == LB_BF16 ? lb_to_bf16(f) : lb_to_f16(f);
}
