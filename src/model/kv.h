/* model/kv.h – the paged KV cache: one for all sequences of a batch.
 *
 * Positions are stored in pages of LB_PAGE; a sequence takes pages as it grows and gives them back when it ends, so
 * memory follows the tokens there are, not the longest there could be. How numbers are kept is a lb_kv_spec, which has
 * a name on the command line and in config.json:
 *
 *     bf16, f32              numbers as they are
 *     kv8, kv4, kv3, kv2     keys and values per token and kv head, asymmetric
 *     …-quarot               QuaRot-KV (arXiv:2404.00456): the same, queries and keys turned by a Hadamard matrix after
 *                            RoPE, ranges shrunk to 0.95
 *     …-kvquant              KVQuant* (arXiv:2504.04823): keys before RoPE, static ranges per channel; …-kvquant-prebias:
 *                            before the bias of k_proj as well
 *     …-kivi                 KIVI (arXiv:2402.02750): keys per channel in groups of 32 positions, the last
 *                            128 positions in bf16
 *
 * and then what departs from that: -prerope, -postrope, -prebias, -hadamard, -clipX (0 < X ≤ 1), -wN (KIVI's window, a
 * multiple of 32). `bf16-prerope` exists too. */
#ifndef LB_MODEL_KV_H
#define LB_MODEL_KV_H
#include "kern/attn.h"
#include "kern/transform.h"
#include "model/config.h"

typedef struct lb_kv_spec {      /* zero means bf16 */
    int bits;                    /* 8, 4, 3, 2; 16 or 0: bf16; 32: f32 */
    lb_kv_key_mode key;
    bool pre_rope, pre_bias;     /* keys are stored before RoPE, before their bias; pre_bias wants pre_rope */
    bool hadamard;               /* orthonormal Hadamard matrix of d_head on queries and keys after RoPE */
    float clip;                  /* per token: shrinks the range; 0 means 1 */
    int window;                  /* per channel in groups: most recent positions kept in bf16 */
} lb_kv_spec;

enum { LB_KV_TEXT = 40, LB_KV_WINDOW = 128, LB_KV_CHUNK = 128 };

/* LB_EUSAGE for what is not a name, or asks for what does not go together. */
bool lb_kv_spec_parse(const char *text, lb_kv_spec *out, lb_err *err);
/* The shortest name that parses back to the same; clip to 6 digits. */
void lb_kv_spec_text(const lb_kv_spec *s, char out[LB_KV_TEXT]);

typedef struct lb_kv_room {
    int n_seq, n_ctx;            /* sequences of up to n_ctx positions each */
    int n_page;                  /* pages in all; 0: n_seq full sequences */
    int n_chunk;                 /* where the spec has a window: most tokens of one sequence in a batch; 0: LB_KV_CHUNK */
} lb_kv_room;

typedef struct lb_kv {
    lb_exec *ex;                 /* borrowed */
    lb_kv_spec spec;
    const lb_kv_format *format;
    int n_layer, n_page, n_seq, max_pages;
    int n_chunk;                 /* most tokens of one sequence in a batch */
    lb_kv_layer *layers;         /* [n_layer], owned; their k, v, ring, scales and zeros are device memory, owned */
    float *rope_page, *rope_slot; /* device, shared by the layers, owned */
    float *had;                  /* device, owned */
    lb_transform turn;           /* of heads of queries and keys after RoPE; kind NONE without spec.hadamard */
    int *pages;                  /* host [n_seq, max_pages], owned */
    int *pages_dev;              /* device copy, owned */
    int *n_used;                 /* [n_seq] pages held by a sequence */
    int *free_list;              /* [n_page] */
    int n_free;
    bool dirty;                  /* host page table is newer than the device's */
} lb_kv;

/* ranges [n_layer]: for each layer [2, n_kv·d_head] on the host, the lowest and highest key of a channel, as it is
 * stored; only looked at where the spec has static ranges. LB_EUSAGE if it has and they are NULL, or if it wants a
 * Hadamard matrix of an order that is not known. Biases for pre_bias are the forward pass's to set, per call. */
lb_kv *lb_kv_open_spec(lb_exec *ex, const lb_config *c, const lb_kv_spec *spec, const float *const *ranges,
                       const lb_kv_room *room, lb_err *err);
/* The same by name, for formats without static ranges. */
lb_kv *lb_kv_open(lb_exec *ex, const lb_config *c, const char *name, int n_seq, int n_ctx, int n_page, lb_err *err);
void lb_kv_close(lb_kv *kv);
/* What lb_kv_open_spec allocates on the device for pages and windows, in bytes; SIZE_MAX on overflow. */
size_t lb_kv_bytes(const lb_config *c, const lb_kv_spec *s, const lb_kv_room *room);
/* Bytes of one position in all layers. */
double lb_kv_position_bytes(const lb_config *c, const lb_kv_spec *s);
/* The shape of a layer, without memory. */
lb_kv_layer lb_kv_shape(const lb_kv_spec *s, int n_kv, int d_head);
int lb_kv_pages_for(int n_pos);                              /* pages that n_pos positions take */
/* Makes room for positions [0,n_pos) of seq; false if pages ran out (nothing changes). */
bool lb_kv_grow(lb_kv *kv, int seq, int n_pos);
void lb_kv_release(lb_kv *kv, int seq);                      /* gives all pages of seq back */
void lb_kv_upload(lb_kv *kv);                                /* brings the device's page table up to date */
#endif
