/* eval/generate.h – running a list of requests through one engine, as wide as memory allows.
 *
 * What evaluation, traces and the reasoning-health check share. The texts do not depend on how many run at once. */
#ifndef LB_EVAL_GENERATE_H
#define LB_EVAL_GENERATE_H
#include "eval/target.h"
#include <signal.h>

typedef struct lb_generate_opt {     /* zero means default in every field */
    int n_slot;                      /* requests in flight; 0: as many as help and fit */
    const char *kv;                  /* KV format; NULL: as the model */
    const bool *failed;              /* set by an on_done that failed: no further step, and false without a message */
    volatile sig_atomic_t *stop;     /* set by a signal handler: end with LB_ESTOPPED */
    bool (*wanted)(lb_request *r);   /* asked right before r gets a slot; false leaves it out. NULL: all are */
} lb_generate_opt;

/* Runs r [n] to the end; their on_done is called as each finishes. A request that the engine refuses fails before
 * anything is generated, and *refused is its number then (else n). */
bool lb_generate(lb_target *t, lb_request *const *r, size_t n, const lb_generate_opt *o, size_t *refused, lb_err *err);

/* The name of the KV format that `asked` (NULL or "": the default) means for this model. */
const char *lb_target_kv(const lb_target *t, const char *asked);

/* Canonical text of how something was sampled: part of every key under which results are kept. */
enum { LB_SAMPLING_TEXT = 200 };
void lb_sampling_text(const lb_sampling *s, int max_new, const char *kv, char out[LB_SAMPLING_TEXT]);
/* Adds how thinking was forced (eval/budget.h); nothing for 0, 0. */
void lb_sampling_text_budget(int budget, int extend, char out[LB_SAMPLING_TEXT]);
#endif
