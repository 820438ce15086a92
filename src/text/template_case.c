/* text/template_case.c – upper(), lower(), title() and capitalize() as Python does them.
 *
 * Code points map one to one with utf8proc; the 48 that grow under title case (ß, ligatures, Greek with two accents)
 * come from the table, U+0130 and the final sigma from code. Not mapped in full: upper() of the 54 Greek letters with
 * iota subscript, which stay one code point here and become two in Python. */
#include "text/template_value.h"
#include <string.h>
#include <utf8proc.h>

static const struct { uint32_t cp; const char *upper, *title; } grow[] = {
    {0x00df, "SS", "Ss"}, {0x0149, "\xca\xbcN", "\xca\xbcN"}, {0x01f0, "J\xcc\x8c", "J\xcc\x8c"},
    {0x0390, "\xce\x99\xcc\x88\xcc\x81", "\xce\x99\xcc\x88\xcc\x81"},
    {0x03b0, "\xce\xa5\xcc\x88\xcc\x81", "\xce\xa5\xcc\x88\xcc\x81"},
    {0x0587, "\xd4\xb5\xd5\x92", "\xd4\xb5\xd6\x82"}, {0x1e96, "H\xcc\xb1", "H\xcc\xb1"},
    {0x1e97, "T\xcc\x88", "T\xcc\x88"}, {0x1e98, "W\xcc\x8a", "W\xcc\x8a"}, {0x1e99, "Y\xcc\x8a", "Y\xcc\x8a"},
    {0x1e9a, "A\xca\xbe", "A\xca\xbe"}, {0x1f50, "\xce\xa5\xcc\x93", "\xce\xa5\xcc\x93"},
    {0x1f52, "\xce\xa5\xcc\x93\xcc\x80", "\xce\xa5\xcc\x93\xcc\x80"},
    {0x1f54, "\xce\xa5\xcc\x93\xcc\x81", "\xce\xa5\xcc\x93\xcc\x81"},
    {0x1f56, "\xce\xa5\xcc\x93\xcd\x82", "\xce\xa5\xcc\x93\xcd\x82"},
    {0x1fb2, "\xe1\xbe\xba\xce\x99", "\xe1\xbe\xba\xcd\x85"}, {0x1fb4, "\xce\x86\xce\x99", "\xce\x86\xcd\x85"},
    {0x1fb6, "\xce\x91\xcd\x82", "\xce\x91\xcd\x82"},
    {0x1fb7, "\xce\x91\xcd\x82\xce\x99", "\xce\x91\xcd\x82\xcd\x85"},
    {0x1fc2, "\xe1\xbf\x8a\xce\x99", "\xe1\xbf\x8a\xcd\x85"}, {0x1fc4, "\xce\x89\xce\x99", "\xce\x89\xcd\x85"},
    {0x1fc6, "\xce\x97\xcd\x82", "\xce\x97\xcd\x82"},
    {0x1fc7, "\xce\x97\xcd\x82\xce\x99", "\xce\x97\xcd\x82\xcd\x85"},
    {0x1fd2, "\xce\x99\xcc\x88\xcc\x80", "\xce\x99\xcc\x88\xcc\x80"},
    {0x1fd3, "\xce\x99\xcc\x88\xcc\x81", "\xce\x99\xcc\x88\xcc\x81"},
    {0x1fd6, "\xce\x99\xcd\x82", "\xce\x99\xcd\x82"},
    {0x1fd7, "\xce\x99\xcc\x88\xcd\x82", "\xce\x99\xcc\x88\xcd\x82"},
    {0x1fe2, "\xce\xa5\xcc\x88\xcc\x80", "\xce\xa5\xcc\x88\xcc\x80"},
    {0x1fe3, "\xce\xa5\xcc\x88\xcc\x81", "\xce\xa5\xcc\x88\xcc\x81"},
    {0x1fe4, "\xce\xa1\xcc\x93", "\xce\xa1\xcc\x93"}, {0x1fe6, "\xce\xa5\xcd\x82", "\xce\xa5\xcd\x82"},
    {0x1fe7, "\xce\xa5\xcc\x88\xcd\x82", "\xce\xa5\xcc\x88\xcd\x82"},
    {0x1ff2, "\xe1\xbf\xba\xce\x99", "\xe1\xbf\xba\xcd\x85"}, {0x1ff4, "\xce\x8f\xce\x99", "\xce\x8f\xcd\x85"},
    {0x1ff6, "\xce\xa9\xcd\x82", "\xce\xa9\xcd\x82"},
    {0x1ff7, "\xce\xa9\xcd\x82\xce\x99", "\xce\xa9\xcd\x82\xcd\x85"}, {0xfb00, "FF", "Ff"}, {0xfb01, "FI", "Fi"},
    {0xfb02, "FL", "Fl"}, {0xfb03, "FFI", "Ffi"}, {0xfb04, "FFL", "Ffl"}, {0xfb05, "ST", "St"}, {0xfb06, "ST", "St"},
    {0xfb13, "\xd5\x84\xd5\x86", "\xd5\x84\xd5\xb6"}, {0xfb14, "\xd5\x84\xd4\xb5", "\xd5\x84\xd5\xa5"},
    {0xfb15, "\xd5\x84\xd4\xbb", "\xd5\x84\xd5\xab"}, {0xfb16, "\xd5\x8e\xd5\x86", "\xd5\x8e\xd5\xb6"},
    {0xfb17, "\xd5\x84\xd4\xbd", "\xd5\x84\xd5\xad"},
};

static utf8proc_category_t category(uint32_t c) { return utf8proc_category((utf8proc_int32_t)c); }
static bool is_upper(uint32_t c) { return c < 0x80 ? c >= 'A' && c <= 'Z' : category(c) == UTF8PROC_CATEGORY_LU; }
static bool is_lower(uint32_t c) { return c < 0x80 ? c >= 'a' && c <= 'z' : category(c) == UTF8PROC_CATEGORY_LL; }
static bool is_cased(uint32_t c)
{
    return is_upper(c) || is_lower(c) || (c >= 0x80 && category(c) == UTF8PROC_CATEGORY_LT);
}

/* Characters that a word may contain without ending it, for the final sigma. */
static bool case_ignorable(uint32_t c)
{
    if (c < 0x80) return c == '\'' || c == '.' || c == ':' || c == '^' || c == '`';
    switch (category(c)) {
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_CF: case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return c == 0xb7 || c == 0x2018 || c == 0x2019;
    }
}

/* Is the capital sigma at p the last letter of a word? */
static bool is_final_sigma(const tpl_str *s, const char *p, const char *after)
{
    const char *end = s->p + s->n;
    int n;
    bool before = false;
    for (const char *q = p; q > s->p;) {
        do q--; while (q > s->p && ((unsigned char)*q & 0xc0) == 0x80);
        uint32_t c = lb_tpl_cp(q, end, &n);
        if (case_ignorable(c)) continue;
        before = is_cased(c);
        break;
    }
    if (!before) return false;
    for (const char *q = after; q < end; q += n) {
        uint32_t c = lb_tpl_cp(q, end, &n);
        if (!case_ignorable(c)) return !is_cased(c);
    }
    return true;
}

static void put_upper(lb_buf *b, uint32_t c, bool title)
{
    if (c < 0x80) {
        lb_buf_byte(b, (char)(c >= 'a' && c <= 'z' ? c - 32 : c));
        return;
    }
    for (size_t i = 0; i < sizeof grow / sizeof *grow; i++)
        if (grow[i].cp == c) {
            lb_buf_str(b, title ? grow[i].title : grow[i].upper);
            return;
        }
    lb_buf_utf8(b, (uint32_t)(title ? utf8proc_totitle((utf8proc_int32_t)c) : utf8proc_toupper((utf8proc_int32_t)c)));
}

static void put_lower(lb_buf *b, const tpl_str *s, const char *p, int n, uint32_t c)
{
    if (c < 0x80) lb_buf_byte(b, (char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
    else if (c == 0x130) lb_buf_str(b, "i\xcc\x87");
    else if (c == 0x3a3) lb_buf_utf8(b, is_final_sigma(s, p, p + n) ? 0x3c2 : 0x3c3);
    else lb_buf_utf8(b, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

bool lb_tpl_recase(tpl_rt *rt, const tpl_str *s, tpl_case how, tpl_val *out)
{
    lb_buf b = {0};
    bool in_word = false;
    if (!lb_tpl_step_bytes(rt, 16 * s->n)) return false;
    for (const char *p = s->p, *end = p + s->n; p < end;) {
        int n;
        uint32_t c = lb_tpl_cp(p, end, &n);
        if (how == TPL_UPPER) put_upper(&b, c, false);
        else if (how != TPL_LOWER && (how == TPL_CAPITALIZE ? p == s->p : !in_word)) put_upper(&b, c, true);
        else put_lower(&b, s, p, n, c);
        in_word = is_cased(c);
        p += n;
    }
    return lb_tpl_str_take(rt, &b, out) && lb_tpl_str_mark(rt, *out, s->safe, out);
}

bool lb_tpl_is_cased(const tpl_str *s, bool upper)
{
    bool any = false;
    for (const char *p = s->p, *end = p + s->n; p < end;) {
        int n;
        uint32_t c = lb_tpl_cp(p, end, &n);
        if (is_cased(c)) {
            if (upper != is_upper(c)) return false;
            any = true;
        }
        p += n;
    }
    return any;
}
