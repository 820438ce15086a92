#!/usr/bin/env bash
# gpu_check.sh [DIR] – runs the CUDA tests of a build on this machine's GPU. Builds nothing.
#
# DIR holds bin/ (lowbit, test_cuda, test_model_cuda) and lib/ (shared libraries that this machine may lack); without it
# the programs of build/cuda are taken. Models and fixtures are read from the source tree that this script is in.
# libcublasLt.so.13 and libcudart.so.13 are looked for in DIR/lib, CUDA's own folders and Python's nvidia packages.
# LB_CHECK_S (default 150) bounds each run under compute-sanitizer, in seconds; 0 leaves them out. The last line is
# 'GPU CHECK: ok' or 'GPU CHECK: FAILED'.
set -uo pipefail
dir=${1:-}
[ -n "$dir" ] && dir=$(cd "$dir" && pwd)
cd "$(dirname "$0")/.."
if [ -n "$dir" ]; then
    bin=$dir/bin test_kern=$dir/bin/test_cuda test_model=$dir/bin/test_model_cuda
else
    bin=build/cuda test_kern=build/cuda/tests/kern/test_cuda test_model=build/cuda/tests/golden/test_model_cuda
fi
paths=${dir:+$dir/lib}
for lib in libcublasLt.so.13 libcudart.so.13; do
    found=$(ldconfig -p 2>/dev/null | awk -v l="$lib" '$1 == l { print $NF; exit }')
    [ -n "$found" ] || found=$(find /usr/local /opt /usr/lib /root -name "$lib" -print -quit 2>/dev/null)
    [ -n "$found" ] && paths=$paths:$(dirname "$found")
done
export LD_LIBRARY_PATH=${paths#:}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LB_NEED_CUDA=1
bad=0

step() { # NAME COMMAND…
    local name=$1 t0=$SECONDS
    shift
    echo "== $name"
    if "$@"; then
        echo "-- $name: ok, $((SECONDS - t0)) s"
    else
        echo "-- $name: FAILED ($?), $((SECONDS - t0)) s"
        bad=1
    fi
}
links() {
    for p in "$bin/lowbit" "$test_kern" "$test_model"; do
        [ -x "$p" ] || { echo "$p is missing"; return 1; }
        chmod +x "$p" 2>/dev/null
        ldd "$p" | grep 'not found' && return 1
    done
    echo "cuBLASLt from $(ldd "$test_kern" | awk '$1 ~ /cublasLt/ { print $3 }')"
}
# Answers of the command itself, CPU and GPU.
answers() {
    local a b
    a=$("$bin/lowbit" run -m models/abacus-5m --temp 0 -p "$1" --device cpu) || return 1
    b=$("$bin/lowbit" run -m models/abacus-5m --temp 0 -p "$1" --device cuda) || return 1
    [ -n "$a" ] && [ "$a" = "$b" ] && { echo "the same ${#a} characters"; return 0; }
    printf 'cpu:  %s\ncuda: %s\n' "$a" "$b"
    return 1
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
step "shared libraries" links
[ $bad -eq 0 ] || { echo "GPU CHECK: FAILED"; exit 1; }
"$bin/lowbit" --version
step "operators against their references" "$test_kern"
step "operators, another seed" env LB_SEED=12345 "$test_kern"
step "models against the CPU and transformers" "$test_model"
step "lowbit run" answers "What is 12 + 7 * 3?"
san=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
limit=${LB_CHECK_S:-150}
if [ -n "$san" ] && [ "$limit" -gt 0 ]; then
    # 124: out of time without a finding.
    check() {
        timeout "$limit" env LB_ROUNDS_DIV="$2" "$san" --tool "$1" ${3:-} ${4:-} --error-exitcode 9 "$test_kern" | tail -25
        local rc=${PIPESTATUS[0]}
        [ "$rc" -eq 0 ] || [ "$rc" -eq 124 ]
    }
    step "memcheck" check memcheck 4 --report-api-errors no # a test asks for more memory than there is
    step "racecheck" check racecheck 10
fi
if [ $bad -eq 0 ]; then echo "GPU CHECK: ok"; else echo "GPU CHECK: FAILED"; fi
exit $bad
