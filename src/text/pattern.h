/* text/pattern.h – the regular expressions of tokenizer files, run by PCRE2.
 *
 * Files are written for Oniguruma (Ruby syntax). A pattern is read here, checked to use only what means the same in
 * both engines, and written anew for PCRE2 with the differences spelled out (\s is White_Space, without U+180E). Known:
 * literals and escapes, \s \S \d \p{category} \P{category}, classes, groups, (?i: of contraction letters), (?= (?!,
 * alternation, ? * + {m,n}, lazy and possessive. Anything else is an error that names the construct and its place.
 *
 * Time is bounded for any pattern and text: a match limit per start, and a budget of processor time per text of 1.5 s
 * and 0.5 s for each megabyte (a known pattern takes some 0.02 s per megabyte). */
#ifndef LB_TEXT_PATTERN_H
#define LB_TEXT_PATTERN_H
#include "base/err.h"

typedef struct lb_pattern lb_pattern;        /* opaque; read-only, safe to share */

/* literal: the text itself, not an expression. LB_EUNSUPPORTED for what is not known, and for a pattern that can match
 * nothing. NULL on failure. */
lb_pattern *lb_pattern_new(const char *text, bool literal, lb_err *err);
void lb_pattern_free(lb_pattern *p);

/* What one thread needs to match patterns against one text. */
typedef struct lb_matcher {
    void *data, *ctx, *stack;    /* owned: PCRE2 match data, match context, JIT stack (made when first needed) */
    double deadline_s;           /* of this thread's processor time */
    unsigned n_calls;
} lb_matcher;

bool lb_matcher_open(lb_matcher *m, size_t text_bytes, lb_err *err);
void lb_matcher_close(lb_matcher *m);

/* The first match in s[0,n) that starts at or after `from`; valid UTF-8, with stand-ins (text/unicode.h). True and
 * *start < *end for a match; true and *start = *end = n for none; false for an error (limit or memory). */
bool lb_pattern_find(const lb_pattern *p, lb_matcher *m, const char *s, size_t n, size_t from, size_t *start,
                     size_t *end, lb_err *err);
#endif
