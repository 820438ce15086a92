/* eval/sandbox_proc.h – one sandbox process: starting it, one run in it, ending it.
 *
 * A sandbox dies with the thread that started it (bwrap --die-with-parent), so each thread keeps its own.
 *
 * Tasks. RLIMIT_NPROC counts all tasks of a user, whichever sandbox they are in, so that a small limit starves sandboxes
 * that run side by side, and whatever else the user runs. Who counts n_proc for one sandbox alone:
 *   RLIMIT_NPROC     where the count is the sandbox's own: the judge is root and gives each sandbox a user of its own that
 *                    nobody else is; or it has a user namespace and Linux is 5.14 or newer, which counts per namespace
 *   the cgroup       pids.max, where there is one
 *   the supervisor   looks fifty times a second and kills: the weak sandbox of a plain user without a cgroup
 * In the last two RLIMIT_NPROC is a bound against bombs, so far above the tasks there are that nothing else meets it; it is
 * all there is for namespaces on a Linux before 5.14 by a plain user without a cgroup. */
#ifndef LB_EVAL_SANDBOX_PROC_H
#define LB_EVAL_SANDBOX_PROC_H
#include "eval/sandbox.h"
#include "eval/sandbox_cgroup.h"
#include <pthread.h>
#include <sys/types.h>

/* What every sandbox of one lb_sandbox has in common. All owned by the lb_sandbox. */
typedef struct lb_box_plan {
    lb_sandbox_limits lim;           /* no zeros left */
    bool weak;
    char *bwrap, *python;            /* absolute paths, no symbolic links */
    void *outer, *inner;             /* filters of the supervisor and of the program */
    size_t n_outer, n_inner;         /* bytes */
    char *cgroup;                    /* where each sandbox gets a group; NULL: nowhere */
} lb_box_plan;

typedef struct lb_box {
    pid_t pid;                       /* bwrap, or the supervisor itself if weak */
    int control;
    int n_proc;                      /* as in the limits */
    bool weak, own_count;            /* RLIMIT_NPROC counts this sandbox alone, and … */
    int others;                      /* … so many of its tasks that are not the program's */
    lb_cgroup group;
    pthread_t owner;
    struct lb_box *next;
} lb_box;

/* LB_EUNSUPPORTED, with what bwrap or Python wrote on stderr, if it does not come up. */
lb_box *lb_box_open(const lb_box_plan *plan, lb_err *err);
/* False once it has died. */
bool lb_box_alive(const lb_box *b);
/* Kills everything in it and waits for the end. Takes NULL. */
void lb_box_close(lb_box *b);

typedef enum lb_box_end {
    LB_BOX_CLEAN,                    /* *r is set and the sandbox can be used again */
    LB_BOX_USED_UP,                  /* *r is set; close the sandbox */
    LB_BOX_DEAD,                     /* the sandbox died before the verdict: close it and try another one */
    LB_BOX_ERROR                     /* err is set (out of memory, out of descriptors); close it */
} lb_box_end;

/* One run, with no zeros left in *opt but in more and arg. program and input are memory files, sealed and rewound;
 * r->out is empty; tmp_bytes may be in use in /tmp. */
lb_box_end lb_box_run(lb_box *b, const lb_run_opt *opt, size_t tmp_bytes, int program_fd, int input_fd,
                      lb_run_result *r, lb_err *err);
#endif
