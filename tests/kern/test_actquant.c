/* test_actquant.c – rounding of activations: the formula of kern/actquant.h written down a second time, and what follows
 * from it. */
#include "test.h"
#include "base/rng.h"
#include "kern/actquant.h"

enum { MAX_K = 700 };

static uint64_t n_drawn;
static float normal(void) { return lb_rng_normal(lb_rng_key_of(8, 1, 8), n_drawn++); }
static int below(int n) { return (int)(lb_rng_uniform(lb_rng_key_of(7, 1, 7), n_drawn++) * n); }

/* One operation after the other; volatile keeps every one of them a float. */
static lb_act_row plain(const lb_act_quant *q, const float *x, int k, uint8_t *codes)
{
    volatile float hi = 0, lo = 0, s, z, v;
    int most = q->bits == 8 ? 255 : 15;
    for (int i = 0; i < k; i++) {
        if (x[i] > hi) hi = x[i];
        if (x[i] < lo) lo = x[i];
    }
    hi = hi * (q->clip_hi != 0 ? q->clip_hi : 1);
    lo = lo * (q->clip_lo != 0 ? q->clip_lo : 1);
    s = hi - lo;
    s = s / (float)most;
    if (s == 0) {
        memset(codes, 0, (size_t)k);
        return (lb_act_row){0, 0};
    }
    z = -lo / s;
    z = nearbyintf(z);
    if (z > (float)most) z = (float)most;
    for (int i = 0; i < k; i++) {
        v = x[i] / s;
        v = nearbyintf(v);
        v = v + z;
        codes[i] = (uint8_t)(v < 0 ? 0 : v > (float)most ? most : (int)v);
    }
    return (lb_act_row){s, (int)z};
}

static void codes_follow_the_formula(void **state)
{
    (void)state;
    static const float clips[] = {0, 1, 0.9f, 0.3f};
    for (int round = 0; round < 400; round++) {
        float x[MAX_K], fake[MAX_K];
        uint8_t want[MAX_K], got[MAX_K + 1];
        int k = 1 + below(MAX_K), shape = below(4);
        lb_act_quant q = {LB_ACT_INT, round & 1 ? 8 : 4, clips[below(4)], clips[below(4)]};
        float size = ldexpf(1, below(60) - 30);
        for (int i = 0; i < k; i++) {
            x[i] = size * normal();
            if (shape == 1) x[i] = fabsf(x[i]);
            if (shape == 2) x[i] = -fabsf(x[i]) - size;
            if (shape == 3) x[i] = 0.5f * (float)(below(511) - 100);        /* ties, if nothing is clipped */
        }
        if (shape == 3) x[0] = -100, x[k - 1] = k > 1 ? 155 : -100;
        got[k] = 0xa5;
        lb_act_row a = plain(&q, x, k, want), b = lb_act_codes(&q, x, k, got);
        assert_int_equal(got[k], 0xa5);
        if (a.scale != b.scale || a.zero != b.zero)
            fail_msg("k %d: scale %.9g zero %d, want %.9g and %d", k, (double)b.scale, b.zero, (double)a.scale, a.zero);
        for (int i = 0; i < k; i++)
            if (got[i] != want[i])
                fail_msg("k %d: x[%d] = %.9g is code %d, want %d", k, i, (double)x[i], got[i], want[i]);
        lb_act_fake_quant(&q, x, k, fake);
        for (int i = 0; i < k; i++) {
            volatile float v = (float)((int)want[i] - a.zero);
            v = a.scale * v;
            if (fake[i] != v) fail_msg("fake x[%d] is %.9g, want %.9g", i, (double)fake[i], (double)v);
        }
        lb_act_fake_quant(&q, x, k, x);
        assert_memory_equal(x, fake, (size_t)k * sizeof *x);
    }
}

static void ties_go_to_even(void **state)
{
    (void)state;
    float x[] = {-5, 0, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 10};                /* range 15: s = 1, z = 5 */
    static const uint8_t want[] = {0, 5, 5, 7, 7, 5, 3, 15};
    uint8_t codes[8];
    lb_act_quant q = {.kind = LB_ACT_INT, .bits = 4};
    lb_act_row r = lb_act_codes(&q, x, 8, codes);
    assert_true(r.scale == 1 && r.zero == 5);
    assert_memory_equal(codes, want, 8);
}

/* Inside the range x̂ is off by half a step of x, and as much again because z is whole; 0 stays 0. */
static void errors_are_bounded(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        float x[MAX_K], y[MAX_K];
        int k = 2 + below(MAX_K - 2);
        lb_act_quant q = {.kind = LB_ACT_INT, .bits = round & 1 ? 8 : 4};
        float lo = 0, hi = 0;
        for (int i = 0; i < k; i++) x[i] = normal() + (float)(round % 5 - 2);
        x[below(k)] = 0;
        for (int i = 0; i < k; i++) lo = fminf(lo, x[i]), hi = fmaxf(hi, x[i]);
        lb_act_fake_quant(&q, x, k, y);
        double s = ((double)hi - (double)lo) / ((1 << q.bits) - 1);
        for (int i = 0; i < k; i++) {
            double e = fabs((double)x[i] - (double)y[i]);
            bool inside = (double)x[i] > (double)lo + s && (double)x[i] < (double)hi - s;
            if (e > s * (inside ? 0.5 : 1) + 1e-5)
                fail_msg("x %.9g became %.9g, step %.9g", (double)x[i], (double)y[i], s);
            if (x[i] == 0) assert_true(y[i] == 0);
        }
    }
}

static void strange_rows(void **state)
{
    (void)state;
    static const float sizes[] = {0, -0.0f, 1e-45f, 1e-40f, 1e-38f};
    for (int bits = 4; bits <= 8; bits += 4) {
        lb_act_quant q = {.kind = LB_ACT_INT, .bits = bits};
        float x[33], y[33];
        for (int s = 0; s < 5; s++) {
            for (int i = 0; i < 33; i++) x[i] = sizes[s] * (float)(i - 11);
            lb_act_fake_quant(&q, x, 33, y);
            for (int i = 0; i < 33; i++) assert_true(isfinite(y[i]) && fabsf(y[i]) <= 1e-36f);
        }
        static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
        for (int b = 0; b < 4; b++) {
            for (int i = 0; i < 33; i++) x[i] = (float)i;
            x[17] = bad[b];
            lb_act_fake_quant(&q, x, 33, y);
            for (int i = 0; i < 33; i++) assert_true(isnan(y[i]));
        }
    }
    float x[] = {1.25f, NAN, -3}, y[3];
    lb_act_fake_quant(&(lb_act_quant){0}, x, 3, y);                          /* A16 changes nothing */
    assert_memory_equal(x, y, sizeof x);
}

static void settings_are_checked(void **state)
{
    (void)state;
    static const lb_act_quant good[] = {{0}, {LB_ACT_INT, 8, 0, 0}, {LB_ACT_INT, 4, 0.9f, 1}};
    static const lb_act_quant bad[] = {{LB_ACT_INT, 0, 0, 0}, {LB_ACT_INT, 3, 0, 0}, {LB_ACT_INT, 16, 0, 0},
                                       {LB_ACT_INT, 8, -0.5f, 0}, {LB_ACT_INT, 8, 0, NAN}, {(lb_act_kind)77, 8, 0, 0}};
    lb_err err = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_ok(lb_act_check(&good[i], &err), err);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(lb_act_check(&bad[i], &err));
        assert_true(err.msg[0] != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_follow_the_formula), cmocka_unit_test(ties_go_to_even),
        cmocka_unit_test(errors_are_bounded),       cmocka_unit_test(strange_rows),
        cmocka_unit_test(settings_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
