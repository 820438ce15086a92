/* eval/livecodebench.c – LiveCodeBench: problems of programming contests, each with a date.
 *
 * A row is published as {question_title, question_content, platform, question_id, contest_id, contest_date, starter_code,
 * difficulty, public_test_cases, private_test_cases, metadata}; the tests are JSON in a string, the private ones often
 * packed as base64(zlib(pickle(string))). The six files hold gigabytes, so rows are not kept: the tests are read again
 * from their place in the file when a program is judged.
 *
 *   livecodebench                    test4 and test5: v4_v5, the 268 problems of the study
 *   livecodebench:v6                 one file; v4_v6: some; release_v6: all up to it; all: one file of your own with all
 *   livecodebench:2024-08..2025-02   contests of these months (or days, 2024-08-01..2025-02-15), of all six files
 *   livecodebench:v5_v6:2024-11..    both; either end may be left open */
#include "base/file.h"
#include "base/mem.h"
#include "eval/bench.h"
#include "eval/inflate.h"
#include "eval/pickle.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_FILE = 6, MAX_TEST = 10000, MAX_VARIANT = 32, NAME = 64 };
#define MAX_ROW ((size_t)256 << 20)

/* ---- the prompt: QRM, lighteval_custom/tasks/livecodebench.py at commit bf947e2, byte for byte ---- */

static const char before[] =
    "You will be given a question (problem specification) and will generate a correct Python program that matches the "
    "specification and passes all tests.\n\nQuestion: ";
static const char with_starter[] =
    "You will use the following starter code to write the solution to the problem and enclose your code within delimiters.";
static const char with_stdin[] =
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
    "inputs). Enclose your code within delimiters as follows.";

static void build_prompt(const char *question, const char *starter, lb_buf *b)
{
    lb_buf_str(b, before);
    lb_buf_str(b, question);
    lb_buf_str(b, "\n\n");
    lb_buf_str(b, *starter ? with_starter : with_stdin);
    lb_buf_fmt(b, "```python\n%s\n```\n\n", *starter ? starter : "# YOUR CODE HERE");
}

/* ---- variants ---- */

typedef struct window {              /* dates as text, which sorts as they do; "" is open */
    char from[12], to[12];
} window;

/* "2024-08", "2024-08-01" or "" as the first or last day that it means; days above a month's last do no harm. */
static bool parse_day(const char *p, size_t n, bool last, char out[12])
{
    static const char shape[] = "dddd-dd-dd";
    if (n != 0 && n != 7 && n != 10) return false;
    for (size_t i = 0; i < n; i++)
        if (shape[i] == 'd' ? p[i] < '0' || p[i] > '9' : p[i] != '-') return false;
    memcpy(out, p, n);
    out[n] = 0;
    if (n == 7) strcpy(out + 7, last ? "-31" : "-01");
    int month = n ? (out[5] - '0') * 10 + out[6] - '0' : 1, day = n ? (out[8] - '0') * 10 + out[9] - '0' : 1;
    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static bool parse_window(const char *p, size_t n, window *w)
{
    const char *dots = NULL;
    for (size_t i = 0; i + 1 < n && !dots; i++)
        if (p[i] == '.' && p[i + 1] == '.') dots = p + i;
    if (!dots || n == 2) return false;
    size_t n_from = (size_t)(dots - p);
    return parse_day(p, n_from, false, w->from) && parse_day(dots + 2, n - n_from - 2, true, w->to) &&
           (!*w->to || strcmp(w->from, w->to) <= 0);
}

/* "v4", "v4_v5" or "release_v5": files first to last. */
static bool parse_files(const char *p, size_t n, int *first, int *last)
{
    char text[16];
    if (n == 0 || n >= sizeof text) return false;
    memcpy(text, p, n);
    text[n] = 0;
    bool release = strncmp(text, "release_", 8) == 0;
    const char *v = text + (release ? 8 : 0);
    if (!strcmp(text, "release_latest")) return *first = 1, *last = N_FILE, true;
    if (v[0] != 'v' || v[1] < '1' || v[1] > '0' + N_FILE) return false;
    *first = *last = v[1] - '0';
    if (release) *first = 1;
    if (!v[2]) return true;
    if (release || v[2] != '_' || v[3] != 'v' || v[4] < '1' || v[4] > '0' + N_FILE || v[5]) return false;
    *last = v[4] - '0';
    return *last > *first;
}

/* ---- rows ---- */

static const window *window_of(const lb_bench *b);

static bool in_window(const lb_bench *b, const lb_row *row, const char *date)
{
    const window *w = window_of(b);
    const char *from = row->opt->from, *to = row->opt->to;
    return strncmp(date, w->from, 10) >= 0 && (!*w->to || strncmp(date, w->to, 10) <= 0) &&
           (!from || strncmp(date, from, 10) >= 0) && (!to || strncmp(date, to, strlen(to)) <= 0);
}

static bool get_level(const lb_row *row, int *level, lb_err *err)
{
    static const char *const names[] = { "easy", "medium", "hard" };
    const char *s = "";
    if (!lb_json_opt_str(row->json, "difficulty", &s, row->where, err)) return false;
    for (int i = 0; i < 3; i++)
        if (!strcmp(s, names[i])) *level = i + 1;
    return true;
}

static bool item(const lb_bench *b, const lb_row *row, lb_item *out, bool *skip, lb_err *err)
{
    const char *question, *id = "", *title = "", *starter = "", *date = "", *public_tests, *private_tests, *meta = "";
    const json_t *j = row->json;
    const char *at = row->where;
    if (!lb_json_get_str(j, "question_content", &question, at, err) ||
        !lb_json_opt_str(j, "question_id", &id, at, err) || !lb_json_opt_str(j, "question_title", &title, at, err) ||
        !lb_json_opt_str(j, "starter_code", &starter, at, err) || !lb_json_opt_str(j, "contest_date", &date, at, err) ||
        !lb_json_get_str(j, "public_test_cases", &public_tests, at, err) ||
        !lb_json_get_str(j, "private_test_cases", &private_tests, at, err) ||
        !lb_json_opt_str(j, "metadata", &meta, at, err) || !get_level(row, &out->level, err))
        return false;
    bool dated = strlen(date) >= 10 && date[4] == '-' && date[7] == '-';
    const window *w = window_of(b);
    if (!dated && (*w->from || *w->to || row->opt->from || row->opt->to))
        return lb_fail(err, LB_EFORMAT, "%s: 'contest_date' is '%.40s', wanted YYYY-MM-DD…", at, date);
    *skip = dated && !in_window(b, row, date);
    if (*skip) return true;
    lb_buf prompt = { 0 };
    build_prompt(question, starter, &prompt);
    bool ok = lb_buf_ok(&prompt, "a prompt", err) && lb_item_set(&out->prompt, lb_buf_cstr(&prompt), err) &&
              lb_item_set(&out->id, *id ? id : title, err) && lb_item_set(&out->gold, "", err);
    lb_buf_free(&prompt);
    if (!ok) return false;
    out->hash = lb_item_hash(out);
    const char *const parts[] = { public_tests, private_tests, meta };
    for (int i = 0; i < 3; i++) out->hash = lb_hash_bytes(parts[i], strlen(parts[i]) + 1, out->hash);
    return true;
}

/* ---- tests ---- */

/* The text of a list of tests, unpacked if it is packed. *text points into s or into *room. */
static bool unpack(const char *s, const char **text, size_t *n, lb_buf *room, lb_err *err)
{
    *text = s;
    *n = strlen(s);
    if (s[strspn(s, " \t\r\n")] == '[') return true;
    lb_buf packed = { 0 };
    bool ok = lb_base64_decode(s, *n, &packed, err) &&
              lb_inflate(lb_buf_cstr(&packed), packed.n, LB_JSON_MAX_BYTES, room, err) &&
              lb_pickle_str(lb_buf_cstr(room), room->n, text, n, err);
    lb_buf_free(&packed);
    return ok;
}

static bool add_tests(const json_t *row, const char *key, const char *where, json_t *all, lb_err *err)
{
    const char *s, *text;
    char at[700];
    lb_buf room = { 0 };
    size_t n;
    json_t *list = NULL;
    if (!lb_json_get_str(row, key, &s, where, err)) return false;
    snprintf(at, sizeof at, "%s: '%s'", where, key);
    bool ok = unpack(s, &text, &n, &room, err);
    if (!ok) lb_wrap(err, "%s", at);
    ok = ok && (list = lb_json_parse(text, n, at, err)) != NULL;
    lb_buf_free(&room);
    if (ok && !json_is_array(list))
        ok = lb_fail(err, LB_EFORMAT, "%s is %s, wanted an array", at, lb_json_kind(list));
    if (ok && json_array_extend(all, list) != 0) ok = lb_fail_mem(err, json_array_size(list), "tests");
    json_decref(list);
    return ok;
}

/* func_name of the metadata, or NULL; it lives in doc. */
static bool get_func_name(const json_t *row, const char *where, json_t *doc, const char **name, lb_err *err)
{
    const char *text = "", *s = NULL;
    if (!lb_json_opt_str(row, "metadata", &text, where, err) || !*text) return !*text;
    char at[700];
    snprintf(at, sizeof at, "%s: 'metadata'", where);
    json_t *meta = lb_json_parse(text, strlen(text), at, err);
    bool ok = meta && lb_json_opt_str(meta, "func_name", &s, at, err);
    if (ok && s && (!*s || strspn(s, "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != strlen(s)))
        ok = lb_fail(err, LB_EFORMAT, "%s: 'func_name' is '%.80s', wanted a name", at, s);
    if (ok && s) {
        json_t *copy = json_string(s);
        ok = copy && json_array_append_new(doc, copy) == 0;
        if (ok) *name = json_string_value(copy);
        else lb_fail_mem(err, strlen(s), "a name");
    }
    json_decref(meta);
    return ok;
}

static bool fill_tests(const json_t *list, const char *where, lb_code_tests *out, lb_err *err)
{
    const json_t *t;
    size_t i, n = json_array_size(list);
    if (n == 0 || n > MAX_TEST)
        return lb_fail(err, LB_EFORMAT, "%s has %zu tests, wanted 1 to %d", where, n, MAX_TEST);
    if (!(out->p = lb_alloc(n, sizeof *out->p, "the tests", err))) return false;
    out->n = (int)n;
    json_array_foreach (list, i, t) {
        char at[700];
        const char *type = NULL;
        snprintf(at, sizeof at, "%s: test %zu", where, i + 1);
        if (!json_is_object(t)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", at, lb_json_kind(t));
        if (!lb_json_get_str(t, "input", &out->p[i].input, at, err) ||
            !lb_json_get_str(t, "output", &out->p[i].output, at, err) || !lb_json_opt_str(t, "testtype", &type, at, err))
            return false;
        if (type && strcmp(type, "stdin") != 0 && strcmp(type, "functional") != 0)
            return lb_fail(err, LB_EFORMAT, "%s: 'testtype' is '%.40s', wanted stdin or functional", at, type);
    }
    return true;
}

extern const lb_bench lb_bench_livecodebench;

/* The row as it stands in the file now, if it is still the item's. */
static json_t *read_row(const lb_item *it, char where[600], lb_err *err)
{
    lb_map map = { 0 };
    json_t *row = NULL;
    snprintf(where, 600, "%s, problem %d (%s)", it->path, it->number, it->id);
    if (!lb_map_open(&map, it->path, err)) return NULL;
    if (it->offset > map.size || it->n_byte > map.size - it->offset)
        lb_fail(err, LB_EFORMAT, "%s: the file has become shorter", where);
    else
        row = lb_json_parse((const char *)map.p + it->offset, it->n_byte, where, err);
    lb_map_close(&map);
    if (!row) return NULL;
    static const lb_items_opt none;
    lb_item now = { .bench = it->bench };
    const lb_row again = { .json = row, .where = where, .opt = &none };
    bool skip = false, ok = item(&lb_bench_livecodebench, &again, &now, &skip, err);
    if (ok && (now.hash.lo != it->hash.lo || now.hash.hi != it->hash.hi))
        ok = lb_fail(err, LB_EFORMAT, "%s: the file has changed since it was read", where);
    free(now.id);
    free(now.gold);
    free(now.prompt);
    if (ok) return row;
    json_decref(row);
    return NULL;
}

static bool tests(const lb_item *it, lb_code_tests *out, lb_err *err)
{
    char where[600];
    memset(out, 0, sizeof *out);
    json_t *row = read_row(it, where, err), *all;
    if (!row) return false;
    out->doc = json_array();
    all = json_array();
    bool ok = (out->doc && all && json_array_append(out->doc, all) == 0) || lb_fail_mem(err, sizeof *out, "tests");
    ok = ok && add_tests(row, "public_test_cases", where, all, err) &&
         add_tests(row, "private_test_cases", where, all, err) &&
         get_func_name(row, where, out->doc, &out->func_name, err) && fill_tests(all, where, out, err);
    json_decref(all);
    json_decref(row);
    if (!ok) lb_code_tests_free(out);
    return ok;
}

/* ---- grading ---- */

static void show_program(const lb_buf *program, lb_grade *out)
{
    size_t n = program->n < 200 ? program->n : 200;
    while (n < program->n && n && ((unsigned char)program->p[n] & 0xc0) == 0x80) n--;
    if (n) memcpy(out->extracted, program->p, n);
    out->extracted[n] = 0;
}

static bool judge(const lb_item *it, const char *program, const lb_grader *g, lb_grade *out, lb_err *err)
{
    lb_code_tests t;
    lb_code_result r;
    if (!tests(it, &t, err)) return false;
    const lb_code_set set = { t.p, t.n, t.func_name, 0 };
    bool ok = lb_code_check(g->sandbox, program, &set, &r, err);
    lb_code_tests_free(&t);
    if (!ok) return false;
    lb_grade_same(out, r.end == LB_CODE_PASS ? LB_RIGHT : LB_WRONG);
    static const char *const names[] = { "died", "wrong answer", "time limit", "error" };
    if (r.end != LB_CODE_PASS) snprintf(out->why, sizeof out->why, "%s (%d): %.220s", names[-r.end - 1], r.end, r.why);
    return true;
}

/* The program is between the last two lines with three backticks of what follows the thinking. */
static bool grade(const lb_item *it, const char *completion, const lb_grader *g, lb_grade *out, lb_err *err)
{
    const char *answer;
    bool closed, ok = true;
    lb_buf program = { 0 };
    memset(out, 0, sizeof *out);
    if (!lb_answer_part(completion, g->in_thinking, &answer, &closed)) {
        snprintf(out->why, sizeof out->why, "thinking was not finished");
        return true;
    }
    if (lb_answer_code(answer, &program)) {
        show_program(&program, out);
        ok = judge(it, lb_buf_cstr(&program), g, out, err);
    } else {
        ok = lb_buf_ok(&program, "the program", err);
        snprintf(out->why, sizeof out->why, "no program between ``` lines");
    }
    lb_buf_free(&program);
    return ok;
}

/* ---- the row and its variants ---- */

#define HUB "https://huggingface.co/datasets/livecodebench/code_generation_lite"
#define FILES(f) (const char *const[]){ "livecodebench/" f, "code_generation_lite/" f, "LiveCodeBench/" f, f, NULL }
#define SOURCE(part, f, rows) { .name = part, .files = FILES(f), .n_row = rows, .url = HUB, \
                                .licence = "CC; the problems belong to LeetCode, AtCoder and Codeforces" }

static const lb_source sources[] = {
    SOURCE("v1", "test.jsonl", 400), SOURCE("v2", "test2.jsonl", 111), SOURCE("v3", "test3.jsonl", 101),
    SOURCE("v4", "test4.jsonl", 101), SOURCE("v5", "test5.jsonl", 167), SOURCE("v6", "test6.jsonl", 175),
    SOURCE("all", "livecodebench.jsonl", 0)
};
static const lb_source *const study[] = { &sources[3], &sources[4], NULL };

typedef struct variant {
    char name[NAME];
    window when;
    const lb_source *list[N_FILE + 1];
    lb_bench bench;
} variant;

static const lb_bench *make_variant(const lb_bench *b, const char *text, size_t n, lb_err *err);

#define ROW .suite = "studies", .like = "LiveCodeBench", .max_new = 32768, .version = 1, \
            .prompt_from = "QRM (lighteval_custom/tasks/livecodebench.py)", .runs_code = true, .dated = true, .keeps_no_row = true, \
            .max_line = MAX_ROW, .item = item, .grade = grade, .tests = tests

const lb_bench lb_bench_livecodebench = { .name = "livecodebench", .sources = study, .variant = make_variant, ROW };

/* The dates of a row of ours. */
static const window *window_of(const lb_bench *b)
{
    static const window open = { "", "" };
    return b == &lb_bench_livecodebench ? &open : &((const variant *)((const char *)b - offsetof(variant, bench)))->when;
}

static bool parse_variant(const char *text, size_t n, variant *v)
{
    const char *colon = memchr(text, ':', n);
    size_t n_files = colon ? (size_t)(colon - text) : n;
    int first = 1, last = N_FILE;
    bool dated = colon != NULL;
    if (n_files == 3 && !memcmp(text, "all", 3)) {
        v->list[0] = &sources[N_FILE];
    } else {
        if (!parse_files(text, n_files, &first, &last)) {
            if (colon) return false;
            dated = true;
            n_files = (size_t)-1;                                     /* so that the dates begin at 0 */
        }
        for (int i = first; i <= last; i++) v->list[i - first] = &sources[i - 1];
    }
    return !dated || parse_window(text + n_files + 1, n - n_files - 1, &v->when);
}

/* Each variant is made once and stays: a row is static. */
static const lb_bench *make_variant(const lb_bench *b, const char *text, size_t n, lb_err *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;          /* protects made and n_made */
    static variant made[MAX_VARIANT];
    static int n_made;
    variant v = { .name = "livecodebench:" };
    size_t head = strlen(v.name);
    if (n >= NAME - head || !parse_variant(text, n, &v))
        return lb_fail_null(err, LB_EUSAGE, "livecodebench:%.*s is not known; there are v1 to v6, v4_v5 (from, to), "
                            "release_v6, all, dates as 2024-08..2025-02 or 2024-08-01..2025-02-15, and v5_v6:2024-11..",
                            (int)(n > 60 ? 60 : n), text);
    if (n == 5 && !memcmp(text, "v4_v5", n)) return b;                /* one name for one thing */
    memcpy(v.name + head, text, n);
    v.name[head + n] = 0;
    const lb_bench *found = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n_made && !found; i++)
        if (!strcmp(made[i].name, v.name)) found = &made[i].bench;
    if (!found && n_made < MAX_VARIANT) {
        variant *m = &made[n_made++];
        *m = v;
        m->bench = (lb_bench){ .name = m->name, .sources = m->list, .variant = b->variant, ROW };
        found = &m->bench;
    }
    pthread_mutex_unlock(&lock);
    return found ? found : lb_fail_null(err, LB_EUSAGE, "more than %d parts of livecodebench in one run", MAX_VARIANT);
}
