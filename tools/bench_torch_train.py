#!/usr/bin/env python3
"""bench_torch_train.py MODEL_DIR N_TOK THREADS STEPS [f32|autocast|medium] – PyTorch's training step on the CPU, for
bench/train_paired.sh.

The model of `lowbit bench train` by transformers: f32 weights, documents of 512 tokens as rows of a batch, cross-entropy, gradient
clipping at 1, AdamW (fused, the fastest that torch has on CPUs). autocast: forward in bf16 where torch thinks it safe;
medium: f32 everywhere, products of f32 matrices in bf16 (torch.set_float32_matmul_precision). Prints the median seconds
of a step."""
import contextlib
import statistics
import sys
import time

import torch
from transformers import AutoModelForCausalLM

path, n_tok, threads, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
how = sys.argv[5] if len(sys.argv) > 5 else "f32"
if how == "medium":
    torch.set_float32_matmul_precision("medium")
cast = torch.autocast("cpu", torch.bfloat16) if how == "autocast" else contextlib.nullcontext()
torch.set_num_threads(threads)
model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="sdpa")
model.train()
optim = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
ids = torch.randint(0, model.config.vocab_size, (max(1, n_tok // 512), min(512, n_tok)))
times = []
for i in range(steps + 1):
    t = time.perf_counter()
    with cast:
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optim.step()
    optim.zero_grad(set_to_none=False)
    times.append(time.perf_counter() - t)
print(f"{statistics.median(times[1:]):.4f}")
