/* study/pages_task.c – one task: numbers, plots, and the matrix of problems × models. */
#include "study/pages_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- what pages share ---- */

lb_pages_href lb_pages_problem_href(const lb_pages_task *t, int i, int col)
{
    lb_pages_href h;
    int n = snprintf(h.s, sizeof h.s, "%s.p%d.html#i%d", t->slug, t->problems[i].page, i);
    if (col >= 0) snprintf(h.s + n, sizeof h.s - (size_t)n, "-m%d", col);
    return h;
}

void lb_pages_problem_name(const lb_pages_task *t, int i, char out[32])
{
    if (t->problems[i].number >= 0) snprintf(out, 32, "%d", t->problems[i].number);
    else snprintf(out, 32, "#%d", i);
}

void lb_pages_short(lb_buf *b, const char *s, size_t most)
{
    size_t n = strlen(s), cut = n;
    if (n > most)
        for (cut = most; cut > 0 && ((unsigned char)s[cut] & 0xc0) == 0x80;) cut--;
    lb_html_add(b, s, cut);
    if (cut < n) lb_buf_str(b, "…");
}

void lb_pages_nav(const lb_pages *p, lb_page *page, const lb_pages_task *here)
{
    lb_buf *b = page->b;
    char href[80];
    lb_buf_str(b, "<nav aria-label=\"Pages\">\n");
    if (p->back) lb_page_link(b, p->back, "↑ Report of the study");
    if (here) lb_page_link(b, "index.html", "All tasks");
    for (int k = 0; k < p->n_task; k++) {
        if (&p->tasks[k] == here) {
            lb_html_element(b, "b", "aria-current=\"page\"", here->label);
            continue;
        }
        snprintf(href, sizeof href, "%s.html", p->tasks[k].slug);
        lb_page_link(b, href, p->tasks[k].label);
    }
    lb_page_link(b, "readings.html", "Strict and lenient");
    lb_buf_str(b, "</nav>\n");
}

void lb_pages_verdict(lb_buf *b, int verdict, const char *prefix)
{
    static const char *const sign[] = {"·", "✗", "✓", "?"}, *const word[] = {"not graded", "wrong", "right", "unknown"},
                             *const class_[] = {"m", "c2", "c0", "c1"};
    int k = verdict < 0 || verdict > 2 ? 0 : verdict + 1;
    lb_buf_fmt(b, "<span class=\"%s\"><span aria-hidden=\"true\">%s</span> %s%s</span>", class_[k], sign[k], prefix,
               word[k]);
}

/* ---- matrix ---- */

typedef struct filter { const char *name; unsigned flag; char letter; } filter;

static const filter filters[] = {{"all", 0, 0},
                                 {"models disagree", LB_PAGES_DISAGREE, 'd'},
                                 {"strict ≠ lenient", LB_PAGES_READING, 'r'},
                                 {"truncated", LB_PAGES_TRUNCATED, 't'},
                                 {"unknown", LB_PAGES_UNKNOWN, 'u'},
                                 {"nobody right", LB_PAGES_NONE_RIGHT, 'n'}};
enum { N_FILTER = sizeof filters / sizeof *filters };

static void filter_buttons(const lb_pages_task *t, lb_buf *b)
{
    for (int k = 0; k < N_FILTER; k++) {
        int n = 0;
        for (int i = 0; i < t->n_problem; i++)
            n += filters[k].flag == 0 || (t->problems[i].flags & filters[k].flag) != 0;
        lb_buf_fmt(b, "<input class=\"f\" type=\"radio\" name=\"f\" id=\"f%d\"%s/><label for=\"f%d\">%s (%d)</label>\n",
                   k, k ? "" : " checked=\"checked\"", k, filters[k].name, n);
    }
}

/* What stands out in some samples: their readings differ, they were truncated, they were not understood. */
static void marks(const lb_pages_sample *s, size_t n, lb_buf *b)
{
    bool differ = false, truncated = false, unknown = false;
    for (size_t j = 0; j < n; j++) {
        differ = differ || lb_pages_differ(&s[j]);
        truncated = truncated || s[j].truncated;
        unknown = unknown || s[j].verdict == 2;
    }
    if (!differ && !truncated && !unknown) return;
    lb_buf_fmt(b, "<i>%s%s%s</i>", differ ? "≠" : "", truncated ? "…" : "", unknown ? "?" : "");
}

static void cell(const lb_pages *p, const lb_pages_task *t, int i, int c, lb_buf *b)
{
    size_t n;
    int graded;
    char tint[64];
    const lb_pages_sample *s = lb_pages_at(p, t, i, c, &n);
    int right = lb_pages_right(s, n, &graded);
    if (n == 0) {
        lb_buf_str(b, "<td class=\"x\">–</td>");
        return;
    }
    const char *attributes = graded ? lb_tint(1 - (double)right / graded, 1, tint) : "class=\"x\"";
    lb_buf_fmt(b, "<td%s%s><a href=\"%s\">", *attributes ? " " : "", attributes, lb_pages_problem_href(t, i, c).s);
    if (!graded) lb_buf_fmt(b, "%zu", n);
    else if (n == 1) lb_buf_str(b, right ? "✓" : "✗");
    else lb_buf_fmt(b, "%d/%d", right, graded);
    marks(s, n, b);
    lb_buf_str(b, "</a></td>");
}

static void matrix_row(const lb_pages *p, const lb_pages_task *t, int i, lb_buf *b)
{
    const lb_pages_problem *x = &t->problems[i];
    char name[32];
    lb_buf_str(b, "<tr class=\"");
    for (int k = 1; k < N_FILTER; k++)
        if (x->flags & filters[k].flag) lb_buf_fmt(b, "f%c ", filters[k].letter);
    lb_pages_problem_name(t, i, name);
    lb_buf_fmt(b, "\" data-n=\"%d\"><th scope=\"row\"><a href=\"%s\">%s</a>", i, lb_pages_problem_href(t, i, -1).s,
               name);
    lb_buf_str(b, "<small>");
    lb_pages_short(b, x->problem, 90);
    lb_buf_str(b, "</small></th>");
    if (x->level) lb_buf_fmt(b, "<td class=\"k\">%d</td>", x->level);
    else lb_buf_str(b, "<td class=\"x\">–</td>");
    if (isfinite(x->share)) lb_buf_fmt(b, "<td class=\"k\">%.0f %%</td>", 100 * x->share);
    else lb_buf_str(b, "<td class=\"x\">–</td>");
    for (int c = 0; c < p->n_col; c++)
        if (t->cells[c].n_sample) cell(p, t, i, c, b);
    lb_buf_str(b, "</tr>\n");
}

static void matrix(const lb_pages *p, const lb_pages_task *t, lb_buf *b)
{
    enum { FLAT = 6 };
    int n_col = 0;
    for (int c = 0; c < p->n_col; c++) n_col += t->cells[c].n_sample > 0;
    filter_buttons(t, b);
    lb_buf_str(b, "<div class=\"box tall\" role=\"region\" tabindex=\"0\" aria-label=\"Problems and models\">"
                  "<table class=\"matrix\">\n<thead><tr>");
    lb_table_head(b, "Problem", "");
    lb_table_head(b, "Level", "");
    lb_table_head(b, "Solved", "mean");
    for (int c = 0; c < p->n_col; c++) {
        if (!t->cells[c].n_sample) continue;
        lb_buf_fmt(b, "<th scope=\"col\"%s><span>", n_col > FLAT ? " class=\"v\"" : "");
        lb_pages_short(b, p->cols[c].label, 60);
        lb_buf_str(b, "</span></th>");
    }
    lb_table_body(b);
    for (int i = 0; i < t->n_problem; i++) matrix_row(p, t, i, b);
    lb_table_end(b);
}

/* ---- the page ---- */

void lb_pages_task_page(const lb_pages *p, int task, lb_page *page)
{
    const lb_pages_task *t = &p->tasks[task];
    lb_buf *b = page->b;
    lb_figure f;
    char text[64];
    lb_html_element(b, "h1", "", t->label);
    lb_buf_str(b, "\n<ul class=\"facts\">\n");
    lb_page_fact(b, "of", p->title);
    snprintf(text, sizeof text, "%d", t->n_problem);
    lb_page_fact(b, "problems", text);
    snprintf(text, sizeof text, "%zu", t->n_sample);
    lb_page_fact(b, "samples", text);
    snprintf(text, sizeof text, "%d", t->version);
    lb_page_fact(b, "version of the prompt", text);
    lb_buf_str(b, "</ul>\n");
    lb_pages_nav(p, page, t);
    lb_pages_numbers(p, task, b);
    lb_page_plot(page, lb_pages_length_plot(p, task, &f), &f);
    lb_page_plot(page, lb_pages_gain_plot(p, task, &f), &f);
    lb_page_plot(page, lb_pages_level_plot(p, task, &f), &f);
    lb_page_plot(page, lb_pages_truncated_plot(p, task, &f), &f);
    lb_page_plots_end(page);
    lb_page_heading(page, "matrix", "Problem by problem", "");
    lb_buf_str(
        b, "<p class=\"note\">Right samples of each model, tinted by how many are wrong; a cell leads to the texts. "
           "Problems are numbered by their line in the file. Models disagree where their shares of right "
           "samples are half or more apart. Marks: ≠ strict and lenient reading differ, … truncated, ? not "
           "understood.</p>\n");
    matrix(p, t, b);
}
