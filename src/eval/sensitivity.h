/* eval/sensitivity.h – which linear layer hurts how much when it alone is quantized: KL on calibration windows.
 *
 * For each block, each kind of linear layer (q, k, v, o, gate, up, down; the experts of a block together) and each
 * scheme, the weights are rounded to nearest, packed as they would run, and the distribution at every position is
 * compared with the unquantized model's (infer/compare.h). Blocks below the changed one are not run again, so a sweep
 * costs about kinds × schemes × layers / 2 passes over the windows. The sum of these KLs over a mixed assignment
 * estimates its damage: what quant/allocate.h minimizes. */
#ifndef LB_EVAL_SENSITIVITY_H
#define LB_EVAL_SENSITIVITY_H
#include "base/progress.h"
#include "infer/compare.h"
#include "model/kind.h"
#include "quant/allocate.h"
#include "quant/quantize.h"
#include <signal.h>

enum { LB_SENS_SCHEMES = 8 };

typedef struct lb_sens_opt {
    lb_scheme schemes[LB_SENS_SCHEMES];  /* integer weights; activation and KV bits play no part */
    int n_scheme;
    bool clip_mse;                   /* search the clipping range of each group */
    lb_progress *progress;           /* started by the caller, counts lb_sens_count(); NULL: silent */
    volatile sig_atomic_t *stop;     /* set by a signal handler: end with LB_ESTOPPED */
} lb_sens_opt;

/* One kind of one block. */
typedef struct lb_sens_part {
    int layer;
    lb_kind kind;
    int64_t n_weight;
    lb_mean kl[LB_SENS_SCHEMES];     /* nats per position; standard error by window */
    int64_t bits[LB_SENS_SCHEMES];   /* in the file */
} lb_sens_part;

typedef struct lb_sens_result {
    lb_sens_part *p;                 /* [n_layer · LB_N_KIND] in that order, owned */
    int n, n_layer, n_scheme;
    int64_t n_pos;
    lb_scheme schemes[LB_SENS_SCHEMES];
} lb_sens_result;

int lb_sens_count(const lb_config *c, const lb_sens_opt *o);
/* windows [n_seq, n_tok], ids as lb_calib_load gives them. m is unchanged afterwards. LB_EUSAGE if the model is
 * quantized already, or a group is longer than a row; LB_ENUMERIC naming the position if logits are not finite. */
bool lb_sens_run(lb_model *m, const int *windows, int n_seq, int n_tok, const lb_sens_opt *o, lb_sens_result *out,
                 lb_err *err);
void lb_sens_free(lb_sens_result *r);

/* The assignment of least summed KL within target_bpw bits per weight of the block linears, as rules for lb_quantize:
 * *rules is [r->n], with patterns in *patterns; the caller frees both. Measured KLs that do not fall with the bits are
 * taken as they are. `out` may be NULL. */
bool lb_sens_rules(const lb_sens_result *r, const lb_config *c, double target_bpw, lb_tensor_rule **rules,
                   char (**patterns)[LB_PATTERN_TEXT], lb_allocation *out, lb_err *err);
#endif
