/* test_db.c – the results database: what a sample depends on, two processes at once, files that are not ours. */
#include "test.h"
#include "base/file.h"
#include "eval/db.h"
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/lowbit-db-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[192];
    snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", dir, dir);
    return system(command);
}

/* A path in the test's folder; static, one at a time. */
static const char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static lb_db *open_db(const char *name)
{
    lb_err e = {0};
    lb_db *db = lb_db_open(in_dir(name), &e);
    if (!db) fail_msg("%s", e.msg);
    return db;
}

static const lb_sample_key key0 = {.model = "m",
                                   .task = "chain",
                                   .sampling = "T0.6",
                                   .version = 1,
                                   .item = {1, 2},
                                   .prompt = {3, 4},
                                   .seed = 42,
                                   .sample = 0};

static void put(lb_db *db, const lb_sample_key *k, const char *text, int verdict)
{
    lb_err e = {0};
    lb_sample_row row = {.text = (char *)text,
                         .n_tokens = 7,
                         .truncated = true,
                         .think_closed = false,
                         .verdict = verdict,
                         .strict = verdict,
                         .lenient = -1,
                         .grader = 3,
                         .extracted = "e",
                         .why = "w"};
    assert_ok(lb_db_put(db, k, &row, &e), e);
}

static bool grade(lb_db *db, const lb_sample_key *k, int verdict, const char *extracted, const char *why, lb_err *e)
{
    lb_sample_row row = {.verdict = verdict, .strict = 0, .lenient = 1, .grader = 3, .weak_sandbox = true};
    snprintf(row.extracted, sizeof row.extracted, "%s", extracted);
    snprintf(row.why, sizeof row.why, "%s", why);
    return lb_db_set_grade(db, k, &row, e);
}

/* The stored text of k, or NULL; the caller frees it. */
static char *text_of(lb_db *db, const lb_sample_key *k, lb_sample_row *row)
{
    lb_err e = {0};
    bool found;
    assert_ok(lb_db_find(db, k, true, &found, row, &e), e);
    assert_int_equal(found, row->text != NULL);
    return row->text;
}

static bool has(lb_db *db, const lb_sample_key *k)
{
    lb_err e = {0};
    lb_sample_row row;
    bool found;
    assert_ok(lb_db_find(db, k, false, &found, &row, &e), e);
    assert_null(row.text);
    return found;
}

static void what_is_put_is_found(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_sample_row row;
    lb_db *db = open_db("deep/er/a.sqlite"); /* the folders are made */
    assert_null(text_of(db, &key0, &row));
    put(db, &key0, "one", -1);
    free(text_of(db, &key0, &row));
    assert_true(row.n_tokens == 7 && row.truncated && !row.think_closed && row.verdict == -1);
    assert_string_equal(row.extracted, "e");
    assert_string_equal(row.why, "w");
    assert_ok(grade(db, &key0, 2, "x = '1'", "why; DROP TABLE samples", &e), e);
    char *text = text_of(db, &key0, &row);
    assert_string_equal(text, "one");
    assert_int_equal(row.verdict, 2);
    assert_string_equal(row.extracted, "x = '1'");
    assert_string_equal(row.why, "why; DROP TABLE samples");
    free(text);
    assert_ok(lb_db_delete(db, &key0, &e), e);
    assert_false(has(db, &key0));
    assert_ok(lb_db_delete(db, &key0, &e), e); /* again: nothing to do */
    assert_false(grade(db, &key0, 1, "", "", &e));
    assert_int_equal(e.code, LB_EIO);
    assert_non_null(strstr(e.msg, "chain"));
    lb_db_close(db);
    lb_db_close(NULL);
}

static void the_first_sample_stays(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_sample_row row;
    lb_db *db = open_db("first.sqlite");
    put(db, &key0, "one", 1);
    put(db, &key0, "two", 0);
    char *text = text_of(db, &key0, &row);
    assert_string_equal(text, "one");
    assert_int_equal(row.verdict, 1);
    free(text);
    /* Only the key is forgiven: a row that breaks another rule is an error, not lost in silence. */
    lb_sample_key k = key0;
    k.seed = 43;
    assert_false(lb_db_put(db, &k, &(lb_sample_row){.text = NULL, .verdict = -1, .strict = -1, .lenient = -1}, &e));
    assert_non_null(strstr(e.msg, "samples.text"));
    assert_false(has(db, &k));
    put(db, &k, "the statement works again", -1);
    lb_db_close(db);
}

static void every_field_of_the_key_counts(void **state)
{
    (void)state;
    lb_sample_key k[12];
    for (int i = 0; i < 12; i++) k[i] = key0;
    k[1].model = "M", k[2].task = "chai", k[3].sampling = "T0.6 ", k[4].version = 2;
    k[5].item.hi = 9, k[6].item.lo = 9, k[7].prompt.hi = 9, k[8].prompt.lo = 9;
    k[9].seed = -42, k[10].sample = 1, k[11].seed = INT64_MAX;
    lb_db *db = open_db("key.sqlite");
    for (int i = 0; i < 12; i++) {
        char text[16];
        if (has(db, &k[i])) fail_msg("key %d is not new", i);
        snprintf(text, sizeof text, "%d", i);
        put(db, &k[i], text, i % 2);
    }
    for (int i = 0; i < 12; i++) {
        lb_sample_row row;
        char *text = text_of(db, &k[i], &row);
        assert_int_equal(atoi(text), i);
        assert_int_equal(row.verdict, i % 2);
        free(text);
    }
    lb_err e = {0};
    assert_ok(grade(db, &k[3], 2, "", "", &e), e);
    assert_ok(lb_db_delete(db, &k[4], &e), e);
    for (int i = 0; i < 12; i++) { /* the others are untouched */
        lb_sample_row row;
        char *text = text_of(db, &k[i], &row);
        assert_int_equal(text != NULL, i != 4);
        if (text) assert_int_equal(row.verdict, i == 3 ? 2 : i % 2);
        free(text);
    }
    lb_db_close(db);
}

static void any_text_comes_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "'; DROP TABLE samples; --",
                                        "\"quoted\" and ''",
                                        "two\nlines\r\n\n",
                                        "\t%s %n ?1",
                                        "π ≈ 22/7, 日本語, \xf0\x9f\x99\x82",
                                        "<think>\n\\boxed{\\frac{1}{2}}",
                                        "\xff\xfe no UTF-8"};
    lb_db *db = open_db("text.sqlite");
    lb_sample_key k = key0;
    lb_sample_row row;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        k.model = texts[i]; /* text in the key, too */
        put(db, &k, texts[i], -1);
        char *text = text_of(db, &k, &row);
        assert_string_equal(text, texts[i]);
        free(text);
    }
    size_t n = 5 << 20;
    char *big = malloc(n + 1);
    memset(big, 'x', n);
    big[n] = 0;
    k.seed = 7;
    put(db, &k, big, -1);
    char *text = text_of(db, &k, &row);
    assert_int_equal(strlen(text), n);
    free(text);
    free(big);
    lb_db_close(db);
}

static void another_connection_sees_it_at_once(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_sample_row row;
    lb_db *a = open_db("two.sqlite"), *b = open_db("two.sqlite");
    put(a, &key0, "from a", -1);
    assert_true(has(b, &key0));
    put(b, &key0, "from b", -1); /* both generated it: the first stays */
    char *text = text_of(b, &key0, &row);
    assert_string_equal(text, "from a");
    free(text);
    assert_ok(grade(b, &key0, 1, "", "", &e), e);
    free(text_of(a, &key0, &row));
    assert_int_equal(row.verdict, 1);
    lb_db_close(a);
    assert_true(has(b, &key0));
    lb_db_close(b);
    b = open_db("two.sqlite");
    assert_true(has(b, &key0));
    lb_db_close(b);
}

/* Processes that start together on a file that is not there yet, and one that is killed while it writes. */
static void processes_share_a_new_file(void **state)
{
    (void)state;
    enum { N = 4, EACH = 20 };
    for (int round = 0; round < 3; round++) {
        char name[32];
        int go[2];
        pid_t pid[N];
        snprintf(name, sizeof name, "many-%d.sqlite", round);
        assert_int_equal(pipe(go), 0);
        for (int i = 0; i < N; i++) {
            pid[i] = fork();
            assert_true(pid[i] >= 0);
            if (pid[i] > 0) continue;
            char c;
            lb_err e = {0};
            close(go[1]);
            if (read(go[0], &c, 1) != 0) _exit(9); /* all start when the pipe closes */
            lb_db *db = lb_db_open(in_dir(name), &e);
            bool ok = db != NULL;
            for (int j = 0; ok && j < EACH; j++) {
                lb_sample_key k = key0;
                k.seed = i, k.sample = j;
                ok = lb_db_put(db, &k, &(lb_sample_row){.text = (char *)"t", .verdict = -1, .strict = -1, .lenient = -1}, &e);
            }
            if (!ok) fprintf(stderr, "process %d: %s\n", i, e.msg);
            if (ok && i == 0) kill(getpid(), SIGKILL); /* with the database open */
            _exit(ok ? 0 : 1);
        }
        close(go[0]);
        close(go[1]);
        for (int i = 0; i < N; i++) {
            int status;
            assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
            if (i == 0) assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            else assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        lb_db *db = open_db(name);
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < EACH; j++) {
                lb_sample_key k = key0;
                k.seed = i, k.sample = j;
                if (!has(db, &k)) fail_msg("round %d: sample %d of process %d is lost", round, j, i);
            }
        }
        lb_db_close(db);
    }
}

/* Makes a database with plain SQLite. */
static void sql(const char *name, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(in_dir(name), &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) fail_msg("%s: %s", text, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void refused(const char *path, lb_code code, const char *says)
{
    lb_err e = {0};
    lb_db *db = lb_db_open(path, &e);
    if (db) fail_msg("%s was opened", path);
    if (e.code != code || !strstr(e.msg, says))
        fail_msg("%s gave %d '%s', wanted %d '%s'", path, e.code, e.msg, code, says);
}

static void write_text(const char *name, const char *text, size_t n)
{
    lb_err e = {0};
    assert_ok(lb_write_file(in_dir(name), text, n, &e), e);
}

static void other_files_are_refused_and_kept(void **state)
{
    (void)state;
    sql("foreign.sqlite", "CREATE TABLE t (x); INSERT INTO t VALUES (7);");
    refused(in_dir("foreign.sqlite"), LB_EFORMAT, "another program");
    sql("foreign.sqlite", "PRAGMA application_id=305419896;");
    refused(in_dir("foreign.sqlite"), LB_EFORMAT, "another program");
    sql("foreign.sqlite", "INSERT INTO t SELECT x FROM t; PRAGMA journal_mode=WAL;"); /* still whole */
    sql("empty-foreign.sqlite", "PRAGMA application_id=305419896;");
    refused(in_dir("empty-foreign.sqlite"), LB_EFORMAT, "another program");

    lb_db_close(open_db("newer.sqlite"));
    sql("newer.sqlite", "PRAGMA user_version=3;");
    refused(in_dir("newer.sqlite"), LB_EUNSUPPORTED, "schema 3");
    sql("newer.sqlite", "PRAGMA user_version=0;");
    refused(in_dir("newer.sqlite"), LB_EUNSUPPORTED, "schema 0");

    static const char text[] =
        "this is no database, but a text that is longer than the header of one, which has a hundred bytes";
    write_text("text", text, sizeof text - 1);
    refused(in_dir("text"), LB_EFORMAT, "not a database");
    char *still = lb_file_read(in_dir("text"), 1000, NULL, NULL);
    assert_string_equal(still, text);
    free(still);
    write_text("short", "hello", 5);
    refused(in_dir("short"), LB_EFORMAT, "not a database");

    write_text("nothing", "", 0); /* an empty file is as good as none */
    lb_db *db = open_db("nothing");
    put(db, &key0, "x", -1);
    lb_db_close(db);
}

static void places_that_cannot_hold_it(void **state)
{
    (void)state;
    refused("", LB_EUSAGE, "no name");
    refused(dir, LB_EIO, dir);
    write_text("plain", "x", 1);
    refused(in_dir("plain/x.sqlite"), LB_EIO, "plain");
    if (lb_is_folder("/proc")) refused("/proc/lowbit/x.sqlite", LB_EIO, "/proc/lowbit");
}

static void folders_without_permission(void **state)
{
    (void)state;
    if (geteuid() == 0) skip(); /* root writes everywhere */
    assert_int_equal(mkdir(in_dir("locked"), 0500), 0);
    refused(in_dir("locked/x.sqlite"), LB_EIO, "locked/x.sqlite");
    refused(in_dir("locked/deeper/x.sqlite"), LB_EIO, "locked/deeper");
    lb_db_close(open_db("read-only.sqlite"));
    chmod(in_dir("read-only.sqlite"), 0400);
    lb_err e = {0};
    lb_db *db = lb_db_open(in_dir("read-only.sqlite"), &e);
    if (db) assert_false(lb_db_put(db, &key0, &(lb_sample_row){.text = (char *)"t", .verdict = -1, .strict = -1, .lenient = -1}, &e));
    assert_int_equal(e.code, LB_EIO);
    lb_db_close(db);
}

/* Our mark, but not our columns or rules: errors, not crashes. */
static void a_hand_made_file_does_no_harm(void **state)
{
    (void)state;
    lb_err e = {0};
    char text[1200], mark[80];
    snprintf(mark, sizeof mark, "PRAGMA application_id=%d; PRAGMA user_version=1;", 0x6c6f7762);
    snprintf(text, sizeof text, "%s CREATE TABLE samples (model, task);", mark);
    sql("columns.sqlite", text);
    refused(in_dir("columns.sqlite"), LB_EFORMAT, "no such column");
    snprintf(text, sizeof text,
             "%s PRAGMA user_version=2; CREATE TABLE samples (model, task, version, item, prompt, sampling, seed, sample,"
             " text, n_tokens, finish, think_closed, verdict, strict, lenient, grader, weak_sandbox, extracted, why, t_unix,"
             " PRIMARY KEY (model, task, version, item, prompt, sampling, seed, sample));", mark);
    sql("nulls.sqlite", text);
    lb_db *db = open_db("nulls.sqlite");
    put(db, &key0, "x", 0);
    sql("nulls.sqlite",
        "UPDATE samples SET text=NULL, n_tokens='many', finish=NULL, think_closed=NULL, extracted=NULL, why=x'ff00'");
    lb_sample_row row;
    bool found;
    assert_ok(lb_db_find(db, &key0, true, &found, &row, &e), e);
    assert_true(found && row.n_tokens == 0 && !row.truncated && !row.think_closed);
    assert_string_equal(row.text, "");
    assert_string_equal(row.extracted, "");
    free(row.text);
    lb_db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_found),
        cmocka_unit_test(the_first_sample_stays),
        cmocka_unit_test(every_field_of_the_key_counts),
        cmocka_unit_test(any_text_comes_back),
        cmocka_unit_test(another_connection_sees_it_at_once),
        cmocka_unit_test(processes_share_a_new_file),
        cmocka_unit_test(other_files_are_refused_and_kept),
        cmocka_unit_test(places_that_cannot_hold_it),
        cmocka_unit_test(folders_without_permission),
        cmocka_unit_test(a_hand_made_file_does_no_harm),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
