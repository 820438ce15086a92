/* eval/abacus.c – the five benchmarks of the embedded model: the studies' benchmarks in miniature.
 *
 * A row is {id, family, subject, level, problem, solution, answer[, tests]}; the prompt is the problem as it stands,
 * which is how the model was trained. Any JSON-lines file with problem and answer (or tests) will do. */
#include "base/mem.h"
#include "eval/bench.h"
#include <ctype.h>
#include <string.h>

enum { N_OPTION = 4, MAX_TEST = 1000 };

static bool get_text(json_t *row, const char *key, const char **out, const char *where, lb_err *err)
{
    if (!lb_json_get_str(row, key, out, where, err)) return false;
    return **out || lb_fail(err, LB_EFORMAT, "%s: '%s' is empty", where, key);
}

/* What every row has. */
static bool common_item(json_t *row, const char *where, lb_item *out, lb_err *err)
{
    int64_t level = 0;
    out->id = "", out->gold = "";
    if (!lb_json_opt_str(row, "id", &out->id, where, err) || !get_text(row, "problem", &out->prompt, where, err) ||
        !lb_json_opt_int(row, "level", 0, 5, &level, where, err))
        return false;
    out->level = (int)level;
    return true;
}

static bool text_item(json_t *row, const char *where, lb_item *out, lb_err *err)
{
    return common_item(row, where, out, err) && get_text(row, "answer", &out->gold, where, err);
}

static bool letter_item(json_t *row, const char *where, lb_item *out, lb_err *err)
{
    if (!text_item(row, where, out, err)) return false;
    int c = toupper((unsigned char)out->gold[0]);
    return (c >= 'A' && c < 'A' + N_OPTION && !out->gold[1]) ||
           lb_fail(err, LB_EFORMAT, "%s: 'answer' is '%.40s', wanted a letter from A to %c", where, out->gold,
                   'A' + N_OPTION - 1);
}

static bool code_item(json_t *row, const char *where, lb_item *out, lb_err *err)
{
    if (!common_item(row, where, out, err)) return false;
    const json_t *tests = json_object_get(row, "tests"), *t;
    size_t i, n = json_array_size(tests);
    if (!json_is_array(tests))
        return lb_fail(err, LB_EFORMAT, "%s: 'tests' is %s, wanted an array", where, lb_json_kind(tests));
    if (n == 0 || n > MAX_TEST)
        return lb_fail(err, LB_EFORMAT, "%s: 'tests' has %zu, wanted 1 to %d", where, n, MAX_TEST);
    lb_code_test *list = lb_alloc(n, sizeof *list, "the tests", err);
    if (!list) return false;
    out->tests = list, out->n_test = (int)n;
    json_array_foreach (tests, i, t) {
        char at[640];
        snprintf(at, sizeof at, "%s: tests[%zu]", where, i);
        if (!json_is_object(t)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", at, lb_json_kind(t));
        if (!lb_json_get_str(t, "input", &list[i].input, at, err) ||
            !lb_json_get_str(t, "output", &list[i].output, at, err))
            return false;
    }
    return true;
}

static bool grade_math(const lb_item *it, const char *text, const lb_grader *g, lb_grade *out, lb_err *err)
{
    (void)err;
    lb_grade_math(it->gold, &(lb_completion){.text = text, .in_thinking = g->in_thinking}, out);
    return true;
}

static bool grade_letter(const lb_item *it, const char *text, const lb_grader *g, lb_grade *out, lb_err *err)
{
    (void)err;
    lb_grade_letter(it->gold, &(lb_completion){.text = text, .in_thinking = g->in_thinking}, N_OPTION, out);
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
    bool ok = lb_code_judge(g->sandbox, lb_buf_cstr(&program), it->tests, it->n_test, &pass, out->why, err);
    lb_grade_same(out, pass ? LB_RIGHT : LB_WRONG);
    lb_buf_free(&program);
    return ok;
}

/* 1,024 tokens: the longest correct solution of the embedded model has about half of that. */
#define ABACUS(n, mirrors) \
    .name = n, .like = mirrors, .suite = "abacus", .file = "abacus/" n ".jsonl", .max_new = 1024, .version = 1

const lb_bench lb_bench_chain = {ABACUS("chain", "GSM8K"), .item = text_item, .grade = grade_math};
const lb_bench lb_bench_algebra = {ABACUS("algebra", "MATH-500"), .item = text_item, .grade = grade_math};
const lb_bench lb_bench_contest = {ABACUS("contest", "AIME"), .item = text_item, .grade = grade_math};
const lb_bench lb_bench_choice = {ABACUS("choice", "GPQA"), .item = letter_item, .grade = grade_letter};
const lb_bench lb_bench_code = {ABACUS("code", "LiveCodeBench"), .runs_code = true, .item = code_item, .grade = grade_code};
