/* model/grad_mat.c – products of matrices on the tape: linear layers, Kronecker transforms, inverses. */
#include "kern/gemm.h"
#include "kern/grad_elem.h"
#include "model/grad_node.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* dst[k] += Σ over rows of dy[n,k]. */
static void add_rows(lb_grad *g, float *dst, const lb_var *dy)
{
    lb_col_dot a = {.y = dst, .a = dy->d, .n_row = dy->n, .d = dy->k};
    if (dst) lb_node_run(g, &lb_op_col_dot, &a);
}

/* ---- y = x·wᵀ + b ---- */
static void linear_back(lb_grad *g, lb_node *n)
{
    const lb_var *x = &n->in[0]->var, *w = &n->in[1]->var;
    bool x_fresh, w_fresh;
    float *dx = lb_node_grad_or_fresh(g, n->in[0], &x_fresh), *dw = lb_node_grad_or_fresh(g, n->in[1], &w_fresh);
    float *db = lb_node_grad(g, n->in[2]);
    lb_gemm to_x = {.c = dx, .a = n->var.d, .b = w->v, .m = x->n, .n = x->k, .k = w->n, .add = !x_fresh};
    lb_gemm to_w = {.c = dw, .a = n->var.d, .ta = true, .b = x->v, .m = w->n, .n = x->k, .k = x->n, .add = !w_fresh};
    if (dx) lb_node_linear(g, to_x);
    if (dw) lb_node_linear(g, to_w);
    add_rows(g, db, &n->var);
}

lb_var *lb_grad_linear(lb_grad *g, lb_var *x, lb_var *w, lb_var *b)
{
    if (!lb_node_ready(g) || !x || !w) return NULL;
    if (x->k != w->k)
        return lb_node_fail(g, LB_EUSAGE, "x [%d,%d] times w [%d,%d]ᵀ: columns differ", x->n, x->k, w->n, w->k);
    if (b && lb_node_count(b) != (size_t)w->n)
        return lb_node_fail(g, LB_EUSAGE, "w [%d,%d] wants a bias of %d, got [%d,%d]", w->n, w->k, w->n, b->n, b->k);
    lb_node *y = lb_node_new(g, x->n, w->n, NULL, linear_back, (lb_var *const[]){x, w, b}, 3);
    if (!y) return NULL;
    lb_gemm a = {.c = y->var.v, .a = x->v, .b = w->v, .tb = true, .bias = b ? b->v : NULL,
                 .m = x->n, .n = w->n, .k = x->k};
    lb_node_linear(g, a);
    return &y->var;
}

/* ---- Y = Aᵀ·X·B of every row; aux: Z = X·B where both are there ---- */
/* y[r] (+)= op(a)·x[r] for n matrices x[r] [m,k]. */
static void from_left(lb_grad *g, float *y, const float *a, bool turn, const float *x, int n, int m, int k, bool add)
{
    size_t step = (size_t)m * (size_t)k;
    lb_gemm p = {.c = y, .a = a, .ta = turn, .b = x, .m = m, .n = k, .k = m, .n_batch = n, .step_b = step,
                 .step_c = step, .add = add};
    lb_node_run(g, &lb_op_gemm, &p);
}

static void kron_back(lb_grad *g, lb_node *n)
{
    lb_node *x = n->in[0], *a = n->in[1], *b = n->in[2];
    int na = a ? a->var.n : n->var.k / b->var.n, nb = n->var.k / na, rows = n->var.n;
    size_t step = (size_t)na * (size_t)nb, count = lb_node_count(&n->var);
    const float *z = n->aux ? n->aux : x->var.v;
    float *da = lb_node_grad(g, a), *db = lb_node_grad(g, b), *dx = lb_node_grad(g, x), *dz = n->var.d;
    if (da) {
        lb_gemm p = {.c = da, .a = z, .b = n->var.d, .tb = true, .m = na, .n = na, .k = nb, .n_batch = rows,
                     .step_a = step, .step_b = step, .sum = true, .add = true};
        lb_node_run(g, &lb_op_gemm, &p);
    }
    if (!b) {
        if (dx) from_left(g, dx, a->var.v, false, n->var.d, rows, na, nb, true);
        return;
    }
    if (!db && !dx) return;
    if (a) {
        if (!(dz = lb_node_take(g, count))) return;
        from_left(g, dz, a->var.v, false, n->var.d, rows, na, nb, false);
    }
    lb_gemm to_b = {.c = db, .a = x->var.v, .ta = true, .b = dz, .m = nb, .n = nb, .k = rows * na, .add = true};
    lb_gemm to_x = {.c = dx, .a = dz, .b = b->var.v, .tb = true, .m = rows * na, .n = nb, .k = nb, .add = true};
    if (db) lb_node_run(g, &lb_op_gemm, &to_b);
    if (dx) lb_node_run(g, &lb_op_gemm, &to_x);
    if (a) lb_node_give(g, dz, count);
}

lb_var *lb_grad_kron(lb_grad *g, lb_var *x, lb_var *a, lb_var *b)
{
    if (!lb_node_ready(g) || !x || (!a && !b)) return NULL;
    if ((a && a->n != a->k) || (b && b->n != b->k))
        return lb_node_fail(g, LB_EUSAGE, "a transform is square, this one is [%d,%d]", a && a->n != a->k ? a->n : b->n,
                            a && a->n != a->k ? a->k : b->k);
    int fixed = (a ? a->n : 1), width = (b ? b->n : 1);
    if (a && b ? (int64_t)fixed * width != x->k : x->k % (fixed * width) != 0)
        return lb_node_fail(g, LB_EUSAGE, "rows of %d numbers are no matrix for transforms of %d × %d", x->k, fixed,
                            width);
    if ((int64_t)x->n * (a ? fixed : x->k / width) > INT32_MAX)
        return lb_node_fail(g, LB_EUSAGE, "[%d,%d] is too large for one transform", x->n, x->k);
    int na = a ? a->n : x->k / b->n, nb = x->k / na;
    lb_node *y = lb_node_new(g, x->n, x->k, NULL, kron_back, (lb_var *const[]){x, a, b}, 3);
    if (!y) return NULL;
    const float *z = x->v;
    if (b) {
        float *out = a ? lb_node_floats(g, lb_node_count(x)) : y->var.v;
        lb_gemm p = {.c = out, .a = x->v, .b = b->v, .m = x->n * na, .n = nb, .k = nb};
        if (!out) return NULL;
        lb_node_run(g, &lb_op_gemm, &p);
        z = out;
        if (a) y->aux = out;
    }
    if (a) from_left(g, y->var.v, a->v, true, z, x->n, na, nb, false);
    return &y->var;
}

/* ---- inverse ---- */
/* inv = p⁻¹ by Gauss–Jordan elimination with partial pivoting; m is room for [n,2n]. False if a pivot vanishes. */
static bool invert(const float *p, int n, double *m, double *inv)
{
    size_t w = 2 * (size_t)n;
    double most = 0;
    for (size_t i = 0; i < (size_t)n; i++)
        for (size_t j = 0; j < (size_t)n; j++) {
            m[i * w + j] = (double)p[i * (size_t)n + j];
            m[i * w + (size_t)n + j] = i == j;
            most = fmax(most, fabs(m[i * w + j]));
        }
    for (size_t c = 0; c < (size_t)n; c++) {
        size_t pivot = c;
        for (size_t i = c + 1; i < (size_t)n; i++)
            if (fabs(m[i * w + c]) > fabs(m[pivot * w + c])) pivot = i;
        if (!(fabs(m[pivot * w + c]) > most * 1e-13 * n) || !isfinite(m[pivot * w + c])) return false;
        for (size_t j = 0; j < w && pivot != c; j++) {
            double t = m[c * w + j];
            m[c * w + j] = m[pivot * w + j];
            m[pivot * w + j] = t;
        }
        double scale = 1 / m[c * w + c];
        for (size_t j = 0; j < w; j++) m[c * w + j] *= scale;
        for (size_t i = 0; i < (size_t)n; i++) {
            double f = m[i * w + c];
            if (i == c || f == 0) continue;
            for (size_t j = c; j < w; j++) m[i * w + j] -= f * m[c * w + j];
        }
    }
    for (size_t i = 0; i < (size_t)n; i++) memcpy(inv + i * (size_t)n, m + i * w + (size_t)n, (size_t)n * sizeof *inv);
    return true;
}

typedef struct inverse_aux {
    bool transpose;
    int n;
    double *inv;             /* [n,n] p⁻¹ */
    double *room;            /* [n,2n] */
} inverse_aux;

/* dP = −P⁻ᵀ·D·P⁻ᵀ with D = d(P⁻¹); the tape may hold the gradient of its transpose. */
static void inverse_back(lb_grad *g, lb_node *node)
{
    const inverse_aux *a = node->aux;
    size_t n = (size_t)a->n;
    float *dp = lb_node_grad(g, node->in[0]);
    double *t = a->room; /* D·P⁻ᵀ: t[k,j] = Σ_l D[k,l]·inv[j,l] */
    if (!dp || lb_grad_is_dry(g)) return;
    for (size_t k = 0; k < n; k++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t l = 0; l < n; l++)
                sum += (double)node->var.d[a->transpose ? l * n + k : k * n + l] * a->inv[j * n + l];
            t[k * n + j] = sum;
        }
    double *row = t + n * n;
    for (size_t i = 0; i < n; i++) {
        memset(row, 0, n * sizeof *row);
        for (size_t k = 0; k < n; k++)
            for (size_t j = 0; j < n; j++) row[j] += a->inv[k * n + i] * t[k * n + j];
        for (size_t j = 0; j < n; j++) dp[i * n + j] = (float)((double)dp[i * n + j] - row[j]);
    }
}

lb_var *lb_grad_inverse(lb_grad *g, lb_var *p, bool transpose)
{
    if (!lb_node_ready(g) || !p) return NULL;
    if (p->n != p->k) return lb_node_fail(g, LB_EUSAGE, "only a square matrix has an inverse, not [%d,%d]", p->n, p->k);
    size_t n = (size_t)p->n;
    inverse_aux *a = lb_node_aux(g, sizeof *a);
    double *m = a ? lb_node_aux(g, 3 * n * n * sizeof *m) : NULL;
    if (!m) return NULL;
    *a = (inverse_aux){.transpose = transpose, .n = p->n, .inv = m, .room = m + n * n};
    bool dry = lb_grad_is_dry(g);
    if (!dry && !invert(p->v, p->n, a->room, a->inv))
        return lb_node_fail(g, LB_ENUMERIC, "a transform [%d,%d] has become singular; lower its learning rate", p->n,
                            p->k);
    lb_node *y = lb_node_new(g, p->n, p->k, NULL, inverse_back, &p, 1);
    if (!y) return NULL;
    y->aux = a;
    for (size_t i = 0; i < n && !dry; i++)
        for (size_t j = 0; j < n; j++) y->var.v[transpose ? j * n + i : i * n + j] = (float)a->inv[i * n + j];
    return &y->var;
}
