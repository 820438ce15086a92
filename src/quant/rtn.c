/* quant/rtn.c – round to nearest: each group on its own grid, no data. */
#include "quant/grid.h"
#include "quant/method.h"

typedef struct rtn {
    const lb_quant_job *job;
    lb_qmat *out;
} rtn;

static void rows(void *arg, int row0, int row1)
{
    const lb_quant_job *j = ((rtn *)arg)->job;
    lb_qmat *q = ((rtn *)arg)->out;
    int n_group = lb_n_group(q->k, q->group);
    for (int r = row0; r < row1; r++) {
        for (int g = 0; g < n_group; g++) {
            int k0 = g * q->group, k1 = k0 + q->group < q->k ? k0 + q->group : q->k;
            const float *w = j->w + (size_t)r * (size_t)q->k;
            lb_grid grid = j->clip_mse ? lb_grid_mse(w + k0, k1 - k0, q->bits, j->scheme.sym, q->scale_type)
                                       : lb_grid_minmax(w + k0, k1 - k0, q->bits, j->scheme.sym, 1, q->scale_type);
            size_t i = (size_t)r * (size_t)n_group + (size_t)g;
            q->scales[i] = grid.scale;
            q->zeros[i] = (uint8_t)grid.zero;
            for (int k = k0; k < k1; k++)
                q->codes[(size_t)r * (size_t)q->k + (size_t)k] = (uint8_t)lb_grid_code(&grid, w[k]);
        }
    }
}

static bool solve(const lb_quant_job *job, lb_qmat *out, lb_err *err)
{
    (void)err;
    rtn a = {job, out};
    lb_parallel(job->ex, job->n, 8, rows, &a);
    return true;
}

const lb_method lb_method_rtn = {.name = "rtn", .paper = "round to nearest", .about = "round to nearest, no data", .solve = solve};
