/* train/workflow.c – the whole workflow, part by part. */
#include "train/workflow.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include "eval/compress.h"
#include "eval/trace.h"
#include "train/evaluate.h"
#include "train/prefix.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { PATH = 1100 };

typedef struct workflow {
    const lb_train_recipe *r;
    const lb_train_opt *o;
    lb_exec *ex;
    lb_target base;
    lb_train_ctx x;
    char partial[PATH], traces[PATH], start[PATH];
    const char *calib_file;      /* what the start is calibrated on, unless it is benchmarks */
    char calib[PATH];
    lb_db *db;                   /* samples of the curve and of the end; NULL until one is asked for */
    bool has_start;              /* false: the model's own weights */
    int lock_fd;
    lb_progress p;
} workflow;

static void remark(const workflow *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void remark(const workflow *w, const char *fmt, ...)
{
    char line[512];
    va_list a;
    if (!w->o->remark) return;
    va_start(a, fmt);
    vsnprintf(line, sizeof line, fmt, a);
    va_end(a);
    w->o->remark(w->o->remark_arg, line);
}

static const char *data_dir(const workflow *w) { return w->o->data_dir ? w->o->data_dir : "data"; }

/* The folder shared with runs that begin alike, after so many stages; NULL: none. */
static const char *begun(const workflow *w, int n_stage) { return w->o->begun ? w->o->begun[n_stage] : NULL; }

/* ---- the working folder ---- */

static bool same_recipe(workflow *w, lb_err *err)
{
    char path[PATH + 16], differs[256];
    snprintf(path, sizeof path, "%s/recipe.json", w->partial);
    if (!lb_file_exists(path)) return lb_json_save(path, w->r->doc, err);
    json_t *was = lb_json_load(path, err);
    bool ok = was != NULL;
    if (ok && lb_train_recipe_differs(w->r->doc, was, differs))
        ok = lb_fail(err, LB_EUSAGE, "%s is of another recipe (%s): give the old one, or another output", w->partial,
                     differs);
    json_decref(was);
    return ok;
}

static bool open_folder(workflow *w, lb_err *err)
{
    const char *out = w->o->out_dir;
    size_t n = strlen(out);
    while (n > 1 && out[n - 1] == '/') n--;
    if (n == 0 || n > PATH - 100)
        return lb_fail(err, LB_EUSAGE, "no output folder, or one with a path of %zu bytes", n);
    if (lb_is_folder(out) || lb_file_exists(out)) return lb_fail(err, LB_EUSAGE, "the output %s exists", out);
    snprintf(w->partial, sizeof w->partial, "%.*s.partial", (int)n, out);
    snprintf(w->traces, sizeof w->traces, "%.1000s/traces.jsonl", w->partial);
    if (begun(w, 0) && strlen(begun(w, 0)) >= PATH) return lb_fail(err, LB_EUSAGE, "the path of the start is too long");
    if (begun(w, 0)) snprintf(w->start, sizeof w->start, "%.1099s", begun(w, 0));
    else snprintf(w->start, sizeof w->start, "%.1000s/start", w->partial);
    snprintf(w->calib, sizeof w->calib, "%.1000s/calib.jsonl", w->partial);
    if (!lb_mkdirs(w->partial, err)) return false;
    w->lock_fd = open(w->partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->lock_fd < 0) return lb_fail_io(err, "%s", w->partial);
    if (flock(w->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return lb_fail(err, LB_EIO, "another process trains in %s", w->partial);
    return same_recipe(w, err);
}

static bool open_log(workflow *w, lb_err *err)
{
    char path[PATH + 16];
    snprintf(path, sizeof path, "%s/train.jsonl", w->partial);
    w->x.log_fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return w->x.log_fd >= 0 || lb_fail_io(err, "%s", path);
}

/* ---- traces ---- */

/* `file`, by the model itself; `name` for what is said of it, and for the prompts that are chosen. */
static bool make_traces(workflow *w, const lb_train_traces *t, const char *name, const char *file, lb_err *err)
{
    char selected[PATH + 40];
    lb_prompts list = {0};
    lb_trace_report rep;
    snprintf(selected, sizeof selected, "%s/%s.prompts.jsonl", w->partial, name);
    bool ok = !t->where || lb_file_exists(selected) || lb_jsonl_select(t->prompts, t->where, t->n_prompt, selected, err);
    ok = ok && lb_prompts_load(t->where ? selected : t->prompts, data_dir(w), t->n_prompt, &list, err);
    if (ok) {
        remark(w, "%s: %d problems, %d sample%s each, by the model itself", name, list.n, t->n_sample,
               t->n_sample > 1 ? "s" : "");
        lb_trace_opt o = {.prompts = &list,
                          .n_sample = t->n_sample,
                          .seed = (uint64_t)t->seed,
                          .sampling = lb_target_sampling(&w->base),
                          .max_new = t->max_new,
                          .stop = w->o->stop};
        lb_progress_start(&w->p, w->o->progress, "traces", (int64_t)list.n * t->n_sample);
        ok = lb_trace_run(&w->base, &o, file, &w->p, &rep, err);
        lb_progress_end(&w->p);
    }
    lb_prompts_free(&list);
    return ok || lb_wrap(err, "%s", name);
}

static bool traces(workflow *w, lb_err *err)
{
    const lb_train_recipe *r = w->r;
    bool quantizes = lb_train_quantizes_first(r);
    if (lb_train_reads_traces(r)) {
        w->x.trace_file = r->traces.file ? r->traces.file : w->traces;
        if (!r->traces.file && !r->traces.prompts)
            return lb_fail(err, LB_EUSAGE,
                           "the start is calibrated on 'traces', but the recipe says neither 'file' nor 'prompts' of them");
        if (!r->traces.file && !make_traces(w, &r->traces, "traces", w->traces, err)) return false;
    }
    w->calib_file = strcmp(r->calib, "traces") == 0 ? w->x.trace_file : *r->calib ? r->calib : w->calib;
    return *r->calib || !quantizes || make_traces(w, &r->calib_traces, "calib", w->calib, err);
}

/* ---- the start ---- */

bool lb_train_start_options(const lb_train_recipe *r, lb_compress_spec *s, char room[][LB_TRAIN_OPTION], const char *where,
                            lb_err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach ((json_t *)r->method_options, key, v) {
        if (!json_is_string(v) || s->n_opt == LB_TRAIN_OPTIONS)
            return lb_fail(err, LB_EFORMAT, "%s: options: '%s' wants a text, such as \"0.01\"", where, key);
        snprintf(room[s->n_opt], LB_TRAIN_OPTION, "%.60s=%.90s", key, json_string_value(v));
        s->opt[s->n_opt] = room[s->n_opt];
        s->n_opt++;
    }
    return true;
}

/* The post-training start, with the weights that it rounded. */
static bool start(workflow *w, lb_err *err)
{
    const lb_train_recipe *r = w->r;
    w->has_start = lb_train_quantizes_first(r);
    if (!w->has_start || lb_is_folder(w->start)) return true;
    char options[LB_TRAIN_OPTIONS][LB_TRAIN_OPTION], scheme[LB_SCHEME_TEXT];
    lb_scheme_text(&r->scheme, scheme);
    lb_compress_spec *s = lb_alloc(1, sizeof *s, "the start", err);
    lb_compress *q = s ? lb_alloc(1, sizeof *q, "the start", err) : NULL;
    if (!q) {
        free(s);
        return false;
    }
    *s = (lb_compress_spec){.method = r->method,
                            .scheme = scheme,
                            .save_latent = true,
                            .calib = {.source = w->calib_file,
                                      .n_seq = r->calib_n,
                                      .n_tok = r->calib_len,
                                      .data_dir = data_dir(w)}};
    lb_quantize_report rep;
    int n = 0;
    remark(w, "start: %s %s", r->method, scheme);
    bool ok = lb_train_start_options(r, s, options, "start", err) && lb_compress_parse(q, s, err) &&
              lb_compress_count(q, w->o->model_dir, &n, err);
    if (ok) {
        lb_progress_start(&w->p, w->o->progress, "layers", n);
        q->opt.progress = &w->p;
        q->opt.stop = (volatile const int *)w->o->stop;
        ok = lb_compress_run(q, w->o->model_dir, w->start, w->ex, &rep, err);
        lb_progress_end(&w->p);
    }
    lb_compress_free(q);
    free(q);
    free(s);
    return ok || lb_wrap(err, "start");
}

/* ---- stages ---- */

static unsigned trained(const lb_train_recipe *r)
{
    unsigned all = 0;
    for (int i = 0; i < r->n_stage; i++) all |= r->stages[i].train;
    return all;
}

static bool distils(const lb_train_recipe *r)
{
    for (int i = 0; i < r->n_stage; i++)
        if (r->stages[i].kind == LB_STAGE_KD || r->stages[i].kind == LB_STAGE_OPD) return true;
    return false;
}

static int longest(const lb_train_recipe *r)
{
    int n = 1;
    for (int i = 0; i < r->n_stage; i++) n = r->stages[i].seq_tokens > n ? r->stages[i].seq_tokens : n;
    return n;
}

/* The width of the teacher's hidden states; 0 if its config cannot be read, which opening it will say. */
static int teacher_width(const workflow *w)
{
    lb_config c;
    if (!w->r->teacher) return w->base.model->cfg.d_model;
    int d = lb_config_load(&c, w->r->teacher, NULL) ? c.d_model : 0;
    lb_config_free(&c);
    return d;
}

/* A sequence of n tokens in documents as long as the context allows; begin has room for n_doc+1. */
static int split(int n, int ctx, int *begin, int room)
{
    int n_doc = (n + ctx - 1) / ctx < room ? (n + ctx - 1) / ctx : room;
    for (int i = 0; i <= n_doc; i++) begin[i] = (int)((int64_t)n * i / n_doc);
    return n_doc;
}

static bool plan_stage(const workflow *w, const lb_train_stage *st, lb_model_plan *out, lb_err *err)
{
    const lb_config *c = &w->base.model->cfg;
    int begin[257], n_doc = split(st->seq_tokens, lb_config_ctx(c), begin, 256);
    const lb_model_grad_opt o = {.train = trained(w->r), .compute = w->r->compute,
                                 .d_teacher = distils(w->r) ? teacher_width(w) : 0};
    return lb_student_plan(c, w->ex, st, &o, n_doc, begin, out, err);
}

/* The teacher: weights, and one document at a time without a way back. */
static bool plan_teacher(const workflow *w, lb_model_plan *out, lb_err *err)
{
    lb_config own, *c = &w->base.model->cfg;
    bool ok = !w->r->teacher || lb_config_load(&own, w->r->teacher, err);
    if (ok && w->r->teacher) c = &own;
    int begin[257], n_doc = ok ? split(longest(w->r), lb_config_ctx(c), begin, 256) : 0;
    ok = ok && lb_model_grad_bytes(c, w->ex, &(lb_model_grad_opt){.compute = w->r->compute}, n_doc, begin, NULL, out, err);
    if (w->r->teacher) lb_config_free(&own);
    return ok;
}

/* What the largest step will take, printed before anything is loaded, and compared with what there is. */
static bool plan_memory(workflow *w, lb_err *err)
{
    lb_model_plan most = {0}, one, teacher = {0};
    for (int i = 0; i < w->r->n_stage; i++) {
        if (!plan_stage(w, &w->r->stages[i], &one, err)) return lb_wrap(err, "stage %s", w->r->stages[i].name);
        if (one.total > most.total) most = one;
    }
    if (distils(w->r) && !plan_teacher(w, &teacher, err)) return lb_wrap(err, "the teacher");
    double total = (double)most.total + (double)(teacher.weights + teacher.tape), have = (double)lb_mem_available();
    remark(w,
           "memory: %.2f GB: weights %.2f, gradients %.2f, moments %.2f, a step of %d tokens %.2f, vocabulary %.2f, "
           "teacher %.2f",
           total / 1e9, (double)most.weights / 1e9, (double)most.gradients / 1e9, (double)most.moments / 1e9,
           longest(w->r), (double)most.tape / 1e9, (double)most.loss / 1e9,
           (double)(teacher.weights + teacher.tape) / 1e9);
    return have <= 0 || total <= have ||
           lb_fail(err, LB_ENOMEM, "training needs %.1f GB, %.1f GB are free: lower seq_tokens", total / 1e9,
                   have / 1e9);
}

/* A run without a checkpoint begins anew, and so does its log; or it takes up the longest beginning that another run has
 * finished, of *n_stage stages. */
static bool begin(workflow *w, int *n_stage, lb_err *err)
{
    int n = w->r->n_stage;
    while (n > 0 && !(begun(w, n) && lb_is_folder(begun(w, n)))) n--;
    *n_stage = n;
    if (ftruncate(w->x.log_fd, 0) != 0) return lb_fail_io(err, "%s/train.jsonl", w->partial);
    if (n == 0) return true;
    remark(w, "the first %d stage%s: as a run that begins alike has trained them", n, n > 1 ? "s" : "");
    return lb_prefix_take(&w->x, n, begun(w, n), err) || lb_wrap(err, "%s", begun(w, n));
}

static bool stages(workflow *w, lb_err *err)
{
    const lb_train_recipe *r = w->r;
    lb_student_opt o = {.model_dir = w->o->model_dir,
                        .start_dir = w->has_start ? w->start : NULL,
                        .train = trained(r),
                        .compute = r->compute,
                        .scratch = strcmp(r->method, "scratch") == 0 ? &w->base.model->cfg : NULL,
                        .seed = (uint64_t)r->seed,
                        .d_teacher = distils(r) ? teacher_width(w) : 0};
    int64_t steps = 0;
    int at, taken = 0;
    bool ok = (w->x.student = lb_student_open(&o, w->ex, err)) != NULL && lb_stage_resume(&w->x, &at, err) &&
              (at >= 0 || begin(w, &taken, err)), fine;
    if (ok) w->x.curve = lb_curve_open(&w->x, w->db, at < 0 && taken == 0, &fine, err), ok = fine;
    for (int i = 0; i < r->n_stage; i++) steps += r->stages[i].steps;
    if (ok) lb_progress_start(&w->p, w->o->progress, "steps", steps);
    for (int i = 0; ok && i < r->n_stage; i++) {
        if (i < at || i < taken) { /* finished: only its quantizers, whose shapes the checkpoint has */
            if (i < at) ok = lb_student_stage(w->x.student, &r->stages[i], err);
            lb_progress_reuse(&w->p, r->stages[i].steps);
            continue;
        }
        remark(w, "stage %s: %d steps", r->stages[i].name, r->stages[i].steps);
        ok = lb_stage_run(&w->x, i, err) && (!begun(w, i + 1) || lb_prefix_save(&w->x, begun(w, i + 1), err));
    }
    lb_progress_end(&w->p);
    lb_curve_close(w->x.curve);
    w->x.curve = NULL;
    return ok;
}

/* ---- the output ---- */

static bool keep_file(const char *from_dir, const char *name, const char *to_dir, lb_err *err)
{
    char from[PATH + 40], to[PATH + 40];
    snprintf(from, sizeof from, "%s/%s", from_dir, name);
    snprintf(to, sizeof to, "%s/%s", to_dir, name);
    return lb_file_copy(from, to, err);
}

static bool export(workflow *w, char *dir, lb_err *err)
{
    snprintf(dir, PATH, "%.1000s/export", w->partial);
    remark(w, "export: packed, written, read back");
    return lb_student_export(w->x.student, dir, w->r->name, err) && lb_student_save_latent(w->x.student, dir, err) &&
           keep_file(w->partial, "train.jsonl", dir, err) && keep_file(w->partial, "recipe.json", dir, err) &&
           (!w->r->curve.tasks || keep_file(w->partial, "curve.jsonl", dir, err));
}

/* ---- evaluation ---- */

static bool open_db(workflow *w, lb_err *err)
{
    char own[PATH + 40];
    if (!w->r->eval.tasks && !w->r->curve.tasks) return true;
    snprintf(own, sizeof own, "%s/results.sqlite", w->partial);
    return (w->db = lb_db_open(w->o->db_path ? w->o->db_path : own, err)) != NULL;
}

static bool evaluate_one(workflow *w, const char *dir, const char *label, lb_eval_opt o, lb_eval_result *out,
                         lb_err *err)
{
    lb_target t = {0};
    int64_t total;
    o.sampling = lb_target_sampling(&w->base), o.label = label;
    bool ok = lb_eval_count(&o, &total, err) && lb_target_open(&t, dir, w->ex, err);
    if (ok) {
        lb_progress_start(&w->p, w->o->progress, "samples", total);
        ok = lb_eval_run(&t, &o, w->db, &w->p, out, err);
        lb_progress_end(&w->p);
    }
    lb_target_close(&t);
    return ok || lb_wrap(err, "evaluation of %s", label);
}

static bool evaluate(workflow *w, const char *dir, lb_train_report *rep, lb_err *err)
{
    lb_eval_opt o;
    const lb_bench **tasks = NULL;
    char start[160];
    if (!w->r->eval.tasks) return true;
    snprintf(start, sizeof start, "%.140s-start", w->r->name); /* labels, by which --against finds them */
    remark(w, "evaluation");
    bool ok = lb_train_eval_opt(&w->x, &w->r->eval, &o, &tasks, err) &&
              evaluate_one(w, w->o->model_dir, "model", o, &rep->eval[LB_TRAIN_MODEL], err) &&
              (!w->has_start || evaluate_one(w, w->start, start, o, &rep->eval[LB_TRAIN_START], err)) &&
              evaluate_one(w, dir, w->r->name, o, &rep->eval[LB_TRAIN_RESULT], err);
    rep->evaluated = ok, rep->has_start = w->has_start;
    free(tasks);
    return ok;
}

/* The samples belong to the output, unless they are in a database of somebody else's. */
static bool keep_db(workflow *w, const char *dir, lb_err *err)
{
    bool own = w->db && !w->o->db_path;
    lb_db_close(w->db);
    w->db = NULL;
    return !own || keep_file(w->partial, "results.sqlite", dir, err);
}

void lb_train_report_free(lb_train_report *r)
{
    for (int i = 0; i < LB_TRAIN_EVALS; i++) lb_eval_result_free(&r->eval[i]);
    *r = (lb_train_report){0};
}

/* ---- all of it ---- */

static void count_traces(workflow *w, lb_train_report *rep)
{
    lb_corpus c;
    if (!w->x.trace_file || !lb_corpus_load(&c, &w->base, w->x.trace_file, longest(w->r), NULL)) return;
    rep->n_doc = c.n, rep->n_tok = c.n_tok, rep->n_long = c.n_long, rep->n_empty = c.n_empty,
    rep->n_unthinking = c.n_unthinking;
    remark(w,
           "traces: %d to train on, %lld tokens; left out: %d too long, %d empty, %d without the end of their thinking",
           c.n, (long long)c.n_tok, c.n_long, c.n_empty, c.n_unthinking);
    lb_corpus_free(&c);
}

bool lb_train_run(const lb_train_recipe *r, const lb_train_opt *o, lb_exec *ex, lb_train_report *rep, lb_err *err)
{
    workflow *w = lb_alloc(1, sizeof *w, "the workflow", err);
    char dir[PATH] = "";
    *rep = (lb_train_report){0};
    if (!w) return false;
    *w = (workflow){.r = r, .o = o, .ex = ex, .lock_fd = -1};
    w->x = (lb_train_ctx){.recipe = r,
                          .model_dir = o->model_dir,
                          .data_dir = data_dir(w),
                          .dir = w->partial,
                          .ex = ex,
                          .base = &w->base,
                          .allow_weak_sandbox = o->allow_weak_sandbox, .label = o->label,
                          .progress = &w->p,
                          .log_fd = -1,
                          .stop = o->stop};
    bool ok = open_folder(w, err) && lb_target_open(&w->base, o->model_dir, ex, err) && lb_target_hash(&w->base, err) &&
              plan_memory(w, err) && open_log(w, err) && open_db(w, err) && traces(w, err) && start(w, err);
    if (ok) count_traces(w, rep);
    ok = ok && stages(w, err) && export(w, dir, err) && evaluate(w, dir, rep, err) && keep_db(w, dir, err);
    if (ok && rename(dir, o->out_dir) != 0) ok = lb_fail_io(err, "%s cannot be renamed to %s", dir, o->out_dir);
    if (w->x.log_fd >= 0) close(w->x.log_fd);
    lb_db_close(w->db);
    lb_student_close(w->x.student);
    lb_model_grad_close(w->x.teacher);
    lb_target_close(&w->base);
    if (ok) lb_remove_folder(w->partial);
    if (w->lock_fd >= 0) close(w->lock_fd);
    free(w);
    return ok;
}
