/* test_quant.c – schemes, grids, round to nearest: their defining properties. */
#include "test.h"
#include "base/rng.h"
#include "quant/grid.h"
#include "quant/method.h"

static void schemes_parse_and_print(void **state)
{
    (void)state;
    static const struct { const char *in, *out; } good[] = {
        {"w4a16kv16", "w4g128"}, {"w3g128", "w3g128"}, {"W2G64s", "w2g64s"}, {"w8g-1s", "w8g-1s"}, {"w16a16kv16", "w16"}, {"w4a16g32a", "w4g32"},
        {"w8a8kv8", "w8a8kv8"}, {"W4A4KV4", "w4a4kv4"}, {"w16a16kv4", "w16kv4"}, {"w4a8g128", "w4a8g128"}, {"w4a4g-1a", "w4a4a"},
        {"w4a8g128a", "w4a8g128a"}, {"mxfp4", "mxfp4"}, {"NVFP4a4kv4", "nvfp4a4kv4"}, {"w3kv3", "w3kv3g128"},
        {"W2G64H", "w2g64h"}, {"w2h", "w2g128h"}, {"w2a8h", "w2a8h"}, {"w2g-1h", "w2g-1h"},
    };
    static const struct { const char *in; lb_code code; } bad[] = {
        {"", LB_EUSAGE}, {"w5g128", LB_EUSAGE}, {"w4g100", LB_EUSAGE}, {"w4g0", LB_EUSAGE}, {"w4g128x", LB_EUSAGE}, {"4bit", LB_EUSAGE},
        {"w16a8", LB_EUNSUPPORTED}, {"w8a6", LB_EUSAGE}, {"w4kv5", LB_EUSAGE}, {"mxfp4a8", LB_EUSAGE}, {"mxfp4g64", LB_EUSAGE},
        {"w99999999999", LB_EUSAGE}, {"w3g128h", LB_EUSAGE}, {"w16h", LB_EUSAGE}, {"mxfp4h", LB_EUSAGE}, {"w2g128hs", LB_EUSAGE},
    };
    lb_err e = {0};
    lb_scheme s;
    char text[LB_SCHEME_TEXT];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(lb_scheme_parse(good[i].in, &s, &e), e);
        lb_scheme_text(&s, text);
        assert_string_equal(text, good[i].out);
        assert_ok(lb_scheme_parse(text, &s, &e), e);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(lb_scheme_parse(bad[i].in, &s, &e));
        assert_int_equal(e.code, bad[i].code);
    }
}

static void fill(float *w, int n, uint64_t seed)
{
    for (int i = 0; i < n; i++) w[i] = 0.05f * lb_rng_normal(lb_rng_key_of(seed, 0, 0), (uint64_t)i);
}

/* |ŵ − w| ≤ s/2 inside the range (plus what the rounded scale and zero point move its ends), 0 is exact, and the codes of ŵ
 * are the codes of w. */
static void grids_round_to_the_nearest_point(void **state)
{
    (void)state;
    static const int bits[] = {2, 3, 4, 8};
    static const lb_dtype types[] = {LB_F32, LB_BF16, LB_F16};
    float w[128];
    for (int b = 0; b < 4; b++) {
        for (int sym = 0; sym < 2; sym++) {
            for (int t = 0; t < 3; t++) {
                fill(w, 128, (uint64_t)(10 * b + sym));
                lb_grid g = lb_grid_minmax(w, 128, bits[b], sym, 1, types[t]);
                assert_true(g.zero >= 0 && g.zero <= g.max && g.scale > 0);
                assert_true(lb_grid_value(&g, lb_grid_code(&g, 0)) == 0);
                for (int i = 0; i < 128; i++) {
                    int q = lb_grid_code(&g, w[i]);
                    float v = lb_grid_value(&g, q), slack = types[t] == LB_F32 ? 1.0f : 1.0f + (float)g.max * 0.02f;
                    assert_true(q >= 0 && q <= g.max);
                    assert_true(fabsf(v - w[i]) <= 0.5f * g.scale * slack * 1.001f + 0.51f * g.scale * (float)(q == 0 || q == g.max));
                    assert_int_equal(lb_grid_code(&g, v), q);
                }
            }
        }
    }
}

/* Four levels, each the nearest one, the outer two half a step within the largest weight; a mirror image has mirrored
 * codes; rtn stores them, and with the clip search is no worse. */
static void the_balanced_grid_is_balanced(void **state)
{
    (void)state;
    enum { N = 50, K = 96, G = 32 };
    float w[N * K];
    lb_err e = {0};
    lb_exec *ex = lb_exec_open(NULL, &e);
    fill(w, N * K, 17);
    double error[2];
    for (int mse = 0; mse < 2; mse++) {
        lb_qmat q = {.bits = 2, .n = N, .k = K, .group = G, .scale_type = LB_BF16, .half = true};
        assert_ok(lb_qmat_alloc(&q, &e), e);
        lb_scheme s = {.w_bits = 2, .group = G, .half = true};
        lb_quant_job j = {.name = "t", .w = w, .n = N, .k = K, .scheme = s, .scale_type = LB_BF16, .clip_mse = mse, .ex = ex};
        assert_ok(lb_methods[0]->solve(&j, &q, &e), e);
        error[mse] = 0;
        for (int i = 0; i < N * K; i++) {
            int g = i / G;
            float scale = q.scales[g], v = lb_int_value(scale, q.codes[i], q.zeros[g], true);
            assert_int_equal(q.zeros[g], LB_HALF_ZERO);
            for (int c = 0; c < 4; c++) assert_true(fabsf(v - w[i]) <= fabsf(scale * ((float)c - 1.5f) - w[i]) + 1e-7f);
            assert_int_equal(lb_half_code(scale, -w[i]), 3 - q.codes[i]);
            error[mse] += pow(fabs((double)(v - w[i])), 2.4);
            if (mse) continue;
            assert_true(scale == lb_half_scale(w + g * G, G, 1, LB_BF16));
            assert_true(fabsf(w[i]) <= 2 * scale * 1.01f);
        }
        lb_qmat_free(&q);
    }
    assert_true(error[1] < 0.9 * error[0]);
    assert_true(lb_half_scale(w, 0, 1, LB_F16) > 0); /* nothing: usable all the same */
    lb_exec_close(ex);
}

static double power_error(const lb_grid *g, const float *w, int n)
{
    double e = 0;
    for (int i = 0; i < n; i++) e += pow(fabs((double)lb_grid_value(g, lb_grid_code(g, w[i])) - (double)w[i]), 2.4);
    return e;
}

static void clip_search_is_never_worse(void **state)
{
    (void)state;
    float w[128];
    int better = 0;
    for (uint64_t s = 0; s < 20; s++) {
        fill(w, 128, 100 + s);
        w[5] = 0.5f; /* an outlier that min-max spends its range on */
        lb_grid a = lb_grid_minmax(w, 128, 3, false, 1, LB_BF16), b = lb_grid_mse(w, 128, 3, false, LB_BF16);
        assert_true(power_error(&b, w, 128) <= power_error(&a, w, 128) * 1.0001);
        better += power_error(&b, w, 128) < 0.9 * power_error(&a, w, 128);
    }
    assert_true(better > 15);
}

static void zeros_constants_and_extremes_are_finite(void **state)
{
    (void)state;
    float w[64] = {0};
    static const float values[] = {0, 1, -1, 3e38f, -3e38f, 1e-40f, 65504};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        for (int t = 0; t < 2; t++) {
            for (int sym = 0; sym < 2; sym++) {
                for (int i = 0; i < 64; i++) w[i] = values[v];
                lb_grid g = lb_grid_minmax(w, 64, 4, sym, 1, t ? LB_BF16 : LB_F32);
                float back = lb_grid_value(&g, lb_grid_code(&g, w[0]));
                assert_true(isfinite(g.scale) && g.scale > 0 && isfinite(back));
                assert_true(fabsf(back - w[0]) <= 0.08f * fabsf(w[0]) + 1e-9f);
            }
        }
    }
}

static void rtn_quantizes_each_group_alone(void **state)
{
    (void)state;
    enum { N = 5, K = 96, G = 32 };
    float w[N * K];
    fill(w, N * K, 5);
    lb_err e = {0};
    lb_exec *ex = lb_exec_open(NULL, &e);
    lb_qmat q = {.bits = 3, .n = N, .k = K, .group = G, .scale_type = LB_BF16};
    assert_ok(lb_qmat_alloc(&q, &e), e);
    lb_quant_job j = {.name = "t", .w = w, .n = N, .k = K, .scheme = {.w_bits = 3, .group = G}, .scale_type = LB_BF16, .ex = ex};
    assert_ok(lb_methods[0]->solve(&j, &q, &e), e);
    for (int r = 0; r < N; r++) {
        for (int g = 0; g < K / G; g++) {
            lb_grid want = lb_grid_minmax(w + r * K + g * G, G, 3, false, 1, LB_BF16);
            assert_true(q.scales[r * (K / G) + g] == want.scale);
            assert_int_equal(q.zeros[r * (K / G) + g], want.zero);
            for (int k = g * G; k < (g + 1) * G; k++) assert_int_equal(q.codes[r * K + k], lb_grid_code(&want, w[r * K + k]));
        }
    }
    lb_qmat_free(&q);
    lb_exec_close(ex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemes_parse_and_print), cmocka_unit_test(grids_round_to_the_nearest_point),
        cmocka_unit_test(the_balanced_grid_is_balanced), cmocka_unit_test(clip_search_is_never_worse), cmocka_unit_test(zeros_constants_and_extremes_are_finite),
        cmocka_unit_test(rtn_quantizes_each_group_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
