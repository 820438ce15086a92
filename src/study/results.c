/* study/results.c – a study as JSON, and its samples line by line: what the report reads (study/report.h). */
#include "study/study.h"
#include <math.h>
#include <string.h>
#include <time.h>

/* NaN has no JSON: null. */
static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static void set(json_t *o, const char *key, json_t *v) { json_object_set_new(o, key, v); }

static json_t *by_level(const double *v)
{
    json_t *o = json_object();
    for (int l = 0; l < LB_N_LEVEL; l++) {
        char name[2] = {(char)('1' + l), 0};
        if (isfinite(v[l])) set(o, name, json_real(v[l]));
    }
    return o;
}

static json_t *calib_json(const lb_study_run *r)
{
    const lb_calib_spec *c = &r->quant.calib;
    json_t *o = json_object();
    if (!r->calibrates) return o;
    set(o, "source", json_string(c->source));
    set(o, "nsamples", json_integer(c->n_seq ? c->n_seq : 128));
    set(o, "seqlen", json_integer(c->n_tok ? c->n_tok : 2048));
    set(o, "seed", json_integer((json_int_t)c->seed));
    return o;
}

/* "KEY=TEXT" as {KEY: TEXT}; texts of the last '=' on, as the quantizer reads them. */
static json_t *texts_json(const char *const *list, int n)
{
    json_t *o = json_object();
    for (int i = 0; i < n; i++) {
        const char *eq = strrchr(list[i], '=');
        json_object_setn_new(o, list[i], (size_t)(eq - list[i]), json_string(eq + 1));
    }
    return o;
}

static json_t *eval_json(const lb_study_run *r)
{
    json_t *o = json_object();
    if (r->max_new) set(o, "max_new", json_integer(r->max_new));
    if (r->think_budget) set(o, "think_budget", json_integer(r->think_budget));
    if (r->think_extend) set(o, "think_extend", json_integer(r->think_extend));
    return o;
}

/* What the recipe says of a run; keys that it does not have are left out. */
static void add_settings(const lb_study *s, const lb_study_run *r, json_t *j)
{
    static const char *const states[] = {"pending", "done", "failed"};
    char scheme[LB_SCHEME_TEXT];
    const lb_compress_spec *q = &r->quant;
    json_t *calib = calib_json(r), *eval = eval_json(r), *rules = texts_json(q->tensor, q->n_tensor),
           *options = texts_json(q->opt, q->n_opt);
    lb_scheme_text(&r->scheme, scheme);
    set(j, "id", json_string(r->id));
    set(j, "label", json_string(r->label));
    set(j, "group", json_string(r->group));
    set(j, "status", json_string(states[r->state]));
    if (r->state == LB_STUDY_FAILED) set(j, "error", json_string(r->error));
    set(j, "base", json_string(s->models[r->model].dir));
    set(j, "scheme", json_string(scheme));
    if (*r->method) set(j, "method", json_string(r->method));
    if (q->clip) set(j, "clip", json_string(q->clip));
    if (r->kv) set(j, "kv", json_string(r->kv));
    if (r->target_bpw > 0) set(j, "target_bpw", json_real(r->target_bpw));
    if (json_object_size(rules)) json_object_set(j, "tensor", rules);
    if (json_object_size(options)) json_object_set(j, "options", options);
    if (json_object_size(calib)) json_object_set(j, "calib", calib);
    if (r->train) json_object_set(j, "train", (json_t *)r->train);
    if (json_object_size(eval)) json_object_set(j, "eval", eval);
    set(j, "baseline", json_string(s->runs[r->baseline].id));
    json_decref(options);
    json_decref(rules);
    json_decref(calib);
    json_decref(eval);
}

static void add_results(const lb_study_run *r, json_t *j)
{
    json_t *e = lb_eval_json(&r->result);
    double levels[LB_N_LEVEL], errors[LB_N_LEVEL];
    for (int l = 0; l < LB_N_LEVEL; l++) levels[l] = lb_study_level_mean(&r->result, l, &errors[l]);
    lb_study_means m = lb_study_mean(&r->result);
    set(j, "model", json_string(r->dir));
    set(j, "bits_per_weight", json_real(r->bits_per_weight));
    set(j, "size_bytes", json_real(r->size_bytes));
    json_object_update(j, e);
    json_decref(e);
    set(j, "by_level", by_level(levels));
    set(j, "by_level_stderr", by_level(errors));
    set(j, "tokens_mean", json_real(m.tokens));
    set(j, "truncated", json_real(m.truncated));
    set(j, "think_closed", json_real(m.think_closed));
    if (!r->compared) return;
    set(j, "drop", json_real(r->drop));
    set(j, "drop_stderr", number(r->drop_stderr));
    set(j, "class", json_string(r->class_name));
    set(j, "drop_by_level", by_level(r->level_drop));
    set(j, "drop_by_level_stderr", by_level(r->level_drop_stderr));
}

/* Each benchmark with what it mirrors; how many problems is known once a run is done. */
static json_t *tasks_json(const lb_study *s)
{
    json_t *list = json_array();
    for (int k = 0; k < s->n_task; k++) {
        const lb_bench *b = s->tasks[k];
        json_array_append_new(list, json_pack("{s:s, s:s, s:i}", "name", b->name, "like", b->like ? b->like : "",
                                              "version", b->version));
    }
    return list;
}

json_t *lb_study_json(const lb_study *s)
{
    json_t *runs = json_array(), *models = json_array(), *seeds = json_array();
    const char *about = json_string_value(json_object_get(s->recipe, "about"));
    char now[32] = "";
    time_t t = time(NULL);
    struct tm utc;
    if (gmtime_r(&t, &utc)) strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    for (int i = 0; i < s->n_run; i++) {
        json_t *j = json_object();
        add_settings(s, &s->runs[i], j);
        if (s->runs[i].state == LB_STUDY_DONE) add_results(&s->runs[i], j);
        json_array_append_new(runs, j);
    }
    for (int i = 0; i < s->n_model; i++)
        json_array_append_new(models, json_pack("{s:s, s:s}", "path", s->models[i].dir, "hash", s->models[i].hash));
    for (int i = 0; i < s->eval.n_seed; i++) json_array_append_new(seeds, json_integer(s->eval.seeds[i]));
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:o, s:o, s:o, s:i, s:i, s:o}", "study", s->name, "about",
                     about ? about : "", "schema", LB_STUDY_SCHEMA, "version", lb_version(), "written", now, "models",
                     models, "tasks", tasks_json(s), "seeds", seeds, "samples", s->eval.n_sample, "failed",
                     s->n_failed, "runs", runs);
}

/* Of a sample's key in the database all but what its run and task have in common (results.json). */
void lb_study_samples(const lb_study_run *r, lb_buf *b)
{
    static const char *const verdicts[] = {"wrong", "right", "unknown"};
    for (int k = 0; k < r->result.n_task; k++) {
        const lb_task_result *t = &r->result.tasks[k];
        for (int i = 0; i < t->n_samples; i++) {
            const lb_outcome *o = &t->outcomes[i];
            const lb_sample_stat *x = &t->stats[i];
            char prompt[33];
            lb_hash_hex(t->prompts[i / (t->n_samples / t->n)], prompt);
            lb_buf_fmt(b,
                       "{\"task\": \"%s\", \"problem\": %lld, \"level\": %d, \"seed\": %lld, \"sample\": %d, "
                       "\"prompt_hash\": \"%s\", \"correct\": %s, \"verdict\": \"%s\", \"strict\": \"%s\", "
                       "\"lenient\": \"%s\", \"tokens\": %d, \"finish\": \"%s\", \"think_closed\": %s}\n",
                       t->bench->name, (long long)o->problem, x->level, (long long)o->seed, x->sample, prompt,
                       o->correct ? "true" : "false", verdicts[x->verdict], verdicts[x->strict], verdicts[x->lenient],
                       x->n_tokens, x->truncated ? "length" : "stop", x->think_closed ? "true" : "false");
        }
    }
}
