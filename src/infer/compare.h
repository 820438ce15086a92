/* infer/compare.h – how far a quantized model is from its base: both read the same token ids, every position's
 * distribution is compared.
 *
 * With p, q the softmax of the base's and the quantized model's logits at a position, V the vocabulary:
 *
 *     KL(p‖q) = Σ_V p · (ln p − ln q)            in nats; 0 exactly where the logits are the same numbers
 *     entropy = −Σ_V p · ln p                    of the base; the scale for KL, which differs a lot between models
 *     perplexity = exp(mean −ln p(next token))   of the text under each model
 *
 * Everything is accumulated in f64 in order of position, so results do not depend on threads or chunks. Standard errors
 * take the sequence as the unit: positions of one text are not independent. */
#ifndef LB_INFER_COMPARE_H
#define LB_INFER_COMPARE_H
#include "base/progress.h"
#include "model/model.h"
#include <signal.h>

/* One text. Position i predicts ids[i+1]; positions first … n−2 are scored. */
typedef struct lb_text_ids {
    const int *ids;                  /* [n], each < n_vocab; borrowed */
    int n, first;
} lb_text_ids;

enum { LB_KL_BUCKET0 = 64, LB_KL_BUCKETS = 16 }; /* positions [0,64), [64,128), [128,256) …, the last without end */

typedef struct lb_mean {
    double mean, stderr_mean;        /* NaN: nothing to average; with one sequence no error */
} lb_mean;

typedef struct lb_compare_result {
    int64_t n_pos;                   /* positions scored */
    int n_seq;
    lb_mean kl;                      /* nats per position */
    double kl_p99, kl_max;
    lb_mean entropy;                 /* of the base's distribution, nats per position */
    lb_mean kl_entropy;              /* Σ KL / Σ entropy: KL on the scale of how undecided the base itself is */
    double kl_entropy_cov;           /* covariance of kl.mean and entropy.mean */
    lb_mean top1;                    /* share of positions where both have the same most likely token */
    double ppl_base, ppl_quant;
    lb_mean nll_diff;                /* ln(ppl_quant / ppl_base) */
    int n_mark;                      /* sequences that reach the mark */
    lb_mean mark_base, mark_quant;   /* probability of the mark at the position where the text has it first */
    struct {
        int64_t n;
        double kl;                   /* mean; NaN if n is 0 */
    } bucket[LB_KL_BUCKETS];
} lb_compare_result;

typedef struct lb_compare_opt {      /* zero means default in every field but mark */
    int mark;                        /* token id to look for (</think>), or −1 */
    const char *kv_base, *kv_quant;  /* KV formats (default: as each model) */
    lb_progress *progress;           /* started by the caller, counts sequences; NULL: silent */
    volatile sig_atomic_t *stop;     /* set by a signal handler: end with LB_ESTOPPED */
} lb_compare_opt;

/* Fails with LB_EUSAGE if the vocabularies differ, a text is longer than a model's context, an id is outside the
 * vocabulary or nothing is scored; LB_ENUMERIC naming the model and the position for logits that are not finite. */
bool lb_compare(lb_model *base, lb_model *quant, const lb_text_ids *texts, int n_text, const lb_compare_opt *o,
                lb_compare_result *out, lb_err *err);

/* Whether two models can read these texts: *n_pos positions to score, *longest text. Fails with LB_EUSAGE as above. */
bool lb_texts_check(const lb_model *base, const lb_model *quant, const lb_text_ids *texts, int n_text, int64_t *n_pos,
                    int *longest, lb_err *err);

/* kl[r] = KL(softmax(p[r]) ‖ softmax(q[r])) of n_row rows of n logits, on ex's threads; NaN for a row with logits that
 * are not finite. */
void lb_kl_rows(lb_exec *ex, const float *p, const float *q, int n_row, int n, double *kl);

/* Rows of logits that fit into a bounded memory (64 MiB), at least 16 and at most `most`. */
int lb_logit_rows(int n_vocab, int most);

/* Mean of `sum[i]/count[i]` pooled over clusters, Σ sum / Σ count, and its cluster-robust standard error,
 * sqrt(n/(n−1) · Σ (sum_i − mean·count_i)²) / Σ count. Clusters of count 0 are left out. */
lb_mean lb_pooled_mean(const double *sum, const double *count, int n);
#endif
