/* test_awq.c – AWQ's searches against their definitions. */
#include "solver.h"
#include "base/cpu.h"
#include "quant/awq.h"
#include "quant/grid.h"

static lb_awq_linear linear_of(const layer *l, int bits, int group, bool sym)
{
    return (lb_awq_linear){.w = l->w, .n = l->n, .k = l->k, .scheme = {.w_bits = bits, .group = group, .sym = sym}, .scale_type = LB_BF16};
}

static float *means_of(const layer *l)
{
    float *m = calloc((size_t)l->k, sizeof *m);
    for (int t = 0; t < l->n_x; t++)
        for (int j = 0; j < l->k; j++) m[j] += fabsf(l->x[t * l->k + j]) / (float)l->n_x;
    return m;
}

typedef struct inspected {
    lb_exec *ex;
    const lb_awq_linear *l;
    const float *x;
    int n_x, calls;
    double history[32];
} inspected;

static bool own_output(void *arg, const float *const *w, double *loss, lb_err *err)
{
    inspected *p = arg;
    bool ok = lb_awq_linear_loss(p->ex, p->l, p->x, p->n_x, w[0], loss, err);
    p->history[p->calls++] = *loss;
    return ok;
}

static double loss_by_definition(const layer *l, const float *w)
{
    double sum = 0;
    for (int t = 0; t < l->n_x; t++)
        for (int r = 0; r < l->n; r++) {
            double y = 0;
            for (int j = 0; j < l->k; j++)
                y += (double)l->x[t * l->k + j] * ((double)w[r * l->k + j] - (double)l->w[r * l->k + j]);
            sum += y * y;
        }
    return sum / ((double)l->n_x * l->n);
}

static void rounding_without_scales_is_round_to_nearest(void **state)
{
    (void)state;
    layer l = layer_new(19, 200, 4, 1);
    lb_exec *ex = lb_exec_open(NULL, NULL);
    float *out = malloc((size_t)(l.n * l.k) * sizeof *out), *ones = malloc((size_t)l.k * sizeof *ones);
    for (int j = 0; j < l.k; j++) ones[j] = 1;
    static const int groups[] = {32, 96, 128, -1};
    for (int g = 0; g < 4; g++)
        for (int sym = 0; sym < 2; sym++) {
            lb_qmat q = qmat_new(3, l.n, l.k, groups[g], LB_BF16);
            lb_quant_job j = job_of(&l, &q, ex);
            j.scheme.sym = sym;
            lb_err e = {0};
            assert_ok(lb_methods[0]->solve(&j, &q, &e), e);
            lb_awq_linear a = linear_of(&l, 3, groups[g], sym);
            for (int s = 0; s < 2; s++) {
                lb_awq_round(ex, &a, s ? ones : NULL, out);
                for (int i = 0; i < l.n * l.k; i++) assert_true(out[i] == qmat_value(&q, i / l.k, i % l.k));
            }
            lb_qmat_free(&q);
        }
    free(out), free(ones);
    lb_exec_close(ex);
    layer_free(&l);
}

static void scales_are_the_best_of_their_candidates(void **state)
{
    (void)state;
    lb_exec *ex = lb_exec_open(NULL, NULL);
    lb_err e = {0};
    for (int v = 0; v < 4; v++) {
        layer l = layer_new(33, 192, 150, (uint64_t)(20 + v));
        float *mean = means_of(&l), *s = malloc((size_t)l.k * sizeof *s), *w = malloc((size_t)(l.n * l.k) * sizeof *w);
        lb_awq_linear a = linear_of(&l, 3, 64, v & 1);
        inspected p = {.ex = ex, .l = &a, .x = l.x, .n_x = l.n_x};
        lb_awq_search search = {.name = "t", .linears = &a, .n_linear = 1, .x_mean = mean, .duo = v & 2, .loss = own_output, .arg = &p, .ex = ex};
        lb_awq_choice c;
        assert_ok(lb_awq_scale(&search, s, &c, &e), e);
        assert_int_equal(p.calls, v & 2 ? 21 : 20);
        double least = INFINITY;
        for (int i = 0; i < p.calls; i++) least = fmin(least, p.history[i]);
        assert_true(c.loss == least && c.loss_rtn == p.history[0]);
        assert_true(c.loss < 0.8 * c.loss_rtn); /* columns 30 times as large are what it is for */
        lb_awq_round(ex, &a, s, w);
        double want = loss_by_definition(&l, w);
        assert_true(fabs(want - c.loss) < 1e-4 * want);
        double hi = 0, lo = INFINITY;
        for (int j = 0; j < l.k; j++) hi = fmax(hi, (double)s[j]), lo = fmin(lo, (double)s[j]);
        assert_true(fabs(hi * lo - 1) < 1e-5);
        for (int j = 0; !(v & 2) && j < l.k; j++) { /* s = a^r up to one factor */
            double ratio = (double)s[j] / (double)s[0], by = pow((double)mean[j] / (double)mean[0], c.ratio);
            assert_true(fabs(ratio / by - 1) < 1e-4);
        }
        free(mean), free(s), free(w);
        layer_free(&l);
    }
    lb_exec_close(ex);
}

/* Any other scale makes it worse: then r = 0 stays, which is s = 1. */
static bool likes_the_first(void *arg, const float *const *w, double *loss, lb_err *err)
{
    (void)w, (void)err;
    *loss = 1 + ++*(int *)arg;
    return true;
}
static bool breaks(void *arg, const float *const *w, double *loss, lb_err *err)
{
    (void)w, (void)err;
    *loss = ++*(int *)arg == 5 ? NAN : 1;
    return true;
}
static bool fails(void *arg, const float *const *w, double *loss, lb_err *err)
{
    (void)w, (void)loss, (void)arg;
    return lb_fail(err, LB_ESTOPPED, "enough");
}

static void search_keeps_one_and_tells_errors(void **state)
{
    (void)state;
    layer l = layer_new(8, 64, 20, 3);
    lb_exec *ex = lb_exec_open(NULL, NULL);
    lb_err e = {0};
    float *mean = means_of(&l), s[64];
    int calls = 0;
    lb_awq_linear a[2] = {linear_of(&l, 3, 32, false), linear_of(&l, 16, 32, false)};
    lb_awq_search search = {.name = "up", .linears = a, .n_linear = 2, .x_mean = mean, .loss = likes_the_first, .arg = &calls, .ex = ex};
    lb_awq_choice c;
    mean[7] = 0; /* a channel that was never on */
    assert_ok(lb_awq_scale(&search, s, &c, &e), e);
    assert_true(c.ratio == 0 && c.loss == c.loss_rtn);
    for (int j = 0; j < 64; j++) assert_true(s[j] == 1);
    search.loss = breaks, calls = 0;
    assert_false(lb_awq_scale(&search, s, &c, &e));
    assert_int_equal(e.code, LB_ENUMERIC);
    search.loss = fails;
    assert_false(lb_awq_scale(&search, s, &c, &e));
    assert_int_equal(e.code, LB_ESTOPPED);
    mean[5] = NAN;
    assert_false(lb_awq_scale(&search, s, &c, &e));
    assert_int_equal(e.code, LB_ENUMERIC);
    assert_non_null(strstr(e.msg, "column 5"));
    free(mean);
    lb_exec_close(ex);
    layer_free(&l);
}

/* Clips one group the long way. */
static double clipped_error(const layer *l, const lb_awq_linear *a, int r, int c0, int n, int step, float m, float *out)
{
    const float *w = l->w + r * l->k + c0;
    for (int j = 0; j < n; j++) out[j] = fminf(fmaxf(w[j], -m), m);
    lb_grid g = lb_grid_minmax(out, n, a->scheme.w_bits, a->scheme.sym, 1, LB_BF16);
    double err = 0;
    for (int t = 0; t < l->n_x; t += step) {
        double y = 0;
        for (int j = 0; j < n; j++)
            y += (double)l->x[t * l->k + c0 + j] * ((double)lb_grid_value(&g, lb_grid_code(&g, out[j])) - (double)w[j]);
        err += y * y;
    }
    return err;
}

static void clips_are_the_best_of_their_candidates(void **state)
{
    (void)state;
    static const int groups[] = {32, 64, 96, -1};
    lb_exec *ex = lb_exec_open(NULL, NULL);
    lb_err e = {0};
    layer l = layer_new(53, 160, 1100, 5); /* every second row of x is used */
    float *w = malloc((size_t)(l.n * l.k) * sizeof *w), *again = malloc((size_t)(l.n * l.k) * sizeof *w), out[160];
    int clipped = 0;
    for (int g = 0; g < 4; g++) {
        lb_awq_linear a = linear_of(&l, 3, groups[g], g & 1);
        memcpy(w, l.w, (size_t)(l.n * l.k) * sizeof *w);
        assert_ok(lb_awq_clip(ex, &a, l.x, l.n_x, w, &e), e);
        int group = groups[g] < 0 ? l.k : groups[g];
        for (int r = 0; r < l.n; r += 4)
            for (int c0 = 0; c0 < l.k; c0 += group) {
                int n = l.k - c0 < group ? l.k - c0 : group;
                float most = 0, got = 0;
                for (int j = 0; j < n; j++) most = fmaxf(most, fabsf(l.w[r * l.k + c0 + j])), got = fmaxf(got, fabsf(w[r * l.k + c0 + j]));
                double least = INFINITY, chosen = clipped_error(&l, &a, r, c0, n, 2, got, out);
                for (int i = 0; i < 10; i++) least = fmin(least, clipped_error(&l, &a, r, c0, n, 2, most * (1 - (float)i / 20), out));
                if (!(chosen <= least * 1.001)) fail_msg("g%d row %d column %d: %g, best %g", group, r, c0, chosen, least);
                for (int j = 0; j < n; j++) assert_true(w[r * l.k + c0 + j] == fminf(fmaxf(l.w[r * l.k + c0 + j], -got), got));
                clipped += got < most;
            }
        for (int n_thread = 1; n_thread < 6; n_thread += 2) { /* and in place */
            lb_exec *other = lb_exec_open(&(lb_exec_opt){.n_thread = n_thread, .isa = lb_cpu_probe() & LB_AVX2 ? "avx2" : "ref"}, NULL);
            memcpy(again, l.w, (size_t)(l.n * l.k) * sizeof *w);
            lb_awq_linear in_place = a;
            in_place.w = again;
            assert_ok(lb_awq_clip(other, &in_place, l.x, l.n_x, again, &e), e);
            assert_memory_equal(again, w, (size_t)(l.n * l.k) * sizeof *w);
            lb_exec_close(other);
        }
    }
    assert_true(clipped > 50);
    l.x[2 * l.k + 100] = INFINITY;
    lb_awq_linear a = linear_of(&l, 3, 32, false);
    assert_false(lb_awq_clip(ex, &a, l.x, l.n_x, w, &e));
    assert_int_equal(e.code, LB_ENUMERIC);
    free(w), free(again);
    lb_exec_close(ex);
    layer_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding_without_scales_is_round_to_nearest), cmocka_unit_test(scales_are_the_best_of_their_candidates),
        cmocka_unit_test(search_keeps_one_and_tells_errors), cmocka_unit_test(clips_are_the_best_of_their_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
