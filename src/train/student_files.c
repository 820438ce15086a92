/* train/student_files.c – a student from files, and back to files. */
#include "train/student_impl.h"
#include "base/file.h"
#include "base/mem.h"
#include "num/hadamard.h"
#include "quant/given.h"
#include "quant/grid.h"
#include "quant/plan.h"
#include "quant/quantize.h"
#include "quant/recon.h"
#include "store/ct.h"
#include "store/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- from a start folder ---- */

/* Fills p from a float tensor of its size. */
static bool take(lb_student *s, lb_param *p, const lb_tensor *t, lb_err *err)
{
    size_t n = (size_t)p->n * (size_t)p->k, bytes = lb_dtype_bytes(t->dtype);
    bool is_float = t->dtype == LB_F32 || t->dtype == LB_F16 || t->dtype == LB_BF16;
    if (!is_float || t->size_bytes / bytes != n)
        return lb_fail(err, LB_EFORMAT, "%s: tensor '%s' has %zu numbers of type %s, wanted [%d,%d] floats", t->file,
                       t->name, t->size_bytes / bytes, lb_dtype_name(t->dtype), p->n, p->k);
    if (!lb_tensor_need_finite(t, err)) return false;
    float *v = lb_alloc(n, sizeof *v, t->name, err);
    for (size_t i = 0; v && i < n; i++) v[i] = lb_load_f32(t->data, t->dtype, i);
    if (v) lb_exec_put(s->ex, p->v, v, n * sizeof *v);
    free(v);
    return v != NULL;
}

static bool take_weights(lb_student *s, lb_err *err)
{
    char *path = lb_path_join(s->start_dir, "latent.safetensors", err), name[600];
    lb_store *latent = path ? lb_store_open(path, err) : NULL;
    bool ok = latent || lb_wrap(err, "a start wants latent weights: lowbit quantize --save-latent");
    for (size_t i = 0; ok && i < lb_model_grad_count(s->m); i++) {
        const lb_model_tensor *t = lb_model_grad_tensor(s->m, i);
        size_t n = strlen(t->name);
        if (n > 7 && n < 500) snprintf(name, sizeof name, "%.*s.latent", (int)(n - 7), t->name); /* without ".weight" */
        else name[0] = 0;
        const lb_tensor *from = lb_store_find(latent, name);
        if (!from) from = lb_store_find(s->start, t->name);
        ok = !from || take(s, t->p, from, err);
    }
    lb_store_close(latent);
    free(path);
    return ok;
}

static int row_of(const lb_config *c, lb_site s)
{
    switch (s) {
    case LB_SITE_O: return c->n_head * c->d_head;
    case LB_SITE_DOWN: return c->n_expert ? c->d_expert : c->d_ff;
    case LB_SITE_Q_ROPE:
    case LB_SITE_K_ROPE: return c->d_head;
    default: return c->d_model;
    }
}

static bool take_param(lb_student *s, lb_param *p, int n, int k, const char *name, lb_err *err)
{
    const lb_tensor *t = lb_store_need(s->start, name, err);
    return t && lb_param_init(p, s->ex, n, k, name, err) && take(s, p, t, err);
}

/* The order of a square factor, 0 if the folder does not have it. */
static int order_of(const lb_student *s, const char *name)
{
    const lb_tensor *t = lb_store_find(s->start, name);
    return t && t->rank == 2 && t->shape[0] == t->shape[1] && t->shape[0] <= LB_TRANSFORM_MAX ? (int)t->shape[0] : 0;
}

/* Half of an orthonormal Hadamard matrix: H of order n over its root, transposed, frozen. */
static bool rotation(lb_student *s, lb_param *p, int n, lb_err *err)
{
    float *h = lb_alloc((size_t)n * (size_t)n, 2 * sizeof *h, "a rotation", err), *t = h + (size_t)n * (size_t)n;
    bool ok =
        h && (lb_hadamard_dense(n, h) || lb_fail(err, LB_EUNSUPPORTED, "there is no Hadamard matrix of order %d", n)) &&
        lb_param_init(p, s->ex, n, n, "a rotation", err);
    for (int i = 0; ok && i < n; i++)
        for (int j = 0; j < n; j++)
            t[(size_t)j * (size_t)n + (size_t)i] = h[(size_t)i * (size_t)n + (size_t)j] / sqrtf((float)n);
    if (ok) {
        lb_exec_put(s->ex, p->v, t, (size_t)n * (size_t)n * sizeof *t);
        lb_exec_free(s->ex, p->d);
        p->d = NULL;
    }
    free(h);
    return ok;
}

/* H_n = (H_m ⊗ S) ⊗ S', as near to a square as the powers of two allow. */
static bool hadamard(lb_student *s, lb_site_grad *t, int n, lb_err *err)
{
    int m, log2p;
    if (!lb_hadamard_split(n, &m, &log2p))
        return lb_fail(err, LB_EUNSUPPORTED, "there is no Hadamard matrix of order %d", n);
    t->na = m, t->nb = n / m;
    while (t->nb > t->na && t->nb % 2 == 0) t->na *= 2, t->nb /= 2;
    return rotation(s, &t->a, t->na, err) && rotation(s, &t->b, t->nb, err);
}

static bool take_site(lb_student *s, int layer, lb_site at, lb_err *err)
{
    lb_site_grad *t = &s->layers[layer].site[at];
    char name[4][400];
    static const char *const part[] = {"scale", "a", "b", "clip"};
    for (int i = 0; i < 4; i++)
        lb_online_tensor(name[i], sizeof name[i], s->cfg->arch->names->layers, layer, lb_site_name(at), part[i]);
    t->k = row_of(s->cfg, at);
    t->kind = s->online.transform[at];
    t->clip[0] = s->online.act.clip_lo, t->clip[1] = s->online.act.clip_hi;
    const lb_tensor *clip = lb_store_find(s->start, name[3]);
    if (clip && clip->size_bytes == 2 * lb_dtype_bytes(clip->dtype))
        for (int e = 0; e < 2; e++) t->clip[e] = lb_load_f32(clip->data, clip->dtype, (size_t)e);
    bool turned = s->kv.hadamard && (int)at >= LB_N_INPUT_SITE; /* the cache's own rotation of queries and keys */
    if (t->kind == LB_TRANSFORM_NONE && !turned) return true;
    s->transforms |= t->kind != LB_TRANSFORM_NONE;
    if (lb_store_find(s->start, name[0]) && !take_param(s, &t->scale, 1, t->k, name[0], err)) return false;
    if (t->kind == LB_TRANSFORM_HADAMARD || turned) return hadamard(s, t, t->k, err);
    if (t->kind != LB_TRANSFORM_KRON) return true;
    t->na = order_of(s, name[1]), t->nb = order_of(s, name[2]);
    bool has_a = t->na > 0, has_b = t->nb > 0;
    if (!has_a) t->na = has_b ? t->k / t->nb : 0;
    if (!has_b) t->nb = t->na ? t->k / t->na : 0;
    if (t->na * t->nb != t->k)
        return lb_fail(err, LB_EFORMAT, "%s: '%s' and '%s' are no factors of a transform of %d columns", s->start_dir,
                       name[1], name[2], t->k);
    return (!has_a || take_param(s, &t->a, t->na, t->na, name[1], err)) &&
           (!has_b || take_param(s, &t->b, t->nb, t->nb, name[2], err));
}

static bool take_config(lb_student *s, lb_err *err)
{
    char *path = lb_path_join(s->start_dir, "config.json", err);
    json_t *o = path ? lb_json_load(path, err) : NULL;
    const json_t *qc = json_object_get(o, "quantization_config");
    bool ok =
        o && lb_online_parse(&s->online, o, path, err) && (!qc || (s->ct = lb_ct_config_parse(qc, path, err)) != NULL);
    if (ok && s->online.kv[0]) {
        ok = lb_kv_spec_parse(s->online.kv, &s->kv, err);
        if (ok && s->kv.bits < 16 && (s->kv.key != LB_KV_PER_TOKEN || s->kv.pre_rope))
            ok = lb_fail(err, LB_EUNSUPPORTED, "%s: KV cache '%s' is not trained through: take kv4 or kv4-quarot", path,
                         s->online.kv);
    }
    if (ok && s->online.act.kind != LB_ACT_NONE && s->online.act.kind != LB_ACT_INT)
        ok = lb_fail(err, LB_EUNSUPPORTED, "%s: block floats are not trained through", path);
    json_decref(o);
    free(path);
    return ok;
}

bool lb_student_take_start(lb_student *s, lb_err *err)
{
    if (!(s->start = lb_store_open(s->start_dir, err)) || !take_config(s, err) || !take_weights(s, err)) return false;
    for (int i = 0; i < s->cfg->n_layer; i++)
        for (lb_site at = 0; at < LB_N_SITE; at++)
            if (!take_site(s, i, at, err)) return lb_wrap(err, "layer %d", i);
    return true;
}

bool lb_student_start_grid(lb_student *s, lb_wquant *q, const lb_scheme *c, bool *found, lb_err *err)
{
    const lb_ct_scheme *sch = NULL;
    *found = false;
    if (!s->ct) return true;
    if (!lb_ct_config_find(s->ct, q->module, "Linear", &sch, err)) return false;
    lb_ct_scheme want = lb_plan_ct(c, q->w->k);
    if (!sch || sch->format != want.format || sch->bits != want.bits || sch->symmetric != want.symmetric ||
        sch->group != want.group)
        return true;
    lb_qmat m;
    if (!lb_ct_unpack(s->start, q->module, sch, q->w->n, q->w->k, &m, err)) return false;
    size_t n = (size_t)m.n * (size_t)lb_n_group(m.k, m.group);
    float *zero = lb_alloc(n, sizeof *zero, q->module, err);
    bool ok = zero && lb_param_init(&q->a, s->ex, m.n, q->n_group, q->module, err) &&
              (m.half || lb_param_init(&q->b, s->ex, m.n, q->n_group, q->module, err));
    for (size_t i = 0; ok && i < n; i++) {
        zero[i] = (float)m.zeros[i];
        if (m.half && m.zeros[i] != LB_HALF_ZERO)
            ok = lb_fail(err, LB_EUNSUPPORTED, "%s: '%s' has a zero point of %g; only the balanced grid, 1.5, is trained "
                         "through", s->start_dir, q->module, 0.5 * (double)zero[i]);
    }
    if (ok) {
        lb_exec_put(s->ex, q->a.v, m.scales, n * sizeof *m.scales);
        if (q->b.v) lb_exec_put(s->ex, q->b.v, zero, n * sizeof *zero);
    }
    *found = ok;
    free(zero);
    lb_qmat_free(&m);
    return ok;
}

/* ---- to a folder ---- */

typedef struct export {
    lb_student *s;
    float *grid;                 /* scale, zero and weights of the module asked for last: room for the largest; owned */
} export;

static void get(const lb_student *s, const lb_param *p, float *to)
{
    if (p && p->v && to) lb_exec_get(s->ex, to, p->v, (size_t)p->n * (size_t)p->k * sizeof *to);
}

/* A tensor of the model by its name in the files; NULL if it has none such. */
static const lb_param *named(const lb_student *s, const char *module, const char *kind)
{
    char name[600];
    snprintf(name, sizeof name, "%s.%s", module, kind);
    for (size_t i = 0; i < lb_model_grad_count(s->m); i++)
        if (strcmp(lb_model_grad_tensor(s->m, i)->name, name) == 0) return lb_model_grad_tensor(s->m, i)->p;
    return NULL;
}

static const lb_param *tensor(const lb_student *s, int layer, const char *part)
{
    char module[600];
    snprintf(module, sizeof module, "%s.%d.%s", s->cfg->arch->names->layers, layer, part);
    return named(s, module, "weight");
}

static bool give_linear(void *arg, lb_qlinear *l, lb_site site, lb_err *err)
{
    (void)site, (void)err;
    const lb_student *s = ((export *)arg)->s;
    get(s, named(s, l->name, "weight"), l->w);
    get(s, named(s, l->name, "bias"), l->bias);
    return true;
}

static bool keep(lb_student *s, lb_qblock *b, const lb_param *p, const float **to, lb_err *err)
{
    if (!p->v) return true;
    float *v = lb_qblock_keep(b, (size_t)p->n * (size_t)p->k, "a transform", err);
    get(s, p, v);
    *to = v;
    return v != NULL;
}

static bool give_site(lb_student *s, lb_qblock *b, lb_site at, lb_err *err)
{
    const lb_site_grad *t = &s->layers[b->layer].site[at];
    if ((int)at < LB_N_INPUT_SITE && s->stage.scheme.a_bits < 16)
        for (int e = 0; e < 2; e++)
            b->clip[at][e] = t->c_hi.v ? lb_student_clip(s, e ? &t->c_hi : &t->c_lo) : t->clip[e];
    if (t->kind == LB_TRANSFORM_NONE) return true;
    lb_transform *out = &b->in[at];
    *out = (lb_transform){.kind = t->kind, .k = t->k};
    if (!keep(s, b, &t->scale, &out->scale, err)) return false;
    if (t->kind == LB_TRANSFORM_KRON) {
        out->na = t->na, out->nb = t->nb;
        return keep(s, b, &t->a, &out->a, err) && keep(s, b, &t->b, &out->b, err);
    }
    if (t->kind != LB_TRANSFORM_HADAMARD) return true;
    int log2p;
    out->block = t->k;
    lb_hadamard_split(t->k, &out->m, &log2p);
    if (out->m == 1) return true;
    float *had = lb_qblock_keep(b, (size_t)out->m * (size_t)out->m, "a rotation", err);
    out->had = had;
    return had && lb_hadamard_dense(out->m, had);
}

static bool give_block(void *arg, lb_qblock *b, lb_err *err)
{
    lb_student *s = ((export *)arg)->s;
    const lb_names *n = s->cfg->arch->names;
    get(s, tensor(s, b->layer, n->attn_norm), b->attn_norm);
    get(s, tensor(s, b->layer, n->mlp_norm), b->mlp_norm);
    if (b->q_norm) get(s, tensor(s, b->layer, n->q_norm), b->q_norm);
    if (b->k_norm) get(s, tensor(s, b->layer, n->k_norm), b->k_norm);
    if (b->n_expert) get(s, tensor(s, b->layer, n->router), b->router.w);
    if (!lb_qblock_linears(b, give_linear, arg, err)) return false;
    for (lb_site at = 0; at < LB_N_SITE; at++)
        if (!give_site(s, b, at, err)) return false;
    return true;
}

/* The grid that the tape uses: given scales as they are stored, or learned clips of each group's range. */
static void grid_of(const lb_student *s, const lb_wquant *q, float *scale, float *zero, const float *w)
{
    const lb_scheme *c = &s->stage.scheme;
    int group = q->w->k / q->n_group;
    bool clips = s->stage.scales == LB_SCALES_CLIP;
    for (int i = 0; i < q->w->n * q->n_group; i++) {
        if (!clips) {
            scale[i] = lb_grid_stored(scale[i], s->scale_type);
            continue;
        }
        float hi = 0, lo = 0, f_hi = (float)(1 / (1 + exp(-(double)scale[i]))),
              f_lo = (float)(1 / (1 + exp(-(double)zero[i])));
        for (int k = 0; k < group; k++) {
            float v = w[(size_t)i * (size_t)group + (size_t)k];
            hi = v > hi ? v : hi;
            lo = v < lo ? v : lo;
        }
        if (c->half) {
            scale[i] = lb_half_scale((const float[]){f_hi * hi, f_lo * lo}, 2, 1, s->scale_type);
            continue;
        }
        lb_grid g = lb_grid_minmax((const float[]){f_hi * hi, f_lo * lo}, 2, c->w_bits, c->sym, 1, s->scale_type);
        scale[i] = g.scale, zero[i] = (float)g.zero;
    }
}

/* Numbers that grid_of works on for q. */
static size_t grid_size(const lb_wquant *q) { return (size_t)q->w->n * ((size_t)q->w->k + 2 * (size_t)q->n_group); }

static bool give_grid(void *arg, const char *module, const float **scale, const float **zero)
{
    export *x = arg;
    const lb_student *s = x->s;
    const lb_wquant *q = NULL;
    for (size_t i = 0; i < s->n_quant && !q; i++)
        if (strcmp(s->quant[i].module, module) == 0) q = &s->quant[i];
    if (!q || !q->a.v) return false;
    size_t n = (size_t)q->w->n * (size_t)q->n_group;
    float *v = x->grid;
    get(s, &q->a, v);
    get(s, &q->b, v + n);
    get(s, q->w, v + 2 * n);
    grid_of(s, q, v, v + n, v + 2 * n);
    *scale = v, *zero = v + n;
    return true;
}

static lb_hash hash_params(const lb_student *s, float *room)
{
    lb_hash h = {0};
    for (size_t i = 0; i < s->n_param; i++) {
        const lb_param *p = s->params[i].p;
        size_t n = (size_t)p->n * (size_t)p->k;
        lb_exec_get(s->ex, room, p->v, n * sizeof *room);
        h = lb_hash_bytes(room, n * sizeof *room, h);
    }
    return h;
}

/* Embedding, head and final norm, if they are trained. */
static bool give_outside(lb_student *s, lb_given *g, float *own[3], lb_err *err)
{
    const lb_names *n = s->cfg->arch->names;
    const char *const names[3] = {n->embed, n->lm_head, n->final_norm};
    const float **to[3] = {&g->embed, &g->head, &g->final_norm};
    for (size_t i = 0; i < lb_model_grad_count(s->m); i++) {
        const lb_model_tensor *t = lb_model_grad_tensor(s->m, i);
        for (int j = 0; j < 3; j++) {
            size_t len = strlen(names[j]), count = (size_t)t->p->n * (size_t)t->p->k;
            if (strncmp(t->name, names[j], len) != 0 || strcmp(t->name + len, ".weight") != 0 ||
                !(s->o.train & t->kind))
                continue;
            if (!(own[j] = lb_alloc(count, sizeof **own, t->name, err))) return false;
            get(s, t->p, own[j]);
            *to[j] = own[j];
        }
    }
    return true;
}

static bool write_folder(lb_student *s, const char *dir, const char *name, lb_err *err)
{
    export x = {.s = s};
    lb_transform_kind kinds[LB_N_SITE];
    lb_given g = {.arg = &x, .name = name, .block = give_block, .grid = give_grid, .act_clip = s->online.act.clip_hi};
    float *own[3] = {0};
    size_t most = 0, grid = 0;
    memcpy(kinds, s->online.transform, sizeof kinds);
    if (s->transforms) g.transform = kinds;
    for (size_t i = 0; i < s->n_param; i++) {
        size_t n = (size_t)s->params[i].p->n * (size_t)s->params[i].p->k;
        most = n > most ? n : most;
    }
    for (size_t i = 0; i < s->n_quant; i++) grid = grid_size(&s->quant[i]) > grid ? grid_size(&s->quant[i]) : grid;
    float *room = lb_alloc(most, sizeof *room, "a parameter", err);
    x.grid = room ? lb_alloc(grid, sizeof *x.grid, "the grid of a weight", err) : NULL;
    lb_quantize_opt o = {
        .chain = lb_given_chain(), .scheme = s->stage.scheme, .given = &g, .kv = s->online.kv[0] ? s->online.kv : NULL};
    lb_quantize_report rep;
    bool ok = x.grid && give_outside(s, &g, own, err);
    if (ok) g.hash = hash_params(s, room);
    ok = ok && lb_quantize(s->model_dir, dir, &o, s->ex, &rep, err);
    for (int j = 0; j < 3; j++) free(own[j]);
    free(room);
    free(x.grid);
    return ok;
}

bool lb_student_export(lb_student *s, const char *out_dir, const char *name, lb_err *err)
{
    char next[1024], partial[1040];
    if (snprintf(next, sizeof next, "%s.next", out_dir) >= (int)sizeof next)
        return lb_fail(err, LB_EUSAGE, "the path '%.80s…' is too long", out_dir);
    snprintf(partial, sizeof partial, "%s.partial", next);
    lb_remove_folder(next);
    lb_remove_folder(partial);
    if (!write_folder(s, next, name, err)) return false;
    lb_remove_folder(out_dir);
    return rename(next, out_dir) == 0 || lb_fail_io(err, "%s cannot be renamed to %s", next, out_dir);
}

bool lb_student_save_latent(lb_student *s, const char *out_dir, lb_err *err)
{
    char *path = lb_path_join(out_dir, "latent.safetensors", err), name[600];
    lb_st_writer *w = path ? lb_st_writer_open(path, 0, err) : NULL;
    bool ok = w != NULL;
    for (size_t i = 0; ok && i < s->n_quant; i++) {
        snprintf(name, sizeof name, "%s.latent", s->quant[i].module);
        ok = lb_st_writer_declare(w, name, LB_F32, 2, (int64_t[]){s->quant[i].w->n, s->quant[i].w->k}, err);
    }
    ok = ok && lb_st_writer_begin(w, err);
    for (size_t i = 0; ok && i < s->n_quant; i++) {
        const lb_param *p = s->quant[i].w;
        size_t n = (size_t)p->n * (size_t)p->k;
        float *v = lb_alloc(n, sizeof *v, "a weight", err);
        snprintf(name, sizeof name, "%s.latent", s->quant[i].module);
        get(s, p, v);
        ok = v && lb_st_writer_put(w, name, v, n * sizeof *v, err);
        free(v);
    }
    ok = ok && lb_st_writer_commit(w, err);
    lb_st_writer_close(w);
    free(path);
    return ok;
}
