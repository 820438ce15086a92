/* quant/adapt.c – the pure methods as rows: which streams and options each gets from a run. */
#include "base/mem.h"
#include "quant/method.h"
#include "quant/quarot.h"
#include "quant/run.h"
#include "quant/smoothquant.h"
#include <stdlib.h>
#include <string.h>

/* ---- smoothquant ---- */

static const lb_method_option smooth_options[] = {
    {"alpha", (double)LB_SMOOTHQUANT_ALPHA, 0, 1, "share of the activations' range that goes to the weights"}, {0}};

extern const lb_method lb_method_smoothquant, lb_method_quarot;

static bool smooth_block(lb_quant_run *r, lb_qblock *b, lb_err *err)
{
    size_t d = (size_t)r->cfg->d_model;
    float *max = lb_alloc(2 * d, sizeof *max, "activation maxima", err);
    bool ok = max && lb_run_column_stats(r, b->layer, LB_SITE_QKV, max, NULL, err) &&
              lb_run_column_stats(r, b->layer, LB_SITE_MLP, max + d, NULL, err) &&
              lb_smoothquant_block(b, max, max + d,
                                   (float)lb_option(&r->o->options, &lb_method_smoothquant, "alpha"), err);
    free(max);
    return ok;
}

const lb_method lb_method_smoothquant = {
    .name = "smoothquant",
    .paper = "arXiv:2211.10438",
    .about = "moves the range of activations into the weights",
    .needs = LB_NEEDS_FLOAT,
    .options = smooth_options,
    .block = smooth_block,
};

/* ---- quarot ---- */

static const lb_method_option quarot_options[] = {{"seed", 0, 0, 1e9, "of the random signs"}, {0}};

/* R3 is a matter of the cache: a format that quantizes rotated keys turns them itself. */
static lb_quarot quarot_of(const lb_quant_run *r)
{
    return (lb_quarot){.parts = LB_QUAROT_ALL & ~(unsigned)LB_QUAROT_R3,
                       .seed = (uint64_t)lb_option(&r->o->options, &lb_method_quarot, "seed")};
}

static bool quarot_check(lb_quant_run *r, lb_err *err)
{
    lb_quarot q = quarot_of(r);
    lb_online *on = &r->online;
    on->transform[LB_SITE_O] = LB_TRANSFORM_KRON;
    on->transform[LB_SITE_DOWN] = LB_TRANSFORM_HADAMARD;
    if (!r->o->kv && r->o->scheme.kv_bits < 16) snprintf(on->kv, sizeof on->kv, "kv%d-quarot", r->o->scheme.kv_bits);
    if (on->act.kind == LB_ACT_INT && r->o->act_clip == 0) on->act.clip_lo = on->act.clip_hi = 0.9f; /* the study's */
    return lb_quarot_check(r->cfg, &q, err);
}

/* rows [n_vocab, d_model] of a tensor as floats. */
static float *rows_of(const lb_quant_run *r, const lb_mat *m, lb_err *err)
{
    float *v = lb_alloc((size_t)m->n * (size_t)m->k, sizeof *v, "a rotated embedding", err);
    (void)r;
    for (int i = 0; v && i < m->n; i++) m->num->decode(m, i, 0, m->k, v + (size_t)i * (size_t)m->k);
    return v;
}

static bool quarot_model(lb_quant_run *r, lb_err *err)
{
    lb_quarot q = quarot_of(r);
    const lb_config *c = r->cfg;
    r->embed = rows_of(r, &r->m->embed, err);
    r->head = r->embed ? rows_of(r, &r->m->lm_head.w, err) : NULL;
    r->final_norm = r->head ? lb_alloc((size_t)c->d_model, sizeof *r->final_norm, "the final norm", err) : NULL;
    if (!r->final_norm) return false;
    lb_quarot_rows(c, &q, r->embed, c->n_vocab, NULL, r->ex);
    lb_quarot_rows(c, &q, r->head, c->n_vocab, r->m->final_norm, r->ex);
    for (int i = 0; i < c->d_model; i++) r->final_norm[i] = 1;
    return true;
}

static bool quarot_block(lb_quant_run *r, lb_qblock *b, lb_err *err)
{
    lb_quarot q = quarot_of(r);
    return lb_quarot_block(b, &q, r->ex, err);
}

const lb_method lb_method_quarot = {
    .name = "quarot",
    .paper = "arXiv:2404.00456",
    .about = "spreads outliers by Hadamard rotations, folded and online",
    .options = quarot_options,
    .check = quarot_check,
    .model = quarot_model,
    .block = quarot_block,
};
