/* quant/layer.h – one block of a quantization: transform, solve, write. Internal to quant/. */
#ifndef LB_QUANT_LAYER_H
#define LB_QUANT_LAYER_H
#include "quant/workdir.h"

/* Transforms block `layer`, solves its linears and puts the result into w. Streams move on to the next block. */
bool lb_layer_solve(lb_quant_run *r, lb_workdir *w, int layer, lb_err *err);
/* Moves the streams through a block that w has finished. */
bool lb_layer_replay(lb_quant_run *r, lb_workdir *w, int layer, lb_err *err);
/* What lies outside the blocks: embedding, head and final norm as methods rewrote them, and the head's codes where a rule
 * asks for them (by rtn, or by the solver if it needs no calibration). It is number n_layer in w. */
bool lb_head_solve(lb_quant_run *r, lb_workdir *w, lb_err *err);

/* Sets r->online from the scheme and the options: activation bits, the KV format. LB_EUSAGE for a format that is none. */
bool lb_quant_online(lb_quant_run *r, lb_err *err);
bool lb_quant_calibrates_kv(const lb_quantize_opt *o);           /* static ranges of keys are wanted */
lb_dtype lb_quant_embed_type(const lb_quant_run *r);             /* in which a rewritten embedding is stored */
lb_qmat lb_quant_qmat(const lb_plan_module *m);                  /* what its codes go to: shape and scheme, no arrays yet */
/* Adds what a module became to a layer's record. */
bool lb_quant_record(json_t *record, const lb_plan_module *m, const char *format, lb_hash hash, double bytes,
                     double error, lb_err *err);
double lb_qmat_error(const lb_qmat *q, const float *w);          /* ‖ŵ−w‖²/‖w‖² */
lb_hash lb_qmat_hash(const lb_qmat *q);                          /* identity of codes, scales and zero points */
/* The same of a module as a folder holds it: for comparing with its record. */
bool lb_quant_read_hash(const lb_store *s, const lb_plan_module *m, lb_hash *out, lb_err *err);
#endif
