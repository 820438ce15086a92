#!/usr/bin/env bash
# train_paired.sh PYTHON [ROUNDS] – a training step of a 0.1 B model (Qwen3 shape, random weights, 1,024 tokens in two
# documents) by lowbit and by PyTorch, in turns on the same CPU, with 2 threads. PYTHON has torch and transformers. Prints
# CSV: round, who, seconds of a step, share of the multiply peak measured right before and after (lowbit only; f32's, or
# for bf16 that of bf16 tiles where there are any). All activations are kept, as PyTorch does, but for `checkpoints`: there
# each block is computed twice (the default of lowbit train). avx512: without tiles. w2g128, w4a4kv4: through these
# quantizers. PyTorch in bf16 is there twice: autocast, and products alone (medium).
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 rounds=${2:-3} dir=out/bench
field() { sed -n "s/.*\"$1\": \([-0-9.e]*\),*/\1/p" | head -1; }
ours() { # ROUND NAME FLAGS…
    local round=$1 name=$2 json
    shift 2
    json=$(build/lowbit bench train -q --json -t 2 --shape qwen3-0.1b --dir $dir --tokens 1024 -r 3 "$@")
    printf '%s,lowbit-%s,%s,%.3f\n' "$round" "$name" "$(field t_s <<<"$json")" \
        "$(awk "BEGIN { print $(field gflop_s <<<"$json") / $(field peak_gflop_s <<<"$json") }")"
}
echo round,who,seconds,share_of_peak
torch() { # ROUND NAME
    echo "$1,torch-$2,$("$python" tools/bench_torch_train.py $dir/qwen3-0.1b 1024 2 3 "$2" 2>/dev/null | tail -1),"
}
for r in $(seq "$rounds"); do
    ours "$r" f32 --keep
    torch "$r" f32
    ours "$r" f32-avx512 --keep --isa avx512
    ours "$r" bf16x2 --keep --compute bf16x2
    torch "$r" autocast
    ours "$r" bf16 --keep --compute bf16
    torch "$r" medium
    ours "$r" f32-checkpoints
    ours "$r" bf16-checkpoints --compute bf16
    ours "$r" f32-w2g128 --keep --scheme w2g128
    ours "$r" f32-w4a4kv4 --keep --scheme w4a4kv4
done
