/* quant/quantize.c – folder to folder: plan, blocks one after the other, assembly. */
#include "quant/quantize.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "quant/assemble.h"
#include "quant/layer.h"
#include "quant/run.h"
#include "quant/workdir.h"
#include <stdlib.h>
#include <string.h>

bool lb_quantize_plan(const char *model_dir, const lb_quantize_opt *o,
                      bool (*fn)(void *, const char *, int, int, const lb_scheme *), void *arg, lb_err *err)
{
    lb_config c;
    lb_plan x = {0};
    bool ok = lb_config_load(&c, model_dir, err) && lb_plan_make(&x, &c, o, o->kv || o->scheme.kv_bits < 16, err);
    for (size_t i = 0; ok && i < x.n && fn(arg, x.p[i].name, x.p[i].n, x.p[i].k, &x.p[i].scheme); i++) {}
    lb_plan_free(&x);
    lb_config_free(&c);
    return ok;
}

/* ---- memory ---- */

static bool keeps_target(const lb_quantize_opt *o) { return o->chain.needs & LB_NEEDS_TARGET; }

bool lb_quant_needs_float(const lb_quantize_opt *o) { return o->chain.needs & (LB_NEEDS_FLOAT | LB_NEEDS_TARGET); }
bool lb_quant_needs_stream(const lb_quantize_opt *o)
{
    return o->chain.needs & (LB_NEEDS_HESSIAN | LB_NEEDS_STREAM) || lb_quant_calibrates_kv(o);
}
static bool needs_calib(const lb_quantize_opt *o) { return lb_quant_needs_float(o) || lb_quant_needs_stream(o); }

static void memory_plan(const lb_config *c, const lb_quantize_opt *o, lb_quantize_memory *out)
{
    *out = (lb_quantize_memory){0};
    double d = c->d_model, q = (double)c->n_head * c->d_head, kv = (double)c->n_kv * c->d_head, ff = c->d_ff;
    double attn = d * (2 * q + 2 * kv), mlp = 3 * d * ff, largest = d * ff > d * q ? d * ff : d * q;
    double moments = 0, k = ff > q ? ff : q;
    if (c->n_expert) {
        mlp = 3 * d * c->d_expert * c->n_expert;
        moments = c->n_expert * (d * d + (double)c->d_expert * c->d_expert) * 4;
    }
    /* float weights, their packed form (at most half of them), one layer's codes and latent weights, and for GPTQ the
     * moment with its two factors in double */
    out->block = (attn + mlp) * 6 + largest * 5;
    if (o->chain.needs & LB_NEEDS_HESSIAN) out->block += moments + (k > d ? k * k : d * d) * 20;
    if (needs_calib(o) && o->n_seq > 0) {
        double stream = (double)lb_calib_stream_bytes(c, o->n_seq, o->seqlen);
        if (lb_quant_needs_float(o)) out->streams += stream * (keeps_target(o) ? 2 : 1);
        if (lb_quant_needs_stream(o)) out->streams += stream;
        if (o->chain.needs & LB_NEEDS_HESSIAN) out->streams += (double)lb_calib_wide_bytes(c, o->n_seq, o->seqlen);
        out->pass = (double)lb_calib_bytes(c, o->seqlen);
    }
    const lb_method *last = o->chain.solver;
    for (int i = 0; i < o->chain.n_transform && needs_calib(o) && o->n_seq > 0; i++)
        if (o->chain.transform[i]->bytes) out->block += (double)o->chain.transform[i]->bytes(c, o);
    if (last->bytes && o->n_seq > 0) out->block += (double)last->bytes(c, o);
    if (last->solve_block && o->save_latent) out->block += (attn + mlp) * 4;
    if (o->chain.n_transform) out->block += 2.0 * c->n_vocab * d * 4; /* an embedding and a head that are rewritten */
    out->total = out->streams + out->pass + out->block;
    out->available = (double)lb_mem_available();
}

bool lb_quantize_memory_plan(const char *model_dir, const lb_quantize_opt *o, lb_quantize_memory *out, lb_err *err)
{
    lb_config c;
    bool ok = lb_config_load(&c, model_dir, err);
    if (ok) memory_plan(&c, o, out);
    lb_config_free(&c);
    return ok;
}

static bool check_memory(const lb_config *c, const lb_quantize_opt *o, lb_err *err)
{
    lb_quantize_memory m;
    memory_plan(c, o, &m);
    if (m.available <= 0 || m.total <= m.available) return true;
    return lb_fail(err, LB_ENOMEM,
                   "the run needs %.1f GB (%.1f GB hidden states of %d x %d tokens, %.1f GB one pass, %.1f GB one block); "
                   "%.1f GB are free: take fewer or shorter calibration sequences",
                   m.total / 1e9, m.streams / 1e9, o->n_seq, o->seqlen, m.pass / 1e9, m.block / 1e9, m.available / 1e9);
}

/* ---- the run ---- */

static bool refuse_quantized(const char *dir, lb_err *err)
{
    char *path = lb_path_join(dir, "config.json", err);
    json_t *o = path ? lb_json_load(path, err) : NULL;
    bool ok = o != NULL;
    if (json_is_object(json_object_get(o, "quantization_config")) || json_is_object(json_object_get(o, "lowbit")))
        ok = lb_fail(err, LB_EUNSUPPORTED, "%s: the model is quantized already; start from the 16-bit one", dir);
    json_decref(o);
    free(path);
    return ok;
}

static bool check_calib(const lb_quantize_opt *o, const lb_config *c, lb_err *err)
{
    if (!needs_calib(o)) return true;
    if (!o->calib || o->n_seq < 1 || o->seqlen < 1)
        return lb_fail(err, LB_EUSAGE, "%s needs calibration data: --calib TRACES.jsonl, TEXT.txt or a task",
                       o->chain.needs ? "the method" : "the KV cache format");
    if (o->seqlen > lb_config_ctx(c))
        return lb_fail(err, LB_EUSAGE, "calibration sequences of %d tokens; the model's context is %d", o->seqlen,
                       lb_config_ctx(c));
    for (size_t i = 0; i < (size_t)o->n_seq * (size_t)o->seqlen; i++)
        if (o->calib[i] < 0 || o->calib[i] >= c->n_vocab)
            return lb_fail(err, LB_EUSAGE, "calibration token %zu is %d; the model's vocabulary has %d", i, o->calib[i],
                           c->n_vocab);
    return true;
}

static bool check_methods(lb_quant_run *r, lb_err *err)
{
    const lb_chain *c = &r->o->chain;
    for (int i = 0; i < c->n_transform; i++)
        if (c->transform[i]->check && !c->transform[i]->check(r, err)) return lb_wrap(err, "%s", c->transform[i]->name);
    return !c->solver->check || c->solver->check(r, err) || lb_wrap(err, "%s", c->solver->name);
}

/* Methods that fit weights to grids of whole zero points say so. */
static bool check_halves(const lb_quant_run *r, const lb_plan_module *m, lb_err *err)
{
    const lb_chain *c = &r->o->chain;
    const lb_method *bad = c->solver->halves ? NULL : c->solver;
    for (int i = 0; i < c->n_transform && !bad; i++) bad = c->transform[i]->halves ? NULL : c->transform[i];
    return !bad || lb_fail(err, LB_EUNSUPPORTED,
                           "%s: method %s knows no balanced grid (h in the scheme); rtn and gptq do, smoothquant and "
                           "quarot go with it", m->name, bad->name);
}

/* What the whole run would end in is refused before it begins: a format that the solver does not give. */
static bool check_formats(const lb_quant_run *r, lb_err *err)
{
    const lb_method *s = r->o->chain.solver;
    for (size_t i = 0; i < r->plan.n; i++) {
        const lb_plan_module *m = &r->plan.p[i];
        if (m->scheme.half && !check_halves(r, m, err)) return false;
        if (m->scheme.w_bits == 16 || m->scheme.format == LB_W_INT) continue;
        if (m->layer < 0) return lb_fail(err, LB_EUNSUPPORTED, "%s: the head takes integer formats only", m->name);
        if (!s->solve_fp4)
            return lb_fail(err, LB_EUNSUPPORTED, "%s: method %s gives integer codes; FP4 is for rtn and gptq", m->name,
                           s->name);
    }
    return true;
}

/* A rule is about weights: activations and the cache are quantized as the scheme says, everywhere. */
static bool check_rules(const lb_quantize_opt *o, lb_err *err)
{
    for (int i = 0; i < o->n_rule; i++) {
        const lb_scheme *s = &o->rules[i].scheme;
        if ((s->a_bits < 16 && s->a_bits != o->scheme.a_bits) || (s->kv_bits < 16 && s->kv_bits != o->scheme.kv_bits))
            return lb_fail(err, LB_EUSAGE, "--tensor '%s': a rule says how weights are stored; activations and the KV "
                           "cache are as in the scheme of the whole model", o->rules[i].pattern);
    }
    return true;
}

/* Whether the output will open, as far as its config says. */
static bool check_online(const lb_quant_run *r, lb_err *err)
{
    lb_online again;
    lb_kv_spec kv = {0};
    json_t *o = lb_online_json(&r->online), *config = o ? json_pack("{s:o}", "lowbit", o) : json_object();
    bool ok = config || lb_fail_mem(err, 0, "the config");
    ok = ok && lb_online_parse(&again, config, "the output", err) &&
         (!again.kv[0] || lb_kv_spec_parse(again.kv, &kv, err));
    json_decref(config);
    bool turned = r->online.transform[LB_SITE_Q_ROPE] || r->online.transform[LB_SITE_K_ROPE];
    if (ok && turned && (kv.hadamard || kv.pre_rope))
        return lb_fail(err, LB_EUSAGE, "the method turns queries and keys after RoPE by itself, which does not go with KV "
                       "cache format %s: take kv%d", again.kv, kv.bits);
    return ok;
}

static bool open_streams(lb_quant_run *r, lb_err *err)
{
    const lb_quantize_opt *o = r->o;
    if (!needs_calib(o)) return true;
    size_t x = lb_calib_stream_bytes(r->cfg, o->n_seq, o->seqlen), w = lb_calib_wide_bytes(r->cfg, o->n_seq, o->seqlen);
    r->n_row = (size_t)o->n_seq * (size_t)o->seqlen;
    lb_kv_spec kv = {0};
    if (r->online.kv[0] && !lb_kv_spec_parse(r->online.kv, &kv, err)) return false;
    if (!lb_calib_open(&r->calib, r->m, &kv, o->calib, o->n_seq, o->seqlen, err)) return false;
    if (lb_quant_needs_float(o) && (!(r->x_float = lb_alloc(x, 1, "the float stream", err)) ||
                                    !lb_calib_embed(&r->calib, r->x_float, err)))
        return false;
    if (keeps_target(o) && !(r->y_float = lb_alloc(x, 1, "the float stream", err))) return false;
    if (lb_quant_needs_stream(o) && !(r->x = lb_alloc(x, 1, "the hidden states", err))) return false;
    if (o->chain.needs & LB_NEEDS_HESSIAN && !(r->wide = lb_alloc(w, 1, "the hidden states", err))) return false;
    return true;
}

/* Rewrites embedding, head and final norm where a method does that; the float stream has its own embedding by then. The
 * values are rounded to the type they are stored in before anything is computed with them. */
static bool transform_model(lb_quant_run *r, lb_err *err)
{
    const lb_chain *c = &r->o->chain;
    for (int i = 0; i < c->n_transform; i++)
        if (c->transform[i]->model && !c->transform[i]->model(r, err)) return lb_wrap(err, "%s", c->transform[i]->name);
    if (r->embed) {
        lb_dtype t = lb_quant_embed_type(r);
        size_t n = (size_t)r->cfg->n_vocab * (size_t)r->cfg->d_model;
        for (size_t i = 0; i < n; i++) {
            uint32_t bits;
            lb_store_f32(&bits, t, 0, r->embed[i]);
            r->embed[i] = lb_load_f32(&bits, t, 0);
        }
        r->m->embed = (lb_mat){.num = lb_num_of_dtype(LB_F32), .n = r->cfg->n_vocab, .k = r->cfg->d_model,
                               .data = r->embed};
    }
    return !r->x || lb_calib_embed(&r->calib, r->x, err);
}

static bool blocks(lb_quant_run *r, lb_workdir *w, lb_quantize_report *rep, lb_err *err)
{
    for (int i = 0; i < r->cfg->n_layer; i++) {
        if (r->o->stop && *r->o->stop)
            return lb_fail(err, LB_ESTOPPED, "stopped before layer %d of %d", i, r->cfg->n_layer);
        bool there = lb_workdir_has(w, i);
        if (!(there ? lb_layer_replay(r, w, i, err) : lb_layer_solve(r, w, i, err))) return lb_wrap(err, "layer %d", i);
        rep->n_reused += there;
    }
    return lb_workdir_has(w, r->cfg->n_layer) || lb_head_solve(r, w, err);
}

static void close_run(lb_quant_run *r)
{
    lb_calib_close(&r->calib);
    free(r->x_float);
    free(r->y_float);
    free(r->x);
    free(r->wide);
    free(r->embed);
    free(r->head);
    free(r->final_norm);
    lb_plan_free(&r->plan);
    lb_model_close(r->m);
}

bool lb_quantize(const char *model_dir, const char *out_dir, const lb_quantize_opt *o, lb_exec *ex,
                 lb_quantize_report *rep, lb_err *err)
{
    memset(rep, 0, sizeof *rep);
    if (lb_same_file(model_dir, out_dir)) return lb_fail(err, LB_EUSAGE, "the output %s is the input", out_dir);
    lb_quant_run r = {.o = o, .ex = ex};
    lb_workdir w = {.fd = -1};
    lb_outdir d = {0};
    lb_config c = {0};
    bool began = false;
    bool ok = lb_config_load(&c, model_dir, err) && refuse_quantized(model_dir, err) && check_calib(o, &c, err) &&
              check_memory(&c, o, err) && (r.m = lb_model_open(model_dir, ex, err)) != NULL;
    if (ok) r.cfg = &r.m->cfg;
    bool nothing = o->kv || o->scheme.kv_bits < 16 || o->chain.n_transform;
    ok = ok && lb_plan_make(&r.plan, r.cfg, o, nothing, err) &&
         lb_plan_find(&r.plan, r.m->store, r.cfg, o->chain.n_transform > 0, err) && lb_quant_online(&r, err) &&
         check_methods(&r, err) && check_formats(&r, err) && check_rules(o, err) && check_online(&r, err) &&
         lb_outdir_open(&d, out_dir, err) && (began = lb_workdir_open(&w, out_dir, &r, err)) &&
         open_streams(&r, err) && transform_model(&r, err) && blocks(&r, &w, rep, err) &&
         lb_assemble(&r, &w, model_dir, d.tmp, rep, err) && lb_outdir_commit(&d, err);
    if (!ok) lb_outdir_abort(&d);
    /* Finished layers are kept for the next run where they cost more than reading the model. */
    if (began) lb_workdir_close(&w, ok || !needs_calib(o));
    close_run(&r);
    lb_config_free(&c);
    return ok;
}
