#!/usr/bin/env python3
"""make_recon_fixtures.py – how far others get when they train one block: AutoRound's package, FlatQuant's formulas.

    python tools/make_recon_fixtures.py [--only autoround,flatquant] [--out tests/golden/data/recon.json]

Runs from the project root; needs torch, transformers 5.x, and for the first part auto-round (0.16.1 was used); none of
them is part of the product. Block 0 of tests/golden/data/models/qwen3 reads the embeddings of random ids; for FlatQuant
a few channels are made outliers. The file keeps the ids and the mean squared errors of the block's output over all
sequences, which ours are compared with: it does not keep weights.

autoround: the package quantizes the model (2 bits, groups of 32, asymmetric, 200 steps of 8 sequences, float32); the
error is measured with the weights it leaves. flatquant: arXiv:2410.09426 as arXiv:2504.04823 runs it (free matrices,
explicit inverse, AdamW 5e-3 and 5e-2, cosine to 1/1000, 15 epochs, batches of 4), W4A4KV4, clips of keys and values
learned; four seeds, because the start is random. --only keeps the other part of an existing file.
"""
import argparse
import copy
import json
import math
import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import torch.nn.functional as F
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

MODEL = "tests/golden/data/models/qwen3"
N_SEQ, LEN = 32, 32
OUTLIERS = {3: 20.0, 17: -12.0, 40: 30.0}
LINEARS = ("q", "k", "v", "o", "gate", "up", "down")


class Block:
    """Block 0 in plain float32, with places for what is done to inputs, weights and heads."""

    def __init__(self, model):
        c, layer = model.config, model.model.layers[0]
        a, m = layer.self_attn, layer.mlp
        self.h, self.kv, self.d = c.num_attention_heads, c.num_key_value_heads, c.head_dim
        self.eps, self.theta = c.rms_norm_eps, c.rope_parameters["rope_theta"]
        self.w = {"q": a.q_proj, "k": a.k_proj, "v": a.v_proj, "o": a.o_proj,
                  "gate": m.gate_proj, "up": m.up_proj, "down": m.down_proj}
        self.w = {n: p.weight.detach().float() for n, p in self.w.items()}
        self.n1, self.n2 = layer.input_layernorm.weight.detach(), layer.post_attention_layernorm.weight.detach()
        self.qn, self.kn = a.q_norm.weight.detach(), a.k_norm.weight.detach()

    def norm(self, x, g):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * g

    def rope(self, x):
        n, d = x.shape[-2], self.d
        angle = torch.arange(n)[:, None] / self.theta ** (torch.arange(0, d, 2).float() / d)
        cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
        return x * cos + torch.cat([-x[..., d // 2:], x[..., :d // 2]], -1) * sin

    def run(self, x, t):
        b, n = x.shape[:2]
        heads = lambda y, k: y.view(b, n, k, self.d).transpose(1, 2)
        h = t.input("qkv", self.norm(x, self.n1))
        many = {"q": self.h, "k": self.kv, "v": self.kv}
        q, k, v = (heads(F.linear(h, t.weight(w, self.w[w])), n) for w, n in many.items())
        q, k, v = t.heads(self.rope(self.norm(q, self.qn)), self.rope(self.norm(k, self.kn)), v)
        k, v = (y.repeat_interleave(self.h // self.kv, 1) for y in (k, v))
        mask = torch.triu(torch.full((n, n), -math.inf), 1)
        p = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(self.d) + mask, -1)
        o = (p @ v).transpose(1, 2).reshape(b, n, -1)
        x = x + F.linear(t.input("o", o), t.weight("o", self.w["o"]))
        h = t.input("mlp", self.norm(x, self.n2))
        h = F.silu(F.linear(h, t.weight("gate", self.w["gate"]))) * F.linear(h, t.weight("up", self.w["up"]))
        return x + F.linear(t.input("down", h), t.weight("down", self.w["down"]))


class Nothing:
    def input(self, site, x): return x
    def weight(self, name, w): return w
    def heads(self, q, k, v): return q, k, v


def mse(a, b):
    return (a - b).pow(2).mean().item()


# ---- AutoRound: the package ----

class Given(Nothing):
    def __init__(self, block): self.w = block.w
    def weight(self, name, w): return self.w[name]


def autoround(model, ids, x):
    import auto_round
    base = Block(model)
    rows = [{"input_ids": i, "attention_mask": torch.ones(LEN, dtype=torch.long)} for i in ids]
    mine = copy.deepcopy(model)
    tok = AutoTokenizer.from_pretrained("models/abacus-5m")  # the package wants one; ids are given
    ar = auto_round.AutoRound(mine, tok, dataset=torch.utils.data.DataLoader(rows, batch_size=8), iters=200, seqlen=LEN,
                              scheme={"bits": 2, "group_size": 32, "sym": False, "data_type": "int", "act_bits": 16},
                              nsamples=N_SEQ, batch_size=8, enable_torch_compile=False, device_map="cpu", amp=False)
    done = ar.quantize()
    done = done[0] if isinstance(done, tuple) else done
    y = base.run(x, Nothing())
    return {"version": auto_round.__version__, "bits": 2, "group": 32, "end": mse(base.run(x, Given(Block(done))), y)}


# ---- FlatQuant: the formulas ----

class Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x.round()
    @staticmethod
    def backward(ctx, g): return g


def rows_fq(x, bits, lo=1.0, hi=1.0):
    top, bottom = x.amax(-1, keepdim=True).clamp(min=0) * hi, x.amin(-1, keepdim=True).clamp(max=0) * lo
    s = ((top - bottom) / (2 ** bits - 1)).clamp(min=1e-9)
    z = Round.apply(-bottom / s)
    return s * ((Round.apply(x / s) + z).clamp(0, 2 ** bits - 1) - z)


def weight_fq(w, bits, lo=1.0, hi=1.0):
    top = torch.maximum(w.amax(-1, keepdim=True) * hi, -w.amin(-1, keepdim=True) * lo)
    s = top.clamp(min=1e-5) / (2 ** (bits - 1) - 1)
    return s * Round.apply(w / s).clamp(-2 ** (bits - 1), 2 ** (bits - 1) - 1)


class Nearest(Nothing):
    def input(self, site, x): return rows_fq(x, 4)
    def weight(self, name, w): return weight_fq(w, 4)
    def heads(self, q, k, v): return q, rows_fq(k, 4), rows_fq(v, 4)


def near_square(n):
    a = max(i for i in range(1, math.isqrt(n) + 1) if n % i == 0)
    return a, n // a


class Flat(Nothing):
    SITE = {"q": "qkv", "k": "qkv", "v": "qkv", "o": "o", "gate": "mlp", "up": "mlp", "down": "down"}

    def __init__(self, block, peak, seed):
        g = torch.Generator().manual_seed(seed)
        free = lambda n: torch.linalg.qr(torch.randn(n, n, generator=g))[0].requires_grad_()
        clip = lambda *shape: torch.full(shape, 4.0, requires_grad=True)
        self.b, self.d = block, {}
        self.p = {"o": (free(block.h), free(block.d))}
        for site, readers in (("qkv", "qkv"), ("mlp", ("gate", "up")), ("down", ("down",))):
            self.p[site] = tuple(free(n) for n in near_square(peak[site].numel()))
            top = torch.stack([block.w[n].abs().amax(0) for n in readers]).amax(0)
            self.d[site] = (top.clamp(min=1e-5) ** 0.7 / peak[site].clamp(min=1e-5) ** 0.3).requires_grad_()
        self.pk = free(block.d)
        self.wc = {n: clip(2, w.shape[0], 1) for n, w in block.w.items()}
        self.ac = {n: clip(2) for n in ("qkv", "o", "mlp", "down", "key", "value")}

    def params(self):
        slow = [*[m for p in self.p.values() for m in p], self.pk, *self.d.values()]
        return slow, [*self.wc.values(), *self.ac.values()]

    @staticmethod
    def kron(x, a, b):
        return (a.T @ x.reshape(*x.shape[:-1], a.shape[0], b.shape[0]) @ b).reshape(x.shape)

    def begin(self):
        self.inv = {s: tuple(torch.linalg.inv(m).T for m in p) for s, p in self.p.items()}

    def input(self, site, x):
        a, b = self.p[site]
        x = self.kron(x, a, torch.eye(b.shape[0])) if site == "o" else self.kron(x * self.d[site], a, b)
        return rows_fq(x, 4, *torch.sigmoid(self.ac[site]))

    def weight(self, name, w):
        site = self.SITE[name]
        w = self.kron(w / self.d[site] if site in self.d else w, *self.inv[site])
        if name == "v":
            w = (self.p["o"][1].T @ w.view(self.b.kv, self.b.d, -1)).reshape(w.shape)
        return weight_fq(w, 4, *torch.sigmoid(self.wc[name]))

    def heads(self, q, k, v):
        return (q @ torch.linalg.inv(self.pk).T, rows_fq(k @ self.pk, 4, *torch.sigmoid(self.ac["key"])),
                rows_fq(v, 4, *torch.sigmoid(self.ac["value"])))


class Peak(Nothing):
    def __init__(self): self.peak = {}
    def input(self, site, x):
        self.peak[site] = x.abs().amax(dim=(0, 1))
        return x


def train_flat(block, x, y, peak, seed, epochs=15, batch=4, lr=5e-3):
    t = Flat(block, peak, seed)
    slow, fast = t.params()
    opt = torch.optim.AdamW([{"params": slow, "lr": lr}, {"params": fast, "lr": 10 * lr}])
    n_step = epochs * (len(x) // batch)
    sched = torch.optim.lr_scheduler.LambdaLR(
        opt, lambda i: 1e-3 + (1 - 1e-3) * 0.5 * (1 + math.cos(math.pi * i / n_step)))
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for at in torch.randperm(len(x), generator=order).split(batch):
            opt.zero_grad()
            t.begin()
            loss = (block.run(x[at], t) - y[at]).pow(2).mean()
            (loss / loss.detach()).backward()
            opt.step()
            sched.step()
    with torch.no_grad():
        t.begin()
        return mse(block.run(x, t), y)


def flatquant(model, x):
    block, look = Block(model), Peak()
    y = block.run(x, look)
    return {"outliers": [[c, f] for c, f in OUTLIERS.items()], "rtn": mse(block.run(x, Nearest()), y),
            "ends": [train_flat(block, x, y, look.peak, seed) for seed in range(4)]}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--only", default="autoround,flatquant")
    ap.add_argument("--out", default="tests/golden/data/recon.json")
    o = ap.parse_args()
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).requires_grad_(False)
    ids = torch.randint(0, model.config.vocab_size, (N_SEQ, LEN), generator=torch.Generator().manual_seed(7))
    x = model.model.embed_tokens.weight[ids]
    check = model.model.layers[0](x, position_embeddings=model.model.rotary_emb(x, torch.arange(LEN)[None]),
                                  attention_mask=torch.triu(torch.full((LEN, LEN), -math.inf), 1)[None, None])
    check = check[0] if isinstance(check, tuple) else check
    assert mse(check, Block(model).run(x, Nothing())) < 1e-10 * check.pow(2).mean().item()
    out = json.load(open(o.out)) if os.path.exists(o.out) else {}
    out.update(torch=torch.__version__, transformers=transformers.__version__, ids=ids.tolist())
    if "autoround" in o.only:
        out["autoround"] = autoround(model, ids, x)
    if "flatquant" in o.only:
        x = x.clone()
        for channel, factor in OUTLIERS.items():
            x[..., channel] *= factor
        out["flatquant"] = flatquant(model, x)
    with open(o.out, "w") as f:
        json.dump(out, f)
        f.write("\n")


main()
