/* quant/plan.h – which linear layer gets which scheme. */
#ifndef LB_QUANT_PLAN_H
#define LB_QUANT_PLAN_H
#include "quant/quantize.h"
#include "model/config.h"
#include "store/ct_config.h"
#include "store/store.h"

typedef struct lb_plan_module {
    char *name;                  /* owned: "model.layers.0.mlp.up_proj" */
    int layer;                   /* −1: outside the blocks */
    int n, k;
    lb_scheme scheme;            /* w_bits 16: left alone */
    lb_ct_scheme ct;
    const lb_tensor *src;        /* its weight; borrowed from the store; NULL until lb_plan_find */
} lb_plan_module;

typedef struct lb_plan {
    lb_plan_module *p;           /* [n], owned: the linears of the blocks in order, then lm_head */
    size_t n, cap;
    int n_quantized;
    void **rules;                /* compiled patterns; owned */
    int n_rule;
} lb_plan;

/* A scheme of weights as the file's format has it, for rows of k columns. */
lb_ct_scheme lb_plan_ct(const lb_scheme *s, int k);
/* LB_EUSAGE for a pattern that is none, a group longer than a row, or nothing to do (no layer is quantized and
 * `nothing_is_fine` is false). Free it whatever the result. */
bool lb_plan_make(lb_plan *x, const lb_config *c, const lb_quantize_opt *o, bool nothing_is_fine, lb_err *err);
void lb_plan_free(lb_plan *x);
/* Finds the weights of the quantized modules (all modules if `all`), checks shape, type and that they are finite. */
bool lb_plan_find(lb_plan *x, const lb_store *s, const lb_config *c, bool all, lb_err *err);
lb_plan_module *lb_plan_module_of(lb_plan *x, const char *name);     /* NULL if there is none */
/* quantization_config for what the plan quantizes; NULL with an error. */
json_t *lb_plan_ct_json(const lb_plan *x, const lb_config *c, lb_err *err);
#endif
