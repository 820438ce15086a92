/* test_sensitivity.c – one layer's KL against the two whole models, layers by kind, rules from a result. */
#include "test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/sensitivity.h"

enum { N_SEQ = 3, N_TOK = 40 };
static int windows[N_SEQ][N_TOK + 1]; /* one more than is used: the comparison's last position wants a next token */
static lb_exec *ex;
static lb_model *m;

static int open_model(void **state)
{
    (void)state;
    lb_err e = {0};
    for (int s = 0; s < N_SEQ; s++)
        for (int i = 0; i <= N_TOK; i++)
            windows[s][i] = (int)(lb_rng_uniform(lb_rng_key_of(4, (uint64_t)s, 0), (uint64_t)i) * 1000);
    ex = lb_exec_open(&(lb_exec_opt){.n_thread = 2}, &e);
    m = ex ? lb_model_open(ABACUS_DIR, ex, &e) : NULL;
    return m ? 0 : -1;
}

static int close_model(void **state)
{
    (void)state;
    lb_model_close(m);
    lb_exec_close(ex);
    return 0;
}

static bool same_name(void *arg, const char *name, int layer, int n, int k, lb_err *err)
{
    int *at = arg, kind = *at % LB_N_KIND;
    char module[LB_MODULE_NAME];
    (void)err;
    lb_kind_module(&m->cfg, layer, (lb_kind)kind, 0, module);
    assert_string_equal(module, name);
    assert_int_equal(lb_kind_count(&m->cfg, layer, (lb_kind)kind), 1);
    const lb_linear *l = lb_kind_linear(m, layer, (lb_kind)kind, 0);
    assert_true(l->w.n == n && l->w.k == k);
    ++*at;
    return true;
}

static void kinds_are_the_linears_of_the_config(void **state)
{
    (void)state;
    lb_err e = {0};
    int at = 0;
    assert_ok(lb_config_linears(&m->cfg, same_name, &at, &e), e);
    assert_int_equal(at, m->cfg.n_layer * LB_N_KIND);
}

/* The KL of a part, from two whole models. */
static lb_mean whole(int layer, lb_kind kind, const lb_scheme *s)
{
    lb_err e = {0};
    lb_model *q = lb_model_open(ABACUS_DIR, ex, &e);
    lb_linear *l = lb_kind_linear(q, layer, kind, 0);
    char module[LB_MODULE_NAME];
    lb_kind_module(&q->cfg, layer, kind, 0, module);
    lb_qmat qm = {.bits = s->w_bits, .n = l->w.n, .k = l->w.k, .group = s->group, .scale_type = LB_BF16};
    float *w = malloc((size_t)qm.n * (size_t)qm.k * sizeof *w);
    for (int r = 0; r < qm.n; r++) l->w.num->decode(&l->w, r, 0, qm.k, w + (size_t)r * (size_t)qm.k);
    assert_ok(lb_qmat_alloc(&qm, &e), e);
    lb_quant_job job = {.name = module, .w = w, .n = qm.n, .k = qm.k, .scheme = *s, .scale_type = LB_BF16, .ex = ex};
    assert_ok(lb_method_find("rtn", &e)->solve(&job, &qm, &e), e);
    lb_mat mat = lb_tile_mat(lb_qmat_num(&qm), qm.n, qm.k, qm.group, LB_BF16);
    void *data = lb_alloc(mat.num->size(&mat), 1, "a test", &e);
    lb_tile_pack(&qm, data, &l->w);
    l->w.data = data;
    lb_text_ids texts[N_SEQ];
    for (int i = 0; i < N_SEQ; i++) texts[i] = (lb_text_ids){windows[i], N_TOK + 1, 0};
    lb_compare_result r;
    assert_ok(lb_compare(m, q, texts, N_SEQ, &(lb_compare_opt){.mark = -1}, &r, &e), e);
    assert_int_equal(r.n_pos, N_SEQ * N_TOK);
    lb_model_close(q);
    lb_qmat_free(&qm);
    free(data);
    free(w);
    return r.kl;
}

static void a_part_is_the_difference_of_two_models(void **state)
{
    (void)state;
    lb_err e = {0};
    int flat[N_SEQ * N_TOK];
    for (int s = 0; s < N_SEQ; s++) memcpy(flat + s * N_TOK, windows[s], N_TOK * sizeof(int));
    lb_sens_opt o = {.n_scheme = 2};
    assert_ok(lb_scheme_parse("w2g128", &o.schemes[0], &e) && lb_scheme_parse("w4g64s", &o.schemes[1], &e), e);
    lb_sens_result r;
    assert_ok(lb_sens_run(m, flat, N_SEQ, N_TOK, &o, &r, &e), e);
    assert_int_equal(r.n, m->cfg.n_layer * LB_N_KIND);
    static const struct { int layer; lb_kind kind; int scheme; } some[] = {
        {0, LB_KIND_Q, 0}, {0, LB_KIND_DOWN, 1}, {3, LB_KIND_V, 0}, {5, LB_KIND_O, 1}, {5, LB_KIND_DOWN, 0}, {2, LB_KIND_UP, 0}};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        const lb_sens_part *p = &r.p[some[i].layer * LB_N_KIND + (int)some[i].kind];
        assert_true(p->layer == some[i].layer && p->kind == some[i].kind);
        lb_mean want = whole(some[i].layer, some[i].kind, &o.schemes[some[i].scheme]), got = p->kl[some[i].scheme];
        if (!(got.mean > 0) || fabs(got.mean / want.mean - 1) > 1e-9 || fabs(got.stderr_mean / want.stderr_mean - 1) > 1e-6)
            fail_msg("layer %d %s: KL %.12g ± %g, wanted %.12g ± %g", p->layer, lb_kind_name(p->kind), got.mean, got.stderr_mean,
                     want.mean, want.stderr_mean);
        const lb_linear *l = lb_kind_linear(m, p->layer, p->kind, 0);
        assert_int_equal(p->n_weight, (int64_t)l->w.n * l->w.k);
        assert_int_equal(p->bits[1], lb_scheme_bits(&o.schemes[1], l->w.n, l->w.k, LB_BF16));
        assert_false(l->w.num->grouped); /* the model is as it was */
    }
    /* rules: at a budget between the two, within it, better than all small, every module has one */
    lb_tensor_rule *rules;
    char(*patterns)[LB_PATTERN_TEXT];
    lb_allocation a;
    assert_ok(lb_sens_rules(&r, &m->cfg, 3.0, &rules, &patterns, &a, &e), e);
    double small = 0;
    int n4 = 0;
    for (int i = 0; i < r.n; i++) small += r.p[i].kl[0].mean, n4 += rules[i].scheme.w_bits == 4;
    assert_true(a.bpw <= 3.0 && a.bpw > 2.9 && a.cost < small / 2 && n4 > 5 && n4 < r.n);
    assert_string_equal(rules[LB_N_KIND].pattern, "^model\\.layers\\.1\\.self_attn\\.q_proj$");
    free(rules);
    free(patterns);
    assert_false(lb_sens_rules(&r, &m->cfg, 1.5, &rules, &patterns, NULL, &e));
    assert_true(!rules && !patterns && strstr(e.msg, "fewer than the 2.1"));
    lb_sens_free(&r);
}

static void experts_share_a_rule(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_config c = m->cfg;
    static lb_sens_part p[2 * LB_N_KIND];
    c.n_layer = 2, c.n_expert = 4, c.arch = lb_arch_find("qwen3_moe");
    for (int i = 0; i < 2 * LB_N_KIND; i++)
        p[i] = (lb_sens_part){.layer = i / LB_N_KIND, .kind = (lb_kind)(i % LB_N_KIND), .n_weight = 100, .bits = {300}};
    lb_sens_result r = {.p = p, .n = 2 * LB_N_KIND, .n_layer = 2, .n_scheme = 1, .schemes = {{.w_bits = 3, .a_bits = 16, .kv_bits = 16, .group = 128}}};
    lb_tensor_rule *rules;
    char(*patterns)[LB_PATTERN_TEXT];
    assert_ok(lb_sens_rules(&r, &c, 3.0, &rules, &patterns, NULL, &e), e);
    assert_string_equal(rules[LB_KIND_UP].pattern, "^model\\.layers\\.0\\.mlp\\.experts\\.[0-9]+\\.up_proj$");
    assert_string_equal(rules[LB_N_KIND + LB_KIND_K].pattern, "^model\\.layers\\.1\\.self_attn\\.k_proj$");
    free(rules);
    free(patterns);
}

static void what_cannot_be_measured_is_named(void **state)
{
    (void)state;
    lb_err e = {0};
    lb_sens_result r;
    lb_sens_opt o = {.n_scheme = 1, .schemes = {{.w_bits = 3, .a_bits = 16, .kv_bits = 16, .group = 128}}};
    int ids[4] = {1, 2, 2048, 3};
    assert_false(lb_sens_run(m, ids, 1, 4, &o, &r, &e));
    assert_non_null(strstr(e.msg, "token 2 is 2048"));
    ids[2] = 3, o.schemes[0].group = 512;
    assert_false(lb_sens_run(m, ids, 1, 4, &o, &r, &e));
    assert_non_null(strstr(e.msg, "group 512 is longer than the row of 256"));
    o.schemes[0] = (lb_scheme){.w_bits = 16, .a_bits = 16, .kv_bits = 16};
    assert_false(lb_sens_run(m, ids, 1, 4, &o, &r, &e));
    o.schemes[0] = (lb_scheme){.w_bits = 3, .a_bits = 16, .kv_bits = 16, .group = 128};
    volatile sig_atomic_t stop = 1;
    o.stop = &stop;
    assert_false(lb_sens_run(m, ids, 1, 4, &o, &r, &e));
    assert_int_equal(e.code, LB_ESTOPPED);
    assert_null(r.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_the_linears_of_the_config), cmocka_unit_test(a_part_is_the_difference_of_two_models),
        cmocka_unit_test(experts_share_a_rule), cmocka_unit_test(what_cannot_be_measured_is_named),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
