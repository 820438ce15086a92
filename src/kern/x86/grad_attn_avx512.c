/* kern/x86/grad_attn_avx512.c – the avx512 rows of kern/grad_attn.c's tables. */
#include "kern/x86/grad_attn_x86.h"
#include "kern/x86/gemm_avx512.h"
#include <math.h>
#include "kern/x86/gemm.inc"
#include "kern/x86/grad_attn.inc"

void lb_causal_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; causal(args, i0, i1); }
void lb_causal_back_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; causal_back(args, i0, i1); }
