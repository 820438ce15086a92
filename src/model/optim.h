/* model/optim.h – optimizers over lists of parameters, and learning-rate schedules.
 *
 * A parameter has a learning rate and limits of its own. A step uses the gradients in d, then clears them. Moments are
 * f32. */
#ifndef LB_MODEL_OPTIM_H
#define LB_MODEL_OPTIM_H
#include "model/grad.h"

typedef enum lb_optim_kind {
    LB_OPTIM_ADAMW,              /* arXiv:1711.05101: decoupled weight decay, bias-corrected moments */
    LB_OPTIM_SIGN,               /* v −= lr·sign(d) (SignSGD without momentum) */
} lb_optim_kind;

typedef struct lb_optim_opt {    /* zero means default in every field */
    lb_optim_kind kind;
    float beta1, beta2, eps;     /* AdamW: 0.9, 0.999, 1e-8 */
} lb_optim_opt;

typedef struct lb_optim lb_optim;
lb_optim *lb_optim_open(lb_exec *ex, const lb_optim_opt *opt, lb_err *err);
void lb_optim_close(lb_optim *o);

/* How one parameter (or a group that shares it) is trained. */
typedef struct lb_optim_group {
    float lr, weight_decay;
    float lo, hi;                /* after a step v is clamped to [lo, hi]; lo == hi: not */
} lb_optim_group;
/* p is borrowed until close; its values may be changed between steps. LB_EUSAGE if it is frozen. */
bool lb_optim_add(lb_optim *o, lb_param *p, const lb_optim_group *group, lb_err *err);

/* One step with every learning rate times lr_factor (a schedule's value); clears the gradients. LB_ENUMERIC if a
 * gradient is not finite: then no parameter was changed, and the gradients are cleared. */
bool lb_optim_step(lb_optim *o, float lr_factor, lb_err *err);
void lb_optim_zero(lb_optim *o);                 /* clears the gradients */
/* Scales all gradients so that their common norm is at most max_norm; returns the norm before (NaN or infinity if a
 * gradient is not finite: lb_optim_step then fails). */
double lb_optim_clip_norm(lb_optim *o, double max_norm);
/* All gradients times f: for micro-batches whose losses were sums, f = 1/(tokens of all of them). Where each loss was
 * divided by the whole batch's tokens already (lb_vocab_loss.norm), gradients simply add up. */
void lb_optim_scale(lb_optim *o, float f);
int lb_optim_steps(const lb_optim *o);           /* taken so far */

/* ---- state: what a checkpoint writes and reads back, to the bit ---- */
size_t lb_optim_count(const lb_optim *o);        /* parameters, in order of lb_optim_add */
/* Parameter i and its moments [p->n, p->k], device memory owned by o, to read or to fill; m, s NULL for SignSGD. Any of
 * the pointers may be NULL. */
void lb_optim_state(lb_optim *o, size_t i, lb_param **p, float **m, float **s);
void lb_optim_set_steps(lb_optim *o, int steps);
void lb_optim_set_group(lb_optim *o, size_t i, const lb_optim_group *group);     /* from the next step on */
size_t lb_optim_bytes(const lb_optim *o);        /* moments held */

/* Factors of the learning rate for step 0 ≤ step < n_step: a linear rise over the first `warmup` steps, then from 1 to
 * `last` by half a cosine or a straight line; `last` is reached after the last step (step == n_step). */
float lb_lr_cosine(int step, int n_step, int warmup, float last);
float lb_lr_linear(int step, int n_step, int warmup, float last);
/* Warm-up, stable, decay (arXiv:2404.06395): 1 until the last `decay` steps, then a straight line to `last`. */
float lb_lr_wsd(int step, int n_step, int warmup, int decay, float last);
#endif
