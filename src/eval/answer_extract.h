/* eval/answer_extract.h – where in a completion the answer stands, and by which rule it was found. */
#ifndef LB_EVAL_ANSWER_EXTRACT_H
#define LB_EVAL_ANSWER_EXTRACT_H
#include "eval/grade.h"

/* In the order in which they are tried; of ANNOUNCED the last place counts, of FORMULA and NUMBER the later one. */
typedef enum lb_answer_rule {
    LB_RULE_NONE,
    LB_RULE_BOX,           /* the last \boxed{…} with something in it */
    LB_RULE_BOXES,         /* the last boxes, joined by nothing but commas, "and" and "or" */
    LB_RULE_OPEN_BOX,      /* a last \boxed{… whose brace is missing but whose formula ends */
    LB_RULE_ANNOUNCED,     /* behind "answer is", "Answer:", "####", "答案是" … */
    LB_RULE_FORMULA,       /* the last formula with a digit in it */
    LB_RULE_NUMBER,        /* the last number outside of formulas */
    LB_RULE_SYMBOLS,       /* the last formula, without a digit */
    LB_RULE_OPTION,        /* letters: behind "option" or "choice" */
    LB_RULE_LAST_LINE,     /* letters: the last line is only a letter */
    LB_RULE_MARKED         /* letters: the last (C) or **C** */
} lb_answer_rule;

/* As lb_answer_final and lb_answer_letter (grade.h), telling the rule: LB_RULE_NONE where nothing was found. */
bool lb_answer_find(const char *text, lb_buf *out, lb_answer_rule *rule);
bool lb_answer_find_letter(const char *text, int n_options, char *letter, lb_answer_rule *rule);
const char *lb_answer_rule_text(lb_answer_rule rule);       /* for people; static storage */

/* ---- shared by the extraction of answers and of letters ---- */

typedef struct lb_span {
    const char *s, *e;     /* [s, e) of the completion; s NULL: there is none */
} lb_span;

enum { LB_MAX_PIECES = 16 };
typedef struct lb_boxes {
    lb_span last[LB_MAX_PIECES];    /* what the last boxes hold, in order; the last one decides alone where n is 1 */
    int n;
    lb_span open;          /* the content of a last box without its brace, up to the end of its formula; s NULL: none */
    bool oom;
} lb_boxes;

void lb_find_boxes(const char *text, lb_boxes *out);
/* What follows the last phrase that announces an answer, to the end of the text; decoration in front is skipped. *bold:
 * it begins behind an opening ** (then it ends at the closing one). */
const char *lb_find_announced(const char *text, bool *bold);
#endif
