/* eval/answer_letter.c – the option letter, and the program, that a completion gives. */
#include "eval/answer_prose.h"
#include <ctype.h>

static bool is_letter(char c, int n_options) { return c >= 'A' && c < 'A' + n_options; }

/* Whether another option letter is listed behind one that ends at s: "A, C", "A and C", "(A) or (C)". */
static bool another_follows(const char *s, int n_options)
{
    static const char *const joins[] = {",", "/", "&", "and ", "or ", "、", "和"};
    bool joined = false;
    for (int i = 0; i < 12 && *s; i++) {
        size_t n = 0;
        for (size_t k = 0; k < sizeof joins / sizeof *joins && !n; k++)
            if (lb_starts(s, joins[k])) n = strlen(joins[k]);
        if (!n && !strchr(" ()[]*$.", *s)) break;
        joined |= n != 0;
        s += n ? n : 1;
    }
    return joined && is_letter(*s, n_options) && !isalnum((unsigned char)s[1]) && s[1] != '\'';
}

/* The letter that s begins with, perhaps in brackets or LaTeX, with nothing but punctuation or a space behind. */
static const char *leading(const char *s, int n_options, bool lower_too)
{
    static const char *const wrap[] = {"\\textbf{", "\\text{", "\\mathrm{", "\\mathbf{", "\\textrm{", "\\boxed{",
                                       "\\fbox{", "\\left(", "\\(", "\\[", "option ", "Option ", "choice ",
                                       "Choice ", "选项", "选", "（", "【", "<answer>", "$", "(", "[", "{", "*", "\"",
                                       "'", "`", " ", "\n"};
    for (;;) {
        size_t n = 0;
        for (size_t i = 0; i < sizeof wrap / sizeof *wrap && !n; i++)
            if (lb_starts(s, wrap[i])) n = strlen(wrap[i]);
        if (!n) break;
        s += n;
    }
    char c = lower_too ? (char)toupper((unsigned char)*s) : *s;
    if (!is_letter(c, n_options) || isalnum((unsigned char)s[1])) return NULL;
    if (s[1] && strchr("+-/=^_<>'", s[1]) && !lb_starts(s + 1, "</")) return NULL;
    if (c == 'A' && s[1] == ' ' && islower((unsigned char)s[2])) return NULL;  /* "is A ball" */
    return another_follows(s + 1, n_options) ? NULL : s;
}

static char leading_letter(const char *s, int n_options, bool lower_too)
{
    const char *at = leading(s, n_options, lower_too);
    return at ? (char)toupper((unsigned char)*at) : 0;
}

static const char *end_of_line(const char *s)
{
    const char *e = strchr(s, '\n');
    return e ? e : s + strlen(s);
}

/* A lower-case letter counts only where the line says nothing else. */
static char lower_letter(const char *s, int n_options)
{
    char c = leading_letter(s, n_options, true);
    int n = 0;
    for (const char *p = s, *e = end_of_line(s); p < e && n < 2; p++) n += isalnum((unsigned char)*p) != 0;
    return n == 1 ? c : 0;
}

/* Behind the last "option", "choice", "选项", "选"; or in front of the last "is correct" and the like. */
static char option_letter(const char *text, int n_options)
{
    static const char *const before[] = {"option is ", "choice is ", "option ", "Option ", "choice ", "Choice ",
                                         "选项", "故选", "应选"};
    static const char *const behind[] = {" is correct", " is the correct", " is right", " is the right",
                                         " is the best"};
    char found = 0;
    for (const char *p = text; *p; p++) {
        char c = 0;
        for (size_t i = 0; i < sizeof before / sizeof *before && !c; i++)
            if (lb_starts(p, before[i])) {
                const char *s = p + strlen(before[i]);
                if (lb_starts(s, "：")) s += strlen("：");
                c = leading_letter(s + strspn(s, ": "), n_options, false);
            }
        if (!c && is_letter(*p, n_options) && (p == text || isspace((unsigned char)p[-1]) || strchr("(*", p[-1]))) {
            const char *s = p + 1 + strspn(p + 1, ")*");
            for (size_t i = 0; i < sizeof behind / sizeof *behind && !c; i++)
                if (lb_starts(s, behind[i])) c = *p;
        }
        if (c) found = c;
    }
    return found;
}

/* A last line that is only a letter, or begins with one as options do: C) 14 N. */
static char last_line_letter(const char *text, int n_options)
{
    const char *end = text + strlen(text), *s;
    while (end > text && isspace((unsigned char)end[-1])) end--;
    for (s = end; s > text && s[-1] != '\n';) s--;
    const char *at = leading(s, n_options, false);
    if (!at || at >= end) return 0;
    if (at[1] && strchr("):.", at[1]) && at[2] == ' ') return *at;
    for (const char *p = s; p < end; p++)
        if ((isalnum((unsigned char)*p) && p != at) || p - s > 16) return 0;
    return *at;
}

/* The last (C), **C**, **(C)** or **C) … of the text. */
static char marked_letter(const char *text, int n_options)
{
    char found = 0;
    for (const char *p = text; *p; p++) {
        bool round = *p == '(' && p[1] && p[2] == ')';
        bool bold = lb_starts(p, "**") && p[2] &&
                    (lb_starts(p + 3, "**") || lb_starts(p + 3, ") ") || lb_starts(p + 3, ". "));
        char c = round ? p[1] : bold ? p[2] : 0;
        if (is_letter(c, n_options)) found = c;
    }
    return found;
}

bool lb_answer_find_letter(const char *text, int n_options, char *letter, lb_answer_rule *rule)
{
    lb_boxes b;
    bool bold;
    char c = 0;
    *rule = LB_RULE_NONE;
    if (n_options < 2 || n_options > 26) return false;
    lb_find_boxes(text, &b);
    if (b.oom) return false;
    const char *box = b.open.s ? b.open.s : b.n ? b.last[b.n - 1].s : NULL, *said = lb_find_announced(text, &bold);
    if (box && !(said && said > box)) {              /* the later of the two decides, whatever it says */
        if (b.n < 2 || b.open.s) c = leading_letter(box, n_options, true);
        *rule = LB_RULE_BOX;
    } else {
        *rule = LB_RULE_ANNOUNCED;
        if (said) c = leading_letter(said, n_options, false);
        if (said && !c) c = lower_letter(said, n_options);
        if (!c) *rule = LB_RULE_OPTION, c = option_letter(text, n_options);
        if (!c) *rule = LB_RULE_LAST_LINE, c = last_line_letter(text, n_options);
        if (!c) *rule = LB_RULE_MARKED, c = marked_letter(text, n_options);
    }
    if (!c) *rule = LB_RULE_NONE;
    else *letter = c;
    return c != 0;
}

bool lb_answer_letter(const char *text, int n_options, char *letter)
{
    lb_answer_rule rule;
    return lb_answer_find_letter(text, n_options, letter, &rule);
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
