/* kern/x86/gram_avx2.c – the avx2 row of kern/gram.c's table: tiles of 4 × 24 in 12 registers. */
#include "kern/x86/gram_x86.h"
#include "kern/x86/outer_avx2.h"
#include "kern/x86/gram.inc"

void lb_gram_avx2(const void *args, int i0, int i1, lb_exec *ex) { gram(args, i0, i1, lb_exec_scratch(ex)); }
