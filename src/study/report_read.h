/* study/report_read.h – reading the JSON of a study's folder: what is absent or null is NaN, "", 0 or NULL; what is of
 * another kind is an error that names it. Internal to the report's data. */
#ifndef LB_STUDY_REPORT_READ_H
#define LB_STUDY_REPORT_READ_H
#include "study/report_data.h"

bool lb_rep_number(const json_t *o, const char *key, double *out, const char *where, lb_err *err);
bool lb_rep_text(const json_t *o, const char *key, const char **out, const char *where, lb_err *err);
bool lb_rep_whole(const json_t *o, const char *key, int *out, const char *where, lb_err *err);
bool lb_rep_object(const json_t *o, const char *key, const json_t **out, const char *where, lb_err *err);
/* An array must be there. */
const json_t *lb_rep_list(const json_t *o, const char *key, const char *where, lb_err *err);

/* train.jsonl in `dir` and the recipe beside it; r->train stays NULL where there is none. */
bool lb_rep_read_train(lb_rep_run *r, const char *dir, lb_err *err);
/* The evaluation of a training (study/report.h): what the report reads of it is of the right kind. */
bool lb_report_trained_check(const json_t *doc, const char *where, lb_err *err);
/* Samples and extras of a run that is done; o is its object in results.json. */
bool lb_rep_read_extras(const lb_rep *rep, const json_t *o, lb_rep_run *r, lb_err *err);
#endif
