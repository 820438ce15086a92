/* test_pages.c – the evaluation pages: hostile texts, every link, the matrix, numbers, which samples are shown, and that a
 * folder is replaced whole or not at all. */
#include "test.h"
#include "base/file.h"
#include "eval/db.h"
#include "eval/grade.h"
#include "study/pages.h"
#include "study/pages_data.h"
#include "xml.h"
#include <dirent.h>
#include <unistd.h>

#define EVIL "<script>alert('1')</script> & \"q\" ]]> <!-- \x01\x1b[31m \xff\xc3 \xe2\x80\xae </div>"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/lowbit-pages-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    return system(cmd);
}

static const char *at(const char *name)
{
    static char path[4][300];
    static int k;
    char *p = path[k++ % 4];
    snprintf(p, 300, "%s/%s", dir, name);
    return p;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what)) n++;
    return n;
}

static char *file(const char *folder, const char *name)
{
    lb_err e = {0};
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    char *text = lb_file_read(path, 1 << 26, NULL, &e);
    if (!text) fail_msg("%s", e.msg);
    return text;
}

static bool has(const char *folder, const char *name, const char *what)
{
    char *text = file(folder, name);
    bool found = strstr(text, what) != NULL;
    free(text);
    return found;
}

/* ---- a database ---- */

static const char A[] = "aaaa0000000000000000000000000000", B[] = "bbbb0000000000000000000000000000",
                  C[] = "cccc0000000000000000000000000000";
static const char T1[] = "T0.6 top-p0.95 max64 kv=bf16", T2[] = "T0.6 top-p0.95 max32 kv=bf16",
                  KV4[] = "T0.6 top-p0.95 max64 kv=kv4";

static lb_db *open_db(const char *path)
{
    lb_err e = {0};
    lb_db *db = lb_db_open(path, &e);
    if (!db) fail_msg("%s", e.msg);
    return db;
}

static void put_model(lb_db *db, const char *hash, const char *name)
{
    lb_err e = {0};
    lb_model_row m = {.hash = hash, .name = name, .kind = "folder", .about = "{}"};
    assert_ok(lb_db_put_model(db, &m, &e), e);
}

static void put_called(lb_db *db, const char *task, int number, int level, const char *id, const char *problem,
                       const char *gold)
{
    lb_err e = {0};
    lb_item_row i = {.task = task, .version = 1, .item = {1, 100 - (uint64_t)number}, .number = number, .level = level,
                     .id = id, .problem = problem, .gold = gold};
    assert_ok(lb_db_put_items(db, &i, 1, &e), e);
}

static void put_item(lb_db *db, const char *task, int number, int level, const char *problem, const char *gold)
{
    put_called(db, task, number, level, EVIL, problem, gold);
}

typedef struct sample {
    const char *model, *task, *sampling;
    int number, seed, prompt, verdict, strict, lenient;
    bool truncated;
    const char *text, *extracted, *why;
} sample;

#define S(m, t, how, n, seed_, p, v, s, l, ...)                                                                          \
    (sample){.model = m, .task = t, .sampling = how, .number = n, .seed = seed_, .prompt = p, .verdict = v, .strict = s, \
             .lenient = l, __VA_ARGS__}

static void put(lb_db *db, sample s)
{
    lb_err e = {0};
    lb_sample_key k = {.model = s.model, .task = s.task, .sampling = s.sampling, .version = 1, .seed = s.seed,
                       .item = {1, 100 - (uint64_t)s.number}, .prompt = {2, (uint64_t)s.prompt}};
    lb_sample_row r = {.text = (char *)(s.text ? s.text : "<think>\nhm\n</think>\nwell"), .n_tokens = 10 + s.number,
                       .truncated = s.truncated, .think_closed = !s.truncated, .verdict = s.verdict,
                       .strict = s.strict, .lenient = s.lenient, .grader = LB_GRADER_VERSION};
    snprintf(r.extracted, sizeof r.extracted, "%s", s.extracted ? s.extracted : "7");
    snprintf(r.why, sizeof r.why, "%s", s.why ? s.why : "");
    assert_ok(lb_db_put(db, &k, &r, &e), e);
}

/* Model A and model B (hostile name), two tasks; A's samples of "chain" by problem: right right, right wrong, wrong wrong,
 * unknown and truncated; B's are all wrong but one that is right in another form. */
static void fill(lb_db *db)
{
    static char huge[1500000];
    put_model(db, A, "models/base");
    put_model(db, B, EVIL);
    memset(huge, 'y', sizeof huge - 1);
    memcpy(huge, "<think>", 7);
    memcpy(huge + 700000, "</think>" EVIL, 8 + sizeof EVIL - 1);
    for (int i = 0; i < 4; i++) put_item(db, "chain", i, i, EVIL "\nWhat is 3 < 4?", i ? "7" : EVIL);
    put_item(db, "../e&<b>", 0, 0, "", "");
    for (int seed = 1; seed <= 2; seed++) {
        put(db, S(A, "chain", T1, 0, seed, 0, 1, 1, 1, .text = EVIL, .extracted = EVIL));
        put(db, S(A, "chain", T1, 1, seed, 1, seed == 1, seed == 1, seed == 1, .text = seed == 1 ? huge : NULL));
        put(db, S(A, "chain", T1, 2, seed, 2, 0, 0, 0, .why = "other <numbers>"));
        put(db, S(B, "chain", T1, 0, seed, 0, 0, 0, 0));
        put(db, S(B, "chain", T1, 1, seed, 1, seed == 2, 0, seed == 2, .why = "not in a box"));
        put(db, S(B, "chain", T1, 2, seed, 2, 0, 0, 0));
    }
    put(db, S(A, "chain", T1, 3, 1, 3, 2, 2, 2, .why = "'f(x)' is not understood"));
    put(db, (sample){A, "chain", T1, 3, 2, 3, 0, 0, 1, .truncated = true, .text = "<think> it is \\boxed{7} or", .why = "truncated"});
    put(db, S(A, "../e&<b>", T2, 0, 1, 9, -1, -1, -1));
}

static void write_pages(const char *db, const char *out, lb_pages_opt o, lb_pages_written *n)
{
    lb_err e = {0};
    o.text_kb = o.text_kb < 0 ? 0 : o.text_kb ? o.text_kb : LB_PAGES_TEXT_KB;
    assert_ok(lb_pages_from_db(db, out, &o, NULL, n, &e), e);
}

/* ---- every page ---- */

/* Each href leads to a file of the folder, and to an id in it. */
static void check_links(const char *folder, const char *name, const char *text)
{
    for (const char *p = text; (p = strstr(p, " href=\"")); p++) {
        char to[300], id[300], *target = NULL;
        const char *from = p + 7, *end = strchr(from, '"'), *hash = memchr(from, '#', (size_t)(end - from));
        snprintf(to, sizeof to, "%.*s", (int)((hash ? hash : end) - from), from);
        if (strchr(to, ':') || strstr(to, "..") || to[0] == '/') fail_msg("%s: a link out of the folder: %s", name, to);
        if (*to) target = file(folder, to); /* fails if it is not there */
        snprintf(id, sizeof id, "id=\"%.*s\"", hash ? (int)(end - hash - 1) : 0, hash ? hash + 1 : "");
        if (hash && !strstr(target ? target : text, id)) fail_msg("%s: no %s in %s", name, id, to);
        free(target);
    }
}

static int check_folder(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) {
        if (!strstr(e->d_name, ".html")) continue;
        char *text = file(folder, e->d_name);
        check_xml(text);
        check_links(folder, e->d_name, text);
        static const char *const never[] = {"<script>alert", " src=", "url(", "nan", "-0.0", "inf<", "&#", "\x1b", "\xff"};
        for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
            const char *bad = strstr(text, never[i]);
            if (bad && strncmp(bad, "&#39;", 5) != 0) fail_msg("%s has '%s': %.60s", e->d_name, never[i], bad);
        }
        assert_int_equal(count(text, "http"), 1 + count(text, "<svg")); /* names of XML, no addresses */
        assert_int_equal(count(text, "<script"), 1);
        free(text);
        n++;
    }
    closedir(d);
    return n;
}

static void hostile_texts_stay_texts(void **state)
{
    (void)state;
    lb_pages_written n;
    lb_db *db = open_db(at("h.sqlite"));
    fill(db);
    lb_db_close(db);
    write_pages(at("h.sqlite"), at("h"), (lb_pages_opt){0}, &n);
    assert_int_equal(check_folder(at("h")), n.n_page);
    assert_int_equal(n.n_model, 2);
    assert_int_equal(n.n_task, 2);
    const char *h = at("h");
    assert_true(has(h, "chain.p1.html", "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;q&quot; ]]&gt; &lt;!-- "
                                        "\xef\xbf\xbd\xef\xbf\xbd[31m \xef\xbf\xbd\xef\xbf\xbd "));
    assert_true(has(h, "chain.p1.html", "other &lt;numbers&gt;"));
    assert_true(has(h, "chain.p1.html", "without an end"));
    char *page = file(h, "chain.p1.html"), *whole = file(h, "text/chain.1.0.1.0.txt");
    assert_true(strlen(page) < 300000); /* the huge text is cut in both its parts */
    assert_int_equal(count(page, "left out here"), 2);
    assert_non_null(strstr(page, "<a href=\"text/chain.1.0.1.0.txt\">The whole text, 1.5 MB</a>"));
    assert_int_equal(strlen(whole), 1499999); /* as it is, whatever bytes it has */
    assert_memory_equal(whole + 700000, "</think>" EVIL, 8 + sizeof EVIL - 1);
    free(page);
    free(whole);
    assert_true(has(h, "---e--b-.html", "../e&amp;&lt;b&gt;"));
    assert_true(has(h, "index.html", "<b>1</b> samples are not graded yet"));
    assert_true(has(h, "index.html", "<small class=\"o\">3 of 4 problems</small>")); /* of B */
    write_pages(at("h.sqlite"), at("none"), (lb_pages_opt){.text_kb = -1}, &n); /* that is, none */
    assert_false(has(at("none"), "chain.p1.html", "Thinking"));
    assert_true(has(at("none"), "chain.p1.html", "right"));
    assert_false(lb_file_exists(at("none/text")));
    check_folder(at("none"));
}

static void the_matrix_says_who_solved_what(void **state)
{
    (void)state;
    const char *h = at("h");
    char *t = file(h, "chain.html");
    static const char *const says[] = {
        "<td><a href=\"chain.p1.html#i0-m0\">2/2</a></td><td class=\"h\" style=\"--l:1.00\"><a "
        "href=\"chain.p1.html#i0-m1\">0/2</a></td>",
        "--l:0.50\"><a href=\"chain.p1.html#i1-m0\">1/2</a></td><td class=\"h\" style=\"--l:0.50\"><a "
        "href=\"chain.p1.html#i1-m1\">1/2<i>≠</i></a>",
        "#i3-m0\">0/2<i>≠…?</i></a></td><td class=\"x\">–</td>",
        "<tr class=\"fd \" data-n=\"0\">",
        "<tr class=\"fr \" data-n=\"1\">",
        "<tr class=\"fn \" data-n=\"2\">",
        "<tr class=\"fr ft fu fn \" data-n=\"3\">",
        "all (4)", "models disagree (1)", "strict ≠ lenient (2)", "truncated (1)", "unknown (1)", "nobody right (2)",
        "<td class=\"k\">50 %</td>",
    };
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        if (!strstr(t, says[i])) fail_msg("the matrix does not say %s", says[i]);
    free(t);
    t = file(h, "readings.html");
    static const char *const reads[] = {
        "Right, but not in the form asked for (1)", "Right to a lenient reader only (1)", "Not understood (1)",
        "#i1-m1-s1\">chain 1</a>", "#i3-m0-s1\">chain 3</a>", "#i3-m0-s0\">chain 3</a>", "not in a box", "(truncated)",
    };
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++)
        if (!strstr(t, reads[i])) fail_msg("the readings do not say %s", reads[i]);
    free(t);
    assert_true(has(h, "chain.p1.html", "✓</span> right</span> · <span class=\"c2\"><span aria-hidden=\"true\">✗</span> "
                                        "strictly wrong</span>"));
    assert_true(has(h, "chain.p1.html", "✗</span> wrong</span> · <span class=\"c0\"><span aria-hidden=\"true\">✓</span> "
                                        "leniently right</span>"));
}

/* ---- numbers ---- */

static void load(lb_pages *p, const char *db, const char *models, const char *tasks)
{
    lb_err e = {0};
    memset(p, 0, sizeof *p);
    p->db = lb_db_open_existing(db, &e);
    if (!p->db) fail_msg("%s", e.msg);
    assert_ok(lb_pages_pick(p, models, tasks, &e), e);
    assert_ok(lb_pages_load(p, &e), e);
}

static void near(double got, double want)
{
    if (!(fabs(got - want) < 1e-12)) fail_msg("%.12g, wanted %.12g", got, want);
}

static void numbers_are_those_of_the_samples(void **state)
{
    (void)state;
    lb_pages p;
    load(&p, at("h.sqlite"), NULL, "chain");
    const lb_pages_cell *a = &p.tasks[0].cells[0], *b = &p.tasks[0].cells[1];
    near(a->acc, 3 / 8.0);
    near(a->strict, 3 / 8.0);
    near(a->lenient, 4 / 8.0);
    near(a->truncated, 1 / 8.0);
    near(a->unknown, 1 / 8.0);
    near(a->closed, 7 / 8.0);
    /* shares of the problems 1, 1/2, 0, 0: their standard deviation over √4 */
    near(a->acc_se, sqrt((25 + 1 + 9 + 9) / 64.0 / 3) / 2);
    assert_int_equal(a->n_problem, 4);
    near(b->acc, 1 / 6.0);
    near(b->strict, 0);
    near(b->lost, (1 + 0 + 0) / 3.0); /* on the three problems that both have */
    near(b->lost_se, sqrt((4 + 1 + 1) / 9.0 / 2) / sqrt(3));
    assert_int_equal(b->n_common, 3);
    near(b->problems_lost, 1);
    near(b->problems_gained, 0);
    near(a->tokens_right, (10 + 10 + 11) / 3.0);
    near(a->tokens_wrong, (11 + 12 + 12 + 13 + 13) / 5.0);
    near(a->q[0][2], 11.5);
    near(a->level[0], 0.5);
    assert_true(isnan(a->level[3]));
    assert_true(isnan(a->lost)); /* the baseline itself */
    near(p.cols[0].average, 3 / 8.0);
    lb_pages_free(&p);
    load(&p, at("h.sqlite"), NULL, NULL); /* the other task has no verdict */
    assert_true(isnan(p.cols[0].average));
    assert_int_equal(p.tasks[0].cells[0].n_ungraded, 1);
    assert_true(isnan(p.tasks[0].cells[0].acc));
    lb_pages_free(&p);
}

/* MR-Ben's solutions of one question are one problem for errors: q1 has shares 1 and 0, q2 has 0, and so has what is
 * called nothing, twice. Of another benchmark they are five. */
static void solutions_of_a_question_are_clustered(void **state)
{
    (void)state;
    static const char *const ids[] = {"q1/model-a", "q2/model-a", "q1/vendor/b", "", ""};
    lb_pages p;
    lb_db *db = open_db(at("q.sqlite"));
    put_model(db, A, "m");
    for (int t = 0; t < 2; t++)
        for (int i = 0; i < 5; i++) {
            put_called(db, t ? "x" : "mr_ben", i, 0, ids[i], "p", "correct");
            put(db, S(A, t ? "x" : "mr_ben", T1, i, 1, i, i == 0, 0, 1, .text = "a"));
        }
    lb_db_close(db);
    load(&p, at("q.sqlite"), NULL, "mr_ben,x");
    near(p.tasks[0].cells[0].acc, 1 / 5.0);
    near(p.tasks[0].cells[0].acc_se, sqrt(4 / 3.0 * (9 + 1 + 1 + 1) / 25) / 5); /* sums over clusters of y − 1/5 */
    near(p.tasks[1].cells[0].acc_se, sqrt(5 / 4.0 * (16 + 4) / 25) / 5);
    assert_int_equal(p.tasks[0].cells[0].n_problem, 5);
    lb_pages_free(&p);
}

/* ---- which samples are shown ---- */

static void columns_are_models_and_their_sampling(void **state)
{
    (void)state;
    lb_pages p;
    lb_db *db = open_db(at("c.sqlite"));
    put_model(db, A, "models/one/base");
    put_model(db, B, "models/two/base");
    put_item(db, "x", 0, 0, "p", "7");
    put_item(db, "y", 0, 0, "p", "7");
    put(db, S(A, "x", T1, 0, 1, 0, 1, 1, 1));
    put(db, S(A, "y", T2, 0, 1, 0, 1, 1, 1)); /* another max…: of the task */
    put(db, S(A, "x", KV4, 0, 1, 0, 0, 0, 0));
    put(db, S(B, "x", T1, 0, 1, 0, 0, 0, 0));
    put(db, S(C, "x", T1, 0, 1, 0, 0, 0, 0)); /* not described */
    load(&p, at("c.sqlite"), NULL, NULL);
    assert_int_equal(p.n_col, 4);
    assert_int_equal(p.n_task, 2);
    static const char *const labels[] = {"models/one/base kv=bf16", "models/one/base kv=kv4", "models/two/base", "cccc0000"};
    for (int c = 0; c < 4; c++) assert_string_equal(p.cols[c].label, labels[c]);
    assert_string_equal(p.tasks[1].cells[0].sampling, T2);
    assert_null(p.tasks[1].cells[1].sampling);
    lb_pages_free(&p);
    load(&p, at("c.sqlite"), "cccc,models/one/base", "y,x");
    assert_int_equal(p.n_col, 3);
    assert_string_equal(p.cols[0].label, "cccc0000");
    assert_int_equal(p.cols[1].base, 0);
    assert_string_equal(p.tasks[0].name, "y");
    lb_pages_free(&p);
    load(&p, at("c.sqlite"), "base", "y"); /* two models have the last part; what did no such task is no column */
    assert_int_equal(p.n_col, 1);
    lb_pages_free(&p);
    put(db, S(A, "x", T2, 0, 1, 0, 0, 0, 0)); /* now one task was done with two max…: columns of their own */
    load(&p, at("c.sqlite"), "models/one/base", NULL);
    assert_int_equal(p.n_col, 3);
    assert_string_equal(p.cols[0].label, "base max32 kv=bf16");
    lb_pages_free(&p);
    lb_db_close(db);
    static const struct { const char *models, *tasks, *says;
    } wrong[] = {{"nobody", NULL, "has no model 'nobody'; it has models/one/base, models/two/base, "},
                 {NULL, "z", "has no task 'z'; it has x, y"},
                 {"", NULL, "--models names no model"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        lb_err e = {0};
        lb_pages_opt o = {.models = wrong[i].models, .tasks = wrong[i].tasks};
        assert_false(lb_pages_from_db(at("c.sqlite"), at("c"), &o, NULL, NULL, &e));
        assert_int_equal(e.code, LB_EUSAGE);
        if (!strstr(e.msg, wrong[i].says)) fail_msg("'%s', wanted '%s'", e.msg, wrong[i].says);
        assert_false(lb_file_exists(at("c")));
    }
}

static void a_problem_asked_anew_is_counted_once(void **state)
{
    (void)state;
    lb_pages p;
    lb_db *db = open_db(at("n.sqlite"));
    put_model(db, A, "a");
    put_item(db, "x", 0, 0, "p", "7");
    for (int seed = 1; seed <= 3; seed++) put(db, S(A, "x", T1, 0, seed, 5, 0, 0, 0));
    for (int seed = 1; seed <= 2; seed++) put(db, S(A, "x", T1, 0, seed, 6, 1, 1, 1)); /* later, or the same second */
    lb_db_close(db);
    load(&p, at("n.sqlite"), NULL, NULL);
    assert_int_equal(p.tasks[0].n_sample, 2);
    assert_int_equal(p.n_old_prompt, 3);
    near(p.tasks[0].cells[0].acc, 1);
    assert_true(isnan(p.tasks[0].cells[0].acc_se)); /* one problem */
    lb_pages_free(&p);
    write_pages(at("n.sqlite"), at("n"), (lb_pages_opt){0}, NULL);
    assert_true(has(at("n"), "index.html", "<b>3</b> samples answer an earlier prompt"));
    assert_true(has(at("n"), "index.html", "100.0 <span class=\"pm\">± ?</span>"));
    check_folder(at("n"));
}

/* ---- the folder ---- */

static void the_same_database_gives_the_same_bytes(void **state)
{
    (void)state;
    char cmd[600];
    write_pages(at("h.sqlite"), at("h2"), (lb_pages_opt){0}, NULL);
    snprintf(cmd, sizeof cmd, "cd %s && sed -i s/other.sqlite/h.sqlite/ h2/*.html && diff -r h h2", dir);
    assert_int_equal(system(cmd), 0);
    lb_db *db = open_db(at("other.sqlite")); /* written in another order */
    put(db, S(B, "chain", T1, 2, 2, 2, 0, 0, 0));
    fill(db);
    lb_db_close(db);
    write_pages(at("other.sqlite"), at("h2"), (lb_pages_opt){0}, NULL); /* in place of the first */
    assert_int_equal(system(cmd), 0);
}

static void a_folder_of_others_is_left_alone(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_pages_opt o = {.text_kb = 1};
    assert_ok(lb_mkdirs(at("mine"), &e), e);
    assert_ok(lb_write_file(at("mine/thesis.tex"), "x", 1, &e), e);
    assert_false(lb_pages_from_db(at("h.sqlite"), at("mine"), &o, NULL, NULL, &e));
    assert_non_null(strstr(e.msg, "thesis.tex"));
    assert_int_equal(e.code, LB_EUSAGE);
    assert_int_equal(unlink(at("mine/thesis.tex")), 0);
    assert_ok(lb_write_file(at("mine/index.html"), "<html>my own</html>", 19, &e), e);
    memset(&e, 0, sizeof e);
    assert_false(lb_pages_from_db(at("h.sqlite"), at("mine"), &o, NULL, NULL, &e));
    assert_true(has(at("mine"), "index.html", "my own"));
    memset(&e, 0, sizeof e);
    assert_false(lb_pages_from_db(at("none.sqlite"), at("nothing"), &o, NULL, NULL, &e));
    assert_false(lb_file_exists(at("none.sqlite")));
    assert_false(lb_file_exists(at("nothing")));
    lb_db_close(open_db(at("empty.sqlite")));
    memset(&e, 0, sizeof e);
    assert_false(lb_pages_from_db(at("empty.sqlite"), NULL, &o, NULL, NULL, &e));
    assert_non_null(strstr(e.msg, "empty.sqlite has no samples yet"));
    char cmd[200];
    snprintf(cmd, sizeof cmd, "ls -d %s/*-new* 2>/dev/null | grep .", dir);
    assert_int_not_equal(system(cmd), 0); /* nothing is left beside */
}

/* Problems share a page while it is small. */
static void blocks_grow_with_the_problems(void **state)
{
    (void)state;
    enum { N = 12 };
    static char text[150000];
    lb_pages_written n;
    lb_db *db = open_db(at("b.sqlite"));
    memset(text, 'z', sizeof text - 1);
    put_model(db, A, "a");
    for (int i = 0; i < N; i++) {
        lb_err e = {0};
        put_item(db, "x", i, 1, "p", "7");
        lb_sample_key k = {.model = A, .task = "x", .sampling = T1, .version = 1, .item = {1, 100 - (uint64_t)i}};
        lb_sample_row r = {.text = text, .n_tokens = 37500, .think_closed = true, .verdict = 1, .strict = 1, .lenient = 1};
        assert_ok(lb_db_put(db, &k, &r, &e), e);
    }
    lb_db_close(db);
    write_pages(at("b.sqlite"), at("b"), (lb_pages_opt){.text_kb = 1}, &n);
    assert_int_equal(n.n_page, 2 + 1 + 1);
    write_pages(at("b.sqlite"), at("b"), (lb_pages_opt){.text_kb = 100}, &n);
    assert_int_equal(n.n_page, 2 + 1 + 6);
    write_pages(at("b.sqlite"), at("b"), (lb_pages_opt){.text_kb = 1024}, &n);
    assert_int_equal(n.n_page, 2 + 1 + 6);
    assert_false(lb_file_exists(at("b/text"))); /* nothing is cut, and what was is gone */
    assert_true(has(at("b"), "x.p2.html", "x, problems 2 to 3"));
    assert_int_equal(check_folder(at("b")), n.n_page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_texts_stay_texts),
        cmocka_unit_test(the_matrix_says_who_solved_what),
        cmocka_unit_test(numbers_are_those_of_the_samples),
        cmocka_unit_test(solutions_of_a_question_are_clustered),
        cmocka_unit_test(columns_are_models_and_their_sampling),
        cmocka_unit_test(a_problem_asked_anew_is_counted_once),
        cmocka_unit_test(the_same_database_gives_the_same_bytes),
        cmocka_unit_test(a_folder_of_others_is_left_alone),
        cmocka_unit_test(blocks_grow_with_the_problems),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
