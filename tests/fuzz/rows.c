#define _GNU_SOURCE /* memmem */
/* rows.c – fuzz target: bytes as the file of every benchmark (JSON lines, a document, CSV) and as a task file; what is
 * taken is graded against its own gold, scored, and read again. */
#include "eval/bench.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static bool same(lb_hash a, lb_hash b) { return a.hi == b.hi && a.lo == b.lo; }

static void check_tests(const lb_bench *b, const lb_item *it)
{
    lb_err e = {0};
    lb_code_tests tests;
    if (!b->runs_code || !b->tests(it, &tests, &e)) return;
    if (tests.n < 1) abort();
    for (int i = 0; i < tests.n; i++)
        if (!tests.p[i].input || !tests.p[i].output) abort();
    lb_code_tests_free(&tests);
}

static void check(const lb_bench *b, const lb_item *it)
{
    if (!it->id || !it->prompt || !it->prompt[0] || !it->gold || it->level < 0 || it->level > 5 || it->bench != b)
        abort();
    if (!it->row != b->keeps_no_row || it->number < 1 || it->cluster < 1 || it->cluster > it->number || !it->path)
        abort();
    check_tests(b, it);
    if (b->runs_code) return; /* graded by running programs */
    lb_err e = {0};
    lb_grade g;
    lb_buf text = {0};
    lb_buf_fmt(&text, "<think>\n%s", it->prompt);
    if (!strstr(it->prompt, "</think>") && (!b->grade(it, text.p, &(lb_grader){0}, &g, &e) || g.verdict != LB_WRONG))
        abort(); /* never right: not finished */
    lb_buf_fmt(&text, "</think>Solution Correctness: %s First Error Step: %s Error Reason: \\boxed{%s}", it->gold,
               it->gold, it->gold);
    if (!b->grade(it, text.p, &(lb_grader){0}, &g, &e)) abort();
    if (g.strict == LB_RIGHT && g.verdict != LB_RIGHT) abort();
    if (!memchr(g.extracted, 0, sizeof g.extracted) || !memchr(g.why, 0, sizeof g.why)) abort();
    lb_buf_free(&text);
}

static void score(const lb_bench *b, const lb_items *items)
{
    if (!b->metrics) return;
    int n = items->n < 50 ? items->n : 50;
    lb_err e = {0};
    lb_scored s[50];
    for (int i = 0; i < n; i++)
        s[i] = (lb_scored){.item = &items->p[i], .extracted = i % 3 ? items->p[i].gold : i % 2 ? "incorrect; 1" : "x"};
    json_t *out = json_object();
    if (!b->metrics(b, s, (size_t)n, out, &e)) abort();
    const char *key;
    json_t *v;
    json_object_foreach (out, key, v)
        if (!json_is_real(v) || !(json_real_value(v) >= -1 && json_real_value(v) <= 1)) abort();
    json_decref(out);
}

static void read_as(const lb_bench *b, const unsigned char *data, size_t size, const char *name)
{
    lb_err e = {0};
    lb_items items, one;
    if (!lb_items_parse(b, 0, (const char *)data, size, name, NULL, &items, &e)) {
        if (e.code == LB_OK || strncmp(e.msg, "fuzz", 4) != 0 || items.n || items.p || items.paths) abort();
        return;
    }
    if (items.n < 1) abort();
    for (int i = 0; i < items.n && i < 4; i++) check(b, &items.p[i]);
    score(b, &items);
    if (!lb_items_parse(b, 0, (const char *)data, size, name, &(lb_items_opt){.limit = 1}, &one, &e) || one.n != 1)
        abort();
    if (!same(one.p->hash, items.p->hash)) abort();
    lb_items_free(&one);
    lb_items_free(&items);
}

static char task_dir[] = "/tmp/lowbit-fuzz-XXXXXX", task_path[sizeof task_dir + 16];

static void remove_dir(void) { rmdir(task_dir); }

/* A task file and its rows, with a line "----" between. */
static void task_file(const unsigned char *data, size_t size)
{
    static const char mark[] = "\n----\n";
    const unsigned char *cut = memmem(data, size, mark, sizeof mark - 1);
    if (!cut || data[0] != '{') return;
    if (!*task_path) {
        if (!mkdtemp(task_dir) || atexit(remove_dir) != 0) abort();
        snprintf(task_path, sizeof task_path, "%s/task.json", task_dir);
    }
    FILE *f = fopen(task_path, "wb");
    if (!f || fwrite(data, 1, (size_t)(cut - data), f) != (size_t)(cut - data) || fclose(f) != 0) abort();
    lb_err e = {0};
    lb_bench *b = lb_bench_from_file(task_path, &e);
    if (!b && (e.code == LB_OK || strncmp(e.msg, task_path, strlen(task_path)) != 0)) abort();
    const unsigned char *rows = cut + sizeof mark - 1;
    if (b) read_as(b, rows, size - (size_t)(rows - data), "fuzz.jsonl");
    lb_bench_free(b);
    unlink(task_path);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const char *const names[] = {"fuzz.jsonl", "fuzz.json", "fuzz.csv"};
    for (int k = 0; lb_benches[k]; k++)
        for (int i = 0; i < 3; i++) read_as(lb_benches[k], data, size, names[i]);
    if (size) task_file(data, size);
    return 0;
}
#include "fuzz/replay.inc"
