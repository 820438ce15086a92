/* eval/stats_parts.h – what the files of the statistics share. */
#ifndef LB_EVAL_STATS_PARTS_H
#define LB_EVAL_STATS_PARTS_H
#include "eval/stats.h"

/* The samples of one problem, summed. */
typedef struct lb_stats_cluster {
    int64_t problem;
    double n, correct;
} lb_stats_cluster;

/* The problems of x [n] in rising order, *n_cluster of them; the caller frees. Fails on n = 0. */
lb_stats_cluster *lb_stats_clusters(const lb_outcome *x, size_t n, size_t *n_cluster, lb_err *err);
/* LB_EUSAGE naming the first problem that only one side has. */
bool lb_stats_same_problems(const lb_stats_cluster *a, size_t n_a, const lb_stats_cluster *b, size_t n_b, lb_err *err);
/* Mean of v [n] and its standard error sd/√n (NaN for n = 1). */
void lb_stats_mean_and_error(const double *v, size_t n, double *mean, double *stderr_mean);
#endif
