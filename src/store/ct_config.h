/* store/ct_config.h – which layer is quantized how: the quantization_config of compressed-tensors.
 *
 * Reads and writes the part of it that lowbit does: integer weights of 2, 3, 4 or 8 bits, by group or by channel, in
 * the pack-quantized layout, 2-bit weights with half-integer zero points in the same layout, and block floats
 * (store/ct_fp4.h), activations not quantized. Whatever else a config asks for is LB_EUNSUPPORTED by name.
 * Matching of targets and of the ignore list follows the compressed-tensors package (utils/match.py, version 0.20). */
#ifndef LB_STORE_CT_CONFIG_H
#define LB_STORE_CT_CONFIG_H
#include "base/json.h"

/* LB_CT_HALF is pack-quantized too. The package packs zero points as integers for the strategies "group" and "channel"
 * and leaves them alone, in zp_dtype, for the others; so groups with float zero points are blocks of 1 × group. */
typedef enum lb_ct_format { LB_CT_INT, LB_CT_MXFP4, LB_CT_NVFP4, LB_CT_HALF } lb_ct_format;
typedef struct lb_ct_scheme {
    int bits;                /* 2, 3, 4 or 8; 4 for block floats */
    int group;               /* columns per scale; 0: one scale a row ("channel"); of LB_CT_HALF at least the row */
    bool symmetric;          /* zero point fixed at 2^(bits−1), not stored; block floats are */
    lb_ct_format format;     /* pack-quantized, mxfp4-pack-quantized, nvfp4-pack-quantized, pack-quantized */
} lb_ct_scheme;

typedef struct lb_ct_config lb_ct_config;        /* opaque; read-only, safe to share between threads */

/* Parses the value of config.json's 'quantization_config'; `where` names the file in messages. NULL with LB_EFORMAT or
 * LB_EUNSUPPORTED. Nothing is borrowed from the JSON. */
lb_ct_config *lb_ct_config_parse(const json_t *qc, const char *where, lb_err *err);
void lb_ct_config_free(lb_ct_config *c);         /* NULL is fine */

/* The scheme of a module ("model.layers.0.mlp.up_proj") of a class ("Linear"), borrowed from c; *out is NULL if the
 * module is not quantized. An exact name goes before a regex ("re:…", matched from the start of the name), a regex
 * before a class; among regexes the first in byte order. Fails only if a regex needs too many steps. */
bool lb_ct_config_find(const lb_ct_config *c, const char *module, const char *class_name, const lb_ct_scheme **out,
                       lb_err *err);

typedef struct lb_ct_module {
    const char *name;
    lb_ct_scheme scheme;
} lb_ct_module;

/* The quantization_config of a model with these quantized modules and these linear modules left alone ("lm_head"). With
 * one scheme the target is "Linear"; with several, each group names its modules, by a regex on the last two parts of
 * the name where that says it all, else in full. NULL with LB_ENOMEM; release with json_decref. */
json_t *lb_ct_config_build(const lb_ct_module *m, size_t n, const char *const *ignore, size_t n_ignore, lb_err *err);
#endif
