#!/usr/bin/env bash
# resume – an evaluation killed again and again ends in the same table and the same texts as an undisturbed one, and a
# run that is complete does no work.
. tests/cli/lib
eval_=("$LOWBIT" eval -q --json -m $M --tasks chain,code --limit 6 --seeds 42,43)
N=24 # samples of it: 2 tasks x 6 items x 2 seeds
strip() { sed -e '/"run": {/,/}/d'; } # what was generated now and how fast
texts() { # DB: every sample, one a line, in an order of its own
    python3 -c 'if True:
        import sqlite3, sys
        db = sqlite3.connect(sys.argv[1])
        for row in db.execute("SELECT task, item, seed, sample, text FROM samples ORDER BY 1, 2, 3, 4"):
            print(row)' "$1"
}
until_rows() { # DB N PID: returns when the database has N samples or the process is gone
    python3 -c 'if True:
        import os, sqlite3, sys, time
        def rows():
            try:
                db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
                return db.execute("SELECT count(*) FROM samples").fetchone()[0]
            except sqlite3.Error: return 0 # not made yet
        while os.path.exists("/proc/" + sys.argv[3]) and rows() < int(sys.argv[2]): time.sleep(0.005)' "$@"
}
# interrupt DB N SIGNAL: an evaluation that gets the signal once N samples are stored. Leaves its exit status in
# `status` and in `rows` how many samples are stored then.
interrupt() {
    "${eval_[@]}" --db "$1" >/dev/null 2>&1 &
    local pid=$!
    until_rows "$1" "$2" $pid
    kill -"$3" $pid
    wait $pid
    status=$?
    rows=$(texts "$1" | wc -l)
} 2>/dev/null
# same DB WHAT: evaluates what is missing; then table and texts are those of the undisturbed run.
same() {
    "${eval_[@]}" --db "$1" "${@:3}" | strip >"$dir/table" || { echo "FAIL: $2: eval"; bad=1; }
    texts "$1" >"$dir/texts"
    cmp "$dir/a" "$dir/table" || { echo "FAIL: $2: table"; diff "$dir/a" "$dir/table"; bad=1; }
    cmp "$dir/a.texts" "$dir/texts" || { echo "FAIL: $2: texts"; diff "$dir/a.texts" "$dir/texts"; bad=1; }
}

"${eval_[@]}" --db "$dir/a.sqlite" | strip >"$dir/a" || bad=1
texts "$dir/a.sqlite" >"$dir/a.texts"
grep -q '"accuracy"' "$dir/a" || { echo "FAIL: no table"; bad=1; }
[ "$(wc -l <"$dir/a.texts")" -eq $N ] || { echo "FAIL: not $N samples"; bad=1; }

died=0 partly=0
for n in 1 6 12 20; do
    interrupt "$dir/b.sqlite" $n KILL
    [ $status -eq 137 ] || continue
    died=$((died + 1))
    if [ "$rows" -gt 0 ] && [ "$rows" -lt $N ]; then partly=$((partly + 1)); fi
done
[ $partly -gt 0 ] || { echo "FAIL: $died runs were killed, none of them in the middle"; bad=1; }
same "$dir/b.sqlite" 'killed'
"${eval_[@]}" --db "$dir/b.sqlite" | grep -q '"generated": 0' || { echo "FAIL: generated again"; bad=1; }

for s in INT:130 TERM:143; do
    interrupt "$dir/$s.sqlite" 3 ${s%:*}
    [ $status -eq ${s#*:} ] || [ "$rows" -eq $N ] || { echo "FAIL: SIG$s, but exit $status, $rows samples"; bad=1; }
    same "$dir/$s.sqlite" "SIG${s%:*}"
done
same "$dir/c.sqlite" 'another batch and number of threads' --parallel 3 -t 1
finish
