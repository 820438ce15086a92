#!/usr/bin/env python3
"""make_grad_fixtures.py – golden gradients of transformer blocks, from PyTorch's autograd.

    python tools/make_grad_fixtures.py [--out tests/golden/data/grad]

Runs from the project root; needs torch, transformers 5.x, numpy (never part of the product). Everything is computed in
float64 from the tiny models of tests/golden/data/models and stored as float32; seeds are fixed by name.

NAME.bin: "lbgrad01", i32 n_seq, i32 len, i32 n_array; for each array: char name[24], i32 n, f32 data[n]. Little-endian.
  float block of a model (its first layer, written out here and compared with transformers' own, which goes through
  float32 in norms and softmax: gradients agree to 1e-5):
      x, t [n_seq·len, d_model], y = block(x), loss = mean (y−t)², dx, d.attn_norm, d.mlp_norm, and for each linear
      layer its weight's gradient G through two projections: r.NAME = cos(0…n−1)·G, c.NAME = G·cos(0…k−1)
  NAME-fq.bin: the same block with learned transforms, clips and 4-bit fake quantization as in FlatQuant
      (arXiv:2410.09426; rounding by the straight-through estimator); every trained array v.NAME comes with its gradient
      d.NAME. Among many draws the first whose numbers all lie clear of a tie, so that float32 rounds them the same way.
"""
import argparse
import os
import zlib

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from transformers import AutoModelForCausalLM

MODELS = "tests/golden/data/models"
FLOAT = ("qwen3", "qwen2", "qwen2-yarn", "llama-f16")
FQ = ("qwen3", "qwen2")
N_SEQ, LEN = 2, 11
LINEARS = ("q", "k", "v", "o", "gate", "up", "down")
INPUT_OF = {"q": "qkv", "k": "qkv", "v": "qkv", "o": "o", "gate": "gate_up", "up": "gate_up", "down": "down"}


def rng_of(name, salt=0):
    return np.random.default_rng([zlib.crc32(name.encode()), salt])


def write(path, arrays):
    with open(path, "wb") as f:
        f.write(b"lbgrad01")
        np.array([N_SEQ, LEN, len(arrays)], "<i4").tofile(f)
        for name, a in arrays.items():
            a = np.asarray(a.detach() if torch.is_tensor(a) else a, dtype="<f4").ravel()
            f.write(name.encode().ljust(24, b"\0"))
            np.array([a.size], "<i4").tofile(f)
            a.tofile(f)


def load(name):
    model = AutoModelForCausalLM.from_pretrained(f"{MODELS}/{name}", dtype=torch.float64, attn_implementation="eager")
    return model.eval()


def modules(layer):
    a, m = layer.self_attn, layer.mlp
    return dict(zip(LINEARS, (a.q_proj, a.k_proj, a.v_proj, a.o_proj, m.gate_proj, m.up_proj, m.down_proj)))


def rope_of(model, x):
    pos = torch.arange(LEN)[None].expand(N_SEQ, LEN)
    cos, sin = model.model.rotary_emb(x, pos)
    return cos.double(), sin.double(), pos


def causal():
    return torch.full((LEN, LEN), float("-inf"), dtype=torch.float64).triu(1)[None, None].expand(N_SEQ, 1, LEN, LEN)


def transformers_block(model, layer, x):
    cos, sin, pos = rope_of(model, x)
    y = layer(x, attention_mask=causal(), position_ids=pos, position_embeddings=(cos, sin))
    return y[0] if isinstance(y, tuple) else y


def float_block(name, out):
    model = load(name)
    layer, r = model.model.layers[0], rng_of(name, 7)
    d = model.config.hidden_size
    x = torch.tensor(r.normal(size=(N_SEQ, LEN, d)).astype(np.float32).astype(np.float64), requires_grad=True)
    t = torch.tensor(r.normal(size=(N_SEQ, LEN, d)).astype(np.float32).astype(np.float64))
    ((transformers_block(model, layer, x) - t) ** 2).mean().backward()
    theirs = {"x": x.grad.clone(), **{n: q.grad.clone() for n, q in layer.named_parameters()}}
    x.grad = None
    layer.zero_grad()
    y = block(model, layer, x, None, None)
    loss = ((y - t) ** 2).mean()
    loss.backward()
    for n, g in {"x": x.grad, **{n: q.grad for n, q in layer.named_parameters()}}.items():
        assert float((g - theirs[n]).abs().max()) <= 1e-5 * float(g.abs().max()) + 1e-7, (name, n)
    arrays = {"x": x, "t": t, "y": y, "loss": loss, "dx": x.grad, "d.attn_norm": layer.input_layernorm.weight.grad,
              "d.mlp_norm": layer.post_attention_layernorm.weight.grad}
    for n, m in modules(layer).items():
        g = m.weight.grad
        arrays[f"r.{n}"] = torch.cos(torch.arange(g.shape[0]).double()) @ g
        arrays[f"c.{n}"] = g @ torch.cos(torch.arange(g.shape[1]).double())
    write(f"{out}/{name}.bin", arrays)
    print(f"{name:12} loss {loss.item():.4f}")


# ---- the quantized block, written out ----
class Round(torch.autograd.Function):
    """Straight through. Not t + (round(t) − t).detach(): that is a whole number but for its last bit, and codes at the
    ends of the range would fall out of it."""
    @staticmethod
    def forward(ctx, t):
        return torch.round(t)

    @staticmethod
    def backward(ctx, g):
        return g


class Ties:
    """How close the nearest tie of any rounding was."""
    def __init__(self):
        self.margin = 1.0

    def round(self, t):
        frac = (t.detach() - t.detach().floor() - 0.5).abs()
        self.margin = min(self.margin, float(frac.min()))
        return Round.apply(t)


def clamp(q, lo, hi):
    """Derivative 1 at the ends, as the clipped straight-through estimator wants; torch 2.15's own clamp has 0 there."""
    q = torch.where(q < lo, torch.full_like(q, lo), q)
    return torch.where(q > hi, torch.full_like(q, hi), q)


def fq_asym(x, bits, c_hi, c_lo, ties):
    """Rows of the last dimension; c broadcasts against them."""
    zero = torch.zeros((), dtype=x.dtype)
    hi = torch.sigmoid(c_hi) * torch.maximum(x.amax(-1), zero)
    lo = torch.sigmoid(c_lo) * torch.minimum(x.amin(-1), zero)
    s = (hi - lo) / (2 ** bits - 1)
    z = ties.round(-lo / s)
    q = clamp(ties.round(x / s[..., None]) + z[..., None], 0, 2 ** bits - 1)
    return s[..., None] * (q - z[..., None])


def fq_sym(w, bits, c_hi, c_lo, ties):
    zero = torch.zeros((), dtype=w.dtype)
    hi = torch.sigmoid(c_hi) * torch.maximum(w.amax(-1), zero)
    lo = torch.sigmoid(c_lo) * torch.minimum(w.amin(-1), zero)
    s = torch.maximum(hi, -lo) / (2 ** (bits - 1) - 1)
    q = clamp(ties.round(w / s[:, None]), -2 ** (bits - 1), 2 ** (bits - 1) - 1)
    return s[:, None] * q


def kron(x, a, b):
    shape = x.shape
    return (a.T @ x.reshape(*shape[:-1], a.shape[0], b.shape[0]) @ b).reshape(shape)


def factors(n):
    a = int(np.ceil(np.sqrt(n)))
    while n % a:
        a += 1
    return n // a, a


def block(model, layer, x, p, ties):
    """x through the first layer; p: trained arrays, or None for the float block."""
    cfg, w, a = model.config, modules(layer), layer.self_attn
    nh, nk = cfg.num_attention_heads, cfg.num_key_value_heads
    dh = getattr(cfg, "head_dim", None) or cfg.hidden_size // nh
    cos, sin, _ = rope_of(model, x)
    turn = lambda v: torch.cat((-v[..., dh // 2:], v[..., :dh // 2]), -1)
    rope = lambda v: v * cos[:, None] + turn(v) * sin[:, None]

    def norm(v, m):
        return v * torch.rsqrt((v * v).mean(-1, keepdim=True) + m.variance_epsilon) * m.weight

    def inp(which, v):
        if p is None:
            return v
        v = kron(v * p[f"{which}.d"], p[f"{which}.a"], p[f"{which}.b"])
        return fq_asym(v, 4, p[f"{which}.in.hi"], p[f"{which}.in.lo"], ties)

    def linear(n, v):
        weight, i = w[n].weight, INPUT_OF[n]
        if p is not None:
            weight = kron(weight / p[f"{i}.d"], torch.linalg.inv(p[f"{i}.a"]).T, torch.linalg.inv(p[f"{i}.b"]).T)
            weight = fq_sym(weight, 4, p[f"{n}.hi"], p[f"{n}.lo"], ties)
        y = v @ weight.T
        return y if w[n].bias is None else y + w[n].bias

    h = inp("qkv", norm(x, layer.input_layernorm))
    heads = lambda v, n: v.reshape(N_SEQ, LEN, n, dh)
    q, k, v = heads(linear("q", h), nh), heads(linear("k", h), nk), heads(linear("v", h), nk)
    if hasattr(a, "q_norm"):
        q, k = norm(q, a.q_norm), norm(k, a.k_norm)
    q, k, v = rope(q.transpose(1, 2)), rope(k.transpose(1, 2)), v.transpose(1, 2)
    if p is not None:
        q, k = q @ torch.linalg.inv(p["k.p"]).T, k @ p["k.p"]
        k = fq_asym(k, 4, p["kc.hi"][:, None], p["kc.lo"][:, None], ties)
        v = fq_asym(v, 4, p["vc.hi"][:, None], p["vc.lo"][:, None], ties)
    k, v = (u.repeat_interleave(nh // nk, 1) for u in (k, v))
    att = torch.softmax(q @ k.transpose(2, 3) / np.sqrt(dh) + causal(), -1) @ v
    x = x + linear("o", inp("o", att.transpose(1, 2).reshape(N_SEQ, LEN, nh * dh)))
    h = inp("gate_up", norm(x, layer.post_attention_layernorm))
    return x + linear("down", inp("down", torch.nn.functional.silu(linear("gate", h)) * linear("up", h)))


def draw(name, salt, layer, cfg):
    r, p = rng_of(name + "-fq", salt), {}
    w = modules(layer)
    for i, n in (("qkv", "q"), ("o", "o"), ("gate_up", "gate"), ("down", "down")):
        k = w[n].weight.shape[1]
        for key, size in zip("ab", factors(k)):
            p[f"{i}.{key}"] = np.linalg.qr(r.normal(size=(size, size)))[0] + 0.1 * r.normal(size=(size, size))
        p[f"{i}.d"] = np.exp(0.3 * r.normal(size=k))
        p[f"{i}.in.hi"], p[f"{i}.in.lo"] = r.uniform(0.5, 3, 1), r.uniform(0.5, 3, 1)
    for n in LINEARS:
        rows = w[n].weight.shape[0]
        p[f"{n}.hi"], p[f"{n}.lo"] = r.uniform(0.5, 4, rows), r.uniform(0.5, 4, rows)
    dh = w["k"].weight.shape[0] // cfg.num_key_value_heads
    p["k.p"] = np.linalg.qr(r.normal(size=(dh, dh)))[0] + 0.1 * r.normal(size=(dh, dh))
    for n in ("kc", "vc"):
        for e in ("hi", "lo"):
            p[f"{n}.{e}"] = r.uniform(0.5, 3, cfg.num_key_value_heads)
    x, t = r.normal(size=(2, N_SEQ, LEN, cfg.hidden_size))
    to = lambda a, g: torch.tensor(np.asarray(a, np.float32).astype(np.float64), requires_grad=g)
    return {k: to(a, True) for k, a in p.items()}, to(x, True), to(t, False)


def fq_block(name, out):
    model = load(name)
    layer = model.model.layers[0]
    for q in model.parameters():
        q.requires_grad_(False)
    for salt in range(3000):
        p, x, t = draw(name, salt, layer, model.config)
        ties = Ties()
        with torch.no_grad():
            block(model, layer, x, p, ties)
        if ties.margin > 3e-5:
            break
    else:
        raise SystemExit(f"{name}: no draw clear of ties")
    y = block(model, layer, x, p, ties)
    loss = ((y - t) ** 2).mean()
    loss.backward()
    arrays = {"x": x, "t": t, "y": y, "loss": loss, "dx": x.grad}
    for k, a in p.items():
        assert float(a.grad.abs().max()) > 0, k
        arrays[f"v.{k}"], arrays[f"d.{k}"] = a, a.grad
    write(f"{out}/{name}-fq.bin", arrays)
    print(f"{name}-fq loss {loss.item():.4f} draw {salt} margin {ties.margin:.1e}")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", default="tests/golden/data/grad")
    out = ap.parse_args().out
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(1)
    for name in FLOAT:
        float_block(name, out)
    for name in FQ:
        fq_block(name, out)


if __name__ == "__main__":
    main()
