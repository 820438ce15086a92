/* kern/x86/chol_x86.h – rows of kern/chol.c's table, and the panel loops that they share with the definition. */
#ifndef LB_KERN_X86_CHOL_X86_H
#define LB_KERN_X86_CHOL_X86_H
#include "kern/chol.h"

/* Stage 0 and 1 of one unit; minus(a, b, depth, c, ldc): c −= Aᵀ·B for two panels of `depth` rows. */
void lb_chol_columns(const lb_chol_step *s, int q, void (*minus)(const double *, const double *, int, double *, size_t));
void lb_chol_rows(const lb_chol_step *s, int u, void (*minus)(const double *, const double *, int, double *, size_t));

void lb_chol_avx2(const void *args, int u0, int u1, lb_exec *ex);
void lb_chol_avx512(const void *args, int u0, int u1, lb_exec *ex);
#endif
