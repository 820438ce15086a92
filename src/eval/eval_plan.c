/* eval/eval_plan.c – what an evaluation consists of: items, prompts, keys, and which samples the database lacks. */
#include "base/mem.h"
#include "eval/eval_run.h"
#include <stdlib.h>
#include <string.h>

lb_sample_key lb_eval_key(const lb_evaluation *x, const lb_eval_task *k, int item, int j)
{
    return (lb_sample_key){.model = x->model, .task = k->bench->name, .version = k->bench->version,
                           .sampling = k->sampling, .item = k->items.p[item].hash, .prompt = k->prompts[item].hash,
                           .seed = x->o->seeds[j / x->o->n_sample], .sample = j % x->o->n_sample};
}

lb_items_opt lb_eval_items_opt(const lb_eval_opt *o)
{
    return (lb_items_opt){.limit = o->limit, .option_seed = o->option_seed, .from = o->from, .to = o->to};
}

/* ---- tasks ---- */

/* What the hashes of items stand for, for whoever reads the database without the data. */
static bool store_items(lb_evaluation *x, const lb_eval_task *k)
{
    size_t n = (size_t)k->items.n;
    lb_item_row *rows = lb_alloc(n, sizeof *rows, "the items", x->err);
    for (size_t i = 0; rows && i < n; i++) {
        const lb_item *it = &k->items.p[i];
        rows[i] = (lb_item_row){.task = k->bench->name, .version = k->bench->version, .item = it->hash,
                                .number = it->number, .level = it->level, .id = it->id, .problem = it->prompt,
                                .gold = it->gold};
    }
    bool ok = rows && lb_db_put_items(x->db, rows, n, x->err);
    free(rows);
    return ok;
}

static bool plan_task(lb_evaluation *x, lb_eval_task *k, const lb_bench *b)
{
    lb_items_opt io = lb_eval_items_opt(x->o);
    k->bench = b;
    k->max_new = x->o->max_new > 0 ? x->o->max_new : b->max_new;
    lb_sampling_text(&x->o->sampling, k->max_new, x->s->kv, k->sampling);
    lb_sampling_text_budget(x->o->think_budget, x->o->think_extend, k->sampling);
    if (!lb_items_load(b, x->o->data_dir, &io, &k->items, x->err)) return false;
    size_t n = (size_t)k->items.n;
    k->prompts = lb_alloc(n, sizeof *k->prompts, "the prompts", x->err);
    if (!k->prompts) return false;
    char name[80];
    for (size_t i = 0; i < n; i++)
        if (!x->s->prepare(x->s->self, k->items.p[i].prompt, x->o->template_kwargs, &k->prompts[i], x->err))
            return lb_wrap(x->err, "task %s, problem %s", b->name, lb_item_called(&k->items.p[i], name));
    return store_items(x, k);
}

/* Opened before anything is generated, so that a machine without namespaces says so at once. */
bool lb_eval_sandbox(lb_evaluation *x, const lb_bench *b)
{
    if (!b->runs_code || x->sandbox) return true;
    x->sandbox = lb_sandbox_open(NULL, x->o->allow_weak_sandbox, x->err);
    return x->sandbox ||
           lb_wrap(x->err, "task %s runs programs (leave it out of the tasks, or --allow-weak-sandbox)", b->name);
}

static bool store_model(lb_evaluation *x)
{
    json_t *about = x->s->about ? json_deep_copy(x->s->about) : json_object();
    if (about && x->o->label) json_object_set_new(about, "label", json_string(x->o->label));
    char *text = about ? json_dumps(about, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    lb_model_row row = {.hash = x->model, .name = x->s->name, .kind = x->s->kind, .about = text};
    bool ok = text ? lb_db_put_model(x->db, &row, x->err) : lb_fail_mem(x->err, 0, "a model's description");
    free(text);
    json_decref(about);
    return ok;
}

/* ---- samples ---- */

/* One job for each sample that the database lacks; the others count as reused. */
static bool plan_jobs(lb_evaluation *x, lb_eval_task *k)
{
    const lb_eval_opt *o = x->o;
    size_t cap = x->n_job;
    for (int i = 0; i < k->items.n; i++) {
        for (int j = 0; j < lb_eval_per_item(o); j++) {
            lb_sample_key key = lb_eval_key(x, k, i, j);
            lb_sample_row row;
            bool found;
            if (o->fresh && !lb_db_delete(x->db, &key, x->err)) return false;
            if (!lb_db_find(x->db, &key, false, &found, &row, x->err)) return false;
            if (found) {
                x->n_reused++;
                continue;
            }
            if (!lb_grow(&x->jobs, &cap, x->n_job + 1, sizeof *x->jobs, "the samples", x->err)) return false;
            lb_eval_job *job = &x->jobs[x->n_job++];
            *job = (lb_eval_job){.run = x, .task = k, .item = i};
            job->ask = (lb_ask){.item = &k->items.p[i], .prompt = &k->prompts[i], .sampling = o->sampling,
                                .max_new = k->max_new, .seed = key.seed, .sample = key.sample};
        }
    }
    return true;
}

bool lb_eval_plan(lb_evaluation *x)
{
    const lb_eval_opt *o = x->o;
    x->tasks = lb_alloc((size_t)o->n_task, sizeof *x->tasks, "the tasks", x->err);
    bool ok = x->tasks && store_model(x);
    for (int k = 0; ok && k < o->n_task; k++)
        ok = plan_task(x, &x->tasks[k], o->tasks[k]) && lb_eval_sandbox(x, o->tasks[k]) && plan_jobs(x, &x->tasks[k]);
    for (size_t i = 0; i < x->n_job; i++) x->jobs[i].ask.user = &x->jobs[i]; /* now that it has stopped growing */
    return ok;
}

void lb_eval_run_close(lb_evaluation *x)
{
    for (int k = 0; x->tasks && k < x->o->n_task; k++) {
        lb_eval_task *t = &x->tasks[k];
        for (int i = 0; x->s && t->prompts && i < t->items.n; i++) x->s->forget(x->s->self, &t->prompts[i]);
        free(t->prompts);
        lb_items_free(&t->items);
    }
    free(x->tasks);
    free(x->jobs);
    lb_sandbox_close(x->sandbox);
}
