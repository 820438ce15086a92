/* quant/microrot.h – micro-rotations: every block of inputs of a linear layer through one small Hadamard matrix.
 *
 * Outliers spread over their block of 16 … 128 columns, which is what shares a scale in block floats; nothing is folded
 * into other layers, so each site has its online transform, y = x·(1 ⊗ H/√B), and its readers have it in their columns. With
 * gptq behind it, searched scales and static order this is MR-GPTQ (arXiv:2509.23202). */
#ifndef LB_QUANT_MICROROT_H
#define LB_QUANT_MICROROT_H
#include "quant/block.h"

/* Rotates all quantized linears of a block in place and leaves the transforms in b->in; at 16 bits nothing changes.
 * `block` is a power of two that divides every row (LB_EUNSUPPORTED otherwise, naming the layer). LB_EUSAGE if a site has a
 * transform already; LB_ENOMEM. Experts too. */
bool lb_microrot_block(lb_qblock *b, int block, lb_exec *ex, lb_err *err);
#endif
