/* infer/sample.h – choosing the next token.
 *
 * Filters apply in the order that transformers uses: repetition penalty, temperature, top-k, top-p, min-p. The random
 * number is a function of (seed, problem, sample, position) alone. Ties are broken towards the lower id. */
#ifndef LB_INFER_SAMPLE_H
#define LB_INFER_SAMPLE_H
#include "base/err.h"
#include "base/rng.h"

typedef struct lb_sampling {
    float temperature;           /* 0 (and below 1e-4): greedy */
    int top_k;                   /* 0: off */
    float top_p;                 /* 1: off */
    float min_p;                 /* 0: off; relative to the most likely token */
    float repetition_penalty;    /* 1: off; over prompt and output (arXiv 1909.05858) */
} lb_sampling;

/* LB_EUSAGE naming the field if a value is outside its range. */
bool lb_sampling_check(const lb_sampling *s, lb_err *err);

/* Scratch for one vocabulary; owned by the caller, one per thread. */
typedef struct lb_sampler {
    int n_vocab;
    float *logit;                /* [n_vocab], owned */
    int *heap;                   /* [n_vocab], owned */
    unsigned char *seen;         /* [n_vocab], owned */
} lb_sampler;

bool lb_sampler_open(lb_sampler *s, int n_vocab, lb_err *err);
void lb_sampler_close(lb_sampler *s);

/* The next token for `logits` [n_vocab], at `position` of the stream `key`. `history` (prompt and output so far) is
 * read only with a repetition penalty. *logprob (optional) is ln softmax(logits)[token], before any filter. LB_ENUMERIC
 * if a logit is NaN or none is finite. */
bool lb_sample(lb_sampler *s, const lb_sampling *how, const float *logits, const int *history, size_t n_history,
               lb_rng_key key, uint64_t position, int *token, float *logprob, lb_err *err);
#endif
