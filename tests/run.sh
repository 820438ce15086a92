#!/usr/bin/env bash
# run.sh BUILD – runs every test of a build and ends with 'N passed, N failed' (', N skipped' if there are any). A test
# is a program (cmocka, fuzz corpus replay) or a script tests/cli/*.sh; tests/long/*.sh only with LB_LONG=1. A cmocka
# program counts with what cmocka says, and must say it; a replay or a script counts as one test, and exit status 77
# skips it. The output of a failing test is shown in full. A test that takes longer than LB_TEST_S seconds (600) fails.
# LB_JOBS tests run at a time (two): this script calls itself as `run.sh --one DIR KIND NAME COMMAND…` for each, which leaves
# its three numbers in DIR/sum.
set -uo pipefail
cd "$(dirname "$0")/.."
unset ${!LOWBIT_@} # these set flags of the program; tests give their own
log=$(mktemp)
pid=
trap 'rm -f "$log"' EXIT
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; exit 130' INT TERM

# sum BEFORE AFTER: the numbers of tests in the log's lines that look like this, added up
sum() { sed -nE "s/^\[ *$1([0-9]+) test$2.*/\2/p" "$log" | awk '{ n += $1 } END { print n + 0 }'; }

one() { # KIND NAME COMMAND…
    local kind=$1 name=$2 t0=$SECONDS status ran=0 good=0 bad=0 skips=0 why=
    shift 2
    set -m # a process group of its own, in which Ctrl-C has its usual meaning
    timeout -k 10 "${LB_TEST_S:-600}" "$@" </dev/null >"$log" 2>&1 &
    pid=$!
    set +m
    wait $pid
    status=$?
    pid=
    if [ "$kind" = cmocka ]; then
        ran=$(sum '=+\] (.*Running )' '')
        good=$(sum 'PASSED *\] (.*: *)?' '')
        bad=$(sum 'FAILED *\] (.*: *)?' '\(s\), listed below')
        skips=$(sum 'SKIPPED *\] (.*: *)?' '\(s\), listed below')
        if [ $status -eq 0 ] && [ $ran -eq 0 ]; then why='exit 0, but no test ran'
        elif [ $status -eq 0 ] && [ $((good + skips)) -ne "$ran" ]; then why="exit 0, but not each of $ran tests ended"
        fi
    elif [ $status -eq 0 ]; then good=1
    elif [ $status -eq 77 ]; then skips=1 status=0
    fi
    case $status in
        0) ;;
        124|137) why="killed after $((SECONDS - t0)) s" ;;
        *) why="exit $status" ;;
    esac
    {
        if [ -n "$why" ]; then
            [ "$bad" -gt 0 ] || bad=1
            printf 'FAIL  %-44s %s\n' "$name" "$why"
            cat "$log"
        else
            printf 'ok    %-44s %4d passed %4ds\n' "$name" "$good" $((SECONDS - t0))
        fi
        if [ "$skips" -gt 0 ]; then
            sed -n '/SKIPPED.*listed below/d; s/^skip: \|^\[  SKIPPED \] /skip  /p' "$log" | sort -u | sed "s|\$|  ($name)|"
        fi
    } >"$log.told"
    flock "$dir/sum" sh -c 'cat "$1"; echo "$2" >>"$3"' sh "$log.told" "$good $bad $skips" "$dir/sum"
    rm -f "$log.told"
}

if [ "${1:-}" = --one ]; then
    dir=$2
    shift 2
    one "$@"
    exit 0
fi

build=$1
export LOWBIT="$PWD/$build/lowbit" LB_BUILD="$build"
export KMP_BLOCKTIME="${KMP_BLOCKTIME:-0}" # threads that wait do not keep the other test from its processor
dir=$(mktemp -d)
trap 'rm -rf "$log" "$dir"' EXIT
touch "$dir/sum"
one() { printf '%s\0' "$#" "$@" >>"$dir/list"; } # from here on: noted down

for t in tests/unit/*.c tests/kern/*.c tests/golden/*.c tests/prop/*.c; do
    [ -e "$t" ] && one cmocka "${t%.c}" "$build/${t%.c}"
done
for t in tests/fuzz/*.c; do
    [ -e "$t" ] || continue
    name=$(basename "${t%.c}")
    one replay "${t%.c} (corpus)" "$build/tests/fuzz/$name" tests/fuzz/corpus/"$name"
done
for t in tests/cli/*.sh; do
    [ -e "$t" ] && one script "$t" bash "$t"
done
if [ "${LB_LONG:-0}" = 1 ]; then
    for t in tests/long/*.sh; do
        [ -e "$t" ] && one script "$t" bash "$t"
    done
fi
run_all() { # each entry of the list: how many words, then the words
    local n i
    while IFS= read -r -d '' n; do
        local words=()
        for ((i = 0; i < n; i++)); do
            IFS= read -r -d '' word
            words+=("$word")
        done
        printf '%q ' "$dir" "${words[@]}"
        printf '\0'
    done <"$dir/list" | xargs -0 -P "${LB_JOBS:-2}" -I{} bash -c 'eval "exec tests/run.sh --one $1"' bash {}
}
[ -s "$dir/list" ] && run_all
read -r passed failed skipped < <(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$dir/sum")
if [ $((passed + failed)) -eq 0 ]; then echo "no test ran"; failed=1; fi
echo "$passed passed, $failed failed$([ $skipped -eq 0 ] || echo ", $skipped skipped")"
[ $failed -eq 0 ]
