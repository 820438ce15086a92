#!/usr/bin/env python3
"""make_model_fixtures.py – the golden fixtures of the forward pass, from transformers and compressed-tensors.

    python tools/make_model_fixtures.py [--only tiny,abacus,ct] [--out tests/golden/data]

Runs from the project root; needs torch, transformers 5.x, safetensors, compressed-tensors, numpy (never part of the
product). One thread and seeds fixed by name, so a second run writes the same bytes. Versions used are in versions.json.
Everything is in float32 with eager attention, weights upcast from the type they are stored in. All integers and floats
in the files are little-endian; tests/golden/README.md describes the files.

What it writes:
  models/NAME/            tiny random models as Hugging Face folders, the odd corners of each architecture among them
  logits/NAME.bin         "lblogit1", i32 n_seq, i32 n_vocab; for each sequence: i32 n_tok, i32 n_pos, i32 ids[n_tok],
                          i32 pos[n_pos], f32 logits[n_pos][n_vocab] (the logits that follow token pos)
  logits/abacus-5m.bin    the same for models/abacus-5m
  abacus-greedy.jsonl     greedy text of 200 problems: {"id", "prompt", "output", "margin"}
  rope.json               inverse frequencies and attention factor of rope configurations
  ct/                     single matrices in the pack-quantized layout, and what they dequantize to
"""
import argparse
import json
import os
import platform
import sys
import warnings
import zlib

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import compressed_tensors
import numpy as np
import safetensors
import safetensors.torch
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, CompressedTensorsConfig

SEQ_LENGTHS = (1, 17, 70)
FAMILIES = ("chain", "algebra", "contest", "choice", "code")
ABACUS = "models/abacus-5m"


def rng_of(name, salt=0):
    return np.random.default_rng([zlib.crc32(name.encode()), salt])


def write_json(path, obj):
    with open(path, "w") as f:
        json.dump(obj, f, indent=2)
        f.write("\n")


# ---- tiny models: config.json as the families publish it, weights drawn here, logits by transformers ----
LEFT_OUT = object()   # instead of a value: the key does not stand in the file


def config(model_type, **kw):
    """A config.json. Each model states its rope in the old style (rope_theta, rope_scaling) or as transformers 5 does
    (rope_parameters)."""
    arch = {"qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM",
            "qwen3_moe": "Qwen3MoeForCausalLM"}[model_type]
    c = {"architectures": [arch], "attention_dropout": 0.0, "bos_token_id": 0, "eos_token_id": 1, "hidden_act": "silu",
         "hidden_size": 64, "initializer_range": 0.02, "intermediate_size": 96, "max_position_embeddings": 128,
         "model_type": model_type, "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2,
         "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "use_cache": True,
         "vocab_size": 320}
    c.update(kw)
    return {k: v for k, v in sorted(c.items()) if v is not LEFT_OUT}


def rope_v5(**kw):
    return {"rope_type": "default", "rope_theta": 10000.0, **kw}


# name -> (config, options). What each is for stands in the comment; together they cover every row of the README table.
TINY = {
    # query/key norms, tied, head_dim apart from hidden/heads, transformers-5 keys
    "qwen3": (config("qwen3", head_dim=32, attention_bias=False, tie_word_embeddings=True, torch_dtype=LEFT_OUT,
                     dtype="bfloat16", layer_types=["full_attention"] * 2, sliding_window=None,
                     use_sliding_window=False, max_window_layers=2,
                     rope_parameters=rope_v5(rope_theta=1000000.0)), {}),
    # float32 weights, untied, old keys, one key head for all query heads
    "qwen3-f32": (config("qwen3", head_dim=16, attention_bias=False, torch_dtype="float32", num_key_value_heads=1,
                         sliding_window=4096, use_sliding_window=False, max_window_layers=2, rope_theta=1000000), {}),
    # two shards and an index; attention biases, o's too; as many key heads as query heads
    "qwen3-sharded": (config("qwen3", head_dim=16, attention_bias=True, num_key_value_heads=4, rope_theta=1000000,
                             rope_scaling=None), {"shards": 2}),
    # biases of q, k, v; sizes that no vector width divides (ffn 100, vocabulary 323); no head_dim in the file
    "qwen2": (config("qwen2", intermediate_size=100, vocab_size=323, rope_theta=10000.0, rms_norm_eps=1e-5,
                     max_window_layers=2, sliding_window=4096, use_sliding_window=False), {}),
    # yarn as Qwen2.5 and QwQ write it ("type", no betas): attention factor 0.1 ln(4) + 1
    "qwen2-yarn": (config("qwen2", tie_word_embeddings=True, rope_theta=1000000.0, max_position_embeddings=256,
                          rope_scaling={"factor": 4.0, "original_max_position_embeddings": 64, "type": "yarn"}), {}),
    # float16 weights, no rope key but rope_theta, no head_dim, tie_word_embeddings left to the family's default
    "llama-f16": (config("llama", torch_dtype="float16", attention_bias=False, mlp_bias=False, rope_theta=10000.0,
                         rms_norm_eps=1e-5, pretraining_tp=1, tie_word_embeddings=LEFT_OUT), {}),
    # Llama 3.1 keys: with 64 original positions, wavelengths below 16, between, and above 64 all occur
    "llama-llama3": (config("llama", head_dim=32, attention_bias=False, mlp_bias=False, rope_theta=10000.0,
                            rms_norm_eps=1e-5, max_position_embeddings=512,
                            rope_scaling={"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                                          "original_max_position_embeddings": 64, "rope_type": "llama3"}), {}),
    # linear scaling under its oldest spelling; biases wherever the family can have them
    "llama-linear": (config("llama", attention_bias=True, mlp_bias=True, rope_theta=10000.0,
                            rope_scaling={"type": "linear", "factor": 2.5}), {}),
    # yarn in transformers-5 keys, with its own betas and attention factor
    "llama-yarn": (config("llama", head_dim=32, torch_dtype=LEFT_OUT, dtype="bfloat16", max_position_embeddings=1024,
                          rope_parameters=rope_v5(rope_type="yarn", factor=4.0, attention_factor=1.25, beta_fast=8.0,
                                                  beta_slow=1.0, original_max_position_embeddings=256)), {}),
    # every layer has experts; top-2 of 8, weights renormalized
    "qwen3_moe": (config("qwen3_moe", head_dim=16, attention_bias=False, num_experts=8, num_experts_per_tok=2,
                         moe_intermediate_size=32, norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[],
                         tie_word_embeddings=True, torch_dtype=LEFT_OUT, dtype="bfloat16", output_router_logits=False,
                         router_aux_loss_coef=0.001, rope_parameters=rope_v5(rope_theta=1000000.0)), {"salt": 21}),
    # layers 1 and 3 would have experts (step 2), but 3 is named in mlp_only_layers; top-2 of 4, not renormalized
    "qwen3_moe-mixed": (config("qwen3_moe", head_dim=16, attention_bias=False, num_hidden_layers=4, num_experts=4,
                               num_experts_per_tok=2, moe_intermediate_size=48, norm_topk_prob=False,
                               decoder_sparse_step=2, mlp_only_layers=[3], tie_word_embeddings=True,
                               rope_theta=1000000.0, rope_scaling=None), {}),
    # a whole model as compressed-tensors writes it: 3-bit asymmetric groups of 32, lm_head left alone
    "qwen3-ct-w3g32": (config("qwen3", head_dim=32, attention_bias=False, tie_word_embeddings=True,
                              rope_theta=1000000),
                       {"ct": [(["Linear"], dict(num_bits=3, group_size=32, symmetric=False))]}),
    # 2 bits with half-integer zero points: blocks of one row, float zero points
    "qwen3-ct-w2g32h": (config("qwen3", head_dim=32, attention_bias=False, tie_word_embeddings=True,
                               rope_theta=1000000),
                        {"ct": [(["Linear"], dict(num_bits=2, group_size=32, half=True))]}),
    # two groups: attention 4 bits asymmetric by 32, the rest 8 bits symmetric by output channel
    "qwen2-ct-mixed": (config("qwen2", rope_theta=10000.0),
                       {"ct": [(["re:.*self_attn.*"], dict(num_bits=4, group_size=32, symmetric=False)),
                               (["re:.*mlp.*"], dict(num_bits=8, group_size=-1, symmetric=True))]}),
}


def draw_weights(name, c, salt):
    """Random weights with the names and shapes that the family's files have. Projections keep the size of what flows
    (σ = gain/√K), so that every layer, bias, norm and position moves the logits, whose σ comes out near 2."""
    r = rng_of(name, salt)
    hidden, ffn, vocab, heads, kv = (c[k] for k in ("hidden_size", "intermediate_size", "vocab_size",
                                                    "num_attention_heads", "num_key_value_heads"))
    dim = c.get("head_dim", hidden // heads)
    o_bias, mlp_bias = c.get("attention_bias", False), c.get("mlp_bias", False)
    w = {}

    def linear(key, n, k, gain=1.0, bias=False):
        w[key + ".weight"] = r.standard_normal((n, k)) * (gain / np.sqrt(k))
        if bias:
            w[key + ".bias"] = r.standard_normal(n) * 0.5

    def norm(key, n, centre=1.0):
        w[key + ".weight"] = centre * (1 + 0.3 * r.standard_normal(n))

    def mlp(key, inner):
        linear(key + "gate_proj", inner, hidden, 1.5, mlp_bias)
        linear(key + "up_proj", inner, hidden, 1.5, mlp_bias)
        linear(key + "down_proj", hidden, inner, 1.0, mlp_bias)

    w["model.embed_tokens.weight"] = r.standard_normal((vocab, hidden)) * 0.25
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        for proj, n in (("q", heads), ("k", kv), ("v", kv)):
            linear(f"{p}self_attn.{proj}_proj", n * dim, hidden, 1.3, o_bias or c["model_type"] == "qwen2")
        linear(p + "self_attn.o_proj", hidden, heads * dim, 1.0, o_bias)
        if c["model_type"].startswith("qwen3"):
            norm(p + "self_attn.q_norm", dim, 1.3)
            norm(p + "self_attn.k_norm", dim, 1.3)
        norm(p + "input_layernorm", hidden)
        norm(p + "post_attention_layernorm", hidden)
        sparse = (c["model_type"] == "qwen3_moe" and i not in c["mlp_only_layers"]
                  and (i + 1) % c["decoder_sparse_step"] == 0)
        if sparse:
            linear(p + "mlp.gate", c["num_experts"], hidden, 2.0)
            for e in range(c["num_experts"]):
                mlp(f"{p}mlp.experts.{e}.", c["moe_intermediate_size"])
        else:
            mlp(p + "mlp.", ffn)
    norm("model.norm", hidden)
    if not c.get("tie_word_embeddings", False):
        linear("lm_head", vocab, hidden, 2.0)
    dtype = getattr(torch, c.get("torch_dtype", c.get("dtype")))
    return {k: torch.from_numpy(v.astype(np.float32)).to(dtype).contiguous() for k, v in w.items()}


def save_weights(folder, w, shards):
    if shards == 1:
        safetensors.torch.save_file(w, f"{folder}/model.safetensors", {"format": "pt"})
        return
    names, per, where = sorted(w), -(-len(w) // shards), {}
    for s in range(shards):
        file = f"model-{s + 1:05d}-of-{shards:05d}.safetensors"
        part = {n: w[n] for n in names[s * per:(s + 1) * per]}
        safetensors.torch.save_file(part, f"{folder}/{file}", {"format": "pt"})
        where.update({n: file for n in part})
    total = sum(t.numel() * t.element_size() for t in w.values())
    write_json(f"{folder}/model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where})


def load_f32(folder, meant=None):
    """The model as transformers loads it, in float32; a tensor it misses or does not know is a mistake here. meant: of
    a compressed model, the weights its codes mean. transformers rounds those to the type of the scales; that it does
    only this is checked, and then the exact products are put in their place."""
    kw = dict(dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    if meant:
        warnings.filterwarnings("ignore", message="You passed `quantization_config`")
        kw["quantization_config"] = CompressedTensorsConfig(dequantize=True)
    model, info = AutoModelForCausalLM.from_pretrained(folder, **kw)
    for name, exact in (meant or {}).items():
        loaded = model.get_parameter(name)
        assert torch.equal(loaded, exact.to(torch.bfloat16).float()), name
        loaded.data.copy_(exact)
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        left = [k for k in info[key] if k != "lm_head.weight" or not model.config.tie_word_embeddings]
        assert not left, (folder, key, left)
    return model.eval()


@torch.no_grad()
def logits_of(model, ids):
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().numpy()


def some_positions(n, most):
    """All positions of a short sequence; else its first and last few and an even choice between."""
    if n <= most:
        return list(range(n))
    edge = most // 4
    mid = np.linspace(edge, n - 1 - edge, most - 2 * edge).round().astype(int).tolist()
    return sorted(set(list(range(edge)) + mid + list(range(n - edge, n))))


def write_logits(path, sequences):
    """sequences: [(ids, positions, logits[n_pos, n_vocab])]"""
    with open(path, "wb") as f:
        f.write(b"lblogit1")
        np.array([len(sequences), sequences[0][2].shape[1]], "<i4").tofile(f)
        for ids, pos, logits in sequences:
            assert logits.shape[0] == len(pos)
            np.array([len(ids), len(pos), *ids, *pos], "<i4").tofile(f)
            logits.astype("<f4").tofile(f)


def relative(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def router_margin(model, ids):
    """Smallest gap between the last chosen and the first refused expert, in router logits: far above what bf16 keys and
    values can move, so that a correct engine chooses the same experts."""
    gaps = []

    def hook(_module, _args, out):
        top = out[0].topk(model.config.num_experts_per_tok + 1, dim=-1).values
        gaps.append(float((top[..., -2] - top[..., -1]).min()))

    handles = [m.register_forward_hook(hook) for n, m in model.named_modules() if n.endswith("mlp.gate")]
    logits_of(model, ids)
    for h in handles:
        h.remove()
    return min(gaps) if gaps else None


def plain_folder(tmp, c, w):
    """A folder without quantization for weights w."""
    os.makedirs(tmp, exist_ok=True)
    write_json(f"{tmp}/config.json", {k: v for k, v in c.items() if k != "quantization_config"})
    save_weights(tmp, w, 1)
    return tmp


def without_scaling(c, w, tmp):
    """The same weights with plain rope: its logits must differ, or the fixture proves nothing about scaling."""
    plain = {k: v for k, v in c.items() if k != "rope_scaling"}
    if "rope_parameters" in plain:
        plain["rope_parameters"] = rope_v5(rope_theta=plain["rope_parameters"]["rope_theta"])
    return load_f32(plain_folder(tmp, plain, w))


def make_tiny(out, tmp):
    os.makedirs(f"{out}/logits", exist_ok=True)
    for name, (c, opt) in TINY.items():
        folder = f"{out}/models/{name}"
        os.makedirs(folder, exist_ok=True)
        # Among a few draws the first whose experts are chosen by a clear margin.
        for salt in range(opt.get("salt", 0), 200):
            c = dict(c)
            w, meant = draw_weights(name, c, salt), None
            if "ct" in opt:
                w, meant, c["quantization_config"] = ct_compress_model(w, opt["ct"])
            write_json(f"{folder}/config.json", c)
            save_weights(folder, w, opt.get("shards", 1))
            if meant and len(opt["ct"]) > 1:
                # transformers 5.23 dequantizes every dense layer by one group's arguments: it gets the plain weights.
                model = load_f32(plain_folder(tmp, c, {**draw_weights(name, c, salt), **meant}))
            else:
                model = load_f32(folder, meant)
            r = rng_of(name, 1000)
            seqs = [r.integers(0, c["vocab_size"], n).tolist() for n in SEQ_LENGTHS]
            margin = min((router_margin(model, s) or 1.0) for s in seqs)
            if margin >= 0.02:
                break
        else:
            raise SystemExit(f"{name}: no draw with clear expert choices")
        full = [logits_of(model, s) for s in seqs]
        picks = [some_positions(len(s), 40) for s in seqs]
        write_logits(f"{out}/logits/{name}.bin", [(s, p, x[p]) for s, p, x in zip(seqs, picks, full)])
        std = float(np.std(np.concatenate(full), axis=1).mean())
        note = f"margin {margin:.3f} draw {salt}" if margin < 1 else ""
        assert 0.5 < std < 6, (name, std)
        rope = c.get("rope_scaling") or c.get("rope_parameters") or {}
        if rope.get("rope_type", rope.get("type", "default")) != "default":
            change = relative(logits_of(without_scaling(c, w, tmp), seqs[2]), full[2])
            note += f"rope scaling moves logits by {change:.2f}"
            assert change > 0.1, (name, change)
        # Two more ways a fixture could prove nothing: a model blind to order, or to all but the last token.
        turned = seqs[2][:-1][::-1] + seqs[2][-1:]
        order = relative(logits_of(model, turned)[-1], full[2][-1])
        alone = relative(logits_of(model, seqs[2][-1:])[-1], full[2][-1])
        assert order > 0.05 and alone > 0.05, (name, order, alone)
        print(f"{name:18} logits σ {std:.2f}  order {order:.2f}  context {alone:.2f}  {note}", flush=True)


# ---- rope: inverse frequencies by themselves, for configurations too many to give each a model ----
def make_rope(out):
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
    base = dict(hidden_size=128, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=4096)
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 8192}
    cases = [
        dict(rope_theta=10000.0),
        dict(rope_theta=1000000, head_dim=128),
        dict(rope_theta=500000.0, rope_scaling=llama3, max_position_embeddings=131072),
        dict(rope_theta=500000.0, rope_scaling={**llama3, "factor": 32.0}, head_dim=64, max_position_embeddings=131072),
        dict(rope_parameters={"rope_theta": 500000.0, **llama3}, head_dim=128, max_position_embeddings=131072),
        dict(rope_theta=10000.0, rope_scaling={"type": "linear", "factor": 4.0}),
        dict(rope_theta=1000000.0, head_dim=128, max_position_embeddings=32768,
             rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}),
        dict(rope_theta=1000000.0, head_dim=128, max_position_embeddings=131072,
             rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}),
        dict(rope_theta=10000.0, max_position_embeddings=32768,
             rope_scaling={"rope_type": "yarn", "factor": 16.0}),
        dict(rope_theta=10000.0, max_position_embeddings=16384,
             rope_scaling={"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 2048,
                           "beta_fast": 16, "beta_slow": 2, "attention_factor": 1.5}),
        dict(rope_parameters={"rope_theta": 10000.0, "rope_type": "yarn", "factor": 40.0, "mscale": 1.0,
                              "mscale_all_dim": 0.8, "original_max_position_embeddings": 4096}),
        dict(rope_parameters={"rope_theta": 150000.0, "rope_type": "yarn", "factor": 32.0, "truncate": False,
                              "original_max_position_embeddings": 4096}),
    ]
    rows = []
    for case in cases:
        c = {**base, **case}
        rope = LlamaRotaryEmbedding(LlamaConfig(**json.loads(json.dumps(c))))
        rows.append({"config": c, "attention_factor": float(rope.attention_scaling),
                     "inv_freq": [float(f"{x:.9g}") for x in rope.inv_freq.float().tolist()]})
    with open(f"{out}/rope.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
    print(f"rope: {len(rows)} configurations")


# ---- abacus-5m ----
def rows_of(family):
    with open(f"data/abacus/{family}.jsonl") as f:
        return [json.loads(line) for line in f]


def prompt_ids(tok, row):
    text = tok.apply_chat_template([{"role": "user", "content": row["problem"]}], tokenize=False,
                                   add_generation_prompt=True)
    return tok(text, add_special_tokens=False)["input_ids"]


def make_abacus(out):
    os.makedirs(f"{out}/logits", exist_ok=True)
    tok = AutoTokenizer.from_pretrained(ABACUS)
    model = load_f32(ABACUS)
    seqs = []
    for family, at in (("chain", 4), ("contest", 9), ("code", 2)):
        row = rows_of(family)[at]
        final = row["answer"] if family == "code" else f"The answer is $\\boxed{{{row['answer']}}}$."
        answer = f"<think>\n{row['solution']}\n</think>\n\n{final}<|im_end|>\n"
        ids = prompt_ids(tok, row) + tok(answer, add_special_tokens=False)["input_ids"]
        pos = some_positions(len(ids), 12)
        seqs.append((ids, pos, logits_of(model, ids)[pos]))
        print(f"abacus {row['id']}: {len(ids)} tokens, logits σ {seqs[-1][2].std():.2f}")
    write_logits(f"{out}/logits/abacus-5m.bin", seqs)
    make_greedy(out, tok, model)


@torch.no_grad()
def greedy(model, prompts, eos, most):
    """Greedy continuations of prompts, batched with left padding: padding is masked and does not count as a position.
    Returns [(ids with the end token, smallest gap between best and second logit)]."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    pos = (mask.cumsum(1) - 1).clamp(min=0)
    done, texts, gaps, past = [False] * len(prompts), [[] for _ in prompts], [float("inf")] * len(prompts), None
    for _ in range(most):
        o = model(input_ids=ids, attention_mask=mask, position_ids=pos, past_key_values=past, use_cache=True)
        past = o.past_key_values
        best = o.logits[:, -1].topk(2, dim=-1)
        for i, done_i in enumerate(done):
            if not done_i:
                t = int(best.indices[i, 0])
                gaps[i] = min(gaps[i], float(best.values[i, 0] - best.values[i, 1]))
                texts[i].append(t)
                done[i] = t in eos
        if all(done):
            break
        ids = best.indices[:, :1]
        pos = pos[:, -1:] + 1
        mask = torch.cat([mask, torch.ones(len(prompts), 1, dtype=mask.dtype)], 1)
    return list(zip(texts, gaps))


def make_greedy(out, tok, model, per_family=40, most=700):
    eos = set(json.load(open(f"{ABACUS}/generation_config.json"))["eos_token_id"])
    rows = [row for family in FAMILIES for row in rows_of(family)[:per_family]]
    prompts = [prompt_ids(tok, row) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: len(prompts[i]))
    result = [None] * len(rows)
    for at in range(0, len(order), 25):
        batch = order[at:at + 25]
        for i, r in zip(batch, greedy(model, [prompts[i] for i in batch], eos, most)):
            result[i] = r
        print(f"greedy {at + len(batch)}/{len(order)}", end="\r", file=sys.stderr)
    # Padding must change nothing: every tenth problem once more alone, and two against transformers' own generate().
    for i in range(0, len(rows), 10):
        text, _ = greedy(model, [prompts[i]], eos, most)[0]
        assert text == result[i][0], f"{rows[i]['id']}: padded and unpadded text differ"
    for i in (3, 150):
        text = model.generate(torch.tensor([prompts[i]]), do_sample=False, temperature=None, top_p=None,
                              eos_token_id=sorted(eos), max_new_tokens=most)[0, len(prompts[i]):].tolist()
        assert text == result[i][0], f"{rows[i]['id']}: generate() differs"
    with open(f"{out}/abacus-greedy.jsonl", "w") as f:
        for row, p, (text, gap) in zip(rows, prompts, result):
            line = {"id": row["id"], "prompt": p, "output": text, "margin": round(gap, 5)}
            f.write(json.dumps(line, separators=(",", ":")) + "\n")
    lengths, gaps = [len(t) for t, _ in result], sorted(g for _, g in result)
    ended = sum(t[-1] in eos for t, _ in result)
    print(f"greedy: {len(rows)} problems, {sum(lengths)} tokens, longest {max(lengths)}, {ended} ended; "
          f"smallest margins {' '.join(f'{g:.4f}' for g in gaps[:5])}")


# ---- compressed-tensors: their parameters, their packing, their dequantization ----
def ct_args(num_bits, group_size, symmetric=False, half=False):
    """half: float zero points, which the package packs for no strategy and leaves alone in blocks of one row."""
    from compressed_tensors.quantization import QuantizationArgs
    if half:
        return QuantizationArgs(num_bits=num_bits, type="int", symmetric=False, strategy="block",
                                block_structure=[1, group_size], zp_dtype="torch.float8_e4m3fn")
    kw = {"strategy": "channel"} if group_size < 0 else {"strategy": "group", "group_size": group_size}
    return QuantizationArgs(num_bits=num_bits, type="int", symmetric=symmetric, **kw)


def ct_compress(weight, args):
    """(tensors as on disk, weight in float32 that they mean). weight may be any float type, the scale gets the same."""
    from compressed_tensors.compressors.pack_quantized import PackedQuantizationCompressor as Packed
    from compressed_tensors.quantization import QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams
    half = args.strategy == "block"
    groups = weight.shape[1] if args.strategy == "channel" else args.block_structure[1] if half else args.group_size
    if half:   # levels ±1/2 and ±3/2 of the scale, twice which is the largest weight of the group
        whole = torch.nn.functional.pad(weight, (0, -weight.shape[1] % groups)).unflatten(1, (-1, groups))
        scale = (whole.abs().amax(2) / 2).clamp(min=1e-10)
        zero = torch.full_like(scale, -0.5).to(args.zp_dtype)
    else:
        parts = weight.unflatten(1, (-1, groups))
        scale, zero = calculate_qparams(parts.amin(2), parts.amax(2), args)
        zero = zero.to(torch.int8)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    # A symmetric weight has no zero point on disk, but their compress() wants to see and drop one.
    state = Packed.compress({"weight": weight, "weight_scale": scale, "weight_zero_point": zero}, scheme)
    state["weight_shape"] = state["weight_shape"].to(torch.int64)
    theirs = Packed.decompress(state, scheme)["weight"]
    wide = Packed.decompress({**state, "weight_scale": scale.float()}, scheme)["weight"]
    assert wide.dtype == torch.float32 and theirs.dtype == scale.dtype
    assert torch.equal(wide.to(scale.dtype), theirs)   # in bf16 theirs is the float32 product, rounded once
    step = scale.float().repeat_interleave(groups, 1)[:, :weight.shape[1]]
    assert ((wide - weight.float()).abs() <= 1.02 * step).all()
    return {k: v.contiguous() for k, v in state.items()}, wide.contiguous()


def ct_config(groups, ignore):
    """quantization_config as their writer puts it into config.json. groups: [(targets, args)]"""
    from compressed_tensors.quantization import QuantizationConfig, QuantizationScheme, QuantizationStatus
    q = QuantizationConfig(config_groups={f"group_{i}": QuantizationScheme(targets=t, weights=a)
                                          for i, (t, a) in enumerate(groups)},
                           ignore=ignore, format="pack-quantized", quantization_status=QuantizationStatus.COMPRESSED)
    return {"version": compressed_tensors.__version__, "sparsity_config": {}, "transform_config": {},
            **json.loads(q.model_dump_json())}


def ct_compress_model(w, plan):
    """Every linear layer inside the blocks compressed; plan: [(targets, arguments)]. Returns the tensors for the disk,
    the weights they mean in float32, and the quantization_config."""
    import re
    groups = [(targets, ct_args(**kw)) for targets, kw in plan]
    out, meant = {}, {}
    for name, t in w.items():
        module = name.removesuffix(".weight")
        args = [a for targets, a in groups
                if targets == ["Linear"] or any(re.match(x.removeprefix("re:"), module) for x in targets)]
        if ".layers." in name and name.endswith("_proj.weight") and args:
            tensors, meant[name] = ct_compress(t, args[0])
            out.update({f"{module}.{k}": v for k, v in tensors.items()})
        else:
            out[name] = t
    return out, meant, ct_config(groups, ["lm_head"])


def make_ct(out):
    os.makedirs(f"{out}/ct", exist_ok=True)
    stored, meant, groups = {}, {}, []
    # Rows that fill no word of packed zero points; by channel also columns that fill no word of codes. (Not under 9
    # rows: 0.20.0 cannot unpack its own 4-bit zero points where they are a single word high.)
    shapes = {32: (33, 64), 128: (11, 256), -1: (13, 77)}
    for bits in (2, 3, 4, 8):
        for group, (n, k) in shapes.items():
            for symmetric in (True, False):
                tag = f"w{bits}{'channel' if group < 0 else f'g{group}'}{'s' if symmetric else 'a'}"
                name = f"model.{tag}"
                r = rng_of(name)
                w = r.standard_normal((n, k)) * 0.05 + (0.0 if symmetric else 0.02)
                w[1] = np.abs(w[1])              # a row without negative values: zero point at the end of the range
                w[2, :32] = 0.0                  # a group of zeros (and a part of one)
                w[3] *= 1000.0
                dtype = {2: torch.bfloat16, 3: torch.float32, 4: torch.bfloat16, 8: torch.float16}[bits]
                args = ct_args(bits, group, symmetric)
                tensors, wide = ct_compress(torch.from_numpy(w.astype(np.float32)).to(dtype), args)
                stored.update({f"{name}.{key}": v for key, v in tensors.items()})
                meant[f"{name}.weight"] = wide
                groups.append(([name], args))
    for group, (n, k) in {32: (33, 64), 128: (5, 200), 77: (13, 77)}.items():    # a shorter last group, one group a row
        name = f"model.w2g{group}h"
        w = rng_of(name).standard_normal((n, k)) * 0.05
        w[1] = np.abs(w[1])
        w[2, :32] = 0.0
        w[3] *= 1000.0
        args = ct_args(2, group, half=True)
        tensors, wide = ct_compress(torch.from_numpy(w.astype(np.float32)).to(torch.bfloat16), args)
        stored.update({f"{name}.{key}": v for key, v in tensors.items()})
        meant[f"{name}.weight"] = wide
        groups.append(([name], args))
    safetensors.torch.save_file(stored, f"{out}/ct/model.safetensors", {"format": "pt"})
    safetensors.torch.save_file(meant, f"{out}/ct/dequantized.safetensors", {"format": "pt"})
    write_json(f"{out}/ct/config.json", {"quantization_config": ct_config(groups, ["lm_head"])})
    print(f"ct: {len(meant)} matrices")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--only", default="tiny,rope,abacus,ct")
    p.add_argument("--out", default="tests/golden/data")
    a = p.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    os.makedirs(a.out, exist_ok=True)
    parts = a.only.split(",")
    if "tiny" in parts:
        make_tiny(a.out, "build/fixtures-tmp")
    if "rope" in parts:
        make_rope(a.out)
    if "ct" in parts:
        make_ct(a.out)
    if "abacus" in parts:
        make_abacus(a.out)
    write_json(f"{a.out}/versions.json", {
        "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
        "safetensors": safetensors.__version__, "compressed-tensors": compressed_tensors.__version__,
        "numpy": np.__version__})


if __name__ == "__main__":
    main()
