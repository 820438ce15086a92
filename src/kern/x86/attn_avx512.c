/* kern/x86/attn_avx512.c – the avx512 rows of kern/attn.c's tables. */
#include "kern/x86/attn_x86.h"
#include "kern/x86/vec_avx512.h"

/* Rows at once: 8 × 2 accumulators, a pair of keys and a weight fit into 32 registers. */
enum { BLOCK = 8 };
#include "kern/x86/attn.inc"

void lb_attn_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; attn(args, i0, i1); }
void lb_kv_write_avx512(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; kv_write(args, i0, i1); }
