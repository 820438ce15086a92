/* eval/gpqa.c – GPQA-Diamond (arXiv:2311.12022): 198 questions with four options, the gold one at a place that depends
 * on the seed and the Record ID alone.
 *
 * The studies' pipeline draws the places one after the other from one generator (seed 1234), so that they depend on the
 * order of the rows; here a row that is moved, or read alone, keeps its order. As there, the three wrong options keep
 * theirs. The order is part of the prompt, and so of the item's hash. */
#include "eval/rows.h"
#include <string.h>

enum { N_OPTION = 4 };

/* 0 … 3, uniform. */
static int place_of(uint64_t seed, const char *record)
{
    lb_hash h = lb_hash_bytes(record, strlen(record), (lb_hash){0, seed ? seed : LB_OPTION_SEED});
    return (int)(h.hi >> 62);
}

static bool item(const lb_bench *b, const lb_row *row, lb_item *it, bool *skip, lb_err *err)
{
    (void)b, (void)skip;
    static const char *const keys[][2] = {{"Question", NULL},           {"Correct Answer", NULL},
                                          {"Incorrect Answer 1", NULL}, {"Incorrect Answer 2", NULL},
                                          {"Incorrect Answer 3", NULL}},
                             *const id[] = {"Record ID", NULL};
    const char *text[1 + N_OPTION], *options[N_OPTION];
    for (int i = 0; i <= N_OPTION; i++)
        if (!lb_row_text(row, keys[i], &text[i], err)) return false;
    if (!lb_row_id(row, id, it, err)) return false;
    int gold = place_of(row->opt->option_seed, *it->id ? it->id : text[0]);
    for (int i = 0, wrong = 2; i < N_OPTION; i++) options[i] = i == gold ? text[1] : text[wrong++];
    return lb_prompt_choice(it, text[0], options, N_OPTION, err) &&
           lb_item_set(&it->gold, (const char[]){(char)('A' + gold), 0}, err);
}

static bool grade(const lb_item *it, const char *text, const lb_grader *g, lb_grade *out, lb_err *err)
{
    (void)err;
    lb_grade_letter(it->gold,
                    &(lb_completion){.text = text, .in_thinking = g->in_thinking, .truncated = g->truncated,
                                     .form = LB_FORM_LINE},
                    N_OPTION, out);
    return true;
}

static const lb_source source = {
    .name = "gpqa_diamond",
    .files = (const char *const[]){"gpqa_diamond/gpqa_diamond.csv", "gpqa/gpqa_diamond.csv", "gpqa_diamond.csv",
                                   "dataset/gpqa_diamond.csv", "gpqa/dataset/gpqa_diamond.csv",
                                   "gpqa_diamond/test.jsonl", "gpqa/gpqa_diamond.jsonl", "gpqa_diamond.jsonl",
                                   "gpqa/gpqa_diamond/train-00000-of-00001.parquet", NULL},
    .n_row = 198,
    .url = "https://huggingface.co/datasets/Idavidrein/gpqa (gpqa_diamond.csv), https://github.com/idavidrein/gpqa "
           "(dataset.zip)",
    .licence = "CC BY 4.0; gated: its terms must be accepted, and its rows must not be published",
};

const lb_bench lb_bench_gpqa_diamond = {.name = "gpqa_diamond", .suite = "studies", .like = "GPQA-Diamond",
                                        .max_new = 32768, .version = 1,
                                        .prompt_from = "simple-evals, as in arXiv:2504.04823",
                                        .sources = (const lb_source *const[]){&source, NULL}, .item = item,
                                        .grade = grade};
