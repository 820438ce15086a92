/* cli/cmd_eval.c – `lowbit eval`: accuracy with its noise. */
#include "base/json.h"
#include "cli/cmd.h"
#include "eval/eval.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_seeds(const char *text, lb_eval_opt *o, lb_err *err)
{
    for (const char *p = text; *p;) {
        char *end;
        errno = 0;
        long long v = strtoll(p, &end, 10);
        if (end == p || errno || v < 0 || (*end && *end != ','))
            return lb_fail(err, LB_EUSAGE, "--seeds '%s' is not a list such as 42,43,44", text);
        if (o->n_seed == LB_MAX_SEEDS) return lb_fail(err, LB_EUSAGE, "--seeds has more than %d", LB_MAX_SEEDS);
        for (int i = 0; i < o->n_seed; i++)
            if (o->seeds[i] == v) return lb_fail(err, LB_EUSAGE, "--seeds has %lld twice", v);
        o->seeds[o->n_seed++] = v;
        p = end + (*end == ',');
    }
    return o->n_seed > 0 || lb_fail(err, LB_EUSAGE, "--seeds is empty");
}

static void print_table(const lb_eval_result *r)
{
    printf("%-10s %9s %7s %6s %9s %7s %8s   %s\n", "task", "accuracy", "±", "n", "truncated", "closed", "tokens",
           "per seed; by level 1…5");
    for (int k = 0; k < r->n_task; k++) {
        const lb_task_result *t = &r->tasks[k];
        printf("%-10s %8.1f%% %6.1f%% %6d %8.1f%% %6.1f%% %8.1f  ", t->bench->name, 100 * t->accuracy,
               100 * t->accuracy_stderr, t->n, 100 * t->truncated, 100 * t->think_closed, t->tokens_mean);
        for (int s = 0; s < r->n_seed; s++) printf(" %.1f", 100 * t->per_seed[s]);
        printf(";");
        for (int l = 0; l < LB_N_LEVEL; l++) {
            if (t->level_n[l]) printf(" %.2f", t->by_level[l]);
            else printf(" –");
        }
        printf("\n");
    }
    printf("%-10s %8.1f%% %6.1f%%\n", "average", 100 * r->average, 100 * r->average_stderr);
    printf("sampling %s; %d seed%s × %d sample%s; %lld generated, %lld from the database; %.0f tok/s%s\n", r->sampling,
           r->n_seed, r->n_seed > 1 ? "s" : "", r->n_sample, r->n_sample > 1 ? "s" : "", (long long)r->n_generated,
           (long long)r->n_reused, r->seconds > 0 ? r->tokens_generated / r->seconds : 0,
           r->weak_sandbox ? "; programs ran in the weak sandbox" : "");
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    lb_common c = {0};
    const char *tasks = "abacus", *data = "data", *seeds = "42,43,44", *db_path = "out/results.sqlite", *kv = NULL,
               *thinking = NULL;
    int64_t limit = 0, samples = 1, n = 0, parallel = 0, top_k = 0, budget = 0, extend = 0;
    double temp = 0, top_p = 1, min_p = 0, gate = -1;
    bool done, fresh = false, weak = false;
    lb_arg table[] = {
        LB_MODEL_ARG(c),
        {"tasks", 0, LB_ARG_STR, &tasks, "A,B", "benchmarks: abacus, or chain,algebra,contest,choice,code", 0, 0,
         false},
        {"data", 0, LB_ARG_STR, &data, "DIR", "folder of the benchmarks (default: data); DIR/abacus/chain.jsonl …", 0,
         0, false},
        {"limit", 0, LB_ARG_INT, &limit, "N", "the first N problems of each task (default: all)", 1, 1 << 20, false},
        {"seeds", 0, LB_ARG_STR, &seeds, "A,B", "default 42,43,44", 0, 0, false},
        {"samples", 0, LB_ARG_INT, &samples, "N", "samples per problem and seed (default 1)", 1, 4096, false},
        {"n-predict", 'n', LB_ARG_INT, &n, "N", "most tokens per answer; longer is truncated (default: the task's)", 1,
         1 << 28, false},
        {"temp", 0, LB_ARG_REAL, &temp, "T", "default: the model's generation_config.json", 0, 100, false},
        {"top-k", 0, LB_ARG_INT, &top_k, "K", "likewise", 0, 1 << 28, false},
        {"top-p", 0, LB_ARG_REAL, &top_p, "P", "likewise", 0, 1, false},
        {"min-p", 0, LB_ARG_REAL, &min_p, "P", "likewise", 0, 1, false},
        {"thinking", 0, LB_ARG_STR, &thinking, "HOW", "on, off, auto (default): the template's enable_thinking", 0, 0,
         false},
        {"think-budget", 0, LB_ARG_INT, &budget, "N", "end the thinking after N tokens of it", 1, 1 << 28, false},
        {"think-extend", 0, LB_ARG_INT, &extend, "K", "the first K times that thinking would end, go on with \"Wait\"", 1,
         1 << 20, false},
        {"kv", 0, LB_ARG_STR, &kv, "FORMAT", LB_KV_HELP " (default: as the model)", 0, 0, false},
        {"parallel", 0, LB_ARG_INT, &parallel, "N", "samples in flight (default: what fits, at most 64)", 1, 4096,
         false},
        {"db", 0, LB_ARG_STR, &db_path, "FILE", "results database (default out/results.sqlite)", 0, 0, false},
        {"fresh", 0, LB_ARG_FLAG, &fresh, "", "generate again what the database has", 0, 0, false},
        {"allow-weak-sandbox", 0, LB_ARG_FLAG, &weak, "", "run programs without namespaces where the kernel has none",
         0, 0, false},
        {"fail-under", 0, LB_ARG_REAL, &gate, "A", "exit with 6 if the average is below A (0 to 1)", 0, 1, false},
        LB_COMMON_ARGS(c),
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_eval, table, &c, argc, argv, &done, err)) return false;
    if (done) return true;
    lb_progress_mode mode;
    lb_eval_opt o = {.data_dir = data,
                     .limit = (int)limit,
                     .n_sample = (int)samples,
                     .max_new = (int)n,
                     .think_budget = (int)budget,
                     .think_extend = (int)extend,
                     .n_slot = (int)parallel,
                     .kv = kv,
                     .fresh = fresh,
                     .allow_weak_sandbox = weak,
                     .stop = &lb_cmd_stop};
    const lb_bench **list = NULL;
    int64_t total;
    if (!lb_cmd_need_model(&c, err) || !parse_seeds(seeds, &o, err) || !lb_cmd_progress(&c, &mode, err) ||
        !lb_benches_of(tasks, &list, &o.n_task, err))
        return false;
    o.tasks = list;
    json_t *kwargs = NULL;
    lb_target t = {0};
    lb_db *db = NULL;
    lb_eval_result r = {0};
    lb_exec *ex = NULL;
    bool ok = lb_cmd_thinking(thinking, &kwargs, err) && lb_eval_count(&o, &total, err) &&
              (ex = lb_cmd_exec(&c, err)) != NULL && lb_target_open(&t, c.model, ex, err) &&
              (db = lb_db_open(db_path, err)) != NULL;
    if (ok) {
        o.template_kwargs = kwargs;
        o.sampling = lb_target_sampling(&t);
        if (lb_args_given(table, "temp")) o.sampling.temperature = (float)temp;
        if (lb_args_given(table, "top-k")) o.sampling.top_k = (int)top_k;
        if (lb_args_given(table, "top-p")) o.sampling.top_p = (float)top_p;
        if (lb_args_given(table, "min-p")) o.sampling.min_p = (float)min_p;
        lb_progress p;
        lb_progress_start(&p, mode, "samples", total);
        ok = lb_eval_run(&t, &o, db, &p, &r, err);
        lb_progress_end(&p);
    }
    if (ok && !c.json) print_table(&r);
    if (ok && c.json) {
        json_t *j = lb_eval_json(&r);
        json_object_set_new(j, "model",
                            json_pack("{s:s, s:s, s:f}", "path", c.model, "hash", t.hash, "bits_per_weight",
                                      t.model->bpw));
        json_object_set_new(j, "version", json_string(lb_version()));
        char *text = json_dumps(j, JSON_INDENT(2));
        if (text) puts(text);
        free(text);
        json_decref(j);
    }
    if (ok && gate >= 0 && r.average < gate)
        ok = lb_fail(err, LB_EGATE, "the average %.4f is below --fail-under %.4f", r.average, gate);
    (void)status;
    lb_eval_result_free(&r);
    lb_db_close(db);
    lb_target_close(&t);
    lb_exec_close(ex);
    json_decref(kwargs);
    free(list);
    return ok;
}

const lb_command lb_cmd_eval = {"eval", "accuracy on benchmarks, with its noise",
                                "lowbit eval -m models/abacus-5m --tasks chain,contest --limit 50", run};
