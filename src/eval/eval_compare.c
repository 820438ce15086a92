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

bool lb_eval_paired(const lb_eval_result *r, const lb_eval_result *base, int k, lb_paired *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    if (r->n_task != base->n_task)
        return lb_fail(err, LB_EUSAGE, "a run of %d tasks and one of %d cannot be compared", r->n_task, base->n_task);
    int first = k < 0 ? 0 : k, n = k < 0 ? r->n_task : 1;
    lb_pair *p = lb_alloc((size_t)n, sizeof *p, "the tasks", err);
    bool ok = p != NULL;
    for (int i = 0; ok && i < n; i++) ok = pair_of(&r->tasks[first + i], &base->tasks[first + i], &p[i], err);
    ok = ok && lb_stats_paired_tasks(p, n, 0, BOOT_SEED, out, err);
    for (int i = 0; p && i < n; i++) pair_free(&p[i]);
    free(p);
    return ok;
}

bool lb_eval_spread(const lb_eval_result *r, const lb_eval_result *base, int k, lb_spread *out, lb_err *err)
{
    lb_pair p;
    memset(out, 0, sizeof *out);
    bool ok = pair_of(&r->tasks[k], base ? &base->tasks[k] : NULL, &p, err) &&
              lb_stats_spread(p.a, p.n_a, p.b, p.n_b, out, err);
    pair_free(&p);
    return ok;
}
