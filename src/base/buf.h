/* base/buf.h – a growing byte string.
 *
 * Appends never fail one by one: a buffer that ran out of memory remembers it (oom) and ignores further appends, so
 * that a long sequence of appends is checked once, at the end. The contents are always NUL-terminated. */
#ifndef LB_BASE_BUF_H
#define LB_BASE_BUF_H
#include "base/err.h"

typedef struct lb_buf {
    char *p;         /* owned; NULL while empty */
    size_t n, cap;
    bool oom;
} lb_buf;

void lb_buf_add(lb_buf *b, const void *p, size_t n);
void lb_buf_str(lb_buf *b, const char *s);
void lb_buf_byte(lb_buf *b, char c);
void lb_buf_fmt(lb_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void lb_buf_utf8(lb_buf *b, uint32_t codepoint);
void lb_buf_reset(lb_buf *b);                    /* empties, keeps the memory */
void lb_buf_free(lb_buf *b);
static inline const char *lb_buf_cstr(const lb_buf *b) { return b->p ? b->p : ""; }
/* True if nothing was lost, else LB_ENOMEM. */
bool lb_buf_ok(const lb_buf *b, const char *what, lb_err *err);
/* Hands the string over (the caller frees it) and empties the buffer; NULL with LB_ENOMEM if it ran out of memory. */
char *lb_buf_take(lb_buf *b, const char *what, lb_err *err);
#endif
