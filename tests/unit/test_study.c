/* test_study.c – recipes: what they mean, and what is wrong with them by name. */
#include "test.h"
#include "base/file.h"
#include "study/study.h"
#include <unistd.h>

static char dir[64], path[80];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/lowbit-study-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/r.json", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static bool open_text(lb_study *s, const char *text, bool quick, lb_err *e)
{
    lb_err why = {0};
    assert_ok(lb_write_file(path, text, strlen(text), &why), why);
    return lb_study_open(s, path, quick, e);
}

#define HEAD "\"name\": \"n\", \"model\": \"m\""
#define RUNS "\"runs\": [{\"scheme\": \"w16\"}, {\"method\": \"rtn\", \"scheme\": \"w3g64\", \"clip\": \"mse\"}]"

static void recipes_mean_what_they_say(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_study *s = calloc(1, sizeof *s);
    assert_non_null(s);
    assert_ok(open_text(s, "{" HEAD ", " RUNS "}", false, &e), e);
    assert_string_equal(s->name, "n");
    assert_string_equal(s->model, "m");
    assert_string_equal(s->data, "data");
    assert_true(s->n_task == 5 && s->n_run == 2 && s->eval.n_seed == 3 && s->eval.seeds[0] == 42 &&
                s->eval.n_sample == 1);
    assert_true(s->eval.limit == 0 && s->eval.max_new == 0 && s->eval.tasks == s->tasks);
    assert_string_equal(s->runs[0].label, "w16");
    assert_true(!s->runs[0].method && s->runs[0].scheme.w_bits == 16);
    assert_true(s->runs[1].method && s->runs[1].scheme.w_bits == 3 && s->runs[1].clip_mse);
    assert_non_null(strstr(s->runs[1].label, "rtn+clip"));
    lb_study_close(s);
    static const char all[] =
        "{" HEAD ", \"about\": \"a\", \"data\": \"d\", \"tasks\": \"code,chain\", \"limit\": 50, \"seeds\": [7],"
        " \"samples\": 4, \"max_new\": 99, " RUNS ", \"quick\": {\"limit\": 3, \"seeds\": [1, 2]}}";
    for (int quick = 0; quick < 2; quick++) {
        assert_ok(open_text(s, all, quick, &e), e);
        assert_string_equal(s->data, "d");
        assert_int_equal(s->n_task, 2);
        assert_string_equal(s->tasks[0]->name, "code");
        assert_true(s->eval.limit == (quick ? 3 : 50) && s->eval.n_seed == (quick ? 2 : 1) &&
                    s->eval.seeds[0] == (quick ? 1 : 7));
        assert_true(s->eval.n_sample == 4 && s->eval.max_new == 99); /* quick has not changed these */
        lb_study_close(s);
    }
    lb_study_close(s); /* once more does no harm */
    free(s);
}

static void the_recipes_in_the_tree_are_valid(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_study *s = calloc(1, sizeof *s);
    assert_non_null(s);
    for (int quick = 0; quick < 2; quick++) {
        assert_ok(lb_study_open(s, "recipes/abacus-rtn.json", quick, &e), e);
        assert_true(s->n_run >= 4 && s->runs[0].scheme.w_bits == 16);
        lb_study_close(s);
    }
    free(s);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[]", "an array, wanted an object"},
        {"{}", "'name' is missing"},
        {"{\"name\": \"n\", " RUNS "}", "'model' is missing"},
        {"{" HEAD "}", "'runs' wants"},
        {"{" HEAD ", \"runs\": []}", "'runs' wants"},
        {"{" HEAD ", \"runs\": {}}", "'runs' wants"},
        {"{" HEAD ", \"runs\": [7]}", "runs[0] is an integer"},
        {"{" HEAD ", \"runs\": [{}]}", "runs[0]: 'scheme' is missing"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w4\"}]}", "runs[0]: 'method' is missing"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w16\"}, {\"scheme\": \"w99\", \"method\": \"rtn\"}]}", "runs[1]"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w4\", \"method\": \"magic\"}]}", "magic"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w4\", \"method\": \"rtn\", \"clip\": \"no\"}]}", "'clip' is 'no'"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w4\", \"method\": \"rtn\", \"bits\": 4}]}", "'bits' is not a key"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w16\", \"method\": \"rtn\"}]}", "w16 is the model as it is"},
        {"{" HEAD ", \"runs\": [{\"scheme\": \"w16\", \"clip\": \"mse\"}]}", "w16 is the model as it is"},
        {"{" HEAD
         ", \"runs\": [{\"scheme\": \"w16\"}, {\"scheme\": \"w4\", \"method\": \"rtn\"}, {\"scheme\": \"w4g128\","
         " \"method\": \"rtn\"}]}",
         "as runs[1] is"},
        {"{\"name\": \"../n\", \"model\": \"m\", " RUNS "}", "'name' is no plain file name"},
        {"{\"name\": \"\", \"model\": \"m\", " RUNS "}", "'name' is no plain file name"},
        {"{\"name\": \"0123456789012345678901234567890123456789012345678901234567890123\", \"model\": \"m\", " RUNS "}",
         "less than 64 bytes"},
        {"{" HEAD ", " RUNS ", \"tpyo\": 1}", "'tpyo' is not a key"},
        {"{" HEAD ", " RUNS ", \"tasks\": \"chain,nosuch\"}", "'nosuch'"},
        {"{" HEAD ", " RUNS ", \"tasks\": \"\"}", "names no task"},
        {"{" HEAD ", " RUNS ", \"limit\": 0}", "'limit' is 0"},
        {"{" HEAD ", " RUNS ", \"samples\": 4097}", "'samples' is 4097"},
        {"{" HEAD ", " RUNS ", \"max_new\": \"many\"}", "'max_new' is a string"},
        {"{" HEAD ", " RUNS ", \"seeds\": 42}", "'seeds' wants an array"},
        {"{" HEAD ", " RUNS ", \"seeds\": []}", "'seeds' wants an array"},
        {"{" HEAD ", " RUNS ", \"seeds\": [1, -2]}", "seeds[1]"},
        {"{" HEAD ", " RUNS ", \"seeds\": [1, 1.5]}", "seeds[1] is a real number"},
        {"{" HEAD ", " RUNS ", \"seeds\": [5, 6, 5]}", "seeds has 5 twice"},
        {"{" HEAD ", " RUNS ", \"quick\": 1}", "quick is an integer"}, /* although it is not used here */
        {"{" HEAD ", " RUNS ", \"quick\": {\"tasks\": \"chain\"}}", "quick: 'tasks' is not a key"},
        {"{" HEAD ", " RUNS ", \"quick\": {\"limit\": -1}}", "quick: 'limit' is -1"},
        {"{" HEAD ", " RUNS, "JSON"},
    };
    lb_study *s = calloc(1, sizeof *s);
    assert_non_null(s);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_err e = {0};
        if (open_text(s, bad[i].text, false, &e)) fail_msg("taken: %s", bad[i].text);
        if (!strstr(e.msg, bad[i].says) || !strstr(e.msg, "r.json"))
            fail_msg("%s\n gave '%s', wanted '%s'", bad[i].text, e.msg, bad[i].says);
        assert_true(s->recipe == NULL && s->tasks == NULL && s->n_run == 0);
    }
    lb_err e = {0};
    assert_false(open_text(s, "{" HEAD ", " RUNS "}", true, &e));
    assert_non_null(strstr(e.msg, "no 'quick' part"));
    unlink(path);
    assert_false(lb_study_open(s, path, false, &e));
    assert_int_equal(e.code, LB_EIO);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipes_mean_what_they_say),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(the_recipes_in_the_tree_are_valid),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
