/* quant/awq.c – the search for scales. */
#include "quant/awq.h"
#include "base/mem.h"
#include "kern/matmul.h"
#include "quant/grid.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int group_of(const lb_awq_linear *l) { return l->scheme.group > 0 && l->scheme.group < l->k ? l->scheme.group : l->k; }

/* ---- rounding ---- */
typedef struct rounding {
    const lb_awq_linear *l;
    const float *s;
    float *out;
} rounding;

static void round_rows(void *arg, int r0, int r1)
{
    const rounding *a = arg;
    const lb_awq_linear *l = a->l;
    int group = group_of(l);
    for (int r = r0; r < r1; r++)
        for (int k0 = 0; k0 < l->k; k0 += group) {
            int n = l->k - k0 < group ? l->k - k0 : group;
            float *out = a->out + (size_t)r * (size_t)l->k + (size_t)k0;
            const float *w = l->w + (size_t)r * (size_t)l->k + (size_t)k0, *s = a->s ? a->s + k0 : NULL;
            for (int k = 0; k < n; k++) out[k] = s ? w[k] * s[k] : w[k];
            lb_grid g = lb_grid_minmax(out, n, l->scheme.w_bits, l->scheme.sym, 1, l->scale_type);
            for (int k = 0; k < n; k++) {
                float v = lb_grid_value(&g, lb_grid_code(&g, out[k]));
                out[k] = s ? v / s[k] : v;
            }
        }
}

void lb_awq_round(lb_exec *ex, const lb_awq_linear *l, const float *s, float *out)
{
    rounding a = {l, s, out};
    if (l->scheme.w_bits < 16) lb_parallel(ex, l->n, 8, round_rows, &a);
    else memmove(out, l->w, (size_t)l->n * (size_t)l->k * sizeof *out);
}

/* ---- loss of one linear ---- */
enum { LOSS_ROWS = 512 };

bool lb_awq_linear_loss(lb_exec *ex, const lb_awq_linear *l, const float *x, int n_x, const float *w, double *loss,
                        lb_err *err)
{
    size_t n = (size_t)l->n * (size_t)l->k;
    float *d = lb_alloc(n, sizeof *d, "changes of a weight", err);
    float *y = d ? lb_alloc((size_t)l->n, LOSS_ROWS * sizeof *y, "changes of an output", err) : NULL;
    lb_mat m = {.num = lb_num_of_dtype(LB_F32), .n = l->n, .k = l->k, .data = d};
    lb_matmul a = {.y = y, .x = x, .w = m, .n_tok = n_x < LOSS_ROWS ? n_x : LOSS_ROWS, .ldy = l->n};
    const lb_impl *impl = lb_op_pick(&lb_op_matmul, ex, &a);
    bool ok = y && (!impl->scratch || lb_exec_reserve(ex, impl->scratch(&a), err));
    double sum = 0;
    for (size_t i = 0; ok && i < n; i++) d[i] = w[i] - l->w[i];
    for (int t = 0; ok && t < n_x; t += LOSS_ROWS) {
        a.x = x + (size_t)t * (size_t)l->k;
        a.n_tok = n_x - t < LOSS_ROWS ? n_x - t : LOSS_ROWS;
        lb_op_run(&lb_op_matmul, impl, &a, ex);
        for (size_t i = 0; i < (size_t)a.n_tok * (size_t)l->n; i++) sum += (double)y[i] * (double)y[i];
    }
    *loss = n_x > 0 ? sum / ((double)n_x * l->n) : 0;
    free(d);
    free(y);
    return ok;
}

/* ---- the search ---- */

/* w̄ [k]: mean over the rows of all linears of |w| in units of its group's largest. */
static void weight_means(const lb_awq_search *a, double *mean)
{
    int k = a->linears[0].k, rows = 0;
    memset(mean, 0, (size_t)k * sizeof *mean);
    for (int i = 0; i < a->n_linear; rows += a->linears[i++].n) {
        const lb_awq_linear *l = &a->linears[i];
        int group = group_of(l);
        for (int r = 0; r < l->n; r++)
            for (int k0 = 0; k0 < k; k0 += group) {
                const float *w = l->w + (size_t)r * (size_t)k;
                int k1 = k0 + group < k ? k0 + group : k;
                float most = 0;
                for (int j = k0; j < k1; j++) most = fmaxf(most, fabsf(w[j]));
                for (int j = k0; j < k1; j++) mean[j] += (double)(fabsf(w[j]) / (most + 1e-6f));
            }
    }
    for (int j = 0; j < k; j++) mean[j] /= rows;
}

static void scale_of(const lb_awq_search *a, const double *w_mean, double r, float *s)
{
    int k = a->linears[0].k;
    double lo = INFINITY, hi = 0;
    for (int j = 0; j < k; j++) {
        double v = pow((double)a->x_mean[j], r);
        if (a->duo) v /= pow(w_mean[j], 1 - r) + 1e-4;
        v = fmax(v, 1e-4);
        s[j] = (float)v;
        lo = fmin(lo, v), hi = fmax(hi, v);
    }
    for (int j = 0; j < k; j++) {
        s[j] = (float)((double)s[j] / sqrt(hi * lo));
        if (!isfinite(s[j]) || s[j] <= 0) s[j] = 1;
    }
}

/* One candidate: s NULL is s = 1. */
static bool loss_of(const lb_awq_search *a, const float *s, float **w, double *loss, lb_err *err)
{
    for (int i = 0; i < a->n_linear; i++) lb_awq_round(a->ex, &a->linears[i], s, w[i]);
    if (!a->loss(a->arg, (const float *const *)w, loss, err)) return false;
    if (isfinite(*loss)) return true;
    return lb_fail(err, LB_ENUMERIC, "%s: the output with rounded weights is not finite", a->name);
}

static bool search(const lb_awq_search *a, const double *w_mean, float **w, float *trial, float *s, lb_awq_choice *c,
                   lb_err *err)
{
    int k = a->linears[0].k;
    for (int j = 0; j < k; j++) s[j] = 1;
    *c = (lb_awq_choice){0};
    if (!loss_of(a, NULL, w, &c->loss_rtn, err)) return false;
    c->loss = c->loss_rtn;
    for (int i = a->duo ? 0 : 1; i < LB_AWQ_RATIOS; i++) {
        double loss, r = (double)i / LB_AWQ_RATIOS;
        scale_of(a, w_mean, r, trial);
        if (!loss_of(a, trial, w, &loss, err)) return false;
        if (loss >= c->loss) continue;
        c->loss = loss, c->ratio = r;
        memcpy(s, trial, (size_t)k * sizeof *s);
    }
    return true;
}

bool lb_awq_scale(const lb_awq_search *a, float *s, lb_awq_choice *choice, lb_err *err)
{
    size_t k = (size_t)a->linears[0].k;
    for (size_t j = 0; j < k; j++)
        if (!(a->x_mean[j] >= 0 && isfinite(a->x_mean[j])))
            return lb_fail(err, LB_ENUMERIC, "%s: mean absolute input of column %zu is %g", a->name, j,
                           (double)a->x_mean[j]);
    float *trial = lb_alloc(k, sizeof *trial, "AWQ's scales", err);
    double *w_mean = trial ? lb_alloc(k, sizeof *w_mean, "AWQ's scales", err) : NULL;
    float **w = w_mean ? lb_alloc((size_t)a->n_linear, sizeof *w, "AWQ's weights", err) : NULL;
    bool ok = w != NULL;
    for (int i = 0; ok && i < a->n_linear; i++)
        ok = (w[i] = lb_alloc((size_t)a->linears[i].n * k, sizeof **w, "AWQ's weights", err)) != NULL;
    if (ok && a->duo) weight_means(a, w_mean);
    ok = ok && search(a, w_mean, w, trial, s, choice, err);
    for (int i = 0; w && i < a->n_linear; i++) free(w[i]);
    free(w);
    free(w_mean);
    free(trial);
    return ok;
}
