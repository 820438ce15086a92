/* kern/x86/matmul_avx2.c – float weights: 8 lanes, tiles of 16 rows × 6 tokens (12 of 16 registers accumulate). */
#include "kern/x86/matmul_x86.h"
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#define LANES 8
enum { T_FEW = 3, T_MAX = 6, VECS = 2, HALVES = 1 };
typedef __m256 vec;

INLINE vec v_zero(void) { return _mm256_setzero_ps(); }
INLINE vec v_load(const void *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(float *p, vec v) { _mm256_storeu_ps(p, v); }
INLINE __m256i from_to(int i, int j)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i below_i = _mm256_cmpgt_epi32(_mm256_set1_epi32(i), lane);
    return _mm256_andnot_si256(below_i, _mm256_cmpgt_epi32(_mm256_set1_epi32(j), lane));
}
INLINE void v_store_part(float *p, vec v, int i, int j) { _mm256_maskstore_ps(p, from_to(i, j), v); }
INLINE vec v_load_part(const float *p, int n) { return _mm256_maskload_ps(p, from_to(0, n)); }
INLINE vec v_all(const float *p) { return _mm256_broadcast_ss(p); }
INLINE vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }

INLINE vec v_row(const void *p, int n)
{
    uint8_t part[32] = {0};
    memcpy(part, p, (size_t)n);
    return v_load(part);
}

INLINE vec v_half(lb_dtype type, vec v, int h)
{
    __m256i u = _mm256_castps_si256(v);
    if (type == LB_F16) {
        u = h ? _mm256_srli_epi32(u, 16) : _mm256_and_si256(u, _mm256_set1_epi32(0xffff));
        return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(u), _mm256_extracti128_si256(u, 1)));
    }
    return _mm256_castsi256_ps(h ? _mm256_and_si256(u, _mm256_set1_epi32((int)0xffff0000u)) : _mm256_slli_epi32(u, 16));
}

/* Three levels of a butterfly: 32-bit, 64-bit, then 128-bit pieces. */
INLINE void v_transpose(vec v[8])
{
    __m256d d[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 4) {
        __m256d ab = _mm256_castps_pd(_mm256_unpacklo_ps(v[i], v[i + 1]));
        __m256d AB = _mm256_castps_pd(_mm256_unpackhi_ps(v[i], v[i + 1]));
        __m256d cd = _mm256_castps_pd(_mm256_unpacklo_ps(v[i + 2], v[i + 3]));
        __m256d CD = _mm256_castps_pd(_mm256_unpackhi_ps(v[i + 2], v[i + 3]));
        d[i] = _mm256_unpacklo_pd(ab, cd), d[i + 1] = _mm256_unpackhi_pd(ab, cd);
        d[i + 2] = _mm256_unpacklo_pd(AB, CD), d[i + 3] = _mm256_unpackhi_pd(AB, CD);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++) {       /* d[4g+i]: columns i and i+4 of rows 4g…4g+3, 128 bits each */
        v[i] = _mm256_permute2f128_ps(_mm256_castpd_ps(d[i]), _mm256_castpd_ps(d[i + 4]), 0x20);
        v[i + 4] = _mm256_permute2f128_ps(_mm256_castpd_ps(d[i]), _mm256_castpd_ps(d[i + 4]), 0x31);
    }
}

#include "kern/x86/matmul_float.inc"

size_t lb_matmul_float_avx2_scratch(const void *args) { return float_bytes(args); }
void lb_matmul_float_avx2_prep(const void *args, int unit0, int unit1, lb_exec *ex)
{
    float_prep(args, unit0, lb_matmul_prep_end(args, unit1), lb_exec_scratch(ex));
}
void lb_matmul_float_avx2(const void *args, int row0, int row1, lb_exec *ex)
{
    float_run(args, row0, row1, lb_exec_scratch(ex));
}
