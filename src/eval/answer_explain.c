/* eval/answer_explain.c – an answer as the grader understood it, for people. */
#include "eval/answer_exact.h"
#include <string.h>

static void list(const lb_tree *t, int at, const char *open, const char *between, const char *close, lb_buf *out);

static void write_node(const lb_tree *t, int at, lb_buf *out)
{
    const lb_node *x = &t->node[at];
    const char *text = lb_tree_text(t, x->text);
    switch ((lb_node_kind)x->kind) {
    case LB_NODE_NUM: case LB_NODE_SYM: lb_buf_str(out, text); break;
    case LB_NODE_TEXT: lb_buf_fmt(out, "\"%s\"", text); break;
    case LB_NODE_PI: lb_buf_str(out, "pi"); break;
    case LB_NODE_INF: lb_buf_str(out, "infinity"); break;
    case LB_NODE_BASED: lb_buf_fmt(out, "%s in base %d", text, x->n_col); break;
    case LB_NODE_SUM: case LB_NODE_PROD: case LB_NODE_UNION: case LB_NODE_REL: list(t, at, "(", " ", ")", out); break;
    case LB_NODE_POW: list(t, at, "(", " ^ ", ")", out); break;
    case LB_NODE_ROOT: list(t, at, "root(", ", ", ")", out); break;
    case LB_NODE_FACT: list(t, at, "factorial(", "", ")", out); break;
    case LB_NODE_BINOM: list(t, at, "binomial(", ", ", ")", out); break;
    case LB_NODE_FUNC: lb_buf_str(out, text), list(t, at, "(", ", ", ")", out); break;
    case LB_NODE_LIST: list(t, at, "in any order: ", "; ", "", out); break;
    case LB_NODE_SET: list(t, at, "{", ", ", "}", out); break;
    case LB_NODE_TUPLE: list(t, at, (char[]){x->open, 0}, ", ", (char[]){x->close, 0}, out); break;
    case LB_NODE_MATRIX: lb_buf_fmt(out, "matrix of %d columns ", x->n_col), list(t, at, "[", ", ", "]", out); break;
    }
    if (x->unit) lb_buf_fmt(out, " [unit %s]", lb_tree_text(t, x->unit));
}

static const char *join_text(const lb_tree *t, int parent, int child, bool first)
{
    char join = t->node[child].join;
    switch ((lb_node_kind)t->node[parent].kind) {
    case LB_NODE_SUM:
        return join == '-' ? "- " : join == 'p' ? "± " : join == 'm' ? "∓ " : first ? "" : "+ ";
    case LB_NODE_PROD: return join == '/' ? (first ? "1 / " : "/ ") : first ? "" : "* ";
    case LB_NODE_UNION: return first ? "" : "or ";
    case LB_NODE_REL:
        return first ? "" : join == 'l' ? "<= " : join == 'g' ? ">= " : join == 'n' ? "!= " : join == 'i' ? "in " :
               join == '<' ? "< " : join == '>' ? "> " : "= ";
    default: return "";
    }
}

static void list(const lb_tree *t, int at, const char *open, const char *between, const char *close, lb_buf *out)
{
    lb_buf_str(out, open);
    int first = t->node[at].first;
    for (int k = first; k >= 0; k = t->node[k].next) {
        if (k != first) lb_buf_str(out, between);
        lb_buf_str(out, join_text(t, at, k, k == first));
        write_node(t, k, out);
    }
    lb_buf_str(out, close);
}

/* The value of a constant, on its own line; of the elements of a list, one each. */
static void values(const lb_tree *t, int at, lb_buf *out)
{
    char decimal[128];
    const lb_node *x = &t->node[at];
    bool many = x->kind == LB_NODE_LIST || x->kind == LB_NODE_SET || x->kind == LB_NODE_TUPLE ||
                x->kind == LB_NODE_MATRIX;
    if (many)
        for (int k = x->first; k >= 0; k = t->node[k].next) values(t, k, out);
    else if (lb_node_is_scalar(x) && lb_exact_decimal((lb_operand){t, at, -1, 0}, decimal, sizeof decimal))
        lb_buf_fmt(out, "  value %s\n", decimal);
}

bool lb_answer_explain(const char *answer, lb_buf *out)
{
    lb_tree t;
    size_t n;
    answer = lb_answer_trim(answer, &n);
    if (n > LB_TREE_BYTES) {
        lb_buf_fmt(out, "not understood: longer than %d bytes\n", LB_TREE_BYTES);
        return false;
    }
    char digits[LB_TREE_WHY];
    bool ok = lb_tree_parse(&t, answer, n, false), words = lb_words_to_number(answer, n, digits, sizeof digits);
    if (ok) {
        write_node(&t, t.root, out);
        if (words) lb_buf_fmt(out, ", or %s", digits);
        lb_buf_byte(out, '\n'), values(&t, t.root, out);
    }
    else lb_buf_fmt(out, "not understood: %s\n", t.why);
    lb_tree_free(&t);
    return ok && !out->oom;
}
