/* eval/answer_extract.c – where in a completion the answer stands.
 *
 * Every function reads the text a fixed number of times. */
#include "eval/grade.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool give(lb_buf *out, const char *s, const char *end)
{
    while (s < end && isspace((unsigned char)*s)) s++;
    while (end > s && isspace((unsigned char)end[-1])) end--;
    lb_buf_reset(out);
    lb_buf_add(out, s, (size_t)(end - s));
    return !out->oom;
}

static const char *last_of(const char *text, const char *word)
{
    size_t n = strlen(word), len = strlen(text);
    for (size_t at = len < n ? 0 : len - n + 1; at-- > 0;)
        if (!memcmp(text + at, word, n)) return text + at;
    return NULL;
}

bool lb_answer_part(const char *text, bool in_thinking, const char **answer, bool *closed)
{
    const char *end = last_of(text, "</think>"), *begin = last_of(text, "<think>");
    *closed = end ? !(begin && begin > end) : !in_thinking && !begin;
    *answer = !*closed ? text + strlen(text) : end ? end + 8 : text;
    return *closed;
}

/* ---- \boxed ---- */

typedef struct box {
    const char *open;
    size_t depth;
} box;

/* The innermost of the last balanced boxes: [*s, *e). One pass; the open boxes are on a stack, braces only counted. */
static bool last_box(const char *text, const char **s, const char **e, bool *oom)
{
    box *stack = NULL;
    size_t n = 0, cap = 0, depth = 0;
    const char *best = NULL;
    for (const char *p = text; *p; p++) {
        if (*p == '\\') {
            size_t name = !strncmp(p + 1, "boxed", 5) ? 6 : !strncmp(p + 1, "fbox", 4) ? 5 : 0;
            if (!name) {
                if (p[1] && p[1] != '\\') p++;           /* \{ \} and the like; of \\boxed the second one counts */
                continue;
            }
            p += name;
            while (*p == ' ') p++;
            if (*p != '{') { p--; continue; }
            if (n == cap) {
                box *more = realloc(stack, (cap = cap ? 2 * cap : 64) * sizeof *stack);
                if (!more) { free(stack), *oom = true; return false; }
                stack = more;
            }
            stack[n++] = (box){p + 1, ++depth};
        } else if (*p == '{') {
            depth++;
        } else if (*p == '}' && depth) {
            if (n && stack[n - 1].depth == depth) {
                n--;
                if (!best || stack[n].open > best) best = *s = stack[n].open, *e = p;
            }
            depth--;
        }
    }
    free(stack);
    return best != NULL;
}

bool lb_answer_boxed(const char *text, lb_buf *out)
{
    const char *s = NULL, *e = NULL;
    lb_buf_reset(out);
    return last_box(text, &s, &e, &out->oom) && give(out, s, e);
}

/* ---- "the answer is" ---- */

/* Where the answer begins behind the last phrase that announces one, or NULL. */
static const char *announced(const char *text)
{
    const char *found = NULL;
    for (const char *p = text; *p; p++) {
        if (*p == '#' && !strncmp(p, "####", 4)) {
            found = p += 4;
            while (*p == '#') found = ++p;
            p--;
            continue;
        }
        if ((*p | 32) != 'a' || strncasecmp(p, "answer", 6)) continue;
        const char *q = p + 6;
        while (*q == '*' || *q == ' ') q++;
        if (!strncasecmp(q, "is", 2) && !isalnum((unsigned char)q[2])) q += 2;
        else if (!strncasecmp(q, "would be", 8)) q += 8;
        else if (*q == ':' || *q == '=') q++;
        else continue;
        while (*q == ':' || *q == '*' || *q == '=' || isspace((unsigned char)*q)) q++;
        if (*q) found = q;
        p += 5;
    }
    while (found && isspace((unsigned char)*found)) found++;
    return found && *found ? found : NULL;
}

/* The end of what begins at s: of the formula if it is one, else of the line or sentence. */
static const char *end_of_statement(const char **s)
{
    static const char *const pairs[][2] = {{"$$", "$$"}, {"\\(", "\\)"}, {"\\[", "\\]"}, {"$", "$"}};
    for (int i = 0; i < 4; i++) {
        size_t n = strlen(pairs[i][0]);
        if (strncmp(*s, pairs[i][0], n)) continue;
        const char *e = strstr(*s + n, pairs[i][1]);
        if (!e) break;
        *s += n;
        return e;
    }
    const char *p = *s;
    for (; *p && *p != '\n'; p++)
        if ((*p == '.' || *p == '!' || *p == '?') && (!p[1] || isspace((unsigned char)p[1])) &&
            !(*p == '!' && p > *s && isalnum((unsigned char)p[-1]))) break;
    while (p > *s && (p[-1] == '*' || isspace((unsigned char)p[-1]))) p--;
    return p;
}

/* ---- formulas and numbers ---- */

/* Whether a formula that began at open with $, \( or \[ (kind) ends at p. As elsewhere a $ closes only behind a
 * non-space and not before a digit, so that prices are not formulas. */
static bool closes(const char *p, const char *open, char kind)
{
    if (kind == '(') return *p == '\\' && p[1] == ')';
    if (kind == '[') return *p == '\\' && p[1] == ']';
    return kind && *p == '$' && p > open && !isspace((unsigned char)p[-1]) && !isdigit((unsigned char)p[1]);
}

/* The last $…$, $$…$$, \(…\) or \[…\], with a digit in it if asked. */
static bool last_formula(const char *text, bool digit, const char **s, const char **e)
{
    bool found = false, has_digit = false;
    const char *open = NULL;
    char kind = 0;
    for (const char *p = text; *p; p++) {
        if (isdigit((unsigned char)*p)) has_digit = true;
        if (open && closes(p, open, kind)) {
            if (p > open && (has_digit || !digit)) *s = open, *e = p, found = true;
            p += kind != '$' || p[1] == '$';
            kind = 0, open = NULL;
        } else if (*p == '$' && p[1] && !isspace((unsigned char)p[1])) {
            p += p[1] == '$';
            kind = '$', open = p + 1, has_digit = false;
        } else if (*p == '\\' && (p[1] == '(' || p[1] == '[')) {
            kind = *++p, open = p + 1, has_digit = false;
        } else if (*p == '\\' && p[1]) {
            p++;
        } else if (*p == '\n' && p[1] == '\n' && kind == '$') {
            kind = 0, open = NULL;                   /* a formula does not span paragraphs */
        }
    }
    return found;
}

static bool last_number(const char *text, const char **s, const char **e)
{
    bool found = false;
    for (const char *p = text; *p;) {
        if (!isdigit((unsigned char)*p)) { p++; continue; }
        const char *b = p;
        bool word = b > text && (isalpha((unsigned char)b[-1]) || b[-1] == '_');
        if (b > text && b[-1] == '.' && (b == text + 1 || !isdigit((unsigned char)b[-2]))) b--;
        if (b > text && b[-1] == '-' && (b == text + 1 || !isalnum((unsigned char)b[-2]))) b--;
        for (;;) {
            while (isdigit((unsigned char)*p)) p++;
            bool group = *p == ',' && isdigit((unsigned char)p[1]) && isdigit((unsigned char)p[2]) &&
                         isdigit((unsigned char)p[3]) && !isdigit((unsigned char)p[4]);
            if (!group && !((*p == '.' || *p == '/') && isdigit((unsigned char)p[1]))) break;
            p++;
        }
        if (*p == '%') p++;
        if (!word) *s = b, *e = p, found = true;
    }
    return found;
}

bool lb_answer_final(const char *text, lb_buf *out)
{
    const char *s = NULL, *e = NULL;
    if (lb_answer_boxed(text, out)) return true;
    if (out->oom) return false;
    if ((s = announced(text)) != NULL) {
        e = end_of_statement(&s);
        if (e > s) return give(out, s, e);
    }
    bool found = last_formula(text, true, &s, &e) || last_number(text, &s, &e) || last_formula(text, false, &s, &e);
    return found && give(out, s, e);
}

/* ---- option letters ---- */

/* The letter that s begins with, perhaps in brackets or LaTeX, with nothing but punctuation or a space behind. */
static char leading_letter(const char *s, int n_options, bool lower_too)
{
    static const char *const wrap[] = {"\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{", "\\boxed{", "\\(",
                                       "option ", "Option ", "choice ", "Choice ",
                                       "$", "(", "[", "{", "*", "\"", "'", "`", " ", "\n"};
    for (;;) {
        size_t n = 0;
        for (size_t i = 0; i < sizeof wrap / sizeof *wrap && !n; i++)
            if (!strncmp(s, wrap[i], strlen(wrap[i]))) n = strlen(wrap[i]);
        if (!n) break;
        s += n;
    }
    char c = lower_too ? (char)toupper((unsigned char)*s) : *s;
    if (c < 'A' || c >= 'A' + n_options || isalnum((unsigned char)s[1])) return 0;
    if (s[1] && strchr("+-/=^_<>'", s[1])) return 0;
    if (c == 'A' && s[1] == ' ' && islower((unsigned char)s[2])) return 0;     /* "is A ball" */
    return c;
}

/* The last (C) or **C** of the text. */
static char marked_letter(const char *text, int n_options)
{
    char found = 0;
    for (const char *p = text; *p; p++) {
        bool round = *p == '(' && p[1] && p[2] == ')';
        bool bold = *p == '*' && p[1] == '*' && p[2] && p[3] == '*' && p[4] == '*';
        char c = round ? p[1] : bold ? p[2] : 0;
        if (c >= 'A' && c < 'A' + n_options) found = c;
    }
    return found;
}

bool lb_answer_letter(const char *text, int n_options, char *letter)
{
    lb_buf boxed_text = {0};
    const char *s, *end;
    char c = 0;
    if (n_options < 2 || n_options > 26) return false;
    bool boxed = lb_answer_boxed(text, &boxed_text);
    if (boxed) c = leading_letter(lb_buf_cstr(&boxed_text), n_options, true);
    lb_buf_free(&boxed_text);
    if (!boxed && (s = announced(text)) != NULL) c = leading_letter(s, n_options, false);
    if (!boxed && !c) {
        for (end = text + strlen(text); end > text && isspace((unsigned char)end[-1]);) end--;
        for (s = end; s > text && s[-1] != '\n';) s--;
        /* a last line of at most a letter and its decoration */
        if (end - s <= 8) c = leading_letter(s, n_options, false);
        for (const char *p = s; c && p < end; p++)
            if (isalnum((unsigned char)*p) && *p != c) c = 0;
    }
    if (!boxed && !c) c = marked_letter(text, n_options);
    if (c) *letter = c;
    return c != 0;
}

/* ---- code ---- */

bool lb_answer_code(const char *text, lb_buf *out)
{
    const char *line = text, *next;
    const char *fence = NULL, *behind = NULL;        /* the last line with a fence, and what follows it */
    const char *body = NULL;                         /* what follows the last but one */
    lb_buf_reset(out);
    for (; *line; line = next) {
        const char *eol = strchr(line, '\n'), *p = line, *end = eol ? eol : line + strlen(line);
        next = eol ? eol + 1 : end;
        while (p + 2 < end && memcmp(p, "```", 3)) p++;
        if (p + 2 >= end) continue;
        body = behind, fence = line, behind = next;
    }
    if (!body) return false;
    lb_buf_add(out, body, fence > body ? (size_t)(fence - 1 - body) : 0);
    return !out->oom;
}
