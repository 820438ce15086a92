/* text/pattern.c – translation of tokenizer patterns to PCRE2, and matching with limits.
 *
 * Parts: the reader (one recursive function per level of the grammar: alternatives, sequence, atom, class),
 * compilation, matching. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pattern.h"
#include "base/buf.h"
#include "base/mem.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WHITE_SPACE \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

enum {
    MAX_PATTERN_BYTES = 4096, MAX_GROUP_DEPTH = 16, MAX_REPEAT = 1000,
    SLICE_BYTES = 256,               /* start positions tried between two looks at the clock */
    CALLS_PER_LOOK = 64,
    JIT_STACK_BYTES = 32 << 20,
    MATCH_LIMIT = 10 * 1000 * 1000,
};

struct lb_pattern {
    pcre2_code *code;    /* owned */
    bool jit;
};

/* ---- reading ---- */

typedef struct reader {
    const char *whole, *p;
    int depth, n_caseless;
    lb_buf out;
    lb_err *err;
} reader;

static bool unknown(reader *r, const char *what)
{
    return lb_fail(r->err, LB_EUNSUPPORTED, "pattern '%.200s': %s at byte %zu is not supported", r->whole, what,
                   (size_t)(r->p - r->whole));
}

static bool emit_code(reader *r, uint32_t lo, uint32_t hi)
{
    if (lb_uc_touches_stand_ins(lo, hi)) return unknown(r, "a range with characters newer than Unicode 14");
    lb_buf_fmt(&r->out, lo == hi ? "\\x{%x}" : "\\x{%x}-\\x{%x}", (unsigned)lo, (unsigned)hi);
    return true;
}

/* After "\p" or "\P": {L}, {Lu}, …, written to the output as it is. */
static bool read_property(reader *r, char p_or_P)
{
    static const char *const known[] = {
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe",
        "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp",
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i]);
        if (r->p[0] == '{' && !strncmp(r->p + 1, known[i], n) && r->p[n + 1] == '}') {
            lb_buf_fmt(&r->out, "\\%c{%s}", p_or_P, known[i]);
            r->p += n + 2;
            return true;
        }
    }
    return unknown(r, "a property other than a general category (L, Lu, …, Zp)");
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* n_max hexadecimal digits at r->p, at least n_min. */
static bool read_hex(reader *r, int n_min, int n_max, uint32_t *c)
{
    int n = 0;
    for (*c = 0; n < n_max && hex_digit(*r->p) >= 0; n++) *c = *c * 16 + (uint32_t)hex_digit(*r->p++);
    if (n < n_min || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000)) return unknown(r, "a code point escape");
    return true;
}

/* One character, plain or escaped, that stands for itself. The backslash of an escape is at r->p. */
static bool read_char(reader *r, uint32_t *c)
{
    if (*r->p != '\\') {
        r->p += lb_utf8_char(r->p, c);
        return true;
    }
    char e = r->p[1];
    const char *const named = "rntfva", *const codes = "\r\n\t\f\v\a";
    if (e && strchr(named, e)) {
        *c = (uint32_t)codes[strchr(named, e) - named];
    } else if (e == 'u') {
        r->p += 2;
        return read_hex(r, 4, 4, c);
    } else if (e == 'x') {
        r->p += 2;
        if (*r->p != '{') return read_hex(r, 1, 2, c) && (*c < 0x80 || unknown(r, "a byte escape"));
        r->p++;
        if (!read_hex(r, 1, 8, c)) return false;
        return *r->p++ == '}' || (r->p--, unknown(r, "a code point escape"));
    } else if ((unsigned char)e > ' ' && (unsigned char)e < 0x7f && !((e | 32) >= 'a' && (e | 32) <= 'z') &&
               !(e >= '0' && e <= '9')) {
        *c = (uint32_t)e; /* escaped punctuation */
    } else {
        return unknown(r, "an escape");
    }
    r->p += 2;
    return true;
}

/* \s, \d, \p{…} inside or outside a class; *done tells whether there was one. */
static bool read_class_escape(reader *r, bool in_class, bool *done)
{
    *done = false;
    if (r->p[0] != '\\') return true;
    char e = r->p[1];
    if (!e || !strchr("sSdDpP", e)) return true;
    *done = true;
    if (e == 'S' && in_class) return unknown(r, "\\S inside a class");
    r->p += 2;
    if (e == 'p' || e == 'P') return read_property(r, e);
    if (e == 's') lb_buf_str(&r->out, in_class ? WHITE_SPACE : "[" WHITE_SPACE "]");
    if (e == 'S') lb_buf_str(&r->out, "[^" WHITE_SPACE "]");
    if (e == 'd') lb_buf_str(&r->out, "\\p{Nd}");
    if (e == 'D') lb_buf_str(&r->out, "\\P{Nd}");
    return true;
}

/* A class, at its '['. */
static bool read_class(reader *r)
{
    lb_buf_byte(&r->out, '[');
    r->p++;
    if (*r->p == '^') lb_buf_byte(&r->out, *r->p++);
    if (*r->p == ']') return unknown(r, "an empty class");
    while (*r->p != ']') {
        uint32_t lo, hi;
        bool done;
        if (!*r->p) return unknown(r, "a class without an end");
        if (*r->p == '[') return unknown(r, "a class inside a class");
        if (r->p[0] == '&' && r->p[1] == '&') return unknown(r, "an intersection of classes");
        if (!read_class_escape(r, true, &done)) return false;
        if (done) {
            if (*r->p == '-' && r->p[1] != ']') return unknown(r, "a range that starts with a class");
            continue;
        }
        if (!read_char(r, &lo)) return false;
        hi = lo;
        if (r->p[0] == '-' && r->p[1] && r->p[1] != ']') {
            r->p++;
            if (*r->p == '[' || (*r->p == '\\' && r->p[1] && strchr("sSdDpP", r->p[1])))
                return unknown(r, "a range that ends with a class");
            if (!read_char(r, &hi)) return false;
            if (hi < lo) return unknown(r, "a range that runs backwards");
        }
        if (!emit_code(r, lo, hi)) return false;
    }
    r->p++;
    lb_buf_byte(&r->out, ']');
    return true;
}

/* ?, *, +, {m}, {m,}, {,n}, {m,n} and the lazy or possessive mark, if there is one at r->p. */
static bool read_quantifier(reader *r, bool group)
{
    char q = *r->p;
    if (!q || !strchr("?*+{", q)) return true;
    if (group && q != '?') return unknown(r, "a repeated group");
    r->p++;
    if (q == '{') {
        char *end;
        bool from = *r->p >= '0' && *r->p <= '9';
        unsigned long m = from ? strtoul(r->p, &end, 10) : 0, n = m;
        if (from) r->p = end;
        if (*r->p == ',') {
            r->p++;
            bool to = *r->p >= '0' && *r->p <= '9';
            if (!to && !from) return unknown(r, "a repeat count");
            n = to ? strtoul(r->p, &end, 10) : MAX_REPEAT + 1;
            if (to) r->p = end;
            if (to && n > MAX_REPEAT) return unknown(r, "a repeat count above 1000");
        } else if (!from) {
            return unknown(r, "a repeat count");
        }
        if (*r->p != '}' || m > MAX_REPEAT || n < m) return unknown(r, "a repeat count");
        r->p++;
        if (n > MAX_REPEAT) lb_buf_fmt(&r->out, "{%lu,}", m);
        else lb_buf_fmt(&r->out, "{%lu,%lu}", m, n);
        if (*r->p && strchr("?*+{", *r->p))
            return unknown(r, "a mark after a repeat count"); /* Ruby repeats it once more */
        return true;
    }
    lb_buf_byte(&r->out, q);
    if (*r->p == '?' || *r->p == '+') lb_buf_byte(&r->out, *r->p++);
    if (*r->p && strchr("?*+{", *r->p)) return unknown(r, "a second quantifier");
    return true;
}

static bool read_alternatives(reader *r);

/* A group, at its '('. *is_look: a lookahead, which takes no quantifier. */
static bool read_group(reader *r, bool *is_look)
{
    static const char *const opens[] = {"(?:", "(?=", "(?!", "(?i:"};
    int k = 0, n_open = sizeof opens / sizeof *opens;
    while (k < n_open && strncmp(r->p, opens[k], strlen(opens[k])) != 0) k++;
    if (k == n_open && r->p[1] == '?') return unknown(r, "a group of this kind");
    if (++r->depth > MAX_GROUP_DEPTH) return unknown(r, "a group nested this deep");
    *is_look = k == 1 || k == 2;
    lb_buf_str(&r->out, k == n_open ? "(?:" : opens[k]);
    r->p += k == n_open ? 1 : strlen(opens[k]);
    r->n_caseless += k == 3;
    if (!read_alternatives(r)) return false;
    r->n_caseless -= k == 3;
    if (*r->p != ')') return unknown(r, "a group without an end");
    r->p++;
    r->depth--;
    lb_buf_byte(&r->out, ')');
    return true;
}

/* Ignoring case is allowed where both engines fold one character to one: apostrophes and letters of English
 * contractions. "ss", "st", "ff", "fi", "fl" would also match ligatures in Oniguruma. */
static bool caseless_char(reader *r, uint32_t c)
{
    if (!c || c >= 0x80 || !strchr("'strevmldnaSTREVMLDNA ", (int)c)) return unknown(r, "this character under (?i:");
    char next = *r->p;
    if ((c | 32) == 's' && next && strchr("sStT", next)) return unknown(r, "a ligature under (?i:");
    return true;
}

static bool read_sequence(reader *r)
{
    while (*r->p && *r->p != '|' && *r->p != ')') {
        bool done, group = false, look = false;
        if (!read_class_escape(r, false, &done)) return false;
        if (done && r->n_caseless) return unknown(r, "a class under (?i:");
        if (!done) {
            if (*r->p == '(') {
                group = true;
                if (!read_group(r, &look)) return false;
            } else if (*r->p == '[') {
                if (r->n_caseless) return unknown(r, "a class under (?i:");
                if (!read_class(r)) return false;
            } else if (strchr(".^$?*+{", *r->p)) {
                return unknown(r, "an unescaped sign");
            } else {
                uint32_t c;
                if (!read_char(r, &c) || (r->n_caseless && !caseless_char(r, c)) || !emit_code(r, c, c)) return false;
            }
        }
        if (look) {
            if (*r->p && strchr("?*+{", *r->p)) return unknown(r, "a repeated lookahead");
        } else if (!read_quantifier(r, group)) {
            return false;
        }
    }
    return true;
}

static bool read_alternatives(reader *r)
{
    for (;;) {
        if (!read_sequence(r)) return false;
        if (*r->p != '|') return true;
        lb_buf_byte(&r->out, *r->p++);
    }
}

static bool translate(const char *text, bool literal, lb_buf *out, lb_err *err)
{
    reader r = {.whole = text, .p = text, .err = err};
    bool ok = true;
    if (strlen(text) > MAX_PATTERN_BYTES) return unknown(&r, "its length");
    if (literal) {
        while (ok && *r.p) {
            uint32_t c;
            r.p += lb_utf8_char(r.p, &c);
            ok = emit_code(&r, c, c);
        }
    } else {
        ok = read_alternatives(&r) && (!*r.p || unknown(&r, "a ')' without a '('"));
    }
    *out = r.out;
    return ok && lb_buf_ok(out, "pattern", err);
}

/* ---- compiling ---- */

lb_pattern *lb_pattern_new(const char *text, bool literal, lb_err *err)
{
    lb_buf re = {0};
    lb_pattern *p = NULL;
    if (!translate(text, literal, &re, err)) goto fail;
    p = lb_alloc(1, sizeof *p, "pattern", err);
    if (!p) goto fail;
    int code;
    PCRE2_SIZE at;
    p->code = pcre2_compile((PCRE2_SPTR)lb_buf_cstr(&re), re.n, PCRE2_UTF | PCRE2_UCP | PCRE2_USE_OFFSET_LIMIT, &code,
                            &at, NULL);
    if (!p->code) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(code, why, sizeof why);
        lb_fail(err, LB_EUNSUPPORTED, "pattern '%.200s': %s", text, (const char *)why);
        goto fail;
    }
    uint32_t empty = 0;
    pcre2_pattern_info(p->code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty) {
        lb_fail(err, LB_EUNSUPPORTED,
                "pattern '%.200s': it can match nothing, wanted one that always takes a character", text);
        goto fail;
    }
    p->jit =
        pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE) == 0; /* without it the interpreter gives the same answers */
    lb_buf_free(&re);
    return p;
fail:
    lb_buf_free(&re);
    lb_pattern_free(p);
    return NULL;
}

void lb_pattern_free(lb_pattern *p)
{
    if (!p) return;
    pcre2_code_free(p->code);
    free(p);
}

/* ---- matching ---- */

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool lb_matcher_open(lb_matcher *m, size_t text_bytes, lb_err *err)
{
    memset(m, 0, sizeof *m);
    m->data = pcre2_match_data_create(1, NULL);
    m->ctx = pcre2_match_context_create(NULL);
    if (!m->data || !m->ctx) {
        lb_matcher_close(m);
        return lb_fail_mem(err, 256, "pattern match data");
    }
    pcre2_set_match_limit(m->ctx, MATCH_LIMIT);
    m->deadline_s = cpu_s() + 1.5 + 0.5e-6 * (double)text_bytes;
    return true;
}

void lb_matcher_close(lb_matcher *m)
{
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->ctx);
    pcre2_jit_stack_free(m->stack);
    memset(m, 0, sizeof *m);
}

static int run(const lb_pattern *p, lb_matcher *m, const char *s, size_t n, size_t from)
{
    if (!p->jit) return pcre2_match(p->code, (PCRE2_SPTR)s, n, from, PCRE2_NO_UTF_CHECK, m->data, m->ctx);
    int rc = pcre2_jit_match(p->code, (PCRE2_SPTR)s, n, from, 0, m->data, m->ctx);
    if (rc != PCRE2_ERROR_JIT_STACKLIMIT || m->stack) return rc;
    m->stack = pcre2_jit_stack_create(64 << 10, JIT_STACK_BYTES, NULL); /* the first 32 KiB are on the thread's stack */
    if (!m->stack) return PCRE2_ERROR_NOMEMORY;
    pcre2_jit_stack_assign(m->ctx, NULL, m->stack);
    return pcre2_jit_match(p->code, (PCRE2_SPTR)s, n, from, 0, m->data, m->ctx);
}

bool lb_pattern_find(const lb_pattern *p, lb_matcher *m, const char *s, size_t n, size_t from, size_t *start,
                     size_t *end, lb_err *err)
{
    while (from < n) {
        if (++m->n_calls % CALLS_PER_LOOK == 0 && cpu_s() > m->deadline_s)
            return lb_fail(err, LB_EUNSUPPORTED, "pre-tokenizer pattern: takes too long on this text (%zu bytes)", n);
        size_t last = n - from > SLICE_BYTES ? from + SLICE_BYTES : n; /* of the starts tried now */
        pcre2_set_offset_limit(m->ctx, last);
        int rc = run(p, m, s, n, from);
        if (rc >= 0) {
            const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);
            *start = at[0], *end = at[1];
            if (*end > *start) return true;
            return lb_fail(err, LB_EUNSUPPORTED, "pre-tokenizer pattern: matched nothing at byte %zu", *start);
        }
        if (rc == PCRE2_ERROR_NOMEMORY) return lb_fail_mem(err, JIT_STACK_BYTES, "pattern stack");
        if (rc != PCRE2_ERROR_NOMATCH) {
            PCRE2_UCHAR why[128];
            pcre2_get_error_message(rc, why, sizeof why);
            return lb_fail(err, LB_EUNSUPPORTED, "pre-tokenizer pattern: %s on this text (%zu bytes)",
                           (const char *)why, n);
        }
        from = last;
        if (from < n) {
            from++;
            while (from < n && ((unsigned char)s[from] & 0xc0) == 0x80) from++;
        }
        /* A failing slice may have cost 256 scans of the whole text: look at the clock before the next one. */
        if (n > 1 << 16) m->n_calls |= CALLS_PER_LOOK - 1;
    }
    *start = *end = n;
    return true;
}
