/* kern/cuda/cuda_util.cuh – what the CUDA rows share: the exec's state, the one place that launches, sums over a
 * warp, and conversion of numbers. */
#ifndef LB_KERN_CUDA_UTIL_CUH
#define LB_KERN_CUDA_UTIL_CUH
#include <cublasLt.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
extern "C" {
#include "kern/cuda/rows.h"
}

enum { WARP = 32 };

/* ---- the exec's state (exec_cuda.cu owns it) ---- */
struct lb_cuda {
    int device;
    cudaStream_t stream;
    cublasLtHandle_t lt;
    void *workspace;             /* device memory for cuBLASLt */
    size_t workspace_bytes;
    bool blocking;               /* CUDA_LAUNCH_BLOCKING is set: a fault shows at the launch that made it */
    char fault[256];             /* the first fault; empty: none */
};

/* The state of ex, whose device is now the thread's current one. */
lb_cuda *cuda_enter(lb_exec *ex);
/* Keeps the first fault for lb_exec_sync. `what` names the operator or the step. */
void cuda_fault(lb_cuda *c, const char *what, const char *text);
static inline void cuda_check(lb_cuda *c, const char *what, cudaError_t e)
{
    if (e != cudaSuccess) cuda_fault(c, what, cudaGetErrorString(e));
}

/* Queues kernel(args…) and checks the launch. */
template <typename... P, typename... A>
static inline void cuda_launch(lb_exec *ex, const char *op, void (*kernel)(P...), dim3 grid, unsigned block,
                               size_t shared_bytes, A... args)
{
    lb_cuda *c = cuda_enter(ex);
    kernel<<<grid, block, shared_bytes, c->stream>>>(args...);
    cuda_check(c, op, cudaGetLastError());
    if (c->blocking) cuda_check(c, op, cudaStreamSynchronize(c->stream));
}

/* Blocks of `per` that cover n. */
static inline unsigned cuda_blocks(size_t n, size_t per) { return (unsigned)((n + per - 1) / per); }

/* ---- device helpers ---- */

/* All lanes get the sum (the largest). A butterfly: the same bits in every lane. fmaxf passes over NaN. */
__device__ static inline float warp_sum(float v)
{
    for (int d = WARP / 2; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    return v;
}
__device__ static inline double warp_sum(double v)
{
    for (int d = WARP / 2; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    return v;
}
__device__ static inline float warp_max(float v)
{
    for (int d = WARP / 2; d > 0; d /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, d));
    return v;
}

/* Stored numbers as types of their own, so that templates can tell them apart. */
struct bf16 { uint16_t bits; };
struct f16 { uint16_t bits; };

__device__ static inline float load(float v) { return v; }
__device__ static inline float load(bf16 v)
{
    uint32_t u = (uint32_t)v.bits << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
__device__ static inline float load(f16 v)
{
    return __half2float(__ushort_as_half(v.bits));
}

__device__ static inline void store(float *p, float v) { *p = v; }
/* As lb_to_bf16, bit for bit: CUDA's own conversion drops the payload of a NaN. */
__device__ static inline void store(bf16 *p, float v)
{
    uint32_t u;
    memcpy(&u, &v, 4);
    bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    p->bits = (uint16_t)(nan ? u >> 16 | 0x40 : (u + 0x7fffu + (u >> 16 & 1)) >> 16);
}
__device__ static inline void store(f16 *p, float v)
{
    p->bits = __half_as_ushort(__float2half_rn(v)); /* a memcpy of the __half stored one of its bytes only (nvcc 13.0) */
}
#endif
