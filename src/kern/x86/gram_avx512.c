/* kern/x86/gram_avx512.c – the avx512 row of kern/gram.c's table: tiles of 8 × 48 in 24 registers. */
#include "kern/x86/gram_x86.h"
#include "kern/x86/outer_avx512.h"
#include "kern/x86/gram.inc"

void lb_gram_avx512(const void *args, int i0, int i1, lb_exec *ex) { gram(args, i0, i1, lb_exec_scratch(ex)); }
