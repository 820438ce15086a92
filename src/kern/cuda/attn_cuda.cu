/* kern/cuda/attn_cuda.cu – attention over the paged KV cache.
 *
 *     block = 4 warps = one (token, query head)
 *     warp w                pages w, w+4, w+8 … of the sequence, with a softmax of its own (online, f32)
 *     scores                lane = slot of the page: keys lie transposed, so a warp reads 32 neighbours
 *     values                lane = component d, d+32 …: values lie in rows, so a warp reads 32 neighbours
 *     end                   the four softmaxes are put together
 *
 * Which page goes to which warp depends on the position alone, so a token has the same bits in any batch. */
#include "kern/cuda/cuda_util.cuh"

enum { WARPS = 4 };
static_assert((int)LB_PAGE == (int)WARP, "a lane is a slot of a page");

/* Rows of shared memory start 128 bytes apart at least: a vector load at the end of one does not touch the next. */
__host__ __device__ static inline int stride_of(int d_head) { return (d_head + WARP - 1) / WARP * WARP; }

template <typename T> __global__ static void attn(lb_attn a)
{
    extern __shared__ float shared[];            /* q[stride], then acc[WARPS][stride] */
    __shared__ float p_of[WARPS][LB_PAGE], top_of[WARPS], sum_of[WARPS];
    int t = blockIdx.x / a.n_head, head = blockIdx.x % a.n_head, n_kv = a.kv.n_kv, d_head = a.kv.d_head;
    int h = head / (a.n_head / n_kv), pos = a.map.pos[t], warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int *pages = a.map.pages + (size_t)a.map.seq[t] * a.map.max_pages;
    int stride = stride_of(d_head);
    float *q = shared, *acc = shared + (size_t)(1 + warp) * stride;
    size_t at = ((size_t)t * a.n_head + head) * d_head;
    for (int d = threadIdx.x; d < d_head; d += WARPS * WARP) q[d] = a.q[at + d];
    for (int d = lane; d < d_head; d += WARP) acc[d] = 0;
    __syncthreads();

    float top = -INFINITY, sum = 0;
    for (int i = warp; i <= pos / LB_PAGE; i += WARPS) {
        size_t page = ((size_t)pages[i] * n_kv + h) * d_head * LB_PAGE;
        const T *k = (const T *)a.kv.k + page, *v = (const T *)a.kv.v + page;
        int n = min((int)LB_PAGE, pos + 1 - i * LB_PAGE);
        float s = -INFINITY;
        if (lane < n) {
            float dot = 0;
            for (int d = 0; d < d_head; d++) dot = fmaf(q[d], load(k[(size_t)d * LB_PAGE + lane]), dot);
            s = dot * a.scale;
        }
        float new_top = fmaxf(top, warp_max(s)); /* passes over NaN; p is NaN then */
        float p = s == -INFINITY ? 0 : expf(s - new_top);
        float keep = top == -INFINITY ? 0 : expf(top - new_top);
        sum = sum * keep + warp_sum(p);
        top = new_top;
        p_of[warp][lane] = p;
        __syncwarp();
        for (int d = lane; d < d_head; d += WARP) {
            float y = acc[d] * keep;
            for (int j = 0; j < n; j++) y = fmaf(p_of[warp][j], load(v[(size_t)j * d_head + d]), y);
            acc[d] = y;
        }
        __syncwarp();                            /* p_of is read until here */
    }
    if (lane == 0) top_of[warp] = top, sum_of[warp] = sum;
    __syncthreads();

    float best = -INFINITY, total = 0, share[WARPS];
#pragma unroll
    for (int w = 0; w < WARPS; w++) best = fmaxf(best, top_of[w]);
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
        share[w] = top_of[w] == -INFINITY ? 0 : expf(top_of[w] - best);
        total += sum_of[w] * share[w];
    }
    for (int d = threadIdx.x; d < d_head; d += WARPS * WARP) {
        float y = 0;
#pragma unroll
        for (int w = 0; w < WARPS; w++) y += shared[(size_t)(1 + w) * stride + d] * share[w];
        a.y[at + d] = y / total;
    }
}

extern "C" void lb_attn_cuda(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)i0, (void)i1;
    const lb_attn *a = (const lb_attn *)args;
    if (a->n_tok == 0) return;
    unsigned blocks = (unsigned)a->n_tok * (unsigned)a->n_head;
    size_t shared_bytes = (size_t)(1 + WARPS) * stride_of(a->kv.d_head) * sizeof(float);
    auto kernel = a->kv.format->dtype == LB_F32 ? attn<float> : attn<bf16>;
    if (shared_bytes > 40 * 1024) /* more than 48 KB with the static part must be asked for */
        cuda_check(cuda_enter(ex), "attn",
                   cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        (int)shared_bytes));
    cuda_launch(ex, "attn", kernel, blocks, WARPS * WARP, shared_bytes, *a);
}
