/* study/recipe.h – what the two halves of the recipe's reader share. Internal to study/. */
#ifndef LB_STUDY_RECIPE_H
#define LB_STUDY_RECIPE_H
#include "study/study.h"

enum { LB_RECIPE_WHERE = 700 };

/* lb_json_opt_int into an int; numbers from 1. */
bool lb_recipe_count(const json_t *o, const char *key, int64_t max, int *out, const char *where, lb_err *err);
bool lb_recipe_is_self(const char *source);      /* "self" or "self:NAME" */
/* The "calib" of a run or of the recipe. */
bool lb_recipe_calib(const lb_study *s, const json_t *in, lb_calib_spec *c, bool *has_seed, const char *where,
                     lb_err *err);
bool lb_recipe_source(const lb_study *s, const char *source, const char *where, lb_err *err);
/* Index of the model, which is added if it is new; −1 with err if there are too many. */
int lb_recipe_model(lb_study *s, const char *dir, const char *where, lb_err *err);
/* The "train" of a run that has one: r->train, r->learns, r->method. Its scheme is known. */
bool lb_recipe_train(lb_study *s, const json_t *run, lb_study_run *r, const char *where, lb_err *err);
/* The trace that source "self" or "self:NAME" means, or NULL. */
const lb_study_trace *lb_recipe_trace(const lb_study *s, const char *source);
/* a, `between`, b as a text that the study keeps; NULL without memory. */
const char *lb_recipe_joined(lb_study *s, const char *a, const char *between, const char *b, lb_err *err);
/* One entry of "runs"; r->model is −1 if it is for all models. */
bool lb_recipe_run(lb_study *s, const json_t *o, lb_study_run *r, const char *where, lb_err *err);
#endif
