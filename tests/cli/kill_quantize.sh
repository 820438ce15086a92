#!/usr/bin/env bash
# kill_quantize – `lowbit quantize` killed with -9 before each call that changes the disk, and at random moments: under
# the final name stands a whole folder or nothing, and the same command afterwards gives the same bytes and leaves
# nothing else. Without calibration and with it: then it goes on behind the layers that were finished.
. tests/cli/lib
cc=$(command -v clang-19 || command -v gcc)
cat >"$dir/kill.c" <<'C'
/* Counts calls that change the disk; before call number KILL_AT the process dies. The count goes to KILL_COUNT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
static int n, at = -1;
static void step(void)
{
    if (at < 0) at = getenv("KILL_AT") ? atoi(getenv("KILL_AT")) : 0;
    if (++n == at) kill(getpid(), SIGKILL);
}
/* type name(params), which steps and then calls the next one with args */
#define WRAP(type, name, params, args) \
    type name params \
    { \
        type (*real) params = (type (*) params)dlsym(RTLD_NEXT, #name); \
        step(); \
        return real args; \
    }
WRAP(ssize_t, write, (int fd, const void *p, size_t size), (fd, p, size))
WRAP(ssize_t, pwrite, (int fd, const void *p, size_t size, off_t to), (fd, p, size, to))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(int, mkdir, (const char *a, mode_t mode), (a, mode))
WRAP(int, unlink, (const char *a), (a))
WRAP(int, rmdir, (const char *a), (a))
__attribute__((destructor)) static void report(void)
{
    FILE *f = getenv("KILL_COUNT") ? fopen(getenv("KILL_COUNT"), "w") : NULL;
    if (f) fprintf(f, "%d\n", n), fclose(f);
}
C
$cc -shared -fPIC -O1 -o "$dir/kill.so" "$dir/kill.c" -ldl || { echo "FAIL: no shim"; exit 1; }
rtn=("$LOWBIT" quantize -q -m $M --scheme w3g128)
gptq=("${rtn[@]}" --method gptq --calib README.md --nsamples 4 --seqlen 32)
quantize() { "${command[@]}" -o "$1"; }
shimmed() { ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 LD_PRELOAD="$dir/kill.so" quantize "$1"; }

whole() { # nothing under the final name, or all of it
    [ ! -e "$out" ] && return
    diff -r "$dir/want-$how" "$out" || { echo "FAIL: half a folder after $1"; bad=1; }
    rm -rf "$out"
}

for how in rtn gptq; do
    declare -n command=$how
    mkdir "$dir/w-$how"
    out=$dir/w-$how/out
    quantize "$dir/want-$how" >/dev/null || bad=1
    KILL_COUNT=$dir/count shimmed "$dir/counted-$how" >/dev/null && n=$(cat "$dir/count") || { echo "FAIL: shim"; exit 1; }
    [ "$n" -ge 15 ] || { echo "FAIL: only $n steps were counted"; bad=1; }
    every=${LB_LONG:-0}; [ "$every" = 1 ] && stride=3 || stride=$(((n + 9) / 10))
    left=0
    for at in $(seq 1 $stride "$n") "$n"; do
        rm -rf "$out.partial"
        KILL_AT=$at shimmed "$out" >/dev/null 2>&1
        [ $? -eq 137 ] || { echo "FAIL: $how was not killed at step $at of $n"; bad=1; }
        [ -e "$out.partial" ] && left=$((left + 1))
        whole "step $at of $n"
    done
    [ $left -ge 3 ] || { echo "FAIL: killed runs left nothing, so nothing was tested"; bad=1; }
    for ms in 0.02 0.1 0.2 0.4; do # going on with what the one before has left
        "${command[@]}" -o "$out" >/dev/null 2>&1 & # no function: $! is the program itself
        pid=$!
        sleep $ms
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
        whole "$ms s"
    done
    quantize "$out" >/dev/null || bad=1
    diff -r "$dir/want-$how" "$out" || { echo "FAIL: other bytes after all that"; bad=1; }
    [ "$(ls -A "$dir/w-$how")" = out ] || { echo "FAIL: left behind: $(ls -A "$dir/w-$how")"; bad=1; }
    expect 2 'exists already' quantize "$out"
done
finish
