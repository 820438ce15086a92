/* sandbox_rig.h – a sandbox with small limits, runs in it, and a look at what is left after them. Without namespaces `box`
 * is NULL and tests skip themselves. */
#ifndef LB_SANDBOX_RIG_H
#define LB_SANDBOX_RIG_H
#include "test.h"
#include "eval/sandbox.h"
#include <dirent.h>
#include <unistd.h>

static lb_sandbox *box;              /* NULL: no namespaces here */
static const lb_sandbox_limits small = { .cpu_s = 1, .wall_s = 30, .mem_bytes = 256 << 20, .n_proc = 16,
                                         .out_bytes = 1 << 20, .tmp_bytes = 8 << 20 };

static int open_box(void **state)
{
    (void)state;
    lb_err e = {0};
    setenv("LB_SECRET_KEY", "do-not-tell", 1);
    box = lb_sandbox_open(&small, false, &e);
    if (!box && e.code != LB_EUNSUPPORTED) fail_msg("%s", e.msg);
    if (!box) print_message("most tests are skipped: %s\n", e.msg);
    else {
        assert_false(lb_sandbox_is_weak(box));
        print_message("walls: %s\n", lb_sandbox_walls(box));
    }
    return 0;
}

static int close_box(void **state)
{
    (void)state;
    lb_sandbox_close(box);
    return 0;
}

/* Runs a program on "3 4\n"; its output is in r->out until the next call. */
static lb_run_result run(const char *program)
{
    static lb_run_result r;
    lb_err e = {0};
    assert_ok(lb_sandbox_run(box, program, strlen(program), "3 4\n", 4, &r, &e), e);
    return r;
}

static void expect(const char *program, lb_run_status status, const char *out)
{
    lb_run_result r = run(program);
    if (r.status != status || (out && strcmp(lb_buf_cstr(&r.out), out)))
        fail_msg("%s\n-> %s %d '%.300s' (%s), wanted %s '%s'", program, lb_run_status_name(r.status), r.code,
                 lb_buf_cstr(&r.out), r.note, lb_run_status_name(status), out ? out : "anything");
}

/* ---- processes of this test, by /proc ---- */

static int parent_of(int pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f) return -1;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *p = strrchr(text, ')');
    char kind;
    int ppid;
    return p && sscanf(p + 1, " %c %d", &kind, &ppid) == 2 && kind != 'Z' ? ppid : -1;
}

/* Living descendants of root; at most cap of them in pids. */
static int descendants(int root, int *pids, int cap)
{
    int n = 0;
    DIR *d = opendir("/proc");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        int pid = atoi(e->d_name);
        if (pid <= 0 || pid == root) continue;
        for (int p = parent_of(pid), depth = 0; p > 0 && depth < 64; p = parent_of(p), depth++)
            if (p == root) {
                if (n < cap) pids[n] = pid;
                n++;
                break;
            }
    }
    closedir(d);
    return n;
}

/* After a verdict only the warm supervisor and its bwrap may live. */
static void nothing_left(void)
{
    int pids[64], n = descendants(getpid(), pids, 64);
    if (n > 2) fail_msg("%d processes are left after the verdict", n);
}
#endif
