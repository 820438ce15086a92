/* model/block_grad.c – one transformer block on the tape. */
#include "model/block_grad.h"
#include "base/mem.h"
#include "model/grad_node.h"
#include <stdlib.h>
#include <string.h>

void lb_block_shape(const lb_config *c, lb_block_linear which, int *n, int *k)
{
    int q = c->n_head * c->d_head, kv = c->n_kv * c->d_head;
    const int rows[LB_BLOCK_LINEARS] = {q, kv, kv, c->d_model, c->d_ff, c->d_ff, c->d_model};
    *n = rows[which];
    *k = which == LB_BLOCK_O ? q : which == LB_BLOCK_DOWN ? c->d_ff : c->d_model;
}

/* ---- weights ---- */
bool lb_floats_copy(lb_exec *ex, const float *from, size_t n, float *out, lb_err *err)
{
    float *host = lb_alloc(n, sizeof *host, "weights", err);
    if (!host) return false;
    lb_exec_get(ex, host, from, n * sizeof *host);
    lb_exec_put(ex, out, host, n * sizeof *host);
    free(host);
    return true;
}

bool lb_mat_floats(lb_exec *ex, const lb_mat *m, float *out, lb_err *err)
{
    size_t bytes = m->num->size(m);
    char *packed = lb_alloc(bytes, 1, "weights", err);
    float *row = packed ? lb_alloc((size_t)m->k, sizeof *row, "weights", err) : NULL;
    lb_mat host = *m;
    host.data = packed;
    if (row) lb_exec_get(ex, packed, m->data, bytes);
    for (int r = 0; row && r < m->n; r++) {
        host.num->decode(&host, r, 0, m->k, row);
        lb_exec_put(ex, out + (size_t)r * (size_t)m->k, row, (size_t)m->k * sizeof *row);
    }
    free(packed);
    free(row);
    return row != NULL;
}

static float *copy_of(lb_exec *ex, const float *from, size_t n, lb_err *err)
{
    float *p = lb_exec_alloc(ex, n, sizeof *p, "weights of a block", err);
    if (p && lb_floats_copy(ex, from, n, p, err)) return p;
    lb_exec_free(ex, p);
    return NULL;
}

static float *matrix_of(lb_exec *ex, const lb_mat *m, lb_err *err)
{
    float *p = lb_exec_alloc(ex, (size_t)m->n * (size_t)m->k, sizeof *p, "weights of a block", err);
    if (p && lb_mat_floats(ex, m, p, err)) return p;
    lb_exec_free(ex, p);
    return NULL;
}

bool lb_block_weights_load(lb_block_weights *b, const lb_model *m, int layer, lb_err *err)
{
    const lb_config *c = &m->cfg;
    *b = (lb_block_weights){0};
    if (layer < 0 || layer >= c->n_layer)
        return lb_fail(err, LB_EUSAGE, "there is no layer %d: the model has %d", layer, c->n_layer);
    const lb_layer *l = &m->layers[layer];
    if (l->experts)
        return lb_fail(err, LB_EUNSUPPORTED, "layer %d has experts: only model/model_grad.h trains those", layer);
    const lb_linear *all[LB_BLOCK_LINEARS] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        if (!(b->w[i] = matrix_of(m->ex, &all[i]->w, err))) goto fail;
        if (all[i]->bias && !(b->bias[i] = copy_of(m->ex, all[i]->bias, (size_t)all[i]->w.n, err))) goto fail;
    }
    size_t d = (size_t)c->d_model, dh = (size_t)c->d_head;
    if (!(b->attn_norm = copy_of(m->ex, l->attn_norm, d, err)) ||
        !(b->mlp_norm = copy_of(m->ex, l->mlp_norm, d, err)) ||
        (l->q_norm && !(b->q_norm = copy_of(m->ex, l->q_norm, dh, err))) ||
        (l->k_norm && !(b->k_norm = copy_of(m->ex, l->k_norm, dh, err))))
        goto fail;
    return true;
fail:
    lb_block_weights_free(b, m->ex);
    return false;
}

void lb_block_weights_free(lb_block_weights *b, lb_exec *ex)
{
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        lb_exec_free(ex, b->w[i]);
        lb_exec_free(ex, b->bias[i]);
    }
    lb_exec_free(ex, b->attn_norm);
    lb_exec_free(ex, b->mlp_norm);
    lb_exec_free(ex, b->q_norm);
    lb_exec_free(ex, b->k_norm);
    *b = (lb_block_weights){0};
}

/* ---- the block ---- */
typedef struct pass {
    const lb_block_grad *b;
    lb_grad *g;
    const lb_block_hooks *hooks;
} pass;
static const lb_block_weights no_weights;

static lb_var *input(const pass *p, lb_block_input which, lb_var *x)
{
    return x && p->hooks->input ? p->hooks->input(p->hooks->arg, p->g, which, x) : x;
}

static lb_var *head(const pass *p, lb_block_head which, lb_var *x)
{
    return x && p->hooks->head ? p->hooks->head(p->hooks->arg, p->g, which, x) : x;
}

/* A parameter where there is one, else the constant, else nothing. */
static lb_var *tensor(const pass *p, lb_param *param, const float *v, int n, int k)
{
    return param ? lb_grad_param(p->g, param) : v ? lb_grad_const(p->g, v, n, k) : NULL;
}

static lb_var *linear(const pass *p, lb_block_linear which, lb_var *x)
{
    const lb_block_weights *b = p->b->weights ? p->b->weights : &no_weights;
    int n, k;
    lb_block_shape(p->b->cfg, which, &n, &k);
    lb_var *w = tensor(p, p->b->params[which], b->w[which], n, k);
    lb_var *bias = tensor(p, p->b->bias[which], b->bias[which], 1, n);
    if (w && p->hooks->weight) p->hooks->weight(p->hooks->arg, p->g, which, &w, &bias);
    return lb_grad_linear(p->g, x, w, bias);
}

/* x itself where the model has no such norm. */
static lb_var *norm(const pass *p, lb_var *x, lb_param *param, const float *w, int d)
{
    lb_var *weight = tensor(p, param, w, 1, d);
    return weight ? lb_grad_rmsnorm(p->g, x, weight, p->b->cfg->norm_eps) : x;
}

static lb_var *attention(const pass *p, lb_var *x, const lb_grad_heads *h)
{
    const lb_block_weights *w = p->b->weights ? p->b->weights : &no_weights;
    lb_var *q = linear(p, LB_BLOCK_Q, x), *k = linear(p, LB_BLOCK_K, x), *v = linear(p, LB_BLOCK_V, x);
    q = norm(p, q, p->b->q_norm, w->q_norm, h->d_head);
    k = norm(p, k, p->b->k_norm, w->k_norm, h->d_head);
    q = head(p, LB_BLOCK_HEAD_Q, lb_grad_rope(p->g, q, h));
    k = head(p, LB_BLOCK_HEAD_K, lb_grad_rope(p->g, k, h));
    v = head(p, LB_BLOCK_HEAD_V, v);
    return linear(p, LB_BLOCK_O, input(p, LB_BLOCK_IN_O, lb_grad_attn(p->g, q, k, v, h)));
}

static lb_var *mlp(const pass *p, lb_var *x)
{
    x = input(p, LB_BLOCK_IN_GATE_UP, x);
    lb_var *gate = linear(p, LB_BLOCK_GATE, x), *up = linear(p, LB_BLOCK_UP, x), *act = lb_grad_swiglu(p->g, gate, up);
    return linear(p, LB_BLOCK_DOWN, input(p, LB_BLOCK_IN_DOWN, act));
}

static lb_var *expert_linear(const pass *p, const lb_route *r, lb_block_linear which, lb_var *x)
{
    lb_var **w = r ? lb_node_aux(p->g, (size_t)r->n_expert * sizeof(lb_var *)) : NULL;
    if (!w || !x) return NULL;
    for (int e = 0; e < r->n_expert; e++) {
        w[e] = lb_grad_param(p->g, p->b->experts[e][which - LB_BLOCK_GATE]);
        if (w[e] && p->hooks->expert) p->hooks->expert(p->hooks->arg, p->g, e, which, &w[e]);
        if (!w[e]) return NULL;
    }
    return lb_grad_expert_linear(p->g, x, w, r);
}

static lb_var *experts(const pass *p, lb_var *x)
{
    const lb_config *c = p->b->cfg;
    lb_var *logits = lb_grad_linear(p->g, x, lb_grad_param(p->g, p->b->router), NULL);
    const lb_route *r = lb_grad_route(p->g, logits, c->n_expert_used, c->norm_topk);
    x = input(p, LB_BLOCK_IN_GATE_UP, lb_grad_dispatch(p->g, x, r));
    lb_var *gate = expert_linear(p, r, LB_BLOCK_GATE, x), *up = expert_linear(p, r, LB_BLOCK_UP, x);
    lb_var *act = lb_grad_swiglu(p->g, gate, up);
    return lb_grad_collect(p->g, expert_linear(p, r, LB_BLOCK_DOWN, input(p, LB_BLOCK_IN_DOWN, act)), r);
}

static lb_var *run(const lb_block_grad *b, lb_grad *g, lb_var *x, lb_grad_heads h, const lb_block_hooks *hooks)
{
    static const lb_block_hooks none;
    const lb_config *c = b->cfg;
    const pass p = {b, g, hooks ? hooks : &none};
    const lb_block_weights *w = b->weights ? b->weights : &no_weights;
    h.n_head = c->n_head, h.n_kv = c->n_kv, h.d_head = c->d_head;
    h.inv_freq = b->inv_freq, h.mscale = (float)c->rope.attention_factor;
    lb_var *in = input(&p, LB_BLOCK_IN_QKV, norm(&p, x, b->attn_norm, w->attn_norm, c->d_model));
    lb_var *mid = lb_grad_add(g, x, attention(&p, in, &h));
    in = norm(&p, mid, b->mlp_norm, w->mlp_norm, c->d_model);
    return lb_grad_add(g, mid, b->router ? experts(&p, in) : mlp(&p, in));
}

lb_var *lb_block_grad_run(const lb_block_grad *b, lb_grad *g, lb_var *x, int n_seq, int len,
                          const lb_block_hooks *hooks)
{
    return run(b, g, x, (lb_grad_heads){.n_seq = n_seq, .len = len}, hooks);
}

lb_var *lb_block_grad_packed(const lb_block_grad *b, lb_grad *g, lb_var *x, int n_seq, const int *begin,
                             const lb_block_hooks *hooks)
{
    return run(b, g, x, (lb_grad_heads){.n_seq = n_seq, .begin = begin}, hooks);
}
