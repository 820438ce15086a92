/* eval/sandbox_guest.h – the supervisor inside the sandbox: a Python program, started with
 *   python3 -s -S -c SOURCE strong|weak CPU_S MEM_BYTES FILE_BYTES N_TASK N_FILE
 * with the control socket (SOCK_SEQPACKET) as descriptor 3 and the program's seccomp filter as descriptor 4.
 *
 * Messages    judge → supervisor   "R" with 4 descriptors: program, stdin, stdout, stderr      "K" kill what runs
 *             supervisor → judge   "ready" once; "STATUS CPU_US DIRTY FLOOD" for each R: status as from wait(2), CPU
 *                                  time, 1 if the run left anything behind, 1 if it was killed for making too many
 *                                  files. The program is dead and reaped by then. */
#ifndef LB_EVAL_SANDBOX_GUEST_H
#define LB_EVAL_SANDBOX_GUEST_H

enum { LB_SANDBOX_FILES = 4096 };    /* in /tmp; looked at ten times a second */

extern const char lb_sandbox_guest[];
#endif
