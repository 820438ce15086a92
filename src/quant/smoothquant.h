/* quant/smoothquant.h – SmoothQuant: the range of activations moved into the weights, channel by channel.
 *
 *     s_j = max_t |x_tj|^α / max_i |W_ij|^(1−α),    norm gain / s,    columns of the norm's readers · s
 *
 * over all layers that read the same norm (q, k, v; gate, up, and with experts those of all experts and the router).
 * The inputs of o and down are left alone. Source: arXiv:2211.10438; α = 0.85 in arXiv:2504.04823. */
#ifndef LB_QUANT_SMOOTHQUANT_H
#define LB_QUANT_SMOOTHQUANT_H
#include "quant/block.h"

#define LB_SMOOTHQUANT_ALPHA 0.85f

/* Smooths a block in place; what it computes at 16 bits does not change.
 *   qkv_max, mlp_max   [d_model] largest |x| of each channel of what q, k, v and what gate, up read, over the
 *                      calibration tokens; borrowed; finite
 *   alpha              0 … 1: how much of the range goes to the weights
 * A channel that is never anything but 0, or that no weight reads, keeps its scale. s ≥ 1e-5. LB_EUSAGE for alpha,
 * LB_ENUMERIC for a maximum that is negative or not finite; the block is then as it was. */
bool lb_smoothquant_block(lb_qblock *b, const float *qkv_max, const float *mlp_max, float alpha, lb_err *err);
#endif
