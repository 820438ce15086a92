#!/usr/bin/env bash
# spills – the hot loops of the AVX-512 kernels keep their accumulators in registers: no store of a zmm register to
# the stack inside an innermost loop that multiplies in zmm registers. Only where clang built at -O2 or -O3: gcc 12 is
# known to spill.
. tests/cli/lib
flags=$(cat "$LB_BUILD/flags") || exit 1
case "$flags" in *clang*) ;; *) skip "built with another compiler than clang" ;; esac
case "$flags" in *-fsanitize=*) skip "built with sanitizers" ;; *-O[23]*) ;; *) skip "built without -O2 or -O3" ;; esac
command -v llvm-objdump-19 >/dev/null || skip "no llvm-objdump-19"

find_spills() { llvm-objdump-19 -d --no-show-raw-insn "$1" | awk -v file="${1##*/}" -f tests/cli/spills.awk; }

# the search finds what it looks for: 40 accumulators do not fit in 32 registers
cat >"$dir/spill.c" <<'C'
#include <immintrin.h>
void spill(float *y, const float *x, const float *w, int n)
{
    __m512 a[40] = {0};
    for (int k = 0; k < n; k++) {
#pragma clang loop unroll(full)
        for (int j = 0; j < 40; j++)
            a[j] = _mm512_fmadd_ps(_mm512_set1_ps(x[k * 40 + j]), _mm512_loadu_ps(w + 16 * k), a[j]);
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < 40; j++) _mm512_storeu_ps(y + 16 * j, a[j]);
}
C
clang-19 -O3 -mavx512f -c -o "$dir/spill.o" "$dir/spill.c" || bad=1
find_spills "$dir/spill.o" | grep -q 'spill+0x.*(%rsp)$' || { echo "FAIL: a loop that spills is not found"; bad=1; }

for o in "$LB_BUILD"/src/kern/x86/*avx512*.o; do
    find_spills "$o" >"$dir/log" || bad=1
    case "$o" in *matmul*) ! grep -q '^0 hot loops' "$dir/log" || { echo "FAIL: $o: no hot loop found"; bad=1; } ;; esac
    if [ "$(wc -l <"$dir/log")" -ne 1 ]; then echo "FAIL: $o spills:"; sed 's/^/  | /' "$dir/log"; bad=1; fi
done
finish
