/* eval/budget.h – budget forcing: how long a model may think, decided token by token (s1, arXiv:2501.19393).
 *
 *   budget N    after N tokens of thinking the next one is </think>, whatever was sampled
 *   extend K    the first K times that the model would close its thinking, it goes on with "Wait" instead
 *
 * Both together: thinking is extended until the budget ends it. Tokens count as thinking from behind <think>, or from
 * the first one if the prompt has opened it; forced ones count as well. A model that does not think is left alone. What
 * is forced depends on the request's own tokens only, so texts stay the same in any batch. */
#ifndef LB_EVAL_BUDGET_H
#define LB_EVAL_BUDGET_H
#include "text/tokenizer.h"

enum { LB_WAIT_TOKENS = 8 };

typedef struct lb_budget {
    int budget, extend;              /* 0: off */
    int open, close;                 /* ids of <think> and </think> */
    int wait[LB_WAIT_TOKENS], n_wait;/* ids of "Wait" */
} lb_budget;

/* Of one request. */
typedef struct lb_budget_state {
    bool thinking;                   /* set by the caller if the prompt ends inside an open <think> */
    int n_think, n_extended;
    int n_forced;                    /* tokens of "Wait" that have been given, while it is being given */
} lb_budget_state;

/* LB_EUNSUPPORTED if the tokenizer has no tokens <think> and </think>. */
bool lb_budget_open(lb_budget *b, const lb_tokenizer *t, int budget, int extend, lb_err *err);
/* The token that is taken where `id` was sampled. */
int lb_budget_next(const lb_budget *b, lb_budget_state *s, int id);
#endif
