/* text/template_ast.h – the parsed template: tokens, nodes, and the parser's shared state.
 *
 * Internal to the template interpreter. Nodes live in the template's pool and are read-only after parsing. */
#ifndef LB_TEXT_TEMPLATE_AST_H
#define LB_TEXT_TEMPLATE_AST_H
#include "text/template_value.h"

/* ---- tokens ---- */
typedef enum tpl_tok_kind {
    TOK_EOF, TOK_DATA, TOK_VAR_BEGIN, TOK_VAR_END, TOK_BLOCK_BEGIN, TOK_BLOCK_END,
    TOK_NAME, TOK_STR, TOK_INT, TOK_REAL, TOK_OP
} tpl_tok_kind;

/* One-character operators are their own character. */
enum { OP_EQ = 128, OP_NE, OP_GE, OP_LE, OP_FLOORDIV, OP_POW, OP_IN, OP_NOT_IN };

typedef struct tpl_tok {
    uint8_t kind, op;
    int line;
    union {
        struct { const char *p; size_t n; };   /* DATA, NAME, STR: borrowed from the source or the pool */
        int64_t i;
        double d;
    };
} tpl_tok;

/* Splits the source into tokens (TOK_EOF last) the way Jinja's lexer does: white space control, trim_blocks,
 * lstrip_blocks, raw blocks, comments. The text must stay alive; new strings go to the pool. *tok is freed by the
 * caller. */
bool lb_tpl_lex(tpl_pool *pool, const char *src, size_t n, const char *where, tpl_tok **tok, size_t *n_tok,
                lb_err *err);
/* How a token is called in messages. */
const char *lb_tpl_tok_text(const tpl_tok *t, char *buf, size_t size);
const char *lb_tpl_op_text(int op);

/* ---- nodes ---- */
typedef enum tpl_node_kind {
    /* expressions */
    N_CONST,        /* v */
    N_NAME,         /* id, v = the name */
    N_LIST, N_TUPLE,   /* kid[] */
    N_DICT,         /* kid[]: key, value, key, value, … */
    N_CHAIN,        /* kid[0] ops[0] kid[1] ops[1] …, from the left: + - * / // % ** */
    N_CONCAT,       /* kid[] joined by ~ */
    N_COMPARE,      /* kid[0] ops[0] kid[1] …: a < b < c is a < b and b < c */
    N_AND, N_OR,    /* kid[] */
    N_NOT, N_NEG, N_POS,   /* a */
    N_COND,         /* a if b else c; c may be NULL */
    N_ATTR,         /* a.v */
    N_ITEM,         /* a[b] */
    N_SLICE,        /* a[kid[0]:kid[1]:kid[2]]; kids may be NULL */
    N_CALL,         /* a(args) */
    N_FILTER,       /* a|v(args): fn, or NULL when unknown; a is NULL in {% filter %} and {% set x | f %} */
    N_TEST,         /* a is v(args); op 1: is not */
    /* statements */
    N_TEXT,         /* v */
    N_PRINT,        /* a */
    N_IF,           /* a: condition (NULL: else), kid[]: body, b: next branch */
    N_FOR,          /* a: target, b: iterable, c: condition or NULL, kid[]: body, d: an N_BODY of else, or NULL */
    N_SET,          /* a: target, b: value */
    N_SET_BLOCK,    /* a: target, b: filter chain or NULL, kid[]: body */
    N_MACRO,        /* macro */
    N_CALL_BLOCK,   /* macro: the caller, a: the N_CALL */
    N_FILTER_BLOCK, /* b: filter chain, kid[]: body */
    N_WITH,         /* args->pos: names, args->kw: their values; kid[]: body */
    N_BREAK, N_CONTINUE,
    N_BODY,         /* kid[], in a scope of its own, as {% generation %} */
    /* targets of assignments (and N_NAME, N_TUPLE) */
    N_NSREF         /* id (of the namespace's name), v = attribute */
} tpl_node_kind;

typedef struct tpl_node tpl_node;

typedef struct tpl_args {      /* (pos…, name=kw…, *star, **starstar) */
    tpl_node **pos, **kw;
    const tpl_str **kw_name;   /* [n_kw] */
    int n_pos, n_kw;
    tpl_node *star, *starstar;
} tpl_args;

typedef struct tpl_macro_def {
    const tpl_str *name;       /* "caller" for call blocks */
    int id;                    /* of the name; -1 for call blocks */
    int n_arg, n_default;      /* the last n_default arguments have one */
    int *arg_id;
    const tpl_str **arg_name;
    tpl_node **dflt;           /* [n_default] */
    tpl_node **body;
    int n_body;
    bool uses_varargs, uses_kwargs, uses_caller;
} tpl_macro_def;

struct tpl_node {
    uint8_t kind, op;
    int line, id;
    int n_kid;
    tpl_node *a, *b, *c, *d;
    tpl_node **kid;
    uint8_t *ops;
    tpl_args *args;
    tpl_macro_def *macro;
    const struct tpl_builtin *fn;
    tpl_val v;
};

struct lb_template {
    tpl_pool pool;             /* owned: source, nodes, names */
    char *where;               /* in the pool */
    tpl_node **body;
    int n_body;
    const tpl_str **names;     /* [n_names] every identifier once; a node's id is the index */
    int n_names;
};

/* Ids that every template has. */
enum { TPL_ID_LOOP, TPL_ID_CALLER, TPL_ID_VARARGS, TPL_ID_KWARGS, TPL_ID_FIXED };

/* ---- the parser ---- */
typedef struct tpl_parser {
    lb_template *t;
    const char *where;
    lb_err *err;
    const tpl_tok *tok;        /* the current token */
    bool failed;               /* err is filled */
    int depth;                 /* syntax levels open */
    const tpl_node *unknown;   /* the first filter or test outside any condition that lowbit does not know */
    int n_loop;                /* loops open in this macro */
    struct tpl_open_macro { struct tpl_open_macro *up; tpl_macro_def *def; } *macro;   /* macros open */
    int *slots;                /* hash table of names: id + 1 */
    size_t n_slots, cap_names;
} tpl_parser;

bool lb_tpl_parse_fail(tpl_parser *p, lb_code code, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
bool lb_tpl_parse_enter(tpl_parser *p);                    /* one level deeper, or the depth limit's error */
void *lb_tpl_parse_alloc(tpl_parser *p, size_t count, size_t elem);
tpl_node *lb_tpl_node_new(tpl_parser *p, tpl_node_kind kind, int line);
typedef struct tpl_list { tpl_node **v; int n, cap; } tpl_list;
bool lb_tpl_list_add(tpl_parser *p, tpl_list *l, tpl_node *n);
int lb_tpl_intern(tpl_parser *p, const char *s, size_t n); /* id of a name, or -1 */
const tpl_str *lb_tpl_parse_str(tpl_parser *p, const char *s, size_t n);

static inline bool lb_tpl_is_op(const tpl_tok *t, int op) { return t->kind == TOK_OP && t->op == op; }
bool lb_tpl_is_name(const tpl_tok *t, const char *name);
bool lb_tpl_skip_name(tpl_parser *p, const char *name);    /* true: it was there */
bool lb_tpl_skip_op(tpl_parser *p, int op);
bool lb_tpl_expect_op(tpl_parser *p, int op);

/* Expressions (template_expr.c). NULL: failed. */
tpl_node *lb_tpl_parse_expr(tpl_parser *p, bool cond);     /* cond: `a if b else c` is allowed */
tpl_node *lb_tpl_parse_tuple(tpl_parser *p, bool cond, bool in_parens, const char *end_name);
tpl_node *lb_tpl_parse_target(tpl_parser *p, bool ns, const char *end_name);
tpl_node *lb_tpl_parse_filters(tpl_parser *p, tpl_node *a, bool start_inline);   /* |f|g(…); with NULL for a: a chain */
/* Statements (template_parse.c): the whole template. */
bool lb_tpl_parse_all(tpl_parser *p);
#endif
