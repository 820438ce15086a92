/* base/err.c – filling and wrapping of lb_err. */
#include "base/err.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void one_line(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) *s = '?';
}

bool lb_fail(lb_err *err, lb_code code, const char *fmt, ...)
{
    if (!err) return false;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    one_line(err->msg);
    err->code = code;
    return false;
}

bool lb_wrap(lb_err *err, const char *fmt, ...)
{
    if (!err) return false;
    char head[sizeof err->msg], all[2 * sizeof err->msg + 2];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    one_line(head);
    snprintf(all, sizeof all, "%s: %s", head, err->msg);
    all[sizeof err->msg - 1] = 0;
    memcpy(err->msg, all, strlen(all) + 1);
    return false;
}

bool lb_fail_mem(lb_err *err, size_t size_bytes, const char *what)
{
    return lb_fail(err, LB_ENOMEM, "out of memory: %.1f MiB wanted for %s", (double)size_bytes / 1048576.0, what);
}

bool lb_fail_io(lb_err *err, const char *fmt, ...)
{
    int no = errno;
    if (!err) return false;
    char text[sizeof err->msg / 2];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return lb_fail(err, LB_EIO, "%s: %s", text, strerror(no));
}

int lb_exit_status(lb_code code)
{
    switch (code) {
    case LB_OK: return 0;
    case LB_EUSAGE: return 2;
    case LB_EFORMAT: case LB_EUNSUPPORTED: return 3;
    case LB_ENOMEM: return 4;
    case LB_EVERIFY: return 5;
    case LB_EGATE: return 6;
    case LB_ESTOPPED: return 75;
    default: return 1;
    }
}
