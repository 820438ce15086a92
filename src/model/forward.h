/* model/forward.h – the forward pass over token ids, whole or in parts.
 *
 * lb_forward_run gives logits. Calibration runs the same pass part by part: it puts the residual stream of a layer in,
 * watches what each linear layer reads (lb_tap), and takes the result out, so that a layer that was just quantized is
 * the one that the next sees. */
#ifndef LB_MODEL_FORWARD_H
#define LB_MODEL_FORWARD_H
#include "model/model.h"

/* A ragged batch: any mixture of prefill chunks and single decode tokens. Tokens of one sequence stand in order of
 * position, at most kv->n_chunk of them; kv pages for every position must be there (lb_kv_grow). */
typedef struct lb_batch {
    int n_tok;
    const int *ids, *seq, *pos;              /* [n_tok] host; ids < n_vocab */
    int n_out;
    const int *out;                          /* [n_out] host: which tokens want logits */
} lb_batch;

/* Working memory for batches of up to max_tok tokens and max_out logit rows. */
typedef struct lb_forward lb_forward;
lb_forward *lb_forward_open(lb_model *m, int max_tok, int max_out, lb_err *err);
void lb_forward_close(lb_forward *f);
size_t lb_forward_bytes(const lb_config *c, int max_tok, int max_out);
/* logits [n_out, n_vocab] f32 on the host, owned by f, good until the next call. Fails only with LB_EDEVICE. */
bool lb_forward_run(lb_forward *f, lb_kv *kv, const lb_batch *b, const float **logits, lb_err *err);

/* ---- in parts ---- */

/* The parts of a block, in order. With experts, ACT does nothing and DOWN does the whole MLP. */
typedef enum lb_part {
    LB_PART_ATTN_IN,                         /* h = norm(x) */
    LB_PART_ATTN,                            /* att = attention of q(h), k(h), v(h); writes the cache */
    LB_PART_O,                               /* x += o(att) */
    LB_PART_MLP_IN,                          /* h = norm(x) */
    LB_PART_ACT,                             /* act = silu(gate(h)) · up(h) */
    LB_PART_DOWN,                            /* x += down(act) */
    LB_N_PART
} lb_part;

/* Rows that parts read and leave: device memory of f, [n_tok, *width]. K: keys as ATTN gave them to the cache. */
typedef enum lb_rows { LB_ROWS_X, LB_ROWS_H, LB_ROWS_K, LB_ROWS_ATT, LB_ROWS_ACT } lb_rows;
float *lb_forward_rows(lb_forward *f, lb_rows which, int *width);

/* Begins a batch: x = embedding of its ids. Its parts may then run on x, or on what the caller puts there instead. */
void lb_forward_start(lb_forward *f, lb_kv *kv, const lb_batch *b);
void lb_forward_part(lb_forward *f, int layer, lb_part part);
/* After the weights of a layer were replaced by others of another format: looks for their kernels, reserves scratch. */
bool lb_forward_replaced(lb_forward *f, int layer, lb_err *err);
/* Final norm and head of n of x's rows (host [n]): logits as lb_forward_run gives them. */
bool lb_forward_head(lb_forward *f, const int *rows, int n, const float **logits, lb_err *err);

/* Called before each linear layer with what it is about to read: x [n_tok, l->w.k], device memory. */
typedef struct lb_tap {
    void (*fn)(void *arg, const lb_linear *l, const float *x, int n_tok);
    void *arg;
} lb_tap;
void lb_forward_tap(lb_forward *f, lb_tap tap);  /* {0}: none */
#endif
