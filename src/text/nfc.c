/* text/nfc.c – normalization of the segments that need it.
 *
 * A segment is one character that stays (a possible base) and the run of movable characters behind it: marks,
 * conjoining Jamo, and everything with a canonical decomposition. What follows a segment is a base that composes with
 * nothing before it, so segments are normalized one by one and the rest is copied. */
#include "text/nfc.h"
#include "base/mem.h"
#include "text/utf8.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Movable for utf8proc, but fixed in the reference: marks and compositions that are newer than Unicode 9, among them
 * all of Unicode 16 (for a newer utf8proc). */
static const struct { uint32_t lo, hi; } fixed[] = {
    {0x7fd, 0x7fd}, {0x897, 0x89f}, {0x8ca, 0x8d3}, {0x9fe, 0x9fe}, {0xc3c, 0xc3c}, {0xd3b, 0xd3c}, {0xeba, 0xeba},
    {0x1715, 0x1715}, {0x1abf, 0x1aff}, {0x1df6, 0x1dfa}, {0xa82c, 0xa82c}, {0x105c0, 0x105ff},
    {0x10d24, 0x10d27}, {0x10d40, 0x10d8f}, {0x10eab, 0x10eac}, {0x10ec0, 0x10eff}, {0x10f46, 0x10f50},
    {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x11380, 0x113ff}, {0x1145e, 0x1145e},
    {0x11839, 0x1183a}, {0x11930, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34}, {0x11a47, 0x11a47},
    {0x11a99, 0x11a99}, {0x11d42, 0x11d45}, {0x11d97, 0x11d97}, {0x11f00, 0x11f5f}, {0x16100, 0x1613f},
    {0x16d40, 0x16d7f}, {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae},
    {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}, {0x1e5d0, 0x1e5ff},
};
enum { N_FIXED = sizeof fixed / sizeof *fixed, FIRST_MARK = 0x300, LEAD_300 = 0xcc, EXPANSION = 8 };

static bool is_fixed(uint32_t c)
{
    int lo = 0, hi = N_FIXED;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (c > fixed[mid].hi) lo = mid + 1;
        else hi = mid;
    }
    return lo < N_FIXED && c >= fixed[lo].lo;
}

static bool is_movable(uint32_t c)
{
    if (c < FIRST_MARK || is_fixed(c)) return false;
    /* Jamo vowels and finals. Not U+11A7, which is no final, though utf8proc composes it away. */
    if ((c >= 0x1161 && c <= 0x1175) || (c >= 0x11a8 && c <= 0x11c2)) return true;
    const utf8proc_property_t *p = utf8proc_get_property((utf8proc_int32_t)c);
    if (p->category == UTF8PROC_CATEGORY_MN || p->category == UTF8PROC_CATEGORY_MC ||
        p->category == UTF8PROC_CATEGORY_ME)
        return true;
    return p->decomp_seqindex != UINT16_MAX && p->decomp_type == 0;
}

/* The first movable character at or after p[i], or n. */
static size_t find_movable(const char *p, size_t n, size_t i)
{
    for (;;) {
        while (i < n && (unsigned char)p[i] < LEAD_300) i++; /* below U+0300, tails of two-byte characters included */
        if (i >= n) return n;
        uint32_t c;
        size_t len = lb_utf8_char(p + i, &c);
        if (is_movable(c)) return i;
        i += len;
    }
}

bool lb_nfc_inert(const char *p, size_t n) { return find_movable(p, n, 0) == n; }

typedef struct codes {
    int32_t *p, *tmp;    /* owned; tmp is scratch of the same capacity */
    size_t n, cap, cap_tmp;
} codes;

static int ccc(int32_t c) { return utf8proc_get_property(c)->combining_class; }

/* Stable counting sort of a run of marks by combining class: linear, however long and however shuffled the run. */
static void order_long(codes *s, size_t lo, size_t hi)
{
    size_t at[257] = {0};
    for (size_t i = lo; i < hi; i++) at[ccc(s->p[i]) + 1]++;
    for (int k = 0; k < 256; k++) at[k + 1] += at[k];
    for (size_t i = lo; i < hi; i++) s->tmp[at[ccc(s->p[i])]++] = s->p[i];
    memcpy(s->p + lo, s->tmp, (hi - lo) * sizeof *s->p);
}

static void order_marks(codes *s)
{
    for (size_t lo = 0, hi; lo < s->n; lo = hi) {
        hi = lo + 1;
        if (!ccc(s->p[lo])) continue;
        while (hi < s->n && ccc(s->p[hi])) hi++;
        if (hi - lo > 16) {
            order_long(s, lo, hi);
            continue;
        }
        for (size_t i = lo + 1; i < hi; i++) {
            int32_t c = s->p[i];
            size_t j = i;
            for (; j > lo && ccc(s->p[j - 1]) > ccc(c); j--) s->p[j] = s->p[j - 1];
            s->p[j] = c;
        }
    }
}

static bool add_segment(codes *s, const char *p, size_t n, lb_buf *out, lb_err *err)
{
    s->n = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        i += lb_utf8_char(p + i, &c);
        if (!lb_grow(&s->p, &s->cap, s->n + EXPANSION, sizeof *s->p, "NFC text", err)) return false;
        int unused = 0;
        utf8proc_ssize_t k = utf8proc_decompose_char((utf8proc_int32_t)c, s->p + s->n, EXPANSION,
                                                     UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &unused);
        if (k < 0 || k > EXPANSION)
            return lb_fail(err, LB_EFAIL, "NFC of U+%04X: %s", (unsigned)c, k < 0 ? utf8proc_errmsg(k) : "too long");
        s->n += (size_t)k;
    }
    if (!lb_grow(&s->tmp, &s->cap_tmp, s->n, sizeof *s->tmp, "NFC text", err)) return false;
    order_marks(s);
    utf8proc_ssize_t k = utf8proc_normalize_utf32(s->p, (utf8proc_ssize_t)s->n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (k < 0) return lb_fail(err, LB_EFAIL, "NFC: %s", utf8proc_errmsg(k));
    for (utf8proc_ssize_t i = 0; i < k; i++) lb_buf_utf8(out, (uint32_t)s->p[i]);
    return true;
}

/* The start of the character before p[i], i > from, unless that character is fixed: then i. */
static size_t base_before(const char *p, size_t from, size_t i)
{
    size_t j = i - 1;
    while (j > from && ((unsigned char)p[j] & 0xc0) == 0x80) j--;
    uint32_t c;
    lb_utf8_char(p + j, &c);
    return is_fixed(c) ? i : j;
}

bool lb_nfc(const char *p, size_t n, lb_buf *out, lb_err *err)
{
    codes s = {0};
    bool ok = true;
    size_t done = 0;
    for (size_t i = find_movable(p, n, 0); ok && i < n; i = find_movable(p, n, done)) {
        size_t begin = i > done ? base_before(p, done, i) : i;
        lb_buf_add(out, p + done, begin - done);
        uint32_t c;
        for (size_t len; i < n && (len = lb_utf8_char(p + i, &c), is_movable(c));) i += len;
        ok = add_segment(&s, p + begin, i - begin, out, err);
        done = i;
    }
    if (ok) lb_buf_add(out, p + done, n - done);
    free(s.p);
    free(s.tmp);
    return ok && lb_buf_ok(out, "NFC text", err);
}
