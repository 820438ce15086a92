/* model/kind.c – finding a linear layer by its kind. */
#include "model/kind.h"
#include <stdio.h>

const char *lb_kind_name(lb_kind kind)
{
    static const char *const names[LB_N_KIND] = {"q", "k", "v", "o", "gate", "up", "down"};
    return names[kind];
}

static bool in_experts(const lb_config *c, int layer, lb_kind kind)
{
    return kind >= LB_KIND_GATE && lb_config_is_moe_layer(c, layer);
}

int lb_kind_count(const lb_config *c, int layer, lb_kind kind) { return in_experts(c, layer, kind) ? c->n_expert : 1; }

lb_linear *lb_kind_linear(lb_model *m, int layer, lb_kind kind, int i)
{
    lb_layer *l = &m->layers[layer];
    lb_expert *x = in_experts(&m->cfg, layer, kind) ? &l->experts[i] : NULL;
    switch (kind) {
    case LB_KIND_Q: return &l->q;
    case LB_KIND_K: return &l->k;
    case LB_KIND_V: return &l->v;
    case LB_KIND_O: return &l->o;
    case LB_KIND_GATE: return x ? &x->gate : &l->gate;
    case LB_KIND_UP: return x ? &x->up : &l->up;
    case LB_KIND_DOWN: return x ? &x->down : &l->down;
    case LB_N_KIND: break;
    }
    return NULL;
}

void lb_kind_module(const lb_config *c, int layer, lb_kind kind, int i, char out[LB_MODULE_NAME])
{
    const lb_names *w = c->arch->names;
    const char *const plain[LB_N_KIND] = {w->q, w->k, w->v, w->o, w->gate, w->up, w->down};
    const char *const expert[LB_N_KIND] = {NULL, NULL, NULL, NULL, w->expert_gate, w->expert_up, w->expert_down};
    if (in_experts(c, layer, kind))
        snprintf(out, LB_MODULE_NAME, "%s.%d.%s.%d.%s", w->layers, layer, w->experts, i, expert[kind]);
    else snprintf(out, LB_MODULE_NAME, "%s.%d.%s", w->layers, layer, plain[kind]);
}
