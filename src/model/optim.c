/* model/optim.c – AdamW, SignSGD and schedules. */
#include "model/optim.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    int steps;
};

lb_optim *lb_optim_open(lb_exec *ex, const lb_optim_opt *opt, lb_err *err)
{
    if (lb_exec_mask(ex) & LB_CUDA)
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
    free(o->entries);
    free(o);
}

static size_t count_of(const lb_param *p) { return (size_t)p->n * (size_t)p->k; }

bool lb_optim_add(lb_optim *o, lb_param *p, const lb_optim_group *group, lb_err *err)
{
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

/* ---- one step; pieces are elements of one parameter ---- */
typedef struct job {
    const lb_optim *o;
    const entry *e;
    float lr, fix1, fix2;        /* fix: 1/(1 − βᵗ) */
} job;

enum { PIECE = 4096 };           /* elements; units of lb_parallel are pieces */

static void adamw(const job *j, size_t i0, size_t i1)
{
    const entry *e = j->e;
    float b1 = j->o->opt.beta1, b2 = j->o->opt.beta2, eps = j->o->opt.eps, keep = 1 - j->lr * e->group.weight_decay;
    float *v = e->p->v, *d = e->p->d, *m = e->m, *s = e->s;
    for (size_t i = i0; i < i1; i++) {
        m[i] = b1 * m[i] + (1 - b1) * d[i];
        s[i] = b2 * s[i] + (1 - b2) * d[i] * d[i];
        v[i] = v[i] * keep - j->lr * (m[i] * j->fix1) / (sqrtf(s[i] * j->fix2) + eps);
    }
}

static void sign(const job *j, size_t i0, size_t i1)
{
    float *v = j->e->p->v, keep = 1 - j->lr * j->e->group.weight_decay;
    const float *d = j->e->p->d;
    for (size_t i = i0; i < i1; i++) v[i] = v[i] * keep - j->lr * (float)((d[i] > 0) - (d[i] < 0));
}

static void step_pieces(void *arg, int begin, int end)
{
    const job *j = arg;
    const lb_optim_group *g = &j->e->group;
    size_t n = count_of(j->e->p), i0 = (size_t)begin * PIECE, i1 = (size_t)end * PIECE < n ? (size_t)end * PIECE : n;
    float *v = j->e->p->v;
    if (j->o->opt.kind == LB_OPTIM_SIGN) sign(j, i0, i1);
    else adamw(j, i0, i1);
    for (size_t i = i0; i < i1 && g->lo < g->hi; i++) v[i] = v[i] < g->lo ? g->lo : v[i] > g->hi ? g->hi : v[i];
    memset(j->e->p->d + i0, 0, (i1 - i0) * sizeof(float));
}

static int pieces_of(const lb_param *p) { return (int)((count_of(p) + PIECE - 1) / PIECE); }

static bool all_finite(const lb_param *p)
{
    float sum = 0; /* 0·x is NaN for infinities and NaN, and so is the sum */
    for (size_t i = 0; i < count_of(p); i++) sum += 0 * p->d[i];
    return sum == 0;
}

bool lb_optim_step(lb_optim *o, float lr_factor, lb_err *err)
{
    for (size_t i = 0; i < o->n; i++)
        if (!all_finite(o->entries[i].p)) {
            lb_optim_zero(o);
            return lb_fail(err, LB_ENUMERIC, "step %d: a gradient is not finite; lower the learning rate", o->steps);
        }
    o->steps++;
    for (size_t i = 0; i < o->n; i++) {
        job j = {.o = o, .e = &o->entries[i], .lr = o->entries[i].group.lr * lr_factor,
                 .fix1 = (float)(1 / (1 - pow((double)o->opt.beta1, o->steps))),
                 .fix2 = (float)(1 / (1 - pow((double)o->opt.beta2, o->steps)))};
        lb_parallel(o->ex, pieces_of(j.e->p), 4, step_pieces, &j);
    }
    return true;
}

void lb_optim_zero(lb_optim *o)
{
    for (size_t i = 0; i < o->n; i++) memset(o->entries[i].p->d, 0, count_of(o->entries[i].p) * sizeof(float));
}

double lb_optim_clip_norm(lb_optim *o, double max_norm)
{
    double sum = 0;
    for (size_t i = 0; i < o->n; i++)
        for (size_t j = 0; j < count_of(o->entries[i].p); j++)
            sum += (double)o->entries[i].p->d[j] * (double)o->entries[i].p->d[j];
    double norm = sqrt(sum);
    if (!(norm > max_norm)) return norm;
    float f = (float)(max_norm / norm);
    for (size_t i = 0; i < o->n; i++)
        for (size_t j = 0; j < count_of(o->entries[i].p); j++) o->entries[i].p->d[j] *= f;
    return norm;
}

int lb_optim_steps(const lb_optim *o) { return o->steps; }

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
