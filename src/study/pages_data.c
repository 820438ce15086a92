/* study/pages_data.c – reading samples and problems of the chosen columns and tasks. */
#include "study/pages_data.h"
#include "base/mem.h"
#include "eval/bench.h"
#include "eval/grade.h"
#include "study/report_data.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

char *lb_pages_copy(const char *s, lb_err *err)
{
    char *p = strdup(s);
    if (!p) lb_fail_mem(err, strlen(s), "the pages");
    return p;
}

lb_pages_col *lb_pages_add_col(lb_pages *p, const char *model, const char *sampling, lb_err *err)
{
    if (p->n_col == LB_PAGES_MAX)
        return lb_fail_null(err, LB_EUSAGE,
                            "more than %d models are too many for one report; choose some with --models", LB_PAGES_MAX);
    if (!p->cols && !(p->cols = lb_alloc(LB_PAGES_MAX, sizeof *p->cols, "the pages", err))) return NULL;
    lb_pages_col *c = &p->cols[p->n_col++];
    *c = (lb_pages_col){.base = -1};
    bool ok = (c->model = lb_pages_copy(model, err)) && (c->sampling = lb_pages_copy(sampling, err)) &&
              (c->name = lb_pages_copy("", err));
    return ok ? c : NULL;
}

/* Letters, digits, '-' and '_' of the name, with "~" and a number where another task has the same or we do. */
static void slug_of(const lb_pages *p, lb_pages_task *t)
{
    size_t n = 0;
    for (const char *s = t->name; *s && n < 40; s++) {
        bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == '_';
        t->slug[n++] = plain ? *s : '-';
    }
    for (int k = 0; k < p->n_task; k++) {
        if (strcasecmp(p->tasks[k].slug, t->slug) != 0 && *t->slug) continue;
        snprintf(t->slug + n, sizeof t->slug - n, "~%d", p->n_task + 1);
        break;
    }
    if (!*t->slug || strcasecmp(t->slug, "index") == 0 || strcasecmp(t->slug, "readings") == 0)
        snprintf(t->slug + n, sizeof t->slug - n, "~%d", p->n_task + 1);
}

bool lb_pages_add_task(lb_pages *p, const char *name, int version, lb_err *err)
{
    if (p->n_task == LB_PAGES_MAX)
        return lb_fail(err, LB_EUSAGE, "more than %d tasks are too many for one report; choose some with --tasks",
                       LB_PAGES_MAX);
    if (!p->tasks && !(p->tasks = lb_alloc(LB_PAGES_MAX, sizeof *p->tasks, "the pages", err))) return false;
    lb_pages_task *t = &p->tasks[p->n_task];
    *t = (lb_pages_task){.version = version};
    t->name = lb_pages_copy(name, err);
    t->cells = t->name ? lb_alloc((size_t)p->n_col, sizeof *t->cells, "the pages", err) : NULL;
    if (t->cells) {
        slug_of(p, t);
        snprintf(t->label, sizeof t->label, "%.70s", name);
    }
    p->n_task++;
    return t->cells != NULL;
}

void lb_pages_free(lb_pages *p)
{
    for (int k = 0; k < p->n_task; k++) {
        lb_pages_task *t = &p->tasks[k];
        for (int i = 0; t->problems && i < t->n_problem; i++) {
            free(t->problems[i].id);
            free(t->problems[i].problem);
            free(t->problems[i].gold);
        }
        for (int c = 0; t->cells && c < p->n_col; c++) free(t->cells[c].sampling);
        free(t->problems);
        free(t->samples);
        free(t->at);
        free(t->cells);
        free(t->name);
    }
    for (int c = 0; c < p->n_col; c++) {
        free(p->cols[c].model);
        free(p->cols[c].name);
        free(p->cols[c].sampling);
    }
    free(p->tasks);
    free(p->cols);
    lb_db_close(p->db);
    memset(p, 0, sizeof *p);
}

/* ---- samples as they come ---- */

typedef struct raw {
    lb_pages_sample s;
    lb_hash item;
    int64_t t_unix;
} raw;

typedef struct reading {
    lb_pages *p;
    lb_pages_task *t;
    int col;
    raw *v;
    size_t n, cap;
} reading;

static int by_hash(lb_hash a, lb_hash b) { return lb_hash_order(&a, &b); }

static bool wanted(const lb_pages_col *c, const lb_pages_cell *cell, const lb_sample_key *k)
{
    if (cell->prompts && !bsearch(&k->prompt, cell->prompts, cell->n_prompt, sizeof k->prompt, lb_hash_order))
        return false;
    bool seed = c->n_seed == 0;
    for (int i = 0; i < c->n_seed; i++) seed = seed || c->seeds[i] == k->seed;
    return seed && (c->n_per_seed == 0 || k->sample < c->n_per_seed);
}

static signed char reading_of(int v) { return v >= 0 && v <= 2 ? (signed char)v : -1; }

static bool on_sample(void *arg, const lb_sample_key *k, const lb_sample_row *row, lb_err *err)
{
    reading *r = arg;
    if (!wanted(&r->p->cols[r->col], &r->t->cells[r->col], k)) return true;
    if (!lb_grow(&r->v, &r->cap, r->n + 1, sizeof *r->v, "the samples", err)) return false;
    r->v[r->n++] = (raw){.item = k->item,
                         .t_unix = row->t_unix,
                         .s = {.col = r->col,
                               .seed = k->seed,
                               .sample = k->sample,
                               .prompt = k->prompt,
                               .n_tokens = row->n_tokens,
                               .verdict = reading_of(row->verdict),
                               .strict = reading_of(row->strict),
                               .lenient = reading_of(row->lenient),
                               .truncated = row->truncated,
                               .think_closed = row->think_closed,
                               .weak_sandbox = row->weak_sandbox}};
    return true;
}

static int by_number(int64_t a, int64_t b) { return (a > b) - (a < b); }

/* By item, column, then the prompt that was asked last first. */
static int by_item(const void *a, const void *b)
{
    const raw *x = a, *y = b;
    int d = by_hash(x->item, y->item);
    return d ? d : x->s.col - y->s.col;
}

/* Of one item and column only the prompt that was asked last stays: a model that is asked again in another way (with
 * thinking off, say) has answered another question under the same key but for the prompt. */
static void newest_prompts(reading *r)
{
    size_t kept = 0;
    for (size_t i = 0, end; i < r->n; i = end) {
        size_t last = i;
        for (end = i; end < r->n && by_item(&r->v[i], &r->v[end]) == 0; end++) {
            const raw *x = &r->v[end], *y = &r->v[last];
            if (x->t_unix > y->t_unix || (x->t_unix == y->t_unix && by_hash(x->s.prompt, y->s.prompt) > 0)) last = end;
        }
        lb_hash prompt = r->v[last].s.prompt;
        for (size_t j = i; j < end; j++) {
            if (by_hash(r->v[j].s.prompt, prompt) == 0) r->v[kept++] = r->v[j];
            else r->p->n_old_prompt++;
        }
    }
    r->n = kept;
}

/* ---- problems ---- */

static lb_pages_problem *find(const lb_pages_task *t, lb_hash item)
{
    int lo = 0, hi = t->n_problem;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2, d = by_hash(t->problems[mid].item, item);
        if (d == 0) return &t->problems[mid];
        if (d < 0) lo = mid + 1;
        else hi = mid;
    }
    return NULL;
}

static bool describe(lb_pages_problem *x, const char *id, const char *problem, const char *gold, lb_err *err)
{
    if (x->id) return true;
    return (x->id = lb_pages_copy(id, err)) && (x->problem = lb_pages_copy(problem, err)) &&
           (x->gold = lb_pages_copy(gold, err));
}

static bool on_item(void *arg, const lb_item_row *row, lb_err *err)
{
    reading *r = arg;
    lb_pages_problem *x = row->version == r->t->version ? find(r->t, row->item) : NULL;
    if (!x || x->id) return true;
    x->number = row->number < 0 ? -1 : row->number;
    x->level = row->level < 0 || row->level > LB_PAGES_LEVELS ? 0 : row->level;
    return describe(x, row->id, row->problem, row->gold, err);
}

/* One for each item of the sorted samples, by hash, described as far as the database knows them. */
static bool read_problems(reading *r, lb_err *err)
{
    lb_pages_task *t = r->t;
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) n += i == 0 || by_hash(r->v[i - 1].item, r->v[i].item) != 0;
    if (!(t->problems = lb_alloc(n, sizeof *t->problems, "the problems", err))) return false;
    for (size_t i = 0; i < r->n; i++)
        if (i == 0 || by_hash(r->v[i - 1].item, r->v[i].item) != 0)
            t->problems[t->n_problem++] = (lb_pages_problem){.item = r->v[i].item, .number = -1, .share = NAN};
    bool ok = lb_db_each_item(r->p->db, t->name, on_item, r, err);
    for (int i = 0; ok && i < t->n_problem; i++) ok = describe(&t->problems[i], "", "", "", err);
    return ok;
}

static int in_file(const void *a, const void *b)
{
    const lb_pages_problem *x = a, *y = b;
    if ((x->number < 0) != (y->number < 0)) return x->number < 0 ? 1 : -1;
    return x->number != y->number ? by_number(x->number, y->number) : by_hash(x->item, y->item);
}

static int in_order(const void *a, const void *b)
{
    const lb_pages_sample *x = a, *y = b;
    if (x->problem != y->problem) return x->problem - y->problem;
    if (x->col != y->col) return x->col - y->col;
    return x->seed != y->seed ? by_number(x->seed, y->seed) : by_number(x->sample, y->sample);
}

/* "7e1f/gpt-3.5-turbo" is a solution of question "7e1f". */
static size_t question_of(const char *id) { return strcspn(id, "/"); }

static int by_question(const void *a, const void *b)
{
    const lb_pages_problem *x = *(lb_pages_problem *const *)a, *y = *(lb_pages_problem *const *)b;
    size_t n = question_of(x->id), m = question_of(y->id);
    int d = memcmp(x->id, y->id, n < m ? n : m);
    return d ? d : n != m ? (n > m) - (n < m) : (x > y) - (x < y);
}

/* Problems of a benchmark whose items share questions get the number of the first with the same; others their own. */
static bool find_questions(lb_pages_task *t, lb_err *err)
{
    bool shared = false;
    for (const lb_bench *const *b = lb_benches; *b; b++)
        shared = shared || ((*b)->cluster_key && strcmp((*b)->name, t->name) == 0);
    for (int i = 0; i < t->n_problem; i++) t->problems[i].question = i;
    if (!shared) return true;
    lb_pages_problem **v = lb_alloc((size_t)t->n_problem, sizeof *v, "the problems", err);
    if (!v) return false;
    for (int i = 0; i < t->n_problem; i++) v[i] = &t->problems[i];
    qsort(v, (size_t)t->n_problem, sizeof *v, by_question);
    for (int i = 1; i < t->n_problem; i++) {
        size_t n = question_of(v[i]->id);
        bool same = n > 0 && n == question_of(v[i - 1]->id) && memcmp(v[i]->id, v[i - 1]->id, n) == 0;
        if (same) v[i]->question = v[i - 1]->question;
    }
    free(v);
    return true;
}

/* Problems in the order of their file, and `at`. */
static bool put_in_order(reading *r, lb_err *err)
{
    lb_pages_task *t = r->t;
    size_t n_cell = (size_t)t->n_problem * (size_t)r->p->n_col, k = 0;
    int *place = lb_alloc((size_t)t->n_problem, sizeof *place, "the problems", err);
    bool ok = place && (t->samples = lb_alloc(r->n, sizeof *t->samples, "the samples", err));
    for (size_t i = 0; ok && i < r->n; i++) { /* by hash still: page keeps the place for a moment */
        lb_pages_problem *x = find(t, r->v[i].item);
        x->page = (int)(x - t->problems);
        t->samples[t->n_sample] = r->v[i].s;
        t->samples[t->n_sample++].problem = x->page;
    }
    if (ok) qsort(t->problems, (size_t)t->n_problem, sizeof *t->problems, in_file);
    ok = ok && find_questions(t, err);
    for (int i = 0; ok && i < t->n_problem; i++) place[t->problems[i].page] = i;
    for (size_t i = 0; ok && i < t->n_sample; i++) t->samples[i].problem = place[t->samples[i].problem];
    if (ok) qsort(t->samples, t->n_sample, sizeof *t->samples, in_order);
    ok = ok && (t->at = lb_alloc(n_cell + 1, sizeof *t->at, "the samples", err));
    for (size_t j = 0; ok && j < n_cell; j++) {
        t->at[j] = k;
        while (k < t->n_sample && (size_t)t->samples[k].problem * (size_t)r->p->n_col + (size_t)t->samples[k].col == j)
            k++;
    }
    if (ok) t->at[n_cell] = k;
    free(place);
    return ok;
}

static bool load_task(lb_pages *p, lb_pages_task *t, lb_err *err)
{
    reading r = {.p = p, .t = t};
    bool ok = true;
    for (r.col = 0; ok && r.col < p->n_col; r.col++) {
        if (!t->cells[r.col].sampling) continue;
        lb_db_query q = {.model = p->cols[r.col].model, .task = t->name, .version = t->version,
                         .sampling = t->cells[r.col].sampling};
        ok = lb_db_each(p->db, &q, on_sample, &r, err);
    }
    if (ok && r.n) qsort(r.v, r.n, sizeof *r.v, by_item);
    if (ok) newest_prompts(&r);
    ok = ok && read_problems(&r, err) && put_in_order(&r, err);
    free(r.v);
    return ok;
}

bool lb_pages_load(lb_pages *p, lb_err *err)
{
    for (int k = 0; k < p->n_task; k++)
        if (!load_task(p, &p->tasks[k], err)) return false;
    return lb_pages_count(p, err);
}

const lb_pages_sample *lb_pages_at(const lb_pages *p, const lb_pages_task *t, int i, int c, size_t *n)
{
    size_t j = (size_t)i * (size_t)p->n_col + (size_t)c;
    *n = t->at[j + 1] - t->at[j];
    return &t->samples[t->at[j]];
}

int lb_pages_right(const lb_pages_sample *s, size_t n, int *graded)
{
    int right = 0;
    *graded = 0;
    for (size_t i = 0; i < n; i++) right += s[i].verdict == LB_RIGHT, *graded += s[i].verdict >= 0;
    return right;
}

bool lb_pages_differ(const lb_pages_sample *s)
{
    return s->strict >= 0 && s->lenient >= 0 && (s->strict == LB_RIGHT) != (s->lenient == LB_RIGHT);
}

/* ---- texts ---- */

typedef struct fetch {
    const lb_pages_sample *s;
    size_t n;
    bool *seen;                      /* [n], owned */
    bool (*fn)(void *, const lb_pages_sample *, const lb_sample_row *, lb_err *);
    void *arg;
} fetch;

static bool on_text(void *arg, const lb_sample_key *k, const lb_sample_row *row, lb_err *err)
{
    fetch *f = arg;
    for (size_t i = 0; i < f->n; i++) {
        const lb_pages_sample *s = &f->s[i];
        if (s->seed != k->seed || s->sample != k->sample || by_hash(s->prompt, k->prompt) != 0) continue;
        f->seen[i] = true;
        return f->fn(f->arg, s, row, err);
    }
    return true;
}

bool lb_pages_texts(const lb_pages *p, const lb_pages_task *t, int i, int c,
                    bool (*fn)(void *arg, const lb_pages_sample *s, const lb_sample_row *row, lb_err *err), void *arg,
                    lb_err *err)
{
    fetch f = {.fn = fn, .arg = arg};
    f.s = lb_pages_at(p, t, i, c, &f.n);
    if (f.n == 0) return true;
    if (!(f.seen = lb_alloc(f.n, sizeof *f.seen, "the samples", err))) return false;
    lb_db_query q = {.model = p->cols[c].model, .task = t->name, .version = t->version, .want_text = true,
                     .sampling = t->cells[c].sampling, .item = &t->problems[i].item};
    bool ok = lb_db_each(p->db, &q, on_text, &f, err);
    for (size_t k = 0; ok && k < f.n; k++)
        if (!f.seen[k]) ok = fn(arg, &f.s[k], NULL, err);
    free(f.seen);
    return ok;
}
