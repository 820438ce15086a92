/* model/forward.c – the one forward pass: embedding, blocks in parts, final norm, logits.
 *
 * All activations are f32 on the device. Every operator works token by token (or row by row), so a token's result does
 * not depend on the batch it is in. */
#include "base/mem.h"
#include "kern/elem.h"
#include "model/forward.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct lb_forward {
    lb_model *m;                     /* borrowed */
    int max_tok, max_out;
    /* device memory, owned */
    float *x, *h;                    /* [max_tok, d_model]: residual stream; normed input, then block output */
    float *q, *k, *v, *att;          /* [max_tok, n_head·d_head] and [max_tok, n_kv·d_head] */
    float *gate, *up;                /* [max_tok, d_ff] */
    float *t;                        /* [max_tok, widest input]: transformed rows */
    float *router;                   /* [max_tok, n_expert] */
    float *ex_in, *ex_out;           /* [max_tok, d_model]: the tokens of one expert */
    float *logits;                   /* [max_out, n_vocab] */
    int *ids, *seq, *pos, *rows;     /* [max_tok] */
    float *weight;                   /* [max_tok] */
    /* host memory, owned */
    float *logits_host, *router_host;
    int *rows_host, *choice;         /* [max_tok], [max_tok, n_expert_used] */
    float *weight_host, *choice_weight;
    /* the batch in work, and who watches */
    int n_tok;
    lb_kv *kv;                       /* borrowed */
    lb_tap tap;
};

typedef struct need { void *p; size_t count, elem; bool host; } need;
enum { N_NEED = 22 };

/* Everything lb_forward owns, with sizes: one list for allocating, adding up and freeing. */
static void needs(const lb_config *c, int max_tok, int max_out, lb_forward *f, need n[N_NEED])
{
    size_t t = (size_t)max_tok, o = (size_t)max_out, d = (size_t)c->d_model, e = (size_t)c->n_expert,
           u = (size_t)c->n_expert_used;
    size_t qd = (size_t)c->n_head * (size_t)c->d_head, kd = (size_t)c->n_kv * (size_t)c->d_head;
    size_t ff = (size_t)(c->d_ff > c->d_expert ? c->d_ff : c->d_expert), moe = c->n_expert ? t : 0;
    need list[N_NEED] = {
        {&f->x, t * d, 4, false},
        {&f->h, t * d, 4, false},
        {&f->q, t * qd, 4, false},
        {&f->k, t * kd, 4, false},
        {&f->v, t * kd, 4, false},
        {&f->att, t * qd, 4, false},
        {&f->gate, t * ff, 4, false},
        {&f->up, t * ff, 4, false},
        {&f->t, t * (ff > qd ? (ff > d ? ff : d) : qd > d ? qd : d), 4, false},
        {&f->router, moe * e, 4, false},
        {&f->ex_in, moe * d, 4, false},
        {&f->ex_out, moe * d, 4, false},
        {&f->logits, o, 4 * (size_t)c->n_vocab, false},
        {&f->ids, t, 4, false},
        {&f->seq, t, 4, false},
        {&f->pos, t, 4, false},
        {&f->rows, t, 4, false},
        {&f->weight, moe, 4, false},
        {&f->logits_host, o, 4 * (size_t)c->n_vocab, true},
        {&f->router_host, moe * e + moe, 4, true},
        {&f->rows_host, t, 4, true},
        {&f->choice, moe * u * 2, 4, true},
    };
    memcpy(n, list, sizeof list);
}

size_t lb_forward_bytes(const lb_config *c, int max_tok, int max_out)
{
    lb_forward f;
    need n[N_NEED];
    size_t sum = 0;
    needs(c, max_tok, max_out, &f, n);
    for (int i = 0; i < N_NEED; i++) lb_size_add(sum, lb_arena_need(n[i].count, n[i].elem), &sum);
    return sum;
}

/* The small operators have one shape each: whether this device has them all. */
static bool check_ops(const lb_forward *f, lb_err *err)
{
    const lb_config *c = &f->m->cfg;
    const lb_embed e = {.e = f->m->embed, .n_tok = 1};
    const lb_rmsnorm n = {.n_row = 1, .d = c->d_model};
    const lb_rope r = {.n_tok = 1, .n_head = 1, .d_head = c->d_head};
    const lb_swiglu s = {.n_tok = 1, .d = c->d_ff};
    const lb_add a = {.n_tok = 1, .d = c->d_model};
    const lb_gather g = {.n = 1, .d = c->d_model};
    const lb_scatter t = {.n = 1, .d = c->d_model};
    const struct { const lb_op *op; const void *args;
    } all[] = {{&lb_op_embed, &e}, {&lb_op_rmsnorm, &n}, {&lb_op_rope, &r},   {&lb_op_swiglu, &s},
               {&lb_op_add, &a},   {&lb_op_gather, &g},  {&lb_op_scatter, &t}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!lb_op_pick(all[i].op, f->m->ex, all[i].args))
            return lb_fail(err, LB_EUNSUPPORTED, "no %s kernel for this model on %s", all[i].op->name,
                           lb_exec_name(f->m->ex));
    return true;
}

static bool check_layer(const lb_forward *f, int layer, size_t *scratch, lb_err *err)
{
    const lb_model *m = f->m;
    const lb_layer *l = &m->layers[layer];
    const lb_linear *all[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down, &l->router};
    int t = f->max_tok;
    for (size_t j = 0; j < sizeof all / sizeof *all; j++)
        if (all[j]->w.num && !lb_linear_check(all[j], "a linear layer", t, m->ex, scratch, err))
            return lb_wrap(err, "layer %d", layer);
    for (int e = 0; l->experts && e < m->cfg.n_expert; e++) {
        const lb_expert *x = &l->experts[e];
        if (!lb_linear_check(&x->gate, "gate_proj", t, m->ex, scratch, err) ||
            !lb_linear_check(&x->up, "up_proj", t, m->ex, scratch, err) ||
            !lb_linear_check(&x->down, "down_proj", t, m->ex, scratch, err))
            return lb_wrap(err, "layer %d, expert %d", layer, e);
    }
    return true;
}

bool lb_forward_replaced(lb_forward *f, int layer, lb_err *err)
{
    size_t scratch = 0;
    return check_layer(f, layer, &scratch, err) && lb_exec_reserve(f->m->ex, scratch, err);
}

static bool check_linears(lb_forward *f, lb_err *err)
{
    lb_model *m = f->m;
    size_t scratch = 0;
    for (int i = 0; i < m->cfg.n_layer; i++)
        if (!check_layer(f, i, &scratch, err)) return false;
    return lb_linear_check(&m->lm_head, "lm_head", f->max_out, m->ex, &scratch, err) &&
           lb_exec_reserve(m->ex, scratch, err);
}

lb_forward *lb_forward_open(lb_model *m, int max_tok, int max_out, lb_err *err)
{
    lb_forward *f = lb_alloc(1, sizeof *f, "the forward pass", err);
    if (!f) return NULL;
    f->m = m, f->max_tok = max_tok, f->max_out = max_out;
    need n[N_NEED];
    needs(&m->cfg, max_tok, max_out, f, n);
    for (int i = 0; i < N_NEED; i++) {
        void *p = n[i].host ? lb_alloc(n[i].count, n[i].elem, "activations", err)
                            : lb_exec_alloc(m->ex, n[i].count, n[i].elem, "activations", err);
        if (!p) goto fail;
        memcpy(n[i].p, &p, sizeof p);
    }
    f->weight_host = f->router_host + (m->cfg.n_expert ? (size_t)max_tok * (size_t)m->cfg.n_expert : 0);
    f->choice_weight = (float *)f->choice + (m->cfg.n_expert ? (size_t)max_tok * (size_t)m->cfg.n_expert_used : 0);
    if (check_ops(f, err) && check_linears(f, err)) return f;
fail:
    lb_forward_close(f);
    return NULL;
}

void lb_forward_close(lb_forward *f)
{
    if (!f) return;
    need n[N_NEED];
    needs(&f->m->cfg, f->max_tok, f->max_out, f, n);
    for (int i = 0; i < N_NEED; i++) {
        void *p;
        memcpy(&p, n[i].p, sizeof p);
        if (n[i].host) free(p);
        else lb_exec_free(f->m->ex, p);
    }
    free(f);
}

/* ---- steps ---- */

static void norm(lb_exec *ex, float *y, const float *x, const float *w, int n_row, int d, float eps)
{
    lb_rmsnorm a = {.y = y, .x = x, .w = w, .n_row = n_row, .d = d, .eps = eps};
    lb_op_do(&lb_op_rmsnorm, &a, ex);
}

static void add(lb_exec *ex, float *x, const float *y, int n_tok, int d)
{
    lb_add a = {.x = x, .y = y, .n_tok = n_tok, .d = d};
    lb_op_do(&lb_op_add, &a, ex);
}

static void rope(const lb_forward *f, float *x, int n_head, int n_tok)
{
    const lb_config *c = &f->m->cfg;
    lb_rope a = {.x = x,
                 .pos = f->pos,
                 .inv_freq = f->m->inv_freq,
                 .n_tok = n_tok,
                 .n_head = n_head,
                 .d_head = c->d_head,
                 .mscale = (float)c->rope.attention_factor};
    lb_op_do(&lb_op_rope, &a, f->m->ex);
}

/* What l reads for rows x: after its transform. `before` (or NULL) is a linear that has just read x as `done`. */
static const float *input(lb_forward *f, const lb_linear *l, const float *x, int n_tok, const lb_linear *before,
                          const float *done)
{
    return before && before->in == l->in ? done : lb_linear_input(l, x, n_tok, f->t, f->m->ex);
}

/* Rows of heads through a transform, in place. */
static void turn(lb_forward *f, const lb_transform *t, float *x, int n_row)
{
    if (!t) return;
    lb_transform_args a = {.y = x, .x = x, .t = *t, .n_row = n_row};
    lb_op_do(&lb_op_transform, &a, f->m->ex);
}

/* y = Q(x)·Wᵀ + b of rows that are transformed already. */
static void linear(lb_forward *f, const lb_linear *l, float *y, const float *x, int n_tok)
{
    if (f->tap.fn) f->tap.fn(f->tap.arg, l, x, n_tok);
    lb_linear_run(l, y, l->w.n, x, n_tok, f->m->ex);
}

/* k = keys of x, without their bias where the cache adds it when they are read. */
static void keys(lb_forward *f, const lb_layer *l, const float *x, int n_tok)
{
    if (!f->kv->spec.pre_bias) {
        linear(f, &l->k, f->k, x, n_tok);
        return;
    }
    if (f->tap.fn) f->tap.fn(f->tap.arg, &l->k, x, n_tok);
    lb_linear bare = l->k;
    bare.bias = NULL;
    lb_linear_run(&bare, f->k, bare.w.n, x, n_tok, f->m->ex);
}

/* att = softmax(q·kᵀ)·v of the normed h. */
static void attention(lb_forward *f, int layer)
{
    const lb_layer *l = &f->m->layers[layer];
    lb_exec *ex = f->m->ex;
    const lb_config *c = &f->m->cfg;
    lb_kv *kv = f->kv;
    int n_tok = f->n_tok;
    const float *x = input(f, &l->q, f->h, n_tok, NULL, NULL);
    linear(f, &l->q, f->q, x, n_tok);
    x = input(f, &l->k, f->h, n_tok, &l->q, x);
    keys(f, l, x, n_tok);
    linear(f, &l->v, f->v, input(f, &l->v, f->h, n_tok, &l->k, x), n_tok);
    if (l->q_norm) norm(ex, f->q, f->q, l->q_norm, n_tok * c->n_head, c->d_head, c->norm_eps);
    if (l->k_norm) norm(ex, f->k, f->k, l->k_norm, n_tok * c->n_kv, c->d_head, c->norm_eps);
    rope(f, f->q, c->n_head, n_tok);
    if (!kv->spec.pre_rope) rope(f, f->k, c->n_kv, n_tok);
    turn(f, l->q_rope, f->q, n_tok * c->n_head);
    turn(f, l->k_rope, f->k, n_tok * c->n_kv);
    if (kv->turn.kind != LB_TRANSFORM_NONE) {
        turn(f, &kv->turn, f->q, n_tok * c->n_head);
        turn(f, &kv->turn, f->k, n_tok * c->n_kv);
    }
    lb_kv_layer cache = kv->layers[layer];
    if (kv->spec.pre_bias) cache.k_bias = l->k.bias;
    lb_kv_map map = {.pages = kv->pages_dev, .max_pages = kv->max_pages, .seq = f->seq, .pos = f->pos};
    lb_kv_write w = {.kv = cache, .map = map, .k = f->k, .v = f->v, .n_tok = n_tok};
    lb_op_do(&lb_op_kv_write, &w, ex);
    lb_attn a = {.y = f->att, .q = f->q, .kv = cache, .map = map, .n_tok = n_tok, .n_head = c->n_head,
                 .scale = 1.0f / sqrtf((float)c->d_head)};
    lb_op_do(&lb_op_attn, &a, ex);
}

/* gate = silu(gate(x)) · up(x) */
static void activate(lb_forward *f, const lb_linear *gate, const lb_linear *up, const float *x, int n_tok)
{
    const float *in = input(f, gate, x, n_tok, NULL, NULL);
    linear(f, gate, f->gate, in, n_tok);
    linear(f, up, f->up, input(f, up, x, n_tok, gate, in), n_tok);
    lb_swiglu a = {.y = f->gate, .gate = f->gate, .up = f->up, .n_tok = n_tok, .d = gate->w.n};
    lb_op_do(&lb_op_swiglu, &a, f->m->ex);
}

/* Softmax over the experts, the n_expert_used largest (ties: lower number), their weights summing to 1 if norm_topk. */
static void choose(const lb_config *c, const float *logits, int *choice, float *weight)
{
    double top = -INFINITY, all = 0, kept = 0;
    for (int e = 0; e < c->n_expert; e++) top = fmax(top, (double)logits[e]);
    for (int e = 0; e < c->n_expert; e++) all += exp((double)logits[e] - top);
    for (int u = 0; u < c->n_expert_used; u++) {
        int best = -1;
        for (int e = 0; e < c->n_expert; e++) {
            bool taken = false;
            for (int j = 0; j < u; j++) taken |= choice[j] == e;
            if (!taken && (best < 0 || logits[e] > logits[best])) best = e;
        }
        choice[u] = best;
        weight[u] = (float)(exp((double)logits[best] - top) / all);
        kept += (double)weight[u];
    }
    if (c->norm_topk)
        for (int u = 0; u < c->n_expert_used; u++) weight[u] = (float)((double)weight[u] / kept);
}

/* x += sum over the chosen experts of weight · expert(h), added in order of expert number for every token. */
static void experts(lb_forward *f, const lb_layer *l)
{
    lb_exec *ex = f->m->ex;
    int n_tok = f->n_tok;
    const lb_config *c = &f->m->cfg;
    int used = c->n_expert_used;
    linear(f, &l->router, f->router, f->h, n_tok);
    lb_exec_get(ex, f->router_host, f->router, (size_t)n_tok * (size_t)c->n_expert * sizeof(float));
    for (int t = 0; t < n_tok; t++)
        choose(c, f->router_host + (size_t)t * (size_t)c->n_expert, f->choice + t * used, f->choice_weight + t * used);
    for (int e = 0; e < c->n_expert; e++) {
        int n = 0;
        for (int i = 0; i < n_tok * used; i++) {
            if (f->choice[i] != e) continue;
            f->rows_host[n] = i / used;
            f->weight_host[n++] = f->choice_weight[i];
        }
        if (n == 0) continue;
        lb_exec_put(ex, f->rows, f->rows_host, (size_t)n * sizeof(int));
        lb_exec_put(ex, f->weight, f->weight_host, (size_t)n * sizeof(float));
        lb_gather g = {.y = f->ex_in, .x = f->h, .rows = f->rows, .n = n, .d = c->d_model};
        lb_op_do(&lb_op_gather, &g, ex);
        activate(f, &l->experts[e].gate, &l->experts[e].up, f->ex_in, n);
        const lb_linear *down = &l->experts[e].down;
        linear(f, down, f->ex_out, input(f, down, f->gate, n, NULL, NULL), n);
        lb_scatter s = {.y = f->x, .x = f->ex_out, .rows = f->rows, .weight = f->weight, .n = n, .d = c->d_model};
        lb_op_do(&lb_op_scatter, &s, ex);
    }
}

/* A window serves so many tokens of a sequence at once. */
static bool chunks_fit(const lb_kv *kv, const lb_batch *b)
{
    for (int i = 1, n = 1; i < b->n_tok; i++) {
        n = b->seq[i] == b->seq[i - 1] ? n + 1 : 1;
        if (n > kv->n_chunk) return false;
    }
    return true;
}

void lb_forward_start(lb_forward *f, lb_kv *kv, const lb_batch *b)
{
    lb_exec *ex = f->m->ex;
    assert(b->n_tok <= f->max_tok && b->n_out <= f->max_out && chunks_fit(kv, b));
    f->n_tok = b->n_tok, f->kv = kv;
    size_t bytes = (size_t)b->n_tok * sizeof(int);
    lb_kv_upload(kv);
    lb_exec_put(ex, f->ids, b->ids, bytes);
    lb_exec_put(ex, f->seq, b->seq, bytes);
    lb_exec_put(ex, f->pos, b->pos, bytes);
    lb_embed e = {.y = f->x, .e = f->m->embed, .ids = f->ids, .n_tok = b->n_tok};
    lb_op_do(&lb_op_embed, &e, ex);
}

void lb_forward_part(lb_forward *f, int layer, lb_part part)
{
    const lb_layer *l = &f->m->layers[layer];
    const lb_config *c = &f->m->cfg;
    lb_exec *ex = f->m->ex;
    int n = f->n_tok, d = c->d_model;
    switch (part) {
    case LB_PART_ATTN_IN: norm(ex, f->h, f->x, l->attn_norm, n, d, c->norm_eps); break;
    case LB_PART_ATTN: attention(f, layer); break;
    case LB_PART_O:
        linear(f, &l->o, f->h, input(f, &l->o, f->att, n, NULL, NULL), n);
        add(ex, f->x, f->h, n, d);
        break;
    case LB_PART_MLP_IN: norm(ex, f->h, f->x, l->mlp_norm, n, d, c->norm_eps); break;
    case LB_PART_ACT:
        if (!l->experts) activate(f, &l->gate, &l->up, f->h, n);
        break;
    case LB_PART_DOWN:
        if (l->experts) {
            experts(f, l);
        } else {
            linear(f, &l->down, f->h, input(f, &l->down, f->gate, n, NULL, NULL), n);
            add(ex, f->x, f->h, n, d);
        }
        break;
    case LB_N_PART: break;
    }
}

float *lb_forward_rows(lb_forward *f, lb_rows which, int *width)
{
    const lb_config *c = &f->m->cfg;
    switch (which) {
    case LB_ROWS_X: *width = c->d_model; return f->x;
    case LB_ROWS_H: *width = c->d_model; return f->h;
    case LB_ROWS_K: *width = c->n_kv * c->d_head; return f->k;
    case LB_ROWS_ATT: *width = c->n_head * c->d_head; return f->att;
    case LB_ROWS_ACT: *width = c->d_ff; return f->gate;
    }
    return NULL;
}

void lb_forward_tap(lb_forward *f, lb_tap tap) { f->tap = tap; }

bool lb_forward_head(lb_forward *f, const int *rows, int n, const float **logits, lb_err *err)
{
    lb_model *m = f->m;
    lb_exec *ex = m->ex;
    int d = m->cfg.d_model;
    assert(n <= f->max_out && n <= f->max_tok);
    if (n > 0) {
        lb_exec_put(ex, f->rows, rows, (size_t)n * sizeof(int));
        lb_gather g = {.y = f->h, .x = f->x, .rows = f->rows, .n = n, .d = d};
        lb_op_do(&lb_op_gather, &g, ex);
        norm(ex, f->h, f->h, m->final_norm, n, d, m->cfg.norm_eps);
        linear(f, &m->lm_head, f->logits, f->h, n);
        lb_exec_get(ex, f->logits_host, f->logits, (size_t)n * (size_t)m->cfg.n_vocab * sizeof(float));
    }
    *logits = f->logits_host;
    return lb_exec_sync(ex, err);
}

bool lb_forward_run(lb_forward *f, lb_kv *kv, const lb_batch *b, const float **logits, lb_err *err)
{
    lb_forward_start(f, kv, b);
    for (int i = 0; i < f->m->cfg.n_layer; i++)
        for (lb_part p = 0; p < LB_N_PART; p++) lb_forward_part(f, i, p);
    return lb_forward_head(f, b->out, b->n_out, logits, err); /* only the tokens that want logits go through it */
}
