/* text/template_filters.c – the filters of text and numbers, one row each in the table at the end; those of lists
 * stand in template_filters_list.c. */
#define _GNU_SOURCE /* memrchr */
#include "text/template_run.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- text ---- */
static bool recase(tpl_rt *rt, tpl_val self, tpl_case how, tpl_val *out)
{
    tpl_val s;
    return lb_tpl_to_str(rt, self, &s) && lb_tpl_recase(rt, s.s, how, out);
}
FILTER(upper) { UNUSED; return recase(rt, self, TPL_UPPER, out); }
FILTER(lower) { UNUSED; return recase(rt, self, TPL_LOWER, out); }
FILTER(capitalize) { UNUSED; return recase(rt, self, TPL_CAPITALIZE, out); }
FILTER(string) { UNUSED; return lb_tpl_to_str(rt, self, out); }

/* Jinja's title: words start after white space, '-', and opening brackets only, unlike str.title(). */
FILTER(title)
{
    UNUSED;
    tpl_val s, part;
    lb_buf b = {0};
    bool ok = lb_tpl_to_str(rt, self, &s);
    for (size_t i = 0; ok && i < s.s->n;) {
        const char *p = s.s->p + i, *end = s.s->p + s.s->n;
        int len;
        uint32_t c = lb_tpl_cp(p, end, &len);
        bool space = lb_tpl_is_space(c) || strchr("-({[<", (int)c) != NULL;
        size_t n = (size_t)len;
        if (space && c != 0) {
            lb_buf_add(&b, p, n);
        } else {
            for (; p + n < end; n += (size_t)len) {
                c = lb_tpl_cp(p + n, end, &len);
                if (lb_tpl_is_space(c) || (c < 0x80 && c && strchr("-({[<", (int)c))) break;
            }
            size_t first = lb_tpl_cp_offset(&(tpl_str){.p = p, .n = n, .n_cp = 0}, 1);
            ok = lb_tpl_str_ref(rt, p, first, &part) && lb_tpl_recase(rt, part.s, TPL_UPPER, &part);
            if (ok) lb_buf_add(&b, part.s->p, part.s->n);
            ok = ok && lb_tpl_str_ref(rt, p + first, n - first, &part) && lb_tpl_recase(rt, part.s, TPL_LOWER, &part);
            if (ok) lb_buf_add(&b, part.s->p, part.s->n);
        }
        i += n;
    }
    if (ok) return lb_tpl_str_take(rt, &b, out);
    lb_buf_free(&b);
    return false;
}

/* Calls a method of str on str(self): the filters trim, replace and center are these methods. */
static bool str_method(tpl_rt *rt, tpl_val self, const char *name, const tpl_val *arg, int n_arg, tpl_val *out)
{
    bool known, unsafe;
    tpl_val s;
    tpl_str key = {.p = name, .n = strlen(name), .n_cp = strlen(name)};
    const tpl_builtin *f = lb_tpl_find_method(TPL_STR, &key, &known, &unsafe);
    return lb_tpl_to_str(rt, self, &s) && lb_tpl_call_builtin(rt, f, s, &(tpl_call){.pos = arg, .n_pos = n_arg}, out);
}

FILTER(trim) { UNUSED; return str_method(rt, self, "strip", arg, arg[0].kind != TPL_MISSING, out); }
FILTER(center)
{
    UNUSED;
    tpl_val width = arg[0].kind == TPL_MISSING ? lb_tpl_int(80) : arg[0];
    return str_method(rt, self, "center", &width, 1, out);
}

FILTER(replace)
{
    UNUSED;
    tpl_val s, a[3] = {arg[0], arg[1], given(arg[2]) ? arg[2] : lb_tpl_int(-1)};
    if (!lb_tpl_to_str(rt, self, &s) || !lb_tpl_to_str(rt, a[0], &a[0]) || !lb_tpl_to_str(rt, a[1], &a[1]))
        return false;
    return lb_tpl_str_mark(rt, s, false, &s) && str_method(rt, s, "replace", a, 3, out);
}

FILTER(safe)
{
    UNUSED;
    tpl_val s;
    return lb_tpl_to_str(rt, self, &s) && lb_tpl_str_mark(rt, s, true, out);
}

FILTER(forceescape)
{
    UNUSED;
    tpl_val s;
    lb_buf b = {0};
    if (!lb_tpl_to_str(rt, self, &s)) return false;
    lb_tpl_put_escaped(&b, s.s);
    return lb_tpl_str_take(rt, &b, out) && lb_tpl_str_mark(rt, *out, true, out);
}

FILTER(escape)
{
    if (self.kind != TPL_STR || !self.s->safe) return forceescape(rt, self, arg, call, out);
    *out = self;
    return true;
}

FILTER(indent)
{
    UNUSED;
    if (self.kind != TPL_STR) return lb_tpl_type_error(rt, "indent wants a string", self);
    tpl_val lines;
    lb_buf pad = {0}, b = {0};
    int64_t width = 4;
    bool first = is_true(arg[1]), blank = is_true(arg[2]);
    if (arg[0].kind == TPL_STR) lb_buf_add(&pad, arg[0].s->p, arg[0].s->n);
    else if (!int_arg(rt, arg[0], 4, &width) || (width > 0 && !lb_tpl_str_room(rt, (size_t)width))) return false;
    else for (int64_t i = 0; i < width; i++) lb_buf_byte(&pad, ' ');
    bool ok = lb_buf_ok(&pad, "an indentation", rt->err) && str_method(rt, self, "splitlines", NULL, 0, &lines);
    size_t n = ok ? lines.seq->n : 0;
    /* Jinja adds a newline before splitting, so that text ending in one keeps it. */
    int len;
    size_t last = self.s->n;
    if (last) do last--; while (last && ((unsigned char)self.s->p[last] & 0xc0) == 0x80);
    uint32_t c = self.s->n ? lb_tpl_cp(self.s->p + last, self.s->p + self.s->n, &len) : '\n';
    bool ends_line = c == '\n' || (c >= 0xb && c <= 0xd) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
        c == 0x2029;
    if (c == '\r') ends_line = false;   /* "\r" and the added "\n" are one line end */
    for (size_t i = 0; ok && i < n + ends_line; i++) {
        static const tpl_str empty = {.p = ""};
        const tpl_str *line = i < n ? lines.seq->v[i].s : &empty;
        if (i) lb_buf_byte(&b, '\n');
        if ((i == 0 && first) || (i > 0 && (blank || line->n))) lb_buf_add(&b, pad.p, pad.n);
        lb_buf_add(&b, line->p, line->n);
        ok = lb_tpl_str_room(rt, b.n) && lb_tpl_step(rt, 1);
    }
    lb_buf_free(&pad);
    if (ok) return lb_tpl_str_take(rt, &b, out) && lb_tpl_str_mark(rt, *out, self.s->safe, out);
    lb_buf_free(&b);
    return false;
}

FILTER(truncate)
{
    UNUSED;
    int64_t length, leeway, n;
    tpl_val end, part[3] = {lb_tpl_none(), lb_tpl_none(), lb_tpl_none()};
    if (self.kind == TPL_UNDEF) return *out = self, true;
    if (self.kind != TPL_STR) return lb_tpl_type_error(rt, "truncate wants a string", self);
    if (!int_arg(rt, arg[0], 255, &length) || !int_arg(rt, given(arg[3]) ? arg[3] : lb_tpl_int(5), 5, &leeway))
        return false;
    if (!lb_tpl_str_ref(rt, "...", 3, &end) || (arg[2].kind != TPL_MISSING && !lb_tpl_to_str(rt, arg[2], &end)))
        return false;
    if (!lb_tpl_length(rt, self, &n)) return false;
    if (length < (int64_t)end.s->n_cp || leeway < 0)
        return lb_tpl_fail(rt, LB_EFORMAT, "truncate: the length is too small");
    *out = self;
    if (n - leeway <= length) return true;
    part[1] = lb_tpl_int(length - (int64_t)end.s->n_cp);
    if (!lb_tpl_slice(rt, self, part, out)) return false;
    if (!is_true(arg[1])) {
        const tpl_str *s = out->s;
        const char *space = s->n ? memrchr(s->p, ' ', s->n) : NULL;
        if (space && !lb_tpl_str_ref(rt, s->p, (size_t)(space - s->p), out)) return false;
    }
    return lb_tpl_binary(rt, '+', *out, end, out);
}

FILTER(format)
{
    UNUSED;
    tpl_val s, v;
    if (call->n_pos && call->n_kw)
        return lb_tpl_fail(rt, LB_EFORMAT, "format takes positional or keyword arguments, not both");
    if (!lb_tpl_to_str(rt, self, &s)) return false;
    if (call->n_kw) {
        if (!lb_tpl_dict_new(rt, TPL_DICT, &v)) return false;
        for (int i = 0; i < call->n_kw; i++)
            if (!lb_tpl_dict_put(rt, v.dict, call->kw[i].key, call->kw[i].val)) return false;
    } else {
        if (!lb_tpl_seq_new(rt, TPL_TUPLE, (size_t)call->n_pos, &v)) return false;
        for (int i = 0; i < call->n_pos; i++)
            if (!lb_tpl_push(rt, v.seq, call->pos[i])) return false;
    }
    return lb_tpl_format_percent(rt, s.s, v, out);
}

FILTER(tojson)
{
    UNUSED;
    lb_buf b = {0};
    tpl_json_opt opt = {.ascii = is_true(arg[0]), .pretty = given(arg[1]), .sort_keys = is_true(arg[3])};
    tpl_val pad = {.kind = TPL_NONE};
    static const char spaces[] = "                                ";
    if (opt.pretty && arg[1].kind == TPL_STR) {
        opt.indent = arg[1].s;
    } else if (opt.pretty) {
        int64_t n;
        if (!int_arg(rt, arg[1], 0, &n)) return false;
        if (n > (int64_t)sizeof spaces - 1)
            return lb_tpl_fail(rt, LB_EUNSUPPORTED, "tojson with an indent above %zu", sizeof spaces - 1);
        if (!lb_tpl_str_ref(rt, spaces, n < 0 ? 0 : (size_t)n, &pad)) return false;
        opt.indent = pad.s;
    }
    if (given(arg[2])) {
        tpl_val sep = arg[2];
        if ((sep.kind != TPL_TUPLE && sep.kind != TPL_LIST) || sep.seq->n != 2 || sep.seq->v[0].kind != TPL_STR ||
            sep.seq->v[1].kind != TPL_STR)
            return lb_tpl_fail(rt, LB_EFORMAT, "tojson: separators must be two strings");
        opt.item_sep = sep.seq->v[0].s;
        opt.key_sep = sep.seq->v[1].s;
    }
    if ((opt.indent && opt.indent->n > 64) || (opt.item_sep && opt.item_sep->n + opt.key_sep->n > 64))
        return lb_tpl_fail(rt, LB_EUNSUPPORTED, "tojson with an indent or separators of more than 64 bytes");
    if (lb_tpl_put_json(rt, &b, self, &opt)) return lb_tpl_str_take(rt, &b, out);
    lb_buf_free(&b);
    return false;
}

/* ---- numbers ---- */
static bool plain_digit(const tpl_str *s, char *text, size_t size)
{
    /* Python's int() and float() take white space around the number and single '_' between digits. */
    size_t from = lb_tpl_skip_space(s->p, s->n), to = lb_tpl_trim_space(s->p, s->n), k = 0;
    if (to <= from || to - from >= size) return false;
    for (size_t i = from; i < to; i++) {
        char c = s->p[i];
        bool between = i > from && i + 1 < to && s->p[i - 1] != '_' && s->p[i + 1] != '_' &&
            strchr("0123456789abcdefABCDEF", s->p[i + 1]) && s->p[i + 1];
        if (c == '_' && !between) return false;
        if (c == 0 || (unsigned char)c >= 0x80) return false;
        if (c != '_') text[k++] = c;
    }
    text[k] = 0;
    return true;
}

static bool parse_real(const tpl_str *s, double *d)
{
    char text[512], *end;
    if (!plain_digit(s, text, sizeof text) || strpbrk(text, "xXpP(")) return false;
    *d = strtod(text, &end);
    return *end == 0 && end != text && text[0] > ' ';
}

static bool parse_int(const tpl_str *s, int base, int64_t *i, bool *overflow)
{
    char text[512], *p = text;
    *overflow = false;
    if (!plain_digit(s, text, sizeof text)) return false;
    bool neg = *p == '-';
    if (*p == '-' || *p == '+') p++;
    int kind = p[0] == '0' ? p[1] | 32 : 0, prefix = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (prefix && (base == 0 || base == prefix)) base = prefix, p += 2;
    if (base == 0) base = 10;
    int64_t v = 0;
    if (!*p) return false;
    for (; *p; p++) {
        int low = *p | 32, d = *p >= '0' && *p <= '9' ? *p - '0' : low >= 'a' && low <= 'z' ? low - 'a' + 10 : 99;
        if (d >= base) return false;
        *overflow |= __builtin_mul_overflow(v, base, &v) || __builtin_sub_overflow(v, d, &v);
    }
    if (!neg && v == INT64_MIN) *overflow = true;
    *i = neg || *overflow ? v : -v;
    return true;
}

static bool int_of_real(tpl_rt *rt, double d, tpl_val *out)
{
    if (d >= 9223372036854775808.0 || d < -9223372036854775808.0)
        return lb_tpl_fail(rt, LB_EUNSUPPORTED, "an integer that does not fit into 64 bits");
    *out = lb_tpl_int((int64_t)d);
    return true;
}

FILTER(to_int)
{
    UNUSED;
    int64_t base, i;
    double d;
    bool overflow;
    if (self.kind == TPL_UNDEF) return lb_tpl_undef_error(rt, self);
    if (!int_arg(rt, arg[1], 10, &base)) return false;
    if (base != 0 && (base < 2 || base > 36)) base = 10;
    *out = arg[0].kind == TPL_MISSING ? lb_tpl_int(0) : arg[0];
    if (lb_tpl_is_int(self)) *out = lb_tpl_int(lb_tpl_as_int(self));
    if (self.kind == TPL_REAL) return !isfinite(self.d) || int_of_real(rt, self.d, out);
    if (self.kind != TPL_STR) return true;
    if (parse_int(self.s, (int)base, &i, &overflow)) {
        if (overflow) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "an integer that does not fit into 64 bits");
        *out = lb_tpl_int(i);
        return true;
    }
    return !parse_real(self.s, &d) || !isfinite(d) || int_of_real(rt, d, out);
}

FILTER(to_float)
{
    UNUSED;
    double d;
    if (self.kind == TPL_UNDEF) return lb_tpl_undef_error(rt, self);
    *out = arg[0].kind == TPL_MISSING ? lb_tpl_real(0) : arg[0];
    if (lb_tpl_is_num(self)) *out = lb_tpl_real(lb_tpl_as_real(self));
    if (self.kind == TPL_STR && parse_real(self.s, &d)) *out = lb_tpl_real(d);
    return true;
}

FILTER(absolute)
{
    UNUSED;
    if (!lb_tpl_is_num(self)) return lb_tpl_type_error(rt, "abs wants a number", self);
    if (self.kind == TPL_REAL) return *out = lb_tpl_real(fabs(self.d)), true;
    int64_t i = lb_tpl_as_int(self);
    return i < 0 ? lb_tpl_binary(rt, '-', lb_tpl_int(0), lb_tpl_int(i), out) : (*out = lb_tpl_int(i), true);
}

FILTER(round_to)
{
    UNUSED;
    int64_t digits;
    if (!lb_tpl_is_num(self)) return lb_tpl_type_error(rt, "round wants a number", self);
    if (!int_arg(rt, arg[0], 0, &digits)) return false;
    bool common = arg[1].kind == TPL_MISSING || (arg[1].kind == TPL_STR && lb_tpl_str_is(arg[1].s, "common"));
    bool up = arg[1].kind == TPL_STR && lb_tpl_str_is(arg[1].s, "ceil");
    if (!common && !up && !(arg[1].kind == TPL_STR && lb_tpl_str_is(arg[1].s, "floor")))
        return lb_tpl_fail(rt, LB_EFORMAT, "round: the method must be common, ceil or floor");
    if (digits < 0 || digits > 100) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "round to %lld digits", (long long)digits);
    if (common && lb_tpl_is_int(self)) return *out = lb_tpl_int(lb_tpl_as_int(self)), true;
    double d = lb_tpl_as_real(self);
    char text[512];
    if (common) {
        snprintf(text, sizeof text, "%.*f", (int)digits, d);   /* exact ties go to even, as in Python */
        *out = lb_tpl_real(isfinite(d) ? strtod(text, NULL) : d);
        return true;
    }
    double scale = pow(10, (double)digits);
    *out = lb_tpl_real((up ? ceil(d * scale) : floor(d * scale)) / scale);
    return true;
}

/* ---- anything ---- */
FILTER(dflt)
{
    UNUSED;
    bool use = self.kind == TPL_UNDEF || (is_true(arg[1]) && !lb_tpl_truth(self));
    if (use && arg[0].kind == TPL_MISSING) return lb_tpl_str_ref(rt, "", 0, out);
    *out = use ? arg[0] : self;
    return true;
}

FILTER(attr)
{
    UNUSED;
    if (arg[0].kind != TPL_STR) return lb_tpl_type_error(rt, "attr wants a name", arg[0]);
    if (self.kind == TPL_DICT) {   /* unlike d.name, no key is looked up */
        bool known, unsafe;
        lb_tpl_find_method(TPL_DICT, arg[0].s, &known, &unsafe);
        if (!known && !unsafe) return lb_tpl_undef_new(rt, NULL, "dict", arg[0].s, out);
    }
    return lb_tpl_get_attr(rt, self, arg[0].s, out);
}

const tpl_builtin *lb_tpl_find_filter(const tpl_str *name)
{
    static const tpl_builtin table[] = {
        {"abs", "", absolute}, {"attr", "name", attr}, {"capitalize", "", capitalize}, {"center", "width?", center},
        {"d", "default_value? boolean?", dflt}, {"default", "default_value? boolean?", dflt}, {"e", "", escape},
        {"escape", "", escape}, {"float", "default?", to_float}, {"forceescape", "", forceescape},
        {"format", "*", format}, {"indent", "width? first? blank?", indent}, {"int", "default? base?", to_int},
        {"lower", "", lower}, {"replace", "old new count?", replace}, {"round", "precision? method?", round_to},
        {"safe", "", safe}, {"string", "", string}, {"title", "", title},
        {"tojson", "ensure_ascii? indent? separators? sort_keys?", tojson}, {"trim", "chars?", trim},
        {"truncate", "length? killwords? end? leeway?", truncate}, {"upper", "", upper},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (lb_tpl_str_is(name, table[i].name)) return &table[i];
    return lb_tpl_find_list_filter(name);
}
