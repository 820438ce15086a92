/* kern/grad_vocab.h – losses of rows of logits, and their gradients in the logits' place.
 *
 * model/vocab_loss.h has the formulas. Unit: one row. */
#ifndef LB_KERN_GRAD_VOCAB_H
#define LB_KERN_GRAD_VOCAB_H
#include "kern/op.h"

/* What a row has beside its logits. */
typedef struct lb_vocab_task {
    int target;                      /* −1: none; then nothing is said of logp and policy */
    float weight;                    /* of the row in the loss, norm included: factor of its gradient */
    float advantage, old_logp, ref_logp;
} lb_vocab_task;

/* What comes of a row: values before weight and norm; zero where it was not asked for. */
typedef struct lb_vocab_row {
    double loss;                     /* ce·CE + distill + policy */
    double distill, policy;          /* terms of it */
    float logp, entropy;             /* at `temperature`; logp of the target, which CE is the negative of */
    float kl_forward, kl_reverse, teacher_top;   /* at τ */
    float ratio, k3;
    bool clipped;                    /* the clip took the policy's gradient away */
} lb_vocab_row;

typedef struct lb_vocab_rows {
    float *s;                        /* [n, n_vocab] logits; with `grad`: d(loss)/d(logit) afterwards */
    int n, n_vocab;
    float temperature, ce;
    /* teacher: t, or top_k, or neither */
    const float *t;                  /* [n, n_vocab] logits, or NULL */
    const int *top_ids;              /* [n, top_k] */
    const float *top_p;              /* [n, top_k] */
    int top_k;
    float forward, reverse, jsd, beta, tau;
    bool policy, has_old, has_ref;
    float clip_low, clip_high, kl;
    bool grad;
    const lb_vocab_task *task;       /* [n] */
    lb_vocab_row *row;               /* [n] out */
} lb_vocab_rows;

extern const lb_op lb_op_vocab_rows;
#endif
