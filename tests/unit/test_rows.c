/* test_rows.c – rows of the studies' benchmarks in every variant that people publish, and what is refused. */
#include "test.h"
#include "base/file.h"
#include "eval/bench.h"
#include <unistd.h>

static const lb_bench *bench(const char *name)
{
    for (int i = 0; lb_benches[i]; i++)
        if (strcmp(lb_benches[i]->name, name) == 0) return lb_benches[i];
    fail_msg("no %s", name);
    return NULL;
}

/* From an exact copy on the heap, so that a sanitizer sees a read past the end. */
static bool parse(const char *task, const char *name, const char *text, const lb_items_opt *opt, lb_items *items,
                  lb_err *e)
{
    size_t n = strlen(text);
    char *exact = malloc(n ? n : 1);
    memcpy(exact, text, n);
    bool ok = lb_items_parse(bench(task), 0, exact, n, name, opt, items, e);
    free(exact);
    return ok;
}

static void refused(const char *task, const char *name, const char *text, const char *where, const char *says)
{
    lb_err e = {0};
    lb_items items;
    if (parse(task, name, text, NULL, &items, &e)) fail_msg("%s took: %s", task, text);
    if (e.code != LB_EFORMAT || strncmp(e.msg, where, strlen(where)) != 0 || !strstr(e.msg, says))
        fail_msg("%s: %s\n gave %d '%s', wanted '%s … %s'", task, text, e.code, e.msg, where, says);
}

/* One row: its gold, id and level. */
static void one(const char *task, const char *text, const char *gold, const char *id, int level)
{
    lb_err e = {0};
    lb_items items;
    if (!parse(task, "r.jsonl", text, NULL, &items, &e)) fail_msg("%s: %s: %s", task, text, e.msg);
    assert_int_equal(items.n, 1);
    if (strcmp(items.p->gold, gold) != 0 || strcmp(items.p->id, id) != 0 || items.p->level != level)
        fail_msg("%s: '%s' '%s' %d, wanted '%s' '%s' %d", text, items.p->gold, items.p->id, items.p->level, gold, id,
                 level);
    lb_items_free(&items);
}

/* ---- GSM8K, MATH-500, AIME ---- */

static void gsm8k_rows(void **state)
{
    (void)state;
    one("gsm8k", "{\"question\": \"q\", \"answer\": \"1+1=<<1+1=2>>2\\n#### 2\"}", "2", "", 0);
    one("gsm8k", "{\"question\": \"q\", \"answer\": \"x\\n#### 1,234,567\", \"id\": 7}", "1234567", "7", 0);
    one("gsm8k", "{\"question\": \"q\", \"answer\": \"#### 1\\n#### -12 \"}", "-12", "", 0);
    one("gsm8k", "{\"question\": \"q\", \"answer\": \"so\\n####$18\"}", "18", "", 0);
    one("gsm8k", "{\"question\": \"q\", \"answer\": \"so\\n#### 2.50\"}", "2.50", "", 0);
    one("gsm8k", "{\"problem\": \"q\", \"answer\": 70.0}", "70", "", 0);
    one("gsm8k", "{\"problem\": \"q\", \"answer\": 70}", "70", "", 0);
    one("gsm8k", "{\"problem\": \"q\", \"answer\": \" 2,280 \"}", "2280", "", 0);
    one("gsm8k", "{\"problem\": \"q\", \"answer\": 0.5}", "0.5", "", 0);
    static const char *const bad[][2] = {{"{\"question\": \"q\"}", "'answer' is missing"},
                                         {"{\"answer\": \"#### 1\"}", "'question' or 'problem' is missing"},
                                         {"{\"question\": \"\", \"answer\": \"#### 1\"}", "'question' is empty"},
                                         {"{\"question\": 1, \"answer\": \"#### 1\"}", "'question' is an integer"},
                                         {"{\"question\": \"q\", \"answer\": \"#### \"}", "has behind '####'"},
                                         {"{\"question\": \"q\", \"answer\": \"#### 1 2\"}", "has behind '####'"},
                                         {"{\"question\": \"q\", \"answer\": \"#### 1.2.3\"}", "wanted a number"},
                                         {"{\"question\": \"q\", \"answer\": \"so it is 5\"}", "one behind '#### '"},
                                         {"{\"question\": \"q\", \"answer\": [5]}", "'answer' is an array"},
                                         {"{\"question\": \"q\", \"answer\": 1, \"id\": []}", "'id' is an array"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused("gsm8k", "r.jsonl", bad[i][0], "r.jsonl:1:", bad[i][1]);
}

static void math500_rows(void **state)
{
    (void)state;
    one("math500",
        "{\"problem\": \"p\", \"solution\": \"s\", \"answer\": \"\\\\frac{1}{2}\", \"subject\": \"Algebra\", "
        "\"level\": 3, \"unique_id\": \"test/algebra/1.json\"}",
        "\\frac{1}{2}", "test/algebra/1.json", 3);
    one("math500", "{\"problem\": \"p\", \"answer\": \"1\", \"level\": \"Level 5\"}", "1", "", 5);
    one("math500", "{\"problem\": \"p\", \"answer\": \"1\", \"level\": \"2\"}", "1", "", 2);
    one("math500", "{\"problem\": \"p\", \"answer\": 12}", "12", "", 0);
    one("math500", "{\"problem\": \"p\", \"solution\": \"so $\\\\boxed{x_{1}}$\"}", "x_{1}", "", 0);
    one("math500", "{\"problem\": \"p\", \"answer\": null, \"solution\": \"\\\\boxed{2}\"}", "2", "", 0);
    refused("math500", "r.jsonl", "{\"problem\": \"p\"}", "r.jsonl:1:", "'answer' is missing");
    refused("math500", "r.jsonl", "{\"problem\": \"p\", \"solution\": \"no box\"}", "r.jsonl:1:", "no \\boxed{}");
    refused("math500", "r.jsonl", "{\"problem\": \"p\", \"answer\": \"1\", \"level\": \"Level ?\"}",
            "r.jsonl:1:", "'Level ?'");
    refused("math500", "r.jsonl", "{\"problem\": \"p\", \"answer\": \"1\", \"level\": 9}",
            "r.jsonl:1:", "'level' is 9");
    refused("math500", "r.jsonl", "{\"problem\": \"p\", \"answer\": true}", "r.jsonl:1:", "'answer' is a boolean");
}

static void aime_rows(void **state)
{
    (void)state;
    one("aime24",
        "{\"id\": 60, \"problem\": \"p\", \"solution\": \"s\", \"answer\": \"204\", \"url\": \"u\", \"year\": "
        "\"2024\"}",
        "204", "60", 0);
    one("aime24", "{\"ID\": \"2024-I-1\", \"Problem\": \"p\", \"Solution\": \"s\", \"Answer\": 33}", "33", "2024-I-1",
        0);
    one("aime25", "{\"id\": \"0\", \"question\": \"p\", \"answer\": 70.0}", "70", "0", 0);
    one("aime25", "{\"problem_idx\": 3, \"problem\": \"p\", \"answer\": 117, \"problem_type\": [\"Algebra\"]}", "117",
        "3", 0);
    static const char *const forms[][2] = {{"033", "33"},
                                           {"000", "0"},
                                           {"0", "0"},
                                           {"999", "999"},
                                           {" 25 ", "25"},
                                           {"70.0", "70"},
                                           {"336^\\\\circ", "336"},
                                           {"336^{\\\\circ}", "336"},
                                           {"336\u00b0", "336"},
                                           {"$336^\\\\circ$", "336"},
                                           {"0080", "80"}};
    char text[200];
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        snprintf(text, sizeof text, "{\"problem\": \"p\", \"answer\": \"%s\"}", forms[i][0]);
        one("aime90", text, forms[i][1], "", 0);
    }
    static const char *const bad[] = {"\"1000\"",
                                      "\"-1\"",
                                      "\"\"",
                                      "\"12.5\"",
                                      "12.5",
                                      "-1",
                                      "1000",
                                      "1e300",
                                      "\"x\"",
                                      "\"1 2\"",
                                      "null",
                                      "[1]",
                                      "true",
                                      "\"\\\\frac12\"",
                                      "\"\\u00b0\"",
                                      "\"$\"",
                                      "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "{\"problem\": \"p\", \"answer\": %s}", bad[i]);
        refused("aime25", "r.jsonl", text, "r.jsonl:1:", "");
    }
    refused("aime25", "r.jsonl", "{\"problem\": \"p\", \"answer\": \"x\"}",
            "r.jsonl:1:", "wanted an integer from 0 to 999");
    refused("aime25", "r.jsonl", "{\"answer\": 1}", "r.jsonl:1:", "'problem' or 'Problem' or 'question' is missing");
}

static void write_text(const char *dir, const char *name, const char *text)
{
    lb_err e = {0};
    char *path = lb_path_join(dir, name, &e), *slash = strrchr(path, '/');
    *slash = 0;
    assert_ok(lb_mkdirs(path, &e), e);
    *slash = '/';
    assert_ok(lb_write_file(path, text, strlen(text), &e), e);
    free(path);
}

static void remove_tree(const char *dir)
{
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

/* 90 problems and 30: the mean over all is 0.75 and 0.25 of theirs. */
static void aime120_is_two_files(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_items items;
    char dir[] = "/tmp/lowbit-rows-XXXXXX", path[200];
    assert_non_null(mkdtemp(dir));
    lb_buf a = {0}, b = {0};
    for (int i = 0; i < 90; i++) lb_buf_fmt(&a, "{\"id\": %d, \"problem\": \"a%d\", \"answer\": \"%03d\"}\n", i, i, i);
    for (int i = 0; i < 30; i++) lb_buf_fmt(&b, "{\"id\": %d, \"problem\": \"b%d\", \"answer\": %d}\n", i, i, i);
    write_text(dir, "AIME90/train.jsonl", a.p);
    assert_false(lb_items_load(bench("aime120"), dir, NULL, &items, &e));
    assert_int_equal(e.code, LB_EIO);
    assert_non_null(strstr(e.msg, "no aime25 in"));
    assert_non_null(strstr(e.msg, "math-ai/aime25")); /* where to get it */
    write_text(dir, "aime25/test.jsonl", b.p);
    assert_ok(lb_items_load(bench("aime120"), dir, NULL, &items, &e), e);
    assert_int_equal(items.n, 120);
    int n25 = 0;
    for (int i = 0; i < 120; i++) {
        assert_int_equal(items.p[i].number, i + 1);
        n25 += items.p[i].source == 1;
        assert_non_null(strstr(items.p[i].path, i < 90 ? "AIME90/train.jsonl" : "aime25/test.jsonl"));
        assert_true(items.p[i].prompt[0] == (i < 90 ? 'a' : 'b'));
    }
    assert_int_equal(n25, 30);
    assert_string_equal(items.p[3].id, "aime90/3");
    assert_string_equal(items.p[93].id, "aime25/3");
    /* the same problem is the same item, whichever task asks it */
    lb_items alone;
    assert_ok(lb_items_load(bench("aime25"), dir, NULL, &alone, &e), e);
    assert_int_equal(alone.n, 30);
    assert_memory_equal(&alone.p[3].hash, &items.p[93].hash, sizeof(lb_hash));
    lb_items_free(&alone);
    lb_items_free(&items);
    assert_ok(lb_items_load(bench("aime120"), dir, &(lb_items_opt){.limit = 91}, &items, &e), e);
    assert_int_equal(items.n, 91);
    lb_items_free(&items);
    /* a file instead of a folder, for a task that has one */
    snprintf(path, sizeof path, "%s/aime25/test.jsonl", dir);
    assert_ok(lb_items_load(bench("aime25"), path, NULL, &items, &e), e);
    assert_int_equal(items.n, 30);
    lb_items_free(&items);
    assert_false(lb_items_load(bench("aime120"), path, NULL, &items, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    /* where a row stands in its file */
    assert_ok(lb_items_load(bench("aime25"), path, NULL, &items, &e), e);
    for (int i = 0; i < items.n; i++) {
        char want[40];
        snprintf(want, sizeof want, "{\"id\": %d, ", i);
        assert_memory_equal(b.p + items.p[i].offset, want, strlen(want));
        assert_true(b.p[items.p[i].offset + items.p[i].n_byte] == '\n');
    }
    lb_items_free(&items);
    lb_buf_free(&a);
    lb_buf_free(&b);
    remove_tree(dir);
}

/* ---- files ---- */

#define ROW1 "{\"problem\": \"p\", \"answer\": 1}"
#define ROW2 "{\"problem\": \"q\", \"answer\": 2}"

static void two(const char *name, const char *text)
{
    lb_err e = {0};
    lb_items items;
    if (!parse("aime25", name, text, NULL, &items, &e)) fail_msg("%s: %s: %s", name, text, e.msg);
    if (items.n != 2 || strcmp(items.p[0].gold, "1") != 0 || strcmp(items.p[1].gold, "2") != 0)
        fail_msg("%s: %s", name, text);
    lb_items_free(&items);
    assert_ok(parse("aime25", name, text, &(lb_items_opt){.limit = 1}, &items, &e), e);
    assert_int_equal(items.n, 1);
    lb_items_free(&items);
}

static void files_of_every_form(void **state)
{
    (void)state;
    two("r.jsonl", ROW1 "\n" ROW2);
    two("r.json", ROW1 "\n" ROW2 "\n"); /* lines under another name */
    two("r.json", "[" ROW1 ",\n " ROW2 "]");
    two("r.jsonl", "[" ROW1 ", " ROW2 "]");
    two("r.json", "\xef\xbb\xbf [\n" ROW1 ",\n" ROW2 "\n]\n");
    two("r.json", "{\n \"u\": [" ROW1 "],\n \"v\": [" ROW2 "]\n}");
    two("r.json", "{\"u\": [" ROW1 "], \"v\": [" ROW2 "]}");
    two("r.csv", "problem,answer\np,1\nq,2\n");
    two("R.CSV", "answer,more,problem\r\n\"1\",\"x\r\ny\",p\r\n2,,\"q\"\r\n");
    refused("aime25", "r.json", "[" ROW1 ", 3]", "r.json, row 2", "is an integer, wanted an object");
    refused("aime25", "r.json", "[" ROW1 ", {\"problem\": \"p\"}]", "r.json, row 2:", "is missing");
    refused("aime25", "r.json", "{\n\"u\": [" ROW1 "], \"v\": [{\"problem\": 1}]}",
            "r.json, row 2:", "'problem' is an integer");
    refused("aime25", "r.json", "[]", "r.json has no rows", "");
    refused("aime25", "r.json", "{\n\"u\": []}", "r.json has no rows", "");
    refused("aime25", "r.json", "{\n\"u\": [" ROW1 "]", "r.json:", "JSON");
    refused("aime25", "r.csv", "problem,answer\n", "r.csv has no rows", "");
    refused("aime25", "r.csv", "", "r.csv has no rows", "");
    refused("aime25", "r.csv", "problem,answer\np,1\n\"q\nq\",x\n", "r.csv:3:", "the answer is 'x'");
    lb_err e = {0};
    lb_items items;
    assert_false(lb_items_parse(bench("aime25"), 0, "PAR1\x15\x04", 6, "r.parquet", NULL, &items, &e));
    assert_int_equal(e.code, LB_EUNSUPPORTED);
    assert_non_null(strstr(e.msg, "r.parquet is a Parquet file"));
    assert_non_null(strstr(e.msg, "pandas.read_parquet"));
}

/* ---- GPQA ---- */

#define GPQA_HEAD                                                                                                      \
    "Pre-Revision Question,Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3,Record "   \
    "ID,Canary String\n"

static int place(const char *record, uint64_t seed, lb_hash *hash)
{
    lb_err e = {0};
    lb_items items;
    char text[600];
    snprintf(text, sizeof text, GPQA_HEAD "x,\"a, \"\"b\"\"\nc\",right,w1,w2,w3,%s,canary\n", record);
    assert_ok(parse("gpqa_diamond", "g.csv", text, &(lb_items_opt){.option_seed = seed}, &items, &e), e);
    const lb_item *it = items.p;
    int at = it->gold[0] - 'A';
    assert_true(at >= 0 && at < 4 && !it->gold[1]);
    static const char *const order[4] = {"\nA) right\nB) w1\nC) w2\nD) w3", "\nA) w1\nB) right\nC) w2\nD) w3",
                                         "\nA) w1\nB) w2\nC) right\nD) w3", "\nA) w1\nB) w2\nC) w3\nD) right"};
    assert_non_null(strstr(it->prompt, "answering.\n\na, \"b\"\nc\n\nA) "));
    assert_string_equal(strstr(it->prompt, "\nA) "), order[at]);
    if (*record) assert_string_equal(it->id, record);
    if (hash) *hash = it->hash;
    lb_items_free(&items);
    return at;
}

static void gpqa_order_is_of_seed_and_record(void **state)
{
    (void)state;
    int n[4] = {0}, moved = 0;
    lb_hash h1, h2;
    char record[40];
    for (int i = 0; i < 400; i++) {
        snprintf(record, sizeof record, "rec%d", i);
        int a = place(record, 0, &h1);
        n[a]++;
        assert_int_equal(a, place(record, LB_OPTION_SEED, &h2)); /* the default */
        assert_memory_equal(&h1, &h2, sizeof h1);
        int b = place(record, 99, &h2);
        moved += a != b;
        assert_true((a == b) == (memcmp(&h1, &h2, sizeof h1) == 0)); /* the order is part of the item */
    }
    for (int k = 0; k < 4; k++) assert_in_range(n[k], 60, 140); /* 100 each, sd 8.7 */
    assert_in_range(moved, 250, 350);                           /* 300, sd 8.7 */
    place("", 5, NULL); /* without a Record ID the question decides */
    /* frozen: a change would make stored results another task's */
    static const char *const ids[] = {"rec0", "rec1", "rec2", "rec3", "rec4", "rec5", "rec6", "rec7"};
    char places[9] = {0};
    for (int i = 0; i < 8; i++) places[i] = (char)('A' + place(ids[i], 0, NULL));
    assert_string_equal(places, "CCDDBDAB");
}

static void gpqa_rows_and_grades(void **state)
{
    (void)state;
    refused("gpqa_diamond", "g.csv", "Question,Correct Answer\nq,a\n", "g.csv:2:", "'Incorrect Answer 1' is missing");
    refused("gpqa_diamond", "g.csv", GPQA_HEAD "x,q,,1,2,3,r,c\n", "g.csv:2:", "'Correct Answer' is empty");
    static const char row[] = "{\"Question\": \"q\", \"Correct Answer\": \"a\", \"Incorrect Answer 1\": \"1\", "
                              "\"Incorrect Answer 2\": \"2\", \"Incorrect Answer 3\": \"3\", \"Record ID\": \"rec1\"}";
    lb_err e = {0};
    lb_items items;
    lb_grade g;
    assert_ok(parse("gpqa_diamond", "g.jsonl", row, NULL, &items, &e), e);
    const lb_item *it = items.p;
    char text[200];
    for (int k = 0; k < 4; k++) {
        lb_verdict want = it->gold[0] == 'A' + k ? LB_RIGHT : LB_WRONG;
        snprintf(text, sizeof text, "<think>Answer: Z</think>So it is this one.\n\nAnswer: %c", 'A' + k);
        assert_ok(bench("gpqa_diamond")->grade(it, text, &(lb_grader){0}, &g, &e), e);
        assert_true(g.verdict == want && g.strict == want && g.extracted[0] == 'A' + k);
        assert_ok(bench("gpqa_diamond")->grade(it, text, &(lb_grader){.truncated = true}, &g, &e), e);
        assert_true(g.verdict == LB_WRONG && g.lenient == want);
    }
    snprintf(text, sizeof text, "The answer is (%s).", it->gold);
    assert_ok(bench("gpqa_diamond")->grade(it, text, &(lb_grader){0}, &g, &e), e);
    assert_true(g.verdict == LB_RIGHT && g.strict == LB_WRONG);
    lb_items_free(&items);
}

/* ---- MR-Ben ---- */

#define MR(uuid, subject, steps, verdict, first)                                                                       \
    "{\"Question_UUID\": \"" uuid "\", \"Subject\": \"" subject "\", \"Question\": \"q\", \"Options\": \"A: 1\", "     \
    "\"Sampled_Model\": \"m\", \"Model_Solution_Steps\": " steps ", \"Model_Solution_Correctness\": \"" verdict "\", " \
    "\"Model_Solution_First_Error_Step\": " first "}"

static void mr_ben_rows(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_items items;
    static const char doc[] = "{\n\"u1\": [" MR("u1", "college_math", "[\"Step 1: a\"]", "correct", "\"N/A\"") ", " MR(
        "u1", "college_math", "[]", "incorrect", "\"5\"") "],\n\"u2\": [" MR("u9", "coding", "\"x = 1\"", "incorrect",
                                                                             "\"x = 1\"") "]}";
    assert_ok(parse("mr_ben", "math.json", doc, NULL, &items, &e), e);
    assert_int_equal(items.n, 3);
    static const int cluster[] = {1, 1, 3};
    static const char *const gold[] = {"correct", "incorrect; 5", "incorrect"}, *const id[] = {"u1/m", "u1/m", "u9/m"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(items.p[i].cluster, cluster[i]);
        assert_string_equal(items.p[i].gold, gold[i]);
        assert_string_equal(items.p[i].id, id[i]);
    }
    lb_grade g; /* of programs the line is not compared */
    assert_ok(bench("mr_ben")->grade(&items.p[2],
                                     "Solution Correctness: incorrect\nFirst Error Step: y = 2\nError Reason: r",
                                     &(lb_grader){0}, &g, &e),
              e);
    assert_true(g.verdict == LB_RIGHT && g.strict == LB_RIGHT);
    assert_ok(bench("mr_ben")->grade(&items.p[1],
                                     "Solution Correctness: incorrect\nFirst Error Step: Step 4\nError Reason: r",
                                     &(lb_grader){0}, &g, &e),
              e);
    assert_true(g.verdict == LB_WRONG && strstr(g.why, "incorrect; 5"));
    assert_string_equal(g.extracted, "incorrect; 4");
    lb_items_free(&items);
    /* rows one a line: their own key makes the clusters */
    assert_ok(parse("mr_ben", "m.jsonl",
                    MR("a", "x", "[]", "correct", "null") "\n" MR("b", "x", "[]", "correct",
                                                                  "null") "\n" MR("a", "x", "[]", "incorrect", "3"),
                    NULL, &items, &e),
              e);
    assert_true(items.p[0].cluster == 1 && items.p[1].cluster == 2 && items.p[2].cluster == 1);
    lb_items_free(&items);
    refused("mr_ben", "m.jsonl", MR("a", "x", "{}", "correct", "null"),
            "m.jsonl:1:", "'Model_Solution_Steps' is an object");
    refused("mr_ben", "m.jsonl", MR("a", "x", "[1]", "correct", "null"),
            "m.jsonl:1:", "Model_Solution_Steps[0] is an integer");
    refused("mr_ben", "m.jsonl", MR("a", "x", "[]", "wrong", "null"), "m.jsonl:1:", "wanted 'correct' or 'incorrect'");
    refused("mr_ben", "m.jsonl", MR("a", "x", "[]", "incorrect", "\"N/A\""),
            "m.jsonl:1:", "wanted the number of a step");
    refused("mr_ben", "m.jsonl", MR("a", "x", "[]", "incorrect", "null"), "m.jsonl:1:", "is missing");
}

/* ---- the published files, where they lie beside the project ---- */

static void published_files_are_read_and_their_gold_is_right(void **state)
{
    (void)state;
    static const struct {
        const char *task;
        int n, n_level;
    } sets[] = {{"gsm8k", 1319, 0}, {"math500", 500, 500}, {"aime24", 30, 0}, {"aime25", 30, 0}};
    if (!lb_is_folder("../shared/data/gsm8k")) skip();
    for (size_t k = 0; k < sizeof sets / sizeof *sets; k++) {
        lb_err e = {0};
        lb_items items;
        int n_level = 0;
        const lb_bench *b = bench(sets[k].task);
        assert_ok(lb_items_load(b, "../shared/data", NULL, &items, &e), e);
        assert_int_equal(items.n, sets[k].n);
        for (int i = 0; i < items.n; i++) {
            const lb_item *it = &items.p[i];
            lb_grade g;
            lb_buf text = {0};
            n_level += it->level > 0;
            lb_buf_fmt(&text, "<think>\nx\n</think>\nSo it is $\\boxed{%s}$.", it->gold);
            assert_ok(b->grade(it, text.p, &(lb_grader){0}, &g, &e), e);
            if (g.verdict != LB_RIGHT || g.strict != LB_RIGHT)
                fail_msg("%s %d: %s is not right: %s", b->name, it->number, it->gold, g.why);
            lb_buf_free(&text);
            for (int j = 0; j < i; j++) assert_memory_not_equal(&it->hash, &items.p[j].hash, sizeof it->hash);
        }
        assert_int_equal(n_level, sets[k].n_level);
        lb_items_free(&items);
    }
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
        cmocka_unit_test(gsm8k_rows),
        cmocka_unit_test(math500_rows),
        cmocka_unit_test(aime_rows),
        cmocka_unit_test(aime120_is_two_files),
        cmocka_unit_test(files_of_every_form),
        cmocka_unit_test(gpqa_order_is_of_seed_and_record),
        cmocka_unit_test(gpqa_rows_and_grades),
        cmocka_unit_test(mr_ben_rows),
        cmocka_unit_test(published_files_are_read_and_their_gold_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
