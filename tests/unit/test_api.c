/* test_api.c – include/lowbit.h on the embedded model: answers, pieces of them, ends asked for, errors. */
#include "test.h"
#include "lowbit.h"

static const char QUESTION[] = "Compute $12 \\cdot 34$.";

static lb_lm *open_lm(const char *dir)
{
    lb_err e = {0};
    lb_lm *lm = lb_lm_open(dir, &(lb_lm_opt){.n_thread = 2, .n_ctx = 512}, &e);
    if (!lm) fail_msg("%s", e.msg);
    return lm;
}

typedef struct pieces {
    char text[8192];
    size_t n, stop_at;           /* the answer ends after so many bytes; 0: never */
    int calls, calls_after_end;
    bool ended;
} pieces;

static bool on_text(void *arg, const char *p, size_t n)
{
    pieces *x = arg;
    assert_true(n > 0 && x->n + n < sizeof x->text);
    memcpy(x->text + x->n, p, n);
    x->n += n;
    x->calls++;
    x->calls_after_end += x->ended;
    x->ended = x->stop_at && x->n >= x->stop_at;
    return !x->ended;
}

static void pieces_make_the_answer(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_lm *lm = open_lm(ABACUS_DIR);
    pieces all = {0}, again = {0}, some = {.stop_at = 10};
    char *text = lb_lm_answer(lm, QUESTION, &(lb_lm_gen){.seed = 7}, on_text, &all, &e);
    assert_ok(text, e);
    assert_string_equal(text, all.text);
    assert_non_null(strstr(text, "</think>"));
    assert_true(all.calls > 20);
    char *same = lb_lm_answer(lm, QUESTION, &(lb_lm_gen){.seed = 7}, on_text, &again, &e);
    assert_string_equal(text, same); /* same prompt, same seed, same text: nothing of the first answer is left */
    char *part = lb_lm_answer(lm, QUESTION, &(lb_lm_gen){.seed = 7}, on_text, &some, &e);
    assert_ok(part, e);
    assert_string_equal(part, some.text);
    assert_true(some.n >= 10 && some.n < 40 && strncmp(text, part, some.n) == 0);
    assert_int_equal(some.calls_after_end, 0);
    char *greedy = lb_lm_answer(lm, QUESTION, &(lb_lm_gen){.own_sampling = true}, NULL, NULL, &e);
    assert_ok(greedy, e);
    assert_non_null(strstr(greedy, "\\boxed{408}"));
    char *brief = lb_lm_answer(lm, QUESTION, &(lb_lm_gen){.own_sampling = true, .max_new = 5}, NULL, NULL, &e);
    assert_ok(brief, e);
    assert_true(strlen(brief) > 0 && strlen(brief) < strlen(greedy) && strncmp(brief, greedy, strlen(brief)) == 0);
    free(text), free(same), free(part), free(greedy), free(brief);
    lb_lm_close(lm);
}

static void wrong_arguments_are_named(void **state)
{
    (void)state;
    lb_err e = {0};
    assert_null(lb_lm_open("/nowhere/at/all", NULL, &e));
    assert_non_null(strstr(e.msg, "/nowhere/at/all"));
    assert_null(lb_lm_open(ABACUS_DIR, &(lb_lm_opt){.isa = "avx9000"}, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    assert_null(lb_lm_open(ABACUS_DIR, &(lb_lm_opt){.kv = "int99"}, &e));
    assert_non_null(strstr(e.msg, "int99"));
    lb_lm *lm = open_lm(ABACUS_DIR);
    assert_null(lb_lm_answer(lm, QUESTION, &(lb_lm_gen){.own_sampling = true, .temperature = -1}, NULL, NULL, &e));
    assert_non_null(strstr(e.msg, "temperature"));
    assert_null(lb_lm_answer(lm, "\xff", NULL, NULL, NULL, &e));
    char *longest = malloc(20001);
    memset(longest, '7', 20000);
    longest[20000] = 0;
    assert_null(lb_lm_answer(lm, longest, NULL, NULL, NULL, &e));
    assert_non_null(strstr(e.msg, "context"));
    free(longest);
    char *text = lb_lm_answer(lm, QUESTION, NULL, NULL, NULL, &e); /* after all that it still answers */
    assert_ok(text, e);
    free(text);
    lb_lm_close(lm);
    lb_lm_close(NULL);
    assert_false(lb_quantize_folder(ABACUS_DIR, "/tmp/lowbit-never", &(lb_quantize_how){.method = "magic", .scheme = "w4"}, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    assert_false(lb_quantize_folder(ABACUS_DIR, "/tmp/lowbit-never", &(lb_quantize_how){.method = "rtn", .scheme = "w77"}, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    assert_false(lb_quantize_folder(ABACUS_DIR, ABACUS_DIR, &(lb_quantize_how){.method = "rtn", .scheme = "w4"}, &e));
    assert_int_equal(e.code, LB_EUSAGE);
}

static void a_quantized_folder_answers(void **state)
{
    (void)state;
    lb_err e = {0};
    char dir[] = "/tmp/lowbit-api-XXXXXX", out[64], command[80];
    assert_non_null(mkdtemp(dir));
    snprintf(out, sizeof out, "%s/w8", dir);
    assert_ok(lb_quantize_folder(ABACUS_DIR, out, &(lb_quantize_how){.method = "rtn", .scheme = "w8g128"}, &e), e);
    assert_false(lb_quantize_folder(ABACUS_DIR, out, &(lb_quantize_how){.method = "rtn", .scheme = "w8g128"}, &e)); /* never over something */
    lb_lm *lm = open_lm(out);
    char *text = lb_lm_answer(lm, QUESTION, &(lb_lm_gen){.own_sampling = true}, NULL, NULL, &e);
    assert_ok(text, e);
    assert_non_null(strstr(text, "\\boxed{408}"));
    free(text);
    lb_lm_close(lm);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_make_the_answer),
        cmocka_unit_test(wrong_arguments_are_named),
        cmocka_unit_test(a_quantized_folder_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
