/* study/html.c – escaping. */
#include "study/html.h"
#include "text/utf8.h"
#include <string.h>

void lb_html_text(lb_buf *b, const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t c;
        len = lb_utf8_step((const unsigned char *)s + i, n - i, &c);
        if (len == 0) len = n - i, c = LB_UTF8_BAD;
        if (c == '&') lb_buf_str(b, "&amp;");
        else if (c == '<') lb_buf_str(b, "&lt;");
        else if (c == '>') lb_buf_str(b, "&gt;");
        else if (c == '"') lb_buf_str(b, "&quot;");
        else if (c == '\'') lb_buf_str(b, "&#39;");
        else if (c == LB_UTF8_BAD || (c < 32 && c != '\t' && c != '\n') || c == 0xfffe || c == 0xffff ||
                 (c >= 127 && c < 160))
            lb_buf_str(b, "\xef\xbf\xbd");
        else lb_buf_add(b, s + i, len);
    }
}

void lb_html_element(lb_buf *b, const char *tag, const char *attributes, const char *s)
{
    lb_buf_fmt(b, "<%s%s%s>", tag, *attributes ? " " : "", attributes);
    lb_html_text(b, s);
    lb_buf_fmt(b, "</%s>", tag);
}
