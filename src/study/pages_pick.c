/* study/pages_pick.c – what a report from a database alone shows: its models as columns, its tasks, and which samples
 * belong together.
 *
 * A column is a model and how it was sampled, without the most tokens of an answer (max…), which each task may have of
 * its own; unless a model did one task with several of these: then they are columns of their own. */
#include "study/pages_data.h"
#include "base/mem.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct kept_run {
    char *model, *task, *sampling, *short_sampling;      /* owned */
    int version;
    bool wanted;                                         /* its task is */
} kept_run;
typedef struct kept_model { char *hash, *name; } kept_model;     /* owned */

typedef struct pick {
    lb_pages *p;
    kept_run *runs;
    kept_model *models;              /* in the order in which they were first seen; then those without a row */
    size_t n_run, cap_run, n_model, cap_model;
    bool split_max;
} pick;

/* ---- what there is ---- */

static bool is_max(const char *s, size_t n)
{
    if (n < 4 || strncmp(s, "max", 3) != 0) return false;
    for (size_t i = 3; i < n; i++)
        if (!isdigit((unsigned char)s[i])) return false;
    return true;
}

/* The words of a sampling without its max…, in place. */
static void without_max(char *s)
{
    char *to = s;
    for (const char *p = s; *p;) {
        size_t n = strcspn(p, " "), more = n + (p[n] == ' ');
        if (!is_max(p, n)) {
            memmove(to, p, more);
            to += more;
        }
        p += more;
    }
    while (to > s && to[-1] == ' ') to--;
    *to = 0;
}

static bool add_model(pick *k, const char *hash, const char *name, lb_err *err)
{
    for (size_t i = 0; i < k->n_model; i++)
        if (strcmp(k->models[i].hash, hash) == 0) return true;
    if (!lb_grow(&k->models, &k->cap_model, k->n_model + 1, sizeof *k->models, "the models", err)) return false;
    kept_model *m = &k->models[k->n_model++];
    *m = (kept_model){.hash = lb_pages_copy(hash, err)};
    return m->hash && (m->name = lb_pages_copy(name, err));
}

static bool on_model(void *arg, const lb_model_row *row, lb_err *err)
{
    return add_model(arg, row->hash, row->name, err);
}

static bool on_run(void *arg, const lb_db_run *r, lb_err *err)
{
    pick *k = arg;
    if (!lb_grow(&k->runs, &k->cap_run, k->n_run + 1, sizeof *k->runs, "the runs", err)) return false;
    kept_run *x = &k->runs[k->n_run++];
    *x = (kept_run){.version = r->version};
    if (!(x->model = lb_pages_copy(r->model, err)) || !(x->task = lb_pages_copy(r->task, err)) ||
        !(x->sampling = lb_pages_copy(r->sampling, err)) || !(x->short_sampling = lb_pages_copy(r->sampling, err)))
        return false;
    without_max(x->short_sampling);
    return add_model(k, r->model, "", err);
}

static bool same_task(const kept_run *a, const kept_run *b)
{
    return strcmp(a->task, b->task) == 0 && a->version == b->version;
}

static bool several_max(const pick *k)
{
    for (size_t i = 0; i < k->n_run; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(k->runs[i].model, k->runs[j].model) == 0 && same_task(&k->runs[i], &k->runs[j]) &&
                strcmp(k->runs[i].short_sampling, k->runs[j].short_sampling) == 0)
                return true;
    return false;
}

static const char *sampling_of(const pick *k, const kept_run *r)
{
    return k->split_max ? r->sampling : r->short_sampling;
}

/* ---- what is wanted ---- */

/* Calls fn with each word of a comma list; "" words are skipped. */
static bool each_word(pick *k, const char *list, bool (*fn)(pick *, const char *, lb_err *), lb_err *err)
{
    bool ok = true;
    for (const char *p = list; ok && *p;) {
        size_t n = strcspn(p, ",");
        char word[300];
        snprintf(word, sizeof word, "%.*s", (int)(n < 290 ? n : 290), p);
        if (*word) ok = fn(k, word, err);
        p += n + (p[n] == ',');
    }
    return ok;
}

static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash && slash[1] ? slash + 1 : name;
}

/* The columns of one model: its samplings in the order of their texts, which is that of the runs. */
static bool add_columns(pick *k, const kept_model *m, lb_err *err)
{
    for (size_t i = 0; i < k->n_run; i++) {
        const char *sampling = sampling_of(k, &k->runs[i]);
        bool there = !k->runs[i].wanted || strcmp(k->runs[i].model, m->hash) != 0;
        for (int c = 0; c < k->p->n_col; c++)
            there =
                there || (strcmp(k->p->cols[c].model, m->hash) == 0 && strcmp(k->p->cols[c].sampling, sampling) == 0);
        if (there) continue;
        lb_pages_col *col = lb_pages_add_col(k->p, m->hash, sampling, err);
        if (!col) return false;
        free(col->name);
        if (!(col->name = lb_pages_copy(m->name, err))) return false;
        col->base = 0;
    }
    return true;
}

static bool unknown_name(pick *k, const char *what, const char *word, bool models, lb_err *err)
{
    char list[400] = "";
    size_t n = 0;
    for (size_t i = 0; i < (models ? k->n_model : k->n_run) && n < sizeof list - 80; i++) {
        const char *name = models ? (*k->models[i].name ? k->models[i].name : k->models[i].hash) : k->runs[i].task;
        bool said = false;
        for (size_t j = 0; !models && j < i; j++) said = said || strcmp(k->runs[j].task, name) == 0;
        if (!said) n += (size_t)snprintf(list + n, sizeof list - n, "%s%.70s", n ? ", " : "", name);
    }
    return lb_fail(err, LB_EUSAGE, "%s has no %s '%s'; it has %s", k->p->db_name, what, word, *list ? list : "none");
}

static bool want_model(pick *k, const char *word, lb_err *err)
{
    int before = k->p->n_col;
    bool found = false;
    for (size_t i = 0; i < k->n_model; i++) {
        const kept_model *m = &k->models[i];
        bool hash = strlen(word) >= 4 && strncmp(m->hash, word, strlen(word)) == 0;
        if (!hash && strcmp(m->name, word) != 0 && strcmp(last_part(m->name), word) != 0) continue;
        found = true;
        if (!add_columns(k, m, err)) return false;
    }
    return found || k->p->n_col > before || unknown_name(k, "model", word, true, err);
}

static bool has_task(const lb_pages *p, const kept_run *r)
{
    for (int t = 0; t < p->n_task; t++)
        if (strcmp(p->tasks[t].name, r->task) == 0 && p->tasks[t].version == r->version) return true;
    return false;
}

/* Tasks of that name, in every version; NULL: all tasks, by name and version. */
static bool add_tasks(pick *k, const char *name, lb_err *err)
{
    for (;;) {
        const kept_run *next = NULL;
        for (size_t i = 0; i < k->n_run; i++) {
            const kept_run *r = &k->runs[i];
            if ((name && strcmp(r->task, name) != 0) || has_task(k->p, r)) continue;
            int d = next ? strcmp(r->task, next->task) : -1;
            if (d < 0 || (d == 0 && r->version < next->version)) next = r;
        }
        if (!next) return true;
        if (!lb_pages_add_task(k->p, next->task, next->version, err)) return false;
    }
}

static bool want_task(pick *k, const char *word, lb_err *err) { return add_tasks(k, word, err); }

static bool know_task(pick *k, const char *word, lb_err *err)
{
    for (size_t i = 0; i < k->n_run; i++) {
        if (strcmp(k->runs[i].task, word) != 0) continue;
        for (size_t j = i; j < k->n_run; j++) k->runs[j].wanted |= strcmp(k->runs[j].task, word) == 0;
        return true;
    }
    return unknown_name(k, "task", word, false, err);
}

/* ---- names ---- */

static bool has_word(const char *text, const char *word, size_t n)
{
    for (const char *p = text; *p;) {
        size_t m = strcspn(p, " ");
        if (m == n && strncmp(p, word, n) == 0) return true;
        p += m + (p[m] == ' ');
    }
    return false;
}

/* The last part of the name, or all of it where two models share that, or the hash; then what only some columns of the
 * model have of their sampling. */
static void label_of(const lb_pages *p, lb_pages_col *c)
{
    const char *shown = *c->name ? last_part(c->name) : c->model;
    bool same_last = false, same_name = false;
    for (int i = 0; i < p->n_col; i++) {
        const lb_pages_col *x = &p->cols[i];
        if (strcmp(x->model, c->model) == 0 || !*c->name || !*x->name) continue;
        same_name = same_name || strcmp(x->name, c->name) == 0;
        same_last = same_last || strcmp(last_part(x->name), shown) == 0;
    }
    size_t n = (size_t)snprintf(c->label, sizeof c->label, "%.*s", *c->name ? 70 : 8, same_last ? c->name : shown);
    if (same_name) n += (size_t)snprintf(c->label + n, sizeof c->label - n, " %.6s", c->model);
    for (const char *w = c->sampling; *w && n < sizeof c->label - 1;) {
        size_t m = strcspn(w, " ");
        bool everywhere = true;
        for (int i = 0; i < p->n_col; i++)
            if (strcmp(p->cols[i].model, c->model) == 0) everywhere = everywhere && has_word(p->cols[i].sampling, w, m);
        if (!everywhere) n += (size_t)snprintf(c->label + n, sizeof c->label - n, " %.*s", (int)m, w);
        w += m + (w[m] == ' ');
    }
}

static void label_tasks(lb_pages *p)
{
    for (int i = 0; i < p->n_task; i++)
        for (int j = 0; j < p->n_task; j++)
            if (i != j && strcmp(p->tasks[i].name, p->tasks[j].name) == 0)
                snprintf(p->tasks[i].label, sizeof p->tasks[i].label, "%.60s v%d", p->tasks[i].name,
                         p->tasks[i].version);
}

static bool place_runs(pick *k, lb_err *err)
{
    for (int t = 0; t < k->p->n_task; t++)
        for (int c = 0; c < k->p->n_col; c++)
            for (size_t i = 0; i < k->n_run; i++) {
                const kept_run *r = &k->runs[i];
                lb_pages_task *task = &k->p->tasks[t];
                if (strcmp(r->task, task->name) != 0 || r->version != task->version ||
                    strcmp(r->model, k->p->cols[c].model) != 0 ||
                    strcmp(sampling_of(k, r), k->p->cols[c].sampling) != 0)
                    continue;
                free(task->cells[c].sampling);
                if (!(task->cells[c].sampling = lb_pages_copy(r->sampling, err))) return false;
            }
    return true;
}

bool lb_pages_pick(lb_pages *p, const char *models, const char *tasks, lb_err *err)
{
    pick k = {.p = p};
    bool ok = lb_db_each_model(p->db, on_model, &k, err) && lb_db_each_run(p->db, on_run, &k, err);
    k.split_max = ok && several_max(&k);
    if (ok && k.n_run == 0) ok = lb_fail(err, LB_EUSAGE, "%s has no samples yet", p->db_name);
    if (tasks) ok = ok && each_word(&k, tasks, know_task, err);
    else
        for (size_t i = 0; i < k.n_run; i++) k.runs[i].wanted = true;
    if (models) ok = ok && each_word(&k, models, want_model, err);
    else
        for (size_t i = 0; ok && i < k.n_model; i++) ok = add_columns(&k, &k.models[i], err);
    if (ok && p->n_col == 0)
        ok = lb_fail(err, LB_EUSAGE, "%s",
                     models ? "--models names no model that did these tasks" : "no model did these tasks");
    if (tasks) ok = ok && each_word(&k, tasks, want_task, err);
    else ok = ok && add_tasks(&k, NULL, err);
    if (ok && p->n_task == 0) ok = lb_fail(err, LB_EUSAGE, "--tasks names no task");
    ok = ok && place_runs(&k, err);
    for (int c = 0; ok && c < p->n_col; c++) label_of(p, &p->cols[c]);
    if (ok) label_tasks(p);
    for (size_t i = 0; i < k.n_run; i++) {
        free(k.runs[i].model);
        free(k.runs[i].task);
        free(k.runs[i].sampling);
        free(k.runs[i].short_sampling);
    }
    for (size_t i = 0; i < k.n_model; i++) {
        free(k.models[i].hash);
        free(k.models[i].name);
    }
    free(k.runs);
    free(k.models);
    return ok;
}
