/* test_kv_cache.c – KV cache formats in a model: names, sizes, keys before RoPE and bias, precision by bits, and the
 * same text in any batch. */
#include "test.h"
#include "base/rng.h"
#include "infer/engine.h"
#include "kern/kv_pack.h"
#include "model/forward.h"

#define TINY "tests/golden/data/models/"

/* ---- names ---- */

static void names_come_back(void **state)
{
    (void)state;
    static const char *const names[] = {
        "bf16", "f32", "bf16-prerope", "f32-prerope-prebias", "kv8", "kv4", "kv3", "kv2", "kv4-quarot", "kv3-quarot", "kv4-kvquant",
        "kv3-kvquant-prebias", "kv4-kivi", "kv2-kivi-w64", "kv4-kivi-prerope-prebias-w256", "kv4-clip0.9", "kv8-hadamard",
        "kv4-quarot-clip0.9", "kv4-kvquant-postrope", "kv4-prerope"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lb_err err = {0};
        lb_kv_spec s, t;
        char text[LB_KV_TEXT];
        assert_ok(lb_kv_spec_parse(names[i], &s, &err), err);
        lb_kv_spec_text(&s, text);
        assert_ok(lb_kv_spec_parse(text, &t, &err), err);
        if (s.bits != t.bits || s.key != t.key || s.pre_rope != t.pre_rope || s.pre_bias != t.pre_bias ||
            s.hadamard != t.hadamard || s.clip != t.clip || s.window != t.window)
            fail_msg("%s became %s", names[i], text);
        if (strcmp(names[i], "kv4-quarot-clip0.9") != 0) assert_string_equal(text, names[i]);
    }
    lb_kv_spec s;
    lb_err err = {0};
    assert_ok(lb_kv_spec_parse("kv4-quarot", &s, &err), err);
    assert_true(s.bits == 4 && s.hadamard && s.clip == 0.95f && s.key == LB_KV_PER_TOKEN && !s.pre_rope);
    assert_ok(lb_kv_spec_parse("kv3-kvquant-prebias", &s, &err), err);
    assert_true(s.bits == 3 && s.key == LB_KV_PER_CHANNEL_STATIC && s.pre_rope && s.pre_bias && s.clip == 0);
    assert_ok(lb_kv_spec_parse("kv2-kivi", &s, &err), err);
    assert_true(s.key == LB_KV_PER_CHANNEL_GROUP && s.window == 128 && !s.pre_rope);
}

static void bad_names_are_explained(void **state)
{
    (void)state;
    static const struct { const char *name, *wants; } bad[] = {
        {"", "not known"}, {"kv5", "kv8, kv4, kv3, kv2"}, {"int4", "not known"}, {"kv4-foo", "'foo' is not known"},
        {"kv4-clip1.5", "'clip1.5'"}, {"kv4-clip", "'clip'"}, {"kv4-kivi-w33", "'w33'"}, {"kv4-kivi-w0", "'w0'"}, {"kv4-w64", "'w64'"},
        {"kv4-kivi-w99999999999", "'w99999999999'"}, {"kv4-prebias", "-prebias wants -prerope"}, {"bf16-quarot", "no scales"},
        {"f32-kivi", "no scales"}, {"kv4-kvquant-hadamard", "exclude each other"}, {"kv4-quarot-prerope", "comes after RoPE"},
        {"kv4-kivi-w64-and-a-very-long-tail-that-does-not-fit", "not known"}, {"kv4-prerope-quarot", "'quarot'"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_err err = {0};
        lb_kv_spec s;
        assert_false(lb_kv_spec_parse(bad[i].name, &s, &err));
        if (err.code != LB_EUSAGE || !strstr(err.msg, bad[i].wants)) fail_msg("'%s': %s", bad[i].name, err.msg);
    }
}

/* ---- models ---- */

typedef struct rig {
    lb_exec *ex;
    lb_model *m;
} rig;

static rig open_rig(const char *dir, int n_thread)
{
    rig r;
    lb_err err = {0};
    r.ex = lb_exec_open(&(lb_exec_opt){.n_thread = n_thread}, &err);
    assert_ok(r.ex, err);
    r.m = lb_model_open(dir, r.ex, &err);
    assert_ok(r.m, err);
    return r;
}

static void close_rig(rig r)
{
    lb_model_close(r.m);
    lb_exec_close(r.ex);
}

static int id_of(const lb_model *m, int i) { return (int)(lb_mix64((uint64_t)i) % (m->cfg.n_vocab > 1038 ? 1038u : (unsigned)m->cfg.n_vocab)); }

/* Logits [n_want, n_vocab] after the positions want[…] (in order) of a prompt of n tokens, in chunks; to be freed. */
static float *logits_at(rig r, const char *kv_name, int n, int chunk, const int *want, int n_want)
{
    lb_err err = {0};
    lb_kv_spec s;
    size_t vocab = (size_t)r.m->cfg.n_vocab;
    assert_ok(lb_kv_spec_parse(kv_name, &s, &err), err);
    lb_kv *kv = lb_model_kv_open(r.m, &s, &(lb_kv_room){.n_seq = 2, .n_ctx = n, .n_chunk = chunk}, &err);
    assert_ok(kv, err);
    lb_forward *f = lb_forward_open(r.m, chunk, chunk, &err);
    assert_ok(f, err);
    assert_true(lb_kv_grow(kv, 1, n));
    float *all = malloc((size_t)n_want * vocab * sizeof *all);
    int *ids = malloc(4 * (size_t)chunk * sizeof *ids), *seq = ids + chunk, *pos = seq + chunk, *out = pos + chunk, done = 0;
    for (int at = 0; at < n; at += chunk) {
        int k = n - at < chunk ? n - at : chunk, n_out = 0;
        for (int i = 0; i < k; i++) ids[i] = id_of(r.m, at + i), seq[i] = 1, pos[i] = at + i;
        for (int w = done; w < n_want && want[w] < at + k; w++) out[n_out++] = want[w] - at;
        lb_batch b = {.n_tok = k, .ids = ids, .seq = seq, .pos = pos, .n_out = n_out, .out = out};
        const float *y;
        assert_ok(lb_forward_run(f, kv, &b, &y, &err), err);
        memcpy(all + (size_t)done * vocab, y, (size_t)n_out * vocab * sizeof *all);
        done += n_out;
    }
    assert_int_equal(done, n_want);
    free(ids);
    lb_forward_close(f);
    lb_kv_close(kv);
    return all;
}

/* The largest ‖a−b‖/‖b‖ of a row. */
static double worst(const float *a, const float *b, int n, int width)
{
    double most = 0;
    for (int i = 0; i < n; i++) {
        double d = 0, s = 0;
        for (int j = i * width; j < (i + 1) * width; j++) {
            d += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
            s += (double)b[j] * (double)b[j];
        }
        most = fmax(most, sqrt(d / s));
    }
    return most;
}

/* Keys stored before RoPE and before their bias are the same keys, at the first positions, the last trained one and
 * beyond. The direct path rounds pos·inv_freq to f32 before it takes the sine: at position 2600 that alone is 1.2e-4. */
static void keys_before_rope_are_the_same_keys(void **state)
{
    (void)state;
    static const struct { const char *dir; int n; } models[] = {
        {ABACUS_DIR, 2600}, {TINY "qwen2", 2200}, {TINY "llama-yarn", 2200}, {TINY "llama-llama3", 300}, {TINY "qwen3_moe", 100}};
    for (int i = 0; i < 5; i++) {
        rig r = open_rig(models[i].dir, 2);
        int want[8] = {0, 1, 2, 33, 2046, 2047, 2048, models[i].n - 1}, n_want = 0;
        for (int j = 0; j < 8; j++)
            if (want[j] < models[i].n) want[n_want++] = want[j];
        float *direct = logits_at(r, "f32", models[i].n, 256, want, n_want);
        float *before = logits_at(r, "f32-prerope-prebias", models[i].n, 256, want, n_want);
        double e = worst(before, direct, n_want, r.m->cfg.n_vocab);
        print_message("%-40s before RoPE: %.1e\n", models[i].dir, e);
        if (!(e < 1e-4)) fail_msg("%s: keys before RoPE move logits by %.2e", models[i].dir, e);
        assert_true(i != 1 || r.m->layers[0].k.bias);
        free(direct);
        free(before);
        close_rig(r);
    }
}

/* Takes ranges of keys from a run, as calibration does; to be freed. */
static float *take_ranges(rig r, int n, const char *kv_name)
{
    lb_err err = {0};
    int kd = r.m->cfg.n_kv * r.m->cfg.d_head;
    lb_kv *kv = lb_kv_open(r.ex, &r.m->cfg, kv_name, 1, n, 0, &err);
    lb_forward *f = kv ? lb_forward_open(r.m, n, 1, &err) : NULL;
    assert_ok(f, err);
    int *ids = malloc(3 * (size_t)n * sizeof *ids), *seq = ids + n, *pos = seq + n, width;
    float *all = calloc((size_t)(r.m->cfg.n_layer * 2 * kd), sizeof *all);
    for (int i = 0; i < n; i++) ids[i] = id_of(r.m, i), seq[i] = 0, pos[i] = i;
    assert_true(lb_kv_grow(kv, 0, n));
    lb_batch b = {.n_tok = n, .ids = ids, .seq = seq, .pos = pos};
    lb_forward_start(f, kv, &b);
    for (int l = 0; l < r.m->cfg.n_layer; l++) {
        float *range = all + l * 2 * kd;
        for (lb_part p = 0; p < LB_N_PART; p++) {
            lb_forward_part(f, l, p);
            if (p != LB_PART_ATTN) continue;
            const float *k = lb_forward_rows(f, LB_ROWS_K, &width);
            for (int i = 0; i < n * kd; i++) {
                range[i % kd] = fminf(range[i % kd], k[i]);
                range[kd + i % kd] = fmaxf(range[kd + i % kd], k[i]);
            }
        }
        r.m->layers[l].k_range = range;
    }
    free(ids);
    lb_forward_close(f);
    lb_kv_close(kv);
    return all;
}

/* More bits, less error, for each way to keep keys; 8 bits are nearly exact. */
static void error_falls_with_bits(void **state)
{
    (void)state;
    static const char *const how[] = {"", "-quarot", "-kivi-w32", "-kvquant", "-prerope"};
    static const int want[] = {0, 40, 100, 180, 250, 299}, bits[] = {2, 3, 4, 8};
    rig r = open_rig(ABACUS_DIR, 2);
    float *ranges = take_ranges(r, 300, "f32-prerope"), *exact = logits_at(r, "f32", 300, 100, want, 6);
    for (int h = 0; h < 5; h++) {
        double last = INFINITY;
        char line[200] = "";
        for (int b = 0; b < 4; b++) {
            char name[LB_KV_TEXT];
            snprintf(name, sizeof name, "kv%d%s", bits[b], how[h]);
            float *y = logits_at(r, name, 300, 100, want, 6);
            double e = worst(y, exact, 6, r.m->cfg.n_vocab);
            snprintf(line + strlen(line), sizeof line - strlen(line), "  %s %.3f", name, e);
            if (!(e < last)) fail_msg("%s: error %g, with fewer bits %g", name, e, last);
            last = e;
            free(y);
        }
        print_message("%s\n", line);
        if (!(last < 0.03)) fail_msg("8 bits%s: error %g", how[h], last);
    }
    free(ranges);
    free(exact);
    close_rig(r);
}

static const char *const KINDS[] = {"kv8", "kv4-quarot", "kv3", "kv2-kivi-w32", "kv4-kivi-w64", "kv4-prerope", "bf16-prerope",
                                    "kv3-kvquant-prebias"};
enum { N_KIND = sizeof KINDS / sizeof *KINDS };

/* Prompts in chunks of any size, on one thread or two: the same bits of logits. */
static void chunks_same_bits(void **state)
{
    (void)state;
    static const int chunks[] = {190, 1, 7, 64}, want[] = {0, 31, 32, 63, 100, 127, 128, 160, 189};
    rig r1 = open_rig(TINY "qwen2", 1), r2 = open_rig(TINY "qwen2", 2);
    float *a = take_ranges(r1, 190, "f32-prerope-prebias"), *b = take_ranges(r2, 190, "f32-prerope-prebias");
    for (int k = 0; k < N_KIND; k++) {
        float *first = NULL;
        for (int i = 0; i < 4; i++) {
            float *y = logits_at(i % 2 ? r2 : r1, KINDS[k], 190, chunks[i], want, 9);
            if (!first) first = y;
            if (memcmp(first, y, 9 * (size_t)r1.m->cfg.n_vocab * sizeof *y) != 0) fail_msg("%s in chunks of %d differs", KINDS[k], chunks[i]);
            if (y != first) free(y);
        }
        free(first);
    }
    free(a);
    free(b);
    close_rig(r1);
    close_rig(r2);
}

enum { N_REQ = 4, MAX_NEW = 12 };
typedef struct text { int ids[MAX_NEW], n; } text;
typedef struct texts { text of[N_REQ]; } texts;

static void keep(lb_request *r)
{
    text *t = r->user;
    t->n = r->n_out;
    memcpy(t->ids, r->out, (size_t)r->n_out * sizeof(int));
}

static texts generate(rig r, const char *kv, int n_slot, int max_batch)
{
    lb_err err = {0};
    texts t = {0};
    int prompt[400];
    for (int i = 0; i < 400; i++) prompt[i] = id_of(r.m, i);
    lb_engine *e = lb_engine_open(r.m, &(lb_engine_opt){.n_slot = n_slot, .n_ctx = 420, .max_batch = max_batch, .kv = kv}, &err);
    assert_ok(e, err);
    lb_request q[N_REQ];
    for (int i = 0; i < N_REQ; i++) {
        q[i] = (lb_request){.prompt = prompt + i, .n_prompt = 380 - 110 * i, .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1},
                            .key = lb_rng_key_of(1, (uint64_t)i, 0), .max_new = MAX_NEW, .user = &t.of[i], .on_done = keep};
        assert_ok(lb_engine_submit(e, &q[i], &err), err);
    }
    assert_ok(lb_engine_drain(e, &err), err);
    lb_engine_close(e);
    return t;
}

/* The engine: alone or four at once, whatever fits into a step. Pages are used again by the next request. */
static void batches_same_text(void **state)
{
    (void)state;
    rig r = open_rig(ABACUS_DIR, 2);
    float *ranges = take_ranges(r, 300, "f32-prerope");
    static const char *const kinds[] = {"kv4-quarot", "kv3-kivi-w32", "kv4-kvquant"};
    for (int k = 0; k < 3; k++) {
        texts a = generate(r, kinds[k], 1, 512), b = generate(r, kinds[k], 4, 512), c = generate(r, kinds[k], 3, 40);
        for (int i = 0; i < N_REQ; i++) assert_int_equal(a.of[i].n, MAX_NEW);
        assert_memory_equal(&a, &b, sizeof a);
        assert_memory_equal(&a, &c, sizeof a);
    }
    free(ranges);
    close_rig(r);
}

static void what_does_not_go_with_a_model(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_kv_spec s;
    rig r = open_rig(ABACUS_DIR, 1);
    lb_kv_room room = {.n_seq = 1, .n_ctx = 64};
    assert_ok(lb_kv_spec_parse("kv4-kvquant", &s, &err), err);
    assert_null(lb_model_kv_open(r.m, &s, &room, &err));
    assert_true(err.code == LB_EUSAGE && strstr(err.msg, "layer 0") && strstr(err.msg, "lowbit quantize --kv kv4-kvquant"));
    float *bad = calloc((size_t)(2 * r.m->cfg.n_kv * r.m->cfg.d_head), sizeof *bad);
    bad[3] = 1;                                          /* lowest above highest */
    for (int i = 0; i < r.m->cfg.n_layer; i++) r.m->layers[i].k_range = bad;
    assert_null(lb_model_kv_open(r.m, &s, &room, &err));
    assert_true(err.code == LB_EFORMAT && strstr(err.msg, "channel 3"));
    lb_transform t = {.kind = LB_TRANSFORM_HADAMARD, .k = 64, .block = 64, .m = 1};
    r.m->layers[2].q_rope = r.m->layers[2].k_rope = &t;
    assert_ok(lb_kv_spec_parse("kv4-quarot", &s, &err), err);
    assert_null(lb_model_kv_open(r.m, &s, &room, &err));
    assert_true(err.code == LB_EUSAGE && strstr(err.msg, "layer 2"));
    free(bad);
    close_rig(r);
}

/* What a position takes: codes, scales, and nothing hidden. */
static void sizes(void **state)
{
    (void)state;
    static const struct { const char *name; double bits; } want[] = {  /* per number, heads of 128; tokens carry 24 bits of scale */
        {"bf16", 16}, {"f32", 32}, {"kv8", 8.25}, {"kv4", 4.25}, {"kv3", 3.25}, {"kv2", 2.25},
        {"kv4-kvquant", 4.125}, {"kv2-kivi", 2.625}};
    lb_config c = {.n_layer = 3, .n_kv = 5, .d_head = 128, .n_head = 10};
    for (int i = 0; i < 8; i++) {
        lb_kv_spec s;
        lb_err err = {0};
        assert_ok(lb_kv_spec_parse(want[i].name, &s, &err), err);
        double per = lb_kv_position_bytes(&c, &s), expect = want[i].bits / 8 * 2 * 128 * 5 * 3;
        if (fabs(per - expect) > 1e-9) fail_msg("%s takes %g bytes a position, wanted %g", want[i].name, per, expect);
        lb_kv_room room = {.n_seq = 2, .n_ctx = 70, .n_chunk = 32};
        size_t ring = s.window ? 2 * (size_t)lb_kv_ring_pages(s.window, 32) * 32 * 2 * 2 * 128 * 5 * 3 : 0;
        assert_int_equal(lb_kv_bytes(&c, &s, &room), (size_t)(per * 32 * 6) + ring);
    }
    lb_config vast = {.n_layer = INT32_MAX, .n_kv = 1 << 20, .d_head = 1 << 10, .n_head = 1 << 20};
    assert_true(lb_kv_bytes(&vast, &(lb_kv_spec){.bits = 4}, &(lb_kv_room){.n_seq = 1 << 20, .n_ctx = 1 << 20}) == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_back), cmocka_unit_test(bad_names_are_explained),
        cmocka_unit_test(keys_before_rope_are_the_same_keys), cmocka_unit_test(error_falls_with_bits),
        cmocka_unit_test(chunks_same_bits), cmocka_unit_test(batches_same_text),
        cmocka_unit_test(what_does_not_go_with_a_model), cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
