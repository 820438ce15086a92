#!/usr/bin/env python3
"""make_solver_fixtures.py – what the published solvers make of the same layers: GPTQModel, AutoAWQ, hqq.

    python tools/make_solver_fixtures.py [--out tests/golden/data/solver]

Runs from the project root; needs torch, transformers, safetensors, numpy, gptqmodel, autoawq, hqq (never part of the
product). It calls the packages' own classes on one nn.Linear; nothing of theirs is written anew, except that AutoAWQ's
model walk is left out: its search for scales and clips is called on the linear itself, as it does for down_proj.

Each NAME.bin holds one layer and the errors of every method on it:
    "lbsolve1"   i32 n, k, n_x, n_result;  u16 w[n,k] (bf16), u16 x[n_x,k] (bf16)
    results:     char method[16]; i32 bits, group, flags; f64 error
error is mean((x·(Ŵ−W)ᵀ)²) in float64 over all rows of x, of the weights that the package would use. flags: gptq 1 act-order
with static groups, 2 static groups only, 4 clip search (mse 2.4); awq 1 clip; hqq 1 rounded zero points, and its error is
mean |Ŵ−W|^0.7 (its own objective) instead. Versions go to versions.json beside them.
"""
import argparse
import importlib.metadata
import json
import os
import struct
import sys
import types

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer
from gptqmodel.quantization.config import QuantizeConfig
from gptqmodel.quantization.gptq import GPTQ

sys.modules.setdefault("datasets", types.SimpleNamespace(load_dataset=None))   # autoawq imports it for its own calibration data
from awq.quantize.quantizer import AwqQuantizer
from hqq.core.quantize import Quantizer as Hqq

ABACUS = "models/abacus-5m"
N_X = 384
PACKAGES = ("torch", "transformers", "gptqmodel", "autoawq", "hqq")


def bf16(t):
    return t.to(torch.bfloat16).float()


def abacus_layer(module, rows):
    """Real weights, and what the linear reads while the model reads its own benchmark's solutions."""
    model = AutoModelForCausalLM.from_pretrained(ABACUS, dtype=torch.float32, attn_implementation="eager").eval()
    tok = AutoTokenizer.from_pretrained(ABACUS)
    texts = [json.loads(line) for line in open("data/abacus/chain.jsonl")][:40]
    ids = tok("\n\n".join(t["problem"] + "\n" + t["solution"] for t in texts), return_tensors="pt").input_ids[:, :1024]
    seen = []
    lin = model.get_submodule(module)
    hook = lin.register_forward_pre_hook(lambda m, a: seen.append(a[0].detach()[0]))
    with torch.no_grad():
        model(ids)
    hook.remove()
    x = seen[0]
    return bf16(lin.weight.detach()[:rows]), bf16(x[torch.linspace(0, len(x) - 1, N_X).long()])


def drawn_layer(n, k):
    """Columns of very different size that share directions, heavy tails in the weights: the layers that hurt."""
    g = torch.Generator().manual_seed(7)
    mix = torch.randn(24, k, generator=g)
    size = torch.exp(0.8 * torch.randn(k, generator=g))
    size[torch.randperm(k, generator=g)[:4]] *= 20
    x = (torch.randn(N_X, 24, generator=g) @ mix * 0.3 + torch.randn(N_X, k, generator=g)) * size
    w = 0.03 * torch.randn(n, k, generator=g) * (1 + 2 * (torch.rand(n, k, generator=g) < 0.01))
    return bf16(w), bf16(x)


def output_error(w, x, got):
    d = (got.double() - w.double())
    return float(((x.double() @ d.T) ** 2).mean())


def gptq(w, x, bits, group, flags):
    lin = nn.Linear(w.shape[1], w.shape[0], bias=False)
    lin.weight.data = w.clone()
    cfg = QuantizeConfig(bits=bits, group_size=group, sym=False, desc_act=bool(flags & 1), static_groups=bool(flags & 3),
                         act_group_aware=False, damp_percent=0.01, damp_auto_increment=0.0015, mse=2.4 if flags & 4 else 0.0,
                         offload_to_disk=False)
    solver = GPTQ(lin, cfg)
    solver.quantizer.configure(perchannel=True)
    solver.add_batch(x.unsqueeze(0), None)
    got = solver.quantize(blocksize=128)[0].float()
    return output_error(w, x, got)


def awq(w, x, bits, group, flags):
    """AutoAWQ's quantizer without its constructor, which wants a model."""
    q = AwqQuantizer.__new__(AwqQuantizer)
    q.w_bit, q.group_size, q.zero_point, q.duo_scaling = bits, group, True, False
    q.n_parallel_calib_samples, q.max_chunk_memory = None, 1 << 30
    lin = nn.Linear(w.shape[1], w.shape[0], bias=False)
    lin.weight.data = w.clone()
    lin.weight.requires_grad_(False)
    parent = types.SimpleNamespace(named_modules=lambda: [("lin", lin), ("prev", None)])
    _, _, s = q._search_best_scale(parent, None, [lin], x, lin, {})
    w_s, x_s = w * s, x / s
    if flags & 1:
        most = q._compute_best_clip(w_s, x_s)
        shape = w_s.shape
        w_s = w_s.reshape(*most.shape[:2], -1)
        w_s = torch.clamp(w_s, -most, most).reshape(shape)
    got = q.pseudo_quantize_tensor(w_s)[0]
    return output_error(w, x, got / s)


def hqq(w, x, bits, group, flags):
    codes, meta = Hqq.quantize(w, nbits=bits, group_size=group, axis=1, round_zero=bool(flags & 1), bitpack=False,
                               device="cpu")
    got = ((codes.float().reshape(-1, group) - meta["zero"]) * meta["scale"]).reshape(w.shape)
    return float((got.double() - w.double()).abs().pow(0.7).mean())


CASES = [("gptq", gptq, b, g, f) for b, g, f in
         ((4, 128, 5), (3, 128, 5), (2, 128, 5), (3, 64, 6), (4, 128, 0), (2, 32, 4))]
CASES += [("awq", awq, b, g, f) for b, g, f in ((4, 128, 1), (3, 128, 1), (3, 64, 0), (2, 64, 1))]
CASES += [("hqq", hqq, b, g, 0) for b, g in ((4, 64), (3, 64), (2, 64))]


def words(t):
    return (t.to(torch.bfloat16).view(torch.int16).numpy().astype("<i2")).tobytes()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--out", default="tests/golden/data/solver")
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    torch.set_num_threads(1)
    layers = {"abacus-gate": abacus_layer("model.layers.2.mlp.gate_proj", 128),
              "abacus-v": abacus_layer("model.layers.4.self_attn.v_proj", 128), "drawn": drawn_layer(128, 256)}
    for name, (w, x) in layers.items():
        out = [b"lbsolve1", struct.pack("<4i", *w.shape, len(x), len(CASES)), words(w), words(x)]
        for method, fn, bits, group, flags in CASES:
            with torch.no_grad():
                error = fn(w, x, bits, group, flags)
            print(f"{name:12} {method:5} w{bits}g{group} flags {flags}: {error:.6g}")
            assert np.isfinite(error) and error > 0
            out.append(struct.pack("<16s3id", method.encode(), bits, group, flags, error))
        with open(f"{a.out}/{name}.bin", "wb") as f:
            f.write(b"".join(out))
    with open(f"{a.out}/versions.json", "w") as f:
        json.dump({n: importlib.metadata.version(n) for n in PACKAGES}, f, indent=2)
        f.write("\n")


if __name__ == "__main__":
    main()
