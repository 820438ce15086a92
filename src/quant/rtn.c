/* quant/rtn.c – round to nearest: each group on its own grid, no data. */
#include "base/mem.h"
#include "quant/grid.h"
#include "quant/method.h"
#include <stdatomic.h>
#include <stdlib.h>

enum { W = LB_TILE_W };

typedef struct rtn {
    const lb_quant_job *job;
    lb_qmat *out;
    atomic_bool no_memory;
} rtn;

static int group_end(const lb_qmat *q, int g) { return (g + 1) * q->group < q->k ? (g + 1) * q->group : q->k; }

static void round_group(const lb_quant_job *j, lb_qmat *q, int r, int g, const lb_grid *grid)
{
    const float *w = j->w + (size_t)r * (size_t)q->k;
    size_t i = (size_t)r * (size_t)lb_n_group(q->k, q->group) + (size_t)g;
    q->scales[i] = grid->scale;
    q->zeros[i] = (uint8_t)grid->zero;
    for (int k = g * q->group; k < group_end(q, g); k++)
        q->codes[(size_t)r * (size_t)q->k + (size_t)k] = (uint8_t)lb_grid_code(grid, w[k]);
}

/* The same on the balanced grid. */
static void round_half(const lb_quant_job *j, lb_qmat *q, int r, int g, float scale)
{
    const float *w = j->w + (size_t)r * (size_t)q->k;
    size_t i = (size_t)r * (size_t)lb_n_group(q->k, q->group) + (size_t)g;
    q->scales[i] = scale;
    q->zeros[i] = LB_HALF_ZERO;
    for (int k = g * q->group; k < group_end(q, g); k++)
        q->codes[(size_t)r * (size_t)q->k + (size_t)k] = (uint8_t)lb_half_code(scale, w[k]);
}

/* The grid of n weights of row r: their range, or what is left of it after a learned clip. */
static lb_grid min_max(const lb_quant_job *j, const lb_qmat *q, int r, const float *w, int n)
{
    float range[2] = {0, 0};
    if (!j->row_clip) return lb_grid_minmax(w, n, q->bits, j->scheme.sym, 1, q->scale_type);
    for (int i = 0; i < n; i++) {
        range[0] = w[i] < range[0] ? w[i] : range[0];
        range[1] = w[i] > range[1] ? w[i] : range[1];
    }
    range[0] *= j->row_clip[2 * r], range[1] *= j->row_clip[2 * r + 1];
    return lb_grid_minmax(range, 2, q->bits, j->scheme.sym, 1, q->scale_type);
}

static void rows(void *arg, int row0, int row1)
{
    const lb_quant_job *j = ((rtn *)arg)->job;
    lb_qmat *q = ((rtn *)arg)->out;
    for (int r = row0; r < row1; r++) {
        for (int g = 0; g < lb_n_group(q->k, q->group); g++) {
            const float *w = j->w + (size_t)r * (size_t)q->k + (size_t)g * (size_t)q->group;
            int n = group_end(q, g) - g * q->group;
            if (q->half) {
                round_half(j, q, r, g, lb_half_scale(w, n, 1, q->scale_type));
                continue;
            }
            lb_grid grid = min_max(j, q, r, w, n);
            round_group(j, q, r, g, &grid);
        }
    }
}

/* With the clip search: a tile of rows at a time, turned. */
static void tiles(void *arg, int tile0, int tile1)
{
    rtn *a = arg;
    const lb_quant_job *j = a->job;
    lb_qmat *q = a->out;
    lb_grid_opt o = {.bits = q->bits, .sym = j->scheme.sym, .scale_type = q->scale_type, .mse = true, .zeros = j->clip_zeros,
                     .half = q->half};
    const lb_impl *clip = lb_op_pick(&lb_op_clip, j->ex, NULL);
    float scale[W], zero[W], *turned = lb_alloc((size_t)q->group, W * sizeof *turned, "a tile of rows", NULL);
    if (!turned) {
        atomic_store(&a->no_memory, true);
        return;
    }
    for (int i = tile0 * lb_n_group(q->k, q->group); i < tile1 * lb_n_group(q->k, q->group); i++) {
        int row0 = i / lb_n_group(q->k, q->group) * W, n = q->n - row0 < W ? q->n - row0 : W;
        int g = i % lb_n_group(q->k, q->group), k0 = g * q->group, k1 = group_end(q, g);
        for (int r = 0; r < n; r++)
            for (int k = k0; k < k1; k++)
                turned[(size_t)(k - k0) * W + (size_t)r] = j->w[(size_t)(row0 + r) * (size_t)q->k + (size_t)k];
        lb_grid_tile(clip, turned, k1 - k0, &o, scale, zero);
        for (int r = 0; r < n && q->half; r++) round_half(j, q, row0 + r, g, scale[r]);
        for (int r = 0; r < n && !q->half; r++)
            round_group(j, q, row0 + r, g, &(lb_grid){scale[r], (int)zero[r], (1 << q->bits) - 1});
    }
    free(turned);
}

static bool solve(const lb_quant_job *job, lb_qmat *out, lb_err *err)
{
    rtn a = {job, out, false};
    if (!job->clip_mse || job->row_clip) lb_parallel(job->ex, job->n, 8, rows, &a);
    else lb_parallel(job->ex, (job->n + W - 1) / W, 1, tiles, &a);
    if (atomic_load(&a.no_memory)) return lb_fail(err, LB_ENOMEM, "%s: no memory for a tile of rows", job->name);
    return true;
}

typedef struct rtn4 {
    const lb_quant_job *job;
    lb_fp4mat *out;
} rtn4;

static void rows_fp4(void *arg, int row0, int row1)
{
    const lb_quant_job *j = ((rtn4 *)arg)->job;
    lb_fp4mat *q = ((rtn4 *)arg)->out;
    size_t k = (size_t)q->k, g = (size_t)lb_n_group(q->k, q->num->block);
    for (size_t r = (size_t)row0; r < (size_t)row1; r++)
        lb_fp4_encode_row(q->num, q->tensor_scale, j->clip_mse, j->w + r * k, q->k, q->codes + r * k, q->scales + r * g);
}

static bool solve_fp4(const lb_quant_job *job, lb_fp4mat *out, lb_err *err)
{
    (void)err;
    rtn4 a = {job, out};
    lb_parallel(job->ex, job->n, 8, rows_fp4, &a);
    return true;
}

const lb_method lb_method_rtn = {.name = "rtn", .paper = "round to nearest", .about = "round to nearest, no data", .halves = true, .solve = solve,
                               .solve_fp4 = solve_fp4};
