/* model/model_kv.c – which KV cache a model runs with, and whether it goes with its layers. */
#include "base/mem.h"
#include "model/model.h"
#include <stdlib.h>

bool lb_model_kv_spec(const lb_model *m, const char *asked, lb_kv_spec *out, lb_err *err)
{
    if (asked && *asked) return lb_kv_spec_parse(asked, out, err);
    if (*m->online.kv) return lb_kv_spec_parse(m->online.kv, out, err) || lb_wrap(err, "%s", m->dir);
    *out = (lb_kv_spec){.bits = m->embed.num->dtype == LB_F32 ? 32 : 16};
    return true;
}

/* Whether what happens to keys on their way allows them to be stored where the spec wants them. */
static bool check_layer(const lb_layer *l, int layer, const lb_kv_spec *s, const char *name, lb_err *err)
{
    if ((s->pre_rope || s->hadamard) && (l->q_rope || l->k_rope))
        return lb_fail(err, LB_EUSAGE,
                       "layer %d turns queries and keys after RoPE by itself, which does not go with KV cache format %s; "
                       "take one without %s",
                       layer, name, s->hadamard ? "a Hadamard matrix (kv4-clip0.95)" : "keys before RoPE (kv4)");
    if (s->pre_bias && l->k.bias && l->k_norm)
        return lb_fail(err, LB_EUNSUPPORTED,
                       "layer %d normalizes its keys after their bias, so they cannot be stored before it (%s)", layer,
                       name);
    return true;
}

lb_kv *lb_model_kv_open(const lb_model *m, const lb_kv_spec *s, const lb_kv_room *room, lb_err *err)
{
    char name[LB_KV_TEXT];
    lb_kv_spec_text(s, name);
    const float **ranges = lb_alloc((size_t)m->cfg.n_layer, sizeof *ranges, "the KV cache", err);
    bool ok = ranges != NULL;
    for (int i = 0; ok && i < m->cfg.n_layer; i++) {
        const lb_layer *l = &m->layers[i];
        ok = check_layer(l, i, s, name, err);
        ranges[i] = l->k_range;
    }
    lb_kv *kv = ok ? lb_kv_open_spec(m->ex, &m->cfg, s, ranges, room, err) : NULL;
    free(ranges);
    return kv;
}
