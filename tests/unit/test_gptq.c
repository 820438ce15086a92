/* test_gptq.c – GPTQ's defining properties on small layers. */
#include "solver.h"
#include "base/cpu.h"
#include "num/fp4.h"
#include "quant/gptq.h"
#include "quant/grid.h"

/* Group sizes that divide the blocks of 128, straddle them, exceed them, and leave a short rest; −1: whole rows. */
static const int groups[] = {32, 64, 96, 128, 160, 256, -1};
enum { N_GROUP = sizeof groups / sizeof *groups };
static const lb_gptq_opt orders[] = {{.damp = 0}, {.static_groups = true}, {.act_order = true}};

static lb_qmat solve(const layer *l, lb_quant_job job, int bits, int group)
{
    lb_err e = {0};
    lb_qmat q = qmat_new(bits, l->n, l->k, group, LB_BF16);
    job.scheme.w_bits = bits, job.scheme.group = q.group, q.half = job.scheme.half;
    assert_ok(lb_method_gptq.solve(&job, &q, &e), e);
    return q;
}

static lb_qmat rtn(const layer *l, lb_quant_job job, int bits, int group)
{
    lb_err e = {0};
    lb_qmat q = qmat_new(bits, l->n, l->k, group, LB_BF16);
    job.scheme.w_bits = bits, job.scheme.group = q.group, q.half = job.scheme.half;
    assert_ok(lb_methods[0]->solve(&job, &q, &e), e);
    return q;
}

static lb_quant_job base_job(const layer *l, lb_exec *ex)
{
    lb_qmat q = {.bits = 4, .group = l->k, .scale_type = LB_BF16};
    return job_of(l, &q, ex);
}

/* Nothing to make up for: the inverse of a multiple of the unit matrix spreads nothing. */
static void with_unit_moment_it_is_round_to_nearest(void **state)
{
    (void)state;
    layer l = layer_new(50, 330, 8, 1);
    lb_exec *ex = lb_exec_open(NULL, NULL);
    for (int i = 0; i < l.k * l.k; i++) l.h[i] = i % (l.k + 1) ? 0 : 3.5f;
    for (int g = 0; g < N_GROUP; g++)
        for (int o = 0; o < 3; o++)
            for (int v = 0; v < 12; v++) {
                lb_quant_job j = base_job(&l, ex);
                j.gptq = orders[o];
                j.scheme.half = v >= 8, j.scheme.sym = !j.scheme.half && v & 1, j.clip_mse = v & 2, j.clip_zeros = v & 4;
                int bits = v & 12 ? 2 : 2 + o;
                lb_qmat a = solve(&l, j, bits, groups[g]), b = rtn(&l, j, bits, groups[g]);
                assert_same_qmat(&a, &b);
                lb_qmat_free(&a), lb_qmat_free(&b);
            }
    lb_exec_close(ex);
    layer_free(&l);
}

static void error_is_well_below_round_to_nearest(void **state)
{
    (void)state;
    lb_exec *ex = lb_exec_open(NULL, NULL);
    for (int s = 0; s < 3; s++) {
        layer l = layer_new(40, 288, s == 2 ? 100 : 600, (uint64_t)(10 + s));          /* s = 2: H of rank 100 */
        for (int bits = 2; bits <= 4; bits++)
            for (int g = 0; g < N_GROUP; g++)
                for (int o = 0; o < 3; o++) {
                    lb_quant_job j = base_job(&l, ex);
                    j.gptq = orders[o], j.clip_mse = bits < 4;
                    lb_qmat a = solve(&l, j, bits, groups[g]), b = rtn(&l, j, bits, groups[g]);
                    double ea = layer_error(&l, &a), eb = layer_error(&l, &b);
                    if (!(ea < 0.6 * eb)) fail_msg("w%d g%d order %d: %g, round to nearest %g", bits, groups[g], o, ea, eb);
                    lb_qmat_free(&a), lb_qmat_free(&b);
                }
        layer_free(&l);
    }
    lb_exec_close(ex);
}

/* The plain algorithm, one column after the other in double, on the factor as H⁻¹ by Gauss gives it. */
static void codes_of(const layer *l, const lb_qmat *grids, const int *perm, uint8_t *codes)
{
    int k = l->k;
    double *a = malloc((size_t)(2 * k * k) * sizeof *a), *inv = a + k * k, mean = 0, *w = malloc((size_t)k * sizeof *w);
    for (int i = 0; i < k; i++) mean += (double)l->h[i * k + i] / k;
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++) {
            a[i * k + j] = (double)l->h[perm[i] * k + perm[j]] + (i == j ? (double)0.01f * mean : 0);
            inv[i * k + j] = i == j;
        }
    for (int p = 0; p < k; p++) {
        double d = a[p * k + p];
        for (int j = 0; j < k; j++) a[p * k + j] /= d, inv[p * k + j] /= d;
        for (int i = 0; i < k; i++) {
            double m = i == p ? 0 : a[i * k + p];
            for (int j = 0; m != 0 && j < k; j++) a[i * k + j] -= m * a[p * k + j], inv[i * k + j] -= m * inv[p * k + j];
        }
    }
    for (int r = 0; r < l->n; r++) {
        for (int c = 0; c < k; c++) w[c] = (double)l->w[r * k + perm[c]];
        double *h = a; /* H⁻¹ of the columns not yet taken: one leaves after the other (OBQ) */
        memcpy(h, inv, (size_t)(k * k) * sizeof *h);
        for (int c = 0; c < k; c++) {
            size_t g = (size_t)r * (size_t)lb_n_group(k, grids->group) + (size_t)(perm[c] / grids->group);
            lb_grid grid = {grids->scales[g], grids->zeros[g], (1 << grids->bits) - 1};
            int code = lb_grid_code(&grid, (float)w[c]);
            codes[r * k + perm[c]] = (uint8_t)code;
            double e = (w[c] - (double)lb_grid_value(&grid, code)) / h[c * k + c];
            for (int j = c; j < k; j++) w[j] -= e * h[c * k + j];
            for (int i = c + 1; i < k; i++) {
                double m = h[i * k + c] / h[c * k + c];
                for (int j = c + 1; j < k; j++) h[i * k + j] -= m * h[c * k + j];
            }
        }
    }
    free(a), free(w);
}

/* Against OBQ's own recursion: codes agree but where a weight lies within rounding of a tie. */
static void codes_are_those_of_the_recursion(void **state)
{
    (void)state;
    layer l = layer_new(6, 160, 300, 3);
    lb_exec *ex = lb_exec_open(NULL, NULL);
    uint8_t *want = malloc((size_t)(l.n * l.k));
    int perm[160];
    for (int o = 1; o < 3; o++) {
        for (int i = 0; i < l.k; i++) perm[i] = i;
        for (int i = 1; o == 2 && i < l.k; i++) /* insertion: stable, falling */
            for (int j = i; j > 0 && l.h[perm[j] * (l.k + 1)] > l.h[perm[j - 1] * (l.k + 1)]; j--) {
                int t = perm[j];
                perm[j] = perm[j - 1], perm[j - 1] = t;
            }
        lb_quant_job j = base_job(&l, ex);
        j.gptq = orders[o], j.clip_mse = true;
        lb_qmat q = solve(&l, j, 3, 64);
        codes_of(&l, &q, perm, want);
        for (int r = 0, apart = 0; r < l.n; r++, apart = 0) {
            for (int c = 0; c < l.k; c++) apart += q.codes[r * l.k + c] != want[r * l.k + c];
            if (apart) print_message("row %d, order %d: %d codes apart\n", r, o, apart);
            assert_true(apart == 0);
        }
        lb_qmat_free(&q);
    }
    free(want);
    lb_exec_close(ex);
    layer_free(&l);
}

static void latent_weights_round_to_the_codes(void **state)
{
    (void)state;
    layer l = layer_new(55, 300, 500, 4);
    lb_exec *ex = lb_exec_open(NULL, NULL);
    float *latent = malloc((size_t)(l.n * l.k) * sizeof *latent);
    for (int g = 0; g < N_GROUP; g++)
        for (int o = 0; o < 6; o++) {
            lb_quant_job j = base_job(&l, ex);
            j.gptq = orders[o % 3], j.clip_mse = true, j.latent = latent, j.scheme.sym = g & 1;
            if ((j.scheme.half = o >= 3)) j.scheme.sym = false;
            lb_qmat q = solve(&l, j, j.scheme.half ? 2 : 3, groups[g]);
            int moved = 0;
            for (int i = 0; i < l.n * l.k; i++) {
                size_t at = (size_t)(i / l.k * lb_n_group(l.k, q.group) + i % l.k / q.group);
                lb_grid grid = {q.scales[at], q.zeros[at], 7};
                int code = q.half ? lb_half_code(q.scales[at], latent[i]) : lb_grid_code(&grid, latent[i]);
                assert_int_equal(code, q.codes[i]);
                moved += latent[i] != l.w[i];
            }
            assert_true(moved > l.n * l.k * 9 / 10);
            lb_qmat_free(&q);
        }
    free(latent);
    lb_exec_close(ex);
    layer_free(&l);
}

/* Renaming the columns renames the codes: the order is H's, not the matrix's. */
static void act_order_follows_the_columns(void **state)
{
    (void)state;
    layer l = layer_new(20, 192, 400, 6), m = layer_new(20, 192, 400, 6);
    lb_exec *ex = lb_exec_open(NULL, NULL);
    for (int c = 0; c < l.k; c++)
        for (int d = 0; d < l.k; d++) m.h[c * l.k + d] = l.h[(c * 91 % l.k) * l.k + d * 91 % l.k];
    for (int i = 0; i < l.n * l.k; i++) m.w[i] = l.w[i / l.k * l.k + i % l.k * 91 % l.k];
    lb_quant_job a = base_job(&l, ex), b = base_job(&m, ex);
    a.gptq = b.gptq = orders[2];
    lb_qmat p = solve(&l, a, 3, -1), q = solve(&m, b, 3, -1);
    for (int i = 0; i < l.n * l.k; i++) assert_int_equal(q.codes[i], p.codes[i / l.k * l.k + i % l.k * 91 % l.k]);
    lb_qmat_free(&p), lb_qmat_free(&q);
    lb_exec_close(ex);
    layer_free(&l), layer_free(&m);
}

static void threads_and_vectors_change_no_bit(void **state)
{
    (void)state;
    static const char *const levels[] = {"ref", "avx2", "avx512"};
    layer l = layer_new(130, 288, 400, 7);
    for (int o = 0; o < 3; o++) {
        lb_qmat want = {0};
        for (int v = 0; v < 3; v++)
            for (int n_thread = 1; n_thread <= 5; n_thread += 2) {
                unsigned mask;
                if (!lb_cpu_mask(levels[v], &mask, NULL)) continue;
                lb_exec *ex = lb_exec_open(&(lb_exec_opt){.isa = levels[v], .n_thread = n_thread}, NULL);
                lb_quant_job j = base_job(&l, ex);
                j.gptq = orders[o], j.clip_mse = true;
                lb_qmat q = solve(&l, j, 3, 96);
                if (want.codes) assert_same_qmat(&q, &want), lb_qmat_free(&q);
                else want = q;
                lb_exec_close(ex);
            }
        lb_qmat_free(&want);
    }
    layer_free(&l);
}

/* A factor made once gives what each linear would make for itself, whatever the bits. */
static void linears_of_one_input_share_the_factor(void **state)
{
    (void)state;
    layer l = layer_new(30, 200, 300, 8);
    lb_exec *ex = lb_exec_open(NULL, NULL);
    lb_err e = {0};
    for (int o = 0; o < 3; o++)
        for (int g = 0; g < N_GROUP; g++) {
            lb_quant_job j = base_job(&l, ex);
            j.gptq = orders[o];
            lb_qmat want = solve(&l, j, 4, groups[g]);
            lb_gptq_factor *f = lb_gptq_factor_new(ex, l.h, l.k, want.group, &j.gptq, "x", &e);
            assert_non_null(f);
            assert_true(lb_gptq_factor_damp(f) == 0.01f && lb_gptq_factor_dead(f) == 0);
            j.factor = f, j.h = NULL;
            lb_qmat q = solve(&l, j, 4, groups[g]);
            assert_same_qmat(&q, &want);
            lb_gptq_factor_free(f);
            lb_qmat_free(&q), lb_qmat_free(&want);
        }
    lb_gptq_factor *f = lb_gptq_factor_new(ex, l.h, l.k, 64, &orders[0], "x", &e);
    lb_quant_job j = base_job(&l, ex);
    j.gptq = orders[2], j.factor = f, j.h = NULL;
    lb_qmat q = qmat_new(4, l.n, l.k, 64, LB_BF16);
    assert_false(lb_method_gptq.solve(&j, &q, &e)); /* of another order */
    assert_int_equal(e.code, LB_EUSAGE);
    lb_gptq_factor_free(f);
    lb_qmat_free(&q);
    lb_exec_close(ex);
    layer_free(&l);
}

static void dead_columns_are_rounded_and_harm_nobody(void **state)
{
    (void)state;
    layer l = layer_new(24, 160, 300, 9);
    lb_exec *ex = lb_exec_open(NULL, NULL);
    lb_err e = {0};
    for (int c = 3; c < l.k; c += 20)
        for (int i = 0; i < l.k; i++) l.h[c * l.k + i] = l.h[i * l.k + c] = 0;
    for (int o = 0; o < 3; o++) {
        lb_quant_job j = base_job(&l, ex);
        j.gptq = orders[o];
        lb_qmat q = solve(&l, j, 4, 32);
        lb_gptq_factor *f = lb_gptq_factor_new(ex, l.h, l.k, 32, &j.gptq, "x", &e);
        assert_int_equal(lb_gptq_factor_dead(f), 8);
        lb_gptq_factor_free(f);
        for (int r = 0; r < l.n; r++)
            for (int c = 3; c < l.k; c += 20) {
                size_t g = (size_t)(r * 5 + c / 32);
                lb_grid grid = {q.scales[g], q.zeros[g], 15};
                assert_int_equal(q.codes[r * l.k + c], lb_grid_code(&grid, l.w[r * l.k + c]));
            }
        lb_qmat b = rtn(&l, j, 4, 32);
        assert_true(layer_error(&l, &q) < 0.6 * layer_error(&l, &b));
        lb_qmat_free(&q), lb_qmat_free(&b);
    }
    memset(l.h, 0, (size_t)(l.k * l.k) * sizeof *l.h); /* an expert that no token reached */
    lb_quant_job j = base_job(&l, ex);
    j.gptq = orders[2];
    lb_qmat q = solve(&l, j, 4, 32), b = rtn(&l, j, 4, 32);
    assert_same_qmat(&q, &b);
    lb_qmat_free(&q), lb_qmat_free(&b);
    lb_exec_close(ex);
    layer_free(&l);
}

static void damping_grows_until_it_is_enough(void **state)
{
    (void)state;
    layer l = layer_new(8, 96, 200, 10);
    lb_exec *ex = lb_exec_open(NULL, NULL);
    lb_err e = {0};
    float mean = 0, last = 0;
    for (int i = 0; i < l.k; i++) mean += l.h[i * (l.k + 1)] / (float)l.k;
    static const float lack[] = {0.015f, 0.3f, 0.9f};
    for (int s = 0; s < 3; s++) { /* two columns that agree more than their squares allow: an eigenvalue of −lack·mean */
        for (int i = 0; i < l.k; i++) l.h[5 * l.k + i] = l.h[i * l.k + 5] = l.h[9 * l.k + i] = l.h[i * l.k + 9] = 0;
        l.h[5 * (l.k + 1)] = l.h[9 * (l.k + 1)] = mean;
        l.h[5 * l.k + 9] = l.h[9 * l.k + 5] = mean * (1 + lack[s]);
        lb_gptq_factor *f = lb_gptq_factor_new(ex, l.h, l.k, 32, &orders[0], "x", &e);
        if (!f) fail_msg("%s", e.msg);
        float damp = lb_gptq_factor_damp(f);
        assert_true(damp > last && damp > 0.9f * lack[s] && damp <= 1);
        last = damp;
        lb_gptq_factor_free(f);
    }
    l.h[5 * l.k + 9] = l.h[9 * l.k + 5] = mean * 3;
    assert_null(lb_gptq_factor_new(ex, l.h, l.k, 32, &orders[2], "layers.7.mlp.down_proj", &e));
    assert_int_equal(e.code, LB_ENUMERIC);
    assert_non_null(strstr(e.msg, "layers.7.mlp.down_proj"));
    assert_non_null(strstr(e.msg, "not positive definite at column"));
    lb_exec_close(ex);
    layer_free(&l);
}

static void bad_numbers_are_named(void **state)
{
    (void)state;
    static const struct { float value; const char *says; } bad[] = {{NAN, "nan"}, {INFINITY, "inf"}, {-2, "no sum of squares"}};
    layer l = layer_new(8, 96, 200, 11);
    lb_exec *ex = lb_exec_open(NULL, NULL);
    lb_qmat q = qmat_new(4, l.n, l.k, 32, LB_BF16);
    lb_quant_job j = base_job(&l, ex);
    lb_err e = {0};
    for (int o = 0; o < 3; o++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            float was = l.h[17 * l.k + 17];
            l.h[17 * l.k + 17] = bad[i].value;
            j.gptq = orders[o];
            assert_false(lb_method_gptq.solve(&j, &q, &e));
            assert_int_equal(e.code, LB_ENUMERIC);
            assert_non_null(strstr(e.msg, "layers.0.test"));
            assert_non_null(strstr(e.msg, bad[i].says));
            assert_non_null(strstr(e.msg, "17"));
            l.h[17 * l.k + 17] = was;
        }
    j.h = NULL;
    assert_false(lb_method_gptq.solve(&j, &q, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    lb_qmat_free(&q);
    lb_exec_close(ex);
    layer_free(&l);
}

/* ---- block floats ---- */
static float fp4_tensor_scale(const layer *l, const lb_num *num)
{
    float amax = 0;
    for (int i = 0; i < l->n * l->k; i++) amax = fmaxf(amax, fabsf(l->w[i]));
    return lb_fp4_tensor_scale(num, amax);
}

static lb_fp4mat solve_fp4(const lb_method *m, const layer *l, lb_quant_job job, const lb_num *num)
{
    lb_err e = {0};
    lb_fp4mat q = {.num = num, .n = l->n, .k = l->k, .tensor_scale = fp4_tensor_scale(l, num)};
    job.scheme = (lb_scheme){.w_bits = 4, .group = num->block, .a_bits = 16, .format = num == &lb_num_mxfp4 ? LB_W_MXFP4 : LB_W_NVFP4};
    assert_ok(lb_fp4mat_alloc(&q, &e), e);
    assert_ok(m->solve_fp4(&job, &q, &e), e);
    return q;
}

static double fp4_error(const layer *l, const lb_fp4mat *q)
{
    double sum = 0, *d = malloc((size_t)l->k * sizeof *d);
    float *row = malloc((size_t)l->k * sizeof *row);
    for (int r = 0; r < l->n; r++) {
        lb_fp4_decode_row(q, r, row);
        for (int c = 0; c < l->k; c++) d[c] = (double)row[c] - (double)l->w[r * l->k + c];
        for (int i = 0; i < l->k; i++)
            for (int j = 0; j < l->k; j++) sum += d[i] * (double)l->h[(size_t)i * (size_t)l->k + (size_t)j] * d[j];
    }
    free(d), free(row);
    return sum;
}

static void block_floats_are_solved_alike(void **state)
{
    (void)state;
    const lb_num *const nums[] = {&lb_num_mxfp4, &lb_num_nvfp4};
    lb_exec *ex = lb_exec_open(NULL, NULL), *one = lb_exec_open(&(lb_exec_opt){.n_thread = 1, .isa = "ref"}, NULL);
    for (int v = 0; v < 12; v++) {
        const lb_num *num = nums[v % 2];
        layer l = layer_new(50, 288, 500, (uint64_t)(60 + v));
        for (int c = 32; c < 64; c++) l.w[3 * l.k + c] = 0; /* a block of zeros */
        size_t nk = (size_t)(l.n * l.k), g = (size_t)(l.n * lb_n_group(l.k, num->block));
        float *latent = malloc(nk * sizeof *latent);
        lb_quant_job j = base_job(&l, ex);
        j.gptq = orders[v / 4], j.clip_mse = v / 2 % 2, j.latent = latent;
        lb_fp4mat a = solve_fp4(&lb_method_gptq, &l, j, num), b = solve_fp4(lb_methods[0], &l, j, num);
        double ea = fp4_error(&l, &a), eb = fp4_error(&l, &b);
        if (!(ea < 0.6 * eb)) fail_msg("%s %d: %g, round to nearest %g", num->name, v, ea, eb);
        for (size_t i = 0; i < nk; i++) {
            float s = lb_fp4_scale(num, a.scales[i / (size_t)num->block], a.tensor_scale); /* 288 = 9·32 = 18·16 */
            if (s > 0) assert_int_equal(lb_e2m1_of(latent[i] / s), a.codes[i]);
            else assert_true(lb_e2m1_value(a.codes[i]) == 0);
        }
        j.ex = one, j.latent = NULL;
        lb_fp4mat c = solve_fp4(&lb_method_gptq, &l, j, num);
        assert_memory_equal(c.codes, a.codes, nk);
        assert_memory_equal(c.scales, a.scales, g);
        for (int i = 0; i < l.k * l.k; i++) l.h[i] = i % (l.k + 1) ? 0 : 2.0f;
        lb_fp4mat d = solve_fp4(&lb_method_gptq, &l, j, num);
        assert_memory_equal(d.scales, b.scales, g);
        for (size_t i = 0; i < nk; i++) assert_true(lb_e2m1_value(d.codes[i]) == lb_e2m1_value(b.codes[i]));
        lb_fp4mat_free(&a), lb_fp4mat_free(&b), lb_fp4mat_free(&c), lb_fp4mat_free(&d);
        free(latent);
        layer_free(&l);
    }
    lb_exec_close(ex), lb_exec_close(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_unit_moment_it_is_round_to_nearest), cmocka_unit_test(error_is_well_below_round_to_nearest),
        cmocka_unit_test(codes_are_those_of_the_recursion), cmocka_unit_test(latent_weights_round_to_the_codes),
        cmocka_unit_test(act_order_follows_the_columns), cmocka_unit_test(threads_and_vectors_change_no_bit),
        cmocka_unit_test(linears_of_one_input_share_the_factor), cmocka_unit_test(dead_columns_are_rounded_and_harm_nobody),
        cmocka_unit_test(damping_grows_until_it_is_enough), cmocka_unit_test(bad_numbers_are_named),
        cmocka_unit_test(block_floats_are_solved_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
