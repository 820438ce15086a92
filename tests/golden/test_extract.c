/* golden/test_extract.c – what is extracted from completions as models write them.
 *
 * extract_cases.jsonl (tools/extract_cases.py): "kind" math, thinking or letter; "text"; "gold", what it means; "want",
 * what must be extracted. Without the last two the completion answers nothing. "found" and "right" are what math-verify
 * and lighteval make of it, for the record. LB_TEST_DATA says where the published data lies (../shared/data). */
#include "test.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "eval/answer_extract.h"

typedef struct tally {
    int n, n_math, n_letter, bad;
} tally;

static const char *word(const json_t *row, const char *key)
{
    const char *s = json_string_value(json_object_get(row, key));
    return s ? s : "";
}

static bool one(void *arg, json_t *row, const char *where, lb_err *err)
{
    tally *t = arg;
    (void)err;
    lb_completion c = {.text = word(row, "text"), .in_thinking = json_is_true(json_object_get(row, "in_thinking"))};
    bool letter = strcmp(word(row, "kind"), "letter") == 0, answers = json_object_get(row, "gold") != NULL;
    const char *gold = answers ? word(row, "gold") : "A";
    lb_grade g;
    if (letter) lb_grade_letter(gold, &c, 4, &g), t->n_letter++;
    else lb_grade_math(gold, &c, &g), t->n_math++;
    t->n++;
    bool right = g.verdict == LB_RIGHT, as_wanted = answers ? right && !strcmp(g.extracted, word(row, "want")) : !right;
    if (!as_wanted) {
        t->bad++;
        print_message("%s: '%s' (%d %s), wanted '%s' from\n%s\n", where, g.extracted, g.verdict, g.why,
                      word(row, "want"), c.text);
    }
    json_decref(row);
    return true;
}

static void completions_say_what_they_mean(void **state)
{
    (void)state;
    lb_err err = {0};
    tally t = {0};
    size_t size;
    char *text = lb_file_read("tests/golden/extract_cases.jsonl", 1 << 20, &size, &err);
    if (!text || !lb_jsonl_each(text, size, "extract_cases.jsonl", 0, one, &t, NULL, &err)) fail_msg("%s", err.msg);
    free(text);
    assert_true(t.n >= 200 && t.n_letter >= 50 && t.n_math >= 150);
    assert_int_equal(t.bad, 0);
}

/* The rule is told, and the two ways to ask agree. */
static void the_rule_is_told(void **state)
{
    (void)state;
    static const struct { const char *text; lb_answer_rule rule; } row[] = {
        {"\\boxed{5}", LB_RULE_BOX},
        {"$\\boxed{2}$ and $\\boxed{3}$", LB_RULE_BOXES},
        {"$\\boxed{\\frac12$ it is", LB_RULE_OPEN_BOX},
        {"the answer is 5", LB_RULE_ANNOUNCED},
        {"#### 5", LB_RULE_ANNOUNCED},
        {"so $x=5$", LB_RULE_FORMULA},
        {"so 5", LB_RULE_NUMBER},
        {"so $x=5$. Total: 6", LB_RULE_NUMBER},
        {"so $x$", LB_RULE_SYMBOLS},
        {"no", LB_RULE_NONE},
    };
    lb_buf a = {0}, b = {0};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        lb_answer_rule rule;
        bool found = lb_answer_find(row[i].text, &a, &rule);
        if (rule != row[i].rule || found != (rule != LB_RULE_NONE)) fail_msg("'%s': rule %d", row[i].text, rule);
        assert_int_equal(lb_answer_final(row[i].text, &b), found);
        if (found) assert_string_equal(lb_buf_cstr(&a), lb_buf_cstr(&b));
        assert_true(strlen(lb_answer_rule_text(rule)) > 5);
    }
    static const struct { const char *text; lb_answer_rule rule; } letter[] = {
        {"\\boxed{C}", LB_RULE_BOX}, {"Answer: C", LB_RULE_ANNOUNCED}, {"Option C is it", LB_RULE_OPTION},
        {"so\nC", LB_RULE_LAST_LINE}, {"so **C** is it", LB_RULE_MARKED}, {"none", LB_RULE_NONE},
    };
    for (size_t i = 0; i < sizeof letter / sizeof *letter; i++) {
        lb_answer_rule rule;
        char c = 'C';
        bool found = lb_answer_find_letter(letter[i].text, 4, &c, &rule);
        if (rule != letter[i].rule || found != (rule != LB_RULE_NONE) || c != 'C')
            fail_msg("'%s': rule %d", letter[i].text, rule);
    }
    lb_buf_free(&a), lb_buf_free(&b);
}

/* ---- the published solutions of MATH-500, GSM8K and AIME 24, where the data lies beside the project ---- */

typedef struct solutions {
    const char *answer, *solution;   /* keys of a row; answer NULL: behind #### of the solution */
    bool bare;                       /* without the \boxed in front of its braces */
    int n, right, wrong_shown;
} solutions;

static bool one_solution(void *arg, json_t *row, const char *where, lb_err *err)
{
    solutions *t = arg;
    lb_grade g;
    char *text = strdup(word(row, t->solution)), *gold = NULL;
    (void)err;
    assert_non_null(text);
    const json_t *a = t->answer ? json_object_get(row, t->answer) : NULL;
    if (!t->answer) gold = strdup(strstr(text, "####") + 5);
    else gold = strdup(json_is_string(a) ? json_string_value(a) : "");
    for (char *p = text; t->bare && (p = strstr(p, "\\boxed")) != NULL;) memmove(p, p + 6, strlen(p + 6) + 1);
    lb_grade_math(gold, &(lb_completion){.text = text}, &g);
    t->n++, t->right += g.verdict == LB_RIGHT;
    if (g.verdict != LB_RIGHT && !t->bare && t->wrong_shown++ < 5)
        print_message("%s: %s, '%s': %s\n", where, gold, g.extracted, g.why);
    free(text), free(gold);
    json_decref(row);
    return true;
}

static solutions read_solutions(const char *name, solutions t)
{
    char path[600];
    const char *data = getenv("LB_TEST_DATA");
    lb_err err = {0};
    size_t size;
    snprintf(path, sizeof path, "%s/%s", data ? data : "../shared/data", name);
    if (!lb_file_exists(path)) return t;
    char *text = lb_file_read(path, 64 << 20, &size, &err);
    if (!text || !lb_jsonl_each(text, size, path, 0, one_solution, &t, NULL, &err)) fail_msg("%s", err.msg);
    free(text);
    return t;
}

static void published_solutions_are_right(void **state)
{
    (void)state;
    solutions math = read_solutions("math500/test.jsonl", (solutions){"answer", "solution", .n = 0}),
              bare = read_solutions("math500/test.jsonl", (solutions){"answer", "solution", .bare = true}),
              gsm = read_solutions("gsm8k/test.jsonl", (solutions){NULL, "answer", .n = 0}),
              aime = read_solutions("aime24/test.jsonl", (solutions){"answer", "solution", .n = 0});
    if (!math.n && !gsm.n && !aime.n) skip();
    print_message("right: %d of %d of MATH-500, %d without their boxes, %d of %d of GSM8K, %d of %d of AIME 24\n",
                  math.right, math.n, bare.right, gsm.right, gsm.n, aime.right, aime.n);
    assert_int_equal(math.right, math.n);
    assert_int_equal(gsm.right, gsm.n);
    assert_int_equal(aime.right, aime.n);
    assert_true(bare.right >= 0.85 * bare.n);
}

static int cleanup(void **state)
{
    (void)state;
    lb_answer_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(completions_say_what_they_mean),
                                       cmocka_unit_test(the_rule_is_told),
                                       cmocka_unit_test(published_solutions_are_right)};
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
