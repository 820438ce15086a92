#!/usr/bin/env bash
# gptq_paired.sh PYTHON [LAYERS] [ROUNDS] – GPTQ of blocks in Qwen3-0.6B's shape by lowbit and by GPTQModel, in turns on
# the same CPU: W4 asymmetric g128, act-order, static groups, clip search, 128 sequences of 512 tokens. PYTHON has torch,
# transformers and gptqmodel. Prints CSV: round, who, seconds, peak MB.
# lowbit's time is the whole command (tokenizing and writing included), GPTQModel's only its quantize().
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 layers=${2:-4} rounds=${3:-2}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$python" tools/bench_gptqmodel.py make "$dir/m" models/abacus-5m "$layers" 2>/dev/null
echo "round,who,layers,seconds,peak_mb"
for i in $(seq "$rounds"); do
    rm -rf "$dir/q" "$dir/q.partial"
    # python3 as a stop-watch that also knows the peak of its child
    "$python" - "$dir" "$i" "$layers" <<'PY'
import resource, subprocess, sys, time
d, i, layers = sys.argv[1:]
t = time.time()
subprocess.run(["build/lowbit", "quantize", "-q", "-m", d + "/m", "--scheme", "w4g128", "--method", "gptq", "--calib",
                "data/abacus/train.jsonl", "--nsamples", "128", "--seqlen", "512", "-o", d + "/q"], check=True,
               stdout=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"{i},lowbit,{layers},{time.time() - t:.1f},{peak:.0f}", flush=True)
PY
    read -r s mb < <("$python" tools/bench_gptqmodel.py run "$dir/m" 4 128 512 2>"$dir/err" | tail -1) ||
        { tail -5 "$dir/err" >&2; exit 1; }
    echo "$i,gptqmodel,$layers,$s,$mb"
done
