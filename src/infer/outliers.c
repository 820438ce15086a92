/* infer/outliers.c – channel maxima of one model at a time, then quantiles of both. */
#include "infer/outliers.h"
#include "base/median.h"
#include "base/mem.h"
#include "model/forward.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CHUNK = 512, COLS = 256 };

/* Places of a layer, in the order of lb_outliers. */
enum { N_PLACE = 2 * LB_N_INPUT_SITE + 1, KEYS = N_PLACE - 1 };
static lb_outlier_kind kind_of(int place)
{
    return place == KEYS ? LB_OUT_KEYS : place < LB_N_INPUT_SITE ? LB_OUT_ACTIVATIONS : LB_OUT_WEIGHTS;
}
static const char *site_of(int place)
{
    return place == KEYS ? "k" : lb_site_name((lb_site)(place % LB_N_INPUT_SITE));
}
static const char *const kind_name[] = {"activations", "weights", "keys"};

/* ---- one model ---- */

/* Largest |·| of the channels of every place. */
typedef struct maxima {
    float **of;                      /* [n_layer · N_PLACE], into block */
    int *width;                      /* [n_layer · N_PLACE] */
    float *block;
    int widest;
} maxima;

static int width_of(const lb_model *m, int layer, int place)
{
    const lb_layer *l = &m->layers[layer];
    if (place == KEYS) return l->k.w.n;
    switch ((lb_site)(place % LB_N_INPUT_SITE)) {
    case LB_SITE_QKV: return l->q.w.k;
    case LB_SITE_O: return l->o.w.k;
    case LB_SITE_MLP: return l->experts ? l->experts[0].gate.w.k : l->gate.w.k;
    default: return l->experts ? l->experts[0].down.w.k : l->down.w.k;
    }
}

static bool open_maxima(maxima *x, const lb_model *m, lb_err *err)
{
    size_t n = (size_t)m->cfg.n_layer * N_PLACE, all = 0;
    x->of = lb_alloc(n, sizeof *x->of, "the channels", err);
    x->width = lb_alloc(n, sizeof *x->width, "the channels", err);
    if (!x->of || !x->width) return false;
    for (size_t i = 0; i < n; i++) {
        x->width[i] = width_of(m, (int)(i / N_PLACE), (int)(i % N_PLACE));
        all += (size_t)x->width[i];
        if (x->width[i] > x->widest) x->widest = x->width[i];
    }
    float *p = x->block = lb_alloc(all, sizeof *p, "the channels", err);
    for (size_t i = 0; p && i < n; p += x->width[i++]) x->of[i] = p;
    return p != NULL;
}

static void close_maxima(maxima *x)
{
    free(x->of);
    free(x->width);
    free(x->block);
}

typedef struct walk {
    lb_model *m;
    const lb_outliers_opt *o;
    maxima *x;
    int layer;
    float *host;                     /* [chunk, widest] rows of a device */
    /* what threads look at */
    float *top;
    const float *rows;
    int n_row, width;
    lb_mat w;
} walk;

static inline void keep(float *top, float v)
{
    float a = fabsf(v);
    if (a > *top || isnan(a)) *top = a; /* a NaN stays: nothing is greater */
}

/* Channels [begin,end) of all rows. */
static void row_columns(void *arg, int begin, int end)
{
    const walk *k = arg;
    for (int t = 0; t < k->n_row; t++)
        for (int i = begin; i < end; i++)
            keep(&k->top[i], k->rows[(size_t)t * (size_t)k->width + (size_t)i]);
}

/* Device memory x [n_row, width] into the maxima of a place. */
static void see_rows(walk *k, int place, const float *x, int n_row)
{
    int at = k->layer * N_PLACE + place;
    k->top = k->x->of[at], k->width = k->x->width[at], k->n_row = n_row, k->rows = x;
    if (lb_exec_mask(k->m->ex) & LB_CUDA) {
        lb_exec_get(k->m->ex, k->host, x, (size_t)n_row * (size_t)k->width * sizeof *x);
        k->rows = k->host;
    }
    lb_parallel(k->m->ex, k->width, 16, row_columns, k);
}

/* Each input once: linears that share it follow the one that stands for it here. */
static void tap(void *arg, const lb_linear *l, const float *x, int n_tok)
{
    walk *k = arg;
    const lb_layer *y = &k->m->layers[k->layer];
    int site = l == &y->q ? LB_SITE_QKV : l == &y->o ? LB_SITE_O : l == &y->gate ? LB_SITE_MLP
               : l == &y->down ? LB_SITE_DOWN : -1;
    for (int e = 0; y->experts && site < 0 && e < k->m->cfg.n_expert; e++)
        site = l == &y->experts[e].gate ? LB_SITE_MLP : l == &y->experts[e].down ? LB_SITE_DOWN : -1;
    if (site >= 0) see_rows(k, site, x, n_tok);
}

/* Channels [begin,end) of all rows of a weight, a narrow strip of columns at a time: the strip stays in the cache. */
static void weight_columns(void *arg, int begin, int end)
{
    const walk *k = arg;
    float v[COLS];
    for (int c = begin; c < end; c += COLS) {
        int n = end - c < COLS ? end - c : COLS;
        for (int r = 0; r < k->w.n; r++) {
            k->w.num->decode(&k->w, r, c, c + n, v);
            for (int i = 0; i < n; i++) keep(&k->top[c + i], v[i]);
        }
    }
}

static bool see_weight(walk *k, lb_site site, const lb_linear *l, lb_err *err)
{
    void *copy = NULL;
    k->w = l->w;
    k->top = k->x->of[k->layer * N_PLACE + LB_N_INPUT_SITE + (int)site];
    if (lb_exec_mask(k->m->ex) & LB_CUDA) {
        size_t bytes = l->w.num->size(&l->w);
        if (!(copy = lb_alloc(bytes, 1, "a weight", err))) return false;
        lb_exec_get(k->m->ex, copy, l->w.data, bytes);
        k->w.data = copy;
    }
    lb_parallel(k->m->ex, l->w.k, 64, weight_columns, k);
    free(copy);
    return true;
}

static bool stopped(const walk *k, lb_err *err)
{
    return k->o->stop && *k->o->stop && !lb_fail(err, LB_ESTOPPED, "stopped");
}

static bool read_weights(walk *k, lb_err *err)
{
    bool ok = true;
    for (k->layer = 0; ok && k->layer < k->m->cfg.n_layer; k->layer++) {
        const lb_layer *l = &k->m->layers[k->layer];
        ok = !stopped(k, err) && see_weight(k, LB_SITE_QKV, &l->q, err) && see_weight(k, LB_SITE_QKV, &l->k, err) &&
             see_weight(k, LB_SITE_QKV, &l->v, err) && see_weight(k, LB_SITE_O, &l->o, err);
        for (int e = 0; ok && e < (l->experts ? k->m->cfg.n_expert : 1); e++) {
            const lb_linear *gate = l->experts ? &l->experts[e].gate : &l->gate;
            const lb_linear *up = l->experts ? &l->experts[e].up : &l->up;
            const lb_linear *down = l->experts ? &l->experts[e].down : &l->down;
            ok = see_weight(k, LB_SITE_MLP, gate, err) && see_weight(k, LB_SITE_MLP, up, err) &&
                 see_weight(k, LB_SITE_DOWN, down, err);
        }
        if (k->o->progress) lb_progress_add(k->o->progress, 1, 0);
    }
    return ok;
}

/* A text through all blocks, chunk by chunk; the head is left out. */
static bool read_text(walk *k, lb_forward *f, lb_kv *kv, const lb_text_ids *text, int *seq, int *pos, int chunk,
                      lb_err *err)
{
    bool ok = lb_kv_grow(kv, 0, text->n) || lb_fail(err, LB_ENOMEM, "the KV cache has no room for %d tokens", text->n);
    for (int at = 0, width; ok && at < text->n; at += chunk) {
        lb_batch b = {.ids = text->ids + at, .seq = seq, .pos = pos};
        b.n_tok = text->n - at < chunk ? text->n - at : chunk;
        for (int i = 0; i < b.n_tok; i++) pos[i] = at + i;
        lb_forward_start(f, kv, &b);
        for (k->layer = 0; k->layer < k->m->cfg.n_layer; k->layer++)
            for (lb_part p = 0; p < LB_N_PART; p++) {
                lb_forward_part(f, k->layer, p);
                if (p == LB_PART_ATTN) see_rows(k, KEYS, lb_forward_rows(f, LB_ROWS_K, &width), b.n_tok);
            }
        ok = lb_exec_sync(k->m->ex, err);
    }
    lb_kv_release(kv, 0);
    if (ok && k->o->progress) lb_progress_add(k->o->progress, 1, text->n);
    return ok;
}

static bool read_texts(walk *k, const char *kv_name, const lb_text_ids *texts, int n_text, int longest, lb_err *err)
{
    lb_model *m = k->m;
    lb_kv_spec spec;
    int chunk = longest < MAX_CHUNK ? longest : MAX_CHUNK;
    lb_kv_room room = {.n_seq = 1, .n_ctx = longest, .n_chunk = chunk};
    bool ok = lb_model_kv_spec(m, kv_name, &spec, err);
    lb_kv *kv = ok ? lb_model_kv_open(m, &spec, &room, err) : NULL;
    lb_forward *f = kv ? lb_forward_open(m, chunk, 1, err) : NULL;
    int *seq = lb_alloc((size_t)chunk, sizeof *seq, "the batch", err);
    int *pos = lb_alloc((size_t)chunk, sizeof *pos, "the batch", err);
    k->host = lb_alloc(lb_exec_mask(m->ex) & LB_CUDA ? (size_t)chunk * (size_t)k->x->widest : 1, sizeof *k->host,
                       "the batch", err);
    ok = f && seq && pos && k->host;
    if (ok) lb_forward_tap(f, (lb_tap){tap, k});
    if (ok && kv->n_chunk < chunk) chunk = kv->n_chunk; /* a cache with a window takes so many at once */
    for (int t = 0; ok && t < n_text; t++)
        ok = !stopped(k, err) && read_text(k, f, kv, &texts[t], seq, pos, chunk, err);
    lb_forward_close(f);
    lb_kv_close(kv);
    free(seq);
    free(pos);
    free(k->host);
    return ok;
}

static bool finite(const lb_model *m, const maxima *x, lb_err *err)
{
    for (int i = 0; i < m->cfg.n_layer * N_PLACE; i++)
        for (int c = 0; c < x->width[i]; c++)
            if (!isfinite(x->of[i][c]))
                return lb_fail(err, LB_ENUMERIC, "layer %d: channel %d of the %s at '%s' is not finite", i / N_PLACE, c,
                               kind_name[kind_of(i % N_PLACE)], site_of(i % N_PLACE));
    return true;
}

static bool measure(lb_model *m, const char *kv, const lb_text_ids *texts, int n_text, int longest,
                    const lb_outliers_opt *o, maxima *x, lb_err *err)
{
    walk k = {.m = m, .o = o, .x = x};
    return (open_maxima(x, m, err) && read_weights(&k, err) && read_texts(&k, kv, texts, n_text, longest, err) &&
            finite(m, x, err)) ||
           lb_wrap(err, "%s", m->dir);
}

/* ---- both ---- */

static double quantile(const double *v, int n, double q)
{
    double at = q * (n - 1), whole = floor(at);
    int i = (int)whole;
    return i + 1 < n ? v[i] + (at - whole) * (v[i + 1] - v[i]) : v[n - 1];
}

static lb_spread spread_of(const float *top, int n, double *room)
{
    for (int i = 0; i < n; i++) room[i] = (double)top[i];
    lb_sort_doubles(room, (size_t)n);
    return (lb_spread){quantile(room, n, 0.5), quantile(room, n, 0.9), quantile(room, n, 0.99), room[n - 1]};
}

static bool summarize(const maxima *a, const maxima *b, int n_layer, lb_outliers *out, lb_err *err)
{
    double *room = lb_alloc((size_t)(a->widest > b->widest ? a->widest : b->widest), sizeof *room, "the channels", err);
    out->p = room ? lb_alloc((size_t)n_layer * N_PLACE, sizeof *out->p, "the outliers", err) : NULL;
    for (int i = 0; out->p && i < n_layer * N_PLACE; i++)
        out->p[out->n++] = (lb_outlier){.layer = i / N_PLACE, .kind = kind_of(i % N_PLACE),
                                        .site = site_of(i % N_PLACE),
                                        .before = spread_of(a->of[i], a->width[i], room),
                                        .after = spread_of(b->of[i], b->width[i], room)};
    free(room);
    return out->p != NULL;
}

int lb_outliers_steps(const lb_model *base, int n_text) { return 2 * (n_text + base->cfg.n_layer); }

bool lb_outliers_run(lb_model *base, lb_model *quant, const lb_text_ids *texts, int n_text, const lb_outliers_opt *o,
                     lb_outliers *out, lb_err *err)
{
    *out = (lb_outliers){0};
    int64_t n_pos = 0;
    int longest = 0;
    if (!lb_texts_check(base, quant, texts, n_text, &n_pos, &longest, err)) return false;
    if (base->cfg.n_layer != quant->cfg.n_layer)
        return lb_fail(err, LB_EUSAGE, "%s has %d layers, %s has %d: the one is no quantization of the other",
                       quant->dir, quant->cfg.n_layer, base->dir, base->cfg.n_layer);
    maxima a = {0}, b = {0};
    bool ok = measure(base, o->kv_base, texts, n_text, longest, o, &a, err) &&
              measure(quant, o->kv_quant, texts, n_text, longest, o, &b, err) &&
              summarize(&a, &b, base->cfg.n_layer, out, err);
    close_maxima(&a);
    close_maxima(&b);
    return ok;
}

void lb_outliers_free(lb_outliers *x)
{
    free(x->p);
    *x = (lb_outliers){0};
}

/* ---- JSON ---- */

static json_t *spread_json(const lb_spread *s)
{
    return json_pack("{s:f, s:f, s:f, s:f}", "p50", s->p50, "p90", s->p90, "p99", s->p99, "max", s->max);
}

json_t *lb_outliers_json(const lb_outliers *x, const char *transform)
{
    json_t *sites = json_array();
    for (int i = 0; i < x->n; i++) {
        const lb_outlier *y = &x->p[i];
        json_array_append_new(sites, json_pack("{s:i, s:s, s:s, s:o, s:o}", "layer", y->layer, "kind",
                                               kind_name[y->kind], "site", y->site, "before", spread_json(&y->before),
                                               "after", spread_json(&y->after)));
    }
    return json_pack("{s:i, s:s, s:o}", "schema", 1, "transform", transform, "sites", sites);
}
