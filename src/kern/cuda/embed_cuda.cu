/* kern/cuda/embed_cuda.cu – rows of the embedding matrix in f32: one thread per element. */
#include "kern/cuda/weight.cuh"

template <typename W> __global__ static void embed(weight e, float *y, const int *ids, int n_tok)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < (size_t)n_tok * e.k) y[i] = W::at(e, ids[i / e.k], (int)(i % e.k));
}

extern "C" void lb_embed_cuda(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)i0, (void)i1;
    const lb_embed *a = (const lb_embed *)args;
    if (a->n_tok == 0) return;
    weight_dispatch(a->e.num, [&](auto format) {
        cuda_launch(ex, "embed", embed<decltype(format)>, cuda_blocks((size_t)a->n_tok * a->e.k, 256), 256, 0,
                    weight_of(&a->e), a->y, a->ids, a->n_tok);
    });
}
