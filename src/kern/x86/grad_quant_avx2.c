/* kern/x86/grad_quant_avx2.c – the avx2 rows of kern/grad_quant.c's tables. */
#include "kern/x86/grad_quant_x86.h"
#include "kern/x86/vec_avx2.h"

/* x where a == b, 0 elsewhere. */
ALWAYS vf v_if_equal(vf a, vf b, vf x) { return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ), x); }
#include "kern/x86/grad_quant.inc"

void lb_fake_quant_avx2(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; fake_quant(args, i0, i1); }
void lb_fake_quant_back_avx2(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; fake_quant_back(args, i0, i1); }
