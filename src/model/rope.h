/* model/rope.h – rotary position embedding: which frequencies a config means. */
#ifndef LB_MODEL_ROPE_H
#define LB_MODEL_ROPE_H
#include "base/json.h"

typedef enum lb_rope_type { LB_ROPE_DEFAULT, LB_ROPE_LINEAR, LB_ROPE_LLAMA3, LB_ROPE_YARN } lb_rope_type;

typedef struct lb_rope_spec {
    lb_rope_type type;
    double theta;                            /* base */
    double factor;                           /* linear, llama3, yarn */
    double low_freq, high_freq;              /* llama3 */
    double beta_fast, beta_slow;             /* yarn */
    double attention_factor;                 /* yarn: multiplies cos and sin; 1 otherwise */
    double n_ctx_original;                   /* llama3, yarn */
    bool truncate;                           /* yarn: whole-numbered correction range */
} lb_rope_spec;

/* Reads rope_parameters (transformers 5), or rope_theta and rope_scaling (before). */
bool lb_rope_parse(lb_rope_spec *r, const json_t *config, int n_ctx, const char *where, lb_err *err);
/* inv_freq[d_head/2]; d_head is even. Sources: linear, llama3: transformers' modeling_rope_utils; yarn: arXiv
 * 2309.00071. */
void lb_rope_inv_freq(const lb_rope_spec *r, int d_head, float *inv_freq);
#endif
