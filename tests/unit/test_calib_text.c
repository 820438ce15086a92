/* test_calib_text.c – windows of calibration data from traces, rows, texts and tasks; what is no calibration data. */
#include "test.h"
#include "base/file.h"
#include "eval/calib_text.h"
#include "eval/prompts.h"

static char dir[64];
static lb_exec *ex;
static lb_target t;

static int open_model(void **state)
{
    (void)state;
    lb_err e = {0};
    snprintf(dir, sizeof dir, "/tmp/lowbit-calib-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    ex = lb_exec_open(&(lb_exec_opt){.n_thread = 1}, &e);
    return ex && lb_target_open(&t, ABACUS_DIR, ex, &e) ? 0 : -1;
}

static int close_model(void **state)
{
    (void)state;
    char command[128];
    lb_target_close(&t);
    lb_exec_close(ex);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static const char *write_file(const char *text)
{
    static char path[128];
    lb_err e = {0};
    snprintf(path, sizeof path, "%s/data", dir);
    assert_ok(lb_write_file(path, text, strlen(text), &e), e);
    return path;
}

/* Loads one window that is everything and gives its text. */
static void all_of(const char *source, lb_buf *out, char what[LB_CALIB_WHAT])
{
    lb_err e = {0};
    int *ids;
    lb_calib_spec s = {.source = source, .n_seq = 1, .n_tok = 1 << 20};
    assert_false(lb_calib_load(&t, &s, &ids, what, &e)); /* the message says how many there are */
    const char *has = strstr(e.msg, " has ");
    assert_non_null(has);
    s.n_tok = atoi(has + 5);
    assert_true(s.n_tok > 0);
    assert_ok(lb_calib_load(&t, &s, &ids, what, &e), e);
    lb_buf_reset(out);
    assert_ok(lb_tokenizer_decode(t.tok, ids, (size_t)s.n_tok, false, out, &e), e);
    free(ids);
}

static void each_kind_of_source_gives_its_text(void **state)
{
    (void)state;
    lb_buf b = {0};
    char what[LB_CALIB_WHAT];
    all_of(write_file("{\"id\":\"a\",\"prompt\":\"<|im_start|>user\\nHi<|im_end|>\\n\",\"text\":\"<think>\\n1\"}\n"
                      "{\"prompt\":\"P\",\"text\":\"T\"}"), &b, what);
    assert_string_equal(b.p, "<|im_start|>user\nHi<|im_end|>\n<think>\n1\n\nPT\n\n");
    assert_non_null(strstr(what, ": 2 traces, "));
    all_of(write_file("{\"text\":\"one\"}\n\n{\"text\":\"two\"}\n"), &b, what);
    assert_string_equal(b.p, "one\n\ntwo\n\n");
    assert_non_null(strstr(what, ": 2 texts, "));
    all_of(write_file("{\"problem\":\"1+1?\",\"solution\":\"1+1 = 2\",\"answer\":\"2\"}\n{\"question\":\"2?\"}\n"), &b, what);
    assert_string_equal(b.p, "<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n<think>\n1+1 = 2\n</think>\n\n2"
                             "\n\n<|im_start|>user\n2?<|im_end|>\n<|im_start|>assistant\n\n\n");
    assert_non_null(strstr(what, "(1 with solutions)"));
    all_of(write_file("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},"
                      "{\"role\":\"user\",\"content\":\"c\"}]}"), &b, what);
    assert_non_null(strstr(b.p, "<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n"));
    all_of(write_file("\n just a text, with <think> in it\n"), &b, what);
    assert_string_equal(b.p, "\n just a text, with <think> in it\n");
    all_of("chain", &b, what);
    assert_non_null(strstr(b.p, "assistant\n<think>\nso Gwen = 16\n"));
    lb_buf_free(&b);
}

/* The marker of a thinking that is opened by the prompt is not written twice. */
static void solutions_follow_the_prompt(void **state)
{
    (void)state;
    lb_buf b = {0};
    lb_prompt p = {.solution = (char *)"S", .answer = (char *)"A"};
    assert_true(lb_prompt_gold(&p, true, &b));
    assert_string_equal(b.p, "S\n</think>\n\nA");
    lb_buf_reset(&b);
    p.answer = NULL, p.solution = NULL;
    assert_false(lb_prompt_gold(&p, false, &b));
    lb_buf_free(&b);
}

static void special_tokens_are_read_as_such(void **state)
{
    (void)state;
    lb_err e = {0};
    int *ids;
    char what[LB_CALIB_WHAT];
    lb_calib_spec s = {.source = write_file("{\"prompt\":\"<|im_start|>\",\"text\":\"</think>\"}"), .n_seq = 1, .n_tok = 2};
    for (s.seed = 0; s.seed < 20; s.seed++) {
        assert_ok(lb_calib_load(&t, &s, &ids, what, &e), e);
        if (ids[0] == lb_tokenizer_id(t.tok, "<|im_start|>")) {
            assert_int_equal(ids[1], lb_tokenizer_id(t.tok, "</think>"));
            free(ids);
            return;
        }
        free(ids);
    }
    fail_msg("no window starts at the first token");
}

/* Every start is possible, none reaches beyond the end, and a seed gives the same windows again. */
static void windows_are_drawn_by_seed(void **state)
{
    (void)state;
    lb_err e = {0};
    enum { N = 50, TOK = 41, SEQ = 400 };
    int all[N], seen[N - TOK + 1] = {0}, *a, *b;
    for (int i = 0; i < N; i++) all[i] = i;
    lb_calib_spec s = {.source = "a test", .n_seq = SEQ, .n_tok = TOK, .seed = 5};
    assert_ok(lb_calib_windows(all, N, &s, &a, &e), e);
    assert_ok(lb_calib_windows(all, N, &s, &b, &e), e);
    assert_memory_equal(a, b, sizeof(int) * SEQ * TOK);
    for (int i = 0; i < SEQ; i++) {
        for (int j = 1; j < TOK; j++) assert_int_equal(a[i * TOK + j], a[i * TOK] + j);
        seen[a[i * TOK]]++;
    }
    for (int i = 0; i <= N - TOK; i++) assert_in_range(seen[i], 10, 90); /* 40 are expected */
    free(b);
    s.seed = 6;
    assert_ok(lb_calib_windows(all, N, &s, &b, &e), e);
    assert_memory_not_equal(a, b, sizeof(int) * SEQ * TOK);
    free(a);
    free(b);
    assert_false(lb_calib_windows(all, TOK - 1, &s, &a, &e));
    assert_non_null(strstr(e.msg, "has 40 tokens, fewer than one window of 41"));
}

static void what_is_no_calibration_data_is_named(void **state)
{
    (void)state;
    static const struct { const char *text, *says; } bad[] = {
        {"", "is empty"},
        {"{\"text\":\"short\"}", "fewer than one window of 2048"},
        {"{\"text\":\"ok\"}\n{\"foo\":1}", ":2 has no text: none of 'text'"},
        {"{\"text\":3}", ":1: 'text' is an integer"},
        {"{\"text\":\"ok\"}\n[1]", ":2 is an array"},
        {"{\"text\":\"ok\"}\n{\"text\":", ":2: not valid JSON"},
        {"{\"messages\":[]}", "'messages' is empty"},
        {"{\"prompt\":\"<|begin_of_text|>x\",\"text\":\"y\"}", "'<|begin_of_text|>', which is no token of"},
        {"{\"prompt\":\"<\xef\xbd\x9cUser\xef\xbd\x9c>x\",\"text\":\"y\"}", "which is no token of"},
    };
    int *ids;
    char what[LB_CALIB_WHAT];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_err e = {0};
        lb_calib_spec s = {.source = write_file(bad[i].text)};
        assert_false(lb_calib_load(&t, &s, &ids, what, &e));
        if (e.code != LB_EFORMAT || !strstr(e.msg, bad[i].says)) fail_msg("%zu: %d %s", i, (int)e.code, e.msg);
    }
    lb_err e = {0};
    lb_calib_spec s = {.source = "nosuch.jsonl"};
    assert_false(lb_calib_load(&t, &s, &ids, what, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    s.source = dir; /* a folder */
    assert_false(lb_calib_load(&t, &s, &ids, what, &e));
    int n_vocab = t.model->cfg.n_vocab;
    t.model->cfg.n_vocab = 10; /* a tokenizer that knows more than the model */
    s.source = write_file("zzz");
    assert_false(lb_calib_load(&t, &s, &ids, what, &e));
    t.model->cfg.n_vocab = n_vocab;
    assert_non_null(strstr(e.msg, "but the vocabulary of"));
}

static void ids_of_prompts_are_their_own(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_prompts p;
    const char *path = write_file("{\"problem\":\"a\"}\n{\"id\":7,\"prompt\":\"b\"}\n{\"id\":\"x\",\"question\":\"c\"}\n");
    assert_ok(lb_prompts_load(path, "data", 0, &p, &e), e);
    assert_int_equal(p.n, 3);
    assert_string_equal(p.p[0].id, "row-0");
    assert_string_equal(p.p[1].id, "7");
    assert_string_equal(p.p[2].user, "c");
    lb_prompts_free(&p);
    assert_ok(lb_prompts_load(path, "data", 2, &p, &e), e);
    assert_int_equal(p.n, 2);
    lb_prompts_free(&p);
    assert_ok(lb_prompts_load("chain,choice", "data", 3, &p, &e), e);
    assert_int_equal(p.n, 6);
    assert_true(strcmp(p.p[3].id, "choice-0") == 0 && p.p[3].max_new > 0 && p.p[3].solution && p.p[3].answer);
    lb_prompts_free(&p);
    static const struct { const char *text, *says; } bad[] = {
        {"{\"id\":1,\"prompt\":\"a\"}\n{\"id\":\"1\",\"prompt\":\"b\"}", ":2 has the id '1' of "},
        {"{\"prompt\":\"\"}", "'prompt' is empty"},
        {"{\"id\":[],\"prompt\":\"a\"}", "'id' is an array"},
        {"{\"text\":\"a\"}", "has no prompt"},
        {"\n\n", "has no rows"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(lb_prompts_load(write_file(bad[i].text), "data", 0, &p, &e));
        if (e.code != LB_EFORMAT || !strstr(e.msg, bad[i].says)) fail_msg("%zu: %d %s", i, (int)e.code, e.msg);
        assert_null(p.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_source_gives_its_text), cmocka_unit_test(solutions_follow_the_prompt),
        cmocka_unit_test(special_tokens_are_read_as_such), cmocka_unit_test(windows_are_drawn_by_seed),
        cmocka_unit_test(what_is_no_calibration_data_is_named), cmocka_unit_test(ids_of_prompts_are_their_own),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
