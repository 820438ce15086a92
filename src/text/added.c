/* text/added.c – the list of added tokens, a trie for each kind, and the search. */
#include "text/added.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/nfc.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include <stdlib.h>
#include <string.h>

typedef struct token {
    char *content, *match, *bytes;    /* owned: as in the file, as looked for, as decoded */
    size_t n_match, n_bytes;
    int id;
    bool single_word, lstrip, rstrip, normalized;
    bool special;        /* as flagged */
    bool skipped;        /* left out of decoded text when special tokens are */
} token;

typedef struct node {
    int first, next;     /* first child, next sibling; 0 is none, as node 0 is no one's child */
    int token;           /* index of the token that ends here, or -1 */
    unsigned char byte;
} node;

typedef struct trie {
    node *nodes;         /* owned */
    size_t n, cap;
    int root[256];       /* node of each first byte, or 0 */
} trie;

struct lb_added {
    token *tokens;       /* owned, in the order of the file */
    size_t n;
    int *by_id;          /* owned: index of id - min_id, or -1 */
    int min_id, max_id;  /* max_id -1: none */
    trie contents;       /* by content */
    trie tries[2];       /* by match, [normalized] */
};

/* ---- trie ---- */

static int new_node(trie *t, unsigned char byte, lb_err *err)
{
    if (!lb_grow(&t->nodes, &t->cap, t->n + 2, sizeof *t->nodes, "added tokens", err)) return -1;
    if (!t->n) t->nodes[t->n++] = (node){0, 0, -1, 0};
    t->nodes[t->n] = (node){0, 0, -1, byte};
    return (int)t->n++;
}

static int child(const trie *t, int at, unsigned char byte)
{
    int k = t->nodes[at].first;
    while (k && t->nodes[k].byte != byte) k = t->nodes[k].next;
    return k;
}

/* Where the token of a text is kept (-1 as long as there is none); NULL without memory. n > 0. */
static int *trie_place(trie *t, const char *text, size_t n, lb_err *err)
{
    const unsigned char *s = (const unsigned char *)text;
    int at = t->root[s[0]];
    if (!at && (at = t->root[s[0]] = new_node(t, s[0], err)) < 0) return t->root[s[0]] = 0, NULL;
    for (size_t i = 1; i < n; i++) {
        int k = child(t, at, s[i]);
        if (!k) {
            if ((k = new_node(t, s[i], err)) < 0) return NULL;
            t->nodes[k].next = t->nodes[at].first;
            t->nodes[at].first = k;
        }
        at = k;
    }
    return &t->nodes[at].token;
}

/* The token of exactly this text, or -1. */
static int trie_find(const trie *t, const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    int at = n ? t->root[s[0]] : 0;
    for (size_t i = 1; at && i < n; i++) at = child(t, at, s[i]);
    return at ? t->nodes[at].token : -1;
}

/* The longest token that starts at s, or -1. */
static int trie_longest(const trie *t, const unsigned char *s, size_t n)
{
    int best = -1;
    int at = t->root[s[0]];
    for (size_t i = 1; at; i++) {
        if (t->nodes[at].token >= 0) best = t->nodes[at].token;
        if (i == n) break;
        at = child(t, at, s[i]);
    }
    return best;
}

/* ---- loading ---- */

static bool get_bool(const json_t *o, const char *key, bool *out, const char *where, lb_err *err)
{
    if (!json_object_get(o, key)) return lb_fail(err, LB_EFORMAT, "%s: '%s' is missing", where, key);
    return lb_json_opt_bool(o, key, out, where, err);
}

static char *copy(const char *p, size_t n, lb_err *err)
{
    char *s = lb_alloc(n + 1, 1, "added tokens", err);
    if (s) memcpy(s, p, n);
    return s;
}

/* match and bytes of a token whose content and flags are set. */
static bool set_texts(token *t, bool nfc, const char *where, lb_err *err)
{
    lb_buf text = {0}, bytes = {0};
    size_t n = strlen(t->content);
    bool ok = true;
    if (t->normalized && nfc) ok = lb_nfc(t->content, n, &text, err);
    else lb_buf_add(&text, t->content, n);
    if (ok) lb_bpe_spell(lb_buf_cstr(&text), text.n, &bytes);
    ok = ok && lb_buf_ok(&text, "added tokens", err) && lb_buf_ok(&bytes, "added tokens", err);
    free(t->match);
    free(t->bytes);
    t->n_match = text.n, t->n_bytes = bytes.n;
    t->match = ok ? copy(lb_buf_cstr(&text), text.n, err) : NULL;
    t->bytes = ok ? copy(lb_buf_cstr(&bytes), bytes.n, err) : NULL;
    lb_buf_free(&text);
    lb_buf_free(&bytes);
    return (ok && t->match && t->bytes) || lb_wrap(err, "%s", where);
}

/* Reads item i. A content that came before keeps its id and stays special, and takes the new flags. */
static bool load_token(lb_added *a, const json_t *o, size_t i, const lb_bpe *bpe, bool nfc, int *next_id,
                       const char *file, lb_err *err)
{
    char where[256];
    snprintf(where, sizeof where, "%.180s: added token %zu", file, i);
    const char *content;
    int64_t unused;
    token flags = {0};
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(o));
    if (!lb_json_get_int(o, "id", 0, UINT32_MAX, &unused, where, err) ||
        !lb_json_get_str(o, "content", &content, where, err) ||
        !get_bool(o, "single_word", &flags.single_word, where, err) ||
        !get_bool(o, "lstrip", &flags.lstrip, where, err) || !get_bool(o, "rstrip", &flags.rstrip, where, err) ||
        !get_bool(o, "normalized", &flags.normalized, where, err) ||
        !get_bool(o, "special", &flags.special, where, err))
        return false;
    size_t n = strlen(content);
    if (!n) return true; /* the reference passes over an empty one too */
    if (n > LB_ADDED_MAX_BYTES)
        return lb_fail(err, LB_EUNSUPPORTED, "%s has %zu bytes, wanted at most %d", where, n, LB_ADDED_MAX_BYTES);
    int *place = trie_place(&a->contents, content, n, err);
    if (!place) return false;
    int old = *place;
    token *t = &a->tokens[old >= 0 ? (size_t)old : a->n];
    if (old < 0) {
        flags.id = lb_bpe_id(bpe, content);
        if (flags.id < 0) {
            size_t taken;
            flags.id = (*next_id)++;
            if (flags.id > LB_TOKEN_ID_MAX || lb_bpe_bytes(bpe, flags.id, &taken))
                return lb_fail(err, LB_EFORMAT, "%s ('%.100s') would get id %d, which is %s: 'vocab' has gaps", where,
                               content, flags.id, flags.id > LB_TOKEN_ID_MAX ? "too large" : "taken");
        }
        if (!(flags.content = copy(content, n, err))) return false;
        *place = (int)a->n++;
    } else {
        flags.id = t->id, flags.content = t->content, flags.special |= t->special;
        flags.match = t->match, flags.bytes = t->bytes;
    }
    *t = flags;
    return set_texts(t, nfc, where, err);
}

/* In the reference an id is skipped if the text it decodes to is the content of a special token. This differs from the
 * flag where the normal form of a content is another text. */
static void settle_special(lb_added *a)
{
    for (size_t i = 0; i < a->n; i++) {
        int k = trie_find(&a->contents, a->tokens[i].match, a->tokens[i].n_match);
        a->tokens[i].skipped = k >= 0 && a->tokens[k].special;
    }
}

static bool index_tokens(lb_added *a, const char *where, lb_err *err)
{
    a->min_id = LB_TOKEN_ID_MAX, a->max_id = -1;
    for (size_t i = 0; i < a->n; i++) {
        if (a->tokens[i].id < a->min_id) a->min_id = a->tokens[i].id;
        if (a->tokens[i].id > a->max_id) a->max_id = a->tokens[i].id;
        int *place = trie_place(&a->tries[a->tokens[i].normalized], a->tokens[i].match, a->tokens[i].n_match, err);
        if (!place) return false;
        if (*place >= 0)
            return lb_fail(err, LB_EFORMAT, "%s: added tokens %d and %d have one normal form, '%.100s'", where,
                           a->tokens[*place].id, a->tokens[i].id, a->tokens[i].match);
        *place = (int)i;
    }
    if (a->max_id < 0) return true;
    size_t span = (size_t)(a->max_id - a->min_id) + 1;
    if (!(a->by_id = lb_alloc(span, sizeof *a->by_id, "added tokens", err))) return false;
    memset(a->by_id, 0xff, span * sizeof *a->by_id);
    for (size_t i = 0; i < a->n; i++) a->by_id[a->tokens[i].id - a->min_id] = (int)i;
    return true;
}

lb_added *lb_added_load(const json_t *list, const lb_bpe *bpe, bool nfc, const char *where, lb_err *err)
{
    lb_added *a = lb_alloc(1, sizeof *a, "added tokens", err);
    if (!a) return NULL;
    a->max_id = -1;
    if (list && !json_is_null(list) && !json_is_array(list)) {
        lb_fail(err, LB_EFORMAT, "%s: 'added_tokens' is %s, wanted an array", where, lb_json_kind(list));
        goto fail;
    }
    size_t n = json_array_size(list);
    int next_id = lb_bpe_count(bpe);
    if (!(a->tokens = lb_alloc(n, sizeof *a->tokens, "added tokens", err))) goto fail;
    for (size_t i = 0; i < n; i++)
        if (!load_token(a, json_array_get(list, i), i, bpe, nfc, &next_id, where, err)) goto fail;
    settle_special(a);
    if (!index_tokens(a, where, err)) goto fail;
    return a;
fail:
    lb_added_free(a);
    return NULL;
}

void lb_added_free(lb_added *a)
{
    if (!a) return;
    for (size_t i = 0; i < a->n; i++) {
        free(a->tokens[i].content);
        free(a->tokens[i].match);
        free(a->tokens[i].bytes);
    }
    free(a->tokens);
    free(a->by_id);
    free(a->contents.nodes);
    for (int k = 0; k < 2; k++) free(a->tries[k].nodes);
    free(a);
}

/* ---- questions ---- */

static const token *token_of(const lb_added *a, int id)
{
    if (id < a->min_id || id > a->max_id) return NULL;
    int i = a->by_id[id - a->min_id];
    return i < 0 ? NULL : &a->tokens[i];
}

int lb_added_id(const lb_added *a, const char *content)
{
    int i = trie_find(&a->contents, content, strlen(content));
    return i < 0 ? -1 : a->tokens[i].id;
}

int lb_added_max_id(const lb_added *a) { return a->max_id; }

bool lb_added_is_special(const lb_added *a, int id)
{
    const token *t = token_of(a, id);
    return t && t->skipped;
}

const char *lb_added_bytes(const lb_added *a, int id, size_t *n)
{
    const token *t = token_of(a, id);
    if (!t) return NULL;
    *n = t->n_bytes;
    return t->bytes;
}

bool lb_added_any(const lb_added *a, bool normalized) { return a->tries[normalized].n > 0; }

/* ---- search ---- */

static size_t char_before(const char *s, size_t i, uint32_t *c)
{
    do i--;
    while (((unsigned char)s[i] & 0xc0) == 0x80);
    lb_utf8_char(s + i, c);
    return i;
}

static bool beside_word(const char *s, size_t n, size_t start, size_t end)
{
    uint32_t c;
    if (start && (char_before(s, start, &c), lb_uc_is_word(c))) return true;
    return end < n && (lb_utf8_char(s + end, &c), lb_uc_is_word(c));
}

static size_t space_start(const char *s, size_t low, size_t i)
{
    uint32_t c;
    for (size_t k; i > low && (k = char_before(s, i, &c), lb_uc_is_space(c));) i = k;
    return i;
}

static size_t space_end(const char *s, size_t n, size_t i)
{
    uint32_t c;
    for (size_t len; i < n && (len = lb_utf8_char(s + i, &c), lb_uc_is_space(c));) i += len;
    return i;
}

static bool add_stretch(lb_stretches *out, size_t start, size_t end, int id, lb_err *err)
{
    if (start >= end) return true;
    if (!lb_grow(&out->p, &out->cap, out->n + 1, sizeof *out->p, "added tokens", err)) return false;
    out->p[out->n++] = (lb_stretch){start, end, id};
    return true;
}

bool lb_added_split(const lb_added *a, bool normalized, const char *s, size_t n, lb_stretches *out, lb_err *err)
{
    const trie *t = &a->tries[normalized];
    const unsigned char *u = (const unsigned char *)s;
    size_t done = 0, run_start = 0, run_end = 0; /* run: white space that an rstrip has measured */
    out->n = 0;
    for (size_t i = 0; i < n;) {
        int k = t->root[u[i]] ? trie_longest(t, u + i, n - i) : -1;
        if (k < 0) {
            i++;
            continue;
        }
        const token *found = &a->tokens[k];
        size_t start = i, end = i + found->n_match;
        i = end; /* the search goes on behind the token itself, not behind the space it takes along */
        if (found->single_word && beside_word(s, n, start, end)) continue;
        if (found->lstrip) start = start > done ? space_start(s, done, start) : done;
        if (found->rstrip) {
            if (end < run_start || end >= run_end) run_start = end, run_end = space_end(s, n, end);
            end = run_end > end ? run_end : end;
        }
        if (!add_stretch(out, done, start, -1, err) || !add_stretch(out, start, end, found->id, err)) return false;
        done = end;
    }
    return add_stretch(out, done, n, -1, err);
}
