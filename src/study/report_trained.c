/* study/report_trained.c – what a training alone has come to: evaluation.json of its folder as a table. */
#include "study/report_parts.h"
#include "study/report_read.h"
#include <math.h>

/* The rows, in the order in which they came about. */
static const struct {
    const char *key, *name;
} row[] = {{"model", "the model"}, {"start", "the start"}, {"trained", "trained"}};
enum { ROWS = sizeof row / sizeof *row };

static bool number(const json_t *o, const char *key, double *out) { return lb_rep_number(o, key, out, "", NULL); }

bool lb_report_trained_check(const json_t *doc, const char *where, lb_err *err)
{
    const json_t *part, *results, *v;
    const char *task;
    char in[400];
    double x;
    for (int i = 0; i < ROWS; i++) {
        if (!lb_rep_object(doc, row[i].key, &part, where, err)) return false;
        if (!part) continue;
        snprintf(in, sizeof in, "%.300s: %s", where, row[i].key);
        if (!lb_rep_number(part, "average", &x, in, err) || !lb_rep_number(part, "average_stderr", &x, in, err) ||
            !lb_rep_object(part, "results", &results, in, err))
            return false;
        json_object_foreach ((json_t *)results, task, v) {
            if (!json_is_object(v)) return lb_fail(err, LB_EFORMAT, "%s: '%.60s' is no object", in, task);
            if (!lb_rep_number(v, "accuracy", &x, in, err) || !lb_rep_number(v, "accuracy_stderr", &x, in, err))
                return false;
        }
    }
    return true;
}

static void cells(const json_t *part, const json_t *columns, lb_buf *b)
{
    const json_t *results = json_object_get(part, "results"),
                 *mean = json_object_get(json_object_get(part, "against"), "mean");
    const json_t *class_name = json_object_get(json_object_get(part, "against"), "class");
    const char *task;
    json_t *v;
    double acc, se;
    json_object_foreach ((json_t *)columns, task, v) {
        const json_t *t = json_object_get(results, task);
        bool known = t && number(t, "accuracy", &acc) && number(t, "accuracy_stderr", &se);
        lb_cell_pm(b, "", known ? 100 * acc : NAN, known ? 100 * se : NAN);
    }
    if (!number(part, "average", &acc) || !number(part, "average_stderr", &se)) acc = se = NAN;
    lb_cell_pm(b, "", 100 * acc, 100 * se);
    if (!mean || !number(mean, "drop", &acc) || !number(mean, "drop_stderr", &se)) acc = se = NAN;
    lb_cell_pm(b, "", 100 * acc, 100 * se);
    lb_html_element(b, "td", "class=\"l\"", json_is_string(class_name) ? json_string_value(class_name) : "");
}

void lb_report_trained_table(const json_t *doc, lb_buf *b)
{
    const json_t *columns = NULL;
    const char *task;
    json_t *v;
    for (int i = 0; i < ROWS && !columns; i++) columns = json_object_get(json_object_get(doc, row[i].key), "results");
    if (!columns) return;
    lb_table_start(b, "What it has come to");
    lb_table_head(b, "", "");
    json_object_foreach ((json_t *)columns, task, v) lb_table_head(b, task, "");
    lb_table_head(b, "Average", "");
    lb_table_head(b, "Lost", "paired by problem");
    lb_table_head(b, "Class", "");
    lb_table_body(b);
    for (int i = 0; i < ROWS; i++) {
        const json_t *part = json_object_get(doc, row[i].key);
        if (!part) continue;
        lb_buf_str(b, "<tr>");
        lb_html_element(b, "th", "scope=\"row\"", row[i].name);
        cells(part, columns, b);
        lb_buf_str(b, "</tr>\n");
    }
    lb_table_end(b);
}
