/* study/make.c – what runs need: traces of the model's own thinking, quantized models, the doctor's findings.
 * Training is make_train.c's. */
#include "base/file.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include "eval/health.h"
#include "eval/trace.h"
#include "study/work.h"
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = LB_STUDY_PATH };

/* ---- traces ---- */

void lb_study_trace_text(const lb_study_trace *t, lb_buf *b)
{
    const char *key;
    json_t *v;
    lb_buf_fmt(b, "trace %s %d %d %d %lld\n", t->prompts, t->n_prompt, t->n_sample, t->max_new, (long long)t->seed);
    json_object_foreach ((json_t *)t->where, key, v) lb_buf_fmt(b, "where %s=%s\n", key, json_string_value(v));
}

/* The model's own text: made, completed or found at *path. */
bool lb_study_trace_file(lb_study_work *w, const lb_study_model *m, const lb_study_trace *t, char path[PATH_SIZE])
{
    const char *name = t->name;
    char hex[33], prompts[PATH_SIZE];
    lb_buf how = {0};
    lb_buf_str(&how, m->hash);
    lb_study_trace_text(t, &how);
    lb_hash_hex(lb_hash_of(lb_buf_cstr(&how), how.n), hex);
    bool ok = lb_buf_ok(&how, "a recipe", w->err);
    lb_buf_free(&how);
    snprintf(path, PATH_SIZE, "%.700s/traces", w->o->out_dir);
    ok = ok && lb_mkdirs(path, w->err);
    snprintf(path, PATH_SIZE, "%.700s/traces/%.100s%s%.8s.jsonl", w->o->out_dir, name, *name ? "-" : "", hex);
    snprintf(prompts, sizeof prompts, "%.700s/traces/%.100s%s%.8s.prompts.jsonl", w->o->out_dir, name, *name ? "-" : "",
             hex);
    lb_prompts list = {0};
    lb_target target = {0};
    lb_trace_report rep;
    if (ok && t->where) ok = lb_file_exists(prompts) || lb_jsonl_select(t->prompts, t->where, t->n_prompt, prompts, w->err);
    ok = ok && lb_prompts_load(t->where ? prompts : t->prompts, w->s->data, t->n_prompt, &list, w->err) &&
         lb_target_open(&target, m->dir, w->ex, w->err);
    lb_trace_opt o = {.prompts = &list, .n_sample = t->n_sample ? t->n_sample : 1, .seed = (uint64_t)t->seed,
                      .sampling = m->sampling, .max_new = t->max_new, .stop = w->o->stop};
    ok = ok && lb_trace_run(&target, &o, path, NULL, &rep, w->err);
    lb_target_close(&target);
    lb_prompts_free(&list);
    return ok || lb_wrap(w->err, "trace '%s'", t->name);
}

/* Of calibration source "self" or "self:NAME". */
static bool make_trace(lb_study_work *w, const lb_study_model *m, const char *source, char path[PATH_SIZE])
{
    const lb_study_trace *t = w->s->traces;
    while (strcmp(t->name, source[4] ? source + 5 : "") != 0) t++; /* the recipe was checked */
    return lb_study_trace_file(w, m, t, path);
}

/* ---- quantized models ---- */

/* What a run's folder depends on besides scheme and method: empty for a run that has nothing else. */
static bool recipe_text(const lb_study *s, const lb_study_run *r, lb_buf *b, lb_err *err)
{
    const lb_compress_spec *q = &r->quant;
    const lb_calib_spec *c = &q->calib;
    if (q->clip && strcmp(q->clip, "mse") != 0) lb_buf_fmt(b, "clip %s\n", q->clip);
    if (q->kv) lb_buf_fmt(b, "kv %s\n", q->kv);
    if (r->target_bpw > 0) lb_buf_fmt(b, "bpw %.17g\n", r->target_bpw);
    for (int i = 0; i < q->n_tensor; i++) lb_buf_fmt(b, "tensor %s\n", q->tensor[i]);
    for (int i = 0; i < q->n_opt; i++) lb_buf_fmt(b, "option %s\n", q->opt[i]);
    if (!r->calibrates) return true;
    lb_map m = {0};
    if (lb_file_exists(c->source)) { /* the text itself, not what its file is called */
        if (!lb_map_open(&m, c->source, err)) return false;
        char hex[33];
        lb_hash_hex(lb_hash_of(m.p, m.size), hex);
        lb_buf_fmt(b, "text %s\n", hex);
        lb_map_close(&m);
    }
    lb_buf_fmt(b, "calib %s %d %d %llu\n", c->source, c->n_seq, c->n_tok, (unsigned long long)c->seed);
    for (int i = 0; i < s->n_trace; i++)
        if (strncmp(c->source, "self", 4) == 0 && strcmp(s->traces[i].name, c->source[4] ? c->source + 5 : "") == 0)
            lb_study_trace_text(&s->traces[i], b);
    return true;
}

/* The folder of a run's model: the original, or one named after its contents and the way it was made, so that runs
 * which quantize alike share it and another recipe's is never taken for it. */
bool lb_study_place(lb_study_work *w, lb_study_run *r)
{
    const lb_study_model *m = &w->s->models[r->model];
    char text[LB_SCHEME_TEXT], hex[33];
    lb_buf how = {0};
    int n;
    lb_scheme_text(&r->scheme, text);
    if (r->train ? !lb_study_train_text(w, r, &how) : !recipe_text(w->s, r, &how, w->err)) {
        lb_buf_free(&how);
        return false;
    }
    memcpy(hex, m->hash, sizeof hex);
    if (how.n > 0) lb_hash_hex(lb_hash_bytes(how.p, how.n, lb_hash_of(m->hash, strlen(m->hash))), hex);
    bool ok = lb_buf_ok(&how, "a recipe", w->err);
    lb_buf_free(&how);
    if (!r->makes_model) n = snprintf(r->dir, sizeof r->dir, "%s", m->dir);
    else if (r->train)
        n = snprintf(r->dir, sizeof r->dir, "%s/models/%s-%.8s", w->o->out_dir,
                     json_string_value(json_object_get(r->train, "name")), hex);
    else
        n = snprintf(r->dir, sizeof r->dir, "%s/models/%s-%s%s-%.8s", w->o->out_dir, text,
                     *r->method ? r->method : r->kv, r->quant.clip && strcmp(r->quant.clip, "mse") == 0 ? "-clip" : "",
                     hex);
    return ok && (n < (int)sizeof r->dir ||
                  lb_fail(w->err, LB_EUSAGE, "the path of the output is too long: %s", w->o->out_dir));
}

bool lb_study_make(lb_study_work *w, lb_study_run *r)
{
    char trace[PATH_SIZE];
    lb_compress_spec spec = r->quant;
    lb_compress c;
    lb_quantize_report rep;
    if (!r->makes_model || lb_file_exists(r->dir)) return true; /* a folder is there only when it is whole */
    if (r->train) return lb_study_train(w, r);
    if (r->calibrates && strncmp(spec.calib.source, "self", 4) == 0 &&
        (!spec.calib.source[4] || spec.calib.source[4] == ':')) {
        lb_progress_what(&w->p, "%s · its own text", r->label);
        if (!make_trace(w, &w->s->models[r->model], spec.calib.source, trace)) return false;
        spec.calib.source = trace;
    }
    bool ok = lb_compress_parse(&c, &spec, w->err);
    c.opt.stop = (volatile const int *)w->o->stop;
    lb_progress_what(&w->p, "%s · quantizing", r->label);
    ok = ok && lb_compress_run(&c, w->s->models[r->model].dir, r->dir, w->ex, &rep, w->err);
    lb_compress_free(&c);
    return ok;
}

/* ---- doctor ---- */

/* Whether runs/ID/NAME is there and of this run's model. */
static bool examined(const lb_study_work *w, const lb_study_run *r, const char *name)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%.700s/runs/%s/%s", w->o->out_dir, r->id, name);
    json_t *old = lb_file_exists(path) ? lb_json_load(path, NULL) : NULL;
    const char *of = json_string_value(json_object_get(old, "model"));
    bool there = of && strcmp(of, r->dir) == 0;
    json_decref(old);
    return there;
}

static json_t *health_of(lb_target *base, lb_target *quant, const lb_health_opt *o, const char *source, lb_err *err)
{
    lb_health h;
    if (!lb_health_run(base, quant, o, &h, err)) return NULL;
    json_t *j = lb_health_json(&h);
    if (j) {
        json_object_set_new(j, "model", json_string(quant->model->dir));
        json_object_set_new(j, "against", json_string(base->model->dir));
        json_object_set_new(j, "trace_file", json_string(source));
        json_object_set_new(j, "version", json_string(lb_version()));
    } else lb_fail_mem(err, 0, "the findings");
    return j;
}

static bool save_finding(lb_study_work *w, const lb_study_run *r, const char *name, json_t *j)
{
    char dir[PATH_SIZE];
    snprintf(dir, sizeof dir, "%.700s/runs/%s", w->o->out_dir, r->id);
    bool ok = j && lb_mkdirs(dir, w->err) && lb_study_save_json(dir, name, j, w->err);
    json_decref(j);
    return ok;
}

bool lb_study_examine(lb_study_work *w, lb_study_run *r)
{
    char trace[PATH_SIZE];
    const lb_study_model *m = &w->s->models[r->model];
    const char *source = w->s->doctor;
    if (!source || !r->makes_model) return true;
    for (const lb_study_run *x = w->s->runs; x < r; x++)
        if (x->state == LB_STUDY_DONE && strcmp(x->dir, r->dir) == 0) return true;
    bool health = !examined(w, r, "doctor.json"), outliers = !examined(w, r, "outliers.json");
    if (!health && !outliers) return true;
    lb_progress_what(&w->p, "%s · doctor", r->label);
    if (strncmp(source, "self", 4) == 0 && (!source[4] || source[4] == ':')) {
        if (!make_trace(w, m, source, trace)) return false;
        source = trace;
    }
    lb_target base = {0}, quant = {0};
    lb_traces traces = {0};
    bool ok = lb_target_open(&base, m->dir, w->ex, w->err) && lb_target_open(&quant, r->dir, w->ex, w->err) &&
              lb_traces_load(&base, source, &traces, w->err);
    lb_health_opt o = {.traces = &traces, .n_token = w->s->doctor_tokens, .n_prompt = w->s->doctor_answers, .seed = 42,
                       .sampling = m->sampling, .progress = LB_PROGRESS_NONE, .stop = w->o->stop};
    if (ok && health) ok = save_finding(w, r, "doctor.json", health_of(&base, &quant, &o, source, w->err));
    if (ok && outliers) ok = save_finding(w, r, "outliers.json", lb_health_outliers(&base, &quant, &o, w->err));
    lb_traces_free(&traces);
    lb_target_close(&base);
    lb_target_close(&quant);
    return ok || lb_wrap(w->err, "doctor");
}
