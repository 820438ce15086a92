/* text/template_format.c – "%s is %d" % values and "{} is {n:>5}".format(…).
 *
 * The conversions s r d i u x X o e E f F g G c % and, in braces, the types s d e E f F g G x X o % with fill, align,
 * sign, width and precision. Anything else ("{:,}", "{a.b}", '*' as a width, '#') is LB_EUNSUPPORTED. */
#include "text/template_run.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct spec {
    const char *fill;      /* one character */
    size_t n_fill;
    char align;            /* '<', '>', '^', '=' (behind the sign), 0: by type */
    char sign;             /* '+', ' ' or 0 */
    char type;             /* 0: by value */
    int64_t width, prec;   /* prec -1: not given */
} spec;
enum { MAX_PREC = 100 };

static bool put_padded(tpl_rt *rt, lb_buf *b, const spec *f, const char *text, size_t n, bool number)
{
    int64_t left = f->width - (int64_t)lb_tpl_cp_count(text, n), before;
    char align = f->align ? f->align : number ? '>' : '<';
    size_t n_sign = align == '=' && n && (text[0] == '-' || text[0] == '+' || text[0] == ' ');
    if (left > 0 && !lb_tpl_str_room(rt, b->n + n + (size_t)left * f->n_fill)) return false;
    if (left < 0) left = 0;
    before = align == '<' ? 0 : align == '^' ? left / 2 : left;
    lb_buf_add(b, text, n_sign);
    for (int64_t i = 0; i < before; i++) lb_buf_add(b, f->fill, f->n_fill);
    lb_buf_add(b, text + n_sign, n - n_sign);
    for (int64_t i = before; i < left; i++) lb_buf_add(b, f->fill, f->n_fill);
    return lb_tpl_str_room(rt, b->n);
}

static bool put_int(tpl_rt *rt, lb_buf *b, const spec *f, int64_t v)
{
    char digits[80], text[96];
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    const char *how = f->type == 'x' ? "%llx" : f->type == 'X' ? "%llX" : f->type == 'o' ? "%llo" : "%llu";
    snprintf(digits, sizeof digits, how, (unsigned long long)u);
    char sign[2] = {v < 0 ? '-' : f->sign, 0};
    int n = snprintf(text, sizeof text, "%s%s", sign, digits);
    return put_padded(rt, b, f, text, (size_t)n, true);
}

static bool put_real(tpl_rt *rt, lb_buf *b, const spec *f, double d)
{
    char how[16], text[512];
    if (f->prec > MAX_PREC) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "a format with more than %d digits", MAX_PREC);
    bool percent = f->type == '%';
    char sign[2] = {f->sign, 0};
    snprintf(how, sizeof how, "%%%s.%d%c", sign, f->prec < 0 ? 6 : (int)f->prec, percent ? 'f' : f->type);
    int n = snprintf(text, sizeof text - 1, how, percent ? d * 100 : d);
    if (percent) text[n++] = '%';
    return put_padded(rt, b, f, text, (size_t)n, true);
}

static bool put_text(tpl_rt *rt, lb_buf *b, const spec *f, const tpl_str *s)
{
    size_t n = f->prec >= 0 && (size_t)f->prec < s->n_cp ? lb_tpl_cp_offset(s, (size_t)f->prec) : s->n;
    return put_padded(rt, b, f, s->p, n, false);
}

static bool put_value(tpl_rt *rt, lb_buf *b, const spec *f, tpl_val v)
{
    tpl_val s;
    spec g = *f;
    switch (f->type) {
    case 'd': case 'x': case 'X': case 'o':
        if (v.kind == TPL_REAL && f->type == 'd' && fabs(v.d) < 9e18) return put_int(rt, b, f, (int64_t)v.d);
        if (!lb_tpl_is_int(v)) return lb_tpl_type_error(rt, "a number format wants an integer", v);
        return put_int(rt, b, f, lb_tpl_as_int(v));
    case 'e': case 'E': case 'f': case 'F': case 'g': case 'G': case '%':
        if (!lb_tpl_is_num(v)) return lb_tpl_type_error(rt, "a number format wants a number", v);
        return put_real(rt, b, f, lb_tpl_as_real(v));
    case 'c':
        if (v.kind == TPL_INT && v.i >= 0 && v.i < 0x110000 && (v.i < 0xd800 || v.i > 0xdfff)) {
            lb_buf c = {0};
            lb_buf_utf8(&c, (uint32_t)v.i);
            bool ok = put_padded(rt, b, f, lb_buf_cstr(&c), c.n, true);
            lb_buf_free(&c);
            return ok;
        }
        if (v.kind != TPL_STR || v.s->n_cp != 1) return lb_tpl_type_error(rt, "%c wants one character", v);
        return put_text(rt, b, f, v.s);
    case 'r': {
        lb_buf r = {0};
        if (lb_tpl_put_repr(rt, &r, v, 0)) return lb_tpl_str_take(rt, &r, &s) && put_text(rt, b, f, s.s);
        lb_buf_free(&r);
        return false;
    }
    default:
        if (!lb_tpl_to_str(rt, v, &s)) return false;
        if (f->align == '=' ) g.align = '>';
        return put_text(rt, b, &g, s.s);
    }
}

/* Digits at *p as a number of at most 8 MiB. */
static bool read_width(tpl_rt *rt, const char **p, const char *end, int64_t *out)
{
    int64_t v = 0;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        v = v * 10 + (**p - '0');
        if (v > (int64_t)LB_TEMPLATE_MAX_OUTPUT) return lb_tpl_str_room(rt, SIZE_MAX);
    }
    *out = v;
    return true;
}

/* One "%…": the flags, width and precision behind the '%' and the optional (key). */
static bool percent_spec(tpl_rt *rt, const char **p, const char *end, spec *f)
{
    *f = (spec){.fill = " ", .n_fill = 1, .prec = -1, .align = '>'};
    for (; *p < end && strchr("-+ 0", **p) && **p; (*p)++) {
        if (**p == '-') f->align = '<';
        else if (**p == '0' && f->align != '<') f->align = '=', f->fill = "0";
        else if (**p == '+') f->sign = '+';
        else if (**p == ' ' && !f->sign) f->sign = ' ';
    }
    if (f->align == '<') f->fill = " ";
    if (!read_width(rt, p, end, &f->width)) return false;
    if (*p < end && **p == '.') {
        ++*p;
        if (!read_width(rt, p, end, &f->prec)) return false;
    }
    while (*p < end && strchr("hlL", **p) && **p) ++*p;
    if (*p >= end) return lb_tpl_fail(rt, LB_EFORMAT, "a format string ends inside a '%%'");
    f->type = *(*p)++;
    if (f->type == 'i' || f->type == 'u') f->type = 'd';
    if (!strchr("srdxXoeEfFgGc%", f->type) || !f->type) {
        if (f->type == '*' || f->type == '#' || f->type == 'a')
            return lb_tpl_fail(rt, LB_EUNSUPPORTED, "'%%%c' in a format string", f->type);
        return lb_tpl_fail(rt, LB_EFORMAT, "a format string has the unknown conversion '%%%c'",
                           (unsigned char)f->type < 0x80 ? f->type : '?');
    }
    if ((f->type == 's' || f->type == 'r' || f->type == 'c') && f->align == '=') f->align = '>', f->fill = " ";
    return true;
}

static bool percent(tpl_rt *rt, const tpl_str *fmt, tpl_val values, lb_buf *b)
{
    const char *p = fmt->p, *end = p + fmt->n;
    const tpl_val *v = values.kind == TPL_TUPLE ? values.seq->v : &values;
    size_t n = values.kind == TPL_TUPLE ? values.seq->n : 1, used = 0;
    bool keyed = false;
    while (p < end) {
        const char *q = memchr(p, '%', (size_t)(end - p));
        if (!q) q = end;
        lb_buf_add(b, p, (size_t)(q - p));
        if (q == end) break;
        p = q + 1;
        tpl_val item = {.kind = TPL_MISSING};
        if (p < end && *p == '(') {
            const char *close = memchr(p, ')', (size_t)(end - p));
            const tpl_val *found;
            tpl_val key;
            if (!close || values.kind != TPL_DICT)
                return lb_tpl_fail(rt, LB_EFORMAT, "'%%(name)' in a format string wants a dict");
            if (!lb_tpl_str_ref(rt, p + 1, (size_t)(close - p - 1), &key) ||
                !lb_tpl_dict_find(rt, values.dict, key, &found)) return false;
            if (!found) return lb_tpl_fail(rt, LB_EFORMAT, "a format string names a key that the dict does not have");
            item = *found;
            keyed = true;
            p = close + 1;
        }
        spec f;
        if (!lb_tpl_step(rt, 1) || !percent_spec(rt, &p, end, &f)) return false;
        if (f.type == '%') {
            lb_buf_byte(b, '%');
            continue;
        }
        if (item.kind == TPL_MISSING) {
            if (used >= n) return lb_tpl_fail(rt, LB_EFORMAT, "not enough values for a format string");
            item = v[used++];
        }
        if (item.kind == TPL_UNDEF && f.type != 's' && f.type != 'r') return lb_tpl_undef_error(rt, item);
        if (!put_value(rt, b, &f, item)) return false;
    }
    bool lenient = values.kind == TPL_DICT || values.kind == TPL_LIST || values.kind == TPL_RANGE ||
        values.kind == TPL_UNDEF;
    if (!keyed && used < n && !lenient)
        return lb_tpl_fail(rt, LB_EFORMAT, "too many values for a format string");
    return true;
}

bool lb_tpl_format_percent(tpl_rt *rt, const tpl_str *f, tpl_val values, tpl_val *out)
{
    lb_buf b = {0};
    if (f->safe) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "formatting text marked safe");
    if (percent(rt, f, values, &b)) return lb_tpl_str_take(rt, &b, out);
    lb_buf_free(&b);
    return false;
}

/* ---- "{}".format() ---- */
static bool brace_spec(tpl_rt *rt, const char *p, const char *end, spec *f)
{
    *f = (spec){.fill = " ", .n_fill = 1, .prec = -1};
    int len = 0;
    if (p < end) lb_tpl_cp(p, end, &len);
    if (p + len < end && memchr("<>^=", p[len], 4)) {
        f->fill = p;
        f->n_fill = (size_t)len;
        f->align = p[len];
        p += len + 1;
    } else if (p < end && memchr("<>^=", *p, 4)) {
        f->align = *p++;
    }
    if (p < end && memchr("+- ", *p, 3)) {
        f->sign = *p == '-' ? 0 : *p;
        p++;
    }
    if (p < end && *p == '0') {
        if (!f->align) f->align = '=', f->fill = "0", f->n_fill = 1;
        p++;
    }
    if (!read_width(rt, &p, end, &f->width)) return false;
    if (p < end && *p == '.') {
        p++;
        if (!read_width(rt, &p, end, &f->prec)) return false;
    }
    if (p < end && strchr("sdeEfFgGxXo%", *p) && *p) f->type = *p++;
    if (p < end) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "the format '%.*s'", (int)(end - p > 40 ? 40 : end - p), p);
    return true;
}

static bool put_field(tpl_rt *rt, lb_buf *b, const spec *f, tpl_val v)
{
    spec g = *f;
    bool plain = f->width == 0 && f->prec < 0 && !f->type && !f->align && !f->sign;
    if (f->type == 0 && (v.kind == TPL_INT || (v.kind == TPL_BOOL && !plain))) g.type = 'd';
    if (f->type == 0 && v.kind == TPL_REAL) {
        if (f->prec >= 0) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "a float format without a type");
        tpl_val s;   /* str(v), but aligned as a number */
        if (!lb_tpl_to_str(rt, v, &s)) return false;
        if (f->sign && v.d >= 0) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "a float format without a type");
        return put_padded(rt, b, f, s.s->p, s.s->n, true);
    }
    if (!plain && v.kind != TPL_STR && !lb_tpl_is_num(v)) return lb_tpl_type_error(rt, "this value takes no format", v);
    if (v.kind == TPL_STR && f->type && f->type != 's')
        return lb_tpl_type_error(rt, "a number format wants a number", v);
    if (v.kind == TPL_STR && (f->align == '=' || f->sign)) return lb_tpl_type_error(rt, "a string takes no sign", v);
    if (lb_tpl_is_num(v) && f->type == 's') return lb_tpl_type_error(rt, "the format 's' wants a string", v);
    if (v.kind == TPL_REAL && memchr("dxXo", g.type, 4))
        return lb_tpl_type_error(rt, "this format wants an integer", v);
    if (lb_tpl_is_int(v) && f->prec >= 0 && (!f->type || memchr("dxXo", f->type, 4)))
        return lb_tpl_type_error(rt, "an integer takes no precision", v);
    return put_value(rt, b, &g, v);
}

static bool find_field(tpl_rt *rt, const char *p, size_t n, const tpl_call *call, int *next, tpl_val *out)
{
    int64_t i = 0;
    bool digits = n > 0 && n < 9;
    for (size_t k = 0; k < n; k++) {
        digits &= p[k] >= '0' && p[k] <= '9';
        if (p[k] == '.' || p[k] == '[' || p[k] == '{')
            return lb_tpl_fail(rt, LB_EUNSUPPORTED, "the field '{%.*s}' in a format string", (int)(n > 40 ? 40 : n), p);
    }
    if (n == 0 || digits) {
        for (size_t k = 0; k < n; k++) i = i * 10 + (p[k] - '0');
        if (n && *next > 0) return lb_tpl_fail(rt, LB_EFORMAT, "a format string mixes {} and {0}");
        if (!n && *next < 0) return lb_tpl_fail(rt, LB_EFORMAT, "a format string mixes {} and {0}");
        if (n == 0) i = (*next)++;
        else *next = -1;
        if (i >= call->n_pos) return lb_tpl_fail(rt, LB_EFORMAT, "not enough values for a format string");
        *out = call->pos[i];
        return true;
    }
    for (int k = 0; k < call->n_kw; k++)
        if (call->kw[k].key.s->n == n && !memcmp(call->kw[k].key.s->p, p, n)) return *out = call->kw[k].val, true;
    return lb_tpl_fail(rt, LB_EFORMAT, "a format string names '%.*s', which was not given", (int)(n > 40 ? 40 : n), p);
}

static bool braces(tpl_rt *rt, const tpl_str *fmt, const tpl_call *call, lb_buf *b)
{
    const char *p = fmt->p, *end = p + fmt->n;
    int next = 0;   /* of {}; -1 once {0} was used */
    while (p < end) {
        if ((*p == '{' || *p == '}') && p + 1 < end && p[1] == *p) {
            lb_buf_byte(b, *p);
            p += 2;
            continue;
        }
        if (*p == '}') return lb_tpl_fail(rt, LB_EFORMAT, "a single '}' in a format string");
        if (*p != '{') {
            lb_buf_byte(b, *p++);
            continue;
        }
        const char *close = memchr(p, '}', (size_t)(end - p));
        if (!close) return lb_tpl_fail(rt, LB_EFORMAT, "a '{' without '}' in a format string");
        const char *colon = memchr(p, ':', (size_t)(close - p)), *stop = colon ? colon : close;
        char conv = 0;
        if (stop - p > 2 && stop[-2] == '!') {
            conv = stop[-1];
            if (conv != 's' && conv != 'r')
                return lb_tpl_fail(rt, LB_EUNSUPPORTED, "a conversion after '!' in a format string");
        }
        spec f;
        tpl_val v;
        if (!lb_tpl_step(rt, 1) || !find_field(rt, p + 1, (size_t)(stop - p - 1) - (conv ? 2 : 0), call, &next, &v))
            return false;
        if (!brace_spec(rt, colon ? colon + 1 : close, close, &f)) return false;
        if (conv == 's' && !lb_tpl_to_str(rt, v, &v)) return false;
        if (conv == 'r') {
            lb_buf r = {0};
            if (!lb_tpl_put_repr(rt, &r, v, 0)) return lb_buf_free(&r), false;
            if (!lb_tpl_str_take(rt, &r, &v)) return false;
        }
        if (!put_field(rt, b, &f, v)) return false;
        p = close + 1;
    }
    return true;
}

bool lb_tpl_format_braces(tpl_rt *rt, const tpl_str *f, const tpl_call *call, tpl_val *out)
{
    lb_buf b = {0};
    if (f->safe) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "formatting text marked safe");
    if (braces(rt, f, call, &b)) return lb_tpl_str_take(rt, &b, out);
    lb_buf_free(&b);
    return false;
}
