/* kern/x86/step_avx512.c – the avx512 rows of kern/step.c's tables: its own loops, vectorized for this processor. */
#include "kern/x86/step_x86.h"
#include "kern/step.inc"

void lb_adamw_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; adamw(args, i0, i1); }
void lb_sign_step_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; sign_step(args, i0, i1); }
void lb_squares_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; squares(args, i0, i1); }
void lb_times_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; times(args, i0, i1); }
