/* text/template_filters_list.c – the filters of lists and dicts, one row each in the table at the end.
 *
 * Where Jinja gives a generator, the result is a TPL_ITER made at once: no length, used once, always true. */
#include "text/template_run.h"
#include <string.h>

#define FILTER(name) \
    static bool name(tpl_rt *rt, tpl_val self, const tpl_val *arg, const tpl_call *call, tpl_val *out)
#define UNUSED (void)rt, (void)self, (void)arg, (void)call

static bool given(tpl_val v) { return v.kind != TPL_MISSING && v.kind != TPL_NONE; }
static bool is_true(tpl_val v) { return v.kind != TPL_MISSING && lb_tpl_truth(v); }

/* An integer argument, or dflt where it is missing. */
static bool int_arg(tpl_rt *rt, tpl_val v, int64_t dflt, int64_t *out)
{
    *out = dflt;
    if (v.kind == TPL_MISSING) return true;
    if (!lb_tpl_is_int(v)) return lb_tpl_type_error(rt, "wanted an integer argument", v);
    *out = lb_tpl_as_int(v);
    return true;
}

FILTER(length)
{
    UNUSED;
    int64_t n;
    if (!lb_tpl_length(rt, self, &n)) return false;
    *out = lb_tpl_int(n);
    return true;
}

static bool list_of(tpl_rt *rt, tpl_kind kind, const tpl_seq *items, tpl_val *out)
{
    if (!lb_tpl_seq_new(rt, kind, 0, out)) return false;
    out->seq->v = items->v;   /* shared: lists never change */
    out->seq->n = items->n;
    return true;
}

FILTER(list)
{
    UNUSED;
    const tpl_seq *items;
    return lb_tpl_items(rt, self, &items) && list_of(rt, TPL_LIST, items, out);
}

FILTER(first)
{
    UNUSED;
    const tpl_seq *items;
    if (self.kind == TPL_ITER && self.seq->at < self.seq->n) return *out = self.seq->v[self.seq->at++], true;
    if (!lb_tpl_items(rt, self, &items)) return false;
    if (items->n) return *out = items->v[0], true;
    return lb_tpl_undef_new(rt, "no first item, the sequence was empty", NULL, NULL, out);
}

FILTER(last)
{
    UNUSED;
    const tpl_seq *items;
    if (self.kind == TPL_ITER) return lb_tpl_type_error(rt, "last wants a sequence", self);
    if (!lb_tpl_items(rt, self, &items)) return false;
    if (items->n) return *out = items->v[items->n - 1], true;
    return lb_tpl_undef_new(rt, "no last item, the sequence was empty", NULL, NULL, out);
}

FILTER(reverse)
{
    UNUSED;
    const tpl_seq *items;
    tpl_val part[3] = {lb_tpl_none(), lb_tpl_none(), lb_tpl_int(-1)};
    if (self.kind == TPL_STR) return lb_tpl_slice(rt, self, part, out);
    if (!lb_tpl_items(rt, self, &items) || !lb_tpl_step(rt, items->n / 16)) return false;
    if (!lb_tpl_seq_new(rt, self.kind == TPL_ITER ? TPL_LIST : TPL_ITER, items->n, out)) return false;
    for (size_t i = items->n; i > 0; i--) out->seq->v[out->seq->n++] = items->v[i - 1];
    return true;
}

/* attribute='a.b.0': the parts are keys, numbers where they are digits. */
static bool get_path(tpl_rt *rt, tpl_val v, tpl_val path, tpl_val dflt, tpl_val *out)
{
    *out = v;
    if (!given(path)) return true;
    if (path.kind != TPL_STR) return lb_tpl_get_item(rt, v, path, out);
    const char *p = path.s->p, *end = p + path.s->n;
    for (;;) {
        const char *dot = memchr(p, '.', (size_t)(end - p)), *stop = dot ? dot : end;
        tpl_val key;
        int64_t i = 0;
        bool digits = stop > p && stop - p < 18;
        for (const char *q = p; q < stop && digits; q++) {
            digits = *q >= '0' && *q <= '9';
            i = i * 10 + (*q - '0');
        }
        if (!lb_tpl_str_ref(rt, p, (size_t)(stop - p), &key)) return false;
        if (digits) key = lb_tpl_int(i);
        if (!lb_tpl_get_item(rt, *out, key, out)) return false;
        if (out->kind == TPL_UNDEF && given(dflt)) *out = dflt;
        if (!dot) return true;
        p = dot + 1;
    }
}

/* The value by which an item is compared: its attribute, lower case unless case matters. */
static bool sort_key(tpl_rt *rt, tpl_val item, tpl_val path, bool case_sensitive, tpl_val *out)
{
    if (!get_path(rt, item, path, (tpl_val){.kind = TPL_MISSING}, out)) return false;
    return case_sensitive || out->kind != TPL_STR || lb_tpl_recase(rt, out->s, TPL_LOWER, out);
}

/* Stable merge sort of pairs by key; `reverse` keeps equal items in order too, as Python does. */
static bool merge_sort(tpl_rt *rt, tpl_pair *p, tpl_pair *tmp, size_t n, bool reverse)
{
    if (n < 2) return true;
    size_t half = n / 2, i = 0, k = half, m = 0;
    if (!merge_sort(rt, p, tmp, half, reverse) || !merge_sort(rt, p + half, tmp, n - half, reverse)) return false;
    while (i < half && k < n) {
        bool right;
        tpl_val a = p[reverse ? i : k].key, b = p[reverse ? k : i].key;
        if (!lb_tpl_less(rt, a, b, 0, &right)) return false;
        tmp[m++] = right ? p[k++] : p[i++];
    }
    while (i < half) tmp[m++] = p[i++];
    memcpy(p, tmp, m * sizeof *p);   /* what is left of the right half is in place */
    return true;
}

static bool sorted(tpl_rt *rt, tpl_pair *p, size_t n, bool reverse, tpl_val *out)
{
    tpl_pair *tmp = lb_tpl_alloc(rt, n, sizeof *tmp);
    if (!tmp || !merge_sort(rt, p, tmp, n, reverse) || !lb_tpl_seq_new(rt, TPL_LIST, n, out)) return false;
    for (size_t i = 0; i < n; i++) out->seq->v[out->seq->n++] = p[i].val;
    return true;
}

FILTER(sort)
{
    UNUSED;
    const tpl_seq *items;
    if (arg[2].kind == TPL_STR && memchr(arg[2].s->p, ',', arg[2].s->n))
        return lb_tpl_fail(rt, LB_EUNSUPPORTED, "sort by several attributes");
    if (!lb_tpl_items(rt, self, &items)) return false;
    tpl_pair *p = lb_tpl_alloc(rt, items->n, sizeof *p);
    for (size_t i = 0; p && i < items->n; i++) {
        p[i].val = items->v[i];
        if (!sort_key(rt, items->v[i], arg[2], is_true(arg[1]), &p[i].key)) return false;
    }
    return p && sorted(rt, p, items->n, is_true(arg[0]), out);
}

FILTER(dictsort)
{
    UNUSED;
    bool by_value = arg[1].kind == TPL_STR && lb_tpl_str_is(arg[1].s, "value");
    if (self.kind != TPL_DICT) return lb_tpl_type_error(rt, "dictsort wants a dict", self);
    if (given(arg[1]) && !by_value && !(arg[1].kind == TPL_STR && lb_tpl_str_is(arg[1].s, "key")))
        return lb_tpl_fail(rt, LB_EFORMAT, "dictsort: by must be 'key' or 'value'");
    size_t n = self.dict->n;
    tpl_pair *p = lb_tpl_alloc(rt, n, sizeof *p);
    for (size_t i = 0; p && i < n; i++) {
        const tpl_pair *d = &self.dict->v[i];
        if (!lb_tpl_pair_new(rt, d->key, d->val, &p[i].val)) return false;
        if (!sort_key(rt, by_value ? d->val : d->key, lb_tpl_none(), is_true(arg[0]), &p[i].key)) return false;
    }
    return p && sorted(rt, p, n, is_true(arg[2]), out);
}

FILTER(unique)
{
    UNUSED;
    const tpl_seq *items;
    tpl_val seen;
    if (!lb_tpl_items(rt, self, &items) || !lb_tpl_seq_new(rt, TPL_ITER, 0, out) ||
        !lb_tpl_dict_new(rt, TPL_DICT, &seen)) return false;
    for (size_t i = 0; i < items->n; i++) {
        tpl_val key;
        const tpl_val *old;
        if (!sort_key(rt, items->v[i], arg[1], is_true(arg[0]), &key) || !lb_tpl_dict_find(rt, seen.dict, key, &old))
            return false;
        if (old) continue;
        if (!lb_tpl_dict_put(rt, seen.dict, key, key) || !lb_tpl_push(rt, out->seq, items->v[i])) return false;
    }
    return true;
}

static bool extreme(tpl_rt *rt, tpl_val self, const tpl_val *arg, bool max, tpl_val *out)
{
    const tpl_seq *items;
    tpl_val best, key;
    if (!lb_tpl_items(rt, self, &items)) return false;
    if (!items->n) return lb_tpl_undef_new(rt, "no smallest or largest item, the sequence was empty", NULL, NULL, out);
    for (size_t i = 0; i < items->n; i++) {
        bool better = i == 0;
        if (!sort_key(rt, items->v[i], arg[1], is_true(arg[0]), &key)) return false;
        if (i && !(max ? lb_tpl_less(rt, best, key, 0, &better) : lb_tpl_less(rt, key, best, 0, &better))) return false;
        if (better) best = key, *out = items->v[i];
    }
    return true;
}
FILTER(min) { UNUSED; return extreme(rt, self, arg, false, out); }
FILTER(max) { UNUSED; return extreme(rt, self, arg, true, out); }

FILTER(sum)
{
    UNUSED;
    const tpl_seq *items;
    *out = arg[1].kind == TPL_MISSING ? lb_tpl_int(0) : arg[1];
    if (out->kind == TPL_STR) return lb_tpl_type_error(rt, "sum cannot start with a string", *out);
    if (!lb_tpl_items(rt, self, &items)) return false;
    for (size_t i = 0; i < items->n; i++) {
        tpl_val v;
        if (!get_path(rt, items->v[i], arg[0], (tpl_val){.kind = TPL_MISSING}, &v) ||
            !lb_tpl_binary(rt, '+', *out, v, out)) return false;
    }
    return true;
}

FILTER(join)
{
    UNUSED;
    const tpl_seq *items;
    tpl_val sep = {.kind = TPL_MISSING}, v;
    lb_buf b = {0};
    bool ok = (arg[0].kind == TPL_MISSING || lb_tpl_to_str(rt, arg[0], &sep)) && lb_tpl_items(rt, self, &items);
    for (size_t i = 0; ok && i < items->n; i++) {
        if (i && sep.kind == TPL_STR) lb_buf_add(&b, sep.s->p, sep.s->n);
        ok = get_path(rt, items->v[i], arg[1], (tpl_val){.kind = TPL_MISSING}, &v) && lb_tpl_put_str(rt, &b, v) &&
             (b.n <= LB_TEMPLATE_MAX_OUTPUT || lb_tpl_str_room(rt, b.n)) && lb_tpl_step(rt, 1);
    }
    if (ok) return lb_tpl_str_take(rt, &b, out);
    lb_buf_free(&b);
    return false;
}

FILTER(items)
{
    UNUSED;
    if (self.kind == TPL_UNDEF) return lb_tpl_seq_new(rt, TPL_ITER, 0, out);
    if (self.kind != TPL_DICT) return lb_tpl_type_error(rt, "items wants a dict", self);
    if (!lb_tpl_seq_new(rt, TPL_ITER, self.dict->n, out)) return false;
    for (size_t i = 0; i < self.dict->n; i++)
        if (!lb_tpl_pair_new(rt, self.dict->v[i].key, self.dict->v[i].val, &out->seq->v[out->seq->n++])) return false;
    return true;
}

FILTER(batch)
{
    UNUSED;
    const tpl_seq *items;
    int64_t n;
    tpl_val row = {.kind = TPL_MISSING};
    if (!int_arg(rt, arg[0], 0, &n) || !lb_tpl_items(rt, self, &items) || !lb_tpl_seq_new(rt, TPL_ITER, 0, out))
        return false;
    for (size_t i = 0; i < items->n; i++) {
        if (row.kind == TPL_MISSING || (int64_t)row.seq->n == n)
            if (!lb_tpl_seq_new(rt, TPL_LIST, 0, &row) || !lb_tpl_push(rt, out->seq, row)) return false;
        if (!lb_tpl_push(rt, row.seq, items->v[i])) return false;
    }
    while (row.kind != TPL_MISSING && given(arg[1]) && (int64_t)row.seq->n < n)
        if (!lb_tpl_step(rt, 1) || !lb_tpl_push(rt, row.seq, arg[1])) return false;
    return true;
}

/* ---- with other filters and tests ---- */
static tpl_call rest_of(const tpl_call *c, int skip)
{
    return (tpl_call){c->pos + skip, c->n_pos - skip, c->kw, c->n_kw};
}

static tpl_val keyword(const tpl_call *c, const char *name)
{
    for (int i = 0; i < c->n_kw; i++)
        if (lb_tpl_str_is(c->kw[i].key.s, name)) return c->kw[i].val;
    return (tpl_val){.kind = TPL_MISSING};
}

static bool unknown(tpl_rt *rt, const char *what, tpl_val name)
{
    if (name.kind != TPL_STR) return lb_tpl_type_error(rt, "wanted the name of a filter or test", name);
    return lb_tpl_fail(rt, LB_EUNSUPPORTED, "the %s '%.*s'", what, name.s->n > 60 ? 60 : (int)name.s->n, name.s->p);
}

/* map and select take anything false, such as none, for an empty list. */
static bool items_or_none(tpl_rt *rt, tpl_val v, const tpl_seq **items)
{
    static const tpl_seq empty;
    *items = &empty;
    return !lb_tpl_truth(v) || lb_tpl_items(rt, v, items);
}

FILTER(map)
{
    (void)arg;
    const tpl_seq *items;
    tpl_val path = keyword(call, "attribute"), dflt = keyword(call, "default");
    const tpl_builtin *f = NULL;
    if (call->n_pos) {
        path.kind = TPL_MISSING;
        f = call->pos[0].kind == TPL_STR ? lb_tpl_find_filter(call->pos[0].s) : NULL;
        if (!f) return unknown(rt, "filter", call->pos[0]);
    } else if (path.kind == TPL_MISSING || call->n_kw > 1 + (dflt.kind != TPL_MISSING)) {
        return lb_tpl_fail(rt, LB_EFORMAT, "map wants a filter's name or attribute=");
    }
    tpl_call rest = rest_of(call, f != NULL);
    if (!items_or_none(rt, self, &items) || !lb_tpl_seq_new(rt, TPL_ITER, items->n, out)) return false;
    for (size_t i = 0; i < items->n; i++) {
        tpl_val v;
        if (!lb_tpl_step(rt, 1)) return false;
        if (!(f ? lb_tpl_call_builtin(rt, f, items->v[i], &rest, &v) : get_path(rt, items->v[i], path, dflt, &v)))
            return false;
        out->seq->v[out->seq->n++] = v;
    }
    return true;
}

/* select, reject and their attr forms: keep the items for which a test (or the value itself) says `wanted`. */
static bool choose(tpl_rt *rt, tpl_val self, const tpl_call *call, bool attr, bool wanted, tpl_val *out)
{
    const tpl_seq *items;
    const tpl_builtin *test = NULL;
    tpl_val path = {.kind = TPL_MISSING};
    if (attr && !call->n_pos) return lb_tpl_fail(rt, LB_EFORMAT, "an attribute's name is missing");
    if (attr) path = call->pos[0];
    if (call->n_pos > attr) {
        test = call->pos[attr].kind == TPL_STR ? lb_tpl_find_test(call->pos[attr].s) : NULL;
        if (!test) return unknown(rt, "test", call->pos[attr]);
    }
    tpl_call rest = rest_of(call, attr + (test != NULL));
    if (!items_or_none(rt, self, &items) || !lb_tpl_seq_new(rt, TPL_ITER, 0, out)) return false;
    for (size_t i = 0; i < items->n; i++) {
        tpl_val v;
        if (!lb_tpl_step(rt, 1) || !get_path(rt, items->v[i], path, (tpl_val){.kind = TPL_MISSING}, &v)) return false;
        if (test && !lb_tpl_call_builtin(rt, test, v, &rest, &v)) return false;
        if (lb_tpl_truth(v) == wanted && !lb_tpl_push(rt, out->seq, items->v[i])) return false;
    }
    return true;
}
FILTER(select_items) { (void)arg; return choose(rt, self, call, false, true, out); }
FILTER(reject) { (void)arg; return choose(rt, self, call, false, false, out); }
FILTER(selectattr) { (void)arg; return choose(rt, self, call, true, true, out); }
FILTER(rejectattr) { (void)arg; return choose(rt, self, call, true, false, out); }

const tpl_builtin *lb_tpl_find_list_filter(const tpl_str *name)
{
    static const tpl_builtin table[] = {
        {"batch", "linecount fill_with?", batch}, {"count", "", length},
        {"dictsort", "case_sensitive? by? reverse?", dictsort}, {"first", "", first}, {"items", "", items},
        {"join", "d? attribute?", join}, {"last", "", last}, {"length", "", length}, {"list", "", list},
        {"map", "*", map}, {"max", "case_sensitive? attribute?", max}, {"min", "case_sensitive? attribute?", min},
        {"reject", "*", reject}, {"rejectattr", "*", rejectattr}, {"reverse", "", reverse},
        {"select", "*", select_items}, {"selectattr", "*", selectattr},
        {"sort", "reverse? case_sensitive? attribute?", sort}, {"sum", "attribute? start?", sum},
        {"unique", "case_sensitive? attribute?", unique},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (lb_tpl_str_is(name, table[i].name)) return &table[i];
    return NULL;
}
