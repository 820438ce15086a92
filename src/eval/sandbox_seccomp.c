/* sandbox_seccomp.c – allow-lists of system calls, compiled by libseccomp.
 *
 * Everything that is not listed answers ENOSYS, as on a kernel without it, so that the C library takes its older way
 * (clone instead of clone3) and a program sees an ordinary OSError. Not listed on purpose: fork, vfork, exec, sockets,
 * kill, ptrace, process_vm_*, mount, unshare, setns, bpf, io_uring_*, userfaultfd, keyctl, memfd_create (memory outside
 * RLIMIT_AS), System V IPC and POSIX queues (they outlive a process), setpriority and affinity of others. */
#define _GNU_SOURCE
#include "eval/sandbox_seccomp.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* What any program may do: its own memory, descriptors, threads, time; looking at files. */
static const char *const common_calls[] = {
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "msync", "mincore",
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek",
    "close", "close_range", "dup", "dup2", "dup3", "flock", "pipe", "pipe2", "sendfile", "sendfile64",
    "copy_file_range", "fadvise64", "fsync", "fdatasync", "ftruncate", "umask",
    "stat", "lstat", "fstat", "newfstatat", "fstatat64", "statx", "statfs", "fstatfs", "access", "faccessat",
    "faccessat2",    "readlink", "readlinkat", "getdents", "getdents64", "getcwd", "chdir", "fchdir",
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
    "eventfd", "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime",
    "clock_gettime", "clock_getres", "clock_nanosleep", "gettimeofday", "time", "nanosleep", "times", "getrusage",
    "setitimer", "getitimer", "alarm", "pause", "restart_syscall",
    "futex", "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "membarrier", "sched_yield",
    "sched_getaffinity", "sched_getparam", "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min",
    "getcpu", "getpriority", "exit", "exit_group", "wait4", "waitid",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait", "rt_sigsuspend",
    "sigaltstack",
    "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups",
    "getpgrp", "getpgid", "getsid", "uname", "sysinfo", "getrlimit", "setrlimit", "getrandom", NULL };

/* Changing files: harmless where everything but a tmpfs is read-only. */
static const char *const write_calls[] = {
    "open", "openat", "creat", "truncate", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "unlink",
    "unlinkat", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod", "fchmodat", "utime", "utimes", "utimensat",
    "futimesat", NULL };

static const char *const supervisor_calls[] = {
    "execve", "fcntl", "arch_prctl", "prctl", "seccomp", "prlimit64", "kill", "pidfd_open", "recvmsg", "sendmsg",
    "tgkill", "recvfrom", "sendto", "getsockopt", "getsockname", "getpeername", "ioctl", "setsid", "fork", NULL };

/* CLONE_NEWTIME is not for clone, only for clone3 and unshare. */
static const unsigned long new_namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                            CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

static bool allow_list(scmp_filter_ctx c, const char *const *names)
{
    for (; *names; names++) {
        int nr = seccomp_syscall_resolve_name(*names);
        if (nr < 0) continue;                         /* not a system call of this architecture */
        if (seccomp_rule_add(c, SCMP_ACT_ALLOW, nr, 0) != 0) return false;
    }
    return true;
}

/* Allows a call if (argument & mask) == value. */
static bool allow_masked(scmp_filter_ctx c, const char *name, unsigned arg, uint64_t mask, uint64_t value)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (nr < 0) return true;
    struct scmp_arg_cmp cmp = { arg, SCMP_CMP_MASKED_EQ, mask, value };
    return seccomp_rule_add_array(c, SCMP_ACT_ALLOW, nr, 1, &cmp) == 0;
}

static bool add_rules(scmp_filter_ctx c, lb_filter_kind kind)
{
    if (!allow_list(c, common_calls)) return false;
    if (kind == LB_FILTER_SUPERVISOR)
        return allow_list(c, write_calls) && allow_list(c, supervisor_calls) &&
               allow_masked(c, "clone", 0, new_namespaces, 0);
    /* Terminals are asked about (isatty), nothing is set. Compared as 32 bits: the kernel looks at no more. */
    static const unsigned ioctls[] = { TCGETS, TIOCGWINSZ, FIONREAD, FIOCLEX, FIONCLEX, FIONBIO };
    for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls; i++)
        if (!allow_masked(c, "ioctl", 1, 0xffffffffu, ioctls[i])) return false;
    /* Without F_SETOWN and F_SETSIG, which send signals, and F_SETPIPE_SZ. */
    static const unsigned fcntls[] = { F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL,
                                       F_GETLK, F_SETLK, F_SETLKW, F_GETPIPE_SZ };
    for (size_t i = 0; i < sizeof fcntls / sizeof *fcntls; i++)
        if (!allow_masked(c, "fcntl", 1, 0xffffffffu, fcntls[i])) return false;
    if (!allow_masked(c, "clone", 0, CLONE_THREAD | new_namespaces, CLONE_THREAD)) return false;
    if (!allow_masked(c, "prlimit64", 0, 0xffffffffu, 0)) return false;                  /* its own limits only */
    if (kind == LB_FILTER_PROGRAM)                                                       /* abort and raise */
        return allow_list(c, write_calls) && allow_masked(c, "tgkill", 0, 0xffffffffu, LB_FILTER_OWN_PID);
    uint64_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_TMPFILE;
    writing &= ~(uint64_t)O_DIRECTORY;                                                   /* a bit of O_TMPFILE */
    return allow_masked(c, "open", 1, writing, 0) && allow_masked(c, "openat", 2, writing, 0);
}

static void *read_filter(scmp_filter_ctx c, size_t *size, lb_err *err)
{
    void *p = NULL;
    struct stat st;
    int fd = memfd_create("lb-filter", MFD_CLOEXEC);
    if (fd < 0) return lb_fail_io(err, "sandbox: no memory file"), NULL;
    int rc = seccomp_export_bpf(c, fd);
    if (rc != 0) {
        lb_fail(err, LB_EUNSUPPORTED, "sandbox: libseccomp cannot write the filter: %s", strerror(-rc));
    } else if (fstat(fd, &st) != 0 || !(p = malloc((size_t)st.st_size)) ||
               pread(fd, p, (size_t)st.st_size, 0) != (ssize_t)st.st_size) {
        lb_fail_io(err, "sandbox: cannot read the filter back");
        free(p);
        p = NULL;
    } else {
        *size = (size_t)st.st_size;
    }
    close(fd);
    return p;
}

void *lb_filter_build(lb_filter_kind kind, size_t *size, lb_err *err)
{
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!c) return lb_fail_null(err, LB_EUNSUPPORTED, "sandbox: libseccomp does not know this processor");
    void *p = NULL;
    (void)seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2);      /* a search tree; a list still works without it */
    if (seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0 || !add_rules(c, kind))
        lb_fail(err, LB_EUNSUPPORTED, "sandbox: libseccomp does not take the rules");
    else
        p = read_filter(c, size, err);
    seccomp_release(c);
    return p;
}
