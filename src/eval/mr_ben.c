/* eval/mr_ben.c – MR-Ben (arXiv:2406.13975): is a given solution correct, and which step is the first wrong one?
 *
 * 5,975 solutions to questions of seven subjects, three solutions each. The prompt is the one of the published script
 * (zero-shot), in which the steps of a solution stand as Python prints a list of strings. A reply has four sections:
 *
 *     Solution Analysis: …
 *     Solution Correctness: correct | incorrect
 *     First Error Step: Step 3 | N/A
 *     Error Reason: …
 *
 *   right     correctness agrees, and of a wrong solution the number of the step too; of programs ("coding"), whose
 *             first error is a line that only a judge could compare, correctness alone
 *   strict    as the published script reads it: a bare number counts only without white space around it
 *   lenient   the first word of the one section and the first number of the other
 *
 * The reason of an error is not graded: that needs a judge. */
#include "eval/mr_ben.h"
#include "base/buf.h"
#include "eval/rows.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

bool lb_mr_is_coding(const lb_item *it)
{
    const char *s = json_string_value(json_object_get(it->row, "Subject"));
    return s && strcmp(s, "coding") == 0;
}

lb_mr_said lb_mr_read(const char *text, const char **step)
{
    if (step) *step = "";
    if (strcmp(text, "correct") == 0) return LB_MR_CORRECT;
    if (strncmp(text, "incorrect", 9) != 0 || (text[9] && text[9] != ';')) return LB_MR_NOTHING;
    if (step && text[9]) *step = text + 10 + strspn(text + 10, " ");
    return LB_MR_INCORRECT;
}

/* ---- the prompt ---- */

/* str.isprintable of Python for one code point. */
static bool printable(utf8proc_int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return false;
    case UTF8PROC_CATEGORY_ZS: return c == ' ';
    default: return true;
    }
}

/* repr() of a Python string: valid UTF-8 s. */
static void py_repr(lb_buf *b, const char *s)
{
    char quote = strchr(s, '\'') && !strchr(s, '"') ? '"' : '\'';
    lb_buf_byte(b, quote);
    for (size_t i = 0, n = strlen(s); i < n;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)s + i, (utf8proc_ssize_t)(n - i), &c);
        if (len <= 0) len = 1, c = (unsigned char)s[i];
        if (c == quote || c == '\\') lb_buf_fmt(b, "\\%c", (char)c);
        else if (c == '\n') lb_buf_str(b, "\\n");
        else if (c == '\r') lb_buf_str(b, "\\r");
        else if (c == '\t') lb_buf_str(b, "\\t");
        else if (printable(c)) lb_buf_add(b, s + i, (size_t)len);
        else if (c <= 0xff) lb_buf_fmt(b, "\\x%02x", (unsigned)c);
        else if (c <= 0xffff) lb_buf_fmt(b, "\\u%04x", (unsigned)c);
        else lb_buf_fmt(b, "\\U%08x", (unsigned)c);
        i += (size_t)len;
    }
    lb_buf_byte(b, quote);
}

/* The solution as the published script's f-string shows it: a list as Python prints it, a program as it is. */
static bool put_steps(const lb_row *row, lb_buf *b, lb_err *err)
{
    const json_t *steps = json_object_get(row->json, "Model_Solution_Steps"), *s;
    size_t i;
    if (json_is_string(steps)) return lb_buf_str(b, json_string_value(steps)), true;
    if (!json_is_array(steps))
        return lb_fail(err, LB_EFORMAT, "%s: 'Model_Solution_Steps' is %s, wanted an array of strings", row->where,
                       lb_json_kind(steps));
    lb_buf_byte(b, '[');
    json_array_foreach (steps, i, s) {
        if (!json_is_string(s))
            return lb_fail(err, LB_EFORMAT, "%s: Model_Solution_Steps[%zu] is %s, wanted a string", row->where, i,
                           lb_json_kind(s));
        if (i) lb_buf_str(b, ", ");
        py_repr(b, json_string_value(s));
    }
    lb_buf_byte(b, ']');
    return true;
}

static const char code_head[] =
    "Following is a coding question and its solution. Your task is to examine the solutions step by step and "
    "determine the solution correctness.\n"
    "If the solution is incorrect, please further find out the first error line and explain the error reason. \n\n"
    "Following are the specific definitions of the fields:\n"
    "Solution Correctness: Determines if the code correctly solves the problem. The code must be executable, "
    "logically sound, and correctly answer the question.  \n"
    "First Error Step: Examine each line to categorize as correct, neutral, or incorrect. Correct lines execute well "
    "and contribute to solving the problem. Neutral lines are auxiliary and not critical to the main logic. "
    "Incorrect lines contain logical, implementation errors, or show a misunderstanding of the problem. Both "
    "explanatory comments and code lines could be considered as correct, neutral or incorrect. If you believe the "
    "error is caused by missing logic, report the first reasonable place you think the missing code should be "
    "inserted.\n"
    "Error Reason: For the first incorrect line/location identified, explain the specific mistakes and provide a "
    "corrected version of the line. The revised line could be either a explanatory comment or a code line.\n\n\n"
    "Below is the question and solution for you to solve:\n"
    "Question: \n";

static const char step_head[] =
    ". Your task is to examine the solutions step by step and determine the solution correctness.\n"
    "If the solution is incorrect, please further find out the first error step and explain the error reason. \n\n"
    "Following are the specific definitions of the fields:\n"
    "Solution Correctness: Does the solution correctly answer the question with justifiable reasoning and selected "
    "the corrected options?  \n"
    "First Error Step: For every step it can either be correct, neutral or incorrect. Correct steps are those that "
    "possess sound logic and correct computation and lead to the correct answer.\n"
    "Neutral steps are those step that are explanatory, exploring or focusing on background illustration. They have "
    "no obvious mistakes but is not very clear if they lead to the correct answer.\n"
    "Incorrect steps are those with factual errors, computation errors or understanding/logic errors. These steps "
    "might or might not detour the reasoning path to incorrect answers. \n"
    "We need to single out the first step that comes with above errors or lead to incorrect answers. \n"
    "Error Reason: For the identified first error step, please specify the errors made in this step and suggest a "
    "rectified reasoning step instead.\n\n\n"
    "Below is the question and solution for you to solve:\n"
    "Question: ";

static const char tail_begin[] =
    "\n\n\n"
    "Please follow the desired response format:\n"
    "Solution Analysis: [Give a step by step analysis on the solution correctness here]\n"
    "Solution Correctness: [Input 'correct'/'incorrect' here to indicate the overall correctness of the solution]\n"
    "First Error Step: [Input ";

static const char tail_end[] =
    " Input 'N/A' if the solution is correct.]\n"
    "Error Reason: [Input the error reason and the rectified reasoning of the first error ";

static const char tail_last[] =
    " here. Input 'N/A' if the solution is correct.] \n\n"
    "Please follow this format without any additional introductory or concluding statements.\n";

static bool build_prompt(const lb_row *row, const char *subject, const char *question, bool coding, lb_item *it,
                         lb_err *err)
{
    static const char *const options_key[] = {"Options", NULL};
    const char *options = NULL;
    lb_buf b = {0};
    bool ok = coding || lb_row_text(row, options_key, &options, err);
    if (ok && coding) {
        lb_buf_str(&b, code_head);
        lb_buf_str(&b, question);
        lb_buf_str(&b, "\n\nCode solution: \n");
    } else if (ok) {
        lb_buf_str(&b, "Following is a question/solution pair in subject ");
        lb_buf_str(&b, subject);
        lb_buf_str(&b, step_head);
        lb_buf_str(&b, question);
        lb_buf_str(&b, "\nOptions: ");
        lb_buf_str(&b, options);
        lb_buf_str(&b, "\nStep by Step Solution: ");
    }
    ok = ok && put_steps(row, &b, err);
    lb_buf_str(&b, tail_begin);
    lb_buf_str(&b, coding ? "the first incorrect line of code here."
                          : "'Step x' here to indicate the first error step here.");
    lb_buf_str(&b, tail_end);
    lb_buf_str(&b, coding ? "line" : "step");
    lb_buf_str(&b, tail_last);
    ok = ok && lb_buf_ok(&b, "a prompt", err) && lb_item_set(&it->prompt, lb_buf_cstr(&b), err);
    lb_buf_free(&b);
    return ok;
}

/* ---- rows ---- */

static bool set_gold(const lb_row *row, bool coding, lb_item *it, lb_err *err)
{
    static const char *const verdict_key[] = {"Model_Solution_Correctness", NULL},
                             *const step_key[] = {"Model_Solution_First_Error_Step", NULL};
    const char *verdict;
    char number[16];
    if (!lb_row_text(row, verdict_key, &verdict, err)) return false;
    bool wrong = strcmp(verdict, "incorrect") == 0;
    if (!wrong && strcmp(verdict, "correct") != 0)
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is '%.40s', wanted 'correct' or 'incorrect'", row->where,
                       *verdict_key, verdict);
    if (!wrong || coding) return lb_item_set(&it->gold, verdict, err);
    if (!lb_row_scalar(row, step_key, number, sizeof number, err)) return false;
    if (!*number || strspn(number, "0123456789") != strlen(number))
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is '%s', wanted the number of a step", row->where, *step_key, number);
    char gold[32];
    snprintf(gold, sizeof gold, "incorrect; %s", number);
    return lb_item_set(&it->gold, gold, err);
}

static bool item(const lb_bench *b, const lb_row *row, lb_item *it, bool *skip, lb_err *err)
{
    (void)b, (void)skip;
    static const char *const subject_key[] = {"Subject", NULL}, *const question_key[] = {"Question", NULL},
                             *const id_key[] = {"Question_UUID", NULL};
    const char *subject, *question, *model = "";
    if (!lb_row_text(row, subject_key, &subject, err) || !lb_row_text(row, question_key, &question, err) ||
        !lb_json_opt_str(row->json, "Sampled_Model", &model, row->where, err) || !lb_row_id(row, id_key, it, err))
        return false;
    char id[160];
    snprintf(id, sizeof id, "%.80s/%.70s", it->id, model);
    bool coding = strcmp(subject, "coding") == 0;
    return lb_item_set(&it->id, id, err) && build_prompt(row, subject, question, coding, it, err) &&
           set_gold(row, coding, it, err);
}

/* ---- replies ---- */

typedef struct span {
    const char *p;
    size_t n;
} span;

/* re.split(r'\*?\*?NAME:?\*?\*?:?', s)[:2]: what stands before the heading, and between it and the next one like it. */
static bool heading(span s, const char *name, size_t from, size_t *begin, size_t *end)
{
    size_t n = strlen(name);
    for (size_t i = from; i + n <= s.n; i++) {
        if (memcmp(s.p + i, name, n) != 0) continue;
        *begin = i, *end = i + n;
        for (int k = 0; k < 2 && *begin > from && s.p[*begin - 1] == '*'; k++) --*begin;
        if (*end < s.n && s.p[*end] == ':') ++*end;
        for (int k = 0; k < 2 && *end < s.n && s.p[*end] == '*'; k++) ++*end;
        if (*end < s.n && s.p[*end] == ':') ++*end;
        return true;
    }
    return false;
}

static bool split(span s, const char *name, span *before, span *after)
{
    size_t b, e, b2, e2;
    if (!heading(s, name, 0, &b, &e)) return false;
    if (!heading(s, name, e, &b2, &e2)) b2 = s.n;
    *before = (span){s.p, b};
    *after = (span){s.p + e, b2 - e};
    return true;
}

/* The sections, as the published script takes them; empty where a heading is missing. */
static void sections(const char *text, span *correctness, span *step)
{
    span s = {text, strlen(text)}, before, rest;
    *correctness = *step = (span){text, 0};
    if (!split(s, "Solution Correctness", &before, &rest) || !split(rest, "First Error Step", &before, &rest)) return;
    *correctness = before;
    if (split(rest, "Error Reason", &before, &rest)) *step = before;
}

static span strip(span s)
{
    while (s.n && isspace((unsigned char)*s.p)) s.p++, s.n--;
    while (s.n && isspace((unsigned char)s.p[s.n - 1])) s.n--;
    return s;
}

/* Letters (and with `digits` also digits and spaces) of s in lower case, the rest dropped: as the script does before it
 * compares. A letter that is not ASCII becomes '?', which equals nothing. Cut to size - 1. */
static void keep(span s, bool digits, char *out, size_t size)
{
    size_t n = 0;
    s = strip(s);
    for (size_t i = 0; i < s.n && n < size - 1;) {
        unsigned char c = (unsigned char)s.p[i];
        utf8proc_int32_t u = c;
        utf8proc_ssize_t len =
            c < 0x80 ? 1 : utf8proc_iterate((const utf8proc_uint8_t *)s.p + i, (utf8proc_ssize_t)(s.n - i), &u);
        i += len > 0 ? (size_t)len : 1;
        if (c < 0x80 && (isalpha(c) || (digits && (isdigit(c) || c == ' ')))) out[n++] = (char)tolower(c);
        else if (c >= 0x80 && len > 0) {
            utf8proc_category_t k = utf8proc_category(u);
            bool letter = k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
            bool number = k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
            if (letter || (digits && number)) out[n++] = '?';
        }
    }
    out[n] = 0;
}

/* The step's number as text: bare digits, or "Step 7" for 0 to 29. False for anything else. */
static bool step_of(span s, char out[16])
{
    char kept[24];
    span t = strip(s);
    size_t n = 0;
    while (n < t.n && isdigit((unsigned char)t.p[n])) n++;
    if (t.n && n == t.n && n < 16) return memcpy(out, t.p, n), out[n] = 0, true;
    keep(s, true, kept, sizeof kept);
    if (strncmp(kept, "step ", 5) != 0 || !isdigit((unsigned char)kept[5]) || (kept[5] == '0' && kept[6])) return false;
    char *end;
    long v = strtol(kept + 5, &end, 10);
    if (*end || v > 29) return false;
    snprintf(out, 16, "%ld", v);
    return true;
}

/* The first number of s. */
static bool any_number(span s, char out[16])
{
    size_t i = 0, n = 0;
    while (i < s.n && !isdigit((unsigned char)s.p[i])) i++;
    while (i < s.n && isdigit((unsigned char)s.p[i]) && n < 15) out[n++] = s.p[i++];
    out[n] = 0;
    return n > 0;
}

static lb_mr_said first_word(span s)
{
    size_t i = 0, n = 0;
    char word[12];
    while (i < s.n && !isalpha((unsigned char)s.p[i])) i++;
    while (i < s.n && isalpha((unsigned char)s.p[i]) && n < sizeof word - 1)
        word[n++] = (char)tolower((unsigned char)s.p[i++]);
    word[n] = 0;
    return lb_mr_read(word, NULL);
}

static bool agree(const lb_item *it, lb_mr_said said, const char *step)
{
    const char *gold_step;
    lb_mr_said gold = lb_mr_read(it->gold, &gold_step);
    return said == gold && (said == LB_MR_CORRECT || lb_mr_is_coding(it) || strcmp(step, gold_step) == 0);
}

static bool grade(const lb_item *it, const char *text, const lb_grader *g, lb_grade *out, lb_err *err)
{
    (void)err;
    memset(out, 0, sizeof *out);
    const char *answer;
    bool closed, counts = lb_answer_part(text, g->in_thinking, &answer, &closed);
    span correctness, step;
    char word[16], number[16] = "", loose[16] = "";
    sections(counts ? answer : text, &correctness, &step);
    keep(correctness, false, word, sizeof word);
    bool has_step = step_of(step, number);
    lb_mr_said said = lb_mr_read(word, NULL);
    any_number(step, loose);
    out->lenient = agree(it, first_word(correctness), loose) || agree(it, said, number) ? LB_RIGHT : LB_WRONG;
    if (!counts || g->truncated) {
        snprintf(out->why, sizeof out->why, counts ? "cut off at the limit of tokens" : "thinking was not finished");
        return true;
    }
    if (said == LB_MR_CORRECT) snprintf(out->extracted, sizeof out->extracted, "correct");
    if (said == LB_MR_INCORRECT) snprintf(out->extracted, sizeof out->extracted, "incorrect; %s", number);
    if (agree(it, said, number)) {
        bool bare_padded = has_step && isdigit((unsigned char)*strip(step).p) && strip(step).n != step.n;
        out->verdict = LB_RIGHT;
        out->strict = said == LB_MR_INCORRECT && !lb_mr_is_coding(it) && bare_padded ? LB_WRONG : LB_RIGHT;
        return true;
    }
    if (said == LB_MR_NOTHING)
        snprintf(out->why, sizeof out->why, "no 'Solution Correctness: correct' or 'incorrect' was found");
    else snprintf(out->why, sizeof out->why, "the solution is %s", it->gold);
    return true;
}

#define SUBJECT(s, rows, sha)                                                                                          \
    &(const lb_source)                                                                                                 \
    {                                                                                                                  \
        .name = s, .n_row = rows, .url = "https://github.com/dvlab-research/Mr-Ben (data/" s ".json)",                 \
        .licence = "MIT",                                                                                              \
        .known = (const lb_known_file[]){{sha, "dvlab-research/Mr-Ben, data/" s ".json"}, {0}},                        \
        .files = (const char *const[]){"mr_ben/" s ".json",                                                            \
                                       "Mr-Ben/data/" s ".json",                                                       \
                                       "mr-ben/data/" s ".json",                                                       \
                                       "mr_ben/data/" s ".json",                                                       \
                                       "Mr-Ben/" s ".json",                                                            \
                                       NULL}                                                                           \
    }

static const lb_source *const sources[] = {
    SUBJECT("biology", 1035, "04615ee5a9e5bf526ef99b62fd65df60998a0b83d6ab642e970762d92c47e813"),
    SUBJECT("math", 918, "f83383c8eb30f968cf6439cffd321749d23bbde518401e75f7b23f35f75a03eb"),
    SUBJECT("physics", 667, "40c8b0127424317dfc06711473059585e8b4509b1583a0c88b145c19007689e9"),
    SUBJECT("medicine", 828, "4bf080a858879f24cfe15861dd2bea2e85549aefea21d2b8c82885be015d973c"),
    SUBJECT("coding", 238, "a4f1ac3dd6816989658825311bc068a69697892d59672216da5de6d45c8771c1"),
    SUBJECT("chemistry", 848, "c5281f98649bcb4cd5fab17a7d2e54905c72ecbabfa79e073da06034b1e86255"),
    SUBJECT("logic", 1441, NULL),
    NULL};

const lb_bench lb_bench_mr_ben = {.name = "mr_ben",
                                  .suite = "critique",
                                  .like = "MR-Ben",
                                  .max_new = 32768,
                                  .version = 1,
                                  .prompt_from = "dvlab-research/Mr-Ben, zero-shot",
                                  .cluster_key = "Question_UUID",
                                  .sources = sources,
                                  .item = item,
                                  .grade = grade,
                                  .metrics = lb_mr_metrics};
