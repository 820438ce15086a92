/* eval/grade.h – what a completion answered, and whether that is the gold answer.
 *
 * Extraction finds the answer in a completion; comparison decides it exactly: numbers are rationals of any size,
 * expressions are rational functions with coefficients in Q(i, √2, √3, √5, …), nothing is rounded. LB_RIGHT is a proof.
 * What is not understood, or would cost too much, is LB_UNKNOWN with the reason: it counts as wrong and is reported.
 * Every function is bounded: linear in the text for extraction, a fixed budget for comparison (a few milliseconds),
 * recursion never deeper than LB_TREE_DEPTH. Thread rule: reentrant; see lb_answer_cleanup. */
#ifndef LB_EVAL_GRADE_H
#define LB_EVAL_GRADE_H
#include "base/buf.h"

typedef enum lb_verdict { LB_WRONG = 0, LB_RIGHT = 1, LB_UNKNOWN = 2 } lb_verdict;

typedef struct lb_grade {
    lb_verdict verdict;
    char extracted[256];     /* the answer as written, cut to fit on a character boundary; "" if there was none */
    char why[256];           /* one line: why not right; empty when right */
} lb_grade;

/* ---- extraction: text is a NUL-terminated completion, any bytes, any size ---- */

/* The part of a completion after the last </think>; the whole text if there was no thinking at all.
 *   in_thinking   the prompt had already opened <think>
 *   *answer       borrowed from text; "" while thinking is unfinished (and then false is returned)
 *   *closed       false only when thinking was begun and not closed */
bool lb_answer_part(const char *text, bool in_thinking, const char **answer, bool *closed);

/* Contents of the last \boxed{…} or \fbox{…} whose braces balance (\{ and \} do not count), trimmed; of two nested
 * ones the inner. The functions with an `out` replace its contents; false also means that memory ran out (out->oom). */
bool lb_answer_boxed(const char *text, lb_buf *out);

/* The final answer, by the first rule that finds one:
 *   1. the last \boxed{…}
 *   2. what follows the last "answer is", "answer:", "answer =", "answer would be" or "####", up to the end of the
 *      sentence, line or formula
 *   3. the last formula $…$, \(…\) or \[…\] that has a digit in it
 *   4. the last number (sign, thousands separators, decimals, a/b)
 *   5. the last formula */
bool lb_answer_final(const char *text, lb_buf *out);

/* The option letter A, B, … (n_options of them, 2 to 26): the last box decides if there is one; else what follows the
 * last "answer is" or "answer:"; else a last line that is only a letter; else the last letter written (C) or **C**. */
bool lb_answer_letter(const char *text, int n_options, char *letter);

/* The lines between the last two lines that contain three backticks, joined by newlines: the rule of LiveCodeBench. */
bool lb_answer_code(const char *text, lb_buf *out);

/* ---- comparison ---- */

/* Whether answer equals gold, both LaTeX or plain text. why (never NULL) gets the reason when not right.
 *   numbers      integers, decimals and repeating decimals (exact), fractions, mixed numbers, 1e5, thousands separators
 *   expressions  + - * / ^, implicit multiplication, \frac \sqrt \binom !, in any arrangement; other functions only by
 *                form (sin(2x) and sin(x+x) are equal, sin(2x) and 2 sin x cos x are unknown)
 *   a, b, c      a list without parentheses, or a set {…}: any order; ± stands for both values
 *   (a, b)       a tuple or interval: ordered, brackets must agree; a gold tuple also matches a bare list in its order
 *   x = a        equals a; two equations are equal up to a rational factor, inequalities up to a positive one
 *   units        $, degrees and words are dropped if only one side has them, and must agree if both do; p% equals both
 *                p and p/100 if only the other side lacks the sign
 *   text         \text{…} and words: letter case, spaces and surrounding punctuation do not count
 *   also         roots and complex numbers (exact), matrices, unions, ±∞, numerals with a base (52_8) by digits */
lb_verdict lb_answer_equal(const char *gold, const char *answer, char why[256]);

/* A completion against gold: the part after thinking, its final answer (or letter, code for neither), compared.
 * `gold` is a letter for lb_grade_letter. */
void lb_grade_math(const char *gold, const char *completion, bool in_thinking, lb_grade *out);
void lb_grade_letter(const char *gold, const char *completion, bool in_thinking, int n_options, lb_grade *out);

/* Frees what the algebra library keeps for reuse in the calling thread: call once before a thread that graded ends. */
void lb_answer_cleanup(void);
#endif
