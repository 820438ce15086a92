/* eval/stats.h – the statistics of evaluation: pure functions on arrays.
 *
 * n problems, problem c with m_c samples y_ci ∈ {0,1}; N = Σ m_c. Problems are drawn from the population of problems
 * that a benchmark stands for; samples of one problem are not independent, so the problem is the unit of every error.
 *
 *   accuracy (pass@1)     p = Σ y_ci / N
 *   its standard error    sqrt( n/(n−1) · Σ_c (Σ_i (y_ci − p))² ) / N            clustered by problem; with equal m_c
 *                         the standard deviation of the problems' means over √n (Miller, arXiv:2411.00640, 2.2, with
 *                         the usual n/(n−1) of cluster-robust errors)
 *   mean over tasks       Σ p_t / T, standard error sqrt(Σ se_t²) / T               tasks are independent
 *   pass@k                1 − C(n−c, k) / C(n, k), unbiased (Chen et al., arXiv:2107.03374, equation 1)
 *   paired difference     d_c = ā_c − b̄_c per problem; mean, standard error sd(d)/√n   (Miller, section 4.2)
 *   its 95 % interval     bootstrap by problem, percentile method (Efron 1979)
 *   McNemar, exact        b, c discordant problems: p = min(1, 2·P(X ≤ min(b,c))), X ~ Binomial(b+c, 1/2)
 *
 * Accuracies and errors are fractions (0 to 1), not points. What cannot be estimated (one problem only) is NaN. */
#ifndef LB_EVAL_STATS_H
#define LB_EVAL_STATS_H
#include "base/err.h"

/* One graded sample. */
typedef struct lb_outcome {
    int64_t problem;         /* any number that names the problem */
    int64_t seed;            /* any number that names the run */
    bool correct;
} lb_outcome;

enum { LB_STATS_SEEDS = 64 };

typedef struct lb_accuracy {
    double mean, stderr_mean;
    size_t n_sample, n_problem;
    int n_seed;
    struct {
        int64_t seed;
        double mean;
        size_t n_sample;
    } per_seed[LB_STATS_SEEDS];      /* by rising seed */
} lb_accuracy;

/* Accuracy of one task. x [n] in any order, n ≥ 1. Fails on no samples, more than LB_STATS_SEEDS seeds, no memory. */
bool lb_stats_accuracy(const lb_outcome *x, size_t n, lb_accuracy *out, lb_err *err);

/* Mean of n_task ≥ 1 independent task accuracies and its standard error (NaN if one of theirs is). */
void lb_stats_average(const double *mean, const double *stderr_mean, int n_task, double *avg, double *avg_stderr);

/* Unbiased pass@k of one problem: c of n samples are correct. NaN unless 0 ≤ c ≤ n and 1 ≤ k ≤ n. */
double lb_stats_pass_at_k(int n, int c, int k);

/* Mean over problems of pass@k and its standard error. Fails if a problem has fewer than k samples. */
bool lb_stats_pass(const lb_outcome *x, size_t n, int k, double *mean, double *stderr_mean, lb_err *err);

typedef struct lb_paired {
    double diff, stderr_diff;        /* mean over problems of a − b */
    double lo, hi;                   /* 95 % bootstrap interval of diff */
    double p_mcnemar;                /* NaN unless every problem has one sample on both sides */
    size_t n_problem, only_a, only_b;/* problems; solved only by a, only by b (single samples, else 0) */
} lb_paired;

/* Compares a with a baseline b on the same problems (numbers of samples may differ).
 *   n_boot   resamples, 0 for 10,000; the interval is a function of the arrays' values, n_boot and seed alone
 * Fails if the sets of problems differ (naming one), if there are none, or without memory. */
bool lb_stats_paired(const lb_outcome *a, size_t n_a, const lb_outcome *b, size_t n_b, int n_boot, uint64_t seed,
                     lb_paired *out, lb_err *err);

/* Two-sided exact McNemar p-value for b and c discordant pairs. */
double lb_stats_mcnemar(uint64_t b, uint64_t c);

/* Degradation by drop of the mean over benchmarks, in points (DESIGN section 3; arXiv:2504.04823): lossless up to 1,
 * fair up to 3, risky above. A gain is lossless. Decided on the drop rounded to 1e-9, so that 90.0 − 89.0 is 1. */
typedef enum lb_degradation { LB_LOSSLESS, LB_FAIR, LB_RISKY } lb_degradation;
lb_degradation lb_degradation_of(double drop_points);
const char *lb_degradation_name(lb_degradation d);
#endif
