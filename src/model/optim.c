/* model/optim.c – AdamW, SignSGD and schedules. */
#include "model/optim.h"
#include "base/mem.h"
#include "kern/grad_rows.h"
#include "kern/step.h"
#include <math.h>
#include <stdlib.h>

typedef struct entry {
    lb_param *p;                 /* borrowed */
    lb_optim_group group;
    float *m, *s;                /* first and second moment [n,k]; device memory, owned; NULL for SignSGD */
} entry;

struct lb_optim {
    lb_exec *ex;                 /* borrowed */
    lb_optim_opt opt;
    entry *entries;              /* owned */
    size_t n, cap;
    double *sums, *host_sums;    /* [pieces of the largest parameter] device and host memory, owned */
    size_t n_sum;
    int steps;
};

lb_optim *lb_optim_open(lb_exec *ex, const lb_optim_opt *opt, lb_err *err)
{
    const lb_step probe = {.n = 1};
    if (!lb_op_pick(&lb_op_adamw, ex, &probe))
        return lb_fail_null(err, LB_EUNSUPPORTED, "there are no optimizers on %s; use --device cpu", lb_exec_name(ex));
    lb_optim *o = lb_alloc(1, sizeof *o, "an optimizer", err);
    if (!o) return NULL;
    o->ex = ex;
    o->opt = *opt;
    if (o->opt.beta1 == 0) o->opt.beta1 = 0.9f;
    if (o->opt.beta2 == 0) o->opt.beta2 = 0.999f;
    if (o->opt.eps == 0) o->opt.eps = 1e-8f;
    return o;
}

void lb_optim_close(lb_optim *o)
{
    if (!o) return;
    for (size_t i = 0; i < o->n; i++) {
        lb_exec_free(o->ex, o->entries[i].m);
        lb_exec_free(o->ex, o->entries[i].s);
    }
    lb_exec_free(o->ex, o->sums);
    free(o->host_sums);
    free(o->entries);
    free(o);
}

static size_t count_of(const lb_param *p) { return (size_t)p->n * (size_t)p->k; }

/* Room for a parameter's sums of squares. */
static bool grow_sums(lb_optim *o, const lb_param *p, lb_err *err)
{
    size_t n = lb_step_pieces(count_of(p));
    if (n <= o->n_sum) return true;
    lb_exec_free(o->ex, o->sums);
    free(o->host_sums);
    o->host_sums = NULL, o->n_sum = 0;
    o->sums = lb_exec_alloc(o->ex, n, sizeof *o->sums, "an optimizer", err);
    o->host_sums = o->sums ? lb_alloc(n, sizeof *o->host_sums, "an optimizer", err) : NULL;
    if (o->host_sums) o->n_sum = n;
    return o->host_sums != NULL;
}

bool lb_optim_add(lb_optim *o, lb_param *p, const lb_optim_group *group, lb_err *err)
{
    if (!p->v || !p->d) return lb_fail(err, LB_EUSAGE, "a frozen parameter [%d,%d] cannot be trained", p->n, p->k);
    if (!grow_sums(o, p, err)) return false;
    if (!lb_grow(&o->entries, &o->cap, o->n + 1, sizeof *o->entries, "an optimizer", err)) return false;
    entry e = {.p = p, .group = *group};
    if (o->opt.kind == LB_OPTIM_ADAMW) {
        e.m = lb_exec_alloc(o->ex, count_of(p), sizeof(float), "an optimizer's moments", err);
        e.s = e.m ? lb_exec_alloc(o->ex, count_of(p), sizeof(float), "an optimizer's moments", err) : NULL;
        if (!e.s) {
            lb_exec_free(o->ex, e.m);
            return false;
        }
    }
    o->entries[o->n++] = e;
    return true;
}

/* ---- gradients ---- */
static double gradient_norm(lb_optim *o)
{
    double sum = 0;
    for (size_t i = 0; i < o->n; i++) {
        lb_squares a = {.sum = o->sums, .x = o->entries[i].p->d, .n = count_of(o->entries[i].p)};
        size_t pieces = lb_step_pieces(a.n);
        lb_op_do(&lb_op_squares, &a, o->ex);
        lb_exec_get(o->ex, o->host_sums, o->sums, pieces * sizeof *o->sums);
        for (size_t j = 0; j < pieces; j++) sum += o->host_sums[j];
    }
    return sqrt(sum);
}

void lb_optim_zero(lb_optim *o)
{
    for (size_t i = 0; i < o->n; i++) {
        lb_copy a = {.y = o->entries[i].p->d, .n = count_of(o->entries[i].p)};
        lb_op_do(&lb_op_copy, &a, o->ex);
    }
}

void lb_optim_scale(lb_optim *o, float f)
{
    for (size_t i = 0; i < o->n; i++) {
        lb_times a = {.x = o->entries[i].p->d, .n = count_of(o->entries[i].p), .f = f};
        lb_op_do(&lb_op_times, &a, o->ex);
    }
}

double lb_optim_clip_norm(lb_optim *o, double max_norm)
{
    double norm = gradient_norm(o);
    if (norm > max_norm && isfinite(norm)) lb_optim_scale(o, (float)(max_norm / norm));
    return norm;
}

/* ---- one step ---- */
bool lb_optim_step(lb_optim *o, float lr_factor, lb_err *err)
{
    if (!isfinite(gradient_norm(o))) {
        lb_optim_zero(o);
        return lb_fail(err, LB_ENUMERIC, "step %d: a gradient is not finite; lower the learning rate", o->steps);
    }
    o->steps++;
    for (size_t i = 0; i < o->n; i++) {
        const entry *e = &o->entries[i];
        float lr = e->group.lr * lr_factor;
        lb_step a = {.v = e->p->v, .d = e->p->d, .m = e->m, .s = e->s, .n = count_of(e->p), .lr = lr,
                     .keep = 1 - lr * e->group.weight_decay, .beta1 = o->opt.beta1, .beta2 = o->opt.beta2, .eps = o->opt.eps,
                     .fix1 = (float)(1 / (1 - pow((double)o->opt.beta1, o->steps))),
                     .fix2 = (float)(1 / (1 - pow((double)o->opt.beta2, o->steps))), .lo = e->group.lo, .hi = e->group.hi};
        lb_op_do(o->opt.kind == LB_OPTIM_SIGN ? &lb_op_sign_step : &lb_op_adamw, &a, o->ex);
    }
    return lb_exec_sync(o->ex, err);
}

/* ---- state ---- */
int lb_optim_steps(const lb_optim *o) { return o->steps; }
void lb_optim_set_steps(lb_optim *o, int steps) { o->steps = steps; }
size_t lb_optim_count(const lb_optim *o) { return o->n; }

void lb_optim_state(lb_optim *o, size_t i, lb_param **p, float **m, float **s)
{
    const entry *e = &o->entries[i];
    if (p) *p = e->p;
    if (m) *m = e->m;
    if (s) *s = e->s;
}

void lb_optim_set_group(lb_optim *o, size_t i, const lb_optim_group *group) { o->entries[i].group = *group; }

size_t lb_optim_bytes(const lb_optim *o)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n; i++) n += o->entries[i].m ? 2 * count_of(o->entries[i].p) * sizeof(float) : 0;
    return n;
}

/* ---- schedules ---- */
static double rise(int step, int warmup) { return (double)(step + 1) / warmup; }

/* 0…1 after the warm-up. */
static double progress(int step, int n_step, int warmup)
{
    if (n_step <= warmup || step >= n_step) return 1;
    return (double)(step - warmup) / (n_step - warmup);
}

float lb_lr_cosine(int step, int n_step, int warmup, float last)
{
    if (step < warmup) return (float)rise(step, warmup);
    double half = 0.5 * (1 + cos(3.14159265358979323846 * progress(step, n_step, warmup)));
    return (float)((double)last + (1 - (double)last) * half);
}

float lb_lr_linear(int step, int n_step, int warmup, float last)
{
    if (step < warmup) return (float)rise(step, warmup);
    return (float)(1 + ((double)last - 1) * progress(step, n_step, warmup));
}

float lb_lr_wsd(int step, int n_step, int warmup, int decay, float last)
{
    if (step < warmup) return (float)rise(step, warmup);
    int from = n_step - decay;
    if (step < from) return 1;
    double done = decay <= 0 || step >= n_step ? 1 : (double)(step - from) / decay;
    return (float)(1 + ((double)last - 1) * done);
}
