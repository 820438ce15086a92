/* model/linear.c – running a linear layer. */
#include "model/linear.h"

void lb_linear_run(const lb_linear *l, float *y, int ldy, const float *x, int n_tok, lb_exec *ex)
{
    lb_matmul a = {.y = y, .x = x, .w = l->w, .bias = l->bias, .n_tok = n_tok, .ldy = ldy};
    lb_op_do(&lb_op_matmul, &a, ex);
}

bool lb_linear_check(const lb_linear *l, const char *name, int n_tok, const lb_exec *ex, size_t *scratch_bytes,
                     lb_err *err)
{
    lb_matmul a = {.w = l->w, .bias = l->bias, .n_tok = n_tok, .ldy = l->w.n};
    const lb_impl *impl = lb_op_pick(&lb_op_matmul, ex, &a);
    if (!impl)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: no kernel for %s weights [%d,%d] on %s", name, l->w.num->name, l->w.n,
                       l->w.k, lb_exec_name(ex));
    size_t n = impl->scratch ? impl->scratch(&a) : 0;
    if (n > *scratch_bytes) *scratch_bytes = n;
    return true;
}
