/* model/kv.h – the paged KV cache: one for all sequences of a batch.
 *
 * Positions are stored in pages of LB_PAGE; a sequence takes pages as it grows and gives them back when it ends, so
 * memory follows the tokens there are, not the longest there could be. The number format is a row of kern/kvs.def. */
#ifndef LB_MODEL_KV_H
#define LB_MODEL_KV_H
#include "kern/attn.h"
#include "model/config.h"

typedef struct lb_kv {
    lb_exec *ex;                 /* borrowed */
    const lb_kv_format *format;
    int n_layer, n_page, n_seq, max_pages;
    lb_kv_layer *layers;         /* [n_layer], owned; their k and v are device memory, owned */
    int *pages;                  /* host [n_seq, max_pages], owned */
    int *pages_dev;              /* device copy, owned */
    int *n_used;                 /* [n_seq] pages held by a sequence */
    int *free_list;              /* [n_page] */
    int n_free;
    bool dirty;                  /* host page table is newer than the device's */
} lb_kv;

/* Room for n_seq sequences of up to n_ctx positions each, and n_page pages in all (0: n_seq full sequences). */
lb_kv *lb_kv_open(lb_exec *ex, const lb_config *c, const char *format, int n_seq, int n_ctx, int n_page, lb_err *err);
void lb_kv_close(lb_kv *kv);
/* What lb_kv_open allocates on the device, in bytes; SIZE_MAX on overflow. */
size_t lb_kv_bytes(const lb_config *c, const lb_kv_format *f, int n_page);
int lb_kv_pages_for(int n_pos);                              /* pages that n_pos positions take */
/* Makes room for positions [0,n_pos) of seq; false if pages ran out (nothing changes). */
bool lb_kv_grow(lb_kv *kv, int seq, int n_pos);
void lb_kv_release(lb_kv *kv, int seq);                      /* gives all pages of seq back */
void lb_kv_upload(lb_kv *kv);                                /* brings the device's page table up to date */
#endif
