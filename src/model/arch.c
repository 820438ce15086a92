/* model/arch.c – the list of architectures. */
#include "model/arch.h"
#include <string.h>

#define LB_ARCH(m) extern const lb_arch lb_arch_##m;
#include "model/archs.def"
#undef LB_ARCH
#define LB_ARCH(m) &lb_arch_##m,
const lb_arch *const lb_archs[] = {
#include "model/archs.def"
    NULL};

const lb_names lb_names_llama = {
    .embed = "model.embed_tokens",
    .final_norm = "model.norm",
    .lm_head = "lm_head",
    .layers = "model.layers",
    .attn_norm = "input_layernorm",
    .mlp_norm = "post_attention_layernorm",
    .q = "self_attn.q_proj",
    .k = "self_attn.k_proj",
    .v = "self_attn.v_proj",
    .o = "self_attn.o_proj",
    .q_norm = "self_attn.q_norm",
    .k_norm = "self_attn.k_norm",
    .gate = "mlp.gate_proj",
    .up = "mlp.up_proj",
    .down = "mlp.down_proj",
    .router = "mlp.gate",
    .experts = "mlp.experts",
    .expert_gate = "gate_proj",
    .expert_up = "up_proj",
    .expert_down = "down_proj",
};

const lb_arch *lb_arch_find(const char *model_type)
{
    for (int i = 0; lb_archs[i]; i++)
        if (strcmp(lb_archs[i]->name, model_type) == 0) return lb_archs[i];
    return NULL;
}
