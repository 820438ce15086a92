/* kern/x86/grad_elem_avx512.c – the avx512 rows of kern/grad_elem.c's tables. */
#include "kern/x86/grad_elem_x86.h"
#include "kern/x86/vec_avx512.h"
#include <math.h>
#include "kern/x86/grad_elem.inc"
#include "kern/col_dot.inc"

void lb_swiglu_back_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; swiglu_back(args, i0, i1); }
void lb_rmsnorm_back_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; rmsnorm_back(args, i0, i1); }
void lb_col_dot_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; col_dot(args, i0, i1); }
