/* study/pages_stat.c – what is counted of the samples: shares with their errors, lengths, differences to a baseline. */
#include "study/pages_data.h"
#include "base/median.h"
#include "base/mem.h"
#include "eval/grade.h"
#include "eval/stats.h"
#include "study/report_data.h"
#include <math.h>
#include <stdlib.h>

/* ---- shares ---- */

typedef enum share { COUNTED, STRICT, LENIENT, TRUNCATED } share;

/* 1 or 0, or −1: the sample does not say. */
static int says(const lb_pages_sample *s, share what)
{
    if (what == TRUNCATED) return s->truncated;
    if (s->verdict < 0) return -1;
    int v = what == STRICT ? s->strict : what == LENIENT ? s->lenient : s->verdict;
    return v < 0 ? -1 : v == LB_RIGHT;
}

/* A share and its error over the samples of column c at a level (0: at all), NaN unless every graded one says. */
static bool share_of(const lb_pages *p, const lb_pages_task *t, int c, share what, int level, double *mean, double *se,
                     lb_err *err)
{
    *mean = *se = NAN;
    lb_outcome *x = lb_alloc(t->n_sample, sizeof *x, "the samples", err);
    size_t n = 0, count;
    bool all = true, ok = x != NULL;
    for (int i = 0; ok && i < t->n_problem; i++) {
        if (level && t->problems[i].level != level) continue;
        const lb_pages_sample *s = lb_pages_at(p, t, i, c, &count);
        for (size_t j = 0; j < count; j++) {
            int v = says(&s[j], what);
            if (v >= 0) x[n++] = (lb_outcome){.problem = t->problems[i].question, .correct = v == 1};
            else all = all && s[j].verdict < 0;
        }
    }
    if (ok && n > 0 && all) {
        lb_accuracy a;
        ok = lb_stats_accuracy(x, n, &a, err);
        if (ok) *mean = a.mean, *se = a.stderr_mean;
    }
    free(x);
    return ok;
}

static bool shares(const lb_pages *p, const lb_pages_task *t, int c, lb_pages_cell *x, lb_err *err)
{
    bool ok = share_of(p, t, c, COUNTED, 0, &x->acc, &x->acc_se, err) &&
              share_of(p, t, c, STRICT, 0, &x->strict, &x->strict_se, err) &&
              share_of(p, t, c, LENIENT, 0, &x->lenient, &x->lenient_se, err) &&
              share_of(p, t, c, TRUNCATED, 0, &x->truncated, &x->truncated_se, err);
    for (int l = 0; ok && l < LB_PAGES_LEVELS; l++)
        ok = share_of(p, t, c, COUNTED, l + 1, &x->level[l], &x->level_se[l], err);
    return ok;
}

/* ---- lengths and counts ---- */

/* Quantiles of v [n], which is sorted, and their mean. */
static double lengths(double *v, size_t n, double q[LB_PAGES_QUANTILES])
{
    static const double at[LB_PAGES_QUANTILES] = {0.05, 0.25, 0.5, 0.75, 0.95};
    double sum = 0;
    lb_sort_doubles(v, n);
    for (size_t i = 0; i < n; i++) sum += v[i];
    for (int k = 0; k < LB_PAGES_QUANTILES; k++) q[k] = lb_quantile(v, n, at[k]);
    return n ? sum / (double)n : NAN;
}

static bool counts(const lb_pages *p, const lb_pages_task *t, int c, lb_pages_cell *x, lb_err *err)
{
    double *v = lb_alloc(3 * t->n_sample, sizeof *v, "the samples", err);
    double *right = v + t->n_sample, *wrong = right + t->n_sample;
    size_t n = 0, n_right = 0, n_wrong = 0, n_closed = 0, count;
    if (!v) return false;
    for (int i = 0; i < t->n_problem; i++) {
        const lb_pages_sample *s = lb_pages_at(p, t, i, c, &count);
        x->n_problem += count > 0;
        if (count > 0 && t->problems[i].level) x->level_n[t->problems[i].level - 1]++;
        for (size_t j = 0; j < count; j++) {
            v[n++] = s[j].n_tokens;
            if (s[j].verdict == LB_RIGHT) right[n_right++] = s[j].n_tokens;
            else if (s[j].verdict >= 0) wrong[n_wrong++] = s[j].n_tokens;
            n_closed += s[j].think_closed;
            x->n_ungraded += s[j].verdict < 0;
            x->n_unknown += s[j].verdict == LB_UNKNOWN;
            x->n_weak += s[j].weak_sandbox;
        }
    }
    x->n_sample = n;
    size_t graded = n - x->n_ungraded;
    x->unknown = graded ? (double)x->n_unknown / (double)graded : NAN;
    x->closed = n ? (double)n_closed / (double)n : NAN;
    x->tokens = lengths(v, n, x->q[0]);
    x->tokens_right = lengths(right, n_right, x->q[1]);
    x->tokens_wrong = lengths(wrong, n_wrong, x->q[2]);
    free(v);
    return true;
}

/* ---- problems ---- */

static void look_at(const lb_pages *p, lb_pages_task *t, int i)
{
    lb_pages_problem *x = &t->problems[i];
    double sum = 0, least = 2, most = -1;
    int n_col = 0, right = 0;
    x->flags = 0;
    for (int c = 0; c < p->n_col; c++) {
        size_t n;
        int graded;
        const lb_pages_sample *s = lb_pages_at(p, t, i, c, &n);
        for (size_t j = 0; j < n; j++) {
            if (lb_pages_differ(&s[j])) x->flags |= LB_PAGES_READING;
            if (s[j].truncated) x->flags |= LB_PAGES_TRUNCATED;
            if (s[j].verdict == LB_UNKNOWN) x->flags |= LB_PAGES_UNKNOWN;
        }
        int r = lb_pages_right(s, n, &graded);
        if (!graded) continue;
        double solved = (double)r / graded;
        sum += solved, n_col++, right += r;
        least = fmin(least, solved), most = fmax(most, solved);
    }
    x->share = n_col ? sum / n_col : NAN;
    if (n_col && most - least >= 0.5) x->flags |= LB_PAGES_DISAGREE;
    if (n_col && right == 0) x->flags |= LB_PAGES_NONE_RIGHT;
}

/* ---- against the baseline ---- */

static size_t outcomes(const lb_pages *p, const lb_pages_task *t, int i, int c, lb_outcome *out)
{
    size_t n, m = 0;
    const lb_pages_sample *s = lb_pages_at(p, t, i, c, &n);
    for (size_t j = 0; j < n; j++)
        if (s[j].verdict >= 0)
            out[m++] = (lb_outcome){.problem = t->problems[i].question, .correct = s[j].verdict == LB_RIGHT};
    return m;
}

static double right_share(const lb_outcome *x, size_t n)
{
    size_t right = 0;
    for (size_t i = 0; i < n; i++) right += x[i].correct;
    return (double)right / (double)n;
}

static bool compare(const lb_pages *p, const lb_pages_task *t, int c, int base, lb_pages_cell *x, lb_err *err)
{
    x->lost = x->lost_se = x->lost_p = NAN;
    if (base < 0 || base == c) return true;
    lb_outcome *a = lb_alloc(2 * t->n_sample, sizeof *a, "the samples", err), *b = a ? a + t->n_sample : NULL;
    size_t na = 0, nb = 0;
    if (!a) return false;
    for (int i = 0; i < t->n_problem; i++) {
        size_t ma = outcomes(p, t, i, base, a + na), mb = outcomes(p, t, i, c, b + nb);
        if (!ma || !mb) continue;
        double d = right_share(a + na, ma) - right_share(b + nb, mb);
        x->problems_lost += fmax(0, d), x->problems_gained += fmax(0, -d);
        x->n_common++, na += ma, nb += mb;
    }
    lb_paired d;
    bool ok = na == 0 || lb_stats_paired(a, na, b, nb, 0, 1, &d, err);
    if (ok && na) x->lost = d.diff, x->lost_se = d.stderr_diff, x->lost_p = d.p;
    free(a);
    return ok;
}

/* Means over tasks, which are independent; only of a column that has them all. */
static void averages(lb_pages *p)
{
    for (int c = 0; c < p->n_col; c++) {
        double acc[LB_PAGES_MAX], se[LB_PAGES_MAX], lost[LB_PAGES_MAX], lost_se[LB_PAGES_MAX];
        lb_pages_col *x = &p->cols[c];
        bool all = p->n_task > 0;
        for (int k = 0; k < p->n_task; k++) {
            const lb_pages_cell *y = &p->tasks[k].cells[c];
            acc[k] = y->acc, se[k] = y->acc_se, lost[k] = y->lost, lost_se[k] = y->lost_se;
            all = all && isfinite(y->acc);
        }
        x->average = x->average_se = x->lost = x->lost_se = NAN;
        if (!all) continue;
        lb_stats_average(acc, se, p->n_task, &x->average, &x->average_se);
        lb_stats_average(lost, lost_se, p->n_task, &x->lost, &x->lost_se);
    }
}

bool lb_pages_count(lb_pages *p, lb_err *err)
{
    bool ok = true;
    for (int k = 0; ok && k < p->n_task; k++) {
        lb_pages_task *t = &p->tasks[k];
        for (int i = 0; i < t->n_problem; i++) look_at(p, t, i);
        for (int c = 0; ok && c < p->n_col; c++) {
            lb_pages_cell *x = &t->cells[c];
            *x = (lb_pages_cell){.sampling = x->sampling, .prompts = x->prompts, .n_prompt = x->n_prompt};
            ok = counts(p, t, c, x, err) && shares(p, t, c, x, err) && compare(p, t, c, p->cols[c].base, x, err);
        }
    }
    if (ok) averages(p);
    return ok;
}
