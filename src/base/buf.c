/* base/buf.c – a growing byte string. */
#include "base/buf.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool room(lb_buf *b, size_t more)
{
    size_t want;
    if (b->oom) return false;
    if (!lb_size_add(b->n, more, &want) || !lb_size_add(want, 1, &want) ||
        !lb_grow(&b->p, &b->cap, want, 1, "text", NULL)) {
        b->oom = true;
        return false;
    }
    return true;
}

void lb_buf_add(lb_buf *b, const void *p, size_t n)
{
    if (!room(b, n)) return;
    if (n) memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = 0;
}

void lb_buf_str(lb_buf *b, const char *s) { lb_buf_add(b, s, strlen(s)); }
void lb_buf_byte(lb_buf *b, char c) { lb_buf_add(b, &c, 1); }

void lb_buf_fmt(lb_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !room(b, (size_t)n)) return;
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void lb_buf_utf8(lb_buf *b, uint32_t c)
{
    char s[4];
    if (c < 0x80) {
        lb_buf_byte(b, (char)c);
    } else if (c < 0x800) {
        s[0] = (char)(0xc0 | c >> 6), s[1] = (char)(0x80 | (c & 63));
        lb_buf_add(b, s, 2);
    } else if (c < 0x10000) {
        s[0] = (char)(0xe0 | c >> 12), s[1] = (char)(0x80 | (c >> 6 & 63)), s[2] = (char)(0x80 | (c & 63));
        lb_buf_add(b, s, 3);
    } else {
        s[0] = (char)(0xf0 | c >> 18), s[1] = (char)(0x80 | (c >> 12 & 63));
        s[2] = (char)(0x80 | (c >> 6 & 63)), s[3] = (char)(0x80 | (c & 63));
        lb_buf_add(b, s, 4);
    }
}

void lb_buf_reset(lb_buf *b)
{
    b->n = 0;
    b->oom = false;
    if (b->p) b->p[0] = 0;
}

void lb_buf_free(lb_buf *b)
{
    free(b->p);
    memset(b, 0, sizeof *b);
}

bool lb_buf_ok(const lb_buf *b, const char *what, lb_err *err)
{
    return !b->oom || lb_fail_mem(err, b->n, what);
}

char *lb_buf_take(lb_buf *b, const char *what, lb_err *err)
{
    if (!b->p && !b->oom) lb_buf_add(b, "", 0);
    if (!lb_buf_ok(b, what, err)) {
        lb_buf_free(b);
        return NULL;
    }
    char *p = b->p;
    memset(b, 0, sizeof *b);
    return p;
}
