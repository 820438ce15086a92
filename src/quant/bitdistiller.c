/* quant/bitdistiller.c – the asymmetric clipping that BitDistiller starts from.
 *
 * For each group of a row, the two ends of its range shrink on their own, to 1, 0.95 … 0.55 of what they were; of the
 * hundred pairs the one is taken with the least error of the layer's output,
 *
 *     (ŵ−w)ᵀ H (ŵ−w),   H the group's block of the inputs' second moment
 *
 * The weights are clamped to it once: training then takes the range of the clamped weights at every step. Queries and
 * keys keep their ranges, as in the paper. Source: Du et al., "BitDistiller" (arXiv:2402.10631), section 3.1. */
#include "base/mem.h"
#include "quant/grid.h"
#include "quant/method.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 10 };

typedef struct search {
    const lb_quant_job *job;
    lb_qmat *out;
    bool clips;
    atomic_bool no_memory;
} search;

/* dᵀ H d for the columns k0 … k0+n. */
static double output_error(const lb_quant_job *j, const float *d, int k0, int n)
{
    double e = 0;
    for (int a = 0; a < n; a++) {
        const float *h = j->h + (size_t)(k0 + a) * (size_t)j->k + (size_t)k0;
        float sum = 0;
        for (int b = 0; b < n; b++) sum += h[b] * d[b];
        e += (double)d[a] * (double)sum;
    }
    return e;
}

static lb_grid grid_of(const lb_quant_job *j, const lb_qmat *q, float lo, float hi)
{
    return lb_grid_minmax((const float[]){lo, hi}, 2, q->bits, j->scheme.sym, 1, q->scale_type);
}

static void range_of(const float *w, int n, float *lo, float *hi)
{
    *lo = *hi = 0;
    for (int i = 0; i < n; i++) {
        *lo = w[i] < *lo ? w[i] : *lo;
        *hi = w[i] > *hi ? w[i] : *hi;
    }
}

static float clamped(float w, float lo, float hi) { return w < lo ? lo : w > hi ? hi : w; }

/* The best ends for w [n]; d [n] is room. */
static void best_clip(const search *s, const float *w, int k0, int n, float *d, float *best_lo, float *best_hi)
{
    const lb_quant_job *j = s->job;
    float lo, hi;
    double least = 0;
    range_of(w, n, &lo, &hi);
    for (int a = 0; a < STEPS; a++)
        for (int b = 0; b < STEPS; b++) {
            float l = lo * (1 - 0.05f * (float)a), h = hi * (1 - 0.05f * (float)b);
            lb_grid g = grid_of(j, s->out, l, h);
            for (int i = 0; i < n; i++) d[i] = lb_grid_value(&g, lb_grid_code(&g, clamped(w[i], l, h))) - w[i];
            double e = output_error(j, d, k0, n);
            if ((a || b) && e >= least) continue;
            least = e, *best_lo = l, *best_hi = h;
        }
}

static void rows(void *arg, int row0, int row1)
{
    search *s = arg;
    const lb_quant_job *j = s->job;
    lb_qmat *q = s->out;
    int n_group = lb_n_group(q->k, q->group);
    float *room = lb_alloc((size_t)q->group, 2 * sizeof *room, j->name, NULL);
    if (!room) {
        atomic_store(&s->no_memory, true);
        return;
    }
    for (int r = row0; r < row1; r++)
        for (int g = 0; g < n_group; g++) {
            int k0 = g * q->group, n = q->k - k0 < q->group ? q->k - k0 : q->group;
            size_t at = (size_t)r * (size_t)q->k + (size_t)k0, i = (size_t)r * (size_t)n_group + (size_t)g;
            float lo, hi, *w = room, *d = room + q->group;
            memcpy(w, j->w + at, (size_t)n * sizeof *w);
            range_of(w, n, &lo, &hi);
            if (s->clips) best_clip(s, w, k0, n, d, &lo, &hi);
            for (int k = 0; k < n; k++) w[k] = clamped(w[k], lo, hi);
            lb_grid grid =
                lb_grid_minmax(w, n, q->bits, j->scheme.sym, 1, q->scale_type); /* of what training will see */
            q->scales[i] = grid.scale, q->zeros[i] = (uint8_t)grid.zero;
            for (int k = 0; k < n; k++) q->codes[at + (size_t)k] = (uint8_t)lb_grid_code(&grid, w[k]);
            if (j->latent) memcpy(j->latent + at, w, (size_t)n * sizeof *w);
        }
    free(room);
}

static bool reads_queries(const char *name)
{
    const char *last = strrchr(name, '.');
    last = last ? last + 1 : name;
    return strcmp(last, "q_proj") == 0 || strcmp(last, "k_proj") == 0;
}

static bool solve(const lb_quant_job *job, lb_qmat *out, lb_err *err)
{
    search s = {.job = job, .out = out, .clips = !reads_queries(job->name)};
    lb_parallel(job->ex, job->n, 1, rows, &s);
    return !atomic_load(&s.no_memory) || lb_fail(err, LB_ENOMEM, "%s: no memory for a group", job->name);
}

const lb_method lb_method_bitdistiller = {
    .name = "bitdistiller",
    .paper = "arXiv:2402.10631",
    .about = "clips both ends of each group by the layer's output; a start for training",
    .needs = LB_NEEDS_HESSIAN,
    .solve = solve};
