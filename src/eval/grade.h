/* eval/grade.h – what a completion answered, and whether that is the gold answer.
 *
 * Extraction finds the answer in a completion; comparison decides it: rational functions exactly, constants (roots, π, e,
 * exp, log, trigonometry) with proof by Calcium, functions of variables by rigorous enclosures at random points. Nothing
 * is rounded. What is not understood, or would cost too much, is LB_UNKNOWN with the reason: it counts as wrong and is
 * reported. Every function is bounded: linear in the text for extraction, a fixed budget for comparison, recursion never
 * deeper than LB_TREE_DEPTH; what cannot be bounded beforehand runs in a child process that is killed (answer_child.h).
 * Thread rule: reentrant; see lb_answer_cleanup. */
#ifndef LB_EVAL_GRADE_H
#define LB_EVAL_GRADE_H
#include "base/buf.h"

/* Raised whenever any verdict may change: stored samples with another version are graded again from their text. */
enum { LB_GRADER_VERSION = 2 };

typedef enum lb_verdict { LB_WRONG = 0, LB_RIGHT = 1, LB_UNKNOWN = 2 } lb_verdict;

/* Three readings of one completion; strict right implies verdict right implies lenient right.
 *   verdict   what is counted. A truncated completion is wrong, whatever its text says
 *   strict    right only in the form that the prompt asks for (lb_answer_form, after the thinking), of the same kind as
 *             the gold answer (no x = 5 for 5, no list for a tuple) and with its unit
 *   lenient   also from unfinished thinking and truncated text; numbers within 1e-4 of each other (relative), p% for p and
 *             p/100 either way, units ignored, functions that agree for positive values only */
typedef struct lb_grade {
    lb_verdict verdict, strict, lenient;
    char extracted[256];     /* the answer as written, cut to fit on a character boundary; "" if there was none */
    char why[256];           /* one line: why not right; empty when right by proof. When right by enclosures at random
                              * points (see lb_answer_equal) it says so */
} lb_grade;

/* All readings alike: for graders that know only one. */
static inline void lb_grade_same(lb_grade *g, lb_verdict v) { g->verdict = g->strict = g->lenient = v; }

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

/* lb_answer_equal in all three readings: fills verdict, strict, lenient and why; `extracted` stays as it is. */
void lb_answer_compare(const char *gold, const char *answer, lb_grade *out);

/* What the grader understood of an answer, as lines of text for people: its structure, values and units, or why it did
 * not understand it (then false). Appends to out; out->oom says that memory ran out. */
bool lb_answer_explain(const char *answer, lb_buf *out);

/* ---- completions ---- */

typedef enum lb_answer_form {          /* what a prompt asks for; only the strict reading cares */
    LB_FORM_BOX,                       /* the last \boxed{…} */
    LB_FORM_LINE                       /* the last line is "Answer: X" */
} lb_answer_form;

typedef struct lb_completion {         /* what the caller knows of a completion; zero is a finished one without thinking */
    const char *text;                  /* NUL-terminated, borrowed */
    bool in_thinking;                  /* the prompt had already opened <think> */
    bool truncated;                    /* ended at the limit of tokens */
    lb_answer_form form;
} lb_completion;

/* A completion against gold: the part after thinking, its final answer (a letter for lb_grade_letter, words for
 * lb_grade_text), compared. `gold` of lb_grade_letter is a letter. */
void lb_grade_math(const char *gold, const lb_completion *c, lb_grade *out);
void lb_grade_letter(const char *gold, const lb_completion *c, int n_options, lb_grade *out);
void lb_grade_text(const char *gold, const lb_completion *c, lb_grade *out);

/* Frees what the algebra library keeps for reuse in the calling thread: call once before a thread that graded ends. */
void lb_answer_cleanup(void);
#endif
