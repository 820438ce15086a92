/* model/qwen3.c – Qwen3 dense: Llama's block with normalized query and key heads. */
#include "model/arch.h"

const lb_arch lb_arch_qwen3 = {
    .name = "qwen3", .hf_class = "Qwen3ForCausalLM", .names = &lb_names_llama,
    .flags = LB_ARCH_QK_NORM | LB_ARCH_BIAS_KEYS | LB_ARCH_WINDOW_SWITCH,
};
