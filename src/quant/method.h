/* quant/method.h – a post-training quantization method: one file, one row of methods.def.
 *
 * A method takes the weight of one linear layer and gives codes, scales and zero points. Which layers, how they are
 * stored and that the result is what was meant is the business of quant/quantize.h. */
#ifndef LB_QUANT_METHOD_H
#define LB_QUANT_METHOD_H
#include "kern/exec.h"
#include "num/tile.h"
#include "quant/scheme.h"

typedef struct lb_gptq_factor lb_gptq_factor;    /* quant/gptq.h */

typedef struct lb_gptq_opt {     /* zero means default in every field */
    bool act_order;              /* columns in the order of falling diagonal of H; implies static_groups */
    bool static_groups;          /* grids from the original weights, not from the compensated ones */
    float damp;                  /* added to the diagonal of H, in its mean; default 0.01; grows by itself if it must */
} lb_gptq_opt;

/* One layer to solve. */
typedef struct lb_quant_job {
    const char *name;            /* module name, for messages */
    const float *w;              /* [n,k] row-major, finite; borrowed */
    int n, k;
    lb_scheme scheme;
    lb_dtype scale_type;         /* the checkpoint's dtype: scales are rounded to it before codes are chosen */
    bool clip_mse;               /* search the clipping range of each group (algorithms: p = 1 … 0.21, |error|^2.4) */
    bool clip_zeros;             /* asymmetric 2 bits with clip_mse: neighbouring zero points as well (quant/grid.h) */
    lb_exec *ex;                 /* threads */
    const float *h;              /* [k,k] second moment of the input, 2/n·Σ x·xᵀ, symmetric (kern/gram.h), or NULL */
    const float *x;              /* [n_x,k] a sample of inputs, or NULL */
    int n_x;
    float *latent;               /* [n,k] out: the weights before rounding, whose codes are the codes; or NULL */
    lb_gptq_opt gptq;
    const lb_gptq_factor *factor;/* of h, made before and shared by the linears of one input; NULL: made from h */
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
