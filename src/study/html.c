/* study/html.c – escaping. */
#include "study/html.h"
#include "text/utf8.h"
#include <string.h>

/* The reference for a character that may not stand as it is; NULL for the others. */
static const char *reference(uint32_t c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: break;
    }
    bool control = (c < 32 && c != '\t' && c != '\n') || (c >= 127 && c < 160);
    return c == LB_UTF8_BAD || control || c == 0xfffe || c == 0xffff ? "\xef\xbf\xbd" : NULL;
}

void lb_html_add(lb_buf *b, const char *s, size_t n)
{
    size_t from = 0;
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t c;
        len = lb_utf8_step((const unsigned char *)s + i, n - i, &c);
        if (len == 0) len = n - i, c = LB_UTF8_BAD;
        const char *r = reference(c);
        if (!r) continue;
        lb_buf_add(b, s + from, i - from);
        lb_buf_str(b, r);
        from = i + len;
    }
    lb_buf_add(b, s + from, n - from);
}

void lb_html_text(lb_buf *b, const char *s) { lb_html_add(b, s, strlen(s)); }

void lb_html_element(lb_buf *b, const char *tag, const char *attributes, const char *s)
{
    lb_buf_fmt(b, "<%s%s%s>", tag, *attributes ? " " : "", attributes);
    lb_html_text(b, s);
    lb_buf_fmt(b, "</%s>", tag);
}
