/* kern/x86/matmul_int_avx2.h – the words of matmul_int.inc for 8 lanes: codes spread to 16 bits meet 16-bit
 * activations by vpmaddwd, which cannot saturate where vpmaddubsw would (8-bit codes × 8-bit activations). Tiles of 16
 * rows × 6 tokens (12 of 16 registers accumulate). */
#ifndef LB_KERN_X86_MATMUL_INT_AVX2_H
#define LB_KERN_X86_MATMUL_INT_AVX2_H
#include "kern/x86/matmul_int.h"
#include <immintrin.h>
#include <math.h>

#define LANES 8
#define CHAINS(width) 1 /* the chain is a vpaddd: one cycle */
enum { COLS = 2, PLANES = 1, T_FEW = 4, T_MAX = 6 };
typedef __m256i vi;
typedef __m256 vf;

INLINE vi vi_zero(void) { return _mm256_setzero_si256(); }
INLINE vi vi_load(const vi *p) { return _mm256_load_si256(p); }
INLINE void vi_store(vi *p, vi v) { _mm256_store_si256(p, v); }
INLINE vi vi_all(const int32_t *p) { return _mm256_set1_epi32(*p); }
INLINE vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
INLINE vi vi_times_256(vi a) { return _mm256_slli_epi32(a, 8); }
INLINE vi vi_mac(vi acc, vi codes, vi words) { return _mm256_add_epi32(acc, _mm256_madd_epi16(codes, words)); }
INLINE vf vf_zero(void) { return _mm256_setzero_ps(); }
INLINE vf vf_all(const float *p) { return _mm256_broadcast_ss(p); }
INLINE vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void vf_store(float *p, vf v) { _mm256_storeu_ps(p, v); }
INLINE vi from_to(int i, int j)
{
    const vi lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    vi below_i = _mm256_cmpgt_epi32(_mm256_set1_epi32(i), lane);
    return _mm256_andnot_si256(below_i, _mm256_cmpgt_epi32(_mm256_set1_epi32(j), lane));
}
INLINE vf vf_load_part(const float *p, int i, int j) { return _mm256_maskload_ps(p, from_to(i, j)); }
INLINE void vf_store_part(float *p, vf v, int i, int j) { _mm256_maskstore_ps(p, from_to(i, j), v); }
INLINE vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vf vf_of(vi v) { return _mm256_cvtepi32_ps(v); }

INLINE vi shift16(vi v, int by) { return by < 0 ? _mm256_slli_epi16(v, -by) : by > 0 ? _mm256_srli_epi16(v, by) : v; }

/* Operand i: of the four columns 4c…4c+3, c = i/2, the even two or the odd two; a lane's bytes 0 and 2, or 1 and 3. */
INLINE vi vi_code(int format, const uint8_t *p, int i)
{
    int c = i / 2, byte = 8 * (i % 2);
    if (format == 8) {
        vi v = _mm256_loadu_si256((const vi *)(p + 64 * c));
        return byte ? _mm256_srli_epi16(v, 8) : _mm256_and_si256(v, _mm256_set1_epi16(255));
    }
    if (bits_of(format) == 4) {
        vi v = _mm256_loadu_si256((const vi *)(p + 64 * (c / 2)));
        if (byte && c % 2) v = _mm256_srli_epi16(v, 12);
        else v = _mm256_and_si256(shift16(v, byte + 4 * (c % 2)), _mm256_set1_epi16(15));
        if (format == 4) return v;
        vi all = _mm256_broadcastsi128_si256(_mm_load_si128((const void *)e2m1_code));
        return _mm256_and_si256(_mm256_shuffle_epi8(all, v), _mm256_set1_epi16(255));
    }
    vi low = _mm256_loadu_si256((const vi *)(p + 64 * (c / 4)));
    if (format == INT2H) return _mm256_and_si256(shift16(low, byte + 2 * (c % 4) - 1), _mm256_set1_epi16(6));
    low = _mm256_and_si256(shift16(low, byte + 2 * (c % 4)), _mm256_set1_epi16(3));
    if (format == 2) return low;
    vi high = shift16(_mm256_loadu_si256((const vi *)(p + 128)), byte + c - 2);
    return _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi16(4)));
}

INLINE vi vi_zeros(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
INLINE vi vi_sub(vi s, vi zeros, vi sum) { return _mm256_sub_epi32(s, _mm256_mullo_epi32(zeros, sum)); }

static int32_t sum_word(const int16_t *q, int n)
{
    int32_t sum = 0;
    for (int i = 0; i < n; i++) sum += q[i];
    return sum;
}

static void words(const int16_t *q, int n, int32_t *out)
{
    for (int i = 0; i < n; i += 4) {
        out[i / 2] = (int32_t)((uint32_t)(uint16_t)q[i] | (uint32_t)(uint16_t)q[i + 2] << 16);
        out[i / 2 + 1] = (int32_t)((uint32_t)(uint16_t)q[i + 1] | (uint32_t)(uint16_t)q[i + 3] << 16);
    }
}

INLINE vi from_bytes(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
/* v, or NaN where a is b. */
INLINE vf nan_if(vf v, vi a, int b)
{
    vi is = _mm256_cmpeq_epi32(a, _mm256_set1_epi32(b));
    return _mm256_or_ps(v, _mm256_castsi256_ps(_mm256_and_si256(is, _mm256_set1_epi32(0x7fc00000))));
}
INLINE vf vf_e8m0(const uint8_t *p) /* 2⁻¹²⁷ is below the normal range; 255 is NaN */
{
    vi b = from_bytes(p), u = _mm256_max_epi32(_mm256_slli_epi32(b, 23), _mm256_set1_epi32(0x00400000));
    return nan_if(_mm256_castsi256_ps(u), b, 255);
}
INLINE vf vf_e4m3(const uint8_t *p) /* as f16 it is 2⁻⁸ of what it should be, subnormals too */
{
    vi b = from_bytes(p), low = _mm256_and_si256(b, _mm256_set1_epi32(127));
    vi half = _mm256_or_si256(_mm256_slli_epi32(low, 7), _mm256_slli_epi32(_mm256_sub_epi32(b, low), 8));
    __m128i pack = _mm_packus_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    return nan_if(_mm256_mul_ps(_mm256_cvtph_ps(pack), _mm256_set1_ps(256)), low, 127);
}

INLINE vf vf_scales(lb_dtype type, const uint8_t *p)
{
    if (type == LB_F32) return _mm256_loadu_ps((const float *)p);
    __m128i h = _mm_loadu_si128((const __m128i *)p);
    if (type == LB_F16) return _mm256_cvtph_ps(h);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
#endif
