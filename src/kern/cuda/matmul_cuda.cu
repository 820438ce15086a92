/* kern/cuda/matmul_cuda.cu – y = x · Wᵀ + b for every number format, weights decoded on the fly: plain, not fast.
 *
 *     block = 4 warps         one warp: one row of W × 8 tokens
 *     lane l                  columns l, l+32, l+64 … of the row, a sum for each token
 *     end                     butterfly over the 32 lanes
 *
 * The order of additions depends on K alone, so a token has the same bits in any batch. */
#include "kern/cuda/weight.cuh"

enum { WARPS = 4, TOKENS = 8 };  /* 8 sums a lane: a weight is decoded once for 8 tokens */

template <typename W>
__global__ static void matmul(weight w, float *y, const float *x, const float *bias, int n_tok, int ldy)
{
    int lane = threadIdx.x % WARP, row = blockIdx.x * WARPS + threadIdx.x / WARP, t0 = blockIdx.y * TOKENS;
    if (row >= w.n) return; /* a whole warp */
    float sum[TOKENS] = {0};
    for (int c = lane; c < w.k; c += WARP) {
        float v = W::at(w, row, c);
#pragma unroll
        for (int j = 0; j < TOKENS; j++)
            if (t0 + j < n_tok) sum[j] = fmaf(x[(size_t)(t0 + j) * w.k + c], v, sum[j]);
    }
#pragma unroll
    for (int j = 0; j < TOKENS; j++) {
        if (t0 + j >= n_tok) return; /* the whole warp */
        float all = warp_sum(sum[j]);
        if (lane == 0) y[(size_t)(t0 + j) * ldy + row] = all + (bias ? bias[row] : 0);
    }
}

extern "C" bool lb_matmul_cuda_fits(const void *args)
{
    return ((const lb_matmul *)args)->act.kind == LB_ACT_NONE;
}

extern "C" void lb_matmul_cuda(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)i0, (void)i1;
    const lb_matmul *a = (const lb_matmul *)args;
    if (a->n_tok == 0) return;
    dim3 grid(cuda_blocks(a->w.n, WARPS), cuda_blocks(a->n_tok, TOKENS));
    weight_dispatch(a->w.num, [&](auto format) {
        cuda_launch(ex, "matmul", matmul<decltype(format)>, grid, WARPS * WARP, 0, weight_of(&a->w),
                    a->y, a->x, a->bias, a->n_tok, a->ldy);
    });
}
