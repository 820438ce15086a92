/* kern/x86/matmul_int_amx.c – integer weights, 16-bit activations as a high and a low byte, on tiles. */
#include "kern/x86/matmul_int_avx512.h"

#define ACT 0
#define OFFSET ACT
#include "kern/x86/matmul_int_tiles.inc"

bool lb_matmul_int_amx_fits(const void *args) { return tiles_fit(args); }
size_t lb_matmul_int_amx_scratch(const void *args)
{
    return scratch_bytes(args, lb_matmul_int_avx512_scratch);
}
void lb_matmul_int_amx_prep(const void *args, int unit0, int unit1, lb_exec *ex)
{
    if (few(args)) lb_matmul_int_avx512_prep(args, unit0, unit1, ex);
    else
        for (int t = unit0; t < unit1; t++) token_of(args, t, lb_exec_scratch(ex));
}
void lb_matmul_int_amx(const void *args, int row0, int row1, lb_exec *ex)
{
    if (few(args)) lb_matmul_int_avx512(args, row0, row1, ex);
    else if (row0 < row1) many(args, row0, row1, lb_exec_scratch(ex));
}
