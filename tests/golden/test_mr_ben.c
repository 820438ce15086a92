/* golden/test_mr_ben.c – replies and scores as the published scorer of MR-Ben has them.
 *
 * tests/golden/data/mr_ben.jsonl is made by tools/make_mr_ben_fixtures.py, which runs the published script. */
#include "test.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "eval/bench.h"

static const lb_bench *bench(void)
{
    for (int i = 0; lb_benches[i]; i++)
        if (strcmp(lb_benches[i]->name, "mr_ben") == 0) return lb_benches[i];
    fail_msg("no mr_ben");
    return NULL;
}

/* One row, with nothing in it but what is graded. */
static void item_of(const char *gold, int source, lb_items *items)
{
    lb_err e = {0};
    bool correct = strcmp(gold, "correct") == 0;
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:[s], s:s, s:s}", "Question_UUID", "u", "Subject", "college_x",
                            "Question", "q", "Options", "A: 1", "Model_Solution_Steps", "Step 1: s",
                            "Model_Solution_Correctness", correct ? "correct" : "incorrect",
                            "Model_Solution_First_Error_Step", correct ? "N/A" : gold + strlen("incorrect; "));
    char *text = json_dumps(row, 0);
    assert_ok(lb_items_parse(bench(), source, text, strlen(text), "row.jsonl", NULL, items, &e), e);
    assert_string_equal(items->p->gold, gold);
    free(text);
    json_decref(row);
}

static void graded(const lb_item *it, const char *reply, lb_grade *g)
{
    lb_err e = {0};
    assert_ok(bench()->grade(it, reply, &(lb_grader){0}, g, &e), e);
}

static int n_reply, n_right, n_score;

static void one_reply(const json_t *j, const char *where)
{
    lb_items items;
    lb_grade g, thought;
    const char *reply = json_string_value(json_object_get(j, "reply"));
    bool right = json_is_true(json_object_get(j, "right"));
    item_of(json_string_value(json_object_get(j, "gold")), 0, &items);
    graded(items.p, reply, &g);
    if ((g.strict == LB_RIGHT) != right) fail_msg("%s: %s\n is %d (%s)", where, reply, g.strict, g.extracted);
    if (g.strict == LB_RIGHT && g.verdict != LB_RIGHT) fail_msg("%s: strict without verdict", where);
    if (g.verdict == LB_RIGHT && (g.lenient != LB_RIGHT || g.why[0]))
        fail_msg("%s: verdict without lenient: %s", where, g.why);
    lb_buf b = {0}; /* the same behind thinking, and with thinking that never ends */
    lb_buf_fmt(&b, "<think>Solution Correctness: neither\nFirst Error Step: 99\nError Reason: x</think>%s", reply);
    graded(items.p, b.p, &thought);
    assert_int_equal(thought.strict, g.strict);
    lb_buf_reset(&b);
    lb_buf_fmt(&b, "<think>%s", reply);
    graded(items.p, b.p, &thought);
    assert_true(thought.verdict == LB_WRONG && thought.strict == LB_WRONG && thought.lenient == g.lenient);
    lb_buf_free(&b);
    lb_items_free(&items);
    n_reply++, n_right += right;
}

static void one_score(const json_t *j, const char *where)
{
    const json_t *samples = json_object_get(j, "samples"), *s, *want = json_object_get(j, "score");
    size_t i, n = json_array_size(samples);
    lb_err e = {0};
    lb_items *items = calloc(n, sizeof *items);
    lb_grade *grades = calloc(n, sizeof *grades);
    lb_scored *scored = calloc(n, sizeof *scored);
    assert_true(items && grades && scored);
    json_array_foreach (samples, i, s) {
        const char *subject = json_string_value(json_array_get(s, 0));
        int source = 0;
        while (strcmp(bench()->sources[source]->name, subject) != 0) source++;
        item_of(json_string_value(json_array_get(s, 2)), source, &items[i]);
        items[i].p->cluster = 1 + (int)json_integer_value(json_array_get(s, 1));
        graded(items[i].p, json_string_value(json_array_get(s, 3)), &grades[i]);
        scored[i] =
            (lb_scored){.item = items[i].p, .extracted = grades[i].extracted, .right = grades[i].verdict == LB_RIGHT};
    }
    json_t *out = json_object(), *again = json_object();
    assert_ok(bench()->metrics(bench(), scored, n, out, &e), e);
    double mean = 0;
    const char *subject;
    json_t *v;
    json_object_foreach ((json_t *)want, subject, v) {
        char key[64];
        snprintf(key, sizeof key, "mcc/%s", subject);
        double mcc = json_real_value(json_object_get(out, key));
        snprintf(key, sizeof key, "first_error_step/%s", subject);
        double step = json_real_value(json_object_get(out, key)), got = 0.2 * fmax(0, mcc) + 0.3 * step;
        if (fabs(got - json_real_value(v)) > 1e-12)
            fail_msg("%s: %s is %.12f, wanted %.12f", where, subject, got, json_real_value(v));
        mean += json_real_value(v) / (double)json_object_size(want);
    }
    double got = json_real_value(json_object_get(out, "mr_score_without_reason"));
    if (fabs(got - mean) > 1e-12) fail_msg("%s: %.12f, wanted %.12f", where, got, mean);
    double se = json_real_value(json_object_get(out, "mcc_stderr"));
    assert_true(se > 0.01 && se < 0.3);
    assert_ok(bench()->metrics(bench(), scored, n, again, &e), e); /* a function of the samples alone */
    assert_true(json_equal(out, again));
    for (i = 0; i < n; i++) lb_items_free(&items[i]);
    json_decref(out);
    json_decref(again);
    free(items);
    free(grades);
    free(scored);
    n_score++;
}

static bool one(void *arg, json_t *j, const char *where, lb_err *err)
{
    (void)arg, (void)err;
    if (json_object_get(j, "reply")) one_reply(j, where);
    else one_score(j, where);
    json_decref(j);
    return true;
}

static void replies_and_scores_are_the_published_ones(void **state)
{
    (void)state;
    const char *path = "tests/golden/data/mr_ben.jsonl";
    lb_err e = {0};
    lb_map m;
    assert_ok(lb_map_open(&m, path, &e), e);
    assert_ok(lb_jsonl_each((const char *)m.p, m.size, path, 0, one, NULL, NULL, &e), e);
    lb_map_close(&m);
    assert_true(n_reply >= 400 && n_right >= 50 && n_reply - n_right >= 100 && n_score >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(replies_and_scores_are_the_published_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
