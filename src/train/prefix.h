/* train/prefix.h – how a run began, kept for other runs that begin alike.
 *
 * A folder with what stages leave behind them: params.safetensors (everything that they may have changed, F32), and the lines
 * of train.jsonl and curve.jsonl so far. The moments of the optimizer are not there: every stage begins with new ones. Whoever
 * takes it up ends in the bytes of a run that trained these stages itself. Internal to train/. */
#ifndef LB_TRAIN_PREFIX_H
#define LB_TRAIN_PREFIX_H
#include "train/stage.h"

/* Every parameter of the student, to a file and back. LB_EFORMAT naming the first that the file lacks or has in another
 * size. */
bool lb_params_save(lb_student *s, lb_exec *ex, const char *path, lb_err *err);
bool lb_params_load(lb_student *s, lb_exec *ex, const char *path, lb_err *err);

/* After a stage: the folder appears whole or not at all; one that is there is left alone. */
bool lb_prefix_save(lb_train_ctx *x, const char *dir, lb_err *err);
/* The student, the log and the curve as they were after the first n_stage stages of this recipe, which the folder is of. The
 * student has not been staged, and the log is empty. */
bool lb_prefix_take(lb_train_ctx *x, int n_stage, const char *dir, lb_err *err);
#endif
