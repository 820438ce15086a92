/* cli/eval_table.h – the results of an evaluation as text: no number without its noise. */
#ifndef LB_CLI_EVAL_TABLE_H
#define LB_CLI_EVAL_TABLE_H
#include "eval/eval.h"

void lb_eval_print(const lb_eval_result *r);
/* name: of the baseline. */
void lb_eval_print_drop(const lb_eval_result *r, const lb_eval_result *base, const lb_eval_drop *d, const char *name);
/* What a difference of `points` needs: by the measured differences, or without a baseline (NULL) by what two runs like this
 * one could have. */
bool lb_eval_print_power(const lb_eval_result *r, const lb_eval_drop *d, double points, lb_err *err);
#endif
