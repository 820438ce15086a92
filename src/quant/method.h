/* quant/method.h – a post-training quantization method: one file, one row of methods.def.
 *
 * A method solves (takes the weight of one linear layer and gives codes, scales and zero points), or transforms (rewrites
 * the float weights of a block so that they, or what they meet, are easier to round), or both at once for a whole block.
 * Methods are chained: "smoothquant+gptq" transforms by the first and solves by the second; a chain without a solver ends
 * in rtn. Which layers, in which order, how they are stored and that the result is what was meant is the business of
 * quant/quantize.h. */
#ifndef LB_QUANT_METHOD_H
#define LB_QUANT_METHOD_H
#include "kern/exec.h"
#include "num/fp4.h"
#include "quant/scheme.h"

/* A number that a method can be told: --opt NAME=VALUE. */
typedef struct lb_method_option {
    const char *name;            /* "damp"; NULL ends the list */
    double def, min, max;        /* of flags: 0 or 1 */
    const char *help;
} lb_method_option;

/* Options as given, checked against the methods of a chain. */
enum { LB_MAX_OPTIONS = 32 };
typedef struct lb_options {
    const char *name[LB_MAX_OPTIONS];    /* borrowed from the methods' lists */
    double value[LB_MAX_OPTIONS];
    int n;
} lb_options;
/* The value given, or the default of that method's option. */
typedef struct lb_method lb_method;
double lb_option(const lb_options *o, const lb_method *m, const char *name);

typedef struct lb_gptq_factor lb_gptq_factor;    /* quant/gptq.h */
struct lb_given;

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
    const lb_options *options;   /* or NULL: defaults */
    const float *row_clip;       /* [n,2] lo and hi factor of each row's range, learned with a transform; goes before
                                  * clip_mse; or NULL */
    const float *h;              /* [k,k] second moment of the input, 2/n·Σ x·xᵀ, symmetric (kern/gram.h), or NULL */
    const float *x;              /* [n_x,k] a sample of inputs, or NULL */
    int n_x;
    float *latent;               /* [n,k] out: the weights before rounding, whose codes on the given grids are the codes;
                                  * holds w, which a solver that rounds w itself leaves; or NULL */
    lb_gptq_opt gptq;
    const lb_gptq_factor *factor;/* of h, made before and shared by the linears of one input; NULL: made from h */
    const struct lb_given *given;/* quant/given.h; NULL: none */
} lb_quant_job;

struct lb_quant_run;             /* quant/run.h */
struct lb_qblock;                /* quant/block.h */
struct lb_config;                /* model/config.h */
struct lb_quantize_opt;          /* quant/quantize.h */

enum {
    LB_NEEDS_HESSIAN = 1 << 0,   /* job.h */
    LB_NEEDS_FLOAT = 1 << 1,     /* the float stream: inputs of the block in the model as it was */
    LB_NEEDS_TARGET = 1 << 2,    /* … and its outputs */
    LB_NEEDS_STREAM = 1 << 3,    /* the inputs of the block behind the quantized ones */
};

struct lb_method {
    const char *name;            /* "rtn" */
    const char *paper;           /* source, for --help and reports */
    const char *about;           /* one line for --help */
    unsigned needs;
    int clip_from_bits;          /* default of --clip: mse for weights of at least so many bits; 0: none */
    const lb_method_option *options;     /* NULL: none */
    bool halves;                 /* goes with the balanced grid (lb_scheme.half) */
    /* Whether the model's sizes and the scheme suit the method; adds to r->online what will run beside the weights. NULL:
     * always, nothing. */
    bool (*check)(struct lb_quant_run *r, lb_err *err);
    /* Bytes that it takes beside what quant/quantize.c counts: an upper bound for the plan; NULL: none to speak of. */
    size_t (*bytes)(const struct lb_config *c, const struct lb_quantize_opt *o);
    /* Transforms: the embedding and the head, once; one block of float weights. NULL where there is nothing to do. */
    bool (*model)(struct lb_quant_run *r, lb_err *err);
    bool (*block)(struct lb_quant_run *r, struct lb_qblock *b, lb_err *err);
    /* Solves one layer: fills *out, whose arrays are allocated for the scheme and the shape. NULL: transforms only. */
    bool (*solve)(const lb_quant_job *job, lb_qmat *out, lb_err *err);
    /* The same for block floats (job->scheme.format), out->tensor_scale being given; NULL: the method does integers only. */
    bool (*solve_fp4)(const lb_quant_job *job, lb_fp4mat *out, lb_err *err);
    /* What the linears that read the same rows share (job->factor), made once from their moment; NULL functions: nothing. */
    lb_gptq_factor *(*share)(const lb_quant_job *job, lb_err *err);
    void (*unshare)(lb_gptq_factor *f);
    /* Solves all linears of a block together (out[i] in the order of lb_qblock_linears; bits 0: not this one). latent:
     * NULL, or for each of them what lb_quant_job.latent is. */
    bool (*solve_block)(struct lb_quant_run *r, struct lb_qblock *b, lb_qmat *out, float *const *latent, lb_err *err);
};

extern const lb_method *const lb_methods[];      /* NULL-terminated */
/* LB_EUSAGE listing the methods if there is none of that name. */
const lb_method *lb_method_find(const char *name, lb_err *err);

/* "smoothquant+gptq": what transforms, in order, then what solves. */
enum { LB_MAX_CHAIN = 4 };
typedef struct lb_chain {
    const lb_method *transform[LB_MAX_CHAIN];
    int n_transform;
    const lb_method *solver;
    unsigned needs;              /* of all of them */
} lb_chain;
bool lb_chain_parse(const char *text, lb_chain *out, lb_err *err);
/* Parses "damp=0.02" against the options of the chain's methods into *o. */
bool lb_options_add(lb_options *o, const lb_chain *c, const char *text, lb_err *err);
#endif
