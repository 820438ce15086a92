/* kern/cuda/add_cuda.cu – x += y: one thread per element. */
#include "kern/cuda/cuda_util.cuh"

__global__ static void add(float *x, const float *y, size_t n)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] += y[i];
}

extern "C" void lb_add_cuda(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)i0, (void)i1;
    const lb_add *a = (const lb_add *)args;
    size_t n = (size_t)a->n_tok * a->d;
    if (n > 0) cuda_launch(ex, "add", add, cuda_blocks(n, 256), 256, 0, a->x, a->y, n);
}
