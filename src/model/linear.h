/* model/linear.h – the only place where quantization meets a model.
 *
 *     y = Q(T·x) · Wᵀ + b        W [N,K] in number format w.num, T a transform, Q an activation quantizer
 *
 * Architectures call it, methods rewrite it, training will differentiate it. */
#ifndef LB_MODEL_LINEAR_H
#define LB_MODEL_LINEAR_H
#include "kern/matmul.h"
#include "kern/transform.h"

typedef struct lb_linear {
    lb_mat w;                    /* borrowed from the model's mapping, arena or device copy */
    const float *bias;           /* [N], or NULL; borrowed likewise */
    const lb_transform *in;      /* T, or NULL; linears that read the same rows share it by pointer; borrowed */
    lb_act_quant act;            /* Q; zero: activations stay at 16 bits */
} lb_linear;

/* y[n_tok, ldy] = Q(x)[n_tok, K] · Wᵀ + b, on ex; x is T·x already. Which row of the operator table runs depends on the
 * shapes; that one fits was checked when the model was opened. */
void lb_linear_run(const lb_linear *l, float *y, int ldy, const float *x, int n_tok, lb_exec *ex);
/* T·x of n_tok rows: x itself where there is no transform, else `out` [n_tok, K], filled. */
const float *lb_linear_input(const lb_linear *l, const float *x, int n_tok, float *out, lb_exec *ex);
/* Scratch that lb_linear_run needs for n_tok tokens, and whether rows fit. False with LB_EUNSUPPORTED naming the linear and
 * the device if not. */
bool lb_linear_check(const lb_linear *l, const char *name, int n_tok, const lb_exec *ex, size_t *scratch_bytes,
                     lb_err *err);
#endif
