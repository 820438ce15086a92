/* text/template_methods.c – methods of list, tuple, dict and loop; finding any method; what the sandbox hides. */
#define _GNU_SOURCE /* memmem */
#include "text/template_run.h"
#include <string.h>

#define METHOD(name) \
    static bool name(tpl_rt *rt, tpl_val self, const tpl_val *arg, const tpl_call *call, tpl_val *out)
#define UNUSED (void)rt, (void)self, (void)arg, (void)call

/* ---- list, tuple ---- */
METHOD(seq_count)
{
    UNUSED;
    int64_t n = 0;
    for (size_t i = 0; i < self.seq->n; i++) {
        bool same;
        if (!lb_tpl_equal(rt, self.seq->v[i], arg[0], 0, &same)) return false;
        n += same;
    }
    *out = lb_tpl_int(n);
    return true;
}

METHOD(seq_index)
{
    UNUSED;
    for (size_t i = 0; i < self.seq->n; i++) {
        bool same;
        if (!lb_tpl_equal(rt, self.seq->v[i], arg[0], 0, &same)) return false;
        if (same) return *out = lb_tpl_int((int64_t)i), true;
    }
    return lb_tpl_fail(rt, LB_EFORMAT, "index(): the value is not in the list");
}

METHOD(copy) { UNUSED; *out = self; return true; }   /* nothing can change either */

/* ---- dict ---- */
METHOD(get)
{
    UNUSED;
    const tpl_val *found;
    if (!lb_tpl_hashable(arg[0])) return lb_tpl_type_error(rt, "a dict key must be hashable", arg[0]);
    if (!lb_tpl_dict_find(rt, self.dict, arg[0], &found)) return false;
    *out = found ? *found : arg[1].kind == TPL_MISSING ? lb_tpl_none() : arg[1];
    return true;
}

static bool view(tpl_rt *rt, tpl_val self, const char *type, int what, tpl_val *out)
{
    const tpl_dict *d = self.dict;
    if (!lb_tpl_step(rt, d->n / 8) || !lb_tpl_seq_new(rt, TPL_VIEW, d->n, out)) return false;
    out->seq->type = type;
    for (size_t i = 0; i < d->n; i++) {
        tpl_val v = what == 0 ? d->v[i].key : d->v[i].val;
        if (what == 2 && !lb_tpl_pair_new(rt, d->v[i].key, d->v[i].val, &v)) return false;
        out->seq->v[out->seq->n++] = v;
    }
    return true;
}
METHOD(keys) { UNUSED; return view(rt, self, "dict_keys", 0, out); }
METHOD(values) { UNUSED; return view(rt, self, "dict_values", 1, out); }
METHOD(dict_items) { UNUSED; return view(rt, self, "dict_items", 2, out); }

/* ---- loop ---- */
METHOD(cycle)
{
    UNUSED;
    if (call->n_pos == 0) return lb_tpl_fail(rt, LB_EFORMAT, "loop.cycle() without values");
    *out = call->pos[self.loop->i % (size_t)call->n_pos];
    return true;
}

METHOD(changed)   /* the loop remembers what it was asked last; its own state is all that changes */
{
    UNUSED;
    tpl_val now;
    bool same = false;
    if (!lb_tpl_seq_new(rt, TPL_TUPLE, 0, &now)) return false;
    for (int i = 0; i < call->n_pos; i++)
        if (!lb_tpl_push(rt, now.seq, call->pos[i])) return false;
    if (self.loop->changed.kind == TPL_TUPLE && !lb_tpl_equal(rt, self.loop->changed, now, 0, &same)) return false;
    self.loop->changed = now;
    *out = lb_tpl_bool(!same);
    return true;
}

/* ---- tables ---- */
static const tpl_builtin of_seq[] = {{"copy", "", copy}, {"count", "value", seq_count}, {"index", "value", seq_index}};
static const tpl_builtin of_dict[] = {
    {"copy", "", copy}, {"get", "key default?", get}, {"items", "", dict_items}, {"keys", "", keys},
    {"values", "", values},
};
static const tpl_builtin of_loop[] = {{"changed", "*", changed}, {"cycle", "*", cycle}};

#define INT_WORDS " as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag numerator real to_bytes "
/* What Python has and lowbit does not: an error, where a name unknown to both is just undefined. */
static const char *const more[] = {
    [TPL_STR] = " casefold encode expandtabs format_map isidentifier isnumeric isprintable istitle maketrans swapcase "
                "translate ",
    [TPL_TUPLE] = " ", [TPL_LIST] = " ", [TPL_DICT] = " fromkeys ",
    [TPL_BOOL] = INT_WORDS, [TPL_INT] = INT_WORDS,
    [TPL_REAL] = " as_integer_ratio conjugate fromhex hex imag is_integer real ",
    [TPL_RANGE] = " count index start step stop ", [TPL_VIEW] = " isdisjoint mapping ",
    [TPL_MACRO] = " arguments caller catch_kwargs catch_varargs explicit_caller ",
};

static bool has_word(const char *words, const tpl_str *name)
{
    if (!words || !name->n || name->n > 40 || memchr(name->p, ' ', name->n)) return false;
    for (const char *p = words; (p = memmem(p, strlen(p), name->p, name->n)) != NULL; p++)
        if (p > words && p[-1] == ' ' && p[name->n] == ' ') return true;
    return false;
}

const tpl_builtin *lb_tpl_find_method(tpl_kind kind, const tpl_str *name, bool *known, bool *unsafe)
{
    static const struct { const tpl_builtin *v; size_t n; } tables[] = {
        [TPL_LIST] = {of_seq, 3}, [TPL_TUPLE] = {of_seq + 1, 2} /* no copy() */, [TPL_LOOP] = {of_loop, 2},
        [TPL_DICT] = {of_dict, sizeof of_dict / sizeof *of_dict},
    };
    bool listed = (size_t)kind < sizeof tables / sizeof *tables;
    const tpl_builtin *t = kind == TPL_STR ? lb_tpl_str_methods : listed ? tables[kind].v : NULL;
    size_t n = kind == TPL_STR ? lb_tpl_n_str_methods : listed ? tables[kind].n : 0;
    *unsafe = (kind == TPL_LIST && has_word(" append clear extend insert pop remove reverse sort ", name)) ||
              (kind == TPL_DICT && has_word(" clear pop popitem setdefault update ", name));
    *known = true;
    for (size_t i = 0; i < n; i++)
        if (lb_tpl_str_is(name, t[i].name)) return &t[i];
    *known = (size_t)kind < sizeof more / sizeof *more && has_word(more[kind], name);
    return NULL;
}
