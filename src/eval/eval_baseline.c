/* eval/eval_baseline.c – what another model made of the same problems, from the database alone. */
#include "base/mem.h"
#include "eval/eval_run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which model ---- */

typedef struct search {
    const char *name;
    size_t n_name;               /* without slashes at the end */
    int best;                    /* how well the best one fits, 0: none does */
    int n_best;
    char hash[33];               /* of the first that fits best */
    lb_buf all;                  /* what there is, for the message */
} search;

static const char *last_part(const char *path, size_t *n)
{
    *n = strlen(path);
    while (*n > 1 && path[*n - 1] == '/') --*n;
    const char *p = path + *n;
    while (p > path && p[-1] != '/') p--;
    *n = (size_t)(path + *n - p);
    return p;
}

static bool is(const search *s, const char *text, size_t n) { return n == s->n_name && memcmp(text, s->name, n) == 0; }

static int how_well(const search *s, const lb_model_row *m)
{
    size_t n, whole = strlen(m->name);
    const char *last = last_part(m->name, &n);
    while (whole > 1 && m->name[whole - 1] == '/') whole--;
    json_t *about = json_loads(m->about, 0, NULL);
    const char *label = json_string_value(json_object_get(about, "label"));
    int fit = is(s, m->hash, strlen(m->hash)) ? 5
              : is(s, m->name, whole)         ? 4
              : label && is(s, label, strlen(label)) ? 3
              : is(s, last, n)                ? 2
              : s->n_name >= 6 && strncmp(m->hash, s->name, s->n_name) == 0 ? 1 : 0;
    json_decref(about);
    return fit;
}

static bool look_at(void *arg, const lb_model_row *m, lb_err *err)
{
    search *s = arg;
    (void)err;
    int fit = how_well(s, m);
    lb_buf_fmt(&s->all, "%s%s (%.8s)", s->all.n ? ", " : "", m->name, m->hash);
    if (fit > s->best) {
        s->best = fit, s->n_best = 0;
        snprintf(s->hash, sizeof s->hash, "%s", m->hash);
    }
    s->n_best += fit && fit == s->best;
    return true;
}

bool lb_eval_find_model(lb_db *db, const char *name, char hash[33], lb_err *err)
{
    search s = {.name = name, .n_name = strlen(name)};
    while (s.n_name > 1 && name[s.n_name - 1] == '/') s.n_name--;
    bool ok = lb_db_each_model(db, look_at, &s, err) && lb_buf_ok(&s.all, "the models", err);
    if (ok && s.n_best != 1)
        ok = lb_fail(err, LB_EUSAGE, "%s '%s' in the results database; there are: %s",
                     s.n_best ? "several models are called" : "no model", name, s.all.n ? s.all.p : "none");
    if (ok) memcpy(hash, s.hash, sizeof s.hash);
    lb_buf_free(&s.all);
    return ok;
}

/* ---- how its samples of a task were made ---- */

typedef struct ways {
    const char *model;
    const lb_task_result *like;
    char exact[LB_SAMPLING_TEXT], kv[LB_SAMPLING_TEXT], any[LB_SAMPLING_TEXT];   /* "": none */
    int n_kv, n_any;
} ways;

/* a and b, which may differ in the word that begins with "kv=". */
static bool same_but_for_kv(const char *a, const char *b)
{
    const char *x = strstr(a, " kv="), *y = strstr(b, " kv=");
    if (!x || !y || x - a != y - b || strncmp(a, b, (size_t)(x - a)) != 0) return false;
    x += 1 + strcspn(x + 1, " ");
    y += 1 + strcspn(y + 1, " ");
    return strcmp(x, y) == 0;
}

static bool look_at_way(void *arg, const lb_db_run *r, lb_err *err)
{
    ways *w = arg;
    const lb_bench *b = w->like->bench;
    (void)err;
    if (strcmp(r->model, w->model) || strcmp(r->task, b->name) || r->version != b->version) return true;
    w->n_any++;
    snprintf(w->any, sizeof w->any, "%s", r->sampling);
    if (strcmp(r->sampling, w->like->sampling) == 0) memcpy(w->exact, w->any, sizeof w->exact);
    if (!same_but_for_kv(r->sampling, w->like->sampling)) return true;
    w->n_kv++;
    memcpy(w->kv, w->any, sizeof w->kv);
    return true;
}

static bool find_way(lb_evaluation *x, lb_eval_task *k, const lb_task_result *like, bool *missing)
{
    ways w = {.model = x->model, .like = like};
    if (!lb_db_each_run(x->db, look_at_way, &w, x->err)) return false;
    const char *way = *w.exact ? w.exact : w.n_kv == 1 ? w.kv : w.n_any == 1 ? w.any : NULL;
    if (way) memcpy(k->sampling, way, sizeof k->sampling);
    *missing = w.n_any == 0;
    if (w.n_any == 0)
        return lb_fail(x->err, LB_EUSAGE, "the baseline has no samples of %s in the results database", k->bench->name);
    return way || lb_fail(x->err, LB_EUSAGE,
                          "the baseline's samples of %s were made in %d ways, none of them like this run's (%s)",
                          k->bench->name, w.n_any, like->sampling);
}

/* ---- which prompts ---- */

typedef struct place {           /* an item by its hash */
    lb_hash hash;
    int item;
} place;

typedef struct prompts {
    lb_eval_task *k;
    const lb_task_result *like;
    place *places;               /* [items.n], sorted; owned */
    bool *known;                 /* [items.n], owned: a prompt was found */
    int several;                 /* an item that was asked in several ways, none of them this run's; −1: none was */
} prompts;

static int by_hash(const void *a, const void *b)
{
    return lb_hash_order(&((const place *)a)->hash, &((const place *)b)->hash);
}

static bool same(lb_hash a, lb_hash b) { return a.hi == b.hi && a.lo == b.lo; }

static bool look_at_sample(void *arg, const lb_sample_key *key, const lb_sample_row *row, lb_err *err)
{
    prompts *p = arg;
    (void)row, (void)err;
    const place want = {.hash = key->item};
    const place *at = bsearch(&want, p->places, (size_t)p->k->items.n, sizeof want, by_hash);
    if (!at) return true;
    while (at > p->places && same(at[-1].hash, key->item)) at--;
    for (; at < p->places + p->k->items.n && same(at->hash, key->item); at++) {
        lb_hash *prompt = &p->k->prompts[at->item].hash;
        bool ours = same(key->prompt, p->like->prompts[at->item]);
        if (p->known[at->item] && !same(*prompt, key->prompt) && !ours && !same(*prompt, p->like->prompts[at->item]))
            p->several = at->item;
        if (!p->known[at->item] || ours) *prompt = key->prompt;
        p->known[at->item] = true;
    }
    return true;
}

static bool find_prompts(lb_evaluation *x, lb_eval_task *k, const lb_task_result *like)
{
    size_t n = (size_t)k->items.n;
    prompts p = {.k = k, .like = like, .several = -1};
    lb_db_query q = {.model = x->model, .task = k->bench->name, .version = k->bench->version, .sampling = k->sampling};
    p.places = lb_alloc(n, sizeof *p.places, "the items", x->err);
    p.known = lb_alloc(n, sizeof *p.known, "the items", x->err);
    k->prompts = lb_alloc(n, sizeof *k->prompts, "the prompts", x->err);
    bool ok = p.places && p.known && k->prompts;
    for (size_t i = 0; ok && i < n; i++) p.places[i] = (place){k->items.p[i].hash, (int)i};
    if (ok) qsort(p.places, n, sizeof *p.places, by_hash);
    ok = ok && lb_db_each(x->db, &q, look_at_sample, &p, x->err);
    if (ok && p.several >= 0)
        ok = lb_fail(x->err, LB_EUSAGE,
                     "the baseline was asked %s %s with several prompts (--thinking?), none of them this run's",
                     k->bench->name, k->items.p[p.several].id);
    free(p.places);
    free(p.known);
    return ok;
}

/* ---- all of it ---- */

static bool all_there(lb_evaluation *x, lb_eval_task *k, bool *missing)
{
    int per = lb_eval_per_item(x->o), n = 0;
    for (int i = 0; i < k->items.n * per; i++) {
        lb_sample_key key = lb_eval_key(x, k, i / per, i % per);
        lb_sample_row row;
        bool found;
        if (!lb_db_find(x->db, &key, false, &found, &row, x->err)) return false;
        n += found;
    }
    *missing = n < k->items.n * per;
    return !*missing || lb_fail(x->err, LB_EUSAGE, "the baseline has %d of the %d samples of %s in the results database", n,
                                k->items.n * per, k->bench->name);
}

static bool plan(lb_evaluation *x, lb_eval_task *k, const lb_task_result *like, bool *missing)
{
    lb_items_opt io = lb_eval_items_opt(x->o);
    k->bench = like->bench;
    return lb_items_load(k->bench, x->o->data_dir, &io, &k->items, x->err) && find_way(x, k, like, missing) &&
           find_prompts(x, k, like) && all_there(x, k, missing) && lb_eval_sandbox(x, k->bench);
}

bool lb_eval_from_db(const char *model, const lb_eval_result *like, const lb_eval_opt *o, lb_db *db, lb_exec *ex,
                     lb_eval_result *out, bool *missing, lb_err *err)
{
    bool lacks = false, ok = true;
    memset(out, 0, sizeof *out);
    lb_evaluation x = {.model = model, .ex = ex, .o = o, .db = db, .err = err};
    x.tasks = lb_alloc((size_t)o->n_task, sizeof *x.tasks, "the tasks", err);
    ok = x.tasks != NULL;
    for (int k = 0; ok && k < o->n_task; k++) ok = plan(&x, &x.tasks[k], &like->tasks[k], &lacks);
    if (missing) *missing = lacks;
    ok = ok && lb_eval_judge(&x) && lb_eval_count_results(&x, out);
    lb_eval_run_close(&x);
    if (!ok) lb_eval_result_free(out);
    return ok;
}
