#!/usr/bin/env bash
# usage – help, version, wrong words: exit 0 or 2, one line, the nearest name.
. tests/cli/lib
expect 0 '^lowbit [0-9]' "$LOWBIT" --version
expect 0 'lowbit run' "$LOWBIT" --help
expect 2 'lowbit COMMAND' bash -c '"$LOWBIT" 2>&1 | tail -n 0; "$LOWBIT" >/dev/null 2>"$0"; s=$?; head -1 "$0" >&2; grep -h "lowbit COMMAND" "$0"; exit $s' "$dir/u"
expect 2 "no command 'runn'" "$LOWBIT" runn
for c in run eval grade quantize study bench inspect trace sensitivity doctor verify report data; do expect 0 "lowbit $c" "$LOWBIT" $c --help; done
expect 2 'did you mean --threads' "$LOWBIT" run -m $M -p x --treads 2
expect 2 'no model' "$LOWBIT" run -p x
expect 2 "'two' is not a whole number" "$LOWBIT" run -m $M -p x -t two
expect 2 'wanted 0 to 1' "$LOWBIT" run -m $M -p x --top_p=1.5
expect 2 'wants' "$LOWBIT" run -m
expect 2 "unexpected 'more'" "$LOWBIT" run -m $M more
expect 2 'avx9000' "$LOWBIT" run -m $M -p x --isa avx9000
expect 2 'chain' "$LOWBIT" eval -m $M --tasks nosuch
expect 2 'seeds' "$LOWBIT" eval -m $M --seeds 1,1
expect 2 'scheme' "$LOWBIT" quantize -m $M -o "$dir/q" --scheme w5
expect 2 'activations of 3 bits; there are 4, 8 and 16' "$LOWBIT" quantize -m $M -o "$dir/q" --scheme w8a3kv8
expect 2 'method' "$LOWBIT" quantize -m $M -o "$dir/q" --scheme w4 --method magic
expect 2 'regular expression' "$LOWBIT" quantize -m $M -o "$dir/q" --scheme w4 --tensor '(=w8'
expect 2 'LOWBIT_THREADS is 5000' env LOWBIT_THREADS=5000 "$LOWBIT" run -m $M -p x
expect 2 'act is 5; there are 4, 8 and 16 bits' "$LOWBIT" bench matmul --act 5
gone "$dir/q"
# the ways to write a flag: all of these are the same plan
Q=("$LOWBIT" quantize --dry-run)
"${Q[@]}" --model $M --scheme w4g64 --tensor 'layers\.0\.=w8g128' --tensor 'down_proj=w3g128' >"$dir/plan" || bad=1
alike() { "${Q[@]}" "$@" | cmp - "$dir/plan" || { echo "FAIL: another plan: $*"; bad=1; }; }
alike $M --scheme=w4g64 '--tensor=layers\.0\.=w8g128' '--tensor=down_proj=w3g128'
alike -m$M --bits=4 --group_size 64 --tensor 'layers\.0\.=w8g128' --tensor 'down_proj=w3g128' -q -t2
alike --scheme w2 --scheme w4g64 --tensor 'layers\.0\.=w8g128' --tensor 'down_proj=w3g128' -- $M # the last one counts
LOWBIT_MODEL=nowhere LOWBIT_SCHEME=w9 alike -m $M --scheme w4g64 --tensor 'layers\.0\.=w8g128' --tensor 'down_proj=w3g128'
LOWBIT_MODEL=nowhere LOWBIT_BITS= alike $M --scheme w4g64 --tensor 'layers\.0\.=w8g128' --tensor 'down_proj=w3g128'
many=(); for i in $(seq 1025); do many+=(--tensor "layer$i=w8"); done
expect 2 'tensor is given more than 1024 times' "${Q[@]}" -m $M --scheme w4 "${many[@]}"
expect 0 'w4g128' "${Q[@]}" -m $M --scheme w4 "${many[@]:0:2048}"
# a rule that matches nothing is remarked on, one that another hides is not; the plan as JSON
expect 0 "^--tensor 'layers.9\\\\.' matches no layer" "${Q[@]}" -m $M --scheme w4 --tensor 'layers.9\.=w8' --tensor 'down_proj=w8' --tensor 'lm_head=w8'
[ "$(wc -l <"$dir/.err")" = 1 ] || { echo "FAIL: more remarks than one:"; cat "$dir/.err"; bad=1; }
expect 0 'w8g128' "${Q[@]}" -m $M --scheme w4 --tensor 'proj=w8' --tensor 'down_proj=w3'
[ -s "$dir/.err" ] && { echo "FAIL: remarks:"; cat "$dir/.err"; bad=1; }
"${Q[@]}" -m $M --scheme w4g64 --tensor 'layers\.0\.=w8g128' --tensor 'down_proj=w3g128' --json |
    python3 -c 'import json,sys; [print("%-56s [%d,%d]  %s" % (l["name"], l["n"], l["k"], l["scheme"])) for l in json.load(sys.stdin)["layers"]]' |
    cmp - "$dir/plan" || { echo "FAIL: the plan as JSON is another"; bad=1; }
# the ways to write it wrong
R=("$LOWBIT" run -m $M -p x)
expect 2 "'=2' is not a whole number" "${R[@]}" -t=2
expect 2 "'' is not a whole number" "${R[@]}" --threads=
expect 2 "'2x' is not a whole number" "${R[@]}" -t 2x
expect 2 "'99999999999999999999' is not a whole number" "${R[@]}" --seed 99999999999999999999
expect 2 'seed is -1, wanted 0 to' "${R[@]}" --seed -1
expect 2 'threads is 0, wanted 1 to' "${R[@]}" -t0
for t in nan inf 1e999 1,5 0.5x ''; do expect 2 "temp: '$t' is not a number" "${R[@]}" --temp "$t"; done
expect 2 'json takes no value' "${R[@]}" --json=yes
expect 2 'quiet takes no value' "${R[@]}" -q1
expect 2 'seed wants N' "${R[@]}" --seed
expect 2 'unknown flag -Z' "${R[@]}" -Z
expect 2 'unknown flag --xyz; --help lists them' "${R[@]}" --xyz
expect 2 'did you mean --isa' "${R[@]}" --iss ref
expect 2 'did you mean --repetition-penalty' "${R[@]}" --repetition_penaltyy 1
expect 2 'unknown flag --; --help' "${R[@]}" --=1
expect 2 "unexpected 'b'" "$LOWBIT" inspect a b
expect 2 "unexpected '--json'" "$LOWBIT" inspect $M -- --json
expect 1 'cannot open --help/config.json' "$LOWBIT" inspect -- --help
expect 2 "LOWBIT_QUIET is 'maybe', wanted 0 or 1" env LOWBIT_QUIET=maybe "${R[@]}"
expect 0 '^\{$' env LOWBIT_JSON=1 "$LOWBIT" inspect $M
LOWBIT_JSON=0 "$LOWBIT" inspect $M | grep -q '^{' && { echo "FAIL: LOWBIT_JSON=0 gives JSON"; bad=1; }
# the environment sets flags, the command line wins
expect 2 'LOWBIT_SEED' env LOWBIT_SEED=abc "$LOWBIT" run -m $M -p x
a=$("$LOWBIT" run -q -m $M -p 'Compute $12 \cdot 34$.' --seed 7) || bad=1
b=$(LOWBIT_SEED=7 "$LOWBIT" run -q -m $M -p 'Compute $12 \cdot 34$.') || bad=1
[ -n "$a" ] && [ "$a" = "$b" ] || { echo "FAIL: LOWBIT_SEED: '$a' / '$b'"; bad=1; }
finish
