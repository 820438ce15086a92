/* test_lcb.c – LiveCodeBench: rows as published, prompts byte for byte, and verdicts against its own checker's on the
 * programs of data/lcb (tools/make_lcb_fixtures.py). */
#include "test.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "eval/bench.h"
#include <pthread.h>
#include <unistd.h>

#define DIR "tests/golden/data/lcb"

static lb_sandbox *box;              /* NULL: no namespaces here */
static lb_items items;

static const lb_bench *part(const char *names)
{
    lb_err e = {0};
    const lb_bench **list;
    int n;
    assert_ok(lb_benches_of(names, &list, &n, &e), e);
    assert_int_equal(n, 1);
    const lb_bench *b = list[0];
    free(list);
    return b;
}

static int open_all(void **state)
{
    (void)state;
    lb_err e = {0};
    assert_ok(lb_items_load(part("livecodebench:release_v6"), DIR, NULL, &items, &e), e);
    box = lb_sandbox_open(NULL, false, &e);
    if (!box && e.code != LB_EUNSUPPORTED) fail_msg("%s", e.msg);
    if (!box) print_message("programs are not run: %s\n", e.msg);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    lb_items_free(&items);
    lb_sandbox_close(box);
    return 0;
}

static const lb_item *item_of(const char *id)
{
    for (int i = 0; i < items.n; i++)
        if (!strcmp(items.p[i].id, id)) return &items.p[i];
    fail_msg("no row %s", id);
    return NULL;
}

/* ---- rows ---- */

static bool same_prompt(void *arg, json_t *row, const char *where, lb_err *err)
{
    (void)err;
    const char *want = json_string_value(json_object_get(row, "prompt"));
    const lb_item *it = item_of(json_string_value(json_object_get(row, "row")));
    if (strcmp(it->prompt, want)) fail_msg("%s: the prompt is\n%s\nwanted\n%s", where, it->prompt, want);
    ++*(int *)arg;
    json_decref(row);
    return true;
}

static bool each_line(const char *path, lb_jsonl_fn fn, void *arg)
{
    lb_err e = {0};
    size_t n;
    char *text = lb_file_read(path, 1 << 24, &n, &e);
    if (!text) fail_msg("%s", e.msg);
    assert_ok(lb_jsonl_each(text, n, path, 0, fn, arg, NULL, &e), e);
    free(text);
    return true;
}

static void prompts_are_the_studys(void **state)
{
    (void)state;
    int n = 0;
    each_line(DIR "/prompts.jsonl", same_prompt, &n);
    assert_int_equal(n, 30);
}

static void parts_are_files_and_dates(void **state)
{
    (void)state;
    static const struct { const char *name; int n; const char *first, *last; } parts[] = {
        { "livecodebench", 10, "addTwo_15", "big_24" },
        { "livecodebench:v1", 5, "add_0", "distinct_4" },
        { "livecodebench:v6", 5, "nan_25", "large_29" },
        { "livecodebench:v2_v3", 10, "reverse_5", "words_14" },
        { "livecodebench:release_v3", 15, "add_0", "words_14" },
        { "livecodebench:release_latest", 30, "add_0", "large_29" },
        { "livecodebench:2024-02..2024-05", 4, "yes_9", "fib_12" },
        { "livecodebench:2024-02-15..2024-02-15", 1, "yes_9", "yes_9" },
        { "livecodebench:..2023-06-15", 2, "add_0", "largest_1" },
        { "livecodebench:v5_v6:2025-08..", 3, "broken_input_27", "large_29" },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        lb_err e = {0};
        lb_items it;
        const lb_bench *b = part(parts[i].name);
        assert_string_equal(b->name, parts[i].name);
        assert_ptr_equal(part(parts[i].name), b);
        assert_ok(lb_items_load(b, DIR, NULL, &it, &e), e);
        if (it.n != parts[i].n || strcmp(it.p[0].id, parts[i].first) || strcmp(it.p[it.n - 1].id, parts[i].last))
            fail_msg("%s: %d, %s to %s", parts[i].name, it.n, it.p[0].id, it.p[it.n - 1].id);
        lb_items_free(&it);
    }
    assert_ptr_equal(part("livecodebench:v4_v5"), part("livecodebench"));
    lb_err none = {0};
    lb_items nothing;
    assert_false(lb_items_load(part("livecodebench:v1:2020-01..2020-02"), DIR, NULL, &nothing, &none));
    assert_int_equal(none.code, LB_EFORMAT);
    assert_non_null(strstr(none.msg, "none of 5 rows is within the dates"));
    /* A file of one's own, and the dates that the caller asks for. */
    assert_false(lb_items_load(part("livecodebench:all"), DIR, NULL, &nothing, &none));
    assert_ok(lb_items_load(part("livecodebench:all:2024-02.."), DIR "/test2.jsonl", NULL, &nothing, &none), none);
    assert_int_equal(nothing.n, 1);
    lb_items_free(&nothing);
    assert_ok(lb_items_load(part("livecodebench:v2"), DIR,
                            &(lb_items_opt){ .from = "2023-11-01", .to = "2023-12-31" }, &nothing, &none), none);
    assert_int_equal(nothing.n, 2);
    lb_items_free(&nothing);
    static const char *const bad[] = { "livecodebench:", "livecodebench:v0", "livecodebench:v7", "livecodebench:v5_v4",
                                       "livecodebench:v4_v4", "livecodebench:release_v1_v2", "livecodebench:v1_v2_v3",
                                       "livecodebench:2024-13..", "livecodebench:2024-02", "livecodebench:2024..2025",
                                       "livecodebench:2025-01..2024-01", "livecodebench:..", "livecodebench:v1:",
                                       "livecodebench:v1:v2", "livecodebench:2024-1-1..", "chain:v1",
                                       "livecodebench:release_v6release_v6release_v6release_v6release_v6" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_err e = {0};
        const lb_bench **list;
        int n;
        if (lb_benches_of(bad[i], &list, &n, &e)) fail_msg("%s was taken", bad[i]);
        assert_int_equal(e.code, LB_EUSAGE);
    }
}

/* The tests of a row are read again when they are needed: from the same row, or not at all. */
static void a_file_that_changed_is_refused(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_code_tests t;
    size_t n;
    char *text = lb_file_read(DIR "/test4.jsonl", 1 << 20, &n, &e), path[] = "/tmp/lb-lcb-XXXXXX";
    assert_non_null(text);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    lb_items it;
    assert_ok(lb_items_load(part("livecodebench:all"), path, NULL, &it, &e), e);
    assert_int_equal(it.n, 5);
    for (int i = 0; i < it.n; i++) {
        assert_null(it.p[i].row);
        assert_ok(it.p[i].bench->tests(&it.p[i], &t, &e), e);
        assert_string_equal(t.func_name, it.p[i].id[0] == 'a' && it.p[i].id[1] == 'd' ? "addTwo" : t.func_name);
        assert_int_equal(t.n, 3);
        lb_code_tests_free(&t);
    }
    char *digit = strstr(text, "input");                             /* of the first row's public test */
    assert_int_equal(pwrite(fd, "tupni", 5, digit - text), 5);
    assert_false(it.p[0].bench->tests(&it.p[0], &t, &e));
    assert_non_null(strstr(e.msg, "has changed"));
    assert_ok(it.p[1].bench->tests(&it.p[1], &t, &e), e);
    lb_code_tests_free(&t);
    assert_int_equal(ftruncate(fd, (off_t)n / 2), 0);
    assert_false(it.p[4].bench->tests(&it.p[4], &t, &e));
    assert_non_null(strstr(e.msg, "shorter"));
    lb_items_free(&it);
    close(fd);
    unlink(path);
    free(text);
}

/* ---- verdicts ---- */

static void answers_are_graded(void **state)
{
    (void)state;
    static const struct { const char *id, *text; lb_verdict want; const char *why; } answers[] = {
        { "add_0", "<think>\n```python\nprint(1)\n```\n</think>\nHere:\n```python\nprint(sum(map(int, input().split())))\n"
                   "```\n", LB_RIGHT, "" },
        { "add_0", "</think>```\nprint(sum(map(int, input().split())))\n```\nor\n```\nprint(8)\n```", LB_WRONG,
          "wrong answer (-2): test 1 of 3: line 1 is '8', wanted '7'" },
        { "addTwo_15", "</think>```python\nclass Solution:\n    def addTwo(self, a: int, b: int) -> int:\n"
                       "        return b + a\n```", LB_RIGHT, "" },
        { "addTwo_15", "</think>```python\ndef add(a, b): return a + b\n```", LB_WRONG, "error (-4): it does not load" },
        { "add_0", "<think>```python\nprint(sum(map(int, input().split())))\n```", LB_WRONG, "thinking was not finished" },
        { "add_0", "</think>print(7)", LB_WRONG, "no program" },
    };
    if (!box) skip();
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        lb_err e = {0};
        lb_grade g;
        const lb_item *it = item_of(answers[i].id);
        assert_ok(it->bench->grade(it, answers[i].text, &(lb_grader){ .sandbox = box, .in_thinking = false }, &g, &e), e);
        bool alike = g.strict == g.verdict && g.lenient == g.verdict;
        if (g.verdict != answers[i].want || !alike || !strstr(g.why, answers[i].why))
            fail_msg("answer %zu: %d, %s", i, g.verdict, g.why);
    }
}

enum { N_THREAD = 4 };

typedef struct work {
    pthread_mutex_t lock;            /* protects everything below */
    json_t *programs;
    size_t next;
    int n[2];                        /* wrong, right */
    int n_end[6];                    /* by -end, pass at 5 */
    lb_buf failures;
} work;

static bool keep(void *arg, json_t *row, const char *where, lb_err *err)
{
    (void)where, (void)err;
    return json_array_append_new(arg, row) == 0;
}

/* Where the checker itself hangs until its last limit: a program that swallows its exception and goes on. */
static bool both_end_it(int ours, int theirs) { return ours == theirs || (ours == LB_CODE_TIME && theirs == LB_CODE_DIED); }

static void judge_one(work *w, const json_t *q)
{
    lb_err e = {0};
    lb_code_tests t;
    lb_code_result r;
    const char *id, *code;
    json_int_t limit, end, test;
    int right;
    if (json_unpack((json_t *)q, "{s:s,s:s,s:I,s:I,s:I,s:b}", "row", &id, "code", &code, "limit", &limit, "end", &end,
                    "test", &test, "right", &right) != 0) abort();
    const lb_item *it = item_of(id);
    bool ok = it->bench->tests(it, &t, &e);
    const lb_code_set set = { t.p, t.n, t.func_name, (int)limit };
    ok = ok && lb_code_check(box, code, &set, &r, &e);
    pthread_mutex_lock(&w->lock);
    w->n[right]++;
    w->n_end[end == 1 ? 5 : -end]++;
    if (!ok) lb_buf_fmt(&w->failures, "%s: %s\n", id, e.msg);
    else if ((r.end == LB_CODE_PASS) != right || !both_end_it(r.end, (int)end) ||
             (end != LB_CODE_DIED && r.test != test) || (r.why[0] == 0) != right)
        lb_buf_fmt(&w->failures, "%s: ours %d at test %d (%s), the checker's %d at test %d\n%s\n", id, r.end, r.test,
                   r.why, (int)end, (int)test, code);
    pthread_mutex_unlock(&w->lock);
    lb_code_tests_free(&t);
}

static void *judge_all(void *arg)
{
    work *w = arg;
    for (;;) {
        pthread_mutex_lock(&w->lock);
        const json_t *q = json_array_get(w->programs, w->next++);
        pthread_mutex_unlock(&w->lock);
        if (!q) return NULL;
        judge_one(w, q);
    }
}

static void verdicts_are_the_checkers(void **state)
{
    (void)state;
    if (!box) skip();
    work w = { .lock = PTHREAD_MUTEX_INITIALIZER, .programs = json_array() };
    each_line(DIR "/programs.jsonl", keep, w.programs);
    pthread_t t[N_THREAD];
    for (int i = 0; i < N_THREAD; i++) assert_int_equal(pthread_create(&t[i], NULL, judge_all, &w), 0);
    for (int i = 0; i < N_THREAD; i++) assert_int_equal(pthread_join(t[i], NULL), 0);
    if (w.failures.n) fail_msg("%s", w.failures.p);
    print_message("%d right and %d wrong programs: %d died, %d wrong answers, %d too slow, %d errors\n", w.n[1], w.n[0],
                  w.n_end[1], w.n_end[2], w.n_end[3], w.n_end[4]);
    assert_true(w.n[0] >= 100 && w.n[1] >= 100 && w.n_end[1] > 5 && w.n_end[2] > 50 && w.n_end[3] > 5 && w.n_end[4] > 30);
    json_decref(w.programs);
    lb_buf_free(&w.failures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_are_the_studys),
        cmocka_unit_test(parts_are_files_and_dates),
        cmocka_unit_test(a_file_that_changed_is_refused),
        cmocka_unit_test(answers_are_graded),
        cmocka_unit_test(verdicts_are_the_checkers),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
