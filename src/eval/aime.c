/* eval/aime.c – the American Invitational Mathematics Examination: integers from 0 to 999.
 *
 * aime24 and aime25 are the 30 problems of a year, aime90 those of 2022 to 2024, aime120 is aime90 and aime25 together:
 * its mean over 120 problems is the studies' 0.75 · AIME-90 + 0.25 · AIME-2025 (arXiv:2504.04823). */
#include "eval/rows.h"
#include <ctype.h>
#include <string.h>

/* What mirrors write behind an angle. */
static const char *const degrees[] = {"^\\circ", "^{\\circ}", "\\degree", "^\\degree", "\xc2\xb0", NULL};

static bool strip_end(char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    if (n < k || memcmp(s + n - k, end, k) != 0) return false;
    s[n - k] = 0;
    return true;
}

/* "033", " 70.0", "$336^\circ$" to "33", "70", "336"; false if it is no integer from 0 to 999. */
static bool integer_of(char *s, char out[4])
{
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1])) s[--n] = 0;
    while (isspace((unsigned char)*s)) s++;
    if (*s == '$' && strip_end(s, "$")) s += *s == '$';
    for (int i = 0; degrees[i]; i++)
        if (strip_end(s, degrees[i])) break;
    strip_end(s, ".0");
    while (*s == '0' && s[1]) s++;
    n = strspn(s, "0123456789");
    if (n == 0 || n > 3 || s[n]) return false;
    memcpy(out, s, n + 1);
    return true;
}

static bool item(const lb_bench *b, const lb_row *row, lb_item *it, bool *skip, lb_err *err)
{
    (void)skip;
    static const char *const problem[] = {"problem", "Problem", "question", NULL},
                             *const answer[] = {"answer", "Answer", NULL},
                             *const id[] = {"id", "ID", "problem_idx", "unique_id", NULL};
    const char *text;
    char raw[64], copy[64], gold[4];
    if (!lb_row_text(row, problem, &text, err) || !lb_row_id(row, id, it, err) || !lb_prompt_boxed(it, text, err) ||
        !lb_row_scalar(row, answer, raw, sizeof raw, err))
        return false;
    memcpy(copy, raw, sizeof copy);
    if (!integer_of(copy, gold))
        return lb_fail(err, LB_EFORMAT, "%s: the answer is '%.40s', wanted an integer from 0 to 999", row->where, raw);
    if (b->sources[1] && *it->id) { /* both files count from 0 */
        char both[128];
        snprintf(both, sizeof both, "%s/%.80s", b->sources[row->source]->name, it->id);
        if (!lb_item_set(&it->id, both, err)) return false;
    }
    return lb_item_set(&it->gold, gold, err);
}

static const lb_source aime24 = {
    .name = "aime24",
    .files = (const char *const[]){"aime24/test.jsonl", "aime_2024/train.jsonl", "AIME_2024/train.jsonl",
                                   "AIME_2024/aime_2024_problems.jsonl", "aime24.jsonl", "aime24/test.json",
                                   "aime24/test.csv", "aime_2024/data/train-00000-of-00001.parquet",
                                   "AIME_2024/aime_2024_problems.parquet", NULL},
    .n_row = 30,
    .known = (const lb_known_file[]){{"af2b8bd2aa911b6333ad0df32f3ca05c7ae8ed10f1731f4372c8ae26990bf7ac",
                                      "the copy that lowbit was tested with"},
                                     {0}},
    .url = "https://huggingface.co/datasets/HuggingFaceH4/aime_2024, "
           "https://huggingface.co/datasets/Maxwell-Jia/AIME_2024",
    .licence = "problems © Mathematical Association of America",
    .convert = "published as Parquet: " LB_PARQUET_HOW,
};

static const lb_source aime25 = {
    .name = "aime25",
    .files = (const char *const[]){"aime25/test.jsonl", "aime_2025/train.jsonl", "aime25.jsonl", "aime_2025.jsonl",
                                   "aime_2025/test.jsonl", "aime25/test.json", "aime25/test.csv",
                                   "aime_2025/data/train-00000-of-00001.parquet",
                                   "aime25/data/train-00000-of-00001.parquet", NULL},
    .n_row = 30,
    .known = (const lb_known_file[]){{"3611f1360ce5e8bfe13bee53bff5020de005f1d18152cd594402db58a848a64e",
                                      "the copy that lowbit was tested with"},
                                     {0}},
    .url = "https://huggingface.co/datasets/yentinglin/aime_2025, https://huggingface.co/datasets/math-ai/aime25, "
           "https://huggingface.co/datasets/MathArena/aime_2025",
    .licence = "problems © Mathematical Association of America",
    .convert = "published as JSON lines by math-ai, else as Parquet: " LB_PARQUET_HOW,
};

static const lb_source aime90 = {
    .name = "aime90",
    .files = (const char *const[]){"aime90/test.jsonl", "AIME90/train.jsonl", "AIME90/test.jsonl", "aime90.jsonl",
                                   "aimo-validation-aime/train.jsonl", "aime90/test.json", "aime90/test.csv",
                                   "AIME90/data/train-00000-of-00001.parquet",
                                   "aimo-validation-aime/data/train-00000-of-00001.parquet", NULL},
    .n_row = 90,
    .url = "https://huggingface.co/datasets/xiaoyuanliu/AIME90, "
           "https://huggingface.co/datasets/AI-MO/aimo-validation-aime",
    .licence = "problems © Mathematical Association of America",
    .convert = "published as Parquet: " LB_PARQUET_HOW,
};

#define AIME(n, s, proper, ...)                                                                                        \
    .name = n, .suite = s, .like = proper, .max_new = 32768, .version = 1,                                             \
    .prompt_from = "arXiv:2504.04823 (problem, boxed answer)", .item = item, .grade = lb_row_grade_boxed,              \
    .sources = (const lb_source *const[]) { __VA_ARGS__, NULL }

const lb_bench lb_bench_aime24 = {AIME("aime24", "aime", "AIME 2024", &aime24)};
const lb_bench lb_bench_aime25 = {AIME("aime25", "aime", "AIME 2025", &aime25)};
const lb_bench lb_bench_aime90 = {AIME("aime90", "aime", "AIME 2022–2024", &aime90)};
const lb_bench lb_bench_aime120 = {AIME("aime120", "studies", "AIME-120", &aime90, &aime25)};
