/* study/report_tables.c – the tables of the report. Accuracies in per cent, errors one standard error. */
#include "study/report_parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEEPEST 0.30              /* points lost that are tinted deepest */

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

/* A word of three that get worse, k the worst of them 2, with a sign and a colour. */
static void signed_cell(lb_buf *b, int k, const char *word, bool unsure)
{
    static const char *const signs[] = {"●", "◐", "○"};
    lb_buf_fmt(b, "<td class=\"l\"><span class=\"c%d\"><span aria-hidden=\"true\">%s</span> ", k, signs[k]);
    lb_html_text(b, word);
    lb_buf_fmt(b, "</span>%s</td>", unsure ? " <span class=\"pm\">≈</span>" : "");
}

static void class_cell(lb_buf *b, const lb_rep_run *r)
{
    if (*r->class_name) signed_cell(b, class_number(r->class_name), r->class_name, class_unsure(r));
    else lb_buf_str(b, "<td class=\"l\"></td>");
}

/* The number that is counted; under it the other readings where they differ. */
static void task_cells(const lb_rep *r, const lb_rep_run *x, lb_buf *b)
{
    const lb_rep_run *base = x->baseline >= 0 && r->runs[x->baseline].done ? &r->runs[x->baseline] : x;
    char tint[64];
    for (int k = 0; k < r->n_task; k++) {
        lb_cell_start(b, lb_tint(base->acc[k] - x->acc[k], DEEPEST, tint));
        lb_pm(b, 100 * x->acc[k], 100 * x->acc_se[k]);
        lb_readings(b, x->acc[k], x->acc_strict[k], x->strict_se[k], x->acc_lenient[k], x->lenient_se[k]);
        lb_buf_str(b, "</td>");
    }
}

/* The label; how it was trained too, if the label is a name of its own. */
static void main_label(lb_buf *b, const lb_rep_run *x)
{
    lb_buf_str(b, "<th scope=\"row\">");
    lb_html_text(b, x->label);
    if (strstr(x->method, "→") && !strstr(x->label, x->method)) {
        lb_buf_str(b, " <span class=\"pm\">");
        lb_html_text(b, x->method);
        lb_buf_str(b, "</span>");
    }
    lb_buf_str(b, "</th>");
}

static void main_row(const lb_rep *r, const lb_rep_run *x, lb_buf *b)
{
    char size[32];
    lb_buf_fmt(b, "<tr%s>", is_base(x) ? " class=\"base\"" : "");
    main_label(b, x);
    if (!x->done) {
        lb_buf_fmt(b, "<td class=\"%s\" colspan=\"%d\">", x->failed ? "err" : "l m", r->n_task + 5);
        lb_buf_str(b, "<span>");
        lb_html_text(b, x->failed ? "failed: " : "not run yet");
        lb_html_text(b, x->error);
        lb_buf_str(b, "</span></td></tr>\n");
        return;
    }
    lb_cell(b, "", "%.2f", x->bits);
    lb_cell_pm(b, "", 100 * x->average, 100 * x->average_se);
    lb_cell_pm(b, "", x->compared ? 100 * x->drop : NAN, 100 * x->drop_se);
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
    lb_table_start(b, "Accuracy of each run");
    lb_table_head(b, "Run", "");
    lb_table_head(b, "Bits", "per weight");
    lb_table_head(b, "Average", "± se");
    lb_table_head(b, "Lost", "± paired se");
    lb_buf_str(b, "<th scope=\"col\" class=\"l\">Class</th>");
    for (int k = 0; k < r->n_task; k++) {
        char as[160] = "";
        if (*r->like[k]) snprintf(as, sizeof as, "as %.140s", r->like[k]);
        lb_table_head(b, r->task[k], as);
    }
    lb_table_head(b, "Size", "of weights");
    lb_table_body(b);
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
    lb_table_end(b);
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

/* The rows of such a table: next_row begins the next one, with the run's label, and ends the one before. */
typedef struct rows {
    const lb_rep *r;
    lb_buf *b;
    int columns, i;
    const char *model;               /* of the row before; NULL before the first */
} rows;

static const lb_rep_run *next_row(rows *w, bool (*wanted)(const lb_rep_run *))
{
    if (w->model) lb_buf_str(w->b, "</tr>\n");
    for (; w->i < w->r->n_run; w->i++) {
        const lb_rep_run *x = &w->r->runs[w->i];
        if (!lb_report_shown_once(w->r, w->i) || (wanted && !wanted(x))) continue;
        model_row(w->r, &w->model, x->base, w->columns, w->b);
        lb_buf_fmt(w->b, "<tr%s>", is_base(x) ? " class=\"base\"" : "");
        label_cell(w->b, x);
        w->i++;
        return x;
    }
    return NULL;
}

void lb_report_level_table(const lb_rep *r, lb_buf *b)
{
    char name[24], tint[64];
    rows w = {.r = r, .b = b, .columns = LB_REP_LEVELS + 3};
    lb_table_start(b, "Accuracy by level");
    lb_table_head(b, "Run", "");
    for (int l = 0; l < LB_REP_LEVELS; l++) {
        snprintf(name, sizeof name, "Level %d", l + 1);
        lb_table_head(b, name, l == 0 ? "easiest" : l == LB_REP_LEVELS - 1 ? "hardest" : "");
    }
    lb_table_head(b, "Lost at 1", "± se");
    lb_table_head(b, "Lost at 5", "± se");
    lb_table_body(b);
    for (const lb_rep_run *x; (x = next_row(&w, NULL));) {
        for (int l = 0; l < LB_REP_LEVELS; l++)
            lb_cell_pm(b, x->compared ? lb_tint(x->level_drop[l], DEEPEST, tint) : "", 100 * x->level[l],
                       100 * x->level_se[l]);
        for (int l = 0; l < LB_REP_LEVELS; l += LB_REP_LEVELS - 1)
            lb_cell_pm(b, "", x->compared ? 100 * x->level_drop[l] : NAN, 100 * x->level_drop_se[l]);
    }
    lb_table_end(b);
}

void lb_report_output_table(const lb_rep *r, lb_buf *b)
{
    char name[40];
    rows w = {.r = r, .b = b, .columns = r->n_seed + 6};
    lb_table_start(b, "Outputs and seeds");
    lb_table_head(b, "Run", "");
    lb_table_head(b, "Tokens", "mean");
    lb_table_head(b, "Against", "baseline");
    lb_table_head(b, "Tokens", "of wrong answers");
    lb_table_head(b, "Truncated", "");
    lb_table_head(b, "Think closed", "");
    for (int s = 0; s < r->n_seed; s++) {
        snprintf(name, sizeof name, "seed %lld", r->seeds[s]);
        lb_table_head(b, "Average", name);
    }
    lb_table_body(b);
    for (const lb_rep_run *x; (x = next_row(&w, NULL));) {
        const lb_rep_run *base = x->compared && x->baseline >= 0 ? &r->runs[x->baseline] : NULL;
        lb_cell(b, "", "%.0f", x->tokens_mean);
        if (base && base->done) lb_cell(b, "", "× %.2f", x->tokens_mean / base->tokens_mean);
        else lb_buf_str(b, "<td></td>");
        lb_cell(b, "", "%.0f", x->tokens_wrong);
        lb_cell(b, "", "%.1f %%", 100 * x->truncated);
        lb_cell(b, "", "%.1f %%", 100 * x->think_closed);
        for (int s = 0; s < r->n_seed; s++) lb_cell(b, "", "%.1f", 100 * x->seed_mean[s]);
    }
    lb_table_end(b);
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
    lb_table_start(b, "Layers with the largest error");
    lb_table_head(b, "Run", "");
    lb_buf_str(b, "<th scope=\"col\" class=\"l\">Layer</th>");
    lb_table_head(b, "Bits", "");
    lb_table_head(b, "Weight error", "relative");
    lb_table_head(b, "Output error", "relative");
    lb_table_body(b);
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
            lb_cell(b, "", "%.2f", sorted[j]->bits);
            lb_cell(b, "", "%.2e", sorted[j]->mse_rel);
            lb_cell(b, "", "%.2e", sorted[j]->error_rel);
            lb_buf_str(b, "</tr>\n");
        }
        free(sorted);
    }
    lb_table_end(b);
}

/* ---- health ---- */

static bool has_verdict(const lb_rep_run *x) { return *x->verdict != 0; }

void lb_report_health_table(const lb_rep *r, lb_buf *b)
{
    static const char *const verdicts[] = {"healthy", "impaired", "broken"};
    rows w = {.r = r, .b = b, .columns = 10};
    lb_table_start(b, "Reasoning health");
    lb_table_head(b, "Run", "");
    lb_buf_str(b, "<th scope=\"col\" class=\"l\">Verdict</th>");
    lb_table_head(b, "KL, nats", "± se");
    lb_table_head(b, "KL", "99th percentile");
    lb_table_head(b, "Top-1", "agreement");
    lb_table_head(b, "Perplexity", "baseline’s");
    lb_table_head(b, "Perplexity", "");
    lb_table_head(b, "Loops", "share of answers");
    lb_table_head(b, "Length", "× baseline, ± se");
    lb_table_body(b);
    for (const lb_rep_run *x; (x = next_row(&w, has_verdict));) {
        int k = 0;
        while (k < 2 && strcmp(verdicts[k], x->verdict) != 0) k++;
        signed_cell(b, k, x->verdict, false);
        lb_cell_number_pm(b, "%.4f", x->kl_mean, x->kl_se);
        lb_cell(b, "", "%.3f", x->kl_p99);
        lb_cell(b, "", "%.2f %%", 100 * x->kl_top1);
        lb_cell(b, "", "%.4f", x->ppl_base);
        lb_cell(b, "", "%.4f", x->ppl);
        lb_cell(b, "", "%.1f %%", 100 * x->loops);
        lb_cell_number_pm(b, "%.2f", x->length, x->length_se);
    }
    lb_table_end(b);
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
