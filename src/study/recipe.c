/* study/recipe.c – reading a recipe: everything is checked before anything runs, and what is wrong is named. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/file.h"
#include "base/mem.h"
#include "quant/layer.h"
#include "study/study.h"
#include <ctype.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

enum { WHERE = 700 };

static bool known_keys(const json_t *o, const char *const *keys, const char *where, lb_err *err)
{
    const char *key;
    json_t *v;
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(o));
    json_object_foreach ((json_t *)o, key, v) {
        int i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0) i++;
        if (!keys[i]) return lb_fail(err, LB_EFORMAT, "%s: '%s' is not a key that recipes have here", where, key);
    }
    return true;
}

/* lb_json_opt_int into an int; numbers from 1. */
static bool count_key(const json_t *o, const char *key, int64_t max, int *out, const char *where, lb_err *err)
{
    int64_t v = *out;
    if (!lb_json_opt_int(o, key, 1, max, &v, where, err)) return false;
    *out = (int)v;
    return true;
}

static bool parse_seeds(const json_t *o, lb_eval_opt *e, const char *where, lb_err *err)
{
    const json_t *a = json_object_get(o, "seeds"), *v;
    size_t i;
    if (!a) return true;
    if (!json_is_array(a) || json_array_size(a) == 0 || json_array_size(a) > LB_MAX_SEEDS)
        return lb_fail(err, LB_EFORMAT, "%s: 'seeds' wants an array of 1 to %d whole numbers", where, LB_MAX_SEEDS);
    e->n_seed = 0;
    json_array_foreach (a, i, v) {
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return lb_fail(err, LB_EFORMAT, "%s: seeds[%zu] is %s, wanted a whole number", where, i, lb_json_kind(v));
        for (int j = 0; j < e->n_seed; j++)
            if (e->seeds[j] == json_integer_value(v))
                return lb_fail(err, LB_EFORMAT, "%s: seeds has %lld twice", where, (long long)e->seeds[j]);
        e->seeds[e->n_seed++] = json_integer_value(v);
    }
    return true;
}

/* Settings that a recipe and its "quick" part may both have. */
static bool parse_size(const json_t *o, lb_eval_opt *e, const char *where, lb_err *err)
{
    return count_key(o, "limit", 1 << 20, &e->limit, where, err) &&
           count_key(o, "samples", 4096, &e->n_sample, where, err) &&
           count_key(o, "max_new", 1 << 28, &e->max_new, where, err) && parse_seeds(o, e, where, err);
}

/* ---- models and traces ---- */

/* Index of the model, which is added if it is new; −1 with err if there are too many. */
static int model_index(lb_study *s, const char *dir, const char *where, lb_err *err)
{
    int i = 0;
    while (i < s->n_model && strcmp(s->models[i].dir, dir) != 0) i++;
    if (i == LB_STUDY_MAX_MODELS) {
        lb_fail(err, LB_EFORMAT, "%s: '%s' is one model too many; there may be %d", where, dir, LB_STUDY_MAX_MODELS);
        return -1;
    }
    if (i == s->n_model) s->models[s->n_model++].dir = dir;
    return i;
}

static bool parse_models(lb_study *s, const json_t *o, const char *path, lb_err *err)
{
    const json_t *list = json_object_get(o, "models"), *v;
    const char *dir = NULL;
    size_t i;
    if (!list) return lb_json_get_str(o, "model", &dir, path, err) && model_index(s, dir, path, err) >= 0;
    if (json_object_get(o, "model")) return lb_fail(err, LB_EFORMAT, "%s has both 'model' and 'models'", path);
    if (!json_is_array(list) || json_array_size(list) == 0)
        return lb_fail(err, LB_EFORMAT, "%s: 'models' wants an array of model folders", path);
    json_array_foreach (list, i, v) {
        if (!json_is_string(v))
            return lb_fail(err, LB_EFORMAT, "%s: models[%zu] is %s, wanted a string", path, i, lb_json_kind(v));
        int before = s->n_model, at = model_index(s, json_string_value(v), path, err);
        if (at < 0) return false;
        if (at < before)
            return lb_fail(err, LB_EFORMAT, "%s: models has '%s' twice", path, json_string_value(v));
    }
    return true;
}

static bool parse_trace(lb_study *s, const char *name, const json_t *o, const char *where, lb_err *err)
{
    static const char *const keys[] = {"prompts", "where", "nprompts", "samples", "max_new", "seed", NULL};
    if (s->n_trace == LB_STUDY_MAX_TRACES)
        return lb_fail(err, LB_EFORMAT, "%s is one too many; there may be %d", where, LB_STUDY_MAX_TRACES);
    lb_study_trace *t = &s->traces[s->n_trace++];
    t->name = name;
    t->where = json_object_get(o, "where");
    if (!known_keys(o, keys, where, err) || !lb_json_get_str(o, "prompts", &t->prompts, where, err) ||
        !count_key(o, "nprompts", 1 << 20, &t->n_prompt, where, err) ||
        !count_key(o, "samples", 4096, &t->n_sample, where, err) ||
        !count_key(o, "max_new", 1 << 28, &t->max_new, where, err) ||
        !lb_json_opt_int(o, "seed", 0, INT64_MAX, &t->seed, where, err))
        return false;
    const char *key;
    json_t *v;
    if (t->where && !json_is_object(t->where))
        return lb_fail(err, LB_EFORMAT, "%s: 'where' is %s, wanted an object such as {\"family\": \"chain\"}", where,
                       lb_json_kind(t->where));
    json_object_foreach ((json_t *)t->where, key, v) {
        if (!json_is_string(v))
            return lb_fail(err, LB_EFORMAT, "%s: where: '%s' is %s, wanted a string", where, key, lb_json_kind(v));
    }
    return true;
}

/* {"prompts": …} for the source "self", or {NAME: {"prompts": …}, …} for "self:NAME". */
static bool parse_traces(lb_study *s, const json_t *o, const char *path, lb_err *err)
{
    const json_t *all = json_object_get(o, "trace");
    char where[WHERE];
    snprintf(where, sizeof where, "%.500s: trace", path);
    if (!all) return true;
    if (!json_is_object(all)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(all));
    if (!json_is_object(json_object_iter_value(json_object_iter((json_t *)all))) || json_object_get(all, "prompts"))
        return parse_trace(s, "", all, where, err);
    const char *name;
    json_t *v;
    json_object_foreach ((json_t *)all, name, v) {
        snprintf(where, sizeof where, "%.500s: trace '%.100s'", path, name);
        if (!lb_is_plain_name(name)) return lb_fail(err, LB_EFORMAT, "%s has no plain name", where);
        if (!parse_trace(s, name, v, where, err)) return false;
    }
    return true;
}

/* ---- one run ---- */

static bool is_self(const char *source) { return strcmp(source, "self") == 0 || strncmp(source, "self:", 5) == 0; }

static bool check_source(const lb_study *s, const char *source, const char *where, lb_err *err)
{
    if (is_self(source)) {
        const char *name = source[4] ? source + 5 : "";
        for (int i = 0; i < s->n_trace; i++)
            if (strcmp(s->traces[i].name, name) == 0) return true;
        return lb_fail(err, LB_EFORMAT, "%s: source '%s' wants a part \"trace\" that says how it is written", where,
                       source);
    }
    const lb_bench **list = NULL;
    int n;
    lb_err unused = {0};
    bool known = lb_file_exists(source) || lb_benches_of(source, &list, &n, &unused);
    free(list);
    return known || lb_fail(err, LB_EFORMAT, "%s: source '%s' is neither a file, nor a benchmark, nor self", where,
                            source);
}

static bool parse_calib(const lb_study *s, const json_t *in, lb_calib_spec *c, bool *has_seed, const char *in_where,
                        lb_err *err)
{
    static const char *const keys[] = {"source", "nsamples", "seqlen", "seed", NULL};
    const json_t *o = json_object_get(in, "calib");
    char where[WHERE];
    int64_t seed = 0;
    snprintf(where, sizeof where, "%.600s: calib", in_where);
    *has_seed = json_object_get(o, "seed") != NULL;
    bool ok = !o || (known_keys(o, keys, where, err) && lb_json_opt_str(o, "source", &c->source, where, err) &&
                     (!c->source || check_source(s, c->source, where, err)) &&
                     count_key(o, "nsamples", 1 << 20, &c->n_seq, where, err) &&
                     count_key(o, "seqlen", 1 << 24, &c->n_tok, where, err) &&
                     lb_json_opt_int(o, "seed", 0, INT64_MAX, &seed, where, err));
    c->seed = (uint64_t)seed;
    return ok;
}

static bool parse_doctor(lb_study *s, const char *path, lb_err *err)
{
    static const char *const keys[] = {"source", "tokens", "answers", NULL};
    const json_t *o = json_object_get(s->recipe, "doctor");
    char where[WHERE];
    snprintf(where, sizeof where, "%.600s: doctor", path);
    if (!o) return true;
    if (!known_keys(o, keys, where, err) || !lb_json_get_str(o, "source", &s->doctor, where, err) ||
        !count_key(o, "tokens", 1 << 28, &s->doctor_tokens, where, err) ||
        !count_key(o, "answers", 1 << 20, &s->doctor_answers, where, err))
        return false;
    if (!is_self(s->doctor) && !lb_file_exists(s->doctor))
        return lb_fail(err, LB_EFORMAT, "%s: source '%s' is neither a file of traces nor self", where, s->doctor);
    return check_source(s, s->doctor, where, err);
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

/* "a=b", kept by the study. */
static const char *joined(lb_study *s, const char *a, const char *b, lb_err *err)
{
    size_t n = strlen(a) + strlen(b) + 2;
    char *text = lb_alloc(n, 1, "the recipe", err);
    if (!text || !lb_grow(&s->text, &s->cap_text, s->n_text + 1, sizeof *s->text, "the recipe", err)) {
        free(text);
        return NULL;
    }
    snprintf(text, n, "%s=%s", a, b);
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
        if (!check(name, where, err) || !(list[*n] = joined(s, name, json_string_value(v), err))) return false;
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
    char where[WHERE];
    snprintf(where, sizeof where, "%.600s: eval", in);
    return !o || (known_keys(o, keys, where, err) && count_key(o, "max_new", 1 << 28, &r->max_new, where, err) &&
                  count_key(o, "think_budget", 1 << 28, &r->think_budget, where, err) &&
                  count_key(o, "think_extend", 1 << 20, &r->think_extend, where, err));
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

/* What is quantized, if anything: checked by the quantizer's own parser. A KV format that is not calibrated is chosen at
 * evaluation, so that runs which differ in it alone share their weights. */
static bool check_quant(lb_study *s, const json_t *o, lb_study_run *r, const char *where, lb_err *err)
{
    lb_compress_spec *q = &r->quant;
    lb_compress c;
    bool plain = is_w16(&r->scheme), says = json_object_get(o, "calib") || q->n_tensor || q->n_opt || r->target_bpw > 0;
    if (plain && (*r->method || q->clip))
        return lb_fail(err, LB_EFORMAT, "%s: w16 is the model as it is, without method or clip", where);
    if (plain && !r->kv && says)
        return lb_fail(err, LB_EFORMAT, "%s: w16 is the model as it is, without calib, tensor, options or target_bpw", where);
    if (!plain && !*r->method) return lb_fail(err, LB_EFORMAT, "%s: 'method' is missing", where);
    if (plain && !r->kv) return true;
    q->kv = r->kv;
    bool ok = lb_compress_parse(&c, q, err) || lb_wrap(err, "%s", where);
    r->calibrates = ok && (c.wants_calib || r->target_bpw > 0); /* a budget is shared out by what the text shows */
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

static bool parse_run(lb_study *s, const json_t *o, lb_study_run *r, const char *where, lb_err *err)
{
    static const char *const keys[] = {"scheme", "method",     "clip",    "kv",   "calib", "tensor",
                                       "target_bpw", "options", "model", "eval", "label", "group", NULL};
    const char *model = NULL;
    lb_compress_spec *q = &r->quant;
    *r = (lb_study_run){.group = "main", .model = -1, .method = "", .class_name = ""};
    if (!known_keys(o, keys, where, err) || !lb_json_get_str(o, "scheme", &q->scheme, where, err) ||
        !lb_json_opt_str(o, "method", &r->method, where, err) || !lb_json_opt_str(o, "clip", &q->clip, where, err) ||
        !lb_json_opt_str(o, "kv", &r->kv, where, err) || !lb_json_opt_str(o, "model", &model, where, err) ||
        !lb_json_opt_str(o, "group", &r->group, where, err) ||
        !lb_json_opt_real(o, "target_bpw", 1, 16, &r->target_bpw, where, err) ||
        !parse_calib(s, o, &r->own_calib, &r->own_seed, where, err) ||
        !parse_texts(s, o, "tensor", q->tensor, &q->n_tensor, is_regex, where, err) ||
        !parse_texts(s, o, "options", q->opt, &q->n_opt, is_option, where, err) || !parse_eval(o, r, where, err))
        return false;
    if (!lb_is_plain_name(r->group) || strlen(r->group) > 40)
        return lb_fail(err, LB_EFORMAT, "%s: 'group' is no plain name of at most 40 bytes", where);
    if (r->kv && !lb_is_plain_name(r->kv))
        return lb_fail(err, LB_EFORMAT, "%s: 'kv' is '%s', wanted a name such as kv4", where, r->kv);
    lb_kv_spec kv;
    if (r->kv && !lb_kv_spec_parse(r->kv, &kv, err)) return lb_wrap(err, "%s: kv", where);
    if (model && (r->model = model_index(s, model, where, err)) < 0) return false;
    if (q->clip && strcmp(q->clip, "none") != 0 && strcmp(q->clip, "mse") != 0)
        return lb_fail(err, LB_EFORMAT, "%s: 'clip' is '%s', wanted none or mse", where, q->clip);
    if (!lb_scheme_parse(q->scheme, &r->scheme, err)) return lb_wrap(err, "%s", where);
    q->method = *r->method ? r->method : NULL;
    return check_quant(s, o, r, where, err) && parse_label(o, r, where, err);
}

/* ---- all runs ---- */

/* A plain file name made of group, model and label; unique, and the same whenever the recipe is the same. */
static void name_run(lb_study *s, int i)
{
    lb_study_run *r = &s->runs[i];
    const char *slash = strrchr(s->models[r->model].dir, '/');
    char text[400];
    size_t n = 0;
    snprintf(text, sizeof text, "%s %s%s%s", r->group, s->n_model > 1 ? (slash ? slash + 1 : s->models[r->model].dir) : "",
             s->n_model > 1 ? " " : "", r->label);
    for (const char *p = text; *p && n < 120; p++) {
        bool plain = isalnum((unsigned char)*p) || *p == '.' || *p == '_' || *p == '+';
        if (plain) r->id[n++] = (char)tolower((unsigned char)*p);
        else if (n > 0 && r->id[n - 1] != '-') r->id[n++] = '-';
    }
    while (n > 0 && r->id[n - 1] == '-') n--;
    r->id[n] = 0;
    for (int copy = 2, j = 0; j < i; j++) {
        if (strcmp(s->runs[j].id, r->id) != 0) continue;
        snprintf(r->id + n, sizeof r->id - n, "-%d", copy++);
        j = -1;
    }
}

/* The run r of the recipe, once for each model it is meant for. */
static bool add_run(lb_study *s, const lb_study_run *r, size_t *cap, const char *where, lb_err *err)
{
    int n_all = s->n_model, first = r->model >= 0 ? r->model : 0, last = r->model >= 0 ? r->model + 1 : n_all;
    for (int m = first; m < last; m++) {
        if (s->n_run == LB_STUDY_MAX_RUNS)
            return lb_fail(err, LB_EFORMAT, "%s: more than %d runs over all models", where, LB_STUDY_MAX_RUNS);
        if (!lb_grow(&s->runs, cap, (size_t)s->n_run + 1, sizeof *s->runs, "the runs", err)) return false;
        s->runs[s->n_run] = *r;
        s->runs[s->n_run].model = m;
        s->n_run++;
    }
    return true;
}

static bool parse_runs(lb_study *s, const json_t *runs, const char *path, lb_err *err)
{
    const json_t *v;
    size_t i, cap = 0;
    char where[WHERE];
    if (!json_is_array(runs) || json_array_size(runs) == 0 || json_array_size(runs) > LB_STUDY_MAX_RUNS)
        return lb_fail(err, LB_EFORMAT, "%s: 'runs' wants an array of 1 to %d runs", path, LB_STUDY_MAX_RUNS);
    size_t n = json_array_size(runs);
    lb_study_run *one = lb_alloc(n, sizeof *one, "the runs", err);
    bool ok = one != NULL;
    json_array_foreach (runs, i, v) {
        snprintf(where, sizeof where, "%.500s: runs[%zu]", path, i);
        ok = ok && parse_run(s, v, &one[i], where, err);
        for (size_t j = 0; ok && j < i; j++)
            if (strcmp(one[j].label, one[i].label) == 0 && strcmp(one[j].group, one[i].group) == 0 &&
                (one[j].model == one[i].model || one[j].model < 0 || one[i].model < 0))
                ok = lb_fail(err, LB_EFORMAT, "%s is %s, as runs[%zu] is; a 'label' tells runs apart", where,
                             one[i].label, j);
    }
    /* "models" makes runs of those that it lists, not of a model that a single run brings along */
    int n_listed = json_array_size(json_object_get(s->recipe, "models"))
                       ? (int)json_array_size(json_object_get(s->recipe, "models"))
                       : 1,
        n_all = s->n_model;
    s->n_model = n_listed;
    for (i = 0; ok && i < n; i++) ok = add_run(s, &one[i], &cap, path, err);
    s->n_model = n_all;
    free(one);
    for (int k = 0; ok && k < s->n_run; k++) name_run(s, k);
    return ok;
}

/* Checked whether it is used or not. */
static bool parse_quick(const json_t *q, lb_study *s, bool use, const char *path, lb_err *err)
{
    static const char *const keys[] = {"limit", "seeds", "samples", "max_new", NULL};
    char where[WHERE];
    lb_eval_opt e = s->eval;
    snprintf(where, sizeof where, "%.500s: quick", path);
    if (!known_keys(q, keys, where, err) || !parse_size(q, &e, where, err)) return false;
    if (use) s->eval = e;
    return true;
}

static bool same_eval(const lb_study_run *a, const lb_study_run *b)
{
    return a->model == b->model && a->max_new == b->max_new && a->think_budget == b->think_budget &&
           a->think_extend == b->think_extend;
}

/* See the header: plain in the group, plain anywhere, else the first of group and model. */
static void find_baselines(lb_study *s)
{
    for (int i = 0; i < s->n_run; i++) {
        lb_study_run *r = &s->runs[i];
        int near = -1, far = -1, first = -1;
        for (int j = s->n_run - 1; j >= 0; j--) {
            const lb_study_run *b = &s->runs[j];
            bool group = strcmp(b->group, r->group) == 0;
            if (group && b->model == r->model) first = j;
            if (!lb_study_is_plain(b) || !same_eval(b, r)) continue;
            far = j;
            if (group) near = j;
        }
        r->baseline = near >= 0 ? near : far >= 0 ? far : first;
    }
}

static bool parse(lb_study *s, const char *path, bool quick, lb_err *err)
{
    static const char *const keys[] = {"name",    "about", "model", "models", "data",  "tasks", "limit", "seeds",
                                       "samples", "max_new", "trace", "calib", "doctor", "runs", "quick", NULL};
    const json_t *o = s->recipe, *q = json_object_get(o, "quick");
    const char *name, *about, *tasks = "abacus";
    bool has_seed;
    s->data = "data";
    s->eval = (lb_eval_opt){.n_seed = 3, .seeds = {42, 43, 44}, .n_sample = 1};
    if (!known_keys(o, keys, path, err) || !lb_json_get_str(o, "name", &name, path, err) ||
        !lb_json_opt_str(o, "about", &about, path, err) || !parse_models(s, o, path, err) ||
        !lb_json_opt_str(o, "data", &s->data, path, err) || !lb_json_opt_str(o, "tasks", &tasks, path, err) ||
        !parse_size(o, &s->eval, path, err))
        return false;
    if (!lb_is_plain_name(name) || strlen(name) >= sizeof s->name)
        return lb_fail(err, LB_EFORMAT, "%s: 'name' is no plain file name of less than %zu bytes", path,
                       sizeof s->name);
    snprintf(s->name, sizeof s->name, "%s", name);
    if (quick && !q) return lb_fail(err, LB_EFORMAT, "%s has no 'quick' part for --quick", path);
    if ((q && !parse_quick(q, s, quick, path, err)) || !parse_traces(s, o, path, err) ||
        !parse_calib(s, o, &s->calib, &has_seed, path, err) || !parse_doctor(s, path, err) ||
        !parse_runs(s, json_object_get(o, "runs"), path, err))
        return false;
    find_baselines(s);
    if (!lb_benches_of(tasks, &s->tasks, &s->n_task, err)) return lb_wrap(err, "%s", path);
    s->eval.tasks = s->tasks, s->eval.n_task = s->n_task, s->eval.data_dir = s->data;
    return true;
}

bool lb_study_open(lb_study *s, const char *recipe_path, bool quick, lb_err *err)
{
    memset(s, 0, sizeof *s);
    s->recipe = lb_json_load(recipe_path, err);
    if (s->recipe && parse(s, recipe_path, quick, err)) return true;
    lb_study_close(s);
    return false;
}

void lb_study_close(lb_study *s)
{
    for (int i = 0; i < s->n_run; i++) lb_eval_result_free(&s->runs[i].result);
    for (size_t i = 0; i < s->n_text; i++) free(s->text[i]);
    free(s->text);
    free(s->runs);
    free(s->tasks);
    json_decref(s->recipe);
    memset(s, 0, sizeof *s);
}
