/* train/student.c – quantizers on the tape. */
#include "train/student_impl.h"
#include "base/mem.h"
#include "kern/kv_pack.h"
#include "quant/grid.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { START_LOGIT = 4 };            /* σ(4) = 0.982: where FlatQuant and OmniQuant let clips start */

/* ---- hooks ---- */

static lb_var *apply(const lb_site_grad *t, lb_grad *g, lb_var *x)
{
    if (t->kind == LB_TRANSFORM_NONE || !x) return x;
    int n = x->n, k = x->k;
    lb_param *p[] = {(lb_param *)&t->scale, (lb_param *)&t->a, (lb_param *)&t->b};
    if (t->scale.v)
        x = lb_grad_scale(g, lb_grad_view(g, x, n * (k / t->scale.k), t->scale.k), lb_grad_param(g, p[0]), false);
    if (t->a.v || t->b.v) {
        int row = t->na * t->nb;
        x = lb_grad_view(g, x, n * (k / row), row);
        x = lb_grad_kron(g, x, t->a.v ? lb_grad_param(g, p[1]) : NULL, t->b.v ? lb_grad_param(g, p[2]) : NULL);
    }
    return lb_grad_view(g, x, n, k);
}

static lb_var *input(void *arg, lb_grad *g, lb_block_input which, lb_var *x)
{
    static const lb_site at[LB_BLOCK_INPUTS] = {[LB_BLOCK_IN_QKV] = LB_SITE_QKV, [LB_BLOCK_IN_O] = LB_SITE_O,
                                                [LB_BLOCK_IN_GATE_UP] = LB_SITE_MLP, [LB_BLOCK_IN_DOWN] = LB_SITE_DOWN};
    const lb_student_layer *l = arg;
    const lb_site_grad *t = &l->site[at[which]];
    int bits = l->s->stage.scheme.a_bits;
    x = apply(t, g, x);
    if (bits >= 16) return x;
    lb_act_fq q = {.bits = bits, .clip_lo = t->clip[0], .clip_hi = t->clip[1]};
    if (t->c_hi.v) q.c_hi = lb_grad_param(g, (lb_param *)&t->c_hi), q.c_lo = lb_grad_param(g, (lb_param *)&t->c_lo);
    return lb_grad_act_fq(g, x, &q);
}

static lb_var *rounded(const lb_student *s, lb_grad *g, lb_wquant *q, lb_var *w)
{
    const lb_scheme *c = &s->stage.scheme;
    if (!q || c->w_bits >= 16) return w;
    int group = c->group > 0 ? c->group : 0;
    lb_var *a = q->a.v ? lb_grad_param(g, &q->a) : NULL, *b = q->b.v ? lb_grad_param(g, &q->b) : NULL;
    if (s->stage.scales == LB_SCALES_STATIC || s->stage.scales == LB_SCALES_LEARNED)
        return lb_grad_weight_grid(
            g, w,
            &(lb_weight_grid){
                .bits = c->w_bits, .group = group, .half = c->half, .scale_type = s->scale_type, .scale = a, .zero = b});
    return lb_grad_weight_fq(
        g, w,
        &(lb_weight_fq){.bits = c->w_bits, .group = group, .sym = c->sym, .half = c->half, .scale_type = s->scale_type,
                        .c_hi = a, .c_lo = b});
}

static void weight(void *arg, lb_grad *g, lb_block_linear which, lb_var **w, lb_var **bias)
{
    (void)bias;
    const lb_student_layer *l = arg;
    *w = rounded(l->s, g, l->dense[which], *w);
}

static void expert(void *arg, lb_grad *g, int e, lb_block_linear which, lb_var **w)
{
    const lb_student_layer *l = arg;
    *w = rounded(l->s, g, &l->experts[3 * e + (which - LB_BLOCK_GATE)], *w);
}

static lb_var *head(void *arg, lb_grad *g, lb_block_head which, lb_var *x)
{
    const lb_student_layer *l = arg;
    const lb_student *s = l->s;
    int bits = s->stage.scheme.kv_bits;
    if (which == LB_BLOCK_HEAD_Q) return apply(&l->site[LB_SITE_Q_ROPE], g, x);
    if (which == LB_BLOCK_HEAD_K) x = apply(&l->site[LB_SITE_K_ROPE], g, x);
    if (bits >= 16) return x;
    int len = s->cfg->d_head < LB_KV_GROUP ? s->cfg->d_head : LB_KV_GROUP;
    return lb_grad_act_fq(
        g, x, &(lb_act_fq){.bits = bits, .len = len, .kv = true, .clip_lo = s->kv.clip, .clip_hi = s->kv.clip});
}

/* ---- opening ---- */

static bool is_linear(const lb_model_tensor *t) { return t->kind == LB_TRAIN_LINEARS; }

/* One quantizer for each weight that methods quantize, and the layers' lists of them. */
static bool list_weights(lb_student *s, lb_err *err)
{
    size_t n = lb_model_grad_count(s->m), k = 0;
    for (size_t i = 0; i < n; i++) s->n_quant += is_linear(lb_model_grad_tensor(s->m, i));
    s->quant = lb_alloc(s->n_quant, sizeof *s->quant, "the quantizers", err);
    if (!s->quant) return false;
    for (size_t i = 0; i < n; i++) {
        const lb_model_tensor *t = lb_model_grad_tensor(s->m, i);
        if (!is_linear(t)) continue;
        size_t len = strlen(t->name);
        lb_wquant *q = &s->quant[k++];
        q->w = t->p;
        if (len < 8 || len - 7 >= sizeof q->module)
            return lb_fail(err, LB_EUNSUPPORTED, "tensor '%s' has a name of %zu bytes", t->name, len);
        memcpy(q->module, t->name, len - 7); /* without ".weight" */
    }
    return true;
}

static lb_wquant *of_param(const lb_student *s, const lb_param *p)
{
    for (size_t i = 0; p && i < s->n_quant; i++)
        if (s->quant[i].w == p) return &s->quant[i];
    return NULL;
}

static bool link_layers(lb_student *s, lb_err *err)
{
    s->layers = lb_alloc((size_t)s->cfg->n_layer, sizeof *s->layers, "the layers", err);
    for (int i = 0; s->layers && i < s->cfg->n_layer; i++) {
        lb_student_layer *l = &s->layers[i];
        l->s = s;
        bool moe = lb_config_is_moe_layer(s->cfg, i);
        for (int w = 0; w < LB_BLOCK_LINEARS; w++)
            if (!moe || w < LB_BLOCK_GATE)
                l->dense[w] = of_param(s, lb_model_grad_linear(s->m, i, -1, (lb_block_linear)w));
        if (moe)
            l->experts = of_param(s, lb_model_grad_linear(s->m, i, 0, LB_BLOCK_GATE)); /* they follow one another */
        const lb_block_hooks h = {.arg = l, .input = input, .weight = weight, .head = head, .expert = expert};
        lb_model_grad_hook(s->m, i, &h);
    }
    return s->layers != NULL;
}

lb_student *lb_student_open(const lb_student_opt *o, lb_exec *ex, lb_err *err)
{
    lb_student *s = lb_alloc(1, sizeof *s, "the student", err);
    if (!s) return NULL;
    *s = (lb_student){.o = *o, .ex = ex};
    s->stage.scheme = (lb_scheme){.w_bits = 16, .a_bits = 16, .kv_bits = 16};
    const lb_model_grad_opt mo = {
        .train = o->train & LB_TRAIN_ALL, .compute = o->compute, .keep = o->keep, .max_bytes = o->max_bytes,
        .d_teacher = o->d_teacher};
    bool ok = (s->model_dir = strdup(o->model_dir)) && (!o->start_dir || (s->start_dir = strdup(o->start_dir)));
    if (!ok) lb_fail_mem(err, 0, "the student");
    ok = ok && (s->m = o->scratch ? lb_model_grad_new(o->scratch, ex, &mo, o->seed, 0, err)
                                  : lb_model_grad_open(o->model_dir, ex, &mo, err)) != NULL;
    if (ok) {
        s->cfg = lb_model_grad_config(s->m);
        s->scale_type = s->cfg->dtype;
        ok = list_weights(s, err) && link_layers(s, err) && (!s->start_dir || lb_student_take_start(s, err));
    }
    if (ok) return s;
    lb_student_close(s);
    return NULL;
}

void lb_student_close(lb_student *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->n_quant && s->quant; i++)
        lb_param_free(&s->quant[i].a, s->ex), lb_param_free(&s->quant[i].b, s->ex);
    for (int i = 0; s->layers && i < s->cfg->n_layer; i++)
        for (int j = 0; j < LB_N_SITE; j++) {
            lb_site_grad *t = &s->layers[i].site[j];
            lb_param *all[] = {&t->scale, &t->a, &t->b, &t->c_hi, &t->c_lo};
            for (size_t p = 0; p < sizeof all / sizeof *all; p++) lb_param_free(all[p], s->ex);
        }
    lb_model_grad_close(s->m);
    lb_store_close(s->start);
    lb_ct_config_free(s->ct);
    free(s->params);
    free(s->quant);
    free(s->layers);
    free(s->model_dir);
    free(s->start_dir);
    free(s);
}

lb_model_grad *lb_student_model(lb_student *s) { return s->m; }

bool lb_student_plan(const lb_config *c, lb_exec *ex, const lb_train_stage *st, const lb_model_grad_opt *opt, int n_doc,
                     const int *begin, lb_model_plan *out, lb_err *err)
{
    lb_student s = {.ex = ex, .cfg = c, .stage = *st, .scale_type = c->dtype};
    s.stage.scales = LB_SCALES_MINMAX; /* scales take nothing on the tape to speak of */
    lb_wquant *q = lb_alloc((size_t)(3 * c->n_expert + 1), sizeof *q, "the plan", err);
    lb_student_layer l = {.s = &s, .experts = q};
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) l.dense[i] = q;
    const lb_block_hooks h = {.arg = &l, .input = input, .weight = weight, .head = head, .expert = expert};
    lb_model_grad_opt o = *opt;
    o.train &= LB_TRAIN_ALL;
    bool ok = q && lb_model_grad_bytes(c, ex, &o, n_doc, begin, &h, out, err);
    free(q);
    return ok;
}

bool lb_student_rounded(lb_student *s, int layer, int e, lb_block_linear which, float *out, lb_err *err)
{
    lb_grad *g = lb_model_grad_tape(s->m);
    lb_student_layer *l = &s->layers[layer];
    lb_param *p = lb_model_grad_linear(s->m, layer, e, which);
    if (!p) return lb_fail(err, LB_EUSAGE, "layer %d has no such linear", layer);
    lb_grad_reset(g);
    lb_var *w =
        rounded(s, g, e < 0 ? l->dense[which] : &l->experts[3 * e + (which - LB_BLOCK_GATE)], lb_grad_param(g, p));
    if (!lb_grad_ok(g, err)) return false;
    lb_exec_get(s->ex, out, w->v, (size_t)p->n * (size_t)p->k * sizeof *out);
    return true;
}

float lb_student_clip(const lb_student *s, const lb_param *logit)
{
    float c;
    lb_exec_get(s->ex, &c, logit->v, sizeof c);
    return (float)(1 / (1 + exp(-(double)c)));
}

/* ---- stages ---- */

static bool fill(lb_student *s, lb_param *p, int n, int k, const char *what, const float *v, float value, lb_err *err)
{
    size_t count = (size_t)n * (size_t)k;
    if (!p->v && !lb_param_init(p, s->ex, n, k, what, err)) return false;
    if (v) {
        lb_exec_put(s->ex, p->v, v, count * sizeof *v);
        return true;
    }
    float *all = lb_alloc(count, sizeof *all, what, err);
    for (size_t i = 0; all && i < count; i++) all[i] = value;
    if (all) lb_exec_put(s->ex, p->v, all, count * sizeof *all);
    free(all);
    return all != NULL;
}

/* The grid of the range of each group. */
static bool range_grid(lb_student *s, lb_wquant *q, const lb_scheme *c, lb_err *err)
{
    int n = q->w->n, k = q->w->k, group = c->group > 0 ? c->group : k;
    size_t count = (size_t)n * (size_t)k;
    float *w = lb_alloc(count, sizeof *w, q->module, err),
          *scale = lb_alloc((size_t)n * (size_t)q->n_group, 2 * sizeof *scale, q->module, err);
    bool ok = w && scale;
    if (ok) {
        float *zero = scale + (size_t)n * (size_t)q->n_group;
        lb_exec_get(s->ex, w, q->w->v, count * sizeof *w);
        for (int i = 0; i < n * q->n_group && c->half; i++)
            scale[i] = lb_half_scale(w + (size_t)i * (size_t)group, group, 1, s->scale_type);
        for (int i = 0; i < n * q->n_group && !c->half; i++) {
            lb_grid g = lb_grid_minmax(w + (size_t)i * (size_t)group, group, c->w_bits, c->sym, 1, s->scale_type);
            scale[i] = g.scale, zero[i] = (float)g.zero;
        }
        ok = fill(s, &q->a, n, q->n_group, q->module, scale, 0, err) &&
             (c->half || fill(s, &q->b, n, q->n_group, q->module, zero, 0, err));
    }
    free(w);
    free(scale);
    return ok;
}

static bool stage_weight(lb_student *s, lb_wquant *q, const lb_train_stage *st, lb_err *err)
{
    const lb_scheme *c = &st->scheme;
    int group = c->group > 0 ? c->group : q->w->k;
    if (q->w->k % group)
        return lb_fail(err, LB_EUNSUPPORTED,
                       "'%s' has rows of %d, which groups of %d do not divide: training wants whole groups", q->module,
                       q->w->k, group);
    lb_param_free(&q->a, s->ex);
    lb_param_free(&q->b, s->ex);
    q->n_group = q->w->k / group;
    if (c->w_bits >= 16 || st->scales == LB_SCALES_MINMAX) return true;
    if (st->scales == LB_SCALES_CLIP)
        return fill(s, &q->a, q->w->n, q->n_group, q->module, NULL, START_LOGIT, err) &&
               fill(s, &q->b, q->w->n, q->n_group, q->module, NULL, START_LOGIT, err);
    bool found = false;
    return lb_student_start_grid(s, q, c, &found, err) && (found || range_grid(s, q, c, err));
}

/* Clips become learned with the first stage that trains them. */
static bool stage_clips(lb_student *s, const lb_train_stage *st, lb_err *err)
{
    bool learn = st->scheme.a_bits < 16 && st->train & LB_TRAIN_TRANSFORMS;
    for (int i = 0; learn && i < s->cfg->n_layer; i++)
        for (int j = 0; j < LB_N_INPUT_SITE; j++) {
            lb_site_grad *t = &s->layers[i].site[j];
            if (t->c_hi.v) continue;
            for (int e = 0; e < 2; e++) {
                double c = t->clip[e] > 0 ? (double)t->clip[e] : 1;
                float logit = c < 0.9999 ? (float)log(c / (1 - c)) : 9;
                if (!fill(s, e ? &t->c_hi : &t->c_lo, 1, 1, "a clip", NULL, logit, err)) return false;
            }
        }
    return true;
}

lb_student *lb_student_twin(const lb_student *s, lb_err *err)
{
    lb_student_opt o = s->o;
    o.model_dir = s->model_dir, o.start_dir = s->start_dir;
    lb_student *t = lb_student_open(&o, s->ex, err);
    if (!t || lb_student_stage(t, &s->stage, err)) return t;
    lb_student_close(t);
    return NULL;
}

/* ---- parameters ---- */

enum { SITE_PARAMS = 5 };

static void put(lb_student *s, lb_param *p, double lr, const char *module, const char *part)
{
    if (!p->v || !p->d) return;
    lb_student_param *out = &s->params[s->n_param++];
    *out = (lb_student_param){.p = p, .lr = lr};
    snprintf(out->name, sizeof out->name, "%s%s%s", module, part ? "." : "", part ? part : "");
}

static void put_quantizer(lb_student *s, lb_wquant *q)
{
    const lb_train_stage *st = &s->stage;
    bool grid = st->scales == LB_SCALES_STATIC || st->scales == LB_SCALES_LEARNED;
    double lr = st->train & LB_TRAIN_SCALES && st->scales != LB_SCALES_STATIC ? st->lr_scales : 0;
    put(s, &q->a, lr, q->module, grid ? "scale" : "clip_hi");
    if (grid && q->a.v) s->params[s->n_param - 1].lo = 1e-8f, s->params[s->n_param - 1].hi = 1e4f;
    put(s, &q->b, grid ? 0 : lr, q->module, grid ? "zero" : "clip_lo");
}

static void put_site(lb_student *s, int layer, lb_site at)
{
    static const char *const names[SITE_PARAMS] = {"scale", "a", "b", "clip_hi", "clip_lo"};
    const lb_train_stage *st = &s->stage;
    lb_site_grad *t = &s->layers[layer].site[at];
    lb_param *all[SITE_PARAMS] = {&t->scale, &t->a, &t->b, &t->c_hi, &t->c_lo};
    char module[64];
    snprintf(module, sizeof module, "layers.%d.%s", layer, lb_site_name(at));
    for (int i = 0; i < SITE_PARAMS; i++)
        put(s, all[i],
            !(st->train & LB_TRAIN_TRANSFORMS) ? 0
            : i < 3                            ? st->lr_transforms
                                               : st->lr_clips,
            module, names[i]);
}

static bool list_params(lb_student *s, lb_err *err)
{
    size_t n = lb_model_grad_count(s->m), most = n + 2 * s->n_quant + (size_t)s->cfg->n_layer * LB_N_SITE * SITE_PARAMS;
    free(s->params);
    s->n_param = 0;
    if (!(s->params = lb_alloc(most, sizeof *s->params, "the parameters", err))) return false;
    for (size_t i = 0; i < n; i++) {
        const lb_model_tensor *t = lb_model_grad_tensor(s->m, i);
        put(s, t->p, s->stage.train & t->kind ? s->stage.lr : 0, t->name, NULL);
        if (t->p->d) s->params[s->n_param - 1].decays = !t->vector;
    }
    for (size_t i = 0; i < s->n_quant; i++) put_quantizer(s, &s->quant[i]);
    for (int i = 0; i < s->cfg->n_layer; i++)
        for (lb_site at = 0; at < LB_N_SITE; at++) put_site(s, i, at);
    return true;
}

const lb_student_param *lb_student_params(const lb_student *s, size_t *n)
{
    *n = s->n_param;
    return s->params;
}

bool lb_student_stage(lb_student *s, const lb_train_stage *st, lb_err *err)
{
    const lb_scheme *c = &st->scheme;
    if (c->format != LB_W_INT)
        return lb_fail(err, LB_EUNSUPPORTED, "block floats are not trained through; take an integer scheme");
    if (s->kv.bits && s->kv.bits < 16 && s->kv.bits != c->kv_bits)
        return lb_fail(err, LB_EUSAGE, "the start has a KV cache of %d bits, the stage one of %d", s->kv.bits,
                       c->kv_bits);
    for (size_t i = 0; !(s->staged && lb_train_same_quantizers(&s->stage, st)) && i < s->n_quant; i++)
        if (!stage_weight(s, &s->quant[i], st, err)) return false;
    s->stage = *st;
    s->staged = true;
    return stage_clips(s, st, err) && list_params(s, err);
}
