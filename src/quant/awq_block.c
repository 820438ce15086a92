/* quant/awq_block.c – AWQ as a method: what is inspected in a block, and where scales and clips go.
 *
 *     q, k, v    scale: by the attention's output     folded into the norm        clip: v only
 *     o          scale: by its own output             into v's rows (only if each query head has its own)    clip
 *     gate, up   scale: by the MLP's output           folded into the norm        clip
 *     down       scale: by its own output             into up's rows              clip
 *
 * All searches for scales see the float block; then all scales are folded, then the clips are searched on the scaled
 * weights and inputs. The codes are round to nearest's. Inputs are those of the float model, of the first sequences of the
 * calibration data, about `tokens` in all (the study takes all of them; the choice among 20 ratios is stable long before).
 * Source: arXiv:2306.00978 and the settings of arXiv:2504.04823. */
#include "base/mem.h"
#include "quant/awq.h"
#include "quant/run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const lb_method lb_method_awq;

static const lb_method_option options[] = {
    {"clip", 1, 0, 1, "search clips as well"},
    {"duo", 0, 0, 1, "scales by weights too (upstream's duo_scaling)"},
    {"tokens", 2048, 64, 1e7, "calibration tokens that the searches look at"},
    {0}};

typedef struct work {
    lb_quant_run *r;
    lb_qblock *b;
    lb_layer *l;                 /* the model's, bound to b */
    lb_calib calib;              /* the run's, over fewer sequences */
    int n_row;                   /* its tokens */
    float *x;                    /* [n_row,d] stream before the part that is inspected; owned */
    float *mid;                  /* [n_row,d] stream between attention and MLP; owned */
    float *rows[LB_N_INPUT_SITE];/* [n_row,width] what is read at each site; owned */
    float *s[LB_N_INPUT_SITE];   /* [width] scales, or NULL; owned */
} work;

static int width_of(const work *w, lb_site s)
{
    const lb_config *c = w->r->cfg;
    return s == LB_SITE_O ? c->n_head * c->d_head : s == LB_SITE_DOWN ? c->d_ff : c->d_model;
}

static lb_awq_linear linear_of(const work *w, const lb_qlinear *q)
{
    const lb_plan_module *m = lb_plan_module_of(&w->r->plan, q->name);
    return (lb_awq_linear){.w = q->w, .n = q->n, .k = q->k, .scheme = m->scheme, .scale_type = m->src->dtype};
}

static bool keep_rows(void *arg, const float *rows, int n_row, int width, size_t row0, lb_err *err)
{
    (void)err;
    memcpy((float *)arg + row0 * (size_t)width, rows, (size_t)n_row * (size_t)width * sizeof *rows);
    return true;
}

/* Runs the float block and keeps what is read at every site. */
static bool collect(work *w, lb_err *err)
{
    static const lb_part first[] = {LB_PART_ATTN_IN, LB_PART_ATTN_IN, LB_PART_MLP_IN, LB_PART_MLP_IN};
    static const lb_part last[] = {LB_PART_ATTN_IN, LB_PART_ATTN, LB_PART_MLP_IN, LB_PART_ACT};
    size_t n = (size_t)w->n_row, d = (size_t)w->r->cfg->d_model;
    if (!(w->x = lb_alloc(n, d * sizeof *w->x, "AWQ's stream", err))) return false;
    if (!(w->mid = lb_alloc(n, d * sizeof *w->mid, "AWQ's stream", err))) return false;
    memcpy(w->x, w->r->x_float, n * d * sizeof *w->x);
    memcpy(w->mid, w->x, n * d * sizeof *w->x);
    if (!lb_calib_run(&w->calib, w->b->layer, LB_PART_ATTN_IN, LB_PART_O, w->mid, NULL, (lb_calib_see){0}, err)) return false;
    w->calib.dry = true;
    for (lb_site s = LB_SITE_QKV; s <= LB_SITE_DOWN; s++) {
        float *from = s == LB_SITE_QKV || s == LB_SITE_O ? w->x : w->mid;
        w->rows[s] = lb_alloc(n, (size_t)width_of(w, s) * sizeof(float), "AWQ's inputs", err);
        if (!w->rows[s]) return false;
        if (!lb_calib_run(&w->calib, w->b->layer, first[s], last[s], from, NULL, (lb_calib_see){keep_rows, w->rows[s]}, err))
            return false;
    }
    return true;
}

/* ---- what is inspected ---- */
typedef struct inspect {
    work *w;
    lb_linear *to[3];            /* of the model's layer, whose weights are exchanged */
    int n;
    lb_part first, last;
    float *from;                 /* the stream before `first` */
    float *want;                 /* [n_row,d] the stream after `last` with the weights as they are */
    double sum;
    const lb_awq_linear *self;   /* a linear that is inspected itself, and its rows */
    const float *rows;
} inspect;

static bool add_squares(void *arg, const float *rows, int n_row, int width, size_t row0, lb_err *err)
{
    (void)err;
    inspect *p = arg;
    const float *want = p->want + row0 * (size_t)width;
    for (size_t i = 0; i < (size_t)n_row * (size_t)width; i++) {
        double d = (double)rows[i] - (double)want[i];
        p->sum += d * d;
    }
    return true;
}

static bool part_loss(void *arg, const float *const *weights, double *loss, lb_err *err)
{
    inspect *p = arg;
    const void *was[3];
    for (int i = 0; i < p->n; i++) was[i] = p->to[i]->w.data, p->to[i]->w.data = weights[i];
    p->sum = 0;
    bool ok = lb_calib_run(&p->w->calib, p->w->b->layer, p->first, p->last, p->from, NULL, (lb_calib_see){add_squares, p}, err);
    for (int i = 0; i < p->n; i++) p->to[i]->w.data = was[i];
    *loss = p->sum / ((double)p->w->n_row * p->w->r->cfg->d_model);
    return ok;
}

static bool self_loss(void *arg, const float *const *weights, double *loss, lb_err *err)
{
    inspect *p = arg;
    return lb_awq_linear_loss(p->w->r->ex, p->self, p->rows, p->w->n_row, weights[0], loss, err);
}

/* ---- scales ---- */
static bool search(work *w, lb_site site, const lb_awq_linear *all, int n, lb_awq_loss loss, inspect *p, lb_err *err)
{
    int k = width_of(w, site);
    float *mean = lb_alloc((size_t)k, sizeof *mean, "mean inputs", err);
    w->s[site] = mean ? lb_alloc((size_t)k, sizeof *mean, "AWQ's scales", err) : NULL;
    for (int j = 0; w->s[site] && j < k; j++) {
        double sum = 0;
        for (int t = 0; t < w->n_row; t++) sum += (double)fabsf(w->rows[site][(size_t)t * (size_t)k + (size_t)j]);
        mean[j] = (float)(sum / w->n_row);
    }
    bool quantized = false;
    for (int i = 0; i < n; i++) quantized |= all[i].scheme.w_bits < 16;
    lb_awq_choice c;
    lb_awq_search a = {.name = lb_site_name(site), .linears = all, .n_linear = n, .x_mean = mean, .loss = loss, .arg = p,
                       .duo = lb_option(&w->r->o->options, &lb_method_awq, "duo") > 0, .ex = w->r->ex};
    bool ok = w->s[site] && (!quantized || lb_awq_scale(&a, w->s[site], &c, err));
    free(mean);
    if (quantized) return ok;
    free(w->s[site]);
    w->s[site] = NULL;
    return ok;
}

/* Linears that are inspected through the parts first…last. */
static bool search_part(work *w, lb_site site, inspect *p, lb_qlinear *const *q, lb_err *err)
{
    lb_awq_linear all[3];
    for (int i = 0; i < p->n; i++) all[i] = linear_of(w, q[i]);
    p->w = w;
    p->want = lb_alloc((size_t)w->n_row, (size_t)w->r->cfg->d_model * sizeof *p->want, "AWQ's outputs", err);
    bool ok = p->want &&
              lb_calib_run(&w->calib, w->b->layer, p->first, p->last, p->from, NULL, (lb_calib_see){keep_rows, p->want}, err) &&
              search(w, site, all, p->n, part_loss, p, err);
    free(p->want);
    return ok;
}

static bool search_self(work *w, lb_site site, const lb_qlinear *q, lb_err *err)
{
    lb_awq_linear l = linear_of(w, q);
    inspect p = {.w = w, .self = &l, .rows = w->rows[site]};
    return search(w, site, &l, 1, self_loss, &p, err);
}

static bool search_scales(work *w, lb_err *err)
{
    lb_qblock *b = w->b;
    lb_layer *l = w->l;
    lb_qlinear *qkv[] = {&b->q, &b->k, &b->v}, *mlp[] = {&b->gate, &b->up};
    inspect attn = {.to = {&l->q, &l->k, &l->v}, .n = 3, .first = LB_PART_ATTN_IN, .last = LB_PART_O, .from = w->x};
    inspect ffn = {.to = {&l->gate, &l->up}, .n = 2, .first = LB_PART_MLP_IN, .last = LB_PART_DOWN, .from = w->mid};
    return search_part(w, LB_SITE_QKV, &attn, qkv, err) &&
           (b->v.n != b->o.k || search_self(w, LB_SITE_O, &b->o, err)) && search_part(w, LB_SITE_MLP, &ffn, mlp, err) &&
           search_self(w, LB_SITE_DOWN, &b->down, err);
}

/* ---- folding and clips ---- */
static bool fold(work *w, lb_err *err)
{
    for (lb_site s = LB_SITE_QKV; s <= LB_SITE_DOWN; s++) {
        int k = width_of(w, s);
        if (!w->s[s]) continue;
        if (!lb_qblock_fold_scale(w->b, s, w->s[s], err)) return lb_wrap(err, "%s", lb_site_name(s));
        for (int t = 0; t < w->n_row; t++)
            for (int j = 0; j < k; j++) w->rows[s][(size_t)t * (size_t)k + (size_t)j] /= w->s[s][j];
    }
    return true;
}

static bool clip(work *w, lb_err *err)
{
    lb_qblock *b = w->b;
    const struct { lb_qlinear *q; lb_site site; } all[] = {
        {&b->v, LB_SITE_QKV}, {&b->o, LB_SITE_O}, {&b->gate, LB_SITE_MLP}, {&b->up, LB_SITE_MLP}, {&b->down, LB_SITE_DOWN}};
    for (int i = 0; i < 5; i++) {
        lb_awq_linear l = linear_of(w, all[i].q);
        if (!lb_awq_clip(w->r->ex, &l, w->rows[all[i].site], w->n_row, all[i].q->w, err))
            return lb_wrap(err, "%s", all[i].q->name);
    }
    return true;
}

static bool block(lb_quant_run *r, lb_qblock *b, lb_err *err)
{
    work w = {.r = r, .b = b, .l = &r->m->layers[b->layer], .calib = r->calib};
    lb_layer was = *w.l;
    int want = ((int)lb_option(&r->o->options, &lb_method_awq, "tokens") + w.calib.n_tok - 1) / w.calib.n_tok;
    w.calib.n_seq = want < w.calib.n_seq ? want : w.calib.n_seq;
    w.n_row = w.calib.n_seq * w.calib.n_tok;
    lb_qblock_bind(b, w.l);
    bool ok = collect(&w, err) && search_scales(&w, err) && fold(&w, err) &&
              (lb_option(&r->o->options, &lb_method_awq, "clip") == 0 || clip(&w, err));
    *w.l = was;
    free(w.x);
    free(w.mid);
    for (lb_site s = LB_SITE_QKV; s <= LB_SITE_DOWN; s++) free(w.rows[s]), free(w.s[s]);
    return ok;
}

static bool check(lb_quant_run *r, lb_err *err)
{
    const lb_chain *c = &r->o->chain;
    for (int i = 0; i < r->cfg->n_layer; i++)
        if (lb_config_is_moe_layer(r->cfg, i))
            return lb_fail(err, LB_EUNSUPPORTED, "awq does not do layers with experts (layer %d); gptq and rtn do", i);
    for (int i = 0; i < c->n_transform && c->transform[i] != &lb_method_awq; i++)
        if (c->transform[i]->model || c->transform[i]->check)
            return lb_fail(err, LB_EUSAGE, "awq looks at the activations of the model as it was: it cannot follow %s",
                           c->transform[i]->name);
    return true;
}

/* Streams and inputs of the tokens that are looked at, and the candidate weights of the largest search. */
static size_t bytes(const lb_config *c, const lb_quantize_opt *o)
{
    double all = (double)o->n_seq * o->seqlen, rows = lb_option(&o->options, &lb_method_awq, "tokens") + o->seqlen;
    double q = (double)c->n_head * c->d_head, kv = (double)c->n_kv * c->d_head, d = c->d_model, ff = c->d_ff;
    double weights = fmax(d * (q + 2 * kv), 2 * d * ff);
    return (size_t)(4 * (fmin(all, rows) * (5 * d + q + ff) + weights + 512 * fmax(fmax(q, ff), d)));
}

const lb_method lb_method_awq = {
    .name = "awq",
    .paper = "arXiv:2306.00978",
    .about = "scales up columns that meet large activations, clips groups by their output, then rounds",
    .needs = LB_NEEDS_FLOAT,
    .options = options,
    .check = check,
    .bytes = bytes,
    .block = block,
};
