#!/usr/bin/env bash
# bad_input – broken models, data and places: one clear message, the right exit code, nothing half-written left behind.
. tests/cli/lib
model() { rm -rf "$dir/m"; cp -r $M "$dir/m"; chmod -R u+w "$dir/m"; } # a copy to break
run() { expect "$1" "$2" "$LOWBIT" run -q -m "$dir/m" -p x -n 2; }
size=$(stat -c %s $M/model.safetensors)

expect 3 'not a folder' "$LOWBIT" run -m "$dir/none" -p x
model; rm "$dir/m/config.json"; run 1 'config.json'
model; echo '{' >"$dir/m/config.json"; run 3 'not valid JSON'
model; sed -i 's/"hidden_size": 256/"hidden_size": 512/' "$dir/m/config.json"; run 3 "\[2048,256\], config.json wants \[2048,512\]"
model; sed -i 's/"num_hidden_layers": 6/"num_hidden_layers": 7/; s/"layer_types"/"x"/' "$dir/m/config.json"; run 3 'model.layers.6'
model; sed -i 's/"silu"/"gelu"/' "$dir/m/config.json"; run 3 'gelu'
model; sed -i 's/"qwen3"/"mamba"/' "$dir/m/config.json"; run 3 'mamba'
model; rm "$dir/m/model.safetensors"; run 3 'no weights found'
model; truncate -s 5 "$dir/m/model.safetensors"; run 3 'model.safetensors'
model; truncate -s $((size / 2)) "$dir/m/model.safetensors"; run 3 'model.safetensors'
model; printf '\377\377\377\377\377\377\377\177' | dd of="$dir/m/model.safetensors" conv=notrunc 2>/dev/null; run 3 'model.safetensors'
model; rm "$dir/m/tokenizer.json"; run 1 'tokenizer.json'
model; echo '{"model": {"type": "Unigram"}}' >"$dir/m/tokenizer.json"; run 3 'tokenizer.json'
model; echo '{"chat_template": "{% for i in range(1000000000) %}{% for j in range(1000000000) %}x{% endfor %}{% endfor %}"}' >"$dir/m/tokenizer_config.json"; run 3 'template'
model; echo '{"chat_template": "{% if %}"}' >"$dir/m/tokenizer_config.json"; run 3 'line 1'
model; echo '{"temperature": -3}' >"$dir/m/generation_config.json"; run 3 'temperature'
model; mkfifo "$dir/m/fifo"; rm "$dir/m/config.json"; mv "$dir/m/fifo" "$dir/m/config.json"; run 3 'special file'

# shards: a missing one, and names that lead out of the folder
model; rm "$dir/m/model.safetensors"
echo '{"metadata": {}, "weight_map": {"model.norm.weight": "model-00002-of-00002.safetensors"}}' >"$dir/m/model.safetensors.index.json"; run 3 'model-00002-of-00002'
echo '{"metadata": {}, "weight_map": {"model.norm.weight": "../../etc/passwd"}}' >"$dir/m/model.safetensors.index.json"; run 3 'etc/passwd'

# NaN and infinity in the weights: named with their place
model; header=$(od -An -t u8 -N 8 "$dir/m/model.safetensors" | tr -d ' ')
printf '\300\177' | dd of="$dir/m/model.safetensors" bs=1 seek=$((8 + header + 700000)) conv=notrunc 2>/dev/null
expect 1 "NaN" "$LOWBIT" quantize -q -m "$dir/m" --scheme w4 -o "$dir/q"; gone "$dir/q"

# where the output goes
expect 2 'is the input' "$LOWBIT" quantize -q -m "$dir/m" --scheme w4 -o "$dir/m"
mkdir "$dir/full"; touch "$dir/full/x"; expect 2 'exists already' "$LOWBIT" quantize -q -m $M --scheme w4 -o "$dir/full"; gone "$dir/full.tmp"
touch "$dir/file"; expect 1 'file' "$LOWBIT" quantize -q -m $M --scheme w4 -o "$dir/file/q"; gone "$dir/file/"
expect 1 'proc' "$LOWBIT" quantize -q -m $M --scheme w4 -o /proc/lowbit-q
expect 2 'group 512' "$LOWBIT" quantize -q -m $M --scheme w4g512 -o "$dir/q"; gone "$dir/q"
# a full disk: files may not grow beyond 1 MB here
expect 1 'cannot|File too large' bash -c 'trap "" XFSZ; ulimit -f 1000; exec "$LOWBIT" quantize -q -m models/abacus-5m --scheme w4 -o "$0"' "$dir/q"; gone "$dir/q"
"$LOWBIT" quantize -q -m $M --scheme w4 -o "$dir/q4" >/dev/null || bad=1
expect 3 'quantized already' "$LOWBIT" quantize -q -m "$dir/q4" --scheme w3 -o "$dir/q"
sed -i 's/"num_bits": 4/"num_bits": 5/' "$dir/q4/config.json"; expect 3 'num_bits 5;' "$LOWBIT" run -q -m "$dir/q4" -p x

# data rows
mkdir -p "$dir/data/abacus"
rows() { printf '%s\n' "$1" >"$dir/data/abacus/chain.jsonl"; expect 3 "$2" "$LOWBIT" eval -q -m $M --tasks chain --data "$dir/data" --db "$dir/r.sqlite"; }
rows '' 'no rows'
rows '{"problem": "x"}' "chain.jsonl:1: 'answer' is missing"
rows '{"problem": 3, "answer": "1"}' "'problem' is an integer"
rows '[]' 'has no rows'
rows '{"problem": "x", "answer": "1", "level": 9}' 'level'
rows "{\"problem\": \"$(printf 'a b %.0s' $(seq 3000))\", \"answer\": \"1\"}" 'context'
expect 1 'nothere' "$LOWBIT" eval -q -m $M --tasks chain --data "$dir/nothere"
echo 'this is no database, it is a text that is longer than a header' >"$dir/x.sqlite"
expect 3 'not a database' "$LOWBIT" eval -q -m $M --tasks chain --limit 1 --db "$dir/x.sqlite"
echo '{"name": "x", "model": "m", "runs": [{"scheme": "w4"}]}' >"$dir/r.json"; expect 3 "'method' is missing" "$LOWBIT" study "$dir/r.json"
echo '{"name": "x", "model": "m", "tpyo": 1, "runs": [{"scheme": "w16"}]}' >"$dir/r.json"; expect 3 'tpyo' "$LOWBIT" study "$dir/r.json"
finish
