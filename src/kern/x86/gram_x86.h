/* kern/x86/gram_x86.h – rows of kern/gram.c's table (kern/op.h explains the arguments). Both use the same packed form:
 * gram.inc. */
#ifndef LB_KERN_X86_GRAM_X86_H
#define LB_KERN_X86_GRAM_X86_H
#include "kern/gram.h"

size_t lb_gram_scratch(const void *args);
void lb_gram_prep(const void *args, int i0, int i1, lb_exec *ex);
void lb_gram_avx2(const void *args, int i0, int i1, lb_exec *ex);
void lb_gram_avx512(const void *args, int i0, int i1, lb_exec *ex);
#endif
