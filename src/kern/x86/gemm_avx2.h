/* kern/x86/gemm_avx2.h – the words of gemm.inc for 8 lanes: tiles of 6 rows × 16 columns (12 of 16 registers). */
#ifndef LB_KERN_X86_GEMM_AVX2_H
#define LB_KERN_X86_GEMM_AVX2_H
#include "kern/x86/vec_avx2.h"
#include <stdbool.h>
#define VECS 2

ALWAYS void v_transpose(vf v[8])
{
    vf q[8];
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {    /* q[i+c]: column c of each half of rows i…i+3 */
        vf ab = _mm256_unpacklo_ps(v[i], v[i + 1]), AB = _mm256_unpackhi_ps(v[i], v[i + 1]);
        vf cd = _mm256_unpacklo_ps(v[i + 2], v[i + 3]), CD = _mm256_unpackhi_ps(v[i + 2], v[i + 3]);
        q[i] = _mm256_shuffle_ps(ab, cd, 0x44), q[i + 1] = _mm256_shuffle_ps(ab, cd, 0xee);
        q[i + 2] = _mm256_shuffle_ps(AB, CD, 0x44), q[i + 3] = _mm256_shuffle_ps(AB, CD, 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        v[c] = _mm256_permute2f128_ps(q[c], q[4 + c], 0x20);
        v[4 + c] = _mm256_permute2f128_ps(q[c], q[4 + c], 0x31);
    }
}
#endif
