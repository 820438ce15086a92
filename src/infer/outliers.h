/* infer/outliers.h – how far the largest channels stand out, in a model and in what quantization made of it.
 *
 * A few texts go through each model as it runs. Of every channel c of the rows X that pass a place, and of every input
 * channel of the weights W there, the largest absolute value is kept,
 *
 *     a_c = max_t |X[t,c]|          a_c = max_n |W[n,c]|
 *
 * and of these the quantiles over channels: what a rounding grid has to span (max) against what most channels need
 * (p50). Places of a layer are the inputs of its linear layers, which are what the activation quantizer meets (after
 * the online transform of the input), the weights that meet them (as they are decoded, stacked over the linears of one
 * input), and the keys as they go to the cache. With experts, the rows of all of them together.
 *
 * Maxima do not depend on threads, chunks or the order of texts. Memory: the channels of all layers, a pass of at most
 * 512 tokens, and on a device of its own one weight at a time. */
#ifndef LB_INFER_OUTLIERS_H
#define LB_INFER_OUTLIERS_H
#include "base/json.h"
#include "infer/compare.h"

typedef enum lb_outlier_kind { LB_OUT_ACTIVATIONS, LB_OUT_WEIGHTS, LB_OUT_KEYS } lb_outlier_kind;

/* Quantiles over channels, interpolated between neighbours. */
typedef struct lb_spread {
    double p50, p90, p99, max;
} lb_spread;

typedef struct lb_outlier {
    int layer;
    lb_outlier_kind kind;
    const char *site;                /* "qkv", "o", "mlp", "down" (model/online.h), or "k" of keys */
    lb_spread before, after;         /* in the base; in the quantized model */
} lb_outlier;

typedef struct lb_outliers {
    lb_outlier *p;                   /* [n] by layer, then kind, then site; owned */
    int n;
} lb_outliers;

typedef struct lb_outliers_opt {     /* zero means default in every field */
    const char *kv_base, *kv_quant;  /* KV formats (default: as each model) */
    lb_progress *progress;           /* started by the caller, counts lb_outliers_steps; NULL: silent */
    volatile sig_atomic_t *stop;     /* set by a signal handler: end with LB_ESTOPPED */
} lb_outliers_opt;

/* Texts as for lb_compare, all of each is read. Fails as lb_compare does, with LB_EUSAGE if the models differ in their
 * number of layers, and with LB_ENUMERIC naming model, layer and site for a channel that is not finite. */
bool lb_outliers_run(lb_model *base, lb_model *quant, const lb_text_ids *texts, int n_text, const lb_outliers_opt *o,
                     lb_outliers *out, lb_err *err);
void lb_outliers_free(lb_outliers *x);
int lb_outliers_steps(const lb_model *base, int n_text);
/* outliers.json of study/report.h; `transform` names what was done to the base ("" for nothing but rounding). A new
 * reference, NULL without memory. */
json_t *lb_outliers_json(const lb_outliers *x, const char *transform);
#endif
