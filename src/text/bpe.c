/* text/bpe.c – merging by a heap of ranks over a linked list of symbols.
 *
 * Most pieces of ordinary text are one token. Whether an entry is what its own bytes merge to (nearly always, but not
 * by law) is found out at its first use and remembered in one byte per id; from then on such a piece costs one hash
 * look-up. The byte is written atomically and always with the same value, so a shared model stays read-only to the eye.
 */
#include "text/bpe.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/utf8.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { NONE = UINT32_MAX, N_BYTES = 256, N_ALPHABET = 324 };

typedef struct entry {
    uint32_t at, n;      /* bytes at lb_bpe.text + at */
    bool used, spelled;  /* spelled: made of the byte alphabet, so text can become this entry */
} entry;

typedef struct merge {
    uint32_t left, right, rank, id;    /* left NONE: empty slot */
} merge;

enum { UNTRIED, WHOLE, SPLIT };        /* what the bytes of an entry merge to */

struct lb_bpe {
    lb_buf text;                       /* owned: the bytes of all entries */
    entry *entries;                    /* owned: [n_ids] by id */
    uint32_t *slots;                   /* owned: hash table of ids by bytes and `spelled`; NONE is empty */
    size_t n_slots, n_ids, n_entries;  /* n_slots is a power of two */
    merge *merges;                     /* owned: hash table by pair */
    uint32_t *merged;                  /* owned: [rank] id that a merge gives */
    size_t n_merge_slots;
    uint32_t byte_id[N_BYTES];
    size_t longest;                    /* bytes of the longest spelled entry */
    bool ignore_merges;
    _Atomic(unsigned char) *whole;     /* owned: [n_ids] UNTRIED, WHOLE, SPLIT */
};

typedef struct lb_symbol {
    uint32_t id, rank;                 /* rank of the pair with the next symbol; NONE if they do not merge */
    uint32_t prev, next;               /* NONE at the ends */
} lb_symbol;

/* ---- ids ---- */

void lb_ids_free(lb_ids *ids)
{
    free(ids->p);
    memset(ids, 0, sizeof *ids);
}

bool lb_ids_push(lb_ids *ids, int id, lb_err *err)
{
    if (ids->n == ids->cap && !lb_grow(&ids->p, &ids->cap, ids->n + 1, sizeof *ids->p, "token ids", err)) return false;
    ids->p[ids->n++] = id;
    return true;
}

/* ---- the byte alphabet ---- */

/* The byte that a character of the alphabet stands for, or -1. Printable Latin-1 stands for itself; U+0100 to U+0143
 * for the other 68 bytes in order: 00-20, 7F-A0, AD. */
static int alphabet_byte(uint32_t c)
{
    if ((c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xff && c != 0xad)) return (int)c;
    if (c < 0x100 || c >= N_ALPHABET) return -1;
    c -= 0x100;
    return (int)(c <= 0x20 ? c : c <= 0x42 ? c - 0x21 + 0x7f : 0xad);
}

bool lb_bpe_spell(const char *token, size_t n, lb_buf *out)
{
    size_t start = out->n;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        i += lb_utf8_char(token + i, &c);
        int b = alphabet_byte(c);
        if (b < 0) {
            out->n = start;
            lb_buf_add(out, token, n);
            return false;
        }
        lb_buf_byte(out, (char)b);
    }
    return true;
}

/* ---- vocabulary ---- */

static uint64_t hash_of(const char *p, size_t n, bool spelled) { return XXH3_64bits_withSeed(p, n, spelled); }

static int find(const lb_bpe *b, const char *p, size_t n, bool spelled)
{
    if (!b->n_slots) return -1;
    for (size_t i = hash_of(p, n, spelled);; i++) {
        uint32_t id = b->slots[i & (b->n_slots - 1)];
        if (id == NONE) return -1;
        const entry *e = &b->entries[id];
        if (e->n == n && e->spelled == spelled && !memcmp(b->text.p + e->at, p, n)) return (int)id;
    }
}

static int find_token(const lb_bpe *b, const char *token, size_t n, lb_buf *tmp)
{
    lb_buf_reset(tmp);
    bool spelled = lb_bpe_spell(token, n, tmp);
    return tmp->oom ? -1 : find(b, lb_buf_cstr(tmp), tmp->n, spelled);
}

int lb_bpe_id(const lb_bpe *b, const char *token)
{
    lb_buf tmp = {0};
    int id = lb_utf8_valid(token, strlen(token)) ? find_token(b, token, strlen(token), &tmp) : -1;
    lb_buf_free(&tmp);
    return id;
}

/* A power of two that holds n keys at most half full. */
static size_t slots_for(size_t n)
{
    size_t k = 16;
    while (k < 2 * n) k *= 2;
    return k;
}

static bool check_ids(const json_t *vocab, const char *where, size_t *n_ids, lb_err *err)
{
    const char *key;
    const json_t *v;
    json_t *object = (json_t *)(uintptr_t)vocab; /* Jansson iterates over what it calls non-const */
    *n_ids = 0;
    json_object_foreach(object, key, v) {
        if (!json_is_integer(v))
            return lb_fail(err, LB_EFORMAT, "%s: the id of '%.100s' is %s, wanted an integer", where, key,
                           lb_json_kind(v));
        json_int_t id = json_integer_value(v);
        if (id < 0 || id > LB_TOKEN_ID_MAX)
            return lb_fail(err, LB_EFORMAT, "%s: the id of '%.100s' is %lld, wanted 0 to %d", where, key, (long long)id,
                           LB_TOKEN_ID_MAX);
        if ((size_t)id >= *n_ids) *n_ids = (size_t)id + 1;
    }
    return true;
}

static bool load_vocab(lb_bpe *b, const json_t *vocab, const char *where, lb_err *err)
{
    if (!check_ids(vocab, where, &b->n_ids, err)) return false;
    b->n_entries = json_object_size(vocab);
    b->n_slots = slots_for(b->n_entries);
    b->entries = lb_alloc(b->n_ids, sizeof *b->entries, "vocabulary", err);
    b->whole = lb_alloc(b->n_ids, sizeof *b->whole, "vocabulary", err);
    b->slots = lb_alloc(b->n_slots, sizeof *b->slots, "vocabulary", err);
    if (!b->entries || !b->whole || !b->slots) return false;
    memset(b->slots, 0xff, b->n_slots * sizeof *b->slots);

    json_t *object = (json_t *)(uintptr_t)vocab;
    const char *key;
    const json_t *v;
    json_object_foreach(object, key, v) {
        uint32_t id = (uint32_t)json_integer_value(v);
        entry *e = &b->entries[id];
        size_t at = b->text.n;
        if (e->used)
            return lb_fail(err, LB_EFORMAT, "%s: id %u is given twice, the second time to '%.100s'", where, id, key);
        e->spelled = lb_bpe_spell(key, strlen(key), &b->text);
        if (!lb_buf_ok(&b->text, "vocabulary", err)) return false;
        e->at = (uint32_t)at; /* the file is at most LB_JSON_MAX_BYTES */
        e->n = (uint32_t)(b->text.n - at);
        e->used = true;
        if (e->spelled && e->n > b->longest) b->longest = e->n;
        size_t i = hash_of(lb_buf_cstr(&b->text) + at, e->n, e->spelled);
        while (b->slots[i & (b->n_slots - 1)] != NONE) i++;
        b->slots[i & (b->n_slots - 1)] = id;
    }
    for (unsigned c = 0; c < N_BYTES; c++) {
        char byte = (char)c;
        int id = find(b, &byte, 1, true);
        b->byte_id[c] = id < 0 ? NONE : (uint32_t)id;
        bool in_utf8 = c < 0xc0 || (c >= 0xc2 && c <= 0xf4);
        if (id < 0 && in_utf8)
            return lb_fail(err, LB_EFORMAT,
                           "%s: 'vocab' (%zu entries) has none for byte 0x%02X, wanted one for every byte of UTF-8",
                           where, b->n_entries, c);
    }
    return true;
}

/* ---- merges ---- */

static merge *merge_slot(const lb_bpe *b, uint32_t left, uint32_t right)
{
    uint64_t h = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    for (size_t i = h >> 32 ^ h >> 58;; i++) {
        merge *m = &b->merges[i & (b->n_merge_slots - 1)];
        if (m->left == NONE || (m->left == left && m->right == right)) return m;
    }
}

static uint32_t rank_of(const lb_bpe *b, uint32_t left, uint32_t right)
{
    const merge *m = merge_slot(b, left, right);
    return m->left == NONE ? NONE : m->rank;
}

static int shown(size_t n) { return n < 60 ? (int)n : 60; } /* bytes of a part that go into a message */

/* The two parts of a merge in either spelling: ["a", "b"] or "a b". */
static bool merge_parts(const json_t *m, size_t i, const char *part[2], size_t n[2], const char *where, lb_err *err)
{
    if (json_is_array(m) && json_array_size(m) == 2 && json_is_string(json_array_get(m, 0)) &&
        json_is_string(json_array_get(m, 1))) {
        for (int k = 0; k < 2; k++) part[k] = json_string_value(json_array_get(m, (size_t)k)), n[k] = strlen(part[k]);
        return true;
    }
    if (!json_is_string(m))
        return lb_fail(err, LB_EFORMAT, "%s: merge %zu is %s, wanted \"a b\" or [\"a\", \"b\"]", where, i,
                       lb_json_kind(m));
    const char *s = json_string_value(m), *space = strchr(s, ' ');
    if (!space || strchr(space + 1, ' '))
        return lb_fail(err, LB_EFORMAT, "%s: merge %zu is '%.100s', wanted two parts with one space between", where, i,
                       s);
    part[0] = s, n[0] = (size_t)(space - s);
    part[1] = space + 1, n[1] = strlen(space + 1);
    return true;
}

static bool load_merges(lb_bpe *b, const json_t *list, const char *where, lb_err *err)
{
    size_t n = json_array_size(list), rank = 0;
    bool lines = n && json_is_string(json_array_get(list, 0));
    lb_buf whole = {0}, tmp = {0};
    bool ok = false;
    b->n_merge_slots = slots_for(n);
    b->merges = lb_alloc(b->n_merge_slots, sizeof *b->merges, "merges", err);
    b->merged = lb_alloc(n, sizeof *b->merged, "merges", err);
    if (!b->merges || !b->merged) goto done;
    for (size_t i = 0; i < b->n_merge_slots; i++) b->merges[i].left = NONE;

    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        const char *part[2] = {"", ""};
        size_t len[2] = {0, 0};
        if (json_is_string(item) != lines) {
            lb_fail(err, LB_EFORMAT, "%s: merge %zu is %s, merge 0 is not: wanted one spelling", where, i,
                    lb_json_kind(item));
            goto done;
        }
        if (lines && !strncmp(json_string_value(item), "#version", 8)) continue;
        if (!merge_parts(item, i, part, len, where, err)) goto done;
        lb_buf_reset(&whole);
        for (int k = 0; k < 2; k++) lb_buf_add(&whole, part[k], len[k]);
        int left = find_token(b, part[0], len[0], &tmp), right = find_token(b, part[1], len[1], &tmp);
        int id = find_token(b, lb_buf_cstr(&whole), whole.n, &tmp);
        if (!lb_buf_ok(&whole, "merges", err) || !lb_buf_ok(&tmp, "merges", err)) goto done;
        if (left < 0 || right < 0 || id < 0) {
            const char *lost = left < 0 ? "left part" : right < 0 ? "right part" : "result";
            lb_fail(err, LB_EFORMAT, "%s: merge %zu is '%.*s' + '%.*s', but 'vocab' does not have its %s", where, i,
                    shown(len[0]), part[0], shown(len[1]), part[1], lost);
            goto done;
        }
        merge *m = merge_slot(b, (uint32_t)left, (uint32_t)right);
        *m = (merge){(uint32_t)left, (uint32_t)right, (uint32_t)rank, (uint32_t)id};
        b->merged[rank++] = (uint32_t)id;
    }
    ok = true;
done:
    lb_buf_free(&whole);
    lb_buf_free(&tmp);
    return ok;
}

/* ---- loading ---- */

static bool load_options(lb_bpe *b, const json_t *model, const char *where, lb_err *err)
{
    const char *type = "BPE", *prefix = "", *suffix = "";
    bool byte_fallback = false;
    double dropout = 0;
    if (!lb_json_opt_str(model, "type", &type, where, err) ||
        !lb_json_opt_bool(model, "byte_fallback", &byte_fallback, where, err) ||
        !lb_json_opt_bool(model, "ignore_merges", &b->ignore_merges, where, err) ||
        !lb_json_opt_real(model, "dropout", 0, 1, &dropout, where, err) ||
        !lb_json_opt_str(model, "continuing_subword_prefix", &prefix, where, err) ||
        !lb_json_opt_str(model, "end_of_word_suffix", &suffix, where, err))
        return false;
    const char *what = strcmp(type, "BPE") ? type : byte_fallback ? "byte_fallback" : dropout > 0 ? "dropout" :
                       *prefix ? "continuing_subword_prefix" : *suffix ? "end_of_word_suffix" : NULL;
    return !what ||
           lb_fail(err, LB_EUNSUPPORTED, "%s: model '%.60s' is not supported, wanted byte-level BPE", where, what);
}

lb_bpe *lb_bpe_load(const json_t *model, const char *where, lb_err *err)
{
    lb_bpe *b = lb_alloc(1, sizeof *b, "tokenizer", err);
    if (!b) return NULL;
    const json_t *vocab = json_object_get(model, "vocab"), *merges = json_object_get(model, "merges");
    if (!load_options(b, model, where, err)) goto fail;
    if (!json_is_object(vocab)) {
        lb_fail(err, LB_EFORMAT, "%s: model 'vocab' is %s, wanted an object", where, lb_json_kind(vocab));
        goto fail;
    }
    if (!json_is_array(merges)) {
        lb_fail(err, LB_EFORMAT, "%s: model 'merges' is %s, wanted an array", where, lb_json_kind(merges));
        goto fail;
    }
    if (!load_vocab(b, vocab, where, err) || !load_merges(b, merges, where, err)) goto fail;
    return b;
fail:
    lb_bpe_free(b);
    return NULL;
}

void lb_bpe_free(lb_bpe *b)
{
    if (!b) return;
    lb_buf_free(&b->text);
    free(b->entries);
    free(b->slots);
    free(b->merges);
    free(b->merged);
    free(b->whole);
    free(b);
}

int lb_bpe_size(const lb_bpe *b) { return (int)b->n_ids; }
int lb_bpe_count(const lb_bpe *b) { return (int)b->n_entries; }

const char *lb_bpe_bytes(const lb_bpe *b, int id, size_t *n)
{
    if (id < 0 || (size_t)id >= b->n_ids || !b->entries[id].used) return NULL;
    *n = b->entries[id].n;
    return lb_buf_cstr(&b->text) + b->entries[id].at;
}

/* ---- encoding ---- */

void lb_bpe_work_free(lb_bpe_work *w)
{
    free(w->sym);
    free(w->heap);
    memset(w, 0, sizeof *w);
}

/* A min-heap of rank and position in one word, so that equal ranks come leftmost first. */
static void sift_down(uint64_t *h, size_t n, size_t i)
{
    uint64_t v = h[i];
    for (size_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && h[k + 1] < h[k]) k++;
        if (v <= h[k]) break;
        h[i] = h[k];
    }
    h[i] = v;
}

static void heap_push(uint64_t *h, size_t *n, uint64_t v)
{
    size_t i = (*n)++;
    for (; i && v < h[(i - 1) / 2]; i = (i - 1) / 2) h[i] = h[(i - 1) / 2];
    h[i] = v;
}

static uint64_t heap_pop(uint64_t *h, size_t *n)
{
    uint64_t top = h[0];
    h[0] = h[--*n];
    if (*n) sift_down(h, *n, 0);
    return top;
}

/* Gives symbol i its new rank with the symbol behind it and queues the pair. Queued pairs whose rank has changed since
 * are stale: a rank names one pair, so comparing ranks finds them. */
static void queue_pair(const lb_bpe *b, lb_symbol *s, uint32_t i, uint64_t *heap, size_t *n_heap)
{
    s[i].rank = s[i].next == NONE ? NONE : rank_of(b, s[i].id, s[s[i].next].id);
    if (s[i].rank != NONE) heap_push(heap, n_heap, (uint64_t)s[i].rank << 32 | i);
}

/* Leaves the merged symbols of the piece in the list that starts at w->sym[0]. */
static bool merge_piece(const lb_bpe *b, lb_bpe_work *w, const char *piece, size_t n, lb_err *err)
{
    if (n >= NONE / 2)
        return lb_fail(err, LB_EUNSUPPORTED, "a piece of text has %zu bytes, wanted less than %u", n, NONE / 2);
    /* At most n pairs at first; each merge takes one out and queues two at most, and there are less than n merges. */
    if (!lb_grow(&w->sym, &w->cap_sym, n, sizeof *w->sym, "BPE symbols", err) ||
        !lb_grow(&w->heap, &w->cap_heap, 2 * n, sizeof *w->heap, "BPE heap", err))
        return false;
    lb_symbol *s = w->sym;
    size_t n_heap = 0;
    for (uint32_t i = 0; i < n; i++) {
        s[i] = (lb_symbol){b->byte_id[(unsigned char)piece[i]], NONE, i ? i - 1 : NONE, i + 1 < n ? i + 1 : NONE};
    }
    for (uint32_t i = 0; i + 1 < n; i++) {
        s[i].rank = rank_of(b, s[i].id, s[i + 1].id);
        if (s[i].rank != NONE) w->heap[n_heap++] = (uint64_t)s[i].rank << 32 | i;
    }
    for (size_t i = n_heap / 2; i-- > 0;) sift_down(w->heap, n_heap, i);

    while (n_heap) {
        uint64_t top = heap_pop(w->heap, &n_heap);
        uint32_t i = (uint32_t)top, rank = (uint32_t)(top >> 32), right = s[i].next;
        if (s[i].rank != rank) continue; /* stale */
        s[i].id = b->merged[rank];
        s[i].next = s[right].next;
        s[right].rank = NONE; /* merged away */
        if (s[i].next != NONE) s[s[i].next].prev = i;
        queue_pair(b, s, i, w->heap, &n_heap);
        if (s[i].prev != NONE) queue_pair(b, s, s[i].prev, w->heap, &n_heap);
    }
    return true;
}

bool lb_bpe_encode(const lb_bpe *b, lb_bpe_work *w, const char *piece, size_t n, lb_ids *out, lb_err *err)
{
    if (!n) return true;
    int id = n > b->longest ? -1 : find(b, piece, n, true);
    if (id >= 0 && (b->ignore_merges || atomic_load_explicit(&b->whole[id], memory_order_relaxed) == WHOLE))
        return lb_ids_push(out, id, err);
    if (!merge_piece(b, w, piece, n, err)) return false;
    if (id >= 0)
        atomic_store_explicit(&b->whole[id], w->sym[0].next == NONE && w->sym[0].id == (uint32_t)id ? WHOLE : SPLIT,
                              memory_order_relaxed);
    for (uint32_t i = 0; i != NONE; i = w->sym[i].next)
        if (!lb_ids_push(out, (int)w->sym[i].id, err)) return false;
    return true;
}
