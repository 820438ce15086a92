#!/usr/bin/env bash
# paired.sh LLAMA_BENCH BF16.gguf Q8_0.gguf Q4_0.gguf [ROUNDS] – lowbit and a rival on the same shape (Qwen3-0.6B, random
# weights), interleaved in one run, 2 threads. Prints CSV: round, engine, format, what, tok/s, then for lowbit the share of
# the limit that was measured right before and after (read bandwidth for decode, f32 multiply-add peak for prefill).
#
# The rival's gguf files hold every matrix, the head included, in their type (llama-quantize --pure), so lowbit quantizes
# its head too: int8 g128.
set -euo pipefail
cd "$(dirname "$0")/.."
bench=$1 bf16=$2 q8=$3 q4=$4 rounds=${5:-3}
lowbit=build/lowbit

field() { sed -n "s/.*\"$1\": \([-0-9.e]*\),*/\1/p" | head -1; }
ours() { # ROUND FORMAT WHAT FLAGS…
    local round=$1 format=$2 what=$3 json tok share
    shift 3
    json=$("$lowbit" bench "$what" -q --json -t 2 --no-mmap "$@")
    tok=$(field tok_s <<<"$json")
    if [ "$what" = decode ]; then share=$(awk "BEGIN { print $(field gb_s <<<"$json") / $(field membw_gb_s <<<"$json") }")
    else share=$(awk "BEGIN { print $(field gflop_s <<<"$json") / $(field peak_gflop_s <<<"$json") }"); fi
    printf '%s,lowbit,%s,%s,%.2f,%.3f\n' "$round" "$format" "$what" "$tok" "$share"
}
rival() { # ROUND FORMAT FILE FLAGS…
    local round=$1 format=$2 file=$3
    shift 3
    "$bench" -m "$file" -p 512 -n 24 -t 2 -r 1 -fa 1 -mmp 0 "$@" 2>/dev/null | awk -F'|' -v r="$round" -v f="$format" '
        / pp512 / { split($(NF-1), a, " "); printf "%s,rival,%s,prefill,%s,\n", r, f, a[1] }
        / tg24 /  { split($(NF-1), a, " "); printf "%s,rival,%s,decode,%s,\n", r, f, a[1] }'
}
echo round,engine,format,what,tok_s,share_of_limit
for r in $(seq "$rounds"); do
    ours "$r" bf16 decode -r 9
    ours "$r" bf16 prefill -r 1
    rival "$r" bf16 "$bf16"
    ours "$r" w8 decode -r 15 --scheme w8g128 --tensor lm_head=w8g128
    ours "$r" w8 prefill -r 1 --scheme w8g128 --tensor lm_head=w8g128
    rival "$r" w8 "$q8"
    ours "$r" w4 decode -r 21 --scheme w4g128 --tensor lm_head=w8g128
    ours "$r" w4-bf16head decode -r 15 --scheme w4g128
    ours "$r" w4 prefill -r 1 --scheme w4g128 --tensor lm_head=w8g128
    rival "$r" w4 "$q4" -rtr 1
done
