/* text/template_ops.c – operators, subscripts and attributes, as Python and Jinja's sandbox define them. */
#define _GNU_SOURCE /* memmem */
#include "text/template_run.h"
#include <math.h>
#include <string.h>

/* ---- arithmetic ---- */
static bool overflow(tpl_rt *rt)
{
    return lb_tpl_fail(rt, LB_EUNSUPPORTED, "an integer that does not fit into 64 bits");
}

static bool operand_error(tpl_rt *rt, int op, tpl_val a, tpl_val b)
{
    if (a.kind == TPL_UNDEF || b.kind == TPL_UNDEF) return lb_tpl_undef_error(rt, a.kind == TPL_UNDEF ? a : b);
    return lb_tpl_fail(rt, LB_EFORMAT, "'%s' does not take '%s' and '%s'", lb_tpl_op_text(op), lb_tpl_type(a),
                       lb_tpl_type(b));
}

static bool int_pow(int64_t a, int64_t n, int64_t *out)
{
    int64_t r = 1;
    for (; n > 0; n >>= 1) {
        if ((n & 1) && __builtin_mul_overflow(r, a, &r)) return false;
        if (n > 1 && __builtin_mul_overflow(a, a, &a)) return false;
    }
    *out = r;
    return true;
}

static bool int_op(tpl_rt *rt, int op, int64_t a, int64_t b, tpl_val *out)
{
    int64_t r = 0;
    bool over = false;
    if ((op == '/' || op == '%' || op == OP_FLOORDIV) && b == 0) return lb_tpl_fail(rt, LB_EFORMAT, "division by zero");
    switch (op) {
    case '+': over = __builtin_add_overflow(a, b, &r); break;
    case '-': over = __builtin_sub_overflow(a, b, &r); break;
    case '*': over = __builtin_mul_overflow(a, b, &r); break;
    case '/': *out = lb_tpl_real((double)a / (double)b); return true;
    case OP_FLOORDIV:
        over = a == INT64_MIN && b == -1;
        if (!over) r = a / b - (a % b != 0 && (a < 0) != (b < 0));
        break;
    case '%':
        r = b == -1 ? 0 : a % b;
        if (r != 0 && (r < 0) != (b < 0)) r += b;
        break;
    default:
        if (b < 0 && a == 0) return lb_tpl_fail(rt, LB_EFORMAT, "0 to a negative power");
        if (b < 0) {
            *out = lb_tpl_real(pow((double)a, (double)b));
            return true;
        }
        over = !int_pow(a, b, &r);
    }
    if (over) return overflow(rt);
    *out = lb_tpl_int(r);
    return true;
}

static bool real_op(tpl_rt *rt, int op, double a, double b, tpl_val *out)
{
    double r;
    if ((op == '/' || op == '%' || op == OP_FLOORDIV) && b == 0) return lb_tpl_fail(rt, LB_EFORMAT, "division by zero");
    switch (op) {
    case '+': r = a + b; break;
    case '-': r = a - b; break;
    case '*': r = a * b; break;
    case '/': r = a / b; break;
    case '%': case OP_FLOORDIV: {
        double m = fmod(a, b);
        if (m != 0 && (m < 0) != (b < 0)) m += b;
        else if (m == 0) m = copysign(0, b);
        if (op == '%') {
            r = m;
        } else {
            double q = (a - m) / b, f = floor(q);
            r = q == 0 ? copysign(0, a / b) : q - f > 0.5 ? f + 1 : f;
        }
        break;
    }
    default:
        if (a < 0 && b != floor(b)) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "a complex number");
        if (a == 0 && b < 0) return lb_tpl_fail(rt, LB_EFORMAT, "0 to a negative power");
        r = pow(a, b);
    }
    *out = lb_tpl_real(r);
    return true;
}

static bool concat(tpl_rt *rt, tpl_val a, tpl_val b, tpl_val *out)
{
    lb_buf buf = {0};
    bool safe = a.s->safe || b.s->safe;
    if (!lb_tpl_str_room(rt, a.s->n + b.s->n)) return false;
    if (safe && !a.s->safe) lb_tpl_put_escaped(&buf, a.s);
    else lb_buf_add(&buf, a.s->p, a.s->n);
    if (safe && !b.s->safe) lb_tpl_put_escaped(&buf, b.s);
    else lb_buf_add(&buf, b.s->p, b.s->n);
    return lb_tpl_str_take(rt, &buf, out) && lb_tpl_str_mark(rt, *out, safe, out);
}

static bool repeat(tpl_rt *rt, tpl_val v, int64_t n, tpl_val *out)
{
    if (n < 0) n = 0;
    size_t len = v.kind == TPL_STR ? v.s->n : v.seq->n, total;
    if (!len) n = 0;
    if (__builtin_mul_overflow(len, (size_t)n, &total)) total = SIZE_MAX;
    if (v.kind == TPL_STR) {
        if (!lb_tpl_str_room(rt, total)) return false;
        lb_buf b = {0};
        for (int64_t i = 0; i < n; i++) lb_buf_add(&b, v.s->p, len);
        return lb_tpl_str_take(rt, &b, out) && lb_tpl_str_mark(rt, *out, v.s->safe, out);
    }
    if (!lb_tpl_step(rt, total) || !lb_tpl_seq_new(rt, v.kind, total, out)) return false;
    for (int64_t i = 0; i < n; i++, out->seq->n += len)
        memcpy(out->seq->v + out->seq->n, v.seq->v, len * sizeof *v.seq->v);
    return true;
}

bool lb_tpl_binary(tpl_rt *rt, int op, tpl_val a, tpl_val b, tpl_val *out)
{
    if (lb_tpl_is_int(a) && lb_tpl_is_int(b)) return int_op(rt, op, lb_tpl_as_int(a), lb_tpl_as_int(b), out);
    if (lb_tpl_is_num(a) && lb_tpl_is_num(b)) return real_op(rt, op, lb_tpl_as_real(a), lb_tpl_as_real(b), out);
    bool same = a.kind == b.kind, list = a.kind == TPL_LIST || a.kind == TPL_TUPLE;
    if (op == '+' && same && a.kind == TPL_STR) return concat(rt, a, b, out);
    if (op == '+' && same && list) {
        size_t n = a.seq->n + b.seq->n;
        if (!lb_tpl_step(rt, n / 16) || !lb_tpl_seq_new(rt, a.kind, n, out)) return false;
        if (a.seq->n) memcpy(out->seq->v, a.seq->v, a.seq->n * sizeof *a.seq->v);
        if (b.seq->n) memcpy(out->seq->v + a.seq->n, b.seq->v, b.seq->n * sizeof *b.seq->v);
        out->seq->n = n;
        return true;
    }
    if (op == '*' && (a.kind == TPL_STR || list) && lb_tpl_is_int(b)) return repeat(rt, a, lb_tpl_as_int(b), out);
    if (op == '*' && lb_tpl_is_int(a) && (b.kind == TPL_STR || b.kind == TPL_LIST || b.kind == TPL_TUPLE))
        return repeat(rt, b, lb_tpl_as_int(a), out);
    if (op == '%' && a.kind == TPL_STR) return lb_tpl_format_percent(rt, a.s, b, out);
    return operand_error(rt, op, a, b);
}

/* ---- comparison ---- */
static bool contains(tpl_rt *rt, tpl_val x, tpl_val in, bool *out)
{
    const tpl_seq *items;
    *out = false;
    if (in.kind == TPL_STR) {
        if (x.kind != TPL_STR) return operand_error(rt, OP_IN, x, in);
        *out = memmem(in.s->p, in.s->n, x.s->p, x.s->n) != NULL;
        return lb_tpl_step_bytes(rt, in.s->n);
    }
    if (in.kind == TPL_DICT) {
        const tpl_val *found;
        if (!lb_tpl_hashable(x)) return lb_tpl_type_error(rt, "a dict key must be hashable", x);
        if (!lb_tpl_dict_find(rt, in.dict, x, &found)) return false;
        *out = found != NULL;
        return true;
    }
    if (!lb_tpl_items(rt, in, &items)) return false;
    for (size_t i = 0; i < items->n && !*out; i++)
        if (!lb_tpl_equal(rt, x, items->v[i], 0, out)) return false;
    return true;
}

bool lb_tpl_compare(tpl_rt *rt, int op, tpl_val a, tpl_val b, bool *out)
{
    bool ok;
    switch (op) {
    case OP_EQ: return lb_tpl_equal(rt, a, b, 0, out);
    case OP_NE: ok = lb_tpl_equal(rt, a, b, 0, out); *out = !*out; return ok;
    case OP_IN: return contains(rt, a, b, out);
    case OP_NOT_IN: ok = contains(rt, a, b, out); *out = !*out; return ok;
    case '<': return lb_tpl_less(rt, a, b, 0, out);
    case '>': return lb_tpl_less(rt, b, a, 0, out);
    default: break;
    }
    if (op == OP_GE) {
        tpl_val t = a;
        a = b;
        b = t;
    }
    bool eq, lt;   /* not "!(b < a)": a NaN is on neither side */
    if (!lb_tpl_less(rt, a, b, 0, &lt) || !lb_tpl_equal(rt, a, b, 0, &eq)) return false;
    *out = lt || eq;
    return true;
}

/* ---- subscripts ---- */
static bool missing(tpl_rt *rt, tpl_val v, tpl_val key, tpl_val *out)
{
    const char *type = v.kind == TPL_NONE ? "None" : lb_tpl_type(v);
    tpl_val name;
    return lb_tpl_to_str(rt, key, &name) && lb_tpl_undef_new(rt, NULL, type, name.s, out);
}

/* A bound method, or what the sandbox gives instead. *found: Python has the attribute. */
static bool method(tpl_rt *rt, tpl_val v, const tpl_str *name, tpl_val *out, bool *found)
{
    bool unsafe;
    const tpl_builtin *f = lb_tpl_find_method(v.kind, name, found, &unsafe);
    if (unsafe || (name->n >= 2 && !memcmp(name->p, "__", 2))) {
        *found = true;   /* every Python object has some; a template may look but not touch */
        return lb_tpl_undef_new(rt, "the sandbox does not allow this attribute", lb_tpl_type(v), name, out);
    }
    if (!*found) return true;
    if (!f) {
        int n = name->n > 60 ? 60 : (int)name->n;
        return lb_tpl_fail(rt, LB_EUNSUPPORTED, "the attribute '%.*s' of a '%s'", n, name->p, lb_tpl_type(v));
    }
    tpl_method *m = lb_tpl_alloc(rt, 1, sizeof *m);
    if (!m) return false;
    *m = (tpl_method){v, f};
    *out = (tpl_val){.kind = TPL_METHOD, .method = m};
    return true;
}

static bool neighbour(tpl_rt *rt, const tpl_loop *l, int64_t i, const char *hint, tpl_val *out)
{
    if (i < 0 || i >= (int64_t)l->items->n) return lb_tpl_undef_new(rt, hint, NULL, NULL, out);
    *out = l->items->v[i];
    return true;
}

static bool loop_attr(tpl_rt *rt, const tpl_loop *l, const tpl_str *name, tpl_val *out, bool *found)
{
    int64_t i = (int64_t)l->i, n = (int64_t)l->items->n;
    *found = true;
    if (lb_tpl_str_is(name, "index")) *out = lb_tpl_int(i + 1);
    else if (lb_tpl_str_is(name, "index0")) *out = lb_tpl_int(i);
    else if (lb_tpl_str_is(name, "revindex")) *out = lb_tpl_int(n - i);
    else if (lb_tpl_str_is(name, "revindex0")) *out = lb_tpl_int(n - i - 1);
    else if (lb_tpl_str_is(name, "first")) *out = lb_tpl_bool(i == 0);
    else if (lb_tpl_str_is(name, "last")) *out = lb_tpl_bool(i == n - 1);
    else if (lb_tpl_str_is(name, "length")) *out = lb_tpl_int(n);
    else if (lb_tpl_str_is(name, "depth")) *out = lb_tpl_int(1);
    else if (lb_tpl_str_is(name, "depth0")) *out = lb_tpl_int(0);
    else if (lb_tpl_str_is(name, "previtem")) return neighbour(rt, l, i - 1, "there is no previous item", out);
    else if (lb_tpl_str_is(name, "nextitem")) return neighbour(rt, l, i + 1, "there is no next item", out);
    else *found = false;
    return true;
}

/* An attribute proper. *found is false where Python's getattr() would fail. */
static bool attribute(tpl_rt *rt, tpl_val v, const tpl_str *name, tpl_val *out, bool *found)
{
    *found = false;
    switch (v.kind) {
    case TPL_NS: {
        const tpl_val *item;
        tpl_val key = {.kind = TPL_STR, .s = name};
        if (!lb_tpl_dict_find(rt, v.dict, key, &item)) return false;
        if (item) *out = *item, *found = true;
        return true;
    }
    case TPL_LOOP:
        if (!loop_attr(rt, v.loop, name, out, found)) return false;
        return *found || method(rt, v, name, out, found);
    case TPL_MACRO:
        if (!lb_tpl_str_is(name, "name")) return method(rt, v, name, out, found);
        *found = true;
        *out = (tpl_val){.kind = TPL_STR, .s = v.macro->def->name};
        return true;
    default: return method(rt, v, name, out, found);
    }
}

static bool subscript(tpl_rt *rt, tpl_val v, tpl_val key, tpl_val *out, bool *found)
{
    *found = false;
    if (v.kind == TPL_DICT) {
        const tpl_val *item;
        if (!lb_tpl_dict_find(rt, v.dict, key, &item)) return false;
        if (item) *out = *item, *found = true;
        return true;
    }
    if (!lb_tpl_is_int(key)) return true;
    int64_t i = lb_tpl_as_int(key);
    if (v.kind == TPL_STR) {
        int64_t n = (int64_t)v.s->n_cp;
        if (i < 0) i += n;
        if (i < 0 || i >= n) return true;
        if (!lb_tpl_step_bytes(rt, v.s->n == v.s->n_cp ? 0 : v.s->n)) return false;
        size_t from = lb_tpl_cp_offset(v.s, (size_t)i);
        int len;
        lb_tpl_cp(v.s->p + from, v.s->p + v.s->n, &len);
        *found = true;
        return lb_tpl_str_ref(rt, v.s->p + from, (size_t)len, out) && lb_tpl_str_mark(rt, *out, v.s->safe, out);
    }
    if (v.kind == TPL_LIST || v.kind == TPL_TUPLE || v.kind == TPL_RANGE) {
        int64_t n = (int64_t)v.seq->n;
        if (i < 0) i += n;
        if (i >= 0 && i < n) *out = v.seq->v[i], *found = true;
    }
    return true;
}

bool lb_tpl_get_attr(tpl_rt *rt, tpl_val v, const tpl_str *name, tpl_val *out)
{
    bool found;
    tpl_val key = {.kind = TPL_STR, .s = name};
    if (v.kind == TPL_UNDEF) return lb_tpl_undef_error(rt, v);
    if (!attribute(rt, v, name, out, &found)) return false;
    if (!found && !subscript(rt, v, key, out, &found)) return false;
    return found || missing(rt, v, key, out);
}

bool lb_tpl_get_item(tpl_rt *rt, tpl_val v, tpl_val key, tpl_val *out)
{
    bool found;
    if (v.kind == TPL_UNDEF) return lb_tpl_undef_error(rt, v);
    if (!subscript(rt, v, key, out, &found)) return false;
    if (!found && key.kind == TPL_STR && !attribute(rt, v, key.s, out, &found)) return false;
    return found || missing(rt, v, key, out);
}

/* ---- slices ---- */
/* One bound of a slice of n items, as Python clips it. */
static int64_t bound(tpl_val v, int64_t n, int64_t step, int64_t dflt)
{
    if (v.kind == TPL_NONE) return dflt;
    int64_t i = lb_tpl_as_int(v), low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
    if (i < 0) i = i < -n ? low - n : i, i += n;
    return i < low ? low : i > high ? high : i;
}

static bool slice_str(tpl_rt *rt, const tpl_str *s, int64_t start, int64_t step, int64_t n, tpl_val *out)
{
    if (n == 0) return lb_tpl_str_ref(rt, "", 0, out);
    size_t from = lb_tpl_cp_offset(s, (size_t)start);
    if (!lb_tpl_step_bytes(rt, s->n)) return false;
    if (step == 1) {
        size_t to = lb_tpl_cp_offset(s, (size_t)(start + n));
        return lb_tpl_str_ref(rt, s->p + from, to - from, out);
    }
    lb_buf b = {0};
    const char *p = s->p + from, *end = s->p + s->n;
    for (int64_t i = 0;; i++) {
        int len;
        lb_tpl_cp(p, end, &len);
        lb_buf_add(&b, p, (size_t)len);
        if (i == n - 1) break;
        for (int64_t k = 0; k < step; k++) do p++; while (p < end && ((unsigned char)*p & 0xc0) == 0x80);
        for (int64_t k = 0; k > step; k--) do p--; while (p > s->p && ((unsigned char)*p & 0xc0) == 0x80);
    }
    return lb_tpl_str_take(rt, &b, out);
}

bool lb_tpl_slice(tpl_rt *rt, tpl_val v, const tpl_val part[3], tpl_val *out)
{
    if (v.kind == TPL_UNDEF) return lb_tpl_undef_error(rt, v);
    bool can = v.kind == TPL_STR || v.kind == TPL_LIST || v.kind == TPL_TUPLE;
    for (int i = 0; i < 3; i++) can &= part[i].kind == TPL_NONE || lb_tpl_is_int(part[i]);
    if (v.kind == TPL_RANGE) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "a slice of a range");
    if (!can) return lb_tpl_type_error(rt, "a slice of something that cannot be sliced so", v);
    int64_t step = part[2].kind == TPL_NONE ? 1 : lb_tpl_as_int(part[2]), n;
    if (step == 0) return lb_tpl_fail(rt, LB_EFORMAT, "a slice with step 0");
    if (!lb_tpl_length(rt, v, &n)) return false;
    if (step < -n - 1) step = -n - 1;   /* no further than one item: keeps the arithmetic small */
    if (step > n + 1) step = n + 1;
    int64_t start = bound(part[0], n, step, step < 0 ? n - 1 : 0), stop = bound(part[1], n, step, step < 0 ? -1 : n);
    int64_t count = step > 0 ? (stop > start ? (stop - start - 1) / step + 1 : 0)
                             : (start > stop ? (start - stop - 1) / -step + 1 : 0);
    if (v.kind == TPL_STR)
        return slice_str(rt, v.s, start, step, count, out) && lb_tpl_str_mark(rt, *out, v.s->safe, out);
    if (!lb_tpl_step(rt, (size_t)count / 16) || !lb_tpl_seq_new(rt, v.kind, (size_t)count, out)) return false;
    for (int64_t i = 0; i < count; i++) out->seq->v[out->seq->n++] = v.seq->v[start + i * step];
    return true;
}
