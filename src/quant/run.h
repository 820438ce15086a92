/* quant/run.h – what the methods of one quantization share: model, streams, statistics. Internal to quant/.
 *
 * Streams are f32 [n_seq·seqlen, d_model] on the host: `x_float` is what the block at hand reads in the model as it was,
 * y_float what it gives there, `x` what it reads behind the blocks that are quantized already (in the basis of the
 * transformed model). A stream that no method of the chain needs is NULL. */
#ifndef LB_QUANT_RUN_H
#define LB_QUANT_RUN_H
#include "model/block_grad.h"
#include "quant/block.h"
#include "quant/calib.h"
#include "quant/plan.h"

typedef struct lb_quant_run {
    const lb_quantize_opt *o;
    lb_exec *ex;
    lb_model *m;                 /* the float model; blocks are replaced as they finish */
    const lb_config *cfg;
    lb_plan plan;
    lb_online online;            /* what the output does beside reading weights; methods add to it */
    lb_calib calib;              /* calib.m is NULL without calibration data */
    size_t n_row;                /* n_seq·seqlen, or 0 */
    float *x_float, *y_float, *x, *wide;
    /* [n,2] of the linears of the block at hand, in the order of lb_qblock_linears, where a transform learned them (see
     * lb_quant_job.row_clip); else NULL; owned */
    float *row_clip[LB_BLOCK_LINEARS];
    /* embedding [n_vocab, d_model], head likewise and final norm [d_model] if a method rewrote them; else NULL; owned */
    float *embed, *head, *final_norm;
} lb_quant_run;

/* Largest and mean absolute value of each column of the inputs of one site of block b, in the model as it was: reads
 * x_float. Arrays of [k]; either may be NULL. */
bool lb_run_column_stats(lb_quant_run *r, int layer, lb_site site, float *absmax, float *absmean, lb_err *err);
#endif
