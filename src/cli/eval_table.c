/* cli/eval_table.c – tables of `lowbit eval`. */
#include "cli/eval_table.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- accuracies ---- */

/* Bytes of the column of names: those of the longest task. */
static int name_width(const lb_eval_result *r)
{
    size_t n = 14;
    for (int k = 0; k < r->n_task; k++)
        if (strlen(r->tasks[k].bench->name) > n) n = strlen(r->tasks[k].bench->name);
    return n < 80 ? (int)n : 80;
}

/* "92.5%    5.5%   77.6 –  97.9": value, standard error, interval. */
static void print_value(int width, const char *name, double value, double error, size_t n_question)
{
    double lo, hi;
    lb_stats_interval(value, error, n_question, &lo, &hi);
    printf("%-*s %7.1f%% ", width, name, 100 * value);
    if (isnan(error)) printf("%7s", "–  "); /* one problem says nothing of others */
    else printf("%6.1f%%", 100 * error);
    printf("  %5.1f – %5.1f", 100 * lo, 100 * hi);
}

static void print_reading(int width, const char *name, double value, double error, const lb_task_result *t)
{
    if (value == t->accuracy) return;
    print_value(width, name, value, error, (size_t)t->n_question);
    printf("\n");
}

/* A benchmark's own numbers: pairs "name", "name_stderr". */
static void print_metrics(const lb_task_result *t)
{
    const char *key;
    json_t *v;
    json_object_foreach (t->metrics, key, v) {
        char error[128];
        snprintf(error, sizeof error, "%.100s_stderr", key);
        const json_t *e = json_object_get(t->metrics, error);
        if (!json_is_number(v) || !e) continue; /* the errors themselves */
        printf("  %-26s %6.3f", key, json_number_value(v));
        if (json_is_number(e)) printf(" ± %.3f\n", json_number_value(e));
        else printf(" ± –\n");
    }
}

static void print_task(const lb_eval_result *r, const lb_task_result *t)
{
    int width = name_width(r);
    print_value(width, t->bench->name, t->accuracy, t->accuracy_stderr, (size_t)t->n_question);
    printf(" %6d %8.1f%% %6.1f%% %8.1f %7d  ", t->n, 100 * t->truncated, 100 * t->think_closed, t->tokens_mean, t->unknown);
    for (int s = 0; s < r->n_seed; s++) printf(" %.1f", 100 * t->per_seed[s]);
    bool levels = false;
    for (int l = 0; l < LB_N_LEVEL; l++) levels = levels || t->level_n[l];
    printf(levels ? ";" : "");
    for (int l = 0; levels && l < LB_N_LEVEL; l++) {
        if (t->level_n[l]) printf(" %.2f", t->by_level[l]);
        else printf(" –");
    }
    printf("\n");
    print_reading(width, "  strict", t->strict, t->strict_stderr, t);
    print_reading(width, "  lenient", t->lenient, t->lenient_stderr, t);
    for (int i = 0; i < t->n_k; i++) {
        char name[24];
        snprintf(name, sizeof name, "  %s", t->k[i].name);
        print_value(width, name, t->k[i].value, t->k[i].stderr_value, (size_t)t->n_question);
        printf("\n");
    }
    print_metrics(t);
}

/* "20 weak, 3 unknown …": what a reader must know of how the numbers came about. */
static void print_remarks(const lb_eval_result *r)
{
    int weak = 0;
    for (int k = 0; k < r->n_task; k++) weak += r->tasks[k].weak_sandbox;
    if (weak) printf("%d programs were judged in the weak sandbox\n", weak);
    if (r->n_regraded)
        printf("%lld stored answers were graded again by grader %d\n", (long long)r->n_regraded, LB_GRADER_VERSION);
    for (int k = 1; k < r->n_task; k++)
        if (strcmp(r->tasks[k].sampling, r->sampling) != 0)
            printf("%s was sampled by %s\n", r->tasks[k].bench->name, r->tasks[k].sampling);
}

void lb_eval_print(const lb_eval_result *r)
{
    int n = 0, n_question = 0;
    printf("%-*s %8s %6s±  %-13s %6s %9s %7s %8s %7s   %s\n", name_width(r), "task", "accuracy", "", "95 %", "n", "truncated", "closed",
           "tokens", "unknown", "per seed; by level 1…5");
    for (int k = 0; k < r->n_task; k++) {
        print_task(r, &r->tasks[k]);
        n += r->tasks[k].n, n_question += r->tasks[k].n_question;
    }
    if (r->n_task > 1) {
        print_value(name_width(r), "average", r->average, r->average_stderr, (size_t)n_question);
        printf(" %6d\n", n);
    }
    printf("sampling %s; %d seed%s × %d sample%s; %lld generated, %lld from the database; %.0f tok/s\n", r->sampling,
           r->n_seed, r->n_seed > 1 ? "s" : "", r->n_sample, r->n_sample > 1 ? "s" : "", (long long)r->n_generated,
           (long long)r->n_reused, r->seconds > 0 ? r->tokens_generated / r->seconds : 0);
    print_remarks(r);
}

/* ---- against a baseline ---- */

static void print_drop(int width, const char *name, const lb_paired *d, double seen)
{
    printf("%-*s %+8.2f ", width, name, 100 * d->diff);
    if (isnan(d->stderr_diff)) printf("%9s  %8s%9s", "–  ", "–", ""); /* one problem */
    else printf("%7.2f  %+6.2f – %+6.2f  ", 100 * d->stderr_diff, 100 * d->lo, 100 * d->hi);
    if (d->p < 0.0001) printf(" <0.0001");
    else printf("%8.4f", d->p);
    printf("  %-10s %6zu ", isnan(d->p_mcnemar) ? "sign flips" : "McNemar", d->n_problem);
    if (isnan(d->p_mcnemar)) printf("     –     ");
    else printf("%4zu / %-4zu", d->only_a, d->only_b);
    if (seen > 0) printf(" %8.2f\n", 100 * seen);
    else printf("       –\n"); /* no difference anywhere, or a single problem */
}

void lb_eval_print_drop(const lb_eval_result *r, const lb_eval_result *base, const lb_eval_drop *d, const char *name)
{
    const double z = 1.959963984540054 + 0.8416212335729143; /* as lb_stats_detectable */
    printf("\nagainst %s (%.8s), which has %.1f%%", name, base->model, 100 * base->average);
    if (!isnan(base->average_stderr)) printf(" ± %.1f%%", 100 * base->average_stderr);
    printf(" on these problems; drops in points\n");
    int width = name_width(r);
    printf("%-*s %8s %6s±  %-15s  %8s  %-10s %6s %11s %8s\n", width, "task", "drop", "", "95 %", "p", "test", "n",
           "only b/this", "seen");
    for (int k = 0; k < r->n_task; k++)
        print_drop(width, r->tasks[k].bench->name, &d->tasks[k], lb_stats_detectable(&d->spreads[k]));
    if (r->n_task > 1) print_drop(width, "mean", &d->mean, z * d->mean.stderr_diff);
    printf("%s; \"seen\" is the smallest difference that these problems and samples show with 80 %% power at the 5 %% level\n",
           lb_degradation_name(d->degradation));
    if (strcmp(r->sampling, base->sampling) != 0) printf("the baseline was sampled by %s\n", base->sampling);
}

/* ---- power ---- */

static void print_need(const char *when, const lb_spread *s, double points)
{
    double d = points / 100, k = lb_stats_samples_needed(s, d);
    if (!(s->total > 0)) { /* NaN: one sample of each; 0: outcomes that never vary */
        printf("  %s: cannot be told, as %s\n", when,
               !isnan(s->total) ? "no outcome varies"
               : s->n_problem > 1 ? "there is one sample of each problem" : "there is one problem");
        return;
    }
    printf("  %s: %.0f problems; ", when, lb_stats_problems_needed(s, d));
    if (isnan(k)) printf("two samples of each problem would tell whether more of them help");
    else if (isinf(k)) printf("with these %zu no number of samples is enough, as they differ too much", s->n_problem);
    else printf("with these %zu, %.0f samples of each", s->n_problem, k);
    printf("; seen now: %.2f points\n", 100 * lb_stats_detectable(s));
}

bool lb_eval_print_power(const lb_eval_result *r, const lb_eval_drop *d, double points, lb_err *err)
{
    printf("\na difference of %g point%s, to be seen with 80 %% power at the 5 %% level, needs\n", points,
           points == 1 ? "" : "s");
    for (int k = 0; k < r->n_task; k++) {
        lb_spread one;
        int m = r->n_seed * r->n_sample;
        printf("%s (%d sample%s of each problem)\n", r->tasks[k].bench->name, m, m == 1 ? "" : "s");
        if (d) {
            print_need("by the measured differences", &d->spreads[k], points);
            continue;
        }
        if (!lb_eval_spread(r, k, &one, err)) return false;
        lb_spread like = lb_stats_spread_of_two(&one, false), other = lb_stats_spread_of_two(&one, true);
        print_need("if the same problems are hard for both models", &like, points);
        print_need("if problems are hard for each in its own way", &other, points);
    }
    return true;
}
