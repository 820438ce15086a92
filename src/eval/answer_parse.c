/* eval/answer_parse.c – tokens to a tree, by recursive descent with a depth limit.
 *
 *   list     item (SEP item)*                       SEP is , ; and or
 *   item     side ((= < > ≤ ≥ ≠ ∈) side)*           becomes REL if there is more than one side
 *   side     [label | expr (∪ expr)*] [unit]
 *   expr     [+-±] term ([+-±∓] term)*              SUM
 *   term     factor (('*' | '/' | nothing) factor)* PROD
 *   factor   [-] primary [! …] [^ exponent]         POW, right to left
 *   primary  number, name, ( list ), { list }, \frac, \sqrt, function, |expr|, matrix, … */
#include "eval/answer_tree.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct parser {
    lb_tree *t;
    int at, depth, bars;       /* bars: open |…| */
} parser;

static int parse_list(parser *p);
static int parse_expr(parser *p);
static int parse_factor(parser *p);
static int parse_primary(parser *p);

static int kind(const parser *p) { return p->t->tok[p->at].kind; }
static int kind_after(const parser *p, int n)
{
    return p->at + n <= p->t->n_tok ? p->t->tok[p->at + n].kind : LB_TOK_END;
}
static const char *text(const parser *p) { return lb_tree_text(p->t, p->t->tok[p->at].text); }
static const char *text_after(const parser *p, int n) { return lb_tree_text(p->t, p->t->tok[p->at + n].text); }
static bool accept(parser *p, int k)
{
    if (kind(p) != k) return false;
    p->at++;
    return true;
}

__attribute__((format(printf, 2, 3))) static int refuse(parser *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!p->t->why[0]) vsnprintf(p->t->why, sizeof p->t->why, fmt, ap);
    va_end(ap);
    return -1;
}

static int refuse_token(parser *p)
{
    int k = kind(p);
    if (k == LB_TOK_END) return refuse(p, "it ends too early");
    if (k < 128) return refuse(p, "'%c' is not expected there", k);
    if (text(p)[0]) return refuse(p, "'%.60s' is not understood there", text(p));
    return refuse(p, "a symbol is not expected there");
}

static int node(parser *p, lb_node_kind k, int first)
{
    lb_tree *t = p->t;
    if (t->n_node >= t->cap_node) return refuse(p, "too many terms");
    t->node[t->n_node] = (lb_node){.kind = (uint8_t)k, .first = first, .next = -1};
    return t->n_node++;
}

/* Keeps a piece of text; its offset, or -1. */
static int add_text(parser *p, const char *s, size_t n)
{
    lb_tree *t = p->t;
    if (t->n_text + (int)n + 1 > t->cap_text) return refuse(p, "too many terms");
    int at = t->n_text;
    memcpy(t->text + at, s, n);
    t->text[at + (int)n] = 0;
    t->n_text += (int)n + 1;
    return at;
}

/* Takes a token that is a whole leaf. */
static int leaf(parser *p, lb_node_kind k)
{
    int x = node(p, k, -1);
    if (x >= 0) p->t->node[x].text = p->t->tok[p->at].text;
    p->at++;
    return x;
}

static int unary(parser *p, lb_node_kind k, int child) { return child < 0 ? -1 : node(p, k, child); }

static int binary(parser *p, lb_node_kind k, int a, int b)
{
    if (a < 0 || b < 0) return -1;
    p->t->node[a].next = b;
    return node(p, k, a);
}

static bool deeper(parser *p)
{
    if (++p->depth <= 2 * LB_TREE_DEPTH) return true;      /* each nesting passes parse_factor and parse_primary */
    refuse(p, "nested more than %d deep", LB_TREE_DEPTH);
    return false;
}

/* The argument of \frac and \sqrt: a group, or one token, where a number gives only its first digit (\frac12). */
static int parse_argument(parser *p)
{
    lb_tree *t = p->t;
    if (accept(p, '{')) {
        int x = parse_expr(p);
        return x >= 0 && !accept(p, '}') ? refuse_token(p) : x;
    }
    const char *s = text(p);
    if (kind(p) != LB_TOK_NUM || !s[1]) return parse_primary(p);
    if (s[0] < '0' || s[0] > '9') return refuse_token(p);
    int x = node(p, LB_NODE_NUM, -1), at = add_text(p, s, 1);
    if (x < 0 || at < 0) return -1;
    t->node[x].text = at;
    t->tok[p->at].text++;
    t->tok[p->at].space = false;
    return x;
}

/* What stands behind ^: a group, or a signed number or name, to the power of what follows it. */
static int parse_exponent(parser *p)
{
    int x;
    if (!deeper(p)) return -1;
    if (kind(p) == '{') {
        x = parse_argument(p);
    } else if (accept(p, '-')) {
        x = parse_exponent(p);
        if (x >= 0) p->t->node[x].join = '-';
        x = unary(p, LB_NODE_SUM, x);
    } else {
        x = kind(p) == LB_TOK_NUM ? leaf(p, LB_NODE_NUM) : parse_primary(p);
        if (x >= 0 && accept(p, '^')) x = binary(p, LB_NODE_POW, x, parse_exponent(p));
    }
    p->depth--;
    return x;
}

static bool is_integer(const lb_tree *t, int x)
{
    return t->node[x].kind == LB_NODE_NUM && !strpbrk(lb_tree_text(t, t->node[x].text), ".e(E");
}

static int parse_frac(parser *p)
{
    p->at++;
    int a = parse_argument(p), b = a < 0 ? -1 : parse_argument(p);
    if (b < 0) return -1;
    p->t->node[b].join = '/', p->t->node[a].join = '*';
    return binary(p, LB_NODE_PROD, a, b);
}

static int parse_sqrt(parser *p)
{
    lb_tree *t = p->t;
    const char *how = text(p);
    int degree = -1;
    if (how[0] && how[0] != 'w' && (degree = leaf(p, LB_NODE_NUM)) < 0) return -1;
    if (degree < 0) p->at++;
    if (!how[0] && accept(p, '[')) {
        degree = parse_expr(p);
        if (degree < 0) return -1;
        if (!accept(p, ']')) return refuse_token(p);
    }
    int x = how[0] && kind(p) == LB_TOK_NUM ? leaf(p, LB_NODE_NUM) : parse_argument(p);
    if (x < 0) return -1;
    if (degree >= 0) t->node[x].next = degree;
    return node(p, LB_NODE_ROOT, x);
}

/* \lfloor x \rfloor */
static int parse_rounded(parser *p)
{
    const char *name = text(p);
    int f = leaf(p, LB_NODE_FUNC), x = f < 0 ? -1 : parse_expr(p);
    if (x < 0) return -1;
    if (kind(p) != LB_TOK_RROUND || strcmp(text(p), name)) return refuse_token(p);
    p->at++;
    p->t->node[f].first = x;
    return f;
}

/* x·π/180 */
static int in_radians(parser *p, int x)
{
    lb_tree *t = p->t;
    int pi = node(p, LB_NODE_PI, -1), n = node(p, LB_NODE_NUM, -1), at = add_text(p, "180", 3);
    if (pi < 0 || n < 0 || at < 0) return -1;
    t->node[n].text = at;
    t->node[x].join = t->node[pi].join = '*', t->node[n].join = '/';
    t->node[x].next = pi, t->node[pi].next = n;
    return node(p, LB_NODE_PROD, x);
}

static bool is_minus_one(const lb_tree *t, int x)
{
    const lb_node *n = &t->node[x], *k = n->first < 0 ? NULL : &t->node[n->first];
    return n->kind == LB_NODE_SUM && k->next < 0 && k->join == '-' && k->kind == LB_NODE_NUM &&
           !strcmp(lb_tree_text(t, k->text), "1");
}

/* Renames sin to arcsin. */
static int inverse(parser *p, int f)
{
    static const char *const of[] = {"sin", "cos", "tan", "cot", "sec", "csc"};
    char arc[16] = "arc";
    for (int i = 0; i < 6; i++) {
        if (strcmp(lb_tree_text(p->t, p->t->node[f].text), of[i])) continue;
        int at = add_text(p, strcat(arc, of[i]), 6);
        if (at >= 0) p->t->node[f].text = at;
        return at;
    }
    return refuse(p, "the inverse of that function is not understood");
}

/* sin x, sin 2x, sin(x), sin^2 x, log_2 8: without parentheses the argument is a product of numbers and names. */
static int parse_func(parser *p)
{
    lb_tree *t = p->t;
    int f = leaf(p, LB_NODE_FUNC), base = -1, power = -1, arg;
    if (f < 0) return -1;
    if (kind(p) == LB_TOK_BASE) base = leaf(p, LB_NODE_NUM);
    if (accept(p, '^')) {
        power = parse_exponent(p);
        if (power < 0) return -1;
        if (is_minus_one(t, power)) {
            if ((power = inverse(p, f)) < 0) return -1;
            power = -1;
        } else if (!is_integer(t, power)) {
            return refuse(p, "a power of a function name that is not a number");
        }
    }
    if (kind(p) == '(' || kind(p) == '{' || kind(p) == LB_TOK_BAR || kind(p) == LB_TOK_FUNC) {
        arg = parse_primary(p);
    } else {
        int first = -1, last = -1, n = 0;
        while (kind(p) == LB_TOK_NUM || kind(p) == LB_TOK_ID || kind(p) == LB_TOK_PI || kind(p) == LB_TOK_FRAC ||
               kind(p) == LB_TOK_SQRT) {
            if (n && kind(p) == LB_TOK_NUM) return refuse_token(p);
            int x = parse_factor(p);
            if (x < 0) return -1;
            t->node[x].join = '*';
            if (n++) t->node[last].next = x;
            else first = x;
            last = x;
        }
        if (!n) return refuse_token(p);
        arg = n > 1 ? node(p, LB_NODE_PROD, first) : first;
    }
    if (arg < 0) return -1;
    bool degrees = accept(p, LB_TOK_DEG);
    if (t->node[arg].unit && !strcmp(lb_tree_text(t, t->node[arg].unit), "deg")) degrees = true, t->node[arg].unit = 0;
    if (degrees && (arg = in_radians(p, arg)) < 0) return -1;
    t->node[f].first = arg;
    t->node[arg].next = base;
    return power < 0 ? f : binary(p, LB_NODE_POW, f, power);
}

static int parse_bars(parser *p)
{
    p->at++;
    p->bars++;
    int x = parse_expr(p);
    p->bars--;
    if (x < 0) return -1;
    if (!accept(p, LB_TOK_BAR)) return refuse_token(p);
    int f = node(p, LB_NODE_FUNC, x), at = add_text(p, "abs", 3);
    if (f < 0 || at < 0) return -1;
    p->t->node[f].text = at;
    return f;
}

/* ( … ) [ … ] \{ … \} { … }: one item in round, square or plain braces is only grouped; more are a tuple or a set. */
static int parse_group(parser *p)
{
    lb_tree *t = p->t;
    int open = kind(p);
    p->at++;
    int bars = p->bars;
    p->bars = 0;
    bool set = open == LB_TOK_LSET;
    if (set && accept(p, LB_TOK_RSET)) return p->bars = bars, node(p, LB_NODE_SET, -1);
    bool condition = set && kind(p) == LB_TOK_ID && kind_after(p, 1) == LB_TOK_BAR;     /* { x | x > 2 } */
    if (condition) p->at += 2;
    int x = parse_list(p);
    p->bars = bars;
    if (x < 0) return -1;
    int close = kind(p);
    if (open == ']') open = '(';                           /* ]0, 1[ is (0, 1) */
    if (close == '[' && !set && open != '{') p->t->tok[p->at].kind = close = ')';
    if (set ? close != LB_TOK_RSET : open == '{' ? close != '}' : close != ')' && close != ']') return refuse_token(p);
    p->at++;
    bool many = t->node[x].kind == LB_NODE_LIST;
    if (condition) return t->node[x].kind == LB_NODE_REL ? x : refuse(p, "a set by a condition is not understood");
    if (set) return many ? (t->node[x].kind = LB_NODE_SET, x) : node(p, LB_NODE_SET, x);
    if (open == '{') return x;
    if (!many) {
        bool matches = (open == '(') == (close == ')');
        return matches ? x : refuse(p, "brackets do not match");
    }
    t->node[x].kind = LB_NODE_TUPLE;
    t->node[x].open = (char)open, t->node[x].close = (char)close;
    return x;
}

static int parse_matrix(parser *p)
{
    lb_tree *t = p->t;
    const char *env = text(p);
    static const char *const known[] = {"pmatrix", "bmatrix", "matrix", "Bmatrix", "smallmatrix", "array"};
    int e = 0;
    while (e < 6 && strcmp(env, known[e])) e++;
    if (e == 6) return refuse(p, "environment '%.40s' is not understood", env);
    p->at++;
    if (e == 5 && accept(p, '{')) {                        /* columns: {cc} */
        while (kind(p) == LB_TOK_ID || kind(p) == LB_TOK_BAR || kind(p) == LB_TOK_TEXT) p->at++;
        if (!accept(p, '}')) return refuse_token(p);
    }
    int first = -1, last = -1, n = 0, n_col = 0, col = 0;
    for (;;) {
        int x = parse_expr(p);
        if (x < 0) return -1;
        if (n++) t->node[last].next = x;
        else first = x;
        last = x, col++;
        if (accept(p, '&')) continue;
        if (n_col && col != n_col) return refuse(p, "a matrix has rows of %d and of %d columns", n_col, col);
        n_col = col, col = 0;
        if (accept(p, LB_TOK_ROW) && kind(p) != LB_TOK_FINISH) continue;
        break;
    }
    if (kind(p) != LB_TOK_FINISH || strcmp(text(p), env)) return refuse_token(p);
    p->at++;
    int m = node(p, LB_NODE_MATRIX, first);
    if (m >= 0) t->node[m].n_col = n_col;
    return m;
}

/* \frac{\text{miles}}{\text{hour}} */
static bool unit_fraction(const parser *p)
{
    static const int want[] = {LB_TOK_FRAC, '{', LB_TOK_TEXT, '}', '{', LB_TOK_TEXT, '}'};
    for (int i = 0; i < 7; i++)
        if (kind_after(p, i) != want[i]) return false;
    return true;
}

/* An integer, and what may stand behind it: a base, or the fraction of a mixed number (1\frac{4}{5}, 1 4/5). */
static int parse_number(parser *p)
{
    lb_tree *t = p->t;
    int x = leaf(p, LB_NODE_NUM);
    if (x < 0) return -1;
    if (kind(p) == LB_TOK_BASE) {
        t->node[x].kind = LB_NODE_BASED;
        t->node[x].n_col = atoi(text(p));
        p->at++;
        return x;
    }
    if (!is_integer(t, x)) return x;
    int q = -1, mark = p->at;
    if (kind(p) == LB_TOK_FRAC && !unit_fraction(p)) {
        q = parse_frac(p);
        if (q < 0) return -1;
    } else if (kind(p) == LB_TOK_NUM && t->tok[p->at].space && kind_after(p, 1) == '/' &&
               kind_after(p, 2) == LB_TOK_NUM) {
        int a = leaf(p, LB_NODE_NUM);
        p->at++;
        int b = leaf(p, LB_NODE_NUM);
        if (a < 0 || b < 0) return -1;
        t->node[a].join = '*', t->node[b].join = '/';
        q = binary(p, LB_NODE_PROD, a, b);
        if (q < 0) return -1;
    }
    if (q < 0) return x;
    int a = t->node[q].first, b = t->node[a].next;
    bool proper = is_integer(t, a) && is_integer(t, b) && strlen(lb_tree_text(t, t->node[a].text)) < 19 &&
                  strlen(lb_tree_text(t, t->node[b].text)) < 19 &&
                  atoll(lb_tree_text(t, t->node[a].text)) < atoll(lb_tree_text(t, t->node[b].text));
    if (!proper && t->tok[mark].kind == LB_TOK_NUM) return refuse(p, "two numbers stand side by side");
    t->node[x].join = proper ? '+' : '*';
    t->node[q].join = proper ? '+' : '*';
    return binary(p, proper ? LB_NODE_SUM : LB_NODE_PROD, x, q);
}

static int parse_atom(parser *p)
{
    switch (kind(p)) {
    case LB_TOK_NUM: return parse_number(p);
    case LB_TOK_ID: return leaf(p, LB_NODE_SYM);
    case LB_TOK_PI: return leaf(p, LB_NODE_PI);
    case LB_TOK_INF: return leaf(p, LB_NODE_INF);
    case LB_TOK_EMPTY: return leaf(p, LB_NODE_SET);
    case LB_TOK_FRAC: return parse_frac(p);
    case LB_TOK_SQRT: return parse_sqrt(p);
    case LB_TOK_FUNC: return parse_func(p);
    case LB_TOK_BAR: return parse_bars(p);
    case LB_TOK_BEGIN: return parse_matrix(p);
    case LB_TOK_BINOM: {
        p->at++;
        int a = parse_argument(p);
        return a < 0 ? -1 : binary(p, LB_NODE_BINOM, a, parse_argument(p));
    }
    case LB_TOK_LROUND: return parse_rounded(p);
    case '(': case '[': case ']': case '{': case LB_TOK_LSET: return parse_group(p);
    default: return refuse_token(p);
    }
}

static int parse_primary(parser *p)
{
    if (!deeper(p)) return -1;
    int x = parse_atom(p);
    p->depth--;
    return x;
}

static int parse_factor(parser *p)
{
    if (!deeper(p)) return -1;
    int x;
    if (accept(p, '-')) {                      /* 2·-3, x^-1 */
        x = parse_factor(p);
        if (x >= 0) p->t->node[x].join = '-';
        x = unary(p, LB_NODE_SUM, x);
    } else {
        x = parse_primary(p);
        while (x >= 0 && accept(p, '!')) x = unary(p, LB_NODE_FACT, x);
        if (x >= 0 && accept(p, '^')) x = binary(p, LB_NODE_POW, x, parse_exponent(p));
    }
    p->depth--;
    return x;
}

/* Whether the next token can be a factor without a multiplication sign in front. Numbers cannot: "x2" is not clear. */
static bool starts_factor(const parser *p)
{
    switch (kind(p)) {
    case LB_TOK_FRAC: return !unit_fraction(p);
    case LB_TOK_ID: case LB_TOK_PI: case LB_TOK_SQRT: case LB_TOK_FUNC: case LB_TOK_BINOM: case LB_TOK_LROUND:
    case '(': case '{': return true;
    case LB_TOK_BAR: return !p->bars;
    default: return false;
    }
}

/* 2^n3^n and (n+1)2^n: a number behind a power or a parenthesis is a factor. */
static bool number_follows(const parser *p, const lb_node *last)
{
    if (kind(p) != LB_TOK_NUM || !p->at) return false;
    int before = p->t->tok[p->at - 1].kind;
    return before == ')' || (last->kind == LB_NODE_POW && before != LB_TOK_NUM);
}

/* The product of a scalar and a matrix: every element times the scalar, whose children all the products share. */
static int scaled(parser *p, int scalar, int matrix)
{
    lb_tree *t = p->t;
    int last = -1;
    for (int k = t->node[matrix].first, next; k >= 0; k = next) {
        int s = node(p, LB_NODE_NUM, -1), x = node(p, LB_NODE_NUM, -1), product = node(p, LB_NODE_PROD, s);
        if (s < 0 || x < 0 || product < 0) return -1;
        next = t->node[k].next;
        t->node[s] = t->node[scalar], t->node[x] = t->node[k];
        t->node[s].join = t->node[x].join = '*';
        t->node[s].next = x, t->node[x].next = -1;
        if (last < 0) t->node[matrix].first = product;
        else t->node[last].next = product;
        last = product;
    }
    return matrix;
}

static int parse_term(parser *p)
{
    lb_tree *t = p->t;
    int first = parse_factor(p), last = first, n = 1;
    if (first < 0) return -1;
    t->node[first].join = '*';
    for (;;) {
        char join = '*';
        if (accept(p, '/')) {
            if (kind(p) == LB_TOK_TEXT) { p->at--; break; }       /* miles/hour: a unit */
            join = '/';
        } else if ((kind(p) == LB_TOK_BEGIN || (kind(p) == '*' && kind_after(p, 1) == LB_TOK_BEGIN)) &&
                   lb_node_is_scalar(&t->node[first])) {
            accept(p, '*');
            int matrix = parse_matrix(p), scalar = n > 1 ? node(p, LB_NODE_PROD, first) : first;
            return matrix < 0 || scalar < 0 ? -1 : scaled(p, scalar, matrix);
        } else if (!accept(p, '*') && !starts_factor(p) && !number_follows(p, &t->node[last])) {
            break;
        }
        int x = parse_factor(p);
        if (x < 0) return -1;
        t->node[x].join = join;
        t->node[last].next = x;
        last = x, n++;
    }
    return n > 1 ? node(p, LB_NODE_PROD, first) : first;
}

static char sign_of(int k)
{
    return k == '+' ? '+' : k == '-' ? '-' : k == LB_TOK_PM ? 'p' : k == LB_TOK_MP ? 'm' : 0;
}

static int parse_expr(parser *p)
{
    lb_tree *t = p->t;
    int first = -1, last = -1, n = 0;
    bool bare = true;                          /* one term without a sign */
    for (;;) {
        char sign = sign_of(kind(p));
        if (!sign && n) break;
        if (sign) p->at++, bare = false;
        int x = parse_term(p);
        if (x < 0) return -1;
        t->node[x].join = sign ? sign : '+';
        if (n++) t->node[last].next = x;
        else first = x;
        last = x;
    }
    int x = bare ? first : node(p, LB_NODE_SUM, first);
    if (x < 0 || kind(p) != LB_TOK_OVER) return x;
    bool choose = text(p)[0] == 'C';           /* {a \over b}: all that stands left and right of it */
    p->at++;
    int y = parse_expr(p);
    if (y < 0) return -1;
    if (choose) return binary(p, LB_NODE_BINOM, x, y);
    t->node[x].join = '*', t->node[y].join = '/';
    return binary(p, LB_NODE_PROD, x, y);
}

/* 5 million, 2 dozen: takes the word, perhaps the first of several, and gives the product. */
static int parse_multiple(parser *p, int x)
{
    lb_tree *t = p->t;
    size_t n;
    const char *s = kind(p) == LB_TOK_TEXT ? text(p) : "", *number = lb_unit_multiple(s, &n);
    if (!number) return x;
    int m = node(p, LB_NODE_NUM, -1), at = add_text(p, number, strlen(number));
    if (m < 0 || at < 0) return -1;
    t->node[m].text = at;
    t->node[x].join = t->node[m].join = '*';
    t->node[x].next = m;
    if (s[n]) t->tok[p->at].text += (int)n + 1;
    else p->at++;
    return node(p, LB_NODE_PROD, x);
}

static bool add_unit(parser *p, char *unit, size_t size, const char *s)
{
    if (strlen(unit) + strlen(s) + 1 > size) return refuse(p, "a unit is too long") >= 0;
    strcat(unit, s);
    return true;
}

static bool add_unit_words(parser *p, char *unit, size_t size, const char *s)
{
    return lb_unit_add(unit, size, s) || refuse(p, "a unit is too long") >= 0;
}

/* What stands behind a value: a word (perhaps squared, perhaps per another), degrees, money, percent. As one text. */
static bool parse_unit(parser *p, char *unit, size_t size)
{
    for (;;) {
        const char *s;
        int k = kind(p), n_tok = 1;
        if (unit_fraction(p)) {
            if (!add_unit_words(p, unit, size, text_after(p, 2)) || !add_unit(p, unit, size, "/")) return false;
            s = text_after(p, 5), k = LB_TOK_TEXT, n_tok = 7;
        } else if (k == LB_TOK_TEXT) s = text(p);
        else if (k == LB_TOK_DEG) s = "deg";
        else if (k == LB_TOK_MOD && kind_after(p, 1) == LB_TOK_NUM) {
            if (!add_unit(p, unit, size, "mod")) return false;
            s = text_after(p, 1), n_tok = 2;
        } else if (k == LB_TOK_MOD && kind_after(p, 1) == '{' && kind_after(p, 2) == LB_TOK_NUM &&
                   kind_after(p, 3) == '}') {
            if (!add_unit(p, unit, size, "mod")) return false;
            s = text_after(p, 2), n_tok = 4;
        }
        else if (k == LB_TOK_DOLLAR) s = text(p)[0] ? text(p) : "$";
        else if (k == LB_TOK_PCT) s = "%";
        else if (k == '/' && kind_after(p, 1) == LB_TOK_TEXT) s = "/";
        else if (k == '/' && unit[0] && kind_after(p, 1) == LB_TOK_ID && strchr("hs", text_after(p, 1)[0]) &&
                 !text_after(p, 1)[1]) s = text_after(p, 1)[0] == 'h' ? "/hour" : "/second", n_tok = 2;
        else if (k == '^' && unit[0] && kind_after(p, 1) == LB_TOK_NUM) s = text_after(p, 1), n_tok = 2;
        else if (k == '^' && unit[0] && kind_after(p, 1) == '{' && kind_after(p, 2) == LB_TOK_NUM &&
                 kind_after(p, 3) == '}') s = text_after(p, 2), n_tok = 4;
        else if (k == LB_TOK_ID && !strcmp(unit, "deg") && strchr("CFK", text(p)[0])) s = text(p);
        else return true;
        if (k == LB_TOK_TEXT && lb_unit_changes_value(s)) return refuse(p, "'%.60s' is not a unit", s) >= 0;
        if (!(k == LB_TOK_TEXT ? add_unit_words(p, unit, size, s) : add_unit(p, unit, size, s))) return false;
        p->at += n_tok;
    }
}

/* A name for what an equation gives the value of: Area =, f(x) =, P(A) =, AB =. The tokens it takes, or 0. */
static int label_length(const parser *p)
{
    int n = 0;
    if (kind(p) == LB_TOK_TEXT) return kind_after(p, 1) == LB_TOK_REL;
    if (kind(p) != LB_TOK_ID) return 0;
    if (kind_after(p, 1) == '(') {
        int depth = 0;
        for (n = 1; kind_after(p, n) != LB_TOK_END && kind_after(p, n) != LB_TOK_REL; n++) {
            depth += kind_after(p, n) == '(', depth -= kind_after(p, n) == ')';
            if (!depth) break;
        }
        return !depth && kind_after(p, n + 1) == LB_TOK_REL && text_after(p, n + 1)[0] == '=' ? n + 1 : 0;
    }
    while (kind_after(p, n) == LB_TOK_ID && text_after(p, n)[0] >= 'A' && text_after(p, n)[0] <= 'Z') n++;
    return n > 1 && kind_after(p, n) == LB_TOK_REL && text_after(p, n)[0] == '=' ? n : 0;
}

/* "The probability is": ends with a word that a value follows. */
static bool announces(const char *s)
{
    static const char *const verb[] = {"is", "are", "equals", "=", ":", "is:"};
    size_t n = strlen(s);
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\n')) n--;
    for (size_t i = 0; i < sizeof verb / sizeof *verb; i++) {
        size_t k = strlen(verb[i]);
        if (n > k && !memcmp(s + n - k, verb[i], k) && (s[n - k - 1] == ' ' || k == 1)) return true;
    }
    return false;
}

static int parse_side(parser *p)
{
    lb_tree *t = p->t;
    int n = label_length(p);
    if (n) {
        int f = leaf(p, LB_NODE_SYM);
        p->at += n - 1;
        return f;
    }
    if (kind(p) == LB_TOK_TEXT && kind_after(p, 1) != LB_TOK_TEXT && announces(text(p))) p->at++, t->remark = true;
    char unit[64] = "";
    bool minus = kind(p) == '-' && kind_after(p, 1) == LB_TOK_DOLLAR;
    if (minus) p->at++;
    if (kind(p) == LB_TOK_DOLLAR) {
        if (!add_unit(p, unit, sizeof unit, text(p)[0] ? text(p) : "$")) return -1;
        p->at++;
    }
    int x = parse_expr(p);
    if (x < 0) return -1;
    if (minus) {
        t->node[x].join = '-';
        if ((x = node(p, LB_NODE_SUM, x)) < 0) return -1;
    }
    if (kind(p) == LB_TOK_CUP) {
        int first = x, last = x;
        while (accept(p, LB_TOK_CUP)) {
            int y = parse_expr(p);
            if (y < 0) return -1;
            t->node[last].next = y;
            last = y;
        }
        if ((x = node(p, LB_NODE_UNION, first)) < 0) return -1;
    }
    if (lb_node_is_scalar(&t->node[x]) && (x = parse_multiple(p, x)) < 0) return -1;
    if (!parse_unit(p, unit, sizeof unit)) return -1;
    if (unit[0]) {
        if (t->node[x].unit) return refuse(p, "a value has two units");
        if ((t->node[x].unit = add_text(p, unit, strlen(unit))) < 0) return -1;
    }
    return x;
}

static int parse_item(parser *p)
{
    lb_tree *t = p->t;
    if (kind(p) == LB_TOK_REL && text(p)[0] == '~') p->at++, t->remark = true;     /* ≈ 5 */
    int first = parse_side(p), last = first;
    if (first < 0) return -1;
    while (kind(p) == LB_TOK_REL || kind(p) == LB_TOK_IN) {
        char op = kind(p) == LB_TOK_IN ? 'i' : text(p)[0];
        p->at++;
        int x = parse_side(p);
        if (x < 0) return -1;
        if (op == '~') {                       /* x = 1/3 ≈ 0.33: a remark, but x ≈ 5 has no other value */
            if (last != first || t->node[first].kind != LB_NODE_SYM) continue;
            op = '=';
        }
        t->node[x].join = op;
        t->node[last].next = x;
        last = x;
    }
    return last == first ? first : node(p, LB_NODE_REL, first);
}

static int parse_list(parser *p)
{
    lb_tree *t = p->t;
    int first = parse_item(p), last = first, n = 1;
    if (first < 0) return -1;
    while (kind(p) == LB_TOK_SEP) {
        while (accept(p, LB_TOK_SEP)) continue;        /* "1, 2, and 3" */
        int x = parse_item(p);
        if (x < 0) return -1;
        t->node[last].next = x;
        last = x, n++;
    }
    return n > 1 ? node(p, LB_NODE_LIST, first) : first;
}

bool lb_tree_parse(lb_tree *t, const char *src, size_t n, bool commas_separate)
{
    if (!lb_tree_lex(t, src, n, commas_separate)) return false;
    parser p = {.t = t};
    if (t->only_text) {
        t->root = leaf(&p, LB_NODE_TEXT);
        return true;
    }
    for (int i = 0; i < t->n_tok; i++)
        if (t->tok[i].kind == LB_TOK_BAD) {
            p.at = i;
            snprintf(t->why, sizeof t->why, "'%.60s' is not understood", text(&p));
            return false;
        }
    int root = parse_list(&p);
    if (root < 0) return false;
    if (kind(&p) != LB_TOK_END) return refuse_token(&p) >= 0;
    t->root = root;
    return true;
}
