/* eval/sandbox_seccomp.h – the system calls that a program in the sandbox may make, as a BPF filter. */
#ifndef LB_EVAL_SANDBOX_SECCOMP_H
#define LB_EVAL_SANDBOX_SECCOMP_H
#include "base/err.h"

/* Stands in LB_FILTER_PROGRAM for the process that may be sent signals: the supervisor puts the program's own there. */
enum { LB_FILTER_OWN_PID = 0x7ead51d5 };

typedef enum lb_filter_kind {
    LB_FILTER_SUPERVISOR,    /* the trusted process in the sandbox: may fork, exec, wait and use its control socket */
    LB_FILTER_PROGRAM,       /* a model's program */
    LB_FILTER_PROGRAM_WEAK   /* the same without namespaces around it: no writing of files, no signals at all */
} lb_filter_kind;

/* The filter as an array of struct sock_filter, *size in bytes. The caller frees it. NULL with LB_EUNSUPPORTED if
 * libseccomp cannot make it for this machine. */
void *lb_filter_build(lb_filter_kind kind, size_t *size, lb_err *err);
#endif
