/* answer_child.c – the two ends of one socket: who asks for proofs, and the process that gives them. */
#define _GNU_SOURCE
#include "eval/answer_child.h"
#include "eval/answer_exact.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define NO_MEMORY_LIMIT        /* the shadow memory is larger than any limit */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NO_MEMORY_LIMIT
#endif
#endif

extern char **environ;

enum {
    FD = 3,                    /* the child's end */
    START_MS = 10000,          /* a loaded machine may take long to start a program */
    MAX_FAILED = 3,            /* starts in a row, of any thread, before no more are tried */
    MAX_PROOFS = 2000          /* then a fresh child: bounds what its caches keep */
};
static const char role[] = "lowbit-answer-proofs", hello[] = "lowbit-answer-proofs 1";

/* One side of a comparison, without the text. */
typedef struct side {
    int32_t n, n_node, node, minus, pm, commas_separate;
} side;

typedef struct ask {
    side side[2];              /* gold, answer */
    int32_t how, decimal_log, cpu_ms;
    char text[2 * LB_TREE_BYTES];
} ask;

typedef struct reply {
    int32_t verdict, cpu_ms;   /* what the proof took */
    char why[LB_TREE_WHY];
} reply;

static int64_t clock_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the child ---- */

static bool parse_side(const side *s, const char *text, lb_tree *t, lb_operand *o)
{
    *o = (lb_operand){t, s->node, s->minus, s->pm};
    return lb_tree_parse(t, text, (size_t)s->n, s->commas_separate) && t->n_node == s->n_node && s->node >= 0 &&
           s->node < t->n_node && s->minus >= -1 && s->minus < t->n_node;
}

static void prove(const ask *a, size_t n, reply *r)
{
    lb_tree t[2] = {{.root = -1}, {.root = -1}};
    lb_operand o[2];
    const side *s = a->side;
    memset(r, 0, sizeof *r);
    r->verdict = LB_UNKNOWN;
    snprintf(r->why, sizeof r->why, "a proof was asked for in a way that is not understood");
    if (n < offsetof(ask, text) || s[0].n < 0 || s[1].n < 0 || s[0].n > LB_TREE_BYTES || s[1].n > LB_TREE_BYTES ||
        n != offsetof(ask, text) + (size_t)s[0].n + (size_t)s[1].n) return;
    bool ok = parse_side(&s[0], a->text, &t[0], &o[0]);
    ok = parse_side(&s[1], a->text + s[0].n, &t[1], &o[1]) && ok;
    if (ok) r->verdict = (int32_t)lb_exact_prove(o[0], o[1], (lb_compare)a->how, a->decimal_log, r->why);
    lb_tree_free(&t[0]), lb_tree_free(&t[1]);
}

static void limit(int what, rlim_t value)
{
    setrlimit(what, &(struct rlimit){value, value});
}

/* Proofs until the other end is closed. */
static void serve(void)
{
    static ask a;
    static reply r;
    close_range(FD + 1, ~0u, 0);
    limit(RLIMIT_CORE, 0);
#ifndef NO_MEMORY_LIMIT
    limit(RLIMIT_DATA, (rlim_t)LB_CHILD_MIB << 20);
#endif
    signal(SIGPROF, SIG_DFL);
    if (send(FD, hello, sizeof hello, MSG_NOSIGNAL) < 0) return;
    for (int i = 0;; i++) {
        ssize_t n = recv(FD, &a, sizeof a, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        int64_t t = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
        int ms = a.cpu_ms < 1 || a.cpu_ms > LB_CHILD_CPU_MS ? LB_CHILD_CPU_MS : a.cpu_ms;
        setitimer(ITIMER_PROF, &(struct itimerval){.it_value = {.tv_usec = ms * 1000}}, NULL);
        prove(&a, (size_t)n, &r);
        setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL);
        r.cpu_ms = (int32_t)(clock_ms(CLOCK_PROCESS_CPUTIME_ID) - t);
        if (i % 64 == 63) lb_exact_cleanup();
        if (send(FD, &r, sizeof r, MSG_NOSIGNAL) < 0) return;
    }
}

/* Runs before main in every program that is linked with the library; glibc passes main's arguments. */
__attribute__((constructor)) static void serve_if_child(int argc, char **argv)
{
    if (argc != 1 || strcmp(argv[0], role)) return;
    serve();
    _exit(0);
}

/* ---- the parent ---- */

typedef struct child {
    pid_t pid, parent;         /* parent: the process that started it; a fork of that leaves the child alone */
    int fd, n_proof;
} child;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;
static atomic_int n_failed;    /* starts in a row */

static int64_t now_ms(void) { return clock_ms(CLOCK_MONOTONIC); }

/* Ends and reaps; the wait status, or 0. */
static int end(child *c, bool kill_it)
{
    int status = 0;
    if (c->fd >= 0) close(c->fd);
    if (c->pid > 0 && c->parent == getpid()) {
        if (kill_it) kill(c->pid, SIGKILL);
        while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) continue;
    }
    c->pid = 0, c->fd = -1;
    return status;
}

static void end_with_thread(void *p)
{
    end(p, true);
    free(p);
    lb_exact_cleanup();
}

static void make_key(void) { have_key = pthread_key_create(&key, end_with_thread) == 0; }

/* The calling thread's child, started or not; NULL if memory ran out. Its destructor ends it with the thread. */
static child *mine(void)
{
    pthread_once(&once, make_key);
    if (!have_key) return NULL;
    child *c = pthread_getspecific(key);
    if (c || !(c = calloc(1, sizeof *c))) return c;
    c->fd = -1;
    if (pthread_setspecific(key, c)) free(c), c = NULL;
    return c;
}

/* Receives one message within the time: its size, 0 if the child is gone, -1 if time ran out. */
static ssize_t receive(int fd, void *p, size_t size, int64_t until)
{
    for (;;) {
        int64_t left = until - now_ms();
        struct pollfd f = {.fd = fd, .events = POLLIN};
        int k = poll(&f, 1, left < 0 ? 0 : (int)left);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return -1;
        ssize_t n = recv(fd, p, size, 0);
        if (n < 0 && errno == EINTR) continue;
        return n < 0 ? 0 : n;
    }
}

static bool spawn(pid_t *pid, int fd)
{
    posix_spawn_file_actions_t f;
    posix_spawnattr_t a;
    sigset_t none, all;
    sigemptyset(&none), sigfillset(&all);
    if (posix_spawn_file_actions_init(&f)) return false;
    bool ok = posix_spawnattr_init(&a) == 0;
    if (ok) {
        for (int i = 0; i < 3; i++) ok = ok && !posix_spawn_file_actions_addopen(&f, i, "/dev/null", O_RDWR, 0);
        /* its own group: Ctrl-C is for the parent */
        ok = ok && !posix_spawn_file_actions_adddup2(&f, fd, FD) && !posix_spawnattr_setpgroup(&a, 0) &&
             !posix_spawnattr_setsigmask(&a, &none) && !posix_spawnattr_setsigdefault(&a, &all) &&
             !posix_spawnattr_setflags(&a, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) &&
             !posix_spawn(pid, "/proc/self/exe", &f, &a, (char *[]){(char *)role, NULL}, environ);
        posix_spawnattr_destroy(&a);
    }
    posix_spawn_file_actions_destroy(&f);
    return ok;
}

static bool start(child *c)
{
    int fd[2], high = -1;
    char text[sizeof hello];
    if (atomic_load(&n_failed) >= MAX_FAILED) return false;
    *c = (child){.fd = -1, .parent = getpid()};
    bool ok = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) == 0;
    if (ok) {
        c->fd = fd[0];
        high = fcntl(fd[1], F_DUPFD_CLOEXEC, FD + 1);        /* dup2 onto itself would keep close-on-exec */
        close(fd[1]);
        ok = high >= 0 && spawn(&c->pid, high);
        if (high >= 0) close(high);
        if (!ok) c->pid = 0;
        ok = ok && receive(c->fd, text, sizeof text, now_ms() + START_MS) == (ssize_t)sizeof hello &&
             !memcmp(text, hello, sizeof hello);
    }
    if (ok) atomic_store(&n_failed, 0);
    else end(c, true), atomic_fetch_add(&n_failed, 1);
    return ok;
}

static size_t pack(ask *a, lb_operand gold, lb_operand answer, lb_compare how, bool decimal_log, int cpu_ms)
{
    const lb_operand o[2] = {gold, answer};
    size_t n = 0;
    memset(a, 0, offsetof(ask, text));
    a->how = (int32_t)how, a->decimal_log = decimal_log, a->cpu_ms = cpu_ms;
    for (int i = 0; i < 2; i++) {
        const lb_tree *t = o[i].t;
        a->side[i] = (side){(int32_t)t->n_src, t->n_node, o[i].node, o[i].minus, o[i].pm, t->commas_separate};
        memcpy(a->text + n, t->src, t->n_src), n += t->n_src;
    }
    return offsetof(ask, text) + n;
}

/* Sends to the child, which is started if it is not there, or was killed by somebody else since. */
static bool tell(child *c, const ask *a, size_t n)
{
    for (int turn = 0; turn < 2; turn++) {
        if (c->pid > 0 && (c->parent != getpid() || c->n_proof >= MAX_PROOFS)) end(c, true);
        if (c->pid <= 0 && !start(c)) return false;
        if (send(c->fd, a, n, MSG_NOSIGNAL) == (ssize_t)n) return true;
        end(c, true);
    }
    return false;
}

lb_verdict lb_child_prove(lb_operand gold, lb_operand answer, lb_compare how, bool decimal_log, int *ms_left,
                          char why[LB_TREE_WHY])
{
    if (*ms_left <= 0) {
        snprintf(why, LB_TREE_WHY, "equal to %d digits, but a proof takes too long", LB_SAMPLED_DIGITS);
        return LB_UNKNOWN;
    }
    child *c = mine();
    ask a;
    reply r;
    int status = 0;
    bool late = false;
    int limit_ms = *ms_left < LB_CHILD_CPU_MS ? *ms_left : LB_CHILD_CPU_MS;
    size_t n = pack(&a, gold, answer, how, decimal_log, limit_ms);
    for (int turn = 0; turn < 2; turn++) {
        if (!c || !tell(c, &a, n)) {
            snprintf(why, LB_TREE_WHY, "equal to %d digits, but the process that proves it cannot be started",
                     LB_SAMPLED_DIGITS);
            return LB_UNKNOWN;
        }
        c->n_proof++;
        ssize_t got = receive(c->fd, &r, sizeof r, now_ms() + LB_CHILD_WALL_MS);
        if (got == (ssize_t)sizeof r) {
            *ms_left -= r.cpu_ms;
            memcpy(why, r.why, LB_TREE_WHY), why[LB_TREE_WHY - 1] = 0;
            return r.verdict == LB_RIGHT || r.verdict == LB_WRONG ? (lb_verdict)r.verdict : LB_UNKNOWN;
        }
        status = end(c, got < 0);
        late = got < 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF);
        if (late || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) break;
        /* somebody else killed it: the proof is not to blame yet */
    }
    *ms_left -= limit_ms;
    snprintf(why, LB_TREE_WHY, "equal to %d digits, but a proof takes too %s", LB_SAMPLED_DIGITS,
             late ? "long" : "much memory");
    return LB_UNKNOWN;
}

void lb_child_attach(void) { mine(); }

void lb_child_stop(void)
{
    pthread_once(&once, make_key);
    child *c = have_key ? pthread_getspecific(key) : NULL;
    if (!c) return;
    pthread_setspecific(key, NULL);
    end_with_thread(c);
}
