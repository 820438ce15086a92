/* kern/x86/matmul_avx512.h – the words of matmul_float.inc for 16 lanes, but for v_fma. */
#ifndef LB_KERN_X86_MATMUL_AVX512_H
#define LB_KERN_X86_MATMUL_AVX512_H
#include "kern/x86/matmul_x86.h"
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#define LANES 16
typedef __m512 vec;

INLINE vec v_zero(void) { return _mm512_setzero_ps(); }
INLINE vec v_load(const void *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(float *p, vec v) { _mm512_storeu_ps(p, v); }
INLINE void v_store_part(float *p, vec v, int i, int j)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << j) - (1u << i)), v);
}
INLINE vec v_load_part(const float *p, int n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
INLINE vec v_all(const float *p) { return _mm512_set1_ps(*p); }
INLINE vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }

INLINE vec v_row(const void *p, int n)
{
    return _mm512_castsi512_ps(_mm512_maskz_loadu_epi8(n < 64 ? (__mmask64)((1ull << n) - 1) : ~(__mmask64)0, p));
}

INLINE vec v_half(lb_dtype type, vec v, int h)
{
    __m512i u = _mm512_castps_si512(v);
    if (type == LB_F16) return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(h ? _mm512_srli_epi32(u, 16) : u));
    return _mm512_castsi512_ps(h ? _mm512_and_si512(u, _mm512_set1_epi32((int)0xffff0000u)) : _mm512_slli_epi32(u, 16));
}

/* Four levels of a butterfly: 32-bit, 64-bit, then 128-bit pieces. */
INLINE void v_transpose(vec v[16])
{
    __m512d d[16];
    vec q[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 4) {
        __m512d ab = _mm512_castps_pd(_mm512_unpacklo_ps(v[i], v[i + 1]));
        __m512d AB = _mm512_castps_pd(_mm512_unpackhi_ps(v[i], v[i + 1]));
        __m512d cd = _mm512_castps_pd(_mm512_unpacklo_ps(v[i + 2], v[i + 3]));
        __m512d CD = _mm512_castps_pd(_mm512_unpackhi_ps(v[i + 2], v[i + 3]));
        d[i] = _mm512_unpacklo_pd(ab, cd), d[i + 1] = _mm512_unpackhi_pd(ab, cd);
        d[i + 2] = _mm512_unpacklo_pd(AB, CD), d[i + 3] = _mm512_unpackhi_pd(AB, CD);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {       /* d[4g+i]: columns i, i+4, i+8, i+12 of rows 4g…4g+3, 128 bits each */
        vec a = _mm512_castpd_ps(d[i]), b = _mm512_castpd_ps(d[i + 4]);
        vec c = _mm512_castpd_ps(d[i + 8]), e = _mm512_castpd_ps(d[i + 12]);
        q[0] = _mm512_shuffle_f32x4(a, b, 0x88), q[1] = _mm512_shuffle_f32x4(a, b, 0xdd);
        q[2] = _mm512_shuffle_f32x4(c, e, 0x88), q[3] = _mm512_shuffle_f32x4(c, e, 0xdd);
        v[i] = _mm512_shuffle_f32x4(q[0], q[2], 0x88), v[i + 8] = _mm512_shuffle_f32x4(q[0], q[2], 0xdd);
        v[i + 4] = _mm512_shuffle_f32x4(q[1], q[3], 0x88), v[i + 12] = _mm512_shuffle_f32x4(q[1], q[3], 0xdd);
    }
}
#endif
