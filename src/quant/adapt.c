/* quant/adapt.c – the pure methods as rows: which streams and options each gets from a run. */
#include "base/mem.h"
#include "quant/autoround.h"
#include "quant/efficientqat.h"
#include "quant/flatquant.h"
#include "quant/method.h"
#include "quant/quarot.h"
#include "quant/run.h"
#include "quant/smoothquant.h"
#include <stdlib.h>
#include <string.h>

/* ---- smoothquant ---- */

static const lb_method_option smooth_options[] = {
    {"alpha", (double)LB_SMOOTHQUANT_ALPHA, 0, 1, "share of the activations' range that goes to the weights"}, {0}};

extern const lb_method lb_method_smoothquant, lb_method_quarot, lb_method_flatquant, lb_method_autoround,
    lb_method_efficientqat;

static bool smooth_block(lb_quant_run *r, lb_qblock *b, lb_err *err)
{
    const lb_method *first = r->o->chain.transform[0];
    size_t d = (size_t)r->cfg->d_model;
    if (first != &lb_method_smoothquant)
        return lb_fail(err, LB_EUSAGE, "it looks at the activations of the model as it was: it cannot follow %s", first->name);
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
    .halves = true,
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

/* Matrices that another method of the chain has put before the linears, or this one a second time. */
static bool no_transforms(const lb_quant_run *r, lb_err *err)
{
    for (lb_site s = 0; s < LB_N_SITE; s++)
        if (r->online.transform[s] != LB_TRANSFORM_NONE)
            return lb_fail(err, LB_EUSAGE, "the inputs of %s are transformed by another method of the chain already",
                           lb_site_name(s));
    return true;
}

static bool quarot_check(lb_quant_run *r, lb_err *err)
{
    lb_quarot q = quarot_of(r);
    lb_online *on = &r->online;
    if (!no_transforms(r, err)) return false;
    on->transform[LB_SITE_O] = LB_TRANSFORM_KRON;
    on->transform[LB_SITE_DOWN] = LB_TRANSFORM_HADAMARD;
    if (!r->o->kv && r->o->scheme.kv_bits < 16) snprintf(on->kv, sizeof on->kv, "kv%d-quarot", r->o->scheme.kv_bits);
    if (on->act.kind == LB_ACT_INT && r->o->act_clip == 0) on->act.clip_lo = on->act.clip_hi = 0.9f; /* the study's */
    return lb_quarot_check(r->cfg, &q, err);
}

/* rows [n_vocab, d_model] of a tensor as floats. */
static float *rows_of(const lb_mat *m, lb_err *err)
{
    float *v = lb_alloc((size_t)m->n * (size_t)m->k, sizeof *v, "a rotated embedding", err);
    for (int i = 0; v && i < m->n; i++) m->num->decode(m, i, 0, m->k, v + (size_t)i * (size_t)m->k);
    return v;
}

static bool quarot_model(lb_quant_run *r, lb_err *err)
{
    lb_quarot q = quarot_of(r);
    const lb_config *c = r->cfg;
    r->embed = rows_of(&r->m->embed, err);
    r->head = r->embed ? rows_of(&r->m->lm_head.w, err) : NULL;
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
    .halves = true,
    .paper = "arXiv:2404.00456",
    .about = "spreads outliers by Hadamard rotations, folded and online",
    .options = quarot_options,
    .check = quarot_check,
    .model = quarot_model,
    .block = quarot_block,
};

/* ---- flatquant ---- */

static const lb_method_option flat_options[] = {
    {"epochs", 15, 0, 1000, "passes over the calibration sequences"},
    {"batch", 4, 1, 1024, "sequences of a step"},
    {"lr", 5e-3, 1e-7, 1, "of transforms and scales; cosine down to a thousandth"},
    {"lr_clip", 5e-2, 1e-7, 1, "of clips"},
    {"alpha", 0.3, 0, 1, "start: d = max|w|^(1-alpha) / max|x|^alpha"},
    {"seed", 0, 0, 1e9, "of the first transforms and the order of sequences"},
    {0}};

static int option(const lb_quant_run *r, const lb_method *m, const char *name)
{
    return (int)lb_option(&r->o->options, m, name);
}

/* Bits of the cache as training rounds it, per token and head: 16 where the model keeps it as it is, or in ranges that
 * are no token's. */
static int kv_bits(const lb_quant_run *r, float *clip)
{
    lb_kv_spec kv = {.bits = 16};
    if (r->online.kv[0]) lb_kv_spec_parse(r->online.kv, &kv, NULL); /* it was checked */
    *clip = kv.clip;
    return kv.bits && kv.key == LB_KV_PER_TOKEN && !kv.pre_rope ? kv.bits : 16;
}

static size_t flat_bytes(const lb_config *c, const lb_quantize_opt *o)
{
    lb_flatquant_opt f = {.batch = (int)lb_option(&o->options, &lb_method_flatquant, "batch")};
    return lb_flatquant_bytes(c, &f, o->n_seq, o->seqlen, true);
}

static bool flat_check(lb_quant_run *r, lb_err *err)
{
    const lb_scheme *s = &r->o->scheme;
    float clip;
    if (r->cfg->n_expert)
        return lb_fail(err, LB_EUNSUPPORTED, "experts are not trained through yet; quarot+gptq does such models");
    if (s->format != LB_W_INT || s->group != -1 || !s->sym)
        return lb_fail(err, LB_EUSAGE, "it learns one symmetric range for each row of a weight: a scheme such as w4a4kv4, or "
                       "w4g-1s");
    if (!no_transforms(r, err)) return false;
    for (int i = 0; i < LB_N_INPUT_SITE; i++) r->online.transform[i] = LB_TRANSFORM_KRON;
    if (kv_bits(r, &clip) < 16)
        r->online.transform[LB_SITE_Q_ROPE] = r->online.transform[LB_SITE_K_ROPE] = LB_TRANSFORM_KRON;
    return true;
}

static bool flat_block(lb_quant_run *r, lb_qblock *b, lb_err *err)
{
    const lb_method *m = &lb_method_flatquant;
    const lb_options *o = &r->o->options;
    lb_recon_data data = {.x = r->x_float, .target = r->y_float, .n_seq = r->o->n_seq, .len = r->o->seqlen};
    lb_flatquant_opt f = {.a_bits = r->o->scheme.a_bits, .batch = option(r, m, "batch"), .epochs = option(r, m, "epochs"),
                          .lr = (float)lb_option(o, m, "lr"), .lr_clip = (float)lb_option(o, m, "lr_clip"),
                          .alpha = (float)lb_option(o, m, "alpha"), .seed = (uint64_t)lb_option(o, m, "seed")};
    lb_flatquant_report rep = {0};
    f.k_bits = f.v_bits = kv_bits(r, &f.kv_clip);
    if (f.epochs == 0) f.epochs = -1;
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        const lb_plan_module *p = lb_plan_module_of(&r->plan, lb_recon_linear(b, (lb_block_linear)i)->name);
        f.w_bits[i] = p->scheme.w_bits;
        if (p->scheme.w_bits < 16) f.scale_type = p->src->dtype;
    }
    bool ok = lb_flatquant_block(r->ex, b, &data, &f, &rep, err);
    for (int i = 0; ok && i < LB_BLOCK_LINEARS; i++) r->row_clip[i] = rep.clip[i], rep.clip[i] = NULL;
    lb_flatquant_report_free(&rep);
    return ok;
}

const lb_method lb_method_flatquant = {
    .name = "flatquant",
    .paper = "arXiv:2410.09426",
    .about = "learns invertible transforms and clips of each block",
    .needs = LB_NEEDS_FLOAT | LB_NEEDS_TARGET,
    .options = flat_options,
    .check = flat_check,
    .bytes = flat_bytes,
    .block = flat_block,
};

/* ---- autoround ---- */

static const lb_method_option round_options[] = {
    {"iters", 200, 0, 1e6, "steps of each block"},
    {"batch", 8, 1, 4096, "sequences of a step"},
    {"lr", 0, 0, 1, "of the offsets (0: 1/iters)"},
    {"lr_range", 0, 0, 1, "of the ranges (0: 1/iters)"},
    {"seed", 0, 0, 1e9, "of the order of sequences"},
    {0}};

static size_t round_bytes(const lb_config *c, const lb_quantize_opt *o)
{
    lb_autoround_opt a = {.batch = (int)lb_option(&o->options, &lb_method_autoround, "batch")};
    int group = o->scheme.group > 0 ? o->scheme.group : 0;
    return lb_autoround_bytes(c, &a, group, o->n_seq, o->seqlen, true);
}

static bool round_check(lb_quant_run *r, lb_err *err)
{
    return !r->cfg->n_expert ||
           lb_fail(err, LB_EUNSUPPORTED, "experts are not trained through yet; gptq does such models");
}

/* Inputs are those behind the quantized blocks, outputs those of the model as it was, unless a transform has turned the
 * stream: then the block's own outputs are the target. */
static bool round_block(lb_quant_run *r, lb_qblock *b, lb_qmat *out, float *const *latent, lb_err *err)
{
    const lb_method *m = &lb_method_autoround;
    const lb_options *o = &r->o->options;
    lb_recon_data data = {.x = r->x, .target = r->embed ? NULL : r->y_float, .n_seq = r->o->n_seq, .len = r->o->seqlen};
    lb_autoround_opt a = {.iters = option(r, m, "iters"), .batch = option(r, m, "batch"),
                          .lr = (float)lb_option(o, m, "lr"), .lr_range = (float)lb_option(o, m, "lr_range"),
                          .seed = (uint64_t)lb_option(o, m, "seed"), .clip_mse = r->o->clip == LB_CLIP_MSE};
    lb_autoround_linear lin[LB_BLOCK_LINEARS];
    lb_autoround_report rep;
    if (a.iters == 0) a.iters = -1;
    if (a.batch > r->o->n_seq) a.batch = r->o->n_seq;
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        const lb_plan_module *p = lb_plan_module_of(&r->plan, lb_recon_linear(b, (lb_block_linear)i)->name);
        if (p->scheme.format != LB_W_INT)
            return lb_fail(err, LB_EUNSUPPORTED, "autoround gives integer codes; FP4 is for rtn and gptq");
        lin[i] = (lb_autoround_linear){out[i].bits ? &out[i] : NULL, p->scheme.sym, r->row_clip[i],
                                       latent ? latent[i] : NULL};
    }
    a.rounding.a_bits = r->online.act.kind == LB_ACT_INT ? r->online.act.bits : 16;
    a.rounding.kv_bits = kv_bits(r, &a.rounding.kv_clip);
    return lb_autoround_block(r->ex, b, &data, &a, lin, &rep, err);
}

const lb_method lb_method_autoround = {
    .name = "autoround",
    .paper = "arXiv:2309.05516",
    .about = "learns the rounding and the ranges of each block by signed gradients",
    .needs = LB_NEEDS_FLOAT | LB_NEEDS_TARGET | LB_NEEDS_STREAM,
    .options = round_options,
    .check = round_check,
    .bytes = round_bytes,
    .solve_block = round_block,
};

/* ---- efficientqat ---- */

static const lb_method_option blockap_options[] = {
    {"epochs", 2, 0, 1000, "passes over the calibration sequences"},
    {"batch", 2, 1, 4096, "sequences of a step"},
    {"lr", 0, 0, 1, "of the weights (0: 2e-5 at 2 bits, else 1e-5); cosine to a twentieth"},
    {"lr_grid", 1e-4, 0, 1, "of scales and zero points"},
    {"seed", 0, 0, 1e9, "of the order of sequences"},
    {0}};

static size_t blockap_bytes(const lb_config *c, const lb_quantize_opt *o)
{
    lb_efficientqat_opt a = {.batch = (int)lb_option(&o->options, &lb_method_efficientqat, "batch")};
    return lb_efficientqat_bytes(c, &a, o->scheme.group > 0 ? o->scheme.group : 0, o->n_seq, o->seqlen, true);
}

static bool blockap_block(lb_quant_run *r, lb_qblock *b, lb_qmat *out, float *const *latent, lb_err *err)
{
    const lb_method *m = &lb_method_efficientqat;
    const lb_options *o = &r->o->options;
    lb_recon_data data = {.x = r->x, .target = r->embed ? NULL : r->y_float, .n_seq = r->o->n_seq, .len = r->o->seqlen};
    lb_efficientqat_opt a = {.epochs = option(r, m, "epochs"), .batch = option(r, m, "batch"), .lr = (float)lb_option(o, m, "lr"),
                             .lr_grid = (float)lb_option(o, m, "lr_grid"), .seed = (uint64_t)lb_option(o, m, "seed"),
                             .clip_mse = r->o->clip == LB_CLIP_MSE};
    lb_qmat *list[LB_BLOCK_LINEARS];
    bool sym[LB_BLOCK_LINEARS];
    if (a.epochs == 0) a.epochs = -1;
    if (a.batch > r->o->n_seq) a.batch = r->o->n_seq;
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        const lb_plan_module *p = lb_plan_module_of(&r->plan, lb_recon_linear(b, (lb_block_linear)i)->name);
        if (p->scheme.format != LB_W_INT) return lb_fail(err, LB_EUNSUPPORTED, "efficientqat gives integer codes; FP4 is for rtn and gptq");
        list[i] = out[i].bits ? &out[i] : NULL;
        sym[i] = p->scheme.sym;
    }
    a.rounding.a_bits = r->online.act.kind == LB_ACT_INT ? r->online.act.bits : 16;
    a.rounding.kv_bits = kv_bits(r, &a.rounding.kv_clip);
    if (!lb_efficientqat_block(r->ex, b, &data, &a, list, sym, NULL, err)) return false;
    for (int i = 0; latent && i < LB_BLOCK_LINEARS; i++) { /* what it rounded are the block's weights now */
        const lb_qlinear *l = lb_recon_linear(b, (lb_block_linear)i);
        if (latent[i]) memcpy(latent[i], l->w, (size_t)l->n * (size_t)l->k * sizeof *l->w);
    }
    return true;
}

const lb_method lb_method_efficientqat = {
    .name = "efficientqat",
    .paper = "arXiv:2407.11062",
    .about = "trains weights, scales and zero points of each block (Block-AP)",
    .needs = LB_NEEDS_FLOAT | LB_NEEDS_TARGET | LB_NEEDS_STREAM,
    .options = blockap_options,
    .check = round_check,
    .bytes = blockap_bytes,
    .solve_block = blockap_block,
};
