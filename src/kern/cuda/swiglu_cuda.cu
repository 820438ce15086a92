/* kern/cuda/swiglu_cuda.cu – y = silu(gate) · up: one thread per element. */
#include "kern/cuda/cuda_util.cuh"

__global__ static void swiglu(float *y, const float *gate, const float *up, size_t n)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

extern "C" void lb_swiglu_cuda(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)i0, (void)i1;
    const lb_swiglu *a = (const lb_swiglu *)args;
    size_t n = (size_t)a->n_tok * a->d;
    if (n > 0) cuda_launch(ex, "swiglu", swiglu, cuda_blocks(n, 256), 256, 0, a->y, a->gate, a->up, n);
}
