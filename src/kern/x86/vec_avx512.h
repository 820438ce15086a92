/* kern/x86/vec_avx512.h – a vector of 16 floats: the words that attn.inc and elem.inc are written in.
 *
 * The same names stand in vec_avx2.h for 8 floats. `_n` forms touch only the first n elements of memory (1 ≤ n ≤ VW)
 * and read the others as 0. A pair is 2·VW consecutive elements in two vectors, split in whatever way loads cheapest;
 * v_pair_join puts them into order. */
#ifndef LB_KERN_X86_VEC_AVX512_H
#define LB_KERN_X86_VEC_AVX512_H
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define V_DOT /* has integer dots of bytes */
enum { VW = 16 };
typedef __m512 vf;
typedef __m512i vi;
typedef struct vpair { vf a, b; } vpair;
#define ALWAYS static inline __attribute__((always_inline))

ALWAYS __mmask16 v_mask(int n) { return (__mmask16)((1u << n) - 1); }
ALWAYS vf v_zero(void) { return _mm512_setzero_ps(); }
ALWAYS vf v_set1(float x) { return _mm512_set1_ps(x); }
ALWAYS vf v_load(const float *p) { return _mm512_loadu_ps(p); }
ALWAYS void v_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
ALWAYS vf v_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(v_mask(n), p); }
ALWAYS void v_store_n(float *p, vf x, int n) { _mm512_mask_storeu_ps(p, v_mask(n), x); }
ALWAYS vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }       /* a·b + c */
ALWAYS vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }     /* c − a·b */
ALWAYS vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }                  /* b if either is NaN */
ALWAYS vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
ALWAYS float v_lane0(vf x) { return _mm512_cvtss_f32(x); }
ALWAYS float v_hmax(vf x) { return _mm512_reduce_max_ps(x); }
ALWAYS float v_hsum(vf x)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
ALWAYS vf v_round(vf x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
ALWAYS vf v_ldexp(vf x, vf n) { return _mm512_scalef_ps(x, n); }             /* x·2ⁿ, n whole, −150 ≤ n ≤ 129 */
/* The first n lanes of x, `other` in the rest; n may be anything. */
ALWAYS vf v_first(vf x, int n, vf other)
{
    return n >= VW ? x : n <= 0 ? other : _mm512_mask_blend_ps(v_mask(n), other, x);
}

/* ---- 16-bit numbers ---- */
ALWAYS vf v_of_bf16(__m256i h) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16)); }
ALWAYS vf v_load_bf16(const uint16_t *p) { return v_of_bf16(_mm256_loadu_si256((const void *)p)); }
ALWAYS vf v_load_bf16_n(const uint16_t *p, int n) { return v_of_bf16(_mm256_maskz_loadu_epi16(v_mask(n), p)); }
ALWAYS vf v_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p)); }
ALWAYS vf v_load_f16_n(const uint16_t *p, int n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(v_mask(n), p)); }
/* Ties to even, NaN stays a quiet NaN: lb_to_bf16 in num/dtype.h. */
ALWAYS void v_store_bf16_n(uint16_t *p, vf x, int n)
{
    vi u = _mm512_castps_si512(x), one = _mm512_set1_epi32(1), up = _mm512_srli_epi32(u, 16);
    vi even = _mm512_add_epi32(_mm512_and_si512(up, one), _mm512_set1_epi32(0x7fff));
    vi r = _mm512_srli_epi32(_mm512_add_epi32(u, even), 16);
    r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), up, _mm512_set1_epi32(0x40));
    _mm256_mask_storeu_epi16(p, v_mask(n), _mm512_cvtepi32_epi16(r));
}

/* ---- integer lanes ---- */
ALWAYS vi v_words(const void *p) { return _mm512_loadu_si512(p); }
ALWAYS vi v_words8(const void *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128(p)); }      /* VW u8 */
ALWAYS vi v_set1i(int x) { return _mm512_set1_epi32(x); }
ALWAYS vi v_and(vi a, vi b) { return _mm512_and_si512(a, b); }
ALWAYS vi v_or(vi a, vi b) { return _mm512_or_si512(a, b); }
ALWAYS vi v_shift(vi x, int left)
{
    return left >= 0 ? _mm512_slli_epi32(x, (unsigned)left) : _mm512_srli_epi32(x, (unsigned)-left);
}
ALWAYS vf v_as_float(vi x) { return _mm512_castsi512_ps(x); }
ALWAYS vf v_of_int(vi x) { return _mm512_cvtepi32_ps(x); }
/* The first n lanes, whole numbers from 0 to 255. */
ALWAYS void v_store_u8_n(uint8_t *p, vf x, int n)
{
    _mm512_mask_cvtepi32_storeu_epi8(p, v_mask(n), _mm512_cvtps_epi32(x));
}
/* Bit 4·lane + i of the 64 at p, as 0 or 1: lanes lane0… */
ALWAYS vi v_bit_of4(const char *p, int lane0, int i)
{
    (void)lane0;
    int32_t lo, hi;
    memcpy(&lo, p, 4);
    memcpy(&hi, p + 4, 4);
    vi x = _mm512_inserti64x4(_mm512_set1_epi32(lo), _mm256_set1_epi32(hi), 1);
    const vi by = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
    return v_and(_mm512_srlv_epi32(x, _mm512_add_epi32(by, _mm512_set1_epi32(i))), _mm512_set1_epi32(1));
}

/* ---- pairs ---- */
/* 32 bf16: the even ones in a, the odd ones in b: a shift and a mask instead of two widening shuffles. */
ALWAYS vpair v_pair_of_bf16(vi x)
{
    return (vpair){_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                   _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000)))};
}
ALWAYS vpair v_pair_bf16(const void *p) { return v_pair_of_bf16(_mm512_loadu_si512(p)); }
ALWAYS vpair v_pair_bf16_n(const void *p, int n) { return v_pair_of_bf16(_mm512_maskz_loadu_epi32(v_mask(n / 2), p)); }
ALWAYS vpair v_pair_join(vpair x)
{
    const vi lo = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const vi hi = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return (vpair){_mm512_permutex2var_ps(x.a, lo, x.b), _mm512_permutex2var_ps(x.a, hi, x.b)};
}

/* ---- angles ---- */
/* x = q·π/2 + r with |r| ≤ π/4: the product in double, so that r keeps f32 accuracy up to |x| = 1e9. */
ALWAYS __m256 v_reduce_half(__m256 x, __m256i *q)
{
    __m512d d = _mm512_cvtps_pd(x);
    __m512d n = _mm512_roundscale_pd(d * _mm512_set1_pd(0.63661977236758134308), _MM_FROUND_TO_NEAREST_INT);
    *q = _mm512_cvtpd_epi32(n);
    return _mm512_cvtpd_ps(_mm512_fnmadd_pd(n, _mm512_set1_pd(1.57079632679489661923), d));
}
ALWAYS vf v_reduce(vf x, vi *q)
{
    __m256i qa, qb;
    __m256 a = v_reduce_half(_mm512_castps512_ps256(x), &qa), b = v_reduce_half(_mm512_extractf32x8_ps(x, 1), &qb);
    *q = _mm512_inserti64x4(_mm512_castsi256_si512(qa), qb, 1);
    return _mm512_insertf32x8(_mm512_castps256_ps512(a), b, 1);
}
ALWAYS vi v_inc(vi q) { return _mm512_add_epi32(q, _mm512_set1_epi32(1)); }
ALWAYS vf v_if_odd(vi q, vf yes, vf no)
{
    return _mm512_mask_blend_ps(_mm512_test_epi32_mask(q, _mm512_set1_epi32(1)), no, yes);
}
/* x with its sign flipped where bit 1 of q is set. */
ALWAYS vf v_flip(vi q, vf x)
{
    vi s = _mm512_slli_epi32(_mm512_and_si512(q, _mm512_set1_epi32(2)), 30);
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(x), s));
}
#endif
