#!/usr/bin/env bash
# amx_paired.sh [ROUNDS] – prefill of 512 tokens and decode of one, by the amx and the avx512 level in turns, 2 threads, random
# weights in the shape of Qwen3-0.6B. Prints CSV: round, what, weights, level, tokens a second.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
speed() { # WHAT LEVEL FLAGS…
    local what=$1 level=$2
    shift 2
    build/lowbit bench "$what" -q --json -t 2 --isa "$level" --dir out/bench "$@" | sed -n 's/.*"tok_s": \([0-9.]*\),*/\1/p' | head -1
}
echo round,what,weights,level,tok_s
for r in $(seq "$rounds"); do
    for what in prefill decode; do
        for scheme in bf16 w8a8 w4g128 w2g128; do
            flags=(--scheme "$scheme")
            [ "$scheme" = bf16 ] && flags=()
            [ "$what" = prefill ] && flags+=(--tokens 512 -r 3)
            for level in avx512 amx; do echo "$r,$what,$scheme,$level,$(speed "$what" "$level" "${flags[@]}")"; done
        done
    done
done
