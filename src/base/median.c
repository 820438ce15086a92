/* base/median.c – sorting doubles. */
#include "base/median.h"
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
