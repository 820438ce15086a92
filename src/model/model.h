/* model/model.h – a model: config, weights bound to their places, one forward pass for all architectures.
 *
 * Weights of float formats are used in place from the mapped files; quantized ones are packed once, at open, into the
 * layout that the kernels stream. Works on token ids; texts are somebody else's business. */
#ifndef LB_MODEL_MODEL_H
#define LB_MODEL_MODEL_H
#include "base/hash.h"
#include "model/config.h"
#include "model/kv.h"
#include "model/linear.h"
#include "model/online.h"
#include "store/ct_config.h"
#include "store/store.h"

typedef struct lb_expert {
    lb_linear gate, up, down;
} lb_expert;

typedef struct lb_layer {
    const float *attn_norm, *mlp_norm;       /* [d_model] */
    const float *q_norm, *k_norm;            /* [d_head], or NULL */
    const lb_transform *q_rope, *k_rope;     /* of each head after RoPE, or NULL */
    const float *k_range;                    /* [2, n_kv·d_head] lowest and highest key of a channel, or NULL; host */
    lb_linear q, k, v, o;
    lb_linear gate, up, down;                /* dense MLP; zero in an expert layer */
    lb_linear router;                        /* [n_expert, d_model]; zero in a dense layer */
    lb_expert *experts;                      /* [n_expert], owned; NULL in a dense layer */
} lb_layer;

/* Memory that is released together. */
typedef struct lb_blocks {
    void **p;                                /* [n], owned */
    size_t n, cap;
} lb_blocks;

typedef struct lb_model {
    lb_config cfg;
    lb_exec *ex;                             /* borrowed */
    lb_store *store;                         /* owned */
    char *dir;                               /* owned */
    lb_mat embed;
    lb_linear lm_head;
    const float *final_norm, *inv_freq;      /* device */
    lb_layer *layers;                        /* [n_layer], owned */
    lb_blocks blocks;                        /* host memory made at open: converted norms, packed weights */
    double bpw;                              /* average bits per weight of the block linears */
    lb_online online;                        /* what it does beside reading weights */
} lb_model;

/* Opens a Hugging Face folder on ex. Errors name the file, the tensor, what was found and what config.json wants. */
lb_model *lb_model_open(const char *dir, lb_exec *ex, lb_err *err);
void lb_model_close(lb_model *m);

/* Binds one layer anew: tensors of `over` go before those of the model's own files, and ct (NULL: nothing is quantized)
 * and online say how to read them; what the binding allocates goes to *own. The layer as it was is gone, whatever the
 * result. For calibration: a finished layer runs from the file it was written to. */
bool lb_model_rebind(lb_model *m, int layer, const lb_store *over, const lb_ct_config *ct, const lb_online *online,
                     lb_blocks *own, lb_err *err);
void lb_blocks_free(lb_blocks *b);

/* How m keeps its KV cache: as `asked` says (a name of model/kv.h), or as the model's own files say, or at its own 16
 * or 32 bits. asked may be NULL or "". */
bool lb_model_kv_spec(const lb_model *m, const char *asked, lb_kv_spec *out, lb_err *err);
/* A cache for m, with the ranges of its layers. LB_EUSAGE if the spec does not go with the model. */
lb_kv *lb_model_kv_open(const lb_model *m, const lb_kv_spec *s, const lb_kv_room *room, lb_err *err);

/* Calls fn for each linear layer inside the blocks, in order of layers, with its module name
 * ("model.layers.0.self_attn.q_proj") and shape: what quantization methods rewrite. Stops at the first false. The
 * router of an expert layer is not among them. */
typedef bool (*lb_linear_fn)(void *arg, const char *name, int layer, int n, int k, lb_err *err);
bool lb_config_linears(const lb_config *c, lb_linear_fn fn, void *arg, lb_err *err);
#endif
