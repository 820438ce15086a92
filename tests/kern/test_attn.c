/* test_attn.c – attention and cache writing: every row of the tables against the reference, and the promise that a
 * token's result does not depend on the batch, the chunk or the threads it is computed in. */
#include "guard.h"
#include "kern/attn.h"
#include "kern/bench_attn.h"

/* Formats that keep numbers as they are come first; the packed ones have test_kv.c. */
static bool packed(int i) { return !lb_kv_formats[i] || lb_kv_formats[i]->bits < 16; }

/* A cache with n_seq sequences; what was never put into it is NaN. */
typedef struct cache {
    lb_kv_layer l, abs_v;      /* abs_v: the same with |V|, for error bounds */
    int n_seq, max_pages, n_page;
    int *pages;
} cache;

static cache cache_new(const char *format, int n_kv, int d_head, const int *len, int n_seq)
{
    cache c = {.n_seq = n_seq, .max_pages = 1};
    c.l = (lb_kv_layer){.format = lb_kv_format_find(format), .n_kv = n_kv, .d_head = d_head};
    assert_non_null(c.l.format);
    for (int s = 0; s < n_seq; s++)
        if ((len[s] + LB_PAGE - 1) / LB_PAGE > c.max_pages) c.max_pages = (len[s] + LB_PAGE - 1) / LB_PAGE;
    c.n_page = n_seq * c.max_pages;
    size_t bytes = lb_kv_k_bytes(&c.l) * (size_t)c.n_page;
    c.abs_v = c.l;
    c.l.k = malloc(bytes);
    c.l.v = malloc(bytes);
    c.abs_v.v = malloc(bytes);
    c.pages = malloc((size_t)c.n_page * sizeof *c.pages);
    assert_true(c.l.k && c.l.v && c.abs_v.v && c.pages);
    memset(c.l.k, 0xff, bytes);
    memset(c.l.v, 0xff, bytes);
    memset(c.abs_v.v, 0xff, bytes);
    c.abs_v.k = c.l.k;
    for (int i = 0; i < c.n_page; i++) c.pages[i] = i;
    for (int i = c.n_page - 1; i > 0; i--) {
        int j = (int)(lb_mix64((uint64_t)i) % (uint64_t)(i + 1)), t = c.pages[i];
        c.pages[i] = c.pages[j];
        c.pages[j] = t;
    }
    return c;
}

static void cache_free(cache *c)
{
    free(c->l.k);
    free(c->l.v);
    free(c->abs_v.v);
    free(c->pages);
}

static void cache_put(cache *c, int s, int pos, int h, int d, float k, float v)
{
    int page = c->pages[s * c->max_pages + pos / LB_PAGE];
    lb_dtype type = c->l.format->dtype;
    lb_store_f32(c->l.k, type, lb_kv_k_at(&c->l, page, h, pos % LB_PAGE, d), k);
    lb_store_f32(c->l.v, type, lb_kv_v_at(&c->l, page, h, pos % LB_PAGE, d), v);
    lb_store_f32(c->abs_v.v, type, lb_kv_v_at(&c->l, page, h, pos % LB_PAGE, d), fabsf(v));
}

static void cache_fill(cache *c, const int *len, float k_size, uint64_t seed)
{
    lb_rng_key key = lb_rng_key_of(seed, 1, 1);
    uint64_t n = 0;
    for (int s = 0; s < c->n_seq; s++)
        for (int p = 0; p < len[s]; p++)
            for (int h = 0; h < c->l.n_kv; h++)
                for (int d = 0; d < c->l.d_head; d++, n += 2)
                    cache_put(c, s, p, h, d, k_size * lb_rng_normal(key, n), lb_rng_normal(key, n + 1));
}

/* Largest Σ|q·k|·scale that a head of token t meets: the size of what is rounded in a score. */
static double score_size(const lb_attn *a, int t)
{
    const lb_kv_layer *l = &a->kv;
    int per_kv = a->n_head / l->n_kv;
    double most = 0;
    for (int head = 0; head < a->n_head; head++)
        for (int p = 0; p <= a->map.pos[t]; p++) {
            int page = a->map.pages[a->map.seq[t] * a->map.max_pages + p / LB_PAGE];
            double s = 0;
            for (int d = 0; d < l->d_head; d++) {
                float k = lb_load_f32(l->k, l->format->dtype, lb_kv_k_at(l, page, head / per_kv, p % LB_PAGE, d));
                s += fabs((double)a->q[(t * a->n_head + head) * l->d_head + d] * (double)k);
            }
            most = fmax(most, s * (double)a->scale);
        }
    return most;
}

/* |y − ref| ≤ tol·Σp·|v|. Roundings behave like a random walk: a score has d_head of them, of the size of what it has
 * summed so far, and moves its p by as much; the sum over positions has one each. Four sigma of that, and 8 for exp,
 * scaling and the end. */
static void near_ref(const char *row, const lb_attn *a, const float *y, const float *want, const float *size)
{
    int d_head = a->kv.d_head, n = a->n_head * d_head;
    for (int t = 0; t < a->n_tok; t++) {
        double s = score_size(a, t), tol = 0x1p-24 * (8 + 4 * (sqrt(d_head) * s + sqrt(a->map.pos[t] + 1.0)));
        for (int i = t * n; i < (t + 1) * n; i++)
            if (!(fabs((double)y[i] - (double)want[i]) <= tol * (double)size[i] + 1e-44))
                fail_msg("%s %s d_head %d per_kv %d token %d pos %d [%d] = %.9g, wanted %.9g (of %.3g, score %.3g)",
                         row, a->kv.format->name, d_head, a->n_head / a->kv.n_kv, t, a->map.pos[t], i - t * n,
                         (double)y[i], (double)want[i], (double)size[i], s);
    }
}

/* Every row against the reference; then unit by unit from the end, in three uneven pieces, and each token alone in its
 * call: the same bits. */
static void check_rows(cache *c, lb_attn *a)
{
    int per_tok = a->n_head * a->kv.d_head, units = a->n_tok * a->kv.n_kv;
    int cut = units / 2 + 1 < units ? units / 2 + 1 : units;
    size_t n = (size_t)(a->n_tok * per_tok);
    float *want = guard_new(n), *size = guard_new(n);
    a->y = want;
    lb_attn_impls[0].run(a, 0, units, NULL);
    lb_attn with_abs = *a;
    with_abs.kv = c->abs_v;
    with_abs.y = size;
    lb_attn_impls[0].run(&with_abs, 0, units, NULL);
    for (const lb_impl *impl = lb_attn_impls + 1; impl->name; impl++) {
        if (!runs_here(impl, a)) continue;
        float *y = guard_new(n), *z = guard_new(n);
        a->y = y;
        impl->run(a, 0, units, NULL);
        near_ref(impl->name, a, y, want, size);
        a->y = z;
        for (int u = units - 1; u >= 0; u--) impl->run(a, u, u + 1, NULL);
        assert_memory_equal(y, z, n * 4);
        memset(z, 0, n * 4);
        impl->run(a, 0, units / 3, NULL);
        impl->run(a, units / 3, cut, NULL);
        impl->run(a, cut, units, NULL);
        assert_memory_equal(y, z, n * 4);
        memset(z, 0, n * 4);
        for (int t = 0; t < a->n_tok; t++) {
            lb_attn one = *a;
            one.n_tok = 1;
            one.q += t * per_tok;
            one.y += t * per_tok;
            one.map.seq += t;
            one.map.pos += t;
            impl->run(&one, 0, a->kv.n_kv, NULL);
        }
        assert_memory_equal(y, z, n * 4);
        guard_free(y, n);
        guard_free(z, n);
    }
    guard_free(want, n);
    guard_free(size, n);
}

/* One shape: decode of one token in each of several sequences, then the last tokens of the longest one as a prompt. */
static void shape(const char *format, int n_kv, int per_kv, int d_head, const int *pos, int n_seq, float k_size)
{
    int len[16], seq[16], last[16], n_tok = 0, longest = 0;
    for (int s = 0; s < n_seq; s++) {
        len[s] = pos[s] + 1;
        seq[s] = n_seq - 1 - s;                                     /* tokens are not in the order of sequences */
        last[s] = pos[n_seq - 1 - s];
        if (pos[s] > pos[longest]) longest = s;
    }
    cache c = cache_new(format, n_kv, d_head, len, n_seq);
    cache_fill(&c, len, k_size, (uint64_t)(d_head * 16 + per_kv));
    float *q = randoms((size_t)(16 * n_kv * per_kv * d_head), 9);
    lb_attn a = {.q = q, .kv = c.l, .map = {.pages = c.pages, .max_pages = c.max_pages, .seq = seq, .pos = last},
                 .n_tok = n_seq, .n_head = n_kv * per_kv, .scale = 1 / sqrtf((float)d_head)};
    check_rows(&c, &a);
    for (int p = pos[longest] > 10 ? pos[longest] - 10 : 0; p <= pos[longest]; p++) {
        seq[n_tok] = longest;
        last[n_tok++] = p;
    }
    a.n_tok = n_tok;
    check_rows(&c, &a);
    free(q);
    cache_free(&c);
}

static void head_sizes(void **state)
{
    (void)state;
    static const int d_heads[] = {2, 8, 16, 24, 32, 64, 80, 96, 128, 192, 250, 256}, pos[] = {36, 0, 31, 32};
    for (size_t i = 0; i < sizeof d_heads / sizeof *d_heads; i++)
        for (int f = 0; !packed(f); f++) shape(lb_kv_formats[f]->name, 2, 2, d_heads[i], pos, 4, 1);
}

static void group_sizes(void **state)
{
    (void)state;
    static const int per_kv[] = {1, 2, 3, 4, 5, 7, 8, 12, 16, 19}, pos[] = {33, 1, 70};
    for (size_t i = 0; i < sizeof per_kv / sizeof *per_kv; i++)
        for (int f = 0; !packed(f); f++) shape(lb_kv_formats[f]->name, 2, per_kv[i], 32, pos, 3, 1);
}

static void lengths(void **state)
{
    (void)state;
    static const int pos[] = {0, 1, 31, 32, 33, 63, 64, 100, 2047};
    shape("bf16", 1, 2, 64, pos, 9, 1);
    shape("f32", 1, 1, 16, pos, 9, 1);
}

/* Scores of ±1e4 and more: one position gets all the weight, exp meets its lower end. */
static void large_scores(void **state)
{
    (void)state;
    static const int pos[] = {95, 3, 40};
    shape("f32", 2, 2, 64, pos, 3, 1e4f);
    shape("bf16", 1, 4, 32, pos, 3, 3e3f);
}

/* Equal scores: the mean of V, to rounding; with denormal and large values too. */
static void equal_scores(void **state)
{
    (void)state;
    enum { LEN = 75, D = 16 };
    static const float sizes[] = {1, 1e-39f, 1e30f};
    for (int i = 0; i < 3; i++) {
        int len = LEN, seq = 0, pos = LEN - 1;
        cache c = cache_new("f32", 1, D, &len, 1);
        double mean[D] = {0};
        for (int p = 0; p < LEN; p++)
            for (int d = 0; d < D; d++) {
                float v = sizes[i] * (float)((p * 7 + d) % 13 + 1);
                cache_put(&c, 0, p, 0, d, 2.5f, v);
                mean[d] += (double)v / LEN;
            }
        float q[D] = {1, -1, 2, 100, -100}, y[D];
        lb_kv_map map = {c.pages, c.max_pages, &seq, &pos};
        lb_attn a = {.y = y, .q = q, .kv = c.l, .map = map, .n_tok = 1, .n_head = 1, .scale = 40};
        for (const lb_impl *impl = lb_attn_impls; impl->name; impl++) {
            if (!runs_here(impl, &a)) continue;
            memset(y, 0, sizeof y);
            impl->run(&a, 0, 1, NULL);
            for (int d = 0; d < D; d++) assert_true(fabs((double)y[d] - mean[d]) <= 2e-6 * mean[d] + 1e-43);
        }
        cache_free(&c);
    }
}

/* NaN in a query, or in a key or value that is read, comes out where it belongs and nowhere else. */
static void nan_stays_in_its_head(void **state)
{
    (void)state;
    enum { LEN = 40, D = 32, N_HEAD = 4, N = 2 * N_HEAD * D };
    for (int kind = 0; kind < 3; kind++) {
        int len = LEN, seq[2] = {0, 0}, pos[2] = {10, LEN - 1};
        cache c = cache_new("bf16", 2, D, &len, 1);
        cache_fill(&c, &len, 1, 3);
        float *q = randoms(N, 4), y[N];
        if (kind == 0) q[N_HEAD * D + 5] = NAN;                     /* token 1, head 0 */
        if (kind == 1) cache_put(&c, 0, 20, 0, 7, NAN, 0);
        if (kind == 2) cache_put(&c, 0, 20, 0, 7, 0, NAN);
        lb_kv_map map = {c.pages, c.max_pages, seq, pos};
        lb_attn a = {.y = y, .q = q, .kv = c.l, .map = map, .n_tok = 2, .n_head = N_HEAD, .scale = 0.2f};
        for (const lb_impl *impl = lb_attn_impls; impl->name; impl++) {
            if (!runs_here(impl, &a)) continue;
            memset(y, 0, sizeof y);
            impl->run(&a, 0, 4, NULL);
            for (int i = 0; i < N; i++) {
                int t = i / (N_HEAD * D), head = i / D % N_HEAD, d = i % D;
                bool want = t == 1 && (kind == 0 ? head == 0 : head < 2 && (kind == 1 || d == 7));
                if (isnan(y[i]) != want)
                    fail_msg("%s kind %d token %d head %d d %d: %g", impl->name, kind, t, head, d, (double)y[i]);
            }
        }
        free(q);
        cache_free(&c);
    }
}

/* What the fast rows do not take, the reference takes. */
static void unfit_goes_to_ref(void **state)
{
    (void)state;
    static const int d_heads[] = {7, 258, 512};
    lb_exec *ex = lb_exec_open(NULL, NULL);
    assert_non_null(ex);
    for (int i = 0; i < 3; i++) {
        lb_kv_layer l = {.format = lb_kv_format_find("bf16"), .n_kv = 1, .d_head = d_heads[i]};
        lb_attn a = {.kv = l, .n_tok = 1, .n_head = 1};
        assert_ptr_equal(lb_op_pick(&lb_op_attn, ex, &a), &lb_attn_impls[0]);
    }
    lb_exec_close(ex);
}

/* The bytes of the whole cache equal the reference's: rounding, layout, nothing else touched. */
static void kv_write_rows(void **state)
{
    (void)state;
    static const int d_heads[] = {6, 8, 15, 16, 20, 64, 128, 256};
    static const float odd[] = {INFINITY, -INFINITY, -0.0f, 0x1.01p0f, 0x1.03p0f, 0x1.010002p0f, 1e-40f, 3.4e38f, NAN};
    enum { TOK = 7, N_KV = 3, UNITS = TOK * N_KV };
    int len[2] = {70, 40}, seq[TOK] = {1, 0, 0, 0, 1, 0, 0}, pos[TOK] = {39, 30, 31, 32, 0, 69, 33};
    for (size_t i = 0; i < sizeof d_heads / sizeof *d_heads; i++)
        for (int f = 0; !packed(f); f++) {
            int d = d_heads[i];
            cache ref = cache_new(lb_kv_formats[f]->name, N_KV, d, len, 2);
            cache c = cache_new(lb_kv_formats[f]->name, N_KV, d, len, 2);
            size_t bytes = lb_kv_k_bytes(&ref.l) * (size_t)ref.n_page;
            float *k = randoms((size_t)(UNITS * d), 1), *v = randoms((size_t)(UNITS * d), 2);
            for (int j = 0; j < 9; j++) k[j] = odd[j], v[j] = -odd[j];
            lb_kv_write a = {.kv = ref.l, .map = {ref.pages, ref.max_pages, seq, pos}, .k = k, .v = v, .n_tok = TOK};
            lb_kv_write_impls[0].run(&a, 0, UNITS, NULL);
            a.kv = c.l;
            for (const lb_impl *impl = lb_kv_write_impls; impl->name; impl++) {
                if (!runs_here(impl, &a)) continue;
                memset(c.l.k, 0xff, bytes);
                memset(c.l.v, 0xff, bytes);
                impl->run(&a, 5, UNITS, NULL);
                impl->run(&a, 0, 5, NULL);
                assert_memory_equal(c.l.k, ref.l.k, bytes);
                assert_memory_equal(c.l.v, ref.l.v, bytes);
            }
            free(k);
            free(v);
            cache_free(&ref);
            cache_free(&c);
        }
}

enum { LEN = 77, N_KV = 2, N_HEAD = 6, D = 64, Y_BYTES = LEN * N_HEAD * D * 4 };

/* Writes and reads a prompt in chunks of n_chunk tokens. */
static float *prompt(lb_exec *ex, const lb_impl *impl, int n_chunk, const float *q, const float *k, const float *v)
{
    int len = LEN, seq[LEN] = {0}, pos[LEN];
    for (int i = 0; i < LEN; i++) pos[i] = i;
    cache c = cache_new("bf16", N_KV, D, &len, 1);
    float *y = malloc(Y_BYTES);
    for (int t = 0; t < LEN; t += n_chunk) {
        int n = t + n_chunk < LEN ? n_chunk : LEN - t;
        lb_kv_map map = {c.pages, c.max_pages, seq + t, pos + t};
        lb_kv_write w = {.kv = c.l, .map = map, .k = k + t * N_KV * D, .v = v + t * N_KV * D, .n_tok = n};
        lb_attn a = {.y = y + t * N_HEAD * D, .q = q + t * N_HEAD * D, .kv = c.l, .map = map, .n_tok = n,
                     .n_head = N_HEAD, .scale = 0.125f};
        lb_op_do(&lb_op_kv_write, &w, ex);
        lb_op_run(&lb_op_attn, impl, &a, ex);
    }
    cache_free(&c);
    return y;
}

/* In chunks of 1, 7, 33 and all tokens, on 1 and 3 threads: the same bits, in every row. */
static void chunks_and_threads_agree(void **state)
{
    (void)state;
    static const int chunks[] = {LEN, 1, 7, 33};
    float *k = randoms(LEN * N_KV * D, 1), *v = randoms(LEN * N_KV * D, 2), *q = randoms(LEN * N_HEAD * D, 3);
    lb_kv_layer l = {.format = lb_kv_format_find("bf16"), .n_kv = N_KV, .d_head = D};
    lb_attn shape_of = {.kv = l, .n_tok = 1, .n_head = N_HEAD};
    for (const lb_impl *impl = lb_attn_impls; impl->name; impl++) {
        if (!runs_here(impl, &shape_of)) continue;
        float *first = NULL;
        for (int i = 0; i < 8; i++) {
            lb_exec *ex = lb_exec_open(&(lb_exec_opt){.n_thread = i % 2 ? 3 : 1}, NULL);
            float *y = prompt(ex, impl, chunks[i / 2], q, k, v);
            if (!first) first = y;
            assert_memory_equal(first, y, Y_BYTES);
            if (y != first) free(y);
            lb_exec_close(ex);
        }
        free(first);
    }
    free(k);
    free(v);
    free(q);
}

static void bench_reports(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_exec *ex = lb_exec_open(NULL, &err);
    lb_kv_layer how = {.format = lb_kv_format_find("bf16")};
    lb_bench_attn_row row = {.n_seq = 1, .n_ctx = 512};
    assert_ok(lb_bench_attn_one(ex, &how, &row, &err), err);
    assert_true(row.n >= 5 && row.t_s > 0 && row.t_best_s <= row.t_s && row.gb_s > 0.01 && row.gb_s < 1e5);
    lb_exec_close(ex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_sizes), cmocka_unit_test(group_sizes),
        cmocka_unit_test(lengths), cmocka_unit_test(large_scores),
        cmocka_unit_test(equal_scores), cmocka_unit_test(nan_stays_in_its_head),
        cmocka_unit_test(unfit_goes_to_ref), cmocka_unit_test(kv_write_rows),
        cmocka_unit_test(chunks_and_threads_agree), cmocka_unit_test(bench_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
