/* fuzz/answer.c – extraction from, comparison with and explanation of anything.
 *
 * The first line is the gold answer, the rest the text. */
#include "eval/grade.h"
#include <stdlib.h>
#include <string.h>

static void check(const lb_grade *g)
{
    if (strlen(g->why) > 255 || strlen(g->extracted) > 255) abort();
    if (g->strict == LB_RIGHT && g->verdict != LB_RIGHT) abort();
    if (g->verdict == LB_RIGHT && g->lenient != LB_RIGHT) abort();
    if (g->verdict == LB_RIGHT ? g->why[0] && strncmp(g->why, "equal at ", 9) : !g->why[0]) abort();
}

static void whole(const char *gold, const char *text, size_t size)
{
    lb_grade g;
    lb_completion c = {text, size & 1, size & 2, size & 4 ? LB_FORM_LINE : LB_FORM_BOX};
    lb_grade_math(gold, &c, &g);
    check(&g);
    if (c.truncated && g.verdict == LB_RIGHT) abort();
    lb_grade_letter(gold, &c, 2 + (int)(size % 9), &g);
    check(&g);
    lb_grade_text(gold, &c, &g);
    check(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *gold = malloc(size + 1), *text = gold, why[256], letter;
    if (!gold) return 0;
    if (size) memcpy(gold, data, size);
    gold[size] = 0;
    char *nl = strchr(gold, '\n');
    if (nl) *nl = 0, text = nl + 1;
    const char *part;
    bool closed;
    lb_buf out = {0};
    lb_grade g = {0};
    lb_answer_part(text, size & 1, &part, &closed);
    lb_answer_boxed(text, &out);
    lb_answer_code(text, &out);
    lb_answer_letter(text, 2 + (int)(size % 9), &letter);
    whole(gold, text, size);
    lb_answer_compare(gold, text, &g);
    check(&g);
    lb_verdict v = g.verdict;
    if (lb_answer_equal(text, text, why) == LB_WRONG) abort();
    lb_buf_reset(&out);
    lb_answer_explain(text, &out);
    if (memchr(lb_buf_cstr(&out), 0, out.n)) abort();
    /* For plain numbers it does not matter which of them is the gold answer. */
    bool plain = gold[strspn(gold, "0123456789.+-*/^ ")] == 0;
    if (plain && lb_answer_equal(text, gold, why) == LB_RIGHT && v == LB_WRONG) abort();
    lb_buf_free(&out);
    free(gold);
    return 0;
}
#include "fuzz/replay.inc"
