/* test_judge.c – outputs and values compared as LiveCodeBench's checker compares them, verdicts on whole programs, and
 * attempts to forge them. That verdicts are the checker's is tests/golden/test_lcb.c. */
#include "test.h"
#include "eval/judge.h"
#include "eval/judge_value.h"

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

/* ---- values: the same text exactly if Python says == ---- */

static void text_of(const char *json, lb_buf *b)
{
    lb_err e = {0};
    lb_buf_reset(b);
    assert_ok(lb_value_text(json, strlen(json), b, &e), e);
}

static void equal_values_have_one_text(void **state)
{
    (void)state;
    static const struct { const char *a, *b; bool same; } pairs[] = {
        { "1", "1.0", true }, { "true", "1", true }, { "false", "0.0", true }, { "-0", "0", true }, { "-0.0", "0", true },
        { "1e2", "100", true }, { "0.1", "0.10000000000000001", true }, { "0.1", "0.1000000000000001", false },
        { "9007199254740993", "9007199254740992.0", false }, { "9007199254740992", "9007199254740992.0", true },
        { "100000000000000000000", "1e20", true }, { "100000000000000000001", "1e20", false },
        { "1e999", "Infinity", true }, { "-1e999", "-Infinity", true }, { "1e999", "-1e999", false },
        { "1e-999", "0", true }, { "5e-324", "4e-324", true }, { "null", "0", false }, { "\"1\"", "1", false },
        { "[]", "{}", false }, { "[1, [2]]", "[ 1,[2.0]\n]", true }, { "[1, 2]", "[2, 1]", false }, { "[1]", "1", false },
        { "[12]", "[1, 2]", false }, { "[[1], 2]", "[[1, 2]]", false }, { "\"\"", "[]", false },
        { "{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}", true }, { "{\"a\": 1, \"a\": 2}", "{\"a\": 2}", true },
        { "{\"a\": 1, \"a\": 2}", "{\"a\": 1}", false },
        { "{\"a\": {\"z\": 1, \"y\": 2}}", "{\"a\": {\"y\": 2, \"z\": 1}}", true },
        { "{\"ab\": 1, \"a\": 1}", "{\"a\": 1, \"ab\": 1}", true }, { "\"\\u00e9\\n\"", "\"\xc3\xa9\\u000a\"", true },
        { "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"", true }, { "\"\\ud83d\"", "\"\\ude00\"", false },
        { "\"\\ud83d\\u0041\"", "\"\\ud83dA\"", true }, { "\"\\/\"", "\"/\"", true }, { "\"a;\"", "\"a\"", false },
        { "NaN", "0", false } };
    lb_buf a = {0}, b = {0};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        text_of(pairs[i].a, &a);
        text_of(pairs[i].b, &b);
        if ((a.n == b.n && !memcmp(a.p, b.p, a.n)) != pairs[i].same)
            fail_msg("%s and %s: '%s' and '%s'", pairs[i].a, pairs[i].b, a.p, b.p);
    }
    char line[16];
    text_of("[1, -0.5, \"h\\u0007i\", {\"k\": null, \"j\": []}, NaN]", &a);
    char all[200];
    lb_value_show(a.p, a.n, all, sizeof all);
    assert_string_equal(all, "[1, -0.5, \"h?i\", {\"j\", [], \"k\", null}, NaN]");
    lb_value_show(a.p, a.n, line, sizeof line);
    assert_int_equal(strlen(line), 15);
    lb_buf_free(&a);
    lb_buf_free(&b);
}

static void what_python_does_not_load_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "", " ", "01", "1.", ".5", "+1", "-", "1e", "tru", "nan", "[1,]", "[,1]", "[1 2]", "[1",
                                       "{1: 2}", "{\"a\"}", "{\"a\": 1,}", "{\"a\" 1}", "{", "\"", "\"a\nb\"", "\"\\x\"",
                                       "\"\\u12g4\"", "\"\\u12", "1 2", "[]]", "'a'", "\xef\xbb\xbf[]", "\v1", "--1" };
    lb_buf b = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_err e = {0};
        if (lb_value_text(bad[i], strlen(bad[i]), &b, &e)) fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(e.code, LB_EFORMAT);
    }
    lb_err e = {0};
    lb_buf deep = {0};
    for (int i = 0; i < 300; i++) lb_buf_byte(&deep, '[');
    assert_false(lb_value_text(deep.p, deep.n, &b, &e));
    assert_non_null(strstr(e.msg, "more than 200 levels"));
    lb_buf_reset(&deep);
    for (int i = 0; i < 50001; i++) lb_buf_byte(&deep, '7');
    assert_false(lb_value_text(deep.p, deep.n, &b, &e));
    assert_true(lb_value_text(deep.p, deep.n - 1, &b, &e));
    lb_buf_free(&deep);
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

/* ---- the checker's way ---- */

static lb_code_result checked(const char *program, const lb_code_set *set)
{
    lb_err e = {0};
    lb_code_result r;
    assert_ok(lb_code_check(box, program, set, &r, &e), e);
    return r;
}

/* What programs may claim in the process that runs them; none of it is believed. The checker itself lets the fourth and
 * the fifth pass. */
static void checked_verdicts_are_not_forged(void **state)
{
    (void)state;
    if (!box) skip();
    static const char *const programs[] = {
        "import os\nos.write(3, b'O1\\n7')\nos.write(1, b'7')\nos._exit(0)",
        "import os, sys\nfor fd in range(2, 64):\n    try: os.write(fd, b'O2\\n-1O2\\n-1')\n    except OSError: pass\n"
        "sys.exit(0)",
        "import builtins, json, signal\nbuiltins.print = lambda *a: None\njson.loads = lambda s: 7\n"
        "signal.alarm = lambda n: 0",
        "import sys\nclass Any:\n    def __eq__(self, other): return True\nsys.stdout.write(str(Any()))",
        "import io, sys\nclass Any(str):\n    def __eq__(self, other): return True\n"
        "sys._getframe(2).f_locals['said'].getvalue = lambda: Any('x')",
        /* the expected output, in every frame, object and descriptor within reach */
        "import gc, os, sys\nkey, seen = 'sec' + 'ret-', set()\ndef look(x):\n"
        "    s = x if isinstance(x, str) else x.decode('latin1') if isinstance(x, (bytes, bytearray)) else ''\n"
        "    i = s.find(key)\n    if i >= 0: seen.add(s[i:i + 14])\n"
        "f = sys._getframe()\nwhile f:\n    for x in list(f.f_locals.values()) + list(f.f_globals.values()): look(x)\n"
        "    f = f.f_back\n"
        "for o in gc.get_objects():\n    for x in gc.get_referents(o): look(x)\n"
        "for fd in range(64):\n    try: look(os.pread(fd, 1 << 20, 0))\n    except OSError: pass\n"
        "print(*seen)",
        "import os\nos.write(3, b'O99999999999999999999999')\nwhile True: pass",
        "import os\nos.write(3, b'V1\\nn')\nos.write(3, b'O15\\n')",
        "import os\nos.close(3)\nprint(7)",
        "import os\nos.dup2(2, 3)\nprint(7)" };
    const lb_code_test test = { "1\n", "secret-a7b3c9d\n" };
    const lb_code_set set = { &test, 1, NULL, 1 };
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        lb_code_result r = checked(programs[i], &set);
        if (r.end == LB_CODE_PASS || !*r.why) fail_msg("program %zu passed", i);
        r = checked("print('secret-' + 'a7b3c9d')", &set);
        if (r.end != LB_CODE_PASS) fail_msg("after program %zu: %s", i, r.why);
    }
    static const char *const functions[] = {
        "class Any:\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n"
        "def f(n): return Any()",
        "class Any(int):\n    def __eq__(self, other): return True\ndef f(n): return Any(5)",
        "class Any(list):\n    def __eq__(self, other): return True\ndef f(n): return Any()",
        "class Any:\n    __class__ = property(lambda self: 1 / 0)\ndef f(n): return Any()",
        "def f(n):\n    x = {}\n    x['x'] = x\n    return x",
        "def f(n):\n    x = []\n    for i in range(100): x = [x, x]\n    return x",
        "import os\ndef f(n):\n    os.write(3, b'V2\\ni6')\n    os._exit(0)",
        "import sys\ndef f(n):\n    g = sys._getframe()\n    while g:\n"
        "        if 'value_of' in g.f_globals: g.f_globals.update(value_of=lambda *_: b'[i1;i2;]')\n"
        "        g = g.f_back\n    return 7" };
    const lb_code_test value = { "1", "[1, 2, 3]" };
    const lb_code_set values = { &value, 1, "f", 1 };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lb_code_result r = checked(functions[i], &values);
        if (r.end == LB_CODE_PASS || !*r.why) fail_msg("function %zu passed", i);
    }
    lb_code_result r = checked("def f(n): return 1, 2, 3.0", &values);
    if (r.end != LB_CODE_PASS) fail_msg("%s", r.why);
}

static void checked_ends_have_reasons(void **state)
{
    (void)state;
    if (!box) skip();
    static const lb_code_test tests[] = { { "3 4\n", "7\n" }, { "1 1\n", "2" } }, odd[] = { { "1", "1" }, { "1", "one" } };
    static const struct { const char *program; lb_code_end end; int test; const char *why; } ends[] = {
        { "print(7)", LB_CODE_WRONG, 2, "test 2 of 2: line 1 is '7', wanted '2'" },
        { "print(", LB_CODE_ERROR, 0, "it does not load: SyntaxError" },
        { "print(7)\nraise KeyError('k\\n')", LB_CODE_ERROR, 1, "test 1 of 2: KeyError('k\\n')" },
        { "while True: pass", LB_CODE_TIME, 1, "test 1 of 2: time limit" },
        { "while True:\n    try:\n        while True: pass\n    except BaseException: pass", LB_CODE_TIME, 1, "time limit" },
        { "import os\nos._exit(3)", LB_CODE_DIED, 1, "it ended its process" },
        { "import os\nos.abort()", LB_CODE_DIED, 1, "signal 6" },
        { "x = bytearray(1 << 33)", LB_CODE_ERROR, 1, "MemoryError" },
        { "print('x' * (20 << 20))", LB_CODE_WRONG, 1, "bytes of output" },
        { "import sys\nfor i in range(40): sys.stderr.write('x' * (1 << 20))\nprint(sum(map(int, input().split())))",
          LB_CODE_PASS, 0, "" } };
    const lb_code_set set = { tests, 2, NULL, 1 }, patient = { tests, 2, NULL, 20 };
    const lb_code_set wrong = { odd, 2, "f", 1 }, none = { NULL, 0, NULL, 0 };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        lb_code_result r = checked(ends[i].program, ends[i].end == LB_CODE_TIME ? &set : &patient);
        if (r.end != ends[i].end || r.test != ends[i].test || !strstr(r.why, ends[i].why))
            fail_msg("program %zu: %d at %d: %s", i, r.end, r.test, r.why);
    }
    lb_code_result r = checked("def f(n): return 1", &wrong);
    assert_int_equal(r.end, LB_CODE_ERROR);
    assert_non_null(strstr(r.why, "the output of test 2 is not what json.loads takes"));
    assert_int_equal(checked("print(1)", &none).end, LB_CODE_ERROR);
    lb_err e = {0};
    assert_false(lb_code_check(box, "x", &(lb_code_set){ tests, 2, "f g", 1 }, &r, &e));
    assert_int_equal(e.code, LB_EUSAGE);
}

/* One process for all tests, and another for the next program. */
static void state_survives_tests_not_programs(void **state)
{
    (void)state;
    if (!box) skip();
    static const lb_code_test tests[] = { { "5", "1" }, { "5", "2" }, { "5", "3" } };
    const lb_code_set set = { tests, 3, "f", 1 };
    const char *program = "import math\ndef f(n):\n    math.calls = getattr(math, 'calls', 0) + 1\n    return math.calls";
    for (int i = 0; i < 3; i++) {
        lb_code_result r = checked(program, &set);
        if (r.end != LB_CODE_PASS) fail_msg("%s", r.why);
    }
    /* random and the order of sets are the same each time */
    static const lb_code_test one = { "0", "0" };
    const char *draw = "import random\ndef f(n): raise ValueError(random.random(), {'a', 'b', 'c', 'd'})";
    char first[256];
    strcpy(first, checked(draw, &(lb_code_set){ &one, 1, "f", 1 }).why);
    assert_string_equal(checked(draw, &(lb_code_set){ &one, 1, "f", 1 }).why, first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(white_space_around_lines_is_dropped),
        cmocka_unit_test(decimals_are_compared_exactly),
        cmocka_unit_test(long_outputs_are_compared_in_linear_time),
        cmocka_unit_test(equal_values_have_one_text),
        cmocka_unit_test(what_python_does_not_load_is_refused),
        cmocka_unit_test(right_and_wrong_programs),
        cmocka_unit_test(verdicts_are_not_forged),
        cmocka_unit_test(checked_verdicts_are_not_forged),
        cmocka_unit_test(checked_ends_have_reasons),
        cmocka_unit_test(state_survives_tests_not_programs),
    };
    return cmocka_run_group_tests(tests, open_box, close_box);
}
