/* model/config.c – config.json and generation_config.json. */
#include "model/config.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_DIM = 1 << 20, MAX_LAYER = 4096, MAX_VOCAB = 1 << 24, MAX_CTX = 1 << 28, MAX_EXPERT = 4096, MAX_HEAD = 4096 };

static bool get_dim(const json_t *o, const char *key, int max, int *out, const char *where, lb_err *err)
{
    int64_t v;
    if (!lb_json_get_int(o, key, 1, max, &v, where, err)) return false;
    *out = (int)v;
    return true;
}

static bool opt_dim(const json_t *o, const char *key, int min, int max, int *out, const char *where, lb_err *err)
{
    int64_t v = *out;
    if (!lb_json_opt_int(o, key, min, max, &v, where, err)) return false;
    *out = (int)v;
    return true;
}

static bool is_on(const json_t *v)
{
    if (!v || json_is_null(v) || json_is_false(v)) return false;
    return !(json_is_number(v) && json_number_value(v) == 0);
}

/* An optional array; true if it is absent or null (json_array_foreach takes both), LB_EFORMAT if it is something else. */
static bool opt_array(const json_t *o, const char *key, const json_t **out, const char *where, lb_err *err)
{
    *out = json_object_get(o, key);
    return !*out || json_is_null(*out) || json_is_array(*out) ||
           lb_fail(err, LB_EFORMAT, "%s: '%s' is %s, wanted an array", where, key, lb_json_kind(*out));
}

static bool refuse_window(const lb_config *c, const json_t *o, const char *where, lb_err *err)
{
    const json_t *types, *t;
    size_t i;
    if (!opt_array(o, "layer_types", &types, where, err)) return false;
    json_array_foreach (types, i, t) {
        if (!json_is_string(t) || strcmp(json_string_value(t), "full_attention") != 0)
            return lb_fail(err, LB_EUNSUPPORTED, "%s: layer %zu asks for %s; lowbit does full attention only", where, i,
                           json_is_string(t) ? json_string_value(t) : lb_json_kind(t));
    }
    bool window = is_on(json_object_get(o, "sliding_window"));
    if (c->arch->flags & LB_ARCH_WINDOW_SWITCH) window = window && is_on(json_object_get(o, "use_sliding_window"));
    return !window ||
           lb_fail(err, LB_EUNSUPPORTED, "%s: sliding_window is in use; lowbit does full attention only", where);
}

static bool parse_experts(lb_config *c, const json_t *o, const char *where, lb_err *err)
{
    int step = 1;
    if (!get_dim(o, "num_experts", MAX_EXPERT, &c->n_expert, where, err) ||
        !get_dim(o, "num_experts_per_tok", c->n_expert, &c->n_expert_used, where, err) ||
        !get_dim(o, "moe_intermediate_size", MAX_DIM, &c->d_expert, where, err) ||
        !lb_json_opt_bool(o, "norm_topk_prob", &c->norm_topk, where, err) ||
        !opt_dim(o, "decoder_sparse_step", 1, MAX_LAYER, &step, where, err))
        return false;
    c->dense_layer = lb_alloc((size_t)c->n_layer, sizeof *c->dense_layer, "the config", err);
    if (!c->dense_layer) return false;
    for (int i = 0; i < c->n_layer; i++) c->dense_layer[i] = (i + 1) % step != 0;
    const json_t *only, *v;
    size_t i;
    if (!opt_array(o, "mlp_only_layers", &only, where, err)) return false;
    json_array_foreach (only, i, v) {
        json_int_t layer = json_is_integer(v) ? json_integer_value(v) : -1;
        if (layer < 0 || layer >= c->n_layer)
            return lb_fail(err, LB_EFORMAT, "%s: mlp_only_layers[%zu] is not a layer of 0 to %d", where, i,
                           c->n_layer - 1);
        c->dense_layer[layer] = true;
    }
    return true;
}

static bool parse_dtype(lb_config *c, const json_t *o, const char *where, lb_err *err)
{
    const char *name = "bfloat16";
    if (!lb_json_opt_str(o, "torch_dtype", &name, where, err) || !lb_json_opt_str(o, "dtype", &name, where, err))
        return false;
    if (strncmp(name, "torch.", 6) == 0) name += 6;
    if (strcmp(name, "bfloat16") == 0) c->dtype = LB_BF16;
    else if (strcmp(name, "float16") == 0) c->dtype = LB_F16;
    else if (strcmp(name, "float32") == 0) c->dtype = LB_F32;
    else
        return lb_fail(err, LB_EUNSUPPORTED, "%s: dtype '%s' is not one of bfloat16, float16 and float32", where, name);
    return true;
}

static bool find_arch(lb_config *c, const json_t *o, const char *where, lb_err *err)
{
    const char *type;
    if (!lb_json_get_str(o, "model_type", &type, where, err)) return false;
    c->arch = lb_arch_find(type);
    if (c->arch) return true;
    lb_buf names = {0};
    for (int i = 0; lb_archs[i]; i++) lb_buf_fmt(&names, "%s%s", i ? ", " : "", lb_archs[i]->name);
    lb_fail(err, LB_EUNSUPPORTED, "%s: model_type '%s' is not known; lowbit does %s", where, type, lb_buf_cstr(&names));
    lb_buf_free(&names);
    return false;
}

bool lb_config_parse(lb_config *c, const json_t *o, const char *where, lb_err *err)
{
    memset(c, 0, sizeof *c);
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(o));
    if (!find_arch(c, o, where, err)) return false;
    const char *act = "silu";
    double eps = 1e-6;
    bool attention_bias = false;
    if (!get_dim(o, "hidden_size", MAX_DIM, &c->d_model, where, err) ||
        !get_dim(o, "num_hidden_layers", MAX_LAYER, &c->n_layer, where, err) ||
        !get_dim(o, "num_attention_heads", MAX_DIM, &c->n_head, where, err) ||
        !get_dim(o, "intermediate_size", MAX_DIM, &c->d_ff, where, err) ||
        !get_dim(o, "vocab_size", MAX_VOCAB, &c->n_vocab, where, err) ||
        !get_dim(o, "max_position_embeddings", MAX_CTX, &c->n_ctx, where, err) ||
        !lb_json_opt_real(o, "rms_norm_eps", 0, 1, &eps, where, err) ||
        !lb_json_opt_bool(o, "tie_word_embeddings", &c->tied, where, err) ||
        !lb_json_opt_str(o, "hidden_act", &act, where, err))
        goto fail;
    c->norm_eps = (float)eps;
    c->n_kv = c->n_head;
    if (!opt_dim(o, "num_key_value_heads", 1, c->n_head, &c->n_kv, where, err)) goto fail;
    if (c->n_head % c->n_kv != 0) {
        lb_fail(err, LB_EFORMAT, "%s: %d attention heads do not divide among %d key-value heads", where, c->n_head,
                c->n_kv);
        goto fail;
    }
    c->d_head = c->d_model / c->n_head;
    if (!opt_dim(o, "head_dim", 1, MAX_HEAD, &c->d_head, where, err)) goto fail;
    if (c->d_head < 2 || c->d_head % 2 != 0 ||
        (!json_is_integer(json_object_get(o, "head_dim")) && c->d_model % c->n_head != 0)) {
        lb_fail(err, LB_EFORMAT, "%s: hidden_size %d and %d heads give no even head size; 'head_dim' is missing or odd",
                where, c->d_model, c->n_head);
        goto fail;
    }
    if (c->d_head > MAX_HEAD) {
        lb_fail(err, LB_EFORMAT, "%s: heads of %d are wider than %d", where, c->d_head, MAX_HEAD);
        goto fail;
    }
    if ((int64_t)c->n_head * c->d_head > MAX_DIM) {
        lb_fail(err, LB_EFORMAT, "%s: %d heads of %d are wider than %d", where, c->n_head, c->d_head, MAX_DIM);
        goto fail;
    }
    if (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0) {
        lb_fail(err, LB_EUNSUPPORTED, "%s: hidden_act '%s' is not known; lowbit does silu", where, act);
        goto fail;
    }
    if (c->arch->flags & LB_ARCH_BIAS_KEYS) {
        if (!lb_json_opt_bool(o, "attention_bias", &attention_bias, where, err) ||
            !lb_json_opt_bool(o, "mlp_bias", &c->mlp_bias, where, err))
            goto fail;
        c->qkv_bias = c->o_bias = attention_bias;
    }
    if (c->arch->flags & LB_ARCH_QKV_BIAS) c->qkv_bias = true;
    for (int i = 0; c->arch->refuse && c->arch->refuse[i]; i++) {
        if (!is_on(json_object_get(o, c->arch->refuse[i]))) continue;
        lb_fail(err, LB_EUNSUPPORTED, "%s: '%s' is set; lowbit's %s does not have it", where, c->arch->refuse[i],
                c->arch->name);
        goto fail;
    }
    if (!refuse_window(c, o, where, err) || !parse_dtype(c, o, where, err) ||
        !lb_rope_parse(&c->rope, o, c->n_ctx, where, err))
        goto fail;
    if ((c->arch->flags & LB_ARCH_MOE) && !parse_experts(c, o, where, err)) goto fail;
    return true;
fail:
    lb_config_free(c);
    return false;
}

int lb_config_ctx(const lb_config *c)
{
    double yarn = c->rope.type == LB_ROPE_YARN ? c->rope.n_ctx_original * c->rope.factor : 0;
    return yarn > c->n_ctx && yarn < MAX_CTX ? (int)yarn : c->n_ctx;
}

bool lb_config_load(lb_config *c, const char *model_dir, lb_err *err)
{
    memset(c, 0, sizeof *c);
    char *path = lb_path_join(model_dir, "config.json", err);
    json_t *o = path ? lb_json_load(path, err) : NULL;
    bool ok = o && lb_config_parse(c, o, path, err);
    json_decref(o);
    free(path);
    return ok;
}

void lb_config_free(lb_config *c)
{
    free(c->dense_layer);
    memset(c, 0, sizeof *c);
}

/* ---- generation_config.json ---- */

static bool get_eos(lb_gen_config *g, const json_t *o, int n_vocab, const char *where, lb_err *err)
{
    const json_t *e = json_object_get(o, "eos_token_id");
    if (!e || json_is_null(e)) return true;
    size_t n = json_is_array(e) ? json_array_size(e) : 1;
    if (n > sizeof g->eos / sizeof *g->eos)
        return lb_fail(err, LB_EFORMAT, "%s: eos_token_id lists %zu tokens, at most 16", where, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_is_array(e) ? json_array_get(e, i) : e;
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= n_vocab)
            return lb_fail(err, LB_EFORMAT, "%s: eos_token_id holds %s outside 0 to %d", where, lb_json_kind(v),
                           n_vocab - 1);
        g->eos[i] = (int)json_integer_value(v);
    }
    g->n_eos = (int)n;
    return true;
}

bool lb_gen_config_parse(lb_gen_config *g, const json_t *o, int n_vocab, const char *where, lb_err *err)
{
    double t = (double)g->temperature, p = (double)g->top_p, m = (double)g->min_p, r = (double)g->repetition_penalty;
    int64_t k = g->top_k, bos = g->bos;
    if (!json_is_object(o)) return lb_fail(err, LB_EFORMAT, "%s is %s, wanted an object", where, lb_json_kind(o));
    if (!lb_json_opt_bool(o, "do_sample", &g->sample, where, err) ||
        !lb_json_opt_real(o, "temperature", 0, 100, &t, where, err) ||
        !lb_json_opt_real(o, "top_p", 0, 1, &p, where, err) || !lb_json_opt_real(o, "min_p", 0, 1, &m, where, err) ||
        !lb_json_opt_real(o, "repetition_penalty", 0.01, 100, &r, where, err) ||
        !lb_json_opt_int(o, "top_k", 0, INT32_MAX, &k, where, err) || !get_eos(g, o, n_vocab, where, err))
        return false;
    if (json_is_integer(json_object_get(o, "bos_token_id")) &&
        !lb_json_opt_int(o, "bos_token_id", 0, n_vocab - 1, &bos, where, err))
        return false;
    g->temperature = (float)t, g->top_p = (float)p, g->min_p = (float)m, g->repetition_penalty = (float)r;
    g->top_k = (int)k, g->bos = (int)bos;
    return true;
}

bool lb_gen_config_load(lb_gen_config *g, const char *model_dir, const lb_config *c, lb_err *err)
{
    *g = lb_gen_config_default();
    bool ok = true;
    char *path = lb_path_join(model_dir, "config.json", err);
    json_t *o = path ? lb_json_load(path, err) : NULL;
    ok = o && get_eos(g, o, c->n_vocab, path, err);
    json_decref(o);
    free(path);
    if (!ok) return false;
    path = lb_path_join(model_dir, "generation_config.json", err);
    if (!path) return false;
    if (lb_file_exists(path)) {
        o = lb_json_load(path, err);
        ok = o && lb_gen_config_parse(g, o, c->n_vocab, path, err);
        json_decref(o);
    }
    free(path);
    return ok;
}
