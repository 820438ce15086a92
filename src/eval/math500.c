/* eval/math500.c – MATH-500: 500 problems of levels 1 to 5 of MATH's test set (arXiv:2103.03874), chosen by
 * arXiv:2305.20050. */
#include "base/buf.h"
#include "eval/rows.h"

/* The answer field; without one, the box of the solution, which is the same. */
static bool gold_of(const lb_row *row, lb_item *it, lb_err *err)
{
    static const char *const answer[] = {"answer", NULL}, *const solution[] = {"solution", NULL};
    const json_t *a = json_object_get(row->json, "answer");
    const char *text;
    if (json_is_number(a)) {
        char number[64];
        return lb_row_scalar(row, answer, number, sizeof number, err) && lb_item_set(&it->gold, number, err);
    }
    if ((a && !json_is_null(a)) || !json_object_get(row->json, "solution"))
        return lb_row_text(row, answer, &text, err) && lb_item_set(&it->gold, text, err);
    lb_buf box = {0};
    bool ok = lb_row_text(row, solution, &text, err);
    if (ok && !lb_answer_boxed(text, &box))
        ok = lb_buf_ok(&box, "an answer", err) &&
             lb_fail(err, LB_EFORMAT, "%s: no 'answer', and no \\boxed{} in 'solution'", row->where);
    ok = ok && lb_item_set(&it->gold, lb_buf_cstr(&box), err);
    lb_buf_free(&box);
    return ok;
}

static bool item(const lb_bench *b, const lb_row *row, lb_item *it, bool *skip, lb_err *err)
{
    (void)b, (void)skip;
    static const char *const problem[] = {"problem", "question", NULL}, *const id[] = {"unique_id", "id", NULL};
    const char *text;
    return lb_row_text(row, problem, &text, err) && lb_row_id(row, id, it, err) &&
           lb_row_level(row, "level", it, err) && lb_prompt_boxed(it, text, err) && gold_of(row, it, err);
}

static const lb_source source = {
    .name = "math500",
    .files = (const char *const[]){"math500/test.jsonl", "MATH-500/test.jsonl", "HuggingFaceH4/MATH-500/test.jsonl",
                                   "math_500/test.jsonl", "math500.jsonl", "math500/test.json", "math500/test.csv",
                                   "MATH-500/test-00000-of-00001.parquet", NULL},
    .n_row = 500,
    .known = (const lb_known_file[]){{"35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
                                      "the copy that lowbit was tested with"},
                                     {0}},
    .url = "https://huggingface.co/datasets/HuggingFaceH4/MATH-500 (test.jsonl)",
    .licence = "MIT (of MATH)",
};

const lb_bench lb_bench_math500 = {.name = "math500", .suite = "studies", .like = "MATH-500", .max_new = 32768,
                                   .version = 1, .prompt_from = "arXiv:2504.04823 (problem, boxed answer)",
                                   .sources = (const lb_source *const[]){&source, NULL}, .item = item,
                                   .grade = lb_row_grade_boxed};
