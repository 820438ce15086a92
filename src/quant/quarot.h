/* quant/quarot.h – QuaRot: rotations by Hadamard matrices, which spread outliers over all channels.
 *
 * With T_n the orthonormal Hadamard product of order n (num/hadamard.h) and D random signs:
 *   R1     the residual stream x becomes T_d·D·x: embedding, lm_head and what reads it turn, what writes it turns
 *   R2     each head of the values turns by T_d_head, folded into v and o
 *   HEADS  the attention output turns across its heads, T_n_head ⊗ I, online; with R2 that is a full rotation of o's
 *          input
 *   R3     queries and keys turn per head after RoPE, online: for the cache, their product stays
 *   R4     the input of down turns by T_d_ff, online
 * At 16 bits the model computes what it did. The norms' gains go into their readers first, because a gain does not
 * commute with R1; the final norm's goes into lm_head, which a tied model must therefore store apart from its embedding.
 * The study's code leaves HEADS out of its inference class, so its o is wrong unless it runs tensor-parallel; here it is
 * done.
 * Source: arXiv:2404.00456. */
#ifndef LB_QUANT_QUAROT_H
#define LB_QUANT_QUAROT_H
#include "quant/block.h"

enum {
    LB_QUAROT_R1 = 1, LB_QUAROT_R2 = 2, LB_QUAROT_HEADS = 4, LB_QUAROT_R3 = 8, LB_QUAROT_R4 = 16,
    LB_QUAROT_ALL = 31,
};

typedef struct lb_quarot {
    unsigned parts;              /* LB_QUAROT_R1 | …; 0: all */
    uint64_t seed;               /* of R1's signs */
    int down_block;              /* R4: blocks of so many columns instead of the whole row; 0: the whole row */
} lb_quarot;

/* Whether every rotation that `o` asks for exists for this model: LB_EUNSUPPORTED naming the size, its factors and what
 * to leave out; LB_EUSAGE for a block that does not divide the row. */
bool lb_quarot_check(const lb_config *c, const lb_quarot *o, lb_err *err);

/* Rotates one block in place and sets its online transforms. Same result for any number of threads. */
bool lb_quarot_block(lb_qblock *b, const lb_quarot *o, lb_exec *ex, lb_err *err);

/* rows[r,:] = R1·(rows[r,:] · gain) for rows of the residual stream's width d_model: the embedding (gain NULL), and
 * lm_head with the final norm's gain, which is 1 from then on. Any number of rows at a time. Without R1 it is the gain
 * alone. The model and the options have passed lb_quarot_check. */
void lb_quarot_rows(const lb_config *c, const lb_quarot *o, float *rows, int n_row, const float *gain, lb_exec *ex);
#endif
