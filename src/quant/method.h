/* quant/method.h – a post-training quantization method: one file, one row of methods.def.
 *
 * A method takes the weight of one linear layer and gives codes, scales and zero points. Which layers, how they are
 * stored and that the result is what was meant is the business of quant/quantize.h. */
#ifndef LB_QUANT_METHOD_H
#define LB_QUANT_METHOD_H
#include "kern/exec.h"
#include "num/tile.h"
#include "quant/scheme.h"

/* One layer to solve. */
typedef struct lb_quant_job {
    const char *name;            /* module name, for messages */
    const float *w;              /* [n,k] row-major, finite; borrowed */
    int n, k;
    lb_scheme scheme;
    lb_dtype scale_type;         /* the checkpoint's dtype: scales are rounded to it before codes are chosen */
    bool clip_mse;               /* search the clipping range of each group (algorithms: p = 1 … 0.21, |error|^2.4) */
    lb_exec *ex;                 /* threads */
} lb_quant_job;

typedef struct lb_method {
    const char *name;            /* "rtn" */
    const char *paper;           /* source, for --help and reports */
    /* Fills *out, whose arrays are allocated for the scheme and the shape. */
    bool (*solve)(const lb_quant_job *job, lb_qmat *out, lb_err *err);
} lb_method;

extern const lb_method *const lb_methods[];      /* NULL-terminated */
/* LB_EUSAGE listing the methods if there is none of that name. */
const lb_method *lb_method_find(const char *name, lb_err *err);
#endif
