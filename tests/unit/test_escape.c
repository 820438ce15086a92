/* test_escape.c – programs that attack the sandbox one by one (reliability.md 5.9, I01–I07), and its cgroup.
 *
 * An attack prints how many attempts were stopped, so that none passes because it did not run. System calls by number are
 * of x86-64. */
#define _GNU_SOURCE
#include "test.h"
#include "unit/sandbox_rig.h"
#include "eval/sandbox_cgroup.h"
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- I01–I07 in numbers: each attack is followed by an ordinary run, which must be right ---- */

typedef struct attack {
    const char *name, *program, *out;    /* out: what it prints if the walls hold; NULL: it is ended */
    lb_run_status status;                /* SIGNAL with NULL: any end but a good one */
} attack;

/* n counts what was stopped, as an exception or, of a raw system call, as -1. */
#define TRY "n = 0\ndef stopped(f, *a):\n    global n\n    try: f(*a)\n" \
            "    except (OSError, ValueError, AttributeError): n += 1\n" \
            "import ctypes, os, sys\ncall = ctypes.CDLL(None, use_errno=True).syscall\n" \
            "def refused(*a):\n    global n\n    n += call(*a) == -1\n"

static const attack attacks[] = {
    { "fork bomb", TRY
      "for i in range(1000): stopped(os.fork)\nprint(n)",
      "1000\n", LB_RUN_OK },
    { "raw fork bomb", TRY
      "for i in range(1000):\n    refused(57)\n    refused(58)\n    refused(56, 17, 0, 0, 0, 0)\n"
      "    refused(435, 0, 0)\nprint(n)",
      "4000\n", LB_RUN_OK },
    { "thread bomb",
      "import _thread, time\nn = 0\ntry:\n"
      "    while True: _thread.start_new_thread(time.sleep, (1000,)); n += 1\nexcept RuntimeError: pass\n"
      "print(n < 20)\nimport os, sys\nsys.stdout.flush()\nos._exit(0)",
      "True\n", LB_RUN_OK },
    { "memory, touched",
      "x = []\nwhile True: x.append(bytearray(b'x' * (1 << 20)))",
      NULL, LB_RUN_MEMORY },
    { "memory by mmap",
      "import mmap\nx = []\nwhile True: x.append(mmap.mmap(-1, 1 << 24)); x[-1].write(b'x' * (1 << 24))",
      NULL, LB_RUN_SIGNAL },
    { "memory by threads",
      "import threading\ndef eat():\n    x = []\n    try:\n        while True: x.append(bytearray(1 << 20))\n"
      "    except MemoryError: pass\nts = [threading.Thread(target=eat) for i in range(4)]\n"
      "for t in ts: t.start()\nfor t in ts: t.join()\nprint('held')",
      "held\n", LB_RUN_OK },
    { "memory of pipes",
      "import os\nps = []\ntry:\n    while True: ps.append(os.pipe())\nexcept OSError: print(len(ps) < 40)",
      "True\n", LB_RUN_OK },
    { "a larger pipe", TRY
      "import fcntl\nr, w = os.pipe()\nstopped(fcntl.fcntl, w, 1031, 1 << 20)\nprint(n)",
      "1\n", LB_RUN_OK },
    { "endless line",
      "import os\nwhile True: os.write(1, b'x' * 65536)",
      NULL, LB_RUN_OUTPUT },
    { "endless errors",
      "import os\nwhile True: os.write(2, b'x' * 65536)",
      NULL, LB_RUN_OUTPUT },
    { "filling tmp", TRY
      "f = os.open('/tmp/f', os.O_CREAT | os.O_RDWR)\ndef fill():\n    while True: os.write(f, b'x' * 65536)\n"
      "stopped(fill)\nprint(n, os.fstat(f).st_size <= 8 << 20)",
      "1 True\n", LB_RUN_OK },
    { "a file with a hole", TRY
      "f = os.open('/tmp/f', os.O_CREAT | os.O_RDWR)\nimport signal\n"
      "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nstopped(os.truncate, '/tmp/f', 1 << 40)\n"
      "stopped(os.pwrite, f, b'x', 1 << 40)\nstopped(os.posix_fallocate, f, 0, 1 << 30)\nprint(n)",
      "3\n", LB_RUN_OK },
    { "many folders",
      "import os\ni = 0\nwhile True: os.mkdir('/tmp/%d' % i); i += 1",
      NULL, LB_RUN_OUTPUT },
    { "deep folders", TRY
      "def deep():\n    for i in range(20000): os.mkdir('d'); os.chdir('d')\nstopped(deep)\nprint('held')\nimport time\ntime.sleep(60)",
      NULL, LB_RUN_OUTPUT }, /* it is counted from outside, now and then */
    { "sockets", TRY
      "import socket\nfor f in (1, 2, 10, 16, 17, 29, 38, 40):\n"
      "    for k in (1, 2, 3, 5): stopped(socket.socket, f, k)\nstopped(socket.socketpair)\n"
      "for f in (1, 2, 10, 16): refused(41, f, 1, 0)\nprint(n)",
      "37\n", LB_RUN_OK },
    { "signals", TRY
      "for p in (1, os.getppid(), -1, 0):\n    for s in (0, 1, 9, 15, 19): stopped(os.kill, p, s)\n"
      "refused(200, 1, 9)\nrefused(234, 1, 1, 9)\nrefused(129, 1, 9, 0)\nrefused(297, 1, 1, 9, 0)\n"
      "refused(424, 0, 9, 0, 0)\nprint(n)",
      "25\n", LB_RUN_OK },
    { "tracing", TRY
      "for r in (0, 1, 16, 0x4206): refused(101, r, 1, 0, 0)\nrefused(310, 1, 0, 0, 0, 0, 0)\n"
      "refused(311, 1, 0, 0, 0, 0, 0)\nrefused(438, 0, 0, 0)\nrefused(312, 1, 1, 0, 0, 0)\nprint(n)",
      "8\n", LB_RUN_OK },
    { "keys, rings, events, bpf", TRY
      "for c in (248, 249, 250, 425, 426, 427, 298, 321, 323, 319, 447, 300, 246, 175): refused(c, 0, 0, 0, 0, "
      "0)\nprint(n)",
      "14\n", LB_RUN_OK },
    { "namespaces", TRY
      "for f in (0x10000000, 0x20000000, 0x40000000, 0x20000, 0x4000000, 0x8000000, 0x2000000, 0x80):\n"
      "    refused(272, f)\n    refused(56, f | 17, 0, 0, 0, 0)\n    refused(308, 0, f)\nprint(n)",
      "24\n", LB_RUN_OK },
    { "mounts", TRY
      "for c in (165, 166, 155, 161, 428, 429, 430, 431, 432, 433, 442): refused(c, b'/', b'/tmp', b'tmpfs', "
      "0, 0)\nstopped(os.chroot, '/tmp')\nprint(n)",
      "12\n", LB_RUN_OK },
    { "becoming root", TRY
      "for f in (os.setuid, os.setgid, os.seteuid, os.setegid): stopped(f, 0)\nstopped(os.setresuid, 0, 0, 0)\n"
      "stopped(os.setgroups, [0])\nstopped(os.setreuid, 0, 0)\n"
      "for p in ('/bin/su', '/usr/bin/su', '/usr/bin/mount', '/usr/bin/bwrap', '/usr/lib/dbus-1.0/x', "
      "'/proc/self/exe', sys.executable): stopped(os.execv, p, ['x'])\nrefused(126, 0, 0)\n"
      "refused(157, 38, 0)\nprint(n)",
      "16\n", LB_RUN_OK },
    { "a setuid file of one's own", TRY
      "open('/tmp/s', 'w').write('#!/bin/sh\\n')\nos.chmod('/tmp/s', 0o6777)\n"
      "stopped(os.execv, '/tmp/s', ['s'])\nstopped(os.mknod, '/tmp/d', 0o20666, 0x103)\n"
      "stopped(os.mkfifo, '/tmp/p')\nstopped(os.chown, '/tmp/s', 0, 0)\nprint(n)",
      "4\n", LB_RUN_OK },
    { "links out", TRY
      "os.symlink('/proc/1/root/etc/passwd', '/tmp/a')\nos.symlink('/../../etc/shadow', '/tmp/b')\n"
      "os.symlink('/dev/fd/0', '/tmp/c')\nfor f in 'abc': stopped(open, '/tmp/' + f)\n"
      "stopped(os.link, sys.executable, '/tmp/h')\nstopped(os.link, '/dev/null', '/tmp/h')\n"
      "stopped(os.rename, '/usr/lib', '/tmp/lib')\nstopped(os.open, '/', os.O_TMPFILE | os.O_RDWR)\n"
      "stopped(os.open, '/tmp/a', os.O_RDONLY | os.O_NOFOLLOW)\nprint(n)",
      "8\n", LB_RUN_OK },
    { "proc", TRY
      "for p in ('/proc', '/proc/self', '/proc/1', '/proc/1/mem', '/proc/1/environ', '/proc/1/cmdline', "
      "'/proc/self/fd', '/proc/sys/kernel/core_pattern', '/proc/thread-self', '/sys/fs/cgroup', '/dev/shm', "
      "'/dev/pts'): stopped(os.stat, p)\nprint(n)",
      "12\n", LB_RUN_OK },
    { "cancelling the limits",
      "import resource, signal, os\nfor r in range(16):\n"
      "    try: resource.setrlimit(r, (resource.RLIM_INFINITY,) * 2)\n    except (OSError, ValueError): pass\n"
      "for s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n"
      "    except (OSError, ValueError): pass\nwhile True: pass",
      NULL, LB_RUN_TIME },
    { "daemonizing", TRY
      "stopped(os.fork)\nstopped(os.setsid)\nstopped(os.setpgid, 0, 0)\n"
      "stopped(os.daemon if hasattr(os, 'daemon') else os.fork)\nos.close(0)\nprint(n)\nsys.stdout.flush()\n"
      "os.close(1)\nos.close(2)",
      "4\n", LB_RUN_OK },
    { "a thread that stays",
      "import threading, os, time, sys\n"
      "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\nprint('main')",
      "main\n", LB_RUN_OK },
    { "writing to every descriptor",
      "import os\nfor fd in range(3, 1024):\n    try:\n        os.write(fd, b'0 0 0 0')\n        print(fd)\n"
      "    except OSError: pass\nprint('none')",
      "none\n", LB_RUN_OK },
    { "patching the supervisor's modules",
      "import builtins, gc, os, sys\nprint('done', flush=True)\nos._exit = os.write = None\n"
      "for o in gc.get_objects():\n    if isinstance(o, dict) and 'supervisor' in o: o.clear()",
      NULL, LB_RUN_SIGNAL },
    { "a crash of the interpreter",
      "import ctypes\nctypes.memset(id(None), 255, 16)\nprint(None)",
      NULL, LB_RUN_SIGNAL },
    { "unbounded recursion in C",
      "import sys\nsys.setrecursionlimit(1 << 30)\nx = []\nfor i in range(1 << 18): x = [x]\nrepr(x)",
      NULL, LB_RUN_SIGNAL },
};

static void nothing_gets_out_and_the_next_run_is_right(void **state)
{
    (void)state;
    if (!box) skip();
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        const attack *a = &attacks[i];
        lb_run_result r = run(a->program);
        bool held = a->out ? r.status == a->status && !strcmp(lb_buf_cstr(&r.out), a->out)
                           : r.status == a->status || (a->status == LB_RUN_SIGNAL && r.status != LB_RUN_OK);
        if (!held) fail_msg("%s: %s %d '%.300s' (%s)", a->name, lb_run_status_name(r.status), r.code,
                            lb_buf_cstr(&r.out), r.note);
        nothing_left();
        r = run("import os\nprint(sum(map(int, input().split())), os.listdir('/tmp'))");
        if (r.status != LB_RUN_OK || strcmp(lb_buf_cstr(&r.out), "7 []\n"))
            fail_msg("the run after '%s': %s '%.300s' (%s)", a->name, lb_run_status_name(r.status),
                     lb_buf_cstr(&r.out), r.note);
    }
}

/* ---- cgroups ---- */

static void put(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* The place is found in texts as the kernel writes them; folders that are no cgroups are refused. */
static void a_cgroup_is_only_used_where_it_is_one(void **state)
{
    (void)state;
    char top[] = "/tmp/lb-cgroup-XXXXXX", own[64], mounts[512];
    assert_non_null(mkdtemp(top));
    snprintf(own, sizeof own, "%s/a", top);
    assert_int_equal(mkdir(own, 0700), 0);
    put(top, "cgroup.subtree_control", "cpu memory pids\n");
    put(own, "cgroup.subtree_control", "\n");
    snprintf(mounts, sizeof mounts, "21 1 8:1 / / rw - ext4 /dev/sda rw\n30 21 0:26 / %s rw,nosuid - cgroup2 cgroup rw\n",
             top);
    assert_null(lb_cgroup_find("0::/a\n", mounts));                    /* its new folders hold no memory.max */
    assert_null(lb_cgroup_find("0::/\n", mounts));
    assert_null(lb_cgroup_find("", mounts));
    assert_null(lb_cgroup_find("0::/a\n", ""));
    assert_null(lb_cgroup_find("3:memory:/a\n", mounts));
    assert_null(lb_cgroup_find("0::/../../etc\n", mounts));
    assert_null(lb_cgroup_find("0::/a\n", "30 21 0:26 /b /tmp rw - cgroup2 cgroup rw\n"));
    lb_err e = {0};
    lb_cgroup g;
    assert_true(lb_cgroup_open(&g, NULL, 4, &e));                      /* none */
    assert_false(lb_cgroup_set_memory(&g, 1 << 20));
    assert_false(lb_cgroup_ran_out(&g));
    lb_cgroup_close(&g);
    assert_false(lb_cgroup_open(&g, own, 4, &e));                      /* a folder, but not a cgroup */
    assert_non_null(strstr(e.msg, "cgroup"));
    assert_null(g.path);
    char path[128];
    snprintf(path, sizeof path, "%s/cgroup.subtree_control", own), unlink(path), rmdir(own);
    snprintf(path, sizeof path, "%s/cgroup.subtree_control", top), unlink(path);
    assert_int_equal(rmdir(top), 0);                                   /* nothing else was left in it */
}

/* Where there is a hierarchy: the kernel counts what no rlimit does. */
static void a_cgroup_bounds_the_whole_sandbox(void **state)
{
    (void)state;
    if (!box || !strstr(lb_sandbox_walls(box), "cgroup")) {
        if (box) print_message("no cgroup hierarchy to write in: %s\n", lb_sandbox_walls(box));
        skip();
    }
    lb_err e = {0};
    lb_sandbox *usual = box;
    box = lb_sandbox_open(&(lb_sandbox_limits){ .cpu_s = 5, .mem_bytes = 1 << 30, .tmp_bytes = 8 << 20 }, false, &e);
    if (!box) fail_msg("%s", e.msg);
    const lb_run_opt tight = { .real_bytes = 64 << 20 };              /* of an address space of 1 GiB */
    lb_run_result r = {0};
    const char *p = "x = bytearray(b'x' * (400 << 20))\nprint(len(x))";
    const char *q = "import mmap\nx = mmap.mmap(-1, 900 << 20)\nprint(len(x) >> 20)";
    assert_ok(lb_sandbox_run_with(box, &tight, p, strlen(p), "", 0, &r, &e), e);
    if (r.status != LB_RUN_MEMORY) fail_msg("%s %d %s", lb_run_status_name(r.status), r.code, r.note);
    print_message("%s\n", r.note);
    assert_ok(lb_sandbox_run_with(box, &tight, q, strlen(q), "", 0, &r, &e), e);
    assert_string_equal(lb_buf_cstr(&r.out), "900\n");                /* never touched */
    expect("print(1)", LB_RUN_OK, "1\n");
    lb_run_result_free(&r);
    lb_sandbox_close(box);
    box = usual;
    char *place = lb_cgroup_find_own();
    assert_non_null(place);
    lb_cgroup g;
    assert_ok(lb_cgroup_open(&g, place, 3, &e), e);
    assert_true(lb_cgroup_set_memory(&g, 16 << 20));
    pid_t eater = fork();
    if (eater == 0) {
        if (write(g.procs, "0", 1) != 1) _exit(3);
        for (int i = 0; i < 8; i++)
            if (fork() == 0) pause();                                  /* at most two of these come to be */
        char *x = malloc(64 << 20);
        for (size_t i = 0; x && i < 64 << 20; i += 4096) ((volatile char *)x)[i] = 1;
        _exit(0);
    }
    int status = 0, pids[16];
    assert_int_equal(waitpid(eater, &status, 0), eater);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(lb_cgroup_ran_out(&g));
    char *path = strdup(g.path);
    lb_cgroup_close(&g);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_in_range(descendants(getpid(), pids, 16), 0, 2);
    free(path);
    free(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_gets_out_and_the_next_run_is_right),
        cmocka_unit_test(a_cgroup_is_only_used_where_it_is_one),
        cmocka_unit_test(a_cgroup_bounds_the_whole_sandbox),
    };
    return cmocka_run_group_tests(tests, open_box, close_box);
}
