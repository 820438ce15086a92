/* quant/given.c – trained weights as a method. */
#include "quant/given.h"
#include "base/mem.h"
#include "quant/grid.h"
#include "quant/run.h"
#include <string.h>

static bool check(lb_quant_run *r, lb_err *err)
{
    const lb_given *g = r->o->given;
    (void)err;
    if (g->transform) memcpy(r->online.transform, g->transform, sizeof r->online.transform);
    if (r->online.act.kind == LB_ACT_INT) r->online.act.clip_lo = r->online.act.clip_hi = g->act_clip;
    return true;
}

static bool copy(const float *from, size_t n, float **to, lb_err *err)
{
    if (!from) return true;
    if ((*to = lb_alloc(n, sizeof **to, "trained weights", err))) memcpy(*to, from, n * sizeof **to);
    return *to != NULL;
}

static bool model(lb_quant_run *r, lb_err *err)
{
    const lb_given *g = r->o->given;
    size_t d = (size_t)r->cfg->d_model, n = (size_t)r->cfg->n_vocab * d;
    return copy(g->embed, n, &r->embed, err) && copy(g->head, n, &r->head, err) &&
           copy(g->final_norm, d, &r->final_norm, err);
}

static bool block(lb_quant_run *r, lb_qblock *b, lb_err *err) { return r->o->given->block(r->o->given->arg, b, err); }

static void round_half(const lb_quant_job *j, lb_qmat *q, int row, const float *scale)
{
    for (int k = 0; k < q->k; k++) {
        size_t i = (size_t)row * (size_t)lb_n_group(q->k, q->group) + (size_t)(k / q->group);
        size_t at = (size_t)row * (size_t)q->k + (size_t)k;
        q->scales[i] = scale[i], q->zeros[i] = LB_HALF_ZERO;
        q->codes[at] = (uint8_t)lb_half_code(scale[i], j->w[at]);
    }
}

static void round_row(const lb_quant_job *j, lb_qmat *q, int row, const float *scale, const float *zero)
{
    int n_group = lb_n_group(q->k, q->group);
    for (int g = 0; g < n_group; g++) {
        size_t i = (size_t)row * (size_t)n_group + (size_t)g;
        lb_grid grid = {scale[i], zero ? (int)zero[i] : 1 << (q->bits - 1), (1 << q->bits) - 1};
        q->scales[i] = scale[i], q->zeros[i] = (uint8_t)grid.zero;
        for (int k = g * q->group; k < (g + 1) * q->group && k < q->k; k++) {
            size_t at = (size_t)row * (size_t)q->k + (size_t)k;
            q->codes[at] = (uint8_t)lb_grid_code(&grid, j->w[at]);
        }
    }
}

static bool solve(const lb_quant_job *job, lb_qmat *q, lb_err *err)
{
    const lb_given *g = job->given;
    const float *scale, *zero;
    if (!g->grid || !g->grid(g->arg, job->name, &scale, &zero)) return lb_method_find("rtn", err)->solve(job, q, err);
    for (int r = 0; r < q->n; r++) {
        if (q->half) round_half(job, q, r, scale);
        else round_row(job, q, r, scale, zero);
    }
    return true;
}

static bool solve_fp4(const lb_quant_job *job, lb_fp4mat *q, lb_err *err)
{
    return lb_method_find("rtn", err)->solve_fp4(job, q, err);
}

static const lb_method given = {.name = "trained",
                                .paper = "arXiv:2601.14888",
                                .about = "weights that were trained",
                                .halves = true,
                                .check = check,
                                .model = model,
                                .block = block,
                                .solve = solve,
                                .solve_fp4 = solve_fp4};

lb_chain lb_given_chain(void) { return (lb_chain){.transform = {&given}, .n_transform = 1, .solver = &given}; }
