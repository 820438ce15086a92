/* kern/x86/gemm_avx512.h – the words of gemm.inc for 16 lanes: tiles of 6 rows × 64 columns (24 of 32 registers). */
#ifndef LB_KERN_X86_GEMM_AVX512_H
#define LB_KERN_X86_GEMM_AVX512_H
#include "kern/x86/vec_avx512.h"
#include <stdbool.h>
#include <string.h>
#define VECS 4

/* Four levels of a butterfly: 32-bit, 64-bit, then 128-bit pieces. */
ALWAYS void v_transpose(vf v[16])
{
    vf q[16];
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {   /* q[i+c]: column c of each 128-bit piece of rows i…i+3 */
        vf ab = _mm512_unpacklo_ps(v[i], v[i + 1]), AB = _mm512_unpackhi_ps(v[i], v[i + 1]);
        vf cd = _mm512_unpacklo_ps(v[i + 2], v[i + 3]), CD = _mm512_unpackhi_ps(v[i + 2], v[i + 3]);
        q[i] = _mm512_shuffle_ps(ab, cd, 0x44), q[i + 1] = _mm512_shuffle_ps(ab, cd, 0xee);
        q[i + 2] = _mm512_shuffle_ps(AB, CD, 0x44), q[i + 3] = _mm512_shuffle_ps(AB, CD, 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        vf lo = _mm512_shuffle_f32x4(q[c], q[4 + c], 0x88), LO = _mm512_shuffle_f32x4(q[8 + c], q[12 + c], 0x88);
        vf hi = _mm512_shuffle_f32x4(q[c], q[4 + c], 0xdd), HI = _mm512_shuffle_f32x4(q[8 + c], q[12 + c], 0xdd);
        v[c] = _mm512_shuffle_f32x4(lo, LO, 0x88), v[8 + c] = _mm512_shuffle_f32x4(lo, LO, 0xdd);
        v[4 + c] = _mm512_shuffle_f32x4(hi, HI, 0x88), v[12 + c] = _mm512_shuffle_f32x4(hi, HI, 0xdd);
    }
}
#endif
