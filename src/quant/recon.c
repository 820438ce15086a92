/* quant/recon.c – batches of calibration sequences through one block on the tape. */
#include "quant/recon.h"
#include "base/mem.h"
#include "base/rng.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t seq_floats(const lb_recon *r) { return (size_t)r->data.len * (size_t)r->block.cfg->d_model; }

static bool need_finite(const lb_recon *r, const float *x, const char *what, lb_err *err)
{
    size_t d = (size_t)r->block.cfg->d_model, n = (size_t)r->data.n_seq * seq_floats(r);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return lb_fail(err, LB_ENUMERIC,
                           "%s of the block: sequence %zu, position %zu, channel %zu is %g: earlier layers or the "
                           "calibration are broken",
                           what, i / seq_floats(r), i / d % (size_t)r->data.len, i % d, (double)x[i]);
    return true;
}

lb_qlinear *lb_recon_linear(lb_qblock *b, lb_block_linear which)
{
    lb_qlinear *const all[LB_BLOCK_LINEARS] = {
        [LB_BLOCK_Q] = &b->q,       [LB_BLOCK_K] = &b->k,   [LB_BLOCK_V] = &b->v,       [LB_BLOCK_O] = &b->o,
        [LB_BLOCK_GATE] = &b->gate, [LB_BLOCK_UP] = &b->up, [LB_BLOCK_DOWN] = &b->down,
    };
    return all[which];
}

/* ---- the block as it runs ---- */

static int parity(unsigned x)
{
    for (int s = 16; s; s /= 2) x ^= x >> s;
    return (int)(x & 1);
}

/* H_m ⊗ S of order n = m·2^i over its root, transposed. */
static float *hadamard(const float *had, int m, int n, lb_err *err)
{
    float *out = lb_alloc((size_t)n * (size_t)n, sizeof *out, "a rotation", err);
    int p = n / m;
    for (int i = 0; out && i < n; i++)
        for (int j = 0; j < n; j++)
            out[(size_t)j * (size_t)n + (size_t)i] = (had ? had[i / p * m + j / p] : 1) *
                                                     (parity((unsigned)(i % p & j % p)) ? -1 : 1) / sqrtf((float)n);
    return out;
}

/* A Hadamard transform of order m·2^p as two: (H_m ⊗ S_{2^i}) ⊗ S_{2^(p−i)}. */
static bool hadamard_factors(lb_recon *r, lb_site at, lb_err *err)
{
    const lb_transform *t = &r->b->in[at];
    int a = t->m > 1 ? t->m : 1, b = t->block / a;
    while (b > a && b % 2 == 0) a *= 2, b /= 2;
    r->had_n[at][0] = a, r->had_n[at][1] = b;
    return (r->had[at][0] = hadamard(t->m > 1 ? t->had : NULL, t->m > 1 ? t->m : 1, a, err)) != NULL &&
           (r->had[at][1] = hadamard(NULL, 1, b, err)) != NULL;
}

static lb_var *square(lb_grad *g, const float *v, int n) { return v ? lb_grad_const(g, v, n, n) : NULL; }

/* x [n,k] through the block's own transform of a site. */
static lb_var *transform(const lb_recon *r, lb_grad *g, lb_site at, lb_var *x)
{
    const lb_transform *t = &r->b->in[at];
    int n = x->n, k = x->k;
    if (t->kind == LB_TRANSFORM_NONE) return x;
    x = lb_grad_view(g, x, n * (k / t->k), t->k);
    if (t->scale) x = lb_grad_scale(g, x, lb_grad_const(g, t->scale, 1, t->k), false);
    if (t->kind == LB_TRANSFORM_KRON && (t->a || t->b))
        x = lb_grad_kron(g, x, square(g, t->a, t->na), square(g, t->b, t->nb));
    if (t->kind == LB_TRANSFORM_HADAMARD) {
        x = lb_grad_view(g, x, n * (k / t->block), t->block);
        x = lb_grad_kron(g, x, square(g, r->had[at][0], r->had_n[at][0]), square(g, r->had[at][1], r->had_n[at][1]));
    }
    return lb_grad_view(g, x, n, k);
}

/* A pass: the block's own doings around the client's hooks. */
typedef struct pass {
    const lb_recon *r;
    const lb_block_hooks *client;    /* NULL: the target, nothing is rounded */
} pass;

static lb_var *run_input(void *arg, lb_grad *g, lb_block_input which, lb_var *x)
{
    static const lb_site site[LB_BLOCK_INPUTS] = {[LB_BLOCK_IN_QKV] = LB_SITE_QKV, [LB_BLOCK_IN_O] = LB_SITE_O,
                                                  [LB_BLOCK_IN_GATE_UP] = LB_SITE_MLP,
                                                  [LB_BLOCK_IN_DOWN] = LB_SITE_DOWN};
    const pass *p = arg;
    const float *clip = p->r->b->clip[site[which]];
    int bits = p->r->rounding.a_bits;
    x = transform(p->r, g, site[which], x);
    if (!p->client || !x) return x;
    if (p->client->input) x = p->client->input(p->client->arg, g, which, x);
    if (bits == 0 || bits >= 16) return x;
    return lb_grad_act_fq(g, x, &(lb_act_fq){.bits = bits, .clip_lo = clip[0], .clip_hi = clip[1]});
}

static void run_weight(void *arg, lb_grad *g, lb_block_linear which, lb_var **w, lb_var **bias)
{
    const pass *p = arg;
    if (p->client && p->client->weight) p->client->weight(p->client->arg, g, which, w, bias);
}

static lb_var *run_head(void *arg, lb_grad *g, lb_block_head which, lb_var *x)
{
    const pass *p = arg;
    int bits = p->r->rounding.kv_bits;
    float clip = p->r->rounding.kv_clip;
    if (which == LB_BLOCK_HEAD_Q) x = transform(p->r, g, LB_SITE_Q_ROPE, x);
    if (which == LB_BLOCK_HEAD_K) x = transform(p->r, g, LB_SITE_K_ROPE, x);
    if (!p->client || !x) return x;
    if (p->client->head) x = p->client->head(p->client->arg, g, which, x);
    if (bits == 0 || bits >= 16 || which == LB_BLOCK_HEAD_Q) return x;
    const lb_act_fq q = {.bits = bits, .len = p->r->b->cfg->d_head, .clip_lo = clip, .clip_hi = clip};
    return lb_grad_act_fq(g, x, &q);
}

static lb_var *run(const lb_recon *r, lb_var *x, int n, const lb_block_hooks *client)
{
    pass p = {r, client};
    const lb_block_hooks h = {.arg = &p, .input = run_input, .weight = run_weight, .head = run_head};
    return lb_block_grad_run(&r->block, r->g, x, n, r->data.len, &h);
}

/* The block as the tape wants it. */
static bool bind(lb_recon *r, const lb_qblock *b, lb_err *err)
{
    if (b->n_expert > 0)
        return lb_fail(err, LB_EUNSUPPORTED,
                       "layer %d has experts: methods that train a block do not do that; use rtn or gptq", b->layer);
    r->b = b;
    for (int i = 0; i < LB_N_SITE; i++)
        if (b->in[i].kind == LB_TRANSFORM_HADAMARD && !hadamard_factors(r, (lb_site)i, err)) return false;
    lb_block_weights *w = &r->weights;
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        const lb_qlinear *l = lb_recon_linear((lb_qblock *)b, (lb_block_linear)i);
        w->w[i] = l->w, w->bias[i] = l->bias;
    }
    w->attn_norm = b->attn_norm, w->mlp_norm = b->mlp_norm, w->q_norm = b->q_norm, w->k_norm = b->k_norm;
    r->inv_freq = lb_alloc((size_t)b->cfg->d_head / 2, sizeof(float), "rope", err);
    if (!r->inv_freq) return false;
    lb_rope_inv_freq(&b->cfg->rope, b->cfg->d_head, r->inv_freq);
    r->block = (lb_block_grad){.cfg = b->cfg, .inv_freq = r->inv_freq, .weights = w};
    return true;
}

static bool targets(lb_recon *r, lb_err *err)
{
    size_t n = seq_floats(r);
    r->own_target = lb_alloc((size_t)r->data.n_seq, n * sizeof(float), "outputs of the block", err);
    if (!r->own_target) return false;
    for (int s = 0; s < r->data.n_seq; s += r->batch) {
        int m = r->data.n_seq - s < r->batch ? r->data.n_seq - s : r->batch;
        lb_grad_reset(r->g);
        lb_var *x = lb_grad_const(r->g, r->data.x + (size_t)s * n, m * r->data.len, r->block.cfg->d_model);
        lb_var *y = run(r, x, m, NULL);
        if (!y) return lb_grad_ok(r->g, err) && lb_fail(err, LB_EFAIL, "the block did not run");
        memcpy(r->own_target + (size_t)s * n, y->v, (size_t)m * n * sizeof(float));
    }
    lb_grad_reset(r->g);
    r->data.target = r->own_target;
    return true;
}

bool lb_recon_open(lb_recon *r, lb_exec *ex, const lb_qblock *b, const lb_recon_data *data, int batch, size_t max_bytes,
                   lb_err *err)
{
    *r = (lb_recon){.data = *data, .batch = batch};
    if (!bind(r, b, err)) return false;
    if (batch < 1 || data->len < 1 || data->n_seq < batch)
        return lb_fail(err, LB_EUSAGE,
                       "%d calibration sequences of %d tokens are less than one batch of %d; give more of them or a "
                       "smaller batch",
                       data->n_seq, data->len, batch);
    size_t n = seq_floats(r) * sizeof(float);
    if (!need_finite(r, data->x, "input", err)) return false;
    if (data->target && !need_finite(r, data->target, "target", err)) return false;
    r->g = lb_grad_open(ex, max_bytes, err);
    r->xb = lb_alloc((size_t)batch, n, "a batch of inputs", err);
    r->tb = lb_alloc((size_t)batch, n, "a batch of outputs", err);
    r->order = lb_alloc((size_t)data->n_seq, sizeof *r->order, "the order of sequences", err);
    if (!r->g || !r->xb || !r->tb || !r->order) return false;
    for (int i = 0; i < data->n_seq; i++) r->order[i] = i;
    return data->target || (targets(r, err) && need_finite(r, r->own_target, "output", err));
}

void lb_recon_close(lb_recon *r)
{
    lb_grad_close(r->g);
    free(r->own_target);
    free(r->xb);
    free(r->tb);
    free(r->order);
    free(r->inv_freq);
    for (int i = 0; i < LB_N_SITE; i++) free(r->had[i][0]), free(r->had[i][1]);
    *r = (lb_recon){0};
}

double lb_recon_power(const lb_recon *r)
{
    double sum = 0;
    size_t n = (size_t)r->data.n_seq * seq_floats(r);
    for (size_t i = 0; i < n; i++) sum += (double)r->data.target[i] * (double)r->data.target[i];
    return sum / (double)n;
}

void lb_recon_shuffle(lb_recon *r, uint64_t seed, uint64_t round)
{
    lb_rng_key key = lb_rng_key_of(seed, 0x726563, round);
    for (int i = 0; i < r->data.n_seq; i++) r->order[i] = i;
    for (int i = r->data.n_seq - 1; i > 0; i--) {
        int j = (int)(lb_rng_uniform(key, (uint64_t)i) * (i + 1)), t = r->order[i];
        r->order[i] = r->order[j], r->order[j] = t;
    }
}

lb_var *lb_recon_loss(lb_recon *r, int first, int n, const lb_recon_hooks *h)
{
    assert(n >= 1 && n <= r->batch && first >= 0 && first + n <= r->data.n_seq);
    size_t m = seq_floats(r);
    int d = r->block.cfg->d_model, rows = n * r->data.len;
    lb_grad_reset(r->g);
    for (int i = 0; i < n; i++) {
        size_t from = (size_t)r->order[first + i] * m, to = (size_t)i * m;
        memcpy(r->xb + to, r->data.x + from, m * sizeof(float));
        memcpy(r->tb + to, r->data.target + from, m * sizeof(float));
    }
    if (h->begin) h->begin(h->block.arg, r->g);
    lb_var *x = lb_grad_const(r->g, r->xb, rows, d), *t = lb_grad_const(r->g, r->tb, rows, d);
    return lb_grad_mse(r->g, run(r, x, n, &h->block), t);
}

bool lb_recon_measure(lb_recon *r, const lb_recon_hooks *h, double *loss, lb_err *err)
{
    double sum = 0;
    for (int i = 0; i < r->data.n_seq; i++) r->order[i] = i;
    for (int s = 0; s < r->data.n_seq; s += r->batch) {
        int n = r->data.n_seq - s < r->batch ? r->data.n_seq - s : r->batch;
        lb_var *l = lb_recon_loss(r, s, n, h);
        if (!lb_grad_ok(r->g, err)) return false;
        sum += (double)n * (double)lb_grad_scalar(r->g, l);
    }
    lb_grad_reset(r->g);
    *loss = sum / r->data.n_seq;
    return isfinite(*loss) || lb_fail(err, LB_ENUMERIC, "the error of the block is %g", *loss);
}

/* ---- memory ---- */

int lb_recon_micro(int batch, int len)
{
    for (int n = 1; n < batch; n++)
        if (batch % n == 0 && (int64_t)n * len >= LB_RECON_TOKENS) return n;
    return batch;
}

/* Sums in double are exact far beyond any memory; more than a size_t holds is SIZE_MAX. */
static size_t bytes_of(double floats) { return floats * 4 < 9e18 ? (size_t)(floats * 4) : SIZE_MAX; }

size_t lb_recon_weights(const lb_config *c, size_t *rows)
{
    size_t sum = 0;
    *rows = 0;
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        int n, k;
        lb_block_shape(c, (lb_block_linear)i, &n, &k);
        sum += (size_t)n * (size_t)k;
        *rows += (size_t)n;
    }
    return sum;
}

/* Of a token: 6 rows of d_model (two norms, two sums, o, down), 4 of queries (product, norm, RoPE, attention), 4 of
 * keys and values, 3 of d_ff. Each has a gradient; RoPE's way back wants one row more. A quarter goes with pieces that
 * the tape's chunks leave empty, and its first chunk is a MiB. */
size_t lb_recon_step_bytes(const lb_config *c, int seqs, int len, int per_site, int per_weight)
{
    double d = c->d_model, q = (double)c->n_head * c->d_head, kv = (double)c->n_kv * c->d_head, ff = c->d_ff;
    size_t rows;
    double weights = (double)lb_recon_weights(c, &rows);
    double token = 6 * d + 4 * q + 4 * kv + 3 * ff + per_site * (2 * d + 2 * q + 2 * kv + ff);
    double floats = 2 * (token * seqs * len + per_weight * weights) + q * seqs * len;
    return bytes_of(1.5 * floats + 4e6);
}

size_t lb_recon_bytes(const lb_config *c, int n_seq, int len, int batch, bool has_target)
{
    double seq = (double)len * c->d_model;
    return bytes_of(seq * (2.0 * batch + (has_target ? 0 : n_seq)) + n_seq + c->d_head + 1024);
}
