/* kern/cuda/gather_cuda.cu – y[i,:] = x[rows[i],:]: one thread per element. */
#include "kern/cuda/cuda_util.cuh"

__global__ static void gather(lb_gather a)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < (size_t)a.n * a.d) a.y[i] = a.x[(size_t)a.rows[i / a.d] * a.d + i % a.d];
}

extern "C" void lb_gather_cuda(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)i0, (void)i1;
    const lb_gather *a = (const lb_gather *)args;
    size_t n = (size_t)a->n * a->d;
    if (n > 0) cuda_launch(ex, "gather", gather, cuda_blocks(n, 256), 256, 0, *a);
}
