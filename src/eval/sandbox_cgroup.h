/* eval/sandbox_cgroup.h – a cgroup (version 2) for each sandbox: memory and tasks of everything in it together.
 *
 * rlimits count per process and address space, a cgroup counts what is really used, /tmp and kernel memory included.
 * It takes a hierarchy in which this process may make groups with the controllers memory and pids: as root, or where a
 * session manager has delegated a part of it. Without one there is none, and the other walls stand alone. */
#ifndef LB_EVAL_SANDBOX_CGROUP_H
#define LB_EVAL_SANDBOX_CGROUP_H
#include "base/err.h"

/* The folder below which groups can be made, or NULL if there is none: the group of this process if its children have
 * both controllers, else its parent likewise. Groups that killed runs left there are removed. The caller frees it.
 *   self, mounts   texts as of /proc/self/cgroup and /proc/self/mountinfo */
char *lb_cgroup_find(const char *self, const char *mounts);
char *lb_cgroup_find_own(void);                    /* of this process */

typedef struct lb_cgroup {
    char *path;                      /* owned; NULL: none */
    int procs;                       /* cgroup.procs, open for a new process to join by writing "0"; -1: none */
} lb_cgroup;

/* Makes a group below `parent` (NULL: leaves *g empty and succeeds) with at most n_task tasks, no swap, and death of all
 * its processes together when memory runs out. False if the group cannot be made. */
bool lb_cgroup_open(lb_cgroup *g, const char *parent, int n_task, lb_err *err);
/* Sets the limit on memory; false without a group or if the kernel refuses. */
bool lb_cgroup_set_memory(const lb_cgroup *g, size_t bytes);
/* Whether the kernel has killed for want of memory in it. */
bool lb_cgroup_ran_out(const lb_cgroup *g);
/* Kills what is left and removes the group. Takes an empty one. */
void lb_cgroup_close(lb_cgroup *g);
#endif
