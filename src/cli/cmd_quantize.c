/* cli/cmd_quantize.c – `lowbit quantize`. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "cli/cmd.h"
#include "eval/compress.h"
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* arg: a JSON array to add to, or NULL to print. */
static bool plan_layer(void *arg, const char *module, int n, int k, const lb_scheme *s)
{
    char text[LB_SCHEME_TEXT];
    lb_scheme_text(s, text);
    if (arg)
        return json_array_append_new(arg, json_pack("{s:s, s:i, s:i, s:s}", "name", module, "n", n, "k", k, "scheme",
                                                    text)) == 0;
    printf("%-56s [%d,%d]  %s\n", module, n, k, text);
    return true;
}

static bool print_report(const char *out, const lb_compress_spec *s, const char *scheme, const lb_quantize_report *r,
                         bool json, lb_err *err)
{
    const char *method = s->method ? s->method : "rtn";
    if (!json) {
        printf("%s: ", out);
        if (r->n_linear) printf("%d layers by %s %s", r->n_linear, method, scheme);
        else printf("weights as they were");
        if (s->target_bpw > 0) printf(" to %g bits", s->target_bpw);
        else if (s->n_tensor) printf(" and --tensor rules");
        if (s->kv) printf(", KV cache %s", s->kv);
        if (r->n_linear)
            printf(", %.3f bits per weight in the files, relative squared error %.3g", r->bits_per_weight, r->mse_rel);
        printf("; %.1f MB of tensors, was %.1f MB; read back and equal\n", r->bytes_out / 1e6, r->bytes_in / 1e6);
        return true;
    }
    json_t *j = json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:b, s:s}", "output", out, "method", method,
                          "scheme", scheme, "layers", r->n_linear, "blocks_reused", r->n_reused, "bits_per_weight",
                          r->bits_per_weight, "mse_rel", r->mse_rel, "bytes_in", r->bytes_in, "bytes_out", r->bytes_out,
                          "verified", 1, "version", lb_version());
    return lb_cmd_print_json(j, err);
}

static void print_methods(void)
{
    puts("\nmethods (chain transforms and one that gives the codes by '+', such as smoothquant+gptq), with --opt:");
    for (int i = 0; lb_methods[i]; i++) {
        const lb_method *m = lb_methods[i];
        bool named = strstr(m->about, m->paper) == NULL;
        printf("  %-12s %s%s%s%s%s\n", m->name, m->about, named ? " (" : "", named ? m->paper : "", named ? ")" : "",
               m->needs ? "; needs --calib" : "");
        for (const lb_method_option *o = lb_methods[i]->options; o && o->name; o++)
            printf("    %s=%g  %s\n", o->name, o->def, o->help);
    }
}

typedef struct unused {
    pcre2_code *re[LB_MAX_LIST];     /* rules that no layer has matched so far; owned; NULL: one has */
    pcre2_match_data *md;
    int n;
} unused;

static bool try_rules(void *arg, const char *module, int n, int k, const lb_scheme *s)
{
    unused *u = arg;
    (void)n, (void)k, (void)s;
    for (int i = 0; i < u->n; i++) {
        if (!u->re[i] || pcre2_match(u->re[i], (PCRE2_SPTR)module, PCRE2_ZERO_TERMINATED, 0, 0, u->md, NULL) < 0)
            continue;
        pcre2_code_free(u->re[i]);
        u->re[i] = NULL;
    }
    return true;
}

/* Says which of the --tensor rules match nothing: a typing error, most likely. Patterns that are no regular expressions
 * are the plan's to refuse. */
static bool remark_unused(const lb_compress *q, int n_rule, const char *model, lb_err *err)
{
    unused *u = calloc(1, sizeof *u);
    if (!u || !(u->md = pcre2_match_data_create(1, NULL))) {
        free(u);
        return lb_fail_mem(err, sizeof *u, "the rules");
    }
    for (; u->n < n_rule; u->n++) {
        int code;
        PCRE2_SIZE at;
        u->re[u->n] = pcre2_compile((PCRE2_SPTR)q->patterns[u->n], PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
    }
    bool ok = lb_quantize_plan(model, &q->opt, try_rules, u, err);
    for (int i = 0; i < u->n; i++) {
        if (ok && u->re[i]) fprintf(stderr, "--tensor '%s' matches no layer\n", q->patterns[i]);
        pcre2_code_free(u->re[i]);
    }
    pcre2_match_data_free(u->md);
    free(u);
    return ok;
}

static bool print_plan(const lb_compress *q, const char *model, bool json, lb_err *err)
{
    json_t *list = json ? json_array() : NULL;
    bool ok = lb_quantize_plan(model, &q->opt, plan_layer, list, err);
    if (!json || !ok) {
        json_decref(list);
        return ok;
    }
    json_t *j = json_pack("{s:s, s:o, s:s}", "model", model, "layers", list, "version", lb_version());
    return lb_cmd_print_json(j, err);
}

/* What the run will take, before it starts: to stderr, as progress is. */
static bool print_memory(const lb_compress *q, const char *model, bool quiet, lb_err *err)
{
    lb_quantize_memory m;
    lb_quantize_opt o = q->opt;
    if (quiet) return true;
    o.n_seq = q->wants_calib ? (q->calib.n_seq ? q->calib.n_seq : 128) : 0;
    o.seqlen = q->calib.n_tok ? q->calib.n_tok : 2048;
    if (!lb_quantize_memory_plan(model, &o, &m, err)) return false;
    fprintf(stderr, "memory: %.2f GB = %.2f hidden states + %.2f one pass + %.2f one block; %.2f GB are free\n",
            m.total / 1e9, m.streams / 1e9, m.pass / 1e9, m.block / 1e9, m.available / 1e9);
    return true;
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    lb_common c = {0};
    lb_compress_spec s = {.calib = {.data_dir = "data"}};
    const char *out = NULL;
    lb_list tensor = {0}, opt = {0};
    bool done, dry = false, sym = false;
    int64_t bits = 0, group = 0, nsamples = 128, seqlen = 2048, seed = 0;
    lb_arg table[] = {
        LB_MODEL_ARG(c),
        {"output", 'o', LB_ARG_STR, &out, "DIR", "the folder to make; must not exist", 0, 0, false},
        {"method", 0, LB_ARG_STR, &s.method, "NAME[+NAME]", "see the list below (default rtn)", 0, 0, false},
        {"scheme", 0, LB_ARG_STR, &s.scheme, "SCHEME",
         "w4, w3g128, w2g64s, w2g128h (balanced), w4g-1 (whole row), w8a8kv8, w4a4kv4, mxfp4, nvfp4a4kv4; w16 with --kv",
         0, 0, false},
        {"bits", 0, LB_ARG_INT, &bits, "B", "weight bits, instead of --scheme: 2, 3, 4, 8", 2, 8, false},
        {"group-size", 0, LB_ARG_INT, &group, "G",
         "columns per scale, with --bits: a multiple of 32 or -1 (default 128)", -1, 1 << 20, false},
        {"sym", 0, LB_ARG_FLAG, &sym, "", "symmetric, with --bits", 0, 0, false},
        {"kv", 0, LB_ARG_STR, &s.kv, "FORMAT",
         "KV cache of the output: kv8, kv4, kv3, kv2, or kv4-quarot, kv4-kvquant, kv4-kvquant-prebias, "
         "kv4-kivi, kv4-kivi-w64 … "
         "(default: the scheme's bits)",
         0, 0, false},
        {"calib", 0, LB_ARG_STR, &s.calib.source, "SOURCE",
         "calibration data: traces of `lowbit trace`, JSON lines, a text file, or benchmarks such as chain,algebra", 0, 0,
         false},
        {"nsamples", 0, LB_ARG_INT, &nsamples, "N", "calibration sequences (default 128)", 1, 1 << 20, false},
        {"seqlen", 0, LB_ARG_INT, &seqlen, "N", "tokens of each (default 2048)", 1, 1 << 20, false},
        {"calib-seed", 0, LB_ARG_INT, &seed, "N", "of their random starts (default 0)", 0, 9e15, false},
        {"data", 0, LB_ARG_STR, &s.calib.data_dir, "DIR", "folder of the benchmarks (default: data)", 0, 0, false},
        {"clip", 0, LB_ARG_STR, &s.clip, "HOW",
         "none, mse: search the clipping range of each group (default: the method's)", 0, 0, false},
        {"act-clip", 0, LB_ARG_REAL, &s.act_clip, "F", "shrink of the activations' range (default 1; quarot 0.9)", 0.1, 1,
         false},
        {"opt", 0, LB_ARG_LIST, &opt, "NAME=VALUE", "an option of a method; may be repeated", 0, 0, false},
        {"tensor", 0, LB_ARG_LIST, &tensor, "REGEX=SCHEME",
         "another scheme for some layers; first match wins; 'lm_head=w8g128'", 0, 0, false},
        {"target-bpw", 0, LB_ARG_REAL, &s.target_bpw, "X",
         "X bits per weight, scales counted, shared out by measured KL (lowbit sensitivity); the scheme says the groups; wants "
         "--calib", 1, 16, false},
        {"save-latent", 0, LB_ARG_FLAG, &s.save_latent, "",
         "keep the weights that the codes are nearest to, as latent.safetensors, for training", 0, 0, false},
        {"dry-run", 0, LB_ARG_FLAG, &dry, "", "print which layer would get which scheme; wants no -o", 0, 0, false},
        LB_COMMON_ARGS(c),
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_quantize, table, &c, argc, argv, &done, err)) return false;
    if (done) {
        print_methods();
        return true;
    }
    if (!lb_cmd_need_model(&c, err)) return false;
    if (!out && !dry) return lb_fail(err, LB_EUSAGE, "no output: -o DIR names the folder to make");
    if (!s.scheme && !bits) return lb_fail(err, LB_EUSAGE, "no scheme: --scheme w4g128, or --bits 4 --group-size 128");
    if (!bits && (sym || lb_args_given(table, "group-size")))
        return lb_fail(err, LB_EUSAGE, "--sym and --group-size go with --bits; a scheme says it in itself: w4g64s");
    if (s.scheme && bits) return lb_fail(err, LB_EUSAGE, "--scheme and --bits say the same thing; give one");
    char made[64], text[LB_SCHEME_TEXT];
    snprintf(made, sizeof made, "w%lldg%lld%s", (long long)bits, (long long)(group ? group : 128), sym ? "s" : "a");
    if (bits) s.scheme = made;
    s.calib.n_seq = (int)nsamples, s.calib.n_tok = (int)seqlen, s.calib.seed = (uint64_t)seed;
    for (int i = 0; i < tensor.n; i++) s.tensor[s.n_tensor++] = tensor.p[i];
    for (int i = 0; i < opt.n; i++) s.opt[s.n_opt++] = opt.p[i];
    lb_compress q;
    lb_progress p = {0};
    lb_progress_mode mode;
    lb_quantize_report r;
    lb_exec *ex = NULL;
    int n = 0;
    bool ok = lb_compress_parse(&q, &s, err);
    q.opt.stop = (volatile const int *)&lb_cmd_stop;
    if (ok && s.target_bpw > 0) ok = (ex = lb_cmd_exec(&c, err)) != NULL && lb_compress_mix(&q, c.model, ex, err);
    if (ok && s.n_tensor && !c.quiet) ok = remark_unused(&q, s.n_tensor, c.model, err);
    if (ok && dry) ok = print_plan(&q, c.model, c.json, err);
    if (!ok || dry) {
        lb_compress_free(&q);
        lb_exec_close(ex);
        return ok;
    }
    ok = lb_compress_count(&q, c.model, &n, err) && lb_cmd_progress(&c, &mode, err) &&
         print_memory(&q, c.model, c.quiet, err) && (ex || (ex = lb_cmd_exec(&c, err)) != NULL);
    if (ok) {
        lb_progress_start(&p, mode, "layers", n);
        q.opt.progress = &p;
        ok = lb_compress_run(&q, c.model, out, ex, &r, err);
        lb_progress_end(&p);
        if (!ok && err->code == LB_ESTOPPED) lb_fail(err, LB_ESTOPPED, "stopped; the same command continues");
    }
    if (ok) {
        lb_scheme_text(&q.opt.scheme, text);
        ok = print_report(out, &s, text, &r, c.json, err);
    }
    lb_compress_free(&q);
    lb_exec_close(ex);
    return ok;
}

const lb_command lb_cmd_quantize = {"quantize", "make a model smaller",
                                    "lowbit quantize -m models/abacus-5m --scheme w3g128 -o out/abacus-w3", run};
