/* base/median.c – sorting doubles, and what stands where in their order. */
#include "base/median.h"
#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void lb_sort_doubles(double *v, size_t n) { qsort(v, n, sizeof *v, by_value); }

double lb_median(double *v, size_t n)
{
    lb_sort_doubles(v, n);
    return v[n / 2];
}

double lb_quantile(const double *v, size_t n, double q)
{
    if (n == 0) return NAN;
    double h = q * (double)(n - 1);
    size_t i = (size_t)h;
    return i + 1 < n ? v[i] + (h - (double)i) * (v[i + 1] - v[i]) : v[n - 1];
}
