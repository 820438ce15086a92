/* study/report_inside.c – plots of what happens inside: error by layer, outliers before and after, divergence by
 * position. Their data are files that not every study has (study/report.h). */
#include "study/report_parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 7, MAX_LAYER = 1024 };

static void start(lb_figure *o, const char *name, const char *title, const char *caption)
{
    lb_figure_start(o, LB_PLOT_XY, name, title, caption);
}

static void axes(lb_plot *p, const char *x, const char *y)
{
    snprintf(p->x.label, sizeof p->x.label, "%s", x);
    snprintf(p->y.label, sizeof p->y.label, "%s", y);
    p->y.scale = LB_LOG;
}

/* The output's error where it was measured, else the weights'. */
static double error_of(const lb_rep_layer *x, bool output) { return output ? x->error_rel : x->mse_rel; }

static bool has_output_error(const lb_rep_run *x)
{
    for (size_t i = 0; i < x->n_layer; i++)
        if (isfinite(x->layers[i].error_rel)) return true;
    return false;
}

static void say_shown(lb_figure *o, int n, int of)
{
    if (n < of) lb_figure_say(o, ". The first %d of %d runs", n, of);
}

/* Layers of a run by block: geometric means. */
static void layer_line(lb_plot *p, const lb_rep_run *x, int series, bool output)
{
    for (int l = 0; l < MAX_LAYER; l++) {
        double sum = 0;
        int n = 0;
        for (size_t i = 0; i < x->n_layer; i++) {
            double e = error_of(&x->layers[i], output);
            if (x->layers[i].layer == l && e > 0) sum += log(e), n++;
        }
        if (!n) continue;
        lb_plot_point q = {.x = l, .y = exp(sum / n), .lo = NAN, .hi = NAN};
        snprintf(q.tip, sizeof q.tip, "%.90s, block %d: %.2e", x->label, l, q.y);
        lb_plot_add_point(p, series, &q);
    }
}

bool lb_report_layer_plot(const lb_rep *r, lb_figure *o)
{
    int n = 0, of = 0;
    bool output = true;
    for (int i = 0; i < r->n_run; i++) {
        if (!r->runs[i].n_layer || !lb_report_shown_once(r, i)) continue;
        output = output && has_output_error(&r->runs[i]);
        of++;
    }
    start(o, "layers", "Error by block",
          output ? "Relative error of the layers' outputs on calibration text, tr(ΔHΔᵀ)/tr(WHWᵀ): geometric mean over "
                   "the linear "
                   "layers of a block"
                 : "Relative squared error of the weights: geometric mean over the linear layers of a block");
    axes(&o->plot, "block", "relative error");
    for (int i = 0; i < r->n_run && n < MAX_LINES; i++) {
        if (!r->runs[i].n_layer || !lb_report_shown_once(r, i)) continue;
        layer_line(&o->plot, &r->runs[i], lb_plot_add_series(&o->plot, r->runs[i].label, n), output);
        n++;
    }
    say_shown(o, n, of);
    return lb_figure_end(o, 2);
}

/* The kind of a linear layer: the last part of its name. */
static const char *kind_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

bool lb_report_layer_detail_plot(const lb_rep *r, int run, lb_figure *o)
{
    const lb_rep_run *x = &r->runs[run];
    bool output = has_output_error(x);
    char name[64], title[160];
    snprintf(name, sizeof name, "layers-%.50s", x->id);
    snprintf(title, sizeof title, "Error by kind of layer: %.100s", x->label);
    start(o, name, title,
          output ? "Relative error of each linear layer's output on calibration text, tr(ΔHΔᵀ)/tr(WHWᵀ)"
                 : "Relative squared error of each linear layer's weights");
    axes(&o->plot, "block", "relative error");
    for (size_t i = 0; i < x->n_layer; i++) {
        const lb_rep_layer *y = &x->layers[i];
        double e = error_of(y, output);
        if (y->layer < 0 || !(e > 0)) continue;
        int s = -1;
        for (size_t j = 0; j < o->plot.n_series; j++)
            if (strcmp(o->plot.series[j].name, kind_of(y->name)) == 0) s = (int)j;
        if (s < 0 && o->plot.n_series < MAX_LINES)
            s = lb_plot_add_series(&o->plot, kind_of(y->name), (int)o->plot.n_series);
        lb_plot_point q = {.x = y->layer, .y = e, .lo = NAN, .hi = NAN};
        snprintf(q.tip, sizeof q.tip, "%.100s: %.2e", y->name, e);
                if (isfinite(y->bits)) lb_tip_add(q.tip, " at %.2f bits", y->bits);
        lb_plot_add_point(&o->plot, s, &q);
    }
    return lb_figure_end(o, 2);
}

/* ---- outliers ---- */

/* The largest channel in medians of the channels: what the rounding grid spans against what most of it is needed for. */
static double stands_out(const lb_rep_spread *s) { return s->p50 > 0 ? s->max / s->p50 : NAN; }

/* By block: the site of this kind (NULL: any) that stands out most. */
static void outlier_line(lb_plot *p, int series, const char *name, const lb_rep_run *x, const char *kind,
                         const char *site, bool after)
{
    for (int l = 0; l < MAX_LAYER; l++) {
        const lb_rep_site *worst = NULL;
        double v = NAN;
        for (size_t i = 0; i < x->n_site; i++) {
            const lb_rep_site *y = &x->sites[i];
            if (y->layer != l || strcmp(y->kind, kind) != 0 || (after && !y->has_after)) continue;
            if (site && strcmp(y->site, site) != 0) continue;
            double w = stands_out(after ? &y->after : &y->before);
            if (isfinite(w) && !(w <= v)) v = w, worst = y;
        }
        if (!worst) continue;
        const lb_rep_spread *s = after ? &worst->after : &worst->before;
        lb_plot_point q = {.x = l, .y = v, .lo = NAN, .hi = NAN};
        snprintf(q.tip, sizeof q.tip, "%.80s, block %d, %.20s: %.3g, %.3g times the median", name, l, worst->site,
                 s->max, v);
        lb_plot_add_point(p, series, &q);
    }
}

bool lb_report_moves_first(const lb_rep *r, int run)
{
    const lb_rep_run *x = &r->runs[run];
    for (int j = 0; j < run; j++)
        if (r->runs[j].n_site && strcmp(r->runs[j].base, x->base) == 0 &&
            strcmp(r->runs[j].transform, x->transform) == 0)
            return false;
    return x->n_site > 0;
}

static bool has_kind(const lb_rep *r, int run, const char *kind)
{
    const lb_rep_run *x = &r->runs[run];
    for (size_t i = 0; i < x->n_site; i++)
        if (strcmp(x->sites[i].kind, kind) == 0) return lb_report_moves_first(r, run);
    return false;
}

bool lb_report_outlier_plot(const lb_rep *r, const char *kind, lb_figure *o)
{
    int n = 0, of = 0, first = -1;
    char name[64], title[160], caption[400];
    for (int i = 0; i < r->n_run; i++)
        if (has_kind(r, i, kind) && of++ == 0) first = i;
    snprintf(name, sizeof name, "outliers-%s", kind);
    snprintf(title, sizeof title, "Outliers of %s", kind);
    snprintf(caption, sizeof caption,
             "Largest absolute value of each channel of the %s: how many times the median channel the largest one is, "
             "in each block%s. One run of each transform",
             kind, strcmp(kind, "keys") == 0 ? "" : " at the place where it is most");
    start(o, name, title, caption);
    axes(&o->plot, "block", "largest / median channel");
    o->plot.y.lo = 1; /* all channels alike */
    if (first >= 0 && !lb_report_several_models(r)) {
        int s = lb_plot_add_series(&o->plot, "unquantized", -1);
        if (s >= 0) o->plot.series[s].dashed = true;
        outlier_line(&o->plot, s, "unquantized", &r->runs[first], kind, NULL, false);
    }
    for (int i = 0; i < r->n_run && n < MAX_LINES; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!has_kind(r, i, kind)) continue;
        outlier_line(&o->plot, lb_plot_add_series(&o->plot, x->label, n++), x->label, x, kind, NULL, true);
    }
    say_shown(o, n, of);
    return lb_figure_end(o, 2);
}

/* A line of each site of this kind before, dashed and without a name, and after. Keys have one site: nothing that the
 * plot of all runs does not show. */
bool lb_report_outlier_detail_plot(const lb_rep *r, int run, const char *kind, lb_figure *o)
{
    const lb_rep_run *x = &r->runs[run];
    char name[64], title[160], caption[400];
    const char *site[MAX_LINES];
    int n = 0;
    snprintf(name, sizeof name, "outliers-%s-%.40s", kind, x->id);
    snprintf(title, sizeof title, "Outliers of %s: %.100s", kind, x->label);
    snprintf(caption, sizeof caption,
             "Largest absolute value of each channel of the %s, by the linear layers that these belong to: how many "
             "times the median channel the largest one is. Dashed: before, solid: after %.60s",
             kind, x->transform);
    start(o, name, title, caption);
    axes(&o->plot, "block", "largest / median channel");
    o->plot.y.lo = 1; /* all channels alike */
    for (size_t i = 0; *x->transform && i < x->n_site; i++) {
        bool seen = strcmp(x->sites[i].kind, kind) != 0;
        for (int j = 0; j < n; j++) seen = seen || strcmp(site[j], x->sites[i].site) == 0;
        if (!seen && n < MAX_LINES) site[n++] = x->sites[i].site;
    }
    for (int i = 0; i < n; i++) {
        int s = lb_plot_add_series(&o->plot, "", i);
        if (s >= 0) o->plot.series[s].dashed = true;
        outlier_line(&o->plot, s, "before", x, kind, site[i], false);
        outlier_line(&o->plot, lb_plot_add_series(&o->plot, site[i], i), "after", x, kind, site[i], true);
    }
    return lb_figure_end(o, 2);
}

/* ---- divergence ---- */

bool lb_report_kl_plot(const lb_rep *r, lb_figure *o)
{
    int n = 0, of = 0;
    for (int i = 0; i < r->n_run; i++) of += r->runs[i].n_kl > 0 && lb_report_shown_once(r, i);
    start(
        o, "kl", "Divergence from the unquantized model, by position",
        "Mean Kullback–Leibler divergence of the next token's distribution in nats, on texts of the unquantized model");
    axes(&o->plot, "position", "KL, nats");
    for (int i = 0; i < r->n_run && n < MAX_LINES; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!x->n_kl || !lb_report_shown_once(r, i)) continue;
        int s = lb_plot_add_series(&o->plot, x->label, n++);
        for (size_t j = 0; j < x->n_kl; j++) {
            if (!(x->kl[j].mean > 0)) continue; /* no place on a logarithmic scale */
            lb_plot_point q = {.x = (x->kl[j].begin + x->kl[j].end) / 2, .y = x->kl[j].mean, .lo = NAN, .hi = NAN};
            snprintf(q.tip, sizeof q.tip, "%.70s, positions %.0f to %.0f: %.2e nats", x->label, x->kl[j].begin,
                     x->kl[j].end, x->kl[j].mean);
                        if (isfinite(x->kl[j].p99))
                lb_tip_add(q.tip, ", 99th percentile %.2e", x->kl[j].p99);
            lb_plot_add_point(&o->plot, s, &q);
        }
    }
    say_shown(o, n, of);
    return lb_figure_end(o, 2);
}
