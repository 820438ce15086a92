/* cli/cmd_study.c – `lowbit study`: run a recipe, print the table. */
#include "base/file.h"
#include "cli/cmd.h"
#include "study/study.h"
#include <stdio.h>
#include <stdlib.h>

/* Everything else is done and printed by now. */
static bool report_failed(const lb_study *s, lb_err *err)
{
    const lb_study_run *r = s->runs;
    while (r->state != LB_STUDY_FAILED) r++;
    return lb_fail(err, LB_EFAIL, "%d of %d runs failed; the first is %s: %s", s->n_failed, s->n_run, r->label,
                   r->error);
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    lb_common c = {0};
    const char *out = NULL;
    bool done, quick = false, fresh = false, weak = false;
    lb_arg table[] = {
        {"output", 'o', LB_ARG_STR, &out, "DIR",
         "where models, results and tables go (default: out/NAME, with --quick out/NAME-quick)", 0, 0, false},
        {"quick", 0, LB_ARG_FLAG, &quick, "", "the recipe's quick part: fewer problems", 0, 0, false},
        {"fresh", 0, LB_ARG_FLAG, &fresh, "", "generate again what the database has", 0, 0, false},
        {"allow-weak-sandbox", 0, LB_ARG_FLAG, &weak, "", "run programs without namespaces where the kernel has none",
         0, 0, false},
        LB_COMMON_ARGS(c),
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_study, table, &c, argc, argv, &done, err)) return false;
    if (done) return true;
    if (!c.model)
        return lb_fail(err, LB_EUSAGE, "no recipe: lowbit study RECIPE.json, such as recipes/abacus-rtn.json");
    lb_study *s = calloc(1, sizeof *s);
    lb_exec *ex = NULL;
    char dir[128];
    lb_study_opt o = {.out_dir = out, .quick = quick, .fresh = fresh, .allow_weak_sandbox = weak, .stop = &lb_cmd_stop};
    bool ok = s ? lb_study_open(s, c.model, quick, err) : lb_fail_mem(err, sizeof *s, "the study");
    ok = ok && lb_cmd_progress(&c, &o.progress, err) && (ex = lb_cmd_exec(&c, err)) != NULL;
    if (ok && !out) {
        snprintf(dir, sizeof dir, "out/%s%s", s->name, quick ? "-quick" : "");
        o.out_dir = dir;
    }
    ok = ok && lb_study_run_all(s, &o, ex, err);
    if (ok && c.json) {
        ok = lb_cmd_print_json(lb_study_json(s), err);
    } else if (ok) {
        lb_buf b = {0};
        lb_study_table(s, &b);
        fputs(lb_buf_cstr(&b), stdout);
        lb_buf_free(&b);
        if (!c.quiet)
            fprintf(stderr, "written: %s/table.txt, results.json, results.csv, results.sqlite; lowbit report %s\n",
                    o.out_dir, o.out_dir);
    }
    if (ok && s->n_failed > 0) ok = report_failed(s, err);
    lb_exec_close(ex);
    if (s) lb_study_close(s);
    free(s);
    return ok;
}

const lb_command lb_cmd_study = {"study", "run a recipe: models × schemes × benchmarks, one table",
                                 "lowbit study recipes/abacus-rtn.json", run};
