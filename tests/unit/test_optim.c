/* test_optim.c – AdamW and SignSGD against the published update in double, limits, norms, schedules. */
#include "test.h"
#include "base/rng.h"
#include "model/optim.h"

enum { N = 37, K = 300 };        /* more than one piece of work */

static lb_exec *open_exec(int n_thread)
{
    lb_err err = {0};
    lb_exec *ex = lb_exec_open(&(lb_exec_opt){.n_thread = n_thread}, &err);
    assert_ok(ex, err);
    return ex;
}

static void fill(float *x, size_t n, uint64_t seed)
{
    lb_rng_key key = lb_rng_key_of(seed, 0, 0);
    for (size_t i = 0; i < n; i++) x[i] = lb_rng_normal(key, i);
}

static void adamw_follows_the_paper(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_exec *ex = open_exec(2);
    lb_param p;
    static double v[N * K], m[N * K], s[N * K];
    assert_ok(lb_param_init(&p, ex, N, K, "p", &err), err);
    fill(p.v, N * K, 1);
    for (int i = 0; i < N * K; i++) v[i] = (double)p.v[i], m[i] = s[i] = 0;
    lb_optim *o = lb_optim_open(ex, &(lb_optim_opt){.beta2 = 0.95f}, &err);
    assert_ok(o && lb_optim_add(o, &p, &(lb_optim_group){.lr = 0.02f, .weight_decay = 0.1f}, &err), err);
    for (int t = 1; t <= 6; t++) {
        double lr = 0.02 * (t == 4 ? 0.5 : 1);
        fill(p.d, N * K, 10 + (uint64_t)t);
        for (int i = 0; i < N * K; i++) {
            double d = (double)p.d[i];
            m[i] = 0.9 * m[i] + 0.1 * d;
            s[i] = 0.95 * s[i] + 0.05 * d * d;
            v[i] -= lr * (0.1 * v[i] + m[i] / (1 - pow(0.9, t)) / (sqrt(s[i] / (1 - pow(0.95, t))) + 1e-8));
        }
        assert_ok(lb_optim_step(o, t == 4 ? 0.5f : 1, &err), err);
        for (int i = 0; i < N * K; i++) {
            if (!(fabs((double)p.v[i] - v[i]) <= 2e-6 * t))
                fail_msg("step %d [%d] = %.9g, wanted %.9g", t, i, (double)p.v[i], v[i]);
            assert_true(p.d[i] == 0);
        }
    }
    assert_int_equal(lb_optim_steps(o), 6);
    lb_optim_close(o);
    lb_param_free(&p, ex);
    lb_exec_close(ex);
}

static void groups_have_their_own_rates_and_limits(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_exec *ex = open_exec(1);
    lb_param a, b;
    assert_ok(lb_param_init(&a, ex, 1, 5, "a", &err) && lb_param_init(&b, ex, 1, 5, "b", &err), err);
    lb_optim *o = lb_optim_open(ex, &(lb_optim_opt){.kind = LB_OPTIM_SIGN}, &err);
    assert_ok(o && lb_optim_add(o, &a, &(lb_optim_group){.lr = 0.25f}, &err) &&
              lb_optim_add(o, &b, &(lb_optim_group){.lr = 1, .lo = -0.5f, .hi = 1}, &err), err);
    const float d[5] = {3, -1e-20f, 0, -7, 1e30f}, want_a[5] = {-0.25f, 0.25f, 0, 0.25f, -0.25f};
    const float want_b[5] = {-0.5f, 1, 0, 1, -0.5f};
    memcpy(a.d, d, sizeof d), memcpy(b.d, d, sizeof d);
    assert_ok(lb_optim_step(o, 1, &err), err);
    for (int i = 0; i < 5; i++) {
        assert_true(a.v[i] == want_a[i]);
        assert_true(b.v[i] == want_b[i]);
    }
    lb_optim_close(o);
    lb_param_free(&a, ex), lb_param_free(&b, ex);
    lb_exec_close(ex);
}

static void bad_gradients_change_nothing(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_exec *ex = open_exec(2);
    for (int t = 0; t < 2; t++) {
        lb_param a, b;
        assert_ok(lb_param_init(&a, ex, 2, 3, "a", &err) && lb_param_init(&b, ex, 2, 3, "b", &err), err);
        lb_optim *o = lb_optim_open(ex, &(lb_optim_opt){0}, &err);
        assert_ok(o && lb_optim_add(o, &a, &(lb_optim_group){.lr = 1}, &err) &&
                  lb_optim_add(o, &b, &(lb_optim_group){.lr = 1}, &err), err);
        a.d[0] = 1, b.d[5] = t ? INFINITY : NAN;
        assert_false(lb_optim_step(o, 1, &err));
        assert_int_equal(err.code, LB_ENUMERIC);
        for (int i = 0; i < 6; i++) assert_true(a.v[i] == 0 && b.v[i] == 0 && a.d[i] == 0 && b.d[i] == 0);
        assert_int_equal(lb_optim_steps(o), 0);
        lb_optim_close(o);
        lb_param_free(&a, ex), lb_param_free(&b, ex);
    }
    lb_exec_close(ex);
}

static void norm_is_clipped(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_exec *ex = open_exec(1);
    lb_param a, b;
    assert_ok(lb_param_init(&a, ex, 1, 1, "a", &err) && lb_param_init(&b, ex, 1, 2, "b", &err), err);
    lb_optim *o = lb_optim_open(ex, &(lb_optim_opt){0}, &err);
    assert_ok(o && lb_optim_add(o, &a, &(lb_optim_group){.lr = 1}, &err) &&
              lb_optim_add(o, &b, &(lb_optim_group){.lr = 1}, &err), err);
    a.d[0] = 2, b.d[0] = -6, b.d[1] = 9; /* 11 */
    assert_true(fabs(lb_optim_clip_norm(o, 20) - 11) < 1e-9);
    assert_true(a.d[0] == 2 && b.d[1] == 9);
    assert_true(fabs(lb_optim_clip_norm(o, 5.5) - 11) < 1e-9);
    assert_true(a.d[0] == 1 && b.d[0] == -3 && b.d[1] == 4.5f);
    lb_optim_zero(o);
    assert_true(a.d[0] == 0 && b.d[1] == 0);
    lb_optim_close(o);
    lb_param_free(&a, ex), lb_param_free(&b, ex);
    lb_exec_close(ex);
}

/* The shifted sphere: every optimizer gets to its middle, the same bits for any number of threads. */
static void both_find_a_minimum(void **state)
{
    (void)state;
    lb_err err = {0};
    for (int kind = 0; kind < 2; kind++) {
        static float first[N * K];
        for (int threads = 1; threads <= 3; threads++) {
            lb_exec *ex = open_exec(threads);
            lb_param p;
            lb_grad *g = lb_grad_open(ex, 0, &err);
            static float target[N * K];
            fill(target, N * K, 5);
            assert_ok(g && lb_param_init(&p, ex, N, K, "p", &err), err);
            lb_optim *o = lb_optim_open(ex, &(lb_optim_opt){.kind = kind ? LB_OPTIM_SIGN : LB_OPTIM_ADAMW}, &err);
            assert_ok(o && lb_optim_add(o, &p, &(lb_optim_group){.lr = 0.1f}, &err), err);
            float before = 0, after = 0;
            for (int t = 0; t < 120; t++) {
                lb_var *loss = lb_grad_mse(g, lb_grad_param(g, &p), lb_grad_const(g, target, N, K));
                after = lb_grad_scalar(g, loss);
                if (t == 0) before = after;
                assert_ok(lb_grad_backward(g, lb_grad_normalize(g, loss), &err), err);
                lb_grad_reset(g);
                assert_ok(lb_optim_step(o, lb_lr_cosine(t, 120, 4, 0.001f), &err), err);
            }
            if (!(after < 1e-4f * before)) fail_msg("kind %d: %g → %g", kind, (double)before, (double)after);
            if (threads == 1) memcpy(first, p.v, sizeof first);
            else assert_memory_equal(first, p.v, sizeof first);
            lb_optim_close(o);
            lb_param_free(&p, ex);
            lb_grad_close(g);
            lb_exec_close(ex);
        }
    }
}

static void schedules(void **state)
{
    (void)state;
    assert_true(lb_lr_cosine(0, 100, 0, 0.001f) == 1);
    assert_true(fabsf(lb_lr_cosine(50, 100, 0, 0) - 0.5f) < 1e-6f);
    assert_true(lb_lr_cosine(100, 100, 0, 0.001f) == 0.001f);
    assert_true(fabsf(lb_lr_cosine(0, 100, 10, 0) - 0.1f) < 1e-6f);
    assert_true(lb_lr_cosine(9, 100, 10, 0) == 1 && lb_lr_cosine(10, 100, 10, 0) == 1);
    assert_true(fabsf(lb_lr_cosine(55, 100, 10, 0.2f) - 0.6f) < 1e-6f);
    assert_true(fabsf(lb_lr_linear(50, 200, 0, 0) - 0.75f) < 1e-6f);
    assert_true(fabsf(lb_lr_linear(199, 200, 0, 0) - 0.005f) < 1e-6f);
    assert_true(lb_lr_linear(200, 200, 0, 0.1f) == 0.1f && lb_lr_linear(3, 3, 3, 0.1f) == 0.1f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adamw_follows_the_paper), cmocka_unit_test(groups_have_their_own_rates_and_limits),
        cmocka_unit_test(bad_gradients_change_nothing), cmocka_unit_test(norm_is_clipped),
        cmocka_unit_test(both_find_a_minimum), cmocka_unit_test(schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
