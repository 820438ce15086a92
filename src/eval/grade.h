/* eval/grade.h – what a completion answered, and whether that is the gold answer.
 *
 * Extraction finds the answer in a completion; comparison decides it: rational functions exactly, constants (roots, π,
 * e, exp, log, trigonometry) with proof by Calcium, functions of variables by rigorous enclosures at random points.
 * Nothing is rounded. What is not understood, or would cost too much, is LB_UNKNOWN with the reason: it counts as wrong
 * and is reported. Every function is bounded: linear in the text for extraction, a fixed budget for comparison,
 * recursion never deeper than LB_TREE_DEPTH; what cannot be bounded beforehand runs in a child process that is killed
 * (answer_child.h). Thread rule: reentrant; see lb_answer_cleanup. */
#ifndef LB_EVAL_GRADE_H
#define LB_EVAL_GRADE_H
#include "base/buf.h"

/* Raised whenever any verdict may change: stored samples with another version are graded again from their text. */
enum { LB_GRADER_VERSION = 3 };

typedef enum lb_verdict { LB_WRONG = 0, LB_RIGHT = 1, LB_UNKNOWN = 2 } lb_verdict;

/* Three readings of one completion; strict right implies verdict right implies lenient right.
 *   verdict   what is counted. A truncated completion is wrong, whatever its text says
 *   strict    right only in the form that the prompt asks for (lb_answer_form, after the thinking), of the same kind as
 *             the gold answer (no x = 5 for 5, no list for a tuple) and with its unit
 *   lenient   also from unfinished thinking and truncated text; numbers within 1e-4 of each other (relative), p% for p
 *             and p/100 either way, units ignored, functions that agree for positive values only */
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

/* Contents of the last \boxed{…} or \fbox{…} whose braces balance (\{ and \} do not count) and that holds more than a
 * placeholder (nothing, dots, "answer"), trimmed; of two nested ones the inner. \boxed 5 is one too. The functions with
 * an `out` replace its contents; false also means that memory ran out (out->oom). */
bool lb_answer_boxed(const char *text, lb_buf *out);

/* The final answer, by the first rule that finds one (answer_extract.h tells which; docs/grading.md has them as a
 * table):
 *   1. the last \boxed{…}. Boxes with only commas, "and", "or" between them are one list; a last box without its brace
 *      ends with its formula
 *   2. what follows the last "answer is", "answer to … is", "Answer:", "answer =", heading "Final Answer", <answer>,
 * "####",
 *      答案是: the formulas there, else up to the end of the sentence, line or clause
 *   3. the later of the last formula $…$, \(…\) or \[…\] with a digit in it and the last number in prose (sign,
 *      thousands separators, decimals, a/b, 3 1/2, 2^10, %)
 *   4. the last formula */
bool lb_answer_final(const char *text, lb_buf *out);

/* The option letter A, B, … (n_options of them, 2 to 26): the later of the last box and the last "answer is" or
 * "Answer:" decides if it gives one (a box even if it gives none); else the last "option C" or "C is correct"; else a
 * last line that is only a letter or begins with one as options do; else the last letter written (C) or **C**. Several
 * are none. */
bool lb_answer_letter(const char *text, int n_options, char *letter);

/* The lines between the last two lines that contain three backticks, joined by newlines: the rule of LiveCodeBench. */
bool lb_answer_code(const char *text, lb_buf *out);

/* ---- comparison ---- */

/* Whether answer equals gold, both LaTeX or plain text, ASCII or Unicode. why (never NULL) gets the reason when not
 * right.
 *   numbers      integers, decimals and repeating decimals (exact), fractions, mixed numbers, 1e5, thousands
 *                separators, ordinals (5th), 5 million; roots, π, e, i, exp, log, trigonometry, factorials, binomials:
 *                right and wrong are proofs, else unknown ("equal to 270 digits, but not proven")
 *   expressions  + - * / ^, implicit multiplication, \frac \sqrt \binom !, in any arrangement: rational functions
 *                exactly
 *   functions    of variables: sin, cos, sinh, exp, 2^n … by Euler's formula, with proof (sin 2x = 2 sin x cos x).
 *                Others: different values at a point where both are defined prove LB_WRONG; equal to 270 digits
 *                wherever both are defined, at 6 to 16 random points of both signs and all sizes, counts as right and
 *                why says so: analytic functions that differ agree there by no accident. Not for |x| and rounding,
 *                which are not analytic, and not if they agree for positive values or whole numbers only: unknown
 *   log          without a base may be natural or decimal: right or wrong only if both readings say so
 *   a, b, c      a list without parentheses, or a set {…}: any order; ± stands for both values; x = 3, y = 4 by name
 *   (a, b)       a tuple or interval: ordered, brackets must agree; a gold tuple also matches a bare list in its order
 *   intervals    as x ∈ [0, 1) or 0 ≤ x < 1, unions in any order or with "or"
 *   vectors      a column, (1, 2) or [1, 2], but not a row for a column; matrices also as [[1, 2], [3, 4]]
 *   x = a        equals a, as do f(2) = a, P(A) = a, AB = a, (x, y) = a; two equations are equal up to a rational
 *                factor, inequalities up to a positive one
 *   units        $, degrees and words are dropped if only one side has them, and must agree if both do (cm,
 *                centimeters; square inches, in^2); p% equals both p and p/100 if only the other side lacks the sign
 *   text         \text{…} and words: letter case, spaces, articles and surrounding punctuation do not count; an option
 *                letter (C) may be followed by its text
 *   also         ±∞, numerals with a base (52_8) by digits
 * LB_RIGHT is symmetric but for text (a gold word matches words only) and bare lists. Processor time is less than a
 * second: 400 ms and 256 MiB for a proof, 800 ms for all of them, about 20 ms for everything else; the usual comparison
 * takes 20 microseconds. */
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

/* What a caller knows of a completion; zero is a finished one without thinking. */
typedef struct lb_completion {
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

/* Frees what the algebra libraries keep for reuse in the calling thread, and ends the process that proves for it. The
 * end of a thread does the same, but the end of the program does not: call it in the main thread for leak checkers. */
void lb_answer_cleanup(void);
#endif
