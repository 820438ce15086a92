/* model/kv.c – pages of the KV cache. */
#include "model/kv.h"
#include "base/mem.h"
#include "kern/kv_pack.h"
#include "model/rope.h"
#include "num/hadamard.h"
#include <stdlib.h>
#include <string.h>

int lb_kv_pages_for(int n_pos) { return (n_pos + LB_PAGE - 1) / LB_PAGE; }

/* ---- sizes ---- */

static const lb_kv_format *format_of(int bits)
{
    for (int i = 0; lb_kv_formats[i]; i++)
        if (lb_kv_formats[i]->bits == (bits ? bits : 16)) return lb_kv_formats[i];
    return NULL;
}

lb_kv_layer lb_kv_shape(const lb_kv_spec *s, int n_kv, int d_head)
{
    return (lb_kv_layer){.format = format_of(s->bits), .n_kv = n_kv, .d_head = d_head, .key = s->key, .clip = s->clip,
                         .pre_rope = s->pre_rope, .window = s->window};
}

double lb_kv_position_bytes(const lb_config *c, const lb_kv_spec *s)
{
    lb_kv_layer l = lb_kv_shape(s, c->n_kv, c->d_head);
    return (double)c->n_layer * (double)(lb_kv_k_bytes(&l) + lb_kv_v_bytes(&l)) / LB_PAGE;
}

static int pages_in(const lb_kv_room *r)
{
    int64_t all = (int64_t)r->n_seq * lb_kv_pages_for(r->n_ctx);
    if (r->n_page > 0 && r->n_page <= all) return r->n_page;
    return all > INT32_MAX ? INT32_MAX : (int)all;
}
static int chunk_of(const lb_kv_spec *s, const lb_kv_room *r)
{
    return s->window == 0 ? INT32_MAX : r->n_chunk > 0 ? r->n_chunk : LB_KV_CHUNK;
}
static int ring_pages(const lb_kv_spec *s, const lb_kv_room *r)
{
    return s->window == 0 ? 0 : lb_kv_ring_pages(s->window, chunk_of(s, r));
}
/* Bytes of a page of bf16 keys (and of values). */
static size_t ring_page_bytes(const lb_config *c) { return 2 * (size_t)c->n_kv * (size_t)c->d_head * LB_PAGE; }

size_t lb_kv_bytes(const lb_config *c, const lb_kv_spec *s, const lb_kv_room *room)
{
    lb_kv_layer l = lb_kv_shape(s, c->n_kv, c->d_head);
    size_t n, ring;
    lb_size_mul(lb_kv_k_bytes(&l) + lb_kv_v_bytes(&l), (size_t)pages_in(room), &n);
    lb_size_mul(2 * ring_page_bytes(c) * (size_t)ring_pages(s, room), (size_t)room->n_seq, &ring);
    lb_size_add(n, ring, &n);
    lb_size_mul(n, (size_t)c->n_layer, &n);
    return n;
}

/* ---- opening ---- */

/* Attention has no row for every shape on every device: that is found out here, not in the middle of a run. */
static bool check_ops(lb_kv *kv, const lb_config *c, lb_err *err)
{
    lb_kv_layer l = lb_kv_shape(&kv->spec, c->n_kv, c->d_head);
    lb_attn a = {.kv = l, .n_tok = 1, .n_head = c->n_head};
    lb_kv_write w = {.kv = l, .n_tok = 1};
    char name[LB_KV_TEXT];
    lb_kv_spec_text(&kv->spec, name);
    if (!lb_op_pick(&lb_op_attn, kv->ex, &a) || !lb_op_pick(&lb_op_kv_write, kv->ex, &w))
        return lb_fail(err, LB_EUNSUPPORTED, "no attention kernel for heads of %d with a %s cache on %s", c->d_head, name,
                       lb_exec_name(kv->ex));
    lb_transform_args t = {.t = kv->turn, .n_row = 1};
    if (kv->turn.kind != LB_TRANSFORM_NONE && !lb_op_pick(&lb_op_transform, kv->ex, &t))
        return lb_fail(err, LB_EUNSUPPORTED, "no transform kernel for heads of %d on %s", c->d_head, lb_exec_name(kv->ex));
    return true;
}

static float *alloc_f32(lb_exec *ex, size_t n, const char *what, lb_err *err)
{
    return lb_exec_alloc(ex, n, sizeof(float), what, err);
}

static bool open_angles(lb_kv *kv, const lb_config *c, lb_err *err)
{
    size_t d = (size_t)c->d_head, n_page = (size_t)kv->max_pages * d, n_slot = d * LB_PAGE;
    float *host = lb_alloc(n_page + n_slot + d, sizeof *host, "the table of angles", err);
    kv->rope_page = host ? alloc_f32(kv->ex, n_page, "the table of angles", err) : NULL;
    kv->rope_slot = kv->rope_page ? alloc_f32(kv->ex, n_slot, "the table of angles", err) : NULL;
    if (kv->rope_slot) {
        float *inv_freq = host + n_page + n_slot;
        lb_rope_inv_freq(&c->rope, c->d_head, inv_freq);
        lb_kv_angles(inv_freq, c->d_head, (float)c->rope.attention_factor, kv->max_pages, host, host + n_page);
        lb_exec_put(kv->ex, kv->rope_page, host, n_page * sizeof *host);
        lb_exec_put(kv->ex, kv->rope_slot, host + n_page, n_slot * sizeof *host);
    }
    free(host);
    return kv->rope_slot != NULL;
}

static bool open_turn(lb_kv *kv, const lb_config *c, lb_err *err)
{
    int m, log2p;
    if (!lb_hadamard_split(c->d_head, &m, &log2p))
        return lb_fail(err, LB_EUSAGE,
                       "no Hadamard matrix of order %d, the size of a head, is known; take a KV cache format without it",
                       c->d_head);
    kv->turn = (lb_transform){.kind = LB_TRANSFORM_HADAMARD, .k = c->d_head, .block = c->d_head, .m = m};
    if (m == 1) return true;
    size_t n = (size_t)m * (size_t)m;
    float *host = lb_alloc(n, sizeof *host, "the Hadamard matrix", err);
    kv->had = host && lb_hadamard_dense(m, host) ? alloc_f32(kv->ex, n, "the Hadamard matrix", err) : NULL;
    if (kv->had) lb_exec_put(kv->ex, kv->had, host, n * sizeof *host);
    kv->turn.had = kv->had;
    free(host);
    return kv->had != NULL;
}

static bool open_static(lb_kv *kv, const lb_config *c, int layer, const float *range, lb_err *err)
{
    size_t n = (size_t)c->n_kv * (size_t)c->d_head;
    lb_kv_layer *l = &kv->layers[layer];
    if (!range) {
        char name[LB_KV_TEXT];
        lb_kv_spec_text(&kv->spec, name);
        return lb_fail(err, LB_EUSAGE,
                       "KV cache format %s wants the ranges of keys per channel, and the model has none for layer %d; "
                       "calibrate them with: lowbit quantize --kv %s --calib …", name, layer, name);
    }
    float *host = lb_alloc(2 * n, sizeof *host, "the scales of keys", err);
    bool ok = host != NULL;
    for (size_t i = 0; ok && i < n; i++)
        if (!lb_kv_static_scale(kv->spec.bits, range[i], range[n + i], &host[i], &host[n + i]))
            ok = lb_fail(err, LB_EFORMAT, "layer %d: the range of keys of channel %d is %g to %g; calibrate again", layer,
                         (int)i, (double)range[i], (double)range[n + i]);
    float *s = ok ? alloc_f32(kv->ex, n, "the scales of keys", err) : NULL, *z = NULL;
    l->k_scale = s;
    if (s) l->k_zero = z = alloc_f32(kv->ex, n, "the scales of keys", err);
    if (z) {
        lb_exec_put(kv->ex, s, host, n * sizeof *host);
        lb_exec_put(kv->ex, z, host + n, n * sizeof *host);
    }
    free(host);
    return z != NULL;
}

static bool open_layer(lb_kv *kv, const lb_config *c, int i, const float *range, int n_ring, lb_err *err)
{
    lb_kv_layer *l = &kv->layers[i];
    *l = lb_kv_shape(&kv->spec, c->n_kv, c->d_head);
    if (l->key == LB_KV_PER_CHANNEL_STATIC && !open_static(kv, c, i, range, err)) return false;
    l->k = lb_exec_alloc(kv->ex, (size_t)kv->n_page, lb_kv_k_bytes(l), "the KV cache", err);
    l->v = l->k ? lb_exec_alloc(kv->ex, (size_t)kv->n_page, lb_kv_v_bytes(l), "the KV cache", err) : NULL;
    if (!l->v) return false;
    if (n_ring) {
        size_t n = (size_t)kv->n_seq * (size_t)n_ring;
        l->ring_pages = n_ring;
        l->ring_k = lb_exec_alloc(kv->ex, n, ring_page_bytes(c), "the KV cache's window", err);
        l->ring_v = l->ring_k ? lb_exec_alloc(kv->ex, n, ring_page_bytes(c), "the KV cache's window", err) : NULL;
        if (!l->ring_v) return false;
    }
    l->rope_page = kv->rope_page, l->rope_slot = kv->rope_slot;
    return true;
}

lb_kv *lb_kv_open_spec(lb_exec *ex, const lb_config *c, const lb_kv_spec *spec, const float *const *ranges,
                       const lb_kv_room *room, lb_err *err)
{
    lb_kv *kv = lb_alloc(1, sizeof *kv, "the KV cache", err);
    if (!kv) return NULL;
    kv->ex = ex, kv->spec = *spec, kv->format = format_of(spec->bits);
    if (!kv->format) {
        lb_fail(err, LB_EUSAGE, "a KV cache of %d bits is not known; there are 32, 16, 8, 4, 3 and 2", spec->bits);
        goto fail;
    }
    if ((spec->hadamard && !open_turn(kv, c, err)) || !check_ops(kv, c, err)) goto fail;
    kv->n_layer = c->n_layer, kv->n_seq = room->n_seq, kv->max_pages = lb_kv_pages_for(room->n_ctx);
    kv->n_page = pages_in(room), kv->n_chunk = chunk_of(spec, room);
    size_t all = (size_t)room->n_seq * (size_t)kv->max_pages;
    kv->layers = lb_alloc((size_t)c->n_layer, sizeof *kv->layers, "the KV cache", err);
    kv->pages = lb_alloc(all, sizeof(int), "the page table", err);
    kv->n_used = lb_alloc((size_t)room->n_seq, sizeof(int), "the page table", err);
    kv->free_list = lb_alloc((size_t)kv->n_page, sizeof(int), "the page table", err);
    kv->pages_dev = lb_exec_alloc(ex, all, sizeof(int), "the page table", err);
    if (!kv->layers || !kv->pages || !kv->n_used || !kv->free_list || !kv->pages_dev) goto fail;
    if (spec->pre_rope && !open_angles(kv, c, err)) goto fail;
    for (int i = 0; i < c->n_layer; i++)
        if (!open_layer(kv, c, i, ranges ? ranges[i] : NULL, ring_pages(spec, room), err)) goto fail;
    for (int i = 0; i < kv->n_page; i++) kv->free_list[i] = kv->n_page - 1 - i; /* page 0 is handed out first */
    kv->n_free = kv->n_page;
    kv->dirty = true;
    return kv;
fail:
    lb_kv_close(kv);
    return NULL;
}

lb_kv *lb_kv_open(lb_exec *ex, const lb_config *c, const char *name, int n_seq, int n_ctx, int n_page, lb_err *err)
{
    lb_kv_spec s;
    lb_kv_room room = {.n_seq = n_seq, .n_ctx = n_ctx, .n_page = n_page};
    return lb_kv_spec_parse(name, &s, err) ? lb_kv_open_spec(ex, c, &s, NULL, &room, err) : NULL;
}

void lb_kv_close(lb_kv *kv)
{
    if (!kv) return;
    for (int i = 0; kv->layers && i < kv->n_layer; i++) {
        lb_kv_layer *l = &kv->layers[i];
        lb_exec_free(kv->ex, l->k);
        lb_exec_free(kv->ex, l->v);
        lb_exec_free(kv->ex, l->ring_k);
        lb_exec_free(kv->ex, l->ring_v);
        lb_exec_free(kv->ex, (void *)l->k_scale);
        lb_exec_free(kv->ex, (void *)l->k_zero);
    }
    lb_exec_free(kv->ex, kv->rope_page);
    lb_exec_free(kv->ex, kv->rope_slot);
    lb_exec_free(kv->ex, kv->had);
    lb_exec_free(kv->ex, kv->pages_dev);
    free(kv->layers);
    free(kv->pages);
    free(kv->n_used);
    free(kv->free_list);
    free(kv);
}

bool lb_kv_grow(lb_kv *kv, int seq, int n_pos)
{
    int want = lb_kv_pages_for(n_pos), *used = &kv->n_used[seq];
    if (want > kv->max_pages || want - *used > kv->n_free) return false;
    for (; *used < want; ++*used) {
        kv->pages[(size_t)seq * (size_t)kv->max_pages + (size_t)*used] = kv->free_list[--kv->n_free];
        kv->dirty = true;
    }
    return true;
}

void lb_kv_release(lb_kv *kv, int seq)
{
    while (kv->n_used[seq] > 0)
        kv->free_list[kv->n_free++] = kv->pages[(size_t)seq * (size_t)kv->max_pages + (size_t)--kv->n_used[seq]];
}

void lb_kv_upload(lb_kv *kv)
{
    if (!kv->dirty) return;
    lb_exec_put(kv->ex, kv->pages_dev, kv->pages, (size_t)kv->n_seq * (size_t)kv->max_pages * sizeof(int));
    kv->dirty = false;
}
