/* test_hqq.c – HQQ in its own objective, Σ |w − ŵ|^0.7, against round to nearest and against every other grid. */
#include "solver.h"
#include "quant/grid.h"

static double objective(const layer *l, const lb_qmat *q, int r, int c0, int n)
{
    double e = 0;
    for (int c = c0; c < c0 + n; c++) e += pow(fabs((double)qmat_value(q, r, c) - (double)l->w[r * l->k + c]), 0.7);
    return e;
}

static lb_qmat solve(const char *method, const layer *l, lb_exec *ex, int bits, int group, bool sym, lb_dtype type)
{
    lb_err e = {0};
    lb_qmat q = qmat_new(bits, l->n, l->k, group, type);
    lb_quant_job j = job_of(l, &q, ex);
    j.scheme.sym = sym;
    assert_ok(lb_method_find(method, &e)->solve(&j, &q, &e), e);
    return q;
}

static void never_worse_than_round_to_nearest(void **state)
{
    (void)state;
    static const int groups[] = {32, 64, 96, -1};
    lb_exec *ex = lb_exec_open(NULL, NULL);
    for (int v = 0; v < 24; v++) {
        layer l = layer_new(20, 192, 2, (uint64_t)(30 + v % 3));
        if (v % 3 == 1)
            for (int i = 0; i < l.n * l.k; i++) l.w[i] = 0.02f + 0.3f * l.w[i];          /* all on one side */
        if (v % 3 == 2)
            for (int i = 0; i < l.n * l.k; i += 17) l.w[i] *= 6;                           /* heavy tails */
        int bits = 2 + v / 3 % 3, group = groups[v % 4], width = group < 0 ? l.k : group;
        lb_dtype type = v & 1 ? LB_BF16 : LB_F16;
        lb_qmat h = solve("hqq", &l, ex, bits, group, v >= 12, type), r = solve("rtn", &l, ex, bits, group, v >= 12, type);
        double sum_h = 0, sum_r = 0;
        for (int i = 0; i < l.n; i++)
            for (int c = 0; c < l.k; c += width) {
                int n = l.k - c < width ? l.k - c : width;
                double a = objective(&l, &h, i, c, n), b = objective(&l, &r, i, c, n);
                if (!(a <= b * (1 + 1e-6))) fail_msg("w%d g%d row %d column %d: %g, round to nearest %g", bits, group, i, c, a, b);
                sum_h += a, sum_r += b;
            }
        assert_true(sum_h < (bits == 4 ? 0.999 : 0.99) * sum_r);
        for (int i = 0; i < l.n * l.k; i++) { /* codes are the nearest on the grid that is stored */
            size_t at = (size_t)(i / l.k * lb_n_group(l.k, width) + i % l.k / width);
            lb_grid g = {h.scales[at], h.zeros[at], (1 << bits) - 1};
            assert_true(h.scales[at] == lb_grid_stored(h.scales[at], type));
            assert_int_equal(lb_grid_code(&g, l.w[i]), h.codes[i]);
        }
        lb_qmat_free(&h), lb_qmat_free(&r);
        layer_free(&l);
    }
    lb_exec_close(ex);
}

static void zeros_constants_and_threads(void **state)
{
    (void)state;
    layer l = layer_new(30, 128, 2, 40);
    for (int c = 0; c < 64; c++) l.w[c] = 0, l.w[128 + c] = 0.25f, l.w[256 + c] = -1e-30f;
    lb_qmat want = {0};
    for (int n_thread = 1; n_thread < 6; n_thread += 2) {
        lb_exec *ex = lb_exec_open(&(lb_exec_opt){.n_thread = n_thread}, NULL);
        lb_qmat q = solve("hqq", &l, ex, 3, 64, false, LB_BF16);
        for (int c = 0; c < 64; c++) {
            assert_true(qmat_value(&q, 0, c) == 0);
            assert_true(fabsf(qmat_value(&q, 1, c) - 0.25f) < 1e-3f);
            assert_true(fabsf(qmat_value(&q, 2, c)) <= 1e-9f);
        }
        if (want.codes) assert_same_qmat(&q, &want), lb_qmat_free(&q);
        else want = q;
        lb_exec_close(ex);
    }
    lb_qmat_free(&want);
    layer_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_worse_than_round_to_nearest), cmocka_unit_test(zeros_constants_and_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
