/* text/added.h – added tokens: strings that become one id before anything else looks at the text.
 *
 * As in the tokenizers package: matches are leftmost-longest; tokens with normalized = false are looked for in the text
 * as it is, then the rest is normalized and tokens with normalized = true are looked for there, by their own normal
 * form. single_word refuses a match beside a word character; lstrip and rstrip take the white space beside it along. An
 * added token that the vocabulary has keeps that id; others get the next id after the vocabulary (or after the highest
 * added one), in the order of the file, whatever id the file gives them. */
#ifndef LB_TEXT_ADDED_H
#define LB_TEXT_ADDED_H
#include "text/bpe.h"

enum { LB_ADDED_MAX_BYTES = 512 };           /* longer contents are refused: matching costs text × content at worst */

typedef struct lb_added lb_added;             /* opaque; read-only once loaded, then safe to share */

/* Reads the "added_tokens" array (NULL or null: none). nfc: contents with normalized = true are normalized. */
lb_added *lb_added_load(const json_t *list, const lb_bpe *bpe, bool nfc, const char *where, lb_err *err);
void lb_added_free(lb_added *a);

int lb_added_id(const lb_added *a, const char *content);             /* or -1 */
int lb_added_max_id(const lb_added *a);                              /* or -1 */
bool lb_added_is_special(const lb_added *a, int id);
/* The bytes that an added id decodes to; NULL if the id is not added. */
const char *lb_added_bytes(const lb_added *a, int id, size_t *n);
bool lb_added_any(const lb_added *a, bool normalized);               /* is there any token of this kind? */

/* One stretch of text: an added token (id ≥ 0) or what lies between (id -1). */
typedef struct lb_stretch {
    size_t start, end;
    int id;
} lb_stretch;
typedef struct lb_stretches {
    lb_stretch *p;       /* owned */
    size_t n, cap;
} lb_stretches;

/* Replaces *out by the stretches of s[0,n), valid UTF-8, for tokens of one kind. */
bool lb_added_split(const lb_added *a, bool normalized, const char *s, size_t n, lb_stretches *out, lb_err *err);
#endif
