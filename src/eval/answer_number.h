/* eval/answer_number.h – the numbers of the lexer as rationals; internal to the grader. */
#ifndef LB_EVAL_ANSWER_NUMBER_H
#define LB_EVAL_ANSWER_NUMBER_H
#include <flint/fmpq.h>
#include <stdbool.h>

enum { LB_NUMBER_DIGITS = 39000, LB_NUMBER_EXPONENT = 10000 };

/* out = 12, 1.25, .5, 0.(3) or 1.5e-3, exactly. False if it has more digits, or a longer power of ten, than the limits.
 * out is initialized. */
bool lb_number_parse(const char *s, fmpq_t out);
#endif
