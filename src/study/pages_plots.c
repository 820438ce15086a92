/* study/pages_plots.c – plots of the evaluation pages. A column has the same colour everywhere. */
#include "study/pages_parts.h"
#include "eval/stats.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_ROWS = 60, MOST_LINES = 6 };

/* Colours and marks together differ for so many; then they begin again. */
static int ink_of(int col) { return col % (LB_PLOT_INKS * LB_PLOT_INKS); }

/* "chain-lengths"; "lengths" of all tasks. */
static void begin(const lb_pages *p, int task, lb_figure *f, lb_plot_kind kind, const char *what, const char *title,
                  const char *caption)
{
    char name[64];
    if (task >= 0) snprintf(name, sizeof name, "%.40s-%.20s", p->tasks[task].slug, what);
    else snprintf(name, sizeof name, "%.60s", what);
    lb_figure_start(f, kind, name, title, caption);
}

/* Calls fn for each column that did a task, of one or of all under a heading each; as many as there is room for. */
static void each_cell(const lb_pages *p, int task, lb_figure *f,
                      void (*fn)(const lb_pages *, const lb_pages_task *, int, lb_figure *))
{
    int n = 0, of = 0;
    for (int k = 0; k < p->n_task; k++) {
        const lb_pages_task *t = &p->tasks[k];
        if (task >= 0 && k != task) continue;
        for (int c = 0, first = 1; c < p->n_col; c++) {
            if (t->cells[c].n_sample == 0 || (of++, n >= MOST_ROWS)) continue;
            lb_plot_row *h = task < 0 && first ? lb_plot_add_row(&f->plot, t->label) : NULL;
            if (h) h->heading = true;
            first = 0, n++;
            fn(p, t, c, f);
        }
    }
    if (n < of) lb_figure_say(f, ". The first %d of %d; the table has all", n, of);
}

/* A share in per cent with its interval, which does not collapse at 0 and 100. */
static void share_row(const lb_pages *p, const lb_pages_task *t, int c, double v, double se, const char *what,
                      lb_figure *f)
{
    if (!isfinite(v)) return;
    lb_plot_row *w = lb_plot_add_row(&f->plot, p->cols[c].label);
    if (!w) return;
    w->ink = ink_of(c);
    w->mid = 100 * v;
    snprintf(w->value, sizeof w->value, "%.1f", w->mid);
    snprintf(w->tip, sizeof w->tip, "%.90s: %.1f %% %s", p->cols[c].label, w->mid, what);
    lb_stats_interval(v, se, (size_t)t->cells[c].n_problem, &w->lo, &w->hi);
    w->lo *= 100, w->hi *= 100;
    if (!isfinite(se)) return;
    snprintf(w->value, sizeof w->value, "%.1f ± %.1f", w->mid, 100 * se);
    snprintf(w->tip, sizeof w->tip, "%.90s: %.1f ± %.1f %% %s", p->cols[c].label, w->mid, 100 * se, what);
}

static void accuracy_row(const lb_pages *p, const lb_pages_task *t, int c, lb_figure *f)
{
    share_row(p, t, c, t->cells[c].acc, t->cells[c].acc_se, "right", f);
}

bool lb_pages_accuracy_plot(const lb_pages *p, lb_figure *f)
{
    begin(p, -1, f, LB_PLOT_ROWS, "accuracy", "Accuracy",
          "Share of samples that are right, with 95 % intervals; at the right ± one standard error");
    lb_figure_axis(&f->plot.x, "right, %", LB_LINEAR);
    each_cell(p, -1, f, accuracy_row);
    return lb_figure_end(f, 2);
}

static void truncated_row(const lb_pages *p, const lb_pages_task *t, int c, lb_figure *f)
{
    share_row(p, t, c, t->cells[c].truncated, t->cells[c].truncated_se, "truncated", f);
}

bool lb_pages_truncated_plot(const lb_pages *p, int task, lb_figure *f)
{
    bool any = false;
    for (int k = 0; k < p->n_task; k++)
        for (int c = 0; c < p->n_col; c++) any = any || ((task < 0 || k == task) && p->tasks[k].cells[c].truncated > 0);
    if (!any) return false;
    begin(p, task, f, LB_PLOT_ROWS, "truncated", "Truncated answers",
          "Share of samples that reached the limit of tokens, with 95 % intervals; they count as wrong");
    lb_figure_axis(&f->plot.x, "truncated, %", LB_LINEAR);
    each_cell(p, task, f, truncated_row);
    return lb_figure_end(f, 1);
}

static void length_rows(const lb_pages *p, const lb_pages_task *t, int c, lb_figure *f)
{
    static const char *const names[] = {"", "right", "wrong"};
    const lb_pages_cell *x = &t->cells[c];
    for (int k = 1; k <= 2; k++) {
        double mean = k == 1 ? x->tokens_right : x->tokens_wrong;
        char label[96];
        if (!isfinite(mean)) continue;
        snprintf(label, sizeof label, "%.80s, %s", p->cols[c].label, names[k]);
        lb_plot_row *w = lb_plot_add_row(&f->plot, label);
        if (!w) return;
        w->lo = fmax(1, x->q[k][0]), w->box_lo = fmax(1, x->q[k][1]), w->mid = fmax(1, x->q[k][2]);
        w->box_hi = fmax(1, x->q[k][3]), w->hi = fmax(1, x->q[k][4]), w->mean = fmax(1, mean);
        w->ink = k == 1 ? ink_of(c) : -1;
        snprintf(w->value, sizeof w->value, "%.0f", mean);
        snprintf(w->tip, sizeof w->tip, "%.90s: mean %.0f, median %.0f, half of them %.0f to %.0f tokens", label, mean,
                 w->mid, w->box_lo, w->box_hi);
    }
}

bool lb_pages_length_plot(const lb_pages *p, int task, lb_figure *f)
{
    begin(
        p, task, f, LB_PLOT_ROWS, "lengths", "Length of right and of wrong answers",
        "Box: middle half of the samples with the median; whiskers: 5 % to 95 %; mark, and number at the right: mean. "
        "Wrong answers are grey");
    lb_figure_axis(&f->plot.x, "tokens", LB_LOG);
    each_cell(p, task, f, length_rows);
    return lb_figure_end(f, 1);
}

static void gain_row(const lb_pages *p, const lb_pages_task *t, int c, lb_figure *f)
{
    const lb_pages_cell *x = &t->cells[c];
    int base = p->cols[c].base;
    if (base < 0 || base == c || !x->n_common) return;
    lb_plot_row *w = lb_plot_add_row(&f->plot, p->cols[c].label);
    if (!w) return;
    w->box_lo = -x->problems_lost, w->box_hi = x->problems_gained, w->mid = w->box_hi + w->box_lo;
    w->ink = ink_of(c);
    snprintf(w->value, sizeof w->value, "−%.3g +%.3g", x->problems_lost, x->problems_gained);
    snprintf(w->tip, sizeof w->tip, "%.70s: %.3g of %d problems lost, %.3g gained", p->cols[c].label, x->problems_lost,
             x->n_common, x->problems_gained);
}

bool lb_pages_gain_plot(const lb_pages *p, int task, lb_figure *f)
{
    begin(p, task, f, LB_PLOT_ROWS, "changes", "Problems lost and gained",
          "Against the baseline, problem by problem: the sum over problems of the share of right samples that was lost "
          "(left) and gained (right). The line is what is left of both: as many problems may come as go while accuracy "
          "stays");
    lb_figure_axis(&f->plot.x, "problems", LB_LINEAR);
    lb_plot_add_guide(&f->plot, 0, "");
    each_cell(p, task, f, gain_row);
    return lb_figure_end(f, 1);
}

bool lb_pages_level_plot(const lb_pages *p, int task, lb_figure *f)
{
    static const double levels[LB_PAGES_LEVELS] = {1, 2, 3, 4, 5};
    const lb_pages_task *t = &p->tasks[task];
    int n = 0, of = 0;
    begin(p, task, f, LB_PLOT_XY, "levels", "Accuracy by level", "With 95 % intervals");
    lb_figure_axis(&f->plot.x, "level (5 is hardest)", LB_LINEAR);
    lb_figure_axis(&f->plot.y, "right, %", LB_LINEAR);
    lb_figure_ticks(&f->plot.x, levels, LB_PAGES_LEVELS);
    for (int c = 0; c < p->n_col; c++) of += t->cells[c].n_sample > 0;
    for (int c = 0; c < p->n_col && n < MOST_LINES; c++) {
        const lb_pages_cell *x = &t->cells[c];
        if (!x->n_sample) continue;
        double aside = 0.05 * (n++ - (fmin(of, MOST_LINES) - 1) / 2);
        int s = lb_plot_add_series(&f->plot, p->cols[c].label, c);
        for (int l = 0; l < LB_PAGES_LEVELS; l++) {
            lb_plot_point q = lb_figure_point(l + 1 + aside, 100 * x->level[l], LB_Z95 * 100 * x->level_se[l],
                                              p->cols[c].label);
            lb_tip_add(q.tip, " %% at level %d", l + 1);
            lb_stats_interval(x->level[l], x->level_se[l], (size_t)x->level_n[l], &q.lo, &q.hi);
            q.lo *= 100, q.hi *= 100;
            lb_plot_add_point(&f->plot, s, &q);
        }
    }
    if (n < of) lb_figure_say(f, ". The first %d of %d models", n, of);
    return lb_figure_end(f, 2);
}
