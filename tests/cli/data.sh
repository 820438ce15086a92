#!/usr/bin/env bash
# data – lowbit data: what is there, what is missing and broken, rows shown as they are asked, task files.
. tests/cli/lib
D="$dir/data"
mkdir -p "$D/gsm8k" "$D/AIME90" "$D/aime25"
printf '{"question": "1+1?", "answer": "so\\n#### 2"}\n{"question": "How many?", "answer": "#### 1,234"}\n' >"$D/gsm8k/test.jsonl"
printf '{"id": 0, "problem": "p", "answer": "033"}\n' >"$D/AIME90/train.jsonl"
# by default everything is listed, and missing is no error
expect 0 '^gsm8k +found +.*gsm8k/test.jsonl' "$LOWBIT" data --data "$D"
expect 0 '^gpqa_diamond +missing' "$LOWBIT" data --data "$D"
expect 0 'huggingface.co/datasets/Idavidrein/gpqa.*gated' "$LOWBIT" data --data "$D"
expect 0 '^mr_ben/logic +missing' "$LOWBIT" data --data "$D"
expect 0 '^chain +found +[0-9]+ rows' "$LOWBIT" data --tasks abacus --check # the project's own
# what is named must be there and whole
expect 0 '^gsm8k +found +2 rows' "$LOWBIT" data --data "$D" --tasks gsm8k --check
expect 0 'not that of openai/grade-school-math.*rows checked' "$LOWBIT" data --data "$D" --tasks gsm8k --check
expect 0 'published are 1319 rows' "$LOWBIT" data --data "$D" --tasks gsm8k --check
expect 1 'aime120: aime25 is missing' "$LOWBIT" data --data "$D" --tasks aime120
expect 1 'looked for gpqa_diamond/gpqa_diamond.csv, ' bash -c '"$LOWBIT" data --data "$0" --tasks gpqa_diamond' "$D"
expect 1 'pandas.read_parquet' "$LOWBIT" data --data "$D" --tasks aime25
printf '{"problem": "p", "answer": "x"}\n' >"$D/aime25/test.jsonl"
expect 1 'aime25/test.jsonl:1: the answer is .x., wanted an integer from 0 to 999' "$LOWBIT" data --data "$D" --tasks aime25 --check
expect 1 'aime120: aime25 is broken' "$LOWBIT" data --data "$D" --check # broken is an error, named or not
rm -r "$D/aime25"
# one file instead of a folder
expect 0 '^gsm8k +found +2 rows' "$LOWBIT" data --data "$D/gsm8k/test.jsonl" --tasks gsm8k --check
expect 2 'is a file, and aime120 needs more than one' "$LOWBIT" data --data "$D/gsm8k/test.jsonl" --tasks aime120
# a problem as it is asked
"$LOWBIT" data --data "$D" --tasks gsm8k --show 2 >"$dir/shown" || bad=1
printf -- "---- gsm8k 2, gold '1234'\nHow many?\n\nPlease reason step by step, and put your final answer within \\\\boxed{}.\n" | cmp - "$dir/shown" || bad=1
expect 2 'gsm8k has 2' "$LOWBIT" data --data "$D" --tasks gsm8k --show 3
expect 2 'show wants --tasks' "$LOWBIT" data --show 1
expect 2 "task 'nosuch' is not known" "$LOWBIT" data --tasks nosuch
expect 2 "unexpected 'gsm8k'" "$LOWBIT" data gsm8k
# a task file finds its rows beside it
cat >"$dir/mine.json" <<'E'
{"name": "mine", "file": "data/gsm8k/test.jsonl", "fields": {"problem": "question", "answer": "answer"}, "grader": "number",
 "template": "Q: {problem}\nA:"}
E
expect 0 '^mine +found +2 rows' "$LOWBIT" data --task-file "$dir/mine.json" --check
(cd "$dir" && "$LOWBIT" data --task-file mine.json --show 1) >"$dir/shown" || bad=1
printf -- "---- mine 1, gold '2'\nQ: 1+1?\nA:\n" | cmp - "$dir/shown" || bad=1
sed 's/"number"/"numbers"/' "$dir/mine.json" >"$dir/bad.json"
expect 3 "bad.json: 'grader' is 'numbers'; there are" "$LOWBIT" data --task-file "$dir/bad.json"
# as JSON
"$LOWBIT" data --data "$D" --json >"$dir/all.json" || bad=1
"$LOWBIT" data --data "$D" --tasks gsm8k --show 1 --json >"$dir/item.json" || bad=1
python3 - "$dir/all.json" "$dir/item.json" <<'E' || bad=1
import hashlib, json, sys
files = {(f["task"], f["part"]): f for f in json.load(open(sys.argv[1]))["files"]}
g = files["gsm8k", "gsm8k"]
assert g["state"] == "found" and g["sha256"] == hashlib.sha256(open(g["file"], "rb").read()).hexdigest(), g
assert g["bytes"] == len(open(g["file"], "rb").read()) and "rows" not in g and g["rows_published"] == 1319, g
assert files["aime120", "aime90"]["state"] == "found" and files["aime120", "aime25"]["state"] == "missing"
assert "none of" in files["aime120", "aime25"]["error"] and "pandas" in files["aime120", "aime25"]["convert"]
assert len([t for t, _ in files if t == "mr_ben"]) == 7
i = json.load(open(sys.argv[2]))["items"][0]
assert i["gold"] == "2" and i["prompt"].startswith("1+1?\n\nPlease") and i["number"] == 1 and len(i["hash"]) == 32, i
E
finish
