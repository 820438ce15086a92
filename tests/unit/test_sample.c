/* test_sample.c – filters against their definitions, distribution against exact probabilities, ties, bad logits. */
#include "test.h"
#include "infer/sample.h"

enum { V = 8 };
static const float logits[V] = {0.5f, 2.0f, -1.0f, 2.0f, 1.0f, -30.0f, 0.0f, 1.5f};

static int pick(const lb_sampling *how, uint64_t seed, uint64_t pos, const int *hist, size_t n_hist)
{
    lb_sampler s;
    lb_err e = {0};
    int token = -1;
    assert_ok(lb_sampler_open(&s, V, &e), e);
    assert_ok(lb_sample(&s, how, logits, hist, n_hist, lb_rng_key_of(seed, 1, 2), pos, &token, NULL, &e), e);
    lb_sampler_close(&s);
    return token;
}

static void greedy_takes_the_lowest_of_equals(void **state)
{
    (void)state;
    lb_sampling g = {.temperature = 0, .top_p = 1, .repetition_penalty = 1};
    assert_int_equal(pick(&g, 1, 0, NULL, 0), 1);
    g.repetition_penalty = 2; /* token 1 occurred: its logit halves */
    int hist[] = {1, 1};
    assert_int_equal(pick(&g, 1, 0, hist, 2), 3);
}

/* Frequencies of n draws against the exact filtered distribution. */
static void frequencies(const lb_sampling *how, const double *want)
{
    enum { N = 20000 };
    int count[V] = {0};
    lb_sampler s;
    lb_err e = {0};
    assert_ok(lb_sampler_open(&s, V, &e), e);
    for (int i = 0; i < N; i++) {
        int t;
        assert_ok(lb_sample(&s, how, logits, NULL, 0, lb_rng_key_of(7, 0, 0), (uint64_t)i, &t, NULL, &e), e);
        count[t]++;
    }
    lb_sampler_close(&s);
    for (int i = 0; i < V; i++) {
        double p = (double)count[i] / N, sd = sqrt(want[i] * (1 - want[i]) / N);
        if (want[i] == 0) assert_int_equal(count[i], 0);
        else if (fabs(p - want[i]) > 4.5 * sd + 1e-3) fail_msg("token %d: %.4f, wanted %.4f", i, p, want[i]);
    }
}

static void softmax(const double *l, const int *keep, double *p)
{
    double sum = 0;
    for (int i = 0; i < V; i++) sum += keep[i] ? exp(l[i]) : 0;
    for (int i = 0; i < V; i++) p[i] = keep[i] ? exp(l[i]) / sum : 0;
}

static void distributions_are_the_filtered_softmax(void **state)
{
    (void)state;
    double l[V], p[V];
    for (int i = 0; i < V; i++) l[i] = (double)logits[i] / 0.8;
    lb_sampling how = {.temperature = 0.8f, .top_p = 1, .repetition_penalty = 1};
    softmax(l, (int[V]){1, 1, 1, 1, 1, 1, 1, 1}, p);
    frequencies(&how, p);
    how.top_k = 3; /* 1, 3, 7 */
    softmax(l, (int[V]){0, 1, 0, 1, 0, 0, 0, 1}, p);
    frequencies(&how, p);
    how.top_k = 0;
    how.top_p = 0.5f; /* 1 alone has .30, 1 and 3 have .60 ≥ .5 */
    softmax(l, (int[V]){0, 1, 0, 1, 0, 0, 0, 0}, p);
    frequencies(&how, p);
    how.top_p = 1;
    how.min_p = 0.25f; /* e^((1-2)/.8) = .287 stays, e^((.5-2)/.8) = .153 goes */
    softmax(l, (int[V]){0, 1, 0, 1, 1, 0, 0, 1}, p);
    frequencies(&how, p);
    how.top_k = 4, how.top_p = 0.75f, how.min_p = 0.1f; /* top-k leaves 1 3 7 4; 1 and 3 have .71 of that, so 7 is needed too */
    softmax(l, (int[V]){0, 1, 0, 1, 0, 0, 0, 1}, p);
    frequencies(&how, p);
}

static void the_most_likely_token_always_stays(void **state)
{
    (void)state;
    lb_sampling how = {.temperature = 1, .top_p = 0, .repetition_penalty = 1};
    for (uint64_t i = 0; i < 50; i++) assert_int_equal(pick(&how, 3, i, NULL, 0), 1);
    how.top_p = 1, how.min_p = 1; /* both equals of the top stay */
    for (uint64_t i = 0; i < 50; i++) {
        int t = pick(&how, 3, i, NULL, 0);
        assert_true(t == 1 || t == 3);
    }
}

static void log_probability_is_of_the_raw_logits(void **state)
{
    (void)state;
    lb_sampler s;
    lb_err e = {0};
    int t;
    float lp;
    double z = 0;
    lb_sampling how = {.temperature = 0.3f, .top_p = 0.9f, .repetition_penalty = 1};
    assert_ok(lb_sampler_open(&s, V, &e), e);
    assert_ok(lb_sample(&s, &how, logits, NULL, 0, lb_rng_key_of(1, 2, 3), 4, &t, &lp, &e), e);
    for (int i = 0; i < V; i++) z += exp((double)logits[i]);
    assert_true(fabs((double)lp - ((double)logits[t] - log(z))) < 1e-5);
    lb_sampler_close(&s);
}

static void broken_logits_are_an_error(void **state)
{
    (void)state;
    lb_sampler s;
    lb_err e = {0};
    int t;
    lb_sampling how = {.temperature = 1, .top_p = 1, .repetition_penalty = 1};
    assert_ok(lb_sampler_open(&s, 3, &e), e);
    float nan_row[3] = {1, NAN, 2}, inf_row[3] = {-INFINITY, -INFINITY, -INFINITY}, one[3] = {-INFINITY, 5, -INFINITY};
    assert_false(lb_sample(&s, &how, nan_row, NULL, 0, lb_rng_key_of(1, 1, 1), 9, &t, NULL, &e));
    assert_int_equal(e.code, LB_ENUMERIC);
    assert_non_null(strstr(e.msg, "position 9"));
    assert_false(lb_sample(&s, &how, inf_row, NULL, 0, lb_rng_key_of(1, 1, 1), 9, &t, NULL, &e));
    assert_ok(lb_sample(&s, &how, one, NULL, 0, lb_rng_key_of(1, 1, 1), 9, &t, NULL, &e), e);
    assert_int_equal(t, 1);
    lb_sampler_close(&s);
    how.top_p = 1.5f;
    assert_false(lb_sampling_check(&how, &e));
    assert_int_equal(e.code, LB_EUSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_lowest_of_equals), cmocka_unit_test(distributions_are_the_filtered_softmax),
        cmocka_unit_test(the_most_likely_token_always_stays), cmocka_unit_test(log_probability_is_of_the_raw_logits),
        cmocka_unit_test(broken_logits_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
