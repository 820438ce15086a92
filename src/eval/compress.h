/* eval/compress.h – a quantization as people and recipes state it: names, schemes and texts, not structs and token ids.
 *
 * What `lowbit quantize`, a study and the C API share: parses the chain of methods, their options, the scheme and the
 * rules, makes calibration windows of the chosen texts with the model's tokenizer, and calls quant/quantize.h. */
#ifndef LB_EVAL_COMPRESS_H
#define LB_EVAL_COMPRESS_H
#include "eval/calib_text.h"
#include "quant/allocate.h"
#include "quant/quantize.h"

enum { LB_COMPRESS_LIST = 1024 };         /* a rule for every linear layer of 146 dense blocks */
typedef struct lb_compress_spec {    /* zero means default in every field; strings are borrowed */
    const char *method;              /* "gptq", "smoothquant+gptq" (default rtn) */
    const char *scheme;              /* "w3g128" */
    const char *kv; /* KV cache format of the output: "kv4-kvquant"; default: the scheme's bits per token */
    const char *clip;                /* "none", "mse"; default: the method's */
    double act_clip;                 /* shrink of the activations' range */
    const char *tensor[LB_COMPRESS_LIST];    /* "REGEX=SCHEME", first match wins */
    int n_tensor;
    const char *opt[LB_COMPRESS_LIST];       /* "damp=0.02" */
    int n_opt;
    bool save_latent;
    double target_bpw; /* 0: no budget; else bits per weight of the blocks, scales counted: layers get 2, 3, 4
                          or 8 bits in the scheme's groups, rules go before; wants calib */
    lb_calib_spec calib;             /* source NULL: none */
} lb_compress_spec;

/* The spec in the terms of quant/; owned things are released by lb_compress_free, also after a failure. */
typedef struct lb_compress {
    lb_quantize_opt opt;             /* without calibration until lb_compress_run */
    lb_tensor_rule rules[LB_COMPRESS_LIST];
    char *patterns[LB_COMPRESS_LIST];        /* owned */
    double target_bpw;
    lb_tensor_rule *mixed; /* owned: the given rules and those of the budget, once lb_compress_mix has found them */
    char (*mixed_patterns)[LB_PATTERN_TEXT]; /* owned */
    lb_calib_spec calib;
    bool wants_calib;                /* the methods, the KV format or the bits to share out need data */
} lb_compress;

bool lb_compress_parse(lb_compress *c, const lb_compress_spec *s, lb_err *err);
void lb_compress_free(lb_compress *c);
/* Shares a budget of bits out among the layers by their sensitivity (eval/sensitivity.h), measured on up to 8 windows
 * of 512 tokens of the calibration data; the rules are then in c->opt. Nothing without a budget, or when it was done
 * already; lb_compress_run does it. LB_EUSAGE if the budget is too small or there is no calibration data. */
bool lb_compress_mix(lb_compress *c, const char *model_dir, lb_exec *ex, lb_err *err);
/* model_dir to out_dir. LB_EUSAGE if calibration is needed and none is named. c->opt.progress and .stop may be set
 * before; progress counts linear layers. */
bool lb_compress_run(lb_compress *c, const char *model_dir, const char *out_dir, lb_exec *ex,
                     lb_quantize_report *report, lb_err *err);
/* Linear layers that will be quantized: for a progress bar. */
bool lb_compress_count(const lb_compress *c, const char *model_dir, int *n, lb_err *err);
#endif
