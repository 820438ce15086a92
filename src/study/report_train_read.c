/* study/report_train_read.c – reading how a model was trained: train.jsonl, the curve and the recipe beside it. */
#include "study/report_read.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const keys[LB_REP_WHATS] = {
    [LB_REP_LOSS] = "loss",       [LB_REP_CE] = "ce",           [LB_REP_KL] = "kl",         [LB_REP_KL_REVERSE] = "kl_reverse",
    [LB_REP_GRAD_NORM] = "grad_norm", [LB_REP_LR] = "lr",       [LB_REP_ENTROPY] = "entropy", [LB_REP_REWARD] = "reward",
    [LB_REP_LENGTH] = "length",   [LB_REP_TRUNCATED] = "truncated", [LB_REP_TOKENS] = "tokens"};

typedef struct reading { lb_rep_train *t; size_t cap; } reading;

/* The stage of this name: the one that goes on, or the next one. */
static bool in_stage(lb_rep_train *t, const char *name, const char *where, lb_err *err)
{
    lb_rep_stage *s = t->n_stage ? &t->stage[t->n_stage - 1] : NULL;
    if (s && strcmp(s->name, name) == 0) return true;
    if (t->n_stage == LB_TRAIN_MAX_STAGES || strlen(name) >= sizeof s->name)
        return lb_fail(err, LB_EFORMAT, "%s: stage '%.60s' is one too many, or has too long a name", where, name);
    s = &t->stage[t->n_stage++];
    snprintf(s->name, sizeof s->name, "%s", name);
    s->begin = s->end = t->n_step;
    for (int i = 0; t->has_recipe && i < t->recipe.n_stage; i++)
        if (strcmp(t->recipe.stages[i].name, name) == 0) s->set = &t->recipe.stages[i];
    return true;
}

static bool read_step(void *arg, json_t *o, const char *where, lb_err *err)
{
    reading *r = arg;
    lb_rep_train *t = r->t;
    const char *stage;
    bool ok = lb_json_get_str(o, "stage", &stage, where, err) && in_stage(t, stage, where, err) &&
              lb_grow(&t->step, &r->cap, t->n_step + 1, sizeof *t->step, "the steps", err);
    for (int i = 0; ok && i < LB_REP_WHATS; i++) ok = lb_rep_number(o, keys[i], &t->step[t->n_step].v[i], where, err);
    if (ok) t->stage[t->n_stage - 1].end = ++t->n_step;
    json_decref(o);
    return ok;
}

/* ---- the curve ---- */

static int task_of(lb_rep_train *t, const char *name)
{
    int k = 0;
    while (k < t->n_task && strcmp(t->task[k], name) != 0) k++;
    if (k == LB_REP_TASKS) return -1;
    if (k == t->n_task) t->task[t->n_task++] = name;
    return k;
}

static bool read_tasks(lb_rep_train *t, lb_rep_point *p, const json_t *tasks, const char *in, lb_err *err)
{
    const char *name;
    json_t *v;
    for (int k = 0; k < LB_REP_TASKS; k++) p->acc[k] = p->acc_se[k] = NAN;
    json_object_foreach ((json_t *)tasks, name, v) {
        char where[300];
        int k = task_of(t, name);
        snprintf(where, sizeof where, "%.200s: %.60s", in, name);
        if (k < 0) return lb_fail(err, LB_EFORMAT, "%s is one task too many", where);
        if (!json_is_object(v)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(v));
        if (!lb_rep_number(v, "accuracy", &p->acc[k], where, err) || !lb_rep_number(v, "accuracy_stderr", &p->acc_se[k], where, err))
            return false;
    }
    return true;
}

static bool read_point(void *arg, json_t *o, const char *where, lb_err *err)
{
    reading *r = arg;
    lb_rep_train *t = r->t;
    const json_t *tasks;
    bool ok = (t->curve_doc || (t->curve_doc = json_array())) && json_array_append_new(t->curve_doc, o) == 0;
    if (!ok) return lb_fail_mem(err, 0, "the curve");
    if (!lb_grow(&t->point, &r->cap, t->n_point + 1, sizeof *t->point, "the curve", err)) return false;
    lb_rep_point *p = &t->point[t->n_point];
    ok = lb_json_get_str(o, "stage", &p->stage, where, err) && lb_rep_number(o, "step", &p->step, where, err) &&
         lb_rep_number(o, "steps", &p->steps, where, err) && lb_rep_number(o, "average", &p->average, where, err) &&
         lb_rep_number(o, "average_stderr", &p->average_se, where, err) && lb_rep_object(o, "tasks", &tasks, where, err) &&
         read_tasks(t, p, tasks, where, err);
    t->n_point += ok;
    return ok;
}

/* Of a training that runs, or was killed, the last line may be torn: it is left out. */
static bool read_lines(lb_rep_train *t, const char *path, lb_jsonl_fn line, lb_err *err)
{
    lb_map m = {0};
    reading r = {.t = t};
    if (!lb_map_open(&m, path, err)) return false;
    bool ok = lb_jsonl_each((const char *)m.p, lb_jsonl_whole(m.p, m.size), path, 0, line, &r, NULL, err);
    lb_map_close(&m);
    return ok;
}

bool lb_rep_read_train(lb_rep_run *r, const char *dir, lb_err *err)
{
    char path[1700];
    r->train = lb_alloc(1, sizeof *r->train, "the training", err);
    if (!r->train) return false;
    snprintf(path, sizeof path, "%.1600s/recipe.json", dir);
    r->train->has_recipe = lb_file_exists(path);
    if (r->train->has_recipe && !lb_train_recipe_load(&r->train->recipe, path, err)) return false;
    snprintf(path, sizeof path, "%.1600s/train.jsonl", dir);
    if (!read_lines(r->train, path, read_step, err)) return false;
    snprintf(path, sizeof path, "%.1600s/curve.jsonl", dir);
    if (lb_file_exists(path) && !read_lines(r->train, path, read_point, err)) return false;
    snprintf(path, sizeof path, "%.1600s/evaluation.json", dir);
    if (!lb_file_exists(path)) return true;
    r->train->eval_doc = lb_json_load(path, err);
    return r->train->eval_doc && lb_report_trained_check(r->train->eval_doc, path, err);
}

void lb_rep_train_free(lb_rep_train *t)
{
    if (!t) return;
    lb_train_recipe_free(&t->recipe);
    free(t->step);
    free(t->point);
    json_decref(t->curve_doc);
    json_decref(t->eval_doc);
    free(t);
}
