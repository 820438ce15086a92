/* xml.h – a small checker of XML for tests of pages: elements nest, attributes are quoted, references are known, ids are
 * unique. */
#ifndef LB_TEST_XML_H
#define LB_TEST_XML_H
#include "test.h"
#include <stdbool.h>

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-:_", c);
}

static const char *check_reference(const char *p)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(p, known[i], strlen(known[i])) == 0) return p + strlen(known[i]);
    fail_msg("a bare '&': %.40s", p);
    return p;
}

static void check_xml(const char *p)
{
    enum { DEPTH = 64, IDS = 4096 };
    static char ids[IDS][80];
    char stack[DEPTH][32];
    int n = 0, n_id = 0;
    if (strncmp(p, "<!DOCTYPE html>\n", 16) == 0) p += 16;
    while (*p) {
        if (*p == '&') {
            p = check_reference(p);
        } else if (*p != '<') {
            assert_true(*p != '>' && ((unsigned char)*p >= 32 || *p == '\n'));
            assert_true(n > 0 || *p == '\n');
            p++;
        } else {
            bool close = p[1] == '/';
            size_t k = 0;
            char name[32];
            for (p += 1 + close; is_name(*p) && k < sizeof name - 1; p++) name[k++] = *p;
            name[k] = 0;
            if (k == 0) fail_msg("no name of an element: %.40s", p);
            if (close) {
                if (n == 0 || strcmp(stack[n - 1], name) != 0)
                    fail_msg("</%s> ends <%s>: %.60s", name, n ? stack[n - 1] : "", p);
                n--;
                assert_int_equal(*p++, '>');
                continue;
            }
            while (*p == ' ') {
                const char *attribute = ++p;
                while (is_name(*p)) p++;
                if (p == attribute || p[0] != '=' || p[1] != '"') fail_msg("not an attribute: %.60s", attribute);
                const char *value = p += 2;
                while (*p && *p != '"') {
                    assert_true(*p != '<');
                    p = *p == '&' ? check_reference(p) : p + 1;
                }
                if (strncmp(attribute, "id=", 3) == 0) {
                    assert_true(n_id < IDS && p - value < 80 && p > value);
                    snprintf(ids[n_id], 80, "%.*s", (int)(p - value), value);
                    for (int i = 0; i < n_id; i++)
                        if (strcmp(ids[i], ids[n_id]) == 0) fail_msg("id %s twice", ids[i]);
                    n_id++;
                }
                assert_int_equal(*p++, '"');
            }
            if (p[0] == '/' && p[1] == '>') {
                p += 2;
                continue;
            }
            if (*p != '>') fail_msg("<%s is not closed: %.40s", name, p);
            p++;
            assert_true(n < DEPTH);
            snprintf(stack[n++], 32, "%s", name);
            if (strcmp(name, "style") == 0 || strcmp(name, "script") == 0) { /* text that XML reads as any other */
                while (*p && *p != '<') {
                    assert_true(*p != '&');
                    p++;
                }
            }
        }
    }
    if (n) fail_msg("<%s> is not closed at the end", stack[n - 1]);
}
#endif
