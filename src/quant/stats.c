/* quant/stats.c – statistics of what the linears of a float block read. */
#include "base/mem.h"
#include "quant/run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct stats {
    float *absmax;               /* [width], or NULL */
    double *sum;                 /* [width], or NULL */
    const float *rows;
    int n_row, width;
} stats;

/* Columns [begin,end) of the rows of a pass: threads share columns, so sums do not depend on them. */
static void columns(void *arg, int begin, int end)
{
    stats *s = arg;
    for (int t = 0; t < s->n_row; t++) {
        const float *x = s->rows + (size_t)t * (size_t)s->width;
        for (int i = begin; i < end; i++) {
            float a = fabsf(x[i]);
            if (s->absmax && (a > s->absmax[i] || a != a)) s->absmax[i] = a; /* a NaN stays: nothing is greater */
            if (s->sum) s->sum[i] += (double)a;
        }
    }
}

typedef struct watcher {
    stats s;
    lb_exec *ex;
} watcher;

static bool see(void *arg, const float *rows, int n_row, int width, size_t row0, lb_err *err)
{
    (void)row0;
    watcher *w = arg;
    w->s.rows = rows, w->s.n_row = n_row, w->s.width = width;
    lb_parallel(w->ex, width, 16, columns, &w->s);
    for (int i = 0; w->s.absmax && i < width; i++)
        if (!isfinite(w->s.absmax[i]))
            return lb_fail(err, LB_ENUMERIC, "an activation of channel %d is not finite", i);
    return true;
}

bool lb_run_column_stats(lb_quant_run *r, int layer, lb_site site, float *absmax, float *absmean, lb_err *err)
{
    static const lb_part last[] = {LB_PART_ATTN_IN, LB_PART_ATTN, LB_PART_MLP_IN, LB_PART_ACT};
    const lb_config *c = r->cfg;
    const int width[] = {c->d_model, c->n_head * c->d_head, c->d_model, c->d_ff};
    watcher w = {.s = {.absmax = absmax}, .ex = r->ex};
    if (absmax) memset(absmax, 0, (size_t)width[site] * sizeof *absmax);
    w.s.sum = absmean ? lb_alloc((size_t)width[site], sizeof *w.s.sum, "statistics", err) : NULL;
    bool ok = !absmean || w.s.sum;
    r->calib.dry = true;
    ok = ok && lb_calib_run(&r->calib, layer, LB_PART_ATTN_IN, last[site], r->x_float, NULL, (lb_calib_see){see, &w}, err);
    r->calib.dry = false;
    for (int i = 0; ok && absmean && i < width[site]; i++) absmean[i] = (float)(w.s.sum[i] / (double)r->n_row);
    free(w.s.sum);
    return ok;
}
