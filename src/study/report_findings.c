/* study/report_findings.c – what the numbers of a study say, in sentences that hold for these numbers only. */
#include "study/report_parts.h"
#include <math.h>
#include <string.h>

static void item(lb_buf *b) { lb_buf_str(b, "<li>"); }
static void item_end(lb_buf *b) { lb_buf_str(b, "</li>\n"); }

/* " points" with a sign and error. */
static void points(lb_buf *b, double v, double se)
{
    double p = 100 * v;
    lb_buf_fmt(b, "%s%.1f", p <= -0.05 ? "−" : "", fabs(p));
    if (isfinite(se)) lb_buf_fmt(b, " ± %.1f", 100 * se);
    else lb_buf_str(b, " ± ?");
}

static void baseline(const lb_rep *r, lb_buf *b)
{
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!x->is_baseline || !lb_report_shown_once(r, i) || x->think_budget || x->think_extend || *x->method ||
            *x->kv)
            continue;
        item(b);
        lb_html_element(b, "b", "", x->label);
        if (lb_report_several_models(r)) {
            lb_buf_str(b, " of ");
            lb_html_text(b, x->base);
        }
        lb_buf_str(b, " solves ");
        points(b, x->average, x->average_se);
        lb_buf_fmt(b, " %% (mean of %d benchmark%s, %d problems).", r->n_task, r->n_task > 1 ? "s" : "", x->n_problem);
        item_end(b);
    }
}

/* For each model the smallest run that is lossless. */
static void smallest(const lb_rep *r, lb_buf *b)
{
    for (int m = 0; m < r->n_run; m++) {
        const lb_rep_run *best = NULL;
        bool first = true;
        for (int j = 0; j < m; j++) first = first && strcmp(r->runs[j].base, r->runs[m].base) != 0;
        if (!first) continue;
        for (int i = 0; i < r->n_run; i++) {
            const lb_rep_run *x = &r->runs[i];
            if (!x->compared || strcmp(x->base, r->runs[m].base) != 0 || strcmp(x->class_name, "lossless") != 0)
                continue;
            if (x->baseline >= 0 && x->size_bytes >= r->runs[x->baseline].size_bytes) continue;
            if (!best || x->size_bytes < best->size_bytes ||
                (x->size_bytes == best->size_bytes && x->drop < best->drop))
                best = x;
        }
        if (!best || best->baseline < 0) continue;
        char size[32], from[32];
        lb_tick_text(best->size_bytes, 0, LB_UNIT_BYTES, size);
        lb_tick_text(r->runs[best->baseline].size_bytes, 0, LB_UNIT_BYTES, from);
        item(b);
        lb_buf_str(b, "Smallest lossless model");
        if (lb_report_several_models(r)) {
            lb_buf_str(b, " of ");
            lb_html_text(b, best->base);
        }
        lb_buf_str(b, ": ");
        lb_html_element(b, "b", "", best->label);
        lb_buf_fmt(b, ", %s instead of %s; ", size, from);
        points(b, best->drop, best->drop_se);
        lb_buf_str(b, " points lost.");
        item_end(b);
    }
}

static void classes(const lb_rep *r, lb_buf *b)
{
    static const char *const names[] = {"lossless", "fair", "risky"};
    int n[3] = {0}, total = 0;
    for (int i = 0; i < r->n_run; i++)
        for (int k = 0; k < 3 && lb_report_shown_once(r, i); k++)
            if (r->runs[i].compared && strcmp(r->runs[i].class_name, names[k]) == 0) n[k]++, total++;
    if (!total) return;
    item(b);
    lb_buf_fmt(b, "Of %d quantized run%s, %d %s lossless (at most 1 point lost), %d fair (at most 3), %d risky.", total,
               total > 1 ? "s" : "", n[0], n[0] == 1 ? "is" : "are", n[1], n[2]);
    item_end(b);
}

/* Easiest against hardest level, over the runs that lose more than three points. */
static void levels(const lb_rep *r, lb_buf *b)
{
    double lost[2] = {0, 0}, var[2] = {0, 0};
    int n = 0;
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!x->compared || !lb_report_shown_once(r, i) || strcmp(x->class_name, "risky") != 0) continue;
        if (!isfinite(x->level_drop[0]) || !isfinite(x->level_drop[LB_REP_LEVELS - 1])) continue;
        for (int k = 0; k < 2; k++) {
            int l = k ? LB_REP_LEVELS - 1 : 0;
            lost[k] += x->level_drop[l];
            var[k] += x->level_drop_se[l] * x->level_drop_se[l];
        }
        n++;
    }
    if (!n) return;
    item(b);
    lb_buf_fmt(b, "The %s lose%s ", n > 1 ? "risky runs" : "risky run", n > 1 ? "" : "s");
    points(b, lost[0] / n, n == 1 ? sqrt(var[0]) : NAN);
    lb_buf_str(b, " points at level 1 (easiest) and ");
    points(b, lost[1] / n, n == 1 ? sqrt(var[1]) : NAN);
    lb_buf_str(b, " at level 5 (hardest).");
    item_end(b);
}

static void longest(const lb_rep *r, lb_buf *b)
{
    const lb_rep_run *most = NULL;
    double by = 0;
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!x->compared || x->baseline < 0 || !(r->runs[x->baseline].tokens_mean > 0)) continue;
        double ratio = x->tokens_mean / r->runs[x->baseline].tokens_mean;
        if (ratio > by) by = ratio, most = x;
    }
    if (!most) return;
    item(b);
    lb_buf_str(b, "Outputs grow most in ");
    lb_html_element(b, "b", "", most->label);
    lb_buf_fmt(b, ": %.2f times as long; %.1f %% of them are truncated.", by, 100 * most->truncated);
    item_end(b);
}

void lb_report_findings(const lb_rep *r, lb_buf *b)
{
    size_t before = b->n;
    lb_buf_str(b, "<ul class=\"points\">\n");
    size_t empty = b->n;
    baseline(r, b);
    smallest(r, b);
    classes(r, b);
    levels(r, b);
    longest(r, b);
    if (r->n_failed > 0) {
        item(b);
        lb_buf_fmt(b, "%d run%s failed; the reasons are at the end.", r->n_failed, r->n_failed > 1 ? "s" : "");
        item_end(b);
    }
    if (b->n == empty && !b->oom) { /* nothing to say */
        b->n = before;
        b->p[b->n] = 0;
        return;
    }
    lb_buf_str(b, "</ul>\n");
}
