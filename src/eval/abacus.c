/* eval/abacus.c – the five benchmarks of the embedded model: the studies' benchmarks in miniature.
 *
 * A row is {id, family, subject, level, problem, solution, answer[, tests]}; the prompt is the problem as it stands,
 * which is how the model was trained. Any JSON-lines file with problem and answer (or tests) will do. */
#include "base/mem.h"
#include "eval/bench.h"
#include <ctype.h>
#include <string.h>

enum { N_OPTION = 4, MAX_TEST = 1000 };

static bool get_text(const lb_row *row, const char *key, const char **out, lb_err *err)
{
    if (!lb_json_get_str(row->json, key, out, row->where, err)) return false;
    return **out || lb_fail(err, LB_EFORMAT, "%s: '%s' is empty", row->where, key);
}

/* What every row has. */
static bool common_item(const lb_row *row, lb_item *out, lb_err *err)
{
    int64_t level = 0;
    const char *id = "", *problem;
    if (!lb_json_opt_str(row->json, "id", &id, row->where, err) || !get_text(row, "problem", &problem, err) ||
        !lb_json_opt_int(row->json, "level", 0, 5, &level, row->where, err))
        return false;
    out->level = (int)level;
    return lb_item_set(&out->id, id, err) && lb_item_set(&out->prompt, problem, err);
}

static bool text_item(const lb_bench *b, const lb_row *row, lb_item *out, bool *skip, lb_err *err)
{
    (void)b, (void)skip;
    const char *gold;
    return common_item(row, out, err) && get_text(row, "answer", &gold, err) && lb_item_set(&out->gold, gold, err);
}

static bool letter_item(const lb_bench *b, const lb_row *row, lb_item *out, bool *skip, lb_err *err)
{
    if (!text_item(b, row, out, skip, err)) return false;
    int c = toupper((unsigned char)out->gold[0]);
    return (c >= 'A' && c < 'A' + N_OPTION && !out->gold[1]) ||
           lb_fail(err, LB_EFORMAT, "%s: 'answer' is '%.40s', wanted a letter from A to %c", row->where, out->gold,
                   'A' + N_OPTION - 1);
}

static bool read_tests(const json_t *row, const char *where, lb_code_tests *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    json_t *tests = json_object_get(row, "tests"), *t;
    size_t i, n = json_array_size(tests);
    if (!json_is_array(tests))
        return lb_fail(err, LB_EFORMAT, "%s: 'tests' is %s, wanted an array", where, lb_json_kind(tests));
    if (n == 0 || n > MAX_TEST)
        return lb_fail(err, LB_EFORMAT, "%s: 'tests' has %zu, wanted 1 to %d", where, n, MAX_TEST);
    if (!(out->p = lb_alloc(n, sizeof *out->p, "the tests", err))) return false;
    out->n = (int)n;
    out->doc = json_incref(tests);
    bool ok = true;
    json_array_foreach (tests, i, t) {
        char at[640];
        snprintf(at, sizeof at, "%s: tests[%zu]", where, i);
        if (!json_is_object(t)) ok = lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", at, lb_json_kind(t));
        ok = ok && lb_json_get_str(t, "input", &out->p[i].input, at, err) &&
             lb_json_get_str(t, "output", &out->p[i].output, at, err);
        if (!ok) break;
    }
    if (!ok) lb_code_tests_free(out);
    return ok;
}

static bool code_tests(const lb_item *it, lb_code_tests *out, lb_err *err)
{
    return read_tests(it->row, it->id, out, err);
}

static bool code_item(const lb_bench *b, const lb_row *row, lb_item *out, bool *skip, lb_err *err)
{
    (void)b, (void)skip;
    lb_code_tests tests;
    if (!common_item(row, out, err) || !lb_item_set(&out->gold, "", err) ||
        !read_tests(row->json, row->where, &tests, err))
        return false;
    out->hash = lb_item_hash(out);
    for (int i = 0; i < tests.n; i++) {
        out->hash = lb_hash_bytes(tests.p[i].input, strlen(tests.p[i].input) + 1, out->hash);
        out->hash = lb_hash_bytes(tests.p[i].output, strlen(tests.p[i].output) + 1, out->hash);
    }
    lb_code_tests_free(&tests);
    return true;
}

static bool grade_math(const lb_item *it, const char *text, const lb_grader *g, lb_grade *out, lb_err *err)
{
    (void)err;
    lb_grade_math(it->gold, &(lb_completion){.text = text, .in_thinking = g->in_thinking, .truncated = g->truncated}, out);
    return true;
}

static bool grade_letter(const lb_item *it, const char *text, const lb_grader *g, lb_grade *out, lb_err *err)
{
    (void)err;
    lb_grade_letter(it->gold, &(lb_completion){.text = text, .in_thinking = g->in_thinking, .truncated = g->truncated}, N_OPTION, out);
    return true;
}

/* The program after the thinking, run on every test. */
static bool grade_code(const lb_item *it, const char *text, const lb_grader *g, lb_grade *out, lb_err *err)
{
    memset(out, 0, sizeof *out);
    const char *answer;
    bool closed, pass = false;
    lb_buf program = {0};
    if (!lb_answer_part(text, g->in_thinking, &answer, &closed)) {
        snprintf(out->why, sizeof out->why, "thinking was not finished");
        return true;
    }
    if (!lb_answer_code(answer, &program)) {
        bool ok = lb_buf_ok(&program, "the program", err);
        snprintf(out->why, sizeof out->why, "no program between ``` lines");
        lb_buf_free(&program);
        return ok;
    }
    size_t n = program.n < 200 ? program.n : 200;
    while (n < program.n && n && ((unsigned char)program.p[n] & 0xc0) == 0x80) n--; /* not within a character */
    if (n) memcpy(out->extracted, program.p, n);
    lb_code_tests tests;
    bool ok = it->bench->tests(it, &tests, err);
    ok = ok && lb_code_judge(g->sandbox, lb_buf_cstr(&program), tests.p, tests.n, &pass, out->why, err);
    lb_grade_same(out, pass ? LB_RIGHT : LB_WRONG);
    if (g->truncated && pass) {
        out->verdict = out->strict = LB_WRONG;
        snprintf(out->why, sizeof out->why, "cut off at the limit of tokens");
    }
    lb_code_tests_free(&tests);
    lb_buf_free(&program);
    return ok;
}

/* 1,024 tokens: the longest correct solution of the embedded model has about half of that. */
#define ABACUS(n, mirrors, rows, hash)                                                                                 \
    .name = n, .like = mirrors, .suite = "abacus", .max_new = 1024, .version = 1,                                      \
    .prompt_from = "the problem as it stands",                                                                         \
    .sources = (const lb_source *const[])                                                                              \
    {                                                                                                                  \
        &(const lb_source){.name = n,                                                                                  \
                           .files = (const char *const[]){"abacus/" n ".jsonl", NULL},                                 \
                           .n_row = rows,                                                                              \
                           .known = (const lb_known_file[]){{hash, "lowbit, data/abacus/" n ".jsonl"}, {0}},           \
                           .url = "comes with lowbit (data/abacus)",                                                   \
                           .licence = "as lowbit"},                                                                    \
            NULL                                                                                                       \
    }

const lb_bench lb_bench_chain = {
    ABACUS("chain", "GSM8K", 500, "f58fba4cf14bec863ff73e5d123a4806f64fdbbc7296c5aba83fdbbf3b0247df"),
    .item = text_item, .grade = grade_math};
const lb_bench lb_bench_algebra = {
    ABACUS("algebra", "MATH-500", 492, "9e1a3fcce0cd7749c21f4b460b32043723bdb3aa9b52041021b6fb7baf9d6c33"),
    .item = text_item, .grade = grade_math};
const lb_bench lb_bench_contest = {
    ABACUS("contest", "AIME", 500, "0969128245e2979670a91a1ab5b761c2ead1a60d5c76866fbd7b90ed35a9db78"),
    .item = text_item, .grade = grade_math};
const lb_bench lb_bench_choice = {
    ABACUS("choice", "GPQA", 496, "d322bdebeef32f13dee4e0f6eade3def22b230f4c1fcd8d6ff15d2e1df34897b"),
    .item = letter_item, .grade = grade_letter};
const lb_bench lb_bench_code = {
    ABACUS("code", "LiveCodeBench", 451, "049a57d984bba3e3d8f314d7a0574c45584cde108dad169807905bbc0d303831"),
    .runs_code = true, .item = code_item,
    .grade = grade_code, .tests = code_tests};
