/* quant/recon.h – reconstruction of one block: what is trained is judged by what the block gives, on calibration
 * sequences, against what the unquantized block gives.
 *
 *     loss = mean over tokens and channels of (block'(x) − target)²
 *
 * The online transforms that the block has are part of it, in the target too. A client's input and head hooks get what
 * they leave.
 *
 * Holds the data, deals batches and measures the loss over all of them; knows nothing about how the block is changed:
 * that is in the hooks. The order of batches is a function of the seed alone. CPU execs only (as the tape). */
#ifndef LB_QUANT_RECON_H
#define LB_QUANT_RECON_H
#include "model/block_grad.h"
#include "quant/block.h"

/* What is done to the block while it runs. begin (may be NULL) is called first in every step, for variables that
 * several hooks share; it may fail the tape. */
typedef struct lb_recon_hooks {
    lb_block_hooks block;
    void (*begin)(void *arg, lb_grad *g);
} lb_recon_hooks;

typedef struct lb_recon_data {
    const float *x;              /* [n_seq, len, d_model] inputs of the block; borrowed */
    const float *target;         /* [n_seq, len, d_model] wanted outputs, borrowed; NULL: those of the block as it is */
    int n_seq, len;
} lb_recon_data;

/* What is rounded beside the weights when the result runs; zero: nothing. Rounds after the block's own transforms,
 * with the block's clips; never in the target. */
typedef struct lb_recon_rounding {
    int a_bits;                  /* inputs of linear layers; 0 or 16: not quantized */
    int kv_bits;                 /* keys and values, per token and head */
    float kv_clip;               /* 0 means 1 */
} lb_recon_rounding;

typedef struct lb_recon {
    const lb_qblock *b;          /* borrowed */
    lb_recon_rounding rounding;  /* set by the client after opening */
    float *had[LB_N_SITE][2];    /* a HADAMARD of b->in as two factors, owned; NULL elsewhere */
    int had_n[LB_N_SITE][2];
    lb_block_weights weights;    /* the qblock's arrays; borrowed */
    lb_block_grad block;
    float *inv_freq;             /* [d_head/2], owned */
    lb_recon_data data;
    int batch;
    lb_grad *g;                  /* owned */
    float *own_target;           /* [n_seq, len, d_model], owned; NULL if the caller gave one */
    float *xb, *tb;              /* [batch, len, d_model], owned */
    int *order;                  /* [n_seq], owned */
} lb_recon;

/* LB_EUSAGE for less than one batch of sequences; LB_EUNSUPPORTED for a block with experts; LB_ENUMERIC naming the
 * first sequence and position with a NaN or infinity. max_bytes: of one step on the tape, 0 for no limit. b is
 * borrowed. Close r also after a failure. */
bool lb_recon_open(lb_recon *r, lb_exec *ex, const lb_qblock *b, const lb_recon_data *data, int batch, size_t max_bytes,
                   lb_err *err);
void lb_recon_close(lb_recon *r);

/* The layer of b that the tape calls `which`. */
lb_qlinear *lb_recon_linear(lb_qblock *b, lb_block_linear which);
/* Mean square of the target. */
double lb_recon_power(const lb_recon *r);

/* A new order of all sequences, in r->order: the one of (seed, round). */
void lb_recon_shuffle(lb_recon *r, uint64_t seed, uint64_t round);
/* The loss of the sequences order[first … first+n), n ≤ batch, as a variable: the tape is reset before. NULL when the
 * tape has failed (lb_grad_ok says why). */
lb_var *lb_recon_loss(lb_recon *r, int first, int n, const lb_recon_hooks *h);
/* The loss over all sequences. */
bool lb_recon_measure(lb_recon *r, const lb_recon_hooks *h, double *loss, lb_err *err);

/* How many sequences of a batch go on the tape at once where nobody said: the smallest divisor of the batch that makes
 * LB_RECON_TOKENS, beyond which a larger piece takes memory and saves no time. */
enum { LB_RECON_TOKENS = 2048 };
int lb_recon_micro(int batch, int len);
/* Upper bounds for plans. A step of `seqs` sequences on the tape, where hooks put per_site variables of their own on
 * each input and head and per_weight on each weight; and what lb_recon_open takes, without steps. */
size_t lb_recon_step_bytes(const lb_config *c, int seqs, int len, int per_site, int per_weight);
size_t lb_recon_bytes(const lb_config *c, int n_seq, int len, int batch, bool has_target);
/* Weights of a block: numbers, rows. */
size_t lb_recon_weights(const lb_config *c, size_t *rows);
#endif
