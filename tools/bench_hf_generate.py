#!/usr/bin/env python3
"""bench_hf_generate.py MODEL_DIR PROMPTS.jsonl N BATCH THREADS – tokens per second of transformers' generate, for bench/rollout_paired.sh.

The first N problems, rendered by the model's template, left-padded in batches, bf16 and f32 (the faster of both counts), temperature 1,
at most 512 new tokens. Counts the tokens up to each answer's end. Prints tokens per second."""
import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

path, prompts, n, batch, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
torch.set_num_threads(threads)
torch.manual_seed(0)
tok = AutoTokenizer.from_pretrained(path, padding_side="left")
rows = [json.loads(l) for _, l in zip(range(n), open(prompts))]
texts = [tok.apply_chat_template([{"role": "user", "content": r["problem"]}], tokenize=False, add_generation_prompt=True) for r in rows]
best = 0.0
for dtype in (torch.float32, torch.bfloat16):
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval()
    end = model.generation_config.eos_token_id
    ends = torch.tensor(end if isinstance(end, list) else [end])
    count, t = 0, time.perf_counter()
    for i in range(0, n, batch):
        x = tok(texts[i:i + batch], return_tensors="pt", padding=True)
        with torch.inference_mode():
            y = model.generate(**x, do_sample=True, temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=512)
        for row in y[:, x.input_ids.shape[1]:]:
            hit = torch.isin(row, ends).nonzero()
            count += int(hit[0]) + 1 if len(hit) else len(row)
    best = max(best, count / (time.perf_counter() - t))
print(f"{best:.1f}")
