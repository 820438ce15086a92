/* kern/x86/elem_avx512.c – the avx512 rows of kern/elem.c's tables. */
#include "kern/x86/elem_x86.h"
#include "kern/x86/vec_avx512.h"
#include "kern/x86/elem.inc"

void lb_embed_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; embed(args, i0, i1); }
void lb_rmsnorm_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; rmsnorm(args, i0, i1); }
void lb_rope_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; rope(args, i0, i1); }
void lb_swiglu_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; swiglu(args, i0, i1); }
void lb_add_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; add(args, i0, i1); }
void lb_gather_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; gather(args, i0, i1); }
void lb_scatter_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; scatter(args, i0, i1); }
