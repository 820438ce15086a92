#!/usr/bin/env bash
# eval – what `lowbit eval` prints: every number with its noise, the drop from a baseline, what power takes, samples as JSON
# lines, a benchmark of one's own; and the errors of its flags.
. tests/cli/lib
db=$dir/e.sqlite
run() { "$LOWBIT" eval -q --tasks chain --limit 8 --seeds 1,2 --db "$db" "$@"; }
"$LOWBIT" quantize -q -m $M --scheme w2g128 -o "$dir/w2" >/dev/null || bad=1

# Dates are dates, and want a benchmark that has them.
lcb() { "$LOWBIT" eval -q -m $M --data tests/golden/data/lcb -n 4 --seeds 1 --db "$dir/lcb.sqlite" "$@"; }
expect 2 "from 'yesterday' is no date" lcb --tasks livecodebench --from yesterday
expect 2 "to '2025-13-01' is no date" lcb --tasks livecodebench --to 2025-13-01
expect 2 'from 2025-02 is after --to 2025-01' lcb --tasks livecodebench --from 2025-02 --to 2025-01
expect 2 'from and --to are for benchmarks whose problems have dates' run -m $M --from 2024-08
expect 0 '^task {25} accuracy' lcb --tasks livecodebench:v4_v6:2024-08.. --from 2025-01 --to 2025-01
expect 0 '^livecodebench:v4_v6:2024-08.. +0.0% +– +0.0 – +79.3 +1 ' lcb --tasks livecodebench:v4_v6:2024-08.. --from 2025-01 --to 2025-01

# What is no file is not replaced by one.
mkfifo "$dir/pipe"
expect 2 'pipe is a special file; an output is a regular file' run -m $M --samples-out "$dir/pipe"
[ -p "$dir/pipe" ] || { echo "FAIL: the pipe is no pipe any more"; bad=1; }

# The run is shown, and then what is missing.
expect 2 "no model .*there are: $dir/w2 \(" run -m "$dir/w2" --against abacus-5m
"$LOWBIT" eval -q -m "$dir/w2" --tasks chain --limit 8 --seeds 1,2 --db "$db" --against $M >"$dir/out" 2>"$dir/err"
[ $? -eq 2 ] && grep -q '^chain ' "$dir/out" || { echo "FAIL: no table before the missing baseline"; bad=1; }
command=$(sed -n 's/.*first run: //p' "$dir/err")
[ "$command" = "lowbit eval -m $M --tasks chain --limit 8 --seeds 1,2 --db $db" ] || { echo "FAIL: it says: $(cat "$dir/err")"; bad=1; }
"$LOWBIT" ${command#lowbit } -q --power 5 --pass-k 1,2 --maj-k 2 >"$dir/out" || bad=1
for want in '^chain +[0-9.]+% +[0-9.]+% +[0-9.]+ – +[0-9.]+ +8 ' '^  pass@2 +[0-9.]+% +[0-9.]+%' '^  maj@2 +[0-9.]+% +[0-9.]+%' \
    'same problems are hard for both' '16 generated, 0 from the database'; do
    grep -qE -- "$want" "$dir/out" || { echo "FAIL: no /$want/ in"; cat "$dir/out"; bad=1; }
done
expect 0 '^chain +[+-][0-9.]+ +[0-9.]+ +[+-][0-9.]+ – +[+-][0-9.]+ +<?[0-9.]+ +sign flips +8' run -m "$dir/w2" --against $M --power 5
expect 0 'McNemar +8 +[0-9]+ / [0-9]+' run -m "$dir/w2" --against abacus-5m --seeds 1
expect 2 "first run: lowbit eval -m $M --tasks chain --limit 9 " run -m "$dir/w2" --against abacus-5m --limit 9

run -m "$dir/w2" --json --against $M --power 2 --samples-out "$dir/s.jsonl" >"$dir/out" || bad=1
python3 -c 'if True:
    import json, sys
    j = json.load(open(sys.argv[1]))
    lines = [json.loads(l) for l in open(sys.argv[2])]
    r, a = j["results"]["chain"], j["against"]
    assert j["schema"] == 2 and j["n-samples"]["chain"] == {"effective": 8, "samples": 16} and j["versions"]["chain"] == 1
    assert len(lines) == 16 and {l["model"] for l in lines} == {j["model"]["hash"]} == {j["provenance"]["model_hash"]}
    right = sum(l["verdict"] == "right" for l in lines) / 16
    assert abs(right - r["accuracy"]) < 1e-12, (right, r)
    assert all(("<think>" in l["text"]) and l["finish_reason"] in ("stop", "length") and l["tokens"] > 0 for l in lines)
    assert [(l["number"], l["seed"]) for l in lines] == [(n, s) for n in range(1, 9) for s in (1, 2)]
    drop = a["results"]["chain"]["accuracy"] - r["accuracy"]
    assert abs(drop - a["mean"]["drop"]) < 1e-12 and a["mean"]["interval"][0] <= drop <= a["mean"]["interval"][1]
    assert a["tasks"]["chain"]["test"] == "sign flips" and 0 < a["mean"]["p"] <= 1 and a["class"] in ("lossless", "fair", "risky")
    assert j["power"]["tasks"]["chain"]["problems"] > 8 and j["run"]["generated"] == 0
    assert j["git_hash"] in j["provenance"]["version"]' "$dir/out" "$dir/s.jsonl" || { echo "FAIL: --json or --samples-out"; bad=1; }

# A benchmark of one's own; its name may not be another's of the same run.
printf '%s\n' '{"q": "Compute $2 + 3$.", "a": "5"}' '{"q": "Compute $12 \\cdot 34$.", "a": "408"}' >"$dir/mine.jsonl"
echo '{"name": "mine", "file": "mine.jsonl", "fields": {"prompt": "q", "answer": "a"}, "grader": "math", "max_new": 64, "version": 1}' >"$dir/mine.json"
expect 0 '^mine .* 2 ' run -m $M --tasks chain --task-file "$dir/mine.json"
expect 2 "called 'mine', as another" run -m $M --task-file "$dir/mine.json" --task-file "$dir/mine.json"
expect 1 'nothing.json' run -m $M --task-file "$dir/nothing.json"

expect 2 "pass-k 'x'" run -m $M --pass-k x
expect 2 'pass-k has 2 twice' run -m $M --pass-k 2,2
expect 2 'maj@3: there are 2 seeds × 1 samples = 2' run -m $M --maj-k 3
expect 2 'seeds is empty' run -m $M --seeds ''
expect 6 'below --fail-under' run -m "$dir/w2" --fail-under 1
expect 1 '/proc/none' run -m $M --samples-out /proc/none/s.jsonl
finish
