/* quant/outside.c – what lies outside the blocks: the head, a rewritten embedding, and what runs online. */
#include "base/mem.h"
#include "model/kv.h"
#include "quant/layer.h"
#include <stdlib.h>
#include <string.h>

bool lb_quant_calibrates_kv(const lb_quantize_opt *o)
{
    lb_kv_spec s;
    return o->kv && lb_kv_spec_parse(o->kv, &s, NULL) && s.key == LB_KV_PER_CHANNEL_STATIC;
}

bool lb_quant_online(lb_quant_run *r, lb_err *err)
{
    const lb_quantize_opt *o = r->o;
    lb_online *on = &r->online;
    lb_kv_spec kv;
    *on = (lb_online){0};
    if (o->scheme.a_bits < 16) {
        on->act.kind = o->scheme.format == LB_W_MXFP4   ? LB_ACT_MXFP4
                       : o->scheme.format == LB_W_NVFP4 ? LB_ACT_NVFP4
                                                        : LB_ACT_INT;
        on->act.bits = o->scheme.a_bits;
        on->act.clip_lo = on->act.clip_hi = o->act_clip;
    }
    if (o->kv && strlen(o->kv) >= sizeof on->kv)
        return lb_fail(err, LB_EUSAGE, "KV cache format '%.60s' is not known", o->kv);
    if (o->kv) snprintf(on->kv, sizeof on->kv, "%s", o->kv);
    else if (o->scheme.kv_bits < 16) snprintf(on->kv, sizeof on->kv, "kv%d", o->scheme.kv_bits);
    if (!on->kv[0]) return true;
    if (!lb_kv_spec_parse(on->kv, &kv, err)) return false;
    if (o->kv && o->scheme.kv_bits < 16 && kv.bits != o->scheme.kv_bits)
        return lb_fail(err, LB_EUSAGE, "the KV cache is to have %d bits by the scheme and %d bits by '%s'",
                       o->scheme.kv_bits, kv.bits, o->kv);
    return true;
}

static const lb_tensor *source(const lb_quant_run *r, const char *module)
{
    char name[600];
    snprintf(name, sizeof name, "%s.weight", module);
    return lb_store_find(r->m->store, name);
}

lb_dtype lb_quant_embed_type(const lb_quant_run *r)
{
    const lb_tensor *t = source(r, r->cfg->arch->names->embed);
    return t ? t->dtype : LB_F32;
}

/* The head's weight in floats: as a method rewrote it, or the file's. */
static float *head_weight(lb_quant_run *r, const lb_plan_module *m, lb_err *err)
{
    size_t n = (size_t)m->n * (size_t)m->k;
    float *w = lb_alloc(n, sizeof *w, m->name, err);
    if (!w) return NULL;
    if (r->head) memcpy(w, r->head, n * sizeof *w);
    else
        for (size_t i = 0; i < n; i++) w[i] = lb_load_f32(m->src->data, m->src->dtype, i);
    return w;
}

static bool solve_head(lb_quant_run *r, lb_plan_module *m, lb_parts *parts, json_t *record, lb_err *err)
{
    const lb_method *s = r->o->chain.solver;
    if (m->scheme.format != LB_W_INT)
        return lb_fail(err, LB_EUNSUPPORTED, "%s: the head takes integer formats only", m->name);
    if (s->needs || !s->solve) s = lb_method_find("rtn", err);
    lb_qmat q = lb_quant_qmat(m);
    float *w = head_weight(r, m, err);
    lb_quant_job job = {.name = m->name, .w = w, .n = m->n, .k = m->k, .scheme = m->scheme, .scale_type = m->src->dtype,
                        .clip_mse = r->o->clip == LB_CLIP_MSE, .ex = r->ex, .options = &r->o->options};
    double bytes = 0;
    bool ok = w && lb_qmat_alloc(&q, err) && s->solve(&job, &q, err) &&
              lb_parts_qmat(parts, m->name, &q, &m->ct, &bytes, err) &&
              lb_quant_record(record, m, "int", lb_qmat_hash(&q), bytes, lb_qmat_error(&q, w), err);
    if (ok && r->o->progress) lb_progress_add(r->o->progress, 1, 0);
    lb_qmat_free(&q);
    free(w);
    return ok;
}

static bool put_matrix(lb_parts *p, const char *module, lb_dtype type, int n, int k, const float *v, lb_err *err)
{
    char name[600];
    int64_t shape[2] = {n, k};
    snprintf(name, sizeof name, "%s.weight", module);
    return lb_parts_float(p, name, type, k ? 2 : 1, shape, v, err);
}

bool lb_head_solve(lb_quant_run *r, lb_workdir *w, lb_err *err)
{
    const lb_config *c = r->cfg;
    const lb_names *n = c->arch->names;
    lb_plan_module *m = lb_plan_module_of(&r->plan, n->lm_head);
    lb_parts parts = {0};
    json_t *record = json_pack("{s:[]}", "modules");
    lb_dtype type = lb_quant_embed_type(r);
    bool ok = record != NULL || lb_fail_mem(err, 0, "a record");
    ok = ok && (!r->embed || put_matrix(&parts, n->embed, type, c->n_vocab, c->d_model, r->embed, err)) &&
         (!r->final_norm || put_matrix(&parts, n->final_norm, LB_F32, c->d_model, 0, r->final_norm, err));
    if (ok && m->scheme.w_bits < 16) ok = solve_head(r, m, &parts, record, err);
    else if (ok && r->head) ok = put_matrix(&parts, n->lm_head, type, c->n_vocab, c->d_model, r->head, err);
    ok = ok && lb_workdir_put(w, c->n_layer, &parts, record, err);
    json_decref(record);
    lb_parts_free(&parts);
    return ok;
}
