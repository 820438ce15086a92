/* kern/x86/outer_avx512.h – the words of outer.inc for floats, AVX-512, but for o_step. */
#ifndef LB_KERN_X86_OUTER_AVX512_H
#define LB_KERN_X86_OUTER_AVX512_H
#include "kern/x86/vec_avx512.h"

enum { LANES = VW, TILE_ROWS = 8 };
typedef float real;
typedef vf vec;
ALWAYS vec o_zero(void) { return v_zero(); }
ALWAYS vec o_all(float x) { return v_set1(x); }
ALWAYS vec o_load(const float *p) { return v_load(p); }
ALWAYS vec o_load_n(const float *p, int n) { return v_load_n(p, n); }
ALWAYS void o_store(float *p, vec v) { v_store(p, v); }
ALWAYS void o_store_n(float *p, vec v, int n) { v_store_n(p, v, n); }
#endif
