/* model/kind.h – the linear layers of a block by what they are: q, k, v, o, gate, up, down. */
#ifndef LB_MODEL_KIND_H
#define LB_MODEL_KIND_H
#include "model/model.h"

typedef enum lb_kind {
    LB_KIND_Q, LB_KIND_K, LB_KIND_V, LB_KIND_O, LB_KIND_GATE, LB_KIND_UP, LB_KIND_DOWN, LB_N_KIND
} lb_kind;

const char *lb_kind_name(lb_kind kind);          /* "q", "gate" */
/* How many linear layers of that kind a block has: one, or one per expert. */
int lb_kind_count(const lb_config *c, int layer, lb_kind kind);
/* The i-th of them, and its module name ("model.layers.0.self_attn.q_proj"). */
lb_linear *lb_kind_linear(lb_model *m, int layer, lb_kind kind, int i);
enum { LB_MODULE_NAME = 512 };
void lb_kind_module(const lb_config *c, int layer, lb_kind kind, int i, char out[LB_MODULE_NAME]);
#endif
