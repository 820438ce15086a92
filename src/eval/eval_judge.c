/* eval/eval_judge.c – verdicts: programs in the sandbox, and texts that an older grader has read.
 *
 * Works from the database, on all threads, so that a better grader needs no new text. */
#include "eval/eval_run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 16 };

bool lb_eval_grade(const lb_evaluation *x, const lb_item *item, const char *text, bool in_thinking,
                   lb_sample_row *row, lb_err *err)
{
    lb_grader g = {.sandbox = x->sandbox, .in_thinking = in_thinking, .truncated = row->truncated};
    lb_grade grade = {0};
    if (!item->bench->grade(item, text, &g, &grade, err)) return false;
    if (row->truncated && grade.verdict != LB_WRONG) { /* a benchmark that does not look at it */
        snprintf(grade.why, sizeof grade.why, "cut off at the limit of tokens");
        grade.verdict = grade.strict = LB_WRONG;
    }
    row->verdict = (int)grade.verdict, row->strict = (int)grade.strict, row->lenient = (int)grade.lenient;
    row->grader = LB_GRADER_VERSION;
    row->weak_sandbox = item->bench->runs_code && x->sandbox && lb_sandbox_is_weak(x->sandbox);
    memcpy(row->extracted, grade.extracted, sizeof row->extracted);
    memcpy(row->why, grade.why, sizeof row->why);
    return true;
}

typedef struct verdict {
    const lb_evaluation *x;
    const lb_item *item;
    lb_sample_key key;
    lb_sample_row row;               /* row.text owned */
    bool ok;
    lb_err err;
} verdict;

static void judge_some(void *arg, int begin, int end)
{
    verdict *v = arg;
    for (int i = begin; i < end; i++) {
        v[i].err.code = LB_OK;
        /* the prompt's part in it can be told from what is stored: a text without marks of thinking has closed it unless
         * the prompt had opened it */
        v[i].ok = lb_eval_grade(v[i].x, v[i].item, v[i].row.text, !v[i].row.think_closed, &v[i].row, &v[i].err);
    }
    lb_answer_cleanup();
}

static bool judge_chunk(lb_evaluation *x, verdict *v, int n)
{
    bool ok = true;
    lb_parallel(x->ex, n, 1, judge_some, v);
    for (int i = 0; i < n; i++) {
        if (ok && !v[i].ok) {
            ok = false;
            if (x->err) *x->err = v[i].err;
        }
        ok = ok && lb_db_set_grade(x->db, &v[i].key, &v[i].row, x->err);
        free(v[i].row.text);
    }
    return ok && !lb_eval_stopped(x->o, x->err);
}

/* Every stored sample of the task that this grader has not read. */
static bool judge_task(lb_evaluation *x, lb_eval_task *k)
{
    verdict v[CHUNK];
    int n = 0, per = lb_eval_per_item(x->o);
    bool ok = true;
    for (int i = 0; ok && i < k->items.n * per; i++) {
        lb_sample_key key = lb_eval_key(x, k, i / per, i % per);
        lb_sample_row row;
        bool found;
        ok = lb_db_find(x->db, &key, false, &found, &row, x->err);
        if (!ok || !found || !lb_eval_ungraded(&row)) continue;
        x->n_regraded += row.verdict >= 0;
        ok = lb_db_find(x->db, &key, true, &found, &row, x->err);
        if (!ok || !found) { /* deleted this very moment: counting will say so */
            free(row.text);
            continue;
        }
        v[n++] = (verdict){.x = x, .item = &k->items.p[i / per], .key = key, .row = row};
        if (n < CHUNK) continue;
        if (x->p) lb_eval_show(x, "judging ", k->bench->name);
        ok = judge_chunk(x, v, n);
        n = 0;
    }
    if (ok && n > 0) return judge_chunk(x, v, n);
    for (int i = 0; i < n; i++) free(v[i].row.text);
    return ok;
}

bool lb_eval_judge(lb_evaluation *x)
{
    for (int k = 0; k < x->o->n_task; k++)
        if (!judge_task(x, &x->tasks[k])) return false;
    return true;
}
