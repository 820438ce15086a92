/* test_hadamard.c – Hadamard matrices of every order that is claimed, and their products with arrays. */
#include "test.h"
#include "base/rng.h"
#include "num/hadamard.h"

static float *randoms(size_t n, uint64_t seed)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = lb_rng_normal(lb_rng_key_of(seed, 0, 0), i);
    return x;
}

/* Every order up to 512 that splits has rows of ±1 at right angles; exactly two multiples of 4 up to 256 are missing. */
static void orders(void **state)
{
    (void)state;
    float *h = malloc(512 * 512 * sizeof *h);
    int missing[8], n_missing = 0;
    for (int n = 1; n <= 512; n++) {
        int m = -1, p = -1;
        bool known = lb_hadamard_split(n, &m, &p);
        assert_int_equal(lb_hadamard_dense(n, h), known);
        if (!known && n % 4 == 0 && n <= 256) missing[n_missing++] = n;
        if (n % 4 && n > 2) assert_false(known);
        if (!known) continue;
        assert_int_equal(m << p, n);
        assert_true(m == 1 || (m % 4 == 0 && m % 8 && m <= LB_HADAMARD_MAX_M));
        for (int i = 0; i < n; i++)
            for (int j = 0; j <= i; j++) {
                double dot = 0;
                for (int k = 0; k < n; k++) dot += (double)h[i * n + k] * (double)h[j * n + k];
                if (fabsf(h[i * n + j]) != 1 || dot != (i == j ? n : 0))
                    fail_msg("order %d: rows %d and %d have product %g, entry %g", n, i, j, dot, (double)h[i * n + j]);
            }
    }
    assert_int_equal(n_missing, 2);
    assert_int_equal(missing[0], 188);
    assert_int_equal(missing[1], 236);
    free(h);
}

/* Sizes of models people have, and what their splits are; what has no matrix says so. */
static void splits(void **state)
{
    (void)state;
    static const struct { int n, m, p; } known[] = {
        {1, 1, 0},      {2, 1, 1},       {128, 1, 7},     {1536, 12, 7},    {8960, 140, 6},   {5120, 20, 8},
        {13824, 108, 7}, {27648, 108, 8}, {18944, 148, 7}, {11008, 172, 6}, {4864, 76, 6},    {896, 28, 5},
        {17408, 68, 8}, {25600, 100, 8}, {28, 28, 0},     {40, 20, 1},      {1 << 30, 1, 30}};
    int m, p;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_true(lb_hadamard_split(known[i].n, &m, &p));
        assert_int_equal(m, known[i].m);
        assert_int_equal(p, known[i].p);
    }
    static const int unknown[] = {0, -4, 3, 14, 188, 47 * 1024, 13696, 268};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) assert_false(lb_hadamard_split(unknown[i], &m, &p));
}

static void near(double want, float got, int n)
{
    if (!(fabs(want - (double)got) <= 4e-6)) fail_msg("order %d: %.9g, wanted %.9g", n, (double)got, want);
}

/* The product with a row is the product with the dense matrix over √n; with columns likewise; lengths stay. */
static void products(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 4, 8, 12, 16, 28, 40, 64, 92, 96, 116, 156, 172, 224, 256, 344};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int n = sizes[s], cols = 70, ld = 77;
        float *h = malloc((size_t)(n * n) * 4), *x = randoms((size_t)(3 * n), 1), *y = malloc((size_t)(3 * n) * 4);
        float *a = randoms((size_t)(n * ld), 2), *b = malloc((size_t)(n * ld) * 4);
        assert_true(lb_hadamard_dense(n, h));
        memcpy(y, x, (size_t)(3 * n) * 4);
        memcpy(b, a, (size_t)(n * ld) * 4);
        lb_hadamard_rows(y, 3, n);
        lb_hadamard_cols(b, n, cols, (size_t)ld);
        for (int i = 0; i < n; i++) {
            for (int r = 0; r < 3; r++) {
                double want = 0;
                for (int k = 0; k < n; k++) want += (double)h[i * n + k] * (double)x[r * n + k] / sqrt(n);
                near(want, y[r * n + i], n);
            }
            for (int c = 0; c < ld; c++) {
                double want = 0;
                for (int k = 0; k < n; k++) want += (double)h[i * n + k] * (double)a[k * ld + c] / sqrt(n);
                if (c >= cols) want = (double)a[i * ld + c];
                near(want, b[i * ld + c], n);
            }
        }
        free(h), free(x), free(y), free(a), free(b);
    }
}

/* Sylvester's matrix is symmetric: twice is the identity. */
static void twice_is_identity(void **state)
{
    (void)state;
    for (int n = 1; n <= 4096; n *= 2) {
        float *x = randoms((size_t)n, 3), *y = malloc((size_t)n * 4);
        memcpy(y, x, (size_t)n * 4);
        lb_hadamard_rows(y, 1, n);
        lb_hadamard_rows(y, 1, n);
        for (int i = 0; i < n; i++) assert_true(fabsf(x[i] - y[i]) < 2e-6f);
        free(x), free(y);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(orders), cmocka_unit_test(splits), cmocka_unit_test(products),
                                       cmocka_unit_test(twice_is_identity)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
