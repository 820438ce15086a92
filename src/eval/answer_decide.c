/* eval/answer_decide.c – whether two values are equal: algebra first, then enclosures, then proof. */
#include "eval/answer_child.h"
#include "eval/answer_exact.h"
#include <stdio.h>
#include <string.h>

static bool contains(const lb_tree *t, int at, bool (*what)(const lb_tree *, int))
{
    if (what(t, at)) return true;
    for (int k = t->node[at].first; k >= 0; k = t->node[k].next)
        if (contains(t, k, what)) return true;
    return false;
}

static bool in_operand(lb_operand o, bool (*what)(const lb_tree *, int))
{
    return contains(o.t, o.node, what) || (o.minus >= 0 && contains(o.t, o.minus, what));
}

static bool is_step(const lb_tree *t, int at)
{
    const char *s = lb_tree_text(t, t->node[at].text);
    return t->node[at].kind == LB_NODE_FUNC && (!strcmp(s, "abs") || !strcmp(s, "floor") || !strcmp(s, "ceil"));
}

/* Functions that are not analytic: agreement at points says nothing about the places between. */
static bool has_steps(lb_operand o) { return in_operand(o, is_step); }

/* By enclosures, and constants that seem equal by proof. LB_UNKNOWN leaves why alone where enclosures say nothing. */
static lb_verdict numeric(lb_operand gold, lb_operand answer, lb_compare how, bool decimal_log, lb_effort *effort,
                          char why[LB_TREE_WHY])
{
    bool constant, ratio = how == LB_PROPORTIONAL || how == LB_PROPORTIONAL_UP;
    int n_point;
    lb_sampled s = lb_exact_sample(gold, answer, how, decimal_log, &effort->sampling, &constant, &n_point);
    switch (s) {
    case LB_SAMPLED_DIFFERENT:
        if (ratio) return LB_UNKNOWN;                  /* other equations may have the same solutions */
        snprintf(why, LB_TREE_WHY, "the values differ");
        return LB_WRONG;
    case LB_SAMPLED_EQUAL:
        if (!constant && (has_steps(gold) || has_steps(answer))) {
            snprintf(why, LB_TREE_WHY, "equal at %d random points, which is not enough for |x| and rounding", n_point);
            return effort->lenient ? LB_RIGHT : LB_UNKNOWN;
        }
        if (!constant) {
            snprintf(why, LB_TREE_WHY, LB_SAMPLED_WHY, n_point, LB_SAMPLED_DIGITS);
            return LB_RIGHT;
        }
        if (ratio) return LB_UNKNOWN;
        return lb_child_prove(gold, answer, how, decimal_log, &effort->proof_ms, why);
    case LB_SAMPLED_EQUAL_POSITIVE:
        snprintf(why, LB_TREE_WHY, "equal only where the variables are positive");
        return effort->lenient ? LB_RIGHT : LB_UNKNOWN;
    case LB_SAMPLED_EQUAL_WHOLE:
        snprintf(why, LB_TREE_WHY, "equal only where the variables are whole numbers");
        return effort->lenient ? LB_RIGHT : LB_UNKNOWN;
    case LB_SAMPLED_NOTHING: break;
    }
    return LB_UNKNOWN;
}

static bool is_bare_log(const lb_tree *t, int at)
{
    const lb_node *x = &t->node[at];
    return x->kind == LB_NODE_FUNC && !strcmp(lb_tree_text(t, x->text), "log") && t->node[x->first].next < 0;
}

lb_verdict lb_value_compare(lb_operand gold, lb_operand answer, lb_compare how, lb_effort *effort,
                            char why[LB_TREE_WHY])
{
    bool final, log = in_operand(gold, is_bare_log) || in_operand(answer, is_bare_log);
    lb_verdict v = lb_value_algebraic(gold, answer, how, &effort->work, &final, why);
    if (!final) v = numeric(gold, answer, how, false, effort, why);
    if (!final && log && v != LB_UNKNOWN) {            /* the other reading of log must agree */
        lb_verdict w = numeric(gold, answer, how, true, effort, why);
        if (w != v) {
            snprintf(why, LB_TREE_WHY, "log has no base, and it matters here");
            v = effort->lenient ? LB_RIGHT : LB_UNKNOWN;
        }
    }
    if (v == LB_RIGHT || !effort->lenient || how == LB_PROPORTIONAL || how == LB_PROPORTIONAL_UP) return v;
    for (int ten = 0; ten <= log; ten++)
        if (lb_exact_close(gold, answer, how, ten, &effort->sampling)) return LB_RIGHT;
    return v;
}

void lb_answer_cleanup(void)
{
    lb_child_stop();
    lb_exact_cleanup();            /* also in a thread that graded nothing */
}
