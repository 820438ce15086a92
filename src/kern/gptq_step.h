/* kern/gptq_step.h – the two inner loops of GPTQ (arXiv:2210.17323) on a tile of rows. CPU only.
 *
 * A tile is LB_TILE_W rows of W, turned as in kern/clip.h. Columns are taken in order in blocks; within a block a column
 * is rounded and its error spread over the block's later columns (step), then the errors of the whole block are spread
 * over all columns after it (update). Rows do not touch each other: a tile stays with one thread from its first column
 * to its last. All rows of both tables take the same steps rounded to f32, so that every machine makes the same codes:
 * one that flips would change all that comes after it. */
#ifndef LB_KERN_GPTQ_STEP_H
#define LB_KERN_GPTQ_STEP_H
#include "kern/clip.h"

/* Columns [c0,c1) of a block of n_col:  code, ŵ = snap(w_c);  e_c = (w_c − ŵ) / U_cc;  w_j −= e_c·U_cj for c < j < n_col.
 * Unit: LB_TILE_UNIT rows of the tile. */
typedef struct lb_gptq_step {
    float *w;                    /* [n_col][LB_TILE_W]; a column keeps the value that was rounded (the latent weight) */
    float *err;                  /* [n_col][LB_TILE_W] out */
    uint8_t *code;               /* [n_col][LB_TILE_W] out */
    const float *u;              /* [n_col][ldu] upper triangle of U's block */
    const float *const *scale, *const *zero; /* [n_col] the column's grids, [LB_TILE_W] each */
    lb_snap_kind kind;
    float max;
    int c0, c1, n_col, ldu;
} lb_gptq_step;

/* w[j] −= Σ_c U_cj·e_c in the order of c, for n_next columns after a block. Unit: a panel of LB_TILE_W columns. */
typedef struct lb_gptq_update {
    float *w;                    /* [n_next][LB_TILE_W] */
    const float *err;            /* [n_col][LB_TILE_W] */
    const float *u;              /* [panels][n_col][LB_TILE_W]: U of the block, columns after it; zeros past the end */
    int n_col, n_next;
} lb_gptq_update;

extern const lb_op lb_op_gptq_step, lb_op_gptq_update;
#endif
