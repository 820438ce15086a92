/* model/kv_spec.c – names of KV cache formats. */
#include "model/kv.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct { const char *name; int bits; } WIDTHS[] = {{"f32", 32}, {"bf16", 16}, {"kv16", 16}, {"kv8", 8},
                                                               {"kv4", 4},  {"kv3", 3},   {"kv2", 2}};
static const float QUAROT_CLIP = 0.95f;

static bool set_method(lb_kv_spec *s, const char *word)
{
    if (strcmp(word, "quarot") == 0) s->hadamard = true, s->clip = QUAROT_CLIP;
    else if (strcmp(word, "kvquant") == 0) s->key = LB_KV_PER_CHANNEL_STATIC, s->pre_rope = true;
    else if (strcmp(word, "kivi") == 0) s->key = LB_KV_PER_CHANNEL_GROUP, s->window = LB_KV_WINDOW;
    else return false;
    return true;
}

static bool set_change(lb_kv_spec *s, const char *word)
{
    char *end;
    if (strcmp(word, "prerope") == 0) s->pre_rope = true;
    else if (strcmp(word, "postrope") == 0) s->pre_rope = false;
    else if (strcmp(word, "prebias") == 0) s->pre_bias = true;
    else if (strcmp(word, "hadamard") == 0) s->hadamard = true;
    else if (strncmp(word, "clip", 4) == 0 && word[4]) {
        s->clip = strtof(word + 4, &end);
        return *end == 0 && s->clip > 0 && s->clip <= 1;
    } else if (word[0] == 'w' && word[1] >= '1' && word[1] <= '9' && s->window) {
        long n = strtol(word + 1, &end, 10);
        s->window = n <= 1 << 20 ? (int)n : 0;
        return *end == 0 && s->window > 0 && s->window % LB_PAGE == 0;
    } else return false;
    return true;
}

/* What does not go together, or NULL. */
static const char *conflict(const lb_kv_spec *s)
{
    if (s->bits >= 16 && (s->key != LB_KV_PER_TOKEN || s->hadamard || s->clip > 0))
        return "a 16- or 32-bit cache has no scales";
    if (s->key != LB_KV_PER_TOKEN && s->hadamard)
        return "ranges per channel and a rotation of the channels exclude each other";
    if (s->pre_rope && s->hadamard)
        return "the Hadamard matrix comes after RoPE, so the keys cannot be stored before it";
    if (s->pre_bias && !s->pre_rope) return "the bias comes before RoPE: -prebias wants -prerope";
    return NULL;
}

bool lb_kv_spec_parse(const char *text, lb_kv_spec *out, lb_err *err)
{
    char buf[LB_KV_TEXT], *rest;
    lb_kv_spec s = {0};
    snprintf(buf, sizeof buf, "%s", text);
    char *word = strtok_r(buf, "-", &rest);
    for (size_t i = 0; word && i < sizeof WIDTHS / sizeof *WIDTHS; i++)
        if (strcmp(word, WIDTHS[i].name) == 0) s.bits = WIDTHS[i].bits;
    if (!s.bits || strlen(text) >= sizeof buf)
        return lb_fail(err, LB_EUSAGE,
                       "KV cache format '%.60s' is not known; there are bf16, f32, kv8, kv4, kv3, kv2, and of the last "
                       "four kv4-quarot, kv4-kvquant, kv4-kvquant-prebias, kv4-kivi, kv4-kivi-w64",
                       text);
    bool first = true;
    while ((word = strtok_r(NULL, "-", &rest))) {
        if (!(first && set_method(&s, word)) && !set_change(&s, word))
            return lb_fail(err, LB_EUSAGE,
                           "KV cache format '%s': '%s' is not known; after the bits come quarot, kvquant or kivi, then "
                           "prerope, postrope, prebias, hadamard, clipX with 0 < X <= 1, wN for kivi with N a multiple of %d",
                           text, word, LB_PAGE);
        first = false;
    }
    const char *why = conflict(&s);
    if (why) return lb_fail(err, LB_EUSAGE, "KV cache format '%s': %s", text, why);
    *out = s;
    return true;
}

void lb_kv_spec_text(const lb_kv_spec *s, char out[LB_KV_TEXT])
{
    lb_kv_spec base = {.bits = s->bits};
    const char *method = "";
    if (s->key == LB_KV_PER_CHANNEL_STATIC) method = "kvquant";
    else if (s->key == LB_KV_PER_CHANNEL_GROUP) method = "kivi";
    else if (s->hadamard && s->clip == QUAROT_CLIP) method = "quarot";
    set_method(&base, method);
    char clip[24] = "", window[16] = "";
    if (s->clip != base.clip) snprintf(clip, sizeof clip, "-clip%g", (double)s->clip);
    if (s->window != base.window) snprintf(window, sizeof window, "-w%d", s->window);
    const char *width = "bf16";
    for (size_t i = 0; i < sizeof WIDTHS / sizeof *WIDTHS; i++)
        if (WIDTHS[i].bits == s->bits && strcmp(WIDTHS[i].name, "kv16") != 0) width = WIDTHS[i].name;
    snprintf(out, LB_KV_TEXT, "%s%s%s%s%s%s%s%s", width, *method ? "-" : "", method,
             s->pre_rope == base.pre_rope ? "" : s->pre_rope ? "-prerope" : "-postrope", s->pre_bias ? "-prebias" : "",
             s->hadamard == base.hadamard ? "" : "-hadamard", clip, window);
}
