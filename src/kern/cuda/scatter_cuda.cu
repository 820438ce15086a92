/* kern/cuda/scatter_cuda.cu – y[rows[i],:] += weight[i] · x[i,:]: one thread per element. Rows are distinct within a
 * call, so no two threads meet and no atomic is needed. */
#include "kern/cuda/cuda_util.cuh"

__global__ static void scatter(lb_scatter a)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < (size_t)a.n * a.d) a.y[(size_t)a.rows[i / a.d] * a.d + i % a.d] += a.weight[i / a.d] * a.x[i];
}

extern "C" void lb_scatter_cuda(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)i0, (void)i1;
    const lb_scatter *a = (const lb_scatter *)args;
    size_t n = (size_t)a->n * a->d;
    if (n > 0) cuda_launch(ex, "scatter", scatter, cuda_blocks(n, 256), 256, 0, *a);
}
