/* quant/awq_clip.c – the search for clips.
 *
 * The error of a group is a quadratic form: with d = ŵ − w and G = Σ_t x_t x_tᵀ over its columns, Σ_t (x_t·d)² = dᵀ·G·d.
 * G is made once for all rows, and a tile of rows (kern/clip.h) takes G·d as one small matrix product. */
#include "base/mem.h"
#include "kern/gptq_step.h"
#include "kern/gram.h"
#include "quant/awq.h"
#include "quant/grid.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { W = LB_TILE_W };

typedef struct clipping {
    const lb_awq_linear *l;
    float *w;                    /* [n,k] clamped in place */
    const float *g;              /* [panels][n_col][W]: G of the group at hand */
    int c0, n_col;
    const lb_impl *clip, *product;
    atomic_bool no_memory;
} clipping;

typedef struct tile {
    float *w, *d, *e;            /* [n_col][W]: weights, ŵ − w, −G·d */
    float most[W], best[W];      /* largest |w|; the clip chosen so far */
    double least[W];
} tile;

/* The error of every row if it is clamped to ±m[r]. */
static void errors(const clipping *a, tile *t, const float *m, double *err)
{
    const lb_awq_linear *l = a->l;
    lb_grid_opt o = {.bits = l->scheme.w_bits, .sym = l->scheme.sym, .scale_type = l->scale_type};
    float scale[W], zero[W], max = (float)((1 << o.bits) - 1);
    for (int c = 0; c < a->n_col; c++)
        for (int r = 0; r < W; r++) t->d[c * W + r] = fminf(fmaxf(t->w[c * W + r], -m[r]), m[r]);
    lb_grid_tile(a->clip, t->d, a->n_col, &o, scale, zero);
    for (int c = 0; c < a->n_col; c++)
        for (int r = 0; r < W; r++) {
            int code;
            float *d = &t->d[c * W + r];
            *d = lb_snap(LB_SNAP_INT, *d, scale[r], zero[r], max, &code) - t->w[c * W + r];
        }
    memset(t->e, 0, (size_t)a->n_col * W * sizeof *t->e);
    lb_gptq_update p = {.w = t->e, .err = t->d, .u = a->g, .n_col = a->n_col, .n_next = a->n_col};
    a->product->run(&p, 0, (a->n_col + W - 1) / W, NULL);
    for (int r = 0; r < W; r++) err[r] = 0;
    for (int c = 0; c < a->n_col; c++)
        for (int r = 0; r < W; r++) err[r] -= (double)t->d[c * W + r] * (double)t->e[c * W + r];
}

static void clip_tile(const clipping *a, tile *t, int row0, int n_row)
{
    size_t k = (size_t)a->l->k;
    memset(t->w, 0, (size_t)a->n_col * W * sizeof *t->w);
    memset(t->most, 0, sizeof t->most);
    for (int r = 0; r < n_row; r++)
        for (int c = 0; c < a->n_col; c++) {
            float w = a->l->w[(size_t)(row0 + r) * k + (size_t)(a->c0 + c)];
            t->w[c * W + r] = w;
            t->most[r] = fmaxf(t->most[r], fabsf(w));
        }
    for (int i = 0; i < LB_AWQ_CLIPS; i++) {
        float m[W];
        double err[W];
        for (int r = 0; r < W; r++) m[r] = t->most[r] * (1 - (float)i / LB_AWQ_RATIOS);
        errors(a, t, m, err);
        for (int r = 0; r < W; r++)
            if (i == 0 || err[r] < t->least[r]) t->least[r] = err[r], t->best[r] = m[r];
    }
    for (int r = 0; r < n_row; r++)
        for (int c = 0; c < a->n_col; c++)
            a->w[(size_t)(row0 + r) * k + (size_t)(a->c0 + c)] = fminf(fmaxf(t->w[c * W + r], -t->best[r]), t->best[r]);
}

static void tiles(void *arg, int t0, int t1)
{
    clipping *a = arg;
    tile t;
    size_t n = (size_t)a->n_col * W;
    float *p = lb_alloc(3 * n, sizeof *p, "a tile of rows", NULL);
    if (!p) {
        atomic_store(&a->no_memory, true);
        return;
    }
    t.w = p, t.d = p + n, t.e = p + 2 * n;
    for (int i = t0; i < t1; i++) clip_tile(a, &t, i * W, a->l->n - i * W < W ? a->l->n - i * W : W);
    free(p);
}

/* G of columns [c0,c0+n), cut into panels. x [n_x] rows `step` apart. */
static bool moment(lb_exec *ex, const float *x, int n_x, int step, int k, int c0, int n, float *cols, float *h, float *g,
                   lb_err *err)
{
    for (int t = 0; t < n_x; t++)
        memcpy(cols + (size_t)t * (size_t)n, x + (size_t)t * (size_t)step * (size_t)k + (size_t)c0, (size_t)n * sizeof *x);
    memset(h, 0, (size_t)n * (size_t)n * sizeof *h);
    if (!lb_gram_add(ex, h, cols, n_x, n, err)) return false;
    for (int p = 0; p * W < n; p++)
        for (int c = 0; c < n; c++)
            for (int j = 0; j < W; j++)
                g[((size_t)p * (size_t)n + (size_t)c) * W + (size_t)j] =
                    p * W + j < n ? h[(size_t)c * (size_t)n + (size_t)(p * W + j)] : 0;
    return true;
}

bool lb_awq_clip(lb_exec *ex, const lb_awq_linear *l, const float *x, int n_x, float *w, lb_err *err)
{
    int group = l->scheme.group > 0 && l->scheme.group < l->k ? l->scheme.group : l->k;
    int step = n_x > LB_AWQ_CLIP_TOKENS ? n_x / LB_AWQ_CLIP_TOKENS : 1, rows = (n_x + step - 1) / step;
    size_t g = (size_t)group;
    if (l->scheme.w_bits == 16) return true;
    float *cols = lb_alloc((size_t)rows * g, sizeof *cols, "inputs of a group", err);
    float *h = cols ? lb_alloc(g * g, sizeof *h, "moments of a group", err) : NULL;
    float *panels = h ? lb_alloc((g + W - 1) / W * g, W * sizeof *panels, "moments of a group", err) : NULL;
    clipping a = {.l = l, .w = w, .g = panels};
    bool ok = panels != NULL;
    a.clip = lb_op_pick(&lb_op_clip, ex, NULL);
    a.product = lb_op_pick(&lb_op_gptq_update, ex, NULL);
    for (a.c0 = 0; ok && a.c0 < l->k; a.c0 += group) {
        a.n_col = l->k - a.c0 < group ? l->k - a.c0 : group;
        ok = moment(ex, x, rows, step, l->k, a.c0, a.n_col, cols, h, panels, err);
        if (ok) lb_parallel(ex, (l->n + W - 1) / W, 1, tiles, &a);
    }
    free(cols);
    free(h);
    free(panels);
    if (atomic_load(&a.no_memory)) return lb_fail(err, LB_ENOMEM, "no memory for a tile of rows");
    return ok;
}
