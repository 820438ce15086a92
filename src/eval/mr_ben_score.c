/* eval/mr_ben_score.c – the numbers of MR-Ben that need no judge, with their standard errors.
 *
 * Of each subject, over all samples (arXiv:2406.13975, section 4, and the published script):
 *
 *   mcc     Matthews' coefficient of "the solution is correct"; a reply that says neither counts as the wrong one
 *   step    of the wrong solutions, the part that was called incorrect with the right number of the first wrong step
 *
 * and over subjects the plain mean. MR-Score is 0.2·max(0, mcc) + 0.3·step + 0.5·reason; the last needs a judge, so
 * what is given is the sum of the first two terms, at most 0.5, under a name that says so. Programs have no step: they
 * count in mcc only.
 *
 * Standard errors are the standard deviation over resamples of questions (all solutions and samples of a question
 * together) within each subject. */
#include "base/mem.h"
#include "base/rng.h"
#include "eval/mr_ben.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_BOOT = 1000, MAX_SUBJECT = 16, N_NUMBER = 3 };

typedef struct counts {          /* of one question, one subject or one resample */
    int64_t correct, incorrect;  /* solutions that are */
    int64_t tp, tn;              /* of these, called so */
    int64_t step;                /* incorrect ones with the right step */
} counts;

typedef struct question {
    int subject, cluster;
    bool coding;
    counts n;
} question;

typedef struct tally {
    question *q;                 /* [n], owned, by subject */
    size_t n;
    size_t first[MAX_SUBJECT + 1];   /* where each subject begins */
    int n_subject;
} tally;

static void add(counts *a, const counts *b)
{
    a->correct += b->correct, a->incorrect += b->incorrect;
    a->tp += b->tp, a->tn += b->tn, a->step += b->step;
}

static int by_question(const void *a, const void *b)
{
    const question *x = a, *y = b;
    if (x->subject != y->subject) return x->subject < y->subject ? -1 : 1;
    return (x->cluster > y->cluster) - (x->cluster < y->cluster);
}

static question of_sample(const lb_scored *s)
{
    const char *gold_step, *step;
    lb_mr_said gold = lb_mr_read(s->item->gold, &gold_step), said = lb_mr_read(s->extracted, &step);
    question q = {.subject = s->item->source, .cluster = s->item->cluster, .coding = lb_mr_is_coding(s->item)};
    q.n = (counts){.correct = gold == LB_MR_CORRECT, .incorrect = gold == LB_MR_INCORRECT};
    q.n.tp = gold == LB_MR_CORRECT && said == gold;
    q.n.tn = gold == LB_MR_INCORRECT && said == gold;
    q.n.step = q.n.tn && !q.coding && strcmp(step, gold_step) == 0;
    return q;
}

static bool tally_of(const lb_scored *s, size_t n, tally *t, lb_err *err)
{
    memset(t, 0, sizeof *t);
    if (!(t->q = lb_alloc(n, sizeof *t->q, "the scores", err))) return false;
    for (size_t i = 0; i < n; i++) t->q[i] = of_sample(&s[i]);
    qsort(t->q, n, sizeof *t->q, by_question);
    for (size_t i = 0; i < n; i++) {
        if (t->n && by_question(&t->q[t->n - 1], &t->q[i]) == 0) add(&t->q[t->n - 1].n, &t->q[i].n);
        else t->q[t->n++] = t->q[i];
    }
    for (size_t i = 0; i < t->n; i++)
        if (i == 0 || t->q[i].subject != t->q[i - 1].subject) t->first[t->n_subject++] = i;
    t->first[t->n_subject] = t->n;
    return true;
}

static double mcc(const counts *c)
{
    double tp = (double)c->tp, tn = (double)c->tn, fp = (double)(c->incorrect - c->tn),
           fn = (double)(c->correct - c->tp);
    double d = sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn));
    return d > 0 ? (tp * tn - fp * fn) / d : 0;
}

static double step_accuracy(const counts *c) { return c->incorrect ? (double)c->step / (double)c->incorrect : 0; }

/* mcc, step, and the two terms of MR-Score, each the mean over the subjects that have it. */
static void means(const tally *t, const counts *c, double out[N_NUMBER])
{
    double sum[N_NUMBER] = {0};
    int n = 0;
    for (int s = 0; s < t->n_subject; s++) {
        double m = mcc(&c[s]), step = step_accuracy(&c[s]);
        sum[0] += m;
        if (t->q[t->first[s]].coding) continue;
        sum[1] += step;
        sum[2] += 0.2 * fmax(0, m) + 0.3 * step;
        n++;
    }
    out[0] = sum[0] / t->n_subject;
    out[1] = n ? sum[1] / n : 0;
    out[2] = n ? sum[2] / n : 0;
}

/* Standard deviations over resamples: [N_NUMBER] of the means, [n_subject] of each subject's mcc and step. */
typedef struct spread {
    double sum[N_NUMBER + 2 * MAX_SUBJECT], sq[N_NUMBER + 2 * MAX_SUBJECT];
} spread;

static void resample(const tally *t, spread *sp, const double *centre)
{
    counts c[MAX_SUBJECT];
    double v[N_NUMBER + 2 * MAX_SUBJECT];
    for (int r = 0; r < N_BOOT; r++) {
        lb_rng_key key = lb_rng_key_of(0, 0x6d722d62656e /* "mr-ben" */, (uint64_t)r);
        memset(c, 0, sizeof c);
        for (int s = 0; s < t->n_subject; s++) {
            size_t from = t->first[s], n = t->first[s + 1] - from;
            for (size_t i = 0; i < n; i++)
                add(&c[s], &t->q[from + (size_t)(lb_rng_uniform(key, from + i) * (double)n)].n);
            v[N_NUMBER + 2 * s] = mcc(&c[s]);
            v[N_NUMBER + 2 * s + 1] = step_accuracy(&c[s]);
        }
        means(t, c, v);
        for (int k = 0; k < N_NUMBER + 2 * t->n_subject; k++) {
            sp->sum[k] += v[k] - centre[k];
            sp->sq[k] += (v[k] - centre[k]) * (v[k] - centre[k]);
        }
    }
}

static bool put(json_t *out, const char *name, const char *subject, double value, const spread *sp, int k, lb_err *err)
{
    char key[96];
    double var = (sp->sq[k] - sp->sum[k] * sp->sum[k] / N_BOOT) / (N_BOOT - 1);
    snprintf(key, sizeof key, "%s%s%s", name, subject ? "/" : "", subject ? subject : "");
    bool ok = json_object_set_new(out, key, json_real(value)) == 0;
    strcat(key, "_stderr");
    ok = ok && json_object_set_new(out, key, json_real(sqrt(fmax(0, var)))) == 0;
    return ok || lb_fail_mem(err, 0, "the scores");
}

bool lb_mr_metrics(const lb_bench *b, const lb_scored *s, size_t n, json_t *out, lb_err *err)
{
    static const char *const names[N_NUMBER] = {"mcc", "first_error_step", "mr_score_without_reason"};
    tally t;
    if (n == 0) return true;
    for (size_t i = 0; i < n; i++)
        if (s[i].item->source >= MAX_SUBJECT)
            return lb_fail(err, LB_EUNSUPPORTED, "more than %d subjects", MAX_SUBJECT);
    if (!tally_of(s, n, &t, err)) return false;
    counts c[MAX_SUBJECT] = {{0}};
    double v[N_NUMBER + 2 * MAX_SUBJECT];
    spread sp = {{0}, {0}};
    for (int k = 0; k < t.n_subject; k++) {
        for (size_t i = t.first[k]; i < t.first[k + 1]; i++) add(&c[k], &t.q[i].n);
        v[N_NUMBER + 2 * k] = mcc(&c[k]);
        v[N_NUMBER + 2 * k + 1] = step_accuracy(&c[k]);
    }
    means(&t, c, v);
    resample(&t, &sp, v);
    bool ok = true;
    for (int k = 0; ok && k < N_NUMBER; k++) ok = put(out, names[k], NULL, v[k], &sp, k, err);
    for (int k = 0; ok && k < t.n_subject; k++) {
        const question *q = &t.q[t.first[k]];
        const char *subject = b->sources[q->subject]->name;
        ok = put(out, "mcc", subject, v[N_NUMBER + 2 * k], &sp, N_NUMBER + 2 * k, err);
        if (ok && !q->coding)
            ok = put(out, "first_error_step", subject, v[N_NUMBER + 2 * k + 1], &sp, N_NUMBER + 2 * k + 1, err);
    }
    free(t.q);
    return ok;
}
