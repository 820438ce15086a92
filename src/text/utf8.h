/* text/utf8.h – UTF-8 in and out, with one rule for broken bytes.
 *
 * Every maximal subpart of an ill-formed sequence becomes one U+FFFD (Unicode 15, section 3.9, "U+FFFD Substitution of
 * Maximal Subparts"): what Python's errors='replace' and Rust's from_utf8_lossy do, so text that comes in broken means
 * the same here as for the tokenizers package. */
#ifndef LB_TEXT_UTF8_H
#define LB_TEXT_UTF8_H
#include "base/buf.h"

#define LB_UTF8_BAD UINT32_MAX

/* Reads one character of p[0,n), n > 0. Returns the bytes it takes and sets *c, or *c = LB_UTF8_BAD and the length of
 * the ill-formed part. 0: all n bytes begin a character that more bytes could complete. */
static inline size_t lb_utf8_step(const unsigned char *p, size_t n, uint32_t *c)
{
    unsigned b = p[0];
    if (b < 0x80) return *c = b, 1;
    *c = LB_UTF8_BAD;
    if (b < 0xc2 || b > 0xf4) return 1;
    size_t len = b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    uint32_t v = b & (0x7fu >> len);
    unsigned lo = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80, hi = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < len; i++) {
        if (i == n) return 0;
        if (p[i] < lo || p[i] > hi) return i;
        v = v << 6 | (p[i] & 0x3f);
        lo = 0x80, hi = 0xbf;
    }
    return *c = v, len;
}

/* The character at p, which is known to be valid UTF-8. */
static inline size_t lb_utf8_char(const char *p, uint32_t *c)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80) return *c = u[0], 1;
    if (u[0] < 0xe0) return *c = (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu), 2;
    if (u[0] < 0xf0) return *c = (u[0] & 0xfu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu), 3;
    return *c = (u[0] & 7u) << 18 | (u[1] & 0x3fu) << 12 | (u[2] & 0x3fu) << 6 | (u[3] & 0x3fu), 4;
}

bool lb_utf8_valid(const char *p, size_t n);
/* Appends p[0,n) with its ill-formed parts replaced. */
void lb_utf8_clean(lb_buf *out, const char *p, size_t n);
#endif
