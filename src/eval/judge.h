/* eval/judge.h – is a program right? Runs it on its tests and compares what it wrote with what was wanted.
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

/* The comparison alone. why may be NULL. False with LB_ENOMEM in err only for want of memory (numbers are copied). */
bool lb_output_compare(const char *got, size_t n_got, const char *want, size_t n_want, bool *same, char why[256],
                       lb_err *err);
#endif
