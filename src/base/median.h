/* base/median.h – sorting, quantiles and the median of numbers: timings, lengths, bootstrap means. */
#ifndef LB_BASE_MEDIAN_H
#define LB_BASE_MEDIAN_H
#include <stddef.h>

void lb_sort_doubles(double *v, size_t n);       /* rising, in place; no NaN among them */
/* Sorts v [n], n ≥ 1, and gives its middle element, the upper one of the two for an even n. */
double lb_median(double *v, size_t n);
/* The q-th quantile of sorted v [n], linear between them (type 7 of Hyndman and Fan 1996, as numpy); NaN for n = 0. */
double lb_quantile(const double *v, size_t n, double q);
#endif
