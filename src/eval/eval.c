/* eval/eval.c – the evaluation run.
 *
 *   plan      items of every task, prompts, and which samples the database has already
 *   generate  the missing ones, through one engine; each is stored when it is finished, graded if that is cheap
 *   judge     programs, in the sandbox, on all threads
 *   count     everything, from the database */
#include "eval/eval.h"
#include "base/mem.h"
#include "eval/budget.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { JUDGE_CHUNK = 16 };

typedef struct task {
    const lb_bench *bench;
    lb_items items;
    lb_ids *prompts;             /* [items.n] */
    lb_hash *prompt_hash;        /* [items.n] */
    bool in_thinking;
    int max_new;
    char sampling[LB_SAMPLING_TEXT];
} task;

struct run;
typedef struct job {             /* one sample to generate */
    lb_request r;
    struct run *run;
    const task *task;
    int item;
    int64_t seed, sample;
    lb_budget_state thought;
} job;

typedef struct run {
    lb_target *t;
    const lb_eval_opt *o;
    lb_db *db;
    lb_progress *p;
    task *tasks;                 /* [o->n_task] */
    job *jobs;
    size_t n_job;
    lb_sandbox *sandbox;
    lb_budget budget;            /* if thinking is forced */
    bool failed;                 /* an on_done failed; err says how */
    double tokens;
    lb_err *err;
} run;

static int per_item(const lb_eval_opt *o) { return o->n_seed * o->n_sample; }

static lb_sample_key key_of(const run *x, const task *k, int item, int64_t seed, int64_t sample)
{
    return (lb_sample_key){.model = x->t->hash, .task = k->bench->name, .version = k->bench->version, .sampling = k->sampling,
                           .item = k->items.p[item].hash, .prompt = k->prompt_hash[item], .seed = seed, .sample = sample};
}

/* ---- plan ---- */

static const char *kv_name(const run *x) { return lb_target_kv(x->t, x->o->kv); }

static bool plan_task(run *x, task *k, const lb_bench *b)
{
    k->bench = b;
    k->max_new = x->o->max_new > 0 ? x->o->max_new : b->max_new;
    lb_sampling_text(&x->o->sampling, k->max_new, kv_name(x), k->sampling);
    lb_sampling_text_budget(x->o->think_budget, x->o->think_extend, k->sampling);
    if (!lb_items_load(b, x->o->data_dir, &(lb_items_opt){.limit = x->o->limit}, &k->items, x->err)) return false;
    size_t n = (size_t)k->items.n;
    k->prompts = lb_alloc(n, sizeof *k->prompts, "the prompts", x->err);
    k->prompt_hash = lb_alloc(n, sizeof *k->prompt_hash, "the prompts", x->err);
    if (!k->prompts || !k->prompt_hash) return false;
    for (size_t i = 0; i < n; i++)
        if (!lb_target_prompt(x->t, NULL, k->items.p[i].prompt, x->o->template_kwargs, &k->prompts[i], &k->in_thinking, &k->prompt_hash[i], x->err))
            return lb_wrap(x->err, "task %s, problem %s", b->name, k->items.p[i].id);
    return true;
}

/* Opened before anything is generated, so that a machine without namespaces says so at once. */
static bool plan_sandbox(run *x, const lb_bench *b)
{
    if (!b->runs_code || x->sandbox) return true;
    x->sandbox = lb_sandbox_open(NULL, x->o->allow_weak_sandbox, x->err);
    return x->sandbox || lb_wrap(x->err, "task %s runs programs (leave it out of the tasks, or --allow-weak-sandbox)", b->name);
}

static void on_done(lb_request *r);

static int on_sample(lb_request *r, int id)
{
    job *j = r->user;
    return lb_budget_next(&j->run->budget, &j->thought, id);
}

/* One job for each sample that the database lacks; the others count as reused. */
static bool plan_jobs(run *x, int64_t *n_reused)
{
    const lb_eval_opt *o = x->o;
    size_t cap = 0;
    for (int k = 0; k < o->n_task; k++) {
        task *t = &x->tasks[k];
        for (int i = 0; i < t->items.n; i++) {
            for (int j = 0; j < per_item(o); j++) {
                int64_t seed = o->seeds[j / o->n_sample], sample = j % o->n_sample;
                lb_sample_key key = key_of(x, t, i, seed, sample);
                lb_sample_row row;
                bool found;
                if (o->fresh && !lb_db_delete(x->db, &key, x->err)) return false;
                if (!lb_db_find(x->db, &key, false, &found, &row, x->err)) return false;
                if (found) {
                    ++*n_reused;
                    continue;
                }
                if (!lb_grow(&x->jobs, &cap, x->n_job + 1, sizeof *x->jobs, "the samples", x->err)) return false;
                x->jobs[x->n_job++] = (job){.run = x, .task = t, .item = i, .seed = seed, .sample = sample};
            }
        }
    }
    for (size_t i = 0; i < x->n_job; i++) { /* pointers into jobs hold only now that it has stopped growing */
        job *j = &x->jobs[i];
        const lb_ids *p = &j->task->prompts[j->item];
        j->thought.thinking = j->task->in_thinking;
        j->r = (lb_request){.prompt = p->p, .n_prompt = (int)p->n, .sampling = o->sampling, .max_new = j->task->max_new,
                            .stop = x->t->gen.eos, .n_stop = x->t->gen.n_eos, .user = j, .on_done = on_done, .on_sample = o->think_budget || o->think_extend ? on_sample : NULL,
                            .key = lb_rng_key_of((uint64_t)j->seed, j->task->items.p[j->item].hash.lo, (uint64_t)j->sample)};
    }
    return true;
}

/* ---- generate ---- */

static bool store(run *x, job *j)
{
    const lb_request *r = &j->r;
    lb_buf text = {0};
    lb_sample_row row = {.n_tokens = r->n_out, .truncated = r->finish == LB_FINISH_LENGTH, .verdict = -1, .strict = -1, .lenient = -1};
    int n = r->n_out;
    if (r->finish == LB_FINISH_STOP && n > 0) n--; /* the stop token is not part of the answer */
    bool ok = lb_tokenizer_decode(x->t->tok, r->out, (size_t)n, false, &text, x->err);
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == 0) text.p[i] = ' '; /* the database and the graders take C strings */
    if (ok) ok = (row.text = lb_buf_take(&text, "a sample", x->err)) != NULL;
    if (ok) {
        const char *answer;
        lb_answer_part(row.text, j->task->in_thinking, &answer, &row.think_closed);
        if (!j->task->bench->runs_code) {
            lb_grader g = {.in_thinking = j->task->in_thinking};
            lb_grade grade;
            ok = j->task->bench->grade(&j->task->items.p[j->item], row.text, &g, &grade, x->err);
            row.verdict = grade.verdict;
            memcpy(row.extracted, grade.extracted, sizeof row.extracted);
            memcpy(row.why, grade.why, sizeof row.why);
        }
        lb_sample_key key = key_of(x, j->task, j->item, j->seed, j->sample);
        ok = ok && lb_db_put(x->db, &key, &row, x->err);
    }
    free(row.text);
    lb_buf_free(&text);
    return ok;
}

static void show(run *x, const char *doing, const char *of)
{
    const char *label = x->o->label;
    lb_progress_what(x->p, "%s%s%s%s", label ? label : "", label ? " · " : "", doing, of);
}

static void on_done(lb_request *r)
{
    job *j = r->user;
    run *x = j->run;
    if (x->failed) return;
    x->failed = !store(x, j);
    x->tokens += r->n_out;
    if (x->p) {
        show(x, "", j->task->bench->name);
        lb_progress_add(x->p, 1, r->n_out);
    }
}

static bool generate(run *x)
{
    size_t refused;
    lb_generate_opt go = {.n_slot = x->o->n_slot, .kv = x->o->kv, .failed = &x->failed, .stop = x->o->stop};
    lb_request **list = lb_alloc(x->n_job, sizeof *list, "the samples", x->err);
    if (!list) return false;
    for (size_t i = 0; i < x->n_job; i++) list[i] = &x->jobs[i].r;
    bool ok = lb_generate(x->t, list, x->n_job, &go, &refused, x->err);
    if (refused < x->n_job) {
        const job *j = &x->jobs[refused];
        if (x->err && x->err->code == LB_EUSAGE) x->err->code = LB_EFORMAT; /* the row is to blame, not the user's flags */
        lb_wrap(x->err, "task %s, problem %s", j->task->bench->name, j->task->items.p[j->item].id);
    }
    free(list);
    return ok;
}

/* ---- judge ---- */

typedef struct verdict_job {
    const run *x;
    const lb_item *item;
    lb_sample_key key;
    bool in_thinking, ok;
    char *text;
    const lb_bench *bench;
    lb_grade grade;
    lb_err err;
} verdict_job;

static void judge_some(void *arg, int begin, int end)
{
    verdict_job *v = arg;
    for (int i = begin; i < end; i++) {
        lb_grader g = {.sandbox = v[i].x->sandbox, .in_thinking = v[i].in_thinking};
        v[i].err.code = LB_OK;
        v[i].ok = v[i].bench->grade(v[i].item, v[i].text, &g, &v[i].grade, &v[i].err);
    }
}

static bool judge_chunk(run *x, verdict_job *v, int n)
{
    bool ok = true;
    lb_parallel(x->t->model->ex, n, 1, judge_some, v);
    for (int i = 0; i < n; i++) {
        if (ok && !v[i].ok) {
            ok = false;
            if (x->err) *x->err = v[i].err;
        }
        lb_sample_row row = {.verdict = v[i].grade.verdict, .strict = -1, .lenient = -1};
        memcpy(row.extracted, v[i].grade.extracted, sizeof row.extracted);
        memcpy(row.why, v[i].grade.why, sizeof row.why);
        ok = ok && lb_db_set_grade(x->db, &v[i].key, &row, x->err);
        free(v[i].text);
    }
    if (ok && x->o->stop && *x->o->stop)
        ok = lb_fail(x->err, LB_ESTOPPED, "stopped; finished samples are kept, the same command continues");
    return ok;
}

/* Every stored sample of the task that has no verdict yet. */
static bool judge_task(run *x, task *k)
{
    const lb_eval_opt *o = x->o;
    verdict_job v[JUDGE_CHUNK];
    int n = 0;
    bool ok = true;
    for (int i = 0; ok && i < k->items.n; i++) {
        for (int j = 0; ok && j < per_item(o); j++) {
            lb_sample_key key = key_of(x, k, i, o->seeds[j / o->n_sample], j % o->n_sample);
            lb_sample_row row;
            bool found;
            ok = lb_db_find(x->db, &key, true, &found, &row, x->err);
            if (!ok || !found || row.verdict >= 0) {
                free(row.text);
                continue;
            }
            v[n++] = (verdict_job){.x = x, .item = &k->items.p[i], .key = key, .in_thinking = k->in_thinking, .text = row.text, .bench = k->bench};
            if (n < JUDGE_CHUNK) continue;
            if (x->p) show(x, "judging ", k->bench->name);
            ok = judge_chunk(x, v, n);
            n = 0;
        }
    }
    if (ok && n > 0) return judge_chunk(x, v, n);
    for (int i = 0; i < n; i++) free(v[i].text);
    return ok;
}

static bool judge(run *x)
{
    for (int k = 0; k < x->o->n_task; k++) {
        if (x->tasks[k].bench->runs_code && !judge_task(x, &x->tasks[k])) return false;
    }
    return true;
}

/* ---- count ---- */

static bool count_task(run *x, const task *k, lb_task_result *r)
{
    const lb_eval_opt *o = x->o;
    int per = per_item(o), m = k->items.n * per;
    double level_right[LB_N_LEVEL] = {0}, tokens = 0;
    *r = (lb_task_result){.bench = k->bench, .n = k->items.n, .n_samples = m};
    r->outcomes = lb_alloc((size_t)m, sizeof *r->outcomes, "the outcomes", x->err);
    r->stats = lb_alloc((size_t)m, sizeof *r->stats, "the outcomes", x->err);
    if (!r->outcomes || !r->stats) return false;
    for (int i = 0; i < k->items.n; i++) {
        int level = k->items.p[i].level;
        if (level > 0) r->level_n[level - 1]++;
        for (int j = 0; j < per; j++) {
            lb_sample_key key = key_of(x, k, i, o->seeds[j / o->n_sample], j % o->n_sample);
            lb_sample_row row;
            bool found;
            if (!lb_db_find(x->db, &key, false, &found, &row, x->err)) return false;
            if (!found) return lb_fail(x->err, LB_EIO, "the results database lost a sample of %s %s; was it changed meanwhile?", k->bench->name, k->items.p[i].id);
            bool right = row.verdict == LB_RIGHT;
            r->outcomes[(size_t)i * (size_t)per + (size_t)j] = (lb_outcome){.problem = i, .seed = key.seed, .correct = right};
            r->stats[(size_t)i * (size_t)per + (size_t)j] =
                (lb_sample_stat){.level = level, .sample = (int)key.sample, .n_tokens = row.n_tokens,
                                 .truncated = row.truncated, .think_closed = row.think_closed};
            if (level > 0) level_right[level - 1] += right;
            r->truncated += row.truncated;
            r->think_closed += row.think_closed;
            r->unknown += row.verdict == LB_UNKNOWN;
            tokens += row.n_tokens;
        }
    }
    lb_accuracy a;
    if (!lb_stats_accuracy(r->outcomes, (size_t)m, &a, x->err)) return false;
    r->accuracy = a.mean, r->accuracy_stderr = a.stderr_mean;
    for (int s = 0; s < o->n_seed; s++) /* stats sort the seeds; results keep the user's order */
        for (int j = 0; j < a.n_seed; j++)
            if (a.per_seed[j].seed == o->seeds[s]) r->per_seed[s] = a.per_seed[j].mean;
    for (int l = 0; l < LB_N_LEVEL; l++) r->by_level[l] = r->level_n[l] ? level_right[l] / ((double)r->level_n[l] * per) : NAN;
    r->truncated /= m, r->think_closed /= m, r->tokens_mean = tokens / m;
    return true;
}

static bool average(lb_eval_result *r, lb_err *err)
{
    double *v = lb_alloc(2 * (size_t)r->n_task, sizeof *v, "the results", err);
    if (!v) return false;
    for (int k = 0; k < r->n_task; k++) v[k] = r->tasks[k].accuracy, v[r->n_task + k] = r->tasks[k].accuracy_stderr;
    lb_stats_average(v, v + r->n_task, r->n_task, &r->average, &r->average_stderr);
    free(v);
    return true;
}

static bool count(run *x, lb_eval_result *out)
{
    const lb_eval_opt *o = x->o;
    out->tasks = lb_alloc((size_t)o->n_task, sizeof *out->tasks, "the results", x->err);
    if (!out->tasks) return false;
    out->n_task = o->n_task, out->n_seed = o->n_seed, out->n_sample = o->n_sample;
    memcpy(out->seeds, o->seeds, sizeof out->seeds);
    lb_sampling_text(&o->sampling, o->max_new > 0 ? o->max_new : x->tasks[0].max_new, kv_name(x), out->sampling);
    lb_sampling_text_budget(o->think_budget, o->think_extend, out->sampling);
    for (int k = 0; k < o->n_task; k++) {
        if (!count_task(x, &x->tasks[k], &out->tasks[k])) return false;
    }
    return average(out, x->err);
}

static void run_free(run *x)
{
    for (int k = 0; x->tasks && k < x->o->n_task; k++) {
        task *t = &x->tasks[k];
        for (int i = 0; t->prompts && i < t->items.n; i++) lb_ids_free(&t->prompts[i]);
        free(t->prompts);
        free(t->prompt_hash);
        lb_items_free(&t->items);
    }
    free(x->tasks);
    free(x->jobs);
    lb_sandbox_close(x->sandbox);
}

bool lb_eval_run(lb_target *t, const lb_eval_opt *o, lb_db *db, lb_progress *p, lb_eval_result *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    run x = {.t = t, .o = o, .db = db, .p = p, .err = err};
    double t0 = lb_now_s();
    bool ok = t->hash[0] || lb_target_hash(t, err);
    ok = ok && (x.tasks = lb_alloc((size_t)o->n_task, sizeof *x.tasks, "the tasks", err)) != NULL;
    for (int k = 0; ok && k < o->n_task; k++) ok = plan_task(&x, &x.tasks[k], o->tasks[k]) && plan_sandbox(&x, o->tasks[k]);
    if (ok && (o->think_budget || o->think_extend)) ok = lb_budget_open(&x.budget, t->tok, o->think_budget, o->think_extend, err);
    ok = ok && plan_jobs(&x, &out->n_reused);
    if (ok && p) lb_progress_reuse(p, out->n_reused);
    ok = ok && generate(&x) && judge(&x) && count(&x, out);
    out->n_generated = (int64_t)x.n_job;
    out->tokens_generated = x.tokens;
    out->seconds = lb_now_s() - t0;
    out->weak_sandbox = x.sandbox && lb_sandbox_is_weak(x.sandbox);
    run_free(&x);
    if (!ok) lb_eval_result_free(out);
    return ok;
}

void lb_eval_result_free(lb_eval_result *r)
{
    for (int k = 0; r->tasks && k < r->n_task; k++) {
        free(r->tasks[k].outcomes);
        free(r->tasks[k].stats);
    }
    free(r->tasks);
    memset(r, 0, sizeof *r);
}

bool lb_eval_count(const lb_eval_opt *o, int64_t *n, lb_err *err)
{
    *n = 0;
    for (int k = 0; k < o->n_task; k++) {
        lb_items items;
        if (!lb_items_load(o->tasks[k], o->data_dir, &(lb_items_opt){.limit = o->limit}, &items, err)) return false;
        *n += (int64_t)items.n * o->n_seed * o->n_sample;
        if (*n > 1 << 30) {
            lb_items_free(&items);
            return lb_fail(err, LB_EUSAGE, "problems × seeds × samples are more than %d", 1 << 30);
        }
        lb_items_free(&items);
    }
    return true;
}

/* NaN has no JSON: null. */
static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

json_t *lb_eval_json(const lb_eval_result *r)
{
    json_t *results = json_object(), *seeds = json_array();
    for (int s = 0; s < r->n_seed; s++) json_array_append_new(seeds, json_integer(r->seeds[s]));
    for (int k = 0; k < r->n_task; k++) {
        const lb_task_result *t = &r->tasks[k];
        json_t *per_seed = json_array(), *levels = json_object();
        for (int s = 0; s < r->n_seed; s++) json_array_append_new(per_seed, json_real(t->per_seed[s]));
        for (int l = 0; l < LB_N_LEVEL; l++) {
            char name[2] = {(char)('1' + l), 0};
            json_object_set_new(levels, name, json_pack("{s:o, s:i}", "accuracy", number(t->by_level[l]), "n", t->level_n[l]));
        }
        json_object_set_new(results, t->bench->name,
                            json_pack("{s:f, s:o, s:o, s:o, s:f, s:f, s:f, s:i, s:i, s:i, s:i}", "accuracy", t->accuracy, "accuracy_stderr",
                                      number(t->accuracy_stderr), "per_seed", per_seed, "by_level", levels, "truncated", t->truncated, "think_closed",
                                      t->think_closed, "tokens_mean", t->tokens_mean, "n", t->n, "n_samples", t->n_samples, "unknown", t->unknown,
                                      "version", t->bench->version));
    }
    return json_pack("{s:o, s:f, s:o, s:{s:s, s:o, s:i, s:b}, s:{s:I, s:I, s:f, s:f}}", "results", results, "average", r->average, "average_stderr",
                     number(r->average_stderr), "config", "sampling", r->sampling, "seeds", seeds, "samples", r->n_sample, "weak_sandbox",
                     r->weak_sandbox, "run", "generated", (json_int_t)r->n_generated, "reused", (json_int_t)r->n_reused, "tokens_generated",
                     r->tokens_generated, "seconds", r->seconds);
}
