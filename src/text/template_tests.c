/* text/template_tests.c – the tests behind `is`, and the global functions; one row each in the tables. */
#define _DEFAULT_SOURCE /* localtime_r, timezone */
#include "text/template_run.h"
#include <string.h>
#include <time.h>

#define TEST(name) \
    static bool name(tpl_rt *rt, tpl_val self, const tpl_val *arg, const tpl_call *call, tpl_val *out)
#define IS(name, expr) TEST(name) { (void)rt, (void)arg, (void)call; *out = lb_tpl_bool(expr); return true; }

IS(is_defined, self.kind != TPL_UNDEF)
IS(is_undefined, self.kind == TPL_UNDEF)
IS(is_none, self.kind == TPL_NONE)
IS(is_boolean, self.kind == TPL_BOOL)
IS(is_true, self.kind == TPL_BOOL && self.b)
IS(is_false, self.kind == TPL_BOOL && !self.b)
IS(is_integer, self.kind == TPL_INT)
IS(is_float, self.kind == TPL_REAL)
IS(is_number, lb_tpl_is_num(self))
IS(is_string, self.kind == TPL_STR)
IS(is_escaped, self.kind == TPL_STR && self.s->safe)
IS(is_mapping, self.kind == TPL_DICT)
IS(is_iterable, self.kind == TPL_UNDEF || (self.kind >= TPL_STR && self.kind <= TPL_DICT) || self.kind == TPL_LOOP)
/* Python asks for a length and [] only; an undefined value has both. */
IS(is_sequence, self.kind == TPL_UNDEF || (self.kind >= TPL_STR && self.kind <= TPL_RANGE) || self.kind == TPL_DICT)
IS(is_callable, self.kind == TPL_UNDEF || self.kind >= TPL_LOOP)
IS(is_filter, self.kind == TPL_STR && lb_tpl_find_filter(self.s))
IS(is_test, self.kind == TPL_STR && lb_tpl_find_test(self.s))
static bool identical(tpl_val a, tpl_val b)   /* the union's pointers share their place with i */
{
    return a.kind == b.kind && (a.kind == TPL_NONE || (a.kind == TPL_BOOL ? a.b == b.b : a.i == b.i));
}
IS(same_as, identical(self, arg[0]))

static bool text_case(tpl_rt *rt, tpl_val self, bool upper, tpl_val *out)
{
    tpl_val s;
    if (!lb_tpl_to_str(rt, self, &s) || !lb_tpl_step_bytes(rt, s.s->n)) return false;
    *out = lb_tpl_bool(lb_tpl_is_cased(s.s, upper));
    return true;
}
TEST(is_lower) { (void)arg, (void)call; return text_case(rt, self, false, out); }
TEST(is_upper) { (void)arg, (void)call; return text_case(rt, self, true, out); }

/* self % by == rest */
static bool modulo(tpl_rt *rt, tpl_val self, tpl_val by, int64_t rest, tpl_val *out)
{
    bool same;
    if (self.kind == TPL_STR) return lb_tpl_type_error(rt, "wanted a number", self);
    if (!lb_tpl_binary(rt, '%', self, by, out) || !lb_tpl_equal(rt, *out, lb_tpl_int(rest), 0, &same)) return false;
    *out = lb_tpl_bool(same);
    return true;
}
TEST(is_odd) { (void)arg, (void)call; return modulo(rt, self, lb_tpl_int(2), 1, out); }
TEST(is_even) { (void)arg, (void)call; return modulo(rt, self, lb_tpl_int(2), 0, out); }
TEST(divisible_by) { (void)call; return modulo(rt, self, arg[0], 0, out); }

static bool compare(tpl_rt *rt, int op, tpl_val a, tpl_val b, tpl_val *out)
{
    bool yes;
    if (!lb_tpl_compare(rt, op, a, b, &yes)) return false;
    *out = lb_tpl_bool(yes);
    return true;
}
TEST(is_in) { (void)call; return compare(rt, OP_IN, self, arg[0], out); }
TEST(is_eq) { (void)call; return compare(rt, OP_EQ, self, arg[0], out); }
TEST(is_ne) { (void)call; return compare(rt, OP_NE, self, arg[0], out); }
TEST(is_lt) { (void)call; return compare(rt, '<', self, arg[0], out); }
TEST(is_le) { (void)call; return compare(rt, OP_LE, self, arg[0], out); }
TEST(is_gt) { (void)call; return compare(rt, '>', self, arg[0], out); }
TEST(is_ge) { (void)call; return compare(rt, OP_GE, self, arg[0], out); }

static const tpl_builtin *find(const tpl_builtin *table, size_t n, const tpl_str *name)
{
    for (size_t i = 0; i < n; i++)
        if (lb_tpl_str_is(name, table[i].name)) return &table[i];
    return NULL;
}

const tpl_builtin *lb_tpl_find_test(const tpl_str *name)
{
    static const tpl_builtin table[] = {
        {"defined", "", is_defined}, {"undefined", "", is_undefined}, {"none", "", is_none},
        {"boolean", "", is_boolean},
        {"true", "", is_true}, {"false", "", is_false}, {"integer", "", is_integer}, {"float", "", is_float},
        {"number", "", is_number}, {"string", "", is_string}, {"escaped", "", is_escaped}, {"mapping", "", is_mapping},
        {"iterable", "", is_iterable}, {"sequence", "", is_sequence}, {"callable", "", is_callable},
        {"filter", "", is_filter}, {"test", "", is_test}, {"sameas", "other", same_as}, {"lower", "", is_lower},
        {"upper", "", is_upper}, {"odd", "", is_odd}, {"even", "", is_even}, {"divisibleby", "num", divisible_by},
        {"in", "seq", is_in}, {"eq", "b", is_eq}, {"equalto", "b", is_eq}, {"==", "b", is_eq}, {"ne", "b", is_ne},
        {"!=", "b", is_ne}, {"lt", "b", is_lt}, {"lessthan", "b", is_lt}, {"<", "b", is_lt}, {"le", "b", is_le},
        {"<=", "b", is_le}, {"gt", "b", is_gt}, {"greaterthan", "b", is_gt}, {">", "b", is_gt}, {"ge", "b", is_ge},
        {">=", "b", is_ge},
    };
    return find(table, sizeof table / sizeof *table, name);
}

/* ---- global functions ---- */
enum { MAX_RANGE = 100000 };   /* the limit of Jinja's sandbox */

TEST(range)
{
    (void)self, (void)call;
    int64_t v[3] = {0, 0, 1}, n;
    int n_arg = 0;
    for (; n_arg < 3 && arg[n_arg].kind != TPL_MISSING; n_arg++) {
        if (!lb_tpl_is_int(arg[n_arg])) return lb_tpl_type_error(rt, "range wants integers", arg[n_arg]);
        v[n_arg] = lb_tpl_as_int(arg[n_arg]);
    }
    if (n_arg == 1) v[1] = v[0], v[0] = 0;
    if (v[2] == 0) return lb_tpl_fail(rt, LB_EFORMAT, "range with step 0");
    int64_t low = v[2] > 0 ? v[0] : v[1], high = v[2] > 0 ? v[1] : v[0];
    uint64_t span = high > low ? (uint64_t)high - (uint64_t)low : 0;
    uint64_t step = v[2] > 0 ? (uint64_t)v[2] : 0 - (uint64_t)v[2], count = span ? (span - 1) / step + 1 : 0;
    if (count > MAX_RANGE) return lb_tpl_fail(rt, LB_EFORMAT, "a range of more than %d items", MAX_RANGE);
    n = (int64_t)count;
    if (!lb_tpl_step(rt, (size_t)n / 16) || !lb_tpl_seq_new(rt, TPL_RANGE, (size_t)n, out)) return false;
    out->seq->start = v[0], out->seq->stop = v[1], out->seq->step = v[2];
    for (int64_t i = 0, x = v[0]; i < n; i++) {
        out->seq->v[out->seq->n++] = lb_tpl_int(x);
        if (i + 1 < n) x += v[2];
    }
    return true;
}

/* dict(mapping or pairs, key=value…); namespace() takes the same. */
static bool make_dict(tpl_rt *rt, tpl_kind kind, const tpl_call *call, tpl_val *out)
{
    if (!lb_tpl_dict_new(rt, kind, out)) return false;
    if (call->n_pos > 1)
        return lb_tpl_fail(rt, LB_EFORMAT, "dict() takes one positional argument, got %d", call->n_pos);
    if (call->n_pos == 1 && call->pos[0].kind == TPL_DICT) {
        const tpl_dict *d = call->pos[0].dict;
        for (size_t i = 0; i < d->n; i++)
            if (!lb_tpl_dict_put(rt, out->dict, d->v[i].key, d->v[i].val)) return false;
    } else if (call->n_pos == 1) {
        const tpl_seq *items, *pair;
        if (!lb_tpl_items(rt, call->pos[0], &items)) return false;
        for (size_t i = 0; i < items->n; i++) {
            if (!lb_tpl_items(rt, items->v[i], &pair)) return false;
            if (pair->n != 2)
                return lb_tpl_fail(rt, LB_EFORMAT, "dict() wants pairs, item %zu has %zu values", i, pair->n);
            if (!lb_tpl_dict_put(rt, out->dict, pair->v[0], pair->v[1])) return false;
        }
    }
    for (int i = 0; i < call->n_kw; i++)
        if (!lb_tpl_dict_put(rt, out->dict, call->kw[i].key, call->kw[i].val)) return false;
    for (size_t i = 0; kind == TPL_NS && i < out->dict->n; i++) {
        tpl_val key = out->dict->v[i].key;
        if (key.kind != TPL_STR) return lb_tpl_type_error(rt, "a namespace attribute must be a string", key);
        if (key.s->n && key.s->p[0] == '_')
            return lb_tpl_fail(rt, LB_EFORMAT, "a namespace attribute may not start with '_'");
    }
    return true;
}
TEST(dict) { (void)self, (void)arg; return make_dict(rt, TPL_DICT, call, out); }
TEST(namespace) { (void)self, (void)arg; return make_dict(rt, TPL_NS, call, out); }

TEST(raise_exception)
{
    (void)self, (void)call, (void)out;
    tpl_val s;
    if (!lb_tpl_to_str(rt, arg[0], &s)) return false;
    return lb_tpl_fail(rt, LB_EFORMAT, "%.*s", s.s->n > 600 ? 600 : (int)s.s->n, s.s->p);
}

TEST(strftime_now)
{
    (void)self, (void)call;
    char fmt[256], text[2048];
    time_t now = time(NULL);
    struct tm tm;
    if (arg[0].kind != TPL_STR) return lb_tpl_type_error(rt, "strftime_now wants a format", arg[0]);
    if (arg[0].s->n >= sizeof fmt || memchr(arg[0].s->p, 0, arg[0].s->n))
        return lb_tpl_fail(rt, LB_EUNSUPPORTED, "a time format of more than 255 bytes");
    memcpy(fmt, arg[0].s->p, arg[0].s->n);
    fmt[arg[0].s->n] = 0;
    if (!localtime_r(&now, &tm)) return lb_tpl_fail(rt, LB_EFAIL, "the time of day is not known");
    size_t n = strftime(text, sizeof text, fmt, &tm);
    if (n == 0 && fmt[0]) text[0] = 0;
    if (!lb_tpl_utf8_ok(text, n)) return lb_tpl_fail(rt, LB_EFORMAT, "the locale's names of the time are not UTF-8");
    return lb_tpl_str_copy(rt, text, n, out);
}

/* Jinja's other functions: known, so that calling one does not say "undefined". */
TEST(unsupported)
{
    (void)self, (void)arg, (void)call, (void)out;
    return lb_tpl_fail(rt, LB_EUNSUPPORTED, "the functions cycler, joiner and lipsum");
}

const tpl_builtin *lb_tpl_find_global(const tpl_str *name)
{
    static const tpl_builtin table[] = {
        {"range", "start stop? step?", range}, {"dict", "*", dict}, {"namespace", "*", namespace},
        {"cycler", "*", unsupported}, {"joiner", "*", unsupported}, {"lipsum", "*", unsupported},
        {"raise_exception", "message", raise_exception}, {"strftime_now", "format", strftime_now},
    };
    return find(table, sizeof table / sizeof *table, name);
}
