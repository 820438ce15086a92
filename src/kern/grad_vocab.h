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
    int top_k;                       /* at most LB_VOCAB_TOP */
    float forward, reverse, jsd, beta, tau;
    bool policy, has_old, has_ref;
    float clip_low, clip_high, kl;
    bool grad;
    const lb_vocab_task *task;       /* [n] */
    lb_vocab_row *row;               /* [n] out */
} lb_vocab_rows;

extern const lb_op lb_op_vocab_rows;

/* Most ids of a teacher's cache, and the least that all other ids have together: sums of f32 know no less. */
enum { LB_VOCAB_TOP = 1024 };
#define LB_VOCAB_REST 0x1p-24

/* ---- shared by the rows ---- */
typedef struct lb_vocab_kl {
    double forward, reverse;         /* KL(q‖p), KL(p‖q) */
    double mid_teacher, mid_student; /* KL(q‖m), KL(p‖m); 0 without a factor for JSD */
} lb_vocab_kl;
/* What a row says of its target, logit target/temperature and log Σ exp at `temperature`: fills row, gives the factor
 * of (p − e_y) in the gradient. */
double lb_vocab_begin(const lb_vocab_rows *a, int row, double entropy, double target, double log_sum);
/* Adds the distillation to the row. */
void lb_vocab_distilled(const lb_vocab_rows *a, int row, const lb_vocab_kl *kl);
/* The same by the k log-probabilities lp of a cached teacher's ids and the others' probability together; the gradient
 * is τ·weight·slope[i] for the k, τ·weight·p_j·rest for the others. */
void lb_vocab_top(const lb_vocab_rows *a, int row, const double *lp, double p_rest, double *slope, double *rest);
#endif
