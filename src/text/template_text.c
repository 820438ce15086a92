/* text/template_text.c – values as text: Python's str(), repr() and json.dumps(); UTF-8. */
#include "text/template_run.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- UTF-8; every tpl_str holds valid UTF-8, so decoding needs no error path ---- */
uint32_t lb_tpl_cp(const char *p, const char *end, int *n)
{
    const unsigned char *s = (const unsigned char *)p;
    uint32_t c = *s;
    int len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (len > end - p) len = 1;
    if (len > 1) c &= 0x7fu >> len;
    for (int i = 1; i < len; i++) c = c << 6 | (s[i] & 63);
    *n = len;
    return c;
}

size_t lb_tpl_cp_count(const char *p, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)p[i] & 0xc0) != 0x80;
    return count;
}

size_t lb_tpl_cp_offset(const tpl_str *s, size_t i_cp)
{
    if (s->n == s->n_cp) return i_cp;
    size_t at = 0;
    for (; i_cp > 0 && at < s->n; i_cp--)
        do at++; while (at < s->n && ((unsigned char)s->p[at] & 0xc0) == 0x80);
    return at;
}

bool lb_tpl_utf8_ok(const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t c;
        const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)p + i;
        utf8proc_ssize_t len = *s < 0x80 ? 1 : utf8proc_iterate(s, (utf8proc_ssize_t)(n - i), &c);
        if (len <= 0) return false;
        i += (size_t)len;
    }
    return true;
}

bool lb_tpl_is_space(uint32_t c)
{
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

size_t lb_tpl_skip_space(const char *p, size_t n)
{
    size_t i = 0;
    for (int len; i < n && lb_tpl_is_space(lb_tpl_cp(p + i, p + n, &len)); i += (size_t)len) {}
    return i;
}

size_t lb_tpl_trim_space(const char *p, size_t n)
{
    while (n > 0) {
        size_t i = n - 1;
        while (i > 0 && ((unsigned char)p[i] & 0xc0) == 0x80) i--;
        int len;
        if (!lb_tpl_is_space(lb_tpl_cp(p + i, p + n, &len))) break;
        n = i;
    }
    return n;
}

/* ---- str() and repr() ---- */
/* The shortest digits that read back as d, with Python's choice between 123.0 and 1e+16. */
static void put_real(lb_buf *b, double d)
{
    if (isnan(d)) { lb_buf_str(b, "nan"); return; }
    if (isinf(d)) { lb_buf_str(b, d < 0 ? "-inf" : "inf"); return; }
    char s[40];
    for (int prec = 0; prec < 17; prec++) {
        snprintf(s, sizeof s, "%.*e", prec, d);
        if (strtod(s, NULL) == d) break;
    }
    char *e = strchr(s, 'e');
    int exp = atoi(e + 1);
    if (exp < -4 || exp >= 16) {
        lb_buf_add(b, s, (size_t)(e - s));
        lb_buf_fmt(b, "e%c%02d", exp < 0 ? '-' : '+', abs(exp));
        return;
    }
    int n_digit = 0;
    for (char *p = s; p < e; p++) n_digit += *p >= '0' && *p <= '9';
    int after = n_digit - 1 - exp;
    lb_buf_fmt(b, "%.*f", after > 0 ? after : 0, d);
    if (after <= 0) lb_buf_str(b, ".0");
}

static bool printable(uint32_t c)
{
    if (c < 0x7f) return c >= 0x20;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CC: case UTF8PROC_CATEGORY_CF: case UTF8PROC_CATEGORY_CS: case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN: case UTF8PROC_CATEGORY_ZL: case UTF8PROC_CATEGORY_ZP: case UTF8PROC_CATEGORY_ZS:
        return false;
    default: return true;
    }
}

static void put_quoted(lb_buf *b, const tpl_str *s)
{
    char quote = memchr(s->p, '\'', s->n) && !memchr(s->p, '"', s->n) ? '"' : '\'';
    lb_buf_byte(b, quote);
    for (const char *p = s->p, *end = p + s->n; p < end;) {
        int n;
        uint32_t c = lb_tpl_cp(p, end, &n);
        if (c == (unsigned char)quote || c == '\\') lb_buf_byte(b, '\\'), lb_buf_byte(b, (char)c);
        else if (c == '\n') lb_buf_str(b, "\\n");
        else if (c == '\r') lb_buf_str(b, "\\r");
        else if (c == '\t') lb_buf_str(b, "\\t");
        else if (printable(c)) lb_buf_add(b, p, (size_t)n);
        else lb_buf_fmt(b, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        p += n;
    }
    lb_buf_byte(b, quote);
}

static bool put_seq(tpl_rt *rt, lb_buf *b, const tpl_seq *s, const char *open, const char *close, int depth)
{
    lb_buf_str(b, open);
    for (size_t i = 0; i < s->n; i++) {
        if (i) lb_buf_str(b, ", ");
        if (!lb_tpl_put_repr(rt, b, s->v[i], depth + 1)) return false;
    }
    lb_buf_str(b, close);
    return true;
}

static bool put_dict(tpl_rt *rt, lb_buf *b, const tpl_dict *d, int depth)
{
    lb_buf_byte(b, '{');
    for (size_t i = 0; i < d->n; i++) {
        if (i) lb_buf_str(b, ", ");
        if (!lb_tpl_put_repr(rt, b, d->v[i].key, depth + 1)) return false;
        lb_buf_str(b, ": ");
        if (!lb_tpl_put_repr(rt, b, d->v[i].val, depth + 1)) return false;
    }
    lb_buf_byte(b, '}');
    return true;
}

bool lb_tpl_put_repr(tpl_rt *rt, lb_buf *b, tpl_val v, int depth)
{
    if (depth > LB_TEMPLATE_MAX_VALUE_DEPTH)
        return lb_tpl_fail(rt, LB_EFORMAT, "a value is nested deeper than %d levels", LB_TEMPLATE_MAX_VALUE_DEPTH);
    if (!lb_tpl_step(rt, 1) || (b->n > LB_TEMPLATE_MAX_OUTPUT && !lb_tpl_str_room(rt, b->n))) return false;
    switch (v.kind) {
    case TPL_UNDEF: lb_buf_str(b, "Undefined"); return true;
    case TPL_NONE: lb_buf_str(b, "None"); return true;
    case TPL_BOOL: lb_buf_str(b, v.b ? "True" : "False"); return true;
    case TPL_INT: lb_buf_fmt(b, "%lld", (long long)v.i); return true;
    case TPL_REAL: put_real(b, v.d); return true;
    case TPL_STR:
        if (v.s->safe) lb_buf_str(b, "Markup(");
        put_quoted(b, v.s);
        if (v.s->safe) lb_buf_byte(b, ')');
        return lb_tpl_step_bytes(rt, v.s->n);
    case TPL_LIST: return put_seq(rt, b, v.seq, "[", "]", depth);
    case TPL_TUPLE: return put_seq(rt, b, v.seq, "(", v.seq->n == 1 ? ",)" : ")", depth);
    case TPL_RANGE:
        lb_buf_fmt(b, "range(%lld, %lld", (long long)v.seq->start, (long long)v.seq->stop);
        if (v.seq->step != 1) lb_buf_fmt(b, ", %lld", (long long)v.seq->step);
        lb_buf_byte(b, ')');
        return true;
    case TPL_VIEW:
        lb_buf_str(b, v.seq->type);
        return put_seq(rt, b, v.seq, "([", "])", depth);
    case TPL_DICT: return put_dict(rt, b, v.dict, depth);
    case TPL_NS:
        lb_buf_str(b, "<Namespace ");
        if (!put_dict(rt, b, v.dict, depth + 1)) return false;
        lb_buf_byte(b, '>');
        return true;
    case TPL_MACRO: {
        const tpl_str *name = v.macro->def->name;
        lb_buf_fmt(b, "<Macro '%.*s'>", (int)name->n, name->p);
        return true;
    }
    default: return lb_tpl_fail(rt, LB_EUNSUPPORTED, "printing a %s", lb_tpl_type(v));
    }
}

bool lb_tpl_put_str(tpl_rt *rt, lb_buf *b, tpl_val v)
{
    if (v.kind == TPL_STR) {
        lb_buf_add(b, v.s->p, v.s->n);
        return lb_tpl_step_bytes(rt, v.s->n);
    }
    return v.kind == TPL_UNDEF || lb_tpl_put_repr(rt, b, v, 0);
}

bool lb_tpl_to_str(tpl_rt *rt, tpl_val v, tpl_val *out)
{
    *out = v;
    if (v.kind == TPL_STR) return true;
    lb_buf b = {0};
    if (lb_tpl_put_str(rt, &b, v)) return lb_tpl_str_take(rt, &b, out);
    lb_buf_free(&b);
    return false;
}

void lb_tpl_put_escaped(lb_buf *b, const tpl_str *s)
{
    for (size_t i = 0; i < s->n; i++) {
        switch (s->p[i]) {
        case '&': lb_buf_str(b, "&amp;"); break;
        case '<': lb_buf_str(b, "&lt;"); break;
        case '>': lb_buf_str(b, "&gt;"); break;
        case '\'': lb_buf_str(b, "&#39;"); break;
        case '"': lb_buf_str(b, "&#34;"); break;
        default: lb_buf_byte(b, s->p[i]);
        }
    }
}

/* ---- json.dumps() ---- */
static void put_json_str(lb_buf *b, const tpl_str *s, bool ascii)
{
    lb_buf_byte(b, '"');
    for (const char *p = s->p, *end = p + s->n; p < end;) {
        int n;
        uint32_t c = lb_tpl_cp(p, end, &n);
        if (c == '"' || c == '\\') lb_buf_byte(b, '\\'), lb_buf_byte(b, (char)c);
        else if (c == '\n') lb_buf_str(b, "\\n");
        else if (c == '\r') lb_buf_str(b, "\\r");
        else if (c == '\t') lb_buf_str(b, "\\t");
        else if (c == '\b') lb_buf_str(b, "\\b");
        else if (c == '\f') lb_buf_str(b, "\\f");
        else if (c < 0x20 || (ascii && c == 0x7f)) lb_buf_fmt(b, "\\u%04x", c);
        else if (!ascii || c < 0x80) lb_buf_add(b, p, (size_t)n);
        else if (c < 0x10000) lb_buf_fmt(b, "\\u%04x", c);
        else lb_buf_fmt(b, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
        p += n;
    }
    lb_buf_byte(b, '"');
}

static void put_break(lb_buf *b, const tpl_json_opt *opt, int depth)
{
    if (!opt->pretty) return;
    lb_buf_byte(b, '\n');
    for (int i = 0; opt->indent && i < depth; i++) lb_buf_add(b, opt->indent->p, opt->indent->n);
}

static void put_sep(lb_buf *b, const tpl_str *sep, const char *plain)
{
    if (sep) lb_buf_add(b, sep->p, sep->n);
    else lb_buf_str(b, plain);
}

static bool put_json(tpl_rt *rt, lb_buf *b, tpl_val v, const tpl_json_opt *opt, int depth);

static bool put_json_key(tpl_rt *rt, lb_buf *b, tpl_val key, const tpl_json_opt *opt)
{
    if (key.kind == TPL_STR) {
        put_json_str(b, key.s, opt->ascii);
        return true;
    }
    if (!lb_tpl_is_num(key) && key.kind != TPL_NONE)
        return lb_tpl_type_error(rt, "tojson cannot write this dict key", key);
    lb_buf_byte(b, '"');
    bool ok = put_json(rt, b, key, opt, 0);
    lb_buf_byte(b, '"');
    return ok;
}

/* Sorting the keys of one object: pointers into the dict, in order; insertion sort is priced by its steps. */
static bool sorted_pairs(tpl_rt *rt, const tpl_dict *d, const tpl_pair ***out)
{
    const tpl_pair **p = lb_tpl_alloc(rt, d->n, sizeof *p);
    if (!p) return false;
    for (size_t i = 0; i < d->n; i++) {
        size_t k = i;
        for (; k > 0; k--) {
            bool less;
            if (!lb_tpl_less(rt, d->v[i].key, p[k - 1]->key, 0, &less)) return false;
            if (!less) break;
            p[k] = p[k - 1];
        }
        p[k] = &d->v[i];
    }
    *out = p;
    return true;
}

static bool put_json_dict(tpl_rt *rt, lb_buf *b, const tpl_dict *d, const tpl_json_opt *opt, int depth)
{
    const tpl_pair **sorted = NULL;
    if (opt->sort_keys && !sorted_pairs(rt, d, &sorted)) return false;
    lb_buf_byte(b, '{');
    for (size_t i = 0; i < d->n; i++) {
        const tpl_pair *p = sorted ? sorted[i] : &d->v[i];
        if (i) put_sep(b, opt->item_sep, opt->pretty ? "," : ", ");
        put_break(b, opt, depth + 1);
        if (!put_json_key(rt, b, p->key, opt)) return false;
        put_sep(b, opt->key_sep, ": ");
        if (!put_json(rt, b, p->val, opt, depth + 1)) return false;
    }
    if (d->n) put_break(b, opt, depth);
    lb_buf_byte(b, '}');
    return true;
}

static bool put_json(tpl_rt *rt, lb_buf *b, tpl_val v, const tpl_json_opt *opt, int depth)
{
    if (depth > LB_TEMPLATE_MAX_VALUE_DEPTH)
        return lb_tpl_fail(rt, LB_EFORMAT, "a value is nested deeper than %d levels", LB_TEMPLATE_MAX_VALUE_DEPTH);
    if (!lb_tpl_step(rt, 1) || (b->n > LB_TEMPLATE_MAX_OUTPUT && !lb_tpl_str_room(rt, b->n))) return false;
    switch (v.kind) {
    case TPL_NONE: lb_buf_str(b, "null"); return true;
    case TPL_BOOL: lb_buf_str(b, v.b ? "true" : "false"); return true;
    case TPL_REAL:
        if (isfinite(v.d)) put_real(b, v.d);
        else lb_buf_str(b, isnan(v.d) ? "NaN" : v.d < 0 ? "-Infinity" : "Infinity");
        return true;
    case TPL_INT: lb_buf_fmt(b, "%lld", (long long)v.i); return true;
    case TPL_STR:
        put_json_str(b, v.s, opt->ascii);
        return lb_tpl_step_bytes(rt, v.s->n);
    case TPL_LIST: case TPL_TUPLE:
        lb_buf_byte(b, '[');
        for (size_t i = 0; i < v.seq->n; i++) {
            if (i) put_sep(b, opt->item_sep, opt->pretty ? "," : ", ");
            put_break(b, opt, depth + 1);
            if (!put_json(rt, b, v.seq->v[i], opt, depth + 1)) return false;
        }
        if (v.seq->n) put_break(b, opt, depth);
        lb_buf_byte(b, ']');
        return true;
    case TPL_DICT: return put_json_dict(rt, b, v.dict, opt, depth);
    default: return lb_tpl_fail(rt, LB_EFORMAT, "tojson cannot write a value of type '%s'", lb_tpl_type(v));
    }
}

bool lb_tpl_put_json(tpl_rt *rt, lb_buf *b, tpl_val v, const tpl_json_opt *opt) { return put_json(rt, b, v, opt, 0); }
