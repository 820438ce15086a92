/* eval/stats.c – accuracy, pass@k, maj@k; see the header for the formulas. */
#include "eval/stats_parts.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

lb_stats_cluster *lb_stats_clusters(const lb_outcome *x, size_t n, size_t *n_cluster, lb_err *err)
{
    lb_outcome *s = sorted(x, n, by_problem, err);
    lb_stats_cluster *c = s ? lb_alloc(n, sizeof *c, "problems", err) : NULL;
    size_t k = 0;
    for (size_t i = 0; c && i < n; i++) {
        if (!k || c[k - 1].problem != s[i].problem) c[k++].problem = s[i].problem;
        c[k - 1].n += 1, c[k - 1].correct += s[i].correct;
    }
    free(s);
    *n_cluster = k;
    return c;
}

void lb_stats_mean_and_error(const double *v, size_t n, double *mean, double *stderr_mean)
{
    double sum = 0, sq = 0;
    for (size_t i = 0; i < n; i++) sum += v[i];
    *mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) sq += (v[i] - *mean) * (v[i] - *mean);
    *stderr_mean = n > 1 ? sqrt(sq / (double)(n - 1) / (double)n) : NAN;
}

/* A value and the problem that it belongs to. */
typedef struct value {
    int64_t cluster;
    double v;
} value;

static int by_cluster(const void *a, const void *b)
{
    int64_t x = ((const value *)a)->cluster, y = ((const value *)b)->cluster;
    return (x > y) - (x < y);
}

bool lb_stats_mean(const double *v, const int64_t *cluster, size_t n, double *mean, double *stderr_mean, lb_err *err)
{
    if (!n) return lb_fail(err, LB_EUSAGE, "statistics of no samples");
    if (!cluster) {
        lb_stats_mean_and_error(v, n, mean, stderr_mean);
        return true;
    }
    value *s = lb_alloc(n, sizeof *s, "values", err);
    if (!s) return false;
    double sum = 0, sq = 0, r = 0, k = 0;
    for (size_t i = 0; i < n; i++) s[i] = (value){cluster[i], v[i]};
    qsort(s, n, sizeof *s, by_cluster);
    for (size_t i = 0; i < n; i++) sum += s[i].v;
    *mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        r += s[i].v - *mean;
        if (i + 1 < n && s[i + 1].cluster == s[i].cluster) continue;
        sq += r * r, k++, r = 0;
    }
    *stderr_mean = k > 1 ? sqrt(k / (k - 1) * sq) / (double)n : NAN;
    free(s);
    return true;
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
    lb_stats_cluster *c = lb_stats_clusters(x, n, &out->n_problem, err);
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

void lb_stats_interval(double mean, double stderr_mean, size_t n_problem, double *lo, double *hi)
{
    const double z2 = 1.959963984540054 * 1.959963984540054;
    bool noise = stderr_mean > 1e-9; /* less is rounding: problems that all have the same share */
    double n = noise ? mean * (1 - mean) / (stderr_mean * stderr_mean) : (double)n_problem;
    if (!(n > 0)) n = (double)n_problem; /* accuracies that stand for 0 or 1 by rounding */
    double mid = (mean + z2 / (2 * n)) / (1 + z2 / n);
    double half = sqrt(z2 / n) * sqrt(mean * (1 - mean) + z2 / (4 * n)) / (1 + z2 / n);
    *lo = mid - half > 0 ? mid - half : 0, *hi = mid + half < 1 ? mid + half : 1;
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
    lb_stats_cluster *c = lb_stats_clusters(x, n, &n_c, err);
    double *v = c ? lb_alloc(n_c, sizeof *v, "problems", err) : NULL;
    bool ok = v != NULL;
    for (size_t i = 0; ok && i < n_c; i++) {
        v[i] = lb_stats_pass_at_k((int)c[i].n, (int)c[i].correct, k);
        if (isnan(v[i]))
            ok = lb_fail(err, LB_EUSAGE, "pass@%d of problem %lld, which has %d samples", k, (long long)c[i].problem,
                         (int)c[i].n);
    }
    if (ok) lb_stats_mean_and_error(v, n_c, mean, stderr_mean);
    free(c), free(v);
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
