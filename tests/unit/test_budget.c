/* test_budget.c – forced tokens: where thinking ends, where it goes on, and that texts stay the same in any batch. */
#include "test.h"
#include "eval/budget.h"
#include "eval/target.h"

enum { OPEN = 50, CLOSE = 51, W1 = 60, W2 = 61 };

/* Feeds `in` (0 ends it) and compares what is taken with `want`. */
static void force(int budget, int extend, bool in_thinking, const int *in, const int *want, int line)
{
    lb_budget b = {.budget = budget, .extend = extend, .open = OPEN, .close = CLOSE, .wait = {W1, W2}, .n_wait = 2};
    lb_budget_state s = {.thinking = in_thinking};
    for (int i = 0; in[i]; i++) {
        int got = lb_budget_next(&b, &s, in[i]);
        if (got != want[i]) fail_msg("line %d, token %d: %d, wanted %d", line, i, got, want[i]);
    }
}
#define LIST(...) (const int[]){__VA_ARGS__, 0}
#define FORCE(b, e, t, in, want) force(b, e, t, in, want, __LINE__)

static void thinking_is_ended_and_extended(void **state)
{
    (void)state;
    FORCE(0, 0, false, LIST(1, OPEN, 2, CLOSE, 3), LIST(1, OPEN, 2, CLOSE, 3));
    FORCE(3, 0, false, LIST(1, OPEN, 2, 3, 4, 5, 6, 7), LIST(1, OPEN, 2, 3, 4, CLOSE, 6, 7));
    FORCE(3, 0, true, LIST(2, 3, 4, 5, 6), LIST(2, 3, 4, CLOSE, 6));
    FORCE(3, 0, true, LIST(2, 3, CLOSE, 5, 6, 7, 8), LIST(2, 3, CLOSE, 5, 6, 7, 8)); /* closed in time: left alone */
    FORCE(3, 0, true, LIST(2, 3, 4, CLOSE, 6), LIST(2, 3, 4, CLOSE, 6));
    FORCE(3, 0, false, LIST(1, 2, 3, 4, 5), LIST(1, 2, 3, 4, 5)); /* does not think */
    FORCE(0, 1, true, LIST(2, CLOSE, 9, 3, CLOSE, 4, CLOSE), LIST(2, W1, W2, 3, CLOSE, 4, CLOSE));
    FORCE(0, 2, true, LIST(CLOSE, CLOSE, CLOSE, 9, 5, CLOSE, 4), LIST(W1, W2, W1, W2, 5, CLOSE, 4));
    FORCE(4, 9, true, LIST(2, CLOSE, 9, CLOSE, 9, 9, 8), LIST(2, W1, W2, W1, CLOSE, 9, 8)); /* the budget ends a "Wait" */
    FORCE(2, 9, true, LIST(2, 3, CLOSE, 4), LIST(2, 3, CLOSE, 4));
    FORCE(2, 0, true, LIST(2, 3, 4, OPEN, 5, 6), LIST(2, 3, CLOSE, OPEN, CLOSE, 6)); /* no second budget */
}

typedef struct sample {
    lb_request r;
    lb_budget *b;
    lb_budget_state s;
    int ids[200], n;
} sample;

static int on_sample(lb_request *r, int id) { return lb_budget_next(((sample *)r->user)->b, &((sample *)r->user)->s, id); }
static void on_done(lb_request *r)
{
    sample *s = r->user;
    memcpy(s->ids, r->out, (size_t)r->n_out * sizeof(int));
    s->n = r->n_out;
}

static void texts_are_the_same_in_any_batch(void **state)
{
    (void)state;
    static const char *const problems[] = {"Compute $12 \\cdot 34$.", "Sam has 7 coins. Ben has 3 more. How many has Ben?",
                                           "Compute $\\frac{1}{6} + \\frac{2}{7}$.", "Let $a = 7$. Find $a^3$."};
    enum { N = 4 };
    static sample got[2][N];
    lb_err e = {0};
    lb_target t;
    lb_budget b;
    lb_exec *ex = lb_exec_open(&(lb_exec_opt){.n_thread = 2}, &e);
    assert_ok(lb_target_open(&t, ABACUS_DIR, ex, &e), e);
    assert_ok(lb_budget_open(&b, t.tok, 20, 1, &e), e);
    assert_true(b.n_wait >= 1 && b.open == 1036 && b.close == 1037);
    lb_ids prompt[N] = {{0}};
    for (int round = 0; round < 2; round++) {
        lb_engine *g = lb_engine_open(t.model, &(lb_engine_opt){.n_slot = round ? N : 1, .n_ctx = 256}, &e);
        for (int i = 0; i < N; i++) {
            bool in_thinking;
            sample *s = &got[round][i];
            prompt[i].n = 0;
            assert_ok(lb_target_prompt(&t, NULL, problems[i], NULL, &prompt[i], &in_thinking, NULL, &e), e);
            s->b = &b, s->s.thinking = in_thinking;
            s->r = (lb_request){.prompt = prompt[i].p, .n_prompt = (int)prompt[i].n, .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1},
                                .key = lb_rng_key_of(1, (uint64_t)i, 0), .max_new = 80, .stop = t.gen.eos, .n_stop = t.gen.n_eos,
                                .user = s, .on_sample = on_sample, .on_done = on_done};
            assert_ok(lb_engine_submit(g, &s->r, &e), e);
            if (round == 0) assert_ok(lb_engine_drain(g, &e), e);
        }
        assert_ok(lb_engine_drain(g, &e), e);
        lb_engine_close(g);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(got[0][i].n, got[1][i].n);
        assert_memory_equal(got[0][i].ids, got[1][i].ids, (size_t)got[0][i].n * sizeof(int));
        int thought = 0;
        bool inside = false;
        for (int j = 0; j < got[0][i].n; j++) {
            inside = inside && got[0][i].ids[j] != b.close;
            thought += inside;
            inside = inside || got[0][i].ids[j] == b.open;
        }
        assert_in_range(thought, 1, 20);
        lb_ids_free(&prompt[i]);
    }
    lb_target_close(&t);
    lb_exec_close(ex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thinking_is_ended_and_extended), cmocka_unit_test(texts_are_the_same_in_any_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
