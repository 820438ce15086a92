/* eval/answer_extract.c – where in a completion the answer stands.
 *
 *   boxes        one pass with a stack of the open ones
 *   announced    "the answer is", "Answer:", headings, "####", Chinese; then the end of what is stated there
 *   formulas     $…$, \(…\), \[…\], and chains of them: $2$ and $3$
 *   numbers      as written in prose
 *
 * Every function reads the text a fixed number of times. */
#include "eval/answer_prose.h"
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

static bool give(lb_buf *out, lb_span x)
{
    x = lb_trimmed(x);
    lb_buf_reset(out);
    lb_buf_add(out, x.s, (size_t)(x.e - x.s));
    return !out->oom;
}

/* The pieces as a list; those that are equal are one. */
static bool give_all(lb_buf *out, const lb_span *piece, int n)
{
    lb_buf one[LB_MAX_PIECES] = {0};
    char why[256];
    int kept = 0;
    bool oom = false;
    for (int i = 0; i < n; i++) {
        bool seen = false;
        oom |= !give(&one[kept], piece[i]);
        for (int j = 0; j < kept && !seen; j++)
            seen = lb_answer_equal(lb_buf_cstr(&one[j]), lb_buf_cstr(&one[kept]), why) == LB_RIGHT;
        kept += !seen;
    }
    lb_buf_reset(out);
    for (int i = 0; i < kept; i++) lb_buf_fmt(out, "%s%s", i ? ", " : "", lb_buf_cstr(&one[i]));
    for (int i = 0; i < LB_MAX_PIECES; i++) lb_buf_free(&one[i]);
    out->oom |= oom;
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
    const char *command;       /* of the backslash */
    const char *open;          /* behind the brace */
    size_t depth;
    bool inner;                /* a box closed within it */
} box;

typedef struct closed_box {
    lb_span all, in;
    bool nested;
} closed_box;

/* Nothing, dots or the word "answer": the form of an answer rather than an answer. */
static bool placeholder(lb_span x)
{
    static const char *const words[] = {"...", "\\ldots", "\\dots", "\\cdots", "…", "answer", "your answer",
                                        "final answer", "the answer", "ans", "\\text{answer}", "\\text{your answer}",
                                        "\\text{final answer}", "\\cdot", "\\_\\_", "__"};
    x = lb_trimmed(x);
    size_t n = (size_t)(x.e - x.s);
    if (!n) return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (n == strlen(words[i]) && !strncasecmp(x.s, words[i], n)) return true;
    return false;
}

/* \boxed 5 and \boxed \frac12: up to the end of the formula if it ends on the line, else of the word. */
static const char *end_of_bare_box(const char *s)
{
    const char *p = s, *word = NULL;
    for (; *p && *p != '\n' && p - s < 256; p++) {
        if (*p == '$' || (*p == '\\' && (p[1] == ')' || p[1] == ']'))) return p;
        if (!word && isspace((unsigned char)*p)) word = p;
    }
    while (!word && p > s && strchr(".,;", p[-1])) p--;
    return word ? word : p;
}

static void keep(closed_box *ring, int *n_ring, closed_box x)
{
    if (placeholder(x.in)) return;
    /* of two nested ones the inner, which closed first and began later */
    if (*n_ring && ring[*n_ring - 1].in.s > x.in.s) {
        ring[*n_ring - 1].nested = true;
        return;
    }
    if (*n_ring == LB_MAX_PIECES) memmove(ring, ring + 1, (LB_MAX_PIECES - 1) * sizeof *ring), --*n_ring;
    ring[(*n_ring)++] = x;
}

static lb_span end_of_open_box(const char *s)
{
    for (const char *p = s; *p && *p != '\n'; p++)
        if (*p == '$' || (*p == '\\' && (p[1] == ')' || p[1] == ']'))) {
            lb_span x = {s, p};
            return placeholder(x) ? (lb_span){NULL, NULL} : x;
        }
    return (lb_span){NULL, NULL};
}

/* One pass; the open boxes are on a stack, other braces only counted. */
void lb_find_boxes(const char *text, lb_boxes *out)
{
    box *stack = NULL;
    size_t n = 0, cap = 0, depth = 0;
    closed_box ring[LB_MAX_PIECES];
    int n_ring = 0;
    *out = (lb_boxes){.n = 0};
    for (const char *p = text; *p; p++) {
        if (*p == '\\') {
            const char *command = p;
            size_t name = lb_starts(p + 1, "boxed") ? 6 : lb_starts(p + 1, "fbox") ? 5 : 0;
            if (!name) {
                if (p[1] && p[1] != '\\') p++;           /* \{ \} and the like; of \\boxed the second one counts */
                continue;
            }
            p += name;
            bool space = *p == ' ';
            while (*p == ' ') p++;
            if (*p != '{') {
                if (space && *p && !strchr("$\n}", *p)) {
                    const char *e = end_of_bare_box(p);
                    if (e > p) keep(ring, &n_ring, (closed_box){{command, e}, {p, e}, n > 0});
                }
                p--;
                continue;
            }
            if (n == cap) {
                box *more = realloc(stack, (cap = cap ? 2 * cap : 64) * sizeof *stack);
                if (!more) { free(stack), out->oom = true; return; }
                stack = more;
            }
            stack[n++] = (box){command, p + 1, ++depth, false};
        } else if (*p == '{') {
            depth++;
        } else if (*p == '}' && depth) {
            if (n && stack[n - 1].depth == depth) {
                n--;
                keep(ring, &n_ring, (closed_box){{stack[n].command, p + 1}, {stack[n].open, p}, n > 0});
            }
            depth--;
        }
    }
    const char *last = n_ring ? ring[n_ring - 1].in.s : text;
    if (n && stack[n - 1].open > last) out->open = end_of_open_box(stack[n - 1].open);
    free(stack);
    if (!n_ring) return;
    int first = n_ring - 1;
    while (first > 0 && !ring[first].nested && !ring[first - 1].nested &&
           lb_only_joins(ring[first - 1].all.e, ring[first].all.s)) first--;
    for (int i = first; i < n_ring; i++) out->last[out->n++] = ring[i].in;
}

bool lb_answer_boxed(const char *text, lb_buf *out)
{
    lb_boxes b;
    lb_buf_reset(out);
    lb_find_boxes(text, &b);
    out->oom |= b.oom;
    return b.n && give(out, b.last[b.n - 1]);
}

/* ---- "the answer is" ---- */

/* What says something about an answer rather than giving it: the answer is correct, is not 5, is as follows. */
static bool about_the_answer(const char *s)
{
    static const char *const words[] = {"correct", "incorrect", "right", "wrong", "reasonable", "consistent", "valid",
                                        "verified", "confirmed", "clear", "unique", "not", "supposed", "expected",
                                        "in the form", "required", "unknown", "what", "obtained", "found"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (lb_word_at(s, words[i])) return true;
    return false;
}

/* Words in front of the answer that do not belong to it. */
static const char *skip_adverbs(const char *s)
{
    static const char *const words[] = {"approximately", "about", "roughly", "simply", "just", "indeed", "therefore",
                                        "thus", "exactly", "actually", "now", "hence", "clearly", "equal to",
                                        "given by", "equals", "also", "then", "still", "as follows", "most likely",
                                        "likely", "probably", "definitely", "option", "choice", "约为", "约"};
    for (;;) {
        size_t n = 0;
        for (size_t i = 0; i < sizeof words / sizeof *words && !n; i++) {
            bool ascii = (unsigned char)words[i][0] < 0x80;
            n = ascii ? lb_word_at(s, words[i]) : lb_starts(s, words[i]) ? strlen(words[i]) : 0;
            if (n && ascii && !strchr(" ,:\n", s[n])) n = 0;
        }
        if (!n) return s;
        for (s += n; *s == ',' || *s == ':' || isspace((unsigned char)*s); s++) continue;
    }
}

static bool is_colon(const char *s, size_t *n)
{
    *n = lb_starts(s, "：") ? strlen("：") : *s == ':' || *s == '=' ? 1 : 0;
    return *n != 0;
}

static size_t copula(const char *s)
{
    static const char *const words[] = {"is", "are", "was", "would be", "will be", "should be", "must be", "equals",
                                        "becomes", "to be"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (lb_word_at(s, words[i])) return strlen(words[i]);
    return 0;
}

/* Behind "answer": what leads to the content in "answer to the question is 5", or NULL. */
static const char *answer_to(const char *s)
{
    static const char *const words[] = {"to", "for", "of"};
    bool found = false;
    for (size_t i = 0; i < 3; i++) found |= lb_word_at(s, words[i]) != 0;
    if (!found) return NULL;
    for (int i = 0; i < 120 && s[i] && s[i] != '\n' && s[i] != '?'; i++) {
        size_t n = s[i] == ' ' ? copula(s + i + 1) : 0;
        if (n) return s + i + 1 + n;
        if ((s[i] == '.' && s[i + 1] == ' ') || (s[i] == ':' && i > 2)) return s[i] == ':' ? s + i + 1 : NULL;
    }
    return NULL;
}

/* Whether a line from its begin up to p says no more than "## The final", and nothing follows on it. */
static const char *heading(const char *text, const char *p, const char *behind)
{
    const char *line = p;
    while (line > text && line[-1] != '\n' && p - line < 32) line--;
    if (line > text && line[-1] != '\n') return NULL;
    bool marked = line < p && (*line == '#' || *line == '*');
    for (const char *q = line; q < p; q++)
        if (!isalpha((unsigned char)*q) && !strchr("#*_ ", *q)) return NULL;
    while (*behind == '*' || *behind == '_' || *behind == ' ') behind++;
    bool final = p - line >= 6 && !strncasecmp(p - 6, "final ", 6);
    return *behind == '\n' && (marked || final) ? behind : NULL;
}

const char *lb_find_announced(const char *text, bool *bold)
{
    const char *found = NULL;
    *bold = false;
    for (const char *p = text; *p; p++) {
        const char *q = NULL;
        size_t n;
        if (*p == '#' && lb_starts(p, "####")) {
            for (q = p + 4; *q == '#'; q++) continue;
            if (*q == ' ' && isalpha((unsigned char)q[1])) { p = q; continue; }     /* a heading of Markdown */
        } else if ((*p | 32) == 'a' && !strncasecmp(p, "answer", 6) && (p == text || !isalpha((unsigned char)p[-1]))) {
            const char *s = p + 6;
            s += *s == 's' ? 1 : lb_starts(s, "(s)") ? 3 : 0;
            const char *bare = s;
            while (*s == '*' || *s == '_' || *s == ' ') s++;
            if (is_colon(s, &n)) q = s + n;
            else if (*s == '>' && p > text && p[-1] == '<') q = s + 1;          /* <answer>5</answer> */
            else if ((n = copula(s)) != 0) q = s + n;
            else q = s > bare ? answer_to(s) : NULL;
            if (!q) q = heading(text, p, bare);
        } else if (lb_starts(p, "答案")) {
            const char *s = p + strlen("答案");
            while (*s == '*' || *s == ' ') s++;
            bool is = lb_starts(s, "是") || lb_starts(s, "为") || lb_starts(s, "選") || lb_starts(s, "选");
            q = is ? s + strlen("是") : is_colon(s, &n) ? s + n : NULL;
        }
        if (!q) continue;
        bool open = false;
        for (;;) {
            if (is_colon(q, &n)) q += n, open = false;
            else if (lb_starts(q, "**")) open = q[-1] == ' ' || q[-1] == '\n' || q[-1] == ':', q += 2;
            else if (*q == '*' || *q == '_' || isspace((unsigned char)*q)) q++;
            else break;
        }
        q = skip_adverbs(q);
        if (*q && !about_the_answer(q)) found = q, *bold = open;
    }
    return found;
}

/* What stands at s, behind a phrase that announces it. */
static bool stated(const char *s, bool bold, lb_buf *out)
{
    static const char *const currency[] = {"€", "£", "¥", "￥", "₹", "US$", "USD ", "Rs. ", "Rs.", "Rs "};
    static const char *const bounds[] = {"than", "least", "most", "over", "under", "above", "below", "between", NULL};
    lb_span piece[LB_MAX_PIECES];
    int n = lb_formula_chain(s, piece);
    if (n) return n > 1 ? give_all(out, piece, n) : give(out, lb_last_side(piece[0], false));
    for (size_t i = 0; i < sizeof currency / sizeof *currency; i++)
        if (lb_starts(s, currency[i])) s += strlen(currency[i]);
    lb_span x = {s, lb_end_of_prose(s, bold)};
    if (lb_begins_with_words(x.s, x.e)) {            /* a sentence around the answer: its formula or last number */
        lb_span found = lb_formula_in(x.s, x.e);
        lb_buf sentence = {0};
        if (!found.s && give(&sentence, x)) {
            found = lb_last_number(lb_buf_cstr(&sentence));
            if (found.s && lb_word_before(lb_buf_cstr(&sentence), found.s, bounds)) found.s = NULL; /* more than 5 */
        }
        bool ok = found.s && give(out, found);
        lb_buf_free(&sentence);
        if (ok) return true;
    }
    return x.e > x.s && give(out, x);
}

/* ---- the rules in their order ---- */

bool lb_answer_find(const char *text, lb_buf *out, lb_answer_rule *rule)
{
    lb_boxes b;
    lb_formulas f;
    bool bold;
    lb_buf_reset(out);
    lb_find_boxes(text, &b);
    out->oom |= b.oom;
    *rule = LB_RULE_NONE;
    if (out->oom) return false;
    if (b.open.s) return *rule = LB_RULE_OPEN_BOX, give(out, b.open);
    if (b.n) {
        *rule = b.n > 1 ? LB_RULE_BOXES : LB_RULE_BOX;
        return b.n > 1 ? give_all(out, b.last, b.n) : give(out, b.last[0]);
    }
    const char *s = lb_find_announced(text, &bold);
    if (s && stated(s, bold, out)) return *rule = LB_RULE_ANNOUNCED, true;
    lb_find_formulas(text, &f);
    lb_span number = lb_last_number(text);
    if (f.n && !(number.s && number.s >= f.end && lb_sentence_between(f.end, number.s))) {
        *rule = LB_RULE_FORMULA;
        for (int i = 1; i < f.n; i++)
            if (!lb_same_label(f.digit[0], f.digit[i])) f.digit[0] = f.digit[f.n - 1], f.n = 1;
        for (int i = 0; i < f.n; i++) f.digit[i] = lb_last_side(f.digit[i], f.n == 1);
        return f.n > 1 ? give_all(out, f.digit, f.n) : give(out, f.digit[0]);
    }
    if (number.s) return *rule = LB_RULE_NUMBER, give(out, number);
    if (f.last.s) return *rule = LB_RULE_SYMBOLS, give(out, f.last);
    return false;
}

bool lb_answer_final(const char *text, lb_buf *out)
{
    lb_answer_rule rule;
    return lb_answer_find(text, out, &rule);
}

const char *lb_answer_rule_text(lb_answer_rule rule)
{
    switch (rule) {
    case LB_RULE_BOX: return "the last \\boxed{…}";
    case LB_RULE_BOXES: return "the last boxes, listed side by side";
    case LB_RULE_OPEN_BOX: return "the last \\boxed{…, without its closing brace";
    case LB_RULE_ANNOUNCED: return "what follows the last \"answer is\" or \"Answer:\"";
    case LB_RULE_FORMULA: return "the last formula with a digit";
    case LB_RULE_NUMBER: return "the last number";
    case LB_RULE_SYMBOLS: return "the last formula";
    case LB_RULE_OPTION: return "what follows the last \"option\" or \"choice\"";
    case LB_RULE_LAST_LINE: return "the last line";
    case LB_RULE_MARKED: return "the last letter in brackets or bold";
    case LB_RULE_NONE: break;
    }
    return "nothing";
}
