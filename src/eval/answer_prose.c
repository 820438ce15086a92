/* eval/answer_prose.c – formulas, numbers and sentences in the text of a completion.
 *
 * Each function reads its text once, or looks a bounded way ahead. */
#include "eval/answer_prose.h"
#include <ctype.h>
#include <stddef.h>
#include <strings.h>

enum { MAX_PROSE = 2048 };     /* bytes of a sentence that are read; formulas in it are looked for at every $ */

lb_span lb_trimmed(lb_span x)
{
    while (x.s < x.e && isspace((unsigned char)*x.s)) x.s++;
    while (x.e > x.s && isspace((unsigned char)x.e[-1])) x.e--;
    return x;
}

size_t lb_word_at(const char *s, const char *word)
{
    if ((*s | 32) != (*word | 32)) return 0;
    size_t n = strlen(word);
    return !strncasecmp(s, word, n) && !isalnum((unsigned char)s[n]) ? n : 0;
}

bool lb_only_joins(const char *s, const char *e)
{
    static const char *const neutral[] = {"\\text{", "\\(", "\\)", "\\[", "\\]", "\\quad", "\\qquad", "\\ ", "\\,",
                                          "\\;", "$", "}", "*", "，", "、"};
    static const char *const joins[] = {"and", "or", "和", "或"};
    bool joined = false;
    if (e - s > 48) return false;
    while (s < e) {
        size_t n = 0;
        for (size_t i = 0; i < sizeof neutral / sizeof *neutral && !n; i++)
            if (lb_starts(s, neutral[i])) n = strlen(neutral[i]), joined |= (unsigned char)*s >= 0x80;
        for (size_t i = 0; i < sizeof joins / sizeof *joins && !n; i++)
            if (lb_starts(s, joins[i]) && !isalpha((unsigned char)s[strlen(joins[i])]))
                n = strlen(joins[i]), joined = true;
        if (!n && (*s == ',' || *s == ';')) n = 1, joined = true;
        if (!n && isspace((unsigned char)*s) && !(*s == '\n' && s[1] == '\n')) n = 1;
        if (!n) return false;
        s += n;
    }
    return joined;
}

/* ---- formulas ---- */

/* Kinds: ( [ of \( and \[, D $$, $, S a $ with a space behind it, E an environment. */
static const char *const environments[] = {"align", "equation", "gather", "multline", "eqnarray"};

static size_t environment(const char *p, const char *command)
{
    if (!lb_starts(p, command)) return 0;
    for (size_t i = 0; i < sizeof environments / sizeof *environments; i++) {
        size_t n = strlen(command) + strlen(environments[i]);
        if (!lb_starts(p + strlen(command), environments[i])) continue;
        if (p[n] == '*') n++;
        if (p[n] == '}') return n + 1;
    }
    return 0;
}

static size_t opens(const char *text, const char *p, char *kind)
{
    size_t n;
    *kind = 0;
    if (*p == '\\' && (p[1] == '(' || p[1] == '[')) return *kind = p[1], 2;
    if ((n = environment(p, "\\begin{")) != 0) return *kind = 'E', n;
    if (*p != '$') return 0;
    if (p[1] == '$') return *kind = 'D', 2;
    const char *before = p > text && p[-1] == ' ' ? p - 1 : p;      /* 5 $ is a price */
    if (p[1] == ' ' && !(before > text && isdigit((unsigned char)before[-1]))) *kind = 'S';
    else if (p[1] && !isspace((unsigned char)p[1])) *kind = '$';
    return *kind ? 1 : 0;
}

/* Length of what closes a formula of this kind at p, or 0. */
static size_t closes(const char *p, const char *open, char kind)
{
    switch (kind) {
    case '(': return *p == '\\' && p[1] == ')' ? 2 : 0;
    case '[': return *p == '\\' && p[1] == ']' ? 2 : 0;
    case 'E': return environment(p, "\\end{");
    case 'D': return *p == '$' && p[1] == '$' ? 2 : 0;
    case 'S': return *p == '$' ? 1 : 0;
    case '$': return *p == '$' && p > open && !strchr(" \t=+*/(", p[-1]) && !isdigit((unsigned char)p[1]) ? 1 : 0;
    default: return 0;
    }
}

/* A formula in single dollars does not span lines, one in double dollars no paragraphs. */
static bool given_up(const char *p, char kind)
{
    return *p == '\n' && (kind == 'S' || kind == '$' || (kind == 'D' && p[1] == '\n'));
}

static void add_formula(lb_formulas *f, lb_span all, lb_span in, bool has_digit)
{
    f->last = in;
    if (!has_digit) return;
    if (!f->n || f->n == LB_MAX_PIECES || !lb_only_joins(f->end, all.s)) f->n = 0;
    f->digit[f->n++] = in;
    f->end = all.e;
}

void lb_find_formulas(const char *text, lb_formulas *f)
{
    bool has_digit = false;
    const char *open = NULL, *begin = NULL;
    char kind = 0;
    *f = (lb_formulas){.n = 0};
    for (const char *p = text; *p; p++) {
        char next;
        size_t n;
        if (isdigit((unsigned char)*p)) has_digit = true;
        if (open && (n = closes(p, open, kind)) != 0) {
            lb_span in = lb_trimmed((lb_span){open, p});
            if (in.s < in.e) add_formula(f, (lb_span){begin, p + n}, in, has_digit);
            p += n - 1;
            kind = 0, open = NULL;
        } else if (kind != 'D' && kind != 'E' && kind != '[' && (n = opens(text, p, &next)) != 0) {
            begin = p, p += n - 1, open = p + 1, kind = next, has_digit = false;
        } else if (*p == '\\' && p[1]) {
            p++;
        } else if (given_up(p, kind)) {
            kind = 0, open = NULL;
        }
    }
}

/* The formula that begins at s: what is in it, and *behind it. */
static bool formula_at(const char *s, lb_span *in, const char **behind)
{
    char kind;
    size_t n = opens(s, s, &kind), close;
    if (!n) return false;
    for (const char *p = s + n; *p && !given_up(p, kind) && p - s < MAX_PROSE; p++) {
        if ((close = closes(p, s + n, kind)) != 0) {
            *in = lb_trimmed((lb_span){s + n, p}), *behind = p + close;
            return in->s < in->e;
        }
        if (*p == '\\' && p[1]) p++;
    }
    return false;
}

lb_span lb_formula_in(const char *s, const char *e)
{
    lb_span found = {NULL, NULL}, in;
    const char *behind;
    for (const char *p = s; p < e; p++)
        if (formula_at(p, &in, &behind)) found = in, p = behind - 1;
    return found;
}

int lb_formula_chain(const char *s, lb_span piece[LB_MAX_PIECES])
{
    const char *behind = s, *p = s;
    int n = 0;
    while (n < LB_MAX_PIECES && formula_at(p, &piece[n], &behind)) {
        n++;
        for (p = behind; *p && p - behind < 32; p++) {
            char kind;
            if (opens(s, p, &kind)) break;
        }
        if (!*p || !lb_only_joins(behind, p)) break;
    }
    while (*behind == ' ') behind++;
    return n && *behind && strchr("=<>+/^", *behind) ? 0 : n;
}

bool lb_same_label(lb_span a, lb_span b)
{
    size_t n[2];
    lb_span side[2] = {lb_trimmed(a), lb_trimmed(b)};
    for (int i = 0; i < 2; i++) {
        const char *s = side[i].s;
        size_t k = 0, len = (size_t)(side[i].e - s);
        while (k < len && !strchr("=<>_", s[k]) && !lb_starts(s + k, "\\le") && !lb_starts(s + k, "\\ge")) k++;
        n[i] = k == len ? 0 : k;
        while (n[i] && s[n[i] - 1] == ' ') n[i]--;
    }
    return n[0] == n[1] && !memcmp(side[0].s, side[1].s, n[0]);
}

/* The result of a chain or derivation stands behind its last sign of these. */
static size_t arrow(const char *p)
{
    static const char *const words[] = {"\\Rightarrow", "\\implies", "\\Longrightarrow", "\\rightarrow", "\\to ",
                                        "\\Leftrightarrow", "\\iff", "\\therefore"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (lb_starts(p, words[i])) return strlen(words[i]);
    return 0;
}

static size_t equality(const char *p)
{
    return *p == '=' ? 1 : lb_starts(p, "\\equiv") ? 6 : lb_starts(p, "\\approx") ? 7 : 0;
}

/* A residue is told with its modulus: 3 \pmod 7. */
static bool modulus(const char *p)
{
    return lb_starts(p, "\\pmod") || lb_starts(p, "\\bmod") || lb_starts(p, "\\mod");
}

/* No letters but in commands. */
static bool is_constant(lb_span x)
{
    for (const char *p = x.s; p < x.e; p++) {
        if (*p == '\\') {
            while (p + 1 < x.e && isalpha((unsigned char)p[1])) p++;
        } else if (isalpha((unsigned char)*p)) {
            return false;
        }
    }
    return true;
}

/* A left side that names rather than says something: \tan A, P(3), \text{Area}, but not \frac{…}{…} or x. */
static bool only_names(const char *s)
{
    static const char *const values[] = {"\\frac", "\\dfrac", "\\sqrt", "\\pi", "\\left"};
    while (isspace((unsigned char)*s)) s++;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (lb_starts(s, values[i])) return false;
    if (*s == '\\') return isalpha((unsigned char)s[1]);
    return isalpha((unsigned char)*s) && s[1] == '(' && isdigit((unsigned char)s[2]);
}

/* Whether p begins \begin{…} or \end{…} of what has rows of its own: a matrix, an array, cases. */
static bool table(const char *p, const char *command)
{
    static const char *const names[] = {"matrix}", "array}", "cases}"};
    if (!lb_starts(p, command)) return false;
    p += strlen(command);
    for (int i = 0; i < 3; i++)
        if (lb_starts(p, names[i]) || (*p && lb_starts(p + 1, names[i]))) return true;
    return false;
}

lb_span lb_last_side(lb_span x, bool value)
{
    const char *begin = x.s, *equals = NULL, *end = x.e;
    int depth = 0, tables = 0, n_equals = 0;
    bool rows = false, listed = false;
    for (const char *p = x.s; p < x.e; p++) {
        size_t n;
        tables += table(p, "\\begin{");
        if (tables) {
            tables -= table(p, "\\end{");
        } else if (*p == '\\' && p[1] == '\\') {         /* another row, unless nothing follows */
            lb_span rest = lb_trimmed((lb_span){p + 2, x.e});
            if (rest.s < rest.e && !lb_starts(rest.s, "\\end{")) begin = p + 2, n_equals = 0, rows = true;
            depth = 0, p++;
        } else if (rows && lb_starts(p, "\\end{")) {
            end = p;
            break;
        } else if (!depth && (n = arrow(p)) != 0) {
            begin = p + n, n_equals = 0, p += n - 1;
        } else if (!depth && (n = equality(p)) != 0) {
            equals = p + n, n_equals++, p += n - 1;
        } else if (!depth && modulus(p)) {
            end = p;
            break;
        } else if (*p == '\\') {
            p++;
        } else if (strchr("{([", *p)) {
            depth++;
        } else if (strchr("})]", *p)) {
            depth -= depth > 0;
        } else if (!depth && *p == ',' && lb_trimmed((lb_span){p + 1, x.e}).s < x.e) {
            listed = true;
        } else if (*p == '&') {
            rows = true, depth = 0;
        }
    }
    if (n_equals && !listed) {
        lb_span right = lb_trimmed((lb_span){equals, end});
        bool zero = right.e - right.s == 1 && *right.s == '0', one_side = n_equals > 1 || only_names(begin);
        if (one_side || (rows && !zero) || (value && !zero && is_constant(right))) begin = equals;
    }
    lb_span y = lb_trimmed((lb_span){begin, end});
    while (y.s < y.e && (*y.s == '&' || isspace((unsigned char)*y.s))) y.s++;
    while (y.e > y.s && strchr(".,;\\ ", y.e[-1])) y.e--;
    return y.s < y.e ? y : x;
}

/* ---- numbers in prose ---- */

static const char *digits(const char *p)
{
    while (isdigit((unsigned char)*p)) p++;
    return p;
}

/* Behind the number whose first digit stands at p: separators, decimals, a/b, 3 1/2, 2^10, 1e6, 3 × 10^5, %. */
static const char *end_of_number(const char *p)
{
    const char *b = p, *q;
    for (;;) {
        p = digits(p);
        bool group = *p == ',' && digits(p + 1) == p + 4;
        if (!group && !((*p == '.' || *p == '/' || *p == '^') && isdigit((unsigned char)p[1]))) break;
        p++;
    }
    q = digits(b);
    if (q == p && *q == ' ' && (q = digits(q + 1)) > p + 1 && *q == '/' && isdigit((unsigned char)q[1]))
        p = digits(q + 1);
    if (*p == 'e' || *p == 'E') {
        q = p + 1 + (p[1] == '-' || p[1] == '+');
        if (digits(q) > q && !isalpha((unsigned char)*digits(q))) p = digits(q);
    }
    for (q = p; *q == ' ';) q++;
    size_t times = lb_starts(q, "×") ? 2 : *q == '*' || *q == 'x' ? 1 : 0;
    for (q += times; times && *q == ' ';) q++;
    if (times && lb_starts(q, "10^")) {
        q += 3 + (q[3] == '{'), q += *q == '-';
        if (digits(q) > q) p = digits(q), p += *p == '}';
    }
    if (*p == '%' || lb_starts(p, "\\%")) p += *p == '%' ? 1 : 2;
    return p;
}

bool lb_word_before(const char *text, const char *s, const char *const *words)
{
    while (s > text && s[-1] == ' ') s--;
    for (; *words; words++) {
        size_t n = strlen(*words);
        if ((size_t)(s - text) < n || strncasecmp(s - n, *words, n) != 0) continue;
        if ((size_t)(s - text) == n || !isalpha((unsigned char)s[-(ptrdiff_t)n - 1])) return true;
    }
    return false;
}

lb_span lb_last_number(const char *text)
{
    static const char *const denied[] = {"not", NULL};
    lb_span found = {NULL, NULL};
    for (const char *p = text; *p;) {
        if (!isdigit((unsigned char)*p)) { p++; continue; }
        const char *b = p;
        bool word = b > text && (isalpha((unsigned char)b[-1]) || b[-1] == '_');
        if (b > text && b[-1] == '.' && (b == text + 1 || !isdigit((unsigned char)b[-2]))) b--;
        if (b > text && b[-1] == '-' && (b == text + 1 || !isalnum((unsigned char)b[-2]))) b--;
        else if (b > text + 2 && lb_starts(b - 3, "−") && (b == text + 3 || !isalnum((unsigned char)b[-4]))) b -= 3;
        p = end_of_number(p);
        if (!word && !lb_word_before(text, b, denied)) found = (lb_span){b, p};
    }
    return found;
}

/* ---- the end of a statement ---- */

/* Words that begin another clause, with or without a comma before; the first ones (all) also in a sentence around the
 * answer. */
static bool another_clause(const char *s, bool all)
{
    static const char *const words[] = {"because", "since", "which", "where", "when", "so", "as", "but", "i.e",
                                        "assuming", "provided", "therefore", "hence", "thus",
                                        "that", "with", "given", "after", "not", "it", "this", "the", "I", "we",
                                        "making", "for", "by"};
    for (size_t i = 0; i < (all ? sizeof words / sizeof *words : 14); i++)
        if (lb_starts(s, words[i]) && !isalnum((unsigned char)s[strlen(words[i])])) return true;
    return false;
}

static bool sentence_ends(const char *s, const char *p)
{
    if (lb_starts(p, "。") || lb_starts(p, "！") || lb_starts(p, "？") || lb_starts(p, "；")) return true;
    if (*p != '.' && *p != '!' && *p != '?') return false;
    if (p[1] && !isspace((unsigned char)p[1]) && !lb_starts(p + 1, "**")) return false;
    return !(*p == '!' && p > s && isalnum((unsigned char)p[-1]));
}

const char *lb_end_of_prose(const char *s, bool bold)
{
    const char *p = s;
    bool all = !lb_begins_with_words(s, s + strcspn(s, "\n"));
    for (; *p && *p != '\n' && p - s < MAX_PROSE; p++) {
        lb_span in;
        const char *behind;
        if (bold && lb_starts(p, "**")) break;
        if (sentence_ends(s, p) || lb_starts(p, "</")) break;
        if (p > s && *p == ',' && p[1] == ' ' && another_clause(p + 2, all)) break;
        if (p > s && *p == ' ' && another_clause(p + 1, all) && p[-1] != ',') break;
        if (p > s && lb_starts(p, " (") && (another_clause(p + 2, all) || lb_starts(p + 2, "or "))) break;
        if (lb_starts(p, "，") && !isdigit((unsigned char)p[3]) && p[3] != '-' && p[3] != '$') break;
        if (formula_at(p, &in, &behind)) p = behind - 1;
    }
    while (p > s && (p[-1] == '*' || isspace((unsigned char)p[-1]))) p--;
    return p;
}

bool lb_begins_with_words(const char *s, const char *e)
{
    const char *p = s, *q;
    while (p < e && (isalpha((unsigned char)*p) || *p == '\'')) p++;
    for (q = p; q < e && *q == ' ';) q++;
    const char *r = q;
    while (r < e && isalpha((unsigned char)*r)) r++;
    return p - s >= 2 && q > p && r - q >= 2;
}

bool lb_sentence_between(const char *s, const char *e)
{
    for (const char *p = s; p < e; p++)
        if (*p == '\n' || sentence_ends(s, p)) return true;
    return false;
}
