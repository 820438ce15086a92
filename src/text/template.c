/* text/template.c – the public face: parse a template, render it with variables. */
#include "text/template_run.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

/* The source as Jinja sees it: "\r\n" and "\r" are "\n", one newline at the end is dropped. */
static size_t normalize(char *to, const char *from, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        to[k++] = from[i] == '\r' ? '\n' : from[i];
        if (from[i] == '\r' && i + 1 < n && from[i + 1] == '\n') i++;
    }
    return k > 0 && to[k - 1] == '\n' ? k - 1 : k;
}

static bool parse(lb_template *t, const char *src, size_t n, lb_err *err)
{
    tpl_parser p = {.t = t, .where = t->where, .err = err};
    tpl_tok *tok = NULL;
    size_t n_tok;
    static const char *const fixed[] = {"loop", "caller", "varargs", "kwargs"};   /* TPL_ID_LOOP … */
    char *text = lb_tpl_pool_alloc(&t->pool, n + 1);
    if (!text) return lb_fail_mem(err, n, "a chat template");
    n = normalize(text, src, n);
    bool ok = true;
    for (int i = 0; ok && i < TPL_ID_FIXED; i++) ok = lb_tpl_intern(&p, fixed[i], strlen(fixed[i])) == i;
    ok = ok && lb_tpl_lex(&t->pool, text, n, t->where, &tok, &n_tok, err);
    p.tok = tok;
    ok = ok && lb_tpl_parse_all(&p);
    free(tok);
    free(p.slots);
    return ok;
}

lb_template *lb_template_parse(const char *src, size_t n, const char *where, lb_err *err)
{
    if (n > LB_TEMPLATE_MAX_SOURCE)
        return lb_fail_null(err, LB_EFORMAT, "%s: the chat template has %zu bytes, more than %zu MiB", where, n,
                            LB_TEMPLATE_MAX_SOURCE >> 20);
    if (!lb_tpl_utf8_ok(src, n))
        return lb_fail_null(err, LB_EFORMAT, "%s: the chat template is not valid UTF-8", where);
    lb_template *t = lb_alloc(1, sizeof *t, "a chat template", err);
    if (!t) return NULL;
    t->pool.limit = (size_t)1 << 30;   /* a megabyte of the densest syntax takes less than half of it */
    size_t n_where = strlen(where);
    t->where = lb_tpl_pool_alloc(&t->pool, n_where + 1);
    bool ok = t->where ? true : lb_fail_mem(err, n_where, "a chat template");
    if (ok) memcpy(t->where, where, n_where + 1);
    if (!ok || !parse(t, src, n, err)) {
        lb_template_free(t);
        return NULL;
    }
    return t;
}

void lb_template_free(lb_template *t)
{
    if (!t) return;
    lb_tpl_pool_free(&t->pool);
    free(t->names);
    free(t);
}

/* Every name the template mentions: the caller's variable, or lowbit's function. */
static bool bind_globals(tpl_rt *rt, const json_t *vars)
{
    const lb_template *t = rt->t;
    if (!(rt->globals = lb_tpl_alloc(rt, (size_t)t->n_names, sizeof *rt->globals))) return false;
    for (int i = 0; i < t->n_names; i++) {
        const json_t *j = json_object_getn(vars, t->names[i]->p, t->names[i]->n);
        const tpl_builtin *f = lb_tpl_find_global(t->names[i]);
        if (j && !lb_tpl_from_json(rt, j, 0, &rt->globals[i])) return false;
        if (!j && f) rt->globals[i] = (tpl_val){.kind = TPL_FUNC, .fn = f};
    }
    return true;
}

bool lb_template_render(const lb_template *t, const json_t *vars, lb_buf *out, lb_err *err)
{
    lb_buf text = {0};
    tpl_rt rt = {.t = t, .err = err, .out = &text, .t0_ns = lb_tpl_clock_ns(),
        .pool = {.limit = LB_TEMPLATE_MAX_MEMORY}};
    if (!json_is_object(vars))
        return lb_fail(err, LB_EUSAGE, "%s: the variables are %s, wanted an object", t->where, lb_json_kind(vars));
    tpl_scope *top = lb_tpl_alloc(&rt, 1, sizeof *top);
    bool ok = top && bind_globals(&rt, vars) && lb_tpl_exec(&rt, top, t->body, t->n_body) == TPL_NEXT;
    if (ok) {
        lb_buf_add(out, lb_buf_cstr(&text), text.n);
        ok = lb_buf_ok(out, "a rendered chat template", err);
    }
    lb_buf_free(&text);
    lb_tpl_pool_free(&rt.pool);
    return ok;
}
