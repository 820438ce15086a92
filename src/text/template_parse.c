/* text/template_parse.c – the statement half of the parser, and what both halves share. */
#include "text/template_run.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* ---- shared ---- */
bool lb_tpl_parse_fail(tpl_parser *p, lb_code code, int line, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->failed = true;
    return lb_fail(p->err, code, "%s: line %d: %s", p->where, line, text);
}

bool lb_tpl_parse_enter(tpl_parser *p)
{
    if (++p->depth <= LB_TEMPLATE_MAX_DEPTH) return true;
    return lb_tpl_parse_fail(p, LB_EFORMAT, p->tok->line, "nested deeper than %d levels", LB_TEMPLATE_MAX_DEPTH);
}

void *lb_tpl_parse_alloc(tpl_parser *p, size_t count, size_t elem)
{
    size_t n;
    void *mem = lb_size_mul(count, elem, &n) ? lb_tpl_pool_alloc(&p->t->pool, n ? n : 1) : NULL;
    if (!mem) {
        p->failed = true;
        lb_fail_mem(p->err, n, "a parsed chat template");
    }
    return mem;
}

tpl_node *lb_tpl_node_new(tpl_parser *p, tpl_node_kind kind, int line)
{
    tpl_node *n = lb_tpl_parse_alloc(p, 1, sizeof *n);
    if (n) n->kind = (uint8_t)kind, n->line = line;
    return n;
}

bool lb_tpl_list_add(tpl_parser *p, tpl_list *l, tpl_node *n)
{
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 4;
        tpl_node **v = lb_tpl_parse_alloc(p, (size_t)cap, sizeof *v);
        if (!v) return false;
        if (l->n) memcpy(v, l->v, (size_t)l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = n;
    return true;
}

const tpl_str *lb_tpl_parse_str(tpl_parser *p, const char *s, size_t n)
{
    tpl_str *t = lb_tpl_parse_alloc(p, 1, sizeof *t);
    if (t) *t = (tpl_str){.p = s, .n = n, .n_cp = lb_tpl_cp_count(s, n)};
    return t;
}

/* Doubles the hash table of names. */
static bool more_slots(tpl_parser *p)
{
    size_t n = p->n_slots ? 2 * p->n_slots : 64;
    int *slots = calloc(n, sizeof *slots);
    if (!slots) return lb_fail_mem(p->err, n * sizeof *slots, "the names of a chat template");
    for (int id = 0; id < p->t->n_names; id++) {
        const tpl_str *s = p->t->names[id];
        size_t h = XXH3_64bits(s->p, s->n) & (n - 1);
        while (slots[h]) h = (h + 1) & (n - 1);
        slots[h] = id + 1;
    }
    free(p->slots);
    p->slots = slots;
    p->n_slots = n;
    return true;
}

int lb_tpl_intern(tpl_parser *p, const char *s, size_t n)
{
    if ((size_t)p->t->n_names * 2 >= p->n_slots && !more_slots(p)) return -1;
    size_t h = XXH3_64bits(s, n) & (p->n_slots - 1);
    for (; p->slots[h]; h = (h + 1) & (p->n_slots - 1)) {
        const tpl_str *old = p->t->names[p->slots[h] - 1];
        if (old->n == n && !memcmp(old->p, s, n)) return p->slots[h] - 1;
    }
    const tpl_str *name = lb_tpl_parse_str(p, s, n);
    if (!name || !lb_grow(&p->t->names, &p->cap_names, (size_t)p->t->n_names + 1, sizeof *p->t->names,
                          "the names of a chat template", p->err)) return -1;
    p->t->names[p->t->n_names] = name;
    p->slots[h] = ++p->t->n_names;
    return p->t->n_names - 1;
}

bool lb_tpl_is_name(const tpl_tok *t, const char *name)
{
    return t->kind == TOK_NAME && t->n == strlen(name) && !memcmp(t->p, name, t->n);
}

bool lb_tpl_skip_name(tpl_parser *p, const char *name)
{
    bool is = lb_tpl_is_name(p->tok, name);
    p->tok += is;
    return is;
}

bool lb_tpl_skip_op(tpl_parser *p, int op)
{
    bool is = lb_tpl_is_op(p->tok, op);
    p->tok += is;
    return is;
}

static bool unexpected(tpl_parser *p, const char *wanted)
{
    char buf[80];
    return lb_tpl_parse_fail(p, LB_EFORMAT, p->tok->line, "found %s, wanted %s",
                             lb_tpl_tok_text(p->tok, buf, sizeof buf), wanted);
}

bool lb_tpl_expect_op(tpl_parser *p, int op)
{
    char wanted[8];
    if (lb_tpl_skip_op(p, op)) return true;
    snprintf(wanted, sizeof wanted, "'%s'", lb_tpl_op_text(op));
    return unexpected(p, wanted);
}

static bool expect_kind(tpl_parser *p, tpl_tok_kind kind)
{
    char buf[80];
    if (p->tok->kind == kind) {
        p->tok++;
        return true;
    }
    return unexpected(p, lb_tpl_tok_text(&(tpl_tok){.kind = (uint8_t)kind}, buf, sizeof buf));
}

/* ---- statements ---- */
static bool statement(tpl_parser *p, tpl_list *out);

/* Statements up to a tag whose name is one of ends (NULL-terminated); that name is the current token afterwards. */
static bool statements(tpl_parser *p, const char *const *ends, tpl_list *out)
{
    if (!lb_tpl_parse_enter(p)) return false;
    for (;;) {
        const tpl_tok *t = p->tok;
        tpl_node *n;
        if (t->kind == TOK_EOF) {
            if (!ends) break;
            return lb_tpl_parse_fail(p, LB_EFORMAT, t->line, "the template ends inside a block, wanted '{%% %s %%}'",
                                     ends[0]);
        }
        p->tok++;
        if (t->kind == TOK_DATA) {
            if (!(n = lb_tpl_node_new(p, N_TEXT, t->line)) || !lb_tpl_list_add(p, out, n)) return false;
            n->v = (tpl_val){.kind = TPL_STR, .s = lb_tpl_parse_str(p, t->p, t->n)};
            if (!n->v.s) return false;
        } else if (t->kind == TOK_VAR_BEGIN) {
            if (!(n = lb_tpl_node_new(p, N_PRINT, t->line)) || !lb_tpl_list_add(p, out, n)) return false;
            if (!(n->a = lb_tpl_parse_tuple(p, true, false, NULL)) || !expect_kind(p, TOK_VAR_END)) return false;
        } else {
            bool end = false;
            for (int i = 0; ends && ends[i]; i++) end |= lb_tpl_is_name(p->tok, ends[i]);
            if (end) break;
            if (!statement(p, out) || !expect_kind(p, TOK_BLOCK_END)) return false;
        }
    }
    p->depth--;
    return true;
}

/* The body of a block: "%}", statements, and one of the end tags' names. */
static bool body(tpl_parser *p, const char *const *ends, tpl_node ***v, int *n)
{
    tpl_list l = {0};
    lb_tpl_skip_op(p, ':');
    if (!expect_kind(p, TOK_BLOCK_END) || !statements(p, ends, &l)) return false;
    *v = l.v;
    *n = l.n;
    return true;
}

static bool parse_if(tpl_parser *p, tpl_node *n)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL}, *const end[] = {"endif", NULL};
    const tpl_node *unknown = p->unknown;
    for (bool more = true; more;) {
        if (!(n->a = lb_tpl_parse_tuple(p, false, false, NULL)) || !body(p, ends, &n->kid, &n->n_kid)) return false;
        more = lb_tpl_is_name(p->tok, "elif");
        if (more || lb_tpl_is_name(p->tok, "else")) {
            if (!(n->b = lb_tpl_node_new(p, N_IF, p->tok->line))) return false;
            n = n->b;
            p->tok++;
            if (!more && !body(p, end, &n->kid, &n->n_kid)) return false;
        }
    }
    p->tok++;
    p->unknown = unknown;
    return true;
}

static bool parse_for(tpl_parser *p, tpl_node *n)
{
    static const char *const ends[] = {"endfor", "else", NULL}, *const end[] = {"endfor", NULL};
    if (!(n->a = lb_tpl_parse_target(p, false, "in"))) return false;
    if (n->a->kind == N_NAME && n->a->id == TPL_ID_LOOP)
        return lb_tpl_parse_fail(p, LB_EFORMAT, n->line, "cannot assign to 'loop'");
    if (!lb_tpl_skip_name(p, "in")) return unexpected(p, "'in'");
    if (!(n->b = lb_tpl_parse_tuple(p, false, false, "recursive"))) return false;
    if (lb_tpl_skip_name(p, "if") && !(n->c = lb_tpl_parse_expr(p, true))) return false;
    if (lb_tpl_is_name(p->tok, "recursive"))
        return lb_tpl_parse_fail(p, LB_EUNSUPPORTED, n->line, "a recursive for loop");
    p->n_loop++;
    bool ok = body(p, ends, &n->kid, &n->n_kid);
    p->n_loop--;
    if (!ok) return false;
    if (lb_tpl_skip_name(p, "else")) {
        if (!(n->d = lb_tpl_node_new(p, N_BODY, p->tok->line)) || !body(p, end, &n->d->kid, &n->d->n_kid)) return false;
    }
    p->tok++;
    return true;
}

/* A body in which `break` cannot reach the loop around it. */
static bool closed_body(tpl_parser *p, const char *end, tpl_node ***v, int *n)
{
    const char *const ends[] = {end, NULL};
    int n_loop = p->n_loop;
    p->n_loop = 0;
    bool ok = body(p, ends, v, n);
    p->n_loop = n_loop;
    p->tok += ok;
    return ok;
}

static bool parse_set(tpl_parser *p, tpl_node *n)
{
    if (!(n->a = lb_tpl_parse_target(p, true, NULL))) return false;
    if (lb_tpl_skip_op(p, '=')) return (n->b = lb_tpl_parse_tuple(p, true, false, NULL)) != NULL;
    n->kind = N_SET_BLOCK;
    if (lb_tpl_is_op(p->tok, '|') && !(n->b = lb_tpl_parse_filters(p, NULL, false))) return false;
    return closed_body(p, "endset", &n->kid, &n->n_kid);
}

/* (a, b, c=1): argument names and defaults. */
static bool signature(tpl_parser *p, tpl_macro_def *m)
{
    tpl_list names = {0}, dflt = {0};
    if (!lb_tpl_expect_op(p, '(')) return false;
    while (!lb_tpl_is_op(p->tok, ')')) {
        if (names.n && !lb_tpl_expect_op(p, ',')) return false;
        if (p->tok->kind != TOK_NAME) return unexpected(p, "an argument's name");
        tpl_node *n = lb_tpl_node_new(p, N_NAME, p->tok->line), *v;
        if (!n || (n->id = lb_tpl_intern(p, p->tok->p, p->tok->n)) < 0 || !lb_tpl_list_add(p, &names, n)) return false;
        if (n->id >= TPL_ID_CALLER && n->id < TPL_ID_FIXED)
            return lb_tpl_parse_fail(p, LB_EUNSUPPORTED, n->line, "a macro argument named '%.*s'", (int)p->tok->n,
                                     p->tok->p);
        p->tok++;
        if (lb_tpl_skip_op(p, '=')) {
            if (!(v = lb_tpl_parse_expr(p, true)) || !lb_tpl_list_add(p, &dflt, v)) return false;
        } else if (dflt.n) {
            return lb_tpl_parse_fail(p, LB_EFORMAT, n->line,
                                     "an argument without a default follows one with a default");
        }
    }
    p->tok++;
    m->n_arg = names.n;
    m->n_default = dflt.n;
    m->dflt = dflt.v;
    m->arg_id = lb_tpl_parse_alloc(p, (size_t)names.n, sizeof *m->arg_id);
    m->arg_name = lb_tpl_parse_alloc(p, (size_t)names.n, sizeof *m->arg_name);
    if (!m->arg_id || !m->arg_name) return false;
    for (int i = 0; i < names.n; i++) {
        m->arg_id[i] = names.v[i]->id;
        m->arg_name[i] = p->t->names[m->arg_id[i]];
    }
    return true;
}

static bool macro_body(tpl_parser *p, tpl_macro_def *m, const char *end)
{
    struct tpl_open_macro open = {p->macro, m};
    p->macro = &open;
    bool ok = closed_body(p, end, &m->body, &m->n_body);
    p->macro = open.up;
    return ok;
}

static bool parse_macro(tpl_parser *p, tpl_node *n)
{
    tpl_macro_def *m = n->macro = lb_tpl_parse_alloc(p, 1, sizeof *m);
    if (!m) return false;
    if (p->tok->kind != TOK_NAME) return unexpected(p, "a macro's name");
    if ((m->id = lb_tpl_intern(p, p->tok->p, p->tok->n)) < 0) return false;
    m->name = p->t->names[m->id];
    p->tok++;
    return signature(p, m) && macro_body(p, m, "endmacro");
}

static bool parse_call(tpl_parser *p, tpl_node *n)
{
    tpl_macro_def *m = n->macro = lb_tpl_parse_alloc(p, 1, sizeof *m);
    if (!m) return false;
    m->id = -1;
    m->name = p->t->names[TPL_ID_CALLER];
    if (lb_tpl_is_op(p->tok, '(') && !signature(p, m)) return false;
    if (!(n->a = lb_tpl_parse_expr(p, true))) return false;
    if (n->a->kind != N_CALL) return lb_tpl_parse_fail(p, LB_EFORMAT, n->line, "{%% call %%} wants a call");
    return macro_body(p, m, "endcall");
}

static bool parse_with(tpl_parser *p, tpl_node *n)
{
    tpl_list names = {0}, values = {0};
    while (p->tok->kind != TOK_BLOCK_END) {
        tpl_node *target, *v;
        if (names.n && !lb_tpl_expect_op(p, ',')) return false;
        if (p->tok->kind != TOK_NAME) return unexpected(p, "a name");
        if (!(target = lb_tpl_node_new(p, N_NAME, p->tok->line))) return false;
        if ((target->id = lb_tpl_intern(p, p->tok->p, p->tok->n)) < 0) return false;
        p->tok++;
        if (!lb_tpl_expect_op(p, '=') || !(v = lb_tpl_parse_expr(p, true))) return false;
        if (!lb_tpl_list_add(p, &names, target) || !lb_tpl_list_add(p, &values, v)) return false;
    }
    if (!(n->args = lb_tpl_parse_alloc(p, 1, sizeof *n->args))) return false;
    *n->args = (tpl_args){.pos = names.v, .n_pos = names.n, .kw = values.v, .n_kw = values.n};
    static const char *const ends[] = {"endwith", NULL};
    if (!body(p, ends, &n->kid, &n->n_kid)) return false;
    p->tok++;
    return true;
}

static bool parse_filter_block(tpl_parser *p, tpl_node *n)
{
    return (n->b = lb_tpl_parse_filters(p, NULL, true)) != NULL && closed_body(p, "endfilter", &n->kid, &n->n_kid);
}

static bool parse_generation(tpl_parser *p, tpl_node *n) { return closed_body(p, "endgeneration", &n->kid, &n->n_kid); }

static bool parse_jump(tpl_parser *p, tpl_node *n)
{
    if (p->n_loop) return true;
    return lb_tpl_parse_fail(p, LB_EFORMAT, n->line, "'%s' outside a loop", n->kind == N_BREAK ? "break" : "continue");
}

static bool parse_print(tpl_parser *p, tpl_node *n) { return (n->a = lb_tpl_parse_expr(p, true)) != NULL; }

static bool statement(tpl_parser *p, tpl_list *out)
{
    static const struct { const char *name; tpl_node_kind kind; bool (*parse)(tpl_parser *, tpl_node *); } tags[] = {
        {"if", N_IF, parse_if}, {"for", N_FOR, parse_for}, {"set", N_SET, parse_set}, {"macro", N_MACRO, parse_macro},
        {"call", N_CALL_BLOCK, parse_call}, {"filter", N_FILTER_BLOCK, parse_filter_block},
        {"with", N_WITH, parse_with},
        {"generation", N_BODY, parse_generation}, {"break", N_BREAK, parse_jump}, {"continue", N_CONTINUE, parse_jump},
        {"print", N_PRINT, parse_print},
    };
    static const char *const ends[] = {"endif", "elif", "else", "endfor", "endset", "endmacro", "endcall", "endfilter",
        "endwith", "endgeneration", "endraw"};
    const tpl_tok *t = p->tok;
    if (t->kind != TOK_NAME) return unexpected(p, "the name of a tag");
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (lb_tpl_is_name(t, tags[i].name)) {
            tpl_node *n = lb_tpl_node_new(p, tags[i].kind, t->line);
            p->tok++;
            return n && lb_tpl_list_add(p, out, n) && tags[i].parse(p, n);
        }
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (lb_tpl_is_name(t, ends[i])) return unexpected(p, "a tag that may stand here");
    return lb_tpl_parse_fail(p, LB_EUNSUPPORTED, t->line, "the tag '{%% %.*s %%}'", t->n > 60 ? 60 : (int)t->n, t->p);
}

bool lb_tpl_parse_all(tpl_parser *p)
{
    tpl_list l = {0};
    if (!statements(p, NULL, &l)) return false;
    p->t->body = l.v;
    p->t->n_body = l.n;
    const tpl_node *u = p->unknown;
    if (!u) return true;
    return lb_tpl_parse_fail(p, LB_EUNSUPPORTED, u->line, "the %s '%.*s'", u->kind == N_FILTER ? "filter" : "test",
                             u->v.s->n > 60 ? 60 : (int)u->v.s->n, u->v.s->p);
}
