/* study/shape.h – model folders with random weights in the shape of a real model: for speed, where only shapes count. */
#ifndef LB_STUDY_SHAPE_H
#define LB_STUDY_SHAPE_H
#include "kern/exec.h"

typedef struct lb_shape {
    const char *name;                /* "qwen3-0.6b" */
    int n_layer, d_model, n_head, n_kv, d_head, d_ff, n_vocab;
    bool tied;
} lb_shape;

extern const lb_shape lb_shapes[];               /* ends with a name of NULL */
const lb_shape *lb_shape_find(const char *name, lb_err *err);       /* LB_EUSAGE lists them */

/* Writes a Qwen3 folder of that shape to dir, bf16, weights about normal with σ 0.02 (norms 1), the same bytes every
 * time. There is no tokenizer in it. */
bool lb_shape_write(const lb_shape *s, const char *dir, lb_exec *ex, lb_err *err);
#endif
