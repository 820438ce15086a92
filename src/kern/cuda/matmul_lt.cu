/* kern/cuda/matmul_lt.cu – y = x · Wᵀ + b for float weights by cuBLASLt.
 *
 * cuBLASLt thinks in columns. W[N,K] in rows is a K×N matrix in columns, x[n_tok,K] is K×n_tok, y[n_tok,ldy] is N×n_tok
 * with leading dimension ldy; so y = op(W)·x with op = transpose. Sums are f32.
 *
 * 16-bit weights need activations of their own type. One bf16 number keeps 8 bits of an activation, which moved the logits
 * of a tiny model by 1.1 % (llama-yarn of tests/golden); so x goes in as hi + lo, two numbers of the weights' type, in two
 * products: 16 bits in bf16, 22 in f16. f16 has a small range: each token is scaled by a power of two that brings its
 * largest value to [2¹³, 2¹⁴), and y is scaled back. f32 weights meet x as it lies, in f32 arithmetic.
 *
 * The algorithm depends on the shape, n_tok included: unlike the CPU rows and the plain CUDA row, a token's last bits
 * may differ from batch to batch. */
#include "kern/cuda/weight.cuh"

enum { ALIGN = 16 };  /* bytes: rows of W and x must start on such addresses, or cuBLASLt has few algorithms, or none */

/* ---- kernels ---- */

/* v as two numbers of a 16-bit type. An infinity stays one. */
template <typename T> __device__ static inline void split(T *hi, T *lo, float v)
{
    store(hi, v);
    float rest = v - load(*hi);
    store(lo, fabsf(load(*hi)) == INFINITY ? 0 : rest);
}

/* One block per token: hi + lo = x. */
__global__ static void to_bf16(bf16 *hi, bf16 *lo, const float *x, int k)
{
    size_t row = (size_t)blockIdx.x * k;
    for (int i = threadIdx.x; i < k; i += blockDim.x) split(&hi[row + i], &lo[row + i], x[row + i]);
}

/* One warp per token: hi + lo = x / scale. */
__global__ static void to_f16(f16 *hi, f16 *lo, float *scale, const float *x, int k)
{
    size_t row = (size_t)blockIdx.x * k;
    int lane = threadIdx.x, e = 14;
    float top = 0;
    for (int i = lane; i < k; i += WARP) top = fmaxf(top, fabsf(x[row + i]));
    top = warp_max(top);
    if (top > 0 && top < INFINITY) frexpf(top, &e);
    e = max(e, -100); /* 2^(14−e) and its inverse stay normal numbers */
    float up = ldexpf(1, 14 - e);
    for (int i = lane; i < k; i += WARP) split(&hi[row + i], &lo[row + i], x[row + i] * up);
    if (lane == 0) scale[blockIdx.x] = ldexpf(1, e - 14);
}

/* y[t,n] = y[t,n] · scale[t] + bias[n] */
__global__ static void finish(float *y, const float *scale, const float *bias, int n_tok, int n, int ldy)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)n_tok * n) return;
    int t = (int)(i / n), r = (int)(i % n);
    float *p = &y[(size_t)t * ldy + r];
    *p = *p * (scale ? scale[t] : 1) + (bias ? bias[r] : 0);
}

/* ---- cuBLASLt ---- */

/* The power of two, at most 256, that divides an address. */
static uint32_t alignment(const void *p)
{
    uintptr_t low = (uintptr_t)p & -(uintptr_t)p;
    return low == 0 || low > 256 ? 256 : (uint32_t)low;
}

/* y = W·x + keep·y; x has the type of the weights. False if cuBLASLt has no algorithm for the shape. */
static bool multiply(lb_cuda *c, const lb_matmul *a, const void *x, float keep)
{
    const cublasStatus_t OK = CUBLAS_STATUS_SUCCESS;
    lb_dtype stored = a->w.num->dtype;
    cudaDataType_t type = stored == LB_F32 ? CUDA_R_32F : stored == LB_BF16 ? CUDA_R_16BF : CUDA_R_16F;
    cublasOperation_t transpose = CUBLAS_OP_T;
    cublasLtMatmulDescOpaque_t op;
    cublasLtMatrixLayoutOpaque_t lw, lx, ly;
    cublasLtMatmulPreferenceOpaque_t want;
    uint32_t aw = alignment(a->w.data), ax = alignment(x), ay = alignment(a->y);
    uint64_t n = (uint64_t)a->w.n, k = (uint64_t)a->w.k, n_tok = (uint64_t)a->n_tok;
    bool ok = cublasLtMatmulDescInit(&op, CUBLAS_COMPUTE_32F, CUDA_R_32F) == OK;
    ok = ok && cublasLtMatmulDescSetAttribute(&op, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof transpose) == OK;
    ok = ok && cublasLtMatrixLayoutInit(&lw, type, k, n, (int64_t)k) == OK;
    ok = ok && cublasLtMatrixLayoutInit(&lx, type, k, n_tok, (int64_t)k) == OK;
    ok = ok && cublasLtMatrixLayoutInit(&ly, CUDA_R_32F, n, n_tok, a->ldy) == OK;
    ok = ok && cublasLtMatmulPreferenceInit(&want) == OK;
    const struct { cublasLtMatmulPreferenceAttributes_t key; const void *value; size_t size; } wants[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &c->workspace_bytes, sizeof c->workspace_bytes},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &aw, sizeof aw},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &ax, sizeof ax},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &ay, sizeof ay},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &ay, sizeof ay},
    };
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++)
        ok = ok && cublasLtMatmulPreferenceSetAttribute(&want, wants[i].key, wants[i].value, wants[i].size) == OK;
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    if (!ok) return false;
    if (cublasLtMatmulAlgoGetHeuristic(c->lt, &op, &lw, &lx, &ly, &ly, &want, 1, &best, &found) != OK) return false;
    if (found < 1) return false;
    const float one = 1;
    cublasStatus_t s = cublasLtMatmul(c->lt, &op, &one, a->w.data, &lw, x, &lx, &keep, a->y, &ly, a->y, &ly, &best.algo,
                                      c->workspace, c->workspace_bytes, c->stream);
    if (s == CUBLAS_STATUS_NOT_SUPPORTED) return false;
    if (s != OK) cuda_fault(c, "matmul (cuBLASLt)", cublasLtGetStatusString(s));
    else if (c->blocking) cuda_check(c, "matmul (cuBLASLt)", cudaStreamSynchronize(c->stream));
    return true;
}

/* ---- launcher ---- */
extern "C" bool lb_matmul_lt_cuda_fits(const void *args)
{
    const lb_mat *w = &((const lb_matmul *)args)->w;
    if (w->num->grouped || !lb_matmul_cuda_fits(args)) return false;
    size_t row_bytes = (size_t)w->k * lb_dtype_bytes(w->num->dtype);
    return row_bytes % ALIGN == 0 && (uintptr_t)w->data % ALIGN == 0;
}

/* Scratch: hi, lo, and a scale per token. */
static size_t half_bytes(const lb_matmul *a) { return ((size_t)a->n_tok * (size_t)a->w.k * 2 + 255) & ~(size_t)255; }

extern "C" size_t lb_matmul_lt_cuda_scratch(const void *args)
{
    const lb_matmul *a = (const lb_matmul *)args;
    return a->w.num->dtype == LB_F32 ? 0 : 2 * half_bytes(a) + (size_t)a->n_tok * sizeof(float);
}

extern "C" void lb_matmul_lt_cuda(const void *args, int i0, int i1, lb_exec *ex)
{
    const lb_matmul *a = (const lb_matmul *)args;
    if (a->n_tok == 0) return;
    lb_cuda *c = cuda_enter(ex);
    uint8_t *hi = (uint8_t *)lb_exec_scratch(ex), *lo = hi + half_bytes(a);
    float *scale = a->w.num->dtype == LB_F16 ? (float *)(lo + half_bytes(a)) : NULL;
    bool done;
    if (a->w.num->dtype == LB_F32) {
        done = multiply(c, a, a->x, 0);
    } else {
        if (scale) cuda_launch(ex, "matmul", to_f16, a->n_tok, WARP, 0, (f16 *)hi, (f16 *)lo, scale, a->x, a->w.k);
        else cuda_launch(ex, "matmul", to_bf16, a->n_tok, 256, 0, (bf16 *)hi, (bf16 *)lo, a->x, a->w.k);
        done = multiply(c, a, hi, 0) && multiply(c, a, lo, 1);
    }
    if (!done) {
        lb_matmul_cuda(args, i0, i1, ex);
        return;
    }
    if (!scale && !a->bias) return;
    cuda_launch(ex, "matmul", finish, cuda_blocks((size_t)a->n_tok * a->w.n, 256), 256, 0, a->y, (const float *)scale,
                a->bias, a->n_tok, a->w.n, a->ldy);
}
