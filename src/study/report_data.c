/* study/report_data.c – reading results.json; what else there is of each run is read by report_extra.c, and how its model
 * was trained by report_train_read.c. */
#include "study/report_read.h"
#include "base/file.h"
#include "base/mem.h"
#include "study/study.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WHERE = 700 };

/* ---- one run of results.json ---- */

static bool levels(const json_t *run, const char *key, double *out, const char *where, lb_err *err)
{
    const json_t *o;
    if (!lb_rep_object(run, key, &o, where, err)) return false;
    for (int l = 0; l < LB_REP_LEVELS; l++) {
        char name[2] = {(char)('1' + l), 0};
        if (!lb_rep_number(o, name, &out[l], where, err)) return false;
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
    if (!lb_rep_object(results, rep->task[k], &t, in, err) || !lb_rep_number(t, "accuracy", &r->acc[k], where, err) ||
        !lb_rep_number(t, "accuracy_stderr", &r->acc_se[k], where, err) || !lb_rep_whole(t, "n", &n, where, err) ||
        !lb_rep_text(t, "sampling", &r->task_sampling[k], where, err) ||
        !lb_rep_whole(t, "version", &r->task_version[k], where, err) ||
        !lb_rep_number(t, "strict", &r->acc_strict[k], where, err) ||
        !lb_rep_number(t, "strict_stderr", &r->strict_se[k], where, err) ||
        !lb_rep_number(t, "lenient", &r->acc_lenient[k], where, err) ||
        !lb_rep_number(t, "lenient_stderr", &r->lenient_se[k], where, err))
        return false;
    r->n_problem += n;
    const json_t *seeds = json_object_get(t, "per_seed");
    json_array_foreach (seeds, i, v)
        if ((int)i < rep->n_seed) r->seed_mean[i] += json_number_value(v) / rep->n_task;
    return true;
}

static bool read_results(const lb_rep *rep, const json_t *o, lb_rep_run *r, const char *where, lb_err *err)
{
    const json_t *results, *config, *from;
    if (!lb_rep_object(o, "results", &results, where, err) || !lb_rep_object(o, "config", &config, where, err) ||
        !lb_rep_object(o, "provenance", &from, where, err))
        return false;
    for (int k = 0; k < rep->n_task; k++)
        if (!read_task(rep, results, r, k, where, err)) return false;
    r->compared = json_object_get(o, "drop") != NULL;
    return lb_rep_text(config, "sampling", &r->sampling, where, err) &&
           lb_rep_text(from, "model_hash", &r->model_hash, where, err) &&
           lb_rep_number(o, "bits_per_weight", &r->bits, where, err) &&
           lb_rep_number(o, "size_bytes", &r->size_bytes, where, err) &&
           lb_rep_number(o, "average", &r->average, where, err) &&
           lb_rep_number(o, "average_stderr", &r->average_se, where, err) &&
           lb_rep_number(o, "drop", &r->drop, where, err) && lb_rep_number(o, "drop_stderr", &r->drop_se, where, err) &&
           lb_rep_text(o, "class", &r->class_name, where, err) &&
           lb_rep_number(o, "tokens_mean", &r->tokens_mean, where, err) &&
           lb_rep_number(o, "truncated", &r->truncated, where, err) &&
           lb_rep_number(o, "think_closed", &r->think_closed, where, err) &&
           levels(o, "by_level", r->level, where, err) && levels(o, "by_level_stderr", r->level_se, where, err) &&
           levels(o, "drop_by_level", r->level_drop, where, err) &&
           levels(o, "drop_by_level_stderr", r->level_drop_se, where, err);
}

static const lb_rep_run no_run = {.baseline = -1,
                                  .tokens_wrong = NAN,
                                  .average = NAN,
                                  .average_se = NAN,
                                  .drop = NAN,
                                  .drop_se = NAN,
                                  .bits = NAN,
                                  .size_bytes = NAN,
                                  .class_name = "",
                                  .model_hash = "",
                                  .sampling = "",
                                  .transform = "",
                                  .verdict = ""};

static bool read_run(const lb_rep *rep, const json_t *o, lb_rep_run *r, const char *where, lb_err *err)
{
    const char *status;
    const json_t *calib, *eval;
    *r = no_run;
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(o));
    if (!lb_json_get_str(o, "id", &r->id, where, err) || !lb_json_get_str(o, "label", &r->label, where, err) ||
        !lb_json_get_str(o, "group", &r->group, where, err) || !lb_json_get_str(o, "status", &status, where, err) ||
        !lb_json_get_str(o, "scheme", &r->scheme, where, err) || !lb_rep_text(o, "base", &r->base, where, err) ||
        !lb_rep_text(o, "method", &r->method, where, err) || !lb_rep_text(o, "kv", &r->kv, where, err) ||
        !lb_rep_text(o, "error", &r->error, where, err) || !lb_rep_object(o, "calib", &calib, where, err) ||
        !lb_rep_object(o, "eval", &eval, where, err) || !lb_rep_text(calib, "source", &r->calib_source, where, err) ||
        !lb_rep_whole(calib, "seqlen", &r->seq_len, where, err) ||
        !lb_rep_whole(calib, "nsamples", &r->n_calib, where, err) ||
        !lb_rep_whole(eval, "think_budget", &r->think_budget, where, err) ||
        !lb_rep_whole(eval, "think_extend", &r->think_extend, where, err))
        return false;
    if (!lb_is_plain_name(r->id)) /* it names a folder below */
        return lb_fail(err, LB_EFORMAT, "%s: 'id' is '%s', wanted a plain file name", where, r->id);
    scheme_bits(r);
    r->done = strcmp(status, "done") == 0;
    r->failed = strcmp(status, "failed") == 0;
    return !r->done || read_results(rep, o, r, where, err);
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
    if (!lb_json_get_str(r->doc, "study", &r->name, path, err) || !lb_rep_text(r->doc, "about", &r->about, path, err) ||
        !lb_rep_text(r->doc, "version", &r->version, path, err) ||
        !lb_rep_text(r->doc, "written", &r->written, path, err) ||
        !lb_rep_whole(r->doc, "samples", &r->n_per_seed, path, err) ||
        !lb_rep_whole(r->doc, "failed", &r->n_failed, path, err) ||
        !(tasks = lb_rep_list(r->doc, "tasks", path, err)) || !(seeds = lb_rep_list(r->doc, "seeds", path, err)))
        return false;
    if (json_array_size(tasks) == 0 || json_array_size(tasks) > LB_REP_TASKS || json_array_size(seeds) > LB_REP_SEEDS)
        return lb_fail(err, LB_EFORMAT, "%s has %zu tasks and %zu seeds; at most %d and %d, and a task there must be",
                       path, json_array_size(tasks), json_array_size(seeds), LB_REP_TASKS, LB_REP_SEEDS);
    json_array_foreach (seeds, i, v) r->seeds[r->n_seed++] = json_integer_value(v);
    json_array_foreach (tasks, i, v) {
        if (!lb_json_get_str(v, "name", &r->task[i], path, err) || !lb_rep_text(v, "like", &r->like[i], path, err))
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
    if (!read_head(r, path, err) || !(runs = lb_rep_list(r->doc, "runs", path, err)) ||
        !(r->runs = lb_alloc(json_array_size(runs), sizeof *r->runs, "the runs", err)))
        return false;
    json_array_foreach (runs, i, o) {
        snprintf(where, sizeof where, "%.600s: runs[%zu]", path, i);
        lb_rep_run *x = &r->runs[r->n_run++];
        if (!read_run(r, o, x, where, err) || (x->done && !lb_rep_read_extras(r, o, x, err))) return false;
    }
    json_array_foreach (runs, i, o) {
        if (!lb_rep_text(o, "baseline", &base, path, err)) return false;
        for (int j = 0; j < r->n_run; j++)
            if (strcmp(r->runs[j].id, base) == 0) r->runs[i].baseline = j;
        r->runs[i].is_baseline = r->runs[i].baseline == (int)i;
    }
    return true;
}

/* The folder of a training, finished or not: a study of one run that says nothing but this. */
static bool read_training(lb_rep *r, lb_err *err)
{
    lb_rep_run *x = r->runs = lb_alloc(1, sizeof *x, "the runs", err);
    if (!x) return false;
    r->n_run = 1;
    *x = no_run;
    if (!lb_rep_read_train(x, r->dir, err)) return false;
    const lb_train_recipe *t = &x->train->recipe;
    const char *slash = strrchr(r->dir, '/');
    r->name = x->train->has_recipe ? t->name : slash && slash[1] ? slash + 1 : r->dir;
    r->about = x->train->has_recipe ? t->about : "";
    r->version = r->written = "";
    x->id = "training", x->label = r->name, x->group = "main", x->base = x->scheme = x->method = x->kv = x->error = x->calib_source = "";
    x->done = true;
    return true;
}

bool lb_rep_load(lb_rep *r, const char *study_dir, lb_err *err)
{
    *r = (lb_rep){.dir = study_dir};
    if (!lb_is_folder(study_dir))
        return lb_fail(err, LB_EUSAGE,
                       "%s is no folder; wanted the output folder of lowbit study or of lowbit train, or a results database",
                       study_dir);
    char *path = lb_path_join(study_dir, "results.json", err), *log = lb_path_join(study_dir, "train.jsonl", err);
    bool training = path && log && !lb_file_exists(path) && lb_file_exists(log);
    free(log);
    if (training) {
        free(path);
        if (read_training(r, err)) return true;
        lb_rep_free(r);
        return false;
    }
    if (path && !lb_file_exists(path))
        lb_fail(err, LB_EFORMAT,
                "%s: there is no results.json or train.jsonl; is it the output folder of lowbit study, or of lowbit train?",
                study_dir);
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
        for (int k = 0; k < r->n_task; k++) free(x->prompts[k]);
        free(x->tokens);
        free(x->layers);
        free(x->sites);
        free(x->kl);
        lb_rep_train_free(x->train);
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
