/* eval/budget.c – forcing tokens. */
#include "eval/budget.h"
#include <string.h>

bool lb_budget_open(lb_budget *b, const lb_tokenizer *t, int budget, int extend, lb_err *err)
{
    lb_ids wait = {0};
    *b = (lb_budget){.budget = budget, .extend = extend};
    b->open = lb_tokenizer_id(t, "<think>"), b->close = lb_tokenizer_id(t, "</think>");
    if (b->open < 0 || b->close < 0)
        return lb_fail(err, LB_EUNSUPPORTED, "the model has no token %s: its thinking cannot be stopped or extended",
                       b->open < 0 ? "<think>" : "</think>");
    bool ok = lb_tokenizer_encode(t, "Wait", 4, 0, &wait, err);
    if (ok && (wait.n == 0 || wait.n > LB_WAIT_TOKENS))
        ok = lb_fail(err, LB_EUNSUPPORTED, "\"Wait\" has %zu tokens, wanted 1 to %d", wait.n, LB_WAIT_TOKENS);
    if (ok) memcpy(b->wait, wait.p, wait.n * sizeof *wait.p);
    b->n_wait = (int)wait.n;
    lb_ids_free(&wait);
    return ok;
}

int lb_budget_next(const lb_budget *b, lb_budget_state *s, int id)
{
    if (!s->thinking) {
        s->thinking = id == b->open;
        return id;
    }
    bool spent = b->budget > 0 && s->n_think >= b->budget;
    if (s->n_forced == 0 && id == b->close && s->n_extended < b->extend && !spent)
        s->n_extended++, id = b->wait[s->n_forced++];
    else if (s->n_forced > 0 && s->n_forced < b->n_wait && !spent) id = b->wait[s->n_forced++];
    else if (spent) id = b->close;
    if (s->n_forced == b->n_wait) s->n_forced = 0;
    s->n_think++;
    if (id == b->close) *s = (lb_budget_state){.n_think = s->n_think, .n_extended = s->n_extended};
    return id;
}
