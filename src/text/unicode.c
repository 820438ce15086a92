/* text/unicode.c – utf8proc's categories, corrected to Unicode 16. */
#include "text/unicode.h"
#include "text/utf8.h"
#include <utf8proc.h>

enum {
    LU = UTF8PROC_CATEGORY_LU, LL = UTF8PROC_CATEGORY_LL, LM = UTF8PROC_CATEGORY_LM, LO = UTF8PROC_CATEGORY_LO,
    MN = UTF8PROC_CATEGORY_MN, MC = UTF8PROC_CATEGORY_MC, ND = UTF8PROC_CATEGORY_ND, NO = UTF8PROC_CATEGORY_NO,
    PD = UTF8PROC_CATEGORY_PD, PO = UTF8PROC_CATEGORY_PO, SM = UTF8PROC_CATEGORY_SM, SO = UTF8PROC_CATEGORY_SO,
    CF = UTF8PROC_CATEGORY_CF,
};

/* Code points whose category in Unicode 16 is not the one of Unicode 14, ascending. All take three or four bytes. */
static const struct { uint32_t lo, hi, category; } newer[] = {
    {0x897, 0x897, MN}, {0xcf3, 0xcf3, MC}, {0xece, 0xece, MN}, {0x1b4e, 0x1b4f, PO}, {0x1b7f, 0x1b7f, PO},
    {0x1c89, 0x1c89, LU}, {0x1c8a, 0x1c8a, LL}, {0x2427, 0x2429, SO}, {0x2ffc, 0x2fff, SO}, {0x31e4, 0x31e5, SO},
    {0x31ef, 0x31ef, SO}, {0xa7cb, 0xa7cc, LU}, {0xa7cd, 0xa7cd, LL}, {0xa7da, 0xa7da, LU}, {0xa7db, 0xa7db, LL},
    {0xa7dc, 0xa7dc, LU}, {0x105c0, 0x105f3, LO}, {0x10d40, 0x10d49, ND}, {0x10d4a, 0x10d4d, LO},
    {0x10d4e, 0x10d4e, LM}, {0x10d4f, 0x10d4f, LO}, {0x10d50, 0x10d65, LU}, {0x10d69, 0x10d6d, MN},
    {0x10d6e, 0x10d6e, PD}, {0x10d6f, 0x10d6f, LM}, {0x10d70, 0x10d85, LL}, {0x10d8e, 0x10d8f, SM},
    {0x10ec2, 0x10ec4, LO}, {0x10efc, 0x10eff, MN}, {0x1123f, 0x11240, LO}, {0x11241, 0x11241, MN},
    {0x11380, 0x11389, LO}, {0x1138b, 0x1138b, LO}, {0x1138e, 0x1138e, LO}, {0x11390, 0x113b5, LO},
    {0x113b7, 0x113b7, LO}, {0x113b8, 0x113ba, MC}, {0x113bb, 0x113c0, MN}, {0x113c2, 0x113c2, MC},
    {0x113c5, 0x113c5, MC}, {0x113c7, 0x113ca, MC}, {0x113cc, 0x113cd, MC}, {0x113ce, 0x113ce, MN},
    {0x113cf, 0x113cf, MC}, {0x113d0, 0x113d0, MN}, {0x113d1, 0x113d1, LO}, {0x113d2, 0x113d2, MN},
    {0x113d3, 0x113d3, LO}, {0x113d4, 0x113d5, PO}, {0x113d7, 0x113d8, PO}, {0x113e1, 0x113e2, MN},
    {0x116d0, 0x116e3, ND}, {0x1171e, 0x1171e, MC}, {0x11b00, 0x11b09, PO}, {0x11bc0, 0x11be0, LO},
    {0x11be1, 0x11be1, PO}, {0x11bf0, 0x11bf9, ND}, {0x11f00, 0x11f01, MN}, {0x11f02, 0x11f02, LO},
    {0x11f03, 0x11f03, MC}, {0x11f04, 0x11f10, LO}, {0x11f12, 0x11f33, LO}, {0x11f34, 0x11f35, MC},
    {0x11f36, 0x11f3a, MN}, {0x11f3e, 0x11f3f, MC}, {0x11f40, 0x11f40, MN}, {0x11f41, 0x11f41, MC},
    {0x11f42, 0x11f42, MN}, {0x11f43, 0x11f4f, PO}, {0x11f50, 0x11f59, ND}, {0x11f5a, 0x11f5a, MN},
    {0x1342f, 0x1342f, LO}, {0x13439, 0x1343f, CF}, {0x13440, 0x13440, MN}, {0x13441, 0x13446, LO},
    {0x13447, 0x13455, MN}, {0x13460, 0x143fa, LO}, {0x16100, 0x1611d, LO}, {0x1611e, 0x16129, MN},
    {0x1612a, 0x1612c, MC}, {0x1612d, 0x1612f, MN}, {0x16130, 0x16139, ND}, {0x16d40, 0x16d42, LM},
    {0x16d43, 0x16d6a, LO}, {0x16d6b, 0x16d6c, LM}, {0x16d6d, 0x16d6f, PO}, {0x16d70, 0x16d79, ND},
    {0x18cff, 0x18cff, LO}, {0x1b132, 0x1b132, LO}, {0x1b155, 0x1b155, LO}, {0x1cc00, 0x1ccef, SO},
    {0x1ccf0, 0x1ccf9, ND}, {0x1cd00, 0x1ceb3, SO}, {0x1d2c0, 0x1d2d3, NO}, {0x1df25, 0x1df2a, LL},
    {0x1e030, 0x1e06d, LM}, {0x1e08f, 0x1e08f, MN}, {0x1e4d0, 0x1e4ea, LO}, {0x1e4eb, 0x1e4eb, LM},
    {0x1e4ec, 0x1e4ef, MN}, {0x1e4f0, 0x1e4f9, ND}, {0x1e5d0, 0x1e5ed, LO}, {0x1e5ee, 0x1e5ef, MN},
    {0x1e5f0, 0x1e5f0, LO}, {0x1e5f1, 0x1e5fa, ND}, {0x1e5ff, 0x1e5ff, PO}, {0x1f6dc, 0x1f6dc, SO},
    {0x1f774, 0x1f776, SO}, {0x1f77b, 0x1f77f, SO}, {0x1f7d9, 0x1f7d9, SO}, {0x1f8b2, 0x1f8bb, SO},
    {0x1f8c0, 0x1f8c1, SO}, {0x1fa75, 0x1fa77, SO}, {0x1fa87, 0x1fa89, SO}, {0x1fa8f, 0x1fa8f, SO},
    {0x1faad, 0x1faaf, SO}, {0x1fabb, 0x1fabf, SO}, {0x1fac6, 0x1fac6, SO}, {0x1face, 0x1facf, SO},
    {0x1fada, 0x1fadc, SO}, {0x1fadf, 0x1fadf, SO}, {0x1fae8, 0x1fae9, SO}, {0x1faf7, 0x1faf8, SO},
    {0x1fbcb, 0x1fbef, SO}, {0x2b739, 0x2b739, LO}, {0x2ebf0, 0x2ee5d, LO}, {0x31350, 0x323af, LO},
};
enum { N_NEWER = sizeof newer / sizeof *newer };

/* Rare characters of Unicode ≤ 13 that stand for the newer ones; 0 where the table above has none of that length. */
static const struct { int category; uint32_t three, four; } stand_in[] = {
    {LU, 0xa640, 0x10400}, {LL, 0xa641, 0x10428}, {LM, 0, 0x16b40}, {LO, 0, 0x10300}, {MN, 0xa9e5, 0x11001},
    {MC, 0xa983, 0x11000}, {ND, 0, 0x104a0}, {NO, 0, 0x10107}, {PD, 0, 0x10ead}, {PO, 0xa9c1, 0x10100},
    {SM, 0, 0x1d6c1}, {SO, 0x4dc0, 0x1d000}, {CF, 0, 0x110bd},
};
enum { N_STAND_IN = sizeof stand_in / sizeof *stand_in };

/* The category in Unicode 16 if that is news, else 0 (which is "not assigned" in utf8proc, never in the table). */
static int newer_category(uint32_t c)
{
    int lo = 0, hi = N_NEWER;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (c > newer[mid].hi) lo = mid + 1;
        else hi = mid;
    }
    return lo < N_NEWER && c >= newer[lo].lo ? (int)newer[lo].category : 0;
}

static int category(uint32_t c)
{
    int k = c < newer[0].lo ? 0 : newer_category(c);
    return k ? k : (int)utf8proc_category((utf8proc_int32_t)c);
}

bool lb_uc_is_space(uint32_t c)
{
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

bool lb_uc_is_numeric(uint32_t c)
{
    if (c < 0x80) return c >= '0' && c <= '9';
    /* The Digits step uses Rust's own table, which is at Unicode 17: Tolong Siki digits and three Chinese numerals. */
    if ((c >= 0x11de0 && c <= 0x11de9) || (c >= 0x16ff4 && c <= 0x16ff6)) return true;
    int k = category(c);
    return k == ND || k == NO || k == UTF8PROC_CATEGORY_NL;
}

bool lb_uc_is_word(uint32_t c)
{
    switch (category(c)) {
    case LU: case LL: case UTF8PROC_CATEGORY_LT: case LM: case LO: case UTF8PROC_CATEGORY_NL: case ND:
    case MN: case MC: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_PC:
        return true;
    default: /* joiners; circled, squared and regional-looking letters are alphabetic symbols */
        return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
               (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
    }
}

/* The first newer character at or after p[i], or n. Only lead bytes E0 to F4 can start one. */
static size_t find_newer(const char *p, size_t n, size_t i, uint32_t *c, size_t *len)
{
    while (i < n) {
        if ((unsigned char)p[i] < 0xe0) {
            i++; /* ASCII, two-byte leads and their tails */
            continue;
        }
        *len = lb_utf8_char(p + i, c);
        if (newer_category(*c)) return i;
        i += *len;
    }
    return n;
}

bool lb_uc_stand_ins(const char *p, size_t n, lb_buf *out)
{
    uint32_t c = 0;
    size_t len = 0, done = 0, i = find_newer(p, n, 0, &c, &len);
    if (i == n) return false;
    for (; i < n; i = find_newer(p, n, done, &c, &len)) {
        int k = newer_category(c), s = 0;
        while (s < N_STAND_IN - 1 && stand_in[s].category != k) s++;
        lb_buf_add(out, p + done, i - done);
        lb_buf_utf8(out, len == 3 ? stand_in[s].three : stand_in[s].four);
        done = i + len;
    }
    lb_buf_add(out, p + done, n - done);
    return true;
}

bool lb_uc_touches_stand_ins(uint32_t lo, uint32_t hi)
{
    for (int i = 0; i < N_NEWER; i++)
        if (lo <= newer[i].hi && hi >= newer[i].lo) return true;
    for (int i = 0; i < N_STAND_IN; i++)
        if ((stand_in[i].three && lo <= stand_in[i].three && hi >= stand_in[i].three) ||
            (lo <= stand_in[i].four && hi >= stand_in[i].four))
            return true;
    return false;
}
