/* study/report_tables.c – the tables of the report. Accuracies in per cent, errors one standard error. */
#include "study/report_parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- cells ---- */

static void cell(lb_buf *b, const char *attributes, const char *fmt, double v)
{
    char text[64];
    if (isfinite(v)) snprintf(text, sizeof text, fmt, v);
    else snprintf(text, sizeof text, "–");
    if (text[0] == '-') lb_buf_fmt(b, "<td%s%s>−%s</td>", *attributes ? " " : "", attributes, text + 1);
    else lb_buf_fmt(b, "<td%s%s>%s</td>", *attributes ? " " : "", attributes, text);
}

/* "97.6 ± 0.7" */
static void cell_pm(lb_buf *b, double v, double se)
{
    if (!isfinite(v)) {
        lb_buf_str(b, "<td></td>");
        return;
    }
    double shown = fabs(v) < 0.05 ? 0 : v;
    lb_buf_fmt(b, "<td>%s%.1f", shown < 0 ? "−" : "", fabs(shown));
    if (isfinite(se)) lb_buf_fmt(b, " <span class=\"pm\">± %.1f</span>", se);
    lb_buf_str(b, "</td>");
}

/* The attribute that tints a cell by how many points are lost there: 30 points are the deepest tint. */
static const char *heat(double lost, char out[64])
{
    double l = lost / 0.30;
    if (!(l > 0.02)) return "";
    snprintf(out, 64, "class=\"h\" style=\"--l:%.2f\"", l > 1 ? 1 : l);
    return out;
}

static void head(lb_buf *b, const char *name, const char *small)
{
    lb_buf_str(b, "<th scope=\"col\">");
    lb_html_text(b, name);
    if (*small) lb_html_element(b, "small", "", small);
    lb_buf_str(b, "</th>");
}

static void table_start(lb_buf *b, const char *name)
{
    lb_buf_str(b, "<div class=\"box\" role=\"region\" tabindex=\"0\" aria-label=\"");
    lb_html_text(b, name);
    lb_buf_str(b, "\"><table>\n<thead><tr>");
}

static void table_end(lb_buf *b) { lb_buf_str(b, "</tbody></table></div>\n"); }

static void label_cell(lb_buf *b, const lb_rep_run *r) { lb_html_element(b, "th", "scope=\"row\"", r->label); }

bool lb_report_several_models(const lb_rep *r)
{
    for (int i = 1; i < r->n_run; i++)
        if (strcmp(r->runs[i].base, r->runs[0].base) != 0) return true;
    return false;
}

/* A row with the model's name where the model changes and there are several. */
static void model_row(const lb_rep *r, const char **last, const char *base, int columns, lb_buf *b)
{
    if (*last && strcmp(*last, base) == 0) return;
    *last = base;
    if (!lb_report_several_models(r)) return;
    lb_buf_fmt(b, "<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"%d\">", columns);
    lb_html_text(b, base);
    lb_buf_str(b, "</th></tr>\n");
}

/* Shaded rows: models as they are. The first of a group without one is its own baseline too, but is not shaded. */
static bool is_base(const lb_rep_run *x) { return x->is_baseline && x->done && !*x->method && !*x->kv; }

/* ---- main table ---- */

static int class_number(const char *name)
{
    return strcmp(name, "lossless") == 0 ? 0 : strcmp(name, "fair") == 0 ? 1 : 2;
}

/* True if the drop's 95 % interval reaches into another class. */
static bool class_unsure(const lb_rep_run *r)
{
    static const double edges[] = {0.01, 0.03};
    for (int i = 0; i < 2; i++)
        if (r->drop - 1.96 * r->drop_se < edges[i] && r->drop + 1.96 * r->drop_se > edges[i]) return true;
    return false;
}

static void class_cell(lb_buf *b, const lb_rep_run *r)
{
    static const char *const signs[] = {"●", "◐", "○"};
    if (!*r->class_name) {
        lb_buf_str(b, "<td class=\"l\"></td>");
        return;
    }
    int k = class_number(r->class_name);
    lb_buf_fmt(b, "<td class=\"l\"><span class=\"c%d\"><span aria-hidden=\"true\">%s</span> ", k, signs[k]);
    lb_html_text(b, r->class_name);
    lb_buf_fmt(b, "</span>%s</td>", class_unsure(r) ? " <span class=\"pm\">≈</span>" : "");
}

static void task_cells(const lb_rep *r, const lb_rep_run *x, lb_buf *b)
{
    const lb_rep_run *base = x->baseline >= 0 && r->runs[x->baseline].done ? &r->runs[x->baseline] : x;
    char tint[64];
    for (int k = 0; k < r->n_task; k++) cell(b, heat(base->acc[k] - x->acc[k], tint), "%.1f", 100 * x->acc[k]);
}

static void main_row(const lb_rep *r, const lb_rep_run *x, lb_buf *b)
{
    char size[32];
    lb_buf_fmt(b, "<tr%s>", is_base(x) ? " class=\"base\"" : "");
    label_cell(b, x);
    if (!x->done) {
        lb_buf_fmt(b, "<td class=\"%s\" colspan=\"%d\">", x->failed ? "err" : "l m", r->n_task + 5);
        lb_buf_str(b, "<span>");
        lb_html_text(b, x->failed ? "failed: " : "not run yet");
        lb_html_text(b, x->error);
        lb_buf_str(b, "</span></td></tr>\n");
        return;
    }
    cell(b, "", "%.2f", x->bits);
    cell_pm(b, 100 * x->average, 100 * x->average_se);
    cell_pm(b, x->compared ? 100 * x->drop : NAN, 100 * x->drop_se);
    class_cell(b, x);
    task_cells(r, x, b);
    lb_tick_text(x->size_bytes, 0, LB_UNIT_BYTES, size);
    lb_html_element(b, "td", "", size);
    lb_buf_str(b, "</tr>\n");
}

void lb_report_main_table(const lb_rep *r, const char *group, lb_buf *b)
{
    const char *last = NULL;
    bool borrowed[512] = {false};
    table_start(b, "Accuracy of each run");
    head(b, "Run", "");
    head(b, "Bits", "per weight");
    head(b, "Average", "± se");
    head(b, "Lost", "± paired se");
    lb_buf_str(b, "<th scope=\"col\" class=\"l\">Class</th>");
    for (int k = 0; k < r->n_task; k++) {
        char as[160] = "";
        if (*r->like[k]) snprintf(as, sizeof as, "as %.140s", r->like[k]);
        head(b, r->task[k], as);
    }
    head(b, "Size", "of weights");
    lb_buf_str(b, "</tr></thead>\n<tbody>\n");
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!lb_rep_in(x, group)) continue;
        model_row(r, &last, x->base, r->n_task + 6, b);
        int base = x->baseline; /* a baseline that is at home in another group is shown here as well, once */
        if (base >= 0 && base < 512 && !lb_rep_in(&r->runs[base], group) && !borrowed[base]) {
            borrowed[base] = true;
            main_row(r, &r->runs[base], b);
        }
        main_row(r, x, b);
    }
    table_end(b);
}

/* ---- levels and outputs: runs of all groups, each setting once ---- */

bool lb_report_shown_once(const lb_rep *r, int i)
{
    for (int j = 0; j < i; j++)
        if (r->runs[j].done && strcmp(r->runs[j].label, r->runs[i].label) == 0 &&
            strcmp(r->runs[j].base, r->runs[i].base) == 0)
            return false;
    return r->runs[i].done;
}

void lb_report_level_table(const lb_rep *r, lb_buf *b)
{
    const char *last = NULL;
    char name[24], tint[64];
    table_start(b, "Accuracy by level");
    head(b, "Run", "");
    for (int l = 0; l < LB_REP_LEVELS; l++) {
        snprintf(name, sizeof name, "Level %d", l + 1);
        head(b, name, l == 0 ? "easiest" : l == LB_REP_LEVELS - 1 ? "hardest" : "");
    }
    head(b, "Lost at 1", "± se");
    head(b, "Lost at 5", "± se");
    lb_buf_str(b, "</tr></thead>\n<tbody>\n");
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!lb_report_shown_once(r, i)) continue;
        model_row(r, &last, x->base, LB_REP_LEVELS + 3, b);
        lb_buf_fmt(b, "<tr%s>", is_base(x) ? " class=\"base\"" : "");
        label_cell(b, x);
        for (int l = 0; l < LB_REP_LEVELS; l++)
            cell(b, x->compared ? heat(x->level_drop[l], tint) : "", "%.1f", 100 * x->level[l]);
        for (int l = 0; l < LB_REP_LEVELS; l += LB_REP_LEVELS - 1)
            cell_pm(b, x->compared ? 100 * x->level_drop[l] : NAN, 100 * x->level_drop_se[l]);
        lb_buf_str(b, "</tr>\n");
    }
    table_end(b);
}

void lb_report_output_table(const lb_rep *r, lb_buf *b)
{
    const char *last = NULL;
    char name[40];
    table_start(b, "Outputs and seeds");
    head(b, "Run", "");
    head(b, "Tokens", "mean");
    head(b, "Against", "baseline");
    head(b, "Tokens", "of wrong answers");
    head(b, "Truncated", "");
    head(b, "Think closed", "");
    for (int s = 0; s < r->n_seed; s++) {
        snprintf(name, sizeof name, "seed %lld", r->seeds[s]);
        head(b, "Average", name);
    }
    lb_buf_str(b, "</tr></thead>\n<tbody>\n");
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!lb_report_shown_once(r, i)) continue;
        const lb_rep_run *base = x->compared && x->baseline >= 0 ? &r->runs[x->baseline] : NULL;
        model_row(r, &last, x->base, r->n_seed + 6, b);
        lb_buf_fmt(b, "<tr%s>", is_base(x) ? " class=\"base\"" : "");
        label_cell(b, x);
        cell(b, "", "%.0f", x->tokens_mean);
        if (base && base->done) cell(b, "", "× %.2f", x->tokens_mean / base->tokens_mean);
        else lb_buf_str(b, "<td></td>");
        cell(b, "", "%.0f", x->tokens_wrong);
        cell(b, "", "%.1f %%", 100 * x->truncated);
        cell(b, "", "%.1f %%", 100 * x->think_closed);
        for (int s = 0; s < r->n_seed; s++) cell(b, "", "%.1f", 100 * x->seed_mean[s]);
        lb_buf_str(b, "</tr>\n");
    }
    table_end(b);
}

/* ---- layers ---- */

static double worse(const lb_rep_layer *x) { return isfinite(x->error_rel) ? x->error_rel : x->mse_rel; }

static int by_error(const void *a, const void *b)
{
    double x = worse(*(const lb_rep_layer *const *)a), y = worse(*(const lb_rep_layer *const *)b);
    if (isnan(x) || isnan(y)) return isnan(x) - isnan(y); /* unknown last */
    return (x < y) - (x > y);
}

/* The three worst layers of each run. */
void lb_report_layer_table(const lb_rep *r, lb_buf *b)
{
    enum { WORST = 3 };
    table_start(b, "Layers with the largest error");
    head(b, "Run", "");
    lb_buf_str(b, "<th scope=\"col\" class=\"l\">Layer</th>");
    head(b, "Bits", "");
    head(b, "Weight error", "relative");
    head(b, "Output error", "relative");
    lb_buf_str(b, "</tr></thead>\n<tbody>\n");
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!x->n_layer || !lb_report_shown_once(r, i)) continue;
        const lb_rep_layer **sorted = malloc(x->n_layer * sizeof *sorted);
        if (!sorted) {
            b->oom = true;
            return;
        }
        for (size_t j = 0; j < x->n_layer; j++) sorted[j] = &x->layers[j];
        qsort(sorted, x->n_layer, sizeof *sorted, by_error);
        for (size_t j = 0; j < x->n_layer && j < WORST; j++) {
            lb_buf_str(b, "<tr>");
            label_cell(b, x);
            lb_html_element(b, "td", "class=\"l\"", sorted[j]->name);
            cell(b, "", "%.2f", sorted[j]->bits);
            cell(b, "", "%.2e", sorted[j]->mse_rel);
            cell(b, "", "%.2e", sorted[j]->error_rel);
            lb_buf_str(b, "</tr>\n");
        }
        free(sorted);
    }
    table_end(b);
}

/* ---- health ---- */

static void number_pm(lb_buf *b, const char *fmt, double v, double se)
{
    char text[64], error[64] = "";
    if (isfinite(v)) snprintf(text, sizeof text, fmt, v);
    else snprintf(text, sizeof text, "–");
    if (isfinite(v) && isfinite(se)) snprintf(error, sizeof error, fmt, se);
    lb_buf_fmt(b, "<td>%s%s%s%s</td>", text, *error ? " <span class=\"pm\">± " : "", error, *error ? "</span>" : "");
}

void lb_report_health_table(const lb_rep *r, lb_buf *b)
{
    static const char *const verdicts[] = {"healthy", "impaired", "broken"}, *const signs[] = {"●", "◐", "○"};
    table_start(b, "Reasoning health");
    head(b, "Run", "");
    lb_buf_str(b, "<th scope=\"col\" class=\"l\">Verdict</th>");
    head(b, "KL, nats", "± se");
    head(b, "KL", "99th percentile");
    head(b, "Top-1", "agreement");
    head(b, "Perplexity", "baseline’s");
    head(b, "Perplexity", "");
    head(b, "Loops", "share of answers");
    head(b, "Length", "× baseline, ± se");
    lb_buf_str(b, "</tr></thead>\n<tbody>\n");
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        int k = 0;
        if (!*x->verdict || !lb_report_shown_once(r, i)) continue;
        while (k < 2 && strcmp(verdicts[k], x->verdict) != 0) k++;
        lb_buf_str(b, "<tr>");
        label_cell(b, x);
        lb_buf_fmt(b, "<td class=\"l\"><span class=\"c%d\"><span aria-hidden=\"true\">%s</span> ", k, signs[k]);
        lb_html_text(b, x->verdict);
        lb_buf_str(b, "</span></td>");
        number_pm(b, "%.4f", x->kl_mean, x->kl_se);
        cell(b, "", "%.3f", x->kl_p99);
        cell(b, "", "%.2f %%", 100 * x->kl_top1);
        cell(b, "", "%.4f", x->ppl_base);
        cell(b, "", "%.4f", x->ppl);
        cell(b, "", "%.1f %%", 100 * x->loops);
        number_pm(b, "%.2f", x->length, x->length_se);
        lb_buf_str(b, "</tr>\n");
    }
    table_end(b);
}

void lb_report_failed(const lb_rep *r, lb_buf *b)
{
    lb_buf_str(b, "<ul class=\"points\">\n");
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!x->failed) continue;
        lb_buf_str(b, "<li>");
        lb_html_element(b, "b", "", x->label);
        lb_buf_str(b, " (");
        lb_html_text(b, x->group);
        lb_buf_str(b, "): ");
        lb_html_text(b, x->error);
        lb_buf_str(b, "</li>\n");
    }
    lb_buf_str(b, "</ul>\n");
}
