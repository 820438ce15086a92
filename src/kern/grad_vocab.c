/* kern/grad_vocab.c – the definition of the losses over the vocabulary, and their table. */
#include "kern/grad_vocab.h"
#include "kern/x86/grad_vocab_x86.h"
#include <math.h>

/* ---- what does not depend on how a row is read; shared by the table's rows ---- */
double lb_vocab_begin(const lb_vocab_rows *a, int row, double entropy, double target, double log_sum)
{
    const lb_vocab_task *k = &a->task[row];
    lb_vocab_row *r = &a->row[row];
    double dl = 0;
    *r = (lb_vocab_row){.entropy = (float)entropy, .ratio = 1};
    if (k->target < 0) return 0;
    r->logp = (float)(target - log_sum);
    r->loss = -(double)a->ce * (target - log_sum);
    if (a->policy) {
        double adv = (double)k->advantage, rho = a->has_old ? exp((double)r->logp - (double)k->old_logp) : 1;
        double lo = 1 - (double)a->clip_low, hi = 1 + (double)a->clip_high;
        double free = rho * adv, held = (rho < lo ? lo : rho > hi ? hi : rho) * adv;
        bool within = !(free > held);
        r->ratio = (float)rho;
        r->clipped = !within;
        r->policy = -(within ? free : held);
        dl = within ? -free : 0;
    }
    if (a->has_ref) {
        double by = (double)k->ref_logp - (double)r->logp;
        r->k3 = (float)(exp(by) - by - 1);
        if (a->policy) r->policy += (double)a->kl * (exp(by) - by - 1), dl += (double)a->kl * (1 - exp(by));
    }
    r->loss += r->policy;
    return (double)k->weight * ((double)a->ce - dl) / (double)a->temperature;
}

void lb_vocab_distilled(const lb_vocab_rows *a, int row, const lb_vocab_kl *kl)
{
    lb_vocab_row *r = &a->row[row];
    double jsd = (double)a->beta * kl->mid_teacher + (1 - (double)a->beta) * kl->mid_student;
    double sum = 0; /* a divergence that is not asked for may be infinite */
    if (a->forward != 0) sum += (double)a->forward * kl->forward;
    if (a->reverse != 0) sum += (double)a->reverse * kl->reverse;
    if (a->jsd != 0) sum += (double)a->jsd * jsd;
    r->kl_forward = (float)kl->forward, r->kl_reverse = (float)kl->reverse;
    r->distill = (double)a->tau * (double)a->tau * sum;
    r->loss += r->distill;
}

/* One outcome's part in the divergences; p, q with their logarithms. */
static void add_outcome(const lb_vocab_rows *a, lb_vocab_kl *kl, double p, double lp, double q, double lq)
{
    if (q > 0) kl->forward += q * (lq - lp);
    if (p > 0) kl->reverse += p * (lp - lq);
    if (a->jsd == 0) return;
    double lm = log((double)a->beta * q + (1 - (double)a->beta) * p);
    if (q > 0) kl->mid_teacher += q * (lq - lm);
    if (p > 0) kl->mid_student += p * (lp - lm);
}

/* p·(G − Σ p·G) of an outcome of probability p, without p·Σ p·G of KL(q‖p), which is −p: what τ·weight is factor of. */
static double outcome_slope(const lb_vocab_rows *a, const lb_vocab_kl *kl, double p, double lp, double q, double lq)
{
    double d = 0;
    if (a->forward != 0) d += (double)a->forward * (p - q);
    if (a->reverse != 0 && p > 0) d += (double)a->reverse * p * (lp - lq - kl->reverse);
    if (a->jsd != 0 && p > 0) {
        double lm = log((double)a->beta * q + (1 - (double)a->beta) * p);
        d += (double)a->jsd * (1 - (double)a->beta) * p * (lp - lm - kl->mid_student);
    }
    return d;
}

void lb_vocab_top(const lb_vocab_rows *a, int row, const double *lp, double p_rest, double *slope, double *rest)
{
    const float *q = a->top_p + (size_t)row * (size_t)a->top_k;
    lb_vocab_kl kl = {0};
    double q_rest = 1, most = 0;
    for (int i = 0; i < a->top_k; i++) {
        q_rest -= (double)q[i];
        most = fmax(most, (double)q[i]);
        add_outcome(a, &kl, exp(lp[i]), lp[i], (double)q[i], log((double)q[i]));
    }
    if (q_rest < LB_VOCAB_REST) q_rest = LB_VOCAB_REST;
    if (a->top_k < a->n_vocab) add_outcome(a, &kl, p_rest, log(p_rest), q_rest, log(q_rest));
    for (int i = 0; i < a->top_k; i++)
        slope[i] = outcome_slope(a, &kl, exp(lp[i]), lp[i], (double)q[i], log((double)q[i]));
    *rest = p_rest > 0 ? outcome_slope(a, &kl, p_rest, log(p_rest), q_rest, log(q_rest)) / p_rest : 0;
    lb_vocab_distilled(a, row, &kl);
    a->row[row].teacher_top = (float)most;
}

/* ---- the reference ---- */
static double log_sum_exp(const float *x, int n, double temperature, double *top)
{
    double most = -INFINITY, sum = 0;
    for (int j = 0; j < n; j++) most = fmax(most, (double)x[j] / temperature);
    for (int j = 0; j < n; j++) sum += exp((double)x[j] / temperature - most);
    if (top) *top = most;
    return most + log(sum);
}

/* Where the distillation of a row stands while its logits are turned into gradients. */
typedef struct taught {
    double log_p, log_q;         /* of the sums, at τ */
    lb_vocab_kl kl;
} taught;

static taught by_logits(const lb_vocab_rows *a, int row)
{
    const float *s = a->s + (size_t)row * (size_t)a->n_vocab, *t = a->t + (size_t)row * (size_t)a->n_vocab;
    double tau = (double)a->tau, top;
    taught w = {.log_p = log_sum_exp(s, a->n_vocab, tau, NULL), .log_q = log_sum_exp(t, a->n_vocab, tau, &top)};
    for (int j = 0; j < a->n_vocab; j++) {
        double lp = (double)s[j] / tau - w.log_p, lq = (double)t[j] / tau - w.log_q;
        add_outcome(a, &w.kl, exp(lp), lp, exp(lq), lq);
    }
    lb_vocab_distilled(a, row, &w.kl);
    a->row[row].teacher_top = (float)exp(top - w.log_q);
    return w;
}

static bool is_top(const lb_vocab_rows *a, int row, int j)
{
    const int *id = a->top_ids + (size_t)row * (size_t)a->top_k;
    for (int i = 0; i < a->top_k; i++)
        if (id[i] == j) return true;
    return false;
}

/* Slopes of the k and the others; the row's report. */
static taught by_top(const lb_vocab_rows *a, int row, double *slope, double *rest)
{
    const float *s = a->s + (size_t)row * (size_t)a->n_vocab;
    const int *id = a->top_ids + (size_t)row * (size_t)a->top_k;
    double tau = (double)a->tau, lp[LB_VOCAB_TOP], p_rest = 0;
    taught w = {.log_p = log_sum_exp(s, a->n_vocab, tau, NULL)};
    for (int i = 0; i < a->top_k; i++) lp[i] = (double)s[id[i]] / tau - w.log_p;
    for (int j = 0; j < a->n_vocab; j++)
        if (!is_top(a, row, j)) p_rest += exp((double)s[j] / tau - w.log_p);
    lb_vocab_top(a, row, lp, p_rest, slope, rest);
    return w;
}

static void vocab_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_vocab_rows *a = args;
    double slope[LB_VOCAB_TOP], rest = 0, tau = (double)a->tau;
    for (int r = i0; r < i1; r++) {
        float *s = a->s + (size_t)r * (size_t)a->n_vocab;
        const float *t = a->t ? a->t + (size_t)r * (size_t)a->n_vocab : NULL;
        const int *id = a->top_k ? a->top_ids + (size_t)r * (size_t)a->top_k : NULL;
        int y = a->task[r].target;
        double temp = (double)a->temperature, mean = 0, lse = log_sum_exp(s, a->n_vocab, temp, NULL);
        for (int j = 0; j < a->n_vocab; j++) {
            double x = (double)s[j] / temp - lse;
            if (exp(x) > 0) mean += exp(x) * x;
        }
        double c = lb_vocab_begin(a, r, -mean, y < 0 ? 0 : (double)s[y] / temp, lse), by = tau * (double)a->task[r].weight;
        taught w = t ? by_logits(a, r) : a->top_k ? by_top(a, r, slope, &rest) : (taught){0};
        if (!a->grad) continue;
        double kept[LB_VOCAB_TOP];
        for (int i = 0; i < a->top_k; i++)
            kept[i] = c * (exp((double)s[id[i]] / temp - lse) - (id[i] == y)) + by * slope[i];
        for (int j = 0; j < a->n_vocab; j++) {
            double d = c * (exp((double)s[j] / temp - lse) - (j == y)), lp = (double)s[j] / tau - w.log_p;
            if (t) {
                double lq = (double)t[j] / tau - w.log_q;
                d += by * outcome_slope(a, &w.kl, exp(lp), lp, exp(lq), lq);
            } else if (a->top_k) {
                d += by * exp(lp) * rest;
            }
            s[j] = (float)d;
        }
        for (int i = 0; i < a->top_k; i++) s[id[i]] = (float)kept[i];
    }
}

/* The middle distribution's logarithms over a whole vocabulary are the reference's only. */
static bool no_jsd(const void *args)
{
    const lb_vocab_rows *a = args;
    return !a->t || a->jsd == 0;
}

static const lb_impl impls[] = {
    {"ref", 0, NULL, vocab_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, no_jsd, lb_vocab_rows_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, no_jsd, lb_vocab_rows_avx512, NULL, NULL})
    {0},
};
static int units(const void *a) { return ((const lb_vocab_rows *)a)->n; }
static int grain(const void *a) { int v = ((const lb_vocab_rows *)a)->n_vocab; return v >= 4096 ? 1 : 4096 / v + 1; }

const lb_op lb_op_vocab_rows = {"vocab_rows", impls, units, grain, NULL};
