/* test_sandbox.c – programs that behave, and programs that try to get out (reliability.md 5.9, I01–I10).
 *
 * A program that attacks prints what got through and how many attempts were stopped, so that no test passes because the
 * attack did not run. Without user namespaces only the tests of refusal and of the weak sandbox run. */
#define _GNU_SOURCE
#include "test.h"
#include "unit/sandbox_rig.h"
#include "base/cpu.h"
#include "eval/sandbox.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int n_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

/* ---- programs that behave ---- */

static void ordinary_programs_run(void **state)
{
    (void)state;
    if (!box) skip();
    expect("print(sum(map(int, input().split())))", LB_RUN_OK, "7\n");
    expect("import sys\nfor line in sys.stdin: print(line.strip())\nprint(sys.argv, __name__, __file__)", LB_RUN_OK,
           "3 4\n['program.py'] __main__ program.py\n");
    expect("import os\nprint(os.read(0, os.fstat(0).st_size).decode(), end='')", LB_RUN_OK, "3 4\n");
    expect("# -*- coding: utf-8 -*-\nprint('häß €')", LB_RUN_OK, "h\xc3\xa4\xc3\x9f \xe2\x82\xac\n");
    /* What programs of LiveCodeBench import; exit and quit come from site elsewhere. */
    expect("import string, re, datetime, collections, heapq, bisect, copy, "
           "math, random, statistics, itertools, functools, operator\n"
           "import io, sys, json, builtins, typing, decimal, fractions, "
           "queue, array, dataclasses, enum, time, cmath, threading\n"
           "from functools import *\nfrom collections import *\nfrom typing import *\n"
           "@dataclasses.dataclass\nclass P:\n    x: int\n"
           "sys.setrecursionlimit(50000)\n@lru_cache(None)\ndef f(n): return n if n < 2 else f(n - 1) + f(n - 2)\n"
           "print(P(1), f(5000) % 1000007, fractions.Fraction(1, 3), datetime.date(2024, 2, 29).weekday())\nexit()",
           LB_RUN_OK, "P(x=1) 797124 1/3 3\n");
    /* Deep recursion in a thread with a large stack; output left in a buffer, an atexit function, a global file. */
    expect("import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(64 << 20)\n"
           "def depth(n): return 0 if n == 0 else 1 + depth(n - 1)\nt "
           "= threading.Thread(target=lambda: print(depth(20000)))\nt.start()",
           LB_RUN_OK, "20000\n");
    expect("import atexit, sys\natexit.register(lambda: sys.stdout.write('bye'))\nsys.stdout.write('hi ')\n"
           "quit()", LB_RUN_OK, "hi bye");
    expect("out = open(1, 'w', closefd=False)\nout.write('late')", LB_RUN_OK, "late");
    expect("import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer)\n"
           "print('wrapped')", LB_RUN_OK, "wrapped\n");
    expect("with open('/tmp/a', 'w') as f: f.write('x' * 1000)\nprint(len(open('a').read()))", LB_RUN_OK, "1000\n");
    expect("print({'a', 'b', 'c', 'd'} == set('abcd'), hash('abc') == hash('abc'))", LB_RUN_OK, "True True\n");
}

static void ends_are_told_apart(void **state)
{
    (void)state;
    if (!box) skip();
    expect("print(1)\nraise KeyError('k')", LB_RUN_EXIT, "1\n");
    lb_run_result r = run("raise KeyError('k\\x1b[31m')");
    assert_int_equal(r.code, 1);
    assert_string_equal(r.note, "KeyError: 'k\\x1b[31m'");
    r = run("import sys\nsys.stderr.write('a\\x1b[31m\\n')\nsys.exit(77)");
    assert_int_equal(r.code, 77);
    assert_string_equal(r.note, "a?[31m");
    r = run("import sys\nsys.exit('reason')");
    assert_int_equal(r.code, 1);
    assert_string_equal(r.note, "reason");
    expect("x = (", LB_RUN_EXIT, "");
    expect("x = '\xff'", LB_RUN_EXIT, "");
    expect("import ctypes\nctypes.string_at(8)", LB_RUN_SIGNAL, "");
    expect("import os\nos.abort()", LB_RUN_SIGNAL, "");
    expect("raise SystemExit(type('E', (int,), {'__and__': lambda a, b: 1 / 0})(1))", LB_RUN_EXIT, "");
    lb_err e = {0};
    lb_run_result z = {0};
    assert_ok(lb_sandbox_run(box, "print(1)\0print(2)", 17, "", 0, &z, &e), e);
    assert_int_equal(z.status, LB_RUN_EXIT);                           /* NUL in the source */
    lb_run_result_free(&z);
}

/* A large input that is read late or never, and a large output: neither side waits for the other. */
static void large_streams_do_not_block(void **state)
{
    (void)state;
    if (!box) skip();
    size_t n = 32 << 20;
    char *input = malloc(n);
    assert_non_null(input);
    memset(input, '7', n);
    lb_run_result r = {0};
    lb_err e = {0};
    const char *p = "import sys\nsys.stdout.write('x' * 500000)\nprint(len(sys.stdin.read()))", *q = "print(1)";
    assert_ok(lb_sandbox_run(box, p, strlen(p), input, n, &r, &e), e);
    assert_int_equal(r.status, LB_RUN_OK);
    assert_int_equal(r.out.n, 500000 + 9);
    assert_ok(lb_sandbox_run(box, q, strlen(q), input, n, &r, &e), e);
    assert_int_equal(r.status, LB_RUN_OK);
    lb_run_result_free(&r);
    free(input);
}

static void runs_do_not_meet(void **state)
{
    (void)state;
    if (!box) skip();
    expect("open('/tmp/x', 'w').write('from run 1')\nimport os\nos.chmod('/tmp', 0o500)", LB_RUN_OK, "");
    expect("import os\nprint(os.listdir('/tmp'))\nopen('/tmp/y', 'w')", LB_RUN_OK, "[]\n");
    expect("import builtins, sys\nbuiltins.print = None\nsys.modules['math'].pi = 3\n"
           "sys.setrecursionlimit(50)", LB_RUN_OK, "");
    expect("import math, sys\nprint(math.pi > 3, sys.getrecursionlimit())", LB_RUN_OK, "True 1000\n");
    /* The supervisor cannot be reached: not by signals, limits, priority or affinity. */
    expect("import os, resource, signal\nn = 0\n"
           "for f in (lambda: os.kill(1, 9), lambda: os.kill(-1, 9), lambda: "
           "os.kill(os.getppid(), 15), lambda: os.killpg(0, 9),\n"
           "          lambda: resource.prlimit(1, resource.RLIMIT_CPU, "
           "(0, 0)), lambda: os.setpriority(os.PRIO_USER, 0, 19),\n"
           "          lambda: os.sched_setaffinity(1, {0}), lambda: os.setpgid(0, 1)):\n"
           "    try: f()\n    except OSError: n += 1\nprint(n)", LB_RUN_OK, "8\n");
    expect("print(1)", LB_RUN_OK, "1\n");
}

/* ---- I01: processes and time ---- */

static void processes_and_threads_are_bounded(void **state)
{
    (void)state;
    if (!box) skip();
    expect("import os\nn = 0\nwhile n < 100:\n    try: os.fork()\n    except OSError: n += 1\n"
           "print(n)", LB_RUN_OK, "100\n");
    expect("import os, subprocess, multiprocessing\nn = 0\n"
           "for f in (lambda: subprocess.run(['true']), lambda: os.system('true') "
           "and 1 / 0, lambda: os.posix_spawn('/bin/true', ['true'], {}),\n"
           "          lambda: os.execv('/usr/bin/python3', ['python3']), "
           "lambda: multiprocessing.Process(target=print).start(),\n"
           "          lambda: os.forkpty()):\n    try: f()\n    except (OSError, ZeroDivisionError): n += 1\n"
           "print(n)", LB_RUN_OK, "6\n");
    lb_run_result r = run("import threading, time, os\nthreading.stack_size(64 << 10)\nn = 1\n"
                          "try:\n    while n < 5000:\n        threading.Thread(target=time.sleep, "
                          "args=(60,), daemon=True).start()\n        n += 1\n"
                          "except RuntimeError: pass\nprint(n, flush=True)\nos._exit(0)");
    assert_int_equal(r.status, LB_RUN_OK);
    assert_in_range(atoi(lb_buf_cstr(&r.out)), 8, 16);
    nothing_left();
}

static void time_runs_out(void **state)
{
    (void)state;
    if (!box) skip();
    lb_run_result r = run("import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n"
                          "    except (OSError, ValueError): pass\n"
                          "signal.alarm(0)\nwhile True: pass");
    assert_int_equal(r.status, LB_RUN_TIME);
    assert_non_null(strstr(r.note, "CPU time"));
    assert_true(r.cpu_s < 3.5);
    expect("x = 7 ** 10 ** 8\nprint(x % 10)", LB_RUN_TIME, "");
    expect("print(1)", LB_RUN_OK, "1\n");
    nothing_left();
}

static void the_clock_runs_out(void **state)
{
    (void)state;
    if (!box) skip();
    lb_err e = {0};
    lb_sandbox *patient = box;
    box = lb_sandbox_open(&(lb_sandbox_limits){ .wall_s = 1.5 }, false, &e);
    if (!box) fail_msg("%s", e.msg);
    double t = lb_now_s();
    lb_run_result r = run("import os, signal, time\nfor s in (1, 2, 15, 24): signal.signal(s, signal.SIG_IGN)\n"
            "try: os.setsid()\nexcept OSError: pass\nos.close(1)\nos.close(2)\nos.close(0)\n"
            "while True: time.sleep(100)");
    assert_int_equal(r.status, LB_RUN_TIME);
    assert_non_null(strstr(r.note, "by the clock"));
    assert_true(lb_now_s() - t < 6);
    int pids[64];
    assert_in_range(descendants(getpid(), pids, 64), 2, 4);            /* two warm sandboxes */
    expect("import threading, time\nt = threading.Thread(target=time.sleep, args=(1000,))\nt.start()", LB_RUN_TIME, "");
    lb_sandbox_close(box);
    box = patient;
    nothing_left();
}

/* ---- I02, I03: memory, output, files ---- */

static void memory_runs_out(void **state)
{
    (void)state;
    if (!box) skip();
    expect("x = bytearray(1 << 40)", LB_RUN_MEMORY, "");
    expect("x = [0] * 10 ** 9", LB_RUN_MEMORY, "");
    expect("x = []\nwhile True: x.append('y' * 1000000 + str(len(x)))", LB_RUN_MEMORY, "");
    expect("import mmap\nx = []\ntry:\n    while True:\n        x.append(mmap.mmap(-1, 1 << 20))\n"
           "except (OSError, MemoryError): pass\nprint(len(x) < 256)",
           LB_RUN_OK, "True\n");
    expect("x = 1 << (1 << 40)", LB_RUN_MEMORY, "");
    lb_run_result r = run("import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(x):\n    y = bytearray(10000)\n"
                          "    return f([x])\nf(0)");
    assert_true(r.status == LB_RUN_MEMORY || r.status == LB_RUN_EXIT);         /* 3.11 says SystemError for a frame */
    r = run("import functools, sys\nsys.setrecursionlimit(10 ** 9)\n@functools.lru_cache(None)\n"
            "def f(n): return f(n + 1)\nf(0)");
    assert_true(r.status == LB_RUN_MEMORY || r.status == LB_RUN_SIGNAL);                       /* through the C stack */
    expect("import os\nn = 0\nfor f in (lambda: os.memfd_create('x'), lambda: open('/dev/shm/x', 'w')):\n"
           "    try: f()\n    except OSError: n += 1\nprint(n)",
           LB_RUN_OK, "2\n");
    expect("print(1)", LB_RUN_OK, "1\n");
}

static void output_is_capped(void **state)
{
    (void)state;
    if (!box) skip();
    lb_run_result r = run("while True: print('y' * 100)");
    assert_int_equal(r.status, LB_RUN_OUTPUT);
    assert_int_equal(r.out.n, 1 << 20);
    r = run("import sys\nwhile True: sys.stderr.write('z' * 65536)");
    assert_int_equal(r.status, LB_RUN_OUTPUT);
    assert_int_equal(r.out.n, 0);
    expect("import sys\nsys.stdout.write('x' * (1 << 20))", LB_RUN_OK, NULL);
    expect("import sys\nsys.stdout.write('x' * (1 << 20) + 'y')", LB_RUN_OUTPUT, NULL);
    nothing_left();
}

static void files_are_confined(void **state)
{
    (void)state;
    if (!box) skip();
    lb_run_result r = run("import os\nn = 0\ntry:\n    for i in range(1000):\n"
                          "        fd = os.open('/tmp/f%d' % i, os.O_CREAT | os.O_WRONLY)\n"
                          "        n += os.write(fd, b'x' * 100000)\n        os.close(fd)\n"
                          "except OSError as e: print(e.errno, n)");
    int no = 0;
    long n = 0;
    assert_int_equal(sscanf(lb_buf_cstr(&r.out), "%d %ld", &no, &n), 2);
    assert_int_equal(no, ENOSPC);
    assert_in_range(n, 7 << 20, 8 << 20);
    r = run("i = 0\nwhile True:\n    open('/tmp/%d' % i, 'w').close()\n    i += 1");
    assert_int_equal(r.status, LB_RUN_OUTPUT);
    assert_string_equal(r.note, "more than 4096 files in /tmp");
    expect("import os\nfs = []\ntry:\n    while True: fs.append(os.open('/dev/null', 0))\n"
           "except OSError as e: print(e.errno, len(fs) < 64)",
           LB_RUN_OK, "24 True\n");
    /* Nowhere else to write, no core dump, and links lead nowhere. */
    expect("import os, resource\nbad = []\nfor d in ('/', '/usr/lib', "
           "'/dev', '/usr/lib/python3', '/lib', '/tmp/..', '/dev/shm', '/run', '/var/tmp'):\n"
           "    try:\n        open(d + '/x', 'w')\n        bad.append(d)\n    except OSError: pass\n"
           "for t in ('/etc/passwd', '/proc/self/environ', '../../../etc/shadow', '/root'):\n"
           "    os.symlink(t, '/tmp/l')\n    try:\n        open('/tmp/l').read()\n        bad.append(t)\n"
           "    except OSError: pass\n    os.unlink('/tmp/l')\n"
           "try:\n    os.link(os.__file__, '/tmp/h')\n    bad.append('link')\nexcept OSError: pass\n"
           "print(bad, resource.getrlimit(resource.RLIMIT_CORE))", LB_RUN_OK, "[] (0, 0)\n");
}

/* ---- I04, I05, I07: what is not there ---- */

static void secrets_are_out_of_reach(void **state)
{
    (void)state;
    if (!box) skip();
    expect("import os\nseen = []\nn = 0\n"
           "for p in ('/etc/shadow', '/etc/passwd', '/etc', '/root', '/home', "
           "'/proc', '/proc/1/mem', '/proc/self/mem', '/proc/self/environ',\n"
           "          '/proc/self/maps', '/sys', '/var', '/run', '/work', "
           "'/usr/share', '/usr/local/share', '/boot', '/mnt', '/opt', "
           "'/dev/mem', '/dev/kmsg', '/dev/tty', '/dev/shm',\n"
           "          '/dev/fd', '/dev/stdin'):\n"
           "    try:\n        os.listdir(p) if os.path.isdir(p) else open(p, 'rb').read(1)\n        seen.append(p)\n"
           "    except OSError: n += 1\n"
           "print(n, seen, sorted(os.listdir('/dev')), sorted(set(os.listdir('/')) "
           "- {'lib32', 'libx32', 'lib64'}), len(os.listdir('/usr/bin')))",
           LB_RUN_OK, "25 [] ['null', 'urandom', 'zero'] ['dev', 'lib', 'tmp', 'usr'] 1\n");
    expect("import ctypes, os\nenv = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ')\ni = 0\n"
           "raw = []\n"
           "while env[i]:\n    raw.append(env[i])\n    i += 1\n"
           "print(dict(os.environ), raw, os.getuid(), os.getgid(), os.getgroups() "
           "in ([], [65534]), os.getppid(), os.uname().nodename)\n",
           LB_RUN_OK, "{'HOME': '/tmp'} [b'HOME=/tmp'] 65534 65534 True 1 sandbox\n");
    expect("import os\nfds = []\nfor fd in range(256):\n    try:\n        os.fstat(fd)\n        fds.append(fd)\n"
           "    except OSError: pass\nprint(fds)",
           LB_RUN_OK, "[0, 1, 2]\n");
    expect("import os\nfor f in (lambda: os.write(0, b'x'), lambda: os.ftruncate(0, "
           "0), lambda: os.pwrite(0, b'x', 0)):\n"
           "    try: print('wrote', f())\n    except OSError: pass\nprint(os.read(0, 99))", LB_RUN_OK, "b'3 4\\n'\n");
}

static void there_is_no_network(void **state)
{
    (void)state;
    if (!box) skip();
    expect("import socket\nn = 0\n"
           "def tcp(): socket.create_connection(('127.0.0.1', 22), 1)\n"
           "def dns(): socket.getaddrinfo('example.com', 80)\n"
           "makers = [tcp, dns, lambda: socket.socketpair()]\n"
           "for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, "
           "socket.AF_NETLINK, socket.AF_PACKET, socket.AF_ALG, socket.AF_VSOCK):\n"
           "    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW): "
           "makers.append(lambda f=family, k=kind: socket.socket(f, k))\n"
           "for f in makers:\n    try:\n        f()\n        print('open')\n    except OSError: n += 1\n"
           "print(n)", LB_RUN_OK, "24\n");
}

/* Each raw call must answer ENOSYS, whatever its arguments: that is the filter's answer, not the kernel's. */
static void dangerous_system_calls_are_filtered(void **state)
{
    (void)state;
    if (!box) skip();
    static const struct { const char *name; long nr; } calls[] = {
#define CALL(n) { #n, SYS_##n },
        CALL(mount) CALL(umount2) CALL(pivot_root) CALL(chroot) CALL(unshare) CALL(setns) CALL(open_tree)
        CALL(move_mount) CALL(fsopen) CALL(fsmount) CALL(ptrace) CALL(process_vm_readv) CALL(process_vm_writev)
        CALL(kcmp) CALL(pidfd_open) CALL(pidfd_getfd) CALL(pidfd_send_signal) CALL(kill) CALL(tkill)
        CALL(rt_sigqueueinfo) CALL(rt_tgsigqueueinfo) CALL(keyctl) CALL(add_key) CALL(request_key) CALL(bpf)
        CALL(userfaultfd) CALL(io_uring_setup) CALL(io_uring_enter) CALL(io_uring_register) CALL(perf_event_open)
        CALL(name_to_handle_at) CALL(open_by_handle_at) CALL(kexec_load) CALL(init_module) CALL(finit_module)
        CALL(delete_module) CALL(socket) CALL(socketpair) CALL(bind) CALL(connect) CALL(sendmsg) CALL(recvmsg)
        CALL(execve) CALL(execveat) CALL(clone3) CALL(memfd_create) CALL(shmget) CALL(semget) CALL(msgget)
        CALL(mq_open) CALL(setuid) CALL(setgid) CALL(setresuid) CALL(setgroups) CALL(capset) CALL(prctl) CALL(seccomp)
        CALL(personality) CALL(mknodat) CALL(fchownat) CALL(setxattr) CALL(sethostname) CALL(swapon) CALL(acct)
        CALL(reboot) CALL(settimeofday) CALL(clock_settime) CALL(adjtimex) CALL(quotactl) CALL(fanotify_init)
        CALL(move_pages) CALL(mbind) CALL(setpriority) CALL(sched_setaffinity) CALL(sched_setscheduler)
        CALL(ioprio_set) CALL(splice) CALL(tee) CALL(vmsplice) CALL(syslog) CALL(setsid) CALL(setpgid) CALL(mlock)
        CALL(mlockall) CALL(timer_create) CALL(io_setup) CALL(fallocate) CALL(sched_setattr)
#undef CALL
    };
    lb_buf p = {0};
    lb_buf_str(&p, "import ctypes\ncall = ctypes.CDLL(None, use_errno=True).syscall\nthrough = []\n"
                   "def stopped(name, *a):\n    if call(*a) != -1 or ctypes.get_errno() "
                   "!= 38: through.append((name, ctypes.get_errno()))\n");
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        lb_buf_fmt(&p, "stopped('%s', %ld, 0, 0, 0, 0, 0, 0)\n", calls[i].name, calls[i].nr);
    /* Allowed with other arguments: fork by clone, new namespaces, TIOCSTI, F_SETOWN, F_SETSIG, another's limits. */
    lb_buf_fmt(&p, "stopped('clone fork', %ld, 17, 0, 0, 0, 0)\nstopped('clone user', %ld, %ld, 0, 0, 0, 0)\n"
                   , (long)SYS_clone,
               (long)SYS_clone, 0x10000000L | CLONE_THREAD | CLONE_VM | CLONE_SIGHAND);
    lb_buf_fmt(&p, "stopped('tiocsti', %ld, 0, 0x5412, 0)\nstopped('setown', %ld, 1, 8, 1)\n"
                   "stopped('setsig', %ld, 1, 10, 9)\n"
                   "stopped('prlimit', %ld, 1, 0, 0, 0)\n"
                   , (long)SYS_ioctl, (long)SYS_fcntl, (long)SYS_fcntl, (long)SYS_prlimit64);
    lb_buf_str(&p, "print(through)\n");
    expect(lb_buf_cstr(&p), LB_RUN_OK, "[]\n");
    lb_buf_free(&p);
}

/* ---- the judge's own life ---- */

static void *some_runs(void *arg)
{
    char *seen = arg;
    for (int i = 0; i < 20; i++) {
        lb_run_result r = {0};
        char p[96];
        snprintf(p, sizeof p, i % 5 == 4 ? "1 / 0" : "print(sum(range(20000)) + %d)", i);
        seen[i] = lb_sandbox_run(box, p, strlen(p), "", 0, &r, NULL) ? (char)('0' + r.status) : '?';
        if (i % 5 != 4 && atoi(lb_buf_cstr(&r.out)) != 199990000 + i) seen[i] = '!';
        lb_run_result_free(&r);
    }
    return NULL;
}

static void threads_run_side_by_side(void **state)
{
    (void)state;
    if (!box) skip();
    int before = n_descriptors();
    char seen[3][21] = { "", "", "" };
    pthread_t t[3];
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&t[i], NULL, some_runs, seen[i]), 0);
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_join(t[i], NULL), 0);
    for (int i = 0; i < 3; i++) assert_string_equal(seen[i], "00001000010000100001");
    expect("print(1)", LB_RUN_OK, "1\n");
    assert_in_range(n_descriptors(), before, before + 3);              /* one idle control socket per thread */
}

static void a_killed_sandbox_is_replaced(void **state)
{
    (void)state;
    if (!box) skip();
    expect("print(1)", LB_RUN_OK, "1\n");
    int pids[64], n = descendants(getpid(), pids, 64);
    assert_in_range(n, 2, 64);
    for (int i = 0; i < n && i < 64; i++) kill(pids[i], SIGKILL);
    expect("print(2)", LB_RUN_OK, "2\n");
    nothing_left();
}

static void the_sandbox_dies_with_the_judge(void **state)
{
    (void)state;
    if (!box) skip();
    pid_t judge = fork();
    if (judge == 0) {
        lb_sandbox *s = lb_sandbox_open(&(lb_sandbox_limits){ .wall_s = 60 }, false, NULL);
        lb_run_result r = {0};
        const char *p = "import time\ntime.sleep(60)";
        if (s) lb_sandbox_run(s, p, strlen(p), "", 0, &r, NULL);
        _exit(0);
    }
    int pids[16], n = 0;
    for (double t = lb_now_s(); n < 3 && lb_now_s() - t < 5; usleep(10000)) n = descendants(judge, pids, 16);
    assert_int_equal(n, 3);                                            /* bwrap, supervisor, program */
    kill(judge, SIGKILL);
    waitpid(judge, NULL, 0);
    int alive = 3;
    for (double t = lb_now_s(); alive && lb_now_s() - t < 3; usleep(10000)) {
        alive = 0;
        for (int i = 0; i < 3; i++) alive += parent_of(pids[i]) >= 0;
    }
    assert_int_equal(alive, 0);
}

static void bad_limits_are_refused(void **state)
{
    (void)state;
    lb_err e = {0};
    assert_null(lb_sandbox_open(&(lb_sandbox_limits){ .cpu_s = -1 }, false, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    assert_null(lb_sandbox_open(&(lb_sandbox_limits){ .wall_s = NAN }, false, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    lb_sandbox_close(NULL);
}

/* I10. Comes last: from here on this process gets no namespaces, as in a container that forbids them. */
static void without_namespaces_it_refuses_or_is_weak(void **state)
{
    (void)state;
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW);
    assert_non_null(c);
    assert_int_equal(seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0), 0);
    assert_int_equal(seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)), 0);
    assert_int_equal(seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), 0);
    assert_int_equal(seccomp_load(c), 0);
    seccomp_release(c);
    lb_err e = {0};
    assert_null(lb_sandbox_open(&small, false, &e));
    assert_int_equal(e.code, LB_EUNSUPPORTED);
    assert_non_null(strstr(e.msg, "namespace"));
    print_message("%s\n", e.msg);

    lb_sandbox *strong = box;
    box = lb_sandbox_open(&small, true, &e);
    if (!box) fail_msg("%s", e.msg);
    assert_true(lb_sandbox_is_weak(box));
    expect("print(sum(map(int, input().split())))", LB_RUN_OK, "7\n");
    expect("import os, socket\nn = 0\n"
           "for f in (os.fork, lambda: socket.socket(), lambda: open('/tmp/lb-weak-test', "
           "'w'), lambda: os.mkdir('/tmp/lb-weak-test'),\n"
           "          lambda: os.unlink('/tmp/none'), lambda: os.open('/tmp', "
           "os.O_TMPFILE | os.O_RDWR), lambda: os.kill(os.getppid(), 9),\n"
           "          lambda: os.execv('/bin/true', ['true']), lambda: os.chmod('/tmp', 0o777)):\n"
           "    try: f()\n    except OSError as e: n += e.errno == 38\n"
           "print(n, dict(os.environ))", LB_RUN_OK, "9 {'HOME': '/tmp'}\n");
    expect("while True: pass", LB_RUN_TIME, "");
    expect("x = bytearray(1 << 40)", LB_RUN_MEMORY, "");
    expect("import csv, difflib\nprint(open('/dev/null').read() == '')", LB_RUN_OK, "True\n");
    if (syscall(444, NULL, 0, 1) >= 1)                                 /* Landlock: files are hidden all the same */
        expect("import os\nn = 0\nfor p in ('/etc/passwd', '/proc/self/environ', '/proc/%d/mem' % os.getppid(),\n"
               "          '/proc/1/status'):\n"
               "    try: open(p, 'rb').read(1)\n    except PermissionError: n += 1\n"
               "for p in ('/', '/etc', '/tmp', '/proc', '/home', '/usr/share'):\n"
               "    try: os.listdir(p)\n    except OSError: n += 1\nprint(n)", LB_RUN_OK, "10\n");
    expect("print(1)", LB_RUN_OK, "1\n");
    lb_sandbox_close(box);
    box = strong;
}

static void closing_leaves_nothing(void **state)
{
    (void)state;
    if (!box) skip();
    lb_sandbox_close(box);
    box = NULL;
    int pids[4];
    assert_int_equal(descendants(getpid(), pids, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_programs_run),
        cmocka_unit_test(ends_are_told_apart),
        cmocka_unit_test(large_streams_do_not_block),
        cmocka_unit_test(runs_do_not_meet),
        cmocka_unit_test(processes_and_threads_are_bounded),
        cmocka_unit_test(time_runs_out),
        cmocka_unit_test(the_clock_runs_out),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(output_is_capped),
        cmocka_unit_test(files_are_confined),
        cmocka_unit_test(secrets_are_out_of_reach),
        cmocka_unit_test(there_is_no_network),
        cmocka_unit_test(dangerous_system_calls_are_filtered),
        cmocka_unit_test(threads_run_side_by_side),
        cmocka_unit_test(a_killed_sandbox_is_replaced),
        cmocka_unit_test(the_sandbox_dies_with_the_judge),
        cmocka_unit_test(bad_limits_are_refused),
        cmocka_unit_test(without_namespaces_it_refuses_or_is_weak),
        cmocka_unit_test(closing_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, open_box, close_box);
}
