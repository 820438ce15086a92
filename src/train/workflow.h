/* train/workflow.h – the whole of Reasoning-QAT: traces → post-training start → stages → packed model → evaluation.
 *
 * Works in OUT.partial, which keeps what is finished: traces.jsonl, start/ (the quantized start with its latent
 * weights), checkpoint.safetensors, train.jsonl, curve.jsonl, results.sqlite, recipe.json. The output is an ordinary
 * quantized model folder, with the last four of them, where there are such, and the last latent weights beside the
 * model's files; it appears whole or not at all. A run that was killed goes on and ends in the same weights. */
#ifndef LB_TRAIN_WORKFLOW_H
#define LB_TRAIN_WORKFLOW_H
#include "base/progress.h"
#include "eval/compress.h"
#include "eval/eval.h"
#include "train/recipe.h"

/* The options of the start as its quantizer reads them: "KEY=VALUE" in room [LB_TRAIN_OPTIONS], which s refers to.
 * LB_EFORMAT after `where` for one that is no text. */
enum { LB_TRAIN_OPTIONS = 32, LB_TRAIN_OPTION = 160 };
bool lb_train_start_options(const lb_train_recipe *r, lb_compress_spec *s, char room[][LB_TRAIN_OPTION],
                            const char *where, lb_err *err);

typedef struct lb_train_opt {        /* zero means default in every field */
    const char *model_dir, *out_dir;
    const char *data_dir;            /* benchmarks (default "data") */
    const char *db_path;             /* results database of evaluations (default: OUT/results.sqlite) */
    bool allow_weak_sandbox;
    /* [n_stage+1], folders that runs which begin alike have in common: the start, and what is left after the first
     * stage, two stages, … One that is there is begun with, the last of them; the others appear as the run gets there.
     * NULL, all or any: nothing is shared. That it is the same beginning is the caller's promise: model, recipe up to
     * there, texts */
    const char *const *begun;
    const char *label;               /* in front of the progress line; NULL: nothing */
    lb_progress_mode progress;
    volatile sig_atomic_t *stop;
    void (*remark)(void *arg, const char *line);     /* told what is done next, and the memory plan; NULL: nobody */
    void *remark_arg;
} lb_train_opt;

enum { LB_TRAIN_MODEL, LB_TRAIN_START, LB_TRAIN_RESULT, LB_TRAIN_EVALS };
typedef struct lb_train_report {
    int n_doc, n_long, n_empty, n_unthinking;        /* traces; those that were left out */
    int64_t n_tok;
    bool evaluated;
    bool has_start;                  /* eval[LB_TRAIN_START] is there */
    lb_eval_result eval[LB_TRAIN_EVALS];             /* the model, the start, the result */
} lb_train_report;
void lb_train_report_free(lb_train_report *r);

/* LB_EUSAGE if the output exists, or OUT.partial is of another recipe or model (naming what differs). LB_ENOMEM before
 * any work if the plan does not fit. LB_ESTOPPED after a checkpoint. */
bool lb_train_run(const lb_train_recipe *r, const lb_train_opt *o, lb_exec *ex, lb_train_report *report, lb_err *err);
#endif
