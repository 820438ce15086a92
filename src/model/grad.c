/* model/grad.c – the tape: memory of a step, leaves, the way back. */
#include "model/grad_node.h"
#include "base/mem.h"
#include "kern/gemm.h"
#include "kern/grad_rows.h"
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory: blocks that are filled in order, so that equal steps find equal places ----
 * A step that needed several blocks is followed by one with a single block of that size: steps of slowly changing
 * shapes would otherwise find every block a little too small. */
typedef struct chunk {
    char *p;                     /* owned */
    size_t size, used;
} chunk;

typedef struct pool {
    chunk *chunks;               /* owned */
    size_t n, cap, held;
    size_t least;                /* bytes of the first chunk */
    bool device;
    bool dry;                    /* chunks have addresses and no memory */
} pool;

enum { CHUNK_MOST = 64 << 20 };

struct lb_grad {
    lb_exec *ex;                 /* borrowed */
    size_t max_bytes;            /* of the outermost tape */
    lb_compute compute;          /* likewise */
    pool tensors, nodes;
    lb_node *last;
    bool dry;
    size_t scratch;              /* most that an operator wanted */
    lb_grad *outer, *inner;      /* checkpoints run on inner, owned; NULL before the first */
    struct spare { float *p; size_t n; } *spare;     /* gradients that are done with; owned array */
    size_t n_spare, cap_spare;
    bool failed;
    lb_err err;
};

static void pool_close(lb_grad *g, pool *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->dry) continue;
        if (p->device) lb_exec_free(g->ex, p->chunks[i].p);
        else free(p->chunks[i].p);
    }
    free(p->chunks);
    *p = (pool){.least = p->least, .device = p->device, .dry = p->dry};
}

static lb_grad *outermost(lb_grad *g)
{
    while (g->outer) g = g->outer;
    return g;
}

/* Bytes of the next chunk, at least need: small tensors share one, large ones get their own. */
static size_t chunk_size(const pool *p, size_t need)
{
    size_t size = p->held / 4 < CHUNK_MOST ? p->held / 4 : CHUNK_MOST;
    if (p->n == 0) return need > p->least ? need : p->least;
    return need > size / 8 ? need : size;
}

/* Addresses that nothing may touch, apart from each other. */
static char *no_memory(size_t held) { return (char *)(uintptr_t)(4096 + held); }

static void *pool_alloc(lb_grad *g, pool *p, size_t need)
{
    for (size_t i = 0; i < p->n; i++) {
        chunk *c = &p->chunks[i];
        if (c->size - c->used < need) continue;
        c->used += need;
        return c->p + c->used - need;
    }
    lb_grad *whole = outermost(g);
    size_t size = chunk_size(p, need), held = lb_grad_bytes(whole), most = whole->max_bytes;
    if (most && (size > most || held > most - size)) size = need;
    if (most && (need > most || held > most - need)) {
        lb_node_fail(g, LB_ENOMEM, "a training step needs %.1f MiB more than the %.1f MiB it may have; "
                     "train on fewer or shorter sequences at a time", (double)(held + need - most) / 1048576,
                     (double)most / 1048576);
        return NULL;
    }
    lb_err err = {0};
    if (!lb_grow(&p->chunks, &p->cap, p->n + 1, sizeof *p->chunks, "a training step", &err)) goto fail;
    void *m = p->dry      ? no_memory(p->held)
              : p->device ? lb_exec_alloc(g->ex, size, 1, "a training step", &err)
                          : lb_alloc(size, 1, "a training step", &err);
    if (!m) goto fail;
    p->chunks[p->n++] = (chunk){m, size, need};
    p->held += size;
    return m;
fail:
    lb_node_fail(g, err.code, "%s", err.msg);
    return NULL;
}

static void pool_reset(lb_grad *g, pool *p)
{
    size_t used = 0;
    for (size_t i = 0; i < p->n; i++) used += p->chunks[i].used;
    if (p->n > 1) {
        pool_close(g, p);
        p->least = used;
    }
    for (size_t i = 0; i < p->n; i++) p->chunks[i].used = 0;
}

/* ---- open, close, errors ---- */
lb_grad *lb_grad_open(lb_exec *ex, size_t max_bytes, lb_err *err)
{
    const lb_gemm probe = {.m = 1, .n = 1, .k = 1};
    if (!lb_op_pick(&lb_op_gemm, ex, &probe))
        return lb_fail_null(err, LB_EUNSUPPORTED, "training has no kernels for %s; use --device cpu", lb_exec_name(ex));
    lb_grad *g = lb_alloc(1, sizeof *g, "a tape", err);
    if (!g) return NULL;
    g->ex = ex, g->max_bytes = max_bytes;
    g->tensors = (pool){.least = 1 << 20, .device = true};
    g->nodes = (pool){.least = 64 << 10};
    return g;
}

static lb_grad *make_dry(lb_grad *g)
{
    if (g) g->dry = g->tensors.dry = true;
    return g;
}

lb_grad *lb_grad_open_dry(lb_exec *ex, lb_err *err) { return make_dry(lb_grad_open(ex, 0, err)); }
bool lb_grad_is_dry(const lb_grad *g) { return g->dry; }
void lb_grad_compute(lb_grad *g, lb_compute compute) { g->compute = compute; }

void lb_grad_close(lb_grad *g)
{
    if (!g) return;
    lb_grad_close(g->inner);
    pool_close(g, &g->tensors);
    pool_close(g, &g->nodes);
    free(g->spare);
    free(g);
}

void lb_grad_reset(lb_grad *g)
{
    pool_reset(g, &g->tensors);
    pool_reset(g, &g->nodes);
    g->last = NULL;
    g->n_spare = 0;
    g->failed = false;
    g->err = (lb_err){0};
}

size_t lb_grad_bytes(const lb_grad *g)
{
    return g->tensors.held + g->nodes.held + (g->inner ? lb_grad_bytes(g->inner) : 0);
}

size_t lb_grad_scratch(const lb_grad *g)
{
    size_t in = g->inner ? lb_grad_scratch(g->inner) : 0;
    return in > g->scratch ? in : g->scratch;
}

lb_exec *lb_grad_exec(const lb_grad *g) { return g->ex; }

bool lb_grad_ok(const lb_grad *g, lb_err *err)
{
    return g->failed ? lb_fail(err, g->err.code, "%s", g->err.msg) : true;
}

lb_var *lb_node_fail(lb_grad *g, lb_code code, const char *fmt, ...)
{
    if (g->failed) return NULL;
    char msg[sizeof g->err.msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    g->failed = true;
    lb_fail(&g->err, code, "%s", msg);
    return NULL;
}

bool lb_node_ready(const lb_grad *g) { return !g->failed; }

/* ---- what operators take ---- */
static size_t float_bytes(size_t n) { return lb_arena_need(n ? n : 1, sizeof(float)); }

float *lb_node_floats(lb_grad *g, size_t n) { return pool_alloc(g, &g->tensors, float_bytes(n)); }

int *lb_node_ints(lb_grad *g, const int *host, size_t n)
{
    int *p = (int *)(void *)lb_node_floats(g, n);
    if (p && host && !g->dry) lb_exec_put(g->ex, p, host, n * sizeof *p);
    return p;
}

void *lb_node_aux(lb_grad *g, size_t size_bytes)
{
    void *p = pool_alloc(g, &g->nodes, lb_arena_need(size_bytes, 1));
    return p ? memset(p, 0, size_bytes) : NULL;
}

lb_node *lb_node_new(lb_grad *g, int n, int k, float *v, void (*back)(lb_grad *, lb_node *), lb_var *const *in,
                     int n_in)
{
    assert(n_in <= LB_NODE_INPUTS);
    lb_node *node = lb_node_aux(g, sizeof *node);
    if (!node) return NULL;
    node->var = (lb_var){.v = v, .n = n, .k = k};
    node->back = back;
    for (int i = 0; i < n_in; i++) {
        node->in[i] = lb_node_of(in[i]);
        node->var.need |= in[i] && in[i]->need;
    }
    if (!v && !(node->var.v = lb_node_floats(g, lb_node_count(&node->var)))) return NULL;
    node->before = g->last;
    g->last = node;
    return node;
}

float *lb_node_take(lb_grad *g, size_t n)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < g->n_spare; i++) {
        size_t has = g->spare[i].n;
        if (has >= n && has / 2 <= n && (best == SIZE_MAX || has < g->spare[best].n)) best = i;
    }
    if (best == SIZE_MAX) return lb_node_floats(g, n);
    float *p = g->spare[best].p;
    g->spare[best] = g->spare[--g->n_spare];
    return p;
}

/* Best effort: what cannot be remembered is free again at the next reset. */
void lb_node_give(lb_grad *g, float *p, size_t n)
{
    if (p && lb_grow(&g->spare, &g->cap_spare, g->n_spare + 1, sizeof *g->spare, "a training step", NULL))
        g->spare[g->n_spare++] = (struct spare){p, n};
}

float *lb_node_grad_or_fresh(lb_grad *g, lb_node *n, bool *fresh)
{
    *fresh = false;
    if (!n || !n->var.need) return NULL;
    if (n->var.d) return n->var.d;
    if (n->view_of) return n->var.d = lb_node_grad_or_fresh(g, n->view_of, fresh);
    n->var.d = lb_node_take(g, lb_node_count(&n->var));
    *fresh = n->var.d != NULL;
    return n->var.d;
}

float *lb_node_grad(lb_grad *g, lb_node *n)
{
    bool fresh;
    float *d = lb_node_grad_or_fresh(g, n, &fresh);
    if (fresh) lb_node_copy(g, d, NULL, lb_node_count(&n->var));
    return d;
}

void lb_node_copy(lb_grad *g, float *y, const float *x, size_t n)
{
    lb_copy a = {.y = y, .x = x, .n = n};
    lb_node_run(g, &lb_op_copy, &a);
}

void lb_node_run(lb_grad *g, const lb_op *op, const void *args)
{
    if (g->failed) return;
    const lb_impl *impl = lb_op_pick(op, g->ex, args);
    lb_err err = {0};
    if (!impl) {
        lb_node_fail(g, LB_EUNSUPPORTED, "no %s kernel on %s", op->name, lb_exec_name(g->ex));
        return;
    }
    size_t scratch = impl->scratch ? impl->scratch(args) : 0;
    if (scratch > g->scratch) g->scratch = scratch;
    if (g->dry) return;
    if (scratch && !lb_exec_reserve(g->ex, scratch, &err)) {
        lb_node_fail(g, err.code, "%s", err.msg);
        return;
    }
    lb_op_run(op, impl, args, g->ex);
}

void lb_node_linear(lb_grad *g, lb_gemm a)
{
    a.compute = outermost(g)->compute;
    lb_node_run(g, &lb_op_gemm, &a);
}

/* ---- leaves and shapes ---- */
bool lb_param_init(lb_param *p, lb_exec *ex, int n, int k, const char *what, lb_err *err)
{
    *p = (lb_param){.n = n, .k = k};
    size_t count;
    if (n <= 0 || k <= 0) return lb_fail(err, LB_EUSAGE, "%s: [%d,%d] is no shape", what, n, k);
    lb_size_mul((size_t)n, (size_t)k, &count);
    p->v = lb_exec_alloc(ex, count, sizeof(float), what, err);
    p->d = p->v ? lb_exec_alloc(ex, count, sizeof(float), what, err) : NULL;
    if (p->d) return true;
    lb_param_free(p, ex);
    return false;
}

void lb_param_free(lb_param *p, lb_exec *ex)
{
    lb_exec_free(ex, p->v);
    lb_exec_free(ex, p->d);
    *p = (lb_param){0};
}

bool lb_find_not_finite(lb_exec *ex, const float *x, size_t n, size_t *at, lb_err *err)
{
    float *host = lb_alloc(n, sizeof *host, "a look at numbers", err);
    if (!host) return false;
    lb_exec_get(ex, host, x, n * sizeof *host);
    for (*at = 0; *at < n && isfinite(host[*at]);) ++*at;
    free(host);
    return true;
}

bool lb_param_finite(const lb_param *p, bool gradient, const char *name, lb_exec *ex, lb_err *err)
{
    const float *x = gradient ? p->d : p->v;
    size_t n = (size_t)p->n * (size_t)p->k, at = 0;
    if (!x) return true;
    if (!lb_find_not_finite(ex, x, n, &at, err)) return false;
    return at == n || lb_fail(err, LB_ENUMERIC, "the %s of '%s' is not finite at [%zu,%zu]", gradient ? "gradient" : "weight",
                              name, at / (size_t)p->k, at % (size_t)p->k);
}

/* A leaf's values are only read, const or not. */
static float *readable(const float *v) { return (float *)(uintptr_t)v; }

lb_var *lb_grad_const(lb_grad *g, const float *v, int n, int k)
{
    if (g->failed) return NULL;
    if (n <= 0 || k <= 0 || !v) return lb_node_fail(g, LB_EUSAGE, "a constant [%d,%d] is no tensor", n, k);
    lb_node *x = lb_node_new(g, n, k, readable(v), NULL, NULL, 0);
    return x ? &x->var : NULL;
}

/* Values and gradient are somebody else's; without d a constant. */
static lb_var *leaf(lb_grad *g, float *v, float *d, int n, int k)
{
    lb_node *x = lb_node_new(g, n, k, v, NULL, NULL, 0);
    if (!x) return NULL;
    x->lent = x->var.need = d != NULL;
    x->var.d = d;
    return &x->var;
}

lb_var *lb_grad_param(lb_grad *g, lb_param *p)
{
    if (g->failed) return NULL;
    if (!p || !p->v) return lb_node_fail(g, LB_EUSAGE, "a parameter that was not initialized");
    return leaf(g, p->v, p->d, p->n, p->k);
}

lb_var *lb_grad_view(lb_grad *g, lb_var *x, int n, int k)
{
    if (g->failed || !x) return NULL;
    if (n <= 0 || k <= 0 || (size_t)n * (size_t)k != lb_node_count(x))
        return lb_node_fail(g, LB_EUSAGE, "[%d,%d] cannot be seen as [%d,%d]", x->n, x->k, n, k);
    lb_node *y = lb_node_new(g, n, k, x->v, NULL, &x, 1);
    if (!y) return NULL;
    y->view_of = lb_node_of(x);
    return &y->var;
}

lb_var *lb_grad_detach(lb_grad *g, lb_var *x) { return x ? lb_grad_const(g, x->v, x->n, x->k) : NULL; }

/* ---- the way back ---- */
/* From y, whose gradient is there. */
static bool go_back(lb_grad *g, lb_err *err)
{
    for (lb_node *n = g->last; n && !g->failed; n = n->before) {
        if (!n->var.need || !n->var.d || n->lent) continue;
        if (n->back) n->back(g, n);
        if (!n->view_of) lb_node_give(g, n->var.d, lb_node_count(&n->var));
        n->var.d = NULL;
    }
    lb_err fault = {0};
    if (!g->failed && !lb_exec_sync(g->ex, &fault)) lb_node_fail(g, fault.code, "%s", fault.msg);
    return lb_grad_ok(g, err);
}

static bool can_go_back(lb_grad *g, const lb_var *y, lb_err *err)
{
    if (!g->failed && !y) lb_node_fail(g, LB_EUSAGE, "there is no loss to go back from");
    if (!g->failed && !y->need) lb_node_fail(g, LB_EUSAGE, "the loss depends on no parameter");
    return lb_grad_ok(g, err);
}

bool lb_grad_backward(lb_grad *g, lb_var *loss, lb_err *err)
{
    if (!can_go_back(g, loss, err)) return false;
    if (loss->n != 1 || loss->k != 1) {
        lb_node_fail(g, LB_EUSAGE, "a loss is [1,1], this one is [%d,%d]", loss->n, loss->k);
        return lb_grad_ok(g, err);
    }
    float *d = lb_node_grad(g, lb_node_of(loss)), one = 1;
    if (d && !g->dry) lb_exec_put(g->ex, d, &one, sizeof one);
    return go_back(g, err);
}

bool lb_grad_backward_from(lb_grad *g, lb_var *y, const float *dy, lb_err *err)
{
    if (!can_go_back(g, y, err)) return false;
    bool fresh;
    float *d = lb_node_grad_or_fresh(g, lb_node_of(y), &fresh);
    if (d) lb_node_copy(g, d, dy, lb_node_count(y));
    return go_back(g, err);
}

/* ---- checkpoints ---- */
typedef struct again {
    lb_grad_fn fn;
    void *arg;                   /* borrowed */
} again;

/* fn of x on the inner tape, where x is a leaf whose gradient goes to dx (NULL: it needs none). */
static lb_var *run_inside(lb_grad *g, const again *a, const lb_var *x, float *dx)
{
    lb_err err = {0};
    if (!g->inner) {
        if (!(g->inner = lb_grad_open(g->ex, 0, &err))) return lb_node_fail(g, err.code, "%s", err.msg);
        if (g->dry) make_dry(g->inner);
        g->inner->outer = g;
    }
    lb_grad_reset(g->inner);
    lb_var *y = a->fn(a->arg, g->inner, leaf(g->inner, x->v, dx, x->n, x->k));
    if (lb_grad_ok(g->inner, &err) && y) return y;
    return lb_node_fail(g, err.code ? err.code : LB_EFAIL, "%s", err.code ? err.msg : "a checkpoint gave no result");
}

static void checkpoint_back(lb_grad *g, lb_node *n)
{
    lb_node *x = n->in[0];
    lb_err err = {0};
    float *dx = lb_node_grad(g, x);
    lb_var *y = g->failed ? NULL : run_inside(g, n->aux, &x->var, dx);
    if (y && !lb_grad_backward_from(g->inner, y, n->var.d, &err)) lb_node_fail(g, err.code, "%s", err.msg);
}

lb_var *lb_grad_checkpoint(lb_grad *g, lb_grad_fn fn, void *arg, lb_var *x)
{
    if (g->failed || !x) return NULL;
    again *a = lb_node_aux(g, sizeof *a);
    if (!a) return NULL;
    *a = (again){fn, arg};
    /* only whether x needs a gradient matters now: there is no way back from this run */
    lb_var *in = run_inside(g, a, x, x->need ? x->v : NULL);
    lb_node *y = in ? lb_node_new(g, in->n, in->k, NULL, checkpoint_back, &x, 1) : NULL;
    if (!y) return NULL;
    y->aux = a;
    y->var.need = in->need;
    lb_node_copy(g, y->var.v, in->v, lb_node_count(in));
    return &y->var;
}

float lb_grad_scalar(lb_grad *g, const lb_var *x)
{
    float v = NAN;
    if (x && !g->dry) lb_exec_get(g->ex, &v, x->v, sizeof v);
    return v;
}
