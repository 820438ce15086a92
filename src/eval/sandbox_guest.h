/* eval/sandbox_guest.h – the supervisor inside the sandbox: a Python program, started with
 *   python3 -s -S -c SOURCE strong|weak FILE_BYTES N_FILE CHECK
 * with the control socket (SOCK_SEQPACKET) as descriptor 3 and the program's seccomp filter as descriptor 4.
 *
 * Messages    judge → supervisor   "R CPU_S MEM_BYTES N_TASK WATCHED" with 4 descriptors: program, stdin, stdout, stderr;
 *                                  N_TASK is RLIMIT_NPROC, WATCHED the most tasks that the supervisor lets it have, 0 if
 *                                  others count them
 *                                  "C …" the same with program, tests, result, stderr (sandbox_check.c)
 *                                  "K" kill what runs
 *             supervisor → judge   "ready" once; "STATUS CPU_US DIRTY FLOOD" for each R and C: status as from wait(2),
 *                                  CPU time, 1 if the run left anything behind, what it was killed for making too many
 *                                  of (lb_sandbox_flood). The program is dead and reaped by then.
 *
 * Tests of C  "LIMIT_S [NAME]\n", NAME for functions; then for each test "LENGTH\n" and so many bytes of input.
 * Its result  records "KIND LENGTH\n" (without the space) and so many bytes, one for each test up to the first that
 *             did not end: O what was written, V the value returned, T time ran out, E an exception and its text; or one
 *             L, an exception while the program was loaded. A program can forge records: all that they say is what it
 *             claims to have answered. */
#ifndef LB_EVAL_SANDBOX_GUEST_H
#define LB_EVAL_SANDBOX_GUEST_H

enum { LB_SANDBOX_FILES = 4096 };    /* in /tmp; looked at ten times a second */
enum lb_sandbox_flood { LB_SANDBOX_MANY_FILES = 1, LB_SANDBOX_MANY_TASKS = 2 };

extern const char lb_sandbox_guest[], lb_sandbox_check[];
#endif
