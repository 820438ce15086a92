/* model/model_grad_parts.h – inside of lb_model_grad; for model/model_grad*.c only. */
#ifndef LB_MODEL_MODEL_GRAD_PARTS_H
#define LB_MODEL_MODEL_GRAD_PARTS_H
#include "model/model_grad.h"

typedef struct lb_grad_layer {
    lb_block_grad b;
    lb_param *(*experts)[3];         /* [n_expert], owned; NULL in a dense layer */
    lb_block_hooks hooks;
    bool hooked;
    lb_model_grad *m;                /* what a checkpoint's argument leads back to */
} lb_grad_layer;

struct lb_model_grad {
    lb_exec *ex;                     /* borrowed */
    lb_config own_cfg;               /* owned; empty if the config is the caller's */
    const lb_config *cfg;
    lb_model_grad_opt opt;
    bool tied, dry;
    lb_model_tensor *tensors;        /* [n_tensor], owned with their names */
    lb_param *params;                /* [n_tensor], owned */
    size_t n_tensor;
    lb_grad_layer *layers;           /* [n_layer], owned */
    lb_param *embed, *final_norm, *head;     /* of params; head: the embedding if tied */
    lb_linear head_linear;
    float *inv_freq;                 /* [d_head/2] device, owned */
    lb_grad *g;                      /* owned */
    lb_vocab *vocab;                 /* owned; NULL before the first loss */
    float *rows;                     /* [cap_rows, d_model] device, owned: gradients of hidden states, or the states */
    int cap_rows;
    int *begin;                      /* [cap_begin] owned: of the documents in work */
    size_t cap_begin;
    int n_doc;
};

/* Everything but weights: tensors with names and shapes, layers, tape. m is zeroed but for ex, cfg, opt, tied, dry. */
bool lb_model_grad_build(lb_model_grad *m, lb_err *err);
/* A model without memory, for plans: its tape is dry. */
lb_model_grad *lb_model_grad_dry(const lb_config *cfg, lb_exec *ex, const lb_model_grad_opt *opt, lb_err *err);
#endif
