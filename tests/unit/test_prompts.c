/* test_prompts.c – prompts from benchmarks: for calibration and traces. */
#include "data_rig.h"
#include "eval/prompts.h"

#define BOXED "\n\nPlease reason step by step, and put your final answer within \\boxed{}."

static void benchmarks_give_prompts_with_ids_of_their_own(void **state)
{
    (void)state;
    write_text("aime24/test.jsonl", "{\"id\": 0, \"problem\": \"a\", \"solution\": \"s\", \"answer\": "
                                    "\"033\"}\n{\"id\": 0, \"problem\": \"b\", \"answer\": \"1\"}");
    write_text("aime25/test.jsonl", "{\"id\": \"0\", \"question\": \"c\", \"answer\": 70.0}\n{\"id\": \"1\", "
                                    "\"question\": \"d\", \"answer\": 5.0}");
    write_text("gsm8k/test.jsonl", "{\"question\": \"e\", \"answer\": \"1+1=2\\nso\\n#### 1,002\"}");
    static const struct {
        const char *id, *user, *solution, *answer;
    } want[] = {{"0", "a" BOXED, "s", "033"},
                {"aime24/0", "b" BOXED, NULL, "1"},
                {"aime25/0", "c" BOXED, NULL, "70"},
                {"1", "d" BOXED, NULL, "5"},
                {"row-0", "e" BOXED, "1+1=2\nso", "1002"}};
    lb_err e = {0};
    lb_prompts p;
    assert_ok(lb_prompts_load("aime24,aime25,gsm8k", dir, 0, &p, &e), e);
    assert_int_equal(p.n, sizeof want / sizeof *want);
    for (int i = 0; i < p.n; i++) {
        assert_string_equal(p.p[i].id, want[i].id);
        assert_string_equal(p.p[i].user, want[i].user);
        assert_int_equal(p.p[i].max_new, 32768);
        if (want[i].solution) assert_string_equal(p.p[i].solution, want[i].solution);
        else assert_null(p.p[i].solution);
        assert_string_equal(p.p[i].answer, want[i].answer);
    }
    lb_prompts_free(&p);
    assert_ok(lb_prompts_load("aime24,aime25", dir, 1, &p, &e), e); /* one of each */
    assert_int_equal(p.n, 2);
    lb_prompts_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(benchmarks_give_prompts_with_ids_of_their_own)};
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
