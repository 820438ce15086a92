/* test_recon.c – training one block: FlatQuant leaves it what it is at 16 bits and makes 4 bits better; AutoRound never loses to
 * rounding to nearest. */
#include "recon_rig.h"
#include "model/forward.h"
#include "num/hadamard.h"
#include "quant/autoround.h"
#include "quant/grid.h"
#include "quant/flatquant.h"
#include "quant/method.h"
#include "quant/quarot.h"

enum { SEQS = 8, LEN = 16 };

static lb_exec *open_exec(int n_thread)
{
    lb_err err = {0};
    lb_exec *ex = lb_exec_open(&(lb_exec_opt){.n_thread = n_thread}, &err);
    assert_ok(ex, err);
    return ex;
}

static lb_flatquant_opt w4a4kv4(int epochs)
{
    lb_flatquant_opt o = {.a_bits = 4, .k_bits = 4, .v_bits = 4, .epochs = epochs, .seed = 3};
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) o.w_bits[i] = 4;
    return o;
}

static double power_of(const float *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)y[i] * (double)y[i];
    return sum / (double)n;
}

/* ---- FlatQuant ---- */

static void factors_are_near_each_other(void **state)
{
    (void)state;
    static const int want[][3] = {{1536, 32, 48}, {8960, 80, 112}, {128, 8, 16}, {256, 16, 16}, {18944, 128, 148}, {6, 2, 3},
                                  {97, 1, 97},    {1, 1, 1},       {5120, 64, 80}, {49, 7, 7}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        int a, b;
        lb_flatquant_split(want[i][0], &a, &b);
        assert_int_equal(a, want[i][1]);
        assert_int_equal(b, want[i][2]);
    }
}

static const lb_config SHAPES[] = {
    {.d_model = 24, .n_head = 4, .n_kv = 2, .d_head = 8, .d_ff = 36},
    {.d_model = 14, .n_head = 3, .n_kv = 1, .d_head = 6, .d_ff = 13, .qkv_bias = true, .mlp_bias = true},   /* 13 is prime */
    {.d_model = 16, .n_head = 1, .n_kv = 1, .d_head = 10, .d_ff = 22},
};
enum { N_SHAPE = sizeof SHAPES / sizeof *SHAPES };

/* Transformed by random matrices (no step) and by trained ones, with online transforms and no quantizer: the same outputs. */
static void at_16_bits_the_block_stays(void **state)
{
    (void)state;
    lb_exec *ex = open_exec(2);
    for (int i = 0; i < N_SHAPE; i++) {
        for (int epochs = -1; epochs <= 1; epochs += 2) {
            lb_err err = {0};
            lb_config c = SHAPES[i];
            lb_qblock b = random_block(&c, 40 + (uint64_t)i);
            float *x = outlier_inputs(&c, SEQS, LEN, 5), *y = outputs(ex, &b, x, SEQS, LEN);
            lb_flatquant_opt o = w4a4kv4(epochs);
            lb_flatquant_report rep = {0};
            assert_ok(lb_flatquant_block(ex, &b, &(lb_recon_data){.x = x, .n_seq = SEQS, .len = LEN}, &o, &rep, &err), err);
            double e = error_as_run(ex, &b, x, y, SEQS, LEN, 0, 0), all = power_of(y, SEQS * LEN * (size_t)c.d_model);
            if (!(sqrt(e / all) < 1e-4)) fail_msg("shape %d, %d epochs: moved by %g", i, epochs, sqrt(e / all));
            assert_true(b.in[LB_SITE_DOWN].kind == LB_TRANSFORM_KRON && b.in[LB_SITE_K_ROPE].kind == LB_TRANSFORM_KRON);
            assert_int_equal(b.in[LB_SITE_QKV].na * b.in[LB_SITE_QKV].nb, c.d_model);
            assert_true(rep.power > 0 && fabs(rep.power - all) < 1e-6 * all);
            lb_flatquant_report_free(&rep);
            lb_qblock_free(&b);
            free(x), free(y);
        }
    }
    lb_exec_close(ex);
}

/* The same through the kernels: a model whose layers are all transformed gives the logits it gave. */
static float *logits_of(lb_model *m, int n)
{
    lb_err err = {0};
    int ids[64], seq[64] = {0}, at[64];
    for (int i = 0; i < n; i++) ids[i] = (7 * i + 3) % m->cfg.n_vocab, at[i] = i;
    lb_kv *kv = lb_kv_open(m->ex, &m->cfg, "f32", 1, n, 0, &err);
    lb_forward *f = lb_forward_open(m, n, n, &err);
    assert_ok(kv && f, err);
    assert_true(lb_kv_grow(kv, 0, n));
    const float *l;
    assert_ok(lb_forward_run(f, kv, &(lb_batch){.n_tok = n, .ids = ids, .seq = seq, .pos = at, .n_out = n, .out = at}, &l, &err), err);
    float *out = malloc((size_t)n * (size_t)m->cfg.n_vocab * sizeof *out);
    memcpy(out, l, (size_t)n * (size_t)m->cfg.n_vocab * sizeof *out);
    lb_forward_close(f);
    lb_kv_close(kv);
    return out;
}

static void at_16_bits_the_logits_stay(void **state)
{
    (void)state;
    static const char *const dirs[] = {"tests/golden/data/models/qwen3", "tests/golden/data/models/qwen2"};
    enum { N = 24 };
    for (int d = 0; d < 2; d++) {
        lb_err err = {0};
        lb_exec *ex = open_exec(2);
        lb_model *m = lb_model_open(dirs[d], ex, &err);
        assert_ok(m, err);
        float *before = logits_of(m, N), *x = outlier_inputs(&m->cfg, 4, LEN, 6);
        lb_qblock b[4];
        for (int i = 0; i < m->cfg.n_layer; i++) {
            lb_flatquant_report rep = {0};
            lb_flatquant_opt o = w4a4kv4(1);
            assert_ok(lb_qblock_load(&b[i], &m->cfg, m->store, i, &err), err);
            assert_ok(lb_flatquant_block(ex, &b[i], &(lb_recon_data){.x = x, .n_seq = 4, .len = LEN}, &o, &rep, &err), err);
            lb_flatquant_report_free(&rep);
            lb_qblock_bind(&b[i], &m->layers[i]);
        }
        float *after = logits_of(m, N);
        double e = 0, all = 0;
        for (int i = 0; i < N * m->cfg.n_vocab; i++) {
            e = fmax(e, fabs((double)after[i] - (double)before[i]));
            all = fmax(all, fabs((double)before[i]));
        }
        if (!(e < 1e-4 * fmax(1, all))) fail_msg("%s: logits up to %g moved by %g", dirs[d], all, e);
        free(before), free(after), free(x);
        lb_model_close(m);
        for (int i = 0; i < 2; i++) lb_qblock_free(&b[i]);
        lb_exec_close(ex);
    }
}

static void key_and_query_transforms_are_inverse(void **state)
{
    (void)state;
    lb_exec *ex = open_exec(1);
    lb_err err = {0};
    lb_config c = SHAPES[0];
    lb_qblock b = random_block(&c, 1);
    float *x = outlier_inputs(&c, SEQS, LEN, 5);
    lb_flatquant_opt o = w4a4kv4(2);
    lb_flatquant_report rep = {0};
    assert_ok(lb_flatquant_block(ex, &b, &(lb_recon_data){.x = x, .n_seq = SEQS, .len = LEN}, &o, &rep, &err), err);
    const float *k = b.in[LB_SITE_K_ROPE].b, *q = b.in[LB_SITE_Q_ROPE].b;
    for (int i = 0; i < c.d_head; i++)
        for (int j = 0; j < c.d_head; j++) {
            double sum = 0; /* P·(P⁻ᵀ)ᵀ */
            for (int l = 0; l < c.d_head; l++) sum += (double)k[i * c.d_head + l] * (double)q[j * c.d_head + l];
            assert_true(fabs(sum - (i == j)) < 1e-5);
        }
    lb_flatquant_report_free(&rep);
    lb_qblock_free(&b);
    free(x);
    lb_exec_close(ex);
}

/* Hadamard rotations at the same places (what QuaRot does inside a block), as matrices on the tape. */
typedef struct rotated {
    const lb_config *c;
    float *h[LB_BLOCK_INPUTS], *hk;
} rotated;

static float *hadamard(int n)
{
    float *h = lb_alloc((size_t)n * (size_t)n, sizeof *h, "h", NULL);
    for (int i = 0; i < n; i++) h[i * n + i] = 1;
    lb_hadamard_rows(h, n, n);
    return h;
}

static lb_var *rotated_input(void *arg, lb_grad *g, lb_block_input which, lb_var *x)
{
    rotated *r = arg;
    x = lb_grad_kron(g, x, NULL, lb_grad_const(g, r->h[which], x->k, x->k));
    return lb_grad_act_fq(g, x, &(lb_act_fq){.bits = 4, .clip_lo = 0.9f, .clip_hi = 0.9f});
}

static void rotated_weight(void *arg, lb_grad *g, lb_block_linear which, lb_var **w, lb_var **bias)
{
    (void)bias;
    rotated *r = arg;
    int site = which <= LB_BLOCK_V ? LB_BLOCK_IN_QKV : which == LB_BLOCK_O ? LB_BLOCK_IN_O : which == LB_BLOCK_DOWN ? LB_BLOCK_IN_DOWN : LB_BLOCK_IN_GATE_UP;
    *w = lb_grad_kron(g, *w, NULL, lb_grad_const(g, r->h[site], (*w)->k, (*w)->k));
    *w = lb_grad_weight_fq(g, *w, &(lb_weight_fq){.bits = 4, .sym = true});
}

static lb_var *rotated_head(void *arg, lb_grad *g, lb_block_head which, lb_var *x)
{
    rotated *r = arg;
    int n = x->n, k = x->k, d = r->c->d_head;
    x = lb_grad_view(g, x, n * (k / d), d);
    x = lb_grad_kron(g, x, NULL, lb_grad_const(g, r->hk, d, d));
    if (which != LB_BLOCK_HEAD_Q) x = lb_grad_act_fq(g, x, &(lb_act_fq){.bits = 4, .clip_lo = 0.95f, .clip_hi = 0.95f});
    if (which == LB_BLOCK_HEAD_V) x = lb_grad_kron(g, x, NULL, lb_grad_const(g, r->hk, d, d)); /* symmetric: back again */
    return lb_grad_view(g, x, n, k);
}

static double hadamard_error(lb_exec *ex, lb_qblock *b, const lb_recon_data *data)
{
    lb_err err = {0};
    lb_recon r;
    double e = 0;
    rotated h = {b->cfg, {hadamard(b->cfg->d_model), hadamard(b->o.k), hadamard(b->cfg->d_model), hadamard(b->cfg->d_ff)}, hadamard(b->cfg->d_head)};
    lb_recon_hooks hooks = {.block = {.arg = &h, .input = rotated_input, .weight = rotated_weight,
                                         .head = rotated_head}};
    assert_ok(lb_recon_open(&r, ex, b, data, 1, 0, &err) && lb_recon_measure(&r, &hooks, &e, &err), err);
    lb_recon_close(&r);
    for (int i = 0; i < LB_BLOCK_INPUTS; i++) free(h.h[i]);
    free(h.hk);
    return e;
}

/* Also: the codes that come out, run with the online transforms, make the error that training saw. */
static void four_bits_are_better_than_nearest_and_hadamard(void **state)
{
    (void)state;
    lb_exec *ex = open_exec(2);
    lb_err err = {0};
    lb_config c = {.d_model = 48, .n_head = 4, .n_kv = 2, .d_head = 16, .d_ff = 80};
    lb_qblock b = random_block(&c, 11);
    float *x = outlier_inputs(&c, 16, LEN, 5), *y = outputs(ex, &b, x, 16, LEN);
    lb_recon_data data = {.x = x, .target = y, .n_seq = 16, .len = LEN};
    double had = hadamard_error(ex, &b, &data);
    lb_flatquant_opt o = w4a4kv4(0);
    lb_flatquant_report rep = {0};
    assert_ok(lb_flatquant_block(ex, &b, &data, &o, &rep, &err), err);
    if (!(rep.end < 0.8 * rep.start && rep.end < 0.5 * rep.rtn && rep.end < 0.8 * had))
        fail_msg("nearest %g, hadamard %g, start %g, end %g", rep.rtn, had, rep.start, rep.end);
    assert_int_equal(rep.skipped, 0);
    lb_qlinear *all[] = {&b.q, &b.k, &b.v, &b.o, &b.gate, &b.up, &b.down};
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        lb_qmat q = {.bits = 4, .n = all[i]->n, .k = all[i]->k, .group = all[i]->k, .scale_type = LB_F32};
        assert_ok(lb_qmat_alloc(&q, &err), err);
        for (int r = 0; r < 2 * q.n; r++) assert_true(rep.clip[i][r] > 0.1f && rep.clip[i][r] < 1);
        lb_quant_job job = {.name = "a linear", .w = all[i]->w, .n = q.n, .k = q.k, .ex = ex, .row_clip = rep.clip[i],
                            .scheme = {.w_bits = 4, .a_bits = 4, .kv_bits = 4, .group = -1, .sym = true}, .scale_type = LB_F32};
        assert_ok(lb_method_find("rtn", &err)->solve(&job, &q, &err), err);
        decode(&q, all[i]->w);
        lb_qmat_free(&q);
    }
    double run = error_as_run(ex, &b, x, y, 16, LEN, 4, 4);
    if (!(fabs(run - rep.end) < 0.02 * rep.end)) fail_msg("trained to %g, runs with %g", rep.end, run);
    lb_flatquant_report_free(&rep);
    lb_qblock_free(&b);
    free(x), free(y);
    lb_exec_close(ex);
}

static void flatquant_does_not_depend_on_threads(void **state)
{
    (void)state;
    lb_err err = {0};
    float *w[2];
    lb_config c = SHAPES[0];
    size_t n = (size_t)c.d_ff * (size_t)c.d_model;
    for (int t = 0; t < 2; t++) {
        lb_exec *ex = open_exec(1 + 2 * t);
        lb_qblock b = random_block(&c, 2);
        float *x = outlier_inputs(&c, SEQS, 33, 5);
        lb_flatquant_opt o = w4a4kv4(2);
        lb_flatquant_report rep = {0};
        o.learn_kv_clip = true;
        assert_ok(lb_flatquant_block(ex, &b, &(lb_recon_data){.x = x, .n_seq = SEQS, .len = 33}, &o, &rep, &err), err);
        assert_true(rep.k_clip[0] != 1 && rep.v_clip[1] != 1);
        w[t] = malloc(n * sizeof(float));
        memcpy(w[t], b.up.w, n * sizeof(float));
        lb_flatquant_report_free(&rep);
        lb_qblock_free(&b);
        free(x);
        lb_exec_close(ex);
    }
    assert_memory_equal(w[0], w[1], n * sizeof(float));
    free(w[0]), free(w[1]);
}

/* A batch in parts is the same step but for the order of sums. */
static void parts_of_a_batch_add_up(void **state)
{
    (void)state;
    lb_exec *ex = open_exec(1);
    double end[2], round[2];
    assert_int_equal(lb_recon_micro(8, 256), 8);
    assert_int_equal(lb_recon_micro(8, 600), 4);
    assert_int_equal(lb_recon_micro(4, 4096), 1);
    assert_int_equal(lb_recon_micro(5, 1024), 5);
    for (int i = 0; i < 2; i++) {
        lb_err err = {0};
        lb_config c = SHAPES[0];
        lb_qblock b = random_block(&c, 2);
        float *x = outlier_inputs(&c, SEQS, LEN, 5);
        lb_recon_data data = {.x = x, .n_seq = SEQS, .len = LEN};
        lb_flatquant_opt o = w4a4kv4(4);
        lb_flatquant_report rep = {0};
        lb_autoround_linear lin[LB_BLOCK_LINEARS] = {{0}};
        lb_qmat q = {.bits = 3, .n = b.up.n, .k = b.up.k, .group = 8, .scale_type = LB_F32};
        lb_autoround_report ar;
        assert_ok(lb_qmat_alloc(&q, &err), err);
        lin[LB_BLOCK_UP].out = &q;
        assert_ok(lb_autoround_block(ex, &b, &data, &(lb_autoround_opt){.iters = 20, .batch = 4, .micro = i ? 1 : 4}, lin, &ar, &err), err);
        o.micro = i ? 2 : 4;
        assert_ok(lb_flatquant_block(ex, &b, &data, &o, &rep, &err), err);
        end[i] = rep.end, round[i] = ar.end;
        lb_qmat_free(&q);
        lb_flatquant_report_free(&rep);
        lb_qblock_free(&b);
        free(x);
    }
    if (!(fabs(end[0] - end[1]) < 0.05 * end[0] && fabs(round[0] - round[1]) < 0.05 * round[0]))
        fail_msg("flatquant %g and %g, autoround %g and %g", end[0], end[1], round[0], round[1]);
    lb_exec_close(ex);
}

static void flatquant_refuses(void **state)
{
    (void)state;
    lb_exec *ex = open_exec(1);
    lb_config c = SHAPES[0], wide = {.d_model = 8, .n_head = 1, .n_kv = 1, .d_head = 8, .d_ff = 1031};
    lb_qblock b = random_block(&c, 2), w = random_block(&wide, 3);
    float *x = outlier_inputs(&c, SEQS, LEN, 5);
    lb_flatquant_opt o = w4a4kv4(1);
    lb_flatquant_report rep = {0};
    lb_err err = {0};
    assert_false(lb_flatquant_block(ex, &b, &(lb_recon_data){.x = x, .n_seq = 3, .len = LEN}, &o, &rep, &err));
    assert_int_equal(err.code, LB_EUSAGE);
    assert_non_null(strstr(err.msg, "less than one batch of 4"));
    assert_false(lb_flatquant_block(ex, &w, &(lb_recon_data){.x = x, .n_seq = SEQS, .len = LEN}, &o, &rep, &err));
    assert_int_equal(err.code, LB_EUSAGE);
    assert_non_null(strstr(err.msg, "1031"));
    x[(2 * LEN + 5) * c.d_model + 7] = NAN;
    float *before = malloc((size_t)b.q.n * (size_t)b.q.k * sizeof(float));
    memcpy(before, b.q.w, (size_t)b.q.n * (size_t)b.q.k * sizeof(float));
    assert_false(lb_flatquant_block(ex, &b, &(lb_recon_data){.x = x, .n_seq = SEQS, .len = LEN}, &o, &rep, &err));
    assert_int_equal(err.code, LB_ENUMERIC);
    assert_non_null(strstr(err.msg, "sequence 2, position 5, channel 7"));
    assert_memory_equal(before, b.q.w, (size_t)b.q.n * (size_t)b.q.k * sizeof(float));
    x[(2 * LEN + 5) * c.d_model + 7] = 0;
    o.max_bytes = 1000;
    assert_false(lb_flatquant_block(ex, &b, &(lb_recon_data){.x = x, .n_seq = SEQS, .len = LEN}, &o, &rep, &err));
    assert_int_equal(err.code, LB_ENOMEM);
    o.max_bytes = 0;
    b.in[LB_SITE_O].kind = LB_TRANSFORM_HADAMARD;
    assert_false(lb_flatquant_block(ex, &b, &(lb_recon_data){.x = x, .n_seq = SEQS, .len = LEN}, &o, &rep, &err));
    assert_int_equal(err.code, LB_EUSAGE);
    lb_flatquant_report_free(&rep);
    lb_qblock_free(&b), lb_qblock_free(&w);
    free(x), free(before);
    lb_exec_close(ex);
}

/* A step keeps inside what the plan says of it. */
static void steps_stay_inside_the_plan(void **state)
{
    (void)state;
    static const lb_config shapes[] = {
        {.d_model = 24, .n_head = 4, .n_kv = 2, .d_head = 8, .d_ff = 36}, {.d_model = 128, .n_head = 4, .n_kv = 4, .d_head = 32, .d_ff = 384}};
    lb_exec *ex = open_exec(1);
    for (int i = 0; i < 2; i++) {
        lb_config c = shapes[i];
        lb_err err = {0};
        lb_qblock b = random_block(&c, 2);
        float *x = outlier_inputs(&c, 4, 100, 5);
        lb_recon_data data = {.x = x, .n_seq = 4, .len = 100};
        lb_flatquant_opt o = w4a4kv4(1);
        lb_flatquant_report rep = {0};
        lb_autoround_linear lin[LB_BLOCK_LINEARS] = {{0}};
        lb_qmat q = {.bits = 3, .n = b.up.n, .k = b.up.k, .group = b.up.k, .scale_type = LB_F32};
        assert_ok(lb_qmat_alloc(&q, &err), err);
        lin[LB_BLOCK_UP].out = &q;
        lb_autoround_opt a = {.iters = 2, .batch = 4, .max_bytes = lb_recon_step_bytes(&c, 4, 100, 0, 2)};
        assert_ok(lb_autoround_block(ex, &b, &data, &a, lin, NULL, &err), err);
        o.max_bytes = lb_recon_step_bytes(&c, 4, 100, 4, 5);
        assert_ok(lb_flatquant_block(ex, &b, &data, &o, &rep, &err), err);
        assert_true(lb_flatquant_bytes(&c, &o, 4, 100, false) > o.max_bytes && lb_flatquant_bytes(&c, &o, 4, 100, false) < 4 * o.max_bytes);
        assert_true(lb_autoround_bytes(&c, &a, 32, 4, 100, false) > a.max_bytes);
        lb_qmat_free(&q);
        lb_flatquant_report_free(&rep);
        lb_qblock_free(&b);
        free(x);
    }
    lb_exec_close(ex);
}

/* ---- AutoRound ---- */

typedef struct codes {
    lb_qmat q[LB_BLOCK_LINEARS];
    lb_autoround_linear lin[LB_BLOCK_LINEARS];
} codes;

static void codes_alloc(codes *c, lb_qblock *b, int bits, int group, bool sym, lb_dtype type)
{
    lb_err err = {0};
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        const lb_qlinear *l = lb_recon_linear(b, (lb_block_linear)i);
        c->q[i] = (lb_qmat){.bits = bits, .n = l->n, .k = l->k, .group = group > 0 ? group : l->k, .scale_type = type};
        assert_ok(lb_qmat_alloc(&c->q[i], &err), err);
        c->lin[i] = (lb_autoround_linear){.out = &c->q[i], .sym = sym};
    }
}

static void codes_free(codes *c)
{
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) lb_qmat_free(&c->q[i]);
}

/* The block's error with these codes. */
static double codes_error(lb_exec *ex, lb_qblock *b, const codes *c, const float *x, const float *y)
{
    float *keep[LB_BLOCK_LINEARS];
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        lb_qlinear *l = lb_recon_linear(b, (lb_block_linear)i);
        keep[i] = l->w;
        l->w = malloc((size_t)l->n * (size_t)l->k * sizeof(float));
        decode(&c->q[i], l->w);
    }
    double e = error_as_run(ex, b, x, y, SEQS, LEN, 0, 0);
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        lb_qlinear *l = lb_recon_linear(b, (lb_block_linear)i);
        free(l->w);
        l->w = keep[i];
    }
    return e;
}

static void nearest(lb_exec *ex, lb_qblock *b, codes *c, bool clip)
{
    lb_err err = {0};
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        const lb_qlinear *l = lb_recon_linear(b, (lb_block_linear)i);
        lb_quant_job j = {.name = l->name, .w = l->w, .n = l->n, .k = l->k, .scale_type = c->q[i].scale_type, .clip_mse = clip, .ex = ex,
                          .scheme = {.w_bits = c->q[i].bits, .group = c->q[i].group, .sym = c->lin[i].sym}};
        assert_ok(lb_method_find("rtn", &err)->solve(&j, &c->q[i], &err), err);
    }
}

/* Latent weights round to the codes and lie on the grid: as w where its code is the nearest, else as far behind the border
 * as w is before it. */
static void latent_weights_are_near(const lb_qmat *q, const float *w, const float *latent)
{
    size_t learned = 0, n = (size_t)q->n * (size_t)q->k;
    for (size_t i = 0; i < n; i++) {
        size_t g = i / (size_t)q->k * (size_t)lb_n_group(q->k, q->group) + i % (size_t)q->k / (size_t)q->group;
        lb_grid grid = {q->scales[g], q->zeros[g], (1 << q->bits) - 1};
        float lo = lb_grid_value(&grid, 0), hi = lb_grid_value(&grid, grid.max), x = fminf(fmaxf(w[i], lo), hi);
        int nearest = lb_grid_code(&grid, w[i]), code = q->codes[i];
        float border = grid.scale * (0.5f * (float)(nearest + code) - (float)grid.zero);
        assert_int_equal(lb_grid_code(&grid, latent[i]), code);
        assert_true(latent[i] >= lo && latent[i] <= hi && abs(nearest - code) <= 1);
        assert_true(fabsf(latent[i] - (nearest == code ? x : 2 * border - x)) <= 1e-5f * grid.scale);
        learned += nearest != code;
    }
    assert_true(learned > n / 100);
}

static void autoround_is_never_worse_than_nearest(void **state)
{
    (void)state;
    static const struct { int bits, group; bool sym, clip; lb_dtype type; } cases[] = {
        {2, 8, false, false, LB_BF16}, {2, 8, false, true, LB_F32}, {3, -1, false, false, LB_F16}, {4, 8, true, false, LB_BF16}, {8, 4, true, false, LB_F32},
    };
    lb_exec *ex = open_exec(2);
    lb_config c = {.d_model = 24, .n_head = 4, .n_kv = 2, .d_head = 8, .d_ff = 40};
    lb_qblock b = random_block(&c, 21);
    float *x = outlier_inputs(&c, SEQS, LEN, 5), *y = outputs(ex, &b, x, SEQS, LEN);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lb_err err = {0};
        codes rtn = {0}, ar = {0};
        codes_alloc(&rtn, &b, cases[i].bits, cases[i].group, cases[i].sym, cases[i].type);
        codes_alloc(&ar, &b, cases[i].bits, cases[i].group, cases[i].sym, cases[i].type);
        nearest(ex, &b, &rtn, cases[i].clip);
        for (int l = 0; l < LB_BLOCK_LINEARS; l++)
            ar.lin[l].latent = malloc((size_t)ar.q[l].n * (size_t)ar.q[l].k * sizeof(float));
        lb_autoround_opt o = {.iters = 40, .batch = 4, .seed = 9, .clip_mse = cases[i].clip};
        lb_autoround_report rep;
        lb_recon_data data = {.x = x, .target = i % 2 ? y : NULL, .n_seq = SEQS, .len = LEN};
        assert_ok(lb_autoround_block(ex, &b, &data, &o, ar.lin, &rep, &err), err);
        double e_rtn = codes_error(ex, &b, &rtn, x, y), e_ar = codes_error(ex, &b, &ar, x, y);
        if (fabs(e_rtn - rep.start) > 1e-4 * rep.start) fail_msg("case %zu: nearest is %g, start is %g", i, e_rtn, rep.start);
        if (fabs(e_ar - rep.end) > 1e-4 * rep.end) fail_msg("case %zu: codes make %g, trained to %g", i, e_ar, rep.end);
        if (!(rep.end <= rep.start && (cases[i].bits > 4 || rep.end < 0.8 * rep.start)))
            fail_msg("case %zu: %g at the start, %g at the end", i, rep.start, rep.end);
        for (int l = 0; l < LB_BLOCK_LINEARS && rep.best_iter; l++)
            latent_weights_are_near(&ar.q[l], lb_recon_linear(&b, (lb_block_linear)l)->w, ar.lin[l].latent);
        o.iters = -1; /* the start alone: nearest, to the code */
        assert_ok(lb_autoround_block(ex, &b, &data, &o, ar.lin, &rep, &err), err);
        for (int l = 0; l < LB_BLOCK_LINEARS; l++) {
            size_t g = (size_t)ar.q[l].n * (size_t)lb_n_group(ar.q[l].k, ar.q[l].group);
            if (cases[i].clip) continue; /* the clip's product is rounded at another place */
            assert_memory_equal(ar.q[l].codes, rtn.q[l].codes, (size_t)ar.q[l].n * (size_t)ar.q[l].k);
            assert_memory_equal(ar.q[l].scales, rtn.q[l].scales, g * sizeof(float));
            assert_memory_equal(ar.q[l].zeros, rtn.q[l].zeros, g);
        }
        assert_true(rep.end == rep.start && rep.best_iter == 0);
        for (int l = 0; l < LB_BLOCK_LINEARS; l++) free(ar.lin[l].latent);
        codes_free(&rtn), codes_free(&ar);
    }
    lb_qblock_free(&b);
    free(x), free(y);
    lb_exec_close(ex);
}

/* Layers left alone stay, and neither threads nor a second run change a bit. */
static void autoround_repeats_itself(void **state)
{
    (void)state;
    lb_config c = {.d_model = 24, .n_head = 4, .n_kv = 2, .d_head = 8, .d_ff = 40};
    codes got[3] = {0};
    for (int t = 0; t < 3; t++) {
        lb_err err = {0};
        lb_exec *ex = open_exec(t ? 3 : 1);
        lb_qblock b = random_block(&c, 22);
        float *x = outlier_inputs(&c, SEQS, 33, 5);
        codes_alloc(&got[t], &b, 2, 8, false, LB_BF16);
        got[t].lin[LB_BLOCK_DOWN].out = NULL;
        lb_autoround_opt o = {.iters = 20, .batch = 4, .seed = 9};
        assert_ok(lb_autoround_block(ex, &b, &(lb_recon_data){.x = x, .n_seq = SEQS, .len = 33}, &o, got[t].lin, NULL, &err), err);
        lb_qblock_free(&b);
        free(x);
        lb_exec_close(ex);
    }
    for (int t = 1; t < 3; t++)
        for (int l = 0; l < LB_BLOCK_LINEARS; l++)
            assert_memory_equal(got[0].q[l].codes, got[t].q[l].codes, (size_t)got[0].q[l].n * (size_t)got[0].q[l].k);
    for (int i = 0; i < got[0].q[LB_BLOCK_DOWN].n; i++) assert_int_equal(got[0].q[LB_BLOCK_DOWN].codes[i], 0);
    for (int t = 0; t < 3; t++) codes_free(&got[t]);
}

/* A rotated block on the tape gives what it gave: Hadamards with and without a dense factor (36 = 36·1, 40 = 20·2, 64). */
static void rotations_are_part_of_the_block(void **state)
{
    (void)state;
    static const lb_config shapes[] = {{.d_model = 24, .n_head = 4, .n_kv = 2, .d_head = 8, .d_ff = 36},
                                       {.d_model = 16, .n_head = 4, .n_kv = 4, .d_head = 16, .d_ff = 40},
                                       {.d_model = 32, .n_head = 12, .n_kv = 3, .d_head = 4, .d_ff = 64}};
    lb_exec *ex = open_exec(2);
    for (int i = 0; i < 3; i++) {
        lb_err err = {0};
        lb_config c = shapes[i];
        lb_qblock b = random_block(&c, 60 + (uint64_t)i);
        size_t n = SEQS * LEN * (size_t)c.d_model;
        float *x = outlier_inputs(&c, SEQS, LEN, 5), *before = outputs(ex, &b, x, SEQS, LEN);
        lb_quarot q = {.parts = LB_QUAROT_ALL & ~(unsigned)LB_QUAROT_R1};
        assert_ok(lb_quarot_block(&b, &q, ex, &err), err);
        assert_true(b.in[LB_SITE_DOWN].kind == LB_TRANSFORM_HADAMARD && b.in[LB_SITE_Q_ROPE].kind == LB_TRANSFORM_HADAMARD);
        float *after = outputs(ex, &b, x, SEQS, LEN);
        double e = 0;
        for (size_t j = 0; j < n; j++) e += ((double)after[j] - (double)before[j]) * ((double)after[j] - (double)before[j]);
        if (!(sqrt(e / (double)n / power_of(before, n)) < 1e-5)) fail_msg("shape %d moved by %g", i, sqrt(e / (double)n / power_of(before, n)));
        lb_qblock_free(&b);
        free(x), free(before), free(after);
    }
    lb_exec_close(ex);
}

/* Behind FlatQuant, with activations and the cache rounded: starts where FlatQuant ended, ends below. */
static void autoround_goes_on_from_flatquant(void **state)
{
    (void)state;
    lb_exec *ex = open_exec(2);
    lb_err err = {0};
    lb_config c = {.d_model = 48, .n_head = 4, .n_kv = 2, .d_head = 16, .d_ff = 80};
    lb_qblock b = random_block(&c, 11);
    float *x = outlier_inputs(&c, SEQS, LEN, 5), *y = outputs(ex, &b, x, SEQS, LEN);
    lb_recon_data data = {.x = x, .target = y, .n_seq = SEQS, .len = LEN};
    lb_flatquant_opt o = w4a4kv4(0);
    lb_flatquant_report flat = {0};
    lb_autoround_report rep;
    codes k = {0};
    assert_ok(lb_flatquant_block(ex, &b, &data, &o, &flat, &err), err);
    codes_alloc(&k, &b, 4, -1, true, LB_F32);
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) k.lin[i].row_clip = flat.clip[i];
    lb_autoround_opt a = {.iters = 100, .rounding = {.a_bits = 4, .kv_bits = 4}};
    assert_ok(lb_autoround_block(ex, &b, &data, &a, k.lin, &rep, &err), err);
    if (!(fabs(rep.start - flat.end) < 0.02 * flat.end)) fail_msg("flatquant ended at %g, autoround starts at %g", flat.end, rep.start);
    if (!(rep.end < 0.97 * rep.start)) fail_msg("%g at the start, %g at the end", rep.start, rep.end);
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) decode(&k.q[i], lb_recon_linear(&b, (lb_block_linear)i)->w);
    double run = error_as_run(ex, &b, x, y, SEQS, LEN, 4, 4);
    if (!(fabs(run - rep.end) < 0.01 * rep.end)) fail_msg("trained to %g, runs with %g", rep.end, run);
    codes_free(&k);
    lb_flatquant_report_free(&flat);
    lb_qblock_free(&b);
    free(x), free(y);
    lb_exec_close(ex);
}

static void autoround_refuses(void **state)
{
    (void)state;
    static const struct { int group, n_seq, batch, micro; const char *says; } bad[] = {
        {16, SEQS, 4, 0, "groups of 16 in 24 columns"}, {8, 3, 4, 0, "less than one batch of 4"}, {8, SEQS, 4, 3, "3 at a time"}, {8, SEQS, -1, 0, "batch of -1"},
    };
    lb_exec *ex = open_exec(1);
    lb_config c = {.d_model = 24, .n_head = 4, .n_kv = 2, .d_head = 8, .d_ff = 40};
    lb_qblock b = random_block(&c, 21);
    float *x = outlier_inputs(&c, SEQS, LEN, 5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_err err = {0};
        codes k = {0};
        codes_alloc(&k, &b, 3, bad[i].group, false, LB_F32);
        lb_autoround_opt o = {.iters = 2, .batch = bad[i].batch, .micro = bad[i].micro};
        assert_false(lb_autoround_block(ex, &b, &(lb_recon_data){.x = x, .n_seq = bad[i].n_seq, .len = LEN}, &o, k.lin, NULL, &err));
        assert_int_equal(err.code, LB_EUSAGE);
        if (!strstr(err.msg, bad[i].says)) fail_msg("'%s' does not say '%s'", err.msg, bad[i].says);
        codes_free(&k);
    }
    codes k = {0};
    lb_err err = {0};
    codes_alloc(&k, &b, 3, 8, false, LB_F32);
    x[77] = INFINITY;
    assert_false(lb_autoround_block(ex, &b, &(lb_recon_data){.x = x, .n_seq = SEQS, .len = LEN}, &(lb_autoround_opt){.iters = 2}, k.lin, NULL, &err));
    assert_int_equal(err.code, LB_ENUMERIC);
    codes_free(&k);
    lb_qblock_free(&b);
    free(x);
    lb_exec_close(ex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(factors_are_near_each_other),
        cmocka_unit_test(at_16_bits_the_block_stays),
        cmocka_unit_test(at_16_bits_the_logits_stay),
        cmocka_unit_test(key_and_query_transforms_are_inverse),
        cmocka_unit_test(four_bits_are_better_than_nearest_and_hadamard),
        cmocka_unit_test(flatquant_does_not_depend_on_threads),
        cmocka_unit_test(parts_of_a_batch_add_up),
        cmocka_unit_test(flatquant_refuses),
        cmocka_unit_test(steps_stay_inside_the_plan),
        cmocka_unit_test(autoround_is_never_worse_than_nearest),
        cmocka_unit_test(autoround_repeats_itself),
        cmocka_unit_test(rotations_are_part_of_the_block),
        cmocka_unit_test(autoround_goes_on_from_flatquant),
        cmocka_unit_test(autoround_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
