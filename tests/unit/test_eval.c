/* test_eval.c – an evaluation with a subject that answers at once: what is stored, shared, regraded, counted, compared. */
#include "test.h"
#include "base/file.h"
#include "base/rng.h"
#include "eval/db_parts.h"
#include "eval/eval.h"
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N = 12, N_SEED = 2, PER = 4, ALL = N * PER }; /* problems, seeds; samples of each problem and in all */
static char dir[64];
static lb_exec *ex;
static const lb_bench **tasks;

/* ---- the subject: right, wrong, truncated or without an answer, by (problem, seed, sample) alone ---- */

typedef struct fake {
    int n_asked, n_done;
    int stop_after;                  /* sets *stop after so many */
    int die_after;                   /* kill -9 */
    int fail_every;                  /* each so many-th is lost */
    int wait_us;
    int hold;                        /* claims so many, tells `tell`, and waits to be killed */
    int tell;
    volatile sig_atomic_t stop;
} fake;

static bool prepare(void *self, const char *user, const json_t *kwargs, lb_prepared *out, lb_err *err)
{
    (void)self, (void)kwargs, (void)err;
    out->own = strdup(user);
    out->hash = lb_hash_of(user, strlen(user));
    return out->own != NULL;
}

static void forget(void *self, lb_prepared *p)
{
    (void)self;
    free(p->own);
    p->own = NULL;
}

static unsigned draw(const lb_ask *a) { return (unsigned)lb_mix64(a->item->hash.lo + 31 * (uint64_t)a->seed + (uint64_t)a->sample) % 8; }

static void answer(const lb_ask *a, char *text, size_t n, bool *truncated)
{
    unsigned d = draw(a);
    *truncated = d == 1;
    if (d == 0) snprintf(text, n, "<think>no end");
    else if (d < 3) snprintf(text, n, "<think>hm</think> The answer is $\\boxed{%s%s}$.", a->item->gold, d == 2 ? "1" : "");
    else if (d == 3) snprintf(text, n, "<think>hm</think> The answer is $%s$.", a->item->gold);
    else snprintf(text, n, "<think>hm</think> The answer is $\\boxed{%s}$.", a->item->gold);
}

static bool generate(void *self, lb_ask *const *asks, size_t n, const lb_asking *how, lb_err *err)
{
    fake *f = self;
    for (size_t i = 0; i < n; i++) {
        char text[512];
        bool truncated;
        if (how->stop && *how->stop) return lb_fail(err, LB_ESTOPPED, "stopped");
        if (!how->wanted(asks[i])) {
            if (*how->failed) return false;
            continue;
        }
        f->n_asked++;
        if (f->hold && f->n_asked == f->hold) {
            if (write(f->tell, "x", 1) == 1) pause();
            _exit(9);
        }
        if (f->hold) continue;
        if (f->wait_us) nanosleep(&(struct timespec){.tv_nsec = f->wait_us * 1000L}, NULL);
        if (f->die_after && f->n_asked == f->die_after) kill(getpid(), SIGKILL);
        if (f->fail_every && f->n_asked % f->fail_every == 0) {
            how->failed_one(asks[i], "the line went dead");
            continue;
        }
        answer(asks[i], text, sizeof text, &truncated);
        how->done(asks[i], text, (int)strlen(text), truncated);
        if (*how->failed) return false;
        if (++f->n_done == f->stop_after) f->stop = 1;
    }
    return true;
}

static lb_subject subject(fake *f, const char *name)
{
    char hash[33];
    static char hashes[4][33];
    static int next;
    lb_hash_hex(lb_hash_of(name, strlen(name)), hash);
    char *mine = hashes[next++ % 4];
    memcpy(mine, hash, sizeof hash);
    return (lb_subject){.hash = mine, .name = name, .kind = "server", .kv = "server", .ex = ex, .self = f, .prepare = prepare,
                        .forget = forget, .generate = generate};
}

/* ---- helpers ---- */

static lb_eval_opt options(void)
{
    return (lb_eval_opt){.tasks = tasks, .n_task = 2, .data_dir = "data", .limit = N, .seeds = {42, 43}, .n_seed = N_SEED,
                         .n_sample = PER / N_SEED, .sampling = {.temperature = 0.6f, .top_p = 0.95f}};
}

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

static bool run(const char *db_name, const char *model, fake *f, const lb_eval_opt *o, lb_eval_result *r, lb_err *err)
{
    lb_eval_opt with = *o;
    lb_subject s = subject(f, model);
    lb_db *db = open_db(db_name);
    with.stop = &f->stop;
    bool ok = lb_eval_run_subject(&s, &with, db, NULL, r, err);
    lb_db_close(db);
    return ok;
}

/* Runs to the end; *r is to be freed. */
static void must_run(const char *db_name, const char *model, fake *f, const lb_eval_opt *o, lb_eval_result *r)
{
    lb_err e = {0};
    if (!run(db_name, model, f, o, r, &e)) fail_msg("%s", e.msg);
}

static bool add_line(void *arg, const lb_sample_key *k, const lb_sample_row *row, lb_err *err)
{
    lb_buf *b = arg;
    (void)err;
    lb_buf_fmt(b, "%s %s %d %016llx %016llx %s %lld %lld: %d %d %d | %d %d %d %d %d | %s | %s | %s\n", k->model, k->task, k->version,
               (unsigned long long)k->item.lo, (unsigned long long)k->prompt.lo, k->sampling, (long long)k->seed,
               (long long)k->sample, row->n_tokens, row->truncated, row->think_closed, row->verdict, row->strict, row->lenient,
               row->grader, row->weak_sandbox, row->extracted, row->why, row->text);
    return true;
}

/* Everything in the database but the times. */
static char *contents(const char *db_name)
{
    lb_err e = {0};
    lb_buf b = {0};
    lb_db *db = open_db(db_name);
    assert_ok(lb_db_each(db, &(lb_db_query){.want_text = true}, add_line, &b, &e), e);
    lb_db_close(db);
    return lb_buf_take(&b, "the contents", NULL);
}

static void same_contents(const char *a, const char *b)
{
    char *x = contents(a), *y = contents(b);
    if (strcmp(x, y) != 0) fail_msg("%s:\n%.600s\n%s:\n%.600s", a, x, b, y);
    free(x);
    free(y);
}

static void sql(const char *db_name, const char *text)
{
    lb_db *db = open_db(db_name);
    lb_err e = {0};
    assert_ok(lb_db_exec(db, text, &e), e);
    lb_db_close(db);
}

/* The undisturbed run, once: whole.sqlite. */
static int set_up(void **state)
{
    (void)state;
    lb_err e = {0};
    int n;
    snprintf(dir, sizeof dir, "/dev/shm/lowbit-eval-XXXXXX"); /* where a sync takes no time */
    if (!mkdtemp(dir)) {
        snprintf(dir, sizeof dir, "/tmp/lowbit-eval-XXXXXX");
        if (!mkdtemp(dir)) return -1;
    }
    ex = lb_exec_open(&(lb_exec_opt){.n_thread = 2}, &e);
    if (!ex || !lb_benches_of("algebra,chain", &tasks, &n, &e)) return -1;
    fake f = {0};
    lb_eval_opt o = options();
    lb_eval_result r;
    must_run("whole.sqlite", "m", &f, &o, &r);
    lb_eval_result_free(&r);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    lb_exec_close(ex);
    free(tasks);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

/* ---- one run ---- */

static void what_is_counted(void **state)
{
    (void)state;
    fake f = {0};
    lb_eval_opt o = options();
    lb_eval_result r;
    o.pass_k[o.n_pass_k++] = 1, o.pass_k[o.n_pass_k++] = 4, o.maj_k[o.n_maj_k++] = 1, o.maj_k[o.n_maj_k++] = 4;
    must_run("whole.sqlite", "m", &f, &o, &r);
    assert_int_equal(f.n_asked, 0); /* it is all there */
    assert_true(r.n_generated == 0 && r.n_reused == 2 * ALL && r.n_regraded == 0 && r.n_task == 2);
    for (int k = 0; k < 2; k++) {
        const lb_task_result *t = &r.tasks[k];
        lb_items items;
        lb_err e = {0};
        assert_ok(lb_items_load(tasks[k], "data", &(lb_items_opt){.limit = N}, &items, &e), e);
        double right = 0, strict = 0, lenient = 0, cut = 0, open = 0, pass4 = 0;
        for (int i = 0; i < N; i++) {
            int of_item = 0;
            for (int j = 0; j < PER; j++) {
                lb_ask a = {.item = &items.p[i], .seed = 42 + j / 2, .sample = j % 2};
                unsigned d = draw(&a);
                const lb_sample_stat *s = &t->stats[i * PER + j];
                assert_int_equal(s->truncated, d == 1); /* its box is right, and counts only in the lenient reading */
                assert_int_equal(t->outcomes[i * PER + j].correct, d >= 3);
                assert_int_equal(s->lenient == LB_RIGHT, d >= 3 || d == 1);
                of_item += d >= 3, right += d >= 3, strict += d >= 4, lenient += d >= 3 || d == 1, cut += d == 1, open += d == 0;
            }
            pass4 += of_item > 0;
        }
        assert_true(cut > 0 && open > 0 && strict < right && right < lenient);
        assert_true(fabs(t->accuracy - right / ALL) < 1e-12 && fabs(t->strict - strict / ALL) < 1e-12);
        assert_true(fabs(t->lenient - lenient / ALL) < 1e-12 && fabs(t->truncated - cut / ALL) < 1e-12);
        assert_true(fabs(t->think_closed - (ALL - open) / ALL) < 1e-12);
        assert_int_equal(t->n_k, 4);
        assert_string_equal(t->k[0].name, "pass@1");
        assert_true(fabs(t->k[0].value - t->accuracy) < 1e-12 && fabs(t->k[0].stderr_value - t->accuracy_stderr) < 1e-12);
        assert_true(fabs(t->k[1].value - pass4 / N) < 1e-12);
        assert_string_equal(t->k[2].name, "maj@1");
        assert_true(fabs(t->k[2].value - t->accuracy) < 1e-12); /* one vote is the answer itself */
        assert_true(t->k[3].value > t->accuracy);
        lb_items_free(&items);
    }
    assert_true(strstr(r.sampling, "kv=server") && strlen(r.model) == 32);
    json_t *j = lb_eval_json(&r);
    const json_t *algebra = json_object_get(json_object_get(j, "results"), "algebra");
    static const char *const keys[] = {"accuracy", "accuracy_stderr", "strict", "lenient_stderr", "pass@4", "pass@4_stderr", "maj@4",
                                       "unknown", "truncated", "n", "n_samples", "tokens_mean", "sampling"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!json_object_get(algebra, keys[i])) fail_msg("no %s", keys[i]);
    assert_true(json_integer_value(json_object_get(j, "schema")) == LB_EVAL_SCHEMA);
    assert_non_null(json_object_get(json_object_get(json_object_get(j, "provenance"), "data_hash"), "chain"));
    json_decref(j);
    lb_eval_result_free(&r);
    lb_err e = {0};
    o.pass_k[0] = PER + 1;
    assert_false(run("whole.sqlite", "m", &f, &o, &r, &e));
    assert_true(e.code == LB_EUSAGE && strstr(e.msg, "pass@5"));
}

/* The share of samples that are right and say something, with an error. */
static bool own_number(const lb_bench *b, const lb_scored *s, size_t n, json_t *out, lb_err *err)
{
    double sum = 0;
    if (strcmp(b->name, "chain") != 0 || n != ALL) return lb_fail(err, LB_EFAIL, "%zu samples of %s", n, b->name);
    for (size_t i = 0; i < n; i++) {
        assert_true(s[i].item->bench == b && s[i].item->number == (int)i / PER + 1);
        sum += s[i].right && *s[i].extracted;
    }
    json_object_set_new(out, "own", json_real(sum / (double)n));
    json_object_set_new(out, "own_stderr", json_real(0.25));
    return true;
}

static void a_benchmark_adds_its_own_numbers(void **state)
{
    (void)state;
    fake f = {0};
    lb_bench mine = *tasks[1];
    const lb_bench *list[1] = {&mine};
    lb_eval_opt o = options();
    lb_eval_result r;
    lb_err e = {0};
    mine.metrics = own_number;
    o.tasks = list, o.n_task = 1;
    must_run("whole.sqlite", "m", &f, &o, &r);
    json_t *j = lb_eval_json(&r);
    const json_t *chain = json_object_get(json_object_get(j, "results"), "chain");
    assert_true(json_real_value(json_object_get(chain, "own")) == r.tasks[0].accuracy);
    assert_true(json_real_value(json_object_get(chain, "own_stderr")) == 0.25);
    json_decref(j);
    lb_eval_result_free(&r);
    o.limit = N - 1; /* the hook refuses that: so does the run */
    assert_false(run("whole.sqlite", "m", &f, &o, &r, &e));
    assert_non_null(strstr(e.msg, "44 samples of chain"));
}

/* Items that share a question: three by three, as if MR-Ben's. */
static bool by_three(const lb_bench *b, const lb_row *row, lb_item *out, bool *skip, lb_err *err)
{
    if (!tasks[1]->item(b, row, out, skip, err)) return false;
    out->cluster = (out->number - 1) / 3;
    return true;
}

static void items_that_share_a_question_are_one_problem(void **state)
{
    (void)state;
    fake f = {0};
    lb_bench mine = *tasks[1];
    const lb_bench *list[1] = {&mine};
    lb_eval_opt o = options();
    lb_eval_result r, plain;
    lb_err e = {0};
    o.n_task = 1, o.tasks = tasks + 1;
    must_run("whole.sqlite", "m", &f, &o, &plain);
    mine.item = by_three, o.tasks = list;
    o.pass_k[o.n_pass_k++] = 1;
    must_run("whole.sqlite", "m", &f, &o, &r);
    const lb_task_result *t = &r.tasks[0];
    double mean[N / 3] = {0}, sq = 0;
    for (int i = 0; i < ALL; i++) mean[i / PER / 3] += t->outcomes[i].correct / (3.0 * PER);
    for (int i = 0; i < N / 3; i++) sq += (mean[i] - t->accuracy) * (mean[i] - t->accuracy);
    double se = sqrt(sq / (N / 3 - 1) / (N / 3));
    assert_true(t->accuracy == plain.tasks[0].accuracy && fabs(t->accuracy_stderr - se) < 1e-12);
    assert_true(fabs(t->k[0].stderr_value - se) < 1e-12 && fabs(se - plain.tasks[0].accuracy_stderr) > 1e-4);
    lb_eval_drop d;
    assert_ok(lb_eval_drop_of(&r, &r, &d, &e), e);
    assert_int_equal(d.mean.n_problem, N / 3);
    lb_eval_drop_free(&d);
    assert_false(lb_eval_drop_of(&r, &plain, &d, &e)); /* another benchmark, as far as one can tell */
    lb_eval_result_free(&r);
    lb_eval_result_free(&plain);
}

static void equal_answers_vote_together(void **state)
{
    (void)state;
    /* Four answers to the first problem, 1/2: three ways to say so in different words, and one wrong one. */
    fake f = {0};
    lb_eval_opt o = options();
    lb_eval_result r;
    o.limit = 1, o.n_task = 1;
    must_run("votes.sqlite", "m", &f, &o, &r);
    lb_eval_result_free(&r);
    sql("votes.sqlite", "UPDATE samples SET finish='stop', think_closed=1, verdict=0, extracted='3' WHERE seed=42;"
                        "UPDATE samples SET finish='stop', verdict=1, extracted=CASE sample WHEN 0 THEN '0.5' ELSE '\\frac{1}{2}' END WHERE seed=43;"
                        "UPDATE samples SET extracted='5' WHERE seed=42 AND sample=1");
    o.maj_k[o.n_maj_k++] = 4;
    must_run("votes.sqlite", "m", &f, &o, &r);
    assert_true(r.tasks[0].accuracy == 0.5 && r.tasks[0].k[0].value == 1); /* two of four, but they agree */
    lb_eval_result_free(&r);
    sql("votes.sqlite", "UPDATE samples SET extracted='3' WHERE seed=42");
    must_run("votes.sqlite", "m", &f, &o, &r);
    assert_true(r.tasks[0].k[0].value == 0.5); /* two against two */
    lb_eval_result_free(&r);
    sql("votes.sqlite", "UPDATE samples SET finish='length' WHERE seed=42 AND sample=0");
    must_run("votes.sqlite", "m", &f, &o, &r);
    assert_true(r.tasks[0].k[0].value == 1); /* what was cut off has no vote */
    lb_eval_result_free(&r);
}

static void an_older_grader_is_read_again(void **state)
{
    (void)state;
    fake f = {0};
    lb_eval_opt o = options();
    lb_eval_result r;
    must_run("again.sqlite", "m", &f, &o, &r);
    lb_eval_result_free(&r);
    /* As if graded by another version, wrongly; unfinished thinking among it; one was never graded. */
    sql("again.sqlite", "UPDATE samples SET grader=0, verdict=2, strict=NULL, lenient=NULL, extracted='?', why='?' WHERE task='chain'");
    sql("again.sqlite", "UPDATE samples SET grader=0, verdict=NULL WHERE task='chain' AND seed=42 AND sample=0");
    f.n_asked = 0;
    must_run("again.sqlite", "m", &f, &o, &r);
    assert_true(f.n_asked == 0 && r.n_generated == 0 && r.n_regraded == ALL - N);
    lb_eval_result_free(&r);
    same_contents("whole.sqlite", "again.sqlite");
}

static void lost_samples_are_asked_for_again(void **state)
{
    (void)state;
    fake f = {.fail_every = 5};
    lb_eval_opt o = options();
    lb_eval_result r;
    lb_err e = {0};
    assert_false(run("lost.sqlite", "m", &f, &o, &r, &e));
    assert_int_equal(e.code, LB_EIO);
    if (!strstr(e.msg, "19 of 96 samples failed") || !strstr(e.msg, "line went dead")) fail_msg("%s", e.msg);
    assert_int_equal(f.n_asked, 2 * ALL); /* none was given up because of the others */
    f = (fake){0};
    must_run("lost.sqlite", "m", &f, &o, &r);
    assert_int_equal(f.n_asked, 19);
    lb_eval_result_free(&r);
    same_contents("whole.sqlite", "lost.sqlite");
}

static void a_stop_keeps_what_is_finished(void **state)
{
    (void)state;
    fake f = {.stop_after = 30};
    lb_eval_opt o = options();
    lb_eval_result r;
    lb_err e = {0};
    assert_false(run("stop.sqlite", "m", &f, &o, &r, &e));
    assert_int_equal(e.code, LB_ESTOPPED);
    f = (fake){0};
    must_run("stop.sqlite", "m", &f, &o, &r);
    assert_true(f.n_asked == 2 * ALL - 30 && r.n_reused == 30);
    lb_eval_result_free(&r);
    same_contents("whole.sqlite", "stop.sqlite");
}

static void a_full_disk_ends_it_cleanly(void **state)
{
    (void)state;
    fake f = {0};
    lb_eval_opt o = options();
    lb_eval_result r;
    lb_err e = {0};
    lb_subject s = subject(&f, "m");
    lb_db *db = open_db("full.sqlite");
    assert_int_equal(sqlite3_exec(db->db, "PRAGMA max_page_count=10", NULL, NULL, NULL), SQLITE_OK);
    assert_false(lb_eval_run_subject(&s, &o, db, NULL, &r, &e));
    assert_true(e.code == LB_EIO && strstr(e.msg, "the disk is full"));
    lb_db_close(db);
    int stored = f.n_done;
    assert_true(stored > 0 && stored < 2 * ALL && f.n_asked == stored + 1); /* it stopped at once */
    f = (fake){0};
    must_run("full.sqlite", "m", &f, &o, &r);
    assert_int_equal(f.n_asked, 2 * ALL - stored);
    lb_eval_result_free(&r);
    same_contents("whole.sqlite", "full.sqlite");
}

/* ---- several processes ---- */

static pid_t start(const char *db_name, fake f, int tell)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) return pid;
    lb_err e = {0};
    lb_eval_opt o = options();
    lb_eval_result r;
    f.tell = tell;
    ex = lb_exec_open(&(lb_exec_opt){.n_thread = 1}, &e); /* the threads of the parent did not come along */
    lb_subject s = subject(&f, "m");
    lb_db *db = ex ? lb_db_open(in_dir(db_name), &e) : NULL;
    o.stop = &f.stop;
    bool ok = db && lb_eval_run_subject(&s, &o, db, NULL, &r, &e);
    if (!ok) fprintf(stderr, "process %d: %s\n", (int)getpid(), e.msg);
    if (tell >= 0 && write(tell, &f.n_asked, sizeof f.n_asked) != sizeof f.n_asked) ok = false;
    _exit(ok ? 0 : 1);
}

static void two_processes_share_the_work(void **state)
{
    (void)state;
    int said[2], n[3], status, sum = 0;
    pid_t pid[3];
    assert_int_equal(pipe(said), 0);
    for (int i = 0; i < 3; i++) pid[i] = start("shared.sqlite", (fake){.wait_us = 2000}, said[1]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        if (!WIFEXITED(status) || WEXITSTATUS(status)) fail_msg("process %d ended with %x", i, (unsigned)status);
        assert_int_equal(read(said[0], &n[i], sizeof n[i]), sizeof n[i]);
        sum += n[i];
    }
    assert_int_equal(sum, 2 * ALL); /* no sample was made twice */
    for (int i = 0; i < 3; i++)
        if (n[i] < 5) fail_msg("process %d made %d of %d samples", i, n[i], sum);
    same_contents("whole.sqlite", "shared.sqlite");
    close(said[0]), close(said[1]);
}

static void the_work_of_a_dead_process_is_taken_over(void **state)
{
    (void)state;
    int told[2], status;
    char c;
    assert_int_equal(pipe(told), 0);
    pid_t holder = start("dead.sqlite", (fake){.hold = 7}, told[1]);
    assert_int_equal(read(told[0], &c, 1), 1); /* it has claimed seven, and makes none */
    pid_t worker = start("dead.sqlite", (fake){0}, -1);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    assert_int_equal(waitpid(worker, &status, WNOHANG), 0); /* all else is done, and it waits */
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    assert_int_equal(waitpid(worker, &status, 0), worker);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    same_contents("whole.sqlite", "dead.sqlite");
    close(told[0]), close(told[1]);
}

static void killed_again_and_again(void **state)
{
    (void)state;
    int died = 0, status;
    for (int i = 0; i < 40; i++) { /* a few samples further each time */
        pid_t pid = start("killed.sqlite", (fake){.die_after = 1 + i % 5}, -1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        died += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    }
    assert_true(died >= 38);
    fake f = {0};
    lb_eval_opt o = options();
    lb_eval_result r;
    must_run("killed.sqlite", "m", &f, &o, &r);
    lb_eval_result_free(&r);
    same_contents("whole.sqlite", "killed.sqlite");
}

/* ---- a baseline ---- */

static void a_baseline_from_the_database(void **state)
{
    (void)state;
    fake f = {0};
    lb_eval_opt o = options();
    lb_eval_result r, b, direct;
    lb_err e = {0};
    bool missing;
    must_run("base.sqlite", "models/base/", &f, &o, &direct);
    must_run("base.sqlite", "models/other", &f, &o, &r);
    lb_db *db = open_db("base.sqlite");
    char hash[33];
    const char *const names[] = {"models/base", "models/base/", "base", direct.model};
    char first[9] = "";
    memcpy(first, direct.model, 8);
    for (int i = 0; i < 5; i++) {
        assert_ok(lb_eval_find_model(db, i < 4 ? names[i] : first, hash, &e), e);
        assert_string_equal(hash, direct.model);
    }
    assert_false(lb_eval_find_model(db, "bas", hash, &e));
    assert_true(e.code == LB_EUSAGE && strstr(e.msg, "models/other"));
    assert_ok(lb_eval_from_db(direct.model, &r, &o, db, ex, &b, &missing, &e), e);
    assert_false(missing);
    assert_true(b.tasks[0].accuracy == direct.tasks[0].accuracy && b.average_stderr == direct.average_stderr);
    lb_eval_drop d;
    assert_ok(lb_eval_drop_of(&r, &b, &d, &e), e);
    assert_true(d.mean.diff == 0 && d.mean.p == 1); /* the fake answers alike whatever it is called */
    lb_eval_drop_free(&d);
    lb_eval_result_free(&b);
    lb_db_close(db);
    /* Verdicts of an older grader are not compared: the texts are read again. */
    sql("base.sqlite", "UPDATE samples SET verdict=0, grader=1 WHERE task='chain'");
    /* Sampled with another KV cache: still the same model; in two such ways: which one? */
    sql("base.sqlite", "UPDATE samples SET sampling=replace(sampling, 'kv=server', 'kv=kv8') WHERE task='algebra'");
    db = open_db("base.sqlite");
    assert_ok(lb_eval_from_db(direct.model, &r, &o, db, ex, &b, &missing, &e), e);
    assert_true(b.tasks[0].accuracy == direct.tasks[0].accuracy && b.tasks[1].accuracy == direct.tasks[1].accuracy);
    assert_non_null(strstr(b.tasks[0].sampling, "kv=kv8"));
    lb_eval_result_free(&b);
    lb_db_close(db);
    sql("base.sqlite", "INSERT INTO samples SELECT model, task, version, item, prompt, replace(sampling, 'kv8', 'kv4'), seed, sample,"
                       " n_tokens, finish, think_closed, verdict, strict, lenient, grader, weak_sandbox, t_unix, extracted, why, text"
                       " FROM samples WHERE task='algebra'");
    db = open_db("base.sqlite");
    e = (lb_err){0};
    assert_false(lb_eval_from_db(direct.model, &r, &o, db, ex, &b, &missing, &e));
    assert_true(e.code == LB_EUSAGE && !missing && strstr(e.msg, "2 ways"));
    lb_db_close(db);
    sql("base.sqlite", "DELETE FROM samples WHERE sampling LIKE '%kv4' OR (task='chain' AND seed=43 AND sample=1)");
    db = open_db("base.sqlite");
    assert_false(lb_eval_from_db(direct.model, &r, &o, db, ex, &b, &missing, &e));
    if (e.code != LB_EUSAGE || !missing || !strstr(e.msg, "36 of the 48 samples of chain")) fail_msg("%s", e.msg);
    assert_false(lb_eval_from_db("0123", &r, &o, db, ex, &b, &missing, &e));
    assert_true(missing && strstr(e.msg, "no samples of algebra"));
    lb_db_close(db);
    lb_eval_result_free(&direct);
    lb_eval_result_free(&r);
}

static void samples_as_json_lines(void **state)
{
    (void)state;
    fake f = {0};
    lb_eval_opt o = options();
    lb_eval_result r;
    lb_err e = {0};
    must_run("lines.sqlite", "m", &f, &o, &r);
    sql("lines.sqlite", "UPDATE samples SET text=CAST(x'ff41' AS TEXT) WHERE task='chain' AND seed=42 AND sample=0"); /* no UTF-8 */
    lb_db *db = open_db("lines.sqlite");
    assert_ok(lb_eval_write_samples(&r, &o, db, in_dir("lines.jsonl"), &e), e);
    lb_db_close(db);
    char *text = lb_file_read(in_dir("lines.jsonl"), 1 << 20, NULL, &e);
    int n = 0, odd = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), n++) {
        json_t *j = lb_json_parse(line, strlen(line), "a line", &e);
        if (!j) fail_msg("%s", e.msg);
        static const char *const keys[] = {"task", "version", "id", "seed", "sample", "model", "prompt_hash", "text", "extracted", "gold",
                                           "verdict", "reason", "finish_reason", "tokens", "think_closed", "strict", "lenient"};
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            if (!json_object_get(j, keys[i])) fail_msg("no %s", keys[i]);
        odd += strcmp(json_string_value(json_object_get(j, "text")), "\xef\xbf\xbd" "A") == 0;
        if (n < ALL) assert_string_equal(json_string_value(json_object_get(j, "task")), "algebra");
        assert_int_equal(json_integer_value(json_object_get(j, "number")), n % ALL / PER + 1);
        json_decref(j);
    }
    assert_true(n == 2 * ALL && odd == N);
    free(text);
    lb_eval_result_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_counted),
        cmocka_unit_test(a_benchmark_adds_its_own_numbers),
        cmocka_unit_test(items_that_share_a_question_are_one_problem),
        cmocka_unit_test(equal_answers_vote_together),
        cmocka_unit_test(an_older_grader_is_read_again),
        cmocka_unit_test(lost_samples_are_asked_for_again),
        cmocka_unit_test(a_stop_keeps_what_is_finished),
        cmocka_unit_test(a_full_disk_ends_it_cleanly),
        cmocka_unit_test(two_processes_share_the_work),
        cmocka_unit_test(the_work_of_a_dead_process_is_taken_over),
        cmocka_unit_test(killed_again_and_again),
        cmocka_unit_test(a_baseline_from_the_database),
        cmocka_unit_test(samples_as_json_lines),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
