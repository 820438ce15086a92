/* text/utf8.c – checking and repairing UTF-8. */
#include "text/utf8.h"
#include <string.h>

/* How many bytes from p on are well-formed. */
static size_t valid_prefix(const unsigned char *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t w;
        while (n - i >= 8 && (memcpy(&w, p + i, 8), !(w & 0x8080808080808080u))) i += 8;
        if (i == n) break;
        uint32_t c;
        size_t len = lb_utf8_step(p + i, n - i, &c);
        if (c == LB_UTF8_BAD) break;
        i += len;
    }
    return i;
}

bool lb_utf8_valid(const char *p, size_t n) { return valid_prefix((const unsigned char *)p, n) == n; }

void lb_utf8_clean(lb_buf *out, const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    for (size_t i = 0; i < n;) {
        size_t good = valid_prefix(u + i, n - i);
        lb_buf_add(out, u + i, good);
        if ((i += good) == n) break;
        uint32_t c;
        size_t bad = lb_utf8_step(u + i, n - i, &c);
        lb_buf_utf8(out, 0xfffd);
        i += bad ? bad : n - i; /* 0: cut off by the end of the text */
    }
}
