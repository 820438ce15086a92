/* eval/sandbox.h – runs Python programs that a model wrote, so that nothing gets out.
 *
 * A program gets a text on stdin and leaves bytes on stdout and a status; it can do nothing else. Walls, from the
 * outside in:
 *   bubblewrap   own user, PID, network, IPC and mount namespaces, a user without rights even when lowbit is root; the
 *                file system is the interpreter and its libraries, read-only, and an empty tmpfs /tmp; no /proc
 *   cgroup       memory and tasks of the whole sandbox, where there is a version 2 hierarchy to write in
 *   rlimits      CPU time, address space, tasks (of each sandbox for itself, sandbox_proc.h), file size, open files, no
 *                core dumps
 *   seccomp      a list of allowed system calls: no new process (but threads), no exec, no sockets, no signals
 *   the judge    wall time and output bytes, counted outside; the expected output never enters the sandbox
 *
 *   judge (lowbit)                       sandbox
 *   lb_sandbox_run ── control socket ──▶ bwrap ▶ supervisor: Python, process 1, trusted (sandbox_guest.c)
 *      memfd: program, input ────────────────────▶ fork ▶ limits, filter ▶ the program, one process per run
 *      pipes: stdout, stderr ◀───────────────────────────┘
 *
 * The supervisor stays warm, since starting Python costs five times as much as a fork; it never reads the program or
 * its input, and a run that leaves anything behind in /tmp, or kills anything, costs the sandbox its life: the next run
 * gets a new one. What is not there: NumPy and other packages, /proc, child processes. */
#ifndef LB_EVAL_SANDBOX_H
#define LB_EVAL_SANDBOX_H
#include "base/buf.h"

typedef struct lb_sandbox_limits {   /* zero means default in every field */
    double cpu_s;                    /* CPU time, rounded up to whole seconds          (default 10 s)   */
    double wall_s;                   /* time by the clock                              (default 30 s)   */
    size_t mem_bytes;                /* address space                                  (default 1 GiB)  */
    int n_proc;                      /* threads, since new processes are never allowed (default 64)     */
    size_t out_bytes;                /* stdout, and stderr likewise                    (default 16 MiB) */
    size_t tmp_bytes;                /* files in /tmp                                  (default 64 MiB) */
} lb_sandbox_limits;

/* Checked once, then reused. Safe for concurrent runs; each calling thread has its own warm process, which ends with
 * that thread. */
typedef struct lb_sandbox lb_sandbox;

/* Finds bwrap and python3 and tries the walls with one run. LB_EUNSUPPORTED, and why, where one is missing or the
 * kernel allows no namespaces; with allow_weak there is then a weak sandbox instead: seccomp and rlimits only, no
 * writing; files that the user may read can be read, unless the kernel has Landlock (5.13). NULL on failure. */
lb_sandbox *lb_sandbox_open(const lb_sandbox_limits *limits, bool allow_weak, lb_err *err);
void lb_sandbox_close(lb_sandbox *s);                 /* no other thread may be inside a run; takes NULL */
bool lb_sandbox_is_weak(const lb_sandbox *s);         /* results have to say so */
const char *lb_sandbox_walls(const lb_sandbox *s);    /* "namespaces, seccomp, rlimits, cgroup", or what of it there is */

typedef enum lb_run_status {
    LB_RUN_OK,                       /* exit status 0 */
    LB_RUN_EXIT,                     /* another exit status: an exception or sys.exit */
    LB_RUN_SIGNAL,                   /* killed by a signal, e.g. a stack overflow */
    LB_RUN_TIME,                     /* CPU or wall limit */
    LB_RUN_MEMORY,                   /* memory limit */
    LB_RUN_OUTPUT,                   /* output limit, thousands of files, or (only in the weak sandbox) too many threads */
    LB_RUN_STOPPED,                  /* the caller had seen enough (lb_run_opt.more) */
    LB_RUN_FAILED                    /* twice the sandbox died under it: never a pass */
} lb_run_status;

typedef struct lb_run_result {
    lb_run_status status;
    int code;                        /* exit status or signal number */
    double cpu_s;
    lb_buf out;                      /* stdout, at most out_bytes; owned by the caller */
    char note[160];                  /* what happened in one line: the last line of stderr, or the limit; printable */
} lb_run_result;

/* What differs from one run to another. Zero means as the sandbox was opened, in every field. */
typedef struct lb_run_opt {
    bool checked;                    /* LiveCodeBench's checker around the program: input and out are as in
                                      * sandbox_guest.h, what the program itself writes to stdout is gone */
    double cpu_s, wall_s;
    size_t mem_bytes, out_bytes;
    size_t real_bytes;               /* memory in use, counted where there is a cgroup (default: mem_bytes) */
    bool (*more)(void *arg, const lb_buf *out);   /* out has grown; false ends the run. Empty: the run begins (again) */
    void *arg;
} lb_run_opt;

/* Runs one program (UTF-8 Python source) on one input. Zero *r before the first call; it is reused. opt may be NULL.
 * After the call no process of the program exists. False (LB_EFAIL, LB_EIO, LB_ENOMEM) only if the sandbox itself could
 * not be had. A run is begun again, once, if the sandbox died of something else. */
bool lb_sandbox_run_with(const lb_sandbox *s, const lb_run_opt *opt, const char *program, size_t n_program,
                         const char *input, size_t n_input, lb_run_result *r, lb_err *err);
bool lb_sandbox_run(const lb_sandbox *s, const char *program, size_t n_program, const char *input, size_t n_input,
                    lb_run_result *r, lb_err *err);
void lb_run_result_free(lb_run_result *r);
const char *lb_run_status_name(lb_run_status status); /* "ok", "exit", "signal", "time", "memory", "output", … */
#endif
