/* kern/x86/gemm_avx512.c – the avx512 row of kern/gemm.c's table. */
#include "kern/x86/gemm_x86.h"
#include "kern/x86/gemm_avx512.h"
#include "kern/x86/gemm.inc"
#include "kern/x86/gemm_op.inc"

void lb_gemm_prep_avx512(const void *args, int unit0, int unit1, lb_exec *ex)
{
    gemm_prep(args, unit0, unit1, lb_exec_scratch(ex));
}
void lb_gemm_avx512(const void *args, int unit0, int unit1, lb_exec *ex)
{
    gemm(args, unit0, unit1, ((const lb_gemm *)args)->ta ? lb_exec_scratch(ex) : NULL);
}
