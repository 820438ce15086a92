/* kern/grad_rows.c – definitions and tables of the operators that move rows. All of them wait for memory. */
#include "kern/grad_rows.h"
#include <math.h>
#include <string.h>

static void copy_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_copy *a = args;
    size_t begin = (size_t)i0 * LB_COPY_PIECE, end = (size_t)i1 * LB_COPY_PIECE;
    if (end > a->n) end = a->n;
    if (a->x) memcpy(a->y + begin, a->x + begin, (end - begin) * sizeof(float));
    else memset(a->y + begin, 0, (end - begin) * sizeof(float));
}

/* ---- sums of rows ---- */
enum { COLS = 64 };              /* summed at a time */

static void sum_of(const lb_row_sums *a, int i, int j0, int n, double *sum)
{
    int begin = a->start ? a->start[i] : i * a->each, end = a->start ? a->start[i + 1] : begin + a->each;
    for (int j = begin; j < end; j++) {
        int row = a->from ? a->from[j] : j;
        const float *x = a->x + (size_t)row * (size_t)a->d + j0;
        double c = a->c ? (double)a->c[a->c_of_row ? row : j] : 1;
        for (int k = 0; k < n; k++) sum[k] += c * (double)x[k];
    }
}

static void row_sums_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_row_sums *a = args;
    for (int i = i0; i < i1; i++)
        for (int j0 = 0; j0 < a->d; j0 += COLS) {
            double sum[COLS] = {0};
            int n = a->d - j0 < COLS ? a->d - j0 : COLS;
            float *y = a->y + (size_t)(a->to ? a->to[i] : i) * (size_t)a->d + j0;
            sum_of(a, i, j0, n, sum);
            for (int k = 0; k < n; k++) y[k] = (float)(a->add ? (double)y[k] + sum[k] : sum[k]);
        }
}

static void row_dots_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_row_dots *a = args;
    for (int i = i0; i < i1; i++) {
        const float *x = a->a + (size_t)a->ai[i] * (size_t)a->d, *z = a->b + (size_t)i * (size_t)a->d;
        double sum = 0;
        for (int j = 0; j < a->d; j++) sum += (double)x[j] * (double)z[j];
        a->y[i] = (float)((double)a->y[i] + sum);
    }
}

/* ---- experts ---- */
/* Σ exp(logit − top), and top. */
static double softmax_sum(const float *x, int n, double *top)
{
    double sum = 0, most = -INFINITY;
    for (int e = 0; e < n; e++) most = fmax(most, (double)x[e]);
    for (int e = 0; e < n; e++) sum += exp((double)x[e] - most);
    *top = most;
    return sum;
}

/* Whether e is among the `used` largest: fewer than that many come before it. */
static bool chosen(const float *x, int n, int used, int e)
{
    int before = 0;
    for (int i = 0; i < n && before < used; i++) before += x[i] > x[e] || (x[i] == x[e] && i < e);
    return before < used;
}

static void route_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_route_args *a = args;
    for (int t = i0; t < i1; t++) {
        const float *x = a->logits + (size_t)t * (size_t)a->n_expert;
        int *choice = a->choice + (size_t)t * (size_t)a->used, n = 0;
        float *weight = a->weight + (size_t)t * (size_t)a->used;
        double top, all = softmax_sum(x, a->n_expert, &top), kept = 0;
        for (int e = 0; e < a->n_expert && n < a->used; e++)
            if (chosen(x, a->n_expert, a->used, e)) choice[n++] = e;
        for (; n < a->used; n++) choice[n] = n; /* logits that are no numbers: any experts, and weights that show it */
        for (int u = 0; u < a->used; u++) kept += exp((double)x[choice[u]] - top);
        for (int u = 0; u < a->used; u++) weight[u] = (float)(exp((double)x[choice[u]] - top) / (a->norm ? kept : all));
    }
}

static void route_back_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_route_args *a = args;
    for (int t = i0; t < i1; t++) {
        const float *x = a->logits + (size_t)t * (size_t)a->n_expert;
        size_t at = (size_t)t * (size_t)a->used;
        float *dx = a->dlogits + (size_t)t * (size_t)a->n_expert;
        double top, all = softmax_sum(x, a->n_expert, &top), mean = 0;
        for (size_t i = at; i < at + (size_t)a->used; i++) mean += (double)a->weight[i] * (double)a->dweight[a->slot[i]];
        for (int e = 0; e < a->n_expert && !a->norm; e++)
            dx[e] = (float)((double)dx[e] - exp((double)x[e] - top) / all * mean);
        for (size_t i = at; i < at + (size_t)a->used; i++) {
            double w = (double)a->weight[i], dw = (double)a->dweight[a->slot[i]];
            float *to = &dx[a->choice[i]];
            *to = (float)((double)*to + w * (a->norm ? dw - mean : dw));
        }
    }
}

/* ---- tables, and units ---- */
static const lb_impl copy_impls[] = {{"ref", 0, NULL, copy_ref, NULL, NULL}, {0}};
static const lb_impl row_sums_impls[] = {{"ref", 0, NULL, row_sums_ref, NULL, NULL}, {0}};
static const lb_impl row_dots_impls[] = {{"ref", 0, NULL, row_dots_ref, NULL, NULL}, {0}};
static const lb_impl route_impls[] = {{"ref", 0, NULL, route_ref, NULL, NULL}, {0}};
static const lb_impl route_back_impls[] = {{"ref", 0, NULL, route_back_ref, NULL, NULL}, {0}};

/* Rows that make about 16,384 elements: less is not worth waking a thread for. */
static int rows_of(int d) { return d >= 16384 ? 1 : d > 0 ? (16384 + d - 1) / d : 1; }

static int copy_units(const void *args)
{
    return (int)((((const lb_copy *)args)->n + LB_COPY_PIECE - 1) / LB_COPY_PIECE);
}
static int copy_grain(const void *a) { (void)a; return 2; }
static int row_sums_units(const void *a) { return ((const lb_row_sums *)a)->n; }
static int row_sums_grain(const void *a) { return rows_of(((const lb_row_sums *)a)->d); }
static int row_dots_units(const void *a) { return ((const lb_row_dots *)a)->n; }
static int row_dots_grain(const void *a) { return rows_of(((const lb_row_dots *)a)->d); }
static int route_units(const void *a) { return ((const lb_route_args *)a)->n_tok; }
static int route_grain(const void *a) { return rows_of(16 * ((const lb_route_args *)a)->n_expert); }

const lb_op lb_op_copy = {"copy", copy_impls, copy_units, copy_grain, NULL};
const lb_op lb_op_row_sums = {"row_sums", row_sums_impls, row_sums_units, row_sums_grain, NULL};
const lb_op lb_op_row_dots = {"row_dots", row_dots_impls, row_dots_units, row_dots_grain, NULL};
const lb_op lb_op_route = {"route", route_impls, route_units, route_grain, NULL};
const lb_op lb_op_route_back = {"route_back", route_back_impls, route_units, route_grain, NULL};
