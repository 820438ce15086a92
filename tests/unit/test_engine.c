/* test_engine.c – the same tokens in any batch, slot, chunking and number of threads; admission, limits, bad requests. */
#include "test.h"
#include "base/rng.h"
#include "infer/engine.h"

enum { N_REQ = 40, MAX_NEW = 48 };

typedef struct sample { int ids[MAX_NEW], n; lb_finish finish; } sample;

static void keep(lb_request *r)
{
    sample *s = r->user;
    memcpy(s->ids, r->out, (size_t)r->n_out * sizeof(int));
    s->n = r->n_out, s->finish = r->finish;
}

/* Prompts of 1 … 60 ids that the model has seen (letters, digits), by request number. */
static int prompt_of(int i, int *ids)
{
    int n = 1 + i * 7 % 60;
    ids[0] = 1034;
    for (int j = 1; j < n; j++) ids[j] = (int)(lb_rng_uniform(lb_rng_key_of(9, (uint64_t)i, 0), (uint64_t)j) * 400);
    return n;
}

static void generate(lb_model *m, const lb_engine_opt *o, bool backwards, sample *out)
{
    lb_err e = {0};
    static const int stop[] = {1035, 1033};
    static int prompts[N_REQ][64];
    static lb_request req[N_REQ];
    lb_engine *g = lb_engine_open(m, o, &e);
    if (!g) fail_msg("%s", e.msg);
    for (int k = 0; k < N_REQ; k++) {
        int i = backwards ? N_REQ - 1 - k : k;
        req[i] = (lb_request){.prompt = prompts[i], .n_prompt = prompt_of(i, prompts[i]), .key = lb_rng_key_of(42, (uint64_t)i, 0),
                              .sampling = {.temperature = 1.0f, .top_p = 0.98f, .repetition_penalty = i % 3 == 0 ? 1.1f : 1}, .max_new = 8 + i % 40,
                              .stop = stop, .n_stop = 2, .user = &out[i], .on_done = keep};
        assert_ok(lb_engine_submit(g, &req[i], &e), e);
    }
    assert_ok(lb_engine_drain(g, &e), e);
    lb_engine_close(g);
}

static void same_tokens_whatever_runs_beside_them(void **state)
{
    (void)state;
    static const struct { int slots, batch, threads, pages; bool backwards; const char *isa; } cases[] = {
        {1, 512, 1, 0, false, NULL}, {7, 512, 2, 0, false, NULL}, {64, 512, 2, 0, true, NULL},
        {5, 5, 2, 0, false, NULL}, {16, 33, 1, 0, true, NULL}, {8, 64, 2, 9, false, NULL}, /* 9 pages: requests wait for memory */
    };
    static sample want[N_REQ], got[N_REQ];
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        lb_err e = {0};
        lb_exec *ex = lb_exec_open(&(lb_exec_opt){.n_thread = cases[c].threads}, &e);
        lb_model *m = lb_model_open(ABACUS_DIR, ex, &e);
        if (!m) fail_msg("%s", e.msg);
        lb_engine_opt o = {.n_slot = cases[c].slots, .max_batch = cases[c].batch, .n_page = cases[c].pages, .n_ctx = 128};
        generate(m, &o, cases[c].backwards, c ? got : want);
        lb_model_close(m);
        lb_exec_close(ex);
        for (int i = 0; c && i < N_REQ; i++) {
            if (got[i].n != want[i].n || got[i].finish != want[i].finish || memcmp(got[i].ids, want[i].ids, (size_t)want[i].n * sizeof(int)) != 0)
                fail_msg("case %zu, request %d: another text than alone", c, i);
        }
    }
    int lengths = 0;
    for (int i = 0; i < N_REQ; i++) lengths += want[i].finish == LB_FINISH_LENGTH;
    assert_true(lengths > 0);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_exec *ex = lb_exec_open(NULL, &e);
    lb_model *m = lb_model_open(ABACUS_DIR, ex, &e);
    lb_engine *g = lb_engine_open(m, &(lb_engine_opt){.n_ctx = 32}, &e);
    assert_non_null(g);
    int ids[64] = {1034, 2048, -1};
    lb_request r = {.prompt = ids, .n_prompt = 0, .sampling = {.top_p = 1, .repetition_penalty = 1}};
    assert_false(lb_engine_submit(g, &r, &e));
    r.n_prompt = 2;
    assert_false(lb_engine_submit(g, &r, &e));
    assert_non_null(strstr(e.msg, "2048"));
    ids[1] = 5, r.n_prompt = 3;
    assert_false(lb_engine_submit(g, &r, &e));
    ids[2] = 5, r.n_prompt = 32;
    assert_false(lb_engine_submit(g, &r, &e));
    assert_non_null(strstr(e.msg, "31"));
    r.n_prompt = 3, r.sampling.top_p = NAN;
    assert_false(lb_engine_submit(g, &r, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    r.sampling.top_p = 1; /* max_new 0: up to the context */
    assert_ok(lb_engine_submit(g, &r, &e), e);
    sample s;
    r.user = &s, r.on_done = keep;
    assert_ok(lb_engine_drain(g, &e), e);
    assert_true(s.finish == LB_FINISH_LENGTH && s.n == 29);
    lb_engine_close(g);
    lb_model_close(m);
    lb_exec_close(ex);
}

/* Logits that are NaN end every request with an error, and the engine then answers the next one as a new engine would. */
static void a_failed_step_leaves_a_usable_engine(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_exec *ex = lb_exec_open(NULL, &e);
    lb_model *m = lb_model_open(ABACUS_DIR, ex, &e);
    size_t size = m->lm_head.w.num->size(&m->lm_head.w);
    uint16_t *broken = malloc(size);
    memcpy(broken, m->lm_head.w.data, size);
    const void *sound = m->lm_head.w.data;
    broken[777] = 0x7fc0;
    lb_engine *g = lb_engine_open(m, &(lb_engine_opt){.n_slot = 2, .n_ctx = 64}, &e);
    static int ids[] = {1034, 73, 81};
    for (int round = 0; round < 3; round++) {
        sample s = {0};
        lb_request r = {.prompt = ids, .n_prompt = 3, .sampling = {.top_p = 1, .repetition_penalty = 1}, .max_new = 5, .user = &s, .on_done = keep};
        m->lm_head.w.data = round < 2 ? broken : sound;
        assert_ok(lb_engine_submit(g, &r, &e), e);
        bool ok = lb_engine_drain(g, &e);
        assert_true(ok == (round == 2));
        if (!ok) assert_int_equal(e.code, LB_ENUMERIC);
        assert_int_equal(s.n, round == 2 ? 5 : 0);
    }
    lb_engine_close(g);
    lb_model_close(m);
    lb_exec_close(ex);
    free(broken);
}

static void unknown_devices_levels_and_formats_are_named(void **state)
{
    (void)state;
    lb_err e = {0};
    assert_null(lb_exec_open(&(lb_exec_opt){.device = "tpu"}, &e));
    assert_non_null(strstr(e.msg, "tpu"));
    assert_null(lb_exec_open(&(lb_exec_opt){.isa = "avx1024"}, &e));
    assert_int_equal(e.code, LB_EUSAGE);
    lb_exec *ex = lb_exec_open(NULL, &e);
    lb_model *m = lb_model_open(ABACUS_DIR, ex, &e);
    assert_null(lb_engine_open(m, &(lb_engine_opt){.kv = "int5"}, &e));
    assert_non_null(strstr(e.msg, "int5"));
    lb_model_close(m);
    assert_null(lb_model_open("tests/no-such-model", ex, &e));
    assert_non_null(strstr(e.msg, "tests/no-such-model"));
    lb_exec_close(ex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_tokens_whatever_runs_beside_them), cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(a_failed_step_leaves_a_usable_engine),
        cmocka_unit_test(unknown_devices_levels_and_formats_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
