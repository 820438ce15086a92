/* ct_config.c – quantization_config: parsing, matching of module names, building. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "store/ct_config.h"
#include "base/buf.h"
#include "base/mem.h"
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

/* Steps a regex may take on one name, memory it may use: a module name of 4 KiB needs far fewer. */
enum { MAX_PATTERN = 4096, MATCH_LIMIT = 1000000, HEAP_LIMIT_KIB = 20000 };

typedef struct target {
    char *text;              /* owned; as in the file, with "re:" */
    pcre2_code *regex;       /* owned; NULL for a name */
    size_t order;            /* place in the file: of equal targets the last one counts */
    lb_ct_scheme scheme;
} target;

typedef struct target_list {
    target *p;               /* owned; sorted: names, then regexes, each in byte order */
    size_t n, cap, n_name;
} target_list;

struct lb_ct_config {
    target_list targets, ignore;
    pcre2_match_context *limits;     /* owned */
};

typedef struct parser {
    const char *where;
    const char *format;      /* of the whole config; a group may have its own */
    lb_ct_config *c;
    lb_err *err;
} parser;

/* ---- targets ---- */

static bool add_target(parser *p, target_list *l, const json_t *v, const lb_ct_scheme *s, const char *what)
{
    const char *text = json_string_value(v);
    if (!text) return lb_fail(p->err, LB_EFORMAT, "%s: %s holds %s, wanted strings", p->where, what, lb_json_kind(v));
    if (!lb_grow(&l->p, &l->cap, l->n + 1, sizeof *l->p, "targets", p->err)) return false;
    target *t = &l->p[l->n];
    *t = (target){.text = strdup(text), .order = l->n, .scheme = s ? *s : (lb_ct_scheme){0}};
    if (!t->text) return lb_fail_mem(p->err, strlen(text), "targets");
    l->n++;
    if (strncmp(text, "re:", 3) != 0) return true;
    if (strlen(text) > MAX_PATTERN)
        return lb_fail(p->err, LB_EFORMAT, "%s: %s holds a regex of %zu bytes, more than %d", p->where, what,
                       strlen(text), MAX_PATTERN);
    int code;
    PCRE2_SIZE at;
    uint32_t flags = PCRE2_ANCHORED | PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
    t->regex = pcre2_compile((PCRE2_SPTR)text + 3, PCRE2_ZERO_TERMINATED, flags, &code, &at, NULL);
    if (t->regex) return true;
    PCRE2_UCHAR why[128] = "";
    pcre2_get_error_message(code, why, sizeof why);
    return lb_fail(p->err, LB_EFORMAT, "%s: %s holds '%.200s', not a regex lowbit can use: %s (at %zu)", p->where, what,
                   text, (char *)why, (size_t)at);
}

static bool add_targets(parser *p, target_list *l, const json_t *list, const lb_ct_scheme *s, const char *what)
{
    if (!json_is_array(list))
        return lb_fail(p->err, LB_EFORMAT, "%s: %s is %s, wanted an array", p->where, what, lb_json_kind(list));
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!add_target(p, l, json_array_get(list, i), s, what)) return false;
    return true;
}

static int by_kind_and_text(const void *a, const void *b)
{
    const target *x = a, *y = b;
    if (!x->regex != !y->regex) return x->regex ? 1 : -1;
    int c = strcmp(x->text, y->text);
    return c ? c : x->order < y->order ? -1 : 1;
}

static void free_target(target *t)
{
    free(t->text);
    pcre2_code_free(t->regex);
}

/* Sorts and drops all but the last of equal targets. */
static void settle(target_list *l)
{
    if (!l->n) return;
    qsort(l->p, l->n, sizeof *l->p, by_kind_and_text);
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (i + 1 < l->n && strcmp(l->p[i].text, l->p[i + 1].text) == 0) free_target(&l->p[i]);
        else l->p[n++] = l->p[i];
    }
    for (l->n = n, l->n_name = 0; l->n_name < n && !l->p[l->n_name].regex;) l->n_name++;
}

static int by_text(const void *key, const void *t) { return strcmp(key, ((const target *)t)->text); }

static const target *find_name(const target_list *l, const char *name)
{
    return l->n_name ? bsearch(name, l->p, l->n_name, sizeof *l->p, by_text) : NULL;
}

static bool find_target(const lb_ct_config *c, const target_list *l, const char *module, const char *class_name,
                        const target **out, lb_err *err)
{
    if ((*out = find_name(l, module)) != NULL) return true;
    for (size_t i = l->n_name; i < l->n; i++) {
        pcre2_match_data *m = pcre2_match_data_create_from_pattern(l->p[i].regex, NULL);
        if (!m) return lb_fail_mem(err, 0, "a regex");
        int rc = pcre2_match(l->p[i].regex, (PCRE2_SPTR)module, PCRE2_ZERO_TERMINATED, 0, 0, m, c->limits);
        pcre2_match_data_free(m);
        if (rc >= 0) {
            *out = &l->p[i];
            return true;
        }
        if (rc != PCRE2_ERROR_NOMATCH)
            return lb_fail(err, LB_EFORMAT,
                           "quantization_config: the target '%.200s' cannot be matched with '%.200s' (PCRE2 %d)",
                           l->p[i].text, module, rc);
    }
    *out = find_name(l, class_name);
    return true;
}

bool lb_ct_config_find(const lb_ct_config *c, const char *module, const char *class_name, const lb_ct_scheme **out,
                       lb_err *err)
{
    const target *t;
    *out = NULL;
    if (!find_target(c, &c->targets, module, class_name, &t, err)) return false;
    if (!t) return true;
    const lb_ct_scheme *s = &t->scheme;
    if (!find_target(c, &c->ignore, module, class_name, &t, err)) return false;
    if (!t) *out = s;
    return true;
}

/* ---- parsing ---- */

static bool is_empty(const json_t *v)
{
    return !v || json_is_null(v) || (json_is_object(v) && json_object_size(v) == 0) ||
           (json_is_array(v) && json_array_size(v) == 0);
}

/* Every key of o is one of `known` (NULL-terminated), or holds nothing. */
static bool only_keys(parser *p, const json_t *o, const char *const *known, const char *what)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)o, key, v) {
        int i = 0;
        while (known[i] && strcmp(known[i], key) != 0) i++;
        if (!known[i] && !is_empty(v))
            return lb_fail(p->err, LB_EUNSUPPORTED, "%s: %s has '%.100s', which lowbit does not know", p->where, what,
                           key);
    }
    return true;
}

static bool unsupported(parser *p, const char *what, const char *key, const json_t *v, const char *wanted)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    lb_fail(p->err, LB_EUNSUPPORTED, "%s: %s has %s %.200s; lowbit reads %s", p->where, what, key, text ? text : "?",
            wanted);
    free(text);
    return false;
}

/* True if the string under key is one of the two (a missing one counts as NULL). */
static bool string_is(const json_t *o, const char *key, const char *a, const char *b)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s && (strcmp(s, a) == 0 || (b && strcmp(s, b) == 0));
}

static const char *const formats[] = {"pack-quantized", "mxfp4-pack-quantized", "nvfp4-pack-quantized",
                                      "pack-quantized"};

/* What the arguments of weights may say, as the package writes them. */
static const char *const known_args[] = {
    "num_bits", "type",     "symmetric",   "strategy", "group_size", "block_structure",
    "dynamic",  "actorder", "scale_dtype", "zp_dtype", "observer",   "observer_kwargs",
    NULL};

/* What holds for all formats: rounded once, columns in their own order. */
static bool plain_args(parser *p, const json_t *w, const char *what)
{
    if (!json_is_object(w))
        return lb_fail(p->err, LB_EFORMAT, "%s: %s is %s, wanted an object", p->where, what, lb_json_kind(w));
    const json_t *order = json_object_get(w, "actorder"), *dynamic = json_object_get(w, "dynamic");
    if (!only_keys(p, w, known_args, what)) return false;
    if (!is_empty(dynamic) && !json_is_false(dynamic)) return unsupported(p, what, "dynamic", dynamic, "false");
    if (!is_empty(order) && !json_is_false(order) && !string_is(w, "actorder", "weight", "static"))
        return unsupported(p, what, "actorder", order, "null and \"weight\" (no g_idx)");
    return true;
}

static bool no_blocks(parser *p, const json_t *w, const char *what)
{
    const json_t *v = json_object_get(w, "block_structure");
    return is_empty(v) || unsupported(p, what, "block_structure", v, "null");
}

/* The weights of a block-float format: all of it is fixed, so anything else is refused. */
static bool parse_fp4(parser *p, const json_t *w, const char *what, lb_ct_format f, lb_ct_scheme *s)
{
    int want = f == LB_CT_NVFP4 ? 16 : 32;
    int64_t bits = 4, group = want;
    const char *type = "float", *strategy = f == LB_CT_NVFP4 ? "tensor_group" : "group";
    bool symmetric = true;
    if (!plain_args(p, w, what) || !no_blocks(p, w, what) ||
        !lb_json_opt_bool(w, "symmetric", &symmetric, p->where, p->err) ||
        !lb_json_opt_int(w, "num_bits", 1, 64, &bits, p->where, p->err) ||
        !lb_json_opt_int(w, "group_size", -1, INT32_MAX, &group, p->where, p->err) ||
        !lb_json_opt_str(w, "type", &type, p->where, p->err))
        return false;
    if (bits != 4 || group != want || strcmp(type, "float") != 0)
        return lb_fail(p->err, LB_EUNSUPPORTED, "%s: %s asks for %lld-bit %.20s in blocks of %lld; %s has 4-bit floats in "
                       "blocks of %d", p->where, what, (long long)bits, type, (long long)group, formats[f], want);
    if (!symmetric) return unsupported(p, what, "symmetric", json_object_get(w, "symmetric"), "true for block floats");
    if (!is_empty(json_object_get(w, "strategy")) && !string_is(w, "strategy", strategy, NULL))
        return unsupported(p, what, "strategy", json_object_get(w, "strategy"), strategy);
    *s = (lb_ct_scheme){.bits = 4, .group = want, .symmetric = true, .format = f};
    return true;
}

/* 2-bit codes in blocks of 1 × group whose zero points are floats. */
static bool parse_half(parser *p, const json_t *w, const char *what, int64_t bits, bool symmetric, lb_ct_scheme *s)
{
    const json_t *shape = json_object_get(w, "block_structure"), *type = json_object_get(w, "zp_dtype");
    json_int_t rows = json_integer_value(json_array_get(shape, 0)), cols = json_integer_value(json_array_get(shape, 1));
    if (json_array_size(shape) != 2 || rows != 1 || cols < 1 || cols > INT32_MAX)
        return unsupported(p, what, "block_structure", shape ? shape : json_null(), "blocks of one row, [1, COLUMNS]");
    if (bits != 2 || symmetric)
        return lb_fail(p->err, LB_EUNSUPPORTED, "%s: %s has %s blocks of %d bits; lowbit reads blocks of 2 bits, asymmetric",
                       p->where, what, symmetric ? "symmetric" : "asymmetric", (int)bits);
    if (!string_is(w, "zp_dtype", "torch.float8_e4m3fn", "torch.bfloat16") &&
        !string_is(w, "zp_dtype", "torch.float16", "torch.float32"))
        return unsupported(p, what, "zp_dtype", type ? type : json_null(), "float zero points of blocks");
    *s = (lb_ct_scheme){.bits = 2, .group = (int)cols, .format = LB_CT_HALF};
    return true;
}

static bool parse_args(parser *p, const json_t *w, const char *what, lb_ct_scheme *s)
{
    int64_t bits = 8, group = 0; /* the package's defaults */
    bool symmetric = true;
    if (!plain_args(p, w, what) || !lb_json_opt_int(w, "num_bits", 1, 64, &bits, p->where, p->err) ||
        !lb_json_opt_bool(w, "symmetric", &symmetric, p->where, p->err) ||
        !lb_json_opt_int(w, "group_size", -1, INT32_MAX, &group, p->where, p->err))
        return false;
    const json_t *strategy = json_object_get(w, "strategy"), *type = json_object_get(w, "type");
    if (bits != 2 && bits != 3 && bits != 4 && bits != 8)
        return unsupported(p, what, "num_bits", json_object_get(w, "num_bits"), "2, 3, 4 and 8");
    if (!is_empty(type) && !string_is(w, "type", "int", NULL)) return unsupported(p, what, "type", type, "\"int\"");
    if (string_is(w, "strategy", "block", NULL)) return parse_half(p, w, what, bits, symmetric, s);
    if (!no_blocks(p, w, what)) return false;
    bool by_group = string_is(w, "strategy", "group", NULL) || (is_empty(strategy) && group > 0);
    bool by_channel = string_is(w, "strategy", "channel", NULL) || (is_empty(strategy) && group == -1);
    if (!by_group && !by_channel)
        return unsupported(p, what, "strategy", strategy ? strategy : json_null(),
                           "\"group\", \"channel\" and, of 2 bits, \"block\"");
    if (by_group && group <= 0)
        return lb_fail(p->err, LB_EFORMAT, "%s: %s has the strategy \"group\" and no group_size", p->where, what);
    if (by_channel && group > 0)
        return lb_fail(p->err, LB_EFORMAT, "%s: %s has the strategy \"channel\" and group_size %lld", p->where, what,
                       (long long)group);
    *s = (lb_ct_scheme){.bits = (int)bits, .group = by_group ? (int)group : 0, .symmetric = symmetric};
    return true;
}

/* "W4A16": ["Linear"]: a preset's name instead of a group. */
static bool parse_preset(parser *p, const char *name, const json_t *targets)
{
    static const struct { const char *name; lb_ct_scheme s; } presets[] = {
        {"W2A16", {2, 128, true, LB_CT_INT}},
        {"W3A16", {3, 128, true, LB_CT_INT}},
        {"W4A16", {4, 128, true, LB_CT_INT}},
        {"W8A16", {8, 128, true, LB_CT_INT}},
        {"W4A16_ASYM", {4, 128, false, LB_CT_INT}},
        {"MXFP4A16", {4, 32, true, LB_CT_MXFP4}},
        {"NVFP4A16", {4, 16, true, LB_CT_NVFP4}},
    };
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(name, presets[i].name) == 0) return add_targets(p, &p->c->targets, targets, &presets[i].s, name);
    return lb_fail(p->err, LB_EUNSUPPORTED,
                   "%s: config_groups has the preset '%.100s'; lowbit reads W2A16, W3A16, W4A16, W8A16, W4A16_ASYM, "
                   "MXFP4A16, NVFP4A16",
                   p->where, name);
}

static bool parse_group(parser *p, const char *name, const json_t *g)
{
    static const char *const known[] = {
        "targets", "weights", "input_activations", "output_activations", "format", NULL};
    char what[160];
    snprintf(what, sizeof what, "config_groups.%.100s", name);
    if (json_is_array(g)) return parse_preset(p, name, g);
    if (!json_is_object(g))
        return lb_fail(p->err, LB_EFORMAT, "%s: %s is %s, wanted an object", p->where, what, lb_json_kind(g));
    const char *format = p->format;
    lb_ct_scheme s;
    if (!only_keys(p, g, known, what) || !lb_json_opt_str(g, "format", &format, p->where, p->err)) return false;
    int f = 0;
    while (f < 3 && strcmp(format, formats[f]) != 0) f++;
    if (f == 3)
        return lb_fail(p->err, LB_EUNSUPPORTED, "%s: %s has the format '%.100s'; lowbit reads pack-quantized, "
                       "mxfp4-pack-quantized and nvfp4-pack-quantized", p->where, what, format);
    for (int i = 2; i < 4; i++)
        if (!is_empty(json_object_get(g, known[i])))
            return lb_fail(p->err, LB_EUNSUPPORTED, "%s: %s quantizes %s, which lowbit does not read yet", p->where,
                           what, known[i]);
    strcat(what, ".weights");
    const json_t *w = json_object_get(g, "weights");
    return (f ? parse_fp4(p, w, what, (lb_ct_format)f, &s) : parse_args(p, w, what, &s)) &&
           add_targets(p, &p->c->targets, json_object_get(g, "targets"), &s, "targets");
}

static bool parse_config(parser *p, const json_t *qc)
{
    static const char *const known[] = {
        "quant_method", "format", "quantization_status", "config_groups", "ignore", "version",
        "global_compression_ratio", "sparsity_config", "transform_config", "kv_cache_scheme", NULL};
    const char *method = "missing", *status = "compressed";
    if (!json_is_object(qc))
        return lb_fail(p->err, LB_EFORMAT, "%s: 'quantization_config' is %s, wanted an object", p->where,
                       lb_json_kind(qc));
    if (!lb_json_opt_str(qc, "quant_method", &method, p->where, p->err)) return false;
    if (strcmp(method, "compressed-tensors") != 0 && strcmp(method, "lowbit") != 0)
        return lb_fail(p->err, LB_EUNSUPPORTED,
                       "%s: the quantization method is '%.100s'; lowbit reads compressed-tensors and its own", p->where, method);
    if (!only_keys(p, qc, known, "quantization_config") ||
        !lb_json_opt_str(qc, "quantization_status", &status, p->where, p->err) ||
        !lb_json_get_str(qc, "format", &p->format, p->where, p->err))
        return false;
    if (strcmp(status, "compressed") != 0)
        return lb_fail(p->err, LB_EUNSUPPORTED, "%s: quantization_status is '%.100s'; lowbit reads 'compressed'",
                       p->where, status);
    if (!is_empty(json_object_get(qc, "kv_cache_scheme")))
        return lb_fail(p->err, LB_EUNSUPPORTED,
                       "%s: kv_cache_scheme asks for a quantized KV cache, which lowbit does not read yet", p->where);
    const json_t *sparse = json_object_get(qc, "sparsity_config"), *turn = json_object_get(qc, "transform_config");
    if (!is_empty(sparse) && !string_is(sparse, "format", "dense", NULL))
        return unsupported(p, "quantization_config", "sparsity_config", sparse, "dense weights");
    if (!is_empty(turn) && !is_empty(json_object_get(turn, "config_groups")))
        return unsupported(p, "quantization_config", "transform_config", turn, "weights without transforms");
    const json_t *groups = json_object_get(qc, "config_groups"), *ignore = json_object_get(qc, "ignore");
    if (!json_is_object(groups))
        return lb_fail(p->err, LB_EFORMAT, "%s: 'config_groups' is %s, wanted an object", p->where,
                       lb_json_kind(groups));
    const char *name;
    json_t *g;
    json_object_foreach((json_t *)groups, name, g)
        if (!parse_group(p, name, g)) return false;
    if (ignore && !json_is_null(ignore) && !add_targets(p, &p->c->ignore, ignore, NULL, "ignore")) return false;
    settle(&p->c->targets);
    settle(&p->c->ignore);
    return true;
}

lb_ct_config *lb_ct_config_parse(const json_t *qc, const char *where, lb_err *err)
{
    lb_ct_config *c = lb_alloc(1, sizeof *c, "quantization_config", err);
    if (!c) return NULL;
    parser p = {.where = where, .c = c, .err = err};
    c->limits = pcre2_match_context_create(NULL);
    bool ok = c->limits != NULL || lb_fail_mem(err, 0, "quantization_config");
    if (ok) {
        pcre2_set_match_limit(c->limits, MATCH_LIMIT);
        pcre2_set_heap_limit(c->limits, HEAP_LIMIT_KIB);
    }
    if (ok && parse_config(&p, qc)) return c;
    lb_ct_config_free(c);
    return NULL;
}

void lb_ct_config_free(lb_ct_config *c)
{
    if (!c) return;
    target_list *lists[] = {&c->targets, &c->ignore};
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < lists[k]->n; i++) free_target(&lists[k]->p[i]);
        free(lists[k]->p);
    }
    pcre2_match_context_free(c->limits);
    free(c);
}

/* ---- building ---- */

static bool same(lb_ct_scheme a, lb_ct_scheme b)
{
    return a.bits == b.bits && a.group == b.group && a.symmetric == b.symmetric && a.format == b.format;
}

/* "self_attn.q_proj" of "model.layers.0.self_attn.q_proj": where a family of modules shows; NULL if nothing stands
 * before. */
static const char *family(const char *name)
{
    const char *p = strrchr(name, '.');
    if (!p) return NULL;
    while (p > name && p[-1] != '.') p--;
    return p > name ? p : NULL;
}

typedef struct row {
    const lb_ct_module *m;
    const char *family;
    size_t at;
} row;

static int by_family(const void *a, const void *b)
{
    const row *x = a, *y = b;
    int c = strcmp(x->family ? x->family : "", y->family ? y->family : "");
    return c ? c : x->at < y->at ? -1 : 1;
}

static bool same_family(const row *a, const row *b)
{
    return a->family && b->family && strcmp(a->family, b->family) == 0;
}

/* Appends "re:.*\.self_attn\.q_proj$". */
static bool add_regex(json_t *targets, const char *fam)
{
    lb_buf b = {0};
    lb_buf_str(&b, "re:.*\\.");
    for (const char *p = fam; *p; p++) {
        if (strchr("\\.^$|?*+()[]{}", *p)) lb_buf_byte(&b, '\\');
        lb_buf_byte(&b, *p);
    }
    lb_buf_byte(&b, '$');
    bool ok = !b.oom && json_array_append_new(targets, json_string(b.p)) == 0;
    lb_buf_free(&b);
    return ok;
}

/* The targets of one scheme, when there are several. rows are sorted by family. */
static json_t *build_targets(const row *rows, size_t n, lb_ct_scheme s)
{
    json_t *targets = json_array();
    bool ok = targets != NULL;
    for (size_t i = 0, j; ok && i < n; i = j) {
        bool whole = rows[i].family != NULL;
        for (j = i; j < n && (j == i || same_family(&rows[i], &rows[j])); j++)
            whole = whole && same(rows[j].m->scheme, rows[i].m->scheme);
        if (whole && same(rows[i].m->scheme, s)) ok = add_regex(targets, rows[i].family);
        for (size_t r = i; ok && !whole && r < j; r++)
            if (same(rows[r].m->scheme, s)) ok = json_array_append_new(targets, json_string(rows[r].m->name)) == 0;
    }
    if (ok) return targets;
    json_decref(targets);
    return NULL;
}

static json_t *build_group(json_t *targets, lb_ct_scheme s)
{
    if (s.format == LB_CT_HALF)
        return json_pack("{s:o,s:{s:i,s:s,s:b,s:s,s:n,s:[ii],s:b,s:n,s:s,s:s,s:{}},s:n,s:n}", "targets", targets, "weights",
                         "num_bits", 2, "type", "int", "symmetric", 0, "strategy", "block", "group_size",
                         "block_structure", 1, s.group, "dynamic", 0, "actorder", "zp_dtype", "torch.float8_e4m3fn",
                         "observer", "minmax", "observer_kwargs", "input_activations", "output_activations");
    if (s.format != LB_CT_INT)
        return json_pack("{s:o,s:{s:i,s:s,s:b,s:s,s:i,s:n,s:b,s:n,s:s,s:s,s:{}},s:n,s:n,s:s}", "targets", targets, "weights",
                         "num_bits", 4, "type", "float", "symmetric", 1, "strategy",
                         s.format == LB_CT_NVFP4 ? "tensor_group" : "group", "group_size", s.group, "block_structure",
                         "dynamic", 0, "actorder", "scale_dtype",
                         s.format == LB_CT_NVFP4 ? "torch.float8_e4m3fn" : "torch.uint8", "observer", "minmax",
                         "observer_kwargs", "input_activations", "output_activations", "format", formats[s.format]);
    return json_pack("{s:o,s:{s:i,s:s,s:b,s:s,s:o,s:n,s:b,s:n,s:s,s:{}},s:n,s:n}", "targets", targets, "weights",
                     "num_bits", s.bits, "type", "int", "symmetric", s.symmetric, "strategy",
                     s.group ? "group" : "channel", "group_size", s.group ? json_integer(s.group) : json_null(),
                     "block_structure", "dynamic", 0, "actorder", "observer", "minmax", "observer_kwargs",
                     "input_activations", "output_activations");
}

/* One format for all, or that there are several. */
static const char *overall_format(const lb_ct_module *m, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (strcmp(formats[m[i].scheme.format], formats[m[0].scheme.format]) != 0) return "mixed-precision";
    return formats[n ? m[0].scheme.format : LB_CT_INT];
}

static json_t *build_groups(const lb_ct_module *m, size_t n, row *rows)
{
    json_t *groups = json_object();
    bool ok = groups != NULL, one = true;
    for (size_t i = 0; i < n; i++) {
        rows[i] = (row){.m = &m[i], .family = family(m[i].name), .at = i};
        one = one && same(m[i].scheme, m[0].scheme);
    }
    qsort(rows, n, sizeof *rows, by_family);
    for (size_t i = 0, n_group = 0; ok && i < n; i++) {
        size_t first = 0; /* a scheme makes its group where it comes first */
        while (!same(m[first].scheme, m[i].scheme)) first++;
        if (first < i) continue;
        char key[40];
        snprintf(key, sizeof key, "group_%zu", n_group++);
        json_t *targets = one ? json_pack("[s]", "Linear") : build_targets(rows, n, m[i].scheme);
        json_t *g = targets ? build_group(targets, m[i].scheme) : NULL;
        if (g && strcmp(overall_format(m, n), "mixed-precision") == 0)
            json_object_set_new(g, "format", json_string(formats[m[i].scheme.format]));
        ok = g && json_object_set_new(groups, key, g) == 0;
    }
    if (ok) return groups;
    json_decref(groups);
    return NULL;
}

json_t *lb_ct_config_build(const lb_ct_module *m, size_t n, const char *const *ignore, size_t n_ignore, lb_err *err)
{
    row *rows = lb_alloc(n, sizeof *rows, "quantization_config", err);
    if (!rows) return NULL;
    json_t *list = json_array(), *groups = build_groups(m, n, rows), *qc = NULL;
    bool ok = list && groups;
    for (size_t i = 0; ok && i < n_ignore; i++) ok = json_array_append_new(list, json_string(ignore[i])) == 0;
    if (ok)
        qc = json_pack("{s:s,s:s,s:s,s:O,s:O,s:n,s:n,s:{},s:{},s:s}", "quant_method", "compressed-tensors", "format",
                       overall_format(m, n), "quantization_status", "compressed", "config_groups", groups, "ignore", list,
                       "kv_cache_scheme", "global_compression_ratio", "sparsity_config", "transform_config", "version",
                       "0.20.0");
    if (!qc) lb_fail_mem(err, n * 100, "quantization_config");
    json_decref(list);
    json_decref(groups);
    free(rows);
    return qc;
}
