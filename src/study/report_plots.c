/* study/report_plots.c – the plots of accuracy, size and length: which runs, which numbers, what they are called. */
#include "study/report_parts.h"
#include "base/median.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 6, MAX_FAMILY = 64 };

/* For a plot of a group: "main" is not said, others are. */
static void name_for(char out[64], const char *what, const char *group)
{
    if (strcmp(group, "main") == 0) snprintf(out, 64, "%s", what);
    else snprintf(out, 64, "%s-%.40s", what, group);
}

/* ---- families: a method has the same colour and mark everywhere ---- */

static int ink_of_family(const lb_rep *r, const char *family)
{
    char seen[MAX_FAMILY][64];
    int n = 0;
    for (int i = 0; i < r->n_run; i++) {
        char f[64];
        lb_rep_family(&r->runs[i], f);
        if (!*f) continue;
        int k = 0;
        while (k < n && strcmp(seen[k], f) != 0) k++;
        if (k == n && n < MAX_FAMILY) snprintf(seen[n++], 64, "%s", f);
        if (strcmp(f, family) == 0) return k;
    }
    return -1;
}

/* The ink of a family, or the next one whose colour the plot has not used, as long as there is one. */
static int free_ink(const lb_plot *p, int ink)
{
    if (ink < 0) return ink;
    for (int k = 0; k < LB_PLOT_INKS; k++) {
        bool used = false;
        for (size_t i = 0; i < p->n_series; i++)
            used = used || p->series[i].ink % LB_PLOT_INKS == (ink + k) % LB_PLOT_INKS;
        if (!used) return k ? (ink + k) % LB_PLOT_INKS : ink;
    }
    return ink;
}

/* The series of the family in this plot (of this model, if there are several), made where it is missing. */
static int series_of(const lb_rep *r, lb_figure *f, const lb_rep_run *x)
{
    char family[64], name[96];
    const char *slash = strrchr(x->base, '/');
    lb_rep_family(x, family);
    const char *shown = *family ? family : "as it is";
    if (lb_report_several_models(r)) snprintf(name, sizeof name, "%.60s %.30s", slash ? slash + 1 : x->base, shown);
    else snprintf(name, sizeof name, "%s", shown);
    return lb_figure_series(f, name, free_ink(&f->plot, ink_of_family(r, family)));
}

static lb_plot_point accuracy_point(const lb_rep_run *x, double at)
{
    return lb_figure_point(at, 100 * x->average, LB_Z95 * 100 * x->average_se, x->label);
}

static int by_x(const void *a, const void *b)
{
    double d = ((const lb_plot_point *)a)->x - ((const lb_plot_point *)b)->x;
    return (d > 0) - (d < 0);
}

static void sort_points(lb_plot *p)
{
    for (size_t i = 0; i < p->n_series; i++) qsort(p->series[i].p, p->series[i].n, sizeof *p->series[i].p, by_x);
}

/* A dashed line at each baseline of the group's runs. */
static void baseline_guides(const lb_rep *r, const char *group, lb_plot *p)
{
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!lb_rep_in(x, group) || !x->compared || x->baseline < 0) continue;
        const lb_rep_run *base = &r->runs[x->baseline];
        bool there = false;
        for (int g = 0; g < p->n_guide; g++) there = there || p->guide[g].at == 100 * base->average;
        if (!there && base->done) lb_plot_add_guide(p, 100 * base->average, base->label);
    }
}

/* A curve wants two places on its x axis at least. */
static bool finish_curve(const lb_rep *r, const char *group, lb_figure *o)
{
    const lb_plot *p = &o->plot;
    bool differ = false;
    for (size_t i = 0; i < p->n_series; i++)
        for (size_t j = 0; j < p->series[i].n; j++) differ = differ || p->series[i].p[j].x != p->series[0].p[0].x;
    sort_points(&o->plot);
    baseline_guides(r, group, &o->plot);
    if (differ) return lb_figure_end(o, 2);
    lb_plot_free(&o->plot);
    return false;
}

/* ---- one group ---- */

bool lb_report_drop_plot(const lb_rep *r, const char *group, lb_figure *o)
{
    char name[64];
    name_for(name, "lost", group);
    lb_figure_start(o, LB_PLOT_ROWS, name, "Points lost against the baseline",
                    "Mean over the benchmarks, paired by problem, with 95 % intervals. The scale is linear near zero "
                    "and logarithmic beyond, so that the limits of lossless and fair stay apart");
    lb_figure_axis(&o->plot.x, "points lost (less is better)", LB_SYMLOG);
    lb_plot_add_guide(&o->plot, 0, "");
    lb_plot_add_guide(&o->plot, 1, "fair");
    lb_plot_add_guide(&o->plot, 3, "risky");
    const char *last = NULL;
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        char family[64];
        if (!lb_rep_in(x, group) || !x->compared) continue;
        if (lb_report_several_models(r) && (!last || strcmp(last, x->base) != 0)) {
            lb_plot_row *h = lb_plot_add_row(&o->plot, x->base);
            if (h) h->heading = true;
        }
        last = x->base;
        lb_plot_row *w = lb_plot_add_row(&o->plot, x->label);
        if (!w) break;
        lb_rep_family(x, family);
        double half = isfinite(x->drop_se) ? LB_Z95 * 100 * x->drop_se : NAN;
        w->mid = 100 * x->drop, w->lo = w->mid - half, w->hi = w->mid + half;
        w->ink = ink_of_family(r, family);
        snprintf(w->tip, sizeof w->tip, "%.90s: %.1f points lost", x->label, w->mid);
        if (isfinite(half))
            snprintf(w->tip, sizeof w->tip, "%.90s: %.1f ± %.1f points lost", x->label, w->mid, half / LB_Z95);
        double shown = fabs(w->mid) < 0.05 ? 0 : w->mid;
        snprintf(w->value, sizeof w->value, "%s%.1f", shown < 0 ? "−" : "", fabs(shown));
    }
    return lb_figure_end(o, 2);
}

/* Accuracy against bits, of the runs that `bits_of` has a number for (0: not in this plot). */
static bool bits_curve(const lb_rep *r, const char *group, double (*bits_of)(const lb_rep_run *), const char *label,
                       lb_figure *o)
{
    static const double ticks[] = {2, 3, 4, 5, 6, 8, 16};
    lb_figure_axis(&o->plot.x, label, LB_LOG);
    lb_figure_axis(&o->plot.y, "accuracy, %", LB_LINEAR);
    lb_figure_ticks(&o->plot.x, ticks, (int)(sizeof ticks / sizeof *ticks));
    o->plot.x.reverse = true;
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        double bits = bits_of(x);
        if (!lb_rep_in(x, group) || !x->done || !(bits > 0)) continue;
        lb_plot_point q = accuracy_point(x, bits);
        lb_plot_add_point(&o->plot, series_of(r, o, x), &q);
    }
    return finish_curve(r, group, o);
}

static double bits_of_weights(const lb_rep_run *x)
{
    bool alone = x->a_bits >= 16 && x->kv_bits >= 16 && !x->think_budget && !x->think_extend;
    return *x->method && x->w_bits < 16 && alone ? x->bits : 0;
}

static double bits_of_kv(const lb_rep_run *x)
{
    return x->w_bits >= 16 && x->a_bits >= 16 && x->kv_bits < 16 ? x->kv_bits : 0;
}

bool lb_report_bits_plot(const lb_rep *r, const char *group, lb_figure *o)
{
    char name[64];
    name_for(name, "bits", group);
    lb_figure_start(o, LB_PLOT_XY, name, "Accuracy against bits per weight",
                    "Mean over the benchmarks with 95 % intervals; weights alone are quantized. Scales and zero "
                    "points count as bits; fewer bits are to the right");
    return bits_curve(r, group, bits_of_weights, "bits per weight (fewer →)", o);
}

bool lb_report_kv_plot(const lb_rep *r, const char *group, lb_figure *o)
{
    char name[64];
    name_for(name, "kv-bits", group);
    lb_figure_start(o, LB_PLOT_XY, name, "Accuracy against bits of the KV cache",
                    "Mean over the benchmarks with 95 % intervals; only the KV cache is quantized. Fewer bits are to "
                    "the right");
    return bits_curve(r, group, bits_of_kv, "bits of keys and values (fewer →)", o);
}

bool lb_report_size_plot(const lb_rep *r, lb_figure *o)
{
    char size[32];
    lb_figure_start(o, LB_PLOT_XY, "size", "Size against accuracy",
                    "All tensors of the model's files, embeddings and scales included; 95 % intervals. Labels are "
                    "left out where there is no room; the table has them all");
    lb_figure_axis(&o->plot.x, "size of the weights", LB_LOG);
    lb_figure_axis(&o->plot.y, "accuracy, %", LB_LINEAR);
    o->plot.x.unit = LB_UNIT_BYTES;
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!x->done || !(x->size_bytes > 0) || x->think_budget || x->think_extend || (!*x->method && *x->kv) ||
            !(lb_rep_in(x, "main") || lb_rep_in(x, "mixed")) || !lb_report_shown_once(r, i))
            continue;
        lb_plot_point q = accuracy_point(x, x->size_bytes);
        lb_tick_text(x->size_bytes, 0, LB_UNIT_BYTES, size);
        snprintf(q.label, sizeof q.label, "%.40s", x->label);
        lb_tip_add(q.tip, " at %s", size);
        int s = series_of(r, o, x);
        if (s >= 0) o->plot.series[s].line = false;
        lb_plot_add_point(&o->plot, s, &q);
    }
    return lb_figure_end(o, 2);
}

bool lb_report_calib_length_plot(const lb_rep *r, const char *group, lb_figure *o)
{
    char name[64];
    name_for(name, "calib-length", group);
    lb_figure_start(o, LB_PLOT_XY, name, "Accuracy against the length of calibration text",
                    "Mean over the benchmarks with 95 % intervals; tokens in each calibration sequence");
    lb_figure_axis(&o->plot.x, "tokens per sequence", LB_LOG);
    lb_figure_axis(&o->plot.y, "accuracy, %", LB_LINEAR);
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!lb_rep_in(x, group) || !x->done || !x->seq_len) continue;
        char label[96];
        snprintf(label, sizeof label, "%.40s %.40s", x->scheme, x->method);
        char family[64];
        lb_rep_family(x, family);
        int s = lb_figure_series(o, label, free_ink(&o->plot, ink_of_family(r, family)));
        lb_plot_point q = accuracy_point(x, x->seq_len);
        lb_plot_add_point(&o->plot, s, &q);
    }
    for (int i = 0; i < r->n_run; i++) { /* ticks at the lengths that there are */
        lb_plot_axis *a = &o->plot.x;
        bool known = false;
        for (int k = 0; k < a->n_tick; k++) known = known || a->tick[k] == r->runs[i].seq_len;
        if (lb_rep_in(&r->runs[i], group) && r->runs[i].seq_len && !known && a->n_tick < LB_PLOT_MAX_TICK)
            a->tick[a->n_tick++] = r->runs[i].seq_len;
    }
    return finish_curve(r, group, o);
}

/* Test-time scaling: how long the model thinks against what comes of it, a line for each way it was made small. */
bool lb_report_think_plot(const lb_rep *r, const char *group, lb_figure *o)
{
    char name[64];
    bool forced = false;
    name_for(name, "thinking", group);
    lb_figure_start(o, LB_PLOT_XY, name, "Accuracy against the length of thinking",
                    "Thinking is stopped at a budget, or goes on with “Wait”; mean output length against mean "
                    "accuracy, 95 % intervals");
    lb_figure_axis(&o->plot.x, "tokens per output, mean", LB_LOG);
    lb_figure_axis(&o->plot.y, "accuracy, %", LB_LINEAR);
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!lb_rep_in(x, group) || !x->done) continue;
        forced = forced || x->think_budget || x->think_extend;
        char label[96], budget[48] = "free";
        snprintf(label, sizeof label, "%.30s %.30s %.30s", x->scheme, x->method, x->kv);
        for (size_t n = strlen(label); n > 0 && label[n - 1] == ' '; n--) label[n - 1] = 0;
        int s = lb_figure_series(o, label, (int)o->plot.n_series);
        if (x->think_budget) snprintf(budget, sizeof budget, "at most %d", x->think_budget);
        if (x->think_extend) snprintf(budget, sizeof budget, "%d × Wait", x->think_extend);
        lb_plot_point q = accuracy_point(x, x->tokens_mean);
        lb_tip_add(q.tip, ", %s, at %.0f tokens", budget, x->tokens_mean);
        lb_plot_add_point(&o->plot, s, &q);
    }
    sort_points(&o->plot);
    if (forced) return lb_figure_end(o, 3);
    lb_plot_free(&o->plot);
    return false;
}

/* ---- all groups ---- */

typedef struct pick { int run; double drop; } pick;

static int by_drop(const void *a, const void *b)
{
    const pick *x = a, *y = b;
    return x->drop != y->drop ? (x->drop < y->drop) - (x->drop > y->drop) : x->run - y->run;
}

/* The runs that lose most, at most MAX_LINES of them; how many there were is *of. */
static int worst_runs(const lb_rep *r, int out[MAX_LINES], int *of)
{
    pick *p = malloc(((size_t)r->n_run + 1) * sizeof *p);
    int n = 0;
    if (!p) return 0;
    for (int i = 0; i < r->n_run; i++)
        if (r->runs[i].compared && lb_report_shown_once(r, i)) p[n++] = (pick){i, r->runs[i].drop};
    qsort(p, (size_t)n, sizeof *p, by_drop);
    *of = n;
    for (int i = 0; i < n && i < MAX_LINES; i++) out[i] = p[i].run;
    free(p);
    return n < MAX_LINES ? n : MAX_LINES;
}

static void level_axis(lb_plot *p)
{
    lb_figure_axis(&p->x, "level (5 is hardest)", LB_LINEAR);
    for (int l = 0; l < LB_REP_LEVELS; l++) p->x.tick[p->x.n_tick++] = l + 1;
}

/* Lines are moved a little sideways so that error bars do not hide each other. */
static double aside(int i, int n) { return 0.05 * (i - (n - 1) / 2.0); }

static void level_line(lb_plot *p, const lb_rep_run *x, int ink, bool lost, double aside)
{
    int s = lb_plot_add_series(p, x->label, ink);
    const double *v = lost ? x->level_drop : x->level, *se = lost ? x->level_drop_se : x->level_se;
    for (int l = 0; l < LB_REP_LEVELS; l++) {
        lb_plot_point q = lb_figure_point(l + 1 + aside, 100 * v[l], LB_Z95 * 100 * se[l], x->label);
        lb_tip_add(q.tip, lost ? " points lost at level %d" : " %% at level %d", l + 1);
        lb_plot_add_point(p, s, &q);
    }
}

static void say_how_many(lb_figure *o, int n, int of)
{
    if (n < of) lb_figure_say(o, ". The %d of %d runs that lose most; the table has all", n, of);
}

bool lb_report_level_plot(const lb_rep *r, lb_figure *o)
{
    int run[MAX_LINES], of = 0, n = worst_runs(r, run, &of);
    lb_figure_start(o, LB_PLOT_XY, "levels", "Accuracy by level",
                    "Mean over the benchmarks that have the level, with 95 % intervals");
    lb_figure_axis(&o->plot.y, "accuracy, %", LB_LINEAR);
    level_axis(&o->plot);
    const lb_rep_run *base = NULL;
    for (int i = 0; i < n; i++) {
        const lb_rep_run *b = r->runs[run[i]].baseline >= 0 ? &r->runs[r->runs[run[i]].baseline] : NULL;
        if (b && b->done && b != base) level_line(&o->plot, b, -1, false, aside(-1, n));
        base = b;
    }
    for (int i = 0; i < n; i++) level_line(&o->plot, &r->runs[run[i]], i, false, aside(i, n));
    say_how_many(o, n, of);
    return lb_figure_end(o, LB_REP_LEVELS + 1);
}

bool lb_report_level_drop_plot(const lb_rep *r, lb_figure *o)
{
    int run[MAX_LINES], of = 0, n = worst_runs(r, run, &of);
    lb_figure_start(o, LB_PLOT_XY, "levels-lost", "Points lost by level",
                    "Against the baseline, paired by problem, with 95 % intervals");
    lb_figure_axis(&o->plot.y, "points lost", LB_LINEAR);
    level_axis(&o->plot);
    for (int i = 0; i < n; i++)
        level_line(&o->plot, &r->runs[run[i]], i, true, aside(i, n));
    lb_plot_add_guide(&o->plot, 0, "");
    say_how_many(o, n, of);
    return lb_figure_end(o, 3);
}

bool lb_report_length_plot(const lb_rep *r, lb_figure *o)
{
    enum { MOST = 60 };
    int n = 0, of = 0;
    lb_figure_start(o, LB_PLOT_ROWS, "lengths", "Length of outputs",
                    "Box: middle half of the samples with the median; whiskers: 5 % to 95 %; mark: mean; at the "
                    "right the mean and the share that was truncated");
    lb_figure_axis(&o->plot.x, "tokens", LB_LOG);
    for (int i = 0; i < r->n_run; i++) of += r->runs[i].n_sample > 0 && lb_report_shown_once(r, i);
    for (int i = 0; i < r->n_run && n < MOST; i++) {
        const lb_rep_run *x = &r->runs[i];
        char family[64];
        if (!x->n_sample || !lb_report_shown_once(r, i)) continue;
        lb_plot_row *w = lb_plot_add_row(&o->plot, x->label);
        if (!w) break;
        n++;
        lb_rep_family(x, family);
        w->lo = lb_quantile(x->tokens, x->n_sample, 0.05), w->hi = lb_quantile(x->tokens, x->n_sample, 0.95);
        w->box_lo = lb_quantile(x->tokens, x->n_sample, 0.25),
        w->box_hi = lb_quantile(x->tokens, x->n_sample, 0.75);
        w->mid = lb_quantile(x->tokens, x->n_sample, 0.5), w->mean = x->tokens_mean;
        if (!(w->lo > 0)) w->lo = 1; /* an empty output has no place on the scale */
        w->ink = ink_of_family(r, family);
        snprintf(w->value, sizeof w->value, "%.0f · %.1f %%", x->tokens_mean, 100 * x->truncated);
        snprintf(w->tip, sizeof w->tip, "%.80s: median %.0f, half of them %.0f to %.0f tokens", x->label, w->mid,
                 w->box_lo, w->box_hi);
    }
    if (n < of) say_how_many(o, n, of);
    return lb_figure_end(o, 1);
}
