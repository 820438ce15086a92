/* text/template_run.h – evaluating nodes, calling things, and the tables of what templates may call.
 *
 * Internal to the template interpreter. Every function returns false after filling rt->err. */
#ifndef LB_TEXT_TEMPLATE_RUN_H
#define LB_TEXT_TEMPLATE_RUN_H
#include "text/template_ast.h"

/* Evaluated arguments of a call. */
typedef struct tpl_call {
    const tpl_val *pos;
    int n_pos;
    const tpl_pair *kw;      /* keys are TPL_STR */
    int n_kw;
} tpl_call;

/* A filter, test, method or global function. self: the filtered value, the object of a method, TPL_MISSING for a
 * function. arg: one value per name in params, in that order. */
typedef struct tpl_builtin {
    const char *name;
    const char *params;      /* "old new count?": '?' may be missing; "*": the function reads call itself */
    bool (*fn)(tpl_rt *rt, tpl_val self, const tpl_val *arg, const tpl_call *call, tpl_val *out);
} tpl_builtin;
enum { TPL_MAX_PARAMS = 6 };

/* The tables; NULL when lowbit does not know the name. */
const tpl_builtin *lb_tpl_find_filter(const tpl_str *name);
const tpl_builtin *lb_tpl_find_list_filter(const tpl_str *name);   /* those of template_filters_list.c */
const tpl_builtin *lb_tpl_find_test(const tpl_str *name);
const tpl_builtin *lb_tpl_find_global(const tpl_str *name);
/* A method of a value of this kind. *known: Python has an attribute of that name; *unsafe: the sandbox hides it. */
const tpl_builtin *lb_tpl_find_method(tpl_kind kind, const tpl_str *name, bool *known, bool *unsafe);

extern const tpl_builtin lb_tpl_str_methods[];
extern const size_t lb_tpl_n_str_methods;

/* ---- scopes ---- */
typedef struct tpl_var { int id; tpl_val v; } tpl_var;
typedef struct tpl_scope {
    struct tpl_scope *up;
    tpl_var *v;
    int n, cap;
    bool kept;               /* a macro remembers it: not to be reused for the next iteration */
} tpl_scope;

typedef struct tpl_macro { const tpl_macro_def *def; tpl_scope *scope; } tpl_macro;

bool lb_tpl_scope_set(tpl_rt *rt, tpl_scope *s, int id, tpl_val v);

/* ---- evaluation ---- */
bool lb_tpl_eval(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out);
bool lb_tpl_eval_args(tpl_rt *rt, tpl_scope *s, const tpl_args *a, tpl_call *out);
bool lb_tpl_call(tpl_rt *rt, tpl_val f, const tpl_call *call, tpl_val *out);
bool lb_tpl_call_builtin(tpl_rt *rt, const tpl_builtin *f, tpl_val self, const tpl_call *call, tpl_val *out);
bool lb_tpl_call_macro(tpl_rt *rt, const tpl_macro *m, const tpl_call *call, tpl_val *out);
/* A chain of filters with nothing in front, as in {% filter %}, applied to a value. */
bool lb_tpl_eval_filters(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val in, tpl_val *out);
bool lb_tpl_get_attr(tpl_rt *rt, tpl_val v, const tpl_str *name, tpl_val *out);   /* v.name */
bool lb_tpl_get_item(tpl_rt *rt, tpl_val v, tpl_val key, tpl_val *out);           /* v[key] */
bool lb_tpl_binary(tpl_rt *rt, int op, tpl_val a, tpl_val b, tpl_val *out);       /* + - * / // % ** */
bool lb_tpl_compare(tpl_rt *rt, int op, tpl_val a, tpl_val b, bool *out);         /* == != < <= > >= in, not in */
bool lb_tpl_slice(tpl_rt *rt, tpl_val v, const tpl_val start_stop_step[3], tpl_val *out);

/* Statements. Assigning to a target: a name, a tuple of targets, or an attribute of a namespace. */
typedef enum tpl_flow { TPL_FAILED, TPL_NEXT, TPL_BREAK, TPL_CONTINUE } tpl_flow;
tpl_flow lb_tpl_exec(tpl_rt *rt, tpl_scope *s, tpl_node *const *body, int n);
bool lb_tpl_assign(tpl_rt *rt, tpl_scope *s, const tpl_node *target, tpl_val v);
/* Runs a body with the output caught into a string. */
bool lb_tpl_capture(tpl_rt *rt, tpl_scope *s, tpl_node *const *body, int n, tpl_val *out);

/* "%s and %d" % values, and "{} and {x}".format(…) (template_format.c). */
bool lb_tpl_format_percent(tpl_rt *rt, const tpl_str *f, tpl_val values, tpl_val *out);
bool lb_tpl_format_braces(tpl_rt *rt, const tpl_str *f, const tpl_call *call, tpl_val *out);
#endif
