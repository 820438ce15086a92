/* cli/cmd_inspect.c – `lowbit inspect`: what a model folder holds. */
#include "base/file.h"
#include "cli/cmd.h"
#include "model/model.h"
#include "quant/scheme.h"
#include "store/ct_config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *rope_name(lb_rope_type t)
{
    static const char *const names[] = {"default", "linear", "llama3", "yarn"};
    return names[t];
}

enum { MAX_FORMATS = 32 };
typedef struct tally {
    char name[LB_SCHEME_TEXT];       /* "w3g128", "mxfp4", or "bf16" of what is not quantized */
    int n;                           /* linear layers that have it */
} tally;

/* What is told of a model beside its config. */
typedef struct facts {
    const lb_model *m;
    lb_ct_config *ct;                /* owned; NULL: nothing is quantized */
    json_t *record, *online;         /* owned; lowbit-quantize.json, the "lowbit" object of config.json; or NULL */
    double bytes[LB_N_DTYPE], all_bytes;
    size_t count[LB_N_DTYPE];        /* of tensors of each dtype */
    double weights, file_bits;       /* of the linear layers of the blocks */
    tally formats[MAX_FORMATS];
    int n_format;
    char head[LB_SCHEME_TEXT], kv[LB_KV_TEXT];
    double kv_bytes, kv_bytes_bf16;  /* of a position */
} facts;

/* The name of the format in its file of a module with rows of k columns, and the bits that it takes there, scales and zero
 * points counted. */
static bool format_of(const facts *f, const char *module, int k, char *out, double *bits, lb_err *err)
{
    static const char *const parts[] = {"", "_packed", "_scale", "_zero_point", "_global_scale", "_shape"};
    const lb_ct_scheme *s = NULL;
    snprintf(out, LB_SCHEME_TEXT, "?");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[512];
        snprintf(name, sizeof name, "%s.weight%s", module, parts[i]);
        const lb_tensor *t = lb_store_find(f->m->store, name);
        *bits += t ? 8 * (double)t->size_bytes : 0;
        if (t && i == 0) snprintf(out, LB_SCHEME_TEXT, "%s", lb_num_of_dtype(t->dtype)->name); /* or open had failed */
    }
    if (f->ct && !lb_ct_config_find(f->ct, module, "Linear", &s, err)) return false;
    if (s)
        lb_scheme_text(&(lb_scheme){.format = s->format == LB_CT_MXFP4   ? LB_W_MXFP4
                                              : s->format == LB_CT_NVFP4 ? LB_W_NVFP4
                                                                         : LB_W_INT,
                                    .w_bits = s->bits, .a_bits = 16, .kv_bits = 16,
                                    .group = s->group && s->group < k ? s->group : -1, .sym = s->symmetric,
                                    .half = s->format == LB_CT_HALF}, out);
    return true;
}

static bool add_linear(void *arg, const char *name, int layer, int n, int k, lb_err *err)
{
    facts *f = arg;
    char format[LB_SCHEME_TEXT];
    int i = 0;
    (void)layer;
    if (!format_of(f, name, k, format, &f->file_bits, err)) return false;
    f->weights += (double)n * (double)k;
    while (i < f->n_format && strcmp(f->formats[i].name, format) != 0) i++;
    if (i == MAX_FORMATS) return true;
    if (i == f->n_format) snprintf(f->formats[f->n_format++].name, LB_SCHEME_TEXT, "%s", format);
    f->formats[i].n++;
    return true;
}

static bool read_folder(facts *f, lb_err *err)
{
    char *path = lb_path_join(f->m->dir, "config.json", err);
    char *record = path ? lb_path_join(f->m->dir, "lowbit-quantize.json", err) : NULL;
    json_t *o = record ? lb_json_load(path, err) : NULL;
    const json_t *q = json_object_get(o, "quantization_config");
    bool ok = o != NULL;
    if (ok && q && !json_is_null(q)) ok = (f->ct = lb_ct_config_parse(q, path, err)) != NULL;
    if (ok && lb_file_exists(record)) ok = (f->record = lb_json_load(record, err)) != NULL;
    json_decref(o);
    free(path);
    free(record);
    return ok;
}

static bool gather(facts *f, const lb_model *m, lb_err *err)
{
    double ignored = 0;
    lb_kv_spec kv;
    *f = (facts){.m = m};
    for (size_t i = 0; i < lb_store_count(m->store); i++) {
        const lb_tensor *t = lb_store_at(m->store, i);
        f->bytes[t->dtype] += (double)t->size_bytes;
        f->all_bytes += (double)t->size_bytes;
        f->count[t->dtype]++;
    }
    if (!read_folder(f, err) || !lb_config_linears(&m->cfg, add_linear, f, err) || !lb_model_kv_spec(m, NULL, &kv, err))
        return false;
    snprintf(f->head, sizeof f->head, "%s", m->lm_head.w.num->name);
    if (m->lm_head.w.num->grouped &&
        !format_of(f, m->cfg.arch->names->lm_head, m->cfg.d_model, f->head, &ignored, err))
        return false;
    f->online = lb_online_json(&m->online);
    lb_kv_spec_text(&kv, f->kv);
    f->kv_bytes = lb_kv_position_bytes(&m->cfg, &kv);
    f->kv_bytes_bf16 = lb_kv_position_bytes(&m->cfg, &(lb_kv_spec){.bits = 16});
    return true;
}

static void release(facts *f)
{
    lb_ct_config_free(f->ct);
    json_decref(f->record);
    json_decref(f->online);
}

static void print_tensors(const lb_model *m)
{
    for (size_t i = 0; i < lb_store_count(m->store); i++) {
        const lb_tensor *t = lb_store_at(m->store, i);
        char shape[LB_SHAPE_TEXT];
        printf("%-60s %-8s %s\n", t->name, lb_dtype_name(t->dtype), lb_shape_text(t->shape, t->rank, shape));
    }
}

static const char *word(const json_t *o, const char *key, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : otherwise;
}

/* What the quantizer left: its chain, scheme and calibration. */
static void print_record(const json_t *record)
{
    const json_t *calib = json_object_get(record, "calibration");
    size_t rules = json_array_size(json_object_get(record, "tensors"));
    printf("made by %s, %s", word(record, "method", "?"), word(record, "scheme", "?"));
    if (rules) printf(" with %zu rule%s of its own for layers", rules, rules > 1 ? "s" : "");
    if (calib) printf(", on %s", word(calib, "source", "?"));
    printf("; %s\n", word(record, "version", "?"));
}

static void print_text(const facts *f)
{
    const lb_model *m = f->m;
    const lb_config *c = &m->cfg;
    const json_t *act = json_object_get(f->online, "activations"), *turns = json_object_get(f->online, "transforms");
    const char *key;
    json_t *v;
    printf("%s: %s, %d layers, hidden %d, %d heads of %d (%d key-value), ", m->dir, c->arch->hf_class, c->n_layer,
           c->d_model, c->n_head, c->d_head, c->n_kv);
    if (c->n_expert) printf("%d experts of %d (%d used), ", c->n_expert, c->d_expert, c->n_expert_used);
    else printf("ffn %d, ", c->d_ff);
    printf("vocabulary %d%s, context %d, rope %s\n", c->n_vocab, c->tied ? " (tied)" : "", c->n_ctx,
           rope_name(c->rope.type));
    printf("weights in the blocks: %.1f M at %.3f bits each in the files, %.3f as they are executed; %zu tensors, "
           "%.1f MB:",
           f->weights / 1e6, f->weights > 0 ? f->file_bits / f->weights : 0, m->bpw, lb_store_count(m->store),
           f->all_bytes / 1e6);
    for (int t = 0; t < LB_N_DTYPE; t++)
        if (f->count[t]) printf("  %s %.1f MB in %zu", lb_dtype_name((lb_dtype)t), f->bytes[t] / 1e6, f->count[t]);
    printf("\nlinear layers: ");
    for (int i = 0; i < f->n_format; i++) printf("%s%s in %d", i ? ", " : "", f->formats[i].name, f->formats[i].n);
    printf("; lm_head: %s\nactivations: ", f->head);
    if (act) {
        double clip = json_number_value(json_object_get(act, "clip"));
        printf("%s, %d bits", word(act, "kind", "?"), (int)json_integer_value(json_object_get(act, "bits")));
        if (clip > 0) printf(", clip %g", clip);
    } else printf("16 bits");
    printf("; transforms:");
    const char *comma = " ";
    json_object_foreach ((json_t *)turns, key, v) {
        printf("%s%s %s", comma, key, json_string_value(v));
        comma = ", ";
    }
    printf("%s; KV cache: %s, %.0f bytes per token", turns ? "" : " none", f->kv, f->kv_bytes);
    if (f->kv_bytes < f->kv_bytes_bf16) printf(" (bf16: %.0f)", f->kv_bytes_bf16);
    printf("\n");
    if (f->record) print_record(f->record);
}

static json_t *borrow(json_t *v) { return v ? json_incref(v) : json_null(); }

static bool print_json(const facts *f, bool tensors, lb_err *err)
{
    const lb_model *m = f->m;
    const lb_config *c = &m->cfg;
    json_t *j = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:s, s:i, s:f, s:f, s:f, s:f, s:s, "
                          "s:s}",
                          "path", m->dir, "architecture", c->arch->hf_class, "layers", c->n_layer, "hidden", c->d_model,
                          "heads", c->n_head, "kv_heads", c->n_kv, "head_dim", c->d_head, "ffn", c->d_ff, "vocab",
                          c->n_vocab, "context", c->n_ctx, "tied", c->tied, "rope", rope_name(c->rope.type), "experts",
                          c->n_expert, "block_weights", f->weights, "bits_per_weight", m->bpw, "bits_per_weight_file",
                          f->weights > 0 ? f->file_bits / f->weights : 0, "bytes", f->all_bytes, "block_format",
                          m->layers[0].q.w.num->name, "lm_head_format", f->head);
    json_t *schemes = j ? json_object() : NULL, *list = j && tensors ? json_object() : NULL;
    for (int i = 0; schemes && i < f->n_format; i++)
        json_object_set_new(schemes, f->formats[i].name, json_integer(f->formats[i].n));
    json_object_set_new(j, "schemes", schemes);
    json_object_set_new(j, "activations", borrow(json_object_get(f->online, "activations")));
    json_object_set_new(j, "transforms", borrow(json_object_get(f->online, "transforms")));
    json_object_set_new(j, "kv_cache", json_string(f->kv));
    json_object_set_new(j, "kv_bytes_per_token", json_real(f->kv_bytes));
    json_object_set_new(j, "method", borrow(json_object_get(f->record, "method")));
    json_object_set_new(j, "scheme", borrow(json_object_get(f->record, "scheme")));
    json_object_set_new(j, "calibration", borrow(json_object_get(f->record, "calibration")));
    for (size_t i = 0; list && i < lb_store_count(m->store); i++) {
        const lb_tensor *t = lb_store_at(m->store, i);
        char shape[LB_SHAPE_TEXT];
        json_object_set_new(list, t->name,
                            json_pack("{s:s, s:s, s:I}", "dtype", lb_dtype_name(t->dtype), "shape",
                                      lb_shape_text(t->shape, t->rank, shape), "bytes", (json_int_t)t->size_bytes));
    }
    if (list) json_object_set_new(j, "tensors", list);
    return lb_cmd_print_json(j, err);
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    lb_common c = {0};
    bool done, tensors = false;
    lb_arg table[] = {
        LB_MODEL_ARG(c),
        {"tensors", 0, LB_ARG_FLAG, &tensors, "", "list every tensor", 0, 0, false},
        LB_COMMON_ARGS(c),
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_inspect, table, &c, argc, argv, &done, err)) return false;
    if (done) return true;
    if (!lb_cmd_need_model(&c, err)) return false;
    lb_exec *ex = lb_cmd_exec(&c, err);
    lb_model *m = ex ? lb_model_open(c.model, ex, err) : NULL;
    facts f = {0};
    bool ok = m && gather(&f, m, err);
    if (ok && c.json) ok = print_json(&f, tensors, err);
    else if (ok) {
        print_text(&f);
        if (tensors) print_tensors(m);
    }
    release(&f);
    lb_model_close(m);
    lb_exec_close(ex);
    return ok;
}

const lb_command lb_cmd_inspect = {"inspect", "what a model folder holds", "lowbit inspect models/abacus-5m", run};
