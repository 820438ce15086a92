/* kern/attn.h – attention over a paged KV cache, and writing into it.
 *
 * A page holds LB_PAGE consecutive positions of one sequence. Keys lie transposed in a page, so that a vector holds the
 * same component of consecutive positions and a score needs no horizontal sum; values lie in rows:
 *
 *     k[page][n_kv][d_head][LB_PAGE]        v[page][n_kv][LB_PAGE][d_head]
 *
 * with elements of the format's dtype, or packed integer codes with their scales (kern/kv_pack.h), which attention
 * reads as they are. A sequence's pages are named by its row of the page table. Grouped-query attention: query head h
 * reads kv head h / (n_head / n_kv). The softmax runs over pages in order of position, whatever the batch.
 *
 * What a query at position t sees of position p depends on (t, p) alone:
 *   - values are rounded per token and kv head, keys in one of three ways (lb_kv_key_mode);
 *   - keys stored before RoPE are rotated when they are read, after the bias, if it was left out, is added;
 *   - LB_KV_PER_CHANNEL_GROUP: a page is packed when its last position is written, from the bf16 numbers that the ring
 *     holds. Page j is read packed iff its positions lie wholly before t + 1 − window, 32·(j + 1) ≤ t + 1 − window, and
 *     from the ring otherwise; so both versions are there while a chunk of a prompt is read. */
#ifndef LB_KERN_ATTN_H
#define LB_KERN_ATTN_H
#include "kern/op.h"
#include "num/dtype.h"
#include <stdbool.h>

enum { LB_PAGE = 32 };

/* A KV number format: one row of kvs.def. */
typedef struct lb_kv_format {
    const char *name;        /* "bf16", "f32", "int4" … */
    int bits;                /* below 16: packed codes */
    lb_dtype dtype;          /* LB_U8 if packed */
} lb_kv_format;

/* What shares a scale in packed keys. Values: always the components of one token and kv head, 128 at a time. */
typedef enum lb_kv_key_mode {
    LB_KV_PER_TOKEN,             /* as values */
    LB_KV_PER_CHANNEL_STATIC,    /* a component of a kv head, for all positions: ranges are given (KVQuant*) */
    LB_KV_PER_CHANNEL_GROUP,     /* a component of a kv head in a page (KIVI, arXiv:2402.02750) */
} lb_kv_key_mode;

extern const lb_kv_format *const lb_kv_formats[];            /* NULL-terminated */
const lb_kv_format *lb_kv_format_find(const char *name);

/* One layer of the cache, as operators see it. */
typedef struct lb_kv_layer {
    const lb_kv_format *format;
    void *k, *v;             /* device memory: n_page pages each */
    int n_kv, d_head;
    lb_kv_key_mode key;      /* packed formats */
    float clip;              /* per token: the range is shrunk to this part of itself; 0 means 1 */
    bool pre_rope;           /* keys are stored before RoPE; any format */
    /* the following is device memory, NULL where it has no meaning */
    const float *k_bias;     /* [n_kv·d_head] pre_rope: added to keys when they are read */
    const float *rope_page;  /* [n][2][d_head/2] pre_rope: cosines, then sines, of 32·j·inv_freq for page j of a sequence */
    const float *rope_slot;  /* [d_head/2][2][LB_PAGE] the same of slot·inv_freq, times mscale */
    const float *k_scale, *k_zero; /* [n_kv·d_head] per channel, static: key ≈ scale·(code − zero), zero whole */
    void *ring_k, *ring_v;   /* per channel in groups: [n_seq·ring_pages] bf16 pages; page j of row s of the page table
                              * lies at s·ring_pages + j mod ring_pages */
    int ring_pages, window;  /* window: a multiple of LB_PAGE; ring_pages ≥ lb_kv_ring_pages() of the longest chunk */
} lb_kv_layer;

static inline bool lb_kv_packed(const lb_kv_layer *l) { return l->format->bits < 16; }
/* Bytes of keys and of values of one page of one layer. */
size_t lb_kv_k_bytes(const lb_kv_layer *l);
size_t lb_kv_v_bytes(const lb_kv_layer *l);
/* Pages of a ring that serves chunks of up to n_chunk tokens of one sequence. */
static inline int lb_kv_ring_pages(int window, int n_chunk) { return (window + n_chunk + LB_PAGE - 2) / LB_PAGE + 1; }
/* Whether a query at position t reads page j of its sequence packed. */
static inline bool lb_kv_reads_packed(const lb_kv_layer *l, int t, int j)
{
    return lb_kv_packed(l) && (!l->ring_k || (j + 1) * LB_PAGE <= t + 1 - l->window);
}

/* Tables of angles on the host for pre-RoPE layers: page [n_page][2][d_head/2] and slot [d_head/2][2][LB_PAGE] as
 * lb_kv_layer wants them; sines and cosines in double, rounded once. */
void lb_kv_angles(const float *inv_freq, int d_head, float mscale, int n_page, float *page, float *slot);

/* Which sequence and position each token of a call has. All device memory. */
typedef struct lb_kv_map {
    const int *pages;        /* [n_seq, max_pages]: page numbers in order of position */
    int max_pages;
    const int *seq;          /* [n_tok] row of `pages` */
    const int *pos;          /* [n_tok] position, from 0 */
} lb_kv_map;

/* Stores the keys (as the layer keeps them: rope and bias applied, or not yet) and values of n_tok tokens; those of one
 * sequence stand in order of position. Unit: one (kv head, token), numbered h·n_tok + t, here and in lb_attn:
 * consecutive units share pages, and threads get whole heads, whatever the lengths of the sequences. In packed formats
 * neighbours share bytes: there a unit of lb_kv_write is a kv head. */
typedef struct lb_kv_write {
    lb_kv_layer kv;
    lb_kv_map map;
    const float *k, *v;      /* [n_tok, n_kv·d_head] */
    int n_tok;
} lb_kv_write;

/* y[t,h] = softmax(scale · q[t,h] · K[0…pos]ᵀ) · V. Reads positions 0…pos[t] of its own sequence: tokens of one call
 * see one another through the cache, so kv_write of the call's tokens comes first. Unit: one (kv head, token). */
typedef struct lb_attn {
    float *y;                /* [n_tok, n_head·d_head] */
    const float *q;          /* [n_tok, n_head·d_head] */
    lb_kv_layer kv;
    lb_kv_map map;
    int n_tok, n_head;
    float scale;             /* usually 1/sqrt(d_head) */
} lb_attn;

extern const lb_op lb_op_attn, lb_op_kv_write;
extern const lb_impl lb_attn_impls[], lb_kv_write_impls[];

/* Element offsets inside a layer's k and v (formats that are not packed), and inside its ring. */
static inline size_t lb_kv_k_at(const lb_kv_layer *l, int page, int h, int slot, int d)
{
    return (((size_t)page * (size_t)l->n_kv + (size_t)h) * (size_t)l->d_head + (size_t)d) * LB_PAGE + (size_t)slot;
}
static inline size_t lb_kv_v_at(const lb_kv_layer *l, int page, int h, int slot, int d)
{
    return (((size_t)page * (size_t)l->n_kv + (size_t)h) * LB_PAGE + (size_t)slot) * (size_t)l->d_head + (size_t)d;
}
#endif
