/* model/llama.c – Llama 2, 3.x and R1-Distill-Llama. */
#include "model/arch.h"

const lb_arch lb_arch_llama = {
    .name = "llama", .hf_class = "LlamaForCausalLM", .names = &lb_names_llama,
    .flags = LB_ARCH_BIAS_KEYS,
};
