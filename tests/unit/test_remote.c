/* test_remote.c – a server that fails in every way it can, run by python3 (tests/cli/fake_openai.py): what is tried again, what
 * fails a request, what ends a run, and that nothing but whole replies comes out. A prompt "do:500,stall,ok=4" tells the server
 * what to do at each of its tries. */
#include "test.h"
#include "base/cpu.h"
#include "eval/remote.h"
#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX = 64 };

typedef struct fake {
    pid_t pid;
    char url[64];
} fake;

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    snprintf(dir, sizeof dir, "/tmp/lowbit-remote-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void nap(int ms) { nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL); }

/* Starts the server with flags (a shell's words). */
static fake start(const char *flags)
{
    fake f = {0};
    char path[128], command[1024], port[16] = "";
    snprintf(path, sizeof path, "%s/port", dir);
    unlink(path);
    snprintf(command, sizeof command, "exec python3 tests/cli/fake_openai.py --port-file %s %s", path, flags);
    f.pid = fork();
    if (f.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    FILE *in = NULL;
    for (int i = 0; i < 3000 && !(in = fopen(path, "r")); i++) nap(10);
    if (!in || !fgets(port, sizeof port, in)) fail_msg("the fake server did not start: %s", command);
    fclose(in);
    snprintf(f.url, sizeof f.url, "http://127.0.0.1:%s", port);
    return f;
}

static void stop(fake *f)
{
    kill(f->pid, SIGKILL);
    waitpid(f->pid, NULL, 0);
}

static lb_remote_opt quick(const char *url)
{
    return (lb_remote_opt){.url = url, .n_parallel = 4, .connect_s = 10, .timeout_s = 2, .backoff_s = 0.01, .backoff_max_s = 0.05};
}

static lb_remote *open_ok(const lb_remote_opt *o)
{
    lb_err e = {0};
    lb_remote *r = lb_remote_open(o, &e);
    if (!r) fail_msg("%s", e.msg);
    return r;
}

static void open_bad(const lb_remote_opt *o, lb_code code, const char *part)
{
    lb_err e = {0};
    lb_remote *r = lb_remote_open(o, &e);
    if (r || e.code != code || !strstr(e.msg, part)) fail_msg("'%s' (%d), wanted '%s' (%d)", e.msg, e.code, part, code);
    if (o->api_key && *o->api_key) assert_null(strstr(e.msg, o->api_key));
}

/* ---- running ---- */

typedef struct batch {
    lb_remote_request q[MAX], *list[MAX];
    char *text[MAX];             /* owned; NULL: not answered */
    int n, n_done, n_tokens[MAX];
    bool truncated[MAX], failed, twice;
    lb_remote_report report;
} batch;

static void on_done(lb_remote_request *q, lb_remote_reply *reply)
{
    batch *b = q->user_data;
    int i = (int)(q - b->q);
    b->twice |= b->text[i] != NULL;
    b->text[i] = reply->text;
    b->n_tokens[i] = reply->n_tokens;
    b->truncated[i] = reply->truncated;
    reply->text = NULL;
    b->n_done++;
}

static void add(batch *b, const char *prompt)
{
    b->q[b->n] = (lb_remote_request){.user = prompt, .sampling = {0.6f, 0, 0.95f, 0, 1}, .max_new = 64, .seed = 42, .user_data = b, .on_done = on_done};
    b->list[b->n] = &b->q[b->n];
    b->n++;
}

static bool run(lb_remote *r, batch *b, lb_err *err)
{
    bool ok = lb_remote_run(r, b->list, (size_t)b->n, &(lb_remote_run_opt){.failed = &b->failed}, &b->report, err);
    assert_false(b->twice);
    assert_int_equal(b->report.n_done, b->n_done);
    return ok;
}

static void batch_free(batch *b)
{
    for (int i = 0; i < b->n; i++) free(b->text[i]);
}

static void assert_text(const batch *b, int i, const char *want)
{
    if (!b->text[i] || !strstr(b->text[i], want)) fail_msg("'%s': '%s', wanted '%s'; %s", b->q[i].user, b->text[i] ? b->text[i] : "(no reply)", want, b->report.first);
}

/* ---- opening ---- */

static void test_url(void **state)
{
    (void)state;
    static const struct { const char *url, *part; } bad[] = {
        {"", "no URL"}, {"localhost:8000", "begins with http://"}, {"ftp://host", "begins with http://"}, {"http://", "wanted http://HOST"},
        {"http:///v1", "wanted http://HOST"}, {"http://me:secret@host/v1", "user or password"}, {"http://host/v1?key=1", "wanted http://HOST"},
        {"http://host/a b", "wanted http://HOST"}, {"http://ho\nst", "control character"}, {"http://host/#x", "wanted http://HOST"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_remote_opt o = quick(bad[i].url);
        open_bad(&o, LB_EUSAGE, bad[i].part);
        lb_err e = {0};
        lb_remote_open(&o, &e);
        assert_null(strstr(e.msg, "secret"));
    }
    lb_remote_opt o = quick("http://host");
    o.api_key = "sk-1\r\nX-Evil:";
    open_bad(&o, LB_EUSAGE, "no key has");
}

static void test_open(void **state)
{
    (void)state;
    static const char *const forms[] = {"", "/", "/v1", "/v1/", "/v1/chat/completions"};
    fake f = start("--key sk-secret");
    lb_remote_opt o = quick(f.url);
    o.api_key = "sk-secret";
    char hash[33] = "", url[128];
    for (int i = 0; i < 5; i++) { /* all mean the same */
        snprintf(url, sizeof url, "%s%s", f.url, forms[i]);
        o.url = url;
        lb_remote *r = open_ok(&o);
        assert_string_equal(lb_remote_name(r), "fake-1");
        if (!*hash) strcpy(hash, lb_remote_hash(r));
        assert_string_equal(lb_remote_hash(r), hash);
        json_t *about = lb_remote_about(r);
        char *text = json_dumps(about, JSON_SORT_KEYS | JSON_COMPACT), want[512];
        snprintf(want, sizeof want,
                 "{\"entry\":{\"id\":\"fake-1\",\"owned_by\":\"fake\",\"root\":\"/models/fake-1\"},\"model\":\"fake-1\",\"url\":\"%s/v1\","
                 "\"version\":{\"version\":\"0.1-fake\"}}", f.url);
        assert_string_equal(text, want);
        free(text);
        json_decref(about);
        lb_remote_close(r);
    }
    o.model = "other";
    open_bad(&o, LB_EIO, "has no model 'other'; it has 'fake-1'");
    o.model = NULL;
    o.api_key = "sk-wrong";
    open_bad(&o, LB_EIO, "wants a key that is right");
    o.api_key = NULL;
    open_bad(&o, LB_EIO, "wants a key that is right");
    snprintf(url, sizeof url, "%s/elsewhere", f.url);
    o.api_key = "sk-secret";
    open_bad(&o, LB_EIO, "is this an OpenAI-compatible server?");
    stop(&f);
    o.url = f.url;
    open_bad(&o, LB_EIO, "no server answers at");
    o.url = "http://no-such-host.invalid";
    open_bad(&o, LB_EIO, "no server answers at");
}

static void test_models(void **state)
{
    (void)state;
    fake f = start("--model a --model b");
    lb_remote_opt o = quick(f.url);
    open_bad(&o, LB_EUSAGE, "--model-name takes one of 'a', 'b'");
    o.model = "b";
    lb_remote *r = open_ok(&o);
    assert_string_equal(lb_remote_name(r), "b");
    lb_remote_close(r);
    stop(&f);
    f = start("--no-list");
    o.url = f.url, o.model = NULL;
    open_bad(&o, LB_EIO, "--model-name");
    o.model = "fake-1";
    lb_remote_close(open_ok(&o));
    o.model = "fake-2"; /* only the first request can tell */
    r = open_ok(&o);
    batch b = {0};
    lb_err e = {0};
    add(&b, "2 + 2?");
    assert_false(run(r, &b, &e));
    assert_int_equal(e.code, LB_EIO);
    assert_non_null(strstr(e.msg, "does not exist"));
    lb_remote_close(r);
    stop(&f);
}

/* A server that is something else: it talks, but not this. */
static void test_not_this(void **state)
{
    (void)state;
    static const char *const talks[] = {"220 ready\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
                                        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", ""};
    static const struct { lb_code code; const char *part; } want[] = {
        {LB_EIO, "broken"}, {LB_EFORMAT, "no OpenAI-compatible server"}, {LB_EFORMAT, "'data' is missing"}, {LB_EIO, "dropped"}, {LB_EIO, "dropped"}};
    for (int i = 0; i < 5; i++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t len = sizeof a;
        assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a) | listen(s, 8) | getsockname(s, (struct sockaddr *)&a, &len), 0);
        pid_t pid = fork();
        if (pid == 0) {
            for (;;) {
                int c = accept(s, NULL, NULL);
                char in[4096];
                if (c < 0 || read(c, in, sizeof in) < 0 || write(c, talks[i], strlen(talks[i])) < 0) _exit(1);
                close(c);
            }
        }
        close(s);
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(a.sin_port));
        lb_remote_opt o = quick(url);
        o.max_retries = 1;
        open_bad(&o, want[i].code, want[i].part);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

/* ---- faults ---- */

static void test_faults_pass(void **state)
{
    (void)state;
    static const struct { const char *fault; lb_remote_fault kind; } t[] = {
        {"500", LB_REMOTE_SERVER},       {"502-html", LB_REMOTE_SERVER}, {"504", LB_REMOTE_SERVER},   {"429", LB_REMOTE_BUSY},
        {"503", LB_REMOTE_BUSY},         {"drop", LB_REMOTE_DROPPED},    {"mid-drop", LB_REMOTE_DROPPED}, {"cut", LB_REMOTE_DROPPED},
        {"cut-event", LB_REMOTE_DROPPED}, {"empty", LB_REMOTE_DROPPED},  {"html", LB_REMOTE_BROKEN},  {"garbage", LB_REMOTE_BROKEN},
        {"utf8", LB_REMOTE_BROKEN},      {"types", LB_REMOTE_BROKEN},    {"empty-choices", LB_REMOTE_BROKEN}, {"null-content", LB_REMOTE_BROKEN},
        {"not-http", LB_REMOTE_BROKEN},  {"headers", LB_REMOTE_BROKEN},  {"mid-error", LB_REMOTE_SERVER}, {"stall", LB_REMOTE_STALLED},
        {"mid-stall", LB_REMOTE_STALLED}, {"comments", LB_REMOTE_STALLED},
    };
    enum { N = sizeof t / sizeof *t };
    static char prompt[N][64];
    size_t want[LB_REMOTE_N_FAULT] = {[LB_REMOTE_OK] = N};
    fake f = start("");
    lb_remote_opt o = quick(f.url);
    o.n_parallel = 8;
    lb_remote *r = open_ok(&o);
    batch b = {0};
    lb_err e = {0};
    for (int i = 0; i < N; i++) {
        snprintf(prompt[i], sizeof prompt[i], "do:%s,ok=answer %d", t[i].fault, i);
        add(&b, prompt[i]);
        want[t[i].kind]++;
    }
    assert_ok(run(r, &b, &e), e);
    for (int i = 0; i < N; i++) {
        char answer[32];
        snprintf(answer, sizeof answer, "</think>answer %d", i);
        assert_text(&b, i, answer);
    }
    for (int k = 0; k < LB_REMOTE_N_FAULT; k++) /* libcurl itself tries again if an old connection gives no byte: "drop" */
        if (b.report.tried[k] != want[k] && !(k == LB_REMOTE_DROPPED && b.report.tried[k] + 1 >= want[k])) fail_msg("%s: %zu times, wanted %zu", lb_remote_fault_name((lb_remote_fault)k), b.report.tried[k], want[k]);
    assert_int_equal(b.report.n_failed, 0);
    assert_int_equal(b.report.n_429, 1);
    assert_in_range(b.report.n_tries, 2 * N - 1, 2 * N);
    lb_remote_close(r);
    batch_free(&b);
    stop(&f);
}

static void test_faults_stay(void **state)
{
    (void)state;
    static const struct { const char *prompt; lb_remote_fault kind; int tries; const char *why; } t[] = {
        {"do:filter", LB_REMOTE_FILTERED, 1, "filter"},
        {"do:context", LB_REMOTE_CONTEXT, 1, "maximum context length is 4096"},
        {"do:bad-request", LB_REMOTE_REFUSED, 1, "HTTP 400: messages must alternate between [31m roles"},
        {"do:huge", LB_REMOTE_TOO_LARGE, 1, "longer than 300000 bytes"},
        {"do:500", LB_REMOTE_SERVER, 3, "HTTP 500: the server is having a bad day"},
        {"do:mid-drop", LB_REMOTE_DROPPED, 3, ""},
    };
    enum { N = sizeof t / sizeof *t };
    fake f = start("");
    lb_remote_opt o = quick(f.url);
    o.max_retries = 2, o.max_reply_bytes = 300000;
    lb_remote *r = open_ok(&o);
    for (int i = 0; i < N; i++) { /* between two that are answered */
        batch b = {0};
        lb_err e = {0};
        add(&b, "do:ok=first"), add(&b, t[i].prompt), add(&b, "do:ok=last");
        assert_ok(run(r, &b, &e), e);
        assert_text(&b, 0, "first"), assert_text(&b, 2, "last");
        assert_null(b.text[1]);
        if (b.report.failed[t[i].kind] != 1 || b.report.n_failed != 1) fail_msg("%s: %s", t[i].prompt, b.report.first);
        assert_int_equal(b.report.tried[t[i].kind], t[i].tries);
        assert_int_equal(b.report.first_failed, 1);
        if (!strstr(b.report.first, t[i].why)) fail_msg("'%s', wanted '%s'", b.report.first, t[i].why);
        char text[1024];
        lb_remote_report_text(&b.report, text, sizeof text);
        assert_non_null(strstr(text, "1 of 3 requests failed (1 "));
        json_t *j = lb_remote_report_json(&b.report);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "failures"), lb_remote_fault_name(t[i].kind))), 1);
        json_decref(j);
        batch_free(&b);
    }
    lb_remote_close(r);
    stop(&f);
}

static void test_run_ends(void **state)
{
    (void)state;
    static const struct { const char *prompt; lb_code code; const char *part; } t[] = {
        {"do:quota", LB_EIO, "insufficient_quota"}, {"do:429-late", LB_EIO, "asks to wait 86400 s"}, {"do:redirect", LB_EIO, "redirected to http://127.0.0.1:9/"},
        {"do:401", LB_EIO, "--api-key-env"},        {"do:403", LB_EIO, "--api-key-env"},             {"do:404", LB_EIO, "HTTP 404"},
    };
    fake f = start("");
    lb_remote_opt o = quick(f.url);
    o.n_parallel = 1;
    lb_remote *r = open_ok(&o);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        batch b = {0};
        lb_err e = {0};
        add(&b, "do:ok=first"), add(&b, t[i].prompt), add(&b, "do:ok=never");
        assert_false(run(r, &b, &e));
        if (e.code != t[i].code || !strstr(e.msg, t[i].part)) fail_msg("%s: '%s', wanted '%s'", t[i].prompt, e.msg, t[i].part);
        assert_text(&b, 0, "first");
        assert_int_equal(b.n_done, 1);
        batch_free(&b);
    }
    /* The breaker: three in a row, counted from the last answer. */
    lb_remote_close(r);
    o.max_failed = 3, o.max_retries = 1;
    r = open_ok(&o);
    batch b = {0};
    lb_err e = {0};
    add(&b, "do:500"), add(&b, "do:500\n2"), add(&b, "do:ok=a"), add(&b, "do:bad-request"), add(&b, "do:502"), add(&b, "do:ok=b"), add(&b, "do:500\n3");
    add(&b, "do:filter"), add(&b, "do:types"), add(&b, "do:ok=never");
    assert_false(run(r, &b, &e));
    assert_int_equal(e.code, LB_EIO);
    assert_non_null(strstr(e.msg, "3 requests in a row failed, the last after 2 tries (broken)"));
    assert_text(&b, 2, "a"), assert_text(&b, 5, "b");
    assert_int_equal(b.n_done, 2);
    assert_int_equal(b.report.n_failed, 7);
    batch_free(&b);
    lb_remote_close(r);
    stop(&f);
}

/* The server goes away in the middle: what it answered stays, the rest fails after its tries. */
static void test_server_dies(void **state)
{
    (void)state;
    fake f = start("--delay 0.2");
    lb_remote_opt o = quick(f.url);
    o.max_retries = 2, o.max_failed = 4;
    lb_remote *r = open_ok(&o);
    batch b = {0};
    lb_err e = {0};
    static char prompt[MAX][32];
    for (int i = 0; i < MAX; i++) snprintf(prompt[i], sizeof prompt[i], "do:ok=%d", i), add(&b, prompt[i]);
    pid_t killer = fork();
    if (killer == 0) {
        nap(300);
        kill(f.pid, SIGKILL);
        _exit(0);
    }
    assert_false(run(r, &b, &e));
    waitpid(killer, NULL, 0);
    assert_int_equal(e.code, LB_EIO);
    assert_non_null(strstr(e.msg, "requests in a row failed, the last after 3 tries (connect)"));
    assert_in_range(b.n_done, 0, MAX - 1);
    for (int i = 0; i < MAX; i++)
        if (b.text[i]) assert_text(&b, i, prompt[i] + 6);
    batch_free(&b);
    lb_remote_close(r);
    stop(&f);
}

/* ---- how it is asked ---- */

static void test_forms(void **state)
{
    (void)state;
    static const char *const flags[] = {"--style plain --chunk 1", "--style reasoning --crlf --refuse stream_options", "--style both --chunk 7 --crlf", "--style json",
                                        "--style split --chunk 3 --no-usage", "--style split --refuse stream"};
    char *first = NULL;
    for (int k = 0; k < 6; k++) {
        fake f = start(flags[k]);
        lb_remote_opt o = quick(f.url);
        lb_remote *r = open_ok(&o);
        batch b = {0};
        lb_err e = {0};
        add(&b, "What is 2 + 2?"), add(&b, "do:slow,ok=x"), add(&b, "do:close,ok=x");
        assert_ok(run(r, &b, &e), e);
        assert_text(&b, 0, "boxed");
        if (!first) first = strdup(b.text[0]);
        assert_non_null(strstr(first, "<think>Let me see."));
        assert_non_null(strstr(first, "</think>The answer is \\boxed{"));
        assert_string_equal(b.text[0], first); /* the same text, however it comes */
        assert_int_equal(b.report.n_estimated, strstr(flags[k], "no-usage") || strstr(flags[k], "stream_options") ? 3 : 0);
        if (b.report.n_estimated == 0) assert_in_range(b.n_tokens[0], 40, 295);
        batch_free(&b);
        lb_remote_close(r);
        stop(&f);
    }
    free(first);
}

static void test_fields(void **state)
{
    (void)state;
    fake f = start("--refuse min_p,repetition_penalty,seed,stream_options --minimum-top-k 1 --reasoning-model");
    lb_remote_opt o = quick(f.url);
    o.n_parallel = 8, o.max_retries = -1;
    lb_remote *r = open_ok(&o);
    batch b = {0};
    lb_err e = {0};
    for (int i = 0; i < 16; i++) add(&b, "What is 2 + 2?");
    assert_ok(run(r, &b, &e), e);
    assert_int_equal(b.n_done, 16);
    assert_non_null(strstr(b.report.remarks, "defaults hold: min_p (off), repetition_penalty (1)"));
    assert_non_null(strstr(b.report.remarks, "refused: seed"));
    assert_null(strstr(b.report.remarks, "top_k")); /* it takes 0 */
    batch_free(&b);
    batch c = {0};
    add(&c, "What is 2 + 2?");
    c.q[0].sampling.min_p = 0.1f;
    lb_remote_close(r);
    r = open_ok(&o);
    assert_false(run(r, &c, &e));
    assert_int_equal(e.code, LB_EUNSUPPORTED);
    assert_non_null(strstr(e.msg, "does not take min_p"));
    lb_remote_close(r);
    stop(&f);
}

/* A server that takes two at once gets two at once, after it has said so. */
static void test_width(void **state)
{
    (void)state;
    fake f = start("--most 2 --delay 0.03");
    lb_remote_opt o = quick(f.url);
    o.n_parallel = 16, o.max_retries = 30;
    lb_remote *r = open_ok(&o);
    batch b = {0};
    lb_err e = {0};
    static char prompt[40][32];
    for (int i = 0; i < 40; i++) snprintf(prompt[i], sizeof prompt[i], "do:ok=%d", i), add(&b, prompt[i]);
    assert_ok(run(r, &b, &e), e);
    assert_int_equal(b.n_done, 40);
    assert_int_equal(b.report.n_failed, 0);
    assert_true(b.report.n_429 > 0);
    assert_in_range(b.report.n_parallel, 1, 15);
    batch_free(&b);
    lb_remote_close(r);
    stop(&f);
}

static volatile sig_atomic_t stopped;

static void on_alarm(int sig)
{
    (void)sig;
    stopped = 1;
}

static void test_stop(void **state)
{
    (void)state;
    fake f = start("");
    lb_remote_opt o = quick(f.url);
    o.timeout_s = 60, o.stop = &stopped;
    lb_remote *r = open_ok(&o);
    batch b = {0};
    lb_err e = {0};
    add(&b, "do:ok=first"), add(&b, "do:stall"), add(&b, "do:mid-stall"), add(&b, "do:ok=last");
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {.tv_usec = 900000}}, NULL);
    double t0 = lb_now_s();
    assert_false(run(r, &b, &e));
    assert_int_equal(e.code, LB_ESTOPPED);
    assert_true(lb_now_s() - t0 < 20); /* and not the 60 s of a stall */
    assert_null(b.text[1]);
    assert_null(b.text[2]);
    batch_free(&b);
    lb_remote_close(r);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url),         cmocka_unit_test(test_open),     cmocka_unit_test(test_models), cmocka_unit_test(test_not_this),
        cmocka_unit_test(test_faults_pass), cmocka_unit_test(test_faults_stay), cmocka_unit_test(test_run_ends), cmocka_unit_test(test_server_dies),
        cmocka_unit_test(test_forms),       cmocka_unit_test(test_fields),   cmocka_unit_test(test_width),  cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
