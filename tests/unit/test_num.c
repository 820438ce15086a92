/* test_num.c – scalar conversions bit for bit, the tile layout and its inverse. */
#include "test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "num/tile.h"

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* ---- conversions ---- */
typedef struct half {
    const char *name;
    int exp_bits, man_bits;
    float (*from)(uint16_t);
    uint16_t (*to)(float);
} half;

static float from_bf16(uint16_t h) { return lb_from_bf16(h); }
static uint16_t to_bf16(float f) { return lb_to_bf16(f); }
static const half halves[] = {{"f16", 5, 10, lb_from_f16, lb_to_f16}, {"bf16", 8, 7, from_bf16, to_bf16}};

/* What the bits mean, by the formula of IEEE 754. Infinity counts as the next power of two: rounding treats it so. */
static double meaning(const half *h, uint16_t code)
{
    int bias = (1 << (h->exp_bits - 1)) - 1;
    int exp = code >> h->man_bits & ((1 << h->exp_bits) - 1), man = code & ((1 << h->man_bits) - 1);
    double v = exp ? ldexp(1 + ldexp(man, -h->man_bits), exp - bias) : ldexp(man, 1 - bias - h->man_bits);
    return code & 0x8000 ? -v : v;
}

static void every_half_decodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const half *h = &halves[i];
        int inf = ((1 << h->exp_bits) - 1) << h->man_bits;
        for (int c = 0; c < 65536; c++) {
            float f = h->from((uint16_t)c);
            int mag = c & 0x7fff;
            if (mag > inf) {
                if (!isnan(f)) fail_msg("%s %04x is %g, want NaN", h->name, (unsigned)c, (double)f);
                uint16_t back = h->to(f);
                if ((back & 0x7fff) <= inf) fail_msg("%s: NaN %04x came back as %04x", h->name, (unsigned)c, back);
                continue;
            }
            bool right = mag == inf ? isinf(f) : (double)f == meaning(h, (uint16_t)c);
            if (!right || !!signbit(f) != c >> 15)
                fail_msg("%s %04x is %g", h->name, (unsigned)c, (double)f);
            if (h->to(f) != c) fail_msg("%s %04x came back as %04x", h->name, (unsigned)c, h->to(f));
        }
    }
}

/* The nearest code of a magnitude, by bisection among exact values; ties to the even code. */
static uint16_t nearest(const half *h, float f)
{
    uint16_t sign = signbit(f) ? 0x8000 : 0, inf = (uint16_t)(((1 << h->exp_bits) - 1) << h->man_bits);
    double v = fabs((double)f);
    int lo = 0, hi = inf;
    if (v >= meaning(h, inf)) return sign | inf;
    while (hi - lo > 1) {
        int mid = (lo + hi) / 2;
        if (meaning(h, (uint16_t)mid) <= v) lo = mid;
        else hi = mid;
    }
    double down = v - meaning(h, (uint16_t)lo), up = meaning(h, (uint16_t)hi) - v; /* exact: f has 24 bits */
    return sign | (uint16_t)(down < up || (down == up && !(lo & 1)) ? lo : hi);
}

static void check_rounding(const half *h, float f)
{
    if (h->to(f) != nearest(h, f))
        fail_msg("%s of %.9g is %04x, want %04x", h->name, (double)f, h->to(f), nearest(h, f));
}

static void rounding_is_to_nearest_even(void **state)
{
    (void)state;
    lb_rng_key key = lb_rng_key_of(1, 2, 3);
    for (size_t i = 0; i < 2; i++) {
        const half *h = &halves[i];
        int inf = ((1 << h->exp_bits) - 1) << h->man_bits;
        for (int c = 0; c < inf; c++) { /* the middle between neighbours, and one step of f32 to both sides */
            float mid = (float)((meaning(h, (uint16_t)c) + meaning(h, (uint16_t)(c + 1))) / 2);
            float near[] = {nextafterf(mid, 0), mid, nextafterf(mid, INFINITY)};
            for (int s = 0; s < 6; s++) check_rounding(h, s & 1 ? -near[s / 2] : near[s / 2]);
        }
        for (uint64_t n = 0; n < 300000; n++) {
            uint32_t w[4];
            lb_rng_block(key, n, w);
            float f = from_bits(w[0]);
            if (!isnan(f)) check_rounding(h, f);
        }
        assert_int_equal(h->to(INFINITY), inf);
        assert_int_equal(h->to(-INFINITY), 0x8000 | inf);
    }
    assert_int_equal(lb_to_f16(65519.9f), 0x7bff);
    assert_int_equal(lb_to_f16(65520), 0x7c00);
}

static void names_are_found(void **state)
{
    (void)state;
    for (int t = 0; t < LB_N_DTYPE; t++) assert_int_equal(lb_dtype_of(lb_dtype_name((lb_dtype)t)), t);
    assert_int_equal(lb_dtype_of("F17"), LB_N_DTYPE);
    for (int i = 0; lb_nums[i]; i++) assert_ptr_equal(lb_num_find(lb_nums[i]->name), lb_nums[i]);
    assert_null(lb_num_find("int5"));
    assert_null(lb_num_of_bits(5));
    assert_null(lb_num_of_dtype(LB_I32));
}

/* ---- tiles ---- */
static void check_tile(const lb_num *num, int n, int k, int group, lb_dtype scale_type, uint64_t seed)
{
    int bits = num->bits;
    lb_rng_key key = lb_rng_key_of(seed, (uint64_t)bits, (uint64_t)group);
    int g = lb_n_group(k, group);
    size_t nk = (size_t)n * (size_t)k, ng = (size_t)n * (size_t)g;
    lb_err err = {0};
    lb_qmat q = {.bits = bits, .n = n, .k = k, .group = group, .scale_type = scale_type, .half = num->half}, r = q;
    assert_ok(lb_qmat_alloc(&q, &err) && lb_qmat_alloc(&r, &err), err);
    uint32_t w[4];
    for (size_t i = 0; i < nk; i++) lb_rng_block(key, i, w), q.codes[i] = (uint8_t)(w[0] & ((1u << bits) - 1));
    for (size_t i = 0; i < ng; i++) {
        lb_rng_block(key, nk + i, w);
        q.zeros[i] = (uint8_t)(num->half ? w[0] % 7 : w[0] & ((1u << bits) - 1));
        q.scales[i] = lb_from_bf16((uint16_t)(0x3c00 + (w[1] & 0x83ff))); /* 2⁻⁷ … 2, both signs: exact in f16 too */
    }
    lb_mat m = lb_tile_mat(num, n, k, group, scale_type);
    assert_ptr_equal(lb_qmat_num(&q), num);
    size_t bytes = m.num->size(&m);
    lb_tile_layout l;
    assert_true(lb_tile_layout_of(&m, &l));
    assert_true(bytes == (size_t)l.n_block * l.block_bytes && bytes % 64 == 0);
    uint8_t *mem = aligned_alloc(64, bytes + 64), *again = aligned_alloc(64, bytes);
    assert_non_null(mem);
    assert_non_null(again);
    memset(mem, 0x5a, bytes + 64);
    lb_tile_pack(&q, mem, &m);
    for (int i = 0; i < 64; i++) assert_int_equal(mem[bytes + (size_t)i], 0x5a);
    lb_tile_unpack(&m, &r);
    assert_memory_equal(q.codes, r.codes, nk);
    assert_memory_equal(q.zeros, r.zeros, ng);
    assert_memory_equal(q.scales, r.scales, ng * sizeof(float));
    /* Packing what was unpacked gives the same bytes, padding too. */
    memset(again, 0xa5, bytes);
    lb_mat m2;
    lb_tile_pack(&r, again, &m2);
    assert_memory_equal(mem, again, bytes);
    float *row = malloc((size_t)k * sizeof(float));
    assert_non_null(row);
    for (int i = 0; i < n; i++) {
        int k0 = i % k, k1 = k0 + (k - k0 + 1) / 2;
        m.num->decode(&m, i, k0, k1, row);
        for (int c = k0; c < k1; c++) {
            size_t at = (size_t)i * (size_t)k + (size_t)c, gi = (size_t)i * (size_t)g + (size_t)(c / group);
            float zero = num->half ? 0.5f * (float)q.zeros[gi] : (float)q.zeros[gi];
            float want = q.scales[gi] * ((float)q.codes[at] - zero);
            if (row[c - k0] != want)
                fail_msg("%s [%d,%d] is %g, want %g", num->name, i, c, (double)row[c - k0], (double)want);
        }
    }
    free(row), free(mem), free(again);
    lb_qmat_free(&q), lb_qmat_free(&r);
}

static void tiles_round_trip(void **state)
{
    (void)state;
    static const int ns[] = {1, 15, 16, 17, 33}, ks[] = {1, 31, 32, 33, 100, 128, 257, 320};
    static const int groups[] = {32, 64, 96, 128, 0};
    static const lb_dtype types[] = {LB_F32, LB_F16, LB_BF16};
    uint64_t seed = 0;
    for (int f = 0; lb_nums[f]; f++)
        for (int n = 0; lb_nums[f]->grouped && !lb_nums[f]->block && n < 5; n++)
            for (int k = 0; k < 8; k++)
                for (int g = 0; g < 5; g++) {
                    int group = groups[g] ? groups[g] : ks[k];
                    if (group <= ks[k]) check_tile(lb_nums[f], ns[n], ks[k], group, types[seed % 3], seed), seed++;
                }
}

/* The layout is also a file of the header's promises: bytes at the places that it names. */
static void codes_lie_where_the_header_says(void **state)
{
    (void)state;
    static const struct { int bits, row, col; size_t byte; uint8_t value; } places[] = {
        {8, 3, 6, 64 + 14, 0x81},                   /* vector 1, byte 4·3+2 */
        {4, 3, 6, 14, 0x90}, {4, 3, 2, 14, 0x09},   /* columns 4…7 in high nibbles */
        {2, 5, 13, 21, 0x80}, {2, 5, 16, 64 + 20, 0x02},
        {3, 15, 17, 64 + 61, 0x01}, {3, 0, 12, 0, 0x40},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        lb_err err = {0};
        lb_qmat q = {.bits = places[i].bits, .n = 16, .k = 32, .group = 32, .scale_type = LB_F32};
        assert_ok(lb_qmat_alloc(&q, &err), err);
        static const uint8_t code[] = {[2] = 2, [3] = 5, [4] = 9, [8] = 0x81};
        q.codes[places[i].row * 32 + places[i].col] = code[places[i].bits];
        lb_mat m = lb_tile_mat(lb_qmat_num(&q), 16, 32, 32, LB_F32);
        lb_tile_layout l;
        assert_true(lb_tile_layout_of(&m, &l));
        uint8_t *mem = aligned_alloc(64, m.num->size(&m));
        assert_non_null(mem);
        lb_tile_pack(&q, mem, &m);
        for (size_t b = 0; b < l.group_bytes; b++) {
            uint8_t want = b == places[i].byte ? places[i].value : 0;
            /* int3: the high bit of (15,17) is bit 4 of byte 61 of the third vector, of (0,12) bit 3 of its byte 0 */
            if (places[i].bits == 3 && b == 128 + (size_t)(4 * places[i].row + places[i].col % 4))
                want = (uint8_t)(1u << places[i].col / 4);
            if (mem[l.codes_at + b] != want)
                fail_msg("int%d: byte %zu is %02x, want %02x", places[i].bits, b, mem[l.codes_at + b], want);
        }
        free(mem);
        lb_qmat_free(&q);
    }
}

static void bits_per_weight_count_everything(void **state)
{
    (void)state;
    lb_mat m = lb_tile_mat(lb_num_of_bits(4), 1024, 1024, 128, LB_BF16);
    assert_true(lb_mat_bpw(&m) == 4 + 24 / 128.0);
    m = lb_tile_mat(lb_num_of_bits(3), 16, 256, 32, LB_F16);
    assert_true(lb_mat_bpw(&m) == 3 + 24 / 32.0);
    lb_mat f = {.num = lb_num_of_dtype(LB_BF16), .n = 3, .k = 5};
    assert_true(lb_mat_bpw(&f) == 16);
    f.n = f.k = INT32_MAX;
    assert_true(f.num->size(&f) == (size_t)INT32_MAX * INT32_MAX * 2);
    lb_mat bad = lb_tile_mat(lb_num_of_bits(4), 16, 32, 64, LB_F32); /* a group longer than the row */
    assert_true(bad.num->size(&bad) == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_decodes),       cmocka_unit_test(rounding_is_to_nearest_even),
        cmocka_unit_test(names_are_found),          cmocka_unit_test(tiles_round_trip),
        cmocka_unit_test(codes_lie_where_the_header_says), cmocka_unit_test(bits_per_weight_count_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
