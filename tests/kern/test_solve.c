/* test_solve.c – the loops of the layer solvers: every row of their tables gives the bits of the definition, and the
 * definitions do what they say. */
#include "guard.h"
#include "kern/gptq_step.h"

enum { W = LB_TILE_W, UNITS = W / LB_TILE_UNIT };

static void power_is_accurate(void **state)
{
    (void)state;
    for (int i = 0; i < 400000; i++) {
        float e = (float)(pow(10, -14 + 28.0 * i / 400000) * (i & 1 ? -1 : 1));
        double want = pow(fabs((double)e), 2.4);
        if (fabs((double)lb_power_2_4(e) - want) > 1e-6 * want) fail_msg("|%g|^2.4 = %g, wanted %g", (double)e, (double)lb_power_2_4(e), want);
    }
    assert_true(lb_power_2_4(0) == 0 && lb_power_2_4(1e-30f) >= 0);
}

static void e2m1_rounds_to_the_nearest_even(void **state)
{
    (void)state;
    static const float grid[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    for (int i = -1000; i <= 1000; i++) {
        float w = (float)i / 128;
        int code, best = 0;
        float v = lb_snap(LB_SNAP_E2M1, w * 0.25f, 0.25f, 0, 0, &code);
        for (int c = 1; c < 8; c++) {
            float d = fabsf(grid[c] - fabsf(w)), was = fabsf(grid[best] - fabsf(w));
            if (d < was || (d == was && c % 2 == 0)) best = c;
        }
        assert_int_equal(code & 7, best);
        assert_true(code < 8 || w < 0);
        assert_true(fabsf(v) == 0.25f * grid[best] && (v == 0 || (v < 0) == (code > 7)));
    }
}

static const lb_snap_kind kinds[] = {LB_SNAP_INT, LB_SNAP_E2M1, LB_SNAP_HALF};

/* Grids of a spread of sizes around the data, some of them far off. */
static void grids(float *scale, float *zero, int n, float max, lb_snap_kind kind, uint64_t seed)
{
    float *r = randoms((size_t)n * 2 * W, seed);
    for (int i = 0; i < n * W; i++) {
        scale[i] = 0.02f + 0.3f * fabsf(r[2 * i]);
        zero[i] = fminf(max, floorf(fabsf(r[2 * i + 1]) * max / 3));
        if (kind == LB_SNAP_HALF) zero[i] = fminf(zero[i], max - 1) + 0.5f;
    }
    free(r);
}

static void clip_rows_choose_the_same(void **state)
{
    (void)state;
    static const int cols[] = {1, 7, 8, 9, 32, 64, 100, 128};
    enum { CAND = 37 };
    float scale[CAND * W], zero[CAND * W];
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        for (int bits = 2; bits <= 8; bits += bits < 4 ? 1 : 4)
            for (size_t n = 0; n < sizeof cols / sizeof *cols; n++) {
                float max = (float)((1 << bits) - 1), *w = randoms((size_t)(cols[n] * W), (uint64_t)(bits * 10 + cols[n]));
                grids(scale, zero, CAND, max, kinds[kind], 7);
                for (int c = 0; c < cols[n]; c++) w[c * W + 3] = 0, w[c * W + 4] *= 1e19f, w[c * W + 5] *= 1e-18f;
                int *want = (int *)(void *)guard_new(W);
                lb_clip a = {w, cols[n], CAND, kinds[kind], max, scale, zero, want};
                lb_op_clip.impls[0].run(&a, 0, UNITS, NULL);
                for (int r = 0; r < W; r++) { /* the choice is the best, in double */
                    double least = INFINITY, chosen = 0;
                    for (int c = 0; c < CAND; c++) {
                        double err = 0;
                        int code;
                        for (int j = 0; j < cols[n]; j++) {
                            float v = lb_snap(a.kind, w[j * W + r], scale[c * W + r], zero[c * W + r], max, &code);
                            err += pow(fabs((double)v - (double)w[j * W + r]), 2.4);
                        }
                        if (err < least) least = err;
                        if (c == want[r]) chosen = err;
                    }
                    if (r != 4 && r != 5) assert_true(chosen <= least * (1 + 3e-5));
                }
                for (const lb_impl *impl = lb_op_clip.impls + 1; impl->name; impl++) {
                    if (!runs_here(impl, &a)) continue;
                    a.best = (int *)(void *)guard_new(W);
                    for (int u = UNITS - 1; u >= 0; u--) impl->run(&a, u, u + 1, NULL);
                    assert_memory_equal(a.best, want, W * sizeof *want);
                    guard_free((float *)(void *)a.best, W);
                }
                guard_free((float *)(void *)want, W);
                free(w);
            }
}

static void step_rows_give_the_same_bits(void **state)
{
    (void)state;
    static const int cols[] = {1, 2, 31, 96, 128};
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        for (size_t n = 0; n < sizeof cols / sizeof *cols; n++) {
            int k = cols[n], ldu = k + 3, from = k / 3;
            size_t size = (size_t)(k * W);
            float *w = randoms(size, 1), *u = randoms((size_t)(k * ldu), 2), scale[5 * W], zero[5 * W];
            const float *ps[128], *pz[128];
            grids(scale, zero, 5, 15, kinds[kind], 3);
            for (int c = 0; c < k; c++) {
                ps[c] = scale + c % 5 * W, pz[c] = zero + c % 5 * W;
                for (int j = 0; j < ldu; j++) u[c * ldu + j] *= 0.05f;
                u[c * ldu + c] = 0.5f + fabsf(u[c * ldu + c]);
            }
            float *want_w = guard_new(size), *want_e = guard_new(size), *want_c = guard_new(size / 4);
            for (const lb_impl *impl = lb_op_gptq_step.impls; impl->name; impl++) {
                bool ref = impl == lb_op_gptq_step.impls;
                lb_gptq_step a = {.u = u, .scale = ps, .zero = pz, .kind = kinds[kind], .max = 15};
                a.n_col = k, a.ldu = ldu;
                if (!runs_here(impl, &a)) continue;
                a.w = ref ? want_w : guard_new(size);
                a.err = ref ? want_e : guard_new(size);
                float *code = ref ? want_c : guard_new(size / 4);
                a.code = (uint8_t *)(void *)code;
                memcpy(a.w, w, size * 4);
                for (int half = 0; half < 2; half++) { /* in two calls, units in any order */
                    a.c0 = half ? from : 0, a.c1 = half ? k : from;
                    for (int unit = UNITS - 1; unit >= 0; unit--) impl->run(&a, unit, unit + 1, NULL);
                }
                if (!ref) {
                    assert_memory_equal(a.w, want_w, size * 4);
                    assert_memory_equal(a.err, want_e, size * 4);
                    assert_memory_equal(code, want_c, size);
                    guard_free(a.w, size), guard_free(a.err, size), guard_free(code, size / 4);
                    continue;
                }
                for (int r = 0; r < W; r++) /* the last column, from its equation in double */
                    for (int j = k - 1; j >= 0 && j > k - 3; j--) {
                        double x = (double)w[j * W + r], sum = fabs(x);
                        for (int c = 0; c < j; c++) {
                            double t = (double)a.err[c * W + r] * (double)u[c * ldu + j];
                            x -= t, sum += fabs(t);
                        }
                        assert_true(fabs(x - (double)a.w[j * W + r]) <= 1e-6 * sum);
                    }
            }
            guard_free(want_w, size), guard_free(want_e, size), guard_free(want_c, size / 4);
            free(w), free(u);
        }
}

static void update_rows_give_the_same_bits(void **state)
{
    (void)state;
    static const int nexts[] = {1, 8, 47, 48, 49, 130}, cols[] = {1, 3, 96, 128};
    for (size_t x = 0; x < sizeof nexts / sizeof *nexts; x++)
        for (size_t y = 0; y < sizeof cols / sizeof *cols; y++) {
            int next = nexts[x], k = cols[y], panels = (next + W - 1) / W;
            size_t size = (size_t)(next * W);
            float *w = randoms(size, 1), *err = randoms((size_t)(k * W), 2), *u = randoms((size_t)(panels * k * W), 3);
            float *want = guard_new(size);
            for (const lb_impl *impl = lb_op_gptq_update.impls; impl->name; impl++) {
                bool ref = impl == lb_op_gptq_update.impls;
                lb_gptq_update a = {.w = ref ? want : guard_new(size), .err = err, .u = u, .n_col = k, .n_next = next};
                if (!runs_here(impl, &a)) continue;
                memcpy(a.w, w, size * 4);
                for (int unit = panels - 1; unit >= 0; unit--) impl->run(&a, unit, unit + 1, NULL);
                for (int j = 0; ref && j < next; j++) {
                    double v = (double)w[j * W + 5], sum = fabs(v);
                    for (int c = 0; c < k; c++) {
                        double t = (double)u[(j / W * k + c) * W + j % W] * (double)err[c * W + 5];
                        v -= t, sum += fabs(t);
                    }
                    assert_true(fabs(v - (double)a.w[j * W + 5]) <= 1e-6 * sum);
                }
                if (!ref) assert_memory_equal(a.w, want, size * 4);
                if (!ref) guard_free(a.w, size);
            }
            guard_free(want, size);
            free(w), free(err), free(u);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_is_accurate), cmocka_unit_test(e2m1_rounds_to_the_nearest_even),
        cmocka_unit_test(clip_rows_choose_the_same), cmocka_unit_test(step_rows_give_the_same_bits),
        cmocka_unit_test(update_rows_give_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
