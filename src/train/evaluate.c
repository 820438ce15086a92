/* train/evaluate.c – points of a curve. */
#include "train/evaluate.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct point { int stage, step; } point;

struct lb_curve {
    lb_train_ctx *x;
    const lb_train_recipe *r;
    lb_db *db;                       /* borrowed */
    lb_eval_opt o;
    const lb_bench **tasks;          /* owned */
    char *path;                      /* of curve.jsonl; owned */
    int fd;
    point *done;                     /* [n], owned: lines that are there */
    size_t n, cap;
};

bool lb_train_eval_opt(const lb_train_ctx *x, const lb_train_eval *e, lb_eval_opt *o, const lb_bench ***tasks,
                       lb_err *err)
{
    *o = (lb_eval_opt){.data_dir = e->data ? e->data : x->data_dir,
                       .limit = e->limit,
                       .n_seed = e->n_seed,
                       .n_sample = e->n_sample,
                       .max_new = e->max_new,
                       .allow_weak_sandbox = x->allow_weak_sandbox,
                       .stop = x->stop};
    memcpy(o->seeds, e->seeds, sizeof o->seeds);
    bool ok = lb_benches_of(e->tasks, tasks, &o->n_task, err);
    o->tasks = *tasks;
    return ok;
}

/* ---- lines ---- */

static bool add_done(lb_curve *c, int stage, int step, lb_err *err)
{
    if (!lb_grow(&c->done, &c->cap, c->n + 1, sizeof *c->done, "the curve", err)) return false;
    c->done[c->n++] = (point){stage, step};
    return true;
}

static bool read_line(void *arg, json_t *o, const char *where, lb_err *err)
{
    lb_curve *c = arg;
    const char *name;
    int64_t step;
    int i = 0;
    bool ok = lb_json_get_str(o, "stage", &name, where, err) &&
              lb_json_get_int(o, "step", 0, INT32_MAX, &step, where, err);
    while (ok && i < c->r->n_stage && strcmp(c->r->stages[i].name, name) != 0) i++;
    if (ok && i == c->r->n_stage) ok = lb_fail(err, LB_EFORMAT, "%s: there is no stage '%.60s'", where, name);
    ok = ok && add_done(c, i, (int)step, err);
    json_decref(o);
    return ok;
}

/* A last line that was torn is dropped. */
static bool read_lines(lb_curve *c, bool fresh, lb_err *err)
{
    lb_map m = {0};
    if ((c->fd = open(c->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0) return lb_fail_io(err, "%s", c->path);
    if (fresh) return ftruncate(c->fd, 0) == 0 || lb_fail_io(err, "%s", c->path);
    if (!lb_map_open(&m, c->path, err)) return false;
    size_t n = lb_jsonl_whole(m.p, m.size);
    bool ok = (n == m.size || ftruncate(c->fd, (off_t)n) == 0 || lb_fail_io(err, "%s", c->path)) &&
              lb_jsonl_each((const char *)m.p, n, c->path, 0, read_line, c, NULL, err);
    lb_map_close(&m);
    return ok;
}

/* Means over all samples. */
static void add_means(json_t *o, const lb_eval_result *r)
{
    double n = 0, problems = 0, cut = 0, closed = 0, tokens = 0;
    json_t *tasks = json_object();
    for (int k = 0; k < r->n_task; k++) {
        const lb_task_result *t = &r->tasks[k];
        n += t->n_samples, problems += t->n;
        cut += t->truncated * t->n_samples, closed += t->think_closed * t->n_samples, tokens += t->tokens_mean * t->n_samples;
        json_t *one = json_pack("{s:f}", "accuracy", t->accuracy);
        if (isfinite(t->accuracy_stderr)) json_object_set_new(one, "accuracy_stderr", json_real(t->accuracy_stderr));
        json_object_set_new(tasks, t->bench->name, one);
    }
    json_object_set_new(o, "problems", json_integer((json_int_t)problems));
    json_object_set_new(o, "samples", json_integer((json_int_t)n));
    json_object_set_new(o, "average", json_real(r->average));
    if (isfinite(r->average_stderr)) json_object_set_new(o, "average_stderr", json_real(r->average_stderr));
    json_object_set_new(o, "truncated", json_real(cut / n));
    json_object_set_new(o, "think_closed", json_real(closed / n));
    json_object_set_new(o, "tokens_mean", json_real(tokens / n));
    json_object_set_new(o, "tasks", tasks);
}

static bool write_line(lb_curve *c, int stage, int step, const lb_eval_result *r, lb_err *err)
{
    int steps = step;
    for (int i = 0; i < stage; i++) steps += c->r->stages[i].steps;
    json_t *o = json_pack("{s:s, s:i, s:i, s:s}", "stage", c->r->stages[stage].name, "step", step, "steps", steps, "model",
                          r->model);
    if (o) add_means(o, r);
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(o);
    if (!text) return lb_fail_mem(err, 0, "a line of the curve");
    size_t n = strlen(text);
    text[n] = '\n'; /* the NUL's place */
    bool ok = (lb_fd_write(c->fd, text, n + 1) && fsync(c->fd) == 0) || lb_fail_io(err, "%s", c->path);
    free(text);
    return ok && add_done(c, stage, step, err);
}

/* ---- points ---- */

lb_curve *lb_curve_open(lb_train_ctx *x, lb_db *db, bool fresh, bool *ok, lb_err *err)
{
    const lb_train_eval *e = &x->recipe->curve;
    *ok = true;
    if (!e->tasks) return NULL;
    lb_curve *c = lb_alloc(1, sizeof *c, "the curve", err);
    if (c) {
        *c = (lb_curve){.x = x, .r = x->recipe, .db = db, .fd = -1};
        if ((c->path = lb_path_join(x->dir, "curve.jsonl", err)) &&
            lb_train_eval_opt(x, e, &c->o, &c->tasks, err) && read_lines(c, fresh, err))
            return c;
    }
    *ok = false;
    lb_curve_close(c);
    return NULL;
}

void lb_curve_close(lb_curve *c)
{
    if (!c) return;
    if (c->fd >= 0) close(c->fd);
    free(c->path);
    free(c->tasks);
    free(c->done);
    free(c);
}

bool lb_curve_due(const lb_curve *c, int stage, int step)
{
    if (!c) return false;
    const lb_train_stage *st = &c->r->stages[stage];
    bool due = step == 0 ? stage == 0 || !lb_train_same_quantizers(st - 1, st)
                         : step % c->r->curve.every == 0 || step == st->steps;
    for (size_t i = 0; due && i < c->n; i++) due = c->done[i].stage != stage || c->done[i].step != step;
    return due;
}

bool lb_curve_point(lb_curve *c, int stage, int step, lb_err *err)
{
    if (!lb_curve_due(c, stage, step)) return true;
    const lb_train_ctx *x = c->x;
    const char *name = c->r->stages[stage].name;
    char label[160];
    lb_target t = {0};
    lb_eval_result r = {0};
    lb_eval_opt o = c->o;
    snprintf(label, sizeof label, "%.80s@%.40s-%d", c->r->name, name, step);
    if (x->progress)
        lb_progress_what(x->progress, "%s%s%s · step %d · evaluation", x->label ? x->label : "", x->label ? " · " : "", name, step);
    o.sampling = lb_target_sampling(x->base), o.label = label;
    char *dir = lb_path_join(x->dir, label, err); /* by which it is found in the database */
    bool ok = dir && lb_student_export(x->student, dir, c->r->name, err) && lb_target_open(&t, dir, x->ex, err) &&
              lb_eval_run(&t, &o, c->db, NULL, &r, err);
    lb_target_close(&t);
    if (dir) lb_remove_folder(dir);
    free(dir);
    ok = ok && write_line(c, stage, step, &r, err);
    lb_eval_result_free(&r);
    return ok || lb_wrap(err, "evaluation after step %d of stage %s", step, name);
}
