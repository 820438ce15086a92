/* config.c – fuzz target: one JSON document as config.json and as generation_config.json. */
#include "model/config.h"
#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* What the rest of lowbit relies on. */
static void check(const lb_config *c)
{
    static float inv_freq[2048];
    if (!c->arch || c->d_model < 1 || c->n_layer < 1 || c->d_ff < 1 || c->n_vocab < 1 || c->n_ctx < 1) abort();
    if (c->n_kv < 1 || c->n_head % c->n_kv != 0 || c->d_head < 2 || c->d_head % 2 != 0 || c->d_head > 4096) abort();
    if (!(c->norm_eps >= 0 && c->norm_eps <= 1) || lb_config_ctx(c) < c->n_ctx) abort();
    if (c->n_expert && (c->n_expert_used < 1 || c->n_expert_used > c->n_expert || c->d_expert < 1)) abort();
    if ((c->n_expert > 0) != (c->dense_layer != NULL)) abort();
    lb_config_is_moe_layer(c, 0);
    lb_config_is_moe_layer(c, c->n_layer - 1);
    lb_rope_inv_freq(&c->rope, c->d_head, inv_freq);
    for (int i = 0; i < c->d_head / 2; i++)
        if (!isfinite(inv_freq[i]) || inv_freq[i] < 0) abort();
}

static void check_gen(const lb_gen_config *g, int n_vocab)
{
    if (!(g->temperature >= 0) || !(g->top_p >= 0 && g->top_p <= 1) || !(g->min_p >= 0 && g->min_p <= 1)) abort();
    if (!(g->repetition_penalty > 0) || g->top_k < 0 || g->bos < -1 || g->bos >= n_vocab) abort();
    if (g->n_eos < 0 || g->n_eos > 16) abort();
    for (int i = 0; i < g->n_eos; i++)
        if (g->eos[i] < 0 || g->eos[i] >= n_vocab) abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    lb_err e = {0};
    lb_config c;
    json_t *o = lb_json_parse((const char *)data, size, "fuzz", &e);
    if (!o && (e.code == LB_OK || !e.msg[0])) abort();
    if (!o) return 0;
    if (lb_config_parse(&c, o, "fuzz", &e)) check(&c);
    else if (e.code == LB_OK || !e.msg[0] || c.dense_layer) abort();
    lb_config_free(&c);
    lb_gen_config g = lb_gen_config_default();
    lb_err e2 = {0};
    if (lb_gen_config_parse(&g, o, 1000, "fuzz", &e2)) check_gen(&g, 1000);
    else if (e2.code == LB_OK || !e2.msg[0]) abort();
    json_decref(o);
    return 0;
}
#include "fuzz/replay.inc"
