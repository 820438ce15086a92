/* eval/answer_exact.h – values of expressions by enclosures (Arb) and exactly (Calcium); internal to the grader.
 *
 * Enclosures are cheap and bounded: they run in the calling process. They prove that values differ, and can only
 * suggest that they are equal. Calcium proves both, and may take any time and memory: only a child process calls it. */
#ifndef LB_EVAL_ANSWER_EXACT_H
#define LB_EVAL_ANSWER_EXACT_H
#include "eval/answer_tree.h"

typedef enum lb_sampled {
    LB_SAMPLED_NOTHING,        /* not defined there, or not enough precision, or an expression that is not for here */
    LB_SAMPLED_DIFFERENT,      /* proven, unless the names stand for whole numbers only */
    LB_SAMPLED_EQUAL,          /* to LB_SAMPLED_DIGITS digits wherever both are defined */
    LB_SAMPLED_EQUAL_POSITIVE, /* the same, but not where a name is negative */
    LB_SAMPLED_EQUAL_WHOLE     /* where the names are whole numbers */
} lb_sampled;

enum { LB_SAMPLED_DIGITS = 270 };
#define LB_SAMPLED_WHY "equal at %d random points to %d digits"

/* Compares at random rational points (the same ones each time). *constant: there are no names in either operand, and
 * *n_point is 1. decimal_log: log without a base is to base 10, else natural. Charges *work. */
lb_sampled lb_exact_sample(lb_operand gold, lb_operand answer, lb_compare how, bool decimal_log, long *work,
                           bool *constant, int *n_point);

/* Proves two constants equal (LB_RIGHT) or different (LB_WRONG). */
lb_verdict lb_exact_prove(lb_operand gold, lb_operand answer, lb_compare how, bool decimal_log, char why[LB_TREE_WHY]);

/* Whether two constants are within 1e-4 of each other, relative to gold; LB_HUNDREDFOLD, LB_HUNDREDTH scale first. */
bool lb_exact_close(lb_operand gold, lb_operand answer, lb_compare how, bool decimal_log, long *work);

/* A constant to 15 digits, "1.41421356237310" or "0.5 + 0.8660254038*I"; false if it has no value here. */
bool lb_exact_decimal(lb_operand o, char *out, size_t size);

/* Frees what the libraries keep for the calling thread. */
void lb_exact_cleanup(void);
#endif
