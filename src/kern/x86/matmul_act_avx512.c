/* kern/x86/matmul_act_avx512.c – integer weights, quantized activations as one signed byte, code − 2^(bits−1). */
#include "kern/x86/matmul_int_avx512.h"

#define ACT 1
#define OFFSET 1
enum { PLANES = 1 };

static void words(const int16_t *q, int n, int32_t *out)
{
    int8_t *to = (int8_t *)out;
    for (int i = 0; i < n; i++) to[i] = (int8_t)q[i];
}

#include "kern/x86/matmul_int.inc"

size_t lb_matmul_act_avx512_scratch(const void *args) { return split_bytes(args); }
void lb_matmul_act_avx512_prep(const void *args, int unit0, int unit1, lb_exec *ex)
{
    split(args, unit0, lb_matmul_prep_end(args, unit1), lb_exec_scratch(ex));
}
void lb_matmul_act_avx512(const void *args, int row0, int row1, lb_exec *ex)
{
    matmul_int(args, row0, row1, lb_exec_scratch(ex));
}
