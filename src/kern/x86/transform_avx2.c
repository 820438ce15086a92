/* kern/x86/transform_avx2.c – the avx2 row of kern/transform.c's table. */
#include "kern/x86/transform_x86.h"
#include "kern/x86/vec_avx2.h"
#include <math.h>

enum { MR = 4 }; /* × 2 vectors: 8 sums hide the latency of the additions, and all fit 16 registers */

/* own·sign + partner: the sum in the lower lane of each pair, the difference in the upper one; exact as a sum is. */
ALWAYS vf with_partner(vf x, vf partner, int stride)
{
    vf sign = stride == 1 ? _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1)
            : stride == 2 ? _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1)
                          : _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1);
    return v_fma(x, sign, partner);
}

/* Butterflies of strides 1 … n/2 in each group of n lanes; n = 1, 2, 4, 8. */
ALWAYS vf v_butterflies(vf x, int n)
{
    if (n > 1) x = with_partner(x, _mm256_permute_ps(x, 0xb1), 1);
    if (n > 2) x = with_partner(x, _mm256_permute_ps(x, 0x4e), 2);
    if (n > 4) x = with_partner(x, _mm256_permute2f128_ps(x, x, 0x01), 4);
    return x;
}

#include "kern/x86/transform.inc"

void lb_transform_avx2(const void *args, int r0, int r1, lb_exec *ex) { (void)ex; transform(args, r0, r1); }
