/* quant/quantize.h – a model folder in, a quantized model folder out.
 *
 * The output is an ordinary Hugging Face folder, complete with tokenizer, template and generation config: compressed-tensors
 * pack-quantized where that says everything, else the same tensors with a "lowbit" object in config.json (model/online.h).
 * It appears under its name whole or not at all. After writing it is read back and every code, scale and zero point is
 * compared with what the method gave; lowbit-quantize.json in it keeps their hashes, the settings and each layer's error.
 *
 * Layer by layer: a finished layer is a file in OUT.partial, and a run that was killed goes on behind the last one and ends
 * in the same bytes. Memory does not grow with the number of layers. */
#ifndef LB_QUANT_QUANTIZE_H
#define LB_QUANT_QUANTIZE_H
#include "base/progress.h"
#include "quant/method.h"

/* Layers whose module name matches a regex (PCRE2, searched in the name) get a scheme of their own. */
typedef struct lb_tensor_rule {
    const char *pattern;
    lb_scheme scheme;                /* w_bits 16: left alone */
} lb_tensor_rule;

typedef enum lb_clip_how { LB_CLIP_DEFAULT, LB_CLIP_NONE, LB_CLIP_MSE } lb_clip_how;

typedef struct lb_quantize_opt {
    lb_chain chain;
    lb_options options;
    lb_scheme scheme;                /* of every linear layer inside the blocks, of activations and the KV cache */
    const char *kv;                  /* name of the KV cache format of the output ("kv4-kvquant"); NULL: the scheme's bits,
                                        per token and head */
    float act_clip;                  /* shrink of the activations' range; 0: 1, or what the method asks for */
    const lb_tensor_rule *rules;     /* [n_rule], first match wins; may also name "lm_head"; borrowed */
    int n_rule;
    lb_clip_how clip;                    /* of weight ranges */
    bool save_latent;                /* keep the weights as they were when they were rounded, in
                                        OUT/latent.safetensors */
    const int *calib;                /* [n_seq, seqlen] token ids, or NULL; borrowed */
    int n_seq, seqlen;
    const struct lb_given *given;    /* what chain lb_given_chain() stores; NULL with every other chain; borrowed */
    const char *calib_name;          /* where they come from, for the record; NULL: unknown */
    lb_progress *progress;           /* started by the caller; counts linear layers; NULL: silent */
    volatile const int *stop;        /* nonzero: stop with LB_ESTOPPED; NULL: never */
} lb_quantize_opt;

typedef struct lb_quantize_report {
    int n_linear;                    /* layers quantized */
    int n_reused;                    /* blocks that an earlier run had finished */
    double bits_per_weight;          /* of those layers, scales and zero points counted, in the file */
    double mse_rel;                  /* mean of ‖ŵ−w‖²/‖w‖² over the layers, w after transforms */
    double bytes_in, bytes_out;      /* tensor bytes of the two folders */
} lb_quantize_report;

/* LB_EUSAGE if out_dir is the input or exists, or a method needs calibration and there is none; LB_ENUMERIC naming tensor
 * and index for NaN or infinite weights; LB_ENOMEM before any work if the plan does not fit; LB_EVERIFY if what was read
 * back differs. What finished layers there are stays in OUT.partial, except for methods without calibration, which are done
 * again in seconds. */
bool lb_quantize(const char *model_dir, const char *out_dir, const lb_quantize_opt *o, lb_exec *ex,
                 lb_quantize_report *report, lb_err *err);

/* What --dry-run prints: fn is called for each linear layer with the scheme it would get. */
bool lb_quantize_plan(const char *model_dir, const lb_quantize_opt *o,
                      bool (*fn)(void *arg, const char *module, int n, int k, const lb_scheme *s), void *arg,
                      lb_err *err);

/* Memory of a run in bytes, beside the mapped model, by what takes it. */
typedef struct lb_quantize_memory {
    double streams;                  /* hidden states of all calibration tokens */
    double pass;                     /* one pass of the forward, with its KV cache */
    double block;                    /* float weights of a block, moments, codes */
    double total, available;         /* available: 0 if the system does not say */
} lb_quantize_memory;
bool lb_quantize_memory_plan(const char *model_dir, const lb_quantize_opt *o, lb_quantize_memory *out, lb_err *err);
#endif
