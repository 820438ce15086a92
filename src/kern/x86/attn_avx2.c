/* kern/x86/attn_avx2.c – the avx2 rows of kern/attn.c's tables. */
#include "kern/x86/attn_x86.h"
#include "kern/x86/vec_avx2.h"

/* Rows at once: 4 × 2 accumulators, a pair of keys and a weight fit into 16 registers. */
enum { BLOCK = 4 };
#include "kern/x86/attn.inc"

void lb_attn_avx2(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; attn(args, i0, i1); }
void lb_kv_write_avx2(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; kv_write(args, i0, i1); }
