/* test_gram.c – every row of the second moment against the definition, at the edges of its panels; what must not change
 * a bit; bad numbers. */
#include "guard.h"
#include "kern/gram.h"

static const char *const levels[] = {"ref", "avx2", "avx512"};
enum { N_LEVEL = sizeof levels / sizeof *levels };

static lb_exec *open_at(int level, int n_thread)
{
    unsigned mask;
    if (!lb_cpu_mask(levels[level], &mask, NULL)) return NULL;
    lb_err e = {0};
    lb_exec_opt o = {.isa = levels[level], .n_thread = n_thread};
    lb_exec *ex = lb_exec_open(&o, &e);
    if (!ex) fail_msg("%s", e.msg);
    return ex;
}

/* A symmetric start, so that adding is seen. */
static float *start_of(int k)
{
    float *r = randoms((size_t)k * (size_t)k, 9), *h = guard_new((size_t)k * (size_t)k);
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++) h[i * k + j] = r[i < j ? i * k + j : j * k + i];
    free(r);
    return h;
}

static void rows_match_the_definition(void **state)
{
    (void)state;
    static const int ks[] = {1, 2, 15, 16, 17, 24, 47, 48, 49, 95, 97, 130, 200}, toks[] = {1, 2, 7, 255, 257, 513};
    lb_err e = {0};
    for (size_t a = 0; a < sizeof ks / sizeof *ks; a++)
        for (size_t b = 0; b < sizeof toks / sizeof *toks; b++) {
            int k = ks[a], n = toks[b];
            size_t kk = (size_t)k * (size_t)k;
            float *x = randoms((size_t)n * (size_t)k, (uint64_t)(100 * k + n));
            double *want = malloc(kk * sizeof *want), *size = malloc(kk * sizeof *size);
            for (int l = 0; l < N_LEVEL; l++) {
                lb_exec *ex = open_at(l, 2);
                if (!ex) continue;
                float *h = start_of(k);
                for (int i = 0; l == 0 && i < k; i++)       /* written out once more, apart from the row */
                    for (int j = 0; j < k; j++) {
                        double s = (double)h[i * k + j], sz = fabs(s);
                        for (int t = 0; t < n; t++) {
                            double p = (double)x[t * k + i] * (double)x[t * k + j];
                            s += p, sz += fabs(p);
                        }
                        want[i * k + j] = s, size[i * k + j] = sz;
                    }
                assert_ok(lb_gram_add(ex, h, x, n, k, &e), e);
                for (size_t i = 0; i < kk; i++) {
                    if (fabs((double)h[i] - want[i]) > 0x1p-24 * (l ? 8 + sqrt(n) * 4 : 1) * size[i])
                        fail_msg("%s k=%d n=%d [%zu] = %.9g, wanted %.9g", levels[l], k, n, i, (double)h[i], want[i]);
                    assert_true(h[i] == h[(i % (size_t)k) * (size_t)k + i / (size_t)k]);
                }
                guard_free(h, kk);
                lb_exec_close(ex);
            }
            free(x);
            free(want);
            free(size);
        }
}

/* Threads, vector width and how the tokens are cut into calls. */
static void bits_are_the_same_however_it_is_done(void **state)
{
    (void)state;
    enum { K = 150, N = 700 };
    lb_err e = {0};
    float *x = randoms(N * K, 3), *want = NULL;
    for (int l = 1; l < N_LEVEL; l++)
        for (int n_thread = 1; n_thread <= 5; n_thread += 2)
            for (int step = 1; step <= N; step = step * 9 + 1) {
                lb_exec *ex = open_at(l, n_thread);
                if (!ex) continue;
                float *h = start_of(K);
                for (int t = 0; t < N; t += step)
                    assert_ok(lb_gram_add(ex, h, x + t * K, t + step < N ? step : N - t, K, &e), e);
                if (want) assert_memory_equal(h, want, K * K * sizeof *h);
                if (want) guard_free(h, K * K);
                else want = h;
                lb_exec_close(ex);
            }
    if (want) guard_free(want, K * K);
    free(x);
}

static void bad_numbers_are_named_and_change_nothing(void **state)
{
    (void)state;
    enum { K = 60, N = 2100 };
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    lb_err e = {0};
    lb_exec *ex = lb_exec_open(NULL, &e);
    float *x = randoms(N * K, 3), *h = start_of(K), *was = start_of(K);
    for (int i = 0; i < 3; i++) {
        x[2099 * K + 31] = bad[i];
        assert_false(lb_gram_add(ex, h, x, N, K, &e));
        assert_int_equal(e.code, LB_ENUMERIC);
        assert_non_null(strstr(e.msg, "token 2099, column 31"));
        assert_memory_equal(h, was, K * K * sizeof *h);
    }
    x[2099 * K + 31] = 3e38f; /* finite: its square is not, and that is the caller's to see */
    assert_ok(lb_gram_add(ex, h, x, 0, K, &e), e);
    assert_memory_equal(h, was, K * K * sizeof *h);
    assert_ok(lb_gram_add(ex, h, x, N, K, &e), e);
    assert_true(isinf(h[31 * K + 31]));
    guard_free(h, K * K);
    guard_free(was, K * K);
    free(x);
    lb_exec_close(ex);
}

static void pairs_cover_the_triangle_once(void **state)
{
    (void)state;
    int u = 0, i, j;
    for (int c = 0; c < 700; c++)
        for (int r = 0; r <= c; r++, u++) {
            lb_gram_pair(u, &i, &j);
            assert_int_equal(i, r);
            assert_int_equal(j, c);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_match_the_definition), cmocka_unit_test(bits_are_the_same_however_it_is_done),
        cmocka_unit_test(bad_numbers_are_named_and_change_nothing), cmocka_unit_test(pairs_cover_the_triangle_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
