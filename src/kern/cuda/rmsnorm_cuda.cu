/* kern/cuda/rmsnorm_cuda.cu – y = x / sqrt(mean(x²) + eps) · w: one warp per row, so that a row per head is no waste.
 *
 * The mean is taken in double, as the reference does: squares of large activations leave the range of f32. */
#include "kern/cuda/cuda_util.cuh"

enum { WARPS = 4 };

__global__ static void rmsnorm(lb_rmsnorm a)
{
    int lane = threadIdx.x % WARP, r = blockIdx.x * WARPS + threadIdx.x / WARP;
    if (r >= a.n_row) return; /* a whole warp */
    const float *x = a.x + (size_t)r * a.d;
    double sum = 0;
    for (int i = lane; i < a.d; i += WARP) sum += (double)x[i] * (double)x[i];
    double inv = 1 / sqrt(warp_sum(sum) / a.d + (double)a.eps);
    for (int i = lane; i < a.d; i += WARP) a.y[(size_t)r * a.d + i] = (float)((double)x[i] * inv * (double)a.w[i]);
}

extern "C" void lb_rmsnorm_cuda(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)i0, (void)i1;
    const lb_rmsnorm *a = (const lb_rmsnorm *)args;
    if (a->n_row > 0) cuda_launch(ex, "rmsnorm", rmsnorm, cuda_blocks(a->n_row, WARPS), WARPS * WARP, 0, *a);
}
