/* study/report_train.c – how models were trained: the stages as a table, what their steps say as plots. Steps of all
 * stages lie one after another on one axis. */
#include "study/report_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 40, MAX_LINES = 10 };  /* points of a stage on a curve: more steps are put together */

/* ---- what the curves are ---- */

typedef struct line { lb_rep_what what; const char *name; } line;
typedef struct curve {
    const char *name, *title, *caption, *axis;
    lb_scale scale;
    double factor;                   /* 100 for per cent */
    bool only_writing;               /* stages in which the model writes the texts itself */
    bool not_grpo;
    line line[4];                    /* name NULL ends it */
} curve;

static const curve curves[] = {
    {"loss", "Loss",
     "What the steps minimise, and the divergences from the teacher, in nats per token; the loss where it is another number. "
     "Stages of GRPO, whose loss says little, are left out", "nats", LB_LOG, 1, false, true,
     {{LB_REP_KL, "KL"}, {LB_REP_KL_REVERSE, "reverse KL"}, {LB_REP_CE, "cross-entropy"}, {LB_REP_LOSS, "loss"}}},
    {"grad", "Norm of the gradient", "Before it is clipped", "norm", LB_LOG, 1, false, false, {{LB_REP_GRAD_NORM, ""}}},
    {"lr", "Learning rate", "Of the weights", "rate", LB_LINEAR, 1, false, false, {{LB_REP_LR, ""}}},
    {"reward", "Reward", "Share of the samples that the graders take, and of those that were cut off", "%", LB_LINEAR, 100, true, false,
     {{LB_REP_REWARD, "reward"}, {LB_REP_TRUNCATED, "truncated"}}},
    {"length", "Length of the samples", "Mean number of tokens behind the prompt", "tokens", LB_LINEAR, 1, true, false, {{LB_REP_LENGTH, ""}}},
    {"entropy", "Entropy", "Of the next token's distribution, mean over the texts trained on, in nats", "nats", LB_LINEAR, 1, false, false,
     {{LB_REP_ENTROPY, ""}}},
};
_Static_assert(sizeof curves / sizeof *curves == LB_REPORT_CURVES, "the curves that report_parts.h counts");

static bool is_kind(const lb_rep_stage *s, const char *kind)
{
    const char *dash = strchr(s->name, '-');
    return strcmp(dash ? dash + 1 : s->name, kind) == 0;
}

static bool has_part(const curve *c, const lb_rep_stage *s)
{
    return !(c->not_grpo && is_kind(s, "grpo")) && !(c->only_writing && !is_kind(s, "grpo") && !is_kind(s, "opd"));
}

/* Whether the loss is a number of its own: not the divergence, nor the cross-entropy, that it usually is. */
static bool is_own(const lb_rep_train *t, lb_rep_what what, const lb_rep_stage *s)
{
    static const lb_rep_what others[] = {LB_REP_KL, LB_REP_KL_REVERSE, LB_REP_CE};
    for (int k = 0; what == LB_REP_LOSS && k < 3; k++) {
        bool same = s->end > s->begin;
        for (size_t i = s->begin; i < s->end; i++) {
            const double *v = t->step[i].v;
            same = same && fabs(v[LB_REP_LOSS] - v[others[k]]) <= 1e-3 * fabs(v[LB_REP_LOSS]) + 1e-12;
        }
        if (same) return false;
    }
    return true;
}

/* ---- plots ---- */

/* One stage of one line; so many steps at a time are put together: their mean, and their range as a band. */
static void add_stage(lb_figure *f, int series, const lb_rep_train *t, const lb_rep_stage *s, const curve *c, lb_rep_what what,
                      const char *name)
{
    size_t each = (s->end - s->begin + MOST - 1) / MOST;
    if (series >= 0) f->plot.series[series].band = each > 1;
    for (size_t i = s->begin; i < s->end; i += each) {
        double sum = 0, lo = NAN, hi = NAN, n = 0, at = 0;
        for (size_t j = i; j < i + each && j < s->end; j++) {
            double v = c->factor * t->step[j].v[what];
            if (!isfinite(v) || (c->scale == LB_LOG && !(v > 0))) continue;
            sum += v, at += (double)j + 1, n++;
            lo = v < lo || isnan(lo) ? v : lo;
            hi = v > hi || isnan(hi) ? v : hi;
        }
        if (n == 0) continue;
        lb_plot_point q = {.x = at / n, .y = sum / n, .lo = each > 1 ? lo : NAN, .hi = each > 1 ? hi : NAN};
        snprintf(q.tip, sizeof q.tip, "%.60s%s%.20s, step %.0f: %.4g", name, *name ? ", " : "", s->name, q.x, q.y);
        if (n > 1) lb_tip_add(q.tip, " (%.3g to %.3g, %.0f steps)", lo, hi, n);
        lb_plot_add_point(&f->plot, series, &q);
    }
}

/* A line of its own for each stage, in one colour, so that nothing is drawn between stages that lie apart. */
static void add_line(lb_figure *f, const lb_rep_train *t, const curve *c, lb_rep_what what, const char *name, const char *tip, int ink)
{
    bool named = false;
    for (int k = 0; k < t->n_stage; k++) {
        const lb_rep_stage *s = &t->stage[k];
        bool any = false;
        for (size_t i = s->begin; i < s->end; i++) any = any || isfinite(t->step[i].v[what]);
        if (!any || !has_part(c, s) || !is_own(t, what, s)) continue;
        add_stage(f, lb_plot_add_series(&f->plot, named ? "" : name, ink), t, s, c, what, tip);
        named = true;
    }
}

/* Where the stages begin that the curve has, if there are several. */
static void mark_stages(lb_figure *f, const lb_rep_train *t, const curve *c)
{
    bool bands = false;
    for (int k = 0; k < t->n_stage; k++) {
        const lb_rep_stage *s = &t->stage[k];
        if (!has_part(c, s)) continue;
        bands = bands || s->end - s->begin > MOST;
        if (t->n_stage > 1) lb_plot_add_upright(&f->plot, (double)s->begin + (k ? 0.5 : 1), s->name);
    }
    if (bands) lb_figure_say(f, ". Bands: the range of the steps that a point stands for");
}

/* Rates of stages that lie far apart want a logarithm. */
static lb_scale scale_of(const curve *c, const lb_rep_train *t)
{
    double least = NAN, most = NAN;
    if (c->line[0].what != LB_REP_LR) return c->scale;
    for (int k = 0; k < t->n_stage; k++) {
        double peak = 0;
        for (size_t i = t->stage[k].begin; i < t->stage[k].end; i++) peak = fmax(peak, t->step[i].v[LB_REP_LR]);
        if (!(peak > 0)) continue;
        least = fmin(least, peak), most = fmax(most, peak);
    }
    return most > 20 * least ? LB_LOG : LB_LINEAR;
}

bool lb_report_train_plot(const lb_rep *r, int run, int which, lb_figure *f)
{
    const lb_rep_run *x = &r->runs[run];
    curve c = curves[which];
    char name[64], title[160];
    c.scale = scale_of(&c, x->train);
    snprintf(name, sizeof name, "train-%s-%.40s", c.name, x->id);
    snprintf(title, sizeof title, "%s: %.120s", c.title, x->label);
    lb_figure_start(f, LB_PLOT_XY, name, r->doc ? title : c.title, c.caption);
    lb_figure_axis(&f->plot.x, "step", LB_LINEAR);
    lb_figure_axis(&f->plot.y, c.axis, c.scale);
    for (int i = 0; i < 4 && c.line[i].name; i++) add_line(f, x->train, &c, c.line[i].what, c.line[i].name, c.line[i].name, i);
    mark_stages(f, x->train, &c);
    return lb_figure_end(f, 2);
}

/* ---- accuracy against steps ---- */

static void add_accuracy(lb_figure *f, int series, const lb_rep_point *p, double value, double se, bool bar, const char *label)
{
    char what[160];
    if (!isfinite(value) || !isfinite(p->steps)) return;
    snprintf(what, sizeof what, "%.60s%s%.40s, step %.0f", label, *label ? ", " : "", p->stage, p->step);
    lb_plot_point q = lb_figure_point(p->steps, 100 * value, 100 * LB_Z95 * se, what);
    if (!bar) q.lo = q.hi = NAN; /* so many would hide each other */
    lb_plot_add_point(&f->plot, series, &q);
}

static const char accuracy[] = "Share of the samples solved by the model as it was packed after so many steps; bars of the average "
                               "are 95 % intervals";

static void accuracy_axes(lb_figure *f)
{
    lb_figure_axis(&f->plot.x, "step", LB_LINEAR);
    lb_figure_axis(&f->plot.y, "accuracy, %", LB_LINEAR);
}

bool lb_report_train_curve_plot(const lb_rep *r, int run, lb_figure *f)
{
    const lb_rep_run *x = &r->runs[run];
    const lb_rep_train *t = x->train;
    char name[64], title[160];
    snprintf(name, sizeof name, "train-accuracy-%.40s", x->id);
    snprintf(title, sizeof title, "Accuracy: %.120s", x->label);
    lb_figure_start(f, LB_PLOT_XY, name, r->doc ? title : "Accuracy", accuracy);
    accuracy_axes(f);
    for (int k = -1; k < (t->n_task > 1 ? t->n_task : 0); k++) {
        const char *label = k < 0 ? "average" : t->task[k];
        int s = lb_plot_add_series(&f->plot, t->n_task > 1 ? label : "", k + 1);
        for (size_t i = 0; i < t->n_point; i++) {
            const lb_rep_point *p = &t->point[i];
            add_accuracy(f, s, p, k < 0 ? p->average : p->acc[k], k < 0 ? p->average_se : p->acc_se[k], k < 0, label);
        }
    }
    for (int k = 0; t->n_stage > 1 && k < t->n_stage; k++)
        lb_plot_add_upright(&f->plot, (double)t->stage[k].begin, t->stage[k].name);
    return lb_figure_end(f, 2);
}

bool lb_report_train_curves_plot(const lb_rep *r, lb_figure *f)
{
    int n = 0, of = 0;
    lb_figure_start(f, LB_PLOT_XY, "train-accuracy-all", "Accuracy, all runs", accuracy);
    accuracy_axes(f);
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        if (!lb_report_trained_first(r, i) || x->train->n_point == 0 || of++ >= MAX_LINES) continue;
        int s = lb_plot_add_series(&f->plot, x->label, n++);
        for (size_t j = 0; j < x->train->n_point; j++)
            add_accuracy(f, s, &x->train->point[j], x->train->point[j].average, x->train->point[j].average_se, true, x->label);
    }
    if (n < of) lb_figure_say(f, ". The first %d of %d runs", n, of);
    if (of > 1) return lb_figure_end(f, 2);
    lb_plot_free(&f->plot);
    return false;
}

/* ---- all runs ---- */

static const struct { curve c; const char *about; } shared[] = {
    {{"kl-all", "Divergence from the teacher, all runs", "", "KL, nats", LB_LOG, 1, false, true, {{LB_REP_KL, ""}}},
     "Forward Kullback–Leibler divergence on the texts trained on, in nats per token"},
    {{"ce-all", "Cross-entropy, all runs", "", "nats", LB_LOG, 1, false, true, {{LB_REP_CE, ""}}},
     "Of the traces trained on, in nats per token"},
    {{"reward-all", "Reward, all runs", "", "%", LB_LINEAR, 100, true, false, {{LB_REP_REWARD, ""}}},
     "Share of the samples that the graders take"},
};
_Static_assert(sizeof shared / sizeof *shared == LB_REPORT_SHARED_CURVES, "the curves that report_parts.h counts");

bool lb_report_trained_first(const lb_rep *r, int i)
{
    return r->runs[i].train && r->runs[i].train->n_step > 0 && lb_report_shown_once(r, i);
}

bool lb_report_train_all_plot(const lb_rep *r, int which, lb_figure *f)
{
    const curve *c = &shared[which].c;
    char name[64];
    int n = 0, of = 0;
    snprintf(name, sizeof name, "train-%s", c->name);
    lb_figure_start(f, LB_PLOT_XY, name, c->title, shared[which].about);
    lb_figure_axis(&f->plot.x, "step", LB_LINEAR);
    lb_figure_axis(&f->plot.y, c->axis, c->scale);
    for (int i = 0; i < r->n_run; i++) {
        const lb_rep_run *x = &r->runs[i];
        bool any = false;
        for (size_t j = 0; lb_report_trained_first(r, i) && j < x->train->n_step; j++)
            any = any || isfinite(x->train->step[j].v[c->line[0].what]);
        if (!any) continue;
        if (n < MAX_LINES) add_line(f, x->train, c, c->line[0].what, x->label, x->label, n++);
        of++;
    }
    for (size_t i = 0; i < f->plot.n_series; i++) f->plot.series[i].band = false; /* so many would hide each other */
    for (size_t i = 0; i < f->plot.n_series; i++)
        for (size_t j = 0; j < f->plot.series[i].n; j++) f->plot.series[i].p[j].lo = f->plot.series[i].p[j].hi = NAN;
    if (n < of) lb_figure_say(f, ". The first %d of %d runs", n, of);
    if (of > 1) return lb_figure_end(f, 2);
    lb_plot_free(&f->plot);
    return false;
}

/* ---- the table ---- */

static void say_parts(unsigned train, lb_scales scales, lb_buf *b)
{
    static const struct { unsigned bit; const char *name;
    } part[] = {{LB_TRAIN_LINEARS, "linears"}, {LB_TRAIN_BIASES, "biases"}, {LB_TRAIN_NORMS, "norms"}, {LB_TRAIN_ROUTERS, "routers"},
                {LB_TRAIN_EMBED, "embed"},     {LB_TRAIN_HEAD, "head"},     {LB_TRAIN_TRANSFORMS, "transforms"}};
    static const char *const how[] = {"ranges of the weights", "learned clips", "the start’s scales", "learned scales"};
    const char *sep = "";
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        if (train & part[i].bit) lb_buf_fmt(b, "%s%s", sep, part[i].name), sep = ", ";
    bool learns = scales == LB_SCALES_CLIP || scales == LB_SCALES_LEARNED;
    lb_buf_fmt(b, "%s%s%s", sep, how[scales], learns && !(train & LB_TRAIN_SCALES) ? ", fixed" : "");
}

static void say_objective(const lb_train_stage *s, lb_buf *b)
{
    static const char *const divergence[] = {"KL(teacher‖student)", "KL(student‖teacher)", "Jensen–Shannon", "CAKLD"};
    bool distils = s->kind == LB_STAGE_KD || s->kind == LB_STAGE_OPD, writes = s->kind == LB_STAGE_GRPO || s->kind == LB_STAGE_OPD;
    if (s->kind == LB_STAGE_SFT) lb_buf_str(b, "cross-entropy");
    if (distils) lb_buf_str(b, divergence[s->divergence]);
    if (distils && s->temperature != 1) lb_buf_fmt(b, ", temperature %g", s->temperature);
    if (distils && s->ce > 0) lb_buf_fmt(b, " + %g × cross-entropy", s->ce);
    if (s->kind == LB_STAGE_GRPO) lb_buf_fmt(b, "reward, clip %g/%g", s->clip_low, s->clip_high);
    if (s->kind == LB_STAGE_GRPO && s->kl > 0) lb_buf_fmt(b, ", KL %g", s->kl);
    if (writes) lb_buf_fmt(b, "; %d × %d samples of ≤ %d tokens", s->n_prompt, s->group, s->max_new);
    else lb_buf_fmt(b, "; %d tokens a step", s->tokens);
}

/* Mean over the first or the last tenth of a stage's steps. */
static double tenth(const lb_rep_train *t, const lb_rep_stage *s, lb_rep_what what, bool last)
{
    size_t n = s->end - s->begin, some = n >= 10 ? n / 10 : n > 0;
    double sum = 0, count = 0;
    for (size_t i = 0; i < some; i++) {
        double v = t->step[last ? s->end - 1 - i : s->begin + i].v[what];
        if (isfinite(v)) sum += v, count++;
    }
    return count > 0 ? sum / count : NAN;
}

static void result_cells(const lb_rep_train *t, const lb_rep_stage *s, lb_buf *b)
{
    bool rewards = isfinite(tenth(t, s, LB_REP_REWARD, true)) && is_kind(s, "grpo"), kl = isfinite(tenth(t, s, LB_REP_KL, true));
    lb_rep_what what = rewards ? LB_REP_REWARD : kl ? LB_REP_KL : LB_REP_LOSS;
    for (int last = 0; last < 2; last++) lb_cell(b, "", rewards ? "%.1f %%" : "%.4f", (rewards ? 100 : 1) * tenth(t, s, what, last));
    lb_html_element(b, "td", "class=\"l\"", rewards ? "reward" : kl ? "KL" : "loss");
}

static void stage_row(const lb_rep *r, const lb_rep_run *x, const lb_rep_stage *s, lb_buf *b)
{
    const lb_train_stage *set = s->set;
    lb_buf text = {0};
    char scheme[LB_SCHEME_TEXT] = "", number[32];
    double tokens = 0;
    for (size_t i = s->begin; i < s->end; i++) tokens += fmax(0, x->train->step[i].v[LB_REP_TOKENS]); /* NaN is 0 */
    if (set) lb_scheme_text(&set->scheme, scheme);
    lb_buf_str(b, "<tr>");
    if (r->doc) lb_html_element(b, "th", "scope=\"row\"", x->label);
    lb_html_element(b, r->doc ? "td" : "th", r->doc ? "class=\"l\"" : "scope=\"row\"", s->name);
    lb_html_element(b, "td", "class=\"l\"", scheme);
    if (set && s->end - s->begin < (size_t)set->steps) lb_buf_fmt(b, "<td>%zu of %d</td>", s->end - s->begin, set->steps);
    else lb_buf_fmt(b, "<td>%zu</td>", s->end - s->begin);
    lb_tick_text(tokens, 1, LB_UNIT_NONE, number);
    lb_html_element(b, "td", "", number);
    lb_tick_text(set ? set->lr : tenth(x->train, s, LB_REP_LR, false), 0, LB_UNIT_NONE, number);
    lb_html_element(b, "td", "", number);
    result_cells(x->train, s, b);
    if (set) say_objective(set, &text);
    lb_html_element(b, "td", "class=\"l\"", lb_buf_cstr(&text));
    lb_buf_reset(&text);
    if (set) say_parts(set->train, set->scales, &text);
    lb_html_element(b, "td", "class=\"l\"", lb_buf_cstr(&text));
    lb_buf_str(b, "</tr>\n");
    b->oom = b->oom || text.oom;
    lb_buf_free(&text);
}

void lb_report_train_table(const lb_rep *r, lb_buf *b)
{
    lb_table_start(b, "Stages of training");
    if (r->doc) lb_table_head(b, "Run", "");
    lb_buf_str(b, "<th scope=\"col\" class=\"l\">Stage</th><th scope=\"col\" class=\"l\">Scheme</th>");
    lb_table_head(b, "Steps", "");
    lb_table_head(b, "Tokens", "trained on");
    lb_table_head(b, "Rate", "at its peak");
    lb_table_head(b, "At first", "first tenth");
    lb_table_head(b, "At last", "last tenth");
    lb_buf_str(b, "<th scope=\"col\" class=\"l\">Of</th><th scope=\"col\" class=\"l\">Objective</th>"
                  "<th scope=\"col\" class=\"l\">Trained</th>");
    lb_table_body(b);
    for (int i = 0; i < r->n_run; i++)
        for (int k = 0; lb_report_trained_first(r, i) && k < r->runs[i].train->n_stage; k++)
            stage_row(r, &r->runs[i], &r->runs[i].train->stage[k], b);
    lb_table_end(b);
}
