#!/usr/bin/env bash
# usage – help, version, wrong words: exit 0 or 2, one line, the nearest name.
. tests/cli/lib
expect 0 '^lowbit [0-9]' "$LOWBIT" --version
expect 0 'lowbit run' "$LOWBIT" --help
expect 2 'lowbit COMMAND' bash -c '"$LOWBIT" 2>&1 | tail -n 0; "$LOWBIT" >/dev/null 2>"$0"; s=$?; head -1 "$0" >&2; grep -h "lowbit COMMAND" "$0"; exit $s' "$dir/u"
expect 2 "no command 'runn'" "$LOWBIT" runn
for c in run eval quantize study bench inspect; do expect 0 "lowbit $c" "$LOWBIT" $c --help; done
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
expect 3 'activations' "$LOWBIT" quantize -m $M -o "$dir/q" --scheme w8a8kv8
expect 2 'method' "$LOWBIT" quantize -m $M -o "$dir/q" --scheme w4 --method magic
expect 2 'regular expression' "$LOWBIT" quantize -m $M -o "$dir/q" --scheme w4 --tensor '(=w8'
expect 2 'LOWBIT_THREADS is 5000' env LOWBIT_THREADS=5000 "$LOWBIT" run -m $M -p x
gone "$dir/q"
# the environment sets flags, the command line wins
expect 2 'LOWBIT_SEED' env LOWBIT_SEED=abc "$LOWBIT" run -m $M -p x
a=$("$LOWBIT" run -q -m $M -p 'Compute $12 \cdot 34$.' --seed 7) || bad=1
b=$(LOWBIT_SEED=7 "$LOWBIT" run -q -m $M -p 'Compute $12 \cdot 34$.') || bad=1
[ -n "$a" ] && [ "$a" = "$b" ] || { echo "FAIL: LOWBIT_SEED: '$a' / '$b'"; bad=1; }
finish
