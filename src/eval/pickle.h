/* eval/pickle.h – one string out of a Python pickle, without running it.
 *
 * A pickle is a program for a stack machine that can call any Python function. LiveCodeBench packs its private tests as
 * the pickle of one string, so only the opcodes of a string are known here; everything else is refused. */
#ifndef LB_EVAL_PICKLE_H
#define LB_EVAL_PICKLE_H
#include "base/err.h"

/* The one string that a pickle of n bytes (protocols 2 to 5) holds: *s is borrowed from p, *n_s bytes, UTF-8 as Python
 * wrote it, not checked, not NUL-terminated. Opcodes: PROTO, FRAME, SHORT_BINUNICODE, BINUNICODE, BINUNICODE8, BINPUT,
 * LONG_BINPUT, MEMOIZE, STOP. LB_EFORMAT names offset and opcode of any other, of a second string, of a length beyond
 * the end, and bytes after STOP. Source: CPython, Lib/pickletools.py. */
bool lb_pickle_str(const void *p, size_t n, const char **s, size_t *n_s, lb_err *err);
#endif
