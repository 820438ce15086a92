/* quant/autoround.h – SignRound: rounding and ranges of a block's weights learned from what the block gives.
 *
 * Per weight an offset v ∈ [−½, ½], per group two factors a, b ∈ [0, 1] of its range:
 *
 *     s = (a·hi − b·lo)/(2^bits−1)    z = round(−b·lo/s)    code = clamp(round(w/s + v) + z, 0, 2^bits−1)
 *     symmetric: s = max(a·hi, −b·lo)/(2^(bits−1)−1), z the middle code;  hi = max(0, max w), lo = min(0, min w)
 *
 * All of a block's layers are trained at once by the sign of the gradient of the block's error. The result is an
 * ordinary grid with ordinary codes: nothing is left to do at run time. The block may have online transforms
 * (QuaRot's, FlatQuant's): they are part of what it gives. Source: Cheng et al., "Optimize Weight Rounding via Signed
 * Gradient Descent" (arXiv:2309.05516).
 *
 * Training that goes on from here (straight-through on the same grids) starts from latent weights, whose codes are these
 * codes:
 *
 *     w' = w, at least s·(0−z), at most s·(2^bits−1−z)
 *     latent = w' where the code is the nearest to w', else w' mirrored at the border between the two codes
 *
 * Not w + s·v: v stops where it has crossed a border. Of abacus-5m's weights at 2 bits that leaves 6 % within a hundredth of
 * a step of one, where chance has 2 %, and Adam's first steps, as long for every weight, take back what was learned: of
 * distillation at a peak rate of 3e-4, the KL in steps 4 and 7 is 0.0118 and 0.0275, where untouched codes have 0.0019
 * and 0.0041, and the mirrored weights 0.0022 and 0.0039.
 * Not beyond the ends: outside, the gradient is 0 and a weight would never move again; at the outer brink, the first step
 * would push every second one out for good; at the end it is half a step away from both. */
#ifndef LB_QUANT_AUTOROUND_H
#define LB_QUANT_AUTOROUND_H
#include "num/tile.h"
#include "quant/recon.h"

typedef struct lb_autoround_opt {    /* zero means default in every field */
    int iters;                       /* steps (200); less than 0: none, the start is the result */
    int batch;                       /* sequences of a step (8) */
    int micro;                       /* sequences on the tape at once, divides batch (lb_recon_micro) */
    float lr, lr_range;              /* of v, and of a and b (1/iters), falling to 0 in a straight line */
    bool clip_mse;                   /* start from the clip that lb_grid_mse finds; otherwise from full ranges */
    lb_recon_rounding rounding;      /* of activations, keys and values: rounded while the weights are trained */
    uint64_t seed;
    size_t max_bytes;                /* of a step on the tape; 0: no limit */
} lb_autoround_opt;

/* Mean squared errors of the block over all sequences. */
typedef struct lb_autoround_report {
    double start, end;               /* before the first step; of what was taken */
    double power;                    /* mean square of the target: end/power is the relative error */
    int best_iter;                   /* steps done when the taken iterate was met; 0: the start was never beaten */
} lb_autoround_report;

/* One linear layer of the block: where its codes go. */
typedef struct lb_autoround_linear {
    lb_qmat *out;                    /* allocated for the layer's shape; its bits, group and scale_type are the scheme.
                                      * NULL: the layer stays as it is */
    bool sym;
    const float *row_clip;           /* [n,2] lo and hi factor of each row's range at the start; NULL: opt's clip */
    float *latent;                   /* [n,k] out, may be NULL */
} lb_autoround_linear;

/* Trains and fills every out. The block's error is never larger than at the start: of the iterate with the lowest
 * batch loss, the last one and the start, the best over all sequences is taken. data->x may come from the unquantized
 * model or from the blocks quantized so far; the target is the unquantized block's output (if NULL, for these very
 * inputs). LB_EUSAGE: fewer sequences than a batch, groups that do not divide a row; LB_ENUMERIC: NaN in data. rep may
 * be NULL. The same bits for any number of threads. */
bool lb_autoround_block(lb_exec *ex, const lb_qblock *b, const lb_recon_data *data, const lb_autoround_opt *opt,
                        const lb_autoround_linear lin[LB_BLOCK_LINEARS], lb_autoround_report *rep, lb_err *err);

/* Upper bound of what the call takes beside x, target and the block, all layers of the block trained. */
size_t lb_autoround_bytes(const lb_config *c, const lb_autoround_opt *opt, int group, int n_seq, int len,
                          bool has_target);
#endif
