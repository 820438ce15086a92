/* infer/sample.c – sampling from logits. */
#include "infer/sample.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool in_range(float v, float lo, float hi, const char *name, lb_err *err)
{
    return (v >= lo && v <= hi) ||
           lb_fail(err, LB_EUSAGE, "%s is %g, wanted %g to %g", name, (double)v, (double)lo, (double)hi);
}

bool lb_sampling_check(const lb_sampling *s, lb_err *err)
{
    return in_range(s->temperature, 0, 100, "temperature", err) && in_range(s->top_p, 0, 1, "top-p", err) &&
           in_range(s->min_p, 0, 1, "min-p", err) &&
           in_range(s->repetition_penalty, 0.01f, 100, "repetition penalty", err) &&
           (s->top_k >= 0 || lb_fail(err, LB_EUSAGE, "top-k is %d, wanted 0 (off) or more", s->top_k));
}

bool lb_sampler_open(lb_sampler *s, int n_vocab, lb_err *err)
{
    memset(s, 0, sizeof *s);
    s->n_vocab = n_vocab;
    s->logit = lb_alloc((size_t)n_vocab, sizeof *s->logit, "the sampler", err);
    s->heap = lb_alloc((size_t)n_vocab, sizeof *s->heap, "the sampler", err);
    s->seen = lb_alloc((size_t)n_vocab, 1, "the sampler", err);
    if (s->logit && s->heap && s->seen) return true;
    lb_sampler_close(s);
    return false;
}

void lb_sampler_close(lb_sampler *s)
{
    free(s->logit);
    free(s->heap);
    free(s->seen);
    memset(s, 0, sizeof *s);
}

/* The largest logit, lowest id first; −1 if a NaN is among them or nothing is finite. */
static int argmax(const float *x, int n)
{
    int best = 0;
    for (int i = 0; i < n; i++) {
        if (isnan(x[i])) return -1;
        if (x[i] > x[best]) best = i;
    }
    return isfinite(x[best]) ? best : -1;
}

static double log_sum_exp(const float *x, int n, float top)
{
    double z = 0;
    for (int i = 0; i < n; i++) z += (double)expf(x[i] - top);
    return log(z) + (double)top;
}

/* Divides positive and multiplies negative logits of tokens that occurred. */
static void penalize(lb_sampler *s, float penalty, const int *history, size_t n)
{
    memset(s->seen, 0, (size_t)s->n_vocab);
    for (size_t i = 0; i < n; i++) {
        int id = history[i];
        if (id < 0 || id >= s->n_vocab || s->seen[id]) continue;
        s->seen[id] = 1;
        s->logit[id] = s->logit[id] > 0 ? s->logit[id] / penalty : s->logit[id] * penalty;
    }
}

/* ---- a heap of token ids, largest logit (then lowest id) at the root ---- */

static bool before(const lb_sampler *s, int a, int b)
{
    return s->logit[a] > s->logit[b] || (s->logit[a] == s->logit[b] && a < b);
}

static void sift(lb_sampler *s, int n, int i)
{
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(s, s->heap[child + 1], s->heap[child])) child++;
        if (!before(s, s->heap[child], s->heap[i])) return;
        int t = s->heap[i];
        s->heap[i] = s->heap[child];
        s->heap[child] = t;
    }
}

static int heap_pop(lb_sampler *s, int *n)
{
    int id = s->heap[0];
    s->heap[0] = s->heap[--*n];
    sift(s, *n, 0);
    return id;
}

/* Draws from the filtered distribution of s->logit (already divided by the temperature). The kept tokens are popped in
 * order of likelihood and stored behind the shrinking heap. */
static int draw(lb_sampler *s, const lb_sampling *how, float top, double u)
{
    /* Below this the weight is under 1e-17 of the top token's: smaller than the rounding of the sum. */
    const float floor = top - 40;
    double all = 0;
    int n = 0;
    for (int i = 0; i < s->n_vocab; i++) {
        if (s->logit[i] < floor) continue;
        all += (double)expf(s->logit[i] - top);
        s->heap[n++] = i;
    }
    for (int i = n / 2 - 1; i >= 0; i--) sift(s, n, i);
    int n_cand = n, limit = how->top_k > 0 && how->top_k < n ? how->top_k : n;
    if (how->top_k > 0 && how->top_k < n_cand) { /* top-p counts within what top-k left */
        all = 0;
        int *kept = s->heap + n_cand;
        for (int i = 0; i < limit; i++) {
            int id = heap_pop(s, &n);
            *--kept = id;
            all += (double)expf(s->logit[id] - top);
        }
        n = 0;
    }
    double sum = 0, goal = how->top_p < 1 ? (double)how->top_p * all : INFINITY, min_w = (double)how->min_p;
    int n_kept = 0;
    for (int i = 0; i < limit; i++) {
        int id = n > 0 ? heap_pop(s, &n) : s->heap[n_cand - 1 - i];
        double w = (double)expf(s->logit[id] - top);
        if (i > 0 && (sum >= goal || w < min_w)) break; /* the most likely token always stays */
        s->heap[n_cand - 1 - i] = id;                   /* its place is free: the heap has shrunk by i+1 */
        sum += w;
        n_kept++;
    }
    double at = u * sum, run = 0;
    for (int i = 0; i < n_kept; i++) {
        int id = s->heap[n_cand - 1 - i];
        run += (double)expf(s->logit[id] - top);
        if (at < run) return id;
    }
    return s->heap[n_cand - n_kept]; /* rounding: the last one kept */
}

/* Below this every token but the top one has weight 0 in f32, and 1/temperature may overflow. */
static const float COLDEST = 1e-4f;

bool lb_sample(lb_sampler *s, const lb_sampling *how, const float *logits, const int *history, size_t n_history,
               lb_rng_key key, uint64_t position, int *token, float *logprob, lb_err *err)
{
    int raw = argmax(logits, s->n_vocab), best = raw;
    const float *x = logits;
    if (raw >= 0 && how->repetition_penalty != 1) {
        memcpy(s->logit, logits, (size_t)s->n_vocab * sizeof *logits);
        penalize(s, how->repetition_penalty, history, n_history);
        x = s->logit;
        best = argmax(x, s->n_vocab);
    }
    if (best < 0)
        return lb_fail(
            err, LB_ENUMERIC,
            "the model's logits hold NaN or nothing finite at position %llu of the answer; are its weights sound?",
            (unsigned long long)position);
    *token = best;
    if (how->temperature >= COLDEST) {
        float inv = 1 / how->temperature, top = x[best];
        for (int i = 0; i < s->n_vocab; i++) s->logit[i] = (x[i] - top) * inv;
        *token = draw(s, how, 0, lb_rng_uniform(key, position));
    }
    if (logprob) *logprob = (float)((double)logits[*token] - log_sum_exp(logits, s->n_vocab, logits[raw]));
    return true;
}
