/* eval/grade.c – from a completion to a verdict in three readings. */
#include "eval/grade.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

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

static void say(lb_grade *out, const char *why) { snprintf(out->why, sizeof out->why, "%s", why); }

/* The part of a completion that may answer. Without one (thinking was not finished) it is all of it, for the lenient
 * reading, and *counts is false with out->why, as for a truncated completion. */
static const char *answer_of(const lb_completion *c, lb_grade *out, bool *counts)
{
    const char *answer;
    bool closed;
    memset(out, 0, sizeof *out);
    *counts = lb_answer_part(c->text, c->in_thinking, &answer, &closed);
    if (!*counts) say(out, "thinking was not finished"), answer = c->text;
    else if (c->truncated) say(out, "cut off at the limit of tokens"), *counts = false;
    return answer;
}

/* The last line with something in it: [*s, *e) without the white space around it. False if there is none. */
static bool last_line(const char *text, const char **s, const char **e)
{
    const char *end = text + strlen(text), *p;
    while (end > text && isspace((unsigned char)end[-1])) end--;
    for (p = end; p > text && p[-1] != '\n';) p--;
    while (p < end && isspace((unsigned char)*p)) p++;
    *s = p, *e = end;
    return p < end;
}

/* What stands behind "Answer:" on the last line, into b. */
static bool answer_line(const char *text, lb_buf *b)
{
    const char *s, *e;
    lb_buf_reset(b);
    if (!last_line(text, &s, &e)) return false;
    while (s < e && *s == '*') s++;
    if (e - s < 7 || strncasecmp(s, "answer:", 7)) return false;
    for (s += 7; s < e && (isspace((unsigned char)*s) || *s == '*');) s++;
    while (e > s && e[-1] == '*') e--;
    lb_buf_add(b, s, (size_t)(e - s));
    return e > s && !b->oom;
}

/* A verdict on what was extracted, once both its readings are known: the counted one, and the one that also reads what
 * does not count. */
static void settle(lb_grade *out, const lb_grade *found, bool counts, bool form)
{
    out->lenient = found->lenient;
    if (!counts) return;                             /* wrong, with the reason that is there already */
    out->verdict = found->verdict;
    out->strict = found->verdict == LB_RIGHT && !form ? LB_WRONG : found->strict;
    memcpy(out->why, found->why, sizeof out->why);
}

static void nothing_found(lb_grade *out, bool counts, bool oom, const char *what)
{
    if (oom) lb_grade_same(out, LB_UNKNOWN), say(out, "out of memory");
    else if (counts) say(out, what);
}

/* Whether the answer has the form that the prompt asks for; *b is replaced by the answer in that form. */
static bool in_form(const char *text, lb_answer_form form, lb_buf *b)
{
    return form == LB_FORM_LINE ? answer_line(text, b) : lb_answer_boxed(text, b);
}

void lb_grade_math(const char *gold, const lb_completion *c, lb_grade *out)
{
    bool counts, form;
    const char *answer = answer_of(c, out, &counts);
    lb_buf b = {0};
    lb_grade found = {0}, strict = {0};
    if (!lb_answer_final(answer, &b)) {
        nothing_found(out, counts, b.oom, "no answer was found");
    } else {
        show(out, lb_buf_cstr(&b));
        lb_answer_compare(gold, lb_buf_cstr(&b), &found);
        form = in_form(answer, c->form, &b);
        if (form && c->form == LB_FORM_LINE && found.verdict == LB_RIGHT) {
            lb_answer_compare(gold, lb_buf_cstr(&b), &strict);
            found.strict = strict.strict;
        }
        settle(out, &found, counts, form);
    }
    lb_buf_free(&b);
}

void lb_grade_letter(const char *gold, const lb_completion *c, int n_options, lb_grade *out)
{
    bool counts;
    const char *answer = answer_of(c, out, &counts);
    char letter = 0, again;
    if (!lb_answer_letter(answer, n_options, &letter)) {
        nothing_found(out, counts, false, "no option letter was found");
        return;
    }
    lb_buf b = {0};
    lb_grade found = {0};
    out->extracted[0] = letter;
    bool right = letter == toupper((unsigned char)gold[0]) && !gold[1];
    lb_grade_same(&found, right ? LB_RIGHT : LB_WRONG);
    if (!right) snprintf(found.why, sizeof found.why, "the letter is %.20s", gold);
    bool form = in_form(answer, c->form, &b) && lb_answer_letter(lb_buf_cstr(&b), n_options, &again) && again == letter;
    settle(out, &found, counts, form);
    lb_buf_free(&b);
}

/* The next character of words as they are compared: letters in lower case, digits, and what is part of a number. */
static unsigned char next_of(const char **s)
{
    for (const char *p = *s; *p; p++) {
        unsigned char c = (unsigned char)*p;
        bool before = p > *s && isalnum((unsigned char)p[-1]), digit = isdigit((unsigned char)p[1]);
        bool number = digit && (c == '.' || c == '/' || (c == '-' && !before));
        if (isspace(c) || (c < 0x80 && ispunct(c) && !number)) continue;
        *s = p + 1;
        return (unsigned char)tolower(c);
    }
    *s += strlen(*s);
    return 0;
}

/* Whether two texts have the same letters and digits: "Step 3." and "step 3". */
static bool same_words(const char *a, const char *b)
{
    unsigned char x, y;
    bool any = false;
    while ((x = next_of(&a)) == (y = next_of(&b)) && x) any = true;
    return x == y && any;
}

void lb_grade_text(const char *gold, const lb_completion *c, lb_grade *out)
{
    bool counts;
    const char *answer = answer_of(c, out, &counts), *s, *e;
    lb_buf b = {0};
    lb_grade found = {0};
    bool form = in_form(answer, c->form, &b), any = form || lb_answer_boxed(answer, &b) || answer_line(answer, &b);
    if (!any && last_line(answer, &s, &e)) lb_buf_reset(&b), lb_buf_add(&b, s, (size_t)(e - s)), any = !b.oom;
    if (!any) {
        nothing_found(out, counts, b.oom, "no answer was found");
    } else {
        show(out, lb_buf_cstr(&b));
        if (same_words(gold, lb_buf_cstr(&b))) lb_grade_same(&found, LB_RIGHT);
        else lb_answer_compare(gold, lb_buf_cstr(&b), &found);
        settle(out, &found, counts, form);
    }
    lb_buf_free(&b);
}
