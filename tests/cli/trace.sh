#!/usr/bin/env bash
# trace – traces killed again and again end in the same file, byte for byte, as undisturbed ones, in any batch and number
# of threads; a torn last line is dropped, foreign files are left alone, bad input is named.
. tests/cli/lib
trace=("$LOWBIT" trace -q -m $M --prompts chain,contest --limit 5 --samples 2 --temp 1.8 --top-p 1 -n 120)
N=20
"${trace[@]}" -o "$dir/a" >"$dir/report" || bad=1
grep -q '20 traces (0 were there)' "$dir/report" || { echo "FAIL: $(cat "$dir/report")"; bad=1; }
python3 - "$dir/a" <<'E2' || bad=1
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
want = [(f"{t}-{i}", s) for t in ("chain", "contest") for i in range(5) for s in range(2)]
assert [(r["id"], r["sample"]) for r in rows] == want, "order"
assert all(r["prompt"].startswith("<|im_start|>user\n") and r["n_tokens"] > 5 and
           r["finish"] in ("stop", "length") and len(r["key"]) == 32 for r in rows), "fields"
assert len({r["text"] for r in rows}) > 10, "samples differ"
E2
died=0 partly=0
for n in 1 6 14; do
    "${trace[@]}" -o "$dir/b" >/dev/null 2>&1 &
    pid=$!
    while kill -0 $pid 2>/dev/null && { [ ! -e "$dir/b" ] || [ "$(wc -l <"$dir/b")" -lt $n ]; }; do sleep 0.005; done
    kill -9 $pid 2>/dev/null
    wait $pid
    [ $? -eq 137 ] || continue
    died=$((died + 1))
    lines=$(wc -l <"$dir/b")
    if [ "$lines" -gt 0 ] && [ "$lines" -lt $N ]; then partly=$((partly + 1)); fi
done 2>/dev/null
[ $partly -gt 0 ] || { echo "FAIL: $died runs were killed, none of them in the middle"; bad=1; }
same() { # FILE WHAT [FLAGS]: completes the file; then it is the undisturbed one
    "${trace[@]}" -o "$1" "${@:3}" >"$dir/report" || { echo "FAIL: $2: trace"; bad=1; }
    cmp "$dir/a" "$1" || { echo "FAIL: $2"; bad=1; }
}
same "$dir/b" killed
same "$dir/b" complete
grep -q '20 were there' "$dir/report" || { echo "FAIL: generated again: $(cat "$dir/report")"; bad=1; }
size=$(stat -c %s "$dir/a")
for cut in $((size / 2)) $((size - 1)); do head -c $cut "$dir/a" >"$dir/c"; same "$dir/c" "torn at $cut"; done
for torn in '{' '{"id":"cha'; do { head -n 18 "$dir/a"; printf %s "$torn"; } >"$dir/c"; same "$dir/c" "torn: $torn"; done
sort "$dir/a" | sed 1,2d >"$dir/c"; same "$dir/c" 'shuffled, some missing'
same "$dir/sub/d" 'another batch, one thread, a folder to be made' --parallel 3 -t 1
head -n 10 "$dir/a" >"$dir/c" # fewer problems: a part of the same
expect 3 'trace of another run' "$LOWBIT" trace -q -m $M --prompts chain --limit 4 --samples 2 --temp 1.8 --top-p 1 -n 120 -o "$dir/c"
for flags in '--seed 43' '--temp 0.7' '--samples 1' '--ids' '-n 100'; do
    expect 3 'c:[0-9]+ is a trace of another run' "${trace[@]}" $flags -o "$dir/c"
done
[ "$(wc -l <"$dir/c")" -eq 10 ] || { echo "FAIL: a refused file was changed"; bad=1; }
"${trace[@]}" --ids --limit 2 -o "$dir/ids" >/dev/null || bad=1
python3 -c 'if True:
    import json, sys
    assert all(len(r["ids"]) == r["n_tokens"] for r in map(json.loads, open(sys.argv[1])))' "$dir/ids" || bad=1
# files of others stay as they are
cp data/abacus/choice.jsonl "$dir/p.jsonl"; printf 'no newline' >"$dir/x"
expect 3 'p.jsonl:1 is no line of' "${trace[@]}" -o "$dir/p.jsonl"
expect 3 'x:1 is no line of' "${trace[@]}" -o "$dir/x"
cmp data/abacus/choice.jsonl "$dir/p.jsonl" && [ "$(cat "$dir/x")" = 'no newline' ] || { echo "FAIL: changed"; bad=1; }
# bad input, and nothing is left of it
T=("$LOWBIT" trace -q -m $M)
printf '{"prompt":"a"}\n{"foo":1}\n' >"$dir/bad.jsonl"
printf '{"prompt":"%02500d"}\n' 7 >"$dir/long.jsonl"
expect 2 'no prompts' "${T[@]}" -o "$dir/n"
expect 2 'no output' "${T[@]}" --prompts chain
expect 2 "'nosuch' is no file: task 'nosuch'" "${T[@]}" --prompts nosuch -o "$dir/n"
expect 3 'bad.jsonl:2 has no prompt' "${T[@]}" --prompts "$dir/bad.jsonl" -o "$dir/n"
expect 2 'row-0: the prompt has [0-9]+ tokens' "${T[@]}" --prompts "$dir/long.jsonl" -o "$dir/n"
expect 1 'cannot write' "${T[@]}" --prompts chain --limit 1 -o /proc/nosuch
expect 3 'special file' "${T[@]}" --prompts chain --limit 1 -o /dev/null
gone "$dir/n"
mkfifo "$dir/f"; expect 3 'special file' timeout 20 "${T[@]}" --prompts chain --limit 1 -o "$dir/f"
exec 9>>"$dir/c"; flock 9
expect 1 'being written by another run' "${trace[@]}" -o "$dir/c"
finish
