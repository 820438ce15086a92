/* train/rollout.h – what the student writes, and what it is worth: prompts with gold answers, samples by the packed model
 * on the kernels that deployment uses, rewards by the graders of eval/. */
#ifndef LB_TRAIN_ROLLOUT_H
#define LB_TRAIN_ROLLOUT_H
#include "eval/bench.h"
#include "eval/generate.h"

/* Problems to practise on, of one benchmark or of several. */
typedef struct lb_practice {
    lb_items *sets;                  /* [n_set], owned */
    int n_set;
    const lb_item **p;               /* [n], into the sets; owned */
    int n;
    lb_sandbox *sandbox;             /* NULL unless a problem wants programs run; owned */
    lb_hash hash;                    /* of all problems */
} lb_practice;

/* `source` is a comma list of benchmarks below data_dir, or a JSON-lines file. A row of a file is a problem of the benchmark
 * that its "task" or "family" names, of `task` if it names none (NULL: such a row is LB_EFORMAT). */
bool lb_practice_load(lb_practice *p, const char *source, const char *task, const char *data_dir,
                      bool allow_weak_sandbox, lb_err *err);
void lb_practice_free(lb_practice *p);
/* Which problem is the i-th (0 …) of a training of that seed: every problem once, in random order, then anew. */
const lb_item *lb_practice_at(const lb_practice *p, uint64_t seed, int64_t i);

typedef struct lb_rollout_opt {
    lb_sampling sampling;
    int max_new;
    uint64_t seed, round;            /* samples are a function of (seed, round, problem, sample) and the model */
    volatile sig_atomic_t *stop;
} lb_rollout_opt;

typedef struct lb_rollout {          /* one sample */
    const lb_item *item;
    int *ids;                        /* [n] prompt, then what was written, its stop token included; owned */
    float *logp;                     /* [n] log-probabilities as sampled; 0 for the prompt; owned */
    int n, n_prompt;
    bool truncated, right;
} lb_rollout;

/* group samples for each of items [n_item], in that order; out [n_item·group], release each with lb_rollout_free. */
bool lb_rollout_run(lb_target *t, const lb_practice *p, const lb_item *const *items, int n_item, int group,
                    const lb_rollout_opt *o, lb_rollout *out, lb_err *err);
void lb_rollout_free(lb_rollout *r);
#endif
