/* model/linear.h – the only place where quantization meets a model.
 *
 *     y = x · Wᵀ + b        W [N,K] in number format w.num
 *
 * Architectures call it, methods rewrite it, training will differentiate it. The weight's format is all that
 * weight-only methods change; input transforms and activation quantizers will be fields here when a method needs them. */
#ifndef LB_MODEL_LINEAR_H
#define LB_MODEL_LINEAR_H
#include "kern/matmul.h"

typedef struct lb_linear {
    lb_mat w;                    /* borrowed from the model's mapping, arena or device copy */
    const float *bias;           /* [N], or NULL; borrowed likewise */
} lb_linear;

/* y[n_tok, ldy] = x[n_tok, K] · Wᵀ + b, on ex. Which row of the operator table runs depends on the shapes; that one
 * fits was checked when the model was opened. */
void lb_linear_run(const lb_linear *l, float *y, int ldy, const float *x, int n_tok, lb_exec *ex);
/* Scratch that lb_linear_run needs for n_tok tokens, and whether any row fits. False with LB_EUNSUPPORTED naming the
 * linear and the device if none does. */
bool lb_linear_check(const lb_linear *l, const char *name, int n_tok, const lb_exec *ex, size_t *scratch_bytes,
                     lb_err *err);
#endif
