/* text/nfc.h – Unicode normalization form C, as the reference tokenizer does it.
 *
 * utf8proc composes and decomposes; this file finds the few places that need it, orders marks in O(n log n) at worst,
 * and leaves alone what the tokenizers package leaves alone: its tables are Unicode 9 (combining classes), so marks
 * that came later neither move nor compose. */
#ifndef LB_TEXT_NFC_H
#define LB_TEXT_NFC_H
#include "base/buf.h"

/* True if p[0,n) has nothing that NFC could change (it may be in NFC even if false). Valid UTF-8. */
bool lb_nfc_inert(const char *p, size_t n);
/* Appends the normal form of p[0,n), valid UTF-8. */
bool lb_nfc(const char *p, size_t n, lb_buf *out, lb_err *err);
#endif
