/* test_allocate.c – bits shared among layers: against every combination on small cases, the budget kept, sizes that share
 * no divisor, what cannot be done. */
#include "test.h"
#include "base/rng.h"
#include "quant/allocate.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { MAX_N = 7, MAX_C = 4 };

typedef struct small { lb_alloc_layer l[MAX_N]; lb_choice c[MAX_N][MAX_C]; int n; } small;

static lb_rng_key key;
static uint64_t at;
static int draw(int n) { return (int)(lb_rng_uniform(key, at++) * n); }

/* Layers of different sizes; sizes with and without a common divisor; costs that do not always fall with the bits. */
static void make(small *s, bool round)
{
    s->n = 1 + draw(MAX_N);
    for (int i = 0; i < s->n; i++) {
        int64_t w = round ? 4096 * (1 + draw(4)) : 1 + draw(5000);
        int n_choice = 1 + draw(MAX_C);
        for (int c = 0; c < n_choice; c++) {
            int bits = 2 + draw(7);
            s->c[i][c] = (lb_choice){.scheme = {.w_bits = 4, .group = 128}, .bits = w * bits + (round ? 0 : draw(30)),
                                     .cost = draw(5) == 0 ? 1 : pow(0.5, bits) * (1 + draw(100))};
        }
        s->l[i] = (lb_alloc_layer){"a layer", w, s->c[i], n_choice};
    }
}

/* The least cost within the budget over all combinations, and the least bits at that cost. */
static void brute(const small *s, int64_t budget, double *cost, int64_t *bits)
{
    int pick[MAX_N] = {0};
    *cost = INFINITY, *bits = INT64_MAX;
    for (;;) {
        double c = 0;
        int64_t b = 0;
        for (int i = 0; i < s->n; i++) c += s->c[i][pick[i]].cost, b += s->c[i][pick[i]].bits;
        if (b <= budget && (c < *cost - 1e-12 || (fabs(c - *cost) <= 1e-12 && b < *bits))) *cost = c, *bits = b;
        int i = 0;
        while (i < s->n && ++pick[i] == s->l[i].n_choice) pick[i++] = 0;
        if (i == s->n) return;
    }
}

static void as_good_as_every_combination(void **state)
{
    (void)state;
    int done = 0;
    key = lb_rng_key_of(11, 0, 0), at = 0;
    for (int round = 0; round < 1500; round++) {
        small s;
        lb_err e = {0};
        make(&s, round % 2);
        int64_t weights = 0, least = 0, most = 0;
        for (int i = 0; i < s.n; i++) {
            int64_t lo = INT64_MAX, hi = 0;
            for (int c = 0; c < s.l[i].n_choice; c++) {
                lo = s.c[i][c].bits < lo ? s.c[i][c].bits : lo;
                hi = s.c[i][c].bits > hi ? s.c[i][c].bits : hi;
            }
            weights += s.l[i].n_weight, least += lo, most += hi;
        }
        double target = ((double)least + lb_rng_uniform(key, at++) * 1.1 * (double)(most - least)) / (double)weights;
        int64_t budget = (int64_t)(target * (double)weights), want_bits;
        if (budget < least) continue;
        int pick[MAX_N];
        lb_allocation a;
        double want;
        assert_ok(lb_allocate(s.l, s.n, target, pick, &a, &e), e);
        brute(&s, budget, &want, &want_bits);
        int64_t bits = 0;
        for (int i = 0; i < s.n; i++) bits += s.c[i][pick[i]].bits;
        if (fabs(a.cost - want) > 1e-9 || bits > budget || bits != want_bits)
            fail_msg("round %d: cost %g in %lld bits, wanted %g in %lld of %lld", round, a.cost, (long long)bits, want,
                     (long long)want_bits, (long long)budget);
        assert_true(fabs(a.bpw - (double)bits / (double)weights) < 1e-12);
        done++;
    }
    assert_true(done > 1000);
}

/* So many cells that the unit is coarsened: the budget is kept, and the cost is near the one of the exact table. */
static void a_coarse_table_keeps_the_budget(void **state)
{
    (void)state;
    enum { N = 300 };
    static lb_choice c[2][N][4];
    static lb_alloc_layer l[2][N];
    key = lb_rng_key_of(12, 0, 0), at = 0;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < 4; j++) {
            double cost = pow(0.25, j) * (1 + lb_rng_uniform(key, at++));
            for (int k = 0; k < 2; k++) /* the second has no common divisor */
                c[k][i][j] = (lb_choice){.scheme = {.w_bits = 2 + j}, .cost = cost, .bits = (int64_t)1000000 * (2 + j) + (k ? draw(50) : 0)};
        }
        for (int k = 0; k < 2; k++) l[k][i] = (lb_alloc_layer){"a layer", 1000000, c[k][i], 4};
    }
    lb_err e = {0};
    int pick[N];
    lb_allocation exact, coarse;
    assert_ok(lb_allocate(l[0], N, 3.3, pick, &exact, &e), e);
    assert_ok(lb_allocate(l[1], N, 3.3, pick, &coarse, &e), e);
    assert_true(exact.bpw <= 3.3 && exact.bpw > 3.299 && coarse.bpw <= 3.3 && coarse.bpw > 3.28);
    if (!(coarse.cost <= exact.cost * 1.02)) fail_msg("%g against %g", coarse.cost, exact.cost);
}

static void what_cannot_be_done_is_said(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_choice c[] = {{.scheme = {.w_bits = 2, .a_bits = 16, .kv_bits = 16, .group = 128}, .bits = 2190, .cost = 1},
                     {.scheme = {.w_bits = 3, .a_bits = 16, .kv_bits = 16, .group = 128}, .bits = 3200, .cost = 0.1}};
    lb_alloc_layer l = {"layer x", 1000, c, 2};
    int pick;
    lb_allocation a;
    assert_false(lb_allocate(&l, 1, 2.1, &pick, &a, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    assert_non_null(strstr(e.msg, "2.1 bits per weight are fewer than the 2.1900"));
    assert_ok(lb_allocate(&l, 1, 2.19, &pick, &a, &e), e);
    assert_int_equal(pick, 0);
    assert_ok(lb_allocate(&l, 1, 1e300, &pick, &a, &e), e);
    assert_int_equal(pick, 1);
    c[1].cost = NAN;
    assert_false(lb_allocate(&l, 1, 4, &pick, &a, &e));
    assert_non_null(strstr(e.msg, "layer x: the cost of w3g128 is not finite"));
    assert_false(lb_allocate(&l, 0, 4, &pick, &a, &e));
}

/* [256,512] at w3g128 asymmetric: codes 256·48 words, 256·4 bf16 scales, 24·4 words of zeros, two i64. */
static void sizes_are_those_of_the_file(void **state)
{
    (void)state;
    lb_scheme s;
    lb_err e = {0};
    assert_ok(lb_scheme_parse("w3g128", &s, &e), e);
    assert_int_equal(lb_scheme_bits(&s, 256, 512, LB_BF16), 8 * (256 * 48 * 4 + 256 * 4 * 2 + 24 * 4 * 4 + 16));
    assert_ok(lb_scheme_parse("w2g128h", &s, &e), e); /* zero points of a byte each */
    assert_int_equal(lb_scheme_bits(&s, 256, 512, LB_BF16), 8 * (256 * 32 * 4 + 256 * 4 * 2 + 256 * 4 + 16));
    assert_ok(lb_scheme_parse("w16", &s, &e), e);
    assert_int_equal(lb_scheme_bits(&s, 256, 512, LB_BF16), 16 * 256 * 512);
}

static void a_pattern_matches_its_module_alone(void **state)
{
    (void)state;
    char p[LB_PATTERN_TEXT], lots[600];
    assert_true(lb_module_pattern("model.layers.1.mlp.up_proj", p));
    int code;
    PCRE2_SIZE where;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)p, PCRE2_ZERO_TERMINATED, 0, &code, &where, NULL);
    pcre2_match_data *md = pcre2_match_data_create(1, NULL);
    static const char *const names[] = {"model.layers.1.mlp.up_proj", "model.layers.11.mlp.up_proj", "model.layers.1.mlp.up_proj2",
                                        "model_layers.1.mlp.up_proj", "x.model.layers.1.mlp.up_proj"};
    for (int i = 0; i < 5; i++)
        assert_int_equal(pcre2_match(re, (PCRE2_SPTR)names[i], PCRE2_ZERO_TERMINATED, 0, 0, md, NULL) >= 0, i == 0);
    pcre2_match_data_free(md);
    pcre2_code_free(re);
    memset(lots, 'a', sizeof lots);
    lots[sizeof lots - 1] = 0;
    assert_false(lb_module_pattern(lots, p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_good_as_every_combination), cmocka_unit_test(a_coarse_table_keeps_the_budget),
        cmocka_unit_test(what_cannot_be_done_is_said), cmocka_unit_test(sizes_are_those_of_the_file),
        cmocka_unit_test(a_pattern_matches_its_module_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
