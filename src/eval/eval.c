/* eval/eval.c – an evaluation from plan to result; eval/eval_run.h has the map. */
#include "eval/eval.h"
#include "eval/eval_run.h"
#include <stdlib.h>
#include <string.h>

void lb_eval_show(lb_evaluation *x, const char *doing, const char *task)
{
    const char *label = x->o->label;
    lb_progress_what(x->p, "%s%s%s%s", label ? label : "", label ? " · " : "", doing, task);
}

bool lb_eval_stopped(const lb_eval_opt *o, lb_err *err)
{
    if (!o->stop || !*o->stop) return false;
    lb_fail(err, LB_ESTOPPED, "stopped; finished samples are kept, the same command continues");
    return true;
}

/* More than there are samples of a problem cannot be chosen from them. */
static bool check_k(const lb_eval_opt *o, const char *what, const int *k, int n, lb_err *err)
{
    int per = lb_eval_per_item(o);
    for (int i = 0; i < n; i++)
        if (k[i] < 1 || k[i] > per)
            return lb_fail(err, LB_EUSAGE, "%s@%d: there are %d seeds × %d samples = %d of each problem; ask for more samples",
                           what, k[i], o->n_seed, o->n_sample, per);
    return true;
}

/* Everything that can be had is stored; what the subject failed at is no zero, so there is no result without it. */
static bool nothing_lost(lb_evaluation *x)
{
    return x->n_lost == 0 ||
           lb_fail(x->err, LB_EIO, "%zu of %zu samples failed (%s); the others are kept, the same command asks for them again",
                   x->n_lost, x->n_job, x->lost);
}

bool lb_eval_run_subject(const lb_subject *s, const lb_eval_opt *o, lb_db *db, lb_progress *p, lb_eval_result *out,
                         lb_err *err)
{
    memset(out, 0, sizeof *out);
    lb_evaluation x = {.s = s, .model = s->hash, .ex = s->ex, .o = o, .db = db, .p = p, .err = err};
    double t0 = lb_now_s();
    bool ok = check_k(o, "pass", o->pass_k, o->n_pass_k, err) && check_k(o, "maj", o->maj_k, o->n_maj_k, err);
    ok = ok && lb_eval_plan(&x);
    if (ok && p) lb_progress_reuse(p, x.n_reused);
    ok = ok && lb_eval_generate(&x) && lb_eval_judge(&x) && nothing_lost(&x) && lb_eval_count_results(&x, out);
    out->seconds = lb_now_s() - t0;
    lb_eval_run_close(&x);
    if (!ok) lb_eval_result_free(out);
    return ok;
}

bool lb_eval_run(lb_target *t, const lb_eval_opt *o, lb_db *db, lb_progress *p, lb_eval_result *out, lb_err *err)
{
    lb_local l;
    memset(out, 0, sizeof *out);
    bool ok = lb_subject_local(&l, t, o->kv, err) && lb_eval_run_subject(&l.s, o, db, p, out, err);
    lb_subject_local_close(&l);
    return ok;
}

void lb_eval_result_free(lb_eval_result *r)
{
    for (int k = 0; r->tasks && k < r->n_task; k++) {
        free(r->tasks[k].outcomes);
        free(r->tasks[k].stats);
        free(r->tasks[k].prompts);
        json_decref(r->tasks[k].metrics);
    }
    free(r->tasks);
    memset(r, 0, sizeof *r);
}

bool lb_eval_count(const lb_eval_opt *o, int64_t *n, lb_err *err)
{
    lb_items_opt io = lb_eval_items_opt(o);
    *n = 0;
    for (int k = 0; k < o->n_task; k++) {
        lb_items items;
        if (!lb_items_load(o->tasks[k], o->data_dir, &io, &items, err)) return false;
        *n += (int64_t)items.n * o->n_seed * o->n_sample;
        lb_items_free(&items);
        if (*n > 1 << 30) return lb_fail(err, LB_EUSAGE, "problems × seeds × samples are more than %d", 1 << 30);
    }
    return true;
}
