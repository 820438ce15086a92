/* model/model_grad_load.c – the tensors of a whole model: which there are, from a folder, or drawn anew. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/model_grad_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which tensors there are ---- */
typedef enum role { EMBED, FINAL_NORM, HEAD, ATTN_NORM, MLP_NORM, Q_NORM, K_NORM, WEIGHT, BIAS, ROUTER, EXPERT } role;

typedef struct item {
    role what;
    int layer, expert;               /* −1: none */
    lb_block_linear linear;          /* of WEIGHT, BIAS, EXPERT */
    int n, k;
    unsigned kind;
    const char *module;              /* within the layer (or expert) if there is one */
    lb_param **slot;
} item;

typedef bool (*item_fn)(void *arg, const item *it, lb_err *err);

typedef struct walk {
    lb_model_grad *m;
    item_fn fn;
    void *arg;
    lb_err *err;
    int layer;
} walk;

static bool say(const walk *w, role what, const char *module, unsigned kind, int n, int k, lb_param **slot)
{
    item it = {.what = what, .layer = w->layer, .expert = -1, .n = n, .k = k, .kind = kind, .module = module, .slot = slot};
    return w->fn(w->arg, &it, w->err);
}

static bool say_linear(const walk *w, lb_block_linear which, const char *module, bool bias)
{
    lb_block_grad *b = &w->m->layers[w->layer].b;
    item it = {.what = WEIGHT, .layer = w->layer, .expert = -1, .linear = which, .kind = LB_TRAIN_LINEARS, .module = module,
               .slot = &b->params[which]};
    lb_block_shape(w->m->cfg, which, &it.n, &it.k);
    if (!w->fn(w->arg, &it, w->err)) return false;
    it.what = BIAS, it.kind = LB_TRAIN_BIASES, it.k = it.n, it.n = 1, it.slot = &b->bias[which];
    return !bias || w->fn(w->arg, &it, w->err);
}

static bool say_experts(const walk *w)
{
    const lb_config *c = w->m->cfg;
    const lb_names *t = c->arch->names;
    lb_grad_layer *l = &w->m->layers[w->layer];
    if (!say(w, ROUTER, t->router, LB_TRAIN_ROUTERS, c->n_expert, c->d_model, &l->b.router)) return false;
    const char *const module[3] = {t->expert_gate, t->expert_up, t->expert_down};
    for (int e = 0; e < c->n_expert; e++)
        for (int i = 0; i < 3; i++) {
            bool down = i == 2;
            item it = {.what = EXPERT, .layer = w->layer, .expert = e, .linear = LB_BLOCK_GATE + i,
                       .n = down ? c->d_model : c->d_expert, .k = down ? c->d_expert : c->d_model,
                       .kind = LB_TRAIN_LINEARS, .module = module[i], .slot = &l->experts[e][i]};
            if (!w->fn(w->arg, &it, w->err)) return false;
        }
    return true;
}

static bool say_layer(const walk *w)
{
    const lb_config *c = w->m->cfg;
    const lb_names *t = c->arch->names;
    lb_block_grad *b = &w->m->layers[w->layer].b;
    bool norms = c->arch->flags & LB_ARCH_QK_NORM;
    if (!say(w, ATTN_NORM, t->attn_norm, LB_TRAIN_NORMS, 1, c->d_model, &b->attn_norm) ||
        !say_linear(w, LB_BLOCK_Q, t->q, c->qkv_bias) || !say_linear(w, LB_BLOCK_K, t->k, c->qkv_bias) ||
        !say_linear(w, LB_BLOCK_V, t->v, c->qkv_bias) || !say_linear(w, LB_BLOCK_O, t->o, c->o_bias) ||
        (norms && !say(w, Q_NORM, t->q_norm, LB_TRAIN_NORMS, 1, c->d_head, &b->q_norm)) ||
        (norms && !say(w, K_NORM, t->k_norm, LB_TRAIN_NORMS, 1, c->d_head, &b->k_norm)) ||
        !say(w, MLP_NORM, t->mlp_norm, LB_TRAIN_NORMS, 1, c->d_model, &b->mlp_norm))
        return false;
    if (lb_config_is_moe_layer(c, w->layer)) return say_experts(w);
    return say_linear(w, LB_BLOCK_GATE, t->gate, c->mlp_bias) && say_linear(w, LB_BLOCK_UP, t->up, c->mlp_bias) &&
           say_linear(w, LB_BLOCK_DOWN, t->down, c->mlp_bias);
}

/* Calls fn for every tensor in order. */
static bool each(lb_model_grad *m, item_fn fn, void *arg, lb_err *err)
{
    const lb_config *c = m->cfg;
    const lb_names *t = c->arch->names;
    walk w = {.m = m, .fn = fn, .arg = arg, .err = err, .layer = -1};
    if (!say(&w, EMBED, t->embed, LB_TRAIN_EMBED, c->n_vocab, c->d_model, &m->embed)) return false;
    for (w.layer = 0; w.layer < c->n_layer; w.layer++)
        if (!say_layer(&w)) return false;
    w.layer = -1;
    return say(&w, FINAL_NORM, t->final_norm, LB_TRAIN_NORMS, 1, c->d_model, &m->final_norm) &&
           (m->tied || say(&w, HEAD, t->lm_head, LB_TRAIN_HEAD, c->n_vocab, c->d_model, &m->head));
}

/* ---- building ---- */
static bool count(void *arg, const item *it, lb_err *err)
{
    (void)it, (void)err;
    ++*(size_t *)arg;
    return true;
}

static char *name_of(const lb_model_grad *m, const item *it, lb_err *err)
{
    const lb_names *t = m->cfg->arch->names;
    char name[512];
    const char *end = it->what == BIAS ? "bias" : "weight";
    if (it->expert >= 0)
        snprintf(name, sizeof name, "%s.%d.%s.%d.%s.%s", t->layers, it->layer, t->experts, it->expert, it->module, end);
    else if (it->layer >= 0) snprintf(name, sizeof name, "%s.%d.%s.%s", t->layers, it->layer, it->module, end);
    else snprintf(name, sizeof name, "%s.%s", it->module, end);
    size_t n = strlen(name) + 1;
    char *out = lb_alloc(n, 1, "a tensor's name", err);
    return out ? memcpy(out, name, n) : NULL;
}

/* Addresses that nothing may touch. */
static float *no_memory(void) { return (float *)(uintptr_t)4096; }

static bool place(lb_model_grad *m, lb_param *p, const item *it, const char *name, lb_err *err)
{
    bool trained = m->opt.train & it->kind;
    if (m->dry) {
        *p = (lb_param){.v = no_memory(), .d = trained ? no_memory() : NULL, .n = it->n, .k = it->k};
        return true;
    }
    if (trained) return lb_param_init(p, m->ex, it->n, it->k, name, err);
    size_t n = 0;
    lb_size_mul((size_t)it->n, (size_t)it->k, &n);
    *p = (lb_param){.n = it->n, .k = it->k, .v = lb_exec_alloc(m->ex, n, sizeof(float), name, err)};
    return p->v != NULL;
}

typedef struct adding {
    lb_model_grad *m;
    size_t n;
} adding;

static bool add(void *arg, const item *it, lb_err *err)
{
    adding *a = arg;
    lb_model_grad *m = a->m;
    lb_param *p = &m->params[a->n];
    char *name = name_of(m, it, err);
    if (!name) return false;
    m->tensors[a->n] = (lb_model_tensor){.name = name, .p = p, .layer = it->layer, .kind = it->kind, .vector = it->n == 1};
    *it->slot = p;
    a->n++;
    return place(m, p, it, name, err);
}

bool lb_model_grad_build(lb_model_grad *m, lb_err *err)
{
    const lb_config *c = m->cfg;
    size_t n = 0, half = (size_t)c->d_head / 2;
    if (!(m->layers = lb_alloc((size_t)c->n_layer, sizeof *m->layers, "the layers", err))) return false;
    for (int i = 0; i < c->n_layer; i++) {
        lb_grad_layer *l = &m->layers[i];
        if (!lb_config_is_moe_layer(c, i)) continue;
        if (!(l->experts = lb_alloc((size_t)c->n_expert, sizeof *l->experts, "the experts", err))) return false;
    }
    each(m, count, &n, err);
    float *inv_freq = lb_alloc(half, sizeof *inv_freq, "rope", err);
    m->inv_freq = inv_freq ? lb_exec_alloc(m->ex, half, sizeof *inv_freq, "rope", err) : NULL;
    if (m->inv_freq) {
        lb_rope_inv_freq(&c->rope, c->d_head, inv_freq);
        lb_exec_put(m->ex, m->inv_freq, inv_freq, half * sizeof *inv_freq);
    }
    free(inv_freq);
    m->n_tensor = n;
    if (!m->inv_freq || !(m->tensors = lb_alloc(n, sizeof *m->tensors, "the tensors", err)) ||
        !(m->params = lb_alloc(n, sizeof *m->params, "the tensors", err)))
        return false;
    for (int i = 0; i < c->n_layer; i++) {
        lb_grad_layer *l = &m->layers[i];
        l->m = m;
        l->b = (lb_block_grad){.cfg = c, .inv_freq = m->inv_freq, .experts = (lb_param *const (*)[3])l->experts};
    }
    adding a = {.m = m};
    if (!each(m, add, &a, err)) return false;
    if (m->tied) m->head = m->embed;
    m->head_linear = (lb_linear){.w = {.num = lb_num_of_dtype(LB_F32), .n = c->n_vocab, .k = c->d_model, .data = m->head->v,
                                       .tensor_scale = 1}};
    m->g = m->dry ? lb_grad_open_dry(m->ex, err) : lb_grad_open(m->ex, m->opt.max_bytes, err);
    if (m->g) lb_grad_compute(m->g, m->opt.compute);
    return m->g != NULL;
}

void lb_model_grad_close(lb_model_grad *m)
{
    if (!m) return;
    for (size_t i = 0; i < m->n_tensor; i++) {
        if (m->tensors) free((char *)(uintptr_t)m->tensors[i].name);
        if (m->params && !m->dry) lb_param_free(&m->params[i], m->ex);
    }
    for (int i = 0; m->layers && i < m->cfg->n_layer; i++) free(m->layers[i].experts);
    free(m->tensors);
    free(m->params);
    free(m->layers);
    free(m->begin);
    lb_exec_free(m->ex, m->inv_freq);
    lb_exec_free(m->ex, m->rows);
    lb_vocab_close(m->vocab);
    lb_grad_close(m->g);
    lb_config_free(&m->own_cfg);
    free(m);
}

/* Everything but the weights' values; cfg NULL: m->own_cfg is read from dir. */
static lb_model_grad *make(const char *dir, const lb_config *cfg, bool tied, bool dry, lb_exec *ex,
                           const lb_model_grad_opt *opt, lb_err *err)
{
    static const lb_model_grad_opt none;
    lb_model_grad *m = lb_alloc(1, sizeof *m, "a model to train", err);
    if (!m) return NULL;
    m->ex = ex, m->opt = opt ? *opt : none, m->tied = tied, m->dry = dry, m->cfg = cfg ? cfg : &m->own_cfg;
    if ((cfg || lb_config_load(&m->own_cfg, dir, err)) && lb_model_grad_build(m, err)) return m;
    lb_model_grad_close(m);
    return NULL;
}

lb_model_grad *lb_model_grad_dry(const lb_config *cfg, lb_exec *ex, const lb_model_grad_opt *opt, lb_err *err)
{
    return make(NULL, cfg, cfg->tied, true, ex, opt, err);
}

/* ---- from a folder ---- */
typedef struct source {
    lb_model_grad *m;
    const lb_model *from;
} source;

static bool plain(const lb_linear *l, lb_err *err)
{
    if (l->in) return lb_fail(err, LB_EUNSUPPORTED, "it has an online transform: train the float model it was made from");
    return l->act.kind == LB_ACT_NONE ||
           lb_fail(err, LB_EUNSUPPORTED, "its activations are quantized: train the float model it was made from");
}

static const lb_linear *linear_of(const lb_layer *l, const item *it)
{
    const lb_linear *const dense[LB_BLOCK_LINEARS] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
    if (it->what == ROUTER) return &l->router;
    if (it->what != EXPERT) return dense[it->linear];
    const lb_expert *e = &l->experts[it->expert];
    return it->linear == LB_BLOCK_GATE ? &e->gate : it->linear == LB_BLOCK_UP ? &e->up : &e->down;
}

static bool matrix_into(const source *s, const lb_linear *l, lb_param *p, lb_err *err)
{
    return plain(l, err) && lb_mat_floats(s->m->ex, &l->w, p->v, err);
}

static bool vector_into(const source *s, const float *v, const lb_param *p, lb_err *err)
{
    return lb_floats_copy(s->m->ex, v, (size_t)p->n * (size_t)p->k, p->v, err);
}

static bool load(void *arg, const item *it, lb_err *err)
{
    const source *s = arg;
    const lb_model *f = s->from;
    const lb_layer *l = it->layer >= 0 ? &f->layers[it->layer] : NULL;
    lb_param *p = *it->slot;
    switch (it->what) {
    case EMBED: return lb_mat_floats(s->m->ex, &f->embed, p->v, err);
    case HEAD: return matrix_into(s, &f->lm_head, p, err);
    case FINAL_NORM: return vector_into(s, f->final_norm, p, err);
    case ATTN_NORM: return vector_into(s, l->attn_norm, p, err);
    case MLP_NORM: return vector_into(s, l->mlp_norm, p, err);
    case Q_NORM: return vector_into(s, l->q_norm, p, err);
    case K_NORM: return vector_into(s, l->k_norm, p, err);
    case BIAS: return vector_into(s, linear_of(l, it)->bias, p, err);
    case WEIGHT: case ROUTER: case EXPERT: break;
    }
    return matrix_into(s, linear_of(l, it), p, err) || lb_wrap(err, "layer %d, %s", it->layer, it->module);
}

lb_model_grad *lb_model_grad_open(const char *dir, lb_exec *ex, const lb_model_grad_opt *opt, lb_err *err)
{
    lb_model *from = lb_model_open(dir, ex, err);
    if (!from) return NULL;
    lb_model_grad *m = NULL;
    for (int i = 0; i < from->cfg.n_layer; i++)
        if (from->layers[i].q_rope || from->layers[i].k_rope) {
            lb_fail(err, LB_EUNSUPPORTED,
                    "%s: layer %d transforms its keys online: train the float model it was made from", dir, i);
            goto done;
        }
    m = make(dir, NULL, from->lm_head.w.data == from->embed.data, false, ex, opt, err);
    source s = {m, from};
    if (m && !each(m, load, &s, err)) {
        lb_wrap(err, "%s", dir);
        lb_model_grad_close(m);
        m = NULL;
    }
done:
    lb_model_close(from);
    return m;
}

/* ---- drawn anew ---- */
typedef struct drawing {
    lb_exec *ex;
    uint64_t seed;
    float std;
    const lb_model_tensor *next;     /* of the item at hand */
} drawing;

typedef struct normal {
    lb_rng_key key;
    float *v, std;
    size_t n;
} normal;

enum { PIECE = 4096 };

static void draw_pieces(void *arg, int begin, int end)
{
    const normal *d = arg;
    size_t to = (size_t)end * PIECE < d->n ? (size_t)end * PIECE : d->n;
    for (size_t i = (size_t)begin * PIECE; i < to; i++) d->v[i] = d->std * lb_rng_normal(d->key, i);
}

static bool draw(void *arg, const item *it, lb_err *err)
{
    drawing *d = arg;
    const lb_model_tensor *t = d->next++;
    size_t n = (size_t)it->n * (size_t)it->k;
    float *v = lb_alloc(n, sizeof *v, "drawn weights", err);
    if (!v) return false;
    if (it->kind == LB_TRAIN_NORMS) {
        for (size_t i = 0; i < n; i++) v[i] = 1;
    } else if (it->what != BIAS) {
        normal job = {lb_rng_key_of(d->seed, lb_hash_of(t->name, strlen(t->name)).lo, 0), v, d->std, n};
        lb_parallel(d->ex, (int)((n + PIECE - 1) / PIECE), 1, draw_pieces, &job);
    }
    lb_exec_put(d->ex, t->p->v, v, n * sizeof *v);
    free(v);
    return true;
}

lb_model_grad *lb_model_grad_new(const lb_config *cfg, lb_exec *ex, const lb_model_grad_opt *opt, uint64_t seed, float std,
                                 lb_err *err)
{
    lb_model_grad *m = make(NULL, cfg, cfg->tied, false, ex, opt, err);
    drawing d = {.ex = ex, .seed = seed, .std = std != 0 ? std : 0.02f, .next = m ? m->tensors : NULL};
    if (!m || each(m, draw, &d, err)) return m;
    lb_model_grad_close(m);
    return NULL;
}
