/* text/pretok.c – the steps of a pre-tokenizer and the walk through them.
 *
 * A piece goes through all remaining steps before the next piece is cut, so nothing is collected where pieces are kept
 * as they are cut (Isolated, the behaviour of every known model); the other behaviours collect one step's cuts and fold
 * them. */
#include "text/pretok.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/pattern.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 16 };

/* GPT-2's pattern, which ByteLevel uses unless use_regex is false. */
static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

typedef enum behaviour { ISOLATED, REMOVED, CONTIGUOUS, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, N_BEHAVIOUR } behaviour;
static const char *const behaviour_names[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious",
                                              "MergedWithNext"};

typedef struct step {
    lb_pattern *pattern;     /* owned; NULL: characters that are numeric (Digits), or no cut at all (ByteLevel) */
    behaviour how;
    bool digits, invert, add_prefix_space;
} step;

struct lb_pretok {
    step steps[MAX_STEPS];
    int n_steps;
    bool ends;               /* the last step is ByteLevel */
};

typedef struct cut {
    size_t start, end;
    bool match;
} cut;

typedef struct cuts {
    cut *p;                  /* owned */
    size_t n, cap;
} cuts;

struct lb_pretok_work {
    lb_matcher matcher;
    cuts cuts[MAX_STEPS];    /* of the step with that index, while it runs */
    lb_buf stand_ins;        /* the text as the patterns see it, if that differs */
    lb_buf prefixed[2];      /* " " + piece, and the same with stand-ins */
};

/* ---- loading ---- */

static bool add_step(lb_pretok *p, step s, const char *where, lb_err *err)
{
    if (p->n_steps < MAX_STEPS) {
        p->steps[p->n_steps++] = s;
        return true;
    }
    lb_pattern_free(s.pattern);
    return lb_fail(err, LB_EUNSUPPORTED, "%s: more than %d steps", where, MAX_STEPS);
}

static bool load_split(lb_pretok *p, const json_t *o, const char *where, lb_err *err)
{
    step s = {0};
    const char *how;
    const json_t *pattern = json_object_get(o, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex"), *text = json_object_get(pattern, "String");
    const json_t *either = regex ? regex : text;
    if (!lb_json_get_str(o, "behavior", &how, where, err) || !lb_json_opt_bool(o, "invert", &s.invert, where, err))
        return false;
    while (s.how < N_BEHAVIOUR && strcmp(how, behaviour_names[s.how]) != 0) s.how++;
    if (s.how == N_BEHAVIOUR)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: Split behavior '%.60s' is not supported", where, how);
    if (!json_is_string(either) || (regex && text))
        return lb_fail(err, LB_EFORMAT, "%s: Split pattern is %s, wanted {\"Regex\": \"…\"} or {\"String\": \"…\"}",
                       where, json_is_object(pattern) ? "another object" : lb_json_kind(pattern));
    s.pattern = lb_pattern_new(json_string_value(either), !regex, err);
    if (!s.pattern) return lb_wrap(err, "%s", where);
    return add_step(p, s, where, err);
}

static bool load_byte_level(lb_pretok *p, const json_t *o, const char *where, lb_err *err)
{
    step s = {.how = ISOLATED};
    bool use_regex = true;
    if (!json_object_get(o, "add_prefix_space"))
        return lb_fail(err, LB_EFORMAT, "%s: ByteLevel: 'add_prefix_space' is missing", where);
    if (!lb_json_opt_bool(o, "add_prefix_space", &s.add_prefix_space, where, err) ||
        !lb_json_opt_bool(o, "use_regex", &use_regex, where, err))
        return false;
    if (use_regex && !(s.pattern = lb_pattern_new(gpt2, false, err))) return lb_wrap(err, "%s", where);
    p->ends = true;
    return add_step(p, s, where, err);
}

static bool load_step(lb_pretok *p, const json_t *o, const char *where, lb_err *err)
{
    const char *type = NULL;
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(o));
    if (!lb_json_get_str(o, "type", &type, where, err)) return false;
    if (p->ends) return lb_fail(err, LB_EUNSUPPORTED, "%s: '%.60s' after ByteLevel is not supported", where, type);
    if (!strcmp(type, "Split")) return load_split(p, o, where, err);
    if (!strcmp(type, "ByteLevel")) return load_byte_level(p, o, where, err);
    if (!strcmp(type, "Digits")) {
        bool individual = false;
        return lb_json_opt_bool(o, "individual_digits", &individual, where, err) &&
               add_step(p, (step){.digits = true, .how = individual ? ISOLATED : CONTIGUOUS}, where, err);
    }
    if (strcmp(type, "Sequence") != 0)
        return lb_fail(err, LB_EUNSUPPORTED,
                       "%s '%.60s' is not supported, wanted Split, Digits, ByteLevel or a Sequence of them", where,
                       type);
    const json_t *list = json_object_get(o, "pretokenizers");
    if (!json_is_array(list))
        return lb_fail(err, LB_EFORMAT, "%s: 'pretokenizers' is %s, wanted an array", where, lb_json_kind(list));
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!load_step(p, json_array_get(list, i), where, err)) return false;
    return true;
}

lb_pretok *lb_pretok_load(const json_t *pre_tokenizer, const char *where, lb_err *err)
{
    char at[256];
    snprintf(at, sizeof at, "%.200s: pre_tokenizer", where);
    lb_pretok *p = lb_alloc(1, sizeof *p, "pre-tokenizer", err);
    if (!p) return NULL;
    if (load_step(p, pre_tokenizer, at, err)) {
        if (p->ends) return p;
        lb_fail(err, LB_EUNSUPPORTED, "%s has no ByteLevel at its end: only byte-level tokenizers are supported", at);
    }
    lb_pretok_free(p);
    return NULL;
}

void lb_pretok_free(lb_pretok *p)
{
    if (!p) return;
    for (int i = 0; i < p->n_steps; i++) lb_pattern_free(p->steps[i].pattern);
    free(p);
}

lb_pretok_work *lb_pretok_work_open(size_t text_bytes, lb_err *err)
{
    lb_pretok_work *w = lb_alloc(1, sizeof *w, "pre-tokenizer", err);
    if (!w || lb_matcher_open(&w->matcher, text_bytes, err)) return w;
    free(w);
    return NULL;
}

void lb_pretok_work_close(lb_pretok_work *w)
{
    if (!w) return;
    lb_matcher_close(&w->matcher);
    for (int i = 0; i < MAX_STEPS; i++) free(w->cuts[i].p);
    lb_buf_free(&w->stand_ins);
    for (int i = 0; i < 2; i++) lb_buf_free(&w->prefixed[i]);
    free(w);
}

/* ---- running ---- */

/* One text under way: the steps, and where the pieces go. `seen` is the text with stand-ins, of the same length. */
typedef struct walk {
    const lb_pretok *p;
    lb_pretok_work *w;
    const char *text, *seen;
    lb_piece_fn *take;
    void *arg;
} walk;

static bool run_step(const walk *k, int i, size_t start, size_t end, lb_err *err);

/* The next match in [from,end) of a piece that begins at start; *from == *to == end for none. */
static bool next_match(const walk *k, const step *s, size_t start, size_t end, size_t *from, size_t *to, lb_err *err)
{
    if (s->pattern) {
        size_t a, b;
        if (!lb_pattern_find(s->pattern, &k->w->matcher, k->seen + start, end - start, *from - start, &a, &b, err))
            return false;
        *from = start + a, *to = start + b;
        return true;
    }
    while (s->digits && *from < end) {
        uint32_t c;
        size_t len = lb_utf8_char(k->text + *from, &c);
        if (lb_uc_is_numeric(c)) return *to = *from + len, true;
        *from += len;
    }
    *from = *to = end;
    return true;
}

static bool add_cut(cuts *c, size_t start, size_t end, bool match, lb_err *err)
{
    if (!lb_grow(&c->p, &c->cap, c->n + 1, sizeof *c->p, "pre-tokenizer", err)) return false;
    c->p[c->n++] = (cut){start, end, match};
    return true;
}

/* Joins cuts as a behaviour wants it; all of them are kept pieces afterwards. */
static void fold(cuts *c, behaviour how)
{
    size_t n = 0;
    if (how == REMOVED) {
        for (size_t i = 0; i < c->n; i++)
            if (!c->p[i].match) c->p[n++] = c->p[i];
    } else if (how == CONTIGUOUS) {
        for (size_t i = 0; i < c->n; i++) {
            if (n && c->p[i].match == c->p[n - 1].match) c->p[n - 1].end = c->p[i].end;
            else c->p[n++] = c->p[i];
        }
    } else if (how == MERGED_WITH_PREVIOUS) {
        bool before = false;
        for (size_t i = 0; i < c->n; i++) {
            bool match = c->p[i].match;
            if (match && !before && n) c->p[n - 1].end = c->p[i].end;
            else c->p[n++] = c->p[i];
            before = match;
        }
    } else { /* MERGED_WITH_NEXT: the same from the right, the results gather at the end of the array */
        bool behind = false;
        size_t top = c->n;
        for (size_t i = c->n; i-- > 0;) {
            bool match = c->p[i].match;
            if (match && !behind && top < c->n) c->p[top].start = c->p[i].start;
            else c->p[--top] = c->p[i];
            behind = match;
        }
        n = c->n - top;
        memmove(c->p, c->p + top, n * sizeof *c->p);
    }
    c->n = n;
}

static bool run_folded(const walk *k, int i, size_t start, size_t end, lb_err *err)
{
    const step *s = &k->p->steps[i];
    cuts *c = &k->w->cuts[i];
    c->n = 0;
    for (size_t at = start, from = start, to; at < end; at = from = to) {
        if (!next_match(k, s, start, end, &from, &to, err)) return false;
        if (from > at && !add_cut(c, at, from, s->invert, err)) return false;
        if (from < to && !add_cut(c, from, to, !s->invert, err)) return false;
    }
    if (c->n) fold(c, s->how);
    for (size_t j = 0; j < c->n; j++)
        if (!run_step(k, i + 1, c->p[j].start, c->p[j].end, err)) return false;
    return true;
}

static bool run_isolated(const walk *k, int i, size_t start, size_t end, lb_err *err)
{
    for (size_t at = start, from = start, to; at < end; at = from = to) {
        if (!next_match(k, &k->p->steps[i], start, end, &from, &to, err)) return false;
        if (from > at && !run_step(k, i + 1, at, from, err)) return false;
        if (from < to && !run_step(k, i + 1, from, to, err)) return false;
    }
    return true;
}

/* ByteLevel with add_prefix_space: a piece that does not start with a space gets one. */
static bool run_prefixed(const walk *k, int i, size_t start, size_t end, lb_err *err)
{
    lb_buf *b = k->w->prefixed;
    const char *from[2] = {k->text, k->seen};
    for (int j = 0; j < 2; j++) {
        lb_buf_reset(&b[j]);
        lb_buf_byte(&b[j], ' ');
        lb_buf_add(&b[j], from[j] + start, end - start);
        if (!lb_buf_ok(&b[j], "pre-tokenizer", err)) return false;
    }
    walk inner = *k;
    inner.text = b[0].p, inner.seen = b[1].p;
    return run_isolated(&inner, i, 0, b[0].n, err);
}

static bool run_step(const walk *k, int i, size_t start, size_t end, lb_err *err)
{
    if (i == k->p->n_steps) return k->take(k->arg, k->text + start, end - start, err);
    const step *s = &k->p->steps[i];
    if (s->how != ISOLATED) return run_folded(k, i, start, end, err);
    if (s->add_prefix_space && k->text[start] != ' ') return run_prefixed(k, i, start, end, err);
    if (!s->pattern && !s->digits) return run_step(k, i + 1, start, end, err);
    return run_isolated(k, i, start, end, err);
}

bool lb_pretok_run(const lb_pretok *p, lb_pretok_work *w, const char *s, size_t n, lb_piece_fn *take, void *arg,
                   lb_err *err)
{
    if (!n) return true;
    lb_buf_reset(&w->stand_ins);
    const char *seen = lb_uc_stand_ins(s, n, &w->stand_ins) ? w->stand_ins.p : s;
    if (!lb_buf_ok(&w->stand_ins, "pre-tokenizer", err)) return false;
    walk k = {p, w, s, seen, take, arg};
    return run_step(&k, 0, 0, n, err);
}
