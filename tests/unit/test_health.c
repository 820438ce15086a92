/* test_health.c – loops, traces read back, and the verdict on a model against itself and against a ruined one. */
#include "test.h"
#include "base/file.h"
#include "base/rng.h"
#include "eval/health.h"
#include "eval/loop.h"
#include <unistd.h>

static lb_exec *ex;
static lb_target t;

static int open_model(void **state)
{
    (void)state;
    lb_err e = {0};
    ex = lb_exec_open(&(lb_exec_opt){.n_thread = 2}, &e);
    return ex && lb_target_open(&t, ABACUS_DIR, ex, &e) ? 0 : -1;
}

static int close_model(void **state)
{
    (void)state;
    lb_target_close(&t);
    lb_exec_close(ex);
    return 0;
}

static int noise(int i) { return (int)(lb_rng_uniform(lb_rng_key_of(1, 0, 0), (uint64_t)i) * 1000); }

/* A text of `head` random tokens, then a block of `period` of them again and again. */
static double looping(int head, int period, int n)
{
    static int ids[20000];
    for (int i = 0; i < n; i++) ids[i] = i < head ? noise(i) : noise(10000 + (i - head) % period);
    return lb_repetition(ids, n);
}

static void loops_of_any_period_show(void **state)
{
    (void)state;
    assert_true(looping(5000, 1, 5000) == 0); /* no block yet: random */
    assert_true(looping(63, 1, 63) == 0);
    static const struct { int head, period, n; bool loop; } cases[] = {
        {0, 1, 64, true},        {200, 1, 300, false},    {200, 1, 400, true},     {1000, 40, 1120, false},
        {1000, 40, 1260, true},  {0, 80, 256, true},      {500, 300, 1100, false}, {500, 300, 1525, true},
        {2000, 1300, 6100, true},{2000, 2000, 6000, false},{0, 35, 100, false},    {0, 20, 100, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double r = looping(cases[i].head, cases[i].period, cases[i].n);
        if ((r >= 2.0 / 3) != cases[i].loop) fail_msg("case %zu: repetition %g", i, r);
    }
    /* by hand: 71 tokens, all the same: 64 8-grams, one different */
    assert_true(fabs(looping(0, 1, 71) - (1 - 1.0 / 64)) < 1e-15);
    int varied[256]; /* a loop whose every tenth line says another number */
    for (int i = 0; i < 256; i++) varied[i] = i % 100 == 99 ? noise(i) : i % 10;
    assert_true(lb_is_loop(varied, 256));
}

static const char *write_file(const char *text)
{
    static char path[64];
    lb_err e = {0};
    snprintf(path, sizeof path, "/tmp/lowbit-health-%d", (int)getpid());
    assert_ok(lb_write_file(path, text, strlen(text), &e), e);
    return path;
}

static void traces_are_read_as_ids(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_traces x;
    const char *path = write_file("{\"prompt\":\"<|im_start|>user\\nHi\",\"text\":\"<think>a</think>\"}\n"
                                  "{\"prompt\":\"<|im_start|>user\\nHi\",\"text\":\"x\",\"ids\":[3,1035]}\n");
    assert_ok(lb_traces_load(&t, path, &x, &e), e);
    assert_int_equal(x.n, 2);
    assert_true(x.p[0].problem == x.p[1].problem && x.p[0].n_prompt == x.p[1].n_prompt);
    const int *ids = x.p[0].ids.p + x.p[0].n_prompt;
    assert_int_equal(x.p[0].ids.n - (size_t)x.p[0].n_prompt, 3);
    assert_true(ids[0] == 1036 && ids[2] == 1037 && x.p[0].ids.p[0] == 1034);
    assert_true(x.p[1].ids.n == (size_t)x.p[1].n_prompt + 2 && x.p[1].ids.p[x.p[1].n_prompt + 1] == 1035);
    lb_traces_free(&x);
    static const struct { const char *text, *says; } bad[] = {
        {"", "has no traces"},
        {"{\"prompt\":\"a\"}", ":1 is no trace"},
        {"{\"prompt\":\"\",\"text\":\"a\"}", ":1: the prompt is empty"},
        {"{\"prompt\":\"a\",\"text\":\"b\",\"ids\":[1,2048]}", "ids[1] is no token of"},
        {"{\"prompt\":\"a\",\"text\":\"b\",\"ids\":3}", "'ids' is an integer"},
        {"{\"prompt\":\"<|eot_id|>\",\"text\":\"b\"}", "another vocabulary"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(lb_traces_load(&t, write_file(bad[i].text), &x, &e));
        if (e.code != LB_EFORMAT || !strstr(e.msg, bad[i].says)) fail_msg("%zu: %d %s", i, (int)e.code, e.msg);
    }
    remove(path);
}

static void a_model_is_healthy_against_itself_and_broken_against_its_ruin(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_traces x;
    const char *path = write_file(
        "{\"prompt\":\"<|im_start|>user\\nGwen has 16 pencils. Iris has 11 more pencils than Gwen. How many pencils does Iris have?"
        "<|im_end|>\\n<|im_start|>assistant\\n\",\"text\":\"<think>\\nso Gwen = 16\\nso Iris = Gwen + 11 = 16 + 11 = 27\\n</think>\\n\\n"
        "The answer is $\\\\boxed{27}$.\"}\n"
        "{\"prompt\":\"<|im_start|>user\\nCompute $12 \\\\cdot 34$.<|im_end|>\\n<|im_start|>assistant\\n\",\"text\":\"<think>\\n34*12 = 34*10 + "
        "34*2 = 340 + 68 = 408\\n</think>\\n\\nThe answer is $\\\\boxed{408}$.\"}\n");
    assert_ok(lb_traces_load(&t, path, &x, &e), e);
    remove(path);
    lb_health_opt o = {.traces = &x, .sampling = lb_target_sampling(&t), .max_new = 100, .progress = LB_PROGRESS_NONE};
    lb_health h;
    assert_ok(lb_health_run(&t, &t, &o, &h, &e), e);
    assert_true(h.verdict == LB_HEALTHY && h.n_prompt == 2 && h.n_trace == 2 && h.compare.n_mark == 2);
    assert_true(h.compare.kl.mean == 0 && h.length.mean == 1 && h.base.loops.mean == 0 && h.base.closed.mean == 1);
    assert_true(h.base.tokens.mean == h.quant.tokens.mean && h.base.tokens.mean > 20 && h.compare.mark_base.mean > 0.9);
    json_t *j = lb_health_json(&h);
    assert_string_equal(json_string_value(json_object_get(j, "verdict")), "healthy");
    json_decref(j);
    lb_target ruin; /* all norms of the last block are turned round */
    assert_ok(lb_target_open(&ruin, ABACUS_DIR, ex, &e), e);
    float norm[1024];
    for (int i = 0; i < t.model->cfg.d_model; i++) norm[i] = -t.model->final_norm[i];
    ruin.model->final_norm = norm;
    assert_ok(lb_health_run(&t, &ruin, &o, &h, &e), e);
    assert_true(h.verdict == LB_BROKEN && h.compare.mark_quant.mean < 0.1 && h.compare.top1.mean < 0.5);
    assert_true(h.symptom[0].value > 10 && h.symptom[1].level == LB_BROKEN);
    lb_target_close(&ruin);
    lb_traces_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_of_any_period_show), cmocka_unit_test(traces_are_read_as_ids),
        cmocka_unit_test(a_model_is_healthy_against_itself_and_broken_against_its_ruin),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
