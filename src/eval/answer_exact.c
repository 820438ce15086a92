/* eval/answer_exact.c – one evaluator over two kinds of numbers; the only file that knows Arb and Calcium.
 *
 * Conventions, the same as in answer_value.c: e is Euler's number, i is √−1; an odd root of a negative real number is
 * real, every other power, root and logarithm is the principal one.
 *
 * Every step of an enclosure has a fixed precision, so its cost follows from the number of nodes, which *work bounds; a
 * tower such as 10^10^10 becomes a ball with a large exponent, or [0, ∞] and with it nothing. For Calcium exponents are
 * checked before a power is built; the rest is bounded by the limits of the process that calls it. */
#include "eval/answer_exact.h"
#include "eval/answer_number.h"
#if __has_include(<flint/ca.h>)
#include <flint/acb.h>         /* FLINT 3 */
#include <flint/ca.h>
#else
#include <acb.h>
#include <calcium/ca.h>
#endif
#include <stdio.h>
#include <string.h>

enum {
    MAX_NAMES = 16,
    N_POSITIVE = 8, N_MIXED = 8, N_WHOLE = 3, N_POINT = N_POSITIVE + N_MIXED + N_WHOLE,
    ENOUGH_POSITIVE = 6,       /* points where both must be defined */
    PREC_FIRST = 128,          /* enough to tell what differs */
    PREC = 1024,
    PREC_WANTED = 900,         /* bits of a difference that is called 0; LB_SAMPLED_DIGITS of them */
    RATIONAL_BITS = 4096,      /* of an exponent, and of everything on the way to it */
    EXACT_POWER = 4096, EXACT_POWER_BITS = 1 << 16,
    MAX_FACT = 2000
};

typedef union num {
    acb_struct b;
    ca_struct c;
} num;

typedef struct calc {
    const lb_tree *t;
    int pm;
    ca_ctx_struct *ctx;        /* NULL: enclosures of prec bits */
    slong prec;
    bool decimal_log;
    const char *name[MAX_NAMES];
    fmpq value[MAX_NAMES];
    int n_name;
    long *work;
    const char *error;         /* static text */
} calc;

static bool eval(calc *c, int at, bool top, num *r);

static bool stop(calc *c, const char *why)
{
    if (!c->error) c->error = why;
    return false;
}

static bool charge(calc *c, long cost)
{
    if (c->error) return false;
    if (!c->work || (*c->work -= cost) >= 0) return true;
    return stop(c, "too costly to compare");
}

/* ---- numbers of either kind ---- */

static void init(calc *c, num *x) { if (c->ctx) ca_init(&x->c, c->ctx); else acb_init(&x->b); }
static void clear(calc *c, num *x) { if (c->ctx) ca_clear(&x->c, c->ctx); else acb_clear(&x->b); }
static void swap(calc *c, num *x, num *y) { if (c->ctx) ca_swap(&x->c, &y->c, c->ctx); else acb_swap(&x->b, &y->b); }

static void set_rational(calc *c, num *r, const fmpq_t q)
{
    if (c->ctx) ca_set_fmpq(&r->c, q, c->ctx);
    else acb_set_fmpq(&r->b, q, c->prec);
}

static void set_integer(calc *c, num *r, slong k)
{
    if (c->ctx) ca_set_si(&r->c, k, c->ctx);
    else acb_set_si(&r->b, k);
}

static void set_i(calc *c, num *r) { if (c->ctx) ca_i(&r->c, c->ctx); else acb_onei(&r->b); }
static void set_pi(calc *c, num *r) { if (c->ctx) ca_pi(&r->c, c->ctx); else acb_const_pi(&r->b, c->prec); }

static bool add(calc *c, num *r, const num *x)
{
    if (c->ctx) ca_add(&r->c, &r->c, &x->c, c->ctx);
    else acb_add(&r->b, &r->b, &x->b, c->prec);
    return charge(c, 20 + c->prec / 16);
}

static bool multiply(calc *c, num *r, const num *x)
{
    if (c->ctx) ca_mul(&r->c, &r->c, &x->c, c->ctx);
    else acb_mul(&r->b, &r->b, &x->b, c->prec);
    return charge(c, 20 + c->prec / 8);
}

static void negate(calc *c, num *r) { if (c->ctx) ca_neg(&r->c, &r->c, c->ctx); else acb_neg(&r->b, &r->b); }

static bool divide(calc *c, num *r, const num *x)
{
    if (c->ctx) ca_div(&r->c, &r->c, &x->c, c->ctx);
    else acb_div(&r->b, &r->b, &x->b, c->prec);
    return charge(c, 20 + c->prec / 4);
}

static bool invert(calc *c, num *r)
{
    num one;
    init(c, &one);
    set_integer(c, &one, 1);
    bool ok = divide(c, &one, r);
    swap(c, r, &one);
    clear(c, &one);
    return ok;
}

/* The functions that both libraries have. */
typedef struct basic {
    const char *name;
    void (*exact)(ca_t, const ca_t, ca_ctx_t);
    void (*ball)(acb_t, const acb_t, slong);
} basic;

static void ball_abs(acb_t r, const acb_t x, slong prec)
{
    arb_t a;
    arb_init(a);
    acb_abs(a, x, prec);
    acb_set_arb(r, a);
    arb_clear(a);
}

static void ball_round(acb_t r, const acb_t x, slong prec, void (*round)(arb_t, const arb_t, slong))
{
    if (!arb_is_zero(acb_imagref(x))) {
        acb_indeterminate(r);
        return;
    }
    round(acb_realref(r), acb_realref(x), prec);
    arb_zero(acb_imagref(r));
}

static void ball_floor(acb_t r, const acb_t x, slong prec) { ball_round(r, x, prec, arb_floor); }
static void ball_ceil(acb_t r, const acb_t x, slong prec) { ball_round(r, x, prec, arb_ceil); }
static void exact_sin(ca_t r, const ca_t x, ca_ctx_t ctx) { ca_sin_cos(r, NULL, x, ctx); }
static void exact_cos(ca_t r, const ca_t x, ca_ctx_t ctx) { ca_sin_cos(NULL, r, x, ctx); }

enum { EXP, LOG, SIN, COS, SQRT };
static const basic basics[] = {
    [EXP] = {"exp", ca_exp, acb_exp}, [LOG] = {"ln", ca_log, acb_log}, [SIN] = {"sin", exact_sin, acb_sin},
    [COS] = {"cos", exact_cos, acb_cos}, [SQRT] = {"", ca_sqrt, acb_sqrt},
    {"tan", ca_tan, acb_tan}, {"arcsin", ca_asin, acb_asin}, {"arccos", ca_acos, acb_acos},
    {"arctan", ca_atan, acb_atan}, {"abs", ca_abs, ball_abs}, {"floor", ca_floor, ball_floor},
    {"ceil", ca_ceil, ball_ceil},
};

static bool apply(calc *c, const basic *f, num *r)
{
    num y;
    if (!charge(c, 100 + c->prec)) return false;
    init(c, &y);
    if (c->ctx) f->exact(&y.c, &r->c, c->ctx);
    else f->ball(&y.b, &r->b, c->prec);
    swap(c, r, &y);
    clear(c, &y);
    return true;
}

/* ---- exact rationals, for exponents, degrees and factorials ---- */

static slong bits(const fmpq_t q)
{
    return (slong)(fmpz_bits(fmpq_numref(q)) + fmpz_bits(fmpq_denref(q)));
}

static bool small(const fmpq_t q, slong lo, slong hi, slong *out)
{
    if (!fmpz_is_one(fmpq_denref(q)) || fmpz_cmp_si(fmpq_numref(q), lo) < 0 || fmpz_cmp_si(fmpq_numref(q), hi) > 0)
        return false;
    *out = fmpz_get_si(fmpq_numref(q));
    return true;
}

/* r = the value of a subtree of rational numbers, none of them long; false if it is something else. */
static bool rational(calc *c, int at, fmpq_t r)
{
    const lb_node *node = c->t->node, *x = &node[at];
    int a = x->first, b = a < 0 ? -1 : node[a].next;
    slong n, k;
    bool ok = true;
    fmpq_t y;
    if (!charge(c, 20) || x->unit) return false;
    fmpq_init(y);
    switch ((lb_node_kind)x->kind) {
    case LB_NODE_NUM:
        ok = strlen(lb_tree_text(c->t, x->text)) < RATIONAL_BITS / 4 && lb_number_parse(lb_tree_text(c->t, x->text), r);
        break;
    case LB_NODE_SUM:
        fmpq_zero(r);
        for (int q = a; ok && q >= 0; q = node[q].next) {
            char join = node[q].join;
            ok = ((join != 'p' && join != 'm') || c->pm) && rational(c, q, y);
            if (ok && (join == '-' || (join == 'p' && c->pm < 0) || (join == 'm' && c->pm > 0))) fmpq_neg(y, y);
            if (ok) fmpq_add(r, r, y);
            ok = ok && bits(r) <= RATIONAL_BITS;
        }
        break;
    case LB_NODE_PROD:
        fmpq_one(r);
        for (int q = a; ok && q >= 0; q = node[q].next) {
            ok = rational(c, q, y) && !(node[q].join == '/' && fmpq_is_zero(y));
            if (ok && node[q].join == '/') fmpq_div(r, r, y);
            else if (ok) fmpq_mul(r, r, y);
            ok = ok && bits(r) <= RATIONAL_BITS;
        }
        break;
    case LB_NODE_POW:
        ok = rational(c, a, r) && rational(c, b, y) && small(y, -RATIONAL_BITS, RATIONAL_BITS, &k) &&
             bits(r) * (k < 0 ? -k : k) <= RATIONAL_BITS && !fmpq_is_zero(r);
        if (ok) fmpq_pow_si(r, r, k);
        break;
    case LB_NODE_FACT: case LB_NODE_BINOM:
        ok = rational(c, a, r) && small(r, 0, MAX_FACT, &n);
        if (ok && b >= 0) ok = rational(c, b, y) && small(y, 0, MAX_FACT, &k) && charge(c, 1000);
        if (!ok || (b < 0 && !charge(c, 1000))) { ok = false; break; }
        fmpz_one(fmpq_denref(r));
        if (b < 0) fmpz_fac_ui(fmpq_numref(r), (ulong)n);
        else fmpz_bin_uiui(fmpq_numref(r), (ulong)n, (ulong)k);
        break;
    default: ok = false;
    }
    fmpq_clear(y);
    return ok;
}

/* ---- powers and roots ---- */

static bool is_negative_real(calc *c, const num *x, bool *yes)
{
    if (!c->ctx) return *yes = arb_is_zero(acb_imagref(&x->b)) && arb_is_negative(acb_realref(&x->b)), true;
    truth_t t = ca_check_is_negative_real(&x->c, c->ctx);
    *yes = t == T_TRUE;
    return t != T_UNKNOWN || stop(c, "the sign of a radicand is not known");
}

static bool root(calc *c, num *r, slong q)
{
    bool negative = false;
    if (q == 1) return true;
    if (q == 2) return apply(c, &basics[SQRT], r);
    if (q % 2 && !is_negative_real(c, r, &negative)) return false;
    if (negative) negate(c, r);
    if (c->ctx) {
        fmpq_t e;
        fmpq_init(e);
        fmpq_set_si(e, 1, (ulong)q);
        ca_pow_fmpq(&r->c, &r->c, e, c->ctx);
        fmpq_clear(e);
    } else {
        acb_root_ui(&r->b, &r->b, (ulong)q, c->prec);
    }
    if (negative) negate(c, r);
    return charge(c, 100 + c->prec);
}

static bool contains_zero(calc *c, const num *x)
{
    return c->ctx ? ca_check_is_zero(&x->c, c->ctx) != T_FALSE : acb_contains_zero(&x->b);
}

/* Whether Calcium may build x^k. */
static bool power_fits(calc *c, const num *x, const fmpz_t k)
{
    if (fmpz_bits(k) > 30) return false;
    slong n = fmpz_get_si(k);
    if (n < 0) n = -n;
    fmpq_t q;
    fmpq_init(q);
    bool fits = ca_get_fmpq(q, &x->c, c->ctx) ? bits(q) <= 2 || bits(q) * n <= EXACT_POWER_BITS : n <= EXACT_POWER;
    fmpq_clear(q);
    return fits;
}

static bool whole_power(calc *c, num *r, const fmpz_t k)
{
    if (fmpz_sgn(k) <= 0 && contains_zero(c, r)) return stop(c, "division by zero, or 0^0");
    if (!c->ctx) acb_pow_fmpz(&r->b, &r->b, k, c->prec);
    else if (!power_fits(c, r, k)) return stop(c, "an exponent is too large to prove anything");
    else ca_pow_fmpz(&r->c, &r->c, k, c->ctx);
    return charge(c, 100 + c->prec + (long)fmpz_bits(k) * (20 + c->prec / 8));
}

/* r = r^e for a subtree e; of_e: r is Euler's number and was not evaluated. */
static bool power(calc *c, num *r, int e, bool of_e)
{
    fmpq_t q;
    fmpq_init(q);
    bool ok;
    if (!of_e && rational(c, e, q) && fmpz_cmp_ui(fmpq_denref(q), 64) <= 0) {
        ok = root(c, r, fmpz_get_si(fmpq_denref(q))) && whole_power(c, r, fmpq_numref(q));
    } else {
        num y;
        init(c, &y);
        ok = eval(c, e, false, &y);
        if (ok && of_e) {
            ok = apply(c, &basics[EXP], &y);
            swap(c, r, &y);
        } else if (ok && contains_zero(c, r)) {
            ok = stop(c, "a power of 0");
        } else if (ok && c->ctx) {
            ca_pow(&r->c, &r->c, &y.c, c->ctx);
        } else if (ok) {
            acb_pow(&r->b, &r->b, &y.b, c->prec);
        }
        ok = ok && charge(c, 200 + 2 * c->prec);
        clear(c, &y);
    }
    fmpq_clear(q);
    return ok;
}

/* ---- trees ---- */

static bool is_euler(const lb_tree *t, int at)
{
    return t->node[at].kind == LB_NODE_SYM && !strcmp(lb_tree_text(t, t->node[at].text), "e");
}

static bool name_value(calc *c, const char *s, num *r)
{
    if (!strcmp(s, "i")) return set_i(c, r), true;
    if (!strcmp(s, "e")) return set_integer(c, r, 1), apply(c, &basics[EXP], r);
    for (int i = 0; i < c->n_name; i++)
        if (!strcmp(c->name[i], s)) return set_rational(c, r, &c->value[i]), true;
    return stop(c, "a name has no value");
}

/* (e^x + s·e^−x) / 2 */
static bool hyperbolic(calc *c, num *x, int s)
{
    num y;
    fmpq_t half;
    init(c, &y), fmpq_init(half);
    fmpq_set_si(half, 1, 2);
    bool ok = apply(c, &basics[EXP], x);
    if (ok) {
        if (c->ctx) ca_set(&y.c, &x->c, c->ctx);
        else acb_set(&y.b, &x->b);
        ok = invert(c, &y);
        if (s < 0) negate(c, &y);
        ok = ok && add(c, x, &y);
        set_rational(c, &y, half);
        ok = ok && multiply(c, x, &y);
    }
    clear(c, &y), fmpq_clear(half);
    return ok;
}

static bool quotient(calc *c, num *x, bool (*over)(calc *, num *), bool (*under)(calc *, num *))
{
    num y;
    init(c, &y);
    if (c->ctx) ca_set(&y.c, &x->c, c->ctx);
    else acb_set(&y.b, &x->b);
    bool ok = over(c, x) && under(c, &y) && divide(c, x, &y);
    clear(c, &y);
    return ok;
}

static bool f_one(calc *c, num *x) { return set_integer(c, x, 1), true; }
static bool f_sin(calc *c, num *x) { return apply(c, &basics[SIN], x); }
static bool f_cos(calc *c, num *x) { return apply(c, &basics[COS], x); }
static bool f_sinh(calc *c, num *x) { return hyperbolic(c, x, -1); }
static bool f_cosh(calc *c, num *x) { return hyperbolic(c, x, 1); }

static const struct { const char *name; bool (*over)(calc *, num *), (*under)(calc *, num *); } quotients[] = {
    {"cot", f_cos, f_sin}, {"sec", f_one, f_cos}, {"csc", f_one, f_sin}, {"tanh", f_sinh, f_cosh},
    {"sech", f_one, f_cosh}, {"csch", f_one, f_sinh}, {"coth", f_cosh, f_sinh},
};

/* r = name(r). The inverses of cot, sec and csc are taken as arctan, arccos and arcsin of 1/x; arccot has two customs
 * for negative numbers and is left out. */
static bool function_value(calc *c, const char *name, num *r)
{
    if (!strcmp(name, "log")) name = "ln";
    for (size_t i = 0; i < sizeof basics / sizeof *basics; i++)
        if (!strcmp(basics[i].name, name)) return apply(c, &basics[i], r);
    for (size_t i = 0; i < sizeof quotients / sizeof *quotients; i++)
        if (!strcmp(quotients[i].name, name)) return quotient(c, r, quotients[i].over, quotients[i].under);
    if (!strcmp(name, "sinh")) return f_sinh(c, r);
    if (!strcmp(name, "cosh")) return f_cosh(c, r);
    if (!strcmp(name, "arcsec")) return invert(c, r) && function_value(c, "arccos", r);
    if (!strcmp(name, "arccsc")) return invert(c, r) && function_value(c, "arcsin", r);
    return stop(c, "a function that is not known");
}

/* log_b x; without a base to base 10 or e. */
static bool function(calc *c, int at, num *r)
{
    const lb_node *node = c->t->node;
    const char *name = lb_tree_text(c->t, node[at].text);
    int a = node[at].first, b = node[a].next;
    bool ok = eval(c, a, false, r), base = b >= 0 || (!strcmp(name, "log") && c->decimal_log) || !strcmp(name, "lg");
    if (!ok) return false;
    if (strcmp(name, "log") && b >= 0) return stop(c, "a function with an index");
    if (!strcmp(name, "lg")) name = "log";
    ok = function_value(c, name, r);
    if (ok && base) {
        num y;
        init(c, &y);
        set_integer(c, &y, 10);
        ok = (b < 0 || eval(c, b, false, &y)) && apply(c, &basics[LOG], &y) && divide(c, r, &y);
        clear(c, &y);
    }
    return ok;
}

static bool fold(calc *c, int at, bool product, num *r)
{
    const lb_node *node = c->t->node;
    num x;
    init(c, &x);
    set_integer(c, r, product);
    bool ok = true;
    for (int k = node[at].first; ok && k >= 0; k = node[k].next) {
        char join = node[k].join;
        if (!product && (join == 'p' || join == 'm') && !c->pm) ok = stop(c, "± is not understood there");
        ok = ok && eval(c, k, false, &x);
        if (!ok) break;
        if (!product && (join == '-' || (join == 'p' && c->pm < 0) || (join == 'm' && c->pm > 0))) negate(c, &x);
        ok = product ? join == '/' ? divide(c, r, &x) : multiply(c, r, &x) : add(c, r, &x);
    }
    clear(c, &x);
    return ok;
}

static bool rational_value(calc *c, int at, num *r)
{
    fmpq_t q;
    fmpq_init(q);
    bool ok = rational(c, at, q) || stop(c, "a factorial or binomial is not of small integers");
    if (ok) set_rational(c, r, q);
    fmpq_clear(q);
    return ok;
}

static bool number_value(calc *c, const char *s, num *r)
{
    fmpq_t q;
    long n = (long)strlen(s);
    fmpq_init(q);
    bool ok = charge(c, 10 + n * n / 300) && (lb_number_parse(s, q) || stop(c, "a number is too long to compare"));
    if (ok) set_rational(c, r, q);
    fmpq_clear(q);
    return ok;
}

static bool degree_of(calc *c, int at, slong *q)
{
    fmpq_t d;
    fmpq_init(d);
    bool ok = (rational(c, at, d) && small(d, 1, 64, q)) || stop(c, "a root of a degree that is not 1 to 64");
    fmpq_clear(d);
    return ok;
}

static bool eval(calc *c, int at, bool top, num *r)
{
    const lb_node *x = &c->t->node[at];
    int a = x->first, b = a < 0 ? -1 : c->t->node[a].next;
    slong q = 2;
    if (!charge(c, 20)) return false;
    if (x->unit && !top) return stop(c, "a unit stands inside an expression");
    switch ((lb_node_kind)x->kind) {
    case LB_NODE_NUM: return number_value(c, lb_tree_text(c->t, x->text), r);
    case LB_NODE_SYM: return name_value(c, lb_tree_text(c->t, x->text), r);
    case LB_NODE_PI: return set_pi(c, r), true;
    case LB_NODE_SUM: return fold(c, at, false, r);
    case LB_NODE_PROD: return fold(c, at, true, r);
    case LB_NODE_FUNC: return function(c, at, r);
    case LB_NODE_FACT: case LB_NODE_BINOM: return rational_value(c, at, r);
    case LB_NODE_ROOT: return (b < 0 || degree_of(c, b, &q)) && eval(c, a, false, r) && root(c, r, q);
    case LB_NODE_POW: {
        bool of_e = is_euler(c->t, a) && !c->t->node[a].unit;
        return (of_e || eval(c, a, false, r)) && power(c, r, b, of_e);
    }
    default: return stop(c, "a list, interval, text or infinity stands inside an expression");
    }
}

static bool operand(calc *c, lb_operand o, num *r)
{
    c->t = o.t, c->pm = o.pm;
    if (!eval(c, o.node, true, r)) return false;
    if (o.minus < 0) return true;
    num y;
    init(c, &y);
    bool ok = eval(c, o.minus, true, &y);
    if (ok) negate(c, &y), ok = add(c, r, &y);
    clear(c, &y);
    return ok;
}

/* Both values, scaled as `how` says. */
static bool both(calc *c, lb_operand gold, lb_operand answer, lb_compare how, num *g, num *a)
{
    num y;
    if (!operand(c, gold, g) || !operand(c, answer, a)) return false;
    if (how != LB_HUNDREDFOLD && how != LB_HUNDREDTH) return true;
    init(c, &y);
    set_integer(c, &y, 100);
    bool ok = multiply(c, how == LB_HUNDREDFOLD ? g : a, &y);
    clear(c, &y);
    return ok;
}

/* ---- sampling ---- */

static bool add_names(calc *c, const lb_tree *t, int at)
{
    const lb_node *x = &t->node[at];
    const char *s = x->kind == LB_NODE_SYM ? lb_tree_text(t, x->text) : "i";
    bool found = !strcmp(s, "i") || !strcmp(s, "e");
    for (int i = 0; i < c->n_name && !found; i++) found = !strcmp(c->name[i], s);
    if (!found) {
        if (c->n_name == MAX_NAMES) return false;
        fmpq_init(&c->value[c->n_name]);
        c->name[c->n_name++] = s;
    }
    for (int k = x->first; k >= 0; k = t->node[k].next)
        if (!add_names(c, t, k)) return false;
    return true;
}

static bool collect(calc *c, lb_operand o)
{
    return add_names(c, o.t, o.node) && (o.minus < 0 || add_names(c, o.t, o.minus));
}

static void forget(calc *c)
{
    for (int i = 0; i < c->n_name; i++) fmpq_clear(&c->value[i]);
    c->n_name = 0;
}

static uint64_t mix(uint64_t *state)           /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Positive points first, then points with a negative coordinate, then whole numbers; always the same ones. Sizes go
 * from hundredths to thousands, so that an expression which changes its form somewhere is seen on both sides. */
static void place(calc *c, int point)
{
    static const ulong size[] = {1009, 50021, 31, 1};
    uint64_t state = (uint64_t)point;
    for (int i = 0; i < c->n_name; i++) {
        uint64_t z = mix(&state);
        bool negative = point >= N_POSITIVE && (i == (point & 1) % c->n_name || (z >> 40) % 2);
        if (point >= N_POSITIVE + N_MIXED) fmpq_set_si(&c->value[i], 2 + (slong)(z % 9), 1);
        else fmpq_set_si(&c->value[i], (slong)(1 + z % 2017) * (negative ? -1 : 1), size[(point + i) % 4]);
    }
}

static slong exponent_of(const acb_t x)        /* |x| < 2^this; small numbers count as 1 */
{
    mag_t m;
    mag_init(m);
    acb_get_mag(m, x);
    slong e = fmpz_fits_si(MAG_EXPREF(m)) ? fmpz_get_si(MAG_EXPREF(m)) : WORD_MAX / 4;
    mag_clear(m);
    return e < 0 ? 0 : e;
}

/* Whether d = g − a, or the enclosure is too wide to say. */
static lb_sampled judge(const calc *c, const acb_t d, const acb_t g)
{
    if (!acb_is_finite(d)) return LB_SAMPLED_NOTHING;
    if (!acb_contains_zero(d)) return LB_SAMPLED_DIFFERENT;
    mag_t m;
    mag_init(m);
    acb_get_mag(m, d);
    bool sharp = c->prec <= PREC_FIRST || mag_cmp_2exp_si(m, exponent_of(g) - PREC_WANTED) < 0;
    mag_clear(m);
    return sharp ? LB_SAMPLED_EQUAL : LB_SAMPLED_NOTHING;
}

/* One point. *first is answer/gold at the first point where both were defined and not 0, for proportions. */
static lb_sampled at_point(calc *c, lb_operand gold, lb_operand answer, lb_compare how, num *first, bool *have_first)
{
    bool ratio = how == LB_PROPORTIONAL || how == LB_PROPORTIONAL_UP;
    num g, a;
    init(c, &g), init(c, &a);
    lb_sampled s = LB_SAMPLED_NOTHING;
    if (both(c, gold, answer, how, &g, &a)) {
        if (ratio && !*have_first) {
            if (acb_is_finite(&g.b) && acb_is_finite(&a.b) && !acb_contains_zero(&g.b) && !acb_contains_zero(&a.b)) {
                acb_div(&first->b, &a.b, &g.b, c->prec);
                *have_first = true;
                s = LB_SAMPLED_EQUAL;
                if (how == LB_PROPORTIONAL_UP &&
                    !(arb_contains_zero(acb_imagref(&first->b)) && arb_is_positive(acb_realref(&first->b))))
                    s = LB_SAMPLED_DIFFERENT;
            }
        } else {
            if (ratio) acb_mul(&g.b, &g.b, &first->b, c->prec);
            acb_sub(&a.b, &a.b, &g.b, c->prec);
            s = judge(c, &a.b, &g.b);
        }
    }
    clear(c, &g), clear(c, &a);
    return s;
}

lb_sampled lb_exact_sample(lb_operand gold, lb_operand answer, lb_compare how, bool decimal_log, long *work,
                           bool *constant, int *n_point)
{
    static const slong precs[] = {PREC_FIRST, PREC};
    calc c = {.decimal_log = decimal_log, .work = work};
    num first;
    bool ok = collect(&c, gold) && collect(&c, answer);
    lb_sampled result = LB_SAMPLED_NOTHING;
    *constant = ok && !c.n_name, *n_point = 0;
    for (int pass = 0; ok && pass < 2; pass++) {
        int equal[3] = {0}, different[3] = {0};
        bool have_first = false;
        c.prec = precs[pass];
        init(&c, &first);
        for (int i = 0; i < (c.n_name ? N_POINT : 1) && !c.error; i++) {
            int kind = i < N_POSITIVE ? 0 : i < N_POSITIVE + N_MIXED ? 1 : 2;
            place(&c, i);
            lb_sampled s = at_point(&c, gold, answer, how, &first, &have_first);
            equal[kind] += s == LB_SAMPLED_EQUAL, different[kind] += s == LB_SAMPLED_DIFFERENT;
        }
        clear(&c, &first);
        int enough = *constant ? 1 : ENOUGH_POSITIVE;
        *n_point = equal[0] + equal[1];
        result = different[0] ? (equal[2] && !different[2] ? LB_SAMPLED_EQUAL_WHOLE : LB_SAMPLED_DIFFERENT) :
                 equal[0] < enough ? LB_SAMPLED_NOTHING :
                 different[1] || different[2] ? LB_SAMPLED_EQUAL_POSITIVE : LB_SAMPLED_EQUAL;
        if (c.error) result = LB_SAMPLED_NOTHING;
        ok = result == LB_SAMPLED_EQUAL || result == LB_SAMPLED_EQUAL_POSITIVE;
    }
    forget(&c);
    return result;
}

bool lb_exact_close(lb_operand gold, lb_operand answer, lb_compare how, bool decimal_log, long *work)
{
    calc c = {.decimal_log = decimal_log, .work = work, .prec = PREC_FIRST};
    num g, a;
    bool close = collect(&c, gold) && collect(&c, answer) && !c.n_name;
    forget(&c);
    init(&c, &g), init(&c, &a);
    if (close && (close = both(&c, gold, answer, how, &g, &a))) {
        arb_t d, m;
        arb_init(d), arb_init(m);
        acb_sub(&a.b, &a.b, &g.b, c.prec);
        acb_abs(d, &a.b, c.prec), acb_abs(m, &g.b, c.prec);
        arb_mul_ui(d, d, 10000, c.prec);
        close = acb_is_finite(&a.b) && arb_le(d, m);
        arb_clear(d), arb_clear(m);
    }
    clear(&c, &g), clear(&c, &a);
    return close;
}

bool lb_exact_decimal(lb_operand o, char *out, size_t size)
{
    long work = 1000000;
    calc c = {.work = &work, .prec = PREC_FIRST};
    num x;
    bool ok = collect(&c, o) && !c.n_name;
    forget(&c);
    init(&c, &x);
    ok = ok && operand(&c, o, &x) && acb_is_finite(&x.b) && acb_rel_accuracy_bits(&x.b) > 53;
    if (ok) {
        char *re = arb_get_str(acb_realref(&x.b), 15, ARB_STR_NO_RADIUS), *im = NULL;
        if (!arb_is_zero(acb_imagref(&x.b))) im = arb_get_str(acb_imagref(&x.b), 15, ARB_STR_NO_RADIUS);
        snprintf(out, size, im ? "%s + %s*i" : "%s", re, im ? im : "");
        flint_free(re);
        if (im) flint_free(im);
    }
    clear(&c, &x);
    return ok;
}

/* ---- proof ---- */

lb_verdict lb_exact_prove(lb_operand gold, lb_operand answer, lb_compare how, bool decimal_log, char why[LB_TREE_WHY])
{
    ca_ctx_t ctx;
    ca_ctx_init(ctx);
    calc c = {.ctx = ctx, .decimal_log = decimal_log, .prec = PREC};
    num g, a;
    truth_t t = T_UNKNOWN;
    init(&c, &g), init(&c, &a);
    if (both(&c, gold, answer, how, &g, &a) && ca_check_is_number(&g.c, ctx) == T_TRUE &&
        ca_check_is_number(&a.c, ctx) == T_TRUE) t = ca_check_equal(&g.c, &a.c, ctx);
    clear(&c, &g), clear(&c, &a);
    ca_ctx_clear(ctx);
    why[0] = 0;
    if (t == T_FALSE) snprintf(why, LB_TREE_WHY, "the values differ");
    if (t == T_UNKNOWN)
        snprintf(why, LB_TREE_WHY, "equal to %d digits, but not proven: %s", LB_SAMPLED_DIGITS,
                 c.error ? c.error : "neither is known");
    return t == T_TRUE ? LB_RIGHT : t == T_FALSE ? LB_WRONG : LB_UNKNOWN;
}

void lb_exact_cleanup(void) { flint_cleanup(); }
