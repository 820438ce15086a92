#!/usr/bin/env bash
# study – a recipe with a run that fails goes on, says so at the end, and after kill -9 ends in the same results without
# doing anything twice; its report is one page that XML parsers take and that refers to nothing outside.
. tests/cli/lib
cat >"$dir/r.json" <<'JSON'
{"name": "small", "model": "models/abacus-5m", "tasks": "chain", "limit": 3, "seeds": [42], "max_new": 200,
 "trace": {"prompts": "data/abacus/train.jsonl", "where": {"family": "chain"}, "nprompts": 8},
 "calib": {"source": "self", "nsamples": 4, "seqlen": 64},
 "doctor": {"source": "self", "tokens": 512, "answers": 2},
 "runs": [{"scheme": "w16"}, {"scheme": "w4g512", "method": "rtn", "label": "<too> long & \"wide\""},
          {"scheme": "w3g128", "method": "rtn"}, {"scheme": "w2g128", "method": "gptq"},
          {"scheme": "w2g128", "method": "gptq", "group": "again"}, {"scheme": "w16", "kv": "kv4"}]}
JSON
strip() { sed -e '/"run": {/,/}/d' -e '/"written"/d' -e "s|$dir/[ab]/|OUT/|" "$1/results.json"; }
study() { "$LOWBIT" study -q "$dir/r.json" -o "$1"; }
rows() { # DB
    python3 -c 'if True:
        import sqlite3, sys
        try: print(sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute("SELECT count(*) FROM samples").fetchone()[0])
        except sqlite3.Error: print(0)' "$1"
}
expect 1 '1 of 6 runs failed; the first is <too> long & "wide": .*512' study "$dir/a"
grep -q 'failed: .*512' "$dir/a/table.txt" || { echo "FAIL: the table does not say what failed"; bad=1; }
for f in results.json results.csv recipe.json results.sqlite runs/main-w16/samples.jsonl; do
    [ -s "$dir/a/$f" ] || { echo "FAIL: no $f"; bad=1; }
done
[ "$(ls "$dir/a/models" | wc -l)" -eq 2 ] || { echo "FAIL: not two models:" "$dir/a/models"/*; bad=1; }
[ "$(rows "$dir/a/results.sqlite")" -eq 12 ] || { echo "FAIL: not 12 samples, or some twice"; bad=1; }
# killed now and then, in whatever it does
died=0
for n in 2 5 8; do
    "$LOWBIT" study -q "$dir/r.json" -o "$dir/b" >/dev/null 2>&1 &
    pid=$!
    while [ -e /proc/$pid ] && [ "$(rows "$dir/b/results.sqlite")" -lt $n ]; do sleep 0.05; done
    kill -KILL $pid && died=$((died + 1))
    wait $pid
done 2>/dev/null
[ $died -ge 2 ] || { echo "FAIL: only $died of 3 were killed"; bad=1; }
study "$dir/b" >/dev/null 2>&1
cmp <(strip "$dir/a") <(strip "$dir/b") || { echo "FAIL: results differ after kill -9"; diff <(strip "$dir/a") <(strip "$dir/b") | head; bad=1; }
cmp <(grep -v -e seconds -e '"model"' -e trace_file "$dir/a/runs/main-w2g128-gptq/doctor.json") \
    <(grep -v -e seconds -e '"model"' -e trace_file "$dir/b/runs/main-w2g128-gptq/doctor.json") || { echo "FAIL: the doctor says otherwise"; bad=1; }
[ ! -e "$dir/a/runs/again-w2g128-gptq/doctor.json" ] || { echo "FAIL: one model examined twice"; bad=1; }
for i in main-w16 main-w3g128-rtn main-w2g128-gptq main-w16-kv4; do
    cmp "$dir/a/runs/$i/samples.jsonl" "$dir/b/runs/$i/samples.jsonl" || bad=1
done
touch "$dir/mark"
study "$dir/b" >/dev/null 2>&1
[ -z "$(find "$dir/b/models" "$dir/b/traces" -newer "$dir/mark")" ] || { echo "FAIL: made again: $(find "$dir/b/models" -newer "$dir/mark")"; bad=1; }
python3 -c 'if True:
    import json, sys
    runs = json.load(open(sys.argv[1]))["runs"]
    assert all(r["run"]["generated"] == 0 for r in runs if r["status"] == "done"), "generated again"' "$dir/b/results.json" || bad=1

expect 0 'report.html: [0-9]+ plots, as PNG' "$LOWBIT" report "$dir/a" --png
expect 0 '"plots": [0-9]' "$LOWBIT" report --json -o "$dir/page.html" "$dir/a/"
cmp <(sed 's/page-eval/report-eval/' "$dir/page.html") "$dir/a/report.html" || bad=1
python3 -c 'if True:
    import sys, xml.etree.ElementTree as tree
    page = open(sys.argv[1], encoding="utf-8").read()
    root = tree.fromstring(page)
    ns = "{http://www.w3.org/1999/xhtml}"
    text = "".join(root.itertext())
    assert "<too> long & \"wide\"" in text, "the label is not there as it is"
    assert "Error by block" in text and "Points lost" in text and "Divergence" in text
    for e in root.iter():
        assert not {"src", "onclick", "onload"} & set(e.attrib), e
        assert e.tag != ns + "link" and e.attrib.get("href", "#").startswith(("#", "report-eval/")), e.attrib
    ids = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    assert len(ids) == len(set(ids)), "an id twice"
    hrefs = [e.attrib["href"][1:] for e in root.iter() if e.attrib.get("href", "").startswith("#")]
    assert set(hrefs) <= set(ids), "a link to nowhere"' "$dir/a/report.html" || bad=1
[ "$(ls "$dir"/a/plots/*.png | wc -l)" -eq "$(grep -c '<figure>' "$dir/a/report.html")" ] || { echo "FAIL: not a PNG for each plot"; bad=1; }
expect 2 'is no folder' "$LOWBIT" report "$dir/nothing"
expect 3 'no results.json' "$LOWBIT" report "$dir"
expect 2 'no study' "$LOWBIT" report
echo '{"schema": 1}' >"$dir/results.json"
expect 3 'schema 1.*run the recipe again' "$LOWBIT" report "$dir"
finish
