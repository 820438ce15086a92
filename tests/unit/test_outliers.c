/* test_outliers.c – channel maxima: known outliers, a model against itself, rotation, threads and chunks, bad input. */
#include "test.h"
#include "base/rng.h"
#include "infer/outliers.h"
#include "model/forward.h"
#include "quant/quantize.h"

enum { N_TEXT = 3, LEN = 60, PLACES = 9 };
static int ids[N_TEXT][LEN];
static lb_text_ids texts[N_TEXT];
static char dir[] = "/tmp/lb-outliers-XXXXXX";

static lb_model *open_model(const char *path, int threads, lb_exec **ex)
{
    lb_err e = {0};
    *ex = lb_exec_open(&(lb_exec_opt){.n_thread = threads}, &e);
    lb_model *m = *ex ? lb_model_open(path, *ex, &e) : NULL;
    if (!m) fail_msg("%s", e.msg);
    return m;
}

static void close_model(lb_model *m, lb_exec *ex)
{
    lb_model_close(m);
    lb_exec_close(ex);
}

static int make(void **state)
{
    (void)state;
    for (int t = 0; t < N_TEXT; t++) {
        for (int i = 0; i < LEN; i++)
            ids[t][i] = (int)(lb_rng_uniform(lb_rng_key_of(3, (uint64_t)t, 0), (uint64_t)i) * 200);
        texts[t] = (lb_text_ids){ids[t], LEN - 17 * t, 0};
    }
    return mkdtemp(dir) ? 0 : -1;
}

static int clean(void **state)
{
    (void)state;
    char cmd[100];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

static const lb_outlier *find(const lb_outliers *x, int layer, lb_outlier_kind kind, const char *site)
{
    for (int i = 0; i < x->n; i++)
        if (x->p[i].layer == layer && x->p[i].kind == kind && strcmp(x->p[i].site, site) == 0) return &x->p[i];
    fail_msg("nothing of layer %d, kind %d, site %s", layer, (int)kind, site);
    return NULL;
}

/* Every place is there once, in order, with experts as well, and a model is as itself. */
static void a_model_equals_itself(void **state)
{
    (void)state;
    static const char *const models[] = {ABACUS_DIR, "tests/golden/data/models/qwen3_moe-mixed"};
    for (int i = 0; i < 2; i++) {
        lb_err e = {0};
        lb_exec *ex;
        lb_model *m = open_model(models[i], 2, &ex);
        lb_outliers x;
        assert_ok(lb_outliers_run(m, m, texts, N_TEXT, &(lb_outliers_opt){0}, &x, &e), e);
        assert_int_equal(x.n, m->cfg.n_layer * PLACES);
        for (int j = 0; j < x.n; j++) {
            const lb_spread *a = &x.p[j].before;
            assert_int_equal(x.p[j].layer, j / PLACES);
            assert_memory_equal(a, &x.p[j].after, sizeof *a);
            assert_true(a->p50 > 0 && a->p50 <= a->p90 && a->p90 <= a->p99 && a->p99 <= a->max);
        }
        lb_outliers_free(&x);
        close_model(m, ex);
    }
}

/* By hand: the keys of layer 0, and the weights of its o. */
static void maxima_are_those_of_rows_and_weights(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_exec *ex;
    lb_model *m = open_model(ABACUS_DIR, 2, &ex);
    lb_outliers x;
    assert_ok(lb_outliers_run(m, m, texts, 1, &(lb_outliers_opt){0}, &x, &e), e);
    lb_kv *kv = lb_kv_open(ex, &m->cfg, "bf16", 1, LEN, 0, &e);
    lb_forward *f = lb_forward_open(m, LEN, 1, &e);
    assert_true(kv && f && lb_kv_grow(kv, 0, LEN));
    int seq[LEN] = {0}, pos[LEN], width;
    for (int i = 0; i < LEN; i++) pos[i] = i;
    lb_forward_start(f, kv, &(lb_batch){.n_tok = LEN, .ids = ids[0], .seq = seq, .pos = pos});
    for (lb_part p = 0; p <= LB_PART_ATTN; p++) lb_forward_part(f, 0, p);
    const float *k = lb_forward_rows(f, LB_ROWS_K, &width);
    float top = 0;
    for (int i = 0; i < LEN * width; i++) top = fmaxf(top, fabsf(k[i]));
    assert_true(find(&x, 0, LB_OUT_KEYS, "k")->before.max == (double)top);
    const lb_mat *o = &m->layers[0].o.w;
    float *row = malloc((size_t)o->k * sizeof *row);
    top = 0;
    for (int r = 0; r < o->n; r++) {
        o->num->decode(o, r, 0, o->k, row);
        for (int c = 0; c < o->k; c++) top = fmaxf(top, fabsf(row[c]));
    }
    assert_true(find(&x, 0, LB_OUT_WEIGHTS, "o")->before.max == (double)top);
    free(row);
    lb_forward_close(f);
    lb_kv_close(kv);
    lb_outliers_free(&x);
    close_model(m, ex);
}

/* One channel of a norm times 100: its maximum at the input behind it, and nothing else of that layer before it. */
static void a_planted_channel_shows(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_exec *ex, *ex2;
    lb_model *m = open_model(ABACUS_DIR, 2, &ex), *other = open_model(ABACUS_DIR, 2, &ex2);
    enum { LAYER = 2, AT = 17 };
    size_t d = (size_t)m->cfg.d_model;
    float *norm = malloc(d * sizeof *norm);
    memcpy(norm, m->layers[LAYER].attn_norm, d * sizeof *norm);
    norm[AT] *= 100;
    other->layers[LAYER].attn_norm = norm;
    lb_outliers x;
    assert_ok(lb_outliers_run(m, other, texts, N_TEXT, &(lb_outliers_opt){0}, &x, &e), e);
    const lb_outlier *q = find(&x, LAYER, LB_OUT_ACTIVATIONS, "qkv");
    assert_true(q->after.max > 5 * q->before.max && q->after.max > 20 * q->after.p50);
    assert_true(q->after.p50 >= q->before.p50 && q->after.p50 < 1.2 * q->before.p50);
    for (int i = 0; i < LAYER * PLACES; i++) assert_memory_equal(&x.p[i].before, &x.p[i].after, sizeof(lb_spread));
    for (int i = 0; i < x.n; i++)
        if (x.p[i].kind == LB_OUT_WEIGHTS) assert_true(x.p[i].before.max == x.p[i].after.max);
    lb_outliers_free(&x);
    norm[AT] = NAN;
    assert_false(lb_outliers_run(m, other, texts, N_TEXT, &(lb_outliers_opt){0}, &x, &e));
    assert_int_equal(e.code, LB_ENUMERIC);
    if (!strstr(e.msg, "layer 2: channel 0 of the activations at 'o' is not finite") &&
        !strstr(e.msg, "layer 2: channel 17 of the activations at 'qkv' is not finite")) fail_msg("%s", e.msg);
    assert_int_equal(x.n, 0);
    close_model(m, ex);
    close_model(other, ex2);
    free(norm);
}

static void quantize(const char *to, const char *method, const char *scheme)
{
    lb_err e = {0};
    lb_exec *ex = lb_exec_open(&(lb_exec_opt){.n_thread = 2}, &e);
    lb_quantize_opt o = {0};
    lb_quantize_report rep;
    assert_ok(lb_chain_parse(method, &o.chain, &e) && lb_scheme_parse(scheme, &o.scheme, &e), e);
    assert_ok(lb_quantize(ABACUS_DIR, to, &o, ex, &rep, &e), e);
    lb_exec_close(ex);
}

/* QuaRot spreads what stands out: at the input of down and in the keys the largest channel comes nearer to the median in
 * every layer. The same numbers on any number of threads, and whatever order the texts come in. */
static void rotation_brings_the_largest_channels_down(void **state)
{
    (void)state;
    lb_err e = {0};
    char rotated[100];
    snprintf(rotated, sizeof rotated, "%s/quarot", dir);
    quantize(rotated, "quarot+rtn", "w8a8kv8");
    lb_outliers x[2];
    for (int i = 0; i < 2; i++) {
        lb_exec *ex, *ex2;
        lb_model *m = open_model(ABACUS_DIR, i + 1, &ex), *q = open_model(rotated, i + 1, &ex2);
        lb_text_ids order[N_TEXT];
        for (int t = 0; t < N_TEXT; t++) order[t] = texts[i ? N_TEXT - 1 - t : t];
        assert_ok(lb_outliers_run(m, q, order, N_TEXT, &(lb_outliers_opt){0}, &x[i], &e), e);
        close_model(m, ex);
        close_model(q, ex2);
    }
    assert_int_equal(x[0].n, x[1].n);
    for (int i = 0; i < x[0].n; i++) {
        assert_memory_equal(&x[0].p[i].before, &x[1].p[i].before, sizeof(lb_spread));
        assert_memory_equal(&x[0].p[i].after, &x[1].p[i].after, sizeof(lb_spread));
    }
    for (int l = 0; l < x[0].n / PLACES; l++) {
        const lb_outlier *down = find(&x[0], l, LB_OUT_ACTIVATIONS, "down"), *k = find(&x[0], l, LB_OUT_KEYS, "k");
        double before = down->before.max / down->before.p50, after = down->after.max / down->after.p50;
        if (!(after < 0.7 * before && after > 1)) fail_msg("layer %d, down: %g times the median, then %g", l, before, after);
        before = k->before.max / k->before.p50, after = k->after.max / k->after.p50;
        if (!(after < before)) fail_msg("layer %d, keys: %g times the median, then %g", l, before, after);
    }
    json_t *j = lb_outliers_json(&x[0], "quarot");
    const json_t *sites = json_object_get(j, "sites"), *first = json_array_get(sites, 0);
    assert_int_equal(json_array_size(sites), (size_t)x[0].n);
    assert_string_equal(json_string_value(json_object_get(j, "transform")), "quarot");
    assert_string_equal(json_string_value(json_object_get(first, "kind")), "activations");
    assert_true(json_real_value(json_object_get(json_object_get(first, "after"), "p99")) == x[0].p[0].after.p99);
    json_decref(j);
    lb_outliers_free(&x[0]);
    lb_outliers_free(&x[1]);
}

/* Packed weights are decoded: without clipping, rounding moves the ends of a range by less than a step of 4 bits. */
static void packed_weights_are_decoded(void **state)
{
    (void)state;
    lb_err e = {0};
    char packed[100];
    snprintf(packed, sizeof packed, "%s/rtn", dir);
    quantize(packed, "rtn", "w4g128");
    lb_exec *ex, *ex2;
    lb_model *m = open_model(ABACUS_DIR, 2, &ex), *q = open_model(packed, 2, &ex2);
    lb_outliers x;
    assert_ok(lb_outliers_run(m, q, texts, 1, &(lb_outliers_opt){0}, &x, &e), e);
    for (int i = 0; i < x.n; i++) {
        if (x.p[i].kind != LB_OUT_WEIGHTS) continue;
        double ratio = x.p[i].after.max / x.p[i].before.max;
        if (!(ratio > 0.9 && ratio < 1.1 && ratio != 1)) fail_msg("layer %d, %s: %g", x.p[i].layer, x.p[i].site, ratio);
    }
    lb_outliers_free(&x);
    close_model(m, ex);
    close_model(q, ex2);
}

static void what_cannot_be_measured_is_named(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_exec *ex, *ex2;
    lb_model *m = open_model(ABACUS_DIR, 1, &ex), *other = open_model(ABACUS_DIR, 1, &ex2);
    lb_outliers x;
    static int many[2050];
    lb_text_ids one = {many, 2050, 0};
    assert_false(lb_outliers_run(m, m, &one, 1, &(lb_outliers_opt){0}, &x, &e));
    assert_non_null(strstr(e.msg, "more than the context of 2048"));
    other->cfg.n_layer = 5;
    one.n = 10;
    assert_false(lb_outliers_run(m, other, &one, 1, &(lb_outliers_opt){0}, &x, &e));
    assert_non_null(strstr(e.msg, "5 layers"));
    other->cfg.n_layer = 6;
    assert_false(lb_outliers_run(m, other, &one, 1, &(lb_outliers_opt){.kv_quant = "kv5"}, &x, &e));
    assert_non_null(strstr(e.msg, "kv5"));
    volatile sig_atomic_t stop = 1;
    assert_false(lb_outliers_run(m, other, &one, 1, &(lb_outliers_opt){.stop = &stop}, &x, &e));
    assert_int_equal(e.code, LB_ESTOPPED);
    close_model(m, ex);
    close_model(other, ex2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_equals_itself),
        cmocka_unit_test(maxima_are_those_of_rows_and_weights),
        cmocka_unit_test(a_planted_channel_shows),
        cmocka_unit_test(rotation_brings_the_largest_channels_down),
        cmocka_unit_test(packed_weights_are_decoded),
        cmocka_unit_test(what_cannot_be_measured_is_named),
    };
    return cmocka_run_group_tests(tests, make, clean);
}
