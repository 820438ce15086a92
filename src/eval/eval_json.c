/* eval/eval_json.c – a result as JSON, with lm-eval's names where it has them (docs/evaluation.md). */
#include "base/cpu.h"
#include "eval/eval.h"
#include <math.h>
#include <string.h>

/* NaN has no JSON: null. */
static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static void set(json_t *o, const char *key, json_t *v) { json_object_set_new(o, key, v); }

static void set_with_error(json_t *o, const char *name, double value, double error)
{
    char key[40];
    snprintf(key, sizeof key, "%s_stderr", name);
    set(o, name, number(value));
    set(o, key, number(error));
}

static json_t *levels_json(const lb_task_result *t)
{
    json_t *levels = json_object();
    for (int l = 0; l < LB_N_LEVEL; l++) {
        char name[2] = {(char)('1' + l), 0};
        set(levels, name, json_pack("{s:o, s:i}", "accuracy", number(t->by_level[l]), "n", t->level_n[l]));
    }
    return levels;
}

static json_t *task_json(const lb_eval_result *r, const lb_task_result *t)
{
    json_t *j = json_object(), *per_seed = json_array();
    for (int s = 0; s < r->n_seed; s++) json_array_append_new(per_seed, json_real(t->per_seed[s]));
    set_with_error(j, "accuracy", t->accuracy, t->accuracy_stderr);
    set(j, "per_seed", per_seed);
    set(j, "by_level", levels_json(t));
    set_with_error(j, "strict", t->strict, t->strict_stderr);
    set_with_error(j, "lenient", t->lenient, t->lenient_stderr);
    for (int i = 0; i < t->n_k; i++) set_with_error(j, t->k[i].name, t->k[i].value, t->k[i].stderr_value);
    if (t->metrics) json_object_update(j, t->metrics);
    set(j, "truncated", json_real(t->truncated));
    set(j, "think_closed", json_real(t->think_closed));
    set(j, "tokens_mean", json_real(t->tokens_mean));
    set(j, "n", json_integer(t->n));
    set(j, "n_samples", json_integer(t->n_samples));
    set(j, "unknown", json_integer(t->unknown));
    set(j, "version", json_integer(t->bench->version));
    set(j, "sampling", json_string(t->sampling));
    return j;
}

/* The part of lb_version() between "(" and ";": the commit that this is built from. */
static json_t *git_json(void)
{
    const char *p = strchr(lb_version(), '(');
    return p ? json_stringn(p + 1, strcspn(p + 1, ";)")) : json_null();
}

static json_t *provenance_json(const lb_eval_result *r)
{
    json_t *data = json_object();
    for (int k = 0; k < r->n_task; k++) {
        char hex[33];
        lb_hash_hex(r->tasks[k].data, hex);
        set(data, r->tasks[k].bench->name, json_string(hex));
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:i}", "version", lb_version(), "cpu", lb_cpu_model(), "model_hash", r->model,
                     "data_hash", data, "grader", LB_GRADER_VERSION);
}

json_t *lb_eval_json(const lb_eval_result *r)
{
    json_t *results = json_object(), *seeds = json_array(), *n = json_object(), *versions = json_object();
    for (int s = 0; s < r->n_seed; s++) json_array_append_new(seeds, json_integer(r->seeds[s]));
    for (int k = 0; k < r->n_task; k++) {
        const lb_task_result *t = &r->tasks[k];
        set(results, t->bench->name, task_json(r, t));
        set(n, t->bench->name, json_pack("{s:i, s:i}", "effective", t->n, "samples", t->n_samples));
        set(versions, t->bench->name, json_integer(t->bench->version));
    }
    return json_pack("{s:i, s:o, s:f, s:o, s:{s:s, s:o, s:i, s:b}, s:o, s:o, s:o, s:o, s:{s:I, s:I, s:I, s:f, s:f}}", "schema",
                     LB_EVAL_SCHEMA, "results", results, "average", r->average, "average_stderr", number(r->average_stderr),
                     "config", "sampling", r->sampling, "seeds", seeds, "samples", r->n_sample, "weak_sandbox",
                     r->weak_sandbox, "n-samples", n, "versions", versions, "git_hash", git_json(), "provenance",
                     provenance_json(r), "run", "generated", (json_int_t)r->n_generated, "reused",
                     (json_int_t)r->n_reused, "regraded", (json_int_t)r->n_regraded, "tokens_generated",
                     r->tokens_generated, "seconds", r->seconds);
}

/* ---- comparisons ---- */

static json_t *paired_json(const lb_paired *d)
{
    json_t *j = json_pack("{s:o, s:o, s:[o, o], s:o, s:s, s:I}", "drop", number(d->diff), "drop_stderr",
                          number(d->stderr_diff), "interval", number(d->lo), number(d->hi), "p", number(d->p), "test",
                          isnan(d->p_mcnemar) ? "sign flips" : "McNemar", "n", (json_int_t)d->n_problem);
    if (j && !isnan(d->p_mcnemar)) {
        set(j, "only_baseline", json_integer((json_int_t)d->only_a));
        set(j, "only_run", json_integer((json_int_t)d->only_b));
    }
    return j;
}

json_t *lb_eval_drop_json(const lb_eval_result *r, const lb_eval_drop *d)
{
    json_t *tasks = json_object();
    for (int k = 0; k < r->n_task; k++) {
        json_t *t = paired_json(&d->tasks[k]);
        double seen = lb_stats_detectable(&d->spreads[k]);
        if (t) set(t, "seen", number(seen > 0 ? seen : NAN));
        set(tasks, r->tasks[k].bench->name, t);
    }
    return json_pack("{s:o, s:o, s:s}", "tasks", tasks, "mean", paired_json(&d->mean), "class",
                     lb_degradation_name(d->degradation));
}

json_t *lb_eval_power_json(const lb_spread *s, double d)
{
    bool known = s->total > 0; /* not with one sample of each problem, nor where no outcome varies */
    double problems = known ? lb_stats_problems_needed(s, d) : NAN, samples = known ? lb_stats_samples_needed(s, d) : NAN;
    return json_pack("{s:o, s:o, s:o, s:s}", "seen", known ? number(lb_stats_detectable(s)) : json_null(),
                     "problems", number(problems), "samples", number(samples), "samples_is",
                     isnan(samples) ? "unknown" : isinf(samples) ? "never enough" : "enough");
}
