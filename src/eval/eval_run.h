/* eval/eval_run.h – what the steps of an evaluation share; internal to it.
 *
 *   plan      eval_plan.c       items of every task, prompts, keys, and which samples the database lacks
 *   generate  eval_generate.c   those, by the subject (eval/subject.h); each is graded and stored as it is finished
 *   judge     eval_judge.c      what has no verdict yet, or an older grader's: on all threads, programs in the sandbox
 *   count     eval_count.c      everything, from the database
 *   baseline  eval_baseline.c   plan, judge and count of another model from the database alone */
#ifndef LB_EVAL_EVAL_RUN_H
#define LB_EVAL_EVAL_RUN_H
#include "eval/eval.h"

typedef struct lb_eval_task {
    const lb_bench *bench;
    lb_items items;
    lb_prepared *prompts;        /* [items.n], owned; of a baseline only the hashes are set */
    int max_new;
    char sampling[LB_SAMPLING_TEXT];
} lb_eval_task;

struct lb_evaluation;
typedef struct lb_eval_job {     /* one sample to make */
    lb_ask ask;
    struct lb_evaluation *run;
    const lb_eval_task *task;
    int item;                    /* index of task->items */
    bool claimed, done;
} lb_eval_job;

typedef struct lb_evaluation {
    const lb_subject *s;         /* NULL: a baseline */
    const char *model;           /* hash */
    lb_exec *ex;
    const lb_eval_opt *o;
    lb_db *db;
    lb_progress *p;
    lb_eval_task *tasks;         /* [o->n_task], owned */
    lb_eval_job *jobs;           /* [n_job], owned */
    size_t n_job;
    lb_sandbox *sandbox;
    bool failed;                 /* a call-back failed; err says how */
    size_t n_lost;               /* samples that the subject could not make */
    char lost[512];              /* why not, of the first */
    int64_t n_generated, n_reused, n_regraded;
    double tokens;
    lb_err *err;
} lb_evaluation;

static inline int lb_eval_per_item(const lb_eval_opt *o) { return o->n_seed * o->n_sample; }
/* Sample j (0 …) of an item: its seeds in the user's order, the samples of a seed together. */
lb_sample_key lb_eval_key(const lb_evaluation *x, const lb_eval_task *k, int item, int j);
lb_items_opt lb_eval_items_opt(const lb_eval_opt *o);
/* "label · doing task" in the progress line. */
void lb_eval_show(lb_evaluation *x, const char *doing, const char *task);
bool lb_eval_stopped(const lb_eval_opt *o, lb_err *err);     /* true: err is filled with LB_ESTOPPED */

/* The steps. x->err is filled on failure. */
bool lb_eval_plan(lb_evaluation *x);
bool lb_eval_sandbox(lb_evaluation *x, const lb_bench *b);
bool lb_eval_generate(lb_evaluation *x);
bool lb_eval_judge(lb_evaluation *x);
bool lb_eval_count_results(lb_evaluation *x, lb_eval_result *out);
void lb_eval_run_close(lb_evaluation *x);

/* Grades one text; fills verdict … weak_sandbox, extracted and why of row, whose truncated is set. A truncated answer is
 * wrong, whatever it says; its lenient reading stays. */
bool lb_eval_grade(const lb_evaluation *x, const lb_item *item, const char *text, bool in_thinking,
                   lb_sample_row *row, lb_err *err);
/* Whether this grader has something to say of a stored sample. */
static inline bool lb_eval_ungraded(const lb_sample_row *row)
{
    return row->verdict < 0 || row->grader < LB_GRADER_VERSION;
}
#endif
