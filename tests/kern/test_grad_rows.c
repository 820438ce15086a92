/* test_grad_rows.c – every row of the training operators' tables against the reference, at the edges of their blocks,
 * and the same bits however the units are split. */
#include "guard.h"
#include "kern/gemm.h"
#include "kern/grad_attn.h"
#include "kern/grad_elem.h"
#include "kern/grad_quant.h"
#include "kern/grad_rows.h"
#include "kern/step.h"

static lb_exec *ex_of(void)
{
    static lb_exec *ex;
    lb_err err = {0};
    if (!ex) ex = lb_exec_open(&(lb_exec_opt){.n_thread = 1}, &err);
    assert_ok(ex, err);
    return ex;
}

/* One row of the table: whole, and unit by unit from the end. */
static void run_row(const lb_op *op, const lb_impl *impl, const void *args, bool split)
{
    lb_exec *ex = ex_of();
    lb_err err = {0};
    if (impl->scratch) assert_ok(lb_exec_reserve(ex, impl->scratch(args), &err), err);
    if (impl->prep)
        for (int u = op->prep_units(args) - 1; u >= 0; u--) impl->prep(args, u, u + 1, ex);
    if (!split) impl->run(args, 0, op->units(args), ex);
    else
        for (int u = op->units(args) - 1; u >= 0; u--) impl->run(args, u, u + 1, ex);
}

typedef struct out {
    float **at;              /* the field of args */
    size_t n;
    const float *start;      /* what is there before; NULL: nothing */
    float tol;               /* largest difference from the reference */
} out;

/* Every row of op against row 0; several outputs at once. */
static void each_row(const char *what, const lb_op *op, const void *args, const out *outs, int n_out)
{
    float *want[4];
    assert_true(n_out <= 4);
    for (const lb_impl *impl = op->impls; impl->name; impl++) {
        if (!runs_here(impl, args)) continue;
        float *y[4], *z[4];
        for (int pass = 0; pass < 2; pass++) {
            for (int i = 0; i < n_out; i++) {
                float *p = guard_new(outs[i].n);
                if (outs[i].start) memcpy(p, outs[i].start, outs[i].n * 4);
                *outs[i].at = p;
                (pass ? z : y)[i] = p;
            }
            run_row(op, impl, args, pass);
        }
        for (int i = 0; i < n_out; i++) {
            assert_memory_equal(y[i], z[i], outs[i].n * 4);
            guard_free(z[i], outs[i].n);
            if (impl == op->impls) {
                want[i] = y[i];
                continue;
            }
            for (size_t j = 0; j < outs[i].n; j++)
                if (!(fabsf(y[i][j] - want[i][j]) <= outs[i].tol))
                    fail_msg("%s: %s %s, output %d [%zu] = %.9g, wanted %.9g", what, op->name, impl->name, i, j,
                             (double)y[i][j], (double)want[i][j]);
            guard_free(y[i], outs[i].n);
        }
    }
    for (int i = 0; i < n_out; i++) guard_free(want[i], outs[i].n);
}

/* ---- products ---- */
static void one_gemm(lb_gemm g, const char *what)
{
    int batch = lb_gemm_batch(&g);
    size_t na = (size_t)(g.ta ? g.k : g.m) * (size_t)lb_gemm_lda(&g);
    size_t nb = (size_t)(g.tb ? g.n : g.k) * (size_t)lb_gemm_ldb(&g);
    size_t nc = (size_t)g.m * (size_t)lb_gemm_ldc(&g);
    float *a = randoms(g.step_a ? na * (size_t)batch : na, 1), *b = randoms(g.step_b ? nb * (size_t)batch : nb, 2);
    float *bias = randoms((size_t)g.n, 3), *c = randoms(g.sum ? nc : nc * (size_t)batch, 4);
    g.a = a, g.b = b;
    if (g.step_a) g.step_a = na;
    if (g.step_b) g.step_b = nb;
    if (batch > 1 && !g.sum) g.step_c = nc;
    if (g.bias) g.bias = bias;
    float rounding = 8 * 0x1p-24f + (g.compute == LB_COMPUTE_BF16     ? 0x1p-6f
                                     : g.compute == LB_COMPUTE_BF16X2 ? 0x1p-14f
                                                                      : 0);
    out o = {&g.c, g.sum ? nc : nc * (size_t)batch, c, rounding * (float)(g.k * (g.sum ? batch : 1) + 8)};
    each_row(what, &lb_op_gemm, &g, &o, 1);
    free(a), free(b), free(bias), free(c);
}

static void gemm_rows(void **state)
{
    (void)state;
    static const int sizes[] = {1, 5, 6, 7, 15, 16, 17, 24, 25, 33, 63, 64, 65, 129};
    enum { N = sizeof sizes / sizeof *sizes };
    static const float one;
    for (int i = 0; i < N; i++)
        for (int t = 0; t < 8; t++) {
            int m = sizes[i], n = sizes[(i * 5 + t) % N], k = sizes[(i * 3 + 2 * t + 1) % N];
            one_gemm((lb_gemm){.m = m, .n = n, .k = k, .ta = t & 1, .tb = t & 2, .add = t & 4,
                               .bias = i & 1 ? &one : NULL}, "sizes");
        }
    for (int t = 0; t < 4; t++) { /* over blocks of k; rows that are not dense; two blocks of rows and columns */
        one_gemm((lb_gemm){.m = 7, .n = 18, .k = 1030, .ta = t & 1, .tb = t & 2, .bias = &one}, "long k");
        one_gemm((lb_gemm){.m = 50, .n = 140, .k = 20, .ta = t & 1, .tb = t & 2, .lda = 160, .ldb = 171, .ldc = 143,
                           .add = true}, "strides");
        for (lb_compute how = LB_COMPUTE_BF16X2; how <= LB_COMPUTE_BF16; how++)
            one_gemm((lb_gemm){.m = 50, .n = 140, .k = 1100, .ta = t & 1, .tb = t & 2, .add = t == 1, .compute = how},
                     "in fewer bits");
    }
    for (int t = 0; t < 16; t++)
        one_gemm((lb_gemm){.m = 9, .n = 20, .k = 11, .ta = t & 1, .tb = t & 2, .n_batch = 5, .step_a = t & 4 ? 1 : 0,
                           .step_b = 1, .sum = t & 8, .add = t & 1}, "batch");
}

/* A times 1: all bits of A in f32, and as many as promised in less. NaN and infinity do not get lost. */
static void bits_of_operands(void **state)
{
    (void)state;
    enum { M = 40, K = 48 };
    float a[M * K], one[K * K] = {0}, c[M * K];
    lb_err err = {0};
    for (int i = 0; i < M * K; i++)
        a[i] = ldexpf((float)(lb_mix64((uint64_t)i) >> 40) + 0x1p23f, i % 120 - 90) * (i % 3 ? 1 : -1);
    for (int i = 0; i < K; i++) one[i * K + i] = 1;
    for (const lb_impl *impl = lb_op_gemm.impls; impl->name; impl++)
        for (int t = 0; t < 12; t++) {
            lb_gemm g = {.c = c, .a = a, .b = one, .m = M, .n = K, .k = K, .tb = t & 1, .compute = (lb_compute)(t / 4)};
            if (t & 2)
                g = (lb_gemm){
                    .c = c, .a = one, .b = a, .m = K, .n = M, .k = K, .ta = t & 1, .tb = true, .compute = g.compute};
            if (!runs_here(impl, &g)) continue;
            if (impl->scratch) assert_ok(lb_exec_reserve(ex_of(), impl->scratch(&g), &err), err);
            lb_op_run(&lb_op_gemm, impl, &g, ex_of());
            for (int i = 0; i < M * K; i++) {
                float got = t & 2 ? c[i % K * M + i / K] : c[i], off = fabsf(got - a[i]) / fabsf(a[i]);
                if (!(off <= (t < 4 ? 0 : t < 8 ? 0x1p-16f : 0x1p-8f)))
                    fail_msg("%s, %s: %.9g came out as %.9g", impl->name, lb_compute_names[g.compute], (double)a[i],
                             (double)got);
            }
            static const float odd[] = {NAN, INFINITY, -INFINITY};
            for (int i = 0; i < 3; i++) {
                float was = a[17];
                a[17] = odd[i];
                lb_op_run(&lb_op_gemm, impl, &g, ex_of());
                assert_false(isfinite(t & 2 ? c[17 * M] : c[17]));
                a[17] = was;
            }
        }
}

/* ---- attention ---- */
static void causal_rows(void **state)
{
    (void)state;
    static const struct { int n_seq, len, n_head, n_kv, d; } shapes[] = {
        {2, 1, 2, 1, 8},    {2, 63, 2, 2, 16},  {1, 65, 4, 2, 20},
        {2, 130, 3, 1, 33}, {1, 70, 2, 1, 128}, {1, 66, 1, 1, 250}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        lb_causal a = {.n_seq = shapes[i].n_seq, .len = shapes[i].len, .n_head = shapes[i].n_head,
                       .n_kv = shapes[i].n_kv, .d_head = shapes[i].d, .scale = 1.0f / sqrtf((float)shapes[i].d)};
        size_t rows = (size_t)(a.n_seq * a.len), nq = rows * (size_t)(a.n_head * a.d_head),
               nk = rows * (size_t)(a.n_kv * a.d_head), stats = rows * (size_t)a.n_head;
        float *q = randoms(nq, 1), *k = randoms(nk, 2), *v = randoms(nk, 3), *dy = randoms(nq, 4);
        for (size_t j = 0; j < nq; j++) q[j] *= 3; /* some probabilities near 1 */
        a.q = q, a.k = k, a.v = v;
        out fwd[] = {{&a.y, nq, NULL, 2e-5f}, {&a.max, stats, NULL, 1e-4f}, {&a.sum, stats, NULL, 2e-3f}};
        each_row("attention", &lb_op_causal, &a, fwd, 3);
        float *y = malloc(nq * 4), *max = malloc(stats * 4), *sum = malloc(stats * 4);
        a.y = y, a.max = max, a.sum = sum;
        run_row(&lb_op_causal, lb_op_causal.impls, &a, false);
        a.dy = dy;
        out back[] = {{&a.dq, nq, q, 2e-4f}, {&a.dk, nk, k, 2e-4f}, {&a.dv, nk, v, 2e-4f},
                      {&a.delta, stats, NULL, 1e-4f}};
        each_row("attention", &lb_op_causal_back, &a, back, 4);
        free(q), free(k), free(v), free(dy), free(y), free(max), free(sum);
    }
}

/* ---- small operators ---- */
static const int widths[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 257};

static void elem_rows(void **state)
{
    (void)state;
    enum { ROWS = 5 };
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        int d = widths[i];
        size_t n = (size_t)(ROWS * d);
        float *x = randoms(n, 1), *y = randoms(n, 2), *dy = randoms(n, 3), *w = randoms((size_t)d, 4);
        float *s1 = randoms(n, 5);
        for (size_t j = 0; j < n; j++) x[j] *= j % 3 ? 1 : 8;
        lb_swiglu_back s = {.dy = dy, .gate = x, .up = y, .n_row = ROWS, .d = d};
        each_row("", &lb_op_swiglu_back, &s, (out[]){{&s.dgate, n, s1, 1e-5f}, {&s.dup, n, y, 1e-5f}}, 2);
        lb_rmsnorm_back r = {.dy = dy, .x = x, .w = w, .n_row = ROWS, .d = d, .eps = 1e-3f};
        each_row("", &lb_op_rmsnorm_back, &r, (out[]){{&r.dx, n, s1, 3e-4f}, {&r.inv, ROWS, NULL, 3e-5f}}, 2);
        lb_mul_cols m = {.x = x, .s = w, .n_row = ROWS, .d = d, .add = true};
        each_row("", &lb_op_mul_cols, &m, (out[]){{&m.y, n, s1, 0}}, 1);
        lb_col_dot c = {.a = x, .b = y, .n_row = ROWS, .d = d};
        each_row("", &lb_op_col_dot, &c, (out[]){{&c.y, (size_t)d, w, 0}}, 1);
        free(x), free(y), free(dy), free(w), free(s1);
    }
}

static void fake_quant_rows(void **state)
{
    (void)state;
    enum { GROUPS = 6 };
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int t = 0; t < 40; t++) {
            int d = widths[i], bits = t % 4 == 3 ? 8 : 2 + t % 4;
            size_t n = (size_t)(GROUPS * d);
            float *x = randoms(n, 1), *v = randoms(n, 2), *dy = randoms(n, 3), *s1 = randoms(n, 4), *s2 = randoms(n, 5);
            float hi[] = {0.9f, 0.5f, 1}, lo[] = {1, 0.6f, 0.8f};
            for (int j = 0; j < d; j++) x[j] = 0, x[d + j] = fabsf(x[d + j]), x[2 * d + j] *= 1e-12f;
            for (size_t j = 0; j < n; j++) v[j] = 0.5f * tanhf(v[j]);
            lb_fake_quant a = {.kind = (lb_fq_kind)(t % 5), .bits = bits, .n_group = GROUPS, .len = d, .x = x,
                               .n_factor = 3, .v = t & 4 ? v : NULL, .f_hi = hi, .f_lo = t & 8 ? lo : hi,
                               .scale_type = t % 5 == 0 ? LB_F32 : t & 1 ? LB_BF16 : LB_F16};
            each_row("", &lb_op_fake_quant, &a, (out[]){{&a.y, n, NULL, 0}}, 1);
            a.dy = dy;
            float *df = randoms(GROUPS, 6);
            each_row("", &lb_op_fake_quant_back, &a,
                     (out[]){{&a.dx, n, s1, 1e-3f}, {&a.dv, n, s2, 1e-5f}, {&a.df_hi, GROUPS, df, 2e-3f},
                             {&a.df_lo, GROUPS, df, 2e-3f}}, 4);
            free(x), free(v), free(dy), free(s1), free(s2), free(df);
        }
}

/* Sums of chosen rows: by hand, in order, unit by unit. */
static void row_sums(void **state)
{
    (void)state;
    enum { X = 9, N = 4 };
    static const int to[N] = {5, 0, 7, 2}, start[N + 1] = {0, 3, 3, 4, 9}, from[9] = {8, 1, 1, 4, 0, 2, 7, 3, 6};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int t = 0; t < 4; t++) {
            int d = widths[i];
            float *x = randoms((size_t)(X * d), 1), *y0 = randoms((size_t)(X * d), 2), *c = randoms(X, 3);
            lb_row_sums a = {.x = x, .to = to, .start = start, .from = from, .c = t & 1 ? c : NULL, .c_of_row = true,
                             .n = N, .d = d, .add = t & 2};
            float *want = guard_new((size_t)(X * d));
            memcpy(want, y0, (size_t)(X * d) * 4);
            for (int r = 0; r < N; r++)
                for (int j = 0; j < d; j++) {
                    double sum = 0;
                    for (int k = start[r]; k < start[r + 1]; k++)
                        sum += (t & 1 ? (double)c[from[k]] : 1) * (double)x[from[k] * d + j];
                    want[to[r] * d + j] = (float)(sum + (t & 2 ? (double)y0[to[r] * d + j] : 0));
                }
            each_row("", &lb_op_row_sums, &a, (out[]){{&a.y, (size_t)(X * d), y0, 0}}, 1);
            a.y = y0;
            run_row(&lb_op_row_sums, &lb_op_row_sums.impls[0], &a, true);
            for (int j = 0; j < X * d; j++) assert_true(fabsf(want[j] - y0[j]) <= 1e-6f * (1 + fabsf(want[j])));
            guard_free(want, (size_t)(X * d));
            free(x), free(y0), free(c);
        }
}

/* Steps give the same bits on every processor. */
static void step_rows(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 15, 33, LB_STEP_PIECE - 1, LB_STEP_PIECE + 17, 3 * LB_STEP_PIECE};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t n = counts[i];
        float *v = randoms(n, 1), *d = randoms(n, 2), *m = randoms(n, 3), *s = randoms(n, 4);
        for (size_t j = 0; j < n; j++) s[j] *= s[j];
        lb_step a = {.n = n, .lr = 0.01f, .keep = 0.999f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .fix1 = 1.7f,
                     .fix2 = 2.1f, .lo = i % 2 ? -0.5f : 0, .hi = i % 2 ? 0.7f : 0};
        each_row("", &lb_op_adamw, &a, (out[]){{&a.v, n, v, 0}, {&a.d, n, d, 0}, {&a.m, n, m, 0}, {&a.s, n, s, 0}}, 4);
        each_row("", &lb_op_sign_step, &a, (out[]){{&a.v, n, v, 0}, {&a.d, n, d, 0}}, 2);
        lb_times t = {.n = n, .f = -0.3f};
        each_row("", &lb_op_times, &t, (out[]){{&t.x, n, v, 0}}, 1);
        double want = 0, all[8];
        for (size_t j = 0; j < n; j++) want += (double)v[j] * (double)v[j];
        for (const lb_impl *impl = lb_op_squares.impls; impl->name; impl++) {
            double sums[4] = {0}, *sum = &all[impl - lb_op_squares.impls];
            lb_squares q = {.sum = sums, .x = v, .n = n};
            if (!runs_here(impl, &q)) continue;
            run_row(&lb_op_squares, impl, &q, true);
            *sum = 0;
            for (int j = 0; j < 4; j++) *sum += sums[j];
            assert_true(fabs(*sum - want) <= 1e-12 * want && *sum == all[0]);
        }
        free(v), free(d), free(m), free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_rows), cmocka_unit_test(bits_of_operands), cmocka_unit_test(causal_rows),
        cmocka_unit_test(elem_rows), cmocka_unit_test(fake_quant_rows),  cmocka_unit_test(row_sums),
        cmocka_unit_test(step_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
