/* study/study.h – a recipe: one model, several ways to make it smaller, the same benchmarks for each, one table.
 *
 *     {"name": "abacus-rtn", "model": "models/abacus-5m", "data": "data", "tasks": "abacus", "limit": 80,
 *      "seeds": [42, 43, 44], "samples": 1, "max_new": 1024,
 *      "runs": [{"scheme": "w16"}, {"method": "rtn", "scheme": "w3g128"}, …],
 *      "quick": {"limit": 10, "seeds": [42]}}
 *
 * Paths are relative to the working directory. The first run is the baseline that the others are compared with, problem
 * by problem. Quantized models, the results database, table.txt, results.json, results.csv and the effective recipe are
 * kept in the output folder; running the recipe again does only what is missing. */
#ifndef LB_STUDY_STUDY_H
#define LB_STUDY_STUDY_H
#include "eval/eval.h"
#include "quant/quantize.h"

enum { LB_STUDY_MAX_RUNS = 64 };

typedef struct lb_study_run {
    char label[64];                  /* "w3g128 rtn" */
    lb_scheme scheme;                /* w_bits 16: the model as it is */
    const lb_method *method;         /* NULL for w16 */
    bool clip_mse;
    char dir[512];                   /* the model that was evaluated */
    double bits_per_weight;
    lb_eval_result result;
    double drop, drop_stderr;        /* baseline's average − this one's; 0 for the baseline */
    const char *class_name;          /* "lossless", "fair", "risky"; "" for the baseline */
} lb_study_run;

typedef struct lb_study {
    json_t *recipe;                  /* owned */
    char name[64];
    const char *model, *data;        /* borrowed from recipe */
    const lb_bench **tasks;          /* owned */
    int n_task, n_run;
    lb_eval_opt eval;
    lb_study_run runs[LB_STUDY_MAX_RUNS];
} lb_study;

typedef struct lb_study_opt {
    const char *out_dir;
    bool quick, fresh, allow_weak_sandbox;
    lb_progress_mode progress;
    volatile sig_atomic_t *stop;
} lb_study_opt;

bool lb_study_open(lb_study *s, const char *recipe_path, bool quick, lb_err *err);
bool lb_study_run_all(lb_study *s, const lb_study_opt *o, lb_exec *ex, lb_err *err);
void lb_study_close(lb_study *s);

/* The tables as text, and everything as JSON and CSV (one row for each run and task). */
void lb_study_table(const lb_study *s, lb_buf *out);
void lb_study_csv(const lb_study *s, lb_buf *out);
json_t *lb_study_json(const lb_study *s);
#endif
