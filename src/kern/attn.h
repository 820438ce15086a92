/* kern/attn.h – attention over a paged KV cache, and writing into it.
 *
 * A page holds LB_PAGE consecutive positions of one sequence. Keys lie transposed in a page, so that a vector holds the
 * same component of consecutive positions and a score needs no horizontal sum; values lie in rows:
 *
 *     k[page][n_kv][d_head][LB_PAGE]        v[page][n_kv][LB_PAGE][d_head]
 *
 * with elements of the format's dtype. A sequence's pages are named by its row of the page table. Grouped-query
 * attention: query head h reads kv head h / (n_head / n_kv). The softmax runs over pages in order of position, whatever
 * the batch. */
#ifndef LB_KERN_ATTN_H
#define LB_KERN_ATTN_H
#include "kern/op.h"
#include "num/dtype.h"

enum { LB_PAGE = 32 };

/* A KV number format: one row of kvs.def. */
typedef struct lb_kv_format {
    const char *name;        /* "bf16", "f32" */
    int bits;
    lb_dtype dtype;
    /* Bytes of keys (and of values) of one page of one layer. */
    size_t (*page_bytes)(int n_kv, int d_head);
} lb_kv_format;

extern const lb_kv_format *const lb_kv_formats[];            /* NULL-terminated */
const lb_kv_format *lb_kv_format_find(const char *name);

/* One layer of the cache, as operators see it. */
typedef struct lb_kv_layer {
    const lb_kv_format *format;
    void *k, *v;             /* device memory: n_page pages each */
    int n_kv, d_head;
} lb_kv_layer;

/* Which sequence and position each token of a call has. All device memory. */
typedef struct lb_kv_map {
    const int *pages;        /* [n_seq, max_pages]: page numbers in order of position */
    int max_pages;
    const int *seq;          /* [n_tok] row of `pages` */
    const int *pos;          /* [n_tok] position, from 0 */
} lb_kv_map;

/* Stores the keys (rope applied) and values of n_tok tokens. Unit: one (kv head, token), numbered h·n_tok + t, here and
 * in lb_attn: consecutive units share pages, and threads get whole heads, whatever the lengths of the sequences. */
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

/* Element offsets inside a layer's k and v. */
static inline size_t lb_kv_k_at(const lb_kv_layer *l, int page, int h, int slot, int d)
{
    return (((size_t)page * (size_t)l->n_kv + (size_t)h) * (size_t)l->d_head + (size_t)d) * LB_PAGE + (size_t)slot;
}
static inline size_t lb_kv_v_at(const lb_kv_layer *l, int page, int h, int slot, int d)
{
    return (((size_t)page * (size_t)l->n_kv + (size_t)h) * LB_PAGE + (size_t)slot) * (size_t)l->d_head + (size_t)d;
}
#endif
