/* eval/judge.h – is a program right? Runs it on its tests and compares what it wrote with what was wanted.
 *
 * Two ways to run it. lb_code_judge: as it stands, a process for each test. lb_code_check: as LiveCodeBench's checker
 * runs it, whole programs as well as functions, with that checker's verdicts and its oddities (sandbox_check.c).
 *
 * The comparison is the one of LiveCodeBench's checker (ecosystem.md 3.7), so that verdicts agree with it: white space
 * around the whole text and around each line is dropped, the number of lines must be the same, and each line must be
 * equal as text or else as a list of decimal numbers, exactly ("1.0 2e3" equals "1 2000"; NaN equals nothing). */
#ifndef LB_EVAL_JUDGE_H
#define LB_EVAL_JUDGE_H
#include "eval/sandbox.h"

typedef struct lb_code_test {
    const char *input, *output;      /* borrowed, NUL-terminated */
} lb_code_test;

/* Runs the program on one test after the other, each in a process of its own, and stops at the first that fails: wrong
 * output, a non-zero exit status, a limit. why says which and what, in one line ("" for a pass). The expected outputs
 * stay on this side of the wall. False only if the sandbox itself could not be had; then *pass is false too. */
bool lb_code_judge(const lb_sandbox *s, const char *program, const lb_code_test *tests, int n_test, bool *pass,
                   char why[256], lb_err *err);

/* Verdicts of LiveCodeBench's checker, by its numbers. */
typedef enum lb_code_end {
    LB_CODE_PASS = 1,
    LB_CODE_DIED = -1,               /* the process ended, was killed, or ran into the limit on all tests together */
    LB_CODE_WRONG = -2,
    LB_CODE_TIME = -3,               /* longer than the limit on one test */
    LB_CODE_ERROR = -4               /* an exception, or it does not compile, or a test is not JSON where it has to be */
} lb_code_end;

typedef struct lb_code_set {
    const lb_code_test *p;           /* [n], borrowed */
    int n;
    const char *func_name;           /* NULL: a program that reads stdin; else a function, or method of a class Solution,
                                      * whose arguments are the lines of the input as JSON and whose value is compared
                                      * with the output as JSON (judge_value.h); borrowed */
    int limit_s;                     /* on one test (0: 6, the checker's); on all together (limit_s + 1) n + 5 */
} lb_code_set;

typedef struct lb_code_result {
    lb_code_end end;
    int test;                        /* the one that failed, from 1; 0: before the first, or a pass */
    char why[256];                   /* "" for a pass */
} lb_code_result;

/* Runs the program on all tests in one process and stops at the first that fails. Time is by the clock, but a program
 * that had to wait for a processor gets up to three times as much. Memory: 4 GiB of address space. False only if the
 * sandbox itself could not be had. */
bool lb_code_check(const lb_sandbox *s, const char *program, const lb_code_set *tests, lb_code_result *out,
                   lb_err *err);

/* The comparison alone. why may be NULL. False with LB_ENOMEM in err only for want of memory (numbers are copied). */
bool lb_output_compare(const char *got, size_t n_got, const char *want, size_t n_want, bool *same, char why[256],
                       lb_err *err);
#endif
