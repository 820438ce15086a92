/* train/stage.c – the steps of a stage, its log, its checkpoints. */
#include "train/stage.h"
#include "base/file.h"
#include "base/mem.h"
#include "train/evaluate.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

float lb_stage_lr(const lb_train_stage *st, int step)
{
    int decay = (int)(st->decay * st->steps);
    switch (st->schedule) {
    case LB_LR_COSINE: return lb_lr_cosine(step, st->steps, st->warmup, (float)st->last);
    case LB_LR_LINEAR: return lb_lr_linear(step, st->steps, st->warmup, (float)st->last);
    case LB_LR_WSD: return lb_lr_wsd(step, st->steps, st->warmup, decay, (float)st->last);
    default: return step < st->warmup ? (float)(step + 1) / (float)st->warmup : 1;
    }
}

bool lb_stage_teacher(lb_stage *s, lb_err *err)
{
    lb_train_ctx *x = s->x;
    const char *dir = x->recipe->teacher ? x->recipe->teacher : x->model_dir;
    if (!x->teacher && !(x->teacher = lb_model_grad_open(dir, x->ex, &(lb_model_grad_opt){.compute = x->recipe->compute}, err)))
        return lb_wrap(err, "the teacher");
    int v = lb_model_grad_config(x->teacher)->n_vocab,
        want = lb_model_grad_config(lb_student_model(x->student))->n_vocab;
    return v == want ||
           lb_fail(err, LB_EUSAGE,
                   "the teacher %s has a vocabulary of %d, the model one of %d: distributions cannot be compared", dir,
                   v, want);
}

lb_distill lb_stage_divergence(const lb_train_stage *st, double gamma)
{
    lb_distill d = {.temperature = (float)st->temperature};
    switch (st->divergence) {
    case LB_KL_FORWARD: d.forward = 1; break;
    case LB_KL_REVERSE: d.reverse = 1; break;
    case LB_KL_JS: d.jsd = 1, d.beta = (float)st->beta; break;
    case LB_KL_CAKLD:
        d = lb_distill_cakld((float)gamma);
        d.temperature = (float)st->temperature;
        break;
    }
    return d;
}

/* ---- the optimizers ---- */

static bool open_optim(lb_stage *s, lb_err *err)
{
    const lb_train_stage *st = s->st;
    size_t n;
    const lb_student_param *p = lb_student_params(s->x->student, &n);
    s->optim = lb_optim_open(
        s->x->ex,
        &(lb_optim_opt){
            .kind = LB_OPTIM_ADAMW, .beta1 = (float)st->beta1, .beta2 = (float)st->beta2, .eps = (float)st->eps},
        err);
    s->idle = lb_optim_open(s->x->ex, &(lb_optim_opt){.kind = LB_OPTIM_SIGN}, err);
    bool ok = s->optim && s->idle;
    int trained = 0;
    for (size_t i = 0; ok && i < n; i++) {
        lb_optim_group g = {.lr = (float)p[i].lr,
                            .lo = p[i].lo,
                            .hi = p[i].hi,
                            .weight_decay = p[i].decays ? (float)st->weight_decay : 0};
        trained += p[i].lr > 0;
        ok = lb_optim_add(p[i].lr > 0 ? s->optim : s->idle, p[i].p, &g, err);
    }
    return ok &&
           (trained || lb_fail(err, LB_EUSAGE,
                               "stage %s trains nothing: 'train' and the learning rates leave no parameter", st->name));
}

/* ---- checkpoints ---- */

static char *checkpoint_path(const lb_train_ctx *x, lb_err *err)
{
    return lb_path_join(x->dir, "checkpoint.safetensors", err);
}

typedef struct arrays {
    lb_ckpt_array *p;            /* host copies, owned */
    size_t n;
} arrays;

static void free_arrays(arrays *a)
{
    for (size_t i = 0; i < a->n; i++) free(a->p[i].v);
    free(a->p);
}

/* Every parameter, then the moments of those in training. Device memory comes and goes by the execs of the caller. */
static bool list_arrays(const lb_stage *s, arrays *a, float **device, lb_err *err)
{
    size_t n, k = lb_optim_count(s->optim);
    const lb_student_param *p = lb_student_params(s->x->student, &n);
    a->p = lb_alloc(n + 2 * k, sizeof *a->p, "the checkpoint", err);
    for (size_t i = 0; a->p && i < n + 2 * k; i++) {
        lb_param *q;
        float *m, *v;
        lb_ckpt_array *out = &a->p[a->n];
        if (i < n) {
            q = p[i].p, device[i] = q->v;
            snprintf(out->name, sizeof out->name, "%s", p[i].name);
        } else {
            lb_optim_state(s->optim, (i - n) / 2, &q, &m, &v);
            device[i] = (i - n) % 2 ? v : m;
            snprintf(out->name, sizeof out->name, "%s.%zu", (i - n) % 2 ? "second" : "first", (i - n) / 2);
        }
        out->n = (size_t)q->n * (size_t)q->k;
        if (!(out->v = lb_alloc(out->n, sizeof *out->v, "the checkpoint", err))) return false;
        a->n++;
    }
    return a->p != NULL;
}

static float **device_list(const lb_stage *s, lb_err *err)
{
    size_t n;
    lb_student_params(s->x->student, &n);
    return lb_alloc(n + 2 * lb_optim_count(s->optim), sizeof(float *), "the checkpoint", err);
}

static json_t *state_of(const lb_stage *s)
{
    char model[33];
    lb_train_ctx *x = s->x;
    snprintf(model, sizeof model, "%s", x->base->hash);
    return json_pack("{s:i, s:i, s:i, s:I, s:s, s:o?, s:O}", "stage", s->index, "step", s->step, "optim_steps",
                     lb_optim_steps(s->optim), "log_bytes", (json_int_t)lseek(x->log_fd, 0, SEEK_END), "model", model,
                     "kind", s->row->save ? s->row->save(s) : NULL, "recipe", x->recipe->doc);
}

static bool save(const lb_stage *s, lb_err *err)
{
    arrays a = {0};
    lb_train_ctx *x = s->x;
    char *path = checkpoint_path(x, err);
    float **device = path ? device_list(s, err) : NULL;
    if (device && fsync(x->log_fd) != 0) lb_fail_io(err, "train.jsonl");
    json_t *state = device ? state_of(s) : NULL;
    bool ok = state && list_arrays(s, &a, device, err);
    for (size_t i = 0; ok && i < a.n; i++) lb_exec_get(x->ex, a.p[i].v, device[i], a.p[i].n * sizeof(float));
    ok = ok && lb_ckpt_save(path, a.p, a.n, state, err);
    json_decref(state);
    free_arrays(&a);
    free(device);
    free(path);
    return ok;
}

static bool load(lb_stage *s, const json_t *state, lb_err *err)
{
    arrays a = {0};
    lb_train_ctx *x = s->x;
    int64_t step, steps, bytes;
    char *path = checkpoint_path(x, err);
    float **device = path ? device_list(s, err) : NULL;
    bool ok = device && list_arrays(s, &a, device, err) &&
              lb_json_get_int(state, "step", 0, s->st->steps, &step, path, err) &&
              lb_json_get_int(state, "optim_steps", 0, INT32_MAX, &steps, path, err) &&
              lb_json_get_int(state, "log_bytes", 0, INT64_MAX, &bytes, path, err) &&
              lb_ckpt_load(path, a.p, a.n, err) &&
              (!s->row->load || s->row->load(s, json_object_get(state, "kind"), err));
    for (size_t i = 0; ok && i < a.n; i++) lb_exec_put(x->ex, device[i], a.p[i].v, a.p[i].n * sizeof(float));
    if (ok) {
        s->step = (int)step;
        lb_optim_set_steps(s->optim, (int)steps);
        if (lseek(x->log_fd, 0, SEEK_END) > bytes && ftruncate(x->log_fd, bytes) != 0)
            ok = lb_fail_io(err, "train.jsonl");
    }
    free_arrays(&a);
    free(device);
    free(path);
    return ok;
}

bool lb_stage_resume(lb_train_ctx *x, int *index, lb_err *err)
{
    char *path = checkpoint_path(x, err), differs[256];
    *index = -1;
    bool ok = path != NULL;
    if (ok && lb_file_exists(path)) {
        json_t *state = lb_ckpt_state(path, err);
        int64_t stage;
        const char *model;
        ok = state && lb_json_get_int(state, "stage", 0, x->recipe->n_stage - 1, &stage, path, err) &&
             lb_json_get_str(state, "model", &model, path, err);
        if (ok && lb_train_recipe_differs(x->recipe->doc, json_object_get(state, "recipe"), differs))
            ok = lb_fail(err, LB_EUSAGE, "%s is of another recipe (%s): give the old one, or another output", x->dir,
                         differs);
        if (ok && strcmp(model, x->base->hash) != 0)
            ok = lb_fail(err, LB_EUSAGE, "%s is of another model than %s is now: give the old one, or another output",
                         x->dir, x->model_dir);
        if (ok) *index = (int)stage;
        json_decref(state);
    }
    free(path);
    return ok;
}

/* ---- the log ---- */

static void add_real(json_t *o, const char *key, double v)
{
    if (isfinite(v)) json_object_set_new(o, key, json_real(v));
}

static bool write_log(const lb_stage *s, const lb_step_log *l, double lr, double norm, double seconds, lb_err *err)
{
    json_t *o = json_pack("{s:s, s:i}", "stage", s->st->name, "step", s->step + 1);
    const struct { const char *key; double v;
    } all[] = {{"loss", l->loss},
               {"grad_norm", norm},
               {"lr", lr},
               {"ce", l->ce},
               {"kl", l->kl_forward},
               {"kl_reverse", l->kl_reverse},
               {"entropy", l->entropy},
               {"reward", l->reward},
               {"pass", l->pass},
               {"length", l->length},
               {"truncated", l->truncated},
               {"kept", l->kept},
               {"ratio", l->ratio},
               {"clipped", l->clipped},
               {"k3", l->k3},
               {"mismatch", l->mismatch},
               {"tokens", l->tokens},
               {"tokens_per_s", seconds > 0 ? l->tokens / seconds : NAN}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) add_real(o, all[i].key, all[i].v);
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(o);
    if (!text) return lb_fail_mem(err, 0, "a line of the log");
    size_t n = strlen(text);
    text[n] = '\n'; /* the NUL's place */
    bool ok = lb_fd_write(s->x->log_fd, text, n + 1);
    free(text);
    return ok || lb_fail_io(err, "%s/train.jsonl", s->x->dir);
}

static void show(const lb_stage *s, const lb_step_log *l, double lr, double norm)
{
    lb_progress *p = s->x->progress;
    if (!p) return;
    char more[80] = "";
    if (isfinite(l->reward)) snprintf(more, sizeof more, " · reward %.3f · length %.0f", l->reward, l->length);
    else if (isfinite(l->kl_forward)) snprintf(more, sizeof more, " · KL %.4f", l->kl_forward);
    const char *label = s->x->label;
    lb_progress_what(p, "%s%s%s · loss %.4f%s · |g| %.3g · lr %.2e", label ? label : "", label ? " · " : "", s->st->name,
                     l->loss, more, norm, lr);
    lb_progress_add(p, 1, l->tokens);
}

/* ---- steps ---- */

/* After a number that is none: the first parameter that has one, or whose gradient has, unless the loss has named it. */
static bool blame(const lb_stage *s, lb_err *err)
{
    size_t n;
    const lb_student_param *p = lb_student_params(s->x->student, &n);
    lb_err where = {0};
    bool fine = true;
    for (int gradient = 0; fine && gradient < 2; gradient++)
        for (size_t i = 0; fine && i < n; i++) fine = lb_param_finite(p[i].p, gradient, p[i].name, s->x->ex, &where);
    if (!fine && err && !strstr(err->msg, where.msg)) lb_wrap(err, "%s", where.msg);
    return lb_wrap(err, "%s, step %d; the last checkpoint is kept", s->st->name, s->step + 1);
}

static bool step(lb_stage *s, lb_err *err)
{
    const lb_train_stage *st = s->st;
    const double none = NAN;
    lb_step_log l = {none, none, none, none, none, none, none, none, none, none, none, none, none, none, 0};
    double t0 = lb_now_s();
    float lr = lb_stage_lr(st, s->step);
    if (!s->row->step(s, &l, err)) return err && err->code == LB_ENUMERIC ? blame(s, err) : false;
    double norm = lb_optim_clip_norm(s->optim, st->clip_norm > 0 ? st->clip_norm : INFINITY);
    if (!isfinite(norm)) {
        lb_fail(err, LB_ENUMERIC, "the norm of the gradients is %g", norm);
        return blame(s, err);
    }
    if (!lb_optim_step(s->optim, lr, err)) return blame(s, err);
    lb_optim_zero(s->idle);
    if (!write_log(s, &l, (double)lr * st->lr, norm, lb_now_s() - t0, err)) return false;
    show(s, &l, (double)lr * st->lr, norm);
    s->step++;
    return true;
}

static bool stopped(const lb_train_ctx *x) { return x->stop && *x->stop; }

static bool run(lb_stage *s, lb_err *err)
{
    int every = s->x->recipe->keep_every;
    lb_curve *curve = s->x->curve;
    if (!lb_curve_point(curve, s->index, s->step, err)) return false;
    while (s->step < s->st->steps) {
        if (!step(s, err)) return false;
        bool stop = stopped(s->x), keep = s->step % every == 0 || s->step == s->st->steps || lb_curve_due(curve, s->index, s->step);
        if ((stop || keep) && !s->held && !save(s, err)) return false;
        if (stop && !s->held && s->step < s->st->steps)
            return lb_fail(err, LB_ESTOPPED, "stopped in stage %s after step %d; the same command continues",
                           s->st->name, s->step);
        if (!lb_curve_point(curve, s->index, s->step, err)) return false;
    }
    return true;
}

bool lb_stage_run(lb_train_ctx *x, int index, lb_err *err)
{
    const lb_train_stage *st = &x->recipe->stages[index];
    lb_stage s = {.x = x,
                  .st = st,
                  .row = st->kind == LB_STAGE_SFT || st->kind == LB_STAGE_KD ? &lb_stage_distil : &lb_stage_rollout,
                  .index = index};
    int at;
    char *path = checkpoint_path(x, err);
    json_t *state = NULL;
    if (!path || !lb_stage_resume(x, &at, err)) {
        free(path);
        return false;
    }
    bool opened = false,
         ok = lb_student_stage(x->student, st, err) && open_optim(&s, err) && (opened = s.row->open(&s, err));
    if (ok && at == index) ok = (state = lb_ckpt_state(path, err)) != NULL && load(&s, state, err);
    if (ok && x->progress) lb_progress_reuse(x->progress, s.step);
    ok = ok && run(&s, err);
    if (opened) s.row->close(&s);
    lb_optim_close(s.optim);
    lb_optim_close(s.idle);
    json_decref(state);
    free(path);
    return ok;
}
