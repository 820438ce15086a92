/* text/template_strings.c – the methods of str, one row each in the table at the end. Searches pay steps for what they
 * read. */
#define _GNU_SOURCE /* memmem */
#include "text/template_run.h"
#include <string.h>
#include <utf8proc.h>

#define METHOD(name) \
    static bool name(tpl_rt *rt, tpl_val self, const tpl_val *arg, const tpl_call *call, tpl_val *out)
#define UNUSED (void)rt, (void)self, (void)arg, (void)call

static bool absent(tpl_val v) { return v.kind == TPL_MISSING || v.kind == TPL_NONE; }

static bool want_str(tpl_rt *rt, tpl_val v)
{
    return v.kind == TPL_STR || lb_tpl_type_error(rt, "wanted a string argument", v);
}

static bool want_int(tpl_rt *rt, tpl_val v, int64_t dflt, int64_t *out)
{
    *out = dflt;
    if (absent(v)) return true;
    if (!lb_tpl_is_int(v)) return lb_tpl_type_error(rt, "wanted an integer argument", v);
    *out = lb_tpl_as_int(v);
    return true;
}

/* A part of self's text, marked safe as self is. */
static bool part(tpl_rt *rt, tpl_val self, size_t from, size_t to, tpl_val *out)
{
    return lb_tpl_str_ref(rt, self.s->p + from, to - from, out) && lb_tpl_str_mark(rt, *out, self.s->safe, out);
}

static bool add_part(tpl_rt *rt, tpl_val self, size_t from, size_t to, tpl_seq *list)
{
    tpl_val v;
    return lb_tpl_step(rt, 1) && part(rt, self, from, to, &v) && lb_tpl_push(rt, list, v);
}

/* Where `what` next occurs in self at or after byte `from`; self's length when it does not. */
static size_t next_of(const tpl_str *s, size_t from, const tpl_str *what)
{
    const char *p = memmem(s->p + from, s->n - from, what->p, what->n);
    return p ? (size_t)(p - s->p) : s->n;
}

static size_t last_of(const tpl_str *s, size_t to, const tpl_str *what)
{
    if (what->n > to) return SIZE_MAX;
    for (size_t i = to - what->n + 1; i > 0; i--)
        if (s->p[i - 1] == what->p[0] && !memcmp(s->p + i - 1, what->p, what->n)) return i - 1;
    return SIZE_MAX;
}

/* The price of a search: a backward search may compare the pattern at each place. */
static bool pay(tpl_rt *rt, const tpl_str *s, const tpl_str *what, bool backward)
{
    size_t per = backward ? 1 + what->n / 64 : 1, cost;
    if (__builtin_mul_overflow(s->n, per, &cost)) cost = SIZE_MAX;
    return lb_tpl_step_bytes(rt, cost);
}

/* ---- strip ---- */
static bool in_set(const tpl_str *set, const char *p, int len)
{
    for (size_t i = 0; i < set->n;) {
        int n;
        lb_tpl_cp(set->p + i, set->p + set->n, &n);
        if (n == len && !memcmp(set->p + i, p, (size_t)n)) return true;
        i += (size_t)n;
    }
    return false;
}

static bool strip_ends(tpl_rt *rt, tpl_val self, tpl_val chars, bool left, bool right, tpl_val *out)
{
    const char *p = self.s->p;
    size_t from = 0, to = self.s->n;
    int len;
    if (absent(chars)) {
        if (right) to = lb_tpl_trim_space(p, to);
        if (left) from = lb_tpl_skip_space(p, to);
    } else {
        if (!want_str(rt, chars)) return false;
        for (; left && from < to; from += (size_t)len) {
            lb_tpl_cp(p + from, p + to, &len);
            if (!in_set(chars.s, p + from, len)) break;
            if (!lb_tpl_step_bytes(rt, chars.s->n)) return false;
        }
        while (right && to > from) {
            size_t i = to - 1;
            while (i > from && ((unsigned char)p[i] & 0xc0) == 0x80) i--;
            if (!in_set(chars.s, p + i, (int)(to - i))) break;
            if (!lb_tpl_step_bytes(rt, chars.s->n)) return false;
            to = i;
        }
    }
    if (!lb_tpl_step_bytes(rt, self.s->n)) return false;
    if (from == 0 && to == self.s->n) return *out = self, true;
    return part(rt, self, from, to, out);
}
METHOD(strip) { UNUSED; return strip_ends(rt, self, arg[0], true, true, out); }
METHOD(lstrip) { UNUSED; return strip_ends(rt, self, arg[0], true, false, out); }
METHOD(rstrip) { UNUSED; return strip_ends(rt, self, arg[0], false, true, out); }

METHOD(removeprefix)
{
    UNUSED;
    if (!want_str(rt, arg[0])) return false;
    const tpl_str *s = self.s, *x = arg[0].s;
    bool has = s->n >= x->n && !memcmp(s->p, x->p, x->n);
    return has ? part(rt, self, x->n, s->n, out) : (*out = self, true);
}

METHOD(removesuffix)
{
    UNUSED;
    if (!want_str(rt, arg[0])) return false;
    const tpl_str *s = self.s, *x = arg[0].s;
    bool has = x->n && s->n >= x->n && !memcmp(s->p + s->n - x->n, x->p, x->n);
    return has ? part(rt, self, 0, s->n - x->n, out) : (*out = self, true);
}

/* ---- split ---- */
static bool split_space(tpl_rt *rt, tpl_val self, int64_t max, tpl_seq *list)
{
    const char *p = self.s->p;
    size_t n = self.s->n, i = lb_tpl_skip_space(p, n);
    while (i < n) {
        if (max == 0) return add_part(rt, self, i, n, list);   /* the rest, white space at its end and all */
        size_t from = i;
        for (int len; i < n && !lb_tpl_is_space(lb_tpl_cp(p + i, p + n, &len)); i += (size_t)len) {}
        if (!add_part(rt, self, from, i, list)) return false;
        i += lb_tpl_skip_space(p + i, n - i);
        max -= max > 0;
    }
    return true;
}

static bool rsplit_space(tpl_rt *rt, tpl_val self, int64_t max, tpl_seq *list)
{
    const char *p = self.s->p;
    size_t to = lb_tpl_trim_space(p, self.s->n);
    while (to > 0) {
        size_t from = to;
        if (max == 0) {
            from = 0;
        } else {
            for (; from > 0; from--) {   /* back to the first character behind white space */
                size_t i = from - 1;
                int len;
                while (i > 0 && ((unsigned char)p[i] & 0xc0) == 0x80) i--;
                if (lb_tpl_is_space(lb_tpl_cp(p + i, p + to, &len))) break;
                from = i + 1;
            }
        }
        if (!add_part(rt, self, from, to, list)) return false;
        if (max == 0) break;
        to = lb_tpl_trim_space(p, from);
        max -= max > 0;
    }
    return true;
}

static void reverse(tpl_seq *s)
{
    for (size_t i = 0, k = s->n; i + 1 < k; i++) {
        tpl_val t = s->v[i];
        s->v[i] = s->v[--k];
        s->v[k] = t;
    }
}

METHOD(split)
{
    UNUSED;
    int64_t max;
    if (!want_int(rt, arg[1], -1, &max) || !lb_tpl_seq_new(rt, TPL_LIST, 0, out)) return false;
    if (!lb_tpl_step_bytes(rt, self.s->n)) return false;
    if (absent(arg[0])) return split_space(rt, self, max, out->seq);
    if (!want_str(rt, arg[0])) return false;
    const tpl_str *s = self.s, *sep = arg[0].s;
    if (!sep->n) return lb_tpl_fail(rt, LB_EFORMAT, "split by an empty string");
    size_t from = 0;
    for (; max != 0; max -= max > 0) {
        size_t to = next_of(s, from, sep);
        if (to >= s->n) break;
        if (!add_part(rt, self, from, to, out->seq)) return false;
        from = to + sep->n;
    }
    return add_part(rt, self, from, s->n, out->seq);
}

METHOD(rsplit)
{
    UNUSED;
    int64_t max;
    if (!want_int(rt, arg[1], -1, &max) || !lb_tpl_seq_new(rt, TPL_LIST, 0, out)) return false;
    if (absent(arg[0])) {
        if (!lb_tpl_step_bytes(rt, self.s->n) || !rsplit_space(rt, self, max, out->seq)) return false;
        reverse(out->seq);
        return true;
    }
    if (!want_str(rt, arg[0])) return false;
    const tpl_str *s = self.s, *sep = arg[0].s;
    if (!sep->n) return lb_tpl_fail(rt, LB_EFORMAT, "split by an empty string");
    if (!pay(rt, s, sep, true)) return false;
    size_t to = s->n;
    for (; max != 0; max -= max > 0) {
        size_t at = last_of(s, to, sep);
        if (at == SIZE_MAX) break;
        if (!add_part(rt, self, at + sep->n, to, out->seq)) return false;
        to = at;
    }
    if (!add_part(rt, self, 0, to, out->seq)) return false;
    reverse(out->seq);
    return true;
}

METHOD(splitlines)
{
    UNUSED;
    const char *p = self.s->p;
    size_t n = self.s->n, from = 0;
    bool keep = arg[0].kind != TPL_MISSING && lb_tpl_truth(arg[0]);
    if (!lb_tpl_step_bytes(rt, n) || !lb_tpl_seq_new(rt, TPL_LIST, 0, out)) return false;
    for (size_t i = 0; i < n;) {
        int len;
        uint32_t c = lb_tpl_cp(p + i, p + n, &len);
        size_t next = i + (size_t)len;
        if (c == '\r' && next < n && p[next] == '\n') next++;
        bool end = (c >= 0xa && c <= 0xd) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
        if (end && !add_part(rt, self, from, keep ? next : i, out->seq)) return false;
        if (end) from = next;
        i = next;
    }
    return from >= n || add_part(rt, self, from, n, out->seq);
}

static bool three(tpl_rt *rt, tpl_val self, size_t at, size_t len, tpl_val *out)
{
    return lb_tpl_seq_new(rt, TPL_TUPLE, 3, out) && add_part(rt, self, 0, at, out->seq) &&
           add_part(rt, self, at, at + len, out->seq) && add_part(rt, self, at + len, self.s->n, out->seq);
}

METHOD(partition)
{
    UNUSED;
    if (!want_str(rt, arg[0]) || !lb_tpl_step_bytes(rt, self.s->n)) return false;
    if (!arg[0].s->n) return lb_tpl_fail(rt, LB_EFORMAT, "partition by an empty string");
    size_t at = next_of(self.s, 0, arg[0].s);
    return three(rt, self, at, at < self.s->n ? arg[0].s->n : 0, out);
}

METHOD(rpartition)
{
    UNUSED;
    if (!want_str(rt, arg[0]) || !pay(rt, self.s, arg[0].s, true)) return false;
    if (!arg[0].s->n) return lb_tpl_fail(rt, LB_EFORMAT, "partition by an empty string");
    size_t at = last_of(self.s, self.s->n, arg[0].s);
    return at == SIZE_MAX ? three(rt, self, 0, 0, out) : three(rt, self, at, arg[0].s->n, out);
}

/* ---- search ---- */
/* Python's [start, end) in code points, as bytes. False in *inside: start lies behind the end. */
static bool window(tpl_rt *rt, const tpl_str *s, tpl_val start, tpl_val end, size_t *from, size_t *to, bool *inside)
{
    int64_t n = (int64_t)s->n_cp, a, b;
    if (!want_int(rt, start, 0, &a) || !want_int(rt, end, n, &b)) return false;
    if (a < 0) a = a < -n ? 0 : a + n;
    if (b < 0) b = b < -n ? 0 : b + n;
    if (b > n) b = n;
    *inside = a <= b;
    if (!*inside) return true;
    *from = lb_tpl_cp_offset(s, (size_t)a);
    *to = lb_tpl_cp_offset(s, (size_t)b);
    return lb_tpl_step_bytes(rt, s->n);
}

static bool affix(tpl_rt *rt, tpl_val self, const tpl_val *arg, bool end, tpl_val *out)
{
    size_t from = 0, to = 0;
    bool inside, yes = false;
    if (!window(rt, self.s, arg[1], arg[2], &from, &to, &inside)) return false;
    const tpl_val *v = arg[0].kind == TPL_TUPLE ? arg[0].seq->v : arg;
    size_t n = arg[0].kind == TPL_TUPLE ? arg[0].seq->n : 1;
    for (size_t i = 0; i < n && !yes; i++) {
        if (!want_str(rt, v[i]) || !lb_tpl_step(rt, 1)) return false;
        size_t len = v[i].s->n;
        yes = inside && len <= to - from && !memcmp(self.s->p + (end ? to - len : from), v[i].s->p, len);
    }
    *out = lb_tpl_bool(yes);
    return true;
}
METHOD(startswith) { UNUSED; return affix(rt, self, arg, false, out); }
METHOD(endswith) { UNUSED; return affix(rt, self, arg, true, out); }

static bool search(tpl_rt *rt, tpl_val self, const tpl_val *arg, bool backward, bool must, tpl_val *out)
{
    size_t from = 0, to = 0, at = SIZE_MAX;
    bool inside;
    if (!want_str(rt, arg[0]) || !window(rt, self.s, arg[1], arg[2], &from, &to, &inside)) return false;
    if (!pay(rt, self.s, arg[0].s, backward)) return false;
    if (inside && !arg[0].s->n) {
        at = backward ? to : from;
    } else if (inside && backward) {
        at = last_of(self.s, to, arg[0].s);
        if (at != SIZE_MAX && at < from) at = SIZE_MAX;
    } else if (inside) {
        const char *p = memmem(self.s->p + from, to - from, arg[0].s->p, arg[0].s->n);
        if (p) at = (size_t)(p - self.s->p);
    }
    if (at == SIZE_MAX && must) return lb_tpl_fail(rt, LB_EFORMAT, "index(): the text is not there");
    *out = lb_tpl_int(at == SIZE_MAX ? -1 : (int64_t)lb_tpl_cp_count(self.s->p, at));
    return true;
}
METHOD(find) { UNUSED; return search(rt, self, arg, false, false, out); }
METHOD(rfind) { UNUSED; return search(rt, self, arg, true, false, out); }
METHOD(str_index) { UNUSED; return search(rt, self, arg, false, true, out); }
METHOD(rindex_of) { UNUSED; return search(rt, self, arg, true, true, out); }

METHOD(str_count)
{
    UNUSED;
    size_t from = 0, to = 0;
    int64_t n = 0;
    bool inside;
    if (!want_str(rt, arg[0]) || !window(rt, self.s, arg[1], arg[2], &from, &to, &inside)) return false;
    if (inside && !arg[0].s->n) n = (int64_t)lb_tpl_cp_count(self.s->p + from, to - from) + 1;
    while (inside && arg[0].s->n) {
        const char *p = memmem(self.s->p + from, to - from, arg[0].s->p, arg[0].s->n);
        if (!p) break;
        from = (size_t)(p - self.s->p) + arg[0].s->n;
        n++;
    }
    *out = lb_tpl_int(n);
    return true;
}

METHOD(replace)
{
    UNUSED;
    int64_t max;
    if (!want_str(rt, arg[0]) || !want_str(rt, arg[1]) || !want_int(rt, arg[2], -1, &max)) return false;
    if (self.s->safe) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "replace() on text marked safe");
    const tpl_str *s = self.s, *old = arg[0].s, *new = arg[1].s;
    lb_buf b = {0};
    size_t from = 0;
    bool ok = lb_tpl_step_bytes(rt, s->n);
    for (; ok && max != 0; max -= max > 0) {
        size_t at = old->n ? next_of(s, from, old) : from;
        if (old->n && at >= s->n) break;
        lb_buf_add(&b, s->p + from, at - from);
        lb_buf_add(&b, new->p, new->n);
        from = at + old->n;
        if (!old->n) {   /* an empty text is between all characters */
            int len = 0;
            if (from >= s->n) break;
            lb_tpl_cp(s->p + from, s->p + s->n, &len);
            lb_buf_add(&b, s->p + from, (size_t)len);
            from += (size_t)len;
        }
        ok = lb_tpl_step(rt, new->n >> 8) && (b.n <= LB_TEMPLATE_MAX_OUTPUT || lb_tpl_str_room(rt, b.n));
    }
    if (ok && from < s->n) lb_buf_add(&b, s->p + from, s->n - from);
    if (ok) return lb_tpl_str_take(rt, &b, out);
    lb_buf_free(&b);
    return false;
}

/* ---- shape ---- */
METHOD(upper) { UNUSED; return lb_tpl_recase(rt, self.s, TPL_UPPER, out); }
METHOD(lower) { UNUSED; return lb_tpl_recase(rt, self.s, TPL_LOWER, out); }
METHOD(title) { UNUSED; return lb_tpl_recase(rt, self.s, TPL_TITLE, out); }
METHOD(capitalize) { UNUSED; return lb_tpl_recase(rt, self.s, TPL_CAPITALIZE, out); }
static bool cased(tpl_rt *rt, tpl_val self, bool upper, tpl_val *out)
{
    *out = lb_tpl_bool(lb_tpl_is_cased(self.s, upper));
    return lb_tpl_step_bytes(rt, self.s->n);
}
METHOD(str_isupper) { UNUSED; return cased(rt, self, true, out); }
METHOD(str_islower) { UNUSED; return cased(rt, self, false, out); }

METHOD(join)
{
    UNUSED;
    const tpl_seq *items;
    lb_buf b = {0};
    if (self.s->safe) return lb_tpl_fail(rt, LB_EUNSUPPORTED, "join() on text marked safe");
    bool ok = lb_tpl_items(rt, arg[0], &items);
    for (size_t i = 0; ok && i < items->n; i++) {
        ok = want_str(rt, items->v[i]);
        if (!ok) break;
        if (i) lb_buf_add(&b, self.s->p, self.s->n);
        lb_buf_add(&b, items->v[i].s->p, items->v[i].s->n);
        ok = lb_tpl_step(rt, 1) && (b.n <= LB_TEMPLATE_MAX_OUTPUT || lb_tpl_str_room(rt, b.n));
    }
    if (ok) return lb_tpl_str_take(rt, &b, out);
    lb_buf_free(&b);
    return false;
}

/* Fills up to a width: ljust, rjust, center, zfill. */
static bool pad(tpl_rt *rt, tpl_val self, int64_t width, tpl_val fill, int64_t left, tpl_val *out)
{
    int64_t n = width - (int64_t)self.s->n_cp;
    lb_buf b = {0};
    if (fill.kind != TPL_MISSING && (fill.kind != TPL_STR || fill.s->n_cp != 1))
        return lb_tpl_type_error(rt, "wanted one fill character", fill);
    if (n <= 0) return *out = self, true;
    size_t len = fill.kind == TPL_STR ? fill.s->n : 1;
    if (n > (int64_t)LB_TEMPLATE_MAX_OUTPUT || !lb_tpl_str_room(rt, self.s->n + (size_t)n * len))
        return lb_tpl_str_room(rt, SIZE_MAX);
    if (left < 0) left = n / 2 + (n & width & 1);   /* center: where Python puts the odd one */
    if (left > n) left = n;
    for (int64_t i = 0; i < n; i++) {
        if (i == left) lb_buf_add(&b, self.s->p, self.s->n);
        lb_buf_add(&b, fill.kind == TPL_STR ? fill.s->p : " ", len);
    }
    if (left == n) lb_buf_add(&b, self.s->p, self.s->n);
    return lb_tpl_str_take(rt, &b, out) && lb_tpl_str_mark(rt, *out, self.s->safe, out);
}
METHOD(center) { UNUSED; int64_t w; return want_int(rt, arg[0], 0, &w) && pad(rt, self, w, arg[1], -1, out); }
METHOD(ljust) { UNUSED; int64_t w; return want_int(rt, arg[0], 0, &w) && pad(rt, self, w, arg[1], 0, out); }
METHOD(rjust) { UNUSED; int64_t w; return want_int(rt, arg[0], 0, &w) && pad(rt, self, w, arg[1], INT64_MAX, out); }

METHOD(zfill)
{
    UNUSED;
    int64_t width;
    tpl_val zero, sign, rest;
    size_t n_sign = self.s->n && (self.s->p[0] == '-' || self.s->p[0] == '+');
    if (!want_int(rt, arg[0], 0, &width) || !lb_tpl_str_ref(rt, "0", 1, &zero)) return false;
    if (width < (int64_t)n_sign) return *out = self, true;
    return part(rt, self, 0, n_sign, &sign) && part(rt, self, n_sign, self.s->n, &rest) &&
           pad(rt, rest, width - (int64_t)n_sign, zero, INT64_MAX, &rest) && lb_tpl_binary(rt, '+', sign, rest, out);
}

METHOD(format) { UNUSED; return lb_tpl_format_braces(rt, self.s, call, out); }

/* All characters satisfy a property, and there is one. */
static bool all(tpl_rt *rt, tpl_val self, bool (*is)(uint32_t), tpl_val *out)
{
    bool yes = self.s->n > 0;
    for (const char *p = self.s->p, *end = p + self.s->n; yes && p < end;) {
        int n;
        yes = is(lb_tpl_cp(p, end, &n));
        p += n;
    }
    *out = lb_tpl_bool(yes);
    return lb_tpl_step_bytes(rt, self.s->n);
}
static utf8proc_category_t category(uint32_t c) { return utf8proc_category((utf8proc_int32_t)c); }
static bool letter(uint32_t c) { return category(c) >= UTF8PROC_CATEGORY_LU && category(c) <= UTF8PROC_CATEGORY_LO; }
static bool decimal(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
static bool digit(uint32_t c)   /* decimal digits, and the superscripts, subscripts and circled ones Python counts */
{
    return decimal(c) || c == 0xb2 || c == 0xb3 || c == 0xb9 || c == 0x2070 || (c >= 0x2074 && c <= 0x2079) ||
           (c >= 0x2080 && c <= 0x2089) || (c >= 0x2460 && c <= 0x2468);
}
static bool alnum(uint32_t c)
{
    return letter(c) || (category(c) >= UTF8PROC_CATEGORY_ND && category(c) <= UTF8PROC_CATEGORY_NO);
}
static bool ascii(uint32_t c) { return c < 0x80; }
METHOD(str_isspace) { UNUSED; return all(rt, self, lb_tpl_is_space, out); }
METHOD(str_isalpha) { UNUSED; return all(rt, self, letter, out); }
METHOD(str_isalnum) { UNUSED; return all(rt, self, alnum, out); }
METHOD(str_isdigit) { UNUSED; return all(rt, self, digit, out); }
METHOD(isdecimal) { UNUSED; return all(rt, self, decimal, out); }
METHOD(str_isascii) { UNUSED; return self.s->n ? all(rt, self, ascii, out) : (*out = lb_tpl_bool(true), true); }

const tpl_builtin lb_tpl_str_methods[] = {
    {"capitalize", "", capitalize}, {"center", "width fillchar?", center}, {"count", "sub start? end?", str_count},
    {"endswith", "suffix start? end?", endswith}, {"find", "sub start? end?", find}, {"format", "*", format},
    {"index", "sub start? end?", str_index}, {"isalnum", "", str_isalnum}, {"isalpha", "", str_isalpha},
    {"isascii", "", str_isascii},
    {"isdecimal", "", isdecimal}, {"isdigit", "", str_isdigit}, {"islower", "", str_islower},
    {"isspace", "", str_isspace},
    {"isupper", "", str_isupper}, {"join", "iterable", join}, {"ljust", "width fillchar?", ljust}, {"lower", "", lower},
    {"lstrip", "chars?", lstrip}, {"partition", "sep", partition}, {"removeprefix", "prefix", removeprefix},
    {"removesuffix", "suffix", removesuffix}, {"replace", "old new count?", replace},
    {"rfind", "sub start? end?", rfind},
    {"rindex", "sub start? end?", rindex_of}, {"rjust", "width fillchar?", rjust}, {"rpartition", "sep", rpartition},
    {"rsplit", "sep? maxsplit?", rsplit}, {"rstrip", "chars?", rstrip}, {"split", "sep? maxsplit?", split},
    {"splitlines", "keepends?", splitlines}, {"startswith", "prefix start? end?", startswith},
    {"strip", "chars?", strip},
    {"title", "", title}, {"upper", "", upper}, {"zfill", "width", zfill},
};
const size_t lb_tpl_n_str_methods = sizeof lb_tpl_str_methods / sizeof *lb_tpl_str_methods;
