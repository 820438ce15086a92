/* eval/answer_algebra.h – rational functions with exact coefficients, by FLINT; internal to the grader.
 *
 * A value is a quotient n/d of polynomials with rational coefficients. Their generators are
 *   names      x, θ, π (transcendental, so it behaves like a name)
 *   radicals   r = p^(1/q) for a prime p, and i = √−1; r^q is always replaced by p. By Besicovitch (1940) the products
 *              of p^(e/q), e < q, are linearly independent over the rationals: different forms are different numbers
 *   exponents  E = b^(m/q) for b = e or a positive integer, and a product m of the others that has a name in it:
 *              b^(Σ c·m) is a product of their powers, and sin, cos, sinh … are what Euler's formula makes of them. For
 *              different m they are algebraically independent functions (Ax 1971)
 *   opaque     anything else, such as ln(n/d): equal only if name and argument are. Two values may then be equal in
 *              ways that are not seen here, so "different" becomes LB_UNKNOWN
 * n/d = n'/d' is decided as n·d' = n'·d, which needs no gcd: the cost of every step can be bounded beforehand. */
#ifndef LB_EVAL_ANSWER_ALGEBRA_H
#define LB_EVAL_ANSWER_ALGEBRA_H
#include <flint/fmpq.h>
#include <flint/fmpq_mpoly.h>
#include <stdbool.h>

enum { LB_ALG_GENS = 32 };

typedef struct lb_val {
    fmpq_mpoly_t n, d;         /* d is 1 whenever it is constant */
} lb_val;

typedef struct lb_gen {
    enum { LB_GEN_NAME, LB_GEN_RADICAL, LB_GEN_EXPONENT, LB_GEN_OPAQUE } kind;
    const char *name;          /* NAME, OPAQUE; borrowed from a tree or static */
    fmpz_t p;                  /* RADICAL: p^(1/q); EXPONENT: p^(m/q), where 0 is e */
    ulong q;
    ulong m[LB_ALG_GENS];          /* EXPONENT: the exponents of m */
    lb_val arg[2];             /* OPAQUE, n_arg of them */
    int n_arg;
} lb_gen;

typedef struct lb_algebra {
    fmpq_mpoly_ctx_t ctx;
    lb_gen gen[LB_ALG_GENS];
    int n_gen, max_gen;
    bool radicals, inexact;    /* there are radicals; different forms may be equal */
    long *work;
    const char *error;         /* static text */
} lb_algebra;

/* ---- answer_algebra.c ---- */

/* A function that fails has stopped the algebra: A->error says why, and all that follows fails. */

bool lb_alg_stop(lb_algebra *A, const char *why);      /* false */
bool lb_alg_charge(lb_algebra *A, double cost);        /* false once *A->work is spent */
lb_gen *lb_alg_gen(lb_algebra *A);                     /* a new one; NULL if there are too many */

double lb_poly_bits(const fmpq_mpoly_t a);             /* of the longest coefficient, about */
bool lb_poly_mul(lb_algebra *A, fmpq_mpoly_t r, const fmpq_mpoly_t a, const fmpq_mpoly_t b);
bool lb_poly_add(lb_algebra *A, fmpq_mpoly_t r, const fmpq_mpoly_t a, const fmpq_mpoly_t b);

/* r may be one of the operands. */
void lb_val_init(lb_algebra *A, lb_val *v);            /* 0 */
void lb_val_clear(lb_algebra *A, lb_val *v);
void lb_val_swap(lb_algebra *A, lb_val *a, lb_val *b);
void lb_val_set_fmpz(lb_algebra *A, lb_val *r, const fmpz_t x);
bool lb_val_set_gen(lb_algebra *A, lb_val *r, const lb_gen *g);
bool lb_val_mul(lb_algebra *A, lb_val *r, const lb_val *a, const lb_val *b);
bool lb_val_add(lb_algebra *A, lb_val *r, const lb_val *a, const lb_val *b);
void lb_val_neg(lb_algebra *A, lb_val *r);
bool lb_val_invert(lb_algebra *A, lb_val *r);
bool lb_val_power(lb_algebra *A, lb_val *r, slong k);
bool lb_val_rational(lb_algebra *A, const lb_val *a, fmpq_t c);                    /* whether it is one, and which */
bool lb_val_small(lb_algebra *A, const lb_val *a, slong lo, slong hi, slong *out); /* an integer constant in [lo, hi] */
bool lb_val_same(const lb_algebra *A, const lb_val *a, const lb_val *b);

bool lb_val_name(lb_algebra *A, lb_val *r, const char *name);
bool lb_val_radical(lb_algebra *A, lb_val *r, const fmpz_t p, ulong q);
bool lb_val_i(lb_algebra *A, lb_val *r);
/* r = name(a) or name(a, b); takes the contents of a and b. */
bool lb_val_opaque(lb_algebra *A, lb_val *r, const char *name, lb_val *a, lb_val *b);

/* ---- answer_power.c ---- */

bool lb_val_root(lb_algebra *A, lb_val *r, ulong q);   /* r = r^(1/q): the real root where there is one */
bool lb_val_raise(lb_algebra *A, lb_val *r, lb_val *e);
/* r = name(x) for the trigonometric and hyperbolic functions and exp; *done is false for others and for constants. */
bool lb_val_euler(lb_algebra *A, lb_val *r, const char *name, const lb_val *x, bool *done);
#endif
