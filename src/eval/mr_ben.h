/* eval/mr_ben.h – the two parts of MR-Ben: reading replies (mr_ben.c) and scoring them together (mr_ben_score.c). */
#ifndef LB_EVAL_MR_BEN_H
#define LB_EVAL_MR_BEN_H
#include "eval/bench.h"

typedef enum lb_mr_said { LB_MR_NOTHING, LB_MR_CORRECT, LB_MR_INCORRECT } lb_mr_said;

/* What an `extracted` or gold text says: "correct", "incorrect; 5", or neither. *step (may be NULL) is what stands
 * behind "incorrect; ", borrowed from text; "" without it. */
lb_mr_said lb_mr_read(const char *text, const char **step);
/* Solutions of programs: their first error is a line, which only a judge could compare. */
bool lb_mr_is_coding(const lb_item *it);

/* lb_bench.metrics; see docs/benchmarks.md. */
bool lb_mr_metrics(const lb_bench *b, const lb_scored *s, size_t n, json_t *out, lb_err *err);
#endif
