/* study/table.c – the tables of a study as text, CSV and JSON. */
#include "study/study.h"
#include <math.h>
#include <string.h>

/* Left-aligned text in a field of `width` columns; counts characters, not bytes. */
static void field(lb_buf *b, const char *text, int width)
{
    int n = 0;
    for (const char *p = text; *p; p++) n += ((unsigned char)*p & 0xc0) != 0x80;
    lb_buf_str(b, text);
    for (; n < width; n++) lb_buf_byte(b, ' ');
}

static double mean_over(const lb_eval_result *r, double (*get)(const lb_task_result *))
{
    double sum = 0, n = 0;
    for (int k = 0; k < r->n_task; k++) sum += get(&r->tasks[k]) * r->tasks[k].n_samples, n += r->tasks[k].n_samples;
    return n > 0 ? sum / n : 0;
}
static double tokens(const lb_task_result *t) { return t->tokens_mean; }
static double truncated(const lb_task_result *t) { return t->truncated; }
static double closed(const lb_task_result *t) { return t->think_closed; }

static void main_table(const lb_study *s, lb_buf *b)
{
    char cell[64];
    field(b, "scheme", 16);
    field(b, "bits", 7);
    for (int k = 0; k < s->n_task; k++) field(b, s->tasks[k]->name, 9);
    field(b, "average", 14);
    field(b, "drop", 13);
    field(b, "class", 10);
    field(b, "tokens", 8);
    field(b, "truncated", 11);
    lb_buf_str(b, "think closed\n");
    for (int i = 0; i < s->n_run; i++) {
        const lb_study_run *r = &s->runs[i];
        field(b, r->label, 16);
        snprintf(cell, sizeof cell, "%.2f", r->bits_per_weight);
        field(b, cell, 7);
        for (int k = 0; k < s->n_task; k++) {
            snprintf(cell, sizeof cell, "%.1f", 100 * r->result.tasks[k].accuracy);
            field(b, cell, 9);
        }
        snprintf(cell, sizeof cell, "%.1f ± %.1f", 100 * r->result.average, 100 * r->result.average_stderr);
        field(b, cell, 14);
        if (i > 0) snprintf(cell, sizeof cell, "%.1f ± %.1f", 100 * r->drop, 100 * r->drop_stderr);
        field(b, i > 0 ? cell : "", 13);
        field(b, i > 0 ? r->class_name : "", 10);
        snprintf(cell, sizeof cell, "%.0f", mean_over(&r->result, tokens));
        field(b, cell, 8);
        snprintf(cell, sizeof cell, "%.1f%%", 100 * mean_over(&r->result, truncated));
        field(b, cell, 11);
        lb_buf_fmt(b, "%.1f%%\n", 100 * mean_over(&r->result, closed));
    }
}

/* Mean over the tasks of the accuracy at each level. */
static double level_mean(const lb_eval_result *r, int level, int *n)
{
    double sum = 0;
    int tasks = 0;
    *n = 0;
    for (int k = 0; k < r->n_task; k++) {
        if (r->tasks[k].level_n[level] == 0) continue;
        sum += r->tasks[k].by_level[level];
        tasks++;
        *n += r->tasks[k].level_n[level];
    }
    return tasks ? sum / tasks : NAN;
}

static void level_table(const lb_study *s, lb_buf *b)
{
    char cell[64];
    lb_buf_str(b, "\naccuracy by level (mean over tasks)\n");
    field(b, "scheme", 16);
    for (int l = 0; l < LB_N_LEVEL; l++) {
        snprintf(cell, sizeof cell, "level %d", l + 1);
        field(b, cell, 10);
    }
    lb_buf_byte(b, '\n');
    for (int i = 0; i < s->n_run; i++) {
        field(b, s->runs[i].label, 16);
        for (int l = 0; l < LB_N_LEVEL; l++) {
            int n;
            double v = level_mean(&s->runs[i].result, l, &n);
            if (n) snprintf(cell, sizeof cell, "%.1f", 100 * v);
            else snprintf(cell, sizeof cell, "–");
            field(b, cell, 10);
        }
        lb_buf_byte(b, '\n');
    }
}

void lb_study_table(const lb_study *s, lb_buf *b)
{
    int n = 0;
    for (int k = 0; k < s->n_task; k++) n += s->runs[0].result.tasks[k].n;
    lb_buf_fmt(b, "%s: %s, %d problems, %d seeds × %d samples, %s\n\n", s->name, s->model, n, s->eval.n_seed,
               s->eval.n_sample, s->runs[0].result.sampling);
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

/* One row for each run and task, then one for the run's average, which alone has a drop and a class. */
void lb_study_csv(const lb_study *s, lb_buf *b)
{
    lb_buf_str(b, "scheme,method,bits_per_weight,task,n,n_samples,accuracy,accuracy_stderr,drop,drop_stderr,class,"
                  "truncated,think_closed,tokens_mean");
    for (int l = 0; l < LB_N_LEVEL; l++) lb_buf_fmt(b, ",level_%d", l + 1);
    for (int i = 0; i < s->eval.n_seed; i++) lb_buf_fmt(b, ",seed_%lld", (long long)s->eval.seeds[i]);
    lb_buf_byte(b, '\n');
    for (int i = 0; i < s->n_run; i++) {
        const lb_study_run *r = &s->runs[i];
        char scheme[LB_SCHEME_TEXT];
        int n = 0, n_samples = 0;
        lb_scheme_text(&r->scheme, scheme);
        for (int k = 0; k <= s->n_task; k++) {
            const lb_task_result *t = k < s->n_task ? &r->result.tasks[k] : NULL;
            if (t) n += t->n, n_samples += t->n_samples;
            lb_buf_fmt(b, "%s,%s,%.4f,%s,%d,%d", scheme, r->method ? r->method->name : "", r->bits_per_weight,
                       t ? t->bench->name : "average", t ? t->n : n, t ? t->n_samples : n_samples);
            csv_number(b, t ? t->accuracy : r->result.average);
            csv_number(b, t ? t->accuracy_stderr : r->result.average_stderr);
            csv_number(b, t || i == 0 ? NAN : r->drop);
            csv_number(b, t || i == 0 ? NAN : r->drop_stderr);
            lb_buf_fmt(b, ",%s", t || i == 0 ? "" : r->class_name);
            csv_number(b, t ? t->truncated : mean_over(&r->result, truncated));
            csv_number(b, t ? t->think_closed : mean_over(&r->result, closed));
            csv_number(b, t ? t->tokens_mean : mean_over(&r->result, tokens));
            for (int l = 0; l < LB_N_LEVEL; l++) {
                int m;
                csv_number(b, t ? t->by_level[l] : level_mean(&r->result, l, &m));
            }
            for (int j = 0; j < s->eval.n_seed; j++) {
                double mean = 0;
                for (int a = 0; a < s->n_task; a++) mean += r->result.tasks[a].per_seed[j] / s->n_task;
                csv_number(b, t ? t->per_seed[j] : mean);
            }
            lb_buf_byte(b, '\n');
        }
    }
}

json_t *lb_study_json(const lb_study *s)
{
    json_t *runs = json_array();
    for (int i = 0; i < s->n_run; i++) {
        const lb_study_run *r = &s->runs[i];
        json_t *j = lb_eval_json(&r->result), *levels = json_object();
        for (int l = 0; l < LB_N_LEVEL; l++) {
            int n;
            double v = level_mean(&r->result, l, &n);
            char name[2] = {(char)('1' + l), 0};
            if (n) json_object_set_new(levels, name, json_real(v));
        }
        json_object_set_new(j, "label", json_string(r->label));
        json_object_set_new(j, "model", json_string(r->dir));
        json_object_set_new(j, "bits_per_weight", json_real(r->bits_per_weight));
        json_object_set_new(j, "by_level", levels);
        json_object_set_new(j, "tokens_mean", json_real(mean_over(&r->result, tokens)));
        json_object_set_new(j, "truncated", json_real(mean_over(&r->result, truncated)));
        json_object_set_new(j, "think_closed", json_real(mean_over(&r->result, closed)));
        if (i > 0) {
            json_object_set_new(j, "drop", json_real(r->drop));
            json_object_set_new(j, "drop_stderr", json_real(r->drop_stderr));
            json_object_set_new(j, "class", json_string(r->class_name));
        }
        json_array_append_new(runs, j);
    }
    return json_pack("{s:s, s:s, s:s, s:i, s:o}", "study", s->name, "model", s->model, "version", lb_version(),
                     "schema", 1, "runs", runs);
}
