# spills.awk – reads `llvm-objdump -d --no-show-raw-insn`, finds the innermost loops that multiply in zmm registers, and
# reports each store of a zmm register to the stack in one: an accumulator that did not stay in its register. The last
# line says how many loops were seen. spills.sh runs it.
function value(hex,    i, v) { # mawk's strtonum
    for (i = 1; i <= length(hex); i++) v = 16 * v + index("0123456789abcdef", substr(hex, i, 1)) - 1
    return v
}
function end_of_function(    i, j, k, inner, hot) {
    for (i = 1; i <= n_loop; i++) {
        inner = 1
        for (j = 1; j <= n_loop && inner; j++)
            if (from[j] >= from[i] && to[j] <= to[i] && (from[j] > from[i] || to[j] < to[i])) inner = 0
        if (!inner) continue
        hot = 0
        for (k = 1; k <= n; k++)
            if (at[k] >= from[i] && at[k] <= to[i] && text[k] ~ /(vfn?m(add|sub)|vpdp|vdpbf16).*%zmm/) hot++
        if (!hot) continue
        n_hot++
        for (k = 1; k <= n; k++)
            if (at[k] >= from[i] && at[k] <= to[i] && spills(text[k]))
                printf "%s: %s+0x%x: loop 0x%x-0x%x: %s\n", file, name, at[k] - start, from[i] - start, \
                       to[i] - start, text[k]
    }
    n = n_loop = framed = 0
}
function spills(t) {
    return t ~ /^v(mov(u|a)p[sd]|movdq[ua][0-9]*) %zmm[0-9]+, (0x[0-9a-f]+|-0x[0-9a-f]+)?\(%rsp\)/ || \
           framed && t ~ /^v(mov(u|a)p[sd]|movdq[ua][0-9]*) %zmm[0-9]+, -0x[0-9a-f]+\(%rbp\)/
}
/^[0-9a-f]+ <.*>:$/ { end_of_function(); start = value($1); name = substr($2, 2, length($2) - 3); next }
/^ *[0-9a-f]+:/ {
    at[++n] = value(substr($1, 1, length($1) - 1))
    $1 = ""; sub(/^ +/, ""); text[n] = $0
    if ($0 == "movq %rsp, %rbp") framed = 1
    if ($1 ~ /^j/ && $2 ~ /^0x[0-9a-f]+$/ && value(substr($2, 3)) <= at[n] && value(substr($2, 3)) >= start) {
        from[++n_loop] = value(substr($2, 3)); to[n_loop] = at[n]
    }
}
END { end_of_function(); print n_hot + 0 " hot loops" }
