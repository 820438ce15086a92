/* kern/cuda/rows.h – the CUDA rows of the operator tables, in C types.
 *
 * Each launcher queues its operator on the exec's stream and returns; it always does all units (the range is for CPU
 * rows). A failed launch stays in the exec until lb_exec_sync reports it. Pointers of args are device memory. */
#ifndef LB_KERN_CUDA_ROWS_H
#define LB_KERN_CUDA_ROWS_H
#include "kern/attn.h"
#include "kern/elem.h"
#include "kern/matmul.h"
#include "kern/transform.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Most components of a head that attention takes: 20 bytes of shared memory each; a config.json may name no more. */
enum { LB_ATTN_CUDA_MAX_D = 4096 };

/* Every number format, f32 arithmetic; a token's result does not depend on the batch. No quantized activations. */
bool lb_matmul_cuda_fits(const void *args);
void lb_matmul_cuda(const void *args, int i0, int i1, lb_exec *ex);
/* Float formats through cuBLASLt: 16-bit weights meet activations of two 16-bit numbers, f32 stays f32 (no TF32); sums are
 * f32. cuBLASLt chooses the algorithm by shape, so the last bits of a token's result follow the batch size. */
bool lb_matmul_lt_cuda_fits(const void *args);
size_t lb_matmul_lt_cuda_scratch(const void *args);
void lb_matmul_lt_cuda(const void *args, int i0, int i1, lb_exec *ex);

void lb_attn_cuda(const void *args, int i0, int i1, lb_exec *ex);
void lb_kv_write_cuda(const void *args, int i0, int i1, lb_exec *ex);
void lb_embed_cuda(const void *args, int i0, int i1, lb_exec *ex);
void lb_rmsnorm_cuda(const void *args, int i0, int i1, lb_exec *ex);
void lb_rope_cuda(const void *args, int i0, int i1, lb_exec *ex);
void lb_swiglu_cuda(const void *args, int i0, int i1, lb_exec *ex);
void lb_add_cuda(const void *args, int i0, int i1, lb_exec *ex);
void lb_gather_cuda(const void *args, int i0, int i1, lb_exec *ex);
void lb_scatter_cuda(const void *args, int i0, int i1, lb_exec *ex);
size_t lb_transform_cuda_scratch(const void *args);
void lb_transform_cuda(const void *args, int i0, int i1, lb_exec *ex);

#ifdef __cplusplus
}
#endif
#endif
