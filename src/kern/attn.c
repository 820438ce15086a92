/* kern/attn.c – the definition of attention and of the cache it reads, and their tables. */
#include "kern/attn.h"
#include "base/mem.h"
#include "kern/kv_pack.h"
#ifdef LB_WITH_CUDA
#include "kern/cuda/rows.h"
#endif
#include "kern/x86/attn_x86.h"
#include <math.h>
#include <string.h>

/* ---- formats ---- */
static const lb_kv_format lb_kv_f32 = {"f32", 32, LB_F32};
static const lb_kv_format lb_kv_bf16 = {"bf16", 16, LB_BF16};
static const lb_kv_format lb_kv_int8 = {"int8", 8, LB_U8};
static const lb_kv_format lb_kv_int4 = {"int4", 4, LB_U8};
static const lb_kv_format lb_kv_int3 = {"int3", 3, LB_U8};
static const lb_kv_format lb_kv_int2 = {"int2", 2, LB_U8};

#define LB_KV(m) &lb_kv_##m,
const lb_kv_format *const lb_kv_formats[] = {
#include "kern/kvs.def"
    NULL};

const lb_kv_format *lb_kv_format_find(const char *name)
{
    for (int i = 0; lb_kv_formats[i]; i++)
        if (strcmp(lb_kv_formats[i]->name, name) == 0) return lb_kv_formats[i];
    return NULL;
}

/* ---- references ---- */
static int page_of(const lb_kv_map *m, int t, int pos)
{
    return m->pages[(size_t)m->seq[t] * (size_t)m->max_pages + (size_t)(pos / LB_PAGE)];
}

static void kv_write_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_kv_write *a = args;
    const lb_kv_layer *l = &a->kv;
    if (lb_kv_packed(l)) {
        lb_kv_pack_write(a, i0, i1, &lb_kv_rounder_ref);
        return;
    }
    for (int i = i0; i < i1; i++) {
        int h = i / a->n_tok, t = i % a->n_tok, pos = a->map.pos[t], slot = pos % LB_PAGE;
        int page = page_of(&a->map, t, pos);
        size_t from = ((size_t)t * (size_t)l->n_kv + (size_t)h) * (size_t)l->d_head;
        const float *k = a->k + from, *v = a->v + from;
        for (int d = 0; d < l->d_head; d++) {
            lb_store_f32(l->k, l->format->dtype, lb_kv_k_at(l, page, h, slot, d), k[d]);
            lb_store_f32(l->v, l->format->dtype, lb_kv_v_at(l, page, h, slot, d), v[d]);
        }
    }
}

/* Position p of a sequence as token t of a call reads it. */
typedef struct place {
    const lb_kv_layer *l;
    int page, ring;          /* ring: its page in the ring, or −1 if it is read from `page` */
    int h, pos, slot;
} place;

static place place_of(const lb_attn *a, int t, int h, int p)
{
    const lb_kv_layer *l = &a->kv;
    place x = {.l = l, .page = page_of(&a->map, t, p), .ring = -1, .h = h, .pos = p, .slot = p % LB_PAGE};
    if (lb_kv_packed(l) && !lb_kv_reads_packed(l, a->map.pos[t], p / LB_PAGE))
        x.ring = a->map.seq[t] * l->ring_pages + p / LB_PAGE % l->ring_pages;
    return x;
}

/* A packed number per token: s·(c − z). */
static double per_token(uint8_t *slab, int slot, int d, int code)
{
    int g = d / LB_KV_GROUP;
    return (double)lb_from_f16(lb_kv_s(slab, g)[slot]) * (code - (int)lb_kv_z(slab, g)[slot]);
}

static double stored_key(const place *x, int d)
{
    const lb_kv_layer *l = x->l;
    if (x->ring >= 0) return (double)lb_load_f32(l->ring_k, LB_BF16, lb_kv_k_at(l, x->ring, x->h, x->slot, d));
    if (!lb_kv_packed(l)) return (double)lb_load_f32(l->k, l->format->dtype, lb_kv_k_at(l, x->page, x->h, x->slot, d));
    uint8_t *slab = lb_kv_k_slab_at(l, x->page, x->h);
    int code = lb_kv_code_get(l->format->bits, lb_kv_k_tile(l, slab, d), d % LB_KV_TILE, x->slot);
    if (l->key == LB_KV_PER_TOKEN) return per_token(slab, x->slot, d, code);
    if (l->key == LB_KV_PER_CHANNEL_STATIC) {
        size_t i = (size_t)(x->h * l->d_head + d);
        return (double)l->k_scale[i] * (code - (double)l->k_zero[i]);
    }
    const uint16_t *s = (const uint16_t *)(const void *)slab, *lo = s + l->d_head;
    return (double)lb_from_f16(s[d]) * code + (double)lb_from_f16(lo[d]);
}

static double value(const place *x, int d)
{
    const lb_kv_layer *l = x->l;
    if (x->ring >= 0) return (double)lb_load_f32(l->ring_v, LB_BF16, lb_kv_v_at(l, x->ring, x->h, x->slot, d));
    if (!lb_kv_packed(l)) return (double)lb_load_f32(l->v, l->format->dtype, lb_kv_v_at(l, x->page, x->h, x->slot, d));
    uint8_t *slab = lb_kv_v_slab_at(l, x->page, x->h);
    int code = lb_kv_code_get(l->format->bits, lb_kv_v_tile(l, slab, x->slot, d), x->slot % LB_KV_TILE, d % 32);
    return per_token(slab, x->slot, d, code);
}

static double biased_key(const place *x, int d)
{
    return stored_key(x, d) + (x->l->k_bias ? (double)x->l->k_bias[x->h * x->l->d_head + d] : 0);
}

/* q · the key turned by the angle of its position: the page's angle and the slot's. */
static double turned_score(const place *x, const float *q)
{
    const lb_kv_layer *l = x->l;
    int half = l->d_head / 2;
    const float *page = l->rope_page + (size_t)(x->pos / LB_PAGE) * (size_t)l->d_head;
    double s = 0;
    for (int i = 0; i < half; i++) {
        const float *slot = l->rope_slot + (size_t)i * 2 * LB_PAGE + x->slot;
        double pc = (double)page[i], ps = (double)page[half + i], sc = (double)slot[0], ss = (double)slot[LB_PAGE];
        double c = pc * sc - ps * ss, n = ps * sc + pc * ss, lo = biased_key(x, i), hi = biased_key(x, i + half);
        s += (double)q[i] * (lo * c - hi * n) + (double)q[i + half] * (hi * c + lo * n);
    }
    return s;
}

static double score(const lb_attn *a, const float *q, const place *x)
{
    double s = 0;
    if (a->kv.pre_rope) s = turned_score(x, q);
    else
        for (int d = 0; d < a->kv.d_head; d++) s += (double)q[d] * stored_key(x, d);
    return s * (double)a->scale;
}

static void attn_ref(const void *args, int i0, int i1, lb_exec *ex)
{
    (void)ex;
    const lb_attn *a = args;
    int n_kv = a->kv.n_kv, d_head = a->kv.d_head, per_kv = a->n_head / n_kv;
    for (int i = i0; i < i1; i++) {
        int h = i / a->n_tok, t = i % a->n_tok, pos = a->map.pos[t];
        for (int g = 0; g < per_kv; g++) {
            size_t at = ((size_t)t * (size_t)a->n_head + (size_t)(h * per_kv + g)) * (size_t)d_head;
            const float *q = a->q + at;
            double best = -INFINITY, sum = 0;
            for (int p = 0; p <= pos; p++) {
                place x = place_of(a, t, h, p);
                best = fmax(best, score(a, q, &x));
            }
            for (int p = 0; p <= pos; p++) {
                place x = place_of(a, t, h, p);
                sum += exp(score(a, q, &x) - best);
            }
            for (int d0 = 0; d0 < d_head; d0 += 32) {
                double y[32] = {0};
                for (int p = 0; p <= pos; p++) {
                    place x = place_of(a, t, h, p);
                    double w = exp(score(a, q, &x) - best) / sum;
                    for (int d = d0; d < d_head && d < d0 + 32; d++) y[d - d0] += w * value(&x, d);
                }
                for (int d = d0; d < d_head && d < d0 + 32; d++) a->y[at + (size_t)d] = (float)y[d - d0];
            }
        }
    }
}

/* ---- tables ---- */
static bool attn_fits_x86(const void *args)
{
    const lb_kv_layer *l = &((const lb_attn *)args)->kv;
    int whole = l->pre_rope ? 2 * LB_KV_TILE : lb_kv_packed(l) ? LB_KV_TILE : 2;
    return l->d_head % whole == 0 && l->d_head <= LB_ATTN_X86_MAX_D;
}
#ifdef LB_WITH_CUDA
/* The plain cache: numbers as attention uses them. */
static bool is_float(const lb_kv_layer *l) { return !lb_kv_packed(l) && !l->pre_rope; }
static bool attn_fits_cuda(const void *args)
{
    const lb_kv_layer *l = &((const lb_attn *)args)->kv;
    return is_float(l) && l->d_head <= LB_ATTN_CUDA_MAX_D;
}
static bool write_fits_cuda(const void *args) { return is_float(&((const lb_kv_write *)args)->kv); }
#endif

const lb_impl lb_attn_impls[] = {
    {"ref", 0, NULL, attn_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, attn_fits_x86, lb_attn_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, attn_fits_x86, lb_attn_avx512, NULL, NULL})
    LB_GPU({"cuda", LB_CUDA, attn_fits_cuda, lb_attn_cuda, NULL, NULL})
    {0},
};
const lb_impl lb_kv_write_impls[] = {
    {"ref", 0, NULL, kv_write_ref, NULL, NULL},
    LB_X86({"avx2", LB_AVX2, NULL, lb_kv_write_avx2, NULL, NULL})
    LB_X86({"avx512", LB_AVX512, NULL, lb_kv_write_avx512, NULL, NULL})
    LB_GPU({"cuda", LB_CUDA, write_fits_cuda, lb_kv_write_cuda, NULL, NULL})
    {0},
};

static int attn_units(const void *args) { const lb_attn *a = args; return a->n_tok * a->kv.n_kv; }
static int attn_grain(const void *args) { (void)args; return 1; }
static int write_units(const void *args)
{
    const lb_kv_write *a = args;
    return lb_kv_packed(&a->kv) ? a->kv.n_kv : a->n_tok * a->kv.n_kv;
}
static int write_grain(const void *args) { return lb_kv_packed(&((const lb_kv_write *)args)->kv) ? 1 : 32; }

const lb_op lb_op_attn = {"attn", lb_attn_impls, attn_units, attn_grain, NULL};
const lb_op lb_op_kv_write = {"kv_write", lb_kv_write_impls, write_units, write_grain, NULL};
