/* quant/flatquant.h – FlatQuant: invertible transforms learned per block, so that weights, activations, keys and values
 * are flat where they are quantized.
 *
 *     qkv, gate/up and down:  x ← Pᵀ(x·d), P = P1 ⊗ P2;  W ← (W/d) P⁻ᵀ;  d is merged into the norm, or the up rows
 *     o:                      x ← (P_o ⊗ I)ᵀ x mixes heads;  P_v turns the rows of v, P_v⁻ᵀ the columns of o
 *     keys and queries:       k ← P_kᵀ k, q ← P_k⁻¹ q after RoPE
 *
 * and clips: per row of a weight, per site of an activation, for keys and for values. Everything is learned at once
 * from the block's error under quantization, with straight-through gradients. At 16 bits the block is unchanged.
 * Source: Sun et al., "FlatQuant: Flatness Matters for LLM Quantization" (arXiv:2410.09426); settings of
 * arXiv:2504.04823. */
#ifndef LB_QUANT_FLATQUANT_H
#define LB_QUANT_FLATQUANT_H
#include "num/tile.h"
#include "quant/recon.h"

typedef struct lb_flatquant_opt {    /* zero means default in every field */
    int w_bits[LB_BLOCK_LINEARS];    /* 0 or 16: stays as it is, but is transformed */
    int a_bits, k_bits, v_bits;      /* of the inputs of linear layers, of keys, of values; 0 or 16: not quantized */
    lb_dtype scale_type;             /* in which scales of weights are stored (LB_F32) */
    float kv_clip;                   /* keys and values: shrink of the range, as the cache will do it (1) */
    bool learn_kv_clip;              /* learn it instead, as the paper: for caches that have a clip per layer and end */
    int epochs;                      /* passes over the sequences (15); less than 0: none, the start is the result */
    int batch;                       /* sequences of a step (4) */
    int micro;                       /* sequences on the tape at once, divides batch (lb_recon_micro) */
    float lr, lr_clip;               /* of transforms and scales (5e-3), of clips (5e-2); cosine down to 1/1000 */
    float alpha;                     /* d = max|w|^(1−alpha) / max|x|^alpha at the start (0.3) */
    uint64_t seed;
    size_t max_bytes;                /* of a step on the tape; 0: no limit */
} lb_flatquant_opt;

/* What was learned and does not stand in the block. Owned by the caller: zero it before, free it after. */
typedef struct lb_flatquant_report {
    /* Mean squared errors of the block over all sequences: quantized as it was (round to nearest), at the start and at
     * the end of training; mean square of the target. */
    double rtn, start, end, power;
    int skipped;                     /* steps left out because a gradient was not finite */
    float k_clip[2], v_clip[2];      /* lo and hi factor of keys and values */
    float *clip[LB_BLOCK_LINEARS];   /* [n,2], owned: lo and hi factor of each row's range, 0…1; NULL at 16 bits */
} lb_flatquant_report;
void lb_flatquant_report_free(lb_flatquant_report *r);

/* Learns the transforms of a block and applies them: weights become (W/d)P⁻ᵀ, d goes into norms and up rows, P_v into
 * v and o, b->in gets what has to run online (KRON; Q_ROPE and K_ROPE where keys are quantized), b->clip the clips of
 * activations. With b->in the block then computes what it computed before, unless it is quantized. data->x: the
 * outputs of the unquantized earlier blocks. The linears are quantized by the caller, with rep->clip. LB_EUSAGE: fewer
 * sequences than a batch, a width with no factors up to 1024; LB_ENUMERIC: NaN in data, a transform that became
 * singular. After a failure the block is as it was. The same bits for any number of threads. */
bool lb_flatquant_block(lb_exec *ex, lb_qblock *b, const lb_recon_data *data, const lb_flatquant_opt *opt,
                        lb_flatquant_report *rep, lb_err *err);

/* n = n1·n2, n1 ≤ n2, as near to each other as they come: 1536 = 32·48, 8960 = 80·112. A prime gives 1·n. */
void lb_flatquant_split(int n, int *n1, int *n2);

/* Upper bound of what the call takes beside x, target and the block. */
size_t lb_flatquant_bytes(const lb_config *c, const lb_flatquant_opt *opt, int n_seq, int len, bool has_target);
#endif
