/* eval/stats.c – see the header for the formulas. */
#include "eval/stats.h"
#include "base/median.h"
#include "base/mem.h"
#include "base/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The samples of one problem, summed. */
typedef struct cluster {
    int64_t problem;
    double n, correct;
} cluster;

static int by_problem(const void *a, const void *b)
{
    int64_t x = ((const lb_outcome *)a)->problem, y = ((const lb_outcome *)b)->problem;
    return (x > y) - (x < y);
}

static int by_seed(const void *a, const void *b)
{
    int64_t x = ((const lb_outcome *)a)->seed, y = ((const lb_outcome *)b)->seed;
    return (x > y) - (x < y);
}

static lb_outcome *sorted(const lb_outcome *x, size_t n, int (*order)(const void *, const void *), lb_err *err)
{
    if (!n) return lb_fail_null(err, LB_EUSAGE, "statistics of no samples");
    lb_outcome *s = lb_alloc(n, sizeof *s, "samples", err);
    if (!s) return NULL;
    memcpy(s, x, n * sizeof *s);
    qsort(s, n, sizeof *s, order);
    return s;
}

/* The problems in rising order; the caller frees. */
static cluster *clusters(const lb_outcome *x, size_t n, size_t *n_cluster, lb_err *err)
{
    lb_outcome *s = sorted(x, n, by_problem, err);
    cluster *c = s ? lb_alloc(n, sizeof *c, "problems", err) : NULL;
    size_t k = 0;
    for (size_t i = 0; c && i < n; i++) {
        if (!k || c[k - 1].problem != s[i].problem) c[k++].problem = s[i].problem;
        c[k - 1].n += 1, c[k - 1].correct += s[i].correct;
    }
    free(s);
    *n_cluster = k;
    return c;
}

/* Mean of v [n] and its standard error sd/√n. */
static void mean_and_error(const double *v, size_t n, double *mean, double *se)
{
    double sum = 0, sq = 0;
    for (size_t i = 0; i < n; i++) sum += v[i];
    *mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) sq += (v[i] - *mean) * (v[i] - *mean);
    *se = n > 1 ? sqrt(sq / (double)(n - 1) / (double)n) : NAN;
}

static bool per_seed(const lb_outcome *x, size_t n, lb_accuracy *out, lb_err *err)
{
    lb_outcome *s = sorted(x, n, by_seed, err);
    if (!s) return false;
    int k = 0;
    for (size_t i = 0; i < n; i++) {
        if (!k || out->per_seed[k - 1].seed != s[i].seed) {
            if (k == LB_STATS_SEEDS) {
                free(s);
                return lb_fail(err, LB_EUSAGE, "more than %d seeds in one evaluation", LB_STATS_SEEDS);
            }
            out->per_seed[k++].seed = s[i].seed;
        }
        out->per_seed[k - 1].mean += s[i].correct, out->per_seed[k - 1].n_sample++;
    }
    for (int i = 0; i < k; i++) out->per_seed[i].mean /= (double)out->per_seed[i].n_sample;
    out->n_seed = k;
    free(s);
    return true;
}

bool lb_stats_accuracy(const lb_outcome *x, size_t n, lb_accuracy *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    cluster *c = clusters(x, n, &out->n_problem, err);
    if (!c) return false;
    double correct = 0, sq = 0, k = (double)out->n_problem;
    for (size_t i = 0; i < out->n_problem; i++) correct += c[i].correct;
    out->n_sample = n;
    out->mean = correct / (double)n;
    for (size_t i = 0; i < out->n_problem; i++) {
        double r = c[i].correct - c[i].n * out->mean;
        sq += r * r;
    }
    out->stderr_mean = k > 1 ? sqrt(k / (k - 1) * sq) / (double)n : NAN;
    free(c);
    return per_seed(x, n, out, err);
}

void lb_stats_average(const double *mean, const double *stderr_mean, int n_task, double *avg, double *avg_stderr)
{
    double sum = 0, sq = 0;
    for (int i = 0; i < n_task; i++) sum += mean[i], sq += stderr_mean[i] * stderr_mean[i];
    *avg = sum / n_task, *avg_stderr = sqrt(sq) / n_task;
}

double lb_stats_pass_at_k(int n, int c, int k)
{
    if (c < 0 || c > n || k < 1 || k > n) return NAN;
    if (n - c < k) return 1;
    double miss = 1;                       /* C(n−c,k)/C(n,k) = Π_{i=n−c+1}^{n} (1 − k/i) */
    for (int i = n - c + 1; i <= n; i++) miss *= 1 - (double)k / i;
    return 1 - miss;
}

bool lb_stats_pass(const lb_outcome *x, size_t n, int k, double *mean, double *stderr_mean, lb_err *err)
{
    size_t n_c;
    cluster *c = clusters(x, n, &n_c, err);
    double *v = c ? lb_alloc(n_c, sizeof *v, "problems", err) : NULL;
    bool ok = v != NULL;
    for (size_t i = 0; ok && i < n_c; i++) {
        v[i] = lb_stats_pass_at_k((int)c[i].n, (int)c[i].correct, k);
        if (isnan(v[i]))
            ok = lb_fail(err, LB_EUSAGE, "pass@%d of problem %lld, which has %d samples", k, (long long)c[i].problem,
                         (int)c[i].n);
    }
    if (ok) mean_and_error(v, n_c, mean, stderr_mean);
    free(c), free(v);
    return ok;
}

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

/* Quantile of sorted v [n] with linear interpolation (type 7 of Hyndman and Fan 1996, as numpy). */
static double quantile(const double *v, size_t n, double q)
{
    double h = q * (double)(n - 1);
    size_t i = (size_t)h;
    return i + 1 < n ? v[i] + (h - (double)i) * (v[i + 1] - v[i]) : v[n - 1];
}

static bool bootstrap(const double *d, size_t n, int n_boot, uint64_t seed, double *lo, double *hi, lb_err *err)
{
    double *v = lb_alloc((size_t)n_boot, sizeof *v, "bootstrap means", err);
    if (!v) return false;
    for (int r = 0; r < n_boot; r++) {
        lb_rng_key key = lb_rng_key_of(seed, 0x626f6f74 /* "boot" */, (uint64_t)r);
        double sum = 0;
        for (size_t i = 0; i < n; i += 4) {
            uint32_t w[4];
            lb_rng_block(key, i / 4, w);
            for (size_t j = i; j < n && j < i + 4; j++) sum += d[(uint64_t)w[j - i] * n >> 32];
        }
        v[r] = sum / (double)n;
    }
    lb_sort_doubles(v, (size_t)n_boot);
    *lo = quantile(v, (size_t)n_boot, 0.025), *hi = quantile(v, (size_t)n_boot, 0.975);
    free(v);
    return true;
}

/* The first problem that only one side has, or true. */
static bool same_problems(const cluster *a, size_t n_a, const cluster *b, size_t n_b, lb_err *err)
{
    for (size_t i = 0; i < n_a || i < n_b; i++) {
        if (i < n_a && i < n_b && a[i].problem == b[i].problem) continue;
        bool in_a = i >= n_b || (i < n_a && a[i].problem < b[i].problem);
        return lb_fail(err, LB_EUSAGE, "problem %lld is only in the %s: a paired test wants the same problems",
                       (long long)(in_a ? a[i].problem : b[i].problem), in_a ? "first run" : "baseline");
    }
    return true;
}

bool lb_stats_paired(const lb_outcome *a, size_t n_a, const lb_outcome *b, size_t n_b, int n_boot, uint64_t seed,
                     lb_paired *out, lb_err *err)
{
    size_t n = 0, m = 0;
    cluster *ca = clusters(a, n_a, &n, err), *cb = ca ? clusters(b, n_b, &m, err) : NULL;
    double *d = cb ? lb_alloc(n, sizeof *d, "differences", err) : NULL;
    bool ok = d && same_problems(ca, n, cb, m, err);
    memset(out, 0, sizeof *out);
    if (ok) {
        bool single = true;
        for (size_t i = 0; i < n; i++) {
            d[i] = ca[i].correct / ca[i].n - cb[i].correct / cb[i].n;
            single = single && ca[i].n == 1 && cb[i].n == 1;
            out->only_a += d[i] > 0, out->only_b += d[i] < 0;
        }
        mean_and_error(d, n, &out->diff, &out->stderr_diff);
        out->n_problem = n;
        out->p_mcnemar = single ? lb_stats_mcnemar(out->only_a, out->only_b) : NAN;
        if (!single) out->only_a = out->only_b = 0;
        ok = bootstrap(d, n, n_boot > 0 ? n_boot : 10000, seed, &out->lo, &out->hi, err);
    }
    free(ca), free(cb), free(d);
    return ok;
}

lb_degradation lb_degradation_of(double drop_points)
{
    return drop_points <= 1 + 1e-9 ? LB_LOSSLESS : drop_points <= 3 + 1e-9 ? LB_FAIR : LB_RISKY;
}

const char *lb_degradation_name(lb_degradation d)
{
    static const char *const name[] = {"lossless", "fair", "risky"};
    return (unsigned)d < 3 ? name[d] : "?";
}
