/* study/work.h – a study that is running, and what is made for its runs. Internal to study/. */
#ifndef LB_STUDY_WORK_H
#define LB_STUDY_WORK_H
#include "study/study.h"
#include "train/recipe.h"

enum { LB_STUDY_PATH = 1024 };

typedef struct lb_study_begun lb_study_begun;        /* study/begun.c */

typedef struct lb_study_work {
    lb_study *s;
    const lb_study_opt *o;
    lb_exec *ex;
    lb_db *db;
    lb_progress p;
    lb_study_begun *begun;           /* owned; how the trainings of all runs begin; NULL: not needed so far */
    lb_err *err;
} lb_study_work;

/* Where the run's model lies or will lie: r->dir. */
bool lb_study_place(lb_study_work *w, lb_study_run *r);
/* Makes that folder unless it is there: traces first if it is calibrated with the model's own text, measured bits if it
 * has a budget of them. */
bool lb_study_make(lb_study_work *w, lb_study_run *r);
/* The model's own text for this trace: made, completed or found in traces/ at *path. */
bool lb_study_trace_file(lb_study_work *w, const lb_study_model *m, const lb_study_trace *t, char path[LB_STUDY_PATH]);
void lb_study_trace_text(const lb_study_trace *t, lb_buf *b);        /* what it depends on besides the model */
/* What the model of a run that is trained depends on besides the model that it starts from. */
bool lb_study_train_text(lb_study_work *w, const lb_study_run *r, lb_buf *b);
/* A text that a training reads, by its contents: nothing for what is no file. */
bool lb_study_file_text(const char *path, lb_buf *b, lb_err *err);
bool lb_study_teacher_text(lb_study_work *w, const char *dir, lb_buf *b);
/* Trains r->dir, going on where a run that was stopped or killed has left it. */
bool lb_study_train(lb_study_work *w, lb_study_run *r);
/* Folders in stages/ for what r has in common with other runs that are still to be trained: the start, and what is left after
 * each number of stages; NULL where no other run begins so, and none is there. [n_stage+1] in `paths`, good until
 * lb_study_begun_free. */
bool lb_study_begun_of(lb_study_work *w, const lb_study_run *r, const char *paths[LB_TRAIN_MAX_STAGES + 1]);
/* Removes what no run needs any more. */
void lb_study_begun_sweep(lb_study_work *w);
void lb_study_begun_free(lb_study_work *w);
/* The reasoning health of the run's own model and its outliers, once for each folder: runs/ID/doctor.json and
 * outliers.json. */
bool lb_study_examine(lb_study_work *w, lb_study_run *r);
/* Writes DIR/NAME whole or not at all. j may be NULL after a failure to make it. */
bool lb_study_save_json(const char *dir, const char *name, const json_t *j, lb_err *err);
#endif
