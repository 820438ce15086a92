/* study/pages_block.c – a block of problems: each with its text, its gold answer, and every model's samples. */
#include "study/pages_parts.h"
#include "eval/grade.h"
#include <stdio.h>
#include <string.h>

typedef struct block {
    const lb_pages *p;
    const lb_pages_task *t;
    int problem, col, k;             /* k: number of the sample within them */
    size_t text_bytes;               /* of each text that is shown */
    lb_pages_folder *f;
    lb_buf *b;
} block;

static void size_text(size_t n, char out[32])
{
    lb_tick_text((double)n, 0, LB_UNIT_BYTES, out);
}

/* ---- texts: hostile, perhaps huge ---- */

static bool inside_character(char c) { return ((unsigned char)c & 0xc0) == 0x80; }

/* s[0,n) as a block of text of at most `most` bytes, without blanks at its ends: two thirds of them from the beginning,
 * the rest from the end. */
static void text_block(lb_buf *b, const char *s, size_t n, size_t most)
{
    while (n > 0 && strchr(" \n", s[0])) s++, n--;
    while (n > 0 && strchr(" \n", s[n - 1])) n--;
    lb_buf_str(b, "<div class=\"t\">");
    if (n <= most) {
        lb_html_add(b, s, n);
    } else {
        size_t head = most / 3 * 2, tail = n - most / 3;
        char size[32];
        while (head > 0 && inside_character(s[head])) head--;
        while (tail < n && inside_character(s[tail])) tail++;
        lb_html_add(b, s, head);
        size_text(tail - head, size);
        lb_buf_fmt(b, "<span class=\"cut\">… %s left out here …</span>", size);
        lb_html_add(b, s + tail, n - tail);
    }
    lb_buf_str(b, "</div>\n");
}

/* The whole text as a file, as it is: its name in `out`. */
static bool whole_text(block *x, const lb_pages_sample *s, const char *text, size_t n, char out[200], lb_err *err)
{
    snprintf(out, 200, "text/%s.%d.%d.%lld.%lld.txt", x->t->slug, x->problem, x->col, (long long)s->seed,
             (long long)s->sample);
    return lb_pages_folder_put(x->f, out, text, n, err);
}

static bool sample_text(block *x, const lb_pages_sample *s, const char *text, lb_err *err)
{
    const char *answer;
    bool closed;
    char size[32], name[200];
    size_t n = strlen(text);
    lb_answer_part(text, !s->think_closed, &answer, &closed);
    size_t n_answer = strlen(answer), n_think = n - n_answer;
    if (n_think) {
        size_text(n_think, size);
        lb_buf_fmt(x->b, "<details><summary>Thinking, %s%s</summary>", size, closed ? "" : ", without an end");
        text_block(x->b, text, n_think, x->text_bytes);
        lb_buf_str(x->b, "</details>\n");
    }
    if (n_answer) text_block(x->b, answer, n_answer, x->text_bytes);
    if (n_think <= x->text_bytes && n_answer <= x->text_bytes) return true;
    if (!whole_text(x, s, text, n, name, err)) return false;
    size_text(n, size);
    lb_buf_fmt(x->b, "<p><a href=\"%s\">The whole text, %s</a></p>\n", name, size);
    return true;
}

/* ---- samples ---- */

static void verdicts(lb_buf *b, const lb_pages_sample *s)
{
    lb_pages_verdict(b, s->verdict, "");
    if (s->strict >= 0 && s->strict != s->verdict) {
        lb_buf_str(b, " · ");
        lb_pages_verdict(b, s->strict, "strictly ");
    }
    if (s->lenient >= 0 && s->lenient != s->verdict) {
        lb_buf_str(b, " · ");
        lb_pages_verdict(b, s->lenient, "leniently ");
    }
}

static bool sample(void *arg, const lb_pages_sample *s, const lb_sample_row *row, lb_err *err)
{
    block *x = arg;
    lb_buf *b = x->b;
    lb_buf_fmt(b, "<article id=\"i%d-m%d-s%d\"><p>", x->problem, x->col, x->k++);
    verdicts(b, s);
    lb_buf_fmt(b, " <span class=\"m\">· seed %lld, sample %lld · %d tokens%s%s%s</span></p>\n", (long long)s->seed,
               (long long)s->sample, s->n_tokens, s->truncated ? " · truncated" : "",
               s->think_closed ? "" : " · thinking not closed", s->weak_sandbox ? " · judged in a weak sandbox" : "");
    if (!row) {
        lb_buf_str(b, "<p class=\"m\">The sample is not in the database any more.</p></article>\n");
        return true;
    }
    bool one_line = *row->extracted && (!strchr(row->extracted, '\n') || !x->text_bytes); /* programs stand below */
    if (one_line || *row->why) {
        lb_buf_str(b, "<p>");
        if (one_line) lb_buf_str(b, "answered "), lb_html_element(b, "code", "", row->extracted);
        if (*row->why) lb_buf_str(b, " "), lb_html_element(b, "span", "class=\"m\"", row->why);
        lb_buf_str(b, "</p>\n");
    }
    bool ok = x->text_bytes == 0 || sample_text(x, s, row->text, err);
    lb_buf_str(b, "</article>\n");
    return ok;
}

/* ---- problems ---- */

/* How each model did, and the way to its answers. */
static void chips(const block *x)
{
    lb_buf_str(x->b, "<ul class=\"chips\">\n");
    for (int c = 0; c < x->p->n_col; c++) {
        size_t n;
        int graded;
        char tint[64];
        const lb_pages_sample *s = lb_pages_at(x->p, x->t, x->problem, c, &n);
        int right = lb_pages_right(s, n, &graded);
        if (n == 0) continue;
        const char *attributes = graded ? lb_tint(1 - (double)right / graded, 1, tint) : "";
        lb_buf_fmt(x->b, "<li><a href=\"#i%d-m%d\"%s%s>", x->problem, c, *attributes ? " " : "", attributes);
        lb_html_text(x->b, x->p->cols[c].label);
        lb_buf_fmt(x->b, " <b>%d/%d</b></a></li>\n", right, graded);
    }
    lb_buf_str(x->b, "</ul>\n");
}

static bool answers(block *x, lb_err *err)
{
    for (x->col = 0; x->col < x->p->n_col; x->col++) {
        size_t n;
        int graded;
        const lb_pages_sample *s = lb_pages_at(x->p, x->t, x->problem, x->col, &n);
        int right = lb_pages_right(s, n, &graded);
        if (n == 0) continue;
        lb_buf_fmt(x->b, "<section id=\"i%d-m%d\"><h3>", x->problem, x->col);
        lb_html_text(x->b, x->p->cols[x->col].label);
        lb_buf_fmt(x->b, " <small>%d of %d right</small></h3>\n", right, graded);
        x->k = 0;
        if (!lb_pages_texts(x->p, x->t, x->problem, x->col, sample, x, err)) return false;
        lb_buf_str(x->b, "</section>\n");
    }
    return true;
}

static bool problem(block *x, lb_err *err)
{
    enum { PROBLEM_BYTES = 64 << 10 };
    const lb_pages_problem *q = &x->t->problems[x->problem];
    char name[32];
    lb_buf *b = x->b;
    lb_pages_problem_name(x->t, x->problem, name);
    lb_buf_fmt(b, "<section class=\"p\" id=\"i%d\"><h2><a href=\"#i%d\">Problem %s</a> <small>", x->problem, x->problem,
               name);
    lb_pages_short(b, q->id, 80);
    if (q->level) lb_buf_fmt(b, "%slevel %d", *q->id ? " · " : "", q->level);
    lb_buf_str(b, "</small></h2>\n");
    if (*q->problem) text_block(b, q->problem, strlen(q->problem), PROBLEM_BYTES);
    else lb_buf_str(b, "<p class=\"m\">The database does not have the text of this problem.</p>\n");
    if (*q->gold) {
        lb_buf_str(b, "<p>Right answer: <code>");
        lb_pages_short(b, q->gold, 4000);
        lb_buf_str(b, "</code></p>\n");
    }
    chips(x);
    bool ok = answers(x, err);
    lb_buf_str(b, "</section>\n");
    return ok;
}

static void beside(const lb_pages_task *t, int number, lb_buf *b)
{
    char href[100];
    lb_buf_str(b, "<nav aria-label=\"Problems\">\n");
    snprintf(href, sizeof href, "%s.html#matrix", t->slug);
    lb_page_link(b, href, "↑ All problems");
    for (int d = -1; d <= 1; d += 2) {
        if (number + d < 1 || number + d > t->n_page) continue;
        snprintf(href, sizeof href, "%s.p%d.html", t->slug, number + d);
        lb_page_link(b, href, d < 0 ? "← Problems before" : "Problems after →");
    }
    lb_buf_str(b, "</nav>\n");
}

/* Links to the problems of the page, if there are several. */
static void here(const lb_pages_task *t, int first, int end, lb_buf *b)
{
    if (end - first < 2) return;
    lb_buf_str(b, "<ul class=\"chips\">\n");
    for (int i = first; i < end; i++) {
        char name[32];
        lb_pages_problem_name(t, i, name);
        lb_buf_fmt(b, "<li><a href=\"#i%d\">%s</a></li>\n", i, name);
    }
    lb_buf_str(b, "</ul>\n");
}

bool lb_pages_block(const lb_pages *p, int task, int block_number, const lb_pages_opt *o, lb_pages_folder *f,
                    lb_page *page, lb_err *err)
{
    const lb_pages_task *t = &p->tasks[task];
    block x = {.p = p, .t = t, .f = f, .b = page->b, .text_bytes = (size_t)o->text_kb << 10};
    int first = 0, end;
    char from[32], to[32];
    while (first < t->n_problem && t->problems[first].page != block_number) first++;
    for (end = first; end < t->n_problem && t->problems[end].page == block_number;) end++;
    lb_pages_problem_name(t, first, from);
    lb_pages_problem_name(t, end - 1, to);
    lb_buf_str(page->b, "<h1>");
    lb_html_text(page->b, t->label);
    lb_buf_fmt(page->b, end - first > 1 ? ", problems %s to %s</h1>\n" : ", problem %s</h1>\n", from, to);
    beside(t, block_number, page->b);
    here(t, first, end, page->b);
    bool ok = true;
    for (x.problem = first; ok && x.problem < end; x.problem++) ok = problem(&x, err);
    beside(t, block_number, page->b);
    return ok;
}
