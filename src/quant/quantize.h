/* quant/quantize.h – a model folder in, a quantized model folder out.
 *
 * The output is an ordinary Hugging Face folder in the compressed-tensors pack-quantized layout, complete with
 * tokenizer, template and generation config. It appears under its name whole or not at all. After writing it is read
 * back and every code, scale and zero point is compared with what the method gave. */
#ifndef LB_QUANT_QUANTIZE_H
#define LB_QUANT_QUANTIZE_H
#include "base/progress.h"
#include "quant/method.h"

/* Layers whose module name matches a regex (PCRE2, searched in the name) get a scheme of their own. */
typedef struct lb_tensor_rule {
    const char *pattern;
    lb_scheme scheme;                /* w_bits 16: left alone */
} lb_tensor_rule;

typedef struct lb_quantize_opt {
    const lb_method *method;
    lb_scheme scheme;                /* of every linear layer inside the blocks */
    const lb_tensor_rule *rules;     /* [n_rule], first match wins; may also name "lm_head"; borrowed */
    int n_rule;
    bool clip_mse;
    lb_progress *progress;           /* started by the caller; NULL: silent */
    volatile const int *stop;        /* nonzero: stop with LB_ESTOPPED; NULL: never */
} lb_quantize_opt;

typedef struct lb_quantize_report {
    int n_linear;                    /* layers quantized */
    double bits_per_weight;          /* of those layers, scales and zero points counted, in the file */
    double mse_rel;                  /* mean of ‖ŵ−w‖²/‖w‖² over the layers */
    double bytes_in, bytes_out;      /* tensor bytes of the two folders */
} lb_quantize_report;

/* LB_EUSAGE if out_dir is the input or exists, LB_ENUMERIC naming tensor and index for NaN or infinite weights,
 * LB_EVERIFY if what was read back differs. */
bool lb_quantize(const char *model_dir, const char *out_dir, const lb_quantize_opt *o, lb_exec *ex,
                 lb_quantize_report *report, lb_err *err);

/* What --dry-run prints: fn is called for each linear layer with the scheme it would get. */
bool lb_quantize_plan(const char *model_dir, const lb_quantize_opt *o,
                      bool (*fn)(void *arg, const char *module, int n, int k, const lb_scheme *s), void *arg,
                      lb_err *err);
#endif
