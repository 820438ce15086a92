/* eval/answer_equal.c – whether two answers are the same: structure here, values in answer_value.c.
 *
 * The order of attempts: the same bytes; text; trees; the same tokens, for what neither parser understands. */
#include "eval/answer_child.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MAX_ELEMS = 64,            /* of a list compared in any order */
    WORK = 250000,             /* see lb_value_compare; a few milliseconds */
    SAMPLING = 3000000,        /* see lb_effort; about 10 milliseconds */
    PROOF_MS = 800             /* processor time of all proofs of a comparison */
};

typedef struct pair {          /* the two sides of a comparison and what it may still cost */
    const lb_tree *g, *a;
    lb_effort effort;
    bool loose;                /* right, but not written in the way of the gold answer: not for the strict reading */
    char *why;
} pair;

typedef struct elem {
    int at, pm;
} elem;

typedef struct elems {
    elem e[MAX_ELEMS];
    int n;
    bool set;                  /* written with braces: repetitions do not count */
} elems;

static lb_verdict compare(pair *p, elem g, elem a);
static int infinity_sign(const lb_tree *t, int at);

typedef struct span {          /* from lo to hi; -1: infinite */
    int lo, hi;
    bool lo_in, hi_in;
} span;
static bool span_of(const lb_tree *t, int at, span *out);
static lb_verdict spans(pair *p, const span *g, const span *a);
static lb_verdict unwrap(pair *p, elem r, elem other, bool gold_is_rel);

static lb_verdict say(pair *p, lb_verdict v, const char *why)
{
    snprintf(p->why, LB_TREE_WHY, "%s", why);
    return v;
}

static lb_verdict values(pair *p, elem g, elem a, lb_compare how)
{
    lb_operand l = {p->g, g.at, -1, g.pm}, r = {p->a, a.at, -1, a.pm};
    return lb_value_compare(l, r, how, &p->effort, p->why);
}

/* ---- elements of lists ---- */

static bool has_pm(const lb_tree *t, int at)
{
    const lb_node *x = &t->node[at];
    if (!lb_node_is_scalar(x) && x->kind != LB_NODE_REL && x->kind != LB_NODE_INF) return false;
    for (int k = x->first; k >= 0; k = t->node[k].next)
        if ((x->kind == LB_NODE_SUM && (t->node[k].join == 'p' || t->node[k].join == 'm')) || has_pm(t, k)) return true;
    return false;
}

static bool add_elem(const lb_tree *t, int at, elems *out)
{
    int n = has_pm(t, at) ? 2 : 1;
    if (out->n + n > MAX_ELEMS) return false;
    out->e[out->n++] = (elem){at, n > 1};
    if (n > 1) out->e[out->n++] = (elem){at, -1};
    return true;
}

/* The elements of a list, a set, or one thing (two with ±); a list of sets is not flattened. */
static bool elements(const lb_tree *t, elem at, elems *out)
{
    const lb_node *x = &t->node[at.at];
    *out = (elems){.set = x->kind == LB_NODE_SET};
    if (x->kind != LB_NODE_LIST && x->kind != LB_NODE_SET && x->kind != LB_NODE_UNION) {
        if (!at.pm) return add_elem(t, at.at, out);
        out->e[out->n++] = at;
        return true;
    }
    for (int k = x->first; k >= 0; k = t->node[k].next)
        if (!add_elem(t, k, out)) return false;
    return true;
}

/* x = …, … = x, x ∈ …: the name, or NULL. */
static const char *label(const lb_tree *t, int at)
{
    const lb_node *x = &t->node[at];
    if (x->kind != LB_NODE_REL) return NULL;
    const lb_node *l = &t->node[x->first], *r = &t->node[l->next];
    if (r->join != '=' && r->join != 'i') return NULL;
    if (l->kind == LB_NODE_SYM) return lb_tree_text(t, l->text);
    if (r->join == '=' && r->next < 0 && r->kind == LB_NODE_SYM) return lb_tree_text(t, r->text);
    return NULL;
}

/* The other side of a labelled relation. */
static int value(const lb_tree *t, int at)
{
    int l = t->node[at].first;
    return t->node[l].kind == LB_NODE_SYM ? t->node[l].next : l;
}

static bool is_member(const lb_tree *t, int at) { return t->node[t->node[t->node[at].first].next].join == 'i'; }

/* Whether the labels of a list name different quantities (x = 1, y = 2, but not x_1 = 1, x_2 = 2), or are missing. */
static void labels(const lb_tree *t, const elems *l, bool *several, bool *absent)
{
    const char *first = NULL;
    *several = *absent = false;
    for (int i = 0; i < l->n; i++) {
        const char *s = label(t, l->e[i].at);
        if (!s) *absent = true;
        else if (!first) first = s;
        else if (strcspn(s, "_") != strcspn(first, "_") || strncmp(s, first, strcspn(s, "_"))) *several = true;
    }
}

/* Equality is an equivalence, so the first match is as good as any. */
static lb_verdict any_order(pair *p, const elems *g, const elems *a)
{
    bool g_several, g_absent, a_several, a_absent, used[MAX_ELEMS] = {false}, unknown = false;
    labels(p->g, g, &g_several, &g_absent), labels(p->a, a, &a_several, &a_absent);
    if ((g_several && a_absent) || (a_several && g_absent))
        return say(p, LB_UNKNOWN, "only one of the lists says which value is which");
    bool sets = g->set || a->set;
    if (g->set != a->set || g_absent != a_absent) p->loose = true;
    if (!sets && g->n == 1 && a->n > 1 && !a->e[0].pm) {       /* 1/2 or 0.5: one value, said twice */
        lb_verdict v = LB_RIGHT;
        for (int j = 0; j < a->n && v == LB_RIGHT; j++) v = compare(p, g->e[0], a->e[j]);
        p->loose = true;
        if (v == LB_RIGHT) return v;
    }
    if (!sets && g->n != a->n) {
        snprintf(p->why, LB_TREE_WHY, "%d value%s wanted, %d found", g->n, g->n == 1 ? " is" : "s are", a->n);
        return LB_WRONG;
    }
    for (int i = 0; i < g->n; i++) {
        bool found = false;
        for (int j = 0; j < a->n && (!found || sets); j++) {
            if (used[j] && (!sets || found)) continue;
            bool loose = p->loose;
            lb_verdict v = compare(p, g->e[i], a->e[j]);
            if (v != LB_RIGHT) p->loose = loose;
            if (v == LB_RIGHT) found = used[j] = true;
            unknown |= v == LB_UNKNOWN;
            if (p->effort.work < 0) return LB_UNKNOWN;
        }
        if (!found) return unknown ? LB_UNKNOWN : say(p, LB_WRONG, "a value is missing from the list");
    }
    for (int j = 0; j < a->n; j++)
        if (!used[j]) return unknown ? LB_UNKNOWN : say(p, LB_WRONG, "a value does not belong to the list");
    return LB_RIGHT;
}

static lb_verdict in_order(pair *p, int g, int a)
{
    int gk = p->g->node[g].first, ak = p->a->node[a].first;
    lb_verdict all = LB_RIGHT;
    for (; gk >= 0 && ak >= 0; gk = p->g->node[gk].next, ak = p->a->node[ak].next) {
        lb_verdict v = compare(p, (elem){gk, 0}, (elem){ak, 0});
        if (v == LB_WRONG) return LB_WRONG;
        if (v == LB_UNKNOWN) all = LB_UNKNOWN;
    }
    return gk >= 0 || ak >= 0 ? say(p, LB_WRONG, "the numbers of values differ") : all;
}

/* ---- relations ---- */

typedef struct rel {           /* l op r with op one of = n < l */
    int l, r;
    char op;
} rel;

static bool relation(const lb_tree *t, int l, rel *out)
{
    int r = t->node[l].next;
    char op = t->node[r].join;
    bool flip = op == '>' || op == 'g';
    *out = (rel){flip ? r : l, flip ? l : r, op == '>' ? '<' : op == 'g' ? 'l' : op};
    return op != 'i' && lb_node_is_scalar(&t->node[l]) && lb_node_is_scalar(&t->node[r]);
}

static lb_verdict one_relation(pair *p, rel g, int gpm, rel a, int apm)
{
    if (g.op != a.op) return say(p, LB_WRONG, "the relations differ");
    bool ordered = g.op == '<' || g.op == 'l';
    lb_verdict v = lb_value_compare((lb_operand){p->g, g.l, g.r, gpm}, (lb_operand){p->a, a.l, a.r, apm},
                                    ordered ? LB_PROPORTIONAL_UP : LB_PROPORTIONAL, &p->effort, p->why);
    return v == LB_WRONG ? say(p, v, "the relations differ") : v;
}

static int n_sides(const lb_tree *t, int at)
{
    int n = 0;
    for (int k = t->node[at].first; k >= 0; k = t->node[k].next) n++;
    return n;
}

/* The same name, or y for f(x). */
static bool same_label(const char *g, const char *a)
{
    if (!strcmp(g, a)) return true;
    if (!strcmp(a, "y")) return strlen(g) == 1 && strchr("fgh", *g);
    return !strcmp(g, "y") && strlen(a) == 1 && strchr("fgh", *a);
}

/* a = b against c = d, and chains a < x < b against the same or reversed. */
static lb_verdict relations(pair *p, elem g, elem a)
{
    int n = n_sides(p->g, g.at);
    bool gi = n == 2 && is_member(p->g, g.at), ai = n_sides(p->a, a.at) == 2 && is_member(p->a, a.at);
    span gs, as;
    if (gi != ai) {                                        /* x ∈ [1, 2] against 1 ≤ x ≤ 2 */
        elem gv = {gi ? value(p->g, g.at) : g.at, g.pm}, av = {ai ? value(p->a, a.at) : a.at, a.pm};
        if (span_of(p->g, gv.at, &gs) && span_of(p->a, av.at, &as)) return spans(p, &gs, &as);
    }
    const char *gl = label(p->g, g.at), *al = label(p->a, a.at);
    if (n == 2 && n_sides(p->a, a.at) > 2 && gl && al && same_label(gl, al)) {     /* x = 11 against x = 5+6 = 11 */
        p->loose = true;
        return unwrap(p, a, (elem){value(p->g, g.at), g.pm}, false);
    }
    if (n > 3 || n != n_sides(p->a, a.at)) return say(p, LB_UNKNOWN, "relations of different length are not compared");
    if (n == 2 && gl && al && same_label(gl, al) && is_member(p->g, g.at) == is_member(p->a, a.at)) {
        bool pm = has_pm(p->g, g.at) || has_pm(p->a, a.at);
        lb_verdict v = compare(p, (elem){value(p->g, g.at), g.pm}, (elem){value(p->a, a.at), a.pm});
        if (v == LB_RIGHT || pm) return v;
    }
    rel gr[2], ar[2];
    bool plain = true;
    int gk = p->g->node[g.at].first, ak = p->a->node[a.at].first;
    for (int i = 0; i < n - 1; i++, gk = p->g->node[gk].next, ak = p->a->node[ak].next)
        plain = relation(p->g, gk, &gr[i]) && relation(p->a, ak, &ar[i]) && plain;
    if (!plain) {
        if (gl && al && !strcmp(gl, al)) return say(p, LB_WRONG, "the relations differ");
        return say(p, LB_UNKNOWN, "relations of this kind are not compared");
    }
    if (n == 2) return one_relation(p, gr[0], g.pm, ar[0], a.pm);
    lb_verdict best = LB_WRONG;
    for (int turn = 0; turn < 2; turn++) {
        lb_verdict v = one_relation(p, gr[0], g.pm, ar[turn], a.pm);
        if (v == LB_RIGHT) v = one_relation(p, gr[1], g.pm, ar[1 - turn], a.pm);
        if (v == LB_RIGHT) return v;
        if (v == LB_UNKNOWN) best = v;
    }
    return best;
}

/* (x, y) */
static bool names(const lb_tree *t, int at)
{
    if (t->node[at].kind != LB_NODE_TUPLE) return false;
    for (int k = t->node[at].first; k >= 0; k = t->node[k].next)
        if (t->node[k].kind != LB_NODE_SYM) return false;
    return true;
}

/* x = 5, 5 = x, 2 + 3 = 5, x ∈ S against something without a relation: every side but the name must be equal to it. */
static lb_verdict unwrap(pair *p, elem r, elem other, bool gold_is_rel)
{
    const lb_tree *t = gold_is_rel ? p->g : p->a;
    int first = t->node[r.at].first, second = t->node[first].next;
    bool named = t->node[first].kind == LB_NODE_SYM || names(t, first), two = t->node[second].next < 0, tried = false;
    for (int k = second; k >= 0; k = t->node[k].next)
        if (t->node[k].join != '=' && !(two && named && t->node[k].join == 'i'))
            return say(p, LB_UNKNOWN, "an inequality is compared only with an inequality");
    int skip = named ? first : two && t->node[second].kind == LB_NODE_SYM ? second : -1;
    if (gold_is_rel && skip < 0) return say(p, LB_UNKNOWN, "an equation is compared only with an equation");
    for (int k = first; k >= 0; k = t->node[k].next) {
        if (k == skip) continue;
        elem e = {k, r.pm};
        lb_verdict v = gold_is_rel ? compare(p, e, other) : compare(p, other, e);
        if (v != LB_RIGHT) return skip < 0 && v == LB_WRONG ? say(p, LB_UNKNOWN, "an equation is not a value") : v;
        tried = true;
    }
    return tried ? LB_RIGHT : LB_UNKNOWN;
}

/* ---- intervals ---- */

/* An interval, or an inequality for one name: x < 2, 1 <= x < 3. */
static bool span_of(const lb_tree *t, int at, span *out)
{
    const lb_node *x = &t->node[at];
    *out = (span){-1, -1, false, false};
    if (x->kind == LB_NODE_TUPLE) {
        int lo = x->first, hi = t->node[lo].next;
        if (hi < 0 || t->node[hi].next >= 0) return false;
        *out = (span){infinity_sign(t, lo) < 0 ? -1 : lo, infinity_sign(t, hi) > 0 ? -1 : hi, x->open == '[',
                      x->close == ']'};
        return !(out->lo < 0 && out->lo_in) && !(out->hi < 0 && out->hi_in);
    }
    if (x->kind != LB_NODE_REL) return false;
    int name = 0;
    for (int l = x->first, r = t->node[l].next; r >= 0; l = r, r = t->node[r].next) {
        char op = t->node[r].join;
        bool up = op == '<' || op == 'l', in = op == 'l' || op == 'g';
        if (!strchr("<>lg", op)) return false;
        bool l_name = t->node[l].kind == LB_NODE_SYM, r_name = t->node[r].kind == LB_NODE_SYM;
        if (l_name == r_name || (name && name != (l_name ? l : r))) return false;
        name = l_name ? l : r;
        int bound = l_name ? r : l;
        if (l_name == up) {                    /* x < b, a > x */
            if (out->hi >= 0) return false;
            out->hi = bound, out->hi_in = in;
        } else {
            if (out->lo >= 0) return false;
            out->lo = bound, out->lo_in = in;
        }
    }
    return name > 0 || out->lo >= 0 || out->hi >= 0;
}

static lb_verdict spans(pair *p, const span *g, const span *a)
{
    lb_verdict v = LB_RIGHT, w = LB_RIGHT;
    if (g->lo_in != a->lo_in || g->hi_in != a->hi_in || (g->lo < 0) != (a->lo < 0) || (g->hi < 0) != (a->hi < 0))
        return say(p, LB_WRONG, "the ends of the intervals differ");
    if (g->lo >= 0) v = compare(p, (elem){g->lo, 0}, (elem){a->lo, 0});
    if (v != LB_WRONG && g->hi >= 0) w = compare(p, (elem){g->hi, 0}, (elem){a->hi, 0});
    if (v == LB_RIGHT && w == LB_RIGHT) p->loose = true;
    return v == LB_WRONG || w == LB_WRONG ? LB_WRONG : v == LB_UNKNOWN || w == LB_UNKNOWN ? LB_UNKNOWN : LB_RIGHT;
}

/* ---- vectors and matrices ---- */

static int n_child(const lb_tree *t, int at)
{
    int n = 0;
    for (int k = t->node[at].first; k >= 0; k = t->node[k].next) n++;
    return n;
}

/* A row, a column, or a tuple in equal brackets. */
static bool is_vector(const lb_tree *t, int at)
{
    const lb_node *x = &t->node[at];
    if (x->kind == LB_NODE_MATRIX) return x->n_col == 1 || n_child(t, at) == x->n_col;
    return x->kind == LB_NODE_TUPLE && (x->open == '(') == (x->close == ')');
}

/* [[a, b], [c, d]] against a matrix. */
static lb_verdict rows(pair *p, int g, int a, bool gold_is_matrix)
{
    const lb_tree *m = gold_is_matrix ? p->g : p->a, *l = gold_is_matrix ? p->a : p->g;
    int matrix = gold_is_matrix ? g : a, list = gold_is_matrix ? a : g;
    int k = m->node[matrix].first, n_col = m->node[matrix].n_col;
    lb_verdict all = LB_RIGHT;
    p->loose = true;
    if (n_child(l, list) * n_col != n_child(m, matrix)) return say(p, LB_WRONG, "the matrices have different shapes");
    for (int row = l->node[list].first; row >= 0; row = l->node[row].next) {
        if (l->node[row].kind != LB_NODE_TUPLE || n_child(l, row) != n_col)
            return say(p, LB_WRONG, "the matrices have different shapes");
        for (int x = l->node[row].first; x >= 0; x = l->node[x].next, k = m->node[k].next) {
            elem e = {k, 0}, f = {x, 0};
            lb_verdict v = gold_is_matrix ? compare(p, e, f) : compare(p, f, e);
            if (v == LB_WRONG) return v;
            if (v == LB_UNKNOWN) all = v;
        }
    }
    return all;
}

static lb_verdict matrices(pair *p, int g, int a)
{
    const lb_node *x = &p->g->node[g], *y = &p->a->node[a];
    bool both = x->kind == LB_NODE_MATRIX && y->kind == LB_NODE_MATRIX;
    if (both && x->n_col == y->n_col) return in_order(p, g, a);
    if (is_vector(p->g, g) && is_vector(p->a, a) && (!both || p->effort.lenient)) {
        p->loose = true;
        return in_order(p, g, a);
    }
    if (both) return say(p, LB_WRONG, "the matrices have different shapes");
    return rows(p, g, a, x->kind == LB_NODE_MATRIX);
}

/* ---- single things ---- */

static int infinity_sign(const lb_tree *t, int at)
{
    const lb_node *x = &t->node[at];
    if (x->kind == LB_NODE_INF) return 1;
    if (x->kind != LB_NODE_SUM || t->node[x->first].kind != LB_NODE_INF || t->node[x->first].next >= 0) return 0;
    return t->node[x->first].join == '-' ? -1 : t->node[x->first].join == '+' ? 1 : 0;
}

/* Units, then values; a percent sign on one side only may have been meant as a unit or as a hundredth. */
static lb_verdict scalars(pair *p, elem g, elem a)
{
    const char *gu = lb_tree_text(p->g, p->g->node[g.at].unit), *au = lb_tree_text(p->a, p->a->node[a.at].unit);
    bool same = !strcmp(gu, au);
    if (gu[0] && au[0] && !same && !p->effort.lenient) {
        snprintf(p->why, LB_TREE_WHY, "the units differ: %.60s and %.60s", gu, au);
        return LB_UNKNOWN;
    }
    lb_verdict v = values(p, g, a, LB_SAME);
    if (v != LB_RIGHT && !same && !strcmp(au, "%")) v = values(p, g, a, LB_HUNDREDFOLD);
    else if (v != LB_RIGHT && !same && !strcmp(gu, "%")) v = values(p, g, a, LB_HUNDREDTH);
    if (v == LB_RIGHT && !same) p->loose = true;
    return v;
}

/* A numeral with its base against a number without: 52_8 may have been meant by 52, and is 42. */
static lb_verdict based(pair *p, const lb_node *x, const lb_node *y)
{
    const lb_tree *bt = x->kind == LB_NODE_BASED ? p->g : p->a, *ot = bt == p->g ? p->a : p->g;
    const lb_node *b = bt == p->g ? x : y, *o = bt == p->g ? y : x;
    const char *digits = lb_tree_text(bt, b->text), *plain = lb_tree_text(ot, o->text);
    unsigned long long value = 0;
    bool fits = b->n_col >= 2 && b->n_col <= 36 && strlen(digits) < 12;
    if (o->kind != LB_NODE_NUM) return say(p, LB_UNKNOWN, "a numeral with a base is compared only with a numeral");
    for (const char *s = digits; *s && fits; s++) {
        if (*s < '0' || *s > '9') fits = false;
        else value = value * (unsigned long long)b->n_col + (unsigned long long)(*s - '0');
    }
    char decimal[32];
    snprintf(decimal, sizeof decimal, "%llu", value);
    if (!strcmp(digits, plain) || !fits || !strcmp(decimal, plain))
        return p->effort.lenient && fits ? LB_RIGHT : say(p, LB_UNKNOWN, "only one of the numerals says its base");
    return say(p, LB_WRONG, "the numerals differ");
}

static lb_verdict compare(pair *p, elem g, elem a)
{
    const lb_node *x = &p->g->node[g.at], *y = &p->a->node[a.at];
    if ((p->effort.work -= 100) < 0) return say(p, LB_UNKNOWN, "too costly to compare");
    if (x->kind == LB_NODE_REL && y->kind == LB_NODE_REL) return relations(p, g, a);
    if (x->kind == LB_NODE_REL || y->kind == LB_NODE_REL) {
        span gs, as;
        if (span_of(p->g, g.at, &gs) && span_of(p->a, a.at, &as)) return spans(p, &gs, &as);
        lb_verdict v = x->kind == LB_NODE_REL ? unwrap(p, g, a, true) : unwrap(p, a, g, false);
        if (v == LB_RIGHT) p->loose = true;
        return v;
    }
    bool g_list = x->kind == LB_NODE_LIST || x->kind == LB_NODE_SET || (!g.pm && has_pm(p->g, g.at));
    bool a_list = y->kind == LB_NODE_LIST || y->kind == LB_NODE_SET || (!a.pm && has_pm(p->a, a.at));
    bool g_tuple = x->kind == LB_NODE_TUPLE, a_tuple = y->kind == LB_NODE_TUPLE;
    if ((g_tuple && y->kind == LB_NODE_LIST && x->open == '(' && x->close == ')') ||
        (a_tuple && x->kind == LB_NODE_LIST && y->open == '(' && y->close == ')')) {
        lb_verdict v = in_order(p, g.at, a.at);
        if (v == LB_RIGHT) p->loose = true;
        return v == LB_WRONG && a_tuple ? say(p, LB_UNKNOWN, "a tuple in another order than the list") : v;
    }
    if (x->unit && y->unit && !(lb_node_is_scalar(x) && lb_node_is_scalar(y)) &&
        strcmp(lb_tree_text(p->g, x->unit), lb_tree_text(p->a, y->unit))) return say(p, LB_UNKNOWN, "the units differ");
    if (g_list || a_list || (x->kind == LB_NODE_UNION && y->kind == LB_NODE_UNION)) {
        elems ge, ae;
        if (!elements(p->g, g, &ge) || !elements(p->a, a, &ae))
            return say(p, LB_UNKNOWN, "a list is too long to compare");
        return any_order(p, &ge, &ae);
    }
    if (g_tuple && a_tuple) {
        if (x->open != y->open || x->close != y->close) return say(p, LB_WRONG, "the brackets differ");
        return in_order(p, g.at, a.at);
    }
    if ((x->kind == LB_NODE_MATRIX && (y->kind == LB_NODE_MATRIX || a_tuple)) || (g_tuple && y->kind == LB_NODE_MATRIX))
        return matrices(p, g.at, a.at);
    if (x->kind == LB_NODE_BASED && y->kind == LB_NODE_BASED) {
        bool same = x->n_col == y->n_col && !strcmp(lb_tree_text(p->g, x->text), lb_tree_text(p->a, y->text));
        return same ? LB_RIGHT : say(p, LB_WRONG, "the numerals differ");
    }
    if (x->kind == LB_NODE_BASED || y->kind == LB_NODE_BASED) return based(p, x, y);
    int gi = infinity_sign(p->g, g.at), ai = infinity_sign(p->a, a.at);
    if (gi || ai) return gi == ai ? LB_RIGHT : say(p, LB_WRONG, "only one is this infinity");
    if (lb_node_is_scalar(x) && lb_node_is_scalar(y)) return scalars(p, g, a);
    return say(p, LB_WRONG, "they are different kinds of answer");
}

/* ---- text ---- */

static bool is_article(const char *s) { return !strcasecmp(s, "a") || !strcasecmp(s, "an") || !strcasecmp(s, "the"); }

/* The answer as words: letters and digits of names, numbers and texts, perhaps in lower case and without an article in
 * front; false for a formula. */
static bool as_text(const lb_tree *t, char *out, size_t size, bool lower)
{
    size_t n = 0;
    for (int i = 0; i < t->n_tok; i++) {
        const lb_tok *k = &t->tok[i];
        const char *s = lb_tree_text(t, k->text);
        if (strchr("()[]{}", k->kind < 128 && k->kind ? k->kind : 'x') || k->kind == LB_TOK_SEP) continue;
        if (k->kind == LB_TOK_BAD && s[0] && strchr(".:\"`?", s[0])) continue;
        if (k->kind != LB_TOK_TEXT && k->kind != LB_TOK_ID && k->kind != LB_TOK_NUM) return false;
        if (lower && !n && i + 1 < t->n_tok && is_article(s)) continue;
        if (lower && !n)
            for (size_t w = strcspn(s, " "); s[w] && w < 4; w = 4) {
                char first[4] = "";
                memcpy(first, s, w);
                if (is_article(first)) s += w;
            }
        for (; *s; s++) {
            if (strchr(" \t\n.,;:()[]\"'`?{}\\*", *s)) continue;
            if (n + 1 >= size) return false;
            out[n++] = lower ? (char)tolower((unsigned char)*s) : *s;
        }
    }
    out[n] = 0;
    return n > 0;
}

/* Whether another option is named behind the first: (A) or (B), (A), B. */
static bool another_option(const char *s, const char *end)
{
    bool listed = false;
    for (const char *p = s; end - p >= 3; p++)
        if (p[0] == '(' && isupper((unsigned char)p[1]) && p[2] == ')') return true;
    while (s < end) {
        if (end - s > 2 && !memcmp(s, "or", 2)) s += 2, listed = true;
        else if (end - s > 3 && !memcmp(s, "and", 3)) s += 3, listed = true;
        else if (strchr(",;/&", *s)) s++, listed = true;
        else if (end - s > 6 && !memcmp(s, "\\text{", 6)) s += 6;
        else if (strchr(" }$*", *s)) s++;
        else break;
    }
    return listed && s < end && isupper((unsigned char)*s) && (s + 1 == end || !isalnum((unsigned char)s[1]));
}

/* The letter of an answer that begins with (C), perhaps as \text or bold, whatever follows but another; or 0. */
static char option_of(const lb_tree *t)
{
    static const char *const skip[] = {"\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{", "$", "*", " ", "\\boxed{"};
    const char *s = t->src, *end = s + t->n_src;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < sizeof skip / sizeof *skip && !more; i++) {
            size_t n = strlen(skip[i]);
            if ((size_t)(end - s) > n && !memcmp(s, skip[i], n)) s += n, more = true;
        }
    }
    bool option = end - s >= 3 && s[0] == '(' && isupper((unsigned char)s[1]) && s[2] == ')';
    return option && !another_option(s + 3, end) ? s[1] : 0;
}

/* The gold answer is words, or one option letter: then only words can be right. */
static bool text_verdict(pair *p, lb_verdict *v)
{
    char g[512], a[512];
    bool letter = as_text(p->g, g, sizeof g, false) && strlen(g) == 1 && isalpha((unsigned char)*g);
    if (!p->g->only_text && !letter) return false;
    if (!as_text(p->g, g, sizeof g, !letter)) return false;
    if (as_text(p->a, a, sizeof a, !letter) && !strcmp(g, a)) {
        *v = LB_RIGHT;
        return true;
    }
    if (letter && option_of(p->a)) {
        p->loose = true;
        *v = option_of(p->a) == *g ? LB_RIGHT : say(p, LB_WRONG, "another option");
        return true;
    }
    *v = say(p, LB_WRONG, p->g->only_text ? "the texts differ" : "");
    return p->g->only_text;
}

const char *lb_answer_trim(const char *s, size_t *n)
{
    size_t len = strlen(s);
    for (;;) {
        size_t before = len;
        while (len && isspace((unsigned char)*s)) s++, len--;
        while (len && (isspace((unsigned char)s[len - 1]) || strchr(".,;:", s[len - 1])) &&
               !(len > 1 && s[len - 2] == '\\') && !(len > 1 && s[len - 1] == '.' && s[len - 2] == '.')) len--;
        static const char *const empty[] = {"\\\\", "\\quad", "\\,", "\\;", "\\!", "\\:"};
        for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
            size_t k = strlen(empty[i]);
            if (len > k && !memcmp(s + len - k, empty[i], k) && !(k == 2 && s[len - 3] == '\\' && i)) len -= k;
        }
        if (len > 4 && !memcmp(s, "**", 2) && !memcmp(s + len - 2, "**", 2)) s += 2, len -= 4;
        if (len > 2 && *s == '`' && s[len - 1] == '`') s++, len -= 2;
        if (len == before) break;
    }
    *n = len;
    return s;
}

static void reread(lb_tree *t, const char *s, bool remark)
{
    lb_tree_free(t);
    if (!lb_tree_parse(t, s, strlen(s), false)) t->root = -1;
    t->remark = t->remark || remark;
}

static bool is_scalar(const lb_tree *t) { return t->root >= 0 && lb_node_is_scalar(&t->node[t->root]); }

static lb_verdict by_tree(pair *p, lb_tree *g, lb_tree *a, const char *answer, size_t n)
{
    bool g_ok = g->root >= 0, a_ok = a->root >= 0;
    lb_verdict v;
    if (text_verdict(p, &v)) return v;
    if (g->remark != a->remark) p->loose = true;
    if (!g_ok || !a_ok) {
        if (lb_tree_same_tokens(g, a)) return LB_RIGHT;
        snprintf(p->why, LB_TREE_WHY, "the %s is not understood: %.180s", g_ok ? "answer" : "gold answer",
                 g_ok ? a->why : g->why);
        return LB_UNKNOWN;
    }
    if (g->node[g->root].kind == LB_NODE_LIST && a->node[a->root].kind != LB_NODE_LIST && a->thousands) {
        lb_tree_free(a);
        if (!lb_tree_parse(a, answer, n, true)) return say(p, LB_UNKNOWN, a->why);
    }
    return compare(p, (elem){g->root, 0}, (elem){a->root, 0});
}

/* One reading; *p has only effort and why. */
static lb_verdict equal(pair *p, const char *gold, const char *answer)
{
    lb_tree g = {.root = -1}, a = {.root = -1};
    size_t gn, an;
    p->why[0] = 0, p->g = &g, p->a = &a;
    lb_child_attach();
    gold = lb_answer_trim(gold, &gn), answer = lb_answer_trim(answer, &an);
    if (!gn) return say(p, LB_UNKNOWN, "there is no gold answer");
    if (!an) return say(p, LB_WRONG, "there is no answer");
    if (gn == an && !memcmp(gold, answer, gn)) return LB_RIGHT;
    if (gn > LB_TREE_BYTES) return say(p, LB_UNKNOWN, "the gold answer is too long");
    if (an > LB_TREE_BYTES) return say(p, LB_UNKNOWN, "the answer is too long");
    if (!lb_tree_parse(&g, gold, gn, false)) g.root = -1;
    if (!lb_tree_parse(&a, answer, an, false)) a.root = -1;
    char gw[LB_TREE_WHY], aw[LB_TREE_WHY];      /* numbers in words, against digits or others in words */
    bool g_words = lb_words_to_number(gold, gn, gw, sizeof gw), a_words = lb_words_to_number(answer, an, aw, sizeof aw);
    if (g_words && (a_words || is_scalar(&a))) reread(&g, gw, !a_words);
    if (a_words && (g_words || is_scalar(&g))) reread(&a, aw, !g_words);
    lb_verdict v = by_tree(p, &g, &a, answer, an);
    lb_tree_free(&g), lb_tree_free(&a);
    if (v == LB_RIGHT && strncmp(p->why, "equal at", 8)) p->why[0] = 0;
    return v;
}

lb_verdict lb_answer_equal(const char *gold, const char *answer, char why[256])
{
    pair p = {.effort = {.work = WORK, .sampling = SAMPLING, .proof_ms = PROOF_MS}, .why = why};
    return equal(&p, gold, answer);
}

void lb_answer_compare(const char *gold, const char *answer, lb_grade *out)
{
    char why[LB_TREE_WHY];
    pair p = {.effort = {.work = WORK, .sampling = SAMPLING, .proof_ms = PROOF_MS}, .why = out->why};
    lb_grade_same(out, equal(&p, gold, answer));
    if (out->verdict == LB_RIGHT) {
        if (p.loose) out->strict = LB_WRONG;
        return;
    }
    p = (pair){.effort = {WORK, SAMPLING, p.effort.proof_ms, true}, .why = why};
    out->lenient = equal(&p, gold, answer);
}
