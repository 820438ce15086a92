/* fuzz/answer.c – extraction from, and comparison of, anything.
 *
 * The first line is the gold answer, the rest the text. */
#include "eval/grade.h"
#include <stdlib.h>
#include <string.h>

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
    lb_answer_part(text, size & 1, &part, &closed);
    lb_answer_boxed(text, &out);
    if (lb_answer_final(text, &out)) lb_answer_equal(gold, lb_buf_cstr(&out), why);
    lb_answer_code(text, &out);
    lb_answer_letter(text, 2 + (int)(size % 9), &letter);
    lb_verdict v = lb_answer_equal(gold, text, why);
    if ((v == LB_RIGHT) != (why[0] == 0) || strlen(why) > 255) abort();
    /* For plain numbers it does not matter which of them is the gold answer. */
    bool plain = gold[strspn(gold, "0123456789.+-*/^ ")] == 0;
    if (plain && lb_answer_equal(text, gold, why) == LB_RIGHT && v == LB_WRONG) abort();
    lb_buf_free(&out);
    free(gold);
    lb_answer_cleanup();
    return 0;
}
#include "fuzz/replay.inc"
