/* model/linear.c – running a linear layer. */
#include "model/linear.h"

void lb_linear_run(const lb_linear *l, float *y, int ldy, const float *x, int n_tok, lb_exec *ex)
{
    lb_matmul a = {.y = y, .x = x, .w = l->w, .bias = l->bias, .n_tok = n_tok, .ldy = ldy, .act = l->act};
    lb_op_do(&lb_op_matmul, &a, ex);
}

const float *lb_linear_input(const lb_linear *l, const float *x, int n_tok, float *out, lb_exec *ex)
{
    if (!l->in) return x;
    lb_transform_args a = {.y = out, .x = x, .t = *l->in, .n_row = n_tok};
    lb_op_do(&lb_op_transform, &a, ex);
    return out;
}

bool lb_linear_check(const lb_linear *l, const char *name, int n_tok, const lb_exec *ex, size_t *scratch_bytes,
                     lb_err *err)
{
    lb_matmul a = {.w = l->w, .bias = l->bias, .n_tok = n_tok, .ldy = l->w.n, .act = l->act};
    const lb_impl *impl = lb_op_pick(&lb_op_matmul, ex, &a);
    if (!lb_act_check(&l->act, err)) return lb_wrap(err, "%s", name);
    if (!impl && l->act.kind != LB_ACT_NONE)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: no kernel for %s weights with %d-bit activations on %s", name,
                       l->w.num->name, l->act.bits, lb_exec_name(ex));
    if (!impl)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: no kernel for %s weights [%d,%d] on %s", name, l->w.num->name, l->w.n,
                       l->w.k, lb_exec_name(ex));
    size_t n = impl->scratch ? impl->scratch(&a) : 0;
    if (n > *scratch_bytes) *scratch_bytes = n;
    if (!l->in) return true;
    lb_transform_args t = {.t = *l->in, .n_row = n_tok};
    if (!lb_transform_check(l->in, l->w.k, name, err)) return false;
    impl = lb_op_pick(&lb_op_transform, ex, &t);
    if (!impl) return lb_fail(err, LB_EUNSUPPORTED, "%s: no kernel for its input transform on %s", name, lb_exec_name(ex));
    n = impl->scratch ? impl->scratch(&t) : 0;
    if (n > *scratch_bytes) *scratch_bytes = n;
    return true;
}
