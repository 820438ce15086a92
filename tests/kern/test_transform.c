/* test_transform.c – every row of the input transforms' table against the reference, in place and apart, and the
 * reference against the matrices that define it. */
#include "guard.h"
#include "kern/transform.h"
#include "num/hadamard.h"

enum { ROWS = 3 };

/* c·eps·√n of the norm of the row: what an orthonormal or random n-term product may lose, at each number. */
static void near_row(const char *row, const float *y, const float *want, int k, double tol)
{
    double norm = 0;
    for (int i = 0; i < k; i++) norm += (double)want[i] * (double)want[i];
    double most = tol * sqrt(norm / k) + 1e-37;
    for (int i = 0; i < k; i++)
        if (!(fabs((double)y[i] - (double)want[i]) <= most))
            fail_msg("%s [%d] of %d = %.9g, wanted %.9g", row, i, k, (double)y[i], (double)want[i]);
}

/* Every row of the table: all at once, unit by unit and in place give the same bits, near row 0. */
static void each_row(lb_transform t, double tol)
{
    lb_err err = {0};
    assert_ok(lb_transform_check(&t, t.k, "t", &err), err);
    size_t n = (size_t)(ROWS * t.k);
    float *x = randoms(n, 11), *want = guard_new(n);
    for (int i = 0; i < t.k; i++) x[t.k + i] *= 1e-18f;
    x[2 * t.k] = 1e4f;
    for (const lb_impl *impl = lb_op_transform.impls; impl->name; impl++) {
        lb_transform_args a = {.x = x, .t = t, .n_row = ROWS};
        if (!runs_here(impl, &a)) continue;
        float *y = impl == lb_op_transform.impls ? want : guard_new(n), *z = guard_new(n), *same = guard_new(n);
        a.y = y;
        impl->run(&a, 0, lb_op_transform.units(&a), NULL);
        a.y = z;
        for (int u = ROWS - 1; u >= 0; u--) impl->run(&a, u, u + 1, NULL);
        assert_memory_equal(y, z, n * 4);
        memcpy(same, x, n * 4);
        a.x = a.y = same;
        impl->run(&a, 0, ROWS, NULL);
        assert_memory_equal(y, same, n * 4);
        guard_free(z, n);
        guard_free(same, n);
        if (impl == lb_op_transform.impls) continue;
        for (int r = 0; r < ROWS; r++) near_row(impl->name, y + r * t.k, want + r * t.k, t.k, tol);
        guard_free(y, n);
    }
    guard_free(want, n);
    free(x);
}

static void none_and_scale(void **state)
{
    (void)state;
    static const int widths[] = {1, 7, 8, 15, 16, 17, 33, 257};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        float *scale = randoms((size_t)widths[i], 5);
        each_row((lb_transform){.kind = LB_TRANSFORM_NONE, .k = widths[i]}, 0);
        each_row((lb_transform){.kind = LB_TRANSFORM_SCALE, .k = widths[i], .scale = scale}, 1e-6);
        free(scale);
    }
}

/* All powers of two around the vector and the register piece, dense factors, several blocks, a scale. */
static void hadamard_rows(void **state)
{
    (void)state;
    static const int ms[] = {1, 12, 20, 28, 36, 52, 148, 172};
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
        for (int p = 0; p <= (ms[i] == 1 ? 13 : 7); p++)
            for (int blocks = 1; blocks <= 3; blocks += 2) {
                int m = ms[i], block = m << p, k = blocks * block;
                float *had = malloc((size_t)(m * m) * 4), *scale = randoms((size_t)k, 6);
                assert_true(lb_hadamard_dense(m, had));
                lb_transform t = {.kind = LB_TRANSFORM_HADAMARD, .k = k, .block = block, .m = m};
                if (m > 1) t.had = had;
                each_row(t, 1e-6 * sqrt(block));
                t.scale = scale;
                each_row(t, 1e-6 * sqrt(block));
                free(had), free(scale);
            }
}

static void kron_rows(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1},  {1, 33}, {33, 1}, {2, 3},   {3, 2},   {5, 16},  {8, 16},
                                   {8, 8},  {7, 17}, {9, 31}, {32, 48}, {13, 47}, {80, 112}, {15, 64}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int which = 0; which < 8; which++) {
            int na = sizes[i][0], nb = sizes[i][1];
            float *a = randoms((size_t)(na * na), 7), *b = randoms((size_t)(nb * nb), 8);
            float *s = randoms((size_t)(na * nb), 9);
            lb_transform t = {.kind = LB_TRANSFORM_KRON, .k = na * nb, .na = na, .nb = nb};
            if (which & 1) t.a = a;
            if (which & 2) t.b = b;
            if (which & 4) t.scale = s;
            each_row(t, 1e-6 * sqrt(na * nb));
            free(a), free(b), free(s);
        }
}

/* The definition: the reference is the product with the dense matrix, and the host's lb_hadamard_rows is the same T. */
static void reference_is_definition(void **state)
{
    (void)state;
    const lb_impl *ref = lb_op_transform.impls;
    static const int ns[] = {8, 12, 48, 96, 140};
    for (size_t s = 0; s < sizeof ns / sizeof *ns; s++) {
        int n = ns[s], m, p;
        float *x = randoms((size_t)n, 1), *y = malloc((size_t)n * 4);
        float *h = malloc((size_t)(n * n) * 4), *had = malloc(256 * 256 * 4);
        assert_true(lb_hadamard_split(n, &m, &p) && lb_hadamard_dense(n, h) && lb_hadamard_dense(m, had));
        lb_transform_args a = {.y = y, .x = x, .n_row = 1,
                               .t = {.kind = LB_TRANSFORM_HADAMARD, .k = n, .block = n, .m = m, .had = had}};
        ref->run(&a, 0, 1, NULL);
        for (int i = 0; i < n; i++) {
            double want = 0;
            for (int j = 0; j < n; j++) want += (double)h[i * n + j] * (double)x[j] / sqrt(n);
            assert_true(fabs(want - (double)y[i]) < 1e-6);
        }
        lb_hadamard_rows(x, 1, n);
        for (int i = 0; i < n; i++) assert_true(fabsf(x[i] - y[i]) < 2e-6f);
        free(x), free(y), free(h), free(had);
    }
    enum { NA = 3, NB = 4 };
    float *x = randoms(NA * NB, 2), *ka = randoms(NA * NA, 3), *kb = randoms(NB * NB, 4), y[NA * NB];
    lb_transform_args a = {.y = y, .x = x, .n_row = 1,
                           .t = {.kind = LB_TRANSFORM_KRON, .k = NA * NB, .na = NA, .nb = NB, .a = ka, .b = kb}};
    ref->run(&a, 0, 1, NULL);
    for (int i = 0; i < NA; i++)
        for (int j = 0; j < NB; j++) {
            double want = 0;
            for (int l = 0; l < NA; l++)
                for (int o = 0; o < NB; o++)
                    want += (double)ka[l * NA + i] * (double)x[l * NB + o] * (double)kb[o * NB + j];
            assert_true(fabs(want - (double)y[i * NB + j]) < 1e-5);
        }
    free(x), free(ka), free(kb);
}

static void bad(lb_transform t, int k, const char *word)
{
    lb_err err = {0};
    if (lb_transform_check(&t, k, "layers.0.mlp.down_proj", &err)) fail_msg("accepted; wanted an error about '%s'", word);
    if (!strstr(err.msg, word) || !strstr(err.msg, "down_proj")) fail_msg("'%s' does not speak of '%s'", err.msg, word);
    lb_transform_args a = {.t = t, .n_row = 1};
    for (const lb_impl *impl = lb_op_transform.impls; impl->name && t.k == k; impl++) assert_false(impl->fits(&a));
}

static void wrong_sizes(void **state)
{
    (void)state;
    static float some[4];
    bad((lb_transform){.kind = LB_TRANSFORM_HADAMARD, .k = 64, .block = 64, .m = 1}, 128, "rows of 64");
    bad((lb_transform){.kind = LB_TRANSFORM_SCALE, .k = 64}, 64, "without numbers");
    bad((lb_transform){.kind = LB_TRANSFORM_HADAMARD, .k = 64, .block = 48, .m = 12, .had = some}, 64, "block of 48");
    bad((lb_transform){.kind = LB_TRANSFORM_HADAMARD, .k = 64, .block = 0, .m = 1}, 64, "block of 0");
    bad((lb_transform){.kind = LB_TRANSFORM_HADAMARD, .k = 96, .block = 96, .m = 1}, 96, "dense factor of 1");
    bad((lb_transform){.kind = LB_TRANSFORM_HADAMARD, .k = 96, .block = 96, .m = 0}, 96, "dense factor of 0");
    bad((lb_transform){.kind = LB_TRANSFORM_HADAMARD, .k = 96, .block = 96, .m = 12}, 96, "order 12");
    bad((lb_transform){.kind = LB_TRANSFORM_HADAMARD, .k = 1 << 17, .block = 1 << 17, .m = 1}, 1 << 17, "of 131072");
    bad((lb_transform){.kind = LB_TRANSFORM_KRON, .k = 12, .na = 3, .nb = 5}, 12, "3 × 5");
    bad((lb_transform){.kind = LB_TRANSFORM_KRON, .k = 12, .na = -3, .nb = -4}, 12, "-3 × -4");
    bad((lb_transform){.kind = (lb_transform_kind)9, .k = 12}, 12, "kind 9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_and_scale),          cmocka_unit_test(hadamard_rows), cmocka_unit_test(kron_rows),
        cmocka_unit_test(reference_is_definition), cmocka_unit_test(wrong_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
