/* kern/x86/matmul_int_avx2.c – integer weights, 16-bit activations. */
#include "kern/x86/matmul_int_avx2.h"

#define ACT 0
#define OFFSET 0
#include "kern/x86/matmul_int.inc"

size_t lb_matmul_int_avx2_scratch(const void *args) { return split_bytes(args); }
void lb_matmul_int_avx2_prep(const void *args, int unit0, int unit1, lb_exec *ex)
{
    split(args, unit0, lb_matmul_prep_end(args, unit1), lb_exec_scratch(ex));
}
void lb_matmul_int_avx2(const void *args, int row0, int row1, lb_exec *ex)
{
    matmul_int(args, row0, row1, lb_exec_scratch(ex));
}
