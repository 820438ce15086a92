/* study/report_inside.c – plots of what happens inside: error by layer, outliers before and after, divergence by
 * position. Their data are files that not every study has (study/report.h). */
#include "study/report_parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 7, MAX_LAYER = 1024 };

static void start(lb_report_plot *o, const char *name, const char *title, const char *caption)
{
    memset(o, 0, sizeof *o);
    lb_plot_init(&o->plot, LB_PLOT_XY);
    snprintf(o->plot.name, sizeof o->plot.name, "%.60s", name);
    snprintf(o->plot.title, sizeof o->plot.title, "%s", title);
    snprintf(o->caption, sizeof o->caption, "%s", caption);
    snprintf(o->plot.desc, sizeof o->plot.desc, "%s", caption);
}

static bool finish(lb_report_plot *o, size_t least)
{
    size_t n = 0;
    for (size_t i = 0; i < o->plot.n_series; i++) n += o->plot.series[i].n;
    if (n >= least) return true;
    lb_plot_free(&o->plot);
    return false;
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

static void say_shown(lb_report_plot *o, int n, int of)
{
    size_t at = strlen(o->caption);
    if (n < of) snprintf(o->caption + at, sizeof o->caption - at, ". The first %d of %d runs", n, of);
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

bool lb_report_layer_plot(const lb_rep *r, lb_report_plot *o)
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
    return finish(o, 2);
}

/* The kind of a linear layer: the last part of its name. */
static const char *kind_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

bool lb_report_layer_detail_plot(const lb_rep *r, int run, lb_report_plot *o)
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
        size_t end = strlen(q.tip);
        if (isfinite(y->bits)) snprintf(q.tip + end, sizeof q.tip - end, " at %.2f bits", y->bits);
        lb_plot_add_point(&o->plot, s, &q);
    }
    return finish(o, 2);
}

/* ---- outliers ---- */

typedef struct quantile { const char *what; double (*of)(const lb_rep_spread *); } quantile;
static double maximum(const lb_rep_spread *s) { return s->max; }
static double median(const lb_rep_spread *s) { return s->p50; }

/* By layer the largest channel and the median one over the sites of this kind; after: with the transform. */
static void outlier_line(lb_plot *p, const lb_rep_run *x, const char *kind, bool after, int ink)
{
    static const quantile lines[] = {{"largest", maximum}, {"median", median}};
    for (size_t k = 0; k < 2; k++) {
        char name[64];
        snprintf(name, sizeof name, "%s, %s", lines[k].what, after ? "after" : "before");
        int s = lb_plot_add_series(p, name, ink);
        if (s >= 0) p->series[s].dashed = k == 1;
        for (int l = 0; l < MAX_LAYER; l++) {
            double v = NAN;
            for (size_t i = 0; i < x->n_site; i++) {
                const lb_rep_site *y = &x->sites[i];
                if (y->layer != l || strcmp(y->kind, kind) != 0 || (after && !y->has_after)) continue;
                double w = lines[k].of(after ? &y->after : &y->before);
                if (isfinite(w) && (!isfinite(v) || w > v)) v = w;
            }
            if (!(v > 0)) continue;
            lb_plot_point q = {.x = l, .y = v, .lo = NAN, .hi = NAN};
            snprintf(q.tip, sizeof q.tip, "%s, block %d: %.3g", name, l, v);
            lb_plot_add_point(p, s, &q);
        }
        if (s >= 0 && p->series[s].n == 0) p->n_series--; /* nothing of this sort; its points were none */
    }
}

bool lb_report_outlier_plot(const lb_rep *r, int run, const char *kind, lb_report_plot *o)
{
    const lb_rep_run *x = &r->runs[run];
    char name[64], title[160], caption[400];
    snprintf(name, sizeof name, "outliers-%s-%.40s", kind, x->id);
    snprintf(title, sizeof title, "Outliers of %s: %.100s", kind, x->label);
    snprintf(caption, sizeof caption,
             "Largest absolute value of each channel of the %s: the largest channel and the median "
             "one in each block, before and after %.60s",
             kind, *x->transform ? x->transform : "the transform");
    start(o, name, title, caption);
    axes(&o->plot, "block", "largest absolute value");
    outlier_line(&o->plot, x, kind, false, 1);
    outlier_line(&o->plot, x, kind, true, 0);
    return finish(o, 2);
}

/* ---- divergence ---- */

bool lb_report_kl_plot(const lb_rep *r, lb_report_plot *o)
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
            size_t end = strlen(q.tip);
            if (isfinite(x->kl[j].p99))
                snprintf(q.tip + end, sizeof q.tip - end, ", 99th percentile %.2e", x->kl[j].p99);
            lb_plot_add_point(&o->plot, s, &q);
        }
    }
    say_shown(o, n, of);
    return finish(o, 2);
}
