/* test_ct.c – pack-quantized weights and their config: round trips, known bits, hostile shapes, targets and regexes. */
#define _DEFAULT_SOURCE
#include "test.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "store/ct.h"
#include "store/ct_fp4.h"
#include "store/st_header.h"
#include <time.h>
#include <unistd.h>

static const int all_bits[] = {2, 3, 4, 8};

static void fill(lb_qmat *q, bool symmetric, uint64_t seed)
{
    size_t G = (size_t)lb_n_group(q->k, q->group);
    lb_rng_key key = {{(uint32_t)seed, 7}, {1, 2}};
    uint32_t r[4];
    for (size_t i = 0; i < (size_t)q->n * (size_t)q->k; i++) {
        if (i % 4 == 0) lb_rng_block(key, (uint32_t)(i / 4), r);
        q->codes[i] = (uint8_t)(r[i % 4] >> 7 & ((1u << q->bits) - 1));
    }
    for (size_t i = 0; i < (size_t)q->n * G; i++) {
        lb_rng_block(key, (uint32_t)i + 1000000, r);
        uint8_t two[4];
        lb_store_f32(two, q->scale_type, 0, (float)(r[0] % 1000) * 0.001f - 0.2f);
        q->scales[i] = lb_load_f32(two, q->scale_type, 0);
        q->zeros[i] = symmetric ? (uint8_t)(1 << (q->bits - 1)) : (uint8_t)(r[1] & ((1u << q->bits) - 1));
        if (q->half) q->zeros[i] = (uint8_t)(r[1] % 7);
    }
}

/* The parts of a packed weight as tensors over malloc'd bytes of the exact size. */
typedef struct packed {
    lb_ct_part part[LB_CT_MAX_PARTS];
    lb_tensor t[LB_CT_MAX_PARTS];
    int n;
    lb_ct_tensors all;
} packed;

static void pack_all(const lb_qmat *q, const lb_ct_scheme *s, packed *p)
{
    lb_err e = {0};
    memset(p, 0, sizeof *p);
    p->n = lb_ct_parts(s, q->n, q->k, q->scale_type, p->part);
    assert_int_equal(p->n, s->symmetric ? 3 : 4);
    for (int i = 0; i < p->n; i++) {
        uint8_t *bytes = malloc(p->part[i].size_bytes);
        memset(bytes, 0xee, p->part[i].size_bytes);
        assert_ok(lb_ct_pack(q, s, i, bytes, &e), e);
        p->t[i] = (lb_tensor){.name = p->part[i].suffix,
                              .dtype = p->part[i].dtype,
                              .rank = p->part[i].rank,
                              .data = bytes,
                              .size_bytes = p->part[i].size_bytes,
                              .file = "f"};
        memcpy(p->t[i].shape, p->part[i].shape, sizeof p->part[i].shape);
    }
    p->all =
        (lb_ct_tensors){.packed = &p->t[0], .scale = &p->t[1], .shape = &p->t[2], .zero = p->n == 4 ? &p->t[3] : NULL};
}

static void free_packed(packed *p)
{
    for (int i = 0; i < p->n; i++) free((void *)p->t[i].data);
}

static void assert_same(const lb_qmat *a, const lb_qmat *b)
{
    size_t ng = (size_t)a->n * (size_t)lb_n_group(a->k, a->group);
    assert_int_equal(a->bits, b->bits);
    assert_int_equal(a->group, b->group);
    assert_int_equal(a->scale_type, b->scale_type);
    assert_int_equal(a->half, b->half);
    assert_memory_equal(a->codes, b->codes, (size_t)a->n * (size_t)a->k);
    assert_memory_equal(a->scales, b->scales, ng * sizeof *a->scales);
    assert_memory_equal(a->zeros, b->zeros, ng);
}

static void round_trips_are_exact(void **state)
{
    (void)state;
    static const int shapes[][2] = {{1, 1}, {3, 31}, {17, 32}, {33, 33}, {16, 128}, {5, 200}, {31, 257}, {2, 1000}};
    static const int groups[] = {0, 32, 64, 128};
    static const lb_dtype types[] = {LB_BF16, LB_F16, LB_F32};
    uint64_t seed = 0;
    for (size_t b = 0; b < 4; b++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (size_t g = 0; g < 4; g++)
                for (int kind = 0; kind < (b == 0 ? 3 : 2); kind++) {
                    lb_err e = {0};
                    bool symmetric = kind == 1, half = kind == 2;
                    lb_ct_scheme sch = {.bits = all_bits[b], .group = groups[g], .symmetric = symmetric,
                                        .format = half ? LB_CT_HALF : LB_CT_INT};
                    int n = shapes[s][0], k = shapes[s][1], group = groups[g] && groups[g] < k ? groups[g] : k;
                    lb_qmat q = {.bits = all_bits[b], .n = n, .k = k, .group = group, .scale_type = types[seed % 3],
                                 .half = half},
                            back;
                    assert_ok(lb_qmat_alloc(&q, &e), e);
                    fill(&q, symmetric, ++seed);
                    packed p;
                    pack_all(&q, &sch, &p);
                    assert_ok(lb_ct_unpack_tensors(&p.all, &sch, n, k, &back, &e), e);
                    assert_same(&q, &back);
                    free_packed(&p);
                    lb_qmat_free(&q);
                    lb_qmat_free(&back);
                }
}

/* 3-bit codes 0…7, 0…7, …: 32 of them in three words, worked out by hand; zero points down the rows. */
static void bits_lie_where_the_layout_says(void **state)
{
    (void)state;
    lb_err e = {0};
    uint8_t codes[33], zeros[33];
    float scales[33];
    for (int i = 0; i < 33; i++) codes[i] = zeros[i] = (uint8_t)(i % 8), scales[i] = 1;
    lb_ct_scheme s = {.bits = 3};
    lb_qmat row = {3, 1, 33, 33, LB_F32, codes, scales, zeros, false};
    uint32_t w[4];
    assert_ok(lb_ct_pack(&row, &s, 0, (uint8_t *)w, &e), e);
    uint64_t eight = 0; /* 0…7 in 24 bits */
    for (unsigned i = 0; i < 8; i++) eight |= (uint64_t)i << 3 * i;
    assert_int_equal(w[0], (uint32_t)(eight | eight << 24));
    assert_int_equal(w[1], (uint32_t)(eight >> 8 | eight << 16));
    assert_int_equal(w[2], (uint32_t)(eight >> 16 | eight << 8));
    assert_int_equal(w[3], 0); /* element 32 is code 0 */
    lb_qmat column = {3, 33, 1, 1, LB_F32, codes, scales, zeros, false};
    uint32_t z[4];
    assert_ok(lb_ct_pack(&column, &s, 3, (uint8_t *)z, &e), e);
    assert_memory_equal(z, w, 16);
    int64_t shape[2];
    assert_ok(lb_ct_pack(&column, &s, 2, (uint8_t *)shape, &e), e);
    assert_int_equal(shape[0], 33);
    assert_int_equal(shape[1], 1);
}

/* Older writers: 10 three-bit numbers in a word, the top two bits empty; zero points the same. */
static void padded_words_are_read(void **state)
{
    (void)state;
    /* k = 9 has one word both ways, with the same bits; k = 12 two, and only zero points tell them apart */
    static const int shapes[][2] = {{25, 256}, {64, 320}, {64, 9}, {64, 12}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int symmetric = 0; symmetric < 2; symmetric++) {
            lb_err e = {0};
            int n = shapes[s][0], k = shapes[s][1];
            if (k == 12 && symmetric) continue;
            lb_ct_scheme sch = {.bits = 3, .symmetric = symmetric};
            lb_qmat q = {.bits = 3, .n = n, .k = k, .group = k, .scale_type = LB_BF16}, back;
            assert_ok(lb_qmat_alloc(&q, &e), e);
            fill(&q, symmetric, s);
            packed p;
            pack_all(&q, &sch, &p);
            int words = (k + 9) / 10, zwords = (n + 9) / 10;
            uint32_t *w = calloc((size_t)(n * words), 4), *z = calloc((size_t)zwords, 4);
            for (int r = 0; r < n; r++) {
                for (int i = 0; i < k; i++) w[r * words + i / 10] |= (uint32_t)q.codes[r * k + i] << 3 * (i % 10);
                z[r / 10] |= (uint32_t)q.zeros[r] << 3 * (r % 10);
            }
            p.t[0].shape[1] = words, p.t[0].size_bytes = (size_t)(n * words) * 4;
            p.t[3].shape[0] = zwords, p.t[3].size_bytes = (size_t)zwords * 4;
            free((void *)p.t[0].data);
            p.t[0].data = (uint8_t *)w;
            if (!symmetric) free((void *)p.t[3].data), p.t[3].data = (uint8_t *)z;
            assert_ok(lb_ct_unpack_tensors(&p.all, &sch, n, k, &back, &e), e);
            assert_same(&q, &back);
            free_packed(&p);
            if (symmetric) free(z);
            lb_qmat_free(&q);
            lb_qmat_free(&back);
        }
}

static void hostile_shapes_are_errors(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_ct_scheme sch = {.bits = 4, .group = 32};
    lb_qmat q = {.bits = 4, .n = 8, .k = 64, .group = 32, .scale_type = LB_BF16}, back;
    assert_ok(lb_qmat_alloc(&q, &e), e);
    fill(&q, false, 1);
    packed p;
    pack_all(&q, &sch, &p);
#define REFUSED(change, restore, says) \
    do { \
        change; \
        e = (lb_err){0}; \
        if (lb_ct_unpack_tensors(&p.all, &sch, n, k, &back, &e)) fail_msg("accepted: %s", #change); \
        if (!strstr(e.msg, says)) fail_msg("%s: message: %s", #change, e.msg); \
        assert_null(back.codes); \
        restore; \
    } while (0)
    int n = 8, k = 64;
    REFUSED(n = 9, n = 8, "'weight_shape' says [8,64], config.json wants [9,64]");
    REFUSED(k = 65, k = 64, "wants [8,65]");
    REFUSED(n = 0, n = 8, "shape [0,64]");
    REFUSED(k = -1, k = 64, "shape [8,-1]");
    REFUSED(p.t[0].shape[1] = 7, p.t[0].shape[1] = 8,
            "'weight_packed' is [8,7], a weight [8,64] of 4 bits wants [8,8]");
    REFUSED(p.t[0].shape[0] = 7, p.t[0].shape[0] = 8, "is [7,8]");
    REFUSED(p.t[0].rank = 1, p.t[0].rank = 2, "'weight_packed' is [8]");
    REFUSED(p.t[0].dtype = LB_U8, p.t[0].dtype = LB_I32, "'weight_packed' is U8, wanted I32");
    REFUSED(p.t[1].shape[1] = 1, p.t[1].shape[1] = 2, "'weight_scale' is [8,1]");
    REFUSED(p.t[1].dtype = LB_I16, p.t[1].dtype = LB_BF16, "wanted BF16, F16 or F32");
    REFUSED(p.t[1].rank = 1, p.t[1].rank = 2, "'weight_scale' is [8]");
    REFUSED(p.t[2].shape[0] = 3, p.t[2].shape[0] = 2, "'weight_shape' is [3]");
    REFUSED(p.t[2].dtype = LB_F64, p.t[2].dtype = LB_I64, "wanted I64");
    REFUSED(p.t[3].shape[0] = 2, p.t[3].shape[0] = 1, "'weight_zero_point' is [2,2]");
    REFUSED(p.t[3].dtype = LB_I8, p.t[3].dtype = LB_I32, "'weight_zero_point' is I8");
    REFUSED(sch.bits = 8, sch.bits = 4, "[8,64] of 8 bits");
    REFUSED(sch.group = 0, sch.group = 32, "'weight_zero_point' is [1,2]");
    REFUSED(sch.group = 16, sch.group = 32, "groups of 16 columns");
    REFUSED(sch.symmetric = true, sch.symmetric = false, "holds zero points");
    uint16_t nan = 0x7fc0, keep;
    memcpy(&keep, p.t[1].data + 6, 2);
    REFUSED(memcpy((void *)(p.t[1].data + 6), &nan, 2), memcpy((void *)(p.t[1].data + 6), &keep, 2),
            "holds a NaN at [1,1]");
    assert_ok(lb_ct_unpack_tensors(&p.all, &sch, n, k, &back, &e), e); /* all is as it was */
    assert_same(&q, &back);
    lb_qmat_free(&back);

    /* what would not be read back as it was meant is not written */
    uint8_t bytes[8 * 64];
    q.zeros[3] = 3;
    sch.symmetric = true;
    assert_false(lb_ct_pack(&q, &sch, 0, bytes, &e));
    assert_non_null(strstr(e.msg, "symmetric"));
    sch.symmetric = false;
    q.scales[5] = 1.001f;
    assert_false(lb_ct_pack(&q, &sch, 1, bytes, &e));
    assert_non_null(strstr(e.msg, "BF16 cannot hold"));
    sch.bits = 3;
    assert_false(lb_ct_pack(&q, &sch, 0, bytes, &e));
    free_packed(&p);
    lb_qmat_free(&q);
}

/* Float zero points: of every type, with the value that the header gives them, and none that kernels do not take. */
static void half_zero_points_are_checked(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_ct_scheme sch = {.bits = 2, .group = 32, .format = LB_CT_HALF};
    lb_qmat q = {.bits = 2, .n = 7, .k = 33, .group = 32, .scale_type = LB_BF16, .half = true}, back;
    assert_ok(lb_qmat_alloc(&q, &e), e);
    fill(&q, false, 5);
    for (int i = 0; i < 14; i++) q.zeros[i] = (uint8_t)(i % 7);
    packed p;
    pack_all(&q, &sch, &p);
    const uint8_t *eight = p.t[3].data;
    assert_int_equal(p.t[3].dtype, LB_F8_E4M3);
    for (int i = 0; i < 14; i++) assert_true(lb_from_e4m3(eight[i]) == 0.5f * (float)(i % 7) - 2);
    static const lb_dtype types[] = {LB_BF16, LB_F16, LB_F32};
    float wide[14];
    int n = 7, k = 33;
    for (int t = 0; t < 3; t++) {
        for (size_t i = 0; i < 14; i++) lb_store_f32(wide, types[t], i, lb_from_e4m3(eight[i]));
        p.t[3].data = (const uint8_t *)wide, p.t[3].dtype = types[t];
        assert_ok(lb_ct_unpack_tensors(&p.all, &sch, n, k, &back, &e), e);
        assert_same(&q, &back);
        lb_qmat_free(&back);
    }
    static const float bad[] = {-0.25f, 1.5f, -2.5f, NAN, INFINITY, 1e30f};
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
        float keep = wide[9];
        REFUSED(wide[9] = bad[b], wide[9] = keep, "at 9; lowbit reads zero points of 2-bit weights that are");
        assert_int_equal(e.code, LB_EUNSUPPORTED);
    }
    REFUSED(p.t[3].dtype = LB_I32, p.t[3].dtype = LB_F32, "'weight_zero_point' is I32, wanted F8_E4M3, BF16, F16 or F32");
    REFUSED(p.t[3].shape[1] = 1, p.t[3].shape[1] = 2, "'weight_zero_point' is [7,1]");
    sch.format = LB_CT_INT;
    uint8_t bytes[64];
    assert_false(lb_ct_pack(&q, &sch, 0, bytes, &e));
    assert_non_null(strstr(e.msg, "half zero points in a scheme of whole ones"));
    p.t[3].data = eight;
    free_packed(&p);
    lb_qmat_free(&q);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void unpacking_is_fast(void **state)
{
    (void)state;
    lb_err e = {0};
    for (size_t b = 0; b < 4; b++) {
        lb_ct_scheme sch = {.bits = all_bits[b], .group = 128};
        lb_qmat q = {.bits = all_bits[b], .n = 2048, .k = 4096, .group = 128, .scale_type = LB_BF16}, back;
        assert_ok(lb_qmat_alloc(&q, &e), e);
        fill(&q, false, b);
        packed p;
        pack_all(&q, &sch, &p);
        double t0 = seconds();
        assert_ok(lb_ct_unpack_tensors(&p.all, &sch, q.n, q.k, &back, &e), e);
        double t = seconds() - t0;
        print_message("%d bits: %.0f MB/s of codes\n", all_bits[b], 1e-6 * q.n * q.k / t);
        assert_same(&q, &back);
        free_packed(&p);
        lb_qmat_free(&q);
        lb_qmat_free(&back);
    }
}

/* ---- config ---- */

#define A(bits, more) "{\"num_bits\":" #bits ",\"type\":\"int\",\"symmetric\":true,\"strategy\":\"channel\"" more "}"
#define QC(more, groups) \
    "{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\"" more ",\"config_groups\":{" groups "}}"
#define G1(weights) "\"g\":{\"targets\":[\"Linear\"],\"weights\":" weights "}"
#define GF(format, weights) \
    "\"g\":{\"targets\":[\"Linear\"],\"format\":\"" format "-pack-quantized\",\"weights\":" weights "}"

static lb_ct_config *parse(const char *text, lb_err *e)
{
    json_t *v = lb_json_parse(text, strlen(text), "test", e);
    if (!v) fail_msg("%s: %s", text, e->msg);
    lb_ct_config *c = lb_ct_config_parse(v, "config.json", e);
    json_decref(v);
    return c;
}

/* Block floats whose numbers would be none, or could not be read back. */
static void block_floats_are_numbers(void **state)
{
    (void)state;
    const lb_ct_scheme mx = {4, 32, true, LB_CT_MXFP4}, nv = {4, 16, true, LB_CT_NVFP4};
    static const uint8_t codes[16] = {0x17}, good[2] = {0x38, 0x08}, nan[2] = {0x38, 0x7f}, minus[2] = {0xb8, 0x38},
                         mx_most = 252, mx_more = 253, mx_nan = 255;
    static const float one = 1, huge = 1e-37f, zero = 0, nothing = INFINITY;
    const struct { const lb_ct_scheme *s; const uint8_t *scale; const float *global; lb_code code; } all[] = {
        {&nv, good, &one, LB_OK},          {&nv, nan, &one, LB_ENUMERIC},      {&nv, minus, &one, LB_ENUMERIC},
        {&nv, good, &huge, LB_OK},         {&nv, (const uint8_t[]){0x7e, 0}, &huge, LB_ENUMERIC},
        {&nv, good, &zero, LB_ENUMERIC},   {&nv, good, &nothing, LB_ENUMERIC}, {&mx, &mx_most, NULL, LB_OK},
        {&mx, &mx_more, NULL, LB_ENUMERIC}, {&mx, &mx_nan, NULL, LB_ENUMERIC},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool is_nv = all[i].s == &nv;
        lb_tensor c = {.name = "w", .file = "f", .dtype = LB_U8, .rank = 2, .shape = {1, 16}, .data = codes, .size_bytes = 16};
        lb_tensor s = {.name = "s", .file = "f", .dtype = is_nv ? LB_F8_E4M3 : LB_U8, .rank = 2, .shape = {1, is_nv ? 2 : 1},
                       .data = all[i].scale, .size_bytes = is_nv ? 2 : 1};
        lb_tensor g = {.name = "g", .file = "f", .dtype = LB_F32, .rank = 1, .shape = {1}, .size_bytes = 4,
                       .data = (const uint8_t *)all[i].global};
        lb_fp4mat q;
        lb_err e = {0};
        float row[32];
        bool ok = lb_ct_fp4_unpack_tensors(&(lb_ct_fp4_tensors){&c, &s, is_nv ? &g : NULL}, all[i].s, 1, 32, &q, &e);
        if (e.code != all[i].code) fail_msg("case %zu: %s", i, e.msg);
        if (!ok) continue;
        lb_fp4_decode_row(&q, 0, row);
        for (int j = 0; j < 32; j++) assert_true(isfinite(row[j]));
        lb_fp4mat_free(&q);
    }
    assert_true(lb_ct_fp4_tensor_scale(&lb_num_nvfp4, 0) == 1 && lb_ct_fp4_tensor_scale(&lb_num_nvfp4, 1e-40f) == 1);
}

#define BLOCK(b, shape, zp) \
    "{\"num_bits\":" #b ",\"symmetric\":false,\"strategy\":\"block\",\"block_structure\":" shape ",\"zp_dtype\":\"" zp "\"}"

static void configs_are_understood(void **state)
{
    (void)state;
    static const struct { const char *text; lb_ct_scheme want;
    } good[] = {
        {QC("", G1(A(4, ""))), {4, 0, true, LB_CT_INT}},
        {QC(",\"quantization_status\":\"compressed\",\"kv_cache_scheme\":null,\"sparsity_config\":{},\"transform_config\":{},\"version\":\"1\","
            "\"global_compression_ratio\":1.5,\"ignore\":null,\"moe_sparsity_config\":null",
            G1(A(8, ",\"group_size\":-1"))),
         {8, 0, true, LB_CT_INT}},
        {QC("", G1("{\"num_bits\":3,\"symmetric\":false,\"group_size\":64}")), {3, 64, false, LB_CT_INT}},
        {QC("", G1("{\"num_bits\":2,\"group_size\":-1,\"actorder\":\"weight\",\"dynamic\":false}")), {2, 0, true, LB_CT_INT}},
        {QC("", "\"W4A16_ASYM\":[\"Linear\"]"), {4, 128, false, LB_CT_INT}},
        {QC("", G1(BLOCK(2, "[1,64]", "torch.bfloat16"))), {2, 64, false, LB_CT_HALF}},
        {QC("", GF("mxfp4", "{\"num_bits\":4,\"type\":\"float\",\"strategy\":\"group\",\"group_size\":32,\"scale_dtype\":\"torch.uint8\"}")),
         {4, 32, true, LB_CT_MXFP4}},
        {QC("", GF("nvfp4", "{\"strategy\":\"tensor_group\",\"dynamic\":false}")), {4, 16, true, LB_CT_NVFP4}},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        lb_err e = {0};
        lb_ct_config *c = parse(good[i].text, &e);
        if (!c) fail_msg("%s: %s", good[i].text, e.msg);
        const lb_ct_scheme *s;
        assert_ok(lb_ct_config_find(c, "model.layers.0.mlp.up_proj", "Linear", &s, &e), e);
        assert_non_null(s);
        assert_int_equal(s->bits, good[i].want.bits);
        assert_int_equal(s->group, good[i].want.group);
        assert_int_equal(s->symmetric, good[i].want.symmetric);
        assert_int_equal(s->format, good[i].want.format);
        lb_ct_config_free(c);
    }
}

static void what_is_not_done_is_named(void **state)
{
    (void)state;
    static const struct { const char *text; lb_code code; const char *says;
    } bad[] = {
        {"[]", LB_EFORMAT, "an array"},
        {"{}", LB_EUNSUPPORTED, "method is 'missing'"},
        {"{\"quant_method\":\"gptq\"}", LB_EUNSUPPORTED, "'gptq'"},
        {"{\"quant_method\":4}", LB_EFORMAT, "an integer"},
        {"{\"quant_method\":\"compressed-tensors\"}", LB_EFORMAT, "'format' is missing"},
        {"{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\"}", LB_EFORMAT,
         "'config_groups' is missing"},
        {"{\"quant_method\":\"compressed-tensors\",\"format\":\"int-quantized\",\"config_groups\":{" G1(A(8, "")) "}}",
         LB_EUNSUPPORTED, "'int-quantized'"},
        {QC(",\"quantization_status\":\"frozen\"", G1(A(4, ""))), LB_EUNSUPPORTED, "'frozen'"},
        {QC(",\"kv_cache_scheme\":{\"num_bits\":8}", G1(A(4, ""))), LB_EUNSUPPORTED, "KV cache"},
        {QC(",\"sparsity_config\":{\"format\":\"sparse-24\"}", G1(A(4, ""))), LB_EUNSUPPORTED, "sparse-24"},
        {QC(",\"transform_config\":{\"config_groups\":{\"R1\":{}}}", G1(A(4, ""))), LB_EUNSUPPORTED,
         "transform_config"},
        {QC(",\"new_thing\":1", G1(A(4, ""))), LB_EUNSUPPORTED, "'new_thing'"},
        {QC(",\"ignore\":\"lm_head\"", G1(A(4, ""))), LB_EFORMAT, "ignore is a string"},
        {QC(",\"ignore\":[1]", G1(A(4, ""))), LB_EFORMAT, "ignore holds an integer"},
        {QC(",\"ignore\":[\"re:(\"]", G1(A(4, ""))), LB_EFORMAT, "not a regex"},
        {QC("", "\"g\":3"), LB_EFORMAT, "an integer"},
        {QC("", "\"g\":{\"targets\":[\"Linear\"]}"), LB_EFORMAT, "missing"},
        {QC("", "\"g\":{\"weights\":" A(4, "") "}"), LB_EFORMAT, "targets is missing"},
        {QC("", "\"g\":{\"targets\":[\"re:[\"],\"weights\":" A(4, "") "}"), LB_EFORMAT, "not a regex"},
        {QC("", "\"g\":{\"targets\":[\"Linear\"],\"format\":\"nvfp4-pack-quantized\",\"weights\":" A(4, "") "}"),
         LB_EUNSUPPORTED, "nvfp4"},
        {QC("", GF("nvfp4", "{\"num_bits\":4,\"type\":\"float\",\"group_size\":32}")), LB_EUNSUPPORTED, "blocks of 16"},
        {QC("", GF("mxfp4", "{\"symmetric\":false}")), LB_EUNSUPPORTED, "symmetric false"},
        {QC("", GF("mxfp4", "{\"strategy\":\"channel\"}")), LB_EUNSUPPORTED, "strategy \"channel\""},
        {QC("", GF("nvfp4", "{\"dynamic\":\"local\"}")), LB_EUNSUPPORTED, "dynamic"},
        {QC("", GF("mxfp4", "{\"actorder\":\"group\"}")), LB_EUNSUPPORTED, "actorder"},
        {QC("", GF("mxfp4", "{\"magic\":1}")), LB_EUNSUPPORTED, "'magic'"},
        {QC("", "\"g\":{\"targets\":[\"Linear\"],\"input_activations\":" A(8, "") ",\"weights\":" A(4, "") "}"),
         LB_EUNSUPPORTED, "input_activations"},
        {QC("", "\"g\":{\"targets\":[\"Linear\"],\"output_activations\":" A(8, "") ",\"weights\":" A(4, "") "}"),
         LB_EUNSUPPORTED, "output_activations"},
        {QC("", "\"W4A4\":[\"Linear\"]"), LB_EUNSUPPORTED, "preset 'W4A4'"},
        {QC("", G1(A(5, ""))), LB_EUNSUPPORTED, "num_bits 5"},
        {QC("", G1(A(4, ",\"actorder\":\"group\""))), LB_EUNSUPPORTED, "actorder \"group\""},
        {QC("", G1(A(4, ",\"actorder\":true"))), LB_EUNSUPPORTED, "actorder true"},
        {QC("", G1(A(4, ",\"dynamic\":true"))), LB_EUNSUPPORTED, "dynamic true"},
        {QC("", G1(A(4, ",\"group_size\":32"))), LB_EFORMAT, "group_size 32"},
        {QC("", G1(A(4, ",\"block_structure\":[128,128]"))), LB_EUNSUPPORTED, "block_structure"},
        {QC("", G1(A(4, ",\"magic\":1"))), LB_EUNSUPPORTED, "'magic'"},
        {QC("", G1("{\"num_bits\":8,\"type\":\"float\",\"strategy\":\"channel\"}")), LB_EUNSUPPORTED, "type \"float\""},
        {QC("", G1("{\"num_bits\":8,\"strategy\":\"tensor\"}")), LB_EUNSUPPORTED, "strategy \"tensor\""},
        {QC("", G1("{\"num_bits\":8}")), LB_EUNSUPPORTED, "strategy null"},
        {QC("", G1(BLOCK(4, "[1,64]", "torch.float32"))), LB_EUNSUPPORTED, "asymmetric blocks of 4 bits"},
        {QC("", G1(BLOCK(2, "[1,64]", "torch.int8"))), LB_EUNSUPPORTED, "zp_dtype \"torch.int8\""},
        {QC("", G1(BLOCK(2, "[128,128]", "torch.float32"))), LB_EUNSUPPORTED, "block_structure [128,128]"},
        {QC("", G1(BLOCK(2, "[1,0]", "torch.float32"))), LB_EUNSUPPORTED, "block_structure [1,0]"},
        {QC("", G1(BLOCK(2, "[1,4294967297]", "torch.float32"))), LB_EUNSUPPORTED, "block_structure"},
        {QC("", G1(BLOCK(2, "\"1x64\"", "torch.float32"))), LB_EUNSUPPORTED, "block_structure \"1x64\""},
        {QC("", G1("{\"num_bits\":2,\"strategy\":\"block\",\"block_structure\":[1,64]}")), LB_EUNSUPPORTED, "symmetric blocks"},
        {QC("", G1("{\"num_bits\":8,\"strategy\":\"group\"}")), LB_EFORMAT, "no group_size"},
        {QC("", G1("{\"num_bits\":\"8\"}")), LB_EFORMAT, "a string"},
        {QC("", G1("{\"num_bits\":4,\"group_size\":-2}")), LB_EFORMAT, "-2"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_err e = {0};
        lb_ct_config *c = parse(bad[i].text, &e);
        if (c) fail_msg("accepted: %s", bad[i].text);
        if (e.code != bad[i].code || !strstr(e.msg, bad[i].says))
            fail_msg("%s: code %d, message: %s", bad[i].text, e.code, e.msg);
        assert_non_null(strstr(e.msg, "config.json"));
    }
}

static int bits_of(const lb_ct_config *c, const char *module, const char *class_name)
{
    lb_err e = {0};
    const lb_ct_scheme *s;
    assert_ok(lb_ct_config_find(c, module, class_name, &s, &e), e);
    return s ? s->bits : 0;
}

/* Names before regexes before classes; regexes from the start of the name, in byte order; the later of equal targets.
 */
static void targets_match_as_the_package_does(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_ct_config *c = parse(QC(",\"ignore\":[\"lm_head\",\"re:.*gate$\"]",
        "\"a\":{\"targets\":[\"Linear\",\"twice\"],\"weights\":" A(2, "") "},"
        "\"b\":{\"targets\":[\"re:.*up_proj\",\"re:down\"],\"weights\":" A(3, "") "},"
        "\"c\":{\"targets\":[\"re:.*mlp.*\",\"twice\"],\"weights\":" A(4, "") "},"
        "\"d\":{\"targets\":[\"model.0.mlp.up_proj\"],\"weights\":" A(8, "") "}"), &e);
    if (!c) fail_msg("%s", e.msg);
    assert_int_equal(bits_of(c, "model.0.self_attn.q_proj", "Linear"), 2);
    assert_int_equal(bits_of(c, "model.0.mlp.up_proj", "Linear"), 8);
    assert_int_equal(bits_of(c, "model.1.mlp.up_proj", "Linear"), 4);      /* "re:.*mlp.*" < "re:.*up_proj" */
    assert_int_equal(bits_of(c, "model.1.up_proj", "Linear"), 3);
    assert_int_equal(bits_of(c, "model.1.up_projector", "Other"), 3);      /* re.match does not ask for the end */
    assert_int_equal(bits_of(c, "down_proj", "Other"), 3);
    assert_int_equal(bits_of(c, "model.down_proj", "Other"), 0);           /* but for the start */
    assert_int_equal(bits_of(c, "twice", "Linear"), 4);
    assert_int_equal(bits_of(c, "lm_head", "Linear"), 0);
    assert_int_equal(bits_of(c, "model.2.mlp.gate", "Linear"), 0);
    assert_int_equal(bits_of(c, "model.embed_tokens", "Embedding"), 0);
    lb_ct_config_free(c);

    c = parse(QC("", "\"a\":{\"targets\":[\"re:(a+)+$\"],\"weights\":" A(2, "") "}"), &e);
    const lb_ct_scheme *s;
    char bomb[64];
    memset(bomb, 'a', 60);
    strcpy(bomb + 60, "b");
    assert_false(lb_ct_config_find(c, bomb, "Linear", &s, &e));            /* bounded, and an error */
    assert_non_null(strstr(e.msg, "cannot be matched"));
    lb_ct_config_free(c);
}

/* What is built is read back as it was meant, for one scheme and for several. */
static void built_configs_read_back(void **state)
{
    (void)state;
    lb_err e = {0};
    static const char *const suffix[] = {"self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj", "mlp.down_proj"};
    for (int mixed = 0; mixed < 2; mixed++) {
        lb_ct_module m[17];
        char names[17][64];
        for (int i = 0; i < 17; i++) {
            if (i == 16) strcpy(names[i], "lm_head");
            else snprintf(names[i], sizeof names[i], "model.layers.%d.%s", i / 4, suffix[i % 4]);
            m[i] = (lb_ct_module){names[i], {3, 128, false, LB_CT_INT}};
            if (mixed && i % 4 == 3) m[i].scheme = (lb_ct_scheme){4, 32, true, LB_CT_INT};       /* every down_proj */
            if (mixed && i == 6) m[i].scheme = (lb_ct_scheme){8, 0, true, LB_CT_INT};            /* one up_proj */
            if (mixed && i == 16) m[i].scheme = (lb_ct_scheme){8, 0, true, LB_CT_INT};
            if (mixed && i == 9) m[i].scheme = (lb_ct_scheme){2, 64, false, LB_CT_HALF};
        }
        const char *ignore[] = {"model.layers.9.mlp.down_proj", "lm_head"};
        size_t n = mixed ? 17 : 16;
        json_t *v = lb_ct_config_build(m, n, ignore, mixed ? 1 : 2, &e);
        if (!v) fail_msg("%s", e.msg);
        assert_int_equal(json_object_size(json_object_get(v, "config_groups")), mixed ? 4 : 1);
        assert_string_equal(json_string_value(json_object_get(v, "format")), "pack-quantized");
        json_t *targets = json_object_get(json_object_get(json_object_get(v, "config_groups"), "group_0"), "targets");
        /* q by a regex, three v_proj and three up_proj by name */
        assert_int_equal(json_array_size(targets), mixed ? 7 : 1);
        lb_ct_config *c = lb_ct_config_parse(v, "built", &e);
        if (!c) fail_msg("%s", e.msg);
        for (size_t i = 0; i < n; i++) {
            const lb_ct_scheme *s;
            assert_ok(lb_ct_config_find(c, m[i].name, "Linear", &s, &e), e);
            assert_non_null(s);
            assert_int_equal(s->bits, m[i].scheme.bits);
            assert_int_equal(s->group, m[i].scheme.group);
            assert_int_equal(s->symmetric, m[i].scheme.symmetric);
            assert_int_equal(s->format, m[i].scheme.format);
        }
        assert_int_equal(bits_of(c, "model.layers.9.mlp.down_proj", "Linear"), 0);
        if (!mixed) assert_int_equal(bits_of(c, "lm_head", "Linear"), 0);
        lb_ct_config_free(c);
        json_decref(v);
    }
}

static void modules_survive_a_file(void **state)
{
    (void)state;
    lb_err e = {0};
    char dir[] = "/tmp/lowbit-ct-XXXXXX";
    assert_non_null(mkdtemp(dir));
    lb_st_writer *w = lb_st_writer_open(dir, 0, &e);
    assert_non_null(w);
    lb_qmat q[4];
    lb_ct_scheme s[4];
    char name[4][32];
    for (int i = 0; i < 4; i++) {
        s[i] = (lb_ct_scheme){all_bits[i], i % 2 ? 64 : 0, i > 1, LB_CT_INT};
        q[i] = (lb_qmat){.bits = all_bits[i], .n = 20 + i, .k = 100, .group = i % 2 ? 64 : 100, .scale_type = LB_F16};
        assert_ok(lb_qmat_alloc(&q[i], &e), e);
        fill(&q[i], i > 1, (uint64_t)i);
        snprintf(name[i], sizeof name[i], "model.layers.%d.x", 3 - i);
        assert_ok(lb_ct_declare(w, name[i], &s[i], q[i].n, q[i].k, LB_F16, &e), e);
    }
    assert_ok(lb_st_writer_begin(w, &e), e);
    for (int i = 0; i < 4; i++) assert_ok(lb_ct_write(w, name[i], &s[i], &q[i], &e), e);
    assert_ok(lb_st_writer_commit(w, &e), e);
    lb_st_writer_close(w);
    lb_store *store = lb_store_open(dir, &e);
    if (!store) fail_msg("%s", e.msg);
    assert_int_equal(lb_store_count(store), 4 + 4 + 3 + 3);
    for (int i = 0; i < 4; i++) {
        lb_qmat back;
        assert_ok(lb_ct_unpack(store, name[i], &s[i], q[i].n, q[i].k, &back, &e), e);
        assert_same(&q[i], &back);
        lb_qmat_free(&back);
        lb_qmat_free(&q[i]);
    }
    lb_qmat back;
    assert_false(lb_ct_unpack(store, "nothing", &s[0], 20, 100, &back, &e));
    assert_non_null(strstr(e.msg, "no tensor 'nothing.weight_packed'"));
    assert_false(lb_ct_unpack(store, name[3], &(lb_ct_scheme){8, 64, false, LB_CT_INT}, 23, 100, &back, &e));
    assert_non_null(strstr(e.msg, "weight_zero_point"));
    lb_store_close(store);
    char *path = lb_path_join(dir, "model.safetensors", &e);
    assert_int_equal(unlink(path), 0);
    free(path);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips_are_exact),     cmocka_unit_test(bits_lie_where_the_layout_says),
        cmocka_unit_test(padded_words_are_read),     cmocka_unit_test(hostile_shapes_are_errors),
        cmocka_unit_test(half_zero_points_are_checked), cmocka_unit_test(unpacking_is_fast),         cmocka_unit_test(block_floats_are_numbers),
        cmocka_unit_test(configs_are_understood),
        cmocka_unit_test(what_is_not_done_is_named), cmocka_unit_test(targets_match_as_the_package_does),
        cmocka_unit_test(built_configs_read_back),   cmocka_unit_test(modules_survive_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
