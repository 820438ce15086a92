/* eval/loop.c – counting different 8-grams. */
#include "eval/loop.h"
#include "base/rng.h"
#include <stdlib.h>

enum { MAX_WINDOW = 4096 };

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* 64-bit hashes stand for the 8-grams: two different ones meet with a chance of 1 in 10^12. */
static double repetition(const int *ids, int n)
{
    uint64_t gram[MAX_WINDOW];
    int n_gram = n - LB_LOOP_GRAM + 1, different = 0;
    for (int i = 0; i < n_gram; i++) {
        gram[i] = 0;
        for (int j = 0; j < LB_LOOP_GRAM; j++) gram[i] = lb_mix64(gram[i] ^ (uint64_t)(unsigned)ids[i + j]);
    }
    qsort(gram, (size_t)n_gram, sizeof *gram, by_number);
    for (int i = 0; i < n_gram; i++) different += i == 0 || gram[i] != gram[i - 1];
    return 1 - (double)different / n_gram;
}

double lb_repetition(const int *ids, int n)
{
    double most = 0;
    for (int window = 256; n >= LB_LOOP_LEAST && window <= MAX_WINDOW; window *= 4) {
        int w = n < window ? n : window;
        double r = repetition(ids + n - w, w);
        if (r > most) most = r;
        if (w == n) break;
    }
    return most;
}
