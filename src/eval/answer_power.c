/* eval/answer_power.c – roots, powers and exponentials of rational functions. */
#include "eval/answer_algebra.h"
#include <flint/fmpq_mpoly_factor.h>
#include <flint/ulong_extras.h>
#include <string.h>

enum {
    MAX_POWER = 1 << 20,
    RADICAL_BITS = 2048,       /* of a radicand */
    RADICAL_PRIMES = 1 << 16   /* trial division up to here */
};

/* ---- roots ---- */

static bool is_pi_or_e(const lb_gen *g)
{
    return g->kind == LB_GEN_NAME && (!strcmp(g->name, "#pi") || !strcmp(g->name, "e"));
}

/* r = r · p^(e/q) */
static bool times_root(lb_algebra *A, lb_val *r, const fmpz_t p, ulong e, ulong q)
{
    lb_val f;
    fmpz_t whole;
    lb_val_init(A, &f), fmpz_init(whole);
    fmpz_pow_ui(whole, p, e / q);
    lb_val_set_fmpz(A, &f, whole);
    bool ok = lb_val_mul(A, r, r, &f);
    if (ok && e % q)
        ok = lb_val_radical(A, &f, p, q) && lb_val_power(A, &f, (slong)(e % q)) && lb_val_mul(A, r, r, &f);
    lb_val_clear(A, &f), fmpz_clear(whole);
    return ok;
}

/* r = m^(1/q), m > 0: prime by prime. */
static bool integer_root(lb_algebra *A, lb_val *r, fmpz_t m, ulong q)
{
    if (fmpz_bits(m) > RADICAL_BITS) return lb_alg_stop(A, "a radicand is too long to compare");
    if (!lb_alg_charge(A, 2000 + 1000.0 * (double)fmpz_bits(m) / 64)) return false;
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

/* Divides every exponent of a polynomial with one term by q; it has only π and e, which are positive. */
static bool monomial_root(lb_algebra *A, fmpq_mpoly_t a, ulong q, fmpq_t c)
{
    ulong e[LB_ALG_GENS];
    if (fmpq_mpoly_length(a, A->ctx) != 1) return false;
    fmpq_mpoly_get_term_coeff_fmpq(c, a, 0, A->ctx);
    fmpq_mpoly_get_term_exp_ui(e, a, 0, A->ctx);
    for (int g = 0; g < A->n_gen; g++) {
        if (e[g] && (!is_pi_or_e(&A->gen[g]) || e[g] % q)) return false;
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
static bool val_root_monomial(lb_algebra *A, lb_val *r, ulong q, bool *ok)
{
    lb_val m, c;
    fmpq_t n, d;
    lb_val_init(A, &m), lb_val_init(A, &c), fmpq_init(n), fmpq_init(d);
    fmpq_mpoly_set(m.n, r->n, A->ctx), fmpq_mpoly_set(m.d, r->d, A->ctx);
    bool yes = monomial_root(A, m.n, q, n) && monomial_root(A, m.d, q, d);
    if (yes) {
        fmpq_div(n, n, d);
        fmpq_mpoly_set_fmpq(c.n, n, A->ctx);
        *ok = lb_val_root(A, &c, q) && lb_val_mul(A, r, &m, &c);
    }
    lb_val_clear(A, &m), lb_val_clear(A, &c), fmpq_clear(n), fmpq_clear(d);
    return yes;
}

/* r = r^(1/q) for odd q and the q-th power of a small polynomial in π and e, which is real, as its odd root is taken to
 * be; false, with r as it was, if it is something else. */
static bool val_root_power(lb_algebra *A, lb_val *r, ulong q, bool *ok)
{
    if (q % 2 == 0 || !fmpq_mpoly_is_one(r->d, A->ctx) || fmpq_mpoly_length(r->n, A->ctx) > 32 ||
        lb_poly_bits(r->n) > 512 || !fmpq_mpoly_total_degree_fits_si(r->n, A->ctx) ||
        fmpq_mpoly_total_degree_si(r->n, A->ctx) > 64) return false;
    for (int g = 0; g < A->n_gen; g++)
        if (fmpq_mpoly_degree_si(r->n, g, A->ctx) > 0 && !is_pi_or_e(&A->gen[g])) return false;
    if (!lb_alg_charge(A, 20000)) return *ok = false, true;
    fmpq_mpoly_factor_t f;
    lb_val c, y;
    fmpq_mpoly_factor_init(f, A->ctx), lb_val_init(A, &c), lb_val_init(A, &y);
    bool yes = fmpq_mpoly_factor(f, r->n, A->ctx);
    for (slong i = 0; yes && i < f->num; i++) yes = fmpz_divisible_si(f->exp + i, (slong)q);
    if (yes) {
        fmpq_mpoly_set_fmpq(c.n, f->constant, A->ctx);
        *ok = lb_val_root(A, &c, q);
        for (slong i = 0; *ok && i < f->num; i++) {
            fmpq_mpoly_set(y.n, f->poly + i, A->ctx), fmpq_mpoly_one(y.d, A->ctx);
            *ok = lb_val_power(A, &y, fmpz_get_si(f->exp + i) / (slong)q) && lb_val_mul(A, &c, &c, &y);
        }
        lb_val_swap(A, r, &c);
    }
    fmpq_mpoly_factor_clear(f, A->ctx), lb_val_clear(A, &c), lb_val_clear(A, &y);
    return yes;
}

/* r = r^(1/q): the real root where there is one. */
bool lb_val_root(lb_algebra *A, lb_val *r, ulong q)
{
    fmpq_t c;
    fmpz_t m;
    lb_val b;
    bool ok;
    if (q == 1) return true;
    fmpq_init(c), fmpz_init(m), lb_val_init(A, &b);
    if (!lb_val_rational(A, r, c)) {
        fmpz_set_ui(m, q);
        lb_val_set_fmpz(A, &b, m);
        if (!val_root_monomial(A, r, q, &ok) && !val_root_power(A, r, q, &ok)) ok = lb_val_opaque(A, r, "root", r, &b);
    } else if (fmpq_is_zero(c)) {
        ok = true;
    } else if (fmpq_sgn(c) < 0 && q % 2 == 0 && q > 2) {
        ok = lb_alg_stop(A, "an even root of a negative number");
    } else if ((double)fmpz_bits(fmpq_denref(c)) * (double)q > RADICAL_BITS) {
        ok = lb_alg_stop(A, "a radicand is too long to compare");
    } else {
        /* (a/b)^(1/q) = (a·b^(q−1))^(1/q) / b */
        bool negative = fmpq_sgn(c) < 0;
        fmpq_abs(c, c);
        fmpz_pow_ui(m, fmpq_denref(c), q - 1);
        fmpz_mul(m, m, fmpq_numref(c));
        lb_val_set_fmpz(A, &b, fmpq_denref(c));
        ok = integer_root(A, r, m, q) && lb_val_invert(A, &b) && lb_val_mul(A, r, r, &b);
        if (ok && negative && q % 2) lb_val_neg(A, r);
        if (ok && negative && q == 2) ok = lb_val_i(A, &b) && lb_val_mul(A, r, r, &b);
    }
    fmpq_clear(c), fmpz_clear(m), lb_val_clear(A, &b);
    return ok;
}

/* ---- exponentials ---- */

static bool is_constant(const lb_gen *g) { return g->kind != LB_GEN_NAME || is_pi_or_e(g); }

/* r = p^(c·m) for a product m with a name in it. */
static bool exponent_value(lb_algebra *A, lb_val *r, const fmpz_t p, const ulong *m, const fmpq_t c)
{
    lb_gen *g = NULL;
    if (!fmpz_fits_si(fmpq_numref(c)) || fmpz_bits(fmpq_denref(c)) > 16)
        return lb_alg_stop(A, "an exponent is too large to compare");
    ulong q = fmpz_get_ui(fmpq_denref(c));
    for (int i = 0; i < A->n_gen && !g; i++) {
        lb_gen *x = &A->gen[i];
        if (x->kind != LB_GEN_EXPONENT || memcmp(x->m, m, sizeof x->m)) continue;
        if (fmpz_equal(x->p, p) && x->q % q == 0) g = x;
        else if (fmpz_equal(x->p, p) || (!fmpz_is_zero(x->p) && !fmpz_is_zero(p))) A->inexact = true;  /* 2^x and 4^x */
    }
    if (!g && !(g = lb_alg_gen(A))) return false;
    if (g->kind != LB_GEN_EXPONENT) {
        g->kind = LB_GEN_EXPONENT, g->q = q;
        memcpy(g->m, m, sizeof g->m);
        fmpz_set(g->p, p);
    }
    /* cos(2πn) is 1 for whole numbers n only, which is not seen here */
    for (int i = 0; i < A->n_gen; i++)
        if (m[i] && A->gen[i].kind == LB_GEN_NAME && is_constant(&A->gen[i])) A->inexact = true;
    slong k = fmpz_get_si(fmpq_numref(c));
    if (k > MAX_POWER || k < -MAX_POWER) return lb_alg_stop(A, "an exponent is too large to compare");
    return lb_val_set_gen(A, r, g) && lb_val_power(A, r, k * (slong)(g->q / q));
}

/* Whether p^x is a product of p^(c·m) as above and whole powers of p. */
static bool is_exponent(lb_algebra *A, const lb_val *x)
{
    bool any = false;
    fmpq_t c;
    if (!fmpq_mpoly_is_one(x->d, A->ctx)) return false;
    fmpq_init(c);
    for (slong i = 0, n = fmpq_mpoly_length(x->n, A->ctx); i < n; i++) {
        ulong m[LB_ALG_GENS] = {0};
        bool named = false, one = true;
        fmpq_mpoly_get_term_exp_ui(m, x->n, i, A->ctx);
        fmpq_mpoly_get_term_coeff_fmpq(c, x->n, i, A->ctx);
        for (int g = 0; g < A->n_gen; g++) named |= m[g] && !is_constant(&A->gen[g]), one &= !m[g];
        any |= named;
        if (!named && !(one && fmpz_is_one(fmpq_denref(c)))) { any = false; break; }
    }
    fmpq_clear(c);
    return any;
}

/* r = p^x for an x that is_exponent; r may be x. */
static bool exponential(lb_algebra *A, lb_val *r, const fmpz_t p, const lb_val *x)
{
    lb_val out, y;
    fmpq_t c;
    bool ok = true;
    lb_val_init(A, &out), lb_val_init(A, &y), fmpq_init(c);
    fmpq_mpoly_one(out.n, A->ctx);
    for (slong i = 0, n = fmpq_mpoly_length(x->n, A->ctx); ok && i < n; i++) {
        ulong m[LB_ALG_GENS] = {0};
        bool one = true;
        fmpq_mpoly_get_term_exp_ui(m, x->n, i, A->ctx);
        fmpq_mpoly_get_term_coeff_fmpq(c, x->n, i, A->ctx);
        for (int g = 0; g < A->n_gen; g++) one &= !m[g];
        if (!one) {
            ok = exponent_value(A, &y, p, m, c);
        } else if (fmpz_cmpabs(fmpq_numref(c), fmpq_denref(c)) && fmpz_bits(fmpq_numref(c)) > 20) {
            ok = lb_alg_stop(A, "an exponent is too large to compare");
        } else {
            if (fmpz_is_zero(p)) ok = lb_val_name(A, &y, "e");
            else lb_val_set_fmpz(A, &y, p);
            ok = ok && lb_val_power(A, &y, fmpz_get_si(fmpq_numref(c)));
        }
        ok = ok && lb_val_mul(A, &out, &out, &y);
    }
    lb_val_swap(A, r, &out);
    lb_val_clear(A, &out), lb_val_clear(A, &y), fmpq_clear(c);
    return ok;
}

static bool is_e(const lb_algebra *A, const lb_val *x)
{
    for (int i = 0; i < A->n_gen; i++)
        if (A->gen[i].kind == LB_GEN_NAME && !strcmp(A->gen[i].name, "e"))
            return fmpq_mpoly_is_one(x->d, A->ctx) && fmpq_mpoly_is_gen(x->n, i, A->ctx);
    return false;
}

/* r = r^e by the above, where it applies: *done says so. */
static bool raise_to_names(lb_algebra *A, lb_val *r, const lb_val *e, bool *done)
{
    fmpq_t c;
    fmpq_init(c);
    bool of_e = is_e(A, r), ok = true;
    *done = (of_e || (lb_val_rational(A, r, c) && fmpz_is_one(fmpq_denref(c)) && fmpz_cmp_ui(fmpq_numref(c), 2) >= 0 &&
                      fmpz_bits(fmpq_numref(c)) <= 64)) && is_exponent(A, e);
    if (of_e) fmpq_zero(c);
    if (*done) ok = exponential(A, r, fmpq_numref(c), e);
    fmpq_clear(c);
    return ok;
}

/* r = (E + s/E)·f, where E = e^x */
static bool euler(lb_algebra *A, lb_val *r, const lb_val *x, int s, const lb_val *f)
{
    lb_val back;
    fmpz_t e;
    fmpz_init(e), lb_val_init(A, &back);
    bool ok = exponential(A, r, e, x);
    if (ok) fmpq_mpoly_set(back.n, r->n, A->ctx), fmpq_mpoly_set(back.d, r->d, A->ctx);
    ok = ok && lb_val_invert(A, &back);
    if (ok && s < 0) lb_val_neg(A, &back);
    ok = ok && lb_val_add(A, r, r, &back) && lb_val_mul(A, r, r, f);
    lb_val_clear(A, &back), fmpz_clear(e);
    return ok;
}

/* r = name(x) for the trigonometric and hyperbolic functions and exp; *done is false for others and for constants. */
bool lb_val_euler(lb_algebra *A, lb_val *r, const char *name, const lb_val *x, bool *done)
{
    static const struct { const char *name; char over, under; bool hyperbolic; } table[] = {
        {"sin", 's', 0, false}, {"cos", 'c', 0, false}, {"tan", 's', 'c', false}, {"cot", 'c', 's', false},
        {"sec", 0, 'c', false}, {"csc", 0, 's', false}, {"sinh", 's', 0, true}, {"cosh", 'c', 0, true},
        {"tanh", 's', 'c', true}, {"coth", 'c', 's', true}};
    size_t k = 0, n = sizeof table / sizeof *table;
    while (k < n && strcmp(table[k].name, name)) k++;
    *done = (k < n || !strcmp(name, "exp")) && is_exponent(A, x);
    if (!*done) return true;
    if (k == n) {
        fmpz_t e;
        fmpz_init(e);
        bool made = exponential(A, r, e, x);
        fmpz_clear(e);
        return made;
    }
    lb_val i, ix, half, half_i, y;
    lb_val_init(A, &i), lb_val_init(A, &ix), lb_val_init(A, &half), lb_val_init(A, &half_i), lb_val_init(A, &y);
    fmpq_mpoly_one(ix.n, A->ctx), fmpq_mpoly_one(half.n, A->ctx);
    fmpq_mpoly_scalar_div_ui(half.n, half.n, 2, A->ctx);
    bool ok = true;
    if (!table[k].hyperbolic) ok = lb_val_i(A, &i) && lb_val_mul(A, &ix, x, &i) && lb_val_mul(A, &half_i, &half, &i);
    else ok = lb_val_mul(A, &ix, x, &ix), fmpq_mpoly_neg(half_i.n, half.n, A->ctx);
    if (ok) lb_val_neg(A, &half_i);                   /* 1/(2i) = −i/2; 1/2 */
    fmpq_mpoly_one(r->n, A->ctx), fmpq_mpoly_one(r->d, A->ctx);
    if (ok && table[k].over)
        ok = euler(A, r, &ix, table[k].over == 's' ? -1 : 1, table[k].over == 's' ? &half_i : &half);
    if (ok && table[k].under)
        ok = euler(A, &y, &ix, table[k].under == 's' ? -1 : 1, table[k].under == 's' ? &half_i : &half) &&
             lb_val_invert(A, &y) && lb_val_mul(A, r, r, &y);
    lb_val_clear(A, &i), lb_val_clear(A, &ix), lb_val_clear(A, &half), lb_val_clear(A, &half_i), lb_val_clear(A, &y);
    return ok;
}

/* r = r^e for any exponent. */
bool lb_val_raise(lb_algebra *A, lb_val *r, lb_val *e)
{
    fmpq_t c;
    slong k;
    bool ok;
    if (lb_val_small(A, e, -MAX_POWER, MAX_POWER, &k)) return lb_val_power(A, r, k);
    fmpq_init(c);
    bool done = false;
    if (!lb_val_rational(A, e, c)) {
        ok = raise_to_names(A, r, e, &done);
        if (ok && !done) ok = lb_val_opaque(A, r, "power", r, e);
    } else if (fmpz_is_one(fmpq_denref(c))) {
        ok = (lb_val_rational(A, r, c) && fmpq_is_one(c)) || lb_alg_stop(A, "an exponent is too large to compare");
    } else if (fmpz_cmp_ui(fmpq_denref(c), 64) > 0 || fmpz_bits(fmpq_numref(c)) > 16) {
        ok = lb_alg_stop(A, "an exponent is too large to compare");
    } else {
        ok = lb_val_root(A, r, fmpz_get_ui(fmpq_denref(c))) && lb_val_power(A, r, fmpz_get_si(fmpq_numref(c)));
    }
    fmpq_clear(c);
    return ok;
}
