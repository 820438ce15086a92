/* eval/sensitivity.c – one linear layer at a time.
 *
 * The residual stream at the current block is kept for all windows, as is the one behind the last block. For each
 * window every variant of the block runs to the end; then the head is applied in pieces, the base's logits once for all
 * variants. */
#include "eval/sensitivity.h"
#include "base/mem.h"
#include "model/forward.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One kind of the current block in one scheme. */
typedef struct variant {
    lb_kind kind;
    int scheme, n;                   /* linear layers that it replaces */
    lb_mat *mats;                    /* [n], owned; their data is device memory, owned */
    float *x;                        /* host [n_tok, d_model]: the residual stream behind the last block; owned */
    double *sum;                     /* [n_seq] KL of a window; owned */
} variant;

typedef struct run {
    lb_model *m;
    const lb_sens_opt *o;
    const int *windows;
    int n_seq, n_tok, n_row;         /* n_row: rows of the head at once */
    lb_forward *f;
    lb_kv *kv;
    float *at, *end;                 /* host [n_seq, n_tok, d_model]: at the current block; behind the last */
    float *base_logits;              /* [n_row, n_vocab] */
    double *kl, *count;              /* [n_row], [n_seq] */
    int *zeros, *iota;               /* [n_tok] */
    variant *v;                      /* [n_variant] */
    int n_variant;
    lb_err *err;
} run;

/* ---- weights ---- */

static void drop_weights(run *x, variant *v)
{
    for (int i = 0; v->mats && i < v->n; i++) lb_exec_free(x->m->ex, (void *)(uintptr_t)v->mats[i].data);
    free(v->mats);
    v->mats = NULL;
}

/* The weight as the file has it. */
static float *weight(run *x, const char *module, int n, int k, lb_dtype *dtype)
{
    char name[LB_MODULE_NAME + 8];
    snprintf(name, sizeof name, "%s.weight", module);
    const lb_tensor *t = lb_store_need(x->m->store, name, x->err);
    float *w = t ? lb_alloc((size_t)n * (size_t)k, sizeof *w, name, x->err) : NULL;
    for (size_t i = 0; w && i < (size_t)n * (size_t)k; i++) w[i] = lb_load_f32(t->data, t->dtype, i);
    if (t) *dtype = t->dtype;
    return w;
}

static bool pack(run *x, const lb_qmat *q, lb_mat *out)
{
    lb_mat m = lb_tile_mat(lb_qmat_num(q), q->n, q->k, q->group, q->scale_type);
    size_t size = m.num->size(&m);
    void *host = lb_alloc(size, 1, "a quantized layer", x->err),
         *device = host ? lb_exec_alloc(x->m->ex, size, 1, "a quantized layer", x->err) : NULL;
    if (device) {
        lb_tile_pack(q, host, out);
        lb_exec_put(x->m->ex, device, host, size);
        out->data = device;
    }
    free(host);
    return device != NULL;
}

static bool quantize(run *x, const lb_scheme *s, const char *module, int n, int k, lb_mat *out)
{
    const lb_method *rtn = lb_method_find("rtn", x->err);
    lb_qmat q = {.bits = s->w_bits, .n = n, .k = k, .group = s->group > 0 ? s->group : k, .half = s->half};
    float *w = rtn ? weight(x, module, n, k, &q.scale_type) : NULL;
    bool ok = w && lb_qmat_alloc(&q, x->err);
    if (ok) {
        lb_quant_job job = {.name = module, .w = w, .n = n, .k = k, .scheme = *s, .scale_type = q.scale_type,
                            .clip_mse = x->o->clip_mse, .ex = x->m->ex};
        ok = rtn->solve(&job, &q, x->err) && pack(x, &q, out);
        lb_qmat_free(&q);
    }
    free(w);
    return ok;
}

/* The weights of a variant for the given block, and the scratch that its kernels want. */
static bool make(run *x, variant *v, int layer)
{
    const lb_config *c = &x->m->cfg;
    size_t scratch = 0;
    v->n = lb_kind_count(c, layer, v->kind);
    v->mats = lb_alloc((size_t)v->n, sizeof *v->mats, "the quantized layers", x->err);
    if (!v->mats) return false;
    for (int i = 0; i < v->n; i++) {
        char module[LB_MODULE_NAME];
        lb_linear l = *lb_kind_linear(x->m, layer, v->kind, i);
        lb_kind_module(c, layer, v->kind, i, module);
        if (!quantize(x, &x->o->schemes[v->scheme], module, l.w.n, l.w.k, &v->mats[i])) return false;
        l.w = v->mats[i];
        if (!lb_linear_check(&l, module, x->n_tok, x->m->ex, &scratch, x->err)) return false;
    }
    return lb_exec_reserve(x->m->ex, scratch, x->err);
}

/* Puts the variant's weights in place of the model's, and what was there into the variant. */
static void swap(run *x, variant *v, int layer)
{
    for (int i = 0; i < v->n; i++) {
        lb_linear *l = lb_kind_linear(x->m, layer, v->kind, i);
        lb_mat w = l->w;
        l->w = v->mats[i];
        v->mats[i] = w;
    }
}

/* ---- passes ---- */

static size_t window_floats(const run *x) { return (size_t)x->n_tok * (size_t)x->m->cfg.d_model; }

/* One window through blocks [from, to): `in` (NULL: the embedding) to `out`, both host. */
static bool blocks(run *x, int seq, int from, int to, const float *in, float *out)
{
    int d;
    float *rows = lb_forward_rows(x->f, LB_ROWS_X, &d);
    lb_batch b = {.n_tok = x->n_tok, .ids = x->windows + (size_t)seq * (size_t)x->n_tok, .seq = x->zeros,
                  .pos = x->iota};
    lb_forward_start(x->f, x->kv, &b);
    if (in) lb_exec_put(x->m->ex, rows, in, window_floats(x) * sizeof *in);
    for (int l = from; l < to; l++)
        for (lb_part p = 0; p < LB_N_PART; p++) lb_forward_part(x->f, l, p);
    lb_exec_get(x->m->ex, out, rows, window_floats(x) * sizeof *out);
    return lb_exec_sync(x->m->ex, x->err);
}

/* The logits of rows [from, from+n) of a stream that was kept. */
static bool head(run *x, const float *stream, int from, int n, const float **logits)
{
    int d;
    float *rows = lb_forward_rows(x->f, LB_ROWS_X, &d);
    lb_exec_put(x->m->ex, rows, stream + (size_t)from * (size_t)d, (size_t)n * (size_t)d * sizeof *stream);
    return lb_forward_head(x->f, x->iota, n, logits, x->err);
}

static bool add_kl(run *x, variant *v, int seq, int from, int n, int layer)
{
    const float *logits;
    int n_vocab = x->m->cfg.n_vocab;
    if (!head(x, v->x, from, n, &logits)) return false;
    lb_kl_rows(x->m->ex, x->base_logits, logits, n, n_vocab, x->kl);
    for (int i = 0; i < n; i++) {
        if (isnan(x->kl[i]))
            return lb_fail(x->err, LB_ENUMERIC,
                           "%s: layer %d, %s: the logits of window %d at position %d are not finite", x->m->dir, layer,
                           lb_kind_name(v->kind), seq, from + i);
        v->sum[seq] += x->kl[i];
    }
    return true;
}

/* All variants of a block on one window. */
static bool measure(run *x, int layer, int seq)
{
    int n_layer = x->m->cfg.n_layer;
    const float *in = x->at + (size_t)seq * window_floats(x), *logits;
    size_t row_bytes = (size_t)x->m->cfg.n_vocab * sizeof(float);
    bool ok = true;
    for (int i = 0; ok && i < x->n_variant; i++) {
        swap(x, &x->v[i], layer);
        ok = blocks(x, seq, layer, n_layer, in, x->v[i].x);
        swap(x, &x->v[i], layer);
    }
    for (int from = 0; ok && from < x->n_tok; from += x->n_row) {
        int n = x->n_tok - from < x->n_row ? x->n_tok - from : x->n_row;
        ok = head(x, x->end + (size_t)seq * window_floats(x), from, n, &logits);
        if (ok) memcpy(x->base_logits, logits, (size_t)n * row_bytes);
        for (int i = 0; ok && i < x->n_variant; i++) ok = add_kl(x, &x->v[i], seq, from, n, layer);
    }
    return ok;
}

static bool stopped(const run *x)
{
    return x->o->stop && *x->o->stop && !lb_fail(x->err, LB_ESTOPPED, "stopped; nothing was written");
}

static bool do_layer(run *x, int layer, lb_sens_result *out)
{
    bool ok = true;
    for (int i = 0; ok && i < x->n_variant; i++) {
        ok = make(x, &x->v[i], layer);
        memset(x->v[i].sum, 0, (size_t)x->n_seq * sizeof(double));
    }
    for (int s = 0; ok && s < x->n_seq; s++) ok = !stopped(x) && measure(x, layer, s);
    for (int i = 0; i < x->n_variant; i++) {
        variant *v = &x->v[i];
        lb_sens_part *p = &out->p[layer * LB_N_KIND + (int)v->kind];
        p->layer = layer, p->kind = v->kind, p->n_weight = 0;
        for (int j = 0; ok && j < v->n; j++) {
            p->n_weight += (int64_t)v->mats[j].n * v->mats[j].k;
            p->bits[v->scheme] += lb_scheme_bits(&x->o->schemes[v->scheme], v->mats[j].n, v->mats[j].k,
                                                 v->mats[j].scale_type);
        }
        if (ok) p->kl[v->scheme] = lb_pooled_mean(v->sum, x->count, x->n_seq);
        drop_weights(x, v);
        if (ok && x->o->progress) lb_progress_add(x->o->progress, 1, 0);
    }
    for (int s = 0; ok && s < x->n_seq; s++) { /* to the next block, as the base has it */
        float *at = x->at + (size_t)s * window_floats(x);
        ok = blocks(x, s, layer, layer + 1, at, at);
    }
    return ok;
}

/* ---- all of it ---- */

static bool check(const lb_model *m, const int *windows, int n_seq, int n_tok, const lb_sens_opt *o, lb_err *err)
{
    const lb_config *c = &m->cfg;
    if (n_tok > lb_config_ctx(c))
        return lb_fail(err, LB_EUSAGE, "windows of %d tokens are longer than the context of %d", n_tok,
                       lb_config_ctx(c));
    for (size_t i = 0; i < (size_t)n_seq * (size_t)n_tok; i++)
        if (windows[i] < 0 || windows[i] >= c->n_vocab)
            return lb_fail(err, LB_EUSAGE, "token %zu is %d, the vocabulary has %d", i, windows[i], c->n_vocab);
    for (int layer = 0; layer < c->n_layer; layer++) {
        for (int kind = 0; kind < LB_N_KIND; kind++) {
            char module[LB_MODULE_NAME];
            const lb_linear *l = lb_kind_linear((lb_model *)(uintptr_t)m, layer, kind, 0);
            lb_kind_module(c, layer, kind, 0, module);
            if (l->w.num->grouped || l->in || l->act.kind != LB_ACT_NONE)
                return lb_fail(err, LB_EUSAGE, "%s: '%s' is quantized already; start from the 16-bit model", m->dir,
                               module);
            for (int s = 0; s < o->n_scheme; s++)
                if (o->schemes[s].group > l->w.k)
                    return lb_fail(err, LB_EUSAGE, "%s: group %d is longer than the row of %d columns", module,
                                   o->schemes[s].group, l->w.k);
        }
    }
    for (int s = 0; s < o->n_scheme; s++)
        if (o->schemes[s].w_bits == 16 || o->schemes[s].format != LB_W_INT)
            return lb_fail(err, LB_EUSAGE, "scheme %d of the list is not one of integer weights", s + 1);
    return true;
}

static bool open_run(run *x)
{
    const lb_config *c = &x->m->cfg;
    size_t n = (size_t)x->n_tok, all = (size_t)x->n_seq * window_floats(x);
    x->n_row = lb_logit_rows(c->n_vocab, x->n_tok);
    x->n_variant = LB_N_KIND * x->o->n_scheme;
    x->at = lb_alloc(all, sizeof(float), "the residual stream", x->err);
    x->end = lb_alloc(all, sizeof(float), "the residual stream", x->err);
    x->base_logits = lb_alloc((size_t)x->n_row, (size_t)c->n_vocab * sizeof(float), "the logits", x->err);
    x->kl = lb_alloc((size_t)x->n_row, sizeof(double), "the comparison", x->err);
    x->count = lb_alloc((size_t)x->n_seq, sizeof(double), "the comparison", x->err);
    x->zeros = lb_alloc(n, sizeof(int), "the batch", x->err);
    x->iota = lb_alloc(n, sizeof(int), "the batch", x->err);
    x->v = lb_alloc((size_t)x->n_variant, sizeof *x->v, "the variants", x->err);
    if (!x->at || !x->end || !x->base_logits || !x->kl || !x->count || !x->zeros || !x->iota || !x->v) return false;
    for (int i = 0; i < x->n_tok; i++) x->iota[i] = i;
    for (int i = 0; i < x->n_seq; i++) x->count[i] = x->n_tok;
    for (int i = 0; i < x->n_variant; i++) {
        variant *v = &x->v[i];
        v->kind = (lb_kind)(i / x->o->n_scheme), v->scheme = i % x->o->n_scheme;
        v->x = lb_alloc(window_floats(x), sizeof(float), "the residual stream", x->err);
        v->sum = lb_alloc((size_t)x->n_seq, sizeof(double), "the comparison", x->err);
        if (!v->x || !v->sum) return false;
    }
    x->kv = lb_kv_open(x->m->ex, c, x->m->embed.num->dtype == LB_F32 ? "f32" : "bf16", 1, x->n_tok, 0, x->err);
    x->f = x->kv ? lb_forward_open(x->m, x->n_tok, x->n_row, x->err) : NULL;
    return x->f && lb_kv_grow(x->kv, 0, x->n_tok);
}

static void close_run(run *x)
{
    for (int i = 0; x->v && i < x->n_variant; i++) {
        drop_weights(x, &x->v[i]);
        free(x->v[i].x);
        free(x->v[i].sum);
    }
    free(x->v);
    lb_forward_close(x->f);
    lb_kv_close(x->kv);
    free(x->at);
    free(x->end);
    free(x->base_logits);
    free(x->kl);
    free(x->count);
    free(x->zeros);
    free(x->iota);
}

int lb_sens_count(const lb_config *c, const lb_sens_opt *o) { return c->n_layer * LB_N_KIND * o->n_scheme; }

bool lb_sens_run(lb_model *m, const int *windows, int n_seq, int n_tok, const lb_sens_opt *o, lb_sens_result *out,
                 lb_err *err)
{
    memset(out, 0, sizeof *out);
    int n_layer = m->cfg.n_layer;
    run x = {.m = m, .o = o, .windows = windows, .n_seq = n_seq, .n_tok = n_tok, .err = err};
    bool ok = check(m, windows, n_seq, n_tok, o, err) && open_run(&x) &&
              (out->p = lb_alloc((size_t)n_layer * LB_N_KIND, sizeof *out->p, "the result", err)) != NULL;
    for (int s = 0; ok && s < n_seq; s++) {
        size_t i = (size_t)s * window_floats(&x);
        ok = blocks(&x, s, 0, 0, NULL, x.at + i) && blocks(&x, s, 0, n_layer, x.at + i, x.end + i);
    }
    for (int l = 0; ok && l < n_layer; l++) {
        if (o->progress) lb_progress_what(o->progress, "layer %d of %d", l + 1, n_layer);
        ok = do_layer(&x, l, out);
    }
    out->n = n_layer * LB_N_KIND, out->n_layer = n_layer, out->n_scheme = o->n_scheme;
    out->n_pos = (int64_t)n_seq * n_tok;
    memcpy(out->schemes, o->schemes, sizeof out->schemes);
    close_run(&x);
    if (!ok) lb_sens_free(out);
    return ok;
}

void lb_sens_free(lb_sens_result *r)
{
    free(r->p);
    memset(r, 0, sizeof *r);
}

/* ---- rules ---- */

/* The module's pattern; that of an expert's matches the same of all experts. */
static bool pattern_of(const lb_config *c, const lb_sens_part *p, char out[LB_PATTERN_TEXT], lb_err *err)
{
    char module[LB_MODULE_NAME];
    lb_kind_module(c, p->layer, p->kind, 0, module);
    bool ok = lb_module_pattern(module, out);
    if (ok && lb_kind_count(c, p->layer, p->kind) > 1) {
        char *zero = strstr(out, "\\.0\\."), *last = zero;
        while ((zero = zero ? strstr(zero + 1, "\\.0\\.") : NULL) != NULL)
            last = zero; /* the expert's, not block 0's */
        size_t n = strlen(out);
        ok = last && n + 6 < LB_PATTERN_TEXT;
        if (ok) {
            memmove(last + 8, last + 3, n + 1 - (size_t)(last + 3 - out));
            memcpy(last + 2, "[0-9]+", 6);
        }
    }
    return ok || lb_fail(err, LB_EUNSUPPORTED, "the module name %.80s… is too long", module);
}

bool lb_sens_rules(const lb_sens_result *r, const lb_config *c, double target_bpw, lb_tensor_rule **rules,
                   char (**patterns)[LB_PATTERN_TEXT], lb_allocation *out, lb_err *err)
{
    size_t n = (size_t)r->n;
    lb_allocation mine;
    lb_alloc_layer *l = lb_alloc(n, sizeof *l, "the allocation", err);
    lb_choice(*choice)[LB_SENS_SCHEMES] = lb_alloc(n, sizeof *choice, "the allocation", err);
    int *pick = lb_alloc(n, sizeof *pick, "the allocation", err);
    *rules = lb_alloc(n, sizeof **rules, "the rules", err);
    *patterns = lb_alloc(n, sizeof **patterns, "the rules", err);
    bool ok = l && choice && pick && *rules && *patterns;
    for (size_t i = 0; ok && i < n; i++) {
        const lb_sens_part *p = &r->p[i];
        for (int s = 0; s < r->n_scheme; s++)
            choice[i][s] = (lb_choice){.scheme = r->schemes[s], .bits = p->bits[s], .cost = p->kl[s].mean};
        l[i] = (lb_alloc_layer){(*patterns)[i], p->n_weight, choice[i], r->n_scheme};
        ok = pattern_of(c, p, (*patterns)[i], err);
    }
    ok = ok && lb_allocate(l, r->n, target_bpw, pick, out ? out : &mine, err);
    for (size_t i = 0; ok && i < n; i++) (*rules)[i] = (lb_tensor_rule){(*patterns)[i], choice[i][pick[i]].scheme};
    free(l);
    free(choice);
    free(pick);
    if (ok) return true;
    free(*rules);
    free(*patterns);
    *rules = NULL, *patterns = NULL;
    return false;
}
