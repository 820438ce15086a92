/* cli/cmd_train.c – `lowbit train`: trains back what the bits cost. */
#include "cli/cmd.h"
#include "base/file.h"
#include "study/report.h"
#include "train/workflow.h"
#include <stdio.h>
#include <stdlib.h>

static const char *const names[LB_TRAIN_EVALS] = {"model", "start", "trained"};

static void say(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "%s\n", line);
}

static json_t *to_json(const char *out, const lb_train_report *r)
{
    json_t *j = json_pack("{s:s, s:i, s:I, s:i, s:i, s:i, s:s}", "output", out, "traces", r->n_doc, "trace_tokens",
                          (json_int_t)r->n_tok, "traces_too_long", r->n_long, "traces_empty", r->n_empty,
                          "traces_unfinished", r->n_unthinking, "version", lb_version());
    for (int i = 0; j && r->evaluated && i < LB_TRAIN_EVALS; i++) {
        if (i == LB_TRAIN_START && !r->has_start) continue;
        json_t *e = lb_eval_json(&r->eval[i]);
        lb_eval_drop d;
        if (e && i != LB_TRAIN_MODEL && lb_eval_drop_of(&r->eval[i], &r->eval[LB_TRAIN_MODEL], &d, NULL)) {
            json_object_set_new(e, "against", lb_eval_drop_json(&r->eval[i], &d));
            lb_eval_drop_free(&d);
        }
        json_object_set_new(j, names[i], e);
    }
    return j;
}

static void print(const char *out, const lb_train_report *r)
{
    printf("%s: packed, written and read back; %s/report.html\n", out, out);
    if (!r->evaluated) return;
    printf("%-8s %9s %7s %9s %7s %9s %8s\n", "", "average", "±", "drop", "±", "truncated", "tokens");
    for (int i = 0; i < LB_TRAIN_EVALS; i++) {
        const lb_eval_result *e = &r->eval[i];
        if (i == LB_TRAIN_START && !r->has_start) continue;
        double truncated = 0, tokens = 0;
        for (int k = 0; k < e->n_task; k++)
            truncated += e->tasks[k].truncated / e->n_task, tokens += e->tasks[k].tokens_mean / e->n_task;
        printf("%-8s %8.1f%% %6.1f%%", names[i], 100 * e->average, 100 * e->average_stderr);
        lb_eval_drop d;
        if (i != LB_TRAIN_MODEL && lb_eval_drop_of(e, &r->eval[LB_TRAIN_MODEL], &d, NULL)) {
            printf(" %8.1f%% %6.1f%%", 100 * d.mean.diff, 100 * d.mean.stderr_diff);
            lb_eval_drop_free(&d);
        } else {
            printf(" %9s %7s", "", "");
        }
        printf(" %8.1f%% %8.1f\n", 100 * truncated, tokens);
    }
}

/* evaluation.json and report.html in the output. */
static bool write_report(const char *out, const lb_train_report *r, lb_err *err)
{
    json_t *j = r->evaluated ? to_json(out, r) : NULL;
    char *path = lb_path_join(out, "evaluation.json", err);
    bool ok = path && (!r->evaluated || lb_json_save(path, j, err)) &&
              lb_report_write(out, &(lb_report_opt){0}, NULL, err);
    json_decref(j);
    free(path);
    return ok;
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    lb_common c = {0};
    lb_train_opt o = {.stop = &lb_cmd_stop};
    const char *recipe = NULL;
    bool done;
    lb_arg table[] = {
        LB_MODEL_ARG(c),
        {"recipe", 0, LB_ARG_STR, &recipe, "FILE",
         "what to do: recipes/reasoning-qat.json; docs/training.md has every key", 0, 0, false},
        {"output", 'o', LB_ARG_STR, &o.out_dir, "DIR",
         "the trained model; what is finished is kept in DIR.partial meanwhile", 0, 0, false},
        {"data", 0, LB_ARG_STR, &o.data_dir, "DIR", "folder of the benchmarks (default: data)", 0, 0, false},
        {"db", 0, LB_ARG_STR, &o.db_path, "FILE", "results database of the evaluation (default: in the output)", 0, 0,
         false},
        {"allow-weak-sandbox", 0, LB_ARG_FLAG, &o.allow_weak_sandbox, "",
         "run programs without namespaces where the kernel has none", 0, 0, false},
        LB_COMMON_ARGS(c),
        {0},
    };
    (void)status;
    if (!lb_cmd_start(&lb_cmd_train, table, &c, argc, argv, &done, err)) return false;
    if (done) return true;
    if (!lb_cmd_need_model(&c, err)) return false;
    if (!recipe || !*recipe)
        return lb_fail(err, LB_EUSAGE, "no recipe: --recipe FILE, such as recipes/reasoning-qat.json");
    if (!o.out_dir || !*o.out_dir) return lb_fail(err, LB_EUSAGE, "no output: -o DIR");
    lb_train_recipe *r = calloc(1, sizeof *r);
    lb_train_report *rep = calloc(1, sizeof *rep);
    lb_exec *ex = NULL;
    o.model_dir = c.model;
    if (!c.quiet) o.remark = say;
    bool ok = r && rep ? lb_train_recipe_load(r, recipe, err) : lb_fail_mem(err, sizeof *rep, "the recipe");
    ok = ok && lb_cmd_progress(&c, &o.progress, err) && (ex = lb_cmd_exec(&c, err)) != NULL &&
         lb_train_run(r, &o, ex, rep, err) && write_report(o.out_dir, rep, err);
    if (ok && c.json) ok = lb_cmd_print_json(to_json(o.out_dir, rep), err);
    else if (ok) print(o.out_dir, rep);
    if (rep) lb_train_report_free(rep);
    if (r) lb_train_recipe_free(r);
    free(rep);
    free(r);
    lb_exec_close(ex);
    return ok;
}

const lb_command lb_cmd_train = {
    "train", "train back what the bits cost: distillation, reinforcement learning",
    "lowbit train -m models/abacus-5m --recipe recipes/reasoning-qat.json -o out/abacus-w2-qat", run};
