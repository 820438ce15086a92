/* fuzz/extract.c – extraction of answers, letters and code from anything.
 *
 * Bytes as they are; a NUL ends the text. What is extracted must be in the text (pieces of a list one by one), however
 * it is asked for. */
#include "eval/answer_extract.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), letter = 0, again = 0;
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    text[size] = 0;
    lb_buf a = {0}, b = {0};
    lb_answer_rule rule, same;
    const char *part;
    bool closed;
    if (lb_answer_part(text, size & 1, &part, &closed) != closed) abort();
    if (part < text || part > text + strlen(text)) abort();
    bool found = lb_answer_find(text, &a, &rule);
    if (found != (rule != LB_RULE_NONE) || found != lb_answer_final(text, &b)) abort();
    if (found && (strcmp(lb_buf_cstr(&a), lb_buf_cstr(&b)) || a.n != strlen(lb_buf_cstr(&a)))) abort();
    if (found && !strstr(lb_buf_cstr(&a), ", ") && !strstr(text, lb_buf_cstr(&a))) abort();
    if (found && a.n && (isspace((unsigned char)a.p[0]) || isspace((unsigned char)a.p[a.n - 1]))) abort();
    if (lb_answer_boxed(text, &b) && !strstr(text, lb_buf_cstr(&b))) abort();
    if (lb_answer_code(text, &b) && b.n && !strstr(text, lb_buf_cstr(&b))) abort();
    int n = 2 + (int)(size % 9);
    found = lb_answer_find_letter(text, n, &letter, &same);
    if (found != lb_answer_letter(text, n, &again) || letter != again) abort();
    if (found && (letter < 'A' || letter >= 'A' + n)) abort();
    lb_buf_free(&a), lb_buf_free(&b);
    free(text);
    return 0;
}
#include "fuzz/replay.inc"
