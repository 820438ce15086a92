/* quant/block.h – one transformer block as float weights: what methods that move numbers between layers work on.
 *
 * A block is loaded from the files as f32, a method folds scales or rotations into its norms and linears and leaves the
 * transforms that have to run online, and a solver then quantizes the linears. Everything is host memory that the block
 * owns. Methods are pure: same block and options, same numbers, whatever the threads. */
#ifndef LB_QUANT_BLOCK_H
#define LB_QUANT_BLOCK_H
#include "model/model.h"

typedef struct lb_qlinear {
    char *name;                  /* module: "model.layers.0.mlp.up_proj"; owned; NULL: the block has none */
    int n, k;
    float *w;                    /* [n,k], owned */
    float *bias;                 /* [n], owned; NULL if the model has none */
} lb_qlinear;

typedef struct lb_qexpert {
    lb_qlinear gate, up, down;
} lb_qexpert;

typedef struct lb_qblock {
    const lb_config *cfg;        /* borrowed */
    int layer;
    float *attn_norm, *mlp_norm; /* [d_model], owned */
    float *q_norm, *k_norm;      /* [d_head], owned, or NULL */
    lb_qlinear q, k, v, o;
    lb_qlinear gate, up, down;   /* dense MLP; empty in an expert layer */
    lb_qlinear router;           /* reads what gate and up read, untransformed; empty in a dense layer */
    lb_qexpert *experts;         /* [n_expert], owned; NULL in a dense layer */
    int n_expert;                /* 0 in a dense layer */
    lb_transform in[LB_N_SITE];  /* online; kind NONE: nothing. Host arrays from lb_qblock_keep */
    float clip[LB_N_INPUT_SITE][2]; /* lo and hi factor of the activation quantizer; 0: the method has no opinion */
    lb_blocks own;               /* what lb_qblock_keep gave */
} lb_qblock;

/* Reads a layer's tensors from float weights; shapes are checked against cfg. LB_EFORMAT for a missing or wrong tensor,
 * LB_EUNSUPPORTED for one that is packed, LB_ENUMERIC for NaN or infinity. On failure nothing is left to free. */
bool lb_qblock_load(lb_qblock *b, const lb_config *cfg, const lb_store *s, int layer, lb_err *err);
void lb_qblock_free(lb_qblock *b);
/* Bytes that lb_qblock_load takes for a layer. */
size_t lb_qblock_bytes(const lb_config *cfg, int layer);
/* n zeroed f32 that live as long as the block: matrices of its online transforms. */
float *lb_qblock_keep(lb_qblock *b, size_t n, const char *what, lb_err *err);

/* Calls fn for each linear layer that methods quantize, in the order of lb_config_linears, with the site it reads from.
 * Stops at the first false. */
typedef bool (*lb_qlinear_fn)(void *arg, lb_qlinear *l, lb_site site, lb_err *err);
bool lb_qblock_linears(lb_qblock *b, lb_qlinear_fn fn, void *arg, lb_err *err);
/* Lets a layer of an open model run on this block: weights, norms, online transforms by pointer; activations stay at 16
 * bits. CPU execs only; the block must outlive the layer's use. */
void lb_qblock_bind(const lb_qblock *b, lb_layer *l);

/* ---- folding ---- */

void lb_qlinear_mul_cols(lb_qlinear *l, const float *s);         /* w[:,j] *= s[j]; s [k] */
void lb_qlinear_div_rows(lb_qlinear *l, const float *s);         /* w[i,:] /= s[i], bias likewise; s [n] */

/* Divides what linear layers read at a site by s and multiplies their columns by it, so that nothing changes. What is
 * divided:
 *   QKV, MLP   the norm's gain; s [d_model]; the router is a reader too
 *   O          the rows of v; s [n_kv·d_head], one for each value channel, shared by the query heads that read it
 *   DOWN       the rows of up; s [d_ff]; dense layers only, an expert has its own: lb_qexpert_fold_scale, s [d_expert]
 * LB_ENUMERIC unless every s is finite and above 0; the block is then as it was. */
bool lb_qblock_fold_scale(lb_qblock *b, lb_site site, const float *s, lb_err *err);
bool lb_qexpert_fold_scale(lb_qexpert *e, const float *s, lb_err *err);
/* Moves the gains of both norms into the columns of their consumers; the gains become 1. */
void lb_qblock_fold_norms(lb_qblock *b);
#endif
