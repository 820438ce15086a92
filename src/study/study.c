/* study/study.c – reading a recipe and running it. */
#include "study/study.h"
#include "base/file.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the recipe ---- */

static bool known_keys(const json_t *o, const char *const *keys, const char *where, lb_err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach ((json_t *)o, key, v) {
        int i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0) i++;
        if (!keys[i]) return lb_fail(err, LB_EFORMAT, "%s: '%s' is not a key that recipes have", where, key);
    }
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
    int64_t limit = e->limit, samples = e->n_sample, max_new = e->max_new;
    if (!lb_json_opt_int(o, "limit", 1, 1 << 20, &limit, where, err) ||
        !lb_json_opt_int(o, "samples", 1, 4096, &samples, where, err) ||
        !lb_json_opt_int(o, "max_new", 1, 1 << 28, &max_new, where, err) || !parse_seeds(o, e, where, err))
        return false;
    e->limit = (int)limit, e->n_sample = (int)samples, e->max_new = (int)max_new;
    return true;
}

static bool parse_run(const json_t *o, lb_study_run *r, const char *where, lb_err *err)
{
    static const char *const keys[] = {"scheme", "method", "clip", NULL};
    const char *scheme, *method = NULL, *clip = "none";
    char text[LB_SCHEME_TEXT];
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(o));
    if (!known_keys(o, keys, where, err) || !lb_json_get_str(o, "scheme", &scheme, where, err) ||
        !lb_json_opt_str(o, "method", &method, where, err) || !lb_json_opt_str(o, "clip", &clip, where, err))
        return false;
    if (!lb_scheme_parse(scheme, &r->scheme, err)) return lb_wrap(err, "%s", where);
    if (strcmp(clip, "none") != 0 && strcmp(clip, "mse") != 0)
        return lb_fail(err, LB_EFORMAT, "%s: 'clip' is '%s', wanted none or mse", where, clip);
    r->clip_mse = strcmp(clip, "mse") == 0;
    if (r->scheme.w_bits == 16) {
        snprintf(r->label, sizeof r->label, "w16");
        return !(method || r->clip_mse) ||
               lb_fail(err, LB_EFORMAT, "%s: w16 is the model as it is, without method or clip", where);
    }
    if (!method) return lb_fail(err, LB_EFORMAT, "%s: 'method' is missing", where);
    r->method = lb_method_find(method, err);
    if (!r->method) return lb_wrap(err, "%s", where);
    lb_scheme_text(&r->scheme, text);
    snprintf(r->label, sizeof r->label, "%s %s%s", text, r->method->name, r->clip_mse ? "+clip" : "");
    return true;
}

/* Checked whether it is used or not. */
static bool parse_quick(const json_t *q, lb_study *s, bool use, const char *path, lb_err *err)
{
    static const char *const keys[] = {"limit", "seeds", "samples", "max_new", NULL};
    char where[600];
    lb_eval_opt e = s->eval;
    snprintf(where, sizeof where, "%.500s: quick", path);
    if (!json_is_object(q)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(q));
    if (!known_keys(q, keys, where, err) || !parse_size(q, &e, where, err)) return false;
    if (use) s->eval = e;
    return true;
}

static bool parse(lb_study *s, const char *path, bool quick, lb_err *err)
{
    static const char *const keys[] = {"name",  "about",   "model",   "data", "tasks", "limit",
                                       "seeds", "samples", "max_new", "runs", "quick", NULL};
    const json_t *o = s->recipe, *q = json_object_get(o, "quick"), *runs = json_object_get(o, "runs"), *v;
    const char *name, *tasks = "abacus";
    size_t i;
    s->data = "data";
    s->eval = (lb_eval_opt){.n_seed = 3, .seeds = {42, 43, 44}, .n_sample = 1};
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", path, lb_json_kind(o));
    if (!known_keys(o, keys, path, err) || !lb_json_get_str(o, "name", &name, path, err) ||
        !lb_json_get_str(o, "model", &s->model, path, err) || !lb_json_opt_str(o, "data", &s->data, path, err) ||
        !lb_json_opt_str(o, "tasks", &tasks, path, err) || !parse_size(o, &s->eval, path, err))
        return false;
    if (!lb_is_plain_name(name) || strlen(name) >= sizeof s->name)
        return lb_fail(err, LB_EFORMAT, "%s: 'name' is no plain file name of less than %zu bytes", path,
                       sizeof s->name);
    snprintf(s->name, sizeof s->name, "%s", name);
    if (quick && !q) return lb_fail(err, LB_EFORMAT, "%s has no 'quick' part for --quick", path);
    if (q && !parse_quick(q, s, quick, path, err)) return false;
    if (!json_is_array(runs) || json_array_size(runs) == 0 || json_array_size(runs) > LB_STUDY_MAX_RUNS)
        return lb_fail(err, LB_EFORMAT, "%s: 'runs' wants an array of 1 to %d runs", path, LB_STUDY_MAX_RUNS);
    json_array_foreach (runs, i, v) {
        char where[600];
        snprintf(where, sizeof where, "%.500s: runs[%zu]", path, i);
        lb_study_run *r = &s->runs[s->n_run++];
        if (!parse_run(v, r, where, err)) return false;
        for (size_t j = 0; j < i; j++)
            if (strcmp(s->runs[j].label, r->label) == 0)
                return lb_fail(err, LB_EFORMAT, "%s is %s, as runs[%zu] is", where, r->label, j);
    }
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
    free(s->tasks);
    json_decref(s->recipe);
    memset(s, 0, sizeof *s);
}

/* ---- running it ---- */

/* The folder of a run's model: the original, or one named after its contents and the way it was made. */
static bool place_model(lb_study_run *r, const lb_study *s, const char *base_hash, const char *out_dir, lb_err *err)
{
    int n;
    char text[LB_SCHEME_TEXT];
    lb_scheme_text(&r->scheme, text);
    if (r->scheme.w_bits == 16) n = snprintf(r->dir, sizeof r->dir, "%s", s->model);
    else
        n = snprintf(r->dir, sizeof r->dir, "%s/models/%s-%s%s-%.8s", out_dir, text, r->method->name,
                     r->clip_mse ? "-clip" : "", base_hash);
    return n < (int)sizeof r->dir || lb_fail(err, LB_EUSAGE, "the path of the output is too long: %s", out_dir);
}

static bool quantize(lb_study_run *r, const lb_study *s, const lb_study_opt *o, lb_exec *ex, lb_err *err)
{
    if (r->scheme.w_bits == 16 || lb_file_exists(r->dir)) return true; /* a folder is there only when it is whole */
    lb_quantize_report rep;
    lb_quantize_opt q = {.chain = {.solver = r->method},
                         .scheme = r->scheme,
                         .clip = r->clip_mse ? LB_CLIP_MSE : LB_CLIP_NONE,
                         .stop = (volatile const int *)o->stop};
    return lb_quantize(s->model, r->dir, &q, ex, &rep, err);
}

static bool evaluate(lb_study_run *r, const lb_study *s, lb_exec *ex, lb_db *db, lb_progress *p, lb_err *err)
{
    lb_target t;
    if (!lb_target_open(&t, r->dir, ex, err)) return false;
    lb_eval_opt o = s->eval;
    o.label = r->label;
    r->bits_per_weight = t.model->bpw;
    bool ok = lb_eval_run(&t, &o, db, p, &r->result, err);
    lb_target_close(&t);
    return ok;
}

/* Drop of the average against the baseline, paired by problem within each task; tasks are independent. */
static bool compare(lb_study_run *r, const lb_study_run *base, const lb_study *s, lb_err *err)
{
    double var = 0;
    for (int k = 0; k < s->n_task; k++) {
        const lb_task_result *a = &base->result.tasks[k], *b = &r->result.tasks[k];
        lb_paired d;
        if (!lb_stats_paired(a->outcomes, (size_t)a->n_samples, b->outcomes, (size_t)b->n_samples, 1000, 1, &d, err))
            return lb_wrap(err, "%s", a->bench->name);
        r->drop += d.diff / s->n_task;
        var += d.stderr_diff * d.stderr_diff;
    }
    r->drop_stderr = sqrt(var) / s->n_task;
    r->class_name = lb_degradation_name(lb_degradation_of(100 * r->drop));
    return true;
}

static bool save(const lb_study *s, const char *dir, lb_err *err)
{
    lb_buf table = {0}, csv = {0};
    json_t *j = lb_study_json(s);
    lb_study_table(s, &table);
    lb_study_csv(s, &csv);
    bool ok = lb_buf_ok(&table, "the table", err) && lb_buf_ok(&csv, "the table", err) &&
              (j || lb_fail_mem(err, 0, "the results"));
    const struct { const char *name; const lb_buf *text; const json_t *json;
    } files[] = {{"table.txt", &table, NULL},
                 {"results.csv", &csv, NULL},
                 {"results.json", NULL, j},
                 {"recipe.json", NULL, s->recipe}};
    for (size_t i = 0; ok && i < sizeof files / sizeof *files; i++) {
        char *path = lb_path_join(dir, files[i].name, err);
        ok = path && (files[i].json ? lb_json_save(path, files[i].json, err)
                                    : lb_write_file(path, files[i].text->p, files[i].text->n, err));
        free(path);
    }
    lb_buf_free(&table);
    lb_buf_free(&csv);
    json_decref(j);
    return ok;
}

bool lb_study_run_all(lb_study *s, const lb_study_opt *o, lb_exec *ex, lb_err *err)
{
    s->eval.fresh = o->fresh, s->eval.allow_weak_sandbox = o->allow_weak_sandbox, s->eval.stop = o->stop;
    int64_t per_run;
    lb_target base = {0};
    bool ok = lb_eval_count(&s->eval, &per_run, err) && lb_mkdirs(o->out_dir, err) &&
              lb_target_open(&base, s->model, ex, err) && lb_target_hash(&base, err);
    if (ok) s->eval.sampling = lb_target_sampling(&base); /* every run is sampled as the baseline is */
    char hash[33];
    memcpy(hash, base.hash, sizeof hash);
    lb_target_close(&base);
    char *db_path = ok ? lb_path_join(o->out_dir, "results.sqlite", err) : NULL;
    lb_db *db = db_path ? lb_db_open(db_path, err) : NULL;
    ok = ok && db;
    lb_progress p;
    lb_progress_start(&p, o->progress, "samples", per_run * s->n_run);
    for (int i = 0; ok && i < s->n_run; i++) {
        lb_study_run *r = &s->runs[i];
        lb_progress_what(&p, "%s", r->label);
        ok = place_model(r, s, hash, o->out_dir, err) && quantize(r, s, o, ex, err) && evaluate(r, s, ex, db, &p, err);
        ok = ok && (i == 0 || compare(r, &s->runs[0], s, err));
        if (!ok) lb_wrap(err, "%s", r->label);
    }
    lb_progress_end(&p);
    ok = ok && save(s, o->out_dir, err);
    lb_db_close(db);
    free(db_path);
    return ok;
}
