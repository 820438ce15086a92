# spills.awk – reads `llvm-objdump -d --no-show-raw-insn`, finds the innermost loops that multiply in zmm registers, and
# reports each accumulator in one that does not stay in its register: a store of a zmm register to the stack when the
# register was last written by a multiply-add, or when the loop reads the slot before it stores there (the value comes
# from the round before). A block of weights that a round unpacks into an array and then reads is neither. The last line
# says how many loops were seen. spills.sh runs it.
BEGIN {
    MADD = "^(vfn?m(add|sub)|vpdp|vdpbf16).*%zmm"
    STORE = "^vmov(u|a|dq)[a-z0-9]* %zmm[0-9]+, [^,]*$"
}
function value(hex,    i, v) { # mawk has no strtonum
    for (i = 1; i <= length(hex); i++) v = 16 * v + index("0123456789abcdef", substr(hex, i, 1)) - 1
    return v
}
# The zmm register that an instruction writes, or "": the last operand, without mask.
function written(t) {
    sub(/ *[{#].*/, "", t)
    return match(t, /%zmm[0-9]+$/) ? substr(t, RSTART) : ""
}
# The fixed place on the stack that it reads or writes, "0x40(%rsp)", or "".
function slot_of(t) {
    if (match(t, /(-?0x[0-9a-f]+)?\(%rsp\)/) || framed && match(t, /-0x[0-9a-f]+\(%rbp\)/))
        return substr(t, RSTART, RLENGTH)
    return ""
}
function check_loop(first, last,    k, hot, slot, reg, writer, carried, stored) {
    for (k = first; k <= last; k++) { # what wrote each register last when a round begins
        if (text[k] ~ MADD) hot = 1
        if ((reg = written(text[k])) != "") writer[reg] = text[k]
    }
    if (!hot) return
    n_hot++
    for (k = first; k <= last; k++) {
        slot = slot_of(text[k])
        if (slot != "" && text[k] ~ STORE) {
            match(text[k], /%zmm[0-9]+/)
            reg = substr(text[k], RSTART, RLENGTH)
            if (writer[reg] ~ MADD || slot in carried)
                printf "%s: %s+0x%x: in the loop 0x%x to 0x%x: %s\n", file, name, at[k] - start, at[first] - start, \
                       at[last] - start, text[k]
            stored[slot] = 1
        } else if (slot != "" && !(slot in stored)) carried[slot] = 1
        if ((reg = written(text[k])) != "") writer[reg] = text[k]
    }
}
function end_of_function(    i, j, inner) {
    for (i = 1; i <= n_loop; i++) {
        inner = 1
        for (j = 1; j <= n_loop; j++)
            if (from[j] >= from[i] && to[j] <= to[i] && (from[j] > from[i] || to[j] < to[i])) inner = 0
        if (inner) check_loop(from[i], to[i])
    }
    n = n_loop = framed = 0
    split("", number)
}
/^[0-9a-f]+ <.*>:$/ { end_of_function(); start = value($1); name = substr($2, 2, length($2) - 3); next }
/^ *[0-9a-f]+:/ {
    at[++n] = value(substr($1, 1, length($1) - 1))
    number[at[n]] = n
    $1 = ""; sub(/^ +/, ""); text[n] = $0
    if ($0 == "movq %rsp, %rbp") framed = 1
    if ($1 ~ /^j/ && $2 ~ /^0x/ && value(substr($2, 3)) in number) { # a branch back: from and to are instructions
        from[++n_loop] = number[value(substr($2, 3))]; to[n_loop] = n
    }
}
END { end_of_function(); print n_hot + 0 " hot loops" }
