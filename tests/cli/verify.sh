#!/usr/bin/env bash
# verify – every folder that lowbit writes is what was meant; a bit turned anywhere in it is found and named.
. tests/cli/lib
q() { "$LOWBIT" quantize -q -m $M "${@:2}" -o "$dir/$1" >/dev/null || { echo "FAIL: quantize $*"; bad=1; }; }
V=("$LOWBIT" verify -q)
q w3 --scheme w3g128; q w4 --scheme w4g-1s; q head --scheme w2g64 --tensor lm_head=w8g128; q sq --method smoothquant --scheme w8a8kv8 --calib chain --nsamples 2 --seqlen 64
q fp --scheme nvfp4
expect 0 'verified. 68 tensors, 42 linear layers, 0 of them' "${V[@]}" $M
expect 0 'verified.* 42 of them quantized, 3.2[0-9]+ bits per weight as executed; 42 hashes' "${V[@]}" "$dir/w3"
for m in w4 sq fp; do expect 0 'verified.*; 42 hashes of the quantizer match' "${V[@]}" "$dir/$m"; done
expect 0 'verified.*; 43 hashes of the quantizer match' "${V[@]}" "$dir/head"
expect 0 'method moved numbers between layers' "${V[@]}" "$dir/sq" --against $M
# the errors are those that the quantizer saw
for m in w3 head fp; do
    "${V[@]}" "$dir/$m" --against $M --json >"$dir/j" || bad=1
    python3 - "$dir/j" "$dir/$m/lowbit-quantize.json" <<'E2' || bad=1
import json, sys
got = {m["name"]: m["error"] for m in json.load(open(sys.argv[1]))["modules"]}
want = {m["name"]: m["mse_rel"] for m in json.load(open(sys.argv[2]))["modules"]}
assert got.keys() == want.keys() and all(abs(got[n] / want[n] - 1) < 1e-6 for n in got), (got, want)
E2
done
expect 0 'worst: model.layers.[0-9].* block [0-9] with' "${V[@]}" "$dir/w3" --against $M
expect 0 '^ head  [0-9.e-]+$' "${V[@]}" "$dir/head" --against $M
# damage: KIND PATTERN TENSOR BYTE: one bit of one tensor
damage() {
    rm -rf "$dir/x"; cp -r "$dir/w3" "$dir/x"
    python3 - "$dir/x/model.safetensors" "$2" "$3" "$4" <<'E2' || bad=1
import json, struct, sys
path, name, at, value = sys.argv[1], sys.argv[2], int(sys.argv[3]), bytes.fromhex(sys.argv[4])
with open(path, "r+b") as f:
    n, = struct.unpack("<Q", f.read(8))
    off = json.loads(f.read(n))[name]["data_offsets"][0]
    f.seek(8 + n + off + at)
    old = f.read(len(value))
    f.seek(8 + n + off + at)
    f.write(bytes(a ^ b for a, b in zip(old, value)) if len(value) == 1 else value)
E2
    expect "$1" "$5" "${V[@]}" "$dir/x"
}
L=model.layers.2.mlp.up_proj
damage 5 $L.weight_packed 1000 01 "'$L' is not what was quantized"
damage 5 $L.weight_scale 10 01 "'$L' is not what was quantized"
damage 5 $L.weight_zero_point 4 01 "'$L' is not what was quantized"
damage 1 $L.weight_scale 10 c07f 'weight_scale.* (NaN|holds)'
damage 1 model.layers.1.input_layernorm.weight 4 807f 'input_layernorm.weight'
damage 1 model.embed_tokens.weight 0 c07f 'embed_tokens.weight'
damage 3 $L.weight_shape 0 05 'weight_shape'
edit() { rm -rf "$dir/x"; cp -r "$dir/w3" "$dir/x"; sed -i "$1" "$dir/x/$2"; expect "$3" "$4" "${V[@]}" "$dir/x" "${@:5}"; }
edit 's/"hash": "./"hash": "x/' lowbit-quantize.json 5 'is not what was quantized'
edit 's/layers.3.mlp/layers.3.mpl/' lowbit-quantize.json 5 "knows nothing of 'model.layers.3.mlp"
edit 's/"model": "./"model": "x/' lowbit-quantize.json 5 'was not made from' --against $M
edit 's/"modules"/"modjules"/' lowbit-quantize.json 3 "'modules' is missing"
edit 's/"num_hidden_layers": 6/"num_hidden_layers": 7/' config.json 3 'layers.6'
edit 's/"group_size": 128/"group_size": 64/' config.json 3 'weight_zero_point'
rm "$dir/x/lowbit-quantize.json"; cp "$dir/w3/config.json" "$dir/x"
expect 0 'no lowbit-quantize.json' "${V[@]}" "$dir/x"
expect 1 'cannot open' "${V[@]}" "$dir/x" --against "$dir/nosuch"
expect 3 'not a folder' "${V[@]}" "$dir/nosuch"
expect 2 'no model' "${V[@]}"
finish
