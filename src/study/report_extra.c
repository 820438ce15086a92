/* study/report_extra.c – what else a study's folder has of a run: samples, errors of layers, outliers, divergence. */
#include "study/report_read.h"
#include "base/file.h"
#include "base/median.h"
#include "base/mem.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WHERE = 700, MAX_SAMPLES_BYTES = 1 << 30 };

/* ---- samples ---- */

/* Keeps the sample's prompt with those of its task: samples of one problem follow each other. */
static bool keep_prompt(const lb_rep *rep, lb_rep_run *r, const json_t *o, size_t cap[], const char *where, lb_err *err)
{
    const char *task, *hex;
    char half[2][17] = {{0}};
    int k = 0;
    if (!lb_rep_text(o, "task", &task, where, err) || !lb_rep_text(o, "prompt_hash", &hex, where, err)) return false;
    while (k < rep->n_task && strcmp(rep->task[k], task) != 0) k++;
    if (k == rep->n_task || !*hex) return true;
    if (strlen(hex) != 32 || strspn(hex, "0123456789abcdef") != 32)
        return lb_fail(err, LB_EFORMAT, "%s: 'prompt_hash' is '%.40s', wanted 32 hexadecimal digits", where, hex);
    memcpy(half[0], hex, 16);
    memcpy(half[1], hex + 16, 16);
    lb_hash h = {strtoull(half[0], NULL, 16), strtoull(half[1], NULL, 16)};
    size_t n = r->n_prompt[k];
    if (n && lb_hash_order(&r->prompts[k][n - 1], &h) == 0) return true;
    if (!lb_grow(&r->prompts[k], &cap[k], n + 1, sizeof h, "the samples", err)) return false;
    r->prompts[k][r->n_prompt[k]++] = h;
    return true;
}

static bool read_samples(const lb_rep *rep, lb_rep_run *r, const char *path, lb_err *err)
{
    size_t size, cap = 0, line = 0, n_wrong = 0, prompt_cap[LB_REP_TASKS] = {0};
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
             lb_grow(&r->tokens, &cap, r->n_sample + 1, sizeof *r->tokens, "the samples", err) &&
             keep_prompt(rep, r, o, prompt_cap, where, err);
        if (ok) r->tokens[r->n_sample++] = n;
        if (ok && json_is_false(json_object_get(o, "correct"))) wrong += n, n_wrong++;
        json_decref(o);
    }
    free(all);
    for (int k = 0; k < rep->n_task; k++)
        if (r->n_prompt[k]) qsort(r->prompts[k], r->n_prompt[k], sizeof *r->prompts[k], lb_hash_order);
    if (r->n_sample) lb_sort_doubles(r->tokens, r->n_sample);
    if (n_wrong) r->tokens_wrong = wrong / (double)n_wrong;
    return ok;
}

/* ---- what else there may be of a run ---- */

/* NAME in runs/ID/ or in the model's folder, also if the study was moved. */
static bool find_extra(const lb_rep *rep, const char *id, const char *model, const char *name, char path[1600])
{
    snprintf(path, 1600, "%.700s/runs/%.255s/%s", rep->dir, id, name);
    const char *slash = strrchr(model, '/');
    if (!lb_file_exists(path)) snprintf(path, 1600, "%.900s/%s", model, name);
    if (!lb_file_exists(path) && slash) snprintf(path, 1600, "%.700s/models%.255s/%s", rep->dir, slash, name);
    return lb_file_exists(path);
}

/* *doc stays NULL where there is none. */
static bool load_extra(const lb_rep *rep, const char *id, const char *model, const char *name, bool has_schema,
                       json_t **doc, char path[1600], lb_err *err)
{
    if (!find_extra(rep, id, model, name, path)) return true;
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
    const json_t *a = lb_rep_list(r->layers_doc, key, path, err), *o;
    char where[WHERE];
    size_t i;
    if (!a || !(r->layers = lb_alloc(json_array_size(a), sizeof *r->layers, "the layers", err))) return false;
    json_array_foreach (a, i, o) {
        lb_rep_layer *x = &r->layers[i];
        double bytes, n, k;
        snprintf(where, sizeof where, "%.600s: %s[%zu]", path, key, i);
        if (!lb_json_get_str(o, "name", &x->name, where, err) || !lb_rep_number(o, "bits", &x->bits, where, err) ||
            !lb_rep_number(o, "mse_rel", &x->mse_rel, where, err) ||
            !lb_rep_number(o, "error_rel", &x->error_rel, where, err) ||
            !lb_rep_number(o, "bytes", &bytes, where, err) || !lb_rep_number(o, "n", &n, where, err) ||
            !lb_rep_number(o, "k", &k, where, err))
            return false;
        if (isfinite(bytes) && n > 0 && k > 0) x->bits = 8 * bytes / (n * k);
        x->layer = layer_of(x->name);
        r->n_layer++;
    }
    return true;
}

static bool read_spread(const json_t *o, lb_rep_spread *s, const char *where, lb_err *err)
{
    return lb_rep_number(o, "p50", &s->p50, where, err) && lb_rep_number(o, "p90", &s->p90, where, err) &&
           lb_rep_number(o, "p99", &s->p99, where, err) && lb_rep_number(o, "max", &s->max, where, err);
}

static bool read_sites(lb_rep_run *r, const char *path, lb_err *err)
{
    const json_t *a = lb_rep_list(r->outliers_doc, "sites", path, err), *o, *before, *after;
    char where[WHERE];
    size_t i;
    if (!a || !lb_rep_text(r->outliers_doc, "transform", &r->transform, path, err) ||
        !(r->sites = lb_alloc(json_array_size(a), sizeof *r->sites, "the outliers", err)))
        return false;
    json_array_foreach (a, i, o) {
        lb_rep_site *x = &r->sites[i];
        snprintf(where, sizeof where, "%.600s: sites[%zu]", path, i);
        after = json_object_get(o, "after");
        if (!lb_json_get_str(o, "kind", &x->kind, where, err) || !lb_json_get_str(o, "site", &x->site, where, err) ||
            !lb_rep_whole(o, "layer", &x->layer, where, err) || !lb_rep_object(o, "before", &before, where, err) ||
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
    const json_t *a = lb_rep_list(r->kl_doc, "buckets", path, err), *o;
    char where[WHERE];
    size_t i;
    if (!a || !lb_rep_number(r->kl_doc, "mean", &r->kl_mean, path, err) ||
        !lb_rep_number(r->kl_doc, "p99", &r->kl_p99, path, err) ||
        !lb_rep_number(r->kl_doc, "top1", &r->kl_top1, path, err) ||
        !(r->kl = lb_alloc(json_array_size(a), sizeof *r->kl, "the divergences", err)))
        return false;
    json_array_foreach (a, i, o) {
        lb_rep_kl *x = &r->kl[i];
        snprintf(where, sizeof where, "%.600s: buckets[%zu]", path, i);
        if (!lb_json_get_real(o, "begin", 0, 1e12, &x->begin, where, err) ||
            !lb_json_get_real(o, "end", 0, 1e12, &x->end, where, err) ||
            !lb_rep_number(o, "mean", &x->mean, where, err) || !lb_rep_number(o, "p99", &x->p99, where, err))
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
    if (!lb_rep_text(d, "verdict", &r->verdict, path, err) || !lb_rep_object(d, "traces", &traces, path, err) ||
        !lb_rep_object(d, "answers", &answers, path, err) || !lb_rep_object(traces, "kl", &kl, path, err) ||
        !lb_rep_object(traces, "top1", &top1, path, err) || !lb_rep_object(answers, "model", &model, path, err) ||
        !lb_rep_object(model, "loops", &loops, path, err) || !lb_rep_object(answers, "length", &length, path, err) ||
        !lb_rep_number(kl, "mean", &r->kl_mean, path, err) || !lb_rep_number(kl, "stderr", &r->kl_se, path, err) ||
        !lb_rep_number(top1, "mean", &r->kl_top1, path, err) ||
        !lb_rep_number(traces, "kl_p99", &r->kl_p99, path, err) ||
        !lb_rep_number(traces, "ppl_base", &r->ppl_base, path, err) ||
        !lb_rep_number(traces, "ppl", &r->ppl, path, err) || !lb_rep_number(loops, "mean", &r->loops, path, err) ||
        !lb_rep_number(length, "mean", &r->length, path, err) ||
        !lb_rep_number(length, "stderr", &r->length_se, path, err))
        return false;
    list_ = json_object_get(traces, "kl_by_position");
    if (r->kl || !json_is_array(list_)) return true;
    if (!(r->kl = lb_alloc(json_array_size(list_), sizeof *r->kl, "the divergences", err))) return false;
    json_array_foreach (list_, i, o) {
        lb_rep_kl *x = &r->kl[i];
        const json_t *next = json_array_get(list_, i + 1);
        snprintf(where, sizeof where, "%.600s: kl_by_position[%zu]", path, i);
        if (!lb_json_get_real(o, "from", 0, 1e12, &x->begin, where, err) ||
            !lb_rep_number(o, "kl", &x->mean, where, err))
            return false;
        x->end = next ? json_number_value(json_object_get(next, "from")) : 2 * x->begin; /* they double */
        x->p99 = NAN;
        r->n_kl++;
    }
    return true;
}

static bool read_train(const lb_rep *rep, lb_rep_run *r, const char *model, lb_err *err)
{
    char path[1600];
    if (!find_extra(rep, r->id, model, "train.jsonl", path)) return true;
    *strrchr(path, '/') = 0;
    return lb_rep_read_train(r, path, err);
}

bool lb_rep_read_extras(const lb_rep *rep, const json_t *o, lb_rep_run *r, lb_err *err)
{
    char path[1600];
    const char *model;
    if (!lb_rep_text(o, "model", &model, r->id, err)) return false;
    snprintf(path, sizeof path, "%.700s/runs/%.255s/samples.jsonl", rep->dir, r->id);
    if (lb_file_exists(path) && !read_samples(rep, r, path, err)) return false;
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
           (!r->doctor_doc || read_doctor(r, path, err)) && read_train(rep, r, model, err);
}
