/* model/qwen2.c – Qwen2, Qwen2.5, QwQ and R1-Distill-Qwen: Llama's block with biases on q, k and v. */
#include "model/arch.h"

const lb_arch lb_arch_qwen2 = {
    .name = "qwen2", .hf_class = "Qwen2ForCausalLM", .names = &lb_names_llama,
    .flags = LB_ARCH_QKV_BIAS | LB_ARCH_WINDOW_SWITCH,
};
