/* eval/answer_prose.h – formulas, numbers and sentences in the text of a completion; internal to extraction. */
#ifndef LB_EVAL_ANSWER_PROSE_H
#define LB_EVAL_ANSWER_PROSE_H
#include "eval/answer_extract.h"
#include <string.h>

static inline bool lb_starts(const char *s, const char *word) { return *s == *word && !strncmp(s, word, strlen(word)); }

lb_span lb_trimmed(lb_span x);               /* without the white space around it */
/* Length of a word of letters, in any case, that stands at s and ends there; 0 if it does not. */
size_t lb_word_at(const char *s, const char *word);
/* Whether there is nothing in [s, e) but what lists the pieces of an answer: commas, "and", "or", marks of formulas. */
bool lb_only_joins(const char *s, const char *e);

typedef struct lb_formulas {
    lb_span digit[LB_MAX_PIECES];            /* the last formulas with a digit, listed side by side: $2$ and $3$ */
    int n;
    const char *end;                         /* behind them */
    lb_span last;                            /* the last formula of all */
} lb_formulas;

/* $…$, $$…$$, \(…\), \[…\] and the environments of equations, in one pass. A $ closes only behind what
 * may end a formula and not before a digit, or, if a space follows the opening one, anywhere on its line, so that
 * prices are no formulas. */
void lb_find_formulas(const char *text, lb_formulas *f);
/* The formulas at s that are listed side by side: how many, 0 where prose stands or goes on with an operator. */
int lb_formula_chain(const char *s, lb_span piece[LB_MAX_PIECES]);
/* Of a derivation its result: what follows the last = (≡, ≈) of a chain a = b = c, of the last row, of the last arrow.
 * value: also of one equation, if that is a constant other than 0: a + b = 3. */
lb_span lb_last_side(lb_span formula, bool value);
/* Whether both say something of the same thing, or of nothing: x_1 = 2 and x_2 = 3, 2 and 3, not x = 2 and y = 3. */
bool lb_same_label(lb_span a, lb_span b);
/* The last formula of [s, e); s NULL: there is none. */
lb_span lb_formula_in(const char *s, const char *e);

/* Whether one of the words (NULL ends them) stands right before s, in any case. */
bool lb_word_before(const char *text, const char *s, const char *const *words);
/* The last number that no letter stands in front of, nor "not"; s NULL: there is none. */
lb_span lb_last_number(const char *text);
/* Where what is stated at s in prose ends: with the sentence, line, clause, or (bold) at the closing **. */
const char *lb_end_of_prose(const char *s, bool bold);
/* Two words or more of prose at the begin: "the number of apples is", but not "sqrt 5" or "x = 2". */
bool lb_begins_with_words(const char *s, const char *e);
/* Whether a sentence or paragraph ends in [s, e). */
bool lb_sentence_between(const char *s, const char *e);
#endif
