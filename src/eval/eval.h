/* eval/eval.h – running benchmarks: generate, store, grade, count.
 *
 * All samples of all tasks go through one engine, so the batch stays full. Each finished sample is written to the
 * database at once; a second run with the same key does no work, a killed run continues. Results are computed from the
 * database alone. */
#ifndef LB_EVAL_EVAL_H
#define LB_EVAL_EVAL_H
#include "base/progress.h"
#include "eval/bench.h"
#include "eval/db.h"
#include "eval/generate.h"
#include "eval/stats.h"
#include "eval/target.h"
#include <signal.h>

enum { LB_MAX_SEEDS = LB_STATS_SEEDS, LB_N_LEVEL = 5 };

typedef struct lb_eval_opt {
    const lb_bench *const *tasks;        /* [n_task] */
    int n_task;
    const char *data_dir;
    int limit;                           /* problems per task; 0: all */
    int64_t seeds[LB_MAX_SEEDS];
    int n_seed;
    int n_sample;                        /* samples per problem and seed */
    lb_sampling sampling;
    int max_new;                         /* 0: each task's own */
    int think_budget, think_extend;      /* budget forcing (eval/budget.h); 0: off */
    int n_slot;                          /* samples in flight; 0: as many as help and fit */
    const char *kv;                      /* KV format; NULL: the engine's default */
    const json_t *template_kwargs;       /* enable_thinking and the like, or NULL */
    const char *label;                   /* shown in the progress line; NULL: only the task */
    bool fresh;                          /* generate again what the database has */
    bool allow_weak_sandbox;
    volatile sig_atomic_t *stop;         /* set by a signal handler: finish cleanly with LB_ESTOPPED */
} lb_eval_opt;

/* What is known of a sample besides its outcome. */
typedef struct lb_sample_stat {
    int level;                           /* of the problem, 1 … 5; 0: it has none */
    int sample;                          /* number within problem and seed */
    int n_tokens;
    bool truncated, think_closed;
} lb_sample_stat;

typedef struct lb_task_result {
    const lb_bench *bench;
    int n, n_samples;                    /* problems; samples over all seeds */
    double accuracy, accuracy_stderr;    /* mean over samples; standard error clustered by problem */
    double per_seed[LB_MAX_SEEDS];
    int level_n[LB_N_LEVEL];             /* problems of level 1 … 5 */
    double by_level[LB_N_LEVEL];         /* accuracy; NaN where there is no problem */
    double truncated, think_closed;      /* shares of samples */
    double tokens_mean;
    int unknown;                         /* answers the grader did not understand (counted as wrong) */
    lb_outcome *outcomes;                /* [n_samples], owned; the problem is its row in the file */
    lb_sample_stat *stats;               /* [n_samples], owned; of the same samples */
} lb_task_result;

typedef struct lb_eval_result {
    lb_task_result *tasks;               /* [n_task], owned */
    int n_task, n_seed, n_sample;
    double average, average_stderr;      /* mean of the tasks' accuracies */
    int64_t seeds[LB_MAX_SEEDS];
    char sampling[LB_SAMPLING_TEXT];     /* canonical text of how it was sampled */
    bool weak_sandbox;
    int64_t n_generated, n_reused;
    double tokens_generated, seconds;    /* of this run */
} lb_eval_result;

/* `p` may be a progress object that was started; NULL: silent. */
bool lb_eval_run(lb_target *t, const lb_eval_opt *o, lb_db *db, lb_progress *p, lb_eval_result *out, lb_err *err);
void lb_eval_result_free(lb_eval_result *r);
/* How many samples lb_eval_run will make or find: for a progress bar over several runs. */
bool lb_eval_count(const lb_eval_opt *o, int64_t *n, lb_err *err);
/* {"results": {task: {…}}, "average": …, "config": …}; a new reference. */
json_t *lb_eval_json(const lb_eval_result *r);
#endif
