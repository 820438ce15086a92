/* study/html.h – text into HTML that is also XML: nothing that a file says can become markup. */
#ifndef LB_STUDY_HTML_H
#define LB_STUDY_HTML_H
#include "base/buf.h"

/* Appends s for element content or a quoted attribute: & < > " ' as references; what XML cannot hold (control
 * characters, broken UTF-8) as U+FFFD. */
void lb_html_text(lb_buf *b, const char *s);
void lb_html_add(lb_buf *b, const char *s, size_t n);       /* the same of s[0,n) */
/* <tag>s</tag>, with the attributes as they are (trusted: written by us), which may be "". */
void lb_html_element(lb_buf *b, const char *tag, const char *attributes, const char *s);
#endif
