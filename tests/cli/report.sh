#!/usr/bin/env bash
# report – a database with two models becomes pages that XML parsers take, whose links all lead somewhere and nowhere
# outside, and in which every stored text is found; the same database gives the same bytes; a study's pages show its runs.
. tests/cli/lib
eval_() { # MODEL TASKS SEED: three problems each
    "$LOWBIT" eval -q -m "$1" --tasks "$2" --limit 3 --seeds "$3" -n 120 --db "$dir/r.sqlite" >/dev/null || { echo "FAIL: eval $1"; bad=1; }
}
"$LOWBIT" quantize -q -m $M --scheme w2g128 --method rtn -o "$dir/w2" >/dev/null || bad=1
eval_ $M chain,choice 42
eval_ $M chain 43
eval_ "$dir/w2" chain,choice 42
expect 0 'r-report/index.html: [0-9]+ plots; [0-9]+ pages of answers, 2 models × 2 tasks' "$LOWBIT" report "$dir/r.sqlite"
cat >"$dir/check.py" <<'PY'
import html, os, re, sqlite3, sys, xml.etree.ElementTree as tree
folder, db = sys.argv[1:3]
ns, ids, links, texts = "{http://www.w3.org/1999/xhtml}", {}, [], []
for name in sorted(os.listdir(folder)):
    if not name.endswith(".html"): continue
    root = tree.fromstring(open(f"{folder}/{name}", encoding="utf-8").read())
    ids[name] = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    assert len(ids[name]) == len(set(ids[name])), f"an id twice in {name}"
    for e in root.iter():
        assert not {"src", "onclick", "onload"} & set(e.attrib) and e.tag not in (ns + "link", ns + "img", ns + "iframe"), (name, e.tag)
        if "href" in e.attrib: links.append((name, e.attrib["href"]))
        if e.attrib.get("class") == "t": texts.append("".join(e.itertext()))
for name, href in links:
    path, _, part = href.partition("#")
    path = path or name
    if path.startswith("../"):
        assert os.path.exists(f"{folder}/{path}"), f"{name}: no {path}"
        continue
    assert path in ids, f"{name}: no {path}"
    assert not part or part in ids[path], f"{name}: no {part} in {path}"
rows = sqlite3.connect(f"file:{db}?mode=ro", uri=True).execute("SELECT text, verdict FROM samples").fetchall()
whole = "\n".join(texts)
for text, verdict in rows:
    answer = text.rpartition("</think>")[2].strip()
    assert answer in whole, f"a text is missing: {answer[:60]}"
pages = "".join(open(f"{folder}/{n}", encoding="utf-8").read() for n in ids if re.search(r"\.p\d+\.html$", n))
assert pages.count("<article") == len(rows), f"{pages.count('<article')} samples of {len(rows)}"
right = len(re.findall(r'<article [^>]*><p><span class="c0">', pages))
assert right == sum(v == 1 for _, v in rows), f"{right} are right"
print(len(ids), "pages")
PY
expect 0 '[0-9]+ pages' python3 "$dir/check.py" "$dir/r-report" "$dir/r.sqlite"
cp -r "$dir/r-report" "$dir/first"
expect 0 '"models": 2' "$LOWBIT" report --json "$dir/r.sqlite"
diff -r "$dir/first" "$dir/r-report" || { echo "FAIL: the same database, other bytes"; bad=1; }
expect 0 '1 model × 1 task' "$LOWBIT" report "$dir/r.sqlite" --models w2 --tasks choice --png -o "$dir/one"
ls "$dir"/one/plots/*.png >/dev/null || bad=1
grep -q 'href="choice.html"' "$dir/one/index.html" && ! grep -q chain "$dir/one/index.html" || { echo "FAIL: not the task that was asked for"; bad=1; }
expect 0 'index.html' "$LOWBIT" report "$dir/r.sqlite" --text-kb 0 -o "$dir/r-report" # in place of the other
! grep -q 'class="t">.*answer' "$dir"/r-report/chain.p1.html || { echo "FAIL: texts with --text-kb 0"; bad=1; }
expect 2 "no model 'w3'; it has .*w2" "$LOWBIT" report "$dir/r.sqlite" --models w3
expect 2 "no task 'aime24'; it has chain, choice" "$LOWBIT" report "$dir/r.sqlite" --tasks chain,aime24
expect 2 'exists already and holds' "$LOWBIT" report "$dir/r.sqlite" -o "$dir"
expect 2 'is no folder' "$LOWBIT" report "$dir/none.sqlite"
echo hello >"$dir/no.sqlite"
expect 3 'no.sqlite' "$LOWBIT" report "$dir/no.sqlite"
gone "$dir/no-report" "$dir/r-report-new" "$dir/one-new"

# a study
cat >"$dir/s.json" <<JSON
{"name": "two", "model": "$M", "tasks": "chain,choice", "limit": 2, "seeds": [42, 43], "max_new": 120,
 "runs": [{"scheme": "w16"}, {"scheme": "w2g128", "method": "rtn", "label": "<w2> & \"rtn\""}]}
JSON
"$LOWBIT" study -q "$dir/s.json" -o "$dir/s" >/dev/null 2>&1 || bad=1
sed -i 's/"limit": 2/"limit": 1/' "$dir/s.json" # a smaller run on the same database shows its own samples only
"$LOWBIT" study -q "$dir/s.json" -o "$dir/s" >/dev/null 2>&1 || bad=1
expect 0 '[0-9]+ pages of answers, 2 models × 2 tasks' "$LOWBIT" report "$dir/s"
grep -q 'href="report-eval/index.html"' "$dir/s/report.html" || { echo "FAIL: the page does not lead to the answers"; bad=1; }
[ "$(cat "$dir"/s/report-eval/*.p*.html | grep -c '<article')" -eq 8 ] || { echo "FAIL: not 2 models × 2 tasks × 1 problem × 2 seeds"; bad=1; }
grep -q '&lt;w2&gt; &amp; &quot;rtn&quot;' "$dir/s/report-eval/chain.html" || { echo "FAIL: no label"; bad=1; }
finish
