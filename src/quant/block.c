/* quant/block.c – reading a block as floats, walking its linears, folding scales. */
#include "quant/block.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_NAME = 256, PREFIX = 384, MODULE = 512, TENSOR = 640 };

/* ---- loading ---- */

typedef struct loader {
    lb_qblock *b;
    const lb_store *s;
    lb_err *err;
} loader;

static float *read_floats(loader *r, const char *name, int rank, int n, int k)
{
    const lb_tensor *t = lb_store_need(r->s, name, r->err);
    int64_t want[2] = {n, k};
    size_t count = (size_t)n * (size_t)(rank > 1 ? k : 1);
    if (!t || !lb_tensor_check_shape(t, want, rank, "config.json", r->err)) return NULL;
    if (t->dtype != LB_F32 && t->dtype != LB_F16 && t->dtype != LB_BF16)
        return lb_fail_null(r->err, LB_EUNSUPPORTED, "%s: tensor '%s' is %s, wanted BF16, F16 or F32", t->file, name,
                            lb_dtype_name(t->dtype));
    float *v = lb_tensor_need_finite(t, r->err) ? lb_alloc(count, sizeof *v, name, r->err) : NULL;
    for (size_t i = 0; v && i < count; i++) v[i] = lb_load_f32(t->data, t->dtype, i);
    return v;
}

static float *read_vector(loader *r, const char *prefix, const char *name, int n)
{
    char tensor[TENSOR];
    snprintf(tensor, sizeof tensor, "%s.%s.weight", prefix, name);
    return read_floats(r, tensor, 1, n, 0);
}

static bool read_linear(loader *r, lb_qlinear *l, const char *prefix, const char *name, int n, int k, bool bias)
{
    char module[MODULE], tensor[TENSOR];
    snprintf(module, sizeof module, "%s.%s", prefix, name);
    *l = (lb_qlinear){.name = strdup(module), .n = n, .k = k};
    if (!l->name) return lb_fail_mem(r->err, sizeof module, "a name");
    snprintf(tensor, sizeof tensor, "%s.weight_packed", module);
    if (lb_store_find(r->s, tensor))
        return lb_fail(r->err, LB_EUNSUPPORTED, "%s: '%s' is quantized already; this method wants the original model",
                       lb_store_path(r->s), module);
    snprintf(tensor, sizeof tensor, "%s.weight", module);
    l->w = read_floats(r, tensor, 2, n, k);
    if (!l->w || !bias) return l->w != NULL;
    snprintf(tensor, sizeof tensor, "%s.bias", module);
    l->bias = read_floats(r, tensor, 1, n, 0);
    return l->bias != NULL;
}

static bool read_experts(loader *r, const char *prefix)
{
    lb_qblock *b = r->b;
    const lb_config *c = b->cfg;
    const lb_names *w = c->arch->names;
    if (!read_linear(r, &b->router, prefix, w->router, c->n_expert, c->d_model, false)) return false;
    b->experts = lb_alloc((size_t)c->n_expert, sizeof *b->experts, "the experts", r->err);
    if (!b->experts) return false;
    b->n_expert = c->n_expert;
    for (int e = 0; e < c->n_expert; e++) {
        char at[PREFIX];
        snprintf(at, sizeof at, "%s.%s.%d", prefix, w->experts, e);
        lb_qexpert *x = &b->experts[e];
        if (!read_linear(r, &x->gate, at, w->expert_gate, c->d_expert, c->d_model, false) ||
            !read_linear(r, &x->up, at, w->expert_up, c->d_expert, c->d_model, false) ||
            !read_linear(r, &x->down, at, w->expert_down, c->d_model, c->d_expert, false))
            return false;
    }
    return true;
}

static bool read_block(loader *r)
{
    lb_qblock *b = r->b;
    const lb_config *c = b->cfg;
    const lb_names *w = c->arch->names;
    int d = c->d_model, qd = c->n_head * c->d_head, kd = c->n_kv * c->d_head;
    char at[BLOCK_NAME];
    snprintf(at, sizeof at, "%s.%d", w->layers, b->layer);
    if (!(b->attn_norm = read_vector(r, at, w->attn_norm, d)) || !(b->mlp_norm = read_vector(r, at, w->mlp_norm, d)))
        return false;
    if (c->arch->flags & LB_ARCH_QK_NORM)
        if (!(b->q_norm = read_vector(r, at, w->q_norm, c->d_head)) ||
            !(b->k_norm = read_vector(r, at, w->k_norm, c->d_head)))
            return false;
    if (!read_linear(r, &b->q, at, w->q, qd, d, c->qkv_bias) || !read_linear(r, &b->k, at, w->k, kd, d, c->qkv_bias) ||
        !read_linear(r, &b->v, at, w->v, kd, d, c->qkv_bias) || !read_linear(r, &b->o, at, w->o, d, qd, c->o_bias))
        return false;
    if (lb_config_is_moe_layer(c, b->layer)) return read_experts(r, at);
    return read_linear(r, &b->gate, at, w->gate, c->d_ff, d, c->mlp_bias) &&
           read_linear(r, &b->up, at, w->up, c->d_ff, d, c->mlp_bias) &&
           read_linear(r, &b->down, at, w->down, d, c->d_ff, c->mlp_bias);
}

bool lb_qblock_load(lb_qblock *b, const lb_config *cfg, const lb_store *s, int layer, lb_err *err)
{
    *b = (lb_qblock){.cfg = cfg, .layer = layer};
    loader r = {b, s, err};
    if (read_block(&r)) return true;
    lb_qblock_free(b);
    return false;
}

static void free_linear(lb_qlinear *l)
{
    free(l->name);
    free(l->w);
    free(l->bias);
}

void lb_qblock_free(lb_qblock *b)
{
    lb_qlinear *all[] = {&b->q, &b->k, &b->v, &b->o, &b->gate, &b->up, &b->down, &b->router};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free_linear(all[i]);
    for (int e = 0; e < b->n_expert; e++)
        free_linear(&b->experts[e].gate), free_linear(&b->experts[e].up), free_linear(&b->experts[e].down);
    free(b->experts);
    free(b->attn_norm);
    free(b->mlp_norm);
    free(b->q_norm);
    free(b->k_norm);
    lb_blocks_free(&b->own);
    *b = (lb_qblock){0};
}

size_t lb_qblock_bytes(const lb_config *c, int layer)
{
    double d = c->d_model, qd = (double)c->n_head * c->d_head, kd = (double)c->n_kv * c->d_head;
    bool moe = lb_config_is_moe_layer(c, layer);
    double mlp = moe ? (double)c->n_expert * (3.0 * c->d_expert + 1) * d : (3 * d + 3) * c->d_ff;
    return (size_t)(4 * (d * (2 * qd + 2 * kd) + mlp + 4 * d + qd + 2 * kd));
}

float *lb_qblock_keep(lb_qblock *b, size_t n, const char *what, lb_err *err)
{
    lb_blocks *own = &b->own;
    if (!lb_grow(&own->p, &own->cap, own->n + 1, sizeof *own->p, what, err)) return NULL;
    float *p = lb_alloc(n, sizeof *p, what, err);
    if (p) own->p[own->n++] = p;
    return p;
}

/* ---- walking ---- */

bool lb_qblock_linears(lb_qblock *b, lb_qlinear_fn fn, void *arg, lb_err *err)
{
    if (!fn(arg, &b->q, LB_SITE_QKV, err) || !fn(arg, &b->k, LB_SITE_QKV, err) || !fn(arg, &b->v, LB_SITE_QKV, err) ||
        !fn(arg, &b->o, LB_SITE_O, err))
        return false;
    if (!b->experts)
        return fn(arg, &b->gate, LB_SITE_MLP, err) && fn(arg, &b->up, LB_SITE_MLP, err) &&
               fn(arg, &b->down, LB_SITE_DOWN, err);
    for (int e = 0; e < b->n_expert; e++) {
        lb_qexpert *x = &b->experts[e];
        if (!fn(arg, &x->gate, LB_SITE_MLP, err) || !fn(arg, &x->up, LB_SITE_MLP, err) ||
            !fn(arg, &x->down, LB_SITE_DOWN, err))
            return false;
    }
    return true;
}

static lb_linear linear_of(const lb_qlinear *l, const lb_transform *in)
{
    return (lb_linear){.w = {.num = lb_num_of_dtype(LB_F32), .n = l->n, .k = l->k, .data = l->w}, .bias = l->bias,
                       .in = in && in->kind != LB_TRANSFORM_NONE ? in : NULL};
}

void lb_qblock_bind(const lb_qblock *b, lb_layer *l)
{
    const lb_transform *in = b->in;
    l->attn_norm = b->attn_norm, l->mlp_norm = b->mlp_norm;
    l->q_norm = b->q_norm, l->k_norm = b->k_norm;
    l->q_rope = in[LB_SITE_Q_ROPE].kind ? &in[LB_SITE_Q_ROPE] : NULL;
    l->k_rope = in[LB_SITE_K_ROPE].kind ? &in[LB_SITE_K_ROPE] : NULL;
    l->q = linear_of(&b->q, &in[LB_SITE_QKV]);
    l->k = linear_of(&b->k, &in[LB_SITE_QKV]);
    l->v = linear_of(&b->v, &in[LB_SITE_QKV]);
    l->o = linear_of(&b->o, &in[LB_SITE_O]);
    if (!b->experts) {
        l->gate = linear_of(&b->gate, &in[LB_SITE_MLP]);
        l->up = linear_of(&b->up, &in[LB_SITE_MLP]);
        l->down = linear_of(&b->down, &in[LB_SITE_DOWN]);
        return;
    }
    l->router = linear_of(&b->router, NULL);
    for (int e = 0; e < b->n_expert; e++) {
        l->experts[e].gate = linear_of(&b->experts[e].gate, &in[LB_SITE_MLP]);
        l->experts[e].up = linear_of(&b->experts[e].up, &in[LB_SITE_MLP]);
        l->experts[e].down = linear_of(&b->experts[e].down, &in[LB_SITE_DOWN]);
    }
}

/* ---- folding ---- */

void lb_qlinear_mul_cols(lb_qlinear *l, const float *s)
{
    for (int i = 0; i < l->n; i++) {
        float *w = l->w + (size_t)i * (size_t)l->k;
        for (int j = 0; j < l->k; j++) w[j] *= s[j];
    }
}

void lb_qlinear_div_rows(lb_qlinear *l, const float *s)
{
    for (int i = 0; i < l->n; i++) {
        float *w = l->w + (size_t)i * (size_t)l->k;
        for (int j = 0; j < l->k; j++) w[j] /= s[i];
        if (l->bias) l->bias[i] /= s[i];
    }
}

static bool check_scale(const lb_qlinear *l, const float *s, int n, lb_err *err)
{
    for (int i = 0; i < n; i++)
        if (!(s[i] > 0 && isfinite(s[i])))
            return lb_fail(err, LB_ENUMERIC, "%s: the scale of input channel %d is %g, wanted a finite number above 0",
                           l->name, i, (double)s[i]);
    return true;
}

/* Multiplies the columns of everything that reads the norm's output (attention's, or the MLP's with its router). */
static void scale_readers(lb_qblock *b, bool attn, const float *s)
{
    lb_qlinear *dense[] = {&b->gate, &b->up}, *heads[] = {&b->q, &b->k, &b->v};
    for (int i = 0; attn && i < 3; i++) lb_qlinear_mul_cols(heads[i], s);
    for (int i = 0; !attn && !b->experts && i < 2; i++) lb_qlinear_mul_cols(dense[i], s);
    if (!attn && b->experts) lb_qlinear_mul_cols(&b->router, s);
    for (int e = 0; !attn && e < b->n_expert; e++) {
        lb_qlinear_mul_cols(&b->experts[e].gate, s);
        lb_qlinear_mul_cols(&b->experts[e].up, s);
    }
}

static bool fold_into_values(lb_qblock *b, const float *s, lb_err *err)
{
    const lb_config *c = b->cfg;
    int d = c->d_head, share = c->n_head / c->n_kv;
    if (!check_scale(&b->o, s, c->n_kv * d, err)) return false;
    for (int i = 0; i < b->o.n; i++)
        for (int h = 0; h < c->n_head; h++) {
            float *w = b->o.w + (size_t)i * (size_t)b->o.k + (size_t)h * (size_t)d;
            for (int j = 0; j < d; j++) w[j] *= s[h / share * d + j];
        }
    lb_qlinear_div_rows(&b->v, s);
    return true;
}

bool lb_qblock_fold_scale(lb_qblock *b, lb_site site, const float *s, lb_err *err)
{
    bool attn = site == LB_SITE_QKV;
    int d = b->cfg->d_model;
    if (site == LB_SITE_O) return fold_into_values(b, s, err);
    if (site == LB_SITE_DOWN && !b->experts) {
        if (!check_scale(&b->down, s, b->down.k, err)) return false;
        lb_qlinear_mul_cols(&b->down, s);
        lb_qlinear_div_rows(&b->up, s);
        return true;
    }
    if (!attn && site != LB_SITE_MLP)
        return lb_fail(err, LB_EFAIL, "layer %d: no single scale can be folded in at %s", b->layer, lb_site_name(site));
    if (!check_scale(attn ? &b->q : b->experts ? &b->router : &b->gate, s, d, err)) return false;
    scale_readers(b, attn, s);
    float *gain = attn ? b->attn_norm : b->mlp_norm;
    for (int j = 0; j < d; j++) gain[j] /= s[j];
    return true;
}

bool lb_qexpert_fold_scale(lb_qexpert *e, const float *s, lb_err *err)
{
    if (!check_scale(&e->down, s, e->down.k, err)) return false;
    lb_qlinear_mul_cols(&e->down, s);
    lb_qlinear_div_rows(&e->up, s);
    return true;
}

void lb_qblock_fold_norms(lb_qblock *b)
{
    scale_readers(b, true, b->attn_norm);
    scale_readers(b, false, b->mlp_norm);
    for (int j = 0; j < b->cfg->d_model; j++) b->attn_norm[j] = b->mlp_norm[j] = 1;
}
