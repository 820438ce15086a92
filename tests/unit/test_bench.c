/* test_bench.c – the benchmarks: choosing them, reading rows that anybody wrote, and grading what is known. */
#include "test.h"
#include "base/file.h"
#include "eval/bench.h"
#include <unistd.h>

/* ---- choosing ---- */

/* The tasks that `names` gives, as "a b c "; or the message. */
static const char *chosen(const char *names, bool *ok)
{
    static char text[1024];
    lb_err e = {0};
    const lb_bench **list = NULL;
    int n = -1;
    *ok = lb_benches_of(names, &list, &n, &e);
    text[0] = 0;
    if (!*ok) {
        assert_int_equal(e.code, LB_EUSAGE);
        snprintf(text, sizeof text, "%s", e.msg);
        return text;
    }
    for (int i = 0; i < n; i++) {
        strcat(text, list[i]->name);
        strcat(text, " ");
    }
    free(list);
    return text;
}

static void tasks_and_suites_are_chosen_by_name(void **state)
{
    (void)state;
    bool ok;
    assert_string_equal(chosen("chain", &ok), "chain ");
    assert_string_equal(chosen("abacus", &ok), "chain algebra contest choice code ");
    assert_string_equal(chosen("code,chain", &ok), "code chain "); /* in the order given */
    assert_string_equal(chosen("chain,chain,chain", &ok), "chain ");
    assert_string_equal(chosen("choice,abacus", &ok), "choice chain algebra contest code ");
    assert_string_equal(chosen("abacus,abacus,code", &ok), "chain algebra contest choice code ");
    assert_string_equal(chosen("chain,", &ok), "chain ");
    static const char *const bad[] = {"",      ",",    "nosuch", "chain,nosuch", "chain,,code",
                                      "Chain", "chai", "chains", " chain",       "abacus/chain"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *says = chosen(bad[i], &ok);
        if (ok) fail_msg("'%s' chose %s", bad[i], says);
        if (*bad[i] && !strstr(says, "abacus (all of chain, algebra, contest, choice, code)"))
            fail_msg("'%s': %s", bad[i], says);
    }
    assert_non_null(strstr(chosen("chain,nosuch", &ok), "'nosuch'"));
    char *huge = malloc(100001); /* a message stays a message */
    memset(huge, 'x', 100000);
    huge[100000] = 0;
    assert_non_null(strstr(chosen(huge, &ok), "is not known"));
    assert_false(ok);
    free(huge);
}

static void every_row_of_the_list_is_complete(void **state)
{
    (void)state;
    int n = 0;
    for (int i = 0; lb_benches[i]; i++, n++) {
        const lb_bench *b = lb_benches[i];
        assert_true(lb_is_plain_name(b->name) && b->suite && b->like && b->sources && b->max_new > 0 &&
                    b->version > 0 && b->prompt_from && b->item && b->grade && b->runs_code == (b->tests != NULL));
        assert_null(strchr(b->name, ','));
        for (int j = 0; j < i; j++) assert_string_not_equal(b->name, lb_benches[j]->name);
        assert_non_null(b->sources[0]);
        for (int j = 0; b->sources[j]; j++)
            assert_true(b->sources[j]->name && b->sources[j]->files[0] && b->sources[j]->url && b->sources[j]->licence);
        assert_string_not_equal(b->name, b->suite);
        bool ok;
        char want[80];
        snprintf(want, sizeof want, "%s ", b->name);
        assert_string_equal(chosen(b->name, &ok), want);
    }
    assert_true(n >= 5);
}

/* ---- rows ---- */

static const lb_bench *bench(const char *name)
{
    for (int i = 0; lb_benches[i]; i++)
        if (strcmp(lb_benches[i]->name, name) == 0) return lb_benches[i];
    fail_msg("no %s", name);
    return NULL;
}

/* From an exact copy on the heap, so that a sanitizer sees a read past the end. */
static bool parse(const char *task, const char *text, size_t n, int limit, lb_items *items, lb_err *e)
{
    char *exact = malloc(n ? n : 1);
    memcpy(exact, text, n);
    bool ok = lb_items_parse(bench(task), 0, exact, n, "rows.jsonl", &(lb_items_opt){.limit = limit}, items, e);
    free(exact); /* items may not borrow from the text */
    if (!ok) assert_true(items->n == 0 && items->p == NULL);
    return ok;
}

static void refused_n(const char *task, const char *text, size_t n, const char *where, const char *says)
{
    lb_err e = {0};
    lb_items items;
    if (parse(task, text, n, 0, &items, &e)) fail_msg("%s took: %.80s", task, text);
    if (e.code != LB_EFORMAT || strncmp(e.msg, where, strlen(where)) != 0 || !strstr(e.msg, says))
        fail_msg("%s: %.80s\n gave %d '%s', wanted '%s … %s'", task, text, e.code, e.msg, where, says);
}

static void refused(const char *task, const char *text, const char *where, const char *says)
{
    refused_n(task, text, strlen(text), where, says);
}

#define ROW "{\"problem\": \"p\", \"answer\": \"1\"}"

static void taken(const char *text, int limit, int n)
{
    lb_err e = {0};
    lb_items items;
    assert_ok(parse("chain", text, strlen(text), limit, &items, &e), e);
    assert_int_equal(items.n, n);
    for (int i = 0; i < n; i++) {
        assert_string_equal(items.p[i].prompt, "p");
        assert_string_equal(items.p[i].gold, "1");
        assert_string_equal(items.p[i].id, "");
        assert_int_equal(items.p[i].level, 0);
        assert_true(items.p[i].number == i + 1 && items.p[i].cluster == i + 1);
        assert_string_equal(items.p[i].path, "rows.jsonl");
    }
    lb_items_free(&items);
    assert_true(items.n == 0 && items.p == NULL);
}

static void ordinary_variations_are_read(void **state)
{
    (void)state;
    taken(ROW "\n" ROW "\n", 0, 2);
    taken(ROW "\n" ROW, 0, 2);                              /* no final newline */
    taken(ROW "\r\n" ROW "\r\n", 0, 2);                     /* CRLF */
    taken("\xef\xbb\xbf" ROW "\n" ROW, 0, 2);               /* BOM */
    taken("\xef\xbb\xbf\n\n" ROW "\n\n  \t\r\n" ROW "\n\n", 0, 2); /* blank lines */
    taken("  " ROW " \t \n", 0, 1);
    taken(ROW "\n" ROW "\n" ROW, 2, 2);
    taken(ROW "\n" ROW "\nthis is never read", 2, 2);
    taken(ROW, 1 << 20, 1);
    taken(ROW, -1, 1);
    taken("{\"problem\": \"p\", \"answer\": \"1\", \"id\": null, \"level\": null, \"more\": [{}]}", 0, 1);
}

/* reliability.md 5.8 H01: each message names file and line. */
static void hostile_rows_are_named(void **state)
{
    (void)state;
    refused("chain", "", "rows.jsonl", "no rows");
    refused("chain", "\n\r\n \n", "rows.jsonl", "no rows");
    refused("chain", "\xef\xbb\xbf", "rows.jsonl", "no rows");
    refused("chain", ROW "\n\n" ROW "\n{\"problem\": \"p\"}", "rows.jsonl:4:", "'answer' is missing");
    refused("chain", ROW "\r\n{\"answer\": \"1\"}\r\n", "rows.jsonl:2:", "'problem' is missing");
    refused("chain", "{\"problem\": null, \"answer\": \"1\"}", "rows.jsonl:1:", "'problem' is missing");
    refused("chain", "{\"problem\": \"p\", \"answer\": 1}", "rows.jsonl:1:", "'answer' is an integer, wanted a string");
    refused("chain", "{\"problem\": [\"p\"], \"answer\": \"1\"}", "rows.jsonl:1:", "'problem' is an array");
    refused("chain", "{\"problem\": \"\", \"answer\": \"1\"}", "rows.jsonl:1:", "'problem' is empty");
    refused("chain", "{\"problem\": \"p\", \"answer\": \"\"}", "rows.jsonl:1:", "'answer' is empty");
    refused("chain", "{\"problem\": \"p\", \"answer\": \"1\", \"id\": 7}", "rows.jsonl:1:", "'id' is an integer");
    refused("chain", "{\"problem\": \"p\", \"answer\": \"1\", \"level\": 6}",
            "rows.jsonl:1:", "'level' is 6, wanted 0 to 5");
    refused("chain", "{\"problem\": \"p\", \"answer\": \"1\", \"level\": -1}", "rows.jsonl:1:", "'level' is -1");
    refused("chain", "{\"problem\": \"p\", \"answer\": \"1\", \"level\": \"3\"}",
            "rows.jsonl:1:", "'level' is a string");
    refused("chain", "{\"problem\": \"p\", \"answer\": \"1\", \"level\": 99999999999999999999}",
            "rows.jsonl:1:", "'level'");
    refused("chain", ROW "\n[1, 2]", "rows.jsonl:2", "an array, wanted an object");
    refused("chain", ROW "\n\"text\"", "rows.jsonl:2", "JSON");
    refused("chain", ROW "\nnull", "rows.jsonl:2", "JSON");
    refused("chain", ROW "\n{\"problem\": \"p\", \"problem\": \"q\", \"answer\": \"1\"}", "rows.jsonl:2:", "duplicate");
    refused("chain", ROW ROW, "rows.jsonl:1:", "JSON");
    refused("chain", "{\"problem\": \"p\",\n\"answer\": \"1\"}", "rows.jsonl:1:", "JSON"); /* not one row a line */
    refused("chain", ROW "\n{\"problem\": \"p", "rows.jsonl:2:", "JSON");                  /* cut off */
    refused("chain", ROW "\n{\"problem\": \"\xff\", \"answer\": \"1\"}", "rows.jsonl:2:", "unable to decode byte 0xff");
    refused("chain", ROW "\n{\"problem\": \"\xed\xa0\x80\", \"answer\": \"1\"}", "rows.jsonl:2:", "unable to decode");
    refused("chain", "{\"problem\": \"a\\u0000b\", \"answer\": \"1\"}", "rows.jsonl:1:", "\\u0000");
    refused("chain", "{\"problem\": \"\\ud800\", \"answer\": \"1\"}", "rows.jsonl:1:", "JSON");
    refused("chain", ROW "\n\xef\xbb\xbf" ROW, "rows.jsonl:2:", "JSON"); /* a BOM only begins a file */
    static const char nul[] = ROW "\n{\"problem\": \"a\0b\", \"answer\": \"1\"}", nul_only[] = "\0\0\0\0";
    refused_n("chain", nul, sizeof nul - 1, "rows.jsonl:2:", "JSON");
    refused_n("chain", nul_only, 4, "rows.jsonl:1:", "JSON");
    static const char gzip[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56", utf16[] = "\xff\xfe{\0}\0";
    refused_n("chain", gzip, sizeof gzip - 1, "rows.jsonl:1:", "JSON");
    refused_n("chain", utf16, sizeof utf16 - 1, "rows.jsonl:1:", "JSON");
    refused("choice", "{\"problem\": \"p\", \"answer\": \"E\"}",
            "rows.jsonl:1:", "'answer' is 'E', wanted a letter from A to D");
    refused("choice", "{\"problem\": \"p\", \"answer\": \"(A)\"}", "rows.jsonl:1:", "wanted a letter");
    refused("choice", "{\"problem\": \"p\", \"answer\": \"AB\"}", "rows.jsonl:1:", "wanted a letter");
}

static void hostile_tests_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *tests, *says;
    } bad[] = {{"null", "'tests' is null"},
               {"{}", "'tests' is an object"},
               {"[]", "'tests' has 0"},
               {"[1]", "tests[0] is an integer"},
               {"[{\"input\": \"a\", \"output\": \"b\"}, {\"input\": \"a\"}]", "tests[1]: 'output' is missing"},
               {"[{\"input\": 1, \"output\": \"b\"}]", "tests[0]: 'input' is an integer"},
               {"[null]", "tests[0] is null"}};
    char text[512];
    refused("code", ROW, "rows.jsonl:1:", "'tests' is missing");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "\n{\"problem\": \"p\", \"tests\": %s}", bad[i].tests);
        refused("code", text, "rows.jsonl:2:", bad[i].says);
    }
    lb_buf b = {0};
    lb_buf_str(&b, "{\"problem\": \"p\", \"tests\": [");
    for (int i = 0; i < 1001; i++) lb_buf_fmt(&b, "%s{\"input\": \"\", \"output\": \"\"}", i ? "," : "");
    lb_buf_str(&b, "]}");
    refused_n("code", b.p, b.n, "rows.jsonl:1:", "has 1001, wanted 1 to 1000");
    lb_buf_free(&b);
}

static void size_and_depth_are_bounded(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_items items;
    lb_buf b = {0};
    lb_buf_str(&b, "\n{\"problem\": ");
    for (int i = 0; i < 100000; i++) lb_buf_byte(&b, '[');
    refused_n("chain", b.p, b.n, "rows.jsonl:2:", "deeper");
    lb_buf_reset(&b);
    lb_buf_str(&b, "{\"answer\": \"1\", \"problem\": \"");
    for (int i = 0; i < 1 << 20; i++) lb_buf_byte(&b, 'a');
    lb_buf_str(&b, "\"}");
    assert_ok(parse("chain", b.p, b.n, 0, &items, &e), e); /* long, but a row */
    assert_int_equal(strlen(items.p[0].prompt), 1 << 20);
    lb_items_free(&items);
    lb_buf_reset(&b);
    size_t n = (64u << 20) + 1;
    char *huge = malloc(n);
    memset(huge, ' ', n);
    huge[n - 1] = '{';
    lb_err why = {0};
    assert_false(lb_items_parse(bench("chain"), 0, huge, n, "rows.jsonl", NULL, &items, &why));
    assert_string_equal(why.msg, "rows.jsonl:1 has 67108865 bytes in one line, more than 64 MiB");
    free(huge);
    /* long names in messages are cut, not written past an end */
    char *name = malloc(5001);
    memset(name, 'n', 5000);
    name[5000] = 0;
    assert_false(lb_items_parse(bench("chain"), 0, "{}", 2, name, NULL, &items, &why));
    assert_int_equal(why.code, LB_EFORMAT);
    free(name);
    lb_buf_free(&b);
}

static void files_that_are_not_there_are_named(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_items items;
    char dir[] = "/tmp/lowbit-bench-XXXXXX", sub[64];
    assert_non_null(mkdtemp(dir));
    assert_false(lb_items_load(bench("chain"), dir, NULL, &items, &e));
    assert_int_equal(e.code, LB_EIO);
    assert_non_null(strstr(e.msg, "abacus/chain.jsonl"));
    assert_non_null(strstr(e.msg, "--data"));
    lb_items_free(&items);
    snprintf(sub, sizeof sub, "%s/abacus", dir);
    assert_ok(lb_mkdirs(sub, &e), e);
    char *path = lb_path_join(dir, "abacus/chain.jsonl", &e);
    assert_ok(lb_write_file(path, "", 0, &e), e);
    assert_false(lb_items_load(bench("chain"), dir, NULL, &items, &e));
    assert_non_null(strstr(e.msg, "chain.jsonl has no rows"));
    assert_ok(lb_write_file(path, ROW "\n" ROW, strlen(ROW "\n" ROW), &e), e);
    assert_ok(lb_items_load(bench("chain"), dir, &(lb_items_opt){.limit = 1}, &items, &e), e);
    assert_int_equal(items.n, 1);
    lb_items_free(&items);
    unlink(path);
    free(path);
    rmdir(sub);
    assert_int_equal(rmdir(dir), 0);
}

static lb_hash hash_of(const char *task, const char *text)
{
    lb_err e = {0};
    lb_items items;
    assert_ok(parse(task, text, strlen(text), 0, &items, &e), e);
    lb_hash h = items.p[0].hash;
    lb_items_free(&items);
    return h;
}

static void a_problem_is_what_is_asked_and_wanted(void **state)
{
    (void)state;
#define TESTS(a, b) "\"tests\": [{\"input\": \"" a "\", \"output\": \"" b "\"}]"
    static const struct {
        const char *task, *text;
        int same_as;
    } rows[] = {
        {"chain", "{\"problem\": \"p\", \"answer\": \"1\"}", -1},
        {"chain", "{\"id\": \"x\", \"level\": 3, \"solution\": \"s\", \"answer\": \"1\", \"problem\": \"p\"}", 0},
        {"algebra", "{\"id\": \"y\", \"level\": 5, \"problem\": \"p\", \"answer\": \"1\"}", 0},
        {"chain", "{\"problem\": \"\\u0070\", \"answer\": \"1\"}", 0},
        {"chain", "{\"problem\": \"p \", \"answer\": \"1\"}", -1},
        {"chain", "{\"problem\": \"p\", \"answer\": \"2\"}", -1},
        {"chain", "{\"problem\": \"p1\", \"answer\": \"1\"}", -1},
        {"chain", "{\"problem\": \"p\", \"answer\": \"11\"}", -1},
        {"code", "{\"problem\": \"p\", \"answer\": \"not read\", " TESTS("a", "b") "}", -1},
        {"code", "{\"problem\": \"p\", \"id\": \"z\", " TESTS("a", "b") "}", 8},
        {"code", "{\"problem\": \"q\", " TESTS("a", "b") "}", -1},
        {"code", "{\"problem\": \"p\", " TESTS("a", "c") "}", -1},
        {"code", "{\"problem\": \"p\", " TESTS("c", "b") "}", -1},
        {"code", "{\"problem\": \"p\", " TESTS("b", "a") "}", -1},
        {"code", "{\"problem\": \"p\", " TESTS("ab", "") "}", -1},
        {"code", "{\"problem\": \"p\", " TESTS("", "ab") "}", -1},
        {"code",
         "{\"problem\": \"p\", \"tests\": [{\"input\": \"a\", \"output\": \"b\"}, {\"input\": \"a\", \"output\": "
         "\"b\"}]}",
         -1},
    };
    enum { N = sizeof rows / sizeof *rows };
    lb_hash h[N];
    for (int i = 0; i < N; i++) h[i] = hash_of(rows[i].task, rows[i].text);
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < i; j++) {
            int a = rows[i].same_as < 0 ? i : rows[i].same_as, b = rows[j].same_as < 0 ? j : rows[j].same_as;
            bool same = h[i].hi == h[j].hi && h[i].lo == h[j].lo;
            if (same != (a == b))
                fail_msg("%s and %s are %s", rows[i].text, rows[j].text, same ? "the same" : "different");
        }
    }
}

/* ---- grading: the data's own solutions ---- */

static lb_sandbox *box;
static bool no_box;              /* the kernel has no namespaces */

static int open_box(void **state)
{
    (void)state;
    lb_err e = {0};
    box = lb_sandbox_open(&(lb_sandbox_limits){.wall_s = 60}, false, &e);
    no_box = !box;
    if (!box && e.code != LB_EUNSUPPORTED) fail_msg("%s", e.msg);
    if (!box) print_message("programs are not run: %s\n", e.msg);
    return 0;
}

static int close_box(void **state)
{
    (void)state;
    lb_sandbox_close(box);
    return 0;
}

static const char *field(const lb_item *it, const char *key)
{
    const char *s = json_string_value(json_object_get(it->row, key));
    if (!s) fail_msg("%s has no %s", it->id, key);
    return s;
}

/* What stands after the thinking, as tools/abacus.py (final_text) writes it. */
static void final_text(const lb_bench *b, const char *answer, lb_buf *out)
{
    if (b->runs_code) lb_buf_str(out, answer);
    else lb_buf_fmt(out, "The answer is $\\boxed{%s}$.", answer);
}

/* An answer that is not the item's: another letter, another number, a program that prints something else. */
static void wrong_answer(const lb_bench *b, const lb_item *it, char *out, size_t size)
{
    if (b->runs_code) snprintf(out, size, "```python\nprint('none of it')\n```");
    else if (b->grade == bench("choice")->grade) snprintf(out, size, "%c", it->gold[0] == 'A' ? 'B' : 'A');
    else snprintf(out, size, "%s + 1", it->gold);
}

static void graded(const lb_bench *b, const lb_item *it, const lb_buf *text, bool in_thinking, lb_verdict want,
                   const char *why)
{
    lb_err e = {0};
    lb_grade g;
    memset(&g, 0x5a, sizeof g); /* the grader fills all of it */
    assert_ok(b->grade(it, lb_buf_cstr(text), &(lb_grader){.sandbox = box, .in_thinking = in_thinking}, &g, &e), e);
    if (g.verdict != want || !strstr(g.why, why) || (want == LB_RIGHT && g.why[0]))
        fail_msg("%s %s: %.200s\n is %d, wanted %d; '%s', %s", b->name, it->id, lb_buf_cstr(text), g.verdict, want,
                 g.extracted, g.why);
    assert_true(memchr(g.extracted, 0, sizeof g.extracted) && memchr(g.why, 0, sizeof g.why));
}

static void grade_item(const lb_bench *b, const lb_item *it)
{
    lb_buf t = {0}, final = {0};
    char wrong[512];
    const char *solution = field(it, "solution");
    final_text(b, field(it, "answer"), &final);
    wrong_answer(b, it, wrong, sizeof wrong);

    lb_buf_fmt(&t, "<think>\n%s\n</think>\n\n%s", solution, final.p);
    graded(b, it, &t, false, LB_RIGHT, "");
    lb_buf_reset(&t); /* the prompt had opened the thinking */
    lb_buf_fmt(&t, "%s\n</think>\n\n%s", solution, final.p);
    graded(b, it, &t, true, LB_RIGHT, "");
    lb_buf_reset(&t); /* no thinking at all */
    lb_buf_str(&t, final.p);
    graded(b, it, &t, false, LB_RIGHT, "");
    graded(b, it, &t, true, LB_WRONG, "thinking was not finished");

    lb_buf_reset(&t); /* the answer was only thought */
    lb_buf_fmt(&t, "<think>\n%s\n%s\n", solution, final.p);
    graded(b, it, &t, false, LB_WRONG, "thinking was not finished");
    lb_buf_reset(&t);
    lb_buf_fmt(&t, "<think>\n%s\n%s\n</think>\n\n", solution, final.p);
    graded(b, it, &t, false, LB_WRONG, "no ");
    lb_buf_reset(&t); /* thought right, said wrong */
    lb_buf_fmt(&t, "<think>\n%s\n%s\n</think>\n\n", solution, final.p);
    final_text(b, wrong, &t);
    graded(b, it, &t, false, LB_WRONG, "");
    lb_buf_reset(&t);
    graded(b, it, &t, false, LB_WRONG, "no ");
    lb_buf_free(&t);
    lb_buf_free(&final);
}

static void own_solutions_are_right_and_others_wrong(void **state)
{
    (void)state;
    enum { ROWS = 20 };
    for (int k = 0; lb_benches[k]; k++) {
        const lb_bench *b = lb_benches[k];
        lb_err e = {0};
        lb_items items;
        if ((b->runs_code && no_box) || strcmp(b->suite, "abacus") != 0) continue;
        assert_ok(lb_items_load(b, "data", &(lb_items_opt){.limit = ROWS}, &items, &e), e);
        assert_int_equal(items.n, ROWS);
        for (int i = 0; i < items.n; i++) {
            assert_in_range(items.p[i].level, 1, 5);
            assert_string_not_equal(items.p[i].id, "");
            grade_item(b, &items.p[i]);
        }
        lb_items_free(&items);
    }
}

static void programs_are_shown_and_judged(void **state)
{
    (void)state;
    if (no_box) skip();
    static const char row[] = "{\"problem\": \"p\", \"tests\": [{\"input\": \"2\\n\", \"output\": \"4\\n\"}, "
                              "{\"input\": \"3\\n\", \"output\": \"6\\n\"}]}";
    lb_err e = {0};
    lb_items items;
    const lb_bench *b = bench("code");
    assert_ok(parse("code", row, strlen(row), 0, &items, &e), e);
    lb_buf t = {0};
    lb_buf_str(&t, "```python\nprint(int(input()) * 2)\n```");
    graded(b, items.p, &t, false, LB_RIGHT, "");
    lb_buf_reset(&t);
    lb_buf_str(&t, "print(int(input()) * 2)");
    graded(b, items.p, &t, false, LB_WRONG, "no program between");
    lb_buf_reset(&t);
    lb_buf_str(&t, "```python\nprint(4)\n```");
    graded(b, items.p, &t, false, LB_WRONG, "test 2 of 2");
    /* what is shown of a long program ends with a whole character: 199 + 3 bytes around the 200th */
    lb_grade g;
    lb_buf_reset(&t);
    lb_buf_str(&t, "```\n#");
    for (int i = 0; i < 198; i++) lb_buf_byte(&t, 'x');
    lb_buf_str(&t, "\xe2\x82\xac\nprint(int(input()) * 2)\n```");
    assert_ok(b->grade(items.p, t.p, &(lb_grader){.sandbox = box}, &g, &e), e);
    assert_int_equal(g.verdict, LB_RIGHT);
    assert_int_equal(strlen(g.extracted), 199);
    lb_buf_free(&t);
    lb_items_free(&items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_and_suites_are_chosen_by_name), cmocka_unit_test(every_row_of_the_list_is_complete),
        cmocka_unit_test(ordinary_variations_are_read), cmocka_unit_test(hostile_rows_are_named),
        cmocka_unit_test(hostile_tests_are_named), cmocka_unit_test(size_and_depth_are_bounded),
        cmocka_unit_test(files_that_are_not_there_are_named), cmocka_unit_test(a_problem_is_what_is_asked_and_wanted),
        cmocka_unit_test(own_solutions_are_right_and_others_wrong), cmocka_unit_test(programs_are_shown_and_judged),
    };
    return cmocka_run_group_tests(tests, open_box, close_box);
}
