/* eval/eval_count.c – from the samples in the database to a result. */
#include "base/mem.h"
#include "eval/eval_run.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is read of one task, besides what its result keeps. */
typedef struct counting {
    lb_evaluation *x;
    const lb_eval_task *k;
    lb_task_result *r;
    char (*extracted)[256];          /* [n_samples], owned: what each answered */
    double *value;                   /* [n_samples], owned: scratch */
    int64_t *cluster;                /* [n_samples], owned: the question that each belongs to */
} counting;

/* ---- reading ---- */

static bool read_sample(counting *c, int item, int j)
{
    lb_task_result *r = c->r;
    size_t at = (size_t)item * (size_t)lb_eval_per_item(c->x->o) + (size_t)j;
    const lb_item *it = &c->k->items.p[item];
    lb_sample_key key = lb_eval_key(c->x, c->k, item, j);
    lb_sample_row row;
    bool found;
    if (!lb_db_find(c->x->db, &key, false, &found, &row, c->x->err)) return false;
    if (!found || row.verdict < 0)
        return lb_fail(c->x->err, LB_EIO, "the results database lost a sample of %s %s; was it changed meanwhile?",
                       c->k->bench->name, it->id);
    r->outcomes[at] = (lb_outcome){.problem = item, .seed = key.seed, .correct = row.verdict == LB_RIGHT};
    r->stats[at] = (lb_sample_stat){.level = it->level, .sample = (int)key.sample, .cluster = it->cluster,
                                    .n_tokens = row.n_tokens, .truncated = row.truncated,
                                    .think_closed = row.think_closed, .verdict = (lb_verdict)row.verdict,
                                    .strict = row.strict < 0 ? (lb_verdict)row.verdict : (lb_verdict)row.strict,
                                    .lenient = row.lenient < 0 ? (lb_verdict)row.verdict : (lb_verdict)row.lenient};
    c->cluster[at] = it->cluster;
    memcpy(c->extracted[at], row.extracted, sizeof row.extracted);
    r->weak_sandbox += row.weak_sandbox;
    return true;
}

static void sum_up(const counting *c)
{
    lb_task_result *r = c->r;
    int per = lb_eval_per_item(c->x->o);
    double level_right[LB_N_LEVEL] = {0}, tokens = 0;
    for (int i = 0; i < r->n_samples; i++) {
        const lb_sample_stat *s = &r->stats[i];
        if (s->level > 0) {
            level_right[s->level - 1] += r->outcomes[i].correct;
            r->level_n[s->level - 1] += i % per == 0;
        }
        r->truncated += s->truncated, r->think_closed += s->think_closed;
        r->unknown += s->verdict == LB_UNKNOWN;
        tokens += s->n_tokens;
    }
    for (int l = 0; l < LB_N_LEVEL; l++)
        r->by_level[l] = r->level_n[l] ? level_right[l] / ((double)r->level_n[l] * per) : NAN;
    r->truncated /= r->n_samples, r->think_closed /= r->n_samples, r->tokens_mean = tokens / r->n_samples;
}

/* ---- accuracies ---- */

/* The share of samples with a reading, and its error, clustered by question. */
static bool share(const counting *c, size_t reading, double *mean, double *error)
{
    const lb_task_result *r = c->r;
    for (int i = 0; i < r->n_samples; i++)
        c->value[i] = *(const lb_verdict *)((const char *)&r->stats[i] + reading) == LB_RIGHT;
    return lb_stats_mean(c->value, c->cluster, (size_t)r->n_samples, mean, error, c->x->err);
}

static bool accuracies(const counting *c)
{
    lb_task_result *r = c->r;
    const lb_eval_opt *o = c->x->o;
    lb_accuracy a;
    if (!share(c, offsetof(lb_sample_stat, verdict), &r->accuracy, &r->accuracy_stderr) ||
        !share(c, offsetof(lb_sample_stat, strict), &r->strict, &r->strict_stderr) ||
        !share(c, offsetof(lb_sample_stat, lenient), &r->lenient, &r->lenient_stderr) ||
        !lb_stats_accuracy(r->outcomes, (size_t)r->n_samples, &a, c->x->err))
        return false;
    for (int s = 0; s < o->n_seed; s++) /* stats sort the seeds; results keep the user's order */
        for (int j = 0; j < a.n_seed; j++)
            if (a.per_seed[j].seed == o->seeds[s]) r->per_seed[s] = a.per_seed[j].mean;
    return true;
}

/* ---- pass@k and maj@k: a value for each item, then as accuracies ---- */

/* The text of a program, which is longer than what `extracted` keeps. */
static bool program_of(const counting *c, int item, int j, lb_buf *out)
{
    lb_sample_key key = lb_eval_key(c->x, c->k, item, j);
    lb_sample_row row;
    const char *answer;
    bool found, closed;
    lb_buf_reset(out);
    if (!lb_db_find(c->x->db, &key, true, &found, &row, c->x->err)) return false;
    if (found && lb_answer_part(row.text, !row.think_closed, &answer, &closed)) lb_answer_code(answer, out);
    free(row.text);
    return lb_buf_ok(out, "a program", c->x->err);
}

/* Programs are the same answer if they are the same text: by hash. */
static bool group_programs(const counting *c, int item, int n, int *group)
{
    lb_hash *h = lb_alloc((size_t)n, sizeof *h, "the votes", c->x->err);
    lb_buf text = {0};
    int n_group = 0;
    bool ok = h != NULL;
    for (int j = 0; ok && j < n; j++) {
        group[j] = -1;
        ok = program_of(c, item, j, &text);
        if (!ok || text.n == 0 || c->r->stats[(size_t)item * (size_t)n + (size_t)j].truncated) continue;
        h[j] = lb_hash_of(text.p, text.n);
        for (int i = 0; i < j && group[j] < 0; i++)
            if (group[i] >= 0 && h[i].hi == h[j].hi && h[i].lo == h[j].lo) group[j] = group[i];
        if (group[j] < 0) group[j] = n_group++;
    }
    lb_buf_free(&text);
    free(h);
    return ok;
}

/* Answers are the same if the grader proves them equal, whichever of the two is taken for gold. */
static bool same_answer(const char *a, const char *b)
{
    char why[256];
    return strcmp(a, b) == 0 || lb_answer_equal(a, b, why) == LB_RIGHT || lb_answer_equal(b, a, why) == LB_RIGHT;
}

/* Each answer is compared with the first of every group. A sample without an answer, or truncated, has no vote. */
static void group_answers(const counting *c, int item, int n, int *group)
{
    const char (*text)[256] = (const char (*)[256])c->extracted + (size_t)item * (size_t)n;
    const lb_sample_stat *s = c->r->stats + (size_t)item * (size_t)n;
    int n_group = 0;
    for (int j = 0; j < n; j++) {
        group[j] = -1;
        if (!*text[j] || s[j].truncated) continue;
        for (int i = 0, first = 0; i < j && group[j] < 0; i++) {
            if (group[i] < first) continue; /* no vote, or not the first of its group */
            first = group[i] + 1;
            if (same_answer(text[i], text[j])) group[j] = group[i];
        }
        if (group[j] < 0) group[j] = n_group++;
    }
}

static bool votes(const counting *c, int item, int *group, bool *right, lb_metric *m)
{
    const lb_eval_opt *o = c->x->o;
    int n = lb_eval_per_item(o);
    if (c->k->bench->runs_code && !group_programs(c, item, n, group)) return false;
    if (!c->k->bench->runs_code) group_answers(c, item, n, group);
    for (int j = 0; j < n; j++) right[j] = c->r->outcomes[(size_t)item * (size_t)n + (size_t)j].correct;
    for (int i = 0; i < o->n_maj_k; i++) {
        double v = lb_stats_majority_at_k(group, right, n, o->maj_k[i], c->x->err);
        if (isnan(v)) return lb_wrap(c->x->err, "%s", c->k->bench->name);
        m[i].value = v;
    }
    return true;
}

/* value [n_maj_k][n]: maj@k of every item. */
static bool count_votes(const counting *c, double *value)
{
    const lb_eval_opt *o = c->x->o;
    size_t per = (size_t)lb_eval_per_item(o), n = (size_t)c->r->n;
    lb_metric m[LB_MAX_K];
    int *group = lb_alloc(per, sizeof *group, "the votes", c->x->err);
    bool *right = lb_alloc(per, sizeof *right, "the votes", c->x->err);
    bool ok = group && right;
    for (size_t i = 0; ok && i < n; i++) {
        ok = votes(c, (int)i, group, right, m);
        for (int k = 0; ok && k < o->n_maj_k; k++) value[(size_t)k * n + i] = m[k].value;
    }
    free(group);
    free(right);
    lb_answer_cleanup();
    return ok;
}

static bool add_metric(const counting *c, const char *name, int k, const double *value)
{
    lb_metric *m = &c->r->k[c->r->n_k++];
    snprintf(m->name, sizeof m->name, "%s@%d", name, k);
    for (int i = 0; i < c->r->n; i++) c->cluster[i] = c->k->items.p[i].cluster; /* of items now, not of samples */
    return lb_stats_mean(value, c->cluster, (size_t)c->r->n, &m->value, &m->stderr_value, c->x->err);
}

static bool of_k(const counting *c)
{
    const lb_eval_opt *o = c->x->o;
    int per = lb_eval_per_item(o);
    size_t n = (size_t)c->r->n;
    for (int k = 0; k < o->n_pass_k; k++) {
        for (size_t i = 0; i < n; i++) {
            int right = 0;
            for (int j = 0; j < per; j++) right += c->r->outcomes[i * (size_t)per + (size_t)j].correct;
            c->value[i] = lb_stats_pass_at_k(per, right, o->pass_k[k]);
        }
        if (!add_metric(c, "pass", o->pass_k[k], c->value)) return false;
    }
    if (o->n_maj_k == 0) return true;
    double *value = lb_alloc((size_t)o->n_maj_k * n, sizeof *value, "the votes", c->x->err);
    bool ok = value && count_votes(c, value);
    for (int k = 0; ok && k < o->n_maj_k; k++) ok = add_metric(c, "maj", o->maj_k[k], value + (size_t)k * n);
    free(value);
    return ok;
}

/* ---- what the benchmark adds ---- */

static bool own_metrics(const counting *c)
{
    const lb_bench *b = c->k->bench;
    lb_task_result *r = c->r;
    int per = lb_eval_per_item(c->x->o);
    if (!b->metrics) return true;
    lb_scored *s = lb_alloc((size_t)r->n_samples, sizeof *s, "the samples", c->x->err);
    for (int i = 0; s && i < r->n_samples; i++)
        s[i] = (lb_scored){.item = &c->k->items.p[i / per], .extracted = c->extracted[i], .right = r->outcomes[i].correct};
    r->metrics = s ? json_object() : NULL;
    if (s && !r->metrics) lb_fail_mem(c->x->err, 0, "the metrics");
    bool ok = r->metrics && b->metrics(b, s, (size_t)r->n_samples, r->metrics, c->x->err);
    free(s);
    return ok;
}

/* ---- a task, and all ---- */

static lb_hash data_of(const lb_items *items)
{
    lb_hash h = {0, 0};
    for (int i = 0; i < items->n; i++) h = lb_hash_bytes(&items->p[i].hash, sizeof h, h);
    return h;
}

static bool count_task(lb_evaluation *x, const lb_eval_task *k, lb_task_result *r)
{
    int per = lb_eval_per_item(x->o);
    size_t m = (size_t)k->items.n * (size_t)per;
    counting c = {.x = x, .k = k, .r = r};
    *r = (lb_task_result){.bench = k->bench, .n = k->items.n, .n_samples = (int)m, .data = data_of(&k->items)};
    memcpy(r->sampling, k->sampling, sizeof r->sampling);
    r->outcomes = lb_alloc(m, sizeof *r->outcomes, "the outcomes", x->err);
    r->stats = lb_alloc(m, sizeof *r->stats, "the outcomes", x->err);
    r->prompts = lb_alloc((size_t)r->n, sizeof *r->prompts, "the outcomes", x->err);
    c.extracted = lb_alloc(m, sizeof *c.extracted, "the answers", x->err);
    c.value = lb_alloc(m, sizeof *c.value, "the outcomes", x->err);
    c.cluster = lb_alloc(m, sizeof *c.cluster, "the outcomes", x->err);
    bool ok = r->outcomes && r->stats && r->prompts && c.extracted && c.value && c.cluster;
    for (int i = 0; ok && i < r->n; i++) {
        r->prompts[i] = k->prompts[i].hash;
        r->n_question += k->items.p[i].cluster == k->items.p[i].number; /* of the first item of each */
    }
    for (int i = 0; ok && i < k->items.n * per; i++) ok = read_sample(&c, i / per, i % per);
    if (ok) sum_up(&c);
    ok = ok && accuracies(&c) && of_k(&c) && own_metrics(&c);
    free(c.extracted);
    free(c.value);
    free(c.cluster);
    return ok;
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

bool lb_eval_count_results(lb_evaluation *x, lb_eval_result *out)
{
    const lb_eval_opt *o = x->o;
    out->tasks = lb_alloc((size_t)o->n_task, sizeof *out->tasks, "the results", x->err);
    if (!out->tasks) return false;
    out->n_task = o->n_task, out->n_seed = o->n_seed, out->n_sample = o->n_sample;
    memcpy(out->seeds, o->seeds, sizeof out->seeds);
    snprintf(out->model, sizeof out->model, "%s", x->model);
    memcpy(out->sampling, x->tasks[0].sampling, sizeof out->sampling);
    out->n_generated = x->n_generated, out->n_reused = x->n_reused, out->n_regraded = x->n_regraded;
    out->tokens_generated = x->tokens;
    for (int k = 0; k < o->n_task; k++) {
        if (!count_task(x, &x->tasks[k], &out->tasks[k])) return false;
        out->weak_sandbox = out->weak_sandbox || out->tasks[k].weak_sandbox > 0;
    }
    return average(out, x->err);
}
