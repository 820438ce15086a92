/* study/shape.c – random model folders. */
#include "study/shape.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/json.h"
#include "base/rng.h"
#include "store/safetensors.h"
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 20 };

const lb_shape lb_shapes[] = {
    {"qwen3-tiny", 2, 128, 4, 2, 32, 256, 512, true},
    {"qwen3-0.1b", 12, 768, 12, 4, 64, 2304, 32768, true},
    {"qwen3-0.6b", 28, 1024, 16, 8, 128, 3072, 151936, true},
    {"qwen3-1.7b", 28, 2048, 16, 8, 128, 6144, 151936, true},
    {"qwen3-4b", 36, 2560, 32, 8, 128, 9728, 151936, true},
    {0},
};

const lb_shape *lb_shape_find(const char *name, lb_err *err)
{
    lb_buf b = {0};
    for (const lb_shape *s = lb_shapes; s->name; s++) {
        if (strcmp(s->name, name) == 0) {
            lb_buf_free(&b);
            return s;
        }
        lb_buf_fmt(&b, "%s%s", s == lb_shapes ? "" : ", ", s->name);
    }
    lb_fail(err, LB_EUSAGE, "shape '%s' is not known; there are %s", name, lb_buf_cstr(&b));
    lb_buf_free(&b);
    return NULL;
}

typedef struct spec { char name[96]; int64_t n, k; } spec;    /* k 0: a vector of ones */

/* Every tensor of the shape, in the order of declaration. */
static spec *specs(const lb_shape *s, int *n, lb_err *err)
{
    int qd = s->n_head * s->d_head, kd = s->n_kv * s->d_head, d = s->d_model;
    const struct { const char *name; int n, k;
    } block[] = {{"input_layernorm", d, 0},          {"post_attention_layernorm", d, 0},
                 {"self_attn.q_norm", s->d_head, 0}, {"self_attn.k_norm", s->d_head, 0},
                 {"self_attn.q_proj", qd, d},        {"self_attn.k_proj", kd, d},
                 {"self_attn.v_proj", kd, d},        {"self_attn.o_proj", d, qd},
                 {"mlp.gate_proj", s->d_ff, d},      {"mlp.up_proj", s->d_ff, d},
                 {"mlp.down_proj", d, s->d_ff}};
    enum { PER = sizeof block / sizeof *block };
    spec *out = lb_alloc((size_t)(s->n_layer * PER + 3), sizeof *out, "the shape", err);
    if (!out) return NULL;
    *n = 0;
    out[*n] = (spec){"model.embed_tokens.weight", s->n_vocab, d}, ++*n;
    if (!s->tied) out[*n] = (spec){"lm_head.weight", s->n_vocab, d}, ++*n;
    out[*n] = (spec){"model.norm.weight", d, 0}, ++*n;
    for (int i = 0; i < s->n_layer; i++) {
        for (int j = 0; j < PER; j++) {
            spec *x = &out[(*n)++];
            snprintf(x->name, sizeof x->name, "model.layers.%d.%s.weight", i, block[j].name);
            x->n = block[j].n, x->k = block[j].k;
        }
    }
    return out;
}

typedef struct fill { uint16_t *out; uint64_t at; uint32_t tensor; } fill;

/* Sum of four 16-bit uniforms: variance 4/12, so σ 0.02 wants a factor of 0.02·√3. */
static void fill_some(void *arg, int begin, int end)
{
    const fill *f = arg;
    lb_rng_key key = lb_rng_key_of(1, f->tensor, 0);
    for (int i = begin; i < end; i += 2) {
        uint32_t w[4];
        lb_rng_block(key, (f->at + (uint64_t)i) / 2, w);
        for (int j = 0; j < 2 && i + j < end; j++) {
            uint32_t a = w[2 * j], b = w[2 * j + 1];
            float sum = (float)(a & 0xffff) + (float)(a >> 16) + (float)(b & 0xffff) + (float)(b >> 16);
            f->out[i + j] = lb_to_bf16((sum / 65535.0f - 2.0f) * 0.034641f);
        }
    }
}

static bool write_tensor(lb_st_writer *w, const spec *x, uint32_t number, uint16_t *chunk, lb_exec *ex, lb_err *err)
{
    uint64_t total = (uint64_t)x->n * (uint64_t)(x->k ? x->k : 1);
    for (uint64_t at = 0; at < total; at += CHUNK) {
        int n = total - at < CHUNK ? (int)(total - at) : CHUNK;
        fill f = {chunk, at, number};
        if (x->k) lb_parallel(ex, n, 4096, fill_some, &f);
        else
            for (int i = 0; i < n; i++) chunk[i] = lb_to_bf16(1);
        if (!lb_st_writer_put(w, x->name, chunk, (size_t)n * 2, err)) return false;
    }
    return true;
}

static bool write_config(const lb_shape *s, const char *dir, lb_err *err)
{
    json_t *j =
        json_pack("{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:f, s:f, s:b, s:s, s:b, s:i}",
                  "architectures", "Qwen3ForCausalLM", "model_type", "qwen3", "hidden_size", s->d_model,
                  "num_hidden_layers", s->n_layer, "num_attention_heads", s->n_head, "num_key_value_heads", s->n_kv,
                  "head_dim", s->d_head, "intermediate_size", s->d_ff, "vocab_size", s->n_vocab,
                  "max_position_embeddings", 40960, "hidden_act", "silu", "rms_norm_eps", 1e-6, "rope_theta", 1e6,
                  "tie_word_embeddings", s->tied, "torch_dtype", "bfloat16", "attention_bias", 0, "eos_token_id", 1);
    char *path = lb_path_join(dir, "config.json", err);
    bool ok = path && (j ? lb_json_save(path, j, err) : lb_fail_mem(err, 0, "the config"));
    json_decref(j);
    free(path);
    return ok;
}

bool lb_shape_write(const lb_shape *s, const char *dir, lb_exec *ex, lb_err *err)
{
    int n = 0;
    lb_outdir d;
    if (!lb_outdir_open(&d, dir, err)) return false;
    spec *x = specs(s, &n, err);
    uint16_t *chunk = lb_alloc(CHUNK, sizeof *chunk, "the weights", err);
    lb_st_writer *w = x && chunk ? lb_st_writer_open(d.tmp, 0, err) : NULL;
    bool ok = w != NULL;
    for (int i = 0; ok && i < n; i++) {
        int64_t shape[2] = {x[i].n, x[i].k};
        ok = lb_st_writer_declare(w, x[i].name, LB_BF16, x[i].k ? 2 : 1, shape, err);
    }
    ok = ok && lb_st_writer_begin(w, err);
    for (int i = 0; ok && i < n; i++) ok = write_tensor(w, &x[i], (uint32_t)i, chunk, ex, err);
    ok = ok && lb_st_writer_commit(w, err) && write_config(s, d.tmp, err) && lb_outdir_commit(&d, err);
    lb_st_writer_close(w);
    free(chunk);
    free(x);
    if (!ok) lb_outdir_abort(&d);
    return ok;
}
