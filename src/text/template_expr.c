/* text/template_expr.c – the expression half of the parser: Jinja's grammar, one function per precedence level.
 *
 * or < and < not < comparisons, in < + - < ~ < * / // % < ** < unary < subscripts, calls < filters, tests. Chains of
 * equal precedence become one node with many kids, so that their length costs no depth. */
#include "text/template_run.h"
#include <string.h>

static tpl_node *parse_unary(tpl_parser *p, bool with_filter);
static tpl_node *parse_primary(tpl_parser *p, bool ns);

static tpl_node *unexpected(tpl_parser *p, const char *wanted)
{
    char buf[80];
    lb_tpl_parse_fail(p, LB_EFORMAT, p->tok->line, "found %s, wanted %s", lb_tpl_tok_text(p->tok, buf, sizeof buf),
                      wanted);
    return NULL;
}

/* ---- chains of binary operators ---- */
typedef tpl_node *(*parse_fn)(tpl_parser *p);

/* next op next op …: `ops` are one-byte operator codes. */
static tpl_node *chain(tpl_parser *p, tpl_node_kind kind, const char *ops, parse_fn next)
{
    int line = p->tok->line;
    tpl_node *first = next(p), *n = NULL;
    tpl_list l = {0};
    lb_buf codes = {0};
    while (first && p->tok->kind == TOK_OP && strchr(ops, (char)p->tok->op)) {
        lb_buf_byte(&codes, (char)p->tok->op);
        if (!l.n && !lb_tpl_list_add(p, &l, first)) goto fail;
        p->tok++;
        tpl_node *right = next(p);
        if (!right || !lb_tpl_list_add(p, &l, right)) goto fail;
    }
    if (!l.n) return first;
    if (!lb_buf_ok(&codes, "a chat template", p->err) || !(n = lb_tpl_node_new(p, kind, line))) goto fail;
    n->kid = l.v;
    n->n_kid = l.n;
    if (!(n->ops = lb_tpl_parse_alloc(p, codes.n, 1))) n = NULL;
    else memcpy(n->ops, codes.p, codes.n);
fail:
    lb_buf_free(&codes);
    return n;
}

/* The operators of a level, for strchr, which compares char: hence the casts. */
static const char pow_ops[] = {(char)OP_POW, 0}, mul_ops[] = {'*', '/', '%', (char)OP_FLOORDIV, 0};
static tpl_node *parse_operand(tpl_parser *p) { return parse_unary(p, true); }
static tpl_node *parse_pow(tpl_parser *p) { return chain(p, N_CHAIN, pow_ops, parse_operand); }
static tpl_node *parse_mul(tpl_parser *p) { return chain(p, N_CHAIN, mul_ops, parse_pow); }
static tpl_node *parse_concat(tpl_parser *p) { return chain(p, N_CONCAT, "~", parse_mul); }
static tpl_node *parse_add(tpl_parser *p) { return chain(p, N_CHAIN, "+-", parse_concat); }

static int compare_op(tpl_parser *p)
{
    const tpl_tok *t = p->tok;
    if (t->kind == TOK_OP && (t->op == '<' || t->op == '>' || (t->op >= OP_EQ && t->op <= OP_LE))) {
        p->tok++;
        return t->op;
    }
    if (lb_tpl_skip_name(p, "in")) return OP_IN;
    if (lb_tpl_is_name(t, "not") && lb_tpl_is_name(t + 1, "in")) {
        p->tok += 2;
        return OP_NOT_IN;
    }
    return 0;
}

static tpl_node *parse_compare(tpl_parser *p)
{
    int line = p->tok->line, op;
    tpl_node *first = parse_add(p), *n = NULL;
    tpl_list l = {0};
    uint8_t ops[LB_TEMPLATE_MAX_DEPTH];
    while (first && (op = compare_op(p)) != 0) {
        if (l.n >= LB_TEMPLATE_MAX_DEPTH) {
            lb_tpl_parse_fail(p, LB_EFORMAT, line, "more than %d comparisons in a row", LB_TEMPLATE_MAX_DEPTH);
            return NULL;
        }
        if (!l.n && !lb_tpl_list_add(p, &l, first)) return NULL;
        ops[l.n - 1] = (uint8_t)op;
        tpl_node *right = parse_add(p);
        if (!right || !lb_tpl_list_add(p, &l, right)) return NULL;
    }
    if (!l.n) return first;
    if (!(n = lb_tpl_node_new(p, N_COMPARE, line))) return NULL;
    n->kid = l.v;
    n->n_kid = l.n;
    if (!(n->ops = lb_tpl_parse_alloc(p, (size_t)l.n, 1))) return NULL;
    memcpy(n->ops, ops, (size_t)l.n - 1);
    return n;
}

static tpl_node *parse_not(tpl_parser *p)
{
    int line = p->tok->line;
    if (!lb_tpl_skip_name(p, "not")) return parse_compare(p);
    if (!lb_tpl_parse_enter(p)) return NULL;
    tpl_node *a = parse_not(p), *n = a ? lb_tpl_node_new(p, N_NOT, line) : NULL;
    p->depth--;
    if (n) n->a = a;
    return n;
}

static tpl_node *words(tpl_parser *p, tpl_node_kind kind, const char *word, parse_fn next)
{
    int line = p->tok->line;
    tpl_node *first = next(p);
    tpl_list l = {0};
    while (first && lb_tpl_skip_name(p, word)) {
        if (!l.n && !lb_tpl_list_add(p, &l, first)) return NULL;
        tpl_node *right = next(p);
        if (!right || !lb_tpl_list_add(p, &l, right)) return NULL;
    }
    if (!l.n) return first;
    tpl_node *n = lb_tpl_node_new(p, kind, line);
    if (n) n->kid = l.v, n->n_kid = l.n;
    return n;
}

static tpl_node *parse_and(tpl_parser *p) { return words(p, N_AND, "and", parse_not); }
static tpl_node *parse_or(tpl_parser *p) { return words(p, N_OR, "or", parse_and); }

static tpl_node *parse_cond(tpl_parser *p)
{
    int line = p->tok->line;
    const tpl_node *unknown = p->unknown;
    tpl_node *a = parse_or(p);
    while (a && lb_tpl_skip_name(p, "if")) {
        tpl_node *n = lb_tpl_node_new(p, N_COND, line);
        if (!n || !(n->b = parse_or(p))) return NULL;
        n->a = a;
        if (lb_tpl_skip_name(p, "else") && !(n->c = lb_tpl_parse_expr(p, true))) return NULL;
        a = n;
        p->unknown = unknown;   /* in a condition an unknown filter is an error only when it is reached */
    }
    return a;
}

tpl_node *lb_tpl_parse_expr(tpl_parser *p, bool cond)
{
    if (!lb_tpl_parse_enter(p)) return NULL;
    tpl_node *n = cond ? parse_cond(p) : parse_or(p);
    p->depth--;
    return n;
}

/* ---- tuples, lists, dicts ---- */
static bool tuple_ends(const tpl_parser *p, const char *end_name)
{
    const tpl_tok *t = p->tok;
    return t->kind == TOK_VAR_END || t->kind == TOK_BLOCK_END || lb_tpl_is_op(t, ')') ||
        (end_name && lb_tpl_is_name(t, end_name));
}

/* a, b, c or just a. target: only names and, with ns, attributes of namespaces. */
static tpl_node *parse_tuple(tpl_parser *p, bool cond, bool in_parens, const char *end_name, bool target, bool ns)
{
    int line = p->tok->line;
    bool comma = false;
    tpl_list l = {0};
    while (!tuple_ends(p, end_name)) {
        tpl_node *n = target ? parse_primary(p, ns) : lb_tpl_parse_expr(p, cond);
        if (!n || !lb_tpl_list_add(p, &l, n)) return NULL;
        if (!lb_tpl_skip_op(p, ',')) break;
        comma = true;
    }
    if (!comma && l.n == 1) return l.v[0];
    if (!comma && !in_parens) return unexpected(p, "an expression");
    tpl_node *n = lb_tpl_node_new(p, N_TUPLE, line);
    if (n) n->kid = l.v, n->n_kid = l.n;
    return n;
}

tpl_node *lb_tpl_parse_tuple(tpl_parser *p, bool cond, bool in_parens, const char *end_name)
{
    return parse_tuple(p, cond, in_parens, end_name, false, false);
}

static bool can_assign(const tpl_node *n)
{
    if (n->kind == N_TUPLE) {
        for (int i = 0; i < n->n_kid; i++)
            if (!can_assign(n->kid[i])) return false;
        return true;
    }
    return n->kind == N_NAME || n->kind == N_NSREF;
}

tpl_node *lb_tpl_parse_target(tpl_parser *p, bool ns, const char *end_name)
{
    int line = p->tok->line;
    tpl_node *n = parse_tuple(p, false, false, end_name, true, ns);
    if (n && !can_assign(n)) {
        lb_tpl_parse_fail(p, LB_EFORMAT, line, "cannot assign to this expression");
        return NULL;
    }
    return n;
}

static tpl_node *parse_list(tpl_parser *p)
{
    tpl_node *n = lb_tpl_node_new(p, N_LIST, p->tok->line);
    tpl_list l = {0};
    p->tok++;
    while (n && !lb_tpl_is_op(p->tok, ']')) {
        tpl_node *item = lb_tpl_parse_expr(p, true);
        if (!item || !lb_tpl_list_add(p, &l, item)) return NULL;
        if (!lb_tpl_is_op(p->tok, ']') && !lb_tpl_expect_op(p, ',')) return NULL;
    }
    p->tok++;
    if (n) n->kid = l.v, n->n_kid = l.n;
    return n;
}

static tpl_node *parse_dict(tpl_parser *p)
{
    tpl_node *n = lb_tpl_node_new(p, N_DICT, p->tok->line);
    tpl_list l = {0};
    p->tok++;
    while (n && !lb_tpl_is_op(p->tok, '}')) {
        tpl_node *key = lb_tpl_parse_expr(p, true), *val;
        if (!key || !lb_tpl_list_add(p, &l, key) || !lb_tpl_expect_op(p, ':')) return NULL;
        if (!(val = lb_tpl_parse_expr(p, true)) || !lb_tpl_list_add(p, &l, val)) return NULL;
        if (!lb_tpl_is_op(p->tok, '}') && !lb_tpl_expect_op(p, ',')) return NULL;
    }
    p->tok++;
    if (n) n->kid = l.v, n->n_kid = l.n;
    return n;
}

/* ---- names and literals ---- */
static tpl_node *constant(tpl_parser *p, int line, tpl_val v)
{
    tpl_node *n = lb_tpl_node_new(p, N_CONST, line);
    if (n) n->v = v;
    return n;
}

static tpl_node *parse_string(tpl_parser *p)
{
    const tpl_tok *t = p->tok++;
    const tpl_str *s;
    if (p->tok->kind != TOK_STR) {
        s = lb_tpl_parse_str(p, t->p, t->n);
    } else {   /* 'a' 'b' is 'ab' */
        lb_buf b = {0};
        lb_buf_add(&b, t->p, t->n);
        for (; p->tok->kind == TOK_STR; p->tok++) lb_buf_add(&b, p->tok->p, p->tok->n);
        char *q = lb_buf_ok(&b, "a chat template", p->err) ? lb_tpl_parse_alloc(p, b.n + 1, 1) : NULL;
        if (q) memcpy(q, lb_buf_cstr(&b), b.n);
        s = q ? lb_tpl_parse_str(p, q, b.n) : NULL;
        lb_buf_free(&b);
    }
    return s ? constant(p, t->line, (tpl_val){.kind = TPL_STR, .s = s}) : NULL;
}

static tpl_node *parse_name(tpl_parser *p, bool ns)
{
    const tpl_tok *t = p->tok++;
    if (lb_tpl_is_name(t, "true") || lb_tpl_is_name(t, "True")) return constant(p, t->line, lb_tpl_bool(true));
    if (lb_tpl_is_name(t, "false") || lb_tpl_is_name(t, "False")) return constant(p, t->line, lb_tpl_bool(false));
    if (lb_tpl_is_name(t, "none") || lb_tpl_is_name(t, "None")) return constant(p, t->line, lb_tpl_none());
    tpl_node *n = lb_tpl_node_new(p, N_NAME, t->line);
    if (!n || (n->id = lb_tpl_intern(p, t->p, t->n)) < 0) return NULL;
    n->v = (tpl_val){.kind = TPL_STR, .s = p->t->names[n->id]};
    for (struct tpl_open_macro *m = p->macro; m; m = m->up) {
        m->def->uses_caller |= n->id == TPL_ID_CALLER;
        m->def->uses_varargs |= n->id == TPL_ID_VARARGS;
        m->def->uses_kwargs |= n->id == TPL_ID_KWARGS;
    }
    if (ns && lb_tpl_skip_op(p, '.')) {
        if (p->tok->kind != TOK_NAME) return unexpected(p, "a name");
        n->kind = N_NSREF;
        n->v.s = lb_tpl_parse_str(p, p->tok->p, p->tok->n);
        p->tok++;
        if (!n->v.s) return NULL;
    }
    return n;
}

static tpl_node *parse_primary(tpl_parser *p, bool ns)
{
    const tpl_tok *t = p->tok;
    switch (t->kind) {
    case TOK_NAME: return parse_name(p, ns);
    case TOK_STR: return parse_string(p);
    case TOK_INT: p->tok++; return constant(p, t->line, lb_tpl_int(t->i));
    case TOK_REAL: p->tok++; return constant(p, t->line, lb_tpl_real(t->d));
    case TOK_OP: break;
    default: return unexpected(p, "an expression");
    }
    if (t->op == '[') return parse_list(p);
    if (t->op == '{') return parse_dict(p);
    if (t->op != '(') return unexpected(p, "an expression");
    p->tok++;
    tpl_node *n = parse_tuple(p, true, true, NULL, false, false);
    return n && lb_tpl_expect_op(p, ')') ? n : NULL;
}

/* ---- subscripts, calls, filters, tests ---- */
static tpl_node *parse_index(tpl_parser *p, tpl_node *a)
{
    tpl_node *n = lb_tpl_node_new(p, N_ITEM, p->tok->line), *part[3] = {NULL, NULL, NULL};
    p->tok++;
    if (!n) return NULL;
    n->a = a;
    int k = 0;
    for (; k < 3; k++) {
        bool empty = lb_tpl_is_op(p->tok, ':') || lb_tpl_is_op(p->tok, ']');
        if (empty && k == 0 && lb_tpl_is_op(p->tok, ']')) return unexpected(p, "a subscript");
        if (!empty && !(part[k] = lb_tpl_parse_expr(p, true))) return NULL;
        if (!lb_tpl_is_op(p->tok, ':') || k == 2) break;
        p->tok++;
        n->kind = N_SLICE;
    }
    if (lb_tpl_is_op(p->tok, ',')) {
        lb_tpl_parse_fail(p, LB_EUNSUPPORTED, n->line, "a subscript with a comma");
        return NULL;
    }
    if (!lb_tpl_expect_op(p, ']')) return NULL;
    n->b = part[0];
    if (n->kind == N_ITEM) return n;
    if (!(n->kid = lb_tpl_parse_alloc(p, 3, sizeof *n->kid))) return NULL;
    memcpy(n->kid, part, sizeof part);
    n->n_kid = 3;
    return n;
}

static tpl_node *parse_attr(tpl_parser *p, tpl_node *a)
{
    const tpl_tok *t = ++p->tok;
    tpl_node *n;
    if (t->kind == TOK_INT) {
        if (!(n = lb_tpl_node_new(p, N_ITEM, t->line)) || !(n->b = constant(p, t->line, lb_tpl_int(t->i)))) return NULL;
    } else if (t->kind == TOK_NAME) {
        if (!(n = lb_tpl_node_new(p, N_ATTR, t->line))) return NULL;
        n->v = (tpl_val){.kind = TPL_STR, .s = lb_tpl_parse_str(p, t->p, t->n)};
        if (!n->v.s) return NULL;
    } else {
        return unexpected(p, "a name or a number");
    }
    p->tok++;
    n->a = a;
    return n;
}

static bool add_keyword(tpl_parser *p, tpl_list *kw, lb_buf *names)
{
    const tpl_str *name = lb_tpl_parse_str(p, p->tok->p, p->tok->n);
    p->tok += 2;
    tpl_node *v = name ? lb_tpl_parse_expr(p, true) : NULL;
    if (!v || !lb_tpl_list_add(p, kw, v)) return false;
    lb_buf_add(names, &name, sizeof name);
    return true;
}

static bool parse_args(tpl_parser *p, tpl_args *a)
{
    int line = p->tok->line;
    tpl_list pos = {0}, kw = {0};
    lb_buf names = {0};
    bool ok = true;
    p->tok++;
    while (ok && !lb_tpl_is_op(p->tok, ')')) {
        if (lb_tpl_skip_op(p, '*')) {
            ok = !a->star && !a->starstar && (a->star = lb_tpl_parse_expr(p, true));
        } else if (lb_tpl_skip_op(p, OP_POW)) {
            ok = !a->starstar && (a->starstar = lb_tpl_parse_expr(p, true));
        } else if (p->tok->kind == TOK_NAME && lb_tpl_is_op(p->tok + 1, '=')) {
            ok = !a->starstar && add_keyword(p, &kw, &names);
        } else {
            tpl_node *n = NULL;
            ok = !a->star && !a->starstar && !kw.n && (n = lb_tpl_parse_expr(p, true)) && lb_tpl_list_add(p, &pos, n);
        }
        if (!ok && p->err && !p->failed)
            lb_tpl_parse_fail(p, LB_EFORMAT, line, "the arguments of a call are out of order");
        if (ok && !lb_tpl_is_op(p->tok, ')')) ok = lb_tpl_expect_op(p, ',');
    }
    p->tok++;
    a->pos = pos.v, a->n_pos = pos.n;
    a->kw = kw.v, a->n_kw = kw.n;
    if (ok && kw.n) {
        ok = lb_buf_ok(&names, "a chat template", p->err) && (a->kw_name = lb_tpl_parse_alloc(p, names.n, 1));
        if (ok) memcpy(a->kw_name, names.p, names.n);
    }
    lb_buf_free(&names);
    return ok;
}

static tpl_args *new_args(tpl_parser *p, bool in_parens)
{
    tpl_args *a = lb_tpl_parse_alloc(p, 1, sizeof *a);
    return a && (!in_parens || parse_args(p, a)) ? a : NULL;
}

static tpl_node *parse_call(tpl_parser *p, tpl_node *a)
{
    tpl_node *n = lb_tpl_node_new(p, N_CALL, p->tok->line);
    if (!n || !(n->args = new_args(p, true))) return NULL;
    n->a = a;
    return n;
}

static tpl_node *parse_postfix(tpl_parser *p, tpl_node *n)
{
    while (n) {
        if (lb_tpl_is_op(p->tok, '.')) n = parse_attr(p, n);
        else if (lb_tpl_is_op(p->tok, '[')) n = parse_index(p, n);
        else if (lb_tpl_is_op(p->tok, '(')) n = parse_call(p, n);
        else break;
    }
    return n;
}

/* The name of a filter or test behind '|' or 'is'; dotted names exist in Jinja but no such filter does. */
static bool named(tpl_parser *p, tpl_node *n)
{
    if (p->tok->kind != TOK_NAME)
        return unexpected(p, n->kind == N_FILTER ? "a filter's name" : "a test's name") != NULL;
    n->v = (tpl_val){.kind = TPL_STR, .s = lb_tpl_parse_str(p, p->tok->p, p->tok->n)};
    if (!n->v.s) return false;
    p->tok++;
    n->fn = n->kind == N_FILTER ? lb_tpl_find_filter(n->v.s) : lb_tpl_find_test(n->v.s);
    if (!n->fn && !p->unknown) p->unknown = n;
    return true;
}

tpl_node *lb_tpl_parse_filters(tpl_parser *p, tpl_node *a, bool start_inline)
{
    while (start_inline || lb_tpl_is_op(p->tok, '|')) {
        if (!start_inline) p->tok++;
        start_inline = false;
        tpl_node *n = lb_tpl_node_new(p, N_FILTER, p->tok->line);
        if (!n || !named(p, n) || !(n->args = new_args(p, lb_tpl_is_op(p->tok, '(')))) return NULL;
        n->a = a;
        a = n;
    }
    return a;
}

/* `is` [not] NAME, then "(args)" or one bare argument. */
static tpl_node *parse_test(tpl_parser *p, tpl_node *a)
{
    tpl_node *n = lb_tpl_node_new(p, N_TEST, p->tok->line);
    p->tok++;
    if (!n) return NULL;
    n->op = lb_tpl_skip_name(p, "not");
    if (!named(p, n)) return NULL;
    n->a = a;
    const tpl_tok *t = p->tok;
    bool bare = (t->kind == TOK_NAME && !lb_tpl_is_name(t, "else") && !lb_tpl_is_name(t, "or") &&
                 !lb_tpl_is_name(t, "and")) ||
                t->kind == TOK_STR || t->kind == TOK_INT || t->kind == TOK_REAL || lb_tpl_is_op(t, '[') ||
                    lb_tpl_is_op(t, '{');
    if (bare && lb_tpl_is_name(t, "is")) return unexpected(p, "one test: 'is' cannot be chained");
    if (!(n->args = new_args(p, lb_tpl_is_op(t, '('))) || !bare) return n->args ? n : NULL;
    tpl_list l = {0};
    tpl_node *arg = parse_postfix(p, parse_primary(p, false));
    if (!arg || !lb_tpl_list_add(p, &l, arg)) return NULL;
    n->args->pos = l.v;
    n->args->n_pos = 1;
    return n;
}

static tpl_node *parse_unary(tpl_parser *p, bool with_filter)
{
    tpl_node *n;
    if (lb_tpl_is_op(p->tok, '-') || lb_tpl_is_op(p->tok, '+')) {
        n = lb_tpl_node_new(p, lb_tpl_is_op(p->tok, '-') ? N_NEG : N_POS, p->tok->line);
        p->tok++;
        if (!n || !lb_tpl_parse_enter(p)) return NULL;
        n->a = parse_unary(p, false);
        p->depth--;
        if (!n->a) return NULL;
    } else {
        n = parse_primary(p, false);
    }
    n = parse_postfix(p, n);
    while (n && with_filter) {
        if (lb_tpl_is_op(p->tok, '|')) n = lb_tpl_parse_filters(p, n, false);
        else if (lb_tpl_is_name(p->tok, "is")) n = parse_test(p, n);
        else if (lb_tpl_is_op(p->tok, '(')) n = parse_call(p, n);
        else break;
    }
    return n;
}
