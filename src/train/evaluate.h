/* train/evaluate.h – what the model in training can do: on the way, and at the end. Internal to train/.
 *
 * A curve is accuracy against steps. At its points (before the first step, every so many steps of a stage, after its last
 * one, and where a stage begins with other quantizers) the student is packed, opened and asked like any other model; one
 * line of curve.jsonl keeps what came out:
 *
 *     {"stage": "1-kd", "step": 20, "steps": 20 of all stages, "model": its hash, "problems", "samples", "average",
 *      "average_stderr", "truncated", "think_closed", "tokens_mean", "tasks": {TASK: {"accuracy", "accuracy_stderr"}}}
 *
 * Nothing of it touches the training: the weights are those of a run without a curve. Samples are in the results database
 * as the model NAME@STAGE-STEP. A point whose line is there is not asked again, and one that was stopped goes on from the
 * samples in the database, so a run that was killed ends in the same lines. */
#ifndef LB_TRAIN_EVALUATE_H
#define LB_TRAIN_EVALUATE_H
#include "eval/eval.h"
#include "train/stage.h"

/* The settings of an evaluation as eval/eval.h wants them; *tasks is the caller's to free. sampling and label are left. */
bool lb_train_eval_opt(const lb_train_ctx *x, const lb_train_eval *e, lb_eval_opt *o, const lb_bench ***tasks,
                       lb_err *err);

/* The recipe's curve, or NULL with *ok if it has none. `fresh`: the training begins anew, and so do its lines. db is
 * borrowed; x->student is there by the first point. */
lb_curve *lb_curve_open(lb_train_ctx *x, lb_db *db, bool fresh, bool *ok, lb_err *err);
void lb_curve_close(lb_curve *c);                /* NULL is fine */
/* Whether there is a point after so many steps of the stage whose line is still to be written. */
bool lb_curve_due(const lb_curve *c, int stage, int step);
/* Asks the student as it is, if one is due. */
bool lb_curve_point(lb_curve *c, int stage, int step, lb_err *err);
#endif
