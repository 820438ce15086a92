/* infer/engine.h – generating from many prompts at once: prefill, decode, continuous batching, sampling.
 *
 * Requests wait in a queue; whenever a slot is free the next one is admitted, so long answers do not hold up short
 * ones.
 * One step is one forward pass over a mixture of prompt chunks and single tokens. The tokens of a request depend on its
 * prompt, sampling and key alone: not on the batch, the slot, the number of threads or the order of admission.
 *
 * Works on token ids; texts and stop strings are the caller's, through on_token. */
#ifndef LB_INFER_ENGINE_H
#define LB_INFER_ENGINE_H
#include "infer/sample.h"
#include "model/forward.h"

typedef enum lb_finish {
    LB_FINISH_NONE,              /* still running */
    LB_FINISH_STOP,              /* a stop token, or on_token said so */
    LB_FINISH_LENGTH,            /* max_new tokens, or the context is full */
} lb_finish;

typedef struct lb_request lb_request;
struct lb_request {
    /* set by the caller; borrowed until on_done returns */
    const int *prompt;           /* [n_prompt] ids, each < n_vocab; n_prompt ≥ 1 */
    int n_prompt;
    lb_sampling sampling;
    lb_rng_key key;
    int max_new;                 /* most tokens to generate; 0: up to the context */
    const int *stop;             /* [n_stop] stop tokens */
    int n_stop;
    bool want_logprobs;
    void *user;
    /* May be NULL; the token to take instead of the one that was sampled, from this request's own tokens alone. */
    int (*on_sample)(lb_request *r, int id);
    bool (*on_token)(lb_request *r, int id,
                     float logprob); /* may be NULL; false ends the request with LB_FINISH_STOP */
    void (*on_done)(lb_request *r);                          /* may be NULL; may submit further requests */
    /* set by the engine */
    int *out; /* [n_out] generated ids, the stop token included; owned by the engine, good until on_done returns */
    int n_out;
    lb_finish finish;
    lb_request *next;            /* the engine's own */
};

typedef struct lb_engine_opt {   /* zero means default in every field */
    int n_slot;                  /* requests in flight (default 1) */
    int n_ctx;                   /* longest prompt + output (default: the model's) */
    int max_batch;               /* most tokens in one forward pass (default: at least 512, more for many slots) */
    const char *kv;              /* name of the KV cache format (default: the model's own, else bf16 or f32) */
    const lb_kv_spec *kv_spec;   /* the same as a spec; goes before kv; borrowed for the call */
    int n_page;                  /* pages of the KV cache; default: full context for each slot */
} lb_engine_opt;

typedef struct lb_engine lb_engine;

lb_engine *lb_engine_open(lb_model *m, const lb_engine_opt *opt, lb_err *err);
void lb_engine_close(lb_engine *e);
/* Device and host memory that lb_engine_open will take; for a plan before the work. */
size_t lb_engine_bytes(const lb_model *m, const lb_engine_opt *opt);
/* Queues r. LB_EUSAGE if the prompt is empty, longer than the context, or holds an id outside the vocabulary. */
bool lb_engine_submit(lb_engine *e, lb_request *r, lb_err *err);
/* One forward pass. *busy: whether any request is still waiting or running. False on a device fault or broken logits;
 * then every request is dropped without on_done, and the engine is ready for new ones. */
bool lb_engine_step(lb_engine *e, bool *busy, lb_err *err);
/* Steps until everything submitted is done. */
bool lb_engine_drain(lb_engine *e, lb_err *err);
/* Drops every request that waits or runs, without on_done. */
void lb_engine_reset(lb_engine *e);
int lb_engine_ctx(const lb_engine *e);
#endif
