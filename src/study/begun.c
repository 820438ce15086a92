/* study/begun.c – trainings that begin alike: what they have in common is made once, in stages/ of the study's folder.
 *
 * A beginning is named after everything that its bytes depend on: the start by the model, its method, settings and texts; what
 * is left after a stage by the start, the recipe's seed, teacher, traces and curve, what is trained in all, and the settings of
 * every stage up to there. It is kept as long as a run that begins so has not been trained. */
#include "base/file.h"
#include "base/mem.h"
#include "study/work.h"
#include "train/workflow.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct beginning { char name[160]; } beginning;  /* of a folder; "": there is none to share */
typedef struct of_run {
    int n_stage;                     /* −1: the run is not trained, or cannot be */
    beginning at[LB_TRAIN_MAX_STAGES + 1];
} of_run;
struct lb_study_begun {
    of_run *run;                     /* [n_run], owned */
    char path[LB_TRAIN_MAX_STAGES + 1][LB_STUDY_PATH];   /* of the run that was asked for last */
};

/* ---- names ---- */

static void add_json(lb_buf *b, const char *key, const json_t *v)
{
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)) : NULL;
    lb_buf_fmt(b, "%s %s\n", key, text ? text : "");
    b->oom = b->oom || (v && !text);
    free(text);
}

/* Everything that the start depends on. Curves and seeds of training are not among it. */
static bool start_text(lb_study_work *w, const lb_study_run *r, const lb_train_recipe *t, lb_buf *b)
{
    bool reads = strcmp(t->calib, "traces") == 0;
    char scheme[LB_SCHEME_TEXT];
    lb_scheme_text(&t->scheme, scheme);
    lb_buf_fmt(b, "schema %d\nmodel %s\nscheme %s\ndata %s\n", LB_TRAIN_SCHEMA, w->s->models[r->model].hash, scheme, w->s->data);
    add_json(b, "start", json_object_get(r->train, "start"));
    if (reads) add_json(b, "traces", json_object_get(r->train, "traces"));
    return lb_study_file_text(t->calib, b, w->err) && lb_study_file_text(t->calib_traces.prompts, b, w->err) &&
           (!reads || (lb_study_file_text(t->traces.file, b, w->err) && lb_study_file_text(t->traces.prompts, b, w->err)));
}

/* What all stages depend on besides. */
static bool common_text(lb_study_work *w, const lb_study_run *r, const lb_train_recipe *t, lb_buf *b)
{
    static const char *const keys[] = {"compute", "traces", "curve"};
    unsigned all = 0;
    for (int i = 0; i < t->n_stage; i++) all |= t->stages[i].train;
    lb_buf_fmt(b, "seed %lld\ntrains %u\n", (long long)t->seed, all);
    for (int i = 0; i < 3; i++) add_json(b, keys[i], json_object_get(r->train, keys[i]));
    return lb_study_file_text(t->traces.file, b, w->err) && lb_study_file_text(t->traces.prompts, b, w->err) &&
           lb_study_teacher_text(w, t->teacher, b);
}

/* b is what it depends on; `kinds` is for those who look into the folder. */
static bool name_it(beginning *out, const lb_train_recipe *t, const char *kinds, const lb_buf *b, lb_err *err)
{
    char hex[33], scheme[LB_SCHEME_TEXT];
    if (!lb_buf_ok(b, "a beginning", err)) return false;
    lb_scheme_text(&t->scheme, scheme);
    lb_hash_hex(lb_hash_of(b->p, b->n), hex);
    snprintf(out->name, sizeof out->name, "%s-%.40s%.60s-%.16s", scheme, t->method, kinds, hex);
    return true;
}

static bool name_all(lb_study_work *w, const lb_study_run *r, const lb_train_recipe *t, of_run *out)
{
    lb_buf b = {0}, kinds = {0};
    const json_t *stages = json_object_get(r->train, "stages");
    bool ok = start_text(w, r, t, &b) && (!lb_train_quantizes_first(t) || name_it(&out->at[0], t, "", &b, w->err)) &&
              common_text(w, r, t, &b);
    for (int i = 0; ok && i < t->n_stage; i++) {
        add_json(&b, "stage", json_array_get(stages, (size_t)i));
        lb_buf_fmt(&kinds, "-%s", lb_stage_kind_name(t->stages[i].kind));
        ok = lb_study_file_text(t->stages[i].prompts, &b, w->err) &&
             name_it(&out->at[i + 1], t, lb_buf_cstr(&kinds), &b, w->err);
    }
    if (ok) out->n_stage = t->n_stage;
    lb_buf_free(&kinds);
    lb_buf_free(&b);
    return ok;
}

static bool of_one(lb_study_work *w, lb_study_run *r, of_run *out)
{
    lb_train_recipe *t = lb_alloc(1, sizeof *t, "the recipe", w->err);
    bool ok = t && lb_study_place(w, r) && lb_train_recipe_parse(t, r->train, "train", w->err) && name_all(w, r, t, out);
    if (t) lb_train_recipe_free(t);
    free(t);
    return ok;
}

/* Of all runs, once. One that cannot be named has nothing to share, and will say why when it is its turn. */
static bool name_runs(lb_study_work *w)
{
    if (w->begun) return true;
    lb_study_begun *x = lb_alloc(1, sizeof *x, "the beginnings", w->err);
    if (x) x->run = lb_alloc((size_t)w->s->n_run, sizeof *x->run, "the beginnings", w->err);
    if (!x || !x->run) {
        free(x);
        return false;
    }
    lb_err *outer = w->err, unsaid = {0};
    w->begun = x, w->err = &unsaid;
    for (int i = 0; i < w->s->n_run; i++) {
        x->run[i].n_stage = -1;
        if (w->s->runs[i].train) (void)of_one(w, &w->s->runs[i], &x->run[i]);
    }
    w->err = outer;
    return true;
}

/* ---- who needs what ---- */

static bool is_made(const lb_study_run *r) { return lb_file_exists(r->dir); }

/* Whether a run that is still to be trained begins so; one with r's folder (NULL: any) is the same training. What is being
 * written is called NAME.SOMETHING. */
static bool is_needed(const lb_study_work *w, const char *name, const lb_study_run *r)
{
    size_t n = strcspn(name, ".");
    for (int i = 0; i < w->s->n_run; i++) {
        const lb_study_run *x = &w->s->runs[i];
        if (w->begun->run[i].n_stage < 0 || is_made(x) || (r && strcmp(x->dir, r->dir) == 0)) continue;
        for (int k = 0; k <= w->begun->run[i].n_stage; k++)
            if (n > 0 && strncmp(w->begun->run[i].at[k].name, name, n) == 0 && !w->begun->run[i].at[k].name[n]) return true;
    }
    return false;
}

bool lb_study_begun_of(lb_study_work *w, const lb_study_run *r, const char *paths[LB_TRAIN_MAX_STAGES + 1])
{
    for (int k = 0; k <= LB_TRAIN_MAX_STAGES; k++) paths[k] = NULL;
    if (!name_runs(w)) return false;
    const of_run *x = &w->begun->run[r - w->s->runs];
    for (int k = 0; k <= x->n_stage; k++) {
        char *path = w->begun->path[k];
        snprintf(path, LB_STUDY_PATH, "%.700s/stages/%s", w->o->out_dir, x->at[k].name);
        if (*x->at[k].name && (lb_is_folder(path) || is_needed(w, x->at[k].name, r))) paths[k] = path;
    }
    return true;
}

void lb_study_begun_sweep(lb_study_work *w)
{
    char dir[LB_STUDY_PATH];
    snprintf(dir, sizeof dir, "%.700s/stages", w->o->out_dir);
    DIR *d = opendir(dir);
    lb_err *outer = w->err;
    w->err = NULL; /* what is not swept now is swept next time */
    bool named = d && name_runs(w);
    w->err = outer;
    if (!named) {
        if (d) closedir(d);
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[LB_STUDY_PATH + 260];
        if (e->d_name[0] == '.' || is_needed(w, e->d_name, NULL)) continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        lb_remove_folder(path);
    }
    closedir(d);
    (void)rmdir(dir); /* if nothing is left */
}

void lb_study_begun_free(lb_study_work *w)
{
    if (w->begun) free(w->begun->run);
    free(w->begun);
    w->begun = NULL;
}
