/* cli/cmd_inspect.c – `lowbit inspect`: what a model folder holds. */
#include "base/buf.h"
#include "cli/cmd.h"
#include "model/model.h"
#include "store/ct_config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *rope_name(lb_rope_type t)
{
    static const char *const names[] = {"default", "linear", "llama3", "yarn"};
    return names[t];
}

/* Bytes and elements of the tensors of each dtype. */
typedef struct usage {
    double bytes[LB_N_DTYPE], all_bytes;
    size_t count[LB_N_DTYPE];
} usage;

static usage usage_of(const lb_store *s)
{
    usage u = {0};
    for (size_t i = 0; i < lb_store_count(s); i++) {
        const lb_tensor *t = lb_store_at(s, i);
        u.bytes[t->dtype] += (double)t->size_bytes;
        u.all_bytes += (double)t->size_bytes;
        u.count[t->dtype]++;
    }
    return u;
}

static bool count_weights(void *arg, const char *name, int layer, int n, int k, lb_err *err)
{
    (void)name, (void)layer, (void)err;
    *(double *)arg += (double)n * (double)k;
    return true;
}

static void print_text(const lb_model *m, const usage *u, double weights, bool tensors)
{
    const lb_config *c = &m->cfg;
    printf("%s: %s, %d layers, hidden %d, %d heads of %d (%d key-value), ", m->dir, c->arch->hf_class, c->n_layer,
           c->d_model, c->n_head, c->d_head, c->n_kv);
    if (c->n_expert) printf("%d experts of %d (%d used), ", c->n_expert, c->d_expert, c->n_expert_used);
    else printf("ffn %d, ", c->d_ff);
    printf("vocabulary %d%s, context %d, rope %s\n", c->n_vocab, c->tied ? " (tied)" : "", c->n_ctx,
           rope_name(c->rope.type));
    printf("weights in the blocks: %.1f M at %.3f bits each; %zu tensors, %.1f MB:", weights / 1e6, m->bpw,
           lb_store_count(m->store), u->all_bytes / 1e6);
    for (int t = 0; t < LB_N_DTYPE; t++)
        if (u->count[t]) printf("  %s %.1f MB in %zu", lb_dtype_name((lb_dtype)t), u->bytes[t] / 1e6, u->count[t]);
    printf("\nblock weights: %s in layer 0's q_proj; lm_head: %s; KV cache: %.0f bytes per token at bf16\n",
           m->layers[0].q.w.num->name, m->lm_head.w.num->name,
           lb_kv_position_bytes(c, &(lb_kv_spec){.bits = 16}));
    if (!tensors) return;
    for (size_t i = 0; i < lb_store_count(m->store); i++) {
        const lb_tensor *t = lb_store_at(m->store, i);
        char shape[LB_SHAPE_TEXT];
        printf("%-60s %-8s %s\n", t->name, lb_dtype_name(t->dtype), lb_shape_text(t->shape, t->rank, shape));
    }
}

static bool print_json(const lb_model *m, const usage *u, double weights, bool tensors, lb_err *err)
{
    const lb_config *c = &m->cfg;
    json_t *j = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:s, s:i, s:f, s:f, s:f, s:s, s:s}",
                          "path", m->dir, "architecture", c->arch->hf_class, "layers", c->n_layer, "hidden", c->d_model,
                          "heads", c->n_head, "kv_heads", c->n_kv, "head_dim", c->d_head, "ffn", c->d_ff, "vocab",
                          c->n_vocab, "context", c->n_ctx, "tied", c->tied, "rope", rope_name(c->rope.type), "experts",
                          c->n_expert, "block_weights", weights, "bits_per_weight", m->bpw, "bytes", u->all_bytes,
                          "block_format", m->layers[0].q.w.num->name, "lm_head_format", m->lm_head.w.num->name);
    json_t *list = j && tensors ? json_object() : NULL;
    for (size_t i = 0; list && i < lb_store_count(m->store); i++) {
        const lb_tensor *t = lb_store_at(m->store, i);
        char shape[LB_SHAPE_TEXT];
        json_object_set_new(list, t->name,
                            json_pack("{s:s, s:s, s:I}", "dtype", lb_dtype_name(t->dtype), "shape",
                                      lb_shape_text(t->shape, t->rank, shape), "bytes", (json_int_t)t->size_bytes));
    }
    if (list) json_object_set_new(j, "tensors", list);
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    json_decref(j);
    if (!text) return lb_fail_mem(err, 0, "the report");
    puts(text);
    free(text);
    return true;
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
    bool ok = m != NULL;
    if (ok) {
        double weights = 0;
        usage u = usage_of(m->store);
        lb_config_linears(&m->cfg, count_weights, &weights, NULL);
        if (c.json) ok = print_json(m, &u, weights, tensors, err);
        else print_text(m, &u, weights, tensors);
    }
    lb_model_close(m);
    lb_exec_close(ex);
    return ok;
}

const lb_command lb_cmd_inspect = {"inspect", "what a model folder holds", "lowbit inspect models/abacus-5m", run};
