/* infer/bench.c – timing whole forward passes. */
#include "infer/bench.h"
#include "base/median.h"
#include "base/mem.h"
#include "base/rng.h"
#include <stdlib.h>

typedef struct rig {
    lb_model *m;
    lb_kv *kv;
    lb_forward *f;
    int *ids, *seq, *pos, out;
} rig;

static void rig_close(rig *r)
{
    lb_forward_close(r->f);
    lb_kv_close(r->kv);
    free(r->ids);
    free(r->seq);
    free(r->pos);
}

static bool rig_open(rig *r, lb_model *m, const char *kv, int n_ctx, int max_tok, lb_err *err)
{
    *r = (rig){.m = m};
    lb_kv_spec spec;
    lb_kv_room room = {.n_seq = 1, .n_ctx = n_ctx, .n_chunk = max_tok};
    r->kv = lb_model_kv_spec(m, kv, &spec, err) ? lb_model_kv_open(m, &spec, &room, err) : NULL;
    r->f = r->kv ? lb_forward_open(m, max_tok, 1, err) : NULL;
    r->ids = lb_alloc((size_t)max_tok, sizeof(int), "the batch", err);
    r->seq = lb_alloc((size_t)max_tok, sizeof(int), "the batch", err);
    r->pos = lb_alloc((size_t)max_tok, sizeof(int), "the batch", err);
    if (r->f && r->ids && r->seq && r->pos && lb_kv_grow(r->kv, 0, n_ctx)) return true;
    rig_close(r);
    return false;
}

/* One step over positions [at, at+n). */
static bool step(rig *r, int at, int n, lb_err *err)
{
    const float *logits;
    lb_rng_key key = lb_rng_key_of(1, 2, 3);
    for (int i = 0; i < n; i++) {
        r->ids[i] = (int)(lb_rng_uniform(key, (uint64_t)(at + i)) * r->m->cfg.n_vocab);
        r->pos[i] = at + i;
    }
    r->out = n - 1;
    lb_batch b = {.n_tok = n, .ids = r->ids, .seq = r->seq, .pos = r->pos, .n_out = 1, .out = &r->out};
    return lb_forward_run(r->f, r->kv, &b, &logits, err);
}

typedef struct sum { const lb_model *m; double bytes, macs; } sum;

static void add_linear(sum *s, const lb_linear *l)
{
    if (!l->w.num) return;
    s->bytes += (double)l->w.num->size(&l->w);
    s->macs += (double)l->w.n * (double)l->w.k;
}

/* Weight bytes and multiply-adds of one token through the blocks (all chosen experts), and of one row through the
 * head. */
static void totals(const lb_model *m, sum *blocks, sum *head)
{
    *blocks = (sum){.m = m}, *head = (sum){.m = m};
    for (int i = 0; i < m->cfg.n_layer; i++) {
        const lb_layer *l = &m->layers[i];
        const lb_linear *all[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down, &l->router};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) add_linear(blocks, all[j]);
        for (int e = 0; l->experts && e < m->cfg.n_expert_used; e++) {
            add_linear(blocks, &l->experts[e].gate);
            add_linear(blocks, &l->experts[e].up);
            add_linear(blocks, &l->experts[e].down);
        }
    }
    add_linear(head, &m->lm_head);
}

static void summarize(const rig *r, lb_bench_result *out, double *t, int n, int n_ctx, int n_tok)
{
    sum blocks, head;
    const lb_config *c = &r->m->cfg;
    totals(r->m, &blocks, &head);
    double kv_pos = lb_kv_position_bytes(c, &r->kv->spec), past = n_ctx + 0.5 * n_tok;
    double median = lb_median(t, (size_t)n);
    *out = (lb_bench_result){.n_ctx = n_ctx, .n_tok = n_tok, .t_s = median, .t_best_s = t[0], .n = n, .bytes = blocks.bytes + head.bytes + kv_pos * past};
    out->flops = 2 * (blocks.macs * n_tok + head.macs) + 4.0 * c->n_layer * c->n_head * c->d_head * past * n_tok;
}

bool lb_bench_decode(lb_model *m, const char *kv, int n_ctx, int n, lb_bench_result *out, lb_err *err)
{
    enum { CHUNK = 128, WARM = 2 };
    rig r;
    double *t = lb_alloc((size_t)n, sizeof *t, "the timings", err);
    bool ok = t && rig_open(&r, m, kv, n_ctx + n + WARM, CHUNK, err);
    if (!ok) {
        free(t);
        return false;
    }
    for (int at = 0; ok && at < n_ctx; at += CHUNK) ok = step(&r, at, n_ctx - at < CHUNK ? n_ctx - at : CHUNK, err);
    for (int i = -WARM; ok && i < n; i++) {
        double t0 = lb_now_s();
        ok = step(&r, n_ctx + WARM + i, 1, err);
        if (i >= 0) t[i] = lb_now_s() - t0;
    }
    if (ok) summarize(&r, out, t, n, n_ctx, 1);
    rig_close(&r);
    free(t);
    return ok;
}

bool lb_bench_prefill(lb_model *m, const char *kv, int n_tok, int n, lb_bench_result *out, lb_err *err)
{
    rig r;
    double *t = lb_alloc((size_t)n, sizeof *t, "the timings", err);
    bool ok = t && rig_open(&r, m, kv, n_tok, n_tok, err);
    if (!ok) {
        free(t);
        return false;
    }
    for (int i = -1; ok && i < n; i++) {
        double t0 = lb_now_s();
        ok = step(&r, 0, n_tok, err);
        if (i >= 0) t[i] = lb_now_s() - t0;
    }
    if (ok) summarize(&r, out, t, n, 0, n_tok);
    rig_close(&r);
    free(t);
    return ok;
}
