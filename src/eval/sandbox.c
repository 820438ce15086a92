/* sandbox.c – what a caller sees: limits, the first check, and each thread's warm sandbox. */
#define _GNU_SOURCE
#include "eval/sandbox.h"
#include "base/mem.h"
#include "eval/sandbox_proc.h"
#include "eval/sandbox_seccomp.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What changes during runs. */
typedef struct idle_list {
    pthread_mutex_t lock;            /* protects first */
    lb_box *first;                   /* sandboxes between two runs, owned */
} idle_list;

struct lb_sandbox {
    lb_box_plan plan;
    idle_list *idle;                 /* owned */
};

/* ---- the caller's side of the pool ---- */

/* This thread's sandbox, or NULL. Another thread's may die at any moment, with that thread. */
static lb_box *take_idle(idle_list *idle)
{
    pthread_mutex_lock(&idle->lock);
    lb_box **at = &idle->first, *b = NULL;
    while (*at && !pthread_equal((*at)->owner, pthread_self())) at = &(*at)->next;
    if (*at) {
        b = *at;
        *at = b->next;
        b->next = NULL;
    }
    pthread_mutex_unlock(&idle->lock);
    return b;
}

static void give_idle(idle_list *idle, lb_box *b)
{
    pthread_mutex_lock(&idle->lock);
    b->next = idle->first;
    idle->first = b;
    pthread_mutex_unlock(&idle->lock);
}

/* Sandboxes of threads that have ended are dead: buries them. */
static void sweep_idle(idle_list *idle)
{
    lb_box *dead = NULL;
    pthread_mutex_lock(&idle->lock);
    for (lb_box **at = &idle->first; *at;) {
        lb_box *b = *at;
        if (lb_box_alive(b)) {
            at = &b->next;
            continue;
        }
        *at = b->next;
        b->next = dead;
        dead = b;
    }
    pthread_mutex_unlock(&idle->lock);
    while (dead) {
        lb_box *next = dead->next;
        lb_box_close(dead);
        dead = next;
    }
}

static void close_idle(idle_list *idle)
{
    while (idle->first) {
        lb_box *b = idle->first;
        idle->first = b->next;
        lb_box_close(b);
    }
}

/* ---- one run ---- */

/* A sealed memory file: the program can read it and nothing else. */
static int sealed_file(const char *p, size_t n, lb_err *err)
{
    int fd = memfd_create("lb-text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return lb_fail_io(err, "sandbox: no memory file"), -1;
    for (size_t at = 0; at < n;) {
        ssize_t k = pwrite(fd, p + at, n - at, (off_t)at);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) goto fail;
        at += (size_t)k;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0) return fd;
fail:
    lb_fail_io(err, "sandbox: cannot fill a memory file of %zu bytes", n);
    close(fd);
    return -1;
}

static bool run_files(const lb_sandbox *s, const lb_run_opt *o, const int fds[2], lb_run_result *r, lb_err *err)
{
    for (int deaths = 0; deaths < 2;) {
        lb_box *b = take_idle(s->idle);
        bool warm = b != NULL;
        if (!b) {
            sweep_idle(s->idle);
            if (!(b = lb_box_open(&s->plan, err))) return false;
        }
        lb_buf_reset(&r->out);
        if (lseek(fds[0], 0, SEEK_SET) != 0 || lseek(fds[1], 0, SEEK_SET) != 0) {
            lb_box_close(b);
            return lb_fail_io(err, "sandbox: cannot rewind a memory file");
        }
        switch (lb_box_run(b, o, s->plan.lim.tmp_bytes, fds[0], fds[1], r, err)) {
        case LB_BOX_CLEAN: give_idle(s->idle, b); return true;
        case LB_BOX_USED_UP: lb_box_close(b); return true;
        case LB_BOX_ERROR: lb_box_close(b); return false;
        case LB_BOX_DEAD: lb_box_close(b); deaths += !warm; break;    /* a warm one may have died before, of anything */
        }
    }
    r->status = LB_RUN_FAILED;
    snprintf(r->note, sizeof r->note, "two sandboxes died while it ran");
    return true;
}

bool lb_sandbox_run_with(const lb_sandbox *s, const lb_run_opt *opt, const char *program, size_t n_program,
                         const char *input, size_t n_input, lb_run_result *r, lb_err *err)
{
    const lb_sandbox_limits *lim = &s->plan.lim;
    lb_run_opt o = opt ? *opt : (lb_run_opt){ 0 };
    if (!(o.cpu_s > 0)) o.cpu_s = lim->cpu_s;
    if (!(o.wall_s > 0)) o.wall_s = lim->wall_s;
    if (!o.mem_bytes) o.mem_bytes = lim->mem_bytes;
    if (!o.out_bytes) o.out_bytes = lim->out_bytes;
    if (!o.real_bytes) o.real_bytes = o.mem_bytes;
    lb_buf_reset(&r->out);
    r->status = LB_RUN_FAILED;
    r->code = 0;
    r->cpu_s = 0;
    r->note[0] = 0;
    int fds[2] = { sealed_file(program, n_program, err), -1 };
    bool ok = fds[0] >= 0 && (fds[1] = sealed_file(input, n_input, err)) >= 0 && run_files(s, &o, fds, r, err);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0) close(fds[i]);
    return ok;
}

bool lb_sandbox_run(const lb_sandbox *s, const char *program, size_t n_program, const char *input, size_t n_input,
                    lb_run_result *r, lb_err *err)
{
    return lb_sandbox_run_with(s, NULL, program, n_program, input, n_input, r, err);
}

void lb_run_result_free(lb_run_result *r)
{
    lb_buf_free(&r->out);
    *r = (lb_run_result){ 0 };
}

const char *lb_run_status_name(lb_run_status status)
{
    static const char *const names[] = { "ok", "exit", "signal", "time", "memory", "output", "stopped", "failed" };
    return (size_t)status < sizeof names / sizeof *names ? names[status] : "?";
}

/* ---- opening ---- */

/* Looks for an executable in fixed places (not in PATH, which is the user's) and resolves links. */
static char *find_program(const char *name, lb_err *err)
{
    static const char *const folders[] = { "/usr/bin/", "/usr/local/bin/", "/bin/" };
    char path[64];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s%s", folders[i], name);
        if (access(path, X_OK) != 0) continue;
        char *real = realpath(path, NULL);
        if (real) return real;
    }
    return lb_fail_null(err, LB_EUNSUPPORTED, "the code sandbox needs %s, which is not in /usr/bin or /usr/local/bin "
                        "(Debian: apt-get install %s)", name, strcmp(name, "bwrap") ? name : "bubblewrap");
}

static bool set_limits(lb_sandbox_limits *l, const lb_sandbox_limits *want, lb_err *err)
{
    if (want) *l = *want;
    if (l->cpu_s == 0) l->cpu_s = 10;
    if (l->wall_s == 0) l->wall_s = 30;
    if (!l->mem_bytes) l->mem_bytes = (size_t)1 << 30;
    if (!l->n_proc) l->n_proc = 64;
    if (!l->out_bytes) l->out_bytes = (size_t)16 << 20;
    if (!l->tmp_bytes) l->tmp_bytes = (size_t)64 << 20;
    if (!(l->cpu_s > 0 && l->cpu_s <= 1e6 && l->wall_s > 0 && l->wall_s <= 1e6))
        return lb_fail(err, LB_EUSAGE, "sandbox: time limits are %g s and %g s, wanted 0 to 1e6", l->cpu_s, l->wall_s);
    if (l->n_proc < 0 || l->n_proc > 100000)
        return lb_fail(err, LB_EUSAGE, "sandbox: %d tasks, wanted 0 to 100000", l->n_proc);
    return true;
}

/* Each line tries a wall and must be stopped by it. */
static const char self_test[] =
    "import os, threading\n"
    "import _socket, ctypes\n"
    "out = []\n"
    "t = threading.Thread(target=lambda: out.append('thread'))\n"
    "t.start(); t.join()\n"
    "def stopped(f):\n"
    "    try: f()\n"
    "    except OSError: return True\n"
    "if not stopped(os.fork): out.append('fork')\n"
    "if not stopped(lambda: os.execv('/bin/true', ['true'])): out.append('exec')\n"
    "if not stopped(lambda: _socket.socket()): out.append('socket')\n"
    "if not stopped(lambda: os.kill(os.getppid(), 0)): out.append('kill')\n"
    "if not stopped(lambda: open('/program', 'w')): out.append('write')\n"
    "if ctypes.CDLL(None).unshare(0x10000000) == 0: out.append('unshare')\n"
    "if STRONG and not stopped(lambda: os.listdir('/etc')): out.append('files')\n"
    "if STRONG and not stopped(lambda: os.listdir('/proc')): out.append('proc')\n"
    "if STRONG and (os.getppid() != 1 or os.getuid() != 65534): out.append('namespace')\n"
    "print(input(), *out)\n";

static bool check_walls(lb_sandbox *s, lb_err *err)
{
    char program[sizeof self_test + 32];
    lb_run_result r = { 0 };
    int n = snprintf(program, sizeof program, "STRONG = %s\n%s", s->plan.weak ? "False" : "True", self_test);
    bool ok = lb_sandbox_run(s, program, (size_t)n, "hello\n", 6, &r, err);
    if (ok && r.status != LB_RUN_OK)
        ok = lb_fail(err, LB_EUNSUPPORTED, "the sandbox does not run its own test program: %s %d: %s",
                     lb_run_status_name(r.status), r.code, r.note);
    else if (ok && strcmp(lb_buf_cstr(&r.out), "hello thread\n") != 0)
        ok = lb_fail(err, LB_EUNSUPPORTED, "the sandbox does not hold on this kernel: its test printed '%.100s', "
                     "wanted 'hello thread'", lb_buf_cstr(&r.out));
    lb_run_result_free(&r);
    return ok;
}

/* A cgroup that cannot be joined after all is done without. */
static bool check_plan(lb_sandbox *s, lb_err *err)
{
    lb_err why = { 0 };
    if (!s->plan.cgroup) return check_walls(s, err);
    if (check_walls(s, &why)) return true;
    close_idle(s->idle);
    free(s->plan.cgroup);
    s->plan.cgroup = NULL;
    return check_walls(s, err);
}

static bool open_plan(lb_sandbox *s, bool weak, lb_err *err)
{
    lb_box_plan *p = &s->plan;
    close_idle(s->idle);
    p->weak = weak;
    free(p->inner);
    p->inner = NULL;
    if (!weak && (!(p->bwrap = find_program("bwrap", err)) ||
                  !(p->outer = lb_filter_build(LB_FILTER_SUPERVISOR, &p->n_outer, err)))) return false;
    p->inner = lb_filter_build(weak ? LB_FILTER_PROGRAM_WEAK : LB_FILTER_PROGRAM, &p->n_inner, err);
    return p->inner && check_plan(s, err);
}

lb_sandbox *lb_sandbox_open(const lb_sandbox_limits *limits, bool allow_weak, lb_err *err)
{
    lb_err why = { 0 };
    lb_sandbox *s = lb_alloc(1, sizeof *s, "sandbox", err);
    if (!s) return NULL;
    if (!(s->idle = lb_alloc(1, sizeof *s->idle, "sandbox", err))) goto fail;
    pthread_mutex_init(&s->idle->lock, NULL);
    if (!set_limits(&s->plan.lim, limits, err) || !(s->plan.python = find_program("python3", err))) goto fail;
    s->plan.cgroup = lb_cgroup_find_own();
    if (open_plan(s, false, &why)) return s;
    if (why.code == LB_EUNSUPPORTED && allow_weak && open_plan(s, true, err)) return s;
    if (why.code == LB_EUNSUPPORTED && !allow_weak)
        lb_fail(err, why.code, "%s. Programs that a model wrote are not run without it; it needs user namespaces "
                "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone; a container that allows them)",
                why.msg);
    else if (why.code != LB_EUNSUPPORTED && err)
        *err = why;
fail:
    lb_sandbox_close(s);
    return NULL;
}

void lb_sandbox_close(lb_sandbox *s)
{
    if (!s) return;
    if (s->idle) {
        close_idle(s->idle);
        pthread_mutex_destroy(&s->idle->lock);
        free(s->idle);
    }
    free(s->plan.cgroup);
    free(s->plan.bwrap);
    free(s->plan.python);
    free(s->plan.outer);
    free(s->plan.inner);
    free(s);
}

bool lb_sandbox_is_weak(const lb_sandbox *s)
{
    return s->plan.weak;
}

const char *lb_sandbox_walls(const lb_sandbox *s)
{
    if (s->plan.weak) return s->plan.cgroup ? "seccomp, rlimits, cgroup" : "seccomp, rlimits";
    return s->plan.cgroup ? "namespaces, seccomp, rlimits, cgroup" : "namespaces, seccomp, rlimits";
}
