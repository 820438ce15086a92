#!/usr/bin/env bash
# resume – an evaluation killed again and again, at chosen and at random moments (100 of them with LB_LONG=1), on a full
# disk, or beside another one, ends in the same table and the same database as an undisturbed one; a run that is complete
# does no work.
. tests/cli/lib
eval_=("$LOWBIT" eval -q --json -m $M --tasks chain,code --limit 6 --seeds 42,43)
N=24 # samples of it: 2 tasks x 6 items x 2 seeds
strip() { sed -e '/"run": {/,/}/d'; } # what was generated now and how fast
dump() { # DB: everything but the times, a line for each row
    python3 -c 'if True:
        import sqlite3, sys
        db = sqlite3.connect(sys.argv[1])
        for table in "samples", "items", "models":
            cols = ", ".join(c[1] for c in db.execute(f"PRAGMA table_info({table})") if c[1] != "t_unix")
            for row in sorted(db.execute(f"SELECT {cols} FROM {table}"), key=repr): print(table, row)' "$1"
}
rows() { # DB: how many samples it has; 0 where there is none yet
    python3 -c 'if True:
        import sqlite3, sys
        try: print(sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute("SELECT count(*) FROM samples").fetchone()[0])
        except sqlite3.Error: print(0)' "$1"
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
    rows=$(rows "$1")
} 2>/dev/null
# same DB WHAT: evaluates what is missing; then table and database are those of the undisturbed run.
same() {
    "${eval_[@]}" --db "$1" "${@:3}" | strip >"$dir/table" || { echo "FAIL: $2: eval"; bad=1; }
    dump "$1" >"$dir/dump"
    cmp "$dir/a" "$dir/table" || { echo "FAIL: $2: table"; diff "$dir/a" "$dir/table"; bad=1; }
    cmp "$dir/a.dump" "$dir/dump" || { echo "FAIL: $2: database"; diff "$dir/a.dump" "$dir/dump" | head -5; bad=1; }
}

"${eval_[@]}" --db "$dir/a.sqlite" | strip >"$dir/a" || bad=1
dump "$dir/a.sqlite" >"$dir/a.dump"
grep -q '"accuracy"' "$dir/a" || { echo "FAIL: no table"; bad=1; }
[ "$(rows "$dir/a.sqlite")" -eq $N ] || { echo "FAIL: not $N samples"; bad=1; }

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

# At random moments, from before there is a file to after the last sample; a database that is complete makes room for the
# next one.
kills=8
[ "${LB_LONG:-0}" = 1 ] && kills=100
RANDOM=20 died=0 full=0 db=$dir/random-0.sqlite
for i in $(seq $kills); do
    "${eval_[@]}" --db "$db" >/dev/null 2>&1 &
    pid=$!
    sleep "0.$(printf '%03d' $((RANDOM % 600)))"
    kill -KILL $pid 2>/dev/null && died=$((died + 1))
    wait $pid 2>/dev/null
    if [ "$(rows "$db")" -eq $N ] || [ "$i" -eq $kills ]; then
        same "$db" "killed at random, database $full"
        full=$((full + 1)) db=$dir/random-$full.sqlite
    fi
done
[ $died -ge $((kills * 3 / 4)) ] || { echo "FAIL: only $died of $kills were killed"; bad=1; }

# Two at once: each sample is made once.
for i in 1 2; do "${eval_[@]}" --db "$dir/two.sqlite" --parallel 2 >"$dir/two.$i" 2>"$dir/two.$i.err" & done
wait
made=$(cat "$dir/two.1" "$dir/two.2" | sed -n 's/.*"generated": \([0-9]*\).*/\1/p' | paste -sd+)
[ "$((made))" -eq $N ] || { echo "FAIL: two at once made $made of $N samples"; cat "$dir"/two.*.err; bad=1; }
for i in 1 2; do cmp "$dir/a" <(strip <"$dir/two.$i") || bad=1; done
same "$dir/two.sqlite" 'two at once'

# A disk that takes no more: an error, with what is finished kept.
expect 1 'full.sqlite: (the disk is full|File too large); what is finished is kept' bash -c 'ulimit -f 120; exec "$@"' - "${eval_[@]}" --db "$dir/full.sqlite"
left=$(rows "$dir/full.sqlite")
[ "$left" -gt 0 ] && [ "$left" -lt $N ] || { echo "FAIL: a full disk left $left of $N samples"; bad=1; }
same "$dir/full.sqlite" 'a full disk'

# Files that are no results database, or cannot be written.
echo 'this is a text, and no database, but longer than the hundred bytes that the header of a database has, I think' >"$dir/text"
expect 3 'text: file is not a database' "${eval_[@]}" --db "$dir/text"
python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript("CREATE TABLE t (x);")' "$dir/other.sqlite"
expect 3 'other.sqlite is a database of another program' "${eval_[@]}" --db "$dir/other.sqlite"
python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript("PRAGMA user_version=9;")' "$dir/c.sqlite"
expect 3 'schema 9, this lowbit knows 1 to 2' "${eval_[@]}" --db "$dir/c.sqlite"
expect 1 '/proc/none' "${eval_[@]}" --db /proc/none/x.sqlite
if [ "$(id -u)" -ne 0 ]; then
    chmod 400 "$dir/two.sqlite"
    expect 1 'two.sqlite cannot be written' "${eval_[@]}" --db "$dir/two.sqlite"
fi
finish
