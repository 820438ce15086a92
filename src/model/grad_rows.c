/* model/grad_rows.c – the tape's operators that pick rows: embedding, and experts. */
#include "kern/gemm.h"
#include "kern/grad_rows.h"
#include "model/grad_node.h"
#include <stdlib.h>
#include <string.h>

/* ---- embedding ---- */
typedef struct embed_aux {
    int n_id;                    /* different ids */
    const int *to, *start, *from;/* id; its tokens; in order: device memory */
} embed_aux;

static void embed_back(lb_grad *g, lb_node *n)
{
    const embed_aux *e = n->aux;
    lb_row_sums a = {.y = lb_node_grad(g, n->in[0]), .x = n->var.d, .to = e->to, .start = e->start, .from = e->from,
                     .n = e->n_id, .d = n->var.k, .add = true};
    if (a.y) lb_node_run(g, &lb_op_row_sums, &a);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Tokens sorted by id, then place. */
static embed_aux *sorted(lb_grad *g, const int *ids, int n)
{
    size_t m = (size_t)n;
    embed_aux *e = lb_node_aux(g, sizeof *e);
    uint64_t *key = e ? lb_node_aux(g, m * sizeof *key) : NULL;
    int *host = key ? lb_node_aux(g, (3 * m + 1) * sizeof *host) : NULL;
    if (!host) return NULL;
    int *from = host, *to = host + m, *start = to + m;
    for (size_t t = 0; t < m; t++) key[t] = (uint64_t)(uint32_t)ids[t] << 32 | t;
    qsort(key, m, sizeof *key, by_number);
    for (int i = 0; i < n; i++) {
        int id = (int)(key[i] >> 32);
        from[i] = (int)(uint32_t)key[i];
        if (i == 0 || id != to[e->n_id - 1]) start[e->n_id] = i, to[e->n_id++] = id;
    }
    start[e->n_id] = n;
    e->from = lb_node_ints(g, from, m), e->to = lb_node_ints(g, to, m), e->start = lb_node_ints(g, start, m + 1);
    return e->from && e->to && e->start ? e : NULL;
}

lb_var *lb_grad_embed(lb_grad *g, lb_var *e, const int *ids, int n)
{
    if (!lb_node_ready(g) || !e) return NULL;
    if (n <= 0) return lb_node_fail(g, LB_EUSAGE, "there are no tokens to look up");
    for (int t = 0; t < n; t++)
        if (ids[t] < 0 || ids[t] >= e->n)
            return lb_node_fail(g, LB_EUSAGE, "token %d has the id %d; the vocabulary has %d", t, ids[t], e->n);
    lb_node *y = lb_node_new(g, n, e->k, NULL, embed_back, &e, 1);
    int *from = y ? lb_node_ints(g, ids, (size_t)n) : NULL;
    if (!from || (e->need && !(y->aux = sorted(g, ids, n)))) return NULL;
    lb_row_sums a = {.y = y->var.v, .x = e->v, .from = from, .n = n, .d = e->k, .each = 1};
    lb_node_run(g, &lb_op_row_sums, &a);
    return &y->var;
}

/* ---- the router ---- */
typedef struct route_aux {
    lb_route r;                  /* first */
    lb_route_args args;
} route_aux;

static void route_back(lb_grad *g, lb_node *n)
{
    const route_aux *x = n->aux;
    lb_route_args a = x->args;
    a.dweight = n->var.d, a.slot = x->r.slot, a.dlogits = lb_node_grad(g, n->in[0]);
    if (a.dlogits) lb_node_run(g, &lb_op_route_back, &a);
}

/* begin, token and slot from the choice of every token. A dry tape deals tokens out evenly. */
static bool group(lb_grad *g, route_aux *x, const int *choice)
{
    int n = x->r.n_tok, used = x->r.used, n_expert = x->r.n_expert;
    size_t rows = (size_t)n * (size_t)used;
    int *begin = lb_node_aux(g, ((size_t)n_expert + 1) * sizeof *begin);
    int *next = lb_node_aux(g, (size_t)n_expert * sizeof *next);
    int *token = lb_node_aux(g, 2 * rows * sizeof *token), *slot = token ? token + rows : NULL;
    if (!begin || !next || !token) return false;
    if (lb_grad_is_dry(g)) {
        for (int e = 0; e <= n_expert; e++) begin[e] = (int)((int64_t)rows * e / n_expert);
    } else {
        for (size_t i = 0; i < rows; i++) begin[choice[i] + 1]++;
        for (int e = 0; e < n_expert; e++) begin[e + 1] += begin[e], next[e] = begin[e];
        for (size_t i = 0; i < rows; i++) slot[i] = next[choice[i]]++, token[slot[i]] = (int)(i / (size_t)used);
    }
    x->r.begin = begin;
    x->r.token = lb_node_ints(g, token, rows), x->r.slot = lb_node_ints(g, slot, rows);
    return x->r.token && x->r.slot;
}

const lb_route *lb_grad_route(lb_grad *g, lb_var *logits, int used, bool norm)
{
    if (!lb_node_ready(g) || !logits) return NULL;
    if (used < 1 || used > logits->k || (int64_t)logits->n * used > INT32_MAX) {
        lb_node_fail(g, LB_EUSAGE, "%d of %d experts cannot be chosen for each of %d tokens", used, logits->k, logits->n);
        return NULL;
    }
    int rows = logits->n * used;
    lb_node *w = lb_node_new(g, rows, 1, NULL, route_back, &logits, 1);
    route_aux *x = w ? lb_node_aux(g, sizeof *x) : NULL;
    int *host = x ? lb_node_aux(g, (size_t)rows * sizeof *host) : NULL;
    int *choice = host ? lb_node_ints(g, NULL, (size_t)rows) : NULL;
    float *weight = choice ? lb_node_floats(g, (size_t)rows) : NULL;
    if (!weight) return NULL;
    w->aux = x;
    x->r = (lb_route){.n_tok = logits->n, .n_expert = logits->k, .used = used, .weight = &w->var};
    x->args = (lb_route_args){.logits = logits->v, .n_tok = logits->n, .n_expert = logits->k, .used = used, .norm = norm,
                              .choice = choice, .weight = weight};
    lb_node_run(g, &lb_op_route, &x->args);
    if (!lb_grad_is_dry(g)) lb_exec_get(lb_grad_exec(g), host, choice, (size_t)rows * sizeof *host);
    if (!group(g, x, host)) return NULL;
    lb_row_sums a = {.y = w->var.v, .x = weight, .to = x->r.slot, .n = rows, .d = 1, .each = 1};
    lb_node_run(g, &lb_op_row_sums, &a);
    return &x->r;
}

/* ---- rows to experts, and back ---- */
static bool rows_fit(lb_grad *g, const lb_route *r, const lb_var *x, int rows)
{
    if (x->n == rows) return true;
    lb_node_fail(g, LB_EUSAGE, "[%d,%d] goes to %d of %d experts for each of %d tokens: %d rows are wanted", x->n, x->k,
                 r->used, r->n_expert, r->n_tok, rows);
    return false;
}

/* y[t] (+)= Σ over the rows of token t (weighted if c). */
static void sum_tokens(lb_grad *g, const lb_route *r, float *y, const float *x, int d, const float *c, bool add)
{
    lb_row_sums a = {.y = y, .x = x, .from = r->slot, .c = c, .c_of_row = true, .n = r->n_tok, .d = d, .each = r->used,
                     .add = add};
    if (y) lb_node_run(g, &lb_op_row_sums, &a);
}

/* y[row] (+)= x[token of row] (times c[row]). */
static void deal_out(lb_grad *g, const lb_route *r, float *y, const float *x, int d, const float *c, bool add)
{
    lb_row_sums a = {.y = y, .x = x, .from = r->token, .c = c, .n = r->n_tok * r->used, .d = d, .each = 1, .add = add};
    if (y) lb_node_run(g, &lb_op_row_sums, &a);
}

static void dispatch_back(lb_grad *g, lb_node *n)
{
    sum_tokens(g, n->aux, lb_node_grad(g, n->in[0]), n->var.d, n->var.k, NULL, true);
}

static void *borrowed(const lb_route *r) { return (void *)(uintptr_t)r; }

lb_var *lb_grad_dispatch(lb_grad *g, lb_var *x, const lb_route *r)
{
    if (!lb_node_ready(g) || !x || !r || !rows_fit(g, r, x, r->n_tok)) return NULL;
    lb_node *y = lb_node_new(g, r->n_tok * r->used, x->k, NULL, dispatch_back, &x, 1);
    if (!y) return NULL;
    y->aux = borrowed(r);
    deal_out(g, r, y->var.v, x->v, x->k, NULL, false);
    return &y->var;
}

static void collect_back(lb_grad *g, lb_node *n)
{
    const lb_route *r = n->aux;
    const lb_var *x = &n->in[0]->var;
    lb_row_dots a = {.y = lb_node_grad(g, n->in[1]), .a = n->var.d, .b = x->v, .ai = r->token, .n = x->n, .d = x->k};
    deal_out(g, r, lb_node_grad(g, n->in[0]), n->var.d, x->k, r->weight->v, true);
    if (a.y) lb_node_run(g, &lb_op_row_dots, &a);
}

lb_var *lb_grad_collect(lb_grad *g, lb_var *x, const lb_route *r)
{
    if (!lb_node_ready(g) || !x || !r || !rows_fit(g, r, x, r->n_tok * r->used)) return NULL;
    lb_node *y = lb_node_new(g, r->n_tok, x->k, NULL, collect_back, (lb_var *const[]){x, r->weight}, 2);
    if (!y) return NULL;
    y->aux = borrowed(r);
    sum_tokens(g, r, y->var.v, x->v, x->k, r->weight->v, false);
    return &y->var;
}

/* ---- a linear layer for each expert ---- */
typedef struct expert_aux {
    const lb_route *r;
    lb_node **w;                 /* [n_expert] */
} expert_aux;

static void expert_back(lb_grad *g, lb_node *n)
{
    const expert_aux *a = n->aux;
    float *dx = lb_node_grad(g, n->in[0]);
    const lb_var *x = &n->in[0]->var;
    size_t k = (size_t)x->k, width = (size_t)n->var.k;
    for (int e = 0; e < a->r->n_expert; e++) {
        size_t at = (size_t)a->r->begin[e];
        int rows = a->r->begin[e + 1] - a->r->begin[e];
        float *dw = rows ? lb_node_grad(g, a->w[e]) : NULL;
        lb_gemm to_x = {.c = dx ? dx + at * k : NULL, .a = n->var.d + at * width, .b = a->w[e]->var.v, .m = rows,
                        .n = x->k, .k = n->var.k, .add = true};
        lb_gemm to_w = {.c = dw, .a = n->var.d + at * width, .ta = true, .b = x->v + at * k, .m = n->var.k, .n = x->k,
                        .k = rows, .add = true};
        if (dx && rows) lb_node_linear(g, to_x);
        if (dw) lb_node_linear(g, to_w);
    }
}

lb_var *lb_grad_expert_linear(lb_grad *g, lb_var *x, lb_var *const *w, const lb_route *r)
{
    if (!lb_node_ready(g) || !x || !r || !rows_fit(g, r, x, r->n_tok * r->used)) return NULL;
    bool need = x->need;
    for (int e = 0; e < r->n_expert; e++) {
        if (!w[e]) return NULL;
        if (w[e]->k != x->k || w[e]->n != w[0]->n)
            return lb_node_fail(g, LB_EUSAGE, "x [%d,%d] times w [%d,%d]ᵀ of expert %d: that shape does not fit", x->n, x->k,
                                w[e]->n, w[e]->k, e);
        need |= w[e]->need;
    }
    lb_node *y = lb_node_new(g, x->n, w[0]->n, NULL, expert_back, &x, 1);
    expert_aux *a = y ? lb_node_aux(g, sizeof *a) : NULL;
    if (!a || !(a->w = lb_node_aux(g, (size_t)r->n_expert * sizeof *a->w))) return NULL;
    a->r = r;
    y->aux = a;
    y->var.need = need;
    for (int e = 0; e < r->n_expert; e++) {
        size_t at = (size_t)r->begin[e];
        int rows = r->begin[e + 1] - r->begin[e];
        a->w[e] = lb_node_of(w[e]);
        lb_gemm p = {.c = y->var.v + at * (size_t)y->var.k, .a = x->v + at * (size_t)x->k, .b = w[e]->v, .tb = true,
                     .m = rows, .n = y->var.k, .k = x->k};
        if (rows) lb_node_linear(g, p);
    }
    return &y->var;
}
