/* golden/test_bench_prompts.c – the prompts of published rows, byte for byte as the published code asks.
 *
 *     test_bench_prompts [FILE]     default: tests/golden/data/bench_prompts.jsonl, made by tools/make_bench_prompts.py
 */
#include "test.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "eval/bench.h"

static const char *path = "tests/golden/data/bench_prompts.jsonl";

typedef struct seen {
    int n;
    json_t *tasks;               /* name → rows */
    unsigned places;             /* of GPQA's gold options, as bits */
} seen;

static const lb_bench *bench_of(const char *name)
{
    lb_err e = {0};
    const lb_bench **list;
    int n;
    assert_ok(lb_benches_of(name, &list, &n, &e), e);
    const lb_bench *b = list[0];
    free(list);
    return b;
}

/* The item of a row under one seed of the options' order. */
static void compare(seen *s, const lb_bench *b, const json_t *row, const json_t *prompts, uint64_t seed,
                    const char *where)
{
    lb_err e = {0};
    lb_items items;
    char *text = json_dumps(row, JSON_COMPACT);
    assert_non_null(text);
    assert_ok(lb_items_parse(b, 0, text, strlen(text), where, &(lb_items_opt){.option_seed = seed}, &items, &e), e);
    assert_int_equal(items.n, 1);
    const lb_item *it = items.p;
    size_t place = json_array_size(prompts) == 1 ? 0 : (size_t)(it->gold[0] - 'A');
    const char *want = json_string_value(json_array_get(prompts, place));
    if (!want || strcmp(it->prompt, want) != 0)
        fail_msg("%s: %s\n is not\n%s", where, it->prompt, want ? want : "(none)");
    if (json_array_size(prompts) == 4) s->places |= 1u << place;
    lb_items_free(&items);
    free(text);
}

static bool one(void *arg, json_t *j, const char *where, lb_err *err)
{
    (void)err;
    seen *s = arg;
    const char *task = json_string_value(json_object_get(j, "task"));
    const json_t *row = json_object_get(j, "row"), *prompts = json_object_get(j, "prompts");
    assert_true(task && json_is_object(row) && json_array_size(prompts) > 0);
    const lb_bench *b = bench_of(task);
    for (uint64_t seed = 0; seed < (json_array_size(prompts) > 1 ? 40 : 1); seed++)
        compare(s, b, row, prompts, seed, where);
    json_object_set_new(s->tasks, task, json_true());
    s->n++;
    json_decref(j);
    return true;
}

static void prompts_are_the_published_ones(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_map m;
    seen s = {.tasks = json_object()};
    assert_ok(lb_map_open(&m, path, &e), e);
    assert_ok(lb_jsonl_each((const char *)m.p, m.size, path, 0, one, &s, NULL, &e), e);
    lb_map_close(&m);
    static const char *const want[] = {"gsm8k", "math500", "aime24", "aime25", "gpqa_diamond", "mr_ben"};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) assert_non_null(json_object_get(s.tasks, want[i]));
    assert_int_equal(s.places, 15); /* every place of the gold option was seen */
    assert_true(s.n >= 12);
    print_message("%d rows\n", s.n);
    json_decref(s.tasks);
}

int main(int argc, char **argv)
{
    if (argc > 1) path = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test(prompts_are_the_published_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
