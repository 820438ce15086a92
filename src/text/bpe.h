/* text/bpe.h – the byte-level BPE model: vocabulary, merges, and the ids of one piece of text.
 *
 * Pieces are held as the bytes they stand for: the byte alphabet of tokenizer files (a printable character for every
 * byte) is undone at load. A vocabulary entry with a character outside that alphabet can never come out of a merge; it
 * keeps its UTF-8 and only decodes. */
#ifndef LB_TEXT_BPE_H
#define LB_TEXT_BPE_H
#include "base/buf.h"
#include <jansson.h>

/* Ids above are taken for a broken file: sixteen times any vocabulary of 2025. */
enum { LB_TOKEN_ID_MAX = (1 << 22) - 1 };

typedef struct lb_ids {
    int *p;          /* owned */
    size_t n, cap;
} lb_ids;

void lb_ids_free(lb_ids *ids);
bool lb_ids_push(lb_ids *ids, int id, lb_err *err);

typedef struct lb_bpe lb_bpe;                 /* opaque; read-only once loaded, then safe to share */

/* Reads the "model" object. Two entries with one id, a merge whose parts or result are not in the vocabulary, a missing
 * entry for a byte that UTF-8 can contain: LB_EFORMAT. A feature of BPE that byte-level models do not use
 * (byte_fallback, dropout, prefixes, suffixes): LB_EUNSUPPORTED. A pair that is listed twice has its last rank. */
lb_bpe *lb_bpe_load(const json_t *model, const char *where, lb_err *err);
void lb_bpe_free(lb_bpe *b);

int lb_bpe_size(const lb_bpe *b);             /* 1 + highest id; 0 for an empty vocabulary */
int lb_bpe_count(const lb_bpe *b);            /* entries, which is less where ids have gaps */
int lb_bpe_id(const lb_bpe *b, const char *token);                   /* token as the file spells it, or -1 */
/* The bytes an id stands for; NULL for an id without entry. */
const char *lb_bpe_bytes(const lb_bpe *b, int id, size_t *n);

/* Scratch of one thread. */
typedef struct lb_bpe_work {
    struct lb_symbol *sym;   /* owned */
    uint64_t *heap;          /* owned */
    size_t cap_sym, cap_heap;
} lb_bpe_work;
void lb_bpe_work_free(lb_bpe_work *w);

/* Appends the ids of one pre-tokenized piece of n bytes: starting from single bytes, the adjacent pair of lowest rank
 * is merged, leftmost first, until none is left. O(n log n). */
bool lb_bpe_encode(const lb_bpe *b, lb_bpe_work *w, const char *piece, size_t n, lb_ids *out, lb_err *err);

/* The spelling of token content in bytes: characters of the byte alphabet become their byte if all are of it (true),
 * else the UTF-8 is kept (false). */
bool lb_bpe_spell(const char *token, size_t n, lb_buf *out);
#endif
