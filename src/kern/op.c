/* kern/op.c – picking and running rows of operator tables. */
#include "kern/op.h"
#include "kern/attn.h"
#include "kern/elem.h"
#include "kern/matmul.h"
#include "kern/transform.h"
#include <assert.h>
#include <stddef.h>

const lb_op *const lb_ops[] = {
    &lb_op_matmul, &lb_op_attn, &lb_op_kv_write, &lb_op_embed, &lb_op_rmsnorm, &lb_op_rope, &lb_op_swiglu, &lb_op_add,
    &lb_op_gather, &lb_op_scatter, &lb_op_transform, NULL,
};

const lb_impl *lb_op_pick(const lb_op *op, const lb_exec *ex, const void *args)
{
    unsigned mask = lb_exec_mask(ex);
    bool gpu = mask & LB_CUDA;
    const lb_impl *best = NULL;
    for (const lb_impl *i = op->impls; i->name; i++)
        if ((i->needs & ~mask) == 0 && gpu == !!(i->needs & LB_CUDA) && (!i->fits || i->fits(args))) best = i;
    return best;
}

typedef struct call {
    void (*run)(const void *, int, int, lb_exec *);
    const void *args;
    lb_exec *ex;
} call;

static void piece(void *arg, int begin, int end)
{
    const call *c = arg;
    c->run(c->args, begin, end, c->ex);
}

void lb_op_run(const lb_op *op, const lb_impl *impl, const void *args, lb_exec *ex)
{
    int n = op->units(args);
    if (n <= 0) return;
    if (impl->scratch) assert(impl->scratch(args) <= ex->scratch_bytes);
    if (impl->needs & LB_CUDA) {
        if (impl->prep) impl->prep(args, 0, op->prep_units(args), ex);
        impl->run(args, 0, n, ex);
        return;
    }
    if (impl->prep) {
        call c = {impl->prep, args, ex};
        lb_parallel(ex, op->prep_units(args), 1, piece, &c);
    }
    call c = {impl->run, args, ex};
    lb_parallel(ex, n, op->grain(args), piece, &c);
}

void lb_op_do(const lb_op *op, const void *args, lb_exec *ex)
{
    const lb_impl *impl = lb_op_pick(op, ex, args);
    assert(impl);
    lb_op_run(op, impl, args, ex);
}
