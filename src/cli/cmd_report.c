/* cli/cmd_report.c – `lowbit report`: a study's output folder as one HTML page. */
#include "cli/cmd.h"
#include "study/report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    lb_common c = {0};
    lb_report_opt o = {0};
    bool done;
    int n_plot = 0;
    lb_arg table[] = {
        {"output", 'o', LB_ARG_STR, &o.out, "FILE", "the page (default: report.html in the study's folder)", 0, 0,
         false},
        {"png", 0, LB_ARG_FLAG, &o.png, "", "also write each plot as plots/NAME.png beside the page", 0, 0, false},
        {"json", 0, LB_ARG_FLAG, &c.json, "", "print one JSON object to stdout", 0, 0, false},
        {"quiet", 'q', LB_ARG_FLAG, &c.quiet, "", "no remarks", 0, 0, false},
        {"help", 'h', LB_ARG_FLAG, &c.help, "", "this text", 0, 0, false},
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_report, table, &c, argc, argv, &done, err)) return false;
    if (done) return true;
    if (!c.model) return lb_fail(err, LB_EUSAGE, "no study: lowbit report OUT, the output folder of lowbit study");
    if (o.out && !*o.out) return lb_fail(err, LB_EUSAGE, "--output wants the name of a file");
    if (!lb_report_write(c.model, &o, &n_plot, err)) return false;
    const char *slash = c.model[0] && c.model[strlen(c.model) - 1] == '/' ? "" : "/";
    char path[1200];
    if (o.out) snprintf(path, sizeof path, "%s", o.out);
    else snprintf(path, sizeof path, "%s%sreport.html", c.model, slash);
    if (c.json) {
        json_t *j = json_pack("{s:s, s:i, s:b}", "report", path, "plots", n_plot, "png", o.png);
        char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
        if (text) puts(text);
        free(text);
        json_decref(j);
    } else if (!c.quiet) {
        printf("%s: %d plots%s\n", path, n_plot, o.png ? ", as PNG in plots/" : "");
    }
    return true;
}

const lb_command lb_cmd_report = {"report", "a study's output folder as one HTML page with tables and plots",
                                  "lowbit report out/abacus-rtn --png", run};
