/* kern/cuda/rope_cuda.cu – rotary positions in place: one thread per (token, head, pair). */
#include "kern/cuda/cuda_util.cuh"

__global__ static void rope(lb_rope a)
{
    int half = a.d_head / 2;
    size_t n = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (n >= (size_t)a.n_tok * a.n_head * half) return;
    int i = (int)(n % half), t = (int)(n / half / a.n_head);
    float *x = a.x + n / half * a.d_head;
    float s, c;
    sincosf(__fmul_rn((float)a.pos[t], a.inv_freq[i]), &s, &c);  /* the angle is an f32 product, as in training */
    c *= a.mscale, s *= a.mscale;
    float lo = x[i], hi = x[i + half];
    x[i] = lo * c - hi * s;
    x[i + half] = hi * c + lo * s;
}

extern "C" void lb_rope_cuda(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)i0, (void)i1;
    const lb_rope *a = (const lb_rope *)args;
    size_t n = (size_t)a->n_tok * a->n_head * (a->d_head / 2);
    if (n > 0) cuda_launch(ex, "rope", rope, cuda_blocks(n, 256), 256, 0, *a);
}
