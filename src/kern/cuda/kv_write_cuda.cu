/* kern/cuda/kv_write_cuda.cu – keys and values of new tokens into the paged cache: one thread per component. */
#include "kern/cuda/cuda_util.cuh"

template <typename T> __global__ static void kv_write(lb_kv_write a)
{
    int n_kv = a.kv.n_kv, d_head = a.kv.d_head;
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;    /* (t, h, d) */
    if (i >= (size_t)a.n_tok * n_kv * d_head) return;
    int d = (int)(i % d_head), h = (int)(i / d_head % n_kv), t = (int)(i / d_head / n_kv);
    int pos = a.map.pos[t], slot = pos % LB_PAGE;
    int page = a.map.pages[(size_t)a.map.seq[t] * a.map.max_pages + pos / LB_PAGE];
    size_t at = ((size_t)page * n_kv + h) * d_head * LB_PAGE;
    store((T *)a.kv.k + at + (size_t)d * LB_PAGE + slot, a.k[i]);
    store((T *)a.kv.v + at + (size_t)slot * d_head + d, a.v[i]);
}

extern "C" void lb_kv_write_cuda(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)i0, (void)i1;
    const lb_kv_write *a = (const lb_kv_write *)args;
    if (a->n_tok == 0) return;
    auto kernel = a->kv.format->dtype == LB_F32 ? kv_write<float> : kv_write<bf16>;
    cuda_launch(ex, "kv_write", kernel, cuda_blocks((size_t)a->n_tok * a->kv.n_kv * a->kv.d_head, 256), 256, 0, *a);
}
