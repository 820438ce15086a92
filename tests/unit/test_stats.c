/* test_stats.c – evaluation statistics against scipy and statsmodels (tools/make_stats_fixtures.py). */
#include "test.h"
#include "eval/stats.h"

static void close_to(const char *what, double got, double want, double tol)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= tol)) fail_msg("%s: %.15g, wanted %.15g", what, got, want);
}

/* The generator of the script: problem, seed, correct by a linear congruence. */
static size_t outcomes(lb_outcome *x, int which, int n_problem, int n_seed, int skip)
{
    int64_t s = which * 7919 + 17;
    size_t n = 0;
    for (int p = 0; p < n_problem; p++)
        for (int k = 0; k < n_seed; k++) {
            s = (s * 1103515245 + 12345) % ((int64_t)1 << 31);
            if (skip && s / 65536 % skip == 0 && k) continue;
            x[n++] = (lb_outcome){p * 3 + 1, 42 + k, s / 65536 % 100 < 30 + p * 17 % 65};
        }
    return n;
}

static lb_outcome x[4096], y[4096];

static void accuracy_and_pass_at_k(void **state)
{
    (void)state;
    static const struct { int which, n, k, skip; double mean, se, seed42, pass2, pass2_se; } row[] = {
#define ACCURACY
#include "stats_table.inc"
#undef ACCURACY
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        size_t n = outcomes(x, row[i].which, row[i].n, row[i].k, row[i].skip);
        for (size_t j = 0; j < n; j++) {           /* the order does not matter */
            size_t o = j * 7 % n;
            lb_outcome t = x[j];
            x[j] = x[o], x[o] = t;
        }
        lb_err e = {0};
        lb_accuracy a;
        assert_ok(lb_stats_accuracy(x, n, &a, &e), e);
        close_to("accuracy", a.mean, row[i].mean, 1e-13);
        close_to("standard error", a.stderr_mean, row[i].se, 1e-13);
        assert_int_equal(a.n_problem, row[i].n);
        assert_int_equal(a.n_sample, n);
        assert_int_equal(a.n_seed, row[i].k);
        assert_int_equal(a.per_seed[0].seed, 42);
        close_to("seed 42", a.per_seed[0].mean, row[i].seed42, 1e-13);
        double mean, se;
        if (isnan(row[i].pass2)) {
            assert_false(lb_stats_pass(x, n, 2, &mean, &se, &e));
            assert_non_null(strstr(e.msg, "1 samples"));
        } else {
            assert_ok(lb_stats_pass(x, n, 2, &mean, &se, &e), e);
            close_to("pass@2", mean, row[i].pass2, 1e-13);
            close_to("pass@2 error", se, row[i].pass2_se, 1e-13);
        }
        if (row[i].skip) continue;
        assert_ok(lb_stats_pass(x, n, 1, &mean, &se, &e), e);
        close_to("pass@1", mean, row[i].mean, 1e-13);
        close_to("pass@1 error", se, row[i].se, 1e-13);
    }
}

static void degenerate_input(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_accuracy a;
    assert_false(lb_stats_accuracy(x, 0, &a, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    lb_outcome one = {INT64_MAX, INT64_MIN, true};
    assert_ok(lb_stats_accuracy(&one, 1, &a, &e), e);
    assert_true(a.mean == 1 && isnan(a.stderr_mean));
    for (int i = 0; i < 65; i++) x[i] = (lb_outcome){1, i, true};
    assert_true(lb_stats_accuracy(x, 64, &a, &e));
    assert_false(lb_stats_accuracy(x, 65, &a, &e));
    assert_true(isnan(lb_stats_pass_at_k(3, 4, 1)) && isnan(lb_stats_pass_at_k(3, 1, 4)));
    assert_true(isnan(lb_stats_pass_at_k(3, 1, 0)));
    assert_true(lb_stats_pass_at_k(3, 0, 3) == 0 && lb_stats_pass_at_k(3, 1, 3) == 1);
    close_to("pass@10 of 200", lb_stats_pass_at_k(200, 3, 10), 1 - 190.0 * 189 * 188 / (200.0 * 199 * 198), 1e-14);
    lb_paired p;
    lb_outcome b[2] = {{1, 42, true}, {2, 42, false}}, c[2] = {{2, 42, true}, {3, 42, true}};
    assert_false(lb_stats_paired(b, 2, c, 2, 0, 1, &p, &e));
    assert_non_null(strstr(e.msg, "problem 1 is only in the first run"));
    assert_false(lb_stats_paired(c, 1, b, 2, 0, 1, &p, &e));
    assert_non_null(strstr(e.msg, "problem 1 is only in the baseline"));
    assert_false(lb_stats_paired(b, 2, c, 0, 0, 1, &p, &e));
}

static void mean_over_tasks(void **state)
{
    (void)state;
    double mean[] = {.9, .5, .7}, se[] = {.03, .04, .12}, m, s;
    lb_stats_average(mean, se, 3, &m, &s);
    close_to("mean", m, .7, 1e-15);
    close_to("error", s, .13 / 3, 1e-15);
}

static void paired_comparison(void **state)
{
    (void)state;
    static const struct { int which, n, k; double diff, se, lo, hi, p; } row[] = {
#define PAIRED
#include "stats_table.inc"
#undef PAIRED
    };
    bool seed_matters = false;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        size_t n = outcomes(x, 100 + row[i].which, row[i].n, row[i].k, 0);
        size_t m = outcomes(y, 200 + row[i].which, row[i].n, row[i].k, 0);
        lb_err e = {0};
        lb_paired a, b, c;
        assert_ok(lb_stats_paired(x, n, y, m, 0, 42, &a, &e), e);
        close_to("difference", a.diff, row[i].diff, 1e-13);
        close_to("its error", a.stderr_diff, row[i].se, 1e-13);
        close_to("McNemar", a.p_mcnemar, row[i].p, 1e-11);
        double tol = 0.1 * row[i].se + 1.0 / (row[i].n * row[i].k);      /* noise of 10,000 resamples, and the grid */
        close_to("lower bound", a.lo, row[i].lo, tol);
        close_to("upper bound", a.hi, row[i].hi, tol);
        assert_ok(lb_stats_paired(x, n, y, m, 10000, 42, &b, &e), e);
        assert_memory_equal(&a.lo, &b.lo, 2 * sizeof a.lo);
        assert_ok(lb_stats_paired(y, m, x, n, 500, 43, &c, &e), e);
        close_to("reversed", c.diff, -a.diff, 1e-15);
        assert_true(c.lo < c.diff && c.diff < c.hi);
        seed_matters |= c.lo != -a.hi;
        if (row[i].k == 1) assert_true(a.only_a == c.only_b && a.only_b == c.only_a && a.only_a + a.only_b > 0);
    }
    assert_true(seed_matters);
}

static void mcnemar_is_exact(void **state)
{
    (void)state;
    static const struct { uint64_t b, c; double p; } row[] = {
#define MCNEMAR
#include "stats_table.inc"
#undef MCNEMAR
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        close_to("p", lb_stats_mcnemar(row[i].b, row[i].c), row[i].p, row[i].p * 1e-9 + 1e-300);
}

static void degradation_classes(void **state)
{
    (void)state;
    static const struct { double drop; const char *want; } row[] = {
        {-5, "lossless"}, {0, "lossless"}, {1, "lossless"}, {100 * (.9 - .89), "lossless"}, {1.01, "fair"}, {3, "fair"},
        {100 * (.83 - .80), "fair"}, {3.01, "risky"}, {90, "risky"}, {NAN, "risky"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        assert_string_equal(lb_degradation_name(lb_degradation_of(row[i].drop)), row[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accuracy_and_pass_at_k), cmocka_unit_test(degenerate_input), cmocka_unit_test(mean_over_tasks),
        cmocka_unit_test(paired_comparison), cmocka_unit_test(mcnemar_is_exact), cmocka_unit_test(degradation_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
