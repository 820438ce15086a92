/* study/make_train.c – models of runs that are trained: by the workflow of train/, from traces that a study makes once. */
#include "base/file.h"
#include "base/mem.h"
#include "study/work.h"
#include "train/workflow.h"
#include <stdlib.h>
#include <string.h>

/* Names of benchmarks and "traces" stand in the recipe. */
bool lb_study_file_text(const char *path, lb_buf *b, lb_err *err)
{
    lb_map m = {0};
    char hex[33];
    if (!path || !lb_file_exists(path) || lb_is_folder(path)) return true;
    if (!lb_map_open(&m, path, err)) return false;
    lb_hash_hex(lb_hash_of(m.p, m.size), hex);
    lb_buf_fmt(b, "text %s\n", hex);
    lb_map_close(&m);
    return true;
}

bool lb_study_teacher_text(lb_study_work *w, const char *dir, lb_buf *b)
{
    lb_target t = {0};
    if (!dir) return true;
    bool ok = lb_target_open(&t, dir, w->ex, w->err) && lb_target_hash(&t, w->err);
    if (ok) lb_buf_fmt(b, "teacher %s\n", t.hash);
    lb_target_close(&t);
    return ok || lb_wrap(w->err, "teacher");
}

static bool add_files(const lb_train_recipe *t, lb_buf *b, lb_err *err)
{
    const char *const files[] = {t->traces.file, t->traces.prompts, t->calib, t->calib_traces.prompts};
    bool ok = true;
    for (int i = 0; ok && i < 4; i++) ok = lb_study_file_text(files[i], b, err);
    for (int i = 0; ok && i < t->n_stage; i++) ok = lb_study_file_text(t->stages[i].prompts, b, err);
    return ok;
}

bool lb_study_train_text(lb_study_work *w, const lb_study_run *r, lb_buf *b)
{
    lb_train_recipe *t = lb_alloc(1, sizeof *t, "the recipe", w->err);
    char *text = json_dumps(r->train, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    bool ok = t && (text || lb_fail_mem(w->err, 0, "the recipe")) && lb_train_recipe_parse(t, r->train, "train", w->err);
    if (ok) lb_buf_fmt(b, "train %s\ndata %s\n", text, w->s->data);
    ok = ok && add_files(t, b, w->err) && lb_study_teacher_text(w, t->teacher, b);
    if (t) lb_train_recipe_free(t);
    free(t);
    free(text);
    return ok;
}

/* The study's traces where the training looks for its own: it finds them finished, and makes none. */
static bool give_trace(lb_study_work *w, const lb_study_run *r, const lb_study_trace *t, const char *name)
{
    char from[LB_STUDY_PATH], dir[LB_STUDY_PATH], to[LB_STUDY_PATH + 20];
    snprintf(dir, sizeof dir, "%s.partial", r->dir);
    snprintf(to, sizeof to, "%s/%s", dir, name);
    if (!t->prompts || lb_file_exists(to)) return true;
    lb_progress_what(&w->p, "%s · its own text", r->label);
    return lb_study_trace_file(w, &w->s->models[r->model], t, from) && lb_mkdirs(dir, w->err) && lb_file_copy(from, to, w->err);
}

static bool give_traces(lb_study_work *w, const lb_study_run *r)
{
    return give_trace(w, r, &r->learns, "traces.jsonl") && give_trace(w, r, &r->starts_on, "calib.jsonl");
}

bool lb_study_train(lb_study_work *w, lb_study_run *r)
{
    lb_train_recipe *t = lb_alloc(1, sizeof *t, "the recipe", w->err);
    lb_train_report *rep = lb_alloc(1, sizeof *rep, "the training", w->err);
    lb_train_opt o = {.model_dir = w->s->models[r->model].dir, .out_dir = r->dir, .data_dir = w->s->data,
                      .allow_weak_sandbox = w->o->allow_weak_sandbox, .label = r->label,
                      .progress = w->o->progress, .stop = w->o->stop};
    const char *begun[LB_TRAIN_MAX_STAGES + 1];
    bool ok = t && rep && lb_train_recipe_parse(t, r->train, "train", w->err) && give_traces(w, r) &&
              lb_study_begun_of(w, r, begun);
    if (ok) {
        o.begun = begun;
        lb_progress_what(&w->p, "%s · training", r->label);
        lb_progress_end(&w->p); /* training has lines of its own */
        ok = lb_train_run(t, &o, w->ex, rep, w->err) || lb_wrap(w->err, "train");
        lb_train_report_free(rep);
        if (ok) lb_study_begun_sweep(w);
    }
    if (t) lb_train_recipe_free(t);
    free(rep);
    free(t);
    return ok;
}
