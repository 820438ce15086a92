/* train/prefix.c – saving and taking up the beginning of a run. */
#include "train/prefix.h"
#include "base/file.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

enum { PATH = 1200 };

/* ---- parameters ---- */

static bool copy_params(lb_student *s, lb_exec *ex, const char *path, bool save, lb_err *err)
{
    size_t n;
    const lb_student_param *p = lb_student_params(s, &n);
    lb_ckpt_array *a = lb_alloc(n, sizeof *a, "the parameters", err);
    bool ok = a != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        a[i].n = (size_t)p[i].p->n * (size_t)p[i].p->k;
        snprintf(a[i].name, sizeof a[i].name, "%s", p[i].name);
        ok = (a[i].v = lb_alloc(a[i].n, sizeof *a[i].v, "the parameters", err)) != NULL;
        if (ok && save) lb_exec_get(ex, a[i].v, p[i].p->v, a[i].n * sizeof(float));
    }
    json_t *none = json_object();
    if (ok) ok = save ? lb_ckpt_save(path, a, n, none, err) : lb_ckpt_load(path, a, n, err);
    for (size_t i = 0; a && i < n; i++) {
        if (ok && !save) lb_exec_put(ex, p[i].p->v, a[i].v, a[i].n * sizeof(float));
        free(a[i].v);
    }
    json_decref(none);
    free(a);
    return ok;
}

bool lb_params_save(lb_student *s, lb_exec *ex, const char *path, lb_err *err)
{
    return copy_params(s, ex, path, true, err);
}

bool lb_params_load(lb_student *s, lb_exec *ex, const char *path, lb_err *err)
{
    return copy_params(s, ex, path, false, err);
}

/* ---- the folder ---- */

static const char *in(char path[PATH], const char *dir, const char *name)
{
    snprintf(path, PATH, "%.1100s/%s", dir, name);
    return path;
}

bool lb_prefix_save(lb_train_ctx *x, const char *dir, lb_err *err)
{
    lb_outdir d;
    char from[PATH], to[PATH];
    if (lb_is_folder(dir)) return true;
    if (!lb_outdir_open(&d, dir, err)) return false;
    bool ok = lb_params_save(x->student, x->ex, in(to, d.tmp, "params.safetensors"), err) &&
              lb_file_copy(in(from, x->dir, "train.jsonl"), in(to, d.tmp, "train.jsonl"), err) &&
              (!x->curve || lb_file_copy(in(from, x->dir, "curve.jsonl"), in(to, d.tmp, "curve.jsonl"), err));
    if (ok) return lb_outdir_commit(&d, err);
    lb_outdir_abort(&d);
    return false;
}

static bool append(int fd, const char *path, lb_err *err)
{
    lb_map m;
    if (!lb_map_open(&m, path, err)) return false;
    bool ok = lb_fd_write(fd, m.p, m.size) || lb_fail_io(err, "train.jsonl");
    lb_map_close(&m);
    return ok;
}

bool lb_prefix_take(lb_train_ctx *x, int n_stage, const char *dir, lb_err *err)
{
    char from[PATH], to[PATH];
    for (int i = 0; i < n_stage; i++)
        if (!lb_student_stage(x->student, &x->recipe->stages[i], err)) return false;
    return lb_params_load(x->student, x->ex, in(from, dir, "params.safetensors"), err) &&
           append(x->log_fd, in(from, dir, "train.jsonl"), err) &&
           (!x->recipe->curve.tasks || lb_file_copy(in(from, dir, "curve.jsonl"), in(to, x->dir, "curve.jsonl"), err));
}
