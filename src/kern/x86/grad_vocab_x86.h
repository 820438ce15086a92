/* kern/x86/grad_vocab_x86.h – rows of kern/grad_vocab.c's table for AVX2 and AVX-512 (kern/op.h explains the
 * arguments). */
#ifndef LB_KERN_X86_GRAD_VOCAB_X86_H
#define LB_KERN_X86_GRAD_VOCAB_X86_H
#include "kern/grad_vocab.h"

void lb_vocab_rows_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_vocab_rows_avx512(const void *args, int i0, int i1, lb_exec *ex);
#endif
