/* test_data.c – files of benchmarks: there, missing, broken, known or not. */
#include "data_rig.h"
#include "eval/data.h"

static const lb_bench *bench(const char *name)
{
    for (int i = 0; lb_benches[i]; i++)
        if (strcmp(lb_benches[i]->name, name) == 0) return lb_benches[i];
    fail_msg("no %s", name);
    return NULL;
}

/* FIPS 180-4 examples, and a million letters. */
static void sha256_is_the_standard_one(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    char hex[65];
    lb_err e = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(lb_sha256(cases[i].text, strlen(cases[i].text), hex, &e), e);
        assert_string_equal(hex, cases[i].hex);
    }
    char *a = malloc(1000000);
    memset(a, 'a', 1000000);
    assert_ok(lb_sha256(a, 1000000, hex, &e), e);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(a);
}

static void known_hashes_are_hashes(void **state)
{
    (void)state;
    int n = 0;
    for (int i = 0; lb_benches[i]; i++)
        for (int s = 0; lb_benches[i]->sources[s]; s++)
            for (const lb_known_file *k = lb_benches[i]->sources[s]->known; k && k->sha256; k++, n++)
                assert_true(strlen(k->sha256) == 64 && strspn(k->sha256, "0123456789abcdef") == 64 && k->what &&
                            *k->what);
    assert_true(n >= 4);
}

static void look(const char *task, int i, bool check, lb_data_state state, int n_row, const char *says)
{
    lb_err e = {0};
    lb_data_file f;
    assert_ok(lb_data_look(bench(task), i, dir, check, &f, &e), e);
    if (f.state != state || f.n_row != n_row || !strstr(f.why.msg, says))
        fail_msg("%s: state %d, %d rows, '%s'; wanted %d, %d, '%s'", task, f.state, f.n_row, f.why.msg, state, n_row,
                 says);
    assert_true((f.state == LB_DATA_MISSING) == (f.path == NULL) && (f.state == LB_DATA_FOUND) == (f.why.msg[0] == 0));
    assert_int_equal(strlen(f.sha256), f.path ? 64 : 0);
    json_t *j = lb_data_json(&f);
    static const char *const names[] = {"missing", "broken", "found"};
    assert_string_equal(json_string_value(json_object_get(j, "state")), names[state]);
    assert_string_equal(json_string_value(json_object_get(j, "task")), task);
    assert_true((json_object_get(j, "file") != NULL) == (f.path != NULL));
    assert_true((json_object_get(j, "error") != NULL) == (state != LB_DATA_FOUND));
    if (n_row >= 0) assert_int_equal(json_integer_value(json_object_get(j, "rows")), n_row);
    else assert_null(json_object_get(j, "rows"));
    assert_non_null(json_object_get(j, "from"));
    assert_non_null(json_object_get(j, "licence"));
    json_decref(j);
    lb_data_file_free(&f);
}

static void files_are_found_checked_and_missed(void **state)
{
    (void)state;
    look("gsm8k", 0, true, LB_DATA_MISSING, -1, "none of gsm8k/test.jsonl");
    write_text("gsm8k/test.jsonl",
               "{\"question\": \"q\", \"answer\": \"#### 1\"}\n{\"question\": \"q\", \"answer\": \"#### 2\"}\n");
    look("gsm8k", 0, false, LB_DATA_FOUND, -1, ""); /* the rows were not read */
    look("gsm8k", 0, true, LB_DATA_FOUND, 2, "");
    write_text("gsm8k/test.jsonl", "{\"question\": \"q\", \"answer\": \"#### 1\"}\n{\"question\": \"q\"}\n");
    look("gsm8k", 0, false, LB_DATA_FOUND, -1, "");
    look("gsm8k", 0, true, LB_DATA_BROKEN, -1, "gsm8k/test.jsonl:2: 'answer' is missing");
    write_text("AIME_2024/aime_2024_problems.parquet", "PAR1....PAR1");
    look("aime24", 0, true, LB_DATA_BROKEN, -1, "Parquet");
    write_text("aime24/test.jsonl", "{\"problem\": \"p\", \"answer\": 1}"); /* what can be read comes first */
    look("aime24", 0, true, LB_DATA_FOUND, 1, "");
    write_text("abacus/code.jsonl", "{\"problem\": \"p\", \"tests\": [{\"input\": \"1\"}]}");
    look("code", 0, true, LB_DATA_BROKEN, -1, "tests[0]: 'output' is missing");
    look("aime120", 1, true, LB_DATA_MISSING, -1, "none of aime25/test.jsonl");
    lb_err e = {0};
    lb_data_file f;
    char path[200];
    snprintf(path, sizeof path, "%s/aime24/test.jsonl", dir);
    assert_false(lb_data_look(bench("aime120"), 0, path, true, &f, &e)); /* a file for a task of two */
    assert_int_equal(e.code, LB_EUSAGE);
}

static void own_files_are_known(void **state)
{
    (void)state;
    static const char *const tasks[] = {"chain", "algebra", "contest", "choice", "code"};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        lb_err e = {0};
        lb_data_file f;
        assert_ok(lb_data_look(bench(tasks[i]), 0, "data", true, &f, &e), e);
        assert_int_equal(f.state, LB_DATA_FOUND);
        assert_int_equal(f.n_row, f.source->n_row);
        if (!f.known) fail_msg("data/abacus/%s.jsonl is not the file whose hash abacus.c has", tasks[i]);
        lb_data_file_free(&f);
    }
}

/* The project's own copies, where they lie beside it. */
static void shared_files_are_the_known_ones(void **state)
{
    (void)state;
    static const struct {
        const char *task;
        int n_row;
    } sets[] = {{"gsm8k", 1319}, {"math500", 500}, {"aime24", 30}, {"aime25", 30}};
    if (!lb_is_folder("../shared/data/gsm8k")) skip();
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        lb_err e = {0};
        lb_data_file f;
        assert_ok(lb_data_look(bench(sets[i].task), 0, "../shared/data", true, &f, &e), e);
        assert_int_equal(f.state, LB_DATA_FOUND);
        assert_int_equal(f.n_row, sets[i].n_row);
        assert_non_null(f.known);
        lb_data_file_free(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_is_the_standard_one), cmocka_unit_test(known_hashes_are_hashes),
        cmocka_unit_test(files_are_found_checked_and_missed), cmocka_unit_test(own_files_are_known),
        cmocka_unit_test(shared_files_are_the_known_ones),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
