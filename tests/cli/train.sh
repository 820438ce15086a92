#!/usr/bin/env bash
# train – `lowbit train` as a user has it: a run that was killed at random moments, or stopped, ends in the bytes of one that
# was not; recipes and inputs that cannot work are refused with one line; the log says what it should.
. tests/cli/lib

# 60 traces with the solutions that the training problems come with: enough to learn from, quick to make.
head -60 data/abacus/train.jsonl >"$dir/problems.jsonl"
cat >"$dir/recipe.json" <<J
{"name": "small", "scheme": "w2g128", "seed": 5, "keep_every": 2,
 "traces": {"prompts": "$dir/problems.jsonl", "nprompts": 40, "max_new": 160},
 "start": {"method": "gptq", "nsamples": 4, "seqlen": 64,
           "calib": {"prompts": "$dir/problems.jsonl", "where": {"family": "code"}, "nprompts": 8, "max_new": 160}},
 "curve": {"every": 4, "tasks": "chain", "limit": 2, "seeds": [42], "max_new": 64},
 "stages": [{"kind": "kd", "steps": 5, "tokens": 512, "seq_tokens": 256, "lr": 3e-4, "warmup": 1},
            {"kind": "grpo", "steps": 2, "n_prompt": 2, "group": 2, "max_new": 96, "seq_tokens": 512, "lr": 1e-5, "gate": 0}]}
J
train() { "$LOWBIT" train -q -t 1 -m $M --recipe "$dir/recipe.json" -o "$1"; }

# one undisturbed run
train "$dir/a" >"$dir/out.txt" || { echo "FAIL: the run"; exit 1; }
grep -q 'packed, written and read back' "$dir/out.txt" || { echo "FAIL: it does not say what it did"; bad=1; }
"$LOWBIT" verify "$dir/a" >/dev/null || { echo "FAIL: verify"; bad=1; }
[ -e "$dir/a.partial" ] && { echo "FAIL: left its working folder"; bad=1; }
for f in recipe.json train.jsonl latent.safetensors model.safetensors report.html; do [ -s "$dir/a/$f" ] || { echo "FAIL: no $f"; bad=1; }; done
[ "$(wc -l <"$dir/a/train.jsonl")" -eq 7 ] || { echo "FAIL: train.jsonl has $(wc -l <"$dir/a/train.jsonl") lines, wanted 7"; bad=1; }
grep -q '"stage":"1-kd","step":5,.*"kl":.*"tokens_per_s"' "$dir/a/train.jsonl" || { echo "FAIL: a line of kd"; bad=1; }
grep -q '"stage":"2-grpo","step":2,.*"reward":.*"length":.*"truncated":' "$dir/a/train.jsonl" || { echo "FAIL: a line of grpo"; bad=1; }

# points before the first step, every four of a stage and after its last; samples of the results database
[ "$(sed 's/.*"stage":"\([^"]*\)","step":\([0-9]*\),"steps":\([0-9]*\),.*/\1 \2 \3/' "$dir/a/curve.jsonl" | tr '\n' ,)" = "1-kd 0 0,1-kd 4 4,1-kd 5 5,2-grpo 2 7," ] ||
    { echo "FAIL: points of the curve"; cat "$dir/a/curve.jsonl"; bad=1; }
grep -q '"samples":2,"average":[0-9.]*,"average_stderr":.*"tasks":{"chain":{"accuracy":' "$dir/a/curve.jsonl" || { echo "FAIL: a point of the curve"; bad=1; }
"$LOWBIT" report "$dir/a/results.sqlite" --models small@2-grpo-2 -o "$dir/pages" >/dev/null || { echo "FAIL: its samples"; bad=1; }
# training does not notice that it is watched
sed '/"curve"/d' "$dir/recipe.json" >"$dir/unwatched.json"
"$LOWBIT" train -q -t 1 -m $M --recipe "$dir/unwatched.json" -o "$dir/unwatched" >/dev/null || { echo "FAIL: without a curve"; bad=1; }
for f in model.safetensors latent.safetensors; do cmp "$dir/a/$f" "$dir/unwatched/$f" || { echo "FAIL: the curve changes $f"; bad=1; }; done
[ ! -e "$dir/unwatched/curve.jsonl" ] && [ ! -e "$dir/unwatched/results.sqlite" ] || { echo "FAIL: a curve that nobody wanted"; bad=1; }

# killed at random moments, then finished
kills=$([ "${LB_LONG:-0}" = 1 ] && echo 20 || echo 4)
for i in $(seq "$kills"); do
    "$LOWBIT" train -q -t 1 -m $M --recipe "$dir/recipe.json" -o "$dir/b" >/dev/null 2>&1 &
    pid=$!
    sleep "0.$((RANDOM % 9))$((RANDOM % 10))" & wait $!
    [ $((i % 2)) -eq 0 ] && sleep "$((RANDOM % 3))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -e "$dir/b" ] && break
done
[ -e "$dir/b" ] || train "$dir/b" >/dev/null || { echo "FAIL: it does not go on after kill -9"; bad=1; }
for f in model.safetensors latent.safetensors; do
    cmp -s "$dir/a/$f" "$dir/b/$f" || { echo "FAIL: $f differs after kill -9"; bad=1; }
done
strip() { sed 's/,"tokens_per_s":[^,}]*//' "$1"; }
[ "$(strip "$dir/a/train.jsonl")" = "$(strip "$dir/b/train.jsonl")" ] || { echo "FAIL: the log differs after kill -9"; bad=1; }

cmp "$dir/a/curve.jsonl" "$dir/b/curve.jsonl" || { echo "FAIL: the curve differs after kill -9"; bad=1; }

# stopped by a signal: a checkpoint, status 143, and the same bytes
"$LOWBIT" train -q -t 1 -m $M --recipe "$dir/recipe.json" -o "$dir/c" >/dev/null 2>"$dir/.err" &
pid=$!
for _ in $(seq 600); do grep -qs '"step":1' "$dir/c.partial/train.jsonl" && break; sleep 0.05; done
kill -TERM $pid
wait $pid
status=$?
if [ -e "$dir/c" ]; then echo "note: it was finished before the signal"
else
    [ $status -eq 143 ] || { echo "FAIL: SIGTERM gives $status"; cat "$dir/.err"; bad=1; }
    [ -s "$dir/c.partial/checkpoint.safetensors" ] || { echo "FAIL: stopped without a checkpoint"; bad=1; }
    # another recipe does not go on here
    sed 's/3e-4/2e-4/' "$dir/recipe.json" >"$dir/other.json"
    expect 2 'another recipe \(stages\[0\]\.lr: 0\.0002, was 0\.0003' "$LOWBIT" train -q -m $M --recipe "$dir/other.json" -o "$dir/c"
    # nor does a full disk lose the checkpoint
    cp "$dir/c.partial/checkpoint.safetensors" "$dir/before"
    (ulimit -f 2000; exec "$LOWBIT" train -q -t 1 -m $M --recipe "$dir/recipe.json" -o "$dir/c") >/dev/null 2>"$dir/.err"
    status=$?
    if [ $status -eq 0 ] || [ $status -ge 128 ]; then echo "FAIL: no room for a checkpoint gives $status"; bad=1; fi
    cmp -s "$dir/before" "$dir/c.partial/checkpoint.safetensors" || { echo "FAIL: the checkpoint was lost on a full disk"; bad=1; }
    train "$dir/c" >/dev/null || { echo "FAIL: it does not go on after SIGTERM"; bad=1; }
fi
cmp -s "$dir/a/model.safetensors" "$dir/c/model.safetensors" || { echo "FAIL: other bytes after SIGTERM"; bad=1; }

# from nothing: no weight is the model's, and it learns
printf '{"prompt":"<|im_start|>user\\nCompute $2+3$.<|im_end|>\\n<|im_start|>assistant\\n","text":"<think>\\n2+3 = 5\\n</think>\\n\\n5","finish":"stop"}\n' >"$dir/five.jsonl"
cat >"$dir/new.json" <<J
{"name": "new", "scheme": "w16", "traces": {"file": "$dir/five.jsonl"}, "start": {"method": "scratch"},
 "stages": [{"kind": "sft", "steps": 6, "warmup": 1, "tokens": 64, "seq_tokens": 64, "lr": 2e-3, "train": ["linears", "norms", "embed"]}]}
J
"$LOWBIT" train -q -t 1 -m $M --recipe "$dir/new.json" -o "$dir/new" >/dev/null && "$LOWBIT" verify "$dir/new" | grep -q ' 16.000 bits' ||
    { echo "FAIL: a model from scratch"; bad=1; }
python3 -c 'if True:
    import json, sys
    loss = [json.loads(l)["loss"] for l in open(sys.argv[1] + "/train.jsonl")]
    assert 7 < loss[0] < 9 and loss[-1] < 0.7 * loss[0], loss
    def tensors(d):
        b = open(d + "/model.safetensors", "rb").read()
        n = int.from_bytes(b[:8], "little")
        return {k: b[8 + n:][v["data_offsets"][0]:v["data_offsets"][1]] for k, v in json.loads(b[8:8 + n]).items() if k != "__metadata__"}
    a, b = tensors(sys.argv[2]), tensors(sys.argv[1])
    assert a.keys() == b.keys() and not [k for k in a if a[k] == b[k]]' "$dir/new" $M || { echo "FAIL: what it learned"; bad=1; }

# bad input
bad_recipe() { # PATTERN STATUS JSON
    echo "$3" >"$dir/bad.json"
    expect "$2" "$1" "$LOWBIT" train -q -t 1 -m $M --recipe "$dir/bad.json" -o "$dir/x"
}
K='"stages":[{"kind":"kd","steps":2,"tokens":256,"seq_tokens":256}]'
expect 2 'no recipe' "$LOWBIT" train -m $M -o "$dir/x"
expect 2 'no output' "$LOWBIT" train -m $M --recipe "$dir/recipe.json"
expect 2 'exists' "$LOWBIT" train -q -m $M --recipe "$dir/recipe.json" -o "$dir/a"
expect 1 'nothing' "$LOWBIT" train -q -m $M --recipe "$dir/nothing.json" -o "$dir/x"
bad_recipe "'kind' is 'dpo'; there are sft, kd, opd, grpo" 3 '{"name":"x","scheme":"w2g128","stages":[{"kind":"dpo"}]}'
bad_recipe 'block floats are not trained' 3 '{"name":"x","scheme":"mxfp4","start":{"method":"none"},"traces":{"file":"'"$dir"'/t.jsonl"},'"$K}"
printf '{"prompt":"p","text":"","finish":"stop"}\n' >"$dir/t.jsonl"
rm -rf "$dir"/x*
bad_recipe '1 are empty' 3 '{"name":"x","scheme":"w2g128","start":{"method":"none"},"traces":{"file":"'"$dir"'/t.jsonl"},'"$K}"
printf '{"prompt":"p","text":"a","ids":[5000],"finish":"stop"}\n' >"$dir/t.jsonl"
rm -rf "$dir"/x*
bad_recipe 'is no token' 3 '{"name":"x","scheme":"w2g128","start":{"method":"none"},"traces":{"file":"'"$dir"'/t.jsonl"},'"$K}"
rm -rf "$dir"/x*
bad_recipe "gate is 90%" 6 '{"name":"x","scheme":"w2g128","start":{"method":"none"},"stages":[{"kind":"grpo","steps":1,"n_prompt":2,"group":2,"prompts":"'"$dir"'/problems.jsonl","gate":0.9,"gate_samples":6,"max_new":64,"seq_tokens":512}]}'
rm -rf "$dir"/x*
rm -rf "$dir"/x*
bad_recipe 'has a vocabulary of [0-9]+, the model one of' 2 '{"name":"x","scheme":"w2g128","start":{"method":"none"},"teacher":"tests/golden/data/models/qwen3","traces":{"file":"'"$dir"'/five.jsonl"},'"$K}"
rm -rf "$dir"/x*
# a rate that blows up: the last good checkpoint stays, and the place is named
bad_recipe "step [0-9]+; the last checkpoint is kept: .*(layer [0-9]|'model\\.).* is not finite" 1 '{"name":"x","scheme":"w2g128","keep_every":5,"start":{"method":"none"},"traces":{"file":"'"$dir"'/five.jsonl"},"stages":[{"kind":"sft","steps":80,"schedule":"constant","warmup":0,"lr":10,"weight_decay":1,"tokens":64,"seq_tokens":64}]}'
[ -s "$dir/x.partial/checkpoint.safetensors" ] || { echo "FAIL: the last checkpoint is gone after a NaN"; bad=1; }
rm -rf "$dir"/x*
bad_recipe "trains nothing" 2 '{"name":"x","scheme":"w2g128","start":{"method":"none"},"traces":{"file":"'"$dir"'/a/../ok.jsonl"},"stages":[{"kind":"sft","train":["scales"],"steps":1,"tokens":256,"seq_tokens":256}]}'
finish
