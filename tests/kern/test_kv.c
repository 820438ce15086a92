/* test_kv.c – packed pages and keys that are turned when they are read: the codec, every row of the tables against the
 * reference, and the promise that a token's result does not depend on the batch, the chunk or the threads. */
#include "guard.h"
#include "kern/kv_pack.h"

enum { MAX_POS = 700 };

/* A cache of n_seq sequences with everything a layer may have; pages lie in random order and begin as 0xff. */
typedef struct cache {
    lb_kv_layer l;
    int n_seq, max_pages, n_page;
    size_t k_bytes, v_bytes, ring_bytes;
    int *pages;
    float *tables;                       /* owned: angles, bias, scales */
} cache;

/* How keys are kept: the modes that every test goes through. */
typedef struct mode {
    const char *format;
    lb_kv_key_mode key;
    bool pre_rope, bias;
    float clip;
    int window;
} mode;

static const mode MODES[] = {
    {"int8", LB_KV_PER_TOKEN, false, false, 0, 0},
    {"int4", LB_KV_PER_TOKEN, false, false, 0.95f, 0},
    {"int3", LB_KV_PER_TOKEN, false, false, 0, 0},
    {"int2", LB_KV_PER_TOKEN, false, false, 0.9f, 0},
    {"int8", LB_KV_PER_CHANNEL_STATIC, true, false, 0, 0},
    {"int4", LB_KV_PER_CHANNEL_STATIC, true, true, 0, 0},
    {"int3", LB_KV_PER_CHANNEL_STATIC, true, true, 0, 0},
    {"int2", LB_KV_PER_CHANNEL_STATIC, false, false, 0, 0},
    {"int4", LB_KV_PER_CHANNEL_STATIC, false, false, 0, 0},
    {"int8", LB_KV_PER_CHANNEL_GROUP, false, false, 0, 32},
    {"int4", LB_KV_PER_CHANNEL_GROUP, false, false, 0, 64},
    {"int3", LB_KV_PER_CHANNEL_GROUP, true, true, 0, 32},
    {"int2", LB_KV_PER_CHANNEL_GROUP, false, false, 0, 32},
    {"int2", LB_KV_PER_TOKEN, true, true, 0, 0},
    {"int3", LB_KV_PER_TOKEN, true, false, 0, 0},
    {"int4", LB_KV_PER_TOKEN, true, true, 0, 0},
    {"int8", LB_KV_PER_TOKEN, true, true, 0, 0},
    {"bf16", LB_KV_PER_TOKEN, true, true, 0, 0},
    {"f32", LB_KV_PER_TOKEN, true, false, 0, 0},
};
enum { N_MODE = sizeof MODES / sizeof *MODES };

static const char *mode_text(const mode *m)
{
    static char out[96];
    snprintf(out, sizeof out, "%s key %d%s%s clip %g window %d", m->format, m->key, m->pre_rope ? " pre-rope" : "",
             m->bias ? " bias" : "", (double)m->clip, m->window);
    return out;
}

static cache cache_new(const mode *m, int n_kv, int d_head, int n_seq, int n_pos, int n_chunk)
{
    cache c = {.n_seq = n_seq, .max_pages = (n_pos + LB_PAGE - 1) / LB_PAGE};
    c.n_page = n_seq * c.max_pages;
    c.l = (lb_kv_layer){.format = lb_kv_format_find(m->format), .n_kv = n_kv, .d_head = d_head, .key = m->key,
                        .clip = m->clip, .pre_rope = m->pre_rope, .window = m->window};
    assert_non_null(c.l.format);
    size_t n = (size_t)(n_kv * d_head), n_angle = (size_t)(c.max_pages * d_head), n_slot = (size_t)d_head * LB_PAGE;
    c.k_bytes = lb_kv_k_bytes(&c.l) * (size_t)c.n_page, c.v_bytes = lb_kv_v_bytes(&c.l) * (size_t)c.n_page;
    c.l.k = malloc(c.k_bytes), c.l.v = malloc(c.v_bytes);
    c.pages = malloc((size_t)c.n_page * sizeof *c.pages);
    c.tables = malloc((n_angle + n_slot + 3 * n) * sizeof *c.tables);
    assert_true(c.l.k && c.l.v && c.pages && c.tables);
    memset(c.l.k, 0xff, c.k_bytes);
    memset(c.l.v, 0xff, c.v_bytes);
    if (m->key == LB_KV_PER_CHANNEL_GROUP) {
        c.l.ring_pages = lb_kv_ring_pages(m->window, n_chunk);
        c.ring_bytes = (size_t)(n_seq * c.l.ring_pages) * n * LB_PAGE * 2;
        c.l.ring_k = memset(malloc(c.ring_bytes), 0xff, c.ring_bytes);
        c.l.ring_v = memset(malloc(c.ring_bytes), 0xff, c.ring_bytes);
    }
    float freq[256], *slot = c.tables + n_angle, *bias = slot + n_slot, *s = bias + n, *z = s + n;
    for (int i = 0; i < d_head / 2; i++) freq[i] = powf(10000, -2 * (float)i / (float)d_head);
    lb_kv_angles(freq, d_head, 1.125f, c.max_pages, c.tables, slot);
    for (size_t i = 0; i < n; i++) {
        bias[i] = (float)(i % 7) - 3;
        if (m->key == LB_KV_PER_CHANNEL_STATIC)
            assert_true(lb_kv_static_scale(c.l.format->bits, -2 - 0.01f * (float)i, 1.5f, &s[i], &z[i]));
    }
    c.l.rope_page = c.tables, c.l.rope_slot = slot;
    if (m->bias) c.l.k_bias = bias;
    if (m->key == LB_KV_PER_CHANNEL_STATIC) c.l.k_scale = s, c.l.k_zero = z;
    for (int i = 0; i < c.n_page; i++) c.pages[i] = i;
    for (int i = c.n_page - 1; i > 0; i--) {
        int j = (int)(lb_mix64((uint64_t)i) % (uint64_t)(i + 1)), t = c.pages[i];
        c.pages[i] = c.pages[j], c.pages[j] = t;
    }
    return c;
}

static void cache_free(cache *c)
{
    free(c->l.k);
    free(c->l.v);
    free(c->l.ring_k);
    free(c->l.ring_v);
    free(c->pages);
    free(c->tables);
}

static const float *numbers(void)
{
    static float *x;
    if (!x) x = randoms(MAX_POS * 2 * 256 + 64, 77);
    return x;
}

/* Writes positions [p0,p1) of sequence s. Keys and values of a position are the same whoever writes them. */
static void put(cache *c, const lb_impl *impl, int s, int p0, int p1)
{
    int seq[MAX_POS], pos[MAX_POS], n = p1 - p0, w = c->l.n_kv * c->l.d_head, d = c->l.d_head;
    float *k = malloc((size_t)(n * w) * sizeof *k), *v = malloc((size_t)(n * w) * sizeof *v);
    for (int i = 0; i < n; i++) {
        seq[i] = s, pos[i] = p0 + i;
        for (int j = 0; j < w; j++) {
            k[i * w + j] = numbers()[(p0 + i) * w % 4096 * 32 + j + s] * (j % d == 3 ? 8 : 1) + (j % 16 == 5 ? 4 : 0);
            v[i * w + j] = numbers()[(p0 + i) * w % 4093 * 31 + j + s] * (p0 + i == 7 ? 20 : 1);
        }
    }
    lb_kv_write a = {c->l, {c->pages, c->max_pages, seq, pos}, k, v, n};
    impl->run(&a, 0, lb_op_kv_write.units(&a), NULL);
    free(k);
    free(v);
}

/* ---- the codec ---- */

static void codes_come_back(void **state)
{
    (void)state;
    static const int bits[] = {8, 4, 3, 2};
    for (int b = 0; b < 4; b++) {
        uint32_t words[64 + 2] = {0};
        uint8_t *tile = (uint8_t *)(words + 1);
        words[0] = words[1 + lb_kv_tile_bytes(bits[b]) / 4] = 0xdeadbeef;
        unsigned mask = (1u << bits[b]) - 1;
        for (unsigned pass = 0; pass < 2; pass++) {     /* the second over the first: nothing is left of it */
            for (int r = 0; r < LB_KV_TILE; r++)
                for (int c = 0; c < LB_PAGE; c++)
                    lb_kv_code_put(bits[b], tile, r, c, (int)(lb_mix64(pass * 256 + (unsigned)(r * 32 + c)) & mask));
            for (int r = 0; r < LB_KV_TILE; r++)
                for (int c = 0; c < LB_PAGE; c++)
                    assert_int_equal(lb_kv_code_get(bits[b], tile, r, c),
                                     lb_mix64(pass * 256 + (unsigned)(r * 32 + c)) & mask);
        }
        uint8_t row[LB_PAGE];
        for (int c = 0; c < LB_PAGE; c++) row[c] = (uint8_t)((c * 5 + 1) & ((1 << bits[b]) - 1));
        lb_kv_row_put(bits[b], tile, 3, row);
        for (int c = 0; c < LB_PAGE; c++) assert_int_equal(lb_kv_code_get(bits[b], tile, 3, c), row[c]);
        assert_int_equal(words[0], 0xdeadbeef);
        assert_int_equal(words[1 + lb_kv_tile_bytes(bits[b]) / 4], 0xdeadbeef);
    }
}

/* |x̂ − x| ≤ s/2 within the range; a decoded number has its own code again, and if codes reach from end to end, so does
 * the scale. */
static void rounding_is_bounded_and_stable(void **state)
{
    (void)state;
    static const int bits[] = {8, 4, 3, 2}, sizes[] = {1, 2, 31, 64, 100, 128};
    static const float scale[] = {1, 1e-6f, 1e3f, 1e-30f}, offset[] = {0, 1, -30, 0.1f};
    int stable = 0;
    for (int b = 0; b < 4; b++)
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 16; j++) {
                int n = sizes[i], most = (1 << bits[b]) - 1, low = most, high = 0;
                float x[128], back[128];
                uint8_t c[128], again[128], z, z2;
                uint16_t s16, s2;
                for (int d = 0; d < n; d++) x[d] = scale[j % 4] * (numbers()[i * 1000 + j * 150 + d] + offset[j / 4]);
                lb_kv_rounder_ref.token(bits[b], 1, x, n, &s16, &z, c);
                double s = (double)lb_from_f16(s16);
                assert_true(s > 0 && s < 1e5);
                for (int d = 0; d < n; d++) {
                    double y = s * ((int)c[d] - (int)z);
                    back[d] = (float)y;
                    if (c[d] < low) low = c[d];
                    if (c[d] > high) high = c[d];
                    if (!(fabs(y - (double)x[d]) <= s / 2 * (1 + 1e-5)))
                        fail_msg("%d bits: %g became %g, s %g", bits[b], (double)x[d], y, s);
                    float s32 = (float)s, z32 = (float)z;
                    lb_kv_rounder_ref.fixed(bits[b], &back[d], &s32, &z32, 1, &again[d]);
                    assert_int_equal(again[d], c[d]);
                }
                if (low > 0 || high < most) continue;
                stable++;
                lb_kv_rounder_ref.token(bits[b], 1, back, n, &s2, &z2, again);
                assert_int_equal(s2, s16);
                assert_int_equal(z2, z);
                assert_memory_equal(again, c, (size_t)n);
            }
    assert_true(stable > 100);
}

static void zeros_and_what_is_no_number(void **state)
{
    (void)state;
    float x[64] = {0};
    uint8_t c[64], z;
    uint16_t s;
    lb_kv_rounder_ref.token(4, 1, x, 64, &s, &z, c);
    assert_true(lb_from_f16(s) > 0);
    for (int i = 0; i < 64; i++) assert_int_equal(c[i], z);              /* zero is exact */
    x[5] = 3, x[6] = -1;
    lb_kv_rounder_ref.token(2, 1, x, 64, &s, &z, c);
    assert_int_equal(c[0], z);
    x[9] = INFINITY;
    lb_kv_rounder_ref.token(4, 1, x, 64, &s, &z, c);
    assert_true(isnan(lb_from_f16(s)));
    for (int i = 0; i < 64; i++) x[i] = 1e9f * (float)(i - 20);          /* beyond f16: saturates */
    lb_kv_rounder_ref.token(4, 1, x, 64, &s, &z, c);
    assert_true(lb_from_f16(s) == 65504);
    assert_true(c[63] == 15 && c[0] == 0);
    float a, b;
    assert_false(lb_kv_static_scale(4, 2, 1, &a, &b));
    assert_false(lb_kv_static_scale(4, NAN, 1, &a, &b));
    assert_true(lb_kv_static_scale(4, 0, 0, &a, &b) && a > 0);
    float out_of_range[2] = {1e9f, -1e9f}, ss[2] = {1, 1}, zz[2] = {7, 7};
    lb_kv_rounder_ref.fixed(4, out_of_range, ss, zz, 2, c);
    assert_true(c[0] == 15 && c[1] == 0);
}

/* Groups of a channel: the range need not hold zero, error ≤ s/2 (and the rounding of lo). */
static void groups_follow_their_channel(void **state)
{
    (void)state;
    static const int bits[] = {8, 4, 3, 2};
    for (int b = 0; b < 4; b++)
        for (int i = 0; i < 50; i++) {
            uint16_t x[LB_PAGE], s, lo;
            uint8_t c[LB_PAGE];
            for (int j = 0; j < LB_PAGE; j++) x[j] = lb_to_bf16(numbers()[i * 40 + j] * 0.5f + (float)(i - 25));
            lb_kv_rounder_ref.group(bits[b], x, &s, &lo, c);
            double step = (double)lb_from_f16(s);
            assert_true(step * ((1 << bits[b]) - 1) < 6);
            for (int j = 0; j < LB_PAGE; j++)
                assert_true(fabs(step * c[j] + (double)lb_from_f16(lo) - (double)lb_from_bf16(x[j])) <= step / 2 * 1.0001);
        }
}

/* ---- writing ---- */

/* Every row writes the very bytes that the reference writes, in one piece or token by token. */
static void write_rows(void **state)
{
    (void)state;
    static const int d_heads[] = {8, 24, 64, 80, 128, 192, 256};
    for (int m = 0; m < N_MODE; m++)
        for (int i = 0; i < 7; i++) {
            if (lb_kv_format_find(MODES[m].format)->bits >= 16) continue;
            cache ref = cache_new(&MODES[m], 2, d_heads[i], 1, 100, 100);
            cache c = cache_new(&MODES[m], 2, d_heads[i], 1, 100, 100);
            put(&ref, &lb_kv_write_impls[0], 0, 0, 99);
            for (const lb_impl *impl = lb_kv_write_impls; impl->name; impl++) {
                lb_kv_write a = {.kv = c.l, .n_tok = 1};
                if (!runs_here(impl, &a)) continue;
                for (int step = 99; step > 0; step /= 9) {
                    memset(c.l.k, 0xff, c.k_bytes);
                    memset(c.l.v, 0xff, c.v_bytes);
                    for (int p = 0; p < 99; p += step) put(&c, impl, 0, p, p + step < 99 ? p + step : 99);
                    assert_memory_equal(c.l.k, ref.l.k, c.k_bytes);
                    assert_memory_equal(c.l.v, ref.l.v, c.v_bytes);
                    if (c.ring_bytes) assert_memory_equal(c.l.ring_k, ref.l.ring_k, c.ring_bytes);
                    if (c.ring_bytes) assert_memory_equal(c.l.ring_v, ref.l.ring_v, c.ring_bytes);
                }
            }
            cache_free(&ref);
            cache_free(&c);
        }
}

/* ---- reading ---- */

/* Values reach 80 and are of size 1 mostly; scores reach 100 and move p by 2⁻²⁴ of that and of the roundings before:
 * the largest difference seen over all modes and shapes is 6e-5. Rows with integer dots round queries and weights to 16
 * bits: a score moves by 2⁻¹⁶ of the largest |q| times √Σk², 1e-3 at most here. A zero point that is off by one moves
 * values by a step, 2e-2 at 8 bits. */
static void near_ref(const char *row, const mode *m, const lb_attn *a, const float *y, const float *want)
{
    int d_head = a->kv.d_head, n = a->n_head * d_head;
    const double tol = strncmp(row, "avx512", 6) == 0 && lb_kv_packed(&a->kv) ? 4e-3 : 2e-4;
    for (int i = 0; i < a->n_tok * n; i++)
        if (!(fabs((double)y[i] - (double)want[i]) <= tol))
            fail_msg("%s %s d_head %d per_kv %d token %d pos %d [%d] = %.9g, wanted %.9g (tolerance %g)", row,
                     mode_text(m), d_head, a->n_head / a->kv.n_kv, i / n, a->map.pos[i / n], i % n, (double)y[i], (double)want[i], tol);
}

static void check_rows(const mode *m, cache *c, lb_attn *a)
{
    int per_tok = a->n_head * a->kv.d_head, units = a->n_tok * a->kv.n_kv;
    int cut = units / 2 + 1 < units ? units / 2 + 1 : units;
    size_t n = (size_t)(a->n_tok * per_tok);
    float *want = guard_new(n);
    (void)c;
    a->y = want;
    lb_attn_impls[0].run(a, 0, units, NULL);
    for (size_t i = 0; i < n; i++) assert_true(isfinite(want[i]));
    for (const lb_impl *impl = lb_attn_impls + 1; impl->name; impl++) {
        if (!runs_here(impl, a)) continue;
        float *y = guard_new(n), *z = guard_new(n);
        a->y = y;
        impl->run(a, 0, units, NULL);
        near_ref(impl->name, m, a, y, want);
        a->y = z;
        for (int u = units - 1; u >= 0; u--) impl->run(a, u, u + 1, NULL);
        assert_memory_equal(y, z, n * 4);
        memset(z, 0, n * 4);
        impl->run(a, 0, units / 3, NULL);
        impl->run(a, units / 3, cut, NULL);
        impl->run(a, cut, units, NULL);
        assert_memory_equal(y, z, n * 4);
        guard_free(y, n);
        guard_free(z, n);
    }
    guard_free(want, n);
}

/* The last token of each of several sequences, then the last tokens of the longest as a chunk. */
static void shape(const mode *m, int n_kv, int per_kv, int d_head, const int *pos, int n_seq)
{
    int seq[16], last[16], longest = 0, n_tok = 0;
    for (int s = 0; s < n_seq; s++)
        if (pos[s] > pos[longest]) longest = s;
    cache c = cache_new(m, n_kv, d_head, n_seq, pos[longest] + 1, pos[longest] + 1);
    for (int s = 0; s < n_seq; s++) {
        put(&c, &lb_kv_write_impls[0], s, 0, pos[s] + 1);
        seq[s] = n_seq - 1 - s, last[s] = pos[n_seq - 1 - s];
    }
    float *q = randoms((size_t)(16 * n_kv * per_kv * d_head), 9);
    lb_attn a = {.q = q, .kv = c.l, .map = {c.pages, c.max_pages, seq, last}, .n_tok = n_seq, .n_head = n_kv * per_kv,
                 .scale = 1 / sqrtf((float)d_head)};
    check_rows(m, &c, &a);
    for (int p = pos[longest] > 9 ? pos[longest] - 9 : 0; p <= pos[longest]; p++) seq[n_tok] = longest, last[n_tok++] = p;
    a.n_tok = n_tok;
    check_rows(m, &c, &a);
    free(q);
    cache_free(&c);
}

static void head_sizes(void **state)
{
    (void)state;
    static const int d_heads[] = {8, 24, 64, 80, 128, 192, 256}, pos[] = {98, 0, 31, 32};
    for (int m = 0; m < N_MODE; m++)
        for (int i = 0; i < 7; i++) shape(&MODES[m], 2, 2, d_heads[i], pos, 4);
}

static void group_sizes(void **state)
{
    (void)state;
    static const int per_kv[] = {1, 3, 5, 8, 13, 19}, pos[] = {95, 1, 70};
    for (int m = 0; m < N_MODE; m++)
        for (int i = 0; i < 6; i++) shape(&MODES[m], 1, per_kv[i], 32, pos, 3);
}

static void lengths(void **state)
{
    (void)state;
    static const int pos[] = {0, 30, 31, 32, 63, 64, 65, 127, 400};
    for (int m = 0; m < N_MODE; m++) shape(&MODES[m], 1, 2, 32, pos, 9);
}

/* NaN or infinity in a query, or in a key or value that is read, makes NaN of the heads that read it, and of nothing
 * else. What lies beyond a token's position is not read. */
static void nan_stays_in_its_head(void **state)
{
    (void)state;
    enum { END = 70, DH = 32, HEADS = 4, N = 2 * HEADS * DH };
    static const mode kinds[] = {{"int8", LB_KV_PER_TOKEN, false, false, 0, 0},
                                 {"int4", LB_KV_PER_TOKEN, true, false, 0, 0},
                                 {"int3", LB_KV_PER_TOKEN, false, false, 0, 0},
                                 {"int2", LB_KV_PER_TOKEN, false, false, 0, 0},
                                 {"int4", LB_KV_PER_CHANNEL_GROUP, false, false, 0, 32}};
    for (int m = 0; m < 5; m++)
        for (int kind = 0; kind < 3; kind++) {
            cache c = cache_new(&kinds[m], 2, DH, 1, END, END);
            float *q = randoms(N, 4), y[N], *k = randoms(END * 2 * DH, 5), *v = randoms(END * 2 * DH, 6);
            int seq[END] = {0}, pos[END], last[2] = {10, END - 1};
            for (int p = 0; p < END; p++) pos[p] = p;
            if (kind == 0) q[HEADS * DH + 5] = NAN;                     /* token 1, head 0 */
            if (kind == 1) k[20 * 2 * DH + 7] = INFINITY;               /* position 20, kv head 0 */
            if (kind == 2) v[20 * 2 * DH + 7] = NAN;
            lb_kv_map map = {c.pages, c.max_pages, seq, pos};
            lb_kv_write w = {c.l, map, k, v, END};
            lb_kv_write_impls[0].run(&w, 0, 2, NULL);
            map.pos = last;
            lb_attn a = {.y = y, .q = q, .kv = c.l, .map = map, .n_tok = 2, .n_head = HEADS, .scale = 0.2f};
            for (const lb_impl *impl = lb_attn_impls; impl->name; impl++) {
                if (!runs_here(impl, &a)) continue;
                memset(y, 0, sizeof y);
                impl->run(&a, 0, 4, NULL);
                for (int i = 0; i < N; i++) {
                    bool want = i >= HEADS * DH && (kind == 0 ? i / DH % HEADS == 0 : i / DH % HEADS < 2);
                    if (isnan(y[i]) != want)
                        fail_msg("%s %s kind %d [%d]: %g", impl->name, mode_text(&kinds[m]), kind, i, (double)y[i]);
                }
            }
            free(q);
            free(k);
            free(v);
            cache_free(&c);
        }
}

enum { LEN = 203, N_KV = 2, N_HEAD = 6, D = 32, Y_BYTES = LEN * N_HEAD * D * 4 };

/* Writes and reads a prompt in chunks, as row `isa` of the two operators. */
static float *prompt(lb_exec *ex, const mode *m, const lb_impl *write, const lb_impl *read, int n_chunk, const float *q,
                     const float *k, const float *v)
{
    int seq[LEN], pos[LEN];
    for (int i = 0; i < LEN; i++) seq[i] = 1, pos[i] = i;
    cache c = cache_new(m, N_KV, D, 2, LEN, n_chunk);
    float *y = malloc(Y_BYTES);
    for (int t = 0; t < LEN; t += n_chunk) {
        int n = t + n_chunk < LEN ? n_chunk : LEN - t;
        lb_kv_map map = {c.pages, c.max_pages, seq + t, pos + t};
        lb_kv_write w = {c.l, map, k + t * N_KV * D, v + t * N_KV * D, n};
        lb_attn a = {.y = y + t * N_HEAD * D, .q = q + t * N_HEAD * D, .kv = c.l, .map = map, .n_tok = n, .n_head = N_HEAD,
                     .scale = 0.15f};
        lb_op_run(&lb_op_kv_write, write, &w, ex);
        lb_op_run(&lb_op_attn, read, &a, ex);
    }
    cache_free(&c);
    return y;
}

/* In chunks of 1, 7, 33, 64 and all tokens, on 1 and 3 threads: the same bits, in every mode and row. Rings are as
 * short as the chunk allows, so a page that is dropped too early would be seen. */
static void chunks_and_threads_agree(void **state)
{
    (void)state;
    static const int chunks[] = {LEN, 1, 2, 7, 33, 64};
    float *k = randoms(LEN * N_KV * D, 1), *v = randoms(LEN * N_KV * D, 2), *q = randoms(LEN * N_HEAD * D, 3);
    lb_exec *one = lb_exec_open(&(lb_exec_opt){.n_thread = 1}, NULL);
    lb_exec *three = lb_exec_open(&(lb_exec_opt){.n_thread = 3}, NULL);
    assert_true(one && three);
    for (int m = 0; m < N_MODE; m++) {
        lb_kv_layer l = {.format = lb_kv_format_find(MODES[m].format), .n_kv = N_KV, .d_head = D};
        l.pre_rope = MODES[m].pre_rope;
        lb_attn of = {.kv = l, .n_tok = 1, .n_head = N_HEAD};
        for (const lb_impl *read = lb_attn_impls + 1, *write = lb_kv_write_impls + 1; read->name; read++, write++) {
            if (!runs_here(read, &of)) continue;
            assert_string_equal(read->name, write->name);
            float *first = prompt(one, &MODES[m], write, read, LEN, q, k, v);
            for (int i = 0; i < 6; i++) {
                float *y = prompt(i % 2 ? three : one, &MODES[m], write, read, chunks[i], q, k, v);
                if (memcmp(first, y, Y_BYTES) != 0)
                    fail_msg("%s %s: chunks of %d differ", read->name, mode_text(&MODES[m]), chunks[i]);
                free(y);
            }
            free(first);
        }
    }
    lb_exec_close(one);
    lb_exec_close(three);
    free(k);
    free(v);
    free(q);
}

/* What a page packed and what it holds in the ring are told apart by the rule alone. */
static void the_window_rule(void **state)
{
    (void)state;
    lb_kv_layer l = {.format = lb_kv_format_find("int4"), .window = 64, .ring_k = &l};
    for (int t = 0; t < 400; t++)
        for (int j = 0; j <= t / LB_PAGE; j++) {
            bool all = true;
            for (int p = j * LB_PAGE; p < (j + 1) * LB_PAGE; p++) all &= p < t + 1 - 64;
            assert_int_equal(lb_kv_reads_packed(&l, t, j), all);
        }
    for (int n = 1; n < 200; n++)                       /* a ring is long enough wherever a chunk begins */
        for (int t = 0; t < 300; t++) {
            int oldest = 0, newest = (t + n - 1) / LB_PAGE;
            while (lb_kv_reads_packed(&l, t, oldest) && oldest < t / LB_PAGE) oldest++;
            assert_true(newest - oldest + 1 <= lb_kv_ring_pages(64, n));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_come_back), cmocka_unit_test(rounding_is_bounded_and_stable),
        cmocka_unit_test(zeros_and_what_is_no_number), cmocka_unit_test(groups_follow_their_channel),
        cmocka_unit_test(write_rows), cmocka_unit_test(head_sizes),
        cmocka_unit_test(group_sizes), cmocka_unit_test(lengths),
        cmocka_unit_test(nan_stays_in_its_head),
        cmocka_unit_test(chunks_and_threads_agree), cmocka_unit_test(the_window_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
