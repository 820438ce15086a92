/* eval/judge_value.h – what a function should return, as a text that is the same for all equal values.
 *
 * Two values are equal as Python's == says, for values that come from JSON: 1, 1.0 and true are one number, integers of
 * any size and doubles are compared exactly, objects without order, NaN with nothing. The text of a value:
 *   n                  null
 *   i-12;              a whole number (true and false are 1 and 0, -0.0 is 0)
 *   d3fb999999999999a; any other double, by its bits; infinities likewise
 *   s6869;             a string, UTF-8 in hexadecimal, lone surrogates as they would stand there
 *   [ … ]  { … }       items; keys and values in turn, sorted by key
 *   ?                  NaN
 * sandbox_check.c writes the same for a value that a program returned, or a text with '!' for one that equals none. */
#ifndef LB_EVAL_JUDGE_VALUE_H
#define LB_EVAL_JUDGE_VALUE_H
#include "base/buf.h"

enum { LB_VALUE_DEPTH = 200 };

/* Appends the text of the JSON value that json [n] is. Takes what Python's json.loads takes: NaN and Infinity, integers
 * of up to 50,000 digits, lone surrogates, the last of equal keys. LB_EFORMAT names the offset of anything else, and of
 * more than LB_VALUE_DEPTH levels; out is then of no use. */
bool lb_value_text(const char *json, size_t n, lb_buf *out, lb_err *err);

/* A value's text as one readable line, cut to fit. Takes any bytes. */
void lb_value_show(const char *text, size_t n, char *out, size_t cap);
#endif
