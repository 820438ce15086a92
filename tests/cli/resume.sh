#!/usr/bin/env bash
# resume – an evaluation killed with -9 again and again ends in the same table as an undisturbed one, and a run that is
# complete does no work.
. tests/cli/lib
eval_once() { "$LOWBIT" eval -q --json -m $M --tasks chain,code --limit 6 --seeds 42,43 --db "$1" ; }
strip() { sed -e '/"run": {/,/}/d'; } # what was generated now and how fast
eval_once "$dir/a.sqlite" | strip >"$dir/a" || bad=1
for ms in 0.25 0.45 0.7 1.0 1.4; do
    eval_once "$dir/b.sqlite" >/dev/null 2>&1 &
    pid=$!
    sleep $ms
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
done
eval_once "$dir/b.sqlite" | strip >"$dir/b" || bad=1
cmp "$dir/a" "$dir/b" || { diff "$dir/a" "$dir/b"; bad=1; }
grep -q '"accuracy"' "$dir/a" || bad=1
eval_once "$dir/b.sqlite" | grep -q '"generated": 0' || { echo "FAIL: a complete run was generated again"; bad=1; }
# other batch, other number of threads: the same table
"$LOWBIT" eval -q --json -m $M --tasks chain,code --limit 6 --seeds 42,43 --db "$dir/c.sqlite" --parallel 3 -t 1 | strip >"$dir/c" || bad=1
cmp "$dir/a" "$dir/c" || bad=1
# Ctrl-C: exit 130, and the same table afterwards
"$LOWBIT" eval -q --json -m $M --tasks chain,code --limit 6 --seeds 42,43 --db "$dir/d.sqlite" >/dev/null 2>&1 &
pid=$!
sleep 0.5
kill -TERM $pid
wait $pid
status=$?
[ $status -eq 143 ] || [ $status -eq 0 ] || { echo "FAIL: SIGTERM ended with $status"; bad=1; }
eval_once "$dir/d.sqlite" | strip | cmp - "$dir/a" || bad=1
finish
