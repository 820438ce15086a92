/* eval/pickle.c – a table of the nine opcodes that a pickled string is made of. */
#include "eval/pickle.h"

typedef enum op_kind { OP_PROTO, OP_FRAME, OP_STR, OP_PUT, OP_STOP } op_kind;

typedef struct op {
    unsigned char code;
    unsigned char n_arg;             /* bytes of its little-endian argument; of a string, its length follows */
    op_kind kind;
    const char *name;
} op;

static const op ops[] = {
    { 0x80, 1, OP_PROTO, "PROTO" },
    { 0x95, 8, OP_FRAME, "FRAME" },
    { 0x8c, 1, OP_STR, "SHORT_BINUNICODE" },
    { 'X', 4, OP_STR, "BINUNICODE" },
    { 0x8d, 8, OP_STR, "BINUNICODE8" },
    { 'q', 1, OP_PUT, "BINPUT" },
    { 'r', 4, OP_PUT, "LONG_BINPUT" },
    { 0x94, 0, OP_PUT, "MEMOIZE" },
    { '.', 0, OP_STOP, "STOP" },
};

static const op *find_op(unsigned char code)
{
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (ops[i].code == code) return &ops[i];
    return NULL;
}

bool lb_pickle_str(const void *data, size_t n, const char **s, size_t *n_s, lb_err *err)
{
    const unsigned char *p = data;
    bool found = false;
    for (size_t at = 0; at < n;) {
        const op *o = find_op(p[at]);
        if (!o)
            return lb_fail(err, LB_EFORMAT, "pickle: opcode 0x%02x at offset %zu is not of a string; pickles are not run",
                           p[at], at);
        size_t begin = at + 1, left = n - begin;
        uint64_t value = 0;
        if (o->n_arg > left) return lb_fail(err, LB_EFORMAT, "pickle: cut short within %s at offset %zu", o->name, at);
        for (int i = o->n_arg - 1; i >= 0; i--) value = value << 8 | p[begin + (size_t)i];
        begin += o->n_arg;
        left -= o->n_arg;
        switch (o->kind) {
        case OP_PROTO:
            if (at != 0 || value < 2 || value > 5)
                return lb_fail(err, LB_EFORMAT, "pickle: protocol %d at offset %zu, wanted 2 to 5 at 0", (int)value, at);
            break;
        case OP_FRAME:               /* only a promise of so many bytes to come */
        case OP_STR:
            if (value > left)
                return lb_fail(err, LB_EFORMAT, "pickle: %s at offset %zu is of %llu bytes, %zu are left", o->name, at,
                               (unsigned long long)value, left);
            if (o->kind == OP_FRAME) break;
            if (found) return lb_fail(err, LB_EFORMAT, "pickle: a second string at offset %zu", at);
            found = true;
            *s = (const char *)p + begin;
            *n_s = (size_t)value;
            begin += (size_t)value;
            break;
        case OP_PUT:
            if (!found) return lb_fail(err, LB_EFORMAT, "pickle: %s at offset %zu with nothing to keep", o->name, at);
            break;
        case OP_STOP:
            if (!found) return lb_fail(err, LB_EFORMAT, "pickle: STOP at offset %zu before a string", at);
            if (left) return lb_fail(err, LB_EFORMAT, "pickle: %zu bytes follow STOP at offset %zu", left, at);
            return true;
        }
        at = begin;
    }
    return lb_fail(err, LB_EFORMAT, "pickle: no STOP in %zu bytes", n);
}
