/* rows.c – fuzz target: a JSON-lines file as the rows of every benchmark; what is taken is graded against its own gold.
 */
#include "eval/bench.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void check(const lb_bench *b, const lb_item *it)
{
    if (!it->id || !it->prompt[0] || !it->gold || it->level < 0 || it->level > 5 || !it->row) abort();
    lb_err e = {0};
    lb_code_tests tests;
    if (b->runs_code && b->tests(it, &tests, &e)) {
        if (tests.n < 1) abort();
        for (int i = 0; i < tests.n; i++)
            if (!tests.p[i].input || !tests.p[i].output) abort();
        lb_code_tests_free(&tests);
    }
    lb_grade g;
    lb_buf text = {0};
    lb_buf_fmt(&text, "<think>\n%s", it->prompt); /* never right: not finished, and for programs there is no sandbox */
    if (!strstr(it->prompt, "</think>") && (!b->grade(it, text.p, &(lb_grader){0}, &g, &e) || g.verdict != LB_WRONG))
        abort();
    lb_buf_fmt(&text, "</think>\\boxed{%s}", it->gold);
    if (!b->runs_code && !b->grade(it, text.p, &(lb_grader){0}, &g, &e)) abort();
    lb_buf_free(&text);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    for (int k = 0; lb_benches[k]; k++) {
        lb_err e = {0};
        lb_items items, one;
        if (!lb_items_parse(lb_benches[k], 0, (const char *)data, size, "fuzz", NULL, &items, &e)) {
            if (e.code == LB_OK || strncmp(e.msg, "fuzz", 4) != 0 || items.n || items.p) abort();
            continue;
        }
        if (items.n < 1) abort();
        for (int i = 0; i < items.n && i < 4; i++) check(lb_benches[k], &items.p[i]);
        if (!lb_items_parse(lb_benches[k], 0, (const char *)data, size, "fuzz", &(lb_items_opt){.limit = 1}, &one, &e) || one.n != 1) abort();
        if (one.p->hash.hi != items.p->hash.hi || one.p->hash.lo != items.p->hash.lo) abort();
        lb_items_free(&one);
        lb_items_free(&items);
    }
    return 0;
}
#include "fuzz/replay.inc"
