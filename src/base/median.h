/* base/median.h – sorting and the median of a few numbers: timings, bootstrap means. */
#ifndef LB_BASE_MEDIAN_H
#define LB_BASE_MEDIAN_H
#include <stddef.h>

void lb_sort_doubles(double *v, size_t n);       /* rising, in place; no NaN among them */
/* Sorts v [n], n ≥ 1, and gives its middle element, the upper one of the two for an even n. */
double lb_median(double *v, size_t n);
#endif
