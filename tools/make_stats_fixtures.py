#!/usr/bin/env python3
"""Prints the table of tests/unit/stats_table.inc: evaluation statistics by scipy and statsmodels.

Outcomes come from the same small generator as in tests/unit/test_stats.c, so that only results are stored.

    python3 tools/make_stats_fixtures.py > tests/unit/stats_table.inc      # scipy 1.17.1, statsmodels 0.15.0
"""

from collections import Counter
from itertools import combinations
from math import comb

import numpy as np
import scipy.stats as st
import statsmodels.api as sm
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.contingency_tables import mcnemar


def outcomes(case, n_problem, n_seed, skip):
    """(problem, seed, correct) by a linear congruence; problems differ in difficulty, some samples are left out."""
    s, out = case * 7919 + 17, []
    for p in range(n_problem):
        for k in range(n_seed):
            s = (s * 1103515245 + 12345) % 2**31
            if skip and s // 65536 % skip == 0 and k:
                continue
            out.append((p * 3 + 1, 42 + k, int(s // 65536 % 100 < 30 + p * 17 % 65)))
    return np.array(out)


def votes(case, n, n_group):
    """(group, correct) of n samples: group −1 gave no answer; the group of the right answer is 1, one sample of it is not."""
    s, out = case * 104729 + 5, []
    for i in range(n):
        s = (s * 1103515245 + 12345) % 2**31
        g = s // 65536 % (n_group + 1) - 1
        out.append((g, g == 1 and not (case == 3 and i == 0)))
    return out


def majority(v, k):
    """By going through all choices of k samples."""
    total = 0.0
    for chosen in combinations(v, k):
        count = Counter(g for g, _ in chosen if g >= 0)
        best = [g for g in count if count[g] == max(count.values())]
        for g in best:
            of_g = [c for h, c in v if h == g]
            total += sum(of_g) / len(of_g) / len(best)
    return total / comb(len(v), k)


def matrix(case, n, k):
    return outcomes(case, n, k, 0)[:, 2].reshape(n, k)


def flips(d):
    """The exact two-sided p-value of all sign flips, or its Monte Carlo value."""
    stat = lambda x, axis: np.sum(x, axis=axis)
    return st.permutation_test(
        (d,), stat, permutation_type='samples', n_resamples=200000, rng=np.random.default_rng(1)
    ).pvalue


def more():
    print('#ifdef MEAN   /* case, problems, seeds, skip, mean of values, clustered error */')
    for case, (n, k, skip) in enumerate([(40, 3, 0), (60, 5, 4), (7, 2, 0)]):
        o = outcomes(300 + case, n, k, skip)
        v = o[:, 2] * 0.75 + (o[:, 1] - 42) * 0.1
        fit = sm.OLS(v, np.ones(len(v))).fit(cov_type='cluster', cov_kwds={'groups': o[:, 0], 'use_correction': False})
        n_c = len(set(o[:, 0]))
        print(f'{{{case}, {n}, {k}, {skip}, {fit.params[0]:.15g}, {fit.bse[0] * np.sqrt(n_c / (n_c - 1)):.15g}}},')
    print('#endif\n#ifdef INTERVAL   /* right, of n, lo, hi */')
    for c, n in [(0, 20), (20, 20), (19, 20), (1, 3), (250, 500), (1290, 1319)]:
        lo, hi = proportion_confint(c, n, method='wilson')
        print(f'{{{c}, {n}, {lo:.15g}, {hi:.15g}}},')
    print('#endif\n#ifdef MAJORITY   /* case, samples, groups, k, maj@k */')
    for case, (n, g, ks) in enumerate(
        [(3, 2, (1, 2, 3)), (8, 3, (1, 2, 4, 7, 8)), (12, 6, (1, 3, 5, 12)), (9, 2, (2, 5, 9)), (11, 1, (4,)), (12, 12, (6,))]
    ):
        v = votes(case, n, g)
        for k in ks:
            print(f'{{{case}, {n}, {g}, {k}, {majority(v, k):.15g}}},')
    print('#endif\n#ifdef FLIPS   /* case, tasks, problems of the first, samples of a, of b, difference, error, p */')
    for case, (t, n, ka, kb) in enumerate([(1, 12, 3, 3), (1, 13, 4, 2), (1, 100, 4, 4), (1, 400, 1, 3), (3, 60, 3, 3)]):
        d, diff, var = [], 0, 0
        for i in range(t):
            m = n + 20 * i
            x = matrix(400 + case + 10 * i, m, ka).mean(1) - matrix(500 + case + 10 * i, m, kb).mean(1)
            diff, var = diff + x.mean() / t, var + st.sem(x) ** 2 / t**2
            d.append(x / m / t)
        p = flips(np.concatenate(d))
        print(f'{{{case}, {t}, {n}, {ka}, {kb}, {diff:.15g}, {np.sqrt(var):.15g}, {p:.6g}}},')
    print('#endif\n#ifdef SPREAD   /* case, problems, samples, total, within of a, of b, between, seen, problems, samples for 2 points */')
    solve = NormalIndPower(ddof=0).solve_power
    for case, (n, k) in enumerate([(500, 4), (200, 8), (30, 16), (1000, 2)]):
        a, b = matrix(600 + case, n, k), matrix(700 + case, n, k)
        d = a.mean(1) - b.mean(1)
        total, wa, wb = d.var(ddof=1), a.var(1, ddof=1).mean(), b.var(1, ddof=1).mean()
        between = max(0, total - (wa + wb) / k)
        seen = solve(nobs1=n, alpha=0.05, power=0.8, ratio=0) * np.sqrt(total)
        problems = np.ceil(solve(effect_size=0.02 / np.sqrt(total), alpha=0.05, power=0.8, ratio=0))
        samples = np.inf
        for kk in range(1, 100000):
            v = between + (wa + wb) / kk
            if NormalIndPower(ddof=0).power(0.02 / np.sqrt(v), n, 0.05, ratio=0) >= 0.8:
                samples = kk
                break
        print(
            f'{{{case}, {n}, {k}, {total:.15g}, {wa:.15g}, {wb:.15g}, {between:.15g}, {seen:.9g}, {problems:.0f}, '
            f'{"INFINITY" if np.isinf(samples) else samples}}},'
        )
    print('#endif')


def main():
    print('/* stats_table.inc – made by tools/make_stats_fixtures.py */')
    print(
        '#ifdef ACCURACY   /* case, problems, seeds, skip, mean, standard error, mean of seed 42, pass@2, its error */'
    )
    for case, (n, k, skip) in enumerate([(30, 3, 0), (500, 3, 0), (2, 2, 0), (198, 5, 4), (60, 8, 3), (30, 1, 0)]):
        o = outcomes(case, n, k, skip)
        fit = sm.OLS(o[:, 2].astype(float), np.ones(len(o))).fit(
            cov_type='cluster', cov_kwds={'groups': o[:, 0], 'use_correction': False}
        )
        n_c = len(set(o[:, 0]))
        se = fit.bse[0] * np.sqrt(n_c / (n_c - 1))
        passes = []
        for p in sorted(set(o[:, 0])):
            y = o[o[:, 0] == p, 2]
            passes.append(1 - comb(len(y) - y.sum(), 2) / comb(len(y), 2) if len(y) > 1 else np.nan)
        pm, ps = np.mean(passes), st.sem(passes)
        text = lambda v: 'NAN' if np.isnan(v) else f'{v:.15g}'
        seed42 = o[o[:, 1] == 42, 2].mean()
        print(f'{{{case}, {n}, {k}, {skip}, {fit.params[0]:.15g}, {se:.15g}, {seed42:.15g}, {text(pm)}, {text(ps)}}},')
    print('#endif\n#ifdef PAIRED   /* case, problems, seeds, difference, standard error, lo, hi, McNemar p */')
    for case, (n, k) in enumerate([(30, 1), (500, 1), (198, 3), (1000, 2)]):
        oa, ob = outcomes(100 + case, n, k, 0), outcomes(200 + case, n, k, 0)
        a = oa[:, 2].reshape(n, k)
        b = ob[:, 2].reshape(n, k)
        d = a.mean(1) - b.mean(1)
        ci = st.bootstrap(
            (d,), np.mean, n_resamples=20000, method='percentile', rng=np.random.default_rng(1)
        ).confidence_interval
        p = np.nan
        if k == 1:
            t = np.histogram2d(a[:, 0], b[:, 0], bins=[[0, 0.5, 2], [0, 0.5, 2]])[0]
            p = mcnemar(t, exact=True).pvalue
        text = 'NAN' if np.isnan(p) else f'{p:.15g}'
        print(f'{{{case}, {n}, {k}, {d.mean():.15g}, {st.sem(d):.15g}, {ci.low:.6g}, {ci.high:.6g}, {text}}},')
    print('#endif\n#ifdef MCNEMAR   /* b, c, p */')
    for b, c in [(0, 0), (1, 0), (3, 9), (9, 3), (10, 11), (0, 40), (120, 180), (1000, 1100), (5, 5000)]:
        p = min(1.0, 2 * st.binom.cdf(min(b, c), b + c, 0.5)) if b != c else 1.0
        print(f'{{{b}, {c}, {p:.15g}}},')
    print('#endif')
    more()


main()
