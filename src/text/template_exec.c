/* text/template_exec.c – statements, scopes and macros; rendering. */
#include "text/template_run.h"
#include <string.h>

/* ---- output ---- */
/* Whatever waits to be printed counts against the output limit, however deep the captures are nested. */
static bool emit(tpl_rt *rt, const tpl_str *s)
{
    if (s->n > LB_TEMPLATE_MAX_OUTPUT - rt->n_pending)
        return lb_tpl_fail(rt, LB_EFORMAT, "the output is longer than %zu MiB", LB_TEMPLATE_MAX_OUTPUT >> 20);
    rt->n_pending += s->n;
    lb_buf_add(rt->out, s->p, s->n);
    return lb_tpl_step_bytes(rt, s->n) && lb_buf_ok(rt->out, "a rendered chat template", rt->err);
}

bool lb_tpl_capture(tpl_rt *rt, tpl_scope *s, tpl_node *const *body, int n, tpl_val *out)
{
    lb_buf b = {0}, *outer = rt->out;
    rt->out = &b;
    bool ok = lb_tpl_exec(rt, s, body, n) == TPL_NEXT;
    rt->out = outer;
    rt->n_pending -= b.n;
    if (ok) return lb_tpl_str_take(rt, &b, out);
    lb_buf_free(&b);
    return false;
}

/* ---- assignment ---- */
bool lb_tpl_assign(tpl_rt *rt, tpl_scope *s, const tpl_node *target, tpl_val v)
{
    rt->line = target->line;
    if (target->kind == N_NAME) return lb_tpl_scope_set(rt, s, target->id, v);
    if (target->kind == N_NSREF) {
        tpl_val ns;
        tpl_node name = {.kind = N_NAME, .id = target->id, .line = target->line};
        if (!lb_tpl_eval(rt, s, &name, &ns)) return false;
        if (ns.kind != TPL_NS)
            return lb_tpl_fail(rt, LB_EFORMAT, "cannot set an attribute of a '%s', only of a namespace",
                               lb_tpl_type(ns));
        if (target->v.s->p[0] == '_')
            return lb_tpl_fail(rt, LB_EFORMAT, "a namespace attribute may not start with '_'");
        return lb_tpl_dict_put(rt, ns.dict, target->v, v);
    }
    const tpl_seq *items;
    if (!lb_tpl_items(rt, v, &items)) return false;
    if (items->n != (size_t)target->n_kid)
        return lb_tpl_fail(rt, LB_EFORMAT, "cannot unpack %zu values into %d names", items->n, target->n_kid);
    for (int i = 0; i < target->n_kid; i++)
        if (!lb_tpl_assign(rt, s, target->kid[i], items->v[i])) return false;
    return true;
}

/* ---- macros ---- */
static void keep(tpl_scope *s)
{
    for (; s && !s->kept; s = s->up) s->kept = true;
}

static bool new_macro(tpl_rt *rt, tpl_scope *s, const tpl_macro_def *def, tpl_val *out)
{
    tpl_macro *m = lb_tpl_alloc(rt, 1, sizeof *m);
    if (!m) return false;
    keep(s);
    *m = (tpl_macro){def, s};
    *out = (tpl_val){.kind = TPL_MACRO, .macro = m};
    return true;
}

static bool is_arg(const tpl_macro_def *d, const tpl_str *name)
{
    for (int i = 0; i < d->n_arg; i++)
        if (d->arg_name[i]->n == name->n && !memcmp(d->arg_name[i]->p, name->p, name->n)) return true;
    return false;
}

/* What is left of a call after the named arguments: varargs, kwargs and caller, if the body mentions them. */
static bool bind_rest(tpl_rt *rt, const tpl_macro_def *d, const tpl_call *call, tpl_scope *s)
{
    tpl_val caller = {.kind = TPL_MISSING}, kwargs, varargs;
    if (!lb_tpl_dict_new(rt, TPL_DICT, &kwargs) || !lb_tpl_seq_new(rt, TPL_TUPLE, 0, &varargs)) return false;
    for (int i = 0; i < call->n_kw; i++) {
        const tpl_str *name = call->kw[i].key.s;
        if (is_arg(d, name)) continue;
        if (d->uses_caller && lb_tpl_str_is(name, "caller")) caller = call->kw[i].val;
        else if (!d->uses_kwargs)
            return lb_tpl_fail(rt, LB_EFORMAT, "macro '%.*s' takes no argument '%.*s'", (int)d->name->n, d->name->p,
                               (int)name->n, name->p);
        else if (!lb_tpl_dict_put(rt, kwargs.dict, call->kw[i].key, call->kw[i].val)) return false;
    }
    if (call->n_pos > d->n_arg && !d->uses_varargs)
        return lb_tpl_fail(rt, LB_EFORMAT, "macro '%.*s' takes at most %d arguments, got %d", (int)d->name->n,
                           d->name->p, d->n_arg, call->n_pos);
    for (int i = d->n_arg; i < call->n_pos; i++)
        if (!lb_tpl_push(rt, varargs.seq, call->pos[i])) return false;
    if (d->uses_caller && caller.kind == TPL_MISSING && !lb_tpl_undef_new(rt, "no caller defined", NULL, NULL, &caller))
        return false;
    return (!d->uses_caller || lb_tpl_scope_set(rt, s, TPL_ID_CALLER, caller)) &&
           (!d->uses_kwargs || lb_tpl_scope_set(rt, s, TPL_ID_KWARGS, kwargs)) &&
           (!d->uses_varargs || lb_tpl_scope_set(rt, s, TPL_ID_VARARGS, varargs));
}

static bool bind_args(tpl_rt *rt, const tpl_macro_def *d, const tpl_call *call, tpl_scope *s)
{
    for (int i = 0; i < d->n_arg; i++) {
        tpl_val v = {.kind = TPL_MISSING};
        if (i < call->n_pos) v = call->pos[i];
        for (int k = 0; k < call->n_kw; k++) {
            const tpl_str *name = call->kw[k].key.s;
            if (name->n != d->arg_name[i]->n || memcmp(name->p, d->arg_name[i]->p, name->n)) continue;
            if (v.kind != TPL_MISSING)
                return lb_tpl_fail(rt, LB_EFORMAT, "a macro got the argument '%.*s' twice", (int)name->n, name->p);
            v = call->kw[k].val;
        }
        int k = i - (d->n_arg - d->n_default);
        if (v.kind == TPL_MISSING && k >= 0) {
            if (!lb_tpl_eval(rt, s, d->dflt[k], &v)) return false;
        } else if (v.kind == TPL_MISSING && !lb_tpl_undef_new(rt, NULL, NULL, d->arg_name[i], &v)) {
            return false;
        }
        if (!lb_tpl_scope_set(rt, s, d->arg_id[i], v)) return false;
    }
    return bind_rest(rt, d, call, s);
}

bool lb_tpl_call_macro(tpl_rt *rt, const tpl_macro *m, const tpl_call *call, tpl_val *out)
{
    tpl_scope *s = lb_tpl_alloc(rt, 1, sizeof *s);
    if (!s) return false;
    if (rt->n_macro >= LB_TEMPLATE_MAX_DEPTH)
        return lb_tpl_fail(rt, LB_EFORMAT, "more than %d macro calls inside each other", LB_TEMPLATE_MAX_DEPTH);
    s->up = m->scope;
    rt->n_macro++;
    bool ok = bind_args(rt, m->def, call, s) && lb_tpl_capture(rt, s, m->def->body, m->def->n_body, out);
    rt->n_macro--;
    return ok;
}

/* ---- statements ---- */
static bool exec_call_block(tpl_rt *rt, tpl_scope *s, const tpl_node *n)
{
    tpl_val f, out;
    tpl_call call;
    tpl_pair *kw;
    if (!lb_tpl_eval(rt, s, n->a->a, &f) || !lb_tpl_eval_args(rt, s, n->a->args, &call)) return false;
    if (!(kw = lb_tpl_alloc(rt, (size_t)call.n_kw + 1, sizeof *kw))) return false;
    memcpy(kw, call.kw, (size_t)call.n_kw * sizeof *kw);
    kw[call.n_kw].key = (tpl_val){.kind = TPL_STR, .s = rt->t->names[TPL_ID_CALLER]};
    if (!new_macro(rt, s, n->macro, &kw[call.n_kw].val)) return false;
    call.kw = kw;
    call.n_kw++;
    return lb_tpl_call(rt, f, &call, &out) && lb_tpl_to_str(rt, out, &out) && emit(rt, out.s);
}

/* The items for which the loop's condition holds. */
static bool filtered(tpl_rt *rt, tpl_scope *s, const tpl_node *n, const tpl_seq **items)
{
    tpl_val list, yes;
    tpl_scope inner = {.up = s};
    if (!lb_tpl_seq_new(rt, TPL_LIST, 0, &list)) return false;
    for (size_t i = 0; i < (*items)->n; i++) {
        inner.n = 0;
        if (!lb_tpl_assign(rt, &inner, n->a, (*items)->v[i]) || !lb_tpl_eval(rt, &inner, n->c, &yes)) return false;
        if (lb_tpl_truth(yes) && !lb_tpl_push(rt, list.seq, (*items)->v[i])) return false;
    }
    *items = list.seq;
    return true;
}

static tpl_flow exec_for(tpl_rt *rt, tpl_scope *s, const tpl_node *n)
{
    tpl_val v;
    tpl_loop *loop = lb_tpl_alloc(rt, 1, sizeof *loop);
    tpl_scope *inner = NULL;
    bool finished = false;   /* some iteration came to its end; Jinja decides `else` by that, not by the items */
    if (!loop || !lb_tpl_eval(rt, s, n->b, &v)) return TPL_FAILED;
    if (!lb_tpl_items(rt, v, &loop->items)) return TPL_FAILED;
    if (n->c && !filtered(rt, s, n, &loop->items)) return TPL_FAILED;
    for (; loop->i < loop->items->n; loop->i++) {
        if (!lb_tpl_step(rt, 1)) return TPL_FAILED;
        if (!inner || inner->kept) {
            if (!(inner = lb_tpl_alloc(rt, 1, sizeof *inner))) return TPL_FAILED;
            inner->up = s;
        }
        inner->n = 0;   /* what the last iteration set is gone */
        if (!lb_tpl_scope_set(rt, inner, TPL_ID_LOOP, (tpl_val){.kind = TPL_LOOP, .loop = loop})) return TPL_FAILED;
        if (!lb_tpl_assign(rt, inner, n->a, loop->items->v[loop->i])) return TPL_FAILED;
        tpl_flow flow = lb_tpl_exec(rt, inner, n->kid, n->n_kid);
        if (flow == TPL_FAILED) return flow;
        if (flow == TPL_BREAK) break;
        finished |= flow == TPL_NEXT;
    }
    if (finished || !n->d) return TPL_NEXT;
    tpl_scope *other = lb_tpl_alloc(rt, 1, sizeof *other);
    if (!other) return TPL_FAILED;
    other->up = s;
    return lb_tpl_exec(rt, other, n->d->kid, n->d->n_kid);
}

static tpl_flow exec_if(tpl_rt *rt, tpl_scope *s, const tpl_node *n)
{
    for (; n; n = n->b) {
        tpl_val yes = lb_tpl_bool(true);
        if (n->a && !lb_tpl_eval(rt, s, n->a, &yes)) return TPL_FAILED;
        if (lb_tpl_truth(yes)) return lb_tpl_exec(rt, s, n->kid, n->n_kid);
    }
    return TPL_NEXT;
}

static bool exec_print(tpl_rt *rt, tpl_scope *s, const tpl_node *n)
{
    tpl_val v;
    return lb_tpl_eval(rt, s, n->a, &v) && lb_tpl_to_str(rt, v, &v) && emit(rt, v.s);
}

/* {% set %}…{% endset %}, {% filter %} and {% generation %}: text made in a scope of its own. */
static bool exec_block(tpl_rt *rt, tpl_scope *s, const tpl_node *n)
{
    tpl_val v;
    tpl_scope *inner = lb_tpl_alloc(rt, 1, sizeof *inner);
    if (!inner) return false;
    inner->up = s;
    if (!lb_tpl_capture(rt, inner, n->kid, n->n_kid, &v)) return false;
    if (n->b && !lb_tpl_eval_filters(rt, s, n->b, v, &v)) return false;
    if (n->kind == N_SET_BLOCK) return lb_tpl_assign(rt, s, n->a, v);
    return lb_tpl_to_str(rt, v, &v) && emit(rt, v.s);
}

static tpl_flow exec_with(tpl_rt *rt, tpl_scope *s, const tpl_node *n)
{
    tpl_scope *inner = lb_tpl_alloc(rt, 1, sizeof *inner);
    if (!inner) return TPL_FAILED;
    inner->up = s;
    for (int i = 0; i < n->args->n_pos; i++) {
        tpl_val v;
        if (!lb_tpl_eval(rt, s, n->args->kw[i], &v) || !lb_tpl_scope_set(rt, inner, n->args->pos[i]->id, v))
            return TPL_FAILED;
    }
    return lb_tpl_exec(rt, inner, n->kid, n->n_kid);
}

static bool exec_set(tpl_rt *rt, tpl_scope *s, const tpl_node *n)
{
    tpl_val v;
    return lb_tpl_eval(rt, s, n->b, &v) && lb_tpl_assign(rt, s, n->a, v);
}

static bool exec_macro(tpl_rt *rt, tpl_scope *s, const tpl_node *n)
{
    tpl_val v;
    return new_macro(rt, s, n->macro, &v) && lb_tpl_scope_set(rt, s, n->macro->id, v);
}

static tpl_flow exec_one(tpl_rt *rt, tpl_scope *s, const tpl_node *n)
{
    bool ok;
    switch ((tpl_node_kind)n->kind) {
    case N_IF: return exec_if(rt, s, n);
    case N_FOR: return exec_for(rt, s, n);
    case N_WITH: return exec_with(rt, s, n);
    case N_BREAK: return TPL_BREAK;
    case N_CONTINUE: return TPL_CONTINUE;
    case N_TEXT: ok = emit(rt, n->v.s); break;
    case N_PRINT: ok = exec_print(rt, s, n); break;
    case N_SET: ok = exec_set(rt, s, n); break;
    case N_MACRO: ok = exec_macro(rt, s, n); break;
    case N_CALL_BLOCK: ok = exec_call_block(rt, s, n); break;
    case N_SET_BLOCK: case N_FILTER_BLOCK: case N_BODY: ok = exec_block(rt, s, n); break;
    default: ok = lb_tpl_fail(rt, LB_EFAIL, "a node of kind %d among statements", n->kind);
    }
    return ok ? TPL_NEXT : TPL_FAILED;
}

tpl_flow lb_tpl_exec(tpl_rt *rt, tpl_scope *s, tpl_node *const *body, int n)
{
    tpl_flow flow = TPL_NEXT;
    if (rt->depth >= LB_TEMPLATE_MAX_FRAMES) {
        lb_tpl_fail(rt, LB_EFORMAT, "more than %d evaluations inside each other", LB_TEMPLATE_MAX_FRAMES);
        return TPL_FAILED;
    }
    rt->depth++;
    for (int i = 0; flow == TPL_NEXT && i < n; i++) {
        rt->line = body[i]->line;
        flow = lb_tpl_step(rt, 1) ? exec_one(rt, s, body[i]) : TPL_FAILED;
    }
    rt->depth--;
    return flow;
}
