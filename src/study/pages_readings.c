/* study/pages_readings.c – where the grader's three readings differ, and what it did not understand, with reasons. */
#include "study/pages_parts.h"
#include "eval/grade.h"
#include <stdio.h>
#include <string.h>

enum { MOST_ROWS = 1500 };

/* What becomes of a sample, from the strictest reading to the most lenient. */
typedef enum kind { LOOSE_FORM, ONLY_LENIENT, NOT_UNDERSTOOD, N_KIND } kind;

static const struct { const char *id, *title, *about;
} kinds[N_KIND] = {
    {"form", "Right, but not in the form asked for", "Counted as right; the strict reading does not take it."},
    {"lenient", "Right to a lenient reader only",
     "Counted as wrong: truncated, unfinished, rounded, or with other units. Many of these mean that the limit of "
     "tokens "
     "or the grader takes part in the result."},
    {"unknown", "Not understood", "The grader could not decide; counted as wrong. Each is worth a look."}};

static bool is_kind(const lb_pages_sample *s, kind k)
{
    switch (k) {
    case LOOSE_FORM: return s->verdict == LB_RIGHT && s->strict >= 0 && s->strict != LB_RIGHT;
    case ONLY_LENIENT: return s->verdict >= 0 && s->verdict != LB_RIGHT && s->lenient == LB_RIGHT;
    default: return s->verdict == LB_UNKNOWN && s->lenient != LB_RIGHT;
    }
}

static size_t count(const lb_pages_task *t, int col, kind k)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_sample; i++) n += (col < 0 || t->samples[i].col == col) && is_kind(&t->samples[i], k);
    return n;
}

/* ---- by model ---- */

static void by_model(const lb_pages *p, lb_buf *b)
{
    char text[32];
    lb_table_start(b, "Readings by model");
    lb_table_head(b, "Model", "");
    lb_table_head(b, "Samples", "");
    lb_table_head(b, "Right", "not in the form");
    lb_table_head(b, "Right", "leniently only");
    lb_table_head(b, "Not", "understood");
    lb_table_body(b);
    for (int c = 0; c < p->n_col; c++) {
        size_t n[1 + N_KIND] = {0};
        for (int t = 0; t < p->n_task; t++) {
            n[0] += p->tasks[t].cells[c].n_sample;
            for (int k = 0; k < N_KIND; k++) n[1 + k] += count(&p->tasks[t], c, (kind)k);
        }
        lb_buf_str(b, "<tr>");
        lb_html_element(b, "th", "scope=\"row\"", p->cols[c].label);
        for (int k = 0; k <= N_KIND; k++) {
            snprintf(text, sizeof text, "%zu", n[k]);
            lb_html_element(b, "td", n[k] ? "" : "class=\"m\"", text);
        }
        lb_buf_str(b, "</tr>\n");
    }
    lb_table_end(b);
}

/* ---- sample by sample ---- */

typedef struct listing {
    const lb_pages *p;
    const lb_pages_task *t;
    lb_buf *b;
    kind kind;
    int problem, col, k, n_row;
} listing;

static bool row(void *arg, const lb_pages_sample *s, const lb_sample_row *text, lb_err *err)
{
    (void)err;
    listing *x = arg;
    char name[32];
    int k = x->k++;
    if (!is_kind(s, x->kind) || x->n_row >= MOST_ROWS) return true;
    x->n_row++;
    lb_pages_problem_name(x->t, x->problem, name);
    lb_buf_fmt(x->b, "<tr><th scope=\"row\"><a href=\"%s-s%d\">",
               lb_pages_problem_href(x->t, x->problem, x->col).s, k);
    lb_html_text(x->b, x->t->label);
    lb_buf_fmt(x->b, " %s</a></th><td class=\"l\">", name);
    lb_html_text(x->b, x->p->cols[x->col].label);
    lb_buf_fmt(x->b, "<small class=\"o\">seed %lld, sample %lld</small></td><td class=\"w\"><code>", (long long)s->seed,
               (long long)s->sample);
    lb_pages_short(x->b, x->t->problems[x->problem].gold, 200);
    lb_buf_str(x->b, "</code></td><td class=\"w\">");
    if (text && *text->extracted) lb_html_element(x->b, "code", "", text->extracted);
    lb_buf_str(x->b, "</td><td class=\"w m\">");
    if (text) lb_html_text(x->b, text->why);
    lb_buf_fmt(x->b, "%s</td></tr>\n", s->truncated ? " (truncated)" : "");
    return true;
}

static bool has_kind(const lb_pages *p, const lb_pages_task *t, int i, int c, kind k)
{
    size_t n;
    const lb_pages_sample *s = lb_pages_at(p, t, i, c, &n);
    for (size_t j = 0; j < n; j++)
        if (is_kind(&s[j], k)) return true;
    return false;
}

static bool rows(listing *x, lb_err *err)
{
    for (int t = 0; t < x->p->n_task; t++) {
        x->t = &x->p->tasks[t];
        for (x->problem = 0; x->problem < x->t->n_problem; x->problem++)
            for (x->col = 0; x->col < x->p->n_col && x->n_row < MOST_ROWS; x->col++) {
                x->k = 0;
                if (has_kind(x->p, x->t, x->problem, x->col, x->kind) &&
                    !lb_pages_texts(x->p, x->t, x->problem, x->col, row, x, err))
                    return false;
            }
    }
    return true;
}

static bool list(const lb_pages *p, kind k, lb_page *page, lb_err *err)
{
    listing x = {.p = p, .b = page->b, .kind = k};
    char title[120];
    size_t n = 0;
    for (int t = 0; t < p->n_task; t++) n += count(&p->tasks[t], -1, k);
    snprintf(title, sizeof title, "%s (%zu)", kinds[k].title, n);
    lb_page_heading(page, kinds[k].id, title, kinds[k].about);
    if (n == 0) return true;
    if (n > MOST_ROWS) lb_buf_fmt(page->b, "<p class=\"note\">The first %d of them.</p>\n", MOST_ROWS);
    lb_buf_str(page->b, "<div class=\"box tall\" role=\"region\" tabindex=\"0\" aria-label=\"");
    lb_html_text(page->b, kinds[k].title);
    lb_buf_str(page->b, "\"><table class=\"readings\">\n<thead><tr>");
    lb_table_head(page->b, "Problem", "");
    lb_buf_str(page->b, "<th scope=\"col\" class=\"l\">Model</th><th scope=\"col\" class=\"l\">Right answer</th>"
                        "<th scope=\"col\" class=\"l\">Answered</th><th scope=\"col\" class=\"l\">Why</th>");
    lb_table_body(page->b);
    bool ok = rows(&x, err);
    lb_table_end(page->b);
    return ok;
}

bool lb_pages_readings(const lb_pages *p, lb_page *page, lb_err *err)
{
    bool ok = true;
    lb_html_element(page->b, "h1", "", "Strict and lenient readings");
    lb_buf_str(page->b,
               "\n<p>Each answer is read three times: strictly, as it is counted, and leniently. What is right to one "
               "reader and wrong to another says how much of a result is the grader’s.</p>\n");
    lb_pages_nav(p, page, NULL);
    by_model(p, page->b);
    for (int k = 0; ok && k < N_KIND; k++) ok = list(p, (kind)k, page, err);
    return ok;
}
