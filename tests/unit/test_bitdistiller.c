/* test_bitdistiller.c – the clip in its own measure: the error of the layer's output, group by group. */
#include "solver.h"
#include "quant/grid.h"

static lb_qmat solve(const char *method, const char *name, const layer *l, lb_exec *ex, int bits, int group, bool sym,
                     float *latent)
{
    lb_err e = {0};
    lb_qmat q = qmat_new(bits, l->n, l->k, group, LB_BF16);
    lb_quant_job j = job_of(l, &q, ex);
    j.scheme.sym = sym, j.latent = latent, j.name = name;
    assert_ok(lb_method_find(method, &e)->solve(&j, &q, &e), e);
    return q;
}

/* (ŵ−w)ᵀ H (ŵ−w) over the columns of one group. */
static double error_of(const layer *l, const lb_qmat *q, int r, int c0, int n)
{
    double e = 0;
    for (int a = c0; a < c0 + n; a++)
        for (int b = c0; b < c0 + n; b++)
            e += ((double)qmat_value(q, r, a) - (double)l->w[r * l->k + a]) * (double)l->h[a * l->k + b] *
                 ((double)qmat_value(q, r, b) - (double)l->w[r * l->k + b]);
    return e;
}

static void never_worse_than_the_full_range(void **state)
{
    (void)state;
    lb_exec *ex = lb_exec_open(NULL, NULL);
    static const int groups[] = {32, 64, 96, -1};
    for (int v = 0; v < 16; v++) {
        layer l = layer_new(12, 192, 300, (uint64_t)(40 + v % 3));
        int bits = 2 + v / 4 % 2, width = groups[v % 4] < 0 ? l.k : groups[v % 4];
        bool sym = v >= 8;
        float *latent = malloc((size_t)l.n * (size_t)l.k * sizeof *latent);
        if (v % 3 == 1)
            for (int i = 0; i < l.n * l.k; i += 17) l.w[i] *= 6; /* heavy tails */
        lb_qmat c = solve("bitdistiller", "layers.0.up_proj", &l, ex, bits, groups[v % 4], sym, latent),
                r = solve("rtn", "layers.0.up_proj", &l, ex, bits, groups[v % 4], sym, NULL);
        double sum_c = 0, sum_r = 0;
        for (int i = 0; i < l.n; i++)
            for (int k = 0; k < l.k; k += width) {
                double a = error_of(&l, &c, i, k, width), b = error_of(&l, &r, i, k, width);
                if (a > b * (1 + 1e-4)) fail_msg("variant %d, row %d, column %d: %g, full range %g", v, i, k, a, b);
                sum_c += a, sum_r += b;
                /* what training starts from rounds to the same codes */
                const float *w = latent + i * l.k + k;
                lb_grid g = lb_grid_minmax(w, width, bits, sym, 1, LB_BF16);
                for (int j = 0; j < width; j++) assert_int_equal(c.codes[i * l.k + k + j], lb_grid_code(&g, w[j]));
            }
        if (!(sum_c < 0.95 * sum_r)) fail_msg("variant %d: %g, full range %g", v, sum_c, sum_r);
        lb_qmat_free(&c), lb_qmat_free(&r), layer_free(&l);
        free(latent);
    }
    lb_exec_close(ex);
}

static void queries_and_keys_keep_their_ranges(void **state)
{
    (void)state;
    lb_exec *ex = lb_exec_open(NULL, NULL);
    layer l = layer_new(8, 64, 100, 9);
    lb_qmat r = solve("rtn", "q_proj", &l, ex, 2, 32, false, NULL);
    static const char *const names[] = {"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj"};
    for (int i = 0; i < 2; i++) {
        lb_qmat q = solve("bitdistiller", names[i], &l, ex, 2, 32, false, NULL);
        assert_memory_equal(q.codes, r.codes, (size_t)l.n * (size_t)l.k);
        lb_qmat_free(&q);
    }
    lb_qmat_free(&r), layer_free(&l);
    lb_exec_close(ex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(never_worse_than_the_full_range),
                                       cmocka_unit_test(queries_and_keys_keep_their_ranges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
