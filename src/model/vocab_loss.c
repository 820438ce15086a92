/* model/vocab_loss.c – losses over the vocabulary in chunks of rows. */
#include "model/vocab_loss.h"
#include "base/mem.h"
#include "kern/elem.h"
#include "kern/gemm.h"
#include "kern/grad_rows.h"
#include "model/grad.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct lb_vocab {
    lb_exec *ex;                     /* borrowed */
    int n_vocab, d, d_teacher, chunk;
    /* device memory, owned */
    float *s, *t;                    /* [chunk, n_vocab]; t: NULL without a teacher by logits */
    float *h, *dh, *th;              /* [chunk, d], [chunk, d], [chunk, d_teacher]: rows that do not lie together */
    float *one;                      /* [chunk] ones */
    int *pick;                       /* [chunk] which tokens the rows are */
    int *top_ids;                    /* [chunk, top_k] */
    float *top_p;
    int top_k;                       /* that there is room for */
    /* host memory, owned */
    lb_vocab_task *task;             /* [chunk] */
    lb_vocab_row *row;               /* [chunk] */
    int *tok;                        /* [chunk] as pick */
    int *stamp;                      /* [n_vocab] to find ids that come twice; NULL before the first cached teacher */
    int *host_ids;                   /* [chunk, top_k] as top_ids, top_p */
    float *host_p;
};

enum { CHUNK_BYTES = 512 << 20, CHUNK_MOST = 512 };

/* Three times a row of n_vocab: logits, a teacher's, and the transposed copy that the product for dhead makes. */
int lb_vocab_chunk(int n_vocab)
{
    int n = (int)((double)CHUNK_BYTES / (12.0 * n_vocab)) / LB_GEMM_ROWS * LB_GEMM_ROWS;
    return n < LB_GEMM_ROWS ? LB_GEMM_ROWS : n > CHUNK_MOST ? CHUNK_MOST : n;
}

/* The products for logits, hidden gradients and head gradients of n rows. */
static lb_gemm to_logits(const lb_vocab *v, const float *h, const float *head, int n)
{
    return (lb_gemm){.c = v->s, .a = h, .b = head, .tb = true, .m = n, .n = v->n_vocab, .k = v->d};
}
static lb_gemm to_hidden(const lb_vocab *v, float *dh, const float *head, int n)
{
    return (lb_gemm){.c = dh, .a = v->s, .b = head, .m = n, .n = v->d, .k = v->n_vocab};
}
static lb_gemm to_head(const lb_vocab *v, float *dhead, const float *h, int n)
{
    return (lb_gemm){.c = dhead, .a = v->s, .ta = true, .b = h, .m = v->n_vocab, .n = v->d, .k = n, .add = true};
}

size_t lb_vocab_scratch(const lb_exec *ex, lb_compute compute, int n_vocab, int d, int n_tok)
{
    const lb_vocab v = {.n_vocab = n_vocab, .d = d};
    int chunk = lb_vocab_chunk(n_vocab), n = n_tok < chunk ? n_tok : chunk;
    lb_gemm all[] = {to_logits(&v, NULL, NULL, n), to_hidden(&v, NULL, NULL, n), to_head(&v, NULL, NULL, n)};
    size_t most = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        all[i].compute = compute;
        const lb_impl *impl = lb_op_pick(&lb_op_gemm, ex, &all[i]);
        size_t bytes = impl && impl->scratch ? impl->scratch(&all[i]) : 0;
        if (bytes > most) most = bytes;
    }
    return most;
}

size_t lb_vocab_bytes(const lb_exec *ex, lb_compute compute, int n_vocab, int d, int d_teacher)
{
    int chunk = lb_vocab_chunk(n_vocab);
    double row = (double)n_vocab * (d_teacher > 0 ? 2 : 1) + 2.0 * d + d_teacher + 2;
    double host = sizeof(lb_vocab_task) + sizeof(lb_vocab_row) + sizeof(int);
    return (size_t)(chunk * (row * 4 + host)) + lb_vocab_scratch(ex, compute, n_vocab, d, chunk);
}

lb_vocab *lb_vocab_open(lb_exec *ex, int n_vocab, int d, int d_teacher, lb_err *err)
{
    if (n_vocab < 1 || d < 1 || d_teacher < 0)
        return lb_fail_null(err, LB_EUSAGE, "a head [%d,%d] with a teacher of %d is no head", n_vocab, d, d_teacher);
    lb_vocab *v = lb_alloc(1, sizeof *v, "the loss", err);
    if (!v) return NULL;
    int chunk = lb_vocab_chunk(n_vocab);
    size_t n = (size_t)chunk, row = (size_t)n_vocab * sizeof(float);
    *v = (lb_vocab){.ex = ex, .n_vocab = n_vocab, .d = d, .d_teacher = d_teacher, .chunk = chunk};
    if (!(v->s = lb_exec_alloc(ex, n, row, "logits", err)) ||
        (d_teacher && !(v->t = lb_exec_alloc(ex, n, row, "a teacher's logits", err))) ||
        (d_teacher && !(v->th = lb_exec_alloc(ex, n, (size_t)d_teacher * sizeof(float), "the loss", err))) ||
        !(v->h = lb_exec_alloc(ex, n, (size_t)d * sizeof(float), "the loss", err)) ||
        !(v->dh = lb_exec_alloc(ex, n, (size_t)d * sizeof(float), "the loss", err)) ||
        !(v->one = lb_exec_alloc(ex, n, sizeof(float), "the loss", err)) ||
        !(v->pick = lb_exec_alloc(ex, n, sizeof(int), "the loss", err)) ||
        !(v->task = lb_alloc(n, sizeof *v->task, "the loss", err)) ||
        !(v->row = lb_alloc(n, sizeof *v->row, "the loss", err)) || !(v->tok = lb_alloc(n, sizeof(int), "the loss", err)))
        goto fail;
    for (int i = 0; i < chunk; i++) {
        const float one = 1;
        lb_exec_put(ex, v->one + i, &one, sizeof one);
    }
    return v;
fail:
    lb_vocab_close(v);
    return NULL;
}

static void free_top(lb_vocab *v)
{
    lb_exec_free(v->ex, v->top_ids);
    lb_exec_free(v->ex, v->top_p);
    free(v->host_ids);
    free(v->host_p);
    v->top_ids = v->host_ids = NULL, v->top_p = v->host_p = NULL, v->top_k = 0;
}

void lb_vocab_close(lb_vocab *v)
{
    if (!v) return;
    lb_exec_free(v->ex, v->s);
    lb_exec_free(v->ex, v->t);
    lb_exec_free(v->ex, v->h);
    lb_exec_free(v->ex, v->dh);
    lb_exec_free(v->ex, v->th);
    lb_exec_free(v->ex, v->one);
    lb_exec_free(v->ex, v->pick);
    free_top(v);
    free(v->task);
    free(v->row);
    free(v->tok);
    free(v->stamp);
    free(v);
}

static bool room_for_top(lb_vocab *v, int k, lb_err *err)
{
    if (!v->stamp && !(v->stamp = lb_alloc((size_t)v->n_vocab, sizeof(int), "the loss", err))) return false;
    if (k <= v->top_k) return true;
    free_top(v);
    size_t n = (size_t)v->chunk, row = (size_t)k * sizeof(float);
    v->top_ids = lb_exec_alloc(v->ex, n, row, "a teacher's cache", err);
    v->top_p = v->top_ids ? lb_exec_alloc(v->ex, n, row, "a teacher's cache", err) : NULL;
    v->host_ids = v->top_p ? lb_alloc(n, row, "a teacher's cache", err) : NULL;
    v->host_p = v->host_ids ? lb_alloc(n, row, "a teacher's cache", err) : NULL;
    if (!v->host_p) return false;
    v->top_k = k;
    return true;
}

/* ---- checks ---- */
static float or_one(float x) { return x != 0 ? x : 1; }
static bool positive(float x) { return x > 0 && isfinite(x); }

static bool check_teacher(const lb_vocab *v, const lb_vocab_loss *a, lb_err *err)
{
    const lb_distill *d = &a->distill;
    const lb_teacher *t = &a->teacher;
    bool learns = d->forward != 0 || d->reverse != 0 || d->jsd != 0, by_h = t->h || t->head;
    if (learns && !by_h && !t->top_k) return lb_fail(err, LB_EUSAGE, "distillation wants a teacher, and there is none");
    if (by_h && t->top_k) return lb_fail(err, LB_EUSAGE, "a teacher is hidden states or cached probabilities, not both");
    if (by_h && (!t->h || !t->head))
        return lb_fail(err, LB_EUSAGE, "a teacher has hidden states and a head; one is missing");
    if (by_h && t->head->w.n != v->n_vocab)
        return lb_fail(err, LB_EUSAGE, "the teacher's vocabulary has %d ids, the student's %d: distillation wants the same",
                       t->head->w.n, v->n_vocab);
    if (by_h && t->head->w.k != v->d_teacher)
        return lb_fail(err, LB_EUSAGE, "the teacher's hidden states have %d numbers; the loss was opened for %d",
                       t->head->w.k, v->d_teacher);
    if (t->top_k && (t->top_k < 1 || t->top_k > LB_VOCAB_TOP || t->top_k > v->n_vocab || !t->top_ids || !t->top_p))
        return lb_fail(err, LB_EUSAGE, "a cached teacher has 1 to %d of %d ids a row with probabilities, not %d",
                       LB_VOCAB_TOP, v->n_vocab, t->top_k);
    if (!positive(or_one(d->temperature)))
        return lb_fail(err, LB_EUSAGE, "the temperature of distillation is above 0, not %g", (double)d->temperature);
    if (d->jsd != 0 && d->beta != 0 && !(d->beta > 0 && d->beta < 1))
        return lb_fail(err, LB_EUSAGE, "β of the Jensen–Shannon divergence is between 0 and 1, not %g", (double)d->beta);
    return true;
}

static bool check(const lb_vocab *v, const lb_vocab_loss *a, lb_err *err)
{
    const lb_policy *p = &a->policy;
    if (a->n_tok < 1 || !a->h || !a->head) return lb_fail(err, LB_EUSAGE, "a loss wants hidden states and a head");
    if (!positive(or_one(a->temperature)))
        return lb_fail(err, LB_EUSAGE, "the temperature is above 0, not %g", (double)a->temperature);
    if (!(a->norm >= 0) || !isfinite(a->norm))
        return lb_fail(err, LB_EUSAGE, "the norm of a loss is above 0, not %g", a->norm);
    if ((a->ce != 0 || p->advantage) && !a->target) return lb_fail(err, LB_EUSAGE, "this loss wants target ids");
    if (p->advantage && (!(p->clip_low >= 0) || !(p->clip_high >= 0) || !isfinite(p->kl)))
        return lb_fail(err, LB_EUSAGE, "clips %g and %g are not at least 0", (double)p->clip_low, (double)p->clip_high);
    if (p->kl != 0 && (!p->ref_logp || !p->advantage))
        return lb_fail(err, LB_EUSAGE, "the KL to a reference wants its log-probabilities and advantages");
    if (a->ce == 0 && !p->advantage && a->distill.forward == 0 && a->distill.reverse == 0 && a->distill.jsd == 0 &&
        (a->dh || a->dhead))
        return lb_fail(err, LB_EUSAGE, "a loss with nothing in it has no gradient");
    return check_teacher(v, a, err);
}

static float weight_of(const lb_vocab_loss *a, int t) { return a->weight ? a->weight[t] : 1; }

static bool check_top(lb_vocab *v, const lb_vocab_loss *a, int t, lb_err *err)
{
    int k = a->teacher.top_k;
    double sum = 0;
    for (int i = 0; i < k; i++) {
        int id = a->teacher.top_ids[(size_t)t * (size_t)k + (size_t)i];
        float p = a->teacher.top_p[(size_t)t * (size_t)k + (size_t)i];
        if (id < 0 || id >= v->n_vocab)
            return lb_fail(err, LB_EUSAGE, "row %d of the teacher's cache: id %d is outside the vocabulary of %d", t, id,
                           v->n_vocab);
        if (v->stamp[id] == t + 1) return lb_fail(err, LB_EUSAGE, "row %d of the teacher's cache: id %d comes twice", t, id);
        if (!(p >= 0) || !isfinite(p))
            return lb_fail(err, LB_EUSAGE, "row %d of the teacher's cache: %g is no probability", t, (double)p);
        v->stamp[id] = t + 1;
        sum += (double)p;
    }
    return sum <= 1.001 || lb_fail(err, LB_EUSAGE, "row %d of the teacher's cache: its probabilities make %g", t, sum);
}

static bool check_rows(lb_vocab *v, const lb_vocab_loss *a, double *weight, lb_err *err)
{
    bool wants = a->ce != 0 || a->policy.advantage;
    *weight = 0;
    if (v->stamp) memset(v->stamp, 0, (size_t)v->n_vocab * sizeof(int));
    for (int t = 0; t < a->n_tok; t++) {
        float w = weight_of(a, t);
        if (!(w >= 0) || !isfinite(w)) return lb_fail(err, LB_EUSAGE, "row %d has the weight %g", t, (double)w);
        *weight += (double)w;
        if (w == 0) continue;
        if (a->target && (a->target[t] >= v->n_vocab || a->target[t] < (wants ? 0 : -1)))
            return lb_fail(err, LB_EUSAGE, "row %d has the target %d; the vocabulary has %d", t, a->target[t], v->n_vocab);
        if (a->teacher.top_k && !check_top(v, a, t, err)) return false;
    }
    return true;
}

/* ---- one chunk ---- */
static bool run(lb_vocab *v, const lb_op *op, const void *args, lb_err *err)
{
    const lb_impl *impl = lb_op_pick(op, v->ex, args);
    if (!impl) return lb_fail(err, LB_EUNSUPPORTED, "no %s kernel on %s", op->name, lb_exec_name(v->ex));
    if (impl->scratch && !lb_exec_reserve(v->ex, impl->scratch(args), err)) return false;
    lb_op_run(op, impl, args, v->ex);
    return true;
}

/* Rows of x [*, d] that v->tok names: where they lie if together, else copied to `room`. */
static const float *rows_of(lb_vocab *v, const float *x, int d, int n, float *room, bool together, lb_err *err)
{
    lb_gather g = {.y = room, .x = x, .rows = v->pick, .n = n, .d = d};
    if (together) return x + (size_t)v->tok[0] * (size_t)d;
    return run(v, &lb_op_gather, &g, err) ? room : NULL;
}

static void fill_tasks(lb_vocab *v, const lb_vocab_loss *a, int n, double norm)
{
    const lb_policy *p = &a->policy;
    for (int i = 0; i < n; i++) {
        int t = v->tok[i];
        v->task[i] = (lb_vocab_task){.target = a->target ? a->target[t] : -1,
                                     .weight = (float)((double)weight_of(a, t) / norm),
                                     .advantage = p->advantage ? p->advantage[t] : 0,
                                     .old_logp = p->old_logp ? p->old_logp[t] : 0,
                                     .ref_logp = p->ref_logp ? p->ref_logp[t] : 0};
    }
}

static bool teach(lb_vocab *v, const lb_vocab_loss *a, lb_vocab_rows *r, bool together, lb_err *err)
{
    const lb_teacher *t = &a->teacher;
    size_t k = (size_t)t->top_k, n = (size_t)r->n;
    if (t->head) {
        size_t scratch = 0;
        const float *h = rows_of(v, t->h, v->d_teacher, r->n, v->th, together, err);
        if (!h || !lb_linear_check(t->head, "the teacher's head", r->n, v->ex, &scratch, err) ||
            !lb_exec_reserve(v->ex, scratch, err))
            return false;
        lb_linear_run(t->head, v->t, v->n_vocab, h, r->n, v->ex);
        r->t = v->t;
    }
    if (!k) return true;
    for (size_t i = 0; i < n; i++) {
        memcpy(v->host_ids + i * k, t->top_ids + (size_t)v->tok[i] * k, k * sizeof(int));
        memcpy(v->host_p + i * k, t->top_p + (size_t)v->tok[i] * k, k * sizeof(float));
    }
    lb_exec_put(v->ex, v->top_ids, v->host_ids, n * k * sizeof(int));
    lb_exec_put(v->ex, v->top_p, v->host_p, n * k * sizeof(float));
    r->top_ids = v->top_ids, r->top_p = v->top_p, r->top_k = t->top_k;
    return true;
}

/* Losses and gradients of the tokens v->tok[0…n). */
static bool chunk(lb_vocab *v, const lb_vocab_loss *a, int n, double norm, lb_err *err)
{
    const lb_distill *d = &a->distill;
    bool together = v->tok[n - 1] - v->tok[0] == n - 1;
    lb_exec_put(v->ex, v->pick, v->tok, (size_t)n * sizeof(int));
    const float *h = rows_of(v, a->h, v->d, n, v->h, together, err);
    if (!h) return false;
    lb_gemm logits = to_logits(v, h, a->head, n), back = to_head(v, a->dhead, h, n);
    logits.compute = back.compute = a->compute;
    lb_vocab_rows r = {.s = v->s, .n = n, .n_vocab = v->n_vocab, .temperature = or_one(a->temperature), .ce = a->ce,
                       .forward = d->forward, .reverse = d->reverse, .jsd = d->jsd, .beta = d->beta != 0 ? d->beta : 0.5f,
                       .tau = or_one(d->temperature), .policy = a->policy.advantage, .has_old = a->policy.old_logp,
                       .has_ref = a->policy.ref_logp, .clip_low = a->policy.clip_low, .clip_high = a->policy.clip_high,
                       .kl = a->policy.kl, .grad = a->dh || a->dhead, .task = v->task, .row = v->row};
    fill_tasks(v, a, n, norm);
    if (!run(v, &lb_op_gemm, &logits, err) || !teach(v, a, &r, together, err) || !run(v, &lb_op_vocab_rows, &r, err))
        return false;
    if (a->dh) {
        float *to = together ? a->dh + (size_t)v->tok[0] * (size_t)v->d : v->dh;
        lb_gemm g = to_hidden(v, to, a->head, n);
        g.compute = a->compute;
        lb_scatter s = {.y = a->dh, .x = v->dh, .rows = v->pick, .weight = v->one, .n = n, .d = v->d};
        if (!run(v, &lb_op_gemm, &g, err) || (!together && !run(v, &lb_op_scatter, &s, err))) return false;
    }
    return (!a->dhead || run(v, &lb_op_gemm, &back, err)) && lb_exec_sync(v->ex, err);
}

/* ---- sums ---- */
static bool add_up(const lb_vocab *v, const lb_vocab_loss *a, int n, double norm, lb_vocab_sums *s, lb_err *err)
{
    for (int i = 0; i < n; i++) {
        const lb_vocab_row *r = &v->row[i];
        int t = v->tok[i];
        double w = (double)weight_of(a, t);
        if (!isfinite(r->loss))
            return lb_fail(err, LB_ENUMERIC, "the loss of row %d is %g (log-probability %g); lower the learning rate", t,
                           r->loss, (double)r->logp);
        s->loss += w * r->loss / norm, s->ce -= w * (double)r->logp / norm;
        s->distill += w * r->distill / norm, s->policy += w * r->policy / norm;
        s->logp += w * (double)r->logp, s->entropy += w * (double)r->entropy;
        s->kl_forward += w * (double)r->kl_forward, s->kl_reverse += w * (double)r->kl_reverse;
        s->teacher_top += w * (double)r->teacher_top;
        s->ratio += w * (double)r->ratio, s->clipped += w * r->clipped, s->k3 += w * (double)r->k3;
        s->n_row++;
        if (a->rows) a->rows[t] = *r;
    }
    return true;
}

static void means(lb_vocab_sums *s, const lb_vocab_loss *a)
{
    bool teacher = a->teacher.head || a->teacher.top_k;
    double w = s->weight;
    s->entropy /= w;
    s->logp = a->target ? s->logp / w : NAN;
    if (!a->target) s->ce = 0;
    s->kl_forward = teacher ? s->kl_forward / w : NAN;
    s->kl_reverse = teacher ? s->kl_reverse / w : NAN;
    s->teacher_top = teacher ? s->teacher_top / w : NAN;
    s->ratio = a->policy.advantage ? s->ratio / w : NAN;
    s->clipped = a->policy.advantage ? s->clipped / w : NAN;
    s->k3 = a->policy.ref_logp && a->target ? s->k3 / w : NAN;
}

bool lb_vocab_loss_run(lb_vocab *v, const lb_vocab_loss *a, lb_vocab_sums *out, lb_err *err)
{
    *out = (lb_vocab_sums){0};
    if (!check(v, a, err) || (a->teacher.top_k && !room_for_top(v, a->teacher.top_k, err)) ||
        !check_rows(v, a, &out->weight, err))
        return false;
    double norm = a->norm > 0 ? a->norm : out->weight;
    lb_copy zero = {.y = a->dh, .n = (size_t)a->n_tok * (size_t)v->d};
    if (a->dh && !run(v, &lb_op_copy, &zero, err)) return false;
    if (a->rows) memset(a->rows, 0, (size_t)a->n_tok * sizeof *a->rows);
    for (int t = 0; t < a->n_tok;) {
        int n = 0;
        for (; t < a->n_tok && n < v->chunk; t++)
            if (weight_of(a, t) > 0) v->tok[n++] = t;
        if (n && (!chunk(v, a, n, norm, err) || !add_up(v, a, n, norm, out, err))) return false;
    }
    means(out, a);
    return true;
}
