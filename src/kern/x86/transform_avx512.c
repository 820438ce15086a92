/* kern/x86/transform_avx512.c – the avx512 row of kern/transform.c's table. */
#include "kern/x86/transform_x86.h"
#include "kern/x86/vec_avx512.h"
#include <math.h>

enum { MR = 8 }; /* × 2 vectors: 16 sums, and half as many loads as products */

/* own·sign + partner: the sum in the lower lane of each pair, the difference in the upper one; exact as a sum is. */
ALWAYS vf with_partner(vf x, vf partner, __mmask16 upper)
{
    return v_fma(x, _mm512_mask_blend_ps(upper, v_set1(1), v_set1(-1)), partner);
}

/* Butterflies of strides 1 … n/2 in each group of n lanes; n = 1, 2, 4, 8, 16. */
ALWAYS vf v_butterflies(vf x, int n)
{
    if (n > 1) x = with_partner(x, _mm512_permute_ps(x, 0xb1), 0xaaaa);
    if (n > 2) x = with_partner(x, _mm512_permute_ps(x, 0x4e), 0xcccc);
    if (n > 4) x = with_partner(x, _mm512_shuffle_f32x4(x, x, 0xb1), 0xf0f0);
    if (n > 8) x = with_partner(x, _mm512_shuffle_f32x4(x, x, 0x4e), 0xff00);
    return x;
}

#include "kern/x86/transform.inc"

void lb_transform_avx512(const void *args, int r0, int r1, lb_exec *ex) { (void)ex; transform(args, r0, r1); }
