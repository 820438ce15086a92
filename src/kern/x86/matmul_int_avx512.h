/* kern/x86/matmul_int_avx512.h – the words of matmul_int.inc for 16 lanes: codes are the unsigned bytes of vpdpbusd,
 * activations its signed ones. Tiles of 32 rows × 12 tokens (24 of 32 registers accumulate). */
#ifndef LB_KERN_X86_MATMUL_INT_AVX512_H
#define LB_KERN_X86_MATMUL_INT_AVX512_H
#include "kern/x86/matmul_int.h"
#include <immintrin.h>
#include <math.h>

#define LANES 16
#define CHAINS(width) ((width) == 1 ? 4 / PLANES : (width) == 2 ? 2 : 1) /* a vpdpbusd takes 5 cycles, two start each */
enum { COLS = 4, T_FEW = 8, T_MAX = 12 };
typedef __m512i vi;
typedef __m512 vf;

INLINE vi vi_zero(void) { return _mm512_setzero_si512(); }
INLINE vi vi_load(const vi *p) { return _mm512_load_si512(p); }
INLINE void vi_store(vi *p, vi v) { _mm512_store_si512(p, v); }
INLINE vi vi_all(const int32_t *p) { return _mm512_set1_epi32(*p); }
INLINE vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
INLINE vi vi_times_256(vi a) { return _mm512_slli_epi32(a, 8); }
INLINE vi vi_mac(vi acc, vi codes, vi words) { return _mm512_dpbusd_epi32(acc, codes, words); }
INLINE vf vf_zero(void) { return _mm512_setzero_ps(); }
INLINE vf vf_all(const float *p) { return _mm512_set1_ps(*p); }
INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vf_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
INLINE __mmask16 from_to(int i, int j) { return (__mmask16)((1u << j) - (1u << i)); }
INLINE vf vf_load_part(const float *p, int i, int j) { return _mm512_maskz_loadu_ps(from_to(i, j), p); }
INLINE void vf_store_part(float *p, vf v, int i, int j) { _mm512_mask_storeu_ps(p, from_to(i, j), v); }
INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vf vf_of(vi v) { return _mm512_cvtepi32_ps(v); }

/* Operand i: columns 4i…4i+3 of the unit. */
INLINE vi vi_code(int format, const uint8_t *p, int i)
{
    const vi three = _mm512_set1_epi8(3), four = _mm512_set1_epi8(4), fifteen = _mm512_set1_epi8(15);
    if (format == 8) return _mm512_loadu_si512(p + 64 * i);
    if (bits_of(format) == 4) {
        vi v = _mm512_loadu_si512(p + 64 * (i / 2));
        v = _mm512_and_si512(i % 2 ? _mm512_srli_epi16(v, 4) : v, fifteen);
        if (format == 4) return v;
        return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_load_si128((const void *)e2m1_code)), v);
    }
    vi low = _mm512_loadu_si512(p + 64 * (i / 4));
    if (format == INT2H) {
        low = i % 4 ? _mm512_srli_epi16(low, (unsigned)(2 * (i % 4) - 1)) : _mm512_slli_epi16(low, 1);
        return _mm512_and_si512(low, _mm512_set1_epi8(6));
    }
    low = _mm512_and_si512(i % 4 ? _mm512_srli_epi16(low, (unsigned)(2 * (i % 4))) : low, three);
    if (format == 2) return low;
    vi high = _mm512_loadu_si512(p + 128);
    high = i < 2 ? _mm512_slli_epi16(high, (unsigned)(2 - i)) : _mm512_srli_epi16(high, (unsigned)(i - 2));
    return _mm512_ternarylogic_epi32(low, high, four, 0xf8); /* low | (high & 4) */
}

/* zero · Σq by one vpdpwssd: the 16-bit halves of a lane are zero and 128·zero; those of the word are −lo and −hi of
 * Σq = lo + 128·hi. */
INLINE vi vi_zeros(const uint8_t *p)
{
    vi z = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm512_or_si512(z, _mm512_slli_epi32(z, 23));
}
INLINE vi vi_sub(vi s, vi zeros, vi sum) { return _mm512_dpwssd_epi32(s, zeros, sum); }
/* Such a word of Σq of n values; |hi| ≤ 32639 at 128 of 16 bits. */
static inline int32_t sum_word(const int16_t *q, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) sum += q[i];
    return (int32_t)((uint32_t)(-(sum & 127) & 0xffff) | (uint32_t)-(sum >> 7) << 16);
}

/* offset · Σ(code − zero) over n columns in the same way: halves lo and hi of the sum C = lo + 128·hi, and a word of
 * −offset and −128·offset. |C| ≤ 255·1024. */
INLINE vi vi_ones(void) { return _mm512_set1_epi8(1); }
INLINE vi vi_row_sum(vi codes, vi zeros, int n)
{
    vi zero = _mm512_and_si512(zeros, _mm512_set1_epi32(255));
    vi c = _mm512_sub_epi32(codes, _mm512_mullo_epi32(zero, _mm512_set1_epi32(n)));
    return _mm512_or_si512(_mm512_and_si512(c, _mm512_set1_epi32(127)), _mm512_slli_epi32(_mm512_srai_epi32(c, 7), 16));
}
INLINE int32_t offset_word(int offset)
{
    return (int32_t)((uint32_t)(-offset & 0xffff) | (uint32_t)(-128 * offset) << 16);
}

INLINE vi from_bytes(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
INLINE vf vf_e8m0(const uint8_t *p) /* 2⁻¹²⁷ is below the normal range; 255 is NaN */
{
    vi b = from_bytes(p), u = _mm512_max_epi32(_mm512_slli_epi32(b, 23), _mm512_set1_epi32(0x00400000));
    __mmask16 nan = _mm512_cmpeq_epi32_mask(b, _mm512_set1_epi32(255));
    return _mm512_castsi512_ps(_mm512_mask_set1_epi32(u, nan, 0x7fc00000));
}
INLINE vf vf_e4m3(const uint8_t *p) /* as f16 it is 2⁻⁸ of what it should be, subnormals too */
{
    vi b = from_bytes(p), low = _mm512_and_si512(b, _mm512_set1_epi32(127));
    vi half = _mm512_or_si512(_mm512_slli_epi32(low, 7), _mm512_slli_epi32(_mm512_sub_epi32(b, low), 8));
    vf v = _mm512_mul_ps(_mm512_cvtph_ps(_mm512_cvtepi32_epi16(half)), _mm512_set1_ps(256));
    __mmask16 nan = _mm512_cmpeq_epi32_mask(low, _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_mask_set1_epi32(_mm512_castps_si512(v), nan, 0x7fc00000));
}

INLINE vf vf_scales(lb_dtype type, const uint8_t *p)
{
    if (type == LB_F32) return _mm512_loadu_ps(p);
    __m256i h = _mm256_loadu_si256((const __m256i *)p);
    if (type == LB_F16) return _mm512_cvtph_ps(h);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
#endif
