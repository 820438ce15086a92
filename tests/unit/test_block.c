/* test_block.c – blocks as floats, and the methods that move numbers inside them: at 16 bits the logits stay. */
#include "test.h"
#include "base/rng.h"
#include "model/forward.h"
#include "quant/microrot.h"
#include "quant/quarot.h"
#include "quant/smoothquant.h"

#define MODELS "tests/golden/data/models/"
static const char *const NAMES[] = {
    "qwen3",        "qwen3-f32",    "qwen3-sharded", "qwen2",           "qwen2-yarn", "llama-f16",
    "llama-linear", "llama-llama3", "qwen3_moe",     "qwen3_moe-mixed", "abacus-5m",  NULL,
};
enum { N_TOK = 40, MAX_LAYER = 8 };

/* ---- a model whose layers run on blocks ---- */
typedef struct rig {
    lb_exec *ex;
    lb_model *m;
    lb_qblock blocks[MAX_LAYER];
    float *embed, *head, *ones;  /* rotated copies, or NULL */
} rig;

static rig open_rig(const char *name, int n_thread)
{
    rig r = {0};
    lb_err err = {0};
    char dir[256];
    if (strcmp(name, "abacus-5m") == 0) snprintf(dir, sizeof dir, "%s", ABACUS_DIR);
    else snprintf(dir, sizeof dir, MODELS "%s", name);
    r.ex = lb_exec_open(&(lb_exec_opt){.n_thread = n_thread}, &err);
    assert_ok(r.ex, err);
    r.m = lb_model_open(dir, r.ex, &err);
    assert_ok(r.m, err);
    assert_true(r.m->cfg.n_layer <= MAX_LAYER);
    for (int i = 0; i < r.m->cfg.n_layer; i++)
        assert_ok(lb_qblock_load(&r.blocks[i], &r.m->cfg, r.m->store, i, &err), err);
    return r;
}

static void close_rig(rig *r)
{
    for (int i = 0; i < r->m->cfg.n_layer; i++) lb_qblock_free(&r->blocks[i]);
    lb_model_close(r->m);
    lb_exec_close(r->ex);
    free(r->embed), free(r->head), free(r->ones);
}

static void bind_all(rig *r)
{
    for (int i = 0; i < r->m->cfg.n_layer; i++) lb_qblock_bind(&r->blocks[i], &r->m->layers[i]);
}

/* [N_TOK, n_vocab], to be freed. */
static float *logits_of(rig *r, lb_tap tap)
{
    lb_err err = {0};
    const lb_config *c = &r->m->cfg;
    int ids[N_TOK], seq[N_TOK] = {0}, at[N_TOK], n_vocab = c->n_vocab < 1000 ? c->n_vocab : 1000;
    for (int i = 0; i < N_TOK; i++) ids[i] = (int)(lb_mix64((uint64_t)i) % (uint64_t)n_vocab), at[i] = i;
    lb_kv *kv = lb_kv_open(r->ex, c, "f32", 1, N_TOK, 0, &err);
    assert_ok(kv, err);
    lb_forward *f = lb_forward_open(r->m, N_TOK, N_TOK, &err);
    assert_ok(f, err);
    lb_forward_tap(f, tap);
    assert_true(lb_kv_grow(kv, 0, N_TOK));
    lb_batch b = {.n_tok = N_TOK, .ids = ids, .seq = seq, .pos = at, .n_out = N_TOK, .out = at};
    const float *logits;
    assert_ok(lb_forward_run(f, kv, &b, &logits, &err), err);
    size_t n = N_TOK * (size_t)c->n_vocab;
    float *out = malloc(n * sizeof *out);
    memcpy(out, logits, n * sizeof *out);
    lb_forward_close(f);
    lb_kv_close(kv);
    return out;
}

/* ‖a−b‖/‖b‖ */
static double distance(const float *a, const float *b, size_t n)
{
    double d = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        all += (double)b[i] * (double)b[i];
    }
    return sqrt(d / all);
}

/* Binds the blocks as they are now and compares with the logits before. */
static void same_logits(rig *r, const float *want, const char *name, const char *what)
{
    bind_all(r);
    float *got = logits_of(r, (lb_tap){0});
    double e = distance(got, want, N_TOK * (size_t)r->m->cfg.n_vocab);
    if (!(e <= 1e-4)) fail_msg("%s, %s: logits moved by %.2e, wanted at most 1e-4", name, what, e);
    free(got);
}

static float *positive(size_t n, uint64_t seed)
{
    float *s = malloc(n * sizeof *s);
    for (size_t i = 0; i < n; i++) s[i] = expf(lb_rng_normal(lb_rng_key_of(seed, 0, 0), i));
    return s;
}

/* ---- loading and folding ---- */

static bool count(void *arg, lb_qlinear *l, lb_site site, lb_err *err)
{
    (void)err, (void)site;
    double *n = arg;
    assert_true(l->name && l->w);
    n[0]++;
    n[1] += (double)l->n * l->k;
    return true;
}
static bool count_config(void *arg, const char *name, int layer, int n, int k, lb_err *err)
{
    (void)name, (void)layer, (void)err;
    double *c = arg;
    c[0]++;
    c[1] += (double)n * k;
    return true;
}

/* Loaded blocks compute what the model does, every site can take a scale, gains can move into the linears. */
static void folding_keeps_logits(void **state)
{
    (void)state;
    for (int i = 0; NAMES[i]; i++) {
        rig r = open_rig(NAMES[i], 2);
        lb_err err = {0};
        const lb_config *c = &r.m->cfg;
        float *want = logits_of(&r, (lb_tap){0});
        double have[2] = {0}, wanted[2] = {0};
        lb_config_linears(c, count_config, wanted, NULL);
        same_logits(&r, want, NAMES[i], "loaded");
        for (int l = 0; l < c->n_layer; l++) {
            lb_qblock *b = &r.blocks[l];
            lb_qblock_linears(b, count, have, NULL);
            float *s = positive((size_t)(c->d_model + c->d_ff + c->n_head * c->d_head + c->d_expert), (uint64_t)l);
            assert_ok(lb_qblock_fold_scale(b, LB_SITE_QKV, s, &err), err);
            assert_ok(lb_qblock_fold_scale(b, LB_SITE_MLP, s + 1, &err), err);
            assert_ok(lb_qblock_fold_scale(b, LB_SITE_O, s + 2, &err), err);
            if (!b->experts) assert_ok(lb_qblock_fold_scale(b, LB_SITE_DOWN, s + 3, &err), err);
            for (int e = 0; e < b->n_expert; e++)
                assert_ok(lb_qexpert_fold_scale(&b->experts[e], s + 3 + e, &err), err);
            if (b->experts) {
                assert_false(lb_qblock_fold_scale(b, LB_SITE_DOWN, s, &err));
                assert_non_null(strstr(err.msg, "down"));
            }
            float before = b->q.w[5];
            s[7] = 0;
            assert_false(lb_qblock_fold_scale(b, LB_SITE_QKV, s, &err));
            assert_int_equal(err.code, LB_ENUMERIC);
            assert_non_null(strstr(err.msg, "channel 7"));
            assert_true(b->q.w[5] == before);
            free(s);
        }
        assert_true(have[0] == wanted[0] && have[1] == wanted[1]);
        same_logits(&r, want, NAMES[i], "scaled");
        for (int l = 0; l < c->n_layer; l++) lb_qblock_fold_norms(&r.blocks[l]);
        same_logits(&r, want, NAMES[i], "norms folded");
        for (int j = 0; j < c->d_model; j++) assert_true(r.blocks[0].attn_norm[j] == 1 && r.blocks[0].mlp_norm[j] == 1);
        free(want);
        close_rig(&r);
    }
}

static void loading_fails_clearly(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_qblock b;
    lb_config c;
    assert_ok(lb_config_load(&c, MODELS "qwen3-ct-w3g32", &err), err);
    lb_store *s = lb_store_open(MODELS "qwen3-ct-w3g32", &err);
    assert_ok(s, err);
    assert_false(lb_qblock_load(&b, &c, s, 0, &err));
    assert_int_equal(err.code, LB_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "quantized already"));
    lb_store_close(s);
    s = lb_store_open(MODELS "qwen3", &err);
    assert_ok(s, err);
    assert_false(lb_qblock_load(&b, &c, s, 2, &err));
    assert_non_null(strstr(err.msg, "model.layers.2.input_layernorm.weight"));
    c.d_ff = 97;
    assert_false(lb_qblock_load(&b, &c, s, 0, &err));
    assert_non_null(strstr(err.msg, "[97,64]"));
    lb_store_close(s);
    lb_config_free(&c);
}

/* ---- SmoothQuant ---- */

typedef struct maxima {
    const lb_model *m;
    float *max;                  /* [n_layer, 2, d_model] */
} maxima;

static void see(void *arg, const lb_linear *l, const float *x, int n_tok)
{
    maxima *a = arg;
    int d = a->m->cfg.d_model;
    for (int i = 0; i < a->m->cfg.n_layer; i++) {
        const lb_layer *y = &a->m->layers[i];
        int which = l == &y->q ? 0 : l == (y->experts ? &y->router : &y->gate) ? 1 : -1;
        for (int t = 0; which >= 0 && t < n_tok * d; t++) {
            float *most = &a->max[(2 * i + which) * d + t % d];
            *most = fmaxf(*most, fabsf(x[t]));
        }
    }
}

static float column_max(const lb_qlinear *l, int j, float most)
{
    for (int i = 0; i < l->n; i++) most = fmaxf(most, fabsf(l->w[(size_t)i * (size_t)l->k + (size_t)j]));
    return most;
}

/* Logits stay; at alpha ½ activations and weights then have the same range in every channel, which defines s. */
static void smoothquant_keeps_logits(void **state)
{
    (void)state;
    for (int i = 0; NAMES[i]; i++) {
        rig r = open_rig(NAMES[i], 2);
        lb_err err = {0};
        int d = r.m->cfg.d_model, n_layer = r.m->cfg.n_layer;
        maxima a = {r.m, calloc((size_t)(2 * n_layer * d), 4)};
        float *want = logits_of(&r, (lb_tap){see, &a});
        float alpha = i % 2 ? 0.5f : LB_SMOOTHQUANT_ALPHA;
        for (int l = 0; l < n_layer; l++)
            assert_ok(lb_smoothquant_block(&r.blocks[l], a.max + 2 * l * d, a.max + (2 * l + 1) * d, alpha, &err), err);
        same_logits(&r, want, NAMES[i], "smoothed");
        memset(a.max, 0, (size_t)(2 * n_layer * d) * 4);
        float *again = logits_of(&r, (lb_tap){see, &a});
        for (int j = 0; alpha == 0.5f && j < d; j++) {
            const lb_qblock *b = &r.blocks[0];
            float w = column_max(&b->q, j, column_max(&b->k, j, column_max(&b->v, j, 0)));
            assert_true(fabsf(w - a.max[j]) <= 1e-4f * w);
        }
        free(again), free(want), free(a.max);
        close_rig(&r);
    }
}

static void smoothquant_refuses(void **state)
{
    (void)state;
    rig r = open_rig("qwen3", 1);
    lb_err err = {0};
    float x[64], *before = malloc(64 * 4);
    for (int j = 0; j < 64; j++) x[j] = 1 + (float)j;
    assert_false(lb_smoothquant_block(&r.blocks[0], x, x, 1.5f, &err));
    assert_int_equal(err.code, LB_EUSAGE);
    memcpy(before, r.blocks[0].q.w, 64 * 4);
    float y[64];
    memcpy(y, x, sizeof y);
    y[9] = NAN;
    assert_false(lb_smoothquant_block(&r.blocks[0], x, y, 0.5f, &err));
    assert_int_equal(err.code, LB_ENUMERIC);
    assert_non_null(strstr(err.msg, "channel 9"));
    assert_memory_equal(before, r.blocks[0].q.w, 64 * 4);
    x[3] = 0;                                                /* a dead channel keeps its scale */
    float gain = r.blocks[0].attn_norm[3];
    assert_ok(lb_smoothquant_block(&r.blocks[0], x, x, 0.5f, &err), err);
    assert_true(r.blocks[0].attn_norm[3] == gain);
    free(before);
    close_rig(&r);
}

/* ---- QuaRot ---- */

/* The ends of the model as f32, rotated; the final norm's gain goes into the head. */
static void rotate_ends(rig *r, const lb_quarot *o)
{
    lb_model *m = r->m;
    int v = m->cfg.n_vocab, d = m->cfg.d_model;
    size_t n = (size_t)v * (size_t)d;
    r->embed = malloc(n * 4), r->head = malloc(n * 4), r->ones = malloc((size_t)d * 4);
    for (int i = 0; i < v; i++) {
        m->embed.num->decode(&m->embed, i, 0, d, r->embed + (size_t)i * (size_t)d);
        m->lm_head.w.num->decode(&m->lm_head.w, i, 0, d, r->head + (size_t)i * (size_t)d);
    }
    lb_quarot_rows(&m->cfg, o, r->embed, v, NULL, r->ex);
    lb_quarot_rows(&m->cfg, o, r->head, v, m->final_norm, r->ex);
    for (int j = 0; j < d; j++) r->ones[j] = 1;
    m->final_norm = r->ones;
    m->embed = (lb_mat){.num = lb_num_of_dtype(LB_F32), .n = v, .k = d, .data = r->embed};
    m->lm_head.w = m->embed;
    m->lm_head.w.data = r->head;
}

static double norm_of(const lb_qlinear *l)
{
    double sum = 0;
    for (size_t i = 0; i < (size_t)l->n * (size_t)l->k; i++) sum += (double)l->w[i] * (double)l->w[i];
    return sqrt(sum);
}

static void rotate(const char *name, unsigned parts, uint64_t seed, int down_block)
{
    rig r = open_rig(name, 2);
    lb_err err = {0};
    lb_quarot o = {.parts = parts, .seed = seed, .down_block = down_block};
    float *want = logits_of(&r, (lb_tap){0});
    double down = r.blocks[0].experts ? norm_of(&r.blocks[0].experts[0].down) : norm_of(&r.blocks[0].down);
    for (int l = 0; l < r.m->cfg.n_layer; l++) assert_ok(lb_quarot_block(&r.blocks[l], &o, r.ex, &err), err);
    rotate_ends(&r, &o);
    char what[64];
    snprintf(what, sizeof what, "parts %u, block %d", parts, down_block);
    same_logits(&r, want, name, what);
    const lb_qblock *b = &r.blocks[0];
    unsigned p = parts ? parts : LB_QUAROT_ALL;
    assert_int_equal(b->in[LB_SITE_O].kind, p & LB_QUAROT_HEADS ? LB_TRANSFORM_KRON : LB_TRANSFORM_NONE);
    assert_int_equal(b->in[LB_SITE_DOWN].kind, p & LB_QUAROT_R4 ? LB_TRANSFORM_HADAMARD : LB_TRANSFORM_NONE);
    assert_int_equal(b->in[LB_SITE_K_ROPE].kind, p & LB_QUAROT_R3 ? LB_TRANSFORM_HADAMARD : LB_TRANSFORM_NONE);
    assert_int_equal(b->in[LB_SITE_QKV].kind, LB_TRANSFORM_NONE);
    double now = b->experts ? norm_of(&b->experts[0].down) : norm_of(&b->down);  /* rotations keep lengths */
    assert_true(fabs(now - down) < 1e-5 * down);
    free(want);
    close_rig(&r);
}

static void quarot_keeps_logits(void **state)
{
    (void)state;
    for (int i = 0; NAMES[i]; i++) rotate(NAMES[i], 0, (uint64_t)i, 0);
    static const char *const some[] = {"qwen3", "qwen2", "llama-linear", "qwen3_moe-mixed"};
    for (int i = 0; i < 4; i++)
        for (unsigned part = 1; part < LB_QUAROT_ALL; part *= 2) rotate(some[i], part, 3, 0);
    rotate("qwen3", 0, 1, 32);
    rotate("llama-linear", LB_QUAROT_R1 | LB_QUAROT_R4, 1, 12);
}

/* An outlier channel of the residual stream and of the MLP's inside is spread over all channels; the same numbers with
 * one thread or two; another seed gives others. */
static void quarot_spreads_outliers(void **state)
{
    (void)state;
    rig r[3] = {open_rig("abacus-5m", 1), open_rig("abacus-5m", 2), open_rig("abacus-5m", 2)};
    lb_err err = {0};
    for (int i = 0; i < 3; i++) {
        lb_qblock *b = &r[i].blocks[1];
        for (int j = 0; j < b->up.n; j++) b->up.w[(size_t)j * (size_t)b->up.k + 17] += 1;
        for (int j = 0; j < b->down.n; j++) b->down.w[(size_t)j * (size_t)b->down.k + 33] += 1;
        assert_true(column_max(&b->up, 17, 0) > 0.9f);
        lb_quarot o = {.seed = i == 2};
        assert_ok(lb_quarot_block(b, &o, r[i].ex, &err), err);
        float up = 0, down = 0;
        for (int j = 0; j < b->up.k; j++) up = column_max(&b->up, j, up);
        for (int j = 0; j < b->down.k; j++) down = column_max(&b->down, j, down);
        assert_true(up < 0.9f && down < 0.9f);
    }
    size_t n = (size_t)r[0].blocks[1].up.n * (size_t)r[0].blocks[1].up.k * 4;
    assert_memory_equal(r[0].blocks[1].up.w, r[1].blocks[1].up.w, n);
    assert_memory_equal(r[0].blocks[1].down.w, r[1].blocks[1].down.w, n);
    assert_memory_equal(r[0].blocks[1].o.w, r[1].blocks[1].o.w, (size_t)(r[0].blocks[1].o.n * r[0].blocks[1].o.k) * 4);
    assert_true(distance(r[0].blocks[1].up.w, r[2].blocks[1].up.w, n / 4) > 0.1);
    for (int i = 0; i < 3; i++) close_rig(&r[i]);
}

static void refuses(lb_config c, lb_quarot o, const char *word, const char *hint)
{
    lb_err err = {0};
    if (lb_quarot_check(&c, &o, &err)) fail_msg("accepted; wanted an error about %s", word);
    if (!strstr(err.msg, word) || !strstr(err.msg, hint)) fail_msg("'%s' lacks '%s' or '%s'", err.msg, word, hint);
}

static void quarot_refuses(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_config c, x;
    assert_ok(lb_config_load(&c, MODELS "qwen3", &err), err);
    x = c, x.d_ff = 13696;
    refuses(x, (lb_quarot){0}, "d_ff, 13696 = 107·2^7", "leave out R4");
    assert_ok(lb_quarot_check(&x, &(lb_quarot){.down_block = 128}, &err), err);
    assert_ok(lb_quarot_check(&x, &(lb_quarot){.parts = LB_QUAROT_ALL & ~LB_QUAROT_R4}, &err), err);
    refuses(x, (lb_quarot){.down_block = 100}, "blocks of 100", "13696");
    refuses(x, (lb_quarot){.down_block = -1}, "blocks of -1", "13696");
    x = c, x.n_head = 14;
    refuses(x, (lb_quarot){0}, "number of heads, 14 = 7·2^1", "across heads");
    x = c, x.d_model = 94;
    refuses(x, (lb_quarot){0}, "d_model, 94 = 47·2^1", "leave out R1");
    x = c, x.d_head = 80 + 4;
    assert_ok(lb_quarot_check(&x, &(lb_quarot){0}, &err), err);
    x.d_head = 82;
    refuses(x, (lb_quarot){0}, "d_head, 82 = 41·2^1", "R2 and R3");
    x = c, x.n_expert = 4, x.n_expert_used = 2, x.d_expert = 22;
    refuses(x, (lb_quarot){0}, "d_expert, 22 = 11·2^1", "leave out R4");
    x = c, x.d_ff = 1 << 17;
    refuses(x, (lb_quarot){0}, "131072", "smaller block");
    lb_config_free(&c);
}

/* Micro-rotations leave the logits, keep lengths, and spread an outlier over its block and no further. */
static void microrot_keeps_logits(void **state)
{
    (void)state;
    lb_err err = {0};
    for (int i = 0; NAMES[i]; i++) {
        rig r = open_rig(NAMES[i], 2);
        int block = i % 2 ? 2 : 4;
        float *want = logits_of(&r, (lb_tap){0});
        double was = norm_of(&r.blocks[0].o);
        for (int l = 0; l < r.m->cfg.n_layer; l++) assert_ok(lb_microrot_block(&r.blocks[l], block, r.ex, &err), err);
        same_logits(&r, want, NAMES[i], "micro-rotated");
        assert_true(fabs(norm_of(&r.blocks[0].o) - was) < 1e-5 * was);
        assert_false(lb_microrot_block(&r.blocks[0], block, r.ex, &err));
        assert_int_equal(err.code, LB_EUSAGE);
        free(want);
        close_rig(&r);
    }
    rig r = open_rig("abacus-5m", 2);
    lb_qlinear *up = &r.blocks[0].up;
    float before[256];
    assert_int_equal(up->k, 256);
    up->w[100] = 3;
    memcpy(before, up->w, sizeof before);
    assert_false(lb_microrot_block(&r.blocks[0], 48, r.ex, &err));
    assert_int_equal(err.code, LB_EUSAGE);
    assert_false(lb_microrot_block(&r.blocks[0], 512, r.ex, &err));
    assert_int_equal(err.code, LB_EUNSUPPORTED);
    assert_memory_equal(up->w, before, sizeof before);
    assert_ok(lb_microrot_block(&r.blocks[0], 32, r.ex, &err), err);
    for (int j = 0; j < 256; j++) assert_true(fabsf(up->w[j]) < (j / 32 == 3 ? 1.0f : 0.9f));
    for (int c = 0; c < 256; c += 32) {
        double a = 0, b = 0;
        for (int j = c; j < c + 32; j++) a += (double)before[j] * (double)before[j], b += (double)up->w[j] * (double)up->w[j];
        assert_true(fabs(a - b) < 1e-5 * a);
    }
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folding_keeps_logits),    cmocka_unit_test(loading_fails_clearly),
        cmocka_unit_test(smoothquant_keeps_logits), cmocka_unit_test(smoothquant_refuses),
        cmocka_unit_test(quarot_keeps_logits),     cmocka_unit_test(quarot_spreads_outliers),
        cmocka_unit_test(quarot_refuses),          cmocka_unit_test(microrot_keeps_logits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
