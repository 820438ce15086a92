/* study/table.c – the tables of a study as text and CSV. */
#include "study/study.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Left-aligned text in a field of `width` columns; counts characters, not bytes. */
static void field(lb_buf *b, const char *text, int width)
{
    int n = 0;
    for (const char *p = text; *p; p++) n += ((unsigned char)*p & 0xc0) != 0x80;
    lb_buf_str(b, text);
    for (; n < width; n++) lb_buf_byte(b, ' ');
}

lb_study_means lb_study_mean(const lb_eval_result *r)
{
    lb_study_means m = {0, 0, 0};
    double n = 0;
    for (int k = 0; k < r->n_task; k++) {
        const lb_task_result *t = &r->tasks[k];
        m.tokens += t->tokens_mean * t->n_samples;
        m.truncated += t->truncated * t->n_samples;
        m.think_closed += t->think_closed * t->n_samples;
        n += t->n_samples;
    }
    if (n > 0) m.tokens /= n, m.truncated /= n, m.think_closed /= n;
    return m;
}

/* The standard error of a task's accuracy at a level. */
static double level_error(const lb_task_result *t, int level)
{
    lb_outcome *x = lb_alloc((size_t)t->n_samples, sizeof *x, "the outcomes", NULL);
    lb_accuracy a = {.stderr_mean = NAN};
    size_t n = 0;
    for (int i = 0; x && i < t->n_samples; i++)
        if (t->stats[i].level == level + 1) x[n++] = t->outcomes[i];
    if (n && !lb_stats_accuracy(x, n, &a, NULL)) a.stderr_mean = NAN;
    free(x);
    return a.stderr_mean;
}

double lb_study_level_mean(const lb_eval_result *r, int level, double *se)
{
    double sum = 0, var = 0;
    int tasks = 0;
    for (int k = 0; k < r->n_task; k++) {
        if (r->tasks[k].level_n[level] == 0) continue;
        double e = level_error(&r->tasks[k], level);
        sum += r->tasks[k].by_level[level], var += e * e;
        tasks++;
    }
    *se = tasks ? sqrt(var) / tasks : NAN;
    return tasks ? sum / tasks : NAN;
}

/* "97.5 ± 2.5", "97.5 ± ?", "–". */
static void per_cent(double v, double se, char out[64])
{
    if (!isfinite(v)) snprintf(out, 64, "–");
    else if (isfinite(se)) snprintf(out, 64, "%.1f ± %.1f", 100 * v, 100 * se);
    else snprintf(out, 64, "%.1f ± ?", 100 * v);
}

/* Columns that the label takes: as wide as the longest, and no narrower than it always was. */
static int label_width(const lb_study *s)
{
    int width = 14;
    for (int i = 0; i < s->n_run; i++) {
        int n = 0;
        for (const char *p = s->runs[i].label; *p; p++) n += ((unsigned char)*p & 0xc0) != 0x80;
        if (n > width) width = n;
    }
    return width + 2;
}

static void row(const lb_study *s, const lb_study_run *r, int width, lb_buf *b)
{
    char cell[64];
    field(b, r->label, width);
    if (r->state != LB_STUDY_DONE) {
        lb_buf_fmt(b, "%s%s%s\n", r->state == LB_STUDY_FAILED ? "failed" : "not run yet", *r->error ? ": " : "",
                   r->error);
        return;
    }
    snprintf(cell, sizeof cell, "%.2f", r->bits_per_weight);
    field(b, cell, 7);
    for (int k = 0; k < s->n_task; k++) {
        per_cent(r->result.tasks[k].accuracy, r->result.tasks[k].accuracy_stderr, cell);
        field(b, cell, 14);
    }
    lb_study_means m = lb_study_mean(&r->result);
    per_cent(r->result.average, r->result.average_stderr, cell);
    field(b, cell, 14);
    per_cent(r->drop, r->drop_stderr, cell);
    field(b, r->compared ? cell : "", 13);
    field(b, r->class_name, 10);
    snprintf(cell, sizeof cell, "%.0f", m.tokens);
    field(b, cell, 8);
    snprintf(cell, sizeof cell, "%.1f%%", 100 * m.truncated);
    field(b, cell, 11);
    lb_buf_fmt(b, "%.1f%%\n", 100 * m.think_closed);
}

/* True if run i is the first of its group and model; with its heading. */
static bool starts_section(const lb_study *s, int i)
{
    for (int j = 0; j < i; j++)
        if (s->runs[j].model == s->runs[i].model && strcmp(s->runs[j].group, s->runs[i].group) == 0) return false;
    return true;
}

static bool several_sections(const lb_study *s)
{
    for (int i = 1; i < s->n_run; i++)
        if (starts_section(s, i)) return true;
    return false;
}

/* Calls fn for every run of the section that run i starts. */
static void section(const lb_study *s, int i, int width, lb_buf *b,
                    void (*fn)(const lb_study *, const lb_study_run *, int, lb_buf *))
{
    if (several_sections(s)) lb_buf_fmt(b, "-- %s, %s\n", s->runs[i].group, s->models[s->runs[i].model].dir);
    for (int j = i; j < s->n_run; j++)
        if (s->runs[j].model == s->runs[i].model && strcmp(s->runs[j].group, s->runs[i].group) == 0)
            fn(s, &s->runs[j], width, b);
}

static void main_table(const lb_study *s, lb_buf *b)
{
    int width = label_width(s);
    field(b, "scheme", width);
    field(b, "bits", 7);
    for (int k = 0; k < s->n_task; k++) field(b, s->tasks[k]->name, 14);
    field(b, "average", 14);
    field(b, "drop", 13);
    field(b, "class", 10);
    field(b, "tokens", 8);
    field(b, "truncated", 11);
    lb_buf_str(b, "think closed\n");
    for (int i = 0; i < s->n_run; i++)
        if (starts_section(s, i)) section(s, i, width, b, row);
}

static void level_row(const lb_study *s, const lb_study_run *r, int width, lb_buf *b)
{
    (void)s;
    char cell[64];
    if (r->state != LB_STUDY_DONE) return;
    field(b, r->label, width);
    for (int l = 0; l < LB_N_LEVEL; l++) {
        double se, v = lb_study_level_mean(&r->result, l, &se);
        per_cent(v, se, cell);
        field(b, cell, 14);
    }
    lb_buf_byte(b, '\n');
}

static void level_table(const lb_study *s, lb_buf *b)
{
    char cell[64];
    int width = label_width(s);
    lb_buf_str(b, "\naccuracy by level (mean over tasks)\n");
    field(b, "scheme", width);
    for (int l = 0; l < LB_N_LEVEL; l++) {
        snprintf(cell, sizeof cell, "level %d", l + 1);
        field(b, cell, 14);
    }
    lb_buf_byte(b, '\n');
    for (int i = 0; i < s->n_run; i++)
        if (starts_section(s, i)) section(s, i, width, b, level_row);
}

void lb_study_table(const lb_study *s, lb_buf *b)
{
    const lb_study_run *r = s->runs;
    int n = 0;
    for (int i = 0; i < s->n_run && r->state != LB_STUDY_DONE; i++) r = &s->runs[i];
    for (int k = 0; k < r->result.n_task; k++) n += r->result.tasks[k].n;
    lb_buf_fmt(b, "%s: %s%s, %d problems, %d seed%s × %d sample%s%s%s\n\n", s->name, s->models[0].dir,
               s->n_model > 1 ? " and others" : "", n, s->eval.n_seed, s->eval.n_seed > 1 ? "s" : "", s->eval.n_sample,
               s->eval.n_sample > 1 ? "s" : "", n ? ", " : "", r->result.sampling);
    main_table(s, b);
    level_table(s, b);
    lb_buf_str(b, "\naccuracy in %; ± is one standard error, clustered by problem; drop is paired by problem; class: "
                  "lossless ≤ 1 point, fair ≤ 3, risky > 3\n");
}
static void csv_number(lb_buf *b, double v)
{
    if (isfinite(v)) lb_buf_fmt(b, ",%.6f", v);
    else lb_buf_byte(b, ',');
}

/* A field as RFC 4180 wants it. */
static void csv_text(lb_buf *b, const char *text)
{
    if (!strpbrk(text, ",\"\n\r")) {
        lb_buf_str(b, text);
        return;
    }
    lb_buf_byte(b, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"') lb_buf_byte(b, '"');
        lb_buf_byte(b, *p);
    }
    lb_buf_byte(b, '"');
}

static const char *const states[] = {"pending", "done", "failed"};

/* What a row says about its run. */
static void csv_run(const lb_study *s, const lb_study_run *r, lb_buf *b)
{
    char scheme[LB_SCHEME_TEXT];
    lb_scheme_text(&r->scheme, scheme);
    const char *text[] = {r->id,  r->group, s->models[r->model].dir, r->label, scheme, r->method,
                          r->kv ? r->kv : "", states[r->state]};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        if (i) lb_buf_byte(b, ',');
        csv_text(b, text[i]);
    }
}

static void csv_levels(const lb_eval_result *r, const lb_task_result *t, lb_buf *b)
{
    for (int l = 0; l < LB_N_LEVEL; l++) {
        double se;
        csv_number(b, t ? t->by_level[l] : lb_study_level_mean(r, l, &se));
    }
}

/* The row of task k, or of the average (k = n_task), which alone has a drop and a class. */
static void csv_row(const lb_study *s, const lb_study_run *r, int k, lb_buf *b)
{
    const lb_task_result *t = k < s->n_task ? &r->result.tasks[k] : NULL;
    lb_study_means m = lb_study_mean(&r->result);
    int n = 0, n_samples = 0;
    for (int j = 0; j < s->n_task; j++) n += r->result.tasks[j].n, n_samples += r->result.tasks[j].n_samples;
    csv_run(s, r, b);
    lb_buf_fmt(b, ",%.4f,%.0f,%s,%d,%d", r->bits_per_weight, r->size_bytes, t ? t->bench->name : "average",
               t ? t->n : n, t ? t->n_samples : n_samples);
    csv_number(b, t ? t->accuracy : r->result.average);
    csv_number(b, t ? t->accuracy_stderr : r->result.average_stderr);
    csv_number(b, t || !r->compared ? NAN : r->drop);
    csv_number(b, t || !r->compared ? NAN : r->drop_stderr);
    lb_buf_fmt(b, ",%s", t ? "" : r->class_name);
    csv_number(b, t ? t->truncated : m.truncated);
    csv_number(b, t ? t->think_closed : m.think_closed);
    csv_number(b, t ? t->tokens_mean : m.tokens);
    csv_levels(&r->result, t, b);
    for (int j = 0; j < s->eval.n_seed; j++) {
        double mean = 0;
        for (int a = 0; a < s->n_task; a++) mean += r->result.tasks[a].per_seed[j] / s->n_task;
        csv_number(b, t ? t->per_seed[j] : mean);
    }
    lb_buf_byte(b, '\n');
}

/* One row for each run and task, then one for the run's average; a run that has no results has one row. */
void lb_study_csv(const lb_study *s, lb_buf *b)
{
    lb_buf_str(b, "run,group,model,label,scheme,method,kv,status,bits_per_weight,size_bytes,task,n,n_samples,accuracy,"
                  "accuracy_stderr,drop,drop_stderr,class,truncated,think_closed,tokens_mean");
    for (int l = 0; l < LB_N_LEVEL; l++) lb_buf_fmt(b, ",level_%d", l + 1);
    for (int i = 0; i < s->eval.n_seed; i++) lb_buf_fmt(b, ",seed_%lld", (long long)s->eval.seeds[i]);
    lb_buf_byte(b, '\n');
    for (int i = 0; i < s->n_run; i++) {
        const lb_study_run *r = &s->runs[i];
        if (r->state == LB_STUDY_DONE) {
            for (int k = 0; k <= s->n_task; k++) csv_row(s, r, k, b);
            continue;
        }
        csv_run(s, r, b);
        for (int k = 0; k < 13 + LB_N_LEVEL + s->eval.n_seed; k++) lb_buf_byte(b, ',');
        lb_buf_byte(b, '\n');
    }
}
