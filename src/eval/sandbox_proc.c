/* sandbox_proc.c – bwrap's arguments, the fork, the control socket, and the judge's side of one run. */
#define _GNU_SOURCE
#include "eval/sandbox_proc.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "eval/sandbox_guest.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, MAX_ARGS = 96, START_S = 30, KILL_S = 5 };
/* A sandbox started by root is the user FIRST_USER + its process number: ids that no distribution hands out, above
 * systemd's containers and below 2^31. */
enum { FIRST_USER = 0x70000000, MAX_PID = 1 << 22 };
/* Tasks that may come to be, anywhere on the machine, while a program runs under a count that is not its own. */
enum { SPARE_TASKS = 4096 };
/* In a sandbox's group besides the program: bwrap, its monitor, the supervisor; what the supervisor needs itself. */
enum { GROUP_TASKS = 4, GROUP_BYTES = 64 << 20 };

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* ---- the command line ---- */

typedef struct args {
    char *v[MAX_ARGS];
    int n;
    char text[2048];         /* strings made here */
    size_t n_text;
} args;

static void arg(args *a, const char *s)
{
    if (a->n < MAX_ARGS - 1) a->v[a->n++] = (char *)s;
}

static void arg3(args *a, const char *x, const char *y, const char *z)
{
    arg(a, x);
    arg(a, y);
    arg(a, z);
}

static void arg_size(args *a, size_t value)
{
    char *p = a->text + a->n_text;
    a->n_text += (size_t)snprintf(p, sizeof a->text - a->n_text, "%zu", value) + 1;
    arg(a, p);
}

/* A top folder such as /lib: on merged systems a link into /usr. */
static void bind_top(args *a, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0) return;
    if (S_ISLNK(st.st_mode)) {
        char *to = a->text + a->n_text;
        ssize_t n = readlink(path, to, 256);
        if (n <= 0 || n >= 256 || a->n_text + 256 > sizeof a->text) return;
        to[n] = 0;
        a->n_text += (size_t)n + 1;
        arg3(a, "--symlink", to, path);
    } else if (S_ISDIR(st.st_mode)) {
        arg3(a, "--ro-bind", path, path);
    }
}

static void bwrap_args(args *a, const lb_box_plan *plan)
{
    static const char *const fixed[] = {
        "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--die-with-parent", "--new-session", "--as-pid-1",
        "--clearenv", "--setenv", "PYTHONHASHSEED", "0", "--seccomp", "5",
        "--ro-bind", "/usr/lib", "/usr/lib", "--ro-bind-try", "/usr/lib64", "/usr/lib64",
        "--dev-bind", "/dev/null", "/dev/null", "--dev-bind", "/dev/zero", "/dev/zero",
        "--dev-bind", "/dev/urandom", "/dev/urandom", NULL };
    arg(a, plan->bwrap);
    for (const char *const *s = fixed; *s; s++) arg(a, *s);
    bind_top(a, "/lib");
    bind_top(a, "/lib64");
    if (!strncmp(plan->python, "/usr/local/", 11)) arg3(a, "--ro-bind", "/usr/local/lib", "/usr/local/lib");
    arg3(a, "--ro-bind", plan->python, plan->python);
    arg(a, "--size");
    arg_size(a, plan->lim.tmp_bytes);
    arg(a, "--tmpfs");
    arg(a, "/tmp");
    arg3(a, "--remount-ro", "/", "--chdir");
    arg3(a, "/tmp", "--", plan->python);
}

static void command(args *a, const lb_box_plan *plan)
{
    if (plan->weak) arg(a, plan->python);
    else bwrap_args(a, plan);
    arg3(a, "-s", "-S", "-c");
    arg3(a, lb_sandbox_guest, plan->weak ? "weak" : "strong", NULL);
    a->n--;
    arg_size(a, plan->weak ? 0 : plan->lim.tmp_bytes);
    arg_size(a, LB_SANDBOX_FILES);
    arg(a, lb_sandbox_check);
    a->v[a->n] = NULL;
}

/* ---- tasks ---- */

/* Whether this process may become every user that a sandbox might be: in a container few ids exist. */
static bool has_ids(const char *map)
{
    FILE *f = fopen(map, "re");
    unsigned long long inside, outside, n;
    bool has = false;
    while (f && fscanf(f, "%llu %llu %llu", &inside, &outside, &n) == 3)
        has |= inside <= FIRST_USER && n >= FIRST_USER - inside + MAX_PID + 1;
    if (f) fclose(f);
    return has;
}

/* Whether RLIMIT_NPROC counts per user namespace. */
static bool counts_by_namespace(void)
{
    struct utsname u;
    int major = 0, minor = 0;
    return uname(&u) == 0 && sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
           (major > 5 || (major == 5 && minor >= 14));
}

/* Tasks on the whole machine: no user has more. */
static long all_tasks(void)
{
    long n = 0;
    FILE *f = fopen("/proc/loadavg", "re");
    if (f && fscanf(f, "%*s %*s %*s %*d/%ld", &n) != 1) n = 0;
    if (f) fclose(f);
    return n;
}

static void say_who_counts(lb_box *b, const lb_box_plan *plan, bool own_user)
{
    bool by_namespace = !plan->weak && counts_by_namespace();
    b->n_proc = plan->lim.n_proc;
    b->weak = plan->weak;
    b->own_count = own_user || by_namespace;
    b->others = plan->weak || by_namespace ? 1 : 2;       /* the supervisor; bwrap */
}

/* RLIMIT_NPROC of a run, and how many tasks the supervisor lets the program have; 0: it does not count. */
static long task_limit(const lb_box *b, int *watched)
{
    *watched = b->weak && !b->own_count && !b->group.path ? b->n_proc : 0;
    return b->own_count ? b->n_proc + b->others : all_tasks() + b->n_proc + SPARE_TASKS;
}

/* ---- the start ---- */

/* A memory file that holds n bytes, rewound. */
static int memory_file(const char *name, const void *p, size_t n, lb_err *err)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0) return lb_fail_io(err, "sandbox: no memory file"), -1;
    if (n && pwrite(fd, p, n, 0) != (ssize_t)n) {
        lb_fail_io(err, "sandbox: cannot fill a memory file");
        close_fd(&fd);
    }
    return fd;
}

/* In the forked child, where only async-signal-safe calls are allowed: descriptors 0 to 5, a plain user, then exec. */
_Noreturn static void become(char *const argv[], int err_fd, int control, int inner, int outer, int group, bool weak,
                             bool own_user, pid_t judge)
{
    static char *const env[] = { "PYTHONHASHSEED=0", NULL };
    if (group >= 0 && write(group, "0", 1) != 1) _exit(126);
    int null = open("/dev/null", O_RDWR);
    int from[6] = { null, null, err_fd, control, inner, outer };
    for (int i = 0; i < 6; i++)                          /* out of the way of 0 to 5 */
        if ((from[i] = fcntl(from[i], F_DUPFD, 16)) < 0) _exit(126);
    for (int i = 0; i < 6; i++)
        if (dup2(from[i], i) < 0) _exit(126);
    if (weak) close(5);
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 6u, ~0u, 0u) != 0)
#endif
        for (int fd = 6, n = (int)sysconf(_SC_OPEN_MAX); fd < n; fd++) close(fd);
    setsid();
    if (chdir("/") != 0) _exit(126);
    umask(077);
    id_t id = own_user ? FIRST_USER + (id_t)getpid() : NOBODY;
    if (getuid() == 0 && (setgroups(0, NULL) != 0 || setresgid(id, id, id) != 0 || setresuid(id, id, id) != 0))
        _exit(126);
    if (weak && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
                 getppid() != judge)) _exit(126);
    for (int sig = 1; sig < 32; sig++)
        if (sig != SIGKILL && sig != SIGSTOP) signal(sig, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(argv[0], argv, env);
    dprintf(2, "cannot run %s: %s", argv[0], strerror(errno));
    _exit(127);
}

/* The last line that a file holds, for messages. */
static void last_line(const char *text, size_t n, char *out, size_t cap)
{
    while (n && isspace((unsigned char)text[n - 1])) n--;
    size_t begin = n;
    while (begin && text[begin - 1] != '\n') begin--;
    size_t len = n - begin < cap - 1 ? n - begin : cap - 1;
    if (len < n - begin)                                  /* not in the middle of a character */
        while (len && ((unsigned char)text[begin + len] & 0xc0) == 0x80) len--;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[begin + i];
        out[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    out[len] = 0;
}

/* Waits for "ready". */
static bool came_up(lb_box *b, int err_fd, const lb_box_plan *plan, lb_err *err)
{
    char msg[16] = "", said[1024], line[400];
    double until = lb_now_s() + START_S;
    struct pollfd p = { .fd = b->control, .events = POLLIN };
    int ready;
    do {
        double left = until - lb_now_s();
        ready = left > 0 ? poll(&p, 1, (int)(left * 1e3) + 1) : 0;
    } while (ready < 0 && errno == EINTR);
    ssize_t n = ready > 0 ? recv(b->control, msg, sizeof msg - 1, 0) : 0;
    if (n == 5 && !memcmp(msg, "ready", 5)) return true;
    off_t end = lseek(err_fd, 0, SEEK_END);
    ssize_t got = pread(err_fd, said, sizeof said, end > (off_t)sizeof said ? end - (off_t)sizeof said : 0);
    last_line(said, got > 0 ? (size_t)got : 0, line, sizeof line);
    return lb_fail(err, LB_EUNSUPPORTED, "the sandbox does not start: %s: %s", plan->weak ? plan->python : plan->bwrap,
                   *line ? line : ready == 0 ? "no answer" : "it ended without a message");
}

lb_box *lb_box_open(const lb_box_plan *plan, lb_err *err)
{
    int pair[2] = { -1, -1 }, err_fd = -1, inner = -1, outer = -1;
    bool ok = false;
    args *a = lb_alloc(1, sizeof *a, "sandbox arguments", err);
    lb_box *b = lb_alloc(1, sizeof *b, "sandbox", err);
    if (!a || !b) goto end;
    b->control = -1;
    b->group.procs = -1;
    b->owner = pthread_self();
    bool own_user = getuid() == 0 && has_ids("/proc/self/uid_map") && has_ids("/proc/self/gid_map");
    say_who_counts(b, plan, own_user);
    command(a, plan);
    if (!lb_cgroup_open(&b->group, plan->cgroup, plan->lim.n_proc + GROUP_TASKS, err) ||
        (err_fd = memory_file("lb-stderr", NULL, 0, err)) < 0 ||
        (inner = memory_file("lb-filter", plan->inner, plan->n_inner, err)) < 0 ||
        (outer = memory_file("lb-filter", plan->outer, plan->n_outer, err)) < 0) goto end;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        lb_fail_io(err, "sandbox: no control socket");
        goto end;
    }
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);             /* no handler of ours may run in the child */
    pid_t judge = getpid();
    b->pid = fork();
    if (b->pid == 0) become(a->v, err_fd, pair[1], inner, outer, b->group.procs, plan->weak, own_user, judge);
    int fork_errno = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (b->pid < 0) {
        errno = fork_errno;
        lb_fail_io(err, "sandbox: cannot fork");
        goto end;
    }
    close_fd(&pair[1]);
    b->control = pair[0];
    pair[0] = -1;
    ok = came_up(b, err_fd, plan, err);
end:
    if (!ok) {
        lb_box_close(b);
        b = NULL;
    }
    free(a);
    for (int i = 0; i < 2; i++) close_fd(&pair[i]);
    close_fd(&err_fd);
    close_fd(&inner);
    close_fd(&outer);
    return b;
}

void lb_box_close(lb_box *b)
{
    if (!b) return;
    if (b->pid > 0) kill(b->pid, SIGKILL);
    if (b->control >= 0) {                                /* hangs up when the supervisor and its namespace die */
        struct pollfd p = { .fd = b->control, .events = POLLIN };
        char msg[64];
        double until = lb_now_s() + KILL_S;
        while (lb_now_s() < until)
            if (poll(&p, 1, 100) > 0 && recv(b->control, msg, sizeof msg, MSG_DONTWAIT) <= 0) break;
        close(b->control);
    }
    if (b->pid > 0)
        while (waitpid(b->pid, NULL, 0) < 0 && errno == EINTR) {}
    lb_cgroup_close(&b->group);
    free(b);
}

bool lb_box_alive(const lb_box *b)
{
    struct pollfd p = { .fd = b->control, .events = POLLIN };
    return poll(&p, 1, 0) == 0;                           /* between two runs it says nothing; a hang-up is the end */
}

/* ---- one run ---- */

static bool send_run(const lb_box *b, const lb_run_opt *o, const int fds[4])
{
    char what[100];
    int watched;
    long tasks = task_limit(b, &watched);
    int len = snprintf(what, sizeof what, "%c %.0f %zu %ld %d", o->checked ? 'C' : 'R', ceil(o->cpu_s), o->mem_bytes,
                       tasks, watched);
    struct iovec iov = { what, (size_t)len };
    union { struct cmsghdr h; char space[CMSG_SPACE(4 * sizeof(int))]; } u;
    memset(&u, 0, sizeof u);
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u.space };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(4 * sizeof(int));
    memcpy(CMSG_DATA(c), fds, 4 * sizeof(int));
    ssize_t n;
    do n = sendmsg(b->control, &m, MSG_NOSIGNAL); while (n < 0 && errno == EINTR);
    return n == len;
}

typedef struct watch {               /* the judge's view of one run */
    lb_box *b;
    const lb_run_opt *opt;
    int out, err;                    /* read ends, -1 after end of file */
    size_t n_err;                    /* bytes of stderr so far; only the last are kept */
    char tail[512];
    size_t n_tail;
    double until;                    /* wall limit, then the time to obey a kill */
    bool killed, answered;
    lb_run_status cause;             /* why it was killed */
    int status, dirty, flood;        /* the supervisor's answer; flood: lb_sandbox_flood */
    double cpu_s;
} watch;

static void keep_tail(watch *w, const char *p, size_t n)
{
    w->n_err += n;
    if (n > sizeof w->tail) {
        p += n - sizeof w->tail;
        n = sizeof w->tail;
    }
    size_t keep = w->n_tail + n > sizeof w->tail ? sizeof w->tail - n : w->n_tail;
    memmove(w->tail, w->tail + w->n_tail - keep, keep);
    memcpy(w->tail + keep, p, n);
    w->n_tail = keep + n;
}

static void kill_program(watch *w, lb_run_status cause)
{
    if (w->killed) return;
    w->killed = true;
    w->cause = cause;
    w->until = lb_now_s() + KILL_S;
    (void)!send(w->b->control, "K", 1, MSG_NOSIGNAL);
}

/* Reads what a pipe holds now; what is over the limit is dropped, so that the program never waits for us. */
static void drain(watch *w, int *fd, lb_buf *out)
{
    char buf[65536];
    for (int i = 0; i < 16; i++) {
        ssize_t got = read(*fd, buf, sizeof buf);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            close_fd(fd);
            return;
        }
        size_t n = (size_t)got, room = out ? w->opt->out_bytes - out->n : 0;
        if (out) lb_buf_add(out, buf, n < room ? n : room);
        else keep_tail(w, buf, n);
        if (out && out->oom) kill_program(w, LB_RUN_FAILED);
        else if (out && w->opt->more && !w->killed && !w->opt->more(w->opt->arg, out)) kill_program(w, LB_RUN_STOPPED);
        if (out ? n > room : !w->opt->checked && w->n_err > w->opt->out_bytes) kill_program(w, LB_RUN_OUTPUT);
    }
}

/* The supervisor's answer; false if it is gone or talks nonsense. */
static bool read_answer(watch *w)
{
    char msg[64];
    ssize_t n;
    long cpu_us;
    do n = recv(w->b->control, msg, sizeof msg - 1, 0); while (n < 0 && errno == EINTR);
    if (n <= 0) return false;
    msg[n] = 0;
    if (sscanf(msg, "%d %ld %d %d", &w->status, &cpu_us, &w->dirty, &w->flood) != 4) return false;
    w->cpu_s = (double)cpu_us * 1e-6;
    w->answered = true;
    return true;
}

/* Until the supervisor says that the program is gone; false if it does not say so. */
static bool attend(watch *w, lb_buf *out)
{
    while (!w->answered) {
        double left = w->until - lb_now_s();
        if (left <= 0) {
            if (w->killed) return false;
            kill_program(w, LB_RUN_TIME);
            continue;
        }
        struct pollfd p[3] = { { w->b->control, POLLIN, 0 }, { w->out, POLLIN, 0 }, { w->err, POLLIN, 0 } };
        if (poll(p, 3, (int)fmin(left * 1e3 + 1, 1e6)) < 0) {
            if (errno == EINTR) continue;
            return false;
        }
        if (p[1].revents) drain(w, &w->out, out);
        if (p[2].revents) drain(w, &w->err, NULL);
        if (p[0].revents && !read_answer(w)) return false;
    }
    if (w->out >= 0) drain(w, &w->out, out);
    if (w->err >= 0) drain(w, &w->err, NULL);
    return true;
}

static void explain(const watch *w, lb_run_result *r)
{
    const lb_run_opt *lim = w->opt;
    last_line(w->tail, w->n_tail, r->note, sizeof r->note);
    r->cpu_s = w->cpu_s;
    r->code = WIFSIGNALED(w->status) ? WTERMSIG(w->status) : WEXITSTATUS(w->status);
    /* The kernel counts ticks for the limit and run time for the usage, so the two need not agree. */
    bool out_of_time = WIFSIGNALED(w->status) &&
                       (r->code == SIGXCPU || (r->code == SIGKILL && w->cpu_s >= 0.5 * ceil(lim->cpu_s)));
    if (w->killed && w->cause == LB_RUN_TIME) {
        r->status = LB_RUN_TIME;
        snprintf(r->note, sizeof r->note, "longer than %g s by the clock (%.1f s of CPU time)", lim->wall_s, w->cpu_s);
    } else if (w->killed && w->cause == LB_RUN_STOPPED) {
        r->status = LB_RUN_STOPPED;
    } else if (w->killed) {
        r->status = LB_RUN_OUTPUT;
        snprintf(r->note, sizeof r->note, "more than %zu bytes of output", lim->out_bytes);
    } else if (w->flood == LB_SANDBOX_MANY_TASKS) {
        r->status = LB_RUN_OUTPUT;
        snprintf(r->note, sizeof r->note, "more than %d threads", w->b->n_proc);
    } else if (w->flood) {
        r->status = LB_RUN_OUTPUT;
        snprintf(r->note, sizeof r->note, "more than %d files in /tmp", LB_SANDBOX_FILES);
    } else if (out_of_time) {
        r->status = LB_RUN_TIME;
        snprintf(r->note, sizeof r->note, "longer than %g s of CPU time", ceil(lim->cpu_s));
    } else if (WIFSIGNALED(w->status) && r->code == SIGKILL) {
        r->status = LB_RUN_MEMORY;
        snprintf(r->note, sizeof r->note, "killed, probably by the kernel for want of memory");
    } else if (WIFSIGNALED(w->status)) {
        r->status = LB_RUN_SIGNAL;
        snprintf(r->note, sizeof r->note, "signal %d (%s)", r->code, strsignal(r->code));
    } else if (r->code != 0) {
        r->status = !strncmp(r->note, "MemoryError", 11) ? LB_RUN_MEMORY : LB_RUN_EXIT;
    } else {
        r->status = LB_RUN_OK;
    }
}

/* A pipe that is non-blocking on our side only. */
static bool open_pipe(int p[2], lb_err *err)
{
    if (pipe2(p, O_CLOEXEC) == 0 && fcntl(p[0], F_SETFL, O_NONBLOCK) == 0) return true;
    return lb_fail_io(err, "sandbox: no pipe");
}

lb_box_end lb_box_run(lb_box *b, const lb_run_opt *opt, size_t tmp_bytes, int program_fd, int input_fd,
                      lb_run_result *r, lb_err *err)
{
    int out[2] = { -1, -1 }, errs[2] = { -1, -1 };
    lb_box_end end = LB_BOX_ERROR;
    watch w = { .b = b, .opt = opt, .out = -1, .err = -1 };
    if (!open_pipe(out, err) || !open_pipe(errs, err)) goto done;
    if (b->group.path && !lb_cgroup_set_memory(&b->group, opt->real_bytes + tmp_bytes + GROUP_BYTES)) {
        lb_fail_io(err, "sandbox: cannot set the memory limit of %.300s", b->group.path);
        goto done;
    }
    end = LB_BOX_DEAD;
    if (!send_run(b, opt, (int[4]){ program_fd, input_fd, out[1], errs[1] })) goto done;
    close_fd(&out[1]);
    close_fd(&errs[1]);
    w.out = out[0];
    w.err = errs[0];
    out[0] = errs[0] = -1;
    w.until = lb_now_s() + opt->wall_s;
    bool answered = attend(&w, &r->out);
    if (r->out.oom) {
        end = LB_BOX_ERROR;
        lb_buf_ok(&r->out, "output of a program", err);
    } else if (answered || w.killed) {                   /* killed but not confirmed: closing the sandbox confirms it */
        explain(&w, r);
        end = answered && !w.dirty ? LB_BOX_CLEAN : LB_BOX_USED_UP;
    } else if (lb_cgroup_ran_out(&b->group)) {           /* the supervisor died with it */
        r->status = LB_RUN_MEMORY;
        r->code = SIGKILL;
        snprintf(r->note, sizeof r->note, "more than %zu MiB of memory in use", opt->real_bytes >> 20);
        end = LB_BOX_USED_UP;
    }
done:
    close_fd(&w.out);
    close_fd(&w.err);
    for (int i = 0; i < 2; i++) {
        close_fd(&out[i]);
        close_fd(&errs[i]);
    }
    return end;
}
