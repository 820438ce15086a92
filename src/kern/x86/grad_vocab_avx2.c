/* kern/x86/grad_vocab_avx2.c – the avx2 row of kern/grad_vocab.c's table. */
#include "kern/x86/grad_vocab_x86.h"
#include "kern/x86/vec_avx2.h"
#include <math.h>
#include "kern/x86/grad_vocab.inc"

void lb_vocab_rows_avx2(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; vocab_rows(args, i0, i1); }
