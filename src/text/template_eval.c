/* text/template_eval.c – expressions: nodes to values; calls and their arguments. */
#include "text/template_run.h"
#include <string.h>

bool lb_tpl_scope_set(tpl_rt *rt, tpl_scope *s, int id, tpl_val v)
{
    for (int i = 0; i < s->n; i++)
        if (s->v[i].id == id) {
            s->v[i].v = v;
            return true;
        }
    if (!lb_tpl_step(rt, (size_t)s->n / 16)) return false;
    if (s->n == s->cap) {
        int cap = s->cap ? 2 * s->cap : 4;
        tpl_var *p = lb_tpl_alloc(rt, (size_t)cap, sizeof *p);
        if (!p) return false;
        if (s->n) memcpy(p, s->v, (size_t)s->n * sizeof *p);
        s->v = p;
        s->cap = cap;
    }
    s->v[s->n++] = (tpl_var){id, v};
    return true;
}

static bool lookup(tpl_rt *rt, tpl_scope *s, int id, tpl_val *out)
{
    for (; s; s = s->up) {
        if (!lb_tpl_step(rt, (size_t)s->n / 16)) return false;
        for (int i = 0; i < s->n; i++)
            if (s->v[i].id == id) {
                *out = s->v[i].v;
                return true;
            }
    }
    *out = rt->globals[id];
    return out->kind != TPL_MISSING || lb_tpl_undef_new(rt, NULL, NULL, rt->t->names[id], out);
}

/* ---- calls ---- */
bool lb_tpl_eval_args(tpl_rt *rt, tpl_scope *s, const tpl_args *a, tpl_call *out)
{
    const tpl_seq *star = NULL;
    const tpl_dict *starstar = NULL;
    tpl_val v;
    if (a->star && (!lb_tpl_eval(rt, s, a->star, &v) || !lb_tpl_items(rt, v, &star))) return false;
    if (a->starstar) {
        if (!lb_tpl_eval(rt, s, a->starstar, &v)) return false;
        if (v.kind != TPL_DICT) return lb_tpl_type_error(rt, "'**' wants a dict", v);
        starstar = v.dict;
    }
    size_t n_pos = (size_t)a->n_pos + (star ? star->n : 0), n_kw = (size_t)a->n_kw + (starstar ? starstar->n : 0);
    if (n_pos > LB_TEMPLATE_MAX_STEPS || n_kw > LB_TEMPLATE_MAX_STEPS || !lb_tpl_step(rt, n_pos + n_kw * n_kw / 4))
        return lb_tpl_fail(rt, LB_EFORMAT, "the template takes more than %d steps", LB_TEMPLATE_MAX_STEPS);
    tpl_val *pos = lb_tpl_alloc(rt, n_pos, sizeof *pos);
    tpl_pair *kw = lb_tpl_alloc(rt, n_kw, sizeof *kw);
    if (!pos || !kw) return false;
    for (int i = 0; i < a->n_pos; i++)
        if (!lb_tpl_eval(rt, s, a->pos[i], &pos[i])) return false;
    if (star && star->n) memcpy(pos + a->n_pos, star->v, star->n * sizeof *pos);
    for (int i = 0; i < a->n_kw; i++) {
        kw[i].key = (tpl_val){.kind = TPL_STR, .s = a->kw_name[i]};
        if (!lb_tpl_eval(rt, s, a->kw[i], &kw[i].val)) return false;
    }
    for (size_t i = 0; starstar && i < starstar->n; i++) {
        if (starstar->v[i].key.kind != TPL_STR)
            return lb_tpl_type_error(rt, "keywords must be strings", starstar->v[i].key);
        kw[a->n_kw + (int)i] = starstar->v[i];
    }
    for (size_t i = 0; i < n_kw; i++)
        for (size_t k = 0; k < i; k++)
            if (kw[i].key.s->n == kw[k].key.s->n && !memcmp(kw[i].key.s->p, kw[k].key.s->p, kw[i].key.s->n))
                return lb_tpl_fail(rt, LB_EFORMAT, "a keyword argument is given twice");
    *out = (tpl_call){pos, (int)n_pos, kw, (int)n_kw};
    return true;
}

/* The k-th name of "old new count?"; false behind the last. */
static bool param(const char *params, int k, const char **name, size_t *n, bool *optional)
{
    const char *p = params;
    for (; k > 0 && *p; k--) {
        p += strcspn(p, " ");
        p += *p == ' ';
    }
    *name = p;
    *n = strcspn(p, " ?");
    *optional = p[*n] == '?';
    return *n > 0;
}

/* Positional and keyword arguments into one value per parameter. */
static bool bind(tpl_rt *rt, const tpl_builtin *f, const tpl_call *call, tpl_val arg[TPL_MAX_PARAMS])
{
    const char *name;
    size_t n;
    bool optional;
    int k = 0, used = 0;
    for (; k < TPL_MAX_PARAMS && param(f->params, k, &name, &n, &optional); k++) {
        arg[k] = (tpl_val){.kind = TPL_MISSING};
        if (k < call->n_pos) arg[k] = call->pos[k];
        for (int i = 0; i < call->n_kw; i++)
            if (call->kw[i].key.s->n == n && !memcmp(call->kw[i].key.s->p, name, n)) {
                if (k < call->n_pos) return lb_tpl_fail(rt, LB_EFORMAT, "%s() got '%.*s' twice", f->name, (int)n, name);
                arg[k] = call->kw[i].val;
                used++;
            }
        if (arg[k].kind == TPL_MISSING && !optional)
            return lb_tpl_fail(rt, LB_EFORMAT, "%s() misses its argument '%.*s'", f->name, (int)n, name);
    }
    if (call->n_pos > k)
        return lb_tpl_fail(rt, LB_EFORMAT, "%s() takes at most %d arguments, got %d", f->name, k, call->n_pos);
    if (used < call->n_kw) return lb_tpl_fail(rt, LB_EFORMAT, "%s() got a keyword argument it does not take", f->name);
    return true;
}

bool lb_tpl_call_builtin(tpl_rt *rt, const tpl_builtin *f, tpl_val self, const tpl_call *call, tpl_val *out)
{
    tpl_val arg[TPL_MAX_PARAMS];
    if (f->params[0] != '*' && !bind(rt, f, call, arg)) return false;
    return f->fn(rt, self, arg, call, out);
}

static bool call_loop(tpl_rt *rt, tpl_val f, const tpl_call *call, tpl_val *out);

bool lb_tpl_call(tpl_rt *rt, tpl_val f, const tpl_call *call, tpl_val *out)
{
    switch (f.kind) {
    case TPL_FUNC: return lb_tpl_call_builtin(rt, f.fn, (tpl_val){.kind = TPL_MISSING}, call, out);
    case TPL_METHOD: return lb_tpl_call_builtin(rt, f.method->fn, f.method->self, call, out);
    case TPL_MACRO: return lb_tpl_call_macro(rt, f.macro, call, out);
    case TPL_LOOP: return call_loop(rt, f, call, out);
    default: return lb_tpl_type_error(rt, "cannot call this", f);
    }
}

static bool call_loop(tpl_rt *rt, tpl_val f, const tpl_call *call, tpl_val *out)
{
    (void)f, (void)call, (void)out;
    return lb_tpl_fail(rt, LB_EUNSUPPORTED, "a recursive for loop");
}

/* ---- expressions ---- */
static bool eval_list(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    if (!lb_tpl_seq_new(rt, n->kind == N_LIST ? TPL_LIST : TPL_TUPLE, (size_t)n->n_kid, out)) return false;
    for (int i = 0; i < n->n_kid; i++) {
        tpl_val v;
        if (!lb_tpl_eval(rt, s, n->kid[i], &v) || !lb_tpl_push(rt, out->seq, v)) return false;
    }
    return true;
}

static bool eval_dict(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    if (!lb_tpl_dict_new(rt, TPL_DICT, out)) return false;
    for (int i = 0; i + 1 < n->n_kid; i += 2) {
        tpl_val key, v;
        if (!lb_tpl_eval(rt, s, n->kid[i], &key) || !lb_tpl_eval(rt, s, n->kid[i + 1], &v)) return false;
        if (!lb_tpl_dict_put(rt, out->dict, key, v)) return false;
    }
    return true;
}

static bool eval_chain(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    if (!lb_tpl_eval(rt, s, n->kid[0], out)) return false;
    for (int i = 1; i < n->n_kid; i++) {
        tpl_val right;
        if (!lb_tpl_eval(rt, s, n->kid[i], &right)) return false;
        rt->line = n->kid[i]->line;
        if (!lb_tpl_binary(rt, n->ops[i - 1], *out, right, out)) return false;
    }
    return true;
}

static bool eval_concat(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    lb_buf b = {0};
    bool ok = true;
    for (int i = 0; ok && i < n->n_kid; i++) {
        tpl_val v;
        ok = lb_tpl_eval(rt, s, n->kid[i], &v) && lb_tpl_put_str(rt, &b, v) && lb_tpl_str_room(rt, b.n);
    }
    if (ok) return lb_tpl_str_take(rt, &b, out);
    lb_buf_free(&b);
    return false;
}

static bool eval_compare(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    tpl_val left, right;
    bool yes = true;
    if (!lb_tpl_eval(rt, s, n->kid[0], &left)) return false;
    for (int i = 1; yes && i < n->n_kid; i++, left = right) {
        if (!lb_tpl_eval(rt, s, n->kid[i], &right)) return false;
        rt->line = n->line;
        if (!lb_tpl_compare(rt, n->ops[i - 1], left, right, &yes)) return false;
    }
    *out = lb_tpl_bool(yes);
    return true;
}

static bool eval_words(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    for (int i = 0; i < n->n_kid; i++) {
        if (!lb_tpl_eval(rt, s, n->kid[i], out)) return false;
        if (lb_tpl_truth(*out) == (n->kind == N_OR)) break;
    }
    return true;
}

static bool eval_cond(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    tpl_val test;
    if (!lb_tpl_eval(rt, s, n->b, &test)) return false;
    if (lb_tpl_truth(test)) return lb_tpl_eval(rt, s, n->a, out);
    if (n->c) return lb_tpl_eval(rt, s, n->c, out);
    return lb_tpl_undef_new(rt, "an inline if without else was false", NULL, NULL, out);
}

static bool eval_sign(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    tpl_val v;
    if (!lb_tpl_eval(rt, s, n->a, &v)) return false;
    rt->line = n->line;
    if (!lb_tpl_is_num(v)) return lb_tpl_type_error(rt, "a sign in front of something that is no number", v);
    if (v.kind == TPL_REAL) {
        *out = lb_tpl_real(n->kind == N_NEG ? -v.d : v.d);
        return true;
    }
    return lb_tpl_binary(rt, n->kind == N_NEG ? '-' : '+', lb_tpl_int(0), lb_tpl_int(lb_tpl_as_int(v)), out);
}

static bool eval_item(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    tpl_val v, key;
    if (!lb_tpl_eval(rt, s, n->a, &v) || !lb_tpl_eval(rt, s, n->b, &key)) return false;
    rt->line = n->line;
    return lb_tpl_get_item(rt, v, key, out);
}

static bool eval_slice(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    tpl_val v, part[3];
    if (!lb_tpl_eval(rt, s, n->a, &v)) return false;
    for (int i = 0; i < 3; i++) {
        part[i] = lb_tpl_none();
        if (n->kid[i] && !lb_tpl_eval(rt, s, n->kid[i], &part[i])) return false;
    }
    rt->line = n->line;
    return lb_tpl_slice(rt, v, part, out);
}

static bool eval_call(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    tpl_val f;
    tpl_call call;
    if (!lb_tpl_eval(rt, s, n->a, &f)) return false;
    rt->line = n->line;
    if (!lb_tpl_eval_args(rt, s, n->args, &call)) return false;
    rt->line = n->line;
    return lb_tpl_call(rt, f, &call, out);
}

static bool apply(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val self, tpl_val *out)
{
    tpl_call call;
    if (!n->fn)
        return lb_tpl_fail(rt, LB_EUNSUPPORTED, "the %s '%.*s'", n->kind == N_FILTER ? "filter" : "test",
                           n->v.s->n > 60 ? 60 : (int)n->v.s->n, n->v.s->p);
    if (!lb_tpl_eval_args(rt, s, n->args, &call)) return false;
    rt->line = n->line;
    if (!lb_tpl_call_builtin(rt, n->fn, self, &call, out)) return false;
    if (n->kind == N_TEST) *out = lb_tpl_bool(lb_tpl_truth(*out) != (n->op != 0));
    return true;
}

static bool eval_apply(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    tpl_val self;
    rt->line = n->line;
    return lb_tpl_eval(rt, s, n->a, &self) && apply(rt, s, n, self, out);
}

bool lb_tpl_eval_filters(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val in, tpl_val *out)
{
    if (rt->depth >= LB_TEMPLATE_MAX_FRAMES)
        return lb_tpl_fail(rt, LB_EFORMAT, "more than %d evaluations inside each other", LB_TEMPLATE_MAX_FRAMES);
    rt->depth++;
    bool ok = !n->a || lb_tpl_eval_filters(rt, s, n->a, in, &in);
    rt->depth--;
    return ok && apply(rt, s, n, in, out);
}

static bool eval_attr(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    tpl_val v;
    if (!lb_tpl_eval(rt, s, n->a, &v)) return false;
    rt->line = n->line;
    return lb_tpl_get_attr(rt, v, n->v.s, out);
}

static bool eval_not(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    tpl_val v;
    if (!lb_tpl_eval(rt, s, n->a, &v)) return false;
    *out = lb_tpl_bool(!lb_tpl_truth(v));
    return true;
}

static bool dispatch(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    switch ((tpl_node_kind)n->kind) {
    case N_LIST: case N_TUPLE: return eval_list(rt, s, n, out);
    case N_DICT: return eval_dict(rt, s, n, out);
    case N_CHAIN: return eval_chain(rt, s, n, out);
    case N_CONCAT: return eval_concat(rt, s, n, out);
    case N_COMPARE: return eval_compare(rt, s, n, out);
    case N_AND: case N_OR: return eval_words(rt, s, n, out);
    case N_NOT: return eval_not(rt, s, n, out);
    case N_NEG: case N_POS: return eval_sign(rt, s, n, out);
    case N_COND: return eval_cond(rt, s, n, out);
    case N_ATTR: return eval_attr(rt, s, n, out);
    case N_ITEM: return eval_item(rt, s, n, out);
    case N_SLICE: return eval_slice(rt, s, n, out);
    case N_CALL: return eval_call(rt, s, n, out);
    case N_FILTER: case N_TEST: return eval_apply(rt, s, n, out);
    default: return lb_tpl_fail(rt, LB_EFAIL, "a node of kind %d in an expression", n->kind);
    }
}

bool lb_tpl_eval(tpl_rt *rt, tpl_scope *s, const tpl_node *n, tpl_val *out)
{
    rt->line = n->line;
    if (!lb_tpl_step(rt, 1)) return false;
    if (n->kind == N_CONST) {
        *out = n->v;
        return true;
    }
    if (n->kind == N_NAME) return lookup(rt, s, n->id, out);
    if (rt->depth >= LB_TEMPLATE_MAX_FRAMES)
        return lb_tpl_fail(rt, LB_EFORMAT, "more than %d evaluations inside each other", LB_TEMPLATE_MAX_FRAMES);
    rt->depth++;
    bool ok = dispatch(rt, s, n, out);
    rt->depth--;
    return ok;
}
