/* text/unicode.h – character classes as the reference tokenizer sees them.
 *
 * Token ids depend on which Unicode version decides what a letter is. The tokenizers package (0.23) matches patterns
 * with Oniguruma's Unicode 16; PCRE2 10.42 has Unicode 14 and utf8proc 2.8 has 15. One table holds the 10,302 code
 * points where they differ (127 ranges, measured by asking the package about every code point;
 * tools/make_tokenizer_fixtures.py repeats the question on a sample). For PCRE2 such characters are replaced, in a copy
 * of the text, by a stand-in of the same category and the same length, so that patterns stay short and offsets stay
 * right. */
#ifndef LB_TEXT_UNICODE_H
#define LB_TEXT_UNICODE_H
#include "base/buf.h"

bool lb_uc_is_space(uint32_t c);       /* White_Space */
bool lb_uc_is_numeric(uint32_t c);     /* Nd, Nl, No */
bool lb_uc_is_word(uint32_t c);        /* \w of UTS 18: alphabetic, marks, decimal digits, connectors, joiners */

/* True if p[0,n) (valid UTF-8) has characters that PCRE2 may classify otherwise; then *out gets the text with
 * stand-ins, of the same length. */
bool lb_uc_stand_ins(const char *p, size_t n, lb_buf *out);
/* True if [lo,hi] contains a replaced character or a stand-in: a pattern that names these cannot be matched so. */
bool lb_uc_touches_stand_ins(uint32_t lo, uint32_t hi);
#endif
