/* kern/x86/limits_avx2.c – reading and multiplying as fast as AVX2 can. */
#include "kern/x86/limits_x86.h"
#include <immintrin.h>

uint64_t lb_limit_read_avx2(const void *p, size_t n)
{
    const char *c = p;
    __m256i a[8];
    for (int j = 0; j < 8; j++) a[j] = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 256) {
        for (int j = 0; j < 8; j++) a[j] = _mm256_or_si256(a[j], _mm256_load_si256((const __m256i *)(const void *)(c + i + 32 * j)));
        _mm_prefetch(c + i + 4096, _MM_HINT_T0);
    }
    for (int j = 1; j < 8; j++) a[0] = _mm256_or_si256(a[0], a[j]);
    uint64_t w[4];
    _mm256_storeu_si256((__m256i *)(void *)w, a[0]);
    return w[0] | w[1] | w[2] | w[3];
}

/* 12 independent chains in 16 registers. */
double lb_limit_fma_avx2(int64_t n)
{
    __m256 a[12], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
    for (int j = 0; j < 12; j++) a[j] = _mm256_set1_ps((float)j);
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < 12; j++) a[j] = _mm256_fmadd_ps(a[j], x, y);
    for (int j = 0; j < 12; j++) __asm__ volatile("" : : "x"(a[j]));
    return 12.0 * 16.0 * (double)n;
}
