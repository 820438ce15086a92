#!/usr/bin/env python3
"""train_fixtures.py – golden training of whole tiny models, from PyTorch.

    python tools/train_fixtures.py [--out tests/golden/data/train]

Runs from the project root; needs torch, transformers 5.x, numpy (never part of the product). Everything is computed in
float64 (norms, softmax and router too, which transformers does in float32 otherwise) from the tiny models of
tests/golden/data/models; every document runs by itself, so that packing is tested by its absence here.

NAME.bin: "lbtrain1", i32 n_array; for each array: char name[80], i32 n, f32 data[n]. Little-endian.
  ids, target, weight [n_tok], begin [n_doc+1]   documents; loss = Σ weight·CE / Σ weight
  lr.factor [STEPS]       warm-up, stable, decay, as arXiv:2404.06395 has it
  loss, norm [STEPS]      before each step: the loss, and the norm of all gradients before they are clipped to CLIP
  for each tensor T of the model, a matrix [n,k] (vectors: [1,n]):
      g.r.T = cos(0…n−1)·G, g.c.T = G·cos(0…k−1)     G: gradient of the first loss
      d.r.T, d.c.T                                   the same of (weights after STEPS steps of AdamW − weights before)
"""
import argparse
import os
import zlib

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

MODELS = "tests/golden/data/models"
NAMES = ("qwen3", "qwen2", "qwen3_moe", "llama-f16")
LENGTHS = (9, 1, 14, 6)
STEPS, WARMUP, DECAY, LAST = 20, 4, 6, 0.1
LR, BETAS, EPS, WEIGHT_DECAY, CLIP = 1e-3, (0.9, 0.95), 1e-8, 0.1, 0.5


def everything_in_double():
    softmax = F.softmax
    F.softmax = lambda x, dim=None, dtype=None, **kw: softmax(x, dim=dim)
    torch.nn.functional.softmax = F.softmax


def double_norms(model):
    for m in model.modules():
        if type(m).__name__.endswith("RMSNorm"):
            eps = m.variance_epsilon
            m.forward = lambda x, m=m, eps=eps: m.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def factor(step):
    if step < WARMUP:
        return (step + 1) / WARMUP
    if step < STEPS - DECAY:
        return 1.0
    return 1 + (LAST - 1) * (step - (STEPS - DECAY)) / DECAY


def loss_of(model, docs):
    total, weights = 0.0, 0.0
    for ids, target, weight in docs:
        logits = model(input_ids=ids[None]).logits[0].double()
        ce = F.cross_entropy(logits, target, reduction="none")
        total, weights = total + (weight * ce).sum(), weights + weight.sum()
    return total / weights


def projections(out, kind, name, g):
    g = g.detach()
    g = g.reshape(1, -1) if g.dim() == 1 else g
    out[f"{kind}.r.{name}"] = torch.cos(torch.arange(g.shape[0]).double()) @ g
    out[f"{kind}.c.{name}"] = g @ torch.cos(torch.arange(g.shape[1]).double())


def per_tensor(out, kind, name, g):
    """transformers 5 keeps experts in one tensor; the files have one for each."""
    if name.endswith("experts.gate_up_proj"):
        base, half = name[: -len("gate_up_proj")], g.shape[1] // 2
        for e in range(g.shape[0]):
            projections(out, kind, f"{base}{e}.gate_proj.weight", g[e, :half])
            projections(out, kind, f"{base}{e}.up_proj.weight", g[e, half:])
    elif name.endswith("experts.down_proj"):
        for e in range(g.shape[0]):
            projections(out, kind, f"{name[: -len('down_proj')]}{e}.down_proj.weight", g[e])
    else:
        projections(out, kind, name, g)


class Margin:
    """How close the router came to choosing other experts."""
    def __init__(self, model, used):
        self.least, self.used = 1.0, used
        for n, m in model.named_modules():
            if n.endswith("mlp.gate"):
                m.register_forward_hook(self.look)

    def look(self, module, inputs, output):
        logits = inputs[0].reshape(-1, inputs[0].shape[-1]) @ module.weight.T
        top = torch.softmax(logits, -1).sort(-1, descending=True).values
        self.least = min(self.least, float((top[:, self.used - 1] - top[:, self.used]).min()))


def train(name, salt):
    model = AutoModelForCausalLM.from_pretrained(f"{MODELS}/{name}", dtype=torch.float64, attn_implementation="eager",
                                                 experts_implementation="eager")
    model.train()
    double_norms(model)
    margin = Margin(model, getattr(model.config, "num_experts_per_tok", 0)) if "moe" in name else None
    r = np.random.default_rng([zlib.crc32(name.encode()), salt])
    docs = []
    for n in LENGTHS:
        weight = r.choice([0.0, 0.5, 1.0], n)
        weight[-1] = 1.0
        docs.append((torch.tensor(r.integers(0, model.config.vocab_size, n)),
                     torch.tensor(r.integers(0, model.config.vocab_size, n)), torch.tensor(weight)))
    out = {"ids": torch.cat([d[0] for d in docs]), "target": torch.cat([d[1] for d in docs]),
           "weight": torch.cat([d[2] for d in docs]), "begin": np.cumsum((0,) + LENGTHS),
           "lr.factor": [factor(s) for s in range(STEPS)]}
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    opt = torch.optim.AdamW(model.parameters(), lr=LR, betas=BETAS, eps=EPS, weight_decay=WEIGHT_DECAY)
    losses, norms = [], []
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = LR * factor(step)
        opt.zero_grad()
        loss = loss_of(model, docs)
        loss.backward()
        if step == 0:
            for n, p in model.named_parameters():
                per_tensor(out, "g", n, p.grad if p.grad is not None else torch.zeros_like(p))
        losses.append(loss.item())
        for p in model.parameters():
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)))
        opt.step()
    for n, p in model.named_parameters():
        per_tensor(out, "d", n, p.detach() - before[n])
    out["loss"], out["norm"] = losses, norms
    return out, margin.least if margin else 1.0


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", default="tests/golden/data/train")
    path = ap.parse_args().out
    os.makedirs(path, exist_ok=True)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    everything_in_double()
    for name in NAMES:
        for salt in range(100):
            out, margin = train(name, salt)
            if margin > 1e-5:
                break
        else:
            raise SystemExit(f"{name}: no documents whose choice of experts is clear")
        with open(f"{path}/{name}.bin", "wb") as f:
            f.write(b"lbtrain1")
            np.array([len(out)], "<i4").tofile(f)
            for n, a in out.items():
                a = np.asarray(a.detach() if torch.is_tensor(a) else a, dtype="<f4").ravel()
                assert len(n) < 80
                f.write(n.encode().ljust(80, b"\0"))
                np.array([a.size], "<i4").tofile(f)
                a.tofile(f)
        print(f"{name:12} loss {out['loss'][0]:.4f} → {out['loss'][-1]:.4f}  norm {out['norm'][0]:.3f}  draw {salt} "
              f"margin {margin:.1e}")


if __name__ == "__main__":
    main()
