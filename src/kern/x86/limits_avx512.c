/* kern/x86/limits_avx512.c – reading and multiplying as fast as AVX-512 can. */
#include "kern/x86/limits_x86.h"
#include <immintrin.h>

uint64_t lb_limit_read_avx512(const void *p, size_t n)
{
    const char *c = p;
    __m512i a[8];
    for (int j = 0; j < 8; j++) a[j] = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 512) {
        for (int j = 0; j < 8; j++) a[j] = _mm512_or_si512(a[j], _mm512_load_si512(c + i + 64 * j));
        _mm_prefetch(c + i + 4096, _MM_HINT_T0);
        _mm_prefetch(c + i + 4096 + 256, _MM_HINT_T0);
    }
    for (int j = 1; j < 8; j++) a[0] = _mm512_or_si512(a[0], a[j]);
    return (uint64_t)_mm512_reduce_or_epi64(a[0]);
}

/* 24 independent chains cover the latency of 4 at two a cycle; the empty asm keeps each result alive. */
double lb_limit_fma_avx512(int64_t n)
{
    __m512 a[24], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
    for (int j = 0; j < 24; j++) a[j] = _mm512_set1_ps((float)j);
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < 24; j++) a[j] = _mm512_fmadd_ps(a[j], x, y);
    for (int j = 0; j < 24; j++) __asm__ volatile("" : : "v"(a[j]));
    return 24.0 * 32.0 * (double)n;
}
