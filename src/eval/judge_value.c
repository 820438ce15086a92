/* eval/judge_value.c – a reader of JSON as Python has it, written for comparing and not for keeping. */
#include "eval/judge_value.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DIGITS = 50000 };

typedef struct reader {
    const char *begin, *p, *end;
    lb_buf *out;
    lb_buf word;                     /* scratch: a number as a C string */
    lb_err *err;
} reader;

static bool value(reader *r, int depth);

static bool bad(reader *r, const char *wanted)
{
    if (r->p == r->end) return lb_fail(r->err, LB_EFORMAT, "JSON ends at offset %zu, wanted %s",
                                       (size_t)(r->p - r->begin), wanted);
    return lb_fail(r->err, LB_EFORMAT, "byte 0x%02x at offset %zu of JSON, wanted %s", (unsigned char)*r->p,
                   (size_t)(r->p - r->begin), wanted);
}

static void space(reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) r->p++;
}

static bool take(reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0) return false;
    r->p += n;
    return true;
}

/* ---- numbers ---- */

static bool is_digit(const reader *r) { return r->p < r->end && *r->p >= '0' && *r->p <= '9'; }

static void digits(reader *r) { while (is_digit(r)) r->p++; }

static void put_double(lb_buf *out, double x)
{
    char text[400];
    if (isfinite(x) && x == floor(x)) {
        snprintf(text, sizeof text, "%.0f", x);                       /* exact, at most 310 characters */
        lb_buf_fmt(out, "i%s;", strcmp(text, "-0") ? text : "0");
        return;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    lb_buf_fmt(out, "d%016llx;", (unsigned long long)bits);
}

/* A fraction or exponent counts only if it is whole, as in Python's scanner: the rest is then trailing text. */
static bool number(reader *r)
{
    const char *begin = r->p;
    bool real = false;
    if (r->p < r->end && *r->p == '-') r->p++;
    if (!is_digit(r)) return bad(r, "a value");
    const char *first = r->p;
    if (*r->p == '0') r->p++;
    else digits(r);
    size_t n_digit = (size_t)(r->p - first);
    const char *mark = r->p;
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (is_digit(r)) digits(r), mark = r->p, real = true;
    }
    r->p = mark;
    if (r->p < r->end && (*r->p | 0x20) == 'e') {
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-')) r->p++;
        if (is_digit(r)) digits(r), mark = r->p, real = true;
    }
    r->p = mark;
    if (real) {
        lb_buf_reset(&r->word);
        lb_buf_add(&r->word, begin, (size_t)(r->p - begin));
        put_double(r->out, strtod(lb_buf_cstr(&r->word), NULL));
        return true;
    }
    if (n_digit > MAX_DIGITS) return lb_fail(r->err, LB_EFORMAT, "an integer of %zu digits, Python takes %d", n_digit,
                                             MAX_DIGITS);
    lb_buf_byte(r->out, 'i');
    if (n_digit == 1 && *first == '0') begin = first;                 /* -0 */
    lb_buf_add(r->out, begin, (size_t)(r->p - begin));
    lb_buf_byte(r->out, ';');
    return true;
}

/* ---- strings ---- */

static void put_byte(reader *r, unsigned c)
{
    static const char hex[] = "0123456789abcdef";
    lb_buf_byte(r->out, hex[c >> 4 & 15]);
    lb_buf_byte(r->out, hex[c & 15]);
}

static void put_char(reader *r, uint32_t c)
{
    if (c < 0x80) {
        put_byte(r, c);
    } else if (c < 0x800) {
        put_byte(r, 0xc0 | c >> 6);
        put_byte(r, 0x80 | (c & 63));
    } else {
        if (c < 0x10000) put_byte(r, 0xe0 | c >> 12);
        else put_byte(r, 0xf0 | c >> 18), put_byte(r, 0x80 | (c >> 12 & 63));
        put_byte(r, 0x80 | (c >> 6 & 63));
        put_byte(r, 0x80 | (c & 63));
    }
}

/* Four hexadecimal digits; false and nothing taken if there are none. */
static bool hex4(reader *r, uint32_t *c)
{
    uint32_t v = 0;
    if (r->end - r->p < 4) return false;
    for (int i = 0; i < 4; i++) {
        char d = r->p[i];
        int x = d >= '0' && d <= '9' ? d - '0' : (d | 0x20) >= 'a' && (d | 0x20) <= 'f' ? (d | 0x20) - 'a' + 10 : -1;
        if (x < 0) return false;
        v = v << 4 | (uint32_t)x;
    }
    r->p += 4;
    *c = v;
    return true;
}

static bool escape(reader *r)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (r->p == r->end) return bad(r, "an escape");
    const char *at = *r->p ? strchr(from, *r->p) : NULL;
    if (at) {
        put_byte(r, (unsigned char)to[at - from]);
        r->p++;
        return true;
    }
    uint32_t c, low;
    if (*r->p != 'u') return bad(r, "an escape");
    r->p++;
    if (!hex4(r, &c)) return bad(r, "four hexadecimal digits");
    const char *mark = r->p;
    if (c >= 0xd800 && c < 0xdc00 && take(r, "\\u")) {
        if (hex4(r, &low) && low >= 0xdc00 && low < 0xe000) c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        else r->p = mark;
    }
    put_char(r, c);
    return true;
}

static bool string(reader *r)
{
    if (r->p == r->end || *r->p != '"') return bad(r, "a string");
    r->p++;
    lb_buf_byte(r->out, 's');
    while (r->p < r->end && *r->p != '"') {
        unsigned char c = (unsigned char)*r->p;
        if (c < 0x20) return bad(r, "no control character in a string");
        r->p++;
        if (c != '\\') put_byte(r, c);
        else if (!escape(r)) return false;
    }
    if (r->p == r->end) return bad(r, "the end of a string");
    r->p++;
    lb_buf_byte(r->out, ';');
    return true;
}

/* ---- containers ---- */

static bool array(reader *r, int depth)
{
    lb_buf_byte(r->out, '[');
    space(r);
    if (!take(r, "]"))
        for (;;) {
            if (!value(r, depth + 1)) return false;
            space(r);
            if (take(r, "]")) break;
            if (!take(r, ",")) return bad(r, "',' or ']'");
        }
    lb_buf_byte(r->out, ']');
    return true;
}

typedef struct pair {                /* where key and value stand in the text */
    size_t key, at, end;
    int order;
} pair;

typedef struct sorting {
    const char *text;
    pair p;
} sorting;

static int by_key(const void *a, const void *b)
{
    const sorting *x = a, *y = b;
    size_t n = x->p.at - x->p.key, m = y->p.at - y->p.key;
    int c = memcmp(x->text + x->p.key, y->text + y->p.key, n < m ? n : m);
    return c ? c : n != m ? (n < m ? -1 : 1) : x->p.order - y->p.order;
}

static bool same_key(const sorting *x, const sorting *y)
{
    size_t n = x->p.at - x->p.key;
    return n == y->p.at - y->p.key && !memcmp(x->text + x->p.key, y->text + y->p.key, n);
}

/* Rewrites what stands behind `begin` with its pairs in order; of equal keys the last stays. */
static bool sort_pairs(reader *r, size_t begin, sorting *s, size_t n)
{
    if (r->out->oom) return lb_buf_ok(r->out, "a value", r->err);
    lb_buf sorted = { 0 };
    for (size_t i = 0; i < n; i++) s[i].text = r->out->p;
    if (n) qsort(s, n, sizeof *s, by_key);
    for (size_t i = 0; i < n; i++)
        if (i + 1 == n || !same_key(&s[i], &s[i + 1]))
            lb_buf_add(&sorted, r->out->p + s[i].p.key, s[i].p.end - s[i].p.key);
    bool ok = lb_buf_ok(&sorted, "a value", r->err);
    if (ok) {
        r->out->n = begin;
        lb_buf_add(r->out, lb_buf_cstr(&sorted), sorted.n);
    }
    lb_buf_free(&sorted);
    return ok;
}

static bool pairs(reader *r, int depth, sorting **s, size_t *n, size_t *cap)
{
    space(r);
    if (take(r, "}")) return true;
    for (;;) {
        if (!lb_grow(s, cap, *n + 1, sizeof **s, "the keys of a value", r->err)) return false;
        pair *p = &(*s)[*n].p;
        p->order = (int)*n;
        p->key = r->out->n;
        space(r);
        if (!string(r)) return false;
        p->at = r->out->n;
        space(r);
        if (!take(r, ":")) return bad(r, "':'");
        if (!value(r, depth + 1)) return false;
        p->end = r->out->n;
        ++*n;
        space(r);
        if (take(r, "}")) return true;
        if (!take(r, ",")) return bad(r, "',' or '}'");
    }
}

static bool object(reader *r, int depth)
{
    sorting *s = NULL;
    size_t n = 0, cap = 0;
    lb_buf_byte(r->out, '{');
    size_t begin = r->out->n;
    bool ok = pairs(r, depth, &s, &n, &cap) && sort_pairs(r, begin, s, n);
    free(s);
    lb_buf_byte(r->out, '}');
    return ok;
}

static bool value(reader *r, int depth)
{
    if (depth > LB_VALUE_DEPTH) return lb_fail(r->err, LB_EFORMAT, "JSON of more than %d levels", LB_VALUE_DEPTH);
    space(r);
    if (r->p == r->end) return bad(r, "a value");
    switch (*r->p) {
    case '"': return string(r);
    case '[': return r->p++, array(r, depth);
    case '{': return r->p++, object(r, depth);
    }
    if (take(r, "null")) return lb_buf_str(r->out, "n"), true;
    if (take(r, "true")) return lb_buf_str(r->out, "i1;"), true;
    if (take(r, "false")) return lb_buf_str(r->out, "i0;"), true;
    if (take(r, "NaN")) return lb_buf_str(r->out, "?"), true;
    if (take(r, "Infinity")) return put_double(r->out, HUGE_VAL), true;
    if (take(r, "-Infinity")) return put_double(r->out, -HUGE_VAL), true;
    return number(r);
}

bool lb_value_text(const char *json, size_t n, lb_buf *out, lb_err *err)
{
    reader r = { .begin = json, .p = json, .end = json + n, .out = out, .err = err };
    bool ok = value(&r, 0);
    space(&r);
    if (ok && r.p != r.end) ok = bad(&r, "the end");
    ok = ok && lb_buf_ok(out, "a value", err) && lb_buf_ok(&r.word, "a number", err);
    lb_buf_free(&r.word);
    return ok;
}

/* ---- for messages ---- */

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0; }

static void show_double(const char *hex, size_t n, lb_buf *out)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < n && i < 16; i++) bits = bits << 4 | (uint64_t)hex_digit(hex[i]);
    double x;
    memcpy(&x, &bits, sizeof x);
    for (int digit = 15; digit <= 17; digit++) {
        char text[64];
        snprintf(text, sizeof text, "%.*g", digit, x);
        if (digit < 17 && strtod(text, NULL) != x) continue;
        lb_buf_str(out, text);
        return;
    }
}

void lb_value_show(const char *text, size_t n, char *out, size_t cap)
{
    lb_buf b = { 0 };
    bool first = true;
    for (size_t i = 0; i < n && b.n < cap;) {
        char c = text[i++];
        if (!first && c != ']' && c != '}') lb_buf_str(&b, ", ");
        first = c == '[' || c == '{';
        const char *stop = memchr(text + i, ';', n - i);
        size_t len = stop ? (size_t)(stop - text) - i : n - i;
        switch (c) {
        case 'n': lb_buf_str(&b, "null"); break;
        case '?': lb_buf_str(&b, "NaN"); break;
        case 'i': lb_buf_add(&b, text + i, len < cap ? len : cap); break;
        case 'd': show_double(text + i, len, &b); break;
        case 's':
            lb_buf_byte(&b, '"');
            for (size_t k = 0; k + 1 < len && k < 2 * cap; k += 2)
                lb_buf_byte(&b, (char)(hex_digit(text[i + k]) << 4 | hex_digit(text[i + k + 1])));
            lb_buf_byte(&b, '"');
            break;
        case '!':
            lb_buf_str(&b, "a value of type ");
            lb_buf_add(&b, text + i, n - i < cap ? n - i : cap);
            i = n;
            break;
        default: lb_buf_byte(&b, c); break;
        }
        if (c == 'i' || c == 'd' || c == 's') i += len + (stop != NULL);
    }
    size_t keep = b.n < cap - 1 ? b.n : cap - 1;
    if (keep < b.n)
        while (keep && ((unsigned char)b.p[keep] & 0xc0) == 0x80) keep--;
    for (size_t i = 0; i < keep; i++) out[i] = (unsigned char)b.p[i] < 0x20 || b.p[i] == 0x7f ? '?' : b.p[i];
    out[keep] = 0;
    lb_buf_free(&b);
}
