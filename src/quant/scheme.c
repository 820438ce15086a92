/* quant/scheme.c – parsing and printing schemes. */
#include "quant/scheme.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Reads "-?digits" at *p; false if there is none or it is absurdly long. */
static bool number(const char **p, int *out)
{
    char *end;
    if (!isdigit((unsigned char)(*p)[0]) && !((*p)[0] == '-' && isdigit((unsigned char)(*p)[1]))) return false;
    long v = strtol(*p, &end, 10);
    if (end - *p > 7) return false;
    *out = (int)v;
    *p = end;
    return true;
}

static bool letter(const char **p, char c)
{
    if (tolower((unsigned char)**p) != c) return false;
    ++*p;
    return true;
}

/* A word such as "mxfp4", in any case. */
static bool word(const char **p, const char *w)
{
    size_t n = strlen(w);
    if (strncasecmp(*p, w, n) != 0) return false;
    *p += n;
    return true;
}

static bool one_of(int v, const int *list)
{
    while (*list && *list != v) list++;
    return *list != 0;
}

static lb_scheme defaults(const lb_scheme *s)
{
    lb_scheme d = *s;
    bool acts = s->a_bits < 16;
    d.group = s->format == LB_W_MXFP4 ? 32 : s->format == LB_W_NVFP4 ? 16 : acts ? -1 : 128;
    d.sym = s->format != LB_W_INT || acts;
    return d;
}

bool lb_scheme_parse(const char *text, lb_scheme *out, lb_err *err)
{
    static const int w_bits[] = {2, 3, 4, 8, 16, 0}, a_bits[] = {4, 8, 16, 0}, kv_bits[] = {2, 3, 4, 8, 16, 0};
    lb_scheme s = {.w_bits = 4, .a_bits = 16, .kv_bits = 16};
    const char *p = text;
    bool ok = true;
    if (word(&p, "mxfp4")) s.format = LB_W_MXFP4;
    else if (word(&p, "nvfp4")) s.format = LB_W_NVFP4;
    else ok = letter(&p, 'w') && number(&p, &s.w_bits);
    if (ok && tolower((unsigned char)*p) == 'a' && isdigit((unsigned char)p[1]))
        ok = letter(&p, 'a') && number(&p, &s.a_bits);
    if (ok && tolower((unsigned char)p[0]) == 'k') ok = letter(&p, 'k') && letter(&p, 'v') && number(&p, &s.kv_bits);
    s = defaults(&s);
    if (s.format == LB_W_INT) {
        if (ok && letter(&p, 'g')) ok = number(&p, &s.group);
        if (ok && letter(&p, 's')) s.sym = true;
        else if (ok && letter(&p, 'a')) s.sym = false;
        else if (ok && letter(&p, 'h')) s.sym = false, s.half = true;
    }
    if (!ok || *p)
        return lb_fail(
            err, LB_EUSAGE,
            "scheme '%s' is not of the form wBITS[aBITS][kvBITS][gGROUP][s|a|h], such as w4a16kv16, w3g128, w2g64s, w2g128h "
            "or w4a4kv4, and not mxfp4 or nvfp4",
            text);
    if (!one_of(s.w_bits, w_bits))
        return lb_fail(err, LB_EUSAGE, "scheme '%s': weights of %d bits; there are 2, 3, 4, 8 and 16", text, s.w_bits);
    if (s.half && s.w_bits != 2)
        return lb_fail(err, LB_EUSAGE, "scheme '%s': the balanced grid (h) is for weights of 2 bits, not %d", text, s.w_bits);
    if (!one_of(s.a_bits, a_bits))
        return lb_fail(err, LB_EUSAGE, "scheme '%s': activations of %d bits; there are 4, 8 and 16", text, s.a_bits);
    if (!one_of(s.kv_bits, kv_bits))
        return lb_fail(err, LB_EUSAGE, "scheme '%s': a KV cache of %d bits; there are 2, 3, 4, 8 and 16", text,
                       s.kv_bits);
    if (s.format != LB_W_INT && s.a_bits == 8)
        return lb_fail(err, LB_EUSAGE, "scheme '%s': FP4 weights go with activations of 4 or 16 bits", text);
    if (s.w_bits == 16 && s.a_bits < 16)
        return lb_fail(err, LB_EUNSUPPORTED, "scheme '%s': activations are quantized only for quantized weights", text);
    if (s.format == LB_W_INT && s.group != -1 && (s.group < 32 || s.group % 32 != 0))
        return lb_fail(err, LB_EUSAGE, "scheme '%s': group %d; wanted a multiple of 32, or -1 for the whole row", text,
                       s.group);
    *out = s;
    return true;
}

void lb_scheme_text(const lb_scheme *s, char out[LB_SCHEME_TEXT])
{
    static const char *const names[] = {"", "mxfp4", "nvfp4"};
    char w[16] = "", a[16] = "", kv[16] = "", g[16] = "";
    lb_scheme d = defaults(s);
    if (s->format == LB_W_INT) snprintf(w, sizeof w, "w%d", s->w_bits);
    if (s->a_bits < 16) snprintf(a, sizeof a, "a%d", s->a_bits);
    if (s->kv_bits < 16) snprintf(kv, sizeof kv, "kv%d", s->kv_bits);
    /* for weights alone the group is always said: it is how such schemes are known */
    if (s->w_bits < 16 && s->format == LB_W_INT && (s->a_bits == 16 || s->group != d.group))
        snprintf(g, sizeof g, "g%d", s->group);
    const char *sym = s->w_bits == 16 ? "" : s->half ? "h" : s->sym == d.sym ? "" : s->sym ? "s" : "a";
    snprintf(out, LB_SCHEME_TEXT, "%s%s%s%s%s%s", names[s->format], w, a, kv, g, sym);
}
