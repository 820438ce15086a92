/* eval/answer_algebra.c – polynomials whose steps are charged before they are done, their quotients, and generators. */
#include "eval/answer_algebra.h"
#include <string.h>

enum {
    MAX_BITS = 1 << 17,        /* of a coefficient: 39,000 decimal digits */
    MAX_TERMS = 1 << 14,
    MAX_DEGREE = 1 << 20
};

bool lb_alg_stop(lb_algebra *A, const char *why)
{
    if (!A->error) A->error = why;
    return false;
}

bool lb_alg_charge(lb_algebra *A, double cost)
{
    if (A->error) return false;
    if (cost > (double)*A->work) {
        *A->work = -1;
        return lb_alg_stop(A, "too costly to compare");
    }
    *A->work -= (long)cost;
    return true;
}

void lb_val_init(lb_algebra *A, lb_val *v)
{
    fmpq_mpoly_init(v->n, A->ctx), fmpq_mpoly_init(v->d, A->ctx);
    fmpq_mpoly_one(v->d, A->ctx);
}

void lb_val_clear(lb_algebra *A, lb_val *v) { fmpq_mpoly_clear(v->n, A->ctx), fmpq_mpoly_clear(v->d, A->ctx); }

void lb_val_swap(lb_algebra *A, lb_val *a, lb_val *b)
{
    fmpq_mpoly_swap(a->n, b->n, A->ctx), fmpq_mpoly_swap(a->d, b->d, A->ctx);
}

void lb_val_set_fmpz(lb_algebra *A, lb_val *r, const fmpz_t x)
{
    fmpq_mpoly_set_fmpz(r->n, x, A->ctx), fmpq_mpoly_one(r->d, A->ctx);
}

/* ---- polynomials ---- */

double lb_poly_bits(const fmpq_mpoly_t a)
{
    slong b = fmpz_mpoly_max_bits(a->zpoly);
    return (double)(b < 0 ? -b : b) + (double)fmpz_bits(fmpq_numref(a->content)) +
           (double)fmpz_bits(fmpq_denref(a->content));
}

/* Replaces r^q by p for every radical. */
static bool poly_reduce(lb_algebra *A, fmpq_mpoly_t a)
{
    bool needed = false;
    if (!A->radicals || !a->zpoly->length) return true;
    for (int g = 0; g < A->n_gen; g++)
        if (A->gen[g].kind == LB_GEN_RADICAL && fmpq_mpoly_degree_si(a, g, A->ctx) >= (slong)A->gen[g].q) needed = true;
    if (!needed) return true;
    slong n = fmpq_mpoly_length(a, A->ctx);
    if (!lb_alg_charge(A, 150.0 * (double)n * (1 + lb_poly_bits(a) / 64))) return false;
    ulong e[LB_ALG_GENS];
    fmpq_t c;
    fmpz_t f;
    fmpq_mpoly_t r;
    fmpq_init(c), fmpz_init(f), fmpq_mpoly_init(r, A->ctx);
    for (slong i = 0; i < n; i++) {
        fmpq_mpoly_get_term_coeff_fmpq(c, a, i, A->ctx);
        fmpq_mpoly_get_term_exp_ui(e, a, i, A->ctx);
        for (int g = 0; g < A->n_gen; g++) {
            if (A->gen[g].kind != LB_GEN_RADICAL || e[g] < A->gen[g].q) continue;
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
bool lb_poly_mul(lb_algebra *A, fmpq_mpoly_t r, const fmpq_mpoly_t a, const fmpq_mpoly_t b)
{
    double la = (double)fmpq_mpoly_length(a, A->ctx), lb = (double)fmpq_mpoly_length(b, A->ctx);
    if (!fmpq_mpoly_total_degree_fits_si(a, A->ctx) || !fmpq_mpoly_total_degree_fits_si(b, A->ctx) ||
        fmpq_mpoly_total_degree_si(a, A->ctx) + fmpq_mpoly_total_degree_si(b, A->ctx) > MAX_DEGREE)
        return lb_alg_stop(A, "a degree is too high to compare");
    double ba = lb_poly_bits(a), bb = lb_poly_bits(b), wa = 1 + ba / 64, wb = 1 + bb / 64;
    if (ba + bb > MAX_BITS) return lb_alg_stop(A, "a number is too long to compare");
    double limbs = wa * wb < 40 * (wa + wb) ? wa * wb : 40 * (wa + wb);      /* GMP multiplies long numbers faster */
    if (!lb_alg_charge(A, 10 + la * lb * limbs)) return false;
    if (la * lb > 64.0 * MAX_TERMS) return lb_alg_stop(A, "too many terms to compare");
    fmpq_mpoly_mul(r, a, b, A->ctx);
    if (fmpq_mpoly_length(r, A->ctx) > MAX_TERMS) return lb_alg_stop(A, "too many terms to compare");
    return poly_reduce(A, r);
}

bool lb_poly_add(lb_algebra *A, fmpq_mpoly_t r, const fmpq_mpoly_t a, const fmpq_mpoly_t b)
{
    double n = (double)(fmpq_mpoly_length(a, A->ctx) + fmpq_mpoly_length(b, A->ctx));
    double bits = lb_poly_bits(a) + lb_poly_bits(b);
    if (bits > MAX_BITS) return lb_alg_stop(A, "a number is too long to compare");
    if (n > MAX_TERMS) return lb_alg_stop(A, "too many terms to compare");
    if (!lb_alg_charge(A, 10 + n * (1 + bits / 64))) return false;
    fmpq_mpoly_add(r, a, b, A->ctx);
    return true;
}

/* ---- values: r may be one of the operands ---- */

static bool val_tidy(lb_algebra *A, lb_val *r)
{
    if (A->error) return false;
    if (fmpq_mpoly_is_zero(r->d, A->ctx)) return lb_alg_stop(A, "division by zero");
    if (fmpq_mpoly_is_one(r->d, A->ctx) || !fmpq_mpoly_is_fmpq(r->d, A->ctx)) return true;
    if (!lb_alg_charge(A, 10 + (double)fmpq_mpoly_length(r->n, A->ctx) * (1 + lb_poly_bits(r->n) / 64))) return false;
    fmpq_t c;
    fmpq_init(c);
    fmpq_mpoly_get_fmpq(c, r->d, A->ctx);
    fmpq_inv(c, c);
    fmpq_mpoly_scalar_mul_fmpq(r->n, r->n, c, A->ctx);
    fmpq_mpoly_one(r->d, A->ctx);
    fmpq_clear(c);
    return true;
}

bool lb_val_mul(lb_algebra *A, lb_val *r, const lb_val *a, const lb_val *b)
{
    lb_val t;
    lb_val_init(A, &t);
    bool ok = lb_poly_mul(A, t.n, a->n, b->n) && lb_poly_mul(A, t.d, a->d, b->d);
    lb_val_swap(A, r, &t);
    lb_val_clear(A, &t);
    return ok && val_tidy(A, r);
}

bool lb_val_add(lb_algebra *A, lb_val *r, const lb_val *a, const lb_val *b)
{
    if (fmpq_mpoly_equal(a->d, b->d, A->ctx)) {
        if (r != a) fmpq_mpoly_set(r->d, a->d, A->ctx);
        return lb_poly_add(A, r->n, a->n, b->n);
    }
    lb_val t;
    fmpq_mpoly_t u;
    lb_val_init(A, &t), fmpq_mpoly_init(u, A->ctx);
    bool ok = lb_poly_mul(A, t.n, a->n, b->d) && lb_poly_mul(A, u, b->n, a->d) && lb_poly_add(A, t.n, t.n, u) &&
              lb_poly_mul(A, t.d, a->d, b->d);
    lb_val_swap(A, r, &t);
    lb_val_clear(A, &t), fmpq_mpoly_clear(u, A->ctx);
    return ok && val_tidy(A, r);
}

void lb_val_neg(lb_algebra *A, lb_val *r) { fmpq_mpoly_neg(r->n, r->n, A->ctx); }

bool lb_val_invert(lb_algebra *A, lb_val *r)
{
    fmpq_mpoly_swap(r->n, r->d, A->ctx);
    return val_tidy(A, r);
}

/* r = r^k by squaring: each product checks its size first, so a tower stops at once. */
bool lb_val_power(lb_algebra *A, lb_val *r, slong k)
{
    if (k < 0 && !lb_val_invert(A, r)) return false;
    if (k < 0) k = -k;
    if (fmpq_mpoly_is_zero(r->n, A->ctx)) return k ? true : lb_alg_stop(A, "0^0 has no value");
    if (fmpq_mpoly_is_one(r->n, A->ctx) && fmpq_mpoly_is_one(r->d, A->ctx)) return true;
    lb_val base, out;
    lb_val_init(A, &base), lb_val_init(A, &out);
    lb_val_swap(A, &base, r);
    fmpq_mpoly_one(out.n, A->ctx);
    bool ok = true;
    for (; ok && k; k >>= 1) {
        if (k & 1) ok = lb_val_mul(A, &out, &out, &base);
        if (ok && k > 1) ok = lb_val_mul(A, &base, &base, &base);
    }
    lb_val_swap(A, r, &out);
    lb_val_clear(A, &base), lb_val_clear(A, &out);
    return ok;
}

bool lb_val_rational(lb_algebra *A, const lb_val *a, fmpq_t c)
{
    if (!fmpq_mpoly_is_fmpq(a->n, A->ctx) || !fmpq_mpoly_is_one(a->d, A->ctx)) return false;
    fmpq_mpoly_get_fmpq(c, a->n, A->ctx);
    return true;
}

/* An integer constant in [lo, hi]. */
bool lb_val_small(lb_algebra *A, const lb_val *a, slong lo, slong hi, slong *out)
{
    fmpq_t c;
    fmpq_init(c);
    bool ok = lb_val_rational(A, a, c) && fmpz_is_one(fmpq_denref(c)) && fmpz_cmp_si(fmpq_numref(c), lo) >= 0 &&
              fmpz_cmp_si(fmpq_numref(c), hi) <= 0;
    if (ok) *out = fmpz_get_si(fmpq_numref(c));
    fmpq_clear(c);
    return ok;
}

bool lb_val_same(const lb_algebra *A, const lb_val *a, const lb_val *b)
{
    return fmpq_mpoly_equal(a->n, b->n, A->ctx) && fmpq_mpoly_equal(a->d, b->d, A->ctx);
}

/* ---- generators ---- */

lb_gen *lb_alg_gen(lb_algebra *A)
{
    if (A->n_gen >= A->max_gen) {
        lb_alg_stop(A, "too many different symbols to compare");
        return NULL;
    }
    lb_gen *g = &A->gen[A->n_gen++];
    memset(g, 0, sizeof *g);
    fmpz_init(g->p);
    return g;
}

bool lb_val_set_gen(lb_algebra *A, lb_val *r, const lb_gen *g)
{
    fmpq_mpoly_gen(r->n, (slong)(g - A->gen), A->ctx);
    fmpq_mpoly_one(r->d, A->ctx);
    return true;
}

bool lb_val_name(lb_algebra *A, lb_val *r, const char *name)
{
    for (int i = 0; i < A->n_gen; i++)
        if (A->gen[i].kind == LB_GEN_NAME && !strcmp(A->gen[i].name, name)) return lb_val_set_gen(A, r, &A->gen[i]);
    lb_gen *g = lb_alg_gen(A);
    if (!g) return false;
    g->kind = LB_GEN_NAME, g->name = name;
    return lb_val_set_gen(A, r, g);
}

bool lb_val_radical(lb_algebra *A, lb_val *r, const fmpz_t p, ulong q)
{
    for (int i = 0; i < A->n_gen; i++) {
        if (A->gen[i].kind != LB_GEN_RADICAL || !fmpz_equal(A->gen[i].p, p)) continue;
        if (A->gen[i].q == q) return lb_val_set_gen(A, r, &A->gen[i]);
        A->inexact = true;                 /* √2 and ∜2 depend on each other */
    }
    lb_gen *g = lb_alg_gen(A);
    if (!g) return false;
    g->kind = LB_GEN_RADICAL, g->q = q;
    fmpz_set(g->p, p);
    A->radicals = true;
    return lb_val_set_gen(A, r, g);
}

bool lb_val_i(lb_algebra *A, lb_val *r)
{
    fmpz_t p;
    fmpz_init_set_si(p, -1);
    bool ok = lb_val_radical(A, r, p, 2);
    fmpz_clear(p);
    return ok;
}

/* r = name(a) or name(a, b); takes the contents of a and b. */
bool lb_val_opaque(lb_algebra *A, lb_val *r, const char *name, lb_val *a, lb_val *b)
{
    A->inexact = true;
    for (int i = 0; i < A->n_gen; i++) {
        lb_gen *g = &A->gen[i];
        if (g->kind == LB_GEN_OPAQUE && g->n_arg == 1 + (b != NULL) && !strcmp(g->name, name) &&
            lb_val_same(A, &g->arg[0], a) && (!b || lb_val_same(A, &g->arg[1], b))) return lb_val_set_gen(A, r, g);
    }
    lb_gen *g = lb_alg_gen(A);
    if (!g) return false;
    g->kind = LB_GEN_OPAQUE, g->name = name, g->n_arg = 1 + (b != NULL);
    lb_val_init(A, &g->arg[0]);
    lb_val_swap(A, &g->arg[0], a);
    if (b) {
        lb_val_init(A, &g->arg[1]);
        lb_val_swap(A, &g->arg[1], b);
    }
    return lb_val_set_gen(A, r, g);
}
