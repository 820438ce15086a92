/* model/arch.h – architectures as data.
 *
 * An architecture is a row of archs.def: which config keys it reads, which parts its blocks have, what its tensors are
 * called. There is one forward pass (model/forward.c); what differs between families is a flag here. */
#ifndef LB_MODEL_ARCH_H
#define LB_MODEL_ARCH_H
#include "base/err.h"

enum {
    LB_ARCH_QK_NORM = 1 << 0,        /* RMS norm of each query and key head before RoPE */
    LB_ARCH_QKV_BIAS = 1 << 1,       /* biases on q, k, v always (not on o) */
    LB_ARCH_BIAS_KEYS = 1 << 2,      /* attention_bias (q, k, v, o) and mlp_bias are read from the config */
    LB_ARCH_WINDOW_SWITCH = 1 << 3,  /* sliding_window counts only with use_sliding_window */
    LB_ARCH_MOE = 1 << 4,            /* experts; with dense layers in between as the config says */
};

/* Names of tensors without ".weight"/".bias". Block names start with "<layers>.<i>.", expert names with
 * "<experts>.<e>." inside the block. */
typedef struct lb_names {
    const char *embed, *final_norm, *lm_head, *layers;
    const char *attn_norm, *mlp_norm, *q, *k, *v, *o, *q_norm, *k_norm;
    const char *gate, *up, *down;
    const char *router, *experts, *expert_gate, *expert_up, *expert_down;
} lb_names;

typedef struct lb_arch {
    const char *name;                /* model_type in config.json */
    const char *hf_class;            /* "Qwen3ForCausalLM": what an export names */
    unsigned flags;
    const lb_names *names;
    /* Config keys that must be absent, null, false or zero: what they ask for is not done. NULL-terminated or NULL. */
    const char *const *refuse;
} lb_arch;

extern const lb_arch *const lb_archs[];          /* NULL-terminated */
extern const lb_names lb_names_llama;            /* the names that Llama started and most families use */
const lb_arch *lb_arch_find(const char *model_type);
#endif
