#!/usr/bin/env bash
# runner – tests/run.sh itself, on a tree of small fake tests: what counts as passed, failed and skipped, and that
# nothing which tested nothing passes. One real cmocka program shows that its output is still what run.sh reads.
. tests/cli/lib
t="$dir/tree"
fresh() {
    rm -rf "$t"
    mkdir -p "$t"/tests/{unit,fuzz,cli,long} "$t"/build/tests/{unit,fuzz}
    cp tests/run.sh "$t/tests/"
}
program() { touch "$t/tests/$1.c"; { echo '#!/bin/sh'; cat; } >"$t/build/tests/$1"; chmod +x "$t/build/tests/$1"; }
script() { cat >"$t/tests/$1.sh"; }
# counts LAST_LINE STATUS [PATTERN]: what run.sh ends with, and what else it prints
counts() {
    env LOWBIT_SEED=7 "${env_[@]}" "$t/tests/run.sh" build >"$dir/log" 2>&1 <<<'typed by a user'
    local status=$?
    [ $status -eq "$2" ] && [ "$(tail -n 1 "$dir/log")" = "$1" ] && grep -qE -- "${3:-.}" "$dir/log" && return
    echo "FAIL: run.sh exits with $status, wanted $2, '$1' and /${3:-.}/; got:"; sed 's/^/  | /' "$dir/log"; bad=1
}
env_=(LB_LONG=0)

cc=$(command -v clang-19 || command -v gcc)
cat >"$dir/real.c" <<'C'
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
static void good(void **s) { (void)s; }
static void wrong(void **s) { (void)s; assert_true(0); }
static void skipped(void **s) { (void)s; skip(); }
int main(int argc, char **argv)
{
    (void)argv;
    const struct CMUnitTest avx512_vnni[] = {cmocka_unit_test(good), cmocka_unit_test(skipped)};
    const struct CMUnitTest f16c_2[] = {cmocka_unit_test(good), cmocka_unit_test(wrong), cmocka_unit_test(wrong)};
    int n = cmocka_run_group_tests(avx512_vnni, NULL, NULL);
    return argc > 1 ? n : n + cmocka_run_group_tests(f16c_2, NULL, NULL) + cmocka_run_group_tests(f16c_2, NULL, NULL);
}
C
$cc -std=c11 "$dir/real.c" -o "$dir/real" -lcmocka || bad=1

fresh; program unit/a <<<"exec $dir/real"; counts '3 passed, 4 failed, 1 skipped' 1 'unit/a .*exit 4'
fresh; program unit/a <<<"exec $dir/real ok"
counts '1 passed, 0 failed, 1 skipped' 0 '^skip  skipped  \(tests/unit/a\)$'
program unit/b <<<"exec $dir/real ok"; script cli/c <<<'exit 0'; counts '3 passed, 0 failed, 2 skipped' 0
# cmocka versions that name the group in each line
fresh; program unit/a <<'E2'
echo '[==========] f16c_2: Running 3 test(s).'
echo '[  PASSED  ] 1 test(s).'
echo '[  FAILED  ] f16c_2: 2 test(s), listed below:'
exit 2
E2
counts '1 passed, 2 failed' 1
# exit 0 is not enough for a program; a group that failed in its setup ran nothing
fresh; program unit/a <<<'exit 0'; counts '0 passed, 1 failed' 1 'no test ran'
fresh; program unit/a <<<'echo "[==========] Running 3 test(s)."; echo "[  PASSED  ] 2 test(s)."'
counts '2 passed, 1 failed' 1 'not each of 3'
fresh; program unit/a <<<'echo "[==========] Running 0 test(s)."; echo "[  PASSED  ] 0 test(s)."'
counts '0 passed, 1 failed' 1 'no test ran'
fresh; program unit/a <<<'echo some words; kill -SEGV $$'; counts '0 passed, 1 failed' 1 'some words'
fresh; touch "$t/tests/unit/a.c"; counts '0 passed, 1 failed' 1 'exit 127'
fresh; counts '0 passed, 1 failed' 1 'no test ran'
# scripts and replays: one each; skipped with 77 and a reason
fresh; program fuzz/a <<<'[ "$1" = tests/fuzz/corpus/a ]'; script cli/a <<<'exit 0'
script cli/b <<<'echo broken; exit 3'
script cli/c <<<'echo "skip: no such device"; exit 77'; script long/a <<<'exit 0'
counts '2 passed, 1 failed, 1 skipped' 1 '^skip  no such device  \(tests/cli/c.sh\)$'
env_=(LB_LONG=1); counts '3 passed, 1 failed, 1 skipped' 1 'cli/b.sh .*exit 3'
# nothing of the caller reaches a test: no terminal, no flags of the program; a hang ends
fresh; script cli/a <<<'! read -r line && [ -z "${LOWBIT_SEED+set}" ] && [ "$LOWBIT" = "$PWD/build/lowbit" ]'
counts '1 passed, 0 failed' 0
fresh; script cli/a <<<'sleep 100'; script cli/b <<<'exit 0'
env_=(LB_TEST_S=1); counts '1 passed, 1 failed' 1 'cli/a.sh .*killed after'
# Ctrl-C means what it usually does inside a test
fresh; script cli/a <<<'sh -c "kill -INT \$\$"; [ $? -eq 130 ]'; env_=(LB_LONG=0); counts '1 passed, 0 failed' 0
finish
