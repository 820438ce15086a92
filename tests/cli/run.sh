#!/usr/bin/env bash
# run – an answer, the same at every level, with any number of threads; stop strings; JSON.
. tests/cli/lib
P='Compute $12 \cdot 34$.'
want=$("$LOWBIT" run -q -m $M -p "$P" --temp 0)
case "$want" in *'</think>'*'\boxed{408}'*) ;; *) echo "FAIL: answer: $want"; bad=1 ;; esac
for isa in ref avx2 avx512; do
    "$LOWBIT" run -q -m $M -p "$P" --temp 0 --isa $isa >"$dir/a" 2>"$dir/e" || { grep -q 'stops at' "$dir/e" && continue; echo "FAIL: $isa"; cat "$dir/e"; bad=1; continue; }
    [ "$(cat "$dir/a")" = "$want" ] || { echo "FAIL: --isa $isa: $(cat "$dir/a")"; bad=1; }
done
one=$("$LOWBIT" run -q -m $M -p "$P" --temp 1 -t 1)
two=$("$LOWBIT" run -q -m $M -p "$P" --temp 1 -t 2)
[ "$one" = "$two" ] || { echo "FAIL: threads change the text"; bad=1; }
cut=$("$LOWBIT" run -q -m $M -p "$P" --temp 0 --stop '</think>')
[ "$cut" = "$(printf %s "${want%%</think>*}")" ] || { echo "FAIL: stop string: $cut"; bad=1; }
"$LOWBIT" run --json -m $M -p "$P" --temp 0 -n 5 | grep -q '"finish_reason": "length"' || { echo "FAIL: json"; bad=1; }
"$LOWBIT" run --json --logprobs -m $M -p "$P" --temp 0 -n 3 | grep -c '"logprob": -\{0,1\}[0-9]' | grep -q 3 || { echo "FAIL: logprobs"; bad=1; }
printf 'Compute $3 + 4$.\nCompute $5 + 6$.\n' | "$LOWBIT" run -q -m $M --temp 0 2>/dev/null | grep -c 'boxed' | grep -q 2 || { echo "FAIL: chat"; bad=1; }
expect 0 'Qwen3ForCausalLM' "$LOWBIT" inspect $M
expect 0 '"bits_per_weight": 16' "$LOWBIT" inspect --json $M
finish
