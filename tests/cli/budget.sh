#!/usr/bin/env bash
# budget – forced thinking is another way of sampling: results of their own, the same ones in any batch, shorter or longer.
. tests/cli/lib
E=("$LOWBIT" eval -q --json -m $M --tasks chain,contest --limit 6 --seeds 42)
go() { "${E[@]}" --db "$dir/${db:-a}" "${@:2}" >"$dir/$1" || bad=1; }
go free; go short --think-budget 12; go again --think-budget 12; go long --think-extend 1
db=b go batch --think-budget 12 --parallel 2 -t 1
python3 - "$dir" <<'E2' || bad=1
import json, sys
r = {n: json.load(open(f"{sys.argv[1]}/{n}")) for n in ("free", "short", "again", "long", "batch")}
made = {n: (v["run"]["generated"], v["run"]["reused"]) for n, v in r.items()}
assert made == {"free": (12, 0), "short": (12, 0), "again": (0, 12), "long": (12, 0), "batch": (12, 0)}, made
assert "think-budget12" in r["short"]["config"]["sampling"] and "think-extend1" in r["long"]["config"]["sampling"]
assert "think" not in r["free"]["config"]["sampling"]
assert r["short"]["results"] == r["again"]["results"] == r["batch"]["results"]
tokens = {n: v["results"]["contest"]["tokens_mean"] for n, v in r.items()}
assert tokens["short"] < tokens["free"] < tokens["long"], tokens
assert all(t["think_closed"] == 1 for t in r["short"]["results"].values())
E2
expect 2 'think-budget is 0, wanted 1' "${E[@]}" --think-budget 0
cp -r $M "$dir/m"; chmod -R u+w "$dir/m"; sed -i 's/<\/think>/<|x|>/g' "$dir/m/tokenizer.json"
expect 3 'has no token </think>' "${E[@]}" -m "$dir/m" --db "$dir/c" --think-budget 5
finish
