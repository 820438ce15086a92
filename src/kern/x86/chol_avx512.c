/* kern/x86/chol_avx512.c – the avx512 row of kern/chol.c's table: tiles of 8 × 24 doubles. */
#include "kern/x86/chol_x86.h"
#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))
enum { PANEL = LB_CHOL_PANEL, LANES = 8, TILE_ROWS = 8 };
typedef double real;
typedef __m512d vec;
ALWAYS vec o_zero(void) { return _mm512_setzero_pd(); }
ALWAYS vec o_all(double x) { return _mm512_set1_pd(x); }
ALWAYS vec o_load(const double *p) { return _mm512_loadu_pd(p); }
ALWAYS void o_store(double *p, vec v) { _mm512_storeu_pd(p, v); }
ALWAYS vec o_load_n(const double *p, int n) { (void)n; return o_load(p); }     /* panels are whole */
ALWAYS void o_store_n(double *p, vec v, int n) { (void)n; o_store(p, v); }
ALWAYS vec o_step(vec a, vec b, vec c) { return _mm512_fnmadd_pd(a, b, c); }
#include "kern/x86/outer.inc"

static void minus(const double *a, const double *b, int depth, double *c, size_t ldc)
{
    outer(a, b, depth, c, ldc, PANEL, PANEL);
}

void lb_chol_avx512(const void *args, int u0, int u1, lb_exec *ex)
{
    (void)ex;
    const lb_chol_step *s = args;
    for (int u = u0; u < u1; u++) {
        if (s->stage == 0) lb_chol_columns(s, u, minus);
        else lb_chol_rows(s, u, minus);
    }
}
