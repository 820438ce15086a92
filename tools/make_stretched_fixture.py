#!/usr/bin/env python3
"""make_stretched_fixture.py – ParetoQ's stretched elastic quantizer at 2 bits, by its authors' own code.

    python tools/make_stretched_fixture.py --paretoq CHECKOUT [--out tests/golden/data/grad/stretched.bin]

CHECKOUT is facebookresearch/ParetoQ (the fixture: commit 655e3386); its models/utils_quant.py is imported, nothing of it is
written anew. Needs torch and numpy (never part of the product). Runs from the project root.

In the format of make_grad_fixtures.py, n_seq rows of len weights, each a group: w, a (α), dy, and what their forward and
backward give: y, dw, da. da is theirs divided by LSQ's factor 1/√(n·len), to which AdamW is indifferent. α is the row's
largest |w| (where their training starts), or half or twice of it; rows of zeros and of one sign are among them.
"""
import argparse
import importlib.util
import math

import numpy as np
import torch

N, LEN = 24, 96


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--paretoq", required=True)
    p.add_argument("--out", default="tests/golden/data/grad/stretched.bin")
    a = p.parse_args()
    spec = importlib.util.spec_from_file_location("utils_quant", f"{a.paretoq}/models/utils_quant.py")
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    r = np.random.default_rng(20250203)
    w = (r.standard_normal((N, LEN)) * 0.05).astype(np.float32)
    w[5], w[6], w[7] = np.abs(w[5]), -np.abs(w[6]), 0
    alpha = np.abs(w).max(1, keepdims=True) * np.array([[1], [0.5], [2]], np.float32)[np.arange(N) % 3]
    alpha[7] = 0.01
    w[8, :4] = alpha[8] * np.array([1, -1, 0.5, -0.5], np.float32)
    dy = r.standard_normal((N, LEN)).astype(np.float32)
    tw, ta = torch.tensor(w, requires_grad=True), torch.tensor(alpha, requires_grad=True)
    y = theirs.StretchedElasticQuant.apply(tw, ta, 2, False)
    y.backward(torch.tensor(dy))
    da = ta.grad.double() * math.sqrt(N * LEN)
    assert len(y[0].unique()) <= 4 and 0 < (tw.grad == 0).sum() < N * LEN
    arrays = {"w": w, "a": alpha, "dy": dy, "y": y.detach(), "dw": tw.grad, "da": da}
    with open(a.out, "wb") as f:
        f.write(b"lbgrad01")
        np.array([N, LEN, len(arrays)], "<i4").tofile(f)
        for name, v in arrays.items():
            v = np.asarray(v, dtype="<f4").ravel()
            f.write(name.encode().ljust(24, b"\0"))
            np.array([v.size], "<i4").tofile(f)
            v.tofile(f)


if __name__ == "__main__":
    main()
