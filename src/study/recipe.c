/* study/recipe.c – reading a recipe: everything is checked before anything runs, and what is wrong is named. */
#include "base/file.h"
#include "base/mem.h"
#include "study/recipe.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool lb_recipe_count(const json_t *o, const char *key, int64_t max, int *out, const char *where, lb_err *err)
{
    int64_t v = *out;
    if (!lb_json_opt_int(o, key, 1, max, &v, where, err)) return false;
    *out = (int)v;
    return true;
}

static bool parse_seeds(const json_t *o, lb_eval_opt *e, const char *where, lb_err *err)
{
    const json_t *a = json_object_get(o, "seeds"), *v;
    size_t i;
    if (!a) return true;
    if (!json_is_array(a) || json_array_size(a) == 0 || json_array_size(a) > LB_MAX_SEEDS)
        return lb_fail(err, LB_EFORMAT, "%s: 'seeds' wants an array of 1 to %d whole numbers", where, LB_MAX_SEEDS);
    e->n_seed = 0;
    json_array_foreach (a, i, v) {
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return lb_fail(err, LB_EFORMAT, "%s: seeds[%zu] is %s, wanted a whole number", where, i, lb_json_kind(v));
        for (int j = 0; j < e->n_seed; j++)
            if (e->seeds[j] == json_integer_value(v))
                return lb_fail(err, LB_EFORMAT, "%s: seeds has %lld twice", where, (long long)e->seeds[j]);
        e->seeds[e->n_seed++] = json_integer_value(v);
    }
    return true;
}

/* Settings that a recipe and its "quick" part may both have. */
static bool parse_size(const json_t *o, lb_eval_opt *e, const char *where, lb_err *err)
{
    return lb_recipe_count(o, "limit", 1 << 20, &e->limit, where, err) &&
           lb_recipe_count(o, "samples", 4096, &e->n_sample, where, err) &&
           lb_recipe_count(o, "max_new", 1 << 28, &e->max_new, where, err) && parse_seeds(o, e, where, err);
}

/* ---- models and traces ---- */

int lb_recipe_model(lb_study *s, const char *dir, const char *where, lb_err *err)
{
    int i = 0;
    while (i < s->n_model && strcmp(s->models[i].dir, dir) != 0) i++;
    if (i == LB_STUDY_MAX_MODELS) {
        lb_fail(err, LB_EFORMAT, "%s: '%s' is one model too many; there may be %d", where, dir, LB_STUDY_MAX_MODELS);
        return -1;
    }
    if (i == s->n_model) s->models[s->n_model++].dir = dir;
    return i;
}

static bool parse_models(lb_study *s, const json_t *o, const char *path, lb_err *err)
{
    const json_t *list = json_object_get(o, "models"), *v;
    const char *dir = NULL;
    size_t i;
    if (!list) return lb_json_get_str(o, "model", &dir, path, err) && lb_recipe_model(s, dir, path, err) >= 0;
    if (json_object_get(o, "model")) return lb_fail(err, LB_EFORMAT, "%s has both 'model' and 'models'", path);
    if (!json_is_array(list) || json_array_size(list) == 0)
        return lb_fail(err, LB_EFORMAT, "%s: 'models' wants an array of model folders", path);
    json_array_foreach (list, i, v) {
        if (!json_is_string(v))
            return lb_fail(err, LB_EFORMAT, "%s: models[%zu] is %s, wanted a string", path, i, lb_json_kind(v));
        int before = s->n_model, at = lb_recipe_model(s, json_string_value(v), path, err);
        if (at < 0) return false;
        if (at < before)
            return lb_fail(err, LB_EFORMAT, "%s: models has '%s' twice", path, json_string_value(v));
    }
    return true;
}

static bool parse_trace(lb_study *s, const char *name, const json_t *o, const char *where, lb_err *err)
{
    static const char *const keys[] = {"prompts", "where", "nprompts", "samples", "max_new", "seed", NULL};
    if (s->n_trace == LB_STUDY_MAX_TRACES)
        return lb_fail(err, LB_EFORMAT, "%s is one too many; there may be %d", where, LB_STUDY_MAX_TRACES);
    lb_study_trace *t = &s->traces[s->n_trace++];
    t->name = name;
    t->where = json_object_get(o, "where");
    if (!lb_json_keys(o, keys, where, err) || !lb_json_get_str(o, "prompts", &t->prompts, where, err) ||
        !lb_recipe_count(o, "nprompts", 1 << 20, &t->n_prompt, where, err) ||
        !lb_recipe_count(o, "samples", 4096, &t->n_sample, where, err) ||
        !lb_recipe_count(o, "max_new", 1 << 28, &t->max_new, where, err) ||
        !lb_json_opt_int(o, "seed", 0, INT64_MAX, &t->seed, where, err))
        return false;
    const char *key;
    json_t *v;
    if (t->where && !json_is_object(t->where))
        return lb_fail(err, LB_EFORMAT, "%s: 'where' is %s, wanted an object such as {\"family\": \"chain\"}", where,
                       lb_json_kind(t->where));
    json_object_foreach ((json_t *)t->where, key, v) {
        if (!json_is_string(v))
            return lb_fail(err, LB_EFORMAT, "%s: where: '%s' is %s, wanted a string", where, key, lb_json_kind(v));
    }
    return true;
}

/* {"prompts": …} for the source "self", or {NAME: {"prompts": …}, …} for "self:NAME". */
static bool parse_traces(lb_study *s, const json_t *o, const char *path, lb_err *err)
{
    const json_t *all = json_object_get(o, "trace");
    char where[LB_RECIPE_WHERE];
    snprintf(where, sizeof where, "%.500s: trace", path);
    if (!all) return true;
    if (!json_is_object(all)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(all));
    if (!json_is_object(json_object_iter_value(json_object_iter((json_t *)all))) || json_object_get(all, "prompts"))
        return parse_trace(s, "", all, where, err);
    const char *name;
    json_t *v;
    json_object_foreach ((json_t *)all, name, v) {
        snprintf(where, sizeof where, "%.500s: trace '%.100s'", path, name);
        if (!lb_is_plain_name(name)) return lb_fail(err, LB_EFORMAT, "%s has no plain name", where);
        if (!parse_trace(s, name, v, where, err)) return false;
    }
    return true;
}

static bool parse_doctor(lb_study *s, const char *path, lb_err *err)
{
    static const char *const keys[] = {"source", "tokens", "answers", NULL};
    const json_t *o = json_object_get(s->recipe, "doctor");
    char where[LB_RECIPE_WHERE];
    snprintf(where, sizeof where, "%.600s: doctor", path);
    if (!o) return true;
    if (!lb_json_keys(o, keys, where, err) || !lb_json_get_str(o, "source", &s->doctor, where, err) ||
        !lb_recipe_count(o, "tokens", 1 << 28, &s->doctor_tokens, where, err) ||
        !lb_recipe_count(o, "answers", 1 << 20, &s->doctor_answers, where, err))
        return false;
    if (!lb_recipe_is_self(s->doctor) && !lb_file_exists(s->doctor))
        return lb_fail(err, LB_EFORMAT, "%s: source '%s' is neither a file of traces nor self", where, s->doctor);
    return lb_recipe_source(s, s->doctor, where, err);
}

/* What the training of runs has in common: its parts are checked where a run makes them its own. */
static bool parse_train(const json_t *top, const char *path, lb_err *err)
{
    static const char *const keys[] = {"seed", "compute", "teacher", "keep_every", "traces", "start", "stages", "curve", NULL};
    const json_t *o = json_object_get(top, "train");
    char where[LB_RECIPE_WHERE];
    snprintf(where, sizeof where, "%.600s: train", path);
    return !o || lb_json_keys(o, keys, where, err);
}

/* ---- all runs ---- */

/* A plain file name made of group, model and label; unique, and the same whenever the recipe is the same. */
static void name_run(lb_study *s, int i)
{
    lb_study_run *r = &s->runs[i];
    const char *slash = strrchr(s->models[r->model].dir, '/');
    char text[400];
    size_t n = 0;
    snprintf(text, sizeof text, "%s %s%s%s", r->group,
             s->n_model > 1 ? (slash ? slash + 1 : s->models[r->model].dir) : "", s->n_model > 1 ? " " : "", r->label);
    for (const char *p = text; *p && n < 120; p++) {
        bool plain = isalnum((unsigned char)*p) || *p == '.' || *p == '_' || *p == '+';
        if (plain) r->id[n++] = (char)tolower((unsigned char)*p);
        else if (n > 0 && r->id[n - 1] != '-') r->id[n++] = '-';
    }
    while (n > 0 && r->id[n - 1] == '-') n--;
    r->id[n] = 0;
    for (int copy = 2, j = 0; j < i; j++) {
        if (strcmp(s->runs[j].id, r->id) != 0) continue;
        snprintf(r->id + n, sizeof r->id - n, "-%d", copy++);
        j = -1;
    }
}

/* The run r of the recipe, once for each model it is meant for. */
static bool add_run(lb_study *s, const lb_study_run *r, size_t *cap, const char *where, lb_err *err)
{
    int n_all = s->n_model, first = r->model >= 0 ? r->model : 0, last = r->model >= 0 ? r->model + 1 : n_all;
    for (int m = first; m < last; m++) {
        if (s->n_run == LB_STUDY_MAX_RUNS)
            return lb_fail(err, LB_EFORMAT, "%s: more than %d runs over all models", where, LB_STUDY_MAX_RUNS);
        if (!lb_grow(&s->runs, cap, (size_t)s->n_run + 1, sizeof *s->runs, "the runs", err)) return false;
        s->runs[s->n_run] = *r;
        s->runs[s->n_run].model = m;
        s->n_run++;
    }
    return true;
}

static bool parse_runs(lb_study *s, const json_t *runs, const char *path, lb_err *err)
{
    const json_t *v;
    size_t i, cap = 0;
    char where[LB_RECIPE_WHERE];
    if (!json_is_array(runs) || json_array_size(runs) == 0 || json_array_size(runs) > LB_STUDY_MAX_RUNS)
        return lb_fail(err, LB_EFORMAT, "%s: 'runs' wants an array of 1 to %d runs", path, LB_STUDY_MAX_RUNS);
    size_t n = json_array_size(runs);
    lb_study_run *one = lb_alloc(n, sizeof *one, "the runs", err);
    bool ok = one != NULL;
    json_array_foreach (runs, i, v) {
        snprintf(where, sizeof where, "%.500s: runs[%zu]", path, i);
        ok = ok && lb_recipe_run(s, v, &one[i], where, err);
        for (size_t j = 0; ok && j < i; j++)
            if (strcmp(one[j].label, one[i].label) == 0 && one[j].train && one[i].train &&
                !json_equal((json_t *)one[j].train, (json_t *)one[i].train))
                ok = lb_fail(err, LB_EFORMAT, "%s is %s, as runs[%zu] is, but trained otherwise; a 'label' tells runs apart",
                             where, one[i].label, j);
            else if (strcmp(one[j].label, one[i].label) == 0 && strcmp(one[j].group, one[i].group) == 0 &&
                (one[j].model == one[i].model || one[j].model < 0 || one[i].model < 0))
                ok = lb_fail(err, LB_EFORMAT, "%s is %s, as runs[%zu] is; a 'label' tells runs apart", where,
                             one[i].label, j);
    }
    /* "models" makes runs of those that it lists, not of a model that a single run brings along */
    int n_listed = json_array_size(json_object_get(s->recipe, "models"))
                       ? (int)json_array_size(json_object_get(s->recipe, "models"))
                       : 1,
        n_all = s->n_model;
    s->n_model = n_listed;
    for (i = 0; ok && i < n; i++) ok = add_run(s, &one[i], &cap, path, err);
    s->n_model = n_all;
    free(one);
    for (int k = 0; ok && k < s->n_run; k++) name_run(s, k);
    return ok;
}

/* Checked whether it is used or not. */
static bool parse_quick(const json_t *q, lb_study *s, bool use, const char *path, lb_err *err)
{
    static const char *const keys[] = {"limit", "seeds", "samples", "max_new", "steps", NULL};
    char where[LB_RECIPE_WHERE];
    lb_eval_opt e = s->eval;
    int steps = 0;
    snprintf(where, sizeof where, "%.500s: quick", path);
    if (!lb_json_keys(q, keys, where, err) || !parse_size(q, &e, where, err) ||
        !lb_recipe_count(q, "steps", 1000000000, &steps, where, err))
        return false;
    if (use) s->eval = e, s->quick = true, s->quick_steps = steps;
    return true;
}

static bool same_eval(const lb_study_run *a, const lb_study_run *b)
{
    return a->model == b->model && a->max_new == b->max_new && a->think_budget == b->think_budget &&
           a->think_extend == b->think_extend;
}

/* See the header: plain in the group, plain anywhere, else the first of group and model. */
static void find_baselines(lb_study *s)
{
    for (int i = 0; i < s->n_run; i++) {
        lb_study_run *r = &s->runs[i];
        int near = -1, far = -1, first = -1;
        for (int j = s->n_run - 1; j >= 0; j--) {
            const lb_study_run *b = &s->runs[j];
            bool group = strcmp(b->group, r->group) == 0;
            if (group && b->model == r->model) first = j;
            if (!lb_study_is_plain(b) || !same_eval(b, r)) continue;
            far = j;
            if (group) near = j;
        }
        r->baseline = near >= 0 ? near : far >= 0 ? far : first;
    }
}

static bool parse(lb_study *s, const char *path, bool quick, lb_err *err)
{
    static const char *const keys[] = {"name",    "about", "model", "models", "data",  "tasks", "limit", "seeds",
                                       "samples", "max_new", "trace", "calib", "doctor", "train", "runs", "quick", NULL};
    const json_t *o = s->recipe, *q = json_object_get(o, "quick");
    const char *name, *about, *tasks = "abacus";
    bool has_seed;
    s->data = "data";
    s->eval = (lb_eval_opt){.n_seed = 3, .seeds = {42, 43, 44}, .n_sample = 1};
    if (!lb_json_keys(o, keys, path, err) || !lb_json_get_str(o, "name", &name, path, err) ||
        !lb_json_opt_str(o, "about", &about, path, err) || !parse_models(s, o, path, err) ||
        !lb_json_opt_str(o, "data", &s->data, path, err) || !lb_json_opt_str(o, "tasks", &tasks, path, err) ||
        !parse_size(o, &s->eval, path, err))
        return false;
    if (!lb_is_plain_name(name) || strlen(name) >= sizeof s->name)
        return lb_fail(err, LB_EFORMAT, "%s: 'name' is no plain file name of less than %zu bytes", path,
                       sizeof s->name);
    snprintf(s->name, sizeof s->name, "%s", name);
    if (quick && !q) return lb_fail(err, LB_EFORMAT, "%s has no 'quick' part for --quick", path);
    if ((q && !parse_quick(q, s, quick, path, err)) || !parse_traces(s, o, path, err) ||
        !lb_recipe_calib(s, o, &s->calib, &has_seed, path, err) || !parse_doctor(s, path, err) || !parse_train(o, path, err) ||
        !parse_runs(s, json_object_get(o, "runs"), path, err))
        return false;
    find_baselines(s);
    if (!lb_benches_of(tasks, &s->tasks, &s->n_task, err)) return lb_wrap(err, "%s", path);
    s->eval.tasks = s->tasks, s->eval.n_task = s->n_task, s->eval.data_dir = s->data;
    return true;
}

bool lb_study_open(lb_study *s, const char *recipe_path, bool quick, lb_err *err)
{
    memset(s, 0, sizeof *s);
    s->recipe = lb_json_load(recipe_path, err);
    if (s->recipe && parse(s, recipe_path, quick, err)) return true;
    lb_study_close(s);
    return false;
}

void lb_study_close(lb_study *s)
{
    for (int i = 0; i < s->n_run; i++) lb_eval_result_free(&s->runs[i].result);
    for (size_t i = 0; i < s->n_text; i++) free(s->text[i]);
    free(s->text);
    free(s->runs);
    free(s->tasks);
    json_decref(s->trainings);
    json_decref(s->recipe);
    memset(s, 0, sizeof *s);
}
