/* eval/answer_lex.c – LaTeX or plain text to tokens.
 *
 * Layout commands and math delimiters vanish, Unicode operators become their ASCII or token form, numbers lose their
 * separators, words are told from products of variables. Anything else becomes LB_TOK_BAD with its text. */
#include "eval/answer_tree.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct lex {
    lb_tree *t;
    const char *s, *end;
    int depth;               /* of ( [ \{ : there a comma always separates */
    int dollars;             /* unescaped $ not yet seen */
    bool commas_separate, space;
    bool full;               /* a capacity ran out: cannot happen, and must not pass for a shorter answer */
} lex;

typedef struct word {
    const char *name;
    int kind;
    const char *text;
} word;

/* Commands without a row here or in skipped[] are not understood. */
static const word commands[] = {
    {"frac", LB_TOK_FRAC, ""}, {"dfrac", LB_TOK_FRAC, ""}, {"tfrac", LB_TOK_FRAC, ""}, {"cfrac", LB_TOK_FRAC, ""},
    {"binom", LB_TOK_BINOM, ""}, {"dbinom", LB_TOK_BINOM, ""}, {"tbinom", LB_TOK_BINOM, ""}, {"sqrt", LB_TOK_SQRT, ""},
    {"cdot", '*', ""}, {"times", '*', ""}, {"ast", '*', ""}, {"div", '/', ""}, {"pm", LB_TOK_PM, ""},
    {"mp", LB_TOK_MP, ""}, {"pi", LB_TOK_PI, ""}, {"infty", LB_TOK_INF, ""}, {"cup", LB_TOK_CUP, ""},
    {"in", LB_TOK_IN, ""}, {"emptyset", LB_TOK_EMPTY, ""}, {"varnothing", LB_TOK_EMPTY, ""},
    {"le", LB_TOK_REL, "l"}, {"leq", LB_TOK_REL, "l"}, {"leqslant", LB_TOK_REL, "l"}, {"lt", LB_TOK_REL, "<"},
    {"ge", LB_TOK_REL, "g"}, {"geq", LB_TOK_REL, "g"}, {"geqslant", LB_TOK_REL, "g"}, {"gt", LB_TOK_REL, ">"},
    {"approx", LB_TOK_REL, "~"}, {"ne", LB_TOK_REL, "n"}, {"neq", LB_TOK_REL, "n"}, {"degree", LB_TOK_DEG, ""},
    {"circ", LB_TOK_DEG, ""},
    {"over", LB_TOK_OVER, "/"}, {"choose", LB_TOK_OVER, "C"}, {"pmod", LB_TOK_MOD, ""},
    {"bmod", LB_TOK_MOD, ""}, {"mod", LB_TOK_MOD, ""}, {"lfloor", LB_TOK_LROUND, "floor"},
    {"rfloor", LB_TOK_RROUND, "floor"}, {"lceil", LB_TOK_LROUND, "ceil"}, {"rceil", LB_TOK_RROUND, "ceil"},
    {"mid", LB_TOK_BAR, ""}, {"vert", LB_TOK_BAR, ""}, {"lvert", LB_TOK_BAR, ""}, {"rvert", LB_TOK_BAR, ""},
    {"lbrace", LB_TOK_LSET, ""}, {"rbrace", LB_TOK_RSET, ""}, {"langle", '(', ""}, {"rangle", ')', ""},
    {"lbrack", '[', ""}, {"rbrack", ']', ""}, {"lparen", '(', ""}, {"rparen", ')', ""},
    {"alpha", LB_TOK_ID, "alpha"}, {"beta", LB_TOK_ID, "beta"}, {"gamma", LB_TOK_ID, "gamma"},
    {"delta", LB_TOK_ID, "delta"}, {"epsilon", LB_TOK_ID, "epsilon"}, {"varepsilon", LB_TOK_ID, "epsilon"},
    {"theta", LB_TOK_ID, "theta"}, {"lambda", LB_TOK_ID, "lambda"}, {"mu", LB_TOK_ID, "mu"}, {"nu", LB_TOK_ID, "nu"},
    {"rho", LB_TOK_ID, "rho"}, {"sigma", LB_TOK_ID, "sigma"}, {"tau", LB_TOK_ID, "tau"}, {"phi", LB_TOK_ID, "phi"},
    {"varphi", LB_TOK_ID, "phi"}, {"psi", LB_TOK_ID, "psi"}, {"omega", LB_TOK_ID, "omega"}, {"ell", LB_TOK_ID, "ell"},
    {"sin", LB_TOK_FUNC, "sin"}, {"cos", LB_TOK_FUNC, "cos"}, {"tan", LB_TOK_FUNC, "tan"}, {"cot", LB_TOK_FUNC, "cot"},
    {"sec", LB_TOK_FUNC, "sec"}, {"csc", LB_TOK_FUNC, "csc"}, {"arcsin", LB_TOK_FUNC, "arcsin"},
    {"arccos", LB_TOK_FUNC, "arccos"}, {"arctan", LB_TOK_FUNC, "arctan"}, {"sinh", LB_TOK_FUNC, "sinh"},
    {"cosh", LB_TOK_FUNC, "cosh"}, {"tanh", LB_TOK_FUNC, "tanh"}, {"coth", LB_TOK_FUNC, "coth"},
    {"log", LB_TOK_FUNC, "log"}, {"lg", LB_TOK_FUNC, "lg"},
    {"ln", LB_TOK_FUNC, "ln"}, {"exp", LB_TOK_FUNC, "exp"},
};
static const word plain_words[] = {
    {"sqrt", LB_TOK_SQRT, "whole"}, {"cbrt", LB_TOK_SQRT, "3"}, {"pi", LB_TOK_PI, ""}, {"inf", LB_TOK_INF, ""},
    {"infinity", LB_TOK_INF, ""},
    {"oo", LB_TOK_INF, ""}, {"and", LB_TOK_SEP, ""}, {"or", LB_TOK_SEP, ""}, {"abs", LB_TOK_FUNC, "abs"},
    {"asin", LB_TOK_FUNC, "arcsin"}, {"acos", LB_TOK_FUNC, "arccos"}, {"atan", LB_TOK_FUNC, "arctan"},
    {"degrees", LB_TOK_DEG, ""}, {"degree", LB_TOK_DEG, ""}, {"deg", LB_TOK_DEG, ""}, {"dollars", LB_TOK_DOLLAR, ""},
    {"dollar", LB_TOK_DOLLAR, ""}, {"USD", LB_TOK_DOLLAR, ""}, {"usd", LB_TOK_DOLLAR, ""}, {"percent", LB_TOK_PCT, ""},
    {"pct", LB_TOK_PCT, ""}, {"percentage", LB_TOK_PCT, ""},
    {"euros", LB_TOK_DOLLAR, "€"}, {"euro", LB_TOK_DOLLAR, "€"}, {"EUR", LB_TOK_DOLLAR, "€"},
    {"GBP", LB_TOK_DOLLAR, "£"}, {"Rs", LB_TOK_DOLLAR, "₹"}, {"INR", LB_TOK_DOLLAR, "₹"},
    {"rupees", LB_TOK_DOLLAR, "₹"}, {"rupee", LB_TOK_DOLLAR, "₹"},
};
static const char *const skipped[] = {
    "left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "displaystyle", "textstyle",
    "quad", "qquad", "angle", "triangle", "thinspace", "rm", "bf", NULL};
/* \text-like commands hold words; \mathbf-like ones may also hold a formula. */
static const char *const texts[] = {"text", "mbox", "textbf", "textrm", "textit", "textnormal", "hbox", "mathrm",
                                    "operatorname", "mathbf", "mathit", "boldsymbol", "mathsf", "mathbb", NULL};
static const char *const short_words[] = {"yes", "no", "odd", "even", "red", "none", "true", "false", "cm", "mm", "km",
                                          "kg", "ft", "am", "pm", "an", "the", "mph", "hr", "hrs", "min", "sec", "lb",
                                          "lbs", "oz", "ml", "per", NULL};
static const struct { const char *utf8; int kind; const char *text; } unicode[] = {
    {"−", '-', ""}, {"–", '-', ""}, {"×", '*', ""}, {"·", '*', ""}, {"⋅", '*', ""}, {"∙", '*', ""}, {"∗", '*', ""},
    {"÷", '/', ""}, {"π", LB_TOK_PI, ""}, {"∞", LB_TOK_INF, ""}, {"∪", LB_TOK_CUP, ""}, {"∈", LB_TOK_IN, ""},
    {"√", LB_TOK_SQRT, "whole"}, {"∛", LB_TOK_SQRT, "3"}, {"∜", LB_TOK_SQRT, "4"}, {"€", LB_TOK_DOLLAR, "€"},
    {"¢", LB_TOK_TEXT, "cent"},
    {"£", LB_TOK_DOLLAR, "£"}, {"¥", LB_TOK_DOLLAR, "¥"}, {"₹", LB_TOK_DOLLAR, "₹"}, {"≠", LB_TOK_REL, "n"}, {"°", LB_TOK_DEG, ""},
    {"≈", LB_TOK_REL, "~"}, {"±", LB_TOK_PM, ""}, {"∓", LB_TOK_MP, ""}, {"≤", LB_TOK_REL, "l"},
    {"≥", LB_TOK_REL, "g"}, {"⩽", LB_TOK_REL, "l"}, {"⩾", LB_TOK_REL, "g"}, {"∅", LB_TOK_EMPTY, ""}, {"θ", LB_TOK_ID,
    "theta"},
    {"α", LB_TOK_ID, "alpha"}, {"β", LB_TOK_ID, "beta"}, {"λ", LB_TOK_ID, "lambda"}, {"ω", LB_TOK_ID, "omega"},
};

static bool listed(const char *const *list, const char *s, size_t n)
{
    for (; *list; list++)
        if (strlen(*list) == n && !memcmp(*list, s, n)) return true;
    return false;
}

static const word *find(const word *w, size_t count, const char *s, size_t n)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(w[i].name) == n && !memcmp(w[i].name, s, n)) return &w[i];
    return NULL;
}

/* Capacities follow from the input size: no byte makes more than three tokens, and their text is less than thrice as
 * long as the input. */
static int keep(lex *x, const char *s, size_t n)
{
    lb_tree *t = x->t;
    if (!n) return 0;
    if (t->n_text + (int)n + 1 > t->cap_text) {
        x->full = true;
        return 0;
    }
    int at = t->n_text;
    memcpy(t->text + at, s, n);
    t->text[at + (int)n] = 0;
    t->n_text += (int)n + 1;
    return at;
}

static void push(lex *x, int kind, const char *text, size_t n)
{
    lb_tree *t = x->t;
    if (t->n_tok + 1 >= t->cap_tok) {
        x->full = true;
        return;
    }
    t->tok[t->n_tok++] = (lb_tok){.kind = kind, .text = keep(x, text, n), .space = x->space};
    x->space = false;
}

static size_t digits(const char *s, const char *end)
{
    const char *p = s;
    while (p < end && isdigit((unsigned char)*p)) p++;
    return (size_t)(p - s);
}

/* Length of a separator that between digits can only mean thousands: {,} ,\! \! \, {\,} ~ and the like. */
static size_t sure_separator(const char *s, const char *end)
{
    static const char *const sure[] = {"{,}", ",\\!", "{\\,}", "{\\!}", "\\,", "\\!", "\\:", "\\;", "\\ ", "~"};
    for (size_t i = 0; i < sizeof sure / sizeof *sure; i++) {
        size_t n = strlen(sure[i]);
        if ((size_t)(end - s) < n || memcmp(s, sure[i], n)) continue;
        while (s + n < end && isspace((unsigned char)s[n])) n++;
        return n;
    }
    return 0;
}

/* Whether the run of digits and commas at s looks like 1,234,567 as a whole. */
static bool looks_like_thousands(const char *s, const char *end)
{
    size_t n = digits(s, end);
    if (n < 1 || n > 3 || *s == '0') return false;
    int groups = 0;
    for (s += n; s < end && *s == ',' && digits(s + 1, end) > 0; s += n + 1, groups++)
        if ((n = digits(s + 1, end)) != 3) return false;
    return groups > 0;
}

/* Length of \overline{ or \bar{ at p, or 0. */
static size_t repeating(const char *p, const char *end)
{
    static const char *const bar[] = {"\\overline{", "\\bar{"};
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(bar[i]);
        if ((size_t)(end - p) > n && !memcmp(p, bar[i], n)) return n;
    }
    return 0;
}

/* Length of what makes an ordinal of the number before it: th, ^{th}, ^{\text{th}}, ^\text{th}; or 0. */
static size_t ordinal(const char *s, const char *end)
{
    static const char *const open[] = {"^{\\text{", "^{\\mathrm{", "^{\\rm ", "^\\text{", "^\\mathrm{", "\\text{", "^{",
                                       ""};
    static const char *const close[] = {"}}", "}}", "}", "}", "}", "}", "}", ""};
    static const char *const ending[] = {"st", "nd", "rd", "th"};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        size_t n = strlen(open[i]), m = strlen(close[i]);
        if ((size_t)(end - s) < n + 2 + m || memcmp(s, open[i], n) || memcmp(s + n + 2, close[i], m)) continue;
        if (!m && (size_t)(end - s) > 2 && isalpha((unsigned char)s[2])) continue;
        for (int k = 0; k < 4; k++)
            if (!memcmp(s + n, ending[k], 2)) return n + 2 + m;
    }
    return 0;
}

static void lex_number(lex *x)
{
    char buf[LB_TREE_BYTES + 64];       /* the number without separators is not longer than the input */
    size_t n = 0, d = digits(x->s, x->end), sep, grouped = 0;
    bool thousands = !x->commas_separate && !x->depth && looks_like_thousands(x->s, x->end);
    memcpy(buf, x->s, d), n += d, x->s += d;
    while (x->s < x->end) {
        sep = sure_separator(x->s, x->end);
        if (!sep && thousands && *x->s == ',') sep = 1, x->t->thousands = true;
        if (!sep || n > 3 * (grouped + 1) || digits(x->s + sep, x->end) != 3) break;
        grouped++;
        memcpy(buf + n, x->s + sep, 3), n += 3, x->s += sep + 3;
    }
    if (x->s < x->end && *x->s == '.') {
        d = digits(x->s + 1, x->end);
        const char *p = x->s + 1 + d;
        size_t bar = repeating(p, x->end), over = bar ? digits(p + bar, x->end) : 0;
        if (over && p + bar + over < x->end && p[bar + over] == '}') {
            buf[n++] = '.', memcpy(buf + n, x->s + 1, d), n += d;
            buf[n++] = '(', memcpy(buf + n, p + bar, over), n += over, buf[n++] = ')';
            x->s = p + bar + 1 + over;
        } else if (d) {
            buf[n++] = '.', memcpy(buf + n, x->s + 1, d), n += d, x->s = p;
        } else if (!n || !(x->s + 1 < x->end && x->s[1] == '.')) {
            x->s++;                     /* "5." */
        }
    }
    if (x->s + 1 < x->end && (*x->s == 'e' || *x->s == 'E') && n && buf[n - 1] != ')') {
        size_t sign = x->s[1] == '-' || x->s[1] == '+';
        d = digits(x->s + 1 + sign, x->end);
        const char *after = x->s + 1 + sign + d;
        if (d && !(after < x->end && (isalpha((unsigned char)*after) || *after == '.')))
            memcpy(buf + n, x->s, 1 + sign + d), n += 1 + sign + d, x->s = after;
    }
    push(x, n ? LB_TOK_NUM : LB_TOK_BAD, n ? buf : ".", n ? n : 1);
    if (n && !memchr(buf, '.', n)) x->s += ordinal(x->s, x->end);
}

/* The number that a word names, for bases; s itself if it names none. */
static const char *base_of(const char *s, size_t *n)
{
    static const char *const word_of[] = {"two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
                                          "eleven", "twelve"};
    static const char *const number_of[] = {"2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"};
    for (size_t i = 0; i < sizeof word_of / sizeof *word_of; i++)
        if (strlen(word_of[i]) == *n && !memcmp(word_of[i], s, *n)) return *n = strlen(number_of[i]), number_of[i];
    return s;
}

/* A subscript of digits and letters, perhaps as \text or in parentheses: part of a name, or the base of a number. */
static void lex_subscript(lex *x)
{
    static const char *const open[] = {"{", "\\text{", "\\mathrm{", "(", "base ", " "};
    lb_tree *t = x->t;
    lb_tok *last = t->n_tok ? &t->tok[t->n_tok - 1] : NULL;
    const char *p = x->s + 1, *q, *e;
    int brace = 0, round = 0;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < sizeof open / sizeof *open && !more; i++) {
            size_t k = strlen(open[i]);
            if ((size_t)(x->end - p) < k || memcmp(p, open[i], k) || (*open[i] == '(' && !brace)) continue;
            more = true, p += k, brace += open[i][k - 1] == '{', round += *open[i] == '(';
        }
    }
    for (q = p; q < x->end && isalnum((unsigned char)*q) && (brace || q == p || isdigit((unsigned char)*p)); q++)
        continue;
    size_t n = (size_t)(q - p);
    for (e = q; (brace || round) && e < x->end && (*e == '}' || *e == ')' || *e == ' ') &&
                (*e != '}' || brace) && (*e != ')' || round); e++)
        brace -= *e == '}', round -= *e == ')';
    if (!last || !n || n > 12 || brace || round) {
        push(x, LB_TOK_BAD, "_", 1), x->s++;
        return;
    }
    x->s = e;
    const char *name = lb_tree_text(t, last->text);
    if (last->kind == LB_TOK_ID && !strchr(name, '_')) {
        char full[32];                          /* the longest name is "epsilon" */
        size_t have = strlen(name);
        memcpy(full, name, have);
        full[have] = '_', memcpy(full + have + 1, p, n);
        last->text = keep(x, full, have + 1 + n);
        return;
    }
    p = base_of(p, &n);
    if (last > t->tok + 1 && (last->kind == ')' || last->kind == '}') && last[-1].kind == LB_TOK_NUM &&
        (last[-2].kind == '(' || last[-2].kind == '{') && digits(p, p + n) == n) {      /* (52)_8, \text{52}_8 */
        last[-2] = last[-1];
        t->n_tok -= 2, last -= 2;
    }
    if ((last->kind == LB_TOK_FUNC && !strcmp(name, "log")) || (last->kind == LB_TOK_NUM && digits(p, p + n) == n))
        push(x, LB_TOK_BASE, p, n);
    else
        push(x, LB_TOK_BAD, "_", 1);
}

/* A word, rather than a product of variables: listed, or `least` letters and more with a vowel that are not in
 * alphabetical order (as the variables of a monomial are). */
static bool is_word(const char *s, size_t n, size_t least)
{
    if (listed(short_words, s, n)) return true;
    bool vowel = false, ascending = true;
    for (size_t i = 0; i < n; i++) {
        if (strchr("aeiouyAEIOUY", s[i])) vowel = true;
        if (i && s[i] <= s[i - 1]) ascending = false;
    }
    return n >= least && vowel && !ascending;
}

static void push_word(lex *x, const word *w)
{
    push(x, w->kind, w->text, strlen(w->text));
}

/* Behind the word at x->s [n] and what it makes with its neighbours: minus 5, 5 per cent, Rs. 5; NULL: nothing. */
static const char *lex_phrase(lex *x, const char *s, size_t n)
{
    const char *p = s + n;
    while (p < x->end && *p == ' ') p++;
    bool number = p < x->end && isdigit((unsigned char)*p);
    if (number && ((n == 5 && !memcmp(s, "minus", 5)) || (n == 8 && !memcmp(s, "negative", 8))))
        return push(x, '-', NULL, 0), p;
    if (n == 3 && !memcmp(s, "per", 3) && x->end - p >= 4 && !memcmp(p, "cent", 4) &&
        !(x->end - p > 4 && isalpha((unsigned char)p[4]))) return push(x, LB_TOK_PCT, NULL, 0), p + 4;
    if (n == 2 && !memcmp(s, "Rs", 2) && p < x->end && *p == '.') return push(x, LB_TOK_DOLLAR, "₹", 3), p + 1;
    return NULL;
}

static void lex_letters(lex *x)
{
    const char *p = x->s, *behind;
    while (p < x->end && isalpha((unsigned char)*p)) p++;
    size_t n = (size_t)(p - x->s);
    if ((behind = lex_phrase(x, x->s, n)) != NULL) {
        x->s = behind;
        return;
    }
    int before = x->space && x->t->n_tok ? x->t->tok[x->t->n_tok - 1].kind : LB_TOK_END;
    bool is_text = n > 1 && (before == LB_TOK_TEXT || is_word(x->s, n, before == LB_TOK_NUM ? 3 : 4)); /* of tea; 1 cup */
    const word *w = NULL;
    if (n > 1) w = find(plain_words, sizeof plain_words / sizeof *plain_words, x->s, n);
    if (n > 1 && !w) {
        w = find(commands, sizeof commands / sizeof *commands, x->s, n);
        if (w && w->kind != LB_TOK_FUNC && !(w->kind == LB_TOK_ID && n > 3)) w = NULL;
    }
    if (w) push_word(x, w), x->s = p;
    else if (is_text) push(x, LB_TOK_TEXT, x->s, n), x->s = p;
    else push(x, LB_TOK_ID, x->s, 1), x->s++;
    /* The rest of a run that is no word comes letter by letter, and must not be looked at again as a word. */
    while (!w && n > 1 && x->s < p) push(x, LB_TOK_ID, x->s, 1), x->s++;
}

/* \text{…}: x->s is behind the name. Words become one TEXT token; anything else is read as a formula. */
static void lex_text(lex *x, bool formula_too)
{
    const char *p = x->s, *q;
    while (p < x->end && isspace((unsigned char)*p)) p++;
    if (p >= x->end || *p != '{') return;       /* \mathbf x */
    int depth = 0, run = 0, longest = 0, n_digit = 0;
    for (q = p; q < x->end; q++) {
        if (*q == '{') depth++;
        if (*q == '}' && --depth == 0) break;
        run = isalpha((unsigned char)*q) ? run + 1 : 0;
        if (run > longest) longest = run;
        n_digit += isdigit((unsigned char)*q) != 0;
    }
    if (q >= x->end) {
        push(x, LB_TOK_BAD, "\\text", 5);
        x->s = x->end;
        return;
    }
    if (longest < 2 && (n_digit || formula_too)) {
        x->s = p;                               /* the braces group */
        return;
    }
    x->s = q + 1;
    for (p++; p < q && isspace((unsigned char)*p); p++) x->space = true;
    while (q > p && isspace((unsigned char)q[-1])) q--;
    size_t n = (size_t)(q - p);
    const word *w = find(plain_words, sizeof plain_words / sizeof *plain_words, p, n);
    if (!w && n > 1 && formula_too) w = find(commands, sizeof commands / sizeof *commands, p, n);
    if (w) push_word(x, w);
    else if (n == 2 && !memcmp(p, "\\$", 2)) push(x, LB_TOK_DOLLAR, NULL, 0);
    else if (n == 2 && !memcmp(p, "\\%", 2)) push(x, LB_TOK_PCT, NULL, 0);
    else if (n == 1 && ispunct((unsigned char)*p)) push(x, strchr(",;", *p) ? LB_TOK_SEP : *p, p, 1);
    else if (n) push(x, LB_TOK_TEXT, p, n);
}

/* A letter in upright type behind a number is a unit: 5\,\mathrm{m}. */
static bool lex_letter_unit(lex *x)
{
    const lb_tree *t = x->t;
    const char *p = x->s;
    if (!t->n_tok || t->tok[t->n_tok - 1].kind != LB_TOK_NUM || p >= x->end || *p != '{') return false;
    for (p++; p < x->end && *p == ' ';) p++;
    if (x->end - p < 2 || p[1] != '}' || !strchr("mgsLNJWKVh", *p)) return false;
    push(x, LB_TOK_TEXT, p, 1);
    x->s = p + 2;
    return true;
}

static void lex_command(lex *x)
{
    const char *p = x->s + 1, *q = p;
    while (q < x->end && isalpha((unsigned char)*q)) q++;
    size_t n = (size_t)(q - p);
    if (!n) {
        if (p >= x->end) { push(x, LB_TOK_BAD, "\\", 1), x->s = x->end; return; }
        x->s = p + 1;
        if (strchr(",;:! ()[]\n\t", *p)) x->space = true;
        else if (*p == '{') push(x, LB_TOK_LSET, NULL, 0), x->depth++;
        else if (*p == '}') push(x, LB_TOK_RSET, NULL, 0), x->depth -= x->depth > 0;
        else if (*p == '%') push(x, LB_TOK_PCT, NULL, 0);
        else if (*p == '$') push(x, LB_TOK_DOLLAR, NULL, 0);
        else if (*p == '\\') push(x, LB_TOK_ROW, NULL, 0);
        else if (*p == '|') push(x, LB_TOK_BAR, NULL, 0);
        else push(x, LB_TOK_BAD, p - 1, (unsigned char)*p < 0x80 ? 2 : 1);
        return;
    }
    x->s = q;
    const word *w = find(commands, sizeof commands / sizeof *commands, p, n);
    if (w) {
        push_word(x, w);
        if (w->kind == '(' || w->kind == '[' || w->kind == LB_TOK_LSET) x->depth++;
        if (w->kind == ')' || w->kind == ']' || w->kind == LB_TOK_RSET) x->depth -= x->depth > 0;
    } else if (listed(skipped, p, n)) {
        x->space = true;
        /* \left. and \right. are invisible brackets */
        if ((n == 4 || n == 5) && (*p == 'l' || *p == 'r') && x->s < x->end && *x->s == '.') x->s++;
    } else if (n == 6 && !memcmp(p, "mathbb", 6) && x->end - q >= 3 && !memcmp(q, "{R}", 3)) {
        x->s = q + 3;                           /* all real numbers: (−∞, ∞) */
        push(x, '(', NULL, 0), push(x, '-', NULL, 0), push(x, LB_TOK_INF, NULL, 0), push(x, LB_TOK_SEP, NULL, 0);
        push(x, LB_TOK_INF, NULL, 0), push(x, ')', NULL, 0);
    } else if (listed(texts, p, n)) {
        bool upright = n >= 4 && (!memcmp(p, "text", 4) || (n == 6 && !memcmp(p, "mathrm", 6)));
        if (!upright || !lex_letter_unit(x))
            lex_text(x, memcmp(p, "text", 4) && memcmp(p, "mbox", 4) && memcmp(p, "hbox", 4));
    } else if ((n == 5 && !memcmp(p, "boxed", 5)) || (n == 4 && !memcmp(p, "fbox", 4))) {
        x->space = true;
    } else if ((n == 5 && !memcmp(p, "begin", 5)) || (n == 3 && !memcmp(p, "end", 3))) {
        const char *b = memchr(q, '}', (size_t)(x->end - q));
        if (!b || *q != '{' || b - q > 20) { push(x, LB_TOK_BAD, p - 1, n + 1); return; }
        push(x, n == 5 ? LB_TOK_BEGIN : LB_TOK_FINISH, q + 1, (size_t)(b - q - 1));
        x->s = b + 1;
    } else {
        push(x, LB_TOK_BAD, p - 1, n + 1 < 40 ? n + 1 : 40);
    }
}

static bool starts(const lex *x, const char *s)
{
    size_t n = strlen(s);
    return (size_t)(x->end - x->s) >= n && !memcmp(x->s, s, n);
}

/* x² and 10⁻³ */
static bool lex_superscript(lex *x)
{
    static const char *const digit[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    char buf[32];
    size_t n = 0;
    const char *before = x->s;
    bool minus = starts(x, "⁻");
    if (minus) x->s += strlen("⁻");
    for (bool more = true; more && n < sizeof buf;) {
        more = false;
        for (int i = 0; i < 10 && !more; i++)
            if (starts(x, digit[i])) buf[n++] = (char)('0' + i), x->s += strlen(digit[i]), more = true;
    }
    if (!n || n == sizeof buf) return x->s = before, false;
    push(x, '^', NULL, 0), push(x, '{', NULL, 0);
    if (minus) push(x, '-', NULL, 0);
    push(x, LB_TOK_NUM, buf, n), push(x, '}', NULL, 0);
    return true;
}

static bool lex_fraction(lex *x)
{
    static const char *const f[][3] = {
        {"½", "1", "2"}, {"⅓", "1", "3"}, {"⅔", "2", "3"}, {"¼", "1", "4"}, {"¾", "3", "4"}, {"⅕", "1", "5"},
        {"⅖", "2", "5"}, {"⅗", "3", "5"}, {"⅘", "4", "5"}, {"⅙", "1", "6"}, {"⅚", "5", "6"}, {"⅛", "1", "8"},
        {"⅜", "3", "8"}, {"⅝", "5", "8"}, {"⅞", "7", "8"}};
    for (size_t i = 0; i < sizeof f / sizeof *f; i++) {
        if (!starts(x, f[i][0])) continue;
        push(x, LB_TOK_FRAC, NULL, 0), push(x, LB_TOK_NUM, f[i][1], 1), push(x, LB_TOK_NUM, f[i][2], 1);
        x->s += strlen(f[i][0]);
        return true;
    }
    return false;
}

static void lex_unicode(lex *x)
{
    for (size_t i = 0; i < sizeof unicode / sizeof *unicode; i++) {
        size_t n = strlen(unicode[i].utf8);
        if ((size_t)(x->end - x->s) >= n && !memcmp(x->s, unicode[i].utf8, n)) {
            push(x, unicode[i].kind, unicode[i].text, strlen(unicode[i].text));
            x->s += n;
            return;
        }
    }
    if (lex_superscript(x) || lex_fraction(x)) return;
    if (x->end - x->s >= 2 && !memcmp(x->s, "\xc2\xa0", 2)) { x->s += 2, x->space = true; return; }
    size_t n = 1;
    while (n < 4 && x->s + n < x->end && ((unsigned char)x->s[n] & 0xc0) == 0x80) n++;
    push(x, LB_TOK_BAD, x->s, n);
    x->s += n;
}

static void lex_punct(lex *x)
{
    char c = *x->s, next = x->s + 1 < x->end ? x->s[1] : 0;
    size_t n = 1;
    switch (c) {
    case '+': case '-': case '/': case '{': case '}': case '!': case '&': push(x, c, NULL, 0); break;
    case '(': case '[': push(x, c, NULL, 0), x->depth++; break;
    case ')': case ']': push(x, c, NULL, 0), x->depth -= x->depth > 0; break;
    case '*': push(x, next == '*' ? '^' : '*', NULL, 0), n += next == '*'; break;
    case '^': {
        const char *p = x->s + 1;
        while (p < x->end && (*p == ' ' || *p == '{')) p++;
        if (x->end - p >= 5 && !memcmp(p, "\\circ", 5) && !(p + 5 < x->end && isalpha((unsigned char)p[5]))) {
            n = (size_t)(p - x->s);             /* ^\circ and ^{\circ}: the command gives the token */
            bool braced = memchr(x->s, '{', n) != NULL;
            const char *q = p + 5;
            while (braced && q < x->end && *q == ' ') q++;
            if (braced && !(q < x->end && *q == '}')) { push(x, '^', NULL, 0), n = 1; break; }
            push(x, LB_TOK_DEG, NULL, 0);
            n = (size_t)(q - x->s) + braced;
            break;
        }
        push(x, '^', NULL, 0);
        break;
    }
    case ',': case ';': push(x, LB_TOK_SEP, NULL, 0); break;
    case '%': push(x, LB_TOK_PCT, NULL, 0); break;
    case '|': push(x, LB_TOK_BAR, NULL, 0); break;
    case '=': push(x, LB_TOK_REL, "=", 1), n += next == '='; break;
    case '<': case '>':
        push(x, LB_TOK_REL, next == '=' ? (c == '<' ? "l" : "g") : &c, 1), n += next == '=';
        break;
    case '~': x->space = true; break;
    case '$':
        /* pairs delimit formulas; a single one before a digit is money */
        if (x->dollars % 2 && isdigit((unsigned char)next)) push(x, LB_TOK_DOLLAR, NULL, 0);
        x->dollars--, x->space = true;
        break;
    default: push(x, LB_TOK_BAD, &c, 1);
    }
    x->s += n;
}

bool lb_tree_lex(lb_tree *t, const char *src, size_t n, bool commas_separate)
{
    *t = (lb_tree){.root = -1, .cap_tok = 3 * (int)n + 4, .cap_node = 4 * (int)n + 16, .cap_text = 4 * (int)n + 64,
                   .src = src, .n_src = n, .commas_separate = commas_separate};
    t->tok = malloc((size_t)t->cap_tok * sizeof *t->tok);
    t->node = malloc((size_t)t->cap_node * sizeof *t->node);
    t->text = malloc((size_t)t->cap_text);
    if (!t->tok || !t->node || !t->text) {
        memcpy(t->why, "out of memory", 14);
        t->cap_tok = t->cap_text = t->cap_node = 0;
        return false;
    }
    t->text[0] = 0, t->n_text = 1;
    lex x = {.t = t, .s = src, .end = src + n, .commas_separate = commas_separate};
    for (const char *p = src; p < x.end; p++)
        if (*p == '\\') p++;
        else x.dollars += *p == '$';
    while (x.s < x.end) {
        unsigned char c = (unsigned char)*x.s;
        bool fraction = c == '.' && x.s + 1 < x.end &&
                        (isdigit((unsigned char)x.s[1]) || repeating(x.s + 1, x.end));
        if (isspace(c)) x.space = true, x.s++;
        else if (isdigit(c) || fraction) lex_number(&x);
        else if (isalpha(c)) lex_letters(&x);
        else if (c == '\\') lex_command(&x);
        else if (c == '_') lex_subscript(&x);
        else if (c >= 0x80) lex_unicode(&x);
        else lex_punct(&x);
    }
    t->only_text = t->n_tok > 0;
    for (int i = 0; i < t->n_tok; i++)
        if (t->tok[i].kind != LB_TOK_TEXT) t->only_text = false;
    t->tok[t->n_tok] = (lb_tok){.kind = LB_TOK_END};
    if (x.full) memcpy(t->why, "too many symbols", 17), t->n_tok = 0;
    return !x.full;
}

/* Letter case does not count in words: Step 3, step 3. */
static bool same_token(const lb_tree *a, const lb_tree *b, int i)
{
    const char *s = lb_tree_text(a, a->tok[i].text), *t = lb_tree_text(b, b->tok[i].text);
    bool words = a->tok[i].kind == LB_TOK_TEXT && strlen(s) > 2;
    return a->tok[i].kind == b->tok[i].kind && (words ? strcasecmp(s, t) : strcmp(s, t)) == 0;
}

bool lb_tree_same_tokens(const lb_tree *a, const lb_tree *b)
{
    if (a->n_tok != b->n_tok || !a->n_tok) return false;
    for (int i = 0; i < a->n_tok; i++)
        if (!same_token(a, b, i)) return false;
    return true;
}

void lb_tree_free(lb_tree *t)
{
    free(t->tok), free(t->node), free(t->text);
    *t = (lb_tree){.root = -1};
}
