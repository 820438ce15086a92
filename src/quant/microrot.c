/* quant/microrot.c – folding block Hadamard matrices into weights. */
#include "quant/microrot.h"
#include "num/hadamard.h"
#include "quant/method.h"
#include "quant/run.h"

extern const lb_method lb_method_microrot;

typedef struct rotation {
    lb_qblock *b;
    lb_exec *ex;
    int block;
    float *h;                    /* [block,block] H/√B, of the block */
} rotation;

static bool check_linear(void *arg, lb_qlinear *l, lb_site site, lb_err *err)
{
    const rotation *r = arg;
    if (l->k % r->block != 0)
        return lb_fail(err, LB_EUNSUPPORTED, "%s reads %d numbers, which blocks of %d do not divide: choose a smaller power of "
                       "two", l->name, l->k, r->block);
    if (r->b->in[site].kind != LB_TRANSFORM_NONE)
        return lb_fail(err, LB_EUSAGE, "%s has an online transform already: microrot cannot follow the method that made it",
                       l->name);
    return true;
}

typedef struct rows { float *w; int k, block; } rows;

static void turn_rows(void *arg, int r0, int r1)
{
    const rows *a = arg;
    lb_hadamard_rows(a->w + (size_t)r0 * (size_t)a->k, (r1 - r0) * (a->k / a->block), a->block);
}

static bool turn(void *arg, lb_qlinear *l, lb_site site, lb_err *err)
{
    (void)err;
    const rotation *r = arg;
    rows a = {l->w, l->k, r->block};
    lb_parallel(r->ex, l->n, 16, turn_rows, &a);
    r->b->in[site] = (lb_transform){.kind = LB_TRANSFORM_KRON, .k = l->k, .na = l->k / r->block, .nb = r->block, .b = r->h};
    return true;
}

bool lb_microrot_block(lb_qblock *b, int block, lb_exec *ex, lb_err *err)
{
    rotation r = {.b = b, .ex = ex, .block = block};
    if (block < 2 || block > 1024 || (block & (block - 1)) != 0)
        return lb_fail(err, LB_EUSAGE, "a block of %d is no power of two from 2 to 1024", block);
    if (!lb_qblock_linears(b, check_linear, &r, err)) return false;
    size_t n = (size_t)block;
    if (!(r.h = lb_qblock_keep(b, n * n, "a Hadamard matrix", err))) return false;
    for (size_t i = 0; i < n; i++) r.h[i * n + i] = 1;
    lb_hadamard_rows(r.h, block, block);
    return lb_qblock_linears(b, turn, &r, err);
}

/* ---- the row ---- */

static const lb_method_option options[] = {{"block", 32, 2, 1024, "columns that are rotated together: a power of two"}, {0}};

static bool check(lb_quant_run *r, lb_err *err)
{
    const lb_chain *c = &r->o->chain;
    if (c->transform[c->n_transform - 1] != &lb_method_microrot)
        return lb_fail(err, LB_EUSAGE, "it must be the last transform of the chain, not before %s",
                       c->transform[c->n_transform - 1]->name);
    for (int i = 0; i < LB_N_INPUT_SITE; i++) {
        lb_site s = (lb_site)i;
        if (r->online.transform[s] != LB_TRANSFORM_NONE)
            return lb_fail(err, LB_EUSAGE, "the inputs of %s are transformed by another method of the chain already",
                           lb_site_name(s));
        r->online.transform[s] = LB_TRANSFORM_KRON;
    }
    return true;
}

static bool block_row(lb_quant_run *r, lb_qblock *b, lb_err *err)
{
    return lb_microrot_block(b, (int)lb_option(&r->o->options, &lb_method_microrot, "block"), r->ex, err);
}

const lb_method lb_method_microrot = {
    .name = "microrot",
    .paper = "arXiv:2509.23202",
    .about = "rotates small blocks of columns, folded and online; microrot+gptq with mxfp4 or nvfp4 is MR-GPTQ",
    .options = options,
    .check = check,
    .block = block_row,
};
