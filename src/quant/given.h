/* quant/given.h – storing what was trained elsewhere: floats, transforms and grids are given, codes follow from them.
 *
 * A method without a name that users could type: training sets lb_quantize_opt.given and lb_given_chain, and what it
 * trained goes the way of every other model: packed, written, read back, compared. */
#ifndef LB_QUANT_GIVEN_H
#define LB_QUANT_GIVEN_H
#include "model/online.h"
#include "quant/block.h"
#include "quant/method.h"

typedef struct lb_given {
    void *arg;
    const char *name;            /* who trained it: for the record of the output */
    lb_hash hash;                /* of all of it: an interrupted run goes on only with the same */
    const lb_transform_kind *transform;      /* [LB_N_SITE] what blocks have online, or NULL: nothing */
    float act_clip;              /* of activations where a block says nothing of its own; 0: 1 */
    const float *embed, *head, *final_norm;  /* [n_vocab, d_model] twice, [d_model]; NULL: the model's. A tied model's
                                    head that was not untied is NULL. Borrowed */
    /* Overwrites the block's floats, b->in (arrays of lb_qblock_keep) and b->clip. */
    bool (*block)(void *arg, lb_qblock *b, lb_err *err);
    /* Scales and zero points of a module's groups, [n, groups], borrowed; false: from the range of the weights. On the
     * balanced grid zero points are not asked for. */
    bool (*grid)(void *arg, const char *module, const float **scale, const float **zero);
} lb_given;

/* The chain that stores opt->given. */
lb_chain lb_given_chain(void);
#endif
