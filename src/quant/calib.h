/* quant/calib.h – calibration streams: the hidden states of all sequences, moved through the model block by block.
 *
 * A stream is the residual stream x [n_seq·n_tok, d_model] of every calibration token at the entrance of one block. It
 * is moved in passes of a few sequences through parts of the block (model/forward.h); what a part leaves can be looked at
 * on the way. Nothing is computed twice that can be kept: `wide` holds what lies between two parts, so that a block whose
 * linear layers are quantized one after the other runs each of them once.
 *
 * CPU execs only: rows are host memory. */
#ifndef LB_QUANT_CALIB_H
#define LB_QUANT_CALIB_H
#include "model/forward.h"

typedef struct lb_calib {
    lb_model *m;                 /* borrowed */
    const int *ids;              /* [n_seq, n_tok], borrowed */
    int n_seq, n_tok;            /* sequences; tokens of each */
    int per_pass;                /* sequences in one pass */
    lb_forward *fw;              /* owned */
    lb_kv *kv;                   /* owned */
    int *seq, *pos;              /* [per_pass·n_tok], owned */
    bool dry;                    /* runs only look: x stays as it is */
} lb_calib;

/* ids < n_vocab was checked by the caller; n_tok ≤ the model's context. kv: format of the cache of a pass, f32 and
 * where it keeps keys (model/kv.h: "f32", "f32-prerope"). */
bool lb_calib_open(lb_calib *c, lb_model *m, const int *ids, int n_seq, int n_tok, const char *kv,
                   lb_err *err);
void lb_calib_close(lb_calib *c);
/* Bytes that lb_calib_open takes, and bytes of one stream and of one `wide`. */
size_t lb_calib_bytes(const lb_config *cfg, int n_tok);
size_t lb_calib_stream_bytes(const lb_config *cfg, int n_seq, int n_tok);
size_t lb_calib_wide_bytes(const lb_config *cfg, int n_seq, int n_tok);

/* x = embedding of all tokens. */
bool lb_calib_embed(lb_calib *c, float *x, lb_err *err);

/* Rows of one pass, [n_row, width], while they are there; row0 is the first row's number in the stream. */
typedef struct lb_calib_see {
    bool (*fn)(void *arg, const float *rows, int n_row, int width, size_t row0, lb_err *err);
    void *arg;
} lb_calib_see;

/* Runs parts first…last of a layer over the whole stream. `first` is ATTN_IN, O, MLP_IN or DOWN: x holds the residual
 * stream before it, and for O and DOWN `wide` the rows of attention and activation. Afterwards x is the residual stream
 * after `last`; if that is ATTN or ACT, `wide` (may be NULL) has its rows. see: called for what `last` leaves (the normed
 * rows after an _IN part, x after O and DOWN); a false of it ends the run. */
bool lb_calib_run(lb_calib *c, int layer, lb_part first, lb_part last, float *x, float *wide, lb_calib_see see,
                  lb_err *err);
#endif
