/* train/recipe.c – reading a recipe: tables of keys, one line a key. */
#include "train/recipe.h"
#include "base/file.h"
#include "base/buf.h"
#include "eval/bench.h"
#include <assert.h>
#include <stdlib.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { WHERE = 700, MAX_KEYS = 64 };

static const char *const kinds[] = {"sft", "kd", "opd", "grpo", NULL};
static const char *const divergences[] = {"forward", "reverse", "js", "cakld", NULL};
static const char *const scales[] = {"minmax", "clip", "static", "learned", "stretched", NULL};
static const char *const schedules[] = {"cosine", "linear", "wsd", "constant", NULL};
static const char *const parts[] = {"linears", "biases", "norms",      "routers", "embed",
                                    "head",    "scales", "transforms", NULL};

const char *lb_stage_kind_name(lb_stage_kind k) { return kinds[k]; }

bool lb_train_quantizes_first(const lb_train_recipe *r)
{
    static const char *const none[] = {"none", "rtn", "scratch"};
    for (int i = 0; i < 3; i++)
        if (strcmp(r->method, none[i]) == 0) return false;
    return true;
}

bool lb_train_same_quantizers(const lb_train_stage *a, const lb_train_stage *b)
{
    return memcmp(&a->scheme, &b->scheme, sizeof a->scheme) == 0 && a->scales == b->scales;
}

bool lb_train_reads_traces(const lb_train_recipe *r)
{
    bool reads = strcmp(r->calib, "traces") == 0 && lb_train_quantizes_first(r);
    for (int i = 0; i < r->n_stage; i++) reads |= r->stages[i].kind == LB_STAGE_SFT || r->stages[i].kind == LB_STAGE_KD;
    return reads;
}

/* ---- one key ---- */

typedef enum type { INT, REAL, BOOL, TEXT, NAME, FLAGS, SCHEME, OBJECT, SEEDS, APART } type; /* apart: read by others */
typedef struct field {
    const char *key;
    type type;
    size_t at;                   /* offset in the struct */
    double min, max;             /* of numbers */
    const char *const *names;    /* of names and flags */
    unsigned kinds;              /* of stages that have it: 1 << kind; 0: all */
} field;

static bool one_of(const char *text, const char *const *names, int *out, const char *key, const char *where,
                   lb_err *err)
{
    lb_buf list = {0};
    for (*out = 0; names[*out]; ++*out) {
        if (strcmp(text, names[*out]) == 0) {
            lb_buf_free(&list);
            return true;
        }
        lb_buf_fmt(&list, "%s%s", *out ? ", " : "", names[*out]);
    }
    lb_fail(err, LB_EFORMAT, "%s: '%s' is '%.40s'; there are %s", where, key, text, lb_buf_cstr(&list));
    lb_buf_free(&list);
    return false;
}

static bool read_flags(const json_t *list, const field *f, unsigned *out, const char *where, lb_err *err)
{
    const json_t *v;
    size_t i;
    *out = 0;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return lb_fail(err, LB_EFORMAT, "%s: '%s' wants an array of names", where, f->key);
    json_array_foreach (list, i, v) {
        int bit;
        if (!json_is_string(v)) return lb_fail(err, LB_EFORMAT, "%s: '%s' wants an array of names", where, f->key);
        if (!one_of(json_string_value(v), f->names, &bit, f->key, where, err)) return false;
        *out |= 1u << bit;
    }
    return true;
}

static bool read_seeds(const json_t *list, const field *f, int64_t *out, const char *where, lb_err *err)
{
    const json_t *v;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > LB_STATS_SEEDS)
        return lb_fail(err, LB_EFORMAT, "%s: '%s' wants an array of 1 to %d whole numbers", where, f->key, LB_STATS_SEEDS);
    json_array_foreach (list, i, v) {
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return lb_fail(err, LB_EFORMAT, "%s: %s[%zu] is %s, wanted a whole number", where, f->key, i, lb_json_kind(v));
        out[i] = json_integer_value(v);
        for (size_t j = 0; j < i; j++)
            if (out[j] == out[i])
                return lb_fail(err, LB_EFORMAT, "%s: %s has %lld twice", where, f->key, (long long)out[i]);
    }
    return true;
}

/* Leaves the default alone where the key is absent. */
static bool read_field(const json_t *o, const field *f, void *to, const char *where, lb_err *err)
{
    void *at = (char *)to + f->at;
    const char *text = NULL;
    const json_t *v = json_object_get(o, f->key);
    int64_t i;
    if (!v || f->type == APART) return true;
    switch (f->type) {
    case INT:
        if (!lb_json_get_int(o, f->key, (int64_t)f->min, (int64_t)f->max, &i, where, err)) return false;
        if (f->max > INT32_MAX) *(int64_t *)at = i;
        else *(int *)at = (int)i;
        return true;
    case REAL: return lb_json_get_real(o, f->key, f->min, f->max, at, where, err);
    case BOOL: return lb_json_opt_bool(o, f->key, at, where, err);
    case OBJECT:
        *(const json_t **)at = v;
        return json_is_object(v) ||
               lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted an object", where, f->key, lb_json_kind(v));
    case FLAGS: return read_flags(v, f, at, where, err);
    case SEEDS: return read_seeds(v, f, at, where, err);
    default: break;
    }
    if (!lb_json_get_str(o, f->key, &text, where, err)) return false;
    if (f->type == NAME) return one_of(text, f->names, at, f->key, where, err);
    if (f->type == SCHEME) return lb_scheme_parse(text, at, err) || lb_wrap(err, "%s: '%s'", where, f->key);
    *(const char **)at = text;
    return *text || lb_fail(err, LB_EFORMAT, "%s: '%s' is empty", where, f->key);
}

static bool read_object(const json_t *o, const field *fields, size_t n, unsigned kind, void *to, const char *where,
                        lb_err *err)
{
    const char *keys[MAX_KEYS + 1];
    size_t k = 0;
    assert(n <= MAX_KEYS);
    for (size_t i = 0; i < n; i++)
        if (!fields[i].kinds || fields[i].kinds & kind) keys[k++] = fields[i].key;
        else if (json_object_get(o, fields[i].key))
            return lb_fail(err, LB_EFORMAT, "%s: '%s' means nothing in a stage of this kind", where, fields[i].key);
    keys[k] = NULL;
    if (!lb_json_keys(o, keys, where, err)) return false;
    for (size_t i = 0; i < n; i++)
        if (!read_field(o, &fields[i], to, where, err)) return false;
    return true;
}
#define N(a) (sizeof(a) / sizeof *(a))

/* ---- stages ---- */

#define S(key, type, member, ...) {key, type, offsetof(lb_train_stage, member), __VA_ARGS__}
enum {
    SFT = 1 << LB_STAGE_SFT, KD = 1 << LB_STAGE_KD, OPD = 1 << LB_STAGE_OPD, GRPO = 1 << LB_STAGE_GRPO,
    READS = SFT | KD, DISTILL = KD | OPD, WRITES = OPD | GRPO
};
static const field stage_fields[] = {
    S("kind", NAME, kind, 0, 0, kinds, 0),
    S("scheme", SCHEME, scheme, 0, 0, NULL, 0),
    S("scales", NAME, scales, 0, 0, scales, 0),
    S("train", FLAGS, train, 0, 0, parts, 0),
    S("steps", INT, steps, 1, 1e9, NULL, 0),
    S("warmup", INT, warmup, 0, 1e9, NULL, 0),
    S("lr", REAL, lr, 0, 10, NULL, 0),
    S("lr_scales", REAL, lr_scales, 0, 10, NULL, 0),
    S("lr_transforms", REAL, lr_transforms, 0, 10, NULL, 0),
    S("lr_clips", REAL, lr_clips, 0, 10, NULL, 0),
    S("beta1", REAL, beta1, 0, 0.9999, NULL, 0),
    S("beta2", REAL, beta2, 0, 0.99999, NULL, 0),
    S("eps", REAL, eps, 1e-20, 1, NULL, 0),
    S("weight_decay", REAL, weight_decay, 0, 1, NULL, 0),
    S("clip_norm", REAL, clip_norm, 0, 1e9, NULL, 0),
    S("schedule", NAME, schedule, 0, 0, schedules, 0),
    S("last", REAL, last, 0, 1, NULL, 0),
    S("decay", REAL, decay, 0, 1, NULL, 0),
    S("tokens", INT, tokens, 16, 1 << 30, NULL, READS),
    S("seq_tokens", INT, seq_tokens, 16, 1 << 30, NULL, 0),
    S("prompt_loss", BOOL, prompt_loss, 0, 0, NULL, READS),
    S("divergence", NAME, divergence, 0, 0, divergences, DISTILL),
    S("temperature", REAL, temperature, 0.01, 100, NULL, DISTILL),
    S("beta", REAL, beta, 0, 1, NULL, DISTILL),
    S("gamma", REAL, gamma, 0, 1, NULL, DISTILL),
    S("top_k", INT, top_k, 0, 65536, NULL, KD),
    S("ce", REAL, ce, 0, 1e3, NULL, DISTILL),
    S("prompts", TEXT, prompts, 0, 0, NULL, WRITES),
    S("task", TEXT, task, 0, 0, NULL, WRITES),
    S("n_prompt", INT, n_prompt, 1, 1 << 20, NULL, WRITES),
    S("group", INT, group, 1, 4096, NULL, WRITES),
    S("max_new", INT, max_new, 1, 1 << 28, NULL, WRITES),
    S("sample_temperature", REAL, sample_temperature, 0.01, 100, NULL, WRITES),
    S("top_p", REAL, top_p, 0.01, 1, NULL, WRITES),
    S("clip_low", REAL, clip_low, 0, 1, NULL, GRPO),
    S("clip_high", REAL, clip_high, 0, 100, NULL, GRPO),
    S("kl", REAL, kl, 0, 100, NULL, GRPO),
    S("updates", INT, updates, 1, 1024, NULL, GRPO),
    S("drop_equal", BOOL, drop_equal, 0, 0, NULL, GRPO),
    S("gate", REAL, gate, 0, 1, NULL, GRPO),
    S("gate_samples", INT, gate_samples, 1, 1 << 20, NULL, GRPO),
};

/* Latent weights of a method with grids of its own round to its codes on those grids only: min-max of what GPTQ left would
 * be another model, ten times as far from the teacher. */
static lb_scales default_scales(const lb_train_recipe *r)
{
    return lb_train_quantizes_first(r) && !strstr(r->method, "bitdistiller") ? LB_SCALES_STATIC : LB_SCALES_MINMAX;
}

/* Reasoning-QAT, appendix A.1 and A.3; what it does not state is the field's convention (clip 0.2 and 0.28: DAPO). */
static lb_train_stage stage_default(const lb_train_recipe *r, lb_stage_kind kind)
{
    lb_train_stage s = {.kind = kind,
                        .scheme = r->scheme,
                        .scales = default_scales(r),
                        .train = LB_TRAIN_LINEARS | LB_TRAIN_SCALES,
                        .steps = 6000,
                        .warmup = 180,
                        .lr = 2e-5,
                        .lr_scales = 1e-4,
                        .lr_transforms = 5e-5,
                        .lr_clips = 5e-4,
                        .beta1 = 0.9,
                        .beta2 = 0.95,
                        .eps = 1e-8,
                        .clip_norm = 1,
                        .schedule = LB_LR_COSINE,
                        .decay = 0.2,
                        .tokens = 32 * 8192,
                        .seq_tokens = 8192,
                        .temperature = 1,
                        .beta = 0.5,
                        .drop_equal = true,
                        .n_prompt = 64,
                        .group = 8,
                        .max_new = 32768,
                        .sample_temperature = 1,
                        .top_p = 1,
                        .clip_low = 0.2,
                        .clip_high = 0.28,
                        .updates = 1,
                        .gate = 0.2,
                        .gate_samples = 256};
    if (kind == LB_STAGE_GRPO) s.steps = 250, s.warmup = 8, s.lr = 5e-7;
    if (kind == LB_STAGE_OPD) s.group = 1, s.divergence = LB_KL_REVERSE;
    return s;
}

static bool read_stage(lb_train_recipe *r, const json_t *o, int i, const char *in, lb_err *err)
{
    char where[WHERE];
    int kind = 0;
    lb_train_stage *s = &r->stages[i];
    snprintf(where, sizeof where, "%.600s: stages[%d]", in, i);
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(o));
    if (!json_object_get(o, "kind"))
        return lb_fail(err, LB_EFORMAT, "%s: 'kind' is missing; there are sft, kd, opd, grpo", where);
    if (!read_field(o, &stage_fields[0], &kind, where, err)) return false;
    *s = stage_default(r, (lb_stage_kind)kind);
    if (!read_object(o, stage_fields, N(stage_fields), 1u << kind, s, where, err)) return false;
    snprintf(s->name, sizeof s->name, "%d-%s", i + 1, kinds[kind]);
    if (s->scales == LB_SCALES_STRETCHED) {
        if (s->scheme.format != LB_W_INT || s->scheme.w_bits != 2)
            return lb_fail(err, LB_EFORMAT, "%s: 'scales' is 'stretched', which is for weights of 2 bits, not %d; take 'learned'",
                           where, s->scheme.w_bits);
        s->scheme.half = true, s->scheme.sym = false;
        s->scales = LB_SCALES_LEARNED;
    }
    bool writes = WRITES >> kind & 1;
    if (writes && !s->prompts) s->prompts = r->traces.prompts;
    if (writes && !s->prompts)
        return lb_fail(err, LB_EFORMAT, "%s: 'prompts' is missing, and so are those of 'traces'", where);
    if (s->kind == LB_STAGE_GRPO && s->group < 2)
        return lb_fail(err, LB_EFORMAT, "%s: 'group' is 1: an advantage compares samples of one prompt, 2 or more",
                       where);
    if (s->warmup > s->steps) s->warmup = s->steps;
    if (!writes && s->seq_tokens > s->tokens) s->seq_tokens = s->tokens;
    if (!writes && s->tokens % s->seq_tokens)
        return lb_fail(err, LB_EFORMAT, "%s: 'tokens' is %d, which is no multiple of 'seq_tokens', %d", where,
                       s->tokens, s->seq_tokens);
    return true;
}

/* ---- the whole ---- */

#define R(key, type, member, ...) {key, type, offsetof(lb_train_recipe, member), __VA_ARGS__}
static const field top_fields[] = {
    R("name", TEXT, name, 0, 0, NULL, 0),        R("about", TEXT, about, 0, 0, NULL, 0),
    R("scheme", SCHEME, scheme, 0, 0, NULL, 0),  R("seed", INT, seed, 0, 9e18, NULL, 0),
    R("compute", NAME, compute, 0, 0, lb_compute_names, 0), R("teacher", TEXT, teacher, 0, 0, NULL, 0),
    R("keep_every", INT, keep_every, 1, 1e9, NULL, 0),
    {.key = "traces", .type = APART}, {.key = "start", .type = APART}, {.key = "stages", .type = APART},
    {.key = "eval", .type = APART},   {.key = "curve", .type = APART},
};
static const field start_fields[] = {
    R("method", TEXT, method, 0, 0, NULL, 0),          {.key = "calib", .type = APART},
    R("nsamples", INT, calib_n, 1, 1 << 20, NULL, 0),  R("seqlen", INT, calib_len, 1, 1 << 24, NULL, 0),
    R("options", OBJECT, method_options, 0, 0, NULL, 0),
};
#define T(key, type, member, ...) {key, type, offsetof(lb_train_traces, member), __VA_ARGS__}
static const field trace_fields[] = {
    T("file", TEXT, file, 0, 0, NULL, 0),              T("prompts", TEXT, prompts, 0, 0, NULL, 0),
    T("nprompts", INT, n_prompt, 1, 1 << 28, NULL, 0), T("samples", INT, n_sample, 1, 4096, NULL, 0),
    T("max_new", INT, max_new, 1, 1 << 28, NULL, 0),   T("seed", INT, seed, 0, 9e18, NULL, 0),
    T("where", OBJECT, where, 0, 0, NULL, 0),
};
#define E(key, type, member, ...) {key, type, offsetof(lb_train_eval, member), __VA_ARGS__}
static const field eval_fields[] = {                   /* the last one is of curves only */
    E("tasks", TEXT, tasks, 0, 0, NULL, 0),            E("data", TEXT, data, 0, 0, NULL, 0),
    E("limit", INT, limit, 0, 1 << 20, NULL, 0),       E("samples", INT, n_sample, 1, 4096, NULL, 0),
    E("max_new", INT, max_new, 0, 1 << 28, NULL, 0),   E("seeds", SEEDS, seeds, 0, 0, NULL, 0),
    E("every", INT, every, 1, 1e9, NULL, 0),
};

static bool read_top(lb_train_recipe *r, const char *where, lb_err *err)
{
    if (!read_object(r->doc, top_fields, N(top_fields), 0, r, where, err)) return false;
    if (!r->name) return lb_fail(err, LB_EFORMAT, "%s: 'name' is missing", where);
    if (!lb_is_plain_name(r->name))
        return lb_fail(err, LB_EFORMAT, "%s: 'name' is '%.80s', which is no plain file name", where, r->name);
    return json_object_get(r->doc, "scheme") ||
           lb_fail(err, LB_EFORMAT, "%s: 'scheme' is missing, such as \"w2g128\"", where);
}

static bool read_traces(lb_train_traces *t, const json_t *o, const char *where, lb_err *err)
{
    const char *key;
    json_t *v;
    *t = (lb_train_traces){.n_prompt = 4096, .n_sample = 1, .seed = 1};
    if (!o) return true;
    if (!read_object(o, trace_fields, N(trace_fields), 0, t, where, err)) return false;
    json_object_foreach ((json_t *)t->where, key, v)
        if (!json_is_string(v))
            return lb_fail(err, LB_EFORMAT, "%s: where: '%s' is %s, wanted a string", where, key, lb_json_kind(v));
    return !(t->file && t->prompts) || lb_fail(err, LB_EFORMAT, "%s: 'file' and 'prompts' exclude each other", where);
}

/* "calib" is the name of a source, or an object like "traces": texts of its own. */
static bool read_start(lb_train_recipe *r, const json_t *o, const char *where, lb_err *err)
{
    static const field source = {"calib", TEXT, offsetof(lb_train_recipe, calib), 0, 0, NULL, 0};
    char in[WHERE];
    const json_t *calib = json_object_get(o, "calib");
    if (!o) return true;
    if (!read_object(o, start_fields, N(start_fields), 0, r, where, err)) return false;
    if (!json_is_object(calib)) return read_field(o, &source, r, where, err);
    snprintf(in, sizeof in, "%.650s: calib", where);
    r->calib = "";
    if (!read_traces(&r->calib_traces, calib, in, err)) return false;
    return r->calib_traces.prompts || lb_fail(err, LB_EFORMAT, "%s: 'prompts' is missing%s", in,
                                              r->calib_traces.file ? "; a file is named as \"calib\": FILE" : "");
}

static bool read_eval(lb_train_eval *e, const json_t *o, bool curve, const char *where, lb_err *err)
{
    const lb_bench **tasks = NULL;
    int n;
    if (!o) return true;
    *e = (lb_train_eval){.tasks = "abacus", .n_sample = 1, .seeds = {42, 43, 44}};
    if (!read_object(o, eval_fields, N(eval_fields) - !curve, 0, e, where, err)) return false;
    e->n_seed = json_object_get(o, "seeds") ? (int)json_array_size(json_object_get(o, "seeds")) : 3;
    if (curve && !e->every) return lb_fail(err, LB_EFORMAT, "%s: 'every' is missing: steps between two points", where);
    bool ok = lb_benches_of(e->tasks, &tasks, &n, err) || lb_wrap(err, "%s", where);
    free(tasks);
    return ok;
}

static bool read_parts(lb_train_recipe *r, const char *in, lb_err *err)
{
    static const char *const keys[] = {"traces", "start", "eval", "curve"};
    char where[N(keys)][WHERE];
    const json_t *o[N(keys)];
    for (size_t i = 0; i < N(keys); i++) {
        snprintf(where[i], sizeof where[i], "%.600s: %s", in, keys[i]);
        o[i] = json_object_get(r->doc, keys[i]);
    }
    return read_traces(&r->traces, o[0], where[0], err) && read_start(r, o[1], where[1], err) &&
           read_eval(&r->eval, o[2], false, where[2], err) && read_eval(&r->curve, o[3], true, where[3], err);
}

bool lb_train_recipe_parse(lb_train_recipe *r, const json_t *doc, const char *where, lb_err *err)
{
    *r = (lb_train_recipe){.doc = json_incref((json_t *)doc),
                           .about = "",
                           .seed = 42,
                           .method = "gptq",
                           .calib = "traces",
                           .calib_n = 128,
                           .calib_len = 2048,
                           .keep_every = 100};
    if (!read_top(r, where, err) || !read_parts(r, where, err)) return false;
    const json_t *list = json_object_get(doc, "stages"), *o;
    size_t i, n = json_array_size(list);
    if (!json_is_array(list) || n == 0 || n > LB_TRAIN_MAX_STAGES)
        return lb_fail(err, LB_EFORMAT, "%s: 'stages' wants an array of 1 to %d objects", where, LB_TRAIN_MAX_STAGES);
    r->n_stage = (int)n;
    json_array_foreach (list, i, o) {
        if (!read_stage(r, o, (int)i, where, err)) return false;
        bool reads = !(WRITES >> r->stages[i].kind & 1);
        if (reads && !r->traces.file && !r->traces.prompts)
            return lb_fail(err, LB_EFORMAT,
                           "%s: stages[%zu] learns from traces, but 'traces' names neither 'file' nor 'prompts'", where,
                           i);
    }
    return true;
}

bool lb_train_recipe_load(lb_train_recipe *r, const char *path, lb_err *err)
{
    *r = (lb_train_recipe){0};
    json_t *doc = lb_json_load(path, err);
    bool ok = doc && lb_train_recipe_parse(r, doc, path, err);
    json_decref(doc);
    return ok;
}

void lb_train_recipe_free(lb_train_recipe *r)
{
    json_decref(r->doc);
    *r = (lb_train_recipe){0};
}

/* ---- differences ---- */

static void show(const json_t *v, char *out, size_t size)
{
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
    snprintf(out, size, "%.60s", text ? text : "absent");
    free(text);
}

static bool differs(const json_t *a, const json_t *b, const char *at, char out[256])
{
    if (json_is_object(a) && json_is_object(b)) {
        for (int turn = 0; turn < 2; turn++) {
            const char *key;
            json_t *v;
            json_object_foreach (turn ? (json_t *)b : (json_t *)a, key, v) {
                char path[128];
                snprintf(path, sizeof path, "%.60s%s%.60s", at, *at ? "." : "", key);
                if (differs(json_object_get(a, key), json_object_get(b, key), path, out)) return true;
            }
        }
        return false;
    }
    if (json_is_array(a) && json_is_array(b) && json_array_size(a) == json_array_size(b)) {
        for (size_t i = 0; i < json_array_size(a); i++) {
            char path[128];
            snprintf(path, sizeof path, "%.100s[%zu]", at, i);
            if (differs(json_array_get(a, i), json_array_get(b, i), path, out)) return true;
        }
        return false;
    }
    if (a && b && json_equal((json_t *)a, (json_t *)b)) return false;
    char now[64], then[64];
    show(a, now, sizeof now);
    show(b, then, sizeof then);
    snprintf(out, 256, "%.120s: %s, was %s", at, now, then);
    return true;
}

bool lb_train_recipe_differs(const json_t *now, const json_t *then, char out[256])
{
    return differs(now, then, "", out);
}
