/* quant/efficientqat.h – Block-AP of EfficientQAT: all parameters of one block trained through its quantizers.
 *
 *     ŵ = s·(clamp(round(w/s) + round(z), 0, 2^bits−1) − round(z))
 *
 * Weights, scales and zero points of a block learn together, by AdamW with straight-through gradients, what the
 * unquantized block gives; one block at a time is in memory. The trained weights stay in the block: their codes on
 * the trained grid are the result, and what later training starts from. The paper's second phase, end-to-end training
 * of the scales, is a stage of `lowbit train` ("train": ["scales"], "scales": "learned").
 * Source: Chen et al., "EfficientQAT" (arXiv:2407.11062). */
#ifndef LB_QUANT_EFFICIENTQAT_H
#define LB_QUANT_EFFICIENTQAT_H
#include "num/tile.h"
#include "quant/recon.h"

typedef struct lb_efficientqat_opt { /* zero means default in every field */
    int epochs;                      /* passes over the sequences (2); less than 0: none */
    int batch;                       /* sequences of a step (2) */
    int micro;                       /* sequences on the tape at once, divides batch (lb_recon_micro) */
    float lr, lr_grid; /* of weights (2e-5 at 2 bits, else 1e-5), of scales and zero points (1e-4); cosine to
                                      * a twentieth */
    float clip_norm;                 /* of the gradients (0.3) */
    bool clip_mse;                   /* start from the clip that lb_grid_mse finds; otherwise from full ranges */
    lb_recon_rounding rounding;      /* of activations, keys and values while training */
    uint64_t seed;
    size_t max_bytes;                /* of a step on the tape; 0: no limit */
} lb_efficientqat_opt;

typedef struct lb_efficientqat_report {
    double start, end, power;        /* mean squared errors over all sequences; mean square of the target */
} lb_efficientqat_report;

/* Trains block b and fills out[i] (bits 0: stays as it is), whose arrays are there; sym[i]: zero point fixed in the middle.
 * b's weights become the trained ones. If training made the error larger, the start is the result. Errors and
 * determinism as lb_autoround_block. */
bool lb_efficientqat_block(lb_exec *ex, lb_qblock *b, const lb_recon_data *data, const lb_efficientqat_opt *opt,
                           lb_qmat *const out[LB_BLOCK_LINEARS], const bool sym[LB_BLOCK_LINEARS],
                           lb_efficientqat_report *rep, lb_err *err);
size_t lb_efficientqat_bytes(const lb_config *c, const lb_efficientqat_opt *opt, int group, int n_seq, int len,
                             bool has_target);
#endif
