/* eval/eval.h – running benchmarks: generate, store, grade, count.
 *
 * All samples of all tasks go through one subject (eval/subject.h): a model in this process or behind a server. Each
 * finished sample is written to the database at once; a second run with the same key does no work, a killed run continues,
 * two at once share the work, and texts that an older grader has read are graded again. Results are computed from the
 * database alone. eval/eval_run.h lists the steps and their files. */
#ifndef LB_EVAL_EVAL_H
#define LB_EVAL_EVAL_H
#include "base/progress.h"
#include "eval/bench.h"
#include "eval/db.h"
#include "eval/generate.h"
#include "eval/stats.h"
#include "eval/subject.h"
#include "eval/target.h"
#include <signal.h>

enum { LB_MAX_SEEDS = LB_STATS_SEEDS, LB_N_LEVEL = 5, LB_MAX_K = 8, LB_EVAL_SCHEMA = 2 };

typedef struct lb_eval_opt {
    const lb_bench *const *tasks;        /* [n_task] */
    int n_task;
    const char *data_dir;
    int limit;                           /* problems per task; 0: all */
    uint64_t option_seed;                /* order of answer options, and a window of dates: see lb_items_opt */
    const char *from, *to;
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
    int pass_k[LB_MAX_K], n_pass_k;      /* pass@k for these, of all samples of a problem */
    int maj_k[LB_MAX_K], n_maj_k;        /* maj@k likewise */
    bool fresh;                          /* generate again what the database has */
    bool allow_weak_sandbox;
    volatile sig_atomic_t *stop;         /* set by a signal handler: finish cleanly with LB_ESTOPPED */
} lb_eval_opt;

/* What is known of a sample besides its outcome. */
typedef struct lb_sample_stat {
    int level;                           /* of the problem, 1 … 5; 0: it has none */
    int sample;                          /* number within problem and seed */
    int cluster;                         /* of the problem: those that share a question have the same */
    int n_tokens;
    bool truncated, think_closed;
    lb_verdict verdict, strict, lenient;
} lb_sample_stat;

/* A number with its noise. */
typedef struct lb_metric {
    char name[16];                       /* "pass@4", "maj@8" */
    double value, stderr_value;          /* NaN: cannot be estimated */
} lb_metric;

typedef struct lb_task_result {
    const lb_bench *bench;
    char sampling[LB_SAMPLING_TEXT];     /* as in the samples' keys; with bench->name and bench->version it finds them */
    lb_hash data;                        /* of the items' hashes, in order: which problems these are */
    int n, n_samples;                    /* problems; samples over all seeds */
    int n_question;                      /* problems, but those that share a question count once */
    double accuracy, accuracy_stderr;    /* mean over samples; standard error clustered by problem */
    double strict, strict_stderr;        /* accuracy in the grader's strict and lenient reading (eval/grade.h) */
    double lenient, lenient_stderr;
    double per_seed[LB_MAX_SEEDS];
    int level_n[LB_N_LEVEL];             /* problems of level 1 … 5 */
    double by_level[LB_N_LEVEL];         /* accuracy; NaN where there is no problem */
    double truncated, think_closed;      /* shares of samples */
    double tokens_mean;
    int unknown;                         /* answers the grader did not understand (counted as wrong) */
    int weak_sandbox;                    /* programs that were judged without namespaces */
    lb_metric k[2 * LB_MAX_K];           /* pass@k and maj@k as asked for */
    int n_k;
    lb_hash *prompts;                    /* [n], owned: of the prompts, as in the samples' keys */
    json_t *metrics;                     /* what the benchmark itself adds (lb_bench.metrics), or NULL; owned */
    lb_outcome *outcomes;                /* [n_samples], owned; the problem is its row in the file, from 0 */
    lb_sample_stat *stats;               /* [n_samples], owned; of the same samples */
} lb_task_result;

typedef struct lb_eval_result {
    lb_task_result *tasks;               /* [n_task], owned */
    int n_task, n_seed, n_sample;
    double average, average_stderr;      /* mean of the tasks' accuracies */
    int64_t seeds[LB_MAX_SEEDS];
    char model[33];                      /* hash, as in the samples' keys */
    char sampling[LB_SAMPLING_TEXT];     /* canonical text of how the first task was sampled */
    bool weak_sandbox;                   /* of any task */
    int64_t n_generated, n_reused;       /* by this run; found, or made by another process meanwhile */
    int64_t n_regraded;                  /* texts of an older grader's verdicts */
    double tokens_generated, seconds;    /* of this run */
} lb_eval_result;

/* `p` may be a progress object that was started; NULL: silent. */
bool lb_eval_run(lb_target *t, const lb_eval_opt *o, lb_db *db, lb_progress *p, lb_eval_result *out, lb_err *err);
/* The same with any subject. LB_EIO if the subject failed at samples for good: the rest is stored, and the message counts
 * them. */
bool lb_eval_run_subject(const lb_subject *s, const lb_eval_opt *o, lb_db *db, lb_progress *p, lb_eval_result *out,
                         lb_err *err);
/* What another model made of the problems of `like` (run with the same o), from the database alone: same seeds and samples;
 * sampled alike, or if nothing is, the one way in which its samples of a task were made. Texts of an older grader are graded
 * again, on the threads of ex. LB_EUSAGE says what is missing; *missing (may be NULL) tells that this is why. */
bool lb_eval_from_db(const char *model, const lb_eval_result *like, const lb_eval_opt *o, lb_db *db, lb_exec *ex,
                     lb_eval_result *out, bool *missing, lb_err *err);
/* The hash of a model in the database: given as such (or its first digits, 6 at least), by name, last part of the name, or
 * label. LB_EUSAGE lists the models if there is none such, or several. */
bool lb_eval_find_model(lb_db *db, const char *name, char hash[33], lb_err *err);
void lb_eval_result_free(lb_eval_result *r);
/* How many samples lb_eval_run will make or find: for a progress bar over several runs. */
bool lb_eval_count(const lb_eval_opt *o, int64_t *n, lb_err *err);
/* {"schema", "results": {task: {…}}, "average", "config", "n-samples", "versions", "provenance", "run"}; docs/evaluation.md
 * has every field. A new reference. */
json_t *lb_eval_json(const lb_eval_result *r);
/* Every sample of the result as a line of JSON, with its text, in the order of the problems. `o` and the data as in the run
 * that made r. */
bool lb_eval_write_samples(const lb_eval_result *r, const lb_eval_opt *o, lb_db *db, const char *path, lb_err *err);

/* What a run lost against a baseline on the same problems. */
typedef struct lb_eval_drop {
    lb_paired mean, *tasks;              /* baseline − run; over all tasks, and of each [n_task], owned */
    lb_spread *spreads;                  /* of each task: where its noise comes from; owned */
    lb_degradation degradation;          /* of the mean */
} lb_eval_drop;
/* LB_EUSAGE if they are not the same problems. */
bool lb_eval_drop_of(const lb_eval_result *r, const lb_eval_result *base, lb_eval_drop *out, lb_err *err);
void lb_eval_drop_free(lb_eval_drop *d);
/* {"tasks": {task: {"drop", "drop_stderr", "interval", "p", …}}, "mean": {…}, "class"}; a new reference. */
json_t *lb_eval_drop_json(const lb_eval_result *r, const lb_eval_drop *d);
/* Where the noise of task k comes from. */
bool lb_eval_spread(const lb_eval_result *r, int k, lb_spread *out, lb_err *err);
/* What a difference of d (a fraction) needs to be seen, by what was measured of it: {"seen", "problems", "samples"}. */
json_t *lb_eval_power_json(const lb_spread *s, double d);
#endif
