/* text/template_lex.c – template text to tokens, following Jinja's lexer with trim_blocks and lstrip_blocks. */
#include "text/template_ast.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct lexer {
    tpl_pool *pool;
    const char *s, *where;
    size_t n, at;
    int line;
    bool line_start;       /* the last thing read ended with a newline */
    tpl_tok *tok;
    size_t n_tok, cap;
    lb_err *err;
} lexer;

static bool fail(lexer *x, lb_code code, const char *what)
{
    return lb_fail(x->err, code, "%s: line %d: %s", x->where, x->line, what);
}

static tpl_tok *add(lexer *x, tpl_tok_kind kind)
{
    if (!lb_grow(&x->tok, &x->cap, x->n_tok + 1, sizeof *x->tok, "the tokens of a chat template", x->err)) return NULL;
    tpl_tok *t = &x->tok[x->n_tok++];
    *t = (tpl_tok){.kind = (uint8_t)kind, .line = x->line};
    return t;
}

static bool add_text(lexer *x, tpl_tok_kind kind, const char *p, size_t n)
{
    tpl_tok *t = add(x, kind);
    if (t) t->p = p, t->n = n;
    return t != NULL;
}

static char peek(const lexer *x, size_t ahead) { return x->at + ahead < x->n ? x->s[x->at + ahead] : 0; }
static bool looking_at(const lexer *x, const char *lit)
{
    size_t n = strlen(lit);
    return x->n - x->at >= n && !memcmp(x->s + x->at, lit, n);
}

static void advance(lexer *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x->line += x->s[x->at + i] == '\n';
    if (n) x->line_start = x->s[x->at + n - 1] == '\n';
    x->at += n;
}

static void skip_space(lexer *x) { advance(x, lb_tpl_skip_space(x->s + x->at, x->n - x->at)); }

/* The text before a tag: `-` strips all white space, otherwise lstrip_blocks takes the white space between the last
 * newline and a block or comment tag. */
static size_t text_end(const lexer *x, size_t from, size_t to, char sign, bool lstrip)
{
    const char *p = x->s + from;
    size_t n = to - from;
    if (sign == '-') return from + lb_tpl_trim_space(p, n);
    if (sign == '+' || !lstrip) return to;
    size_t line = n;
    while (line > 0 && p[line - 1] != '\n') line--;
    if (line == 0 && !x->line_start) return to;
    return lb_tpl_skip_space(p + line, n - line) == n - line ? from + line : to;
}

/* The end of a block tag or comment after its sign: "-%}" takes the white space behind it, "%}" one newline. */
static void end_of_tag(lexer *x, char sign)
{
    advance(x, sign ? 3 : 2);
    if (sign == '-') skip_space(x);
    else if (!sign && peek(x, 0) == '\n') advance(x, 1);
}

static bool comment(lexer *x)
{
    size_t start = x->at;
    for (size_t i = start; i + 1 < x->n; i++) {
        if (x->s[i] != '#' || x->s[i + 1] != '}') continue;
        char sign = i > start && (x->s[i - 1] == '-' || x->s[i - 1] == '+') ? x->s[i - 1] : 0;
        advance(x, i - (sign != 0) - start);
        end_of_tag(x, sign);
        return true;
    }
    return fail(x, LB_EFORMAT, "a comment is not closed, wanted '#}'");
}

/* "{%" sign white-space NAME white-space "%}" at the current place: the length without the end tag, 0 if not there. */
static size_t tag_named(const lexer *x, const char *name, char *sign)
{
    size_t i = x->at + 2, len = strlen(name);
    *sign = i < x->n && (x->s[i] == '-' || x->s[i] == '+') ? x->s[i] : 0;
    i += *sign != 0;
    i += lb_tpl_skip_space(x->s + i, x->n - i);
    if (x->n - i < len || memcmp(x->s + i, name, len)) return 0;
    i += len;
    i += lb_tpl_skip_space(x->s + i, x->n - i);
    return i - x->at;
}

/* The tag "{% raw %}" at the current place, its text and "{% endraw %}". */
static bool raw_block(lexer *x)
{
    char sign;
    advance(x, tag_named(x, "raw", &sign));
    if (peek(x, 0) == '-') end_of_tag(x, '-');
    else advance(x, 2);
    lexer y = *x;
    for (; y.at + 1 < y.n; y.at++) {
        if (y.s[y.at] != '{' || y.s[y.at + 1] != '%') continue;
        size_t n = tag_named(&y, "endraw", &sign);
        if (!n) continue;
        const char *e = y.s + y.at + n, *end = y.s + y.n;
        char mark = e < end && (*e == '-' || *e == '+') ? *e : 0;
        if (end - e < 2 + (mark != 0) || e[mark != 0] != '%' || e[(mark != 0) + 1] != '}') continue;
        size_t stop = text_end(x, x->at, y.at, sign, true);
        if (stop > x->at && !add_text(x, TOK_DATA, x->s + x->at, stop - x->at)) return false;
        advance(x, y.at + n - x->at);
        end_of_tag(x, mark);
        return true;
    }
    return fail(x, LB_EFORMAT, "a raw block is not closed, wanted '{% endraw %}'");
}

static bool is_raw_block(const lexer *x)
{
    char sign;
    size_t n = tag_named(x, "raw", &sign);
    if (!n) return false;
    const char *e = x->s + x->at + n;
    size_t left = x->n - x->at - n;
    return (left >= 2 && !memcmp(e, "%}", 2)) || (left >= 3 && !memcmp(e, "-%}", 3));
}

/* ---- inside a tag ---- */
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static int hex(char c)
{
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Digits with single '_' between them; the number of characters. */
static size_t digits(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && (is_digit(p[i]) || (p[i] == '_' && i && is_digit(p[i - 1]) && i + 1 < n && is_digit(p[i + 1]))))
        i++;
    return i;
}

static bool number(lexer *x)
{
    const char *p = x->s + x->at;
    size_t left = x->n - x->at, n;
    bool real = false;
    int base = 10;
    if (left > 2 && p[0] == '0' && strchr("xXoObB", p[1])) {
        base = p[1] == 'x' || p[1] == 'X' ? 16 : p[1] == 'o' || p[1] == 'O' ? 8 : 2;
        for (n = 2; n < left && (p[n] == '_' || (hex(p[n]) >= 0 && hex(p[n]) < base)); n++) {}
    } else {
        n = digits(p, left);
        bool after_dot = x->at > 0 && x->s[x->at - 1] == '.';   /* a.0.1 is two subscripts */
        if (!after_dot && n + 1 < left && p[n] == '.' && is_digit(p[n + 1])) {
            real = true;
            n += 1 + digits(p + n + 1, left - n - 1);
        }
        size_t e = n + 1;
        if (!after_dot && n < left && (p[n] == 'e' || p[n] == 'E')) {
            if (e < left && (p[e] == '+' || p[e] == '-')) e++;
            if (e < left && is_digit(p[e])) {
                real = true;
                n = e + digits(p + e, left - e);
            }
        }
    }
    if (!real && base == 10 && n > 1 && p[0] == '0' && strspn(p, "0_") < n)
        return fail(x, LB_EFORMAT, "a number starts with 0");
    char text[400];
    size_t k = 0;
    for (size_t i = base == 10 ? 0 : 2; i < n; i++)
        if (p[i] != '_') {
            if (k == sizeof text - 1) return fail(x, LB_EUNSUPPORTED, "a number with more than 400 digits");
            text[k++] = p[i];
        }
    text[k] = 0;
    tpl_tok *t = add(x, real ? TOK_REAL : TOK_INT);
    if (!t) return false;
    if (real) {
        t->d = strtod(text, NULL);
    } else {
        uint64_t v = 0;
        if (k == 0) return fail(x, LB_EFORMAT, "a number without digits");
        for (size_t i = 0; i < k; i++)
            if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
                __builtin_add_overflow(v, (uint64_t)hex(text[i]), &v) || v > INT64_MAX)
                return fail(x, LB_EUNSUPPORTED, "an integer that does not fit into 64 bits");
        t->i = (int64_t)v;
    }
    advance(x, n);
    return true;
}

/* One backslash escape at s[*i]; Python keeps the backslash of those it does not know. */
static bool unescape(lexer *x, const char *s, size_t n, size_t *i, lb_buf *b)
{
    char c = s[*i + 1];
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *k = memchr(from, c, sizeof from - 1);
    if (k) {
        lb_buf_byte(b, to[k - from]);
        *i += 2;
        return true;
    }
    if (c == '\n') {
        *i += 2;
        return true;
    }
    uint32_t v = 0;
    size_t at = *i + 2;
    if (c >= '0' && c <= '7') {
        for (at = *i + 1; at < n && at < *i + 4 && s[at] >= '0' && s[at] <= '7'; at++)
            v = v * 8 + (uint32_t)(s[at] - '0');
    } else if (c == 'x' || c == 'u' || c == 'U') {
        size_t want = at + (c == 'x' ? 2 : c == 'u' ? 4 : 8);
        for (; at < want; at++) {
            if (at >= n || hex(s[at]) < 0)
                return fail(x, LB_EFORMAT, "a string has a truncated \\x, \\u or \\U escape");
            v = v << 4 | (uint32_t)hex(s[at]);
        }
        if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
            return fail(x, LB_EFORMAT, "a string escape is no Unicode character");
    } else if (c == 'N') {
        return fail(x, LB_EUNSUPPORTED, "the string escape \\N{…}");
    } else {
        lb_buf_byte(b, '\\');
        *i += 1;
        return true;
    }
    lb_buf_utf8(b, v);
    *i = at;
    return true;
}

static bool string(lexer *x)
{
    const char *p = x->s + x->at;
    size_t left = x->n - x->at, n = 1;
    bool escaped = false;
    for (; n < left && p[n] != p[0]; n++)
        if (p[n] == '\\') escaped = true, n++;
    if (n >= left) return fail(x, LB_EFORMAT, "a string is not closed");
    tpl_tok *t = add(x, TOK_STR);
    if (!t) return false;
    t->p = p + 1;
    t->n = n - 1;
    if (escaped) {
        lb_buf b = {0};
        for (size_t i = 0; i < n - 1;) {
            if (p[1 + i] != '\\') lb_buf_byte(&b, p[1 + i++]);
            else if (!unescape(x, p + 1, n - 1, &i, &b)) { lb_buf_free(&b); return false; }
        }
        char *q = b.oom ? NULL : lb_tpl_pool_alloc(x->pool, b.n + 1);
        if (q && b.n) memcpy(q, b.p, b.n);
        t->p = q;
        t->n = b.n;
        lb_buf_free(&b);
        if (!q) return lb_fail_mem(x->err, n, "a string of a chat template");
    }
    advance(x, n + 1);
    return true;
}

static bool operator(lexer *x, lb_buf *open)
{
    static const struct { char text[3]; uint8_t op; } two[] = {
        {"==", OP_EQ}, {"!=", OP_NE}, {">=", OP_GE}, {"<=", OP_LE}, {"//", OP_FLOORDIV}, {"**", OP_POW}};
    char c = peek(x, 0), what[80];
    tpl_tok *t = NULL;
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (looking_at(x, two[i].text)) {
            if (!(t = add(x, TOK_OP))) return false;
            t->op = two[i].op;
            advance(x, 2);
            return true;
        }
    if (!c || !strchr("+-/*%~[](){}><=.:|,;", c)) {
        bool shown = c > 0x20 && c < 0x7f;
        const char *form = shown ? "unexpected character '%c'" : "unexpected character 0x%02x";
        snprintf(what, sizeof what, form, (unsigned char)c);
        return fail(x, LB_EFORMAT, what);
    }
    if (c == '(' || c == '[' || c == '{') {
        lb_buf_byte(open, c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
        char want = open->n ? open->p[--open->n] : 0;
        if (want != c) {
            if (want) snprintf(what, sizeof what, "unexpected '%c', wanted '%c'", c, want);
            else snprintf(what, sizeof what, "unexpected '%c'", c);
            return fail(x, LB_EFORMAT, what);
        }
    }
    if (!(t = add(x, TOK_OP))) return false;
    t->op = (uint8_t)c;
    advance(x, 1);
    return true;
}

/* The tokens of one {{ … }} or {% … %}. Its end counts only outside brackets. */
static bool tag(lexer *x, bool block, lb_buf *open)
{
    const char *end = block ? "%}" : "}}", *dash = block ? "-%}" : "-}}";
    if (!add(x, block ? TOK_BLOCK_BEGIN : TOK_VAR_BEGIN)) return false;
    open->n = 0;
    for (;;) {
        skip_space(x);
        if (x->at >= x->n)
            return fail(x, LB_EFORMAT, block ? "a tag is not closed, wanted '%}'" : "a tag is not closed, wanted '}}'");
        if (open->n == 0) {
            char sign = looking_at(x, dash) ? '-' : block && looking_at(x, "+%}") ? '+' : 0;
            if (sign || looking_at(x, end)) {
                if (!add(x, block ? TOK_BLOCK_END : TOK_VAR_END)) return false;
                if (block || sign) end_of_tag(x, sign);
                else advance(x, 2);
                return true;
            }
        }
        char c = peek(x, 0);
        bool ok;
        if (is_digit(c)) {
            ok = number(x);
        } else if (is_word(c)) {
            size_t n = 1;
            while (is_word(peek(x, n))) n++;
            if ((unsigned char)peek(x, n) >= 0x80)
                return fail(x, LB_EUNSUPPORTED, "an identifier with non-ASCII letters");
            ok = add_text(x, TOK_NAME, x->s + x->at, n);
            advance(x, n);
        } else if (c == '"' || c == '\'') {
            ok = string(x);
        } else {
            ok = operator(x, open) && lb_buf_ok(open, "a chat template", x->err);
        }
        if (!ok) return false;
    }
}

static bool lex(lexer *x, lb_buf *open)
{
    while (x->at < x->n) {
        size_t to = x->at;
        while (to + 1 < x->n && !(x->s[to] == '{' && strchr("%{#", x->s[to + 1]) && x->s[to + 1])) to++;
        if (to + 1 >= x->n) return add_text(x, TOK_DATA, x->s + x->at, x->n - x->at);
        char kind = x->s[to + 1], sign = to + 2 < x->n ? x->s[to + 2] : 0;
        if (sign != '-' && sign != '+') sign = 0;
        size_t stop = text_end(x, x->at, to, sign, kind != '{');
        if (stop > x->at && !add_text(x, TOK_DATA, x->s + x->at, stop - x->at)) return false;
        advance(x, to - x->at);
        bool ok;
        if (kind == '%' && is_raw_block(x)) {
            ok = raw_block(x);
        } else {
            advance(x, sign ? 3 : 2);
            ok = kind == '#' ? comment(x) : tag(x, kind == '%', open);
        }
        if (!ok) return false;
    }
    return true;
}

bool lb_tpl_lex(tpl_pool *pool, const char *src, size_t n, const char *where, tpl_tok **tok, size_t *n_tok, lb_err *err)
{
    lexer x = {.pool = pool, .s = src, .n = n, .where = where, .line = 1, .line_start = true, .err = err};
    lb_buf open = {0};
    bool ok = lex(&x, &open) && add(&x, TOK_EOF);
    lb_buf_free(&open);
    if (!ok) {
        free(x.tok);
        return false;
    }
    *tok = x.tok;
    *n_tok = x.n_tok;
    return true;
}

const char *lb_tpl_op_text(int op)
{
    static const char *const names[] = {"==", "!=", ">=", "<=", "//", "**", "in", "not in"};
    static const char one[] = "+\0-\0/\0*\0%\0~\0[\0]\0(\0)\0{\0}\0>\0<\0=\0.\0:\0|\0,\0;";
    if (op >= OP_EQ) return names[op - OP_EQ];
    for (size_t i = 0; i < sizeof one; i += 2)
        if (one[i] == op) return one + i;
    return "?";
}

const char *lb_tpl_tok_text(const tpl_tok *t, char *buf, size_t size)
{
    switch (t->kind) {
    case TOK_EOF: return "the end of the template";
    case TOK_DATA: return "text";
    case TOK_VAR_BEGIN: return "'{{'";
    case TOK_VAR_END: return "'}}'";
    case TOK_BLOCK_BEGIN: return "'{%'";
    case TOK_BLOCK_END: return "'%}'";
    case TOK_INT: case TOK_REAL: return "a number";
    case TOK_STR: return "a string";
    case TOK_NAME: snprintf(buf, size, "'%.*s'", t->n > 60 ? 60 : (int)t->n, t->p); return buf;
    default: snprintf(buf, size, "'%s'", lb_tpl_op_text(t->op)); return buf;
    }
}
