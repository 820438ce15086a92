/* eval/loop.h – whether an output ended in a loop, the way reasoning models of few bits fail.
 *
 * Repetition of a window of tokens = 1 − (different 8-grams) / (8-grams). A text of period p repeated r times in the
 * window has about 1 − 1/r, whatever p; sampled loops that vary a word now and then still come near it. The last 256,
 * 1,024 and 4,096 tokens are looked at (fewer where the output is shorter, at least 64), so that loops of a word and of
 * a page both show; an output is called a loop from 2/3 on, when its end said the same thing three times. */
#ifndef LB_EVAL_LOOP_H
#define LB_EVAL_LOOP_H
#include <stdbool.h>

enum { LB_LOOP_GRAM = 8, LB_LOOP_LEAST = 64 };

/* Largest repetition over the windows at the end of ids [n]; 0 for fewer than LB_LOOP_LEAST tokens. */
double lb_repetition(const int *ids, int n);
static inline bool lb_is_loop(const int *ids, int n) { return lb_repetition(ids, n) >= 2.0 / 3; }
#endif
