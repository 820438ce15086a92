/* cli/cmd_doctor.c – `lowbit doctor`: reasoning health of a quantized model against its base. */
#include "cli/cmd.h"
#include "eval/health.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NOISE_TEXT = 24 };
/* A standard error; one answer or one trace has none. */
static const char *noise(char out[NOISE_TEXT], double se, bool share)
{
    if (isnan(se)) snprintf(out, NOISE_TEXT, "n/a");
    else snprintf(out, NOISE_TEXT, share ? "%.1f" : "%.2g", se);
    return out;
}

static void print_value(const lb_symptom *s)
{
    char se[NOISE_TEXT];
    if (isnan(s->value))
        printf("%-28s %10s %9s  %8.3g %8.3g   %s\n", s->name, "–", "", s->impaired, s->broken, "not measured");
    else
        printf("%-28s %10.4g ±%8s  %8.3g %8.3g   %s\n", s->name, s->value, noise(se, s->stderr_value, false),
               s->impaired, s->broken, lb_health_name(s->level));
}

static void print_side(const char *name, const lb_health_side *s)
{
    char t[NOISE_TEXT], l[NOISE_TEXT], c[NOISE_TEXT], d[NOISE_TEXT];
    printf("%-10s %8.1f ± %-6s %6.1f%% ± %-4s %6.1f%% ± %-4s %6.1f%% ± %s\n", name, s->tokens.mean,
           noise(t, s->tokens.stderr_mean, true), 100 * s->loops.mean, noise(l, 100 * s->loops.stderr_mean, true),
           100 * s->truncated.mean, noise(c, 100 * s->truncated.stderr_mean, true), 100 * s->closed.mean,
           noise(d, 100 * s->closed.stderr_mean, true));
}

/* Symptoms whose value is beyond a limit, but not by two standard errors, or whose noise is not known. */
static void print_unsure(const lb_health *h)
{
    const char *sep = "\nbeyond a limit, but not by two standard errors, so not counted; more --tokens or --answers tell: ";
    for (int i = 0; i < LB_HEALTH_SYMPTOMS; i++) {
        const lb_symptom *s = &h->symptom[i];
        int level = s->rising ? (s->value > s->impaired) + (s->value > s->broken)
                              : (s->value < s->impaired) + (s->value < s->broken);
        if (isnan(s->value) || level <= (int)s->level) continue;
        printf("%s%s", sep, s->name);
        sep = ", ";
    }
    if (*sep == ',') printf("\n");
}

static void print_report(const char *model, const char *base, const lb_health *h)
{
    const lb_compare_result *c = &h->compare;
    printf("%s against %s: %s\n\n", model, base, lb_health_name(h->verdict));
    printf("%-28s %10s  %8s  %8s %8s   (beyond a limit by two standard errors)\n", "symptom", "value", "stderr",
           "impaired", "broken");
    for (int i = 0; i < LB_HEALTH_SYMPTOMS; i++) print_value(&h->symptom[i]);
    print_unsure(h);
    char kl[NOISE_TEXT], top[NOISE_TEXT];
    printf("\n%d trace%s, %lld positions: KL %.4g ± %s nats, 99th percentile %.4g, largest %.4g; entropy of the base %.4g; "
           "same first choice %.2f%% ± %s; perplexity %.4f, base %.4f; P(</think>) where the base closed %.4f, base %.4f "
           "(%d traces)\nKL by position:",
           c->n_seq, c->n_seq == 1 ? "" : "s", (long long)c->n_pos, c->kl.mean, noise(kl, c->kl.stderr_mean, false),
           c->kl_p99, c->kl_max, c->entropy.mean, 100 * c->top1.mean, noise(top, 100 * c->top1.stderr_mean, false),
           c->ppl_quant, c->ppl_base, c->mark_quant.mean, c->mark_base.mean, c->n_mark);
    for (int b = 0; b < LB_KL_BUCKETS; b++)
        if (c->bucket[b].n) printf(" %d+: %.4g", b ? LB_KL_BUCKET0 << (b - 1) : 0, c->bucket[b].kl);
    printf("\n\n%d answer%s of at most %d tokens\n%-10s %8s   %6s %7s   %6s %7s  %9s  %10s\n", h->n_prompt,
           h->n_prompt == 1 ? "" : "s", h->max_new,
           "", "tokens", "", "loops", "", "truncated", "", "closed");
    print_side("base", &h->base);
    print_side("model", &h->quant);
    printf("%.0f s\n", h->seconds);
}

static bool print_json(const char *model, const char *base, const char *traces, const lb_health *h, lb_err *err)
{
    json_t *j = lb_health_json(h);
    json_object_set_new(j, "model", json_string(model));
    json_object_set_new(j, "against", json_string(base));
    json_object_set_new(j, "trace_file", json_string(traces));
    json_object_set_new(j, "version", json_string(lb_version()));
    return lb_cmd_print_json(j, err);
}

static bool write_outliers(lb_target *base, lb_target *quant, const lb_health_opt *o, const char *path, lb_err *err)
{
    json_t *j = lb_health_outliers(base, quant, o, err);
    bool ok = j && lb_json_save(path, j, err);
    json_decref(j);
    return ok;
}

static bool run(int argc, char **argv, int *status, lb_err *err)
{
    (void)status;
    lb_common c = {0};
    const char *base = NULL, *file = NULL, *outliers = NULL;
    int64_t tokens = 0, prompts = 0, n = 0, seed = 42, parallel = 0;
    double temp = 0, top_p = 1;
    bool done;
    lb_arg table[] = {
        LB_MODEL_ARG(c),
        {"against", 0, LB_ARG_STR, &base, "DIR", "the model it was made from", 0, 0, false},
        {"traces", 0, LB_ARG_STR, &file, "FILE", "reasoning of the base, written by lowbit trace", 0, 0, false},
        {"tokens", 0, LB_ARG_INT, &tokens, "N", "tokens of traces to read (default 32768)", 16, 1 << 28, false},
        {"answers", 0, LB_ARG_INT, &prompts, "N", "prompts of the traces that both answer (default 32)", 1, 1 << 20,
         false},
        {"n-predict", 'n', LB_ARG_INT, &n, "N",
         "most tokens per answer (default: twice the longest trace, 256 to 4096)", 1, 1 << 28, false},
        {"seed", 0, LB_ARG_INT, &seed, "N", "of the answers (default 42)", 0, 9e15, false},
        {"temp", 0, LB_ARG_REAL, &temp, "T", "default: the base's generation_config.json", 0, 100, false},
        {"top-p", 0, LB_ARG_REAL, &top_p, "P", "likewise", 0, 1, false},
        {"parallel", 0, LB_ARG_INT, &parallel, "N", "answers in flight (default: what fits, at most 64)", 1, 4096,
         false},
        {"outliers", 0, LB_ARG_STR, &outliers, "FILE.json",
         "also write how far the largest channels stand out in both (lowbit report plots it)", 0, 0, false},
        LB_COMMON_ARGS(c),
        {0},
    };
    if (!lb_cmd_start(&lb_cmd_doctor, table, &c, argc, argv, &done, err)) return false;
    if (done) return true;
    if (!lb_cmd_need_model(&c, err)) return false;
    if (!base || !*base)
        return lb_fail(err, LB_EUSAGE, "no base: --against DIR names the model that this one was made from");
    if (!file || !*file)
        return lb_fail(err, LB_EUSAGE, "no traces: --traces FILE; `lowbit trace -m %s --prompts … -o FILE` makes them",
                       base);
    lb_target b = {0}, q = {0};
    lb_traces traces = {0};
    lb_health h;
    lb_health_opt o = {.traces = &traces, .n_token = (int)tokens, .n_prompt = (int)prompts, .max_new = (int)n,
                       .seed = (uint64_t)seed, .n_slot = (int)parallel, .stop = &lb_cmd_stop};
    lb_exec *ex = NULL;
    bool ok = lb_cmd_progress(&c, &o.progress, err) && (ex = lb_cmd_exec(&c, err)) != NULL &&
              lb_target_open(&b, base, ex, err) && lb_target_open(&q, c.model, ex, err) &&
              lb_traces_load(&b, file, &traces, err);
    if (ok) {
        o.sampling = lb_target_sampling(&b);
        if (lb_args_given(table, "temp")) o.sampling.temperature = (float)temp;
        if (lb_args_given(table, "top-p")) o.sampling.top_p = (float)top_p;
        ok = (!outliers || write_outliers(&b, &q, &o, outliers, err)) && lb_health_run(&b, &q, &o, &h, err);
    }
    if (ok && c.json) ok = print_json(c.model, base, file, &h, err);
    else if (ok) print_report(c.model, base, &h);
    lb_traces_free(&traces);
    lb_target_close(&b);
    lb_target_close(&q);
    lb_exec_close(ex);
    return ok;
}

const lb_command lb_cmd_doctor = {"doctor", "reasoning health of a quantized model, in minutes",
                                  "lowbit doctor -m out/abacus-w3 --against models/abacus-5m --traces out/traces.jsonl",
                                  run};
