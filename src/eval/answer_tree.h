/* eval/answer_tree.h – an answer as tokens and as a small tree; internal to the grader.
 *
 *   text ──lex──▶ tokens ──parse──▶ tree ──▶ structure: lists, tuples, relations … (answer_equal.c)
 *                                              └─▶ values (answer_decide.c)
 *                                                    ├─ rational functions, FLINT     answer_value.c
 *                                                    ├─ enclosures, Arb               answer_exact.c
 *                                                    └─ proofs, Calcium in a child    answer_exact.c, answer_child.c */
#ifndef LB_EVAL_ANSWER_TREE_H
#define LB_EVAL_ANSWER_TREE_H
#include "eval/grade.h"

enum {
    LB_TREE_BYTES = 8192,    /* longest answer that is parsed; longer ones are equal only byte by byte */
    LB_TREE_DEPTH = 64,      /* deepest nesting */
    LB_TREE_WHY = 256
};

/* Token kinds; punctuation stands for itself: + - * / ^ ( ) [ ] { } ! & */
enum {
    LB_TOK_END = 0,
    LB_TOK_NUM = 128,  /* text: digits, digits.digits, with (repeating) digits, with e+NN; no separators */
    LB_TOK_ID,         /* text: x, alpha, x_1 */
    LB_TOK_PI, LB_TOK_INF, LB_TOK_EMPTY,
    LB_TOK_FUNC,       /* text: sin */
    LB_TOK_FRAC, LB_TOK_BINOM,
    LB_TOK_SQRT,       /* text: ""; "whole": of all of a number behind it; or the degree, likewise */
    LB_TOK_OVER,       /* text: / or C (choose) */
    LB_TOK_LROUND, LB_TOK_RROUND,  /* text: floor or ceil */
    LB_TOK_TEXT,       /* text: contents of \text{…}, or a word */
    LB_TOK_SEP,        /* , ; and or */
    LB_TOK_REL,        /* text: one of = < > l(≤) g(≥) n(≠) ~(≈) */
    LB_TOK_IN, LB_TOK_CUP, LB_TOK_PM, LB_TOK_MP,
    LB_TOK_DEG, LB_TOK_PCT, LB_TOK_BAR,
    LB_TOK_DOLLAR,     /* text: another currency */
    LB_TOK_LSET, LB_TOK_RSET, LB_TOK_BEGIN, LB_TOK_FINISH, LB_TOK_ROW,
    LB_TOK_BASE,       /* text: the base, after a number */
    LB_TOK_MOD,        /* modulo, the modulus behind it */
    LB_TOK_BAD         /* text: what is not understood */
};

typedef struct lb_tok {
    int kind;
    int text;          /* offset into lb_tree.text; 0 is "" */
    bool space;        /* white space stood before it */
} lb_tok;

typedef enum lb_node_kind {
    /* scalars */
    LB_NODE_NUM, LB_NODE_SYM, LB_NODE_PI, LB_NODE_SUM, LB_NODE_PROD, LB_NODE_POW, LB_NODE_FUNC, LB_NODE_ROOT,
    LB_NODE_FACT, LB_NODE_BINOM,
    /* the rest has structure and never stands inside an expression */
    LB_NODE_INF, LB_NODE_BASED, LB_NODE_TEXT, LB_NODE_LIST, LB_NODE_TUPLE, LB_NODE_SET, LB_NODE_UNION, LB_NODE_MATRIX,
    LB_NODE_REL
} lb_node_kind;

typedef struct lb_node {
    uint8_t kind;      /* lb_node_kind */
    char join;         /* how it joins its parent: SUM + - p(±) m(∓); PROD * /; REL = < > l g n i(∈), on its right */
    char open, close;  /* TUPLE: its brackets */
    int first, next;   /* first child, next sibling; -1: none */
    int text;          /* NUM, BASED: digits; SYM, FUNC: name; TEXT */
    int unit;          /* text of the unit behind an item; 0: none */
    int n_col;         /* MATRIX: columns; BASED: base */
} lb_node;

typedef struct lb_tree {
    lb_tok *tok;       /* owned */
    lb_node *node;     /* owned */
    char *text;        /* owned; NUL-terminated pieces */
    int n_tok, cap_tok, n_node, cap_node, n_text, cap_text;
    int root;
    bool thousands;    /* a comma was read as a thousands separator only by the look of it: 1,234 */
    bool only_text;    /* nothing but \text{…} and words */
    bool remark;       /* words in front were left out: "the answer is 5" */
    const char *src;   /* what was parsed, borrowed; n_src bytes */
    size_t n_src;
    bool commas_separate;
    char why[LB_TREE_WHY];
} lb_tree;

/* Lexes and parses src. commas_separate: 1,234 is a list of two numbers. False with t->why when it is not understood;
 * the tokens stay (as far as they got) for lb_tree_same_tokens. Free in both cases. */
bool lb_tree_parse(lb_tree *t, const char *src, size_t n, bool commas_separate);
bool lb_tree_lex(lb_tree *t, const char *src, size_t n, bool commas_separate);
/* The answer without what says nothing around it: white space, a final full stop, paired ** and `. *n: its length. */
const char *lb_answer_trim(const char *s, size_t *n);
bool lb_tree_same_tokens(const lb_tree *a, const lb_tree *b);
void lb_tree_free(lb_tree *t);
static inline const char *lb_tree_text(const lb_tree *t, int at) { return t->text ? t->text + at : ""; }

/* ---- units (answer_unit.c) ---- */

/* Appends the words of a unit in one spelling: small letters, no plural, hr as hour, "square inches" as in^2 (inch2).
 * False if it gets too long for unit[size]. */
bool lb_unit_add(char *unit, size_t size, const char *words);
/* Whether one of the words changes the value in front of it, so that they are no unit: 5 or more. */
bool lb_unit_changes_value(const char *words);
/* "million …": the number as digits, and *n the length of its word; NULL if s does not begin with one. */
const char *lb_unit_multiple(const char *s, size_t *n);

/* ---- numbers in words (answer_words.c) ---- */

/* "Twenty-one apples" as 21\text{ apples}, "third" as 3, perhaps within one \text{}: true if s [n] is a number in words with
 * at most three words behind it. out[size] may hold something else after false. */
bool lb_words_to_number(const char *s, size_t n, char *out, size_t size);

static inline bool lb_node_is_scalar(const lb_node *x) { return x->kind <= LB_NODE_BINOM; }

/* One value to compare: node, minus another if minus >= 0, with ± read as pm (+1, -1; 0: not allowed). */
typedef struct lb_operand {
    const lb_tree *t;
    int node, minus, pm;
} lb_operand;

typedef enum lb_compare { LB_SAME, LB_HUNDREDFOLD /* 100·g = a */, LB_HUNDREDTH /* g = 100·a */,
                          LB_PROPORTIONAL, LB_PROPORTIONAL_UP /* by a positive factor */ } lb_compare;

/* What a comparison may still cost, and how it reads. */
typedef struct lb_effort {
    long work;         /* of algebra, in products of single-word coefficients */
    long sampling;     /* of enclosures, in their own measure: about 3 ns */
    int proof_ms;      /* processor time of proofs */
    bool lenient;      /* see lb_grade; at the end of lb_value_compare */
} lb_effort;

/* Compares as rational functions only. *final: nothing else may be tried. */
lb_verdict lb_value_algebraic(lb_operand gold, lb_operand answer, lb_compare how, long *work, bool *final,
                              char why[LB_TREE_WHY]);

/* Compares values: as rational functions, by enclosures at random points, and by proof (answer_decide.c). */
lb_verdict lb_value_compare(lb_operand gold, lb_operand answer, lb_compare how, lb_effort *effort,
                            char why[LB_TREE_WHY]);
#endif
