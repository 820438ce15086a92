/* eval/stats_paired.c – two runs on the same problems: difference, interval, p-value. */
#include "base/median.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/stats_parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_BOOT = 10000, N_FLIP = 20000 };
enum { STREAM_BOOT = 0x626f6f74 /* "boot" */, STREAM_FLIP = 0x666c6970 /* "flip" */ };

/* P(X ≤ k), X ~ Binomial(n, 1/2), summed from the largest term down: k ≤ n/2. */
static double binomial_tail(uint64_t n, uint64_t k)
{
    double log_t = -(double)n * log(2), sum = 0;           /* of C(n,k)/2^n */
    for (uint64_t i = 0; i < k; i++) log_t += log((double)(n - i) / (double)(i + 1));
    double t = exp(log_t);
    for (uint64_t i = k; t > 0; i--) {
        sum += t;
        if (!i || t < sum * 1e-18) break;
        t *= (double)i / (double)(n - i + 1);
    }
    return sum;
}

double lb_stats_mcnemar(uint64_t b, uint64_t c)
{
    if (b == c) return 1;
    double p = 2 * binomial_tail(b + c, b < c ? b : c);
    return p < 1 ? p : 1;
}

bool lb_stats_same_problems(const lb_stats_cluster *a, size_t n_a, const lb_stats_cluster *b, size_t n_b, lb_err *err)
{
    for (size_t i = 0; i < n_a || i < n_b; i++) {
        if (i < n_a && i < n_b && a[i].problem == b[i].problem) continue;
        bool in_a = i >= n_b || (i < n_a && a[i].problem < b[i].problem);
        return lb_fail(err, LB_EUSAGE, "problem %lld is only in the %s: a paired test wants the same problems",
                       (long long)(in_a ? a[i].problem : b[i].problem), in_a ? "first run" : "baseline");
    }
    return true;
}

/* The problems' differences of one task. */
typedef struct diffs {
    double *d;                       /* [n], owned */
    size_t n;
    bool single;                     /* one sample on both sides, everywhere */
    size_t only_a, only_b;           /* problems where a, or b, is better */
} diffs;

static bool diffs_of(const lb_pair *t, diffs *out, lb_err *err)
{
    size_t n = 0, m = 0;
    lb_stats_cluster *a = lb_stats_clusters(t->a, t->n_a, &n, err), *b = a ? lb_stats_clusters(t->b, t->n_b, &m, err) : NULL;
    *out = (diffs){.n = n, .single = true};
    out->d = b && lb_stats_same_problems(a, n, b, m, err) ? lb_alloc(n, sizeof *out->d, "differences", err) : NULL;
    for (size_t i = 0; out->d && i < n; i++) {
        out->d[i] = a[i].correct / a[i].n - b[i].correct / b[i].n;
        out->single = out->single && a[i].n == 1 && b[i].n == 1;
        out->only_a += out->d[i] > 0, out->only_b += out->d[i] < 0;
    }
    free(a);
    free(b);
    return out->d != NULL;
}

/* The mean of one resample, number r, of a task's problems. */
static double resample(const diffs *t, int task, uint64_t seed, int r)
{
    lb_rng_key key = lb_rng_key_of(seed, (uint64_t)STREAM_BOOT + (uint64_t)task, (uint64_t)r);
    double sum = 0;
    for (size_t i = 0; i < t->n; i += 4) {
        uint32_t w[4];
        lb_rng_block(key, i / 4, w);
        for (size_t j = i; j < t->n && j < i + 4; j++) sum += t->d[(uint64_t)w[j - i] * t->n >> 32];
    }
    return sum / (double)t->n;
}

static bool bootstrap(const diffs *t, int n_task, int n_boot, uint64_t seed, double *lo, double *hi, lb_err *err)
{
    double *v = lb_alloc((size_t)n_boot, sizeof *v, "bootstrap means", err);
    if (!v) return false;
    for (int r = 0; r < n_boot; r++) {
        double sum = 0;
        for (int k = 0; k < n_task; k++) sum += resample(&t[k], k, seed, r);
        v[r] = sum / n_task;
    }
    lb_sort_doubles(v, (size_t)n_boot);
    *lo = lb_quantile(v, (size_t)n_boot, 0.025), *hi = lb_quantile(v, (size_t)n_boot, 0.975);
    free(v);
    return true;
}

/* The mean of a task's differences with signs of their own: draw number r. */
static double flipped(const diffs *t, int task, uint64_t seed, int r)
{
    lb_rng_key key = lb_rng_key_of(seed, (uint64_t)STREAM_FLIP + (uint64_t)task, (uint64_t)r);
    double sum = 0;
    for (size_t i = 0; i < t->n; i += 128) {
        uint32_t w[4];
        lb_rng_block(key, i / 128, w);
        for (size_t j = i; j < t->n && j < i + 128; j++) {
            size_t bit = j - i;
            sum += w[bit / 32] >> bit % 32 & 1 ? t->d[j] : -t->d[j];
        }
    }
    return sum / (double)t->n;
}

static double sign_flips(const diffs *t, int n_task, double diff, uint64_t seed)
{
    int hits = 0;
    double least = fabs(diff) * (1 - 1e-12); /* a draw that is as far in truth is not lost to rounding */
    for (int r = 0; r < N_FLIP; r++) {
        double sum = 0;
        for (int k = 0; k < n_task; k++) sum += flipped(&t[k], k, seed, r);
        hits += fabs(sum / n_task) >= least;
    }
    return (hits + 1.0) / (N_FLIP + 1.0);
}

static bool compare(const diffs *t, int n_task, int n_boot, uint64_t seed, lb_paired *out, lb_err *err)
{
    double sum = 0, var = 0;
    bool single = n_task == 1 && t[0].single;
    for (int k = 0; k < n_task; k++) {
        double mean, se;
        lb_stats_mean_and_error(t[k].d, t[k].n, &mean, &se);
        sum += mean, var += se * se;
        out->n_problem += t[k].n;
    }
    out->diff = sum / n_task, out->stderr_diff = sqrt(var) / n_task;
    if (single) out->only_a = t[0].only_a, out->only_b = t[0].only_b;
    out->p_mcnemar = single ? lb_stats_mcnemar(out->only_a, out->only_b) : NAN;
    out->p = single ? out->p_mcnemar : sign_flips(t, n_task, out->diff, seed);
    out->lo = out->hi = NAN;
    if (isnan(out->stderr_diff)) return true; /* resamples of one problem are all alike */
    return bootstrap(t, n_task, n_boot > 0 ? n_boot : N_BOOT, seed, &out->lo, &out->hi, err);
}

bool lb_stats_paired_tasks(const lb_pair *task, int n_task, int n_boot, uint64_t seed, lb_paired *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    diffs *t = lb_alloc((size_t)n_task, sizeof *t, "the tasks", err);
    bool ok = t != NULL;
    for (int k = 0; ok && k < n_task; k++) ok = diffs_of(&task[k], &t[k], err);
    ok = ok && compare(t, n_task, n_boot, seed, out, err);
    for (int k = 0; t && k < n_task; k++) free(t[k].d);
    free(t);
    return ok;
}

bool lb_stats_paired(const lb_outcome *a, size_t n_a, const lb_outcome *b, size_t n_b, int n_boot, uint64_t seed,
                     lb_paired *out, lb_err *err)
{
    return lb_stats_paired_tasks(&(lb_pair){.a = a, .b = b, .n_a = n_a, .n_b = n_b}, 1, n_boot, seed, out, err);
}
