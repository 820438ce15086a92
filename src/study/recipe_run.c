/* study/recipe_run.c – one run of a recipe. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/file.h"
#include "base/mem.h"
#include "quant/layer.h"
#include "study/recipe.h"
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

bool lb_recipe_is_self(const char *source) { return strcmp(source, "self") == 0 || strncmp(source, "self:", 5) == 0; }

const lb_study_trace *lb_recipe_trace(const lb_study *s, const char *source)
{
    const char *name = source[4] ? source + 5 : "";
    for (int i = 0; i < s->n_trace; i++)
        if (strcmp(s->traces[i].name, name) == 0) return &s->traces[i];
    return NULL;
}

bool lb_recipe_source(const lb_study *s, const char *source, const char *where, lb_err *err)
{
    if (lb_recipe_is_self(source))
        return lb_recipe_trace(s, source) ||
               lb_fail(err, LB_EFORMAT, "%s: source '%s' wants a part \"trace\" that says how it is written", where,
                       source);
    const lb_bench **list = NULL;
    int n;
    lb_err unused = {0};
    bool known = lb_file_exists(source) || lb_benches_of(source, &list, &n, &unused);
    free(list);
    return known || lb_fail(err, LB_EFORMAT, "%s: source '%s' is neither a file, nor a benchmark, nor self", where,
                            source);
}

bool lb_recipe_calib(const lb_study *s, const json_t *in, lb_calib_spec *c, bool *has_seed, const char *in_where,
                        lb_err *err)
{
    static const char *const keys[] = {"source", "nsamples", "seqlen", "seed", NULL};
    const json_t *o = json_object_get(in, "calib");
    char where[LB_RECIPE_WHERE];
    int64_t seed = 0;
    snprintf(where, sizeof where, "%.600s: calib", in_where);
    *has_seed = json_object_get(o, "seed") != NULL;
    bool ok = !o || (lb_json_keys(o, keys, where, err) && lb_json_opt_str(o, "source", &c->source, where, err) &&
                     (!c->source || lb_recipe_source(s, c->source, where, err)) &&
                     lb_recipe_count(o, "nsamples", 1 << 20, &c->n_seq, where, err) &&
                     lb_recipe_count(o, "seqlen", 1 << 24, &c->n_tok, where, err) &&
                     lb_json_opt_int(o, "seed", 0, INT64_MAX, &seed, where, err));
    c->seed = (uint64_t)seed;
    return ok;
}

static bool is_regex(const char *text, const char *where, lb_err *err)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
    if (!re) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(code, why, sizeof why);
        return lb_fail(err, LB_EFORMAT, "%s: tensor: '%s' is not a regular expression: %s at %zu", where, text,
                       (char *)why, (size_t)at);
    }
    pcre2_code_free(re);
    return true;
}

const char *lb_recipe_joined(lb_study *s, const char *a, const char *between, const char *b, lb_err *err)
{
    size_t n = strlen(a) + strlen(between) + strlen(b) + 1;
    char *text = lb_alloc(n, 1, "the recipe", err);
    if (!text || !lb_grow(&s->text, &s->cap_text, s->n_text + 1, sizeof *s->text, "the recipe", err)) {
        free(text);
        return NULL;
    }
    snprintf(text, n, "%s%s%s", a, between, b);
    return s->text[s->n_text++] = text;
}

/* An object of texts as a list of "KEY=TEXT". */
static bool parse_texts(lb_study *s, const json_t *run, const char *key, const char **list, int *n,
                        bool (*check)(const char *, const char *, lb_err *), const char *where, lb_err *err)
{
    const json_t *o = json_object_get(run, key);
    const char *name;
    json_t *v;
    if (o && !json_is_object(o))
        return lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted an object", where, key, lb_json_kind(o));
    json_object_foreach ((json_t *)o, name, v) {
        if (*n == LB_COMPRESS_LIST)
            return lb_fail(err, LB_EFORMAT, "%s: '%s' has more than %d entries", where, key, LB_COMPRESS_LIST);
        if (!json_is_string(v))
            return lb_fail(err, LB_EFORMAT, "%s: %s: '%s' is %s, wanted a string", where, key, name, lb_json_kind(v));
        if (!check(name, where, err) || !(list[*n] = lb_recipe_joined(s, name, "=", json_string_value(v), err))) return false;
        ++*n;
    }
    return true;
}

static bool is_option(const char *name, const char *where, lb_err *err)
{
    return (*name && !strchr(name, '=')) ||
           lb_fail(err, LB_EFORMAT, "%s: options: '%s' is not the name of an option", where, name);
}

static bool parse_eval(const json_t *run, lb_study_run *r, const char *in, lb_err *err)
{
    static const char *const keys[] = {"max_new", "think_budget", "think_extend", NULL};
    const json_t *o = json_object_get(run, "eval");
    char where[LB_RECIPE_WHERE];
    snprintf(where, sizeof where, "%.600s: eval", in);
    return !o ||
           (lb_json_keys(o, keys, where, err) && lb_recipe_count(o, "max_new", 1 << 28, &r->max_new, where, err) &&
            lb_recipe_count(o, "think_budget", 1 << 28, &r->think_budget, where, err) &&
            lb_recipe_count(o, "think_extend", 1 << 20, &r->think_extend, where, err));
}

bool lb_study_is_plain(const lb_study_run *r) { return !r->makes_model && !r->kv; }

static bool is_w16(const lb_scheme *s)
{
    char text[LB_SCHEME_TEXT];
    lb_scheme_text(s, text);
    return strcmp(text, "w16") == 0;
}

/* Everything that the recipe says of the run, so that two runs of one label are the same. */
static bool default_label(lb_study_run *r, const char *where, lb_err *err)
{
    const lb_compress_spec *q = &r->quant;
    const lb_calib_spec *c = &r->own_calib;
    lb_buf b = {0};
    char scheme[LB_SCHEME_TEXT];
    lb_scheme_text(&r->scheme, scheme);
    lb_buf_str(&b, scheme);
    if (*r->method) lb_buf_fmt(&b, " %s", r->method);
    if (q->clip) lb_buf_str(&b, strcmp(q->clip, "mse") == 0 ? "+clip" : "+noclip");
    if (r->kv) lb_buf_fmt(&b, " %s", r->kv);
    if (r->target_bpw > 0) lb_buf_fmt(&b, " to %g bits", r->target_bpw);
    for (int i = 0; i < q->n_tensor; i++) lb_buf_fmt(&b, " %s", q->tensor[i]);
    for (int i = 0; i < q->n_opt; i++) lb_buf_fmt(&b, " %s", q->opt[i]);
    if (c->source) lb_buf_fmt(&b, " on %s", c->source);
    if (c->n_seq || c->n_tok) lb_buf_str(&b, " calib");
    if (c->n_seq) lb_buf_fmt(&b, " n%d", c->n_seq);
    if (c->n_tok) lb_buf_fmt(&b, " len%d", c->n_tok);
    if (r->own_seed) lb_buf_fmt(&b, " seed%llu", (unsigned long long)c->seed);
    if (r->think_budget) lb_buf_fmt(&b, " think≤%d", r->think_budget);
    if (r->think_extend) lb_buf_fmt(&b, " wait×%d", r->think_extend);
    if (r->max_new) lb_buf_fmt(&b, " max%d", r->max_new);
    bool ok = lb_buf_ok(&b, "a label", err);
    if (ok && b.n >= sizeof r->label)
        ok = lb_fail(err, LB_EFORMAT, "%s: there is so much to say of it that it wants a 'label'", where);
    snprintf(r->label, sizeof r->label, "%s", lb_buf_cstr(&b));
    lb_buf_free(&b);
    return ok;
}

static bool parse_label(const json_t *o, lb_study_run *r, const char *where, lb_err *err)
{
    const char *label = NULL;
    if (!lb_json_opt_str(o, "label", &label, where, err)) return false;
    if (!label) return default_label(r, where, err);
    if (!*label || strlen(label) >= sizeof r->label)
        return lb_fail(err, LB_EFORMAT, "%s: 'label' wants 1 to %zu bytes", where, sizeof r->label - 1);
    for (const char *p = label; *p; p++)
        if ((unsigned char)*p < 32)
            return lb_fail(err, LB_EFORMAT, "%s: 'label' has a control character", where);
    snprintf(r->label, sizeof r->label, "%s", label);
    return true;
}

/* What is quantized, if anything: checked by the quantizer's own parser. A KV format that is not calibrated is chosen
 * at evaluation, so that runs which differ in it alone share their weights. */
static bool check_quant(lb_study *s, const json_t *o, lb_study_run *r, const char *where, lb_err *err)
{
    lb_compress_spec *q = &r->quant;
    lb_compress c;
    bool plain = is_w16(&r->scheme), says = json_object_get(o, "calib") || q->n_tensor || q->n_opt || r->target_bpw > 0;
    if (plain && (*r->method || q->clip))
        return lb_fail(err, LB_EFORMAT, "%s: w16 is the model as it is, without method or clip", where);
    if (plain && !r->kv && says)
        return lb_fail(err, LB_EFORMAT, "%s: w16 is the model as it is, without calib, tensor, options or target_bpw",
                       where);
    if (!plain && !*r->method) return lb_fail(err, LB_EFORMAT, "%s: 'method' is missing", where);
    if (plain && !r->kv) return true;
    q->kv = r->kv;
    q->target_bpw = r->target_bpw;
    bool ok = lb_compress_parse(&c, q, err) || lb_wrap(err, "%s", where);
    r->calibrates = ok && (c.wants_calib || r->target_bpw > 0);
    bool kv_calibrates = r->calibrates && lb_quant_calibrates_kv(&c.opt);
    lb_compress_free(&c);
    if (!ok) return false;
    r->makes_model = !plain || kv_calibrates;
    if (!kv_calibrates) q->kv = NULL;
    if (!r->calibrates && json_object_get(o, "calib"))
        return lb_fail(err, LB_EFORMAT, "%s: 'calib' is given, but nothing there is calibrated", where);
    q->calib = r->own_calib;
    if (!q->calib.source) q->calib.source = s->calib.source;
    if (!q->calib.n_seq) q->calib.n_seq = s->calib.n_seq;
    if (!q->calib.n_tok) q->calib.n_tok = s->calib.n_tok;
    if (!r->own_seed) q->calib.seed = s->calib.seed;
    q->calib.data_dir = s->data;
    return !r->calibrates || q->calib.source ||
           lb_fail(err, LB_EFORMAT, "%s: %s wants a 'calib' with a source, of its own or of the recipe", where,
                   kv_calibrates ? r->kv : r->target_bpw > 0 ? "target_bpw" : r->method);
}

bool lb_recipe_run(lb_study *s, const json_t *o, lb_study_run *r, const char *where, lb_err *err)
{
    static const char *const keys[] = {"scheme",  "method", "clip", "kv",    "calib", "tensor", "target_bpw",
                                       "options", "model",  "eval", "train", "label", "group",  NULL};
    const char *model = NULL;
    lb_compress_spec *q = &r->quant;
    *r = (lb_study_run){.group = "main", .model = -1, .method = "", .class_name = ""};
    if (!lb_json_keys(o, keys, where, err) || !lb_json_get_str(o, "scheme", &q->scheme, where, err) ||
        !lb_json_opt_str(o, "method", &r->method, where, err) || !lb_json_opt_str(o, "clip", &q->clip, where, err) ||
        !lb_json_opt_str(o, "kv", &r->kv, where, err) || !lb_json_opt_str(o, "model", &model, where, err) ||
        !lb_json_opt_str(o, "group", &r->group, where, err) ||
        !lb_json_opt_real(o, "target_bpw", 1, 16, &r->target_bpw, where, err) ||
        !lb_recipe_calib(s, o, &r->own_calib, &r->own_seed, where, err) ||
        !parse_texts(s, o, "tensor", q->tensor, &q->n_tensor, is_regex, where, err) ||
        !parse_texts(s, o, "options", q->opt, &q->n_opt, is_option, where, err) || !parse_eval(o, r, where, err))
        return false;
    if (!lb_is_plain_name(r->group) || strlen(r->group) > 40)
        return lb_fail(err, LB_EFORMAT, "%s: 'group' is no plain name of at most 40 bytes", where);
    if (r->kv && !lb_is_plain_name(r->kv))
        return lb_fail(err, LB_EFORMAT, "%s: 'kv' is '%s', wanted a name such as kv4", where, r->kv);
    lb_kv_spec kv;
    if (r->kv && !lb_kv_spec_parse(r->kv, &kv, err)) return lb_wrap(err, "%s: kv", where);
    if (model && (r->model = lb_recipe_model(s, model, where, err)) < 0) return false;
    if (q->clip && strcmp(q->clip, "none") != 0 && strcmp(q->clip, "mse") != 0)
        return lb_fail(err, LB_EFORMAT, "%s: 'clip' is '%s', wanted none or mse", where, q->clip);
    if (!lb_scheme_parse(q->scheme, &r->scheme, err)) return lb_wrap(err, "%s", where);
    if (json_object_get(o, "train"))
        return lb_recipe_train(s, o, r, where, err) && parse_label(o, r, where, err);
    q->method = *r->method ? r->method : NULL;
    return check_quant(s, o, r, where, err) && parse_label(o, r, where, err);
}
