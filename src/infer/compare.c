/* infer/compare.c – two models over the same texts, chunk by chunk. */
#include "infer/compare.h"
#include "base/median.h"
#include "base/mem.h"
#include "model/forward.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CHUNK = 512 };

/* ---- one position ---- */

/* ln Σ exp of a row, and its largest element (ties: the lowest index). NaN if a logit is not finite. */
static double log_sum_exp(const float *x, int n, int *top)
{
    int best = 0;
    double sum = 0, bad = 0;
    for (int i = 0; i < n; i++) {
        best = x[i] > x[best] ? i : best;
        bad += (double)(x[i] - x[i]); /* 0, or NaN for NaN and infinities */
    }
    for (int i = 0; i < n; i++) sum += exp((double)x[i] - (double)x[best]);
    *top = best;
    return bad == 0 ? (double)x[best] + log(sum) : NAN;
}

static double kl_of(const float *p, double lse_p, const float *q, double lse_q, int n)
{
    double kl = 0;
    for (int i = 0; i < n; i++) {
        double lp = (double)p[i] - lse_p, lq = (double)q[i] - lse_q;
        kl += exp(lp) * (lp - lq);
    }
    return kl < 0 ? 0 : kl; /* rounding; NaN stays */
}

static double entropy_of(const float *p, double lse, int n)
{
    double h = 0;
    for (int i = 0; i < n; i++) {
        double lp = (double)p[i] - lse;
        h -= exp(lp) * lp;
    }
    return h;
}

typedef struct kl_job {
    const float *p, *q;
    int n;
    double *kl;
} kl_job;

static void kl_some(void *arg, int begin, int end)
{
    const kl_job *j = arg;
    for (int r = begin; r < end; r++) {
        size_t at = (size_t)r * (size_t)j->n;
        int top;
        double lp = log_sum_exp(j->p + at, j->n, &top), lq = log_sum_exp(j->q + at, j->n, &top);
        j->kl[r] = kl_of(j->p + at, lp, j->q + at, lq, j->n);
    }
}

void lb_kl_rows(lb_exec *ex, const float *p, const float *q, int n_row, int n, double *kl)
{
    kl_job j = {p, q, n, kl};
    lb_parallel(ex, n_row, 1, kl_some, &j);
}

int lb_logit_rows(int n_vocab, int most)
{
    int64_t n = ((int64_t)64 << 20) / (4 * (int64_t)n_vocab);
    if (n < 16) n = 16;
    return n < most ? (int)n : most;
}

lb_mean lb_pooled_mean(const double *sum, const double *count, int n)
{
    double all = 0, total = 0, e = 0;
    int used = 0;
    for (int i = 0; i < n; i++) all += sum[i], total += count[i], used += count[i] > 0;
    lb_mean m = {NAN, NAN};
    if (used > 0) m.mean = all / total;
    for (int i = 0; i < n; i++) {
        double d = sum[i] - m.mean * count[i];
        if (count[i] > 0) e += d * d;
    }
    if (used > 1) m.stderr_mean = sqrt((double)used / (used - 1) * e) / total;
    return m;
}

/* ---- two models ---- */

/* What one position gives. */
typedef struct score {
    double kl, entropy, nll_base, nll_quant, mark_base, mark_quant;
    bool same, finite_base, finite_quant;
} score;

/* What one text adds up to. */
enum { KL, ENTROPY, TOP1, NLL_BASE, NLL_QUANT, NLL_DIFF, N_SUM };
typedef struct sums {
    double *of[N_SUM];               /* [n_text] each */
    double *count;                   /* [n_text] positions */
    double *mark_base, *mark_quant, *marked;     /* [n_text]; marked is 1 or 0 */
    double *kl;                      /* [n_pos] every position's */
    double *block;                   /* all of the above, owned */
} sums;

typedef struct side {
    lb_model *m;
    lb_kv *kv;
    lb_forward *f;
    const float *logits;             /* of this chunk */
} side;

typedef struct run {
    side base, quant;
    const lb_text_ids *texts;
    const lb_compare_opt *o;
    int n_text, chunk;
    int *seq, *pos, *out;            /* [chunk] */
    const int *next;                 /* of this chunk's rows */
    score *scores;                   /* [chunk] */
    sums s;
    lb_compare_result *r;
} run;

static void score_some(void *arg, int begin, int end)
{
    run *x = arg;
    int n = x->base.m->cfg.n_vocab, mark = x->o->mark;
    for (int i = begin; i < end; i++) {
        const float *p = x->base.logits + (size_t)i * (size_t)n, *q = x->quant.logits + (size_t)i * (size_t)n;
        int top_p, top_q, next = x->next[i];
        double lp = log_sum_exp(p, n, &top_p), lq = log_sum_exp(q, n, &top_q);
        score *s = &x->scores[i];
        *s = (score){.kl = kl_of(p, lp, q, lq, n), .entropy = entropy_of(p, lp, n), .same = top_p == top_q,
                     .finite_base = isfinite(lp), .finite_quant = isfinite(lq), .nll_base = lp - (double)p[next],
                     .nll_quant = lq - (double)q[next]};
        if (mark >= 0) s->mark_base = exp((double)p[mark] - lp), s->mark_quant = exp((double)q[mark] - lq);
    }
}

bool lb_texts_check(const lb_model *base, const lb_model *quant, const lb_text_ids *texts, int n_text, int64_t *n_pos,
                    int *longest, lb_err *err)
{
    int n_vocab = base->cfg.n_vocab, ctx = lb_config_ctx(&base->cfg), other = lb_config_ctx(&quant->cfg);
    if (quant->cfg.n_vocab != n_vocab)
        return lb_fail(err, LB_EUSAGE,
                       "%s has a vocabulary of %d, %s of %d: only models of one vocabulary can be compared", base->dir,
                       n_vocab, quant->dir, quant->cfg.n_vocab);
    if (other < ctx) ctx = other;
    *n_pos = 0, *longest = 0;
    for (int t = 0; t < n_text; t++) {
        const lb_text_ids *x = &texts[t];
        if (x->n > ctx)
            return lb_fail(err, LB_EUSAGE, "text %d has %d tokens, more than the context of %d", t, x->n, ctx);
        for (int i = 0; i < x->n; i++)
            if (x->ids[i] < 0 || x->ids[i] >= n_vocab)
                return lb_fail(err, LB_EUSAGE, "text %d: token %d is %d, the vocabulary has %d", t, i, x->ids[i],
                               n_vocab);
        if (x->n - 1 > x->first) *n_pos += x->n - 1 - x->first;
        if (x->n > *longest) *longest = x->n;
    }
    return *n_pos > 0 || lb_fail(err, LB_EUSAGE, "the texts have no position to compare");
}

static bool open_side(side *s, lb_model *m, const char *kv, int n_ctx, int chunk, lb_err *err)
{
    lb_kv_spec spec;
    lb_kv_room room = {.n_seq = 1, .n_ctx = n_ctx, .n_chunk = chunk};
    s->m = m;
    if (lb_model_kv_spec(m, kv, &spec, err)) s->kv = lb_model_kv_open(m, &spec, &room, err);
    s->f = s->kv ? lb_forward_open(m, chunk, chunk, err) : NULL;
    return s->f || lb_wrap(err, "%s", m->dir);
}

static void close_side(side *s)
{
    lb_forward_close(s->f);
    lb_kv_close(s->kv);
}

static bool open_sums(sums *s, int n_text, int64_t n_pos, lb_err *err)
{
    size_t n = (size_t)n_text;
    double *p = s->block = lb_alloc((N_SUM + 4) * n + (size_t)n_pos, sizeof *p, "the comparison", err);
    if (!p) return false;
    for (int i = 0; i < N_SUM; i++, p += n) s->of[i] = p;
    s->count = p, s->mark_base = p + n, s->mark_quant = p + 2 * n, s->marked = p + 3 * n, s->kl = p + 4 * n;
    return true;
}

static bool forward(side *s, const lb_batch *b, lb_err *err)
{
    return lb_forward_run(s->f, s->kv, b, &s->logits, err) || lb_wrap(err, "%s", s->m->dir);
}

/* One position of text t into the sums. */
static bool add(run *x, int t, int pos, const score *s, lb_err *err)
{
    if (!s->finite_base || !s->finite_quant)
        return lb_fail(err, LB_ENUMERIC, "%s: the logits of text %d at position %d are not finite",
                       (s->finite_base ? x->quant : x->base).m->dir, t, pos);
    lb_compare_result *r = x->r;
    sums *m = &x->s;
    m->of[KL][t] += s->kl, m->of[ENTROPY][t] += s->entropy, m->of[TOP1][t] += s->same;
    m->of[NLL_BASE][t] += s->nll_base, m->of[NLL_QUANT][t] += s->nll_quant;
    m->of[NLL_DIFF][t] += s->nll_quant - s->nll_base;
    m->count[t]++;
    m->kl[r->n_pos++] = s->kl;
    if (x->texts[t].ids[pos + 1] == x->o->mark && m->marked[t] == 0)
        m->marked[t] = 1, m->mark_base[t] = s->mark_base, m->mark_quant[t] = s->mark_quant;
    int b = 0;
    while (b < LB_KL_BUCKETS - 1 && pos >= LB_KL_BUCKET0 << b) b++;
    r->bucket[b].n++;
    r->bucket[b].kl += s->kl;
    return true;
}

/* Text t, chunk by chunk; only scored positions go through the head. */
static bool read_text(run *x, int t, lb_err *err)
{
    const lb_text_ids *text = &x->texts[t];
    bool ok = lb_kv_grow(x->base.kv, 0, text->n) && lb_kv_grow(x->quant.kv, 0, text->n);
    for (int at = 0; ok && at < text->n - 1; at += x->chunk) {
        lb_batch b = {.ids = text->ids + at, .seq = x->seq, .pos = x->pos, .out = x->out};
        b.n_tok = text->n - 1 - at < x->chunk ? text->n - 1 - at : x->chunk;
        int skip = text->first > at ? text->first - at : 0;
        for (int i = 0; i < b.n_tok; i++) {
            x->pos[i] = at + i;
            if (i >= skip) x->out[b.n_out++] = i;
        }
        ok = forward(&x->base, &b, err) && forward(&x->quant, &b, err);
        x->next = text->ids + at + skip + 1;
        if (ok) lb_parallel(x->base.m->ex, b.n_out, 1, score_some, x);
        for (int i = 0; ok && i < b.n_out; i++) ok = add(x, t, at + skip + i, &x->scores[i], err);
    }
    lb_kv_release(x->base.kv, 0);
    lb_kv_release(x->quant.kv, 0);
    return ok;
}

/* Covariance of the pooled means of two sums over the same clusters, as lb_pooled_mean has their variances; NaN for one. */
static double pooled_cov(const double *a, const double *b, const double *count, int n, double mean_a, double mean_b)
{
    double total = 0, e = 0;
    int used = 0;
    for (int i = 0; i < n; i++) {
        if (!(count[i] > 0)) continue;
        e += (a[i] - mean_a * count[i]) * (b[i] - mean_b * count[i]);
        total += count[i], used++;
    }
    return used > 1 ? (double)used / (used - 1) * e / (total * total) : NAN;
}

static void summarize(run *x)
{
    lb_compare_result *r = x->r;
    const sums *s = &x->s;
    int n = x->n_text;
    r->kl = lb_pooled_mean(s->of[KL], s->count, n);
    r->entropy = lb_pooled_mean(s->of[ENTROPY], s->count, n);
    r->kl_entropy = lb_pooled_mean(s->of[KL], s->of[ENTROPY], n);
    r->kl_entropy_cov = pooled_cov(s->of[KL], s->of[ENTROPY], s->count, n, r->kl.mean, r->entropy.mean);
    r->top1 = lb_pooled_mean(s->of[TOP1], s->count, n);
    r->nll_diff = lb_pooled_mean(s->of[NLL_DIFF], s->count, n);
    r->ppl_base = exp(lb_pooled_mean(s->of[NLL_BASE], s->count, n).mean);
    r->ppl_quant = exp(lb_pooled_mean(s->of[NLL_QUANT], s->count, n).mean);
    r->mark_base = lb_pooled_mean(s->mark_base, s->marked, n);
    r->mark_quant = lb_pooled_mean(s->mark_quant, s->marked, n);
    for (int t = 0; t < n; t++) r->n_mark += s->marked[t] > 0, r->n_seq += s->count[t] > 0;
    for (int b = 0; b < LB_KL_BUCKETS; b++) r->bucket[b].kl /= (double)r->bucket[b].n; /* 0/0: NaN */
    lb_sort_doubles(s->kl, (size_t)r->n_pos);
    r->kl_p99 = s->kl[(size_t)ceil(0.99 * (double)r->n_pos) - 1];
    r->kl_max = s->kl[r->n_pos - 1];
}

bool lb_compare(lb_model *base, lb_model *quant, const lb_text_ids *texts, int n_text, const lb_compare_opt *o,
                lb_compare_result *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    int64_t n_pos = 0;
    int longest = 0;
    if (!lb_texts_check(base, quant, texts, n_text, &n_pos, &longest, err)) return false;
    run x = {.texts = texts, .n_text = n_text, .o = o, .r = out};
    x.chunk = lb_logit_rows(base->cfg.n_vocab, longest < MAX_CHUNK ? longest : MAX_CHUNK);
    size_t n = (size_t)x.chunk;
    x.seq = lb_alloc(n, sizeof(int), "the batch", err);
    x.pos = lb_alloc(n, sizeof(int), "the batch", err);
    x.out = lb_alloc(n, sizeof(int), "the batch", err);
    x.scores = lb_alloc(n, sizeof *x.scores, "the comparison", err);
    bool ok = x.seq && x.pos && x.out && x.scores && open_sums(&x.s, n_text, n_pos, err) &&
              open_side(&x.base, base, o->kv_base, longest, x.chunk, err) &&
              open_side(&x.quant, quant, o->kv_quant, longest, x.chunk, err);
    if (ok && x.base.kv->n_chunk < x.chunk)
        x.chunk = x.base.kv->n_chunk; /* a cache with a window takes so many at once */
    if (ok && x.quant.kv->n_chunk < x.chunk) x.chunk = x.quant.kv->n_chunk;
    for (int t = 0; ok && t < n_text; t++) {
        if (o->stop && *o->stop) ok = lb_fail(err, LB_ESTOPPED, "stopped");
        ok = ok && (texts[t].n - 1 <= texts[t].first || read_text(&x, t, err));
        if (ok && o->progress) lb_progress_add(o->progress, 1, texts[t].n);
    }
    if (ok) summarize(&x);
    close_side(&x.base);
    close_side(&x.quant);
    free(x.s.block);
    free(x.seq);
    free(x.pos);
    free(x.out);
    free(x.scores);
    return ok;
}
