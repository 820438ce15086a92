/* test_taskfile.c – benchmarks that a JSON file describes: prompts, gold answers, grades, and every mistake named. */
#include "data_rig.h"
#include "eval/bench.h"

static const char *write_file(const char *name, const char *text)
{
    static char path[2][200];
    static int k;
    lb_err e = {0};
    k = !k;
    snprintf(path[k], sizeof path[k], "%s/%s", dir, name);
    assert_ok(lb_write_file(path[k], text, strlen(text), &e), e);
    return path[k];
}

static lb_bench *task(const char *text)
{
    lb_err e = {0};
    lb_bench *b = lb_bench_from_file(write_file("task.json", text), &e);
    if (!b) fail_msg("%s: %s", text, e.msg);
    return b;
}

/* The first item of rows under a task. */
static void item(const lb_bench *b, const char *rows, lb_items *items)
{
    lb_err e = {0};
    write_file("rows.jsonl", rows);
    if (!lb_items_load(b, "nowhere", NULL, items, &e))
        fail_msg("%s: %s", rows, e.msg); /* the data folder is not asked */
}

static void asks(const char *text, const char *rows, const char *prompt, const char *gold)
{
    lb_bench *b = task(text);
    lb_items items;
    item(b, rows, &items);
    if (strcmp(items.p->prompt, prompt) != 0 || strcmp(items.p->gold, gold) != 0)
        fail_msg("%s\n asks '%s' for '%s', wanted '%s' for '%s'", text, items.p->prompt, items.p->gold, prompt, gold);
    lb_items_free(&items);
    lb_bench_free(b);
}

#define TASK(fields, more) "{\"name\": \"t\", \"file\": \"rows.jsonl\", \"fields\": " fields ", " more "}"
#define BOXED "\n\nPlease reason step by step, and put your final answer within \\boxed{}."

static void prompts_come_from_fields_and_templates(void **state)
{
    (void)state;
    asks(TASK("{\"problem\": \"q\", \"answer\": \"a\"}", "\"grader\": \"math\""), "{\"q\": \"x\", \"a\": \"1/2\"}",
         "x" BOXED, "1/2");
    asks(TASK("{\"prompt\": \"q\", \"answer\": \"a\"}", "\"grader\": \"math\""), "{\"q\": \"x\", \"a\": 5}", "x", "5");
    asks(TASK("{\"problem\": \"q\", \"answer\": \"a\"}", "\"grader\": \"number\""),
         "{\"q\": \"x\", \"a\": \"so\\n#### 1,000\"}", "x" BOXED, "1000");
    asks(TASK("{\"problem\": \"q\", \"answer\": \"a\"}", "\"grader\": \"text\""), "{\"q\": \"x\", \"a\": \"Evelyn\"}",
         "x", "Evelyn");
    asks(TASK("{\"problem\": \"q\", \"answer\": \"a\", \"options\": [\"o1\", \"o2\"]}", "\"grader\": \"letter\""),
         "{\"q\": \"x\", \"o1\": \"first\", \"o2\": \"second\", \"a\": \"b\"}",
         "Answer the following multiple choice question. The last line of your response should be of the following "
         "format: "
         "'Answer: $LETTER' (without quotes) where LETTER is one of AB. Think step by step before "
         "answering.\n\nx\n\nA) first\nB) "
         "second",
         "B");
    asks(TASK("{\"problem\": \"q\", \"answer\": \"a\", \"options\": \"o\", \"id\": \"n\"}",
              "\"grader\": \"letter\", \"template\": \"{n}/{id}: {problem} {{q}} {} {B} "
              "{year}\\n{options}\\n\\\\boxed{}\""),
         "{\"q\": \"x {y}\", \"o\": [\"1\", \"2\", \"3\"], \"a\": \"3\", \"n\": 7, \"year\": 2024.0}",
         "7/7: x {y} {q} {} 2 2024\nA) 1\nB) 2\nC) 3\n\\boxed{}", "C");
    asks(TASK("{\"problem\": \"q\", \"answer\": \"a\", \"options\": \"o\"}",
              "\"grader\": \"letter\", \"first_option\": 0"),
         "{\"q\": \"x\", \"o\": [\"u\", \"v\"], \"a\": 1}",
         "Answer the following multiple choice question. The last line of your response should be of the following "
         "format: "
         "'Answer: $LETTER' (without quotes) where LETTER is one of AB. Think step by step before "
         "answering.\n\nx\n\nA) u\nB) v",
         "B");
    asks(TASK("{\"problem\": \"q\"}", "\"grader\": \"code\""),
         "{\"q\": \"x\", \"tests\": [{\"input\": \"1\", \"output\": \"2\"}]}", "x", "");
}

static void keys_of_a_task_file_are_kept(void **state)
{
    (void)state;
    lb_bench *b = task("{\"name\": \"mine\", \"like\": \"Mine\", \"file\": \"rows.jsonl\", \"max_new\": 100, "
                       "\"version\": 3, \"grader\": \"math\", "
                       "\"fields\": {\"problem\": \"q\", \"answer\": \"a\", \"level\": \"d\", \"id\": \"name\"}}");
    lb_items items;
    item(b, "{\"q\": \"x\", \"a\": \"1\", \"d\": 4, \"name\": \"n1\"}\n{\"q\": \"y\", \"a\": \"1\"}", &items);
    assert_string_equal(b->name, "mine");
    assert_string_equal(b->like, "Mine");
    assert_true(b->max_new == 100 && b->version == 3 && !b->runs_code && items.n == 2);
    assert_string_equal(items.p[0].id, "n1");
    assert_true(items.p[0].level == 4 && items.p[1].level == 0 && items.p[0].bench == b);
    lb_items_free(&items);
    lb_bench_free(b);
    lb_bench_free(NULL);
    lb_bench_free((lb_bench *)lb_benches[0]); /* those of the list stay */
}

static lb_grade graded(const char *text, const char *row, const char *completion)
{
    lb_bench *b = task(text);
    lb_items items;
    lb_err e = {0};
    lb_grade g;
    item(b, row, &items);
    assert_ok(b->grade(items.p, completion, &(lb_grader){0}, &g, &e), e);
    lb_items_free(&items);
    lb_bench_free(b);
    return g;
}

static void graders_are_the_named_ones(void **state)
{
    (void)state;
    static const char math[] = TASK("{\"problem\": \"q\", \"answer\": \"a\"}", "\"grader\": \"math\""),
                      line[] =
                          TASK("{\"problem\": \"q\", \"answer\": \"a\"}", "\"grader\": \"math\", \"form\": \"line\""),
                      text[] = TASK("{\"problem\": \"q\", \"answer\": \"a\"}", "\"grader\": \"text\""),
                      letter[] = TASK("{\"prompt\": \"q\", \"answer\": \"a\"}", "\"grader\": \"letter\"");
    lb_grade g = graded(math, "{\"q\": \"x\", \"a\": \"\\\\frac12\"}", "\\boxed{0.5}");
    assert_true(g.verdict == LB_RIGHT && g.strict == LB_RIGHT);
    g = graded(line, "{\"q\": \"x\", \"a\": \"2\"}", "\\boxed{2}");
    assert_true(g.verdict == LB_RIGHT && g.strict == LB_WRONG);
    g = graded(line, "{\"q\": \"x\", \"a\": \"2\"}", "so\nAnswer: 2");
    assert_true(g.strict == LB_RIGHT);
    g = graded(text, "{\"q\": \"x\", \"a\": \"Evelyn\"}", "It is \\boxed{\\text{evelyn}}");
    assert_int_equal(g.verdict, LB_RIGHT);
    g = graded(text, "{\"q\": \"x\", \"a\": \"Evelyn\"}", "It is \\boxed{\\text{Eve}}");
    assert_int_equal(g.verdict, LB_WRONG);
    g = graded(letter, "{\"q\": \"x\", \"a\": \"f\"}", "so\nAnswer: F");
    assert_true(g.verdict == LB_RIGHT && g.strict == LB_RIGHT);
    g = graded(letter, "{\"q\": \"x\", \"a\": \"f\"}", "so\nAnswer: E");
    assert_int_equal(g.verdict, LB_WRONG);
}

static void refused(const char *text, const char *says)
{
    lb_err e = {0};
    const char *path = write_file("task.json", text);
    lb_bench *b = lb_bench_from_file(path, &e);
    if (b) fail_msg("took %s", text);
    if (e.code != LB_EFORMAT || strncmp(e.msg, path, strlen(path)) != 0 || !strstr(e.msg, says))
        fail_msg("%s: %d '%s', wanted '%s'", text, e.code, e.msg, says);
}

#define QA "{\"problem\": \"q\", \"answer\": \"a\"}"

static void mistakes_in_a_task_file_are_named(void **state)
{
    (void)state;
    refused("", "JSON");
    refused("[]", "is an array, wanted an object");
    refused("{}", "'name' is missing");
    refused("{\"name\": \"t\"}", "'grader' is missing");
    refused("{\"name\": \"t\", \"grader\": \"math\"}", "'fields' is missing");
    refused("{\"name\": \"t\", \"grader\": \"math\", \"fields\": " QA "}", "'file' is missing");
    refused("{\"name\": \"t\", \"file\": \"\", \"grader\": \"math\", \"fields\": " QA "}", "'file' is empty");
    refused("{\"name\": \"a/b\", \"file\": \"f\", \"grader\": \"math\", \"fields\": " QA "}", "wanted a plain name");
    refused("{\"name\": \"a,b\", \"file\": \"f\", \"grader\": \"math\", \"fields\": " QA "}", "wanted a plain name");
    refused("{\"name\": \"gsm8k\", \"file\": \"f\", \"grader\": \"math\", \"fields\": " QA "}",
            "'gsm8k', which lowbit has already");
    refused("{\"name\": \"studies\", \"file\": \"f\", \"grader\": \"math\", \"fields\": " QA "}", "has already");
    refused(TASK(QA, "\"grader\": \"maths\""), "there are math, number, letter, text, code");
    refused(TASK(QA, "\"grader\": \"math\", \"colour\": 1"), "'colour' is not a key here; there are name, like, file");
    refused(TASK("{\"problem\": \"q\", \"answr\": \"a\"}", "\"grader\": \"math\""), "fields: 'answr' is not a key here; there are prompt, problem");
    refused(TASK("{\"problem\": \"q\"}", "\"grader\": \"math\""), "fields has no 'answer'");
    refused(TASK("{\"answer\": \"q\"}", "\"grader\": \"math\""), "either 'prompt'");
    refused(TASK("{\"problem\": \"q\", \"prompt\": \"q\", \"answer\": \"a\"}", "\"grader\": \"math\""),
            "either 'prompt'");
    refused(TASK("{\"prompt\": \"q\", \"answer\": \"a\"}", "\"grader\": \"math\", \"template\": \"{q}\""),
            "there is a 'template' too");
    refused(TASK("{\"problem\": 1, \"answer\": \"a\"}", "\"grader\": \"math\""), "fields: 'problem' is an integer");
    refused(TASK(QA, "\"grader\": \"letter\""), "fields has no 'options'");
    refused(TASK("{\"problem\": \"q\", \"answer\": \"a\", \"options\": 1}", "\"grader\": \"letter\""),
            "fields.options is an integer");
    refused(TASK("{\"problem\": \"q\", \"answer\": \"a\", \"options\": [\"x\"]}", "\"grader\": \"letter\""),
            "fields.options is an array");
    refused(TASK("{\"problem\": \"q\", \"answer\": \"a\", \"options\": [\"x\", 1]}", "\"grader\": \"letter\""),
            "fields.options is an array");
    refused(TASK(QA, "\"grader\": \"math\", \"template\": \"no fields\""), "shows no field");
    refused(TASK(QA, "\"grader\": \"math\", \"template\": \"{{problem}}\""), "shows no field");
    refused(TASK(QA, "\"grader\": \"math\", \"template\": \"{problem} {answer}\""), "shows {answer}, the answer");
    refused(TASK(QA, "\"grader\": \"math\", \"template\": \"{problem} {a}\""), "shows {a}, the answer");
    refused(TASK(QA, "\"grader\": \"math\", \"template\": \"{problem} {options}\""), "'fields' has none");
    refused(TASK(QA, "\"grader\": \"math\", \"form\": \"round\""), "'form' is 'round'");
    refused(TASK(QA, "\"grader\": \"math\", \"max_new\": 0"), "'max_new' is 0");
    refused(TASK(QA, "\"grader\": \"math\", \"first_option\": 2"), "'first_option' is 2");
    lb_err e = {0};
    assert_null(lb_bench_from_file("/nowhere/task.json", &e));
    assert_int_equal(e.code, LB_EIO);
}

static void refused_row(const char *text, const char *rows, const char *says)
{
    lb_bench *b = task(text);
    lb_err e = {0};
    lb_items items;
    write_file("rows.jsonl", rows);
    if (lb_items_load(b, "nowhere", NULL, &items, &e)) fail_msg("took %s", rows);
    if (e.code != LB_EFORMAT || !strstr(e.msg, "rows.jsonl:1") || !strstr(e.msg, says))
        fail_msg("%s: '%s', wanted '%s'", rows, e.msg, says);
    lb_bench_free(b);
}

static void mistakes_in_rows_are_named(void **state)
{
    (void)state;
    static const char math[] = TASK(QA, "\"grader\": \"math\""),
                      tmpl[] = TASK(QA, "\"grader\": \"math\", \"template\": \"{problem} {year}\""),
                      letter[] =
                          TASK("{\"problem\": \"q\", \"answer\": \"a\", \"options\": \"o\"}", "\"grader\": \"letter\"");
    refused_row(math, "{\"q\": \"x\"}", "'a' is missing");
    refused_row(math, "{\"a\": \"x\"}", "'q' is missing");
    refused_row(math, "{\"q\": \"x\", \"a\": []}", "'a' is an array");
    refused_row(tmpl, "{\"q\": \"x\", \"a\": \"1\"}", "'year' is missing, and the template shows it");
    refused_row(tmpl, "{\"q\": \"x\", \"a\": \"1\", \"year\": [1]}", "'year' is an array");
    refused_row(letter, "{\"q\": \"x\", \"a\": \"A\"}", "'o' is missing, wanted an array of options");
    refused_row(letter, "{\"q\": \"x\", \"a\": \"A\", \"o\": [\"1\"]}", "1 options, wanted 2 to 26");
    refused_row(letter, "{\"q\": \"x\", \"a\": \"A\", \"o\": [\"1\", 2]}", "option 2 of 'o' is an integer");
    refused_row(letter, "{\"q\": \"x\", \"a\": \"A\", \"o\": [\"1\", \"\"]}", "option 2 of 'o' is empty");
    refused_row(letter, "{\"q\": \"x\", \"a\": \"C\", \"o\": [\"1\", \"2\"]}",
                "'a' is 'C', wanted a letter from A to B");
    refused_row(letter, "{\"q\": \"x\", \"a\": \"zz\", \"o\": [\"1\", \"2\"]}", "or the text of one option");
    refused_row(letter, "{\"q\": \"x\", \"a\": \"same\", \"o\": [\"same\", \"same\"]}", "wanted a letter");
    refused_row(letter, "{\"q\": \"x\", \"a\": 1, \"o\": [\"1\", \"2\"]}", "'first_option' in the task file");
    refused_row(TASK("{\"problem\": \"q\", \"answer\": \"a\"}", "\"grader\": \"number\""),
                "{\"q\": \"x\", \"a\": \"x\"}", "wanted a number");
    refused_row(TASK("{\"problem\": \"q\"}", "\"grader\": \"code\""), "{\"q\": \"x\"}", "'tests' is missing");
    refused_row(TASK("{\"problem\": \"q\", \"answer\": \"a\", \"level\": \"d\"}", "\"grader\": \"math\""),
                "{\"q\": \"x\", \"a\": \"1\", \"d\": 9}", "'d' is 9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_come_from_fields_and_templates), cmocka_unit_test(keys_of_a_task_file_are_kept),
        cmocka_unit_test(graders_are_the_named_ones),             cmocka_unit_test(mistakes_in_a_task_file_are_named),
        cmocka_unit_test(mistakes_in_rows_are_named),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
