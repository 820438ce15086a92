#!/usr/bin/env python3
"""bench_torch_train.py MODEL_DIR N_TOK THREADS STEPS – PyTorch's training step on the CPU, for bench/train_paired.sh.

The model of `lowbit bench train` by transformers: f32, documents of 512 tokens as rows of a batch, cross-entropy, gradient clipping
at 1, AdamW (fused, the fastest that torch has on CPUs). Prints the median seconds of a step."""
import statistics
import sys
import time

import torch
from transformers import AutoModelForCausalLM

path, n_tok, threads, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="sdpa")
model.train()
optim = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
ids = torch.randint(0, model.config.vocab_size, (max(1, n_tok // 512), min(512, n_tok)))
times = []
for i in range(steps + 1):
    t = time.perf_counter()
    loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optim.step()
    optim.zero_grad(set_to_none=False)
    times.append(time.perf_counter() - t)
print(f"{statistics.median(times[1:]):.4f}")
