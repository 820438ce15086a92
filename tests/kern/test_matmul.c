/* test_matmul.c – every row of the matmul table against the definition, at the edges of tiles, and bit for bit against
 * itself in other company. */
#include "test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kern/matmul.h"
#include "num/fp4.h"

enum { GUARD = 64 };
static const unsigned char guard_byte = 0xa5;

/* A weight matrix of any format, its values in f32 and its memory, which ends where the matrix ends: a read past the
 * end shows under ASan. */
typedef struct weights {
    lb_mat m;
    void *data;
    float *value;            /* [n,k] */
} weights;

static uint64_t n_drawn;
static double uniform(void) { return lb_rng_uniform(lb_rng_key_of(7, 7, 7), n_drawn++); }
static float normal(void) { return lb_rng_normal(lb_rng_key_of(8, 8, 8), n_drawn++); }
static int below(int n) { return (int)(uniform() * n); }

static void *must(void *p)
{
    assert_non_null(p);
    return p;
}

static weights make_weights(const lb_num *num, int n, int k, int group, lb_dtype scale_type)
{
    weights w = {.m = {.num = num, .n = n, .k = k}};
    if (num->block) {
        lb_fp4mat q = {.num = num, .n = n, .k = k, .tensor_scale = num == &lb_num_nvfp4 ? 0.0013f : 1};
        lb_err err = {0};
        assert_ok(lb_fp4mat_alloc(&q, &err), err);
        for (size_t i = 0; i < (size_t)n * (size_t)k; i++) q.codes[i] = (uint8_t)below(16);
        for (size_t i = 0; i < (size_t)n * (size_t)lb_n_group(k, num->block); i++)
            q.scales[i] = (uint8_t)(num == &lb_num_nvfp4 ? below(100) : 115 + below(8)); /* subnormals, too */
        w.m = lb_fp4_mat(num, n, k, q.tensor_scale);
        w.data = must(aligned_alloc(64, num->size(&w.m)));
        lb_fp4_pack(&q, w.data, &w.m);
        lb_fp4mat_free(&q);
    } else if (num->grouped) {
        size_t nk = (size_t)n * (size_t)k, ng = (size_t)n * (size_t)lb_n_group(k, group);
        lb_qmat q = {num->bits, n, k, group, scale_type, must(malloc(nk)), must(malloc(ng * 4)), must(malloc(ng)),
                     num->half};
        for (size_t i = 0; i < nk; i++) q.codes[i] = (uint8_t)below(1 << num->bits);
        for (size_t i = 0; i < ng; i++) {
            uint16_t one;
            float s = (float)(0.001 + 0.02 * uniform());
            lb_store_f32(&one, LB_BF16, 0, s);
            q.scales[i] = lb_load_f32(&one, LB_BF16, 0); /* 8 bits of mantissa: exact in all three types */
            q.zeros[i] = (uint8_t)below(num->half ? 7 : 1 << num->bits);
        }
        w.m = lb_tile_mat(num, n, k, group, scale_type);
        w.data = must(aligned_alloc(64, num->size(&w.m)));
        lb_tile_pack(&q, w.data, &w.m);
        free(q.codes), free(q.scales), free(q.zeros);
    } else {
        w.data = must(malloc(num->size(&w.m)));
        for (size_t i = 0; i < (size_t)n * (size_t)k; i++) lb_store_f32(w.data, num->dtype, i, 0.05f * normal());
        w.m.data = w.data;
    }
    w.value = must(malloc((size_t)n * (size_t)k * sizeof(float)));
    for (int r = 0; r < n; r++) num->decode(&w.m, r, 0, k, w.value + (size_t)r * (size_t)k);
    return w;
}

static void free_weights(weights *w)
{
    free(w->data);
    free(w->value);
}

/* x whose blocks differ in size by orders of magnitude, as activations do. */
static float *make_x(int n_tok, int k)
{
    float *x = must(malloc((size_t)n_tok * (size_t)k * sizeof(float)));
    for (int t = 0; t < n_tok; t++)
        for (int i = 0; i < k; i++)
            x[(size_t)t * (size_t)k + (size_t)i] = normal() * ((i / 32 + t) % 3 == 0 ? 10.0f : 0.3f);
    return x;
}

static lb_exec *open_exec(int n_thread)
{
    lb_err err = {0};
    lb_exec *ex = lb_exec_open(
        &(lb_exec_opt){.n_thread = n_thread, .isa = lb_cpu_level_name(lb_cpu_probe())}, &err); /* every row there is */
    assert_ok(ex != NULL, err);
    return ex;
}

/* y in memory of its own with guards before, after and between its rows; units [cut[i],cut[i+1]) one by one on this
 * thread, or through lb_op_run if n_cut is 0. Returns y of [n_tok, n], dense. */
static float *run(lb_exec *ex, const lb_impl *impl, const weights *w, lb_act_quant act, const float *x,
                  const float *bias, int n_tok, const int *cut, int n_cut)
{
    int n = w->m.n, ldy = n + 3;
    size_t size = (size_t)n_tok * (size_t)ldy * sizeof(float);
    unsigned char *mem = must(malloc(size + 2 * GUARD));
    memset(mem, guard_byte, size + 2 * GUARD);
    lb_matmul a = {(float *)(mem + GUARD), x, w->m, bias, n_tok, ldy, act};
    lb_err err = {0};
    size_t scratch = impl->scratch ? impl->scratch(&a) : 0;
    assert_ok(lb_exec_reserve(ex, scratch + GUARD, &err), err);
    memset(lb_exec_scratch(ex), guard_byte, scratch + GUARD);
    if (n_cut == 0) {
        lb_op_run(&lb_op_matmul, impl, &a, ex);
    } else {
        int units = lb_op_matmul.prep_units(&a);
        for (int t = 0; impl->prep && t < units; t++) impl->prep(&a, t, t + 1, ex);
        for (int i = 0; i + 1 < n_cut; i++) impl->run(&a, cut[i], cut[i + 1], ex);
    }
    const unsigned char *used = lb_exec_scratch(ex);
    for (size_t i = scratch; i < scratch + GUARD; i++)
        if (used[i] != guard_byte) fail_msg("%s wrote behind its scratch at %zu of %zu", impl->name, i, scratch);
    for (size_t i = 0; i < GUARD; i++)
        if (mem[i] != guard_byte || mem[GUARD + size + i] != guard_byte) fail_msg("%s wrote outside of y", impl->name);
    float *dense = must(malloc((size_t)n_tok * (size_t)n * sizeof(float)));
    for (int t = 0; t < n_tok; t++) {
        const unsigned char *row = mem + GUARD + (size_t)t * (size_t)ldy * sizeof(float);
        memcpy(dense + (size_t)t * (size_t)n, row, (size_t)n * sizeof(float));
        for (size_t i = (size_t)n * sizeof(float); i < (size_t)ldy * sizeof(float); i++)
            if (row[i] != guard_byte) fail_msg("%s wrote between rows of y", impl->name);
    }
    free(mem);
    return dense;
}

/* The bound on |y − exact|. Float rows: sums in blocks of 256 products, so (256 + K/256 + 2)·2⁻²⁴ of Σ|x·w| at the very
 * worst; a quarter of that is already far above what random errors reach. bf16 dots round x to 8 bits: 2⁻⁹ of Σ|x·w|;
 * with tiles x is the sum of two bf16 numbers, off by 2⁻¹⁷. Integer rows: x becomes 16-bit integers of at most 32639
 * per block of ≤ 128 columns (blocks never straddle groups), so x is off by half a step, blockmax/65278, times |w|;
 * sums inside a block are exact, and every block adds four roundings. With quantized activations rows and reference
 * multiply the same x̂, so only the roundings are left: one code that differs would show as a step of 1/255 or 1/15 of
 * the range. */
static double bound(const weights *w, const lb_impl *impl, lb_act_quant act, const float *x, int row)
{
    const float *v = w->value + (size_t)row * (size_t)w->m.k;
    double sum = 0, steps = 0;
    int k = w->m.k, group = w->m.num->grouped ? w->m.group : k, n_block = 0;
    double x_eps = strcmp(impl->name, "avx512bf16") == 0 ? 0x1p-8 : strcmp(impl->name, "amx") == 0 ? 0x1p-17 : 0;
    if (act.kind) {
        float *fake = must(malloc((size_t)k * sizeof *fake));
        lb_act_fake_quant(&act, x, k, fake);
        for (int i = 0; i < k; i++) sum += fabs((double)fake[i] * (double)v[i]);
        free(fake);
        int act_block = lb_act_block(act.kind) ? lb_act_block(act.kind) : 1024;
        if (!w->m.num->grouped) return ((256 + k / 256.0 + 2) / 4 * 0x1p-24 + x_eps) * sum;
        return (lb_n_group(k, group) + k / act_block + 6) * 0x1p-24 * sum;
    }
    for (int i = 0; i < k; i++) sum += fabs((double)x[i] * (double)v[i]);
    if (!w->m.num->grouped) {
        return ((256 + k / 256.0 + 2) / 4 * 0x1p-24 + x_eps) * sum;
    }
    for (int g = 0; g < k; g += group)
        for (int b = g; b < g + group && b < k; b += 128) {
            double max = 0, mag = 0;
            int end = b + 128 < g + group ? b + 128 : g + group;
            for (int i = b; i < end && i < k; i++) {
                max = fmax(max, fabs((double)x[i]));
                mag += fabs((double)v[i]);
            }
            steps += max / 65278 * mag * 1.01;
            sum += max * mag;
            n_block++;
        }
    return steps + (n_block + 4) * 0x1p-24 * sum;
}

static void same_bits(const char *what, const char *name, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s: %s: element %zu is %.9g and %.9g", name, what, i, (double)a[i], (double)b[i]);
}

static void check(lb_exec *ex1, lb_exec *ex2, const lb_num *num, int n, int k, int n_tok, int group,
                  lb_dtype scale_type, lb_act_quant act)
{
    weights w = make_weights(num, n, k, group, scale_type);
    float *x = make_x(n_tok, k), *bias = NULL;
    if (below(2)) {
        bias = must(malloc((size_t)n * sizeof(float)));
        for (int i = 0; i < n; i++) bias[i] = normal();
    }
    lb_matmul a = {.w = w.m, .x = x, .bias = bias, .n_tok = n_tok, .ldy = n, .act = act};
    int n_row = 0;
    float *want = run(ex1, &lb_matmul_impls[0], &w, act, x, bias, n_tok, NULL, 0), *avx2 = NULL;
    for (const lb_impl *impl = lb_matmul_impls + 1; impl->name; impl++) {
        if ((impl->needs & ~lb_exec_mask(ex1)) || (impl->fits && !impl->fits(&a))) continue;
        float *y = run(ex1, impl, &w, act, x, bias, n_tok, NULL, 0);
        n_row++;
        for (int t = 0; t < n_tok; t++)
            for (int r = 0; r < n; r++) {
                size_t i = (size_t)t * (size_t)n + (size_t)r;
                double limit = bound(&w, impl, act, x + (size_t)t * (size_t)k, r) + 0x1p-23 * fabs((double)want[i]);
                double diff = fabs((double)y[i] - (double)want[i]);
                if (!(diff <= limit))
                    fail_msg("%s %s act %d of %d bits n %d k %d group %d tok %d: y[%d,%d] = %.9g, want %.9g ± %.3g",
                             impl->name, num->name, (int)act.kind, act.bits, n, k, w.m.group, n_tok, t, r,
                             (double)y[i], (double)want[i], limit);
            }
        float *two = run(ex2, impl, &w, act, x, bias, n_tok, NULL, 0);
        same_bits("two threads", impl->name, y, two, (size_t)n_tok * (size_t)n);
        int cut[] = {0, below(n + 1), n};
        float *parts = run(ex1, impl, &w, act, x, bias, n_tok, cut, 3);
        same_bits("units in two parts", impl->name, y, parts, (size_t)n_tok * (size_t)n);
        int t = below(n_tok), m = 1 + below(n_tok - t);
        float *some = run(ex1, impl, &w, act, x + (size_t)t * (size_t)k, bias, m, NULL, 0);
        same_bits("fewer tokens", impl->name, y + (size_t)t * (size_t)n, some, (size_t)m * (size_t)n);
        /* avx2 and avx512 are one sequence of float operations, amx is too where sums are of integers. */
        if (strcmp(impl->name, "avx2") == 0) {
            free(avx2);
            avx2 = y;
        } else {
            if (strcmp(impl->name, "avx512") == 0 || (strcmp(impl->name, "amx") == 0 && num->grouped))
                same_bits("avx2", impl->name, y, must(avx2), (size_t)n_tok * (size_t)n);
            free(y);
        }
        free(two), free(parts), free(some);
    }
    /* Every level has a row, but for block floats as activations of weights in other blocks. */
    int block = lb_act_block(act.kind);
    bool fast = !block || !num->grouped || num->block == block;
    if (fast && n_row == 0 && lb_exec_mask(ex1)) fail_msg("%s act %d: only the reference", num->name, (int)act.kind);
    free(want), free(avx2), free(x), free(bias);
    free_weights(&w);
}

static const int edges[] = {1, 2, 3, 5, 7, 8, 9, 12, 13, 15, 16, 17, 24, 31, 32, 33, 47, 48, 64, 65, 100, 127, 128,
                            130};
static int edge(int most)
{
    int v;
    do v = edges[below((int)(sizeof edges / sizeof *edges))];
    while (v > most);
    return v;
}

static void agree(lb_act_quant act, int rounds)
{
    static const int long_k[] = {256, 511, 512, 513, 768, 1000, 1024, 1056, 1537, 2100};
    static const int groups[] = {32, 64, 96, 128, 160, 256};
    static const lb_dtype scale_types[] = {LB_F32, LB_F16, LB_BF16};
    lb_exec *ex1 = open_exec(1), *ex2 = open_exec(2);
    for (int f = 0; lb_nums[f]; f++) {
        for (int i = 0; i < rounds; i++) {
            int n = edge(130), k = i % 4 ? edge(130) : long_k[below(10)], n_tok = edge(i % 8 ? 33 : 130);
            if (k > 130 && n_tok > 33) n = edge(33);
            int group = 0;
            if (lb_nums[f]->grouped && !lb_nums[f]->block) {
                group = groups[below(6)];
                if (group > k || below(4) == 0) group = k;
            }
            check(ex1, ex2, lb_nums[f], n, k, n_tok, group, scale_types[below(3)], act);
        }
    }
    lb_exec_close(ex1), lb_exec_close(ex2);
}

static void rows_agree_with_ref(void **state)
{
    (void)state;
    agree((lb_act_quant){0}, 100);
}

/* Past the panels of rows, the blocks of columns and the chunks of tokens that a thread keeps at a time. */
static void rows_agree_on_large_calls(void **state)
{
    (void)state;
    lb_exec *ex1 = open_exec(1), *ex2 = open_exec(2);
    const lb_num *bf16 = lb_num_of_dtype(LB_BF16), *int4 = lb_num_of_bits(4), *int8 = lb_num_of_bits(8);
    lb_act_quant a16 = {0}, a8 = {.kind = LB_ACT_INT, .bits = 8};
    check(ex1, ex2, bf16, 289, 1029, 300, 0, LB_F32, a16);
    check(ex1, ex2, bf16, 300, 96, 65, 0, LB_F32, a16);
    check(ex1, ex2, int4, 49, 672, 545, 128, LB_BF16, a16);
    check(ex1, ex2, int8, 49, 1184, 545, 1184, LB_BF16, a8);
    lb_exec_close(ex1), lb_exec_close(ex2);
}

static void rows_agree_with_quantized_activations(void **state)
{
    (void)state;
    for (int bits = 8; bits >= 4; bits -= 4) {
        agree((lb_act_quant){.kind = LB_ACT_INT, .bits = bits}, 16);
        agree((lb_act_quant){.kind = LB_ACT_INT, .bits = bits, .clip_lo = 0.9f, .clip_hi = 0.7f}, 8);
    }
    agree((lb_act_quant){.kind = LB_ACT_MXFP4}, 12);
    agree((lb_act_quant){.kind = LB_ACT_NVFP4}, 12);
}

/* The largest sums there are: all weights at one end of their codes and zeros at the other, activations likewise; and
 * activations that lie in the middle between two codes, where one rounding rule must hold. */
static void extremes_of_quantized_activations(void **state)
{
    (void)state;
    lb_exec *ex = open_exec(1);
    enum { N = 19, K = 1024 + 64, TOK = 14 };
    for (int f = 0; lb_nums[f]; f++) {
        if (!lb_nums[f]->grouped || lb_nums[f]->block) continue;
        for (int variant = 0; variant < 8; variant++) {
            int bits = variant & 1 ? 8 : 4, most = (1 << bits) - 1, top = (1 << lb_nums[f]->bits) - 1;
            int most_zero = lb_nums[f]->half ? 2 * top : top;
            lb_act_quant act = {.kind = LB_ACT_INT, .bits = bits};
            weights w = make_weights(lb_nums[f], N, K, K, LB_F32);
            lb_qmat q = {.bits = lb_nums[f]->bits, .n = N, .k = K, .group = K};
            lb_err err = {0};
            assert_ok(lb_qmat_alloc(&q, &err), err);
            lb_tile_unpack(&w.m, &q);
            memset(q.codes, variant & 2 ? top : 0, (size_t)N * K);
            memset(q.zeros, variant & 2 ? 0 : most_zero, N);
            lb_tile_pack(&q, w.data, &w.m);
            for (int r = 0; r < N; r++) w.m.num->decode(&w.m, r, 0, K, w.value + (size_t)r * K);
            float *x = must(malloc(TOK * K * sizeof *x));
            for (int i = 0; i < TOK * K; i++) x[i] = variant & 4 ? 255.0f : 0.5f * (float)(below(2 * most + 1));
            for (int t = 0; t < TOK; t++) { /* step 1, zero point anywhere */
                int zero = variant & 4 ? 0 : below(most + 1);
                for (int i = 0; i < K && !(variant & 4); i++) x[t * K + i] -= (float)zero;
                if (!(variant & 4)) x[t * K] = (float)-zero, x[t * K + 1] = (float)(most - zero);
                if (variant == 5) x[t * K + 7] = -1e-3f;
            }
            float *want = run(ex, &lb_matmul_impls[0], &w, act, x, NULL, TOK, NULL, 0);
            lb_matmul a = {.w = w.m, .x = x, .n_tok = TOK, .ldy = N, .act = act};
            for (const lb_impl *impl = lb_matmul_impls + 1; impl->name; impl++) {
                if ((impl->needs & ~lb_exec_mask(ex)) || (impl->fits && !impl->fits(&a))) continue;
                float *y = run(ex, impl, &w, act, x, NULL, TOK, NULL, 0);
                for (int i = 0; i < TOK * N; i++) {
                    double limit = bound(&w, impl, act, x + (size_t)(i / N) * K, i % N);
                    if (!(fabs((double)y[i] - (double)want[i]) <= limit))
                        fail_msg("%s %s variant %d: %.9g, want %.9g ± %.3g", impl->name, lb_nums[f]->name, variant,
                                 (double)y[i], (double)want[i], limit);
                }
                free(y);
            }
            free(want), free(x);
            lb_qmat_free(&q);
            free_weights(&w);
        }
    }
    lb_exec_close(ex);
}

/* A NaN or infinity of one token spoils that token's outputs, visibly, and no other's. */
static void check_bad(lb_act_quant act)
{
    lb_exec *ex = open_exec(1);
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int f = 0; lb_nums[f]; f++) {
        int n = 37, k = 200;
        weights w = make_weights(lb_nums[f], n, k, lb_nums[f]->grouped ? 64 : 0, LB_BF16);
        for (int n_tok = 1; n_tok <= 14; n_tok += 13) {
            for (int b = 0; b < 3; b++) {
                float *x = make_x(n_tok, k);
                lb_matmul a = {.w = w.m, .x = x, .n_tok = n_tok, .ldy = n, .act = act};
                int sick = n_tok / 2;
                for (const lb_impl *impl = lb_matmul_impls; impl->name; impl++) {
                    if ((impl->needs & ~lb_exec_mask(ex)) || (impl->fits && !impl->fits(&a))) continue;
                    x[(size_t)sick * (size_t)k + 150] = 1;
                    float *well = run(ex, impl, &w, act, x, NULL, n_tok, NULL, 0);
                    x[(size_t)sick * (size_t)k + 150] = bad[b];
                    float *y = run(ex, impl, &w, act, x, NULL, n_tok, NULL, 0);
                    for (int t = 0; t < n_tok; t++)
                        for (int r = 0; r < n; r++) {
                            size_t i = (size_t)t * (size_t)n + (size_t)r;
                            if (t == sick && w.value[(size_t)r * (size_t)k + 150] != 0 && isfinite(y[i]))
                                fail_msg("%s %s: x = %g became %g", impl->name, lb_nums[f]->name, (double)bad[b],
                                         (double)y[i]);
                            if (t != sick && memcmp(&y[i], &well[i], 4) != 0)
                                fail_msg("%s %s: token %d was touched", impl->name, lb_nums[f]->name, t);
                        }
                    free(well), free(y);
                }
                free(x);
            }
        }
        free_weights(&w);
    }
    lb_exec_close(ex);
}

static const lb_act_quant acts[] = {
    {0}, {.kind = LB_ACT_INT, .bits = 8}, {.kind = LB_ACT_INT, .bits = 4, .clip_lo = 0.9f, .clip_hi = 0.9f},
    {.kind = LB_ACT_MXFP4}, {.kind = LB_ACT_NVFP4},
};
enum { N_ACT = sizeof acts / sizeof *acts };

static void bad_activations_stay_visible(void **state)
{
    (void)state;
    for (int i = 0; i < N_ACT; i++) check_bad(acts[i]);
}

/* Zeros, and values so small that their scale has no reciprocal. */
static void check_tiny(lb_act_quant act)
{
    lb_exec *ex = open_exec(1);
    static const float sizes[] = {0, 1e-45f, 1e-38f, 1e-30f, 1e30f};
    for (int f = 0; lb_nums[f]; f++) {
        weights w = make_weights(lb_nums[f], 20, 96, lb_nums[f]->grouped ? 32 : 0, LB_F32);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            float *x = make_x(9, 96);
            for (int i = 0; i < 9 * 96; i++) x[i] *= sizes[s];
            float *want = run(ex, &lb_matmul_impls[0], &w, act, x, NULL, 9, NULL, 0);
            lb_matmul a = {.w = w.m, .x = x, .n_tok = 9, .ldy = 20, .act = act};
            for (const lb_impl *impl = lb_matmul_impls + 1; impl->name; impl++) {
                if ((impl->needs & ~lb_exec_mask(ex)) || (impl->fits && !impl->fits(&a))) continue;
                float *y = run(ex, impl, &w, act, x, NULL, 9, NULL, 0);
                for (int i = 0; i < 9 * 20; i++) {
                    double limit = bound(&w, impl, act, x + (size_t)(i / 20) * 96, i % 20) + 1e-28;
                    if (!(fabs((double)y[i] - (double)want[i]) <= limit))
                        fail_msg("%s %s × %g: %g, want %g", impl->name, lb_nums[f]->name, (double)sizes[s],
                                 (double)y[i], (double)want[i]);
                }
                free(y);
            }
            free(want), free(x);
        }
        free_weights(&w);
    }
    lb_exec_close(ex);
}

static void tiny_activations_are_finite(void **state)
{
    (void)state;
    for (int i = 0; i < N_ACT; i++) check_tiny(acts[i]);
}

/* Scratch is reserved for the largest call there will be: a smaller one wants no more. The row is the same for all. */
static void smaller_calls_want_no_more_scratch(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_exec *ex = lb_exec_open(&(lb_exec_opt){.n_thread = 1}, &err);
    assert_ok(ex != NULL, err);
    static const lb_act_quant both[] = {{.kind = LB_ACT_NONE}, {.kind = LB_ACT_INT, .bits = 8}};
    for (int f = 0; lb_nums[f]; f++)
        for (int i = 0; i < 6; i++) {
            int n = i & 1 ? 96 : 1024, k = i < 2 ? 128 : i < 4 ? 768 : 4096;
            lb_mat m = {.num = lb_nums[f], .n = n, .k = k, .tensor_scale = 1, .scale_type = LB_F16};
            m.group = lb_nums[f]->block ? lb_nums[f]->block : lb_nums[f]->grouped ? 128 : 0;
            for (size_t c = 0; c < sizeof both / sizeof *both; c++) {
                lb_matmul a = {.w = m, .n_tok = 1, .ldy = n, .act = both[c]};
                const lb_impl *impl = lb_op_pick(&lb_op_matmul, ex, &a);
                size_t most = 0;
                for (int t = 1; impl && impl->scratch && t <= 700; t++) {
                    a.n_tok = t;
                    assert_ptr_equal(lb_op_pick(&lb_op_matmul, ex, &a), impl);
                    size_t bytes = impl->scratch(&a);
                    if (bytes < most)
                        fail_msg("%s %s [%d,%d]: %zu bytes for %d tokens, %zu for fewer", impl->name, m.num->name, n, k,
                                 bytes, t, most);
                    most = bytes;
                }
            }
        }
    lb_exec_close(ex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_agree_with_ref),
        cmocka_unit_test(rows_agree_on_large_calls),
        cmocka_unit_test(rows_agree_with_quantized_activations),
        cmocka_unit_test(extremes_of_quantized_activations),
        cmocka_unit_test(bad_activations_stay_visible),
        cmocka_unit_test(tiny_activations_are_finite),
        cmocka_unit_test(smaller_calls_want_no_more_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
