/* kern/gemm.c – the definition of the product of f32 matrices, and its table. */
#include "kern/gemm.h"
#include "kern/x86/gemm_x86.h"

const char *const lb_compute_names[] = {"f32", "bf16x2", "bf16", NULL};

static int blocks(int n, int size) { return (n + size - 1) / size; }

lb_gemm_block lb_gemm_block_of(const lb_gemm *g, int unit)
{
    int n_rows = blocks(g->m, LB_GEMM_ROWS), n_cols = blocks(g->n, LB_GEMM_COLS);
    int row = unit % n_rows * LB_GEMM_ROWS, col = unit / n_rows % n_cols * LB_GEMM_COLS;
    return (lb_gemm_block){
        .batch = unit / n_rows / n_cols, .row = row, .col = col,
        .n_row = g->m - row < LB_GEMM_ROWS ? g->m - row : LB_GEMM_ROWS,
        .n_col = g->n - col < LB_GEMM_COLS ? g->n - col : LB_GEMM_COLS,
    };
}

lb_gemm_block lb_gemm_strip(const lb_gemm *g, int *unit, int unit1)
{
    lb_gemm_block at = lb_gemm_block_of(g, (*unit)++);
    for (; *unit < unit1; ++*unit) {
        lb_gemm_block next = lb_gemm_block_of(g, *unit);
        if (next.row == 0) break;
        at.n_row += next.n_row;
    }
    return at;
}

/* One element of op(A)·op(B) of matrix `batch`. */
static double dot(const lb_gemm *g, int batch, int row, int col)
{
    const float *a = g->a + (size_t)batch * g->step_a, *b = g->b + (size_t)batch * g->step_b;
    size_t lda = (size_t)lb_gemm_lda(g), ldb = (size_t)lb_gemm_ldb(g), i = (size_t)row, j = (size_t)col;
    double sum = 0;
    for (size_t k = 0; k < (size_t)g->k; k++)
        sum += (double)(g->ta ? a[k * lda + i] : a[i * lda + k]) * (double)(g->tb ? b[j * ldb + k] : b[k * ldb + j]);
    return sum;
}

static void gemm_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_gemm *g = args;
    for (int u = i0; u < i1; u++) {
        lb_gemm_block at = lb_gemm_block_of(g, u);
        int b0 = at.batch, b1 = g->sum ? lb_gemm_batch(g) : b0 + 1;
        for (int i = at.row; i < at.row + at.n_row; i++)
            for (int j = at.col; j < at.col + at.n_col; j++) {
                float *c = g->c + (size_t)b0 * g->step_c + (size_t)i * (size_t)lb_gemm_ldc(g) + (size_t)j;
                double sum = g->add ? (double)*c : 0;
                for (int b = b0; b < b1; b++) sum += dot(g, b, i, j);
                *c = (float)(g->bias ? sum + (double)g->bias[j] : sum);
            }
    }
}

#if defined(__x86_64__)
static bool rows_lie(const void *args) { return !((const lb_gemm *)args)->ta; }
static bool columns_lie(const void *args) { return ((const lb_gemm *)args)->ta; }
#endif

static const lb_impl impls[] = {
    {"ref", 0, NULL, gemm_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, rows_lie, lb_gemm_avx2, NULL, NULL})
    LB_X86({"avx2", LB_AVX2, columns_lie, lb_gemm_avx2, lb_gemm_scratch, lb_gemm_prep_avx2})
    LB_X86({"avx512", LB_AVX512, rows_lie, lb_gemm_avx512, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, columns_lie, lb_gemm_avx512, lb_gemm_scratch, lb_gemm_prep_avx512})
    LB_X86({"amx", LB_AMX, lb_gemm_amx_fits, lb_gemm_amx, lb_gemm_amx_scratch, lb_gemm_amx_prep})
    {0},
};

static int units(const void *args)
{
    const lb_gemm *g = args;
    return blocks(g->m, LB_GEMM_ROWS) * blocks(g->n, LB_GEMM_COLS) * (g->sum ? 1 : lb_gemm_batch(g));
}
/* Blocks that make about two million multiplications: some ten microseconds. */
static int grain(const void *args)
{
    const lb_gemm *g = args;
    double one = (double)(g->m < LB_GEMM_ROWS ? g->m : LB_GEMM_ROWS) * (g->n < LB_GEMM_COLS ? g->n : LB_GEMM_COLS) *
                 g->k * (g->sum ? lb_gemm_batch(g) : 1);
    return one >= 2e6 ? 1 : one > 0 ? (int)(2e6 / one) + 1 : 1 << 20;
}
/* Blocks of rows of A. */
static int prep_units(const void *args)
{
    const lb_gemm *g = args;
    return blocks(g->m, LB_GEMM_ROWS) * (g->step_a ? lb_gemm_batch(g) : 1);
}

const lb_op lb_op_gemm = {"gemm", impls, units, grain, prep_units};
