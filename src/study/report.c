/* study/report.c – the page: what comes where, and what is left out because there is nothing to show. */
#include "study/report.h"
#include "base/file.h"
#include "study/report_parts.h"
#include <stdlib.h>
#include <string.h>

typedef struct page {
    const lb_rep *r;
    const char *answers;             /* the first of the evaluation pages, as seen from here; NULL: there are none */
    lb_page p;
} page;

/* ---- sections ---- */

typedef struct section { const char *group, *title, *about; } section;

/* Groups that the studies' tables have; others are sections under their own name. */
static const section sections[] = {
    {"main", "Main table", "Each way to make the model smaller, on every benchmark."},
    {"mixed", "Mixed precision", "More bits where they matter, at the same average."},
    {"calib-domain", "Calibration domain", "The same method calibrated on different texts."},
    {"calib-length", "Calibration length", "The same method calibrated on longer texts."},
    {"pre-bias", "Keys before their bias",
     "Quantizing keys before the bias of their projection is added, where the model has one."},
    {"test-time", "Test-time scaling", "Thinking that is stopped at a budget, or goes on with “Wait”."},
    {NULL, NULL, NULL},
};

static const section *section_of(const char *group)
{
    const section *s = sections;
    while (s->group && strcmp(s->group, group) != 0) s++;
    return s->group ? s : NULL;
}

static void group_section(page *p, const char *group)
{
    const section *s = section_of(group);
    char id[64];
    lb_figure f;
    snprintf(id, sizeof id, "group-%.50s", group);
    lb_page_heading(&p->p, id, s ? s->title : group, s ? s->about : "");
    lb_report_main_table(p->r, group, p->p.b);
    lb_page_plot(&p->p, lb_report_drop_plot(p->r, group, &f), &f);
    if (strncmp(group, "calib-", 6) != 0) lb_page_plot(&p->p, lb_report_bits_plot(p->r, group, &f), &f);
    lb_page_plot(&p->p, lb_report_kv_plot(p->r, group, &f), &f);
    lb_page_plot(&p->p, lb_report_calib_length_plot(p->r, group, &f), &f);
    lb_page_plot(&p->p, lb_report_think_plot(p->r, group, &f), &f);
    if (strcmp(group, "main") == 0) lb_page_plot(&p->p, lb_report_size_plot(p->r, &f), &f);
    lb_page_plots_end(&p->p);
}

static bool any_run(const page *p, bool (*has)(const lb_rep_run *))
{
    for (int i = 0; i < p->r->n_run; i++)
        if (has(&p->r->runs[i])) return true;
    return false;
}
static bool is_done(const lb_rep_run *x) { return x->done; }
static bool is_failed(const lb_rep_run *x) { return x->failed; }
static bool has_layers(const lb_rep_run *x) { return x->n_layer > 0; }
static bool has_sites(const lb_rep_run *x) { return x->n_site > 0; }
static bool has_kl(const lb_rep_run *x) { return x->n_kl > 0; }
static bool has_verdict(const lb_rep_run *x) { return *x->verdict != 0; }
static bool has_inside(const lb_rep_run *x) { return has_layers(x) || has_sites(x) || has_kl(x) || has_verdict(x); }

/* A table of all runs: folded up where it is long, since plots before it say the most of it. */
static void folding(page *p, void (*table)(const lb_rep *, lb_buf *))
{
    enum { SHORT = 16 };
    int n = 0;
    for (int i = 0; i < p->r->n_run; i++) n += lb_report_shown_once(p->r, i);
    if (n > SHORT) lb_buf_fmt(p->p.b, "<details><summary>Table of all %d runs</summary>\n", n);
    table(p->r, p->p.b);
    if (n > SHORT) lb_buf_str(p->p.b, "</details>\n");
}

static void levels_section(page *p)
{
    lb_figure f;
    lb_page_heading(&p->p, "levels", "Difficulty",
            "Do harder problems lose more? Mean over the benchmarks; cells are tinted by the points lost.");
    lb_page_plot(&p->p, lb_report_level_plot(p->r, &f), &f);
    lb_page_plot(&p->p, lb_report_level_drop_plot(p->r, &f), &f);
    lb_page_plots_end(&p->p);
    folding(p, lb_report_level_table);
}

static void outputs_section(page *p)
{
    lb_figure f;
    lb_page_heading(&p->p, "outputs", "Outputs",
            "How long the answers are, how many are cut off, whether thinking ends, and each seed by itself.");
    lb_page_plot(&p->p, lb_report_length_plot(p->r, &f), &f);
    lb_page_plots_end(&p->p);
    folding(p, lb_report_output_table);
}

static void inside_section(page *p)
{
    enum { DETAILS = 4 };
    static const char *const kinds[] = {"activations", "weights", "keys"};
    lb_figure f;
    int n = 0;
    lb_page_heading(&p->p, "inside", "Inside the models", "");
    if (any_run(p, has_verdict)) {
        lb_html_element(p->p.b, "h3", "", "Reasoning health");
        lb_html_element(
            p->p.b, "p", "class=\"note\"",
            "Quantized and unquantized model read the same traces, and answer the same prompts with the same seeds. "
            "The verdict is the worst symptom.");
        lb_report_health_table(p->r, p->p.b);
    }
    lb_page_plot(&p->p, lb_report_layer_plot(p->r, &f), &f);
    lb_page_plot(&p->p, lb_report_kl_plot(p->r, &f), &f);
    for (int i = 0; i < p->r->n_run; i++)
        if (has_layers(&p->r->runs[i]) && lb_report_shown_once(p->r, i) && n++ < DETAILS)
            lb_page_plot(&p->p, lb_report_layer_detail_plot(p->r, i, &f), &f);
    n = 0;
    for (int k = 0; k < 3; k++) lb_page_plot(&p->p, lb_report_outlier_plot(p->r, kinds[k], &f), &f);
    for (int i = 0; i < p->r->n_run; i++)
        if (*p->r->runs[i].transform && lb_report_moves_first(p->r, i) && n++ < DETAILS)
            for (int k = 0; k < 2; k++) lb_page_plot(&p->p, lb_report_outlier_detail_plot(p->r, i, kinds[k], &f), &f);
    lb_page_plots_end(&p->p);
    if (any_run(p, has_layers)) {
        lb_html_element(p->p.b, "h3", "", "Layers with the largest error");
        lb_report_layer_table(p->r, p->p.b);
    }
}

static bool was_trained(const lb_rep_run *x) { return x->train && x->train->n_step > 0; }

/* Curves of several runs are folded up, each run by itself. */
static void training_plots(page *p, int i, bool fold)
{
    lb_figure f;
    if (fold) {
        lb_buf_str(p->p.b, "<details><summary>Curves of ");
        lb_html_text(p->p.b, p->r->runs[i].label);
        lb_buf_str(p->p.b, "</summary>\n");
    }
    lb_page_plot(&p->p, lb_report_train_curve_plot(p->r, i, &f), &f);
    for (int k = 0; k < LB_REPORT_CURVES; k++) lb_page_plot(&p->p, lb_report_train_plot(p->r, i, k, &f), &f);
    lb_page_plots_end(&p->p);
    if (fold) lb_buf_str(p->p.b, "</details>\n");
}

static void training_section(page *p)
{
    lb_figure f;
    int n = 0;
    lb_page_heading(&p->p, "training", "Training", "What brought back what the bits cost: stages one after another, and what their steps say.");
    lb_report_train_table(p->r, p->p.b);
    lb_page_plot(&p->p, lb_report_train_curves_plot(p->r, &f), &f);
    for (int k = 0; k < LB_REPORT_SHARED_CURVES; k++) lb_page_plot(&p->p, lb_report_train_all_plot(p->r, k, &f), &f);
    lb_page_plots_end(&p->p);
    for (int i = 0; i < p->r->n_run; i++) n += lb_report_trained_first(p->r, i);
    for (int i = 0; i < p->r->n_run; i++)
        if (lb_report_trained_first(p->r, i)) training_plots(p, i, n > 1);
}

/* ---- head and foot ---- */

/* Name of the model folder, or how many there are. */
static void models_text(const lb_rep *r, char out[200])
{
    int n = 0;
    for (int i = 0; i < r->n_run; i++) {
        bool first = true;
        for (int j = 0; j < i; j++) first = first && strcmp(r->runs[j].base, r->runs[i].base) != 0;
        n += first;
    }
    if (n == 1) snprintf(out, 200, "%.190s", r->runs[0].base);
    else snprintf(out, 200, "%d", n);
}

static void facts(page *p)
{
    const lb_rep *r = p->r;
    char text[300];
    size_t at = 0;
    const lb_rep_run *done = NULL;
    int n_done = 0;
    for (int i = 0; i < r->n_run; i++)
        if (r->runs[i].done && n_done++ == 0) done = &r->runs[i];
    lb_buf_str(p->p.b, "<ul class=\"facts\">\n");
    models_text(r, text);
    lb_page_fact(p->p.b, lb_report_several_models(r) ? "models" : "model", text);
    if (done) {
        snprintf(text, sizeof text, "%d", done->n_problem);
        lb_page_fact(p->p.b, "problems", text);
    }
    text[0] = 0;
    for (int i = 0; i < r->n_seed && at < sizeof text - 24; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%lld", i ? ", " : "", r->seeds[i]);
    lb_page_fact(p->p.b, "seeds", text);
    if (r->n_per_seed > 1) {
        snprintf(text, sizeof text, "%d", r->n_per_seed);
        lb_page_fact(p->p.b, "samples per seed", text);
    }
    if (done) lb_page_fact(p->p.b, "sampling", done->sampling);
    snprintf(text, sizeof text, "%d of %d", n_done, r->n_run);
    lb_page_fact(p->p.b, "runs done", text);
    lb_page_fact(p->p.b, "version", r->version);
    lb_page_fact(p->p.b, "results of", r->written);
    lb_buf_str(p->p.b, "</ul>\n");
}

static void link_to(page *p, const char *id, const char *prefix, const char *title)
{
    char href[120];
    snprintf(href, sizeof href, "#%s%.80s", prefix, id);
    lb_page_link(p->p.b, href, title);
}

static bool first_of_group(const lb_rep *r, int i)
{
    for (int j = 0; j < i; j++)
        if (lb_rep_in(&r->runs[j], r->runs[i].group)) return false;
    return true;
}

/* Calls fn for each group: those of the studies in their order, then the others as they come. */
static void each_group(page *p, void (*fn)(page *, const char *))
{
    for (const section *s = sections; s->group; s++)
        for (int i = 0; i < p->r->n_run; i++)
            if (lb_rep_in(&p->r->runs[i], s->group)) {
                fn(p, s->group);
                break;
            }
    for (int i = 0; i < p->r->n_run; i++)
        if (first_of_group(p->r, i) && !section_of(p->r->runs[i].group)) fn(p, p->r->runs[i].group);
}

static void group_link(page *p, const char *group)
{
    const section *s = section_of(group);
    link_to(p, group, "group-", s ? s->title : group);
}

static void contents(page *p)
{
    lb_buf_str(p->p.b, "<nav aria-label=\"Contents\">\n");
    if (p->answers) lb_page_link(p->p.b, p->answers, "Every answer, problem by problem →");
    each_group(p, group_link);
    if (any_run(p, is_done)) {
        link_to(p, "levels", "", "Difficulty");
        link_to(p, "outputs", "", "Outputs");
    }
    if (any_run(p, was_trained)) link_to(p, "training", "", "Training");
    if (any_run(p, has_inside)) link_to(p, "inside", "", "Inside the models");
    if (any_run(p, is_failed)) link_to(p, "failed", "", "Failed runs");
    link_to(p, "notes", "", "How to read it");
    lb_buf_str(p->p.b, "</nav>\n");
}

static void notes(page *p)
{
    lb_page_heading(&p->p, "notes", "How to read it", "");
    lb_buf_str(
        p->p.b,
        "<p class=\"note\">Accuracies are per cent of samples solved. ± is one standard error, clustered by "
        "problem, since samples of one problem are not independent; error bars in plots are 95 % intervals "
        "(1.96 standard errors). “Lost” is the baseline’s average less the run’s, paired by problem. "
        "Classes go by it: <span class=\"c0\">● lossless</span> up to 1 point, <span class=\"c1\">◐ "
        "fair</span> up to 3, <span class=\"c2\">○ risky</span> beyond; ≈ marks those whose 95 % interval "
        "reaches into another class. Shaded rows are baselines. Cells are tinted by the points lost against "
        "the baseline, deepest at 30. Bits per weight are those of the layers inside the blocks, scales and "
        "zero points counted; sizes are of all tensors in the files. A truncated answer counts as "
        "wrong. Where the grader’s strict and lenient readings differ from what is counted, they stand under the "
        "number; ± ? where one problem alone cannot tell.</p>\n");
}

static void page_body(page *p)
{
    const lb_rep *r = p->r;
    lb_buf *b = p->p.b;
    char title[200];
    snprintf(title, sizeof title, "%.150s – study of quantized reasoning", r->name);
    lb_page_start(&p->p, title, "");
    lb_html_element(b, "h1", "", r->name);
    lb_buf_byte(b, '\n');
    if (*r->about) lb_html_element(b, "p", "", r->about);
    facts(p);
    lb_report_findings(r, b);
    contents(p);
    each_group(p, group_section);
    if (any_run(p, is_done)) {
        levels_section(p);
        outputs_section(p);
    }
    if (any_run(p, was_trained)) training_section(p);
    if (any_run(p, has_inside)) inside_section(p);
    if (any_run(p, is_failed)) {
        lb_page_heading(&p->p, "failed", "Failed runs", "");
        lb_report_failed(r, b);
    }
    notes(p);
    lb_page_end(&p->p, "");
}

/* The page of a training by itself. */
static void training_page(page *p)
{
    const lb_rep_train *t = p->r->runs[0].train;
    const lb_train_recipe *c = &t->recipe;
    char title[200], text[120];
    double tokens = 0;
    int steps = 0;
    for (size_t i = 0; i < t->n_step; i++) tokens += t->step[i].v[LB_REP_TOKENS] > 0 ? t->step[i].v[LB_REP_TOKENS] : 0;
    for (int i = 0; i < c->n_stage; i++) steps += c->stages[i].steps;
    snprintf(title, sizeof title, "%.150s – training", p->r->name);
    lb_page_start(&p->p, title, "");
    lb_html_element(p->p.b, "h1", "", p->r->name);
    lb_buf_byte(p->p.b, '\n');
    if (*p->r->about) lb_html_element(p->p.b, "p", "", p->r->about);
    lb_buf_str(p->p.b, "<ul class=\"facts\">\n");
    if (t->has_recipe) {
        lb_scheme_text(&c->scheme, text);
        lb_page_fact(p->p.b, "scheme", text);
        lb_page_fact(p->p.b, "start", c->method);
        lb_page_fact(p->p.b, "traces", c->traces.file ? c->traces.file : c->traces.prompts ? c->traces.prompts : "");
        lb_page_fact(p->p.b, "teacher", c->teacher ? c->teacher : "the model itself");
        snprintf(text, sizeof text, "%lld", (long long)c->seed);
        lb_page_fact(p->p.b, "seed", text);
    }
    snprintf(text, sizeof text, steps ? "%zu of %d" : "%zu", t->n_step, steps);
    lb_page_fact(p->p.b, "steps done", text);
    lb_tick_text(tokens, 1, LB_UNIT_NONE, text);
    lb_page_fact(p->p.b, "tokens trained on", text);
    lb_buf_str(p->p.b, "</ul>\n");
    if (t->eval_doc) {
        lb_page_heading(&p->p, "evaluation", "Evaluation", "Per cent of samples solved ± one standard error, clustered by problem.");
        lb_report_trained_table(t->eval_doc, p->p.b);
    }
    if (t->n_step) training_section(p);
    lb_page_end(&p->p, "");
}

static bool make(const lb_rep *r, const char *png_dir, const char *answers, lb_buf *out, int *n_plot, lb_err *err)
{
    page p = {.r = r, .answers = answers, .p = {.b = out, .png_dir = png_dir, .ok = true, .err = err}};
    if (r->doc) page_body(&p);
    else training_page(&p);
    if (n_plot) *n_plot = p.p.n_plot;
    return p.p.ok && lb_buf_ok(out, "the report", err);
}

bool lb_report_html(const char *study_dir, lb_buf *out, int *n_plot, lb_err *err)
{
    lb_rep r;
    if (!lb_rep_load(&r, study_dir, err)) return false;
    bool ok = make(&r, NULL, NULL, out, n_plot, err);
    lb_rep_free(&r);
    return ok;
}

/* Where things go: the folder of the page with its slash (or ""), its name, and the name without its ending. */
typedef struct place { char folder[1000], name[260], stem[260]; } place;

static bool place_of(const char *path, place *w, lb_err *err)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    if ((size_t)(name - path) >= sizeof w->folder || strlen(name) >= 250 || !*name)
        return lb_fail(err, LB_EUSAGE, "--output wants the name of a file, got '%.200s'", path);
    snprintf(w->folder, sizeof w->folder, "%.*s", (int)(name - path), path);
    snprintf(w->name, sizeof w->name, "%.250s", name);
    snprintf(w->stem, sizeof w->stem, "%.*s", dot && dot > name ? (int)(dot - name) : 250, name);
    return true;
}

static bool write_answers(const lb_rep *r, const place *w, const lb_pages_opt *o, char index[300], lb_pages_written *n,
                          lb_err *err)
{
    char dir[1300], back[270];
    snprintf(dir, sizeof dir, "%s%s-eval", w->folder, w->stem);
    snprintf(back, sizeof back, "../%s", w->name);
    snprintf(index, 300, "%s-eval/index.html", w->stem);
    return lb_pages_of_study(r, dir, back, o, n, err);
}

bool lb_report_write(const char *study_dir, const lb_report_opt *o, lb_report_written *n, lb_err *err)
{
    lb_rep r;
    lb_buf html = {0};
    place w;
    char plots[1100] = "", index[300] = "";
    lb_report_written own;
    if (!n) n = &own;
    *n = (lb_report_written){0};
    if (!lb_rep_load(&r, study_dir, err)) return false;
    char *beside = o->out ? NULL : lb_path_join(study_dir, "report.html", err);
    const char *path = o->out ? o->out : beside;
    bool ok = path && place_of(path, &w, err), answers = ok && r.doc && o->pages && lb_pages_study_has(&r);
    if (ok && o->png) snprintf(plots, sizeof plots, "%splots", w.folder);
    ok = ok && (!o->png || lb_mkdirs(plots, err)) &&
         (!answers || write_answers(&r, &w, o->pages, index, &n->pages, err)) &&
         make(&r, o->png ? plots : NULL, answers ? index : NULL, &html, &n->n_plot, err) &&
         lb_write_file(path, html.p, html.n, err);
    lb_rep_free(&r);
    lb_buf_free(&html);
    free(beside);
    return ok;
}
