/* kern/matmul.h – y = x · Wᵀ + b with W in any number format: where the bits are spent.
 *
 * Weights stay packed. Activations are rounded first if `act` says so (kern/actquant.h): y = Σ x̂ ŵ + b, where x̂ are
 * the very numbers of lb_act_fake_quant; integer rows multiply codes with codes and never make either operand whole.
 * Without `act` they stay f32, or 16 bits at the least inside a kernel (for bf16 weights bf16 dots, or on AMX tiles the
 * sum of two bf16 numbers, 17 bits; for integer weights 16-bit integers with one scale per token and group, which is finer
 * than bf16): that is what A16 means. Unit: one output feature (row of W). For each (token, row) the order of additions is
 * fixed by the row's kernel, K and the group size alone, so one token alone and the same token among 512 give the same
 * bits. */
#ifndef LB_KERN_MATMUL_H
#define LB_KERN_MATMUL_H
#include "kern/actquant.h"
#include "kern/op.h"
#include "num/num.h"

typedef struct lb_matmul {
    float *y;                /* [n_tok, ldy], columns [0, w.n) written */
    const float *x;          /* [n_tok, w.k] */
    lb_mat w;                /* [N, K] */
    const float *bias;       /* [N], or NULL */
    int n_tok;
    int ldy;                 /* floats from one row of y to the next; ≥ N */
    lb_act_quant act;        /* zero: A16 */
} lb_matmul;

/* Units of a row's prep are tokens, but up to so many tokens (a decode step) are one unit: not worth starting a
 * thread. */
enum { LB_MATMUL_FEW = 8 };
/* The token at which the units up to `unit` end. */
static inline int lb_matmul_prep_end(const lb_matmul *a, int unit)
{
    return a->n_tok <= LB_MATMUL_FEW && unit == 1 ? a->n_tok : unit;
}

extern const lb_op lb_op_matmul;
extern const lb_impl lb_matmul_impls[];
#endif
