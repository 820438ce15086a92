/* eval/stats_power.c – how much noise there is, where it comes from, and what it lets one see. */
#include "base/mem.h"
#include "eval/stats_parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Quantiles of the normal distribution at 0.975 and 0.8. */
static const double z_level = 1.959963984540054, z_power = 0.8416212335729143;

/* The unbiased variance of one sample of a problem; NaN if there is only one. */
static double within(const lb_stats_cluster *c)
{
    double p = c->correct / c->n;
    return c->n > 1 ? c->n / (c->n - 1) * p * (1 - p) : NAN;
}

static bool spread(const lb_stats_cluster *a, const lb_stats_cluster *b, size_t n, lb_spread *out, lb_err *err)
{
    double mean, se, k = (double)n, *d = lb_alloc(n, sizeof *d, "differences", err);
    if (!d) return false;
    for (size_t i = 0; i < n; i++) {
        double va = within(&a[i]), vb = b ? within(&b[i]) : 0;
        d[i] = a[i].correct / a[i].n - (b ? b[i].correct / b[i].n : 0);
        out->within_a += va / k, out->within_b += vb / k;
        out->noise += (va / a[i].n + (b ? vb / b[i].n : 0)) / k;
    }
    lb_stats_mean_and_error(d, n, &mean, &se);
    out->n_problem = n;
    out->total = se * se * k;
    out->between = isnan(out->noise) ? NAN : out->total > out->noise ? out->total - out->noise : 0;
    free(d);
    return true;
}

bool lb_stats_spread(const lb_outcome *a, size_t n_a, const lb_outcome *b, size_t n_b, lb_spread *out, lb_err *err)
{
    size_t n = 0, m = 0;
    memset(out, 0, sizeof *out);
    lb_stats_cluster *ca = lb_stats_clusters(a, n_a, &n, err), *cb = ca && b ? lb_stats_clusters(b, n_b, &m, err) : NULL;
    bool ok = ca && (!b || (cb && lb_stats_same_problems(ca, n, cb, m, err))) && spread(ca, cb, n, out, err);
    free(ca);
    free(cb);
    return ok;
}

lb_spread lb_stats_spread_of_two(const lb_spread *one, bool unrelated)
{
    lb_spread s = *one;
    s.within_b = one->within_a;
    s.noise = 2 * one->noise;
    s.between = unrelated ? 2 * one->between : isnan(one->noise) ? NAN : 0;
    s.total = unrelated ? 2 * one->total : s.noise;
    return s;
}

double lb_stats_detectable(const lb_spread *s) { return (z_level + z_power) * sqrt(s->total / (double)s->n_problem); }

double lb_stats_problems_needed(const lb_spread *s, double d)
{
    double z = (z_level + z_power) / d;
    return ceil(z * z * s->total * (1 - 1e-12)); /* a whole number stays one */
}

double lb_stats_samples_needed(const lb_spread *s, double d)
{
    double z = (z_level + z_power) / d, room = (double)s->n_problem / (z * z) - s->between;
    if (isnan(room)) return NAN;
    if (room <= 0) return INFINITY;
    double k = ceil((s->within_a + s->within_b) / room * (1 - 1e-12));
    return k < 1 ? 1 : k;
}
