/* study/study.c – running a recipe: models first, then run by run quantize, evaluate, compare, save. */
#include "study/work.h"
#include "base/file.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- models ---- */

/* Every model is read before anything runs: a folder that is missing or broken is known at once. */
static bool open_models(lb_study_work *w)
{
    for (int i = 0; i < w->s->n_model; i++) {
        lb_study_model *m = &w->s->models[i];
        lb_target t = {0};
        bool ok = lb_target_open(&t, m->dir, w->ex, w->err) && lb_target_hash(&t, w->err);
        m->sampling = lb_target_sampling(&t);
        memcpy(m->hash, t.hash, sizeof m->hash);
        lb_target_close(&t);
        if (!ok) return false;
    }
    return true;
}

/* ---- one run ---- */

static void set_eval(const lb_study_run *r, lb_eval_opt *o)
{
    o->label = r->label;
    o->kv = r->kv;
    o->think_budget = r->think_budget, o->think_extend = r->think_extend;
    if (r->max_new) o->max_new = r->max_new;
}

static bool evaluate(lb_study_work *w, lb_study_run *r)
{
    lb_target t;
    lb_eval_opt o = w->s->eval;
    o.sampling = w->s->models[r->model].sampling;
    set_eval(r, &o);
    if (!lb_target_open(&t, r->dir, w->ex, w->err)) return false;
    r->bits_per_weight = t.model->bpw;
    r->size_bytes = 0;
    for (size_t i = 0; i < lb_store_count(t.model->store); i++)
        r->size_bytes += (double)lb_store_at(t.model->store, i)->size_bytes;
    bool ok = lb_eval_run(&t, &o, w->db, &w->p, &r->result, w->err);
    lb_target_close(&t);
    return ok;
}

/* Outcomes of one level (−1: of all) of a task, *n of them; items that share a question are one problem. */
static lb_outcome *of_level(const lb_task_result *t, int level, size_t *n, lb_err *err)
{
    lb_outcome *out = lb_alloc((size_t)t->n_samples, sizeof *out, "the outcomes", err);
    *n = 0;
    for (int i = 0; out && i < t->n_samples; i++)
        if (level < 0 || t->stats[i].level == level + 1) {
            out[*n] = t->outcomes[i];
            out[(*n)++].problem = t->stats[i].cluster;
        }
    return out;
}

/* Mean over the tasks of the paired drop at one level, or over all; NaN if no task has problems there. */
static bool drop_of(const lb_eval_result *a, const lb_eval_result *b, int level, double *drop, double *error,
                    lb_err *err)
{
    double sum = 0, var = 0;
    int n_task = 0;
    bool ok = true;
    for (int k = 0; ok && k < a->n_task; k++) {
        size_t na = 0, nb = 0;
        lb_paired d;
        lb_outcome *x = of_level(&a->tasks[k], level, &na, err), *y = of_level(&b->tasks[k], level, &nb, err);
        ok = x && y;
        if (ok && na > 0) {
            ok = lb_stats_paired(x, na, y, nb, 1, 1, &d, err) || lb_wrap(err, "%s", a->tasks[k].bench->name);
            if (ok) sum += d.diff, var += d.stderr_diff * d.stderr_diff, n_task++;
        }
        free(x);
        free(y);
    }
    *drop = n_task ? sum / n_task : NAN, *error = n_task ? sqrt(var) / n_task : NAN;
    return ok;
}

bool lb_study_compare(lb_study_run *r, const lb_study_run *base, lb_err *err)
{
    const lb_eval_result *a = &base->result, *b = &r->result;
    bool ok = drop_of(a, b, -1, &r->drop, &r->drop_stderr, err);
    for (int l = 0; ok && l < LB_N_LEVEL; l++)
        ok = drop_of(a, b, l, &r->level_drop[l], &r->level_drop_stderr[l], err);
    if (!ok) return false;
    r->class_name = lb_degradation_name(lb_degradation_of(100 * r->drop));
    r->compared = true;
    return true;
}

/* Compares whatever can be compared by now: a baseline may come after the runs that need it. */
static bool compare_all(lb_study_work *w)
{
    for (int i = 0; i < w->s->n_run; i++) {
        lb_study_run *r = &w->s->runs[i];
        const lb_study_run *base = &w->s->runs[r->baseline];
        if (r == base || r->compared || r->state != LB_STUDY_DONE || base->state != LB_STUDY_DONE) continue;
        if (!lb_study_compare(r, base, w->err)) return lb_wrap(w->err, "%s", r->label);
    }
    return true;
}

/* ---- saving ---- */

static bool save_text(const char *dir, const char *name, const lb_buf *text, lb_err *err)
{
    char *path = lb_path_join(dir, name, err);
    bool ok = path && lb_buf_ok(text, name, err) && lb_write_file(path, text->p, text->n, err);
    free(path);
    return ok;
}

bool lb_study_save_json(const char *dir, const char *name, const json_t *j, lb_err *err)
{
    char *path = lb_path_join(dir, name, err);
    bool ok = path && (j ? lb_json_save(path, j, err) : lb_fail_mem(err, 0, "the results"));
    free(path);
    return ok;
}

static bool save(const lb_study *s, const char *dir, lb_err *err)
{
    lb_buf table = {0}, csv = {0};
    json_t *j = lb_study_json(s);
    lb_study_table(s, &table);
    lb_study_csv(s, &csv);
    bool ok = save_text(dir, "table.txt", &table, err) && save_text(dir, "results.csv", &csv, err) &&
              lb_study_save_json(dir, "results.json", j, err) && lb_study_save_json(dir, "recipe.json", s->recipe, err);
    lb_buf_free(&table);
    lb_buf_free(&csv);
    json_decref(j);
    return ok;
}

static bool save_samples(const lb_study_run *r, const char *out_dir, lb_err *err)
{
    char dir[800];
    lb_buf text = {0};
    snprintf(dir, sizeof dir, "%.600s/runs/%s", out_dir, r->id);
    lb_study_samples(r, &text);
    bool ok = lb_mkdirs(dir, err) && save_text(dir, "samples.jsonl", &text, err);
    lb_buf_free(&text);
    return ok;
}

/* A stop and a disk that fails end the study; everything else is this run's own misfortune. */
static bool ends_study(const lb_err *e) { return e->code == LB_ESTOPPED || e->code == LB_EIO; }

static bool do_run(lb_study_work *w, lb_study_run *r)
{
    lb_err *outer = w->err, e = {0};
    lb_progress_what(&w->p, "%s", r->label);
    w->err = &e;
    bool ok = lb_study_place(w, r) && lb_study_make(w, r) && evaluate(w, r) && lb_study_examine(w, r);
    w->err = outer;
    if (!ok && ends_study(&e)) {
        if (outer) *outer = e;
        return lb_wrap(outer, "%s", r->label);
    }
    r->state = ok ? LB_STUDY_DONE : LB_STUDY_FAILED;
    snprintf(r->error, sizeof r->error, "%s", ok ? "" : e.msg);
    w->s->n_failed += !ok;
    return compare_all(w) && (!ok || save_samples(r, w->o->out_dir, outer)) && save(w->s, w->o->out_dir, outer);
}

bool lb_study_run_all(lb_study *s, const lb_study_opt *o, lb_exec *ex, lb_err *err)
{
    lb_study_work w = {.s = s, .o = o, .ex = ex, .err = err};
    int64_t per_run = 0;
    s->eval.fresh = o->fresh, s->eval.allow_weak_sandbox = o->allow_weak_sandbox, s->eval.stop = o->stop;
    bool ok = lb_eval_count(&s->eval, &per_run, err) && lb_mkdirs(o->out_dir, err) && open_models(&w);
    char *db_path = ok ? lb_path_join(o->out_dir, "results.sqlite", err) : NULL;
    w.db = db_path ? lb_db_open(db_path, err) : NULL;
    ok = ok && w.db;
    lb_progress_start(&w.p, o->progress, "samples", per_run * s->n_run);
    for (int i = 0; ok && i < s->n_run; i++) ok = do_run(&w, &s->runs[i]);
    lb_progress_end(&w.p);
    if (ok) lb_study_begun_sweep(&w);
    lb_study_begun_free(&w);
    lb_db_close(w.db);
    free(db_path);
    return ok;
}
