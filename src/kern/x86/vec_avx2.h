/* kern/x86/vec_avx2.h – a vector of 8 floats: the same words as vec_avx512.h, where they are explained. */
#ifndef LB_KERN_X86_VEC_AVX2_H
#define LB_KERN_X86_VEC_AVX2_H
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { VW = 8 };
typedef __m256 vf;
typedef __m256i vi;
typedef struct vpair { vf a, b; } vpair;
#define ALWAYS static inline __attribute__((always_inline))

/* All ones in the first n lanes; n may be anything. */
ALWAYS vi v_mask(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
ALWAYS vf v_zero(void) { return _mm256_setzero_ps(); }
ALWAYS vf v_set1(float x) { return _mm256_set1_ps(x); }
ALWAYS vf v_load(const float *p) { return _mm256_loadu_ps(p); }
ALWAYS void v_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
ALWAYS vf v_load_n(const float *p, int n) { return _mm256_maskload_ps(p, v_mask(n)); }
ALWAYS void v_store_n(float *p, vf x, int n) { _mm256_maskstore_ps(p, v_mask(n), x); }
ALWAYS vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
ALWAYS vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
ALWAYS vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
ALWAYS vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
ALWAYS float v_lane0(vf x) { return _mm256_cvtss_f32(x); }
ALWAYS float v_hmax(vf x)
{
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
ALWAYS float v_hsum(vf x)
{
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
ALWAYS vf v_round(vf x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* In two steps, so that results below the normal range are rounded once. */
ALWAYS vf v_ldexp(vf x, vf n)
{
    vi k = _mm256_cvtps_epi32(n), k1 = _mm256_srai_epi32(k, 1), k2 = _mm256_sub_epi32(k, k1);
    vi bias = _mm256_set1_epi32(127);
    vf s1 = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(k1, bias), 23));
    vf s2 = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(k2, bias), 23));
    return x * s1 * s2;
}
ALWAYS vf v_first(vf x, int n, vf other) { return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(v_mask(n))); }

/* ---- 16-bit numbers ---- */
ALWAYS __m128i v_load_u16_n(const uint16_t *p, int n)
{
    uint16_t h[8] = {0};
    memcpy(h, p, 2 * (size_t)n);
    return _mm_loadu_si128((const void *)h);
}
ALWAYS vf v_of_bf16(__m128i h) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16)); }
ALWAYS vf v_load_bf16(const uint16_t *p) { return v_of_bf16(_mm_loadu_si128((const void *)p)); }
ALWAYS vf v_load_bf16_n(const uint16_t *p, int n) { return v_of_bf16(v_load_u16_n(p, n)); }
ALWAYS vf v_load_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p)); }
ALWAYS vf v_load_f16_n(const uint16_t *p, int n) { return _mm256_cvtph_ps(v_load_u16_n(p, n)); }
ALWAYS void v_store_bf16_n(uint16_t *p, vf x, int n)
{
    vi u = _mm256_castps_si256(x), one = _mm256_set1_epi32(1), up = _mm256_srli_epi32(u, 16);
    vi even = _mm256_add_epi32(_mm256_and_si256(up, one), _mm256_set1_epi32(0x7fff));
    vi r = _mm256_srli_epi32(_mm256_add_epi32(u, even), 16);
    vi nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    r = _mm256_blendv_epi8(r, _mm256_or_si256(up, _mm256_set1_epi32(0x40)), nan);
    __m128i h = _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
    if (n >= VW) {
        _mm_storeu_si128((void *)p, h);
        return;
    }
    uint16_t t[8];
    _mm_storeu_si128((void *)t, h);
    memcpy(p, t, 2 * (size_t)n);
}

/* ---- integer lanes ---- */
ALWAYS vi v_words(const void *p) { return _mm256_loadu_si256(p); }
ALWAYS vi v_words8(const void *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64(p)); }
ALWAYS vi v_set1i(int x) { return _mm256_set1_epi32(x); }
ALWAYS vi v_and(vi a, vi b) { return _mm256_and_si256(a, b); }
ALWAYS vi v_or(vi a, vi b) { return _mm256_or_si256(a, b); }
ALWAYS vi v_shift(vi x, int left) { return left >= 0 ? _mm256_slli_epi32(x, left) : _mm256_srli_epi32(x, -left); }
ALWAYS vf v_as_float(vi x) { return _mm256_castsi256_ps(x); }
ALWAYS vf v_of_int(vi x) { return _mm256_cvtepi32_ps(x); }
ALWAYS void v_store_u8_n(uint8_t *p, vf x, int n)
{
    vi i = _mm256_cvtps_epi32(x);
    __m128i h = _mm_packus_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    uint8_t b[8];
    _mm_storel_epi64((void *)b, _mm_packus_epi16(h, h));
    memcpy(p, b, (size_t)(n < VW ? n : VW));
}
ALWAYS vi v_bit_of4(const char *p, int lane0, int i)
{
    int32_t half;
    memcpy(&half, p + lane0 / 2, 4);
    vi by = _mm256_setr_epi32(i, 4 + i, 8 + i, 12 + i, 16 + i, 20 + i, 24 + i, 28 + i);
    return v_and(_mm256_srlv_epi32(_mm256_set1_epi32(half), by), _mm256_set1_epi32(1));
}

/* ---- pairs ---- */
ALWAYS vpair v_pair_of_bf16(vi x)
{
    return (vpair){_mm256_castsi256_ps(_mm256_slli_epi32(x, 16)),
                   _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32((int)0xffff0000)))};
}
ALWAYS vpair v_pair_bf16(const void *p) { return v_pair_of_bf16(_mm256_loadu_si256(p)); }
ALWAYS vpair v_pair_bf16_n(const void *p, int n) { return v_pair_of_bf16(_mm256_maskload_epi32(p, v_mask(n / 2))); }
ALWAYS vpair v_pair_join(vpair x)
{
    vf lo = _mm256_unpacklo_ps(x.a, x.b), hi = _mm256_unpackhi_ps(x.a, x.b);
    return (vpair){_mm256_permute2f128_ps(lo, hi, 0x20), _mm256_permute2f128_ps(lo, hi, 0x31)};
}

/* ---- angles ---- */
ALWAYS __m128 v_reduce_half(__m128 x, __m128i *q)
{
    __m256d d = _mm256_cvtps_pd(x), turns = d * _mm256_set1_pd(0.63661977236758134308);
    __m256d n = _mm256_round_pd(turns, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    *q = _mm256_cvtpd_epi32(n);
    return _mm256_cvtpd_ps(_mm256_fnmadd_pd(n, _mm256_set1_pd(1.57079632679489661923), d));
}
ALWAYS vf v_reduce(vf x, vi *q)
{
    __m128i qa, qb;
    __m128 a = v_reduce_half(_mm256_castps256_ps128(x), &qa), b = v_reduce_half(_mm256_extractf128_ps(x, 1), &qb);
    *q = _mm256_setr_m128i(qa, qb);
    return _mm256_setr_m128(a, b);
}
ALWAYS vi v_inc(vi q) { return _mm256_add_epi32(q, _mm256_set1_epi32(1)); }
ALWAYS vf v_if_odd(vi q, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(_mm256_slli_epi32(q, 31)));
}
ALWAYS vf v_flip(vi q, vf x)
{
    vi s = _mm256_slli_epi32(_mm256_and_si256(q, _mm256_set1_epi32(2)), 30);
    return _mm256_castsi256_ps(_mm256_xor_si256(_mm256_castps_si256(x), s));
}
#endif
