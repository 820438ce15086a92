/* test_quantize.c – a whole model through the driver: what transforms must not change, what solvers must improve, that a run
 * which stopped goes on to the same bytes, and what is refused. */
#include "test.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/compress.h"
#include "infer/compare.h"
#include "num/tile.h"
#include "quant/parts.h"
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define MODELS "tests/golden/data/models/"
enum { N_SEQ = 8, N_TOK = 48, MAX_VOCAB = 1000 };

static char tmp[] = "/tmp/lowbit-quantize-XXXXXX";
static lb_exec *ex;
static int ids[N_SEQ * N_TOK];

static void fill_ids(int n_vocab)
{
    for (int i = 0; i < N_SEQ * N_TOK; i++)
        ids[i] = (int)(lb_rng_uniform(lb_rng_key_of(9, 0, 0), (uint64_t)i) * n_vocab);
}

static void remove_tree(const char *path)
{
    char cmd[600];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", path);
    assert_int_equal(system(cmd), 0);
}

static int setup(void **state)
{
    (void)state;
    lb_err e = {0};
    ex = mkdtemp(tmp) ? lb_exec_open(&(lb_exec_opt){.n_thread = 2}, &e) : NULL;
    return ex ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    lb_exec_close(ex);
    remove_tree(tmp);
    return 0;
}

/* Quantizes a fixture by method and scheme into a fresh folder, whose name goes to out. */
static bool quantize(const char *model, const char *method, const char *scheme, const char *kv, char out[200], lb_err *e)
{
    static int number;
    lb_compress_spec s = {.method = method, .scheme = scheme, .kv = kv};
    lb_compress c;
    lb_config cfg;
    lb_quantize_report rep;
    assert_ok(lb_config_load(&cfg, model, e), *e);
    fill_ids(cfg.n_vocab);
    lb_config_free(&cfg);
    snprintf(out, 200, "%s/q%d", tmp, number++);
    bool ok = lb_compress_parse(&c, &s, e);
    c.opt.calib = ids, c.opt.n_seq = N_SEQ, c.opt.seqlen = N_TOK;
    ok = ok && lb_quantize(model, out, &c.opt, ex, &rep, e);
    lb_compress_free(&c);
    return ok;
}

/* Largest difference of the logits of two folders over the windows, relative to the largest logit. kv: of both. */
static double distance(const char *a, const char *b, const char *kv)
{
    lb_err e = {0};
    double worst = 0, most = 0;
    int pos[N_TOK], seq[N_TOK] = {0};
    lb_model *m[2] = {lb_model_open(a, ex, &e), NULL};
    if (m[0]) m[1] = lb_model_open(b, ex, &e);
    assert_ok(m[1] != NULL, e);
    int n_vocab = m[0]->cfg.n_vocab;
    float *first = lb_alloc((size_t)N_TOK * (size_t)n_vocab, sizeof *first, "logits", &e);
    for (int i = 0; i < N_TOK; i++) pos[i] = i;
    for (int i = 0; i < 2; i++) {
        lb_kv_spec spec;
        assert_ok(lb_model_kv_spec(m[i], kv, &spec, &e), e);
        lb_kv *c = lb_model_kv_open(m[i], &spec, &(lb_kv_room){.n_seq = 1, .n_ctx = N_TOK, .n_chunk = N_TOK}, &e);
        lb_forward *f = c ? lb_forward_open(m[i], N_TOK, N_TOK, &e) : NULL;
        const float *logits;
        lb_batch batch = {.n_tok = N_TOK, .ids = ids, .seq = seq, .pos = pos, .n_out = N_TOK, .out = pos};
        assert_ok(f && lb_kv_grow(c, 0, N_TOK) && lb_forward_run(f, c, &batch, &logits, &e), e);
        for (int j = 0; j < N_TOK * n_vocab; j++) {
            if (i == 0) first[j] = logits[j], most = fmax(most, fabs((double)logits[j]));
            else worst = fmax(worst, fabs((double)logits[j] - (double)first[j]));
        }
        lb_forward_close(f);
        lb_kv_close(c);
        lb_model_close(m[i]);
    }
    free(first);
    return worst / most;
}

/* Rotations that are folded and rotations that run online cancel: through files, at 16 (here 32) bits. */
static void transforms_leave_logits_alone(void **state)
{
    (void)state;
    static const struct { const char *model, *method; double bound; } all[] = {
        {MODELS "qwen3-f32", "quarot", 1e-4}, {MODELS "qwen3-f32", "smoothquant", 1e-4}, {MODELS "qwen3-f32", "awq", 1e-4},
        {MODELS "qwen2", "smoothquant", 2e-2}, {MODELS "qwen2", "quarot", 2e-2}, /* bf16 weights are rounded once more */
        {MODELS "qwen3_moe", "smoothquant", 2e-2},
    };
    char out[200];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        lb_err e = {0};
        assert_ok(quantize(all[i].model, all[i].method, "w16", NULL, out, &e), e);
        double d = distance(all[i].model, out, "f32");
        if (d > all[i].bound) fail_msg("%s of %s moves logits by %g", all[i].method, all[i].model, d);
        remove_tree(out);
    }
}

/* Replaces every packed linear of a model by the floats that it stands for. */
static void unpack_all(lb_model *m, lb_blocks *own)
{
    lb_err e = {0};
    for (int i = 0; i < m->cfg.n_layer; i++) {
        lb_layer *l = &m->layers[i];
        lb_linear *all[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
        for (int j = 0; j < 7; j++) {
            lb_mat *w = &all[j]->w;
            assert_true(w->num->grouped);
            float *f = lb_alloc((size_t)w->n * (size_t)w->k, sizeof *f, "a weight", &e);
            assert_ok(lb_grow(&own->p, &own->cap, own->n + 1, sizeof *own->p, "weights", &e), e);
            own->p[own->n++] = f;
            for (int r = 0; r < w->n; r++) w->num->decode(w, r, 0, w->k, f + (size_t)r * (size_t)w->k);
            *w = (lb_mat){.num = lb_num_of_dtype(LB_F32), .n = w->n, .k = w->k, .data = f};
        }
    }
}

static lb_compare_result compare(lb_model *a, lb_model *b)
{
    lb_err e = {0};
    lb_text_ids t[N_SEQ];
    lb_compare_result r;
    for (int i = 0; i < N_SEQ; i++) t[i] = (lb_text_ids){.ids = ids + i * N_TOK, .n = N_TOK};
    assert_ok(lb_compare(a, b, t, N_SEQ, &(lb_compare_opt){.mark = -1}, &r, &e), e);
    return r;
}

/* A packed model computes what its dequantized weights compute, up to the rounding of additions. */
static void packed_is_what_it_stands_for(void **state)
{
    (void)state;
    static const char *const schemes[] = {"w4g128", "w3g64", "w2g128", "w2g128h", "w2a8g-1h", "w8a8", "w4a4", "mxfp4", "nvfp4"};
    char out[200];
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        lb_err e = {0};
        lb_blocks own = {0};
        assert_ok(quantize(ABACUS_DIR, "rtn", schemes[i], NULL, out, &e), e);
        lb_model *a = lb_model_open(out, ex, &e), *b = a ? lb_model_open(out, ex, &e) : NULL;
        assert_ok(b != NULL, e);
        unpack_all(b, &own);
        lb_compare_result r = compare(a, b);
        /* 16-bit integer activations in the one, f32 in the other; a sum that rounds the other way can move a 4-bit
         * activation by a step, rarely */
        bool acts = strstr(schemes[i], "a4") || strstr(schemes[i], "a8");
        if (strchr(schemes[i], 'h')) assert_ptr_equal(a->layers[0].down.w.num, &lb_num_int2h);
        if (r.kl.mean > (acts ? 2e-3 : 2e-5)) fail_msg("%s: KL %g", schemes[i], r.kl.mean);
        lb_model_close(a);
        lb_model_close(b);
        lb_blocks_free(&own);
        remove_tree(out);
    }
}

static double kl_of(const char *method, const char *scheme, const char *kv)
{
    lb_err e = {0};
    char out[200];
    assert_ok(quantize(ABACUS_DIR, method, scheme, kv, out, &e), e);
    lb_model *a = lb_model_open(ABACUS_DIR, ex, &e), *b = a ? lb_model_open(out, ex, &e) : NULL;
    assert_ok(b != NULL, e);
    double kl = compare(a, b).kl.mean;
    lb_model_close(a);
    lb_model_close(b);
    remove_tree(out);
    return kl;
}

/* On the text that they were calibrated with, methods do better than rounding, and by a margin. */
static void methods_improve_on_rounding(void **state)
{
    (void)state;
    double rtn = kl_of("rtn", "w2g128", NULL), gptq = kl_of("gptq", "w2g128", NULL), awq = kl_of("awq", "w2g128", NULL);
    if (!(gptq < 0.7 * rtn)) fail_msg("w2g128: KL %g by rtn, %g by gptq", rtn, gptq);
    double half = kl_of("gptq", "w2g128h", NULL), half_rtn = kl_of("rtn", "w2g128h", NULL);
    if (!(half < 0.7 * half_rtn)) fail_msg("w2g128h: KL %g by rtn, %g by gptq", half_rtn, half);
    if (!(awq < rtn)) fail_msg("w2g128: KL %g by rtn, %g by awq", rtn, awq);
    double kv = kl_of("rtn", "w16", "kv2"), kivi = kl_of("rtn", "w16", "kv2-kivi"), kvq = kl_of("rtn", "w16", "kv2-kvquant");
    if (!(kivi < kv && kvq < kv)) fail_msg("kv2: KL %g per token, %g kivi, %g kvquant", kv, kivi, kvq);
}

static bool same_file(const char *a, const char *b, const char *name)
{
    lb_err e = {0};
    char pa[300], pb[300];
    size_t na = 0, nb = 0;
    snprintf(pa, sizeof pa, "%s/%s", a, name);
    snprintf(pb, sizeof pb, "%s/%s", b, name);
    char *ta = lb_file_read(pa, 1 << 28, &na, &e), *tb = ta ? lb_file_read(pb, 1 << 28, &nb, &e) : NULL;
    assert_ok(tb != NULL, e);
    bool same = na == nb && memcmp(ta, tb, na) == 0;
    free(ta);
    free(tb);
    return same;
}

/* Asks a run to stop as soon as it has finished a layer. */
typedef struct stopper {
    char path[300];
    volatile int stop, done;
} stopper;

static void *watch(void *arg)
{
    stopper *s = arg;
    while (!s->done && !lb_file_exists(s->path)) nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    s->stop = 1;
    return NULL;
}

/* Runs until layer `last` is finished; false because it was stopped then. */
static bool run_until(lb_compress *c, const char *out, int last, lb_quantize_report *rep, lb_err *e)
{
    pthread_t t;
    stopper s = {0};
    snprintf(s.path, sizeof s.path, "%s.partial/layer-%05d.json", out, last);
    assert_int_equal(pthread_create(&t, NULL, watch, &s), 0);
    c->opt.stop = &s.stop;
    bool ok = lb_quantize(ABACUS_DIR, out, &c->opt, ex, rep, e);
    s.done = 1;
    pthread_join(t, NULL);
    c->opt.stop = NULL;
    return ok;
}

static void a_stopped_run_goes_on_to_the_same_bytes(void **state)
{
    (void)state;
    lb_err e = {0};
    char want[200], out[200], partial[220];
    assert_ok(quantize(ABACUS_DIR, "smoothquant+gptq", "w4a8kv8", NULL, want, &e), e);
    lb_compress_spec s = {.method = "smoothquant+gptq", .scheme = "w4a8kv8"};
    lb_compress c;
    lb_quantize_report rep;
    snprintf(out, sizeof out, "%s/resumed", tmp);
    snprintf(partial, sizeof partial, "%s.partial", out);
    assert_ok(lb_compress_parse(&c, &s, &e), e);
    c.opt.calib = ids, c.opt.n_seq = N_SEQ, c.opt.seqlen = N_TOK;
    for (int layer = 0; layer < 4; layer += 3) {
        if (run_until(&c, out, layer, &rep, &e)) break; /* it was quicker than the watch; then there is nothing to resume */
        assert_int_equal(e.code, LB_ESTOPPED);
        assert_false(lb_file_exists(out));
        assert_true(lb_file_exists(partial));
    }
    if (!lb_file_exists(out)) {
        assert_ok(lb_quantize(ABACUS_DIR, out, &c.opt, ex, &rep, &e), e);
        assert_true(rep.n_reused >= 1);
    }
    assert_true(same_file(want, out, "model.safetensors") && same_file(want, out, "config.json") &&
                same_file(want, out, "lowbit-quantize.json"));
    assert_false(lb_file_exists(partial));
    lb_compress_free(&c);
}

/* Another plan does not go on with these layers, and does not throw them away. */
static void layers_of_another_plan_are_left_alone(void **state)
{
    (void)state;
    lb_err e = {0};
    char out[200], path[300];
    lb_compress_spec s[2] = {{.method = "gptq", .scheme = "w4g128"}, {.method = "gptq", .scheme = "w3g128"}};
    lb_compress c;
    lb_quantize_report rep;
    snprintf(out, sizeof out, "%s/planned", tmp);
    snprintf(path, sizeof path, "%s.partial/layer-00000.json", out);
    fill_ids(MAX_VOCAB);
    assert_ok(lb_compress_parse(&c, &s[0], &e), e);
    c.opt.calib = ids, c.opt.n_seq = N_SEQ, c.opt.seqlen = N_TOK;
    bool whole = run_until(&c, out, 0, &rep, &e);
    lb_compress_free(&c);
    if (whole) skip(); /* it was quicker than the watch */
    assert_ok(lb_compress_parse(&c, &s[1], &e), e);
    c.opt.calib = ids, c.opt.n_seq = N_SEQ, c.opt.seqlen = N_TOK;
    for (int i = 0; i < 2; i++) { /* twice: a refusal does not keep the lock */
        e = (lb_err){0};
        assert_false(lb_quantize(ABACUS_DIR, out, &c.opt, ex, &rep, &e));
    }
    lb_compress_free(&c);
    assert_int_equal(e.code, LB_EUSAGE);
    assert_non_null(strstr(e.msg, "scheme differs"));
    assert_true(lb_file_exists(path));
}

static void bad_input_is_named(void **state)
{
    (void)state;
    static const struct { const char *model, *method, *scheme, *kv, *what; lb_code code; } all[] = {
        {ABACUS_DIR, "gptq+rtn", "w4", NULL, "nothing can follow gptq", LB_EUSAGE},
        {ABACUS_DIR, "magic", "w4", NULL, "not known", LB_EUSAGE},
        {ABACUS_DIR, "flatquant", "w4g128", NULL, "g-1s", LB_EUSAGE},
        {ABACUS_DIR, "rtn", "w4kv4", "kv3", "4 bits by the scheme and 3", LB_EUSAGE},
        {ABACUS_DIR, "awq", "w4a4", "kvx", "not known", LB_EUSAGE},
        {ABACUS_DIR, "rtn", "w4g512", NULL, "group 512 is longer", LB_EUSAGE},
        {ABACUS_DIR, "autoround", "mxfp4", NULL, "integer codes", LB_EUNSUPPORTED},
        {ABACUS_DIR, "hqq", "w2g128h", NULL, "method hqq knows no balanced grid", LB_EUNSUPPORTED},
        {ABACUS_DIR, "awq+gptq", "w2g128h", NULL, "method awq knows no balanced grid", LB_EUNSUPPORTED},
        {ABACUS_DIR, "rtn", "w4g128h", NULL, "2 bits, not 4", LB_EUSAGE},
        {MODELS "qwen3_moe", "autoround", "w4g32", NULL, "experts", LB_EUNSUPPORTED},
        {MODELS "qwen3-f32", "quarot+quarot", "w4a4", NULL, "another method of the chain", LB_EUSAGE},
        {MODELS "qwen3-f32", "quarot+flatquant", "w4a4", NULL, "another method of the chain", LB_EUSAGE},
        {MODELS "qwen3-f32", "flatquant+quarot", "w4a4", NULL, "another method of the chain", LB_EUSAGE},
        {MODELS "qwen3-f32", "quarot+smoothquant", "w4a4", NULL, "cannot follow quarot", LB_EUSAGE},
        {MODELS "qwen3-f32", "flatquant", "w4a4kv4", "kv4-quarot", "does not go with", LB_EUSAGE},
        {MODELS "qwen3-ct-w3g32", "rtn", "w4g32", NULL, "quantized already", LB_EUNSUPPORTED},
    };
    char out[200];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        lb_err e = {0};
        assert_false(quantize(all[i].model, all[i].method, all[i].scheme, all[i].kv, out, &e));
        if (e.code != all[i].code || !strstr(e.msg, all[i].what))
            fail_msg("%s %s: '%s' (%d), wanted '%s'", all[i].method, all[i].scheme, e.msg, (int)e.code, all[i].what);
        assert_false(lb_file_exists(out));
    }
}

/* A tiny model by rtn (or the method) with one rule and a clip. */
static bool with_rule(const char *method, const char *scheme, const char *rule, double clip, const char *out, lb_err *e)
{
    lb_compress_spec s = {.method = method, .scheme = scheme, .tensor = {rule}, .n_tensor = rule != NULL, .act_clip = clip};
    lb_compress c;
    lb_quantize_report rep;
    fill_ids(320);
    bool ok = lb_compress_parse(&c, &s, e);
    c.opt.calib = ids, c.opt.n_seq = N_SEQ, c.opt.seqlen = N_TOK;
    ok = ok && lb_quantize(MODELS "qwen3-f32", out, &c.opt, ex, &rep, e);
    lb_compress_free(&c);
    return ok;
}

/* What could not be read back, or is not what the rule says, is refused before anything is computed. */
static void rules_are_checked(void **state)
{
    (void)state;
    static const struct { const char *method, *scheme, *rule, *what; double clip; } all[] = {
        {"rtn", "w4g32", "lm_head=mxfp4", "integer formats", 0},
        {"hqq", "w4g32", "down_proj=mxfp4", "integer codes", 0},
        {"rtn", "w4g32", "down_proj=w8a8", "how weights are stored", 0},
        {"rtn", "w4g32", "down_proj=w8kv4g32", "how weights are stored", 0},
        {"rtn", "w4g32", "\xff=w8g32", "not UTF-8", 0},
        {"rtn", "mxfp4a4", NULL, "takes none", 0.9},
    };
    char out[200];
    snprintf(out, sizeof out, "%s/refused", tmp);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        lb_err e = {0};
        assert_false(with_rule(all[i].method, all[i].scheme, all[i].rule, all[i].clip, out, &e));
        if (!strstr(e.msg, all[i].what)) fail_msg("case %zu: '%s' (%d), wanted '%s'", i, e.msg, (int)e.code, all[i].what);
        assert_false(lb_file_exists(out));
    }
}

/* Linears that a rule leaves at 16 bits: by themselves, among rotated ones, and in a block that is solved together. */
static void some_linears_may_stay(void **state)
{
    (void)state;
    static const struct { const char *method, *scheme, *rule; } all[] = {
        {"autoround", "w8g32", "down_proj|k_proj=w16"}, {"quarot", "w8g32", "q_proj|up_proj=w16"}, {"gptq", "w8g32", "k_proj|up_proj=w16"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char out[200];
        lb_err e = {0};
        snprintf(out, sizeof out, "%s/mixed%zu", tmp, i);
        assert_ok(with_rule(all[i].method, all[i].scheme, all[i].rule, 0, out, &e), e);
        double d = distance(MODELS "qwen3-f32", out, "f32");
        if (!(d < 0.1)) fail_msg("%s with %s moves logits by %g", all[i].method, all[i].rule, d);
    }
}

#define NO_HASH "\"hash\": \"00000000000000000000000000000000\"" /* of no tensors */

/* What lies in OUT.partial need not be what a run has left there. */
static void leftovers_are_not_trusted(void **state)
{
    (void)state;
    static const struct { const char *method, *record, *what; } all[] = {
        {"rtn", "{}", "not what its record says"},
        {"rtn", "[]", "not what its record says"},
        {"gptq", "{\"hash\": 0, \"modules\": []}", "not what its record says"},
        {"rtn", "{\"modules\": [", "layer-00000.json"},
        {"rtn", "{" NO_HASH "}", "record of layer 0 is broken"},
        {"rtn", "{" NO_HASH ", \"modules\": []}", "is missing"},
        {"gptq", "{" NO_HASH ", \"modules\": []}", "no tensor"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char out[200], path[300];
        lb_err e = {0};
        snprintf(out, sizeof out, "%s/left%zu", tmp, i);
        snprintf(path, sizeof path, "%s.partial", out);
        assert_ok(lb_mkdirs(path, &e), e);
        snprintf(path, sizeof path, "%s.partial/layer-00000.safetensors", out);
        assert_ok(lb_parts_write(&(lb_parts){0}, path, &e), e);
        snprintf(path, sizeof path, "%s.partial/layer-00000.json", out);
        assert_ok(lb_write_file(path, all[i].record, strlen(all[i].record), &e), e);
        assert_false(with_rule(all[i].method, "w4g32", NULL, 0, out, &e));
        if (!strstr(e.msg, all[i].what)) fail_msg("case %zu: '%s' (%d), wanted '%s'", i, e.msg, (int)e.code, all[i].what);
        assert_false(lb_file_exists(out));
    }
}

/* Replaces every `was` in a file by as many bytes. */
static void overwrite(const char *path, const char *was, const char *now)
{
    lb_err e = {0};
    size_t n = 0, len = strlen(was), found = 0;
    char *text = lb_file_read(path, 1 << 24, &n, &e);
    assert_non_null(text);
    assert_int_equal(len, strlen(now));
    for (size_t i = 0; i + len <= n; i++)
        if (memcmp(text + i, was, len) == 0) memcpy(text + i, now, len), found++;
    assert_true(found > 0);
    assert_ok(lb_write_file(path, text, n, &e), e);
    free(text);
}

/* Online transforms of a folder that somebody else has changed. */
static void hostile_transforms_are_named(void **state)
{
    (void)state;
    static const struct { const char *file, *was, *now, *what; } all[] = {
        {"model.safetensors", "[4,4]", "[8,2]", "square"},
        {"model.safetensors", "[4,4]", "[2,8]", "square"},
        {"model.safetensors", "lowbit.o.a", "lowbit.o.x", "neither"},
        {"model.safetensors", "lowbit.o.a", "lowbit.o.b", NULL}, /* 16 × 4 in place of 4 × 16 */
        {"config.json", "\"kron\"", "\"none\"", NULL},
        {"config.json", "\"down\": \"hadamard\"", "\"down\":    \"scale\"", "without numbers"},
        {"config.json", "\"version\": 1", "\"version\": 2", "version 1"},
        {"config.json", "\"bits\": 8", "\"bits\": 7", "7-bit"},
        {"config.json", "\"clip\":", "\"club\":", "club"},
    };
    char out[200], path[300], cmd[700];
    lb_err e = {0};
    assert_ok(quantize(MODELS "qwen3-f32", "quarot", "w8a8", NULL, out, &e), e);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        e = (lb_err){0};
        snprintf(path, sizeof path, "%s/hostile%zu", tmp, i);
        snprintf(cmd, sizeof cmd, "cp -r '%s' '%s'", out, path);
        assert_int_equal(system(cmd), 0);
        snprintf(path, sizeof path, "%s/hostile%zu/%s", tmp, i, all[i].file);
        overwrite(path, all[i].was, all[i].now);
        snprintf(path, sizeof path, "%s/hostile%zu", tmp, i);
        lb_model *m = lb_model_open(path, ex, &e);
        if ((m != NULL) != (all[i].what == NULL) || (all[i].what && !strstr(e.msg, all[i].what)))
            fail_msg("case %zu: '%s', wanted '%s'", i, e.msg, all[i].what ? all[i].what : "nothing");
        lb_model_close(m);
    }
}

static void calibration_is_checked(void **state)
{
    (void)state;
    lb_compress_spec s = {.method = "gptq", .scheme = "w4g128"};
    lb_compress c;
    lb_quantize_report rep;
    lb_err e = {0};
    char out[200];
    snprintf(out, sizeof out, "%s/never", tmp);
    fill_ids(MAX_VOCAB);
    assert_ok(lb_compress_parse(&c, &s, &e), e);
    assert_false(lb_quantize(ABACUS_DIR, out, &c.opt, ex, &rep, &e)); /* none at all */
    assert_true(e.code == LB_EUSAGE && strstr(e.msg, "--calib"));
    c.opt.calib = ids, c.opt.n_seq = 1, c.opt.seqlen = 1 << 20;
    assert_false(lb_quantize(ABACUS_DIR, out, &c.opt, ex, &rep, &e));
    assert_true(e.code == LB_EUSAGE && strstr(e.msg, "context"));
    c.opt.n_seq = N_SEQ, c.opt.seqlen = N_TOK;
    ids[77] = 1 << 20;
    assert_false(lb_quantize(ABACUS_DIR, out, &c.opt, ex, &rep, &e));
    assert_true(e.code == LB_EUSAGE && strstr(e.msg, "token 77"));
    c.opt.n_seq = 1 << 24, c.opt.seqlen = 64; /* more than any machine: refused before a token is read */
    assert_false(lb_quantize(ABACUS_DIR, out, &c.opt, ex, &rep, &e));
    assert_false(lb_file_exists(out));
    lb_compress_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transforms_leave_logits_alone),
        cmocka_unit_test(packed_is_what_it_stands_for),
        cmocka_unit_test(methods_improve_on_rounding),
        cmocka_unit_test(a_stopped_run_goes_on_to_the_same_bytes),
        cmocka_unit_test(layers_of_another_plan_are_left_alone),
        cmocka_unit_test(bad_input_is_named),
        cmocka_unit_test(rules_are_checked),
        cmocka_unit_test(some_linears_may_stay),
        cmocka_unit_test(leftovers_are_not_trusted),
        cmocka_unit_test(hostile_transforms_are_named),
        cmocka_unit_test(calibration_is_checked),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
