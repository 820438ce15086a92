/* cli/cmd_eval.c – `lowbit eval`: accuracy with its noise. */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/eval_table.h"
#include "eval/eval_remote.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct flags {
    lb_common c;
    const char *tasks, *data, *seeds, *db, *kv, *thinking, *from, *to, *pass_k, *maj_k, *against, *samples_out,
        *server, *model_name, *key_env;
    lb_list task_files;
    int64_t limit, samples, n, parallel, top_k, budget, extend, option_seed, retries, max_failed;
    double temp, top_p, min_p, gate, power, timeout, retry_wait;
    bool fresh, weak;
} flags;

typedef struct evaluation {
    flags f;
    lb_arg *table;
    lb_eval_opt o;
    const lb_bench **tasks;          /* owned */
    lb_bench **own;                  /* [n_own], owned: those of task files */
    int n_own;
    json_t *kwargs;                  /* owned */
    lb_exec *ex;                     /* owned */
    lb_target t;
    lb_remote *remote;               /* owned; NULL: the model is a folder */
    lb_served served;
    lb_db *db;                       /* owned */
    char base_hash[33];              /* of --against, if it names a folder */
    lb_eval_result r, base;
    lb_eval_drop drop;
    bool compared;
} evaluation;

/* ---- flags ---- */

/* A list of different whole numbers from `least` on. */
static bool parse_list(const char *flag, const char *text, long long least, int64_t *out, int max, int *n, lb_err *err)
{
    for (const char *p = text; *p;) {
        char *end;
        errno = 0;
        long long v = strtoll(p, &end, 10);
        if (end == p || errno || v < least || (*end && *end != ','))
            return lb_fail(err, LB_EUSAGE, "--%s '%s' is not a list of numbers from %lld on, such as 42,43,44", flag, text,
                           least);
        if (*n == max) return lb_fail(err, LB_EUSAGE, "--%s has more than %d", flag, max);
        for (int i = 0; i < *n; i++)
            if (out[i] == v) return lb_fail(err, LB_EUSAGE, "--%s has %lld twice", flag, v);
        out[(*n)++] = v;
        p = end + (*end == ',');
    }
    return *n > 0 || lb_fail(err, LB_EUSAGE, "--%s is empty", flag);
}

static bool parse_k(const char *flag, const char *text, int *k, int *n, lb_err *err)
{
    int64_t v[LB_MAX_K];
    if (text && !parse_list(flag, text, 1, v, LB_MAX_K, n, err)) return false;
    for (int i = 0; i < *n; i++) {
        if (v[i] > 1 << 20) return lb_fail(err, LB_EUSAGE, "--%s %lld is more than %d", flag, (long long)v[i], 1 << 20);
        k[i] = (int)v[i];
    }
    return true;
}

/* The rows of --tasks and those of task files, in this order. */
static bool find_tasks(evaluation *e, lb_err *err)
{
    const flags *f = &e->f;
    const char *named = f->tasks ? f->tasks : f->task_files.n ? NULL : "abacus";
    if (named && !lb_benches_of(named, &e->tasks, &e->o.n_task, err)) return false;
    size_t n = (size_t)e->o.n_task, n_own = (size_t)f->task_files.n;
    const lb_bench **all = lb_alloc(n + n_own, sizeof *all, "the tasks", err);
    e->own = lb_alloc(n_own, sizeof *e->own, "the tasks", err);
    if (!all || !e->own) {
        free(all);
        return false;
    }
    if (n) memcpy(all, e->tasks, n * sizeof *all);
    free(e->tasks);
    e->o.tasks = e->tasks = all;
    for (size_t i = 0; i < n_own; i++) {
        if (!(e->own[i] = lb_bench_from_file(f->task_files.p[i], err))) return false;
        e->n_own++;
        for (int k = 0; k < e->o.n_task; k++)
            if (strcmp(all[k]->name, e->own[i]->name) == 0)
                return lb_fail(err, LB_EUSAGE, "%s is called '%s', as another task of this run", f->task_files.p[i],
                               all[k]->name);
        all[e->o.n_task++] = e->own[i];
    }
    return true;
}

/* A folder or a server, not both; and nothing that only one of them can. */
static bool check_model(evaluation *e, lb_err *err)
{
    const flags *f = &e->f;
    if (!f->server) {
        for (const lb_arg *a = e->table; a->name; a++)
            if (a->given && (a->dst == &f->model_name || a->dst == &f->key_env || a->dst == &f->timeout ||
                             a->dst == &f->retries || a->dst == &f->retry_wait || a->dst == &f->max_failed))
                return lb_fail(err, LB_EUSAGE, "--%s is for a model behind --server", a->name);
        return lb_cmd_need_model(&f->c, err);
    }
    if (f->c.model && f->c.model != getenv("LOWBIT_MODEL"))
        return lb_fail(err, LB_EUSAGE, "-m and --server are two models; evaluate one at a time");
    if (f->kv) return lb_fail(err, LB_EUSAGE, "--kv is for a model folder; a server has its own KV cache");
    if (f->budget || f->extend)
        return lb_fail(err, LB_EUSAGE, "--think-budget and --think-extend are for a model folder: a server's thinking "
                                       "cannot be forced");
    return true;
}

/* --from and --to want a task that they choose from. */
static bool check_dated(const evaluation *e, lb_err *err)
{
    bool dated = !e->f.from && !e->f.to;
    for (int k = 0; k < e->o.n_task; k++) dated = dated || e->tasks[k]->dated;
    return dated || lb_fail(err, LB_EUSAGE, "--from and --to are for benchmarks whose problems have dates (livecodebench)");
}

static bool read_flags(evaluation *e, lb_err *err)
{
    const flags *f = &e->f;
    lb_eval_opt *o = &e->o;
    *o = (lb_eval_opt){.data_dir = f->data, .limit = (int)f->limit, .option_seed = (uint64_t)f->option_seed, .from = f->from,
                       .to = f->to, .n_sample = (int)f->samples, .max_new = (int)f->n, .think_budget = (int)f->budget,
                       .think_extend = (int)f->extend, .n_slot = (int)f->parallel, .kv = f->kv, .fresh = f->fresh,
                       .allow_weak_sandbox = f->weak, .stop = &lb_cmd_stop};
    if (f->samples_out && !lb_out_check(f->samples_out, err)) return lb_wrap(err, "--samples-out");
    return check_model(e, err) && parse_list("seeds", f->seeds, 0, o->seeds, LB_MAX_SEEDS, &o->n_seed, err) &&
           parse_k("pass-k", f->pass_k, o->pass_k, &o->n_pass_k, err) &&
           parse_k("maj-k", f->maj_k, o->maj_k, &o->n_maj_k, err) && find_tasks(e, err) && check_dated(e, err);
}

/* How its makers sample it, unless the user says otherwise. */
static void set_sampling(evaluation *e, lb_sampling s)
{
    const flags *f = &e->f;
    if (lb_args_given(e->table, "temp")) s.temperature = (float)f->temp;
    if (lb_args_given(e->table, "top-k")) s.top_k = (int)f->top_k;
    if (lb_args_given(e->table, "top-p")) s.top_p = (float)f->top_p;
    if (lb_args_given(e->table, "min-p")) s.min_p = (float)f->min_p;
    e->o.sampling = s;
}

/* ---- the baseline ---- */

/* A folder is known by what is in it, whatever it was called when it was evaluated. */
static bool hash_folder(evaluation *e, lb_err *err)
{
    lb_target t = {0};
    if (!e->f.against || !lb_is_folder(e->f.against)) return true;
    bool ok = lb_target_open(&t, e->f.against, e->ex, err) && lb_target_hash(&t, err);
    memcpy(e->base_hash, t.hash, sizeof e->base_hash);
    lb_target_close(&t);
    return ok || lb_wrap(err, "--against");
}

/* A word as a shell takes it. */
static void add_word(lb_buf *b, const char *s)
{
    bool plain = *s && !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:=+")];
    if (plain) {
        lb_buf_str(b, s);
        return;
    }
    lb_buf_byte(b, '\'');
    for (; *s; s++) {
        if (*s == '\'') lb_buf_str(b, "'\\''");
        else lb_buf_byte(b, *s);
    }
    lb_buf_byte(b, '\'');
}

static void add_flag(lb_buf *b, const lb_arg *a)
{
    if (a->type == LB_ARG_LIST) {
        const lb_list *l = a->dst;
        for (int i = 0; i < l->n; i++) {
            lb_buf_fmt(b, " --%s ", a->name);
            add_word(b, l->p[i]);
        }
        return;
    }
    lb_buf_fmt(b, " --%s", a->name);
    if (a->type == LB_ARG_FLAG) return;
    lb_buf_byte(b, ' ');
    if (a->type == LB_ARG_STR) add_word(b, *(const char **)a->dst);
    else if (a->type == LB_ARG_INT) lb_buf_fmt(b, "%lld", (long long)*(int64_t *)a->dst);
    else lb_buf_fmt(b, "%.17g", *(double *)a->dst);
}

/* The baseline as flags name it, as the database knows it: a folder's path, or a server and its model. */
typedef struct baseline_flags {
    const char *hash;
    lb_buf *out;
} baseline_flags;

static bool add_model(void *arg, const lb_model_row *row, lb_err *err)
{
    (void)err;
    const baseline_flags *f = arg;
    if (strcmp(row->hash, f->hash) != 0) return true;
    json_t *about = json_loads(row->about ? row->about : "", 0, NULL);
    const char *url = json_string_value(json_object_get(about, "url"));
    bool server = row->kind && strcmp(row->kind, "server") == 0 && url;
    lb_buf_str(f->out, server ? " --server " : " -m ");
    add_word(f->out, server ? url : row->name);
    if (server) lb_buf_str(f->out, " --model-name "), add_word(f->out, row->name);
    json_decref(about);
    return true;
}

/* The command that evaluates the baseline: this one with another model, less what is only said of this one. */
static bool say_command(const evaluation *e, lb_err *err)
{
    static const char *const not_these[] = {
        "model", "server", "model-name", "api-key-env", "timeout", "retries", "retry-wait", "max-failed", "against",
        "power", "samples-out", "fail-under", "fresh", "json", "quiet", "pass-k", "maj-k"};
    lb_buf b = {0};
    lb_err ignored = {0};
    lb_buf_str(&b, "lowbit eval");
    size_t begin = b.n;
    if (!lb_is_folder(e->f.against)) lb_db_each_model(e->db, add_model, &(baseline_flags){e->base_hash, &b}, &ignored);
    if (b.n == begin) lb_buf_str(&b, " -m "), add_word(&b, e->f.against);
    for (const lb_arg *a = e->table; a->name; a++) {
        bool left_out = !a->given || (a->type == LB_ARG_FLAG && !*(bool *)a->dst);
        for (size_t i = 0; i < sizeof not_these / sizeof *not_these; i++) left_out |= strcmp(a->name, not_these[i]) == 0;
        if (!left_out) add_flag(&b, a);
    }
    char why[512];
    snprintf(why, sizeof why, "%.500s", err ? err->msg : "");
    lb_fail(err, LB_EUSAGE, "%s; first run: %.480s", why, lb_buf_cstr(&b));
    lb_buf_free(&b);
    return false;
}

static bool compare(evaluation *e, lb_err *err)
{
    bool missing = false;
    if (!e->f.against) return true;
    if (!*e->base_hash && !lb_eval_find_model(e->db, e->f.against, e->base_hash, err)) return lb_wrap(err, "--against");
    if (!lb_eval_from_db(e->base_hash, &e->r, &e->o, e->db, e->ex, &e->base, &missing, err)) {
        lb_wrap(err, "--against %s", e->f.against);
        return missing ? say_command(e, err) : false;
    }
    e->compared = lb_eval_drop_of(&e->r, &e->base, &e->drop, err) || lb_wrap(err, "--against %s", e->f.against);
    return e->compared;
}

/* ---- results ---- */

static bool add_power(const evaluation *e, json_t *j, lb_err *err)
{
    json_t *all = json_object();
    for (int k = 0; k < e->r.n_task; k++) {
        lb_spread one;
        double d = e->f.power / 100;
        if (!e->compared && !lb_eval_spread(&e->r, k, &one, err)) {
            json_decref(all);
            return false;
        }
        json_t *t;
        if (e->compared) t = lb_eval_power_json(&e->drop.spreads[k], d);
        else {
            lb_spread like = lb_stats_spread_of_two(&one, false), other = lb_stats_spread_of_two(&one, true);
            t = json_pack("{s:o, s:o}", "same_problems_hard", lb_eval_power_json(&like, d), "unrelated",
                          lb_eval_power_json(&other, d));
        }
        json_object_set_new(all, e->r.tasks[k].bench->name, t);
    }
    json_object_set_new(j, "power", json_pack("{s:f, s:o}", "points", e->f.power, "tasks", all));
    return true;
}

static bool print_json(const evaluation *e, lb_err *err)
{
    json_t *j = lb_eval_json(&e->r);
    if (!j) return lb_cmd_print_json(NULL, err);
    json_object_set_new(j, "model",
                        e->remote ? json_pack("{s:s, s:s, s:O}", "name", e->served.s.name, "hash", e->served.s.hash,
                                              "about", e->served.about)
                                  : json_pack("{s:s, s:s, s:f}", "path", e->f.c.model, "hash", e->t.hash,
                                              "bits_per_weight", e->t.model->bpw));
    if (e->remote) json_object_set_new(j, "server", lb_remote_report_json(&e->served.report));
    json_object_set_new(j, "version", json_string(lb_version()));
    if (e->compared) {
        json_t *a = lb_eval_drop_json(&e->r, &e->drop), *base = lb_eval_json(&e->base);
        json_object_set_new(a, "name", json_string(e->f.against));
        json_object_set_new(a, "hash", json_string(e->base_hash));
        json_object_set(a, "results", json_object_get(base, "results"));
        json_decref(base);
        json_object_set_new(j, "against", a);
    }
    if (e->f.power > 0 && !add_power(e, j, err)) {
        json_decref(j);
        return false;
    }
    return lb_cmd_print_json(j, err);
}

static bool print_text(const evaluation *e, lb_err *err)
{
    lb_eval_print(&e->r);
    if (e->compared) lb_eval_print_drop(&e->r, &e->base, &e->drop, e->f.against);
    return !(e->f.power > 0) || lb_eval_print_power(&e->r, e->compared ? &e->drop : NULL, e->f.power, err);
}

static bool pass_gate(const evaluation *e, lb_err *err)
{
    return !(e->f.gate >= 0) || e->r.average >= e->f.gate ||
           lb_fail(err, LB_EGATE, "the average %.4f ± %.4f is below --fail-under %.4f", e->r.average,
                   e->r.average_stderr, e->f.gate);
}

/* ---- the command ---- */

static bool open_server(evaluation *e, lb_err *err)
{
    const flags *f = &e->f;
    const char *key = getenv(f->key_env ? f->key_env : "OPENAI_API_KEY");
    if (f->key_env && !key)
        return lb_fail(err, LB_EUSAGE, "--api-key-env: there is no variable %s in the environment", f->key_env);
    lb_remote_opt o = {.url = f->server, .model = f->model_name, .api_key = key, .n_parallel = (int)f->parallel,
                       .timeout_s = f->timeout, .max_retries = f->retries > 0 ? (int)f->retries : -1,
                       .backoff_s = f->retry_wait, .max_failed = (int)f->max_failed, .stop = &lb_cmd_stop};
    e->remote = lb_remote_open(&o, err);
    return e->remote && lb_subject_remote(&e->served, e->remote, e->ex, err);
}

static bool open_model(evaluation *e, lb_err *err)
{
    return e->f.server ? open_server(e, err) : lb_target_open(&e->t, e->f.c.model, e->ex, err);
}

/* What it took to get the replies: said also of a run that failed. */
static void say_report(const evaluation *e)
{
    char text[1500];
    lb_remote_report_text(&e->served.report, text, sizeof text);
    if (*text && !e->f.c.quiet) fprintf(stderr, "server: %s\n", text);
}

static bool evaluate(evaluation *e, lb_progress_mode mode, int64_t total, lb_err *err)
{
    lb_progress p;
    e->o.template_kwargs = e->kwargs;
    set_sampling(e, e->remote ? lb_served_sampling() : lb_target_sampling(&e->t));
    lb_progress_start(&p, mode, "samples", total);
    bool ok = e->remote ? lb_eval_run_subject(&e->served.s, &e->o, e->db, &p, &e->r, err)
                        : lb_eval_run(&e->t, &e->o, e->db, &p, &e->r, err);
    lb_progress_end(&p);
    if (e->remote) say_report(e);
    return ok;
}

/* What was evaluated is shown, whatever becomes of the comparison. */
static bool show(evaluation *e, lb_err *err)
{
    bool compared = compare(e, err);
    return (e->f.c.json ? print_json(e, compared ? err : NULL) : print_text(e, compared ? err : NULL)) && compared;
}

static bool run_all(evaluation *e, lb_err *err)
{
    lb_progress_mode mode;
    int64_t total;
    const flags *f = &e->f;
    return read_flags(e, err) && lb_cmd_progress(&f->c, &mode, err) && lb_cmd_thinking(f->thinking, &e->kwargs, err) &&
           lb_eval_count(&e->o, &total, err) && (e->ex = lb_cmd_exec(&f->c, err)) && hash_folder(e, err) &&
           open_model(e, err) && (e->db = lb_db_open(f->db, err)) &&
           evaluate(e, mode, total, err) &&
           (!f->samples_out || lb_eval_write_samples(&e->r, &e->o, e->db, f->samples_out, err)) && show(e, err) &&
           pass_gate(e, err);
}

static void close_all(evaluation *e)
{
    lb_eval_drop_free(&e->drop);
    lb_eval_result_free(&e->base);
    lb_eval_result_free(&e->r);
    lb_db_close(e->db);
    lb_subject_remote_close(&e->served);
    lb_remote_close(e->remote);
    lb_target_close(&e->t);
    lb_exec_close(e->ex);
    json_decref(e->kwargs);
    for (int i = 0; i < e->n_own; i++) lb_bench_free(e->own[i]);
    free(e->own);
    free(e->tasks);
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    evaluation e = {0};
    bool done;
    flags *f = &e.f;
    *f = (flags){.data = "data", .seeds = "42,43,44", .db = "out/results.sqlite", .samples = 1, .top_p = 1, .gate = -1,
                 .retries = 6};
    lb_arg table[] = {
        LB_MODEL_ARG(f->c),
        {"server", 0, LB_ARG_STR, &f->server, "URL",
         "instead of -m: a model behind an OpenAI-compatible server, such as http://127.0.0.1:8000", 0, 0, false},
        {"model-name", 0, LB_ARG_STR, &f->model_name, "NAME",
         "which of the server's models (default: the only one)", 0, 0, false},
        {"api-key-env", 0, LB_ARG_STR, &f->key_env, "VAR",
         "the variable that holds the server's key (default OPENAI_API_KEY)", 0, 0, false},
        {"timeout", 0, LB_ARG_REAL, &f->timeout, "S",
         "server: seconds of silence that are a stall (default 600)", 0.01, 86400, false},
        {"retries", 0, LB_ARG_INT, &f->retries, "N",
         "server: more tries of a sample that fails (default 6)", 0, 1000, false},
        {"retry-wait", 0, LB_ARG_REAL, &f->retry_wait, "S",
         "server: before the first of them; doubled each time, up to 60 (default 1)", 0.001, 60, false},
        {"max-failed", 0, LB_ARG_INT, &f->max_failed, "N",
         "server: so many failed samples in a row stop the run (default 8)", 1, 1 << 20, false},
        {"tasks", 0, LB_ARG_STR, &f->tasks, "A,B",
         "benchmarks or suites: abacus (default), studies, math500, aime24 …; `lowbit data` lists them",
         0, 0, false},
        {"task-file", 0, LB_ARG_LIST, &f->task_files, "FILE",
         "a benchmark of your own, described in JSON (docs/benchmarks.md); may be repeated", 0, 0, false},
        {"data", 0, LB_ARG_STR, &f->data, "DIR",
         "folder of the benchmarks (default: data); `lowbit data` says what it wants", 0, 0, false},
        {"limit", 0, LB_ARG_INT, &f->limit, "N", "the first N problems of each task (default: all)", 1, 1 << 20, false},
        {"from", 0, LB_ARG_STR, &f->from, "DATE",
         "only problems from this day on, such as 2024-08-01 or 2024-08, where they have a date", 0, 0, false},
        {"to", 0, LB_ARG_STR, &f->to, "DATE", "only problems up to this day or month", 0, 0, false},
        {"option-seed", 0, LB_ARG_INT, &f->option_seed, "N",
         "order of the options, where a benchmark shuffles them (default 1234)", 1, 0x1p53, false},
        {"seeds", 0, LB_ARG_STR, &f->seeds, "A,B", "default 42,43,44", 0, 0, false},
        {"samples", 0, LB_ARG_INT, &f->samples, "N", "samples per problem and seed (default 1)", 1, 4096, false},
        {"pass-k", 0, LB_ARG_STR, &f->pass_k, "A,B",
         "also pass@k for these k, of all samples of a problem", 0, 0, false},
        {"maj-k", 0, LB_ARG_STR, &f->maj_k, "A,B", "also maj@k: what k samples would answer by majority", 0, 0, false},
        {"n-predict", 'n', LB_ARG_INT, &f->n, "N",
         "most tokens per answer; longer is truncated (default: the task's)", 1, 1 << 28, false},
        {"temp", 0, LB_ARG_REAL, &f->temp, "T",
         "default: the model's generation_config.json; with --server 0.6, top-p 0.95", 0, 100, false},
        {"top-k", 0, LB_ARG_INT, &f->top_k, "K", "likewise", 0, 1 << 28, false},
        {"top-p", 0, LB_ARG_REAL, &f->top_p, "P", "likewise", 0, 1, false},
        {"min-p", 0, LB_ARG_REAL, &f->min_p, "P", "likewise", 0, 1, false},
        {"thinking", 0, LB_ARG_STR, &f->thinking, "HOW",
         "on, off, auto (default): the template's enable_thinking", 0, 0, false},
        {"think-budget", 0, LB_ARG_INT, &f->budget, "N", "end the thinking after N tokens of it", 1, 1 << 28, false},
        {"think-extend", 0, LB_ARG_INT, &f->extend, "K",
         "the first K times that thinking would end, go on with \"Wait\"", 1, 1 << 20, false},
        {"kv", 0, LB_ARG_STR, &f->kv, "FORMAT", LB_KV_HELP " (default: as the model)", 0, 0, false},
        {"parallel", 0, LB_ARG_INT, &f->parallel, "N",
         "samples in flight (default: what fits, at most 64; with --server 16)", 1, 4096, false},
        {"db", 0, LB_ARG_STR, &f->db, "FILE", "results database (default out/results.sqlite)", 0, 0, false},
        {"fresh", 0, LB_ARG_FLAG, &f->fresh, "", "generate again what the database has", 0, 0, false},
        {"against", 0, LB_ARG_STR, &f->against, "MODEL",
         "paired drop from a model that is in the database: its folder, name, label or hash", 0, 0, false},
        {"power", 0, LB_ARG_REAL, &f->power, "D",
         "what seeing a difference of D points takes: problems, samples", 1e-6, 100, false},
        {"samples-out", 0, LB_ARG_STR, &f->samples_out, "FILE",
         "every sample as a line of JSON, with its text", 0, 0, false},
        {"allow-weak-sandbox", 0, LB_ARG_FLAG, &f->weak, "",
         "run programs without namespaces where the kernel has none", 0, 0, false},
        {"fail-under", 0, LB_ARG_REAL, &f->gate, "A", "exit with 6 if the average is below A (0 to 1)", 0, 1, false},
        LB_COMMON_ARGS(f->c),
        {0},
    };
    (void)status;
    if (!lb_cmd_start(&lb_cmd_eval, table, &f->c, argc, argv, &done, err)) return false;
    if (done) return true;
    e.table = table;
    bool ok = run_all(&e, err);
    close_all(&e);
    return ok;
}

const lb_command lb_cmd_eval = {"eval", "accuracy on benchmarks, with its noise",
                                "lowbit eval -m models/abacus-5m --tasks chain,contest --limit 50", run};
