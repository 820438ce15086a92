#!/usr/bin/env bash
# quantize – every width, group and symmetry is written, read back, and answers; a complete folder; sizes as computed.
. tests/cli/lib
P='Compute $12 \cdot 34$.'
for s in w8g128 w8g-1s w4g32 w4g128s w3g64 w3g128 w2g128 w2g32 w2g128h; do
    "$LOWBIT" quantize -q -m $M --scheme $s -o "$dir/$s" >"$dir/log" 2>&1 || { echo "FAIL: $s"; cat "$dir/log"; bad=1; continue; }
    grep -q 'read back and equal' "$dir/log" || bad=1
    for f in config.json generation_config.json tokenizer.json tokenizer_config.json model.safetensors; do
        [ -s "$dir/$s/$f" ] || { echo "FAIL: $s lacks $f"; bad=1; }
    done
    "$LOWBIT" run -q -m "$dir/$s" -p "$P" --temp 0 -n 100 >"$dir/text" 2>&1 || { echo "FAIL: run $s"; cat "$dir/text"; bad=1; }
    case $s in w8*|w4g32) grep -q 'boxed{408}' "$dir/text" || { echo "FAIL: $s answers $(cat "$dir/text")"; bad=1; } ;; esac
done
# the same bytes again, with another number of threads
"$LOWBIT" quantize -q -m $M --scheme w3g64 -o "$dir/again" -t 1 >/dev/null || bad=1
cmp "$dir/w3g64/model.safetensors" "$dir/again/model.safetensors" || bad=1
# packed kernels of every level answer alike
for isa in ref avx2 avx512; do
    "$LOWBIT" run -q -m "$dir/w4g32" -p "$P" --temp 0 -n 60 --isa $isa >"$dir/t-$isa" 2>"$dir/e" || { grep -q 'stops at' "$dir/e" || bad=1; continue; }
    cmp "$dir/t-ref" "$dir/t-$isa" || { echo "FAIL: $isa differs from ref"; bad=1; }
done
# rules: a layer left alone, a head of its own; the plan says so
"$LOWBIT" quantize -q -m $M --scheme w4 --tensor 'layers\.0\.=w16' --tensor 'down_proj=w8g128' --tensor 'lm_head=w8g128' --dry-run >"$dir/plan" || bad=1
grep -q 'layers.0.mlp.down_proj .* w16$' "$dir/plan" && grep -q 'layers.1.mlp.down_proj .* w8g128$' "$dir/plan" && grep -q 'lm_head .* w8g128$' "$dir/plan" || { cat "$dir/plan"; bad=1; }
"$LOWBIT" quantize -q -m $M --scheme w4 --tensor 'layers\.0\.=w16' --tensor 'down_proj=w8g128' --tensor 'lm_head=w8g128' -o "$dir/mix" >/dev/null || bad=1
expect 0 'linear layers: bf16 in 7, w4g128 in 30, w8g128 in 5; lm_head: w8g128' "$LOWBIT" inspect "$dir/mix"
# the balanced grid: one scale a row, made, read back, run
expect 0 '42 layers by rtn w2g-1h' "$LOWBIT" quantize -m $M --scheme w2g-1h -o "$dir/half" -q
expect 0 'linear layers: w2g-1h in 42' "$LOWBIT" inspect "$dir/half"
expect 0 'verified' "$LOWBIT" verify "$dir/half"
expect 2 'weights of 2 bits, not 3' "$LOWBIT" quantize -m $M --scheme w3g128h -o "$dir/none" -q
# inspect tells what runs beside the weights, and counts bits as quantize does
"$LOWBIT" quantize -q -m $M --scheme w4a4 --method quarot --kv kv4-quarot -o "$dir/rot" --json >"$dir/made" || bad=1
expect 0 'activations: int, 4 bits, clip 0.9; transforms: o kron, down hadamard; KV cache: kv4-quarot, 864 bytes per token' "$LOWBIT" inspect "$dir/rot"
expect 0 '^made by quarot\+rtn, w4a4' "$LOWBIT" inspect "$dir/rot"
"$LOWBIT" inspect "$dir/rot" --json >"$dir/told" || bad=1
python3 - "$dir/told" "$dir/made" <<'E2' || bad=1
import json, sys
told, made = (json.load(open(p)) for p in sys.argv[1:])
assert told["schemes"] == {"w4g-1s": 42} and told["activations"] == {"kind": "int", "bits": 4, "clip": told["activations"]["clip"]}, told
assert told["transforms"] == {"o": "kron", "down": "hadamard"} and told["kv_cache"] == "kv4-quarot", told
assert told["bits_per_weight_file"] == made["bits_per_weight"] < told["bits_per_weight"], (told, made)
E2
grep -q '"tie_word_embeddings": false' "$dir/mix/config.json" || bad=1
"$LOWBIT" run -q -m "$dir/mix" -p "$P" --temp 0 | grep -q 'boxed{408}' || { echo "FAIL: mixed model"; bad=1; }
finish
