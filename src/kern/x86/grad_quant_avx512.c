/* kern/x86/grad_quant_avx512.c – the avx512 rows of kern/grad_quant.c's tables. */
#include "kern/x86/grad_quant_x86.h"
#include "kern/x86/vec_avx512.h"

/* x where a == b, 0 elsewhere. */
ALWAYS vf v_if_equal(vf a, vf b, vf x) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ), x); }
#include "kern/x86/grad_quant.inc"

void lb_fake_quant_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; fake_quant(args, i0, i1); }
void lb_fake_quant_back_avx512(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    fake_quant_back(args, i0, i1);
}
