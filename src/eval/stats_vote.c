/* eval/stats_vote.c – maj@k: what voting among k samples would answer.
 *
 * n samples of a problem fall into groups of equal answers, m_g in group g, and m_0 gave none. Of the C(n,k) choices of k
 * samples, group g wins with j votes in
 *
 *     Σ_t C(m_g, j) · W_j(k−j, t) / (t+1)
 *
 * where W_j(i, t) counts the choices of i others among which no group has more than j and t have just as many. W_j is
 * built group by group, as the coefficients of a product of polynomials. Nothing is drawn at random. Numbers as large as
 * C(8192, 4096) fit a long double. */
#include "base/mem.h"
#include "eval/stats.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct vote {
    int n, k, n_group, none;         /* none: m_0 */
    int *size, *right;               /* [n_group]: m_g, and how many of them are correct; owned */
    long double *w, *v;              /* [(k+1) · (k+1)]: W_j(i, t), and scratch; owned */
} vote;

static long double choose(int n, int k)
{
    long double c = 1;
    for (int i = 1; i <= k; i++) c = c * (n - k + i) / i;
    return c;
}

/* W ← W · (the polynomial of group g: Σ_a C(m_g, a) x^a, where a = j also counts as a tie). */
static void times_group(const vote *x, int g, int j)
{
    int room = x->k - j, ties = room / j, most = x->size[g] < j ? x->size[g] : j;
    size_t width = (size_t)x->k + 1;
    long double c = 1; /* C(m_g, a) */
    memset(x->v, 0, (size_t)(room + 1) * width * sizeof *x->v);
    for (int a = 0; a <= most; a++) {
        int tie = a == j;
        for (int i = a; i <= room; i++)
            for (int t = tie; t <= ties; t++)
                x->v[(size_t)i * width + (size_t)t] += c * x->w[(size_t)(i - a) * width + (size_t)(t - tie)];
        c = c * (x->size[g] - a) / (a + 1);
    }
    memcpy(x->w, x->v, (size_t)(room + 1) * width * sizeof *x->w);
}

/* Fills W_j with every group but `except`: first those without a vote, of whom any number is fine. */
static void ways(const vote *x, int j, int except)
{
    int room = x->k - j; /* votes that are left */
    size_t width = (size_t)x->k + 1;
    memset(x->w, 0, (size_t)(room + 1) * width * sizeof *x->w);
    for (int i = 0; i <= room && i <= x->none; i++) x->w[(size_t)i * width] = choose(x->none, i);
    for (int g = 0; g < x->n_group; g++)
        if (g != except) times_group(x, g, j);
}

static double wins(const vote *x, int g)
{
    long double sum = 0;
    size_t width = (size_t)x->k + 1;
    for (int j = 1; j <= x->size[g] && j <= x->k; j++) {
        ways(x, j, g);
        long double of_j = 0;
        for (int t = 0; t <= (x->k - j) / j; t++) of_j += x->w[(size_t)(x->k - j) * width + (size_t)t] / (t + 1);
        sum += choose(x->size[g], j) * of_j;
    }
    return (double)(sum / choose(x->n, x->k));
}

/* Groups by their numbers. */
static bool tally(vote *x, const int *group, const bool *correct, lb_err *err)
{
    for (int i = 0; i < x->n; i++)
        if (group[i] >= x->n_group) x->n_group = group[i] + 1;
    size_t n = (size_t)x->n_group, square = x->k < x->n ? ((size_t)x->k + 1) * ((size_t)x->k + 1) : 0;
    x->size = lb_alloc(n, sizeof *x->size, "votes", err);
    x->right = lb_alloc(n, sizeof *x->right, "votes", err);
    x->w = lb_alloc(square, sizeof *x->w, "votes", err);
    x->v = lb_alloc(square, sizeof *x->v, "votes", err);
    if (!x->size || !x->right || !x->w || !x->v) return false;
    for (int i = 0; i < x->n; i++) {
        if (group[i] < 0) x->none++;
        else x->size[group[i]]++, x->right[group[i]] += correct[i];
    }
    return true;
}

/* All n vote. */
static double plurality(const vote *x)
{
    int most = 0, n = 0;
    double sum = 0;
    for (int g = 0; g < x->n_group; g++)
        if (x->size[g] > most) most = x->size[g];
    for (int g = 0; most > 0 && g < x->n_group; g++)
        if (x->size[g] == most) sum += (double)x->right[g] / most, n++;
    return n ? sum / n : 0;
}

double lb_stats_majority_at_k(const int *group, const bool *correct, int n, int k, lb_err *err)
{
    if (k < 1 || k > n || n > LB_STATS_VOTES || (k < n && k > LB_STATS_CHOICES)) {
        lb_fail(err, LB_EUSAGE, "maj@%d of a problem with %d samples: wanted at most %d of %d, or all of them", k, n,
                LB_STATS_CHOICES, LB_STATS_VOTES);
        return NAN;
    }
    vote x = {.n = n, .k = k};
    double sum = NAN;
    if (tally(&x, group, correct, err)) {
        sum = k == n ? plurality(&x) : 0;
        for (int g = 0; k < n && g < x.n_group; g++)
            if (x.right[g]) sum += (double)x.right[g] / x.size[g] * wins(&x, g);
    }
    free(x.size);
    free(x.right);
    free(x.w);
    free(x.v);
    return sum;
}
