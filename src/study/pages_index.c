/* study/pages_index.c – the first page: which model did how well on which task, and how sure that is. */
#include "study/pages_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DEEPEST 0.30             /* points lost that are tinted deepest, as in the study's tables */

static void label(const lb_pages *p, int c, bool with_sampling, lb_buf *b)
{
    lb_buf_str(b, "<th scope=\"row\">");
    lb_html_text(b, p->cols[c].label);
    if (with_sampling) lb_html_element(b, "small", "class=\"o m\"", p->cols[c].sampling);
    lb_buf_str(b, "</th>");
}

/* ---- model × task ---- */

static bool same_sampling(const lb_pages *p)
{
    for (int c = 1; c < p->n_col; c++)
        if (strcmp(p->cols[c].sampling, p->cols[0].sampling) != 0) return false;
    return true;
}

static bool any_base(const lb_pages *p)
{
    for (int c = 0; c < p->n_col; c++)
        if (p->cols[c].base >= 0 && p->cols[c].base != c) return true;
    return false;
}

static bool is_base(const lb_pages *p, int c)
{
    for (int i = 0; i < p->n_col; i++)
        if (i != c && p->cols[i].base == c) return true;
    return false;
}

static void accuracy_cell(const lb_pages_task *t, int c, lb_buf *b)
{
    const lb_pages_cell *x = &t->cells[c];
    char tint[64];
    if (!isfinite(x->acc)) {
        lb_buf_str(b, "<td class=\"m\">–</td>");
        return;
    }
    const char *attributes = lb_tint(x->lost, DEEPEST, tint);
    lb_buf_fmt(b, "<td%s%s><a href=\"%s.html\">", *attributes ? " " : "", attributes, t->slug);
    lb_pm(b, 100 * x->acc, 100 * x->acc_se);
    lb_buf_str(b, "</a>");
    if (x->n_problem < t->n_problem) /* a run that still goes, or a smaller one: not to be compared by eye */
        lb_buf_fmt(b, "<small class=\"o\">%d of %d problems</small>", x->n_problem, t->n_problem);
    lb_readings(b, x->acc, x->strict, x->strict_se, x->lenient, x->lenient_se);
    lb_buf_str(b, "</td>");
}

static void main_table(const lb_pages *p, lb_buf *b)
{
    bool compared = any_base(p), average = p->n_task > 1;
    char n[48];
    lb_table_start(b, "Accuracy of each model on each task");
    lb_table_head(b, "Model", "");
    if (average) lb_table_head(b, "Average", "± se");
    if (compared && average) lb_table_head(b, "Lost", "± paired se");
    for (int k = 0; k < p->n_task; k++) {
        snprintf(n, sizeof n, "%d problems, ± se", p->tasks[k].n_problem);
        lb_table_head(b, p->tasks[k].label, n);
    }
    if (compared && !average) lb_table_head(b, "Lost", "± paired se");
    lb_table_body(b);
    for (int c = 0; c < p->n_col; c++) {
        const lb_pages_col *x = &p->cols[c];
        lb_buf_fmt(b, "<tr%s>", compared && is_base(p, c) ? " class=\"base\"" : "");
        label(p, c, !same_sampling(p), b);
        if (average) lb_cell_pm(b, "", 100 * x->average, 100 * x->average_se);
        if (compared && average) lb_cell_pm(b, "", 100 * x->lost, 100 * x->lost_se);
        for (int k = 0; k < p->n_task; k++) accuracy_cell(&p->tasks[k], c, b);
        if (compared && !average) lb_cell_pm(b, "", 100 * x->lost, 100 * x->lost_se);
        lb_buf_str(b, "</tr>\n");
    }
    lb_table_end(b);
}

/* ---- readings, truncation, lengths ---- */

/* "122 · 274" */
static void pair(lb_buf *b, double x, double y)
{
    const double v[] = {x, y};
    lb_buf_str(b, "<td>");
    for (int i = 0; i < 2; i++) {
        if (isfinite(v[i])) lb_buf_fmt(b, "%s%.0f", i ? " · " : "", v[i]);
        else lb_buf_str(b, i ? " · –" : "–");
    }
    lb_buf_str(b, "</td>");
}

static void numbers_row(const lb_pages *p, const lb_pages_task *t, int c, bool compared, lb_buf *b)
{
    const lb_pages_cell *x = &t->cells[c];
    char text[32];
    lb_buf_fmt(b, "<tr%s>", compared && is_base(p, c) ? " class=\"base\"" : "");
    label(p, c, false, b);
    lb_cell_pm(b, "", 100 * x->acc, 100 * x->acc_se);
    if (compared) {
        lb_buf_str(b, "<td>");
        lb_pm(b, 100 * x->lost, 100 * x->lost_se);
        if (isfinite(x->lost_p))
            lb_buf_fmt(b, "<small class=\"o\">p %s%.2g</small>", x->lost_p < 1e-4 ? "&lt; " : "",
                       fmax(x->lost_p, 1e-4));
        lb_buf_str(b, "</td>");
    }
    lb_cell_pm(b, "", 100 * x->strict, 100 * x->strict_se);
    lb_cell_pm(b, "", 100 * x->lenient, 100 * x->lenient_se);
    lb_cell(b, "", "%.1f %%", 100 * x->unknown);
    lb_cell_pm(b, "", 100 * x->truncated, 100 * x->truncated_se);
    lb_cell(b, "", "%.1f %%", 100 * x->closed);
    lb_cell(b, "", "%.0f", x->tokens);
    pair(b, x->q[0][2], x->q[0][4]);
    pair(b, x->tokens_right, x->tokens_wrong);
    snprintf(text, sizeof text, "%zu", x->n_sample);
    lb_html_element(b, "td", "", text);
    lb_buf_str(b, "</tr>\n");
}

void lb_pages_numbers(const lb_pages *p, int task, lb_buf *b)
{
    bool compared = any_base(p);
    lb_table_start(b, "Readings, truncation and lengths");
    lb_table_head(b, "Model", "");
    lb_table_head(b, "Accuracy", "± se");
    if (compared) lb_table_head(b, "Lost", "± paired se");
    lb_table_head(b, "Strict", "± se");
    lb_table_head(b, "Lenient", "± se");
    lb_table_head(b, "Unknown", "of graded");
    lb_table_head(b, "Truncated", "%, ± se");
    lb_table_head(b, "Think closed", "");
    lb_table_head(b, "Tokens", "mean");
    lb_table_head(b, "Tokens", "median · 95 %");
    lb_table_head(b, "Tokens", "right · wrong");
    lb_table_head(b, "Samples", "");
    lb_table_body(b);
    for (int k = 0; k < p->n_task; k++) {
        const lb_pages_task *t = &p->tasks[k];
        if (task >= 0 && k != task) continue;
        if (task < 0) {
            lb_buf_fmt(b, "<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"%d\"><a href=\"%s.html\">",
                       11 + compared, t->slug);
            lb_html_text(b, t->label);
            lb_buf_str(b, "</a></th></tr>\n");
        }
        for (int c = 0; c < p->n_col; c++)
            if (t->cells[c].n_sample) numbers_row(p, t, c, compared, b);
    }
    lb_table_end(b);
}

/* ---- the page ---- */

static void point(lb_buf *b, const char *fmt, size_t n)
{
    if (!n) return;
    lb_buf_str(b, "<li>");
    char text[300];
    snprintf(text, sizeof text, "%zu", n);
    lb_html_element(b, "b", "", text);
    lb_buf_byte(b, ' ');
    lb_html_text(b, fmt);
    lb_buf_str(b, "</li>\n");
}

/* What a reader must know before believing the numbers. */
static void warnings(const lb_pages *p, lb_buf *b)
{
    size_t ungraded = 0, weak = 0, unknown = 0, vague = 0, nowhere = 0;
    for (int k = 0; k < p->n_task; k++) {
        for (int c = 0; c < p->n_col; c++) {
            const lb_pages_cell *x = &p->tasks[k].cells[c];
            ungraded += x->n_ungraded, weak += x->n_weak, unknown += x->n_unknown;
            vague += isfinite(x->acc) && !isfinite(x->strict) ? x->n_sample - x->n_ungraded : 0;
        }
        for (int i = 0; i < p->tasks[k].n_problem; i++) nowhere += p->tasks[k].problems[i].number < 0;
    }
    if (!(ungraded + weak + unknown + vague + nowhere + p->n_old_prompt)) return;
    lb_buf_str(b, "<ul class=\"points\">\n");
    point(b, "answers were not understood by the grader; they count as wrong.", unknown);
    point(b, "samples are not graded yet; they are in no share.", ungraded);
    point(b, "samples are of tasks whose grades know only one reading yet; evaluating again grades them anew.", vague);
    point(b, "programs were judged in a weak sandbox.", weak);
    point(b, "samples answer an earlier prompt of a problem that was asked anew; they are left out.", p->n_old_prompt);
    point(b, "problems are not described by the database, which an earlier version began; evaluating again adds them.",
          nowhere);
    lb_buf_str(b, "</ul>\n");
}

static void notes(const lb_pages *p, lb_page *page)
{
    lb_page_heading(page, "notes", "How to read it", "");
    lb_buf_str(
        page->b,
        "<p class=\"note\">Accuracy is the share of samples whose counted reading is right, in per cent; ± is one "
        "standard error, clustered by problem. <b>Strict</b> takes only the form that the prompt asks for, "
        "<b>lenient</b> also unfinished thinking, truncated text, rounding and other units; a truncated answer "
        "counts as wrong and may still be leniently right. <b>Unknown</b> is what the grader could not decide: it "
        "counts as wrong. Of tokens there are the mean, the median and the length that 95 % stay below, and the means "
        "of right and of wrong answers. ");
    if (any_base(p))
        lb_buf_str(page->b,
                   "<b>Lost</b> is the baseline’s accuracy less the model’s on the problems that both have, paired "
                   "by problem, with the p of no difference (McNemar for single samples, else sign flips); cells are "
                   "tinted by it, deepest at 30 points; the baseline is shaded. ");
    lb_buf_str(page->b, "In plots bars are 95 % intervals.</p>\n");
}

void lb_pages_index(const lb_pages *p, lb_page *page)
{
    enum { SHORT = 40 };
    lb_buf *b = page->b;
    lb_figure f;
    char text[64];
    int n_problem = 0, n_row = 0;
    size_t n_sample = 0;
    for (int k = 0; k < p->n_task; k++) {
        n_problem += p->tasks[k].n_problem, n_sample += p->tasks[k].n_sample;
        for (int c = 0; c < p->n_col; c++) n_row += p->tasks[k].cells[c].n_sample > 0;
    }
    lb_html_element(b, "h1", "", p->title);
    lb_buf_str(b, "\n<p class=\"m\">What every model answered, problem by problem.</p>\n<ul class=\"facts\">\n");
    snprintf(text, sizeof text, "%d", p->n_col);
    lb_page_fact(b, "models", text);
    snprintf(text, sizeof text, "%d", p->n_task);
    lb_page_fact(b, "tasks", text);
    snprintf(text, sizeof text, "%d", n_problem);
    lb_page_fact(b, "problems", text);
    snprintf(text, sizeof text, "%zu", n_sample);
    lb_page_fact(b, "samples", text);
    if (same_sampling(p)) lb_page_fact(b, "sampling", p->cols[0].sampling);
    lb_page_fact(b, "database", p->db_name);
    lb_buf_str(b, "</ul>\n");
    lb_pages_nav(p, page, NULL);
    warnings(p, b);
    lb_page_heading(page, "accuracy", "Accuracy", "A number leads to its task, problem by problem.");
    main_table(p, b);
    lb_page_plot(page, lb_pages_accuracy_plot(p, &f), &f);
    lb_page_plot(page, lb_pages_truncated_plot(p, -1, &f), &f);
    lb_page_plots_end(page);
    lb_page_heading(
        page, "numbers", "Readings, truncation and lengths",
        "How answers were read, how many were cut off, and how long they are where they are right and wrong.");
    if (n_row > SHORT) lb_buf_fmt(b, "<details><summary>Table of %d rows</summary>\n", n_row);
    lb_pages_numbers(p, -1, b);
    if (n_row > SHORT) lb_buf_str(b, "</details>\n");
    notes(p, page);
}
