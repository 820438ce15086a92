/* eval/stats.h – the statistics of evaluation: pure functions on arrays.
 *
 * n problems, problem c with m_c samples y_ci ∈ {0,1}; N = Σ m_c. Problems are drawn from the population of problems
 * that a benchmark stands for; samples of one problem are not independent, so the problem is the unit of every error.
 *
 *   accuracy              p = Σ y_ci / N: pass@1, which with k samples of each problem is also called avg@k
 *   its standard error    sqrt( n/(n−1) · Σ_c (Σ_i (y_ci − p))² ) / N            clustered by problem; with equal m_c
 *                         the standard deviation of the problems' means over √n (Miller, arXiv:2411.00640, 2.2, with
 *                         the usual n/(n−1) of cluster-robust errors)
 *   its interval          Wilson's, with N replaced by p (1 − p) / se²
 *   mean over tasks       Σ p_t / T, standard error sqrt(Σ se_t²) / T               tasks are independent
 *   pass@k                1 − C(n−c, k) / C(n, k), unbiased (Chen et al., arXiv:2107.03374, equation 1)
 *   maj@k                 the probability that the answer that most of k of the samples give is right, over all choices of
 *                         k of them; a tie is won by each of its answers with the same probability
 *   paired difference     d_c = ā_c − b̄_c per problem; mean, standard error sd(d)/√n   (Miller, section 4.2)
 *   its 95 % interval     bootstrap by problem, percentile method (Efron 1979); within each task for a mean over tasks
 *   its p-value           one sample a problem: McNemar, exact: b, c discordant problems, min(1, 2·P(X ≤ min(b,c))), X ~
 *                         Binomial(b+c, 1/2). Otherwise by sign flips: if both models were alike, exchanging what they
 *                         did on one problem would change nothing, so ±d_c are equally likely; two-sided, 20,000 draws,
 *                         (hits + 1)/(draws + 1). For one sample a problem all 2^n flips give McNemar's exact value.
 *   power                 (z_0.975 + z_0.8)² · V / d² problems see a true difference d with 80 % probability at the 5 %
 *                         level; V = Var(d_c) = ω² + σ_a²/k_a + σ_b²/k_b: between problems, within them (Miller, section 5)
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

/* The 95 % interval of an accuracy: Wilson's (1927), with as many samples as would have this standard error if they were
 * independent, or as many as there are problems where it is 0 or NaN: it does not collapse at 0 and 1. */
void lb_stats_interval(double mean, double stderr_mean, size_t n_problem, double *lo, double *hi);

/* Mean of v [n] and its standard error, clustered: values with the same number in cluster [n] belong together; NULL: each is
 * its own. Fails on n = 0 and without memory. */
bool lb_stats_mean(const double *v, const int64_t *cluster, size_t n, double *mean, double *stderr_mean, lb_err *err);

/* Unbiased pass@k of one problem: c of n samples are correct. NaN unless 0 ≤ c ≤ n and 1 ≤ k ≤ n. */
double lb_stats_pass_at_k(int n, int c, int k);

/* Mean over problems of pass@k and its standard error. Fails if a problem has fewer than k samples. */
bool lb_stats_pass(const lb_outcome *x, size_t n, int k, double *mean, double *stderr_mean, lb_err *err);

/* maj@k of one problem.
 *   group [n]    number of the answer that a sample gave, from 0; equal answers have the same. −1: it gave none, and has no
 *                vote
 *   correct [n]  if the samples of a group differ in it, the group's answer is right with their share
 * NaN, and LB_EUSAGE, unless 1 ≤ k ≤ n ≤ LB_STATS_VOTES, and k ≤ LB_STATS_CHOICES or k = n; NaN without memory. */
enum { LB_STATS_VOTES = 8192, LB_STATS_CHOICES = 1024 };
double lb_stats_majority_at_k(const int *group, const bool *correct, int n, int k, lb_err *err);

typedef struct lb_paired {
    double diff, stderr_diff;        /* mean over problems of a − b; over several tasks, mean of the tasks' means */
    double lo, hi;                   /* 95 % bootstrap interval of diff; NaN, as the error, if a task has only one problem */
    double p;                        /* two-sided: McNemar where it applies, else by sign flips */
    double p_mcnemar;                /* NaN unless there is one task, and each problem has one sample on both sides */
    size_t n_problem, only_a, only_b;/* problems; solved only by a, only by b (where McNemar applies, else 0) */
} lb_paired;

/* Both runs' samples of one task; borrowed. */
typedef struct lb_pair {
    const lb_outcome *a, *b;         /* [n_a], [n_b] */
    size_t n_a, n_b;
} lb_pair;

/* Compares a with a baseline b on the same problems (numbers of samples may differ), in the mean over n_task ≥ 1 tasks.
 *   n_boot   resamples, 0 for 10,000; the result is a function of the arrays' values, n_boot and seed alone
 * Fails if the sets of problems differ (naming one), if there are none, or without memory. */
bool lb_stats_paired_tasks(const lb_pair *task, int n_task, int n_boot, uint64_t seed, lb_paired *out, lb_err *err);
/* The same for one task. */
bool lb_stats_paired(const lb_outcome *a, size_t n_a, const lb_outcome *b, size_t n_b, int n_boot, uint64_t seed,
                     lb_paired *out, lb_err *err);

/* Two-sided exact McNemar p-value for b and c discordant pairs. */
double lb_stats_mcnemar(uint64_t b, uint64_t c);

/* Where the noise of a run, or of a difference between two, comes from. */
typedef struct lb_spread {
    size_t n_problem;
    double total;                    /* variance over problems of what was measured of each: Var(ā_c) or Var(ā_c − b̄_c) */
    double within_a, within_b;       /* mean variance of one sample given its problem; NaN if a problem has only one sample */
    double noise;                    /* of total, what comes from within (unbiased); NaN likewise */
    double between;                  /* the rest, ω²: not less than 0; NaN likewise */
} lb_spread;

/* b may be NULL (n_b 0): the spread of one run. Fails as lb_stats_paired. */
bool lb_stats_spread(const lb_outcome *a, size_t n_a, const lb_outcome *b, size_t n_b, lb_spread *out, lb_err *err);
/* What a comparison of two runs like this one would have: of models for which the same problems are hard to the same degree
 * (only sampling is noise: the best case), or unrelated (the worst). */
lb_spread lb_stats_spread_of_two(const lb_spread *one, bool unrelated);
/* The smallest difference that is seen with 80 % power at the 5 % level, two-sided. */
double lb_stats_detectable(const lb_spread *s);
/* What a true difference of d > 0 needs to be seen so: problems, with as many samples of each as now; or samples of each
 * problem in both runs, with as many problems as now (INFINITY: no number is enough, NaN: not known). Whole numbers. */
double lb_stats_problems_needed(const lb_spread *s, double d);
double lb_stats_samples_needed(const lb_spread *s, double d);

/* Degradation by drop of the mean over benchmarks, in points (DESIGN section 3; arXiv:2504.04823): lossless up to 1,
 * fair up to 3, risky above. A gain is lossless. Decided on the drop rounded to 1e-9, so that 90.0 − 89.0 is 1. */
typedef enum lb_degradation { LB_LOSSLESS, LB_FAIR, LB_RISKY } lb_degradation;
lb_degradation lb_degradation_of(double drop_points);
const char *lb_degradation_name(lb_degradation d);
#endif
