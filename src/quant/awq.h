/* quant/awq.h – AWQ (arXiv:2306.00978): columns that meet large activations are scaled up before rounding, and groups
 * are clipped where that helps the output.
 *
 *     a_j = mean_t |x_tj|      for r in 0, 1/20 … 19/20:   s = max(a^r, 1e-4) / sqrt(max s · min s)
 *                                                          Ŵ = round-to-nearest(W·s) / s
 *
 * and the s whose Ŵ changes what is inspected least. r = 0 is s = 1: never worse than round to nearest in that loss.
 * These are the searches alone; what is inspected is a callback's business (the attention for q, k, v; the MLP for gate
 * and up; the linear itself for down), and so is folding s into what comes before (quant/block.h). */
#ifndef LB_QUANT_AWQ_H
#define LB_QUANT_AWQ_H
#include "quant/method.h"

/* A linear of one search. */
typedef struct lb_awq_linear {
    const float *w;              /* [n,k], borrowed */
    int n, k;
    lb_scheme scheme;            /* w_bits 16: stays as it is */
    lb_dtype scale_type;         /* as in lb_quant_job */
} lb_awq_linear;

enum { LB_AWQ_RATIOS = 20, LB_AWQ_CLIPS = 10, LB_AWQ_CLIP_TOKENS = 512 };

/* How much the output changes if linear i has the weights w[i] [n,k] instead of its own: a mean square. */
typedef bool (*lb_awq_loss)(void *arg, const float *const *w, double *loss, lb_err *err);

typedef struct lb_awq_search {
    const char *name;            /* for messages */
    const lb_awq_linear *linears;/* that read the same input */
    int n_linear;
    const float *x_mean;         /* [k] mean |x| of it, borrowed */
    bool duo;                    /* s = a^r / (w̄^(1−r) + 1e-4), w̄ the mean over rows of |w| / max |w| of its group: upstream
                                    AutoAWQ's duo_scaling. Then r = 0 is not s = 1, which is tried first */
    lb_awq_loss loss;
    void *arg;
    lb_exec *ex;
} lb_awq_search;

typedef struct lb_awq_choice {
    double ratio;                /* r; 0 also for s = 1 with duo */
    double loss, loss_rtn;       /* with s, and with s = 1 */
} lb_awq_choice;

/* s [k] out: columns of the linears are to be multiplied by it, their input divided. LB_ENUMERIC if a mean or a loss is
 * not finite; LB_ENOMEM; what the callback fails with. */
bool lb_awq_scale(const lb_awq_search *a, float *s, lb_awq_choice *choice, lb_err *err);

/* out [n,k] = round-to-nearest(W·s)/s as floats; s NULL: 1. out may be l->w itself. */
void lb_awq_round(lb_exec *ex, const lb_awq_linear *l, const float *s, float *out);

/* The loss of a linear that is inspected itself: mean ((x·(Ŵ−W)ᵀ)²) over n_x rows x [n_x,k]. */
bool lb_awq_linear_loss(lb_exec *ex, const lb_awq_linear *l, const float *x, int n_x, const float *w, double *loss,
                        lb_err *err);

/* Clips: for every row and group the m of max|w|·(1, 0.95 … 0.55) whose rounding of clamp(w, −m, m) has the least mean_t
 * (Σ_j x_tj (ŵ_j − w_j))² over the group's columns; the first of equals. w [n,k] is clamped to them in place (l->w may be
 * w). x [n_x,k]: of many rows every n_x/512-th is used. LB_ENOMEM; LB_ENUMERIC for an x that is not finite. */
bool lb_awq_clip(lb_exec *ex, const lb_awq_linear *l, const float *x, int n_x, float *w, lb_err *err);
#endif
