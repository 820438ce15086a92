/* cli/cmd_quantize.c – `lowbit quantize`: a smaller model folder. */
#include "cli/cmd.h"
#include "quant/quantize.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_rules(const lb_list *list, lb_tensor_rule rules[LB_MAX_LIST], char store[LB_MAX_LIST][512],
                        lb_err *err)
{
    for (int i = 0; i < list->n; i++) {
        const char *eq = strrchr(list->p[i], '=');
        if (!eq || eq == list->p[i] || (size_t)(eq - list->p[i]) >= 512)
            return lb_fail(err, LB_EUSAGE, "--tensor '%s' is not REGEX=SCHEME, such as 'lm_head=w8g128'", list->p[i]);
        memcpy(store[i], list->p[i], (size_t)(eq - list->p[i]));
        store[i][eq - list->p[i]] = 0;
        rules[i].pattern = store[i];
        if (!lb_scheme_parse(eq + 1, &rules[i].scheme, err)) return lb_wrap(err, "--tensor");
    }
    return true;
}

static bool print_layer(void *arg, const char *module, int n, int k, const lb_scheme *s)
{
    (void)arg;
    char text[LB_SCHEME_TEXT];
    lb_scheme_text(s, text);
    printf("%-56s [%d,%d]  %s\n", module, n, k, text);
    return true;
}

static bool count_layer(void *arg, const char *module, int n, int k, const lb_scheme *s)
{
    (void)module, (void)n, (void)k;
    *(int *)arg += s->w_bits < 16;
    return true;
}

static void print_report(const char *out, const char *method, const char *scheme, const lb_quantize_report *r,
                         bool json)
{
    if (!json) {
        printf("%s: %d layers by %s %s, %.3f bits per weight, relative squared error %.3g; %.1f MB of tensors, was "
               "%.1f MB; read back and equal\n",
               out, r->n_linear, method, scheme, r->bits_per_weight, r->mse_rel, r->bytes_out / 1e6, r->bytes_in / 1e6);
        return;
    }
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:b, s:s}", "output", out, "method", method, "scheme",
                  scheme, "layers", r->n_linear, "bits_per_weight", r->bits_per_weight, "mse_rel", r->mse_rel,
                  "bytes_in", r->bytes_in, "bytes_out", r->bytes_out, "verified", 1, "version", lb_version());
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    if (text) puts(text);
    free(text);
    json_decref(j);
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    lb_common c = {0};
    const char *method = "rtn", *scheme = NULL, *out = NULL, *clip = "none";
    lb_list tensor = {0};
    bool done, dry = false, sym = false;
    int64_t bits = 0, group = 0;
    lb_arg table[] = {
        LB_MODEL_ARG(c),
        {"output", 'o', LB_ARG_STR, &out, "DIR", "the folder to make; must not exist", 0, 0, false},
        {"method", 0, LB_ARG_STR, &method, "NAME", "rtn (default)", 0, 0, false},
        {"scheme", 0, LB_ARG_STR, &scheme, "SCHEME", "w4a16kv16, w3g128, w2g64s, w4g-1 (whole row)", 0, 0, false},
        {"bits", 0, LB_ARG_INT, &bits, "B", "weight bits, instead of --scheme: 2, 3, 4, 8", 2, 8, false},
        {"group-size", 0, LB_ARG_INT, &group, "G",
         "columns per scale, with --bits: a multiple of 32 or -1 (default 128)", -1, 1 << 20, false},
        {"sym", 0, LB_ARG_FLAG, &sym, "", "symmetric, with --bits", 0, 0, false},
        {"clip", 0, LB_ARG_STR, &clip, "HOW", "none (default), mse: search the clipping range of each group", 0, 0,
         false},
        {"tensor", 0, LB_ARG_LIST, &tensor, "REGEX=SCHEME",
         "another scheme for some layers; first match wins; 'lm_head=w8g128'", 0, 0, false},
        {"dry-run", 0, LB_ARG_FLAG, &dry, "", "print which layer would get which scheme", 0, 0, false},
        LB_COMMON_ARGS(c),
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_quantize, table, &c, argc, argv, &done, err)) return false;
    if (done) return true;
    lb_quantize_opt o = {.clip_mse = strcmp(clip, "mse") == 0,
                         .n_rule = tensor.n,
                         .stop = (volatile const int *)&lb_cmd_stop};
    lb_tensor_rule rules[LB_MAX_LIST];
    static char patterns[LB_MAX_LIST][512];
    char text[LB_SCHEME_TEXT];
    if (!lb_cmd_need_model(&c, err)) return false;
    if (!out && !dry) return lb_fail(err, LB_EUSAGE, "no output: -o DIR names the folder to make");
    if (!o.clip_mse && strcmp(clip, "none") != 0)
        return lb_fail(err, LB_EUSAGE, "--clip=%s is unknown; there are none and mse", clip);
    if (!scheme && !bits) return lb_fail(err, LB_EUSAGE, "no scheme: --scheme w4g128, or --bits 4 --group-size 128");
    if (!bits && (sym || lb_args_given(table, "group-size")))
        return lb_fail(err, LB_EUSAGE, "--sym and --group-size go with --bits; a scheme says it in itself: w4g64s");
    if (scheme && bits) return lb_fail(err, LB_EUSAGE, "--scheme and --bits say the same thing; give one");
    if (bits) {
        char made[64];
        snprintf(made, sizeof made, "w%lldg%lld%s", (long long)bits, (long long)(group ? group : 128), sym ? "s" : "a");
        if (!lb_scheme_parse(made, &o.scheme, err)) return false;
    } else if (!lb_scheme_parse(scheme, &o.scheme, err)) {
        return false;
    }
    lb_scheme_text(&o.scheme, text);
    o.method = lb_method_find(method, err);
    if (!o.method || !parse_rules(&tensor, rules, patterns, err)) return false;
    o.rules = rules;
    if (dry) return lb_quantize_plan(c.model, &o, print_layer, NULL, err);
    int n = 0;
    lb_progress_mode mode;
    if (!lb_quantize_plan(c.model, &o, count_layer, &n, err) || !lb_cmd_progress(&c, &mode, err)) return false;
    lb_progress p;
    lb_progress_start(&p, mode, "layers", n);
    o.progress = &p;
    lb_quantize_report r;
    lb_exec *ex = lb_cmd_exec(&c, err);
    bool ok = ex && lb_quantize(c.model, out, &o, ex, &r, err);
    lb_progress_end(&p);
    if (ok) print_report(out, o.method->name, text, &r, c.json);
    lb_exec_close(ex);
    return ok;
}

const lb_command lb_cmd_quantize = {"quantize", "make a model smaller",
                                    "lowbit quantize -m models/abacus-5m --scheme w3g128 -o out/abacus-w3", run};
