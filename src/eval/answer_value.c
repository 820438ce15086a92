/* eval/answer_value.c – trees as rational functions, and what follows from their being equal or not. */
#include "eval/answer_algebra.h"
#include "eval/answer_number.h"
#include "eval/answer_tree.h"
#include <stdio.h>
#include <string.h>

enum { MAX_FACT = 2000 };

/* ---- trees to values ---- */

typedef struct src {
    const lb_tree *t;
    int pm;
} src;

static bool eval(lb_algebra *A, src s, int at, bool top, lb_val *r);

static bool number(lb_algebra *A, const char *s, lb_val *r)
{
    double n = (double)strlen(s);
    if (!lb_alg_charge(A, 10 + n * n / 300)) return false;
    fmpq_t c;
    fmpq_init(c);
    bool ok = lb_number_parse(s, c) || lb_alg_stop(A, "a number is too long to compare");
    if (ok) fmpq_mpoly_set_fmpq(r->n, c, A->ctx), fmpq_mpoly_one(r->d, A->ctx);
    fmpq_clear(c);
    return ok;
}

static bool sum(lb_algebra *A, src s, int at, lb_val *r)
{
    const lb_node *node = s.t->node;
    lb_val x;
    lb_val_init(A, &x);
    fmpq_mpoly_zero(r->n, A->ctx), fmpq_mpoly_one(r->d, A->ctx);
    bool ok = true;
    for (int k = node[at].first; ok && k >= 0; k = node[k].next) {
        char join = node[k].join;
        if ((join == 'p' || join == 'm') && !s.pm) ok = lb_alg_stop(A, "± is not understood there");
        ok = ok && eval(A, s, k, false, &x);
        if (ok && (join == '-' || (join == 'p' && s.pm < 0) || (join == 'm' && s.pm > 0))) lb_val_neg(A, &x);
        ok = ok && lb_val_add(A, r, r, &x);
    }
    lb_val_clear(A, &x);
    return ok;
}

static bool product(lb_algebra *A, src s, int at, lb_val *r)
{
    const lb_node *node = s.t->node;
    lb_val x;
    lb_val_init(A, &x);
    fmpq_mpoly_one(r->n, A->ctx), fmpq_mpoly_one(r->d, A->ctx);
    bool ok = true;
    for (int k = node[at].first; ok && k >= 0; k = node[k].next) {
        ok = eval(A, s, k, false, &x);
        if (ok && node[k].join == '/') ok = lb_val_invert(A, &x);
        ok = ok && lb_val_mul(A, r, r, &x);
    }
    lb_val_clear(A, &x);
    return ok;
}

static bool function(lb_algebra *A, src s, int at, lb_val *r)
{
    const lb_node *node = s.t->node;
    const char *name = lb_tree_text(s.t, node[at].text);
    int a = node[at].first, b = node[a].next;
    lb_val x, y;
    fmpq_t c;
    lb_val_init(A, &x), lb_val_init(A, &y), fmpq_init(c);
    bool ok = eval(A, s, a, false, &x) && (b < 0 || eval(A, s, b, false, &y));
    bool absolute = !strcmp(name, "abs"), down = !strcmp(name, "floor"), up = !strcmp(name, "ceil");
    if (ok && (absolute || down || up) && lb_val_rational(A, &x, c)) {
        if (absolute) fmpq_abs(c, c);
        if (down) fmpz_fdiv_q(fmpq_numref(c), fmpq_numref(c), fmpq_denref(c));
        if (up) fmpz_cdiv_q(fmpq_numref(c), fmpq_numref(c), fmpq_denref(c));
        if (!absolute) fmpz_one(fmpq_denref(c));
        fmpq_mpoly_set_fmpq(r->n, c, A->ctx), fmpq_mpoly_one(r->d, A->ctx);
    } else if (ok) {
        if (absolute && !fmpq_mpoly_is_zero(x.n, A->ctx)) {    /* |−x| is |x| */
            fmpq_mpoly_get_term_coeff_fmpq(c, x.n, 0, A->ctx);
            if (fmpq_sgn(c) < 0) lb_val_neg(A, &x);
        }
        bool done = false;
        if (b < 0) ok = lb_val_euler(A, r, name, &x, &done);
        if (ok && !done) ok = lb_val_opaque(A, r, name, &x, b < 0 ? NULL : &y);
    }
    lb_val_clear(A, &x), lb_val_clear(A, &y), fmpq_clear(c);
    return ok;
}

static bool combinatorial(lb_algebra *A, src s, int at, lb_val *r)
{
    const lb_node *node = s.t->node;
    int a = node[at].first, b = node[a].next;
    slong n = 0, k = 0;
    fmpz_t f;
    fmpz_init(f);
    bool ok = eval(A, s, a, false, r);
    if (ok && !lb_val_small(A, r, 0, MAX_FACT, &n))
        ok = lb_alg_stop(A, "a factorial or binomial is not of a small integer");
    if (ok && b >= 0) {
        ok = eval(A, s, b, false, r);
        if (ok && !lb_val_small(A, r, 0, MAX_FACT, &k)) ok = lb_alg_stop(A, "a binomial is not of integers");
    }
    if (ok && lb_alg_charge(A, 1000)) {
        if (b < 0) fmpz_fac_ui(f, (ulong)n);
        else fmpz_bin_uiui(f, (ulong)n, (ulong)k);
        lb_val_set_fmpz(A, r, f);
    }
    fmpz_clear(f);
    return ok && !A->error;
}

static bool eval(lb_algebra *A, src s, int at, bool top, lb_val *r)
{
    const lb_node *x = &s.t->node[at];
    lb_val e;
    bool ok;
    if (!lb_alg_charge(A, 20)) return false;
    if (x->unit && !top) return lb_alg_stop(A, "a unit stands inside an expression");
    switch ((lb_node_kind)x->kind) {
    case LB_NODE_NUM: return number(A, lb_tree_text(s.t, x->text), r);
    case LB_NODE_SYM:
        if (!strcmp(lb_tree_text(s.t, x->text), "i")) return lb_val_i(A, r);
        return lb_val_name(A, r, lb_tree_text(s.t, x->text));
    case LB_NODE_PI: return lb_val_name(A, r, "#pi");
    case LB_NODE_SUM: return sum(A, s, at, r);
    case LB_NODE_PROD: return product(A, s, at, r);
    case LB_NODE_FUNC: return function(A, s, at, r);
    case LB_NODE_FACT: case LB_NODE_BINOM: return combinatorial(A, s, at, r);
    case LB_NODE_ROOT: case LB_NODE_POW: {
        int a = x->first, b = s.t->node[a].next;
        slong q = 2;
        lb_val_init(A, &e);
        ok = eval(A, s, a, false, r) && (b < 0 || eval(A, s, b, false, &e));
        if (ok && x->kind == LB_NODE_POW) ok = lb_val_raise(A, r, &e);
        else if (ok && b >= 0 && !lb_val_small(A, &e, 1, 64, &q))
            ok = lb_alg_stop(A, "a root of a degree that is not 1 to 64");
        else if (ok) ok = lb_val_root(A, r, (ulong)q);
        lb_val_clear(A, &e);
        return ok;
    }
    default: return lb_alg_stop(A, "a list, interval, text or infinity stands inside an expression");
    }
}

static bool operand(lb_algebra *A, lb_operand o, lb_val *r)
{
    src s = {o.t, o.pm};
    if (!eval(A, s, o.node, true, r)) return false;
    if (o.minus < 0) return true;
    lb_val b;
    lb_val_init(A, &b);
    bool ok = eval(A, s, o.minus, true, &b);
    if (ok) lb_val_neg(A, &b), ok = lb_val_add(A, r, r, &b);
    lb_val_clear(A, &b);
    return ok;
}

/* ---- the verdict ---- */

/* An upper bound for the generators that a subtree needs: names once each over both trees is left to the caller. */
static int count_gens(const lb_tree *t, int at, const char **name, int n)
{
    const lb_node *x = &t->node[at];
    const char *add = NULL;
    int more = 0;
    if (n > LB_ALG_GENS) return n;
    if (x->kind == LB_NODE_SYM) add = lb_tree_text(t, x->text);
    else if (x->kind == LB_NODE_PI) add = "#pi";
    else if (x->kind == LB_NODE_FUNC) more = 4;
    else if (x->kind == LB_NODE_ROOT) more = 4;
    else if (x->kind == LB_NODE_POW && t->node[t->node[x->first].next].kind != LB_NODE_NUM) more = 4;
    for (int i = 0; add && i < n; i++)
        if (name[i] && !strcmp(name[i], add)) add = NULL;
    if (add) name[n++] = add;
    while (more-- > 0 && n <= LB_ALG_GENS) name[n++] = NULL;
    for (int k = x->first; k >= 0 && n <= LB_ALG_GENS; k = t->node[k].next) n = count_gens(t, k, name, n);
    return n;
}

static int generators(lb_operand g, lb_operand a)
{
    const char *name[LB_ALG_GENS + 1];
    int n = count_gens(g.t, g.node, name, 0);
    if (g.minus >= 0) n = count_gens(g.t, g.minus, name, n);
    n = count_gens(a.t, a.node, name, n);
    if (a.minus >= 0) n = count_gens(a.t, a.minus, name, n);
    return n < 1 ? 1 : n > LB_ALG_GENS ? LB_ALG_GENS : n;
}

static bool has_opaque(const lb_algebra *A, const fmpq_mpoly_t a)
{
    for (int g = 0; g < A->n_gen; g++)
        if (A->gen[g].kind == LB_GEN_OPAQUE && fmpq_mpoly_degree_si(a, g, A->ctx) > 0) return true;
    return false;
}

/* n = c·m for a rational c, which may have to be positive. */
static bool proportional(lb_algebra *A, fmpq_mpoly_t n, fmpq_mpoly_t m, bool positive, bool *yes)
{
    if (fmpq_mpoly_is_zero(n, A->ctx) || fmpq_mpoly_is_zero(m, A->ctx)) {
        *yes = fmpq_mpoly_is_zero(n, A->ctx) && fmpq_mpoly_is_zero(m, A->ctx);
        return true;
    }
    double limbs = 1 + (lb_poly_bits(n) + lb_poly_bits(m)) / 64;
    if (!lb_alg_charge(A, 20 + (double)fmpq_mpoly_length(n, A->ctx) * limbs)) return false;
    fmpq_t a, b;
    fmpq_init(a), fmpq_init(b);
    fmpq_mpoly_get_term_coeff_fmpq(a, n, 0, A->ctx);
    fmpq_mpoly_get_term_coeff_fmpq(b, m, 0, A->ctx);
    bool sign_ok = !positive || fmpq_sgn(a) == fmpq_sgn(b);
    fmpq_mpoly_scalar_mul_fmpq(n, n, b, A->ctx);
    fmpq_mpoly_scalar_mul_fmpq(m, m, a, A->ctx);
    *yes = sign_ok && fmpq_mpoly_equal(n, m, A->ctx);
    fmpq_clear(a), fmpq_clear(b);
    return true;
}

static bool decide(lb_algebra *A, lb_val *g, lb_val *a, lb_compare how, bool *equal)
{
    if (how == LB_PROPORTIONAL || how == LB_PROPORTIONAL_UP) {
        if (!fmpq_mpoly_is_one(g->d, A->ctx) || !fmpq_mpoly_is_one(a->d, A->ctx))
            return lb_alg_stop(A, "an equation with a variable in a denominator");
        bool linear = fmpq_mpoly_total_degree_si(g->n, A->ctx) <= 1 && fmpq_mpoly_total_degree_si(a->n, A->ctx) <= 1;
        if (!proportional(A, g->n, a->n, how == LB_PROPORTIONAL_UP, equal)) return false;
        if (!*equal && !linear) A->inexact = true;             /* other equations may have the same solutions */
        return true;
    }
    fmpq_mpoly_t l, r, d;
    fmpq_mpoly_init(l, A->ctx), fmpq_mpoly_init(r, A->ctx), fmpq_mpoly_init(d, A->ctx);
    bool ok = lb_poly_mul(A, l, g->n, a->d) && lb_poly_mul(A, r, a->n, g->d);
    if (ok && how == LB_HUNDREDFOLD) fmpq_mpoly_scalar_mul_ui(l, l, 100, A->ctx);
    if (ok && how == LB_HUNDREDTH) fmpq_mpoly_scalar_mul_ui(r, r, 100, A->ctx);
    *equal = ok && fmpq_mpoly_equal(l, r, A->ctx);
    /* A denominator such as sin(0) may vanish unseen: then only the same denominator proves anything. */
    bool same = false;
    if (*equal && (has_opaque(A, g->d) || has_opaque(A, a->d) || A->inexact) &&
        !(fmpq_mpoly_is_one(g->d, A->ctx) && fmpq_mpoly_is_one(a->d, A->ctx))) {
        fmpq_mpoly_set(d, g->d, A->ctx);
        ok = proportional(A, d, a->d, false, &same);
        if (!same) *equal = false, A->inexact = true;
    }
    fmpq_mpoly_clear(l, A->ctx), fmpq_mpoly_clear(r, A->ctx), fmpq_mpoly_clear(d, A->ctx);
    return ok;
}

lb_verdict lb_value_algebraic(lb_operand gold, lb_operand answer, lb_compare how, long *work, bool *final,
                              char why[LB_TREE_WHY])
{
    lb_algebra A = {.work = work};
    lb_val g, a;
    bool equal = false;
    A.max_gen = generators(gold, answer);
    fmpq_mpoly_ctx_init(A.ctx, A.max_gen, ORD_LEX);
    lb_val_init(&A, &g), lb_val_init(&A, &a);
    const char *who = "the gold answer: ";
    bool ok = lb_alg_charge(&A, 50) && operand(&A, gold, &g);
    if (ok) who = "the answer: ", ok = operand(&A, answer, &a);
    if (ok) who = "", ok = decide(&A, &g, &a, how, &equal);
    lb_verdict v = !ok ? LB_UNKNOWN : equal ? LB_RIGHT : A.inexact ? LB_UNKNOWN : LB_WRONG;
    *final = v != LB_UNKNOWN;
    if (!ok) snprintf(why, LB_TREE_WHY, "%s%s", who, A.error ? A.error : "not understood");
    else if (v == LB_UNKNOWN) snprintf(why, LB_TREE_WHY, "equality of these forms is not decided");
    else if (v == LB_WRONG) snprintf(why, LB_TREE_WHY, "the values differ");
    lb_val_clear(&A, &g), lb_val_clear(&A, &a);
    for (int i = 0; i < A.n_gen; i++) {
        for (int k = 0; k < A.gen[i].n_arg; k++) lb_val_clear(&A, &A.gen[i].arg[k]);
        fmpz_clear(A.gen[i].p);
    }
    fmpq_mpoly_ctx_clear(A.ctx);
    return v;
}
