/* quant/scheme.c – parsing and printing schemes. */
#include "quant/scheme.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

bool lb_scheme_parse(const char *text, lb_scheme *out, lb_err *err)
{
    int w = 0, a = 16, kv = 16, g = 128;
    bool sym = false;
    const char *p = text;
    bool ok = letter(&p, 'w') && number(&p, &w);
    if (ok && tolower((unsigned char)*p) == 'a' && isdigit((unsigned char)p[1])) ok = letter(&p, 'a') && number(&p, &a);
    if (ok && tolower((unsigned char)p[0]) == 'k') ok = letter(&p, 'k') && letter(&p, 'v') && number(&p, &kv);
    if (ok && letter(&p, 'g')) ok = number(&p, &g);
    if (ok && letter(&p, 's')) sym = true;
    else if (ok) (void)letter(&p, 'a');
    if (!ok || *p)
        return lb_fail(
            err, LB_EUSAGE,
            "scheme '%s' is not of the form wBITS[aBITS][kvBITS][gGROUP][s|a], such as w4a16kv16, w3g128 or w2g64s",
            text);
    if (w != 2 && w != 3 && w != 4 && w != 8 && w != 16)
        return lb_fail(err, LB_EUSAGE, "scheme '%s': weights of %d bits; there are 2, 3, 4, 8 and 16", text, w);
    if (g != -1 && (g < 32 || g % 32 != 0))
        return lb_fail(err, LB_EUSAGE, "scheme '%s': group %d; wanted a multiple of 32, or -1 for the whole row", text,
                       g);
    if (a != 16)
        return lb_fail(err, LB_EUNSUPPORTED, "scheme '%s': no method here quantizes activations to %d bits", text, a);
    if (kv != 16)
        return lb_fail(err, LB_EUNSUPPORTED, "scheme '%s': no method here quantizes the KV cache to %d bits", text, kv);
    *out = (lb_scheme){.w_bits = w, .group = g, .sym = sym};
    return true;
}

void lb_scheme_text(const lb_scheme *s, char out[LB_SCHEME_TEXT])
{
    if (s->w_bits == 16) snprintf(out, LB_SCHEME_TEXT, "w16");
    else snprintf(out, LB_SCHEME_TEXT, "w%dg%d%s", s->w_bits, s->group, s->sym ? "s" : "");
}
