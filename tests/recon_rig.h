/* recon_rig.h – blocks to train: of a tiny model or random ones, inputs with outliers, and a block as it is run. */
#ifndef LB_RECON_RIG_H
#define LB_RECON_RIG_H
#include "test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "num/tile.h"
#include "quant/recon.h"

static inline float *normals(size_t n, float scale, uint64_t seed)
{
    float *x = lb_alloc(n, sizeof *x, "numbers", NULL);
    for (size_t i = 0; i < n; i++) x[i] = scale * lb_rng_normal(lb_rng_key_of(seed, 0, 0), (uint64_t)i);
    return x;
}

static inline void random_linear(lb_qlinear *l, const char *name, int n, int k, bool bias, uint64_t seed)
{
    *l = (lb_qlinear){.name = strdup(name), .n = n, .k = k, .w = normals((size_t)n * (size_t)k, 1 / sqrtf((float)k), seed)};
    if (bias) l->bias = normals((size_t)n, 0.1f, seed + 100);
}

/* A dense block of any sizes. c is filled but for its sizes and qkv_bias. */
static inline lb_qblock random_block(lb_config *c, uint64_t seed)
{
    c->arch = lb_arch_find(c->qkv_bias ? "qwen2" : "qwen3");
    c->n_layer = 1, c->n_ctx = 512, c->norm_eps = 1e-6f, c->rope = (lb_rope_spec){.theta = 10000, .attention_factor = 1};
    int d = c->d_model, q = c->n_head * c->d_head, kv = c->n_kv * c->d_head;
    lb_qblock b = {.cfg = c, .attn_norm = normals((size_t)d, 1, seed + 7), .mlp_norm = normals((size_t)d, 1, seed + 8)};
    if (!c->qkv_bias) b.q_norm = normals((size_t)c->d_head, 1, seed + 9), b.k_norm = normals((size_t)c->d_head, 1, seed + 10);
    random_linear(&b.q, "q", q, d, c->qkv_bias, seed);
    random_linear(&b.k, "k", kv, d, c->qkv_bias, seed + 1);
    random_linear(&b.v, "v", kv, d, c->qkv_bias, seed + 2);
    random_linear(&b.o, "o", d, q, false, seed + 3);
    random_linear(&b.gate, "gate", c->d_ff, d, false, seed + 4);
    random_linear(&b.up, "up", c->d_ff, d, c->mlp_bias, seed + 5);
    random_linear(&b.down, "down", d, c->d_ff, false, seed + 6);
    return b;
}

/* [n_seq, len, d_model] with two channels that are far larger than the rest. */
static inline float *outlier_inputs(const lb_config *c, int n_seq, int len, uint64_t seed)
{
    size_t n = (size_t)n_seq * (size_t)len, d = (size_t)c->d_model;
    float *x = normals(n * d, 1, seed);
    for (size_t i = 0; i < n; i++) x[i * d + 1] *= 25, x[i * d + d / 2] *= -15;
    return x;
}

/* The block as it stands, on the tape: online transforms of b->in, activations, keys and values quantized as asked. */
typedef struct as_run {
    lb_qblock *b;
    int a_bits, k_bits, v_bits;
} as_run;

static inline lb_var *apply(lb_grad *g, const lb_transform *t, lb_var *x)
{
    if (t->kind == LB_TRANSFORM_NONE) return x;
    return lb_grad_kron(g, x, t->a ? lb_grad_const(g, t->a, t->na, t->na) : NULL, t->b ? lb_grad_const(g, t->b, t->nb, t->nb) : NULL);
}

static inline lb_var *as_run_input(void *arg, lb_grad *g, lb_block_input which, lb_var *x)
{
    static const lb_site site[] = {LB_SITE_QKV, LB_SITE_O, LB_SITE_MLP, LB_SITE_DOWN};
    as_run *r = arg;
    const float *clip = r->b->clip[site[which]];
    x = apply(g, &r->b->in[site[which]], x);
    return r->a_bits ? lb_grad_act_fq(g, x, &(lb_act_fq){.bits = r->a_bits, .clip_lo = clip[0], .clip_hi = clip[1]}) : x;
}

static inline lb_var *as_run_head(void *arg, lb_grad *g, lb_block_head which, lb_var *x)
{
    as_run *r = arg;
    int n = x->n, k = x->k, d = r->b->cfg->d_head, bits = which == LB_BLOCK_HEAD_K ? r->k_bits : which == LB_BLOCK_HEAD_V ? r->v_bits : 0;
    x = lb_grad_view(g, x, n * (k / d), d);
    if (which == LB_BLOCK_HEAD_Q) x = apply(g, &r->b->in[LB_SITE_Q_ROPE], x);
    if (which == LB_BLOCK_HEAD_K) x = apply(g, &r->b->in[LB_SITE_K_ROPE], x);
    if (bits) x = lb_grad_act_fq(g, x, &(lb_act_fq){.bits = bits});
    return lb_grad_view(g, x, n, k);
}

/* Its mean squared error against target, over all sequences. */
static inline double error_as_run(lb_exec *ex, lb_qblock *b, const float *x, const float *target, int n_seq, int len, int a_bits,
                                  int kv_bits)
{
    lb_err err = {0};
    double loss = 0;
    lb_recon r;
    lb_qblock bare = *b; /* whose transforms are here, not there */
    memset(bare.in, 0, sizeof bare.in);
    bool ok = lb_recon_open(&r, ex, &bare, &(lb_recon_data){.x = x, .target = target, .n_seq = n_seq, .len = len}, 1, 0, &err);
    as_run run = {b, a_bits, kv_bits, kv_bits};
    lb_recon_hooks h = {.block = {.arg = &run, .input = as_run_input, .head = as_run_head}};
    assert_ok(ok && lb_recon_measure(&r, &h, &loss, &err), err);
    lb_recon_close(&r);
    return loss;
}

/* What the block gives as it is. */
static inline float *outputs(lb_exec *ex, const lb_qblock *b, const float *x, int n_seq, int len)
{
    lb_err err = {0};
    lb_recon r;
    assert_ok(lb_recon_open(&r, ex, b, &(lb_recon_data){.x = x, .n_seq = n_seq, .len = len}, 1, 0, &err), err);
    size_t n = (size_t)n_seq * (size_t)len * (size_t)b->cfg->d_model;
    float *y = malloc(n * sizeof *y);
    memcpy(y, r.own_target, n * sizeof *y);
    lb_recon_close(&r);
    return y;
}

static inline void decode(const lb_qmat *q, float *w)
{
    int n_group = lb_n_group(q->k, q->group);
    for (int r = 0; r < q->n; r++)
        for (int k = 0; k < q->k; k++) {
            int g = r * n_group + k / q->group;
            w[r * q->k + k] = q->scales[g] * (float)((int)q->codes[r * q->k + k] - (int)q->zeros[g]);
        }
}
#endif
