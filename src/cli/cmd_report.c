/* cli/cmd_report.c – `lowbit report`: the output folder of a study or of a training, or a results database, as HTML
 * pages. */
#include "base/file.h"
#include "cli/cmd.h"
#include "study/pages.h"
#include "study/report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Prints what was written: as JSON, or in a line. */
static bool say(const lb_common *c, const char *path, int n_plot, const lb_pages_written *n, bool png, lb_err *err)
{
    if (c->json)
        return lb_cmd_print_json(json_pack("{s:s, s:i, s:i, s:i, s:i, s:b}", "report", path, "plots", n_plot, "pages",
                                           n->n_page, "models", n->n_model, "tasks", n->n_task, "png", png),
                                 err);
    if (c->quiet) return true;
    printf("%s: %d plots%s", path, n_plot, png ? ", as PNG in plots/" : "");
    if (n->n_page)
        printf("; %d pages of answers, %d model%s × %d task%s", n->n_page, n->n_model, n->n_model == 1 ? "" : "s", n->n_task,
               n->n_task == 1 ? "" : "s");
    puts("");
    return true;
}

static bool of_database(const lb_common *c, const char *out, const lb_pages_opt *o, lb_err *err)
{
    char *path = NULL;
    lb_pages_written n = {0};
    bool ok = lb_pages_from_db(c->model, out, o, &path, &n, err) && say(c, path, n.n_plot, &n, o->png, err);
    free(path);
    return ok;
}

static bool of_study(const lb_common *c, const char *out, const lb_pages_opt *pages, lb_err *err)
{
    lb_report_opt o = {.out = out, .png = pages->png, .pages = pages};
    lb_report_written n = {0};
    char path[1200];
    if (!lb_report_write(c->model, &o, &n, err)) return false;
    const char *slash = c->model[0] && c->model[strlen(c->model) - 1] == '/' ? "" : "/";
    if (out) snprintf(path, sizeof path, "%s", out);
    else snprintf(path, sizeof path, "%s%sreport.html", c->model, slash);
    return say(c, path, n.n_plot, &n.pages, o.png, err);
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    lb_common c = {0};
    lb_pages_opt o = {0};
    const char *out = NULL;
    int64_t text_kb = LB_PAGES_TEXT_KB;
    bool done;
    lb_arg table[] = {
        {"output", 'o', LB_ARG_STR, &out, "PATH",
         "of a study: the page (default: report.html in its folder); of a database: the folder of pages (default: its "
         "name and -report)",
         0, 0, false},
        {"models", 0, LB_ARG_STR, &o.models, "LIST",
         "of the answers: these models (names or beginnings of hashes; of a study: labels); the first is the baseline",
         0, 0, false},
        {"tasks", 0, LB_ARG_STR, &o.tasks, "LIST", "of the answers: these tasks", 0, 0, false},
        {"text-kb", 0, LB_ARG_INT, &text_kb, "N",
         "of the answers: most kilobytes of a text on its page, longer ones are files beside it (default 32); 0: no "
         "texts",
         0, 4096, false},
        {"png", 0, LB_ARG_FLAG, &o.png, "", "also write each plot as plots/NAME.png beside the page", 0, 0, false},
        {"json", 0, LB_ARG_FLAG, &c.json, "", "print one JSON object to stdout", 0, 0, false},
        {"quiet", 'q', LB_ARG_FLAG, &c.quiet, "", "no remarks", 0, 0, false},
        {"help", 'h', LB_ARG_FLAG, &c.help, "", "this text", 0, 0, false},
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_report, table, &c, argc, argv, &done, err)) return false;
    if (done) return true;
    if (!c.model)
        return lb_fail(
            err, LB_EUSAGE,
            "no study: lowbit report OUT, the output folder of lowbit study or of lowbit train, or RESULTS.sqlite of lowbit eval");
    if (out && !*out) return lb_fail(err, LB_EUSAGE, "--output wants a name");
    o.text_kb = (int)text_kb;
    return lb_file_exists(c.model) && !lb_is_folder(c.model) ? of_database(&c, out, &o, err)
                                                             : of_study(&c, out, &o, err);
}

const lb_command lb_cmd_report = {"report",
                                  "a study, a training, or a results database, as HTML pages: tables, plots, every answer",
                                  "lowbit report out/abacus-rtn --png", run};
