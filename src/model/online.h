/* model/online.h – what a quantized model does while it runs, beside reading its weights: transforms of activations,
 * activation quantizers, the format of its KV cache.
 *
 * config.json says it in a top-level object,
 *
 *     "lowbit": {"version": 1,
 *                "activations": {"kind": "int", "bits": 4, "clip": 0.9},
 *                "transforms": {"qkv": "kron", "o": "kron", "down": "hadamard", "q_rope": "hadamard", …},
 *                "kv_cache": "kv4-kvquant-prebias"}
 *
 * and the numbers stand beside the weights, per layer i and site s (all F32):
 *
 *     <layers>.i.lowbit.s.scale [k]      <layers>.i.lowbit.s.a [na,na]     <layers>.i.lowbit.s.b [nb,nb]
 *     <layers>.i.lowbit.s.clip [2]       lo and hi factor of the activation quantizer, where they were learned
 *     <layers>.i.lowbit.k_range [2, n_kv·d_head]   lowest and highest key of a channel, for static key ranges
 *
 * A site is where several linear layers read the same rows. */
#ifndef LB_MODEL_ONLINE_H
#define LB_MODEL_ONLINE_H
#include "base/json.h"
#include "kern/matmul.h"
#include "kern/transform.h"

typedef enum lb_site {
    LB_SITE_QKV, LB_SITE_O, LB_SITE_MLP, LB_SITE_DOWN,       /* inputs of linear layers */
    LB_SITE_Q_ROPE, LB_SITE_K_ROPE,                          /* heads of queries and keys, after RoPE */
    LB_N_SITE
} lb_site;
enum { LB_N_INPUT_SITE = LB_SITE_Q_ROPE };

typedef struct lb_online {
    lb_transform_kind transform[LB_N_SITE];
    lb_act_quant act;                /* of every quantized linear inside the blocks; learned clips replace its own */
    char kv[40];                     /* name of the KV cache format; "" for the default */
} lb_online;

const char *lb_site_name(lb_site s);
/* "layers.3.lowbit.qkv.scale": the tensor of a part of a site; part may be NULL (then `site` is e.g. "k_range"). */
void lb_online_tensor(char *out, size_t size, const char *layers, int layer, const char *site, const char *part);
/* Reads the "lowbit" object of a parsed config.json; all zero if there is none. */
bool lb_online_parse(lb_online *o, const json_t *config, const char *where, lb_err *err);
/* The object for writing, or NULL (and no error) if there is nothing to say. */
json_t *lb_online_json(const lb_online *o);
#endif
