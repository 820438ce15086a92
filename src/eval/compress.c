/* eval/compress.c – from names to a quantization. */
#include "eval/compress.h"
#include "base/mem.h"
#include "eval/sensitivity.h"
#include "quant/layer.h"
#include <stdlib.h>
#include <string.h>

enum { MIX_SEQ = 8, MIX_TOK = 512 };

static bool parse_rules(lb_compress *c, const lb_compress_spec *s, lb_err *err)
{
    for (int i = 0; i < s->n_tensor; i++) {
        const char *eq = strrchr(s->tensor[i], '=');
        if (!eq || eq == s->tensor[i])
            return lb_fail(err, LB_EUSAGE, "--tensor '%s' is not REGEX=SCHEME, such as 'lm_head=w8g128'", s->tensor[i]);
        size_t n = (size_t)(eq - s->tensor[i]);
        c->patterns[i] = lb_alloc(n + 1, 1, "a rule", err);
        if (!c->patterns[i]) return false;
        memcpy(c->patterns[i], s->tensor[i], n);
        c->rules[i].pattern = c->patterns[i];
        if (!lb_scheme_parse(eq + 1, &c->rules[i].scheme, err)) return lb_wrap(err, "--tensor");
        c->opt.n_rule++;
    }
    c->opt.rules = c->rules;
    return true;
}

static bool parse_clip(lb_compress *c, const char *clip, lb_err *err)
{
    if (!clip || !*clip || strcmp(clip, "default") == 0) return true;
    c->opt.clip = strcmp(clip, "mse") == 0 ? LB_CLIP_MSE : LB_CLIP_NONE;
    return c->opt.clip == LB_CLIP_MSE || strcmp(clip, "none") == 0 ||
           lb_fail(err, LB_EUSAGE, "clip '%s' is unknown; there are none and mse", clip);
}

bool lb_compress_parse(lb_compress *c, const lb_compress_spec *s, lb_err *err)
{
    *c = (lb_compress){.calib = s->calib, .target_bpw = s->target_bpw};
    if (!s->scheme) return lb_fail(err, LB_EUSAGE, "no scheme, such as w4g128");
    if (!lb_chain_parse(s->method && *s->method ? s->method : "rtn", &c->opt.chain, err) ||
        !lb_scheme_parse(s->scheme, &c->opt.scheme, err) || !parse_rules(c, s, err) || !parse_clip(c, s->clip, err))
        return false;
    for (int i = 0; i < s->n_opt; i++)
        if (!lb_options_add(&c->opt.options, &c->opt.chain, s->opt[i], err)) return false;
    c->opt.kv = s->kv && *s->kv ? s->kv : NULL;
    c->opt.act_clip = (float)s->act_clip;
    c->opt.save_latent = s->save_latent;
    c->wants_calib = c->opt.chain.needs || lb_quant_calibrates_kv(&c->opt) || s->target_bpw > 0;
    if (s->target_bpw > 0 && (c->opt.scheme.w_bits == 16 || c->opt.scheme.format != LB_W_INT))
        return lb_fail(err, LB_EUSAGE, "bits are shared out among integer schemes; '%s' is none", s->scheme);
    return true;
}

void lb_compress_free(lb_compress *c)
{
    for (int i = 0; i < LB_COMPRESS_LIST; i++) free(c->patterns[i]);
    free(c->mixed);
    free(c->mixed_patterns);
    memset(c, 0, sizeof *c);
}

static bool count_layer(void *arg, const char *module, int n, int k, const lb_scheme *s)
{
    (void)module, (void)n, (void)k;
    *(int *)arg += s->w_bits < 16;
    return true;
}

bool lb_compress_count(const lb_compress *c, const char *model_dir, int *n, lb_err *err)
{
    *n = 0;
    return lb_quantize_plan(model_dir, &c->opt, count_layer, n, err);
}

/* The rules of the budget behind the given ones. */
static bool mix(lb_compress *c, const lb_sens_result *sens, const lb_config *cfg, lb_err *err)
{
    int own = c->opt.n_rule;
    lb_tensor_rule *found;
    if (!lb_sens_rules(sens, cfg, c->target_bpw, &found, &c->mixed_patterns, NULL, err)) return false;
    c->mixed = lb_alloc((size_t)(own + sens->n), sizeof *c->mixed, "the rules", err);
    if (c->mixed) {
        if (own) memcpy(c->mixed, c->rules, (size_t)own * sizeof *c->mixed);
        memcpy(c->mixed + own, found, (size_t)sens->n * sizeof *c->mixed);
        c->opt.rules = c->mixed, c->opt.n_rule = own + sens->n;
    }
    free(found);
    return c->mixed != NULL;
}

bool lb_compress_mix(lb_compress *c, const char *model_dir, lb_exec *ex, lb_err *err)
{
    static const int bits[] = {2, 3, 4, 8};
    lb_sens_opt o = {.clip_mse = c->opt.clip == LB_CLIP_MSE, .stop = (volatile sig_atomic_t *)c->opt.stop};
    lb_sens_result sens = {0};
    lb_calib_spec some = c->calib;
    lb_target t = {0};
    char what[LB_CALIB_WHAT];
    int *ids = NULL;
    if (c->target_bpw <= 0 || c->mixed) return true;
    if (!some.source)
        return lb_fail(err, LB_EUSAGE, "a budget of bits is shared out by measuring: it needs calibration data, --calib "
                       "TRACES.jsonl, a text file or a benchmark");
    some.n_seq = some.n_seq && some.n_seq < MIX_SEQ ? some.n_seq : MIX_SEQ;
    some.n_tok = some.n_tok && some.n_tok < MIX_TOK ? some.n_tok : MIX_TOK;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        o.schemes[o.n_scheme] = c->opt.scheme;
        o.schemes[o.n_scheme++].w_bits = bits[i];
    }
    bool ok = lb_target_open(&t, model_dir, ex, err) && lb_calib_load(&t, &some, &ids, what, err) &&
              lb_sens_run(t.model, ids, some.n_seq, some.n_tok, &o, &sens, err) && mix(c, &sens, &t.model->cfg, err);
    free(ids);
    lb_sens_free(&sens);
    lb_target_close(&t);
    return ok;
}

bool lb_compress_run(lb_compress *c, const char *model_dir, const char *out_dir, lb_exec *ex, lb_quantize_report *report,
                     lb_err *err)
{
    int *ids = NULL;
    char what[LB_CALIB_WHAT];
    if (!lb_compress_mix(c, model_dir, ex, err)) return false;
    if (c->wants_calib) {
        lb_target t = {0};
        if (!c->calib.source)
            return lb_fail(err, LB_EUSAGE, "%s needs calibration data: --calib TRACES.jsonl, a text file or a benchmark",
                           c->opt.chain.needs ? "the method" : "the KV cache format");
        bool ok = lb_target_open(&t, model_dir, ex, err) && lb_calib_load(&t, &c->calib, &ids, what, err);
        lb_target_close(&t);
        if (!ok) {
            free(ids);
            return false;
        }
        c->opt.calib = ids, c->opt.calib_name = what;
        c->opt.n_seq = c->calib.n_seq > 0 ? c->calib.n_seq : 128;
        c->opt.seqlen = c->calib.n_tok > 0 ? c->calib.n_tok : 2048;
    }
    bool ok = lb_quantize(model_dir, out_dir, &c->opt, ex, report, err);
    c->opt.calib = NULL;
    free(ids);
    return ok;
}
