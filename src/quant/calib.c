/* quant/calib.c – moving calibration streams through parts of a block. */
#include "quant/calib.h"
#include "base/mem.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PASS_TOKENS = 2048 };     /* enough for full tiles of the matrix product; more only costs memory */

static int sequences_per_pass(int n_tok) { return n_tok >= PASS_TOKENS ? 1 : PASS_TOKENS / n_tok; }

static int wide_width(const lb_config *c)
{
    int q = c->n_head * c->d_head;
    return q > c->d_ff ? q : c->d_ff;
}

size_t lb_calib_bytes(const lb_config *cfg, int n_tok)
{
    lb_kv_room room = {.n_seq = sequences_per_pass(n_tok), .n_ctx = n_tok};
    size_t sum = lb_forward_bytes(cfg, room.n_seq * n_tok, 1);
    lb_size_add(sum, lb_kv_bytes(cfg, &(lb_kv_spec){.bits = 32}, &room), &sum);
    return sum;
}

static size_t rows_bytes(int n_seq, int n_tok, int width)
{
    size_t n;
    lb_size_mul((size_t)n_seq * (size_t)n_tok, (size_t)width * sizeof(float), &n);
    return n;
}
size_t lb_calib_stream_bytes(const lb_config *c, int n_seq, int n_tok) { return rows_bytes(n_seq, n_tok, c->d_model); }
size_t lb_calib_wide_bytes(const lb_config *c, int n_seq, int n_tok)
{
    return rows_bytes(n_seq, n_tok, wide_width(c));
}

bool lb_calib_open(lb_calib *c, lb_model *m, const lb_kv_spec *kv, const int *ids, int n_seq, int n_tok, lb_err *err)
{
    *c = (lb_calib){.m = m, .ids = ids, .n_seq = n_seq, .n_tok = n_tok, .per_pass = sequences_per_pass(n_tok)};
    if (c->per_pass > n_seq) c->per_pass = n_seq;
    if (lb_exec_mask(m->ex) & LB_CUDA)
        return lb_fail(err, LB_EUNSUPPORTED, "calibration runs on the CPU; leave --device out");
    int n = c->per_pass * n_tok;
    lb_kv_spec spec = {.bits = 32, .pre_rope = kv->pre_rope, .pre_bias = kv->pre_bias};
    lb_kv_room room = {.n_seq = c->per_pass, .n_ctx = n_tok};
    c->kv = lb_model_kv_open(m, &spec, &room, err);
    c->fw = c->kv ? lb_forward_open(m, n, 1, err) : NULL;
    c->seq = c->fw ? lb_alloc((size_t)n, sizeof(int), "the calibration", err) : NULL;
    c->pos = c->seq ? lb_alloc((size_t)n, sizeof(int), "the calibration", err) : NULL;
    if (!c->pos) {
        lb_calib_close(c);
        return false;
    }
    for (int i = 0; i < n; i++) c->seq[i] = i / n_tok, c->pos[i] = i % n_tok;
    return true;
}

void lb_calib_close(lb_calib *c)
{
    lb_forward_close(c->fw);
    lb_kv_close(c->kv);
    free(c->seq);
    free(c->pos);
    *c = (lb_calib){0};
}

/* Starts the pass whose first sequence is s0; returns its number of tokens. */
static int start(lb_calib *c, int s0)
{
    int n_seq = c->n_seq - s0 < c->per_pass ? c->n_seq - s0 : c->per_pass;
    lb_batch b = {.n_tok = n_seq * c->n_tok, .ids = c->ids + (size_t)s0 * (size_t)c->n_tok, .seq = c->seq, .pos = c->pos};
    for (int i = 0; i < n_seq; i++) {
        bool fits = lb_kv_grow(c->kv, i, c->n_tok);
        assert(fits);
        (void)fits;
    }
    lb_forward_start(c->fw, c->kv, &b);
    return b.n_tok;
}

bool lb_calib_embed(lb_calib *c, float *x, lb_err *err)
{
    int width;
    for (int s = 0; s < c->n_seq; s += c->per_pass) {
        int n = start(c, s);
        const float *rows = lb_forward_rows(c->fw, LB_ROWS_X, &width);
        memcpy(x + (size_t)s * (size_t)c->n_tok * (size_t)width, rows, (size_t)n * (size_t)width * sizeof *x);
    }
    return lb_exec_sync(c->m->ex, err);
}

static lb_rows left_by(lb_part p)
{
    switch (p) {
    case LB_PART_ATTN: return LB_ROWS_ATT;
    case LB_PART_ACT: return LB_ROWS_ACT;
    case LB_PART_ATTN_IN:
    case LB_PART_MLP_IN: return LB_ROWS_H;
    default: return LB_ROWS_X;
    }
}

/* Copies between the stream and the rows of a pass. */
static void copy(lb_calib *c, lb_rows which, float *stream, size_t row0, int n, bool in)
{
    int width;
    float *rows = lb_forward_rows(c->fw, which, &width), *at = stream + row0 * (size_t)width;
    size_t bytes = (size_t)n * (size_t)width * sizeof(float);
    if (in) lb_exec_put(c->m->ex, rows, at, bytes);
    else lb_exec_get(c->m->ex, at, rows, bytes);
}

bool lb_calib_run(lb_calib *c, int layer, lb_part first, lb_part last, float *x, float *wide, lb_calib_see see,
                  lb_err *err)
{
    bool moves_x = first <= LB_PART_O && last >= LB_PART_O;
    moves_x = (moves_x || last == LB_PART_DOWN) && !c->dry;
    bool ok = lb_forward_replaced(c->fw, layer, err); /* a method puts what it has made in the model's place */
    for (int s = 0; ok && s < c->n_seq; s += c->per_pass) {
        int n = start(c, s), width;
        size_t row0 = (size_t)s * (size_t)c->n_tok;
        copy(c, LB_ROWS_X, x, row0, n, true);
        if (first == LB_PART_O) copy(c, LB_ROWS_ATT, wide, row0, n, true);
        if (first == LB_PART_DOWN && !c->m->layers[layer].experts) copy(c, LB_ROWS_ACT, wide, row0, n, true);
        if (first == LB_PART_DOWN && c->m->layers[layer].experts) lb_forward_part(c->fw, layer, LB_PART_MLP_IN);
        for (lb_part p = first; p <= last; p++) lb_forward_part(c->fw, layer, p);
        if (moves_x) copy(c, LB_ROWS_X, x, row0, n, false);
        if (wide && (last == LB_PART_ATTN || last == LB_PART_ACT)) copy(c, left_by(last), wide, row0, n, false);
        if (see.fn) {
            const float *rows = lb_forward_rows(c->fw, left_by(last), &width);
            ok = see.fn(see.arg, rows, n, width, row0, err);
        }
        for (int i = 0; i < c->per_pass; i++) lb_kv_release(c->kv, i);
    }
    return ok && lb_exec_sync(c->m->ex, err);
}
