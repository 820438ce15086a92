/* cli/cmd_sensitivity.c – `lowbit sensitivity`: which layer suffers from few bits, and how to share them out. */
#include "cli/cmd.h"
#include "eval/calib_text.h"
#include "eval/sensitivity.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_schemes(const char *text, lb_sens_opt *o, lb_err *err)
{
    for (const char *p = text; *p;) {
        char one[64];
        size_t n = strcspn(p, ",");
        if (n >= sizeof one || o->n_scheme == LB_SENS_SCHEMES)
            return lb_fail(err, LB_EUSAGE,
                           "--schemes '%.80s' is not a list of at most %d schemes such as w2g128,w4g128", text,
                           LB_SENS_SCHEMES);
        memcpy(one, p, n);
        one[n] = 0;
        lb_scheme *x = &o->schemes[o->n_scheme++];
        if (!lb_scheme_parse(one, x, err)) return lb_wrap(err, "--schemes");
        if (x->a_bits < 16 || x->kv_bits < 16)
            return lb_fail(err, LB_EUSAGE,
                           "--schemes: '%s' is not one of weights alone: sensitivity is that of weights", one);
        p += n + (p[n] == ',');
    }
    return o->n_scheme > 0 || lb_fail(err, LB_EUSAGE, "--schemes is empty");
}

static const lb_sens_part *part(const lb_sens_result *r, int layer, int kind)
{
    return &r->p[layer * LB_N_KIND + kind];
}

static void print_tables(const lb_sens_result *r)
{
    for (int s = 0; s < r->n_scheme; s++) {
        char text[LB_SCHEME_TEXT];
        double of_kind[LB_N_KIND] = {0}, all = 0;
        lb_scheme_text(&r->schemes[s], text);
        printf("%s: KL in 1/1000 nat per position when one layer alone is quantized\n%-6s", text, "layer");
        for (int k = 0; k < LB_N_KIND; k++) printf(" %9s", lb_kind_name((lb_kind)k));
        printf(" %10s\n", "sum");
        for (int l = 0; l < r->n_layer; l++) {
            double sum = 0;
            printf("%-6d", l);
            for (int k = 0; k < LB_N_KIND; k++) {
                double kl = 1000 * part(r, l, k)->kl[s].mean;
                printf(" %9.4f", kl);
                of_kind[k] += kl, sum += kl;
            }
            printf(" %10.4f\n", sum);
            all += sum;
        }
        printf("%-6s", "sum");
        for (int k = 0; k < LB_N_KIND; k++) printf(" %9.4f", of_kind[k]);
        printf(" %10.4f\n\n", all);
    }
}

static json_t *to_json(const lb_sens_result *r)
{
    json_t *list = json_array();
    for (int i = 0; i < r->n; i++) {
        const lb_sens_part *p = &r->p[i];
        json_t *of = json_object();
        for (int s = 0; s < r->n_scheme; s++) {
            char text[LB_SCHEME_TEXT];
            lb_scheme_text(&r->schemes[s], text);
            json_t *se = p->kl[s].stderr_mean == p->kl[s].stderr_mean ? json_real(p->kl[s].stderr_mean) : json_null();
            json_object_set_new(of, text, json_pack("{s:f, s:o, s:I}", "kl", p->kl[s].mean, "kl_stderr", se, "bits",
                                                    (json_int_t)p->bits[s]));
        }
        json_array_append_new(list, json_pack("{s:i, s:s, s:I, s:o}", "layer", p->layer, "kind", lb_kind_name(p->kind),
                                              "weights", (json_int_t)p->n_weight, "schemes", of));
    }
    return list;
}

static void print_rules(const lb_tensor_rule *rules, int n, const lb_allocation *a)
{
    printf("%.4f bits per weight, summed KL %.4f/1000:\n", a->bpw, 1000 * a->cost);
    for (int i = 0; i < n; i++) {
        char text[LB_SCHEME_TEXT];
        lb_scheme_text(&rules[i].scheme, text);
        printf("--tensor '%s=%s'\n", rules[i].pattern, text);
    }
}

static json_t *rules_json(const lb_tensor_rule *rules, int n, const lb_allocation *a)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        char text[LB_SCHEME_TEXT];
        lb_scheme_text(&rules[i].scheme, text);
        json_array_append_new(list, json_pack("{s:s, s:s}", "pattern", rules[i].pattern, "scheme", text));
    }
    return json_pack("{s:f, s:f, s:o}", "bits_per_weight", a->bpw, "kl_sum", a->cost, "rules", list);
}

static bool report(const lb_sens_result *r, const lb_config *c, const char *what, double target, bool json, lb_err *err)
{
    lb_tensor_rule *rules = NULL;
    char(*patterns)[LB_PATTERN_TEXT] = NULL;
    lb_allocation a;
    bool ok = true;
    if (target > 0 && !lb_sens_rules(r, c, target, &rules, &patterns, &a, err)) return false;
    if (json) {
        json_t *j = json_pack("{s:o, s:s, s:I, s:s}", "parts", to_json(r), "calibration", what, "positions",
                              (json_int_t)r->n_pos, "version", lb_version());
        if (rules) json_object_set_new(j, "allocation", rules_json(rules, r->n, &a));
        ok = lb_cmd_print_json(j, err);
    } else {
        print_tables(r);
        if (rules) print_rules(rules, r->n, &a);
    }
    free(rules);
    free(patterns);
    return ok;
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    lb_common c = {0};
    const char *calib = NULL, *schemes = "w2g128,w3g128,w4g128", *data = "data", *clip = "none";
    int64_t n_seq = 8, n_tok = 512, seed = 0;
    double target = 0;
    bool done;
    lb_arg table[] = {
        LB_MODEL_ARG(c),
        {"calib", 0, LB_ARG_STR, &calib, "FILE|TASK", "traces of `lowbit trace`, JSON lines, a text, or benchmarks", 0,
         0, false},
        {"nsamples", 0, LB_ARG_INT, &n_seq, "N", "windows of it (default 8)", 1, 1 << 20, false},
        {"seqlen", 0, LB_ARG_INT, &n_tok, "N", "tokens of each (default 512)", 2, 1 << 20, false},
        {"seed", 0, LB_ARG_INT, &seed, "N", "where the windows start (default 0)", 0, 9e15, false},
        {"schemes", 0, LB_ARG_STR, &schemes, "A,B", "what to try (default w2g128,w3g128,w4g128)", 0, 0, false},
        {"clip", 0, LB_ARG_STR, &clip, "HOW", "none (default), mse: search the clipping range of each group", 0, 0,
         false},
        {"target-bpw", 0, LB_ARG_REAL, &target, "X",
         "share out X bits per weight, scales counted: prints --tensor rules for lowbit quantize", 1, 16, false},
        {"data", 0, LB_ARG_STR, &data, "DIR", "folder of the benchmarks (default: data)", 0, 0, false},
        LB_COMMON_ARGS(c),
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_sensitivity, table, &c, argc, argv, &done, err)) return false;
    if (done) return true;
    if (!lb_cmd_need_model(&c, err)) return false;
    if (!calib || !*calib)
        return lb_fail(err, LB_EUSAGE,
                       "no calibration data: --calib TRACES.jsonl (`lowbit trace` makes them), or a task");
    lb_sens_opt o = {.clip_mse = strcmp(clip, "mse") == 0, .stop = &lb_cmd_stop};
    if (!o.clip_mse && strcmp(clip, "none") != 0)
        return lb_fail(err, LB_EUSAGE, "--clip=%s is unknown; there are none and mse", clip);
    lb_progress_mode mode;
    lb_target t = {0};
    lb_exec *ex = NULL;
    int *ids = NULL;
    char what[LB_CALIB_WHAT];
    lb_calib_spec spec = {.source = calib,
                          .n_seq = (int)n_seq,
                          .n_tok = (int)n_tok,
                          .seed = (uint64_t)seed,
                          .data_dir = data};
    bool ok = parse_schemes(schemes, &o, err) && lb_cmd_progress(&c, &mode, err) &&
              (ex = lb_cmd_exec(&c, err)) != NULL && lb_target_open(&t, c.model, ex, err) &&
              lb_calib_load(&t, &spec, &ids, what, err);
    if (ok) {
        if (!c.quiet) fprintf(stderr, "[%s]\n", what);
        lb_progress p;
        lb_sens_result r;
        lb_progress_start(&p, mode, "variants", lb_sens_count(&t.model->cfg, &o));
        o.progress = &p;
        ok = lb_sens_run(t.model, ids, (int)n_seq, (int)n_tok, &o, &r, err);
        lb_progress_end(&p);
        ok = ok && report(&r, &t.model->cfg, what, target, c.json, err);
        if (ok || r.p) lb_sens_free(&r);
    }
    free(ids);
    lb_target_close(&t);
    lb_exec_close(ex);
    return ok;
}

const lb_command lb_cmd_sensitivity = {"sensitivity", "KL per layer and kind when it alone is quantized",
                                       "lowbit sensitivity -m models/abacus-5m --calib out/traces.jsonl",
                                       run};
