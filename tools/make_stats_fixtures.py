#!/usr/bin/env python3
"""Prints the table of tests/unit/stats_table.inc: evaluation statistics by scipy and statsmodels.

Outcomes come from the same small generator as in tests/unit/test_stats.c, so that only results are stored.

    python3 tools/make_stats_fixtures.py > tests/unit/stats_table.inc      # scipy 1.17.1, statsmodels 0.15.0
"""

from math import comb

import numpy as np
import scipy.stats as st
import statsmodels.api as sm
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


main()
