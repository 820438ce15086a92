/* test_train_data.c – recipes of training, documents and their packing, checkpoints. */
#include "test.h"
#include "base/file.h"
#include "base/rng.h"
#include "train/ckpt.h"
#include "train/corpus.h"
#include "train/recipe.h"
#include <unistd.h>

/* ---- recipes ---- */

#define HEAD "{\"name\":\"x\",\"scheme\":\"w2g128\",\"traces\":{\"prompts\":\"p.jsonl\"},\"stages\":["
static bool parse(lb_train_recipe *r, const char *text, lb_err *err)
{
    json_t *doc = lb_json_parse(text, strlen(text), "r.json", err);
    bool ok = doc && lb_train_recipe_parse(r, doc, "r.json", err);
    json_decref(doc);
    return ok;
}

static void a_recipe_has_the_studys_settings(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_train_recipe r = {0};
    assert_ok(parse(&r, HEAD "{\"kind\":\"kd\",\"lr\":5e-5,\"train\":[\"linears\",\"norms\"]},"
                             "{\"kind\":\"grpo\",\"scheme\":\"w3g128\",\"n_prompt\":16}]}", &err), err);
    assert_int_equal(r.n_stage, 2);
    const lb_train_stage *kd = &r.stages[0], *rl = &r.stages[1];
    assert_string_equal(kd->name, "1-kd");
    assert_int_equal(kd->steps, 6000);
    assert_int_equal(kd->warmup, 180);
    assert_true(kd->lr == 5e-5 && kd->beta2 == 0.95 && kd->divergence == LB_KL_FORWARD);
    assert_int_equal(kd->train, LB_TRAIN_LINEARS | LB_TRAIN_NORMS);
    assert_int_equal(kd->scheme.w_bits, 2);
    assert_int_equal(rl->scheme.w_bits, 3);
    assert_int_equal(rl->steps, 250);
    assert_int_equal(rl->n_prompt, 16);
    assert_true(rl->lr == 5e-7 && rl->drop_equal && rl->gate > 0);
    assert_string_equal(rl->prompts, "p.jsonl");
    lb_train_recipe_free(&r);
}

#define KD(more) "{\"name\":\"x\",\"scheme\":\"w2g128\",\"traces\":{\"prompts\":\"p\"},\"stages\":[{\"kind\":\"kd\"}]," more "}"

static void evaluations_and_texts_have_their_settings(void **state)
{
    (void)state;
    lb_err err = {0};
    lb_train_recipe r = {0};
    assert_ok(parse(&r, KD("\"eval\":{}"), &err), err);
    assert_string_equal(r.eval.tasks, "abacus");
    assert_true(r.eval.n_seed == 3 && r.eval.seeds[2] == 44 && r.eval.n_sample == 1 && !r.curve.tasks);
    assert_true(strcmp(r.calib, "traces") == 0 && !r.calib_traces.prompts && lb_train_reads_traces(&r));
    lb_train_recipe_free(&r);
    assert_ok(parse(&r, KD("\"curve\":{\"every\":20,\"tasks\":\"chain,code\",\"limit\":9,\"seeds\":[5]},"
                           "\"start\":{\"calib\":{\"prompts\":\"q\",\"nprompts\":3,\"where\":{\"a\":\"b\"}}}"), &err), err);
    assert_true(!r.eval.tasks && r.curve.every == 20 && r.curve.limit == 9 && r.curve.n_seed == 1 && r.curve.seeds[0] == 5);
    assert_true(!*r.calib && r.calib_traces.n_prompt == 3 && r.calib_traces.seed == 1 && r.traces.n_prompt == 4096);
    assert_string_equal(r.calib_traces.prompts, "q");
    assert_string_equal(json_string_value(json_object_get(r.calib_traces.where, "a")), "b");
    lb_train_recipe_free(&r);
}

static void mistakes_in_recipes_are_named(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"[]", "wanted an object"},
        {"{\"name\":\"x\",\"scheme\":\"w2g128\"}", "'stages' wants an array"},
        {"{\"name\":\"../x\",\"scheme\":\"w2g128\",\"stages\":[]}", "no plain file name"},
        {"{\"name\":\"x\",\"stages\":[{\"kind\":\"kd\"}]}", "'scheme' is missing"},
        {"{\"name\":\"x\",\"scheme\":\"w5\",\"stages\":[{\"kind\":\"kd\"}]}", "w5"},
        {"{\"name\":\"x\",\"scheme\":\"w2g128\",\"stages\":[{\"kind\":\"kd\"}]}", "neither 'file' nor 'prompts'"},
        {HEAD "{\"steps\":3}]}", "stages[0]: 'kind' is missing"},
        {HEAD "{\"kind\":\"ppo\"}]}", "there are sft, kd, opd, grpo"},
        {HEAD "{\"kind\":\"kd\",\"learning_rate\":1}]}", "'learning_rate' is not a key"},
        {HEAD "{\"kind\":\"sft\",\"divergence\":\"js\"}]}", "'divergence' means nothing in a stage of this kind"},
        {HEAD "{\"kind\":\"kd\",\"lr\":\"1e-5\"}]}", "'lr' is a string, wanted a number"},
        {HEAD "{\"kind\":\"kd\",\"lr\":-1}]}", "'lr' is -1"},
        {HEAD "{\"kind\":\"kd\",\"tokens\":100,\"seq_tokens\":64}]}", "no multiple"},
        {HEAD "{\"kind\":\"kd\",\"train\":[\"weights\"]}]}", "there are linears, biases"},
        {HEAD "{\"kind\":\"grpo\",\"group\":1}]}", "'group' is 1"},
        {HEAD "{\"kind\":\"kd\",\"steps\":0}]}", "'steps' is 0"},
        {KD("\"curve\":3"), "r.json: curve is an integer"},
        {KD("\"curve\":{}"), "r.json: curve: 'every' is missing"},
        {KD("\"curve\":{\"every\":0}"), "curve: 'every' is 0"},
        {KD("\"curve\":{\"every\":5,\"tasks\":\"chess\"}"), "r.json: curve: "},
        {KD("\"curve\":{\"every\":5,\"seeds\":[]}"), "curve: 'seeds' wants an array"},
        {KD("\"curve\":{\"every\":5,\"seeds\":[1,-1]}"), "curve: seeds[1] is an integer, wanted a whole number"},
        {KD("\"eval\":{\"seeds\":[7,7]}"), "eval: seeds has 7 twice"},
        {KD("\"eval\":{\"every\":5}"), "eval: 'every' is not a key"},
        {KD("\"eval\":{\"limits\":5}"), "eval: 'limits' is not a key"},
        {KD("\"start\":{\"calib\":{\"nprompts\":4}}"), "r.json: start: calib: 'prompts' is missing"},
        {KD("\"start\":{\"calib\":{\"file\":\"f\"}}"), "calib: 'prompts' is missing; a file is named as"},
        {KD("\"start\":{\"calib\":{\"prompts\":\"p\",\"where\":{\"a\":1}}}"), "calib: where: 'a' is an integer"},
        {KD("\"start\":[]"), "start is an array"},
        {HEAD "{\"kind\":\"kd\",\"scales\":\"stretched\",\"scheme\":\"w3g128\"}]}", "which is for weights of 2 bits, not 3"},
        {HEAD "{\"kind\":\"kd\",\"scales\":\"long\"}]}", "there are minmax, clip, static, learned, stretched"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_err err = {0};
        lb_train_recipe r = {0};
        assert_false(parse(&r, bad[i][0], &err));
        if (!strstr(err.msg, bad[i][1])) fail_msg("%s: '%s' does not say '%s'", bad[i][0], err.msg, bad[i][1]);
        lb_train_recipe_free(&r);
    }
}

/* "stretched" is the balanced grid with learned scales, whatever the recipe's own scheme says of zero points. */
static void stretched_scales_are_a_scheme(void **state)
{
    (void)state;
    static const char *const same[] = {
        HEAD "{\"kind\":\"kd\",\"scales\":\"stretched\"}]}",
        HEAD "{\"kind\":\"kd\",\"scales\":\"stretched\",\"scheme\":\"w2g128s\"}]}",
        HEAD "{\"kind\":\"kd\",\"scales\":\"learned\",\"scheme\":\"w2g128h\"}]}",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        lb_err err = {0};
        lb_train_recipe r = {0};
        char text[LB_SCHEME_TEXT];
        assert_ok(parse(&r, same[i], &err), err);
        lb_scheme_text(&r.stages[0].scheme, text);
        assert_string_equal(text, "w2g128h");
        assert_int_equal(r.stages[0].scales, LB_SCALES_LEARNED);
        assert_false(r.scheme.half);
        lb_train_recipe_free(&r);
    }
}

static void differences_are_named(void **state)
{
    (void)state;
    lb_err err = {0};
    static const char *const text[] = {HEAD "{\"kind\":\"kd\",\"lr\":1e-05}]}",
                                       HEAD "{\"kind\":\"kd\",\"lr\":2e-05,\"steps\":7}]}"};
    json_t *a = lb_json_parse(text[0], strlen(text[0]), "a", &err),
           *b = lb_json_parse(text[1], strlen(text[1]), "b", &err);
    char out[256];
    assert_false(lb_train_recipe_differs(a, a, out));
    assert_true(lb_train_recipe_differs(a, b, out));
    assert_string_equal(out, "stages[0].lr: 1e-5, was 2e-5");
    json_object_set_new(json_array_get(json_object_get(b, "stages"), 0), "lr", json_real(1e-5));
    assert_true(lb_train_recipe_differs(a, b, out));
    assert_string_equal(out, "stages[0].steps: absent, was 7");
    json_decref(a);
    json_decref(b);
}

/* ---- documents ---- */

typedef struct fixture {
    lb_exec *ex;
    lb_target t;
    char path[64];
} fixture;

static int setup(void **state)
{
    static fixture f;
    lb_err err = {0};
    f = (fixture){.ex = lb_exec_open(&(lb_exec_opt){.n_thread = 1}, &err)};
    assert_ok(f.ex != NULL, err);
    assert_ok(lb_target_open(&f.t, ABACUS_DIR, f.ex, &err), err);
    snprintf(f.path, sizeof f.path, "/tmp/lowbit-train-%d.jsonl", (int)getpid());
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    unlink(f->path);
    lb_target_close(&f->t);
    lb_exec_close(f->ex);
    return 0;
}

static const char *trace_line(char *out, size_t size, const char *text, const char *finish)
{
    snprintf(out, size,
             "{\"prompt\":\"<|im_start|>user\\n1+1<|im_end|>\\n<|im_start|>assistant\\n<think>\",\"text\":\"%s\","
             "\"finish\":\"%s\"}\n",
             text, finish);
    return out;
}

static void write_traces(const fixture *f, const char *const *texts, const char *finish, int n)
{
    lb_buf b = {0};
    char line[4096];
    lb_err err = {0};
    for (int i = 0; i < n; i++) lb_buf_str(&b, trace_line(line, sizeof line, texts[i], finish));
    assert_ok(lb_write_file(f->path, b.p, b.n, &err), err);
    lb_buf_free(&b);
}

static void what_cannot_be_learned_is_left_out(void **state)
{
    fixture *f = *state;
    lb_err err = {0};
    lb_corpus c;
    static const char *const texts[] = {"1+1=2</think>2", "", "1+1",
                                        "1+1=2 so 2 so 2 so 2 so 2 so 2 so 2 so 2 so 2</think>2"};
    write_traces(f, texts, "stop", 4);
    assert_ok(lb_corpus_load(&c, &f->t, f->path, 32, &err), err);
    assert_int_equal(c.n, 1);
    assert_int_equal(c.n_empty, 1);
    assert_int_equal(c.n_unthinking, 1);
    assert_int_equal(c.n_long, 1);
    const lb_doc *d = &c.p[0];
    assert_int_equal(d->ids[d->n - 1], f->t.gen.eos[0]); /* a finished trace ends in its stop token */
    assert_int_equal(c.n_target, d->n - d->n_prompt);
    lb_corpus_free(&c);
    write_traces(f, texts, "length", 1);
    assert_ok(lb_corpus_load(&c, &f->t, f->path, 32, &err), err);
    assert_int_not_equal(c.p[0].ids[c.p[0].n - 1], f->t.gen.eos[0]);
    lb_corpus_free(&c);
    write_traces(f, texts + 1, "stop", 1);
    assert_false(lb_corpus_load(&c, &f->t, f->path, 32, &err));
    assert_non_null(strstr(err.msg, "1 are empty"));
    assert_int_equal(err.code, LB_EFORMAT);
}

/* A corpus of documents i with n[i] tokens, all of them i. */
static void fill(lb_corpus *c, lb_doc *docs, int n, uint64_t seed)
{
    *c = (lb_corpus){.p = docs, .n = n};
    for (int i = 0; i < n; i++) {
        docs[i] = (lb_doc){.n = 2 + (int)(lb_mix64(seed + (uint64_t)i) % 60), .n_prompt = 1};
        docs[i].ids = malloc((size_t)docs[i].n * sizeof(int));
        for (int k = 0; k < docs[i].n; k++) docs[i].ids[k] = i;
    }
}

static void every_document_is_dealt_once_an_epoch(void **state)
{
    (void)state;
    enum { N = 500, T = 64 };
    static lb_doc docs[N];
    int seen[N];
    lb_corpus c;
    lb_err err = {0};
    fill(&c, docs, N, 5);
    lb_packer *p = lb_packer_open(&c, T, false, 9, &err);
    assert_ok(p != NULL, err);
    for (int epoch = 0; epoch < 3; epoch++) {
        memset(seen, 0, sizeof seen);
        double room;
        assert_ok(lb_packer_seek(p, (lb_pack_state){epoch, 0}, &err), err);
        int n = lb_packer_count(p, &room);
        assert_true(room > 0.9 && room <= 1);
        for (int s = 0; s < n; s++) {
            lb_packed b;
            assert_ok(lb_packer_next(p, &b, &err), err);
            assert_true(b.n_tok <= T && b.begin[b.n_doc] == b.n_tok);
            for (int d = 0; d < b.n_doc; d++) {
                int doc = b.ids[b.begin[d]];
                seen[doc]++;
                assert_int_equal(b.begin[d + 1] - b.begin[d], docs[doc].n);
                for (int i = b.begin[d]; i < b.begin[d + 1]; i++) {
                    assert_int_equal(b.ids[i], doc);
                    assert_int_equal(b.target[i], i + 1 < b.begin[d + 1] ? doc : -1); /* never across documents */
                }
            }
        }
        for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
    }
    lb_packer_close(p);
    for (int i = 0; i < N; i++) free(docs[i].ids);
}

static void a_resume_deals_the_same(void **state)
{
    (void)state;
    enum { N = 90, T = 64, STEPS = 200 };
    static lb_doc docs[N];
    lb_corpus c;
    lb_err err = {0};
    fill(&c, docs, N, 77);
    lb_packer *a = lb_packer_open(&c, T, true, 3, &err), *b = lb_packer_open(&c, T, true, 3, &err);
    assert_ok(a && b, err);
    for (int s = 0; s < STEPS; s++) {
        lb_packed x, y;
        assert_ok(lb_packer_seek(b, lb_packer_state(a), &err), err); /* b always comes from a state alone */
        assert_ok(lb_packer_next(a, &x, &err) && lb_packer_next(b, &y, &err), err);
        assert_int_equal(x.n_tok, y.n_tok);
        assert_memory_equal(x.ids, y.ids, (size_t)x.n_tok * sizeof(int));
        assert_memory_equal(x.target, y.target, (size_t)x.n_tok * sizeof(int));
    }
    assert_true(lb_packer_state(a).epoch > 1);
    assert_false(lb_packer_seek(b, (lb_pack_state){0, N + 1}, &err));
    lb_packer_close(a);
    lb_packer_close(b);
    for (int i = 0; i < N; i++) free(docs[i].ids);
}

/* ---- checkpoints ---- */

static void a_checkpoint_comes_back_to_the_bit(void **state)
{
    (void)state;
    char path[96];
    snprintf(path, sizeof path, "/tmp/lowbit-ckpt-%d.safetensors", (int)getpid());
    float w[5] = {1, -0.0f, 1e-40f, 3.4e38f, 0.1f}, m[3] = {1, 2, 3}, w2[5], m2[3];
    lb_ckpt_array out[] = {{"w", w, 5}, {"m", m, 3}}, in[] = {{"w", w2, 5}, {"m", m2, 3}},
                  other[] = {{"w", w2, 5}, {"m", m2, 2}}, absent[] = {{"v", w2, 5}};
    lb_err err = {0};
    json_t *s = json_pack("{s:i, s:f}", "step", 7, "loss", 0.1);
    assert_ok(lb_ckpt_save(path, out, 2, s, &err) && lb_ckpt_load(path, in, 2, &err), err);
    assert_memory_equal(w, w2, sizeof w);
    assert_memory_equal(m, m2, sizeof m);
    json_t *t = lb_ckpt_state(path, &err);
    assert_true(json_equal(s, t));
    w2[0] = 42;
    assert_false(lb_ckpt_load(path, other, 2, &err));
    assert_false(lb_ckpt_load(path, absent, 1, &err));
    assert_true(w2[0] == 42); /* a file that does not fit changes nothing */
    assert_ok(lb_write_file(path, "junk", 4, &err), err);
    assert_null(lb_ckpt_state(path, &err));
    json_decref(s);
    json_decref(t);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recipe_has_the_studys_settings),
        cmocka_unit_test(evaluations_and_texts_have_their_settings),
        cmocka_unit_test(mistakes_in_recipes_are_named),
        cmocka_unit_test(stretched_scales_are_a_scheme),
        cmocka_unit_test(differences_are_named),
        cmocka_unit_test_setup_teardown(what_cannot_be_learned_is_left_out, setup, teardown),
        cmocka_unit_test(every_document_is_dealt_once_an_epoch),
        cmocka_unit_test(a_resume_deals_the_same),
        cmocka_unit_test(a_checkpoint_comes_back_to_the_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
