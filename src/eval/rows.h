/* eval/rows.h – what benchmarks share: fields of rows that people publish under several names, prompts, graders. */
#ifndef LB_EVAL_ROWS_H
#define LB_EVAL_ROWS_H
#include "eval/bench.h"

/* The first of `keys` (NULL-terminated) that the row has, as a string that is not empty; borrowed from the row. */
bool lb_row_text(const lb_row *row, const char *const *keys, const char **out, lb_err *err);
/* The same for a field that is a string, an integer or a real, as text: 70.0 gives "70". Fails if it is longer than
 * out. */
bool lb_row_scalar(const lb_row *row, const char *const *keys, char *out, size_t size, lb_err *err);
/* it->id from the first of `keys` that the row has, a string or a number; "" if it has none of them. */
bool lb_row_id(const lb_row *row, const char *const *keys, lb_item *it, lb_err *err);
/* it->level from `key`, if there: 1 … 5, or "Level 3". */
bool lb_row_level(const lb_row *row, const char *key, lb_item *it, lb_err *err);
/* it->gold from the first of `keys`: a number, or text that ends with one behind "#### " (GSM8K); without thousands
 * separators and "$". */
bool lb_row_gold_number(const lb_row *row, const char *const *keys, lb_item *it, lb_err *err);

/* it->prompt = problem, a blank line, and the studies' instruction to reason and to box the answer (version 1). */
extern const char lb_prompt_boxed_tail[];
bool lb_prompt_boxed(lb_item *it, const char *problem, lb_err *err);
/* it->prompt = the multiple-choice text of simple-evals, as the studies use it (version 1): options [n], n from 2 to
 * 26. */
bool lb_prompt_choice(lb_item *it, const char *question, const char *const *options, int n, lb_err *err);

/* Gold is an expression, the answer in a box. */
bool lb_row_grade_boxed(const lb_item *it, const char *text, const lb_grader *g, lb_grade *out, lb_err *err);
#endif
