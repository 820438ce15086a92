/* study/study.c – running a recipe: models first, then run by run quantize, evaluate, compare, save. */
#include "study/study.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include "eval/health.h"
#include "eval/trace.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 1024 };

typedef struct work {
    lb_study *s;
    const lb_study_opt *o;
    lb_exec *ex;
    lb_db *db;
    lb_progress p;
    lb_err *err;
} work;

/* ---- models ---- */

/* Every model is read before anything runs: a folder that is missing or broken is known at once. */
static bool open_models(work *w)
{
    for (int i = 0; i < w->s->n_model; i++) {
        lb_study_model *m = &w->s->models[i];
        lb_target t = {0};
        bool ok = lb_target_open(&t, m->dir, w->ex, w->err) && lb_target_hash(&t, w->err);
        m->sampling = lb_target_sampling(&t);
        memcpy(m->hash, t.hash, sizeof m->hash);
        lb_target_close(&t);
        if (!ok) return false;
    }
    return true;
}

/* ---- traces ---- */

static void trace_text(const lb_study_trace *t, lb_buf *b)
{
    const char *key;
    json_t *v;
    lb_buf_fmt(b, "trace %s %d %d %d %lld\n", t->prompts, t->n_prompt, t->n_sample, t->max_new, (long long)t->seed);
    json_object_foreach ((json_t *)t->where, key, v) lb_buf_fmt(b, "where %s=%s\n", key, json_string_value(v));
}

typedef struct filter { const lb_study_trace *t; lb_buf *out; int n; } filter;

static bool filter_row(void *arg, json_t *row, const char *where, lb_err *err)
{
    filter *f = arg;
    const char *key;
    json_t *v;
    (void)where;
    bool take = !f->t->n_prompt || f->n < f->t->n_prompt;
    json_object_foreach ((json_t *)f->t->where, key, v) take = take && json_equal(json_object_get(row, key), v);
    char *text = take ? json_dumps(row, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    bool ok = !take || text || lb_fail_mem(err, 0, "the prompts");
    if (text) lb_buf_fmt(f->out, "%s\n", text);
    f->n += take;
    free(text);
    json_decref(row);
    return ok;
}

/* The rows of the prompts' file that the trace is made of, as a file of their own at `to`. */
static bool filter_prompts(const lb_study_trace *t, const char *to, lb_err *err)
{
    lb_map m = {0};
    lb_buf out = {0};
    filter f = {.t = t, .out = &out};
    bool ok = lb_map_open(&m, t->prompts, err) &&
              lb_jsonl_each((const char *)m.p, m.size, t->prompts, 0, filter_row, &f, NULL, err) &&
              lb_buf_ok(&out, "the prompts", err);
    if (ok && f.n == 0) ok = lb_fail(err, LB_EFORMAT, "%s: no row is as 'where' of trace '%s' wants it", t->prompts, t->name);
    ok = ok && lb_write_file(to, out.p, out.n, err);
    lb_map_close(&m);
    lb_buf_free(&out);
    return ok;
}

/* The model's own text for calibration source "self" or "self:NAME": made, completed or found at *path. */
static bool make_trace(work *w, const lb_study_model *m, const char *source, char path[PATH_SIZE])
{
    const lb_study_trace *t = w->s->traces;
    const char *name = source[4] ? source + 5 : "";
    char hex[33], prompts[PATH_SIZE];
    lb_buf how = {0};
    while (strcmp(t->name, name) != 0) t++; /* the recipe was checked */
    lb_buf_str(&how, m->hash);
    trace_text(t, &how);
    lb_hash_hex(lb_hash_of(lb_buf_cstr(&how), how.n), hex);
    bool ok = lb_buf_ok(&how, "a recipe", w->err);
    lb_buf_free(&how);
    snprintf(path, PATH_SIZE, "%.700s/traces", w->o->out_dir);
    ok = ok && lb_mkdirs(path, w->err);
    snprintf(path, PATH_SIZE, "%.700s/traces/%.100s%s%.8s.jsonl", w->o->out_dir, name, *name ? "-" : "", hex);
    snprintf(prompts, sizeof prompts, "%.700s/traces/%.100s%s%.8s.prompts.jsonl", w->o->out_dir, name, *name ? "-" : "", hex);
    lb_prompts list = {0};
    lb_target target = {0};
    lb_trace_report rep;
    if (ok && t->where) ok = lb_file_exists(prompts) || filter_prompts(t, prompts, w->err);
    ok = ok && lb_prompts_load(t->where ? prompts : t->prompts, w->s->data, t->n_prompt, &list, w->err) &&
         lb_target_open(&target, m->dir, w->ex, w->err);
    lb_trace_opt o = {.prompts = &list, .n_sample = t->n_sample ? t->n_sample : 1, .seed = (uint64_t)t->seed,
                      .sampling = m->sampling, .max_new = t->max_new, .stop = w->o->stop};
    ok = ok && lb_trace_run(&target, &o, path, NULL, &rep, w->err);
    lb_target_close(&target);
    lb_prompts_free(&list);
    return ok || lb_wrap(w->err, "trace '%s'", t->name);
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
            trace_text(&s->traces[i], b);
    return true;
}

/* The folder of a run's model: the original, or one named after its contents and the way it was made, so that runs
 * which quantize alike share it and another recipe's is never taken for it. */
static bool place_model(work *w, lb_study_run *r)
{
    const lb_study_model *m = &w->s->models[r->model];
    char text[LB_SCHEME_TEXT], hex[33];
    lb_buf how = {0};
    int n;
    lb_scheme_text(&r->scheme, text);
    if (!recipe_text(w->s, r, &how, w->err)) {
        lb_buf_free(&how);
        return false;
    }
    memcpy(hex, m->hash, sizeof hex);
    if (how.n > 0) lb_hash_hex(lb_hash_bytes(how.p, how.n, lb_hash_of(m->hash, strlen(m->hash))), hex);
    bool ok = lb_buf_ok(&how, "a recipe", w->err);
    lb_buf_free(&how);
    if (!r->makes_model) n = snprintf(r->dir, sizeof r->dir, "%s", m->dir);
    else
        n = snprintf(r->dir, sizeof r->dir, "%s/models/%s-%s%s-%.8s", w->o->out_dir, text, *r->method ? r->method : r->kv,
                     r->quant.clip && strcmp(r->quant.clip, "mse") == 0 ? "-clip" : "", hex);
    return ok && (n < (int)sizeof r->dir ||
                  lb_fail(w->err, LB_EUSAGE, "the path of the output is too long: %s", w->o->out_dir));
}

static bool quantize(work *w, lb_study_run *r)
{
    char trace[PATH_SIZE];
    lb_compress_spec spec = r->quant;
    lb_compress c;
    lb_quantize_report rep;
    if (!r->makes_model || lb_file_exists(r->dir)) return true; /* a folder is there only when it is whole */
    if (r->calibrates && strncmp(spec.calib.source, "self", 4) == 0 && (!spec.calib.source[4] || spec.calib.source[4] == ':')) {
        lb_progress_what(&w->p, "%s · its own text", r->label);
        if (!make_trace(w, &w->s->models[r->model], spec.calib.source, trace)) return false;
        spec.calib.source = trace;
    }
    spec.target_bpw = r->target_bpw;
    bool ok = lb_compress_parse(&c, &spec, w->err);
    c.opt.stop = (volatile const int *)w->o->stop;
    if (ok && r->target_bpw > 0) {
        lb_progress_what(&w->p, "%s · measuring layers", r->label);
        ok = lb_compress_mix(&c, w->s->models[r->model].dir, w->ex, w->err);
    }
    lb_progress_what(&w->p, "%s · quantizing", r->label);
    ok = ok && lb_compress_run(&c, w->s->models[r->model].dir, r->dir, w->ex, &rep, w->err);
    lb_compress_free(&c);
    return ok;
}

/* ---- one run ---- */

static void set_eval(const lb_study_run *r, lb_eval_opt *o)
{
    o->label = r->label;
    o->kv = r->kv;
    o->think_budget = r->think_budget, o->think_extend = r->think_extend;
    if (r->max_new) o->max_new = r->max_new;
}

static bool evaluate(work *w, lb_study_run *r)
{
    lb_target t;
    lb_eval_opt o = w->s->eval;
    o.sampling = w->s->models[r->model].sampling;
    set_eval(r, &o);
    if (!lb_target_open(&t, r->dir, w->ex, w->err)) return false;
    r->bits_per_weight = t.model->bpw;
    r->size_bytes = 0;
    for (size_t i = 0; i < lb_store_count(t.model->store); i++)
        r->size_bytes += (double)lb_store_at(t.model->store, i)->size_bytes;
    bool ok = lb_eval_run(&t, &o, w->db, &w->p, &r->result, w->err);
    lb_target_close(&t);
    return ok;
}

/* Outcomes of one level (−1: of all) of a task; *n of them. */
static lb_outcome *of_level(const lb_task_result *t, int level, size_t *n, lb_err *err)
{
    lb_outcome *out = lb_alloc((size_t)t->n_samples, sizeof *out, "the outcomes", err);
    *n = 0;
    for (int i = 0; out && i < t->n_samples; i++)
        if (level < 0 || t->stats[i].level == level + 1) out[(*n)++] = t->outcomes[i];
    return out;
}

/* Mean over the tasks of the paired drop at one level, or over all; NaN if no task has problems there. */
static bool drop_of(const lb_eval_result *a, const lb_eval_result *b, int level, double *drop, double *error,
                    lb_err *err)
{
    double sum = 0, var = 0;
    int n_task = 0;
    bool ok = true;
    for (int k = 0; ok && k < a->n_task; k++) {
        size_t na = 0, nb = 0;
        lb_paired d;
        lb_outcome *x = of_level(&a->tasks[k], level, &na, err), *y = of_level(&b->tasks[k], level, &nb, err);
        ok = x && y;
        if (ok && na > 0) {
            ok = lb_stats_paired(x, na, y, nb, 1, 1, &d, err) || lb_wrap(err, "%s", a->tasks[k].bench->name);
            if (ok) sum += d.diff, var += d.stderr_diff * d.stderr_diff, n_task++;
        }
        free(x);
        free(y);
    }
    *drop = n_task ? sum / n_task : NAN, *error = n_task ? sqrt(var) / n_task : NAN;
    return ok;
}

bool lb_study_compare(lb_study_run *r, const lb_study_run *base, lb_err *err)
{
    const lb_eval_result *a = &base->result, *b = &r->result;
    bool ok = drop_of(a, b, -1, &r->drop, &r->drop_stderr, err);
    for (int l = 0; ok && l < LB_N_LEVEL; l++)
        ok = drop_of(a, b, l, &r->level_drop[l], &r->level_drop_stderr[l], err);
    if (!ok) return false;
    r->class_name = lb_degradation_name(lb_degradation_of(100 * r->drop));
    r->compared = true;
    return true;
}

/* Compares whatever can be compared by now: a baseline may come after the runs that need it. */
static bool compare_all(work *w)
{
    for (int i = 0; i < w->s->n_run; i++) {
        lb_study_run *r = &w->s->runs[i];
        const lb_study_run *base = &w->s->runs[r->baseline];
        if (r == base || r->compared || r->state != LB_STUDY_DONE || base->state != LB_STUDY_DONE) continue;
        if (!lb_study_compare(r, base, w->err)) return lb_wrap(w->err, "%s", r->label);
    }
    return true;
}

/* ---- saving ---- */

static bool save_text(const char *dir, const char *name, const lb_buf *text, lb_err *err)
{
    char *path = lb_path_join(dir, name, err);
    bool ok = path && lb_buf_ok(text, name, err) && lb_write_file(path, text->p, text->n, err);
    free(path);
    return ok;
}

static bool save_json(const char *dir, const char *name, const json_t *j, lb_err *err)
{
    char *path = lb_path_join(dir, name, err);
    bool ok = path && (j ? lb_json_save(path, j, err) : lb_fail_mem(err, 0, "the results"));
    free(path);
    return ok;
}

static bool save(const lb_study *s, const char *dir, lb_err *err)
{
    lb_buf table = {0}, csv = {0};
    json_t *j = lb_study_json(s);
    lb_study_table(s, &table);
    lb_study_csv(s, &csv);
    bool ok = save_text(dir, "table.txt", &table, err) && save_text(dir, "results.csv", &csv, err) &&
              save_json(dir, "results.json", j, err) && save_json(dir, "recipe.json", s->recipe, err);
    lb_buf_free(&table);
    lb_buf_free(&csv);
    json_decref(j);
    return ok;
}

static bool save_samples(const lb_study_run *r, const char *out_dir, lb_err *err)
{
    char dir[800];
    lb_buf text = {0};
    snprintf(dir, sizeof dir, "%.600s/runs/%s", out_dir, r->id);
    lb_study_samples(r, &text);
    bool ok = lb_mkdirs(dir, err) && save_text(dir, "samples.jsonl", &text, err);
    lb_buf_free(&text);
    return ok;
}

/* ---- doctor ---- */

/* The reasoning health of a run's own model, once for each folder: runs/ID/doctor.json. */
static bool examine(work *w, lb_study_run *r)
{
    char trace[PATH_SIZE], path[PATH_SIZE];
    const lb_study_model *m = &w->s->models[r->model];
    const char *source = w->s->doctor;
    if (!source || !r->makes_model) return true;
    for (const lb_study_run *x = w->s->runs; x < r; x++)
        if (x->state == LB_STUDY_DONE && strcmp(x->dir, r->dir) == 0) return true;
    snprintf(path, sizeof path, "%.700s/runs/%s/doctor.json", w->o->out_dir, r->id);
    json_t *old = lb_file_exists(path) ? lb_json_load(path, NULL) : NULL;
    const char *of = json_string_value(json_object_get(old, "model"));
    bool there = of && strcmp(of, r->dir) == 0;
    json_decref(old);
    if (there) return true;
    lb_progress_what(&w->p, "%s · doctor", r->label);
    if (strncmp(source, "self", 4) == 0 && (!source[4] || source[4] == ':')) {
        if (!make_trace(w, m, source, trace)) return false;
        source = trace;
    }
    lb_target base = {0}, quant = {0};
    lb_traces traces = {0};
    lb_health h;
    bool ok = lb_target_open(&base, m->dir, w->ex, w->err) && lb_target_open(&quant, r->dir, w->ex, w->err) &&
              lb_traces_load(&base, source, &traces, w->err);
    lb_health_opt o = {.traces = &traces, .n_token = w->s->doctor_tokens, .n_prompt = w->s->doctor_answers, .seed = 42,
                       .sampling = m->sampling, .progress = LB_PROGRESS_NONE, .stop = w->o->stop};
    ok = ok && lb_health_run(&base, &quant, &o, &h, w->err);
    json_t *j = ok ? lb_health_json(&h) : NULL;
    if (j) {
        json_object_set_new(j, "model", json_string(r->dir));
        json_object_set_new(j, "against", json_string(m->dir));
        json_object_set_new(j, "trace_file", json_string(source));
        json_object_set_new(j, "version", json_string(lb_version()));
    }
    char dir[PATH_SIZE];
    snprintf(dir, sizeof dir, "%.700s/runs/%s", w->o->out_dir, r->id);
    ok = ok && lb_mkdirs(dir, w->err) && save_json(dir, "doctor.json", j, w->err);
    json_decref(j);
    lb_traces_free(&traces);
    lb_target_close(&base);
    lb_target_close(&quant);
    return ok || lb_wrap(w->err, "doctor");
}

/* A stop and a disk that fails end the study; everything else is this run's own misfortune. */
static bool ends_study(const lb_err *e) { return e->code == LB_ESTOPPED || e->code == LB_EIO; }

static bool do_run(work *w, lb_study_run *r)
{
    lb_err *outer = w->err, e = {0};
    lb_progress_what(&w->p, "%s", r->label);
    w->err = &e;
    bool ok = place_model(w, r) && quantize(w, r) && evaluate(w, r) && examine(w, r);
    w->err = outer;
    if (!ok && ends_study(&e)) {
        if (outer) *outer = e;
        return lb_wrap(outer, "%s", r->label);
    }
    r->state = ok ? LB_STUDY_DONE : LB_STUDY_FAILED;
    snprintf(r->error, sizeof r->error, "%s", ok ? "" : e.msg);
    w->s->n_failed += !ok;
    return compare_all(w) && (!ok || save_samples(r, w->o->out_dir, outer)) && save(w->s, w->o->out_dir, outer);
}

bool lb_study_run_all(lb_study *s, const lb_study_opt *o, lb_exec *ex, lb_err *err)
{
    work w = {.s = s, .o = o, .ex = ex, .err = err};
    int64_t per_run = 0;
    s->eval.fresh = o->fresh, s->eval.allow_weak_sandbox = o->allow_weak_sandbox, s->eval.stop = o->stop;
    bool ok = lb_eval_count(&s->eval, &per_run, err) && lb_mkdirs(o->out_dir, err) && open_models(&w);
    char *db_path = ok ? lb_path_join(o->out_dir, "results.sqlite", err) : NULL;
    w.db = db_path ? lb_db_open(db_path, err) : NULL;
    ok = ok && w.db;
    lb_progress_start(&w.p, o->progress, "samples", per_run * s->n_run);
    for (int i = 0; ok && i < s->n_run; i++) ok = do_run(&w, &s->runs[i]);
    lb_progress_end(&w.p);
    lb_db_close(w.db);
    free(db_path);
    return ok;
}
