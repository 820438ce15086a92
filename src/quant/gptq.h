/* quant/gptq.h – GPTQ (arXiv:2210.17323): rounding column by column, each error made up for by the columns after it.
 *
 * For every row w of a linear layer with the second moment H of its inputs it looks for codes with a small
 * (ŵ−w)·H·(ŵ−w)ᵀ. With U upper triangular, H⁻¹ = UᵀU, columns in order:
 *
 *     e_i = (w_i − ŵ_i) / U_ii        w_j −= e_i·U_ij for j > i
 *
 * What it takes from H depends on H alone and is shared by all linears with that input (q, k, v; gate, up): the factor.
 * H is taken as 64-bit numbers, damped by `damp` times the mean of its diagonal; if it is not positive definite then, the
 * damping grows (by 0.0015, after eight such steps by twice as much each time) up to 1.
 *
 * Two departures from the published code: a dead column (H_jj = 0: the input was always 0) keeps its weights, rounded to
 * nearest, where that sets them to 0: no sample can tell the difference, but an input that calibration never saw may; and
 * grids estimated on the way (no static_groups) see all that was compensated before, also inside a block. */
#ifndef LB_QUANT_GPTQ_H
#define LB_QUANT_GPTQ_H
#include "quant/method.h"

/* The factor for layers of k inputs in groups of `group` columns (k: whole rows).
 *   h     [k,k] f32, symmetric, borrowed for the call
 *   name  the layer, for messages
 * LB_ENUMERIC if h holds a NaN or an infinity, has a negative diagonal, or is not positive definite even with damping 1;
 * LB_ENOMEM. ex is a CPU. Memory: about 4·k² bytes, twice 8·k² for the time of the call. */
lb_gptq_factor *lb_gptq_factor_new(lb_exec *ex, const float *h, int k, int group, const lb_gptq_opt *opt,
                                   const char *name, lb_err *err);
void lb_gptq_factor_free(lb_gptq_factor *f);                      /* NULL allowed */
float lb_gptq_factor_damp(const lb_gptq_factor *f);              /* the damping that was needed */
int lb_gptq_factor_dead(const lb_gptq_factor *f);                /* number of dead columns */

extern const lb_method lb_method_gptq;
#endif
