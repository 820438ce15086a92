/* eval/inflate.h – packed bytes from a stranger: base64 and zlib, with a bound on what comes out. */
#ifndef LB_EVAL_INFLATE_H
#define LB_EVAL_INFLATE_H
#include "base/buf.h"

/* Appends the bytes of base64 text [n] to out (RFC 4648: the alphabet with + and /, padded; line breaks are skipped).
 * LB_EFORMAT names the offset of the first character that is not base64. */
bool lb_base64_decode(const char *text, size_t n, lb_buf *out, lb_err *err);

/* Appends what the zlib stream (RFC 1950) of n bytes holds to out, at most max_bytes of it: a bomb is LB_EFORMAT, as
 * are a stream that is broken, cut short, or followed by other bytes, and one that wants a dictionary. */
bool lb_inflate(const void *p, size_t n, size_t max_bytes, lb_buf *out, lb_err *err);
#endif
