/* test_fp4.c – 8-bit and 4-bit floats by the formulas of their specification, and what must hold for block floats: a
 * decoded block encodes to itself, errors are bounded, a search does not make it worse, packing has an inverse. */
#include "test.h"
#include "base/rng.h"
#include "kern/actquant.h"
#include "num/fp4.h"

static uint64_t n_drawn;
static float normal(void) { return lb_rng_normal(lb_rng_key_of(3, 1, 4), n_drawn++); }
static int below(int n) { return (int)(lb_rng_uniform(lb_rng_key_of(1, 5, 9), n_drawn++) * n); }
static const lb_num *const nums[] = {&lb_num_mxfp4, &lb_num_nvfp4};

/* ---- scalars ---- */
static double e4m3(int code)
{
    int exp = code >> 3 & 15, man = code & 7;
    double v = exp ? ldexp(1 + man / 8.0, exp - 7) : ldexp(man / 8.0, -6);
    return code & 0x80 ? -v : v;
}

/* The nearest of the codes 0…n−1, whose values rise; ties to the even code. */
static int nearest(double v, int n, double (*value)(int))
{
    int best = 0;
    for (int c = 1; c < n; c++) {
        double old = fabs(value(best) - v), new = fabs(value(c) - v);
        if (new < old || (new == old && c % 2 == 0)) best = c;
    }
    return best;
}

static void every_e4m3_and_e8m0(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        float f = lb_from_e4m3((uint8_t)c), s = lb_from_e8m0((uint8_t)c);
        assert_true((c & 127) == 127 ? isnan(f) : (double)f == e4m3(c) && !!signbit(f) == c >> 7);
        assert_true(c == 255 ? isnan(s) : (double)s == ldexp(1, c - 127));
        if ((c & 127) != 127) assert_int_equal(lb_to_e4m3(f), c);
    }
    for (int c = 0; c + 1 < 127; c++) { /* the middle of two neighbours, and one step of f32 to both sides */
        float mid = (float)((e4m3(c) + e4m3(c + 1)) / 2);
        float near[] = {nextafterf(mid, 0), mid, nextafterf(mid, INFINITY)};
        for (int i = 0; i < 3; i++) {
            assert_int_equal(lb_to_e4m3(near[i]), nearest((double)near[i], 127, e4m3));
            assert_int_equal(lb_to_e4m3(-near[i]), 128 | nearest((double)near[i], 127, e4m3));
        }
    }
    assert_int_equal(lb_to_e4m3(1e9f), 0x7e);
    assert_int_equal(lb_to_e4m3(-INFINITY), 0xfe);
    assert_int_equal(lb_to_e4m3(1e-30f), 0);
    assert_int_equal(lb_to_e4m3(NAN) & 127, 127);
}

static double e2m1(int code) { return (double)lb_e2m1_value((uint8_t)code); }

static void e2m1_rounds_to_nearest_even(void **state)
{
    (void)state;
    static const float grid[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    for (int c = 0; c < 16; c++) {
        assert_true(lb_e2m1_value((uint8_t)c) == (c & 8 ? -grid[c & 7] : grid[c & 7]));
        assert_int_equal(lb_e2m1_of(lb_e2m1_value((uint8_t)c)), c);
    }
    for (int i = 0; i <= 8 * 256; i++) { /* eighths of eighths up to 8: all ties are among them */
        float v = (float)i / 256;
        for (int s = -1; s <= 1; s++) {
            float w = s ? nextafterf(v, s < 0 ? -1 : 9) : v;
            if (w < 0) continue;
            int want = w > 6 ? 7 : nearest((double)w, 8, e2m1);
            assert_int_equal(lb_e2m1_of(w), want);
            assert_int_equal(lb_e2m1_of(-w), want | 8);
            assert_true((double)lb_e2m1_twice(w) == 2 * e2m1(want));
        }
    }
    assert_int_equal(lb_e2m1_of(INFINITY), 7);
    assert_int_equal(lb_e2m1_of(-1e30f), 15);
}

/* ---- blocks ---- */
static void draw(float *w, int n, int shape)
{
    float size = ldexpf(1, below(30) - 15);
    for (int i = 0; i < n; i++) {
        w[i] = size * normal();
        if (shape == 1) w[i] *= below(8) ? 0.01f : 5;         /* outliers */
        if (shape == 2) w[i] = below(2) ? 0 : size;
        if (shape == 3) w[i] = size * 0.25f * (float)(below(49) - 24); /* grid points and ties */
    }
}

static float amax_of(const float *w, int n)
{
    float m = 0;
    for (int i = 0; i < n; i++) m = fmaxf(m, fabsf(w[i]));
    return m;
}

static void blocks_keep_their_promises(void **state)
{
    (void)state;
    for (int round = 0; round < 4000; round++) {
        const lb_num *num = nums[round & 1];
        float w[32], y[32], z[32];
        uint8_t codes[32], scale, codes2[32], scale2;
        int n = below(4) ? num->block : 1 + below(num->block);
        draw(w, n, below(4));
        float t = lb_fp4_tensor_scale(num, amax_of(w, n) * (float)(1 + below(20))), amax = amax_of(w, n);
        if (num == &lb_num_nvfp4 && t == 0) t = 1;
        double error[2];
        for (int search = 0; search < 2; search++) {
            assert_true(lb_fp4_encode_row(num, t, search, w, n, codes, &scale));
            lb_fp4mat q = {num, 1, n, t, codes, &scale};
            lb_fp4_decode_row(&q, 0, y);
            error[search] = 0;
            for (int i = 0; i < n; i++) error[search] += pow((double)w[i] - (double)y[i], 2);
            float s = lb_fp4_scale(num, scale, t);
            for (int i = 0; i < n; i++) { /* nearest on the grid of this scale, saturating */
                double v = (double)w[i] / (double)s, e = fabs((double)w[i] - (double)y[i]);
                double half = fabs(v) <= 2 ? 0.25 : fabs(v) <= 4 ? 0.5 : 1, over = fmax(0, fabs(v) - 6);
                if (s > 0 && e > (double)s * (over > half ? over : half) + 1e-6 * fabs((double)w[i]))
                    fail_msg("%s search %d: %.9g became %.9g, scale %g", num->name, search, (double)w[i], (double)y[i],
                             (double)s);
                assert_true(y[i] == 0 || signbit(y[i]) == signbit(w[i]));
            }
            if (search) break;
            /* mxfp4: the largest lies in [4,8) scales. nvfp4: at 6, give or take a rounding of the scale. */
            if (num == &lb_num_mxfp4 && amax > 0) assert_true(amax >= 4 * s && amax < 8 * s);
            if (num == &lb_num_nvfp4 && scale >= 8) assert_true(amax >= 5.6f * s && amax <= 6.4f * s);
            if (num == &lb_num_nvfp4 && scale < 8) continue; /* scales below E4M3's normal range are too coarse */
            assert_true(lb_fp4_encode_row(num, t, false, y, n, codes2, &scale2));
            lb_fp4mat q2 = {num, 1, n, t, codes2, &scale2};
            lb_fp4_decode_row(&q2, 0, z);
            if (amax > 0) assert_int_equal(scale, scale2);
            assert_memory_equal(codes, codes2, (size_t)n);
            assert_memory_equal(y, z, (size_t)n * sizeof *y);
        }
        if (error[1] > error[0] * (1 + 1e-6))
            fail_msg("%s: the search made %g of %g", num->name, error[1], error[0]);
    }
}

/* On Gaussian weights the search must gain something, or it does not search. */
static void search_gains(void **state)
{
    (void)state;
    enum { N = 64, K = 256 };
    static float w[N * K], y[K];
    for (int i = 0; i < N * K; i++) w[i] = normal();
    for (int f = 0; f < 2; f++) {
        double error[2] = {0};
        for (int search = 0; search < 2; search++) {
            lb_fp4mat q = {.num = nums[f], .n = N, .k = K};
            lb_err err = {0};
            assert_ok(lb_fp4mat_alloc(&q, &err) && lb_fp4_encode(&q, search, w, &err), err);
            for (int r = 0; r < N; r++) {
                lb_fp4_decode_row(&q, r, y);
                for (int c = 0; c < K; c++) error[search] += pow((double)w[r * K + c] - (double)y[c], 2) / (N * K);
            }
            lb_fp4mat_free(&q);
        }
        assert_true(error[1] < 0.97 * error[0]);
        assert_true(error[0] < (f ? 0.0100 : 0.0160)); /* of variance 1; nvfp4 is the better one */
    }
}

static void bad_weights_are_named(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 6; i++) {
        float w[3 * 40] = {0};
        w[2 * 40 + 37] = bad[i / 2];
        lb_fp4mat q = {.num = nums[i & 1], .n = 3, .k = 40};
        lb_err err = {0};
        assert_ok(lb_fp4mat_alloc(&q, &err), err);
        assert_false(lb_fp4_encode(&q, false, w, &err));
        assert_int_equal(err.code, LB_EFORMAT);
        assert_non_null(strstr(err.msg, "[2,37]"));
        lb_fp4mat_free(&q);
    }
}

/* ---- matrices ---- */
static void packing_has_an_inverse(void **state)
{
    (void)state;
    static const int ns[] = {1, 15, 16, 17, 33}, ks[] = {1, 5, 15, 16, 17, 31, 32, 33, 48, 100, 256};
    for (size_t i = 0; i < 2 * 5 * 11; i++) {
        const lb_num *num = nums[i & 1];
        lb_fp4mat q = {.num = num, .n = ns[i / 2 % 5], .k = ks[i / 10], .tensor_scale = i & 1 ? 0.37f : 1}, r = q;
        lb_err err = {0};
        assert_ok(lb_fp4mat_alloc(&q, &err) && lb_fp4mat_alloc(&r, &err), err);
        size_t nk = (size_t)q.n * (size_t)q.k, ng = (size_t)q.n * (size_t)lb_n_group(q.k, num->block);
        for (size_t j = 0; j < nk; j++) q.codes[j] = (uint8_t)below(16);
        for (size_t j = 0; j < ng; j++) q.scales[j] = (uint8_t)below(num->dtype == LB_F8_E8M0 ? 255 : 127);
        lb_mat m = lb_fp4_mat(num, q.n, q.k, q.tensor_scale);
        size_t bytes = num->size(&m);
        uint8_t *mem = aligned_alloc(64, bytes + 64);
        assert_non_null(mem);
        memset(mem, 0x5a, bytes + 64);
        lb_fp4_pack(&q, mem, &m);
        for (size_t j = 0; j < 64; j++) assert_int_equal(mem[bytes + j], 0x5a);
        lb_fp4_unpack(&m, &r);
        assert_memory_equal(q.codes, r.codes, nk);
        assert_memory_equal(q.scales, r.scales, ng);
        assert_true(r.num == num && r.n == q.n && r.k == q.k && r.tensor_scale == q.tensor_scale);
        float *a = malloc((size_t)q.k * sizeof *a), *b = malloc((size_t)q.k * sizeof *b);
        assert_true(a && b);
        for (int row = 0; row < q.n; row++) {
            int k0 = row % q.k, k1 = k0 + (q.k - k0 + 1) / 2;
            lb_fp4_decode_row(&q, row, a);
            num->decode(&m, row, k0, k1, b);
            assert_memory_equal(a + k0, b, (size_t)(k1 - k0) * sizeof *a);
        }
        free(a), free(b), free(mem);
        lb_fp4mat_free(&q), lb_fp4mat_free(&r);
    }
    lb_mat mx = lb_fp4_mat(&lb_num_mxfp4, 16, 1024, 1), nv = lb_fp4_mat(&lb_num_nvfp4, 16, 1024, 1);
    assert_true(lb_mat_bpw(&mx) == 4.25 && lb_mat_bpw(&nv) == 4.5);
}

/* The layout that num/tile.h promises: byte 4r+j of a vector, low nibble columns 8s+j, high 8s+4+j; scales [G][16]. */
static void codes_lie_where_the_header_says(void **state)
{
    (void)state;
    for (int f = 0; f < 2; f++) {
        lb_fp4mat q = {.num = nums[f], .n = 16, .k = 64, .tensor_scale = 1};
        lb_err err = {0};
        assert_ok(lb_fp4mat_alloc(&q, &err), err);
        q.codes[3 * 64 + 46] = 9;                             /* row 3, vector 5, high nibble, j 2 */
        int g = 46 / q.num->block, n_group = 64 / q.num->block;
        q.scales[3 * n_group + g] = 0x42;
        lb_mat m = lb_fp4_mat(q.num, 16, 64, 1);
        size_t bytes = q.num->size(&m), codes_at = 64; /* 2 or 4 blocks of 16 scales */
        uint8_t *mem = aligned_alloc(64, bytes);
        assert_non_null(mem);
        lb_fp4_pack(&q, mem, &m);
        assert_true(bytes == codes_at + 8 * 64);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(mem[i], i == (size_t)(16 * g + 3) ? 0x42 : i == codes_at + 5 * 64 + 14 ? 0x90 : 0);
        free(mem);
        lb_fp4mat_free(&q);
    }
}

/* ---- activations ---- */
/* A token is a matrix of one row. */
static void activations_round_like_weights(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        float x[200], want[200], got[200];
        int k = 1 + below(200);
        lb_fp4mat q = {.num = nums[round & 1], .n = 1, .k = k};
        lb_err err = {0};
        draw(x, k, below(4));
        assert_ok(lb_fp4mat_alloc(&q, &err) && lb_fp4_encode(&q, false, x, &err), err);
        lb_fp4_decode_row(&q, 0, want);
        lb_fp4mat_free(&q);
        lb_act_quant a = {.kind = round & 1 ? LB_ACT_NVFP4 : LB_ACT_MXFP4};
        assert_ok(lb_act_check(&a, &err), err);
        lb_act_fake_quant(&a, x, k, got);
        for (int i = 0; i < k; i++)
            if (got[i] != want[i])
                fail_msg("x[%d] = %.9g: %.9g, want %.9g", i, (double)x[i], (double)got[i], (double)want[i]);
        x[below(k)] = round & 2 ? NAN : INFINITY;
        lb_act_fake_quant(&a, x, k, got);
        for (int i = 0; i < k; i++) assert_true(isnan(got[i]));
        a.clip_hi = 0.9f;
        assert_false(lb_act_check(&a, &err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_e4m3_and_e8m0),        cmocka_unit_test(e2m1_rounds_to_nearest_even),
        cmocka_unit_test(blocks_keep_their_promises), cmocka_unit_test(search_gains),
        cmocka_unit_test(bad_weights_are_named),      cmocka_unit_test(packing_has_an_inverse),
        cmocka_unit_test(codes_lie_where_the_header_says), cmocka_unit_test(activations_round_like_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
