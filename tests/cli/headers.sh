#!/usr/bin/env bash
# headers – include/lowbit.h compiles alone as C11 and as C++, without warnings; a C program links against the library.
. tests/cli/lib
cc=$(command -v clang-19 || command -v gcc)
$cc -std=c11 -Wall -Wextra -Werror -pedantic -fsyntax-only -x c include/lowbit.h || bad=1
$cc -std=c++17 -Wall -Wextra -Werror -fsyntax-only -x c++ include/lowbit.h || bad=1
cat >"$dir/t.c" <<'C'
#include "lowbit.h"
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
    lb_err err = {0};
    lb_lm *lm = lb_lm_open("models/abacus-5m", NULL, &err);
    char *text = lm ? lb_lm_answer(lm, "Compute $12 \\cdot 34$.", &(lb_lm_gen){.own_sampling = true, .top_p = 1}, NULL, NULL, &err) : NULL;
    if (!text) return fprintf(stderr, "%s\n", err.msg), 1;
    puts(text);
    free(text);
    lb_lm_close(lm);
    return 0;
}
C
san=; case "$LB_BUILD" in *san*) san='-fsanitize=address,undefined' ;; esac
$cc -std=c11 $san -Iinclude "$dir/t.c" -o "$dir/t" "$LB_BUILD/liblowbit.so" -Wl,-rpath,"$PWD/$LB_BUILD" && "$dir/t" | grep -q 'boxed{408}' || { echo "FAIL: program with the library"; bad=1; }
finish
