/* eval/sandbox_guest.h – the supervisor inside the sandbox: a Python program, started with
 *   python3 -s -S -c SOURCE strong|weak CPU_S MEM_BYTES FILE_BYTES N_TASK
 * with the control socket (SOCK_SEQPACKET) as descriptor 3 and the program's seccomp filter as descriptor 4.
 *
 * Messages    judge → supervisor   "R" with 4 descriptors: program, stdin, stdout, stderr      "K" kill what runs
 *             supervisor → judge   "ready" once; "STATUS CPU_US DIRTY" for each R: status as from wait(2), CPU time,
 *                                  1 if the run left anything behind. The program is dead and reaped by then. */
#ifndef LB_EVAL_SANDBOX_GUEST_H
#define LB_EVAL_SANDBOX_GUEST_H

extern const char lb_sandbox_guest[];
#endif
