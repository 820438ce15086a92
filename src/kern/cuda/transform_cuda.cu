/* kern/cuda/transform_cuda.cu – the input transforms: a block of threads per Hadamard block, a thread per number of a
 * Kronecker product, whose half-way result X·B lies in the exec's scratch.
 *
 * Numbers stay in global memory (a row is at most 256 KiB and lives in L2); __syncthreads orders the butterflies. */
#include "kern/cuda/cuda_util.cuh"

enum { THREADS = 256 };

__global__ static void scale_rows(lb_transform_args a, float *out)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= (size_t)a.n_row * a.t.k) return;
    out[i] = a.t.scale ? a.x[i] * a.t.scale[i % a.t.k] : a.x[i];
}

__global__ static void hadamard(lb_transform_args a, float c)
{
    int n = a.t.block, m = a.t.m, p2 = n / m;
    size_t at = (size_t)blockIdx.x * n;
    float *y = a.y + at;
    const float *x = a.x + at, *scale = a.t.scale ? a.t.scale + at % a.t.k : NULL;
    for (int i = threadIdx.x; i < n; i += THREADS) y[i] = x[i] * (scale ? scale[i] * c : c);
    for (int h = 1; h < p2; h *= 2) {
        __syncthreads();
        for (int t = threadIdx.x; t < n / 2; t += THREADS) {
            int i = t / h * 2 * h + t % h;
            float u = y[i], v = y[i + h];
            y[i] = u + v;
            y[i + h] = u - v;
        }
    }
    if (m == 1) return;
    __syncthreads();
    for (int j = threadIdx.x; j < p2; j += THREADS) { /* a column of m numbers per thread */
        float v[LB_TRANSFORM_MAX_M];
        for (int i = 0; i < m; i++) v[i] = y[i * p2 + j];
        for (int i = 0; i < m; i++) {
            float sum = 0;
            for (int l = 0; l < m; l++) sum = fmaf(a.t.had[i * m + l], v[l], sum);
            y[i * p2 + j] = sum;
        }
    }
}

/* z = X · B */
__global__ static void times_b(lb_transform_args a, float *z)
{
    size_t at = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= (size_t)a.n_row * a.t.k) return;
    int nb = a.t.nb, j = at % nb;
    const float *x = a.x + (at - j), *scale = a.t.scale ? a.t.scale + (at - j) % a.t.k : NULL;
    float sum = 0;
    for (int l = 0; l < nb; l++) sum = fmaf(scale ? x[l] * scale[l] : x[l], a.t.b[l * nb + j], sum);
    z[at] = sum;
}

/* y = Aᵀ · Z, or Z */
__global__ static void times_a(lb_transform_args a, const float *z)
{
    size_t at = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= (size_t)a.n_row * a.t.k) return;
    int na = a.t.na, nb = a.t.nb, in_row = at % a.t.k, i = in_row / nb, j = in_row % nb;
    const float *row = z + (at - in_row);
    float sum = 0;
    for (int l = 0; a.t.a && l < na; l++) sum = fmaf(a.t.a[l * na + i], row[l * nb + j], sum);
    a.y[at] = a.t.a ? sum : z[at];
}

extern "C" size_t lb_transform_cuda_scratch(const void *args)
{
    const lb_transform_args *a = (const lb_transform_args *)args;
    return a->t.kind == LB_TRANSFORM_KRON ? (size_t)a->n_row * a->t.k * sizeof(float) : 0;
}

extern "C" void lb_transform_cuda(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)i0, (void)i1;
    const lb_transform_args *a = (const lb_transform_args *)args;
    size_t n = (size_t)a->n_row * a->t.k;
    if (n == 0) return;
    unsigned blocks = cuda_blocks(n, THREADS);
    if (a->t.kind == LB_TRANSFORM_HADAMARD) {
        float c = (float)(1 / sqrt((double)a->t.block));
        cuda_launch(ex, "transform", hadamard, (unsigned)(n / a->t.block), THREADS, 0, *a, c);
    } else if (a->t.kind == LB_TRANSFORM_KRON) {
        float *z = (float *)lb_exec_scratch(ex);
        if (a->t.b) cuda_launch(ex, "transform", times_b, blocks, THREADS, 0, *a, z);
        else cuda_launch(ex, "transform", scale_rows, blocks, THREADS, 0, *a, z);
        cuda_launch(ex, "transform", times_a, blocks, THREADS, 0, *a, (const float *)z);
    } else {
        cuda_launch(ex, "transform", scale_rows, blocks, THREADS, 0, *a, a->y);
    }
}
