/* study/pages_study.c – the pages of a study: its runs as columns, each compared with its own baseline. */
#include "base/file.h"
#include "study/pages_parts.h"
#include "study/report_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *database_of(const lb_rep *r, lb_err *err) { return lb_path_join(r->dir, "results.sqlite", err); }

static bool has_answers(const lb_rep *r, int i) { return lb_report_shown_once(r, i) && *r->runs[i].model_hash; }

bool lb_pages_study_has(const struct lb_rep *r)
{
    char *path = database_of(r, NULL);
    bool there = path && lb_file_exists(path), any = false;
    for (int i = 0; i < r->n_run; i++) any = any || has_answers(r, i);
    free(path);
    return there && any;
}

/* True if the comma list (NULL: everything) has the name. */
static bool chosen(const char *name, const char *list)
{
    for (const char *p = list; p && *p;) {
        size_t n = strcspn(p, ",");
        if (n == strlen(name) && strncmp(p, name, n) == 0) return true;
        p += n + (p[n] == ',');
    }
    return !list;
}

static bool add_columns(lb_pages *p, const lb_rep *r, const char *models, int column[], lb_err *err)
{
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        column[i] = -1;
        if (!has_answers(r, i) || !chosen(x->label, models)) continue;
        lb_pages_col *c = lb_pages_add_col(p, x->model_hash, x->sampling, err);
        if (!c) return false;
        const char *slash = strrchr(x->base, '/');
        if (lb_report_several_models(r))
            snprintf(c->label, sizeof c->label, "%.50s %.70s", slash ? slash + 1 : x->base, x->label);
        else snprintf(c->label, sizeof c->label, "%.120s", x->label);
        for (c->n_seed = 0; c->n_seed < r->n_seed; c->n_seed++) c->seeds[c->n_seed] = r->seeds[c->n_seed];
        c->n_per_seed = r->n_per_seed;
        column[i] = p->n_col - 1;
    }
    if (p->n_col > 0) return true;
    return lb_fail(err, LB_EUSAGE, "--models names no run of the study that is done; runs are named as in its tables");
}

/* A baseline that is shown under another run's name (a setting that several groups share) is that column. */
static int column_of(const lb_rep *r, int run, const int column[])
{
    if (run < 0 || column[run] >= 0) return run < 0 ? -1 : column[run];
    for (int i = 0; i < r->n_run; i++)
        if (column[i] >= 0 && strcmp(r->runs[i].label, r->runs[run].label) == 0 &&
            strcmp(r->runs[i].base, r->runs[run].base) == 0)
            return column[i];
    return -1;
}

static bool add_tasks(lb_pages *p, const lb_rep *r, const char *tasks, const int column[], lb_err *err)
{
    for (int k = 0; k < r->n_task; k++) {
        int version = 0;
        if (!chosen(r->task[k], tasks)) continue;
        for (int i = 0; i < r->n_run; i++)
            if (column[i] >= 0) version = r->runs[i].task_version[k];
        if (!lb_pages_add_task(p, r->task[k], version, err)) return false;
        for (int i = 0; i < r->n_run; i++) {
            const lb_rep_run *x = &r->runs[i];
            if (column[i] < 0) continue;
            lb_pages_cell *cell = &p->tasks[p->n_task - 1].cells[column[i]];
            const char *sampling = *x->task_sampling[k] ? x->task_sampling[k] : x->sampling;
            cell->prompts = x->prompts[k], cell->n_prompt = x->n_prompt[k];
            if (!(cell->sampling = lb_pages_copy(sampling, err))) return false;
        }
    }
    return p->n_task > 0 || lb_fail(err, LB_EUSAGE, "--tasks names no task of the study");
}

bool lb_pages_of_study(const struct lb_rep *r, const char *out_dir, const char *back, const lb_pages_opt *o,
                       lb_pages_written *n, lb_err *err)
{
    lb_pages p = {.back = back};
    int *column = calloc((size_t)r->n_run + 1, sizeof *column);
    char *path = database_of(r, err);
    bool ok = path && (column || lb_fail_mem(err, (size_t)r->n_run, "the pages"));
    ok = ok && (p.db = lb_db_open_existing(path, err)) != NULL;
    snprintf(p.title, sizeof p.title, "%.190s", r->name);
    snprintf(p.db_name, sizeof p.db_name, "results.sqlite");
    ok = ok && add_columns(&p, r, o->models, column, err);
    for (int i = 0; ok && i < r->n_run; i++)
        if (column[i] >= 0) p.cols[column[i]].base = column_of(r, r->runs[i].baseline, column);
    ok = ok && add_tasks(&p, r, o->tasks, column, err) && lb_pages_load(&p, err) &&
         lb_pages_write(&p, out_dir, o, n, err);
    lb_pages_free(&p);
    free(column);
    free(path);
    return ok;
}
