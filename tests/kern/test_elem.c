/* test_elem.c – every row of the small operators' tables against the reference, at the edges of their vectors. */
#include "guard.h"
#include "kern/elem.h"

static const int widths[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 128, 257, 1024};
enum { N_WIDTH = sizeof widths / sizeof *widths, ROWS = 5 };
static const float eps32 = 0x1p-24f;

/* |y − want| ≤ tol·size, element by element; NaN only where NaN is wanted. */
static void near_all(const char *row, const float *y, const float *want, const float *size, float tol, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float most = tol * fabsf(size ? size[i] : want[i]) + 1e-37f;
        bool same = isnan(want[i]) ? isnan(y[i]) : y[i] == want[i] || fabsf(y[i] - want[i]) <= most;
        if (!same) fail_msg("%s [%zu] = %.9g, wanted %.9g", row, i, (double)y[i], (double)want[i]);
    }
}

/* Runs every row of op on args, whose output is *out (n floats), whole and unit by unit, which must give the same bits,
 * and compares it with row 0. `start` is what the output holds before (NULL: nothing). */
static void each_row(const lb_op *op, void *args, float **out, size_t n, const float *start, const float *size,
                     float tol)
{
    float *want = guard_new(n);
    for (const lb_impl *impl = op->impls; impl->name; impl++) {
        if (!runs_here(impl, args)) continue;
        float *y = impl == op->impls ? want : guard_new(n), *z = guard_new(n);
        if (start) memcpy(y, start, n * 4), memcpy(z, start, n * 4);
        *out = y;
        impl->run(args, 0, op->units(args), NULL);
        *out = z;
        for (int u = op->units(args) - 1; u >= 0; u--) impl->run(args, u, u + 1, NULL);
        assert_memory_equal(y, z, n * 4);
        guard_free(z, n);
        if (impl == op->impls) continue;
        char name[64];
        snprintf(name, sizeof name, "%s %s", op->name, impl->name);
        near_all(name, y, want, size, tol, n);
        guard_free(y, n);
    }
    guard_free(want, n);
}

static void embed_rows(void **state)
{
    (void)state;
    static const lb_dtype types[] = {LB_F32, LB_BF16, LB_F16};
    for (int i = 0; i < N_WIDTH; i++)
        for (int j = 0; j < 3; j++) {
            int d = widths[i], n_vocab = 9, ids[ROWS] = {8, 0, 3, 3, 7};
            float *x = randoms((size_t)(n_vocab * d), 1);
            x[0] = INFINITY;
            void *e = malloc((size_t)(n_vocab * d) * lb_dtype_bytes(types[j]));
            for (int k = 0; k < n_vocab * d; k++) lb_store_f32(e, types[j], (size_t)k, k % 11 ? x[k] : x[k] * 1e-6f);
            lb_mat m = {.num = lb_num_of_dtype(types[j]), .n = n_vocab, .k = d, .data = e};
            lb_embed a = {.e = m, .ids = ids, .n_tok = ROWS};
            each_row(&lb_op_embed, &a, &a.y, (size_t)(ROWS * d), NULL, NULL, 0);
            free(e);
            free(x);
        }
}

static void rmsnorm_rows(void **state)
{
    (void)state;
    for (int i = 0; i < N_WIDTH; i++) {
        int d = widths[i];
        size_t n = (size_t)(ROWS * d);
        float *x = randoms(n, 2), *w = randoms((size_t)d, 3);
        for (int k = 0; k < d; k++) {
            x[d + k] *= 1.2e19f;                            /* the squares overflow f32 */
            x[2 * d + k] *= 1e-30f;                         /* only eps is left */
            x[3 * d + k] *= 300;
        }
        x[4 * d] = NAN;
        lb_rmsnorm a = {.x = x, .w = w, .n_row = ROWS, .d = d, .eps = 1e-6f};
        each_row(&lb_op_rmsnorm, &a, &a.y, n, NULL, NULL, 8 * eps32);
        for (const lb_impl *impl = lb_op_rmsnorm.impls; impl->name; impl++) {   /* in place */
            if (!runs_here(impl, &a)) continue;
            float *y = randoms(n, 2), *z = malloc(n * 4);
            lb_rmsnorm apart = {.y = z, .x = y, .w = w, .n_row = ROWS, .d = d, .eps = 1e-6f}, same = apart;
            same.y = y;
            impl->run(&apart, 0, ROWS, NULL);
            impl->run(&same, 0, ROWS, NULL);
            assert_memory_equal(y, z, n * 4);
            free(y);
            free(z);
        }
        free(x);
        free(w);
    }
}

/* The pair (1, 0) turns into (cos, sin): angles small, large, and near multiples of π/2. */
static void rope_angles(void **state)
{
    (void)state;
    enum { HALF = 40, N = ROWS * 2 * HALF };
    float inv_freq[HALF], x[N], size[N];
    int pos[ROWS] = {0, 1, 4095, 131071, 1000003};
    for (int i = 0; i < HALF; i++) inv_freq[i] = i == 0 ? 1.0f : i == 1 ? 1.57079633f : powf(1e6f, -(float)i / HALF);
    for (int i = 0; i < N; i++) x[i] = i % (2 * HALF) < HALF, size[i] = 1;
    lb_rope a = {.pos = pos, .inv_freq = inv_freq, .n_tok = ROWS, .n_head = 1, .d_head = 2 * HALF, .mscale = 1};
    each_row(&lb_op_rope, &a, &a.x, N, x, size, 2e-7f);
}

/* 2e-7 of the sine and cosine (above), times mscale, for each of two numbers below 5. */
static void rope_rows(void **state)
{
    (void)state;
    int pos[ROWS] = {0, 7, 3, 2048, 40000};
    for (int d_head = 2; d_head <= 130; d_head += d_head < 34 ? 2 : 32)
        for (int n_head = 1; n_head <= 3; n_head++) {
            size_t n = (size_t)(ROWS * n_head * d_head);
            float *x = randoms(n, 4), *size = malloc(n * 4), inv_freq[128];
            for (int i = 0; i < d_head / 2; i++) inv_freq[i] = powf(1e4f, -2.0f * (float)i / (float)d_head);
            for (size_t i = 0; i < n; i++) size[i] = 10;
            lb_rope a = {.pos = pos, .inv_freq = inv_freq, .n_tok = ROWS, .n_head = n_head, .d_head = d_head};
            a.mscale = 1.25f;
            each_row(&lb_op_rope, &a, &a.x, n, x, size, 2.5e-7f);
            free(x);
            free(size);
        }
}

static void swiglu_rows(void **state)
{
    (void)state;
    for (int i = 0; i < N_WIDTH; i++) {
        int d = widths[i];
        size_t n = (size_t)(ROWS * d);
        float *gate = randoms(n, 5), *up = randoms(n, 6);
        for (size_t k = (size_t)d; k < n; k++) gate[k] *= k % 3 ? 20 : 1e-20f;
        gate[0] = NAN;
        if (d > 4) gate[1] = INFINITY, gate[2] = 1e30f, gate[3] = -1e30f, up[4] = NAN;
        lb_swiglu a = {.gate = gate, .up = up, .n_tok = ROWS, .d = d};
        each_row(&lb_op_swiglu, &a, &a.y, n, NULL, NULL, 6 * eps32);
        free(gate);
        free(up);
    }
}

/* exp over its whole range, through silu(v) = v/(1+exp(−v)): 3 roundings beside exp's own 2 ulp. */
static void swiglu_is_accurate(void **state)
{
    (void)state;
    enum { N = 100000 };
    float *gate = malloc(N * 4), *up = malloc(N * 4);
    for (int i = 0; i < N; i++) gate[i] = -86.0f + 172.0f * (float)i / N, up[i] = 1;
    lb_swiglu a = {.gate = gate, .up = up, .n_tok = 1, .d = N};
    each_row(&lb_op_swiglu, &a, &a.y, N, NULL, NULL, 6 * eps32);
    free(gate);
    free(up);
}

static void add_gather_scatter_rows(void **state)
{
    (void)state;
    for (int i = 0; i < N_WIDTH; i++) {
        int d = widths[i], from[ROWS] = {6, 0, 3, 3, 1}, to[ROWS] = {4, 0, 6, 2, 5};
        size_t n = (size_t)(7 * d);
        float *x = randoms(n, 7), *y = randoms(n, 8), *size = malloc(n * 4), weight[ROWS] = {0.5f, 1, 0, -3, 1e-3f};
        for (size_t k = 0; k < n; k++) size[k] = 32;
        lb_add add = {.y = y, .n_tok = ROWS, .d = d};
        each_row(&lb_op_add, &add, &add.x, (size_t)(ROWS * d), x, NULL, 0);
        lb_gather gather = {.x = x, .rows = from, .n = ROWS, .d = d};
        each_row(&lb_op_gather, &gather, &gather.y, (size_t)(ROWS * d), NULL, NULL, 0);
        lb_scatter scatter = {.x = x, .rows = to, .weight = weight, .n = ROWS, .d = d};
        each_row(&lb_op_scatter, &scatter, &scatter.y, n, y, size, eps32);
        free(size);
        free(x);
        free(y);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embed_rows), cmocka_unit_test(rmsnorm_rows), cmocka_unit_test(rope_angles),
        cmocka_unit_test(rope_rows), cmocka_unit_test(swiglu_rows), cmocka_unit_test(swiglu_is_accurate),
        cmocka_unit_test(add_gather_scatter_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
