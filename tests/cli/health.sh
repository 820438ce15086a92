#!/usr/bin/env bash
# health – doctor and sensitivity on the command line: what they print, and bad input by name.
. tests/cli/lib
"$LOWBIT" trace -q -m $M --prompts chain,algebra --limit 6 -o "$dir/t.jsonl" >/dev/null || bad=1
"$LOWBIT" quantize -q -m $M --scheme w2g-1 -o "$dir/ruin" >/dev/null || bad=1
D=("$LOWBIT" doctor -q --against $M --traces "$dir/t.jsonl" --answers 3 -n 60)
expect 0 "^$M against $M: healthy" "${D[@]}" -m $M
expect 0 'ruin against .*: (broken|impaired)' "${D[@]}" -m "$dir/ruin"
# one trace and one answer have no noise: what is beyond a limit then is named, not passed over
expect 0 '^beyond a limit, but not by two standard errors.*: KL / entropy' "${D[@]}" -m "$dir/ruin" --tokens 100 --answers 1
expect 0 '^length / base.s .* ± +n/a ' "${D[@]}" -m "$dir/ruin" --tokens 100 --answers 1
"${D[@]}" -m "$dir/ruin" --json >"$dir/j" || bad=1
python3 - "$dir/j" <<'E2' || bad=1
import json, sys
j = json.load(open(sys.argv[1]))
assert j["verdict"] != "healthy" and j["traces"]["kl"]["mean"] > 0 and j["traces"]["n"] == 12, j
assert j["answers"]["n"] == 3 and j["answers"]["max_new"] == 60 and len(j["symptoms"]) == 5, j
E2
"$LOWBIT" quantize -q -m $M --scheme w8 --method quarot -o "$dir/turned" >/dev/null || bad=1
expect 0 'turned against .*: healthy' "${D[@]}" -m "$dir/turned" --outliers "$dir/o"
python3 - "$dir/o" <<'E2' || bad=1
import json, sys
j = json.load(open(sys.argv[1]))
assert j["schema"] == 1 and j["transform"] == "quarot" and len(j["sites"]) == 54, j
r = [[s[t]["max"] / s[t]["p50"] for s in j["sites"] if (s["kind"], s["site"]) == ("activations", "down")] for t in ("before", "after")]
assert len(r[0]) == 6 and all(b < a for a, b in zip(*r)), r
E2
expect 1 'cannot' "${D[@]}" -m "$dir/turned" --outliers "$dir/nosuch/o"
expect 2 'no base: --against' "$LOWBIT" doctor -m $M
expect 2 'no traces: --traces' "$LOWBIT" doctor -m $M --against $M
expect 3 'chain.jsonl:1 is no trace' "$LOWBIT" doctor -q -m $M --against $M --traces data/abacus/chain.jsonl
expect 1 'cannot open' "$LOWBIT" doctor -q -m $M --against $M --traces "$dir/nosuch"
S=("$LOWBIT" sensitivity -q -m $M --calib "$dir/t.jsonl" --nsamples 1 --seqlen 32 --schemes w2g128,w4g128)
"${S[@]}" --target-bpw 3 >"$dir/s" || bad=1
[ "$(grep -c -- "^--tensor '^model" "$dir/s")" -eq 42 ] || { echo "FAIL: rules"; cat "$dir/s"; bad=1; }
# the rules make a model of the size that was promised
mapfile -t rules < <(sed -n "s/^--tensor '\(.*\)'$/--tensor=\1/p" "$dir/s")
bpw=$(sed -n 's/ bits per weight, summed KL.*//p' "$dir/s")
"$LOWBIT" quantize -q -m $M --scheme w8 "${rules[@]}" -o "$dir/mixed" --json >"$dir/q" || bad=1
python3 -c 'if True:
    import json, sys
    got, want = json.load(open(sys.argv[1]))["bits_per_weight"], float(sys.argv[2])
    assert abs(got - want) < 1e-4 and want <= 3, (got, want)' "$dir/q" "$bpw" || bad=1
"${S[@]}" --schemes w4g128 --json | python3 -c 'if True:
    import json, sys
    parts = json.load(sys.stdin)["parts"]
    assert len(parts) == 42 and parts[6]["kind"] == "down" and parts[6]["schemes"]["w4g128"]["bits"] > 4 * parts[6]["weights"]' || bad=1
expect 2 'no calibration data' "$LOWBIT" sensitivity -m $M
expect 2 'bits per weight are fewer than' "${S[@]}" --target-bpw 1
expect 2 'is quantized already' "${S[@]}" -m "$dir/ruin"
expect 3 'fewer than one window of 2000' "${S[@]}" --seqlen 2000
expect 2 "'w4a8' is not one of weights alone" "${S[@]}" --schemes w4,w4a8
expect 2 'scheme 1 of the list is not one of integer weights' "${S[@]}" --schemes mxfp4
Q=("$LOWBIT" quantize -q -m $M --scheme w4g128 --target-bpw 2.5)
expect 2 'a budget of bits is shared out by measuring' "${Q[@]}" -o "$dir/n"
expect 0 ', 2\.(4[5-9]|50)[0-9]* bits per weight' "${Q[@]}" --calib "$dir/t.jsonl" --nsamples 1 --seqlen 32 -o "$dir/budget"
gone "$dir/n"
expect 2 'scheme .w5.: weights of 5 bits' "${S[@]}" --schemes w5
finish
