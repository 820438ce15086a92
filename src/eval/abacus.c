/* eval/abacus.c – the five benchmarks of the embedded model: the studies' benchmarks in miniature.
 *
 * A row is {id, family, subject, level, problem, solution, answer[, tests]}; the prompt is the problem as it stands, which
 * is how the model was trained. Any JSON-lines file with problem and answer (or tests) will do. */
#include "base/mem.h"
#include "eval/bench.h"
#include <string.h>

static bool text_item(json_t *row, const char *where, lb_item *out, lb_err *err)
{
    int64_t level = 0;
    out->id = "";
    if (!lb_json_opt_str(row, "id", &out->id, where, err) || !lb_json_get_str(row, "problem", &out->prompt, where, err) ||
        !lb_json_get_str(row, "answer", &out->gold, where, err) || !lb_json_opt_int(row, "level", 0, 5, &level, where, err))
        return false;
    out->level = (int)level;
    return true;
}

static bool code_item(json_t *row, const char *where, lb_item *out, lb_err *err)
{
    int64_t level = 0;
    out->id = "", out->gold = "";
    if (!lb_json_opt_str(row, "id", &out->id, where, err) || !lb_json_get_str(row, "problem", &out->prompt, where, err) ||
        !lb_json_opt_int(row, "level", 0, 5, &level, where, err))
        return false;
    out->level = (int)level;
    const json_t *tests = json_object_get(row, "tests"), *t;
    size_t i, n = json_array_size(tests);
    if (!json_is_array(tests) || n == 0 || n > 1000)
        return lb_fail(err, LB_EFORMAT, "%s: 'tests' is %s, wanted an array of 1 to 1000 tests", where, n ? "too long" : json_is_array(tests) ? "empty" : lb_json_kind(tests));
    lb_code_test *list = lb_alloc(n, sizeof *list, "the tests", err);
    if (!list) return false;
    out->tests = list, out->n_test = (int)n;
    json_array_foreach (tests, i, t)
        if (!lb_json_get_str(t, "input", &list[i].input, where, err) || !lb_json_get_str(t, "output", &list[i].output, where, err))
            return lb_wrap(err, "test %zu", i);
    return true;
}

static bool grade_math(const lb_item *it, const char *text, const lb_grader *g, lb_grade *out, lb_err *err)
{
    (void)err;
    lb_grade_math(it->gold, text, g->in_thinking, out);
    return true;
}

static bool grade_letter(const lb_item *it, const char *text, const lb_grader *g, lb_grade *out, lb_err *err)
{
    (void)err;
    lb_grade_letter(it->gold, text, g->in_thinking, 4, out);
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
        snprintf(out->why, sizeof out->why, "no program between ``` lines");
        lb_buf_free(&program);
        return true;
    }
    snprintf(out->extracted, sizeof out->extracted, "%.200s", lb_buf_cstr(&program));
    bool ok = lb_code_judge(g->sandbox, lb_buf_cstr(&program), it->tests, it->n_test, &pass, out->why, err);
    out->verdict = pass ? LB_RIGHT : LB_WRONG;
    lb_buf_free(&program);
    return ok;
}

/* 1,024 tokens: the longest correct solution of the embedded model has about half of that. */
#define COMMON .suite = "abacus", .max_new = 1024, .version = 1

const lb_bench lb_bench_chain = {.name = "chain", .like = "GSM8K", .file = "abacus/chain.jsonl", COMMON, .item = text_item, .grade = grade_math};
const lb_bench lb_bench_algebra = {.name = "algebra", .like = "MATH-500", .file = "abacus/algebra.jsonl", COMMON, .item = text_item, .grade = grade_math};
const lb_bench lb_bench_contest = {.name = "contest", .like = "AIME", .file = "abacus/contest.jsonl", COMMON, .item = text_item, .grade = grade_math};
const lb_bench lb_bench_choice = {.name = "choice", .like = "GPQA", .file = "abacus/choice.jsonl", COMMON, .item = text_item, .grade = grade_letter};
const lb_bench lb_bench_code = {.name = "code", .like = "LiveCodeBench", .file = "abacus/code.jsonl", COMMON, .runs_code = true, .item = code_item, .grade = grade_code};
