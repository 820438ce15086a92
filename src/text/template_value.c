/* text/template_value.c – making, comparing and walking the values of a template. */
#include "text/template_value.h"
#include "text/template_ast.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct tpl_chunk {
    struct tpl_chunk *next;
    _Alignas(16) char mem[];
};

void *lb_tpl_pool_alloc(tpl_pool *p, size_t n)
{
    if (n > p->limit || p->used > p->limit - n) return NULL;
    n = (n + 15) & ~(size_t)15;
    if (n > p->left) {
        size_t size = p->used < 65536 ? 16384 : 65536;
        if (size < n) size = n;
        struct tpl_chunk *c = calloc(1, sizeof *c + size);
        if (!c) return NULL;
        c->next = p->chunks;
        p->chunks = c;
        if (n > 32768 && p->left > 1024) {   /* keep filling the old chunk */
            p->used += n;
            return c->mem;
        }
        p->at = c->mem;
        p->left = size;
    }
    void *mem = p->at;
    p->at += n;
    p->left -= n;
    p->used += n;
    return mem;
}

void lb_tpl_pool_free(tpl_pool *p)
{
    for (struct tpl_chunk *c = p->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    memset(p, 0, sizeof *p);
}

/* ---- failure and limits ---- */
bool lb_tpl_fail(tpl_rt *rt, lb_code code, const char *fmt, ...)
{
    char text[768];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return lb_fail(rt->err, code, "%s: line %d: %s", rt->t->where, rt->line, text);
}

bool lb_tpl_type_error(tpl_rt *rt, const char *what, tpl_val v)
{
    if (v.kind == TPL_UNDEF) return lb_tpl_undef_error(rt, v);
    return lb_tpl_fail(rt, LB_EFORMAT, "%s: the value is a '%s'", what, lb_tpl_type(v));
}

bool lb_tpl_undef_error(tpl_rt *rt, tpl_val v)
{
    const tpl_undef *u = v.undef;
    int n = !u->name ? 0 : u->name->n > 80 ? 80 : (int)u->name->n;
    if (u->hint && u->type) return lb_tpl_fail(rt, LB_EFORMAT, "'%.*s' of a '%s': %s", n, u->name->p, u->type, u->hint);
    if (u->hint) return lb_tpl_fail(rt, LB_EFORMAT, "%s", u->hint);
    if (!u->type) return lb_tpl_fail(rt, LB_EFORMAT, "'%.*s' is undefined", n, u->name->p);
    return lb_tpl_fail(rt, LB_EFORMAT, "'%s object' has no attribute '%.*s'", u->type, n, u->name->p);
}

int64_t lb_tpl_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool lb_tpl_step_slow(tpl_rt *rt)
{
    if (rt->steps > LB_TEMPLATE_MAX_STEPS)
        return lb_tpl_fail(rt, LB_EFORMAT, "the template takes more than %d steps", LB_TEMPLATE_MAX_STEPS);
    if (lb_tpl_clock_ns() - rt->t0_ns > (int64_t)LB_TEMPLATE_MAX_MS * 1000000)
        return lb_tpl_fail(rt, LB_EFORMAT, "the template runs for more than %d ms", LB_TEMPLATE_MAX_MS);
    return true;
}

/* ---- making values ---- */
void *lb_tpl_alloc(tpl_rt *rt, size_t count, size_t elem)
{
    size_t n;
    if (!lb_size_mul(count, elem, &n) || n > rt->pool.limit || rt->pool.used > rt->pool.limit - n) {
        lb_tpl_fail(rt, LB_EFORMAT, "the template makes more than %zu MiB of values", LB_TEMPLATE_MAX_MEMORY >> 20);
        return NULL;
    }
    void *p = lb_tpl_pool_alloc(&rt->pool, n ? n : 1);
    if (!p) lb_fail_mem(rt->err, n, "a chat template's values");
    return p;
}

bool lb_tpl_str_room(tpl_rt *rt, size_t n)
{
    if (n > LB_TEMPLATE_MAX_OUTPUT)
        return lb_tpl_fail(rt, LB_EFORMAT, "the template makes a string longer than %zu MiB",
                           LB_TEMPLATE_MAX_OUTPUT >> 20);
    return lb_tpl_step_bytes(rt, n);
}

bool lb_tpl_str_ref(tpl_rt *rt, const char *p, size_t n, tpl_val *out)
{
    tpl_str *s = lb_tpl_alloc(rt, 1, sizeof *s);
    if (!s || !lb_tpl_str_room(rt, n)) return false;
    *s = (tpl_str){.p = p, .n = n, .n_cp = lb_tpl_cp_count(p, n)};
    *out = (tpl_val){.kind = TPL_STR, .s = s};
    return true;
}

bool lb_tpl_str_copy(tpl_rt *rt, const char *p, size_t n, tpl_val *out)
{
    if (!lb_tpl_str_room(rt, n)) return false;
    char *q = lb_tpl_alloc(rt, n, 1);
    if (!q) return false;
    if (n) memcpy(q, p, n);
    return lb_tpl_str_ref(rt, q, n, out);
}

bool lb_tpl_str_take(tpl_rt *rt, lb_buf *b, tpl_val *out)
{
    bool ok = lb_buf_ok(b, "a chat template's text", rt->err) && lb_tpl_str_copy(rt, b->p, b->n, out);
    lb_buf_free(b);
    return ok;
}

bool lb_tpl_str_mark(tpl_rt *rt, tpl_val v, bool safe, tpl_val *out)
{
    *out = v;
    if (v.s->safe == safe) return true;
    tpl_str *s = lb_tpl_alloc(rt, 1, sizeof *s);
    if (!s) return false;
    *s = *v.s;
    s->safe = safe;
    out->s = s;
    return true;
}

bool lb_tpl_seq_new(tpl_rt *rt, tpl_kind kind, size_t cap, tpl_val *out)
{
    tpl_seq *s = lb_tpl_alloc(rt, 1, sizeof *s);
    if (!s) return false;
    if (cap && !(s->v = lb_tpl_alloc(rt, cap, sizeof *s->v))) return false;
    s->cap = cap;
    *out = (tpl_val){.kind = kind, .seq = s};
    return true;
}

bool lb_tpl_push(tpl_rt *rt, tpl_seq *s, tpl_val v)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 4;
        tpl_val *p = lb_tpl_alloc(rt, cap, sizeof *p);
        if (!p) return false;
        if (s->n) memcpy(p, s->v, s->n * sizeof *p);
        s->v = p;
        s->cap = cap;
    }
    s->v[s->n++] = v;
    return true;
}

bool lb_tpl_pair_new(tpl_rt *rt, tpl_val a, tpl_val b, tpl_val *out)
{
    return lb_tpl_seq_new(rt, TPL_TUPLE, 2, out) && lb_tpl_push(rt, out->seq, a) && lb_tpl_push(rt, out->seq, b);
}

bool lb_tpl_dict_new(tpl_rt *rt, tpl_kind kind, tpl_val *out)
{
    tpl_dict *d = lb_tpl_alloc(rt, 1, sizeof *d);
    *out = (tpl_val){.kind = kind, .dict = d};
    return d != NULL;
}

bool lb_tpl_dict_find(tpl_rt *rt, const tpl_dict *d, tpl_val key, const tpl_val **found)
{
    *found = NULL;
    if (!lb_tpl_step(rt, d->n / 32)) return false;
    for (size_t i = 0; i < d->n; i++) {
        bool same;
        if (key.kind == TPL_STR && d->v[i].key.kind == TPL_STR) {
            const tpl_str *a = key.s, *b = d->v[i].key.s;
            same = a->n == b->n && !memcmp(a->p, b->p, a->n);
        } else if (!lb_tpl_equal(rt, key, d->v[i].key, 0, &same)) {
            return false;
        }
        if (same) {
            *found = &d->v[i].val;
            return true;
        }
    }
    return true;
}

bool lb_tpl_hashable(tpl_val v)
{
    if (v.kind == TPL_TUPLE) {
        for (size_t i = 0; i < v.seq->n; i++)
            /* no tuples of tuples: rare */
            if (v.seq->v[i].kind == TPL_TUPLE || !lb_tpl_hashable(v.seq->v[i])) return false;
        return true;
    }
    return v.kind != TPL_LIST && v.kind != TPL_DICT && v.kind != TPL_VIEW;
}

bool lb_tpl_dict_put(tpl_rt *rt, tpl_dict *d, tpl_val key, tpl_val v)
{
    const tpl_val *old;
    if (!lb_tpl_hashable(key)) return lb_tpl_type_error(rt, "a dict key must be hashable", key);
    if (!lb_tpl_dict_find(rt, d, key, &old)) return false;
    if (old) {
        d->v[(const tpl_pair *)((const char *)old - offsetof(tpl_pair, val)) - d->v].val = v;
        return true;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 4;
        tpl_pair *p = lb_tpl_alloc(rt, cap, sizeof *p);
        if (!p) return false;
        if (d->n) memcpy(p, d->v, d->n * sizeof *p);
        d->v = p;
        d->cap = cap;
    }
    d->v[d->n++] = (tpl_pair){key, v};
    return true;
}

bool lb_tpl_undef_new(tpl_rt *rt, const char *hint, const char *type, const tpl_str *name, tpl_val *out)
{
    tpl_undef *u = lb_tpl_alloc(rt, 1, sizeof *u);
    if (!u) return false;
    *u = (tpl_undef){hint, type, name};
    *out = (tpl_val){.kind = TPL_UNDEF, .undef = u};
    return true;
}

bool lb_tpl_from_json(tpl_rt *rt, const json_t *j, int depth, tpl_val *out)
{
    if (depth > LB_TEMPLATE_MAX_VALUE_DEPTH)
        return lb_tpl_fail(rt, LB_EFORMAT, "a variable is nested deeper than %d levels", LB_TEMPLATE_MAX_VALUE_DEPTH);
    switch (json_typeof(j)) {
    case JSON_NULL: *out = lb_tpl_none(); return true;
    case JSON_TRUE: *out = lb_tpl_bool(true); return true;
    case JSON_FALSE: *out = lb_tpl_bool(false); return true;
    case JSON_INTEGER: *out = lb_tpl_int(json_integer_value(j)); return true;
    case JSON_REAL: *out = lb_tpl_real(json_real_value(j)); return true;
    case JSON_STRING: return lb_tpl_str_ref(rt, json_string_value(j), json_string_length(j), out);
    case JSON_ARRAY: break;
    case JSON_OBJECT: {
        const char *key;
        json_t *item;
        if (!lb_tpl_dict_new(rt, TPL_DICT, out)) return false;
        tpl_dict *d = out->dict;
        size_t n = json_object_size(j);
        if (!(d->v = lb_tpl_alloc(rt, n, sizeof *d->v))) return false;
        d->cap = n;
        json_object_foreach((json_t *)(uintptr_t)j, key, item) {
            tpl_pair *p = &d->v[d->n];
            if (!lb_tpl_str_ref(rt, key, strlen(key), &p->key) || !lb_tpl_from_json(rt, item, depth + 1, &p->val))
                return false;
            d->n++;
        }
        return true;
    }
    }
    if (!lb_tpl_seq_new(rt, TPL_LIST, json_array_size(j), out)) return false;
    for (size_t i = 0; i < json_array_size(j); i++, out->seq->n++)
        if (!lb_tpl_from_json(rt, json_array_get(j, i), depth + 1, &out->seq->v[i])) return false;
    return true;
}

/* ---- asking values ---- */
const char *lb_tpl_type(tpl_val v)
{
    static const char *const names[] = {
        [TPL_MISSING] = "missing", [TPL_UNDEF] = "Undefined", [TPL_NONE] = "NoneType", [TPL_BOOL] = "bool",
        [TPL_INT] = "int", [TPL_REAL] = "float", [TPL_STR] = "str", [TPL_LIST] = "list", [TPL_TUPLE] = "tuple",
        [TPL_RANGE] = "range", [TPL_ITER] = "generator", [TPL_DICT] = "dict", [TPL_NS] = "Namespace",
        [TPL_LOOP] = "LoopContext", [TPL_MACRO] = "Macro", [TPL_FUNC] = "function", [TPL_METHOD] = "method",
    };
    return v.kind == TPL_VIEW ? v.seq->type : names[v.kind];
}

bool lb_tpl_truth(tpl_val v)
{
    switch (v.kind) {
    case TPL_MISSING: case TPL_UNDEF: case TPL_NONE: return false;
    case TPL_BOOL: return v.b;
    case TPL_INT: return v.i != 0;
    case TPL_REAL: return v.d != 0;
    case TPL_STR: return v.s->n > 0;
    case TPL_LIST: case TPL_TUPLE: case TPL_RANGE: case TPL_VIEW: return v.seq->n > 0;
    case TPL_DICT: return v.dict->n > 0;
    default: return true;
    }
}

static bool equal_seq(tpl_rt *rt, const tpl_seq *a, const tpl_seq *b, int depth, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; *out && i < a->n; i++)
        if (!lb_tpl_equal(rt, a->v[i], b->v[i], depth, out)) return false;
    return true;
}

static bool too_deep(tpl_rt *rt)
{
    return lb_tpl_fail(rt, LB_EFORMAT, "a value is nested deeper than %d levels", LB_TEMPLATE_MAX_VALUE_DEPTH);
}

bool lb_tpl_equal(tpl_rt *rt, tpl_val a, tpl_val b, int depth, bool *out)
{
    if (depth > LB_TEMPLATE_MAX_VALUE_DEPTH) return too_deep(rt);
    if (!lb_tpl_step(rt, 1)) return false;
    if (lb_tpl_is_num(a) && lb_tpl_is_num(b)) {
        *out = lb_tpl_is_int(a) && lb_tpl_is_int(b) ? lb_tpl_as_int(a) == lb_tpl_as_int(b)
                                                     : lb_tpl_as_real(a) == lb_tpl_as_real(b);
        return true;
    }
    *out = false;
    if (a.kind != b.kind) return true;
    switch (a.kind) {
    case TPL_UNDEF: case TPL_NONE: *out = true; return true;
    case TPL_STR:
        *out = a.s->n == b.s->n && !memcmp(a.s->p, b.s->p, a.s->n);
        return !*out || lb_tpl_step_bytes(rt, a.s->n);
    case TPL_LIST: case TPL_TUPLE: case TPL_RANGE: case TPL_VIEW: return equal_seq(rt, a.seq, b.seq, depth + 1, out);
    case TPL_DICT:
        *out = a.dict->n == b.dict->n;
        for (size_t i = 0; *out && i < a.dict->n; i++) {
            const tpl_val *other;
            if (!lb_tpl_dict_find(rt, b.dict, a.dict->v[i].key, &other)) return false;
            if (!other) *out = false;
            else if (!lb_tpl_equal(rt, a.dict->v[i].val, *other, depth + 1, out)) return false;
        }
        return true;
    default: *out = a.seq == b.seq; return true;   /* identity; the union's pointers share their place */
    }
}

bool lb_tpl_less(tpl_rt *rt, tpl_val a, tpl_val b, int depth, bool *out)
{
    if (depth > LB_TEMPLATE_MAX_VALUE_DEPTH) return too_deep(rt);
    if (!lb_tpl_step(rt, 1)) return false;
    if (lb_tpl_is_num(a) && lb_tpl_is_num(b)) {
        *out = lb_tpl_is_int(a) && lb_tpl_is_int(b) ? lb_tpl_as_int(a) < lb_tpl_as_int(b)
                                                     : lb_tpl_as_real(a) < lb_tpl_as_real(b);
        return true;
    }
    if (a.kind == TPL_UNDEF || b.kind == TPL_UNDEF) return lb_tpl_undef_error(rt, a.kind == TPL_UNDEF ? a : b);
    if (a.kind == b.kind && a.kind == TPL_STR) {
        size_t n = a.s->n < b.s->n ? a.s->n : b.s->n;
        int c = memcmp(a.s->p, b.s->p, n);   /* UTF-8 sorts as its code points do */
        *out = c < 0 || (c == 0 && a.s->n < b.s->n);
        return lb_tpl_step_bytes(rt, n);
    }
    if (a.kind == b.kind && (a.kind == TPL_LIST || a.kind == TPL_TUPLE)) {
        for (size_t i = 0; i < a.seq->n && i < b.seq->n; i++) {
            bool same;
            if (!lb_tpl_equal(rt, a.seq->v[i], b.seq->v[i], depth + 1, &same)) return false;
            if (!same) return lb_tpl_less(rt, a.seq->v[i], b.seq->v[i], depth + 1, out);
        }
        *out = a.seq->n < b.seq->n;
        return true;
    }
    return lb_tpl_fail(rt, LB_EFORMAT, "cannot order '%s' and '%s'", lb_tpl_type(a), lb_tpl_type(b));
}

bool lb_tpl_length(tpl_rt *rt, tpl_val v, int64_t *out)
{
    switch (v.kind) {
    case TPL_UNDEF: *out = 0; return true;
    case TPL_STR: *out = (int64_t)v.s->n_cp; return true;
    case TPL_LIST: case TPL_TUPLE: case TPL_RANGE: case TPL_VIEW: *out = (int64_t)v.seq->n; return true;
    case TPL_DICT: *out = (int64_t)v.dict->n; return true;
    case TPL_LOOP: *out = (int64_t)v.loop->items->n; return true;
    default: return lb_tpl_type_error(rt, "the length of something that has none", v);
    }
}

bool lb_tpl_items(tpl_rt *rt, tpl_val v, const tpl_seq **out)
{
    static const tpl_seq empty;
    tpl_val list;
    switch (v.kind) {
    case TPL_UNDEF: *out = &empty; return true;
    case TPL_LIST: case TPL_TUPLE: case TPL_RANGE: case TPL_VIEW: *out = v.seq; return true;
    case TPL_ITER:
        if (!lb_tpl_seq_new(rt, TPL_LIST, 0, &list)) return false;
        list.seq->n = v.seq->n - v.seq->at;
        if (list.seq->n) list.seq->v = v.seq->v + v.seq->at;
        v.seq->at = v.seq->n;
        break;
    case TPL_DICT:
        if (!lb_tpl_seq_new(rt, TPL_LIST, v.dict->n, &list) || !lb_tpl_step(rt, v.dict->n / 16)) return false;
        for (size_t i = 0; i < v.dict->n; i++) list.seq->v[list.seq->n++] = v.dict->v[i].key;
        break;
    case TPL_STR:
        if (!lb_tpl_seq_new(rt, TPL_LIST, v.s->n_cp, &list)) return false;
        for (const char *p = v.s->p, *end = p + v.s->n; p < end;) {
            int n;
            lb_tpl_cp(p, end, &n);
            if (!lb_tpl_step(rt, 1) || !lb_tpl_str_ref(rt, p, (size_t)n, &list.seq->v[list.seq->n++])) return false;
            p += n;
        }
        break;
    default: return lb_tpl_type_error(rt, "cannot iterate", v);
    }
    *out = list.seq;
    return true;
}
