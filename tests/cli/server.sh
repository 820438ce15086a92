#!/usr/bin/env bash
# server – lowbit eval --server: an evaluation through a failing server, killed and resumed, ends in the same samples as one
# through a healthy server; keys stay secret; what cannot work says so.
. tests/cli/lib
unset OPENAI_API_KEY
servers=()
trap '[ ${#servers[@]} -eq 0 ] || kill -9 "${servers[@]}" 2>/dev/null; rm -rf "$dir"' EXIT
A=data/abacus

# serve FLAG…: starts the fake server; its URL in `url`, its number in `server`.
serve() {
    rm -f "$dir/port"
    python3 tests/cli/fake_openai.py --port-file "$dir/port" --gold $A/chain.jsonl --gold $A/contest.jsonl --style split "$@" </dev/null >"$dir/server.log" 2>&1 &
    server=$!
    disown
    servers+=("$server")
    for _ in $(seq 3000); do [ -e "$dir/port" ] && break; sleep 0.01; done
    port=$(cat "$dir/port") url=http://127.0.0.1:$port
}
quit() { kill -9 "$server" 2>/dev/null; while kill -0 "$server" 2>/dev/null; do sleep 0.01; done; }
N=32 # 2 tasks x 8 problems x 2 seeds
eval_() { # DB FLAG…
    ${EXEC:-command} "$LOWBIT" eval -q --json --server "$url" --db "$1" --tasks chain,contest --limit 8 --seeds 42,43 --retry-wait 0.01 --timeout 5 "${@:2}"
}
# Everything stored but the identity of the server, whose port is another each time, and the time.
rows() {
    python3 -c 'if True:
        import sqlite3, sys
        db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
        cur = db.execute("SELECT * FROM samples")
        keep = [i for i, c in enumerate(cur.description) if c[0] not in ("model", "t_unix")]
        for row in sorted(repr([r[i] for i in keep]) for r in cur): print(row)' "$1"
}
count() { rows "$1" 2>/dev/null | wc -l; }
until_rows() { # DB N PID: returns when the database has N samples or the process is gone
    python3 -c 'if True:
        import os, sqlite3, sys, time
        def rows():
            try: return sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute("SELECT count(*) FROM samples").fetchone()[0]
            except sqlite3.Error: return 0 # not made yet
        while os.path.exists("/proc/" + sys.argv[3]) and rows() < int(sys.argv[2]): time.sleep(0.005)' "$@"
}
results() { python3 -c 'import json, sys; j = json.load(sys.stdin); print(json.dumps([j["results"], j["average"]], sort_keys=True))'; }
same() { # DB WHAT
    rows "$1" >"$dir/rows"
    cmp -s "$dir/want" "$dir/rows" || { echo "FAIL: $2"; diff "$dir/want" "$dir/rows" | head; bad=1; }
}

# ---- a healthy server ----
serve
eval_ "$dir/a.sqlite" >"$dir/a.json" || bad=1
rows "$dir/a.sqlite" >"$dir/want"
results <"$dir/a.json" >"$dir/a.results"
[ "$(wc -l <"$dir/want")" -eq $N ] || { echo "FAIL: not $N samples"; bad=1; }
python3 - "$dir/a.json" <<'PY' || { echo "FAIL: accuracy"; cat "$dir/a.json"; bad=1; }
import json, sys
j = json.load(open(sys.argv[1]))
assert 0.3 < j["average"] < 0.95, j["average"]  # seven of ten, less those that were cut
assert j["model"]["name"] == "fake-1" and len(j["model"]["hash"]) == 32 and j["model"]["about"]["version"] == {"version": "0.1-fake"}
assert j["server"]["done"] == 32 and j["server"]["failed"] == 0 and j["server"]["tries"] == 32, j["server"]
assert 0 < j["results"]["chain"]["think_closed"] <= 1 and j["results"]["chain"]["tokens_mean"] > 39
PY
expect 0 '"generated": 0' eval_ "$dir/a.sqlite"
quit

# ---- a bad one: the same samples ----
serve --faults 500,429,503,drop,mid-drop,cut,cut-event,html,garbage,types,utf8,empty,mid-error,not-http,close,slow --fault-tries 2 --chunk 11 --crlf --delay 0.03
eval_ "$dir/b.sqlite" >"$dir/b.json" || bad=1
same "$dir/b.sqlite" 'a failing server leaves other samples'
results <"$dir/b.json" | cmp -s - "$dir/a.results" || { echo 'FAIL: a failing server gives other results'; bad=1; }
python3 -c 'import json, sys; s = json.load(open(sys.argv[1]))["server"]; assert s["done"] == 32 and s["tries"] > 40 and s["tries_failed"], s' "$dir/b.json" || bad=1
expect 0 '^server: [0-9]+ of [0-9]+ tries failed \(' "$LOWBIT" eval --progress none --server "$url" --db "$dir/c.sqlite" --tasks chain --limit 8 --seeds 7 --retry-wait 0.01

# ---- killed again and again, then resumed ----
partly=0
for n in 3 9 17 25; do
    EXEC=exec eval_ "$dir/k.sqlite" --parallel 3 >/dev/null 2>&1 &
    pid=$!
    until_rows "$dir/k.sqlite" $n $pid
    { kill -9 $pid; wait $pid; } 2>/dev/null
    now=$(count "$dir/k.sqlite")
    if [ "$now" -gt 0 ] && [ "$now" -lt $N ]; then partly=$((partly + 1)); fi
done
[ $partly -gt 0 ] || { echo "FAIL: no run was killed in the middle"; bad=1; }
eval_ "$dir/k.sqlite" >/dev/null || bad=1
same "$dir/k.sqlite" 'a killed evaluation ends in other samples'
quit

# ---- a server that dies in the middle and comes back ----
serve --delay 0.15
{ until_rows "$dir/d.sqlite" 5 $$; kill -9 "$server"; } 2>/dev/null &
killer=$!
expect 1 'requests in a row failed, the last after 2 tries \(connect\).*the same command continues' eval_ "$dir/d.sqlite" --parallel 2 --retries 1 --max-failed 3
wait $killer
now=$(count "$dir/d.sqlite")
[ "$now" -ge 5 ] && [ "$now" -lt $N ] || { echo "FAIL: $now samples when the server died"; bad=1; }
expect 1 "no server answers at $url" eval_ "$dir/d.sqlite"
quit
serve --port "$port"
expect 0 "\"generated\": $((N - now))" eval_ "$dir/d.sqlite"
same "$dir/d.sqlite" 'a server that came back leaves other samples'
quit

# ---- samples that fail for good are not stored, and asked for again ----
serve --faults filter,context --fault-tries 99 --port "$port"
expect 1 'chain, problem .*(content filter|context length)' eval_ "$dir/e.sqlite" --max-failed 99
now=$(count "$dir/e.sqlite")
[ "$now" -gt 0 ] && [ "$now" -lt $N ] || { echo "FAIL: $now samples of a server that filters"; bad=1; }
quit
serve --port "$port"
expect 0 "\"generated\": $((N - now))" eval_ "$dir/e.sqlite"
same "$dir/e.sqlite" 'failed samples left something'
quit

# ---- Ctrl-C does not wait for a silent server ----
serve --faults stall,mid-stall --fault-tries 99
EXEC=exec eval_ "$dir/i.sqlite" --timeout 300 >/dev/null 2>&1 &
pid=$!
until_rows "$dir/i.sqlite" 3 $pid
t0=$SECONDS
kill -INT $pid
wait $pid
status=$?
if [ $status -ne 130 ] || [ $((SECONDS - t0)) -gt 60 ]; then echo "FAIL: SIGINT: exit $status after $((SECONDS - t0)) s"; bad=1; fi
quit

# ---- the key ----
serve --key sk-very-secret
export MY_KEY=sk-very-secret
expect 1 'wants a key that is right \(OPENAI_API_KEY' eval_ "$dir/s.sqlite"
OPENAI_API_KEY=sk-wrong expect 1 'wants a key that is right' eval_ "$dir/s.sqlite"
expect 2 'no variable NO_SUCH_KEY' eval_ "$dir/s.sqlite" --api-key-env NO_SUCH_KEY
expect 0 '"average"' eval_ "$dir/s.sqlite" --api-key-env MY_KEY
! grep -rqE 'sk-(very-secret|wrong)' "$dir" || { echo "FAIL: the key was written: $(grep -rlE 'sk-(very-secret|wrong)' "$dir")"; bad=1; }
quit

# ---- usage ----
expect 2 'two models' eval_ "$dir/u.sqlite" -m $M
expect 2 'is for a model folder' eval_ "$dir/u.sqlite" --kv kv4
expect 2 'cannot be forced' eval_ "$dir/u.sqlite" --think-budget 5
expect 2 'is for a model behind --server' "$LOWBIT" eval -m $M --model-name x
url=localhost:1 expect 2 'begins with http://' eval_ "$dir/u.sqlite"
gone "$dir/u.sqlite"
finish
