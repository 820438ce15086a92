/* study/recipe_train.c – the training of a run: what the run says, a file, and what the study says for all become one
 * training recipe (train/recipe.h), which is checked whole before anything runs. */
#include "base/file.h"
#include "base/mem.h"
#include "study/recipe.h"
#include "train/workflow.h"
#include <stdlib.h>
#include <string.h>

enum { ALL_PROMPTS = 1 << 20 };

/* ---- putting it together ---- */

/* Keys of `more` that o has not; of "start", which is an object, its keys. */
static bool fill(json_t *o, const json_t *more, lb_err *err)
{
    json_t *own = json_deep_copy(more), *start = json_object_get(o, "start"), *other = json_object_get(own, "start");
    bool ok = own != NULL;
    if (json_is_object(start) && json_is_object(other)) ok = json_object_update_missing(start, other) == 0;
    ok = ok && json_object_update_missing(o, own) == 0;
    json_decref(own);
    return ok || lb_fail_mem(err, 0, "the recipe");
}

/* The training recipe in a file, without what belongs to a run of `lowbit train`. */
static bool fill_from_file(json_t *o, const char *path, const char *where, lb_err *err)
{
    static const char *const own[] = {"name", "about", "scheme", "eval", NULL};
    json_t *file = lb_json_load(path, err);
    if (!file) return lb_wrap(err, "%s: recipe", where);
    bool ok = json_is_object(file) && json_is_array(json_object_get(file, "stages"));
    if (!ok) lb_fail(err, LB_EFORMAT, "%s: recipe '%s' is no recipe of training: it has no 'stages'", where, path);
    for (int i = 0; ok && own[i]; i++) json_object_del(file, own[i]);
    ok = ok && fill(o, file, err);
    json_decref(file);
    return ok;
}

/* The run's "method" is the start's. */
static bool set_method(json_t *o, const json_t *run, const lb_study_run *r, const char *where, lb_err *err)
{
    const json_t *said = json_object_get(json_object_get(json_object_get(run, "train"), "start"), "method");
    json_t *start = json_object_get(o, "start");
    if (!*r->method) return true;
    if (said && (!json_is_string(said) || strcmp(json_string_value(said), r->method) != 0))
        return lb_fail(err, LB_EFORMAT, "%s: the run's 'method' is '%s', and start has another one: say it once", where,
                       r->method);
    if (start && !json_is_object(start)) return true; /* which the recipe's reader will say */
    if (!start) json_object_set_new(o, "start", start = json_object());
    return json_object_set_new(start, "method", json_string(r->method)) == 0 || lb_fail_mem(err, 0, "the recipe");
}

/* What the study says of a trace, as training recipes say it, so that they stand alone. */
static json_t *trace_json(const lb_study_trace *t)
{
    json_t *j = json_pack("{s:s, s:i, s:i, s:I}", "prompts", t->prompts, "nprompts", t->n_prompt ? t->n_prompt : ALL_PROMPTS,
                          "samples", t->n_sample ? t->n_sample : 1, "seed", (json_int_t)t->seed);
    if (j && t->max_new) json_object_set_new(j, "max_new", json_integer(t->max_new));
    if (j && t->where) json_object_set(j, "where", (json_t *)t->where);
    return j;
}

/* The trace that `source` of the study means, into *t, and as `key` of o. */
static bool set_trace(const lb_study *s, json_t *o, const char *key, const char *source, lb_study_trace *t, const char *where,
                      lb_err *err)
{
    if (!lb_recipe_source(s, source, where, err)) return false;
    *t = *lb_recipe_trace(s, source);
    return json_object_set_new(o, key, trace_json(t)) == 0 || lb_fail_mem(err, 0, "the recipe");
}

/* "self:NAME" as the file of the traces and as what the start is calibrated on. */
static bool set_traces(const lb_study *s, json_t *o, lb_study_run *r, const char *in, lb_err *err)
{
    json_t *start = json_object_get(o, "start");
    const char *file = json_string_value(json_object_get(json_object_get(o, "traces"), "file")),
               *calib = json_string_value(json_object_get(start, "calib"));
    char where[LB_RECIPE_WHERE];
    snprintf(where, sizeof where, "%.600s: traces: file", in);
    if (file && lb_recipe_is_self(file) && !set_trace(s, o, "traces", file, &r->learns, where, err)) return false;
    snprintf(where, sizeof where, "%.600s: start: calib", in);
    if (!calib || !lb_recipe_is_self(calib)) return true;
    if (!set_trace(s, start, "calib", calib, &r->starts_on, where, err)) return false;
    if (!json_equal(json_object_get(start, "calib"), json_object_get(o, "traces"))) return true;
    r->starts_on = (lb_study_trace){0}; /* the very traces of the training */
    return json_object_set_new(start, "calib", json_string("traces")) == 0 || lb_fail_mem(err, 0, "the recipe");
}

static bool set_missing(json_t *o, const char *key, json_t *v, lb_err *err)
{
    bool ok = v != NULL;
    if (ok && !json_object_get(o, key)) ok = json_object_set(o, key, v) == 0;
    json_decref(v);
    return ok || lb_fail_mem(err, 0, "the recipe");
}

/* What a curve leaves open is the study's; --quick asks no more of it than of anything else. */
static bool set_curve(const lb_study *s, json_t *o, bool quick, lb_err *err)
{
    json_t *c = json_object_get(o, "curve"), *seeds = json_array();
    const json_t *tasks = json_object_get(s->recipe, "tasks");
    bool ok = seeds != NULL;
    for (int i = 0; ok && i < s->eval.n_seed; i++) ok = json_array_append_new(seeds, json_integer(s->eval.seeds[i])) == 0;
    if (!ok || !json_is_object(c)) { /* another kind of value is for the recipe's reader to name */
        json_decref(seeds);
        return ok || lb_fail_mem(err, 0, "the recipe");
    }
    const json_t *limit = json_object_get(c, "limit");
    if (quick && json_is_integer(limit) && s->eval.limit && json_integer_value(limit) > s->eval.limit)
        json_object_del(c, "limit");
    if (quick) json_object_del(c, "seeds");
    return set_missing(c, "seeds", seeds, err) &&
           set_missing(c, "tasks", tasks ? json_incref((json_t *)tasks) : json_string("abacus"), err) &&
           set_missing(c, "limit", json_integer(s->eval.limit), err) &&
           set_missing(c, "samples", json_integer(s->eval.n_sample), err) &&
           set_missing(c, "max_new", json_integer(s->eval.max_new), err);
}

/* --quick: no stage has more steps than the recipe's quick part allows. */
static void cap_steps(json_t *o, int most)
{
    json_t *stages = json_object_get(o, "stages"), *v;
    size_t i;
    json_array_foreach (stages, i, v) {
        const json_t *steps = json_object_get(v, "steps");
        if (most && json_is_object(v) && (!steps || (json_is_integer(steps) && json_integer_value(steps) > most)))
            json_object_set_new(v, "steps", json_integer(most));
    }
}

/* ---- checking ---- */

/* By the quantizer's own parser. */
static bool check_start(const lb_train_recipe *t, const lb_compress_spec *q, const char *in, lb_err *err)
{
    lb_compress_spec *x = lb_alloc(1, sizeof *x, "the start", err);
    lb_compress *c = x ? lb_alloc(1, sizeof *c, "the start", err) : NULL;
    char text[LB_TRAIN_OPTIONS][LB_TRAIN_OPTION], where[LB_RECIPE_WHERE];
    bool ok = c != NULL;
    snprintf(where, sizeof where, "%.600s: start", in);
    if (ok) *x = (lb_compress_spec){.method = t->method, .scheme = q->scheme, .save_latent = true};
    ok = ok && lb_train_start_options(t, x, text, where, err) && (lb_compress_parse(c, x, err) || lb_wrap(err, "%s", where));
    if (c) lb_compress_free(c);
    free(c);
    free(x);
    return ok;
}

static bool check_sources(const lb_study *s, const lb_train_recipe *t, const char *in, lb_err *err)
{
    char where[LB_RECIPE_WHERE];
    snprintf(where, sizeof where, "%.600s: start: calib", in);
    if (t->traces.file && !lb_file_exists(t->traces.file))
        return lb_fail(err, LB_EFORMAT, "%s: traces: file '%s' is neither there nor self", in, t->traces.file);
    if (t->teacher && !lb_is_folder(t->teacher))
        return lb_fail(err, LB_EFORMAT, "%s: 'teacher' is '%s', which is no model folder", in, t->teacher);
    return strcmp(t->calib, "traces") == 0 || !*t->calib || lb_recipe_source(s, t->calib, where, err);
}

/* Keys of a run that say how weights are rounded: training has its own. */
static bool check_others(const json_t *run, const lb_study_run *r, const char *where, lb_err *err)
{
    static const char *const no[] = {"clip", "tensor", "target_bpw", "options", "calib", NULL};
    for (int i = 0; no[i]; i++)
        if (json_object_get(run, no[i]))
            return lb_fail(err, LB_EFORMAT, "%s: '%s' means nothing in a run that is trained; calib, nsamples, seqlen and "
                           "options of its start stand in train.start", where, no[i]);
    if (r->scheme.w_bits >= 16)
        return lb_fail(err, LB_EFORMAT, "%s: what is trained wants a scheme of 8 bits or less, such as w2g128", where);
    if (!r->kv) return true;
    lb_compress *c = lb_alloc(1, sizeof *c, "the run", err);
    bool ok = c && (lb_compress_parse(c, &(lb_compress_spec){.scheme = r->quant.scheme, .kv = r->kv}, err) || lb_wrap(err, "%s", where));
    if (ok && c->wants_calib) ok = lb_fail(err, LB_EFORMAT, "%s: kv '%s' is calibrated, which trained models are not", where, r->kv);
    if (c) lb_compress_free(c);
    free(c);
    return ok;
}

/* ---- what it is called ---- */

/* "gptq → kd → grpo", and for a folder "w2g128-gptq-kd-grpo"; a stage of another scheme says so. */
static bool name_it(lb_study *s, json_t *o, const lb_train_recipe *t, lb_study_run *r, lb_err *err)
{
    char scheme[LB_SCHEME_TEXT], other[LB_SCHEME_TEXT];
    lb_buf text = {0}, name = {0};
    lb_scheme_text(&r->scheme, scheme);
    lb_buf_str(&text, t->method);
    lb_buf_fmt(&name, "%s-%.60s", scheme, t->method);
    for (int i = 0; i < t->n_stage; i++) {
        const lb_train_stage *st = &t->stages[i];
        lb_scheme_text(&st->scheme, other);
        lb_buf_fmt(&text, " → %s", lb_stage_kind_name(st->kind));
        if (strcmp(scheme, other) != 0) lb_buf_fmt(&text, " %s", other);
        if (name.n < 100) lb_buf_fmt(&name, "-%s", lb_stage_kind_name(st->kind));
    }
    r->method = lb_recipe_joined(s, lb_buf_cstr(&text), "", "", err);
    bool ok = r->method && lb_buf_ok(&text, "a name", err) && lb_buf_ok(&name, "a name", err) &&
              (json_object_set_new(o, "name", json_string(lb_buf_cstr(&name))) == 0 || lb_fail_mem(err, 0, "a name"));
    lb_buf_free(&name);
    lb_buf_free(&text);
    return ok;
}

static lb_study_trace trace_of(const lb_train_traces *t, const char *name)
{
    return (lb_study_trace){.name = name, .prompts = t->prompts, .where = t->where, .seed = t->seed,
                            .n_prompt = t->n_prompt, .n_sample = t->n_sample, .max_new = t->max_new};
}

/* Traces of the run's own are made and shared like the study's. */
static void set_learns(const lb_train_recipe *t, lb_study_run *r)
{
    if (!lb_train_reads_traces(t) || !t->traces.prompts) r->learns = (lb_study_trace){0};
    else if (!r->learns.prompts) r->learns = trace_of(&t->traces, "train");
    if (*t->calib || !lb_train_quantizes_first(t)) r->starts_on = (lb_study_trace){0};
    else if (!r->starts_on.prompts) r->starts_on = trace_of(&t->calib_traces, "calib");
}

/* Texts of the parsed recipe, and so of the run's traces, are those of o, which the study keeps. */
static bool check(lb_study *s, json_t *o, lb_study_run *r, const char *where, lb_err *err)
{
    lb_train_recipe *t = lb_alloc(1, sizeof *t, "the recipe", err);
    bool ok = t && lb_train_recipe_parse(t, o, where, err) && check_sources(s, t, where, err) &&
              (!lb_train_quantizes_first(t) || check_start(t, &r->quant, where, err)) && name_it(s, o, t, r, err);
    if (ok) set_learns(t, r);
    if (t) lb_train_recipe_free(t);
    free(t);
    return ok;
}

bool lb_recipe_train(lb_study *s, const json_t *run, lb_study_run *r, const char *in, lb_err *err)
{
    static const char *const keys[] = {"recipe", "seed", "compute", "teacher", "keep_every", "traces", "start", "stages", "curve", NULL};
    const json_t *train = json_object_get(run, "train"), *common = json_object_get(s->recipe, "train");
    const char *file = NULL;
    char where[LB_RECIPE_WHERE];
    snprintf(where, sizeof where, "%.600s: train", in);
    if (!lb_json_keys(train, keys, where, err) || !lb_json_opt_str(train, "recipe", &file, where, err) ||
        !check_others(run, r, in, err))
        return false;
    json_t *o = json_pack("{s:s, s:s}", "name", "trained", "scheme", r->quant.scheme);
    bool ok = (o && (s->trainings || (s->trainings = json_array())) && json_array_append_new(s->trainings, o) == 0) ||
              lb_fail_mem(err, 0, "the recipe");
    ok = ok && fill(o, train, err);
    json_object_del(o, "recipe");
    ok = ok && (!file || fill_from_file(o, file, where, err)) && (!common || fill(o, common, err)) &&
         set_method(o, run, r, where, err) && set_traces(s, o, r, where, err) && set_curve(s, o, s->quick, err);
    if (!ok) return false;
    cap_steps(o, s->quick_steps);
    r->train = o, r->makes_model = true;
    return check(s, o, r, where, err);
}
