/* test_answer.c – the three readings, proofs in a child process, and what grading costs. */
#define _GNU_SOURCE
#include "test.h"
#include "eval/grade.h"
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const char *shown(const lb_grade *g)
{
    static char s[4];
    snprintf(s, sizeof s, "%c%c%c", "WRU"[g->strict], "WRU"[g->verdict], "WRU"[g->lenient]);
    return s;
}

/* strict, counted, lenient */
static void readings_of_answers(void **state)
{
    (void)state;
    static const struct { const char *want, *gold, *answer; } row[] = {
        {"RRR", "5", "5"}, {"RRR", "\\frac12", "0.5"}, {"WRR", "5", "x=5"}, {"WRR", "5", "5 \\text{ cm}"},
        {"RRR", "5 \\text{ cm}", "5\\,\\text{cm}"}, {"WRR", "5\\text{ cm}", "5"},
        {"UUR", "5\\text{ cm}", "5\\text{ km}"},
        {"UUW", "5\\text{ cm}", "6\\text{ km}"}, {"WRR", "0.5", "50\\%"}, {"WRR", "50", "50\\%"},
        {"RRR", "50\\%", "50\\%"},
        {"WWR", "\\sqrt2", "1.41421"}, {"WWR", "\\frac13", "0.33333"}, {"WWW", "\\frac13", "0.333"},
        {"WWR", "\\pi", "3.14159"},
        {"RRR", "1,2", "2,1"}, {"WRR", "(1,2)", "1,2"}, {"WRR", "\\{1,2\\}", "1,2"}, {"WRR", "x>2", "(2,\\infty)"},
        {"RRR", "x>2", "2<x"}, {"WRR", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", "(1,2)"},
        {"WWR", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}1&2\\end{pmatrix}"},
        {"UUR", "\\sqrt{x^2}", "x"},
        {"UUR", "\\ln 2", "\\log 2"}, {"WRR", "C", "(C) 5"}, {"RRR", "C", "\\text{(C)}"}, {"WWW", "100", "101"},
        {"WWW", "A", "B"}, {"UUR", "52_8", "52"}, {"RRR", "x=5", "x=5"}, {"WRR", "x=5", "5"},
        {"RRR", "y=2x", "y - 2x = 0"},
        {"WWW", "", "\\"}, {"WWR", "1000000", "1000001"}, {"WWW", "x", "1.00001x"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        lb_grade g;
        lb_answer_compare(row[i].gold, row[i].answer, &g);
        if (!row[i].gold[0]) assert_int_equal(g.verdict, LB_UNKNOWN);
        else if (strcmp(shown(&g), row[i].want))
            fail_msg("%s || %s: %s (%s), wanted %s", row[i].gold, row[i].answer, shown(&g), g.why, row[i].want);
    }
}

static void readings_of_completions(void **state)
{
    (void)state;
    static const struct {
        const char *want, *gold, *text;
        bool in, cut;
        lb_answer_form form;
        const char *why;
    } row[] = {
        {"RRR", "5", "x</think>So \\boxed{5}.", true, false, LB_FORM_BOX, ""},
        {"WRR", "5", "x</think>So the answer is 5.", true, false, LB_FORM_BOX, ""},
        {"WRR", "5", "x</think>So \\boxed{x = 5}.", true, false, LB_FORM_BOX, ""},
        {"WWR", "5", "so \\boxed{5}", true, false, LB_FORM_BOX, "thinking was not finished"},
        {"WWR", "5", "<think>so the answer is 5", false, false, LB_FORM_BOX, "thinking was not finished"},
        {"WWR", "5", "\\boxed{5} and then", false, true, LB_FORM_BOX, "cut off at the limit of tokens"},
        {"WWW", "5", "\\boxed{6} and then", false, true, LB_FORM_BOX, "cut off at the limit of tokens"},
        {"WWW", "5", "so", false, true, LB_FORM_BOX, "cut off at the limit of tokens"},
        {"WWW", "5", "so", false, false, LB_FORM_BOX, "no answer was found"},
        {"RRR", "5", "x\nAnswer: 5", false, false, LB_FORM_LINE, ""},
        {"RRR", "5", "x\n**Answer: 5**\n", false, false, LB_FORM_LINE, ""},
        {"WRR", "5", "x \\boxed{5}", false, false, LB_FORM_LINE, ""},
        {"WWR", "\\frac13", "\\boxed{0.33333}", false, false, LB_FORM_BOX, "the values differ"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        lb_grade g;
        lb_completion c = {row[i].text, row[i].in, row[i].cut, row[i].form};
        lb_grade_math(row[i].gold, &c, &g);
        if (strcmp(shown(&g), row[i].want) || strcmp(g.why, row[i].why))
            fail_msg("%s || %s: %s (%s), wanted %s", row[i].gold, row[i].text, shown(&g), g.why, row[i].want);
    }
    static const struct { const char *want, *gold, *text; bool cut; lb_answer_form form; } letter[] = {
        {"RRR", "C", "x\nAnswer: C", false, LB_FORM_LINE}, {"WRR", "C", "\\boxed{C}", false, LB_FORM_LINE},
        {"RRR", "C", "\\boxed{C}", false, LB_FORM_BOX}, {"WWR", "C", "\\boxed{C}", true, LB_FORM_BOX},
        {"WWW", "C", "\\boxed{B}", false, LB_FORM_BOX}, {"WWW", "C", "hm", false, LB_FORM_BOX},
    };
    for (size_t i = 0; i < sizeof letter / sizeof *letter; i++) {
        lb_grade g;
        lb_grade_letter(letter[i].gold, &(lb_completion){letter[i].text, false, letter[i].cut, letter[i].form}, 4, &g);
        if (strcmp(shown(&g), letter[i].want)) fail_msg("%s: %s, wanted %s", letter[i].text, shown(&g), letter[i].want);
    }
    static const struct { const char *want, *gold, *text; } words[] = {
        {"RRR", "Tuesday", "so \\boxed{\\text{tuesday}}"}, {"WRR", "Tuesday", "I think:\n\ntuesday."},
        {"RRR", "step 3", "so \\boxed{Step 3.}"}, {"RRR", "north east", "\\boxed{North-East}"},
        {"WWW", "1.5", "\\boxed{15}"},
        {"WWW", "-5", "\\boxed{5}"}, {"WRR", "yes", "x\nAnswer: Yes"}, {"WWW", "yes", "no"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        lb_grade g;
        lb_grade_text(words[i].gold, &(lb_completion){.text = words[i].text}, &g);
        if (strcmp(shown(&g), words[i].want))
            fail_msg("%s: %s (%s), wanted %s", words[i].text, shown(&g), g.why, words[i].want);
    }
}

static void explanations(void **state)
{
    (void)state;
    static const struct { bool ok; const char *answer, *want; } row[] = {
        {true, "\\frac{1}{2}", "(1 / 2)\n  value 0.500000000000000\n"}, {true, "x = \\pm 3", "(x = (± 3))\n"},
        {true, "$\\sqrt2$, 5 cm",
         "in any order: root(2); 5 [unit centimeter]\n  value 1.41421356237310\n  value 5.00000000000000\n"},
        {true, "[0,\\infty)", "[0, infinity)\n  value 0\n"}, {true, "\\text{Tuesday}", "\"Tuesday\"\n"},
        {false, "\\foo", "not understood: '\\foo' is not understood\n"},
        {false, "1+", "not understood: it ends too early\n"},
    };
    lb_buf b = {0};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        lb_buf_reset(&b);
        if (lb_answer_explain(row[i].answer, &b) != row[i].ok || strcmp(lb_buf_cstr(&b), row[i].want))
            fail_msg("%s: '%s', wanted '%s'", row[i].answer, lb_buf_cstr(&b), row[i].want);
    }
    lb_buf_free(&b);
}

/* What two answers are to each other does not depend on which is gold, nor on how they are laid out. */
static void equal_forms_stay_equal(void **state)
{
    (void)state;
    static const char *const value[] = {"1/2", "\\sqrt{3}", "2\\pi", "x^2-1", "(1,2)", "[0,3)", "\\{1,2\\}", "x=4",
                                        "5\\text{ cm}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\text{Tuesday}",
                                        "\\cos(\\pi/7)", "3,4"};
    static const char *const around[][2] = {{"$", "$"}, {"\\(", "\\)"}, {" ", " . "}, {"\\boxed{", "}"}, {"**", "**"},
                                            {"\\displaystyle ", ""}, {"\\left. ", "\\right."}, {"{", "}"},
                                            {"", "\\\\"}};
    enum { N = sizeof value / sizeof *value, M = sizeof around / sizeof *around };
    char why[256], text[256];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            lb_verdict v = lb_answer_equal(value[i], value[j], why);
            assert_int_equal(v == LB_RIGHT, lb_answer_equal(value[j], value[i], why) == LB_RIGHT);
            for (int k = 0; k < M; k++) {
                if (!strcmp(around[k][0], "{") && value[j][0] != '1' && value[j][0] != '2') continue;
                snprintf(text, sizeof text, "%s%s%s", around[k][0], value[j], around[k][1]);
                lb_verdict w = lb_answer_equal(value[i], text, why);
                if (v != w && !(v != LB_RIGHT && w != LB_RIGHT))
                    fail_msg("%s || %s: %d, but %d for %s", value[i], value[j], v, w, text);
            }
        }
}

/* ---- proofs ---- */

/* Proven by algebra: nothing is left to points or to the child. */
static void identities_are_proven(void **state)
{
    (void)state;
    static const char *const pair[][2] = {
        {"\\sin 2x", "2\\sin x\\cos x"}, {"\\cos 3x", "4\\cos^3 x-3\\cos x"}, {"2^{n+1}", "2\\cdot 2^n"},
        {"\\sin(x+y)", "\\sin x\\cos y+\\cos x\\sin y"}, {"e^{ix}", "\\cos x+i\\sin x"}, {"\\tan^2 x+1", "\\sec^2 x"},
        {"\\cosh^2 t", "1+\\sinh^2 t"}, {"e^{x+1}", "e\\cdot e^x"}, {"\\coth x", "\\cosh x/\\sinh x"},
        {"\\frac{x^2-y^2}{x-y}", "x+y"}, {"\\sqrt[3]{2}\\sqrt[3]{4}", "2"}, {"\\sqrt{12\\pi^2}", "2\\pi\\sqrt3"},
    };
    char why[256] = "";
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
        lb_verdict v = lb_answer_equal(pair[i][0], pair[i][1], why);
        if (v != LB_RIGHT || why[0]) fail_msg("%s || %s: %d (%s)", pair[i][0], pair[i][1], v, why);
    }
    assert_int_equal(lb_answer_equal("x^{n+1}", "x\\cdot x^n", why), LB_RIGHT);
    assert_string_equal(why, "equal at 16 random points to 270 digits");
}

static const char slow_gold[] =
    "\\sqrt{1+\\sqrt{1+\\sqrt{1+\\sqrt{1+\\sqrt{1+\\sqrt{1+\\sqrt{1+\\sqrt{1+\\sqrt{1+\\sqrt{1+"
    "\\sqrt{1+\\sqrt{3}}}}}}}}}}}}";

static lb_verdict slow(char why[256])
{
    char answer[600];
    snprintf(answer, sizeof answer, "\\sqrt{%s^2}", slow_gold);
    return lb_answer_equal(slow_gold, answer, why);
}

static void a_proof_that_takes_too_long_costs_one_answer(void **state)
{
    (void)state;
    char why[256];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(slow(why), LB_UNKNOWN);
        assert_string_equal(why, "equal to 270 digits, but a proof takes too long");
        assert_int_equal(lb_answer_equal("\\sqrt2+\\sqrt3", "\\sqrt{5+2\\sqrt6}", why), LB_RIGHT);
        lb_answer_cleanup();
    }
}

static int children(pid_t *first)
{
    char path[64], text[4096] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)gettid());
    FILE *f = fopen(path, "r");
    if (!f) return -1;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    int count = 0;
    for (char *p = text, *end; *p; p = end) {
        long pid = strtol(p, &end, 10);
        if (end == p) break;
        if (!count++) *first = (pid_t)pid;
    }
    return count;
}

/* One child, kept; killed by somebody, it comes back; gone with lb_answer_cleanup. */
static void the_child_is_kept_and_replaced(void **state)
{
    (void)state;
    char why[256];
    pid_t a = 0, b = 0;
    lb_answer_cleanup();
    int none = children(&a);
    if (none < 0) skip();
    assert_int_equal(none, 0);
    assert_int_equal(lb_answer_equal("3", "\\log_2 8", why), LB_RIGHT);
    assert_int_equal(children(&a), 1);
    assert_int_equal(lb_answer_equal("\\sqrt2+\\sqrt3", "\\sqrt{5+2\\sqrt6}", why), LB_RIGHT);
    assert_int_equal(children(&b), 1);
    assert_int_equal(a, b);
    kill(a, SIGKILL);
    assert_int_equal(lb_answer_equal("\\sqrt2+\\sqrt3", "\\sqrt{5+2\\sqrt6}", why), LB_RIGHT);
    assert_int_equal(children(&b), 1);
    assert_int_not_equal(a, b);
    lb_answer_cleanup();
    assert_int_equal(children(&b), 0);
}

/* A fork (such as a sandbox's) neither uses nor ends the child of its parent. */
static void a_fork_has_its_own_child(void **state)
{
    (void)state;
    char why[256];
    assert_int_equal(lb_answer_equal("3", "\\log_2 8", why), LB_RIGHT);
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = lb_answer_equal("3", "\\log_2 8", why) == LB_RIGHT;
        lb_answer_cleanup();
        _exit(ok ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(lb_answer_equal("3", "\\log_2 8", why), LB_RIGHT);
}

enum { N_THREAD = 8 };

static void *grade_in_thread(void *arg)
{
    char why[256];
    int *bad = arg;
    for (int i = 0; i < 20; i++) {
        *bad += lb_answer_equal("\\sqrt2+\\sqrt3", "\\sqrt{5+2\\sqrt6}", why) != LB_RIGHT;
        *bad += lb_answer_equal("\\sin 2x", "2\\sin x\\cos x", why) != LB_RIGHT;
        *bad += lb_answer_equal("\\frac{x^2-1}{x-1}", "x+1", why) != LB_RIGHT;
        *bad += lb_answer_equal("\\log_2 8", "4", why) != LB_WRONG;
    }
    return NULL;                                 /* the child and the caches end with the thread */
}

static void threads_prove_side_by_side(void **state)
{
    (void)state;
    pthread_t t[N_THREAD];
    int bad[N_THREAD] = {0};
    for (int i = 0; i < N_THREAD; i++) assert_int_equal(pthread_create(&t[i], NULL, grade_in_thread, &bad[i]), 0);
    for (int i = 0; i < N_THREAD; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < N_THREAD; i++) assert_int_equal(bad[i], 0);
}

/* ---- what it costs ---- */

/* In a process that the kernel kills when it uses more processor time than the limits of these answers add up to. */
static void hostile_answers_are_bounded(void **state)
{
    (void)state;
    static const char *const pair[][2] = {
        {"1", "10^{10^{10}}"}, {"10^{10^{10}}", "10^{10^{10}}+0"}, {"1", "10^{10^{10^{10}}}"},
        {"\\sin(10^{10^{10}})", "1"},
        {"e^{e^{e^{e^{e}}}}", "e^{e^{e^{e^{e^{1}}}}}"}, {"2^{1/64}", "\\sqrt[64]{2^{1}}\\cdot 1^{\\pi}"},
        {"((((x^x)^x)^x)^x)^x", "x^{x^{5}}"}, {"\\arctan(\\arctan(\\arctan(x^{1000000})))", "0"},
        {"\\sqrt{10^{2000}+1}", "\\sqrt{4\\cdot10^{2000}+4}/2"}, {"(2000!)!", "1"},
        {"\\binom{2000}{1000}^{\\sqrt2}", "2"},
        {"\\lfloor 10^{10^{10}}\\rfloor", "10^{10^{10}}"}, {"\\lfloor \\pi^{10^{9}}\\rfloor", "\\pi^{10^9}"},
        {"\\cos(\\pi/100003)", "\\sin(\\pi/2-\\pi/100003)"}, {"e^{10^{300}}", "e^{10^{300}}\\cdot 1^{x}"},
        {"\\ln(\\ln(\\ln 2))", "x"},
        {"\\sqrt[63]{\\sqrt[61]{\\sqrt[59]{2}}}+\\sqrt[62]{3}", "\\sqrt[62]{3}+\\sqrt[59]{\\sqrt[61]{\\sqrt[63]{2}}}"},
        {"0^{x}", "0"}, {"x^{0}", "1"}, {"1/(\\sin^2(1)+\\cos^2(1)-1)", "1/0"}, {"|x|^{|x|^{|x|}}", "x"},
        {"\\log_1 5", "\\log_0 5"},
    };
    enum { N = sizeof pair / sizeof *pair, EACH_S = SANITIZED ? 5 : 1 };
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setrlimit(RLIMIT_CPU, &(struct rlimit){N * EACH_S, N * EACH_S});
        lb_grade g;
        for (int i = 0; i < 2 * N; i++) lb_answer_compare(pair[i / 2][i % 2], pair[i / 2][1 - i % 2], &g);
        lb_answer_cleanup();
        _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void the_constructed_equalities_that_nobody_may_get_right(void **state)
{
    (void)state;
    static const char *const pair[][2] = {
        {"0", "10^{-250}"}, {"\\pi", "\\pi+10^{-260}"}, {"x", "x+10^{-100}"}, {"\\sin x", "\\sin x+10^{-200}"},
        {"\\sin x", "\\sin(x)+e^{-600}"}, {"|x|", "\\sqrt{x^2}+10^{-99}"}, {"\\lfloor x/10^9\\rfloor", "0"},
        {"\\sqrt{2}", "\\sqrt{2}+e^{-10000}"}, {"1", "\\sin(x-x)/(x-x)"},
        {"\\frac{x}{x}", "\\frac{\\sin(x-x)}{\\sin(x-x)}"},
        {"e^{\\pi\\sqrt{163}}", "262537412640768744"}, {"\\sqrt{x^2}", "x"}, {"0^0", "1"}, {"x^{1/2}", "-x^{1/2}"},
        {"\\log x", "\\ln x"}, {"\\cos(n\\pi)", "(-1)^n"}, {"\\arcsin(\\sin x)", "x"}, {"22/7", "\\pi"},
        {"e^x", "2.718281828^x"},
    };
    char why[256];
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++)
        if (lb_answer_equal(pair[i][0], pair[i][1], why) == LB_RIGHT ||
            lb_answer_equal(pair[i][1], pair[i][0], why) == LB_RIGHT)
            fail_msg("%s || %s: right", pair[i][0], pair[i][1]);
}

/* Memory in use is the same after many answers; under AddressSanitizer the leak checker says so instead. */
static void grading_leaks_nothing(void **state)
{
    (void)state;
    static const char *const pair[][2] = {
        {"\\frac{1}{2}", "0.5"}, {"\\frac{x^2-1}{x-1}", "x+1"}, {"\\sin 2x", "2\\sin x\\cos x"},
        {"\\sqrt{12}", "2\\sqrt3"},
        {"(1,2)", "(1,3)"}, {"\\text{a", "\\foo"}, {"x", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"}, {"\\pi", "3.14"},
        {"5", "x^2+y^2=4"}, {"9**9**9", "1"}, {"\\{1,2,3\\}", "3,2,1"}, {"\\log_2 8", "\\ln x"},
        {"1", "((x+1)^1000)^1000"},
    };
    enum { N = sizeof pair / sizeof *pair, N_ANSWER = SANITIZED ? 3000 : 100000, EVERY = SANITIZED ? 500 : 1000 };
    char why[256];
    size_t before = 0;
    for (int i = 0; i < N_ANSWER; i++) {
        if (i == N_ANSWER / 10) lb_answer_cleanup(), before = mallinfo2().uordblks + mallinfo2().hblkhd;
        /* the sampled pair costs a hundred of the others */
        lb_answer_equal(pair[i % N][0], pair[i % N][i % N == 2 && i % 50], why);
        if (i % EVERY == 0) lb_answer_equal("\\sqrt2+\\sqrt3", "\\sqrt{5+2\\sqrt6}", why);
    }
    lb_answer_cleanup();
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    if (!SANITIZED && after > before + 4096) fail_msg("%zu bytes in use, then %zu", before, after);
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
        cmocka_unit_test(readings_of_answers), cmocka_unit_test(readings_of_completions),
        cmocka_unit_test(explanations), cmocka_unit_test(equal_forms_stay_equal),
        cmocka_unit_test(identities_are_proven),
        cmocka_unit_test(a_proof_that_takes_too_long_costs_one_answer),
        cmocka_unit_test(the_child_is_kept_and_replaced), cmocka_unit_test(a_fork_has_its_own_child),
        cmocka_unit_test(threads_prove_side_by_side), cmocka_unit_test(hostile_answers_are_bounded),
        cmocka_unit_test(the_constructed_equalities_that_nobody_may_get_right), cmocka_unit_test(grading_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
