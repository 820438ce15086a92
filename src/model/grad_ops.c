/* model/grad_ops.c – the tape's operators between the products of matrices, and its losses. */
#include "kern/elem.h"
#include "kern/grad_attn.h"
#include "kern/grad_elem.h"
#include "model/grad_node.h"
#include <math.h>
#include <string.h>

static lb_var *var_of(lb_node *n) { return n ? &n->var : NULL; }

static lb_var *differ(lb_grad *g, const char *what, const lb_var *a, const lb_var *b)
{
    return lb_node_fail(g, LB_EUSAGE, "%s of [%d,%d] and [%d,%d]: shapes differ", what, a->n, a->k, b->n, b->k);
}

/* y += x */
static void add_to(lb_grad *g, float *y, const float *x, int n, int d)
{
    lb_add a = {.x = y, .y = x, .n_tok = n, .d = d};
    if (y) lb_node_run(g, &lb_op_add, &a);
}

/* ---- add ---- */
static void add_back(lb_grad *g, lb_node *n)
{
    for (int i = 0; i < 2; i++) add_to(g, lb_node_grad(g, n->in[i]), n->var.d, n->var.n, n->var.k);
}

lb_var *lb_grad_add(lb_grad *g, lb_var *a, lb_var *b)
{
    if (!lb_node_ready(g) || !a || !b) return NULL;
    if (a->n != b->n || a->k != b->k) return differ(g, "the sum", a, b);
    lb_node *y = lb_node_new(g, a->n, a->k, NULL, add_back, (lb_var *const[]){a, b}, 2);
    if (!y) return NULL;
    lb_node_copy(g, y->var.v, a->v, lb_node_count(a));
    add_to(g, y->var.v, b->v, a->n, a->k);
    return &y->var;
}

/* ---- columns times s ---- */
static void scale_back(lb_grad *g, lb_node *n)
{
    lb_node *x = n->in[0], *s = n->in[1];
    bool divide = n->aux;
    float *dx = lb_node_grad(g, x), *ds = lb_node_grad(g, s);
    int d = (int)lb_node_count(&s->var), rows = (int)(lb_node_count(&n->var) / (size_t)d);
    if (dx) {
        lb_mul_cols a = {.y = dx, .x = n->var.d, .s = s->var.v, .n_row = rows, .d = d, .divide = divide, .add = true};
        lb_node_run(g, &lb_op_mul_cols, &a);
    }
    if (!ds) return;
    lb_col_dot a = {.y = ds, .a = n->var.d, .b = x->var.v, .n_row = rows, .d = d};
    float *t = divide ? lb_node_take(g, (size_t)d) : NULL;
    if (divide) {
        if (!t) return;
        lb_node_copy(g, t, NULL, (size_t)d);
        a.y = t;
    }
    lb_node_run(g, &lb_op_col_dot, &a);
    for (int i = 0; i < d && divide && !lb_grad_is_dry(g); i++) ds[i] -= t[i] / (s->var.v[i] * s->var.v[i]);
    lb_node_give(g, t, (size_t)d);
}

lb_var *lb_grad_scale(lb_grad *g, lb_var *x, lb_var *s, bool divide)
{
    if (!lb_node_ready(g) || !x || !s) return NULL;
    size_t d = lb_node_count(s);
    if ((size_t)x->k % d != 0)
        return lb_node_fail(g, LB_EUSAGE, "rows of %d numbers cannot be scaled by %zu factors", x->k, d);
    lb_node *y = lb_node_new(g, x->n, x->k, NULL, scale_back, (lb_var *const[]){x, s}, 2);
    if (!y) return NULL;
    y->aux = divide ? y : NULL;
    lb_mul_cols a = {.y = y->var.v, .x = x->v, .s = s->v, .n_row = (int)(lb_node_count(x) / d), .d = (int)d,
                     .divide = divide};
    lb_node_run(g, &lb_op_mul_cols, &a);
    return &y->var;
}

/* ---- swiglu ---- */
static void swiglu_back(lb_grad *g, lb_node *n)
{
    lb_swiglu_back a = {.dgate = lb_node_grad(g, n->in[0]), .dup = lb_node_grad(g, n->in[1]), .dy = n->var.d,
                        .gate = n->in[0]->var.v, .up = n->in[1]->var.v, .n_row = n->var.n, .d = n->var.k};
    lb_node_run(g, &lb_op_swiglu_back, &a);
}

lb_var *lb_grad_swiglu(lb_grad *g, lb_var *gate, lb_var *up)
{
    if (!lb_node_ready(g) || !gate || !up) return NULL;
    if (gate->n != up->n || gate->k != up->k) return differ(g, "swiglu", gate, up);
    lb_node *y = lb_node_new(g, gate->n, gate->k, NULL, swiglu_back, (lb_var *const[]){gate, up}, 2);
    if (!y) return NULL;
    lb_swiglu a = {.y = y->var.v, .gate = gate->v, .up = up->v, .n_tok = gate->n, .d = gate->k};
    lb_node_run(g, &lb_op_swiglu, &a);
    return &y->var;
}

/* ---- rmsnorm ---- */
static void rmsnorm_back(lb_grad *g, lb_node *n)
{
    const lb_var *x = &n->in[0]->var, *w = &n->in[1]->var;
    float *dx = lb_node_grad(g, n->in[0]), *dw = lb_node_grad(g, n->in[1]);
    int d = (int)lb_node_count(w), rows = (int)(lb_node_count(x) / (size_t)d);
    float eps;
    memcpy(&eps, n->aux, sizeof eps);
    lb_rmsnorm_back a = {.dx = dx, .inv = lb_node_take(g, (size_t)rows), .dy = n->var.d, .x = x->v, .w = w->v,
                         .n_row = rows, .d = d, .eps = eps};
    if (!a.inv) return;
    lb_node_run(g, &lb_op_rmsnorm_back, &a);
    lb_col_dot to_w = {.y = dw, .a = n->var.d, .b = x->v, .c = a.inv, .n_row = rows, .d = d};
    if (dw) lb_node_run(g, &lb_op_col_dot, &to_w);
    lb_node_give(g, a.inv, (size_t)rows);
}

lb_var *lb_grad_rmsnorm(lb_grad *g, lb_var *x, lb_var *w, float eps)
{
    if (!lb_node_ready(g) || !x || !w) return NULL;
    size_t d = lb_node_count(w);
    if ((size_t)x->k % d != 0)
        return lb_node_fail(g, LB_EUSAGE, "rows of %d numbers are no heads for a norm of %zu", x->k, d);
    lb_node *y = lb_node_new(g, x->n, x->k, NULL, rmsnorm_back, (lb_var *const[]){x, w}, 2);
    if (!y || !(y->aux = lb_node_aux(g, sizeof eps))) return NULL;
    memcpy(y->aux, &eps, sizeof eps);
    lb_rmsnorm a = {.y = y->var.v, .x = x->v, .w = w->v, .n_row = (int)(lb_node_count(x) / d), .d = (int)d, .eps = eps};
    lb_node_run(g, &lb_op_rmsnorm, &a);
    return &y->var;
}

/* ---- sequences ---- */
static int end_of(const lb_grad_heads *h, int s) { return h->begin ? h->begin[s + 1] : (s + 1) * h->len; }

static bool heads_fit(lb_grad *g, const lb_grad_heads *h, const lb_var *x, int n_head)
{
    bool ok = h->n_seq > 0 && h->d_head > 0 && (n_head > 0 ? (int64_t)n_head * h->d_head == x->k : x->k % h->d_head == 0);
    if (h->begin) {
        ok &= h->begin[0] == 0;
        for (int s = 0; ok && s < h->n_seq; s++)
            if (h->begin[s + 1] <= h->begin[s]) {
                lb_node_fail(g, LB_EUSAGE, "sequence %d of %d has no tokens: it would be rows %d to %d", s, h->n_seq,
                             h->begin[s], h->begin[s + 1]);
                return false;
            }
        if (ok && h->begin[h->n_seq] == x->n) return true;
        lb_node_fail(g, LB_EUSAGE, "[%d,%d] is not %d sequences of %d tokens together with heads of %d", x->n, x->k,
                     h->n_seq, h->n_seq > 0 ? h->begin[h->n_seq] : 0, h->d_head);
        return false;
    }
    if (ok && h->len > 0 && (int64_t)h->n_seq * h->len == x->n) return true;
    lb_node_fail(g, LB_EUSAGE, "[%d,%d] is not %d sequences of %d tokens with heads of %d", x->n, x->k, h->n_seq,
                 h->len, h->d_head);
    return false;
}

/* ---- rope; the way back is by the negative angle ---- */
typedef struct rope_aux {
    lb_rope forth;
    int *back_pos;           /* −pos */
} rope_aux;

static void rope_back(lb_grad *g, lb_node *n)
{
    const rope_aux *r = n->aux;
    float *dx = lb_node_grad(g, n->in[0]), *t = lb_node_take(g, lb_node_count(&n->var));
    if (!dx || !t) return;
    lb_node_copy(g, t, n->var.d, lb_node_count(&n->var));
    lb_rope a = r->forth;
    a.x = t, a.pos = r->back_pos;
    lb_node_run(g, &lb_op_rope, &a);
    add_to(g, dx, t, n->var.n, n->var.k);
    lb_node_give(g, t, lb_node_count(&n->var));
}

/* Position of every token, or its negative; NULL where memory ran out. */
static int *positions(lb_grad *g, const lb_grad_heads *h, int n_tok, int sign)
{
    int *host = lb_node_aux(g, (size_t)n_tok * sizeof *host);
    if (!host) return NULL;
    for (int s = 0, t = 0; s < h->n_seq; s++)
        for (int pos = 0; t < end_of(h, s); t++) host[t] = sign * pos++;
    return lb_node_ints(g, host, (size_t)n_tok);
}

lb_var *lb_grad_rope(lb_grad *g, lb_var *x, const lb_grad_heads *h)
{
    if (!lb_node_ready(g) || !x || !heads_fit(g, h, x, 0)) return NULL;
    lb_node *y = lb_node_new(g, x->n, x->k, NULL, rope_back, &x, 1);
    rope_aux *r = y ? lb_node_aux(g, sizeof *r) : NULL;
    int *pos = r ? positions(g, h, x->n, 1) : NULL, *back = pos ? positions(g, h, x->n, -1) : NULL;
    if (!back) return NULL;
    *r = (rope_aux){{.x = y->var.v, .pos = pos, .inv_freq = h->inv_freq, .n_tok = x->n, .n_head = x->k / h->d_head,
                     .d_head = h->d_head, .mscale = h->mscale}, back};
    y->aux = r;
    lb_node_copy(g, y->var.v, x->v, lb_node_count(x));
    lb_node_run(g, &lb_op_rope, &r->forth);
    return &y->var;
}

/* ---- attention ---- */
static void attn_back(lb_grad *g, lb_node *n)
{
    lb_causal a = *(const lb_causal *)n->aux;
    size_t stats = (size_t)n->var.n * (size_t)a.n_head;
    a.dy = n->var.d;
    a.dq = lb_node_grad(g, n->in[0]), a.dk = lb_node_grad(g, n->in[1]), a.dv = lb_node_grad(g, n->in[2]);
    if (!(a.delta = lb_node_take(g, stats))) return;
    lb_node_run(g, &lb_op_causal_back, &a);
    lb_node_give(g, a.delta, stats);
}

/* begin and block0 of sequences of different lengths. */
static bool sequences(lb_grad *g, const lb_grad_heads *h, lb_causal *a)
{
    if (!h->begin) return true;
    size_t n = (size_t)h->n_seq + 1;
    int *host = lb_node_aux(g, n * sizeof *host);
    if (!host) return false;
    for (int s = 0; s < h->n_seq; s++) host[s + 1] = host[s] + lb_causal_blocks_of(h->begin[s + 1] - h->begin[s]);
    a->begin = lb_node_ints(g, h->begin, n), a->block0 = lb_node_ints(g, host, n);
    a->n_block = host[h->n_seq];
    return a->begin && a->block0;
}

lb_var *lb_grad_attn(lb_grad *g, lb_var *q, lb_var *k, lb_var *v, const lb_grad_heads *h)
{
    if (!lb_node_ready(g) || !q || !k || !v) return NULL;
    if (h->n_head <= 0 || h->n_kv <= 0 || h->n_head % h->n_kv != 0)
        return lb_node_fail(g, LB_EUSAGE, "%d query heads cannot share %d key heads", h->n_head, h->n_kv);
    if (!heads_fit(g, h, q, h->n_head) || !heads_fit(g, h, k, h->n_kv) || !heads_fit(g, h, v, h->n_kv)) return NULL;
    lb_node *y = lb_node_new(g, q->n, q->k, NULL, attn_back, (lb_var *const[]){q, k, v}, 3);
    lb_causal *a = y ? lb_node_aux(g, sizeof *a) : NULL;
    size_t stats = (size_t)q->n * (size_t)h->n_head;
    float *room = a ? lb_node_floats(g, 2 * stats) : NULL;
    if (!room) return NULL;
    *a = (lb_causal){.n_seq = h->n_seq, .len = h->len, .n_head = h->n_head, .n_kv = h->n_kv, .d_head = h->d_head,
                     .scale = 1.0f / sqrtf((float)h->d_head), .q = q->v, .k = k->v, .v = v->v, .y = y->var.v,
                     .max = room, .sum = room + stats};
    if (!sequences(g, h, a)) return NULL;
    y->aux = a;
    lb_node_run(g, &lb_op_causal, a);
    return &y->var;
}

/* ---- losses ---- */
static void mse_back(lb_grad *g, lb_node *n)
{
    const lb_var *y = &n->in[0]->var;
    const float *t = n->aux;
    double dloss = lb_grad_is_dry(g) ? 0 : (double)*n->var.d;
    lb_mse_back a = {.dy = lb_node_grad(g, n->in[0]), .y = y->v, .t = t, .n_row = y->n, .d = y->k,
                     .factor = (float)(2 * dloss / (double)lb_node_count(y))};
    if (a.dy) lb_node_run(g, &lb_op_mse_back, &a);
}

lb_var *lb_grad_mse(lb_grad *g, lb_var *y, lb_var *t)
{
    if (!lb_node_ready(g) || !y || !t) return NULL;
    if (y->n != t->n || y->k != t->k) return differ(g, "the error", y, t);
    lb_node *loss = lb_node_new(g, 1, 1, NULL, mse_back, &y, 1);
    lb_mse_rows a = {.sum = loss ? lb_node_aux(g, (size_t)y->n * sizeof(double)) : NULL, .y = y->v, .t = t->v,
                     .n_row = y->n, .d = y->k};
    if (!a.sum) return NULL;
    lb_node_run(g, &lb_op_mse_rows, &a);
    loss->aux = t->v;
    if (lb_grad_is_dry(g)) return &loss->var;
    double sum = 0;
    for (int r = 0; r < y->n; r++) sum += a.sum[r];
    loss->var.v[0] = (float)(sum / (double)lb_node_count(y));
    return &loss->var;
}

static void normalize_back(lb_grad *g, lb_node *n)
{
    float *dx = lb_node_grad(g, n->in[0]);
    if (lb_grad_is_dry(g) || !dx) return;
    float x = *n->in[0]->var.v;
    if (x != 0) *dx += *n->var.d / x;
}

lb_var *lb_grad_normalize(lb_grad *g, lb_var *x)
{
    if (!lb_node_ready(g) || !x) return NULL;
    if (lb_node_count(x) != 1)
        return lb_node_fail(g, LB_EUSAGE, "only [1,1] can be normalized, not [%d,%d]", x->n, x->k);
    lb_node *y = lb_node_new(g, 1, 1, NULL, normalize_back, &x, 1);
    if (y && !lb_grad_is_dry(g)) *y->var.v = *x->v != 0 ? *x->v / *x->v : 0; /* NaN and infinity show as NaN */
    return var_of(y);
}
