#!/usr/bin/env bash
# rollout_paired.sh PYTHON [ROUNDS] – samples of abacus-5m (256 problems, temperature 1, 2 threads) by lowbit and by
# transformers' generate in batches of 64, in turns on the same CPU. PYTHON has torch and transformers. Prints CSV: round, who,
# tokens per second. lowbit-w2: the w2g128 model that a GRPO stage would sample from.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 rounds=${2:-3}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
build/lowbit quantize -q -m models/abacus-5m --scheme w2g128 -o "$dir/w2" >/dev/null
ours() { # MODEL
    rm -f "$dir/t.jsonl"
    build/lowbit trace -q --json -m "$1" --prompts data/abacus/train.jsonl --limit 256 --temp 1 --top-p 1 -n 512 -t 2 -o "$dir/t.jsonl" |
        python3 -c 'import json, sys; d = json.load(sys.stdin); print("%.1f" % (d["tokens_generated"] / d["seconds"]))'
}
echo round,who,tok_s
for r in $(seq "$rounds"); do
    echo "$r,lowbit-bf16,$(ours models/abacus-5m)"
    echo "$r,transformers,$("$python" tools/bench_hf_generate.py models/abacus-5m data/abacus/train.jsonl 256 64 2 2>/dev/null | tail -1)"
    echo "$r,lowbit-w2,$(ours "$dir/w2")"
done
