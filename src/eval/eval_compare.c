/* eval/eval_compare.c – two results on the same problems. */
#include "base/mem.h"
#include "eval/eval.h"
#include <stdlib.h>
#include <string.h>

enum { BOOT_SEED = 1 };

/* The outcomes of a task with the question as the problem: items that share one are not independent. */
static lb_outcome *by_question(const lb_task_result *t, lb_err *err)
{
    lb_outcome *o = lb_alloc((size_t)t->n_samples, sizeof *o, "the outcomes", err);
    for (int i = 0; o && i < t->n_samples; i++) {
        o[i] = t->outcomes[i];
        o[i].problem = t->stats[i].cluster;
    }
    return o;
}

static bool comparable(const lb_task_result *a, const lb_task_result *b, lb_err *err)
{
    bool same = a->bench == b->bench && a->data.hi == b->data.hi && a->data.lo == b->data.lo;
    return same || lb_fail(err, LB_EUSAGE, "%s and %s are not the same problems", a->bench->name, b->bench->name);
}

static bool pair_of(const lb_task_result *a, const lb_task_result *b, lb_pair *out, lb_err *err)
{
    *out = (lb_pair){0};
    if (b && !comparable(a, b, err)) return false;
    out->a = by_question(a, err), out->n_a = (size_t)a->n_samples;
    if (b) out->b = by_question(b, err), out->n_b = (size_t)b->n_samples;
    return out->a && (!b || out->b);
}

static void pair_free(lb_pair *p)
{
    free((void *)p->a);
    free((void *)p->b);
}

static bool drop_of(const lb_eval_result *r, const lb_pair *p, lb_eval_drop *out, lb_err *err)
{
    size_t n = (size_t)r->n_task;
    out->tasks = lb_alloc(n, sizeof *out->tasks, "the comparison", err);
    out->spreads = lb_alloc(n, sizeof *out->spreads, "the comparison", err);
    if (!out->tasks || !out->spreads) return false;
    for (int k = 0; k < r->n_task; k++)
        if (!lb_stats_paired_tasks(&p[k], 1, 0, BOOT_SEED, &out->tasks[k], err) ||
            !lb_stats_spread(p[k].a, p[k].n_a, p[k].b, p[k].n_b, &out->spreads[k], err))
            return lb_wrap(err, "%s", r->tasks[k].bench->name);
    if (!lb_stats_paired_tasks(p, r->n_task, 0, BOOT_SEED, &out->mean, err)) return false;
    out->degradation = lb_degradation_of(100 * out->mean.diff);
    return true;
}

bool lb_eval_drop_of(const lb_eval_result *r, const lb_eval_result *base, lb_eval_drop *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    if (r->n_task != base->n_task)
        return lb_fail(err, LB_EUSAGE, "a run of %d tasks and one of %d cannot be compared", r->n_task, base->n_task);
    lb_pair *p = lb_alloc((size_t)r->n_task, sizeof *p, "the tasks", err);
    bool ok = p != NULL;
    for (int k = 0; ok && k < r->n_task; k++) ok = pair_of(&base->tasks[k], &r->tasks[k], &p[k], err);
    ok = ok && drop_of(r, p, out, err);
    for (int k = 0; p && k < r->n_task; k++) pair_free(&p[k]);
    free(p);
    if (!ok) lb_eval_drop_free(out);
    return ok;
}

void lb_eval_drop_free(lb_eval_drop *d)
{
    free(d->tasks);
    free(d->spreads);
    memset(d, 0, sizeof *d);
}

bool lb_eval_spread(const lb_eval_result *r, int k, lb_spread *out, lb_err *err)
{
    lb_pair p;
    memset(out, 0, sizeof *out);
    bool ok = pair_of(&r->tasks[k], NULL, &p, err) && lb_stats_spread(p.a, p.n_a, NULL, 0, out, err);
    pair_free(&p);
    return ok;
}
