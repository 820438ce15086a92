/* study/report_train_read.c – reading how a model was trained: train.jsonl, and the recipe beside it. */
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

/* Of a training that runs, or was killed, the last line may be torn: it is left out. */
static bool read_log(lb_rep_train *t, const char *path, lb_err *err)
{
    lb_map m = {0};
    reading r = {.t = t};
    if (!lb_map_open(&m, path, err)) return false;
    size_t n = m.size;
    while (n > 0 && m.p[n - 1] != '\n') n--;
    bool ok = lb_jsonl_each((const char *)m.p, n, path, 0, read_step, &r, NULL, err);
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
    return read_log(r->train, path, err);
}

void lb_rep_train_free(lb_rep_train *t)
{
    if (!t) return;
    lb_train_recipe_free(&t->recipe);
    free(t->step);
    free(t);
}
