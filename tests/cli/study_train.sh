#!/usr/bin/env bash
# study_train – a study with runs that are trained: traces are made once, runs that train alike share a model, runs that begin
# alike share that, to the bytes of one that shares nothing; tables and the report say what was trained; killed while it trains,
# the study goes on from the checkpoint to the same bytes.
. tests/cli/lib
cat >"$dir/t.json" <<'JSON'
{"name": "file", "scheme": "w4g128", "start": {"method": "rtn"}, "eval": {"tasks": "abacus"},
 "stages": [{"kind": "sft", "steps": 2, "tokens": 256, "seq_tokens": 256, "lr": 1e-4}]}
JSON
cat >"$dir/r.json" <<JSON
{"name": "small", "model": "models/abacus-5m", "tasks": "chain", "limit": 2, "seeds": [42], "max_new": 120,
 "trace": {"chain": {"prompts": "data/abacus/train.jsonl", "where": {"family": "chain"}, "nprompts": 16, "max_new": 160},
           "code": {"prompts": "data/abacus/train.jsonl", "where": {"family": "code"}, "nprompts": 4, "max_new": 160}},
 "train": {"keep_every": 2, "traces": {"file": "self:chain"}, "start": {"nsamples": 4, "seqlen": 64, "calib": "self:code"},
           "curve": {"every": 6, "limit": 1, "max_new": 40}},
 "runs": [{"scheme": "w16"},
          {"scheme": "w2g128", "method": "gptq", "train": {"stages": [
            {"kind": "kd", "steps": 7, "tokens": 512, "seq_tokens": 256, "lr": 3e-4, "warmup": 1}]}},
          {"scheme": "w2g128", "method": "gptq", "train": {"stages": [
            {"kind": "kd", "steps": 7, "tokens": 512, "seq_tokens": 256, "lr": 3e-4, "warmup": 1},
            {"kind": "grpo", "steps": 1, "n_prompt": 2, "group": 2, "max_new": 64, "seq_tokens": 512, "lr": 1e-5, "gate": 0}]}},
          {"scheme": "w2g128", "method": "gptq", "group": "again", "train": {"stages": [
            {"kind": "kd", "steps": 7, "tokens": 512, "seq_tokens": 256, "lr": 3e-4, "warmup": 1},
            {"kind": "grpo", "steps": 1, "n_prompt": 2, "group": 2, "max_new": 64, "seq_tokens": 512, "lr": 1e-5, "gate": 0}]}},
          {"scheme": "w2g128", "label": "from a file", "train": {"recipe": "$dir/t.json"}}],
 "quick": {"steps": 1}}
JSON
study() { "$LOWBIT" study -q -t 1 "$dir/r.json" -o "$1"; }
study "$dir/a" >"$dir/out.txt" 2>&1 || { echo "FAIL: the study"; cat "$dir/out.txt"; exit 1; }
grep -q '^w2g128 gptq → kd → grpo ' "$dir/a/table.txt" || { echo "FAIL: the table does not say what was trained"; bad=1; }
grep -q ',w2g128,gptq → kd → grpo,,done,' "$dir/a/results.csv" || { echo "FAIL: nor does the CSV"; bad=1; }
grep -q ',w2g128,rtn → sft,,done,' "$dir/a/results.csv" || { echo "FAIL: the recipe in a file"; bad=1; }
python3 -c 'if True:
    import json, sys
    runs = json.load(open(sys.argv[1]))["runs"]
    assert runs[2]["model"] == runs[3]["model"] != runs[4]["model"] != runs[1]["model"], "not one model, or one too few"
    assert runs[2]["train"]["traces"]["nprompts"] == 16 and runs[4]["train"]["scheme"] == "w2g128"
    assert runs[2]["method"] == "gptq → kd → grpo" and "train" not in runs[0]' "$dir/a/results.json" || bad=1
[ "$(ls "$dir/a/models" | wc -l)" -eq 3 ] || { echo "FAIL: not three models:" "$dir/a/models"/*; bad=1; }
[ "$(ls "$dir/a/traces" | grep -vc prompts)" -eq 2 ] || { echo "FAIL: traces more than once"; bad=1; }
grep -q '"stage":"1-kd","step":6,"steps":6,.*"samples":1,' "$dir"/a/models/w2g128-gptq-kd-grpo-*/curve.jsonl || { echo "FAIL: no curve"; bad=1; }
for m in "$dir"/a/models/*; do "$LOWBIT" verify "$m" >/dev/null || { echo "FAIL: verify $m"; bad=1; }; done

# the longer run begins with the shorter one's stage, timings and all, and ends where it would have ended by itself
long=$(ls -d "$dir"/a/models/w2g128-gptq-kd-grpo-*) short=$(ls -d "$dir"/a/models/w2g128-gptq-kd-????????)
cmp "$short/train.jsonl" <(head -7 "$long/train.jsonl") || { echo "FAIL: the first stage was trained twice"; bad=1; }
cmp "$short/curve.jsonl" <(head -3 "$long/curve.jsonl") || { echo "FAIL: nor does the curve go on"; bad=1; }
[ ! -e "$dir/a/stages" ] || { echo "FAIL: left behind:" "$dir"/a/stages/*; bad=1; }
"$LOWBIT" train -q -t 1 -m models/abacus-5m --recipe "$long/recipe.json" -o "$dir/alone" >/dev/null || { echo "FAIL: the same by lowbit train"; bad=1; }
for f in model.safetensors latent.safetensors curve.jsonl; do cmp "$dir/alone/$f" "$long/$f" || { echo "FAIL: what is shared changes $f"; bad=1; }; done

# killed when some steps are done, again and again
died=0
for n in 1 4 6 15; do
    "$LOWBIT" study -q -t 1 "$dir/r.json" -o "$dir/b" >/dev/null 2>&1 &
    pid=$!
    while [ -e /proc/$pid ] && [ "$(cat "$dir"/b/models/w2g128-gptq-*/train.jsonl 2>/dev/null | wc -l)" -lt $n ]; do sleep 0.02; done
    kill -KILL $pid && died=$((died + 1))
    wait $pid
done 2>/dev/null
[ $died -ge 2 ] || { echo "FAIL: only $died of 4 were killed"; bad=1; }
cat "$dir"/b/models/w2g128-gptq-kd-*/train.jsonl 2>/dev/null | head -4 >"$dir/first"
study "$dir/b" >/dev/null 2>&1 || { echo "FAIL: it does not go on"; bad=1; }
# steps before the checkpoint are not taken again: their lines say how fast they were
[ ! -s "$dir/first" ] || cmp "$dir/first" <(head -4 "$dir"/b/models/w2g128-gptq-kd-grpo-*/train.jsonl) || { echo "FAIL: trained from the beginning"; bad=1; }
for m in "$dir"/a/models/*; do
    cmp "$m/model.safetensors" "$dir/b/models/${m##*/}/model.safetensors" || bad=1
    cmp "$m/latent.safetensors" "$dir/b/models/${m##*/}/latent.safetensors" || bad=1
    cmp "$m/curve.jsonl" "$dir/b/models/${m##*/}/curve.jsonl" || bad=1
done
[ "$(ls "$dir/b/models" | wc -l)" -eq 3 ] && [ ! -e "$dir/b/stages" ] || { echo "FAIL: left behind:" "$dir/b/models"/*; bad=1; }
for i in main-w2g128-gptq-kd main-w2g128-gptq-kd-grpo again-w2g128-gptq-kd-grpo main-from-a-file; do
    cmp "$dir/a/runs/$i/samples.jsonl" "$dir/b/runs/$i/samples.jsonl" || bad=1
done
mkdir -p "$dir/b/stages/w2g128-gptq-0123456789abcdef" # killed before it was removed
touch "$dir/mark"
study "$dir/b" >/dev/null 2>&1
[ ! -e "$dir/b/stages" ] || { echo "FAIL: what nobody needs is kept"; bad=1; }
[ -z "$(find "$dir/b/models" "$dir/b/traces" -newer "$dir/mark")" ] || { echo "FAIL: made again: $(find "$dir/b/models" -newer "$dir/mark")"; bad=1; }

expect 0 'report.html: [0-9]+ plots' "$LOWBIT" report "$dir/a"
page() { # FILE TEXT…: XML that says these
    python3 -c 'if True:
        import sys, xml.etree.ElementTree as tree
        text = "".join(tree.parse(sys.argv[1]).getroot().itertext())
        for t in sys.argv[2:]: assert t in text, "the page does not say " + t' "$@" || bad=1
}
page "$dir/a/report.html" Training 'from a file rtn → sft' 'Curves of w2g128 gptq → kd → grpo' 'Cross-entropy, all runs' '2-grpo' 'Reward' 'Accuracy, all runs'
expect 0 'report.html: 6 plots' "$LOWBIT" report "$long"
page "$long/report.html" 'steps done 8 of 8' 'Learning rate'
sed -i 's/"steps": 7/"stepps": 7/' "$dir/r.json"
expect 3 "r.json: runs\[1\]: train: stages\[0\]: 'stepps' is not a key" study "$dir/c"
finish
