/* eval/answer_value.c – expressions as rational functions, by FLINT.
 *
 * A value is a quotient n/d of polynomials with rational coefficients. Their generators are
 *   names      x, θ, π (transcendental, so it behaves like a name)
 *   radicals   r = p^(1/q) for a prime p, and i = √−1; r^q is always replaced by p. By Besicovitch (1940) the products
 *              of p^(e/q), e < q, are linearly independent over the rationals: different forms are different numbers
 *   opaque     anything else, such as sin(n/d): equal only if name and argument are. Two values may then be equal in
 *              ways that are not seen here, so "different" becomes LB_UNKNOWN
 * n/d = n'/d' is decided as n·d' = n'·d, which needs no gcd: the cost of every step can be bounded beforehand. */
#include "eval/answer_number.h"
#include "eval/answer_tree.h"
#include <flint/fmpq.h>
#include <flint/fmpq_mpoly.h>
#include <flint/ulong_extras.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_GEN = 32,
    MAX_BITS = 1 << 17,        /* of a coefficient: 39,000 decimal digits */
    MAX_TERMS = 1 << 14,
    MAX_DEGREE = 1 << 20,
    MAX_POWER = 1 << 20,
    MAX_FACT = 2000,
    RADICAL_BITS = 2048,       /* of a radicand */
    RADICAL_PRIMES = 1 << 16   /* trial division up to here */
};

typedef struct val {
    fmpq_mpoly_t n, d;         /* d is 1 whenever it is constant */
} val;

typedef struct gen {
    enum { NAME, RADICAL, OPAQUE } kind;
    const char *name;          /* NAME, OPAQUE; borrowed from a tree or static */
    fmpz_t p;                  /* RADICAL: p^(1/q) */
    ulong q;
    val arg[2];                /* OPAQUE, n_arg of them */
    int n_arg;
} gen;

typedef struct algebra {
    fmpq_mpoly_ctx_t ctx;
    gen gen[MAX_GEN];
    int n_gen, max_gen;
    bool radicals, inexact;    /* there are radicals; different forms may be equal */
    long *work;
    const char *error;         /* static text */
} algebra;

static bool stop(algebra *A, const char *why)
{
    if (!A->error) A->error = why;
    return false;
}

static bool charge(algebra *A, double cost)
{
    if (A->error) return false;
    if (cost > (double)*A->work) {
        *A->work = -1;
        return stop(A, "too costly to compare");
    }
    *A->work -= (long)cost;
    return true;
}

static void val_init(algebra *A, val *v)
{
    fmpq_mpoly_init(v->n, A->ctx), fmpq_mpoly_init(v->d, A->ctx);
    fmpq_mpoly_one(v->d, A->ctx);
}

static void val_clear(algebra *A, val *v) { fmpq_mpoly_clear(v->n, A->ctx), fmpq_mpoly_clear(v->d, A->ctx); }

static void val_swap(algebra *A, val *a, val *b)
{
    fmpq_mpoly_swap(a->n, b->n, A->ctx), fmpq_mpoly_swap(a->d, b->d, A->ctx);
}


static void val_set_fmpz(algebra *A, val *r, const fmpz_t x)
{
    fmpq_mpoly_set_fmpz(r->n, x, A->ctx), fmpq_mpoly_one(r->d, A->ctx);
}

/* ---- polynomials ---- */

static double poly_bits(const fmpq_mpoly_t a)
{
    slong b = fmpz_mpoly_max_bits(a->zpoly);
    return (double)(b < 0 ? -b : b) + (double)fmpz_bits(fmpq_numref(a->content)) +
           (double)fmpz_bits(fmpq_denref(a->content));
}

/* Replaces r^q by p for every radical. */
static bool poly_reduce(algebra *A, fmpq_mpoly_t a)
{
    bool needed = false;
    if (!A->radicals || !a->zpoly->length) return true;
    for (int g = 0; g < A->n_gen; g++)
        if (A->gen[g].kind == RADICAL && fmpq_mpoly_degree_si(a, g, A->ctx) >= (slong)A->gen[g].q) needed = true;
    if (!needed) return true;
    slong n = fmpq_mpoly_length(a, A->ctx);
    if (!charge(A, 150.0 * (double)n * (1 + poly_bits(a) / 64))) return false;
    ulong e[MAX_GEN];
    fmpq_t c;
    fmpz_t f;
    fmpq_mpoly_t r;
    fmpq_init(c), fmpz_init(f), fmpq_mpoly_init(r, A->ctx);
    for (slong i = 0; i < n; i++) {
        fmpq_mpoly_get_term_coeff_fmpq(c, a, i, A->ctx);
        fmpq_mpoly_get_term_exp_ui(e, a, i, A->ctx);
        for (int g = 0; g < A->n_gen; g++) {
            if (A->gen[g].kind != RADICAL || e[g] < A->gen[g].q) continue;
            fmpz_pow_ui(f, A->gen[g].p, e[g] / A->gen[g].q);
            fmpq_mul_fmpz(c, c, f);
            e[g] %= A->gen[g].q;
        }
        fmpq_mpoly_push_term_fmpq_ui(r, c, e, A->ctx);
    }
    fmpq_mpoly_sort_terms(r, A->ctx);
    fmpq_mpoly_combine_like_terms(r, A->ctx);
    fmpq_mpoly_swap(a, r, A->ctx);
    fmpq_clear(c), fmpz_clear(f), fmpq_mpoly_clear(r, A->ctx);
    return true;
}

/* r = a·b, if that is cheap. */
static bool poly_mul(algebra *A, fmpq_mpoly_t r, const fmpq_mpoly_t a, const fmpq_mpoly_t b)
{
    double la = (double)fmpq_mpoly_length(a, A->ctx), lb = (double)fmpq_mpoly_length(b, A->ctx);
    if (!fmpq_mpoly_total_degree_fits_si(a, A->ctx) || !fmpq_mpoly_total_degree_fits_si(b, A->ctx) ||
        fmpq_mpoly_total_degree_si(a, A->ctx) + fmpq_mpoly_total_degree_si(b, A->ctx) > MAX_DEGREE)
        return stop(A, "a degree is too high to compare");
    double ba = poly_bits(a), bb = poly_bits(b), wa = 1 + ba / 64, wb = 1 + bb / 64;
    if (ba + bb > MAX_BITS) return stop(A, "a number is too long to compare");
    double limbs = wa * wb < 40 * (wa + wb) ? wa * wb : 40 * (wa + wb);      /* GMP multiplies long numbers faster */
    if (!charge(A, 10 + la * lb * limbs)) return false;
    if (la * lb > 64.0 * MAX_TERMS) return stop(A, "too many terms to compare");
    fmpq_mpoly_mul(r, a, b, A->ctx);
    if (fmpq_mpoly_length(r, A->ctx) > MAX_TERMS) return stop(A, "too many terms to compare");
    return poly_reduce(A, r);
}

static bool poly_add(algebra *A, fmpq_mpoly_t r, const fmpq_mpoly_t a, const fmpq_mpoly_t b)
{
    double n = (double)(fmpq_mpoly_length(a, A->ctx) + fmpq_mpoly_length(b, A->ctx));
    double bits = poly_bits(a) + poly_bits(b);
    if (bits > MAX_BITS) return stop(A, "a number is too long to compare");
    if (n > MAX_TERMS) return stop(A, "too many terms to compare");
    if (!charge(A, 10 + n * (1 + bits / 64))) return false;
    fmpq_mpoly_add(r, a, b, A->ctx);
    return true;
}

/* ---- values: r may be one of the operands ---- */

static bool val_tidy(algebra *A, val *r)
{
    if (A->error) return false;
    if (fmpq_mpoly_is_zero(r->d, A->ctx)) return stop(A, "division by zero");
    if (fmpq_mpoly_is_one(r->d, A->ctx) || !fmpq_mpoly_is_fmpq(r->d, A->ctx)) return true;
    if (!charge(A, 10 + (double)fmpq_mpoly_length(r->n, A->ctx) * (1 + poly_bits(r->n) / 64))) return false;
    fmpq_t c;
    fmpq_init(c);
    fmpq_mpoly_get_fmpq(c, r->d, A->ctx);
    fmpq_inv(c, c);
    fmpq_mpoly_scalar_mul_fmpq(r->n, r->n, c, A->ctx);
    fmpq_mpoly_one(r->d, A->ctx);
    fmpq_clear(c);
    return true;
}

static bool val_mul(algebra *A, val *r, const val *a, const val *b)
{
    val t;
    val_init(A, &t);
    bool ok = poly_mul(A, t.n, a->n, b->n) && poly_mul(A, t.d, a->d, b->d);
    val_swap(A, r, &t);
    val_clear(A, &t);
    return ok && val_tidy(A, r);
}

static bool val_add(algebra *A, val *r, const val *a, const val *b)
{
    if (fmpq_mpoly_equal(a->d, b->d, A->ctx)) {
        if (r != a) fmpq_mpoly_set(r->d, a->d, A->ctx);
        return poly_add(A, r->n, a->n, b->n);
    }
    val t;
    fmpq_mpoly_t u;
    val_init(A, &t), fmpq_mpoly_init(u, A->ctx);
    bool ok = poly_mul(A, t.n, a->n, b->d) && poly_mul(A, u, b->n, a->d) && poly_add(A, t.n, t.n, u) &&
              poly_mul(A, t.d, a->d, b->d);
    val_swap(A, r, &t);
    val_clear(A, &t), fmpq_mpoly_clear(u, A->ctx);
    return ok && val_tidy(A, r);
}

static void val_neg(algebra *A, val *r) { fmpq_mpoly_neg(r->n, r->n, A->ctx); }

static bool val_invert(algebra *A, val *r)
{
    fmpq_mpoly_swap(r->n, r->d, A->ctx);
    return val_tidy(A, r);
}

/* r = r^k by squaring: each product checks its size first, so a tower stops at once. */
static bool val_power(algebra *A, val *r, slong k)
{
    if (k < 0 && !val_invert(A, r)) return false;
    if (k < 0) k = -k;
    if (fmpq_mpoly_is_zero(r->n, A->ctx)) return k ? true : stop(A, "0^0 has no value");
    if (fmpq_mpoly_is_one(r->n, A->ctx) && fmpq_mpoly_is_one(r->d, A->ctx)) return true;
    val base, out;
    val_init(A, &base), val_init(A, &out);
    val_swap(A, &base, r);
    fmpq_mpoly_one(out.n, A->ctx);
    bool ok = true;
    for (; ok && k; k >>= 1) {
        if (k & 1) ok = val_mul(A, &out, &out, &base);
        if (ok && k > 1) ok = val_mul(A, &base, &base, &base);
    }
    val_swap(A, r, &out);
    val_clear(A, &base), val_clear(A, &out);
    return ok;
}

static bool val_rational(algebra *A, const val *a, fmpq_t c)
{
    if (!fmpq_mpoly_is_fmpq(a->n, A->ctx) || !fmpq_mpoly_is_one(a->d, A->ctx)) return false;
    fmpq_mpoly_get_fmpq(c, a->n, A->ctx);
    return true;
}

/* An integer constant in [lo, hi]. */
static bool val_small(algebra *A, const val *a, slong lo, slong hi, slong *out)
{
    fmpq_t c;
    fmpq_init(c);
    bool ok = val_rational(A, a, c) && fmpz_is_one(fmpq_denref(c)) && fmpz_cmp_si(fmpq_numref(c), lo) >= 0 &&
              fmpz_cmp_si(fmpq_numref(c), hi) <= 0;
    if (ok) *out = fmpz_get_si(fmpq_numref(c));
    fmpq_clear(c);
    return ok;
}

static bool val_same(const algebra *A, const val *a, const val *b)
{
    return fmpq_mpoly_equal(a->n, b->n, A->ctx) && fmpq_mpoly_equal(a->d, b->d, A->ctx);
}

/* ---- generators ---- */

static gen *new_gen(algebra *A)
{
    if (A->n_gen >= A->max_gen) {
        stop(A, "too many different symbols to compare");
        return NULL;
    }
    gen *g = &A->gen[A->n_gen++];
    memset(g, 0, sizeof *g);
    fmpz_init(g->p);
    return g;
}

static bool set_gen(algebra *A, val *r, const gen *g)
{
    fmpq_mpoly_gen(r->n, (slong)(g - A->gen), A->ctx);
    fmpq_mpoly_one(r->d, A->ctx);
    return true;
}

static bool name_value(algebra *A, val *r, const char *name)
{
    for (int i = 0; i < A->n_gen; i++)
        if (A->gen[i].kind == NAME && !strcmp(A->gen[i].name, name)) return set_gen(A, r, &A->gen[i]);
    gen *g = new_gen(A);
    if (!g) return false;
    g->kind = NAME, g->name = name;
    return set_gen(A, r, g);
}

static bool radical_value(algebra *A, val *r, const fmpz_t p, ulong q)
{
    for (int i = 0; i < A->n_gen; i++) {
        if (A->gen[i].kind != RADICAL || !fmpz_equal(A->gen[i].p, p)) continue;
        if (A->gen[i].q == q) return set_gen(A, r, &A->gen[i]);
        A->inexact = true;                 /* √2 and ∜2 depend on each other */
    }
    gen *g = new_gen(A);
    if (!g) return false;
    g->kind = RADICAL, g->q = q;
    fmpz_set(g->p, p);
    A->radicals = true;
    return set_gen(A, r, g);
}

static bool imaginary(algebra *A, val *r)
{
    fmpz_t p;
    fmpz_init_set_si(p, -1);
    bool ok = radical_value(A, r, p, 2);
    fmpz_clear(p);
    return ok;
}

/* r = name(a) or name(a, b); takes the contents of a and b. */
static bool opaque_value(algebra *A, val *r, const char *name, val *a, val *b)
{
    A->inexact = true;
    for (int i = 0; i < A->n_gen; i++) {
        gen *g = &A->gen[i];
        if (g->kind == OPAQUE && g->n_arg == 1 + (b != NULL) && !strcmp(g->name, name) && val_same(A, &g->arg[0], a) &&
            (!b || val_same(A, &g->arg[1], b))) return set_gen(A, r, g);
    }
    gen *g = new_gen(A);
    if (!g) return false;
    g->kind = OPAQUE, g->name = name, g->n_arg = 1 + (b != NULL);
    val_init(A, &g->arg[0]);
    val_swap(A, &g->arg[0], a);
    if (b) {
        val_init(A, &g->arg[1]);
        val_swap(A, &g->arg[1], b);
    }
    return set_gen(A, r, g);
}

/* ---- roots ---- */

/* r = r · p^(e/q) */
static bool times_root(algebra *A, val *r, const fmpz_t p, ulong e, ulong q)
{
    val f;
    fmpz_t whole;
    val_init(A, &f), fmpz_init(whole);
    fmpz_pow_ui(whole, p, e / q);
    val_set_fmpz(A, &f, whole);
    bool ok = val_mul(A, r, r, &f);
    if (ok && e % q)
        ok = radical_value(A, &f, p, q) && val_power(A, &f, (slong)(e % q)) && val_mul(A, r, r, &f);
    val_clear(A, &f), fmpz_clear(whole);
    return ok;
}

/* r = m^(1/q), m > 0: prime by prime. */
static bool integer_root(algebra *A, val *r, fmpz_t m, ulong q)
{
    if (fmpz_bits(m) > RADICAL_BITS) return stop(A, "a radicand is too long to compare");
    if (!charge(A, 2000 + 1000.0 * (double)fmpz_bits(m) / 64)) return false;
    bool ok = true;
    fmpz_t p;
    n_primes_t primes;
    fmpz_init(p);
    fmpq_mpoly_one(r->n, A->ctx), fmpq_mpoly_one(r->d, A->ctx);
    n_primes_init(primes);
    for (ulong k = n_primes_next(primes); ok && k < RADICAL_PRIMES && !fmpz_is_one(m); k = n_primes_next(primes)) {
        if (fmpz_cmp_ui(m, k * k) < 0) break;                  /* what is left is a prime */
        if (fmpz_fdiv_ui(m, k)) continue;
        fmpz_set_ui(p, k);
        ulong e = (ulong)fmpz_remove(m, m, p);
        ok = times_root(A, r, p, e, q);
    }
    if (ok && !fmpz_is_one(m)) {
        if (fmpz_root(p, m, (slong)q)) {
            ok = times_root(A, r, p, q, q);
        } else {
            if (fmpz_bits(m) > 32) A->inexact = true;          /* perhaps not a prime */
            ok = times_root(A, r, m, 1, q);
        }
    }
    n_primes_clear(primes), fmpz_clear(p);
    return ok;
}

static bool val_root(algebra *A, val *r, ulong q);

/* Divides every exponent of a polynomial with one term by q; it has only π and e, which are positive. */
static bool monomial_root(algebra *A, fmpq_mpoly_t a, ulong q, fmpq_t c)
{
    ulong e[MAX_GEN];
    if (fmpq_mpoly_length(a, A->ctx) != 1) return false;
    fmpq_mpoly_get_term_coeff_fmpq(c, a, 0, A->ctx);
    fmpq_mpoly_get_term_exp_ui(e, a, 0, A->ctx);
    for (int g = 0; g < A->n_gen; g++) {
        bool positive = A->gen[g].kind == NAME && (!strcmp(A->gen[g].name, "#pi") || !strcmp(A->gen[g].name, "e"));
        if (e[g] && (!positive || e[g] % q)) return false;
        e[g] /= q;
    }
    fmpq_t one;
    fmpq_init(one), fmpq_one(one);
    fmpq_mpoly_zero(a, A->ctx);
    fmpq_mpoly_push_term_fmpq_ui(a, one, e, A->ctx);
    fmpq_clear(one);
    return true;
}

/* r = r^(1/q) for a rational multiple of powers of π and e; false, with r as it was, if it is something else. */
static bool val_root_monomial(algebra *A, val *r, ulong q, bool *ok)
{
    val m, c;
    fmpq_t n, d;
    val_init(A, &m), val_init(A, &c), fmpq_init(n), fmpq_init(d);
    fmpq_mpoly_set(m.n, r->n, A->ctx), fmpq_mpoly_set(m.d, r->d, A->ctx);
    bool yes = monomial_root(A, m.n, q, n) && monomial_root(A, m.d, q, d);
    if (yes) {
        fmpq_div(n, n, d);
        fmpq_mpoly_set_fmpq(c.n, n, A->ctx);
        *ok = val_root(A, &c, q) && val_mul(A, r, &m, &c);
    }
    val_clear(A, &m), val_clear(A, &c), fmpq_clear(n), fmpq_clear(d);
    return yes;
}

/* r = r^(1/q): the real root where there is one. */
static bool val_root(algebra *A, val *r, ulong q)
{
    fmpq_t c;
    fmpz_t m;
    val b;
    bool ok;
    if (q == 1) return true;
    fmpq_init(c), fmpz_init(m), val_init(A, &b);
    if (!val_rational(A, r, c)) {
        fmpz_set_ui(m, q);
        val_set_fmpz(A, &b, m);
        if (!val_root_monomial(A, r, q, &ok)) ok = opaque_value(A, r, "root", r, &b);
    } else if (fmpq_is_zero(c)) {
        ok = true;
    } else if (fmpq_sgn(c) < 0 && q % 2 == 0 && q > 2) {
        ok = stop(A, "an even root of a negative number");
    } else if ((double)fmpz_bits(fmpq_denref(c)) * (double)q > RADICAL_BITS) {
        ok = stop(A, "a radicand is too long to compare");
    } else {
        /* (a/b)^(1/q) = (a·b^(q−1))^(1/q) / b */
        bool negative = fmpq_sgn(c) < 0;
        fmpq_abs(c, c);
        fmpz_pow_ui(m, fmpq_denref(c), q - 1);
        fmpz_mul(m, m, fmpq_numref(c));
        val_set_fmpz(A, &b, fmpq_denref(c));
        ok = integer_root(A, r, m, q) && val_invert(A, &b) && val_mul(A, r, r, &b);
        if (ok && negative && q % 2) val_neg(A, r);
        if (ok && negative && q == 2) ok = imaginary(A, &b) && val_mul(A, r, r, &b);
    }
    fmpq_clear(c), fmpz_clear(m), val_clear(A, &b);
    return ok;
}

/* r = r^e for any exponent. */
static bool val_raise(algebra *A, val *r, val *e)
{
    fmpq_t c;
    slong k;
    bool ok;
    if (val_small(A, e, -MAX_POWER, MAX_POWER, &k)) return val_power(A, r, k);
    fmpq_init(c);
    if (!val_rational(A, e, c)) {
        ok = opaque_value(A, r, "power", r, e);
    } else if (fmpz_is_one(fmpq_denref(c))) {
        ok = (val_rational(A, r, c) && fmpq_is_one(c)) || stop(A, "an exponent is too large to compare");
    } else if (fmpz_cmp_ui(fmpq_denref(c), 64) > 0 || fmpz_bits(fmpq_numref(c)) > 16) {
        ok = stop(A, "an exponent is too large to compare");
    } else {
        ok = val_root(A, r, fmpz_get_ui(fmpq_denref(c))) && val_power(A, r, fmpz_get_si(fmpq_numref(c)));
    }
    fmpq_clear(c);
    return ok;
}

/* ---- trees to values ---- */

typedef struct src {
    const lb_tree *t;
    int pm;
} src;

static bool eval(algebra *A, src s, int at, bool top, val *r);

static bool number(algebra *A, const char *s, val *r)
{
    double n = (double)strlen(s);
    if (!charge(A, 10 + n * n / 300)) return false;
    fmpq_t c;
    fmpq_init(c);
    bool ok = lb_number_parse(s, c) || stop(A, "a number is too long to compare");
    if (ok) fmpq_mpoly_set_fmpq(r->n, c, A->ctx), fmpq_mpoly_one(r->d, A->ctx);
    fmpq_clear(c);
    return ok;
}

static bool sum(algebra *A, src s, int at, val *r)
{
    const lb_node *node = s.t->node;
    val x;
    val_init(A, &x);
    fmpq_mpoly_zero(r->n, A->ctx), fmpq_mpoly_one(r->d, A->ctx);
    bool ok = true;
    for (int k = node[at].first; ok && k >= 0; k = node[k].next) {
        char join = node[k].join;
        if ((join == 'p' || join == 'm') && !s.pm) ok = stop(A, "± is not understood there");
        ok = ok && eval(A, s, k, false, &x);
        if (ok && (join == '-' || (join == 'p' && s.pm < 0) || (join == 'm' && s.pm > 0))) val_neg(A, &x);
        ok = ok && val_add(A, r, r, &x);
    }
    val_clear(A, &x);
    return ok;
}

static bool product(algebra *A, src s, int at, val *r)
{
    const lb_node *node = s.t->node;
    val x;
    val_init(A, &x);
    fmpq_mpoly_one(r->n, A->ctx), fmpq_mpoly_one(r->d, A->ctx);
    bool ok = true;
    for (int k = node[at].first; ok && k >= 0; k = node[k].next) {
        ok = eval(A, s, k, false, &x);
        if (ok && node[k].join == '/') ok = val_invert(A, &x);
        ok = ok && val_mul(A, r, r, &x);
    }
    val_clear(A, &x);
    return ok;
}

static bool function(algebra *A, src s, int at, val *r)
{
    const lb_node *node = s.t->node;
    const char *name = lb_tree_text(s.t, node[at].text);
    int a = node[at].first, b = node[a].next;
    val x, y;
    fmpq_t c;
    val_init(A, &x), val_init(A, &y), fmpq_init(c);
    bool ok = eval(A, s, a, false, &x) && (b < 0 || eval(A, s, b, false, &y));
    bool absolute = !strcmp(name, "abs"), down = !strcmp(name, "floor"), up = !strcmp(name, "ceil");
    if (ok && (absolute || down || up) && val_rational(A, &x, c)) {
        if (absolute) fmpq_abs(c, c);
        if (down) fmpz_fdiv_q(fmpq_numref(c), fmpq_numref(c), fmpq_denref(c));
        if (up) fmpz_cdiv_q(fmpq_numref(c), fmpq_numref(c), fmpq_denref(c));
        if (!absolute) fmpz_one(fmpq_denref(c));
        fmpq_mpoly_set_fmpq(r->n, c, A->ctx), fmpq_mpoly_one(r->d, A->ctx);
    } else if (ok) {
        if (absolute && !fmpq_mpoly_is_zero(x.n, A->ctx)) {    /* |−x| is |x| */
            fmpq_mpoly_get_term_coeff_fmpq(c, x.n, 0, A->ctx);
            if (fmpq_sgn(c) < 0) val_neg(A, &x);
        }
        ok = opaque_value(A, r, name, &x, b < 0 ? NULL : &y);
    }
    val_clear(A, &x), val_clear(A, &y), fmpq_clear(c);
    return ok;
}

static bool combinatorial(algebra *A, src s, int at, val *r)
{
    const lb_node *node = s.t->node;
    int a = node[at].first, b = node[a].next;
    slong n = 0, k = 0;
    fmpz_t f;
    fmpz_init(f);
    bool ok = eval(A, s, a, false, r);
    if (ok && !val_small(A, r, 0, MAX_FACT, &n)) ok = stop(A, "a factorial or binomial is not of a small integer");
    if (ok && b >= 0) {
        ok = eval(A, s, b, false, r);
        if (ok && !val_small(A, r, 0, MAX_FACT, &k)) ok = stop(A, "a binomial is not of integers");
    }
    if (ok && charge(A, 1000)) {
        if (b < 0) fmpz_fac_ui(f, (ulong)n);
        else fmpz_bin_uiui(f, (ulong)n, (ulong)k);
        val_set_fmpz(A, r, f);
    }
    fmpz_clear(f);
    return ok && !A->error;
}

static bool eval(algebra *A, src s, int at, bool top, val *r)
{
    const lb_node *x = &s.t->node[at];
    val e;
    bool ok;
    if (!charge(A, 20)) return false;
    if (x->unit && !top) return stop(A, "a unit stands inside an expression");
    switch ((lb_node_kind)x->kind) {
    case LB_NODE_NUM: return number(A, lb_tree_text(s.t, x->text), r);
    case LB_NODE_SYM:
        if (!strcmp(lb_tree_text(s.t, x->text), "i")) return imaginary(A, r);
        return name_value(A, r, lb_tree_text(s.t, x->text));
    case LB_NODE_PI: return name_value(A, r, "#pi");
    case LB_NODE_SUM: return sum(A, s, at, r);
    case LB_NODE_PROD: return product(A, s, at, r);
    case LB_NODE_FUNC: return function(A, s, at, r);
    case LB_NODE_FACT: case LB_NODE_BINOM: return combinatorial(A, s, at, r);
    case LB_NODE_ROOT: case LB_NODE_POW: {
        int a = x->first, b = s.t->node[a].next;
        slong q = 2;
        val_init(A, &e);
        ok = eval(A, s, a, false, r) && (b < 0 || eval(A, s, b, false, &e));
        if (ok && x->kind == LB_NODE_POW) ok = val_raise(A, r, &e);
        else if (ok && b >= 0 && !val_small(A, &e, 1, 64, &q)) ok = stop(A, "a root of a degree that is not 1 to 64");
        else if (ok) ok = val_root(A, r, (ulong)q);
        val_clear(A, &e);
        return ok;
    }
    default: return stop(A, "a list, interval, text or infinity stands inside an expression");
    }
}

static bool operand(algebra *A, lb_operand o, val *r)
{
    src s = {o.t, o.pm};
    if (!eval(A, s, o.node, true, r)) return false;
    if (o.minus < 0) return true;
    val b;
    val_init(A, &b);
    bool ok = eval(A, s, o.minus, true, &b);
    if (ok) val_neg(A, &b), ok = val_add(A, r, r, &b);
    val_clear(A, &b);
    return ok;
}

/* ---- the verdict ---- */

/* An upper bound for the generators that a subtree needs: names once each over both trees is left to the caller. */
static int count_gens(const lb_tree *t, int at, const char **name, int n)
{
    const lb_node *x = &t->node[at];
    const char *add = NULL;
    int more = 0;
    if (n > MAX_GEN) return n;
    if (x->kind == LB_NODE_SYM) add = lb_tree_text(t, x->text);
    else if (x->kind == LB_NODE_PI) add = "#pi";
    else if (x->kind == LB_NODE_FUNC) more = 1;
    else if (x->kind == LB_NODE_ROOT) more = 4;
    else if (x->kind == LB_NODE_POW && t->node[t->node[x->first].next].kind != LB_NODE_NUM) more = 4;
    for (int i = 0; add && i < n; i++)
        if (name[i] && !strcmp(name[i], add)) add = NULL;
    if (add) name[n++] = add;
    while (more-- > 0 && n <= MAX_GEN) name[n++] = NULL;
    for (int k = x->first; k >= 0 && n <= MAX_GEN; k = t->node[k].next) n = count_gens(t, k, name, n);
    return n;
}

static int generators(lb_operand g, lb_operand a)
{
    const char *name[MAX_GEN + 1];
    int n = count_gens(g.t, g.node, name, 0);
    if (g.minus >= 0) n = count_gens(g.t, g.minus, name, n);
    n = count_gens(a.t, a.node, name, n);
    if (a.minus >= 0) n = count_gens(a.t, a.minus, name, n);
    return n < 1 ? 1 : n > MAX_GEN ? MAX_GEN : n;
}

static bool has_opaque(const algebra *A, const fmpq_mpoly_t a)
{
    for (int g = 0; g < A->n_gen; g++)
        if (A->gen[g].kind == OPAQUE && fmpq_mpoly_degree_si(a, g, A->ctx) > 0) return true;
    return false;
}

/* n = c·m for a rational c, which may have to be positive. */
static bool proportional(algebra *A, fmpq_mpoly_t n, fmpq_mpoly_t m, bool positive, bool *yes)
{
    if (fmpq_mpoly_is_zero(n, A->ctx) || fmpq_mpoly_is_zero(m, A->ctx)) {
        *yes = fmpq_mpoly_is_zero(n, A->ctx) && fmpq_mpoly_is_zero(m, A->ctx);
        return true;
    }
    if (!charge(A, 20 + (double)fmpq_mpoly_length(n, A->ctx) * (1 + (poly_bits(n) + poly_bits(m)) / 64))) return false;
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

static bool decide(algebra *A, val *g, val *a, lb_compare how, bool *equal)
{
    if (how == LB_PROPORTIONAL || how == LB_PROPORTIONAL_UP) {
        if (!fmpq_mpoly_is_one(g->d, A->ctx) || !fmpq_mpoly_is_one(a->d, A->ctx))
            return stop(A, "an equation with a variable in a denominator");
        bool linear = fmpq_mpoly_total_degree_si(g->n, A->ctx) <= 1 && fmpq_mpoly_total_degree_si(a->n, A->ctx) <= 1;
        if (!proportional(A, g->n, a->n, how == LB_PROPORTIONAL_UP, equal)) return false;
        if (!*equal && !linear) A->inexact = true;             /* other equations may have the same solutions */
        return true;
    }
    fmpq_mpoly_t l, r, d;
    fmpq_mpoly_init(l, A->ctx), fmpq_mpoly_init(r, A->ctx), fmpq_mpoly_init(d, A->ctx);
    bool ok = poly_mul(A, l, g->n, a->d) && poly_mul(A, r, a->n, g->d);
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
    algebra A = {.work = work};
    val g, a;
    bool equal = false;
    A.max_gen = generators(gold, answer);
    fmpq_mpoly_ctx_init(A.ctx, A.max_gen, ORD_LEX);
    val_init(&A, &g), val_init(&A, &a);
    const char *who = "the gold answer: ";
    bool ok = charge(&A, 50) && operand(&A, gold, &g);
    if (ok) who = "the answer: ", ok = operand(&A, answer, &a);
    if (ok) who = "", ok = decide(&A, &g, &a, how, &equal);
    lb_verdict v = !ok ? LB_UNKNOWN : equal ? LB_RIGHT : A.inexact ? LB_UNKNOWN : LB_WRONG;
    *final = v != LB_UNKNOWN || *work < 0;
    if (!ok) snprintf(why, LB_TREE_WHY, "%s%s", who, A.error ? A.error : "not understood");
    else if (v == LB_UNKNOWN) snprintf(why, LB_TREE_WHY, "equality of these forms is not decided");
    else if (v == LB_WRONG) snprintf(why, LB_TREE_WHY, "the values differ");
    val_clear(&A, &g), val_clear(&A, &a);
    for (int i = 0; i < A.n_gen; i++) {
        for (int k = 0; k < A.gen[i].n_arg; k++) val_clear(&A, &A.gen[i].arg[k]);
        fmpz_clear(A.gen[i].p);
    }
    fmpq_mpoly_ctx_clear(A.ctx);
    return v;
}
