/* model/online.c – reading and writing the "lowbit" object of config.json. */
#include "model/online.h"
#include <stdio.h>
#include <string.h>

static const char *const site_names[LB_N_SITE] = {"qkv", "o", "mlp", "down", "q_rope", "k_rope"};
static const char *const kind_names[] = {"none", "scale", "hadamard", "kron"};
static const char *const act_names[] = {"none", "int", "mxfp4", "nvfp4"};

const char *lb_site_name(lb_site s) { return site_names[s]; }

void lb_online_tensor(char *out, size_t size, const char *layers, int layer, const char *site, const char *part)
{
    snprintf(out, size, "%s.%d.lowbit.%s%s%s", layers, layer, site, part ? "." : "", part ? part : "");
}

/* The index of a name in a list, or −1. */
static int find(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return i;
    return -1;
}

/* What is not known here may change what the numbers mean, so it is refused. */
static bool only_keys(const json_t *o, const char *const *known, int n, const char *what, const char *where, lb_err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach ((json_t *)o, key, v)
        if (find(known, n, key) < 0)
            return lb_fail(err, LB_EUNSUPPORTED, "%s: %s.%.60s is not known to this version", where, what, key);
    return true;
}

static bool parse_act(lb_act_quant *a, const json_t *o, const char *where, lb_err *err)
{
    static const char *const known[] = {"kind", "bits", "clip"};
    const char *kind;
    int64_t bits = 4;
    double clip = 1;
    if (!o || json_is_null(o)) return true;
    if (!json_is_object(o))
        return lb_fail(err, LB_EFORMAT, "%s: lowbit.activations is %s, wanted an object", where, lb_json_kind(o));
    if (!only_keys(o, known, 3, "lowbit.activations", where, err) || !lb_json_get_str(o, "kind", &kind, where, err) ||
        !lb_json_opt_int(o, "bits", 4, 8, &bits, where, err) ||
        !lb_json_opt_real(o, "clip", (double)0.01f, 1, &clip, where, err))
        return false;
    int k = find(act_names, 4, kind);
    if (k < 0 || (bits != 4 && !(k == LB_ACT_INT && bits == 8)))
        return lb_fail(err, LB_EUNSUPPORTED, "%s: lowbit.activations asks for %lld-bit '%.40s'; lowbit does int of 4 "
                       "and 8 bits, mxfp4 and nvfp4", where, (long long)bits, kind);
    *a = (lb_act_quant){.kind = (lb_act_kind)k, .bits = k == LB_ACT_INT ? (int)bits : 4};
    if ((float)clip != 1) a->clip_lo = a->clip_hi = (float)clip;
    return lb_act_check(a, err) || lb_wrap(err, "%s: lowbit.activations", where);
}

static bool parse_transforms(lb_online *on, const json_t *o, const char *where, lb_err *err)
{
    const char *key;
    json_t *v;
    if (!o || json_is_null(o)) return true;
    if (!json_is_object(o))
        return lb_fail(err, LB_EFORMAT, "%s: lowbit.transforms is %s, wanted an object", where, lb_json_kind(o));
    json_object_foreach ((json_t *)o, key, v) {
        int s = find(site_names, LB_N_SITE, key);
        int k = json_is_string(v) ? find(kind_names, 4, json_string_value(v)) : -1;
        if (s < 0 || k < 0)
            return lb_fail(err, LB_EUNSUPPORTED, "%s: lowbit.transforms.%.60s is %.60s; lowbit knows scale, hadamard "
                           "and kron at qkv, o, mlp, down, q_rope and k_rope", where, key,
                           json_is_string(v) ? json_string_value(v) : lb_json_kind(v));
        on->transform[s] = (lb_transform_kind)k;
    }
    return true;
}

bool lb_online_parse(lb_online *on, const json_t *config, const char *where, lb_err *err)
{
    static const char *const known[] = {"version", "activations", "transforms", "kv_cache"};
    const json_t *o = json_object_get(config, "lowbit");
    const char *kv = "";
    int64_t version;
    *on = (lb_online){0};
    if (!o || json_is_null(o)) return true;
    if (!json_is_object(o))
        return lb_fail(err, LB_EFORMAT, "%s: 'lowbit' is %s, wanted an object", where, lb_json_kind(o));
    if (!only_keys(o, known, 4, "lowbit", where, err)) return false;
    if (!lb_json_get_int(o, "version", 1, 1 << 30, &version, where, err)) return false;
    if (version != 1)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: lowbit.version is %lld; this program reads version 1", where,
                       (long long)version);
    if (!lb_json_opt_str(o, "kv_cache", &kv, where, err)) return false;
    if (strlen(kv) >= sizeof on->kv)
        return lb_fail(err, LB_EFORMAT, "%s: lowbit.kv_cache '%.60s' is no KV cache format", where, kv);
    snprintf(on->kv, sizeof on->kv, "%s", kv);
    return parse_act(&on->act, json_object_get(o, "activations"), where, err) &&
           parse_transforms(on, json_object_get(o, "transforms"), where, err);
}

json_t *lb_online_json(const lb_online *on)
{
    json_t *o = json_pack("{s:i}", "version", 1), *t = json_object();
    bool any = false;
    if (on->act.kind != LB_ACT_NONE) {
        json_t *a = json_pack("{s:s, s:i}", "kind", act_names[on->act.kind], "bits", on->act.bits);
        double clip = on->act.clip_hi > 0 ? (double)on->act.clip_hi : 1;
        if (clip != 1) json_object_set_new(a, "clip", json_real(clip));
        json_object_set_new(o, "activations", a);
        any = true;
    }
    for (int s = 0; s < LB_N_SITE; s++)
        if (on->transform[s] != LB_TRANSFORM_NONE)
            json_object_set_new(t, site_names[s], json_string(kind_names[on->transform[s]]));
    if (json_object_size(t) > 0) {
        json_object_set(o, "transforms", t);
        any = true;
    }
    if (on->kv[0]) {
        json_object_set_new(o, "kv_cache", json_string(on->kv));
        any = true;
    }
    json_decref(t);
    if (any) return o;
    json_decref(o);
    return NULL;
}
