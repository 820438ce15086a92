#!/usr/bin/env bash
# layers – the include rule holds on the tree, and tools/layers.sh sees each way of breaking it.
. tests/cli/lib
make -s layers || { echo "FAIL: make layers"; bad=1; }
mkdir "$dir/t" "$dir/t/tools"
cp -r src "$dir/t/src"
cp tools/layers.sh "$dir/t/tools"
silent() { # WHAT: no fault is found, nothing is said
    "$dir/t/tools/layers.sh" >"$dir/log" 2>&1 && [ ! -s "$dir/log" ] || { echo "FAIL: $1:"; cat "$dir/log"; bad=1; }
}
silent 'the tree as it is'

# planted FILE PATTERN 'LINE': the line is reported, with its place, and nothing else is
planted() {
    mkdir -p "$dir/t/src/${1%/*}"
    printf '/* planted */\n%s\n' "$3" >"$dir/t/src/$1"
    expect 1 "^src/$1.*$2" bash -c '"$0" >&2' "$dir/t/tools/layers.sh"
    rm "$dir/t/src/$1"
    rmdir "$dir/t/src/${1%/*}" 2>/dev/null
}
planted base/planted.c ':2: base \(0\) may not include kern \(2\)' '#include "kern/op.h"'
planted model/planted.h ':2: model \(3\) may not include eval \(5\)' '#include "eval/bench.h"'
planted infer/planted.c ':2: infer \(4\) may not include quant \(4\)' '#include "quant/method.h"' # equals
planted num/planted.c 'num \(1\) may not include text' '  #  include   "text/chat.h"  /* with a remark */'
planted kern/x86/planted.inc 'kern \(2\) may not include model' '#include "model/kv.h"'
planted kern/cuda/planted.cu 'kern \(2\) may not include infer' '#include "infer/engine.h"'
planted kern/planted.c 'not written from src/' '#include "op.h"'
planted kern/planted.c 'not written from src/' '#include "../base/err.h"'
planted kern/planted.c 'not written from src/' '#include "nowhere/x.h"'
planted base/planted.c 'wants quotes' '#include <kern/op.h>'
planted newfolder/planted.c 'newfolder has no layer' '#include "base/err.h"'
# what is allowed
printf '%s\n' '#include "kern/op.h"' '#include "base/err.h"' '#include "lowbit.h"' '#include <sys/stat.h>' \
    '// #include "cli/cmd.h"' >"$dir/t/src/kern/fine.c"
silent 'includes that are allowed'
finish
