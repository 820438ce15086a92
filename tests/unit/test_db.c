/* test_db.c – the results database: what a sample depends on, two processes at once, files that are not ours. */
#include "test.h"
#include "base/file.h"
#include "eval/db_parts.h"
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/dev/shm/lowbit-db-XXXXXX"); /* where a sync takes no time */
    if (mkdtemp(dir)) return 0;
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

/* ---- walks ---- */

typedef struct seen {
    int n, stop_after;
    char text[2000];
} seen;

static bool see_sample(void *arg, const lb_sample_key *k, const lb_sample_row *row, lb_err *err)
{
    seen *s = arg;
    size_t n = strlen(s->text);
    (void)err;
    snprintf(s->text + n, sizeof s->text - n, "%s/%s/%d/%llu/%lld/%lld/%s/%d/%d ", k->model, k->task, k->version,
             (unsigned long long)k->item.lo, (long long)k->seed, (long long)k->sample, row->text ? row->text : "-",
             row->verdict, row->grader);
    return ++s->n != s->stop_after;
}

static bool see_and_fail(void *arg, const lb_sample_key *k, const lb_sample_row *row, lb_err *err)
{
    see_sample(arg, k, row, err);
    return lb_fail(err, LB_EFAIL, "enough");
}

static bool see_run(void *arg, const lb_db_run *r, lb_err *err)
{
    seen *s = arg;
    size_t n = strlen(s->text);
    (void)err;
    snprintf(s->text + n, sizeof s->text - n, "%s/%s/%d/%s: %lld, %lld, %lld; ", r->model, r->task, r->version, r->sampling,
             (long long)r->n_sample, (long long)r->n_item, (long long)r->n_seed);
    assert_true(r->t_first > 1000000000 && r->t_first <= r->t_last);
    return ++s->n != s->stop_after;
}

static void walks_find_what_is_asked_for(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_db *db = open_db("walk.sqlite");
    for (int i = 0; i < 12; i++) {
        lb_sample_key k = key0;
        char text[8];
        k.model = i < 8 ? "m" : "n", k.task = i % 2 ? "chain" : "algebra", k.item.lo = (uint64_t)(i % 4), k.seed = i / 4;
        snprintf(text, sizeof text, "t%d", i);
        put(db, &k, text, i % 3 - 1);
    }
    seen s = {0};
    int64_t seed = 1;
    lb_hash item = {1, 3};
    lb_db_query q = {.model = "m", .task = "chain", .version = 1, .want_text = true};
    assert_ok(lb_db_each(db, &q, see_sample, &s, &e), e);
    assert_string_equal(s.text, "m/chain/1/1/0/0/t1/0/3 m/chain/1/1/1/0/t5/1/3 m/chain/1/3/0/0/t3/-1/3 m/chain/1/3/1/0/t7/0/3 ");
    s = (seen){0};
    q = (lb_db_query){.sampling = "T0.6", .item = &item, .seed = &seed};
    assert_ok(lb_db_each(db, &q, see_sample, &s, &e), e);
    assert_string_equal(s.text, "m/chain/1/3/1/0/-/0/3 ");
    s = (seen){.stop_after = 5};
    assert_ok(lb_db_each(db, NULL, see_sample, &s, &e), e); /* its wish to end is no failure */
    assert_int_equal(s.n, 5);
    s = (seen){0};
    assert_false(lb_db_each(db, NULL, see_and_fail, &s, &e));
    assert_true(s.n == 1 && e.code == LB_EFAIL);
    e = (lb_err){0};
    q = (lb_db_query){.task = "chain", .version = 2};
    s = (seen){0};
    assert_ok(lb_db_each(db, &q, see_sample, &s, &e), e);
    assert_int_equal(s.n, 0);
    s = (seen){0};
    assert_ok(lb_db_each_run(db, see_run, &s, &e), e);
    assert_string_equal(s.text, "m/algebra/1/T0.6: 4, 2, 2; m/chain/1/T0.6: 4, 2, 2; n/algebra/1/T0.6: 2, 2, 1; n/chain/1/T0.6: 2, 2, 1; ");
    lb_db_close(db);
    sql("walk.sqlite", "UPDATE samples SET item='no hash' || sample || seed || item WHERE model='n'");
    db = open_db("walk.sqlite");
    s = (seen){0};
    assert_false(lb_db_each(db, NULL, see_sample, &s, &e));
    assert_int_equal(e.code, LB_EFORMAT);
    lb_db_close(db);
}

static bool see_model(void *arg, const lb_model_row *m, lb_err *err)
{
    seen *s = arg;
    size_t n = strlen(s->text);
    (void)err;
    snprintf(s->text + n, sizeof s->text - n, "%s %s %s %s; ", m->hash, m->name, m->kind, m->about);
    return m->t_unix > 1000000000;
}

static bool see_item(void *arg, const lb_item_row *it, lb_err *err)
{
    seen *s = arg;
    size_t n = strlen(s->text);
    (void)err;
    snprintf(s->text + n, sizeof s->text - n, "%s %d %llu %d %d %s %s %s; ", it->task, it->version,
             (unsigned long long)it->item.lo, it->number, it->level, it->id, it->problem, it->gold);
    return true;
}

static void models_and_items_are_known(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_db *db = open_db("known.sqlite");
    lb_model_row m = {.hash = "aa", .name = "models/a", .kind = "folder", .about = "{}"};
    lb_item_row it[3] = {{"chain", 1, {0, 5}, 2, 3, "c2", "two?", "2"}, {"chain", 1, {0, 6}, 1, 0, "c1", "one?", "1"},
                         {"algebra", 2, {0, 5}, 1, 1, "", "x?", "x"}};
    assert_ok(lb_db_put_model(db, &m, &e), e);
    m.name = "elsewhere/a", m.about = "{\"label\":\"A\"}";
    assert_ok(lb_db_put_model(db, &m, &e), e);
    assert_ok(lb_db_put_items(db, it, 3, &e), e);
    it[0].gold = "other"; /* what is there stays */
    assert_ok(lb_db_put_items(db, it, 3, &e), e);
    seen s = {0};
    assert_ok(lb_db_each_model(db, see_model, &s, &e), e);
    assert_string_equal(s.text, "aa elsewhere/a folder {\"label\":\"A\"}; ");
    s = (seen){0};
    assert_ok(lb_db_each_item(db, "chain", see_item, &s, &e), e);
    assert_string_equal(s.text, "chain 1 6 1 0 c1 one? 1; chain 1 5 2 3 c2 two? 2; ");
    s = (seen){0};
    assert_ok(lb_db_each_item(db, NULL, see_item, &s, &e), e);
    assert_true(strncmp(s.text, "algebra 2 5 1 1  x? x; chain", 28) == 0);
    it[0].task = NULL; /* breaks a rule: nothing of the transaction stays, and the next one works */
    it[1].id = "new", it[1].item.lo = 99;
    assert_false(lb_db_put_items(db, (lb_item_row[]){it[1], it[0]}, 2, &e));
    s = (seen){0};
    assert_ok(lb_db_each_item(db, NULL, see_item, &s, &e), e);
    assert_null(strstr(s.text, "new"));
    assert_ok(lb_db_put_items(db, &it[1], 1, &e), e);
    lb_db_close(db);
}

/* ---- older and read-only files ---- */

static const char schema_1[] = /* as lowbit wrote it, with three samples */
    "PRAGMA application_id=1819244386; PRAGMA user_version=1; PRAGMA journal_mode=WAL;"
    "CREATE TABLE IF NOT EXISTS samples ("
    " model TEXT NOT NULL, task TEXT NOT NULL, version INTEGER NOT NULL, item TEXT NOT NULL, prompt TEXT NOT NULL,"
    " sampling TEXT NOT NULL, seed INTEGER NOT NULL, sample INTEGER NOT NULL,"
    " text TEXT NOT NULL, n_tokens INTEGER NOT NULL, finish TEXT NOT NULL, think_closed INTEGER NOT NULL,"
    " verdict INTEGER, extracted TEXT, why TEXT, t_unix INTEGER NOT NULL,"
    " PRIMARY KEY (model, task, version, item, prompt, sampling, seed, sample)) WITHOUT ROWID;"
    "INSERT INTO samples VALUES"
    " ('m','chain',1,'00000000000000010000000000000002','00000000000000030000000000000004','T0.6',42,0,"
    "  '<think>a</think> \\boxed{7}',9,'stop',1,1,'7','',1700000000),"
    " ('m','chain',1,'00000000000000010000000000000002','00000000000000030000000000000004','T0.6',42,1,"
    "  'no end',1024,'length',0,0,'','thinking was not finished',1700000001),"
    " ('m','code',1,'00000000000000010000000000000002','00000000000000030000000000000004','T0.6',42,0,"
    "  'print(1)',3,'stop',1,NULL,'','',1700000002);";

static void schema_1_becomes_schema_2(void **state)
{
    (void)state;
    lb_err e = {0};
    sql("old.sqlite", schema_1);
    lb_db *db = open_db("old.sqlite");
    seen s = {0};
    assert_ok(lb_db_each(db, &(lb_db_query){.want_text = true}, see_sample, &s, &e), e);
    assert_string_equal(s.text, "m/chain/1/2/42/0/<think>a</think> \\boxed{7}/1/0 m/chain/1/2/42/1/no end/0/0 m/code/1/2/42/0/print(1)/-1/0 ");
    lb_sample_row row;
    free(text_of(db, &key0, &row));
    assert_true(row.n_tokens == 9 && !row.truncated && row.think_closed && row.strict == -1 && row.lenient == -1);
    assert_true(row.t_unix == 1700000000 && !row.weak_sandbox);
    assert_string_equal(row.extracted, "7");
    assert_ok(grade(db, &key0, 1, "7", "", &e), e);
    put(db, &(lb_sample_key){.model = "m", .task = "new", .sampling = "T0", .version = 1}, "x", 1);
    lb_db_close(db);
    db = open_db("old.sqlite"); /* once more: nothing is left to do */
    free(text_of(db, &key0, &row));
    assert_true(row.grader == 3 && row.lenient == 1);
    lb_db_close(db);
    /* A process with schema 1 that had it open meanwhile: what it wrote into the new table is fine. */
    sql("old.sqlite", "INSERT INTO samples (model, task, version, item, prompt, sampling, seed, sample, text, n_tokens, finish,"
                      " think_closed, verdict, extracted, why, t_unix) VALUES ('m','chain',1,'00000000000000010000000000000002',"
                      "'00000000000000030000000000000004','T0.6',43,0,'late',1,'stop',1,1,'','',1700000003)");
    /* What cannot be brought up stays as it was. */
    sql("odd.sqlite", schema_1);
    sql("odd.sqlite", "CREATE TABLE items (x); INSERT INTO items VALUES (1);");
    refused(in_dir("odd.sqlite"), LB_EFORMAT, "items");
    sql("odd.sqlite", "INSERT INTO samples SELECT model, task, version, item, prompt, sampling, 77, sample, text, n_tokens, finish,"
                      " think_closed, verdict, extracted, why, t_unix FROM samples WHERE task='code'");
}

static void readers_take_what_is_there(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_sample_row row;
    assert_null(lb_db_open_existing(in_dir("none.sqlite"), &e));
    assert_true(e.code == LB_EIO && strstr(e.msg, "there is no"));
    assert_false(lb_file_exists(in_dir("none.sqlite")));
    e = (lb_err){0};
    lb_db *w = open_db("media/r.sqlite");
    put(w, &key0, "kept", 1);
    lb_db *db = lb_db_open_existing(in_dir("media/r.sqlite"), &e); /* beside a writer */
    assert_non_null(db);
    assert_true(has(db, &key0));
    lb_db_close(db);
    lb_db_close(w);
    /* Read-only media: no right to write, no file of locks, no log. Root writes everywhere, so another user reads. */
    unlink(in_dir("media/r.sqlite-claims"));
    chmod(in_dir("media/r.sqlite"), 0444);
    chmod(in_dir("media"), 0555);
    chmod(dir, 0755);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(2);
        bool found = false;
        db = lb_db_open_existing(in_dir("media/r.sqlite"), &e);
        if (!db || !lb_db_find(db, &key0, true, &found, &row, &e) || !found || strcmp(row.text, "kept") != 0) {
            fprintf(stderr, "%s\n", e.msg);
            _exit(3);
        }
        bool wrote = lb_db_put(db, &key0, &row, &e);
        lb_db_close(db);
        if (wrote || e.code != LB_EIO || strstr(e.msg, "reading") == NULL) _exit(4);
        e = (lb_err){0};
        db = lb_db_open(in_dir("media/r.sqlite"), &e); /* to write */
        _exit(db || e.code != LB_EIO || !strstr(e.msg, "r.sqlite") ? 5 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    chmod(in_dir("media"), 0700);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) fail_msg("the reader ended with %x", (unsigned)status);
}

/* ---- sharing ---- */

static void claims_are_exclusive_until_death(void **state)
{
    (void)state;
    lb_err e = {0};
    bool mine;
    lb_sample_key other = key0;
    other.seed = 43;
    lb_db *a = open_db("claims.sqlite"), *b = open_db("claims.sqlite"); /* one process, two owners */
    assert_ok(lb_db_claim(a, &key0, &mine, &e), e);
    assert_true(mine);
    assert_ok(lb_db_claim(a, &key0, &mine, &e), e); /* again: still mine */
    assert_true(mine);
    assert_ok(lb_db_claim(b, &key0, &mine, &e), e);
    assert_false(mine);
    assert_ok(lb_db_claim(b, &other, &mine, &e), e);
    assert_true(mine);
    lb_db_release(a, &key0);
    assert_ok(lb_db_claim(b, &key0, &mine, &e), e);
    assert_true(mine);
    lb_db_close(b);
    assert_ok(lb_db_claim(a, &other, &mine, &e), e); /* closed: dropped */
    assert_true(mine);
    lb_db_release(a, &other);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) { /* holds one until it is killed */
        lb_db *c = lb_db_open(in_dir("claims.sqlite"), &e);
        bool ok = c && lb_db_claim(c, &key0, &mine, &e) && mine && write(ready[1], "x", 1) == 1;
        while (pause(), ok) continue;
        _exit(1);
    }
    char c;
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_ok(lb_db_claim(a, &key0, &mine, &e), e);
    assert_false(mine);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_ok(lb_db_claim(a, &key0, &mine, &e), e);
    assert_true(mine);
    close(ready[0]);
    lb_db_close(a);
}

static void an_older_grader_does_not_undo(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_sample_row row, old = {.verdict = 0, .strict = 0, .lenient = 0, .grader = 2};
    lb_db *db = open_db("grader.sqlite");
    put(db, &key0, "x", 1); /* by grader 3 */
    assert_ok(lb_db_set_grade(db, &key0, &old, &e), e);
    free(text_of(db, &key0, &row));
    assert_true(row.verdict == 1 && row.grader == 3);
    old.grader = 4;
    assert_ok(lb_db_set_grade(db, &key0, &old, &e), e);
    free(text_of(db, &key0, &row));
    assert_true(row.verdict == 0 && row.grader == 4);
    lb_db_close(db);
}

/* ---- a disk that fails ---- */

/* Puts samples until one fails; how many were taken. */
static int put_until(lb_db *db, int n, const char *text, lb_err *err)
{
    for (int i = 0; i < n; i++) {
        lb_sample_key k = key0;
        k.sample = i;
        if (!lb_db_put(db, &k, &(lb_sample_row){.text = (char *)text, .verdict = 1, .strict = 1, .lenient = 1}, err)) return i;
    }
    return n;
}

static void all_there(const char *name, int n)
{
    lb_db *db = open_db(name);
    for (int i = 0; i < n; i++) {
        lb_sample_key k = key0;
        k.sample = i;
        if (!has(db, &k)) fail_msg("%s: sample %d of %d, which was stored, is lost", name, i, n);
    }
    lb_db_close(db);
}

static void a_full_disk_keeps_what_is_finished(void **state)
{
    (void)state;
    lb_err e = {0};
    char *text = malloc(20001);
    memset(text, 'x', 20000);
    text[20000] = 0;
    lb_db *db = open_db("full.sqlite");
    assert_int_equal(sqlite3_exec(db->db, "PRAGMA max_page_count=60", NULL, NULL, NULL), SQLITE_OK);
    int n = put_until(db, 100, text, &e);
    assert_true(n > 2 && n < 60);
    assert_int_equal(e.code, LB_EIO);
    assert_non_null(strstr(e.msg, "disk is full"));
    assert_non_null(strstr(e.msg, "full.sqlite"));
    assert_int_equal(sqlite3_exec(db->db, "PRAGMA max_page_count=100000", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(put_until(db, 100, text, &e), 100); /* there is room again: the same connection goes on */
    lb_db_close(db);
    all_there("full.sqlite", 100);
    /* The limit of a process on the size of files: write() says EFBIG. */
    int said[2];
    assert_int_equal(pipe(said), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit most = {300000, 300000};
        signal(SIGXFSZ, SIG_IGN); /* as main() does */
        db = lb_db_open(in_dir("limit.sqlite"), &e);
        if (!db || setrlimit(RLIMIT_FSIZE, &most) != 0) _exit(2);
        e = (lb_err){0};
        n = put_until(db, 100, text, &e);
        bool ok = write(said[1], &n, sizeof n) == sizeof n && e.code == LB_EIO && strstr(e.msg, "limit.sqlite");
        lb_db_close(db);
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(read(said[0], &n, sizeof n), sizeof n);
    close(said[0]), close(said[1]);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) fail_msg("status %x after %d samples", (unsigned)status, n);
    assert_true(n > 2 && n < 100);
    all_there("limit.sqlite", n);
    free(text);
}

/* SQLite's own file functions, of which one call fails. */
static int fail_at, n_call, fail_code;
static const sqlite3_io_methods *real_io;
static sqlite3_io_methods bad_io;
static sqlite3_vfs bad_vfs;
static int (*real_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);

static bool now_fails(void) { return ++n_call == fail_at; }
static int bad_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    return now_fails() ? fail_code : real_io->xWrite(f, p, n, at);
}
static int bad_sync(sqlite3_file *f, int flags) { return now_fails() ? SQLITE_IOERR_FSYNC : real_io->xSync(f, flags); }
static int bad_truncate(sqlite3_file *f, sqlite3_int64 n) { return now_fails() ? SQLITE_IOERR_TRUNCATE : real_io->xTruncate(f, n); }
static int bad_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
    if (now_fails()) {
        f->pMethods = NULL;
        return SQLITE_CANTOPEN;
    }
    int rc = real_open(v, name, f, flags, out);
    if (rc != SQLITE_OK || !f->pMethods) return rc;
    if (!real_io) real_io = f->pMethods, bad_io = *real_io, bad_io.xWrite = bad_write, bad_io.xSync = bad_sync, bad_io.xTruncate = bad_truncate;
    if (f->pMethods == real_io) f->pMethods = &bad_io;
    return rc;
}

static void every_failing_call_is_survived(void **state)
{
    (void)state;
    enum { N = 6 };
    char text[9001]; /* more than a page */
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = 0;
    sqlite3_vfs *usual = sqlite3_vfs_find(NULL);
    bad_vfs = *usual;
    bad_vfs.zName = "bad", bad_vfs.pNext = NULL, real_open = usual->xOpen, bad_vfs.xOpen = bad_open;
    int tried = 0, failed = 0;
    for (int code = 0; code < 2; code++) {
        bool fired = true;
        for (fail_at = 1; fired; fail_at++, tried++) { /* until no call is left that could fail */
            char name[32];
            lb_err e = {0};
            snprintf(name, sizeof name, "bad-%d-%d.sqlite", code, fail_at);
            fail_code = code ? SQLITE_FULL : SQLITE_IOERR_WRITE;
            n_call = 0;
            sqlite3_vfs_register(&bad_vfs, 1);
            lb_db *db = lb_db_open(in_dir(name), &e);
            int n = db ? put_until(db, N, text, &e) : 0;
            if (n < N) { /* the call that failed is over: the same again goes on */
                failed++;
                if (e.code != LB_EIO || !strstr(e.msg, name)) fail_msg("call %d: %d '%s'", fail_at, e.code, e.msg);
                if (db) assert_int_equal(put_until(db, N, text, &(lb_err){0}), N);
            }
            lb_db_close(db);
            fired = n_call >= fail_at;
            sqlite3_vfs_register(usual, 1);
            sqlite3_vfs_unregister(&bad_vfs);
            if (db) all_there(name, N);
            else lb_db_close(open_db(name)); /* what is there of it is no obstacle */
        }
    }
    if (tried < 40 || failed < 20) fail_msg("%d calls, %d of them mattered", tried, failed);
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
        cmocka_unit_test(walks_find_what_is_asked_for),
        cmocka_unit_test(models_and_items_are_known),
        cmocka_unit_test(schema_1_becomes_schema_2),
        cmocka_unit_test(readers_take_what_is_there),
        cmocka_unit_test(claims_are_exclusive_until_death),
        cmocka_unit_test(an_older_grader_does_not_undo),
        cmocka_unit_test(a_full_disk_keeps_what_is_finished),
        cmocka_unit_test(every_failing_call_is_survived),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
