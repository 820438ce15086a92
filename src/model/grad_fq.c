/* model/grad_fq.c – fake quantization on the tape: activations, weights with learned clips, SignRound. */
#include "kern/grad_quant.h"
#include "model/grad_node.h"
#include <math.h>
#include <string.h>

/* ---- σ: clip factors are few, so this is plain ---- */
static void sigmoid_back(lb_grad *g, lb_node *n)
{
    float *dx = lb_node_grad(g, n->in[0]);
    if (lb_grad_is_dry(g)) return;
    for (size_t i = 0; dx && i < lb_node_count(&n->var); i++) dx[i] += n->var.d[i] * n->var.v[i] * (1 - n->var.v[i]);
}

static lb_var *sigmoid(lb_grad *g, lb_var *x)
{
    if (!x) return NULL;
    lb_node *y = lb_node_new(g, x->n, x->k, NULL, sigmoid_back, &x, 1);
    if (!y) return NULL;
    if (lb_grad_is_dry(g)) return &y->var;
    for (size_t i = 0; i < lb_node_count(x); i++) y->var.v[i] = (float)(1 / (1 + exp(-(double)x->v[i])));
    return &y->var;
}

/* ---- the common node: in x, v, f_hi, f_lo ---- */
/* d[i mod m] += df[i], in order. */
static void add_factors(float *d, int m, const float *df, int n)
{
    if (!d) return;
    if (m == n) {
        for (int i = 0; i < n; i++) d[i] += df[i];
        return;
    }
    for (int j = 0; j < m; j++) {
        double sum = 0;
        for (int i = j; i < n; i += m) sum += (double)df[i];
        d[j] += (float)sum;
    }
}

static void fq_back(lb_grad *g, lb_node *n)
{
    lb_fake_quant a = *(const lb_fake_quant *)n->aux;
    size_t groups = (size_t)a.n_group;
    float *dhi = lb_node_grad(g, n->in[2]), *dlo = lb_node_grad(g, n->in[3]);
    a.dy = n->var.d;
    a.dx = lb_node_grad(g, n->in[0]), a.dv = lb_node_grad(g, n->in[1]);
    if (dhi && !(a.df_hi = lb_node_take(g, groups))) return;
    if (dlo && !(a.df_lo = lb_node_take(g, groups))) return;
    lb_node_run(g, &lb_op_fake_quant_back, &a);
    if (!lb_grad_is_dry(g)) {
        add_factors(dhi, a.n_factor, a.df_hi, a.n_group);
        add_factors(dlo, a.n_factor, a.df_lo, a.n_group);
    }
    lb_node_give(g, a.df_hi, groups);
    lb_node_give(g, a.df_lo, groups);
}

static lb_var *fake_quant(lb_grad *g, lb_fake_quant a, lb_var *x, lb_var *v, lb_var *hi, lb_var *lo)
{
    if (!lb_node_ready(g)) return NULL;
    if (a.bits < 2 || a.bits > 8)
        return lb_node_fail(g, LB_EUSAGE, "fake quantization has 2 to 8 bits, not %d", a.bits);
    if (a.half && a.bits != 2) return lb_node_fail(g, LB_EUSAGE, "the balanced grid has 2 bits, not %d", a.bits);
    if (a.len <= 0 || x->k % a.len != 0)
        return lb_node_fail(g, LB_EUSAGE, "groups of %d do not divide rows of %d numbers", a.len, x->k);
    a.n_group = (int)(lb_node_count(x) / (size_t)a.len);
    a.n_factor = hi ? (int)lb_node_count(hi) : lo ? (int)lb_node_count(lo) : 1;
    if (a.n_group % a.n_factor != 0 || (hi && lo && lb_node_count(hi) != lb_node_count(lo)))
        return lb_node_fail(g, LB_EUSAGE, "%d and %d range factors for %d groups", hi ? (int)lb_node_count(hi) : 0,
                            lo ? (int)lb_node_count(lo) : 0, a.n_group);
    lb_node *y = lb_node_new(g, x->n, x->k, NULL, fq_back, (lb_var *const[]){x, v, hi, lo}, 4);
    if (!y || !(y->aux = lb_node_aux(g, sizeof a))) return NULL;
    a.x = x->v, a.v = v ? v->v : NULL, a.f_hi = hi ? hi->v : NULL, a.f_lo = lo ? lo->v : NULL, a.y = y->var.v;
    memcpy(y->aux, &a, sizeof a);
    lb_node_run(g, &lb_op_fake_quant, &a);
    return &y->var;
}

lb_var *lb_grad_act_fq(lb_grad *g, lb_var *x, const lb_act_fq *q)
{
    if (!lb_node_ready(g) || !x) return NULL;
    lb_fake_quant a = {.kind = q->kv ? LB_FQ_KV : LB_FQ_ACT, .bits = q->bits, .scale_type = LB_F32, .len = q->len ? q->len : x->k,
                       .hi_const = q->clip_hi != 0 ? q->clip_hi : 1, .lo_const = q->clip_lo != 0 ? q->clip_lo : 1};
    return fake_quant(g, a, x, NULL, sigmoid(g, q->c_hi), sigmoid(g, q->c_lo));
}

/* Clips and factors of weights have one number for each group. */
static bool per_group(lb_grad *g, const lb_var *f, const lb_var *w, int group)
{
    if (!f || group <= 0 || lb_node_count(f) == lb_node_count(w) / (size_t)group) return true;
    lb_node_fail(g, LB_EUSAGE, "weights [%d,%d] in groups of %d want %zu range factors, got [%d,%d]", w->n, w->k, group,
                 lb_node_count(w) / (size_t)group, f->n, f->k);
    return false;
}

static bool scale_ok(lb_grad *g, lb_dtype t)
{
    if (t == LB_F32 || t == LB_BF16 || t == LB_F16) return true;
    lb_node_fail(g, LB_EUSAGE, "scales are F32, BF16 or F16, not %s", lb_dtype_name(t));
    return false;
}

lb_var *lb_grad_weight_fq(lb_grad *g, lb_var *w, const lb_weight_fq *q)
{
    int len = q->group ? q->group : w ? w->k : 0;
    if (!lb_node_ready(g) || !w || !scale_ok(g, q->scale_type)) return NULL;
    if (!per_group(g, q->c_hi, w, len) || !per_group(g, q->c_lo, w, len)) return NULL;
    lb_fake_quant a = {.kind = q->sym || q->half ? LB_FQ_SYM : LB_FQ_ASYM, .bits = q->bits, .half = q->half,
                       .scale_type = q->scale_type, .len = len, .hi_const = 1, .lo_const = 1};
    return fake_quant(g, a, w, NULL, sigmoid(g, q->c_hi), sigmoid(g, q->c_lo));
}

lb_var *lb_grad_weight_grid(lb_grad *g, lb_var *w, const lb_weight_grid *q)
{
    int len = q->group ? q->group : w ? w->k : 0;
    if (!lb_node_ready(g) || !w || !q->scale || (!q->zero && !q->half) || !scale_ok(g, q->scale_type)) return NULL;
    if (!per_group(g, q->scale, w, len) || !per_group(g, q->zero, w, len)) return NULL;
    lb_fake_quant a = {.kind = LB_FQ_GRID, .bits = q->bits, .half = q->half, .scale_type = q->scale_type, .len = len};
    return fake_quant(g, a, w, NULL, q->scale, q->half ? NULL : q->zero);
}

lb_var *lb_grad_signround(lb_grad *g, lb_var *w, const lb_signround *q)
{
    int len = q->group ? q->group : w ? w->k : 0;
    if (!lb_node_ready(g) || !w || !scale_ok(g, q->scale_type)) return NULL;
    if (q->v && lb_node_count(q->v) != lb_node_count(w))
        return lb_node_fail(g, LB_EUSAGE, "weights [%d,%d] and offsets [%d,%d]: shapes differ", w->n, w->k, q->v->n,
                            q->v->k);
    if (!per_group(g, q->a, w, len) || !per_group(g, q->b, w, len)) return NULL;
    lb_fake_quant a = {.kind = q->sym ? LB_FQ_SYM : LB_FQ_ASYM, .bits = q->bits, .scale_type = q->scale_type,
                       .len = len, .hi_const = 1, .lo_const = 1};
    return fake_quant(g, a, w, q->v, q->a, q->b);
}
