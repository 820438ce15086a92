/* model/model.c – opening a model: binding tensors to their places, shapes checked against the config. */
#include "model/model.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "num/hadamard.h"
#include "num/tile.h"
#include "store/ct.h"
#include "store/ct_fp4.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the binding needs beside the model. */
typedef struct binder {
    lb_model *m;
    const lb_store *over;        /* goes before the model's own files; or NULL */
    const lb_ct_config *ct;      /* quantization_config, or NULL */
    lb_blocks *own;              /* takes what is allocated */
    double bits, weights;        /* of the block linears so far */
    lb_err *err;
} binder;

/* Memory that lives as long as the binding. */
static void *keep(binder *b, size_t count, size_t elem, const char *what)
{
    lb_blocks *own = b->own;
    if (!lb_grow(&own->p, &own->cap, own->n + 1, sizeof *own->p, what, b->err)) return NULL;
    void *p = lb_alloc(count, elem, what, b->err);
    if (p) own->p[own->n++] = p;
    return p;
}

void lb_blocks_free(lb_blocks *b)
{
    for (size_t i = 0; i < b->n; i++) free(b->p[i]);
    free(b->p);
    *b = (lb_blocks){0};
}

/* The store that holds a tensor: the overlay first. */
static const lb_store *store_of(const binder *b, const char *name)
{
    return b->over && lb_store_find(b->over, name) ? b->over : b->m->store;
}

static const lb_tensor *find(binder *b, const char *name, int rank, int64_t n, int64_t k)
{
    const lb_tensor *t = lb_store_find(store_of(b, name), name);
    if (!t) {
        lb_fail(b->err, LB_EFORMAT, "%s: tensor '%s' is missing, config.json wants it", b->m->dir, name);
        return NULL;
    }
    int64_t want[2] = {n, k};
    if (!lb_tensor_check_shape(t, want, rank, "config.json", b->err)) return NULL;
    if (t->dtype == LB_F32 || t->dtype == LB_F16 || t->dtype == LB_BF16) return t;
    lb_fail(b->err, LB_EUNSUPPORTED, "%s: tensor '%s' is %s, wanted BF16, F16 or F32", t->file, name,
            lb_dtype_name(t->dtype));
    return NULL;
}

/* A vector (norm, bias) as f32 on the device; small, so converted; must be finite. */
static const float *vector(binder *b, const char *name, int n)
{
    const lb_tensor *t = find(b, name, 1, n, 0);
    float *v = t ? keep(b, (size_t)n, sizeof *v, name) : NULL;
    if (!v) return NULL;
    for (int i = 0; i < n; i++) {
        v[i] = lb_load_f32(t->data, t->dtype, (size_t)i);
        if (isfinite(v[i])) continue;
        lb_fail(b->err, LB_ENUMERIC, "%s: tensor '%s' holds %s at %d", t->file, name, isnan(v[i]) ? "NaN" : "infinity",
                i);
        return NULL;
    }
    return lb_exec_place(b->m->ex, v, (size_t)n * sizeof *v, name, b->err);
}

/* A float matrix, used where it lies in the file. */
static bool matrix(binder *b, lb_mat *out, const char *name, int n, int k)
{
    const lb_tensor *t = find(b, name, 2, n, k);
    if (!t) return false;
    *out = (lb_mat){.num = lb_num_of_dtype(t->dtype), .n = n, .k = k};
    out->data = lb_exec_place_file(b->m->ex, t->data, t->size_bytes, name, b->err);
    return out->data != NULL;
}

static bool fp4_matrix(binder *b, lb_mat *out, const char *module, const lb_store *from, const lb_ct_scheme *s, int n,
                       int k)
{
    lb_fp4mat q;
    if (!lb_ct_fp4_unpack(from, module, s, n, k, &q, b->err)) return false;
    lb_mat m = lb_fp4_mat(q.num, n, k, q.tensor_scale);
    void *data = keep(b, m.num->size(&m), 1, module);
    if (data) lb_fp4_pack(&q, data, out);
    lb_fp4mat_free(&q);
    if (!data) return false;
    out->data = lb_exec_place(b->m->ex, data, m.num->size(&m), module, b->err);
    return out->data != NULL;
}

static bool packed_matrix(binder *b, lb_mat *out, const char *module, const lb_ct_scheme *s, int n, int k)
{
    lb_qmat q;
    char name[640];
    snprintf(name, sizeof name, "%s.weight_packed", module);
    if (lb_ct_fp4_num(s)) return fp4_matrix(b, out, module, store_of(b, name), s, n, k);
    if (!lb_ct_unpack(store_of(b, name), module, s, n, k, &q, b->err)) return false;
    lb_mat m = lb_tile_mat(lb_qmat_num(&q), n, k, q.group, q.scale_type);
    void *data = keep(b, m.num->size(&m), 1, module);
    if (data) lb_tile_pack(&q, data, out);
    lb_qmat_free(&q);
    if (!data) return false;
    out->data = lb_exec_place(b->m->ex, data, m.num->size(&m), module, b->err);
    return out->data != NULL;
}

/* What the linears of one site share. */
typedef struct site {
    const lb_transform *in;
    lb_act_quant act;
} site;

/* A float tensor of up to two dimensions that a file may leave out: f32 on the device, or NULL. False if it is there
 * and wrong. A dimension of 0 takes any size up to LB_TRANSFORM_MAX, and is filled in. */
static bool optional(binder *b, const char *name, int rank, int64_t shape[2], const float **out)
{
    const lb_tensor *t = lb_store_find(store_of(b, name), name);
    *out = NULL;
    if (!t) return true;
    for (int i = 0; i < rank && t->rank == rank; i++)
        if (shape[i] == 0 && t->shape[i] > 0 && t->shape[i] <= LB_TRANSFORM_MAX) shape[i] = t->shape[i];
    if (!lb_tensor_check_shape(t, shape, rank, "the model", b->err) || !lb_tensor_need_finite(t, b->err)) return false;
    if (t->dtype != LB_F32)
        return lb_fail(b->err, LB_EUNSUPPORTED, "%s: tensor '%s' is %s, wanted F32", t->file, name,
                       lb_dtype_name(t->dtype));
    *out = lb_exec_place(b->m->ex, t->data, t->size_bytes, name, b->err);
    return *out != NULL;
}

/* A square factor of a Kronecker transform that a file may leave out: *n is its order, 0 if it is not there. */
static bool factor(binder *b, const char *name, int *n, const float **out)
{
    int64_t shape[2] = {0, 0};
    *n = 0;
    if (!optional(b, name, 2, shape, out)) return false;
    if (!*out) return true;
    if (shape[0] != shape[1] || shape[0] < 1)
        return lb_fail(b->err, LB_EFORMAT, "%s: tensor '%s' is [%lld,%lld], wanted a square matrix",
                       lb_store_find(store_of(b, name), name)->file, name, (long long)shape[0], (long long)shape[1]);
    *n = (int)shape[0];
    return true;
}

static bool kron(binder *b, lb_transform *t, const char *a_name, const char *b_name)
{
    if (!factor(b, a_name, &t->na, &t->a) || !factor(b, b_name, &t->nb, &t->b)) return false;
    if (!t->a && !t->b)
        return lb_fail(b->err, LB_EFORMAT, "%s: config.json wants a Kronecker transform, and there is neither '%s' nor "
                       "'%s'", b->m->dir, a_name, b_name);
    if (!t->na) t->na = t->k / t->nb;
    if (!t->nb) t->nb = t->k / t->na;
    return true;
}

/* The transform of one site, rows of k numbers; NULL if it has none. */
static bool transform(binder *b, const lb_transform **out, lb_site s, int layer, int k)
{
    const char *layers = b->m->cfg.arch->names->layers, *where = lb_site_name(s);
    lb_transform_kind kind = b->m->online.transform[s];
    char name[3][400];
    static const char *const part[] = {"scale", "a", "b"};
    *out = NULL;
    if (kind == LB_TRANSFORM_NONE) return true;
    for (int i = 0; i < 3; i++) lb_online_tensor(name[i], sizeof name[i], layers, layer, where, part[i]);
    lb_transform *t = keep(b, 1, sizeof *t, name[0]);
    if (!t) return false;
    *t = (lb_transform){.kind = kind, .k = k};
    int64_t n[2] = {k, 0};
    if (!optional(b, name[0], 1, n, &t->scale)) return false;
    if (kind == LB_TRANSFORM_KRON && !kron(b, t, name[1], name[2])) return false;
    if (kind == LB_TRANSFORM_HADAMARD) {
        int log2p;
        t->block = k;
        if (!lb_hadamard_split(k, &t->m, &log2p))
            return lb_fail(b->err, LB_EUNSUPPORTED, "%s: no Hadamard matrix of order %d is known here", name[0], k);
        float *had = t->m > 1 ? keep(b, (size_t)t->m * (size_t)t->m, sizeof *had, name[0]) : NULL;
        if (t->m > 1 && !had) return false;
        if (had) {
            lb_hadamard_dense(t->m, had);
            t->had = lb_exec_place(b->m->ex, had, (size_t)t->m * (size_t)t->m * sizeof *had, name[0], b->err);
            if (!t->had) return false;
        }
    }
    *out = t;
    return lb_transform_check(t, k, name[0], b->err);
}

static bool bind_site(binder *b, site *out, lb_site s, int layer, int k)
{
    char name[400];
    int64_t two[2] = {2, 0};
    const float *clip;
    const lb_tensor *t;
    *out = (site){.act = b->m->online.act};
    lb_online_tensor(name, sizeof name, b->m->cfg.arch->names->layers, layer, lb_site_name(s), "clip");
    if (!transform(b, &out->in, s, layer, k) || !optional(b, name, 1, two, &clip)) return false;
    if (!clip) return true;
    t = lb_store_find(store_of(b, name), name); /* read on the host, wherever the device is */
    out->act.clip_lo = lb_load_f32(t->data, LB_F32, 0);
    out->act.clip_hi = lb_load_f32(t->data, LB_F32, 1);
    return lb_act_check(&out->act, b->err) || lb_wrap(b->err, "%s: tensor '%s'", t->file, name);
}

/* Module `prefix.name`, quantized if the checkpoint says so. s: what it shares with others that read the same rows, or
 * NULL. */
static bool linear(binder *b, lb_linear *l, const char *prefix, const char *name, int n, int k, bool bias, const site *at)
{
    char module[512], tensor[544];
    snprintf(module, sizeof module, "%s%s%s", prefix, *prefix ? "." : "", name);
    const lb_ct_scheme *s = NULL;
    if (b->ct && !lb_ct_config_find(b->ct, module, "Linear", &s, b->err)) return false;
    snprintf(tensor, sizeof tensor, "%s.weight", module);
    bool ok = s ? packed_matrix(b, &l->w, module, s, n, k) : matrix(b, &l->w, tensor, n, k);
    if (!ok) return false;
    *l = (lb_linear){.w = l->w, .in = at ? at->in : NULL};
    if (at && s) l->act = at->act;
    b->bits += 8.0 * (double)l->w.num->size(&l->w);
    b->weights += (double)n * (double)k;
    if (!bias) return true;
    snprintf(tensor, sizeof tensor, "%s.bias", module);
    l->bias = vector(b, tensor, n);
    return l->bias != NULL;
}

static const float *block_vector(binder *b, const char *block, const char *name, int n)
{
    char tensor[512];
    snprintf(tensor, sizeof tensor, "%s.%s.weight", block, name);
    return vector(b, tensor, n);
}

static bool bind_experts(binder *b, lb_layer *l, const char *block, int layer)
{
    const lb_config *c = &b->m->cfg;
    const lb_names *w = c->arch->names;
    double bits = b->bits, weights = b->weights;
    if (!linear(b, &l->router, block, w->router, c->n_expert, c->d_model, false, NULL)) return false;
    b->bits = bits, b->weights = weights; /* the router is not one of the weights that methods quantize */
    site in, down;
    if (!bind_site(b, &in, LB_SITE_MLP, layer, c->d_model) || !bind_site(b, &down, LB_SITE_DOWN, layer, c->d_expert))
        return false;
    if (!l->experts) l->experts = lb_alloc((size_t)c->n_expert, sizeof *l->experts, "the experts", b->err);
    if (!l->experts) return false;
    for (int e = 0; e < c->n_expert; e++) {
        char prefix[384];
        snprintf(prefix, sizeof prefix, "%s.%s.%d", block, w->experts, e);
        lb_expert *x = &l->experts[e];
        if (!linear(b, &x->gate, prefix, w->expert_gate, c->d_expert, c->d_model, false, &in) ||
            !linear(b, &x->up, prefix, w->expert_up, c->d_expert, c->d_model, false, &in) ||
            !linear(b, &x->down, prefix, w->expert_down, c->d_model, c->d_expert, false, &down))
            return false;
    }
    return true;
}

static bool bind_range(binder *b, lb_layer *l, int layer, int kd)
{
    char name[400];
    lb_online_tensor(name, sizeof name, b->m->cfg.arch->names->layers, layer, "k_range", NULL);
    int64_t shape[2] = {2, kd};
    const float *placed;
    if (!optional(b, name, 2, shape, &placed)) return false;
    if (placed) l->k_range = (const float *)(const void *)lb_store_find(store_of(b, name), name)->data;
    return true;
}

static bool bind_layer(binder *b, lb_layer *l, int i)
{
    const lb_config *c = &b->m->cfg;
    const lb_names *w = c->arch->names;
    char block[256];
    snprintf(block, sizeof block, "%s.%d", w->layers, i);
    int d = c->d_model, qd = c->n_head * c->d_head, kd = c->n_kv * c->d_head;
    l->attn_norm = block_vector(b, block, w->attn_norm, d);
    l->mlp_norm = l->attn_norm ? block_vector(b, block, w->mlp_norm, d) : NULL;
    if (!l->mlp_norm) return false;
    if (c->arch->flags & LB_ARCH_QK_NORM) {
        l->q_norm = block_vector(b, block, w->q_norm, c->d_head);
        l->k_norm = l->q_norm ? block_vector(b, block, w->k_norm, c->d_head) : NULL;
        if (!l->k_norm) return false;
    }
    site in, o, mlp, down;
    if (!bind_site(b, &in, LB_SITE_QKV, i, d) || !bind_site(b, &o, LB_SITE_O, i, qd) ||
        !transform(b, &l->q_rope, LB_SITE_Q_ROPE, i, c->d_head) ||
        !transform(b, &l->k_rope, LB_SITE_K_ROPE, i, c->d_head) || !bind_range(b, l, i, kd))
        return false;
    if (!linear(b, &l->q, block, w->q, qd, d, c->qkv_bias, &in) ||
        !linear(b, &l->k, block, w->k, kd, d, c->qkv_bias, &in) ||
        !linear(b, &l->v, block, w->v, kd, d, c->qkv_bias, &in) || !linear(b, &l->o, block, w->o, d, qd, c->o_bias, &o))
        return false;
    if (lb_config_is_moe_layer(c, i)) return bind_experts(b, l, block, i);
    return bind_site(b, &mlp, LB_SITE_MLP, i, d) && bind_site(b, &down, LB_SITE_DOWN, i, c->d_ff) &&
           linear(b, &l->gate, block, w->gate, c->d_ff, d, c->mlp_bias, &mlp) &&
           linear(b, &l->up, block, w->up, c->d_ff, d, c->mlp_bias, &mlp) &&
           linear(b, &l->down, block, w->down, d, c->d_ff, c->mlp_bias, &down);
}

bool lb_model_rebind(lb_model *m, int layer, const lb_store *over, const lb_ct_config *ct, const lb_online *online,
                     lb_blocks *own, lb_err *err)
{
    binder b = {.m = m, .over = over, .ct = ct, .own = own, .err = err};
    lb_expert *experts = m->layers[layer].experts;
    m->online = *online;
    m->layers[layer] = (lb_layer){.experts = experts};
    return bind_layer(&b, &m->layers[layer], layer);
}

static bool bind(binder *b)
{
    lb_model *m = b->m;
    lb_config *c = &m->cfg;
    const lb_names *w = c->arch->names;
    char name[256];
    snprintf(name, sizeof name, "%s.weight", w->embed);
    if (!matrix(b, &m->embed, name, c->n_vocab, c->d_model)) return false;
    snprintf(name, sizeof name, "%s.weight", w->final_norm);
    m->final_norm = vector(b, name, c->d_model);
    if (!m->final_norm) return false;
    for (int i = 0; i < c->n_layer; i++)
        if (!bind_layer(b, &m->layers[i], i)) return false;
    m->bpw = b->weights > 0 ? b->bits / b->weights : 0;
    snprintf(name, sizeof name, "%s.weight", w->lm_head);
    char packed[256];
    snprintf(packed, sizeof packed, "%s.weight_packed", w->lm_head);
    bool own_head = lb_store_find(m->store, name) || lb_store_find(m->store, packed);
    if (c->tied && !own_head) { /* a head that a file states wins over tying, as it does in transformers' loaders */
        m->lm_head.w = m->embed;
        return true;
    }
    return linear(b, &m->lm_head, "", w->lm_head, c->n_vocab, c->d_model, false, NULL);
}

/* Reads what config.json says of quantization; *ct is NULL if nothing. */
static bool load_quantization(binder *b, lb_ct_config **ct)
{
    char *path = lb_path_join(b->m->dir, "config.json", b->err);
    json_t *o = path ? lb_json_load(path, b->err) : NULL;
    const json_t *q = json_object_get(o, "quantization_config");
    bool ok = o != NULL;
    if (ok && q && !json_is_null(q)) ok = (*ct = lb_ct_config_parse(q, path, b->err)) != NULL;
    ok = ok && lb_online_parse(&b->m->online, o, path, b->err);
    b->ct = *ct;
    json_decref(o);
    free(path);
    return ok;
}

static bool place_inv_freq(binder *b)
{
    lb_model *m = b->m;
    int half = m->cfg.d_head / 2;
    float *f = keep(b, (size_t)half, sizeof *f, "rope");
    if (!f) return false;
    lb_rope_inv_freq(&m->cfg.rope, m->cfg.d_head, f);
    m->inv_freq = lb_exec_place(m->ex, f, (size_t)half * sizeof *f, "rope", b->err);
    return m->inv_freq != NULL;
}

lb_model *lb_model_open(const char *dir, lb_exec *ex, lb_err *err)
{
    lb_model *m = lb_alloc(1, sizeof *m, "a model", err);
    if (!m) return NULL;
    binder b = {.m = m, .own = &m->blocks, .err = err};
    lb_ct_config *ct = NULL;
    m->ex = ex;
    m->dir = strdup(dir);
    bool ok = m->dir || lb_fail_mem(err, strlen(dir), "a path");
    ok = ok && lb_config_load(&m->cfg, dir, err) && load_quantization(&b, &ct) &&
         (m->store = lb_store_open(dir, err)) != NULL &&
         (m->layers = lb_alloc((size_t)m->cfg.n_layer, sizeof *m->layers, "the layers", err)) != NULL && bind(&b) &&
         place_inv_freq(&b) && lb_exec_sync(ex, err);
    lb_ct_config_free(ct);
    if (ok) return m;
    lb_model_close(m);
    return NULL;
}

void lb_model_close(lb_model *m)
{
    if (!m) return;
    for (int i = 0; m->layers && i < m->cfg.n_layer; i++) free(m->layers[i].experts);
    lb_blocks_free(&m->blocks);
    free(m->layers);
    lb_config_free(&m->cfg);
    lb_store_close(m->store);
    free(m->dir);
    free(m);
}

/* ---- the list of linears ---- */

bool lb_config_linears(const lb_config *c, lb_linear_fn fn, void *arg, lb_err *err)
{
    const lb_names *w = c->arch->names;
    int d = c->d_model, qd = c->n_head * c->d_head, kd = c->n_kv * c->d_head;
    char name[512];
    for (int i = 0; i < c->n_layer; i++) {
        const struct {
            const char *name;
            int n, k;
        } attn[] = {{w->q, qd, d}, {w->k, kd, d}, {w->v, kd, d}, {w->o, d, qd}};
        const struct {
            const char *name;
            int n, k;
        } dense[] = {{w->gate, c->d_ff, d}, {w->up, c->d_ff, d}, {w->down, d, c->d_ff}};
        const struct { const char *name; int n, k; } expert[] = {
            {w->expert_gate, c->d_expert, d}, {w->expert_up, c->d_expert, d}, {w->expert_down, d, c->d_expert}};
        for (int j = 0; j < 4; j++) {
            snprintf(name, sizeof name, "%s.%d.%s", w->layers, i, attn[j].name);
            if (!fn(arg, name, i, attn[j].n, attn[j].k, err)) return false;
        }
        bool moe = lb_config_is_moe_layer(c, i);
        for (int j = 0; j < 3 && !moe; j++) {
            snprintf(name, sizeof name, "%s.%d.%s", w->layers, i, dense[j].name);
            if (!fn(arg, name, i, dense[j].n, dense[j].k, err)) return false;
        }
        for (int e = 0; moe && e < c->n_expert; e++) {
            for (int j = 0; j < 3; j++) {
                snprintf(name, sizeof name, "%s.%d.%s.%d.%s", w->layers, i, w->experts, e, expert[j].name);
                if (!fn(arg, name, i, expert[j].n, expert[j].k, err)) return false;
            }
        }
    }
    return true;
}
