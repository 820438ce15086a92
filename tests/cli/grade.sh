#!/usr/bin/env bash
# grade – what was understood and the verdict; completions, letters, files of pairs; wrong usage; hostile text.
. tests/cli/lib
G=("$LOWBIT" grade)
# one pair: a wrong answer is a result, not a failure
expect 0 '^verdict  right' "${G[@]}" '\frac{1}{2}' 'x = 0.5'
expect 0 '^         is \(1 / 2\)$' "${G[@]}" '\frac{1}{2}' 0.5
expect 0 '^verdict  wrong$' "${G[@]}" 5 6
expect 0 '^reason   the brackets differ$' "${G[@]}" '(3,4]' '[3,4]'
expect 0 '^verdict  unknown' "${G[@]}" 5 '5 \frobnicate'
expect 0 'not understood' "${G[@]}" 5 '5 \frobnicate'
expect 0 '^verdict  right$' "${G[@]}" -5 -5.0
expect 0 '^verdict  right$' "${G[@]}" -- -x+1 1-x
expect 0 'leniently right' "${G[@]}" '\frac{2}{3}' 0.666667
expect 0 'read strictly wrong' "${G[@]}" 5 'x = 5'
[ "$("${G[@]}" -q 1/2 50%)" = right ] || { echo "FAIL: -q"; bad=1; }
[ "$("${G[@]}" -q A '(A)' --letter 4)$("${G[@]}" -q a B --letter=4)$("${G[@]}" -q B '\boxed{\text{B}}' --letter 4)" = rightwrongright ] || { echo "FAIL: --letter"; bad=1; }
# gates for scripts
expect 0 right "${G[@]}" 5 5 --fail-under 1
expect 6 '0 of 1 right is below --fail-under 1' "${G[@]}" 5 6 --fail-under 1
# whole completions
printf '<think>\nIs it \\boxed{7}?\n</think>\n\nThe answer is $\\frac{17}{50}$, as computed.' >"$dir/c"
expect 0 '^found    what follows the last "answer is"' "${G[@]}" 0.34 --completion "$dir/c"
expect 0 '^answer   .frac\{17\}\{50\}$' "${G[@]}" 0.34 -c "$dir/c"
expect 0 '^verdict  right' "${G[@]}" 0.34 -c "$dir/c"
[ "$("${G[@]}" -q 408 -c - <<<'so \boxed{408}')" = right ] || { echo "FAIL: completion from stdin"; bad=1; }
[ "$("${G[@]}" -q 408 -c - --truncated <<<'so \boxed{408}')" = wrong ] || { echo "FAIL: a truncated completion counts"; bad=1; }
[ "$("${G[@]}" -q 408 -c - --in-thinking <<<'so \boxed{408}')" = wrong ] || { echo "FAIL: unfinished thinking counts"; bad=1; }
[ "$("${G[@]}" -q C -c - --letter 4 <<<'Answer: (C) 14 N')" = right ] || { echo "FAIL: a letter from a completion"; bad=1; }
[ "$("${G[@]}" -q north -c - --text <<<$'Well.\n\nNorth.')" = right ] || { echo "FAIL: words from a completion"; bad=1; }
[ "$("${G[@]}" -q 5 -c - </dev/null)" = wrong ] || { echo "FAIL: an empty completion"; bad=1; }
"${G[@]}" 5 -c - </dev/null | grep -q '^reason   no answer was found' || { echo "FAIL: an empty completion has no reason"; bad=1; }
strict() { python3 -c 'import json,sys; print(json.load(sys.stdin)["strict"])'; }
[ "$("${G[@]}" --json C -c - --letter 4 --form line <<<'Answer: C' | strict)" = right ] || { echo "FAIL: --form line"; bad=1; }
[ "$("${G[@]}" --json C -c - --letter 4 <<<'Answer: C' | strict)" = wrong ] || { echo "FAIL: --form box"; bad=1; }
# JSON
"${G[@]}" --json 0.34 -c "$dir/c" | python3 -c '
import json, sys
o = json.load(sys.stdin)
assert o["verdict"] == o["lenient"] == "right" and o["strict"] == "wrong" and o["thinking_closed"] is True, o
assert o["extracted"] == "\\frac{17}{50}" and o["answer"]["understood"] and o["gold"]["as"] == "0.34", o' || { echo "FAIL: --json"; bad=1; }
"${G[@]}" --json 5 '5 \frobnicate' | python3 -c '
import json, sys
o = json.load(sys.stdin)
assert o["verdict"] == "unknown" and not o["answer"]["understood"] and "frobnicate" in o["why"], o' || { echo "FAIL: --json unknown"; bad=1; }
# many pairs
cat >"$dir/p" <<'X'
{"gold": "1/2", "answer": "0.5", "id": "a"}
{"gold": "5", "answer": "6"}

{"gold": "C", "completion": "so the answer is (C)", "letter": 4}
{"gold": "5", "completion": "\\boxed{5}", "truncated": true}
{"gold": "5", "completion": "7</think>5", "in_thinking": true}
{"gold": "[1,2]", "completion": "hm", "form": "line"}
X
"${G[@]}" --file "$dir/p" | python3 -c '
import json, sys
rows = [json.loads(l) for l in sys.stdin]
assert [r["verdict"] for r in rows] == ["right", "wrong", "right", "wrong", "right", "wrong"], rows
assert rows[0]["id"] == "a" and rows[2]["extracted"] == "C" and rows[3]["lenient"] == "right" and rows[5]["extracted"] is None, rows
assert rows[4]["rule"] == "the last number", rows' || { echo "FAIL: --file"; bad=1; }
[ "$("${G[@]}" --file - <"$dir/p" | wc -l)" = 6 ] || { echo "FAIL: pairs from stdin"; bad=1; }
expect 6 '3 of 6 right is below' "${G[@]}" --file "$dir/p" --fail-under 0.6
expect 0 '"us"' "${G[@]}" --file "$dir/p" --time --fail-under 0.5
# wrong usage and bad files
expect 2 'wants GOLD and ANSWER' "${G[@]}"
expect 2 'wants GOLD and ANSWER, or --completion' "${G[@]}" 5
expect 2 "unexpected '7'" "${G[@]}" 5 6 7
expect 2 'wants GOLD beside --completion' "${G[@]}" -c "$dir/c"
expect 2 "unexpected '6'" "${G[@]}" 5 6 -c "$dir/c"
expect 2 "unexpected '5'" "${G[@]}" 5 -f "$dir/p"
expect 2 'exclude each other' "${G[@]}" -c "$dir/c" -f "$dir/p"
expect 2 'exclude each other' "${G[@]}" A B --letter 4 --text
expect 2 'letter is 27, wanted 2 to 26' "${G[@]}" A B --letter 27
expect 2 "is 'E', wanted one of the letters A to D" "${G[@]}" E E --letter 4
expect 2 "is 'BC', wanted one of the letters" "${G[@]}" BC B --letter 4
expect 2 'the gold answer is empty' "${G[@]}" '' 5
expect 2 '--form=page is unknown' "${G[@]}" 5 5 --form page
expect 2 'unknown flag -x' "${G[@]}" -x+1 1
expect 1 'cannot open' "${G[@]}" 5 -c "$dir/none"
expect 1 'cannot open' "${G[@]}" -f "$dir/none"
row() { printf '%s\n' '{"gold": "1", "answer": "1"}' "$1" >"$dir/r"; expect 3 "$2" "${G[@]}" -f "$dir/r"; }
row '{"gold": "1"}' 'r:2: wanted either .answer. or .completion.$'
row '{"gold": "1", "answer": "1", "completion": "1"}' 'r:2: wanted either .*found both'
row '{"answer": "1"}' "r:2.*'gold'"
row '{"gold": 1, "answer": "1"}' "r:2.*'gold' is"
row '{"gold": "", "answer": "1"}' 'r:2: the gold answer is empty'
row '{"gold": "E", "answer": "1", "letter": 4}' "r:2: the gold answer is 'E'"
row '{"gold": "E", "answer": "1", "letter": 1}' 'r:2'
row '{"gold": "1", "answer": "1", "form": "page"}' "r:2: 'form' is \"page\""
row '[1]' 'r:2'
row '{"gold": "1", "answer": ' 'r:2'
: >"$dir/empty"
expect 3 'holds no pairs' "${G[@]}" -f "$dir/empty"
# text from strangers: long, no UTF-8, NUL bytes, terminal commands
python3 - "$dir" <<'X'
import sys
d = sys.argv[1]
open(d + '/long', 'wb').write(b'word ' * 200000 + b'\\boxed{' + b'(' * 100000 + b'5}')
open(d + '/bytes', 'wb').write(b'\xff\xfe so \\boxed{\xc3\x28 5 \xed\xa0\x80 \xf0\x9f\x98}')
open(d + '/nul', 'wb').write(b'one\0two \\boxed{5}')
open(d + '/esc', 'wb').write(b'\\boxed{5 \x1b[2J \x07 \n 6}')
X
expect 0 '^verdict  unknown' "${G[@]}" 5 -c "$dir/long"
"${G[@]}" --json 5 -c "$dir/bytes" | python3 -c 'import json,sys; o=json.load(sys.stdin); assert "?" in o["extracted"], o' || { echo "FAIL: bytes"; bad=1; }
expect 0 '^verdict  right' "${G[@]}" 5 -c "$dir/nul"
"${G[@]}" 5 -c "$dir/esc" | LC_ALL=C grep -q $'[\x07\x1b]' && { echo "FAIL: terminal commands pass"; bad=1; }
"${G[@]}" --json 5 -c "$dir/esc" | LC_ALL=C grep -q $'[\x07\x1b]' && { echo "FAIL: terminal commands pass in JSON"; bad=1; }
for hostile in '9**9**9' '(x+y+z)^{10000}' '\sqrt{\sqrt{\sqrt{2+\pi}}}^{9999}' "$(printf '\\frac{1}{%.0s' $(seq 2000))"; do
    timeout 5 "${G[@]}" -q 5 "$hostile" >"$dir/h" || { echo "FAIL: $hostile: exit $?"; bad=1; }
    grep -qE '^(wrong|unknown)$' "$dir/h" || { echo "FAIL: $hostile: $(cat "$dir/h")"; bad=1; }
done
finish
