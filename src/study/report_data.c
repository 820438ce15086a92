/* study/report_data.c – reading results.json, samples and what else there is of each run. */
#include "study/report_data.h"
#include "base/file.h"
#include "base/mem.h"
#include "study/study.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WHERE = 700, MAX_SAMPLES_BYTES = 1 << 30 };

/* A number or null (NaN); anything else is an error. */
static bool number(const json_t *o, const char *key, double *out, const char *where, lb_err *err)
{
    *out = NAN;
    return lb_json_opt_real(o, key, -1e300, 1e300, out, where, err);
}

static bool text(const json_t *o, const char *key, const char **out, const char *where, lb_err *err)
{
    *out = "";
    return lb_json_opt_str(o, key, out, where, err);
}

static bool whole(const json_t *o, const char *key, int *out, const char *where, lb_err *err)
{
    int64_t v = 0;
    bool ok = lb_json_opt_int(o, key, 0, 1 << 30, &v, where, err);
    *out = (int)v;
    return ok;
}

/* An object, or NULL where there is none. */
static bool object(const json_t *o, const char *key, const json_t **out, const char *where, lb_err *err)
{
    *out = json_object_get(o, key);
    return !*out || json_is_object(*out) ||
           lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted an object", where, key, lb_json_kind(*out));
}

static const json_t *list(const json_t *o, const char *key, const char *where, lb_err *err)
{
    const json_t *a = json_object_get(o, key);
    if (json_is_array(a)) return a;
    return lb_fail_null(err, LB_EFORMAT, "%s: '%s' is %s, wanted an array", where, key, lb_json_kind(a));
}

/* ---- one run of results.json ---- */

static bool levels(const json_t *run, const char *key, double *out, const char *where, lb_err *err)
{
    const json_t *o;
    if (!object(run, key, &o, where, err)) return false;
    for (int l = 0; l < LB_REP_LEVELS; l++) {
        char name[2] = {(char)('1' + l), 0};
        if (!number(o, name, &out[l], where, err)) return false;
    }
    return true;
}

/* The bits that a scheme's text names: "w8a8kv8", "w3g128", "mxfp4a4". */
static void scheme_bits(lb_rep_run *r)
{
    const char *s = r->scheme, *kv = strstr(r->kv, "kv"), *in = strstr(s, "kv");
    size_t start = strncmp(s, "mxfp4", 5) == 0 || strncmp(s, "nvfp4", 5) == 0 ? 5 : 0;
    r->w_bits = start ? 4 : s[0] == 'w' ? atoi(s + 1) : 16;
    r->a_bits = r->kv_bits = 16;
    size_t i = start ? start : 1;
    while (isdigit((unsigned char)s[i])) i++;
    if (s[0] && s[i] == 'a' && isdigit((unsigned char)s[i + 1])) r->a_bits = atoi(s + i + 1);
    if (in && isdigit((unsigned char)in[2])) r->kv_bits = atoi(in + 2);
    if (kv && isdigit((unsigned char)kv[2])) r->kv_bits = atoi(kv + 2);
}

static bool read_task(const lb_rep *rep, const json_t *results, lb_rep_run *r, int k, const char *in, lb_err *err)
{
    const json_t *t, *v;
    char where[WHERE];
    size_t i;
    int n;
    snprintf(where, sizeof where, "%.600s: %.60s", in, rep->task[k]);
    if (!object(results, rep->task[k], &t, in, err) || !number(t, "accuracy", &r->acc[k], where, err) ||
        !number(t, "accuracy_stderr", &r->acc_se[k], where, err) || !whole(t, "n", &n, where, err))
        return false;
    r->n_problem += n;
    const json_t *seeds = json_object_get(t, "per_seed");
    json_array_foreach (seeds, i, v)
        if ((int)i < rep->n_seed) r->seed_mean[i] += json_number_value(v) / rep->n_task;
    return true;
}

static bool read_results(const lb_rep *rep, const json_t *o, lb_rep_run *r, const char *where, lb_err *err)
{
    const json_t *results, *config;
    if (!object(o, "results", &results, where, err) || !object(o, "config", &config, where, err)) return false;
    for (int k = 0; k < rep->n_task; k++)
        if (!read_task(rep, results, r, k, where, err)) return false;
    r->compared = json_object_get(o, "drop") != NULL;
    return text(config, "sampling", &r->sampling, where, err) && number(o, "bits_per_weight", &r->bits, where, err) &&
           number(o, "size_bytes", &r->size_bytes, where, err) && number(o, "average", &r->average, where, err) &&
           number(o, "average_stderr", &r->average_se, where, err) && number(o, "drop", &r->drop, where, err) &&
           number(o, "drop_stderr", &r->drop_se, where, err) && text(o, "class", &r->class_name, where, err) &&
           number(o, "tokens_mean", &r->tokens_mean, where, err) &&
           number(o, "truncated", &r->truncated, where, err) &&
           number(o, "think_closed", &r->think_closed, where, err) && levels(o, "by_level", r->level, where, err) &&
           levels(o, "drop_by_level", r->level_drop, where, err) &&
           levels(o, "drop_by_level_stderr", r->level_drop_se, where, err);
}

static bool read_run(const lb_rep *rep, const json_t *o, lb_rep_run *r, const char *where, lb_err *err)
{
    const char *status;
    const json_t *calib, *eval;
    *r = (lb_rep_run){.baseline = -1,
                      .tokens_wrong = NAN,
                      .average = NAN,
                      .average_se = NAN,
                      .drop = NAN,
                      .drop_se = NAN,
                      .bits = NAN,
                      .size_bytes = NAN,
                      .class_name = "",
                      .sampling = "",
                      .transform = "",
                      .verdict = ""};
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(o));
    if (!lb_json_get_str(o, "id", &r->id, where, err) || !lb_json_get_str(o, "label", &r->label, where, err) ||
        !lb_json_get_str(o, "group", &r->group, where, err) || !lb_json_get_str(o, "status", &status, where, err) ||
        !lb_json_get_str(o, "scheme", &r->scheme, where, err) || !text(o, "base", &r->base, where, err) ||
        !text(o, "method", &r->method, where, err) || !text(o, "kv", &r->kv, where, err) ||
        !text(o, "error", &r->error, where, err) || !object(o, "calib", &calib, where, err) ||
        !object(o, "eval", &eval, where, err) || !text(calib, "source", &r->calib_source, where, err) ||
        !whole(calib, "seqlen", &r->seq_len, where, err) || !whole(calib, "nsamples", &r->n_calib, where, err) ||
        !whole(eval, "think_budget", &r->think_budget, where, err) ||
        !whole(eval, "think_extend", &r->think_extend, where, err))
        return false;
    if (!lb_is_plain_name(r->id)) /* it names a folder below */
        return lb_fail(err, LB_EFORMAT, "%s: 'id' is '%s', wanted a plain file name", where, r->id);
    scheme_bits(r);
    r->done = strcmp(status, "done") == 0;
    r->failed = strcmp(status, "failed") == 0;
    return !r->done || read_results(rep, o, r, where, err);
}

/* ---- samples ---- */

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool read_samples(lb_rep_run *r, const char *path, lb_err *err)
{
    size_t size, cap = 0, line = 0, n_wrong = 0;
    double wrong = 0;
    char *all = lb_file_read(path, MAX_SAMPLES_BYTES, &size, err), where[WHERE];
    bool ok = all != NULL;
    for (char *p = all, *end; ok && p && *p; p = end) {
        end = strchr(p, '\n');
        end = end ? end + 1 : p + strlen(p);
        line++;
        if (end - p <= 1) continue;
        snprintf(where, sizeof where, "%.600s: line %zu", path, line);
        json_t *o = lb_json_parse(p, (size_t)(end - p), where, err);
        double n;
        ok = o && lb_json_get_real(o, "tokens", 0, 1e12, &n, where, err) &&
             lb_grow(&r->tokens, &cap, r->n_sample + 1, sizeof *r->tokens, "the samples", err);
        if (ok) r->tokens[r->n_sample++] = n;
        if (ok && json_is_false(json_object_get(o, "correct"))) wrong += n, n_wrong++;
        json_decref(o);
    }
    free(all);
    if (r->n_sample) qsort(r->tokens, r->n_sample, sizeof *r->tokens, rising);
    if (n_wrong) r->tokens_wrong = wrong / (double)n_wrong;
    return ok;
}

double lb_rep_quantile(const double *v, size_t n, double q)
{
    if (n == 0) return NAN;
    double at = q * (double)(n - 1), whole_part = floor(at);
    size_t i = (size_t)whole_part;
    return i + 1 < n ? v[i] + (at - whole_part) * (v[i + 1] - v[i]) : v[n - 1];
}

/* ---- what else there may be of a run ---- */

/* Loads NAME from runs/ID/ or from the model's folder, also if the study was moved; *doc stays NULL without one. */
static bool load_extra(const lb_rep *rep, const char *id, const char *model, const char *name, bool has_schema,
                       json_t **doc, char path[1600], lb_err *err)
{
    snprintf(path, 1600, "%.700s/runs/%.255s/%s", rep->dir, id, name);
    const char *slash = strrchr(model, '/');
    if (!lb_file_exists(path)) snprintf(path, 1600, "%.900s/%s", model, name);
    if (!lb_file_exists(path) && slash) snprintf(path, 1600, "%.700s/models%.255s/%s", rep->dir, slash, name);
    if (!lb_file_exists(path)) return true;
    *doc = lb_json_load(path, err);
    int64_t schema = 0;
    if (!*doc || !has_schema) return *doc != NULL;
    if (!lb_json_get_int(*doc, "schema", 0, INT32_MAX, &schema, path, err)) return false;
    return schema == 1 ||
           lb_fail(err, LB_EUNSUPPORTED, "%s has schema %lld, this lowbit knows 1", path, (long long)schema);
}

static int layer_of(const char *name)
{
    const char *at = strstr(name, "layers.");
    return at && isdigit((unsigned char)at[7]) ? atoi(at + 7) : -1;
}

/* The lists of layers.json and of the quantizer's own record, which counts bytes instead of bits. */
static bool read_layers(lb_rep_run *r, const char *key, const char *path, lb_err *err)
{
    const json_t *a = list(r->layers_doc, key, path, err), *o;
    char where[WHERE];
    size_t i;
    if (!a || !(r->layers = lb_alloc(json_array_size(a), sizeof *r->layers, "the layers", err))) return false;
    json_array_foreach (a, i, o) {
        lb_rep_layer *x = &r->layers[i];
        double bytes, n, k;
        snprintf(where, sizeof where, "%.600s: %s[%zu]", path, key, i);
        if (!lb_json_get_str(o, "name", &x->name, where, err) || !number(o, "bits", &x->bits, where, err) ||
            !number(o, "mse_rel", &x->mse_rel, where, err) || !number(o, "error_rel", &x->error_rel, where, err) ||
            !number(o, "bytes", &bytes, where, err) || !number(o, "n", &n, where, err) ||
            !number(o, "k", &k, where, err))
            return false;
        if (isfinite(bytes) && n > 0 && k > 0) x->bits = 8 * bytes / (n * k);
        x->layer = layer_of(x->name);
        r->n_layer++;
    }
    return true;
}

static bool read_spread(const json_t *o, lb_rep_spread *s, const char *where, lb_err *err)
{
    return number(o, "p50", &s->p50, where, err) && number(o, "p90", &s->p90, where, err) &&
           number(o, "p99", &s->p99, where, err) && number(o, "max", &s->max, where, err);
}

static bool read_sites(lb_rep_run *r, const char *path, lb_err *err)
{
    const json_t *a = list(r->outliers_doc, "sites", path, err), *o, *before, *after;
    char where[WHERE];
    size_t i;
    if (!a || !text(r->outliers_doc, "transform", &r->transform, path, err) ||
        !(r->sites = lb_alloc(json_array_size(a), sizeof *r->sites, "the outliers", err)))
        return false;
    json_array_foreach (a, i, o) {
        lb_rep_site *x = &r->sites[i];
        snprintf(where, sizeof where, "%.600s: sites[%zu]", path, i);
        after = json_object_get(o, "after");
        if (!lb_json_get_str(o, "kind", &x->kind, where, err) || !lb_json_get_str(o, "site", &x->site, where, err) ||
            !whole(o, "layer", &x->layer, where, err) || !object(o, "before", &before, where, err) ||
            !read_spread(before, &x->before, where, err))
            return false;
        x->has_after = json_is_object(after);
        if (x->has_after && !read_spread(after, &x->after, where, err)) return false;
        r->n_site++;
    }
    return true;
}

static bool read_kl(lb_rep_run *r, const char *path, lb_err *err)
{
    const json_t *a = list(r->kl_doc, "buckets", path, err), *o;
    char where[WHERE];
    size_t i;
    if (!a || !number(r->kl_doc, "mean", &r->kl_mean, path, err) || !number(r->kl_doc, "p99", &r->kl_p99, path, err) ||
        !number(r->kl_doc, "top1", &r->kl_top1, path, err) ||
        !(r->kl = lb_alloc(json_array_size(a), sizeof *r->kl, "the divergences", err)))
        return false;
    json_array_foreach (a, i, o) {
        lb_rep_kl *x = &r->kl[i];
        snprintf(where, sizeof where, "%.600s: buckets[%zu]", path, i);
        if (!lb_json_get_real(o, "begin", 0, 1e12, &x->begin, where, err) ||
            !lb_json_get_real(o, "end", 0, 1e12, &x->end, where, err) || !number(o, "mean", &x->mean, where, err) ||
            !number(o, "p99", &x->p99, where, err))
            return false;
        r->n_kl++;
    }
    return true;
}

/* What lowbit doctor --json says: the summary, and the divergence by position where there is no kl.json. */
static bool read_doctor(lb_rep_run *r, const char *path, lb_err *err)
{
    const json_t *d = r->doctor_doc, *traces, *answers, *kl, *top1, *model, *loops, *length, *list_, *o;
    char where[WHERE];
    size_t i;
    if (!text(d, "verdict", &r->verdict, path, err) || !object(d, "traces", &traces, path, err) ||
        !object(d, "answers", &answers, path, err) || !object(traces, "kl", &kl, path, err) ||
        !object(traces, "top1", &top1, path, err) || !object(answers, "model", &model, path, err) ||
        !object(model, "loops", &loops, path, err) || !object(answers, "length", &length, path, err) ||
        !number(kl, "mean", &r->kl_mean, path, err) || !number(kl, "stderr", &r->kl_se, path, err) ||
        !number(top1, "mean", &r->kl_top1, path, err) || !number(traces, "kl_p99", &r->kl_p99, path, err) ||
        !number(traces, "ppl_base", &r->ppl_base, path, err) || !number(traces, "ppl", &r->ppl, path, err) ||
        !number(loops, "mean", &r->loops, path, err) || !number(length, "mean", &r->length, path, err) ||
        !number(length, "stderr", &r->length_se, path, err))
        return false;
    list_ = json_object_get(traces, "kl_by_position");
    if (r->kl || !json_is_array(list_)) return true;
    if (!(r->kl = lb_alloc(json_array_size(list_), sizeof *r->kl, "the divergences", err))) return false;
    json_array_foreach (list_, i, o) {
        lb_rep_kl *x = &r->kl[i];
        const json_t *next = json_array_get(list_, i + 1);
        snprintf(where, sizeof where, "%.600s: kl_by_position[%zu]", path, i);
        if (!lb_json_get_real(o, "from", 0, 1e12, &x->begin, where, err) || !number(o, "kl", &x->mean, where, err))
            return false;
        x->end = next ? json_number_value(json_object_get(next, "from")) : 2 * x->begin; /* they double */
        x->p99 = NAN;
        r->n_kl++;
    }
    return true;
}

static bool read_extras(const lb_rep *rep, const json_t *o, lb_rep_run *r, lb_err *err)
{
    char path[1600];
    const char *model;
    if (!text(o, "model", &model, r->id, err)) return false;
    snprintf(path, sizeof path, "%.700s/runs/%.255s/samples.jsonl", rep->dir, r->id);
    if (lb_file_exists(path) && !read_samples(r, path, err)) return false;
    if (!load_extra(rep, r->id, model, "layers.json", true, &r->layers_doc, path, err)) return false;
    const char *layers = r->layers_doc ? "layers" : "modules";
    if (!r->layers_doc && !load_extra(rep, r->id, model, "lowbit-quantize.json", false, &r->layers_doc, path, err))
        return false;
    return (!r->layers_doc || read_layers(r, layers, path, err)) &&
           load_extra(rep, r->id, model, "outliers.json", true, &r->outliers_doc, path, err) &&
           (!r->outliers_doc || read_sites(r, path, err)) &&
           load_extra(rep, r->id, model, "kl.json", true, &r->kl_doc, path, err) &&
           (!r->kl_doc || read_kl(r, path, err)) &&
           load_extra(rep, r->id, model, "doctor.json", false, &r->doctor_doc, path, err) &&
           (!r->doctor_doc || read_doctor(r, path, err));
}

/* ---- the study ---- */

static bool read_head(lb_rep *r, const char *path, lb_err *err)
{
    const json_t *tasks, *seeds, *v;
    int64_t schema = 0;
    size_t i;
    if (!lb_json_get_int(r->doc, "schema", 0, INT32_MAX, &schema, path, err)) return false;
    if (schema != LB_STUDY_SCHEMA)
        return lb_fail(err, LB_EUNSUPPORTED,
                       "%s has schema %lld, this lowbit reads %d; run the recipe again: nothing that is "
                       "finished is generated anew",
                       path, (long long)schema, LB_STUDY_SCHEMA);
    if (!lb_json_get_str(r->doc, "study", &r->name, path, err) || !text(r->doc, "about", &r->about, path, err) ||
        !text(r->doc, "version", &r->version, path, err) || !text(r->doc, "written", &r->written, path, err) ||
        !whole(r->doc, "samples", &r->n_per_seed, path, err) || !whole(r->doc, "failed", &r->n_failed, path, err) ||
        !(tasks = list(r->doc, "tasks", path, err)) || !(seeds = list(r->doc, "seeds", path, err)))
        return false;
    if (json_array_size(tasks) == 0 || json_array_size(tasks) > LB_REP_TASKS || json_array_size(seeds) > LB_REP_SEEDS)
        return lb_fail(err, LB_EFORMAT, "%s has %zu tasks and %zu seeds; at most %d and %d, and a task there must be",
                       path, json_array_size(tasks), json_array_size(seeds), LB_REP_TASKS, LB_REP_SEEDS);
    json_array_foreach (seeds, i, v) r->seeds[r->n_seed++] = json_integer_value(v);
    json_array_foreach (tasks, i, v) {
        if (!lb_json_get_str(v, "name", &r->task[i], path, err) || !text(v, "like", &r->like[i], path, err))
            return false;
        r->n_task++;
    }
    return true;
}

static bool read_all(lb_rep *r, const char *path, lb_err *err)
{
    const json_t *runs, *o;
    const char *base;
    char where[WHERE];
    size_t i;
    if (!read_head(r, path, err) || !(runs = list(r->doc, "runs", path, err)) ||
        !(r->runs = lb_alloc(json_array_size(runs), sizeof *r->runs, "the runs", err)))
        return false;
    json_array_foreach (runs, i, o) {
        snprintf(where, sizeof where, "%.600s: runs[%zu]", path, i);
        lb_rep_run *x = &r->runs[r->n_run++];
        if (!read_run(r, o, x, where, err) || (x->done && !read_extras(r, o, x, err))) return false;
    }
    json_array_foreach (runs, i, o) {
        if (!text(o, "baseline", &base, path, err)) return false;
        for (int j = 0; j < r->n_run; j++)
            if (strcmp(r->runs[j].id, base) == 0) r->runs[i].baseline = j;
        r->runs[i].is_baseline = r->runs[i].baseline == (int)i;
    }
    return true;
}

bool lb_rep_load(lb_rep *r, const char *study_dir, lb_err *err)
{
    *r = (lb_rep){.dir = study_dir};
    if (!lb_is_folder(study_dir))
        return lb_fail(err, LB_EUSAGE, "%s is no folder; wanted the output folder of lowbit study", study_dir);
    char *path = lb_path_join(study_dir, "results.json", err);
    if (path && !lb_file_exists(path))
        lb_fail(err, LB_EFORMAT, "%s: there is no results.json; is it the output folder of lowbit study?", study_dir);
    else if (path) r->doc = lb_json_load(path, err);
    bool ok = r->doc &&
              (json_is_object(r->doc) ||
               lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", path, lb_json_kind(r->doc))) &&
              read_all(r, path, err);
    free(path);
    if (!ok) lb_rep_free(r);
    return ok;
}

void lb_rep_free(lb_rep *r)
{
    for (int i = 0; r->runs && i < r->n_run; i++) {
        lb_rep_run *x = &r->runs[i];
        free(x->tokens);
        free(x->layers);
        free(x->sites);
        free(x->kl);
        json_decref(x->layers_doc);
        json_decref(x->outliers_doc);
        json_decref(x->kl_doc);
        json_decref(x->doctor_doc);
    }
    free(r->runs);
    json_decref(r->doc);
    memset(r, 0, sizeof *r);
}

bool lb_rep_in(const lb_rep_run *r, const char *group) { return strcmp(r->group, group) == 0; }

void lb_rep_family(const lb_rep_run *r, char out[64])
{
    const char *kv = r->kv;
    out[0] = 0;
    if (*r->method) snprintf(out, 64, "%.60s", r->method);
    else if (*kv) {
        const char *dash = strchr(kv, '-');
        snprintf(out, 64, "%.60s", dash ? dash + 1 : "per token");
    }
}
