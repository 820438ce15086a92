/* quant/gptq_factor.h – the inside of GPTQ's factor of H, for quant/gptq.c. */
#ifndef LB_QUANT_GPTQ_FACTOR_H
#define LB_QUANT_GPTQ_FACTOR_H
#include "quant/gptq.h"

enum { LB_GPTQ_BLOCK = 128 };    /* columns whose errors are kept back and spread together */

typedef struct lb_gptq_block {
    int c0, c1;                  /* columns [c0,c1) in the order they are taken */
    float *u;                    /* [c1−c0][LB_GPTQ_BLOCK] upper triangle of U[c0…c1, c0…c1] */
    float *after;                /* [panels][c1−c0][LB_TILE_W] U[c0…c1, c1…k] (kern/gptq_step.h) */
} lb_gptq_block;

struct lb_gptq_factor {
    int k, group;                /* group: whose borders the blocks heed; 0: none */
    bool act_order;
    int *perm;                   /* [k] which column is taken i-th */
    int n_block, n_dead;
    float damp;
    lb_gptq_block *blocks;       /* [n_block], pointing into: */
    float *inside, *after;
};

/* Whether it can serve a layer of k inputs in groups of `group`. */
bool lb_gptq_factor_fits(const lb_gptq_factor *f, int k, int group, const lb_gptq_opt *opt);
#endif
