/* text/template_filters.c – the filters, one row each in the table at the end. */
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
    if (!lb_tpl_to_str(rt, self, &s) || !lb_tpl_to_str(rt, a[0], &a[0]) || !lb_tpl_to_str(rt, a[1], &a[1])) return false;
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
    bool ends_line = c == '\n' || (c >= 0xb && c <= 0xd) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
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
    if (self.kind != TPL_STR) return lb_tpl_type_error(rt, "truncate wants a string", self);
    if (!int_arg(rt, arg[0], 255, &length) || !int_arg(rt, given(arg[3]) ? arg[3] : lb_tpl_int(5), 5, &leeway)) return false;
    if (!lb_tpl_str_ref(rt, "...", 3, &end) || (arg[2].kind != TPL_MISSING && !lb_tpl_to_str(rt, arg[2], &end))) return false;
    if (!lb_tpl_length(rt, self, &n)) return false;
    if (length < (int64_t)end.s->n_cp || leeway < 0) return lb_tpl_fail(rt, LB_EFORMAT, "truncate: the length is too small");
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
    if (call->n_pos && call->n_kw) return lb_tpl_fail(rt, LB_EFORMAT, "format takes positional or keyword arguments, not both");
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
        if (n > (int64_t)sizeof spaces - 1) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "tojson with an indent above %zu", sizeof spaces - 1);
        if (!lb_tpl_str_ref(rt, spaces, n < 0 ? 0 : (size_t)n, &pad)) return false;
        opt.indent = pad.s;
    }
    if (given(arg[2])) {
        tpl_val sep = arg[2];
        if ((sep.kind != TPL_TUPLE && sep.kind != TPL_LIST) || sep.seq->n != 2 || sep.seq->v[0].kind != TPL_STR || sep.seq->v[1].kind != TPL_STR)
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
        bool between = i > from && i + 1 < to && s->p[i - 1] != '_' && s->p[i + 1] != '_' && strchr("0123456789abcdefABCDEF", s->p[i + 1]) && s->p[i + 1];
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
    int prefix = p[0] != '0' ? 0 : p[1] == 'x' || p[1] == 'X' ? 16 : p[1] == 'o' || p[1] == 'O' ? 8 : p[1] == 'b' || p[1] == 'B' ? 2 : 0;
    if (prefix && (base == 0 || base == prefix)) base = prefix, p += 2;
    if (base == 0) base = 10;
    int64_t v = 0;
    if (!*p) return false;
    for (; *p; p++) {
        int d = *p >= '0' && *p <= '9' ? *p - '0' : *p >= 'a' && *p <= 'z' ? *p - 'a' + 10 : *p >= 'A' && *p <= 'Z' ? *p - 'A' + 10 : 99;
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

/* ---- lists ---- */
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
        int64_t i;
        bool overflow, digits = stop > p && stop - p < 18;
        for (const char *q = p; q < stop; q++) digits &= *q >= '0' && *q <= '9';
        if (!lb_tpl_str_ref(rt, p, (size_t)(stop - p), &key)) return false;
        if (digits && parse_int(key.s, 10, &i, &overflow)) key = lb_tpl_int(i);
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
        if (!(reverse ? lb_tpl_less(rt, p[i].key, p[k].key, 0, &right) : lb_tpl_less(rt, p[k].key, p[i].key, 0, &right))) return false;
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
    if (arg[2].kind == TPL_STR && memchr(arg[2].s->p, ',', arg[2].s->n)) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "sort by several attributes");
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
    if (!lb_tpl_items(rt, self, &items) || !lb_tpl_seq_new(rt, TPL_ITER, 0, out) || !lb_tpl_dict_new(rt, TPL_DICT, &seen)) return false;
    for (size_t i = 0; i < items->n; i++) {
        tpl_val key;
        const tpl_val *old;
        if (!sort_key(rt, items->v[i], arg[1], is_true(arg[0]), &key) || !lb_tpl_dict_find(rt, seen.dict, key, &old)) return false;
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
        if (!get_path(rt, items->v[i], arg[0], (tpl_val){.kind = TPL_MISSING}, &v) || !lb_tpl_binary(rt, '+', *out, v, out)) return false;
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
    if (!int_arg(rt, arg[0], 0, &n) || !lb_tpl_items(rt, self, &items) || !lb_tpl_seq_new(rt, TPL_ITER, 0, out)) return false;
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
        if (!(f ? lb_tpl_call_builtin(rt, f, items->v[i], &rest, &v) : get_path(rt, items->v[i], path, dflt, &v))) return false;
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
        {"abs", "", absolute}, {"attr", "name", attr}, {"batch", "linecount fill_with?", batch},
        {"capitalize", "", capitalize}, {"center", "width?", center}, {"count", "", length},
        {"d", "default_value? boolean?", dflt}, {"default", "default_value? boolean?", dflt},
        {"dictsort", "case_sensitive? by? reverse?", dictsort}, {"e", "", escape}, {"escape", "", escape},
        {"first", "", first}, {"float", "default?", to_float}, {"forceescape", "", forceescape}, {"format", "*", format},
        {"indent", "width? first? blank?", indent}, {"int", "default? base?", to_int}, {"items", "", items},
        {"join", "d? attribute?", join}, {"last", "", last}, {"length", "", length}, {"list", "", list},
        {"lower", "", lower}, {"map", "*", map}, {"max", "case_sensitive? attribute?", max},
        {"min", "case_sensitive? attribute?", min}, {"reject", "*", reject}, {"rejectattr", "*", rejectattr},
        {"replace", "old new count?", replace}, {"reverse", "", reverse}, {"round", "precision? method?", round_to},
        {"safe", "", safe}, {"select", "*", select_items}, {"selectattr", "*", selectattr},
        {"sort", "reverse? case_sensitive? attribute?", sort}, {"string", "", string}, {"sum", "attribute? start?", sum},
        {"title", "", title}, {"tojson", "ensure_ascii? indent? separators? sort_keys?", tojson},
        {"trim", "chars?", trim}, {"truncate", "length? killwords? end? leeway?", truncate},
        {"unique", "case_sensitive? attribute?", unique}, {"upper", "", upper},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (lb_tpl_str_is(name, table[i].name)) return &table[i];
    return NULL;
}
