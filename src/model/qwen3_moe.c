/* model/qwen3_moe.c – Qwen3 mixture of experts: softmax router, top-k experts, dense layers where the config says. */
#include "model/arch.h"

static const char *const refuse[] = {"shared_expert_intermediate_size", "n_shared_experts", NULL};

const lb_arch lb_arch_qwen3_moe = {
    .name = "qwen3_moe", .hf_class = "Qwen3MoeForCausalLM", .names = &lb_names_llama, .refuse = refuse,
    .flags = LB_ARCH_QK_NORM | LB_ARCH_BIAS_KEYS | LB_ARCH_WINDOW_SWITCH | LB_ARCH_MOE,
};
