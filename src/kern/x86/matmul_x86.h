/* kern/x86/matmul_x86.h – the x86 rows of the matmul table (kern/matmul.c).
 *
 * Float weights: matmul_float.inc and matmul_bf16_amx.c say what is computed, in which order. Integer weights:
 * matmul_int.inc, and matmul_int_tiles.inc for the same numbers on AMX tiles. */
#ifndef LB_KERN_X86_MATMUL_X86_H
#define LB_KERN_X86_MATMUL_X86_H
#include "kern/matmul.h"

/* bf16, f16, f32, with activations of any kind. Both levels give the same bits. */
size_t lb_matmul_float_avx2_scratch(const void *args);
void lb_matmul_float_avx2_prep(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_matmul_float_avx2(const void *args, int row0, int row1, lb_exec *ex);
size_t lb_matmul_float_avx512_scratch(const void *args);
void lb_matmul_float_avx512_prep(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_matmul_float_avx512(const void *args, int row0, int row1, lb_exec *ex);

/* bf16 with an even number of columns: bf16 dot products, so activations are rounded to bf16. */
bool lb_matmul_bf16_fits(const void *args);
size_t lb_matmul_bf16_scratch(const void *args);
void lb_matmul_bf16_prep(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_matmul_bf16(const void *args, int row0, int row1, lb_exec *ex);

/* bf16, activations as sums of two bf16 numbers. */
bool lb_matmul_bf16_amx_fits(const void *args);
size_t lb_matmul_bf16_amx_scratch(const void *args);
void lb_matmul_bf16_amx_prep(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_matmul_bf16_amx(const void *args, int row0, int row1, lb_exec *ex);

/* int2, int3, int4, int8. All levels give the same bits. */
size_t lb_matmul_int_avx2_scratch(const void *args);
void lb_matmul_int_avx2_prep(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_matmul_int_avx2(const void *args, int row0, int row1, lb_exec *ex);
size_t lb_matmul_int_avx512_scratch(const void *args);
void lb_matmul_int_avx512_prep(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_matmul_int_avx512(const void *args, int row0, int row1, lb_exec *ex);
bool lb_matmul_int_amx_fits(const void *args);       /* groups of 64 columns or more */
size_t lb_matmul_int_amx_scratch(const void *args);
void lb_matmul_int_amx_prep(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_matmul_int_amx(const void *args, int row0, int row1, lb_exec *ex);

/* The same weights with activations of kind LB_ACT_INT. All levels give the same bits. */
size_t lb_matmul_act_avx2_scratch(const void *args);
void lb_matmul_act_avx2_prep(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_matmul_act_avx2(const void *args, int row0, int row1, lb_exec *ex);
size_t lb_matmul_act_avx512_scratch(const void *args);
void lb_matmul_act_avx512_prep(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_matmul_act_avx512(const void *args, int row0, int row1, lb_exec *ex);
bool lb_matmul_act_amx_fits(const void *args);       /* groups of 64 columns or more */
size_t lb_matmul_act_amx_scratch(const void *args);
void lb_matmul_act_amx_prep(const void *args, int unit0, int unit1, lb_exec *ex);
void lb_matmul_act_amx(const void *args, int row0, int row1, lb_exec *ex);
#endif
