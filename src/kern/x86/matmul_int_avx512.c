/* kern/x86/matmul_int_avx512.c – integer weights, 16-bit activations as a high and a low byte. */
#include "kern/x86/matmul_int_avx512.h"

#define ACT 0
#define OFFSET 0
enum { PLANES = 2 };

static void words(const int16_t *q, int n, int32_t *out)
{
    uint8_t *hi = (uint8_t *)out, *lo = hi + n;
    for (int i = 0; i < n; i++) hi[i] = (uint8_t)((q[i] + 128) >> 8), lo[i] = (uint8_t)q[i];
}

#include "kern/x86/matmul_int.inc"

size_t lb_matmul_int_avx512_scratch(const void *args) { return split_bytes(args); }
void lb_matmul_int_avx512_prep(const void *args, int unit0, int unit1, lb_exec *ex)
{
    split(args, unit0, lb_matmul_prep_end(args, unit1), lb_exec_scratch(ex));
}
void lb_matmul_int_avx512(const void *args, int row0, int row1, lb_exec *ex)
{
    matmul_int(args, row0, row1, lb_exec_scratch(ex));
}
