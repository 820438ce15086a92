#!/usr/bin/env bash
# run.sh BUILD – runs every test of a build and ends with 'N passed, N failed'. A test is a program (cmocka, fuzz corpus
# replay) or a script tests/cli/*.sh; tests/long/* only with LB_LONG=1. Output of a failing test is shown in full.
set -uo pipefail
cd "$(dirname "$0")/.."
build=$1
passed=0 failed=0
export LOWBIT="$PWD/$build/lowbit" LB_BUILD="$build"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

one() { # NAME COMMAND…
    local name=$1 t0=$SECONDS ok=1
    shift
    if "$@" >"$log" 2>&1; then ok=0; fi
    local n=0 bad=0
    if grep -q '\[==========\]' "$log"; then
        n=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | head -1)
        bad=$(sed -n 's/^\[  FAILED  \] [a-z]*: *\([0-9]*\) test.*/\1/p' "$log" | head -1)
    fi
    n=${n:-0}; bad=${bad:-0}
    if [ $ok -eq 0 ]; then
        [ "$n" -gt 0 ] || n=1
        printf 'ok    %-44s %4d passed %4ds\n' "$name" "$n" $((SECONDS - t0))
    else
        [ "$bad" -gt 0 ] || bad=1
        printf 'FAIL  %s\n' "$name"
        cat "$log"
    fi
    passed=$((passed + n)); failed=$((failed + bad))
}

for t in tests/unit/*.c tests/kern/*.c tests/golden/*.c tests/prop/*.c; do
    [ -e "$t" ] && one "${t%.c}" "$build/${t%.c}"
done
for t in tests/fuzz/*.c; do
    [ -e "$t" ] || continue
    name=$(basename "${t%.c}")
    one "${t%.c} (corpus)" "$build/tests/fuzz/$name" tests/fuzz/corpus/"$name"
done
for t in tests/cli/*.sh; do
    [ -e "$t" ] && one "$t" bash "$t"
done
if [ "${LB_LONG:-0}" = 1 ]; then
    for t in tests/long/*.sh; do
        [ -e "$t" ] && one "$t" bash "$t"
    done
fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
