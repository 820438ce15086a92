/* text/pretok.h – the pre-tokenizer: cuts normalized text into the pieces that BPE works on.
 *
 * Steps in the order of the file, each cutting the pieces of the one before: Split (pattern Regex or String; behaviours
 * Isolated, Removed, Contiguous, MergedWithPrevious, MergedWithNext; invert), Digits, and at the end ByteLevel with or
 * without its own pattern. Sequence may nest. Anything else is an error that names it. */
#ifndef LB_TEXT_PRETOK_H
#define LB_TEXT_PRETOK_H
#include "base/buf.h"
#include <jansson.h>

typedef struct lb_pretok lb_pretok;           /* opaque; read-only once loaded, then safe to share */

/* Reads the "pre_tokenizer" object. */
lb_pretok *lb_pretok_load(const json_t *pre_tokenizer, const char *where, lb_err *err);
void lb_pretok_free(lb_pretok *p);

/* Scratch of one thread for one text. Open it with the size of the text: it bounds the time for matching. */
typedef struct lb_pretok_work lb_pretok_work;
lb_pretok_work *lb_pretok_work_open(size_t text_bytes, lb_err *err);
void lb_pretok_work_close(lb_pretok_work *w);

/* Calls take(arg, piece, n, err) for every piece of s[0,n), valid UTF-8, from left to right, until it returns false. */
typedef bool lb_piece_fn(void *arg, const char *piece, size_t n, lb_err *err);
bool lb_pretok_run(const lb_pretok *p, lb_pretok_work *w, const char *s, size_t n, lb_piece_fn *take, void *arg,
                   lb_err *err);
#endif
