/* model/vocab_loss.h – losses over the vocabulary, and their gradients, in chunks of rows.
 *
 * From final hidden states h [n_tok, d] (after the last norm) and the head [n_vocab, d] come logits s = h·headᵀ, a loss
 * for each row, and at once dh and dhead. Logits and their gradients exist for one chunk of rows at a time. The loss of
 * a call is
 *
 *     loss = Σ_t weight[t]·( ce·CE_t + distill_t + policy_t ) / norm            (sums over rows in double, in order)
 *
 * with s' = s/temperature, p = softmax(s'), y = target[t], and the following terms (ds: gradient of the row's logits):
 *
 *     CE       −log p_y                                            ds = (p − e_y)/temperature
 *     distill  τ²·( forward·KL(q‖p) + reverse·KL(p‖q) + jsd·JSD_β )     now with p = softmax(s/τ), q = softmax(t/τ)
 *              KL(q‖p) = Σ q·log(q/p)                              ds = τ·(p − q)
 *              KL(p‖q) = Σ p·log(p/q)                              ds = τ·p·(log(p/q) − KL(p‖q))
 *              JSD_β   = β·KL(q‖m) + (1−β)·KL(p‖m), m = β·q + (1−β)·p
 *                                                                  ds = τ·(1−β)·p·(log(p/m) − KL(p‖m))
 *     policy   −min(ρ·A, clip(ρ, 1−clip_low, 1+clip_high)·A) + kl·k3,  ρ = exp(l − old),  l = log p_y
 *              k3 = exp(ref − l) − (ref − l) − 1
 *              dl = −ρ·A where the first term of min is the smaller or equal one, else 0;  + kl·(1 − exp(ref − l))
 *              ds = dl·(e_y − p)/temperature
 *
 * A teacher known by its top k probabilities only: all other ids are one outcome, of which the teacher's probability is
 * q_rest = 1 − Σ q and the student's is p_rest = Σ p over them; the same formulas over these k+1 outcomes. With
 * G_i = d(term)/d(p_i) of an outcome, ds_j = τ·p_j·(G_outcome(j) − Σ_i p_i·G_i): for KL(q‖p), τ·(p_j − q_j) for the k
 * and τ·p_j·(1 − q_rest/p_rest) for the rest.
 *
 * Sources: KL and generalised JSD: arXiv:2306.13649 (β as there); CAKLD: arXiv:2402.10631; GRPO: arXiv:2402.03300 with
 * token-level mean and separate clips of arXiv:2503.14476; k3: Schulman 2020. Results do not depend on the number of
 * threads; a row's results do not depend on other rows. */
#ifndef LB_MODEL_VOCAB_LOSS_H
#define LB_MODEL_VOCAB_LOSS_H
#include "kern/gemm.h"
#include "kern/grad_vocab.h"
#include "model/linear.h"

/* Working memory for one head shape: the chunk's buffers. d_teacher: width of a teacher's hidden states, 0 without a
 * teacher of that kind. */
typedef struct lb_vocab lb_vocab;
lb_vocab *lb_vocab_open(lb_exec *ex, int n_vocab, int d, int d_teacher, lb_err *err);
void lb_vocab_close(lb_vocab *v);                /* NULL is fine */
/* What it holds, scratch of the products with it included: below 1 GB at n_vocab 151,936 and d up to 8192. */
size_t lb_vocab_bytes(const lb_exec *ex, lb_compute compute, int n_vocab, int d, int d_teacher);
/* The part of it that is scratch of the exec, for n_tok rows. */
size_t lb_vocab_scratch(const lb_exec *ex, lb_compute compute, int n_vocab, int d, int n_tok);
int lb_vocab_chunk(int n_vocab);                 /* rows at a time; decides the order of additions in dhead */

/* What of a teacher is learned; all zero: nothing. */
typedef struct lb_distill {
    float forward, reverse, jsd;     /* factors of KL(q‖p), KL(p‖q), JSD_β */
    float beta;                      /* of JSD: above 0 and below 1; 0 means 0.5 */
    float temperature;               /* τ; 0 means 1 */
} lb_distill;
/* γ·KL(p‖q) + (1−γ)·KL(q‖p); γ is the teacher's mean largest probability over its data (lb_vocab_sums.teacher_top). */
static inline lb_distill lb_distill_cakld(float gamma)
{
    return (lb_distill){.forward = 1 - gamma, .reverse = gamma};
}

/* A teacher by hidden states and head, or by cached probabilities (of temperature τ). All zero: none. */
typedef struct lb_teacher {
    const float *h;                  /* [n_tok, head->w.k] device, after the teacher's final norm */
    const lb_linear *head;           /* [n_vocab, d_teacher], any number format */
    int top_k;                       /* with top_k > 0 instead: */
    const int *top_ids;              /* [n_tok, top_k] host, distinct in a row */
    const float *top_p;              /* [n_tok, top_k] host, ≥ 0, sum of a row ≤ 1 but for rounding */
} lb_teacher;

typedef struct lb_policy {           /* all [n_tok] host */
    const float *advantage;          /* NULL: no policy term */
    const float *old_logp;           /* NULL: what l is now, so that ρ = 1 */
    const float *ref_logp;           /* needed for kl > 0, else reported if there */
    float clip_low, clip_high, kl;
} lb_policy;

typedef struct lb_vocab_loss {
    int n_tok;
    const float *h;                  /* [n_tok, d] device */
    const float *head;               /* [n_vocab, d] device */
    float *dh;                       /* [n_tok, d] device, written (0 for rows of weight 0); NULL: not wanted */
    float *dhead;                    /* [n_vocab, d] device, added to; NULL: not wanted */
    const int *target;               /* [n_tok] host; may be NULL if only distill is used; −1 in a row of weight 0 */
    const float *weight;             /* [n_tok] host, ≥ 0; NULL: 1. Rows of weight 0 cost nothing */
    double norm;                     /* 0: Σ weight of this call. For micro-batches: that of the whole batch */
    float temperature;               /* of log-probabilities and CE; 0 means 1 */
    float ce;                        /* factor of cross-entropy */
    lb_compute compute;              /* of the products with the head (kern/gemm.h) */
    lb_distill distill;
    lb_teacher teacher;              /* read if there, also without a factor in distill: then it is only reported */
    lb_policy policy;
    lb_vocab_row *rows;              /* [n_tok] host, written (zeros in rows of weight 0); NULL: not wanted */
} lb_vocab_loss;

/* Means are over rows by weight; NaN where nothing was there to be measured. */
typedef struct lb_vocab_sums {
    double weight;                   /* Σ weight of this call */
    double loss;                     /* as above: with norm */
    double ce, distill, policy;      /* Σ weight·term/norm, before factors ce and 1 */
    double logp, entropy;            /* means */
    double kl_forward, kl_reverse, teacher_top;  /* against the teacher, at τ; teacher_top: mean of max q */
    double ratio, clipped, k3;       /* ρ; share of rows where the clip took the gradient away; against the reference */
    int n_row;                       /* rows of weight above 0 */
} lb_vocab_sums;

/* LB_EUSAGE for arguments that do not go together, naming the first row (target or teacher id outside the vocabulary,
 * probabilities that are none); LB_ENUMERIC naming the first row whose loss is not finite (then dh and dhead hold
 * rubbish: do not step). No row of weight above 0 is no error: loss 0. */
bool lb_vocab_loss_run(lb_vocab *v, const lb_vocab_loss *a, lb_vocab_sums *out, lb_err *err);
#endif
