#!/usr/bin/env python3
"""bench_gptqmodel.py – what bench/gptq_paired.sh needs from Python: a model folder in a real block shape, and GPTQModel's time
and peak memory on it.

    bench_gptqmodel.py make DIR TOKENIZER_DIR LAYERS     Qwen3-0.6B's blocks with random bf16 weights, LAYERS of them
    bench_gptqmodel.py run  DIR BITS NSEQ LEN            quantizes by GPTQModel on the CPU; prints 'seconds peak_mb'

Needs torch, transformers and gptqmodel. Written for gptqmodel 7.7.0, transformers 5.
"""
import json
import os
import resource
import shutil
import sys
import time

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")  # its default of one is refused by its own pool


def make(folder, tokenizer, layers):
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    vocab = json.load(open(os.path.join(tokenizer, "config.json")))["vocab_size"]
    torch.manual_seed(0)
    config = Qwen3Config(hidden_size=1024, intermediate_size=3072, num_hidden_layers=layers, num_attention_heads=16,
                         num_key_value_heads=8, head_dim=128, vocab_size=vocab, tie_word_embeddings=True,
                         max_position_embeddings=4096, rope_theta=1e6)
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(os.path.join(tokenizer, name), folder)


def run(folder, bits, n_seq, length):
    import torch
    from gptqmodel import GPTQModel, QuantizeConfig

    vocab = json.load(open(os.path.join(folder, "config.json")))["vocab_size"]
    ids = torch.randint(0, vocab // 2, (n_seq, length), generator=torch.Generator().manual_seed(1)).tolist()
    data = [{"input_ids": row, "attention_mask": [1] * length} for row in ids]
    config = QuantizeConfig(bits=bits, group_size=128, sym=False, desc_act=True, static_groups=True, mse=2.4)
    model = GPTQModel.load(folder, config, device="cpu")
    start = time.time()
    model.quantize(data, batch_size=4)
    seconds = time.time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{seconds:.1f} {peak:.0f}")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        run(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
