/* eval/gsm8k.c – GSM8K (arXiv:2110.14168): 1,319 test problems; gold is the number behind "#### ". */
#include "eval/rows.h"
#include <ctype.h>
#include <string.h>

enum { MAX_NUMBER = 64 };

/* Keeps sign, digits and point of s; false if there is anything else but "$", commas and white space around. */
static bool number_of(const char *s, char out[MAX_NUMBER])
{
    size_t n = 0, digits = 0, points = 0;
    while (isspace((unsigned char)*s)) s++;
    if (*s == '-') out[n++] = *s++;
    if (*s == '$') s++;
    for (; *s && n < MAX_NUMBER - 1; s++) {
        if (isdigit((unsigned char)*s)) digits++;
        else if (*s == '.') points++;
        else if (*s == ',' && digits) continue;
        else break;
        out[n++] = *s;
    }
    out[n] = 0;
    while (isspace((unsigned char)*s)) s++;
    return !*s && digits > 0 && points <= 1;
}

static bool item(const lb_bench *b, const lb_row *row, lb_item *it, bool *skip, lb_err *err)
{
    (void)b, (void)skip;
    static const char *const question[] = {"question", "problem", NULL}, *const answer[] = {"answer", NULL},
                             *const id[] = {"id", NULL};
    const char *text, *mark = NULL;
    char bare[MAX_NUMBER], gold[MAX_NUMBER];
    if (!lb_row_text(row, question, &text, err) || !lb_row_id(row, id, it, err) || !lb_prompt_boxed(it, text, err))
        return false;
    const json_t *a = json_object_get(row->json, "answer");
    for (const char *p = json_is_string(a) ? json_string_value(a) : ""; (p = strstr(p, "####")) != NULL; p += 4) mark = p + 4;
    if (!mark && json_is_string(a) && strlen(json_string_value(a)) >= sizeof bare)
        return lb_fail(err, LB_EFORMAT, "%s: 'answer' has no '#### ' before the number", row->where);
    if (!mark && !lb_row_scalar(row, answer, bare, sizeof bare, err)) return false;
    if (!number_of(mark ? mark : bare, gold))
        return lb_fail(err, LB_EFORMAT, "%s: 'answer' %s '%.40s', wanted a number%s", row->where,
                       mark ? "has behind '####'" : "is", mark ? mark : bare, mark ? "" : " or a solution with '#### ' before it");
    return lb_item_set(&it->gold, gold, err);
}

static const lb_source source = {
    .name = "gsm8k",
    .files = (const char *const[]){"gsm8k/test.jsonl", "gsm8k/main/test.jsonl", "gsm8k.jsonl",
                                   "grade-school-math/grade_school_math/data/test.jsonl",
                                   "grade_school_math/data/test.jsonl", "gsm8k/test.json", "gsm8k/test.csv",
                                   "gsm8k/main/test-00000-of-00001.parquet", NULL},
    .n_row = 1319,
    .known = (const lb_known_file[]){{"3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
                                      "openai/grade-school-math, grade_school_math/data/test.jsonl"},
                                     {0}},
    .url = "https://github.com/openai/grade-school-math (grade_school_math/data/test.jsonl)",
    .licence = "MIT",
};

const lb_bench lb_bench_gsm8k = {.name = "gsm8k", .suite = "studies", .like = "GSM8K", .max_new = 32768, .version = 1,
                                 .prompt_from = "arXiv:2504.04823 (problem, boxed answer)",
                                 .sources = (const lb_source *const[]){&source, NULL}, .item = item,
                                 .grade = lb_row_grade_boxed};
