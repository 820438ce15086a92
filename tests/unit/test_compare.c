/* test_compare.c – KL, agreement, perplexity: known cases, a model against itself, chunks and threads, bad input. */
#include "test.h"
#include "base/rng.h"
#include "infer/compare.h"
#include "model/forward.h"

enum { N_TEXT = 5, LEN = 150 };
static int ids[N_TEXT][LEN];
static lb_text_ids texts[N_TEXT];

static lb_model *open_model(int threads, const char *isa, lb_exec **ex)
{
    lb_err e = {0};
    *ex = lb_exec_open(&(lb_exec_opt){.n_thread = threads, .isa = isa}, &e);
    lb_model *m = *ex ? lb_model_open(ABACUS_DIR, *ex, &e) : NULL;
    if (!m) fail_msg("%s", e.msg);
    return m;
}

static int make_texts(void **state)
{
    (void)state;
    for (int t = 0; t < N_TEXT; t++) {
        for (int i = 0; i < LEN; i++)
            ids[t][i] = (int)(lb_rng_uniform(lb_rng_key_of(3, (uint64_t)t, 0), (uint64_t)i) * 1000);
        texts[t] = (lb_text_ids){ids[t], LEN - 17 * t, t == 0 ? 0 : 10 * t};
    }
    return 0;
}

/* By hand: p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2): KL = 1/2·ln 2 − 1/4·ln 2 = ln 2 / 4. */
static void kl_of_known_rows(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_exec *ex = lb_exec_open(&(lb_exec_opt){.n_thread = 2}, &e);
    const float ln2 = 0.69314718f;
    float p[] = {5 + ln2, 5, 5, 1, 2, 3, 0, NAN, 0, 900, -900, 0}, q[] = {-1, -1, -1 + ln2, 1, 2, 3, 0, 0, 0, 0, 0, 0};
    double kl[4];
    lb_kl_rows(ex, p, q, 4, 3, kl);
    assert_true(fabs(kl[0] - 0.25 * log(2)) < 1e-7);
    assert_true(kl[1] == 0);
    assert_true(isnan(kl[2]));
    assert_true(fabs(kl[3] - log(3)) < 1e-12);
    lb_exec_close(ex);
}

static void pooled_means(void **state)
{
    (void)state;
    double sum[] = {2, 0, 9}, count[] = {1, 0, 2};
    lb_mean m = lb_pooled_mean(sum, count, 3); /* 11/3; deviations 2 − 11/3 and 9 − 22/3: ∓5/3 */
    assert_true(fabs(m.mean - 11.0 / 3) < 1e-15 && fabs(m.stderr_mean - sqrt(2 * 2 * 25.0 / 9) / 3) < 1e-15);
    m = lb_pooled_mean(sum, count, 1);
    assert_true(m.mean == 2 && isnan(m.stderr_mean));
    assert_true(isnan(lb_pooled_mean(sum + 1, count + 1, 1).mean));
}

static void a_model_equals_itself(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_exec *ex;
    lb_model *m = open_model(2, NULL, &ex);
    lb_compare_result r;
    assert_ok(lb_compare(m, m, texts, N_TEXT, &(lb_compare_opt){.mark = ids[1][40]}, &r, &e), e);
    int n = 0;
    for (int t = 0; t < N_TEXT; t++) n += texts[t].n - 1 - texts[t].first;
    assert_int_equal(r.n_pos, n);
    assert_int_equal(r.n_seq, N_TEXT);
    assert_true(r.kl.mean == 0 && r.kl.stderr_mean == 0 && r.kl_p99 == 0 && r.kl_max == 0);
    assert_true(r.top1.mean == 1 && r.ppl_base == r.ppl_quant && r.nll_diff.mean == 0);
    assert_true(r.n_mark >= 1 && r.mark_base.mean == r.mark_quant.mean);
    assert_int_equal(r.bucket[0].n + r.bucket[1].n + r.bucket[2].n, n);
    assert_true(r.bucket[0].n > 0 && r.bucket[0].kl == 0 && isnan(r.bucket[5].kl));
    lb_model_close(m);
    lb_exec_close(ex);
}

/* The whole against the same numbers computed from single decode steps. */
static void perplexity_and_mark_are_those_of_the_logits(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_exec *ex;
    lb_model *m = open_model(2, "ref", &ex);
    enum { N = 12, FIRST = 3 };
    lb_kv *kv = lb_kv_open(ex, &m->cfg, "bf16", 1, N, 0, &e);
    lb_forward *f = lb_forward_open(m, 1, 1, &e);
    assert_true(kv && f && lb_kv_grow(kv, 0, N));
    double nll = 0, mark = 0, entropy = 0;
    for (int i = 0; i < N - 1; i++) {
        int seq = 0, out = 0;
        const float *x;
        lb_batch b = {.n_tok = 1, .ids = &ids[2][i], .seq = &seq, .pos = &i, .n_out = 1, .out = &out};
        assert_ok(lb_forward_run(f, kv, &b, &x, &e), e);
        double sum = 0;
        for (int v = 0; v < m->cfg.n_vocab; v++) sum += exp((double)x[v]);
        double lp = (double)x[ids[2][i + 1]] - log(sum);
        for (int v = 0; i >= FIRST && v < m->cfg.n_vocab; v++) entropy -= exp((double)x[v]) / sum * ((double)x[v] - log(sum));
        if (i >= FIRST) nll -= lp;
        if (i == 6) mark = exp(lp);
    }
    lb_forward_close(f);
    lb_kv_close(kv);
    lb_text_ids text = {ids[2], N, FIRST};
    lb_compare_result r;
    assert_ok(lb_compare(m, m, &text, 1, &(lb_compare_opt){.mark = ids[2][7]}, &r, &e), e);
    assert_int_equal(r.n_pos, N - 1 - FIRST);
    double want = exp(nll / (N - 1 - FIRST));
    if (fabs(r.ppl_base / want - 1) > 1e-5) fail_msg("perplexity %g, wanted %g", r.ppl_base, want);
    entropy /= N - 1 - FIRST;
    if (fabs(r.entropy.mean / entropy - 1) > 1e-5) fail_msg("entropy %g, wanted %g", r.entropy.mean, entropy);
    if (fabs(r.mark_base.mean / mark - 1) > 1e-5) fail_msg("mark %g, wanted %g", r.mark_base.mean, mark);
    lb_model_close(m);
    lb_exec_close(ex);
}

/* Another model (the same with one block's norms changed): the numbers do not depend on threads, and make sense. */
static void other_models_differ_the_same_way_on_any_threads(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_compare_result r[2];
    for (int i = 0; i < 2; i++) {
        lb_exec *ex, *ex2;
        lb_model *m = open_model(i + 1, NULL, &ex), *other = open_model(i + 1, NULL, &ex2);
        float *norm = malloc((size_t)m->cfg.d_model * sizeof *norm);
        for (int k = 0; k < m->cfg.d_model; k++) norm[k] = other->layers[3].mlp_norm[k] * (k % 7 ? 1 : 0.5f);
        other->layers[3].mlp_norm = norm;
        assert_ok(lb_compare(m, other, texts, N_TEXT, &(lb_compare_opt){.mark = -1}, &r[i], &e), e);
        lb_model_close(m);
        lb_model_close(other);
        lb_exec_close(ex);
        lb_exec_close(ex2);
        free(norm);
    }
    assert_memory_equal(&r[0].kl, &r[1].kl, sizeof r[0].kl);
    assert_true(r[0].ppl_quant == r[1].ppl_quant && r[0].kl_p99 == r[1].kl_p99);
    assert_true(r[0].kl.mean > 0 && r[0].kl.stderr_mean > 0 && r[0].top1.mean < 1 && r[0].top1.mean > 0.1);
    assert_true(fabs(r[0].kl_entropy.mean - r[0].kl.mean / r[0].entropy.mean) < 1e-12);
    assert_true(r[0].kl_p99 >= r[0].kl.mean && r[0].kl_max >= r[0].kl_p99 && r[0].n_mark == 0);
    double all = 0;
    for (int b = 0; b < LB_KL_BUCKETS; b++) all += r[0].bucket[b].n ? r[0].bucket[b].kl * (double)r[0].bucket[b].n : 0;
    assert_true(fabs(all / (double)r[0].n_pos - r[0].kl.mean) < 1e-12);
}

static void what_cannot_be_compared_is_named(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_exec *ex, *ex2;
    lb_model *m = open_model(1, NULL, &ex), *other = open_model(1, NULL, &ex2);
    lb_compare_result r;
    lb_compare_opt o = {.mark = -1};
    lb_text_ids one = {ids[0], 10, 9};
    assert_false(lb_compare(m, m, &one, 1, &o, &r, &e));
    assert_non_null(strstr(e.msg, "no position"));
    static int many[2050];
    one = (lb_text_ids){many, 2050, 0};
    assert_false(lb_compare(m, m, &one, 1, &o, &r, &e));
    assert_non_null(strstr(e.msg, "2050 tokens, more than the context of 2048"));
    many[3] = 2048, one.n = 10;
    assert_false(lb_compare(m, m, &one, 1, &o, &r, &e));
    assert_non_null(strstr(e.msg, "token 3 is 2048"));
    many[3] = 0;
    other->cfg.n_vocab = 1000;
    assert_false(lb_compare(m, other, &one, 1, &o, &r, &e));
    assert_non_null(strstr(e.msg, "vocabulary of 2048"));
    other->cfg.n_vocab = 2048;
    float *norm = malloc((size_t)m->cfg.d_model * sizeof *norm);
    memcpy(norm, m->final_norm, (size_t)m->cfg.d_model * sizeof *norm);
    norm[5] = INFINITY;
    other->final_norm = norm;
    e = (lb_err){0};
    assert_false(lb_compare(m, other, &one, 1, &o, &r, &e));
    assert_int_equal(e.code, LB_ENUMERIC);
    assert_non_null(strstr(e.msg, "text 0 at position 0"));
    volatile sig_atomic_t stop = 1;
    o.stop = &stop;
    assert_false(lb_compare(m, m, &one, 1, &o, &r, &e));
    assert_int_equal(e.code, LB_ESTOPPED);
    free(norm);
    lb_model_close(m);
    lb_model_close(other);
    lb_exec_close(ex);
    lb_exec_close(ex2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kl_of_known_rows), cmocka_unit_test(pooled_means), cmocka_unit_test(a_model_equals_itself),
        cmocka_unit_test(perplexity_and_mark_are_those_of_the_logits),
        cmocka_unit_test(other_models_differ_the_same_way_on_any_threads),
        cmocka_unit_test(what_cannot_be_compared_is_named),
    };
    return cmocka_run_group_tests(tests, make_texts, NULL);
}
