/* test_grade.c – extraction and comparison of answers: tables, hostile input, and the time it takes. */
#include "test.h"
#include "eval/grade.h"
#include <time.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LIMIT_MS 1000.0    /* sanitizers are slow, the bound still has to be one */
#endif
#endif
#ifndef LIMIT_MS
#define LIMIT_MS 50.0      /* reliability.md G09 */
#endif

static double now_ms(void)     /* of this process: other load on the machine does not count */
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- extraction ---- */

static void part_after_thinking(void **state)
{
    (void)state;
    static const struct { const char *text; bool in, ok, closed; const char *part; } row[] = {
        {"5", false, true, true, "5"},
        {"5", true, false, false, ""},
        {"<think>5", false, false, false, ""},
        {"<think>5</think>6", false, true, true, "6"},
        {"5</think>6", true, true, true, "6"},
        {"a</think>b</think>c", true, true, true, "c"},
        {"a</think>b<think>c", true, false, false, ""},
        {"a</think>b<think>c</think>", true, true, true, ""},
        {"5</thin", true, false, false, ""},
        {"", false, true, true, ""},
        {"", true, false, false, ""},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const char *part;
        bool closed;
        bool ok = lb_answer_part(row[i].text, row[i].in, &part, &closed);
        if (ok != row[i].ok || closed != row[i].closed || strcmp(part, row[i].part))
            fail_msg("'%s': %d closed %d '%s'", row[i].text, ok, closed, part);
    }
}

typedef struct extract {
    const char *text, *want;   /* want NULL: nothing is found */
} extract;

static void check_extract(bool (*f)(const char *, lb_buf *), const extract *row, size_t n)
{
    lb_buf b = {0};
    for (size_t i = 0; i < n; i++) {
        bool ok = f(row[i].text, &b);
        if (ok != (row[i].want != NULL)) fail_msg("'%s': found %d '%s'", row[i].text, ok, lb_buf_cstr(&b));
        if (ok && strcmp(lb_buf_cstr(&b), row[i].want))
            fail_msg("'%s': '%s', wanted '%s'", row[i].text, lb_buf_cstr(&b), row[i].want);
    }
    lb_buf_free(&b);
}

static void last_box(void **state)
{
    (void)state;
    static const extract row[] = {
        {"\\boxed{5}", "5"},
        {"\\boxed{1} then \\boxed{2}", "2"},
        {"\\boxed{1} then \\boxed{2", "1"},
        {"\\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"},
        {"\\boxed{\\{1,2\\}}", "\\{1,2\\}"},
        {"\\boxed{\\{1,2}", "\\{1,2"},
        {"x { \\boxed{ 5 }", "5"},
        {"\\boxed{\\boxed{7}}", "7"},
        {"\\boxed{a \\boxed{b} c}", "b"},
        {"\\fbox{9}", "9"},
        {"\\boxed {9}", "9"},
        {"\\\\boxed{9}", "9"},
        {"}}} \\boxed{3}", "3"},
        {"\\boxed{}", NULL},
        {"\\boxed", NULL},
        {"\\boxed{", NULL},
        {"boxed{5}", NULL},
        {"\\boxed5", NULL},
        {"", NULL},
        {"\\", NULL},
    };
    check_extract(lb_answer_boxed, row, sizeof row / sizeof *row);
}

static void final_answer(void **state)
{
    (void)state;
    static const extract row[] = {
        {"The answer is 3, so \\boxed{4}. The answer is 5.", "4"},
        {"The answer is 5.", "5"},
        {"The answer is not 5.", NULL},
        {"It is 12, not 13.", "12"},
        {"The answer is more than 5.", "more than 5"},
        {"The answer is at least 5", "at least 5"},
        {"The answer is that she has 5 apples.", "5"},
        {"**Answer:** Rs. 18", "18"},
        {"The answer is: 5", "5"},
        {"the final answer is $\\frac12$. I hope it is correct", "\\frac12"},
        {"**Answer:** 42", "42"},
        {"**Final Answer:** **42**", "42"},
        {"Final answer: 3.5 meters.\nDone", "3.5 meters"},
        {"The answer is:\n\n$$x = 7$$", "x = 7"},
        {"The answer is \\(x+1\\), done", "x+1"},
        {"so 6*3 = 18\n#### 18", "18"},
        {"Answer = 5!", "5!"},
        {"My answer issue", NULL},
        {"So $x=3$ and $y=4$.", "4"},
        {"So $3$ gives $y$.", "3"},
        {"It costs $5 and then $10", "10"},
        {"He has 1,234,567 coins", "1,234,567"},
        {"down to -3.25 at last", "-3.25"},
        {"a total of 3/4", "3/4"},
        {"x2 is not a number, 15% is", "15%"},
        {"so $x$", "x"},
        {"no idea", NULL},
        {"", NULL},
    };
    check_extract(lb_answer_final, row, sizeof row / sizeof *row);
}

static void option_letters(void **state)
{
    (void)state;
    static const struct { const char *text; int n; char want; } row[] = {
        {"\\boxed{C}", 4, 'C'}, {"\\boxed{c}", 4, 'C'}, {"\\boxed{\\text{B}}", 4, 'B'}, {"\\boxed{(A)}", 4, 'A'},
        {"\\boxed{\\textbf{(D)}}", 4, 'D'}, {"\\boxed{D) 14 N}", 4, 'D'}, {"\\boxed{E}", 4, 0}, {"\\boxed{E}", 5, 'E'},
        {"Answer: B, but \\boxed{14}", 4, 0}, {"\\boxed{A+B}", 4, 0}, {"\\boxed{AB}", 4, 0}, {"\\boxed{-A}", 4, 0},
        {"The answer is (C).", 4, 'C'}, {"The answer is C", 4, 'C'}, {"Answer: $B$", 4, 'B'}, {"**Answer: D**", 4, 'D'},
        {"The answer is option B.", 4, 'B'}, {"the answer is a ball", 4, 0}, {"The answer is A ball", 4, 0},
        {"I choose\nB", 4, 'B'}, {"I choose\n**B**.\n", 4, 'B'},
        {"Not (A) but (C) it is", 4, 'C'}, {"So **D** wins", 4, 'D'},
        {"none", 4, 0}, {"", 4, 0}, {"B", 4, 'B'}, {"I am\nBAD", 4, 0}, {"B", 1, 0}, {"B", 27, 0},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char c = 0;
        bool ok = lb_answer_letter(row[i].text, row[i].n, &c);
        if (ok != (row[i].want != 0) || c != row[i].want) fail_msg("'%s': %d '%c'", row[i].text, ok, c ? c : '?');
    }
}

static void code_blocks(void **state)
{
    (void)state;
    static const extract row[] = {
        {"```python\nprint(1)\n```", "print(1)"},
        {"```python\na\n\nb\n```\n", "a\n\nb"},
        {"```\na\n```\ntext\n```py\nb\n```\nbye", "b"},
        {"```\na\n```\ntext\n```py\nb", "text"},          /* the rule of LiveCodeBench, taken at its word */
        {"  ```python\n  a\n  ```", "  a"},
        {"```\n```", ""},
        {"``` one line ```", NULL},
        {"```python\na", NULL},
        {"print(1)", NULL},
        {"", NULL},
    };
    check_extract(lb_answer_code, row, sizeof row / sizeof *row);
}

/* ---- comparison ---- */

static void verdicts(void **state)
{
    (void)state;
    static const struct { char want; const char *gold, *answer; } row[] = {
#include "grade_table.inc"
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char why[256];
        lb_verdict v = lb_answer_equal(row[i].gold, row[i].answer, why);
        if ("WRU"[v] != row[i].want)
            fail_msg("%s || %s: %c (%s), wanted %c", row[i].gold, row[i].answer, "WRU"[v], why, row[i].want);
        assert_true(v == LB_RIGHT ? !why[0] || !strncmp(why, "equal at ", 9) : why[0]);
    }
}

static void forms(void **state)
{
    (void)state;
    static const struct { const char *category; char want; const char *gold, *answer; } row[] = {
#include "grade_forms.inc"
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        lb_grade g;
        lb_answer_compare(row[i].gold, row[i].answer, &g);
        if ("WRU"[g.verdict] != row[i].want)
            fail_msg("%s: %s || %s: %c (%s), wanted %c", row[i].category, row[i].gold, row[i].answer, "WRU"[g.verdict],
                     g.why, row[i].want);
        assert_true(g.verdict == LB_RIGHT ? !g.why[0] || !strncmp(g.why, "equal at ", 9) : g.why[0]);
        /* strict implies counted implies lenient */
        assert_true(g.strict != LB_RIGHT || g.verdict == LB_RIGHT);
        assert_true(g.verdict != LB_RIGHT || g.lenient == LB_RIGHT);
    }
}

static void equality_is_reflexive_and_symmetric_on_scalars(void **state)
{
    (void)state;
    static const char *const x[] = {
        "1/2", "0.5", "\\sqrt{8}", "2\\sqrt2", "x+1", "1+x", "\\pi", "2i", "x^2-1", "(x-1)(x+1)",
    };
    char why[256];
    for (size_t i = 0; i < 10; i++)
        for (size_t j = 0; j < 10; j++)
            assert_int_equal(lb_answer_equal(x[i], x[j], why), lb_answer_equal(x[j], x[i], why));
}

static double worst_ms;

static lb_verdict compare_timed(const char *gold, const char *answer)
{
    char why[256];
    double t = now_ms();
    lb_verdict v = lb_answer_equal(gold, answer, why);
    t = now_ms() - t;
    if (t > worst_ms) worst_ms = t;
    if (t > LIMIT_MS) fail_msg("%.60s || %.60s took %.1f ms (%s)", gold, answer, t, why);
    return v;
}

/* G09: bounded time and memory whatever comes. */
static void hostile_answers_cost_little(void **state)
{
    (void)state;
    enum { BIG = 1 << 20 };
    static const char *const piece[] = {
        "\\boxed{", "{", "(", "\\frac{1}{", "-", "\\sqrt", "\\sqrt{", "|", "2^", "x^{", "9**", "sin ", "1,",
        "1,000", "x+", "x_1_2_", "\\text{", "\\left(", "$", "\\{1,", "\\{", "1+1/(", "(x+y+z)", "(1+x)^9*",
        "1/(x+1)+", "\\pm1", "!", "2!", "\\pm", "<think>", "```\n", "answer is ", "a=", "\\begin{pmatrix}", "\xff",
        "\\", "\xe2\x88\x9a", "abcdefg", "\\sin\\cos", "\\sqrt{2}+", "x^2", "9", "1e", ".", "\\frac", "1 1/2",
        "cm", "\\log_", "\xe2\x88\x9e", "\\in", "\\cup(1,2)", "=", "x<", "\\overline{", "0.\\overline{1}",
        "\\sqrt{1000003}*", "\\binom{9}{4}", "(\\sqrt2+\\sqrt3+\\sqrt5+x+y)*", "1/(\\sqrt2+x)+", "x^{99999}*",
        "7^{99999}*",
    };
    static const char *const tower[] = {
        "9**9**9", "((x+1)^1000)^1000", "((((2^9999)^9999)^9999)^9999)", "(x+y+z+w)^{1000}", "1e999999999",
        "1e-999999999", "2^{2^{2^{2^{2^{2}}}}}", "x^{999999999999999999999}", "(1/3)^{1000000}", "2000!!",
        "((9!)!)!", "\\binom{2000}{1000}^{1000}", "\\sqrt[64]{7^{1000}}",
        "\\sqrt{99999999999999999999999999999999999999999999}", "(\\sqrt2+\\sqrt3+\\sqrt5+\\sqrt7)^{10000}",
        "(1+i)^{1000000}", "(x^{1000}+1)^{1000}", "1/(1+1/(1+1/(1+1/(1+1/x))))",
        "(a+b)(c+d)(e+f)(g+h)(j+k)(l+m)(n+o)(p+q)(r+s)(t+u)",
    };
    char *s = malloc(BIG + 64);
    lb_buf out = {0};
    for (size_t i = 0; i < sizeof piece / sizeof *piece; i++) {
        static const size_t size[] = {60, 500, 8000, BIG};
        for (size_t z = 0; z < 4; z++) {
            size_t n = 0, len = strlen(piece[i]);
            while (n + len <= size[z]) memcpy(s + n, piece[i], len), n += len;
            s[n] = 0;
            char c;
            const char *part;
            bool closed;
            compare_timed("1", s);
            compare_timed(s, "x+1");
            compare_timed("x, \\text{a}, (1, 2)", s);
            s[n] = '1', s[n + 1] = 0;
            compare_timed("2", s);
            double t0 = now_ms(), t;
            lb_answer_boxed(s, &out), lb_answer_final(s, &out), lb_answer_code(s, &out);
            lb_answer_letter(s, 4, &c), lb_answer_part(s, true, &part, &closed);
            t = (now_ms() - t0) / 5;
            if (t > LIMIT_MS) fail_msg("%zu bytes of '%s' took %.1f ms to extract", n, piece[i], t);
        }
    }
    for (size_t i = 0; i < sizeof tower / sizeof *tower; i++) {
        compare_timed("1", tower[i]);
        assert_int_not_equal(compare_timed(tower[i], "x"), LB_RIGHT);
    }
    memcpy(s, "\\boxed", 6), memset(s + 6, '{', 100000), memset(s + 100006, '}', 100000);
    s[200005] = 0;                                /* one brace short */
    assert_false(lb_answer_boxed(s, &out));
    s[200005] = '}', s[200006] = 0;
    assert_true(lb_answer_boxed(s, &out));
    assert_int_equal(out.n, 199998);
    char why[256];
    assert_int_equal(lb_answer_equal("1", lb_buf_cstr(&out), why), LB_UNKNOWN);
    print_message("worst comparison %.2f ms\n", worst_ms);
    lb_buf_free(&out);
    free(s);
}

static void whole_completions(void **state)
{
    (void)state;
    lb_grade g;
    lb_completion c = {.text = "3 + 4</think>The answer is $\\boxed{\\dfrac{178}{84}}$.", .in_thinking = true};
    lb_grade_math("\\frac{89}{42}", &c, &g);
    assert_int_equal(g.verdict, LB_RIGHT);
    assert_string_equal(g.extracted, "\\dfrac{178}{84}");
    assert_string_equal(g.why, "");
    lb_grade_math("5", &(lb_completion){.text = "the answer is \\boxed{5}", .in_thinking = true}, &g);
    assert_int_equal(g.verdict, LB_WRONG);
    assert_string_equal(g.why, "thinking was not finished");
    lb_grade_math("5", &(lb_completion){.text = "</think>hm", .in_thinking = true}, &g);
    assert_string_equal(g.why, "no answer was found");
    lb_grade_math("5", &(lb_completion){.text = "</think>\\boxed{}", .in_thinking = true}, &g);
    assert_int_equal(g.verdict, LB_WRONG);
    char *s = malloc(2000);
    memset(s, 0, 2000);
    strcpy(s, "\\boxed{a");
    for (int i = 0; i < 400; i++) strcat(s, "\xc3\xa9");
    strcat(s, "}");
    lb_grade_math("5", &(lb_completion){.text = s}, &g);
    assert_int_equal(g.verdict, LB_UNKNOWN);
    assert_int_equal(strlen(g.extracted), 255);   /* 'a' and 127 whole characters */
    free(s);
    lb_grade_letter("C", &(lb_completion){.text = "x</think>The answer is $\\boxed{C}$.", .in_thinking = true}, 4, &g);
    assert_int_equal(g.verdict, LB_RIGHT);
    lb_grade_letter("C", &(lb_completion){.text = "x</think>The answer is $\\boxed{B}$.", .in_thinking = true}, 4, &g);
    assert_int_equal(g.verdict, LB_WRONG);
    assert_string_equal(g.extracted, "B");
    lb_grade_letter("C", &(lb_completion){.text = "x</think>none of them", .in_thinking = true}, 4, &g);
    assert_string_equal(g.why, "no option letter was found");
}

static int cleanup(void **state)
{
    (void)state;
    lb_answer_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(part_after_thinking), cmocka_unit_test(last_box), cmocka_unit_test(final_answer),
        cmocka_unit_test(option_letters), cmocka_unit_test(code_blocks), cmocka_unit_test(verdicts),
        cmocka_unit_test(forms), cmocka_unit_test(equality_is_reflexive_and_symmetric_on_scalars), cmocka_unit_test(hostile_answers_cost_little),
        cmocka_unit_test(whole_completions),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
