/* quant/gptq.c – GPTQ: a tile of rows goes through all columns on one thread. */
#include "quant/gptq.h"
#include "base/mem.h"
#include "kern/gptq_step.h"
#include "quant/gptq_factor.h"
#include "num/fp4.h"
#include "quant/grid.h"
#include <float.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { W = LB_TILE_W };

typedef struct gptq {
    const lb_quant_job *job;
    const lb_gptq_factor *f;
    lb_qmat *q;                  /* of block floats only the shape: bits, n, k, group */
    lb_fp4mat *fp4;              /* NULL: integers */
    lb_grid_opt grid;
    bool static_groups;
    const lb_impl *clip, *step, *update;
    atomic_bool no_memory;
} gptq;

/* One thread's tile. */
typedef struct tile {
    float *w;                    /* [k][W] columns in the order of f->perm */
    float *group;                /* [group][W] one group of original columns */
    float *scale, *zero;         /* [G][W]; zero of block floats: the scale's byte */
    float *err;                  /* [LB_GPTQ_BLOCK][W] */
    uint8_t *code;               /* [k][W] */
    int row0, n_row;
} tile;

static bool tile_open(tile *t, lb_arena *a, const lb_qmat *q)
{
    size_t k = (size_t)q->k, g = (size_t)q->group, n_group = (size_t)lb_n_group(q->k, q->group), row = W * sizeof(float);
    size_t need = lb_arena_need(k, row) + lb_arena_need(g, row) + 2 * lb_arena_need(n_group, row) +
                  lb_arena_need(LB_GPTQ_BLOCK, row) + lb_arena_need(k, W);
    if (!lb_arena_open(a, need, "a tile of rows", NULL)) return false;
    t->w = lb_arena_alloc(a, k, row);
    t->group = lb_arena_alloc(a, g, row);
    t->scale = lb_arena_alloc(a, n_group, row);
    t->zero = lb_arena_alloc(a, n_group, row);
    t->err = lb_arena_alloc(a, LB_GPTQ_BLOCK, row);
    t->code = lb_arena_alloc(a, k, W);
    return true;
}

/* n columns of the tile's rows, turned; perm NULL: from column c0 on. Rows past the end are zeros. */
static void turn(const gptq *a, const tile *t, const int *perm, int c0, int n, float *out)
{
    if (t->n_row < W) memset(out, 0, (size_t)n * W * sizeof *out);
    for (int r = 0; r < t->n_row; r++) {
        const float *w = a->job->w + (size_t)(t->row0 + r) * (size_t)a->q->k;
        for (int c = 0; c < n; c++) out[(size_t)c * W + (size_t)r] = w[perm ? perm[c] : c0 + c];
    }
}

/* Block floats: the scale of each row. One that is 0 becomes so large that everything rounds to 0. */
static void find_fp4_scale(const gptq *a, const float *w, int n, float *scale, float *byte)
{
    float block[LB_GPTQ_BLOCK];
    for (int r = 0; r < W; r++) {
        for (int c = 0; c < n; c++) block[c] = w[c * W + r];
        uint8_t b = lb_fp4_block_scale(a->fp4->num, a->fp4->tensor_scale, a->grid.mse, block, n);
        float s = lb_fp4_scale(a->fp4->num, b, a->fp4->tensor_scale);
        byte[r] = b;
        scale[r] = s > 0 ? s : FLT_MAX;
    }
}

static void find_grid(const gptq *a, tile *t, int g, const float *w)
{
    int c0 = g * a->q->group, n = a->q->k - c0 < a->q->group ? a->q->k - c0 : a->q->group;
    float *scale = t->scale + (size_t)g * W, *zero = t->zero + (size_t)g * W;
    if (a->fp4) find_fp4_scale(a, w, n, scale, zero);
    else lb_grid_tile(a->clip, w, n, &a->grid, scale, zero);
}

/* Rounds a block column by column, stopping at the first column of each group to estimate its grid. */
static void round_block(const gptq *a, tile *t, const lb_gptq_block *b)
{
    const float *scale[LB_GPTQ_BLOCK], *zero[LB_GPTQ_BLOCK];
    int group = a->q->group, n = b->c1 - b->c0;
    for (int c = 0; c < n; c++) {
        size_t g = (size_t)(a->f->perm[b->c0 + c] / group);
        scale[c] = t->scale + g * W, zero[c] = t->zero + g * W;
    }
    lb_gptq_step s = {.err = t->err, .u = b->u, .scale = scale, .zero = zero, .n_col = n, .ldu = LB_GPTQ_BLOCK};
    s.w = t->w + (size_t)b->c0 * W;
    s.code = t->code + (size_t)b->c0 * W;
    s.kind = a->fp4 ? LB_SNAP_E2M1 : a->q->half ? LB_SNAP_HALF : LB_SNAP_INT;
    s.max = (float)((1 << a->q->bits) - 1);
    for (s.c0 = 0; s.c0 < n; s.c0 = s.c1) {
        int at = b->c0 + s.c0;
        s.c1 = n;
        if (!a->static_groups) {
            int next = (at / group + 1) * group - b->c0;
            s.c1 = next < n ? next : n;
            if (at % group == 0) find_grid(a, t, at / group, t->w + (size_t)at * W);
        }
        a->step->run(&s, 0, W / LB_TILE_UNIT, NULL);
    }
}

static void store(const gptq *a, const tile *t)
{
    size_t k = (size_t)a->q->k, n_group = (size_t)lb_n_group(a->q->k, a->q->group);
    for (size_t r = 0; r < (size_t)t->n_row; r++) {
        size_t row = (size_t)t->row0 + r;
        uint8_t *codes = (a->fp4 ? a->fp4->codes : a->q->codes) + row * k;
        for (size_t c = 0; c < k; c++) codes[a->f->perm[c]] = t->code[c * W + r];
        for (size_t g = 0; g < n_group; g++) {
            uint8_t zero = (uint8_t)(a->q->half ? 2 * t->zero[g * W + r] : t->zero[g * W + r]);
            if (a->fp4) a->fp4->scales[row * n_group + g] = zero;
            else a->q->scales[row * n_group + g] = t->scale[g * W + r], a->q->zeros[row * n_group + g] = zero;
        }
        float *latent = a->job->latent ? a->job->latent + row * k : NULL;
        for (size_t c = 0; latent && c < k; c++) latent[a->f->perm[c]] = t->w[c * W + r];
    }
}

static void solve_tile(const gptq *a, tile *t)
{
    int group = a->q->group, k = a->q->k;
    turn(a, t, a->f->perm, 0, k, t->w);
    for (int g = 0; a->static_groups && g < lb_n_group(k, group); g++) {
        turn(a, t, NULL, g * group, k - g * group < group ? k - g * group : group, t->group);
        find_grid(a, t, g, t->group);
    }
    for (int i = 0; i < a->f->n_block; i++) {
        const lb_gptq_block *b = &a->f->blocks[i];
        round_block(a, t, b);
        lb_gptq_update u = {.w = t->w + (size_t)b->c1 * W, .err = t->err, .u = b->after, .n_col = b->c1 - b->c0};
        u.n_next = k - b->c1;
        a->update->run(&u, 0, (u.n_next + W - 1) / W, NULL);
    }
    store(a, t);
}

static void tiles(void *arg, int t0, int t1)
{
    gptq *a = arg;
    lb_arena arena = {0};
    tile t = {0};
    if (!tile_open(&t, &arena, a->q)) {
        atomic_store(&a->no_memory, true);
        return;
    }
    for (int i = t0; i < t1; i++) {
        t.row0 = i * W;
        t.n_row = a->q->n - t.row0 < W ? a->q->n - t.row0 : W;
        solve_tile(a, &t);
    }
    lb_arena_close(&arena);
}

/* out: integers, or with fp4 the shape alone. */
static bool solve(const lb_quant_job *job, lb_qmat *out, lb_fp4mat *fp4, lb_err *err)
{
    gptq a = {.job = job, .q = out, .fp4 = fp4, .f = job->factor, .static_groups = job->gptq.static_groups || job->gptq.act_order};
    lb_gptq_factor *own = NULL;
    if (!a.f && !job->h)
        return lb_fail(err, LB_EUSAGE, "%s: gptq needs calibration data: the second moment of this layer's inputs", job->name);
    if (!a.f || !lb_gptq_factor_fits(a.f, out->k, out->group, &job->gptq)) {
        if (!job->h) return lb_fail(err, LB_EUSAGE, "%s: the shared factor was made for other groups or another order", job->name);
        a.f = own = lb_gptq_factor_new(job->ex, job->h, out->k, out->group, &job->gptq, job->name, err);
        if (!own) return false;
    }
    a.grid = (lb_grid_opt){.bits = out->bits, .sym = job->scheme.sym, .half = out->half, .scale_type = out->scale_type};
    a.grid.mse = job->clip_mse, a.grid.zeros = job->clip_zeros;
    a.clip = lb_op_pick(&lb_op_clip, job->ex, NULL);
    a.step = lb_op_pick(&lb_op_gptq_step, job->ex, NULL);
    a.update = lb_op_pick(&lb_op_gptq_update, job->ex, NULL);
    lb_parallel(job->ex, (out->n + W - 1) / W, 1, tiles, &a);
    lb_gptq_factor_free(own);
    if (atomic_load(&a.no_memory)) return lb_fail(err, LB_ENOMEM, "%s: no memory for a tile of rows", job->name);
    return true;
}

/* ---- the row ---- */

static const lb_method_option options[] = {
    {"act_order", -1, -1, 1, "columns by falling diagonal of H (-1: yes, unless activations are quantized to integers)"},
    {"static_groups", 1, 0, 1, "grids from the original weights"},
    {"damp", 0.01, 1e-6, 1, "added to the diagonal of H, in its mean"},
    {"zeros", 1, 0, 1, "at 2 bits: try neighbouring zero points"},
    {0}};

/* The job with the options of the command in place of its own. */
static lb_quant_job with_options(const lb_quant_job *job)
{
    lb_quant_job j = *job;
    if (!job->options) return j;
    double order = lb_option(job->options, &lb_method_gptq, "act_order");
    j.gptq.act_order = order < 0 ? job->scheme.a_bits == 16 || job->scheme.format != LB_W_INT : order > 0;
    j.gptq.static_groups = lb_option(job->options, &lb_method_gptq, "static_groups") > 0;
    j.gptq.damp = (float)lb_option(job->options, &lb_method_gptq, "damp");
    j.clip_zeros = j.clip_mse && lb_option(job->options, &lb_method_gptq, "zeros") > 0;
    return j;
}

static bool solve_row(const lb_quant_job *job, lb_qmat *out, lb_err *err)
{
    lb_quant_job j = with_options(job);
    return solve(&j, out, NULL, err);
}

/* MR-GPTQ's solver (arXiv:2509.23202): the static order costs nothing at run time, scales by search. */
static bool solve_fp4(const lb_quant_job *job, lb_fp4mat *out, lb_err *err)
{
    lb_quant_job j = with_options(job);
    lb_qmat shape = {.bits = 4, .n = out->n, .k = out->k, .group = out->num->block < out->k ? out->num->block : out->k};
    return solve(&j, &shape, out, err);
}

static lb_gptq_factor *share(const lb_quant_job *job, lb_err *err)
{
    lb_quant_job j = with_options(job);
    int group = j.scheme.group > 0 ? j.scheme.group : j.k;
    return lb_gptq_factor_new(j.ex, j.h, j.k, group, &j.gptq, j.name, err);
}

const lb_method lb_method_gptq = {
    .name = "gptq",
    .paper = "arXiv:2210.17323",
    .about = "rounds column by column and makes up for each error in the columns after it",
    .needs = LB_NEEDS_HESSIAN,
    .clip_from_bits = 3, /* measured: at 2 bits a grid that is clipped first has no room for what is made up for later */
    .options = options,
    .halves = true,
    .solve = solve_row,
    .solve_fp4 = solve_fp4,
    .share = share,
    .unshare = lb_gptq_factor_free,
};
