/* kern/grad_elem.c – definitions and tables of the small training operators. */
#include "kern/grad_elem.h"
#include "kern/col_dot.inc"
#include "kern/x86/grad_elem_x86.h"
#include <math.h>

static void swiglu_back_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_swiglu_back *a = args;
    for (size_t i = (size_t)i0 * (size_t)a->d, end = (size_t)i1 * (size_t)a->d; i < end; i++) {
        double g = (double)a->gate[i], s = 1 / (1 + exp(-g)), dy = (double)a->dy[i];
        if (a->dup) a->dup[i] = (float)((double)a->dup[i] + dy * g * s);
        if (a->dgate) a->dgate[i] = (float)((double)a->dgate[i] + dy * (double)a->up[i] * s * (1 + g * (1 - s)));
    }
}

static void rmsnorm_back_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_rmsnorm_back *a = args;
    for (int r = i0; r < i1; r++) {
        size_t at = (size_t)r * (size_t)a->d;
        const float *x = a->x + at, *dy = a->dy + at;
        double sum = 0, dot = 0;
        for (int i = 0; i < a->d; i++) {
            sum += (double)x[i] * (double)x[i];
            dot += (double)dy[i] * (double)a->w[i] * (double)x[i];
        }
        double inv = 1 / sqrt(sum / a->d + (double)a->eps), pull = inv * inv * dot / a->d;
        a->inv[r] = (float)inv;
        if (!a->dx) continue;
        for (int i = 0; i < a->d; i++) {
            double d = inv * ((double)dy[i] * (double)a->w[i] - (double)x[i] * pull);
            a->dx[at + (size_t)i] = (float)((double)a->dx[at + (size_t)i] + d);
        }
    }
}

static void mul_cols_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_mul_cols *a = args;
    for (int r = i0; r < i1; r++) {
        const float *x = a->x + (size_t)r * (size_t)a->d;
        float *y = a->y + (size_t)r * (size_t)a->d;
        for (int i = 0; i < a->d; i++) {
            float v = a->divide ? x[i] / a->s[i] : x[i] * a->s[i];
            y[i] = a->add ? y[i] + v : v;
        }
    }
}

static void col_dot_ref(const void *args, int i0, int i1, lb_exec *ex) { (void)ex; col_dot(args, i0, i1); }

static void mse_rows_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_mse_rows *a = args;
    for (int r = i0; r < i1; r++) {
        const float *y = a->y + (size_t)r * (size_t)a->d, *t = a->t + (size_t)r * (size_t)a->d;
        double sum = 0;
        for (int i = 0; i < a->d; i++) sum += ((double)y[i] - (double)t[i]) * ((double)y[i] - (double)t[i]);
        a->sum[r] = sum;
    }
}

static void mse_back_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_mse_back *a = args;
    for (size_t i = (size_t)i0 * (size_t)a->d, end = (size_t)i1 * (size_t)a->d; i < end; i++)
        a->dy[i] += a->factor * (a->y[i] - a->t[i]);
}

/* ---- tables, and units; rows without vectors are as fast as memory already ---- */
static const lb_impl swiglu_back_impls[] = {
    {"ref", 0, NULL, swiglu_back_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_swiglu_back_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_swiglu_back_avx512, NULL, NULL})
    {0},
};
static const lb_impl rmsnorm_back_impls[] = {
    {"ref", 0, NULL, rmsnorm_back_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_rmsnorm_back_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_rmsnorm_back_avx512, NULL, NULL})
    {0},
};
static const lb_impl mul_cols_impls[] = {{"ref", 0, NULL, mul_cols_ref, NULL, NULL}, {0}};
static const lb_impl col_dot_impls[] = {
    {"ref", 0, NULL, col_dot_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_col_dot_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_col_dot_avx512, NULL, NULL})
    {0},
};
static const lb_impl mse_rows_impls[] = {{"ref", 0, NULL, mse_rows_ref, NULL, NULL}, {0}};
static const lb_impl mse_back_impls[] = {{"ref", 0, NULL, mse_back_ref, NULL, NULL}, {0}};

/* Rows that make about 16,384 elements: less is not worth waking a thread for. */
static int rows_of(int d) { return d >= 16384 ? 1 : d > 0 ? (16384 + d - 1) / d : 1; }

static int swiglu_back_units(const void *a) { return ((const lb_swiglu_back *)a)->n_row; }
static int swiglu_back_grain(const void *a) { return rows_of(4 * ((const lb_swiglu_back *)a)->d); }
static int rmsnorm_back_units(const void *a) { return ((const lb_rmsnorm_back *)a)->n_row; }
static int rmsnorm_back_grain(const void *a) { return rows_of(((const lb_rmsnorm_back *)a)->d); }
static int mul_cols_units(const void *a) { return ((const lb_mul_cols *)a)->n_row; }
static int mul_cols_grain(const void *a) { return rows_of(((const lb_mul_cols *)a)->d); }
static int col_dot_units(const void *args)
{
    return (((const lb_col_dot *)args)->d + LB_COL_DOT_COLS - 1) / LB_COL_DOT_COLS;
}
static int col_dot_grain(const void *a) { return rows_of(((const lb_col_dot *)a)->n_row * LB_COL_DOT_COLS / 4 + 1); }
static int mse_rows_units(const void *a) { return ((const lb_mse_rows *)a)->n_row; }
static int mse_rows_grain(const void *a) { return rows_of(((const lb_mse_rows *)a)->d); }
static int mse_back_units(const void *a) { return ((const lb_mse_back *)a)->n_row; }
static int mse_back_grain(const void *a) { return rows_of(((const lb_mse_back *)a)->d); }

const lb_op lb_op_swiglu_back = {"swiglu_back", swiglu_back_impls, swiglu_back_units, swiglu_back_grain, NULL};
const lb_op lb_op_rmsnorm_back = {"rmsnorm_back", rmsnorm_back_impls, rmsnorm_back_units, rmsnorm_back_grain, NULL};
const lb_op lb_op_mul_cols = {"mul_cols", mul_cols_impls, mul_cols_units, mul_cols_grain, NULL};
const lb_op lb_op_col_dot = {"col_dot", col_dot_impls, col_dot_units, col_dot_grain, NULL};
const lb_op lb_op_mse_rows = {"mse_rows", mse_rows_impls, mse_rows_units, mse_rows_grain, NULL};
const lb_op lb_op_mse_back = {"mse_back", mse_back_impls, mse_back_units, mse_back_grain, NULL};
