/* test_judge.c – outputs compared as LiveCodeBench's checker compares them, and verdicts on whole programs. */
#include "test.h"
#include "eval/judge.h"

static void expect(const char *got, const char *want, bool same)
{
    lb_err e = {0};
    char why[256];
    bool is;
    assert_ok(lb_output_compare(got, strlen(got), want, strlen(want), &is, why, &e), e);
    if (is != same) fail_msg("'%s' against '%s': %s (%s)", got, want, is ? "same" : "different", why);
    assert_int_equal(why[0] == 0, same);
}

static void white_space_around_lines_is_dropped(void **state)
{
    (void)state;
    expect("5\n", "5", true);
    expect("5", "5\n", true);
    expect("a  \nb\t\r\n\n\n", "a\nb", true);
    expect("a\r\nb\r\n", "a\nb\n", true);
    expect("  a\n  b", "a\nb", true);
    expect("a b", "a  b", false);                   /* not numbers: inner white space counts */
    expect("a\n\nb", "a\nb", false);
    expect("a\nb", "a b", false);
    expect("", "\n \n", true);
    expect("", "0", false);
    expect("a\xc2\xa0\n", "a", true);               /* U+00A0, as str.strip does */
    expect("\xe3\x80\x80" "a", "a", true);          /* U+3000 */
    expect("a\xe3\x80", "a", false);                /* half of one */
    expect("A", "a", false);
    expect("a\nb\nc", "a\nb", false);
}

static void decimals_are_compared_exactly(void **state)
{
    (void)state;
    expect("1.0", "1", true);
    expect("1 2.50  3", "1.00 2.5 3e0", true);
    expect("2e3", "2000", true);
    expect("0.0001", "1E-4", true);
    expect(".5", "0.5", true);
    expect("5.", "5", true);
    expect("-0", "0", true);
    expect("+7", "7", true);
    expect("-7", "7", false);
    expect("007", "7", true);
    expect("1_000", "1000", true);
    expect("_i_nf_", "inf", true);
    expect("0.1", "0.10000000000000001", false);
    expect("3.1415926", "3.1415927", false);
    expect("inf", "Infinity", true);
    expect("inf", "-inf", false);
    expect("nan", "NaN", false);                    /* equal to nothing … */
    expect("nan", "nan", true);                     /* … but the text is the same */
    expect("1 2", "1 2 3", false);
    expect("1,2", "1, 2", false);
    expect("0x10", "16", false);
    expect("1e", "1", false);
    expect("1e1e1", "1", false);
    expect("e5", "e+5", false);
    expect(".", "0", false);
    expect("", ".", false);
    expect("1e999999999999999999999", "1e999999999999999999999 ", true);
    expect("0e5", "0", true);
    expect("100", "1e2", true);
    expect("1234567890123456789012345678901234567890", "1234567890123456789012345678901234567891", false);
    expect("1 x", "1.0 x", false);
    expect("\xd9\xa1", "1", false);                 /* an Arabic digit: text only */
}

static void long_outputs_are_compared_in_linear_time(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_buf a = {0}, b = {0};
    for (int i = 0; i < 1000000; i++) {
        lb_buf_str(&a, "12345 ");
        lb_buf_str(&b, "12345.0 ");
    }
    bool same;
    assert_ok(lb_output_compare(a.p, a.n, b.p, b.n, &same, NULL, &e), e);
    assert_true(same);
    lb_buf_reset(&a);
    lb_buf_reset(&b);
    for (int i = 0; i < 5000000; i++) lb_buf_byte(&a, '7');
    lb_buf_add(&b, a.p, a.n);
    lb_buf_str(&b, ".0");
    assert_ok(lb_output_compare(a.p, a.n, b.p, b.n, &same, NULL, &e), e);
    assert_true(same);
    a.p[a.n - 1] = '8';
    char why[256];
    assert_ok(lb_output_compare(a.p, a.n, b.p, b.n, &same, why, &e), e);
    assert_false(same);
    assert_true(strlen(why) < 256);
    lb_buf_free(&a);
    lb_buf_free(&b);
}

/* ---- programs ---- */

static lb_sandbox *box;

static int open_box(void **state)
{
    (void)state;
    lb_err e = {0};
    box = lb_sandbox_open(&(lb_sandbox_limits){ .cpu_s = 2, .wall_s = 10 }, false, &e);
    if (!box && e.code != LB_EUNSUPPORTED) fail_msg("%s", e.msg);
    if (!box) print_message("skipping: %s\n", e.msg);
    return 0;
}

static int close_box(void **state)
{
    (void)state;
    lb_sandbox_close(box);
    return 0;
}

static void judged(const char *program, bool want, const char *want_why)
{
    static const lb_code_test tests[] = { { "3 4\n", "7\n" }, { "10 -4\n", "6\n" }, { "0 0\n", "0\n" } };
    lb_err e = {0};
    char why[256];
    bool pass;
    assert_ok(lb_code_judge(box, program, tests, 3, &pass, why, &e), e);
    if (pass != want || !strstr(why, want_why)) fail_msg("%s -> %s, '%s'", program, pass ? "pass" : "fail", why);
    if (want) assert_string_equal(why, "");
}

static void right_and_wrong_programs(void **state)
{
    (void)state;
    if (!box) skip();
    judged("a, b = map(int, input().split())\nprint(a + b)", true, "");
    judged("import sys\nsys.stdout.write('%.3f  \\r\\n' % sum(map(int, sys.stdin.read().split())))", true, "");
    judged("def main():\n    a, b = map(int, input().split())\n    print(a + b)\n    exit()\n"
           "if __name__ == '__main__':\n    main()",
           true, "");
    judged("a, b = map(int, input().split())\nprint(a - b)", false, "test 1 of 3: line 1 is '-1', wanted '7'");
    judged("print(7)", false, "test 2 of 3: line 1 is '7', wanted '6'");
    judged("a, b = map(int, input().split())\nprint(a + b)\nprint()\nprint(a)", false, "test "
                                                                                       "1 of 3: 3 lines, wanted 1");
    judged("a, b = map(int, input().split())\nprint(a + b)\nraise ValueError('late')", false, "exit "
                                                                                              "status "
                                                                                              "1: ValueError: late");
    judged("print(", false, "SyntaxError");
    judged("", false, "test 1 of 3: line 1 is '', wanted '7'");
    lb_err e = {0};
    char why[256];
    bool pass = true;
    assert_ok(lb_code_judge(box, "print(1)", NULL, 0, &pass, why, &e), e);
    assert_false(pass);
    assert_string_equal(why, "no tests");
}

/* The wanted output, in two halves that stand nowhere together but in the judge. */
static void verdicts_are_not_forged(void **state)
{
    (void)state;
    if (!box) skip();
    static const char *const programs[] = {
        "import os\nprint('PASS')\nprint('ok')\nprint('True')\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "class A:\n    def __eq__(self, o): return True\n    def __str__(self): return ''\nprint(A())",
        "import builtins, sys, unittest\nbuiltins.print = lambda *a: None\nbuiltins.str.__eq__",
        "import os\nos.write(1, b'0 100 0')\nos.write(2, b'0 100 0')\nfor fd in range(3, 64):\n"
        "    try: os.write(fd, b'0 100 0')\n"
        "    except OSError: pass",
        /* looks for it in every frame, object, file and descriptor within reach */
        "import gc, os, sys\nkey = 'sec' + 'ret-'\nfound = set()\n"
        "def look(x):\n    s = x if isinstance(x, str) else x.decode('latin1') "
        "if isinstance(x, (bytes, bytearray)) else ''\n"
        "    i = s.find(key)\n    if i >= 0: found.add(s[i:i + 14])\n"
        "f = sys._getframe()\nwhile f:\n    for x in list(f.f_locals.values()) "
        "+ list(f.f_globals.values()): look(x)\n    f = f.f_back\n"
        "for o in gc.get_objects():\n    for x in gc.get_referents(o): look(x)\n"
        "for fd in range(64):\n    try: look(os.pread(fd, 1 << 20, 0))\n    except OSError: pass\n"
        "for at, _, files in os.walk('/tmp'):\n    for name in files: look(open(os.path.join(at, name), 'rb').read())\n"
        "print(*found)" };
    const lb_code_test test = { "1\n", "secret-a7b3c9d\n" };
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        lb_err e = {0};
        char why[256];
        bool pass = true;
        assert_ok(lb_code_judge(box, programs[i], &test, 1, &pass, why, &e), e);
        if (pass || !strstr(why, "test 1 of 1: ")) fail_msg("program %zu: %s '%s'", i, pass ? "passed" : "failed", why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(white_space_around_lines_is_dropped),
        cmocka_unit_test(decimals_are_compared_exactly),
        cmocka_unit_test(long_outputs_are_compared_in_linear_time),
        cmocka_unit_test(right_and_wrong_programs),
        cmocka_unit_test(verdicts_are_not_forged),
    };
    return cmocka_run_group_tests(tests, open_box, close_box);
}
