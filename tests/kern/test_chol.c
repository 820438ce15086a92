/* test_chol.c – L⁻¹ against its defining equation L⁻¹·A·L⁻ᵀ = 1, the same bits from every row and any threads, and
 * matrices that have no factor. */
#include "guard.h"
#include "base/mem.h"
#include "kern/chol.h"

static const char *const levels[] = {"ref", "avx2", "avx512"};
enum { N_LEVEL = sizeof levels / sizeof *levels };

static lb_exec *open_at(int level, int n_thread)
{
    unsigned mask;
    if (!lb_cpu_mask(levels[level], &mask, NULL)) return NULL;
    lb_exec_opt o = {.isa = levels[level], .n_thread = n_thread};
    return lb_exec_open(&o, NULL);
}

/* XᵀX of m rows plus `ridge`, columns of very different size; row-major [n,n]. */
static double *moment(int n, int m, double ridge, uint64_t seed)
{
    float *x = randoms((size_t)m * (size_t)n, seed);
    double *a = calloc((size_t)n * (size_t)n, sizeof *a);
    for (int j = 0; j < n; j++)
        for (int t = 0; t < m; t++) x[t * n + j] *= (float)pow(10, j % 5 - 2);
    for (int t = 0; t < m; t++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) a[i * n + j] += (double)x[t * n + i] * (double)x[t * n + j];
    for (int i = 0; i < n; i++) a[i * n + i] += ridge;
    free(x);
    return a;
}

/* Solves at one level; the upper triangle is all it may read. Returns what lb_chol_inverse returns. */
static int solve(int level, int n_thread, const double *a, int n, double *out)
{
    int ld = lb_chol_ld(n);
    lb_exec *ex = open_at(level, n_thread);
    double *m = lb_alloc((size_t)ld * (size_t)ld, 8, "m", NULL), *scratch = lb_alloc(lb_chol_scratch(n), 8, "s", NULL);
    for (int i = 0; i < ld; i++)
        for (int j = 0; j < ld; j++) m[i * ld + j] = i < n && j < n && j >= i ? a[i * n + j] : NAN;
    int bad = lb_chol_inverse(ex, m, n, scratch);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) out[i * n + j] = j <= i ? m[i * ld + j] : 0;
    free(m);
    free(scratch);
    lb_exec_close(ex);
    return bad;
}

/* max |L⁻¹ A L⁻ᵀ − 1| */
static double residual(const double *a, const double *inv, int n)
{
    double most = 0, *y = malloc((size_t)n * sizeof *y);
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < n; c++) {
            y[c] = 0;
            for (int k = 0; k <= i; k++) y[c] += inv[i * n + k] * a[k * n + c];
        }
        for (int j = 0; j < n; j++) {
            double s = i == j ? -1 : 0;
            for (int k = 0; k <= j; k++) s += y[k] * inv[j * n + k];
            if (!(fabs(s) <= most)) most = fabs(s);
        }
    }
    free(y);
    return most;
}

static void inverse_of_the_factor(void **state)
{
    (void)state;
    static const int ns[] = {1, 2, 23, 24, 25, 64, 95, 96, 97, 120, 193, 256, 300};
    unsigned mask = 0;
    for (size_t s = 0; s < sizeof ns / sizeof *ns; s++) {
        int n = ns[s];
        size_t bytes = (size_t)n * (size_t)n * sizeof(double);
        double *a = moment(n, n / 2 + 1, 1e-2, (uint64_t)n), *want = malloc(bytes), *got = malloc(bytes);
        assert_int_equal(solve(0, 1, a, n, want), -1);
        double r = residual(a, want, n);
        if (!(r < 1e-9)) fail_msg("n = %d: residual %g", n, r); /* condition about 1e8 */
        for (int l = 0; l < N_LEVEL; l++)
            for (int th = 1; th <= 3; th++) {
                if (!lb_cpu_mask(levels[l], &mask, NULL)) continue;
                assert_int_equal(solve(l, th, a, n, got), -1);
                if (memcmp(got, want, bytes) != 0) fail_msg("n = %d: %s with %d threads differs", n, levels[l], th);
            }
        free(a), free(want), free(got);
    }
}

static void no_factor_is_told_with_its_row(void **state)
{
    (void)state;
    enum { N = 150 };
    double *a = moment(N, 2 * N, 1e-2, 5), *out = malloc(N * N * sizeof *out);
    static const struct { int row; double value; } bad[] = {{0, -1}, {0, 0}, {95, -1e9}, {96, -1e9}, {149, -1e9}, {40, NAN}, {130, INFINITY}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double was = a[bad[i].row * (N + 1)];
        a[bad[i].row * (N + 1)] = bad[i].value;
        assert_int_equal(solve(2 * (lb_cpu_probe() >> 1 & 1), 2, a, N, out), bad[i].row);
        a[bad[i].row * (N + 1)] = was;
    }
    free(a), free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inverse_of_the_factor), cmocka_unit_test(no_factor_is_told_with_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
