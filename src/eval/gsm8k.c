/* eval/gsm8k.c – GSM8K (arXiv:2110.14168): 1,319 test problems; gold is the number behind "#### ". */
#include "eval/rows.h"

static bool item(const lb_bench *b, const lb_row *row, lb_item *it, bool *skip, lb_err *err)
{
    (void)b, (void)skip;
    static const char *const question[] = {"question", "problem", NULL}, *const answer[] = {"answer", NULL},
                             *const id[] = {"id", NULL};
    const char *text;
    return lb_row_text(row, question, &text, err) && lb_row_id(row, id, it, err) && lb_prompt_boxed(it, text, err) &&
           lb_row_gold_number(row, answer, it, err);
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
