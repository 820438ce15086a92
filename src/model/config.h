/* model/config.h – config.json and generation_config.json, checked.
 *
 * What a config asks for and lowbit does not do (a sliding window in use, an unknown rope type or activation) is
 * LB_EUNSUPPORTED and names the key. */
#ifndef LB_MODEL_CONFIG_H
#define LB_MODEL_CONFIG_H
#include "base/json.h"
#include "model/arch.h"
#include "model/rope.h"
#include "num/dtype.h"

typedef struct lb_config {
    const lb_arch *arch;
    int d_model, n_layer, n_head, n_kv, d_head, d_ff, n_vocab;
    int n_ctx;                   /* max_position_embeddings: the longest sequence the model was made for */
    float norm_eps;
    bool tied;                   /* lm_head is the embedding */
    bool qkv_bias, o_bias, mlp_bias;
    lb_dtype dtype;              /* of the weights as the config states it */
    lb_rope_spec rope;
    int n_expert, n_expert_used, d_expert;   /* 0 experts: dense */
    bool norm_topk;
    bool *dense_layer;           /* [n_layer], owned; true: a dense MLP although the model has experts; NULL if dense */
} lb_config;

/* The longest sequence: n_ctx, or what yarn stretches the original context to where that is longer. */
int lb_config_ctx(const lb_config *c);
bool lb_config_parse(lb_config *c, const json_t *json, const char *where, lb_err *err);
bool lb_config_load(lb_config *c, const char *model_dir, lb_err *err);
void lb_config_free(lb_config *c);
static inline bool lb_config_is_moe_layer(const lb_config *c, int layer)
{
    return c->n_expert > 0 && !(c->dense_layer && c->dense_layer[layer]);
}

/* generation_config.json: how the model's makers sample it. Fields that are absent keep their defaults. */
typedef struct lb_gen_config {
    bool sample;                 /* do_sample; false: greedy */
    float temperature, top_p, min_p, repetition_penalty;
    int top_k;                   /* 0: off */
    int eos[16], n_eos;          /* stop tokens; from config.json if generation_config.json has none */
    int bos;                     /* −1 if there is none */
} lb_gen_config;

/* As transformers has it: greedy; temperature 1 and nothing filtered where only do_sample is given. */
static inline lb_gen_config lb_gen_config_default(void)
{
    return (lb_gen_config){.temperature = 1, .top_p = 1, .repetition_penalty = 1, .bos = -1};
}
/* Lays the fields of a parsed generation_config.json over *g. */
bool lb_gen_config_parse(lb_gen_config *g, const json_t *json, int n_vocab, const char *where, lb_err *err);
/* A folder without the file gives the defaults. */
bool lb_gen_config_load(lb_gen_config *g, const char *model_dir, const lb_config *c, lb_err *err);
#endif
