/* golden/test_pairs.c – the grader on pairs made from the gold answers of MATH-500, GSM8K and AIME.
 *
 * grader_pairs.tsv holds, a pair a line: what the pair is by construction (R equal, W not), what math-verify and sympy
 * say of it (R, W, N no verdict), how it was made (with * beyond what every grader is meant to know), gold answer,
 * answer. tools/grader_pairs.py makes it. A grader that calls two equal that are not has failed; otherwise 99 % must
 * agree. */
#include "test.h"
#include "base/file.h"
#include "eval/grade.h"
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif
#ifdef SANITIZED
enum { N_LEAK = 5000 };          /* the leak checker sees one byte; this need not be long */
#define CHEAP_MS 2.0
#else
enum { N_LEAK = 100000 };
#define CHEAP_MS 0.2
#endif

enum { MAX_PAIRS = 20000 };
typedef struct pair {
    char *expect, *math_verify, *sympy, *transform, *gold, *answer;
    bool cheap;              /* decided without the process that proves */
} pair;

static char *text;
static pair *pairs;
static int n_pair;

static int load(void **state)
{
    (void)state;
    lb_err err = {0};
    text = lb_file_read("tests/golden/grader_pairs.tsv", 4 << 20, NULL, &err);
    pairs = calloc(MAX_PAIRS, sizeof *pairs);
    if (!text || !pairs) return -1;
    for (char *line = text, *next; *line; line = next) {
        char *end = line + strcspn(line, "\n");
        next = *end ? end + 1 : end;
        *end = 0;
        if (n_pair == MAX_PAIRS) return -1;
        pair *p = &pairs[n_pair++];
        char **field[] = {&p->expect, &p->math_verify, &p->sympy, &p->transform, &p->gold, &p->answer};
        for (int i = 0; i < 6; i++) {
            *field[i] = line;
            line = strchr(line, i < 5 ? '\t' : 0);
            if (!line) return -1;
            *line++ = 0;
        }
    }
    return 0;
}

static int unload(void **state)
{
    (void)state;
    free(text), free(pairs);
    lb_answer_cleanup();
    return 0;
}

typedef struct count {
    int n, agree;
} count;

static void add(count *c, const char *said, bool right)
{
    if (*said != 'R' && *said != 'W') return;
    c->n++, c->agree += right == (*said == 'R');
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void no_wrong_is_right_and_ninety_nine_percent_agree(void **state)
{
    (void)state;
    count made = {0}, sympy = {0}, math_verify = {0}, plain = {0};
    int n_equal = 0, n_wrong_true = 0;
    for (int i = 0; i < n_pair; i++) {
        pair *p = &pairs[i];
        char why[256];
        double t = now_ms();
        bool right = lb_answer_equal(p->gold, p->answer, why) == LB_RIGHT, equal = *p->expect == 'R';
        p->cheap = now_ms() - t < CHEAP_MS;
        n_equal += equal;
        add(&made, p->expect, right), add(&sympy, p->sympy, right);
        if (*p->math_verify == *p->expect) add(&math_verify, p->math_verify, right);   /* it errs: docs/grading.md */
        if (!strchr(p->transform, '*')) add(&plain, p->math_verify, right);            /* there hardly */
        if (right == equal) continue;
        n_wrong_true += right;
        print_message("%s %s: %s || %s: %s\n", p->expect, p->transform, p->gold, p->answer, right ? "right" : why);
    }
    print_message("of %d pairs (%d equal) %d agree; with sympy %d of %d, with math-verify %d of %d, %d of %d\n", made.n,
                  n_equal, made.agree, sympy.agree, sympy.n, math_verify.agree, math_verify.n, plain.agree, plain.n);
    assert_true(n_pair >= 5000 && n_equal >= 2500 && n_pair - n_equal >= 2500);
    assert_true(sympy.n > 0.9 * n_pair && math_verify.n > 0.9 * n_pair);
    assert_int_equal(n_wrong_true, 0);
    assert_true(made.agree >= 0.99 * made.n);
    assert_true(sympy.agree >= 0.99 * sympy.n);
    assert_true(math_verify.agree >= 0.99 * math_verify.n);
    assert_true(plain.n >= 5000 && plain.agree >= 0.99 * plain.n);
}

/* Whichever is called gold: what is equal one way is never unequal the other. Units and lists may be read in favour of
 * the side that is the answer, so that one of the two may be unknown. */
static void equal_pairs_are_not_unequal_turned_round(void **state)
{
    (void)state;
    int n = 0;
    for (int i = 0; i < n_pair; i++) {
        char why[256];
        if (*pairs[i].expect != 'W' || !pairs[i].cheap) continue;
        if (lb_answer_equal(pairs[i].answer, pairs[i].gold, why) == LB_RIGHT)
            fail_msg("%s || %s is right", pairs[i].answer, pairs[i].gold);
        n++;
    }
    assert_true(n > 2000);
}

/* What is easily taken for equal: near values, identities that hold for some values only, other sets, units, kinds. */
static void what_only_looks_equal_is_not_right(void **state)
{
    (void)state;
    static char line[1024];
    FILE *f = fopen("tests/golden/grade_unequal.tsv", "r");
    assert_non_null(f);
    int n = 0, n_bad = 0;
    while (fgets(line, sizeof line, f)) {
        char why[256], *other = strchr(line, '\t');
        line[strcspn(line, "\n")] = 0;
        assert_non_null(other);
        *other++ = 0;
        for (int turned = 0; turned < 2; turned++) {
            const char *gold = turned ? other : line, *answer = turned ? line : other;
            if (lb_answer_equal(gold, answer, why) == LB_RIGHT) n_bad++, print_message("%s || %s is right\n", gold, answer);
        }
        n++;
    }
    fclose(f);
    assert_true(n >= 200);
    assert_int_equal(n_bad, 0);
}

/* Resident memory in KiB. */
static long resident(void)
{
    long pages = 0, all;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &all, &pages) != 2) pages = 0;
    if (f) fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void a_hundred_thousand_answers_leak_nothing(void **state)
{
    (void)state;
    bool all = getenv("LB_LONG") && *getenv("LB_LONG") == '1';     /* the slow ones again and again as well */
    long before = 0;
    for (int n = 0, i = 0; n < N_LEAK; i = (i + 1) % n_pair) {
        char why[256];
        if (!all && !pairs[i].cheap) continue;
        lb_answer_equal(pairs[i].gold, pairs[i].answer, why);
        if (++n == N_LEAK / 5) before = resident();                /* every buffer has its size by now */
    }
    long after = resident();
    print_message("%ld KiB resident after %d answers, %ld after %d\n", before, N_LEAK / 5, after, N_LEAK);
#ifndef SANITIZED
    assert_true(after - before < 1024);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_wrong_is_right_and_ninety_nine_percent_agree),
        cmocka_unit_test(equal_pairs_are_not_unequal_turned_round),
        cmocka_unit_test(what_only_looks_equal_is_not_right),
        cmocka_unit_test(a_hundred_thousand_answers_leak_nothing),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
