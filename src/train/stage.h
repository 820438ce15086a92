/* train/stage.h – one stage of training: what every kind of stage shares, and the kinds as rows.
 *
 * A stage takes steps; a step has a learning rate, adds gradients up, clips them, moves the weights, and leaves a line in
 * train.jsonl. Every keep_every steps everything that decides the rest of the run goes into one file, so that a run that
 * was killed ends in the same bytes as one that was not. Internal to train/. */
#ifndef LB_TRAIN_STAGE_H
#define LB_TRAIN_STAGE_H
#include "base/progress.h"
#include "eval/target.h"
#include "model/optim.h"
#include "train/corpus.h"
#include "train/student.h"
#include <signal.h>

typedef struct lb_curve lb_curve;    /* train/evaluate.h */

/* What the stages of a run have in common. */
typedef struct lb_train_ctx {
    const lb_train_recipe *recipe;
    const char *model_dir, *data_dir, *dir;  /* the model, benchmarks, OUT.partial */
    lb_exec *ex;
    lb_target *base;                 /* the full-precision model: tokenizer, template, sampling, traces */
    lb_student *student;
    lb_model_grad *teacher;          /* frozen, f32, d_teacher wide; NULL until a stage distils */
    const char *trace_file;          /* NULL: no stage reads traces */
    bool allow_weak_sandbox;
    lb_progress *progress;           /* NULL: silent */
    const char *label;               /* in front of its line, or NULL */
    int log_fd;                      /* train.jsonl, for appending */
    lb_curve *curve;                 /* NULL: nobody is asked on the way */
    volatile sig_atomic_t *stop;
} lb_train_ctx;

/* What a step has to say of itself; NaN: nothing. */
typedef struct lb_step_log {
    double loss, ce, kl_forward, kl_reverse, entropy;
    double reward, pass, length, truncated, kept, ratio, clipped, k3, mismatch;
    double tokens;                   /* trained on, padding and prompts included */
} lb_step_log;

typedef struct lb_stage lb_stage;
typedef struct lb_stage_row {
    bool (*open)(lb_stage *s, lb_err *err);          /* data; s->own */
    bool (*step)(lb_stage *s, lb_step_log *log, lb_err *err);    /* adds up the gradients of step s->step */
    json_t *(*save)(const lb_stage *s);              /* what own needs to go on; a new reference */
    bool (*load)(lb_stage *s, const json_t *from, lb_err *err);
    void (*close)(lb_stage *s);
} lb_stage_row;
extern const lb_stage_row lb_stage_distil;           /* sft, kd */
extern const lb_stage_row lb_stage_rollout;          /* grpo, opd */

struct lb_stage {
    lb_train_ctx *x;
    const lb_train_stage *st;
    const lb_stage_row *row;
    void *own;                       /* the kind's */
    int index, step;
    bool held;                       /* in the middle of samples that several steps share: no checkpoint now */
    lb_optim *optim, *idle;          /* what is trained; the others' gradients are only cleared */
};

/* Runs stage `index` to its end: from its beginning, or from the checkpoint if that is of this stage. LB_ESTOPPED after a
 * checkpoint; LB_ENUMERIC naming the tensor when a number is not finite: the last checkpoint stays; LB_EGATE if a stage
 * refuses to start. */
bool lb_stage_run(lb_train_ctx *x, int index, lb_err *err);

/* The stage that the checkpoint in x->dir is of, −1 without one. LB_EUSAGE naming what differs if it is of another recipe
 * or model. */
bool lb_stage_resume(lb_train_ctx *x, int *index, lb_err *err);

bool lb_stage_teacher(lb_stage *s, lb_err *err);     /* opens x->teacher */
/* The factors by which a teacher's divergences count; gamma: CAKLD's. */
lb_distill lb_stage_divergence(const lb_train_stage *st, double gamma);
/* Factor of the learning rate at a step. */
float lb_stage_lr(const lb_train_stage *st, int step);
#endif
