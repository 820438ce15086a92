/* test_latent.c – what training starts from: whatever the method, the latent weights of a start round to its codes on
 * its grids, in the files and on the tape, to the bit. */
#include "student_rig.h"
#include "base/file.h"
#include "base/rng.h"
#include "eval/compress.h"
#include "quant/grid.h"
#include "store/store.h"
#include <unistd.h>

#define MODELS "tests/golden/data/models/"
enum { N_SEQ = 8, N_TOK = 48 };

static char dir[64];
static lb_exec *ex;
static int ids[N_SEQ * N_TOK];

static int setup(void **state)
{
    (void)state;
    lb_err e = {0};
    snprintf(dir, sizeof dir, "/tmp/lowbit-latent-%d", (int)getpid());
    ex = lb_exec_open(&(lb_exec_opt){.n_thread = 2}, &e);
    return ex ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    lb_remove_folder(dir);
    lb_exec_close(ex);
    return 0;
}

static void make_start(const char *model, const char *method, const char *scheme)
{
    /* Short ways: what is tested holds for every number of steps. */
    const struct { const char *method, *option;
    } quick[] = {{"autoround", strcmp(model, ABACUS_DIR) ? "iters=20" : "iters=3"},
                 {"flatquant", "epochs=2"},
                 {"efficientqat", "lr=1e-3"}};
    lb_compress_spec s = {.method = method, .scheme = scheme, .save_latent = true};
    lb_compress c;
    lb_config cfg;
    lb_quantize_report rep;
    lb_err e = {0};
    for (size_t i = 0; i < sizeof quick / sizeof *quick; i++)
        if (strstr(method, quick[i].method)) s.opt[s.n_opt++] = quick[i].option;
    assert_ok(lb_config_load(&cfg, model, &e), e);
    for (int i = 0; i < N_SEQ * N_TOK; i++)
        ids[i] = (int)(lb_rng_uniform(lb_rng_key_of(9, 0, 0), (uint64_t)i) * cfg.n_vocab);
    lb_config_free(&cfg);
    lb_remove_folder(dir);
    bool ok = lb_compress_parse(&c, &s, &e);
    c.opt.calib = ids, c.opt.n_seq = N_SEQ, c.opt.seqlen = N_TOK;
    if (!ok || !lb_quantize(model, dir, &c.opt, ex, &rep, &e)) fail_msg("%s %s: %s", method, scheme, e.msg);
    lb_compress_free(&c);
}

static lb_ct_scheme packing(const lb_scheme *s)
{
    return (lb_ct_scheme){.bits = s->w_bits, .group = s->group > 0 ? s->group : 0, .symmetric = s->sym};
}

typedef struct counts {
    size_t n, at_end, outside, n_module;     /* weights; with the first or last code; of those, with a gradient of 0 */
} counts;

static counts codes_are_those_of_latent_weights(const char *what, const lb_scheme *scheme)
{
    char path[100];
    lb_err e = {0};
    counts c = {0};
    const lb_ct_scheme ct = packing(scheme);
    snprintf(path, sizeof path, "%s/latent.safetensors", dir);
    lb_store *latent = lb_store_open(path, &e), *packed = latent ? lb_store_open(dir, &e) : NULL;
    assert_ok(packed != NULL, e);
    for (size_t i = 0; i < lb_store_count(latent); i++) {
        const lb_tensor *t = lb_store_at(latent, i);
        char name[200];
        lb_qmat q;
        assert_true(t->dtype == LB_F32 && t->rank == 2 && strlen(t->name) > 7);
        snprintf(name, sizeof name, "%.*s", (int)strlen(t->name) - 7, t->name);
        assert_ok(lb_ct_unpack(packed, name, &ct, (int)t->shape[0], (int)t->shape[1], &q, &e), e);
        int groups = lb_n_group(q.k, q.group);
        for (int r = 0; r < q.n; r++)
            for (int k = 0; k < q.k; k++) {
                size_t at = (size_t)r * (size_t)q.k + (size_t)k, g = (size_t)(r * groups + k / q.group);
                float w = lb_load_f32(t->data, LB_F32, at);
                lb_grid grid = {q.scales[g], q.zeros[g], (1 << q.bits) - 1};
                if (lb_grid_code(&grid, w) != q.codes[at])
                    fail_msg("%s: %s[%d,%d]: the code is %d, that of its latent weight %d", what, name, r, k,
                             q.codes[at], lb_grid_code(&grid, w));
                float step = nearbyintf(w / grid.scale) + (float)grid.zero;
                c.outside += step < 0 || step > (float)grid.max;
                c.at_end += q.codes[at] == 0 || q.codes[at] == grid.max;
            }
        c.n += (size_t)q.n * (size_t)q.k, c.n_module++;
        lb_qmat_free(&q);
    }
    lb_store_close(packed);
    lb_store_close(latent);
    return c;
}

/* A student that opens the start has, before its first step, the weights that the start has. */
static void training_begins_where_the_start_ended(const char *what, const char *model, const lb_scheme *scheme)
{
    lb_err e = {0};
    lb_train_stage st = {.kind = LB_STAGE_KD, .name = "test", .scheme = *scheme, .scales = LB_SCALES_STATIC,
                         .train = LB_TRAIN_LINEARS, .lr = 1e-3};
    lb_student *s = lb_student_open(&(lb_student_opt){.model_dir = model, .start_dir = dir, .train = st.train}, ex, &e);
    lb_store *packed = s ? lb_store_open(dir, &e) : NULL;
    if (!packed || !lb_student_stage(s, &st, &e)) fail_msg("%s: %s", what, e.msg);
    for (int layer = 0; layer < 2; layer++) assert_layer_is_packed(s, packed, scheme, layer, what);
    lb_store_close(packed);
    lb_student_close(s);
}

static counts start_holds(const char *model, const char *method, const char *scheme_text)
{
    char what[100];
    lb_scheme scheme;
    lb_err e = {0};
    snprintf(what, sizeof what, "%s of %s", scheme_text, method);
    assert_ok(lb_scheme_parse(scheme_text, &scheme, &e), e);
    make_start(model, method, scheme_text);
    counts c = codes_are_those_of_latent_weights(what, &scheme);
    training_begins_where_the_start_ended(what, model, &scheme);
    return c;
}

static void every_method_leaves_latent_weights(void **state)
{
    (void)state;
    for (int i = 0; lb_methods[i]; i++) {
        const char *m = lb_methods[i]->name;
        bool rows = strcmp(m, "flatquant") == 0; /* learns the range of a row */
        if (strcmp(m, "microrot") == 0) continue; /* turns the blocks of FP4 */
        assert_int_equal(start_holds(MODELS "qwen3-f32", m, rows ? "w2g-1s" : "w2g32").n_module, 14);
        assert_int_equal(start_holds(MODELS "qwen3-f32", m, "w4a4kv4").n_module, 14);
    }
}

static void chains_leave_latent_weights(void **state)
{
    (void)state;
    static const struct { const char *method, *scheme; } all[] = {
        {"quarot+autoround", "w2g32"},      {"quarot+autoround", "w4a4kv4"}, {"flatquant+autoround", "w4a4kv4"},
        {"smoothquant+autoround", "w8a8"},  {"awq+autoround", "w3g32s"},     {"flatquant+gptq", "w4a4kv4"},
        {"quarot+efficientqat", "w3a8g32"}, {"awq+gptq", "w2g32"},           {"smoothquant+hqq", "w3g32"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) start_holds(MODELS "qwen3-f32", all[i].method, all[i].scheme);
}

/* Whatever is clamped stays within reach of the gradient; the last on real weights with bf16 scales. */
static void clamped_weights_can_be_trained(void **state)
{
    (void)state;
    static const struct { const char *model, *method, *scheme; } all[] = {
        {MODELS "qwen3-f32", "autoround", "w2g32"},
        {MODELS "qwen3-f32", "hqq", "w2g32"},
        {ABACUS_DIR, "autoround", "w2g128"},
    };
    for (int i = 0; i < 3; i++) {
        counts c = start_holds(all[i].model, all[i].method, all[i].scheme);
        assert_true(c.at_end > c.n / 20);
        assert_int_equal(c.outside, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_leaves_latent_weights),
        cmocka_unit_test(chains_leave_latent_weights),
        cmocka_unit_test(clamped_weights_can_be_trained),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
