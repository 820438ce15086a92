/* eval/grade.c – from a completion to a verdict. */
#include "eval/grade.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static void show(lb_grade *out, const char *s)
{
    size_t n = strlen(s);
    if (n >= sizeof out->extracted) {
        n = sizeof out->extracted - 1;
        while (n && ((unsigned char)s[n] & 0xc0) == 0x80) n--;
    }
    memcpy(out->extracted, s, n);
    out->extracted[n] = 0;
}

static const char *answer_of(const char *completion, bool in_thinking, lb_grade *out)
{
    const char *answer;
    bool closed;
    memset(out, 0, sizeof *out);
    if (lb_answer_part(completion, in_thinking, &answer, &closed)) return answer;
    snprintf(out->why, sizeof out->why, "thinking was not finished");
    return NULL;
}

void lb_grade_math(const char *gold, const char *completion, bool in_thinking, lb_grade *out)
{
    const char *answer = answer_of(completion, in_thinking, out);
    lb_buf b = {0};
    if (answer && !lb_answer_final(answer, &b)) {
        out->verdict = b.oom ? LB_UNKNOWN : LB_WRONG;
        snprintf(out->why, sizeof out->why, b.oom ? "out of memory" : "no answer was found");
    } else if (answer) {
        show(out, lb_buf_cstr(&b));
        out->verdict = lb_answer_equal(gold, lb_buf_cstr(&b), out->why);
    }
    lb_buf_free(&b);
}

void lb_grade_letter(const char *gold, const char *completion, bool in_thinking, int n_options, lb_grade *out)
{
    const char *answer = answer_of(completion, in_thinking, out);
    char c = 0;
    if (answer && !lb_answer_letter(answer, n_options, &c)) {
        snprintf(out->why, sizeof out->why, "no option letter was found");
    } else if (answer) {
        out->extracted[0] = c;
        out->verdict = c == toupper((unsigned char)gold[0]) && !gold[1] ? LB_RIGHT : LB_WRONG;
        if (out->verdict == LB_WRONG) snprintf(out->why, sizeof out->why, "the letter is %.20s", gold);
    }
}
