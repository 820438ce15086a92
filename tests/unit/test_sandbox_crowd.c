/* test_sandbox_crowd.c – many sandboxes of one user at once: each has its tasks to itself, and a bomb in one of them is
 * contained and not felt by the others. With namespaces; without, as root; without, as a user. */
#define _GNU_SOURCE
#include "test.h"
#include "eval/sandbox.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 8, N_PROC = 12 };         /* of each: 9 threads and the supervisor, 80 tasks in all */
static const lb_sandbox_limits limits = {.cpu_s = 20, .wall_s = 60, .mem_bytes = (size_t)1 << 30, .n_proc = N_PROC};

/* Half of the threads start when every program has its first half. */
static const char many_threads[] =
    "import threading, time\nend = threading.Event()\n"
    "def more():\n    for i in range(4): threading.Thread(target=end.wait).start()\n"
    "more()\ntime.sleep(0.5)\nmore()\ntime.sleep(0.2)\nprint(threading.active_count())\nend.set()";
static const char bomb[] =
    "import _thread, os, sys, time\n_thread.stack_size(32768)\nn = 0\ntry:\n"
    "    while True: _thread.start_new_thread(time.sleep, (1000,)); n += 1\nexcept RuntimeError: pass\n"
    "print(n)\nsys.stdout.flush()\ntime.sleep(2)\nos._exit(0)";

typedef struct crowd {
    lb_sandbox *s;
    pthread_barrier_t warm;
    lb_run_result r[N + 1];
} crowd;

typedef struct member {
    crowd *c;
    int i;
    lb_err err;
} member;

static void *one(void *arg)
{
    member *m = arg;
    lb_run_result *r = &m->c->r[m->i];
    const char *p = m->i < N ? many_threads : bomb;
    bool ok = lb_sandbox_run(m->c->s, "print(1)", 8, "", 0, r, &m->err);
    pthread_barrier_wait(&m->c->warm);
    if (ok) ok = lb_sandbox_run(m->c->s, p, strlen(p), "", 0, r, &m->err);
    if (!ok) r->status = LB_RUN_FAILED;
    return NULL;
}

/* The bomb meets the limit, or is killed by who counts. */
static bool contained(const lb_run_result *r)
{
    int n = atoi(lb_buf_cstr((lb_buf *)&r->out));
    if (r->status == LB_RUN_OK) return n >= N_PROC / 2 && n < N_PROC + 4;
    return r->status == LB_RUN_OUTPUT && !strcmp(r->note, "more than 12 threads");
}

/* An exit status: 0 if everything was as it should be. */
static int crowd_holds(bool weak)
{
    lb_err e = {0};
    crowd c = {.s = lb_sandbox_open(&limits, weak, &e)};
    member m[N + 1];
    pthread_t t[N + 1];
    int wrong = 0;
    if (!c.s || lb_sandbox_is_weak(c.s) != weak) {
        fprintf(stderr, "no such sandbox: %s\n", e.msg);
        return 1;
    }
    pthread_barrier_init(&c.warm, NULL, N + 1);
    for (int i = 0; i <= N; i++) {
        m[i] = (member){.c = &c, .i = i};
        if (pthread_create(&t[i], NULL, one, &m[i]) != 0) return 1;
    }
    for (int i = 0; i <= N; i++) pthread_join(t[i], NULL);
    for (int i = 0; i <= N; i++) {
        const char *out = lb_buf_cstr(&c.r[i].out);
        bool right = i == N ? contained(&c.r[i]) : c.r[i].status == LB_RUN_OK && !strcmp(out, "9\n");
        if (!right)
            fprintf(stderr, "%s %d: %s '%.100s' (%s) %s\n", i == N ? "bomb" : "program", i,
                    lb_run_status_name(c.r[i].status), out, c.r[i].note, m[i].err.msg);
        wrong += !right;
        lb_run_result_free(&c.r[i]);
    }
    lb_sandbox_close(c.s);
    pthread_barrier_destroy(&c.warm);
    return wrong > 0;
}

static int status_of(pid_t child)
{
    int status = 0;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void with_namespaces(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_sandbox *s = lb_sandbox_open(&limits, false, &e);
    if (!s) print_message("%s\n", e.msg);
    if (!s) skip();
    lb_sandbox_close(s);
    assert_int_equal(crowd_holds(false), 0);
}

/* From here on this process gets no namespaces. */
static bool forbid_namespaces(void)
{
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW);
    bool ok = c && seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0) == 0 &&
              seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)) == 0 &&
              seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 && seccomp_load(c) == 0;
    seccomp_release(c);
    return ok;
}

static void without(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) _exit(forbid_namespaces() ? crowd_holds(true) : 2);
    assert_int_equal(status_of(child), 0);
}

/* One of 65534's many, with the tasks of all of them counted together. */
static void without_as_a_user(void **state)
{
    (void)state;
    if (getuid() != 0) skip(); /* the test before was this */
    pid_t child = fork();
    if (child == 0) {
        bool plain = setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0;
        _exit(plain && forbid_namespaces() ? crowd_holds(true) : 2);
    }
    assert_int_equal(status_of(child), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_namespaces), cmocka_unit_test(without), cmocka_unit_test(without_as_a_user)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
