/* golden/test_grade.c – the verdicts of tests/golden/grade_pairs.tsv, which sympy decided.
 *
 * All of them must agree, and a wrong answer must never be right. The file is made by tools/make_grade_fixtures.py. */
#include "test.h"
#include "eval/grade.h"

static void verdicts_agree_with_sympy(void **state)
{
    (void)state;
    static char line[1 << 16];
    FILE *f = fopen("tests/golden/grade_pairs.tsv", "r");
    assert_non_null(f);
    int n = 0, n_right = 0, n_bad = 0, n_wrong_right = 0;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *gold = strchr(line, '\t'), *answer = gold ? strchr(gold + 1, '\t') : NULL, why[256];
        assert_non_null(answer);
        *gold++ = 0, *answer++ = 0;
        bool want = line[0] == 'R';
        lb_verdict v = lb_answer_equal(gold, answer, why);
        n++, n_right += want;
        if (v == (want ? LB_RIGHT : LB_WRONG)) continue;
        n_bad++, n_wrong_right += v == LB_RIGHT;
        print_message("%s || %s: %d (%s), wanted %s\n", gold, answer, v, why, line);
    }
    fclose(f);
    assert_true(n >= 1500 && n_right >= 700 && n - n_right >= 700);
    assert_int_equal(n_wrong_right, 0);
    assert_int_equal(n_bad, 0);
}

static int cleanup(void **state)
{
    (void)state;
    lb_answer_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(verdicts_agree_with_sympy)};
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
