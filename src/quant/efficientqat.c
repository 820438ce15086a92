/* quant/efficientqat.c – one block against its unquantized self. */
#include "quant/efficientqat.h"
#include "base/mem.h"
#include "model/optim.h"
#include "quant/grid.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHT, SCALE, ZERO, N_PARAM };

typedef struct layer {
    lb_qlinear *from;                /* borrowed */
    lb_qmat *q;                      /* NULL: not trained */
    bool sym;
    int n_group;
    lb_param p[N_PARAM];             /* owned: [n,k], [n,G], [n,G] */
    float *first[N_PARAM];           /* owned: the start */
} layer;

typedef struct blockap {
    lb_exec *ex;
    layer l[LB_BLOCK_LINEARS];
} blockap;

static size_t count(const layer *l, int which) { return (size_t)l->p[which].n * (size_t)l->p[which].k; }

static void weight(void *arg, lb_grad *g, lb_block_linear which, lb_var **w, lb_var **bias)
{
    (void)bias;
    layer *l = &((blockap *)arg)->l[which];
    if (!l->q) return;
    *w = lb_grad_weight_grid(g, lb_grad_param(g, &l->p[WEIGHT]),
                             &(lb_weight_grid){.bits = l->q->bits,
                                               .group = l->q->group,
                                               .scale_type = l->q->scale_type,
                                               .scale = lb_grad_param(g, &l->p[SCALE]),
                                               .zero = lb_grad_param(g, &l->p[ZERO])});
}

/* ---- start and end ---- */

typedef struct start {
    layer *l;
    bool clip;
} start;

static void start_rows(void *arg, int row0, int row1)
{
    layer *l = ((start *)arg)->l;
    const lb_qmat *q = l->q;
    for (size_t i = (size_t)row0 * (size_t)l->n_group; i < (size_t)row1 * (size_t)l->n_group; i++) {
        const float *w = l->from->w + i * (size_t)q->group;
        lb_grid g = ((start *)arg)->clip ? lb_grid_mse(w, q->group, q->bits, l->sym, q->scale_type)
                                         : lb_grid_minmax(w, q->group, q->bits, l->sym, 1, q->scale_type);
        l->first[SCALE][i] = g.scale;
        l->first[ZERO][i] = (float)g.zero;
    }
}

static void restart(blockap *r)
{
    for (int j = 0; j < LB_BLOCK_LINEARS; j++)
        for (int i = 0; r->l[j].q && i < N_PARAM; i++)
            lb_exec_put(r->ex, r->l[j].p[i].v, r->l[j].first[i], count(&r->l[j], i) * sizeof(float));
}

static bool layer_init(blockap *r, layer *l, bool clip, lb_err *err)
{
    const lb_qmat *q = l->q;
    if (!q) return true;
    if (q->group < 1 || q->k % q->group != 0)
        return lb_fail(err, LB_EUSAGE,
                       "%s: efficientqat wants groups that divide the row, found groups of %d in %d columns",
                       l->from->name, q->group, q->k);
    l->n_group = q->k / q->group;
    for (int i = 0; i < N_PARAM; i++)
        if (!lb_param_init(&l->p[i], r->ex, q->n, i == WEIGHT ? q->k : l->n_group, l->from->name, err) ||
            !(l->first[i] = lb_alloc(count(l, i), sizeof(float), l->from->name, err)))
            return false;
    memcpy(l->first[WEIGHT], l->from->w, count(l, WEIGHT) * sizeof(float));
    start s = {l, clip};
    lb_parallel(r->ex, q->n, 1, start_rows, &s);
    return true;
}

static void code_rows(void *arg, int row0, int row1)
{
    layer *l = arg;
    lb_qmat *q = l->q;
    for (size_t i = (size_t)row0 * (size_t)l->n_group; i < (size_t)row1 * (size_t)l->n_group; i++) {
        float most = (float)((1 << q->bits) - 1), z = nearbyintf(l->p[ZERO].v[i]);
        lb_grid g = {lb_grid_stored(l->p[SCALE].v[i], q->scale_type),
                     (int)(z < 0      ? 0
                           : z > most ? most
                                      : z),
                     (int)most};
        q->scales[i] = g.scale, q->zeros[i] = (uint8_t)g.zero;
        for (size_t j = i * (size_t)q->group; j < (i + 1) * (size_t)q->group; j++) {
            l->from->w[j] = l->p[WEIGHT].v[j];
            q->codes[j] = (uint8_t)lb_grid_code(&g, l->from->w[j]);
        }
    }
}

static void blockap_free(blockap *r)
{
    for (int j = 0; j < LB_BLOCK_LINEARS; j++)
        for (int i = 0; i < N_PARAM; i++) {
            lb_param_free(&r->l[j].p[i], r->ex);
            free(r->l[j].first[i]);
        }
}

/* ---- training ---- */

static bool add_params(blockap *r, lb_optim *o, const lb_efficientqat_opt *opt, lb_err *err)
{
    bool ok = true;
    for (int j = 0; j < LB_BLOCK_LINEARS; j++) {
        layer *l = &r->l[j];
        if (!l->q) continue;
        const lb_optim_group w = {.lr = opt->lr > 0 ? opt->lr : l->q->bits == 2 ? 2e-5f : 1e-5f},
                             s = {.lr = opt->lr_grid, .lo = 1e-8f, .hi = 1e4f},
                             z = {.lr = l->sym ? 0 : opt->lr_grid};
        ok = ok && lb_optim_add(o, &l->p[WEIGHT], &w, err) && lb_optim_add(o, &l->p[SCALE], &s, err) &&
             lb_optim_add(o, &l->p[ZERO], &z, err);
    }
    return ok;
}

/* Adds up the gradients of the mean loss over a batch. */
static bool gradients(lb_recon *d, const lb_recon_hooks *h, int first, const lb_efficientqat_opt *o, lb_optim *optim,
                      lb_err *err)
{
    for (int i = 0; i < o->batch; i += o->micro) {
        lb_var *loss = lb_recon_loss(d, first + i, o->micro, h);
        if (!lb_grad_backward(d->g, loss, err)) return false;
    }
    lb_optim_scale(optim, (float)o->micro / (float)o->batch);
    lb_grad_reset(d->g);
    return true;
}

static bool train(blockap *r, lb_recon *d, const lb_recon_hooks *h, const lb_efficientqat_opt *o, lb_err *err)
{
    int per_epoch = d->data.n_seq / o->batch, steps = o->epochs * per_epoch;
    lb_optim *optim = lb_optim_open(r->ex, &(lb_optim_opt){.kind = LB_OPTIM_ADAMW}, err);
    bool ok = optim && add_params(r, optim, o, err);
    for (int it = 0; ok && it < steps; it++) {
        if (it % per_epoch == 0) lb_recon_shuffle(d, o->seed, (uint64_t)(it / per_epoch));
        ok = gradients(d, h, it % per_epoch * o->batch, o, optim, err);
        if (ok) lb_optim_clip_norm(optim, (double)o->clip_norm);
        ok = ok && lb_optim_step(optim, lb_lr_cosine(it, steps, 0, 0.05f), err);
        if (!ok) lb_wrap(err, "efficientqat, step %d", it);
    }
    lb_optim_close(optim);
    return ok;
}

static bool fill_defaults(lb_efficientqat_opt *o, const lb_recon_data *d, lb_err *err)
{
    if (o->epochs == 0) o->epochs = 2;
    if (o->epochs < 0) o->epochs = 0;
    if (o->batch == 0) o->batch = 2;
    if (o->lr_grid == 0) o->lr_grid = 1e-4f;
    if (o->clip_norm == 0) o->clip_norm = 0.3f;
    if (o->micro == 0) o->micro = lb_recon_micro(o->batch, d->len);
    if (o->batch < 1 || o->micro < 1 || o->batch % o->micro != 0)
        return lb_fail(err, LB_EUSAGE, "efficientqat: a batch of %d sequences cannot be taken %d at a time", o->batch,
                       o->micro);
    return d->n_seq >= o->batch ||
           lb_fail(err, LB_EUSAGE, "efficientqat: %d calibration sequences are less than one batch of %d", d->n_seq,
                   o->batch);
}

bool lb_efficientqat_block(lb_exec *ex, lb_qblock *b, const lb_recon_data *data, const lb_efficientqat_opt *opt,
                           lb_qmat *const out[LB_BLOCK_LINEARS], const bool sym[LB_BLOCK_LINEARS],
                           lb_efficientqat_report *rep, lb_err *err)
{
    lb_efficientqat_opt o = *opt;
    lb_efficientqat_report got = {0};
    if (!fill_defaults(&o, data, err)) return false;
    blockap r = {.ex = ex};
    lb_recon d = {0};
    lb_recon_hooks h = {.block = {.arg = &r, .weight = weight}};
    bool ok = lb_recon_open(&d, ex, b, data, o.micro, o.max_bytes, err);
    for (int i = 0; ok && i < LB_BLOCK_LINEARS; i++) {
        r.l[i] = (layer){.from = lb_recon_linear(b, (lb_block_linear)i), .q = out[i], .sym = sym[i]};
        ok = layer_init(&r, &r.l[i], o.clip_mse, err);
    }
    d.rounding = o.rounding;
    if (ok) restart(&r);
    ok = ok && lb_recon_measure(&d, &h, &got.start, err) && train(&r, &d, &h, &o, err) &&
         lb_recon_measure(&d, &h, &got.end, err);
    if (ok && got.end > got.start) restart(&r), got.end = got.start;
    if (ok) got.power = lb_recon_power(&d);
    lb_recon_close(&d);
    for (int i = 0; ok && i < LB_BLOCK_LINEARS; i++)
        if (r.l[i].q) lb_parallel(ex, r.l[i].q->n, 1, code_rows, &r.l[i]);
    if (ok && rep) *rep = got;
    blockap_free(&r);
    return ok || lb_wrap(err, "layer %d", b->layer);
}

/* Per weight and per grid number a value, a gradient, two moments and the start. */
size_t lb_efficientqat_bytes(const lb_config *c, const lb_efficientqat_opt *opt, int group, int n_seq, int len,
                             bool has_target)
{
    size_t rows, n = lb_recon_weights(c, &rows), bytes = 0, groups = group > 0 ? n / (size_t)group + rows : rows;
    int batch = opt->batch > 0 ? opt->batch : 2, micro = opt->micro > 0 ? opt->micro : lb_recon_micro(batch, len);
    lb_size_mul(5 * (n + 2 * groups), sizeof(float), &bytes);
    lb_size_add(bytes, lb_recon_step_bytes(c, micro, len, 4, 2), &bytes);
    lb_size_add(bytes, lb_recon_bytes(c, n_seq, len, micro, has_target), &bytes);
    return bytes;
}
