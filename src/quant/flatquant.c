/* quant/flatquant.c – what is learned, its training, and how the block takes it over.
 *
 * Parts: parameters and their start; the hooks that put them into the block on the tape; training; taking over. The
 * weights written at the end come from the same operators that trained them. */
#include "quant/flatquant.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/optim.h"
#include "quant/grid.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FACTOR = 1024 };          /* of a transform's side: beyond it the inverse costs more than the block */
static const float CLIP_START = 4;   /* σ(4) = 0.982 */
static const float MIN_SCALE = 1e-5f;
static const float LAST_LR = 1e-3f;

typedef struct pair {                /* a clip: σ(hi), σ(lo) of the two ends of a range */
    lb_param hi, lo;
} pair;

typedef struct site {
    int na, nb;                      /* na·nb = width */
    lb_param a, b, d;                /* owned; zero (v NULL) where there is none */
    pair clip;
    lb_var *va, *vb, *vd, *ia, *ib;  /* this step: the matrices, the scale, the inverse transposes */
} site;

typedef enum mode { LOOK, PLAIN, TRANSFORMED, QUANTIZED } mode;

typedef struct flat {
    lb_exec *ex;
    const lb_config *cfg;
    lb_flatquant_opt o;
    mode mode;                       /* LOOK: keep the largest |x| of each channel; PLAIN: round to nearest as it is;
                                      * TRANSFORMED: without quantizers; QUANTIZED: what is trained */
    site s[LB_BLOCK_INPUTS];         /* of O: a mixes heads, b (P_v) acts on values, not on the site's rows */
    lb_param pk;                     /* [d_head,d_head] */
    lb_var *vk, *ik;
    pair k_clip, v_clip, w_clip[LB_BLOCK_LINEARS];
    float *peak[LB_BLOCK_INPUTS];    /* [width], owned: largest |x| */
} flat;

static const lb_block_input INPUT_OF[LB_BLOCK_LINEARS] = {
    [LB_BLOCK_Q] = LB_BLOCK_IN_QKV,         [LB_BLOCK_K] = LB_BLOCK_IN_QKV,       [LB_BLOCK_V] = LB_BLOCK_IN_QKV,
    [LB_BLOCK_O] = LB_BLOCK_IN_O,           [LB_BLOCK_GATE] = LB_BLOCK_IN_GATE_UP, [LB_BLOCK_UP] = LB_BLOCK_IN_GATE_UP,
    [LB_BLOCK_DOWN] = LB_BLOCK_IN_DOWN,
};

static bool on(int bits) { return bits < 16; }

void lb_flatquant_split(int n, int *n1, int *n2)
{
    int a = (int)sqrt((double)n);
    while ((int64_t)a * a > n) a--;
    while ((int64_t)(a + 1) * (a + 1) <= n) a++;
    while (a > 1 && n % a != 0) a--;
    *n1 = a, *n2 = n / a;
}

/* ---- parameters ---- */

/* A random orthogonal matrix: Gram-Schmidt on normal numbers, twice, in double. */
static bool orthogonal(lb_param *p, uint64_t seed, uint64_t which, lb_err *err)
{
    size_t n = (size_t)p->n;
    lb_rng_key key = lb_rng_key_of(seed, 0x666c6174, which);
    double *q = lb_alloc(n * n, sizeof *q, "flatquant: a random rotation", err);
    if (!q) return false;
    for (size_t i = 0; i < n * n; i++) q[i] = (double)lb_rng_normal(key, i);
    for (size_t i = 0; i < n; i++) {
        for (size_t again = 0; again < 2; again++) {
            for (size_t j = 0; j < i; j++) {
                double dot = 0;
                for (size_t e = 0; e < n; e++) dot += q[i * n + e] * q[j * n + e];
                for (size_t e = 0; e < n; e++) q[i * n + e] -= dot * q[j * n + e];
            }
        }
        double norm = 0;
        for (size_t e = 0; e < n; e++) norm += q[i * n + e] * q[i * n + e];
        for (size_t e = 0; e < n; e++) q[i * n + e] /= sqrt(norm);
    }
    for (size_t i = 0; i < n * n; i++) p->v[i] = (float)q[i];
    free(q);
    return true;
}

static bool square(flat *f, lb_param *p, int n, uint64_t which, lb_err *err)
{
    return lb_param_init(p, f->ex, n, n, "flatquant: a transform", err) && orthogonal(p, f->o.seed, which, err);
}

static bool clips(flat *f, pair *c, int n, lb_err *err)
{
    if (!lb_param_init(&c->hi, f->ex, n, 1, "flatquant: clips", err) ||
        !lb_param_init(&c->lo, f->ex, n, 1, "flatquant: clips", err))
        return false;
    for (int i = 0; i < n; i++) c->hi.v[i] = c->lo.v[i] = CLIP_START;
    return true;
}

static int width_of(const lb_config *c, lb_block_input which)
{
    int n, k;
    static const lb_block_linear reader[LB_BLOCK_INPUTS] = {LB_BLOCK_Q, LB_BLOCK_O, LB_BLOCK_GATE, LB_BLOCK_DOWN};
    lb_block_shape(c, reader[which], &n, &k);
    return k;
}

static bool site_init(flat *f, lb_block_input which, lb_err *err)
{
    site *s = &f->s[which];
    int k = width_of(f->cfg, which);
    if (which == LB_BLOCK_IN_O) s->na = f->cfg->n_head, s->nb = f->cfg->d_head;
    else lb_flatquant_split(k, &s->na, &s->nb);
    if (s->na > MAX_FACTOR || s->nb > MAX_FACTOR)
        return lb_fail(err, LB_EUSAGE,
                       "rows of %d numbers factor as %d x %d, but transforms go up to %d x %d; use another "
                       "method for this model (quarot, smoothquant)",
                       k, s->na, s->nb, MAX_FACTOR, MAX_FACTOR);
    f->peak[which] = lb_alloc((size_t)k, sizeof(float), "flatquant: activation peaks", err);
    return f->peak[which] && (s->na == 1 || square(f, &s->a, s->na, 2 * (uint64_t)which, err)) &&
           (s->nb == 1 || square(f, &s->b, s->nb, 2 * (uint64_t)which + 1, err)) &&
           (which == LB_BLOCK_IN_O || lb_param_init(&s->d, f->ex, 1, k, "flatquant: scales", err)) &&
           (!on(f->o.a_bits) || clips(f, &s->clip, 1, err));
}

static bool flat_init(flat *f, lb_err *err)
{
    for (int i = 0; i < LB_BLOCK_INPUTS; i++)
        if (!site_init(f, (lb_block_input)i, err)) return false;
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        int n, k;
        lb_block_shape(f->cfg, (lb_block_linear)i, &n, &k);
        if (on(f->o.w_bits[i]) && !clips(f, &f->w_clip[i], n, err)) return false;
    }
    bool learned = f->o.learn_kv_clip;
    return (!on(f->o.k_bits) || square(f, &f->pk, f->cfg->d_head, 2 * LB_BLOCK_INPUTS, err)) &&
           (!on(f->o.k_bits) || !learned || clips(f, &f->k_clip, 1, err)) &&
           (!on(f->o.v_bits) || !learned || clips(f, &f->v_clip, 1, err));
}

/* Everything that is trained, with how. Ends with p == NULL. */
typedef struct trained { lb_param *p; lb_optim_group how; } trained;
enum { MAX_TRAINED = 5 * LB_BLOCK_INPUTS + 5 + 2 * LB_BLOCK_LINEARS + 1 };

static void list(flat *f, trained *t)
{
    const lb_optim_group how = {.lr = f->o.lr, .weight_decay = 0.01f};
    const lb_optim_group clip = {.lr = f->o.lr_clip, .weight_decay = 0.01f};
    const lb_optim_group scale = {.lr = f->o.lr, .weight_decay = 0.01f, .lo = MIN_SCALE, .hi = INFINITY};
    int n = 0;
    for (int i = 0; i < LB_BLOCK_INPUTS; i++) {
        site *s = &f->s[i];
        t[n++] = (trained){&s->a, how};
        t[n++] = (trained){&s->b, how};
        t[n++] = (trained){&s->d, scale};
        t[n++] = (trained){&s->clip.hi, clip};
        t[n++] = (trained){&s->clip.lo, clip};
    }
    t[n++] = (trained){&f->pk, how};
    t[n++] = (trained){&f->k_clip.hi, clip};
    t[n++] = (trained){&f->k_clip.lo, clip};
    t[n++] = (trained){&f->v_clip.hi, clip};
    t[n++] = (trained){&f->v_clip.lo, clip};
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        t[n++] = (trained){&f->w_clip[i].hi, clip};
        t[n++] = (trained){&f->w_clip[i].lo, clip};
    }
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (t[i].p->v) t[kept++] = t[i];
    t[kept] = (trained){0};
}

static void flat_free(flat *f)
{
    trained t[MAX_TRAINED];
    list(f, t);
    for (int i = 0; t[i].p; i++) lb_param_free(t[i].p, f->ex);
    for (int i = 0; i < LB_BLOCK_INPUTS; i++) free(f->peak[i]);
}

/* ---- the block on the tape ---- */

static lb_var *param(lb_grad *g, lb_param *p) { return p->v ? lb_grad_param(g, p) : NULL; }
static lb_var *inverse(lb_grad *g, lb_var *p) { return p ? lb_grad_inverse(g, p, true) : NULL; }
static lb_var *kron(lb_grad *g, lb_var *x, lb_var *a, lb_var *b) { return a || b ? lb_grad_kron(g, x, a, b) : x; }

static void begin(void *arg, lb_grad *g)
{
    flat *f = arg;
    if (f->mode < TRANSFORMED) return;
    for (int i = 0; i < LB_BLOCK_INPUTS; i++) {
        site *s = &f->s[i];
        s->va = param(g, &s->a), s->ia = inverse(g, s->va);
        s->vb = param(g, &s->b), s->ib = inverse(g, s->vb);
        s->vd = param(g, &s->d);
    }
    f->vk = param(g, &f->pk), f->ik = inverse(g, f->vk);
}

static lb_var *quantize_rows(flat *f, lb_grad *g, lb_var *x, int bits, float clip, pair *c)
{
    lb_act_fq q = {.bits = bits, .clip_hi = clip, .clip_lo = clip};
    if (!on(bits) || (f->mode != PLAIN && f->mode != QUANTIZED)) return x;
    if (f->mode == QUANTIZED) q.c_hi = param(g, &c->hi), q.c_lo = param(g, &c->lo);
    return lb_grad_act_fq(g, x, &q);
}

static void look(float *peak, const lb_var *x)
{
    for (int i = 0; i < x->n; i++) {
        const float *row = x->v + (size_t)i * (size_t)x->k;
        for (int j = 0; j < x->k; j++) peak[j] = fmaxf(peak[j], fabsf(row[j]));
    }
}

static lb_var *input(void *arg, lb_grad *g, lb_block_input which, lb_var *x)
{
    flat *f = arg;
    site *s = &f->s[which];
    if (f->mode == LOOK && x) look(f->peak[which], x);
    if (f->mode >= TRANSFORMED) {
        if (s->vd) x = lb_grad_scale(g, x, s->vd, false);
        x = kron(g, x, s->va, which == LB_BLOCK_IN_O ? NULL : s->vb);
    }
    return quantize_rows(f, g, x, f->o.a_bits, 0, &s->clip);
}

/* PᵥᵀW for the rows of each kv head, and the same for the bias. */
static void turn_values(flat *f, lb_grad *g, lb_var **w, lb_var **bias)
{
    lb_var *pv = f->s[LB_BLOCK_IN_O].vb;
    int n_kv = f->cfg->n_kv, d = f->cfg->d_head, n = n_kv * d;
    if (!pv || !*w) return;
    int k = (*w)->k;
    *w = lb_grad_view(g, lb_grad_kron(g, lb_grad_view(g, *w, n_kv, d * k), pv, NULL), n, k);
    if (*bias) *bias = lb_grad_view(g, lb_grad_kron(g, lb_grad_view(g, *bias, n_kv, d), NULL, pv), 1, n);
}

static void weight(void *arg, lb_grad *g, lb_block_linear which, lb_var **w, lb_var **bias)
{
    flat *f = arg;
    site *s = &f->s[INPUT_OF[which]];
    if (f->mode >= TRANSFORMED) {
        if (s->vd) *w = lb_grad_scale(g, *w, s->vd, true);
        *w = kron(g, *w, s->ia, s->ib);
        if (which == LB_BLOCK_V) turn_values(f, g, w, bias);
    }
    if (!on(f->o.w_bits[which]) || (f->mode != PLAIN && f->mode != QUANTIZED)) return;
    lb_weight_fq q = {.bits = f->o.w_bits[which], .sym = true, .scale_type = f->o.scale_type};
    if (f->mode == QUANTIZED)
        q.c_hi = param(g, &f->w_clip[which].hi), q.c_lo = param(g, &f->w_clip[which].lo);
    *w = lb_grad_weight_fq(g, *w, &q);
}

static lb_var *head(void *arg, lb_grad *g, lb_block_head which, lb_var *x)
{
    flat *f = arg;
    if (!x || (which == LB_BLOCK_HEAD_Q && (!f->vk || f->mode < TRANSFORMED))) return x;
    int n = x->n, k = x->k, d = f->cfg->d_head;
    x = lb_grad_view(g, x, n * (k / d), d);
    if (which != LB_BLOCK_HEAD_V && f->mode >= TRANSFORMED)
        x = kron(g, x, NULL, which == LB_BLOCK_HEAD_K ? f->vk : f->ik);
    if (which == LB_BLOCK_HEAD_K) x = quantize_rows(f, g, x, f->o.k_bits, f->o.kv_clip, &f->k_clip);
    if (which == LB_BLOCK_HEAD_V) x = quantize_rows(f, g, x, f->o.v_bits, f->o.kv_clip, &f->v_clip);
    return lb_grad_view(g, x, n, k);
}

/* ---- training ---- */

/* d = max|w|^(1−α) / max|x|^α for every column of a site, over all its readers. */
static void start_scales(flat *f, const lb_block_weights *b)
{
    for (int l = 0; l < LB_BLOCK_LINEARS; l++) {
        float *top = f->s[INPUT_OF[l]].d.v;
        int n, k;
        lb_block_shape(f->cfg, (lb_block_linear)l, &n, &k);
        for (int r = 0; top && r < n; r++)
            for (int j = 0; j < k; j++) top[j] = fmaxf(top[j], fabsf(b->w[l][(size_t)r * (size_t)k + (size_t)j]));
    }
    for (int i = 0; i < LB_BLOCK_INPUTS; i++) {
        lb_param *d = &f->s[i].d;
        for (int j = 0; d->v && j < d->k; j++) {
            float w = fmaxf(d->v[j], MIN_SCALE), x = fmaxf(f->peak[i][j], MIN_SCALE);
            d->v[j] = fmaxf(powf(w, 1 - f->o.alpha) / powf(x, f->o.alpha), MIN_SCALE);
        }
    }
}

/* Gradients of the loss of a batch over itself, so that its size does not matter: those of its parts, which come with
 * their own size, added up and divided. */
static bool gradients(flat *f, lb_recon *d, const lb_recon_hooks *h, const trained *t, int first, lb_err *err)
{
    double loss = 0;
    int parts = f->o.batch / f->o.micro;
    for (int i = 0; i < parts; i++) {
        lb_var *l = lb_recon_loss(d, first + i * f->o.micro, f->o.micro, h);
        loss += (double)lb_grad_scalar(d->g, l);
        if (!lb_grad_backward(d->g, l, err)) return false;
    }
    float by = loss > 0 ? (float)(1 / loss) : 0;
    for (; t->p; t++)
        for (size_t i = 0; i < (size_t)t->p->n * (size_t)t->p->k; i++) t->p->d[i] *= by;
    return true;
}

static bool train(flat *f, lb_recon *d, const lb_recon_hooks *h, int *skipped, lb_err *err)
{
    trained t[MAX_TRAINED];
    list(f, t);
    lb_optim *opt = lb_optim_open(f->ex, &(lb_optim_opt){.kind = LB_OPTIM_ADAMW}, err);
    bool ok = opt != NULL;
    for (int i = 0; ok && t[i].p; i++) ok = lb_optim_add(opt, t[i].p, &t[i].how, err);
    int per_epoch = d->data.n_seq / f->o.batch, n_step = f->o.epochs * per_epoch;
    for (int step = 0; ok && step < n_step; step++) {
        int at = step % per_epoch;
        lb_err why = {0};
        if (at == 0) lb_recon_shuffle(d, f->o.seed, (uint64_t)(step / per_epoch));
        ok = gradients(f, d, h, t, at * f->o.batch, err);
        if (!ok || lb_optim_step(opt, lb_lr_cosine(step, n_step, 0, LAST_LR), &why)) continue;
        ok = why.code == LB_ENUMERIC && ++*skipped <= n_step / 10; /* a rare one is left out, as a loss scaler would */
        if (!ok) lb_fail(err, why.code, "step %d of %d: %s", step, n_step, why.msg);
    }
    lb_optim_close(opt);
    lb_grad_reset(d->g);
    return ok;
}

static size_t floats(const trained *t) { return (size_t)t->p->n * (size_t)t->p->k; }

/* Trains; should the block be worse off than at the start (a learning rate too high), the start is what stays. */
static bool train_or_keep(flat *f, lb_recon *d, const lb_recon_hooks *h, lb_flatquant_report *r, lb_err *err)
{
    trained t[MAX_TRAINED];
    size_t n = 0, at = 0;
    list(f, t);
    for (int i = 0; t[i].p; i++) n += floats(&t[i]);
    float *first = lb_alloc(n, sizeof *first, "flatquant: the start", err);
    if (!first) return false;
    for (int i = 0; t[i].p; at += floats(&t[i]), i++) memcpy(first + at, t[i].p->v, floats(&t[i]) * sizeof(float));
    bool ok = train(f, d, h, &r->skipped, err) && lb_recon_measure(d, h, &r->end, err);
    at = 0;
    for (int i = 0; ok && r->end > r->start && t[i].p; at += floats(&t[i]), i++)
        memcpy(t[i].p->v, first + at, floats(&t[i]) * sizeof(float));
    if (ok && r->end > r->start) r->end = r->start;
    free(first);
    return ok;
}

/* ---- taking over ---- */

static float clip_value(const lb_param *c, int i) { return 1 / (1 + expf(-c->v[i])); }

static float *copy_of(const float *v, size_t n, lb_err *err)
{
    float *p = lb_alloc(n, sizeof *p, "flatquant: the result", err);
    if (p) memcpy(p, v, n * sizeof *p);
    return p;
}

/* [n,2]: lo and hi factor of every row. */
static float *row_clips(const pair *c, lb_err *err)
{
    float *out = lb_alloc((size_t)c->lo.n, 2 * sizeof *out, "flatquant: clips", err);
    for (int r = 0; out && r < c->lo.n; r++) out[2 * r] = clip_value(&c->lo, r), out[2 * r + 1] = clip_value(&c->hi, r);
    return out;
}

static void clip_values(const pair *c, float fixed, float out[2])
{
    out[0] = c->lo.v ? clip_value(&c->lo, 0) : fixed;
    out[1] = c->hi.v ? clip_value(&c->hi, 0) : fixed;
}

/* An online transform of the block's own; a, b: NULL for identity. */
static bool keep_kron(lb_qblock *b, lb_site at, int na, int nb, const float *a, const float *c, lb_err *err)
{
    float *ka = NULL, *kb = NULL;
    if (!a && !c) return true;
    if (a && !(ka = lb_qblock_keep(b, (size_t)na * (size_t)na, "flatquant: a transform", err))) return false;
    if (c && !(kb = lb_qblock_keep(b, (size_t)nb * (size_t)nb, "flatquant: a transform", err))) return false;
    if (a) memcpy(ka, a, (size_t)na * (size_t)na * sizeof *a);
    if (c) memcpy(kb, c, (size_t)nb * (size_t)nb * sizeof *c);
    b->in[at] = (lb_transform){.kind = LB_TRANSFORM_KRON, .k = na * nb, .na = na, .nb = nb, .a = ka, .b = kb};
    return true;
}

static const lb_site SITE_OF[LB_BLOCK_INPUTS] = {[LB_BLOCK_IN_QKV] = LB_SITE_QKV, [LB_BLOCK_IN_O] = LB_SITE_O,
                                                 [LB_BLOCK_IN_GATE_UP] = LB_SITE_MLP,
                                                 [LB_BLOCK_IN_DOWN] = LB_SITE_DOWN};

static bool keep_transforms(const flat *f, lb_qblock *b, lb_err *err)
{
    int d = f->cfg->d_head;
    for (int i = 0; i < LB_BLOCK_INPUTS; i++) {
        const site *s = &f->s[i];
        if (!keep_kron(b, SITE_OF[i], s->na, s->nb, s->a.v, i == LB_BLOCK_IN_O ? NULL : s->b.v, err)) return false;
        if (s->clip.hi.v) clip_values(&s->clip, 1, b->clip[SITE_OF[i]]);
    }
    return !f->vk || (keep_kron(b, LB_SITE_K_ROPE, 1, d, NULL, f->vk->v, err) &&
                      keep_kron(b, LB_SITE_Q_ROPE, 1, d, NULL, f->ik->v, err));
}

typedef struct taken {               /* the transformed weights, until all of them are there; owned */
    float *w[LB_BLOCK_LINEARS], *v_bias;
} taken;

static bool transformed(flat *f, lb_recon *d, taken *t, lb_flatquant_report *r, lb_err *err)
{
    lb_grad *g = d->g;
    f->mode = TRANSFORMED;
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) {
        int n, k;
        lb_block_shape(f->cfg, (lb_block_linear)i, &n, &k);
        lb_grad_reset(g);
        begin(f, g);
        lb_var *w = lb_grad_const(g, d->weights.w[i], n, k);
        lb_var *bias = d->weights.bias[i] ? lb_grad_const(g, d->weights.bias[i], 1, n) : NULL;
        weight(f, g, (lb_block_linear)i, &w, &bias);
        if (!lb_grad_ok(g, err) || !(t->w[i] = copy_of(w->v, (size_t)n * (size_t)k, err))) return false;
        if (i == LB_BLOCK_V && bias && !(t->v_bias = copy_of(bias->v, (size_t)n, err))) return false;
        if (on(f->o.w_bits[i]) && !(r->clip[i] = row_clips(&f->w_clip[i], err))) return false;
    }
    return true;
}

/* Scales of inputs go where they cost nothing: into the norms, and into the rows that make the input of down. */
static void merge_scales(const flat *f, lb_qblock *b)
{
    const site *qkv = &f->s[LB_BLOCK_IN_QKV], *mlp = &f->s[LB_BLOCK_IN_GATE_UP], *down = &f->s[LB_BLOCK_IN_DOWN];
    for (int j = 0; j < f->cfg->d_model; j++) b->attn_norm[j] *= qkv->d.v[j], b->mlp_norm[j] *= mlp->d.v[j];
    for (int r = 0; r < b->up.n; r++) {
        float *w = b->up.w + (size_t)r * (size_t)b->up.k;
        for (int j = 0; j < b->up.k; j++) w[j] *= down->d.v[r];
        if (b->up.bias) b->up.bias[r] *= down->d.v[r];
    }
}

static bool take_over(flat *f, lb_recon *d, lb_qblock *b, lb_flatquant_report *r, lb_err *err)
{
    taken t = {0};
    float clip[LB_N_INPUT_SITE][2];
    memcpy(clip, b->clip, sizeof clip);
    bool ok = transformed(f, d, &t, r, err) && keep_transforms(f, b, err);
    if (!ok) memset(b->in, 0, sizeof b->in), memcpy(b->clip, clip, sizeof clip);
    for (int i = 0; ok && i < LB_BLOCK_LINEARS; i++) {
        lb_qlinear *l = lb_recon_linear(b, (lb_block_linear)i);
        memcpy(l->w, t.w[i], (size_t)l->n * (size_t)l->k * sizeof *l->w);
    }
    if (ok && t.v_bias) memcpy(b->v.bias, t.v_bias, (size_t)b->v.n * sizeof *t.v_bias);
    if (ok) merge_scales(f, b);
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) free(t.w[i]);
    free(t.v_bias);
    clip_values(&f->k_clip, f->o.kv_clip, r->k_clip);
    clip_values(&f->v_clip, f->o.kv_clip, r->v_clip);
    return ok;
}

/* ---- the whole ---- */

static bool fill_defaults(lb_flatquant_opt *o, const lb_recon_data *d, lb_err *err)
{
    for (int i = 0; i < LB_BLOCK_LINEARS; i++)
        if (o->w_bits[i] == 0) o->w_bits[i] = 16;
    if (o->a_bits == 0) o->a_bits = 16;
    if (o->k_bits == 0) o->k_bits = 16;
    if (o->v_bits == 0) o->v_bits = 16;
    if (o->kv_clip == 0) o->kv_clip = 1;
    if (o->epochs == 0) o->epochs = 15;
    if (o->epochs < 0) o->epochs = 0;
    if (o->batch == 0) o->batch = 4;
    if (o->lr == 0) o->lr = 5e-3f;
    if (o->lr_clip == 0) o->lr_clip = 5e-2f;
    if (o->alpha == 0) o->alpha = 0.3f;
    if (o->micro == 0) o->micro = lb_recon_micro(o->batch, d->len);
    if (o->batch < 1 || o->micro < 1 || o->batch % o->micro != 0)
        return lb_fail(err, LB_EUSAGE, "a batch of %d sequences cannot be taken %d at a time", o->batch, o->micro);
    return d->n_seq >= o->batch ||
           lb_fail(err, LB_EUSAGE,
                   "%d calibration sequences are less than one batch of %d; give more of them or a smaller batch", d->n_seq,
                   o->batch);
}

static bool no_transforms(const lb_qblock *b, lb_err *err)
{
    for (int i = 0; i < LB_N_SITE; i++)
        if (b->in[i].kind != LB_TRANSFORM_NONE)
            return lb_fail(err, LB_EUSAGE,
                           "there is a transform at '%s' already; flatquant brings its own: take the other out",
                           lb_site_name((lb_site)i));
    return true;
}

bool lb_flatquant_block(lb_exec *ex, lb_qblock *b, const lb_recon_data *data, const lb_flatquant_opt *opt,
                        lb_flatquant_report *rep, lb_err *err)
{
    flat f = {.ex = ex, .cfg = b->cfg, .o = *opt};
    lb_recon d = {0};
    lb_recon_hooks h = {.block = {.arg = &f, .input = input, .weight = weight, .head = head}, .begin = begin};
    double as_is;
    bool ok = fill_defaults(&f.o, data, err) && no_transforms(b, err) &&
              lb_recon_open(&d, ex, b, data, f.o.micro, f.o.max_bytes, err) && flat_init(&f, err);
    f.mode = LOOK;
    ok = ok && lb_recon_measure(&d, &h, &as_is, err);
    if (ok) start_scales(&f, &d.weights);
    f.mode = PLAIN;
    ok = ok && lb_recon_measure(&d, &h, &rep->rtn, err);
    f.mode = QUANTIZED;
    ok = ok && lb_recon_measure(&d, &h, &rep->start, err) && train_or_keep(&f, &d, &h, rep, err);
    if (ok) rep->power = lb_recon_power(&d);
    ok = ok && take_over(&f, &d, b, rep, err);
    lb_recon_close(&d);
    flat_free(&f);
    return ok || lb_wrap(err, "layer %d: flatquant", b->layer);
}

void lb_flatquant_report_free(lb_flatquant_report *r)
{
    for (int i = 0; i < LB_BLOCK_LINEARS; i++) free(r->clip[i]);
    *r = (lb_flatquant_report){0};
}

/* On the tape an input is scaled, multiplied twice and quantized, a weight that too and for v turned. Beside it: for
 * every transform, scale and clip a value, a gradient, two moments and the start; the transformed weights before they
 * are taken. */
size_t lb_flatquant_bytes(const lb_config *c, const lb_flatquant_opt *opt, int n_seq, int len, bool has_target)
{
    size_t rows, n = lb_recon_weights(c, &rows), bytes = 0, own = 2 * rows + 2 * (size_t)c->d_head * (size_t)c->d_head;
    int batch = opt->batch > 0 ? opt->batch : 4, micro = opt->micro > 0 ? opt->micro : lb_recon_micro(batch, len);
    for (int i = 0; i < LB_BLOCK_INPUTS; i++) {
        int a, b, k = width_of(c, (lb_block_input)i);
        lb_flatquant_split(k, &a, &b);
        own += (size_t)a * (size_t)a + (size_t)b * (size_t)b + 2 * (size_t)k;
    }
    own += (size_t)c->n_head * (size_t)c->n_head;
    lb_size_mul(n + 5 * own, sizeof(float), &bytes);
    lb_size_add(bytes, lb_recon_step_bytes(c, micro, len, 4, 5), &bytes);
    lb_size_add(bytes, 16 * own, &bytes); /* inverses are made in double */
    lb_size_add(bytes, lb_recon_bytes(c, n_seq, len, micro, has_target), &bytes);
    return bytes;
}
