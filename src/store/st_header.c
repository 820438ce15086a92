/* st_header.c – a strict parser for the one JSON shape that a safetensors header may have.
 *
 *     u64 length | {"name": {"dtype": "BF16", "shape": [2,3], "data_offsets": [0,12]}, …, "__metadata__": {"k": "v"}} |
 * bytes
 *
 * Three steps: read the entries in file order, check that their offsets tile the data without hole or overlap, sort by
 * name and look for duplicates. A general JSON tree would need ten times the memory for a header of 10^6 tensors. */
#include "store/st_header.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cursor {
    const uint8_t *base, *p, *end;   /* the header's JSON */
    const char *file;
    size_t data_bytes;
    lb_tensor *t;                    /* growing */
    size_t n, cap;
    char *names, *name_at;           /* one block; a decoded string is never longer than its source */
    lb_err *err;
} cursor;

__attribute__((format(printf, 2, 3))) static bool bad(cursor *c, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return lb_fail(c->err, LB_EFORMAT, "%s: header byte %zu: %s", c->file, (size_t)(c->p - c->base) + 8, text);
}

/* ---- JSON ---- */

/* Length of the well-formed UTF-8 sequence at s (RFC 3629: no surrogates, no overlong forms), or 0. */
static int utf8_len(const uint8_t *s, const uint8_t *end)
{
    static const struct { uint8_t lead_min, lead_max, second_min, second_max; int len;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (*s < 0x80) return 1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (*s < forms[i].lead_min || *s > forms[i].lead_max) continue;
        if (end - s < forms[i].len || s[1] < forms[i].second_min || s[1] > forms[i].second_max) return 0;
        for (int j = 2; j < forms[i].len; j++)
            if ((s[j] & 0xc0) != 0x80) return 0;
        return forms[i].len;
    }
    return 0;
}

static int skip_space(cursor *c)     /* returns the next byte, or −1 at the end */
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\r' || *c->p == '\t')) c->p++;
    return c->p < c->end ? *c->p : -1;
}

static bool take(cursor *c, char want)
{
    int got = skip_space(c);
    if (got == want) {
        c->p++;
        return true;
    }
    if (got < 0) return bad(c, "the header ends where '%c' is wanted", want);
    return bad(c, "found '%c' (0x%02x), wanted '%c'", got < 0x80 ? got : '?', got, want);
}

/* After an item of a list: true with *more for ',', true without for the closing byte, which is taken. */
static bool next_item(cursor *c, char close, bool *more)
{
    int got = skip_space(c);
    *more = got == ',';
    if (*more) {
        c->p++;
        return true;
    }
    return take(c, close);
}

static int hex4(const uint8_t *s, const uint8_t *end)
{
    int v = 0;
    if (end - s < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int d = s[i] >= '0' && s[i] <= '9'                 ? s[i] - '0'
                : (s[i] | 32) >= 'a' && (s[i] | 32) <= 'f' ? (s[i] | 32) - 'a' + 10
                                                           : -1;
        if (d < 0) return -1;
        v = v << 4 | d;
    }
    return v;
}

static size_t put_utf8(uint32_t u, char out[4])
{
    if (u < 0x80) return out[0] = (char)u, 1;
    if (u < 0x800) return out[0] = (char)(0xc0 | u >> 6), out[1] = (char)(0x80 | (u & 63)), 2;
    if (u < 0x10000)
        return out[0] = (char)(0xe0 | u >> 12), out[1] = (char)(0x80 | (u >> 6 & 63)), out[2] = (char)(0x80 | (u & 63)),
               3;
    out[0] = (char)(0xf0 | u >> 18), out[1] = (char)(0x80 | (u >> 12 & 63)), out[2] = (char)(0x80 | (u >> 6 & 63));
    return out[3] = (char)(0x80 | (u & 63)), 4;
}

/* The escape after a backslash at c->p − 1, as UTF-8 in out; 0 if it is malformed. */
static size_t take_escape(cursor *c, char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (c->p == c->end) return 0;
    int e = *c->p++;
    const char *at = e ? strchr(from, e) : NULL;
    if (at) return out[0] = to[at - from], 1;
    int u = e == 'u' ? hex4(c->p, c->end) : -1;
    if (u < 0 || (u >= 0xdc00 && u <= 0xdfff)) return 0;
    c->p += 4;
    if (u < 0xd800 || u > 0xdbff) return put_utf8((uint32_t)u, out);
    int low = c->end - c->p >= 6 && c->p[0] == '\\' && c->p[1] == 'u' ? hex4(c->p + 2, c->end) : -1;
    if (low < 0xdc00 || low > 0xdfff) return 0;
    c->p += 6;
    return put_utf8(0x10000u + ((uint32_t)(u - 0xd800) << 10) + (uint32_t)(low - 0xdc00), out);
}

/* A JSON string, decoded into dst (at most max bytes and a NUL) or only checked if dst is NULL. `plain` refuses control
 * characters, also escaped ones. */
static bool take_string(cursor *c, char *dst, size_t max, bool plain, const char *what, size_t *len)
{
    if (!take(c, '"')) return false;
    size_t n = 0;
    for (;;) {
        if (c->p == c->end) return bad(c, "the header ends inside %s", what);
        char esc[4];
        const char *from = (const char *)c->p;
        size_t step;
        if (*c->p == '"') break;
        if (*c->p < 0x20) return bad(c, "a control character (0x%02x) in %s", *c->p, what);
        if (*c->p == '\\') {
            c->p++;
            step = take_escape(c, esc);
            from = esc;
            if (!step) return bad(c, "a malformed escape in %s", what);
        } else {
            step = (size_t)utf8_len(c->p, c->end);
            if (!step) return bad(c, "%s is not UTF-8", what);
            c->p += step;
        }
        if (plain && ((unsigned char)*from < 0x20 || *from == 0x7f)) return bad(c, "a control character in %s", what);
        if (dst && n + step > max) return bad(c, "%s is longer than %zu bytes", what, max);
        if (dst) memcpy(dst + n, from, step);
        n += step;
    }
    c->p++;
    if (dst) dst[n] = 0;
    if (len) *len = n;
    return true;
}

/* A plain non-negative integer: digits, no sign, leading zero, fraction or exponent; at most INT64_MAX. */
static bool take_number(cursor *c, const char *what, uint64_t *out)
{
    int got = skip_space(c);
    if (got < '0' || got > '9') return bad(c, "%s is not a non-negative integer", what);
    const uint8_t *from = c->p;
    uint64_t v = 0;
    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)(*c->p - '0'), &v) ||
            v > INT64_MAX)
            return bad(c, "%s is larger than 2^63", what);
    if (c->p - from > 1 && *from == '0') return bad(c, "%s has a leading zero", what);
    if (c->p < c->end && (*c->p == '.' || (*c->p | 32) == 'e')) return bad(c, "%s is not an integer", what);
    *out = v;
    return true;
}

/* ---- entries ---- */

static bool take_dtype(cursor *c, lb_tensor *t)
{
    char name[32];
    if (!take_string(c, name, sizeof name - 1, true, "a dtype", NULL)) return false;
    t->dtype = lb_dtype_of(name);
    if (t->dtype != LB_N_DTYPE) return true;
    return lb_fail(c->err, LB_EUNSUPPORTED, "%s: tensor '%.200s' has the data type %s, which lowbit does not know",
                   c->file, t->name, name);
}

static bool take_shape(cursor *c, lb_tensor *t)
{
    if (!take(c, '[')) return false;
    if (skip_space(c) == ']') return c->p++, true;
    for (bool more = true; more;) {
        uint64_t d;
        if (!take_number(c, "a dimension", &d)) return false;
        if (t->rank == LB_MAX_RANK) return bad(c, "tensor '%.200s' has more than %d dimensions", t->name, LB_MAX_RANK);
        t->shape[t->rank++] = (int64_t)d;
        if (!next_item(c, ']', &more)) return false;
    }
    return true;
}

static bool take_offsets(cursor *c, uint64_t *begin, uint64_t *end)
{
    return take(c, '[') && take_number(c, "an offset", begin) && take(c, ',') && take_number(c, "an offset", end) &&
           take(c, ']');
}

/* size_bytes from the shape; false if it overflows. The product is taken in order, as the reference does. */
static bool shape_bytes(const lb_tensor *t, size_t *out)
{
    size_t n = 1;
    for (int i = 0; i < t->rank; i++)
        if (!lb_size_mul(n, (size_t)t->shape[i], &n)) return false;
    return lb_size_mul(n, lb_dtype_bytes(t->dtype), out);
}

static bool take_entry(cursor *c, const char *name)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    lb_tensor t = {.name = name, .file = c->file};
    uint64_t begin = 0, end = 0;
    unsigned seen = 0;
    if (!take(c, '{')) return false;
    bool more = skip_space(c) != '}';
    if (!more) c->p++;
    while (more) {
        char key[32];
        if (!take_string(c, key, sizeof key - 1, true, "a key", NULL)) return false;
        unsigned k = 0;
        while (k < 3 && strcmp(key, keys[k]) != 0) k++;
        if (k == 3) return bad(c, "tensor '%.200s' has the unknown key '%s'", name, key);
        if (seen & 1u << k) return bad(c, "tensor '%.200s' has '%s' twice", name, key);
        seen |= 1u << k;
        if (!take(c, ':')) return false;
        bool ok = k == 0 ? take_dtype(c, &t) : k == 1 ? take_shape(c, &t) : take_offsets(c, &begin, &end);
        if (!ok || !next_item(c, '}', &more)) return false;
    }
    for (unsigned k = 0; k < 3; k++)
        if (!(seen & 1u << k)) return bad(c, "tensor '%.200s' has no '%s'", name, keys[k]);

    char text[LB_SHAPE_TEXT];
    size_t want;
    if (!shape_bytes(&t, &want))
        return bad(c, "tensor '%.200s': the size of %s overflows", name, lb_shape_text(t.shape, t.rank, text));
    if (begin > end || end > c->data_bytes)
        return bad(c, "tensor '%.200s' lies at bytes %llu to %llu of %zu bytes of data", name,
                   (unsigned long long)begin, (unsigned long long)end, c->data_bytes);
    if (end - begin != want)
        return bad(c, "tensor '%.200s' is %s of %s, %zu bytes, but its offsets span %llu", name,
                   lb_shape_text(t.shape, t.rank, text), lb_dtype_name(t.dtype), want,
                   (unsigned long long)(end - begin));
    t.data = c->end + begin;
    t.size_bytes = want;
    if (c->n == LB_ST_MAX_TENSORS) return bad(c, "more than %d tensors", LB_ST_MAX_TENSORS);
    if (!lb_grow(&c->t, &c->cap, c->n + 1, sizeof t, "the tensor table", c->err)) return false;
    c->t[c->n++] = t;
    return true;
}

static int by_string(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* {"key": "value"}: checked, not kept. Its keys are decoded into the names block only to find duplicates. */
static bool take_metadata(cursor *c)
{
    char **keys = NULL;
    size_t n = 0, cap = 0, len;
    bool ok = take(c, '{'), more = ok && skip_space(c) != '}';
    if (ok && !more) c->p++;
    while (ok && more) {
        char *key = c->name_at;
        ok = lb_grow(&keys, &cap, n + 1, sizeof *keys, "the metadata keys", c->err) &&
             take_string(c, key, SIZE_MAX, false, "a metadata key", &len) && take(c, ':');
        if (!ok) break;
        if (skip_space(c) != '"') {
            ok = bad(c, "the value of '%.100s' in __metadata__ is not a string", key);
            break;
        }
        if (strlen(key) != len) {
            ok = bad(c, "a NUL in a metadata key");
            break;
        }
        c->name_at += len + 1;
        keys[n++] = key;
        ok = take_string(c, NULL, 0, false, "a metadata value", NULL) && next_item(c, '}', &more);
    }
    if (ok && n) qsort(keys, n, sizeof *keys, by_string);
    for (size_t i = 1; ok && i < n; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0) ok = bad(c, "__metadata__ has '%.100s' twice", keys[i]);
    free(keys);
    return ok;
}

static bool take_header(cursor *c)
{
    bool metadata = false, more;
    c->p++; /* '{', checked by the caller */
    more = skip_space(c) != '}';
    if (!more) c->p++;
    while (more) {
        size_t len;
        char *name = c->name_at;
        if (!take_string(c, name, LB_ST_MAX_NAME, true, "a tensor name", &len)) return false;
        c->name_at += len + 1;
        if (!take(c, ':')) return false;
        if (strcmp(name, "__metadata__") == 0) {
            if (metadata) return bad(c, "__metadata__ is there twice");
            metadata = true;
            if (!take_metadata(c)) return false;
        } else if (!take_entry(c, name)) {
            return false;
        }
        if (!next_item(c, '}', &more)) return false;
    }
    if (skip_space(c) >= 0) return bad(c, "text after the end of the JSON object");
    return true;
}

/* ---- checks over all entries ---- */

static int by_place(const void *a, const void *b)
{
    const lb_tensor *x = *(lb_tensor *const *)a, *y = *(lb_tensor *const *)b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->size_bytes < y->size_bytes ? -1 : x->size_bytes > y->size_bytes;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(lb_tensor *const *)a)->name, (*(lb_tensor *const *)b)->name);
}

static void sort(lb_tensor **order, size_t n, int (*cmp)(const void *, const void *))
{
    size_t i = 1;
    while (i < n && cmp(&order[i - 1], &order[i]) <= 0) i++;
    if (i < n) qsort(order, n, sizeof *order, cmp);
}

static bool check_places(const cursor *c, lb_tensor **order)
{
    const uint8_t *at = c->end;
    for (size_t i = 0; i < c->n; i++) {
        if (order[i]->data != at)
            return lb_fail(c->err, LB_EFORMAT, "%s: tensor '%.200s' begins at data byte %zu, wanted %zu: tensors %s",
                           c->file, order[i]->name, (size_t)(order[i]->data - c->end), (size_t)(at - c->end),
                           order[i]->data < at ? "overlap" : "leave a hole");
        at += order[i]->size_bytes;
    }
    if (at != c->end + c->data_bytes)
        return lb_fail(c->err, LB_EFORMAT, "%s: %zu bytes of data after the last tensor", c->file,
                       (size_t)(c->end + c->data_bytes - at));
    return true;
}

/* Checks the tiling, then leaves the table sorted by name. */
static bool check_and_sort(cursor *c, lb_tensor **sorted)
{
    lb_tensor **order = lb_alloc(c->n, sizeof *order, "the tensor table", c->err);
    *sorted = lb_alloc(c->n, sizeof **sorted, "the tensor table", c->err);
    bool ok = order && *sorted;
    for (size_t i = 0; ok && i < c->n; i++) order[i] = &c->t[i];
    if (ok) {
        sort(order, c->n, by_place);
        ok = check_places(c, order);
    }
    if (ok) sort(order, c->n, by_name);
    for (size_t i = 0; ok && i < c->n; i++) {
        if (i && strcmp(order[i - 1]->name, order[i]->name) == 0)
            ok = lb_fail(c->err, LB_EFORMAT, "%s: tensor '%.200s' is there twice", c->file, order[i]->name);
        (*sorted)[i] = *order[i];
    }
    free(order);
    return ok;
}

bool lb_st_parse_header(const uint8_t *p, size_t n, const char *file, lb_st_header *h, lb_err *err)
{
    memset(h, 0, sizeof *h);
    if (n < 8) return lb_fail(err, LB_EFORMAT, "%s has %zu bytes: too short for a safetensors file", file, n);
    uint64_t size = 0;
    for (int i = 7; i >= 0; i--) size = size << 8 | p[i];
    if (size > n - 8)
        return lb_fail(err, LB_EFORMAT, "%s: the header says it has %llu bytes, the file has %zu after its length%s",
                       file, (unsigned long long)size, n - 8,
                       size <= LB_ST_MAX_HEADER ? " (a truncated download?)" : "");
    if (size > LB_ST_MAX_HEADER)
        return lb_fail(err, LB_EFORMAT, "%s: the header has %llu bytes, more than the %zu allowed", file,
                       (unsigned long long)size, LB_ST_MAX_HEADER);
    if (size < 2 || p[8] != '{') return lb_fail(err, LB_EFORMAT, "%s: the header does not begin with '{'", file);

    cursor c = {.base = p + 8, .p = p + 8, .end = p + 8 + size, .file = file, .data_bytes = n - 8 - size, .err = err};
    c.names = c.name_at = lb_alloc(size + 1, 1, "the tensor names", err);
    bool ok = c.names && take_header(&c) && check_and_sort(&c, &h->t);
    free(c.t);
    h->n = c.n;
    h->names = c.names;
    h->data_at = 8 + (size_t)size;
    if (!ok) lb_st_header_free(h);
    return ok;
}

void lb_st_header_free(lb_st_header *h)
{
    free(h->t);
    free(h->names);
    memset(h, 0, sizeof *h);
}
