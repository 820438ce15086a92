#!/usr/bin/env bash
# layers – checks that every include goes to the same folder or to one with a smaller number (the table is in README.md).
set -euo pipefail
cd "$(dirname "$0")/.."
awk '
BEGIN {
    n = split("base:0 num:1 text:1 kern:2 store:2 model:3 quant:4 infer:4 eval:5 serve:5 train:6 study:7 cli:8", t, " ")
    for (i = 1; i <= n; i++) { split(t[i], p, ":"); level[p[1]] = p[2] }
}
/^[ \t]*#[ \t]*include[ \t]*["<]/ {
    split(FILENAME, f, "/"); from = f[2]
    inc = $0; sub(/^[^"<]*["<]/, "", inc); sub(/[">].*/, "", inc)
    if (inc == "lowbit.h") next
    split(inc, g, "/"); to = g[1]
    if ($0 ~ /^[^"]*</) {
        if (to in level) { print FILENAME ":" FNR ": include <" inc "> wants quotes"; bad = 1 }
        next
    }
    if (!(from in level)) { print FILENAME ": folder " from " has no layer"; bad = 1; next }
    if (!(to in level) || inc !~ /\//) { print FILENAME ":" FNR ": include \"" inc "\" is not written from src/"; bad = 1; next }
    if (from != to && level[to] >= level[from]) { print FILENAME ":" FNR ": " from " (" level[from] ") may not include " to " (" level[to] ")"; bad = 1 }
}
END { exit bad }' $(find src -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.inc' | sort)
